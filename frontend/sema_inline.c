// Calls of fns: generics from the brackets, from the shapes of the arguments or from defaults; then
// the body is lowered in place, in a frame that sees nothing of the caller but the arguments.
#include "frontend/check.h"

typedef struct inlining {
  const ast_fn *fn;
  const ast_expr *expr;
  const ast_expr **args; // per parameter
  fe_value *values;      // per parameter
  fe_value *generics;    // FV_POISON: not bound yet
} inlining;

static const char *param_what(fe_ctx *ctx, const ast_param *param) {
  return tl_sprintf(ctx->arena, "argument '%s'", param->name.text);
}

// --- arguments ----------------------------------------------------------------------------------

static bool place_args(fe_ctx *ctx, inlining *in) {
  const ast_args *args = &in->expr->call.args;
  const ast_params *params = &in->fn->params;
  const char *name = in->fn->name.text;
  if (args->len != params->len) {
    tl_diag *diag = fe_error(ctx, in->expr->span, DIAG_E0109, name,
                             tl_sprintf(ctx->arena, "%u", params->len), (int)args->len);
    tl_note(ctx->diags, diag, in->fn->name.span, "'%s' is declared here", name);
    return false;
  }
  for (uint32_t i = 0; i < args->len; i++) {
    const ast_arg *arg = &args->data[i];
    uint32_t at = i;
    for (at = arg->name.text ? 0 : i; arg->name.text && at < params->len; at++)
      if (strcmp(params->data[at].name.text, arg->name.text) == 0)
        break;
    if (at == params->len) {
      fe_error(ctx, arg->span, DIAG_E0108, name, arg->name.text);
      return false;
    }
    if (in->args[at]) {
      fe_error(ctx, arg->span, DIAG_E0120, params->data[at].name.text, name);
      return false;
    }
    in->args[at] = arg->value;
  }
  return true;
}

static bool eval_args(fe_ctx *ctx, inlining *in) {
  bool ok = true;
  for (uint32_t i = 0; i < in->fn->params.len; i++) {
    fe_value v = fe_eval(ctx, in->args[i]);
    if (v.kind != FV_TENSOR && v.kind != FV_POISON && v.kind != FV_IR && v.kind != FV_TUPLE &&
        !fv_is_const(v))
      v = fe_eval_value(ctx, in->args[i]); // for its message
    in->values[i] = v;
    ok = ok && !fv_bad(v);
  }
  return ok;
}

// --- generics -----------------------------------------------------------------------------------

static int generic_index(const ast_fn *fn, const char *name) {
  for (uint32_t i = 0; i < fn->generics.len; i++)
    if (strcmp(fn->generics.data[i].name.text, name) == 0)
      return (int)i;
  return -1;
}

static bool generic_kind_fits(const ast_gparam *param, fe_value v) {
  return param->kind == AST_GENERIC_INT    ? v.kind == FV_INT
         : param->kind == AST_GENERIC_BOOL ? v.kind == FV_BOOL
                                           : v.kind == FV_DTYPE;
}

static bool explicit_generics(fe_ctx *ctx, inlining *in, const ast_sub *subs, uint32_t nsubs) {
  if (nsubs > in->fn->generics.len) {
    fe_error(ctx, in->expr->call.callee->span, DIAG_E0109,
             tl_sprintf(ctx->arena, "%s[...]", in->fn->name.text),
             tl_sprintf(ctx->arena, "0 to %u", in->fn->generics.len), (int)nsubs);
    return false;
  }
  for (uint32_t i = 0; i < nsubs; i++) {
    const ast_gparam *param = &in->fn->generics.data[i];
    fe_value v = fv_poison();
    if (subs[i].kind == AST_SUB_DTYPE)
      v = fv_dtype(subs[i].dtype);
    else if (subs[i].kind == AST_SUB_EXPR && !fe_try_const(ctx, subs[i].value, &v))
      v = fe_eval(ctx, subs[i].value);
    if (!generic_kind_fits(param, v)) {
      fe_error(ctx, subs[i].span, DIAG_E0207,
               tl_sprintf(ctx->arena, "generic '%s'", param->name.text),
               fe_generic_kind(param->kind));
      return false;
    }
    in->generics[i] = v;
  }
  return true;
}

static void deduce(fe_ctx *ctx, inlining *in, const ast_param *param, fe_value v) {
  if (param->type->kind == AST_TYPE_NAME) {
    int g = generic_index(in->fn, param->type->name);
    bool typed = v.kind == FV_TENSOR || v.kind == FV_IR;
    if (g >= 0 && fv_bad(in->generics[g]) && typed)
      in->generics[g] =
          fv_dtype(v.kind == FV_TENSOR ? v.tensor->dtype : ir_type(ctx->func, v.val)->dtype);
  }
  const ast_exprs *dims = &param->dims.dims;
  for (uint32_t i = 0; i < dims->len; i++) {
    int g = dims->data[i]->kind == AST_IDENT ? generic_index(in->fn, dims->data[i]->ident) : -1;
    if (g < 0 || !fv_bad(in->generics[g]))
      continue;
    if (v.kind == FV_TENSOR && (int)i < v.tensor->rank && v.tensor->dims[i].kind == FV_INT)
      in->generics[g] = v.tensor->dims[i];
    else if (v.kind == FV_IR && (int)i < ir_type(ctx->func, v.val)->rank)
      in->generics[g] = fv_int(ir_type(ctx->func, v.val)->dims[i]);
  }
}

// Inside the new frame: declares every generic; defaults may use the ones before.
static bool declare_generics(fe_ctx *ctx, inlining *in) {
  for (uint32_t i = 0; i < in->fn->generics.len; i++) {
    const ast_gparam *param = &in->fn->generics.data[i];
    fe_value v = in->generics[i];
    if (fv_bad(v) && param->value && !fe_try_const(ctx, param->value, &v))
      v = fv_poison();
    // A dtype that only constants could have told: what they would be by themselves.
    for (uint32_t p = 0; fv_bad(v) && param->kind == AST_GENERIC_DTYPE && p < in->fn->params.len;
         p++) {
      const ast_type *type = in->fn->params.data[p].type;
      if (type->kind == AST_TYPE_NAME && !strcmp(type->name, param->name.text) &&
          fv_is_const(in->values[p]))
        v = fv_dtype(fv_type(ctx, in->values[p])->dtype);
    }
    if (fv_bad(v) || !generic_kind_fits(param, v)) {
      tl_diag *diag =
          fe_error(ctx, in->expr->span, DIAG_E0233, param->name.text, in->fn->name.text);
      tl_help(ctx->diags, diag, "give it: %s[...](...)", in->fn->name.text);
      return false;
    }
    fe_declare(ctx, FS_GENERIC, param->name.text, v, param->span);
    in->generics[i] = v;
  }
  return true;
}

static const char *title_of(fe_ctx *ctx, const inlining *in) {
  tl_buf buf = {0};
  tl_buf_puts(&buf, in->fn->name.text);
  for (uint32_t i = 0; i < in->fn->generics.len; i++)
    if (!fv_bad(in->generics[i]))
      tl_buf_printf(&buf, "%s%s=%s", i ? ", " : "[", in->fn->generics.data[i].name.text,
                    fe_generic_text(ctx->arena, in->generics[i]));
  if (in->fn->generics.len)
    tl_buf_puts(&buf, "]");
  char *text = tl_strdup(ctx->arena, buf.data);
  tl_buf_free(&buf);
  return text;
}

// --- parameters ---------------------------------------------------------------------------------

// A tensor is passed by name; free dim names stand for its dims inside.
static bool declare_tensor(fe_ctx *ctx, const ast_param *param, fe_value v, tl_span span) {
  fe_tensor *tensor = v.tensor;
  tl_dtype dtype = fe_resolve_dtype(ctx, param->type);
  if (dtype == TL_NODTYPE)
    return false;
  if (dtype != tensor->dtype || (int)param->dims.dims.len != tensor->rank) {
    fe_error(ctx, span, DIAG_E0208, param_what(ctx, param),
             tl_sprintf(ctx->arena, "a tensor of %s and rank %u", tl_dtype_name(dtype),
                        param->dims.dims.len),
             fv_type_text(ctx, v));
    return false;
  }
  bool writes = param->dir == AST_DIR_OUT || param->dir == AST_DIR_INOUT;
  if (writes && tensor->dir == AST_DIR_IN) {
    fe_error(ctx, span, DIAG_E0223, tensor->name);
    return false;
  }
  if (!writes && tensor->dir != AST_DIR_IN) { // reads only inside
    fe_tensor *view = TL_NEW(ctx->arena, fe_tensor);
    *view = *tensor;
    view->dir = AST_DIR_IN;
    v.tensor = view;
  }
  for (int i = 0; i < tensor->rank; i++) {
    const ast_expr *dim = param->dims.dims.data[i];
    fe_value known;
    if (dim->kind == AST_IDENT && fe_find(ctx, dim->ident) < 0 &&
        !fe_find_item(ctx->program, dim->ident)) {
      fe_declare(ctx, FS_LET, dim->ident, tensor->dims[i], dim->span);
    } else if (fe_try_const(ctx, dim, &known) && known.kind == FV_INT &&
               tensor->dims[i].kind == FV_INT && tensor->dims[i].i != known.i) {
      fe_error(ctx, span, DIAG_E0234, param->name.text, i, (int)known.i, (int)tensor->dims[i].i);
      return false;
    }
  }
  fe_declare(ctx, FS_LET, param->name.text, v, param->name.span);
  return true;
}

static bool declare_param(fe_ctx *ctx, const ast_param *param, fe_value v, tl_span span) {
  if (v.kind == FV_TENSOR)
    return declare_tensor(ctx, param, v, span);
  if (param->dir == AST_DIR_OUT || (param->dir == AST_DIR_IN && param->dims.dims.len)) {
    fe_error(ctx, span, DIAG_E0208, param_what(ctx, param), "a tensor", fv_type_text(ctx, v));
    return false;
  }
  const ast_struct *record;
  const ty_type *type = fe_resolve_type(ctx, param->type, &param->dims, &record);
  if (!type)
    return false;
  if (record) {
    if (v.kind != FV_TUPLE || v.tuple.record != record) {
      fe_error(ctx, span, DIAG_E0208, param_what(ctx, param), record->name.text,
               fv_type_text(ctx, v));
      return false;
    }
  } else if (fv_is_const(v) && !type->rank && param->dir == AST_DIR_NONE) {
    if (fv_bad(fe_adapt(ctx, v, type->dtype, span, param_what(ctx, param))))
      return false; // a constant stays one, so that it can be a size inside
    if (v.kind == FV_INT && tl_is_float(type->dtype))
      v = fv_float((double)v.i);
  } else {
    v = fe_to_type(ctx, v, type, span, param_what(ctx, param));
  }
  if (fv_bad(v))
    return false;
  fe_declare(ctx, param->dir == AST_DIR_INOUT ? FS_VAR : FS_LET, param->name.text, v,
             param->name.span);
  return true;
}

// --- results ------------------------------------------------------------------------------------

static bool only_tail_return(const ast_block *body) {
  for (uint32_t i = 0; i < body->len; i++)
    if ((fe_escapes(body->data[i]) & FE_MAY_RETURN) && body->data[i]->kind != AST_RETURN)
      return false;
  return true;
}

static fe_value zero_result(fe_ctx *ctx, const ast_fn *fn, uint32_t i) {
  const ast_struct *record;
  const ty_type *type = fe_resolve_type(ctx, fn->results[i].type, &fn->results[i].dims, &record);
  return type ? fe_zero(ctx, type, record, fn->results[i].span) : fv_poison();
}

static void open_frame(fe_ctx *ctx, fe_frame *frame, const ast_block *body) {
  frame->returned = fe_declare(ctx, FS_VAR, "%returned", fv_bool(false), body->span);
  frame->result = -1;
  const ast_fn *fn = frame->fn;
  if (!fn || !fn->nresults)
    return;
  fe_value init = fv_void();
  if (!only_tail_return(body)) { // a path may come by without a value: it must have a type already
    init = zero_result(ctx, fn, 0);
    if (fn->nresults > 1) {
      init = (fe_value){.kind = FV_TUPLE};
      init.tuple.n = fn->nresults;
      init.tuple.items = TL_NEW_N(ctx->arena, fe_value, fn->nresults);
      for (uint32_t i = 0; i < fn->nresults; i++)
        init.tuple.items[i] = zero_result(ctx, fn, i);
    }
  }
  frame->result = fe_declare(ctx, FS_VAR, "%result", init, body->span);
}

static fe_value to_result(fe_ctx *ctx, const ast_fn *fn, uint32_t i, fe_value v, tl_span span) {
  const ast_struct *record;
  const ty_type *type = fe_resolve_type(ctx, fn->results[i].type, &fn->results[i].dims, &record);
  if (!type || fv_bad(v))
    return fv_poison();
  if (!record)
    return fe_to_type(ctx, v, type, span, "return value");
  if (v.kind == FV_TUPLE && v.tuple.record == record)
    return v;
  fe_error(ctx, span, DIAG_E0208, "return value", record->name.text, fv_type_text(ctx, v));
  return fv_poison();
}

static fe_value result_value(fe_ctx *ctx, const ast_fn *fn, const ast_expr *expr) {
  fe_value v = fe_eval_value(ctx, expr);
  if (fv_bad(v))
    return v;
  if (fn->nresults == 1 && !(v.kind == FV_TUPLE && !v.tuple.record))
    return to_result(ctx, fn, 0, v, expr->span);
  uint32_t given = v.kind == FV_TUPLE && !v.tuple.record ? v.tuple.n : 1;
  if (given != fn->nresults) {
    fe_error(ctx, expr->span, DIAG_E0235, (int)fn->nresults, (int)given);
    return fv_poison();
  }
  for (uint32_t i = 0; i < fn->nresults; i++)
    v.tuple.items[i] = to_result(ctx, fn, i, v.tuple.items[i], expr->span);
  return v;
}

void fe_return(fe_ctx *ctx, const ast_stmt *stmt) {
  fe_frame *frame = ctx->frame;
  for (fe_loop *loop = ctx->loop; loop && loop->frame == frame; loop = loop->up)
    if (loop->is_foreach) {
      fe_error(ctx, stmt->span, DIAG_E0242, "return");
      return;
    }
  bool wants = frame->fn && frame->fn->nresults;
  if (wants != (stmt->result != NULL)) {
    fe_error(ctx, stmt->span, DIAG_E0236, frame->fn ? frame->fn->name.text : "a kernel",
             wants ? "returns a value" : "returns nothing");
    if (wants)
      fe_sym_at(ctx, frame->result)->value = fv_poison();
    fe_sym_at(ctx, frame->returned)->value = fv_bool(true);
    return;
  }
  if (wants) {
    fe_value v = result_value(ctx, frame->fn, stmt->result);
    fe_sym_at(ctx, frame->result)->value = v;
  }
  fe_sym_at(ctx, frame->returned)->value = fv_bool(true);
}

// --- the call -----------------------------------------------------------------------------------

static bool enter_call(fe_ctx *ctx, inlining *in, fe_frame *frame) {
  for (uint32_t i = 0; i < in->fn->params.len; i++)
    deduce(ctx, in, &in->fn->params.data[i], in->values[i]);
  if (!declare_generics(ctx, in))
    return false;
  frame->title = title_of(ctx, in);
  for (uint32_t i = 0; i < in->fn->params.len; i++)
    if (!declare_param(ctx, &in->fn->params.data[i], in->values[i], in->args[i]->span))
      return false;
  return true;
}

static fe_value run_body(fe_ctx *ctx, inlining *in, fe_frame *frame) {
  open_frame(ctx, frame, in->fn->body);
  fe_block(ctx, in->fn->body);
  fe_value out = frame->result >= 0 ? fe_sym_at(ctx, frame->result)->value : fv_void();
  fe_value returned = fe_sym_at(ctx, frame->returned)->value;
  if (frame->result >= 0 && !fv_bad(out) && !(returned.kind == FV_BOOL && returned.b)) {
    fe_error(ctx, in->fn->name.span, DIAG_E0236, in->fn->name.text,
             "must return a value on every path");
    return fv_poison();
  }
  return out;
}

static void write_back(fe_ctx *ctx, const inlining *in, const fe_value *finals) {
  for (uint32_t i = 0; i < in->fn->params.len; i++)
    if (in->fn->params.data[i].dir == AST_DIR_INOUT && in->values[i].kind != FV_TENSOR)
      fe_set_place(ctx, in->args[i], finals[i], in->args[i]->span);
}

fe_value fe_call_fn(fe_ctx *ctx, const ast_fn *fn, const ast_expr *expr, const ast_sub *generics,
                    uint32_t ngenerics) {
  uint32_t n = fn->params.len;
  inlining in = {.fn = fn, .expr = expr};
  in.args = TL_NEW_N(ctx->arena, const ast_expr *, n + 1);
  in.values = TL_NEW_N(ctx->arena, fe_value, n + 1);
  in.generics = TL_NEW_N(ctx->arena, fe_value, fn->generics.len + 1);
  if (!place_args(ctx, &in) || !eval_args(ctx, &in) ||
      !explicit_generics(ctx, &in, generics, ngenerics))
    return fv_poison();
  TL_ASSERT(ctx->depth < 200, "fn '%s' nests without end", fn->name.text); // recursion was refused
  fe_frame frame = {.up = ctx->frame,
                    .fn = fn,
                    .call = expr->span,
                    .title = fn->name.text,
                    .sym_base = ctx->syms.len,
                    .returned = -1,
                    .result = -1};
  uint32_t scope_base = ctx->scope_base;
  fe_loop *loop = ctx->loop;
  ctx->frame = &frame;
  ctx->scope_base = frame.sym_base;
  ctx->loop = NULL;
  ctx->depth++;
  fe_value out = fv_poison();
  fe_value *finals = TL_NEW_N(ctx->arena, fe_value, n + 1);
  bool ok = enter_call(ctx, &in, &frame);
  if (ok) {
    out = run_body(ctx, &in, &frame);
    for (uint32_t i = 0; i < n; i++)
      finals[i] = fe_sym_at(ctx, fe_find(ctx, fn->params.data[i].name.text))->value;
  }
  ctx->depth--;
  ctx->loop = loop;
  ctx->frame = frame.up;
  ctx->scope_base = scope_base;
  fe_leave(ctx, frame.sym_base);
  ctx->b.loc = expr->span;
  if (ok)
    write_back(ctx, &in, finals);
  out.origin = expr->span;
  return out;
}
