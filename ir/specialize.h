// What the files of pass/specialize*.c share: the loop being split and the steps of the split.
//
//   specialize.c        the pass: order of the steps, registers, remarks
//   specialize_match.c  which loops qualify, and why others do not
//   specialize_feed.c   channel, TMA descriptors and the role that fills the slots
//   specialize_store.c  the tile's way out
//   specialize_math.c   the role that multiplies what the slots hold
#ifndef IR_SPECIALIZE_H
#define IR_SPECIALIZE_H
#include "ir/facts.h"
#include "ir/pass_list.h"
#include "ir/pipeline_util.h"

typedef struct operand {
  ir_op *load; // NULL: none
  int field;   // of the channel
  int param;   // position of its TMA descriptor among the parameters
} operand;

typedef struct split {
  ir_pass_ctx *ctx;
  ir_func *func;
  ir_facts *facts;
  ir_op *role, *loop, *dot;
  operand a, b;
  bool by_mma; // mma.sync takes the operands out of the slots, not wgmma
  // Scales that a warp brings, copying 4 bytes per lane: one for each row (of swapped operands: column),
  // and of the columns where runs of `run` columns share one.
  operand scale_a, scale_b;
  int64_t run; // 0: every column has its own
  ir_op *store;           // that leaves by TMA; NULL: none
  int64_t image_bytes;    // shared memory of its image
  int64_t inbox_bytes;    // of what other CTAs of the cluster send (pass split_k)
  ir_val channel, scales; // slots of operands; slots of scales: none when nothing feeds them
  int depth;
  int64_t slot_bytes;
} split;

static inline bool split_is_scaled(const split *s) { return s->dot->code == IR_DOT_SCALED; }

// Finds dot, loop and operands. NULL, or why the loop stays as it is; no dot: s->dot is NULL.
const char *split_match(split *s);
// Chooses the store that leaves by TMA, before the channel takes the rest of shared memory.
void split_find_store(split *s);
void split_stage_store(split *s);
// TMA descriptor of the access's tensor as one more parameter; `box` counts the tile's dims.
// Returns its position.
int split_add_descriptor(split *s, const ir_access *access, tl_dtype dtype, const int64_t *box,
                         int swizzle);
// Declares the channel before the role; false when not even two slots fit.
bool split_declare_channel(split *s);
// Clones the role into the feeder behind it.
void split_make_feeder(split *s);
// Turns the role into the consumer of the channel.
void split_make_math(split *s);
// One operation on a channel.
ir_op *split_on_channel(ir_builder *b, ir_code code, ir_val channel);
#endif
