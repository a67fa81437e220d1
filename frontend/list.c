// tilec --list: what a file offers.
#include "frontend/check.h"

static const char *dir_text(ast_dir dir) {
  return dir == AST_DIR_OUT ? "out" : dir == AST_DIR_INOUT ? "inout" : "in";
}

static void print_exprs(tl_buf *buf, const ast_exprs *exprs) {
  for (uint32_t i = 0; i < exprs->len; i++) {
    if (i)
      tl_buf_puts(buf, ", ");
    ast_print_expr(buf, exprs->data[i]);
  }
}

static void print_param(tl_buf *buf, const ast_param *param) {
  tl_buf_printf(buf, "  %-6s %-7s %s", dir_text(param->dir),
                param->type->kind == AST_TYPE_DTYPE  ? tl_dtype_name(param->type->dtype)
                : param->type->kind == AST_TYPE_NAME ? param->type->name
                                                     : "ptr",
                param->name.text);
  if (param->dims.dims.len) {
    tl_buf_puts(buf, "[");
    print_exprs(buf, &param->dims.dims);
    if (param->dims.strides.len) {
      tl_buf_puts(buf, " ; ");
      print_exprs(buf, &param->dims.strides);
    }
    tl_buf_puts(buf, "]");
  }
  tl_buf_puts(buf, "\n");
}

// "sm_90a: " before the values of a tune clause for one architecture.
static void print_targets(tl_buf *buf, const ast_args *targets) {
  for (uint32_t i = 0; i < targets->len; i++) {
    tl_buf_puts(buf, i ? ", " : "");
    ast_print_expr(buf, targets->data[i].value);
  }
  tl_buf_puts(buf, targets->len ? ": " : "");
}

static void print_generic(tl_buf *buf, const ast_kernel *kernel, const ast_gparam *param) {
  tl_buf_printf(buf, "  %-6s %s", fe_generic_kind(param->kind), param->name.text);
  if (param->value) {
    tl_buf_puts(buf, " = ");
    ast_print_expr(buf, param->value);
  }
  for (uint32_t i = 0; i < kernel->nclauses; i++)
    for (uint32_t j = 0; j < kernel->clauses[i].ntunes; j++) {
      const ast_tune *tune = &kernel->clauses[i].tunes[j];
      if (strcmp(tune->name.text, param->name.text) != 0)
        continue;
      tl_buf_puts(buf, " in ");
      print_targets(buf, &kernel->clauses[i].args);
      if (!tune->is_range) {
        tl_buf_puts(buf, "{ ");
        print_exprs(buf, &tune->values);
        tl_buf_puts(buf, " }");
        continue;
      }
      ast_print_expr(buf, tune->lo);
      tl_buf_puts(buf, " .. ");
      ast_print_expr(buf, tune->hi);
      if (tune->step) {
        tl_buf_puts(buf, " step ");
        ast_print_expr(buf, tune->step);
      }
    }
  tl_buf_puts(buf, "\n");
}

void fe_print_list(fe_program *program, FILE *out) {
  tl_buf buf = {0};
  for (uint32_t i = 0; i < program->kernels.len; i++) {
    const fe_kernel *kernel = &program->kernels.data[i];
    tl_buf_printf(&buf, "%s", kernel->name);
    if (strcmp(kernel->name, kernel->export_name) != 0)
      tl_buf_printf(&buf, " (%s)", kernel->export_name);
    tl_buf_puts(&buf, "\n");
    for (uint32_t j = 0; j < kernel->ast->params.len; j++)
      print_param(&buf, &kernel->ast->params.data[j]);
    for (uint32_t j = 0; j < kernel->ast->generics.len; j++)
      print_generic(&buf, kernel->ast, &kernel->ast->generics.data[j]);
    const fe_variant *variants;
    int count;
    if (fe_variants(program, kernel, NULL, NULL, 0, &variants, &count))
      tl_buf_printf(&buf, "  %d variant%s\n", count, count == 1 ? "" : "s");
  }
  fputs(buf.data ? buf.data : "", out);
  tl_buf_free(&buf);
}
