// Source text to artifact: the pipeline as prose. tilec.c and api.c (libtilec.so) are thin over it.
#ifndef CODEGEN_COMPILE_H
#define CODEGEN_COMPILE_H
#include "frontend/sema.h"
#include "ir/pass.h"
#include "lang/target.h"

typedef enum cg_stage { CG_AST, CG_TIR, CG_SIR, CG_LLVM, CG_PTX, CG_CUBIN, CG_TLA, CG_OBJ, CG_HEADER, CG_JSON } cg_stage;

typedef struct cg_options {
  const char *input_path;
  const tl_target *targets[8];
  int ntargets;
  cg_stage emit;
  const char *kernel;        // --kernel, or NULL
  const fe_binding *sets;    // --set
  int nsets;
  unsigned disabled;         // ir_mechanism bits
  ir_run_options passes;
  const char *remarks;       // -Rpass=REGEX
  bool time_report, print_resources, no_ptxas;
  int align;                 // 16 (default) or 0, for single-variant emits
  const char *std_dir;
} cg_options;

// Result of compiling one function.
typedef struct cg_image {
  char *ptx;  size_t ptx_len;      // malloc'd
  void *cubin; size_t cubin_len;   // malloc'd, NULL without ptxas
  int regs, spill_bytes, stack_bytes, barriers; // from ptxas -v; -1 unknown
  char *log;                       // ptxas's stderr, malloc'd
  double llvm_ms, ptxas_ms;
} cg_image;

// sir (after all passes) -> LLVM IR text / PTX. Deterministic. Internal errors abort with 70.
char *cg_emit_llvm(const ir_func *func, size_t *out_len);            // malloc'd
char *cg_emit_ptx(const ir_func *func, size_t *out_len, double *out_build_ms, double *out_opt_ms,
                  double *out_codegen_ms);                            // malloc'd; _ms may be NULL
// ptxas as a subprocess; false when none is found (image->cubin NULL) or it fails (log says why).
const char *cg_find_ptxas(void); // NULL when there is none
bool cg_assemble(const tl_target *target, cg_image *image);
#endif
