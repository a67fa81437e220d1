// Any bytes as IR text: refused with a reason, or read, verified without a crash, and printed to a
// text that reads back to the same text.
#include "ir/ir.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 16384)
    return 0;
  tl_arena arena = {0};
  tl_sources sources = {.arena = &arena};
  const char *error = NULL;
  char *text = tl_strndup(&arena, (const char *)data, size);
  ir_module *module = ir_parse(&arena, &sources, text, size, &error);
  if (!module && !error)
    abort(); // refused without a word
  if (module) {
    tl_buf first = {0}, second = {0};
    ir_print(module, &first);
    ir_module *again = ir_parse(&arena, &sources, first.data, first.len, &error);
    if (again)
      ir_print(again, &second);
    if (!again || first.len != second.len ||
        (first.len && memcmp(first.data, second.data, first.len) != 0)) {
      fprintf(stderr, "not stable: %s\n%s\n---\n%s\n", error ? error : "", first.data,
              second.data ? second.data : "");
      abort();
    }
    tl_buf_free(&first);
    tl_buf_free(&second);
  }
  tl_arena_free(&arena);
  return 0;
}
