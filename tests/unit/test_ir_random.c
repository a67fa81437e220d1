// Random structured programs: the tir passes must not change what the reference evaluator computes.
#include "ir/eval.h"
#include "ir/pass.h"
#include "tests/unit/ir_text.h"
#include <math.h>

enum { PROGRAMS = 4000, POOL = 64, KINDS = 6, OUT = 512 };
typedef enum kind { I32, F32, I1, I32_TILE, F32_TILE, I8 } kind;

typedef struct pool { // values visible at a point, newest last
  ir_val val[KINDS][POOL];
  int count[KINDS];
} pool;

typedef struct generator {
  ir_func *func;
  ir_builder b;
  pool pool;
  const ty_type *type[KINDS];
  int budget;
} generator;

static uint64_t seed;

static uint32_t pick(uint32_t count) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % count;
}

static void add(generator *g, kind k, ir_val val) {
  if (g->pool.count[k] < POOL)
    g->pool.val[k][g->pool.count[k]++] = val;
  else
    g->pool.val[k][pick(POOL)] = val;
}

// Recent values are likelier: deep expressions rather than wide ones.
static ir_val any(generator *g, kind k) {
  uint32_t count = (uint32_t)g->pool.count[k], back = pick(count);
  return g->pool.val[k][count - 1 - pick(back + 1)];
}

static kind any_kind(void) { return (kind)pick(KINDS); }

static bool is_tile(kind k) { return k == I32_TILE || k == F32_TILE; }

static void add_constant(generator *g, kind k) {
  static const int64_t ints[] = {0, 1, 2, 3, 4, 8, 16, 31, 100, -1, -2, -8, 127, INT32_MAX};
  static const double floats[] = {0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1e30, INFINITY, NAN};
  tl_dtype dtype = g->type[k]->dtype;
  ir_val val = tl_is_float(dtype) ? ir_const_float(&g->b, dtype, floats[pick(9)])
                                  : ir_const_int(&g->b, dtype, ints[pick(14)]);
  add(g, k, is_tile(k) ? ir_splat(&g->b, val, g->type[k]) : val);
}

static void add_binary(generator *g, kind k) {
  static const ir_code ints[] = {IR_ADD, IR_SUB, IR_MUL, IR_DIV, IR_REM, IR_MIN,
                                 IR_MAX, IR_AND, IR_OR,  IR_XOR, IR_SHL, IR_SHR};
  static const ir_code floats[] = {IR_ADD, IR_SUB, IR_MUL, IR_DIV, IR_MIN, IR_MAX};
  static const ir_code bools[] = {IR_AND, IR_OR, IR_XOR};
  ir_code code = k == I1                          ? bools[pick(3)]
                 : tl_is_float(g->type[k]->dtype) ? floats[pick(6)]
                                                  : ints[pick(12)];
  ir_val x = any(g, k), y = any(g, k);
  add(g, k, ir_binary(&g->b, code, x, y));
}

static void add_unary(generator *g, kind k) {
  ir_code code = k == I1 ? IR_NOT : pick(2) ? IR_NEG : IR_ABS;
  add(g, k, ir_unary(&g->b, code, any(g, k)));
}

static void add_cmp(generator *g) {
  static const char *const preds[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  kind k = pick(2) ? I32 : pick(2) ? F32 : I8;
  ir_val x = any(g, k), y = any(g, k);
  add(g, I1, ir_cmp(&g->b, preds[pick(6)], x, y));
}

static void add_select(generator *g, kind k) {
  ir_val cond = any(g, I1), x = any(g, k), y = any(g, k);
  if (is_tile(k))
    cond = ir_splat(&g->b, cond, ty_with_dtype(&g->func->module->types, g->type[k], TL_I1));
  add(g, k, ir_select(&g->b, cond, x, y));
}

static void add_cast(generator *g) {
  switch (pick(7)) {
  case 0:
    add(g, F32, ir_cast(&g->b, any(g, I32), TL_F32, NULL, false));
    break;
  case 1:
    add(g, I8, ir_cast(&g->b, any(g, I32), TL_I8, NULL, pick(2)));
    break;
  case 2:
    add(g, I32, ir_cast(&g->b, any(g, I8), TL_I32, NULL, false));
    break;
  case 3: // there and back
    add(g, I32,
        ir_cast(&g->b, ir_cast(&g->b, any(g, I32), TL_I64, NULL, false), TL_I32, NULL, false));
    break;
  case 4:
    add(g, F32,
        ir_cast(&g->b, ir_cast(&g->b, any(g, F32), TL_BF16, NULL, false), TL_F32, NULL, false));
    break;
  case 5:
    add(g, I32, ir_cast(&g->b, any(g, I1), TL_I32, NULL, false));
    break;
  default:
    add(g, F32_TILE, ir_cast(&g->b, any(g, I32_TILE), TL_F32, NULL, false));
  }
}

// Tiles are [4,2]: through other shapes and back.
static void add_shape(generator *g) {
  ty_ctx *types = &g->func->module->types;
  kind k = pick(2) ? I32_TILE : F32_TILE;
  tl_dtype dtype = g->type[k]->dtype;
  ir_val x = any(g, k), y;
  int64_t turned[] = {2, 4}, row[] = {1, 2};
  switch (pick(4)) {
  case 0:
    y = ir_build1(&g->b, IR_PERMUTE, ty_tile(types, dtype, 2, turned), 1, &x);
    ir_set_ints(g->func, ir_def(g->func, y), "order", 2, (int64_t[]){1, 0});
    add(g, k, ir_build1(&g->b, IR_RESHAPE, g->type[k], 1, &y));
    break;
  case 1:
    y = ir_build1(&g->b, IR_SLICE, ty_tile(types, dtype, 2, row), 1, &x);
    ir_set_ints(g->func, ir_def(g->func, y), "offsets", 2, (int64_t[]){pick(4), 0});
    add(g, k, ir_build1(&g->b, IR_BROADCAST, g->type[k], 1, &y));
    break;
  case 2: {
    ir_val scalar = any(g, k == I32_TILE ? I32 : F32);
    add(g, k, ir_splat(&g->b, scalar, g->type[k]));
    break;
  }
  default:
    y = ir_build1(&g->b, IR_REDUCE, ty_tile(types, dtype, 1, row + 1), 1, &x);
    ir_set_str(g->func, ir_def(g->func, y), "kind", pick(2) ? "max" : "min");
    ir_set_int(g->func, ir_def(g->func, y), "axis", 0);
    y = ir_broadcast(&g->b, y, ty_tile(types, dtype, 2, row));
    add(g, k, ir_build1(&g->b, IR_BROADCAST, g->type[k], 1, &y));
  }
}

static void add_statements(generator *g, int count);

static void finish(generator *g, ir_region *region, const kind *kinds, uint32_t count) {
  ir_val vals[4];
  for (uint32_t i = 0; i < count; i++)
    vals[i] = any(g, kinds[i]);
  ir_builder end = {.func = g->func, .region = region};
  ir_build(&end, IR_YIELD, count, vals, 0, NULL);
}

static void choose(generator *g, uint32_t count, kind *kinds, const ty_type **types) {
  for (uint32_t i = 0; i < count; i++) {
    kinds[i] = any_kind();
    types[i] = g->type[kinds[i]];
  }
}

static void add_if(generator *g) {
  kind kinds[3];
  const ty_type *types[3];
  uint32_t count = pick(3);
  choose(g, count, kinds, types);
  ir_val cond = any(g, I1);
  ir_op *op = ir_build(&g->b, IR_IF, 1, &cond, count, types);
  ir_builder outer = g->b;
  pool saved = g->pool;
  for (int i = 0; i < 2; i++) {
    g->b.region = op->regions[i];
    add_statements(g, (int)pick(5));
    finish(g, op->regions[i], kinds, count);
    g->pool = saved;
  }
  g->b = outer;
  for (uint32_t i = 0; i < count; i++)
    add(g, kinds[i], op->res[i]);
}

static void add_for(generator *g) {
  kind kinds[3];
  const ty_type *types[3];
  uint32_t count = pick(4);
  choose(g, count, kinds, types);
  ir_val lo = ir_const_int(&g->b, TL_I32, (int64_t)pick(3) - 1);
  ir_val hi = ir_const_int(&g->b, TL_I32, (int64_t)pick(5));
  if (pick(2)) // not a constant, but small
    hi = ir_binary(&g->b, IR_AND, any(g, I32), ir_const_int(&g->b, TL_I32, 3));
  ir_val args[6] = {lo, hi, ir_const_int(&g->b, TL_I32, 1 + pick(2))};
  for (uint32_t i = 0; i < count; i++)
    args[3 + i] = any(g, kinds[i]);
  ir_op *op = ir_build(&g->b, IR_FOR, 3 + count, args, count, types);
  ir_builder outer = g->b;
  pool saved = g->pool;
  g->b.region = op->regions[0];
  add(g, I32, ir_region_param(g->func, op->regions[0], g->type[I32]));
  for (uint32_t i = 0; i < count; i++)
    add(g, kinds[i], ir_region_param(g->func, op->regions[0], types[i]));
  add_statements(g, (int)pick(6));
  finish(g, op->regions[0], kinds, count);
  g->pool = saved;
  g->b = outer;
  for (uint32_t i = 0; i < count; i++)
    add(g, kinds[i], op->res[i]);
}

static void add_statements(generator *g, int count) {
  for (; count > 0 && g->budget > 0; count--, g->budget--)
    switch (pick(12)) {
    case 0:
    case 1:
      add_constant(g, any_kind());
      break;
    case 2:
    case 3:
    case 4:
      add_binary(g, any_kind());
      break;
    case 5:
      add_unary(g, any_kind());
      break;
    case 6:
      add_cmp(g);
      break;
    case 7:
      add_select(g, any_kind());
      break;
    case 8:
      add_cast(g);
      break;
    case 9:
      add_shape(g);
      break;
    case 10:
      add_if(g);
      break;
    default:
      add_for(g);
    }
}

// The newest values of each kind go to memory, each at its own place.
static void add_stores(generator *g, ir_val ints, ir_val floats) {
  ir_builder *b = &g->b;
  ir_val size = ir_const_int(b, TL_I32, OUT / 2), two = ir_const_int(b, TL_I64, 2),
         one = ir_const_int(b, TL_I64, 1), width = ir_const_int(b, TL_I32, 2);
  ty_ctx *types = &g->func->module->types;
  ir_val out_i = ir_build1(b, IR_TENSOR, ty_tensor(types, TL_I32, 2), 5,
                           (ir_val[]){ints, size, width, two, one});
  ir_val out_f = ir_build1(b, IR_TENSOR, ty_tensor(types, TL_F32, 2), 5,
                           (ir_val[]){floats, size, width, two, one});
  ir_val zero = ir_const_int(b, TL_I32, 0);
  int row = 0;
  for (int k = 0; k < KINDS; k++)
    for (int i = 1; i <= 4 && i <= g->pool.count[k]; i++, row += 4) {
      ir_val val = g->pool.val[k][g->pool.count[k] - i];
      if (k == I1 || k == I8)
        val = ir_cast(b, val, TL_I32, NULL, false);
      bool is_float = k == F32 || k == F32_TILE;
      ir_val args[] = {is_float ? out_f : out_i, val, ir_const_int(b, TL_I32, row), zero};
      ir_op *store = ir_build(b, IR_STORE, 4, args, 0, NULL);
      ir_set_str(g->func, store, "subs", is_tile((kind)k) ? "rr" : "ss");
    }
  ir_build(b, IR_RETURN, 0, NULL, 0, NULL);
}

static ir_func *generate(ir_module *module) {
  ty_ctx *types = &module->types;
  int64_t dims[] = {4, 2}, flat[] = {8};
  generator g = {.func = ir_func_new(module, "t", tl_target_by_name("sm_90a")), .budget = 40};
  g.b = (ir_builder){.func = g.func, .region = g.func->body};
  g.type[I32] = ty_scalar(types, TL_I32);
  g.type[F32] = ty_scalar(types, TL_F32);
  g.type[I1] = ty_scalar(types, TL_I1);
  g.type[I8] = ty_scalar(types, TL_I8);
  g.type[I32_TILE] = ty_tile(types, TL_I32, 2, dims);
  g.type[F32_TILE] = ty_tile(types, TL_F32, 2, dims);
  ir_val ints = ir_add_param(g.func, IR_PARAM_PTR, "I", ty_ptr(types, TL_I32));
  ir_val floats = ir_add_param(g.func, IR_PARAM_PTR, "F", ty_ptr(types, TL_F32));
  add(&g, I32, ir_add_param(g.func, IR_PARAM_DIM, "N", g.type[I32]));
  add(&g, I32, ir_add_param(g.func, IR_PARAM_SCALAR, "n", g.type[I32]));
  add(&g, F32, ir_add_param(g.func, IR_PARAM_SCALAR, "x", g.type[F32]));
  add(&g, I1, ir_add_param(g.func, IR_PARAM_SCALAR, "p", g.type[I1]));
  ir_val iota = ir_build1(&g.b, IR_IOTA, ty_tile(types, TL_I32, 1, flat), 0, NULL);
  add(&g, I32_TILE, ir_build1(&g.b, IR_RESHAPE, g.type[I32_TILE], 1, &iota));
  add(&g, F32_TILE, ir_cast(&g.b, any(&g, I32_TILE), TL_F32, NULL, false));
  add(&g, I8, ir_cast(&g.b, any(&g, I32), TL_I8, NULL, false));
  add_statements(&g, 30);
  add_stores(&g, ints, floats);
  return g.func;
}

typedef struct memory {
  int32_t ints[OUT];
  float floats[OUT];
} memory;

static void evaluate(const ir_func *func, memory *out, tl_arena *arena) {
  memset(out, 0, sizeof *out);
  ir_eval_arg args[] = {{.data = out->ints, .bytes = sizeof out->ints},
                        {.data = out->floats, .bytes = sizeof out->floats},
                        {.i = 48},
                        {.i = -77},
                        {.f = 1.5},
                        {.i = 1}};
  ir_eval_options options = {.grid = {1, 1, 1}};
  const char *error = NULL;
  if (!ir_eval(func, args, &options, arena, &error))
    fail_msg("%s", error);
}

static bool equal(const memory *a, const memory *b) {
  if (memcmp(a->ints, b->ints, sizeof a->ints) != 0)
    return false;
  for (int i = 0; i < OUT; i++)
    if (memcmp(&a->floats[i], &b->floats[i], 4) != 0 &&
        !(isnan(a->floats[i]) && isnan(b->floats[i])))
      return false;
  return true;
}

static void passes_keep_results(void **state) {
  (void)state;
  for (int i = 0; i < PROGRAMS; i++) {
    ir_fixture f;
    fixture_init(&f);
    seed = (uint64_t)i * 7919 + 20261120;
    ir_func *func = generate(ir_module_new(&f.arena, &f.sources));
    if (ir_verify(func, &f.buf))
      fail_msg("program %d: %s", i, f.buf.data);
    memory *before = TL_NEW(&f.arena, memory), *after = TL_NEW(&f.arena, memory);
    evaluate(func, before, &f.arena);
    const char *text = body_text(&f, func);
    ir_pass_ctx ctx = {.func = func};
    ir_run_options options = {.stop_before_sir = true, .round_trip = true};
    ir_run_passes(&ctx, &options);
    evaluate(func, after, &f.arena);
    if (!equal(before, after))
      fail_msg("program %d\n%s\nbecame\n%s", i, text, body_text(&f, func));
    fixture_free(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(passes_keep_results)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
