// Counting the work of a function in tir.
//
// How often an operation runs is the product of the trip counts around it and the number of blocks.
// Trip counts are host expressions wherever loop bounds come from dims, scalars and constants. A
// loop that starts at the block's index and steps by the number of blocks shares its iterations
// out: all blocks together run it from 0 to its end. What depends on data is not known, and says
// so.
//
//   for bid, tiles, nblocks { for 0, K / 128, 1 { dot } }   ->   dot: (tiles) * (K / 128) times
#include "codegen/work.h"
#include "lang/base/str.h"
#include <inttypes.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_TEXT = 400 }; // of an expression; a longer one counts as unknown

typedef struct counting {
  const ir_func *func;
  tl_arena *arena;
  TL_VEC(cg_work_row) rows;
} counting;

// --- values as host expressions ----------------------------------------------------------------

static const char *text_of(const counting *c, ir_val val, int depth);

static const char *binary(const counting *c, const ir_op *op, const char *sign, int depth) {
  const char *x = text_of(c, op->args[0], depth), *y = text_of(c, op->args[1], depth);
  return x && y && strlen(x) + strlen(y) < MAX_TEXT ? tl_sprintf(c->arena, "(%s %s %s)", x, sign, y)
                                                    : NULL;
}

static const char *call(const counting *c, const ir_op *op, const char *name, int depth) {
  const char *x = text_of(c, op->args[0], depth), *y = text_of(c, op->args[1], depth);
  return x && y && strlen(x) + strlen(y) < MAX_TEXT ? tl_sprintf(c->arena, "%s(%s, %s)", name, x, y)
                                                    : NULL;
}

static const char *shifted(const counting *c, const ir_op *op, char sign, int depth) {
  int64_t by;
  const char *x = text_of(c, op->args[0], depth);
  if (!x || !ir_is_const_int(c->func, op->args[1], &by) || by < 0 || by > 40)
    return NULL;
  return tl_sprintf(c->arena, "(%s %c %" PRId64 ")", x, sign, (int64_t)1 << by);
}

static const char *param_text(const counting *c, ir_val val) {
  for (uint32_t i = 0; i < c->func->params.len; i++) {
    const ir_param *p = &c->func->params.data[i];
    if (ir_same(p->val, val))
      return p->kind == IR_PARAM_DIM || p->kind == IR_PARAM_SCALAR ? p->name : NULL;
  }
  return NULL;
}

static const char *text_of(const counting *c, ir_val val, int depth) {
  int64_t value;
  const ir_op *op = ir_def(c->func, val);
  if (depth > MAX_DEPTH)
    return NULL;
  if (ir_is_const_int(c->func, val, &value))
    return tl_sprintf(c->arena, value < 0 ? "(%" PRId64 ")" : "%" PRId64, value);
  if (!op)
    return param_text(c, val);
  switch (op->code) {
  case IR_ADD:
    return binary(c, op, "+", depth + 1);
  case IR_SUB:
    return binary(c, op, "-", depth + 1);
  case IR_MUL:
    return binary(c, op, "*", depth + 1);
  case IR_DIV:
    return binary(c, op, "/", depth + 1);
  case IR_REM:
    return binary(c, op, "%", depth + 1);
  case IR_MIN:
    return call(c, op, "min", depth + 1);
  case IR_MAX:
    return call(c, op, "max", depth + 1);
  case IR_SHR:
    return shifted(c, op, '/', depth + 1);
  case IR_SHL:
    return shifted(c, op, '*', depth + 1);
  case IR_CAST:
    return ty_is_tile(ir_type(c->func, val)) ? NULL : text_of(c, op->args[0], depth + 1);
  default:
    return NULL;
  }
}

// --- trip counts -------------------------------------------------------------------------------

static const char *times(const counting *c, const char *outer, const char *inner) {
  if (!outer || !inner || strlen(outer) + strlen(inner) > MAX_TEXT)
    return NULL;
  if (strcmp(outer, "1") == 0)
    return inner;
  return strcmp(inner, "1") == 0 ? outer : tl_sprintf(c->arena, "(%s) * (%s)", outer, inner);
}

static bool is_code(const counting *c, ir_val val, ir_code code, int64_t axis) {
  const ir_op *op = ir_def(c->func, val);
  return op && op->code == code && ir_int(op, "axis", 0) == axis;
}

// x + n - x, and min(x + n, y) - x, are n: a part of fixed length, of which the last may be
// shorter.
static ir_val length_from(const counting *c, ir_val lo, ir_val hi) {
  const ir_op *op = ir_def(c->func, hi);
  for (int i = 0; op && op->code == IR_MIN && i < 2; i++) {
    ir_val part = length_from(c, lo, op->args[i]);
    if (ir_some(part))
      return part;
  }
  for (int i = 0; op && op->code == IR_ADD && i < 2; i++)
    if (ir_same(op->args[i], lo))
      return op->args[1 - i];
  return (ir_val){0};
}

static const char *trips(const counting *c, const ir_op *loop) {
  ir_val lo = loop->args[0], hi = loop->args[1], part = length_from(c, lo, hi);
  int64_t from, step;
  const char *length;
  if (ir_some(part))
    length = text_of(c, part, 0);
  else if (ir_is_const_int(c->func, lo, &from) && from == 0)
    length = text_of(c, hi, 0);
  else {
    const char *a = text_of(c, lo, 0), *b = text_of(c, hi, 0);
    length = a && b && strlen(a) + strlen(b) < MAX_TEXT
                 ? tl_sprintf(c->arena, "max(%s - %s, 0)", b, a)
                 : NULL;
  }
  if (!length || !ir_is_const_int(c->func, loop->args[2], &step))
    return NULL;
  return step == 1 ? length : tl_sprintf(c->arena, "ceildiv(%s, %" PRId64 ")", length, step);
}

// The blocks' common loop: replaces the number of blocks along its axis by its own end.
static const char *shared_out(const counting *c, const ir_op *loop) {
  for (int axis = 0; axis < 3; axis++)
    if (is_code(c, loop->args[0], IR_BID, axis) && is_code(c, loop->args[2], IR_NBLOCKS, axis))
      return text_of(c, loop->args[1], 0);
  return NULL;
}

// --- operations --------------------------------------------------------------------------------

static void add(counting *c, const char *kind, const char *name, int64_t m, int64_t n, int64_t k,
                const char *how_often) {
  cg_work_row row = {kind, name, (int)m, (int)n, (int)k, how_often ? how_often : ""};
  tl_push(c->arena, &c->rows, row);
}

static void add_dot(counting *c, const ir_op *op, const char *how_often) {
  const ty_type *a = ir_type(c->func, op->args[0]), *d = ir_type(c->func, op->res[0]);
  add(c, "dot", tl_dtype_name(a->dtype), d->dims[0], d->dims[1], a->dims[1], how_often);
}

static void add_access(counting *c, const ir_op *op, const char *how_often) {
  ir_access access = ir_access_of(c->func, op);
  const ir_op *tensor = ir_def(c->func, access.tensor);
  const ty_type *type =
      op->code == IR_LOAD ? ir_type(c->func, op->res[0]) : ir_type(c->func, access.value);
  int64_t bits = ty_elems(type) * tl_dtype_bits(type->dtype);
  add(c, op->code == IR_LOAD ? "load" : "store", tensor ? ir_str(tensor, "name", "") : "",
      (bits + 7) / 8, 0, 0, how_often);
}

static void count_region(counting *c, const ir_region *region, const char *how_often);

static void count_loop(counting *c, const ir_op *loop, const char *how_often) {
  const char *all = shared_out(c, loop);
  int64_t parts = ir_int(loop, "split_k", 1);
  if (parts > 1)
    add(c, "split", "", parts, 0, 0, "1");
  count_region(c, loop->regions[0], all ? all : times(c, how_often, trips(c, loop)));
}

static void count_op(counting *c, const ir_op *op, const char *how_often) {
  switch (op->code) {
  case IR_DOT:
  case IR_DOT_SCALED:
    add_dot(c, op, how_often);
    break;
  case IR_LOAD:
  case IR_STORE:
  case IR_ATOMIC:
    add_access(c, op, how_often);
    break;
  case IR_FOR:
    count_loop(c, op, how_often);
    break;
  case IR_WHILE:
    count_region(c, op->regions[1], NULL);
    break;
  default: // both branches of an `if`: an upper bound
    for (uint32_t i = 0; i < op->nregions; i++)
      count_region(c, op->regions[i], how_often);
  }
}

static void count_region(counting *c, const ir_region *region, const char *how_often) {
  for (const ir_op *op = region->first; op; op = op->next)
    count_op(c, op, how_often);
}

static const char *blocks(const counting *c) {
  const char *count = "1";
  for (int i = 0; i < 3; i++) {
    const char *axis = c->func->grid[i];
    if (axis && tl_starts_with(axis, "persistent("))
      return NULL; // only the loop that shares its iterations out knows
    count = times(c, count, axis ? axis : "1");
  }
  return count;
}

cg_work cg_work_of(const ir_func *func, tl_arena *arena) {
  counting c = {.func = func, .arena = arena};
  count_region(&c, func->body, blocks(&c));
  return (cg_work){c.rows.data, (int)c.rows.len};
}
