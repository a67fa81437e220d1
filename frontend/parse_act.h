// Inside of the parser: what lexer, grammar, actions, recovery and messages share. Only fe_parse
// (parse.h) is for others.
//
//   tile.l  --fe_scan-->  token_stream.c  --fe_next_token-->  tile.y  --fe_make_*-->  parse_act.c
//                              ^ fe_resync <-- syntax_error.c <-- (unexpected token)
#ifndef FRONTEND_PARSE_ACT_H
#define FRONTEND_PARSE_ACT_H
#include "frontend/ast.h"
#include "lang/base/diag.h"

typedef enum fe_tok {
  FE_EOF,
#define TOKEN(id, spelling, cls, group) FE_##id,
#include "lang/tokens.def"
#undef TOKEN
  FE_TOK_COUNT
} fe_tok;

typedef struct fe_token {
  fe_tok kind;
  tl_span span;
  bool first_on_line;
  bool synthetic; // made by recovery: no text
  bool broken;    // it, or what stood before it, was refused by the lexer
  union {
    const char *text; // IDENT and reserved words
    tl_dtype dtype;   // TYPENAME
    ast_expr *expr;   // literals
  };
} fe_token;

// An open bracket, with what recovery needs to know about it.
typedef struct fe_open {
  fe_tok kind; // LPAREN, LBRACKET, LBRACE
  bool header; // '(' of for, foreach, while, if
  bool values; // '{' of a list of values (tune ... in { ... })
  tl_span span;
} fe_open;

enum { FE_HISTORY = 8 };

typedef struct fe_parser {
  tl_arena *arena;
  tl_diags *diags;
  tl_sources *sources;
  uint32_t file;
  const char *text;
  uint32_t len;
  // lexer
  void *scanner;
  uint32_t at; // offset of the next token
  bool line_start;
  bool lexer_error; // the next token follows a stray character
  // token stream
  fe_token history[FE_HISTORY]; // [0] is the latest token given to the parser
  TL_VEC(fe_open) open;         // brackets around history[0]; it is not in there itself
  TL_VEC(fe_token) queue;       // tokens to hand out before reading on, last one first
  bool resync;                  // the next call has to find a place to go on from
  bool stopped;                 // too many errors: only FE_EOF from here on
  bool too_deep;                // E0018 was reported
  uint32_t resync_at; // where the last recovery ended plus one, so that each makes progress
  uint32_t deepest;   // depth of the deepest expression since the last fn literal began
  // result
  ast_module *module;
  uint32_t item_cap;
} fe_parser;

// Generic list for grammar values; elements are copied in.
typedef struct fe_list {
  void *data;
  uint32_t len, cap;
} fe_list;

// --- tile.l -------------------------------------------------------------------------------------
void fe_scan_begin(fe_parser *ps);
fe_token fe_scan(fe_parser *ps);
void fe_scan_end(fe_parser *ps);

// --- tile.y -------------------------------------------------------------------------------------
int fe_yyparse(fe_parser *ps);

// --- token_stream.c -----------------------------------------------------------------------------
fe_token fe_next_token(fe_parser *ps);
const char *fe_token_text(const fe_parser *ps, const fe_token *token);
const char *fe_tok_spelling(fe_tok kind);
bool fe_tok_is_word(fe_tok kind);
fe_tok fe_word(const char *text); // FE_IDENT when not reserved

// --- syntax_error.c -----------------------------------------------------------------------------
// Reports that history[0] cannot stand where it is and starts recovery.
void fe_syntax_error(fe_parser *ps, const bool *expected);
void fe_too_deep(fe_parser *ps, tl_span span);
// The element type a C programmer means by `name` ("float" -> "f32"); NULL: not a C type.
const char *fe_c_type(const char *name);

// --- parse_act.c --------------------------------------------------------------------------------
fe_list fe_append(fe_parser *ps, fe_list list, const void *item, size_t size);

ast_expr *fe_make_int(fe_parser *ps, tl_span span);
ast_expr *fe_make_float(fe_parser *ps, tl_span span);
ast_expr *fe_make_string(fe_parser *ps, tl_span span);

ast_expr *fe_make_ident(fe_parser *ps, ast_name name);
ast_expr *fe_make_bool(fe_parser *ps, tl_span span, bool value);
ast_expr *fe_make_dtype(fe_parser *ps, tl_span span, tl_dtype dtype);
ast_expr *fe_join_strings(fe_parser *ps, tl_span span, ast_expr *head, ast_expr *tail);
ast_expr *fe_make_unary(fe_parser *ps, tl_span span, ast_op op, ast_expr *operand);
ast_expr *fe_make_binary(fe_parser *ps, tl_span span, ast_op op, tl_span op_span, ast_expr *left,
                         ast_expr *right);
ast_expr *fe_make_ternary(fe_parser *ps, tl_span span, ast_expr *cond, ast_expr *then,
                          ast_expr *other);
ast_expr *fe_make_call(fe_parser *ps, tl_span span, ast_expr *callee, fe_list args);
ast_expr *fe_make_index(fe_parser *ps, tl_span span, ast_expr *base, fe_list subs);
ast_expr *fe_make_member(fe_parser *ps, tl_span span, ast_expr *base, ast_name name);
ast_expr *fe_make_parens(fe_parser *ps, tl_span span, fe_list exprs);
ast_expr *fe_make_fn(fe_parser *ps, tl_span span, fe_list params, ast_block *body,
                     uint32_t outer_depth);

ast_type *fe_make_type(fe_parser *ps, tl_span span, ast_type_kind kind, tl_dtype dtype,
                       const char *name, ast_type *target);
ast_type *fe_make_c_pointer(fe_parser *ps, tl_span span, ast_type *target);
ast_type *fe_make_c_type(fe_parser *ps, tl_span span, const char *name);

ast_block *fe_make_block(fe_parser *ps, tl_span span, fe_list stmts);
ast_stmt *fe_make_stmt(fe_parser *ps, tl_span span, ast_stmt_kind kind);
ast_stmt *fe_make_assign(fe_parser *ps, tl_span span, ast_expr *place, ast_op op, ast_expr *value);
ast_stmt *fe_make_call_stmt(fe_parser *ps, tl_span span, ast_expr *expr);
ast_item *fe_make_item(fe_parser *ps, tl_span span, ast_item_kind kind);
#endif
