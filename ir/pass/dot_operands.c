// dot_operands: what the architecture's tensor cores do not take becomes what they do.
//
// Input   sir without layouts.      Output  the same; operands and scales of dots cast.
//         Without block-scale mma: 4-bit operands become e4m3, which is exact, and ue8m0 scales
//         f32, applied by promotion. With it: scales of two kinds become f32, ue8m0 on both sides
//         stays.
// Example dot_scaled %a:f4e2m1, %sa:ue8m0, ..  ->  dot_scaled cast %a:f8e4m3, cast %sa:f32, ..
#include "ir/dot.h"
#include "ir/pass_list.h"

static bool become(ir_func *func, ir_op *op, int arg, tl_dtype from, tl_dtype to) {
  if (ir_type(func, op->args[arg])->dtype != from)
    return false;
  ir_builder b = {func, op->parent, op, op->loc};
  op->args[arg] = ir_cast(&b, op->args[arg], to, NULL, false);
  return true;
}

static void adapt(ir_op *op, void *user) {
  ir_func *func = ((ir_pass_ctx *)user)->func;
  if (!ir_is_dot(op))
    return;
  bool block_scale = func->target->features & FEAT_BLOCK_SCALE_MMA;
  if (!block_scale) {
    become(func, op, 0, TL_F4E2M1, TL_F8E4M3);
    become(func, op, ir_dot_b(op), TL_F4E2M1, TL_F8E4M3);
  }
  if (op->code == IR_DOT_SCALED && !ir_dot_scales_natively(func, op)) {
    become(func, op, 1, TL_UE8M0, TL_F32);
    become(func, op, 3, TL_UE8M0, TL_F32);
  }
}

bool pass_dot_operands(ir_pass_ctx *ctx) {
  ir_walk(ctx->func->body, adapt, ctx);
  return true;
}
