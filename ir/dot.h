// What a dot or dot_scaled asks of its operands on the function's architecture.
#ifndef IR_DOT_H
#define IR_DOT_H
#include "ir/ir.h"

static inline bool ir_is_dot(const ir_op *op) {
  return op->code == IR_DOT || op->code == IR_DOT_SCALED;
}
// Positions of b and acc among the operands; a is the first.
static inline int ir_dot_b(const ir_op *op) { return op->code == IR_DOT_SCALED ? 2 : 1; }
static inline int ir_dot_acc(const ir_op *op) { return op->code == IR_DOT_SCALED ? 4 : 2; }
// Does mma.sync apply the scales itself? Both are ue8m0 and the architecture has block scales.
bool ir_dot_scales_natively(const ir_func *func, const ir_op *op);
// Bits that an element takes in the words of the mma: 4 where two 4-bit operands stay packed, 8
// where a 4-bit operand stands beside an 8-bit one, else those of its type.
int ir_dot_operand_bits(const ir_func *func, const ir_op *op, int arg);
// Scales of one side that share a 32-bit word, the block of K lowest first: 1, 2 or 4.
int ir_dot_scales_per_word(int64_t blocks);
#endif
