// Text buffer that owns its memory (malloc), and small string helpers.
#ifndef LANG_BASE_STR_H
#define LANG_BASE_STR_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct tl_buf {
  char *data; // always NUL-terminated once anything was written; NULL before
  size_t len, cap;
} tl_buf;

void tl_buf_putc(tl_buf *buf, char c);
void tl_buf_puts(tl_buf *buf, const char *text);
void tl_buf_write(tl_buf *buf, const void *bytes, size_t len);
void tl_buf_printf(tl_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tl_buf_vprintf(tl_buf *buf, const char *fmt, va_list args);
void tl_buf_free(tl_buf *buf);

bool tl_starts_with(const char *text, const char *prefix);
bool tl_ends_with(const char *text, const char *suffix);
// Damerau-Levenshtein distance, for "did you mean"; stops counting at `limit`.
int tl_edit_distance(const char *a, const char *b, int limit);
// The nearest of `names` within a third of the word's length, or NULL.
const char *tl_nearest(const char *word, const char *const *names, size_t count);
// Whole file into a malloc'd NUL-terminated block; NULL with errno set on failure.
char *tl_read_file(const char *path, size_t *out_len);
// Writes to a temporary file beside `path` and renames it over: an error leaves `path` untouched.
// "-" is standard output. Returns false with errno set on failure.
bool tl_write_file(const char *path, const void *bytes, size_t len);

// The value of "--name=VALUE" or of "--name VALUE" at argv[*at], which is advanced over it; NULL: another option.
const char *tl_option_value(char **argv, int argc, int *at, const char *name);

#endif
