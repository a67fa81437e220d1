// The pipeline as prose: read, check, and for each kernel, target and variant instantiate, run the
// passes, emit PTX, assemble, and pack. Follow cg_compile() from the bottom.
#include "codegen/compile.h"
#include "codegen/artifact.h"
#include "codegen/embed.h"
#include "codegen/limits.h"
#include "codegen/ptx/ptxas.h"
#include "codegen/records.h"
#include "codegen/report.h"
#include "frontend/parse.h"
#include "ir/verify_channel.h"
#include "lang/base/assert.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef struct session {
  const cg_options *options;
  tl_arena arena; // source, tree, program
  tl_sources sources;
  tl_diags diags;
  tl_buf *out;
  FILE *err;
  const char *ptxas; // NULL: none found
  double frontend_ms, passes_ms, llvm_build_ms, llvm_opt_ms, llvm_codegen_ms, ptxas_ms;
  double pass_ms[64];
  int functions;
} session;

// One variant of one kernel for one target, on an arena of its own.
typedef struct unit {
  tl_arena arena;
  ir_module *module;
  ir_func *func;
  const fe_kernel *kernel;
  fe_instance *instance;
  cg_variant_info info;
  cg_image image;
  cg_job *job;
  bool must; // somebody asked for it: what is wrong with it is an error
} unit;

void cg_image_free(cg_image *image) {
  free(image->ptx);
  free(image->cubin);
  free(image->log);
  *image = (cg_image){0};
}

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static int usage(session *s, const char *what) {
  fprintf(s->err, "tilec: %s\n", what);
  return 2;
}

static bool failed(const session *s) { return s->diags.error_count > 0; }

// --- one function ------------------------------------------------------------------------------

static bool run_passes(session *s, unit *u, tl_diags *diags, bool tir_only) {
  double start = now_ms();
  ir_pass_ctx ctx = {.func = u->func, .diags = diags, .disabled = s->options->disabled};
  ir_run_options options = s->options->passes;
  options.stop_before_sir = tir_only;
  options.pass_ms = s->pass_ms;
  bool good = ir_run_passes(&ctx, &options);
  if (good && u->func->sir)
    good = cg_check_limits(u->func, diags);
  s->passes_ms += now_ms() - start;
  return good;
}

static void emit_ptx(session *s, unit *u) {
  cg_image *image = &u->image;
  image->ptx =
      cg_emit_ptx(u->func, &image->ptx_len, &image->build_ms, &image->opt_ms, &image->codegen_ms);
  image->regs = image->spill_bytes = image->stack_bytes = image->barriers = -1;
  s->llvm_build_ms += image->build_ms;
  s->llvm_opt_ms += image->opt_ms;
  s->llvm_codegen_ms += image->codegen_ms;
  s->functions++;
}

// ptxas: (C7602) Insufficient registers (40) to compile instruction at line ..
static bool lacks_registers(const unit *u) {
  return u->func->min_ctas > 0 && u->image.log && strstr(u->image.log, "(C7602)");
}

// ptxas refusing what we wrote is our mistake, not the user's; unless he asked for more CTAs on an SM
// than its registers allow. False: that is so, and is reported where somebody asked for the variant.
static bool finish_assembly(session *s, unit *u) {
  if (!u->job)
    return true;
  bool good = cg_assemble_finish(u->job, &u->image);
  u->job = NULL;
  s->ptxas_ms += u->image.ptxas_ms;
  if (!good && lacks_registers(u)) {
    if (u->must)
      tl_report(&s->diags, u->kernel ? u->kernel->ast->name.span : u->func->body->first->loc,
                DIAG_E0403, u->func->min_ctas,
                (u->func->warps + u->func->extra_warps) * 32, u->func->name);
    return false;
  }
  if (!good)
    TL_UNREACHABLE("ptxas refused %s for %s:\n%s", u->func->name, u->func->target->name,
                   u->image.log ? u->image.log : "");
  if (u->image.serialised)
    tl_report(&s->diags, u->func->body->first->loc, DIAG_W1002, u->func->name, u->func->target->name);
  return true;
}

static void start_assembly(session *s, unit *u) {
  if (!s->ptxas)
    return;
  u->job = cg_assemble_start(s->ptxas, u->func->target, u->image.ptx, u->image.ptx_len);
  TL_ASSERT(u->job, "%s could not be started", s->ptxas);
}

static FILE *tables(session *s) { return s->options->tables ? s->options->tables : s->err; }

static void report(session *s, unit *u, const char *variant) {
  if (s->options->print_resources)
    cg_report_line(tables(s), u->func, variant, &u->image);
}

static void free_unit(unit *u) {
  cg_image_free(&u->image);
  tl_arena_free(&u->arena);
}

// --- single-variant stages ---------------------------------------------------------------------

static int print_func(session *s, unit *u) {
  ir_print(u->module, s->out);
  return 0;
}

// From tir or sir to whatever stage was asked for.
static int emit_function(session *s, unit *u) {
  if (s->options->emit == CG_TIR) {
    run_passes(s, u, &s->diags, true);
    return failed(s) ? 1 : print_func(s, u);
  }
  if (!run_passes(s, u, &s->diags, false))
    return 1;
  if (s->options->emit == CG_SIR)
    return print_func(s, u);
  if (s->options->emit == CG_LLVM) {
    size_t len;
    char *text = cg_emit_llvm(u->func, &len);
    tl_buf_write(s->out, text, len);
    free(text);
    return 0;
  }
  emit_ptx(s, u);
  if (s->options->emit == CG_PTX) {
    tl_buf_write(s->out, u->image.ptx, u->image.ptx_len);
    if (!s->options->print_resources)
      return 0;
  } else if (!s->ptxas) {
    return usage(s, "--emit=cubin needs ptxas (TILE_PTXAS, CUDA_HOME, PATH)");
  }
  start_assembly(s, u);
  u->must = true;
  if (!finish_assembly(s, u))
    return 1;
  if (s->options->print_resources)
    cg_report_header(tables(s));
  report(s, u, u->info.name ? u->info.name : "");
  if (s->options->emit == CG_CUBIN)
    tl_buf_write(s->out, u->image.cubin, u->image.cubin_len);
  return 0;
}

static const fe_kernel *only_kernel(session *s, fe_program *program) {
  if (s->options->kernel) {
    const fe_kernel *kernel = fe_kernel_find(program, s->options->kernel);
    if (!kernel)
      fprintf(s->err, "tilec: no kernel named '%s'\n", s->options->kernel);
    return kernel;
  }
  if (fe_kernel_count(program) == 1)
    return fe_kernel_at(program, 0);
  fprintf(s->err, "tilec: this stage shows one kernel: name it with --kernel\n");
  return NULL;
}

static int emit_one(session *s, fe_program *program) {
  const fe_kernel *kernel = only_kernel(s, program);
  if (!kernel)
    return 2;
  if (s->options->ntargets != 1)
    return usage(s, "this stage shows one architecture: name it with --arch");
  const fe_variant *variants;
  int count;
  if (!fe_variants(program, kernel, s->options->targets[0], s->options->sets, s->options->nsets,
                   &variants, &count))
    return 1;
  if (!count)
    return usage(s, "no variant is left");
  unit u = {.kernel = kernel};
  u.module = ir_module_new(&u.arena, &s->sources);
  double start = now_ms();
  u.instance = fe_instantiate(program, u.module, kernel, &variants[0], s->options->targets[0],
                              s->options->align);
  s->frontend_ms += now_ms() - start;
  int code = 1;
  if (u.instance) {
    u.func = u.instance->func;
    u.info.name = u.instance->settings_name;
    code = emit_function(s, &u);
  }
  free_unit(&u);
  return code;
}

// --- from IR text ------------------------------------------------------------------------------

static int from_text(session *s, const char *text, size_t len) {
  unit u = {0};
  const char *error = NULL;
  u.module = ir_parse(&u.arena, &s->sources, text, len, &error);
  if (!u.module || !u.module->funcs.len) {
    fprintf(s->err, "%s: error: %s [E0704]\n", s->options->input_path,
            error ? error : "no function");
    free_unit(&u);
    return 1;
  }
  u.func = u.module->funcs.data[0];
  tl_buf failures = {0};
  if (ir_verify(u.func, &failures)) {
    fprintf(s->err, "%s: error: the function does not verify [E0704]\n%s", s->options->input_path,
            failures.data);
    tl_buf_free(&failures);
    free_unit(&u);
    return 1;
  }
  ir_schedule_fault fault;
  if (!ir_check_schedule(u.func, &u.arena, &fault)) {
    ir_print_fault(u.func, &fault, &failures);
    fputs(failures.data, s->err);
    tl_buf_free(&failures);
    free_unit(&u);
    return 1;
  }
  int code = emit_function(s, &u);
  free_unit(&u);
  return code;
}

// --- the artifact ------------------------------------------------------------------------------

typedef struct packing {
  session *s;
  fe_program *program;
  cg_artifact *artifact;
  int kernel_id;
  bool has_params;
  bool only_one; // variant of the kernel per architecture
  bool is_wrong; // the program, whatever the architecture
  bool has_bad_records;
  double started_ms;
  int wanted, done; // variants of all kernels and targets, for the progress line
  unit *waiting; // assembling, oldest first
  int nwaiting, limit;
} packing;

// "[12/96] fp8_gemm_nt BM128_BN128 sm_90a", one line that is written over.
static void show_progress(packing *p, const unit *u) {
  FILE *out = p->s->options->progress;
  if (!out)
    return;
  fprintf(out, "\r[%d/%d] %s %s %s\033[K", ++p->done, p->wanted, u->func->kernel, u->info.name,
          u->func->target->name);
  fflush(out);
}

static void end_progress(packing *p) {
  FILE *out = p->s->options->progress;
  if (out)
    fprintf(out, "\r%d variants in %.1f s\033[K\n", p->done, (now_ms() - p->started_ms) * 1e-3);
}

static void pack_variant(packing *p, unit *u) {
  u->info.ctas_per_sm = cg_ctas_per_sm(u->func, u->image.regs);
  u->info.stages = cg_stages(u->func);
  u->info.sum_bits = cg_sum_bits(u->func);
  if (!p->has_params) {
    cg_artifact_params(p->artifact, p->kernel_id, &u->instance->contract);
    cg_artifact_keys(p->artifact, p->kernel_id, &u->instance->contract);
  }
  p->has_params = true;
  cg_artifact_variant(p->artifact, p->kernel_id, u->func, &u->instance->contract, &u->info,
                      &u->image);
  report(p->s, u, u->info.name);
}

static void pack_oldest(packing *p) {
  unit *u = &p->waiting[0];
  if (finish_assembly(p->s, u))
    pack_variant(p, u);
  show_progress(p, u);
  free_unit(u);
  memmove(p->waiting, p->waiting + 1, sizeof *u * (size_t)--p->nwaiting);
}

// A variant nobody asked for by name may be too large for one architecture: it is left out there.
static bool compile_variant(packing *p, const fe_kernel *kernel, const fe_variant *variant,
                            const tl_target *target, int align, int rank, bool must) {
  session *s = p->s;
  if (p->nwaiting == p->limit)
    pack_oldest(p);
  unit *u = &p->waiting[p->nwaiting];
  *u = (unit){.kernel = kernel};
  u->module = ir_module_new(&u->arena, &s->sources);
  double start = now_ms();
  u->instance = fe_instantiate(p->program, u->module, kernel, variant, target, align);
  s->frontend_ms += now_ms() - start;
  if (!u->instance) {
    p->is_wrong = true;
    free_unit(u);
    return false;
  }
  u->func = u->instance->func;
  cg_work work = cg_work_of(u->func, &u->arena); // of tir: what is computed, not how
  tl_diags own;
  tl_diags_init(&own, &s->arena, &s->sources);
  own.remarks = must ? s->options->remarks : NULL;
  tl_diags_set_arch(&own, target->name);
  if (!run_passes(s, u, must ? &s->diags : &own, false)) {
    free_unit(u);
    return false;
  }
  emit_ptx(s, u);
  start_assembly(s, u);
  const char *name = u->instance->settings_name;
  u->info = (cg_variant_info){.name = align ? name : tl_sprintf(&u->arena, "%s_u", name),
                              .align = align ? align : u->instance->min_align,
                              .rank = rank,
                              .is_default = variant->is_default && align,
                              .work = work};
  u->must = must;
  p->nwaiting++;
  return true;
}

static int line_of(session *s, const fe_kernel *kernel) {
  int line = 0, col = 0;
  tl_source_position(&s->sources, kernel->ast->name.span, &line, &col);
  return line;
}

// The default variant, the others, and behind them the default without alignment knowledge.
static void pack_target(packing *p, const fe_kernel *kernel, const fe_variant *variants, int count,
                        const tl_target *target) {
  session *s = p->s;
  int rank = 0, first = -1, before = s->diags.error_count;
  bool must = p->only_one && !s->options->default_only; // it was asked for
  tl_diags_set_arch(&s->diags, target->name);
  for (int i = 0; i < count && s->diags.error_count == before; i++) {
    if (p->only_one && rank)
      break;
    if (compile_variant(p, kernel, &variants[i], target, 16, rank, must)) {
      if (first < 0)
        first = i;
      rank++;
    }
  }
  bool good = s->diags.error_count == before;
  if (first < 0 && good) // nothing fits: say why, for the default
    compile_variant(p, kernel, &variants[0], target, 16, rank, true);
  if (first >= 0 && good && !fe_wants_aligned(kernel))
    compile_variant(p, kernel, &variants[first], target, 0, rank, true);
  while (p->nwaiting)
    pack_oldest(p);
  tl_diags_set_arch(&s->diags, NULL);
}

static void pack_kernel(packing *p, const fe_kernel *kernel) {
  session *s = p->s;
  p->kernel_id = cg_artifact_kernel(p->artifact, kernel->name, kernel->export_name,
                                    s->options->input_path, line_of(s, kernel));
  p->has_params = false;
  p->only_one = s->options->default_only;
  for (int i = 0; i < s->options->nsets; i++)
    p->only_one |= fe_is_tuned(kernel, s->options->sets[i].name); // the others take their defaults
  // What is too large for one architecture may be for the next: name them all.
  for (int t = 0; t < s->options->ntargets && !p->is_wrong; t++) {
    const fe_variant *variants;
    int count;
    if (!fe_variants(p->program, kernel, s->options->targets[t], s->options->sets,
                     s->options->nsets, &variants, &count))
      return;
    p->wanted += (p->only_one ? 1 : count) + 1; // at most
    pack_target(p, kernel, variants, count, s->options->targets[t]);
  }
  const char *error;
  if (!failed(s) && !cg_records_add(p->artifact, p->kernel_id, kernel->name, s->options->input_path,
                                    &s->arena, &error)) {
    fprintf(s->err, "tilec: %s\n", error);
    p->has_bad_records = true;
  }
}

static int pack(session *s, fe_program *program) {
  int limit = (int)sysconf(_SC_NPROCESSORS_ONLN);
  packing p = {
      .s = s, .program = program, .artifact = cg_artifact_new(), .limit = limit < 1 ? 1 : limit};
  p.waiting = calloc((size_t)p.limit + 1, sizeof *p.waiting);
  p.started_ms = now_ms();
  cg_artifact_meta(p.artifact, "compiler", "tilec " TILE_VERSION);
  cg_artifact_meta(p.artifact, "source", s->options->input_path);
  if (!s->ptxas && !s->options->no_ptxas)
    tl_report(&s->diags, (tl_span){0}, DIAG_W2001);
  if (s->options->print_resources)
    cg_report_header(tables(s));
  for (int i = 0; i < fe_kernel_count(program); i++) {
    const fe_kernel *kernel = fe_kernel_at(program, i);
    if (!s->options->kernel || fe_kernel_find(program, s->options->kernel) == kernel)
      pack_kernel(&p, kernel);
  }
  tl_buf bytes = {0};
  cg_artifact_finish(p.artifact, &bytes);
  free(p.waiting);
  end_progress(&p);
  if (!failed(s) && !p.has_bad_records)
    cg_embed(s->options->emit, s->options->input_path, &bytes, s->out);
  tl_buf_free(&bytes);
  return failed(s) || p.has_bad_records ? 1 : 0;
}

static void list_kernels(session *s, fe_program *program) {
  char *text = NULL;
  size_t len = 0;
  FILE *file = open_memstream(&text, &len);
  TL_ASSERT(file, "no memory stream");
  fe_print_list(program, file);
  fclose(file);
  tl_buf_write(s->out, text, len);
  free(text);
}

// --- source text -------------------------------------------------------------------------------

static int from_source(session *s, const char *text, size_t len) {
  double start = now_ms();
  uint32_t file = tl_source_add(&s->sources, s->options->input_path, text, (uint32_t)len);
  ast_module *module = fe_parse(&s->arena, &s->diags, &s->sources, file);
  if (!module || failed(s))
    return 1;
  if (s->options->emit == CG_AST) {
    ast_print(s->out, module);
    return 0;
  }
  fe_program *program = fe_check(&s->arena, &s->diags, &s->sources, module, s->options->std_dir);
  s->frontend_ms += now_ms() - start;
  if (!program || failed(s))
    return 1;
  if (s->options->kernel && !fe_kernel_find(program, s->options->kernel)) {
    fprintf(s->err, "tilec: no kernel named '%s'\n", s->options->kernel);
    return 2;
  }
  switch (s->options->emit) {
  case CG_LIST:
    list_kernels(s, program);
    return 0;
  case CG_TLA:
  case CG_OBJ:
  case CG_HEADER:
  case CG_JSON:
    return pack(s, program);
  default:
    return emit_one(s, program);
  }
}

static void report_times(session *s) {
  FILE *err = s->err;
  double llvm = s->llvm_build_ms + s->llvm_opt_ms + s->llvm_codegen_ms;
  fprintf(err, "time: %d function(s), text to PTX %.1f ms\n", s->functions,
          s->frontend_ms + s->passes_ms + llvm);
  fprintf(err, "  %-24s %8.2f ms\n", "frontend", s->frontend_ms);
  fprintf(err, "  %-24s %8.2f ms\n", "passes", s->passes_ms);
  for (int i = 0; i < ir_pass_count; i++)
    fprintf(err, "    %-22s %8.2f ms\n", ir_passes[i].name, s->pass_ms[i]);
  fprintf(err, "  %-24s %8.2f ms\n", "LLVM IR construction", s->llvm_build_ms);
  fprintf(err, "  %-24s %8.2f ms\n", "LLVM passes", s->llvm_opt_ms);
  fprintf(err, "  %-24s %8.2f ms\n", "LLVM code generation", s->llvm_codegen_ms);
  fprintf(err, "  %-24s %8.2f ms\n", "ptxas (own processes)", s->ptxas_ms);
}

int cg_compile(const cg_options *options, const char *text, size_t len, tl_buf *out, FILE *err) {
  session s = {.options = options, .out = out, .err = err};
  s.ptxas = options->no_ptxas ? NULL : cg_find_ptxas();
  s.sources.arena = &s.arena;
  tl_diags_init(&s.diags, &s.arena, &s.sources);
  s.diags.remarks = options->remarks;
  s.diags.werror = options->werror;
  bool is_text = options->from == CG_TIR || options->from == CG_SIR;
  int code = is_text ? from_text(&s, text, len) : from_source(&s, text, len);
  tl_diags_print(&s.diags, err);
  if (!code && failed(&s))
    code = 1;
  if (options->time_report)
    report_times(&s);
  tl_arena_free(&s.arena);
  return code;
}
