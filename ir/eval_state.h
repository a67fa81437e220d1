// Inside the reference evaluator: one buffer of cells per SSA value, overwritten on each iteration.
#ifndef IR_EVAL_STATE_H
#define IR_EVAL_STATE_H
#include "ir/eval.h"

typedef union cell {
  int64_t i; // integers, sign- or zero-extended from their width; i1 is 0 or 1
  double f;  // floats, always a value of their dtype
} cell;

typedef struct eval_tensor {
  const ir_eval_arg *base;
  int64_t offset; // of the first element, in bytes
  tl_dtype dtype;
  int rank;
  int64_t dims[TY_MAX_RANK], strides[TY_MAX_RANK]; // elements
} eval_tensor;

typedef struct eval {
  const ir_func *func;
  const ir_eval_arg *args;
  const ir_eval_options *options;
  tl_arena *arena;
  cell **cells;         // by value id; allocated on first use
  eval_tensor *tensors; // by value id
  struct eval_channel **channels; // by value id (eval_roles.c)
  struct eval_roles *roles;       // that are running; NULL outside
  int64_t bid[3];
  int64_t steps;
  const char *error; // NULL while all is well
} eval;

cell *eval_cells(eval *e, ir_val val);                         // of a scalar or tile
bool eval_fail(eval *e, const ir_op *op, const char *fmt, ...) // always false
    __attribute__((format(printf, 3, 4)));

// Wraps an integer to its width; rounds a double to a float type.
int64_t eval_wrap(tl_dtype type, int64_t value);
double eval_round(tl_dtype type, double value);

// acc and x under "sum", "prod", "max", "min", "any" or "all"; sums of floats are not rounded.
cell eval_combine(const ir_op *op, const char *kind, tl_dtype type, cell acc, cell x);

// Each runs one operation; false after eval_fail.
bool eval_elementwise(eval *e, const ir_op *op);
bool eval_shape(eval *e, const ir_op *op);
bool eval_reduce(eval *e, const ir_op *op);
bool eval_scan(eval *e, const ir_op *op);
bool eval_take(eval *e, const ir_op *op);
bool eval_histogram(eval *e, const ir_op *op);
bool eval_dot(eval *e, const ir_op *op);
bool eval_advance(eval *e, const ir_op *op);
bool eval_tensor_op(eval *e, const ir_op *op);
bool eval_access(eval *e, const ir_op *op); // load, store, atomic
bool eval_channel_op(eval *e, const ir_op *op); // buffer, channel, acquire .. release, read
bool eval_run_roles(eval *e, const ir_op *first); // the role and those behind it, side by side
bool eval_region(eval *e, const ir_region *region);
#endif
