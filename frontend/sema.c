// Modules: imports, names declared once, kernels, recursion. What depends on generics waits for
// fe_instantiate.
#include "frontend/check.h"
#include "frontend/parse.h"
#include <stdlib.h>

// --- reports ------------------------------------------------------------------------------------

static const char *bindings_text(fe_ctx *ctx) {
  tl_buf buf = {0};
  for (int i = 0; i < ctx->nbindings; i++)
    tl_buf_printf(&buf, "%s%s=%s", i ? ", " : "[", ctx->bindings[i].name, ctx->bindings[i].value);
  if (ctx->nbindings)
    tl_buf_putc(&buf, ']');
  const char *text = tl_strdup(ctx->arena, buf.data ? buf.data : "");
  tl_buf_free(&buf);
  return text;
}

tl_diag *fe_chain(fe_ctx *ctx, tl_diag *diag) {
  // A mistake seen by several variants and targets is one report: the first tells where.
  for (uint32_t i = 0; i < ctx->program->chained.len; i++)
    if (ctx->program->chained.data[i] == diag)
      return diag;
  tl_push(ctx->arena, &ctx->program->chained, diag);
  for (const fe_frame *frame = ctx->frame; frame && frame->fn; frame = frame->up)
    tl_note(ctx->diags, diag, frame->call, "in '%s', called here", frame->title);
  if (ctx->kernel && ctx->target)
    tl_note(ctx->diags, diag, ctx->kernel->ast->name.span, "while instantiating %s%s for %s",
            ctx->kernel->name, bindings_text(ctx), ctx->target->name);
  return diag;
}

// --- imports ------------------------------------------------------------------------------------

typedef struct checker {
  fe_ctx ctx; // without a function: constants and reports only
  fe_program *program;
} checker;

static void add_module(checker *ck, const ast_module *module, uint32_t file);

static bool once(checker *ck, const char *path) {
  for (uint32_t i = 0; i < ck->program->imported.len; i++)
    if (strcmp(ck->program->imported.data[i], path) == 0)
      return false;
  tl_push(ck->program->arena, &ck->program->imported, path);
  return true;
}

static char *try_read(checker *ck, const char *path, const char **out_path, size_t *len) {
  char *text = tl_read_file(path, len);
  if (text)
    *out_path = tl_strdup(ck->program->arena, path);
  return text;
}

static char *read_import(checker *ck, const char *from, const char *path, const char **out_path,
                         size_t *len) {
  tl_arena *arena = ck->program->arena;
  const char *slash = strrchr(from, '/');
  const char *std = ck->program->std_dir;
  char *text =
      try_read(ck, slash ? tl_sprintf(arena, "%.*s/%s", (int)(slash - from), from, path) : path,
               out_path, len);
  if (!text && std)
    text = try_read(ck, tl_sprintf(arena, "%s/%s", std, path), out_path, len);
  if (!text && std && tl_starts_with(path, "std/"))
    text = try_read(ck, tl_sprintf(arena, "%s/%s", std, path + 4), out_path, len);
  return text;
}

static void follow_import(checker *ck, const ast_import *import, uint32_t file) {
  tl_sources *sources = ck->program->sources;
  const char *path;
  size_t len;
  char *text = read_import(ck, sources->files.data[file - 1].path, import->path, &path, &len);
  if (!text) {
    fe_error(&ck->ctx, import->path_span, DIAG_E0104, import->path);
    return;
  }
  if (once(ck, path)) {
    uint32_t added =
        tl_source_add(sources, path, tl_strndup(ck->program->arena, text, len), (uint32_t)len);
    int before = ck->program->diags->error_count;
    const ast_module *module = fe_parse(ck->program->arena, ck->program->diags, sources, added);
    ck->ctx.errors += ck->program->diags->error_count - before;
    if (module)
      add_module(ck, module, added);
  }
  free(text);
}

// --- declarations -------------------------------------------------------------------------------

static const ast_name *item_name(const ast_item *item) {
  switch (item->kind) {
  case AST_ITEM_CONST:
    return &item->constant.name;
  case AST_ITEM_STRUCT:
    return &item->record.name;
  case AST_ITEM_FN:
    return &item->fn.name;
  case AST_ITEM_KERNEL:
    return &item->kernel.name;
  case AST_ITEM_IMPORT:
    break;
  }
  return NULL;
}

static void add_kernel(checker *ck, const ast_kernel *ast) {
  const char *name = ast->name.text;
  fe_kernel kernel = {.ast = ast, .name = name, .export_name = name};
  const ast_attr *attr = fe_attr(&ast->attrs, "export");
  if (attr) {
    const ast_expr *value = attr->args.len == 1 ? attr->args.data[0].value : NULL;
    if (!value || value->kind != AST_STRING || !value->string.len ||
        strspn(value->string.text,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
            value->string.len ||
        (value->string.text[0] >= '0' && value->string.text[0] <= '9'))
      fe_error(&ck->ctx, attr->span, DIAG_E0208, "@export", "a C identifier in quotes",
               "something else");
    else
      kernel.export_name = value->string.text;
  }
  for (uint32_t i = 0; i < ck->program->kernels.len; i++)
    if (strcmp(ck->program->kernels.data[i].export_name, kernel.export_name) == 0)
      fe_error(&ck->ctx, attr ? attr->span : ast->name.span, DIAG_E0102, kernel.export_name);
  tl_push(ck->program->arena, &ck->program->kernels, kernel);
}

static void add_item(checker *ck, const ast_item *ast) {
  const ast_name *name = item_name(ast);
  const fe_item *known = fe_find_item(ck->program, name->text);
  if (known) {
    tl_diag *diag = fe_error(&ck->ctx, name->span, DIAG_E0102, name->text);
    tl_note(ck->program->diags, diag, item_name(known->ast)->span, "the first one is here");
    return;
  }
  if (fe_find_builtin(name->text)) {
    tl_diag *diag = fe_error(&ck->ctx, name->span, DIAG_E0102, name->text);
    tl_help(ck->program->diags, diag, "'%s' is a builtin function", name->text);
    return;
  }
  fe_item item = {.name = name->text, .ast = ast};
  tl_push(ck->program->arena, &ck->program->items, item);
  if (ast->kind == AST_ITEM_KERNEL)
    add_kernel(ck, &ast->kernel);
}

static void add_module(checker *ck, const ast_module *module, uint32_t file) {
  for (uint32_t i = 0; i < module->nitems; i++) {
    if (module->items[i]->kind == AST_ITEM_IMPORT)
      follow_import(ck, &module->items[i]->import, file);
    else
      add_item(ck, module->items[i]);
  }
}

static void distinct(checker *ck, const ast_name *name, const ast_name *other) {
  if (strcmp(name->text, other->text) != 0)
    return;
  tl_diag *diag = fe_error(&ck->ctx, name->span, DIAG_E0102, name->text);
  tl_note(ck->program->diags, diag, other->span, "the first one is here");
}

static void check_params(checker *ck, const ast_gparams *generics, const ast_params *params) {
  for (uint32_t i = 0; i < params->len; i++) {
    for (uint32_t j = 0; j < i; j++)
      distinct(ck, &params->data[i].name, &params->data[j].name);
    for (uint32_t j = 0; j < generics->len; j++)
      distinct(ck, &params->data[i].name, &generics->data[j].name);
  }
  for (uint32_t i = 0; i < generics->len; i++)
    for (uint32_t j = 0; j < i; j++)
      distinct(ck, &generics->data[i].name, &generics->data[j].name);
}

static void check_tune_targets(checker *ck, const ast_clause *clause) {
  for (uint32_t i = 0; clause->kind == AST_CLAUSE_TUNE && i < clause->args.len; i++) {
    const ast_expr *name = clause->args.data[i].value;
    bool known = name->kind == AST_IDENT && tl_target_by_name(name->ident);
    if (!known)
      fe_error(&ck->ctx, name->span, DIAG_E0116, "tune", "sm_90a, sm_100a and sm_120a",
               name->kind == AST_IDENT ? name->ident : "an expression");
  }
}

static void check_tune(checker *ck, const ast_kernel *kernel) {
  for (uint32_t i = 0; i < kernel->nclauses; i++) {
    check_tune_targets(ck, &kernel->clauses[i]);
    for (uint32_t j = 0; j < kernel->clauses[i].ntunes; j++) {
      const ast_tune *tune = &kernel->clauses[i].tunes[j];
      bool found = false;
      for (uint32_t k = 0; k < kernel->generics.len; k++)
        found |= strcmp(kernel->generics.data[k].name.text, tune->name.text) == 0;
      if (!found)
        fe_error(&ck->ctx, tune->name.span, DIAG_E0110, kernel->name.text, tune->name.text);
    }
  }
}

static void check_item(checker *ck, fe_item *item) {
  const ast_item *ast = item->ast;
  if (ast->kind == AST_ITEM_KERNEL) {
    check_params(ck, &ast->kernel.generics, &ast->kernel.params);
    check_tune(ck, &ast->kernel);
  } else if (ast->kind == AST_ITEM_FN) {
    check_params(ck, &ast->fn.generics, &ast->fn.params);
    fe_check_attrs(&ck->ctx, &ast->fn.attrs, "", "on a fn");
  } else if (ast->kind == AST_ITEM_CONST) {
    fe_item_const(&ck->ctx, item, ast->span);
  } else if (ast->kind == AST_ITEM_STRUCT) {
    for (uint32_t i = 0; i < ast->record.fields.len; i++)
      for (uint32_t j = 0; j < i; j++)
        distinct(ck, &ast->record.fields.data[i].name, &ast->record.fields.data[j].name);
  }
}

fe_program *fe_check(tl_arena *arena, tl_diags *diags, tl_sources *sources,
                     const ast_module *module, const char *std_dir) {
  fe_program *program = TL_NEW(arena, fe_program);
  *program = (fe_program){.arena = arena, .diags = diags, .sources = sources, .std_dir = std_dir};
  checker ck = {.program = program};
  ck.ctx = (fe_ctx){.program = program, .arena = arena, .diags = diags};
  uint32_t file = module->span.file;
  once(&ck, sources->files.data[file - 1].path);
  add_module(&ck, module, file);
  for (uint32_t i = 0; i < program->items.len; i++)
    check_item(&ck, &program->items.data[i]);
  fe_check_recursion(&ck.ctx);
  return ck.ctx.errors || diags->error_count ? NULL : program;
}

int fe_kernel_count(const fe_program *program) { return (int)program->kernels.len; }
const fe_kernel *fe_kernel_at(const fe_program *program, int index) {
  return &program->kernels.data[index];
}

const fe_kernel *fe_kernel_find(const fe_program *program, const char *name) {
  for (uint32_t i = 0; i < program->kernels.len; i++)
    if (strcmp(program->kernels.data[i].name, name) == 0 ||
        strcmp(program->kernels.data[i].export_name, name) == 0)
      return &program->kernels.data[i];
  return NULL;
}
