// dot and dot_scaled: operand types, shapes against the tensor cores' atom, accumulator, scales.
#include "frontend/check.h"

typedef struct dot_shape {
  const ty_type *a, *b;
  int64_t m, n, k;
  tl_dtype result;
} dot_shape;

static bool is_narrow(tl_dtype dtype) {
  return dtype == TL_F8E4M3 || dtype == TL_F8E5M2 || dtype == TL_F4E2M1;
}

static bool can_multiply(tl_dtype a, tl_dtype b) {
  if (is_narrow(a) && is_narrow(b))
    return true;
  bool ints = (a == TL_I8 || a == TL_U8) && (b == TL_I8 || b == TL_U8);
  return ints || (a == b && (a == TL_F16 || a == TL_BF16 || a == TL_TF32));
}

static const ty_type *want_matrix(fe_ctx *ctx, const fe_call *call, int at) {
  fe_value v = call->values[at];
  const ty_type *type = v.kind == FV_IR ? ir_type(ctx->func, v.val) : NULL;
  if (type && type->rank == 2)
    return type;
  fe_error(ctx, call->args[at]->span, DIAG_E0217, call->name, 2, fv_type_text(ctx, v));
  return NULL;
}

static void origin_note(fe_ctx *ctx, tl_diag *diag, const fe_call *call, int at,
                        const ty_type *type) {
  fe_value v = call->values[at];
  if (v.origin.file && (v.origin.lo < call->expr->span.lo || v.origin.hi > call->expr->span.hi))
    tl_note(ctx->diags, diag, v.origin, "'%s' is %s, from here",
            fe_source_text(ctx, call->args[at]), ty_text(ctx->arena, type));
}

static void inner_dims_differ(fe_ctx *ctx, const fe_call *call, const dot_shape *ds, int b_at) {
  tl_diag *diag = fe_error(ctx, call->expr->span, DIAG_E0214, call->name,
                           ty_text(ctx->arena, ds->a), ty_text(ctx->arena, ds->b));
  origin_note(ctx, diag, call, 0, ds->a);
  origin_note(ctx, diag, call, b_at, ds->b);
  const ast_expr *b = call->args[b_at];
  if (ds->a->dims[1] == ds->b->dims[1]) {
    tl_help(ctx->diags, diag, "the second operand must have K first; transposing is free");
    tl_fixit(ctx->diags, diag, b->span,
             tl_sprintf(ctx->arena, "trans(%s)", fe_source_text(ctx, b)));
  } else if (ds->a->dims[0] == ds->b->dims[0]) {
    tl_help(ctx->diags, diag, "the first operand must have K last; transposing is free");
    tl_fixit(ctx->diags, diag, call->args[0]->span,
             tl_sprintf(ctx->arena, "trans(%s)", fe_source_text(ctx, call->args[0])));
  }
}

static bool multiple_of(fe_ctx *ctx, const fe_call *call, int at, const char *name, int64_t size,
                        int atom) {
  if (size % atom == 0)
    return true;
  tl_diag *diag =
      fe_error(ctx, call->args[at]->span, DIAG_E0215, name, call->name, (int)size, atom);
  int64_t below = size / atom * atom;
  if (below)
    tl_help(ctx->diags, diag, "nearest legal sizes: %lld and %lld", (long long)below,
            (long long)below + atom);
  else
    tl_help(ctx->diags, diag, "nearest legal size: %d", atom);
  return false;
}

// Elements of K in one atom: 32 bytes; a 4-bit operand beside an 8-bit one takes a byte each.
static int atom_k(const dot_shape *ds) {
  int a = tl_dtype_bits(ds->a->dtype), b = tl_dtype_bits(ds->b->dtype);
  return 256 / (a > b ? a : b);
}

static bool check_operands(fe_ctx *ctx, const fe_call *call, int b_at, dot_shape *ds) {
  ds->a = want_matrix(ctx, call, 0);
  ds->b = ds->a ? want_matrix(ctx, call, b_at) : NULL;
  if (!ds->b)
    return false;
  if (!can_multiply(ds->a->dtype, ds->b->dtype)) {
    tl_diag *diag = fe_error(ctx, call->expr->span, DIAG_E0216, call->name,
                             tl_dtype_name(ds->a->dtype), tl_dtype_name(ds->b->dtype));
    if (ds->a->dtype == TL_F32 && ds->b->dtype == TL_F32)
      tl_help(ctx->diags, diag, "round the operands: tf32(x), bf16(x) or f16(x)");
    return false;
  }
  if (ds->a->dims[1] != ds->b->dims[0]) {
    inner_dims_differ(ctx, call, ds, b_at);
    return false;
  }
  ds->m = ds->a->dims[0];
  ds->k = ds->a->dims[1];
  ds->n = ds->b->dims[1];
  ds->result = tl_is_int(ds->a->dtype) ? TL_I32 : TL_F32;
  // The rows of the atom are 16, its columns 8: where M is short the operands change places (swap).
  bool m = multiple_of(ctx, call, 0, "M", ds->m, ds->n % 16 ? 16 : 8);
  bool n = multiple_of(ctx, call, b_at, "N", ds->n, 8);
  return multiple_of(ctx, call, 0, "K", ds->k, atom_k(ds)) && m && n;
}

// The accumulator: positional, named or zero. {0} after a report.
static ir_val accumulator(fe_ctx *ctx, const fe_call *call, int at, const dot_shape *ds) {
  const ty_type *type = ty_tile(ctx->types, ds->result, 2, (int64_t[]){ds->m, ds->n});
  const ast_expr *named = fe_named(call, "acc");
  fe_value v = fv_int(0);
  tl_span span = call->expr->span;
  if (call->nargs > at) {
    v = call->values[at];
    span = call->args[at]->span;
  } else if (named) {
    v = fe_eval_value(ctx, named);
    span = named->span;
  }
  if (fv_bad(v))
    return (ir_val){0};
  const ty_type *given = fv_type(ctx, v);
  if (v.kind == FV_IR && given->rank &&
      (given->dtype != type->dtype || !ty_same_shape(given, type))) {
    tl_diag *diag = fe_error(ctx, span, DIAG_E0218, call->name, ty_text(ctx->arena, given),
                             ty_text(ctx->arena, type));
    if (v.origin.file)
      tl_note(ctx->diags, diag, v.origin, "the accumulator is from here");
    return (ir_val){0};
  }
  ctx->b.loc = call->expr->span;
  v = fe_to_type(ctx, v, type, span, tl_sprintf(ctx->arena, "accumulator of '%s'", call->name));
  return fv_bad(v) ? (ir_val){0} : v.val;
}

BUILTIN_HANDLER(fe_b_dot) {
  (void)arg;
  dot_shape ds;
  if (!check_operands(ctx, call, 1, &ds))
    return fv_poison();
  ir_val acc = accumulator(ctx, call, 2, &ds);
  int64_t promote = is_narrow(ds.a->dtype) ? 128 : 0;
  const ast_expr *expr = fe_named(call, "promote");
  bool automatic = !expr || (expr->kind == AST_IDENT && strcmp(expr->ident, "auto") == 0);
  if (!ir_some(acc) || (!automatic && !fe_named_int(ctx, call, "promote", promote, &promote)))
    return fv_poison();
  if (promote < 0 || promote % atom_k(&ds)) {
    fe_error(ctx, expr->span, DIAG_E0215, "promote", call->name, (int)promote, atom_k(&ds));
    return fv_poison();
  }
  ir_val out = ir_build1(&ctx->b, IR_DOT, ir_type(ctx->func, acc), 3,
                         (ir_val[]){call->values[0].val, call->values[1].val, acc});
  ir_set_int(ctx->func, ir_def(ctx->func, out), "promote", promote);
  return fv_ir(out);
}

// --- scales -------------------------------------------------------------------------------------

// sa: [M] or [M, blocks]; sb: [N] or [blocks, N]; a scalar stands for all of its side. {0}:
// reported.
static ir_val scales(fe_ctx *ctx, const fe_call *call, int at, int64_t side, int64_t blocks,
                     bool blocks_first, int64_t granularity, int64_t k) {
  fe_value v = call->values[at];
  if (fv_is_const(v))
    v = fe_adapt(ctx, v, TL_F32, call->args[at]->span, "scales");
  if (v.kind != FV_IR) {
    fe_error(ctx, call->args[at]->span, DIAG_E0208, call->name, "f32 or ue8m0 scales",
             fv_type_text(ctx, v));
    return (ir_val){0};
  }
  const ty_type *type = ir_type(ctx->func, v.val);
  if (type->dtype != TL_F32 && type->dtype != TL_UE8M0) {
    fe_error(ctx, call->args[at]->span, DIAG_E0620, tl_dtype_name(type->dtype), "scales");
    return (ir_val){0};
  }
  if (type->rank == 0)
    return ir_broadcast(&ctx->b, v.val, ty_tile(ctx->types, type->dtype, 1, &side));
  bool one = type->rank == 1 && type->dims[0] == side && k <= granularity;
  bool many =
      type->rank == 2 && type->dims[blocks_first] == side && type->dims[!blocks_first] == blocks;
  if (one || many)
    return v.val;
  int64_t full[2] = {blocks_first ? blocks : side, blocks_first ? side : blocks};
  tl_diag *diag =
      fe_error(ctx, call->args[at]->span, DIAG_E0219, call->name, ty_text(ctx->arena, type),
               ty_text(ctx->arena, ty_tile(ctx->types, type->dtype, 2, full)));
  origin_note(ctx, diag, call, at, type);
  if (k <= granularity)
    tl_help(ctx->diags, diag, "one block of K needs one scale each: [%lld]", (long long)side);
  return (ir_val){0};
}

BUILTIN_HANDLER(fe_b_dot_scaled) {
  (void)arg;
  dot_shape ds;
  int64_t granularity;
  for (int at = 0; at < 4; at += 2) {
    fe_value v = call->values[at];
    tl_dtype dtype = v.kind == FV_IR ? ir_type(ctx->func, v.val)->dtype : TL_NODTYPE;
    if (dtype == TL_F6E2M3 || dtype == TL_F6E3M2) {
      fe_error(ctx, call->args[at]->span, DIAG_E0620, tl_dtype_name(dtype), "operands");
      return fv_poison();
    }
  }
  if (!check_operands(ctx, call, 2, &ds) ||
      !fe_named_int(ctx, call, "granularity", 128, &granularity))
    return fv_poison();
  if (!is_narrow(ds.a->dtype)) {
    fe_error(ctx, call->expr->span, DIAG_E0216, call->name, tl_dtype_name(ds.a->dtype),
             tl_dtype_name(ds.b->dtype));
    return fv_poison();
  }
  bool fits = granularity >= 32 && granularity % 32 == 0 &&
              (ds.k % granularity == 0 || granularity % ds.k == 0);
  if (!fits) {
    fe_error(ctx, call->expr->span, DIAG_E0248, (int)granularity, (int)ds.k);
    return fv_poison();
  }
  int64_t blocks = ds.k > granularity ? ds.k / granularity : 1;
  ir_val sa = scales(ctx, call, 1, ds.m, blocks, false, granularity, ds.k);
  ir_val sb = scales(ctx, call, 3, ds.n, blocks, true, granularity, ds.k);
  ir_val acc = accumulator(ctx, call, 4, &ds);
  if (!ir_some(sa) || !ir_some(sb) || !ir_some(acc))
    return fv_poison();
  ir_val out = ir_build1(&ctx->b, IR_DOT_SCALED, ir_type(ctx->func, acc), 5,
                         (ir_val[]){call->values[0].val, sa, call->values[2].val, sb, acc});
  ir_set_int(ctx->func, ir_def(ctx->func, out), "granularity", granularity);
  return fv_ir(out);
}
