// Prints the tree back as source: one fixed layout, parentheses where they were written or where
// the tree needs them, literals as they were spelled. parse(print(t)) equals t; printing is a
// fixpoint.
#include "frontend/ast.h"

enum { PREC_TERNARY = 0, PREC_UNARY = 11, PREC_POSTFIX = 12 };

typedef struct printer {
  tl_buf *out;
  int indent;
} printer;

static void print_expr(printer *p, const ast_expr *expr, int min_prec);
static void print_block(printer *p, const ast_block *block);
static void print_stmt(printer *p, const ast_stmt *stmt);

static void put(printer *p, const char *text) { tl_buf_puts(p->out, text); }

static void new_line(printer *p) {
  tl_buf_putc(p->out, '\n');
  for (int i = 0; i < p->indent; i++)
    put(p, "  ");
}

// --- expressions --------------------------------------------------------------------------------
static int precedence_of(const ast_expr *expr) {
  switch (expr->kind) {
  case AST_TERNARY:
    return PREC_TERNARY;
  case AST_BINARY:
    return ast_op_precedence(expr->binary.op);
  case AST_UNARY:
    return PREC_UNARY;
  default:
    return PREC_POSTFIX;
  }
}

static void print_exprs(printer *p, ast_exprs exprs) {
  for (uint32_t i = 0; i < exprs.len; i++) {
    if (i)
      put(p, ", ");
    print_expr(p, exprs.data[i], PREC_TERNARY);
  }
}

static void print_names(printer *p, ast_names names) {
  for (uint32_t i = 0; i < names.len; i++) {
    if (i)
      put(p, ", ");
    put(p, names.data[i].text);
  }
}

static void print_args(printer *p, ast_args args) {
  put(p, "(");
  for (uint32_t i = 0; i < args.len; i++) {
    if (i)
      put(p, ", ");
    if (args.data[i].name.text)
      tl_buf_printf(p->out, "%s = ", args.data[i].name.text);
    print_expr(p, args.data[i].value, PREC_TERNARY);
  }
  put(p, ")");
}

static void print_sub(printer *p, const ast_sub *sub) {
  switch (sub->kind) {
  case AST_SUB_EXPR:
    print_expr(p, sub->value, PREC_TERNARY);
    break;
  case AST_SUB_TILE:
    print_expr(p, sub->value, PREC_TERNARY);
    put(p, " +: ");
    print_expr(p, sub->length, PREC_TERNARY);
    break;
  case AST_SUB_FULL:
    put(p, ":");
    break;
  case AST_SUB_NONE:
    put(p, "none");
    break;
  case AST_SUB_DTYPE:
    put(p, tl_dtype_name(sub->dtype));
    break;
  }
}

static void print_subs(printer *p, const ast_sub *subs, uint32_t count) {
  put(p, "[");
  for (uint32_t i = 0; i < count; i++) {
    if (i)
      put(p, ", ");
    print_sub(p, &subs[i]);
  }
  put(p, "]");
}

static void print_unary(printer *p, const ast_expr *expr) {
  const ast_expr *operand = expr->unary.operand;
  put(p, ast_op_text(expr->unary.op));
  // "--" is a token of its own
  bool minus_minus = expr->unary.op == AST_OP_NEG && operand->kind == AST_UNARY &&
                     operand->unary.op == AST_OP_NEG && !operand->parens;
  if (minus_minus)
    put(p, " ");
  print_expr(p, operand, PREC_UNARY);
}

static void print_bare(printer *p, const ast_expr *expr) {
  switch (expr->kind) {
  case AST_IDENT:
    put(p, expr->ident);
    break;
  case AST_INT:
    put(p, expr->integer.spelling);
    break;
  case AST_FLOAT:
    put(p, expr->floating.spelling);
    break;
  case AST_STRING:
    put(p, expr->string.spelling);
    break;
  case AST_BOOL:
    put(p, expr->boolean ? "true" : "false");
    break;
  case AST_DTYPE:
    put(p, tl_dtype_name(expr->dtype));
    break;
  case AST_UNARY:
    print_unary(p, expr);
    break;
  case AST_BINARY: {
    int prec = ast_op_precedence(expr->binary.op);
    print_expr(p, expr->binary.left, prec);
    tl_buf_printf(p->out, " %s ", ast_op_text(expr->binary.op));
    print_expr(p, expr->binary.right, prec + 1);
    break;
  }
  case AST_TERNARY:
    print_expr(p, expr->ternary.cond, PREC_TERNARY + 1);
    put(p, " ? ");
    print_expr(p, expr->ternary.then, PREC_TERNARY);
    put(p, " : ");
    print_expr(p, expr->ternary.other, PREC_TERNARY);
    break;
  case AST_CALL:
    print_expr(p, expr->call.callee, PREC_POSTFIX);
    print_args(p, expr->call.args);
    break;
  case AST_INDEX:
    print_expr(p, expr->index.base, PREC_POSTFIX);
    print_subs(p, expr->index.subs, expr->index.nsubs);
    break;
  case AST_MEMBER:
    print_expr(p, expr->member.base, PREC_POSTFIX);
    tl_buf_printf(p->out, ".%s", expr->member.name.text);
    break;
  case AST_TUPLE:
    put(p, "(");
    print_exprs(p, expr->tuple);
    put(p, ")");
    break;
  case AST_FN:
    put(p, "fn (");
    print_names(p, expr->fn.params);
    put(p, ") ");
    print_block(p, expr->fn.body);
    break;
  }
}

// `min_prec`: what binds looser needs parentheses here.
static void print_expr(printer *p, const ast_expr *expr, int min_prec) {
  bool parens = expr->parens || precedence_of(expr) < min_prec;
  if (parens)
    put(p, "(");
  print_bare(p, expr);
  if (parens)
    put(p, ")");
}

// --- types and declared names -------------------------------------------------------------------
static void print_type(printer *p, const ast_type *type) {
  switch (type->kind) {
  case AST_TYPE_DTYPE:
    put(p, tl_dtype_name(type->dtype));
    break;
  case AST_TYPE_NAME:
    put(p, type->name);
    break;
  case AST_TYPE_PTR:
    put(p, "ptr[");
    print_type(p, type->target);
    put(p, "]");
    break;
  }
}

static void print_dims(printer *p, const ast_dims *dims) {
  if (!dims->dims.len)
    return;
  put(p, "[");
  print_exprs(p, dims->dims);
  if (dims->strides.len) {
    put(p, " ; ");
    print_exprs(p, dims->strides);
  }
  put(p, "]");
}

static void print_declared(printer *p, const ast_type *type, const ast_name *name,
                           const ast_dims *dims) {
  print_type(p, type);
  tl_buf_printf(p->out, " %s", name->text);
  print_dims(p, dims);
}

static void print_attr(printer *p, const ast_attr *attr) {
  tl_buf_printf(p->out, "@%s", attr->name.text);
  if (attr->parens)
    print_args(p, attr->args);
}

// Attributes share one line; what they belong to is on the next.
static void print_attr_line(printer *p, ast_attrs attrs) {
  for (uint32_t i = 0; i < attrs.len; i++) {
    if (i)
      put(p, " ");
    print_attr(p, &attrs.data[i]);
  }
  if (attrs.len)
    new_line(p);
}

static void print_fields(printer *p, ast_fields fields) {
  put(p, "{");
  p->indent++;
  for (uint32_t i = 0; i < fields.len; i++) {
    new_line(p);
    print_declared(p, fields.data[i].type, &fields.data[i].name, &fields.data[i].dims);
    put(p, ";");
  }
  p->indent--;
  new_line(p);
  put(p, "}");
}

// --- statements ---------------------------------------------------------------------------------
static void print_block(printer *p, const ast_block *block) {
  put(p, "{");
  p->indent++;
  for (uint32_t i = 0; i < block->len; i++) {
    new_line(p);
    print_stmt(p, block->data[i]);
  }
  p->indent--;
  new_line(p);
  put(p, "}");
}

static void print_let(printer *p, const ast_stmt *stmt) {
  put(p, stmt->kind == AST_LET ? "let " : "var ");
  if (stmt->let.tuple)
    put(p, "(");
  print_names(p, stmt->let.names);
  if (stmt->let.tuple)
    put(p, ")");
  put(p, " = ");
  print_expr(p, stmt->let.value, PREC_TERNARY);
  put(p, ";");
}

static void print_for(printer *p, const ast_stmt *stmt) {
  tl_buf_printf(p->out, "for (%s in ", stmt->loop.var.text);
  print_expr(p, stmt->loop.lo, PREC_TERNARY);
  put(p, " .. ");
  print_expr(p, stmt->loop.hi, PREC_TERNARY);
  if (stmt->loop.step) {
    put(p, " step ");
    print_expr(p, stmt->loop.step, PREC_TERNARY);
  }
  put(p, ") ");
  print_block(p, stmt->loop.body);
}

static void print_if(printer *p, const ast_stmt *stmt) {
  for (;; stmt = stmt->branch.other) { // else-if chains are as long as the source: no recursion
    put(p, "if (");
    print_expr(p, stmt->branch.cond, PREC_TERNARY);
    put(p, ") ");
    print_block(p, stmt->branch.then);
    if (!stmt->branch.other)
      return;
    put(p, " else ");
    if (stmt->branch.other->kind == AST_BLOCK)
      break;
  }
  print_block(p, stmt->branch.other->block);
}

static void print_roles(printer *p, const ast_stmt *stmt) {
  put(p, "roles {");
  p->indent++;
  for (uint32_t i = 0; i < stmt->roles.len; i++) {
    const ast_role *role = &stmt->roles.data[i];
    new_line(p);
    print_attr_line(p, role->attrs);
    tl_buf_printf(p->out, "role %s ", role->name.text);
    print_block(p, role->body);
  }
  p->indent--;
  new_line(p);
  put(p, "}");
}

static void print_stmt(printer *p, const ast_stmt *stmt) {
  print_attr_line(p, stmt->attrs);
  switch (stmt->kind) {
  case AST_LET:
  case AST_VAR:
    print_let(p, stmt);
    break;
  case AST_DECL:
    print_declared(p, stmt->decl.type, &stmt->decl.name, &stmt->decl.dims);
    if (stmt->decl.value) {
      put(p, " = ");
      print_expr(p, stmt->decl.value, PREC_TERNARY);
    }
    put(p, ";");
    break;
  case AST_ASSIGN:
    print_expr(p, stmt->assign.place, PREC_POSTFIX);
    tl_buf_printf(p->out, " %s= ", ast_op_text(stmt->assign.op));
    print_expr(p, stmt->assign.value, PREC_TERNARY);
    put(p, ";");
    break;
  case AST_EXPR:
    print_expr(p, stmt->expr, PREC_POSTFIX);
    put(p, ";");
    break;
  case AST_FOR:
    print_for(p, stmt);
    break;
  case AST_FOREACH:
    put(p, "foreach (");
    print_names(p, stmt->foreach.vars);
    put(p, " in ");
    print_expr(p, stmt->foreach.domain, PREC_TERNARY);
    put(p, ") ");
    print_block(p, stmt->foreach.body);
    break;
  case AST_WHILE:
    put(p, "while (");
    print_expr(p, stmt->loop_while.cond, PREC_TERNARY);
    put(p, ") ");
    print_block(p, stmt->loop_while.body);
    break;
  case AST_IF:
    print_if(p, stmt);
    break;
  case AST_RETURN:
    put(p, stmt->result ? "return " : "return");
    if (stmt->result)
      print_expr(p, stmt->result, PREC_TERNARY);
    put(p, ";");
    break;
  case AST_BREAK:
    put(p, "break;");
    break;
  case AST_CONTINUE:
    put(p, "continue;");
    break;
  case AST_CHANNEL:
    tl_buf_printf(p->out, "channel %s[", stmt->channel.name.text);
    print_expr(p, stmt->channel.stages, PREC_TERNARY);
    put(p, "] ");
    print_fields(p, stmt->channel.fields);
    break;
  case AST_ROLES:
    print_roles(p, stmt);
    break;
  case AST_PUT:
  case AST_GET:
    tl_buf_printf(p->out, "%s %s ", stmt->kind == AST_PUT ? "put" : "get",
                  stmt->access.channel.text);
    print_block(p, stmt->access.body);
    break;
  case AST_BLOCK:
    print_block(p, stmt->block);
    break;
  case AST_EMPTY:
    put(p, ";");
    break;
  }
}

// --- declarations -------------------------------------------------------------------------------
static void print_generics(printer *p, ast_gparams generics) {
  static const char *const kinds[] = {"int", "bool", "dtype"};
  if (!generics.len)
    return;
  put(p, "[");
  for (uint32_t i = 0; i < generics.len; i++) {
    const ast_gparam *generic = &generics.data[i];
    tl_buf_printf(p->out, "%s%s %s", i ? ", " : "", kinds[generic->kind], generic->name.text);
    if (!generic->value)
      continue;
    put(p, " = ");
    print_expr(p, generic->value, PREC_TERNARY);
  }
  put(p, "]");
}

static void print_params(printer *p, ast_params params) {
  static const char *const dirs[] = {"", "in ", "out ", "inout "};
  put(p, "(");
  p->indent += 2;
  for (uint32_t i = 0; i < params.len; i++) {
    const ast_param *param = &params.data[i];
    if (i)
      put(p, ",");
    new_line(p);
    put(p, dirs[param->dir]);
    print_declared(p, param->type, &param->name, &param->dims);
    for (uint32_t k = 0; k < param->attrs.len; k++) {
      put(p, " ");
      print_attr(p, &param->attrs.data[k]);
    }
  }
  p->indent -= 2;
  put(p, ")");
}

static void print_tune(printer *p, const ast_tune *tune) {
  tl_buf_printf(p->out, "%s in ", tune->name.text);
  if (tune->is_range) {
    print_expr(p, tune->lo, PREC_TERNARY);
    put(p, " .. ");
    print_expr(p, tune->hi, PREC_TERNARY);
    if (tune->step) {
      put(p, " step ");
      print_expr(p, tune->step, PREC_TERNARY);
    }
  } else {
    put(p, "{ ");
    print_exprs(p, tune->values);
    put(p, " }");
  }
  put(p, ";");
}

static void print_clause(printer *p, const ast_clause *clause) {
  switch (clause->kind) {
  case AST_CLAUSE_GRID:
    put(p, "grid");
    print_args(p, clause->args);
    break;
  case AST_CLAUSE_KEY:
    put(p, "key");
    print_args(p, clause->args);
    break;
  case AST_CLAUSE_REQUIRE:
    put(p, "require(");
    print_expr(p, clause->cond, PREC_TERNARY);
    put(p, ")");
    break;
  case AST_CLAUSE_TUNE:
    put(p, "tune");
    if (clause->args.len)
      print_args(p, clause->args);
    put(p, " {");
    p->indent++;
    for (uint32_t i = 0; i < clause->ntunes; i++) {
      new_line(p);
      print_tune(p, &clause->tunes[i]);
    }
    p->indent--;
    new_line(p);
    put(p, "}");
    break;
  }
}

static void print_kernel(printer *p, const ast_kernel *kernel) {
  print_attr_line(p, kernel->attrs);
  tl_buf_printf(p->out, "kernel %s", kernel->name.text);
  print_generics(p, kernel->generics);
  print_params(p, kernel->params);
  p->indent += 2;
  for (uint32_t i = 0; i < kernel->nclauses; i++) {
    new_line(p);
    print_clause(p, &kernel->clauses[i]);
  }
  p->indent -= 2;
  new_line(p);
  print_block(p, kernel->body);
}

static void print_fn(printer *p, const ast_fn *fn) {
  print_attr_line(p, fn->attrs);
  tl_buf_printf(p->out, "fn %s", fn->name.text);
  print_generics(p, fn->generics);
  print_params(p, fn->params);
  if (fn->nresults)
    put(p, fn->tuple_result ? " -> (" : " -> ");
  for (uint32_t i = 0; i < fn->nresults; i++) {
    if (i)
      put(p, ", ");
    print_type(p, fn->results[i].type);
    print_dims(p, &fn->results[i].dims);
  }
  put(p, fn->tuple_result ? ") " : " ");
  print_block(p, fn->body);
}

static void print_item(printer *p, const ast_item *item) {
  switch (item->kind) {
  case AST_ITEM_IMPORT:
    tl_buf_printf(p->out, "import %s;", item->import.spelling);
    break;
  case AST_ITEM_CONST:
    put(p, "const ");
    print_type(p, item->constant.type);
    tl_buf_printf(p->out, " %s = ", item->constant.name.text);
    print_expr(p, item->constant.value, PREC_TERNARY);
    put(p, ";");
    break;
  case AST_ITEM_STRUCT:
    tl_buf_printf(p->out, "struct %s ", item->record.name.text);
    print_fields(p, item->record.fields);
    break;
  case AST_ITEM_FN:
    print_fn(p, &item->fn);
    break;
  case AST_ITEM_KERNEL:
    print_kernel(p, &item->kernel);
    break;
  }
}

void ast_print(tl_buf *out, const ast_module *module) {
  printer p = {out, 0};
  for (uint32_t i = 0; i < module->nitems; i++) {
    const ast_item *item = module->items[i];
    // Imports and constants stand together, other declarations apart.
    bool short_item = item->kind == AST_ITEM_IMPORT || item->kind == AST_ITEM_CONST;
    if (i && !(short_item && item->kind == module->items[i - 1]->kind))
      put(&p, "\n");
    print_item(&p, item);
    put(&p, "\n");
  }
}

void ast_print_expr(tl_buf *out, const ast_expr *expr) {
  printer p = {out, 0};
  print_expr(&p, expr, PREC_TERNARY);
}
