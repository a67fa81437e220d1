// The plain model of tensor-core arithmetic: one element, one term at a time, written to be
// compared with the rules in mma_params.def. mma.c is the fast form; tests hold both together.
//
// Fused step (recorded on an H200, 2026-11-20, driver 580.159.04, ptxas 13.0.88):
//   decode    sig * 2^(e - fraction bits); a subnormal keeps the smallest exponent of its type
//   product   exact, exponent e_a + e_b, not normalised
//   M         largest exponent of the non-zero products and of a non-zero accumulator
//   terms     cut toward zero to F fraction bits relative to 2^M, added exactly, no sticky bit
//   result    f32: cut toward zero, subnormals too, infinity from 2^128 on; e8m13: with 13 fraction
//             bits; f16: one rounding to nearest even; a zero sum is +0
//   NaN       any NaN operand, 0 * inf, inf - inf: 0x7FFFFFFF or 0x7FFF
#include "runtime/sim/mma.h"
#include "lang/base/assert.h"
#include <fenv.h>
#include <math.h>
#include <string.h>

// --- element types ------------------------------------------------------------------------------
typedef struct type_facts {
  const char *name;
  uint8_t bits, exp_bits, frac_bits;
  int16_t bias;
  enum { SPECIALS_NONE, SPECIALS_IEEE, SPECIALS_E4M3 } specials;
} type_facts;
static const type_facts facts[] = {
    [SIM_MMA_F16] = {"f16", 16, 5, 10, 15, SPECIALS_IEEE},
    [SIM_MMA_BF16] = {"bf16", 16, 8, 7, 127, SPECIALS_IEEE},
    [SIM_MMA_TF32] = {"tf32", 32, 8, 10, 127, SPECIALS_IEEE}, // of the upper 19 bits
    [SIM_MMA_F32] = {"f32", 32, 8, 23, 127, SPECIALS_IEEE},
    [SIM_MMA_F64] = {"f64", 64, 11, 52, 1023, SPECIALS_IEEE},
    [SIM_MMA_E4M3] = {"e4m3", 8, 4, 3, 7, SPECIALS_E4M3},
    [SIM_MMA_E5M2] = {"e5m2", 8, 5, 2, 15, SPECIALS_IEEE},
    [SIM_MMA_E2M3] = {"e2m3", 8, 2, 3, 1, SPECIALS_NONE},
    [SIM_MMA_E3M2] = {"e3m2", 8, 3, 2, 3, SPECIALS_NONE},
    [SIM_MMA_E2M1] = {"e2m1", 8, 2, 1, 1, SPECIALS_NONE},
    [SIM_MMA_S8] = {.name = "s8", .bits = 8},
    [SIM_MMA_U8] = {.name = "u8", .bits = 8},
    [SIM_MMA_S4] = {.name = "s4", .bits = 4},
    [SIM_MMA_U4] = {.name = "u4", .bits = 4},
    [SIM_MMA_B1] = {.name = "b1", .bits = 1},
    [SIM_MMA_S32] = {.name = "s32", .bits = 32},
    [SIM_MMA_UE8M0] = {.name = "ue8m0", .bits = 8},
    [SIM_MMA_UE4M3] = {"ue4m3", 8, 4, 3, 7, SPECIALS_E4M3}, // bit 7 is not looked at
};

bool sim_mma_type_of_name(const char *name, sim_mma_type *out_type) {
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
    if (!strcmp(facts[i].name, name)) {
      *out_type = (sim_mma_type)i;
      return true;
    }
  return false;
}

bool sim_arch_of_name(const char *name, sim_arch *out_arch) {
  static const char *const names[] = {"sm_90a", "sm_100a", "sm_120a"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(names[i], name)) {
      *out_arch = (sim_arch)i;
      return true;
    }
  return false;
}

int sim_num_frac_bits(sim_mma_type type) { return facts[type].frac_bits; }

sim_num sim_num_decode(sim_mma_type type, uint32_t bits) {
  const type_facts *t = &facts[type];
  if (type == SIM_MMA_TF32)
    bits >>= 13; // the low 13 bits are ignored
  uint32_t frac = bits & ((1u << t->frac_bits) - 1);
  uint32_t top = (1u << t->exp_bits) - 1, exp = bits >> t->frac_bits & top;
  sim_num n = {.negative = type != SIM_MMA_UE4M3 && (bits >> (t->frac_bits + t->exp_bits) & 1)};
  if (t->specials == SPECIALS_IEEE && exp == top)
    n.cls = frac ? SIM_NUM_NAN : SIM_NUM_INF;
  if (t->specials == SPECIALS_E4M3 && exp == top && frac == 7)
    n.cls = SIM_NUM_NAN;
  n.sig = (int32_t)(exp ? frac | 1u << t->frac_bits : frac);
  n.exp = (int16_t)((exp ? (int)exp : 1) - t->bias);
  return n;
}

// --- the step -----------------------------------------------------------------------------------
enum { NAN_F32 = 0x7FFFFFFF, NAN_F16 = 0x7FFF };

// sig * 2^shift, cut toward zero.
static int64_t shifted(int64_t sig, int shift) {
  if (!sig)
    return 0;
  if (shift >= 0)
    return sig << shift; // callers keep this within 63 bits
  return shift <= -63 ? 0 : sig >> -shift;
}

// (-1)^negative * sum * 2^scale as f32, toward zero with `kept` significant bits.
static uint32_t round_to_f32(bool negative, uint64_t sum, int scale, int kept) {
  uint32_t sign = negative ? 0x80000000u : 0;
  if (!sum)
    return 0;
  int top = 63 - __builtin_clzll(sum); // value in [2^(top+scale), 2^(top+scale+1))
  int exp = top + scale;
  if (exp >= 128)
    return sign | 0x7F800000u;
  if (exp < -126) { // subnormal: units of 2^-149
    uint64_t units = (uint64_t)shifted((int64_t)sum, scale + 149);
    return units ? sign | (uint32_t)units : 0;
  }
  uint64_t sig = top > 23 ? sum >> (top - 23) : sum << (23 - top);
  sig &= ~((UINT64_C(1) << (24 - kept)) - 1);
  return sign | (uint32_t)(exp + 127) << 23 | (uint32_t)(sig & 0x7FFFFF);
}

static uint32_t round_to_f16(bool negative, uint64_t sum, int scale) {
  uint32_t sign = negative ? 0x8000u : 0;
  if (!sum)
    return 0;
  int exp = 63 - __builtin_clzll(sum) + scale;
  int unit = (exp < -14 ? -14 : exp) - 10; // the result is a multiple of 2^unit
  int drop = unit - scale;                 // low bits of sum below it
  uint64_t kept = drop > 0 ? (drop > 63 ? 0 : sum >> drop) : sum << -drop;
  if (drop > 0 && drop <= 63) {
    uint64_t rest = sum & ((UINT64_C(1) << drop) - 1), half = UINT64_C(1) << (drop - 1);
    kept += rest > half || (rest == half && (kept & 1));
  }
  if (!kept)
    return 0;
  if (kept == 2048) {
    kept = 1024;
    unit++;
  }
  if (kept >= 1024 && unit + 10 > 15)
    return sign | 0x7C00u;
  uint32_t field = kept >= 1024 ? (uint32_t)(unit + 10 + 15) : 0;
  return sign | field << 10 | (uint32_t)(kept & 1023);
}

uint32_t sim_step_reference(const sim_num *a, const sim_num *b, int n, int product_frac_bits,
                            int exp_add, uint32_t c_bits, int frac_bits, sim_step_out out) {
  sim_mma_type acc = out == SIM_OUT_F16 ? SIM_MMA_F16 : SIM_MMA_F32;
  uint32_t nan = out == SIM_OUT_F16 ? NAN_F16 : NAN_F32;
  sim_num c = sim_num_decode(acc, c_bits);
  bool plus_inf = c.cls == SIM_NUM_INF && !c.negative,
       minus_inf = c.cls == SIM_NUM_INF && c.negative;
  int max_exp = INT32_MIN;
  if (c.cls == SIM_NUM_NAN)
    return nan;
  if (c.sig)
    max_exp = c.exp;
  for (int i = 0; i < n; i++) {
    if (a[i].cls == SIM_NUM_NAN || b[i].cls == SIM_NUM_NAN)
      return nan;
    if (a[i].cls == SIM_NUM_INF || b[i].cls == SIM_NUM_INF) {
      if ((!a[i].sig) || (!b[i].sig))
        return nan; // 0 * inf; an infinity has a non-zero sig
      *(a[i].negative != b[i].negative ? &minus_inf : &plus_inf) = true;
    }
    int exp = a[i].exp + b[i].exp + exp_add;
    if (a[i].sig && b[i].sig && exp > max_exp)
      max_exp = exp;
  }
  if (plus_inf && minus_inf)
    return nan;
  if (plus_inf || minus_inf)
    return out == SIM_OUT_F16 ? (minus_inf ? 0xFC00u : 0x7C00u)
                              : (minus_inf ? 0xFF800000u : 0x7F800000u);
  if (max_exp == INT32_MIN)
    return 0;
  int64_t sum = shifted(c.sig, frac_bits + c.exp - max_exp - sim_num_frac_bits(acc));
  if (c.negative)
    sum = -sum;
  for (int i = 0; i < n; i++) {
    int64_t sig = (int64_t)a[i].sig * b[i].sig;
    if (!sig)
      continue;
    int exp = a[i].exp + b[i].exp + exp_add;
    int64_t term = shifted(sig, frac_bits + exp - max_exp - product_frac_bits);
    sum += a[i].negative != b[i].negative ? -term : term;
  }
  uint64_t magnitude = sum < 0 ? -(uint64_t)sum : (uint64_t)sum;
  int scale = max_exp - frac_bits;
  if (out == SIM_OUT_F16)
    return round_to_f16(sum < 0, magnitude, scale);
  return round_to_f32(sum < 0, magnitude, scale, out == SIM_OUT_E8M13 ? 14 : 24);
}

// --- fragments ----------------------------------------------------------------------------------
// Element (row, k) of A: PTX ISA 9.7.14.5. An element of W bits; 32 / W of them per register.
static uint32_t a_element(const sim_mma_desc *desc, const uint32_t *const a[], int row, int k) {
  int per = 32 / desc->elem_bits, halves = desc->form.m / 8;
  int reg = row / 8 + halves * (k / (4 * per)), lane = 4 * (row & 7) + k % (4 * per) / per;
  uint32_t word = a[reg][lane] >> (k % per * desc->elem_bits);
  return desc->elem_bits == 32 ? word : word & ((1u << desc->elem_bits) - 1);
}

static uint32_t b_element(const sim_mma_desc *desc, const uint32_t *const b[], int k, int col) {
  int per = 32 / desc->elem_bits, reg = k / (4 * per), lane = 4 * col + k % (4 * per) / per;
  uint32_t word = b[reg][lane] >> (k % per * desc->elem_bits);
  return desc->elem_bits == 32 ? word : word & ((1u << desc->elem_bits) - 1);
}

// Element (row, col) of C and D: a register (f16: half a register) of one lane.
static uint32_t c_element(const sim_mma_desc *desc, const uint32_t *const c[], int row, int col) {
  int lane = 4 * (row & 7) + col / 2, h = row / 8;
  if (desc->form.d == SIM_MMA_F16)
    return c[h][lane] >> 16 * (col & 1) & 0xFFFF;
  return c[2 * h + (col & 1)][lane];
}

static void put_d(const sim_mma_desc *desc, uint32_t *const d[], int row, int col, uint32_t bits) {
  int lane = 4 * (row & 7) + col / 2, h = row / 8, at = 16 * (col & 1);
  if (desc->form.d == SIM_MMA_F16)
    d[h][lane] = (d[h][lane] & ~(0xFFFFu << at)) | bits << at;
  else
    d[2 * h + (col & 1)][lane] = bits;
}

// e2m1 in a byte container sits in bits 5:2; padding is not looked at.
static sim_num decode_operand(const sim_mma_desc *desc, sim_mma_type type, uint32_t bits) {
  if (type == SIM_MMA_E2M1 && desc->elem_bits == 8)
    bits = bits >> 2 & 0xF;
  if (type == SIM_MMA_E2M3 || type == SIM_MMA_E3M2)
    bits &= 0x3F;
  return sim_num_decode(type, bits);
}

// --- block scale --------------------------------------------------------------------------------
typedef struct scale_value {
  bool nan;
  int sig, exp; // value sig * 2^(exp - 3); ue8m0: sig 8
} scale_value;

static scale_value decode_scale(sim_mma_type type, uint32_t byte) {
  if (type == SIM_MMA_UE8M0)
    return (scale_value){byte == 0xFF, 8, (int)byte - 127};
  sim_num n = sim_num_decode(SIM_MMA_UE4M3, byte);
  return (scale_value){n.cls == SIM_NUM_NAN, n.sig, n.exp};
}

static scale_value a_scale(const sim_mma_desc *desc, const sim_mma_scales *s, int row, int block) {
  int lane = 4 * (row & 7) + 2 * s->thread_a + row / 8;
  return decode_scale(desc->form.scale, s->a[lane] >> 8 * (s->byte_a + block) & 0xFF);
}

static scale_value b_scale(const sim_mma_desc *desc, const sim_mma_scales *s, int col, int block) {
  int lane = 4 * col + s->thread_b;
  return decode_scale(desc->form.scale, s->b[lane] >> 8 * (s->byte_b + block) & 0xFF);
}

// Groups of `step` elements are summed exactly and multiplied by both scale significands; the sums
// take part in M with the scales' exponents (also a sum of zero, as published; unless a scale is
// zero), then as in the step.
static uint32_t mx4_element(const sim_mma_desc *desc, const sim_num *a, const sim_num *b,
                            uint32_t c_bits, const sim_mma_scales *s, int row, int col) {
  int groups = desc->form.k / desc->step, per_block = desc->form.k / desc->scale_blocks;
  int64_t term[4];
  int exp[4], max_exp = INT32_MIN;
  sim_num c = sim_num_decode(SIM_MMA_F32, c_bits);
  bool nan = c.cls == SIM_NUM_NAN;
  for (int g = 0; g < groups; g++) {
    int block = g * desc->step / per_block;
    scale_value sa = a_scale(desc, s, row, block), sb = b_scale(desc, s, col, block);
    int64_t sum = 0;
    for (int i = g * desc->step; i < (g + 1) * desc->step; i++) {
      int product = (a[i].sig << (a[i].exp)) * (b[i].sig << (b[i].exp)); // e2m1: exponents 0..2
      sum += a[i].negative != b[i].negative ? -product : product;
    }
    nan |= sa.nan || sb.nan;
    term[g] = sum * sa.sig * sb.sig;
    exp[g] = sa.exp + sb.exp;
    if (sa.sig && sb.sig && exp[g] > max_exp)
      max_exp = exp[g];
  }
  if (nan)
    return NAN_F32;
  if (c.cls == SIM_NUM_INF)
    return c_bits;
  if (c.sig && c.exp > max_exp)
    max_exp = c.exp;
  if (max_exp == INT32_MIN)
    return 0;
  int64_t total = shifted(c.sig, desc->frac_bits + c.exp - max_exp - 23);
  if (c.negative)
    total = -total;
  for (int g = 0; g < groups; g++) { // fraction bits: 2 of the products, 3 + 3 of the scales
    int64_t size = term[g] < 0 ? -term[g] : term[g];
    size = size ? shifted(size, desc->frac_bits + exp[g] - max_exp - 8) : 0;
    total += term[g] < 0 ? -size : size;
  }
  uint64_t magnitude = total < 0 ? -(uint64_t)total : (uint64_t)total;
  return round_to_f32(total < 0, magnitude, max_exp - desc->frac_bits, 24);
}

// --- one element per path -----------------------------------------------------------------------
static uint32_t fused_element(const sim_mma_desc *desc, const sim_num *a, const sim_num *b,
                              uint32_t c) {
  sim_step_out out = desc->form.d == SIM_MMA_F16 ? SIM_OUT_F16 : SIM_OUT_F32;
  int frac = sim_num_frac_bits(desc->form.a) + sim_num_frac_bits(desc->form.b);
  for (int k = 0; k < desc->form.k; k += desc->step)
    c = sim_step_reference(a + k, b + k, desc->step, frac, 0, c, desc->frac_bits, out);
  return c;
}

static uint32_t mx8_element(const sim_mma_desc *desc, const sim_num *a, const sim_num *b,
                            uint32_t c, const sim_mma_scales *s, int row, int col) {
  scale_value sa = a_scale(desc, s, row, 0), sb = b_scale(desc, s, col, 0);
  if (sa.nan || sb.nan)
    return NAN_F32;
  int frac = sim_num_frac_bits(desc->form.a) + sim_num_frac_bits(desc->form.b);
  return sim_step_reference(a, b, desc->form.k, frac, sa.exp + sb.exp, c, desc->frac_bits,
                            SIM_OUT_F32);
}

// e4m3 subnormals are normal f16 numbers, e5m2 ones stay subnormal.
static sim_num as_f16(sim_mma_type type, sim_num n) {
  n.sig <<= 10 - sim_num_frac_bits(type);
  while (n.sig && n.sig < 1024 && n.exp > -14) {
    n.sig *= 2;
    n.exp--;
  }
  return n;
}

static uint32_t add_f32(uint32_t x, uint32_t y) {
  float a, b, sum;
  memcpy(&a, &x, 4);
  memcpy(&b, &y, 4);
  sum = a + b;
  if (sum != sum)
    return NAN_F32;
  memcpy(&x, &sum, 4);
  return x;
}

// Exact: both are multiples of 2^-24 below 2^16, so a step of one product with F = 40 rounds once.
static uint32_t add_f16(uint32_t x, uint32_t y) {
  sim_num a = sim_num_decode(SIM_MMA_F16, x), one = sim_num_decode(SIM_MMA_F16, 0x3C00);
  if (!(x & 0x7FFF) && !(y & 0x7FFF))
    return x & y & 0x8000; // -0 + -0
  return sim_step_reference(&a, &one, 1, 20, 0, y, 40, SIM_OUT_F16);
}

static uint32_t fp8_element(const sim_mma_desc *desc, const sim_num *a, const sim_num *b,
                            uint32_t c) {
  bool f16 = desc->form.d == SIM_MMA_F16;
  uint32_t t = 0;
  for (int half = 0; half < 2; half++) {
    sim_num x[16], y[16];
    int n = 0;
    for (int k = 0; k < desc->form.k; k++) {
      if (((k & 2) != 0) != half)
        continue;
      x[n] = as_f16(desc->form.a, a[k]);
      y[n++] = as_f16(desc->form.b, b[k]);
    }
    t = sim_step_reference(x, y, n, 20, 0, t, desc->frac_bits, f16 ? SIM_OUT_F16 : SIM_OUT_F32);
  }
  return f16 ? add_f16(c, t) : add_f32(c, t);
}

static int64_t integer_of(sim_mma_type type, uint32_t bits) {
  switch (type) {
  case SIM_MMA_S8:
    return (int8_t)bits;
  case SIM_MMA_S4:
    return (int64_t)(bits & 15) - (bits & 8 ? 16 : 0);
  default:
    return bits;
  }
}

static uint32_t integer_element(const sim_mma_desc *desc, const uint32_t *const a[],
                                const uint32_t *const b[], uint32_t c, int row, int col) {
  int64_t sum = (int32_t)c;
  for (int k = 0; k < desc->form.k; k++)
    sum += integer_of(desc->form.a, a_element(desc, a, row, k)) *
           integer_of(desc->form.b, b_element(desc, b, k, col));
  if (desc->form.satfinite)
    sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
  return (uint32_t)sum;
}

static uint32_t bits_element(const sim_mma_desc *desc, const uint32_t *const a[],
                             const uint32_t *const b[], uint32_t c, int row, int col) {
  for (int k = 0; k < desc->form.k; k++) {
    uint32_t x = a_element(desc, a, row, k), y = b_element(desc, b, k, col);
    c += desc->form.bitop == SIM_MMA_XOR_POPC ? x ^ y : x & y;
  }
  return c;
}

// f64: a chain of fused multiply-adds, ascending k; registers are pairs of planes.
static double f64_of(const uint32_t *const planes[], int reg, int lane) {
  uint64_t bits = planes[2 * reg][lane] | (uint64_t)planes[2 * reg + 1][lane] << 32;
  double value;
  memcpy(&value, &bits, 8);
  return value;
}

static void double_mma(const sim_mma_desc *desc, const uint32_t *const a[],
                       const uint32_t *const b[], const uint32_t *const c[], uint32_t *const d[]) {
  static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  int halves = desc->form.m / 8, saved = fegetround();
  volatile double result[16][8];
  fesetround(modes[desc->form.round]);
  for (int row = 0; row < desc->form.m; row++)
    for (int col = 0; col < 8; col++) {
      int lane = 4 * (row & 7) + col / 2;
      volatile double acc = f64_of(c, 2 * (row / 8) + (col & 1), lane);
      for (int k = 0; k < desc->form.k; k++)
        acc = fma(f64_of(a, row / 8 + halves * (k / 4), 4 * (row & 7) + k % 4),
                  f64_of(b, k / 4, 4 * col + k % 4), acc);
      result[row][col] = acc;
    }
  fesetround(saved);
  for (int row = 0; row < desc->form.m; row++)
    for (int col = 0; col < 8; col++) {
      int lane = 4 * (row & 7) + col / 2, reg = 2 * (row / 8) + (col & 1);
      double value = result[row][col];
      uint64_t bits;
      memcpy(&bits, &value, 8);
      if (value != value)
        bits = UINT64_C(0xFFF8000000000000);
      d[2 * reg][lane] = (uint32_t)bits;
      d[2 * reg + 1][lane] = (uint32_t)(bits >> 32);
    }
}

// --- the instruction ----------------------------------------------------------------------------
// A and B with every element decoded; integers and bits are read where they are used.
typedef struct decoded {
  sim_num a[16][64], b[8][64];
} decoded;

static void decode_all(const sim_mma_desc *desc, const uint32_t *const a[],
                       const uint32_t *const b[], decoded *out) {
  for (int k = 0; k < desc->form.k; k++) {
    for (int row = 0; row < desc->form.m; row++)
      out->a[row][k] = decode_operand(desc, desc->form.a, a_element(desc, a, row, k));
    for (int col = 0; col < 8; col++)
      out->b[col][k] = decode_operand(desc, desc->form.b, b_element(desc, b, k, col));
  }
}

static uint32_t element(const sim_mma_desc *desc, const sim_num *x, const sim_num *y, uint32_t c,
                        const sim_mma_scales *scales, int row, int col) {
  switch (desc->path) {
  case SIM_PATH_FUSED:
    return fused_element(desc, x, y, c);
  case SIM_PATH_FP8_AS_F16:
    return fp8_element(desc, x, y, c);
  case SIM_PATH_MX8:
    return mx8_element(desc, x, y, c, scales, row, col);
  case SIM_PATH_MX4:
    return mx4_element(desc, x, y, c, scales, row, col);
  default:
    TL_UNREACHABLE("mma path %d", desc->path);
  }
}

void sim_mma_reference(const sim_mma_desc *desc, const uint32_t *const a[],
                       const uint32_t *const b[], const uint32_t *const c[], uint32_t *const d[],
                       const sim_mma_scales *scales) {
  if (desc->path == SIM_PATH_DOUBLE) {
    double_mma(desc, a, b, c, d);
    return;
  }
  uint32_t result[16][8]; // d may be c, or share planes with a and b
  bool integer = desc->path == SIM_PATH_INTEGER, bits = desc->path == SIM_PATH_BITS;
  decoded ops;
  if (!integer && !bits)
    decode_all(desc, a, b, &ops);
  for (int row = 0; row < desc->form.m; row++)
    for (int col = 0; col < 8; col++) {
      uint32_t old = c_element(desc, c, row, col);
      result[row][col] = integer ? integer_element(desc, a, b, old, row, col)
                         : bits  ? bits_element(desc, a, b, old, row, col)
                                 : element(desc, ops.a[row], ops.b[col], old, scales, row, col);
    }
  for (int row = 0; row < desc->form.m; row++)
    for (int col = 0; col < 8; col++)
      put_d(desc, d, row, col, result[row][col]);
}
