// The parser's view of the lexer: keeps the open brackets and, after a syntax error, finds the
// place to go on from.
//
// Bison drops its stack to the innermost rule with `error RESYNC` and then asks for tokens until it
// gets RESYNC. Which rule that is follows from the open brackets alone (a block, the head of a
// loop, or the top of the file), so the search for the next statement can count brackets instead of
// stopping at the first ';', and it can hand out brackets the user forgot.
#include "frontend/parse_act.h"

typedef enum sync_mode { SYNC_ITEM, SYNC_STMT, SYNC_HEADER } sync_mode;

static bool is_header_word(fe_tok kind) {
  return kind == FE_FOR || kind == FE_FOREACH || kind == FE_WHILE || kind == FE_IF;
}

static fe_tok opener_of(fe_tok kind) {
  switch (kind) {
  case FE_RPAREN:
    return FE_LPAREN;
  case FE_RBRACKET:
    return FE_LBRACKET;
  case FE_RBRACE:
    return FE_LBRACE;
  default:
    return FE_EOF;
  }
}

// `floor` brackets stay open whatever comes: those the grammar still has on its stack.
static void track(fe_parser *ps, const fe_token *token, fe_tok previous, uint32_t floor) {
  if (token->kind == FE_LPAREN || token->kind == FE_LBRACKET || token->kind == FE_LBRACE) {
    fe_open entry = {token->kind, token->kind == FE_LPAREN && is_header_word(previous),
                     token->kind == FE_LBRACE && previous == FE_IN, token->span};
    tl_push(ps->arena, &ps->open, entry);
    return;
  }
  fe_tok opener = opener_of(token->kind);
  if (opener == FE_EOF)
    return;
  for (uint32_t i = ps->open.len; i-- > floor;) {
    if (ps->open.data[i].kind != opener)
      continue;
    ps->open.len = i; // brackets inside that were never closed go too
    return;
  }
}

static fe_token read_token(fe_parser *ps) {
  return ps->queue.len ? tl_pop(&ps->queue) : fe_scan(ps);
}

static fe_token synthetic(fe_tok kind, tl_span at) {
  at.hi = at.lo;
  return (fe_token){.kind = kind, .span = at, .synthetic = true};
}

static bool brace_open_above(const fe_parser *ps, uint32_t level) {
  for (uint32_t i = level; i < ps->open.len; i++)
    if (ps->open.data[i].kind == FE_LBRACE && !ps->open.data[i].values)
      return true;
  return false;
}

static bool starts_statement(const fe_token *token) {
  if (!token->first_on_line)
    return false;
  switch (token->kind) {
  case FE_LET:
  case FE_VAR:
  case FE_FOR:
  case FE_FOREACH:
  case FE_WHILE:
  case FE_IF:
  case FE_RETURN:
  case FE_BREAK:
  case FE_CONTINUE:
  case FE_ROLES:
  case FE_ROLE:
  case FE_CHANNEL:
  case FE_PUT:
  case FE_GET:
  case FE_AT:
    return true;
  default:
    return false;
  }
}

// Words that stand nowhere but at the top of the file: even inside a block they end it.
static bool starts_item_anywhere(const fe_token *token) {
  return token->first_on_line && (token->kind == FE_KERNEL || token->kind == FE_STRUCT ||
                                  token->kind == FE_IMPORT || token->kind == FE_CONST);
}

static bool starts_item(const fe_token *token) {
  return starts_item_anywhere(token) ||
         (token->first_on_line && (token->kind == FE_FN || token->kind == FE_AT));
}

// The rule the grammar fell back to; *out_level is the number of brackets open around its list.
static sync_mode find_mode(const fe_parser *ps, uint32_t *out_level) {
  for (uint32_t i = ps->open.len; i-- > 0;) {
    const fe_open *entry = &ps->open.data[i];
    *out_level = i + 1;
    if (entry->header)
      return SYNC_HEADER;
    if (entry->kind == FE_LBRACE && !entry->values)
      return SYNC_STMT;
  }
  *out_level = 0;
  return SYNC_ITEM;
}

// Queues `token` behind the brackets that are missing before it.
static void queue_closing(fe_parser *ps, sync_mode mode, const fe_token *token, uint32_t level,
                          bool close_blocks) {
  tl_push(ps->arena, &ps->queue, *token);
  for (uint32_t i = 0; close_blocks && i < level; i++)
    if (ps->open.data[i].kind == FE_LBRACE)
      tl_push(ps->arena, &ps->queue, synthetic(FE_RBRACE, token->span));
  if (mode != SYNC_HEADER)
    return;
  if (token->kind == FE_RPAREN)
    return;
  if (token->kind != FE_LBRACE) {
    tl_push(ps->arena, &ps->queue, synthetic(FE_RBRACE, token->span));
    tl_push(ps->arena, &ps->queue, synthetic(FE_LBRACE, token->span));
  }
  tl_push(ps->arena, &ps->queue, synthetic(FE_RPAREN, token->span));
}

// True when reading can go on at `token`, which is then queued unless it ends the broken part.
static bool stop_at(fe_parser *ps, sync_mode mode, uint32_t level, const fe_token *token) {
  bool inside = brace_open_above(ps, level);
  bool fresh = ps->resync_at != token->span.lo + 1;
  if (mode != SYNC_ITEM && starts_item_anywhere(token) && fresh) {
    queue_closing(ps, mode, token, level, true);
    return true;
  }
  if (inside)
    return false;
  switch (mode) {
  case SYNC_ITEM:
    if (token->kind == FE_SEMI && ps->open.len == 0)
      return true;
    if (!starts_item(token) || !fresh)
      return false;
    break;
  case SYNC_STMT:
    if (token->kind == FE_SEMI)
      return true;
    if (token->kind != FE_RBRACE && !(starts_statement(token) && fresh))
      return false;
    break;
  case SYNC_HEADER:
    if (token->kind != FE_LBRACE && token->kind != FE_RBRACE &&
        !(token->kind == FE_RPAREN && ps->open.len == level))
      return false;
    break;
  }
  queue_closing(ps, mode, token, level, false);
  return true;
}

// A nested block of the broken statement just ended: the statement goes on only with these.
static bool continues_after_block(fe_tok kind) {
  return kind == FE_ELSE || kind == FE_SEMI || kind == FE_COMMA || kind == FE_RPAREN ||
         kind == FE_RBRACKET || kind == FE_LBRACE;
}

// Reads behind the ';' or '}' that seems to end the broken statement: an else belongs to it still.
static bool ends_there(fe_parser *ps, bool after_block, fe_token *token) {
  fe_token next = read_token(ps);
  bool goes_on = after_block ? continues_after_block(next.kind) : next.kind == FE_ELSE;
  if (goes_on) {
    *token = next;
    return false;
  }
  tl_push(ps->arena, &ps->queue, next);
  return true;
}

static fe_token find_resync(fe_parser *ps) {
  uint32_t level;
  sync_mode mode = find_mode(ps, &level);
  fe_token token = ps->history[0];
  fe_tok previous = ps->history[1].kind;
  while (token.kind != FE_EOF) {
    if (stop_at(ps, mode, level, &token)) {
      if (mode != SYNC_STMT || token.kind != FE_SEMI || ends_there(ps, false, &token))
        break;
      continue;
    }
    bool was_inside = brace_open_above(ps, level);
    track(ps, &token, previous, level);
    previous = token.kind;
    if (mode == SYNC_STMT && was_inside && !brace_open_above(ps, level)) {
      if (ends_there(ps, true, &token))
        break;
    } else {
      token = read_token(ps);
    }
  }
  if (token.kind == FE_EOF)
    return token; // the parser gives up by itself
  if (ps->open.len > level)
    ps->open.len = level;
  ps->resync_at = token.span.lo + 1;
  return synthetic(FE_RESYNC, token.span);
}

fe_token fe_next_token(fe_parser *ps) {
  fe_token token = {.kind = FE_EOF, .span = {ps->len, ps->len, ps->file}};
  if (ps->resync && !ps->stopped) {
    ps->resync = false;
    token = find_resync(ps);
  } else if (!ps->stopped) {
    track(ps, &ps->history[0], ps->history[1].kind, 0);
    token = read_token(ps);
  }
  memmove(&ps->history[1], &ps->history[0], sizeof ps->history - sizeof ps->history[0]);
  ps->history[0] = token;
  return token;
}

static const char *const spellings[FE_TOK_COUNT] = {
    [FE_EOF] = "end of file",
#define TOKEN(id, spelling, cls, group) [FE_##id] = spelling,
#include "lang/tokens.def"
#undef TOKEN
};

const char *fe_tok_spelling(fe_tok kind) { return spellings[kind]; }

enum { TOKEN_WORD, TOKEN_PUNCT, TOKEN_OTHER };
static const unsigned char classes[FE_TOK_COUNT] = {
    [FE_EOF] = TOKEN_OTHER,
#define TOKEN(id, spelling, cls, group) [FE_##id] = TOKEN_##cls,
#include "lang/tokens.def"
#undef TOKEN
};

bool fe_tok_is_word(fe_tok kind) { return classes[kind] == TOKEN_WORD; }

fe_tok fe_word(const char *text) {
  for (int kind = FE_EOF + 1; kind < FE_TOK_COUNT; kind++)
    if (classes[kind] == TOKEN_WORD && !strcmp(text, spellings[kind]))
      return (fe_tok)kind;
  return FE_IDENT;
}

const char *fe_token_text(const fe_parser *ps, const fe_token *token) {
  return tl_strndup(ps->arena, ps->text + token->span.lo, token->span.hi - token->span.lo);
}
