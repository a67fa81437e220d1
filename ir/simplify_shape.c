// Splats swallow every shape operation; the others compose or vanish.
#include "ir/simplify.h"

static ir_val none(void) { return (ir_val){0}; }

static const ir_attr *order_of(const ir_op *op) { return ir_attr_find(op, "order"); }

static ir_val compose_permutes(ir_simplifier *s, ir_op *op, const ir_op *inner) {
  const ir_attr *outer_order = order_of(op), *inner_order = order_of(inner);
  int64_t order[TY_MAX_RANK];
  for (int i = 0; i < outer_order->nints; i++)
    order[i] = inner_order->ints[outer_order->ints[i]];
  ir_val val = ir_simplify_emit(s, op, IR_PERMUTE, ir_type(s->func, op->res[0]), 1, inner->args);
  ir_set_ints(s->func, ir_def(s->func, val), "order", outer_order->nints, order);
  return val;
}

static bool is_identity(const ir_attr *order) {
  for (int i = 0; i < order->nints; i++)
    if (order->ints[i] != i)
      return false;
  return true;
}

static ir_val simplify_permute(ir_simplifier *s, ir_op *op, const ir_op *inner) {
  if (is_identity(order_of(op)))
    return op->args[0];
  return inner && inner->code == IR_PERMUTE ? compose_permutes(s, op, inner) : none();
}

// Any and all of equal elements, and the largest and smallest of them, are the element.
static ir_val reduce_splat(ir_simplifier *s, ir_op *op, ir_val scalar) {
  static const char *const idempotent[] = {"max", "min", "any", "all"};
  const char *kind = ir_str(op, "kind", "");
  for (int i = 0; i < 4; i++)
    if (!strcmp(kind, idempotent[i]))
      return ir_simplify_splat(s, op, scalar);
  return none();
}

static ir_val of_splat(ir_simplifier *s, ir_op *op, ir_val scalar) {
  switch (op->code) {
  case IR_BROADCAST:
  case IR_EXPAND:
  case IR_RESHAPE:
  case IR_PERMUTE:
  case IR_SLICE:
    return ir_simplify_splat(s, op, scalar);
  case IR_REDUCE:
    return reduce_splat(s, op, scalar);
  default:
    return none();
  }
}

ir_val ir_simplify_shape(ir_simplifier *s, ir_op *op) {
  if (op->nargs != 1)
    return none();
  const ir_op *inner = ir_def(s->func, op->args[0]);
  if (inner && inner->code == IR_SPLAT)
    return of_splat(s, op, inner->args[0]);
  bool same_type = ir_type(s->func, op->args[0]) == ir_type(s->func, op->res[0]);
  switch (op->code) {
  case IR_PERMUTE:
    return simplify_permute(s, op, inner);
  case IR_BROADCAST:
  case IR_SLICE: // the whole
    return same_type ? op->args[0] : none();
  case IR_RESHAPE:
    if (same_type)
      return op->args[0];
    if (inner && inner->code == IR_RESHAPE)
      return ir_simplify_emit(s, op, IR_RESHAPE, ir_type(s->func, op->res[0]), 1, inner->args);
    return none();
  default:
    return none();
  }
}
