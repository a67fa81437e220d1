// licm: pure operations whose operands do not change in a loop move in front of it.
//
// Input   tir.                       Output  tir.
// Does    one sweep; each operation goes to the outermost loop nest level at which its operands are
//         known. A branch is a barrier: what stands under a condition stays under it.
//         Hoisting brings equal operations of different loops together: cse once more.
// Keeps   loads (a store in the loop may change what they read) and the order of everything else.
// Why     behind cse; addresses and masks of pipelined loads then show what varies with the loop.
// Example for .. (%i: i32) {                  %2 = mul %a, %b : i32
//           %2 = mul %a, %b : i32      ->     for .. (%i: i32) {
//           ..
#include "ir/pass_list.h"

enum { MAX_NEST = 64 };

typedef struct licm {
  uint32_t *level;        // by value: number of loops of the nest that must be entered to know it
  ir_op *loops[MAX_NEST]; // the nest, outermost first
  uint32_t depth;
  bool changed;
} licm;

static void visit_region(licm *l, ir_region *region, uint32_t outermost);

static void set_level(licm *l, const ir_val *vals, uint32_t count, uint32_t level) {
  for (uint32_t i = 0; i < count; i++)
    l->level[vals[i].id] = level;
}

// How far out `op` may go: not beyond its operands, nor beyond the last branch.
static uint32_t target_level(const licm *l, const ir_op *op, uint32_t outermost) {
  uint32_t level = outermost;
  for (uint32_t i = 0; i < op->nargs; i++)
    if (l->level[op->args[i].id] > level)
      level = l->level[op->args[i].id];
  return level;
}

static void visit_plain(licm *l, ir_op *op, uint32_t outermost) {
  uint32_t level = l->depth;
  if (ir_info(op->code)->effect == IR_PURE) {
    level = target_level(l, op, outermost);
    if (level < l->depth) {
      ir_unlink(op);
      ir_insert_before(op, l->loops[level]);
      l->changed = true;
    }
  }
  set_level(l, op->res, op->nres, level);
}

static void visit_nested(licm *l, ir_op *op, uint32_t outermost) {
  bool loop = (op->code == IR_FOR || op->code == IR_WHILE) && l->depth < MAX_NEST;
  set_level(l, op->res, op->nres, l->depth);
  if (loop)
    l->loops[l->depth++] = op;
  for (uint32_t i = 0; i < op->nregions; i++) {
    set_level(l, op->regions[i]->params, op->regions[i]->nparams, l->depth);
    visit_region(l, op->regions[i], loop ? outermost : l->depth);
  }
  if (loop)
    l->depth--;
}

static void visit_region(licm *l, ir_region *region, uint32_t outermost) {
  for (ir_op *op = region->first, *next; op; op = next) {
    next = op->next;
    if (op->nregions)
      visit_nested(l, op, outermost);
    else
      visit_plain(l, op, outermost);
  }
}

bool pass_licm(ir_pass_ctx *ctx) {
  licm l = {.level = TL_NEW_N(ctx->scratch, uint32_t, ctx->func->vals.len)};
  visit_region(&l, ctx->func->body, 0);
  if (l.changed && !(ctx->disabled & IR_NO_CSE))
    pass_cse(ctx);
  return l.changed;
}
