// Questions that both ways of running loads ahead of their use ask: pass/pipeline.c,
// pass/specialize.c.
#ifndef IR_PIPELINE_UTIL_H
#define IR_PIPELINE_UTIL_H
#include "ir/facts.h"
#include "ir/layout.h"
#include "ir/pass.h"

// Why a tile load cannot become an asynchronous copy that runs ahead in `loop` (NULL: on the spot);
// NULL when it can.
const char *ir_refuse_async(const ir_func *func, const ir_op *load, const ir_op *loop);
// The same for a load into registers that runs an iteration ahead: a gather by an index from
// outside is welcome.
const char *ir_refuse_ahead(const ir_func *func, const ir_op *load, const ir_op *loop);
// The same for a copy into a slot by all threads: subscripts may come from inputs that are read again,
// and whole rows may be gathered.
const char *ir_refuse_copy(const ir_func *func, const ir_op *load, const ir_op *loop);
// The value as computed for another iteration: its slice of the loop body, cloned once per map. The
// map says which value stands for the induction variable.
ir_val ir_at_iteration(ir_builder *b, ir_map *map, const ir_op *loop, ir_val val);
// Largest cp.async of 16, 8 or 4 bytes that alignment and the row length allow; 0: none.
int ir_copy_chunk(const ir_func *func, const ir_facts *facts, const ir_op *load);
// A tile in shared memory: rows of 32, 64 or 128 bytes are swizzled; others are padded so that 8
// rows meet different banks. `spread`: 4-bit elements in a byte each.
ir_layout ir_buffer_layout(const ir_pass_ctx *ctx, const ty_type *tile, bool spread);
// Every `step`-th element of an index tile, `count` of them: computed again from splats and iotas.
bool ir_can_thin(const ir_func *func, ir_val index);
ir_val ir_thin(ir_builder *b, const ir_map *map, ir_val index, int64_t step, int64_t count);
// Is the access to an input that nothing in the kernel writes?
bool ir_reads_only_input(const ir_func *func, const ir_access *access);
// Does the region lie inside the operation?
bool ir_region_inside(const ir_region *region, const ir_op *op);
// Region in which the value is defined.
const ir_region *ir_home_region(const ir_func *func, ir_val val);
#endif
