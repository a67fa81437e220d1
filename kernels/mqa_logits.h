// Launchers of mqa_logits.tile, written by launchers.py: change the kernels, not this file.
//
// Indexer logits: one key row against all heads of a query, weighted and summed over the heads.
//
//   logit[i, j] = ks[j] * sum over h of w[i, h] * max(q[i, h] . k[j], 0)
//
// Scores accumulate in f32 on the tensor cores, the sum over heads in f32 in a fixed order. FP8 operands
// are taken as they are, ks is one f32 per key; FP4 operands are e2m1 with one ue8m0 scale per 32
// elements (four bytes of a word, the first in the low one), and ks is 1.
//
// Ragged: key j counts for query i where START[i] <= j < END[i]. CLEAN fills all other columns of a row with -inf;
// without it they are not written. COMPRESSED writes column j - START[i] instead, and nothing else.
// START and END outside of 0 .. T are cut; a row with END <= START has no key.
//
// Paged: query n of request b sees its first CONTEXT[b, n] keys (or, where CONTEXT has one column, CONTEXT[b] - (NN - 1 - n):
// causal inside of a draft), key j in page TABLE[b, j / rows], row j % rows. Columns behind are not written. A page outside the
// pool has keys of zero. `rows` is a multiple of BT. Pages as in indexer_cache.tile.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_MQA_LOGITS_H
#define KERNELS_MQA_LOGITS_H
#include "runtime/tile.h"

//   in    f8e4m3  Q[S, NH, D]
//   in    f8e4m3  K[T, D]
//   in    f32     KS[T]
//   in    f32     W[S, NH]
//   in    i32     START[S]
//   in    i32     END[S]
//   out   OT      LOGITS[S, C ; ls, 1]
//   requires BQ * H % 16 == 0 && BQ * H <= 128 && SPAN % BT == 0 && !(CLEAN && COMPRESSED)
//   requires NH == H && (COMPRESSED || C == T)
typedef struct tile_mqa_logits_fp8_args {
  tile_tensor Q;
  tile_tensor K;
  tile_tensor KS;
  tile_tensor W;
  tile_tensor START;
  tile_tensor END;
  tile_tensor LOGITS;
} tile_mqa_logits_fp8_args;
static inline tile_status tile_mqa_logits_fp8(tile_kernel *kernel, tile_device *device, const tile_mqa_logits_fp8_args *a,
                                              void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->K},
      {.kind = TILE_ARG_TENSOR, .tensor = a->KS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->W},
      {.kind = TILE_ARG_TENSOR, .tensor = a->START},
      {.kind = TILE_ARG_TENSOR, .tensor = a->END},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LOGITS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

//   in    f4e2m1  Q[S, NH, 128]
//   in    i32     QS[S, NH]
//   in    f4e2m1  K[T, 128]
//   in    i32     KS[T]
//   in    f32     W[S, NH]
//   in    i32     START[S]
//   in    i32     END[S]
//   out   OT      LOGITS[S, C ; ls, 1]
//   requires BQ * H % 16 == 0 && BQ * H <= 128 && SPAN % BT == 0 && !(CLEAN && COMPRESSED)
//   requires NH == H && (COMPRESSED || C == T)
typedef struct tile_mqa_logits_fp4_args {
  tile_tensor Q;
  tile_tensor QS;
  tile_tensor K;
  tile_tensor KS;
  tile_tensor W;
  tile_tensor START;
  tile_tensor END;
  tile_tensor LOGITS;
} tile_mqa_logits_fp4_args;
static inline tile_status tile_mqa_logits_fp4(tile_kernel *kernel, tile_device *device, const tile_mqa_logits_fp4_args *a,
                                              void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->QS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->K},
      {.kind = TILE_ARG_TENSOR, .tensor = a->KS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->W},
      {.kind = TILE_ARG_TENSOR, .tensor = a->START},
      {.kind = TILE_ARG_TENSOR, .tensor = a->END},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LOGITS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

//   in    f8e4m3  Q[B, NN, NH, D]
//   in    u8      CACHE[P, CW ; ps, 1]
//   in    f32     W[WN, NH]
//   in    i32     CONTEXT[B, CN]
//   in    i32     TABLE[B, L]
//   in    i32     rows
//   out   OT      LOGITS[ON, C ; ls, 1]
//   requires BQ * H % 16 == 0 && BQ * H <= 128 && SPAN % BT == 0
//   requires NH == H && WN == B * NN && ON == WN && (CN == NN || CN == 1) && rows > 0 && rows % BT == 0
typedef struct tile_mqa_logits_paged_fp8_args {
  tile_tensor Q;
  tile_tensor CACHE;
  tile_tensor W;
  tile_tensor CONTEXT;
  tile_tensor TABLE;
  int64_t rows;
  tile_tensor LOGITS;
} tile_mqa_logits_paged_fp8_args;
static inline tile_status tile_mqa_logits_paged_fp8(tile_kernel *kernel, tile_device *device, const tile_mqa_logits_paged_fp8_args *a,
                                                    void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->W},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CONTEXT},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LOGITS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

//   in    f4e2m1  Q[B, NN, NH, 128]
//   in    i32     QS[B, NN, NH]
//   in    u8      CACHE[P, CW ; ps, 1]
//   in    f32     W[WN, NH]
//   in    i32     CONTEXT[B, CN]
//   in    i32     TABLE[B, L]
//   in    i32     rows
//   out   OT      LOGITS[ON, C ; ls, 1]
//   requires BQ * H % 16 == 0 && BQ * H <= 128 && SPAN % BT == 0
//   requires NH == H && WN == B * NN && ON == WN && (CN == NN || CN == 1) && rows > 0 && rows % BT == 0
typedef struct tile_mqa_logits_paged_fp4_args {
  tile_tensor Q;
  tile_tensor QS;
  tile_tensor CACHE;
  tile_tensor W;
  tile_tensor CONTEXT;
  tile_tensor TABLE;
  int64_t rows;
  tile_tensor LOGITS;
} tile_mqa_logits_paged_fp4_args;
static inline tile_status tile_mqa_logits_paged_fp4(tile_kernel *kernel, tile_device *device, const tile_mqa_logits_paged_fp4_args *a,
                                                    void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->Q},
      {.kind = TILE_ARG_TENSOR, .tensor = a->QS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->W},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CONTEXT},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LOGITS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// The even division of paged logits among `slots` workers, as callers of other kernels expect it: units of `split` keys of
// each of the `atoms` parts of a request's queries, request by request, part by part. SCHEDULE[s] = (part, unit within it)
// that slot s starts with, parts numbered through all requests; the first slots get one unit less where they do not
// divide; the last row is (B * atoms, 0). All parts of a request count its last context length.
// mqa_logits_paged_* needs none of this: its grid covers the contexts.
//   in    i32     CONTEXT[B, CN]
//   in    i32     split
//   in    i32     atoms
//   out   i32     SCHEDULE[SLOTS1, 2]
//   requires split > 0 && atoms > 0 && SLOTS1 > 1 && CN > 0
typedef struct tile_mqa_schedule_args {
  tile_tensor CONTEXT;
  int64_t split;
  int64_t atoms;
  tile_tensor SCHEDULE;
} tile_mqa_schedule_args;
static inline tile_status tile_mqa_schedule(tile_kernel *kernel, tile_device *device, const tile_mqa_schedule_args *a,
                                            void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->CONTEXT},
      {.kind = TILE_ARG_INT, .i = a->split},
      {.kind = TILE_ARG_INT, .i = a->atoms},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SCHEDULE},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
