// libFuzzer target for the IR's reader, printer, verifier, facts and tir passes. Any bytes may be
// refused; what is read must print to a fixed point; what verifies must still verify after passes.
//   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. tests/fuzz/fuzz_ir.c
//     lang/*.c lang/base/*.c ir/*.c ir/pass/*.c -lm -o fuzz_ir && ./fuzz_ir corpus tests/ir/text
#include "ir/facts.h"
#include "ir/pass_list.h"
#include "ir/verify_channel.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ir_module *read_text(tl_arena *arena, tl_sources *sources, const char *text, size_t len) {
  const char *error;
  ir_module *module = ir_parse(arena, sources, text, len, &error);
  TL_ASSERT(!module == (error != NULL), "a module and an error");
  return module;
}

static void check_fixed_point(const ir_module *module) {
  tl_arena arena = {0};
  tl_sources sources = {.arena = &arena};
  tl_buf once = {0}, twice = {0};
  ir_print(module, &once);
  ir_module *again = read_text(&arena, &sources, once.data ? once.data : "", once.len);
  TL_ASSERT(again, "does not read back:\n%s", once.data);
  ir_print(again, &twice);
  TL_ASSERT(once.len == twice.len && (!once.len || !memcmp(once.data, twice.data, once.len)),
            "changes when read back:\n%s\n%s", once.data, twice.data);
  tl_buf_free(&once);
  tl_buf_free(&twice);
  tl_arena_free(&arena);
}

static void look_at_access(ir_op *op, void *user) {
  if (op->code != IR_LOAD && op->code != IR_STORE && op->code != IR_ATOMIC && op->code != IR_COPY)
    return;
  int64_t align = ir_access_align(user, op);
  TL_ASSERT(align >= 1 && align <= 128 && !(align & (align - 1)), "alignment %lld",
            (long long)align);
  ir_access_in_bounds(user, op);
}

static void check_passes(ir_func *func) {
  static bool (*const passes[])(ir_pass_ctx *) = {pass_canon, pass_cse, pass_licm, pass_dce};
  tl_buf failures = {0}, before = {0};
  ir_print_func(func, &before);
  for (int i = 0; i < (func->sir ? 1 : 4); i++) {
    tl_arena scratch = {0};
    ir_pass_ctx ctx = {.func = func, .scratch = &scratch};
    ir_walk(func->body, look_at_access, ir_facts_compute(func, &scratch));
    (func->sir ? pass_sir_cleanup : passes[i])(&ctx);
    tl_arena_free(&scratch);
    TL_ASSERT(!ir_verify(func, &failures), "pass %d: %s\n%s", i, failures.data, before.data);
  }
  tl_buf_free(&before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tl_arena arena = {0};
  tl_sources sources = {.arena = &arena};
  ir_module *module = read_text(&arena, &sources, (const char *)data, size);
  if (module) {
    tl_buf failures = {0};
    check_fixed_point(module);
    for (uint32_t i = 0; i < module->funcs.len; i++)
      if (!ir_verify(module->funcs.data[i], &failures)) {
        ir_schedule_fault fault;
        ir_check_schedule(module->funcs.data[i], &arena, &fault);
        check_passes(module->funcs.data[i]);
      }
    check_fixed_point(module);
    tl_buf_free(&failures);
  }
  tl_arena_free(&arena);
  return 0;
}
