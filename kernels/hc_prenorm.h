// Launchers of hc_prenorm.tile, written by launchers.py: change the kernels, not this file.
//
// Hyper-connection prenorm: D = A * B^T in tf32, and the sums of squares of the rows of A, in S slices of
// K that the reader adds up.
//
// Let KB = ceildiv(K, 64): slice s owns KB / S blocks of 64, and one more where s < KB % S, in order. A is bf16,
// which tf32 holds exactly; B is f32, rounded to tf32 (nearest). Squares are summed in f32. A slice without
// blocks is zero. N up to BN.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_HC_PRENORM_H
#define KERNELS_HC_PRENORM_H
#include "runtime/tile.h"

// Hyper-connection prenorm: D = A * B^T in tf32, and the sums of squares of the rows of A, in S slices of
// K that the reader adds up.
//
// Let KB = ceildiv(K, 64): slice s owns KB / S blocks of 64, and one more where s < KB % S, in order. A is bf16,
// which tf32 holds exactly; B is f32, rounded to tf32 (nearest). Squares are summed in f32. A slice without
// blocks is zero. N up to BN.
//   in    bf16    A[M, K]
//   in    f32     B[N, K]
//   out   f32     D[S, M, N]
//   out   f32     SQ[S, M]
//   requires N <= BN && BK == 64 && (M > BM / 2 || BM == 16)
typedef struct tile_hc_prenorm_args {
  tile_tensor A;
  tile_tensor B;
  tile_tensor D;
  tile_tensor SQ;
} tile_hc_prenorm_args;
static inline tile_status tile_hc_prenorm(tile_kernel *kernel, tile_device *device, const tile_hc_prenorm_args *a,
                                          void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->A},
      {.kind = TILE_ARG_TENSOR, .tensor = a->B},
      {.kind = TILE_ARG_TENSOR, .tensor = a->D},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SQ},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
