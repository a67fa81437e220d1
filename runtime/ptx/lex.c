// Lexer: hand-written because an opcode with its modifiers is one unit for the rows of ptx_ops.def.
#include "runtime/ptx/lex.h"
#include <stdlib.h>

static bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c) { return is_alpha(c) || c == '_' || c == '$' || c == '%'; }
static bool is_name(char c) { return is_alpha(c) || is_digit(c) || c == '_' || c == '$'; }
static char peek(const ptx_lexer *lx, size_t ahead) {
  return lx->at + ahead < lx->end ? lx->at[ahead] : 0;
}

void ptx_lex_start(ptx_lexer *lexer, const char *text, size_t len) {
  *lexer = (ptx_lexer){.at = text, .end = text + len, .line_start = text, .line = 1};
}

static bool skip_blank(ptx_lexer *lx) { // false: a comment does not end
  while (lx->at < lx->end) {
    char c = *lx->at;
    if (c == '\n') {
      lx->at++;
      lx->line++;
      lx->line_start = lx->at;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\0') {
      lx->at++;
    } else if (c == '/' && peek(lx, 1) == '/') {
      while (lx->at < lx->end && *lx->at != '\n')
        lx->at++;
    } else if (c == '/' && peek(lx, 1) == '*') {
      lx->at += 2;
      while (lx->at < lx->end && !(*lx->at == '*' && peek(lx, 1) == '/')) {
        if (*lx->at == '\n')
          lx->line++, lx->line_start = lx->at + 1;
        lx->at++;
      }
      if (lx->at >= lx->end)
        return false;
      lx->at += 2;
    } else {
      break;
    }
  }
  return true;
}

static int digit_value(char c) {
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return 99;
}

static ptx_token bad(ptx_lexer *lx, ptx_token token, const char *why) {
  token.kind = TOK_BAD;
  lx->bad = why;
  return token;
}

// Digits in `base` from lx->at; false when there are none or they overflow 64 bits.
static bool read_digits(ptx_lexer *lx, int base, uint64_t *out) {
  const char *start = lx->at;
  uint64_t value = 0;
  bool fits = true;
  for (; digit_value(peek(lx, 0)) < base; lx->at++) {
    unsigned __int128 wide =
        (unsigned __int128)value * (unsigned)base + (unsigned)digit_value(*lx->at);
    if (wide >> 64)
      fits = false;
    value = (uint64_t)wide;
  }
  *out = value;
  return fits && lx->at > start;
}

static ptx_token read_hex_float(ptx_lexer *lx, ptx_token token, int digits) {
  lx->at += 2;
  const char *start = lx->at;
  if (!read_digits(lx, 16, &token.bits) || lx->at - start != digits)
    return bad(lx, token,
               digits == 8 ? "0f needs 8 hexadecimal digits" : "0d needs 16 hexadecimal digits");
  token.kind = digits == 8 ? TOK_F32 : TOK_F64;
  token.len = (size_t)(lx->at - token.at);
  return token;
}

static bool looks_decimal_float(const ptx_lexer *lx) {
  const char *p = lx->at;
  while (p < lx->end && is_digit(*p))
    p++;
  if (p < lx->end && *p == '.' && p + 1 < lx->end && is_digit(p[1]))
    return true;
  if (p < lx->end && *p == '.' && (p + 1 >= lx->end || !is_name_start(p[1])))
    return true;
  return p < lx->end && (*p == 'e' || *p == 'E') && p + 1 < lx->end &&
         (is_digit(p[1]) || p[1] == '-' || p[1] == '+');
}

static ptx_token read_number(ptx_lexer *lx, ptx_token token) {
  char second = peek(lx, 1);
  bool ok;
  if (*lx->at == '0' && (second == 'f' || second == 'F'))
    return read_hex_float(lx, token, 8);
  if (*lx->at == '0' && (second == 'd' || second == 'D'))
    return read_hex_float(lx, token, 16);
  token.kind = TOK_INT;
  if (*lx->at == '0' && (second == 'x' || second == 'X')) {
    lx->at += 2;
    ok = read_digits(lx, 16, &token.bits);
  } else if (*lx->at == '0' && (second == 'b' || second == 'B')) {
    lx->at += 2;
    ok = read_digits(lx, 2, &token.bits);
  } else if (looks_decimal_float(lx)) {
    char copy[64];
    size_t n = 0;
    while (n < sizeof copy - 1 && (is_digit(peek(lx, n)) || peek(lx, n) == '.' ||
                                   peek(lx, n) == 'e' || peek(lx, n) == 'E' ||
                                   ((peek(lx, n) == '-' || peek(lx, n) == '+') && n &&
                                    (copy[n - 1] == 'e' || copy[n - 1] == 'E')))) {
      copy[n] = lx->at[n];
      n++;
    }
    copy[n] = 0;
    char *end;
    double value = strtod(copy, &end);
    ok = *end == 0;
    memcpy(&token.bits, &value, 8);
    token.kind = TOK_F64;
    lx->at += n;
  } else if (*lx->at == '0' && is_digit(second)) {
    ok = read_digits(lx, 8, &token.bits);
  } else {
    ok = read_digits(lx, 10, &token.bits);
  }
  if (ok && token.kind == TOK_INT && peek(lx, 0) == 'U')
    lx->at++;
  token.len = (size_t)(lx->at - token.at);
  if (!ok || is_name(peek(lx, 0)))
    return bad(lx, token, "malformed number");
  return token;
}

static const char *dot_word_end(const char *p, const char *end) {
  while (p < end && (is_name(*p) || (*p == ':' && p + 1 < end && p[1] == ':')))
    p += *p == ':' ? 2 : 1;
  return p;
}

ptx_token ptx_lex(ptx_lexer *lx) {
  bool blank_ok = skip_blank(lx);
  ptx_token token = {.at = lx->at, .line = lx->line, .col = (int)(lx->at - lx->line_start) + 1};
  if (!blank_ok)
    return bad(lx, token, "comment does not end");
  if (lx->at >= lx->end)
    return token;
  char c = *lx->at;
  if (is_name_start(c)) {
    token.kind = TOK_IDENT;
    lx->at++;
    while (is_name(peek(lx, 0)))
      lx->at++;
  } else if (c == '.' && is_name(peek(lx, 1))) {
    token.kind = TOK_DOT_WORD;
    token.at = ++lx->at;
    lx->at = dot_word_end(lx->at, lx->end);
  } else if (is_digit(c)) {
    return read_number(lx, token);
  } else if (c == '"') {
    token.kind = TOK_STRING;
    token.at = ++lx->at;
    while (lx->at < lx->end && *lx->at != '"' && *lx->at != '\n')
      lx->at += *lx->at == '\\' ? 2 : 1;
    if (lx->at >= lx->end || *lx->at != '"')
      return bad(lx, token, "string does not end");
    token.len = (size_t)(lx->at - token.at);
    lx->at++;
    return token;
  } else {
    token.kind = TOK_PUNCT;
    token.punct = c;
    lx->at++;
  }
  token.len = (size_t)(lx->at - token.at);
  return token;
}

const char *ptx_lex_opcode(ptx_lexer *lx, const ptx_token *first) {
  const char *p = first->at + first->len;
  while (p < lx->end && *p == '.')
    p = dot_word_end(p + 1, lx->end);
  lx->at = p;
  return p;
}

bool ptx_token_is(const ptx_token *token, const char *word) {
  return (token->kind == TOK_IDENT || token->kind == TOK_DOT_WORD) && strlen(word) == token->len &&
         memcmp(token->at, word, token->len) == 0;
}
