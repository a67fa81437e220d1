// Our own mistakes: print where, and abort. Never for a user's input.
#ifndef LANG_BASE_ASSERT_H
#define LANG_BASE_ASSERT_H
__attribute__((noreturn, format(printf, 3, 4))) void tl_internal_error(const char *file, int line,
                                                                       const char *fmt, ...);
#define TL_ASSERT(cond, ...)                                                                       \
  do {                                                                                             \
    if (!(cond))                                                                                   \
      tl_internal_error(__FILE__, __LINE__, __VA_ARGS__);                                          \
  } while (0)
#define TL_UNREACHABLE(...) tl_internal_error(__FILE__, __LINE__, __VA_ARGS__)
// Called (once) before tl_internal_error exits with 70; tools set it to say what they were doing.
extern void (*tl_on_internal_error)(void);
#endif
