// The command line of tiletune.
#include "lang/base/str.h"
#include "runtime/tune/tune.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: tiletune FILE.tla KERNEL --device=cuda:N|sim:ARCH NAME=VALUES... [options]\n"
    "       tiletune cover FILE.tla KERNEL NAME=VALUES... [--device=sm_90a|\"NVIDIA H200\"]\n"
    "       tiletune list|show FILE.tla [KERNEL]\n"
    "       tiletune merge OUT.tla IN.tla...\n"
    "       tiletune import OUT.tla RECORDS.jsonl...\n"
    "       tiletune export FILE.tla [KERNEL]\n"
    "\n"
    "Measures the variants of a kernel on a device and writes what it finds into the .tla, where\n"
    "selection looks first. Every dim needs VALUES: 64, a list 1,16,64, a range 1..8192 or\n"
    "1..8192:64, or `buckets`, those the kernel's key(...) declares; all combinations are tuned.\n"
    "\n"
    "  --device=DEVICE        what to measure on; sim:ARCH counts warp instructions instead of "
    "time\n"
    "  --shapes=FILE          lines of NAME=VALUES instead of the arguments\n"
    "  --budget=SECONDS       stop there and keep what was found (600)\n"
    "  --timeout=SECONDS      for one candidate, after which it is killed (20)\n"
    "  --top=N                measure the N candidates the cost model prefers (16; 0: all)\n"
    "  --runs=N               launches of each, L2 flushed before each; the median counts (10)\n"
    "  --shard=I/N            the I-th of N parts of the shapes, from 0: one for each machine\n"
    "  -o OUT.tla             write there instead of into FILE.tla\n"
    "  --log=FILE.jsonl       append the records as text\n"
    "  --report=FILE.html     every measurement as a table\n"
    "  --help, --version\n"
    "\n"
    "cover   lists exactly the variants that any of the shapes selects; runs nothing\n"
    "list    kernels, and the fastest record of each device and shape; show: every record\n"
    "merge   adds the records of the others to OUT.tla, which is made from the first if not there\n"
    "import, export   records as JSON lines, the form kept beside the sources\n"
    "\n"
    "Candidates run in child processes; one that hangs is killed. Results must agree with those "
    "of\n"
    "the plainest variant that fits (no TMA, no alignment), within the rounding of another order.\n"
    "\n"
    "exit: 0 done, 1 wrong input, 2 usage, 3 a candidate gave a wrong result, 70 internal error\n";

static int usage(const char *fmt, const char *what) {
  fputs("tiletune: ", stderr);
  fprintf(stderr, fmt, what);
  fputs("; try tiletune --help\n", stderr);
  return RUN_USAGE;
}

static bool number(const char *text, double least, double *out) {
  char *end;
  *out = strtod(text, &end);
  return *text && !*end && *out >= least && *out <= 1e9;
}

static bool shard(const char *text, tune_options *o) {
  char *end;
  o->shard = (int)strtol(text, &end, 10);
  if (end == text || *end != '/')
    return false;
  text = end + 1;
  o->shards = (int)strtol(text, &end, 10);
  return end != text && !*end && o->shards > 0 && o->shard >= 0 && o->shard < o->shards;
}

static int option(tune_options *o, int argc, char **argv, int *at) {
  const char *value;
  double n;
  if ((value = tl_option_value(argv, argc, at, "--device")))
    return o->device = value, -1;
  if ((value = tl_option_value(argv, argc, at, "--shapes")))
    return o->shapes = value, -1;
  if ((value = tl_option_value(argv, argc, at, "--report")))
    return o->report = value, -1;
  if ((value = tl_option_value(argv, argc, at, "--log")))
    return o->log = value, -1;
  if ((value = tl_option_value(argv, argc, at, "-o")))
    return o->out = value, -1;
  if ((value = tl_option_value(argv, argc, at, "--budget")))
    return number(value, 0.1, &o->budget_s) ? -1 : usage("--budget wants seconds, not '%s'", value);
  if ((value = tl_option_value(argv, argc, at, "--timeout")))
    return number(value, 0.1, &o->timeout_s) ? -1
                                             : usage("--timeout wants seconds, not '%s'", value);
  if ((value = tl_option_value(argv, argc, at, "--runs")))
    return number(value, 1, &n) ? (o->runs = (int)n, -1)
                                : usage("--runs wants a count, not '%s'", value);
  if ((value = tl_option_value(argv, argc, at, "--top")))
    return number(value, 0, &n) ? (o->top = (int)n, -1)
                                : usage("--top wants a count, not '%s'", value);
  if ((value = tl_option_value(argv, argc, at, "--shard")))
    return shard(value, o) ? -1 : usage("--shard wants I/N with I from 0, not '%s'", value);
  return usage("unknown option '%s'", argv[*at]);
}

static int positional(tl_arena *arena, tune_options *o, const char *text) {
  const char *equals = strchr(text, '=');
  bool many = !strcmp(o->command, "merge") || !strcmp(o->command, "import");
  if (!o->file)
    return o->file = text, -1;
  if (many)
    return o->nfiles < TUNE_MAX_VALUES ? (o->files[o->nfiles++] = text, -1)
                                       : usage("too many files at '%s'", text);
  if (equals && equals != text) {
    if (o->nvalues == TUNE_MAX_VALUES)
      return usage("too many values at '%s'", text);
    o->values[o->nvalues++] =
        (run_pair){tl_strndup(arena, text, (size_t)(equals - text)), equals + 1};
    return -1;
  }
  if (o->kernel)
    return usage("what is '%s'?", text);
  return o->kernel = text, -1;
}

static int complete(const tune_options *o) {
  bool tunes = !strcmp(o->command, "tune"), covers = !strcmp(o->command, "cover");
  if (!o->file)
    return usage("%s", "no file");
  if ((tunes || covers) && !o->kernel)
    return usage("%s", "no kernel");
  if (tunes && !o->device)
    return usage("%s", "--device is missing");
  if ((!strcmp(o->command, "merge") || !strcmp(o->command, "import")) && !o->nfiles)
    return usage("%s: no input files", o->command);
  return -1;
}

int tune_parse_options(tl_arena *arena, int argc, char **argv, tune_options *o) {
  static const char *const commands[] = {"cover", "list", "show", "merge", "import", "export"};
  *o = (tune_options){
      .command = "tune", .budget_s = 600, .timeout_s = 20, .runs = 10, .top = 16, .shards = 1};
  int at = 1;
  for (int i = 0; i < 6 && argc > 1; i++)
    if (!strcmp(argv[1], commands[i]))
      o->command = commands[i], at = 2;
  for (; at < argc; at++) {
    if (!strcmp(argv[at], "--help"))
      return fputs(help, stdout), RUN_OK;
    if (!strcmp(argv[at], "--version"))
      return puts("tiletune " TILE_VERSION), RUN_OK;
    int code = argv[at][0] == '-' ? option(o, argc, argv, &at) : positional(arena, o, argv[at]);
    if (code >= 0)
      return code;
  }
  return complete(o);
}
