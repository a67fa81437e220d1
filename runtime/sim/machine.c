// The outer API: machines, modules, launches, errors. See sim_api.h.
#include "runtime/sim/async.h"
#include "lang/base/assert.h"
#include "lang/target.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

const char *sim_verdict_name(sim_verdict verdict) {
  static const char *const names[] = {
      "ok",          "unsupported",  "bad_ptx",           "bad_launch",
      "bad_address", "misaligned",   "uninit_read",       "race",
      "proxy_race",  "deadlock",     "divergent_aligned", "mbar_misuse",
      "tx_overflow", "inflight_reg", "pending_async",     "trap",
      "step_limit"};
  return (size_t)verdict < sizeof names / sizeof *names ? names[verdict] : "?";
}

void sim_options_default(sim_options *options) {
  *options = (sim_options){.schedule = SIM_RR,
                           .async = SIM_ASYNC_LAZY,
                           .check_bounds = true,
                           .check_uninit = true,
                           .check_race = true};
}

// --- errors -------------------------------------------------------------------------------------
void sim_machine_error(sim_machine *machine, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  machine->error.len = 0;
  tl_buf_vprintf(&machine->error, fmt, args);
  va_end(args);
}

const char *sim_error(const sim_machine *machine) {
  return machine->error.data ? machine->error.data : "";
}

// The .tile line of the first op of a PTX line; NULL: unknown.
static const sim_loc *loc_of_line(const sim_program *program, uint32_t line) {
  for (uint32_t i = 0; i < program->nops; i++)
    if (program->ops[i].line == line)
      return &program->locs[program->ops[i].loc];
  return NULL;
}

static void print_loc(tl_buf *out, const char *what, const sim_loc *loc) {
  if (loc && loc->line)
    tl_buf_printf(out, "%s%s:%d", what, loc->path ? loc->path : "?", loc->line);
}

// `earlier`: PTX line of the other instruction involved, or 0.
static void report(sim_warp *w, const sim_op *op, uint32_t lanes, sim_verdict verdict,
                   uint32_t earlier, const char *text) {
  sim_launch_state *launch = w->cta->launch;
  if (launch->verdict != SIM_OK)
    return;
  launch->verdict = verdict;
  tl_buf line = {0};
  const sim_program *program = w->cta->program;
  const ptx_instr *instr = op ? program->instrs[op - program->ops] : NULL;
  tl_buf_printf(&line, "%s:%u: %s: %s", launch->module->ptx->path, op ? op->line : 0,
                sim_verdict_name(verdict), text);
  tl_buf_printf(&line, "\n  in %s, CTA (%u,%u,%u), warp %u", program->entry, w->cta->id[0],
                w->cta->id[1], w->cta->id[2], w->index);
  if (lanes)
    tl_buf_printf(&line, ", lanes %08x", lanes);
  print_loc(&line, "\n  from ", op ? &program->locs[op->loc] : NULL);
  print_loc(&line, "\n  the earlier one from ", earlier ? loc_of_line(program, earlier) : NULL);
  if (instr) {
    tl_buf_puts(&line, "\n  ");
    ptx_print_instr(instr, &line);
  }
  sim_machine_error(launch->machine, "%s", line.data);
  tl_buf_free(&line);
}

void sim_fail(sim_warp *w, const sim_op *op, uint32_t lanes, sim_verdict verdict, const char *fmt,
              ...) {
  tl_buf text = {0};
  va_list args;
  va_start(args, fmt);
  tl_buf_vprintf(&text, fmt, args);
  va_end(args);
  report(w, op, lanes, verdict, 0, text.data);
  tl_buf_free(&text);
}

void sim_fail_memory(sim_warp *w, const sim_op *op) {
  const sim_fault *fault = w->view.fault;
  report(w, op, fault->lane >= 0 ? 1u << fault->lane : 0, fault->verdict, fault->earlier,
         fault->text);
}

// --- machines -----------------------------------------------------------------------------------
sim_machine *sim_create(const char *arch, const sim_options *options) {
  const tl_target *target = tl_target_by_name(arch);
  sim_arch which;
  if (!target || !sim_arch_of_name(arch, &which))
    return NULL;
  sim_machine *machine = calloc(1, sizeof *machine);
  TL_ASSERT(machine, "out of memory");
  if (options)
    machine->options = *options;
  else
    sim_options_default(&machine->options);
  machine->arch_name = target->name;
  machine->arch = which;
  machine->capability = target->capability;
  machine->max_shared_bytes = (uint32_t)target->smem_cta_bytes;
  machine->mem = sim_mem_new();
  machine->race = sim_race_new();
  machine->form_counts = calloc(2 * PTX_FORM_COUNT, sizeof *machine->form_counts);
  TL_ASSERT(machine->form_counts, "out of memory");
  machine->form_partial = machine->form_counts + PTX_FORM_COUNT;
  return machine;
}

void sim_destroy(sim_machine *machine) {
  if (!machine)
    return;
  sim_mem_free(machine->mem);
  sim_race_free(machine->race);
  tl_buf_free(&machine->error);
  free(machine->form_counts);
  tl_arena_free(&machine->arena);
  free(machine);
}

sim_options *sim_machine_options(sim_machine *machine) { return &machine->options; }
uint64_t sim_alloc(sim_machine *machine, size_t bytes, const char *name) {
  return sim_mem_alloc(machine->mem, bytes, name);
}
bool sim_free(sim_machine *machine, uint64_t address) {
  return sim_mem_release(machine->mem, address);
}
bool sim_write(sim_machine *machine, uint64_t address, const void *bytes, size_t len) {
  return sim_mem_host_write(machine->mem, address, bytes, len);
}
bool sim_read(sim_machine *machine, uint64_t address, void *out_bytes, size_t len) {
  return sim_mem_host_read(machine->mem, address, out_bytes, len);
}
bool sim_written(sim_machine *machine, uint64_t address, uint8_t *out, size_t len) {
  return sim_mem_host_written(machine->mem, address, out, len);
}
bool sim_poison(sim_machine *machine, uint64_t address, const void *bytes, size_t len) {
  return sim_mem_host_poison(machine->mem, address, bytes, len);
}

// --- modules ------------------------------------------------------------------------------------
const sim_symbol *sim_find_symbol(const sim_module *module, const char *name) {
  for (uint32_t i = 0; i < module->symbols.len; i++)
    if (strcmp(module->symbols.data[i].name, name) == 0)
      return &module->symbols.data[i];
  return NULL;
}

static void write_initialiser(sim_module *module, const ptx_var *var, uint8_t *out,
                              uint64_t bytes) {
  uint64_t elem = (uint64_t)(ptx_type_bits(var->type) + 7) / 8;
  for (uint32_t i = 0; i < var->inits.len && (i + 1) * elem <= bytes; i++) {
    const ptx_init *init = &var->inits.data[i];
    uint64_t value = init->value.bits;
    const sim_symbol *symbol = init->symbol ? sim_find_symbol(module, init->symbol) : NULL;
    if (symbol)
      value = symbol->address + (uint64_t)init->offset +
              (init->generic ? sim_window_of(symbol->space) : 0);
    if (!init->symbol && init->value.kind == PTX_OPD_F64 && elem == 4)
      value = tl_bits_of_f32((float)tl_f64_of_bits(value));
    memcpy(out + i * elem, &value, elem < 8 ? elem : 8);
  }
}

static bool init_symbols_known(sim_module *module, const ptx_var *var) {
  for (uint32_t i = 0; i < var->inits.len; i++)
    if (var->inits.data[i].symbol && !sim_find_symbol(module, var->inits.data[i].symbol)) {
      sim_machine_error(module->machine, "%s:%d: error: unknown symbol '%s' in an initialiser",
                        module->ptx->path, var->line, var->inits.data[i].symbol);
      return false;
    }
  return true;
}

// Places .global variables in global memory and .const ones in the constant bank, then writes both.
static bool place_variables(sim_module *module) {
  const ptx_module *ptx = module->ptx;
  uint64_t const_bytes = 0;
  for (uint32_t i = 0; i < ptx->vars.len; i++) {
    const ptx_var *var = ptx->vars.data[i];
    uint64_t bytes = ptx_var_bytes(var), align = ptx_var_align(var);
    sim_symbol symbol = {.name = var->name, .bytes = bytes};
    if (bytes > (var->space == PTX_SPACE_CONST ? UINT64_C(65536) : UINT64_C(1) << 34)) {
      sim_machine_error(module->machine, "%s:%d: error: variable '%s' is too large", ptx->path,
                        var->line, var->name);
      return false;
    }
    if (var->linkage == PTX_EXTERN ||
        (var->space != PTX_SPACE_GLOBAL && var->space != PTX_SPACE_CONST))
      continue;
    if (var->space == PTX_SPACE_GLOBAL) {
      symbol.space = SIM_SPACE_GLOBAL;
      symbol.address = sim_mem_alloc(module->machine->mem, bytes ? bytes : 1, var->name);
      tl_push(&module->arena, &module->globals, symbol.address);
    } else {
      const_bytes = (const_bytes + align - 1) & ~(align - 1);
      symbol.space = SIM_SPACE_CONST;
      symbol.address = SIM_CONST_FIRST + const_bytes;
      const_bytes += bytes;
    }
    tl_push(&module->arena, &module->symbols, symbol);
  }
  if (const_bytes) {
    sim_region_init(&module->constant, SIM_SPACE_CONST, SIM_CONST_FIRST, const_bytes,
                    "constant memory");
    module->has_constant = true;
  }
  for (uint32_t i = 0; i < ptx->vars.len; i++) {
    const ptx_var *var = ptx->vars.data[i];
    const sim_symbol *symbol = sim_find_symbol(module, var->name);
    if (!symbol)
      continue;
    if (!init_symbols_known(module, var))
      return false;
    uint8_t *image = tl_alloc(&module->arena, symbol->bytes + 1); // zeroed: the default of PTX
    write_initialiser(module, var, image, symbol->bytes);
    if (symbol->space == SIM_SPACE_GLOBAL)
      sim_mem_host_write(module->machine->mem, symbol->address, image, symbol->bytes);
    else
      sim_region_write(&module->constant, symbol->address - SIM_CONST_FIRST, image, symbol->bytes);
  }
  module->constant.read_only = true;
  return true;
}

static sim_verdict decode_entries(sim_module *module) {
  for (uint32_t i = 0; i < module->ptx->funcs.len; i++) {
    const ptx_func *func = module->ptx->funcs.data[i];
    sim_verdict verdict;
    if (!func->is_entry || !func->has_body)
      continue;
    const sim_program *program = sim_decode(module, func, &verdict);
    if (!program)
      return verdict;
    tl_push(&module->arena, &module->programs, program);
  }
  return SIM_OK;
}

// Plain targets run on everything later; "a" and "f" targets only within their family.
static bool target_fits(const sim_machine *machine, const char *target) {
  char suffix = 0;
  int number = 0;
  if (sscanf(target, "sm_%d%c", &number, &suffix) < 1)
    return false;
  if (suffix == 'a' || suffix == 'f')
    return number / 10 == machine->capability / 10;
  return number <= machine->capability;
}

sim_module *sim_load_ptx(sim_machine *machine, const char *path, const char *text, size_t len,
                         sim_verdict *out_verdict) {
  sim_module *module = calloc(1, sizeof *module);
  const char *error;
  sim_verdict verdict = SIM_BAD_PTX;
  TL_ASSERT(module, "out of memory");
  module->machine = machine;
  module->ptx = ptx_parse(&module->arena, path, text, len, &error);
  if (!module->ptx)
    sim_machine_error(machine, "%s", error);
  else if (!target_fits(machine, module->ptx->target)) {
    verdict = SIM_UNSUPPORTED;
    sim_machine_error(machine, "%s: error: .target %s does not run on %s", path,
                      module->ptx->target, machine->arch_name);
  } else if (place_variables(module))
    verdict = decode_entries(module);
  if (out_verdict)
    *out_verdict = verdict;
  if (verdict == SIM_OK)
    return module;
  sim_unload(module);
  return NULL;
}

void sim_unload(sim_module *module) {
  if (!module)
    return;
  for (uint32_t i = 0; i < module->globals.len; i++)
    sim_mem_release(module->machine->mem, module->globals.data[i]);
  if (module->has_constant)
    sim_region_free(&module->constant);
  tl_arena_free(&module->arena);
  free(module);
}

static const sim_program *find_program(const sim_module *module, const char *entry) {
  for (uint32_t i = 0; i < module->programs.len; i++)
    if (strcmp(module->programs.data[i]->entry, entry) == 0)
      return module->programs.data[i];
  return NULL;
}

bool sim_entry_params(const sim_module *module, const char *entry, int *out_count,
                      const uint32_t **out_offsets, const uint32_t **out_sizes) {
  const sim_program *program = find_program(module, entry);
  if (!program)
    return false;
  *out_count = (int)program->nparams;
  *out_offsets = program->param_offsets;
  *out_sizes = program->param_sizes;
  return true;
}

// --- launches -----------------------------------------------------------------------------------
static sim_verdict bad_launch(sim_machine *machine, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static sim_verdict bad_launch(sim_machine *machine, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  machine->error.len = 0;
  tl_buf_puts(&machine->error, "bad_launch: ");
  tl_buf_vprintf(&machine->error, fmt, args);
  va_end(args);
  return SIM_BAD_LAUNCH;
}

static sim_verdict check_launch(sim_machine *machine, const sim_program *program,
                                const sim_launch_desc *desc) {
  uint64_t threads = (uint64_t)desc->block[0] * desc->block[1] * desc->block[2];
  uint64_t ctas = (uint64_t)desc->grid[0] * desc->grid[1] * desc->grid[2];
  if (!ctas || desc->grid[1] > 65535 || desc->grid[2] > 65535 || desc->grid[0] > INT32_MAX)
    return bad_launch(machine, "grid %ux%ux%u", desc->grid[0], desc->grid[1], desc->grid[2]);
  if (!threads || threads > 1024 || desc->block[2] > 64)
    return bad_launch(machine, "block %ux%ux%u", desc->block[0], desc->block[1], desc->block[2]);
  for (int k = 0; k < 3; k++) {
    if (program->reqntid[0] && desc->block[k] != (uint32_t)program->reqntid[k])
      return bad_launch(machine, "the kernel requires a block of %dx%dx%d", program->reqntid[0],
                        program->reqntid[1], program->reqntid[2]);
    if (desc->cluster[k] > 1 && desc->grid[k] % desc->cluster[k])
      return bad_launch(machine, "the grid is not a multiple of the cluster");
  }
  if (program->maxntid[0] && threads > (uint64_t)program->maxntid[0] *
                                           (uint64_t)program->maxntid[1] *
                                           (uint64_t)program->maxntid[2])
    return bad_launch(machine, "%u threads, but .maxntid says %d", (unsigned)threads,
                      program->maxntid[0] * program->maxntid[1] * program->maxntid[2]);
  if ((uint64_t)program->shared_bytes + desc->dynamic_smem_bytes > machine->max_shared_bytes)
    return bad_launch(machine, "%u + %u bytes of shared memory, %s has %u", program->shared_bytes,
                      desc->dynamic_smem_bytes, machine->arch_name, machine->max_shared_bytes);
  if (desc->params_bytes != program->params_bytes)
    return bad_launch(machine, "%zu bytes of parameters, '%s' takes %u", desc->params_bytes,
                      program->entry, program->params_bytes);
  uint64_t cluster = (uint64_t)desc->cluster[0] * desc->cluster[1] * desc->cluster[2];
  if (cluster > SIM_CLUSTER_MAX)
    return bad_launch(machine, "a cluster of %u CTAs: %d are possible", (unsigned)cluster,
                      SIM_CLUSTER_MAX);
  if (cluster > 1 && machine->capability < 90)
    return bad_launch(machine, "%s has no clusters", machine->arch_name);
  for (int k = 0; k < 3; k++)
    if (program->reqcluster[0] > 0 && desc->cluster[k] != (uint32_t)program->reqcluster[k])
      return bad_launch(machine, "the kernel requires a cluster of %dx%dx%d",
                        program->reqcluster[0], program->reqcluster[1], program->reqcluster[2]);
  return SIM_OK;
}

double sim_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

sim_verdict sim_launch(sim_module *module, const sim_launch_desc *desc) {
  sim_machine *machine = module->machine;
  const sim_program *program = find_program(module, desc->entry);
  machine->error.len = 0;
  if (machine->error.data)
    machine->error.data[0] = 0;
  if (!program)
    return bad_launch(machine, "no entry '%s'", desc->entry);
  sim_launch_desc effective = *desc;
  bool given = desc->cluster[0] > 1 || desc->cluster[1] > 1 || desc->cluster[2] > 1;
  for (int k = 0; k < 3; k++) { // the directive decides where the launch says nothing
    if (!given && program->reqcluster[0] > 0)
      effective.cluster[k] = (uint32_t)program->reqcluster[k];
    if (!effective.cluster[k])
      effective.cluster[k] = 1;
  }
  desc = &effective;
  sim_verdict verdict = check_launch(machine, program, desc);
  if (verdict != SIM_OK)
    return verdict;
  double start = sim_now();
  machine->counters = (sim_counters){0};
  memset(machine->form_counts, 0, 2 * PTX_FORM_COUNT * sizeof *machine->form_counts);
  uint32_t threads = desc->block[0] * desc->block[1] * desc->block[2];
  sim_launch_state launch = {.machine = machine,
                             .module = module,
                             .program = program,
                             .desc = desc,
                             .rng = machine->options.seed * UINT64_C(0x2545F4914F6CDD1D) + 1,
                             .shared_total = program->shared_bytes + desc->dynamic_smem_bytes,
                             .nwarps = (threads + 31) / 32};
  sim_region_init(&launch.param, SIM_SPACE_PARAM, SIM_PARAM_FIRST, program->params_bytes + 1,
                  "parameters");
  sim_region_write(&launch.param, 0, desc->params, desc->params_bytes);
  launch.param.read_only = true;
  sim_race_begin(machine->race, launch.nwarps,
                 (uint64_t)desc->grid[0] * desc->grid[1] * desc->grid[2], desc->grid,
                 desc->dependent);
  sim_run_grid(&launch);
  sim_region_free(&launch.param);
  machine->counters.seconds = sim_now() - start;
  return launch.verdict;
}

const sim_counters *sim_stats(const sim_machine *machine) { return &machine->counters; }
