// Launchers of sparse_mla_decode.tile, written by launchers.py: change the kernels, not this file.
//
// Sparse attention over FP8 caches of latent rows: one or two pools of pages, one softmax over both lists.
//
// The mathematics and its edge cases are those of sparse_mla.tile; K and V are the dequantised rows:
//
//   FOOTER = false: rows of 656 bytes, V is their first 512 elements;  FOOTER = true: pages of 584 bytes a row, V is all 512
//
// Layouts and slots: latent.tile. A slot that is negative or beyond its pool, or at or behind its length, is skipped.
//
// The candidates are cut into S parts of whole blocks, each with a partial result: normalised out in f32 and lse in base 2,
// -inf without a candidate. sparse_mla_combine joins them in order, so that the same S gives the same bits, and
// applies the sink.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_SPARSE_MLA_DECODE_H
#define KERNELS_SPARSE_MLA_DECODE_H
#include "runtime/tile.h"

//   in    bf16    Q[T, H, D]
//   in    u8      CACHE[P, CW ; ps, 1]
//   in    i32     rows
//   in    i32     INDEX[T, C ; C, 1]
//   in    i32     LENGTH[T]
//   in    u8      EXTRA[P2, EW ; es, 1]
//   in    i32     rows2
//   in    i32     INDEX2[T, C2 ; C2, 1]
//   in    i32     LENGTH2[T]
//   in    f32     scale
//   out   f32     PART[S, T, H, 512]
//   out   f32     LSE2[S, T, H ; T * H, H, 1]
//   requires DN == (FOOTER ? 448 : 512) && BH % 16 == 0 && BT % 16 == 0
//   requires D == DN + 64 && rows > 0 && rows2 > 0 && (H > BH / 2 || BH == 16)
typedef struct tile_sparse_mla_decode_args {
  tile_tensor Q;
  tile_tensor CACHE;
  int64_t rows;
  tile_tensor INDEX;
  tile_tensor LENGTH;
  tile_tensor EXTRA;
  int64_t rows2;
  tile_tensor INDEX2;
  tile_tensor LENGTH2;
  double scale;
  tile_tensor PART;
  tile_tensor LSE2;
} tile_sparse_mla_decode_args;
static inline tile_status tile_sparse_mla_decode(tile_kernel *kernel, tile_device *device, const tile_sparse_mla_decode_args *a,
                                                 void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->INDEX},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENGTH},
      {.kind = TILE_ARG_TENSOR, .tensor = a->EXTRA},
      {.kind = TILE_ARG_INT, .i = a->rows2},
      {.kind = TILE_ARG_TENSOR, .tensor = a->INDEX2},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENGTH2},
      {.kind = TILE_ARG_FLOAT, .f = a->scale},
      {.kind = TILE_ARG_TENSOR, .tensor = a->PART},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LSE2},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// OUT = sum of the parts weighted by their share of the softmax, with the sink; LSE is natural and without it.
//   in    f32     PART[S, T, H, D]
//   in    f32     LSE2[S, T, H]
//   in    f32     SINK[HS]
//   out   bf16    OUT[T, H, D]
//   out   f32     LSE[T, H]
//   requires D == 512 && (!HAS_SINK || HS == H)
typedef struct tile_sparse_mla_combine_args {
  tile_tensor PART;
  tile_tensor LSE2;
  tile_tensor SINK;
  tile_tensor OUT;
  tile_tensor LSE;
} tile_sparse_mla_combine_args;
static inline tile_status tile_sparse_mla_combine(tile_kernel *kernel, tile_device *device, const tile_sparse_mla_combine_args *a,
                                                  void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->PART},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LSE2},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SINK},
      {.kind = TILE_ARG_TENSOR, .tensor = a->OUT},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LSE},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
