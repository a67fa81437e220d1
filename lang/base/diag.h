// Diagnostics for a user's mistakes: collected, sorted by position, printed clang's way with caret.
//
//   gemm.tile:22:37: error: 'dot' inner dimensions differ: a is [128,64], b is [96,128] [E0214]
//      22 |     acc = dot(a, b, acc);
//         |               ^~~~~
//   gemm.tile:19:17: note: ...
//         = help: b must have K first; transposing is free
//         = fix-it: 22:37-22:38 -> "trans(b)"
//
// Ids and texts live in lang/diag.def, one row each; ids never change meaning.
#ifndef LANG_BASE_DIAG_H
#define LANG_BASE_DIAG_H
#include "lang/base/source.h"
#include "lang/base/str.h"
#include <stdio.h>

typedef enum tl_severity { TL_ERROR, TL_WARNING, TL_REMARK } tl_severity;

typedef enum tl_diag_id {
#define DIAG(id, severity, text, cause, fix) DIAG_##id,
#include "lang/diag.def"
#undef DIAG
  DIAG_COUNT
} tl_diag_id;

typedef struct tl_diag tl_diag; // one report; notes and help are attached to it

typedef struct tl_diags {
  tl_arena *arena;
  tl_sources *sources;
  TL_VEC(tl_diag *) list;
  int error_count;
  int error_limit;     // 20; further errors are counted, not kept
  bool werror;         // warnings count as errors
  const char *arch;    // see tl_diags_set_arch
  int dropped_errors;  // beyond the limit, not yet mentioned
  const char *remarks; // extended regex over "R104 dot selection ..."; NULL: remarks are dropped
} tl_diags;

void tl_diags_init(tl_diags *diags, tl_arena *arena, tl_sources *sources);
// Arguments fill the row's printf-like text (%s and %d only). The text must match the row: the
// call sites are checked by tests that trigger every row.
tl_diag *tl_report(tl_diags *diags, tl_span span, tl_diag_id id, ...);
void tl_note(tl_diags *diags, tl_diag *diag, tl_span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void tl_help(tl_diags *diags, tl_diag *diag, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void tl_fixit(tl_diags *diags, tl_diag *diag, tl_span span, const char *replacement);
// The same mistake seen for several architectures is printed once, "[sm_90a, sm_100a]" behind it.
void tl_diags_set_arch(tl_diags *diags, const char *arch_or_null);

// Prints everything collected so far, sorted by file, position and order of report, duplicates
// merged, then forgets it; error_count stays.
void tl_diags_print(tl_diags *diags, FILE *out);
const char *tl_diag_name(tl_diag_id id);           // "E0214"
bool tl_diag_explain(const char *name, FILE *out); // the --explain page; false: unknown
#endif
