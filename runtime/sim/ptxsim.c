// ptxsim: runs the entry of any PTX file on the simulated machine, as a launch file says.
//
// The launch file (launch_file.h) names the PTX, the grid, buffers and parameters.
#include "runtime/sim/launch_file.h"
#include "runtime/sim/ptxsim_npy.h"
#include "runtime/sim/sim_api.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_INPUT = 1, EXIT_USAGE = 2, EXIT_CHECK = 3 };

static const char help_text[] =
    "usage: ptxsim LAUNCH.json [options]\n"
    "       ptxsim --forms FILE.ptx|LAUNCH.json\n"
    "  --seed=N             seed of schedules and junk in memory (default 0)\n"
    "  --schedules=N        run under N seeds; all outputs must have identical bits\n"
    "                       (with --async=all each seed in the three modes)\n"
    "  --schedule=rr|random|greedy|starve:WARP\n"
    "  --async=eager|lazy|random|all   when asynchronous copies land (default lazy)\n"
    "  --check=all|none|LIST       of bounds,uninit,race (default all)\n"
    "  --arch=sm_90a|sm_100a|sm_120a   (default: what .target of the PTX says)\n"
    "  --step-limit=N       warp instructions per CTA (default none)\n"
    "  --stats              counters by instruction form\n"
    "  --trace=FILE         one line per warp instruction ('-': standard error)\n"
    "  --forms              list which instruction forms of the file are supported\n"
    "launch file:\n"
    "  { \"ptx\": \"k.ptx\", \"entry\": \"name\", \"grid\": [8,1,1], \"block\": [128,1,1], "
    "\"smem\": 0,\n"
    "    \"buffers\": { \"a\": {\"npy\": \"a.npy\"}, \"d\": {\"bytes\": 64, \"fill\": "
    "\"poison\"},\n"
    "                 \"x\": {\"f32\": [1.5, 2]}, \"h\": {\"hex\": \"00ff\"} },\n"
    "    \"params\": [ {\"buffer\": \"d\", \"offset\": 0}, {\"u32\": 256}, {\"i64\": 7}, {\"f32\": "
    "1.0}, {\"bytes\": \"00ff\"},\n"
    "      {\"tensormap\": {\"buffer\": \"a\", \"offset\": 0, \"dtype\": \"bf16\", \"dims\": [64, "
    "128], "
    "\"strides_bytes\": [128],\n"
    "        \"box\": [64, 64], \"elem_strides\": [1, 1], \"swizzle\": \"128B\", \"fill\": "
    "\"zeros\"}},\n"
    "      {\"struct\": [ {\"at\": 0, \"u32\": 4}, {\"at\": 8, \"buffer\": \"d\"} ]} ],\n"
    "    \"outputs\": { \"d\": \"d.npy\" }, \"print\": { \"d\": \"f32\" } }\n"
    "exit status: 0 ok, 1 wrong input, 2 usage, 3 a check failed, 70 internal error\n";

typedef struct run {
  const char *launch_path, *arch, *trace_path;
  sim_options options;
  uint64_t schedules;
  bool forms, all_async;
  sim_launch_file file;
  uint8_t *first[SIM_LAUNCH_BUFFERS]; // the buffers' bits after the first run
  char *ptx_path, *ptx_text;
  size_t ptx_len;
} run;

// --- options ------------------------------------------------------------------------------------
static const char *value_of(const char *arg, const char *name) {
  size_t len = strlen(name);
  return strncmp(arg, name, len) == 0 && arg[len] == '=' ? arg + len + 1 : NULL;
}

static bool parse_number(const char *text, uint64_t *out) {
  char *end;
  errno = 0;
  *out = strtoull(text, &end, 0);
  return *text && *text != '-' && !*end && !errno;
}

static bool parse_schedule(const char *text, sim_options *options) {
  uint64_t warp;
  if (strcmp(text, "rr") == 0)
    options->schedule = SIM_RR;
  else if (strcmp(text, "random") == 0)
    options->schedule = SIM_RANDOM;
  else if (strcmp(text, "greedy") == 0)
    options->schedule = SIM_GREEDY;
  else if (strncmp(text, "starve:", 7) == 0 && parse_number(text + 7, &warp) && warp < 32)
    options->schedule = SIM_STARVE, options->starve_warp = (int)warp;
  else
    return false;
  return true;
}

static bool parse_checks(const char *text, sim_options *options) {
  bool all = strcmp(text, "all") == 0;
  options->check_bounds = options->check_uninit = options->check_race = all;
  if (all || strcmp(text, "none") == 0)
    return true;
  for (const char *p = text; *p;) {
    size_t len = strcspn(p, ",");
    if (len == 6 && strncmp(p, "bounds", len) == 0)
      options->check_bounds = true;
    else if (len == 6 && strncmp(p, "uninit", len) == 0)
      options->check_uninit = true;
    else if (len == 4 && strncmp(p, "race", len) == 0)
      options->check_race = true;
    else
      return false;
    p += len + (p[len] == ',');
  }
  return true;
}

static bool parse_option(run *r, const char *arg) {
  const char *value;
  sim_options *o = &r->options;
  if ((value = value_of(arg, "--seed")))
    return parse_number(value, &o->seed);
  if ((value = value_of(arg, "--schedules")))
    return parse_number(value, &r->schedules) && r->schedules > 0;
  if ((value = value_of(arg, "--step-limit")))
    return parse_number(value, &o->step_limit);
  if ((value = value_of(arg, "--schedule")))
    return parse_schedule(value, o);
  if ((value = value_of(arg, "--check")))
    return parse_checks(value, o);
  if ((value = value_of(arg, "--arch")))
    return r->arch = value, true;
  if ((value = value_of(arg, "--trace")))
    return r->trace_path = value, true;
  if ((value = value_of(arg, "--async"))) {
    r->all_async = strcmp(value, "all") == 0;
    o->async = strcmp(value, "eager") == 0    ? SIM_ASYNC_EAGER
               : strcmp(value, "random") == 0 ? SIM_ASYNC_RANDOM
                                              : SIM_ASYNC_LAZY;
    return o->async != SIM_ASYNC_LAZY || r->all_async || strcmp(value, "lazy") == 0;
  }
  if (strcmp(arg, "--stats") == 0)
    return o->stats = true;
  if (strcmp(arg, "--forms") == 0)
    return r->forms = true;
  return false;
}

// --- one run under one seed ---------------------------------------------------------------------
static void place_buffers(sim_launch_file *file, sim_machine *machine) {
  for (int i = 0; i < file->nbuffers; i++) {
    sim_launch_buffer *b = &file->buffers[i];
    b->address = sim_alloc(machine, b->len, b->name);
    uint8_t *zeros = b->zeros ? calloc(b->len + 1, 1) : NULL;
    if (b->bytes || zeros)
      sim_write(machine, b->address, zeros ? zeros : b->bytes, b->len);
    free(zeros);
  }
}

// The first run's bits are those to repeat.
static int compare_runs(run *r, sim_machine *machine, uint64_t seed) {
  for (int i = 0; i < r->file.nbuffers; i++) {
    const sim_launch_buffer *b = &r->file.buffers[i];
    uint8_t *now = malloc(b->len + 1);
    sim_read(machine, b->address, now, b->len);
    if (!r->first[i]) {
      r->first[i] = now;
      continue;
    }
    size_t at = 0;
    while (at < b->len && now[at] == r->first[i][at])
      at++;
    free(now);
    if (at == b->len)
      continue;
    fprintf(stderr, "%s: buffer '%s' differs at byte %zu between schedules (seed %" PRIu64 ")\n",
            r->launch_path, b->name, at, seed);
    return EXIT_CHECK;
  }
  return 0;
}

static int exit_of(sim_verdict verdict) {
  return verdict == SIM_OK ? 0
         : verdict == SIM_UNSUPPORTED || verdict == SIM_BAD_PTX || verdict == SIM_BAD_LAUNCH
             ? EXIT_INPUT
             : EXIT_CHECK;
}

static int input_error(const char *text) { return fprintf(stderr, "%s\n", text), EXIT_INPUT; }

static int launch(run *r, sim_machine *machine, sim_module *module, const sim_options *options) {
  static const char *const async_names[] = {"eager", "lazy", "random"};
  sim_launch_desc desc = r->file.desc;
  uint8_t *params = NULL;
  int count;
  const uint32_t *offsets, *sizes;
  place_buffers(&r->file, machine);
  if (!sim_entry_params(module, desc.entry, &count, &offsets, &sizes)) {
    fprintf(stderr, "%s: error: no entry '%s' in %s\n", r->launch_path, desc.entry, r->ptx_path);
    return EXIT_INPUT;
  }
  if (!sim_launch_params(&r->file, count, offsets, sizes, &params, &desc.params_bytes)) {
    free(params);
    return input_error(r->file.error.data);
  }
  desc.params = params;
  sim_verdict verdict = sim_launch(module, &desc);
  fflush(stdout);
  free(params);
  if (verdict != SIM_OK)
    fprintf(stderr, "%s\n", sim_error(machine));
  if (verdict != SIM_OK && (r->schedules > 1 || r->all_async))
    fprintf(stderr, "  seed %" PRIu64 ", async %s\n", options->seed, async_names[options->async]);
  if (options->stats)
    sim_print_stats(machine, stderr);
  return verdict == SIM_OK ? compare_runs(r, machine, options->seed) : exit_of(verdict);
}

static int run_once(run *r, uint64_t index, sim_async async) {
  sim_options options = r->options;
  options.async = async;
  options.seed += index;
  if (index && options.schedule == SIM_RR)
    options.schedule = SIM_RANDOM; // other seeds mean other orders
  sim_machine *machine = sim_create(r->arch, &options);
  if (!machine)
    return fprintf(stderr, "ptxsim: error: unknown architecture '%s'\n", r->arch), EXIT_INPUT;
  sim_verdict verdict;
  sim_module *module = sim_load_ptx(machine, r->ptx_path, r->ptx_text, r->ptx_len, &verdict);
  int status = exit_of(verdict);
  if (module)
    status = launch(r, machine, module, &options);
  else
    fprintf(stderr, "%s\n", sim_error(machine));
  sim_unload(module);
  sim_destroy(machine);
  return status;
}

static int run_seed(run *r, uint64_t index) {
  int status = 0;
  if (!r->all_async)
    return run_once(r, index, r->options.async);
  for (sim_async async = SIM_ASYNC_EAGER; async <= SIM_ASYNC_RANDOM && !status; async++)
    status = run_once(r, index, async);
  return status;
}

// --- outputs ------------------------------------------------------------------------------------
static const uint8_t *result_of(const run *r, const sim_launch_buffer *b) {
  return r->first[b - r->file.buffers];
}

static bool print_buffer(void *ctx, const sim_launch_buffer *b, const char *type) {
  const uint8_t *from = result_of(ctx, b);
  size_t bytes = strchr(type, '8') ? 1 : strstr(type, "16") ? 2 : strstr(type, "32") ? 4 : 8;
  printf("%s:", b->name);
  for (size_t at = 0; at + bytes <= b->len; at += bytes) {
    uint64_t value = 0;
    float f;
    double g;
    memcpy(&value, from + at, bytes);
    memcpy(&f, &value, 4);
    memcpy(&g, &value, 8);
    if (type[0] == 'f' && bytes == 4)
      printf(" %.9g", (double)f);
    else if (type[0] == 'f' && bytes == 8)
      printf(" %.17g", g);
    else if (type[0] == 'i' || type[0] == 's')
      printf(" %" PRId64, (int64_t)(value << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    else if (type[0] == 'u')
      printf(" %" PRIu64, value);
    else
      printf(" %0*" PRIx64, (int)(2 * bytes), value);
  }
  putchar('\n');
  return true;
}

static bool write_output(void *ctx, const sim_launch_buffer *b, const char *name) {
  char *path = sim_launch_resolve(&((run *)ctx)->file, name);
  bool ok = npy_write(path, result_of(ctx, b), b->len);
  if (!ok)
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
  free(path);
  return ok;
}

// --- main ---------------------------------------------------------------------------------------
static const char *arch_of_target(const char *text) {
  const char *target = strstr(text, "\n.target");
  int number = 0;
  if (target && (target = strstr(target, "sm_")))
    number = atoi(target + 3);
  return number >= 120 ? "sm_120a" : number >= 100 ? "sm_100a" : "sm_90a";
}

static int load_ptx(run *r, char *path) {
  r->ptx_path = path;
  r->ptx_text = tl_read_file(path, &r->ptx_len);
  if (!r->ptx_text)
    return fprintf(stderr, "%s: %s\n", path, strerror(errno)), EXIT_INPUT;
  if (!r->arch)
    r->arch = arch_of_target(r->ptx_text);
  return 0;
}

static int run_launch_file(run *r) {
  if (!sim_launch_read_buffers(&r->file, true))
    return input_error(r->file.error.data);
  if (r->trace_path) {
    r->options.trace = strcmp(r->trace_path, "-") == 0 ? stderr : fopen(r->trace_path, "w");
    if (!r->options.trace)
      return fprintf(stderr, "%s: %s\n", r->trace_path, strerror(errno)), EXIT_INPUT;
  }
  int status = 0;
  for (uint64_t i = 0; i < r->schedules && !status; i++)
    status = run_seed(r, i);
  if (!status && !(sim_launch_outputs(&r->file, "outputs", write_output, r) &&
                   sim_launch_outputs(&r->file, "print", print_buffer, r)))
    status = EXIT_INPUT;
  if (r->options.trace && r->options.trace != stderr)
    fclose(r->options.trace);
  return status;
}

static int run_all(run *r) {
  bool bare = r->forms && tl_ends_with(r->launch_path, ".ptx");
  if (!bare && !sim_launch_load(&r->file, r->launch_path))
    return input_error(r->file.error.data);
  int status =
      load_ptx(r, bare ? strdup(r->launch_path) : sim_launch_resolve(&r->file, r->file.ptx));
  if (status)
    return status;
  if (r->forms)
    return sim_print_forms(r->ptx_path, r->ptx_text, r->ptx_len, stdout) == 0 ? 0 : EXIT_INPUT;
  return run_launch_file(r);
}

int main(int argc, char **argv) {
  static run r = {.schedules = 1};
  sim_options_default(&r.options);
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0)
      return fputs(help_text, stdout), 0;
    if (strcmp(argv[i], "--version") == 0)
      return puts("ptxsim " TILE_VERSION), 0;
    if (argv[i][0] != '-' && !r.launch_path) {
      r.launch_path = argv[i];
    } else if (!parse_option(&r, argv[i])) {
      fprintf(stderr, "ptxsim: bad argument '%s' (try --help)\n", argv[i]);
      return EXIT_USAGE;
    }
  }
  if (!r.launch_path)
    return fputs("ptxsim: no launch file (try --help)\n", stderr), EXIT_USAGE;
  int status = run_all(&r);
  for (int i = 0; i < r.file.nbuffers; i++)
    free(r.first[i]);
  sim_launch_close(&r.file);
  free(r.ptx_path);
  free(r.ptx_text);
  return status;
}
