// Constants: folding, evaluation without IR, generics, and texts the launcher can evaluate.
//
// Compile-time integers are 64-bit; overflow is an error, not a wrap, so that a tile size or a
// bound is never silently wrong.
#include "frontend/check.h"
#include <errno.h>
#include <stdlib.h>

// --- folding ------------------------------------------------------------------------------------

static bool fold_int(ast_op op, int64_t a, int64_t b, fe_value *out, const char **why) {
  int64_t r = 0;
  *why = NULL;
  switch (op) {
  case AST_OP_ADD:
    *why = __builtin_add_overflow(a, b, &r) ? "overflow" : NULL;
    break;
  case AST_OP_SUB:
    *why = __builtin_sub_overflow(a, b, &r) ? "overflow" : NULL;
    break;
  case AST_OP_MUL:
    *why = __builtin_mul_overflow(a, b, &r) ? "overflow" : NULL;
    break;
  case AST_OP_DIV:
  case AST_OP_MOD:
    if (b == 0 || (a == INT64_MIN && b == -1))
      *why = b == 0 ? "division by zero" : "overflow";
    else
      r = op == AST_OP_DIV ? a / b : a % b;
    break;
  case AST_OP_AND:
    r = a & b;
    break;
  case AST_OP_OR:
    r = a | b;
    break;
  case AST_OP_XOR:
    r = a ^ b;
    break;
  case AST_OP_SHL:
  case AST_OP_SHR:
    if (b < 0 || b > 63)
      *why = "shift distance outside 0 .. 63";
    else
      r = op == AST_OP_SHL ? (int64_t)((uint64_t)a << b) : a >> b;
    break;
  case AST_OP_EQ:
    return *out = fv_bool(a == b), true;
  case AST_OP_NE:
    return *out = fv_bool(a != b), true;
  case AST_OP_LT:
    return *out = fv_bool(a < b), true;
  case AST_OP_GT:
    return *out = fv_bool(a > b), true;
  case AST_OP_LE:
    return *out = fv_bool(a <= b), true;
  case AST_OP_GE:
    return *out = fv_bool(a >= b), true;
  default:
    return false;
  }
  *out = fv_int(r);
  return !*why;
}

static bool fold_float(ast_op op, double a, double b, fe_value *out) {
  switch (op) {
  case AST_OP_ADD:
    return *out = fv_float(a + b), true;
  case AST_OP_SUB:
    return *out = fv_float(a - b), true;
  case AST_OP_MUL:
    return *out = fv_float(a * b), true;
  case AST_OP_DIV:
    return *out = fv_float(a / b), true;
  case AST_OP_EQ:
    return *out = fv_bool(a == b), true;
  case AST_OP_NE:
    return *out = fv_bool(a != b), true;
  case AST_OP_LT:
    return *out = fv_bool(a < b), true;
  case AST_OP_GT:
    return *out = fv_bool(a > b), true;
  case AST_OP_LE:
    return *out = fv_bool(a <= b), true;
  case AST_OP_GE:
    return *out = fv_bool(a >= b), true;
  default:
    return false;
  }
}

static bool fold_bool(ast_op op, bool a, bool b, fe_value *out) {
  switch (op) {
  case AST_OP_AND:
  case AST_OP_ANDAND:
    return *out = fv_bool(a && b), true;
  case AST_OP_OR:
  case AST_OP_OROR:
    return *out = fv_bool(a || b), true;
  case AST_OP_NE:
  case AST_OP_XOR:
    return *out = fv_bool(a != b), true;
  case AST_OP_EQ:
    return *out = fv_bool(a == b), true;
  default:
    return false;
  }
}

// False: not defined for these operands, or *out_why says what went wrong.
bool fe_fold_binary(ast_op op, fe_value a, fe_value b, fe_value *out, const char **out_why) {
  *out_why = NULL;
  if (a.kind == FV_INT && b.kind == FV_INT)
    return fold_int(op, a.i, b.i, out, out_why);
  if (a.kind == FV_BOOL && b.kind == FV_BOOL)
    return fold_bool(op, a.b, b.b, out);
  if (a.kind == FV_DTYPE && b.kind == FV_DTYPE && (op == AST_OP_EQ || op == AST_OP_NE))
    return *out = fv_bool((a.dtype == b.dtype) == (op == AST_OP_EQ)), true;
  bool numbers =
      (a.kind == FV_INT || a.kind == FV_FLOAT) && (b.kind == FV_INT || b.kind == FV_FLOAT);
  if (!numbers)
    return false;
  return fold_float(op, a.kind == FV_INT ? (double)a.i : a.f, b.kind == FV_INT ? (double)b.i : b.f,
                    out);
}

bool fe_fold_unary(ast_op op, fe_value a, fe_value *out) {
  switch (op) {
  case AST_OP_NEG:
    if (a.kind == FV_FLOAT)
      return *out = fv_float(-a.f), true;
    if (a.kind != FV_INT || a.i == INT64_MIN)
      return false;
    return *out = fv_int(-a.i), true;
  case AST_OP_NOT:
    return a.kind == FV_BOOL ? (*out = fv_bool(!a.b), true) : false;
  case AST_OP_INV:
    return a.kind == FV_INT ? (*out = fv_int(~a.i), true) : false;
  default:
    return false;
  }
}

// --- evaluation without IR ----------------------------------------------------------------------

static bool try_ident(fe_ctx *ctx, const char *name, fe_value *out) {
  int number = fe_find(ctx, name);
  if (number >= 0) {
    *out = fe_sym_at(ctx, number)->value;
    return fv_is_const(*out) || out->kind == FV_DTYPE;
  }
  fe_item *item = fe_find_item(ctx->program, name);
  if (!item || item->ast->kind != AST_ITEM_CONST)
    return false;
  *out = fe_item_const(ctx, item, item->ast->span);
  return fv_is_const(*out);
}

static bool try_call(fe_ctx *ctx, const ast_expr *expr, fe_value *out) {
  const ast_expr *callee = expr->call.callee;
  const ast_args *args = &expr->call.args;
  if (callee->kind != AST_IDENT)
    return false;
  const char *name = callee->ident;
  if (strcmp(name, "arch") == 0 && args->len == 0 && ctx->target)
    return *out = fv_int(ctx->target->capability), true;
  if (strcmp(name, "has") == 0 && args->len == 1 && args->data[0].value->kind == AST_IDENT) {
    unsigned bit = tl_feature_by_name(args->data[0].value->ident);
    return bit && ctx->target ? (*out = fv_bool(ctx->target->features & bit), true) : false;
  }
  fe_value a, b;
  if (args->len != 2 || args->data[0].name.text || args->data[1].name.text ||
      !fe_try_const(ctx, args->data[0].value, &a) || !fe_try_const(ctx, args->data[1].value, &b) ||
      a.kind != FV_INT || b.kind != FV_INT)
    return false;
  if ((strcmp(name, "ceildiv") == 0 || strcmp(name, "cdiv") == 0) && b.i > 0)
    return *out = fv_int(a.i > 0 ? (a.i - 1) / b.i + 1 : a.i / b.i), true;
  if (strcmp(name, "min") == 0)
    return *out = fv_int(a.i < b.i ? a.i : b.i), true;
  if (strcmp(name, "max") == 0)
    return *out = fv_int(a.i > b.i ? a.i : b.i), true;
  return false;
}

bool fe_try_const(fe_ctx *ctx, const ast_expr *expr, fe_value *out) {
  fe_value a, b;
  const char *why;
  switch (expr->kind) {
  case AST_INT:
    return *out = fv_int(expr->integer.value), true;
  case AST_FLOAT:
    return *out = fv_float(expr->floating.value), true;
  case AST_BOOL:
    return *out = fv_bool(expr->boolean), true;
  case AST_DTYPE:
    return *out = fv_dtype(expr->dtype), true;
  case AST_IDENT:
    return try_ident(ctx, expr->ident, out);
  case AST_UNARY:
    return fe_try_const(ctx, expr->unary.operand, &a) && fe_fold_unary(expr->unary.op, a, out);
  case AST_BINARY:
    if (!fe_try_const(ctx, expr->binary.left, &a))
      return false;
    // The operand that decides alone decides, as in C.
    if (a.kind == FV_BOOL &&
        ((expr->binary.op == AST_OP_ANDAND && !a.b) || (expr->binary.op == AST_OP_OROR && a.b)))
      return *out = a, true;
    return fe_try_const(ctx, expr->binary.right, &b) &&
           fe_fold_binary(expr->binary.op, a, b, out, &why);
  case AST_TERNARY:
    if (!fe_try_const(ctx, expr->ternary.cond, &a) || a.kind != FV_BOOL)
      return false;
    return fe_try_const(ctx, a.b ? expr->ternary.then : expr->ternary.other, out);
  case AST_CALL:
    return try_call(ctx, expr, out);
  default:
    return false;
  }
}

fe_value fe_item_const(fe_ctx *ctx, fe_item *item, tl_span use) {
  if (item->known)
    return item->value;
  const ast_const *decl = &item->ast->constant;
  if (item->busy) {
    fe_error(ctx, use, DIAG_E0105, item->name);
    return fv_poison();
  }
  item->busy = true;
  int before = ctx->errors;
  // A constant sees the file's names only, not the scope of its use.
  fe_frame *saved = ctx->frame;
  fe_frame outer = {.sym_base = ctx->syms.len};
  ctx->frame = &outer;
  fe_value value = fv_poison();
  tl_dtype dtype = decl->type->kind == AST_TYPE_DTYPE ? decl->type->dtype : TL_NODTYPE;
  bool found = fe_try_const(ctx, decl->value, &value);
  ctx->frame = saved;
  if (ctx->errors > before) {
    value = fv_poison();
  } else if (!found || dtype == TL_NODTYPE || value.kind == FV_DTYPE) {
    fe_error(ctx, decl->value->span, DIAG_E0207, "value of a const", "constant");
    value = fv_poison();
  } else if (tl_is_float(dtype) && value.kind == FV_INT) {
    value = fv_float((double)value.i);
  } else if ((tl_is_float(dtype) ? FV_FLOAT
              : dtype == TL_I1   ? FV_BOOL
                                 : FV_INT) != (int)value.kind) {
    fe_error(ctx, decl->value->span, DIAG_E0203, fv_type_text(ctx, value), tl_dtype_name(dtype));
    value = fv_poison();
  }
  item->known = true;
  item->value = value;
  return value;
}

// --- generics -----------------------------------------------------------------------------------

const char *fe_generic_kind(ast_gkind kind) {
  return kind == AST_GENERIC_INT ? "int" : kind == AST_GENERIC_BOOL ? "bool" : "dtype";
}

const char *fe_generic_text(tl_arena *arena, fe_value value) {
  if (value.kind == FV_INT)
    return tl_sprintf(arena, "%lld", (long long)value.i);
  return value.kind == FV_BOOL ? (value.b ? "true" : "false") : tl_dtype_name(value.dtype);
}

bool fe_bind_generic(fe_ctx *ctx, const ast_gparam *param, const char *text, fe_value *out) {
  (void)ctx;
  if (param->kind == AST_GENERIC_DTYPE) {
    tl_dtype dtype = tl_dtype_by_name(text);
    return dtype == TL_NODTYPE ? false : (*out = fv_dtype(dtype), true);
  }
  if (param->kind == AST_GENERIC_BOOL) {
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
      return false;
    return *out = fv_bool(yes), true;
  }
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || errno)
    return false;
  return *out = fv_int(value), true;
}

// --- launch texts -------------------------------------------------------------------------------

const char *fe_source_text(fe_ctx *ctx, const ast_expr *expr) {
  tl_buf buf = {0};
  ast_print_expr(&buf, expr);
  char *text = tl_strdup(ctx->arena, buf.data ? buf.data : "");
  tl_buf_free(&buf);
  return text;
}

static bool unknown_at_launch(fe_ctx *ctx, const ast_expr *expr, const char *what) {
  if (what)
    fe_error(ctx, expr->span, DIAG_E0241, what, fe_source_text(ctx, expr));
  return false;
}

static bool host_operand(fe_ctx *ctx, const ast_expr *expr, int prec, tl_buf *out,
                         const char *what);

static bool host_dim(fe_ctx *ctx, const ast_expr *expr, tl_buf *out, const char *what) {
  const ast_args *args = &expr->call.args;
  fe_value axis;
  if (args->len != 2 || args->data[0].value->kind != AST_IDENT ||
      !fe_try_const(ctx, args->data[1].value, &axis) || axis.kind != FV_INT)
    return unknown_at_launch(ctx, expr, what);
  int number = fe_find(ctx, args->data[0].value->ident);
  fe_value v = number >= 0 ? fe_sym_at(ctx, number)->value : fv_poison();
  if (v.kind != FV_TENSOR || axis.i < 0 || axis.i >= v.tensor->rank)
    return unknown_at_launch(ctx, expr, what);
  tl_buf_printf(out, "(%s)", v.tensor->dim_texts[axis.i]);
  return true;
}

static bool host_call(fe_ctx *ctx, const ast_expr *expr, tl_buf *out, const char *what) {
  const ast_expr *callee = expr->call.callee;
  const ast_args *args = &expr->call.args;
  if (callee->kind != AST_IDENT)
    return unknown_at_launch(ctx, expr, what);
  const char *name = callee->ident;
  if (strcmp(name, "dim") == 0)
    return host_dim(ctx, expr, out, what);
  if (strcmp(name, "cdiv") == 0)
    name = "ceildiv";
  bool known = !strcmp(name, "ceildiv") || !strcmp(name, "min") || !strcmp(name, "max");
  if (!known || args->len != 2)
    return unknown_at_launch(ctx, expr, what);
  tl_buf_printf(out, "%s(", name);
  if (!fe_host_text(ctx, args->data[0].value, out, what))
    return false;
  tl_buf_puts(out, ", ");
  if (!fe_host_text(ctx, args->data[1].value, out, what))
    return false;
  tl_buf_puts(out, ")");
  return true;
}

static bool host_ident(fe_ctx *ctx, const ast_expr *expr, tl_buf *out, const char *what) {
  int number = fe_find(ctx, expr->ident);
  if (number < 0)
    return unknown_at_launch(ctx, expr, what);
  const fe_sym *sym = fe_sym_at(ctx, number);
  const ty_type *type = sym->value.kind == FV_IR ? ir_type(ctx->func, sym->value.val) : NULL;
  bool scalar = sym->kind == FS_PARAM && type && ty_is_scalar(type) && tl_is_int(type->dtype);
  if (sym->kind != FS_DIM && !scalar)
    return unknown_at_launch(ctx, expr, what);
  tl_buf_puts(out, expr->ident);
  return true;
}

static bool host_binary(fe_ctx *ctx, const ast_expr *expr, tl_buf *out, const char *what) {
  switch (expr->binary.op) {
  case AST_OP_AND:
  case AST_OP_OR:
  case AST_OP_XOR:
  case AST_OP_SHL:
  case AST_OP_SHR:
    return unknown_at_launch(ctx, expr, what);
  default:
    break;
  }
  int prec = ast_op_precedence(expr->binary.op);
  if (!host_operand(ctx, expr->binary.left, prec, out, what))
    return false;
  tl_buf_printf(out, " %s ", ast_op_text(expr->binary.op));
  return host_operand(ctx, expr->binary.right, prec + 1, out, what);
}

bool fe_host_text(fe_ctx *ctx, const ast_expr *expr, tl_buf *out, const char *what) {
  fe_value value;
  if (fe_try_const(ctx, expr, &value) && (value.kind == FV_INT || value.kind == FV_BOOL)) {
    tl_buf_printf(out, "%lld", (long long)(value.kind == FV_INT ? value.i : value.b));
    return true;
  }
  switch (expr->kind) {
  case AST_IDENT:
    return host_ident(ctx, expr, out, what);
  case AST_CALL:
    return host_call(ctx, expr, out, what);
  case AST_BINARY:
    return host_binary(ctx, expr, out, what);
  case AST_UNARY:
    if (expr->unary.op == AST_OP_INV)
      return unknown_at_launch(ctx, expr, what);
    tl_buf_puts(out, ast_op_text(expr->unary.op));
    return host_operand(ctx, expr->unary.operand, 12, out, what);
  case AST_TERNARY:
    if (!host_operand(ctx, expr->ternary.cond, 1, out, what))
      return false;
    tl_buf_puts(out, " ? ");
    if (!fe_host_text(ctx, expr->ternary.then, out, what))
      return false;
    tl_buf_puts(out, " : ");
    return fe_host_text(ctx, expr->ternary.other, out, what);
  default:
    return unknown_at_launch(ctx, expr, what);
  }
}

// With parentheses where the operand binds less tightly than `prec`.
static bool host_operand(fe_ctx *ctx, const ast_expr *expr, int prec, tl_buf *out,
                         const char *what) {
  fe_value value;
  bool constant = fe_try_const(ctx, expr, &value);
  int own = constant                    ? (value.kind == FV_INT && value.i < 0 ? 0 : 99)
            : expr->kind == AST_BINARY  ? ast_op_precedence(expr->binary.op)
            : expr->kind == AST_TERNARY ? 0
                                        : 99;
  if (own < prec)
    tl_buf_puts(out, "(");
  if (!fe_host_text(ctx, expr, out, what))
    return false;
  if (own < prec)
    tl_buf_puts(out, ")");
  return true;
}
