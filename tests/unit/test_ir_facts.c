// Facts of named values, alignment and bounds of accesses; and a random check against evaluation.
#include "ir/facts.h"
#include "ir/fold.h"
#include "tests/unit/ir_text.h"

static const char header[] =
    "func @t target \"sm_90a\" warps 4 grid \"ceildiv(W, 128)\" \"N\" ("
    "%1.M: i32 dim \"M\" div 16, %2.N: i32 dim \"N\", %3.n: i32 scalar \"n\", "
    "%4.s: i64 stride \"A\" 0 div 8, %5.A: ptr<bf16> ptr \"A\" align 16, %6.K: i32 dim \"K\" div "
    "64,"
    "%7.p: i1 scalar \"p\", %8.q: i64 scalar \"q\", %9.W: i32 dim \"W\" div 128) {\n"
    "%10 = const {value=0} : i32\n%11 = const {value=1} : i64\n%12 = const {value=128} : i32\n"
    "%13 = const {value=64} : i32\n%14 = bid {axis=0} : i32\n%15 = const {value=1} : i32\n"
    "%16 = tensor %5, %1, %6, %4, %11 : tensor<bf16,2>\n"
    "%17 = tensor %5, %9, %6, %4, %11 : tensor<bf16,2>\n"
    "%18 = mul %14, %12 : i32\n%19 = iota : i32[128]\n";

static ir_func *read_facts(ir_fixture *f, const char *body) {
  return read_module(f, tl_sprintf(&f->arena, "%s%s\nreturn\n}\n", header, body))->funcs.data[0];
}

static ir_val named(const ir_func *func, const char *hint) {
  for (uint32_t i = func->vals.len - 1; i; i--)
    if (func->vals.data[i].hint && !strcmp(func->vals.data[i].hint, hint))
      return (ir_val){i};
  fail_msg("no value is called %s", hint);
  return (ir_val){0};
}

static const struct {
  const char *body; // the value asked for is called x
  int64_t div, lo, hi, contig, run_div, constant_run;
} rows[] = {
    {"%20.x = add %1, %13 : i32", 16, INT32_MIN, INT32_MAX, 1, 16, 1}, // may wrap
    {"%20.x = const {value=-24} : i32", 24, -24, -24, 1, 24, 1},
    {"%20.x = const {value=0} : i32", 0, 0, 0, 1, 0, 1},
    {"%20.x = bid {axis=1} : i32", 1, 0, 65534, 1, 1, 1},
    {"%20.x = neg %14 : i32", 1, -16777215, 0, 1, 1, 1},
    {"%20.x = nblocks {axis=0} : i32", 1, 1, 16777216, 1, 1, 1},
    {"%20.x = mul %14, %12 : i32", 128, 0, 2147483520, 1, 128, 1}, // by the grid: no wrap
    {"%20 = splat %18 : i32[128]\n%21.x = add %20, %19 : i32[128]", 1, 0, INT32_MAX, 128, 128, 1},
    {"%20 = splat %3 : i32[128]\n%21.x = add %20, %19 : i32[128]", 1, INT32_MIN, INT32_MAX, 1, 1,
     1}, // may wrap anywhere
    {"%20 = mul %3, %13 : i32\n%21 = splat %20 : i32[128]\n%22.x = add %21, %19 : i32[128]", 1,
     INT32_MIN, INT32_MAX, 64, 64, 1}, // wraps between runs of 64
    {"%20 = splat %13 : i32[128]\n%21.x = div %19, %20 : i32[128]", 1, 0, 1, 1, 1, 64},
    {"%20 = splat %13 : i32[128]\n%21.x = rem %19, %20 : i32[128]", 1, 0, 63, 64, 64, 1},
    {"%20 = const {value=31} : i32\n%21 = splat %20 : i32[128]\n%22.x = and %19, %21 : i32[128]", 1,
     0, 31, 32, 32, 1},
    {"%20 = const {value=3} : i32\n%21 = splat %20 : i32[128]\n%22.x = shr %19, %21 : i32[128]", 1,
     0, 15, 1, 1, 8},
    {"%20 = splat %1 : i32[128]\n%21.x = cmp %19, %20 {pred=\"lt\"} : i1[128]", 1, 0, 1, 1, 1, 16},
    {"%20 = splat %1 : i32[128]\n%21.x = cmp %20, %19 {pred=\"gt\"} : i1[128]", 1, 0, 1, 1, 1, 16},
    {"%20 = splat %1 : i32[128]\n%21.x = cmp %19, %20 {pred=\"le\"} : i1[128]", 1, 0, 1, 1, 1, 1},
    {"%20.x = div %1, %13 : i32", 1, 0, 33554431, 1, 1, 1},
    {"%20.x = div %6, %13 : i32", 1, 0, 33554431, 1, 1, 1},
    {"%20 = const {value=16} : i32\n%21.x = div %6, %20 : i32", 4, 0, 134217727, 1, 4, 1},
    {"%20.x = rem %3, %13 : i32", 1, -63, 63, 1, 1, 1},
    {"%20.x = rem %1, %2 : i32", 1, 0, INT32_MAX - 1, 1, 1, 1},
    {"%20.x = min %1, %12 : i32", 16, 0, 128, 1, 16, 1},
    {"%20.x = select %7, %1, %13 : i32", 16, 0, INT32_MAX, 1, 16, 1},
    {"%20.x = cast %1 : i64", 16, 0, INT32_MAX, 1, 16, 1},
    {"%20.x = cast %1 : i8", 16, -128, 127, 1, 16, 1},
    {"%20.x = cast %3 : u32", 1, 0, UINT32_MAX, 1, 1, 1},
    {"%20 = const {value=12} : i32\n%21 = mul %3, %20 : i32\n%22.x = add %21, %20 : i32", 4,
     INT32_MIN, INT32_MAX, 1, 4, 1}, // 12 survives no wrap, 4 does
    {"for %10, %6, %13 (%20.x: i32) {\nyield\n}", 64, 0, INT32_MAX - 1, 1, 64, 1},
    {"%20.x = for %10, %1, %15, %10 : i32 (%21: i32, %22: i32) {\n%23 = add %22, %13 : i32\n"
     "yield %23\n}",
     64, INT32_MIN, INT32_MAX, 1, 64, 1},
    {"%20 = for %10, %1, %15, %12 : i32 (%21: i32, %22.x: i32) {\n%23 = add %22, %1 : i32\n"
     "yield %23\n}",
     16, INT32_MIN, INT32_MAX, 1, 16, 1},
    {"%20.x = if %7 : i32 {\nyield %12\n} {\nyield %13\n}", 64, 64, 128, 1, 64, 1},
    {"%20.x = rem %3, %13 : i32\n%21 = cmp %20, %10 {pred=\"ge\"} : i1\nassume %21", 1, 0, 63, 1, 1,
     1},
    {"%20 = rem %3, %13 : i32\n%21 = cmp %20, %10 {pred=\"eq\"} : i1\nassume %21\n"
     "%22.x = add %3, %13 : i32",
     64, INT32_MIN, INT32_MAX, 1, 64, 1},
    {"%20 = cmp %12, %3 {pred=\"ge\"} : i1\n%21 = cmp %3, %10 {pred=\"gt\"} : i1\n"
     "%22 = and %20, %21 : i1\nassume %22\n%23.x = add %3, %12 : i32",
     1, 129, 256, 1, 1, 1},
    {"for %10, %1, %15 (%20: i32) {\n%21.x = sub %20, %3 : i32\n"
     "%22 = cmp %21, %10 {pred=\"ge\"} : i1\nassume %22\nyield\n}",
     1, 0, INT32_MAX, 1, 1, 1}, // made where it is assumed
    {"if %7 {\n%20 = cmp %3, %10 {pred=\"ge\"} : i1\nassume %20\nyield\n} {\nyield\n}\n"
     "%21.x = abs %3 : i32",
     1, INT32_MIN, INT32_MAX, 1, 1, 1}, // |INT32_MIN| wraps
};

static void facts_follow_operations(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ir_fixture f;
    fixture_init(&f);
    ir_func *func = read_facts(&f, rows[i].body);
    assert_int_equal(ir_verify(func, &f.buf), 0);
    const ir_fact *x = ir_fact_of(ir_facts_compute(func, &f.arena), named(func, "x"));
    if (x->div != rows[i].div || x->lo != rows[i].lo || x->hi != rows[i].hi ||
        x->contig != rows[i].contig || x->run_div != rows[i].run_div ||
        x->constant_run != rows[i].constant_run)
      fail_msg("row %zu: %s\n  div %lld lo %lld hi %lld contig %lld run_div %lld constant_run %lld",
               i, rows[i].body, (long long)x->div, (long long)x->lo, (long long)x->hi,
               (long long)x->contig, (long long)x->run_div, (long long)x->constant_run);
    fixture_free(&f);
  }
}

static const struct {
  const char *body; // its last load
  int64_t align;
  bool in_bounds;
} accesses[] = {
    // rows of A start at 16 bytes (base 16, stride 8 elements), k at 128
    {"for %10, %6, %13 (%20: i32) {\n%21 = load %16, %18, %20 {subs=\"rr\"} : "
     "bf16[128,64]\nyield\n}",
     16, false},
    // W is a multiple of 128, the grid its blocks
    {"for %10, %6, %13 (%20: i32) {\n%21 = load %17, %18, %20 {subs=\"rr\"} : "
     "bf16[128,64]\nyield\n}",
     16, true},
    {"for %10, %6, %13 (%20: i32) {\n%21 = load %17, %18, %20 {subs=\"rr\"} : "
     "bf16[256,64]\nyield\n}",
     16, false},
    {"for %10, %6, %13 (%20: i32) {\n%21 = load %17, %10, %20 {subs=\"sr\"} : bf16[64]\nyield\n}",
     16, false}, // W may be 0
    {"%20 = const {value=256} : i32\n%21 = tensor %5, %20, %6, %4, %11 : tensor<bf16,2>\n"
     "for %10, %6, %13 (%22: i32) {\n%23 = load %21, %10, %22 {subs=\"rr\"} : "
     "bf16[256,64]\nyield\n}",
     16, true},
    {"%20 = const {value=256} : i32\n%21 = tensor %5, %20, %6, %4, %11 : tensor<bf16,2>\n"
     "for %10, %6, %13 (%22: i32) {\n%23 = load %21, %15, %22 {subs=\"rr\"} : "
     "bf16[256,64]\nyield\n}",
     16, false}, // starts at row 1
    {"%20 = const {value=256} : i32\n%21 = tensor %5, %20, %6, %4, %11 : tensor<bf16,2>\n"
     "for %10, %6, %13 (%22: i32) {\n%23 = load %21, %10, %22 {subs=\"rr\"} : bf16[256,128]\n"
     "yield\n}",
     16, false}, // reads 128 in steps of 64
    {"%20 = const {value=256} : i32\n%21 = tensor %5, %20, %2, %4, %11 : tensor<bf16,2>\n"
     "%22 = div %2, %13 : i32\nfor %10, %22, %15 (%23: i32) {\n%24 = mul %23, %13 : i32\n"
     "%25 = load %21, %10, %24 {subs=\"sr\"} : bf16[64]\nyield\n}",
     16, true}, // whole blocks of N
    {"%20 = load %16, %10, %15 {subs=\"rr\"} : bf16[8,8]", 2, false},
    {"%20 = load %16, %10, %10 {subs=\"rr\"} : bf16[8,8]", 16, false},
    {"%20 = tensor %5, %1, %6, %11, %4 : tensor<bf16,2>\n"
     "%21 = load %20, %10, %10 {subs=\"rs\"} : bf16[8]",
     16, false}, // contiguous along dim 0, as the tile's only dim
    {"%20 = tensor %5, %1, %6, %11, %4 : tensor<bf16,2>\n"
     "%21 = load %20, %10, %10 {subs=\"rr\"} : bf16[8,8]",
     2, false}, // rows are strided
    {"%20 = load %16, %19, %10 {subs=\"gr\"} : bf16[128,8]", 16, false},
    {"%20 = load %16, %10, %19 {subs=\"sg\"} : bf16[128]", 16, false},
};

static const ir_op *last_load;

static void find_load(ir_op *op, void *user) {
  (void)user;
  if (op->code == IR_LOAD)
    last_load = op;
}

static void accesses_are_aligned_and_bounded(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof accesses / sizeof *accesses; i++) {
    ir_fixture f;
    fixture_init(&f);
    ir_func *func = read_facts(&f, accesses[i].body);
    if (ir_verify(func, &f.buf))
      fail_msg("row %zu: %s", i, f.buf.data);
    ir_facts *facts = ir_facts_compute(func, &f.arena);
    ir_walk(func->body, find_load, NULL);
    int64_t align = ir_access_align(facts, last_load);
    bool in_bounds = ir_access_in_bounds(facts, last_load);
    if (align != accesses[i].align || in_bounds != accesses[i].in_bounds)
      fail_msg("row %zu: align %lld, in bounds %d\n%s", i, (long long)align, in_bounds,
               accesses[i].body);
    fixture_free(&f);
  }
}

// --- random programs: every fact must hold for the values an evaluation gives --------------------

enum { LANES = 32, STEPS = 12, PROGRAMS = 20000 };

static uint64_t seed = 20261120;

static uint32_t pick(uint32_t count) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % count;
}

static void check_fact(const ir_func *func, const ir_op *op, const ir_fact *fact, const int64_t *at,
                       int lanes) {
  for (int i = 0; i < lanes; i++) {
    bool good =
        at[i] >= fact->lo && at[i] <= fact->hi && (fact->div ? at[i] % fact->div == 0 : at[i] == 0);
    int64_t in_run = i % fact->contig;
    good = good && (in_run          ? at[i] == at[i - 1] + 1
                    : fact->run_div ? at[i] % fact->run_div == 0
                                    : at[i] == 0);
    good = good && (i % fact->constant_run == 0 || at[i] == at[i - 1]);
    if (!good) {
      tl_buf text = {0};
      ir_print_func(func, &text);
      ir_print_op(func, op, &text);
      fail_msg("%s\nlane %d is %lld; div %lld lo %lld hi %lld contig %lld run_div %lld "
               "constant_run %lld",
               text.data, i, (long long)at[i], (long long)fact->div, (long long)fact->lo,
               (long long)fact->hi, (long long)fact->contig, (long long)fact->run_div,
               (long long)fact->constant_run);
    }
  }
}

typedef struct program {
  ir_builder b;
  const ty_type *tile;
  ir_val val[STEPS + 4];
  int count;
  int64_t (*lanes)[LANES]; // by value id
} program;

static ir_val add_constant(program *p, int64_t value) {
  ir_val scalar = ir_const_int(&p->b, p->tile->dtype, value);
  ir_val val = ir_splat(&p->b, scalar, p->tile);
  for (int i = 0; i < LANES; i++)
    p->lanes[val.id][i] = p->lanes[scalar.id][i] = ir_wrap_int(p->tile->dtype, value);
  return val;
}

static void add_step(program *p) {
  static const ir_code codes[] = {IR_ADD, IR_SUB, IR_MUL, IR_DIV, IR_REM, IR_MIN, IR_MAX,
                                  IR_AND, IR_OR,  IR_XOR, IR_SHL, IR_SHR, IR_NEG, IR_ABS};
  static const int64_t constants[] = {0, 1, 2, 3, 4, 6, 7, 8, 12, 16, 31, 64, 100, -1, -8, 127};
  ir_code code = codes[pick(sizeof codes / sizeof *codes)];
  ir_val x = p->val[pick((uint32_t)p->count)], y = p->val[pick((uint32_t)p->count)];
  if (pick(2))
    y = add_constant(p, constants[pick(16)]);
  bool unary = code == IR_NEG || code == IR_ABS;
  ir_val val = unary ? ir_unary(&p->b, code, x) : ir_binary(&p->b, code, x, y);
  tl_dtype dtype = p->tile->dtype;
  for (int i = 0; i < LANES; i++) {
    ir_number args[2] = {{.i = p->lanes[x.id][i]}, {.i = p->lanes[y.id][i]}}, out;
    assert_true(ir_fold(ir_def(p->b.func, val), dtype, dtype, args, &out));
    p->lanes[val.id][i] = out.i;
  }
  p->val[p->count++] = val;
}

static void run_program(ir_fixture *f, tl_dtype dtype) {
  ir_module *module = ir_module_new(&f->arena, &f->sources);
  ir_func *func = ir_func_new(module, "t", tl_target_by_name("sm_90a"));
  int64_t dims[] = {LANES}, (*lanes)[LANES] = tl_alloc(&f->arena, 200 * sizeof *lanes);
  program p = {.b = {.func = func, .region = func->body}, .lanes = lanes};
  ir_val n = ir_add_param(func, IR_PARAM_SCALAR, "n", ty_scalar(&module->types, dtype));
  int64_t div = (int64_t)1 << pick(4);
  func->params.data[0].div = div;
  int64_t value = ir_wrap_int(dtype, ((int64_t)pick(1000) - 500) * div);
  p.tile = ty_tile(&module->types, dtype, 1, dims);
  p.val[p.count++] = ir_build1(&p.b, IR_IOTA, p.tile, 0, NULL);
  p.val[p.count++] = ir_splat(&p.b, n, p.tile);
  for (int i = 0; i < LANES; i++) {
    lanes[p.val[0].id][i] = i;
    lanes[p.val[1].id][i] = lanes[n.id][i] = value;
  }
  for (int i = 0; i < STEPS; i++)
    add_step(&p);
  ir_facts *facts = ir_facts_compute(func, &f->arena);
  for (const ir_op *op = func->body->first; op; op = op->next)
    check_fact(func, op, ir_fact_of(facts, op->res[0]), lanes[op->res[0].id],
               ir_type(func, op->res[0])->rank ? LANES : 1);
}

static void facts_hold_for_random_programs(void **state) {
  (void)state;
  static const tl_dtype dtypes[] = {TL_I8, TL_I16, TL_I32, TL_U8, TL_U32, TL_I64};
  for (int i = 0; i < PROGRAMS; i++) {
    ir_fixture f;
    fixture_init(&f);
    run_program(&f, dtypes[i % 6]);
    fixture_free(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(facts_follow_operations),
      cmocka_unit_test(accesses_are_aligned_and_bounded),
      cmocka_unit_test(facts_hold_for_random_programs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
