// One kernel with its generics bound, for one target: launch parameters, contract, body, grid.
//
// Launch order: the base of each tensor, then scalars, then free dims in order of their first plain
// occurrence, then run-time strides in order of tensor and axis.
#include "frontend/check.h"

typedef struct stride_slot {
  bool runtime;
  const ast_expr *expr; // given; NULL: dense default
  ir_val val;
} stride_slot;

typedef struct tensor_slot {
  const ast_param *param;
  tl_dtype dtype;
  ir_val base;
  stride_slot strides[TY_MAX_RANK];
} tensor_slot;

typedef struct builder {
  fe_ctx *ctx;
  const ast_kernel *kernel;
  tensor_slot *slots; // per parameter; dtype TL_NODTYPE: not a tensor or wrong
  fe_contract contract;
  TL_VEC(const char *) require_exprs;
  TL_VEC(const char *) require_texts;
  TL_VEC(fe_key) keys;
} builder;

static bool is_tensor(const ast_param *param) { return param->dims.dims.len > 0; }

// --- generics -----------------------------------------------------------------------------------

static bool bind_generics(fe_ctx *ctx, const fe_variant *variant) {
  const ast_gparams *generics = &ctx->kernel->ast->generics;
  for (uint32_t i = 0; i < generics->len; i++) {
    const ast_gparam *param = &generics->data[i];
    const char *text = NULL;
    for (int j = 0; j < variant->count; j++)
      if (strcmp(variant->bindings[j].name, param->name.text) == 0)
        text = variant->bindings[j].value;
    fe_value v;
    if (!text) {
      fe_error(ctx, param->span, DIAG_E0113, param->name.text, ctx->kernel->name);
      return false;
    }
    if (!fe_bind_generic(ctx, param, text, &v)) {
      fe_error(ctx, param->span, DIAG_E0112, text, fe_generic_kind(param->kind), param->name.text);
      return false;
    }
    fe_declare(ctx, FS_GENERIC, param->name.text, v, param->span);
    ir_setting setting = {param->name.text, tl_strdup(ctx->module->arena, text)};
    tl_push(ctx->module->arena, &ctx->func->settings, setting);
  }
  return true;
}

// By the first tune clause: what every variant tells apart. Later clauses are special cases.
static bool is_tuned(const ast_kernel *kernel, const char *name) {
  for (uint32_t i = 0; i < kernel->nclauses; i++)
    for (uint32_t j = 0; j < kernel->clauses[i].ntunes; j++)
      if (strcmp(kernel->clauses[i].tunes[j].name.text, name) == 0)
        return true;
      else if (j + 1 == kernel->clauses[i].ntunes)
        return false;
  return false;
}

// "BM128_BN96": tuned generics, and others where they are not at their default.
static const char *settings_name(fe_ctx *ctx, const fe_variant *variant) {
  const ast_kernel *kernel = ctx->kernel->ast;
  tl_buf buf = {0};
  for (int i = 0; i < variant->count; i++) {
    const fe_binding *at = &variant->bindings[i];
    bool shown = is_tuned(kernel, at->name);
    for (uint32_t j = 0; j < kernel->generics.len && !shown; j++) {
      const ast_gparam *param = &kernel->generics.data[j];
      fe_value v;
      if (strcmp(param->name.text, at->name) == 0)
        shown = !param->value || !fe_try_const(ctx, param->value, &v) ||
                strcmp(fe_generic_text(ctx->arena, v), at->value) != 0;
    }
    if (shown)
      tl_buf_printf(&buf, "%s%s%s", buf.len ? "_" : "", at->name, at->value);
  }
  for (size_t i = 0; i < buf.len; i++)
    if (buf.data[i] == '-')
      buf.data[i] = 'm';
  const char *text = tl_strdup(ctx->arena, buf.len ? buf.data : "default");
  tl_buf_free(&buf);
  return text;
}

// --- launch parameters --------------------------------------------------------------------------

static int64_t elems_per_16_bytes(tl_dtype dtype) {
  int bits = tl_dtype_bits(dtype);
  return 128 / (bits < 4 ? 8 : bits);
}

static bool is_written(const ast_param *param) {
  return param->dir == AST_DIR_OUT || param->dir == AST_DIR_INOUT;
}

// Can the kernel write to this input? An input that says @may_alias may share memory with outputs;
// an output that says it, with any parameter.
static bool may_change(const ast_kernel *kernel, const ast_param *input) {
  if (is_written(input) || fe_attr(&input->attrs, "may_alias"))
    return true;
  for (uint32_t i = 0; i < kernel->params.len; i++)
    if (is_written(&kernel->params.data[i]) && fe_attr(&kernel->params.data[i].attrs, "may_alias"))
      return true;
  return false;
}

static void add_pointers(builder *bd) {
  fe_ctx *ctx = bd->ctx;
  for (uint32_t i = 0; i < bd->kernel->params.len; i++) {
    const ast_param *param = &bd->kernel->params.data[i];
    tensor_slot *slot = &bd->slots[i];
    slot->param = param;
    fe_check_attrs(ctx, &param->attrs, is_tensor(param) ? "may_alias" : "", "on this parameter");
    if (!is_tensor(param))
      continue;
    if (param->dims.dims.len > TY_MAX_RANK) {
      fe_error(ctx, param->dims.span, DIAG_E0213,
               tl_sprintf(ctx->arena, "rank %u is over the limit of %d", param->dims.dims.len,
                          TY_MAX_RANK));
      continue;
    }
    slot->dtype = fe_resolve_dtype(ctx, param->type);
    if (slot->dtype == TL_NODTYPE)
      continue;
    slot->base =
        ir_add_param(ctx->func, IR_PARAM_PTR, param->name.text, ty_ptr(ctx->types, slot->dtype));
    ir_param *launch = &tl_last(&ctx->func->params);
    int bytes = tl_dtype_bits(slot->dtype) / 8;
    launch->div = ctx->align ? ctx->align : bytes ? bytes : 1;
    launch->read_only = !may_change(bd->kernel, param);
  }
}

static bool fresh_name(fe_ctx *ctx, const ast_name *name) {
  int number = fe_find(ctx, name->text);
  if (number < 0)
    return true;
  tl_diag *diag = fe_error(ctx, name->span, DIAG_E0102, name->text);
  tl_note(ctx->diags, diag, fe_sym_at(ctx, number)->span, "the first one is here");
  return false;
}

static void add_scalars(builder *bd) {
  fe_ctx *ctx = bd->ctx;
  for (uint32_t i = 0; i < bd->kernel->params.len; i++) {
    const ast_param *param = &bd->kernel->params.data[i];
    if (is_tensor(param) || !fresh_name(ctx, &param->name))
      continue;
    tl_dtype dtype = fe_resolve_dtype(ctx, param->type);
    if (dtype == TL_NODTYPE)
      continue;
    bool ok = dtype == TL_I32 || dtype == TL_I64 || dtype == TL_U32 || dtype == TL_U64 ||
              dtype == TL_F32 || dtype == TL_F64;
    if (!ok || param->dir == AST_DIR_OUT || param->dir == AST_DIR_INOUT) {
      fe_error(ctx, param->span, DIAG_E0243, param->name.text,
               ok ? "a scalar is an input"
                  : tl_sprintf(ctx->arena, "%s cannot be passed", tl_dtype_name(dtype)));
      continue;
    }
    ir_val val =
        ir_add_param(ctx->func, IR_PARAM_SCALAR, param->name.text, ty_scalar(ctx->types, dtype));
    fe_declare(ctx, FS_PARAM, param->name.text, fv_ir(val), param->name.span);
  }
}

// A name on its own in a shape that nothing else defines is a free dim.
static void add_dims(builder *bd) {
  fe_ctx *ctx = bd->ctx;
  for (uint32_t i = 0; i < bd->kernel->params.len; i++) {
    const ast_exprs *dims = &bd->kernel->params.data[i].dims.dims;
    for (uint32_t j = 0; j < dims->len; j++) {
      const ast_expr *dim = dims->data[j];
      if (dim->kind != AST_IDENT || fe_find(ctx, dim->ident) >= 0)
        continue;
      const fe_item *item = fe_find_item(ctx->program, dim->ident);
      if (item && item->ast->kind == AST_ITEM_CONST)
        continue;
      ir_val val = ir_add_param(ctx->func, IR_PARAM_DIM, dim->ident, ty_scalar(ctx->types, TL_I32));
      fe_declare(ctx, FS_DIM, dim->ident, fv_ir(val), dim->span);
    }
  }
}

static ir_val add_stride(builder *bd, const tensor_slot *slot, int axis) {
  fe_ctx *ctx = bd->ctx;
  ir_val val = ir_add_param(ctx->func, IR_PARAM_STRIDE, slot->param->name.text,
                            ty_scalar(ctx->types, TL_I64));
  ir_param *launch = &tl_last(&ctx->func->params);
  launch->axis = axis;
  launch->div = ctx->align ? elems_per_16_bytes(slot->dtype) * ctx->align / 16
                : tl_dtype_bits(slot->dtype) == 4 ? 2
                                                  : 1;
  return val;
}

static void add_strides(builder *bd) {
  fe_ctx *ctx = bd->ctx;
  for (uint32_t i = 0; i < bd->kernel->params.len; i++) {
    tensor_slot *slot = &bd->slots[i];
    if (slot->dtype == TL_NODTYPE)
      continue;
    const ast_dims *dims = &slot->param->dims;
    uint32_t rank = dims->dims.len;
    if (dims->strides.len && dims->strides.len != rank) {
      fe_error(ctx, dims->span, DIAG_E0209, slot->param->name.text, (int)rank,
               (int)dims->strides.len);
      slot->dtype = TL_NODTYPE;
      continue;
    }
    for (uint32_t j = 0; j < rank; j++) {
      stride_slot *stride = &slot->strides[j];
      stride->expr = dims->strides.len ? dims->strides.data[j] : NULL;
      const ast_expr *expr = stride->expr;
      bool named = expr && expr->kind == AST_IDENT && fe_find(ctx, expr->ident) < 0 &&
                   !fe_find_item(ctx->program, expr->ident);
      stride->runtime = expr ? named : j + 1 < rank;
      if (!stride->runtime)
        continue;
      stride->val = add_stride(bd, slot, (int)j);
      if (named)
        fe_declare(ctx, FS_LET, expr->ident, fv_ir(stride->val), expr->span);
    }
  }
}

// --- tensors ------------------------------------------------------------------------------------

static bool eval_dim(builder *bd, fe_tensor *tensor, const ast_expr *expr, int axis) {
  fe_ctx *ctx = bd->ctx;
  const char *what = tl_sprintf(ctx->arena, "dimension %d of '%s'", axis, tensor->name);
  // Names first, with the message that fits a shape.
  tl_buf buf = {0};
  bool ok = fe_host_text(ctx, expr, &buf, what);
  tensor->dim_texts[axis] = tl_strdup(ctx->arena, buf.data ? buf.data : "");
  tl_buf_free(&buf);
  if (!ok)
    return false;
  fe_value v;
  if (!fe_try_const(ctx, expr, &v))
    v = fe_eval_value(ctx, expr);
  if (fv_bad(v))
    return false;
  if (v.kind == FV_INT && (v.i < 0 || v.i > INT32_MAX)) {
    fe_error(ctx, expr->span, DIAG_E0203, fv_type_text(ctx, v), what);
    return false;
  }
  if (v.kind != FV_INT && !ir_some(fe_scalar_i32(ctx, v, expr->span, what)))
    return false;
  tensor->dims[axis] = v;
  return true;
}

static fe_value as_i64(fe_ctx *ctx, fe_value v) {
  if (v.kind != FV_IR || ir_type(ctx->func, v.val)->dtype != TL_I32)
    return v;
  return fv_ir(ir_cast(&ctx->b, v.val, TL_I64, NULL, false));
}

// In 64 bits throughout: the names of a stride expression are widened while it is evaluated.
static bool eval_stride(builder *bd, fe_tensor *tensor, stride_slot *stride, int axis) {
  fe_ctx *ctx = bd->ctx;
  fe_value v = fv_int(1);
  if (stride->runtime) {
    v = fv_ir(stride->val);
  } else if (stride->expr && !fe_try_const(ctx, stride->expr, &v)) {
    tl_buf buf = {0};
    bool ok = fe_host_text(ctx, stride->expr, &buf,
                           tl_sprintf(ctx->arena, "stride %d of '%s'", axis, tensor->name));
    tl_buf_free(&buf);
    if (!ok)
      return false;
    fe_sym *saved = TL_NEW_N(ctx->arena, fe_sym, ctx->syms.len);
    memcpy(saved, ctx->syms.data, ctx->syms.len * sizeof *saved);
    for (uint32_t i = 0; i < ctx->syms.len; i++)
      if (ctx->syms.data[i].kind == FS_DIM || ctx->syms.data[i].kind == FS_PARAM)
        ctx->syms.data[i].value = as_i64(ctx, ctx->syms.data[i].value);
    v = fe_eval_value(ctx, stride->expr);
    memcpy(ctx->syms.data, saved, ctx->syms.len * sizeof *saved);
  }
  if (v.kind == FV_INT && v.i < 0) {
    fe_error(ctx, stride->expr->span, DIAG_E0203, fv_type_text(ctx, v), "a stride");
    return false;
  }
  v = fe_adapt(ctx, v, TL_I64, stride->expr ? stride->expr->span : tensor->span, "a stride");
  tensor->strides[axis] = v;
  return !fv_bad(v);
}

static void declare_tensor(builder *bd, tensor_slot *slot) {
  fe_ctx *ctx = bd->ctx;
  const ast_param *param = slot->param;
  fe_tensor *tensor = TL_NEW(ctx->arena, fe_tensor);
  *tensor = (fe_tensor){.name = param->name.text,
                        .dtype = slot->dtype,
                        .rank = (int)param->dims.dims.len,
                        .dir = param->dir == AST_DIR_NONE ? AST_DIR_IN : param->dir,
                        .span = param->name.span};
  ctx->b.loc = param->span;
  bool ok = true;
  for (int i = 0; i < tensor->rank; i++)
    ok = eval_dim(bd, tensor, param->dims.dims.data[i], i) &&
         eval_stride(bd, tensor, &slot->strides[i], i) && ok;
  if (!fresh_name(ctx, &param->name))
    return;
  fe_value v = fv_poison();
  if (ok) {
    ir_val args[1 + 2 * TY_MAX_RANK];
    uint32_t n = 0;
    args[n++] = slot->base;
    for (int i = 0; i < tensor->rank; i++)
      args[n++] = fv_materialize(ctx, tensor->dims[i]).val;
    for (int i = 0; i < tensor->rank; i++)
      args[n++] = tensor->strides[i].val;
    tensor->val =
        ir_build1(&ctx->b, IR_TENSOR, ty_tensor(ctx->types, slot->dtype, tensor->rank), n, args);
    ir_set_str(ctx->func, ir_def(ctx->func, tensor->val), "name", tensor->name);
    v = (fe_value){.kind = FV_TENSOR, .origin = param->name.span, .tensor = tensor};
  }
  fe_declare(ctx, FS_LET, param->name.text, v, param->name.span);
}

// --- contract -----------------------------------------------------------------------------------

static const char *stride_texts(builder *bd, const tensor_slot *slot) {
  fe_ctx *ctx = bd->ctx;
  tl_buf buf = {0};
  for (uint32_t i = 0; i < slot->param->dims.dims.len; i++) {
    const stride_slot *stride = &slot->strides[i];
    if (i)
      tl_buf_putc(&buf, '|');
    if (stride->expr && !stride->runtime)
      fe_host_text(ctx, stride->expr, &buf, NULL);
    else if (!stride->expr && !stride->runtime)
      tl_buf_putc(&buf, '1');
  }
  const char *text = tl_strdup(ctx->arena, buf.data ? buf.data : "");
  tl_buf_free(&buf);
  return text;
}

static const char *dim_texts(builder *bd, const ast_param *param) {
  tl_buf buf = {0};
  for (uint32_t i = 0; i < param->dims.dims.len; i++) {
    if (i)
      tl_buf_putc(&buf, '|');
    fe_host_text(bd->ctx, param->dims.dims.data[i], &buf, NULL);
  }
  const char *text = tl_strdup(bd->ctx->arena, buf.data ? buf.data : "");
  tl_buf_free(&buf);
  return text;
}

static void fill_params(builder *bd) {
  fe_ctx *ctx = bd->ctx;
  uint32_t n = bd->kernel->params.len;
  fe_param_info *infos = TL_NEW_N(ctx->arena, fe_param_info, n + 1);
  for (uint32_t i = 0; i < n; i++) {
    const ast_param *param = &bd->kernel->params.data[i];
    bool tensor = is_tensor(param);
    infos[i] = (fe_param_info){
        .name = param->name.text,
        .kind = tensor ? "tensor" : "scalar",
        .dir = param->dir == AST_DIR_OUT     ? "out"
               : param->dir == AST_DIR_INOUT ? "inout"
                                             : "in",
        .dtype = tl_dtype_name(tensor ? bd->slots[i].dtype : fe_resolve_dtype(ctx, param->type)),
        .dims = dim_texts(bd, param),
        .strides = tensor ? stride_texts(bd, &bd->slots[i]) : ""};
  }
  bd->contract.nparams = (int)n;
  bd->contract.params = infos;
}

// Each operand of a top-level && is a requirement of its own: the message can name the one that
// fails.
static void add_require(builder *bd, const ast_expr *cond) {
  fe_ctx *ctx = bd->ctx;
  fe_value v;
  if (fe_try_const(ctx, cond, &v) && v.kind == FV_BOOL) {
    if (!v.b)
      fe_error(ctx, cond->span, DIAG_E0232, fe_source_text(ctx, cond));
    return;
  }
  if (cond->kind == AST_BINARY && cond->binary.op == AST_OP_ANDAND) {
    add_require(bd, cond->binary.left);
    add_require(bd, cond->binary.right);
    return;
  }
  tl_buf buf = {0};
  if (fe_host_text(ctx, cond, &buf, "a requirement")) {
    tl_push(ctx->arena, &bd->require_exprs, tl_strdup(ctx->arena, buf.data));
    tl_push(ctx->arena, &bd->require_texts, fe_source_text(ctx, cond));
    ir_val fact = fe_condition(ctx, cond, "require", &v);
    ctx->b.loc = cond->span;
    if (ir_some(fact))
      ir_build(&ctx->b, IR_ASSUME, 1, &fact, 0, NULL);
  }
  tl_buf_free(&buf);
}

// The values of bucket(a, b, ..): positive and ascending; NULL after an error.
static const char *bucket_text(builder *bd, const ast_arg *arg) {
  fe_ctx *ctx = bd->ctx;
  const ast_expr *call = arg->value;
  bool is_bucket = call->kind == AST_CALL && call->call.callee->kind == AST_IDENT &&
                   strcmp(call->call.callee->ident, "bucket") == 0 && call->call.args.len > 0;
  if (!is_bucket) {
    fe_error(ctx, call->span, DIAG_E0208, "key", "bucket(a, b, ..)", "another expression");
    return NULL;
  }
  const char *text = "";
  int64_t last = 0, value;
  for (uint32_t i = 0; i < call->call.args.len; i++, last = value) {
    if (!fe_eval_int(ctx, call->call.args.data[i].value, "a bucket of key", &value))
      return NULL;
    if (value <= last) {
      fe_error(ctx, call->call.args.data[i].span, DIAG_E0208, "key", "positive, ascending buckets",
               tl_sprintf(ctx->arena, "%lld after %lld", (long long)value, (long long)last));
      return NULL;
    }
    text = tl_sprintf(ctx->arena, "%s%s%lld", text, *text ? "," : "", (long long)value);
  }
  return text;
}

// key(M, N = bucket(..)): what tuning records are keyed by.
static void read_key(builder *bd, const ast_args *args) {
  fe_ctx *ctx = bd->ctx;
  for (uint32_t i = 0; i < args->len; i++) {
    const ast_arg *arg = &args->data[i];
    const char *name = arg->name.text                  ? arg->name.text
                       : arg->value->kind == AST_IDENT ? arg->value->ident
                                                       : NULL;
    if (!name) {
      fe_error(ctx, arg->span, DIAG_E0208, "key", "the name of a dimension or scalar",
               "an expression");
    } else if (fe_find(ctx, name) < 0) {
      fe_undefined(ctx, arg->name.text ? arg->name.span : arg->value->span, name);
    } else {
      fe_key key = {name, arg->name.text ? bucket_text(bd, arg) : NULL};
      tl_push(ctx->arena, &bd->keys, key);
    }
  }
}

// --- grid ---------------------------------------------------------------------------------------

static const ast_clause *grid_clause(builder *bd) {
  const ast_clause *found = NULL;
  for (uint32_t i = 0; i < bd->kernel->nclauses; i++) {
    const ast_clause *clause = &bd->kernel->clauses[i];
    if (clause->kind != AST_CLAUSE_GRID)
      continue;
    if (found) {
      tl_diag *diag = fe_error(bd->ctx, clause->span, DIAG_E0117, "grid");
      tl_note(bd->ctx->diags, diag, found->span, "the first one is here");
    }
    found = clause;
  }
  return found;
}

static bool is_persistent(const ast_clause *clause) {
  return clause && clause->args.len == 1 && clause->args.data[0].value->kind == AST_IDENT &&
         strcmp(clause->args.data[0].value->ident, "persistent") == 0;
}

static void explicit_grid(builder *bd, const ast_clause *clause) {
  fe_ctx *ctx = bd->ctx;
  if (clause->args.len < 1 || clause->args.len > 3) {
    fe_error(ctx, clause->span, DIAG_E0109, "grid", "1 to 3", (int)clause->args.len);
    return;
  }
  for (uint32_t i = 0; i < clause->args.len; i++) {
    tl_buf buf = {0};
    if (fe_host_text(ctx, clause->args.data[i].value, &buf, "a grid dimension"))
      ctx->func->grid[i] = tl_strdup(ctx->module->arena, buf.data);
    tl_buf_free(&buf);
  }
}

static const char *all_tiles(fe_ctx *ctx) {
  const char *text = ctx->grids.data[0];
  for (uint32_t i = 1; i < ctx->grids.len; i++)
    text = tl_sprintf(ctx->module->arena, "max(%s, %s)", text, ctx->grids.data[i]);
  return tl_strdup(ctx->module->arena, text);
}

static void derived_grid(builder *bd, const ast_clause *clause) {
  fe_ctx *ctx = bd->ctx;
  if (ctx->grids.len) {
    const char *tiles = all_tiles(ctx);
    ctx->func->grid[0] = clause ? tl_sprintf(ctx->module->arena, "persistent(%s)", tiles) : tiles;
  } else if (clause) {
    fe_error(ctx, clause->span, DIAG_E0249,
             "grid(persistent) needs a foreach to take its tiles from");
  } else if (ctx->uses_blocks) {
    fe_error(ctx, bd->kernel->name.span, DIAG_E0249,
             "the kernel asks for its block index and has no grid(...)");
  }
}

// --- attributes of the kernel -------------------------------------------------------------------

static void kernel_attrs(builder *bd) {
  fe_ctx *ctx = bd->ctx;
  int64_t value;
  fe_check_attrs(ctx, &bd->kernel->attrs, "export warps occupancy align", "on a kernel");
  const ast_attr *attr = fe_attr(&bd->kernel->attrs, "warps");
  if (attr && fe_attr_int(ctx, attr, &value)) {
    if (value > ctx->target->max_threads / 32 || (value & (value - 1)))
      fe_error(ctx, attr->span, DIAG_E0203, tl_sprintf(ctx->arena, "%lld", (long long)value),
               "@warps: a power of two up to 32");
    else
      ctx->func->warps = (int)value;
  }
  attr = fe_attr(&bd->kernel->attrs, "align");
  if (attr && fe_attr_int(ctx, attr, &value) && value != 16)
    fe_error(ctx, attr->span, DIAG_E0203, tl_sprintf(ctx->arena, "%lld", (long long)value),
             "@align: 16 bytes");
  attr = fe_attr(&bd->kernel->attrs, "occupancy");
  if (attr && fe_attr_count(ctx, attr, &value))
    ctx->func->min_ctas = (int)value; // 0: as if it were not there
}

// --- the whole ----------------------------------------------------------------------------------

static void lower_kernel(builder *bd) {
  fe_ctx *ctx = bd->ctx;
  const ast_kernel *kernel = bd->kernel;
  kernel_attrs(bd);
  add_pointers(bd);
  add_scalars(bd);
  add_dims(bd);
  add_strides(bd);
  for (uint32_t i = 0; i < kernel->params.len; i++)
    if (bd->slots[i].dtype != TL_NODTYPE)
      declare_tensor(bd, &bd->slots[i]);
  for (uint32_t i = 0; i < kernel->nclauses; i++) {
    if (kernel->clauses[i].kind == AST_CLAUSE_REQUIRE)
      add_require(bd, kernel->clauses[i].cond);
    if (kernel->clauses[i].kind == AST_CLAUSE_KEY)
      read_key(bd, &kernel->clauses[i].args);
  }
  const ast_clause *grid = grid_clause(bd);
  bool persistent = is_persistent(grid);
  for (int i = 0; i < 3; i++)
    ctx->func->grid[i] = "1";
  ctx->grid_dims = 1;
  if (grid && !persistent) {
    explicit_grid(bd, grid);
    ctx->grid_dims = grid->args.len < 3 ? (int)grid->args.len : 3;
  }
  if (ctx->errors)
    return; // a wrong signature would only echo through the body
  fill_params(bd);
  ctx->frame->returned = fe_declare(ctx, FS_VAR, "%returned", fv_bool(false), kernel->body->span);
  fe_block(ctx, kernel->body);
  if (!grid || persistent)
    derived_grid(bd, grid);
  ctx->b.loc = kernel->name.span;
  ir_build(&ctx->b, IR_RETURN, 0, NULL, 0, NULL);
}

static void must_verify(const ir_func *func) {
  tl_buf buf = {0};
  if (ir_verify(func, &buf) == 0) {
    tl_buf_free(&buf);
    return;
  }
  tl_buf_putc(&buf, '\n');
  ir_print_func(func, &buf);
  TL_UNREACHABLE("the frontend made IR that does not verify:\n%s", buf.data);
}

bool fe_wants_aligned(const fe_kernel *kernel) { return fe_attr(&kernel->ast->attrs, "align"); }

fe_instance *fe_instantiate(fe_program *program, ir_module *module, const fe_kernel *kernel,
                            const fe_variant *variant, const tl_target *target, int align) {
  fe_ctx ctx = {.program = program,
                .arena = program->arena,
                .diags = program->diags,
                .module = module,
                .types = &module->types,
                .target = target,
                .align = align,
                .kernel = kernel,
                .bindings = variant->bindings,
                .nbindings = variant->count};
  fe_frame frame = {.returned = -1, .result = -1};
  ctx.frame = &frame;
  const char *settings = settings_name(&ctx, variant);
  const char *symbol = strcmp(settings, "default") == 0
                           ? kernel->export_name
                           : tl_sprintf(program->arena, "%s__%s", kernel->export_name, settings);
  if (!align)
    symbol = tl_sprintf(program->arena, "%s_u", symbol);
  ctx.func = ir_func_new(module, symbol, target);
  ctx.func->kernel = tl_strdup(module->arena, kernel->name);
  ctx.func->warps = 0; // a pass decides by the tile sizes unless @warps says
  ctx.b = (ir_builder){.func = ctx.func, .region = ctx.func->body, .loc = kernel->ast->name.span};
  builder bd = {.ctx = &ctx, .kernel = kernel->ast};
  bd.slots = TL_NEW_N(program->arena, tensor_slot, kernel->ast->params.len + 1);
  if (bind_generics(&ctx, variant))
    lower_kernel(&bd);
  if (ctx.errors) {
    module->funcs.len--;
    return NULL;
  }
  must_verify(ctx.func);
  fe_check_roles(&ctx);
  if (ctx.errors) {
    module->funcs.len--;
    return NULL;
  }
  fe_instance *instance = TL_NEW(program->arena, fe_instance);
  bd.contract.nrequires = (int)bd.require_exprs.len;
  bd.contract.require_exprs = bd.require_exprs.data;
  bd.contract.require_texts = bd.require_texts.data;
  bd.contract.nkeys = (int)bd.keys.len;
  bd.contract.keys = bd.keys.data;
  bd.contract.float_atomics = ctx.float_atomics;
  *instance = (fe_instance){.func = ctx.func,
                            .contract = bd.contract,
                            .min_align = ctx.min_align,
                            .settings_name = settings};
  return instance;
}
