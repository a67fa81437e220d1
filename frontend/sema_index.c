// Subscripts: X[...] on a tensor names memory (an access, for load, store and atomics), on a tile
// it takes parts, static or by index, or adds axes.
#include "frontend/check.h"

static fe_value wrong_count(fe_ctx *ctx, const ast_expr *expr, int rank, uint32_t given) {
  fe_error(ctx, expr->span, DIAG_E0209, fe_source_text(ctx, expr->index.base), rank, (int)given);
  return fv_poison();
}

// --- tensors ------------------------------------------------------------------------------------

typedef struct access_state {
  fe_access *access;
  int axis;
  int64_t dims[TY_MAX_RANK]; // of the result
  int rank;
} access_state;

static bool add_sub(access_state *st, char letter, ir_val arg, int64_t len) {
  st->access->subs[st->axis] = letter;
  st->access->args[st->axis++] = arg;
  if (letter != 's' && letter != 'z')
    st->dims[st->rank++] = len;
  return true;
}

// (p, r): tiles that walk as many dims in step, and give one dim of the result.
static bool add_in_step(fe_ctx *ctx, access_state *st, const ast_sub *sub, fe_value v) {
  int64_t len = 0;
  for (uint32_t i = 0; i < v.tuple.n; i++) {
    fe_value one = fe_adapt(ctx, v.tuple.items[i], TL_I32, sub->span, "a subscript");
    if (fv_bad(one))
      return false;
    const ty_type *type = ir_type(ctx->func, one.val);
    if (type->rank != 1 || (i && type->dims[0] != len)) {
      fe_error(ctx, sub->span, DIAG_E0252, ty_text(ctx->arena, type));
      return false;
    }
    len = type->dims[0];
    if (st->axis < st->access->tensor->rank)
      add_sub(st, i ? 'z' : 'g', one.val, len);
    else
      st->axis++;
  }
  return true;
}

static bool add_index(fe_ctx *ctx, access_state *st, const ast_sub *sub) {
  fe_value v = fe_eval_value(ctx, sub->value);
  if (v.kind == FV_TUPLE && !v.tuple.record)
    return add_in_step(ctx, st, sub, v);
  v = fe_adapt(ctx, v, TL_I32, sub->span, "a subscript");
  if (fv_bad(v))
    return false;
  const ty_type *type = ir_type(ctx->func, v.val);
  if (type->rank > 1) {
    fe_error(ctx, sub->span, DIAG_E0224, ty_text(ctx->arena, type));
    return false;
  }
  return type->rank ? add_sub(st, 'g', v.val, type->dims[0]) : add_sub(st, 's', v.val, 0);
}

static bool add_range(fe_ctx *ctx, access_state *st, const ast_sub *sub) {
  int64_t len;
  ir_val start = fe_eval_i32(ctx, sub->value, "start of a tile subscript");
  if (!fe_eval_int(ctx, sub->length, "length of a tile subscript", &len) || !ir_some(start))
    return false;
  if (len < 1 || len > 1 << 20) {
    fe_error(
        ctx, sub->length->span, DIAG_E0213,
        tl_sprintf(ctx->arena, "a tile dimension of %lld is outside 1 .. 1048576", (long long)len));
    return false;
  }
  return add_sub(st, 'r', start, len);
}

static bool add_full(fe_ctx *ctx, access_state *st, const ast_sub *sub) {
  const fe_tensor *tensor = st->access->tensor;
  fe_value dim = tensor->dims[st->axis];
  if (dim.kind != FV_INT) {
    tl_diag *diag = fe_error(ctx, sub->span, DIAG_E0225, st->axis, tensor->name);
    tl_help(ctx->diags, diag, "name a static length: 0 +: LEN");
    return false;
  }
  return add_sub(st, 'r', ir_const_int(&ctx->b, TL_I32, 0), dim.i);
}

static bool add_one(fe_ctx *ctx, access_state *st, const ast_sub *sub) {
  switch (sub->kind) {
  case AST_SUB_EXPR:
    return add_index(ctx, st, sub);
  case AST_SUB_TILE:
    return add_range(ctx, st, sub);
  case AST_SUB_FULL:
    return add_full(ctx, st, sub);
  case AST_SUB_NONE:
    fe_error(ctx, sub->span, DIAG_E0226);
    return false;
  case AST_SUB_DTYPE:
    fe_error(ctx, sub->span, DIAG_E0208, "subscript", "a value", "a type");
    return false;
  }
  return false;
}

static fe_value index_tensor(fe_ctx *ctx, const ast_expr *expr, fe_tensor *tensor) {
  access_state st = {.access = TL_NEW(ctx->arena, fe_access)};
  st.access->tensor = tensor;
  bool ok = true;
  for (uint32_t i = 0; i < expr->index.nsubs; i++) {
    if (st.axis >= tensor->rank) // one too many; a tuple counts all its own
      return wrong_count(ctx, expr, tensor->rank, (uint32_t)st.axis + expr->index.nsubs - i);
    ok = add_one(ctx, &st, &expr->index.subs[i]) && ok;
  }
  if (!ok)
    return fv_poison();
  if (st.axis != tensor->rank)
    return wrong_count(ctx, expr, tensor->rank, (uint32_t)st.axis);
  st.access->type = fe_tile(ctx, tensor->dtype, st.rank, st.dims);
  return (fe_value){.kind = FV_ACCESS, .origin = expr->span, .access = st.access};
}

// --- tiles --------------------------------------------------------------------------------------

typedef struct part {
  int64_t offsets[TY_MAX_RANK], lens[TY_MAX_RANK];
  bool dropped[TY_MAX_RANK];
  ir_val index[TY_MAX_RANK]; // at run time: taken by index, before the static parts
  int axis;
  int none_at[TY_MAX_RANK * 2]; // axes of the result
  int nnone, rank;              // of the result
} part;

// A position, a run of positions or a tile of them that is known at run time only.
static bool run_time_sub(fe_ctx *ctx, part *pt, const ast_sub *sub, fe_value v, int64_t len) {
  v = fe_adapt(ctx, v, TL_I32, sub->span, "a subscript");
  if (fv_bad(v))
    return false;
  const ty_type *index = ir_type(ctx->func, v.val);
  if (index->rank > (sub->kind == AST_SUB_EXPR)) {
    fe_error(ctx, sub->span, DIAG_E0224, ty_text(ctx->arena, index));
    return false;
  }
  if (sub->kind == AST_SUB_TILE) {
    const ty_type *row = ty_tile(ctx->types, TL_I32, 1, &len);
    ir_val places = ir_build1(&ctx->b, IR_IOTA, row, 0, NULL);
    v.val = ir_binary(&ctx->b, IR_ADD, places, ir_broadcast(&ctx->b, v.val, row));
  }
  pt->index[pt->axis] = v.val;
  pt->lens[pt->axis] = index->rank ? index->dims[0] : sub->kind == AST_SUB_TILE ? len : 1;
  pt->dropped[pt->axis] = sub->kind == AST_SUB_EXPR && !index->rank;
  pt->rank += !pt->dropped[pt->axis];
  pt->axis++;
  return true;
}

static bool range_sub(fe_ctx *ctx, const ty_type *type, part *pt, const ast_sub *sub) {
  int64_t start, len = 1;
  fe_value v;
  if (sub->kind == AST_SUB_TILE && !fe_eval_int(ctx, sub->length, "length of a tile's part", &len))
    return false;
  int64_t extent = type->dims[pt->axis];
  if (!fe_try_const(ctx, sub->value, &v))
    v = fe_eval_value(ctx, sub->value);
  if (fv_bad(v))
    return false;
  if (v.kind != FV_INT && len >= 1 && len <= 1 << 20)
    return run_time_sub(ctx, pt, sub, v, len);
  if (!fe_eval_int(ctx, sub->value, "start of a tile's part", &start))
    return false;
  if (start < 0 || len < 1 || start + len > extent) {
    fe_error(ctx, sub->span, DIAG_E0228, (int)start, (int)(start + len - 1), (int)extent);
    return false;
  }
  pt->offsets[pt->axis] = start;
  pt->lens[pt->axis] = len;
  pt->dropped[pt->axis] = sub->kind == AST_SUB_EXPR;
  pt->rank += sub->kind == AST_SUB_TILE;
  pt->axis++;
  return true;
}

static bool part_sub(fe_ctx *ctx, const ty_type *type, part *pt, const ast_sub *sub) {
  switch (sub->kind) {
  case AST_SUB_NONE:
    pt->none_at[pt->nnone++] = pt->rank++;
    return true;
  case AST_SUB_FULL:
    pt->lens[pt->axis] = type->dims[pt->axis];
    pt->axis++;
    pt->rank++;
    return true;
  case AST_SUB_EXPR:
  case AST_SUB_TILE:
    return range_sub(ctx, type, pt, sub);
  case AST_SUB_DTYPE:
    break;
  }
  fe_error(ctx, sub->span, DIAG_E0208, "subscript", "a value", "a type");
  return false;
}

// One element is taken by index, which hands it to every thread.
static void index_element(fe_ctx *ctx, part *pt, int rank) {
  for (int i = 0; i < rank; i++)
    if (!pt->dropped[i])
      return;
  for (int i = 0; i < rank; i++)
    if (!ir_some(pt->index[i]))
      pt->index[i] = ir_const_int(&ctx->b, TL_I32, pt->offsets[i]);
}

// Takes the parts known at run time, last axis first, and leaves a part of the rest.
static ir_val take_indexed(fe_ctx *ctx, ir_val x, part *pt) {
  int rank = ir_type(ctx->func, x)->rank, kept = 0;
  index_element(ctx, pt, rank);
  for (int i = rank - 1; i >= 0; i--)
    if (ir_some(pt->index[i]))
      x = fe_take(ctx, x, pt->index[i], i);
  for (int i = 0; i < rank; i++) {
    if (ir_some(pt->index[i]) && pt->dropped[i])
      continue;
    pt->lens[kept] = pt->lens[i];
    pt->offsets[kept] = pt->offsets[i];
    pt->dropped[kept++] = pt->dropped[i];
  }
  return x;
}

static ir_val take_part(fe_ctx *ctx, ir_val x, const part *pt) {
  const ty_type *type = ir_type(ctx->func, x);
  int64_t kept[TY_MAX_RANK];
  int nkept = 0;
  for (int i = 0; i < type->rank; i++)
    if (!pt->dropped[i])
      kept[nkept++] = pt->lens[i];
  if (memcmp(pt->lens, type->dims, (size_t)type->rank * sizeof *kept) != 0) {
    const ty_type *cut = ty_tile(ctx->types, type->dtype, type->rank, pt->lens);
    x = ir_build1(&ctx->b, IR_SLICE, cut, 1, &x);
    ir_set_ints(ctx->func, ir_def(ctx->func, x), "offsets", type->rank, pt->offsets);
  }
  if (nkept != type->rank)
    x = ir_build1(&ctx->b, IR_RESHAPE, ty_tile(ctx->types, type->dtype, nkept, kept), 1, &x);
  return x;
}

static ir_val add_axes(fe_ctx *ctx, ir_val x, const part *pt) {
  for (int i = 0; i < pt->nnone; i++)
    x = fe_expand(ctx, x, pt->none_at[i]);
  return x;
}

static fe_value index_tile(fe_ctx *ctx, const ast_expr *expr, fe_value base) {
  const ty_type *type = ir_type(ctx->func, base.val);
  uint32_t nnone = 0;
  for (uint32_t i = 0; i < expr->index.nsubs; i++)
    nnone += expr->index.subs[i].kind == AST_SUB_NONE;
  if ((int)(expr->index.nsubs - nnone) != type->rank || type->rank == 0)
    return wrong_count(ctx, expr, type->rank, expr->index.nsubs - nnone);
  if (type->rank + nnone > TY_MAX_RANK) {
    fe_error(
        ctx, expr->span, DIAG_E0213,
        tl_sprintf(ctx->arena, "rank %u is over the limit of %d", type->rank + nnone, TY_MAX_RANK));
    return fv_poison();
  }
  part pt = {0};
  for (uint32_t i = 0; i < expr->index.nsubs; i++)
    if (!part_sub(ctx, type, &pt, &expr->index.subs[i]))
      return fv_poison();
  ctx->b.loc = expr->span;
  ir_val x = take_indexed(ctx, base.val, &pt);
  fe_value out = fv_ir(add_axes(ctx, take_part(ctx, x, &pt), &pt));
  out.origin = expr->span;
  return out;
}

fe_value fe_index(fe_ctx *ctx, const ast_expr *expr) {
  const ast_expr *base = expr->index.base;
  if (base->kind == AST_IDENT && fe_find(ctx, base->ident) < 0) {
    const fe_item *item = fe_find_item(ctx->program, base->ident);
    if (fe_find_builtin(base->ident) || (item && item->ast->kind == AST_ITEM_FN)) {
      tl_diag *diag = fe_error(ctx, expr->span, DIAG_E0106, base->ident, "a function", "a value");
      tl_help(ctx->diags, diag, "call it: %s(...)", fe_source_text(ctx, expr));
      return fv_poison();
    }
  }
  fe_value v = fe_eval(ctx, base);
  if (fv_bad(v))
    return v;
  if (v.kind == FV_TENSOR)
    return index_tensor(ctx, expr, v.tensor);
  if (v.kind == FV_IR)
    return index_tile(ctx, expr, v);
  fe_error(ctx, base->span, DIAG_E0208, "subscript", "a tensor or a tile", fv_type_text(ctx, v));
  return fv_poison();
}
