// Calls: builtins by table, casts, struct values, and fns, which are inlined with their generics
// bound.
#include "frontend/check.h"

// --- arguments of builtins ----------------------------------------------------------------------

const ast_expr *fe_named(const fe_call *call, const char *name) {
  for (int i = 0; i < call->nnamed; i++)
    if (strcmp(call->named[i]->name.text, name) == 0)
      return call->named[i]->value;
  return NULL;
}

static bool in_list(const char *list, char separator, const char *word) {
  size_t len = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += len)
    if ((at == list || at[-1] == separator) && (!at[len] || at[len] == separator))
      return true;
  return false;
}

const char *fe_choice(fe_ctx *ctx, const fe_call *call, const char *name, const char *choices,
                      const char *absent) {
  const ast_expr *expr = fe_named(call, name);
  if (!expr)
    return absent;
  if (expr->kind == AST_IDENT && in_list(choices, '|', expr->ident))
    return expr->ident;
  fe_error(ctx, expr->span, DIAG_E0116, name, choices, fe_source_text(ctx, expr));
  return NULL;
}

bool fe_named_int(fe_ctx *ctx, const fe_call *call, const char *name, int64_t absent,
                  int64_t *out) {
  const ast_expr *expr = fe_named(call, name);
  *out = absent;
  return !expr || fe_eval_int(ctx, expr, tl_sprintf(ctx->arena, "'%s'", name), out);
}

bool fe_named_flag(fe_ctx *ctx, const fe_call *call, const char *name, bool *out) {
  const ast_expr *expr = fe_named(call, name);
  fe_value v;
  *out = false;
  if (!expr)
    return true;
  if (!fe_try_const(ctx, expr, &v) || v.kind != FV_BOOL) {
    fe_error(ctx, expr->span, DIAG_E0207, tl_sprintf(ctx->arena, "'%s'", name), "bool");
    return false;
  }
  *out = v.b;
  return true;
}

bool fe_named_axis(fe_ctx *ctx, const fe_call *call, const ty_type *type, int *out) {
  int64_t axis;
  if (!fe_named(call, "axis")) {
    *out = 0;
    if (type->rank == 1)
      return true;
    tl_diag *diag =
        fe_error(ctx, call->expr->span, DIAG_E0210, call->name, ty_text(ctx->arena, type));
    tl_help(ctx->diags, diag, "axis = %d reduces the last dimension", type->rank - 1);
    return false;
  }
  if (!fe_named_int(ctx, call, "axis", 0, &axis))
    return false;
  *out = (int)(axis < 0 ? axis + type->rank : axis);
  if (axis >= -type->rank && axis < type->rank)
    return true;
  fe_error(ctx, fe_named(call, "axis")->span, DIAG_E0211, (int)axis, type->rank);
  return false;
}

bool fe_generic_dims(fe_ctx *ctx, const fe_call *call, uint32_t first, int64_t *dims,
                     int *out_rank) {
  if (call->ngenerics - first > TY_MAX_RANK) {
    fe_error(ctx, call->expr->span, DIAG_E0213,
             tl_sprintf(ctx->arena, "rank %u is over the limit of %d", call->ngenerics - first,
                        TY_MAX_RANK));
    return false;
  }
  for (uint32_t i = first; i < call->ngenerics; i++) {
    const ast_sub *sub = &call->generics[i];
    if (sub->kind != AST_SUB_EXPR) {
      fe_error(ctx, sub->span, DIAG_E0207, "a tile dimension", "integer");
      return false;
    }
    int64_t *dim = &dims[i - first];
    if (!fe_eval_int(ctx, sub->value, "a tile dimension", dim))
      return false;
    if (*dim < 1 || *dim > 1 << 20) {
      fe_error(ctx, sub->span, DIAG_E0213,
               tl_sprintf(ctx->arena, "a tile dimension of %lld is outside 1 .. 1048576",
                          (long long)*dim));
      return false;
    }
  }
  *out_rank = (int)(call->ngenerics - first);
  return true;
}

static const char *arity_text(fe_ctx *ctx, int min, int max) {
  return min == max ? tl_sprintf(ctx->arena, "%d", min)
         : max < 0  ? tl_sprintf(ctx->arena, "at least %d", min)
                    : tl_sprintf(ctx->arena, "%d to %d", min, max);
}

static bool sort_args(fe_ctx *ctx, fe_call *call, const fe_builtin *builtin) {
  const ast_args *args = &call->expr->call.args;
  int given = 0;
  for (uint32_t i = 0; i < args->len; i++) {
    const ast_arg *arg = &args->data[i];
    if (!arg->name.text) {
      if (given < 8)
        call->args[given] = arg->value;
      given++;
    } else if (!in_list(builtin->named, ' ', arg->name.text)) {
      tl_diag *diag = fe_error(ctx, arg->name.span, DIAG_E0108, call->name, arg->name.text);
      if (*builtin->named)
        tl_help(ctx->diags, diag, "it has: %s", builtin->named);
      return false;
    } else if (fe_named(call, arg->name.text)) {
      fe_error(ctx, arg->name.span, DIAG_E0120, arg->name.text, call->name);
      return false;
    } else {
      call->named[call->nnamed++] = arg;
    }
  }
  int max = builtin->max_args < 0 ? 8 : builtin->max_args;
  if (given < builtin->min_args || given > max) {
    fe_error(ctx, call->expr->span, DIAG_E0109, call->name,
             arity_text(ctx, builtin->min_args, builtin->max_args), given);
    return false;
  }
  call->nargs = given;
  return true;
}

static fe_value call_builtin(fe_ctx *ctx, const fe_builtin *builtin, const ast_expr *expr,
                             const ast_sub *generics, uint32_t ngenerics) {
  fe_call call = {
      .expr = expr, .name = builtin->name, .generics = generics, .ngenerics = ngenerics};
  if (builtin->handler == fe_b_later) // before anything of it is looked at: nothing else is certain
    return fe_b_later(ctx, &call, builtin->arg);
  if ((int)ngenerics > builtin->max_generics) {
    fe_error(ctx, expr->call.callee->span, DIAG_E0109,
             tl_sprintf(ctx->arena, "%s[...]", builtin->name),
             arity_text(ctx, 0, builtin->max_generics), (int)ngenerics);
    return fv_poison();
  }
  if (!sort_args(ctx, &call, builtin))
    return fv_poison();
  bool words = builtin->handler == fe_b_has; // its argument is a word
  bool bad = false;
  for (int i = 0; i < call.nargs && !words; i++) {
    call.values[i] = fe_eval(ctx, call.args[i]);
    bad |= fv_bad(call.values[i]);
  }
  if (bad)
    return fv_poison();
  ctx->b.loc = expr->span;
  fe_value out = builtin->handler(ctx, &call, builtin->arg);
  out.origin = expr->span;
  return out;
}

// --- casts --------------------------------------------------------------------------------------

static bool is_narrow_float(tl_dtype dtype) {
  return tl_is_float(dtype) && tl_dtype_bits(dtype) <= 8;
}

static ir_val lower_cast(fe_ctx *ctx, ir_val x, tl_dtype to, const char *round, bool sat) {
  const ty_type *type = ir_type(ctx->func, x);
  tl_dtype from = type->dtype;
  if (from == to)
    return x;
  const ty_type *wanted = ty_with_dtype(ctx->types, type, to);
  if (to == TL_I1)
    return ir_cmp(&ctx->b, "ne", x, fe_zero(ctx, type, NULL, ctx->b.loc).val);
  if (from == TL_I1) { // 0 or 1, whatever the sign of a one-bit integer may be elsewhere
    fe_value one = fe_to_type(ctx, fv_int(1), wanted, ctx->b.loc, "cast");
    return ir_select(&ctx->b, x, one.val, fe_zero(ctx, wanted, NULL, ctx->b.loc).val);
  }
  return ir_cast(&ctx->b, x, to, round, sat);
}

// round= of a cast as the IR spells it; NULL after a report.
static const char *cast_round(fe_ctx *ctx, const fe_call *call, tl_dtype from, tl_dtype to) {
  const ast_expr *expr = call ? fe_named(call, "round") : NULL;
  if (!expr)
    return to == TL_UE8M0 ? "rp" : "rn";
  if (expr->kind == AST_IDENT && strcmp(expr->ident, "stochastic") == 0) {
    fe_error(ctx, expr->span, DIAG_E0619);
    return NULL;
  }
  const char *word = to == TL_UE8M0
                         ? fe_choice(ctx, call, "round", "up|nearest|down|rn|rz|rm|rp", "up")
                         : fe_choice(ctx, call, "round", "rn|rz|rm|rp", "rn");
  if (!word)
    return NULL;
  if (!tl_is_float(to)) {
    if (tl_is_float(from) && strcmp(word, "rz") == 0)
      return "rn"; // truncation is what a cast to an integer does
    fe_error(ctx, expr->span, DIAG_E0230, tl_dtype_name(from), tl_dtype_name(to),
             "integers truncate: round= applies to float results");
    return NULL;
  }
  return !strcmp(word, "up")        ? "rp"
         : !strcmp(word, "nearest") ? "rn"
         : !strcmp(word, "down")    ? "rm"
                                    : word;
}

fe_value fe_cast(fe_ctx *ctx, fe_value v, tl_dtype to, const fe_call *call, tl_span span) {
  if (fv_bad(v))
    return v;
  if (fv_is_const(v) && (!tl_is_float(to) || !is_narrow_float(to))) {
    if (v.kind == FV_FLOAT && tl_is_int(to) && to != TL_I1 && v.f > -9.2e18 && v.f < 9.2e18)
      v = fv_int((int64_t)v.f);
    else if (v.kind == FV_BOOL && to != TL_I1)
      v = fv_int(v.b);
    else if (to == TL_I1)
      v = fv_bool(v.kind == FV_BOOL ? v.b : v.kind == FV_INT ? v.i != 0 : v.f != 0);
    return fe_adapt(ctx, v, to, span, "a cast");
  }
  if (!fv_is_const(v) && v.kind != FV_IR) {
    fe_error(ctx, span, DIAG_E0208, "cast", "a value", fv_type_text(ctx, v));
    return fv_poison();
  }
  v = fv_materialize(ctx, v);
  tl_dtype from = ir_type(ctx->func, v.val)->dtype;
  const char *round = cast_round(ctx, call, from, to);
  if (!round)
    return fv_poison();
  bool sat = is_narrow_float(to);
  const ast_expr *sat_expr = call ? fe_named(call, "sat") : NULL;
  fe_value known;
  if (sat_expr) {
    if (!fe_try_const(ctx, sat_expr, &known) || known.kind != FV_BOOL) {
      fe_error(ctx, sat_expr->span, DIAG_E0207, "'sat'", "bool");
      return fv_poison();
    }
    sat = known.b;
  }
  if ((from == TL_I4 || to == TL_I4) && from != to) {
    fe_error(ctx, span, DIAG_E0230, tl_dtype_name(from), tl_dtype_name(to), "i4 is storage only");
    return fv_poison();
  }
  fe_value out = fv_ir(lower_cast(ctx, v.val, to, strcmp(round, "rn") ? round : NULL, sat));
  out.origin = span;
  return out;
}

static fe_value call_cast(fe_ctx *ctx, const ast_expr *expr, tl_dtype to) {
  static const fe_builtin row = {"cast", 1, 1, "round sat", 0, NULL, 0};
  fe_call call = {.expr = expr, .name = tl_dtype_name(to)};
  if (!sort_args(ctx, &call, &row))
    return fv_poison();
  fe_value v = fe_eval_value(ctx, call.args[0]);
  ctx->b.loc = expr->span;
  return fe_cast(ctx, v, to, &call, expr->span);
}

// --- structs ------------------------------------------------------------------------------------

// S(a, b) or S(x = a, y = b): fields in order or by name, all of them.
fe_value fe_make_struct(fe_ctx *ctx, const ast_struct *record, const ast_expr *expr) {
  const ast_args *args = &expr->call.args;
  fe_value out = {.kind = FV_TUPLE, .origin = expr->span};
  uint32_t nfields = record->fields.len;
  out.tuple.record = record;
  out.tuple.n = nfields;
  out.tuple.items = TL_NEW_N(ctx->arena, fe_value, nfields + 1);
  if (args->len != nfields) {
    fe_error(ctx, expr->span, DIAG_E0109, record->name.text,
             arity_text(ctx, (int)nfields, (int)nfields), (int)args->len);
    return fv_poison();
  }
  bool bad = false;
  for (uint32_t i = 0; i < args->len; i++) {
    const ast_arg *arg = &args->data[i];
    uint32_t at = i;
    if (arg->name.text) {
      for (at = 0; at < nfields; at++)
        if (strcmp(record->fields.data[at].name.text, arg->name.text) == 0)
          break;
    }
    if (at == nfields) {
      fe_error(ctx, arg->span, DIAG_E0108, record->name.text, arg->name.text);
      return fv_poison();
    }
    if (out.tuple.items[at].kind != FV_POISON) {
      fe_error(ctx, arg->span, DIAG_E0120, record->fields.data[at].name.text, record->name.text);
      return fv_poison();
    }
    const ast_field *field = &record->fields.data[at];
    const ast_struct *inner;
    const ty_type *type = fe_resolve_type(ctx, field->type, &field->dims, &inner);
    fe_value v = type ? fe_eval_value(ctx, arg->value) : fv_poison();
    if (type && !inner)
      v = fe_to_type(ctx, v, type, arg->span,
                     tl_sprintf(ctx->arena, "field '%s'", field->name.text));
    else if (!fv_bad(v) && (v.kind != FV_TUPLE || v.tuple.record != inner)) {
      fe_error(ctx, arg->span, DIAG_E0208, field->name.text, inner ? inner->name.text : "",
               fv_type_text(ctx, v));
      v = fv_poison();
    }
    bad |= fv_bad(v);
    out.tuple.items[at] = v;
    if (fv_bad(v))
      return fv_poison();
  }
  return bad ? fv_poison() : out;
}

// --- which kind of call -------------------------------------------------------------------------

static fe_value call_named(fe_ctx *ctx, const ast_expr *expr, const ast_expr *name,
                           const ast_sub *generics, uint32_t ngenerics) {
  int number = fe_find(ctx, name->ident);
  if (number >= 0) {
    fe_value v = fe_sym_at(ctx, number)->value;
    if (v.kind == FV_DTYPE && !ngenerics)
      return call_cast(ctx, expr, v.dtype);
    if (!fv_bad(v)) {
      tl_diag *diag =
          fe_error(ctx, name->span, DIAG_E0106, name->ident, fv_type_text(ctx, v), "a function");
      tl_note(ctx->diags, diag, fe_sym_at(ctx, number)->span, "'%s' is declared here", name->ident);
    }
    return fv_poison();
  }
  fe_item *item = fe_find_item(ctx->program, name->ident);
  if (item && item->ast->kind == AST_ITEM_FN)
    return fe_call_fn(ctx, &item->ast->fn, expr, generics, ngenerics);
  if (item && item->ast->kind == AST_ITEM_STRUCT)
    return fe_make_struct(ctx, &item->ast->record, expr);
  if (item) {
    fe_error(ctx, name->span, DIAG_E0106, name->ident,
             item->ast->kind == AST_ITEM_KERNEL ? "a kernel" : "a constant", "a function");
    return fv_poison();
  }
  const fe_builtin *builtin = fe_find_builtin(name->ident);
  if (builtin)
    return call_builtin(ctx, builtin, expr, generics, ngenerics);
  fe_undefined(ctx, name->span, name->ident);
  return fv_poison();
}

fe_value fe_eval_call(fe_ctx *ctx, const ast_expr *expr) {
  const ast_expr *callee = expr->call.callee;
  if (callee->kind == AST_DTYPE)
    return call_cast(ctx, expr, callee->dtype);
  if (callee->kind == AST_IDENT)
    return call_named(ctx, expr, callee, NULL, 0);
  if (callee->kind == AST_INDEX && callee->index.base->kind == AST_IDENT)
    return call_named(ctx, expr, callee->index.base, callee->index.subs, callee->index.nsubs);
  fe_error(ctx, callee->span, DIAG_E0106, fe_source_text(ctx, callee), "an expression",
           "a function");
  return fv_poison();
}
