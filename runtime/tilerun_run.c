// What tilerun does once it knows its arguments: compile or load, run on a device or on the
// reference evaluator, compare, measure, write files.
#include "lang/base/str.h"
#include "runtime/compiler_load.h"
#include "runtime/device.h"
#include "runtime/select.h"
#include "runtime/status.h"
#include "runtime/tilerun.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct session {
  const run_options *options;
  bool is_ref, is_source; // --device=ref; FILE is a .tile
  const char *arch;
  const char *variant; // forced, or NULL
  int sum_bits;        // of the variant that ran; 0: none has
  tile_ctx *ctx;
  tile_device *device; // NULL for ref
  tile_module *module;
  tile_kernel *kernel;
  run_case call;
  tl_arena arena;
} session;

int run_report(tile_status status) {
  if (status == TILE_OK)
    return RUN_OK;
  const char *text = tile_last_error();
  size_t len = strlen(text);
  // The compiler's diagnostics come printed, with their own places and line ends.
  bool printed = len && text[len - 1] == '\n';
  fprintf(stderr, printed ? "%s" : "tilerun: %s\n", text);
  switch (status) {
  case TILE_E_CHECK:
    return RUN_CHECK_FAILED;
  case TILE_E_INTERNAL:
    return RUN_INTERNAL;
  default:
    return RUN_BAD_INPUT;
  }
}

// --- loading -----------------------------------------------------------------------------------

static tile_status open_device(session *s) {
  TILE_TRY(tile_ctx_create(TILE_ABI, &s->ctx));
  s->is_ref = strcmp(s->options->device, "ref") == 0;
  s->arch = "sm_90a"; // what arch() says to the reference evaluator
  if (s->is_ref)
    return TILE_OK;
  TILE_TRY(tile_device_open(s->ctx, s->options->device, &s->device));
  s->arch = tile_device_arch(s->device);
  return TILE_OK;
}

// Only what this run needs: one kernel, one architecture, and no assembler where PTX is enough.
static tile_status compile_source(session *s) {
  const run_options *o = s->options;
  const char *flags[RUN_MAX_FLAGS + 4];
  int count = 0;
  for (; count < o->nflags; count++)
    flags[count] = o->flags[count];
  flags[count++] = tl_sprintf(&s->arena, "--arch=%s", s->arch);
  flags[count++] = tl_sprintf(&s->arena, "--kernel=%s", o->kernel);
  if (!o->variant)
    flags[count++] = "--default-only";
  if (!tl_starts_with(o->device, "cuda"))
    flags[count++] = "--no-ptxas";
  return tile_module_compile(s->ctx, o->file, NULL, 0, flags, count, &s->module);
}

static bool has_word(const char *settings, const char *word, size_t len) {
  for (const char *at = settings; (at = strstr(at, word)); at++)
    if ((at == settings || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
      return true;
  return false;
}

// With a .tla, --set picks among the variants that are there.
static tile_status pick_by_settings(session *s) {
  const run_options *o = s->options;
  for (int i = 0; i < s->kernel->nvariants; i++) {
    const tile_variant *variant = &s->kernel->variants[i];
    bool fits = strcmp(variant->arch, s->arch) == 0;
    for (int j = 0; j < o->nsets && fits; j++) {
      const char *word = tl_sprintf(&s->arena, "%s=%s", o->sets[j].name, o->sets[j].value);
      fits = has_word(variant->settings, word, strlen(word));
    }
    if (fits) {
      s->variant = variant->name;
      return TILE_OK;
    }
  }
  return tile_fail(TILE_E_NO_VARIANT, "%s has no variant of '%s' for %s with these settings",
                   o->file, o->kernel, s->arch);
}

static tile_status open_module(session *s) {
  const run_options *o = s->options;
  s->is_source = tl_ends_with(o->file, ".tile");
  if (s->is_source)
    TILE_TRY(compile_source(s));
  else
    TILE_TRY(tile_module_load_file(s->ctx, o->file, &s->module));
  TILE_TRY(tile_kernel_get(s->module, o->kernel, &s->kernel));
  s->variant = o->variant;
  if (!s->is_source && o->nsets && !o->variant && !s->is_ref)
    TILE_TRY(pick_by_settings(s));
  return TILE_OK;
}

// --- on a device -------------------------------------------------------------------------------

enum { POISON = 0xFF, OTHER_POISON = 0x55 };

static tile_status upload(session *s, run_tensor *tensor, uint8_t poison) {
  if (!tensor->address)
    TILE_TRY(tile_buffer_create(s->device, tensor->bytes, tensor->param->name, &tensor->address));
  if (tensor->fill == RUN_POISON)
    return tile_buffer_fill(s->device, tensor->address, poison, tensor->bytes, 1);
  return tile_buffer_write(s->device, tensor->address, tensor->host, tensor->bytes);
}

static tile_status upload_all(session *s, uint8_t poison) {
  for (int i = 0; i < s->kernel->nparams; i++)
    if (s->kernel->params[i].is_tensor)
      TILE_TRY(upload(s, &s->call.tensors[i], poison));
  return TILE_OK;
}

static tile_status make_plan(session *s, tile_plan **out) {
  tile_arg args[TILE_MAX_PARAMS];
  for (int i = 0; i < s->kernel->nparams; i++) {
    const run_tensor *tensor = &s->call.tensors[i];
    args[i] = s->call.bound.args[i];
    if (tensor->param->is_tensor)
      args[i] = (tile_arg){.kind = TILE_ARG_TENSOR,
                           .tensor = {tensor->address, tensor->shape, tensor->stride,
                                      tensor->param->ndim, (int32_t)tensor->param->dtype}};
  }
  tile_plan_opts opts = {sizeof opts, s->variant};
  return tile_plan_create(s->kernel, s->device, args, s->kernel->nparams, &opts, out);
}

static bool is_output(const tile_param *param) { return param->is_tensor && param->dir != TILE_IN; }

static tile_status download(session *s, run_tensor *tensor, unsigned char **out) {
  if (!*out && !(*out = malloc(tensor->bytes ? tensor->bytes : 1)))
    return tile_fail(TILE_E_NOMEM, "out of memory: %zu bytes", tensor->bytes);
  return tile_buffer_read(s->device, tensor->address, *out, tensor->bytes);
}

static tile_status run_once(session *s, tile_plan *plan) {
  TILE_TRY(tile_plan_run(plan, NULL, NULL, 0, NULL));
  TILE_TRY(tile_device_sync(s->device));
  for (int i = 0; i < s->kernel->nparams; i++)
    if (s->kernel->params[i].is_tensor)
      TILE_TRY(download(s, &s->call.tensors[i], &s->call.tensors[i].result));
  return TILE_OK;
}

// Which bytes of a poisoned output the run wrote. A device that cannot tell has run again over
// other poison: `again` is what it left.
static tile_status find_written(session *s, run_tensor *tensor, const unsigned char *again) {
  tensor->written = malloc(tensor->bytes + 1);
  if (!tensor->written)
    return tile_fail(TILE_E_NOMEM, "out of memory: %zu bytes", tensor->bytes);
  if (!again)
    return tensor->bytes
               ? s->device->ops->written(s->device, tensor->address, tensor->written, tensor->bytes)
               : TILE_OK;
  for (size_t i = 0; i < tensor->bytes; i++)
    tensor->written[i] = tensor->result[i] != POISON || again[i] != OTHER_POISON;
  return TILE_OK;
}

static tile_status find_all_written(session *s, tile_plan *plan) {
  bool run_again = !s->device->ops->written;
  if (run_again) {
    TILE_TRY(upload_all(s, OTHER_POISON));
    TILE_TRY(tile_plan_run(plan, NULL, NULL, 0, NULL));
    TILE_TRY(tile_device_sync(s->device));
  }
  for (int i = 0; i < s->kernel->nparams; i++) {
    run_tensor *tensor = &s->call.tensors[i];
    unsigned char *again = NULL;
    if (!is_output(tensor->param) || tensor->fill != RUN_POISON)
      continue;
    tile_status status = run_again ? download(s, tensor, &again) : TILE_OK;
    if (status == TILE_OK)
      status = find_written(s, tensor, again);
    free(again);
    TILE_TRY(status);
  }
  return TILE_OK;
}

static tile_status set_schedule(session *s, int schedule, int async, uint64_t seed) {
  tile_sim_opts opts = {.size = sizeof opts,
                        .seed = seed,
                        .schedule = schedule,
                        .async = async,
                        .step_limit = s->options->step_limit};
  return tl_starts_with(s->options->device, "sim:") ? tile_device_sim_options(s->device, &opts)
                                                    : TILE_OK;
}

static void print_plan(session *s, const tile_plan *plan) {
  tile_info info = {.size = sizeof info};
  if (tile_plan_info(plan, &info) != TILE_OK)
    return;
  s->sum_bits = info.sum_bits;
  printf("%s[%s] on %s (%s, %s): grid %ux%ux%u, %u threads, %u bytes of shared memory\n",
         s->kernel->name, info.variant, s->options->device, tile_device_name(s->device), info.arch,
         info.grid[0], info.grid[1], info.grid[2], info.threads, info.smem_bytes);
}

// Runs again; the bits must be those of the first run.
static tile_status run_again(session *s, tile_plan *plan, int async, uint64_t seed) {
  TILE_TRY(set_schedule(s, 1, async, seed));
  TILE_TRY(upload_all(s, POISON));
  TILE_TRY(tile_plan_run(plan, NULL, NULL, 0, NULL));
  for (int i = 0; i < s->kernel->nparams; i++) {
    run_tensor *tensor = &s->call.tensors[i];
    unsigned char *again = NULL;
    if (!is_output(tensor->param))
      continue;
    tile_status status = download(s, tensor, &again);
    bool same = status == TILE_OK && memcmp(again, tensor->result, tensor->bytes) == 0;
    free(again);
    TILE_TRY(status);
    if (!same)
      return tile_fail(TILE_E_CHECK,
                       "'%s' differs between schedule %s and random with seed %llu, async %s",
                       tensor->param->name, run_schedule_names[s->options->schedule],
                       (unsigned long long)seed, run_async_names[async]);
  }
  return TILE_OK;
}

// Other seeds, and with --async=all every seed in every mode.
static tile_status run_schedules(session *s, tile_plan *plan) {
  const run_options *o = s->options;
  bool all = o->async == RUN_ASYNC_ALL;
  int first = all ? 0 : o->async, end = all ? RUN_ASYNC_ALL : o->async + 1;
  for (int n = 0; n < o->schedules; n++)
    for (int async = first; async < end; async++)
      if (n || async > first) // the first of all has run
        TILE_TRY(run_again(s, plan, async, o->seed + (uint64_t)n));
  if (all)
    printf("schedules: %d x %d async modes, identical bits\n", o->schedules, RUN_ASYNC_ALL);
  else
    printf("schedules: %d, identical bits\n", o->schedules);
  return TILE_OK;
}

// --- measuring ---------------------------------------------------------------------------------

// Every tensor moved once, unless --bytes says otherwise.
static tile_status traffic(session *s, int64_t *out) {
  if (s->options->bytes)
    return tile_bound_eval(&s->call.bound, s->options->bytes, "--bytes", out);
  *out = 0;
  for (int i = 0; i < s->kernel->nparams; i++)
    *out += (int64_t)s->call.tensors[i].bytes * (s->kernel->params[i].dir == TILE_INOUT ? 2 : 1);
  return TILE_OK;
}

static tile_status bench(session *s, tile_plan *plan) {
  double median, least;
  int64_t bytes, flops = 0;
  TILE_TRY(traffic(s, &bytes));
  if (s->options->flops)
    TILE_TRY(tile_bound_eval(&s->call.bound, s->options->flops, "--flops", &flops));
  TILE_TRY(tile_plan_bench(plan, NULL, s->options->bench, &median, &least));
  printf("time: median %.4f ms, min %.4f ms of %d, L2 cold", median, least, s->options->bench);
  if (flops)
    printf("; %.1f TFLOP/s", (double)flops / (median * 1e9));
  printf("; %.1f GB/s\n", (double)bytes / (median * 1e6));
  return TILE_OK;
}

static tile_status run_device(session *s) {
  tile_plan *plan;
  int async = s->options->async == RUN_ASYNC_ALL ? 0 : s->options->async;
  TILE_TRY(set_schedule(s, s->options->schedule, async, s->options->seed));
  TILE_TRY(upload_all(s, POISON));
  TILE_TRY(make_plan(s, &plan));
  print_plan(s, plan);
  tile_status status = run_once(s, plan);
  if (status == TILE_OK && s->options->check_ref)
    status = find_all_written(s, plan);
  if (status == TILE_OK && s->options->schedules)
    status = run_schedules(s, plan);
  if (status == TILE_OK && s->options->bench)
    status = bench(s, plan);
  tile_plan_destroy(plan);
  return status;
}

// --- the reference -----------------------------------------------------------------------------

// The source of a .tla lies where the compiler found it, or beside the .tla.
static char *find_source(session *s, const char **out_path, size_t *out_len) {
  const char *recorded = s->kernel->source, *slash = strrchr(s->options->file, '/');
  const char *name = strrchr(recorded, '/') ? strrchr(recorded, '/') + 1 : recorded;
  const char *beside = tl_sprintf(
      &s->arena, "%.*s%s", slash ? (int)(slash - s->options->file) + 1 : 0, s->options->file, name);
  const char *places[] = {s->options->source, recorded, beside};
  if (s->is_source)
    places[0] = s->options->file;
  for (int i = 0; i < 3; i++) {
    char *text = places[i] ? tl_read_file(places[i], out_len) : NULL;
    *out_path = places[i];
    if (text || places[0]) // a place that was named is the only one
      return text;
  }
  *out_path = recorded;
  return NULL;
}

// The settings that shape the kernel: those of the user, or of the variant that ran.
static int reference_flags(session *s, const char **flags) {
  const run_options *o = s->options;
  int count = 0;
  for (; count < o->nflags; count++)
    flags[count] = o->flags[count];
  flags[count++] = tl_sprintf(&s->arena, "--arch=%s", s->arch);
  if (s->is_source || o->nsets)
    return count;
  const char *settings = s->kernel->nvariants ? s->kernel->variants[0].settings : "";
  for (int i = 0; i < s->kernel->nvariants; i++) {
    const tile_variant *variant = &s->kernel->variants[i];
    if (s->variant ? strcmp(variant->name, s->variant) == 0 : variant->is_default)
      settings = variant->settings;
  }
  char *word = tl_strdup(&s->arena, settings);
  for (word = strtok(word, " "); word && count + 2 < RUN_MAX_FLAGS; word = strtok(NULL, " ")) {
    flags[count++] = "--set";
    flags[count++] = word;
  }
  return count;
}

static tile_status reference_args(session *s, tilec_ref_arg *args) {
  for (int i = 0; i < s->kernel->nparams; i++) {
    run_tensor *tensor = &s->call.tensors[i];
    const tile_arg *arg = &s->call.bound.args[i];
    args[i].name = tensor->param->name;
    if (!tensor->param->is_tensor) {
      args[i].scalar = arg->kind == TILE_ARG_FLOAT ? arg->f : (double)arg->i;
      args[i].integer = arg->i;
      continue;
    }
    tensor->reference = malloc(tensor->bytes ? tensor->bytes : 1);
    if (!tensor->reference)
      return tile_fail(TILE_E_NOMEM, "out of memory: %zu bytes", tensor->bytes);
    memcpy(tensor->reference, tensor->host, tensor->bytes);
    args[i].data = tensor->reference;
    args[i].bytes = tensor->bytes;
    args[i].ndim = tensor->param->ndim;
    args[i].shape = tensor->shape;
    args[i].stride = tensor->stride;
  }
  return TILE_OK;
}

// The evaluator trusts its arguments: check them as a launch would.
static tile_status check_contract(session *s) {
  tile_arg args[TILE_MAX_PARAMS];
  tile_bound bound;
  const tile_variant *variant;
  for (int i = 0; i < s->kernel->nparams; i++) {
    const run_tensor *tensor = &s->call.tensors[i];
    args[i] = s->call.bound.args[i];
    if (tensor->param->is_tensor)
      args[i] = (tile_arg){.kind = TILE_ARG_TENSOR,
                           .tensor = {NULL, tensor->shape, tensor->stride, tensor->param->ndim,
                                      (int32_t)tensor->param->dtype}};
  }
  TILE_TRY(tile_bind(s->kernel, args, s->kernel->nparams, &bound));
  for (int i = 0; i < s->kernel->nvariants; i++)
    if (strcmp(s->kernel->variants[i].arch, s->arch) == 0)
      return tile_select(&bound, &(tile_target){s->arch, "", 1}, NULL, &variant, NULL);
  return tile_bound_check_shapes(&bound);
}

static tile_status run_reference(session *s) {
  const tilec_api *api;
  const char *path, *flags[RUN_MAX_FLAGS + 4];
  size_t len = 0;
  TILE_TRY(check_contract(s));
  TILE_TRY(tile_compiler_get(&api));
  char *text = find_source(s, &path, &len);
  if (!text)
    return tile_fail(TILE_E_IO, "%s: %s%s", path, strerror(errno),
                     s->is_source ? "" : "; the reference needs the source: give --source=FILE");
  tilec_ref_arg args[TILE_MAX_PARAMS] = {{0}};
  tile_status status = reference_args(s, args);
  char *said = NULL;
  tilec_ref_result result = TILEC_REF_DONE;
  if (status == TILE_OK)
    result = api->reference(path, text, len, s->kernel->name, flags, reference_flags(s, flags),
                            args, s->kernel->nparams, &said);
  if (result != TILEC_REF_DONE)
    status = tile_fail(result == TILEC_REF_FAILED ? TILE_E_CHECK : TILE_E_INVALID, "%s",
                       said && *said ? said : "the reference evaluator failed");
  else if (said && s->is_ref) // beside a device, the device has printed it
    fputs(said, stdout);
  free(said);
  free(text);
  return status;
}

// --- results -----------------------------------------------------------------------------------

static int check_outputs(const session *s) {
  int code = RUN_OK;
  for (int i = 0; i < s->kernel->nparams; i++) {
    const run_tensor *tensor = &s->call.tensors[i];
    if (!is_output(tensor->param))
      continue;
    check_array got = run_array(tensor, tensor->result, tensor->written),
                want = run_array(tensor, tensor->reference, NULL);
    check_result result;
    check_compare(&got, &want, s->sum_bits ? s->sum_bits : CHECK_SUM_BITS, &result);
    check_print(stdout, tensor->param->name, &got, &want, &result);
    if (!result.passed)
      code = RUN_CHECK_FAILED;
  }
  return code;
}

static const run_tensor *tensor_named(const session *s, const char *name) {
  for (int i = 0; i < s->kernel->nparams; i++)
    if (s->kernel->params[i].is_tensor && strcmp(s->kernel->params[i].name, name) == 0)
      return &s->call.tensors[i];
  return NULL;
}

static int check_out_names(const session *s) {
  for (int i = 0; i < s->options->nouts; i++)
    if (!tensor_named(s, s->options->outs[i].name)) {
      fprintf(stderr, "tilerun: --out %s=...: the kernel has no such tensor\n",
              s->options->outs[i].name);
      return RUN_USAGE;
    }
  return RUN_OK;
}

static tile_status write_outputs(const session *s) {
  for (int i = 0; i < s->options->nouts; i++) {
    const run_tensor *tensor = tensor_named(s, s->options->outs[i].name);
    const unsigned char *bytes = s->is_ref ? tensor->reference : tensor->result;
    TILE_TRY(run_write_npy(s->options->outs[i].value, tensor, bytes));
  }
  return TILE_OK;
}

static int run_case_on(session *s) {
  int code = run_make_case(s->options, s->kernel, &s->call);
  if (code == RUN_OK)
    code = check_out_names(s);
  if (code == RUN_OK && !s->is_ref)
    code = run_report(run_device(s));
  if (code == RUN_OK && (s->is_ref || s->options->check_ref))
    code = run_report(run_reference(s));
  if (code != RUN_OK) // outputs are written whole or not at all
    return code;
  if (s->options->check_ref)
    code = check_outputs(s);
  int written = run_report(write_outputs(s));
  return written ? written : code;
}

int run_all(const run_options *options) {
  session s = {.options = options};
  tile_status status = open_device(&s);
  if (status == TILE_OK)
    status = open_module(&s);
  int code = status == TILE_OK ? run_case_on(&s) : run_report(status);
  if (s.device)
    for (int i = 0; i < TILE_MAX_PARAMS; i++)
      tile_buffer_destroy(s.device, s.call.tensors[i].address);
  run_free_case(&s.call);
  tile_module_destroy(s.module);
  tile_ctx_destroy(s.ctx);
  tl_arena_free(&s.arena);
  return code;
}
