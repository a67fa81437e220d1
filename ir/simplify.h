// Local rewriting of one pure operation, shared by canon on tir and on sir.
#ifndef IR_SIMPLIFY_H
#define IR_SIMPLIFY_H
#include "ir/facts.h"

typedef struct ir_simplifier {
  ir_func *func;
  const ir_facts *facts;
  const ir_fact *arg[3]; // facts of the operands of the operation under the knife
} ir_simplifier;

// Reorders operands of `op` in place (constants to the right); true when something moved.
bool ir_canonical_order(ir_func *func, ir_op *op);
// A value equal to op's only result, possibly of new operations in front of op; {0}: none. In sir
// it has the result's layout.
ir_val ir_simplify(ir_simplifier *s, ir_op *op);
// The same for shapes: operations that move elements about.
ir_val ir_simplify_shape(ir_simplifier *s, ir_op *op);

// Building blocks of both halves: new operations in front of `op`, with its location.
ir_val ir_simplify_emit(ir_simplifier *s, ir_op *op, ir_code code, const ty_type *type,
                        uint32_t nargs, const ir_val *args);
ir_val ir_simplify_splat(ir_simplifier *s, ir_op *op, ir_val scalar);
#endif
