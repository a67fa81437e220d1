// Functions are inlined and structs are laid out flat, so neither may contain itself. Walks the
// calls of every fn, and the fields of every struct, before anything is lowered.
#include "frontend/check.h"

typedef struct finder {
  fe_ctx *ctx;
  char *state; // per item: 0 unseen, 1 on the path, 2 done
  TL_VEC(tl_span) path;
} finder;

static void visit_item(finder *fd, const fe_item *item, tl_span use);
static void visit_block(finder *fd, const ast_block *block);
static void visit_expr(finder *fd, const ast_expr *expr);

static void visit_args(finder *fd, const ast_args *args) {
  for (uint32_t i = 0; i < args->len; i++)
    visit_expr(fd, args->data[i].value);
}

static void visit_call(finder *fd, const ast_expr *expr) {
  const ast_expr *callee = expr->call.callee;
  if (callee->kind == AST_INDEX)
    callee = callee->index.base;
  if (callee->kind == AST_IDENT) {
    const fe_item *item = fe_find_item(fd->ctx->program, callee->ident);
    if (item && item->ast->kind == AST_ITEM_FN)
      visit_item(fd, item, expr->span);
  }
  visit_args(fd, &expr->call.args);
}

static void visit_expr(finder *fd, const ast_expr *expr) {
  switch (expr->kind) {
  case AST_UNARY:
    visit_expr(fd, expr->unary.operand);
    return;
  case AST_BINARY:
    visit_expr(fd, expr->binary.left);
    visit_expr(fd, expr->binary.right);
    return;
  case AST_TERNARY:
    visit_expr(fd, expr->ternary.cond);
    visit_expr(fd, expr->ternary.then);
    visit_expr(fd, expr->ternary.other);
    return;
  case AST_CALL:
    visit_call(fd, expr);
    return;
  case AST_INDEX:
    visit_expr(fd, expr->index.base);
    for (uint32_t i = 0; i < expr->index.nsubs; i++) {
      if (expr->index.subs[i].value)
        visit_expr(fd, expr->index.subs[i].value);
      if (expr->index.subs[i].length)
        visit_expr(fd, expr->index.subs[i].length);
    }
    return;
  case AST_MEMBER:
    visit_expr(fd, expr->member.base);
    return;
  case AST_TUPLE:
    for (uint32_t i = 0; i < expr->tuple.len; i++)
      visit_expr(fd, expr->tuple.data[i]);
    return;
  case AST_FN:
    visit_block(fd, expr->fn.body);
    return;
  default:
    return;
  }
}

static void visit_stmt(finder *fd, const ast_stmt *stmt) {
  switch (stmt->kind) {
  case AST_LET:
  case AST_VAR:
    visit_expr(fd, stmt->let.value);
    return;
  case AST_DECL:
    if (stmt->decl.value)
      visit_expr(fd, stmt->decl.value);
    return;
  case AST_ASSIGN:
    visit_expr(fd, stmt->assign.place);
    visit_expr(fd, stmt->assign.value);
    return;
  case AST_EXPR:
    visit_expr(fd, stmt->expr);
    return;
  case AST_FOR:
    visit_expr(fd, stmt->loop.lo);
    visit_expr(fd, stmt->loop.hi);
    if (stmt->loop.step)
      visit_expr(fd, stmt->loop.step);
    visit_block(fd, stmt->loop.body);
    return;
  case AST_FOREACH:
    visit_expr(fd, stmt->foreach.domain);
    visit_block(fd, stmt->foreach.body);
    return;
  case AST_WHILE:
    visit_expr(fd, stmt->loop_while.cond);
    visit_block(fd, stmt->loop_while.body);
    return;
  case AST_IF:
    visit_expr(fd, stmt->branch.cond);
    visit_block(fd, stmt->branch.then);
    if (stmt->branch.other)
      visit_stmt(fd, stmt->branch.other);
    return;
  case AST_RETURN:
    if (stmt->result)
      visit_expr(fd, stmt->result);
    return;
  case AST_ROLES:
    for (uint32_t i = 0; i < stmt->roles.len; i++)
      visit_block(fd, stmt->roles.data[i].body);
    return;
  case AST_PUT:
  case AST_GET:
    visit_block(fd, stmt->access.body);
    return;
  case AST_BLOCK:
    visit_block(fd, stmt->block);
    return;
  default:
    return;
  }
}

static void visit_block(finder *fd, const ast_block *block) {
  for (uint32_t i = 0; i < block->len; i++)
    visit_stmt(fd, block->data[i]);
}

static void visit_fields(finder *fd, const ast_struct *record) {
  for (uint32_t i = 0; i < record->fields.len; i++) {
    const ast_type *type = record->fields.data[i].type;
    const fe_item *item =
        type->kind == AST_TYPE_NAME ? fe_find_item(fd->ctx->program, type->name) : NULL;
    if (item && item->ast->kind == AST_ITEM_STRUCT)
      visit_item(fd, item, type->span);
  }
}

static void visit_item(finder *fd, const fe_item *item, tl_span use) {
  char *state = &fd->state[item - fd->ctx->program->items.data];
  if (*state == 2)
    return;
  if (*state == 1) {
    tl_diag *diag = fe_error(fd->ctx, use, DIAG_E0105, item->name);
    for (uint32_t i = fd->path.len; i > 0; i--)
      if (fd->path.data[i - 1].file)
        tl_note(fd->ctx->diags, diag, fd->path.data[i - 1], "reached from here");
    return;
  }
  *state = 1;
  tl_push(fd->ctx->arena, &fd->path, use);
  if (item->ast->kind == AST_ITEM_FN)
    visit_block(fd, item->ast->fn.body);
  else if (item->ast->kind == AST_ITEM_STRUCT)
    visit_fields(fd, &item->ast->record);
  fd->path.len--;
  *state = 2;
}

void fe_check_recursion(fe_ctx *ctx) {
  finder fd = {.ctx = ctx, .state = TL_NEW_N(ctx->arena, char, ctx->program->items.len + 1)};
  for (uint32_t i = 0; i < ctx->program->items.len; i++)
    visit_item(&fd, &ctx->program->items.data[i], (tl_span){0});
}
