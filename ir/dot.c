// See dot.h.
#include "ir/dot.h"

static tl_dtype dtype_of(const ir_func *func, ir_val val) { return ir_type(func, val)->dtype; }

bool ir_dot_scales_natively(const ir_func *func, const ir_op *op) {
  return op->code == IR_DOT_SCALED && func->target->features & FEAT_BLOCK_SCALE_MMA &&
         dtype_of(func, op->args[1]) == TL_UE8M0 && dtype_of(func, op->args[3]) == TL_UE8M0;
}

// m16n8k64 takes packed operands; added up every `g` of K, an atom must not be longer than that.
static bool stays_packed(const ir_func *func, const ir_op *op) {
  if (dtype_of(func, op->args[0]) != TL_F4E2M1 ||
      dtype_of(func, op->args[ir_dot_b(op)]) != TL_F4E2M1)
    return false;
  int64_t every = op->code == IR_DOT ? ir_int(op, "promote", 0) : ir_int(op, "granularity", 0);
  return ir_dot_scales_natively(func, op) || every % 64 == 0;
}

int ir_dot_operand_bits(const ir_func *func, const ir_op *op, int arg) {
  int bits = tl_dtype_bits(dtype_of(func, op->args[arg]));
  return bits == 4 && !stays_packed(func, op) ? 8 : bits;
}

int ir_dot_scales_per_word(int64_t blocks) { return blocks % 4 == 0 ? 4 : blocks % 2 == 0 ? 2 : 1; }
