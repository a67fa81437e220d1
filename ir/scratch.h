// Shared-memory needs of sir operations, agreed between the memory plan and code generation.
#ifndef IR_SCRATCH_H
#define IR_SCRATCH_H
#include "ir/layout.h"

// Scratch bytes of a convert (via shared), a reduce across warps, or an operation that broadcasts a
// scalar atomic's result; 0 when the operation needs none.
int64_t ir_scratch_bytes(const ir_func *func, const ir_op *op);
// Bytes in which a cluster_sum receives the parts of the other CTAs, and their mbarrier.
int64_t ir_inbox_bytes(const ir_func *func, const ir_op *op);
// Row pitch in bytes of a convert's scratch image (last dim + 16 bytes of padding, 16-byte multiple).
int64_t ir_scratch_pitch(const ty_type *tile);
// Distance between two stages of a shared buffer: its bytes rounded up to 1024 with a swizzle, to 128 without.
int64_t ir_stage_bytes(const ir_layout *layout, const ty_type *buf);
#endif
