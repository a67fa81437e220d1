// The verifier accepts what is right and names every rule that is broken.
#include "ir/layout.h"
#include "tests/unit/ir_text.h"

#define C0 "%6 = const {value=0} : i32\n"
#define T8 "%7 = splat %2 : f32[8]\n"
#define TENSOR                                                                                     \
  C0 "%7 = const {value=1} : i64\n%8 = tensor %4, %1, %1, %7, %7 {name=\"X\"} : tensor<f32,2>\n"

static const struct {
  const char *body, *reason; // reason NULL: verifies
} rows[] = {
    {"return", NULL},
    {"", "region 0 must end in return"},
    {"yield\nreturn", "terminator before the end of its region"},
    {"%6 = const {value=256} : u8\nreturn", "the value does not fit the type"},
    {"%6 = const {value=0x1p+0} : i32\nreturn", "the value is of another kind than the type"},
    {"%6 = const : i32\nreturn", "a constant needs a value"},
    {"%6 = bid {axis=3} : i32\nreturn", "axis must be 0, 1 or 2"},
    {"%6 = add %1, %2 : i32\nreturn", "operand 1 and result differ in type"},
    {"%6 = exp2 %1 : i32\nreturn", "works on floats"},
    {"%6 = rem %2, %2 : f32\nreturn", "works on integers"},
    {"%6 = cmp %1, %3 {pred=\"l\"} : i1\nreturn", "unknown predicate"},
    {T8 "%8 = select %5, %7, %7 : f32[8]\nreturn", "the condition is not i1"},
    {T8 "%8 = cast %7 : bf16[4]\nreturn", "shapes differ"},
    {T8 "%8 = cast %7 {round=\"up\"} : bf16[8]\nreturn", "unknown rounding"},
    {T8 "%8 = bitcast %7 : u8[32]\nreturn", NULL},
    {T8 "%8 = bitcast %7 : u8[16]\nreturn", "256 bits seen as 128"},
    {T8 "%8 = splat %7 : f32[8,8]\nreturn", "scalar to tile of it"},
    {T8 "%8 = expand %7 {axis=1} : f32[8,1]\n%9 = broadcast %8 : f32[8,4]\nreturn", NULL},
    {T8 "%8 = expand %7 {axis=2} : f32[8,1]\nreturn", "axis out of range"},
    {T8 "%8 = broadcast %7 : f32[16]\nreturn", "dim 0 is neither 1 nor the result's"},
    {T8 "%8 = reshape %7 : f32[2,2,4]\nreturn", "element count changes"},
    {T8 "%8 = reshape %7 : f32[2,4]\n%9 = permute %8 {order=[1, 0]} : f32[4,2]\nreturn", NULL},
    {T8 "%8 = permute %7 {order=[1]} : f32[8]\nreturn", "order is no permutation"},
    {T8 "%8 = slice %7 {offsets=[4]} : f32[4]\nreturn", NULL},
    {T8 "%8 = slice %7 {offsets=[5]} : f32[4]\nreturn", "dim 0 leaves the tile"},
    {T8 "%8 = reduce %7 {axis=0, kind=\"sum\"} : f32\nreturn", NULL},
    {T8 "%8 = reduce %7 {axis=0, kind=\"sum\"} : f32[8]\nreturn", "the axis is removed"},
    {T8 "%8 = reduce %7 {axis=0, kind=\"argmax\"} : f32\nreturn", "the index is i32"},
    {T8 "%8 = reduce %7 {axis=0, kind=\"median\"} : f32\nreturn", "unknown reduction"},
    {"%7 = splat %2 : f32[8,4]\n%8 = splat %2 : f32[8,8]\n"
     "%9 = dot %7, %8, %8 : f32[8,8]\nreturn",
     "inner dims 4 and 8 differ"},
    {"%6 = splat %2 : f32[8,8]\n%7 = splat %2 : f32[8]\n%8 = splat %2 : f32[2,8]\n"
     "%9 = dot_scaled %6, %7, %6, %8, %6 {granularity=4} : f32[8,8]\nreturn",
     NULL},
    {"%6 = splat %2 : f32[8,8]\n%7 = splat %2 : f32[8]\n%8 = splat %2 : f32[4,8]\n"
     "%9 = dot_scaled %6, %7, %6, %8, %6 {granularity=4} : f32[8,8]\nreturn",
     "sb is neither"},
    {TENSOR "%9 = load %8, %6, %6 {subs=\"rs\"} : f32[8]\nreturn", NULL},
    {TENSOR "%9 = load %8, %6, %6 {subs=\"rr\"} : f32[8]\nreturn", "does not match the tile"},
    {TENSOR "%9 = load %8, %6, %6 {subs=\"rs\"} : f16[8]\nreturn", "differ in their element"},
    {TENSOR "%9 = load %8, %6 {subs=\"r\"} : f32[8]\nreturn", "subs do not match the tensor"},
    {TENSOR "%9 = load %8, %6, %6, %5 {mask=1, subs=\"ss\"} : f32\nreturn", NULL},
    {TENSOR "%9 = load %8, %6, %6, %5 {mask=1, subs=\"rs\"} : f32[4]\nreturn", "the mask is not"},
    {TENSOR "%9 = load %8, %6, %6, %5 {subs=\"ss\"} : f32\nreturn", "operands do not match subs"},
    {TENSOR "%9 = iota : i32[4]\n%10 = load %8, %9, %6 {subs=\"gr\"} : f32[4,16]\nreturn", NULL},
    {TENSOR "store %8, %2, %6, %6 {subs=\"ss\"}\nreturn", NULL},
    {TENSOR "%9 = atomic %8, %2, %2, %6, %6 {kind=\"cas\", subs=\"ss\"} : f32\nreturn", NULL},
    {TENSOR "%9 = atomic %8, %2, %6, %6 {kind=\"nand\", subs=\"ss\"} : f32\nreturn",
     "unknown atomic"},
    {C0 "%7 = tensor %4, %1, %6 : tensor<f32,1>\nreturn", "stride 0 is not i64"},
    {C0 "for %6, %1, %1 (%7: i64) {\nyield\n}\nreturn", "first parameter is the induction"},
    {C0 "%7 = for %6, %1, %1, %2 : f32 (%8: i32, %9: f32) {\nyield %8\n}\nreturn",
     "yield: value 0 has another type"},
    {C0 "for %6, %1, %1 (%7: i32) {\nreturn\n}\nreturn", "region 0 must end in yield"},
    {C0 "for %6, %1, %1 (%7: i32) {\n%8 = neg %7 : i32\nyield\n}\nprint %8 {fmt=\"\"}\nreturn",
     "operand 0 is not defined before its use"},
    {"%6 = if %5 : i32 {\nyield %1\n} {\nyield %2\n}\nreturn", "yield: value 0 has another type"},
    {"if %1 {\nyield\n} {\nyield\n}\nreturn", "the condition is a scalar i1"},
    {"%6 = while %1 : f32 (%7: i32) {\ncondition %5, %2\n} (%8: f32) {\nyield %7\n}\nreturn",
     "operand 0 is not defined before its use"},
    {"%6 = while %1 : f32 (%7: i32) {\ncondition %5, %2\n} (%8: f32) {\nyield %1\n}\nreturn", NULL},
    {"role {name=\"m\", warps=4} {\nyield\n}\nreturn", NULL},
    {"role {name=\"m\"} {\nyield\n}\nreturn", "needs a name and warps"},
    {"%6 = buffer : buf<f32>[2,8]\n%7 = channel %6 {depth=3} : chan\nreturn",
     "payload 0 is not a buffer with one stage per slot"},
    {"%6 = buffer : buf<f32>[3,8]\n%7 = channel %6 {depth=3} : chan\nacquire %7\n"
     "%8 = read %7 {field=0} : f32[8]\nreturn",
     NULL},
    {"%6 = buffer : buf<f32>[3,8]\n%7 = channel %6 {depth=3} : chan\n"
     "%8 = read %7 {field=0} : f32[4]\nreturn",
     "the result is not the field's tile"},
    {"wait %1 {pending=0}\nreturn", "needs a channel"},
};

static void rules_are_checked(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ir_fixture f;
    fixture_init(&f);
    ir_func *func = read_body(&f, rows[i].body);
    int failures = ir_verify(func, &f.buf);
    if (!rows[i].reason && failures)
      fail_msg("row %zu: %s", i, f.buf.data);
    if (rows[i].reason && (!failures || !strstr(f.buf.data, rows[i].reason)))
      fail_msg("row %zu: '%s' not in: %s", i, rows[i].reason, failures ? f.buf.data : "(accepted)");
    fixture_free(&f);
  }
}

#define SIR(warps, body)                                                                           \
  "func @t target \"sm_90a\" warps " warps " sir (%1: f32 scalar \"a\") {\n"                       \
  "layout L0 = dist 2 reg[(0,1)] lane[(1,0),(2,0),(4,0),(8,0),(16,0)] warp[] rep[]\n"              \
  "layout L1 = dist 2 reg[(1,0)] lane[(2,0),(4,0),(8,0),(16,0),(0,1)] warp[] rep[]\n"              \
  "layout L2 = dist 1 reg[] lane[(1),(2),(4),(8),(16)] warp[] rep[]\n"                             \
  "layout L3 = shared 2 swizzle 128 pad 0\n" body "return\n}\n"

static const struct {
  const char *text, *reason; // reason NULL: verifies
} sir_rows[] = {
    {SIR("1", "%2 = splat %1 : f32[32,2] @L0\n%3 = neg %2 : f32[32,2] @L0\n"), NULL},
    {SIR("1", "%2 = splat %1 : f32[32,2] @L0\n%3 = neg %2 : f32[32,2] @L1\n"),
     "operand 0 and result differ in layout: %3 = neg %2"},
    {SIR("1", "%2 = splat %1 : f32[32,2] @L0\n%3 = neg %2 : f32[32,2]\n"),
     "a tile without a layout: %3 = neg"},
    {SIR("1", "%2 = splat %1 : f32[32,2]\n%3 = neg %2 : f32[32,2]\n"), NULL}, // not yet laid out
    {SIR("1", "%2 = splat %1 : f32[64,2] @L0\n"), "layout L0 does not cover the tile"},
    {SIR("1", "%2 = splat %1 : f32[32] @L0\n"), "layout L0 of rank 2 on a tile of rank 1"},
    {SIR("1", "%2 = splat %1 : f32[65536,65536] @L0\n"), "layout L0 does not cover the tile"},
    {"func @t target \"sm_90a\" warps 1 sir (%1: f32 scalar \"a\") {\n"
     "layout L0 = dist 1 reg[(-1)] lane[(2),(4),(8),(16),(32)] warp[] rep[]\n"
     "%2 = splat %1 : f32[64] @L0\nreturn\n}\n",
     "layout L0 does not cover the tile"},
    {"func @t target \"sm_90a\" warps 1 sir () {\nlayout L0 = shared 2 swizzle 16 pad 0\n"
     "%2 = buffer : buf<f32>[1,8,8] @L0\nreturn\n}\n",
     "no swizzle of 16 bytes"},
    {SIR("1", "%2 = splat %1 : f32[32,2] @L3\n"), "a tile in a shared-memory layout"},
    {SIR("1", "%2 = neg %1 : f32 @L2\n"), "a layout on something that is no tile"},
    {SIR("1", "%2 = splat %1 : f32[32,2] @L0\n%3 = buffer : buf<f32>[1,8,8]\n"),
     "a buffer without a shared-memory layout"},
};

static void layouts_are_checked(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof sir_rows / sizeof *sir_rows; i++) {
    ir_fixture f;
    fixture_init(&f);
    ir_func *func = read_module(&f, sir_rows[i].text)->funcs.data[0];
    int failures = ir_verify(func, &f.buf);
    if (!sir_rows[i].reason && failures)
      fail_msg("row %zu: %s", i, f.buf.data);
    if (sir_rows[i].reason && (!failures || !strstr(f.buf.data, sir_rows[i].reason)))
      fail_msg("row %zu: '%s' not in: %s", i, sir_rows[i].reason,
               failures ? f.buf.data : "(accepted)");
    fixture_free(&f);
  }
}

// The quick proof of coverage and the enumeration agree, on layouts with one number changed.
static void coverage_is_what_enumeration_says(void **state) {
  (void)state;
  uint32_t seed = 1, accepted = 0, refused = 0;
  for (int i = 0; i < 600; i++) {
    ir_fixture f;
    fixture_init(&f);
    ir_func *func = read_module(&f, SIR("4", ""))->funcs.data[0];
    ty_ctx *types = &func->module->types;
    seed = seed * 1664525u + 1013904223u;
    int64_t dims[] = {16 << (seed >> 20 & 3), 16 << (seed >> 22 & 3)};
    const ty_type *tile = ty_tile(types, TL_F32, 2, dims);
    ir_layout layout = seed >> 24 & 1   ? ir_layout_blocked(tile, 4, 1 << (seed >> 25 & 3))
                       : seed >> 25 & 1 ? ir_layout_mma_acc(tile, 2, 2)
                                        : ir_layout_mma_a(tile, 16, 4, 1);
    static const int32_t values[] = {0, 1, 2, 4, 8, 16, 3, 32};
    int32_t *numbers[] = {&layout.lane[seed >> 8 & 3][seed >> 10 & 1],
                          &layout.reg[0][seed >> 10 & 1],
                          &layout.warp[seed >> 9 & 1][seed >> 10 & 1], &layout.rep[0].count};
    uint32_t which = seed >> 11 & 7;
    if (which < 3)
      *numbers[which] = values[seed >> 14 & 7];
    else if (which == 3 && layout.nreps)
      *numbers[which] = 1 + (seed >> 14 & 7);
    bool covers = ir_layout_covers(&layout, tile, 4);
    ir_builder b = {.func = func, .region = func->body, .before = func->body->first};
    ir_val val = ir_splat(&b, func->params.data[0].val, tile);
    func->vals.data[val.id].layout = ir_layout_intern(func, &layout);
    assert_int_equal(ir_verify(func, &f.buf) == 0, covers);
    *(covers ? &accepted : &refused) += 1;
    fixture_free(&f);
  }
  assert_true(accepted > 100 && refused > 100);
}

static void failures_stand_beside_the_operation(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  ir_func *func = read_body(&f, "%6 = neg %1 : i32\n%7 = add %6, %2 : i32\n%8 = exp2 %6 : i32\n"
                                "return");
  assert_int_equal(ir_verify(func, &f.buf), 2);
  assert_string_equal(f.buf.data, "operand 1 and result differ in type: %7 = add %6, %2 : i32\n"
                                  "works on floats: %8 = exp2 %6 : i32\n");
  fixture_free(&f);
}

static void structure_is_checked(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  ir_func *func = read_body(&f, "%6 = neg %1 : i32\n%7 = neg %6 : i32\nreturn");
  ir_op *first = func->body->first, *second = first->next;
  second->res[0] = first->res[0];
  assert_int_equal(ir_verify(func, &f.buf), 2);
  assert_non_null(strstr(f.buf.data, "value defined twice"));
  assert_non_null(strstr(f.buf.data, "result 0 names another definition"));
  second->args[0].id = 9999;
  assert_true(ir_verify(func, &f.buf) > 2);
  assert_non_null(strstr(f.buf.data, "%?9999"));
  fixture_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rules_are_checked),
      cmocka_unit_test(layouts_are_checked),
      cmocka_unit_test(coverage_is_what_enumeration_says),
      cmocka_unit_test(failures_stand_beside_the_operation),
      cmocka_unit_test(structure_is_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
