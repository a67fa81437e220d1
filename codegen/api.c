// libtilec.so: the compiler behind lang/compiler.h, for a runtime that compiles or checks at run
// time. Everything works on memory; nothing is printed.
#include "codegen/compile.h"
#include "frontend/parse.h"
#include "ir/eval.h"
#include "lang/base/expr.h"
#include "lang/compiler.h"
#include <stdlib.h>

// --- flags: the part of tilec's command line that makes sense here -----------------------------

static bool parse_flag(cg_options *o, tl_arena *arena, const char *const *flags, int nflags,
                       int *i) {
  const char *flag = flags[*i];
  if (tl_starts_with(flag, "--arch=")) {
    o->ntargets = 0;
    char *list = tl_strdup(arena, flag + 7), *save;
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
      const tl_target *target = tl_target_by_name(name);
      if (!target || o->ntargets == CG_MAX_TARGETS)
        return false;
      o->targets[o->ntargets++] = target;
    }
    return o->ntargets > 0;
  }
  if (tl_starts_with(flag, "--kernel="))
    return o->kernel = flag + 9, true;
  if (!strcmp(flag, "--default-only"))
    return o->default_only = true;
  if (!strcmp(flag, "--no-ptxas"))
    return o->no_ptxas = true;
  if (tl_starts_with(flag, "--set")) {
    const char *text = flag[5] == '=' ? flag + 6 : *i + 1 < nflags ? flags[++*i] : "";
    char *name = tl_strdup(arena, text), *equals = strchr(name, '=');
    if (!equals || o->nsets == CG_MAX_SETS)
      return false;
    *equals = 0;
    o->sets[o->nsets++] = (fe_binding){name, equals + 1};
    return true;
  }
  if (tl_starts_with(flag, "-fno-")) {
    unsigned bit = ir_mechanism_by_name(flag + 5);
    o->disabled |= bit;
    return bit != 0;
  }
  if (tl_starts_with(flag, "-f")) {
    unsigned bit = ir_mechanism_by_name(flag + 2);
    o->disabled &= ~bit;
    return bit != 0;
  }
  if (tl_starts_with(flag, "--std="))
    return o->std_dir = flag + 6, true;
  return false;
}

static bool parse_flags(cg_options *o, tl_arena *arena, const char *const *flags, int nflags,
                        FILE *err) {
  static const tl_target_id all[] = {TL_SM_90A, TL_SM_100A, TL_SM_120A};
  o->align = 16;
  for (int i = 0; i < 3; i++)
    o->targets[o->ntargets++] = tl_target_of(all[i]);
  if (!o->std_dir)
    o->std_dir = cg_std_dir();
  for (int i = 0; i < nflags; i++)
    if (!parse_flag(o, arena, flags, nflags, &i)) {
      fprintf(err, "tilec: bad flag '%s'\n", flags[i < nflags ? i : nflags - 1]);
      return false;
    }
  return true;
}

static bool compile(const char *path, const char *text, size_t len, const char *const *flags,
                    int nflags, void **out_bytes, size_t *out_len, char **out_text) {
  tl_arena arena = {0};
  size_t text_len = 0;
  FILE *err = open_memstream(out_text, &text_len);
  if (!err)
    return false;
  cg_options options = {.input_path = path, .emit = CG_TLA};
  tl_buf out = {0};
  bool good = parse_flags(&options, &arena, flags, nflags, err) &&
              cg_compile(&options, text, len, &out, err) == 0;
  fclose(err);
  tl_arena_free(&arena);
  if (good) {
    *out_bytes = out.data;
    *out_len = out.len;
  } else {
    tl_buf_free(&out);
  }
  return good;
}

// --- the reference evaluator -------------------------------------------------------------------

typedef struct reference_run {
  tl_arena arena;
  tl_sources sources;
  tl_diags diags;
  const tilec_ref_arg *args;
  int nargs;
  const fe_contract *contract;
  ir_func *func;
  FILE *err;
} reference_run;

static const tilec_ref_arg *arg_named(const reference_run *r, const char *name) {
  for (int i = 0; i < r->nargs; i++)
    if (!strcmp(r->args[i].name, name))
      return &r->args[i];
  return NULL;
}

// The value of a free dim: the first tensor that lists it plainly has it as an extent.
static bool dim_value(const reference_run *r, const char *name, size_t len, int64_t *out) {
  for (int i = 0; i < r->contract->nparams; i++) {
    const fe_param_info *p = &r->contract->params[i];
    const tilec_ref_arg *arg = arg_named(r, p->name);
    if (!arg)
      continue;
    if (strcmp(p->kind, "tensor") != 0) {
      if (strlen(p->name) == len && !memcmp(p->name, name, len))
        return *out = (int64_t)arg->scalar, true;
      continue;
    }
    int axis = 0;
    for (const char *at = p->dims; *at && axis < arg->ndim; axis++) {
      size_t width = strcspn(at, "|");
      if (width == len && !memcmp(at, name, len))
        return *out = arg->shape[axis], true;
      at += width + (at[width] == '|');
    }
  }
  return false;
}

static bool lookup(void *user, const char *name, size_t len, int64_t *out) {
  return dim_value(user, name, len, out);
}

// "persistent(EXPR)" runs one block per tile here: the result does not depend on the number.
static bool grid_extent(reference_run *r, const char *text, int64_t *out) {
  char error[200] = "";
  if (!text)
    return *out = 1, true;
  char *own = tl_strdup(&r->arena, text);
  if (tl_starts_with(own, "persistent(")) {
    own += strlen("persistent(");
    own[strlen(own) - 1] = 0;
  }
  if (tl_expr_eval(own, lookup, r, out, error, sizeof error))
    return true;
  fprintf(r->err, "grid '%s': %s\n", text, error);
  return false;
}

static bool bind_params(reference_run *r, ir_eval_arg *out) {
  for (uint32_t i = 0; i < r->func->params.len; i++) {
    const ir_param *p = &r->func->params.data[i];
    const tilec_ref_arg *arg = p->kind == IR_PARAM_DIM ? NULL : arg_named(r, p->name);
    bool known = arg != NULL;
    switch (p->kind) {
    case IR_PARAM_PTR:
      if (known)
        out[i].data = arg->data, out[i].bytes = arg->bytes;
      break;
    case IR_PARAM_SCALAR:
      if (known)
        out[i].f = arg->scalar, out[i].i = arg->integer;
      break;
    case IR_PARAM_DIM:
      known = dim_value(r, p->name, strlen(p->name), &out[i].i);
      break;
    case IR_PARAM_TMAP: // sir only
      break;
    case IR_PARAM_STRIDE:
      known = known && p->axis < arg->ndim;
      if (known)
        out[i].i = arg->stride[p->axis];
      break;
    }
    if (!known) {
      fprintf(r->err, "no argument gives parameter '%s'\n", p->name);
      return false;
    }
  }
  return true;
}

static tilec_ref_result evaluate(reference_run *r) {
  ir_eval_options options = {.grid = {1, 1, 1}, .print_to = r->err};
  ir_eval_arg *args = TL_NEW_N(&r->arena, ir_eval_arg, r->func->params.len + 1);
  if (!bind_params(r, args))
    return TILEC_REF_REFUSED;
  for (int i = 0; i < 3; i++)
    if (!grid_extent(r, r->func->grid[i], &options.grid[i]))
      return TILEC_REF_REFUSED;
  const char *error = NULL;
  if (ir_eval(r->func, args, &options, &r->arena, &error))
    return TILEC_REF_DONE;
  fprintf(r->err, "%s\n", error);
  return TILEC_REF_FAILED;
}

static bool instantiate(reference_run *r, const cg_options *options, const char *path,
                        const char *text, size_t len, const char *kernel_name) {
  uint32_t file = tl_source_add(&r->sources, path, text, (uint32_t)len);
  ast_module *module = fe_parse(&r->arena, &r->diags, &r->sources, file);
  if (!module || r->diags.error_count)
    return false;
  fe_program *program = fe_check(&r->arena, &r->diags, &r->sources, module, options->std_dir);
  if (!program)
    return false;
  const fe_kernel *kernel = fe_kernel_find(program, kernel_name);
  if (!kernel) {
    fprintf(r->err, "no kernel named '%s'\n", kernel_name);
    return false;
  }
  const fe_variant *variants;
  int count;
  if (!fe_variants(program, kernel, options->targets[0], options->sets, options->nsets,
                   &variants, &count) || !count)
    return false;
  ir_module *ir = ir_module_new(&r->arena, &r->sources);
  const tl_target *target = options->targets[0];
  fe_instance *instance = fe_instantiate(program, ir, kernel, &variants[0], target, 0);
  if (!instance)
    return false;
  r->func = instance->func;
  r->contract = &instance->contract;
  return true;
}

static tilec_ref_result reference(const char *path, const char *text, size_t len,
                                  const char *kernel, const char *const *flags, int nflags,
                                  const tilec_ref_arg *args, int nargs, char **out_text) {
  reference_run r = {.args = args, .nargs = nargs};
  size_t text_len = 0;
  r.err = open_memstream(out_text, &text_len);
  if (!r.err)
    return TILEC_REF_REFUSED;
  r.sources.arena = &r.arena;
  tl_diags_init(&r.diags, &r.arena, &r.sources);
  cg_options options = {.input_path = path};
  bool good = parse_flags(&options, &r.arena, flags, nflags, r.err) &&
              instantiate(&r, &options, path, text, len, kernel);
  tl_diags_print(&r.diags, r.err);
  tilec_ref_result result = good ? evaluate(&r) : TILEC_REF_REFUSED;
  fclose(r.err);
  tl_arena_free(&r.arena);
  return result;
}

// --- the boundary ------------------------------------------------------------------------------
//
// An internal error in here must not end the host's process: it comes back as text. Memory of the
// broken compilation is lost, and so is the text it had printed.

static void set_text(char **out_text, const char *text) { *out_text = strdup(text); }

static bool guarded_compile(const char *path, const char *text, size_t len,
                            const char *const *flags, int nflags, void **out_bytes, size_t *out_len,
                            char **out_text) {
  tl_escape escape;
  if (setjmp(escape.to)) {
    set_text(out_text, escape.text);
    return false;
  }
  tl_escape_to = &escape;
  bool good = compile(path, text, len, flags, nflags, out_bytes, out_len, out_text);
  tl_escape_to = NULL;
  return good;
}

static tilec_ref_result guarded_reference(const char *path, const char *text, size_t len,
                                          const char *kernel, const char *const *flags, int nflags,
                                          const tilec_ref_arg *args, int nargs, char **out_text) {
  tl_escape escape;
  if (setjmp(escape.to)) {
    set_text(out_text, escape.text);
    return TILEC_REF_REFUSED;
  }
  tl_escape_to = &escape;
  tilec_ref_result result = reference(path, text, len, kernel, flags, nflags, args, nargs, out_text);
  tl_escape_to = NULL;
  return result;
}

__attribute__((visibility("default"))) const tilec_api *tilec_get_api(void);
const tilec_api *tilec_get_api(void) {
  static const tilec_api api = {TILEC_ABI, TILE_VERSION, guarded_compile, guarded_reference};
  return &api;
}
