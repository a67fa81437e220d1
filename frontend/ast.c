// Facts about operators, from the table in ast.h.
#include "frontend/ast.h"

static const struct {
  const char *text;
  int precedence;
} ops[AST_OP_COUNT] = {[AST_OP_NONE] = {"", 0},
#define AST_OP(id, text, prec) [AST_OP_##id] = {text, prec},
                       AST_BINARY_OPS AST_UNARY_OPS
#undef AST_OP
};

const char *ast_op_text(ast_op op) { return ops[op].text; }

int ast_op_precedence(ast_op op) { return ops[op].precedence; }
