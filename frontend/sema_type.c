// Element types, shapes and the few implicit conversions: a compile-time constant takes the type of
// what it meets, a scalar becomes a tile, a dim of 1 repeats. Everything else is a cast the user
// writes.
#include "frontend/check.h"
#include "lang/base/fp.h"
#include <math.h>

const ty_type *fe_tile(fe_ctx *ctx, tl_dtype dtype, int rank, const int64_t *dims) {
  return rank ? ty_tile(ctx->types, dtype, rank, dims) : ty_scalar(ctx->types, dtype);
}

// --- declared types -----------------------------------------------------------------------------

tl_dtype fe_resolve_dtype(fe_ctx *ctx, const ast_type *type) {
  if (type->kind == AST_TYPE_DTYPE)
    return type->dtype;
  if (type->kind == AST_TYPE_PTR) {
    fe_error(ctx, type->span, DIAG_E0612, "ptr[T]");
    return TL_NODTYPE;
  }
  int number = fe_find(ctx, type->name);
  if (number >= 0) {
    fe_value v = fe_sym_at(ctx, number)->value;
    if (v.kind == FV_DTYPE)
      return v.dtype;
    if (!fv_bad(v))
      fe_error(ctx, type->span, DIAG_E0106, type->name, "a value", "a type");
  } else if (fe_find_item(ctx->program, type->name)) {
    fe_error(ctx, type->span, DIAG_E0106, type->name, "a declaration", "an element type");
  } else {
    fe_undefined(ctx, type->span, type->name);
  }
  return TL_NODTYPE;
}

bool fe_resolve_dims(fe_ctx *ctx, const ast_dims *dims, int64_t *out) {
  if (dims->dims.len > TY_MAX_RANK) {
    fe_error(
        ctx, dims->span, DIAG_E0213,
        tl_sprintf(ctx->arena, "rank %u is over the limit of %d", dims->dims.len, TY_MAX_RANK));
    return false;
  }
  for (uint32_t i = 0; i < dims->dims.len; i++) {
    const ast_expr *expr = dims->dims.data[i];
    if (!fe_eval_int(ctx, expr, "a tile dimension", &out[i]))
      return false;
    if (out[i] < 1 || out[i] > 1 << 20) {
      fe_error(ctx, expr->span, DIAG_E0213,
               tl_sprintf(ctx->arena, "a tile dimension of %lld is outside 1 .. 1048576",
                          (long long)out[i]));
      return false;
    }
  }
  return true;
}

const ty_type *fe_resolve_type(fe_ctx *ctx, const ast_type *type, const ast_dims *dims,
                               const ast_struct **out_record) {
  *out_record = NULL;
  if (type->kind == AST_TYPE_NAME && fe_find(ctx, type->name) < 0) {
    const fe_item *item = fe_find_item(ctx->program, type->name);
    if (item && item->ast->kind == AST_ITEM_STRUCT) {
      if (dims->dims.len) {
        fe_error(ctx, dims->span, DIAG_E0213, "arrays of structs do not exist");
        return NULL;
      }
      *out_record = &item->ast->record;
      return ty_none(ctx->types);
    }
  }
  tl_dtype dtype = fe_resolve_dtype(ctx, type);
  int64_t sizes[TY_MAX_RANK];
  if (dtype == TL_NODTYPE || !fe_resolve_dims(ctx, dims, sizes))
    return NULL;
  return fe_tile(ctx, dtype, (int)dims->dims.len, sizes);
}

static fe_value zero_of(fe_ctx *ctx, const ty_type *type) {
  ir_val zero = tl_is_float(type->dtype) ? ir_const_float(&ctx->b, type->dtype, 0)
                                         : ir_const_int(&ctx->b, type->dtype, 0);
  return fv_ir(ir_broadcast(&ctx->b, zero, type));
}

fe_value fe_zero(fe_ctx *ctx, const ty_type *type, const ast_struct *record, tl_span span) {
  if (!record)
    return zero_of(ctx, type);
  fe_value out = {.kind = FV_TUPLE, .origin = span};
  out.tuple.record = record;
  out.tuple.n = record->fields.len;
  out.tuple.items = TL_NEW_N(ctx->arena, fe_value, record->fields.len);
  if (++ctx->depth > 64) {
    fe_error(ctx, span, DIAG_E0105, record->name.text);
    ctx->depth--;
    return fv_poison();
  }
  for (uint32_t i = 0; i < record->fields.len; i++) {
    const ast_field *field = &record->fields.data[i];
    const ast_struct *inner;
    const ty_type *inner_type = fe_resolve_type(ctx, field->type, &field->dims, &inner);
    out.tuple.items[i] = inner_type ? fe_zero(ctx, inner_type, inner, span) : fv_poison();
    if (fv_bad(out.tuple.items[i]))
      out.kind = FV_POISON;
  }
  ctx->depth--;
  return out;
}

// --- conversions --------------------------------------------------------------------------------

static const char *span_text(fe_ctx *ctx, tl_span span) {
  const tl_sources *sources = ctx->program->sources;
  if (!span.file || span.file > sources->files.len)
    return NULL;
  const tl_file *file = &sources->files.data[span.file - 1];
  return file->text && span.hi <= file->len
             ? tl_strndup(ctx->arena, file->text + span.lo, span.hi - span.lo)
             : NULL;
}

static void suggest_cast(fe_ctx *ctx, tl_diag *diag, tl_span span, tl_dtype dtype) {
  const char *text = span_text(ctx, span);
  tl_help(ctx->diags, diag, "values change their type only by a cast: %s(...)",
          tl_dtype_name(dtype));
  if (text)
    tl_fixit(ctx->diags, diag, span, tl_sprintf(ctx->arena, "%s(%s)", tl_dtype_name(dtype), text));
}

static bool int_fits(int64_t value, tl_dtype dtype) {
  int bits = tl_dtype_bits(dtype);
  if (tl_is_signed(dtype))
    return bits == 64 || (value >= -((int64_t)1 << (bits - 1)) && value < (int64_t)1 << (bits - 1));
  return value >= 0 && (bits == 64 || value < (int64_t)1 << bits);
}

static bool float_fits(double value, tl_dtype dtype) {
  if (!isfinite(value)) {
    bool infinite = isinf(value) && tl_fp_is_inf(dtype, tl_fp_encode(dtype, value, TL_RN, false));
    bool nan = isnan(value) && tl_fp_is_nan(dtype, tl_fp_encode(dtype, value, TL_RN, false));
    return infinite || nan;
  }
  double back = tl_fp_decode(dtype, tl_fp_encode(dtype, value, TL_RN, false));
  double largest = fabs(tl_fp_decode(dtype, tl_fp_encode(dtype, HUGE_VAL, TL_RN, true)));
  return isfinite(back) && fabs(value) <= largest && (dtype != TL_UE8M0 || value > 0);
}

static fe_value adapt_const(fe_ctx *ctx, fe_value v, tl_dtype dtype, tl_span span) {
  bool fits;
  if (dtype == TL_I1)
    fits = v.kind == FV_BOOL;
  else if (tl_is_float(dtype))
    fits = v.kind != FV_BOOL &&
           (dtype == TL_F64 || float_fits(v.kind == FV_INT ? (double)v.i : v.f, dtype) ||
            (v.kind == FV_INT && v.i == 0));
  else
    fits = v.kind == FV_INT && int_fits(v.i, dtype);
  if (!fits) {
    fe_error(ctx, span, DIAG_E0203, fv_type_text(ctx, v), tl_dtype_name(dtype));
    return fv_poison();
  }
  fe_value out =
      fv_ir(v.kind == FV_FLOAT ? ir_const_float(&ctx->b, dtype, v.f)
                               : ir_const_int(&ctx->b, dtype, v.kind == FV_INT ? v.i : v.b));
  out.origin = v.origin;
  return out;
}

fe_value fe_adapt(fe_ctx *ctx, fe_value v, tl_dtype dtype, tl_span span, const char *what) {
  if (fv_bad(v))
    return v;
  if (fv_is_const(v))
    return adapt_const(ctx, v, dtype, span);
  if (v.kind != FV_IR) {
    fe_error(ctx, span, DIAG_E0208, what, tl_dtype_name(dtype), fv_type_text(ctx, v));
    return fv_poison();
  }
  if (ir_type(ctx->func, v.val)->dtype != dtype) {
    tl_diag *diag =
        fe_error(ctx, span, DIAG_E0208, what, tl_dtype_name(dtype), fv_type_text(ctx, v));
    suggest_cast(ctx, diag, span, dtype);
    return fv_poison();
  }
  return v;
}

fe_value fe_to_type(fe_ctx *ctx, fe_value v, const ty_type *type, tl_span span, const char *what) {
  v = fe_adapt(ctx, v, type->dtype, span, what);
  if (fv_bad(v))
    return v;
  const ty_type *from = ir_type(ctx->func, v.val);
  if (ty_same_shape(from, type))
    return v;
  if (from->rank != 0) {
    fe_error(ctx, span, DIAG_E0208, what, ty_text(ctx->arena, type), ty_text(ctx->arena, from));
    return fv_poison();
  }
  fe_value out = fv_ir(ir_broadcast(&ctx->b, v.val, type));
  out.origin = v.origin;
  return out;
}

const ty_type *fe_join_shape(fe_ctx *ctx, const ty_type *a, const ty_type *b) {
  if (a->rank == 0 || b->rank == 0)
    return a->rank ? a : b;
  if (a->rank != b->rank)
    return NULL;
  int64_t dims[TY_MAX_RANK];
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] != b->dims[i] && a->dims[i] != 1 && b->dims[i] != 1)
      return NULL;
    dims[i] = a->dims[i] == 1 ? b->dims[i] : a->dims[i];
  }
  return ty_tile(ctx->types, a->dtype, a->rank, dims);
}

static bool mixed(fe_ctx *ctx, fe_value a, fe_value b, tl_span span_a, tl_span span_b, tl_span span,
                  const char *op) {
  tl_diag *diag = fe_error(ctx, span, DIAG_E0201, op, fv_type_text(ctx, a), fv_type_text(ctx, b));
  // The side to cast is the one whose type holds fewer values.
  tl_dtype da = fv_type(ctx, a)->dtype, db = fv_type(ctx, b)->dtype;
  if (da == TL_NODTYPE || db == TL_NODTYPE)
    return false;
  bool cast_a = tl_is_float(db) > tl_is_float(da) ||
                (tl_is_float(da) == tl_is_float(db) && tl_dtype_bits(db) > tl_dtype_bits(da));
  suggest_cast(ctx, diag, cast_a ? span_a : span_b, cast_a ? db : da);
  return false;
}

bool fe_unify_dtype(fe_ctx *ctx, fe_value *a, fe_value *b, tl_span span_a, tl_span span_b,
                    tl_span span, const char *op) {
  if (fv_bad(*a) || fv_bad(*b))
    return false;
  bool scalar_a = a->kind == FV_IR || fv_is_const(*a),
       scalar_b = b->kind == FV_IR || fv_is_const(*b);
  if (!scalar_a || !scalar_b) {
    fe_error(ctx, scalar_a ? span_b : span_a, DIAG_E0204, op,
             fv_type_text(ctx, scalar_a ? *b : *a));
    return false;
  }
  if (fv_is_const(*a) && fv_is_const(*b)) {
    tl_dtype da = fv_type(ctx, *a)->dtype, db = fv_type(ctx, *b)->dtype;
    if ((da == TL_I1) != (db == TL_I1))
      return mixed(ctx, *a, *b, span_a, span_b, span, op);
    tl_dtype dtype = da == TL_F32 || db == TL_F32 ? TL_F32 : da == TL_I64 ? da : db;
    *a = fe_adapt(ctx, *a, dtype, span_a, op);
    *b = fe_adapt(ctx, *b, dtype, span_b, op);
    return !fv_bad(*a) && !fv_bad(*b);
  }
  if (fv_is_const(*a) || fv_is_const(*b)) {
    fe_value *c = fv_is_const(*a) ? a : b, *v = c == a ? b : a;
    tl_dtype dtype = ir_type(ctx->func, v->val)->dtype;
    bool kinds_fit = c->kind == FV_BOOL    ? dtype == TL_I1
                     : c->kind == FV_FLOAT ? tl_is_float(dtype)
                                           : dtype != TL_I1;
    if (!kinds_fit)
      return mixed(ctx, *a, *b, span_a, span_b, span, op);
    *c = fe_adapt(ctx, *c, dtype, c == a ? span_a : span_b, op);
    return !fv_bad(*c);
  }
  if (ir_type(ctx->func, a->val)->dtype != ir_type(ctx->func, b->val)->dtype)
    return mixed(ctx, *a, *b, span_a, span_b, span, op);
  return true;
}

bool fe_unify(fe_ctx *ctx, fe_value *a, fe_value *b, tl_span span_a, tl_span span_b, tl_span span,
              const char *op) {
  if (!fe_unify_dtype(ctx, a, b, span_a, span_b, span, op))
    return false;
  const ty_type *ta = ir_type(ctx->func, a->val), *tb = ir_type(ctx->func, b->val);
  const ty_type *type = fe_join_shape(ctx, ta, tb);
  if (!type) {
    tl_diag *diag =
        fe_error(ctx, span, DIAG_E0202, op, ty_text(ctx->arena, ta), ty_text(ctx->arena, tb));
    if (ta->rank != tb->rank)
      tl_help(ctx->diags, diag, "tiles keep their rank: add an axis with [:, none] or [none, :]");
    return false;
  }
  a->val = ir_broadcast(&ctx->b, a->val, type);
  b->val = ir_broadcast(&ctx->b, b->val, type);
  return true;
}

// Narrow formats are stored, moved and multiplied by dot; arithmetic is on wider types.
bool fe_wants_arith(fe_ctx *ctx, tl_dtype dtype, tl_span span, const char *op) {
  bool narrow = tl_is_float(dtype)
                    ? dtype != TL_F64 && dtype != TL_F32 && dtype != TL_F16 && dtype != TL_BF16
                    : dtype == TL_I4 || dtype == TL_I1;
  if (!narrow)
    return true;
  tl_diag *diag = fe_error(ctx, span, DIAG_E0204, op, tl_dtype_name(dtype));
  tl_help(ctx->diags, diag, "convert first: %s(...)", tl_is_float(dtype) ? "f32" : "i32");
  return false;
}
