// Any bytes as a .tile file: the compiler's front half either reports a mistake or gives tir that
// verifies and whose text reads back to itself. It never crashes and never runs away.
#include "frontend/parse.h"
#include "frontend/sema.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const ir_module *module, tl_arena *arena, tl_sources *sources) {
  tl_buf first = {0}, second = {0};
  const char *error = NULL;
  ir_print(module, &first);
  ir_module *again = ir_parse(arena, sources, first.data, first.len, &error);
  if (again)
    ir_print(again, &second);
  if (!again || first.len != second.len || memcmp(first.data, second.data, first.len) != 0) {
    fprintf(stderr, "text form is not stable: %s\n%s\n---\n%s\n", error ? error : "differs",
            first.data, second.data ? second.data : "");
    abort();
  }
  tl_buf_free(&first);
  tl_buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 16384)
    return 0;
  tl_arena arena = {0};
  tl_sources sources = {.arena = &arena};
  tl_diags diags;
  tl_diags_init(&diags, &arena, &sources);
  const char *text = tl_strndup(&arena, (const char *)data, size);
  uint32_t file = tl_source_add(&sources, "fuzz.tile", text, (uint32_t)size);
  ast_module *tree = fe_parse(&arena, &diags, &sources, file);
  fe_program *program =
      tree && !diags.error_count ? fe_check(&arena, &diags, &sources, tree, NULL) : NULL;
  for (int i = 0; program && !diags.error_count && i < fe_kernel_count(program); i++) {
    const fe_kernel *kernel = fe_kernel_at(program, i);
    const fe_variant *variants;
    int count;
    if (!fe_variants(program, kernel, NULL, 0, &variants, &count) || !count)
      break;
    ir_module *module = ir_module_new(&arena, &sources);
    const tl_target *target = tl_target_of(TL_SM_90A);
    if (fe_instantiate(program, module, kernel, &variants[0], target, 16))
      check_round_trip(module, &arena, &sources);
    else if (!diags.error_count)
      abort(); // refused without a word
  }
  FILE *out = fopen("/dev/null", "w");
  tl_diags_print(&diags, out);
  fclose(out);
  tl_arena_free(&arena);
  return 0;
}
