// The codecs against a second formulation: a sorted table of every value of a format, built from
// the format's definition with ldexp, in which the right code is found by comparing values.
#include "lang/base/fp.h"
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct format {
  tl_dtype type;
  int e, m, bias;
  uint32_t finite;   // number of non-negative finite codes, 0 .. finite - 1
  bool inf;          // code `finite` is infinity
  uint64_t nan_bits; // what a NaN encodes to
  int shift;         // where the code sits in the bits
} format;

static const format formats[] = {
    {TL_F16, 5, 10, 15, 0x7C00, true, 0x7FFF, 0},
    {TL_BF16, 8, 7, 127, 0x7F80, true, 0x7FFF, 0},
    {TL_TF32, 8, 10, 127, 255u << 10, true, 0x7FFFE000, 13},
    {TL_F8E4M3, 4, 3, 7, 0x7F, false, 0x7F, 0},
    {TL_F8E5M2, 5, 2, 15, 0x7C, true, 0x7F, 0},
    {TL_F6E2M3, 2, 3, 1, 0x20, false, 0x1F, 0},
    {TL_F6E3M2, 3, 2, 3, 0x20, false, 0x1F, 0},
    {TL_F4E2M1, 2, 1, 1, 8, false, 7, 0},
};
enum { FORMATS = sizeof formats / sizeof *formats };
static const tl_round rounds[] = {TL_RN, TL_RZ, TL_RM, TL_RP, TL_RNA};

// Value of a non-negative code by the textbook; also right for the code after the last finite one,
// where it is the value that would come next.
static double value_of(const format *f, uint32_t code) {
  int exponent = (int)(code >> f->m), fraction = (int)(code & ((1u << f->m) - 1));
  if (exponent == 0)
    return ldexp(fraction, 1 - f->bias - f->m);
  return ldexp((1 << f->m) + fraction, exponent - f->bias - f->m);
}

static double *table_of(const format *f) {
  double *values = malloc((f->finite + 1) * sizeof *values);
  for (uint32_t i = 0; i <= f->finite; i++)
    values[i] = value_of(f, i);
  return values;
}

// The right bits for v by comparison of values alone. Differences of neighbours and of v with them
// are exact in long double (64-bit significand) for every format here.
static uint64_t expected(const format *f, const double *values, double v, tl_round round,
                         bool sat) {
  if (isnan(v))
    return f->nan_bits;
  bool negative = signbit(v);
  uint64_t sign = negative ? 1ull << (f->e + f->m) : 0;
  long double mag = fabsl(v);
  uint32_t low = 0, high = f->finite; // values[low] <= mag < values[high], unless beyond the last
  bool beyond = mag >= values[f->finite];
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (values[middle] <= mag)
      low = middle;
    else
      high = middle;
  }
  uint32_t code;
  bool up = (round == TL_RP && !negative) || (round == TL_RM && negative);
  bool nearest = round == TL_RN || round == TL_RNA;
  if (isinf(v))
    code = f->finite;
  else if (beyond)
    code = up || nearest ? f->finite : f->finite - 1;
  else if (mag == values[low])
    code = low;
  else if (!nearest)
    code = up ? low + 1 : low;
  else {
    long double below = mag - values[low], above = (long double)values[low + 1] - mag;
    if (below != above)
      code = below < above ? low : low + 1;
    else
      code = round == TL_RNA || (low & 1) ? low + 1 : low;
  }
  if (code >= f->finite && (sat || !f->inf))
    code = f->finite - 1;
  return (code | sign) << f->shift;
}

static void check(const format *f, const double *values, double v) {
  for (size_t r = 0; r < sizeof rounds / sizeof *rounds; r++)
    for (int sat = 0; sat < 2; sat++)
      for (int negative = 0; negative < 2; negative++) {
        double x = negative ? -v : v;
        uint64_t got = tl_fp_encode(f->type, x, rounds[r], sat);
        uint64_t want = expected(f, values, x, rounds[r], sat);
        if (got != want)
          fail_msg("%s: %a round %d sat %d: got %#lx, expected %#lx", tl_dtype_name(f->type), x,
                   (int)rounds[r], sat, (unsigned long)got, (unsigned long)want);
      }
}

static void decode_every_code(void **state) {
  (void)state;
  for (int i = 0; i < FORMATS; i++) {
    const format *f = &formats[i];
    uint64_t sign = 1ull << (f->e + f->m);
    for (uint64_t code = 0; code < sign; code++) {
      double got = tl_fp_decode(f->type, code << f->shift);
      double minus = tl_fp_decode(f->type, (code | sign) << f->shift);
      if (code < f->finite) {
        assert_true(got == value_of(f, (uint32_t)code) && !signbit(got));
        assert_true(minus == -got && signbit(minus));
      } else if (f->inf && code == f->finite) {
        assert_true(isinf(got) && got > 0 && isinf(minus) && minus < 0);
        assert_true(tl_fp_is_inf(f->type, code << f->shift));
      } else {
        assert_true(isnan(got) && isnan(minus));
        assert_true(tl_fp_is_nan(f->type, code << f->shift));
      }
      assert_int_equal(tl_fp_is_nan(f->type, code << f->shift), isnan(got));
    }
  }
}

static void tf32_ignores_the_low_bits(void **state) {
  (void)state;
  assert_true(tl_fp_decode(TL_TF32, 0x3F801FFF) == 1.0);
  assert_true(tl_fp_decode(TL_TF32, 0x3F802000) == 1.0 + 0x1p-10);
}

// Every code, every midpoint between neighbours, and the doubles next to each of them.
static void encode_around_every_code(void **state) {
  (void)state;
  for (int i = 0; i < FORMATS; i++) {
    const format *f = &formats[i];
    double *values = table_of(f);
    uint32_t step = f->finite > 0x10000 ? 7 : 1; // tf32 has 261120 codes: every seventh
    for (uint32_t code = 0; code < f->finite; code += step) {
      double v = values[code], next = values[code + 1], middle = v + (next - v) / 2;
      check(f, values, v);
      check(f, values, middle);
      check(f, values, nextafter(v, INFINITY));
      check(f, values, nextafter(middle, INFINITY));
      check(f, values, nextafter(middle, 0));
      check(f, values, nextafter(next, 0));
    }
    free(values);
  }
}

static void encode_the_edges(void **state) {
  (void)state;
  static const double edges[] = {0,           DBL_TRUE_MIN, DBL_MIN, 0x1p-1000, DBL_MAX,
                                 0x1p1000,    INFINITY,     NAN,     0x1p128,   0x1p127,
                                 0x1p-149,    0x1p-150,     448,     464,       465,
                                 57344,       61440,        6,       7,         7.5,
                                 7.75,        28,           30,      65504,     65520,
                                 0x1.fffp127, 0x1.ffdp127,  0x1p-25, 0x1p-24,   0x1.8p-25};
  for (int i = 0; i < FORMATS; i++) {
    double *values = table_of(&formats[i]);
    double *last = &values[formats[i].finite];
    check(&formats[i], values, *last);
    check(&formats[i], values, nextafter(*last, INFINITY));
    for (size_t j = 0; j < sizeof edges / sizeof *edges; j++)
      check(&formats[i], values, edges[j]);
    free(values);
  }
}

static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void encode_random_values(void **state) {
  (void)state;
  uint64_t seed = 20261120;
  for (int i = 0; i < FORMATS; i++) {
    const format *f = &formats[i];
    double *values = table_of(f);
    double least = values[1], most = values[f->finite];
    for (int n = 0; n < 20000; n++) {
      // Exponents spread evenly from below the least subnormal to above the greatest value.
      int range = ilogb(most) - ilogb(least) + 8;
      int exponent = ilogb(least) - 4 + (int)(next_random(&seed) % (uint64_t)range);
      uint64_t fraction = next_random(&seed) & ((1ull << 52) - 1);
      if (n % 3 == 0)
        fraction &= ~0ull << 40; // few bits: exact values and ties
      check(f, values, ldexp(1.0 + (double)fraction * 0x1p-52, exponent));
    }
    free(values);
  }
}

static void f32_rounds_as_the_machine_does(void **state) {
  (void)state;
  static const struct {
    tl_round round;
    int mode;
  } modes[] = {
      {TL_RN, FE_TONEAREST}, {TL_RZ, FE_TOWARDZERO}, {TL_RM, FE_DOWNWARD}, {TL_RP, FE_UPWARD}};
  uint64_t seed = 7;
  for (int n = 0; n < 400000; n++) {
    int exponent = (int)(next_random(&seed) % 290) - 155;
    uint64_t random = next_random(&seed);
    double v = ldexp(1.0 + (double)(random & ((1ull << 52) - 1)) * 0x1p-52, exponent);
    if (n % 4 == 0)
      v = ldexp((double)(random >> 38 | 1), exponent - 25); // ties
    if (random >> 63)
      v = -v;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
      fesetround(modes[i].mode);
      volatile double in = v;
      volatile float out = (float)in;
      fesetround(FE_TONEAREST);
      assert_int_equal(tl_fp_encode(TL_F32, v, modes[i].round, false), tl_bits_of_f32(out));
    }
  }
  assert_int_equal(tl_fp_encode(TL_F32, NAN, TL_RN, false), 0x7FFFFFFF);
  assert_int_equal(tl_fp_encode(TL_F32, 1e300, TL_RN, true), 0x7F7FFFFF);
  assert_int_equal(tl_fp_encode(TL_F32, -INFINITY, TL_RN, false), 0xFF800000);
}

static void f64_passes_through(void **state) {
  (void)state;
  assert_int_equal(tl_fp_encode(TL_F64, -0.0, TL_RN, false), 1ull << 63);
  assert_int_equal(tl_fp_encode(TL_F64, DBL_TRUE_MIN, TL_RZ, false), 1);
  assert_int_equal(tl_fp_encode(TL_F64, INFINITY, TL_RN, true), 0x7FEFFFFFFFFFFFFFull);
  assert_int_equal(tl_fp_encode(TL_F64, INFINITY, TL_RN, false), 0x7FF0000000000000ull);
  assert_int_equal(tl_fp_encode(TL_F64, -NAN, TL_RN, false), 0x7FF8000000000000ull);
}

// 2^(code - 127) by comparison of values; the sign is ignored.
static uint64_t expected_ue8m0(double v, tl_round round, bool sat) {
  if (isnan(v))
    return 0xFF;
  double mag = fabs(v);
  if (isinf(v) || mag >= 0x1p128)
    return sat ? 0xFE : 0xFF;
  int code = 0;
  while (code < 254 && ldexp(1, code + 1 - 127) <= mag)
    code++;
  double low = ldexp(1, code - 127), high = low * 2;
  if (mag <= low)
    return (uint64_t)code;
  double below = mag - low, above = high - mag;
  bool up = round == TL_RP || (round == TL_RNA && below >= above) ||
            (round == TL_RN && (below > above || (below == above && code % 2 == 1)));
  code += up;
  return code == 255 && sat ? 0xFE : (uint64_t)code;
}

static void check_ue8m0(double v) {
  for (size_t r = 0; r < sizeof rounds / sizeof *rounds; r++)
    for (int sat = 0; sat < 2; sat++)
      for (int negative = 0; negative < 2; negative++) {
        double x = negative ? -v : v;
        assert_int_equal(tl_fp_encode(TL_UE8M0, x, rounds[r], sat),
                         expected_ue8m0(x, rounds[r], sat));
      }
}

static void ue8m0(void **state) {
  (void)state;
  for (int code = 0; code < 255; code++) {
    double v = ldexp(1, code - 127);
    assert_true(tl_fp_decode(TL_UE8M0, (uint64_t)code) == v);
    assert_true((double)tl_f32_of_ue8m0((uint8_t)code) == v);
    const double around[] = {v, 1.25 * v, 1.5 * v, 1.75 * v};
    for (int i = 0; i < 4; i++) {
      check_ue8m0(around[i]);
      check_ue8m0(nextafter(around[i], INFINITY));
      check_ue8m0(nextafter(around[i], 0));
    }
  }
  assert_true(isnan(tl_fp_decode(TL_UE8M0, 0xFF)) && isnan(tl_f32_of_ue8m0(0xFF)));
  check_ue8m0(0);
  check_ue8m0(DBL_TRUE_MIN);
  check_ue8m0(0x1p-128);
  check_ue8m0(INFINITY);
  check_ue8m0(NAN);
  check_ue8m0(DBL_MAX);
}

static void fast_forms_agree(void **state) {
  (void)state;
  for (uint32_t code = 0; code < 0x10000; code++) {
    double f16 = tl_fp_decode(TL_F16, code), bf16 = tl_fp_decode(TL_BF16, code);
    float fast = tl_f32_of_f16((uint16_t)code), fast_b = tl_f32_of_bf16((uint16_t)code);
    assert_true(isnan(f16) ? isnan(fast) : (double)fast == f16 && !signbit(fast) == !signbit(f16));
    assert_true(isnan(bf16) ? isnan(fast_b) : (double)fast_b == bf16);
  }
  uint64_t seed = 99;
  for (int n = 0; n < 1000000; n++) {
    uint64_t random = next_random(&seed);
    uint32_t bits = (uint32_t)random;
    if (n % 2)
      bits &= 0xFFFF8000u; // ties of bf16
    float v = tl_f32_of_bits(bits);
    assert_int_equal(tl_bf16_of_f32(v), tl_fp_encode(TL_BF16, v, TL_RN, false));
    assert_int_equal(tl_f16_of_f32(v), tl_fp_encode(TL_F16, v, TL_RN, false));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decode_every_code),        cmocka_unit_test(tf32_ignores_the_low_bits),
      cmocka_unit_test(encode_around_every_code), cmocka_unit_test(encode_the_edges),
      cmocka_unit_test(encode_random_values),     cmocka_unit_test(f32_rounds_as_the_machine_does),
      cmocka_unit_test(f64_passes_through),       cmocka_unit_test(ue8m0),
      cmocka_unit_test(fast_forms_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
