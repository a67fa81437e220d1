// Transcendental functions. The approximate forms are the hardware's; the precise ones are written
// out here, so that no device library is needed.
#include "codegen/ll/emit.h"

static ll_v fma32(ll_ctx *c, ll_v x, ll_v y, ll_v z) {
  return ll_intrinsic(c, "llvm.fma", &c->t_float, 1, (ll_v[]){x, y, z}, 3);
}

// 2^k for k in -126 .. 127, by putting the exponent together.
static ll_v power_of_two(ll_ctx *c, ll_v k) {
  ll_v bits = LLVMBuildShl(c->b, ll_add(c, k, ll_i32(c, 127)), ll_i32(c, 23), "");
  return LLVMBuildBitCast(c->b, bits, c->t_float, "");
}

// 2^x = 2^n * 2^f with f in [-1/2, 1/2]; the Taylor polynomial of degree 7 is within 0.1 ulp there.
// The scale is applied in two steps, which reaches the subnormals and the overflow.
static ll_v exp2_precise(ll_ctx *c, ll_v x) {
  static const double k[] = {1.5252733804059841e-05, 1.5403530393381609e-04,
                             1.3333558146428443e-03, 9.6181291076284772e-03,
                             5.5504108664821580e-02, 2.4022650695910072e-01,
                             6.9314718055994531e-01, 1.0};
  ll_v high = ll_f32(c, 129), low = ll_f32(c, -151);
  x = LLVMBuildSelect(c->b, LLVMBuildFCmp(c->b, LLVMRealOGT, x, high, ""), high, x, "");
  x = LLVMBuildSelect(c->b, LLVMBuildFCmp(c->b, LLVMRealOLT, x, low, ""), low, x, "");
  ll_v whole = LL_CALL(c, "llvm.nvvm.f2i.rn", x);
  ll_v f = LLVMBuildFSub(c->b, x, LLVMBuildSIToFP(c->b, whole, c->t_float, ""), "");
  ll_v p = ll_f32(c, k[0]);
  for (size_t i = 1; i < sizeof k / sizeof *k; i++)
    p = fma32(c, p, f, ll_f32(c, k[i]));
  ll_v half = LLVMBuildAShr(c->b, whole, ll_i32(c, 1), "");
  ll_v rest = LLVMBuildSub(c->b, whole, half, "");
  p = LLVMBuildFMul(c->b, p, power_of_two(c, half), "");
  return LLVMBuildFMul(c->b, p, power_of_two(c, rest), "");
}

static ll_v math32(ll_ctx *c, ir_code code, ll_v x, bool precise) {
  switch (code) {
  case IR_EXP2:
    if (precise)
      return exp2_precise(c, x);
    return ll_intrinsic(c, "llvm.nvvm.ex2.approx.ftz", &c->t_float, 1, &x, 1);
  case IR_LOG2:
    return LL_CALL(c, "llvm.nvvm.lg2.approx.ftz.f", x);
  case IR_SQRT:
    return precise ? LL_CALL(c, "llvm.nvvm.sqrt.rn.f", x)
                   : LL_CALL(c, "llvm.nvvm.sqrt.approx.ftz.f", x);
  case IR_RSQRT:
    return LL_CALL(c, "llvm.nvvm.rsqrt.approx.ftz.f", x);
  case IR_RCP:
    return precise ? LL_CALL(c, "llvm.nvvm.rcp.rn.f", x)
                   : LL_CALL(c, "llvm.nvvm.rcp.approx.ftz.f", x);
  case IR_TANH:
    return LL_ASM(c, TANH_F32, c->t_float, x);
  case IR_SIN:
    return LL_CALL(c, "llvm.nvvm.sin.approx.f", x);
  case IR_COS:
    return LL_CALL(c, "llvm.nvvm.cos.approx.f", x);
  default:
    TL_UNREACHABLE("%s is no function", ir_info(code)->name);
  }
}

// f64: square root and reciprocals are exact instructions; the others are approximations by
// definition (lang/ops.def) and are computed in f32.
static ll_v math64(ll_ctx *c, ir_code code, ll_v x, bool precise) {
  ll_v one = LLVMConstReal(c->t_double, 1.0);
  switch (code) {
  case IR_SQRT:
    return LL_CALL(c, "llvm.nvvm.sqrt.rn.d", x);
  case IR_RCP:
    return LLVMBuildFDiv(c->b, one, x, "");
  case IR_RSQRT:
    return LLVMBuildFDiv(c->b, one, LL_CALL(c, "llvm.nvvm.sqrt.rn.d", x), "");
  default:
    break;
  }
  ll_v single = LLVMBuildFPTrunc(c->b, x, c->t_float, "");
  return LLVMBuildFPExt(c->b, math32(c, code, single, precise), c->t_double, "");
}

ll_v ll_math(ll_ctx *c, ir_code code, tl_dtype dtype, ll_v x, bool precise) {
  if (dtype == TL_F64)
    return math64(c, code, x, precise);
  ll_v result = math32(c, code, ll_to_f32(c, x, dtype), precise);
  return ll_from_f32(c, result, dtype);
}
