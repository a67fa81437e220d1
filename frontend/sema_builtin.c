// The table of builtins, and those about the launch, shapes, checks and output.
#include "frontend/check.h"
#include <stdlib.h>

static const fe_builtin builtins[] = {
#define BUILTIN(name, min, max, named, generics, handler, arg)                                     \
  {#name, min, max, named, generics, fe_b_##handler, arg},
#include "lang/builtins.def"
#undef BUILTIN
};
static const char *const names[] = {
#define BUILTIN(name, min, max, named, generics, handler, arg) #name,
#include "lang/builtins.def"
#undef BUILTIN
};
enum { NBUILTINS = sizeof builtins / sizeof *builtins };

const fe_builtin *fe_find_builtin(const char *name) {
  for (int i = 0; i < NBUILTINS; i++)
    if (strcmp(builtins[i].name, name) == 0)
      return &builtins[i];
  return NULL;
}

bool fe_has_effect(const fe_builtin *builtin) {
  return builtin->handler == fe_b_store || builtin->handler == fe_b_atomic ||
         builtin->handler == fe_b_print || builtin->handler == fe_b_assert;
}

size_t fe_builtin_names(const char *const **out) {
  *out = names;
  return NBUILTINS;
}

BUILTIN_HANDLER(fe_b_later) {
  fe_error(ctx, call->expr->span, (tl_diag_id)arg, call->name);
  return fv_poison();
}

// --- launch and shapes --------------------------------------------------------------------------

static bool const_axis(fe_ctx *ctx, const fe_call *call, int at, int rank, int *out) {
  fe_value v = call->values[at];
  if (v.kind != FV_INT) {
    fe_error(ctx, call->args[at]->span, DIAG_E0207, "the axis", "integer");
    return false;
  }
  int64_t axis = v.i < 0 ? v.i + rank : v.i;
  if (axis < 0 || axis >= rank) {
    fe_error(ctx, call->args[at]->span, DIAG_E0211, (int)v.i, rank);
    return false;
  }
  *out = (int)axis;
  return true;
}

BUILTIN_HANDLER(fe_b_launch) {
  int axis;
  ctx->uses_blocks = true;
  if (!const_axis(ctx, call, 0, 3, &axis))
    return fv_poison();
  ir_val val = ir_build1(&ctx->b, (ir_code)arg, ty_scalar(ctx->types, TL_I32), 0, NULL);
  ir_set_int(ctx->func, ir_def(ctx->func, val), "axis", axis);
  return fv_ir(val);
}

static fe_tensor *want_tensor(fe_ctx *ctx, const fe_call *call) {
  if (call->values[0].kind == FV_TENSOR)
    return call->values[0].tensor;
  fe_error(ctx, call->args[0]->span, DIAG_E0208, call->name, "a tensor",
           fv_type_text(ctx, call->values[0]));
  return NULL;
}

// dim: arg 0, stride: 1, ld: 2
BUILTIN_HANDLER(fe_b_extent) {
  fe_tensor *tensor = want_tensor(ctx, call);
  int axis;
  if (!tensor)
    return fv_poison();
  if (arg == 2)
    axis = tensor->rank >= 2 ? tensor->rank - 2 : 0;
  else if (!const_axis(ctx, call, 1, tensor->rank, &axis))
    return fv_poison();
  return arg ? tensor->strides[axis] : tensor->dims[axis];
}

BUILTIN_HANDLER(fe_b_tiles) {
  (void)arg;
  fe_tensor *tensor = want_tensor(ctx, call);
  if (!tensor)
    return fv_poison();
  if (call->nargs - 1 != tensor->rank) {
    fe_error(ctx, call->expr->span, DIAG_E0238, tensor->name, tensor->rank, call->nargs - 1);
    return fv_poison();
  }
  fe_domain *domain = TL_NEW(ctx->arena, fe_domain);
  domain->tensor = tensor;
  domain->rank = tensor->rank;
  for (int i = 0; i < tensor->rank; i++) {
    fe_value v = call->values[i + 1];
    if (v.kind != FV_INT || v.i < 1 || v.i > 1 << 20) {
      fe_error(ctx, call->args[i + 1]->span, DIAG_E0207, "a block size", "positive integer");
      return fv_poison();
    }
    domain->blocks[i] = v.i;
  }
  return (fe_value){.kind = FV_DOMAIN, .domain = domain};
}

BUILTIN_HANDLER(fe_b_ceildiv) {
  (void)arg;
  fe_value a = call->values[0], b = call->values[1];
  if (a.kind == FV_INT && b.kind == FV_INT) {
    if (b.i < 1) {
      fe_error(ctx, call->expr->span, DIAG_E0237, "division by zero or by a negative number");
      return fv_poison();
    }
    return fv_int(a.i > 0 ? (a.i - 1) / b.i + 1 : a.i / b.i);
  }
  tl_span sa = call->args[0]->span, sb = call->args[1]->span;
  if (fv_type(ctx, a)->dtype == TL_F32 || fv_type(ctx, b)->dtype == TL_F32 ||
      tl_is_float(fv_type(ctx, a)->dtype)) {
    fe_error(ctx, call->expr->span, DIAG_E0204, call->name, "floats");
    return fv_poison();
  }
  fe_value less = fe_binary(ctx, AST_OP_SUB, b, fv_int(1), sb, sb, call->expr->span);
  fe_value up = fe_binary(ctx, AST_OP_ADD, a, less, sa, sb, call->expr->span);
  return fe_binary(ctx, AST_OP_DIV, up, b, sa, sb, call->expr->span);
}

BUILTIN_HANDLER(fe_b_arch) {
  (void)call, (void)arg;
  return fv_int(ctx->target->capability);
}

BUILTIN_HANDLER(fe_b_has) {
  (void)arg;
  static const char *const features[] = {"tma",         "wgmma", "tcgen05",
                                         "block_scale", "f32x2", "narrow_cvt"};
  const ast_expr *expr = call->args[0];
  unsigned bit = expr->kind == AST_IDENT ? tl_feature_by_name(expr->ident) : 0;
  if (bit)
    return fv_bool(ctx->target->features & bit);
  const char *word = fe_source_text(ctx, expr);
  tl_diag *diag = fe_error(ctx, expr->span, DIAG_E0116, "has",
                           "tma|wgmma|tcgen05|block_scale|f32x2|narrow_cvt", word);
  fe_suggest(ctx, diag, expr->span, word, features, sizeof features / sizeof *features);
  return fv_poison();
}

// --- checks and output --------------------------------------------------------------------------

static const char *text_arg(fe_ctx *ctx, const fe_call *call, int at, const char *absent) {
  if (at >= call->nargs)
    return absent;
  if (call->values[at].kind == FV_STRING)
    return call->values[at].s;
  fe_error(ctx, call->args[at]->span, DIAG_E0208, call->name, "a string",
           fv_type_text(ctx, call->values[at]));
  return NULL;
}

// Conversions of a print format: their number, or -1 when one is not known.
static int count_conversions(const char *format) {
  int count = 0;
  for (const char *at = format; (at = strchr(at, '%')); at++) {
    if (at[1] == '%') {
      at++;
      continue;
    }
    at++;
    at += strspn(at, "-+ #0123456789.l");
    if (!*at || !strchr("diuxXfgeE", *at))
      return -1;
    count++;
  }
  return count;
}

BUILTIN_HANDLER(fe_b_print) {
  (void)arg;
  const char *format = text_arg(ctx, call, 0, NULL);
  if (!format)
    return fv_poison();
  int wanted = count_conversions(format);
  if (wanted != call->nargs - 1) {
    fe_error(ctx, call->args[0]->span, DIAG_E0109, "print's format",
             wanted < 0 ? "%d, %u, %x, %f, %g or %e for each value"
                        : tl_sprintf(ctx->arena, "%d", wanted),
             call->nargs - 1);
    return fv_poison();
  }
  ir_val vals[8];
  for (int i = 1; i < call->nargs; i++) {
    fe_value v = fv_materialize(ctx, call->values[i]);
    if (v.kind != FV_IR) {
      fe_error(ctx, call->args[i]->span, DIAG_E0208, call->name, "a value", fv_type_text(ctx, v));
      return fv_poison();
    }
    vals[i - 1] = v.val;
  }
  ir_op *op = ir_build(&ctx->b, IR_PRINT, (uint32_t)call->nargs - 1, vals, 0, NULL);
  ir_set_str(ctx->func, op, "fmt", format);
  return fv_void();
}

BUILTIN_HANDLER(fe_b_assert) {
  (void)arg;
  const char *message = text_arg(ctx, call, 1, fe_source_text(ctx, call->args[0]));
  fe_value v = fv_materialize(ctx, call->values[0]);
  if (!message)
    return fv_poison();
  if (v.kind != FV_IR || ir_type(ctx->func, v.val)->dtype != TL_I1) {
    fe_error(ctx, call->args[0]->span, DIAG_E0206, "assert", fv_type_text(ctx, call->values[0]));
    return fv_poison();
  }
  ir_op *op = ir_build(&ctx->b, IR_ASSERT, 1, &v.val, 0, NULL);
  ir_set_str(ctx->func, op, "msg", message);
  return fv_void();
}

BUILTIN_HANDLER(fe_b_assume) {
  (void)arg;
  fe_value v = call->values[0];
  if (v.kind == FV_BOOL && v.b)
    return fv_void();
  if (v.kind != FV_IR || ir_type(ctx->func, v.val)->dtype != TL_I1 ||
      ir_type(ctx->func, v.val)->rank) {
    fe_error(ctx, call->args[0]->span, DIAG_E0206, "assume", fv_type_text(ctx, v));
    return fv_poison();
  }
  ir_build(&ctx->b, IR_ASSUME, 1, &v.val, 0, NULL);
  return fv_void();
}

BUILTIN_HANDLER(fe_b_static_assert) {
  (void)arg;
  fe_value v = call->values[0];
  const char *message = text_arg(ctx, call, 1, fe_source_text(ctx, call->args[0]));
  if (!message)
    return fv_poison();
  if (v.kind != FV_BOOL) {
    fe_error(ctx, call->args[0]->span, DIAG_E0207, "condition of 'static_assert'", "bool");
    return fv_poison();
  }
  if (!v.b)
    fe_error(ctx, call->expr->span, DIAG_E0231, message);
  return v.b ? fv_void() : fv_poison();
}

static void append_text(fe_ctx *ctx, tl_buf *buf, fe_value v) {
  switch (v.kind) {
  case FV_INT:
    tl_buf_printf(buf, "%lld", (long long)v.i);
    return;
  case FV_FLOAT:
    tl_buf_printf(buf, "%g", v.f);
    return;
  case FV_BOOL:
    tl_buf_puts(buf, v.b ? "true" : "false");
    return;
  case FV_STRING:
    tl_buf_puts(buf, v.s);
    return;
  case FV_DTYPE:
    tl_buf_puts(buf, tl_dtype_name(v.dtype));
    return;
  default:
    tl_buf_puts(buf, fv_type_text(ctx, v));
    return; // the type is what is known of a value
  }
}

BUILTIN_HANDLER(fe_b_static_print) {
  (void)arg;
  tl_buf buf = {0};
  for (int i = 0; i < call->nargs; i++) {
    if (i)
      tl_buf_putc(&buf, ' ');
    append_text(ctx, &buf, call->values[i]);
  }
  fe_chain(ctx, tl_report(ctx->diags, call->expr->span, DIAG_W3001, buf.data ? buf.data : ""));
  tl_buf_free(&buf);
  return fv_void();
}
