// Launchers of quantise.tile, written by launchers.py: change the kernels, not this file.
//
// Quantisers: f32, bf16 or f16 values to FP8 or FP4 with one scale per group of elements.
//
//   scale = max(amax, amax_floor) / largest      largest: 448 for f8e4m3, 6 for f4e2m1
//   POW2: scale is rounded up to a power of two
//   q = round(x * (1 / scale))                   both in f32, each rounded once to nearest even
//
// Groups that reach past the edge count what is missing as zero. A NaN is not seen by amax and stays a
// NaN in FP8; it becomes the largest code in FP4. Scales may lie in any layout: their strides are the
// caller's, so that MN-major scales need no second pass.
// FP4 codes: fp4.tile.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_QUANTISE_H
#define KERNELS_QUANTISE_H
#include "runtime/tile.h"

//   in    T       X[M, K]
//   in    f32     amax_floor
//   out   f8e4m3  Q[M, K]
//   out   ST      SF[M, ceildiv(K, GRAN) ; sm, sk]
typedef struct tile_quantise_fp8_per_token_args {
  tile_tensor X;
  double amax_floor;
  tile_tensor Q;
  tile_tensor SF;
} tile_quantise_fp8_per_token_args;
static inline tile_status tile_quantise_fp8_per_token(tile_kernel *kernel, tile_device *device, const tile_quantise_fp8_per_token_args *a,
                                                      void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_FLOAT, .f = a->amax_floor},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SF},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Groups of GRAN rows: K is the first dimension.
//   in    T       X[K, N]
//   in    f32     amax_floor
//   out   f8e4m3  Q[K, N]
//   out   ST      SF[ceildiv(K, GRAN), N ; sk, sn]
typedef struct tile_quantise_fp8_per_channel_args {
  tile_tensor X;
  double amax_floor;
  tile_tensor Q;
  tile_tensor SF;
} tile_quantise_fp8_per_channel_args;
static inline tile_status tile_quantise_fp8_per_channel(tile_kernel *kernel, tile_device *device, const tile_quantise_fp8_per_channel_args *a,
                                                        void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_FLOAT, .f = a->amax_floor},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SF},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Twice over the block in strips of BM rows: the second time it comes from the cache.
//   in    T       X[M, K]
//   in    f32     amax_floor
//   out   f8e4m3  Q[M, K]
//   out   ST      SF[ceildiv(M, GRAN), ceildiv(K, GRAN) ; sm, sk]
//   requires GRAN % BM == 0
typedef struct tile_quantise_fp8_per_block_args {
  tile_tensor X;
  double amax_floor;
  tile_tensor Q;
  tile_tensor SF;
} tile_quantise_fp8_per_block_args;
static inline tile_status tile_quantise_fp8_per_block(tile_kernel *kernel, tile_device *device, const tile_quantise_fp8_per_block_args *a,
                                                      void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_FLOAT, .f = a->amax_floor},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SF},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Two codes to a byte along K, the even element in the low half. Scales are powers of two.
//   in    T       X[M, K]
//   in    f32     amax_floor
//   out   f4e2m1  Q[M, K]
//   out   ST      SF[M, ceildiv(K, GRAN) ; sm, sk]
//   requires K % 2 == 0
typedef struct tile_quantise_fp4_per_token_args {
  tile_tensor X;
  double amax_floor;
  tile_tensor Q;
  tile_tensor SF;
} tile_quantise_fp4_per_token_args;
static inline tile_status tile_quantise_fp4_per_token(tile_kernel *kernel, tile_device *device, const tile_quantise_fp4_per_token_args *a,
                                                      void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_FLOAT, .f = a->amax_floor},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SF},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
