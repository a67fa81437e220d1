// Inside of the verifier: verify.c walks, verify_op.c knows the rules of each operation.
#ifndef IR_VERIFY_H
#define IR_VERIFY_H
#include "ir/ir.h"

typedef struct ir_verifier {
  const ir_func *func;
  tl_buf *out;
  int failures;
} ir_verifier;

// Records a failure; `op` NULL: about the function. Always false.
bool ir_verify_fail(ir_verifier *v, const ir_op *op, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Types, shapes and attributes; counts and visibility of operands are known to be right.
void ir_verify_op(ir_verifier *v, const ir_op *op);
// Layouts between operands and results; the types are known to be right.
void ir_verify_layouts(ir_verifier *v, const ir_op *op);
#endif
