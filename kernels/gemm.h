// Typed launches of the GEMM family: one function per problem, arguments in the order of the
// mathematics. Shapes, strides and types are in kernels/README.md and at the top of each .tile;
// sizes and strides count elements.
//
// The module is an artifact of the .tile that holds the kernel (tilec FILE.tile; --set for other
// types). A status other than TILE_OK launched nothing; tile_last_error() names the argument. Work
// is enqueued on the stream.
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H
#include "runtime/tile.h"

typedef struct tile_target { // where a launch goes
  tile_module *module;
  tile_device *device;
  void *stream;
} tile_target;

// How operands lie: T behind A means A[K, M], N behind B means B[K, N].
typedef enum tile_major { TILE_NT, TILE_NN, TILE_TN, TILE_TT } tile_major;
// f32 scales, packed ue8m0, or none.
typedef enum tile_scaling { TILE_UNSCALED, TILE_F32_SCALES, TILE_PACKED_SCALES } tile_scaling;

typedef struct tile_operand {
  const tile_tensor *data, *scales; // scales: NULL where there are none
} tile_operand;

// D = A B (+ C). bf16: scales NULL; FP8 and FP4: packed ue8m0. c NULL: nothing is added (an
// artifact with ACC needs it).
tile_status tile_gemm(const tile_target *target, tile_major major, tile_operand a, tile_operand b,
                      const tile_tensor *c, const tile_tensor *d);
// FP8 with f32 scales: of B per 128 x 128 block.
tile_status tile_fp8_gemm(const tile_target *target, tile_operand a, tile_operand b,
                          const tile_tensor *d);
// FP8 with f32 scales per row on both sides, D = A B^T + C.
tile_status tile_fp8_gemm_per_row(const tile_target *target, tile_operand a, tile_operand b,
                                  const tile_tensor *c, const tile_tensor *d);
// FP8; `mid` columns stay free in every left + right. Multiples of 64.
tile_status tile_fp8_gemm_skip_head_mid(const tile_target *target, tile_operand a, tile_operand b,
                                        const tile_tensor *d, int left, int mid, int right);

// Groups of rows. layout: the group of every row, or with PSUM the end of every group; align: rows,
// a multiple of BM.
tile_status tile_m_grouped_contiguous(const tile_target *target, tile_scaling scaling,
                                      tile_major major, tile_operand a, tile_operand b,
                                      const tile_tensor *layout, const tile_tensor *d, int align);
tile_status tile_m_grouped_masked(const tile_target *target, tile_scaling scaling, tile_operand a,
                                  tile_operand b, const tile_tensor *counts, const tile_tensor *d);
// Groups of K, D[g] = C[g] + ..; c NULL stands for d. major: TILE_TN, or TILE_NT for FP8 with f32
// scales.
tile_status tile_k_grouped(const tile_target *target, tile_scaling scaling, tile_major major,
                           tile_operand a, tile_operand b, const tile_tensor *sizes,
                           const tile_tensor *c, const tile_tensor *d);
#endif
