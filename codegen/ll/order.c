// Program order of the accesses to one tensor (S7.6).
//
// Other threads may hold the elements a tile access touches than the access before it, so between
// two that may meet, one of them a write, the block waits at a barrier. None is needed where both
// touch the same elements from the same threads. Tensors the kernel never writes are not looked at.
// A region starts with everything that may still be under way before it and, in a loop, everything
// of the round before; what a barrier inside has settled is under way again behind it, as it may
// not have run.
#include "codegen/ll/emit.h"

static const ir_param *base_of(const ll_ctx *c, const ir_op *op) { // of a view: of what it views
  return ir_tensor_param(c->func, ir_access_of(c->func, op).tensor);
}

static bool is_watched(const ll_ctx *c, const ir_op *op) {
  if (op->code != IR_LOAD && op->code != IR_STORE && op->code != IR_ATOMIC)
    return false;
  const ir_param *param = base_of(c, op);
  return !param || !param->read_only;
}

static const ir_layout *layout_of(ll_ctx *c, const ir_op *op) { // NULL: one element
  return ll_layout(c, op->code == IR_LOAD ? op->res[0] : ir_access_of(c->func, op).value);
}

static bool same_place(const ll_ctx *c, const ir_op *x, const ir_op *y) {
  ir_access a = ir_access_of(c->func, x), b = ir_access_of(c->func, y);
  if (!ir_same(a.tensor, b.tensor) || strcmp(a.subs, b.subs) != 0 || strchr(a.subs, 'g'))
    return false;
  for (int d = 0; d < a.rank; d++)
    if (!ir_same(x->args[a.first_sub + d], y->args[b.first_sub + d]))
      return false;
  return true;
}

// Do both touch the same elements, each from the same thread?
static bool same_threads(ll_ctx *c, const ir_op *x, const ir_op *y) {
  if (!same_place(c, x, y))
    return false;
  const ir_layout *a = layout_of(c, x), *b = layout_of(c, y);
  bool both_write = x->code != IR_LOAD && y->code != IR_LOAD;
  if (!a || !b)
    return !a && !b && both_write; // the first thread writes, all of them read
  return ir_layout_equal(a, b) && (both_write || ll_is_true(ll_owner(c, a)));
}

static bool may_meet(ll_ctx *c, const ll_recent *before, const ir_op *op) {
  const ir_op *x = before->op;
  if ((x->code == IR_LOAD && op->code == IR_LOAD) ||
      (x->code == IR_ATOMIC && op->code == IR_ATOMIC) || base_of(c, x) != base_of(c, op))
    return false;
  if (before->last_round) // other elements, as a rule: what one store writes it writes once
    return x != op;
  return !same_threads(c, x, op);
}

static void note(ll_ctx *c, ll_recent access) {
  for (uint32_t i = 0; i < c->recent.len; i++)
    if (c->recent.data[i].op == access.op && c->recent.data[i].last_round == access.last_round)
      return;
  tl_push(c->arena, &c->recent, access);
}

void ll_order_access(ll_ctx *c, const ir_op *op) {
  if (!is_watched(c, op))
    return;
  for (uint32_t i = 0; i < c->recent.len; i++)
    if (may_meet(c, &c->recent.data[i], op)) {
      ll_bar_sync(c);
      c->recent.len = 0;
      break;
    }
  note(c, (ll_recent){op, false});
}

static void note_round(ir_op *op, void *user) {
  if (is_watched(user, op))
    note(user, (ll_recent){op, true});
}

void ll_order_loop(ll_ctx *c, const ir_op *loop) {
  for (uint32_t i = 0; i < loop->nregions; i++)
    ir_walk(loop->regions[i], note_round, c);
}

ll_recent_list ll_order_enter(ll_ctx *c) {
  ll_recent_list before = {0};
  for (uint32_t i = 0; i < c->recent.len; i++)
    tl_push(c->arena, &before, c->recent.data[i]);
  return before;
}

void ll_order_leave(ll_ctx *c, const ll_recent_list *before) {
  for (uint32_t i = 0; i < before->len; i++)
    note(c, before->data[i]);
}
