// Branches: both sides are lowered into regions of their own, then every variable whose value
// differs becomes a result of the if operation. A condition known at compile time leaves one side
// only.
#include "frontend/check.h"

typedef struct side {
  ir_region *region;
  fe_sym *syms; // values after the side
} side;

static fe_sym *copy_syms(fe_ctx *ctx, uint32_t count) {
  fe_sym *copy = TL_NEW_N(ctx->arena, fe_sym, count + 1);
  memcpy(copy, ctx->syms.data, count * sizeof *copy);
  return copy;
}

static void restore(fe_ctx *ctx, const fe_sym *saved, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    ctx->syms.data[i].value = saved[i].value;
}

static side run_side(fe_ctx *ctx, fe_body body, const void *user, uint32_t count) {
  ir_builder outer = ctx->b;
  side out = {.region = ir_region_new(ctx->func, NULL)};
  ctx->b.region = out.region;
  ctx->b.before = NULL;
  uint32_t base = ctx->scope_base;
  if (body) {
    ctx->scope_base = count;
    body(ctx, user);
  }
  fe_leave(ctx, count);
  ctx->scope_base = base;
  out.syms = copy_syms(ctx, count);
  ctx->b = outer;
  return out;
}

static void leaves_in(fe_ctx *ctx, const side *sd, fe_value v, fe_leaves *out) {
  ir_builder outer = ctx->b;
  ctx->b.region = sd->region;
  ctx->b.before = NULL;
  fv_leaves(ctx, v, out);
  ctx->b = outer;
}

static void yield_in(fe_ctx *ctx, const side *sd, const fe_leaves *vals) {
  ir_builder outer = ctx->b;
  ctx->b.region = sd->region;
  ctx->b.before = NULL;
  ir_build(&ctx->b, IR_YIELD, vals->len, vals->data, 0, NULL);
  ctx->b = outer;
}

void fe_branch(fe_ctx *ctx, ir_val cond, tl_span span, fe_body then, const void *then_user,
               fe_body other, const void *other_user) {
  uint32_t count = ctx->syms.len;
  const fe_sym *before = copy_syms(ctx, count);
  side a = run_side(ctx, then, then_user, count);
  restore(ctx, before, count);
  side b = run_side(ctx, other, other_user, count);
  restore(ctx, before, count);

  fe_leaves from_a = {0}, from_b = {0};
  fe_numbers changed = {0};
  for (uint32_t i = 0; i < count; i++) {
    fe_value va = a.syms[i].value, vb = b.syms[i].value;
    if (before[i].kind != FS_VAR || fv_bad(va) || fv_bad(vb))
      continue;
    if (fv_same(va, vb)) {
      ctx->syms.data[i].value = va;
      continue;
    }
    tl_push(ctx->arena, &changed, (int)i);
    leaves_in(ctx, &a, va, &from_a);
    leaves_in(ctx, &b, vb, &from_b);
  }
  yield_in(ctx, &a, &from_a);
  yield_in(ctx, &b, &from_b);

  const ty_type **types = TL_NEW_N(ctx->arena, const ty_type *, from_a.len + 1);
  for (uint32_t i = 0; i < from_a.len; i++)
    types[i] = ir_type(ctx->func, from_a.data[i]);
  ctx->b.loc = span;
  ir_op *op = ir_build(&ctx->b, IR_IF, 1, &cond, from_a.len, types);
  op->regions[0] = a.region;
  op->regions[1] = b.region;
  a.region->parent = b.region->parent = op;
  const ir_val *at = op->res;
  for (uint32_t i = 0; i < changed.len; i++) {
    int number = changed.data[i];
    ctx->syms.data[number].value = fv_rebuild(ctx, a.syms[number].value, &at);
  }
}

static void run_block(fe_ctx *ctx, const void *user) {
  if (user)
    fe_block(ctx, user);
}

static void run_other(fe_ctx *ctx, const void *user) {
  if (user)
    fe_stmt(ctx, user);
}

void fe_if(fe_ctx *ctx, const ast_stmt *stmt) {
  fe_value known;
  ir_val cond = fe_condition(ctx, stmt->branch.cond, "if", &known);
  if (known.kind == FV_BOOL) {
    if (known.b)
      run_block(ctx, stmt->branch.then);
    else
      run_other(ctx, stmt->branch.other);
  } else if (ir_some(cond)) {
    fe_branch(ctx, cond, stmt->span, run_block, stmt->branch.then, run_other, stmt->branch.other);
  }
}
