// cse: equal pure operations once.
//
// Input   tir, or sir with layouts (called by sir_cleanup).      Output  the same dialect.
// Does    one sweep with a hash table of visible operations; what a region adds is forgotten at its
//         end, so a found operation always dominates the one it replaces. Operations are equal when
//         code, operands, attributes, result type and result layout are; operands of commutative
//         integer and float operations compare in either order.
// Keeps   loads and everything else that is not pure: memory may change between two of them.
// Why     behind canon, which spells equal operations equally; before licm and dce.
// Example %3 = add %1, %2 : i32               %3 = add %1, %2 : i32
//         %4 = add %2, %1 : i32        ->     %5 = mul %3, %3 : i32
//         %5 = mul %3, %4 : i32
#include "ir/pass_list.h"

enum { BUCKETS = 1024 };

typedef struct entry {
  ir_op *op;
  uint32_t hash;
  struct entry *next; // in the bucket
} entry;

typedef struct cse {
  ir_func *func;
  tl_arena *arena;
  entry *buckets[BUCKETS];
  TL_VEC(uint32_t) undo; // buckets in the order of insertion
  ir_val *map;           // what a value has become; {0}: itself
  uint32_t *order;       // values in program order: ids must not decide anything
  uint32_t count;
  bool changed;
} cse;

// --- hashing -----------------------------------------------------------------------------------

static uint32_t mix(uint32_t hash, uint64_t value) {
  value = (value ^ hash) * 0x9E3779B97F4A7C15u;
  return (uint32_t)(value >> 32);
}

static uint32_t hash_text(uint32_t hash, const char *text) {
  for (; *text; text++)
    hash = (hash ^ (unsigned char)*text) * 16777619u;
  return hash;
}

static uint64_t float_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint32_t hash_attr(uint32_t hash, const ir_attr *attr) {
  hash = hash_text(hash, attr->name);
  switch (attr->kind) {
  case IR_ATTR_INT:
    return mix(hash, (uint64_t)attr->i);
  case IR_ATTR_FLOAT:
    return mix(hash, float_bits(attr->f));
  case IR_ATTR_STR:
    return hash_text(hash, attr->s);
  case IR_ATTR_INTS:
    for (int i = 0; i < attr->nints; i++)
      hash = mix(hash, (uint64_t)attr->ints[i]);
    return hash;
  }
  TL_UNREACHABLE("attribute kind %d", (int)attr->kind);
}

static uint32_t hash_op(const ir_op *op) {
  uint32_t hash = mix(2166136261u, (uint64_t)op->code);
  for (uint32_t i = 0; i < op->nargs; i++)
    hash = mix(hash, op->args[i].id);
  for (const ir_attr *at = op->attrs; at; at = at->next)
    hash = hash_attr(hash, at);
  return hash;
}

// --- equality ----------------------------------------------------------------------------------

static bool attr_equal(const ir_attr *a, const ir_attr *b) {
  if (a->kind != b->kind || strcmp(a->name, b->name) != 0)
    return false;
  switch (a->kind) {
  case IR_ATTR_INT:
    return a->i == b->i;
  case IR_ATTR_FLOAT:
    return float_bits(a->f) == float_bits(b->f);
  case IR_ATTR_STR:
    return !strcmp(a->s, b->s);
  case IR_ATTR_INTS:
    return a->nints == b->nints && !memcmp(a->ints, b->ints, (size_t)a->nints * sizeof *a->ints);
  }
  TL_UNREACHABLE("attribute kind %d", (int)a->kind);
}

static bool op_equal(const ir_func *func, const ir_op *a, const ir_op *b) {
  const ir_val_info *x = ir_info_of(func, a->res[0]), *y = ir_info_of(func, b->res[0]);
  if (a->code != b->code || a->nargs != b->nargs || x->type != y->type || x->layout != y->layout)
    return false;
  for (uint32_t i = 0; i < a->nargs; i++)
    if (!ir_same(a->args[i], b->args[i]))
      return false;
  const ir_attr *p = a->attrs, *q = b->attrs;
  for (; p && q; p = p->next, q = q->next)
    if (!attr_equal(p, q))
      return false;
  return !p && !q;
}

// --- the sweep ---------------------------------------------------------------------------------

static void number(cse *c, ir_val val) { c->order[val.id] = ++c->count; }

static bool is_constant(const cse *c, ir_val val) {
  int64_t i;
  double f;
  return ir_is_const_int(c->func, val, &i) || ir_is_const_float(c->func, val, &f);
}

// Exchangeable operands stand in program order; constants stay right, where canon put them.
static void order_operands(cse *c, ir_op *op) {
  switch (op->code) {
  case IR_ADD:
  case IR_MUL:
  case IR_MIN:
  case IR_MAX:
  case IR_AND:
  case IR_OR:
  case IR_XOR:
  case IR_FMA:
    break;
  default:
    return;
  }
  ir_val x = op->args[0], y = op->args[1];
  if (c->order[x.id] <= c->order[y.id] || is_constant(c, x) || is_constant(c, y))
    return;
  op->args[0] = y;
  op->args[1] = x;
  c->changed = true;
}

static void visit_op(cse *c, ir_op *op) {
  if (op->nres != 1 || op->nregions || ir_info(op->code)->effect != IR_PURE)
    return;
  order_operands(c, op);
  uint32_t hash = hash_op(op), bucket = hash % BUCKETS;
  for (entry *at = c->buckets[bucket]; at; at = at->next)
    if (at->hash == hash && op_equal(c->func, at->op, op)) {
      c->map[op->res[0].id] = at->op->res[0];
      ir_unlink(op);
      c->changed = true;
      return;
    }
  entry *fresh = TL_NEW(c->arena, entry);
  *fresh = (entry){op, hash, c->buckets[bucket]};
  c->buckets[bucket] = fresh;
  tl_push(c->arena, &c->undo, bucket);
}

static void visit_region(cse *c, ir_region *region) {
  uint32_t mark = c->undo.len;
  for (uint32_t i = 0; i < region->nparams; i++)
    number(c, region->params[i]);
  for (ir_op *op = region->first, *next; op; op = next) {
    next = op->next;
    for (uint32_t i = 0; i < op->nargs; i++)
      if (ir_some(c->map[op->args[i].id]))
        op->args[i] = c->map[op->args[i].id];
    for (uint32_t i = 0; i < op->nregions; i++)
      visit_region(c, op->regions[i]);
    for (uint32_t i = 0; i < op->nres; i++)
      number(c, op->res[i]);
    visit_op(c, op);
  }
  while (c->undo.len > mark) {
    uint32_t bucket = tl_pop(&c->undo);
    c->buckets[bucket] = c->buckets[bucket]->next;
  }
}

bool pass_cse(ir_pass_ctx *ctx) {
  cse *c = TL_NEW(ctx->scratch, cse);
  c->func = ctx->func;
  c->arena = ctx->scratch;
  c->map = TL_NEW_N(ctx->scratch, ir_val, ctx->func->vals.len);
  c->order = TL_NEW_N(ctx->scratch, uint32_t, ctx->func->vals.len);
  for (uint32_t i = 0; i < ctx->func->params.len; i++)
    number(c, ctx->func->params.data[i].val);
  visit_region(c, ctx->func->body);
  return c->changed;
}
