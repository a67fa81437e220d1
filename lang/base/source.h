// Source files and spans: every byte of every file of one compilation has a 32-bit position.
#ifndef LANG_BASE_SOURCE_H
#define LANG_BASE_SOURCE_H
#include "lang/base/vec.h"
#include <stdbool.h>

// Half-open byte range [lo, hi) inside file `file` of the set. file == 0: unknown place.
typedef struct tl_span {
  uint32_t lo, hi;
  uint32_t file; // 1-based index into tl_sources.files
} tl_span;

typedef struct tl_file {
  const char *path; // as the user spelled it
  const char *text; // NUL-terminated; NULL when only the name is known (IR read back from text)
  uint32_t len;
  uint32_t *line_at; // byte offset of each line's start
  uint32_t nlines;
} tl_file;

typedef struct tl_sources {
  tl_arena *arena;
  TL_VEC(tl_file) files;
} tl_sources;

uint32_t tl_source_add(tl_sources *set, const char *path, const char *text, uint32_t len);
// Line and column, both 1-based; the column counts bytes, as clang's.
void tl_source_position(const tl_sources *set, tl_span span, int *out_line, int *out_col);
// A place known only as line and column, in a file whose text is not at hand (text == NULL):
// `lo` packs both, and tl_source_position gives them back. Columns stop at 1023.
enum { TL_SPAN_COL_BITS = 10 };
tl_span tl_span_at(uint32_t file, int line, int col);
const char *tl_source_path(const tl_sources *set, tl_span span); // "<unknown>" for file 0
#endif
