// The end of the road for our own mistakes: one line on stderr, exit code 70.
#include "lang/base/assert.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void (*tl_on_internal_error)(void);

void tl_internal_error(const char *file, int line, const char *fmt, ...) {
  fflush(stdout);
  fprintf(stderr, "internal error: %s:%d: ", file, line);
  va_list args;
  va_start(args, fmt);
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
