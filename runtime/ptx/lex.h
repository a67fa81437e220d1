// Tokens of PTX text. Internal to runtime/ptx.
#ifndef RUNTIME_PTX_LEX_H
#define RUNTIME_PTX_LEX_H
#include "runtime/ptx/ptx.h"

typedef enum ptx_token_kind {
  TOK_EOF,
  TOK_IDENT,    // names, %registers, $labels
  TOK_DOT_WORD, // .reg, .b32, .L2::cache_hint (text without the dot)
  TOK_INT,      // bits
  TOK_F32,      // bits
  TOK_F64,      // bits
  TOK_STRING,   // text without quotes, escapes kept
  TOK_PUNCT,    // one character in punct
  TOK_BAD
} ptx_token_kind;

typedef struct ptx_token {
  ptx_token_kind kind;
  char punct;
  const char *at; // in the source
  size_t len;
  uint64_t bits;
  int line, col;
} ptx_token;

typedef struct ptx_lexer {
  const char *at, *end, *line_start;
  int line;
  const char *bad; // what is wrong with a TOK_BAD
} ptx_lexer;

void ptx_lex_start(ptx_lexer *lexer, const char *text, size_t len);
ptx_token ptx_lex(ptx_lexer *lexer);
// Reads "ld.global.v2::x" at an identifier already lexed: returns the end of the whole opcode.
const char *ptx_lex_opcode(ptx_lexer *lexer, const ptx_token *first);
bool ptx_token_is(const ptx_token *token, const char *word); // identifier or dot word
#endif
