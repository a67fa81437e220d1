// Launchers of topk.tile, written by launchers.py: change the kernels, not this file.
//
// Exact top-k of rows of logits, as positions, without sorting.
//
// Row i has the candidates START[i] <= j < END[i] (cut to the row's N columns; what lies outside of them may
// hold anything and is not looked at). OUT[i] lists the positions j - START[i] of the K largest, in ascending
// order of position, then -1. Of equal values at the border the earlier ones win, so the list is unique. With
// at most K candidates it is 0, 1, .. and needs no value. Values that are not finite are never chosen: their
// places are -1 too. Positions count from the row's own start, as the next stage addresses them.
//
// A radix selection: the keys are the bits of the values, ordered like them; four rounds of a 256-bin
// histogram find the K-th largest key, a last round compacts what lies above it.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_TOPK_H
#define KERNELS_TOPK_H
#include "runtime/tile.h"

//   in    T       LOGITS[M, N ; ls, 1]
//   in    i32     START[M]
//   in    i32     END[M]
//   out   i32     OUT[M, K]
typedef struct tile_topk_rows_args {
  tile_tensor LOGITS;
  tile_tensor START;
  tile_tensor END;
  tile_tensor OUT;
} tile_topk_rows_args;
static inline tile_status tile_topk_rows(tile_kernel *kernel, tile_device *device, const tile_topk_rows_args *a,
                                         void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->LOGITS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->START},
      {.kind = TILE_ARG_TENSOR, .tensor = a->END},
      {.kind = TILE_ARG_TENSOR, .tensor = a->OUT},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Streaming: the K largest of a running list and of the columns of a chunk that lies behind it, so that the logits of one
// chunk at a time need to exist. BEST and AT are the running values and positions (AT -1: none yet; their order is that of
// the positions); LOGITS holds the columns base .. base + C of the row, of which START[i] <= j < END[i] count. Started from AT = -1 and
// fed all chunks in order, NEXT_AT ends as what topk_rows gives, positions counted from the row's first column.
//   in    f32     BEST[M, K]
//   in    i32     AT[M, K]
//   in    T       LOGITS[M, C ; ls, 1]
//   in    i32     START[M]
//   in    i32     END[M]
//   in    i32     base
//   out   f32     NEXT_BEST[M, K]
//   out   i32     NEXT_AT[M, K]
typedef struct tile_topk_merge_args {
  tile_tensor BEST;
  tile_tensor AT;
  tile_tensor LOGITS;
  tile_tensor START;
  tile_tensor END;
  int64_t base;
  tile_tensor NEXT_BEST;
  tile_tensor NEXT_AT;
} tile_topk_merge_args;
static inline tile_status tile_topk_merge(tile_kernel *kernel, tile_device *device, const tile_topk_merge_args *a,
                                          void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->BEST},
      {.kind = TILE_ARG_TENSOR, .tensor = a->AT},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LOGITS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->START},
      {.kind = TILE_ARG_TENSOR, .tensor = a->END},
      {.kind = TILE_ARG_INT, .i = a->base},
      {.kind = TILE_ARG_TENSOR, .tensor = a->NEXT_BEST},
      {.kind = TILE_ARG_TENSOR, .tensor = a->NEXT_AT},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
