// Facts about integer values: divisibility, range, contiguity. Computed on demand over a function;
// seeded by parameters (ir_param.div), assume operations (x % c == 0, x <= c, ...) and types.
#ifndef IR_FACTS_H
#define IR_FACTS_H
#include "ir/ir.h"

typedef struct ir_fact {
  int64_t div;     // value is a multiple of this (>= 1; 0 means the value is 0)
  int64_t lo, hi;  // inclusive range; INT64_MIN/MAX when unknown
  int64_t contig;  // rank-1 tiles: runs of this many elements (aligned to it) grow by 1; >= 1
  int64_t run_div; // the first element of each such run is a multiple of this
  int64_t constant_run; // rank-1 tiles: runs of this many equal elements
} ir_fact;

typedef struct ir_facts {
  const ir_func *func;
  ir_fact *of; // by value id
  uint32_t count;
} ir_facts;

ir_facts *ir_facts_compute(const ir_func *func, tl_arena *arena);
const ir_fact *ir_fact_of(const ir_facts *facts, ir_val val); // never NULL
// Bytes to which the address of the first element of each row (last dim) of a tile access is known
// to be aligned, given base alignment, strides and subscripts: a power of two <= 128, at least the
// element size. 1-byte result means nothing beyond byte alignment.
int64_t ir_access_align(const ir_facts *facts, const ir_op *access);
// True when the facts prove that no element of the access lies outside the tensor.
bool ir_access_in_bounds(const ir_facts *facts, const ir_op *access);
#endif
