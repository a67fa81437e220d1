// Views of tensors: view[T](X, offset =, shape =, strides =). The bytes of X's last dim are seen as
// elements of T, from `offset` on (in elements of X), with dims of their own in place of the last
// one. A view never leaves the rows of what it views: its first own dim is cut to what fits, and is
// 0 where a stride or the offset is no multiple of the element. So S7.4 needs no other check.
#include "frontend/check.h"

typedef struct viewer {
  fe_ctx *ctx;
  const fe_call *call;
  const fe_tensor *of;
  tl_dtype to;
  int from_bits, to_bits;
  ir_val fits; // i1: run-time strides and offset are multiples of the element; {0}: known
} viewer;

static fe_value refuse(const viewer *w, const char *why) {
  fe_error(w->ctx, w->call->expr->span, DIAG_E0251, w->of->name, tl_dtype_name(w->to), why);
  return fv_poison();
}

// --- 64-bit arithmetic that folds ---------------------------------------------------------------

static ir_val wide(const viewer *w, fe_value v) { // {0} after a report
  fe_ctx *ctx = w->ctx;
  if (v.kind == FV_INT)
    return ir_const_int(&ctx->b, TL_I64, v.i);
  const ty_type *type = v.kind == FV_IR ? ir_type(ctx->func, v.val) : NULL;
  if (type && !type->rank && type->dtype == TL_I64)
    return v.val;
  if (type && !type->rank && type->dtype == TL_I32)
    return ir_cast(&ctx->b, v.val, TL_I64, NULL, false);
  fe_error(ctx, w->call->expr->span, DIAG_E0208, "view", "scalars of i32 or i64",
           fv_type_text(ctx, v));
  return (ir_val){0};
}

static fe_value compute(const viewer *w, ir_code code, fe_value a, fe_value b) {
  static const ast_op ops[] = {AST_OP_ADD, AST_OP_SUB, AST_OP_MUL, AST_OP_DIV, AST_OP_MOD};
  fe_value out;
  const char *why = NULL;
  if (fv_bad(a) || fv_bad(b))
    return fv_poison();
  if (a.kind == FV_INT && b.kind == FV_INT && fe_fold_binary(ops[code - IR_ADD], a, b, &out, &why))
    return out;
  ir_val x = wide(w, a), y = wide(w, b);
  return ir_some(x) && ir_some(y) ? fv_ir(ir_binary(&w->ctx->b, code, x, y)) : fv_poison();
}

static fe_value smaller_of(const viewer *w, fe_value a, fe_value b) {
  if (a.kind == FV_INT && b.kind == FV_INT)
    return a.i < b.i ? a : b;
  return fv_ir(ir_binary(&w->ctx->b, IR_MIN, wide(w, a), wide(w, b)));
}

static fe_value larger_of(const viewer *w, fe_value a, fe_value b) {
  if (a.kind == FV_INT && b.kind == FV_INT)
    return a.i > b.i ? a : b;
  return fv_ir(ir_binary(&w->ctx->b, IR_MAX, wide(w, a), wide(w, b)));
}

// x elements of the tensor in elements of the view, rounded down; where `exact`, the rest must be
// 0.
static fe_value rescaled(viewer *w, fe_value x, bool exact, const char *what) {
  fe_ctx *ctx = w->ctx;
  int up = w->from_bits, down = w->to_bits;
  while (up % 2 == 0 && down % 2 == 0)
    up /= 2, down /= 2;
  if (down == 1)
    return compute(w, IR_MUL, x, fv_int(up));
  if (exact && x.kind == FV_INT && x.i % down)
    return refuse(
        w, tl_sprintf(ctx->arena, "%s is %lld, no multiple of %d", what, (long long)x.i, down));
  if (exact && x.kind == FV_IR) {
    ir_val rest = wide(w, compute(w, IR_REM, x, fv_int(down)));
    ir_val ok = ir_cmp(&ctx->b, "eq", rest, ir_const_int(&ctx->b, TL_I64, 0));
    w->fits = ir_some(w->fits) ? ir_binary(&ctx->b, IR_AND, w->fits, ok) : ok;
  }
  return compute(w, IR_DIV, x, fv_int(down)); // up is 1: widths are powers of two
}

// --- the parts of a view ------------------------------------------------------------------------

// A scalar or a tuple of scalars; -1 after a report, `absent` when not given.
static int scalars(const viewer *w, const char *name, fe_value *out, int absent) {
  fe_ctx *ctx = w->ctx;
  const ast_expr *expr = fe_named(w->call, name);
  if (!expr)
    return absent;
  fe_value v = fe_eval_value(ctx, expr);
  ctx->b.loc = w->call->expr->span;
  if (fv_bad(v))
    return -1;
  bool many = v.kind == FV_TUPLE && !v.tuple.record;
  int n = many ? (int)v.tuple.n : 1;
  if (n < 1 || n + w->of->rank - 1 > TY_MAX_RANK) {
    fe_error(ctx, expr->span, DIAG_E0213,
             tl_sprintf(ctx->arena, "rank %d is over the limit of %d", n + w->of->rank - 1,
                        TY_MAX_RANK));
    return -1;
  }
  for (int i = 0; i < n; i++) {
    out[i] = many ? v.tuple.items[i] : v;
    if (out[i].kind == FV_INT && out[i].i >= 0 && out[i].i <= INT32_MAX)
      continue;
    if (out[i].kind == FV_INT) {
      refuse(w, tl_sprintf(ctx->arena, "%s %d is %s", name, i, fv_type_text(ctx, out[i])));
      return -1;
    }
    if (!ir_some(wide(w, out[i])))
      return -1;
    out[i] = smaller_of(w, larger_of(w, out[i], fv_int(0)), fv_int(INT32_MAX));
  }
  return n;
}

// Elements that lie within the row behind `from`.
static fe_value room(viewer *w, fe_value offset) {
  fe_value width = w->of->dims[w->of->rank - 1];
  return rescaled(w, compute(w, IR_SUB, width, offset), false, "");
}

// The first own dim: as many steps as keep the last element of all others inside.
static fe_value cut(viewer *w, fe_value avail, const fe_value *shape, const fe_value *strides,
                    int n) {
  fe_value last = fv_int(1);
  for (int i = 1; i < n; i++) {
    fe_value steps = compute(w, IR_SUB, larger_of(w, shape[i], fv_int(1)), fv_int(1));
    last = compute(w, IR_ADD, last, compute(w, IR_MUL, steps, strides[i]));
  }
  fe_value left = compute(w, IR_SUB, avail, last);
  // Rounds toward zero: a deficit counts only when it is a whole step, so it is made one.
  fe_value step = larger_of(w, strides[0], fv_int(1));
  fe_value count = compute(w, IR_DIV, compute(w, IR_ADD, left, step), step);
  return larger_of(w, smaller_of(w, shape[0], count), fv_int(0));
}

static fe_value as_dim(const viewer *w, fe_value v) {
  fe_ctx *ctx = w->ctx;
  if (v.kind != FV_IR || ir_type(ctx->func, v.val)->dtype == TL_I32)
    return v;
  fe_value most = smaller_of(w, v, fv_int(INT32_MAX));
  return fv_ir(ir_cast(&ctx->b, most.val, TL_I32, NULL, false));
}

static void keep_alignment(const viewer *w) {
  int bytes = w->to_bits / 8;
  if (w->to_bits <= w->from_bits || w->ctx->align >= bytes)
    return;
  if (w->ctx->min_align < bytes)
    w->ctx->min_align = bytes;
}

static fe_value build(viewer *w, const fe_tensor *shape, fe_value offset) {
  fe_ctx *ctx = w->ctx;
  fe_tensor *view = TL_NEW(ctx->arena, fe_tensor);
  *view = *shape;
  fe_value first = as_dim(w, view->dims[w->of->rank - 1]);
  if (ir_some(w->fits)) {
    ir_val none = ir_const_int(&ctx->b, TL_I32, 0);
    first = fv_ir(ir_select(&ctx->b, w->fits, fv_materialize(ctx, first).val, none));
  }
  view->dims[w->of->rank - 1] = first;
  ir_val base = ir_def(ctx->func, w->of->val)->args[0];
  fe_value bits = compute(w, IR_MUL, offset, fv_int(w->from_bits));
  ir_val bytes = wide(w, compute(w, IR_DIV, bits, fv_int(8)));
  base = ir_build1(&ctx->b, IR_ADVANCE, ty_ptr(ctx->types, w->to), 2, (ir_val[]){base, bytes});
  ir_val args[1 + 2 * TY_MAX_RANK] = {base};
  for (int i = 0; i < view->rank; i++) {
    view->dims[i] = as_dim(w, view->dims[i]);
    view->strides[i] = fv_ir(wide(w, view->strides[i]));
    args[1 + i] = fv_materialize(ctx, view->dims[i]).val;
    args[1 + view->rank + i] = view->strides[i].val;
  }
  view->val = ir_build1(&ctx->b, IR_TENSOR, ty_tensor(ctx->types, w->to, view->rank),
                        (uint32_t)(1 + 2 * view->rank), args);
  ir_set_str(ctx->func, ir_def(ctx->func, view->val), "name", view->name);
  keep_alignment(w);
  return (fe_value){.kind = FV_TENSOR, .origin = w->call->expr->span, .tensor = view};
}

static bool has_unit_rows(const viewer *w) {
  fe_value last = w->of->strides[w->of->rank - 1];
  int64_t stride;
  return last.kind == FV_INT ? last.i == 1
                             : ir_is_const_int(w->ctx->func, last.val, &stride) && stride == 1;
}

fe_value fe_tensor_view(fe_ctx *ctx, const fe_call *call, tl_dtype to) {
  viewer view = {.ctx = ctx, .call = call, .of = call->values[0].tensor, .to = to}, *w = &view;
  w->from_bits = tl_dtype_bits(w->of->dtype);
  w->to_bits = tl_dtype_bits(to);
  if (w->of->dtype == TL_I1 || to == TL_I1 || w->from_bits % 8)
    return refuse(w, "truth values and elements of less than a byte have no bytes to see");
  if (!has_unit_rows(w))
    return refuse(w, "its last stride is not 1");
  int lead = w->of->rank - 1;
  fe_value offset = fv_int(0), shape[TY_MAX_RANK], strides[TY_MAX_RANK];
  int noffset = scalars(w, "offset", &offset, 0), n = scalars(w, "shape", shape, 0);
  int nstrides = n < 0 ? -1 : scalars(w, "strides", strides, 0);
  if (noffset < 0 || n < 0 || nstrides < 0)
    return fv_poison();
  if (noffset > 1 || (nstrides && nstrides != n))
    return refuse(w,
                  noffset > 1 ? "the offset is one number" : "a stride for every dim of 'shape'");
  fe_value start = rescaled(w, offset, true, "the offset"), avail = room(w, offset);
  if (!n)
    shape[n++] = avail;
  for (int i = n - 1; i >= 0 && !nstrides; i--)
    strides[i] = i == n - 1 ? fv_int(1) : compute(w, IR_MUL, strides[i + 1], shape[i + 1]);
  fe_tensor out = *w->of;
  out.dtype = to;
  out.rank = lead + n;
  bool ok = !fv_bad(start) && !fv_bad(avail);
  for (int i = 0; i < lead; i++) {
    fe_value stride = w->of->strides[i];
    bool given = stride.kind == FV_IR && !ir_def(ctx->func, stride.val); // checked at launch
    out.strides[i] = rescaled(w, stride, !given, "a stride");
    ok = ok && !fv_bad(out.strides[i]);
  }
  for (int i = 0; i < n && ok; i++) {
    out.dims[lead + i] = i ? shape[i] : cut(w, avail, shape, strides, n);
    out.strides[lead + i] = strides[i];
    out.dim_texts[lead + i] = "";
    ok = !fv_bad(out.dims[lead + i]) && !fv_bad(strides[i]);
  }
  return ok ? build(w, &out, offset) : fv_poison();
}
