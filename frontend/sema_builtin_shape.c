// Tiles out of nothing, other views of the same elements, casts.
#include "frontend/check.h"

static const ty_type *want_tile(fe_ctx *ctx, const fe_call *call) {
  fe_value v = call->values[0];
  const ty_type *type = v.kind == FV_IR ? ir_type(ctx->func, v.val) : NULL;
  if (type && type->rank)
    return type;
  fe_error(ctx, call->args[0]->span, DIAG_E0208, call->name, "a tile", fv_type_text(ctx, v));
  return NULL;
}

static fe_value permuted(fe_ctx *ctx, ir_val x, const int64_t *order) {
  const ty_type *type = ir_type(ctx->func, x);
  int64_t dims[TY_MAX_RANK];
  for (int i = 0; i < type->rank; i++)
    dims[i] = type->dims[order[i]];
  ir_val out =
      ir_build1(&ctx->b, IR_PERMUTE, ty_tile(ctx->types, type->dtype, type->rank, dims), 1, &x);
  ir_set_ints(ctx->func, ir_def(ctx->func, out), "order", type->rank, order);
  return fv_ir(out);
}

BUILTIN_HANDLER(fe_b_trans) {
  (void)arg;
  const ty_type *type = want_tile(ctx, call);
  if (!type)
    return fv_poison();
  if (type->rank != 2) {
    fe_error(ctx, call->args[0]->span, DIAG_E0217, call->name, 2, ty_text(ctx->arena, type));
    return fv_poison();
  }
  return permuted(ctx, call->values[0].val, (int64_t[]){1, 0});
}

BUILTIN_HANDLER(fe_b_permute) {
  (void)arg;
  const ty_type *type = want_tile(ctx, call);
  int64_t order[TY_MAX_RANK];
  bool seen[TY_MAX_RANK] = {0};
  if (!type)
    return fv_poison();
  bool ok = call->nargs - 1 == type->rank;
  for (int i = 0; ok && i < type->rank; i++) {
    fe_value v = call->values[i + 1];
    ok = v.kind == FV_INT && v.i >= 0 && v.i < type->rank && !seen[v.i];
    if (ok)
      seen[order[i] = v.i] = true;
  }
  if (!ok) {
    fe_error(ctx, call->expr->span, DIAG_E0247, type->rank - 1, ty_text(ctx->arena, type));
    return fv_poison();
  }
  return permuted(ctx, call->values[0].val, order);
}

BUILTIN_HANDLER(fe_b_reshape) {
  (void)arg;
  int64_t dims[TY_MAX_RANK];
  int rank;
  const ty_type *type = want_tile(ctx, call);
  if (!type || !fe_generic_dims(ctx, call, 0, dims, &rank))
    return fv_poison();
  if (!rank) {
    fe_error(ctx, call->expr->span, DIAG_E0109, "reshape[...]", "1 to 5", 0);
    return fv_poison();
  }
  const ty_type *wanted = ty_tile(ctx->types, type->dtype, rank, dims);
  if (ty_elems(wanted) != ty_elems(type)) {
    fe_error(ctx, call->expr->span, DIAG_E0229, ty_text(ctx->arena, type),
             ty_text(ctx->arena, wanted));
    return fv_poison();
  }
  return fv_ir(ir_build1(&ctx->b, IR_RESHAPE, wanted, 1, &call->values[0].val));
}

static tl_dtype generic_dtype(fe_ctx *ctx, const fe_call *call) {
  if (call->ngenerics == 1) {
    const ast_sub *sub = &call->generics[0];
    fe_value v = fv_poison();
    if (sub->kind == AST_SUB_DTYPE)
      return sub->dtype;
    if (sub->kind == AST_SUB_EXPR) {
      v = fe_eval(ctx, sub->value);
      if (v.kind == FV_DTYPE)
        return v.dtype;
      if (fv_bad(v))
        return TL_NODTYPE;
    }
  }
  fe_error(ctx, call->expr->span, DIAG_E0207, tl_sprintf(ctx->arena, "%s[T]", call->name), "dtype");
  return TL_NODTYPE;
}

BUILTIN_HANDLER(fe_b_view) {
  (void)arg;
  tl_dtype to = generic_dtype(ctx, call);
  fe_value v = fv_materialize(ctx, call->values[0]);
  if (to == TL_NODTYPE)
    return fv_poison();
  if (v.kind == FV_TENSOR)
    return fe_tensor_view(ctx, call, to);
  if (call->nnamed) {
    fe_error(ctx, call->named[0]->span, DIAG_E0208, "offset, shape and strides", "a tensor",
             fv_type_text(ctx, v));
    return fv_poison();
  }
  if (v.kind != FV_IR) {
    fe_error(ctx, call->args[0]->span, DIAG_E0208, call->name, "a value", fv_type_text(ctx, v));
    return fv_poison();
  }
  const ty_type *type = ir_type(ctx->func, v.val);
  if (type->dtype == to)
    return v;
  int from_bits = tl_dtype_bits(type->dtype), to_bits = tl_dtype_bits(to);
  int64_t dims[TY_MAX_RANK];
  memcpy(dims, type->dims, sizeof dims);
  int64_t bits = (type->rank ? dims[type->rank - 1] : 1) * from_bits;
  bool ok = type->dtype != TL_I1 && to != TL_I1 && bits % to_bits == 0 &&
            (type->rank || from_bits == to_bits);
  if (!ok) {
    fe_error(ctx, call->expr->span, DIAG_E0229, ty_text(ctx->arena, type), tl_dtype_name(to));
    return fv_poison();
  }
  if (type->rank)
    dims[type->rank - 1] = bits / to_bits;
  return fv_ir(ir_build1(&ctx->b, IR_BITCAST, fe_tile(ctx, to, type->rank, dims), 1, &v.val));
}

BUILTIN_HANDLER(fe_b_cast) {
  (void)arg;
  tl_dtype to = generic_dtype(ctx, call);
  return to == TL_NODTYPE ? fv_poison() : fe_cast(ctx, call->values[0], to, call, call->expr->span);
}

// --- constants as tiles -------------------------------------------------------------------------

// An element type may stand before the dims: full[f16, BM, BN](0).
static bool typed_dims(fe_ctx *ctx, const fe_call *call, tl_dtype *dtype, int64_t *dims,
                       int *rank) {
  uint32_t first = 0;
  *dtype = TL_NODTYPE;
  if (call->ngenerics) {
    const ast_sub *sub = &call->generics[0];
    fe_value v;
    if (sub->kind == AST_SUB_DTYPE)
      *dtype = sub->dtype;
    else if (sub->kind == AST_SUB_EXPR && fe_try_const(ctx, sub->value, &v) && v.kind == FV_DTYPE)
      *dtype = v.dtype;
    first = *dtype != TL_NODTYPE;
  }
  if (!fe_generic_dims(ctx, call, first, dims, rank))
    return false;
  if (*rank)
    return true;
  fe_error(ctx, call->expr->span, DIAG_E0109, tl_sprintf(ctx->arena, "%s[...]", call->name),
           "1 to 5", *rank);
  return false;
}

BUILTIN_HANDLER(fe_b_full) {
  (void)arg;
  tl_dtype dtype;
  int64_t dims[TY_MAX_RANK];
  int rank;
  if (!typed_dims(ctx, call, &dtype, dims, &rank))
    return fv_poison();
  fe_value v = call->values[0];
  if (dtype == TL_NODTYPE)
    dtype = fv_type(ctx, v)->dtype;
  if (dtype == TL_NODTYPE || (v.kind == FV_IR && ir_type(ctx->func, v.val)->rank)) {
    fe_error(ctx, call->args[0]->span, DIAG_E0208, call->name, "a scalar", fv_type_text(ctx, v));
    return fv_poison();
  }
  return fe_to_type(ctx, v, ty_tile(ctx->types, dtype, rank, dims), call->args[0]->span,
                    call->name);
}

BUILTIN_HANDLER(fe_b_zeros) {
  (void)arg;
  tl_dtype dtype;
  int64_t dims[TY_MAX_RANK];
  int rank;
  if (!typed_dims(ctx, call, &dtype, dims, &rank))
    return fv_poison();
  if (dtype == TL_NODTYPE)
    dtype = TL_F32;
  return fe_zero(ctx, ty_tile(ctx->types, dtype, rank, dims), NULL, call->expr->span);
}

BUILTIN_HANDLER(fe_b_iota) {
  (void)arg;
  int64_t dims[TY_MAX_RANK];
  int rank;
  if (!fe_generic_dims(ctx, call, 0, dims, &rank))
    return fv_poison();
  if (rank != 1) {
    fe_error(ctx, call->expr->span, DIAG_E0109, "iota[n]", "1", rank);
    return fv_poison();
  }
  const ty_type *type = ty_tile(ctx->types, TL_I32, 1, dims);
  const ast_expr *start = fe_named(call, "start"), *step = fe_named(call, "step");
  ir_val out = ir_build1(&ctx->b, IR_IOTA, type, 0, NULL);
  if (step) {
    ir_val by = fe_eval_i32(ctx, step, "'step'");
    if (!ir_some(by))
      return fv_poison();
    out = ir_binary(&ctx->b, IR_MUL, out, ir_broadcast(&ctx->b, by, type));
  }
  if (start) {
    ir_val from = fe_eval_i32(ctx, start, "'start'");
    if (!ir_some(from))
      return fv_poison();
    out = ir_binary(&ctx->b, IR_ADD, out, ir_broadcast(&ctx->b, from, type));
  }
  return fv_ir(out);
}
