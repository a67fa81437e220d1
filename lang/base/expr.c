// Evaluates the integer expressions of an artifact: recursive descent, no allocation.
//
// Both operands of && || and ?: are read, only the chosen one is evaluated: "N != 0 && K / N > 2"
// is safe. Overflow is an error like division by zero, since a wrapped size would pass a check.
#include "lang/base/expr.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 200 };

typedef struct reader {
  const char *start, *at;
  tl_expr_lookup lookup;
  void *user;
  char *error;
  size_t error_size;
  bool failed;
  int dead;  // > 0: inside an operand that is not chosen, names and errors do not count
  int depth; // of parentheses and unary operators
} reader;

static int64_t read_ternary(reader *rd);

__attribute__((format(printf, 2, 3))) static int64_t fail(reader *rd, const char *fmt, ...) {
  if (!rd->failed && rd->error_size) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(rd->error, rd->error_size, fmt, args);
    va_end(args);
  }
  rd->failed = true;
  return 0;
}

static void skip_space(reader *rd) {
  while (*rd->at == ' ' || *rd->at == '\t' || *rd->at == '\n')
    rd->at++;
}

static bool accept(reader *rd, const char *token) {
  skip_space(rd);
  if (*rd->at != *token) // nearly always: selection evaluates expressions by the million
    return false;
  size_t len = strlen(token);
  if (strncmp(rd->at, token, len) != 0)
    return false;
  rd->at += len;
  return true;
}

static bool expect(reader *rd, const char *token) {
  if (accept(rd, token))
    return true;
  fail(rd, "expected '%s' at column %d of '%s'", token, (int)(rd->at - rd->start) + 1, rd->start);
  return false;
}

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

// --- arithmetic ---------------------------------------------------------------------------------

static int64_t overflow(reader *rd, char op) {
  return rd->dead ? 0 : fail(rd, "overflow in '%c' of '%s'", op, rd->start);
}

static int64_t divide(reader *rd, char op, int64_t a, int64_t b) {
  if (rd->dead)
    return 0;
  if (b == 0)
    return fail(rd, "division by zero in '%s'", rd->start);
  if (a == INT64_MIN && b == -1)
    return overflow(rd, op);
  return op == '/' ? a / b : a % b;
}

static int64_t arith(reader *rd, char op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
  case '+':
    return __builtin_add_overflow(a, b, &r) ? overflow(rd, op) : r;
  case '-':
    return __builtin_sub_overflow(a, b, &r) ? overflow(rd, op) : r;
  case '*':
    return __builtin_mul_overflow(a, b, &r) ? overflow(rd, op) : r;
  default:
    return divide(rd, op, a, b);
  }
}

static int64_t ceil_divide(reader *rd, int64_t a, int64_t b) {
  if (rd->dead)
    return 0;
  if (b <= 0)
    return fail(rd, "ceildiv by %lld in '%s'", (long long)b, rd->start);
  return a > 0 ? (a - 1) / b + 1 : a / b;
}

// --- grammar ------------------------------------------------------------------------------------

static int64_t read_number(reader *rd) {
  int64_t value = 0;
  for (; *rd->at >= '0' && *rd->at <= '9'; rd->at++)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, *rd->at - '0', &value))
      return fail(rd, "number too large in '%s'", rd->start);
  if (is_word(*rd->at))
    return fail(rd, "malformed number in '%s'", rd->start);
  return value;
}

static bool word_is(const char *word, size_t len, const char *name) {
  return len == strlen(name) && memcmp(word, name, len) == 0;
}

static int64_t read_call(reader *rd, const char *word, size_t len) {
  int64_t a = read_ternary(rd);
  expect(rd, ",");
  int64_t b = read_ternary(rd);
  expect(rd, ")");
  if (word_is(word, len, "ceildiv"))
    return ceil_divide(rd, a, b);
  if (word_is(word, len, "min"))
    return a < b ? a : b;
  if (word_is(word, len, "max"))
    return a > b ? a : b;
  return fail(rd, "unknown function '%.*s'", (int)len, word);
}

static int64_t read_name(reader *rd) {
  const char *word = rd->at;
  while (is_word(*rd->at))
    rd->at++;
  size_t len = (size_t)(rd->at - word);
  if (accept(rd, "("))
    return read_call(rd, word, len);
  int64_t value = 0;
  if (!rd->lookup || !rd->lookup(rd->user, word, len, &value))
    return fail(rd, "unknown name '%.*s'", (int)len, word);
  return value;
}

static int64_t read_unary(reader *rd) {
  if (rd->failed || rd->depth >= MAX_DEPTH)
    return fail(rd, "expression nests too deeply");
  rd->depth++;
  int64_t value = 0;
  skip_space(rd);
  if (rd->at[0] == '!' && rd->at[1] != '=') {
    rd->at++;
    value = !read_unary(rd);
  } else if (accept(rd, "-")) {
    value = arith(rd, '-', 0, read_unary(rd));
  } else if (accept(rd, "(")) {
    value = read_ternary(rd);
    expect(rd, ")");
  } else if (*rd->at >= '0' && *rd->at <= '9') {
    value = read_number(rd);
  } else if (is_word(*rd->at)) {
    value = read_name(rd);
  } else {
    fail(rd, "expected a value at column %d of '%s'", (int)(rd->at - rd->start) + 1, rd->start);
  }
  rd->depth--;
  return value;
}

static int64_t read_product(reader *rd) {
  int64_t value = read_unary(rd);
  while (!rd->failed) {
    skip_space(rd);
    char op = *rd->at;
    if (op != '*' && op != '/' && op != '%')
      break;
    rd->at++;
    value = arith(rd, op, value, read_unary(rd));
  }
  return value;
}

static int64_t read_sum(reader *rd) {
  int64_t value = read_product(rd);
  while (!rd->failed) {
    skip_space(rd);
    char op = *rd->at;
    if (op != '+' && op != '-')
      break;
    rd->at++;
    value = arith(rd, op, value, read_product(rd));
  }
  return value;
}

static int64_t read_order(reader *rd) {
  int64_t value = read_sum(rd);
  while (!rd->failed) {
    if (accept(rd, "<="))
      value = value <= read_sum(rd);
    else if (accept(rd, ">="))
      value = value >= read_sum(rd);
    else if (accept(rd, "<"))
      value = value < read_sum(rd);
    else if (accept(rd, ">"))
      value = value > read_sum(rd);
    else
      break;
  }
  return value;
}

static int64_t read_equality(reader *rd) {
  int64_t value = read_order(rd);
  while (!rd->failed) {
    if (accept(rd, "=="))
      value = value == read_order(rd);
    else if (accept(rd, "!="))
      value = value != read_order(rd);
    else
      break;
  }
  return value;
}

static int64_t read_and(reader *rd) {
  int64_t value = read_equality(rd);
  while (!rd->failed && accept(rd, "&&")) {
    bool dead = !value;
    rd->dead += dead;
    int64_t right = read_equality(rd);
    rd->dead -= dead;
    value = value && right;
  }
  return value;
}

static int64_t read_or(reader *rd) {
  int64_t value = read_and(rd);
  while (!rd->failed && accept(rd, "||")) {
    bool dead = value != 0;
    rd->dead += dead;
    int64_t right = read_and(rd);
    rd->dead -= dead;
    value = value || right;
  }
  return value;
}

static int64_t read_ternary(reader *rd) {
  if (++rd->depth > MAX_DEPTH)
    return fail(rd, "expression nests too deeply");
  int64_t value = read_or(rd);
  if (!rd->failed && accept(rd, "?")) {
    bool cond = value != 0;
    rd->dead += !cond;
    int64_t then = read_ternary(rd);
    rd->dead -= !cond;
    expect(rd, ":");
    rd->dead += cond;
    int64_t other = read_ternary(rd);
    rd->dead -= cond;
    value = cond ? then : other;
  }
  rd->depth--;
  return value;
}

bool tl_expr_eval(const char *text, tl_expr_lookup lookup, void *user, int64_t *out_value,
                  char *error, size_t error_size) {
  reader rd = {.start = text,
               .at = text,
               .lookup = lookup,
               .user = user,
               .error = error,
               .error_size = error_size};
  if (error_size)
    error[0] = 0;
  int64_t value = read_ternary(&rd);
  skip_space(&rd);
  if (!rd.failed && *rd.at)
    fail(&rd, "unexpected '%c' at column %d of '%s'", *rd.at, (int)(rd.at - text) + 1, text);
  if (!rd.failed)
    *out_value = value;
  return !rd.failed;
}
