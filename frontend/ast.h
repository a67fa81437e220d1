// The syntax tree of one .tile file: what the grammar saw, before any name or type is resolved.
//
// Conventions: every node lives in the arena given to fe_parse and is never NULL where a comment
// does not say so; lists are pointer + count (pointer may be NULL when the count is 0); `span`
// covers the whole node without the parentheses around it, ast_name.span just the word. Strings are
// NUL-terminated and not interned: compare with strcmp. Error recovery drops statements and items
// but never leaves a half-built node, so a consumer of a tree with errors needs no extra checks.
#ifndef FRONTEND_AST_H
#define FRONTEND_AST_H
#include "lang/base/arena.h"
#include "lang/base/source.h"
#include "lang/base/str.h"
#include "lang/dtype.h"

typedef struct ast_expr ast_expr;
typedef struct ast_stmt ast_stmt;
typedef struct ast_block ast_block;

typedef struct ast_name {
  const char *text;
  tl_span span;
} ast_name;

typedef struct ast_exprs {
  ast_expr **data;
  uint32_t len;
} ast_exprs;

typedef struct ast_names {
  ast_name *data;
  uint32_t len;
} ast_names;

// --- types --------------------------------------------------------------------------------------
typedef enum ast_type_kind {
  AST_TYPE_DTYPE, // f32, bf16, ...
  AST_TYPE_NAME,  // a struct, or a dtype generic such as OT
  AST_TYPE_PTR    // ptr[T]
} ast_type_kind;

// Element type only; dims are written behind the declared name and kept there.
typedef struct ast_type {
  tl_span span;
  ast_type_kind kind;
  tl_dtype dtype;          // AST_TYPE_DTYPE
  const char *name;        // AST_TYPE_NAME
  struct ast_type *target; // AST_TYPE_PTR
} ast_type;

// `[d0, d1 ; s0, s1]`. Absent brackets: no dims and no strides (a scalar).
typedef struct ast_dims {
  tl_span span; // brackets included; the place behind the name when absent
  ast_exprs dims;
  ast_exprs strides; // len 0: not written
} ast_dims;

// --- expressions --------------------------------------------------------------------------------
typedef enum ast_expr_kind {
  AST_IDENT,
  AST_INT,
  AST_FLOAT,
  AST_STRING,
  AST_BOOL,
  AST_DTYPE, // only as a callee, an argument or a generic's default; in a subscript: AST_SUB_DTYPE
  AST_UNARY,
  AST_BINARY,
  AST_TERNARY,
  AST_CALL,   // f(x), f32(x), view[f32](x): the callee of the last is an AST_INDEX
  AST_INDEX,  // base[subs]: subscript or generic arguments, told apart by what base names
  AST_MEMBER, // base.name
  AST_TUPLE,  // (a, b): at least two; (a) is a itself with `parens` set
  AST_FN      // fn (a, b) { return ...; }
} ast_expr_kind;

typedef enum ast_op {
  AST_OP_NONE, // assignment without an operator
#define AST_OP(id, text, prec) AST_OP_##id,
// Binary operators in C's precedence, higher binds tighter; all left-associative.
#define AST_BINARY_OPS                                                                             \
  AST_OP(OROR, "||", 1)                                                                            \
  AST_OP(ANDAND, "&&", 2)                                                                          \
  AST_OP(OR, "|", 3)                                                                               \
  AST_OP(XOR, "^", 4)                                                                              \
  AST_OP(AND, "&", 5)                                                                              \
  AST_OP(EQ, "==", 6)                                                                              \
  AST_OP(NE, "!=", 6)                                                                              \
  AST_OP(LT, "<", 7)                                                                               \
  AST_OP(GT, ">", 7)                                                                               \
  AST_OP(LE, "<=", 7)                                                                              \
  AST_OP(GE, ">=", 7)                                                                              \
  AST_OP(SHL, "<<", 8)                                                                             \
  AST_OP(SHR, ">>", 8)                                                                             \
  AST_OP(ADD, "+", 9)                                                                              \
  AST_OP(SUB, "-", 9)                                                                              \
  AST_OP(MUL, "*", 10)                                                                             \
  AST_OP(DIV, "/", 10)                                                                             \
  AST_OP(MOD, "%", 10)
  AST_BINARY_OPS
#define AST_UNARY_OPS                                                                              \
  AST_OP(NEG, "-", 11)                                                                             \
  AST_OP(NOT, "!", 11)                                                                             \
  AST_OP(INV, "~", 11)
      AST_UNARY_OPS
#undef AST_OP
          AST_OP_COUNT
} ast_op;

typedef enum ast_sub_kind {
  AST_SUB_EXPR, // value: scalar index, index tile, or generic argument
  AST_SUB_TILE, // value +: length
  AST_SUB_FULL, // :
  AST_SUB_NONE, // none: a new axis
  AST_SUB_DTYPE // generic argument
} ast_sub_kind;

typedef struct ast_sub {
  tl_span span;
  ast_sub_kind kind;
  ast_expr *value;  // EXPR, TILE
  ast_expr *length; // TILE
  tl_dtype dtype;   // DTYPE
} ast_sub;

typedef struct ast_arg {
  tl_span span;
  ast_name name;   // text NULL: positional
  ast_expr *value; // may be AST_DTYPE
} ast_arg;

typedef struct ast_args {
  ast_arg *data;
  uint32_t len;
} ast_args;

struct ast_expr {
  tl_span span;
  ast_expr_kind kind;
  uint32_t depth; // 1 for a leaf; the parser bounds it, so recursion over the tree is safe
  bool parens;    // written in parentheses
  union {
    const char *ident;
    struct {
      int64_t value;        // hexadecimal and binary literals may use all 64 bits
      const char *spelling; // as written
    } integer;
    struct {
      double value;
      const char *spelling;
    } floating;
    struct {
      const char *text; // escapes resolved, adjacent literals joined, NUL-terminated
      uint32_t len;
      const char *spelling; // quotes and escapes as written
    } string;
    bool boolean;
    tl_dtype dtype;
    struct {
      ast_op op; // NEG, NOT, INV
      ast_expr *operand;
    } unary;
    struct {
      ast_op op;
      tl_span op_span;
      ast_expr *left, *right;
    } binary;
    struct {
      ast_expr *cond, *then, *other;
    } ternary;
    struct {
      ast_expr *callee; // IDENT, DTYPE, INDEX or MEMBER in valid programs; sema checks
      ast_args args;
    } call;
    struct {
      ast_expr *base;
      ast_sub *subs;
      uint32_t nsubs; // at least 1
    } index;
    struct {
      ast_expr *base;
      ast_name name;
    } member;
    ast_exprs tuple;
    struct {
      ast_names params;
      ast_block *body;
    } fn;
  };
};

// --- statements ---------------------------------------------------------------------------------
// @name or @name(args), before a statement, role, kernel or fn, or behind a parameter.
typedef struct ast_attr {
  tl_span span;
  ast_name name;
  bool parens; // the argument list was written, even if empty
  ast_args args;
} ast_attr;

typedef struct ast_attrs {
  ast_attr *data;
  uint32_t len;
} ast_attrs;

struct ast_block {
  tl_span span; // braces included
  ast_stmt **data;
  uint32_t len;
};

// A field of a struct or of a channel.
typedef struct ast_field {
  tl_span span;
  ast_type *type;
  ast_name name;
  ast_dims dims;
} ast_field;

typedef struct ast_fields {
  ast_field *data;
  uint32_t len;
} ast_fields;

typedef struct ast_role {
  tl_span span;
  ast_attrs attrs;
  ast_name name;
  ast_block *body;
} ast_role;

typedef enum ast_stmt_kind {
  AST_LET,     // let a = e;  let (a, b) = e;
  AST_VAR,     // var a = e;
  AST_DECL,    // f32 acc[M, N] = 0;
  AST_ASSIGN,  // place op= e;
  AST_EXPR,    // a call for its effect
  AST_FOR,     // for (i in lo .. hi step s)
  AST_FOREACH, // foreach (i, j in domain)
  AST_WHILE,
  AST_IF,
  AST_RETURN,
  AST_BREAK,
  AST_CONTINUE,
  AST_CHANNEL, // channel ab[STAGES] { fields }
  AST_ROLES,
  AST_PUT,
  AST_GET,
  AST_BLOCK,
  AST_EMPTY // ;
} ast_stmt_kind;

struct ast_stmt {
  tl_span span; // attributes included
  ast_stmt_kind kind;
  ast_attrs attrs;
  union {
    struct {
      ast_names names; // written as a tuple when `tuple`, even with one name
      bool tuple;
      ast_expr *value;
    } let; // LET, VAR
    struct {
      ast_type *type;
      ast_name name;
      ast_dims dims;
      ast_expr *value; // NULL: not initialised
    } decl;
    struct {
      ast_expr *place; // IDENT, INDEX or MEMBER
      ast_op op;       // NONE for '='
      ast_expr *value;
    } assign;
    ast_expr *expr; // EXPR: always an AST_CALL
    struct {
      ast_name var;
      ast_expr *lo, *hi;
      ast_expr *step; // NULL: 1
      ast_block *body;
    } loop; // FOR
    struct {
      ast_names vars;
      ast_expr *domain;
      ast_block *body;
    } foreach;
    struct {
      ast_expr *cond;
      ast_block *body;
    } loop_while;
    struct {
      ast_expr *cond;
      ast_block *then;
      ast_stmt *other; // NULL, an AST_BLOCK or (else if) another AST_IF
    } branch;
    ast_expr *result; // RETURN; NULL: plain return. Several results: an AST_TUPLE
    struct {
      ast_name name;
      ast_expr *stages;
      ast_fields fields;
    } channel;
    struct {
      ast_role *data;
      uint32_t len;
    } roles;
    struct {
      ast_name channel;
      ast_block *body;
    } access;         // PUT, GET
    ast_block *block; // BLOCK
  };
};

// --- declarations -------------------------------------------------------------------------------
typedef enum ast_dir { AST_DIR_NONE, AST_DIR_IN, AST_DIR_OUT, AST_DIR_INOUT } ast_dir;

typedef struct ast_param {
  tl_span span;
  ast_dir dir;
  ast_type *type;
  ast_name name;
  ast_dims dims; // shape ; strides
  ast_attrs attrs;
} ast_param;

typedef enum ast_gkind { AST_GENERIC_INT, AST_GENERIC_BOOL, AST_GENERIC_DTYPE } ast_gkind;

// Compile-time parameter, in square brackets behind the name of a kernel or fn.
typedef struct ast_gparam {
  tl_span span;
  ast_gkind kind;
  ast_name name;
  ast_expr *value; // default; NULL: none. May be AST_DTYPE
} ast_gparam;

typedef struct ast_gparams {
  ast_gparam *data;
  uint32_t len;
} ast_gparams;

typedef struct ast_params {
  ast_param *data;
  uint32_t len;
} ast_params;

// One axis of the tune space: `name in { values };` or `name in lo .. hi step s;` (hi included).
typedef struct ast_tune {
  tl_span span;
  ast_name name;
  bool is_range;
  ast_exprs values;  // !is_range
  ast_expr *lo, *hi; // is_range
  ast_expr *step;    // is_range; NULL: 1
} ast_tune;

typedef enum ast_clause_kind {
  AST_CLAUSE_GRID,
  AST_CLAUSE_KEY,
  AST_CLAUSE_REQUIRE,
  AST_CLAUSE_TUNE
} ast_clause_kind;

typedef struct ast_clause {
  tl_span span;
  ast_clause_kind kind;
  ast_args args;   // GRID, KEY; TUNE: the architectures, none: all others
  ast_expr *cond;  // REQUIRE
  ast_tune *tunes; // TUNE
  uint32_t ntunes;
} ast_clause;

typedef struct ast_result {
  tl_span span;
  ast_type *type;
  ast_dims dims;
} ast_result;

typedef struct ast_fn {
  ast_name name;
  ast_attrs attrs;
  ast_gparams generics;
  ast_params params;
  ast_result *results;
  uint32_t nresults; // 0: returns nothing
  bool tuple_result; // results were written in parentheses
  ast_block *body;
} ast_fn;

typedef struct ast_kernel {
  ast_name name;
  ast_attrs attrs;
  ast_gparams generics;
  ast_params params;
  ast_clause *clauses; // in source order, kinds may repeat
  uint32_t nclauses;
  ast_block *body;
} ast_kernel;

typedef struct ast_const {
  ast_type *type;
  ast_name name;
  ast_expr *value;
} ast_const;

typedef struct ast_struct {
  ast_name name;
  ast_fields fields;
} ast_struct;

typedef struct ast_import {
  const char *path; // between the quotes, as written
  tl_span path_span;
  const char *spelling;
} ast_import;

typedef enum ast_item_kind {
  AST_ITEM_IMPORT,
  AST_ITEM_CONST,
  AST_ITEM_STRUCT,
  AST_ITEM_FN,
  AST_ITEM_KERNEL
} ast_item_kind;

typedef struct ast_item {
  tl_span span;
  ast_item_kind kind;
  union {
    ast_import import;
    ast_const constant;
    ast_struct record;
    ast_fn fn;
    ast_kernel kernel;
  };
} ast_item;

typedef struct ast_module {
  tl_span span;
  ast_item **items; // in source order
  uint32_t nitems;
} ast_module;

const char *ast_op_text(ast_op op); // "+"; "" for AST_OP_NONE
int ast_op_precedence(ast_op op);   // 1 ... 11
// Prints as source text that parses back to the same tree; comments are not kept.
void ast_print(tl_buf *out, const ast_module *module);
void ast_print_expr(tl_buf *out, const ast_expr *expr); // one line unless it holds a fn
#endif
