// The rows of dtypes.def as one constant table.
#include "lang/dtype.h"
#include "lang/base/assert.h"
#include <stddef.h>
#include <string.h>

static const tl_dtype_info dtype_rows[TL_DTYPE_COUNT] = {
    [TL_NODTYPE] = {.name = "none"},
#define DTYPE(id, text, bits_, class_, ebits, mbits, bias_)                                        \
  [TL_##id] = {text, bits_, TL_CLASS_##class_, ebits, mbits, bias_},
#include "lang/dtypes.def"
#undef DTYPE
};

const tl_dtype_info *tl_dtype_of(tl_dtype type) {
  TL_ASSERT((unsigned)type < TL_DTYPE_COUNT, "no such element type: %d", (int)type);
  return &dtype_rows[type];
}

tl_dtype tl_dtype_by_name(const char *name) {
  for (int i = TL_NODTYPE + 1; i < TL_DTYPE_COUNT; i++)
    if (strcmp(dtype_rows[i].name, name) == 0)
      return (tl_dtype)i;
  return TL_NODTYPE;
}
