// channel, roles, put and get (S11): what a user divides by hand.
//
// A channel becomes a `channel` over staged buffers, a role a `role` region, a put block
// acquire .. fill .. commit, a get block wait .. read .. release. A field is read once, right behind
// the wait, however often it is named. Barriers, phases and counts are nobody's business here: the
// channel verifier proves what stands (ir/verify_channel.h), and the pass `roles` chooses engines.
#include "frontend/check.h"

enum { MAX_STAGES = 64, MAX_WARPS = 32 };

typedef enum side { CLOSED, PUTTING, GETTING } side;

struct fe_channel {
  const char *name;
  tl_span span;
  ir_val val;
  const ast_fields *fields;
  const ty_type *types[FE_MAX_FIELDS];
  side open;
  ir_op *wait; // of the open get
  ir_val reads[FE_MAX_FIELDS];
};

// --- channel ------------------------------------------------------------------------------------

static bool resolve_fields(fe_ctx *ctx, fe_channel *ch) {
  for (uint32_t i = 0; i < ch->fields->len; i++) {
    const ast_field *field = &ch->fields->data[i];
    const ast_struct *record = NULL;
    const ty_type *type = fe_resolve_type(ctx, field->type, &field->dims, &record);
    if (!type)
      return false;
    if (record || !ty_is_tile(type) || tl_dtype_bits(type->dtype) < 8) {
      fe_error(ctx, field->name.span, DIAG_E0208,
               tl_sprintf(ctx->arena, "field '%s' of a channel", field->name.text),
               "a tile of elements of at least 8 bits", record ? "a struct" : ty_text(ctx->arena, type));
      return false;
    }
    ch->types[i] = type;
  }
  return true;
}

static void build_channel(fe_ctx *ctx, fe_channel *ch, int64_t depth) {
  ir_val buffers[FE_MAX_FIELDS];
  for (uint32_t i = 0; i < ch->fields->len; i++) {
    const ty_type *tile = ch->types[i];
    int64_t dims[TY_MAX_RANK] = {depth};
    memcpy(dims + 1, tile->dims, sizeof *dims * (size_t)tile->rank);
    const ty_type *buf = ty_buf(ctx->types, tile->dtype, tile->rank + 1, dims);
    buffers[i] = ir_build1(&ctx->b, IR_BUFFER, buf, 0, NULL);
  }
  ch->val = ir_build1(&ctx->b, IR_CHANNEL, ty_chan(ctx->types), ch->fields->len, buffers);
  ir_op *op = ir_def(ctx->func, ch->val);
  ir_set_int(ctx->func, op, "depth", depth);
  ir_set_str(ctx->func, op, "engine", "mbarrier");
  ir_set_str(ctx->func, op, "name", tl_strdup(ctx->module->arena, ch->name));
}

void fe_channel_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  const ast_fields *fields = &stmt->channel.fields;
  const char *what = tl_sprintf(ctx->arena, "the stages of '%s'", stmt->channel.name.text);
  int64_t depth;
  if (ctx->loop || ctx->frame->fn || ctx->role || ctx->func->body != ctx->b.region) {
    fe_error(ctx, stmt->span, DIAG_E0313, "'channel'", "directly in the body of a kernel");
    return;
  }
  if (!fe_eval_int(ctx, stmt->channel.stages, what, &depth))
    return;
  if (depth < 1 || depth > MAX_STAGES) {
    fe_error(ctx, stmt->channel.stages->span, DIAG_E0203,
             tl_sprintf(ctx->arena, "%lld", (long long)depth),
             tl_sprintf(ctx->arena, "%s: 1 .. %d", what, MAX_STAGES));
    return;
  }
  if (!fields->len || fields->len > FE_MAX_FIELDS) {
    fe_error(ctx, stmt->span, DIAG_E0203, tl_sprintf(ctx->arena, "%u fields", fields->len),
             tl_sprintf(ctx->arena, "a channel: 1 .. %d", FE_MAX_FIELDS));
    return;
  }
  fe_channel *ch = TL_NEW(ctx->arena, fe_channel);
  *ch = (fe_channel){.name = stmt->channel.name.text, .span = stmt->span, .fields = fields};
  if (!resolve_fields(ctx, ch))
    return;
  ctx->b.loc = stmt->span;
  build_channel(ctx, ch, depth);
  fe_value v = {.kind = FV_CHANNEL, .channel = ch};
  fe_declare_let(ctx, &stmt->channel.name, v);
}

// --- put and get --------------------------------------------------------------------------------

static fe_channel *find_channel(fe_ctx *ctx, const ast_name *name) {
  int number = fe_find(ctx, name->text);
  if (number < 0) {
    fe_undefined(ctx, name->span, name->text);
    return NULL;
  }
  fe_value v = fe_sym_at(ctx, number)->value;
  if (v.kind == FV_CHANNEL)
    return v.channel;
  if (!fv_bad(v))
    fe_error(ctx, name->span, DIAG_E0208, tl_sprintf(ctx->arena, "'%s'", name->text), "a channel",
             fv_type_text(ctx, v));
  return NULL;
}

static ir_op *on_channel(fe_ctx *ctx, const fe_channel *ch, ir_code code) {
  return ir_build(&ctx->b, code, 1, &ch->val, 0, NULL);
}

void fe_put_get(fe_ctx *ctx, const ast_stmt *stmt) {
  bool put = stmt->kind == AST_PUT;
  const char *word = put ? "put" : "get";
  if (!ctx->role) {
    fe_error(ctx, stmt->span, DIAG_E0313, put ? "'put'" : "'get'", "inside a role");
    return;
  }
  fe_channel *ch = find_channel(ctx, &stmt->access.channel);
  if (!ch)
    return;
  if (ch->open != CLOSED) {
    fe_error(ctx, stmt->span, DIAG_E0314, word, ch->name, ch->open == PUTTING ? "put" : "get");
    return;
  }
  if (fe_block_escapes(stmt->access.body)) {
    fe_error(ctx, stmt->span, DIAG_E0312, word);
    return;
  }
  tl_span head = stmt->access.channel.span;
  ctx->b.loc = head;
  ch->open = put ? PUTTING : GETTING;
  memset(ch->reads, 0, sizeof ch->reads);
  ch->wait = on_channel(ctx, ch, put ? IR_ACQUIRE : IR_WAIT);
  fe_block(ctx, stmt->access.body);
  ctx->b.loc = head;
  on_channel(ctx, ch, put ? IR_COMMIT : IR_RELEASE);
  ch->open = CLOSED;
}

static int field_number(fe_ctx *ctx, const fe_channel *ch, const ast_name *name) {
  TL_VEC(const char *) names = {0};
  for (uint32_t i = 0; i < ch->fields->len; i++) {
    if (strcmp(ch->fields->data[i].name.text, name->text) == 0)
      return (int)i;
    tl_push(ctx->arena, &names, ch->fields->data[i].name.text);
  }
  tl_diag *diag = fe_error(ctx, name->span, DIAG_E0114,
                           tl_sprintf(ctx->arena, "channel %s", ch->name), name->text);
  fe_suggest(ctx, diag, name->span, name->text, names.data, names.len);
  return -1;
}

fe_value fe_channel_read(fe_ctx *ctx, fe_channel *ch, const ast_name *name, tl_span span) {
  int field = field_number(ctx, ch, name);
  if (field < 0)
    return fv_poison();
  if (ch->open != GETTING) {
    tl_diag *diag = fe_error(ctx, span, DIAG_E0310, ch->name, name->text,
                             ch->open == PUTTING ? "inside its put block" : "outside of a get block");
    tl_note(ctx->diags, diag, ch->span, "the channel is declared here");
    return fv_poison();
  }
  if (!ir_some(ch->reads[field])) {
    ir_builder b = {ctx->func, ch->wait->parent, ch->wait->next, span};
    ch->reads[field] = ir_build1(&b, IR_READ, ch->types[field], 1, &ch->val);
    ir_set_int(ctx->func, ir_def(ctx->func, ch->reads[field]), "field", field);
  }
  return fv_ir(ch->reads[field]);
}

void fe_channel_write(fe_ctx *ctx, fe_channel *ch, const ast_name *name, fe_value value,
                      tl_span span) {
  int field = field_number(ctx, ch, name);
  if (field < 0)
    return;
  if (ch->open != PUTTING) {
    tl_diag *diag = fe_error(ctx, name->span, DIAG_E0311, ch->name, name->text);
    tl_note(ctx->diags, diag, ch->span, "the channel is declared here");
    return;
  }
  value = fe_to_type(ctx, value, ch->types[field], span,
                     tl_sprintf(ctx->arena, "'%s.%s'", ch->name, name->text));
  if (fv_bad(value))
    return;
  ir_val args[2] = {ch->val, fv_materialize(ctx, value).val};
  ir_op *fill = ir_build(&ctx->b, IR_FILL, 2, args, 0, NULL);
  ir_set_int(ctx->func, fill, "field", field);
}

// --- roles --------------------------------------------------------------------------------------

static bool role_attrs(fe_ctx *ctx, const ast_role *role, ir_op *op) {
  int64_t warps = 4, value;
  fe_check_attrs(ctx, &role->attrs, "warps warpgroups regs split", "on a role");
  const ast_attr *attr = fe_attr(&role->attrs, "warps");
  if (attr && !fe_attr_int(ctx, attr, &warps))
    return false;
  const ast_attr *groups = fe_attr(&role->attrs, "warpgroups");
  if (groups && !fe_attr_int(ctx, groups, &value))
    return false;
  if (groups)
    warps = 4 * value;
  if (warps > MAX_WARPS || (warps & (warps - 1))) {
    fe_error(ctx, (groups ? groups : attr)->span, DIAG_E0203,
             tl_sprintf(ctx->arena, "%lld warps", (long long)warps),
             "a role: a power of two up to 32 warps");
    return false;
  }
  ir_set_int(ctx->func, op, "warps", warps);
  ir_set_int(ctx->func, op, "padded", (warps + 3) / 4 * 4); // registers are given to warpgroups
  attr = fe_attr(&role->attrs, "regs");
  if (attr && fe_attr_int(ctx, attr, &value))
    ir_set_int(ctx->func, op, "regs", value);
  attr = fe_attr(&role->attrs, "split");
  if (attr && (attr->args.len != 1 || attr->args.data[0].value->kind != AST_IDENT ||
               strcmp(attr->args.data[0].value->ident, "m") != 0))
    fe_error(ctx, attr->span, DIAG_E0116, "@split", "m", "something else");
  return true;
}

// A variable of the kernel would be one of several roles at once.
static bool assigns_outside(fe_ctx *ctx, const ast_role *role) {
  fe_numbers assigned = {0};
  fe_assigned(ctx, role->body, &assigned);
  for (uint32_t i = 0; i < assigned.len; i++) {
    const fe_sym *sym = fe_sym_at(ctx, assigned.data[i]);
    tl_diag *diag = fe_error(ctx, role->name.span, DIAG_E0315, sym->name, role->name.text);
    tl_note(ctx->diags, diag, sym->span, "'%s' is declared here", sym->name);
  }
  return assigned.len != 0;
}

static void lower_role(fe_ctx *ctx, const ast_role *role) {
  if (fe_block_escapes(role->body) & FE_MAY_RETURN) {
    fe_error(ctx, role->name.span, DIAG_E0312, "role");
    return;
  }
  if (assigns_outside(ctx, role))
    return;
  ctx->b.loc = role->name.span;
  ir_op *op = ir_build(&ctx->b, IR_ROLE, 0, NULL, 0, NULL);
  ir_set_str(ctx->func, op, "name", tl_strdup(ctx->module->arena, role->name.text));
  if (!role_attrs(ctx, role, op))
    return;
  ir_builder outer = ctx->b;
  ctx->b.region = op->regions[0], ctx->b.before = NULL;
  ctx->role = role;
  fe_block(ctx, role->body);
  ctx->role = NULL;
  ir_build(&ctx->b, IR_YIELD, 0, NULL, 0, NULL);
  ctx->b = outer;
}

void fe_roles_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  if (ctx->loop || ctx->frame->fn || ctx->role || ctx->func->body != ctx->b.region ||
      ctx->has_roles) {
    fe_error(ctx, stmt->span, DIAG_E0313, "'roles'", "once and directly in the body of a kernel");
    return;
  }
  ctx->has_roles = true;
  if (ctx->func->warps)
    fe_error(ctx, stmt->span, DIAG_E0313, "'@warps'", "on each role of a kernel with roles");
  for (uint32_t i = 0; i < stmt->roles.len; i++)
    lower_role(ctx, &stmt->roles.data[i]);
}

static bool is_scalar_code(const ir_func *func, const ir_op *op) {
  for (uint32_t i = 0; i < op->nres; i++)
    if (ty_is_tile(ir_type(func, op->res[i])))
      return false;
  return op->code != IR_STORE && op->code != IR_ATOMIC && op->code != IR_PRINT;
}

// Beside its roles a kernel computes scalars for all of them, and nothing else.
static void check_beside(fe_ctx *ctx) {
  for (const ir_op *op = ctx->func->body->first; op; op = op->next)
    if (op->code != IR_ROLE && !is_scalar_code(ctx->func, op)) {
      fe_error(ctx, op->loc, DIAG_E0316, ir_info(op->code)->name);
      return;
    }
}

void fe_check_roles(fe_ctx *ctx) {
  ir_schedule_fault fault;
  if (!ctx->has_roles || ctx->errors)
    return;
  check_beside(ctx);
  if (ctx->errors || ir_check_schedule(ctx->func, ctx->arena, &fault))
    return;
  ctx->errors++;
  fe_chain(ctx, ir_report_fault(ctx->diags, &fault));
}
