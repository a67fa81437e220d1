// Conversions: one exact rounding of the source's value, then the modifiers, in the order specials,
// round, relu, saturate (as recorded on hardware).
#include "runtime/sim/exec.h"
#include <math.h>

enum { CAN32 = 0x7FFFFFFF, CAN16 = 0x7FFF };

double sim_half_value(ptx_type type, uint32_t bits) {
  bits &= 0xFFFF;
  if (type == PTX_BF16 || type == PTX_BF16X2)
    return tl_f32_of_bits(bits << 16);
  uint32_t magnitude = bits & 0x7FFF;
  float value;
  if (magnitude < 0x400)
    value = (float)magnitude * 0x1p-24f;
  else if (magnitude < 0x7C00)
    value = tl_f32_of_bits((magnitude << 13) + 0x38000000);
  else
    value = magnitude == 0x7C00 ? INFINITY : NAN;
  return bits & 0x8000 ? -value : value;
}
uint32_t sim_f16_round(double value, tl_round round) {
  return (uint32_t)tl_fp_encode(TL_F16, value, round, false);
}
uint32_t sim_bf16_round(double value, tl_round round) {
  return (uint32_t)tl_fp_encode(TL_BF16, value, round, false);
}

static bool is_int(ptx_type type) {
  ptx_class cls = ptx_type_class(type);
  return cls == PTX_CLASS_SINT || cls == PTX_CLASS_UINT;
}
static bool is_signed(ptx_type type) { return ptx_type_class(type) == PTX_CLASS_SINT; }

static __int128 int_value(ptx_type type, uint64_t bits) {
  switch (type) {
  case PTX_S8:
    return (int8_t)bits;
  case PTX_S16:
    return (int16_t)bits;
  case PTX_S32:
    return (int32_t)bits;
  case PTX_S64:
    return (int64_t)bits;
  case PTX_U8:
    return (uint8_t)bits;
  case PTX_U16:
    return (uint16_t)bits;
  case PTX_U32:
    return (uint32_t)bits;
  default:
    return (__int128)bits;
  }
}

static __int128 int_min(ptx_type type) {
  return is_signed(type) ? -((__int128)1 << (ptx_type_bits(type) - 1)) : 0;
}
static __int128 int_max(ptx_type type) {
  return ((__int128)1 << (ptx_type_bits(type) - is_signed(type))) - 1;
}

// Cuts to the destination type, then extends to 64 bits as the type is signed.
static uint64_t int_bits(ptx_type type, __int128 value) {
  return (uint64_t)int_value(type, (uint64_t)value);
}

static uint64_t clamp_int(ptx_type type, __int128 value) {
  if (value < int_min(type))
    value = int_min(type);
  if (value > int_max(type))
    value = int_max(type);
  return int_bits(type, value);
}

static double float_value(ptx_type type, uint64_t bits) {
  if (type == PTX_F32)
    return tl_f32_of_bits((uint32_t)bits);
  if (type == PTX_F64)
    return tl_f64_of_bits(bits);
  return sim_half_value(type, (uint32_t)bits);
}

static double to_integral(double value, tl_round round) {
  switch (round) {
  case TL_RZ:
    return trunc(value);
  case TL_RM:
    return floor(value);
  case TL_RP:
    return ceil(value);
  default:
    return nearbyint(value); // the host rounds to nearest even
  }
}

static uint64_t float_to_int(const sim_cvt *cvt, uint64_t bits) {
  double value = float_value(cvt->source, bits);
  int wide = ptx_type_bits(cvt->dest);
  if (value != value) {
    if (cvt->source == PTX_F64)
      return int_bits(cvt->dest, (__int128)1 << (wide - 1));
    return wide == 64 ? UINT64_C(1) << 63 : 0;
  }
  if (cvt->ftz && cvt->source == PTX_F32 && fabs(value) < 0x1p-126)
    value = 0;
  value = to_integral(value, cvt->round);
  if (value <= -0x1p100)
    return clamp_int(cvt->dest, -((__int128)1 << 100));
  if (value >= 0x1p100)
    return clamp_int(cvt->dest, (__int128)1 << 100);
  return clamp_int(cvt->dest, (__int128)value);
}

static double clamp_unit(double value) {
  return value != value || value <= 0 ? 0 : value > 1 ? 1 : value;
}

static tl_dtype dtype_of(ptx_type type) {
  switch (type) {
  case PTX_F16:
    return TL_F16;
  case PTX_BF16:
    return TL_BF16;
  case PTX_F64:
    return TL_F64;
  default:
    return TL_F32;
  }
}

// Rounds an exact value held as "double with sticky last bit" to the destination.
static uint64_t encode(ptx_type type, double value, tl_round round, bool satfinite) {
  if (type == PTX_F64)
    return tl_bits_of_f64(value);
  return tl_fp_encode(dtype_of(type), value, round, satfinite);
}

static uint64_t int_to_float(const sim_cvt *cvt, uint64_t bits) {
  __int128 value = int_value(cvt->source, bits);
  if (cvt->dest == PTX_F64) {
    double r = sim_int_to_f64(value, cvt->round);
    return tl_bits_of_f64(cvt->sat ? clamp_unit(r) : r);
  }
  double odd = sim_int_to_f64(value, TL_RZ);
  if ((__int128)odd != value)
    odd = tl_f64_of_bits(tl_bits_of_f64(odd) | 1);
  if (cvt->sat)
    odd = clamp_unit(odd);
  return encode(cvt->dest, odd, cvt->round, cvt->satfinite);
}

static uint64_t nan_to(const sim_cvt *cvt, uint64_t bits) {
  if (cvt->relu && cvt->dest != PTX_F64)
    return cvt->dest == PTX_F32 ? CAN32 : CAN16;
  if (cvt->dest == PTX_F64) {
    uint64_t quiet = UINT64_C(0x7FF8000000000000);
    if (cvt->source == PTX_F64)
      return bits | quiet;
    if (cvt->source == PTX_F32)
      return (bits & 0x80000000) << 32 | quiet | (bits & 0x7FFFFF) << 29;
    int shift = cvt->source == PTX_F16 ? 42 : 45;
    uint64_t payload = bits & (cvt->source == PTX_F16 ? 0x3FF : 0x7F);
    return (bits & 0x8000) << 48 | quiet | payload << shift;
  }
  if (cvt->source == PTX_F64) { // sign and upper payload are kept
    uint64_t negative = bits >> 63, payload = bits << 12 >> 12;
    return cvt->dest == PTX_F32   ? negative << 31 | 0x7FC00000 | payload >> 29
           : cvt->dest == PTX_F16 ? negative << 15 | 0x7E00 | payload >> 42
                                  : negative << 15 | 0x7FC0 | payload >> 45;
  }
  if (cvt->source == PTX_BF16 && cvt->dest == PTX_F32 && !cvt->to_integral)
    return cvt->ftz ? CAN32 : bits << 16; // a shift, or an operation
  return cvt->dest == PTX_F32 ? CAN32 : CAN16;
}

static uint64_t float_to_float(const sim_cvt *cvt, uint64_t bits) {
  double value = float_value(cvt->source, bits);
  bool wide = cvt->dest == PTX_F32 || cvt->dest == PTX_F64;
  if (cvt->dest == cvt->source && wide && !cvt->to_integral && !cvt->ftz && !cvt->sat)
    return bits; // a move; of f16 and bf16 it is an operation
  if (value != value) {
    if (cvt->ftz && cvt->source == PTX_F32)
      bits = CAN32; // passes through an f32 operation
    if (cvt->sat)
      return 0;
    if (cvt->satfinite && cvt->dest != PTX_F32 && cvt->dest != PTX_F64)
      return CAN16;
    return nan_to(cvt, bits);
  }
  bool subnormal_in = cvt->source == PTX_F32 && value != 0 && fabs(value) < 0x1p-126;
  if (cvt->ftz && subnormal_in && cvt->dest != PTX_F16)
    value = copysign(0, value);
  if (cvt->to_integral)
    value = copysign(to_integral(value, cvt->round), value);
  if (cvt->relu && (value < 0 || (value == 0 && signbit(value))))
    value = 0;
  if (cvt->sat)
    value = clamp_unit(value);
  uint64_t r = encode(cvt->dest, value, cvt->to_integral ? TL_RN : cvt->round, cvt->satfinite);
  if (cvt->ftz && cvt->dest == PTX_F32 && fabs(value) < 0x1p-126)
    r &= 0x80000000;
  return r;
}

// extra: sim_cvt.
static void general(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_cvt *cvt = op->extra;
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a);
  bool wide_source = ptx_type_bits(cvt->source) == 64;
  SIM_LANES_DO(mask, {
    uint64_t bits = wide_source ? sim_get64(A, i) : A[i];
    uint64_t r;
    if (is_int(cvt->source))
      r = !is_int(cvt->dest) ? int_to_float(cvt, bits)
          : cvt->sat         ? clamp_int(cvt->dest, int_value(cvt->source, bits))
                             : int_bits(cvt->dest, int_value(cvt->source, bits));
    else
      r = is_int(cvt->dest) ? float_to_int(cvt, bits) : float_to_float(cvt, bits);
    if (cvt->dest_bits == 64)
      sim_put64(D, i, r);
    else
      D[i] = cvt->dest_bits == 16 ? (uint16_t)r : (uint32_t)r;
  })
}

// --- loops for the common ones ------------------------------------------------------------------
#define LOOP(name, body)                                                                           \
  static void name(sim_warp *w, const sim_op *op, uint32_t mask) {                                 \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a);                                                         \
    SIM_LANES_DO(mask, body)                                                                       \
  }
LOOP(zext_32_64, {
  uint32_t a = A[i];
  D[i] = a;
  D[32 + i] = 0;
})
LOOP(sext_32_64, {
  uint32_t a = A[i];
  D[i] = a;
  D[32 + i] = (uint32_t)((int32_t)a >> 31);
})
LOOP(low_32, { D[i] = A[i]; })
LOOP(zext_16_32, { D[i] = (uint16_t)A[i]; })
LOOP(s32_to_f32, { D[i] = tl_bits_of_f32((float)(int32_t)A[i]); })
LOOP(u32_to_f32, { D[i] = tl_bits_of_f32((float)A[i]); })
LOOP(bf16_to_f32, { D[i] = A[i] << 16; })
LOOP(f16_to_f32, {
  float f = (float)sim_half_value(PTX_F16, A[i]);
  D[i] = f != f ? (uint32_t)CAN32 : tl_bits_of_f32(f);
})

static inline uint32_t bf16_nearest(uint32_t bits) {
  uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  return (bits & 0x7FFFFFFF) > 0x7F800000 ? (uint32_t)CAN16 : rounded;
}
// f32 -> f16, nearest even: normal results by adding the rounding constant, subnormal ones by
// letting a float addition at 2^-14's scale do it.
static inline uint32_t f16_nearest(uint32_t bits) {
  uint32_t sign = bits >> 16 & 0x8000, a = bits & 0x7FFFFFFF;
  if (a > 0x7F800000)
    return CAN16;
  if (a >= 0x477FF000)
    return sign | 0x7C00;
  if (a < 0x38800000)
    return sign | (tl_bits_of_f32(tl_f32_of_bits(a) + 0.5f) - 0x3F000000);
  return sign | ((a + 0xFFF + (a >> 13 & 1) - 0x38000000) >> 13);
}
LOOP(f32_to_bf16, { D[i] = bf16_nearest(A[i]); })
LOOP(f32_to_f16, { D[i] = f16_nearest(A[i]); })
static void f32x2_to_bf16x2(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  SIM_LANES_DO(mask, { D[i] = bf16_nearest(A[i]) << 16 | bf16_nearest(B[i]); })
}
static void f32x2_to_f16x2(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  SIM_LANES_DO(mask, { D[i] = f16_nearest(A[i]) << 16 | f16_nearest(B[i]); })
}

sim_fn sim_cvt_fn(const sim_cvt *c) {
  int sbits = ptx_type_bits(c->source), dbits = ptx_type_bits(c->dest);
  bool plain = !c->ftz && !c->relu && !c->sat && !c->satfinite;
  if (plain && is_int(c->source) && is_int(c->dest)) {
    if (sbits == 32 && c->dest_bits == 64 && dbits == 64)
      return is_signed(c->source) ? sext_32_64 : zext_32_64;
    if (dbits == 32 && c->dest_bits == 32 && sbits >= 32)
      return low_32;
    if (sbits == 16 && dbits == 32 && c->dest_bits == 32 && !is_signed(c->source))
      return zext_16_32;
    if (dbits == 16 && c->dest_bits == 16 && sbits >= 16)
      return zext_16_32;
  }
  if (plain && c->round == TL_RN && c->dest == PTX_F32 && c->source == PTX_S32)
    return s32_to_f32;
  if (plain && c->round == TL_RN && c->dest == PTX_F32 && c->source == PTX_U32)
    return u32_to_f32;
  if (plain && !c->to_integral && c->dest == PTX_F32 && c->source == PTX_BF16)
    return bf16_to_f32;
  if (plain && !c->to_integral && c->dest == PTX_F32 && c->source == PTX_F16)
    return f16_to_f32;
  if (plain && c->round == TL_RN && !c->to_integral && c->source == PTX_F32) {
    if (c->dest == PTX_BF16)
      return f32_to_bf16;
    if (c->dest == PTX_F16)
      return f32_to_f16;
  }
  return general;
}

sim_fn sim_cvt_x2_fn(const sim_cvt *c) {
  if (c->round == TL_RN && !c->relu && !c->satfinite)
    return c->dest == PTX_F16 ? f32x2_to_f16x2 : f32x2_to_bf16x2;
  return sim_exec_cvt_x2;
}

// --- packed and narrow formats
// ---------------------------------------------------------------------- d = {a high, b low};
// extra: sim_cvt with dest the element type.
void sim_exec_cvt_x2(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_cvt *cvt = op->extra;
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  SIM_LANES_DO(mask, {
    uint32_t hi = (uint32_t)float_to_float(cvt, A[i]);
    D[i] = hi << 16 | (uint32_t)float_to_float(cvt, B[i]);
  })
}

static uint32_t tf32_of(const sim_cvt *cvt, uint32_t bits) {
  bool nan = (bits & 0x7FFFFFFF) > 0x7F800000;
  if (cvt->round != TL_RNA) {
    if (nan)
      return 0x7FFFE000;
    if (cvt->relu && bits >> 31)
      return 0;
    return (uint32_t)tl_fp_encode(TL_TF32, tl_f32_of_bits(bits), cvt->round, cvt->satfinite);
  }
  uint32_t r = (nan || (bits & 0x7FFFFFFF) == 0x7F800000 ? bits : bits + 0x1000) & 0xFFFFE000;
  if (cvt->relu && r >> 31)
    return 0;
  if (cvt->satfinite && (r & 0x7F800000) == 0x7F800000)
    r -= 0x2000;
  return r;
}
void sim_exec_cvt_tf32(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_cvt *cvt = op->extra;
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a);
  SIM_LANES_DO(mask, { D[i] = tf32_of(cvt, A[i]); })
}

static tl_dtype narrow_dtype(ptx_type type) {
  switch (type) {
  case PTX_E4M3X2:
    return TL_F8E4M3;
  case PTX_E5M2X2:
    return TL_F8E5M2;
  case PTX_E2M3X2:
    return TL_F6E2M3;
  case PTX_E3M2X2:
    return TL_F6E3M2;
  case PTX_E2M1X2:
    return TL_F4E2M1;
  default:
    return TL_UE8M0;
  }
}

static uint32_t ue8m0_of(double value, tl_round round, bool satfinite) {
  if (value != value)
    return 0xFF;
  value = fabs(value);
  if (value >= 0x1p128)
    return satfinite ? 0xFE : 0xFF;
  if (value <= 0x1p-127)
    return 0;
  int exponent;
  double fraction = frexp(value, &exponent); // value = fraction * 2^exponent, fraction in [0.5, 1)
  int field = exponent - 1 + 127;
  if (field < 0)
    field = 0;
  if (round == TL_RP && fraction != 0.5 && value > 0x1p-127)
    field++;
  if (field > 254)
    return satfinite ? 0xFE : 0xFF;
  return (uint32_t)field;
}

static uint32_t narrow_of(const sim_cvt *cvt, double value) {
  tl_dtype type = narrow_dtype(cvt->dest);
  if (type == TL_UE8M0)
    return ue8m0_of(value, cvt->round, cvt->satfinite);
  if (cvt->relu && (value < 0 || (value == 0 && signbit(value))))
    value = 0;
  return (uint32_t)tl_fp_encode(type, value, TL_RN, true);
}

static uint32_t wide_of(const sim_cvt *cvt, uint32_t bits) {
  if (cvt->source == PTX_UE8M0X2)
    return bits == 0xFF ? CAN16 : bits == 0 ? 0x40 : bits << 7;
  double value = tl_fp_decode(narrow_dtype(cvt->source), bits);
  if (value != value)
    return CAN16;
  if (cvt->relu && (value < 0 || (value == 0 && signbit(value))))
    value = 0;
  return sim_f16_round(value, TL_RN);
}

// Pairs of narrow elements from two f32 (a high, b low), from a packed half, or to a packed half.
void sim_exec_cvt_narrow(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_cvt *cvt = op->extra;
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  bool widen = cvt->dest == PTX_F16X2 || cvt->dest == PTX_BF16X2;
  int shift = (widen ? cvt->source : cvt->dest) == PTX_E2M1X2 ? 4 : 8;
  uint32_t low = (1u << shift) - 1;
  SIM_LANES_DO(mask, {
    uint32_t a = A[i];
    uint32_t hi;
    uint32_t lo;
    if (widen) {
      D[i] = wide_of(cvt, a >> shift & low) << 16 | wide_of(cvt, a & low);
    } else if (cvt->source == PTX_F32) {
      hi = narrow_of(cvt, tl_f32_of_bits(a));
      lo = narrow_of(cvt, tl_f32_of_bits(B[i]));
      D[i] = hi << shift | lo;
    } else {
      hi = narrow_of(cvt, sim_half_value(cvt->source, a >> 16));
      lo = narrow_of(cvt, sim_half_value(cvt->source, a));
      D[i] = hi << shift | lo;
    }
  })
}

// imm: bits of the packed type; sub: bit 0 signed, bit 1 takes c.
void sim_exec_cvt_pack(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  int bits = (int)op->imm;
  int64_t lo = op->sub & 1 ? -((int64_t)1 << (bits - 1)) : 0;
  int64_t hi = op->sub & 1 ? ((int64_t)1 << (bits - 1)) - 1 : ((int64_t)1 << bits) - 1;
  uint32_t field = (uint32_t)(((uint64_t)1 << bits) - 1);
  SIM_LANES_DO(mask, {
    int64_t a = (int32_t)A[i];
    int64_t b = (int32_t)B[i];
    a = a < lo ? lo : a > hi ? hi : a;
    b = b < lo ? lo : b > hi ? hi : b;
    uint32_t r = ((uint32_t)a & field) << bits | ((uint32_t)b & field);
    if (op->sub & 2)
      r |= C[i] << (2 * bits);
    D[i] = r;
  })
}
