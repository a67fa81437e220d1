// Failure in one line: `return tile_fail(TILE_E_SHAPE, "arg %d '%s': ...", ...)`.
//
// The text is thread-local and stays until the thread's next failure; success does not clear it.
#ifndef RUNTIME_STATUS_H
#define RUNTIME_STATUS_H
#include "runtime/tile.h"

tile_status tile_fail(tile_status status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// "PREFIX: the text so far", for a caller that knows more about where.
tile_status tile_fail_in(tile_status status, const char *prefix);

#define TILE_TRY(call)                                                                             \
  do {                                                                                             \
    tile_status try_status_ = (call);                                                              \
    if (try_status_ != TILE_OK)                                                                    \
      return try_status_;                                                                          \
  } while (0)
#endif
