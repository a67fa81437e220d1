// tilec: the command line over codegen/compile.h. Options and exit codes are a contract.
#include "codegen/compile.h"
#include "lang/base/diag.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: tilec FILE.tile [-o OUT|-] [options]\n"
    "\n"
    "  -o OUT                 output file; - is standard output (default: FILE.tla)\n"
    "  --arch=A[,B..]         sm_90a, sm_100a, sm_120a (default: all three)\n"
    "  --emit=STAGE           tla ast tir sir llvm ptx cubin obj header json (default: tla)\n"
    "  --kernel=NAME          one kernel of the file\n"
    "  --set PARAM=VALUE      fix a generic; of a tune space, one variant is left\n"
    "  --align=16|0           what a single-variant stage may assume of bases and strides, in "
    "bytes\n"
    "  --from=tir|sir         FILE is the text that --emit of that stage wrote\n"
    "  --list                 kernels, parameters, generics and the size of the tune space\n"
    "  -fno-MECHANISM         specialize tma-store pipeline cp-async swizzle ldmatrix licm cse vectorize\n"
    "                         swap split-k evict\n"
    "  -Rpass=REGEX           print remarks whose text matches\n"
    "  -Werror                warnings are errors\n"
    "  --dump=PASS|all        print the function after a pass, to standard error\n"
    "  --stop-after=PASS      end the pipeline there (with --emit=tir or sir)\n"
    "  --round-trip           print and read back the function after each pass\n"
    "  --time-report          where the time went\n"
    "  --progress             how many variants are done, on standard error (default: on a terminal)\n"
    "  --print-resources      registers, spills, shared memory per variant, from ptxas\n"
    "  --explain ID           what a diagnostic means and what to do\n"
    "  --print-passes         the pipeline, in order\n"
    "  --help, --version\n"
    "\n"
    "exit: 0 done, 1 the input is wrong, 2 usage, 70 internal error\n";

typedef struct request {
  cg_options options;
  const char *output;
  char default_output[PATH_MAX];
  bool done; // --help and friends
} request;

static int complain(const char *what, const char *arg) {
  fprintf(stderr, "tilec: %s '%s'; see tilec --help\n", what, arg);
  return 2;
}

static bool stage_by_name(const char *name, cg_stage *out) {
  static const struct {
    const char *name;
    cg_stage stage;
  } rows[] = {{"tla", CG_TLA},       {"ast", CG_AST},  {"tir", CG_TIR},     {"sir", CG_SIR},
              {"llvm", CG_LLVM},     {"ptx", CG_PTX},  {"cubin", CG_CUBIN}, {"obj", CG_OBJ},
              {"header", CG_HEADER}, {"json", CG_JSON}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(rows[i].name, name)) {
      *out = rows[i].stage;
      return true;
    }
  return false;
}

// An unknown architecture is a mistake in the input, not in the option's form: exit 1, with its id.
static int add_targets(request *r, char *list) {
  r->options.ntargets = 0;
  for (char *save, *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
    const tl_target *target = tl_target_by_name(name);
    if (!target) {
      static const char *const known[] = {"sm_90a", "sm_100a", "sm_120a"};
      const char *near = tl_nearest(name, known, 3);
      fprintf(stderr,
              "<command line>:1:1: error: unknown architecture '%s' [E0501]\n"
              "      = help: known are sm_90a, sm_100a and sm_120a%s%s%s\n",
              name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
      return 1;
    }
    if (r->options.ntargets == CG_MAX_TARGETS)
      return complain("too many architectures in", list);
    r->options.targets[r->options.ntargets++] = target;
  }
  return r->options.ntargets ? 0 : complain("no architecture in", list);
}

static int add_set(request *r, char *text) {
  char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return complain("--set wants PARAM=VALUE, not", text);
  if (r->options.nsets == CG_MAX_SETS)
    return complain("too many", "--set");
  *equals = 0;
  r->options.sets[r->options.nsets++] = (fe_binding){text, equals + 1};
  return 0;
}

// -fno-NAME switches a mechanism off, -fNAME on again.
static int switch_mechanism(request *r, const char *flag) {
  bool off = tl_starts_with(flag, "-fno-");
  unsigned bit = ir_mechanism_by_name(flag + (off ? 5 : 2));
  if (!bit)
    return complain("unknown mechanism", flag + (off ? 5 : 2));
  r->options.disabled = off ? r->options.disabled | bit : r->options.disabled & ~bit;
  return 0;
}

static int check_pass(const char *name) {
  if (!strcmp(name, "all"))
    return 0;
  for (int i = 0; i < ir_pass_count; i++)
    if (!strcmp(ir_passes[i].name, name))
      return 0;
  return complain("unknown pass", name);
}

static int explain(request *r, const char *id) {
  r->done = true;
  if (tl_diag_explain(id, stdout))
    return 0;
  return complain("unknown diagnostic", id);
}

static void print_passes(void) {
  for (int i = 0; i < ir_pass_count; i++)
    printf("%-14s %s  %s\n", ir_passes[i].name, ir_passes[i].sir ? "sir" : "tir", ir_passes[i].doc);
}

// "--name=value" or "--name value"; NULL when arg is another option.
static char *value_of(char *arg, const char *name, char **argv, int *index) {
  size_t len = strlen(name);
  if (strncmp(arg, name, len) != 0)
    return NULL;
  if (arg[len] == '=')
    return arg + len + 1;
  if (arg[len] || !argv[*index + 1])
    return NULL;
  return argv[++*index];
}

static int parse_valued(request *r, char *arg, char **argv, int *index) {
  cg_options *o = &r->options;
  char *value;
  if ((value = value_of(arg, "--arch", argv, index)))
    return add_targets(r, value);
  if ((value = value_of(arg, "--emit", argv, index)))
    return stage_by_name(value, &o->emit) ? 0 : complain("unknown stage", value);
  if ((value = value_of(arg, "--from", argv, index)))
    return stage_by_name(value, &o->from) && (o->from == CG_TIR || o->from == CG_SIR)
               ? 0
               : complain("--from wants tir or sir, not", value);
  if ((value = value_of(arg, "--kernel", argv, index)))
    return o->kernel = value, 0;
  if ((value = value_of(arg, "--set", argv, index)))
    return add_set(r, value);
  if ((value = value_of(arg, "--explain", argv, index)))
    return explain(r, value);
  if ((value = value_of(arg, "--dump", argv, index)))
    return o->passes.dump = value, check_pass(value);
  if ((value = value_of(arg, "--stop-after", argv, index)))
    return o->passes.stop_after = value, check_pass(value);
  if ((value = value_of(arg, "--align", argv, index))) {
    o->align = atoi(value);
    return o->align == 0 || o->align == 16 ? 0 : complain("--align wants 16 or 0, not", value);
  }
  if ((value = value_of(arg, "-o", argv, index)))
    return r->output = value, 0;
  if ((value = value_of(arg, "-Rpass", argv, index)))
    return o->remarks = value, 0;
  return complain("unknown option", arg);
}

static int parse_arg(request *r, char *arg, char **argv, int *index) {
  cg_options *o = &r->options;
  if (arg[0] != '-' || !arg[1]) {
    if (o->input_path)
      return complain("a second input file", arg);
    return o->input_path = arg, 0;
  }
  if (!strcmp(arg, "--help"))
    return r->done = true, fputs(help, stdout), 0;
  if (!strcmp(arg, "--version"))
    return r->done = true, puts("tilec " TILE_VERSION), 0;
  if (!strcmp(arg, "--print-passes"))
    return r->done = true, print_passes(), 0;
  if (!strcmp(arg, "--list"))
    return o->emit = CG_LIST, 0;
  if (!strcmp(arg, "--time-report"))
    return o->time_report = true, 0;
  if (!strcmp(arg, "--progress"))
    return o->progress = stderr, 0;
  if (!strcmp(arg, "--print-resources"))
    return o->print_resources = true, 0;
  if (!strcmp(arg, "--round-trip"))
    return o->passes.round_trip = true, 0;
  if (!strcmp(arg, "-Werror"))
    return o->werror = true, 0;
  if (!strncmp(arg, "-f", 2))
    return switch_mechanism(r, arg);
  return parse_valued(r, arg, argv, index);
}

// FILE.tile -> FILE.tla, beside the input.
static const char *output_of(request *r) {
  static const char *const endings[] = {".tla",   ".ast", ".tir", ".sir",  ".ll", ".ptx",
                                        ".cubin", ".o",   ".h",   ".json", ""};
  if (r->output)
    return r->output;
  if (r->options.emit == CG_LIST)
    return "-";
  const char *path = r->options.input_path, *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
  int stem = dot && (!slash || dot > slash) ? (int)(dot - path) : (int)strlen(path);
  snprintf(r->default_output, sizeof r->default_output, "%.*s%s", stem, path,
           endings[r->options.emit]);
  return r->default_output;
}

static int run(request *r) {
  size_t len;
  char *text = tl_read_file(r->options.input_path, &len);
  if (!text) {
    fprintf(stderr, "tilec: cannot read '%s': %s\n", r->options.input_path, strerror(errno));
    return 1;
  }
  tl_buf out = {0};
  if (strcmp(output_of(r), "-") != 0) // else the output itself is there
    r->options.tables = stdout;
  int code = cg_compile(&r->options, text, len, &out, stderr);
  const char *path = output_of(r);
  if (!code && r->options.emit != CG_LIST &&
      !tl_write_file(path, out.data ? out.data : "", out.len)) {
    fprintf(stderr, "tilec: cannot write '%s': %s\n", path, strerror(errno));
    code = 1;
  }
  if (!code && r->options.emit == CG_LIST)
    fwrite(out.data ? out.data : "", 1, out.len, stdout);
  tl_buf_free(&out);
  free(text);
  return code;
}

int main(int argc, char **argv) {
  static request r = {.options = {.align = 16}};
  for (int i = 1; i < argc; i++) {
    int code = parse_arg(&r, argv[i], argv, &i);
    if (code || r.done)
      return code;
  }
  if (!r.options.input_path)
    return complain("no input file after", argv[0]);
  bool single = r.options.emit >= CG_TIR && r.options.emit <= CG_CUBIN;
  if (!r.options.ntargets) {
    static const tl_target_id all[] = {TL_SM_90A, TL_SM_100A, TL_SM_120A};
    for (int i = 0; i < (single ? 1 : 3); i++)
      r.options.targets[r.options.ntargets++] = tl_target_of(all[i]);
  }
  r.options.std_dir = cg_std_dir();
  if (isatty(STDERR_FILENO) && isatty(STDOUT_FILENO))
    r.options.progress = stderr;
  return run(&r);
}
