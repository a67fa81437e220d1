// Line tables are built when a file is added; positions are found by bisection.
#include "lang/base/source.h"
#include "lang/base/assert.h"

uint32_t tl_source_add(tl_sources *set, const char *path, const char *text, uint32_t len) {
  tl_file file = {.path = tl_strdup(set->arena, path), .text = text, .len = text ? len : 0};
  if (text) {
    uint32_t lines = 1;
    for (uint32_t i = 0; i < len; i++)
      lines += text[i] == '\n';
    file.line_at = TL_NEW_N(set->arena, uint32_t, lines);
    file.nlines = 1;
    for (uint32_t i = 0; i < len; i++)
      if (text[i] == '\n')
        file.line_at[file.nlines++] = i + 1;
  }
  tl_push(set->arena, &set->files, file);
  return set->files.len;
}

static const tl_file *file_of(const tl_sources *set, tl_span span) {
  if (!set || span.file == 0)
    return NULL;
  TL_ASSERT(span.file <= set->files.len, "span of unknown file %u", span.file);
  return &set->files.data[span.file - 1];
}

void tl_source_position(const tl_sources *set, tl_span span, int *out_line, int *out_col) {
  const tl_file *file = file_of(set, span);
  *out_line = *out_col = 0;
  if (!file)
    return;
  if (!file->text) { // packed by tl_span_at
    *out_line = (int)(span.lo >> TL_SPAN_COL_BITS);
    *out_col = (int)(span.lo & ((1u << TL_SPAN_COL_BITS) - 1));
    return;
  }
  uint32_t low = 0, high = file->nlines; // line_at[low] <= lo < line_at[high]
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (file->line_at[middle] <= span.lo)
      low = middle;
    else
      high = middle;
  }
  *out_line = (int)low + 1;
  *out_col = (int)(span.lo - file->line_at[low]) + 1;
}

tl_span tl_span_at(uint32_t file, int line, int col) {
  uint32_t max_col = (1u << TL_SPAN_COL_BITS) - 1;
  uint32_t kept = (uint32_t)col < max_col ? (uint32_t)col : max_col;
  uint32_t at = (uint32_t)line << TL_SPAN_COL_BITS | kept;
  return (tl_span){.lo = at, .hi = at, .file = file};
}

const char *tl_source_path(const tl_sources *set, tl_span span) {
  const tl_file *file = file_of(set, span);
  return file ? file->path : "<unknown>";
}
