// Launchers of metadata.tile, written by launchers.py: change the kernels, not this file.
//
// Index and length tables of sparse attention, each in one launch and without a look at the host: slots of
// compressed entries, of the sliding window and of top-k choices, candidate lists of prefill and decode.
//
// Tokens are concatenated by request: START[r] <= t < START[r + 1]. The last token of request r stands at
// position LENGTH[r] - 1. A slot is page * B + row, -1 where there is none; slots are computed in 64 bits and
// a slot that does not fit the output's type is -1. A page table entry that is negative gives -1, and so does
// a position behind the table's row. Tokens of padding (VALID[t] = 0, or no request) have length 0; their
// rows are not written.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_METADATA_H
#define KERNELS_METADATA_H
#include "runtime/tile.h"

// Slot of the entry that token t at position p completes, (p + 1) % ratio == 0; -1 elsewhere, and behind the
// last token.
//   in    i32     START[R1]
//   in    i32     LENGTH[R]
//   in    i32     TABLE[R, L]
//   in    i32     rows
//   in    i32     ratio
//   out   i64     SLOTS[T]
//   requires R1 == R + 1 && rows > 0 && ratio > 0
typedef struct tile_compressed_slots_args {
  tile_tensor START;
  tile_tensor LENGTH;
  tile_tensor TABLE;
  int64_t rows;
  int64_t ratio;
  tile_tensor SLOTS;
} tile_compressed_slots_args;
static inline tile_status tile_compressed_slots(tile_kernel *kernel, tile_device *device, const tile_compressed_slots_args *a,
                                                void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->START},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENGTH},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_INT, .i = a->ratio},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// OUT[t, j] = slot of the choice TOPK[t, j], -1 where that is negative; in place, without moving any.
// LENS[t] counts the choices that are not negative. Read at most K of a row: a -1 may stand between.
//   in    i32     TOPK[T, K]
//   in    i32     REQUEST[T]
//   in    i32     TABLE[R, L]
//   in    i32     VALID[T]
//   in    i32     rows
//   inout i32     SLOTS[T, K]
//   out   i32     LENS[T]
//   requires rows > 0
typedef struct tile_topk_slots_args {
  tile_tensor TOPK;
  tile_tensor REQUEST;
  tile_tensor TABLE;
  tile_tensor VALID;
  int64_t rows;
  tile_tensor SLOTS;
  tile_tensor LENS;
} tile_topk_slots_args;
static inline tile_status tile_topk_slots(tile_kernel *kernel, tile_device *device, const tile_topk_slots_args *a,
                                          void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->TOPK},
      {.kind = TILE_ARG_TENSOR, .tensor = a->REQUEST},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->VALID},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Slots of positions max(p - window + 1, 0) .. p of each token, -1 behind them, LENS[t] = min(p + 1, window).
// FIRST[r] is the page of request r that its table row begins with.
//   in    i32     START[R1]
//   in    i32     LENGTH[R]
//   in    i32     REQUEST[T]
//   in    i32     TABLE[R, L]
//   in    i32     FIRST[R]
//   in    i32     VALID[T]
//   in    i32     window
//   in    i32     rows
//   inout i32     SLOTS[T, W]
//   out   i32     LENS[T]
//   requires R1 == R + 1 && rows > 0 && window > 0 && W >= window
typedef struct tile_window_slots_args {
  tile_tensor START;
  tile_tensor LENGTH;
  tile_tensor REQUEST;
  tile_tensor TABLE;
  tile_tensor FIRST;
  tile_tensor VALID;
  int64_t window;
  int64_t rows;
  tile_tensor SLOTS;
  tile_tensor LENS;
} tile_window_slots_args;
static inline tile_status tile_window_slots(tile_kernel *kernel, tile_device *device, const tile_window_slots_args *a,
                                            void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->START},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENGTH},
      {.kind = TILE_ARG_TENSOR, .tensor = a->REQUEST},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->FIRST},
      {.kind = TILE_ARG_TENSOR, .tensor = a->VALID},
      {.kind = TILE_ARG_INT, .i = a->window},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Rows of a workspace [R, M] of which the first N of each request are compressed entries and the rest its
// window: the chosen entries of token t, a = min((p + 1) / ratio, topk) of them, then the min(p + 1, window)
// rows up to its own, then -1. GATHER[r] rows of request r lie in the window part, up to its last.
// DENSE: the choices are 0, 1, .. a - 1 with a = min((p + 1) / ratio, ENTRIES[r]).
//   in    i32     TOPK[T, K]
//   in    i32     START[R1]
//   in    i32     LENGTH[R]
//   in    i32     GATHER[R]
//   in    i32     ENTRIES[R]
//   in    i32     REQUEST[T]
//   in    i32     window
//   in    i32     ratio
//   in    i32     topk
//   in    i32     M
//   in    i32     N
//   inout i32     ROWS[T, C]
//   out   i32     LENS[T]
//   requires R1 == R + 1 && window > 0 && ratio > 0
typedef struct tile_prefill_candidates_args {
  tile_tensor TOPK;
  tile_tensor START;
  tile_tensor LENGTH;
  tile_tensor GATHER;
  tile_tensor ENTRIES;
  tile_tensor REQUEST;
  int64_t window;
  int64_t ratio;
  int64_t topk;
  int64_t M;
  int64_t N;
  tile_tensor ROWS;
  tile_tensor LENS;
} tile_prefill_candidates_args;
static inline tile_status tile_prefill_candidates(tile_kernel *kernel, tile_device *device, const tile_prefill_candidates_args *a,
                                                  void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->TOPK},
      {.kind = TILE_ARG_TENSOR, .tensor = a->START},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENGTH},
      {.kind = TILE_ARG_TENSOR, .tensor = a->GATHER},
      {.kind = TILE_ARG_TENSOR, .tensor = a->ENTRIES},
      {.kind = TILE_ARG_TENSOR, .tensor = a->REQUEST},
      {.kind = TILE_ARG_INT, .i = a->window},
      {.kind = TILE_ARG_INT, .i = a->ratio},
      {.kind = TILE_ARG_INT, .i = a->topk},
      {.kind = TILE_ARG_INT, .i = a->M},
      {.kind = TILE_ARG_INT, .i = a->N},
      {.kind = TILE_ARG_TENSOR, .tensor = a->ROWS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENS},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Decode rows: slots of the entries 0 .. n - 1, n = min((p + 1) / ratio, W), then -1; LENS 0 where the token
// has no slot. Prefill rows: 0 .. n - 1, then -1; row 0 is token `decode_tokens`.
//   in    i64     POSITION[T]
//   in    i32     REQUEST[T]
//   in    i32     TABLE[R, L]
//   in    i64     SLOT[T]
//   in    i32     ratio
//   in    i32     rows
//   in    i32     decode_tokens
//   inout i32     DECODE[D, W]
//   inout i32     LENS[D]
//   inout i32     PREFILL[F, W]
//   requires ratio > 0 && rows > 0 && decode_tokens >= 0
typedef struct tile_compressed_rows_args {
  tile_tensor POSITION;
  tile_tensor REQUEST;
  tile_tensor TABLE;
  tile_tensor SLOT;
  int64_t ratio;
  int64_t rows;
  int64_t decode_tokens;
  tile_tensor DECODE;
  tile_tensor LENS;
  tile_tensor PREFILL;
} tile_compressed_rows_args;
static inline tile_status tile_compressed_rows(tile_kernel *kernel, tile_device *device, const tile_compressed_rows_args *a,
                                               void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->POSITION},
      {.kind = TILE_ARG_TENSOR, .tensor = a->REQUEST},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOT},
      {.kind = TILE_ARG_INT, .i = a->ratio},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_INT, .i = a->decode_tokens},
      {.kind = TILE_ARG_TENSOR, .tensor = a->DECODE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENS},
      {.kind = TILE_ARG_TENSOR, .tensor = a->PREFILL},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
