// Our own mistakes: print where, and abort. Never for a user's input.
#ifndef LANG_BASE_ASSERT_H
#define LANG_BASE_ASSERT_H
#include <setjmp.h>

__attribute__((noreturn, format(printf, 3, 4))) void tl_internal_error(const char *file, int line,
                                                                       const char *fmt, ...);
#define TL_ASSERT(cond, ...)                                                                       \
  do {                                                                                             \
    if (!(cond))                                                                                   \
      tl_internal_error(__FILE__, __LINE__, __VA_ARGS__);                                          \
  } while (0)
#define TL_UNREACHABLE(...) tl_internal_error(__FILE__, __LINE__, __VA_ARGS__)
// A library must not end its host: where `to` is set, the thread's next internal error goes there with
// its text instead of to standard error and exit(70). What was allocated until then is lost.
typedef struct tl_escape {
  jmp_buf to;
  char text[2000];
} tl_escape;
extern _Thread_local tl_escape *tl_escape_to; // NULL: none
// Called (once) before tl_internal_error exits with 70; tools set it to say what they were doing.
extern void (*tl_on_internal_error)(void);
#endif
