// Building inner loops once per vector extension of the host; register fragments as tiles.
#ifndef RUNTIME_SIM_MMA_TILE_H
#define RUNTIME_SIM_MMA_TILE_H
#include <stdint.h>
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
#endif
