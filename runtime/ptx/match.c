// Binds an instruction to its row of ptx_ops.def, and facts about types and variables.
//
// Pattern language of a row: "base" then parts, each matched against the modifier words in order:
//   .word      this word               {.a.b}  optionally one of the words
//   <.a.b>     exactly one of them     $set    inside the brackets: the words of a named set
// An instruction fits when all its words are consumed; alternatives are tried with backtracking.
#include "runtime/ptx/ptx.h"
#include <stdio.h>

static const struct {
  const char *word;
  int bits;
  ptx_class cls;
} type_rows[PTX_TYPE_COUNT] = {
#define PTX_TYPE(id, word, bits, cls) [PTX_##id] = {word, bits, PTX_CLASS_##cls},
#include "runtime/ptx/ptx_types.def"
#undef PTX_TYPE
};

const char *ptx_type_word(ptx_type type) { return type ? type_rows[type].word : "?"; }
int ptx_type_bits(ptx_type type) { return type_rows[type].bits; }
ptx_class ptx_type_class(ptx_type type) { return type_rows[type].cls; }
ptx_type ptx_type_of_word(const char *word) {
  for (int i = 1; i < PTX_TYPE_COUNT; i++)
    if (strcmp(type_rows[i].word, word) == 0)
      return (ptx_type)i;
  return PTX_NOTYPE;
}

uint64_t ptx_var_bytes(const ptx_var *var) {
  uint64_t bytes = (uint64_t)(ptx_type_bits(var->type) + 7) / 8 * (uint64_t)var->vector;
  for (uint32_t i = 0; i < var->dims.len; i++) {
    if (var->dims.data[i] >= 0)
      bytes *= (uint64_t)var->dims.data[i];
    else
      bytes = var->inits.len && i == 0 ? bytes * var->inits.len : 0;
  }
  return bytes;
}

uint32_t ptx_var_align(const ptx_var *var) {
  if (var->align)
    return var->align;
  return (uint32_t)((ptx_type_bits(var->type) + 7) / 8 * var->vector);
}

const ptx_directive *ptx_find_directive(const ptx_func *func, const char *word) {
  for (uint32_t i = 0; i < func->directives.len; i++)
    if (strcmp(func->directives.data[i].word, word) == 0)
      return &func->directives.data[i];
  return NULL;
}

const char *ptx_file_path(const ptx_module *module, int index) {
  for (uint32_t i = 0; i < module->files.len; i++)
    if (module->files.data[i].index == index)
      return module->files.data[i].path;
  return NULL;
}

const ptx_form_row ptx_form_rows[PTX_FORM_COUNT] = {
    [PTX_FORM_NONE] = {"none", 0, "", ""},
#define FORM(id, sm, pattern, operands, decoder) [PTX_F_##id] = {#id, sm, pattern, operands},
#include "runtime/ptx/ptx_ops.def"
#undef FORM
};

// --- the pattern matcher ------------------------------------------------------------------------
static const struct {
  const char *name, *words;
} word_sets[] = {
#define WORD_SET(name, words) {#name, words},
#include "runtime/ptx/ptx_ops.def"
#undef WORD_SET
};

typedef struct words {
  const char *const *at;
  int count, best; // best: how many words any attempt consumed
} words;

static bool match_parts(const char *pattern, words *ws, int at);

static size_t word_len(const char *p) { // of ".word" behind the dot
  size_t n = 0;
  while (p[n] && !strchr(".{}<>$ ", p[n]))
    n++;
  return n;
}

static bool same_word(const char *word, const char *pattern, size_t len) {
  return strlen(word) == len && memcmp(word, pattern, len) == 0;
}

static bool in_words(const char *list, const char *end, const char *word) {
  while (list < end) {
    if (*list == '$') {
      size_t len = word_len(list + 1);
      for (size_t i = 0; i < sizeof word_sets / sizeof *word_sets; i++) {
        const char *set = word_sets[i].words;
        if (same_word(word_sets[i].name, list + 1, len) && in_words(set, set + strlen(set), word))
          return true;
      }
      list += 1 + len;
    } else {
      size_t len = word_len(list + 1);
      if (same_word(word, list + 1, len))
        return true;
      list += 1 + len;
    }
  }
  return false;
}

static bool match_parts(const char *pattern, words *ws, int at) {
  if (at > ws->best)
    ws->best = at;
  if (!*pattern)
    return at == ws->count;
  if (*pattern == '.') {
    size_t len = word_len(pattern + 1);
    if (at >= ws->count || !same_word(ws->at[at], pattern + 1, len))
      return false;
    return match_parts(pattern + 1 + len, ws, at + 1);
  }
  bool optional = *pattern == '{';
  const char *end = strchr(pattern, optional ? '}' : '>');
  if (at < ws->count && in_words(pattern + 1, end, ws->at[at]) && match_parts(end + 1, ws, at + 1))
    return true;
  return optional && match_parts(end + 1, ws, at);
}

static size_t base_len(const char *pattern) {
  size_t n = 0;
  while (pattern[n] && !strchr(".{<", pattern[n]))
    n++;
  return n;
}

static bool split_words(tl_arena *arena, const char *opcode, const char **out_base,
                        ptx_match_result *out) {
  char *copy = tl_strdup(arena, opcode);
  *out_base = copy;
  out->nmods = out->ntypes = 0;
  for (char *p = strchr(copy, '.'); p;) {
    *p++ = 0;
    if (out->nmods == PTX_MAX_MODS)
      return false;
    out->mods[out->nmods++] = p;
    p = strchr(p, '.');
  }
  for (int i = 0; i < out->nmods; i++) {
    ptx_type type = ptx_type_of_word(out->mods[i]);
    if (type && out->ntypes < 4)
      out->types[out->ntypes++] = type;
  }
  return true;
}

static void explain(const char *opcode, const char *base, const ptx_match_result *got,
                    tl_buf *why) {
  const char *bases[PTX_FORM_COUNT];
  char names[PTX_FORM_COUNT][32];
  bool known = false;
  int best = -1;
  for (int i = 1; i < PTX_FORM_COUNT; i++) {
    size_t len = base_len(ptx_form_rows[i].pattern);
    snprintf(names[i - 1], sizeof names[0], "%.*s", (int)len, ptx_form_rows[i].pattern);
    bases[i - 1] = names[i - 1];
    if (strcmp(names[i - 1], base) != 0)
      continue;
    known = true;
    words ws = {got->mods, got->nmods, 0};
    match_parts(ptx_form_rows[i].pattern + len, &ws, 0);
    if (ws.best > best)
      best = ws.best;
  }
  if (!known) {
    const char *near = tl_nearest(base, bases, PTX_FORM_COUNT - 1);
    tl_buf_printf(why, "unsupported instruction '%s'", opcode);
    if (near)
      tl_buf_printf(why, "; did you mean '%s'?", near);
    return;
  }
  if (best < got->nmods)
    tl_buf_printf(why, "unsupported form '%s': '.%s' does not fit", opcode, got->mods[best]);
  else
    tl_buf_printf(why, "unsupported form '%s': a modifier is missing", opcode);
  int listed = 0;
  for (int i = 1; i < PTX_FORM_COUNT && listed < 4; i++) {
    if (strcmp(names[i - 1], base) != 0)
      continue;
    words ws = {got->mods, got->nmods, 0};
    match_parts(ptx_form_rows[i].pattern + base_len(ptx_form_rows[i].pattern), &ws, 0);
    if (ws.best == best)
      tl_buf_printf(why, "%s%s", listed++ ? " | " : "; nearest: ", ptx_form_rows[i].pattern);
  }
}

bool ptx_match_opcode(tl_arena *arena, const char *opcode, ptx_match_result *out, tl_buf *why) {
  const char *base;
  *out = (ptx_match_result){0};
  if (!split_words(arena, opcode, &base, out)) {
    if (why)
      tl_buf_printf(why, "unsupported form '%s': too many modifiers", opcode);
    return false;
  }
  size_t len = strlen(base);
  for (int i = 1; i < PTX_FORM_COUNT; i++) {
    const char *pattern = ptx_form_rows[i].pattern;
    if (strncmp(pattern, base, len) != 0 || base_len(pattern) != len)
      continue;
    words ws = {out->mods, out->nmods, 0};
    if (match_parts(pattern + len, &ws, 0)) {
      out->form = (ptx_form)i;
      return true;
    }
  }
  if (why)
    explain(opcode, base, out, why);
  return false;
}

// Operand signature of a row: one letter per operand, '?' in front of those that may be missing.
//   d destination register or _        D the same, optionally with |p
//   s source register or immediate     v vector or register (source or destination)
//   m memory operand                   l label or function       p predicate, maybe negated
//   i integer immediate                * anything
static bool operand_fits(const ptx_operand *opd, char letter) {
  bool value = opd->kind == PTX_OPD_NAME || opd->kind == PTX_OPD_INT || opd->kind == PTX_OPD_F32 ||
               opd->kind == PTX_OPD_F64;
  if (opd->pair && letter != 'D' && letter != '*')
    return false;
  switch (letter) {
  case 'd':
  case 'D':
    return opd->kind == PTX_OPD_NAME || opd->kind == PTX_OPD_SINK;
  case 's':
    return value;
  case 'v':
    return value || opd->kind == PTX_OPD_VECTOR || opd->kind == PTX_OPD_SINK;
  case 'm':
    return opd->kind == PTX_OPD_ADDR;
  case 'l':
    return opd->kind == PTX_OPD_NAME;
  case 'p':
    return opd->kind == PTX_OPD_NAME || opd->kind == PTX_OPD_INT;
  case 'i':
    return opd->kind == PTX_OPD_INT;
  default:
    return true;
  }
}

bool ptx_match(tl_arena *arena, const ptx_instr *instr, ptx_match_result *out, tl_buf *why) {
  if (!ptx_match_opcode(arena, instr->opcode, out, why))
    return false;
  const char *signature = ptx_form_rows[out->form].operands;
  bool optional = false;
  uint32_t at = 0;
  for (const char *s = signature; *s; s++) {
    if (*s == '?') {
      optional = true;
      continue;
    }
    if (at == instr->noperands) {
      if (optional)
        return true;
      if (why)
        tl_buf_printf(why, "'%s' needs more than %u operands", instr->opcode, at);
      return false;
    }
    if (!operand_fits(&instr->operands[at], *s)) {
      if (why)
        tl_buf_printf(why, "operand %u of '%s' has the wrong kind", at + 1, instr->opcode);
      return false;
    }
    at++;
  }
  if (at < instr->noperands) {
    if (why)
      tl_buf_printf(why, "'%s' takes %u operands, got %u", instr->opcode, at, instr->noperands);
    return false;
  }
  return true;
}

bool ptx_has_mod(const ptx_match_result *match, const char *word) {
  for (int i = 0; i < match->nmods; i++)
    if (strcmp(match->mods[i], word) == 0)
      return true;
  return false;
}
