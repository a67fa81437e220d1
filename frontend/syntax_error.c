// The message for a token that cannot stand where it is: first the slips a C programmer makes, each
// with its own id and fix-it, then "expected A, B or C, found X" with the expected set collapsed to
// groups.
#include "frontend/parse_act.h"
#include <ctype.h>
#include <stdio.h>

typedef enum token_group {
  GROUP_NONE,
  GROUP_ITEM,
  GROUP_CLAUSE,
  GROUP_STMT,
  GROUP_EXPR,
  GROUP_TYPE,
  GROUP_OP,
  GROUP_ASSIGN,
  GROUP_HIDDEN
} token_group;

static const unsigned char groups[FE_TOK_COUNT] = {
#define TOKEN(id, spelling, cls, group) [FE_##id] = GROUP_##group,
#include "lang/tokens.def"
#undef TOKEN
};

// One syntax error being explained.
typedef struct slip {
  fe_parser *ps;
  const bool *expected;
  const fe_token *found;  // history[0]
  const fe_token *before; // history[1]
} slip;

static tl_span end_of(tl_span span) { return (tl_span){span.hi, span.hi, span.file}; }

static fe_tok back(const slip *s, int n) { return s->ps->history[n].kind; }

static const fe_open *innermost(const fe_parser *ps) {
  return ps->open.len ? &tl_last(&ps->open) : NULL;
}

static bool ends_statement(const slip *s) {
  return s->found->first_on_line || s->found->kind == FE_SEMI || s->found->kind == FE_RBRACE ||
         s->found->kind == FE_EOF || groups[s->found->kind] == GROUP_STMT;
}

static const char *found_text(const slip *s) {
  const fe_token *token = s->found;
  if (token->kind == FE_EOF)
    return "end of file";
  if (token->synthetic)
    return tl_sprintf(s->ps->arena, "'%s'", fe_tok_spelling(token->kind));
  uint32_t len = token->span.hi - token->span.lo;
  return tl_sprintf(s->ps->arena, "'%.*s%s'", (int)(len > 40 ? 40 : len),
                    s->ps->text + token->span.lo, len > 40 ? "..." : "");
}

// --- C's types ----------------------------------------------------------------------------------
static const char *const c_types[][2] = {
    {"int", "i32"},      {"bool", "i1"},     {"float", "f32"},     {"double", "f64"},
    {"half", "f16"},     {"__half", "f16"},  {"bfloat16", "bf16"}, {"__nv_bfloat16", "bf16"},
    {"float16", "f16"},  {"float32", "f32"}, {"float64", "f64"},   {"char", "i8"},
    {"short", "i16"},    {"long", "i64"},    {"signed", "i32"},    {"unsigned", "u32"},
    {"size_t", "u64"},   {"int8_t", "i8"},   {"int16_t", "i16"},   {"int32_t", "i32"},
    {"int64_t", "i64"},  {"uint8_t", "u8"},  {"uint16_t", "u16"},  {"uint32_t", "u32"},
    {"uint64_t", "u64"}, {"int8", "i8"},     {"int16", "i16"},     {"int32", "i32"},
    {"int64", "i64"},    {"uint8", "u8"},    {"uint16", "u16"},    {"uint32", "u32"},
    {"uint64", "u64"},
};

const char *fe_c_type(const char *name) {
  for (size_t i = 0; i < sizeof c_types / sizeof *c_types; i++)
    if (!strcmp(name, c_types[i][0]))
      return c_types[i][1];
  return NULL;
}

static bool is_c_type(const fe_token *token) {
  if (token->kind == FE_INT || token->kind == FE_BOOL)
    return true;
  return token->kind == FE_IDENT && fe_c_type(token->text);
}

// `unsigned int x`, `long long x`: the first word was reported when it was read as a type.
static bool slip_c_type(const slip *s) {
  if (is_c_type(s->before) && is_c_type(&s->ps->history[2]))
    return true;
  if (!is_c_type(s->before) || !is_c_type(s->found) || s->before->kind != FE_IDENT)
    return false;
  tl_span span = {s->before->span.lo, s->found->span.hi, s->found->span.file};
  const char *meant = fe_c_type(s->before->text);
  fe_token both = {.span = span};
  tl_diag *diag = tl_report(s->ps->diags, span, DIAG_E0004, fe_token_text(s->ps, &both), meant);
  tl_fixit(s->ps->diags, diag, span, meant);
  return true;
}

// `let f32 x = ...`
static bool slip_typed_let(const slip *s) {
  bool is_let = s->before->kind == FE_LET || s->before->kind == FE_VAR;
  if (!is_let || (s->found->kind != FE_TYPENAME && s->found->kind != FE_PTR))
    return false;
  tl_diag *diag = tl_report(s->ps->diags, s->found->span, DIAG_E0001, "a name", found_text(s));
  tl_help(s->ps->diags, diag, "a declaration with a type has no '%s'",
          fe_tok_spelling(s->before->kind));
  tl_fixit(s->ps->diags, diag,
           (tl_span){s->before->span.lo, s->found->span.lo, s->found->span.file}, "");
  return true;
}

// Already reported by the lexer: a string that swallowed the rest of its line, a stray character.
static bool slip_of_lexer(const slip *s) { return s->found->broken || s->before->broken; }

// --- C's operators ------------------------------------------------------------------------------
static bool slip_increment(const slip *s) {
  if (s->found->kind != FE_INCR && s->found->kind != FE_DECR)
    return false;
  const char *text = s->found->kind == FE_INCR ? "++" : "--";
  const char *meant = s->found->kind == FE_INCR ? "+= 1" : "-= 1";
  tl_diag *diag = tl_report(s->ps->diags, s->found->span, DIAG_E0007, text, meant);
  bool postfix = s->before->kind == FE_IDENT || s->before->kind == FE_RBRACKET;
  if (postfix && s->expected[FE_ADDEQ])
    tl_fixit(s->ps->diags, diag, s->found->span, tl_sprintf(s->ps->arena, " %s", meant));
  return true;
}

static bool slip_arrow(const slip *s) {
  if (s->found->kind != FE_ARROW || !s->expected[FE_DOT])
    return false;
  tl_diag *diag = tl_report(s->ps->diags, s->found->span, DIAG_E0008);
  tl_fixit(s->ps->diags, diag, s->found->span, ".");
  return true;
}

static bool slip_strict_equal(const slip *s) {
  bool adjacent = s->before->span.hi == s->found->span.lo;
  bool equality = s->before->kind == FE_EQ || s->before->kind == FE_NE;
  if (s->found->kind != FE_ASSIGN || !equality || !adjacent)
    return false;
  bool eq = s->before->kind == FE_EQ;
  tl_span span = {s->before->span.lo, s->found->span.hi, s->found->span.file};
  tl_diag *diag = tl_report(s->ps->diags, span, DIAG_E0009, eq ? "===" : "!==", eq ? "==" : "!=");
  tl_fixit(s->ps->diags, diag, s->found->span, "");
  return true;
}

// --- C's for ------------------------------------------------------------------------------------
typedef struct slice {
  const char *at;
  size_t len;
} slice;

static slice trim(const char *at, const char *end) {
  while (at < end && isspace((unsigned char)*at))
    at++;
  while (end > at && isspace((unsigned char)end[-1]))
    end--;
  return (slice){at, (size_t)(end - at)};
}

static bool is_word_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

// "int i = LO; i < HI; i++" -> "i in LO .. HI"; NULL when the header is not of that form.
static const char *rewrite_c_for(const slip *s, const char *text, const char *end) {
  const char *first = memchr(text, ';', (size_t)(end - text));
  const char *second = first ? memchr(first + 1, ';', (size_t)(end - first - 1)) : NULL;
  const char *assign = first ? memchr(text, '=', (size_t)(first - text)) : NULL;
  if (!second || !assign)
    return NULL;
  slice lo = trim(assign + 1, first), cond = trim(first + 1, second), step = trim(second + 1, end);
  slice name = trim(text, assign);
  const char *word = name.at + name.len;
  while (word > name.at && is_word_char(word[-1]))
    word--;
  name = (slice){word, (size_t)(name.at + name.len - word)};
  if (!name.len || !lo.len || cond.len <= name.len || memcmp(cond.at, name.at, name.len))
    return NULL;
  slice bound = trim(cond.at + name.len, cond.at + cond.len);
  if (!bound.len || bound.at[0] != '<')
    return NULL;
  bool inclusive = bound.len > 1 && bound.at[1] == '=';
  slice hi = trim(bound.at + 1 + inclusive, bound.at + bound.len);
  const char *by = "";
  bool increment = step.len == name.len + 2 &&
                   (!memcmp(step.at, "++", 2) || !memcmp(step.at + step.len - 2, "++", 2));
  if (!increment) {
    const char *plus = step.len ? memchr(step.at, '+', step.len) : NULL;
    if (!plus || plus + 1 >= step.at + step.len || plus[1] != '=')
      return NULL;
    slice value = trim(plus + 2, step.at + step.len);
    if (!value.len)
      return NULL;
    by = tl_sprintf(s->ps->arena, " step %.*s", (int)value.len, value.at);
  }
  return tl_sprintf(s->ps->arena, "%.*s in %.*s .. %.*s%s%s", (int)name.len, name.at, (int)lo.len,
                    lo.at, (int)hi.len, hi.at, inclusive ? " + 1" : "", by);
}

static bool slip_c_for(const slip *s) {
  int paren = s->before->kind == FE_LPAREN ? 1 : 2;
  if (back(s, paren) != FE_LPAREN || back(s, paren + 1) != FE_FOR)
    return false;
  if (paren == 1 && s->found->kind != FE_TYPENAME && s->found->kind != FE_INT)
    return false;
  if (paren == 2 && s->found->kind != FE_IDENT && s->found->kind != FE_ASSIGN)
    return false;
  uint32_t lo = s->ps->history[paren].span.hi, hi = lo, depth = 0;
  for (; hi < s->ps->len; hi++) {
    char c = s->ps->text[hi];
    if (c == '(')
      depth++;
    if (c == '{' || c == '\n' || (c == ')' && !depth--))
      break;
  }
  tl_span header = {lo, hi, s->found->span.file};
  tl_diag *diag = tl_report(s->ps->diags, header, DIAG_E0005);
  const char *meant = rewrite_c_for(s, s->ps->text + lo, s->ps->text + hi);
  if (meant)
    tl_fixit(s->ps->diags, diag, header, meant);
  return true;
}

// --- <...> generics -----------------------------------------------------------------------------
// Offset of the '>' that closes the list opened at `lo`, when a list of words is all there is and
// '(' follows; 0 otherwise.
static uint32_t closing_angle(const fe_parser *ps, uint32_t lo, bool call) {
  uint32_t at = lo + 1;
  while (at < ps->len && (is_word_char(ps->text[at]) || strchr(" ,=[]", ps->text[at])))
    at++;
  if (at >= ps->len || ps->text[at] != '>')
    return 0;
  uint32_t next = at + 1;
  while (next < ps->len && ps->text[next] == ' ')
    next++;
  return !call || (next < ps->len && ps->text[next] == '(') ? at : 0;
}

static bool slip_angle_generics(const slip *s) {
  int open = -1; // where in the history the '<' is
  bool call = true;
  if (s->found->kind == FE_LT && s->expected[FE_LBRACKET]) {
    call = s->before->kind == FE_IDENT && back(s, 2) != FE_KERNEL && back(s, 2) != FE_FN;
    if (call && !closing_angle(s->ps, s->found->span.lo, true))
      return false;
    open = 0;
  } else if (back(s, 2) == FE_LT && s->before->kind == FE_TYPENAME) {
    open = 2; // cast<f32>(x)
  } else if (back(s, 1) == FE_LPAREN && back(s, 2) == FE_GT && back(s, 4) == FE_LT) {
    open = 4; // iota<N>()
  }
  if (open < 0)
    return false;
  tl_span angle = s->ps->history[open].span;
  uint32_t closing = closing_angle(s->ps, angle.lo, call);
  if (open && !closing)
    return false;
  tl_diag *diag = tl_report(s->ps->diags, angle, DIAG_E0006);
  if (!closing)
    return true;
  tl_fixit(s->ps->diags, diag, angle, "[");
  tl_fixit(s->ps->diags, diag, (tl_span){closing, closing + 1, angle.file}, "]");
  return true;
}

// --- missing ; ) ] } { --------------------------------------------------------------------------
static bool slip_brace_close(const slip *s) {
  bool ends = s->found->kind == FE_EOF || s->found->kind == FE_KERNEL ||
              s->found->kind == FE_STRUCT || s->found->kind == FE_IMPORT ||
              s->found->kind == FE_CONST;
  if (!ends || s->expected[s->found->kind])
    return false;
  for (uint32_t i = s->ps->open.len; i-- > 0;) {
    const fe_open *entry = &s->ps->open.data[i];
    if (entry->kind != FE_LBRACE)
      continue;
    tl_diag *diag = tl_report(s->ps->diags, s->found->span, DIAG_E0019, found_text(s));
    tl_note(s->ps->diags, diag, entry->span, "to match this '{'");
    return true;
  }
  return false;
}

static bool slip_semicolon(const slip *s) {
  const fe_open *top = innermost(s->ps);
  if (!s->expected[FE_SEMI] || !ends_statement(s) || (top && top->kind != FE_LBRACE))
    return false;
  if (s->expected[FE_LET])
    return false; // a new statement: ';' would be an empty one
  tl_span place = end_of(s->before->span);
  tl_diag *diag = tl_report(s->ps->diags, place, DIAG_E0002);
  tl_fixit(s->ps->diags, diag, place, ";");
  return true;
}

// Column of the first character on the line of `at`.
static uint32_t indent_of(const fe_parser *ps, uint32_t at) {
  uint32_t start = at, indent = 0;
  while (start > 0 && ps->text[start - 1] != '\n')
    start--;
  while (start + indent < at && isblank((unsigned char)ps->text[start + indent]))
    indent++;
  return indent;
}

static bool slip_bracket_close(const slip *s) {
  const fe_open *top = innermost(s->ps);
  if (!top || top->kind == FE_LBRACE)
    return false;
  bool round = top->kind == FE_LPAREN;
  if (!s->expected[round ? FE_RPAREN : FE_RBRACKET])
    return false;
  bool wrong_closer =
      s->found->kind == FE_LBRACE || s->found->kind == FE_RPAREN || s->found->kind == FE_RBRACKET;
  if (!wrong_closer && !ends_statement(s))
    return false;
  // An indented line goes on inside the bracket: what it misses is a comma or an operator.
  bool goes_on = s->found->first_on_line && s->found->kind != FE_SEMI && !wrong_closer &&
                 groups[s->found->kind] != GROUP_STMT && s->found->kind != FE_RBRACE &&
                 s->found->kind != FE_EOF &&
                 indent_of(s->ps, s->found->span.lo) > indent_of(s->ps, top->span.lo);
  if (goes_on)
    return false;
  tl_span place = end_of(s->before->span);
  tl_diag *diag = tl_report(s->ps->diags, place, DIAG_E0003, round ? ")" : "]");
  tl_note(s->ps->diags, diag, top->span, "to match this '%s'", round ? "(" : "[");
  tl_fixit(s->ps->diags, diag, place, round ? ")" : "]");
  return true;
}

static bool slip_body_braces(const slip *s) {
  if (!s->expected[FE_LBRACE] || s->expected[FE_LET] || s->found->kind == FE_EOF)
    return false;
  bool after_else = s->before->kind == FE_ELSE;
  if (s->before->kind != FE_RPAREN && !after_else)
    return false;
  for (int kind = 0; kind < FE_TOK_COUNT; kind++)
    if (s->expected[kind] && kind != FE_LBRACE && !(after_else && kind == FE_IF))
      return false;
  tl_report(s->ps->diags, s->found->span, DIAG_E0020, found_text(s));
  return true;
}

static bool slip_reserved_word(const slip *s) {
  fe_tok kind = s->found->kind;
  bool word = fe_tok_is_word(kind) || kind == FE_TYPENAME;
  if (!word || s->found->first_on_line || !s->expected[FE_IDENT])
    return false;
  if (kind == FE_CONST && s->expected[FE_PTR])
    return false; // a qualifier, not a name
  bool statement = groups[kind] == GROUP_STMT && kind != FE_CHANNEL && kind != FE_PUT &&
                   kind != FE_GET && kind != FE_ROLES;
  if (s->expected[FE_INTLIT] && (statement || groups[kind] == GROUP_ITEM || kind == FE_ELSE ||
                                 kind == FE_NONE || kind == FE_TYPENAME))
    return false;
  tl_report(s->ps->diags, s->found->span, DIAG_E0021, fe_token_text(s->ps, s->found));
  return true;
}

// --- everything else ----------------------------------------------------------------------------
typedef struct expectation {
  bool tokens[FE_TOK_COUNT];
  const char *parts[FE_TOK_COUNT];
  int nparts;
} expectation;

static void drop_group(expectation *e, token_group group) {
  for (int kind = 0; kind < FE_TOK_COUNT; kind++)
    if (groups[kind] == group)
      e->tokens[kind] = false;
}

static void drop(expectation *e, const fe_tok *kinds, size_t count) {
  for (size_t i = 0; i < count; i++)
    e->tokens[kinds[i]] = false;
}
#define DROP(e, ...)                                                                               \
  drop((e), (const fe_tok[]){__VA_ARGS__}, sizeof((fe_tok[]){__VA_ARGS__}) / sizeof(fe_tok))

static void say(expectation *e, const char *what) { e->parts[e->nparts++] = what; }

// Each group found is named once and its tokens removed; what remains is listed by spelling.
static void collapse(expectation *e) {
  drop_group(e, GROUP_HIDDEN);
  if (e->tokens[FE_LET]) {
    say(e, "a statement");
    drop_group(e, GROUP_STMT);
    DROP(e, FE_IDENT, FE_TYPENAME, FE_PTR, FE_INT, FE_BOOL, FE_LBRACE, FE_SEMI, FE_AT);
  }
  if (e->tokens[FE_KERNEL] && e->tokens[FE_IMPORT]) {
    say(e, "a declaration");
    drop_group(e, GROUP_ITEM);
    DROP(e, FE_AT, FE_EOF);
  }
  if (e->tokens[FE_INTLIT]) {
    say(e, "an expression");
    drop_group(e, GROUP_EXPR);
    DROP(e, FE_IDENT, FE_TYPENAME, FE_LPAREN, FE_SUB, FE_FN, FE_STEP, FE_KEY, FE_GRID);
  }
  if (e->tokens[FE_PTR]) {
    say(e, "a type");
    drop_group(e, GROUP_TYPE);
    DROP(e, FE_IDENT, FE_INT, FE_BOOL);
  }
  if (e->tokens[FE_KEY] && e->tokens[FE_TUNE]) {
    say(e, "a clause (grid, key, require, tune)");
    drop_group(e, GROUP_CLAUSE);
  }
  if (e->tokens[FE_ADDEQ]) {
    say(e, "an assignment");
    drop_group(e, GROUP_ASSIGN);
  }
  if (e->tokens[FE_ADD]) {
    say(e, "an operator");
    drop_group(e, GROUP_OP);
    DROP(e, FE_LPAREN, FE_LBRACKET, FE_STRLIT);
    if (e->tokens[FE_RPAREN])
      DROP(e, FE_ASSIGN); // of a named argument
  }
  if (e->tokens[FE_MUL])
    DROP(e, FE_MUL); // C pointer: read only to refuse it
}

static const char *describe(fe_parser *ps, const bool *expected) {
  expectation e = {0};
  memcpy(e.tokens, expected, sizeof e.tokens);
  collapse(&e);
  for (int kind = 0; kind < FE_TOK_COUNT; kind++) {
    if (!e.tokens[kind])
      continue;
    const char *text = fe_tok_spelling((fe_tok)kind);
    bool literal =
        kind != FE_EOF && groups[kind] != GROUP_EXPR && kind != FE_IDENT && kind != FE_TYPENAME;
    say(&e, literal ? tl_sprintf(ps->arena, "'%s'", text) : text);
  }
  tl_buf buf = {0};
  for (int i = 0; i < e.nparts; i++) {
    tl_buf_puts(&buf, i == 0 ? "" : i == e.nparts - 1 ? " or " : ", ");
    tl_buf_puts(&buf, e.parts[i]);
  }
  const char *text = tl_strdup(ps->arena, buf.data ? buf.data : "something else");
  tl_buf_free(&buf);
  return text;
}

static void report_plain(const slip *s) {
  tl_diag *diag = tl_report(s->ps->diags, s->found->span, DIAG_E0001, describe(s->ps, s->expected),
                            found_text(s));
  fe_tok kind = s->found->kind;
  if (kind == FE_ASSIGN && s->expected[FE_EQ])
    tl_help(s->ps->diags, diag, "comparison is '=='; assignment is a statement of its own");
  if ((kind == FE_AND || kind == FE_MUL) && s->expected[FE_INTLIT])
    tl_help(s->ps->diags, diag, "there is no address-of or dereference; use load and store");
  if (kind == FE_CONST && s->expected[FE_PTR])
    tl_help(s->ps->diags, diag, "types have no 'const': an 'in' parameter is read-only");
  if (kind == FE_COLON && s->expected[FE_PLUSCOLON])
    tl_help(s->ps->diags, diag, "a tile is 'start +: length'");
}

void fe_syntax_error(fe_parser *ps, const bool *expected) {
  if (ps->stopped)
    return; // the end of file it found was not the file's
  slip s = {ps, expected, &ps->history[0], &ps->history[1]};
  static bool (*const slips[])(const slip *) = {
      slip_of_lexer,       slip_increment,   slip_arrow,         slip_strict_equal, slip_c_for,
      slip_angle_generics, slip_c_type,      slip_typed_let,     slip_brace_close,  slip_semicolon,
      slip_bracket_close,  slip_body_braces, slip_reserved_word,
  };
  size_t i = 0, count = sizeof slips / sizeof *slips;
  while (i < count && !slips[i](&s))
    i++;
  if (i == count)
    report_plain(&s);
  ps->resync = true;
  int limit = ps->diags->error_limit;
  if (limit > 0 && ps->diags->error_count >= limit)
    ps->stopped = true;
}

void fe_too_deep(fe_parser *ps, tl_span span) {
  if (!ps->too_deep)
    tl_report(ps->diags, span, DIAG_E0018);
  ps->too_deep = true;
  ps->stopped = true; // the rest of a generated file would only repeat it
}
