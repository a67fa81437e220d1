// One generic codec driven by the columns of dtypes.def.
//
// Encoding works on the integer significand of the double: shift right to the target's quantum,
// keep what fell off as "below, at or above half", round by adding one. The carry out of the
// fraction is the carry into the exponent field, so subnormals, normals and overflow need no cases
// of their own.
#include "lang/base/fp.h"
#include "lang/base/assert.h"
#include <math.h>

// --- tables of the small formats ----------------------------------------------------------------

// sign, exponent and fraction fields of code c with e exponent and m fraction bits; the value is
// (implied bit + fraction) * 2^max(exponent, 1) scaled down by 2^(bias + m).
#define FIELD_E(c, e, m) ((c) >> (m) & ((1 << (e)) - 1))
#define FIELD_M(c, m) ((c) & ((1 << (m)) - 1))
#define MAGNITUDE(c, e, m, bias)                                                                   \
  ((float)((FIELD_E(c, e, m) ? (1 << (m)) + FIELD_M(c, m) : FIELD_M(c, m))) *                      \
   (float)(1ull << (FIELD_E(c, e, m) ? FIELD_E(c, e, m) : 1)) / (float)(1ull << ((bias) + (m))))
#define SMALL(c, e, m, bias)                                                                       \
  ((c) >> ((e) + (m)) ? -MAGNITUDE(c, e, m, bias) : MAGNITUDE(c, e, m, bias))
#define E4M3(c) (((c)&0x7F) == 0x7F ? NAN : SMALL(c, 4, 3, 7))
#define E5M2(c)                                                                                    \
  (((c)&0x7F) > 0x7C ? NAN : (c) == 0x7C ? INFINITY : (c) == 0xFC ? -INFINITY : SMALL(c, 5, 2, 15))
#define E2M3(c) SMALL(c, 2, 3, 1)
#define E3M2(c) SMALL(c, 3, 2, 3)
#define E2M1(c) SMALL(c, 2, 1, 1)

#define CODES_4(F, c) F(c), F((c) + 1), F((c) + 2), F((c) + 3)
#define CODES_16(F, c) CODES_4(F, c), CODES_4(F, (c) + 4), CODES_4(F, (c) + 8), CODES_4(F, (c) + 12)
#define CODES_64(F, c)                                                                             \
  CODES_16(F, c), CODES_16(F, (c) + 16), CODES_16(F, (c) + 32), CODES_16(F, (c) + 48)
#define CODES_256(F) CODES_64(F, 0), CODES_64(F, 64), CODES_64(F, 128), CODES_64(F, 192)

const float tl_f8e4m3_values[256] = {CODES_256(E4M3)};
const float tl_f8e5m2_values[256] = {CODES_256(E5M2)};
const float tl_f6e2m3_values[64] = {CODES_64(E2M3, 0)};
const float tl_f6e3m2_values[64] = {CODES_64(E3M2, 0)};
const float tl_f4e2m1_values[16] = {CODES_16(E2M1, 0)};

// --- facts of a format --------------------------------------------------------------------------

typedef struct format {
  int exponent_bits, fraction_bits, bias;
  int low_zeros; // tf32 sits in the upper 19 bits of its 32
  bool has_inf;
  uint64_t max_code;  // largest finite magnitude
  uint64_t nan_code;  // canonical NaN; 0 when the format has none
  uint64_t sign_mask; // within the code, before low_zeros
} format;

static format format_of(tl_dtype type) {
  const tl_dtype_info *info = tl_dtype_of(type);
  TL_ASSERT(info->cls == TL_CLASS_FLOAT && type != TL_UE8M0, "%s has no IEEE layout", info->name);
  int e = info->exponent_bits, m = info->fraction_bits;
  uint64_t inf_code = ((1ull << e) - 1) << m;
  format f = {e, m, info->bias, 0, true, inf_code - 1, 0, 1ull << (e + m)};
  switch (type) {
  case TL_F64:
    f.nan_code = 0x7FF8000000000000ull;
    break;
  case TL_F8E4M3: // OCP: no infinity, the all-ones code alone is NaN
    f.has_inf = false;
    f.nan_code = 0x7F;
    f.max_code = 0x7E;
    break;
  case TL_F6E2M3:
  case TL_F6E3M2:
  case TL_F4E2M1:
    f.has_inf = false;
    f.max_code = f.sign_mask - 1;
    break;
  default: // f32, tf32, f16, bf16, f8e5m2: NaN is every fraction bit set
    f.nan_code = f.sign_mask - 1;
    if (type == TL_TF32)
      f.low_zeros = 13;
  }
  return f;
}

// --- decode -------------------------------------------------------------------------------------

static double decode_ue8m0(uint64_t bits) {
  unsigned code = (unsigned)(bits & 0xFF);
  if (code == 0xFF)
    return NAN;
  return tl_f64_of_bits((uint64_t)(code + 1023 - 127) << 52);
}

static double decode_wide(tl_dtype type, uint64_t bits) {
  format f = format_of(type);
  bits >>= f.low_zeros;
  uint64_t sign = bits & f.sign_mask ? 1ull << 63 : 0;
  uint64_t fraction = bits & ((1ull << f.fraction_bits) - 1);
  int exponent = (int)(bits >> f.fraction_bits & ((1u << f.exponent_bits) - 1));
  if (exponent == (1 << f.exponent_bits) - 1)
    return fraction ? NAN : tl_f64_of_bits(sign | 0x7FFull << 52);
  if (exponent == 0) {
    int quantum = 1 - f.bias - f.fraction_bits;
    double magnitude = (double)fraction * tl_f64_of_bits((uint64_t)(quantum + 1023) << 52);
    return sign ? -magnitude : magnitude;
  }
  return tl_f64_of_bits(sign | (uint64_t)(exponent - f.bias + 1023) << 52 |
                        fraction << (52 - f.fraction_bits));
}

double tl_fp_decode(tl_dtype type, uint64_t bits) {
  switch (type) {
  case TL_F64:
    return tl_f64_of_bits(bits);
  case TL_F32:
    return (double)tl_f32_of_bits((uint32_t)bits);
  case TL_BF16:
    return (double)tl_f32_of_bf16((uint16_t)bits);
  case TL_F8E4M3:
    return (double)tl_f8e4m3_values[bits & 0xFF];
  case TL_F8E5M2:
    return (double)tl_f8e5m2_values[bits & 0xFF];
  case TL_F6E2M3:
    return (double)tl_f6e2m3_values[bits & 0x3F];
  case TL_F6E3M2:
    return (double)tl_f6e3m2_values[bits & 0x3F];
  case TL_F4E2M1:
    return (double)tl_f4e2m1_values[bits & 0xF];
  case TL_UE8M0:
    return decode_ue8m0(bits);
  default:
    return decode_wide(type, bits);
  }
}

// --- encode -------------------------------------------------------------------------------------

typedef struct parts {
  uint64_t significand; // the value's magnitude is significand * 2^exponent
  int exponent;
} parts;

static parts split(double magnitude) {
  uint64_t bits = tl_bits_of_f64(magnitude);
  int field = (int)(bits >> 52);
  uint64_t fraction = bits & ((1ull << 52) - 1);
  if (field == 0)
    return (parts){fraction, -1074};
  return (parts){fraction | 1ull << 52, field - 1075};
}

static int top_bit(uint64_t x) { return 63 - __builtin_clzll(x); }

static bool away_from_zero(tl_round round, bool negative) {
  return (round == TL_RP && !negative) || (round == TL_RM && negative);
}

// significand >> shift, rounded.
static uint64_t shift_rounded(uint64_t significand, int shift, tl_round round, bool negative) {
  if (shift <= 0)
    return significand << -shift;
  uint64_t kept = shift < 64 ? significand >> shift : 0;
  uint64_t lost = shift < 64 ? significand & ((1ull << shift) - 1) : significand;
  if (lost == 0)
    return kept;
  if (away_from_zero(round, negative))
    return kept + 1;
  if (round != TL_RN && round != TL_RNA)
    return kept;
  if (shift > 63)
    return kept; // the significand has 53 bits: far below half
  uint64_t half = 1ull << (shift - 1);
  if (lost > half)
    return kept + 1;
  if (lost < half)
    return kept;
  return round == TL_RNA ? kept + 1 : kept + (kept & 1);
}

static uint64_t overflow_code(format f, tl_round round, bool negative, bool sat) {
  bool to_nearest = round == TL_RN || round == TL_RNA;
  if (sat || !f.has_inf || !(to_nearest || away_from_zero(round, negative)))
    return f.max_code;
  return f.max_code + 1;
}

static uint64_t encode_magnitude(format f, double value, tl_round round, bool sat) {
  bool negative = signbit(value);
  if (isinf(value))
    return sat || !f.has_inf ? f.max_code : f.max_code + 1;
  parts v = split(fabs(value));
  if (v.significand == 0)
    return 0;
  int exponent = top_bit(v.significand) + v.exponent;
  int least = 1 - f.bias;
  bool subnormal = exponent < least;
  int quantum = (subnormal ? least : exponent) - f.fraction_bits;
  uint64_t kept = shift_rounded(v.significand, quantum - v.exponent, round, negative);
  uint64_t code = kept;
  if (!subnormal)
    code += (uint64_t)(exponent + f.bias - 1) << f.fraction_bits;
  return code > f.max_code ? overflow_code(f, round, negative, sat) : code;
}

static uint64_t encode_ue8m0(double value, tl_round round, bool sat) {
  uint64_t overflow = sat ? 0xFE : 0xFF;
  if (isinf(value))
    return overflow;
  parts v = split(fabs(value));
  if (v.significand == 0)
    return 0;
  int top = top_bit(v.significand);
  int exponent = top + v.exponent;
  if (exponent < -127)
    return 0;
  uint64_t code = (uint64_t)(exponent + 127);
  uint64_t rest = v.significand ^ 1ull << top; // value / 2^exponent - 1, in units of 2^-top
  uint64_t half = top ? 1ull << (top - 1) : 1;
  bool up = (round == TL_RP && rest != 0) || (round == TL_RNA && rest >= half) ||
            (round == TL_RN && (rest > half || (rest == half && (code & 1))));
  code += up;
  return code > 0xFE ? overflow : code;
}

uint64_t tl_fp_encode(tl_dtype type, double value, tl_round round, bool sat) {
  if (type == TL_F64 && !isnan(value) && !(sat && isinf(value)))
    return tl_bits_of_f64(value);
  if (type == TL_UE8M0)
    return isnan(value) ? 0xFF : encode_ue8m0(value, round, sat);
  format f = format_of(type);
  if (isnan(value))
    return (f.nan_code ? f.nan_code : f.max_code) << f.low_zeros;
  uint64_t code = encode_magnitude(f, value, round, sat);
  if (signbit(value))
    code |= f.sign_mask;
  return code << f.low_zeros;
}

bool tl_fp_is_nan(tl_dtype type, uint64_t bits) {
  if (type == TL_F6E2M3 || type == TL_F6E3M2 || type == TL_F4E2M1)
    return false;
  return isnan(tl_fp_decode(type, bits));
}

bool tl_fp_is_inf(tl_dtype type, uint64_t bits) { return isinf(tl_fp_decode(type, bits)); }

// --- f16 <-> f32 --------------------------------------------------------------------------------

float tl_f32_of_f16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, rest = bits & 0x7FFFu;
  if (rest >= 0x7C00u)
    return tl_f32_of_bits(sign | (rest > 0x7C00u ? 0x7FFFFFFFu : 0x7F800000u));
  if (rest >= 0x0400u)
    return tl_f32_of_bits(sign | ((rest << 13) + (112u << 23)));
  float magnitude = (float)rest * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

uint16_t tl_f16_of_f32(float value) {
  return (uint16_t)tl_fp_encode(TL_F16, (double)value, TL_RN, false);
}
