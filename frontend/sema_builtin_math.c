// Elementwise functions and reductions.
//
// f16 and bf16 go through f32: one rounding at the end. The approximations are those of the
// hardware; exp, log and sigmoid are built from exp2, log2 and rcp, erf from a polynomial
// (Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7).
#include "frontend/check.h"
#include <math.h>

static fe_value wrong_type(fe_ctx *ctx, const fe_call *call, int at, fe_value v) {
  tl_diag *diag = fe_error(ctx, call->args[at]->span, DIAG_E0204, call->name, fv_type_text(ctx, v));
  if (v.kind == FV_IR && tl_is_int(ir_type(ctx->func, v.val)->dtype))
    tl_fixit(ctx->diags, diag, call->args[at]->span,
             tl_sprintf(ctx->arena, "f32(%s)", fe_source_text(ctx, call->args[at])));
  return fv_poison();
}

static bool is_value(fe_value v) { return v.kind == FV_IR || fv_is_const(v); }

static ir_val like(fe_ctx *ctx, ir_val x, double value) {
  const ty_type *type = ir_type(ctx->func, x);
  return ir_broadcast(&ctx->b, ir_const_float(&ctx->b, type->dtype, value), type);
}

static ir_val mul_by(fe_ctx *ctx, ir_val x, double value) {
  return ir_binary(&ctx->b, IR_MUL, x, like(ctx, x, value));
}

static ir_val exp2_of(fe_ctx *ctx, ir_val x) { return ir_unary(&ctx->b, IR_EXP2, x); }

static ir_val sigmoid_of(fe_ctx *ctx, ir_val x) {
  ir_val e = exp2_of(ctx, mul_by(ctx, x, -M_LOG2E));
  return ir_unary(&ctx->b, IR_RCP, ir_binary(&ctx->b, IR_ADD, e, like(ctx, x, 1)));
}

static ir_val erf_of(fe_ctx *ctx, ir_val x) {
  static const double a[] = {1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592};
  ir_builder *b = &ctx->b;
  ir_val ax = ir_unary(b, IR_ABS, x);
  ir_val t = ir_unary(b, IR_RCP, ir_binary(b, IR_ADD, mul_by(ctx, ax, 0.3275911), like(ctx, x, 1)));
  ir_val p = like(ctx, x, a[0]);
  for (int i = 1; i < 5; i++)
    p = ir_binary(b, IR_ADD, ir_binary(b, IR_MUL, p, t), like(ctx, x, a[i]));
  p = ir_binary(b, IR_MUL, p, t);
  ir_val e = exp2_of(ctx, mul_by(ctx, ir_binary(b, IR_MUL, x, x), -M_LOG2E));
  ir_val y = ir_binary(b, IR_SUB, like(ctx, x, 1), ir_binary(b, IR_MUL, p, e));
  ir_val negative = ir_cmp(b, "lt", x, like(ctx, x, 0));
  return ir_select(b, negative, ir_unary(b, IR_NEG, y), y);
}

static ir_val with_precise(fe_ctx *ctx, ir_val val, bool precise) {
  if (precise)
    ir_set_int(ctx->func, ir_def(ctx->func, val), "precise", 1);
  return val;
}

static ir_val math_of(fe_ctx *ctx, fe_math kind, ir_val x, bool precise) {
  ir_builder *b = &ctx->b;
  switch (kind) {
  case FE_M_EXP2:
    return with_precise(ctx, exp2_of(ctx, x), precise);
  case FE_M_LOG2:
    return ir_unary(b, IR_LOG2, x);
  case FE_M_EXP:
    return with_precise(ctx, exp2_of(ctx, mul_by(ctx, x, M_LOG2E)), precise);
  case FE_M_LOG:
    return mul_by(ctx, ir_unary(b, IR_LOG2, x), M_LN2);
  case FE_M_SQRT:
    return with_precise(ctx, ir_unary(b, IR_SQRT, x), precise);
  case FE_M_RSQRT:
    return ir_unary(b, IR_RSQRT, x);
  case FE_M_RCP:
    return with_precise(ctx, ir_unary(b, IR_RCP, x), precise);
  case FE_M_TANH:
    return ir_unary(b, IR_TANH, x);
  case FE_M_ERF:
    return erf_of(ctx, x);
  case FE_M_SIN:
    return ir_unary(b, IR_SIN, x);
  case FE_M_COS:
    return ir_unary(b, IR_COS, x);
  case FE_M_SIGMOID:
    return sigmoid_of(ctx, x);
  }
  TL_UNREACHABLE("math function %d", (int)kind);
}

static bool wants_precise(fe_ctx *ctx, const fe_call *call, bool *out) {
  *out = call->ngenerics > 0;
  if (!*out)
    return true;
  const ast_sub *sub = &call->generics[0];
  if (sub->kind == AST_SUB_EXPR && sub->value->kind == AST_IDENT &&
      !strcmp(sub->value->ident, "precise"))
    return true;
  fe_error(ctx, sub->span, DIAG_E0116, call->name, "precise",
           sub->kind == AST_SUB_EXPR ? fe_source_text(ctx, sub->value) : "a type");
  return false;
}

BUILTIN_HANDLER(fe_b_math) {
  bool precise;
  fe_value v = call->values[0];
  if (!wants_precise(ctx, call, &precise))
    return fv_poison();
  if (fv_is_const(v) && v.kind != FV_BOOL)
    v = fe_adapt(ctx, v, TL_F32, call->args[0]->span, call->name);
  tl_dtype dtype = v.kind == FV_IR ? ir_type(ctx->func, v.val)->dtype : TL_NODTYPE;
  if (dtype == TL_F64) {
    fe_error(ctx, call->args[0]->span, DIAG_E0621, call->name);
    return fv_poison();
  }
  if (dtype != TL_F32 && dtype != TL_F16 && dtype != TL_BF16)
    return wrong_type(ctx, call, 0, v);
  ir_val x = dtype == TL_F32 ? v.val : ir_cast(&ctx->b, v.val, TL_F32, NULL, false);
  x = math_of(ctx, (fe_math)arg, x, precise);
  return fv_ir(dtype == TL_F32 ? x : ir_cast(&ctx->b, x, dtype, NULL, false));
}

// --- other elementwise --------------------------------------------------------------------------

BUILTIN_HANDLER(fe_b_minmax) {
  fe_value a = call->values[0], b = call->values[1];
  bool is_max = arg & 1, nan = arg & 2;
  if ((a.kind == FV_INT || a.kind == FV_FLOAT) && (b.kind == FV_INT || b.kind == FV_FLOAT)) {
    double x = a.kind == FV_INT ? (double)a.i : a.f, y = b.kind == FV_INT ? (double)b.i : b.f;
    if (a.kind == FV_INT && b.kind == FV_INT)
      return fv_int((a.i > b.i) == is_max ? a.i : b.i);
    if (x == x && y == y)
      return fv_float((x > y) == is_max ? x : y);
  }
  if (!fe_unify(ctx, &a, &b, call->args[0]->span, call->args[1]->span, call->expr->span,
                call->name) ||
      !fe_wants_arith(ctx, ir_type(ctx->func, a.val)->dtype, call->expr->span, call->name))
    return fv_poison();
  ir_val out = ir_binary(&ctx->b, is_max ? IR_MAX : IR_MIN, a.val, b.val);
  if (nan)
    ir_set_int(ctx->func, ir_def(ctx->func, out), "nan", 1);
  return fv_ir(out);
}

BUILTIN_HANDLER(fe_b_abs) {
  (void)arg;
  fe_value v = call->values[0];
  if (v.kind == FV_INT && v.i != INT64_MIN)
    return fv_int(v.i < 0 ? -v.i : v.i);
  if (v.kind == FV_FLOAT)
    return fv_float(fabs(v.f));
  if (v.kind != FV_IR)
    return wrong_type(ctx, call, 0, v);
  tl_dtype dtype = ir_type(ctx->func, v.val)->dtype;
  if (!fe_wants_arith(ctx, dtype, call->args[0]->span, call->name))
    return fv_poison();
  bool is_unsigned = tl_is_int(dtype) && !tl_is_signed(dtype);
  return is_unsigned ? v : fv_ir(ir_unary(&ctx->b, IR_ABS, v.val));
}

// Three operands of one type and shape.
static bool unify3(fe_ctx *ctx, const fe_call *call, fe_value v[3]) {
  tl_span s[3] = {call->args[0]->span, call->args[1]->span, call->args[2]->span};
  for (int i = 0; i < 3; i++) {
    v[i] = call->values[i];
    if (!is_value(v[i]))
      return wrong_type(ctx, call, i, v[i]), false;
  }
  // A constant learns its type from any of the others.
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      if (v[i].kind == FV_IR && fv_is_const(v[j]) &&
          !fe_unify_dtype(ctx, &v[i], &v[j], s[i], s[j], call->expr->span, call->name))
        return false;
  return fe_unify(ctx, &v[0], &v[1], s[0], s[1], call->expr->span, call->name) &&
         fe_unify(ctx, &v[1], &v[2], s[1], s[2], call->expr->span, call->name) &&
         fe_unify(ctx, &v[0], &v[2], s[0], s[2], call->expr->span, call->name);
}

BUILTIN_HANDLER(fe_b_clamp) {
  (void)arg;
  fe_value v[3];
  if (!unify3(ctx, call, v) ||
      !fe_wants_arith(ctx, ir_type(ctx->func, v[0].val)->dtype, call->expr->span, call->name))
    return fv_poison();
  return fv_ir(
      ir_binary(&ctx->b, IR_MIN, ir_binary(&ctx->b, IR_MAX, v[0].val, v[1].val), v[2].val));
}

BUILTIN_HANDLER(fe_b_fma) {
  (void)arg;
  fe_value v[3];
  if (!unify3(ctx, call, v))
    return fv_poison();
  tl_dtype dtype = ir_type(ctx->func, v[0].val)->dtype;
  if (!tl_is_float(dtype))
    return wrong_type(ctx, call, 0, v[0]);
  if (!fe_wants_arith(ctx, dtype, call->expr->span, call->name))
    return fv_poison();
  return fv_ir(ir_build1(&ctx->b, IR_FMA, ir_type(ctx->func, v[0].val), 3,
                         (ir_val[]){v[0].val, v[1].val, v[2].val}));
}

BUILTIN_HANDLER(fe_b_where) {
  (void)arg;
  fe_value c = call->values[0], a = call->values[1], b = call->values[2];
  if (c.kind == FV_BOOL && is_value(a) && is_value(b))
    return c.b ? a : b;
  if (c.kind != FV_IR || ir_type(ctx->func, c.val)->dtype != TL_I1) {
    fe_error(ctx, call->args[0]->span, DIAG_E0206, "where", fv_type_text(ctx, c));
    return fv_poison();
  }
  if (!fe_unify(ctx, &a, &b, call->args[1]->span, call->args[2]->span, call->expr->span,
                call->name))
    return fv_poison();
  const ty_type *tc = ir_type(ctx->func, c.val), *ta = ir_type(ctx->func, a.val);
  const ty_type *type = fe_join_shape(ctx, ta, tc);
  if (!type) {
    fe_error(ctx, call->expr->span, DIAG_E0202, call->name, ty_text(ctx->arena, tc),
             ty_text(ctx->arena, ta));
    return fv_poison();
  }
  type = ty_with_dtype(ctx->types, type, ta->dtype);
  return fv_ir(ir_select(&ctx->b,
                         ir_broadcast(&ctx->b, c.val, ty_with_dtype(ctx->types, type, TL_I1)),
                         ir_broadcast(&ctx->b, a.val, type), ir_broadcast(&ctx->b, b.val, type)));
}

// --- reductions ---------------------------------------------------------------------------------

BUILTIN_HANDLER(fe_b_reduce) {
  static const char *const kinds[] = {"sum", "prod", "max",    "min",
                                      "any", "all",  "argmax", "argmin"};
  fe_value v = call->values[0];
  const ty_type *type = v.kind == FV_IR ? ir_type(ctx->func, v.val) : NULL;
  if (!type || !type->rank) {
    fe_error(ctx, call->args[0]->span, DIAG_E0208, call->name, "a tile", fv_type_text(ctx, v));
    return fv_poison();
  }
  bool logical = arg == FE_R_ANY || arg == FE_R_ALL, index = arg >= FE_R_ARGMAX;
  if (logical ? type->dtype != TL_I1 : type->dtype == TL_I1)
    return wrong_type(ctx, call, 0, v);
  if (!logical && !fe_wants_arith(ctx, type->dtype, call->args[0]->span, call->name))
    return fv_poison();
  int axis;
  const char *order = fe_choice(ctx, call, "order", "tree|sequential", "tree");
  bool keepdims;
  if (!order || !fe_named_axis(ctx, call, type, &axis) ||
      !fe_named_flag(ctx, call, "keepdims", &keepdims))
    return fv_poison();
  // Sums and products of 16-bit floats accumulate in f32 and round once.
  bool widen = arg <= FE_R_PROD && (type->dtype == TL_F16 || type->dtype == TL_BF16);
  ir_val x = widen ? ir_cast(&ctx->b, v.val, TL_F32, NULL, false) : v.val;
  int64_t dims[TY_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < type->rank; i++)
    if (i != axis)
      dims[rank++] = type->dims[i];
  tl_dtype dtype = index ? TL_I32 : widen ? TL_F32 : type->dtype;
  ir_val out = ir_build1(&ctx->b, IR_REDUCE, fe_tile(ctx, dtype, rank, dims), 1, &x);
  ir_op *op = ir_def(ctx->func, out);
  ir_set_str(ctx->func, op, "kind", kinds[arg]);
  ir_set_int(ctx->func, op, "axis", axis);
  ir_set_str(ctx->func, op, "order", order);
  if (widen)
    out = ir_cast(&ctx->b, out, type->dtype, NULL, false);
  return fv_ir(keepdims ? fe_expand(ctx, out, axis) : out);
}
