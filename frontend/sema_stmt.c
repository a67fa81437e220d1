// Statements: declarations, assignments, attributes, and what code after an escape has to test.
#include "frontend/check.h"

// --- attributes ---------------------------------------------------------------------------------

const ast_attr *fe_attr(const ast_attrs *attrs, const char *name) {
  for (uint32_t i = 0; i < attrs->len; i++)
    if (strcmp(attrs->data[i].name.text, name) == 0)
      return &attrs->data[i];
  return NULL;
}

static bool has_word(const char *list, const char *word) {
  size_t len = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += len)
    if ((at == list || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
      return true;
  return false;
}

void fe_check_attrs(fe_ctx *ctx, const ast_attrs *attrs, const char *allowed, const char *where) {
  static const char *const known[] = {"pipeline", "specialize", "unroll",    "swizzle", "inbounds",
                                      "uniform",  "warps",      "occupancy", "export",  "may_alias",
                                      "regs",     "warpgroups", "align",     "split",   "swap",
                                      "split_k"};
  static const char *const later[] = {"cluster", "pdl", "fp"};
  enum { NKNOWN = sizeof known / sizeof *known, NLATER = sizeof later / sizeof *later };
  for (uint32_t i = 0; i < attrs->len; i++) {
    const ast_attr *attr = &attrs->data[i];
    const char *name = attr->name.text;
    if (has_word(allowed, name))
      continue;
    bool is_known = false, is_later = false;
    for (int j = 0; j < NKNOWN; j++)
      is_known |= strcmp(known[j], name) == 0;
    for (int j = 0; j < NLATER; j++)
      is_later |= strcmp(later[j], name) == 0;
    if (is_later) {
      fe_error(ctx, attr->span, DIAG_E0618, name);
    } else if (is_known) {
      fe_error(ctx, attr->span, DIAG_E0115, name, where);
    } else {
      tl_diag *diag = fe_error(ctx, attr->span, DIAG_E0107, name);
      fe_suggest(ctx, diag, attr->name.span, name, known, NKNOWN);
    }
  }
}

static bool attr_number(fe_ctx *ctx, const ast_attr *attr, int64_t least, int64_t *out) {
  if (attr->args.len != 1 || attr->args.data[0].name.text) {
    fe_error(ctx, attr->span, DIAG_E0109, tl_sprintf(ctx->arena, "@%s", attr->name.text), "1",
             (int)attr->args.len);
    return false;
  }
  const ast_expr *expr = attr->args.data[0].value;
  if (!fe_eval_int(ctx, expr, tl_sprintf(ctx->arena, "'@%s'", attr->name.text), out))
    return false;
  if (*out >= least && *out <= 1024)
    return true;
  fe_error(ctx, expr->span, DIAG_E0203, tl_sprintf(ctx->arena, "%lld", (long long)*out),
           tl_sprintf(ctx->arena, "@%s: %d .. 1024", attr->name.text, (int)least));
  return false;
}

bool fe_attr_int(fe_ctx *ctx, const ast_attr *attr, int64_t *out) {
  return attr_number(ctx, attr, 1, out);
}

bool fe_attr_count(fe_ctx *ctx, const ast_attr *attr, int64_t *out) {
  return attr_number(ctx, attr, 0, out);
}

// --- declarations -------------------------------------------------------------------------------

static bool is_free_here(fe_ctx *ctx, const ast_name *name) {
  for (uint32_t i = ctx->syms.len; i > ctx->scope_base; i--) {
    const fe_sym *sym = &ctx->syms.data[i - 1];
    if (strcmp(sym->name, name->text) != 0)
      continue;
    tl_diag *diag = fe_error(ctx, name->span, DIAG_E0102, name->text);
    tl_note(ctx->diags, diag, sym->span, "the first one is here");
    return false;
  }
  return true;
}

static void declare(fe_ctx *ctx, fe_sym_kind kind, const ast_name *name, fe_value value) {
  if (strcmp(name->text, "_") == 0)
    return;
  if (is_free_here(ctx, name))
    fe_declare(ctx, kind, name->text, kind == FS_VAR ? fv_materialize(ctx, value) : value,
               name->span);
}

// A value, or, for `let`, a view of a tensor.
static fe_value eval_let(fe_ctx *ctx, const ast_stmt *stmt) {
  const ast_expr *expr = stmt->let.value;
  bool calls = expr->kind == AST_CALL && stmt->kind == AST_LET && !stmt->let.tuple;
  fe_value v = calls ? fe_eval(ctx, expr) : fv_void();
  if (calls && (v.kind == FV_TENSOR || v.kind == FV_IR || v.kind == FV_POISON))
    return v;
  return calls ? fe_want_value(ctx, expr, v) : fe_eval_value(ctx, expr);
}

void fe_declare_let(fe_ctx *ctx, const ast_name *name, fe_value value) {
  declare(ctx, FS_LET, name, value);
}

static void let_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  fe_sym_kind kind = stmt->kind == AST_VAR ? FS_VAR : FS_LET;
  const ast_names *names = &stmt->let.names;
  fe_value v = eval_let(ctx, stmt);
  bool bundle = v.kind == FV_TUPLE && !v.tuple.record;
  uint32_t given = bundle ? v.tuple.n : 1, wanted = stmt->let.tuple ? names->len : 1;
  if (!fv_bad(v) && (given != wanted || (stmt->let.tuple && !bundle && wanted > 1))) {
    fe_error(ctx, stmt->let.value->span, DIAG_E0235, (int)wanted, (int)given);
    v = fv_poison();
  }
  for (uint32_t i = 0; i < names->len; i++)
    declare(ctx, kind, &names->data[i], bundle && !fv_bad(v) ? v.tuple.items[i] : v);
}

static void decl_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  const ast_struct *record;
  if (stmt->decl.dims.strides.len)
    fe_error(ctx, stmt->decl.dims.span, DIAG_E0213, "a tile has no strides");
  const ty_type *type = fe_resolve_type(ctx, stmt->decl.type, &stmt->decl.dims, &record);
  fe_value v = fv_poison();
  const char *what = tl_sprintf(ctx->arena, "'%s'", stmt->decl.name.text);
  if (!stmt->decl.value) {
    if (type)
      v = fe_zero(ctx, type, record, stmt->span);
  } else {
    v = fe_eval_value(ctx, stmt->decl.value);
    ctx->b.loc = stmt->span;
    if (!type)
      v = fv_poison();
    else if (!record)
      v = fe_to_type(ctx, v, type, stmt->decl.value->span, what);
    else if (!fv_bad(v) && (v.kind != FV_TUPLE || v.tuple.record != record)) {
      fe_error(ctx, stmt->decl.value->span, DIAG_E0208, what, record->name.text,
               fv_type_text(ctx, v));
      v = fv_poison();
    }
  }
  declare(ctx, FS_VAR, &stmt->decl.name, v);
}

// --- assignment ---------------------------------------------------------------------------------

static const char *kind_text(fe_sym_kind kind) {
  switch (kind) {
  case FS_LET:
    return "let (or a parameter)";
  case FS_PARAM:
    return "a parameter";
  case FS_LOOP:
    return "a loop variable";
  case FS_GENERIC:
    return "a generic";
  case FS_CONST:
    return "const";
  case FS_DIM:
    return "a dimension";
  case FS_VAR:
    return "var";
  }
  return "";
}

static void set_ident(fe_ctx *ctx, const ast_expr *place, fe_value value, tl_span span) {
  int number = fe_find(ctx, place->ident);
  if (number < 0) {
    const fe_item *item = fe_find_item(ctx->program, place->ident);
    if (item)
      fe_error(ctx, place->span, DIAG_E0103, place->ident, "a declaration of the module");
    else
      fe_undefined(ctx, place->span, place->ident);
    return;
  }
  fe_sym *sym = fe_sym_at(ctx, number);
  if (sym->kind != FS_VAR) {
    tl_diag *diag = fe_error(ctx, place->span, DIAG_E0103, place->ident, kind_text(sym->kind));
    tl_note(ctx->diags, diag, sym->span, "'%s' is declared here", place->ident);
    if (sym->value.kind == FV_TENSOR)
      tl_help(ctx->diags, diag, "memory is written by store(%s[...], value)", place->ident);
    else if (sym->kind == FS_LET)
      tl_help(ctx->diags, diag, "declare it with var to change it");
    return;
  }
  if (fv_bad(value) || fv_bad(sym->value))
    return;
  const char *what = tl_sprintf(ctx->arena, "'%s'", place->ident);
  if (sym->value.kind == FV_IR) {
    value = fe_to_type(ctx, value, ir_type(ctx->func, sym->value.val), span, what);
    if (!fv_bad(value))
      sym->value = value;
  } else if (value.kind == FV_TUPLE && sym->value.kind == FV_TUPLE && value.tuple.record &&
             value.tuple.record == sym->value.tuple.record) {
    sym->value = value;
  } else {
    fe_error(ctx, span, DIAG_E0208, what, fv_type_text(ctx, sym->value), fv_type_text(ctx, value));
  }
}

// Structs are values: a changed field makes a new struct, assigned to where the old one was.
static void set_member(fe_ctx *ctx, const ast_expr *place, fe_value value, tl_span span) {
  fe_value base = fe_eval(ctx, place->member.base);
  if (base.kind == FV_CHANNEL) {
    fe_channel_write(ctx, base.channel, &place->member.name, value, span);
    return;
  }
  fe_value old = fe_eval(ctx, place);
  if (fv_bad(base) || fv_bad(old) || fv_bad(value))
    return;
  if (old.kind == FV_IR)
    value = fe_to_type(ctx, value, ir_type(ctx->func, old.val), span,
                       tl_sprintf(ctx->arena, "'%s'", place->member.name.text));
  if (fv_bad(value))
    return;
  fe_value fresh = base;
  fresh.tuple.items = TL_NEW_N(ctx->arena, fe_value, base.tuple.n);
  memcpy(fresh.tuple.items, base.tuple.items, base.tuple.n * sizeof(fe_value));
  for (uint32_t i = 0; i < base.tuple.n; i++)
    if (strcmp(base.tuple.record->fields.data[i].name.text, place->member.name.text) == 0)
      fresh.tuple.items[i] = value;
  fe_set_place(ctx, place->member.base, fresh, span);
}

void fe_set_place(fe_ctx *ctx, const ast_expr *place, fe_value value, tl_span span) {
  if (place->kind == AST_IDENT) {
    set_ident(ctx, place, value, span);
  } else if (place->kind == AST_MEMBER) {
    set_member(ctx, place, value, span);
  } else if (place->kind == AST_INDEX) {
    fe_value base = fe_eval(ctx, place->index.base);
    if (fv_bad(base))
      return;
    if (base.kind != FV_TENSOR) {
      fe_error(ctx, place->span, DIAG_E0624);
      return;
    }
    tl_diag *diag = fe_error(ctx, place->span, DIAG_E0103, base.tensor->name, "a tensor");
    tl_help(ctx->diags, diag, "memory is written by store(%s, value)", fe_source_text(ctx, place));
  } else {
    fe_error(ctx, place->span, DIAG_E0208, "assignment", "a variable", "an expression");
  }
}

static void assign_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  const ast_expr *place = stmt->assign.place;
  fe_value v = fe_eval_value(ctx, stmt->assign.value);
  ctx->b.loc = stmt->span;
  if (stmt->assign.op != AST_OP_NONE && place->kind != AST_INDEX) {
    fe_value old = fe_eval_value(ctx, place);
    v = fe_binary(ctx, stmt->assign.op, old, v, place->span, stmt->assign.value->span, stmt->span);
  }
  fe_set_place(ctx, place, v, stmt->assign.value->span);
}

// --- break and continue -------------------------------------------------------------------------

static void jump_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  bool is_break = stmt->kind == AST_BREAK;
  const char *word = is_break ? "break" : "continue";
  fe_loop *loop = ctx->loop;
  if (!loop || loop->frame != ctx->frame) {
    fe_error(ctx, stmt->span, DIAG_E0118, word);
    return;
  }
  if (is_break && loop->is_foreach) {
    fe_error(ctx, stmt->span, DIAG_E0242, word);
    return;
  }
  fe_sym_at(ctx, is_break ? loop->broken : loop->continued)->value = fv_bool(true);
}

unsigned fe_block_escapes(const ast_block *block) {
  unsigned found = 0;
  for (uint32_t i = 0; i < block->len; i++)
    found |= fe_escapes(block->data[i]);
  return found;
}

unsigned fe_escapes(const ast_stmt *stmt) {
  switch (stmt->kind) {
  case AST_RETURN:
    return FE_MAY_RETURN;
  case AST_BREAK:
    return FE_MAY_BREAK;
  case AST_CONTINUE:
    return FE_MAY_CONTINUE;
  case AST_BLOCK:
    return fe_block_escapes(stmt->block);
  case AST_IF:
    return fe_block_escapes(stmt->branch.then) |
           (stmt->branch.other ? fe_escapes(stmt->branch.other) : 0);
  case AST_FOR:
    return fe_block_escapes(stmt->loop.body) & FE_MAY_RETURN;
  case AST_FOREACH:
    return fe_block_escapes(stmt->foreach.body) & FE_MAY_RETURN;
  case AST_WHILE:
    return fe_block_escapes(stmt->loop_while.body) & FE_MAY_RETURN;
  default:
    return 0;
  }
}

static fe_value or_flag(fe_ctx *ctx, fe_value flag, int number) {
  fe_value other = number >= 0 ? fe_sym_at(ctx, number)->value : fv_bool(false);
  if (flag.kind == FV_BOOL)
    return flag.b ? flag : other;
  if (other.kind == FV_BOOL)
    return other.b ? other : flag;
  return fv_ir(ir_binary(&ctx->b, IR_OR, flag.val, other.val));
}

fe_value fe_skip_flag(fe_ctx *ctx, unsigned escapes) {
  fe_value flag = fv_bool(false);
  if (escapes & FE_MAY_RETURN)
    flag = or_flag(ctx, flag, ctx->frame->returned);
  bool inside = ctx->loop && ctx->loop->frame == ctx->frame;
  if ((escapes & FE_MAY_BREAK) && inside)
    flag = or_flag(ctx, flag, ctx->loop->broken);
  if ((escapes & FE_MAY_CONTINUE) && inside)
    flag = or_flag(ctx, flag, ctx->loop->continued);
  return flag;
}

// --- lists --------------------------------------------------------------------------------------

typedef struct stmt_list {
  ast_stmt *const *stmts;
  uint32_t count;
} stmt_list;

static void run_list(fe_ctx *ctx, const void *user) {
  const stmt_list *list = user;
  fe_stmts(ctx, list->stmts, list->count);
}

static void mark_returned(fe_ctx *ctx, const void *user) {
  (void)user;
  fe_sym_at(ctx, ctx->frame->returned)->value = fv_bool(true);
}

// What follows a statement that may have left the list runs only if it did not.
static void guard_rest(fe_ctx *ctx, fe_value flag, unsigned escapes, stmt_list rest) {
  ctx->b.loc = rest.stmts[0]->span;
  ir_val go_on = ir_unary(&ctx->b, IR_NOT, flag.val);
  // With return as the only way out, the skipped path is known to have returned.
  fe_branch(ctx, go_on, rest.stmts[0]->span, run_list, &rest,
            escapes == FE_MAY_RETURN ? mark_returned : NULL, NULL);
}

void fe_stmts(fe_ctx *ctx, ast_stmt *const *stmts, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    fe_stmt(ctx, stmts[i]);
    unsigned escapes = fe_escapes(stmts[i]);
    if (!escapes || i + 1 == count)
      continue;
    fe_value flag = fe_skip_flag(ctx, escapes);
    if (flag.kind == FV_BOOL && !flag.b)
      continue;
    if (flag.kind == FV_IR)
      guard_rest(ctx, flag, escapes, (stmt_list){stmts + i + 1, count - i - 1});
    return; // the rest is unreachable or done
  }
}

void fe_block(fe_ctx *ctx, const ast_block *block) {
  uint32_t mark = fe_enter(ctx), base = ctx->scope_base;
  ctx->scope_base = mark;
  fe_stmts(ctx, block->data, block->len);
  fe_leave(ctx, mark);
  ctx->scope_base = base;
}

static const char *attrs_of(ast_stmt_kind kind) {
  switch (kind) {
  case AST_FOR:
    return "pipeline specialize split_k swap unroll";
  case AST_FOREACH:
    return "swizzle";
  case AST_WHILE:
  case AST_IF:
    return "uniform";
  case AST_LET:
  case AST_VAR:
  case AST_DECL:
  case AST_ASSIGN:
  case AST_EXPR:
    return "inbounds";
  default:
    return "";
  }
}

static void run_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  switch (stmt->kind) {
  case AST_LET:
  case AST_VAR:
    let_stmt(ctx, stmt);
    return;
  case AST_DECL:
    decl_stmt(ctx, stmt);
    return;
  case AST_ASSIGN:
    assign_stmt(ctx, stmt);
    return;
  case AST_EXPR:
    fe_eval(ctx, stmt->expr);
    return;
  case AST_FOR:
    fe_for(ctx, stmt);
    return;
  case AST_FOREACH:
    fe_foreach(ctx, stmt);
    return;
  case AST_WHILE:
    fe_while(ctx, stmt);
    return;
  case AST_IF:
    fe_if(ctx, stmt);
    return;
  case AST_RETURN:
    fe_return(ctx, stmt);
    return;
  case AST_BREAK:
  case AST_CONTINUE:
    jump_stmt(ctx, stmt);
    return;
  case AST_CHANNEL:
    fe_channel_stmt(ctx, stmt);
    return;
  case AST_ROLES:
    fe_roles_stmt(ctx, stmt);
    return;
  case AST_PUT:
  case AST_GET:
    fe_put_get(ctx, stmt);
    return;
  case AST_BLOCK:
    fe_block(ctx, stmt->block);
    return;
  case AST_EMPTY:
    return;
  }
}

void fe_stmt(fe_ctx *ctx, const ast_stmt *stmt) {
  bool inbounds = ctx->inbounds;
  tl_span loc = ctx->b.loc;
  fe_check_attrs(ctx, &stmt->attrs, attrs_of(stmt->kind), "on this statement");
  ctx->inbounds = inbounds || fe_attr(&stmt->attrs, "inbounds");
  ctx->b.loc = stmt->span;
  run_stmt(ctx, stmt);
  ctx->inbounds = inbounds;
  ctx->b.loc = loc;
}
