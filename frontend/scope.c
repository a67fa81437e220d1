// Symbols in one stack: a scope is a mark in it, a call of a fn starts a frame that hides the rest.
#include "frontend/check.h"
#include <stdlib.h>

int fe_find(const fe_ctx *ctx, const char *name) {
  uint32_t base = ctx->frame ? ctx->frame->sym_base : 0;
  for (uint32_t i = ctx->syms.len; i > base; i--)
    if (strcmp(ctx->syms.data[i - 1].name, name) == 0)
      return (int)i - 1;
  return -1;
}

fe_sym *fe_sym_at(fe_ctx *ctx, int number) { return &ctx->syms.data[number]; }

int fe_declare(fe_ctx *ctx, fe_sym_kind kind, const char *name, fe_value value, tl_span span) {
  fe_sym sym = {name, kind, value, span};
  tl_push(ctx->arena, &ctx->syms, sym);
  if (value.kind == FV_IR && ctx->func && !ctx->func->vals.data[value.val.id].hint)
    ctx->func->vals.data[value.val.id].hint = name;
  return (int)ctx->syms.len - 1;
}

uint32_t fe_enter(fe_ctx *ctx) { return ctx->syms.len; }
void fe_leave(fe_ctx *ctx, uint32_t mark) { ctx->syms.len = mark; }

fe_item *fe_find_item(const fe_program *program, const char *name) {
  for (uint32_t i = 0; i < program->items.len; i++)
    if (strcmp(program->items.data[i].name, name) == 0)
      return &program->items.data[i];
  return NULL;
}

void fe_suggest(fe_ctx *ctx, tl_diag *diag, tl_span span, const char *word,
                const char *const *names, size_t count) {
  const char *near = word[1] ? tl_nearest(word, names, count) : NULL; // one letter is near all
  if (!near || strcmp(near, word) == 0)
    return;
  tl_help(ctx->diags, diag, "did you mean '%s'?", near);
  tl_fixit(ctx->diags, diag, span, near);
}

void fe_undefined(fe_ctx *ctx, tl_span span, const char *name) {
  TL_VEC(const char *) names = {0};
  for (uint32_t i = ctx->frame ? ctx->frame->sym_base : 0; i < ctx->syms.len; i++)
    if (ctx->syms.data[i].name[0] != '%')
      tl_push(ctx->arena, &names, ctx->syms.data[i].name);
  for (uint32_t i = 0; i < ctx->program->items.len; i++)
    tl_push(ctx->arena, &names, ctx->program->items.data[i].name);
  const char *const *builtins;
  size_t nbuiltins = fe_builtin_names(&builtins);
  for (size_t i = 0; i < nbuiltins; i++)
    tl_push(ctx->arena, &names, builtins[i]);
  tl_diag *diag = fe_error(ctx, span, DIAG_E0101, name);
  fe_suggest(ctx, diag, span, name, names.data, names.len);
}
