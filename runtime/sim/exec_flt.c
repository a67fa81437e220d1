// Floating point arithmetic. f32 add, sub, mul and fma in the default rounding have loops of their
// own; everything else goes lane by lane through one general function per type.
//
// Approximate instructions (class V2) give the correctly rounded result of the exact function,
// which is within the stated tolerance of the hardware; their special values are exact.
#include "runtime/sim/exec.h"
#include <math.h>

enum { CAN32 = 0x7FFFFFFF, CAN16 = 0x7FFF };

static inline float flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
static inline uint32_t f32_bits(float x) { return x != x ? (uint32_t)CAN32 : tl_bits_of_f32(x); }

// --- the fast loops: round to nearest, no modifiers ---------------------------------------------
#define F32_LOOP(name, expr)                                                                       \
  static void name(sim_warp *w, const sim_op *op, uint32_t mask) {                                 \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);                                 \
    SIM_LANES_DO(mask, {                                                                           \
      float a = tl_f32_of_bits(A[i]);                                                              \
      float b = tl_f32_of_bits(B[i]);                                                              \
      float r = (expr);                                                                            \
      D[i] = r != r ? (uint32_t)CAN32 : tl_bits_of_f32(r);                                         \
    })                                                                                             \
  }
F32_LOOP(add_f32, a + b)
F32_LOOP(sub_f32, a - b)
F32_LOOP(mul_f32, a *b)
#undef F32_LOOP

static void fma_f32(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  SIM_LANES_DO(mask, {
    float r = fmaf(tl_f32_of_bits(A[i]), tl_f32_of_bits(B[i]), tl_f32_of_bits(C[i]));
    D[i] = f32_bits(r);
  })
}

// --- approximate functions
// -------------------------------------------------------------------------- sin and cos reduce as
// the hardware does: t = RZ(x / 2pi), then the fraction of a turn.
static double turn_fraction(float x) {
  float t = sim_f32_rounded(SIM_FLT_MUL, TL_RZ, flush(x), tl_f32_of_bits(0x3E22F983), 0);
  double turns = flush(t);
  return (turns - trunc(turns)) * 6.283185307179586476925;
}

static float copysign_zero(float r, float sign) { return r == 0 ? copysignf(0, sign) : r; }

static float approx_f32(sim_flt_op what, float a) {
  switch (what) {
  case SIM_FLT_RCP_APPROX:
    return (float)(1.0 / (double)a);
  case SIM_FLT_SQRT_APPROX:
    return (float)sqrt((double)a);
  case SIM_FLT_RSQRT:
    return a == 0 ? copysignf(INFINITY, a) : (float)(1.0 / sqrt((double)a));
  case SIM_FLT_EX2:
    return (float)exp2((double)a);
  case SIM_FLT_LG2:
    return a < 0 ? NAN : (float)log2((double)a);
  case SIM_FLT_SIN:
    return isinf(a) ? NAN : copysign_zero((float)sin(turn_fraction(a)), a);
  case SIM_FLT_COS:
    return isinf(a) ? NAN : (float)cos(turn_fraction(a));
  default:
    return (float)tanh((double)a);
  }
}

// --- f32, all modifiers -------------------------------------------------------------------------
static bool is_tiny(sim_flt_op what, float r, float a, float b, float c) {
  if (r == 0 || r != r)
    return false;
  if (fabsf(r) < 0x1p-126f)
    return true;
  // Tininess is judged before rounding: 2^-126 may have been rounded up to.
  return fabsf(r) == 0x1p-126f && what <= SIM_FLT_SQRT &&
         fabsf(sim_f32_rounded(what, TL_RZ, a, b, c)) < 0x1p-126f;
}

static float div_approx(float a, float b) {
  if (fabsf(b) >= 0x1p127f && !isinf(b) && isfinite(a))
    return copysignf(0, a) * copysignf(1, b);
  return (float)((double)a / (double)b);
}

static uint32_t f32_general(sim_flt_op what, int mods, uint32_t abits, uint32_t bbits,
                            uint32_t cbits) {
  float a = tl_f32_of_bits(abits), b = tl_f32_of_bits(bbits), c = tl_f32_of_bits(cbits), r;
  bool ftz = mods & SIM_FLTM_FTZ;
  if (ftz)
    a = flush(a), b = flush(b), c = flush(c);
  if (what <= SIM_FLT_SQRT)
    r = sim_f32_rounded(what, (tl_round)(mods & SIM_FLTM_ROUND), a, b, c);
  else if (what == SIM_FLT_DIV_APPROX)
    r = mods & SIM_FLTM_ABS ? (float)((double)a / (double)b) : div_approx(a, b);
  else if (what == SIM_FLT_NEG)
    r = -a;
  else if (what == SIM_FLT_ABS)
    r = fabsf(a);
  else
    r = approx_f32(what, a);
  if (ftz && is_tiny(what, r, a, b, c))
    r = copysignf(0, r);
  if (mods & SIM_FLTM_SAT)
    r = r != r || r <= 0 ? 0 : r > 1 ? 1 : r;
  return f32_bits(r);
}

// --- f64 ----------------------------------------------------------------------------------------
static uint64_t quiet(uint64_t bits) { return bits | UINT64_C(0x0008000000000000); }

static uint64_t f64_general(sim_flt_op what, int mods, uint64_t abits, uint64_t bbits,
                            uint64_t cbits, int sources) {
  double a = tl_f64_of_bits(abits), b = tl_f64_of_bits(bbits), c = tl_f64_of_bits(cbits), r;
  if (what == SIM_FLT_ABS && a == a)
    return abits & INT64_MAX;
  if (what == SIM_FLT_NEG && a == a)
    return abits ^ UINT64_C(1) << 63;
  // Of several NaN operands the last one shows (seen for a against b).
  if (sources > 2 && c != c)
    return quiet(cbits);
  if (sources > 1 && b != b)
    return quiet(bbits);
  if (a != a)
    return quiet(abits);
  if (what <= SIM_FLT_SQRT)
    r = sim_f64_rounded(what, (tl_round)(mods & SIM_FLTM_ROUND), a, b, c);
  else if (what == SIM_FLT_RSQRT)
    r = a == 0 ? copysign(INFINITY, a) : 1.0 / sqrt(a);
  else
    r = 1.0 / a;
  if (r != r)
    return UINT64_C(0xFFF8000000000000);
  return tl_bits_of_f64(r);
}

// rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64: only the upper words count.
static uint64_t f64_upper(sim_flt_op what, uint64_t bits) {
  double a = tl_f64_of_bits(bits & ~UINT64_C(0xFFFFFFFF));
  if (a != a)
    return UINT64_C(0x7FFFFFFF00000000);
  if (fabs(a) < 0x1p-1022)
    a = copysign(0, a);
  double r = what == SIM_FLT_RSQRT ? (a == 0 ? copysign(INFINITY, a) : 1.0 / sqrt(a)) : 1.0 / a;
  if (r != r)
    return UINT64_C(0x7FFFFFFF00000000);
  if (fabs(r) < 0x1p-1022)
    r = copysign(0, r);
  return tl_bits_of_f64(r) & ~UINT64_C(0xFFFFFFFF);
}

// --- f16 and bf16, one element ------------------------------------------------------------------
static uint32_t half_round(ptx_type type, double value, tl_round round) {
  return type == PTX_F16 ? sim_f16_round(value, round) : sim_bf16_round(value, round);
}

static uint32_t half_approx(sim_flt_op what, ptx_type type, double a) {
  if (what == SIM_FLT_EX2) { // RZ of the f32 result
    float f = (float)exp2(type == PTX_BF16 && fabs(a) < 0x1p-126 ? 0 : a);
    if (type == PTX_BF16 && f < 0x1p-126f)
      f = 0;
    return isinf(f)                        ? half_round(type, f, TL_RN)
           : type == PTX_F16 && f >= 65536 ? 0x7C00
                                           : half_round(type, f, TL_RZ);
  }
  return half_round(type, tanh(a), TL_RN);
}

static uint32_t half_general(sim_flt_op what, int mods, ptx_type type, uint32_t abits,
                             uint32_t bbits, uint32_t cbits) {
  double a = sim_half_value(type, abits), b = sim_half_value(type, bbits),
         c = sim_half_value(type, cbits);
  uint32_t min_exponent = type == PTX_F16 ? 0x7C00 : 0x7F80, r;
  bool ftz = mods & SIM_FLTM_FTZ && type == PTX_F16;
  if (ftz) {
    if (fabs(a) < 0x1p-14)
      a = copysign(0, a), abits &= 0x8000;
    if (fabs(b) < 0x1p-14)
      b = copysign(0, b);
    if (fabs(c) < 0x1p-14)
      c = copysign(0, c);
  }
  double exact = 0;
  switch (what) {
  case SIM_FLT_NEG:
    return a != a ? CAN16 : abits ^ 0x8000;
  case SIM_FLT_ABS:
    return a != a ? CAN16 : abits & 0x7FFF;
  case SIM_FLT_ADD:
    exact = sim_odd_fma(a, 1, b);
    break;
  case SIM_FLT_SUB:
    exact = sim_odd_fma(b, -1, a);
    break;
  case SIM_FLT_MUL:
    exact = a * b;
    break;
  case SIM_FLT_FMA:
    exact = sim_odd_fma(a, b, c);
    break;
  default:
    return half_approx(what, type, a);
  }
  r = half_round(type, exact, TL_RN);
  if (ftz && fabs(exact) < 0x1p-14)
    r &= 0x8000;
  if (exact != exact)
    r = CAN16;
  bool nan = (r & 0x7FFF) > min_exponent;
  if (mods & SIM_FLTM_RELU && !nan && r & 0x8000)
    r = 0;
  if (mods & SIM_FLTM_SAT) {
    double value = sim_half_value(type, r);
    if (nan || value <= 0)
      r = 0;
    else if (value > 1)
      r = type == PTX_F16 ? 0x3C00 : 0x3F80;
  }
  return r;
}

// --- min and max
// -------------------------------------------------------------------------------------- On
// magnitude-comparable doubles with sign: -0 < +0, a NaN loses unless .NaN.
typedef struct pick {
  double value;
  uint64_t bits;
} pick;
static bool less(pick a, pick b, uint64_t sign) {
  if (a.value == 0 && b.value == 0)
    return (a.bits & sign) && !(b.bits & sign);
  return a.value < b.value;
}
static pick choose(pick a, pick b, int mods, bool max, uint64_t sign, uint64_t nan_bits) {
  bool nan_a = a.value != a.value, nan_b = b.value != b.value;
  uint64_t signs = (a.bits ^ b.bits) & sign;
  if (mods & (SIM_FLTM_XORSIGN | SIM_FLTM_ABS)) {
    a.value = fabs(a.value), a.bits &= ~sign;
    b.value = fabs(b.value), b.bits &= ~sign;
  }
  pick r;
  if ((nan_a && nan_b) || (mods & SIM_FLTM_NAN && (nan_a || nan_b))) {
    r = (pick){NAN, nan_bits ? nan_bits : quiet(nan_a ? a.bits : b.bits)};
    return r;
  }
  if (nan_a)
    r = b;
  else if (nan_b)
    r = a;
  else
    r = less(a, b, sign) != max ? a : b;
  if (mods & SIM_FLTM_XORSIGN) {
    r.bits |= signs;
    if (signs)
      r.value = -r.value;
  }
  return r;
}

static pick pick_of(ptx_type type, uint64_t bits, bool ftz) {
  pick p = {0, bits};
  if (type == PTX_F64)
    p.value = tl_f64_of_bits(bits);
  else if (type == PTX_F32)
    p.value = tl_f32_of_bits((uint32_t)bits);
  else
    p.value = sim_half_value(type, (uint32_t)bits);
  double smallest = type == PTX_F16 ? 0x1p-14 : 0x1p-126;
  uint64_t sign = type == PTX_F32 ? 1u << 31 : 0x8000;
  if (ftz && type != PTX_F64 && p.value != 0 && fabs(p.value) < smallest)
    p.value = 0, p.bits &= sign;
  return p;
}

static uint64_t min_max(ptx_type type, sim_flt_op what, int mods, uint64_t a, uint64_t b,
                        uint64_t c) {
  bool ftz = mods & SIM_FLTM_FTZ, max = what == SIM_FLT_MAX;
  uint64_t sign = type == PTX_F64 ? UINT64_C(1) << 63 : type == PTX_F32 ? 1u << 31 : 0x8000;
  uint64_t nan_bits = type == PTX_F64 ? 0 : type == PTX_F32 ? CAN32 : CAN16;
  pick r = choose(pick_of(type, a, ftz), pick_of(type, b, ftz), mods, max, sign, nan_bits);
  if (mods & SIM_FLTM_THREE)
    r = choose(r, pick_of(type, c, ftz), mods, max, sign, nan_bits);
  return r.bits;
}

// --- lane loops over the general functions
// ------------------------------------------------------------ sub: sim_flt_op; imm: modifiers.
static void general_f32(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  SIM_LANES_DO(mask, { D[i] = f32_general((sim_flt_op)op->sub, (int)op->imm, A[i], B[i], C[i]); })
}
static void general_f32x2(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  SIM_LANES_DO(mask, {
    uint32_t lo = f32_general((sim_flt_op)op->sub, (int)op->imm, A[i], B[i], C[i]);
    uint32_t hi = f32_general((sim_flt_op)op->sub, (int)op->imm, A[32 + i], B[32 + i], C[32 + i]);
    D[i] = lo;
    D[32 + i] = hi;
  })
}
static int sources_of(sim_flt_op what) {
  return what == SIM_FLT_FMA ? 3 : what <= SIM_FLT_DIV && what != SIM_FLT_NONE ? 2 : 1;
}
static void general_f64(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  int sources = sources_of((sim_flt_op)op->sub);
  SIM_LANES_DO(mask, {
    uint64_t a = sim_get64(A, i);
    uint64_t r = op->imm & SIM_FLTM_FTZ ? f64_upper((sim_flt_op)op->sub, a)
                                        : f64_general((sim_flt_op)op->sub, (int)op->imm, a,
                                                      sim_get64(B, i), sim_get64(C, i), sources);
    sim_put64(D, i, r);
  })
}
#define HALF_LOOPS(suffix, type)                                                                   \
  static void general_##suffix(sim_warp *w, const sim_op *op, uint32_t mask) {                     \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);         \
    SIM_LANES_DO(mask, {                                                                           \
      D[i] = half_general((sim_flt_op)op->sub, (int)op->imm, type, A[i] & 0xFFFF, B[i] & 0xFFFF,   \
                          C[i] & 0xFFFF);                                                          \
    })                                                                                             \
  }                                                                                                \
  static void general_##suffix##x2(sim_warp *w, const sim_op *op, uint32_t mask) {                 \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);         \
    SIM_LANES_DO(mask, {                                                                           \
      uint32_t lo = half_general((sim_flt_op)op->sub, (int)op->imm, type, A[i] & 0xFFFF,           \
                                 B[i] & 0xFFFF, C[i] & 0xFFFF);                                    \
      uint32_t hi = half_general((sim_flt_op)op->sub, (int)op->imm, type, A[i] >> 16, B[i] >> 16,  \
                                 C[i] >> 16);                                                      \
      D[i] = lo | hi << 16;                                                                        \
    })                                                                                             \
  }
HALF_LOOPS(f16, PTX_F16)
HALF_LOOPS(bf16, PTX_BF16)
#undef HALF_LOOPS

static void minmax_any(sim_warp *w, const sim_op *op, uint32_t mask) { // member: ptx_type
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  ptx_type type = (ptx_type)op->member;
  sim_flt_op what = (sim_flt_op)op->sub;
  int mods = (int)op->imm;
  SIM_LANES_DO(mask, {
    if (type == PTX_F64) {
      sim_put64(D, i, min_max(type, what, mods, sim_get64(A, i), sim_get64(B, i), sim_get64(C, i)));
    } else if (type == PTX_F16X2 || type == PTX_BF16X2) {
      ptx_type one = type == PTX_F16X2 ? PTX_F16 : PTX_BF16;
      uint32_t lo = (uint32_t)min_max(one, what, mods, A[i] & 0xFFFF, B[i] & 0xFFFF, C[i] & 0xFFFF);
      D[i] = lo | (uint32_t)min_max(one, what, mods, A[i] >> 16, B[i] >> 16, C[i] >> 16) << 16;
    } else if (type == PTX_F32) {
      D[i] = (uint32_t)min_max(type, what, mods, A[i], B[i], C[i]);
    } else {
      D[i] = (uint32_t)min_max(type, what, mods, A[i] & 0xFFFF, B[i] & 0xFFFF, C[i] & 0xFFFF);
    }
  })
}

// min/max.f32 without modifiers is common in softmax: its own loop.
static void plain_max_f32(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  bool max = op->sub == SIM_FLT_MAX;
  SIM_LANES_DO(mask, {
    float a = tl_f32_of_bits(A[i]);
    float b = tl_f32_of_bits(B[i]);
    uint32_t r = (max ? a > b : a < b) ? A[i] : B[i];
    if (a == b)
      r = max ? A[i] & B[i] : A[i] | B[i]; // equal or zeros of two signs
    if (a != a)
      r = b != b ? (uint32_t)CAN32 : B[i];
    else if (b != b)
      r = A[i];
    D[i] = r;
  })
}

static void copysign_any(sim_warp *w, const sim_op *op,
                         uint32_t mask) { // sign of a, magnitude of b
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  int top = op->member == PTX_F64 ? 32 : 0;
  SIM_LANES_DO(mask, {
    uint32_t hi = (A[top + i] & 0x80000000) | (B[top + i] & 0x7FFFFFFF);
    if (top)
      D[i] = B[i];
    D[top + i] = hi;
  })
}

// add/sub/fma.f32.{f16,bf16}: the 16-bit operands are widened exactly; member: ptx_type of them.
void sim_exec_flt_mixed(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  ptx_type type = (ptx_type)op->member;
  bool fma = op->sub == SIM_FLT_FMA;
  SIM_LANES_DO(mask, {
    uint32_t a = tl_bits_of_f32((float)sim_half_value(type, A[i] & 0xFFFF));
    uint32_t b = fma ? tl_bits_of_f32((float)sim_half_value(type, B[i] & 0xFFFF)) : B[i];
    D[i] = f32_general((sim_flt_op)op->sub, (int)op->imm, a, b, C[i]);
  })
}

sim_fn sim_flt_fn(sim_flt_op what, ptx_type type, int mods) {
  if (what == SIM_FLT_COPYSIGN)
    return copysign_any;
  if (what == SIM_FLT_MIN || what == SIM_FLT_MAX)
    return type == PTX_F32 && mods == 0 ? plain_max_f32 : minmax_any;
  switch (type) {
  case PTX_F32:
    if (mods == 0) {
      if (what == SIM_FLT_ADD)
        return add_f32;
      if (what == SIM_FLT_SUB)
        return sub_f32;
      if (what == SIM_FLT_MUL)
        return mul_f32;
      if (what == SIM_FLT_FMA)
        return fma_f32;
    }
    return general_f32;
  case PTX_F32X2:
    return general_f32x2;
  case PTX_F64:
    return general_f64;
  case PTX_F16:
    return general_f16;
  case PTX_BF16:
    return general_bf16;
  case PTX_F16X2:
    return general_f16x2;
  case PTX_BF16X2:
    return general_bf16x2;
  default:
    return NULL;
  }
}
