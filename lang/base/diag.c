// Collecting and printing diagnostics.
//
// A report that repeats an earlier one (same id, place and text) adds only its architecture to it:
// the compiler runs a kernel once per architecture and a user reads each mistake once.
#include "lang/base/diag.h"
#include "lang/base/assert.h"
#include <regex.h>
#include <stdlib.h>

typedef struct attached {
  tl_span span;
  const char *text;
} attached;

struct tl_diag {
  tl_diag_id id;
  tl_severity severity;
  tl_span span;
  const char *text;
  uint32_t order;
  TL_VEC(const char *) archs;
  TL_VEC(attached) notes;
  TL_VEC(attached) helps;
  TL_VEC(attached) fixits; // text: the replacement
};

static const struct {
  const char *name;
  tl_severity severity;
  const char *text, *cause, *fix;
} rows[DIAG_COUNT] = {
#define DIAG(id, severity, text, cause, fix) [DIAG_##id] = {#id, severity, text, cause, fix},
#include "lang/diag.def"
#undef DIAG
};

const char *tl_diag_name(tl_diag_id id) {
  TL_ASSERT((unsigned)id < DIAG_COUNT, "no such diagnostic: %d", (int)id);
  return rows[id].name;
}

void tl_diags_init(tl_diags *diags, tl_arena *arena, tl_sources *sources) {
  *diags = (tl_diags){.arena = arena, .sources = sources, .error_limit = 20};
}

void tl_diags_set_arch(tl_diags *diags, const char *arch_or_null) {
  diags->arch = arch_or_null ? tl_strdup(diags->arena, arch_or_null) : NULL;
}

// --- collecting ---------------------------------------------------------------------------------

static bool same_span(tl_span a, tl_span b) {
  return a.lo == b.lo && a.hi == b.hi && a.file == b.file;
}

static bool remark_wanted(const tl_diags *diags, const tl_diag *diag) {
  if (!diags->remarks)
    return false;
  regex_t regex;
  if (regcomp(&regex, diags->remarks, REG_EXTENDED | REG_NOSUB) != 0)
    return false;
  tl_buf line = {0};
  tl_buf_printf(&line, "%s %s", rows[diag->id].name, diag->text);
  bool wanted = regexec(&regex, line.data, 0, NULL, 0) == 0;
  tl_buf_free(&line);
  regfree(&regex);
  return wanted;
}

static void add_arch(tl_diags *diags, tl_diag *diag) {
  if (!diags->arch)
    return;
  for (uint32_t i = 0; i < diag->archs.len; i++)
    if (strcmp(diag->archs.data[i], diags->arch) == 0)
      return;
  tl_push(diags->arena, &diag->archs, diags->arch);
}

static tl_diag *find_same(const tl_diags *diags, const tl_diag *wanted) {
  for (uint32_t i = 0; i < diags->list.len; i++) {
    tl_diag *diag = diags->list.data[i];
    if (diag->id == wanted->id && same_span(diag->span, wanted->span) &&
        strcmp(diag->text, wanted->text) == 0)
      return diag;
  }
  return NULL;
}

tl_diag *tl_report(tl_diags *diags, tl_span span, tl_diag_id id, ...) {
  tl_diag *diag = TL_NEW(diags->arena, tl_diag);
  va_list args;
  va_start(args, id);
  TL_ASSERT((unsigned)id < DIAG_COUNT, "no such diagnostic: %d", (int)id);
  *diag = (tl_diag){.id = id, .severity = rows[id].severity, .span = span};
  diag->text = tl_vsprintf(diags->arena, rows[id].text, args);
  va_end(args);
  // The caller may still hang notes on a dropped report; they are dropped with it.
  if (diag->severity == TL_REMARK && !remark_wanted(diags, diag))
    return diag;
  if (diag->severity == TL_WARNING && diags->werror)
    diag->severity = TL_ERROR;
  tl_diag *known = find_same(diags, diag);
  if (known) {
    add_arch(diags, known);
    return known;
  }
  if (diag->severity == TL_ERROR && ++diags->error_count > diags->error_limit) {
    diags->dropped_errors++;
    return diag;
  }
  add_arch(diags, diag);
  diag->order = diags->list.len;
  tl_push(diags->arena, &diags->list, diag);
  return diag;
}

#define ADD_LINE(diags, list, span_, text_)                                                        \
  do {                                                                                             \
    bool known_ = false;                                                                           \
    for (uint32_t i_ = 0; i_ < (list)->len; i_++)                                                  \
      known_ |= same_span((list)->data[i_].span, (span_)) &&                                       \
                strcmp((list)->data[i_].text, (text_)) == 0;                                       \
    attached line_ = {(span_), (text_)};                                                           \
    if (!known_)                                                                                   \
      tl_push((diags)->arena, (list), line_);                                                      \
  } while (0)

void tl_note(tl_diags *diags, tl_diag *diag, tl_span span, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const char *text = tl_vsprintf(diags->arena, fmt, args);
  va_end(args);
  ADD_LINE(diags, &diag->notes, span, text);
}

void tl_help(tl_diags *diags, tl_diag *diag, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const char *text = tl_vsprintf(diags->arena, fmt, args);
  va_end(args);
  ADD_LINE(diags, &diag->helps, (tl_span){0}, text);
}

void tl_fixit(tl_diags *diags, tl_diag *diag, tl_span span, const char *replacement) {
  ADD_LINE(diags, &diag->fixits, span, tl_strdup(diags->arena, replacement));
}

// --- printing -----------------------------------------------------------------------------------

static int by_position(const void *left, const void *right) {
  const tl_diag *a = *(tl_diag *const *)left, *b = *(tl_diag *const *)right;
  if (a->span.file != b->span.file)
    return a->span.file < b->span.file ? -1 : 1;
  if (a->span.lo != b->span.lo)
    return a->span.lo < b->span.lo ? -1 : 1;
  return a->order < b->order ? -1 : a->order > b->order;
}

static void print_place(const tl_diags *diags, tl_span span, FILE *out) {
  if (!span.file)
    return;
  int line, col;
  tl_source_position(diags->sources, span, &line, &col);
  fprintf(out, "%s:", tl_source_path(diags->sources, span));
  if (line)
    fprintf(out, "%d:%d:", line, col);
  fputc(' ', out);
}

static bool starts_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

// The source line, and under it a caret with tildes to the end of the span or of the line. Tabs are
// repeated in the padding so that both lines expand alike.
static void print_snippet(const tl_diags *diags, tl_span span, FILE *out) {
  if (!span.file)
    return;
  const tl_file *file = &diags->sources->files.data[span.file - 1];
  if (!file->text)
    return;
  int line, col;
  tl_source_position(diags->sources, span, &line, &col);
  uint32_t start = file->line_at[line - 1], end = start;
  while (end < file->len && file->text[end] != '\n' && file->text[end] != '\r')
    end++;
  fprintf(out, "%5d | %.*s\n      | ", line, (int)(end - start), file->text + start);
  uint32_t at = start;
  for (; at < span.lo && at < end; at++)
    if (starts_character(file->text[at]))
      fputc(file->text[at] == '\t' ? '\t' : ' ', out);
  fputc('^', out);
  for (at++; at < span.hi && at < end; at++)
    if (starts_character(file->text[at]))
      fputc('~', out);
  fputc('\n', out);
}

static void print_fixit(const tl_diags *diags, const attached *fixit, FILE *out) {
  int line, col, end_line, end_col;
  tl_span end = {.lo = fixit->span.hi, .hi = fixit->span.hi, .file = fixit->span.file};
  tl_source_position(diags->sources, fixit->span, &line, &col);
  tl_source_position(diags->sources, end, &end_line, &end_col);
  fprintf(out, "      = fix-it: %d:%d-%d:%d -> \"%s\"\n", line, col, end_line, end_col,
          fixit->text);
}

static void print_one(const tl_diags *diags, const tl_diag *diag, FILE *out) {
  static const char *const words[] = {
      [TL_ERROR] = "error", [TL_WARNING] = "warning", [TL_REMARK] = "remark"};
  print_place(diags, diag->span, out);
  fprintf(out, "%s: %s [%s]", words[diag->severity], diag->text, rows[diag->id].name);
  for (uint32_t i = 0; i < diag->archs.len; i++)
    fprintf(out, "%s%s", i ? ", " : " [", diag->archs.data[i]);
  fputs(diag->archs.len ? "]\n" : "\n", out);
  print_snippet(diags, diag->span, out);
  for (uint32_t i = 0; i < diag->notes.len; i++) {
    print_place(diags, diag->notes.data[i].span, out);
    fprintf(out, "note: %s\n", diag->notes.data[i].text);
  }
  for (uint32_t i = 0; i < diag->helps.len; i++)
    fprintf(out, "      = help: %s\n", diag->helps.data[i].text);
  for (uint32_t i = 0; i < diag->fixits.len; i++)
    print_fixit(diags, &diag->fixits.data[i], out);
}

void tl_diags_print(tl_diags *diags, FILE *out) {
  uint32_t count = diags->list.len;
  if (count)
    qsort(diags->list.data, count, sizeof *diags->list.data, by_position);
  for (uint32_t i = 0; i < count; i++)
    print_one(diags, diags->list.data[i], out);
  if (diags->dropped_errors)
    fprintf(out, "%d more error%s not shown\n", diags->dropped_errors,
            diags->dropped_errors == 1 ? "" : "s");
  diags->dropped_errors = 0;
  diags->list.len = 0;
}

// --- --explain ----------------------------------------------------------------------------------

// Words of `text`, wrapped at 78 columns and indented by two.
static void print_paragraph(const char *text, FILE *out) {
  int col = 0;
  while (*text) {
    int len = (int)strcspn(text, " ");
    if (col && col + 1 + len > 78) {
      fputc('\n', out);
      col = 0;
    }
    col += fprintf(out, "%s%.*s", col ? " " : "  ", len, text);
    text += len;
    text += strspn(text, " ");
  }
  fputc('\n', out);
}

bool tl_diag_explain(const char *name, FILE *out) {
  static const char *const words[] = {
      [TL_ERROR] = "error", [TL_WARNING] = "warning", [TL_REMARK] = "remark"};
  for (int i = 0; i < DIAG_COUNT; i++) {
    if (strcmp(rows[i].name, name) != 0)
      continue;
    fprintf(out, "%s, %s: %s\n\nCause\n", name, words[rows[i].severity], rows[i].text);
    print_paragraph(rows[i].cause, out);
    fputs("\nWhat to do\n", out);
    print_paragraph(rows[i].fix, out);
    return true;
  }
  return false;
}
