// The pass runner: every stage after the frontend is a row of ir/passes.def, run in order.
// After each pass: verify (failures are internal errors that print the pass and the op); on request
// dump, stop after a pass, print -> parse -> print identity, time per pass.
#ifndef IR_PASS_H
#define IR_PASS_H
#include "ir/ir.h"
#include "lang/base/diag.h"

typedef struct ir_pass_ctx {
  ir_func *func;
  tl_arena *scratch; // freed after each pass
  tl_diags *diags;   // passes report resource errors and remarks
  unsigned disabled; // mechanisms switched off by -fno-*: IR_NO_* bits
} ir_pass_ctx;

typedef enum ir_mechanism {
  IR_NO_PIPELINE = 1 << 0,
  IR_NO_CP_ASYNC = 1 << 1,
  IR_NO_SWIZZLE = 1 << 2,
  IR_NO_LDMATRIX = 1 << 3,
  IR_NO_LICM = 1 << 4,
  IR_NO_CSE = 1 << 5,
  IR_NO_VECTORIZE = 1 << 6,
  IR_NO_SPECIALIZE = 1 << 8,
  IR_NO_TMA_STORE = 1 << 9,
  IR_NO_SWAP = 1 << 12,
  IR_NO_SPLIT_K = 1 << 13,
  IR_NO_EVICT = 1 << 14
} ir_mechanism;
unsigned ir_mechanism_by_name(const char *name); // "pipeline" -> IR_NO_PIPELINE; 0: unknown

typedef struct ir_pass_info {
  const char *name;
  bool (*run)(ir_pass_ctx *ctx); // true: something changed
  bool sir;                      // runs on sir (after `to_sir`)
  unsigned mechanism;            // skipped when disabled
  const char *doc;
} ir_pass_info;
extern const ir_pass_info ir_passes[];
extern const int ir_pass_count;

typedef struct ir_run_options {
  const char *dump;        // pass name, "all", or NULL: print the function after it to stderr
  const char *stop_after;  // pass name or NULL
  const char *start_after; // skip passes up to and including this one (re-entry from text)
  bool round_trip;         // print, read back, print again and compare after each pass
  bool stop_before_sir;    // run the tir passes only
  double *pass_ms;         // ir_pass_count entries, added to; or NULL
} ir_run_options;
// False when a pass reported an error through ctx->diags.
bool ir_run_passes(ir_pass_ctx *ctx, const ir_run_options *options);
#endif
