// What the grammar does with what it reads: builds the tree, and refuses what is well-formed but
// meaningless (a value as a statement, assignment to a call, numbers that do not fit).
#include "frontend/parse.h"
#include "frontend/parse_act.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { MAX_DEPTH = 1000 };

fe_list fe_append(fe_parser *ps, fe_list list, const void *item, size_t size) {
  if (list.len == list.cap)
    list.data = tl_vec_grow(ps->arena, list.data, list.len, &list.cap, size);
  memcpy((char *)list.data + list.len++ * size, item, size);
  return list;
}

// --- expressions --------------------------------------------------------------------------------
static void set_depth(fe_parser *ps, ast_expr *expr, uint32_t depth) {
  expr->depth = depth;
  if (depth > ps->deepest)
    ps->deepest = depth;
  if (depth > MAX_DEPTH)
    fe_too_deep(ps, expr->span);
}

static ast_expr *new_expr(fe_parser *ps, tl_span span, ast_expr_kind kind) {
  ast_expr *expr = TL_NEW(ps->arena, ast_expr);
  expr->span = span;
  expr->kind = kind;
  set_depth(ps, expr, 1);
  return expr;
}

static void nest(fe_parser *ps, ast_expr *expr, const ast_expr *child) {
  if (!child || child->depth < expr->depth)
    return;
  set_depth(ps, expr, child->depth + 1);
}

static const char *spelling_at(fe_parser *ps, tl_span span) {
  return tl_strndup(ps->arena, ps->text + span.lo, span.hi - span.lo);
}

ast_expr *fe_make_int(fe_parser *ps, tl_span span) {
  ast_expr *expr = new_expr(ps, span, AST_INT);
  const char *text = spelling_at(ps, span);
  bool binary = text[0] == '0' && (text[1] == 'b' || text[1] == 'B');
  bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  errno = 0;
  unsigned long long value = strtoull(binary || hex ? text + 2 : text, NULL,
                                      binary ? 2
                                      : hex  ? 16
                                             : 10);
  if (errno == ERANGE || (!binary && !hex && value > INT64_MAX)) {
    tl_report(ps->diags, span, DIAG_E0014, text);
    value = 0;
  }
  expr->integer.value = (int64_t)value;
  expr->integer.spelling = text;
  return expr;
}

ast_expr *fe_make_float(fe_parser *ps, tl_span span) {
  ast_expr *expr = new_expr(ps, span, AST_FLOAT);
  const char *text = spelling_at(ps, span);
  expr->floating.value = strtod(text, NULL);
  expr->floating.spelling = text;
  if (isinf(expr->floating.value))
    tl_report(ps->diags, span, DIAG_E0014, text);
  return expr;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

// One escape at text[at] == '\\'; returns the bytes it takes, 0 when unknown.
static uint32_t read_escape(const char *text, uint32_t at, uint32_t end, char *out) {
  static const char names[] = "ntr0\\\"'", values[] = "\n\t\r\0\\\"'";
  if (at + 1 >= end)
    return 0;
  const char *known = memchr(names, text[at + 1], sizeof names - 1);
  if (known) {
    *out = values[known - names];
    return 2;
  }
  if (text[at + 1] != 'x' || at + 3 >= end)
    return 0;
  int high = hex_digit(text[at + 2]), low = hex_digit(text[at + 3]);
  if (high < 0 || low < 0)
    return 0;
  *out = (char)(high * 16 + low);
  return 4;
}

ast_expr *fe_make_string(fe_parser *ps, tl_span span) {
  ast_expr *expr = new_expr(ps, span, AST_STRING);
  uint32_t at = span.lo + 1, end = span.hi;
  if (end > at && ps->text[end - 1] == '"')
    end--; // absent after E0010
  char *text = tl_alloc(ps->arena, end - at + 1);
  uint32_t len = 0;
  while (at < end) {
    if (ps->text[at] != '\\') {
      text[len++] = ps->text[at++];
      continue;
    }
    uint32_t used = read_escape(ps->text, at, end, &text[len]);
    if (!used) {
      used = at + 1 < end ? 2 : 1;
      tl_span place = {at, at + used, span.file};
      tl_report(ps->diags, place, DIAG_E0015, spelling_at(ps, place));
      text[len] = '?';
    }
    len++;
    at += used;
  }
  expr->string.text = text;
  expr->string.len = len;
  expr->string.spelling = spelling_at(ps, span);
  return expr;
}

ast_expr *fe_join_strings(fe_parser *ps, tl_span span, ast_expr *head, ast_expr *tail) {
  ast_expr *expr = new_expr(ps, span, AST_STRING);
  uint32_t len = head->string.len + tail->string.len;
  char *text = tl_alloc(ps->arena, len + 1);
  memcpy(text, head->string.text, head->string.len);
  memcpy(text + head->string.len, tail->string.text, tail->string.len);
  expr->string.text = text;
  expr->string.len = len;
  expr->string.spelling =
      tl_sprintf(ps->arena, "%s %s", head->string.spelling, tail->string.spelling);
  return expr;
}

ast_expr *fe_make_ident(fe_parser *ps, ast_name name) {
  ast_expr *expr = new_expr(ps, name.span, AST_IDENT);
  expr->ident = name.text;
  return expr;
}

ast_expr *fe_make_bool(fe_parser *ps, tl_span span, bool value) {
  ast_expr *expr = new_expr(ps, span, AST_BOOL);
  expr->boolean = value;
  return expr;
}

ast_expr *fe_make_dtype(fe_parser *ps, tl_span span, tl_dtype dtype) {
  ast_expr *expr = new_expr(ps, span, AST_DTYPE);
  expr->dtype = dtype;
  return expr;
}

ast_expr *fe_make_unary(fe_parser *ps, tl_span span, ast_op op, ast_expr *operand) {
  ast_expr *expr = new_expr(ps, span, AST_UNARY);
  expr->unary.op = op;
  expr->unary.operand = operand;
  nest(ps, expr, operand);
  return expr;
}

ast_expr *fe_make_binary(fe_parser *ps, tl_span span, ast_op op, tl_span op_span, ast_expr *left,
                         ast_expr *right) {
  ast_expr *expr = new_expr(ps, span, AST_BINARY);
  expr->binary.op = op;
  expr->binary.op_span = op_span;
  expr->binary.left = left;
  expr->binary.right = right;
  nest(ps, expr, left);
  nest(ps, expr, right);
  return expr;
}

ast_expr *fe_make_ternary(fe_parser *ps, tl_span span, ast_expr *cond, ast_expr *then,
                          ast_expr *other) {
  ast_expr *expr = new_expr(ps, span, AST_TERNARY);
  expr->ternary.cond = cond;
  expr->ternary.then = then;
  expr->ternary.other = other;
  nest(ps, expr, cond);
  nest(ps, expr, then);
  nest(ps, expr, other);
  return expr;
}

ast_expr *fe_make_call(fe_parser *ps, tl_span span, ast_expr *callee, fe_list args) {
  ast_expr *expr = new_expr(ps, span, AST_CALL);
  expr->call.callee = callee;
  expr->call.args = (ast_args){args.data, args.len};
  nest(ps, expr, callee);
  for (uint32_t i = 0; i < args.len; i++)
    nest(ps, expr, expr->call.args.data[i].value);
  return expr;
}

ast_expr *fe_make_index(fe_parser *ps, tl_span span, ast_expr *base, fe_list subs) {
  ast_expr *expr = new_expr(ps, span, AST_INDEX);
  expr->index.base = base;
  expr->index.subs = subs.data;
  expr->index.nsubs = subs.len;
  nest(ps, expr, base);
  for (uint32_t i = 0; i < subs.len; i++) {
    nest(ps, expr, expr->index.subs[i].value);
    nest(ps, expr, expr->index.subs[i].length);
  }
  return expr;
}

ast_expr *fe_make_member(fe_parser *ps, tl_span span, ast_expr *base, ast_name name) {
  ast_expr *expr = new_expr(ps, span, AST_MEMBER);
  expr->member.base = base;
  expr->member.name = name;
  nest(ps, expr, base);
  return expr;
}

ast_expr *fe_make_parens(fe_parser *ps, tl_span span, fe_list exprs) {
  ast_expr **items = exprs.data;
  if (exprs.len == 1) {
    items[0]->parens = true;
    return items[0];
  }
  ast_expr *expr = new_expr(ps, span, AST_TUPLE);
  expr->tuple = (ast_exprs){items, exprs.len};
  for (uint32_t i = 0; i < exprs.len; i++)
    nest(ps, expr, items[i]);
  return expr;
}

ast_expr *fe_make_fn(fe_parser *ps, tl_span span, fe_list params, ast_block *body,
                     uint32_t outer_depth) {
  ast_expr *expr = new_expr(ps, span, AST_FN);
  expr->fn.params = (ast_names){params.data, params.len};
  expr->fn.body = body;
  // Statements carry no depth: whatever was read since the literal began is inside of it.
  set_depth(ps, expr, ps->deepest + 1);
  if (outer_depth > ps->deepest)
    ps->deepest = outer_depth;
  return expr;
}

// --- types --------------------------------------------------------------------------------------
ast_type *fe_make_type(fe_parser *ps, tl_span span, ast_type_kind kind, tl_dtype dtype,
                       const char *name, ast_type *target) {
  ast_type *type = TL_NEW(ps->arena, ast_type);
  *type = (ast_type){span, kind, dtype, name, target};
  return type;
}

// `float *x` is one mistake: the last '*' reports it.
static bool star_follows(const fe_parser *ps, tl_span span) {
  uint32_t at = span.hi;
  while (at < ps->len && (ps->text[at] == ' ' || ps->text[at] == '\t'))
    at++;
  return at < ps->len && ps->text[at] == '*';
}

// `float` and its like: reported, and read as the type that is meant. NULL: not a C type.
ast_type *fe_make_c_type(fe_parser *ps, tl_span span, const char *name) {
  const char *meant = fe_c_type(name);
  if (!meant)
    return NULL;
  if (!star_follows(ps, span)) {
    tl_diag *diag = tl_report(ps->diags, span, DIAG_E0004, name, meant);
    tl_fixit(ps->diags, diag, span, meant);
  }
  return fe_make_type(ps, span, AST_TYPE_DTYPE, tl_dtype_by_name(meant), NULL, NULL);
}

static const char *type_text(fe_parser *ps, const ast_type *type) {
  if (type->kind == AST_TYPE_DTYPE)
    return tl_dtype_name(type->dtype);
  if (type->kind == AST_TYPE_NAME)
    return type->name;
  const char *head = "", *tail = "";
  for (; type->kind == AST_TYPE_PTR; type = type->target) {
    head = tl_sprintf(ps->arena, "ptr[%s", head);
    tail = tl_sprintf(ps->arena, "%s]", tail);
  }
  return tl_sprintf(ps->arena, "%s%s%s", head, type_text(ps, type), tail);
}

ast_type *fe_make_c_pointer(fe_parser *ps, tl_span span, ast_type *target) {
  ast_type *type = fe_make_type(ps, span, AST_TYPE_PTR, TL_NODTYPE, NULL, target);
  if (star_follows(ps, span))
    return type;
  const char *meant = type_text(ps, type), *element = type_text(ps, target);
  tl_diag *diag = tl_report(ps->diags, span, DIAG_E0004, spelling_at(ps, span), meant);
  tl_help(ps->diags, diag,
          "a tensor is declared with its shape, '%s A[M, N]'; a raw pointer is '%s'", element,
          meant);
  tl_fixit(ps->diags, diag, span, meant);
  return type;
}

// --- statements ---------------------------------------------------------------------------------
ast_block *fe_make_block(fe_parser *ps, tl_span span, fe_list stmts) {
  ast_block *block = TL_NEW(ps->arena, ast_block);
  *block = (ast_block){span, stmts.data, stmts.len};
  return block;
}

ast_stmt *fe_make_stmt(fe_parser *ps, tl_span span, ast_stmt_kind kind) {
  ast_stmt *stmt = TL_NEW(ps->arena, ast_stmt);
  stmt->span = span;
  stmt->kind = kind;
  return stmt;
}

ast_stmt *fe_make_assign(fe_parser *ps, tl_span span, ast_expr *place, ast_op op, ast_expr *value) {
  if (place->kind == AST_CALL) {
    tl_report(ps->diags, place->span, DIAG_E0017);
    return NULL;
  }
  ast_stmt *stmt = fe_make_stmt(ps, span, AST_ASSIGN);
  stmt->assign.place = place;
  stmt->assign.op = op;
  stmt->assign.value = value;
  return stmt;
}

ast_stmt *fe_make_call_stmt(fe_parser *ps, tl_span span, ast_expr *expr) {
  if (expr->kind != AST_CALL) {
    tl_report(ps->diags, expr->span, DIAG_E0016);
    return NULL;
  }
  ast_stmt *stmt = fe_make_stmt(ps, span, AST_EXPR);
  stmt->expr = expr;
  return stmt;
}

ast_item *fe_make_item(fe_parser *ps, tl_span span, ast_item_kind kind) {
  ast_item *item = TL_NEW(ps->arena, ast_item);
  item->span = span;
  item->kind = kind;
  return item;
}

// --- entry --------------------------------------------------------------------------------------
ast_module *fe_parse(tl_arena *arena, tl_diags *diags, tl_sources *sources, uint32_t file) {
  const tl_file *source = &sources->files.data[file - 1];
  if (!source->text)
    return NULL;
  fe_parser ps = {.arena = arena,
                  .diags = diags,
                  .sources = sources,
                  .file = file,
                  .text = source->text,
                  .len = source->len,
                  .module = TL_NEW(arena, ast_module)};
  ps.module->span = (tl_span){0, source->len, file};
  fe_scan_begin(&ps);
  int failed = fe_yyparse(&ps);
  fe_scan_end(&ps);
  // Given up (end of file inside a broken declaration, or too many errors): keep what is whole.
  if (ps.too_deep || (failed && !ps.module->nitems))
    return NULL;
  return ps.module;
}
