// Launchers of latent_cache.tile, written by launchers.py: change the kernels, not this file.
//
// The latent cache outside of attention: rows to bf16 by slot or by position, and quantised rows into their slots.
//
// Layouts and slots: latent.tile. A slot without a row reads as zeros and is written nowhere.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_LATENT_CACHE_H
#define KERNELS_LATENT_CACHE_H
#include "runtime/tile.h"

// OUT[t] = the row of slot SLOTS[t]: DN quantised elements, then 64.
//   in    u8      CACHE[P, W ; ps, 1]
//   in    i32     SLOTS[T]
//   in    i32     rows
//   out   bf16    OUT[T, D]
//   requires DN == (FOOTER ? 448 : 512)) require(D == DN + 64 && rows > 0
typedef struct tile_latent_read_args {
  tile_tensor CACHE;
  tile_tensor SLOTS;
  int64_t rows;
  tile_tensor OUT;
} tile_latent_read_args;
static inline tile_status tile_latent_read(tile_kernel *kernel, tile_device *device, const tile_latent_read_args *a,
                                           void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->OUT},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// OUT[r, offset + j] = the row at position LENGTH[r] - GATHER[r] + j of request r, j < GATHER[r]; other rows stay. The table's row
// begins with page FIRST[r] of the request; a page that is negative or beyond the pool gives zeros.
//   in    u8      CACHE[P, W ; ps, 1]
//   in    i32     LENGTH[R]
//   in    i32     GATHER[R]
//   in    i32     TABLE[R, L]
//   in    i32     FIRST[R]
//   in    i32     rows
//   in    i32     offset
//   inout bf16    OUT[R, M, D]
//   requires DN == (FOOTER ? 448 : 512)) require(D == DN + 64 && rows > 0 && offset >= 0
typedef struct tile_latent_gather_args {
  tile_tensor CACHE;
  tile_tensor LENGTH;
  tile_tensor GATHER;
  tile_tensor TABLE;
  tile_tensor FIRST;
  int64_t rows;
  int64_t offset;
  tile_tensor OUT;
} tile_latent_gather_args;
static inline tile_status tile_latent_gather(tile_kernel *kernel, tile_device *device, const tile_latent_gather_args *a,
                                             void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->LENGTH},
      {.kind = TILE_ARG_TENSOR, .tensor = a->GATHER},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->FIRST},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_INT, .i = a->offset},
      {.kind = TILE_ARG_TENSOR, .tensor = a->OUT},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Row n of X into slot SLOTS[n]: per group (64 with FOOTER, 128 without) scale = 2^ceil(log2(max(max(amax, amax_floor) / 448,
// scale_floor))), q = e4m3(x / scale); the last 64 elements as they are; the byte of padding is 0.
//   in    bf16    X[N, D]
//   in    i32     SLOTS[N]
//   in    i32     rows
//   in    f32     amax_floor
//   in    f32     scale_floor
//   inout u8      CACHE[P, W ; ps, 1]
//   requires DN == (FOOTER ? 448 : 512)) require(D == DN + 64 && rows > 0
typedef struct tile_latent_write_args {
  tile_tensor X;
  tile_tensor SLOTS;
  int64_t rows;
  double amax_floor;
  double scale_floor;
  tile_tensor CACHE;
} tile_latent_write_args;
static inline tile_status tile_latent_write(tile_kernel *kernel, tile_device *device, const tile_latent_write_args *a,
                                            void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_INT, .i = a->rows},
      {.kind = TILE_ARG_FLOAT, .f = a->amax_floor},
      {.kind = TILE_ARG_FLOAT, .f = a->scale_floor},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
