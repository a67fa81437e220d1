// Launchers of indexer_cache.tile, written by launchers.py: change the kernels, not this file.
//
// The indexer's key cache: writers, readers and the paged gather, FP8 and MXFP4.
//
// A page of B rows lies in two planes: B rows of values, then B rows of scales.
//   FP8    128 f8e4m3 per row, then one f32 per row                      B * 132 bytes
//   MXFP4  64 bytes per row, two e2m1 each with the even element low, then 4 ue8m0 per row     B * 68
// Pages may be further apart than their bytes (views into an arena): the stride of CACHE is the
// caller's. A slot is page * B + row. A slot that is negative or beyond the pool is read as a row of
// zeros and written nowhere; no memory is touched for it, and a pool without pages is legal.
// Slots are i32 or i64 (SLOT). B is a run-time value; a CACHE row shorter than a page's bytes ends
// where it ends: what lies behind is outside the pool.
//
// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and
// tile_last_error() names the argument, the dimension and both values. Nothing is written then.
#ifndef KERNELS_INDEXER_CACHE_H
#define KERNELS_INDEXER_CACHE_H
#include "runtime/tile.h"

// Y = f32(value) * scale, one rounding.
//   in    u8      CACHE[P, W ; ps, 1]
//   in    SLOT    SLOTS[T]
//   in    i32     page_rows
//   out   f32     Y[T, D]
//   requires page_rows > 0
typedef struct tile_indexer_read_fp8_args {
  tile_tensor CACHE;
  tile_tensor SLOTS;
  int64_t page_rows;
  tile_tensor Y;
} tile_indexer_read_fp8_args;
static inline tile_status tile_indexer_read_fp8(tile_kernel *kernel, tile_device *device, const tile_indexer_read_fp8_args *a,
                                                void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_INT, .i = a->page_rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Y},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// scale = max(max(amax, amax_floor) / 448, scale_floor), POW2: rounded up to a power of two.
//   in    T       X[N, D]
//   in    SLOT    SLOTS[N]
//   in    i32     page_rows
//   in    f32     amax_floor
//   in    f32     scale_floor
//   inout u8      CACHE[P, W ; ps, 1]
//   requires page_rows > 0
typedef struct tile_indexer_write_fp8_args {
  tile_tensor X;
  tile_tensor SLOTS;
  int64_t page_rows;
  double amax_floor;
  double scale_floor;
  tile_tensor CACHE;
} tile_indexer_write_fp8_args;
static inline tile_status tile_indexer_write_fp8(tile_kernel *kernel, tile_device *device, const tile_indexer_write_fp8_args *a,
                                                 void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_INT, .i = a->page_rows},
      {.kind = TILE_ARG_FLOAT, .f = a->amax_floor},
      {.kind = TILE_ARG_FLOAT, .f = a->scale_floor},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

//   in    u8      CACHE[P, W ; ps, 1]
//   in    SLOT    SLOTS[T]
//   in    i32     page_rows
//   out   f32     Y[T, D]
//   requires page_rows > 0
typedef struct tile_indexer_read_mxfp4_args {
  tile_tensor CACHE;
  tile_tensor SLOTS;
  int64_t page_rows;
  tile_tensor Y;
} tile_indexer_read_mxfp4_args;
static inline tile_status tile_indexer_read_mxfp4(tile_kernel *kernel, tile_device *device, const tile_indexer_read_mxfp4_args *a,
                                                  void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_INT, .i = a->page_rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->Y},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Codes as in quantise.tile; blocks of 32.
//   in    T       X[N, D]
//   in    SLOT    SLOTS[N]
//   in    i32     page_rows
//   in    f32     amax_floor
//   inout u8      CACHE[P, W ; ps, 1]
//   requires page_rows > 0
typedef struct tile_indexer_write_mxfp4_args {
  tile_tensor X;
  tile_tensor SLOTS;
  int64_t page_rows;
  double amax_floor;
  tile_tensor CACHE;
} tile_indexer_write_mxfp4_args;
static inline tile_status tile_indexer_write_mxfp4(tile_kernel *kernel, tile_device *device, const tile_indexer_write_mxfp4_args *a,
                                                   void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->X},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SLOTS},
      {.kind = TILE_ARG_INT, .i = a->page_rows},
      {.kind = TILE_ARG_FLOAT, .f = a->amax_floor},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

// Rows of the requests one behind the other; rows from CU[R] on stay untouched. KB bytes of values and
// SB bytes of scales per row: 128 and 4 for FP8, 64 and 4 for MXFP4. A page outside the pool, or a
// position behind the table, gives zeros.
//   in    u8      CACHE[P, W ; ps, 1]
//   in    i32     TABLE[R, L]
//   in    i32     CU[R1]
//   in    i32     page_rows
//   inout u8      VALUES[T, KB]
//   inout u8      SCALES[T, SB]
//   requires page_rows > 0 && R1 == R + 1
typedef struct tile_indexer_gather_args {
  tile_tensor CACHE;
  tile_tensor TABLE;
  tile_tensor CU;
  int64_t page_rows;
  tile_tensor VALUES;
  tile_tensor SCALES;
} tile_indexer_gather_args;
static inline tile_status tile_indexer_gather(tile_kernel *kernel, tile_device *device, const tile_indexer_gather_args *a,
                                              void *stream) {
  tile_arg args[] = {
      {.kind = TILE_ARG_TENSOR, .tensor = a->CACHE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->TABLE},
      {.kind = TILE_ARG_TENSOR, .tensor = a->CU},
      {.kind = TILE_ARG_INT, .i = a->page_rows},
      {.kind = TILE_ARG_TENSOR, .tensor = a->VALUES},
      {.kind = TILE_ARG_TENSOR, .tensor = a->SCALES},
  };
  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);
}

#endif
