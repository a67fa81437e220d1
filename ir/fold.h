// Exact arithmetic on constants, element by element: what the hardware computes, bit for bit.
// Approximated operations (exp2, tanh, ..) are never folded: their results belong to the hardware.
#ifndef IR_FOLD_H
#define IR_FOLD_H
#include "ir/ir.h"

typedef struct ir_number { // exact value of one element; which field is live follows the dtype
  int64_t i;
  double f;
} ir_number;

// Two's complement of the type's width: sign-extended, zero-extended for unsigned types and i1.
int64_t ir_wrap_int(tl_dtype dtype, int64_t value);
// The value of an elementwise operation on elements of `from` (the type of its last operand),
// giving an element of `to`; false when it has no exact answer here.
bool ir_fold(const ir_op *op, tl_dtype from, tl_dtype to, const ir_number *args, ir_number *out);
#endif
