// dce: what nobody needs disappears, carried values included.
//
// Input   tir, or sir (called by sir_cleanup).                   Output  the same dialect.
// Does    marks from the operations that have an effect, backwards; then removes the rest. A
// carried
//         value of a loop lives when its result or its parameter is used by something that lives: a
//         counter that only counts itself is dead, which use counts would never find.
// Keeps   stores, atomics, prints, asserts, assumptions, synchronisation; a while loop's values all
//         live when it does. Loops without effect are taken to end.
// Why     last of the tir passes: canon, cse and licm leave unused operations behind.
// Example %5, %6 = for .. %0, %1 : i32, f32 (%2: i32, %3: i32, %4: f32) {
//           %7 = add %3, %c : i32                                            (only feeds itself)
//           yield %7, %4
//         }                    ->     %6 = for .. %1 : f32 (%2: i32, %4: f32) { yield %4 }
#include "ir/pass_list.h"

typedef struct dce {
  ir_func *func;
  tl_arena *arena;
  uint8_t *val_lives;        // by value id
  TL_VEC(ir_val) work;       // live values whose sources are not marked yet
  TL_VEC(const ir_op *) ops; // live operations by address: a hash set
  bool changed;
} dce;

// --- the set of live operations ----------------------------------------------------------------

// The marks live in a table beside the operations, as ir_op has no spare field: open addressing.
static uint32_t slot_of(const dce *d, const ir_op *op) {
  uint32_t mask = d->ops.cap - 1, at = (uint32_t)((uintptr_t)op >> 4) * 0x9E3779B1u & mask;
  while (d->ops.data[at] && d->ops.data[at] != op)
    at = (at + 1) & mask;
  return at;
}

static bool op_lives(const dce *d, const ir_op *op) { return d->ops.data[slot_of(d, op)] == op; }

static void count_op(ir_op *op, void *user) {
  (void)op;
  ++*(uint32_t *)user;
}

static void make_table(dce *d) {
  uint32_t count = 0, cap = 64;
  ir_walk(d->func->body, count_op, &count);
  while (cap < 2 * count)
    cap *= 2;
  d->ops.data = TL_NEW_N(d->arena, const ir_op *, cap);
  d->ops.cap = cap;
}

// --- marking -----------------------------------------------------------------------------------

static void need(dce *d, ir_val val) {
  if (d->val_lives[val.id])
    return;
  d->val_lives[val.id] = 1;
  tl_push(d->arena, &d->work, val);
}

static void need_all(dce *d, const ir_val *vals, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    need(d, vals[i]);
}

// What the operation itself needs, whichever of its results are used.
static void need_operands(dce *d, const ir_op *op) {
  switch (op->code) {
  case IR_FOR:
    need_all(d, op->args, 3);
    return;
  case IR_WHILE:
    need_all(d, op->args, op->nargs);
    need_all(d, op->regions[0]->last->args, op->regions[0]->last->nargs);
    need_all(d, op->regions[1]->last->args, op->regions[1]->last->nargs);
    return;
  case IR_YIELD:
  case IR_CONDITION: // by slot, with the operation around
    return;
  default:
    need_all(d, op->args, op->nargs);
  }
}

static void op_is_needed(dce *d, const ir_op *op) {
  while (op) {
    uint32_t slot = slot_of(d, op);
    if (d->ops.data[slot])
      return;
    d->ops.data[slot] = op;
    need_operands(d, op);
    op = op->parent->parent;
  }
}

static void for_slot(dce *d, const ir_op *op, uint32_t slot) {
  need(d, op->args[3 + slot]);
  need(d, op->regions[0]->last->args[slot]);
}

static void value_is_needed(dce *d, ir_val val) {
  const ir_val_info *info = ir_info_of(d->func, val);
  const ir_op *op = info->def;
  if (!op) { // a parameter: its loop is alive around the user
    const ir_op *owner = info->region ? info->region->parent : NULL;
    if (owner && owner->code == IR_FOR && info->index > 0)
      for_slot(d, owner, info->index - 1);
    return;
  }
  op_is_needed(d, op);
  if (op->code == IR_FOR)
    for_slot(d, op, info->index);
  else if (op->code == IR_IF)
    for (int i = 0; i < 2; i++)
      need(d, op->regions[i]->last->args[info->index]);
}

static bool has_effect(const ir_op *op) {
  switch (ir_info(op->code)->effect) {
  case IR_PURE:
  case IR_READS:
    return false;
  case IR_WRITES:
    return true;
  case IR_SYNC: // a tile moved for nobody, memory for nobody
    return op->code != IR_CONVERT && op->code != IR_READ && op->code != IR_BUFFER &&
           op->code != IR_CHANNEL;
  case IR_CONTROL:
    return op->code == IR_RETURN || op->code == IR_ROLE;
  }
  TL_UNREACHABLE("effect of '%s'", ir_info(op->code)->name);
}

static void mark_root(ir_op *op, void *user) {
  if (has_effect(op))
    op_is_needed(user, op);
}

// --- removal -----------------------------------------------------------------------------------

// Keeps the entries of vals[first..] whose slot is kept; returns the new count.
static uint32_t keep_slots(ir_val *vals, uint32_t count, uint32_t first, const uint8_t *kept) {
  uint32_t at = first;
  for (uint32_t i = first; i < count; i++)
    if (kept[i - first])
      vals[at++] = vals[i];
  return at;
}

static void renumber(dce *d, const ir_val *vals, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    d->func->vals.data[vals[i].id].index = i;
}

static void drop_dead_slots(dce *d, ir_op *op) {
  uint8_t *kept = TL_NEW_N(d->arena, uint8_t, op->nres + 1);
  uint32_t count = 0;
  for (uint32_t i = 0; i < op->nres; i++) {
    kept[i] = d->val_lives[op->res[i].id];
    if (op->code == IR_FOR)
      kept[i] |= d->val_lives[op->regions[0]->params[1 + i].id];
    count += kept[i];
  }
  if (count == op->nres)
    return;
  d->changed = true;
  for (uint32_t r = 0; r < op->nregions; r++) {
    ir_region *region = op->regions[r];
    region->last->nargs = keep_slots(region->last->args, op->nres, 0, kept);
    if (op->code == IR_FOR) {
      region->nparams = keep_slots(region->params, region->nparams, 1, kept);
      renumber(d, region->params, region->nparams);
    }
  }
  if (op->code == IR_FOR)
    op->nargs = keep_slots(op->args, op->nargs, 3, kept);
  op->nres = keep_slots(op->res, op->nres, 0, kept);
  renumber(d, op->res, op->nres);
}

static void remove_dead(dce *d, ir_region *region) {
  for (ir_op *op = region->first, *next; op; op = next) {
    next = op->next;
    bool terminator = op->code == IR_YIELD || op->code == IR_CONDITION;
    if (!terminator && !op_lives(d, op)) {
      ir_unlink(op);
      d->changed = true;
      continue;
    }
    for (uint32_t i = 0; i < op->nregions; i++)
      remove_dead(d, op->regions[i]);
    if (op->code == IR_FOR || op->code == IR_IF)
      drop_dead_slots(d, op);
  }
}

bool pass_dce(ir_pass_ctx *ctx) {
  dce d = {.func = ctx->func, .arena = ctx->scratch};
  d.val_lives = TL_NEW_N(ctx->scratch, uint8_t, ctx->func->vals.len);
  make_table(&d);
  ir_walk(ctx->func->body, mark_root, &d);
  while (d.work.len)
    value_is_needed(&d, tl_pop(&d.work));
  remove_dead(&d, ctx->func->body);
  return d.changed;
}
