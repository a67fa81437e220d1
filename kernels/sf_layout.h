// Launchers of sf_layout.tile, written by launchers.py: change the kernels, not this file.
//
// Scale factors into the layouts that GEMM kernels read: MN-major with rows of MN apart by a multiple of
// 16 bytes, as f32 or as packed exponents.
//
// Strides of inputs and outputs are the caller's; elements of an output between its rows (MN rounded up to
// 4) are not written. G is the number of groups, 1 for a plain matrix.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_SF_LAYOUT_H
#define KERNELS_SF_LAYOUT_H
#include "runtime/tile.h"

// f32, any layout to any other: [G, MN, KB].
//   in    f32     X[G, MN, KB ; xg, xm, xk]
//   out   f32     Y[G, MN, KB ; yg, ym, yk]
typedef struct tile_sf_copy_args {
  tile_tensor X;
  tile_tensor Y;
} tile_sf_copy_args;
static inline tile_status tile_sf_copy(tile_kernel *kernel, tile_device *device, const tile_sf_copy_args *a,
                                       void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Y},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Exponents of four consecutive groups of K in one word, the first in the low byte; groups beyond KB are 0.
// Row m takes row m / gran_mn of X. The mantissa is dropped: scales that are no powers of two are
// rounded down, so round them up before.
//   in    f32     X[G, R, KB ; xg, xm, xk]
//   in    i32     gran_mn
//   out   i32     Y[G, MN, KP ; yg, ym, yk]
//   requires gran_mn > 0 && R == ceildiv(MN, gran_mn) && KP == ceildiv(KB, 4)
typedef struct tile_sf_pack_ue8m0_args {
  tile_tensor X;
  int64_t gran_mn;
  tile_tensor Y;
} tile_sf_pack_ue8m0_args;
static inline tile_status tile_sf_pack_ue8m0(tile_kernel *kernel, tile_device *device, const tile_sf_pack_ue8m0_args *a,
                                             void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_INT, .i = a->gran_mn},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Y},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Groups along K of their own lengths, KS[g] elements each in groups of `gran`: X has ceildiv(KS[g], gran)
// rows for group g, one behind the other, Y ceildiv(KS[g], 4 * gran); every group starts on a fresh row.
//   in    f32     X[KB, MN]
//   in    i32     KS[G]
//   in    i32     gran
//   out   i32     Y[KP, MN]
//   requires gran > 0
typedef struct tile_sf_pack_ue8m0_k_grouped_args {
  tile_tensor X;
  tile_tensor KS;
  int64_t gran;
  tile_tensor Y;
} tile_sf_pack_ue8m0_k_grouped_args;
static inline tile_status tile_sf_pack_ue8m0_k_grouped(tile_kernel *kernel, tile_device *device, const tile_sf_pack_ue8m0_k_grouped_args *a,
                                                       void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_TENSOR, .tensor = a->KS},
      {.kind = TILE_ARG_INT, .i = a->gran},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Y},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
