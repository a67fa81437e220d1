// Building inner loops once per vector extension of the host; register fragments as tiles.
#ifndef RUNTIME_SIM_MMA_TILE_H
#define RUNTIME_SIM_MMA_TILE_H
#include "runtime/sim/mma.h"
#include <string.h>
// The loader picks the clone when the program starts. Sanitized builds run the plain form: their
// runtime is not up yet when the loader asks.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12 &&          \
    !defined(__SANITIZE_ADDRESS__)
#define SIM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SIM_CLONES
#endif
// Helpers of a cloned function must become part of it.
#define SIM_INLINE static inline __attribute__((always_inline))

typedef uint32_t sim_u32x4 __attribute__((vector_size(16)));

// Four rows of four words to four columns.
SIM_INLINE void sim_transpose4(sim_u32x4 r[4]) {
  sim_u32x4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
  sim_u32x4 b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  sim_u32x4 c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  sim_u32x4 d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

// A fragment plane (lane 4g + q) to four rows (q) of eight words (g), `stride` words apart.
SIM_INLINE void sim_spread_plane(const uint32_t plane[32], uint32_t *rows, int stride) {
  for (int half = 0; half < 2; half++) {
    sim_u32x4 block[4];
    memcpy(block, plane + 16 * half, 64);
    sim_transpose4(block);
    for (int q = 0; q < 4; q++)
      memcpy(rows + q * stride + 4 * half, &block[q], 16);
  }
}

// And back.
SIM_INLINE void sim_gather_plane(const uint32_t *rows, int stride, uint32_t plane[32]) {
  for (int half = 0; half < 2; half++) {
    sim_u32x4 block[4];
    for (int q = 0; q < 4; q++)
      memcpy(&block[q], rows + q * stride + 4 * half, 16);
    sim_transpose4(block);
    memcpy(plane + 16 * half, block, 64);
  }
}

// Register words by position: aw[k word][row], bw[k word][column]; PTX ISA 9.7.14.5.
SIM_INLINE void sim_spread_a(const sim_mma_desc *desc, const uint32_t *const a[],
                             uint32_t aw[][16]) {
  for (int r = 0; r < desc->a_regs; r++)
    sim_spread_plane(a[r], &aw[4 * (r >> 1)][8 * (r & 1)], 16);
}

SIM_INLINE void sim_spread_b(const sim_mma_desc *desc, const uint32_t *const b[],
                             uint32_t bw[][8]) {
  for (int r = 0; r < desc->b_regs; r++)
    sim_spread_plane(b[r], bw[4 * r], 8);
}

// out[col][row] = the sum over k of a[k][row] * b[k][col], exact while it stays below 2^24.
void sim_tile_dot(const float a[][16], const float b[][8], int k, int32_t out[8][16]);

// Paths without a fused step (mma_exact.c), on C as a tile, in place. false: not for this form or
// these operands; cm is unchanged.
bool sim_mma_fast_integer(const sim_mma_desc *desc, const uint32_t *const a[],
                          const uint32_t *const b[], uint32_t cm[8][16]);
bool sim_mma_fast_bits(const sim_mma_desc *desc, const uint32_t *const a[],
                       const uint32_t *const b[], uint32_t cm[8][16]);
bool sim_mma_fast_mx4(const sim_mma_desc *desc, const uint32_t *const a[],
                      const uint32_t *const b[], const sim_mma_scales *scales, uint32_t cm[8][16]);
#endif
