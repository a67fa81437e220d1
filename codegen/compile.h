// Source text to artifact: the pipeline as prose. tilec.c and api.c (libtilec.so) are thin over it.
#ifndef CODEGEN_COMPILE_H
#define CODEGEN_COMPILE_H
#include "frontend/sema.h"
#include "ir/pass.h"
#include "lang/base/str.h"
#include "lang/target.h"

typedef enum cg_stage {
  CG_TLA, // the default: every kernel, every variant that fits, all targets
  CG_AST,
  CG_TIR,
  CG_SIR,
  CG_LLVM,
  CG_PTX,
  CG_CUBIN,
  CG_OBJ,
  CG_HEADER,
  CG_JSON,
  CG_LIST // --list
} cg_stage;

enum { CG_MAX_TARGETS = 8, CG_MAX_SETS = 64 };

typedef struct cg_options {
  const char *input_path; // as the user wrote it; appears in diagnostics and line info
  const tl_target *targets[CG_MAX_TARGETS];
  int ntargets;
  cg_stage emit;
  cg_stage from;      // CG_TIR or CG_SIR: the input is IR text; CG_TLA: it is source
  const char *kernel; // --kernel, or NULL
  fe_binding sets[CG_MAX_SETS];
  int nsets;
  unsigned disabled; // ir_mechanism bits
  ir_run_options passes;
  const char *remarks; // -Rpass=REGEX
  bool werror, time_report, print_resources;
  FILE *progress; // how far a .tla has got, one line; NULL: nowhere
  FILE *tables; // where --print-resources goes; NULL: with the diagnostics
  bool default_only, no_ptxas; // for a run at once: the first variant that fits a target, PTX only
  int align; // 16, or 0: nothing is known beyond element alignment (single-variant stages)
  const char *std_dir;
} cg_options;

// One compiled function.
typedef struct cg_image {
  char *ptx; // malloc'd
  size_t ptx_len;
  void *cubin; // malloc'd, NULL without ptxas
  size_t cubin_len;
  int regs, spill_bytes, stack_bytes, barriers; // from ptxas -v; -1 unknown
  bool serialised;                              // ptxas undid an asynchronous instruction
  char *log;                                    // ptxas's output, malloc'd
  double build_ms, opt_ms, codegen_ms, ptxas_ms;
} cg_image;
void cg_image_free(cg_image *image);

// Compiles `text` as the options say. Output bytes go to `out`, diagnostics and reports to `err`.
// Returns the exit code: 0, 1 after diagnostics, 2 for options that do not go together.
int cg_compile(const cg_options *options, const char *text, size_t len, tl_buf *out, FILE *err);
// The library in .tile: TILE_STD, or share/tile/std or lang/std above the program or shared library;
// NULL: there is none.
const char *cg_std_dir(void);

// --- codegen/ll: sir (after all passes) to LLVM IR text or PTX. Deterministic; malloc'd.
// ----------
char *cg_emit_llvm(const ir_func *func, size_t *out_len);
char *cg_emit_ptx(const ir_func *func, size_t *out_len, double *out_build_ms, double *out_opt_ms,
                  double *out_codegen_ms); // the _ms may be NULL
#endif
