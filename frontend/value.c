// Values of the checker: known at compile time, or an IR value, or a bundle of those.
#include "frontend/check.h"

fe_value fv_poison(void) { return (fe_value){.kind = FV_POISON}; }
fe_value fv_void(void) { return (fe_value){.kind = FV_VOID}; }
fe_value fv_int(int64_t i) { return (fe_value){.kind = FV_INT, .i = i}; }
fe_value fv_float(double f) { return (fe_value){.kind = FV_FLOAT, .f = f}; }
fe_value fv_bool(bool b) { return (fe_value){.kind = FV_BOOL, .b = b}; }
fe_value fv_dtype(tl_dtype dtype) { return (fe_value){.kind = FV_DTYPE, .dtype = dtype}; }
fe_value fv_ir(ir_val val) { return (fe_value){.kind = FV_IR, .val = val}; }

static tl_dtype default_dtype(fe_value v) {
  switch (v.kind) {
  case FV_INT:
    return v.i < INT32_MIN || v.i > INT32_MAX ? TL_I64 : TL_I32;
  case FV_FLOAT:
    return TL_F32;
  default:
    return TL_I1;
  }
}

const ty_type *fv_type(fe_ctx *ctx, fe_value v) {
  if (v.kind == FV_IR)
    return ir_type(ctx->func, v.val);
  return fv_is_const(v) ? ty_scalar(ctx->types, default_dtype(v)) : ty_none(ctx->types);
}

const char *fv_type_text(fe_ctx *ctx, fe_value v) {
  switch (v.kind) {
  case FV_INT:
    return tl_sprintf(ctx->arena, "the constant %lld", (long long)v.i);
  case FV_FLOAT:
    return tl_sprintf(ctx->arena, "the constant %g", v.f);
  case FV_BOOL:
    return v.b ? "the constant true" : "the constant false";
  case FV_STRING:
    return "a string";
  case FV_DTYPE:
    return tl_sprintf(ctx->arena, "the type %s", tl_dtype_name(v.dtype));
  case FV_IR:
    return ty_text(ctx->arena, ir_type(ctx->func, v.val));
  case FV_TENSOR:
    return tl_sprintf(ctx->arena, "the tensor '%s' (%s of rank %d)", v.tensor->name,
                      tl_dtype_name(v.tensor->dtype), v.tensor->rank);
  case FV_ACCESS:
    return tl_sprintf(ctx->arena, "elements of tensor '%s'", v.access->tensor->name);
  case FV_DOMAIN:
    return "an iteration domain";
  case FV_CHANNEL:
    return "a channel";
  case FV_TUPLE:
    return v.tuple.record ? tl_sprintf(ctx->arena, "struct %s", v.tuple.record->name.text)
                          : tl_sprintf(ctx->arena, "%u values", v.tuple.n);
  case FV_LAMBDA:
    return "a fn literal";
  case FV_VOID:
    return "no value";
  default:
    return "an erroneous value";
  }
}

bool fv_same(fe_value a, fe_value b) {
  if (a.kind != b.kind)
    return false;
  switch (a.kind) {
  case FV_INT:
    return a.i == b.i;
  case FV_BOOL:
    return a.b == b.b;
  case FV_DTYPE:
    return a.dtype == b.dtype;
  case FV_IR:
    return ir_same(a.val, b.val);
  case FV_TUPLE:
    for (uint32_t i = 0; i < a.tuple.n; i++)
      if (!fv_same(a.tuple.items[i], b.tuple.items[i]))
        return false;
    return true;
  default:
    return a.kind == FV_POISON || a.kind == FV_VOID;
  }
}

fe_value fv_materialize(fe_ctx *ctx, fe_value v) {
  fe_value out = v;
  switch (v.kind) {
  case FV_INT:
    out = fv_ir(ir_const_int(&ctx->b, default_dtype(v), v.i));
    break;
  case FV_FLOAT:
    out = fv_ir(ir_const_float(&ctx->b, TL_F32, v.f));
    break;
  case FV_BOOL:
    out = fv_ir(ir_const_int(&ctx->b, TL_I1, v.b));
    break;
  case FV_TUPLE:
    out.tuple.items = TL_NEW_N(ctx->arena, fe_value, v.tuple.n);
    for (uint32_t i = 0; i < v.tuple.n; i++)
      out.tuple.items[i] = fv_materialize(ctx, v.tuple.items[i]);
    break;
  default:
    break;
  }
  out.origin = v.origin;
  return out;
}

void fv_leaves(fe_ctx *ctx, fe_value v, fe_leaves *out) {
  v = fv_materialize(ctx, v);
  if (v.kind == FV_IR)
    tl_push(ctx->arena, out, v.val);
  for (uint32_t i = 0; v.kind == FV_TUPLE && i < v.tuple.n; i++)
    fv_leaves(ctx, v.tuple.items[i], out);
}

// The shape of `like` filled with the next IR values at *at; what has no leaves stays as it is.
fe_value fv_rebuild(fe_ctx *ctx, fe_value like, const ir_val **at) {
  fe_value out = like;
  if (like.kind == FV_IR || fv_is_const(like)) {
    out = fv_ir(*(*at)++);
    out.origin = like.origin;
  } else if (like.kind == FV_TUPLE) {
    out.tuple.items = TL_NEW_N(ctx->arena, fe_value, like.tuple.n);
    for (uint32_t i = 0; i < like.tuple.n; i++)
      out.tuple.items[i] = fv_rebuild(ctx, like.tuple.items[i], at);
  }
  return out;
}
