// Operations along an axis whose order matters, by index, and on several tiles: prefixes, elements
// of tiles, counting, joining and splitting.
#include "frontend/check.h"

static const ty_type *want_tile(fe_ctx *ctx, const fe_call *call, int at) {
  fe_value v = call->values[at];
  const ty_type *type = v.kind == FV_IR ? ir_type(ctx->func, v.val) : NULL;
  if (type && type->rank)
    return type;
  fe_error(ctx, call->args[at]->span, DIAG_E0208, call->name, "a tile", fv_type_text(ctx, v));
  return NULL;
}

static fe_value wrong(fe_ctx *ctx, const fe_call *call, int at, const char *wanted) {
  fe_error(ctx, call->args[at]->span, DIAG_E0208, call->name, wanted,
           fv_type_text(ctx, call->values[at]));
  return fv_poison();
}

// --- prefixes -----------------------------------------------------------------------------------

BUILTIN_HANDLER(fe_b_scan) {
  static const char *const kinds[] = {"sum", "max", "min"};
  const ty_type *type = want_tile(ctx, call, 0);
  int axis;
  bool reverse, exclusive;
  if (!type)
    return fv_poison();
  if (type->dtype == TL_I1)
    return wrong(ctx, call, 0, "a tile of numbers");
  if (!fe_wants_arith(ctx, type->dtype, call->args[0]->span, call->name) ||
      !fe_named_axis(ctx, call, type, &axis) || !fe_named_flag(ctx, call, "reverse", &reverse) ||
      !fe_named_flag(ctx, call, "exclusive", &exclusive))
    return fv_poison();
  // Sums of 16-bit floats accumulate in f32 and round once, as reductions do.
  bool widen = arg == 0 && (type->dtype == TL_F16 || type->dtype == TL_BF16);
  ir_val x = call->values[0].val;
  if (widen)
    x = ir_cast(&ctx->b, x, TL_F32, NULL, false);
  ir_val out = ir_build1(&ctx->b, IR_SCAN, ir_type(ctx->func, x), 1, &x);
  ir_op *op = ir_def(ctx->func, out);
  ir_set_str(ctx->func, op, "kind", kinds[arg]);
  ir_set_int(ctx->func, op, "axis", axis);
  if (reverse)
    ir_set_int(ctx->func, op, "reverse", 1);
  if (exclusive)
    ir_set_int(ctx->func, op, "exclusive", 1);
  return fv_ir(widen ? ir_cast(&ctx->b, out, type->dtype, NULL, false) : out);
}

// --- by index -----------------------------------------------------------------------------------

ir_val fe_take(fe_ctx *ctx, ir_val x, ir_val index, int axis) {
  const ty_type *from = ir_type(ctx->func, x), *by = ir_type(ctx->func, index);
  int64_t dims[TY_MAX_RANK];
  int rank = 0;
  for (int d = 0; d < from->rank; d++)
    if (d != axis)
      dims[rank++] = from->dims[d];
    else if (by->rank)
      dims[rank++] = by->dims[by->rank == 1 ? 0 : axis];
  ir_val out =
      ir_build1(&ctx->b, IR_TAKE, fe_tile(ctx, from->dtype, rank, dims), 2, (ir_val[]){x, index});
  ir_set_int(ctx->func, ir_def(ctx->func, out), "axis", axis);
  return out;
}

// gather(x, index, axis =): index is a scalar, of rank 1, or of x's rank.
BUILTIN_HANDLER(fe_b_gather) {
  (void)arg;
  const ty_type *type = want_tile(ctx, call, 0);
  int axis;
  if (!type || !fe_named_axis(ctx, call, type, &axis))
    return fv_poison();
  fe_value index = fe_adapt(ctx, call->values[1], TL_I32, call->args[1]->span, "an index");
  if (fv_bad(index))
    return index;
  const ty_type *by = ir_type(ctx->func, index.val);
  bool fits = by->rank <= 1 || by->rank == type->rank;
  for (int d = 0; fits && by->rank == type->rank && d < by->rank; d++)
    fits = d == axis || by->dims[d] == type->dims[d];
  if (!fits) {
    fe_error(ctx, call->args[1]->span, DIAG_E0221, "the index", ty_text(ctx->arena, by),
             ty_text(ctx->arena, ty_with_dtype(ctx->types, type, TL_I32)));
    return fv_poison();
  }
  return fv_ir(fe_take(ctx, call->values[0].val, index.val, axis));
}

BUILTIN_HANDLER(fe_b_histogram) {
  (void)arg;
  int64_t bins[TY_MAX_RANK];
  int rank;
  const ty_type *type = want_tile(ctx, call, 0);
  if (!type || !fe_generic_dims(ctx, call, 0, bins, &rank))
    return fv_poison();
  if (rank != 1) {
    fe_error(ctx, call->expr->span, DIAG_E0109, "histogram[n]", "1", rank);
    return fv_poison();
  }
  if (type->dtype != TL_I32)
    return wrong(ctx, call, 0, "a tile of i32");
  ir_val args[2] = {call->values[0].val};
  uint32_t nargs = 1;
  const ast_expr *mask = fe_named(call, "mask");
  if (mask) {
    fe_value v = fe_eval_value(ctx, mask);
    ctx->b.loc = call->expr->span;
    v = fe_to_type(ctx, v, ty_with_dtype(ctx->types, type, TL_I1), mask->span, "'mask'");
    if (fv_bad(v))
      return v;
    args[nargs++] = v.val;
  }
  return fv_ir(ir_build1(&ctx->b, IR_HISTOGRAM, ty_tile(ctx->types, TL_I32, 1, bins), nargs, args));
}

// --- several tiles ------------------------------------------------------------------------------

ir_val fe_expand(fe_ctx *ctx, ir_val x, int axis) {
  const ty_type *type = ir_type(ctx->func, x);
  int64_t dims[TY_MAX_RANK] = {1};
  if (!type->rank)
    return ir_splat(&ctx->b, x, ty_tile(ctx->types, type->dtype, 1, dims));
  for (int d = 0; d <= type->rank; d++)
    dims[d] = d < axis ? type->dims[d] : d == axis ? 1 : type->dims[d - 1];
  ir_val out =
      ir_build1(&ctx->b, IR_EXPAND, ty_tile(ctx->types, type->dtype, type->rank + 1, dims), 1, &x);
  ir_set_int(ctx->func, ir_def(ctx->func, out), "axis", axis);
  return out;
}

// 0, 1, .. n-1 along `axis` of a tile's shape, the same everywhere else.
static ir_val numbers_along(fe_ctx *ctx, const ty_type *tile, int axis) {
  const ty_type *row = ty_tile(ctx->types, TL_I32, 1, &tile->dims[axis]);
  ir_val out = ir_build1(&ctx->b, IR_IOTA, row, 0, NULL);
  for (int d = 0; d < tile->rank; d++)
    if (d != axis)
      out = fe_expand(ctx, out, d);
  return ir_broadcast(&ctx->b, out, ty_with_dtype(ctx->types, tile, TL_I32));
}

static bool same_tiles(fe_ctx *ctx, const fe_call *call, const ty_type *a, const ty_type *b) {
  if (a == b)
    return true;
  fe_error(ctx, call->args[1]->span, DIAG_E0221, "the second tile", ty_text(ctx->arena, b),
           ty_text(ctx->arena, a));
  return false;
}

// join(a, b): a new last dim of 2.
BUILTIN_HANDLER(fe_b_join) {
  (void)arg;
  const ty_type *a = want_tile(ctx, call, 0), *b = a ? want_tile(ctx, call, 1) : NULL;
  if (!b || !same_tiles(ctx, call, a, b))
    return fv_poison();
  if (a->rank == TY_MAX_RANK) {
    fe_error(ctx, call->expr->span, DIAG_E0213,
             tl_sprintf(ctx->arena, "rank %d is over the limit of %d", a->rank + 1, TY_MAX_RANK));
    return fv_poison();
  }
  int64_t dims[TY_MAX_RANK];
  memcpy(dims, a->dims, sizeof dims);
  dims[a->rank] = 2;
  const ty_type *both = ty_tile(ctx->types, a->dtype, a->rank + 1, dims);
  ir_val which = numbers_along(ctx, both, a->rank);
  ir_val zero = ir_splat(&ctx->b, ir_const_int(&ctx->b, TL_I32, 0), ir_type(ctx->func, which));
  ir_val first = ir_broadcast(&ctx->b, fe_expand(ctx, call->values[0].val, a->rank), both);
  ir_val second = ir_broadcast(&ctx->b, fe_expand(ctx, call->values[1].val, a->rank), both);
  return fv_ir(ir_select(&ctx->b, ir_cmp(&ctx->b, "eq", which, zero), first, second));
}

static fe_value tuple_of(fe_ctx *ctx, ir_val a, ir_val b) {
  fe_value out = {.kind = FV_TUPLE};
  out.tuple.n = 2;
  out.tuple.items = TL_NEW_N(ctx->arena, fe_value, 2);
  out.tuple.items[0] = fv_ir(a);
  out.tuple.items[1] = fv_ir(b);
  return out;
}

// split(x): the two halves of a last dim of 2.
BUILTIN_HANDLER(fe_b_split) {
  (void)arg;
  const ty_type *type = want_tile(ctx, call, 0);
  if (!type)
    return fv_poison();
  int last = type->rank - 1;
  if (type->rank < 2 || type->dims[last] != 2)
    return wrong(ctx, call, 0, "a tile whose last dimension is 2");
  ir_val half[2];
  int64_t dims[TY_MAX_RANK], offsets[TY_MAX_RANK] = {0};
  memcpy(dims, type->dims, sizeof dims);
  dims[last] = 1;
  for (int i = 0; i < 2; i++) {
    offsets[last] = i;
    half[i] = ir_build1(&ctx->b, IR_SLICE, ty_tile(ctx->types, type->dtype, type->rank, dims), 1,
                        &call->values[0].val);
    ir_set_ints(ctx->func, ir_def(ctx->func, half[i]), "offsets", type->rank, offsets);
    half[i] =
        ir_build1(&ctx->b, IR_RESHAPE, ty_tile(ctx->types, type->dtype, last, dims), 1, &half[i]);
  }
  return tuple_of(ctx, half[0], half[1]);
}

// cat(a, b, axis =): positions of a, then of b. Each is read at a run of places, 0 outside of it.
BUILTIN_HANDLER(fe_b_cat) {
  (void)arg;
  const ty_type *a = want_tile(ctx, call, 0), *b = a ? want_tile(ctx, call, 1) : NULL;
  int axis;
  if (!b || !fe_named_axis(ctx, call, a, &axis))
    return fv_poison();
  int64_t dims[TY_MAX_RANK];
  memcpy(dims, b->dims, sizeof dims);
  if (a->rank == b->rank)
    dims[axis] = a->dims[axis];
  if (!same_tiles(ctx, call, a, ty_tile(ctx->types, b->dtype, b->rank, dims)))
    return fv_poison();
  dims[axis] = a->dims[axis] + b->dims[axis];
  const ty_type *both = ty_tile(ctx->types, a->dtype, a->rank, dims);
  const ty_type *row = ty_tile(ctx->types, TL_I32, 1, &dims[axis]);
  ir_val places = ir_build1(&ctx->b, IR_IOTA, row, 0, NULL);
  ir_val border = ir_splat(&ctx->b, ir_const_int(&ctx->b, TL_I32, a->dims[axis]), row);
  ir_val behind = ir_binary(&ctx->b, IR_SUB, places, border);
  ir_val first = fe_take(ctx, call->values[0].val, places, axis);
  ir_val second = fe_take(ctx, call->values[1].val, behind, axis);
  ir_val which = numbers_along(ctx, both, axis);
  border =
      ir_splat(&ctx->b, ir_const_int(&ctx->b, TL_I32, a->dims[axis]), ir_type(ctx->func, which));
  return fv_ir(ir_select(&ctx->b, ir_cmp(&ctx->b, "lt", which, border), first, second));
}
