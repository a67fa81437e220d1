// Launchers of sparse_mla.tile, written by launchers.py: change the kernels, not this file.
//
// Sparse attention over latent rows: every query reads the rows its index list names, all heads share
// them, and V is the first part of K.
//
//   s[h, c] = scale * (q[h] . k[c])            c valid: c < length, 0 <= index[c] < rows of the pool
//   m = max s;  L = sum exp(s - m);  lse = m + ln L
//   out[h] = sum exp(s - m) v[c] / (L + exp(sink[h] - m))
//
// Rows of invalid candidates are never read; they may hold NaN or lie nowhere. Duplicates count twice. The
// sink changes `out` alone: -inf has no effect, +inf gives 0. A query without a valid candidate has out 0,
// lse +inf and max -inf. P is rounded to bf16 before P * V, everything else accumulates in f32.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_SPARSE_MLA_H
#define KERNELS_SPARSE_MLA_H
#include "runtime/tile.h"

// BH heads of one query per block. K is DN + DR wide, V the first DN. TOPK_LEN[t] bounds the list (HAS_LEN).
//   in    bf16    Q[T, H, D]
//   in    bf16    KV[P, D]
//   in    i32     INDEX[T, C ; C, 1]
//   in    i32     LENGTH[TL]
//   in    f32     SINK[HS]
//   in    f32     scale
//   out   bf16    OUT[T, H, DN]
//   out   f32     MAX[T, H ; H, 1]
//   out   f32     LSE[T, H ; H, 1]
//   requires BH % 16 == 0 && DN % 64 == 0
//   requires D == DN + DR && (!HAS_LEN || TL == T) && (!HAS_SINK || HS == H) && (H > BH / 2 || BH == 16)
typedef struct tile_sparse_mla_prefill_args {
  tile_tensor Q;
  tile_tensor KV;
  tile_tensor INDEX;
  tile_tensor LENGTH;
  tile_tensor SINK;
  double scale;
  tile_tensor OUT;
  tile_tensor MAX;
  tile_tensor LSE;
} tile_sparse_mla_prefill_args;
static inline tile_status tile_sparse_mla_prefill(tile_kernel *kernel, tile_device *device, const tile_sparse_mla_prefill_args *a,
                                                  void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->KV},
      {.kind = TILE_ARG_TENSOR, .tensor = a->INDEX},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENGTH},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SINK},
      {.kind = TILE_ARG_FLOAT, .f = a->scale},
      {.kind = TILE_ARG_TENSOR, .tensor = a->OUT},
      {.kind = TILE_ARG_TENSOR, .tensor = a->MAX},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LSE},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
