// The fused step on a tile of 16 rows x 8 columns in exact floats (see mma.c).
#include "runtime/sim/mma.h"
#include "runtime/sim/mma_tile.h"
#include <string.h>

// Below this, a product or its scale may leave the normal floats.
enum { LOWEST_MAX_EXP = -95 };

typedef float lanes8 __attribute__((vector_size(32)));
typedef int32_t ints8 __attribute__((vector_size(32)));

// Largest exponent among the products of one column, per row.
SIM_INLINE void product_exponents(const sim_step_a *a, const sim_step_b *b, int k, int col,
                                  int16_t max_exp[16]) {
  int16_t most[16];
  for (int row = 0; row < 16; row++)
    most[row] = 2 * SIM_STEP_ZERO;
  for (int i = 0; i < k; i++) {
    int16_t add = b->exp[i][col];
    for (int row = 0; row < 16; row++) {
      int16_t e = (int16_t)(a->exp[i][row] + add);
      most[row] = e > most[row] ? e : most[row];
    }
  }
  memcpy(max_exp, most, sizeof most);
}

// Sum of up to 16 terms per row, each cut to an integer.
SIM_INLINE void sum_terms(const sim_step_a *a, const sim_step_b *b, int first, int count, int col,
                          const float scale[16], int32_t sum[16]) {
  lanes8 scale0, scale1;
  ints8 sum0 = {0}, sum1 = {0};
  memcpy(&scale0, scale, 32);
  memcpy(&scale1, scale + 8, 32);
  for (int i = first; i < first + count; i++) {
    lanes8 a0, a1;
    memcpy(&a0, a->value[i], 32);
    memcpy(&a1, a->value[i] + 8, 32);
    float x = b->value[i][col];
    sum0 += __builtin_convertvector(a0 * x * scale0, ints8);
    sum1 += __builtin_convertvector(a1 * x * scale1, ints8);
  }
  memcpy(sum, &sum0, 32);
  memcpy(sum + 8, &sum1, 32);
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

// Accumulator exponents and values of one column; false: NaN or infinity among them.
SIM_INLINE bool decode_c(sim_step_out out, const uint32_t c[16], double value[16],
                         int16_t exp[16]) {
  uint32_t special = 0;
  for (int row = 0; row < 16; row++) {
    uint32_t bits = c[row];
    int32_t e, field;
    float v;
    if (out == SIM_OUT_F16) {
      field = (int32_t)(bits >> 10 & 31);
      e = field + (field == 0) - 15;
      int32_t sig = (int32_t)(bits & 1023) | (field != 0) << 10;
      uint32_t unit = (uint32_t)(e - 10 + 127) << 23;
      memcpy(&v, &unit, 4);
      v *= (float)(bits & 0x8000 ? -sig : sig);
      special |= field == 31;
    } else {
      field = (int32_t)(bits >> 23 & 255);
      e = field + (field == 0) - 127;
      memcpy(&v, &bits, 4);
      special |= field == 255;
    }
    value[row] = v;
    exp[row] = (int16_t)(v != 0 ? e : 2 * SIM_STEP_ZERO);
  }
  return !special;
}

SIM_INLINE void round_column(sim_step_out out, const double value[16], uint32_t d[16]) {
  if (out == SIM_OUT_F16) {
    for (int row = 0; row < 16; row++)
      d[row] = round_f16(value[row]);
    return;
  }
  uint64_t keep = out == SIM_OUT_E8M13 ? ~((UINT64_C(1) << 39) - 1) : ~((UINT64_C(1) << 29) - 1);
  for (int row = 0; row < 16; row++) {
    uint64_t bits;
    double cut;
    memcpy(&bits, &value[row], 8);
    bits &= keep; // toward zero; what is left is a float, or too large for one: infinity
    memcpy(&cut, &bits, 8);
    float result = (float)cut;
    memcpy(&d[row], &result, 4);
  }
}

SIM_INLINE double power_of_two(int exp) {
  uint64_t bits = (uint64_t)(exp + 1023) << 52;
  double value;
  memcpy(&value, &bits, 8);
  return value;
}

// One column; false: the floats do not hold it.
SIM_INLINE bool step_column(const sim_step_a *a, const sim_step_b *b, int k, int frac_bits,
                            sim_step_out out, int col, const uint32_t c[16], uint32_t d[16]) {
  int16_t max_exp[16], c_exp[16];
  double c_value[16], total[16];
  float scale[16];
  int32_t low[16], high[16] = {0};
  uint32_t bad = 0;
  if (!decode_c(out, c, c_value, c_exp))
    return false;
  product_exponents(a, b, k, col, max_exp);
  for (int row = 0; row < 16; row++) {
    int most = max_exp[row] > c_exp[row] ? max_exp[row] : c_exp[row];
    bad |= (most < LOWEST_MAX_EXP) & (max_exp[row] > SIM_STEP_ZERO / 2);
    max_exp[row] = (int16_t)(most < -300 ? -300 : most);
    int clamped = most < LOWEST_MAX_EXP ? LOWEST_MAX_EXP : most;
    uint32_t bits = (uint32_t)(frac_bits - clamped + 127) << 23;
    memcpy(&scale[row], &bits, 4);
  }
  if (bad)
    return false;
  sum_terms(a, b, 0, k < 16 ? k : 16, col, scale, low);
  if (k > 16)
    sum_terms(a, b, 16, k - 16, col, scale, high);
  for (int row = 0; row < 16; row++) {
    int32_t term = (int32_t)(c_value[row] * power_of_two(frac_bits - max_exp[row]));
    double sum = (double)low[row] + (double)high[row] + (double)term;
    total[row] = sum * power_of_two(max_exp[row] - frac_bits);
  }
  round_column(out, total, d);
  return true;
}

// Exponents of all elements lie so that no product of two values overflows.
SIM_INLINE bool products_fit(const sim_step_a *a, const sim_step_b *b, int k) {
  int16_t most_a = SIM_STEP_ZERO, most_b = SIM_STEP_ZERO;
  for (int i = 0; i < k; i++) {
    for (int row = 0; row < 16; row++)
      most_a = a->exp[i][row] > most_a ? a->exp[i][row] : most_a;
    for (int col = 0; col < 8; col++)
      most_b = b->exp[i][col] > most_b ? b->exp[i][col] : most_b;
  }
  return most_a + most_b <= 125;
}

SIM_CLONES bool sim_step_tile(const sim_step_a *a, const sim_step_b *b, int k, int frac_bits,
                              sim_step_out out, const uint32_t c[8][16], uint32_t d[8][16]) {
  uint32_t result[8][16];
  if (!products_fit(a, b, k))
    return false;
  for (int col = 0; col < 8; col++)
    if (!step_column(a, b, k, frac_bits, out, col, c[col], result[col]))
      return false;
  memcpy(d, result, sizeof result);
  return true;
}
