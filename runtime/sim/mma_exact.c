// Fast forms of the matrix instructions whose products are summed exactly: integers, bits, and the
// groups of mxf4 and mxf4nvf4. Small integers travel as floats, which multiply and add faster than
// 32-bit integers and are exact below 2^24.
#include "runtime/sim/mma_tile.h"

// --- integers ------------------------------------------------------------------------------------
// Elements of `bits` bits of every word, `across` positions wide, to floats by k. sign: the value
// of the sign bit, or 0.
SIM_CLONES static void integers_to_floats(const uint32_t *from, int count, int across, int bits,
                                          int sign, float *out) {
  uint32_t mask = (1u << bits) - 1;
  int per = 32 / bits;
  for (int w = 0; w < count; w++)
    for (int e = 0; e < per; e++)
      for (int i = 0; i < across; i++) {
        uint32_t x = from[w * across + i] >> (e * bits) & mask;
        out[(w * per + e) * across + i] = (float)((int32_t)(x ^ (uint32_t)sign) - sign);
      }
}

// 64 elements of at most 4 bits or 32 of 8: every sum stays below 32 * 2^16.
bool sim_mma_fast_integer(const sim_mma_desc *desc, const uint32_t *const a[],
                          const uint32_t *const b[], uint32_t cm[8][16]) {
  uint32_t aw[8][16], bw[8][8];
  float x[64][16], y[64][8];
  int32_t sum[8][16];
  int bits = desc->elem_bits, words = desc->form.k * bits / 32, top = 1 << (bits - 1);
  bool signed_a = desc->form.a == SIM_MMA_S8 || desc->form.a == SIM_MMA_S4;
  bool signed_b = desc->form.b == SIM_MMA_S8 || desc->form.b == SIM_MMA_S4;
  sim_spread_a(desc, a, aw);
  sim_spread_b(desc, b, bw);
  integers_to_floats(aw[0], words, 16, bits, signed_a ? top : 0, x[0]);
  integers_to_floats(bw[0], words, 8, bits, signed_b ? top : 0, y[0]);
  sim_tile_dot(x, y, desc->form.k, sum);
  for (int col = 0; col < 8; col++)
    for (int row = 0; row < 16; row++) {
      int64_t total = (int64_t)(int32_t)cm[col][row] + sum[col][row];
      if (desc->form.satfinite)
        total = total > INT32_MAX ? INT32_MAX : total < INT32_MIN ? INT32_MIN : total;
      cm[col][row] = (uint32_t)total;
    }
  return true;
}

// --- bits ----------------------------------------------------------------------------------------
bool sim_mma_fast_bits(const sim_mma_desc *desc, const uint32_t *const a[],
                       const uint32_t *const b[], uint32_t cm[8][16]) {
  uint32_t aw[8][16], bw[8][8];
  sim_spread_a(desc, a, aw);
  sim_spread_b(desc, b, bw);
  for (int w = 0; w < desc->form.k / 32; w++)
    for (int col = 0; col < 8; col++)
      for (int row = 0; row < 16; row++) {
        uint32_t x = aw[w][row], y = bw[w][col];
        x = desc->form.bitop == SIM_MMA_XOR_POPC ? x ^ y : x & y;
        cm[col][row] += (uint32_t)__builtin_popcount(x);
      }
  return true;
}

// --- mxf4, mxf4nvf4 ------------------------------------------------------------------------------
// Nibbles to twice their e2m1 value.
SIM_CLONES static void e2m1_to_floats(const uint32_t *from, int count, int across, float *out) {
  for (int w = 0; w < count; w++)
    for (int e = 0; e < 8; e++)
      for (int i = 0; i < across; i++) {
        int32_t x = (int32_t)(from[w * across + i] >> 4 * e & 15), field = x >> 1 & 3;
        int32_t sig = (x & 1) | (field ? 2 : 0), size = sig << (field ? field - 1 : 0);
        out[(w * 8 + e) * across + i] = (float)(x & 8 ? -size : size);
      }
}

// The scales of four groups: sig * 2^(exp - 3).
typedef struct group_scales {
  int32_t sig[4][16], exp[4][16];
} group_scales;

// lane and byte say who supplies position i. false: a NaN among them.
static bool decode_scales(const sim_mma_desc *desc, const uint32_t *plane, int positions, int first,
                          bool of_a, int thread, group_scales *out) {
  bool nan = false;
  for (int i = 0; i < positions; i++) {
    uint32_t word = plane[of_a ? 4 * (i & 7) + 2 * thread + i / 8 : 4 * i + thread];
    for (int g = 0; g < 4; g++) {
      uint32_t byte = word >> 8 * (first + g * desc->scale_blocks / 4) & 0xFF;
      if (desc->form.scale == SIM_MMA_UE8M0) {
        out->sig[g][i] = 8;
        out->exp[g][i] = (int32_t)byte - 127;
        nan |= byte == 0xFF;
      } else {
        int32_t field = byte >> 3 & 15, frac = byte & 7;
        out->sig[g][i] = frac | (field ? 8 : 0);
        out->exp[g][i] = (field ? field : 1) - 7;
        nan |= (byte & 0x7F) == 0x7F;
      }
    }
  }
  return !nan;
}

enum { NO_EXP = -30000 };

// One column: four group sums and C, cut to 35 fraction bits and added. Sums are below 2^12, scale
// significands below 2^4 each, so that a term of the largest exponent is below 2^47.
SIM_CLONES static bool mx4_column(const group_scales *sa, const group_scales *sb, int col,
                                  int32_t sums[4][8][16], const uint32_t c[16], uint32_t d[16]) {
  int32_t most[16], special = 0, low = 0;
  int64_t total[16];
  for (int row = 0; row < 16; row++) {
    int32_t field = (int32_t)(c[row] >> 23 & 255), sig = (int32_t)(c[row] & 0x7FFFFF);
    special |= field == 255;
    most[row] = field | sig ? (field ? field : 1) - 127 : NO_EXP;
  }
  for (int g = 0; g < 4; g++)
    for (int row = 0; row < 16; row++) {
      int32_t e = sa->exp[g][row] + sb->exp[g][col];
      e = sa->sig[g][row] && sb->sig[g][col] ? e : NO_EXP;
      most[row] = e > most[row] ? e : most[row];
    }
  for (int row = 0; row < 16; row++) {
    int32_t field = (int32_t)(c[row] >> 23 & 255);
    int64_t sig = (c[row] & 0x7FFFFF) | (field ? 1 << 23 : 0);
    int32_t down = most[row] - ((field ? field : 1) - 127);
    sig = sig << 12 >> (down < 0 ? 0 : down > 63 ? 63 : down);
    total[row] = c[row] >> 31 ? -sig : sig;
  }
  for (int g = 0; g < 4; g++)
    for (int row = 0; row < 16; row++) {
      int64_t term = (int64_t)(sums[g][col][row] * sa->sig[g][row] * sb->sig[g][col]);
      int64_t size = term < 0 ? -term : term;
      int32_t down = most[row] - (sa->exp[g][row] + sb->exp[g][col]);
      size = size << 27 >> (down < 0 ? 0 : down > 63 ? 63 : down);
      total[row] += term < 0 ? -size : size;
    }
  for (int row = 0; row < 16; row++) {
    low |= total[row] && most[row] < -80; // the result may be subnormal
    int64_t unit_bits = (int64_t)((most[row] < -500 ? -500 : most[row]) - 35 + 1023) << 52, bits;
    double unit, value;
    memcpy(&unit, &unit_bits, 8);
    value = (double)total[row] * unit; // exact
    memcpy(&bits, &value, 8);
    bits &= ~((INT64_C(1) << 29) - 1); // toward zero
    memcpy(&value, &bits, 8);
    float result = (float)value;
    memcpy(&d[row], &result, 4);
  }
  return !special && !low;
}

bool sim_mma_fast_mx4(const sim_mma_desc *desc, const uint32_t *const a[],
                      const uint32_t *const b[], const sim_mma_scales *scales, uint32_t cm[8][16]) {
  uint32_t aw[8][16], bw[8][8], result[8][16];
  float x[64][16], y[64][8];
  int32_t sums[4][8][16];
  group_scales sa, sb;
  if (!decode_scales(desc, scales->a, 16, scales->byte_a, true, scales->thread_a, &sa) ||
      !decode_scales(desc, scales->b, 8, scales->byte_b, false, scales->thread_b, &sb))
    return false;
  sim_spread_a(desc, a, aw);
  sim_spread_b(desc, b, bw);
  e2m1_to_floats(aw[0], 8, 16, x[0]);
  e2m1_to_floats(bw[0], 8, 8, y[0]);
  for (int g = 0; g < 4; g++)
    sim_tile_dot(x + 16 * g, y + 16 * g, 16, sums[g]);
  for (int col = 0; col < 8; col++)
    if (!mx4_column(&sa, &sb, col, sums, cm[col], result[col]))
      return false;
  memcpy(cm, result, sizeof result);
  return true;
}
