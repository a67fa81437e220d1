// Parser: recursive descent over the tokens of lex.c; stops at the first mistake.
//
// Instructions are not understood here beyond "guard opcode operands;": the rows of ptx_ops.def do
// that (match.c). Directives that carry no meaning for a functional machine are kept as text.
#include "runtime/ptx/lex.h"
#include <stdarg.h>
#include <stdio.h>

typedef struct parser {
  tl_arena *arena;
  ptx_module *module;
  ptx_lexer lexer;
  ptx_token token; // the next one
  const char *error;
  int loc_file, loc_line;
  int depth;
} parser;

// The first mistake wins; afterwards the parser sees only the end of the file, so all loops end.
__attribute__((format(printf, 3, 4))) static void fail_at(parser *p, const ptx_token *at,
                                                          const char *fmt, ...) {
  if (p->error)
    return;
  va_list args;
  va_start(args, fmt);
  const char *text = tl_vsprintf(p->arena, fmt, args);
  va_end(args);
  p->error = tl_sprintf(p->arena, "%s:%d:%d: error: %s", p->module->path, at->line, at->col, text);
  p->lexer.at = p->lexer.end;
  p->token = (ptx_token){.kind = TOK_EOF, .at = p->lexer.end, .line = at->line, .col = at->col};
}

static const char *token_text(parser *p, const ptx_token *token) {
  return token->kind == TOK_EOF ? "end of file" : tl_strndup(p->arena, token->at, token->len);
}

static void advance(parser *p) {
  p->token = ptx_lex(&p->lexer);
  if (p->token.kind == TOK_BAD)
    fail_at(p, &p->token, "%s", p->lexer.bad);
}
static bool is_punct(const parser *p, char c) {
  return p->token.kind == TOK_PUNCT && p->token.punct == c;
}
static bool is_dot(const parser *p, const char *word) {
  return p->token.kind == TOK_DOT_WORD && ptx_token_is(&p->token, word);
}
static bool accept(parser *p, char c) {
  if (!is_punct(p, c))
    return false;
  advance(p);
  return true;
}
static bool accept_dot(parser *p, const char *word) {
  if (!is_dot(p, word))
    return false;
  advance(p);
  return true;
}
static void expect(parser *p, char c) {
  if (!accept(p, c))
    fail_at(p, &p->token, "expected '%c' before '%s'", c, token_text(p, &p->token));
}
static const char *take_text(parser *p) {
  const char *text = token_text(p, &p->token);
  advance(p);
  return text;
}
static const char *expect_name(parser *p, const char *what) {
  if (p->token.kind != TOK_IDENT)
    fail_at(p, &p->token, "expected %s before '%s'", what, token_text(p, &p->token));
  return take_text(p);
}

static int64_t expect_int(parser *p) {
  bool minus = accept(p, '-');
  if (p->token.kind != TOK_INT)
    fail_at(p, &p->token, "expected a number before '%s'", token_text(p, &p->token));
  int64_t value = (int64_t)p->token.bits;
  advance(p);
  return minus ? (int64_t) - (uint64_t)value : value;
}

// --- operands -----------------------------------------------------------------------------------
static ptx_operand parse_operand(parser *p);

static void parse_items(parser *p, ptx_operand *into, char close) {
  TL_VEC(ptx_operand) items = {0};
  while (!is_punct(p, close)) {
    tl_push(p->arena, &items, parse_operand(p));
    if (!accept(p, ','))
      break;
  }
  expect(p, close);
  into->items = items.data;
  into->nitems = items.len;
}

static const char *name_with_component(parser *p) {
  const char *name = expect_name(p, "a name");
  // "%tid.x", "%v.y": the component follows without blank.
  if (p->token.kind == TOK_DOT_WORD && name[0] == '%' && p->token.len == 1)
    name = tl_sprintf(p->arena, "%s.%s", name, take_text(p));
  return name;
}

static int64_t parse_plus_offset(parser *p) {
  if (accept(p, '+'))
    return expect_int(p);
  if (is_punct(p, '-'))
    return expect_int(p);
  return 0;
}

static ptx_operand parse_number(parser *p) {
  const char *start = p->token.at;
  ptx_operand opd = {0};
  bool minus = false, invert = false;
  if (is_punct(p, '-'))
    minus = true, advance(p);
  else if (is_punct(p, '~'))
    invert = true, advance(p);
  if (p->token.kind == TOK_INT) {
    opd.kind = PTX_OPD_INT;
    opd.bits = minus ? -p->token.bits : invert ? ~p->token.bits : p->token.bits;
    opd.is_signed = minus;
  } else if (p->token.kind == TOK_F32 || p->token.kind == TOK_F64) {
    opd.kind = p->token.kind == TOK_F32 ? PTX_OPD_F32 : PTX_OPD_F64;
    opd.bits = p->token.bits;
    if (minus)
      opd.bits ^= p->token.kind == TOK_F32 ? 1ull << 31 : 1ull << 63;
  } else {
    fail_at(p, &p->token, "expected an operand before '%s'", token_text(p, &p->token));
  }
  opd.text = tl_strndup(p->arena, start, (size_t)(p->token.at + p->token.len - start));
  advance(p);
  return opd;
}

static ptx_operand parse_address(parser *p) {
  ptx_operand opd = {.kind = PTX_OPD_ADDR};
  if (p->token.kind == TOK_IDENT) {
    opd.name = name_with_component(p);
    opd.offset = parse_plus_offset(p);
  } else {
    opd.offset = expect_int(p);
  }
  if (accept(p, ','))
    parse_items(p, &opd, ']');
  else
    expect(p, ']');
  return opd;
}

static ptx_operand parse_operand(parser *p) {
  if (++p->depth > 64)
    fail_at(p, &p->token, "operands nested too deeply");
  ptx_operand opd = {0};
  if (accept(p, '{')) {
    opd.kind = PTX_OPD_VECTOR;
    parse_items(p, &opd, '}');
  } else if (accept(p, '(')) {
    opd.kind = PTX_OPD_LIST;
    parse_items(p, &opd, ')');
  } else if (accept(p, '[')) {
    opd = parse_address(p);
  } else if (accept(p, '!')) {
    opd.kind = PTX_OPD_NAME;
    opd.name = expect_name(p, "a predicate");
    opd.negated = true;
  } else if (p->token.kind == TOK_IDENT && ptx_token_is(&p->token, "_")) {
    advance(p);
    opd.kind = PTX_OPD_SINK;
  } else if (p->token.kind == TOK_IDENT) {
    opd.kind = PTX_OPD_NAME;
    opd.name = name_with_component(p);
    if (is_punct(p, '+') || is_punct(p, '-'))
      opd.offset = parse_plus_offset(p);
  } else {
    opd = parse_number(p);
  }
  if (accept(p, '|')) {
    opd.pair = TL_NEW(p->arena, ptx_operand);
    *opd.pair = parse_operand(p);
  }
  p->depth--;
  return opd;
}

// --- variables ----------------------------------------------------------------------------------
static ptx_space space_of(const ptx_token *token) {
  static const struct {
    const char *word;
    ptx_space space;
  } spaces[] = {{"reg", PTX_SPACE_REG},       {"param", PTX_SPACE_PARAM},
                {"local", PTX_SPACE_LOCAL},   {"shared", PTX_SPACE_SHARED},
                {"global", PTX_SPACE_GLOBAL}, {"const", PTX_SPACE_CONST}};
  if (token->kind != TOK_DOT_WORD)
    return PTX_SPACE_NONE;
  for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
    if (ptx_token_is(token, spaces[i].word))
      return spaces[i].space;
  return PTX_SPACE_NONE;
}

static void parse_init(parser *p, ptx_var *var) {
  if (accept(p, '{')) {
    while (!is_punct(p, '}')) {
      parse_init(p, var);
      if (!accept(p, ','))
        break;
    }
    expect(p, '}');
    return;
  }
  ptx_init init = {0};
  if (p->token.kind == TOK_IDENT) {
    init.symbol = expect_name(p, "a symbol");
    if (strcmp(init.symbol, "generic") == 0 && accept(p, '(')) {
      init.generic = true;
      init.symbol = expect_name(p, "a symbol");
      init.offset = parse_plus_offset(p);
      expect(p, ')');
    }
    if (is_punct(p, '+') || is_punct(p, '-'))
      init.offset += parse_plus_offset(p);
  } else {
    init.value = parse_number(p);
  }
  tl_push(p->arena, &var->inits, init);
}

// The type words between the space and the name: .align N, .v2, .b32, and for parameters .ptr ...
static void parse_var_type(parser *p, ptx_var *var) {
  var->vector = 1;
  var->range = -1;
  tl_buf attributes = {0};
  while (p->token.kind == TOK_DOT_WORD) {
    ptx_token word = p->token;
    const char *text = take_text(p);
    if (strcmp(text, "align") == 0) {
      int64_t align = expect_int(p);
      if (align <= 0 || align > 1 << 20 || (align & (align - 1)))
        fail_at(p, &word, "alignment must be a power of two");
      if (attributes.len)
        tl_buf_printf(&attributes, " .align %d", (int)align);
      else
        var->align = (uint32_t)align;
    } else if (strcmp(text, "v2") == 0 || strcmp(text, "v4") == 0) {
      var->vector = text[1] - '0';
    } else if (var->type == PTX_NOTYPE && ptx_type_of_word(text)) {
      var->type = ptx_type_of_word(text);
    } else if (var->space == PTX_SPACE_PARAM && var->type != PTX_NOTYPE) {
      tl_buf_printf(&attributes, " .%s", text);
    } else if (strcmp(text, "attribute") == 0) {
      tl_buf_puts(&attributes, " .attribute(");
      expect(p, '(');
      while (!is_punct(p, ')') && p->token.kind != TOK_EOF) {
        if (p->token.kind == TOK_DOT_WORD)
          tl_buf_putc(&attributes, '.');
        tl_buf_puts(&attributes, take_text(p));
      }
      expect(p, ')');
      tl_buf_putc(&attributes, ')');
    } else {
      tl_buf_free(&attributes);
      fail_at(p, &word, "unknown type or attribute '.%s' of a variable", text);
    }
  }
  if (attributes.len)
    var->attributes = tl_strdup(p->arena, attributes.data);
  tl_buf_free(&attributes);
  if (var->type == PTX_NOTYPE)
    fail_at(p, &p->token, "variable without a type");
}

static void parse_declarator(parser *p, ptx_var *var) {
  var->line = p->token.line;
  var->name = expect_name(p, "a variable name");
  if (accept(p, '<')) {
    var->range = expect_int(p);
    if (var->range < 0 || var->range > 10000000)
      fail_at(p, &p->token, "bad register count");
    expect(p, '>');
  }
  while (accept(p, '[')) {
    var->is_array = true;
    int64_t dim = is_punct(p, ']') ? -1 : expect_int(p);
    if (dim < -1)
      fail_at(p, &p->token, "negative array size");
    tl_push(p->arena, &var->dims, dim);
    expect(p, ']');
  }
  if (accept(p, '='))
    parse_init(p, var);
}

typedef void (*var_sink)(parser *p, ptx_var *var, void *ctx);

// After the space word: types, then one or more declarators up to ';'.
static void parse_vars(parser *p, ptx_space space, ptx_linkage linkage, var_sink sink, void *ctx) {
  ptx_var head = {.space = space, .linkage = linkage};
  if (p->token.kind == TOK_PUNCT && space == PTX_SPACE_CONST && accept(p, '[')) { // .const[2]
    expect_int(p);
    expect(p, ']');
  }
  parse_var_type(p, &head);
  do {
    ptx_var *var = TL_NEW(p->arena, ptx_var);
    *var = head;
    parse_declarator(p, var);
    sink(p, var, ctx);
  } while (accept(p, ','));
  expect(p, ';');
}

static ptx_var *parse_param(parser *p) {
  ptx_var *var = TL_NEW(p->arena, ptx_var);
  var->space = space_of(&p->token);
  if (var->space != PTX_SPACE_PARAM && var->space != PTX_SPACE_REG)
    fail_at(p, &p->token, "expected .param or .reg before '%s'", token_text(p, &p->token));
  advance(p);
  parse_var_type(p, var);
  parse_declarator(p, var);
  return var;
}

// --- bodies -------------------------------------------------------------------------------------
static void add_stmt(parser *p, ptx_stmts *into, ptx_stmt stmt) { tl_push(p->arena, into, stmt); }

static void add_body_var(parser *p, ptx_var *var, void *ctx) {
  add_stmt(p, ctx, (ptx_stmt){.kind = PTX_STMT_VAR, .line = var->line, .var = var});
}

// Consumes the rest of the source line or up to ';', whichever the directive uses.
static const char *text_to(parser *p, const char *start, bool to_semicolon) {
  if (p->error) // the reader stands at the end of the file and stays there
    return "";
  const char *q = start;
  while (q < p->lexer.end && *q != (to_semicolon ? ';' : '\n')) {
    if (*q == '\n')
      p->lexer.line++, p->lexer.line_start = q + 1;
    q++;
  }
  const char *text = tl_strndup(p->arena, start, (size_t)(q - start));
  p->lexer.at = q + (to_semicolon && q < p->lexer.end);
  advance(p);
  return to_semicolon ? tl_sprintf(p->arena, "%s;", text) : text;
}

static void parse_loc(parser *p, ptx_stmts *into) {
  ptx_token start = p->token;
  const char *from = start.at - 1;
  // The numbers are read with the lexer, then the line is kept as text from its start.
  ptx_lexer ahead = p->lexer;
  ptx_token file = ptx_lex(&ahead), line = ptx_lex(&ahead);
  if (file.kind != TOK_INT || line.kind != TOK_INT)
    fail_at(p, &start, ".loc needs file and line");
  p->loc_file = (int)file.bits;
  p->loc_line = (int)line.bits;
  int at = start.line;
  const char *text = text_to(p, from, false);
  add_stmt(p, into, (ptx_stmt){.kind = PTX_STMT_TEXT, .line = at, .text = text});
}

static void parse_instr(parser *p, ptx_stmts *into) {
  ptx_instr *instr = TL_NEW(p->arena, ptx_instr);
  instr->line = p->token.line;
  instr->col = p->token.col;
  instr->loc_file = p->loc_file;
  instr->loc_line = p->loc_line;
  if (accept(p, '@')) {
    instr->guard_negated = accept(p, '!');
    instr->guard = expect_name(p, "a predicate");
  }
  if (p->token.kind != TOK_IDENT)
    fail_at(p, &p->token, "expected an instruction before '%s'", token_text(p, &p->token));
  ptx_token first = p->token;
  instr->line = first.line;
  instr->col = first.col;
  const char *end = ptx_lex_opcode(&p->lexer, &first);
  instr->opcode = tl_strndup(p->arena, first.at, (size_t)(end - first.at));
  advance(p);
  TL_VEC(ptx_operand) operands = {0};
  if (!is_punct(p, ';')) {
    do {
      tl_push(p->arena, &operands, parse_operand(p));
    } while (accept(p, ','));
  }
  instr->operands = operands.data;
  instr->noperands = operands.len;
  expect(p, ';');
  add_stmt(p, into, (ptx_stmt){.kind = PTX_STMT_INSTR, .line = instr->line, .instr = instr});
}

static bool at_label(parser *p) {
  if (p->token.kind != TOK_IDENT)
    return false;
  ptx_lexer ahead = p->lexer;
  ptx_token next = ptx_lex(&ahead);
  return next.kind == TOK_PUNCT && next.punct == ':';
}

static void parse_body(parser *p, ptx_stmts *into);

static void parse_body_directive(parser *p, ptx_stmts *into) {
  ptx_token start = p->token;
  ptx_space space = space_of(&start);
  if (space != PTX_SPACE_NONE) {
    advance(p);
    parse_vars(p, space, PTX_INTERN, add_body_var, into);
    return;
  }
  if (is_dot(p, "loc")) {
    parse_loc(p, into);
    return;
  }
  if (is_dot(p, "extern") || is_dot(p, "visible")) { // extern shared inside a body
    ptx_linkage linkage = is_dot(p, "extern") ? PTX_EXTERN : PTX_VISIBLE;
    advance(p);
    space = space_of(&p->token);
    if (space == PTX_SPACE_NONE)
      fail_at(p, &p->token, "expected a state space");
    advance(p);
    parse_vars(p, space, linkage, add_body_var, into);
    return;
  }
  if (is_dot(p, "pragma") || is_dot(p, "callprototype") || is_dot(p, "branchtargets") ||
      is_dot(p, "calltargets")) {
    const char *text = text_to(p, start.at - 1, true);
    add_stmt(p, into, (ptx_stmt){.kind = PTX_STMT_TEXT, .line = start.line, .text = text});
    return;
  }
  fail_at(p, &start, "unknown directive '.%s' in a body", token_text(p, &start));
}

static void parse_stmt(parser *p, ptx_stmts *into) {
  int line = p->token.line;
  if (accept(p, '{')) {
    ptx_stmts *scope = TL_NEW(p->arena, ptx_stmts);
    if (++p->depth > 256)
      fail_at(p, &p->token, "scopes nested too deeply");
    parse_body(p, scope);
    p->depth--;
    add_stmt(p, into, (ptx_stmt){.kind = PTX_STMT_SCOPE, .line = line, .scope = scope});
  } else if (p->token.kind == TOK_DOT_WORD) {
    parse_body_directive(p, into);
  } else if (accept(p, ';')) {
    // empty statement (inline assembly leaves them)
  } else if (at_label(p)) {
    const char *name = expect_name(p, "a label");
    expect(p, ':');
    add_stmt(p, into, (ptx_stmt){.kind = PTX_STMT_LABEL, .line = line, .text = name});
  } else {
    parse_instr(p, into);
  }
}

static void parse_body(parser *p, ptx_stmts *into) { // up to and with '}'
  while (!is_punct(p, '}') && p->token.kind != TOK_EOF)
    parse_stmt(p, into);
  if (p->token.kind == TOK_EOF)
    fail_at(p, &p->token, "body does not end");
  expect(p, '}');
}

// --- functions ----------------------------------------------------------------------------------
static void parse_directives(parser *p, ptx_func *func) {
  while (p->token.kind == TOK_DOT_WORD) {
    ptx_token at = p->token;
    ptx_directive dir = {.word = take_text(p)};
    if (strcmp(dir.word, "pragma") == 0) {
      if (p->token.kind != TOK_STRING)
        fail_at(p, &p->token, ".pragma needs a string");
      dir.word = tl_sprintf(p->arena, "pragma \"%s\";", take_text(p));
      expect(p, ';');
    } else if (strcmp(dir.word, "noreturn") == 0) {
      func->noreturn = true;
    } else {
      static const char *const known[] = {
          "maxntid",           "reqntid",         "minnctapersm",         "maxnctapersm",
          "maxnreg",           "explicitcluster", "reqnctapercluster",    "maxclusterrank",
          "blocksareclusters", "abi_preserve",    "abi_preserve_control", "unified",
          "attribute"};
      bool found = false;
      for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        found |= strcmp(known[i], dir.word) == 0;
      if (!found)
        fail_at(p, &at, "unknown directive '.%s' of a function", dir.word);
      if (strcmp(dir.word, "attribute") == 0) {
        expect(p, '(');
        while (!accept(p, ')') && p->token.kind != TOK_EOF)
          advance(p);
        continue;
      }
      while (p->token.kind == TOK_INT && dir.nvalues < 3) {
        dir.values[dir.nvalues++] = expect_int(p);
        if (!accept(p, ','))
          break;
      }
    }
    tl_push(p->arena, &func->directives, dir);
  }
}

static void parse_func(parser *p, bool is_entry, ptx_linkage linkage) {
  ptx_func *func = TL_NEW(p->arena, ptx_func);
  func->is_entry = is_entry;
  func->linkage = linkage;
  func->line = p->token.line;
  if (!is_entry && accept_dot(p, "attribute")) {
    expect(p, '(');
    while (!accept(p, ')') && p->token.kind != TOK_EOF)
      advance(p);
  }
  if (!is_entry && accept(p, '(')) {
    while (!is_punct(p, ')')) {
      tl_push(p->arena, &func->rets, parse_param(p));
      if (!accept(p, ','))
        break;
    }
    expect(p, ')');
  }
  func->name = expect_name(p, "a function name");
  if (accept(p, '(')) {
    while (!is_punct(p, ')')) {
      tl_push(p->arena, &func->params, parse_param(p));
      if (!accept(p, ','))
        break;
    }
    expect(p, ')');
  }
  parse_directives(p, func);
  p->loc_file = p->loc_line = 0;
  if (accept(p, '{')) {
    func->has_body = true;
    parse_body(p, &func->body);
  } else {
    expect(p, ';');
  }
  tl_push(p->arena, &p->module->funcs, func);
  tl_push(p->arena, &p->module->items, ((ptx_item){.func = func}));
}

// --- top level ----------------------------------------------------------------------------------
static void add_global(parser *p, ptx_var *var, void *ctx) {
  (void)ctx;
  tl_push(p->arena, &p->module->vars, var);
  tl_push(p->arena, &p->module->items, ((ptx_item){.var = var}));
}

static void add_text(parser *p, const char *text) {
  tl_push(p->arena, &p->module->items, ((ptx_item){.text = text}));
}

static void parse_version(parser *p) {
  const char *start = p->token.at - 1;
  advance(p);
  if (p->token.kind != TOK_F64 && p->token.kind != TOK_INT)
    fail_at(p, &p->token, "bad .version");
  const char *text = token_text(p, &p->token);
  if (sscanf(text, "%d.%d", &p->module->version_major, &p->module->version_minor) != 2)
    fail_at(p, &p->token, "bad .version");
  add_text(p, tl_strndup(p->arena, start, (size_t)(p->token.at + p->token.len - start)));
  advance(p);
}

static void parse_target(parser *p) {
  const char *start = p->token.at - 1, *end;
  advance(p);
  p->module->target = token_text(p, &p->token);
  do {
    end = p->token.at + p->token.len;
    expect_name(p, "a target");
  } while (accept(p, ','));
  add_text(p, tl_strndup(p->arena, start, (size_t)(end - start)));
}

static void parse_file(parser *p) {
  const char *start = p->token.at - 1;
  advance(p);
  ptx_file file = {.index = (int)expect_int(p)};
  if (p->token.kind != TOK_STRING)
    fail_at(p, &p->token, ".file needs a string");
  file.path = token_text(p, &p->token);
  tl_push(p->arena, &p->module->files, file);
  add_text(p, text_to(p, start, false));
}

static void parse_section(parser *p) { // debug information: skipped whole
  int depth = 0;
  bool opened = false;
  while (p->token.kind != TOK_EOF && !(opened && depth == 0)) {
    if (is_punct(p, '{'))
      depth++, opened = true;
    if (is_punct(p, '}'))
      depth--;
    advance(p);
  }
  if (depth || !opened)
    fail_at(p, &p->token, "section does not end");
}

static void parse_top(parser *p) {
  if (is_dot(p, "version")) {
    parse_version(p);
  } else if (is_dot(p, "target")) {
    parse_target(p);
  } else if (accept_dot(p, "address_size")) {
    p->module->address_size = (int)expect_int(p);
    if (p->module->address_size != 64)
      fail_at(p, &p->token, "only .address_size 64 is supported");
    add_text(p, ".address_size 64");
  } else if (is_dot(p, "file")) {
    parse_file(p);
  } else if (is_dot(p, "section")) {
    parse_section(p);
  } else if (is_dot(p, "pragma") || is_dot(p, "alias")) {
    if (is_dot(p, "alias"))
      fail_at(p, &p->token, ".alias is not supported");
    add_text(p, text_to(p, p->token.at - 1, true));
  } else if (accept(p, ';')) {
    // stray semicolon
  } else {
    ptx_linkage linkage = PTX_INTERN;
    if (accept_dot(p, "visible"))
      linkage = PTX_VISIBLE;
    else if (accept_dot(p, "extern"))
      linkage = PTX_EXTERN;
    else if (accept_dot(p, "weak"))
      linkage = PTX_WEAK;
    else if (accept_dot(p, "common"))
      linkage = PTX_COMMON;
    if (accept_dot(p, "entry")) {
      parse_func(p, true, linkage);
    } else if (accept_dot(p, "func")) {
      parse_func(p, false, linkage);
    } else {
      ptx_space space = space_of(&p->token);
      if (space == PTX_SPACE_NONE || space == PTX_SPACE_REG || space == PTX_SPACE_PARAM)
        fail_at(p, &p->token, "unknown directive '%s'", token_text(p, &p->token));
      advance(p);
      parse_vars(p, space, linkage, add_global, NULL);
    }
  }
}

ptx_module *ptx_parse(tl_arena *arena, const char *path, const char *text, size_t len,
                      const char **out_error) {
  parser *p = TL_NEW(arena, parser);
  p->arena = arena;
  p->module = TL_NEW(arena, ptx_module);
  p->module->path = tl_strdup(arena, path);
  p->module->address_size = 64;
  ptx_lex_start(&p->lexer, text, len);
  if (memchr(text, 0, len)) // directives are kept as strings
    fail_at(p, &(ptx_token){.line = 1, .col = 1}, "the text holds a zero byte");
  else
    advance(p);
  while (p->token.kind != TOK_EOF)
    parse_top(p);
  if (!p->module->version_major)
    fail_at(p, &p->token, "no .version directive");
  if (!p->module->target)
    fail_at(p, &p->token, "no .target directive");
  *out_error = p->error;
  return p->error ? NULL : p->module;
}
