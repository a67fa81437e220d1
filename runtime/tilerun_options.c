// The command line of tilerun.
#include "lang/base/str.h"
#include "runtime/tilerun.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char run_help[] =
    "usage: tilerun FILE.tile|FILE.tla KERNEL --device=ref|sim:ARCH|cuda:N NAME=VALUE... "
    "[options]\n"
    "\n"
    "Values of tensors, in the type the kernel declares:\n"
    "  NAME=@FILE.npy         shape and values of the file; the bytes of 1- and 2-byte types are\n"
    "                         taken as they are (u1 carries f8e4m3, u2 carries bf16; f4e2m1 packs "
    "two\n"
    "                         in a byte, the last dimension halved). A layout the kernel does not\n"
    "                         accept is rearranged into the one it asks for, values kept in "
    "place;\n"
    "                         strides in elements may follow: @FILE.npy;512,1\n"
    "  NAME=zeros[2,3]        zeros; NAME=randn[2,3] normal numbers, scales positive; "
    "NAME=poison[2,3]\n"
    "                         NaN bytes that count as never written. Dims may be names (M, K/128) "
    "and\n"
    "                         may be left out (NAME=randn) where they follow from others; strides "
    "in\n"
    "                         elements may follow behind ';': randn[77,384;512,1]\n"
    "Scalars: NAME=3, NAME=0.5. Dims: M=77. An output that is not given is poisoned.\n"
    "\n"
    "  --device=DEVICE        ref (evaluator on the CPU), sim:sm_90a, sim:sm_100a, sim:sm_120a, "
    "cuda:N\n"
    "  --out NAME=FILE.npy    write a tensor after the run, C order (bf16 as <u2, f8 as |u1)\n"
    "  --check ref            compare every output with the reference evaluator; exit 3 if they "
    "differ\n"
    "  --set PARAM=VALUE      fix a generic; for a .tla: take a variant with that setting\n"
    "  --variant=ID           take this variant\n"
    "  --seed=N               of randn and of the simulator's schedule (0)\n"
    "  --schedule=rr|random|greedy|starve   order of the simulated warps (rr)\n"
    "  --async=lazy|eager|random     when simulated asynchronous copies land (lazy)\n"
    "  --schedules=N          run the simulator under N seeds and want identical bits each time;\n"
    "                         with --async=all each seed in each of the three modes\n"
    "  --step-limit=N         simulated warp instructions of one CTA before the run fails\n"
    "  --bench[=N]            device time of N launches (20), L2 cold; cuda only\n"
    "  --flops=EXPR --bytes=EXPR     work of one run over dims, for TFLOP/s and GB/s\n"
    "  --source=FILE          source of a .tla, for ref, where it lies elsewhere than recorded\n"
    "  -f..., -fno-...        handed to the compiler\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 done, 1 wrong input, 2 usage, 3 a check failed, 70 internal error.\n";

const char *const run_schedule_names[] = {"rr", "random", "greedy", "starve", NULL};
const char *const run_async_names[] = {"lazy", "eager", "random", "all", NULL};

static bool usage(const char *fmt, const char *what) {
  fputs("tilerun: ", stderr);
  fprintf(stderr, fmt, what);
  fputs("\ntry 'tilerun --help'\n", stderr);
  return false;
}

static bool split_pair(tl_arena *arena, const char *text, run_pair *out) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return false;
  out->name = tl_strndup(arena, text, (size_t)(equals - text));
  out->value = equals + 1;
  return true;
}

static bool parse_count(const char *text, int least, int *out) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  *out = (int)value;
  return *text && !*end && !errno && value >= least && value <= 1000000;
}

// The place of `text` among the names, or -1.
static int find_name(const char *text, const char *const names[]) {
  for (int i = 0; names[i]; i++)
    if (strcmp(text, names[i]) == 0)
      return i;
  return -1;
}

static bool add_flag(run_options *out, const char *flag) {
  if (out->nflags == RUN_MAX_FLAGS - 4) // a few are added when the device is known
    return usage("too many options for the compiler at '%s'", flag);
  out->flags[out->nflags++] = flag;
  return true;
}

static bool add_set(tl_arena *arena, run_options *out, const char *text) {
  if (out->nsets == RUN_MAX_FLAGS / 2 || !split_pair(arena, text, &out->sets[out->nsets]))
    return usage("--set wants PARAM=VALUE, not '%s'", text);
  out->nsets++;
  return add_flag(out, "--set") && add_flag(out, text);
}

typedef struct text_option {
  const char *name;
  const char **to;
} text_option;

// Options whose value is taken as it stands. True when argv[*at] was one.
static bool parse_text_option(char **argv, int argc, int *at, run_options *out) {
  const text_option options[] = {{"--device", &out->device},
                                 {"--variant", &out->variant},
                                 {"--source", &out->source},
                                 {"--flops", &out->flops},
                                 {"--bytes", &out->bytes}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    const char *value = tl_option_value(argv, argc, at, options[i].name);
    if (value)
      return *options[i].to = value, true;
  }
  return false;
}

static bool parse_seed(const char *text, uint64_t *out) {
  char *end;
  errno = 0;
  *out = strtoull(text, &end, 0);
  return *text && *text != '-' && !*end && !errno;
}

static bool parse_option(tl_arena *arena, char **argv, int argc, int *at, run_options *out) {
  const char *text = argv[*at], *value;
  if (parse_text_option(argv, argc, at, out))
    return true;
  if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)
    return out->print_help = true;
  if (strcmp(text, "--version") == 0)
    return out->print_version = true;
  if (strcmp(text, "--bench") == 0)
    return out->bench = 20, true;
  if (text[0] == '-' && text[1] == 'f')
    return add_flag(out, text);
  if ((value = tl_option_value(argv, argc, at, "--set")))
    return add_set(arena, out, value);
  if ((value = tl_option_value(argv, argc, at, "--out"))) {
    if (out->nouts == RUN_MAX_VALUES || !split_pair(arena, value, &out->outs[out->nouts]))
      return usage("--out wants NAME=FILE.npy, not '%s'", value);
    return out->nouts++, true;
  }
  if ((value = tl_option_value(argv, argc, at, "--check"))) {
    out->check_ref = strcmp(value, "ref") == 0;
    return out->check_ref || usage("--check knows 'ref', not '%s'", value);
  }
  if ((value = tl_option_value(argv, argc, at, "--seed")))
    return parse_seed(value, &out->seed) || usage("--seed=%s: not a number", value);
  if ((value = tl_option_value(argv, argc, at, "--schedules")))
    return parse_count(value, 1, &out->schedules) || usage("--schedules=%s: not a count", value);
  if ((value = tl_option_value(argv, argc, at, "--schedule"))) {
    out->schedule = find_name(value, run_schedule_names);
    return out->schedule >= 0 || usage("--schedule=%s: rr, random, greedy or starve", value);
  }
  if ((value = tl_option_value(argv, argc, at, "--async"))) {
    out->async = find_name(value, run_async_names);
    return out->async >= 0 || usage("--async=%s: lazy, eager, random or all", value);
  }
  if ((value = tl_option_value(argv, argc, at, "--step-limit")))
    return parse_seed(value, &out->step_limit) || usage("--step-limit=%s: not a number", value);
  if ((value = tl_option_value(argv, argc, at, "--bench")))
    return parse_count(value, 1, &out->bench) || usage("--bench=%s: not a count", value);
  return usage("unknown option '%s', or its value is missing", text);
}

static bool parse_word(tl_arena *arena, const char *text, run_options *out) {
  if (!out->file)
    return out->file = text, true;
  if (!out->kernel)
    return out->kernel = text, true;
  if (out->nvalues == RUN_MAX_VALUES || !split_pair(arena, text, &out->values[out->nvalues]))
    return usage("expected NAME=VALUE, not '%s'", text);
  for (int i = 0; i < out->nvalues; i++)
    if (strcmp(out->values[i].name, out->values[out->nvalues].name) == 0)
      return usage("'%s' is given twice", out->values[i].name);
  return out->nvalues++, true;
}

static bool check_combination(const run_options *o) {
  if (!o->file || !o->kernel)
    return usage("%s", "FILE and KERNEL are needed");
  if (!o->device)
    return usage("%s", "--device=ref|sim:ARCH|cuda:N is needed");
  bool is_ref = strcmp(o->device, "ref") == 0;
  if (is_ref && o->check_ref)
    return usage("%s", "--check ref compares a device with the reference: give a device");
  if (is_ref && (o->bench || o->schedules || o->variant))
    return usage("%s", "--bench, --schedules and --variant need a device, not ref");
  if ((o->schedules || o->async || o->step_limit) && !tl_starts_with(o->device, "sim:"))
    return usage("%s", "--schedules, --async and --step-limit need a simulated device");
  if (o->async == RUN_ASYNC_ALL && !o->schedules)
    return usage("%s", "--async=all needs --schedules=N");
  if (o->bench && tl_starts_with(o->device, "sim:"))
    return usage("%s", "--bench needs a GPU: simulated time says nothing");
  return true;
}

bool run_parse_options(tl_arena *arena, int argc, char **argv, run_options *out) {
  *out = (run_options){0};
  for (int at = 1; at < argc; at++) {
    bool is_option = argv[at][0] == '-' && argv[at][1];
    if (!(is_option ? parse_option(arena, argv, argc, &at, out) : parse_word(arena, argv[at], out)))
      return false;
  }
  return out->print_help || out->print_version || check_combination(out);
}
