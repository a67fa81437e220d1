// Directed rounding by the host's rounding mode: the only file that switches it.
//
// The operands go through volatile variables so that the compiler neither folds nor moves the
// arithmetic across fesetround.
#include "runtime/sim/exec.h"
#include <fenv.h>
#include <math.h>

static int host_mode(tl_round round) {
  switch (round) {
  case TL_RZ:
    return FE_TOWARDZERO;
  case TL_RM:
    return FE_DOWNWARD;
  case TL_RP:
    return FE_UPWARD;
  default:
    return FE_TONEAREST;
  }
}

// In the host's current rounding mode.
static inline float f32_apply(sim_flt_op what, float a, float b, float c) {
  switch (what) {
  case SIM_FLT_ADD:
    return a + b;
  case SIM_FLT_SUB:
    return a - b;
  case SIM_FLT_MUL:
    return a * b;
  case SIM_FLT_FMA:
    return fmaf(a, b, c);
  case SIM_FLT_DIV:
    return a / b;
  case SIM_FLT_RCP:
    return 1 / a;
  default:
    return sqrtf(a);
  }
}

float sim_f32_rounded(sim_flt_op what, tl_round round, float a, float b, float c) {
  if (round == TL_RN)
    return f32_apply(what, a, b, c);
  volatile float x = a, y = b, z = c, r; // keeps the operation between the two mode changes
  fesetround(host_mode(round));
  r = f32_apply(what, x, y, z);
  fesetround(FE_TONEAREST);
  return r;
}

// In the host's current rounding mode.
static inline double f64_apply(sim_flt_op what, double a, double b, double c) {
  switch (what) {
  case SIM_FLT_ADD:
    return a + b;
  case SIM_FLT_SUB:
    return a - b;
  case SIM_FLT_MUL:
    return a * b;
  case SIM_FLT_FMA:
    return fma(a, b, c);
  case SIM_FLT_DIV:
    return a / b;
  case SIM_FLT_RCP:
    return 1 / a;
  default:
    return sqrt(a);
  }
}

double sim_f64_rounded(sim_flt_op what, tl_round round, double a, double b, double c) {
  if (round == TL_RN)
    return f64_apply(what, a, b, c);
  volatile double x = a, y = b, z = c, r; // keeps the operation between the two mode changes
  fesetround(host_mode(round));
  r = f64_apply(what, x, y, z);
  fesetround(FE_TONEAREST);
  return r;
}

double sim_int_to_f64(__int128 value, tl_round round) {
  bool negative = value < 0;
  unsigned __int128 magnitude = negative ? -(unsigned __int128)value : (unsigned __int128)value;
  volatile double hi = (double)(uint64_t)(magnitude >> 32), lo = (double)(uint32_t)magnitude, r;
  volatile double scale = negative ? -0x1p32 : 0x1p32;
  volatile double low = negative ? -lo : lo;
  if (value == 0)
    return 0;
  fesetround(host_mode(round));
  r = hi * scale + low; // hi * scale is exact: at most 33 bits
  fesetround(FE_TONEAREST);
  return r;
}

// a * b + c rounded to odd: the exact result when it fits, else the neighbour toward zero with its
// last bit set. A later rounding to half the precision or less is then a single rounding. The
// product must be exact in double (operands of 26 bits or fewer).
double sim_odd_fma(double a, double b, double c) {
  double product = a * b, sum = product + c;
  if (!isfinite(sum))
    return sum;
  double rest_c = sum - product, rest_p = sum - rest_c;
  double error = (product - rest_p) + (c - rest_c);
  if (error == 0)
    return sum;
  uint64_t bits = tl_bits_of_f64(sum);
  if (bits & 1)
    return sum;
  // The exact value lies beside `sum` on the error's side: step there gives the odd neighbour.
  bool away = (error > 0) == (sum > 0);
  return tl_f64_of_bits(away ? bits + 1 : bits - 1);
}
