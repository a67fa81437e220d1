// Expressions: names, operators, conditions. Subscripts are in sema_index.c, calls in sema_call.c.
#include "frontend/check.h"
#include <math.h>

static fe_value with_origin(fe_value v, tl_span span) {
  v.origin = span;
  return v;
}

// --- names --------------------------------------------------------------------------------------

static const char *item_kind(const ast_item *item) {
  switch (item->kind) {
  case AST_ITEM_FN:
    return "a fn";
  case AST_ITEM_KERNEL:
    return "a kernel";
  case AST_ITEM_STRUCT:
    return "a struct";
  default:
    return "a constant";
  }
}

static fe_value eval_ident(fe_ctx *ctx, const ast_expr *expr) {
  const char *name = expr->ident;
  int number = fe_find(ctx, name);
  if (number >= 0)
    return fe_sym_at(ctx, number)->value; // keeps the origin: where the value came from
  fe_item *item = fe_find_item(ctx->program, name);
  if (item && item->ast->kind == AST_ITEM_CONST)
    return with_origin(fe_item_const(ctx, item, expr->span), expr->span);
  if (item) {
    fe_error(ctx, expr->span, DIAG_E0106, name, item_kind(item->ast), "a value");
    return fv_poison();
  }
  if (strcmp(name, "inf") == 0)
    return fv_float(HUGE_VAL);
  if (strcmp(name, "nan") == 0)
    return fv_float(NAN);
  if (strcmp(name, "pi") == 0)
    return fv_float(M_PI);
  if (fe_find_builtin(name)) {
    tl_diag *diag = fe_error(ctx, expr->span, DIAG_E0106, name, "a builtin function", "a value");
    tl_help(ctx->diags, diag, "call it: %s(...)", name);
  } else {
    fe_undefined(ctx, expr->span, name);
  }
  return fv_poison();
}

static fe_value eval_member(fe_ctx *ctx, const ast_expr *expr) {
  fe_value base = fe_eval(ctx, expr->member.base);
  if (fv_bad(base))
    return base;
  const ast_name *name = &expr->member.name;
  if (base.kind == FV_CHANNEL)
    return fe_channel_read(ctx, base.channel, name, expr->span);
  if (base.kind != FV_TUPLE || !base.tuple.record) {
    fe_error(ctx, name->span, DIAG_E0114, fv_type_text(ctx, base), name->text);
    return fv_poison();
  }
  const ast_fields *fields = &base.tuple.record->fields;
  TL_VEC(const char *) names = {0};
  for (uint32_t i = 0; i < fields->len; i++) {
    if (strcmp(fields->data[i].name.text, name->text) == 0)
      return base.tuple.items[i];
    tl_push(ctx->arena, &names, fields->data[i].name.text);
  }
  tl_diag *diag = fe_error(ctx, name->span, DIAG_E0114, fv_type_text(ctx, base), name->text);
  fe_suggest(ctx, diag, name->span, name->text, names.data, names.len);
  return fv_poison();
}

// --- operators ----------------------------------------------------------------------------------

static const char *cmp_pred(ast_op op) {
  switch (op) {
  case AST_OP_EQ:
    return "eq";
  case AST_OP_NE:
    return "ne";
  case AST_OP_LT:
    return "lt";
  case AST_OP_LE:
    return "le";
  case AST_OP_GT:
    return "gt";
  case AST_OP_GE:
    return "ge";
  default:
    return NULL;
  }
}

static ir_code arith_code(ast_op op) {
  switch (op) {
  case AST_OP_ADD:
    return IR_ADD;
  case AST_OP_SUB:
    return IR_SUB;
  case AST_OP_MUL:
    return IR_MUL;
  case AST_OP_DIV:
    return IR_DIV;
  case AST_OP_MOD:
    return IR_REM;
  case AST_OP_AND:
  case AST_OP_ANDAND:
    return IR_AND;
  case AST_OP_OR:
  case AST_OP_OROR:
    return IR_OR;
  case AST_OP_XOR:
    return IR_XOR;
  case AST_OP_SHL:
    return IR_SHL;
  case AST_OP_SHR:
    return IR_SHR;
  default:
    TL_UNREACHABLE("operator '%s'", ast_op_text(op));
  }
}

static bool op_defined(fe_ctx *ctx, ast_op op, tl_dtype dtype, tl_span span) {
  const char *text = ast_op_text(op);
  switch (op) {
  case AST_OP_ANDAND:
  case AST_OP_OROR:
    if (dtype == TL_I1)
      return true;
    break;
  case AST_OP_AND:
  case AST_OP_OR:
  case AST_OP_XOR:
    if (tl_is_int(dtype) && dtype != TL_I4)
      return true;
    break;
  case AST_OP_EQ:
  case AST_OP_NE:
    if (dtype == TL_I1)
      return true;
    return fe_wants_arith(ctx, dtype, span, text);
  case AST_OP_MOD:
  case AST_OP_SHL:
  case AST_OP_SHR:
    if (tl_is_int(dtype))
      return fe_wants_arith(ctx, dtype, span, text);
    break;
  default:
    return fe_wants_arith(ctx, dtype, span, text);
  }
  fe_error(ctx, span, DIAG_E0204, text, tl_dtype_name(dtype));
  return false;
}

static fe_value lower_binary(fe_ctx *ctx, ast_op op, ir_val a, ir_val b) {
  tl_dtype dtype = ir_type(ctx->func, a)->dtype;
  if (!cmp_pred(op))
    return fv_ir(ir_binary(&ctx->b, arith_code(op), a, b));
  if (dtype != TL_I1)
    return fv_ir(ir_cmp(&ctx->b, cmp_pred(op), a, b));
  ir_val differ = ir_binary(&ctx->b, IR_XOR, a, b);
  return fv_ir(op == AST_OP_NE ? differ : ir_unary(&ctx->b, IR_NOT, differ));
}

fe_value fe_binary(fe_ctx *ctx, ast_op op, fe_value a, fe_value b, tl_span span_a, tl_span span_b,
                   tl_span span) {
  if (fv_bad(a) || fv_bad(b))
    return fv_poison();
  fe_value folded;
  const char *why;
  if (fe_fold_binary(op, a, b, &folded, &why))
    return with_origin(folded, span);
  if (why) {
    fe_error(ctx, span, DIAG_E0237, why);
    return fv_poison();
  }
  if (!fe_unify(ctx, &a, &b, span_a, span_b, span, ast_op_text(op)) ||
      !op_defined(ctx, op, ir_type(ctx->func, a.val)->dtype, span))
    return fv_poison();
  return with_origin(lower_binary(ctx, op, a.val, b.val), span);
}

// --- one side only ------------------------------------------------------------------------------

static bool any_effect(fe_ctx *ctx, const ast_expr *expr);

static bool call_effect(fe_ctx *ctx, const ast_expr *expr) {
  const ast_expr *callee = expr->call.callee;
  if (callee->kind == AST_INDEX)
    callee = callee->index.base;
  if (callee->kind == AST_IDENT) {
    const fe_item *item = fe_find_item(ctx->program, callee->ident);
    const fe_builtin *builtin = item ? NULL : fe_find_builtin(callee->ident);
    if ((item && item->ast->kind == AST_ITEM_FN) || (builtin && fe_has_effect(builtin)))
      return true;
  }
  for (uint32_t i = 0; i < expr->call.args.len; i++)
    if (any_effect(ctx, expr->call.args.data[i].value))
      return true;
  return false;
}

// Whether evaluating `expr` may do more than give a value. Loads are bounded and divisions by zero
// defined, so everything else may as well be evaluated where its value is not wanted.
static bool any_effect(fe_ctx *ctx, const ast_expr *expr) {
  switch (expr->kind) {
  case AST_UNARY:
    return any_effect(ctx, expr->unary.operand);
  case AST_BINARY:
    return any_effect(ctx, expr->binary.left) || any_effect(ctx, expr->binary.right);
  case AST_TERNARY:
    return any_effect(ctx, expr->ternary.cond) || any_effect(ctx, expr->ternary.then) ||
           any_effect(ctx, expr->ternary.other);
  case AST_CALL:
    return call_effect(ctx, expr);
  case AST_MEMBER:
    return any_effect(ctx, expr->member.base);
  case AST_INDEX:
    for (uint32_t i = 0; i < expr->index.nsubs; i++)
      if (expr->index.subs[i].value && any_effect(ctx, expr->index.subs[i].value))
        return true;
    return any_effect(ctx, expr->index.base);
  default:
    return false;
  }
}

typedef struct choice_side {
  const ast_expr *expr; // NULL: `known`
  fe_value known;
  int slot;               // hidden variable that takes the value
  const ty_type **shared; // type of the first side
} choice_side;

static void run_choice(fe_ctx *ctx, const void *user) {
  const choice_side *side = user;
  fe_value v = fv_materialize(ctx, side->expr ? fe_eval_value(ctx, side->expr) : side->known);
  if (v.kind == FV_IR && !*side->shared) {
    *side->shared = ir_type(ctx->func, v.val);
  } else if (v.kind == FV_IR && ir_type(ctx->func, v.val) != *side->shared) {
    fe_error(ctx, side->expr ? side->expr->span : v.origin, DIAG_E0208,
             "?:", ty_text(ctx->arena, *side->shared), fv_type_text(ctx, v));
    v = fv_poison();
  } else if (v.kind != FV_IR) {
    v = fv_poison(); // structs have no choice; other kinds were reported
  }
  fe_sym_at(ctx, side->slot)->value = v;
}

static fe_value choose(fe_ctx *ctx, ir_val cond, tl_span span, choice_side a, choice_side b) {
  uint32_t mark = fe_enter(ctx);
  const ty_type *shared = NULL;
  int errors = ctx->errors;
  a.slot = b.slot = fe_declare(ctx, FS_VAR, "%choice", fv_void(), span);
  a.shared = b.shared = &shared;
  fe_branch(ctx, cond, span, run_choice, &a, run_choice, &b);
  fe_value out = fe_sym_at(ctx, a.slot)->value;
  fe_leave(ctx, mark);
  if (out.kind != FV_IR && ctx->errors == errors)
    fe_error(ctx, span, DIAG_E0208, "?:", "a scalar or tile", "something else");
  return out.kind == FV_IR ? with_origin(out, span) : fv_poison();
}

static bool is_scalar_i1(fe_ctx *ctx, fe_value v) {
  return v.kind == FV_IR && ir_type(ctx->func, v.val) == ty_scalar(ctx->types, TL_I1);
}

static fe_value eval_binary(fe_ctx *ctx, const ast_expr *expr) {
  ast_op op = expr->binary.op;
  fe_value a = fe_eval(ctx, expr->binary.left);
  // A constant on the left of && and || decides without looking at the right.
  if (a.kind == FV_BOOL && ((op == AST_OP_ANDAND && !a.b) || (op == AST_OP_OROR && a.b)))
    return a;
  bool logical = op == AST_OP_ANDAND || op == AST_OP_OROR;
  if (logical && is_scalar_i1(ctx, a) && any_effect(ctx, expr->binary.right)) {
    choice_side right = {.expr = expr->binary.right}, known = {.known = fv_bool(op == AST_OP_OROR)};
    return op == AST_OP_ANDAND ? choose(ctx, a.val, expr->span, right, known)
                               : choose(ctx, a.val, expr->span, known, right);
  }
  fe_value b = fe_eval(ctx, expr->binary.right);
  if (logical && !fv_bad(b) && a.kind == FV_BOOL && fv_type(ctx, b)->dtype == TL_I1)
    return b;
  if (logical && b.kind == FV_BOOL && a.kind == FV_IR && fv_type(ctx, a)->dtype == TL_I1 &&
      b.b == (op == AST_OP_ANDAND))
    return a;
  ctx->b.loc = expr->span;
  return fe_binary(ctx, op, a, b, expr->binary.left->span, expr->binary.right->span, expr->span);
}

static fe_value eval_unary(fe_ctx *ctx, const ast_expr *expr) {
  fe_value v = fe_eval(ctx, expr->unary.operand), folded;
  if (fv_bad(v))
    return v;
  if (fe_fold_unary(expr->unary.op, v, &folded))
    return with_origin(folded, expr->span);
  const char *text = ast_op_text(expr->unary.op);
  tl_dtype dtype = v.kind == FV_IR ? ir_type(ctx->func, v.val)->dtype : TL_NODTYPE;
  bool ok = dtype != TL_NODTYPE;
  if (expr->unary.op == AST_OP_NOT)
    ok = ok && dtype == TL_I1;
  else if (expr->unary.op == AST_OP_INV)
    ok = ok && tl_is_int(dtype) && dtype != TL_I4 && dtype != TL_I1;
  else if (ok && !fe_wants_arith(ctx, dtype, expr->span, text))
    return fv_poison();
  if (!ok) {
    fe_error(ctx, expr->span, DIAG_E0204, text, fv_type_text(ctx, v));
    return fv_poison();
  }
  ctx->b.loc = expr->span;
  ir_code code = expr->unary.op == AST_OP_NEG ? IR_NEG : IR_NOT;
  return with_origin(fv_ir(ir_unary(&ctx->b, code, v.val)), expr->span);
}

static fe_value eval_ternary(fe_ctx *ctx, const ast_expr *expr) {
  fe_value known;
  ir_val cond = fe_condition(ctx, expr->ternary.cond, "?:", &known);
  if (fv_bad(known) && !ir_some(cond))
    return known;
  if (known.kind == FV_BOOL)
    return fe_eval(ctx, known.b ? expr->ternary.then : expr->ternary.other);
  if (any_effect(ctx, expr->ternary.then) || any_effect(ctx, expr->ternary.other))
    return choose(ctx, cond, expr->span, (choice_side){.expr = expr->ternary.then},
                  (choice_side){.expr = expr->ternary.other});
  fe_value a = fe_eval_value(ctx, expr->ternary.then), b = fe_eval_value(ctx, expr->ternary.other);
  ctx->b.loc = expr->span;
  if (!fe_unify(ctx, &a, &b, expr->ternary.then->span, expr->ternary.other->span, expr->span, "?:"))
    return fv_poison();
  const ty_type *type = ir_type(ctx->func, a.val);
  if (type->rank)
    cond = ir_broadcast(&ctx->b, cond, ty_with_dtype(ctx->types, type, TL_I1));
  return with_origin(fv_ir(ir_select(&ctx->b, cond, a.val, b.val)), expr->span);
}

static fe_value eval_tuple(fe_ctx *ctx, const ast_expr *expr) {
  fe_value out = {.kind = FV_TUPLE, .origin = expr->span};
  out.tuple.n = expr->tuple.len;
  out.tuple.items = TL_NEW_N(ctx->arena, fe_value, expr->tuple.len);
  bool bad = false;
  for (uint32_t i = 0; i < expr->tuple.len; i++) {
    out.tuple.items[i] = fe_eval_value(ctx, expr->tuple.data[i]);
    bad |= fv_bad(out.tuple.items[i]);
  }
  return bad ? fv_poison() : out;
}

fe_value fe_eval(fe_ctx *ctx, const ast_expr *expr) {
  tl_span saved = ctx->b.loc;
  ctx->b.loc = expr->span;
  fe_value out = fv_poison();
  switch (expr->kind) {
  case AST_IDENT:
    out = eval_ident(ctx, expr);
    break;
  case AST_INT:
    out = with_origin(fv_int(expr->integer.value), expr->span);
    break;
  case AST_FLOAT:
    out = with_origin(fv_float(expr->floating.value), expr->span);
    break;
  case AST_STRING:
    out = (fe_value){.kind = FV_STRING, .origin = expr->span, .s = expr->string.text};
    break;
  case AST_BOOL:
    out = with_origin(fv_bool(expr->boolean), expr->span);
    break;
  case AST_DTYPE:
    out = with_origin(fv_dtype(expr->dtype), expr->span);
    break;
  case AST_UNARY:
    out = eval_unary(ctx, expr);
    break;
  case AST_BINARY:
    out = eval_binary(ctx, expr);
    break;
  case AST_TERNARY:
    out = eval_ternary(ctx, expr);
    break;
  case AST_CALL:
    out = fe_eval_call(ctx, expr);
    break;
  case AST_INDEX:
    out = fe_index(ctx, expr);
    break;
  case AST_MEMBER:
    out = eval_member(ctx, expr);
    break;
  case AST_TUPLE:
    out = eval_tuple(ctx, expr);
    break;
  case AST_FN:
    out = (fe_value){.kind = FV_LAMBDA, .origin = expr->span};
    break;
  }
  ctx->b.loc = saved;
  return out;
}

// --- what a place accepts -----------------------------------------------------------------------

fe_value fe_eval_value(fe_ctx *ctx, const ast_expr *expr) {
  return fe_want_value(ctx, expr, fe_eval(ctx, expr));
}

fe_value fe_want_value(fe_ctx *ctx, const ast_expr *expr, fe_value v) {
  switch (v.kind) {
  case FV_TENSOR:
  case FV_ACCESS: {
    tl_diag *diag = fe_error(ctx, expr->span, DIAG_E0212, fv_type_text(ctx, v));
    if (v.kind == FV_ACCESS)
      tl_fixit(ctx->diags, diag, expr->span,
               tl_sprintf(ctx->arena, "load(%s)", fe_source_text(ctx, expr)));
    return fv_poison();
  }
  case FV_VOID:
  case FV_DTYPE:
  case FV_STRING:
  case FV_DOMAIN:
  case FV_CHANNEL:
  case FV_LAMBDA:
    fe_error(ctx, expr->span, DIAG_E0208, "expression", "a value", fv_type_text(ctx, v));
    return fv_poison();
  default:
    return v;
  }
}

bool fe_eval_int(fe_ctx *ctx, const ast_expr *expr, const char *what, int64_t *out) {
  fe_value v;
  // Constants are tried without IR first, so that a failed attempt leaves no operations behind.
  if (!fe_try_const(ctx, expr, &v))
    v = fe_eval(ctx, expr);
  if (fv_bad(v))
    return false;
  if (v.kind != FV_INT) {
    fe_error(ctx, expr->span, DIAG_E0207, what, "integer");
    return false;
  }
  *out = v.i;
  return true;
}

ir_val fe_scalar_i32(fe_ctx *ctx, fe_value v, tl_span span, const char *what) {
  v = fe_adapt(ctx, v, TL_I32, span, what);
  if (fv_bad(v))
    return (ir_val){0};
  if (ir_type(ctx->func, v.val)->rank) {
    fe_error(ctx, span, DIAG_E0208, what, "a scalar", fv_type_text(ctx, v));
    return (ir_val){0};
  }
  return v.val;
}

ir_val fe_eval_i32(fe_ctx *ctx, const ast_expr *expr, const char *what) {
  return fe_scalar_i32(ctx, fe_eval_value(ctx, expr), expr->span, what);
}

// The i1 of a condition; {0} when it is known (*out_const is FV_BOOL) or wrong (poison).
ir_val fe_condition(fe_ctx *ctx, const ast_expr *expr, const char *what, fe_value *out_const) {
  fe_value v = fe_eval_value(ctx, expr);
  *out_const = v;
  if (fv_bad(v) || v.kind == FV_BOOL)
    return (ir_val){0};
  *out_const = fv_poison();
  const ty_type *type = fv_type(ctx, v);
  if (v.kind == FV_IR && type->rank) {
    tl_diag *diag = fe_error(ctx, expr->span, DIAG_E0205, what, ty_text(ctx->arena, type));
    tl_help(ctx->diags, diag,
            "control flow is the same for the whole tile: choose elements with where(c, a, b), or "
            "reduce with any(...) or all(...)");
    return (ir_val){0};
  }
  if (v.kind != FV_IR || type->dtype != TL_I1) {
    tl_diag *diag = fe_error(ctx, expr->span, DIAG_E0206, what, fv_type_text(ctx, v));
    if (v.kind == FV_IR || v.kind == FV_INT)
      tl_fixit(ctx->diags, diag, expr->span,
               tl_sprintf(ctx->arena,
                          expr->kind == AST_BINARY && !expr->parens ? "(%s) != 0" : "%s != 0",
                          fe_source_text(ctx, expr)));
    return (ir_val){0};
  }
  return v.val;
}
