// canon: one spelling for equal things, and less of them.
//
// Input   tir, or sir with layouts (called by sir_cleanup).      Output  the same dialect.
// Does    constants to the right; exact folding; identities; operations on splats become splats of
//         scalars; division and remainder of non-negative values by powers of two become shifts and
//         masks; branches on constants, loops that run never or once, and carried values that never
//         change disappear.
// Keeps   bits of every result. What becomes unused is left for dce.
// Why     first, so that cse sees equal operations spelled equally.
// Example %3 = splat %a : f32[8]              %3 = mul %a, %b : f32
//         %4 = splat %b : f32[8]       ->     %5 = splat %3 : f32[8]
//         %5 = mul %3, %4 : f32[8]
#include "ir/pass_list.h"
#include "ir/simplify.h"

typedef struct canon {
  ir_func *func;
  ir_simplifier simplifier;
  ir_map map; // what a value has become
  bool changed;
} canon;

static void visit_region(canon *c, ir_region *region);

// Follows chains: a value may be bound to one that is itself replaced later.
static ir_val current(const canon *c, ir_val val) {
  while (val.id < c->map.len && ir_some(c->map.data[val.id]))
    val = c->map.data[val.id];
  return val;
}

static void become(canon *c, ir_val old, ir_val fresh) {
  ir_val_info *info = &c->func->vals.data[fresh.id];
  if (!info->hint && info->def)
    info->hint = ir_info_of(c->func, old)->hint;
  ir_map_set(c->func, &c->map, old, fresh);
  c->changed = true;
}

static void rename_args(canon *c, ir_op *op) {
  for (uint32_t i = 0; i < op->nargs; i++)
    op->args[i] = current(c, op->args[i]);
}

// --- plain operations --------------------------------------------------------------------------

// In sir a value may only be replaced by one in the same layout.
static bool may_become(const canon *c, ir_val old, ir_val fresh) {
  const ir_val_info *a = ir_info_of(c->func, old), *b = ir_info_of(c->func, fresh);
  return a->type == b->type && a->layout == b->layout;
}

static bool is_trivial_check(const canon *c, const ir_op *op) {
  int64_t value;
  return (op->code == IR_ASSERT || op->code == IR_ASSUME) &&
         ir_is_const_int(c->func, op->args[0], &value) && value == 1;
}

// Simplifies `op`, then the operation it has become, as long as that is a new one.
static void replace_plain(canon *c, ir_op *op) {
  for (;;) {
    uint32_t known = c->func->vals.len;
    ir_val fresh = ir_simplify(&c->simplifier, op);
    if (!ir_some(fresh) || !may_become(c, op->res[0], fresh))
      return;
    become(c, op->res[0], fresh);
    ir_unlink(op);
    op = ir_def(c->func, fresh);
    if (fresh.id < known)
      return;
    memset(c->simplifier.arg, 0, sizeof c->simplifier.arg); // nothing is known of new operands
  }
}

static void visit_plain(canon *c, ir_op *op) {
  // Facts are known for the values as they were at the start: look before renaming.
  for (uint32_t i = 0; i < 3; i++)
    c->simplifier.arg[i] = i < op->nargs ? ir_fact_of(c->simplifier.facts, op->args[i]) : NULL;
  rename_args(c, op);
  if (is_trivial_check(c, op)) {
    ir_unlink(op);
    c->changed = true;
    return;
  }
  if (op->nres != 1 || ir_info(op->code)->effect != IR_PURE)
    return;
  if (ir_canonical_order(c->func, op)) {
    c->changed = true;
    const ir_fact *first = c->simplifier.arg[0];
    c->simplifier.arg[0] = c->simplifier.arg[1];
    c->simplifier.arg[1] = first;
  }
  replace_plain(c, op);
}

// --- control -----------------------------------------------------------------------------------

// Moves a region's operations in front of `op`, which they replace: results become what the region
// yields (its values are still to be visited). Returns the first of them, to go on with; or op's
// successor.
static ir_op *inline_region(canon *c, ir_op *op, ir_region *region) {
  ir_op *end = region->last, *next = region->first == end ? op->next : region->first;
  ir_unlink(end);
  while (region->first) {
    ir_op *moved = region->first;
    ir_unlink(moved);
    ir_insert_before(moved, op);
  }
  for (uint32_t i = 0; i < op->nres; i++)
    ir_map_set(c->func, &c->map, op->res[i], end->args[i]);
  ir_unlink(op);
  c->changed = true;
  return next;
}

typedef struct loop_bounds {
  int64_t lo, hi, step;
} loop_bounds;

static bool constant_bounds(const canon *c, const ir_op *op, loop_bounds *out) {
  return ir_is_const_int(c->func, op->args[0], &out->lo) &&
         ir_is_const_int(c->func, op->args[1], &out->hi) &&
         ir_is_const_int(c->func, op->args[2], &out->step);
}

// A carried value that is handed back as it came is its start value.
static void drop_steady_values(canon *c, ir_op *op) {
  const ir_region *body = op->regions[0];
  for (uint32_t i = 0; i < op->nres; i++) {
    ir_val param = body->params[1 + i], start = op->args[3 + i];
    if (ir_same(body->last->args[i], param) && may_become(c, param, start)) {
      ir_map_set(c->func, &c->map, param, start);
      ir_map_set(c->func, &c->map, op->res[i], start);
    }
  }
}

// The operation to visit next.
static ir_op *visit_for(canon *c, ir_op *op) {
  loop_bounds bounds;
  ir_region *body = op->regions[0];
  if (constant_bounds(c, op, &bounds)) {
    if (bounds.lo >= bounds.hi) {
      ir_op *next = op->next;
      for (uint32_t i = 0; i < op->nres; i++)
        ir_map_set(c->func, &c->map, op->res[i], op->args[3 + i]);
      ir_unlink(op);
      c->changed = true;
      return next;
    }
    if (bounds.step > 0 && (uint64_t)bounds.hi - (uint64_t)bounds.lo <= (uint64_t)bounds.step) {
      ir_map_set(c->func, &c->map, body->params[0], op->args[0]);
      for (uint32_t i = 0; i < op->nres; i++)
        ir_map_set(c->func, &c->map, body->params[1 + i], op->args[3 + i]);
      return inline_region(c, op, body);
    }
  }
  drop_steady_values(c, op);
  visit_region(c, body);
  return op->next;
}

static ir_op *visit_if(canon *c, ir_op *op) {
  int64_t cond;
  if (ir_is_const_int(c->func, op->args[0], &cond))
    return inline_region(c, op, op->regions[cond ? 0 : 1]);
  visit_region(c, op->regions[0]);
  visit_region(c, op->regions[1]);
  for (uint32_t i = 0; i < op->nres; i++) {
    ir_val then = op->regions[0]->last->args[i];
    // Equal in both branches, so it was defined before the branch.
    if (ir_same(then, op->regions[1]->last->args[i]) && may_become(c, op->res[i], then))
      ir_map_set(c->func, &c->map, op->res[i], then);
  }
  return op->next;
}

static void visit_region(canon *c, ir_region *region) {
  for (ir_op *op = region->first, *next; op; op = next) {
    next = op->next;
    if (op->nregions)
      rename_args(c, op);
    if (op->code == IR_FOR)
      next = visit_for(c, op);
    else if (op->code == IR_IF)
      next = visit_if(c, op);
    else if (op->nregions)
      for (uint32_t i = 0; i < op->nregions; i++)
        visit_region(c, op->regions[i]);
    else
      visit_plain(c, op);
  }
}

bool pass_canon(ir_pass_ctx *ctx) {
  canon c = {.func = ctx->func};
  c.simplifier.func = ctx->func;
  c.simplifier.facts = ir_facts_compute(ctx->func, ctx->scratch);
  ir_map_init(ctx->func, &c.map);
  visit_region(&c, ctx->func->body);
  return c.changed;
}
