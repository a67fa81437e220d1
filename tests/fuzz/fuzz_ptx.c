// Any bytes as PTX: refused with a line, or read, every instruction matched or refused, and printed
// to a text that reads back to the same text.
#include "lang/base/str.h"
#include "runtime/ptx/ptx.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 16384)
    return 0;
  tl_arena arena = {0};
  const char *error = NULL;
  ptx_module *module = ptx_parse(&arena, "fuzz.ptx", (const char *)data, size, &error);
  if (!module && !error)
    abort(); // refused without a word
  if (module) {
    tl_buf first = {0}, second = {0};
    ptx_print(module, &first);
    ptx_module *again = ptx_parse(&arena, "again.ptx", first.data, first.len, &error);
    if (again)
      ptx_print(again, &second);
    if (!again || first.len != second.len ||
        (first.len && memcmp(first.data, second.data, first.len) != 0)) {
      fprintf(stderr, "not stable: %s\n%s\n---\n%s\n", error ? error : "",
              first.data ? first.data : "", second.data ? second.data : "");
      abort();
    }
    tl_buf_free(&first);
    tl_buf_free(&second);
  }
  tl_arena_free(&arena);
  return 0;
}
