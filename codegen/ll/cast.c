// Conversions between element types, and bit casts.
#include "codegen/ll/emit.h"
#include "lang/base/fp.h"

// --- small floats -------------------------------------------------------------------------------

typedef struct format {
  int ebits, mbits, bias, max_code, nan_code; // max_code: largest finite; without the sign
  bool has_inf;
} format;

static format format_of(tl_dtype dtype) {
  const tl_dtype_info *info = tl_dtype_of(dtype);
  format f = {info->exponent_bits, info->fraction_bits, info->bias, 0, 0, dtype == TL_F8E5M2};
  f.max_code = (1 << (f.ebits + f.mbits)) - 1;
  if (dtype == TL_F8E4M3)
    f.max_code = 0x7E, f.nan_code = 0x7F;
  if (dtype == TL_F8E5M2)
    f.max_code = 0x7B, f.nan_code = 0x7F;
  return f;
}

static ll_v icmp(ll_ctx *c, LLVMIntPredicate pred, ll_v x, ll_v y) {
  return LLVMBuildICmp(c->b, pred, x, y, "");
}
static ll_v choose(ll_ctx *c, ll_v cond, ll_v x, ll_v y) {
  return LLVMBuildSelect(c->b, cond, x, y, "");
}

// Does the part cut off push the kept part up by one?
static ll_v rounds_up(ll_ctx *c, const char *round, ll_v kept, ll_v lost, ll_v half,
                      ll_v negative) {
  ll_v zero = ll_i32(c, 0), some = icmp(c, LLVMIntNE, lost, zero);
  if (!strcmp(round, "rz"))
    return ll_i1(c, false);
  if (!strcmp(round, "rp"))
    return LLVMBuildAnd(c->b, some, LLVMBuildNot(c->b, negative, ""), "");
  if (!strcmp(round, "rm"))
    return LLVMBuildAnd(c->b, some, negative, "");
  TL_ASSERT(!strcmp(round, "rn"), "rounding '%s'", round);
  ll_v odd = icmp(c, LLVMIntNE, LLVMBuildAnd(c->b, kept, ll_i32(c, 1), ""), zero);
  ll_v tie_up = LLVMBuildAnd(c->b, icmp(c, LLVMIntEQ, lost, half), odd, "");
  return LLVMBuildOr(c->b, icmp(c, LLVMIntUGT, lost, half), tie_up, "");
}

// ue8m0 is the exponent field of an f32, rounded by its fraction; below 2^-126 the field is 0 and
// the leading fraction bit says whether 2^-127 is reached.
static ll_v encode_ue8m0(ll_ctx *c, ll_v bits, const char *round, bool sat) {
  ll_v magnitude = LLVMBuildAnd(c->b, bits, ll_i32(c, 0x7FFFFFFF), "");
  ll_v code = LLVMBuildLShr(c->b, magnitude, ll_i32(c, 23), "");
  ll_v fraction = LLVMBuildAnd(c->b, magnitude, ll_i32(c, 0x7FFFFF), "");
  ll_v tiny = icmp(c, LLVMIntEQ, code, ll_i32(c, 0));
  ll_v reaches = icmp(c, LLVMIntUGE, fraction, ll_i32(c, 0x400000));
  ll_v shifted =
      LLVMBuildShl(c->b, LLVMBuildAnd(c->b, fraction, ll_i32(c, 0x3FFFFF), ""), ll_i32(c, 1), "");
  ll_v rest = choose(c, tiny, choose(c, reaches, shifted, ll_i32(c, 0)), fraction);
  if (!strcmp(round, "rm"))
    round = "rz"; // the sign is ignored
  ll_v up = rounds_up(c, round, code, rest, ll_i32(c, 0x400000), ll_i1(c, false));
  code = LLVMBuildAdd(c->b, code, LLVMBuildZExt(c->b, up, c->t_i32, ""), "");
  ll_v over = icmp(c, LLVMIntUGT, code, ll_i32(c, 0xFE));
  over = LLVMBuildOr(c->b, over, icmp(c, LLVMIntUGE, magnitude, ll_i32(c, 0x7F800000)), "");
  code = choose(c, over, ll_i32(c, sat ? 0xFE : 0xFF), code);
  ll_v nan = icmp(c, LLVMIntUGT, magnitude, ll_i32(c, 0x7F800000));
  return LLVMBuildTrunc(c->b, choose(c, nan, ll_i32(c, 0xFF), code), c->t_i8, "");
}

static ll_v overflow_code(ll_ctx *c, format f, const char *round, bool sat, ll_v negative,
                          ll_v infinite) {
  ll_v most = ll_i32(c, f.max_code), inf = ll_i32(c, f.max_code + 1);
  if (sat || !f.has_inf)
    return most;
  ll_v away = ll_i1(c, !strcmp(round, "rn"));
  if (!strcmp(round, "rp"))
    away = LLVMBuildNot(c->b, negative, "");
  if (!strcmp(round, "rm"))
    away = negative;
  return choose(c, LLVMBuildOr(c->b, away, infinite, ""), inf, most);
}

ll_v ll_soft_encode(ll_ctx *c, ll_v f32, tl_dtype to, const char *round, bool sat) {
  ll_v bits = LLVMBuildBitCast(c->b, f32, c->t_i32, "");
  if (to == TL_UE8M0)
    return encode_ue8m0(c, bits, round, sat);
  format f = format_of(to);
  int least = 1 - f.bias; // exponent of the smallest normal number
  ll_v zero = ll_i32(c, 0);
  ll_v negative = icmp(c, LLVMIntSLT, bits, zero);
  ll_v magnitude = LLVMBuildAnd(c->b, bits, ll_i32(c, 0x7FFFFFFF), "");
  ll_v exponent =
      LLVMBuildSub(c->b, LLVMBuildLShr(c->b, magnitude, ll_i32(c, 23), ""), ll_i32(c, 127), "");
  ll_v significand = LLVMBuildOr(c->b, LLVMBuildAnd(c->b, magnitude, ll_i32(c, 0x7FFFFF), ""),
                                 ll_i32(c, 0x800000), "");
  significand = choose(c, icmp(c, LLVMIntEQ, magnitude, zero), zero, significand);
  ll_v below = LLVMBuildSub(c->b, ll_i32(c, least), exponent, ""); // > 0: subnormal
  below = ll_min_max(c, IR_MAX, TL_I32, below, zero, false);
  ll_v cut = ll_add(c, below, ll_i32(c, 23 - f.mbits));
  cut = ll_min_max(c, IR_MIN, TL_I32, cut, ll_i32(c, 31), false);
  ll_v kept = LLVMBuildLShr(c->b, significand, cut, "");
  ll_v lost = LLVMBuildSub(c->b, significand, LLVMBuildShl(c->b, kept, cut, ""), "");
  ll_v half = LLVMBuildShl(c->b, ll_i32(c, 1), LLVMBuildSub(c->b, cut, ll_i32(c, 1), ""), "");
  ll_v up = rounds_up(c, round, kept, lost, half, negative);
  ll_v above = ll_min_max(c, IR_MAX, TL_I32, LLVMBuildSub(c->b, exponent, ll_i32(c, least), ""),
                          zero, false);
  ll_v code = LLVMBuildAdd(c->b, kept, LLVMBuildZExt(c->b, up, c->t_i32, ""), "");
  code = LLVMBuildAdd(c->b, code, LLVMBuildShl(c->b, above, ll_i32(c, f.mbits), ""), "");
  ll_v infinite = icmp(c, LLVMIntEQ, magnitude, ll_i32(c, 0x7F800000));
  ll_v over = icmp(c, LLVMIntUGT, code, ll_i32(c, f.max_code));
  code = choose(c, over, overflow_code(c, f, round, sat, negative, infinite), code);
  ll_v sign = choose(c, negative, ll_i32(c, 1 << (f.ebits + f.mbits)), zero);
  code = LLVMBuildOr(c->b, code, sign, "");
  ll_v nan = icmp(c, LLVMIntUGT, magnitude, ll_i32(c, 0x7F800000));
  code = choose(c, nan, ll_i32(c, f.nan_code ? f.nan_code : f.max_code), code);
  return LLVMBuildTrunc(c->b, code, c->t_i8, "");
}

static ll_v decode_ue8m0(ll_ctx *c, ll_v code) {
  if (c->func->target->features & FEAT_NARROW_CVT) { // bf16 holds them all
    ll_v pair = LL_CALL(c, "llvm.nvvm.ue8m0x2.to.bf16x2", LLVMBuildTrunc(c->b, code, c->t_i16, ""));
    ll_v wide = LLVMBuildBitCast(c->b, pair, c->t_i32, "");
    return LLVMBuildBitCast(c->b, LLVMBuildShl(c->b, wide, ll_i32(c, 16), ""), c->t_float, "");
  }
  ll_v bits = LLVMBuildShl(c->b, code, ll_i32(c, 23), "");
  bits = choose(c, icmp(c, LLVMIntEQ, code, ll_i32(c, 0)), ll_i32(c, 0x00400000), bits);
  bits = choose(c, icmp(c, LLVMIntEQ, code, ll_i32(c, 0xFF)), ll_i32(c, 0x7FFFFFFF), bits);
  return LLVMBuildBitCast(c->b, bits, c->t_float, "");
}

// fp6 and fp4 (no infinities, no NaN), and ue8m0.
ll_v ll_soft_decode(ll_ctx *c, ll_v code8, tl_dtype from) {
  ll_v code = LLVMBuildZExt(c->b, code8, c->t_i32, "");
  if (from == TL_UE8M0)
    return decode_ue8m0(c, code);
  format f = format_of(from);
  TL_ASSERT(!f.nan_code, "%s is decoded by hardware", tl_dtype_name(from));
  ll_v magnitude = LLVMBuildAnd(c->b, code, ll_i32(c, f.max_code), "");
  ll_v normal = LLVMBuildShl(c->b, magnitude, ll_i32(c, 23 - f.mbits), "");
  normal = LLVMBuildAdd(c->b, normal, ll_i32(c, (int64_t)(127 - f.bias) << 23), "");
  ll_v small = LLVMBuildUIToFP(c->b, magnitude, c->t_float, "");
  double unit = 1.0 / (double)(1 << (f.mbits + f.bias - 1));
  small = LLVMBuildBitCast(c->b, LLVMBuildFMul(c->b, small, ll_f32(c, unit), ""), c->t_i32, "");
  ll_v is_small = icmp(c, LLVMIntULT, magnitude, ll_i32(c, 1 << f.mbits));
  ll_v bits = choose(c, is_small, small, normal);
  ll_v sign = LLVMBuildAnd(c->b, code, ll_i32(c, 1 << (f.ebits + f.mbits)), "");
  bits =
      LLVMBuildOr(c->b, bits, LLVMBuildShl(c->b, sign, ll_i32(c, 31 - f.ebits - f.mbits), ""), "");
  return LLVMBuildBitCast(c->b, bits, c->t_float, "");
}

// --- fp8 by hardware ----------------------------------------------------------------------------

ll_v ll_decode_fp8_pair(ll_ctx *c, ll_v codes, tl_dtype from) { // i16 -> <2 x half>
  return from == TL_F8E4M3 ? LL_CALL(c, "llvm.nvvm.e4m3x2.to.f16x2.rn", codes)
                           : LL_CALL(c, "llvm.nvvm.e5m2x2.to.f16x2.rn", codes);
}

static ll_v encode_pair(ll_ctx *c, ll_v low, ll_v high, tl_dtype to) { // f32 -> i16
  return to == TL_F8E4M3 ? LL_CALL(c, "llvm.nvvm.ff.to.e4m3x2.rn", high, low)
                         : LL_CALL(c, "llvm.nvvm.ff.to.e5m2x2.rn", high, low);
}

static bool hardware_decodes(tl_dtype from) { return from == TL_F8E4M3 || from == TL_F8E5M2; }
// cvt has only round-to-nearest and always saturates.
static bool hardware_encodes(tl_dtype to, const char *round, bool sat) {
  return !strcmp(round, "rn") && (to == TL_F8E4M3 || (to == TL_F8E5M2 && sat));
}

// --- one element --------------------------------------------------------------------------------

ll_v ll_to_f32(ll_ctx *c, ll_v x, tl_dtype from) {
  switch (from) {
  case TL_F32:
  case TL_TF32:
    return x;
  case TL_F16:
  case TL_BF16:
    return LLVMBuildFPExt(c->b, x, c->t_float, "");
  case TL_F64:
    return LLVMBuildFPTrunc(c->b, x, c->t_float, "");
  case TL_F8E4M3:
  case TL_F8E5M2: {
    ll_v pair = ll_decode_fp8_pair(c, LLVMBuildZExt(c->b, x, c->t_i16, ""), from);
    ll_v half = LLVMBuildExtractElement(c->b, pair, ll_i32(c, 0), "");
    return LLVMBuildFPExt(c->b, half, c->t_float, "");
  }
  default:
    return ll_soft_decode(c, x, from);
  }
}

// `step` where cutting the low bits `cut` off a finite x moves it against the direction rm or rp,
// else 0.
static ll_v steps_away(ll_ctx *c, ll_v x, int cut, const char *round, int step) {
  ll_v bits = LLVMBuildBitCast(c->b, x, c->t_i32, "");
  ll_v negative = icmp(c, LLVMIntSLT, bits, ll_i32(c, 0));
  ll_v magnitude = LLVMBuildAnd(c->b, bits, ll_i32(c, 0x7FFFFFFF), "");
  ll_v finite = icmp(c, LLVMIntULT, magnitude, ll_i32(c, 0x7F800000));
  ll_v lost = icmp(c, LLVMIntNE, LLVMBuildAnd(c->b, bits, ll_i32(c, cut), ""), ll_i32(c, 0));
  ll_v away = !strcmp(round, "rp") ? LLVMBuildNot(c->b, negative, "") : negative;
  away = LLVMBuildAnd(c->b, LLVMBuildAnd(c->b, away, lost, ""), finite, "");
  return choose(c, away, ll_i32(c, step), ll_i32(c, 0));
}

// f32 to f16 or bf16 under a directed rounding.
static ll_v round_16(ll_ctx *c, ll_v x, tl_dtype to, const char *round) {
  if (to == TL_F16) {
    ll_v bits = !strcmp(round, "rz")   ? LL_ASM(c, CVT_RZ_F16_F32, c->t_i16, x)
                : !strcmp(round, "rm") ? LL_ASM(c, CVT_RM_F16_F32, c->t_i16, x)
                                       : LL_ASM(c, CVT_RP_F16_F32, c->t_i16, x);
    return LLVMBuildBitCast(c->b, bits, c->t_half, "");
  }
  // bf16 is the upper half of f32: cut, then one step away from zero where that is the direction.
  ll_v truncated = LL_CALL(c, "llvm.nvvm.f2bf16.rz", x);
  if (!strcmp(round, "rz"))
    return truncated;
  ll_v code = LLVMBuildBitCast(c->b, truncated, c->t_i16, "");
  ll_v away = LLVMBuildTrunc(c->b, steps_away(c, x, 0xFFFF, round, 1), c->t_i16, "");
  code = LLVMBuildAdd(c->b, code, away, "");
  return LLVMBuildBitCast(c->b, code, c->t_bfloat, "");
}

// Infinity becomes the largest finite value of the same sign.
static ll_v saturate_16(ll_ctx *c, ll_v x, tl_dtype to) {
  int most = to == TL_F16 ? 0x7BFF : 0x7F7F;
  ll_v bits = LLVMBuildBitCast(c->b, x, c->t_i16, "");
  ll_v magnitude = LLVMBuildAnd(c->b, bits, LLVMConstInt(c->t_i16, 0x7FFF, false), "");
  ll_v inf = icmp(c, LLVMIntEQ, magnitude, LLVMConstInt(c->t_i16, (unsigned)most + 1, false));
  bits = choose(c, inf, LLVMBuildSub(c->b, bits, LLVMConstInt(c->t_i16, 1, false), ""), bits);
  return LLVMBuildBitCast(c->b, bits, ll_type(c, to), "");
}

static ll_v narrow_16(ll_ctx *c, ll_v x, tl_dtype to, const char *round, bool sat) {
  ll_v result = !strcmp(round, "rn") ? LLVMBuildFPTrunc(c->b, x, ll_type(c, to), "")
                                     : round_16(c, x, to, round);
  return sat ? saturate_16(c, result, to) : result;
}

static ll_v to_tf32(ll_ctx *c, ll_v x, const char *round) {
  if (!strcmp(round, "rn"))
    return LLVMBuildBitCast(c->b, LL_CALL(c, "llvm.nvvm.f2tf32.rn", x), c->t_float, "");
  ll_v bits = LL_CALL(c, "llvm.nvvm.f2tf32.rz", x);
  if (strcmp(round, "rz") != 0)
    bits = LLVMBuildAdd(c->b, bits, steps_away(c, x, 0x1FFF, round, 0x2000), "");
  return LLVMBuildBitCast(c->b, bits, c->t_float, "");
}

static ll_v narrow(ll_ctx *c, ll_v x, tl_dtype to, const char *round, bool sat) { // from f32
  switch (to) {
  case TL_F32:
    return x;
  case TL_TF32:
    return to_tf32(c, x, round);
  case TL_F64:
    return LLVMBuildFPExt(c->b, x, c->t_double, "");
  case TL_F16:
  case TL_BF16:
    return narrow_16(c, x, to, round, sat);
  default:
    break;
  }
  if (!hardware_encodes(to, round, sat))
    return ll_soft_encode(c, x, to, round, sat);
  return LLVMBuildTrunc(c->b, encode_pair(c, x, ll_f32(c, 0), to), c->t_i8, "");
}

ll_v ll_from_f32(ll_ctx *c, ll_v x, tl_dtype to) {
  return narrow(c, x, to, "rn", tl_dtype_bits(to) <= 8);
}

static ll_v narrow_f64(ll_ctx *c, ll_v x, tl_dtype to, const char *round, bool sat) {
  if (to == TL_F64)
    return x;
  bool nearest = !strcmp(round, "rn");
  if (nearest && (to == TL_F16 || to == TL_BF16)) {
    ll_v result = LLVMBuildFPTrunc(c->b, x, ll_type(c, to), "");
    return sat ? saturate_16(c, result, to) : result;
  }
  if (to == TL_F32) {
    return nearest                ? LLVMBuildFPTrunc(c->b, x, c->t_float, "")
           : !strcmp(round, "rz") ? LL_CALL(c, "llvm.nvvm.d2f.rz", x)
           : !strcmp(round, "rm") ? LL_CALL(c, "llvm.nvvm.d2f.rm", x)
                                  : LL_CALL(c, "llvm.nvvm.d2f.rp", x);
  }
  if (!nearest)
    return narrow(c, narrow_f64(c, x, TL_F32, round, false), to, round, sat);
  // Round to odd in f32: the second rounding then sees everything it needs.
  ll_v cut = LL_CALL(c, "llvm.nvvm.d2f.rz", x);
  ll_v back = LLVMBuildFPExt(c->b, cut, c->t_double, "");
  ll_v lost = LLVMBuildZExt(c->b, LLVMBuildFCmp(c->b, LLVMRealONE, back, x, ""), c->t_i32, "");
  ll_v bits = LLVMBuildOr(c->b, LLVMBuildBitCast(c->b, cut, c->t_i32, ""), lost, "");
  return narrow(c, LLVMBuildBitCast(c->b, bits, c->t_float, ""), to, "rn", sat);
}

static ll_v int_to_float(ll_ctx *c, ll_v x, tl_dtype from, tl_dtype to, const char *round,
                         bool sat) {
  bool is_signed = tl_is_signed(from) && from != TL_I1;
  bool small = tl_dtype_bits(to) <= 8 || to == TL_TF32 || (tl_dtype_bits(to) == 16 && sat);
  bool exact = tl_dtype_bits(from) < 32; // in f32
  if (!strcmp(round, "rn") && !small) {
    ll_t type = ll_type(c, to);
    return is_signed ? LLVMBuildSIToFP(c->b, x, type, "") : LLVMBuildUIToFP(c->b, x, type, "");
  }
  ll_t wide = exact ? c->t_float : c->t_double;
  ll_v f = is_signed ? LLVMBuildSIToFP(c->b, x, wide, "") : LLVMBuildUIToFP(c->b, x, wide, "");
  return exact ? narrow(c, f, to, round, sat) : narrow_f64(c, f, to, round, sat);
}

// Truncation toward zero, clamped to the target's range; NaN gives 0.
static ll_v float_to_int(ll_ctx *c, ll_v x, tl_dtype from, tl_dtype to) {
  bool is_signed = tl_is_signed(to) && to != TL_I1;
  int bits = tl_dtype_bits(to);
  if (from != TL_F64)
    x = ll_to_f32(c, x, from);
  bool wide = from == TL_F64;
  if (bits == 64) {
    const char *name = is_signed ? (wide ? "llvm.nvvm.d2ll.rz" : "llvm.nvvm.f2ll.rz")
                                 : (wide ? "llvm.nvvm.d2ull.rz" : "llvm.nvvm.f2ull.rz");
    ll_v result = ll_intrinsic(c, name, NULL, 0, &x, 1);
    ll_v number = LLVMBuildFCmp(c->b, LLVMRealORD, x, x, "");
    return choose(c, number, result, ll_i64(c, 0));
  }
  const char *name = is_signed ? (wide ? "llvm.nvvm.d2i.rz" : "llvm.nvvm.f2i.rz")
                               : (wide ? "llvm.nvvm.d2ui.rz" : "llvm.nvvm.f2ui.rz");
  ll_v result = ll_intrinsic(c, name, NULL, 0, &x, 1);
  if (wide) { // only f32 sources turn NaN into 0
    ll_v number = LLVMBuildFCmp(c->b, LLVMRealORD, x, x, "");
    result = choose(c, number, result, ll_i32(c, 0));
  }
  if (bits == 32)
    return result;
  int64_t most = is_signed ? (1ll << (bits - 1)) - 1 : (1ll << bits) - 1;
  result = ll_min_max(c, IR_MIN, is_signed ? TL_I32 : TL_U32, result, ll_i32(c, most), false);
  if (is_signed)
    result = ll_min_max(c, IR_MAX, TL_I32, result, ll_i32(c, -most - 1), false);
  return LLVMBuildTrunc(c->b, result, ll_type(c, to), "");
}

static ll_v int_to_int(ll_ctx *c, ll_v x, tl_dtype from, tl_dtype to) {
  return LLVMBuildIntCast2(c->b, x, ll_type(c, to), tl_is_signed(from) && from != TL_I1, "");
}

static ll_v to_bool(ll_ctx *c, ll_v x, tl_dtype from) {
  if (from == TL_I1)
    return x;
  if (!tl_is_float(from))
    return icmp(c, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)));
  if (from != TL_F64)
    x = ll_to_f32(c, x, from);
  return LLVMBuildFCmp(c->b, LLVMRealUNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
}

ll_v ll_convert_elem(ll_ctx *c, ll_v x, tl_dtype from, tl_dtype to, const char *round, bool sat) {
  if (from == to)
    return x;
  if (to == TL_I1)
    return to_bool(c, x, from);
  if (!tl_is_float(from))
    return tl_is_float(to) ? int_to_float(c, x, from, to, round, sat) : int_to_int(c, x, from, to);
  if (!tl_is_float(to))
    return float_to_int(c, x, from, to);
  if (from == TL_F64)
    return narrow_f64(c, x, to, round, sat);
  return narrow(c, ll_to_f32(c, x, from), to, round, sat);
}

// --- tiles --------------------------------------------------------------------------------------

// Four codes a word, two a conversion.
static void encode_words(ll_ctx *c, const ir_op *op, ll_v *x, tl_dtype from, tl_dtype to) {
  int count = ll_nregs(c, op->res[0]) / 4;
  ll_v *words = TL_NEW_N(c->arena, ll_v, count);
  for (int w = 0; w < count; w++) {
    ll_v pairs = LLVMGetPoison(LLVMVectorType(c->t_i16, 2));
    for (int h = 0; h < 2; h++) {
      ll_v *at = x + w * 4 + h * 2;
      ll_v pair = encode_pair(c, ll_to_f32(c, at[0], from), ll_to_f32(c, at[1], from), to);
      pairs = LLVMBuildInsertElement(c->b, pairs, pair, ll_i32(c, h), "");
    }
    words[w] = LLVMBuildBitCast(c->b, pairs, c->t_i32, "");
  }
  ll_set_words(c, op->res[0], words, 0);
}

static void decode_words(ll_ctx *c, const ir_op *op, tl_dtype from, tl_dtype to) {
  ll_v *words = ll_words(c, op->args[0]);
  int count = ll_nregs(c, op->res[0]) / 4;
  ll_force_words(c, ll_val(c, op->args[0]), 0, count);
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int w = 0; w < count; w++)
    for (int h = 0; h < 2; h++) {
      ll_v part = LLVMBuildLShr(c->b, words[w], ll_i32(c, 16 * h), "");
      ll_v pair = ll_decode_fp8_pair(c, LLVMBuildTrunc(c->b, part, c->t_i16, ""), from);
      for (int i = 0; i < 2; i++) {
        ll_v half = LLVMBuildExtractElement(c->b, pair, ll_i32(c, i), "");
        out[w * 4 + h * 2 + i] = ll_convert_elem(c, half, TL_F16, to, "rn", false);
      }
    }
}

// Four e2m1 codes (bits 0..15) to e4m3, exact: magnitudes out of a table of 8 bytes; a selector with
// its sign bit set gives 0xFF where one without gives 0x80.
static ll_v widen_f4(ll_ctx *c, ll_v codes) {
  ll_v magnitudes = LL_CALL(c, "llvm.nvvm.prmt", ll_i32(c, 0x3C383000), ll_i32(c, 0x4C484440),
                            LLVMBuildAnd(c->b, codes, ll_i32(c, 0x7777), ""));
  ll_v signs = LL_CALL(c, "llvm.nvvm.prmt", ll_i32(c, 0x80), ll_i32(c, 0),
                       LLVMBuildAnd(c->b, codes, ll_i32(c, 0x8888), ""));
  signs = LLVMBuildShl(c->b, signs, ll_i32(c, 1), "");
  signs = LLVMBuildAnd(c->b, signs, ll_i32(c, (int64_t)0x80808080), "");
  return LLVMBuildOr(c->b, magnitudes, signs, "");
}

static void widen_words(ll_ctx *c, const ir_op *op) {
  int count = ll_nregs(c, op->res[0]) / 4;
  ll_v *words = TL_NEW_N(c->arena, ll_v, count), *codes = ll_regs(c, op->args[0]);
  for (int w = 0; w < count; w++)
    words[w] = widen_f4(
        c, LLVMBuildZExt(c->b, ll_pack_nibbles(c, codes + w * 4, 4), c->t_i32, ""));
  ll_set_words(c, op->res[0], words, 0);
}

void ll_emit_cast(ll_ctx *c, const ir_op *op) {
  tl_dtype from = ll_dtype(c, op->args[0]), to = ll_dtype(c, op->res[0]);
  const char *round = ir_str(op, "round", "rn");
  bool sat = ir_int(op, "sat", 0);
  int count = ll_nregs(c, op->res[0]);
  bool by_words = count % 4 == 0 && tl_is_float(from) && tl_is_float(to) && from != TL_F64;
  if (count % 4 == 0 && from == TL_F4E2M1 && to == TL_F8E4M3) {
    widen_words(c, op);
    return;
  }
  if (by_words && hardware_encodes(to, round, sat)) {
    encode_words(c, op, ll_regs(c, op->args[0]), from, to);
    return;
  }
  if (by_words && hardware_decodes(from) && tl_dtype_bits(to) >= 16) {
    decode_words(c, op, from, to);
    return;
  }
  ll_v *x = ll_regs(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < count; r++)
    out[r] = r && x[r] == x[r - 1] ? out[r - 1] : ll_convert_elem(c, x[r], from, to, round, sat);
}
