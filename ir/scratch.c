// Shared-memory scratch of sir operations: one formula for the memory plan and for code generation.
#include "ir/scratch.h"

int64_t ir_scratch_pitch(const ty_type *tile) {
  int bits = tl_dtype_bits(tile->dtype) < 8 ? 8 : tl_dtype_bits(tile->dtype);
  int64_t row_bytes = tile->dims[tile->rank - 1] * bits / 8;
  return (row_bytes + 15) / 16 * 16 + 16;
}

// A row-major image with padded rows.
static int64_t padded_bytes(const ty_type *tile) {
  return ty_elems(tile) / tile->dims[tile->rank - 1] * ir_scratch_pitch(tile);
}

static int64_t convert_bytes(const ir_func *func, const ir_op *op) {
  if (strcmp(ir_str(op, "via", "shared"), "shared") != 0)
    return 0;
  return padded_bytes(ir_type(func, op->args[0]));
}

// Across warps every warp leaves one partial per result element: 8 bytes each, and as many again
// for the index of argmax and argmin.
static int64_t reduce_bytes(const ir_func *func, const ir_op *op) {
  const ir_layout *layout = ir_info_of(func, op->args[0])->layout;
  int axis = (int)ir_int(op, "axis", 0), crossing = 0;
  for (int bit = 0; bit < layout->nwarp_bits; bit++)
    crossing += layout->warp[bit][axis] != 0;
  if (!crossing)
    return 0;
  int64_t per_result = tl_starts_with(ir_str(op, "kind", ""), "arg") ? 16 : 8;
  return (ty_elems(ir_type(func, op->res[0])) << crossing) * per_result;
}

// Scan: each crossing warp leaves one total per line and repetition along the axis, 8 bytes each.
static int64_t scan_bytes(const ir_func *func, const ir_op *op) {
  const ir_layout *layout = ir_info_of(func, op->args[0])->layout;
  const ty_type *tile = ir_type(func, op->args[0]);
  int axis = (int)ir_int(op, "axis", 0), crossing = 0;
  int64_t parts = 1;
  for (int bit = 0; bit < layout->nwarp_bits; bit++)
    crossing += layout->warp[bit][axis] != 0;
  for (int i = 0; i < layout->nreps; i++)
    parts *= layout->rep[i].dim == axis ? layout->rep[i].count : 1;
  return crossing ? (ty_elems(tile) / tile->dims[axis] * parts << crossing) * 8 : 0;
}

// Taking by index: the whole source as an image.
static int64_t take_bytes(const ir_func *func, const ir_op *op) {
  const ty_type *tile = ir_type(func, op->args[0]);
  return ty_elems(tile) / tile->dims[tile->rank - 1] * ir_scratch_pitch(tile);
}

// Reshape, slice, bitcast between widths: the source as one dense row-major image.
static int64_t image_bytes(const ir_func *func, const ir_op *op) {
  if (strcmp(ir_str(op, "via", ""), "shared") != 0)
    return 0;
  const ty_type *tile = ir_type(func, op->args[0]);
  int bits = tl_dtype_bits(tile->dtype);
  return ty_elems(tile) * (bits < 8 ? 8 : bits) / 8;
}

// Warps that hold copies of a tile learn the old values through shared memory; so does everybody
// else of a scalar's. Lanes of one warp use shuffles.
static int64_t atomic_bytes(const ir_func *func, const ir_op *op) {
  const ty_type *tile = ir_type(func, op->res[0]);
  if (ty_is_scalar(tile))
    return 16;
  if (!ir_layout_warp_copies(ir_info_of(func, op->res[0])->layout, ir_warps_at(func, op)))
    return 0;
  return padded_bytes(tile);
}

int64_t ir_scratch_bytes(const ir_func *func, const ir_op *op) {
  switch (op->code) {
  case IR_RESHAPE:
  case IR_SLICE:
  case IR_BITCAST:
    return image_bytes(func, op);
  case IR_CONVERT:
    return convert_bytes(func, op);
  case IR_CLUSTER_SUM:
    return padded_bytes(ir_type(func, op->args[0]));
  case IR_REDUCE:
    return reduce_bytes(func, op);
  case IR_SCAN:
    return scan_bytes(func, op);
  case IR_TAKE:
    return take_bytes(func, op);
  case IR_HISTOGRAM:
    return ir_type(func, op->res[0])->dims[0] * 4;
  case IR_ATOMIC:
    return atomic_bytes(func, op);
  case IR_STORE: // an image on the way out by TMA
    return strcmp(ir_str(op, "engine", ""), "tma") ? 0 : ty_elems(ir_type(func, op->args[1])) * 2;
  default:
    return 0;
  }
}

int64_t ir_inbox_bytes(const ir_func *func, const ir_op *op) {
  enum { BARRIER_BYTES = 128 };
  if (op->code != IR_CLUSTER_SUM)
    return 0;
  return BARRIER_BYTES + padded_bytes(ir_type(func, op->res[0])) * (func->cluster - 1);
}
