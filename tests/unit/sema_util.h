// Shared by the checker's tests: source text to IR or to printed diagnostics.
#ifndef TESTS_UNIT_SEMA_UTIL_H
#define TESTS_UNIT_SEMA_UTIL_H
#include "frontend/parse.h"
#include "frontend/sema.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct sema_run {
  tl_arena arena;
  tl_sources sources;
  tl_diags diags;
  fe_program *program;
  ir_module *module;
  fe_instance *instance; // of the last variant tried
  const fe_variant *variants;
  int nvariants;
  char *text; // printed diagnostics
} sema_run;

static void sema_print_diags(sema_run *run) {
  size_t len;
  FILE *out = open_memstream(&run->text, &len);
  tl_diags_print(&run->diags, out);
  fclose(out);
}

static fe_program *sema_check(sema_run *run, const char *source) {
  *run = (sema_run){.text = NULL};
  run->sources.arena = &run->arena;
  tl_diags_init(&run->diags, &run->arena, &run->sources);
  uint32_t file = tl_source_add(&run->sources, "t.tile", source, (uint32_t)strlen(source));
  ast_module *module = fe_parse(&run->arena, &run->diags, &run->sources, file);
  if (module && !run->diags.error_count)
    run->program = fe_check(&run->arena, &run->diags, &run->sources, module, TESTS_DIR "/../lang");
  return run->program;
}

// The first kernel, default variant (or the first). True when it was lowered.
static bool sema_lower(sema_run *run, const char *source, const char *arch, int align) {
  if (sema_check(run, source) && fe_kernel_count(run->program)) {
    const fe_kernel *kernel = fe_kernel_at(run->program, 0);
    run->module = ir_module_new(&run->arena, &run->sources);
    if (fe_variants(run->program, kernel, NULL, NULL, 0, &run->variants, &run->nvariants))
      run->instance = fe_instantiate(run->program, run->module, kernel, &run->variants[0],
                                     tl_target_by_name(arch), align);
  }
  sema_print_diags(run);
  return run->instance != NULL;
}

static void sema_free(sema_run *run) {
  free(run->text);
  tl_arena_free(&run->arena);
}
#endif
