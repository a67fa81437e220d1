// The fused step on a tile of 16 rows x 8 columns in exact floats (see mma.c), built for the vector
// extensions a host may have.
#include "runtime/sim/mma.h"
#include "runtime/sim/mma_tile.h"
#include "lang/base/assert.h"

// Below this, a product or its scale may leave the normal floats.
enum { LOWEST_MAX_EXP = -95 };

// How a byte container (or 16-bit element) of a type up to 16 bits becomes a float: field widths,
// and where the value sits in its container.
typedef struct small_format {
  int shift, exp_bits, frac_bits, bias;
  uint32_t special; // an element whose low exp_bits + frac_bits are at least this is NaN or inf
} small_format;

SIM_INLINE small_format format_of(sim_mma_type type) {
  switch (type) {
  case SIM_MMA_F16:
    return (small_format){0, 5, 10, 15, 0x7C00};
  case SIM_MMA_E4M3:
    return (small_format){0, 4, 3, 7, 0x7F};
  case SIM_MMA_E5M2:
    return (small_format){0, 5, 2, 15, 0x7C};
  case SIM_MMA_E2M3:
    return (small_format){0, 2, 3, 1, 0x100};
  case SIM_MMA_E3M2:
    return (small_format){0, 3, 2, 3, 0x100};
  case SIM_MMA_E2M1:
    return (small_format){2, 2, 1, 1, 0x100};
  default:
    TL_UNREACHABLE("no small format for type %d", (int)type);
  }
}

// Where element e of k word w goes. split: elements with (k & 2) != 0 make the second step.
SIM_INLINE int place(bool split, int per, int w, int e) {
  return split ? 2 * w + (e & 1) : per * w + e;
}

// The exact value to f16 by one rounding to nearest even.
static uint32_t round_f16(double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  uint32_t sign = (uint32_t)(bits >> 48) & 0x8000;
  int exp = (int)(bits >> 52 & 0x7FF) - 1023;
  double size = value < 0 ? -value : value;
  if (exp < -14)
    exp = -14;
  if (exp > 15)
    return sign | 0x7C00;
  // Adding 2^52 units of the last place rounds to them.
  uint64_t magic_bits = (uint64_t)(exp - 10 + 52 + 1023) << 52;
  double magic;
  memcpy(&magic, &magic_bits, 8);
  double rounded = size + magic;
  memcpy(&bits, &rounded, 8);
  uint32_t units = (uint32_t)(bits & 0xFFF);
  if (!units)
    return 0;
  // 2048 units carry into the exponent by themselves; past the largest finite that is infinity.
  return sign | ((units & 0x800)                ? (uint32_t)(exp + 16) << 10
                 : (exp > -14 || units >= 1024) ? (uint32_t)(exp + 15) << 10 | (units & 1023)
                                                : units);
}

#define W 4
#define KERNEL(name) name##_plain
#include "runtime/sim/mma_kernel.inc"
#undef W
#undef KERNEL

#if defined(__x86_64__) && !defined(__clang__)
#define HAVE_VECTORS 1
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi2")
#define W 8
#define KERNEL(name) name##_avx2
#include "runtime/sim/mma_kernel.inc"
#undef W
#undef KERNEL
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2")
#define W 16
#define KERNEL(name) name##_avx512
#include "runtime/sim/mma_kernel.inc"
#undef W
#undef KERNEL
#pragma GCC pop_options
#endif

// 0: none, 1: AVX2, 2: AVX-512.
static int host_vectors(void) {
#ifdef HAVE_VECTORS
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return 1;
#endif
  return 0;
}

bool sim_step_decode(sim_mma_type type_a, sim_mma_type type_b, int words, bool split,
                     uint32_t aw[][16], uint32_t bw[][8], sim_step_a *a, sim_step_b *b) {
#ifdef HAVE_VECTORS
  switch (host_vectors()) {
  case 2:
    return step_decode_avx512(type_a, type_b, words, split, aw, bw, a, b);
  case 1:
    return step_decode_avx2(type_a, type_b, words, split, aw, bw, a, b);
  default:
    break;
  }
#endif
  return step_decode_plain(type_a, type_b, words, split, aw, bw, a, b);
}

bool sim_step_tile(const sim_step_a *a, const sim_step_b *b, int k, int frac_bits, sim_step_out out,
                   const uint32_t c[8][16], uint32_t d[8][16]) {
#ifdef HAVE_VECTORS
  switch (host_vectors()) {
  case 2:
    return step_tile_avx512(a, b, k, frac_bits, out, c, d);
  case 1:
    return step_tile_avx2(a, b, k, frac_bits, out, c, d);
  default:
    break;
  }
#endif
  return step_tile_plain(a, b, k, frac_bits, out, c, d);
}

void sim_tile_dot(const float a[][16], const float b[][8], int k, int32_t out[8][16]) {
#ifdef HAVE_VECTORS
  switch (host_vectors()) {
  case 2:
    dot_avx512(a, b, k, out);
    return;
  case 1:
    dot_avx2(a, b, k, out);
    return;
  default:
    break;
  }
#endif
  dot_plain(a, b, k, out);
}
