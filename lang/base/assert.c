// The end of the road for our own mistakes: one line on stderr, exit code 70.
#include "lang/base/assert.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void (*tl_on_internal_error)(void);
_Thread_local tl_escape *tl_escape_to;

static void escape(tl_escape *out, const char *file, int line, const char *fmt, va_list args) {
  int used = snprintf(out->text, sizeof out->text, "internal error: %s:%d: ", file, line);
  if (used > 0 && (size_t)used < sizeof out->text)
    vsnprintf(out->text + used, sizeof out->text - (size_t)used, fmt, args);
  tl_escape_to = NULL; // the next one has nowhere to go
  longjmp(out->to, 1);
}

void tl_internal_error(const char *file, int line, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  if (tl_escape_to)
    escape(tl_escape_to, file, line, fmt, args);
  fflush(stdout);
  fprintf(stderr, "internal error: %s:%d: ", file, line);
  vfprintf(stderr, fmt, args);
  va_end(args);
  fputc('\n', stderr);
  void (*hook)(void) = tl_on_internal_error;
  tl_on_internal_error = NULL; // a hook that fails itself must not come back here
  if (hook)
    hook();
  fflush(stderr);
  _exit(70);
}
