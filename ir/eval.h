// The reference evaluator: runs a tir function on the CPU, one CTA after the other.
//
// Values are held exactly: integers as int64 wrapped to their width, floats as doubles that are
// always representable in their dtype (each operation is computed in double and rounded once to the
// dtype; f64 stays f64). Transcendentals are correctly rounded references of what hardware
// approximates. dot and dot_scaled accumulate each block of K in double, exactly enough, and round
// to the accumulator type once per promotion block. Thread-safe: no global state.
#ifndef IR_EVAL_H
#define IR_EVAL_H
#include "ir/ir.h"
#include <stdio.h>

typedef struct ir_eval_arg { // one per ir_func.params entry, ABI order
  void *data;       // PTR: host memory of the tensor's elements
  size_t bytes;     // PTR: extent, accesses outside are reported
  int64_t i;        // SCALAR ints, DIM, STRIDE
  double f;         // SCALAR floats
} ir_eval_arg;

typedef struct ir_eval_options {
  int64_t grid[3];
  FILE *print_to;   // output of print; NULL: stdout
} ir_eval_options;

// False with a message (position, operation, reason) in *out_error on the arena when an access
// leaves its buffer, an assert fails or a loop never ends (1e9 steps).
bool ir_eval(const ir_func *func, const ir_eval_arg *args, const ir_eval_options *options,
             tl_arena *arena, const char **out_error);
#endif
