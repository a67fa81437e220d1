// Exact codecs of every element type, shared by constant folder, evaluator, simulator and tests.
//
// All values travel as double: every finite f32, tf32, f16, bf16, fp8, fp6, fp4 and ue8m0 value is a
// double exactly, and one rounding from double to the target is the single IEEE rounding.
#ifndef LANG_BASE_FP_H
#define LANG_BASE_FP_H
#include "lang/dtype.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum tl_round {
  TL_RN, // nearest, ties to even
  TL_RZ, // toward zero
  TL_RM, // toward -infinity
  TL_RP, // toward +infinity (ue8m0 "up")
  TL_RNA // nearest, ties away from zero (cvt.rna.tf32)
} tl_round;

// Bits (low-aligned in the result) -> value. NaN payloads are not kept: use bits where they matter.
double tl_fp_decode(tl_dtype type, uint64_t bits);
// Value -> bits under one rounding. sat: out-of-range and infinities give +-largest finite (types
// without infinity saturate always). NaN gives the type's canonical NaN: f32 0x7FFFFFFF, f16/bf16
// 0x7FFF, tf32 0x7FFFE000, fp8 0x7F, ue8m0 0xFF; types without NaN give +largest.
uint64_t tl_fp_encode(tl_dtype type, double value, tl_round round, bool sat);
bool tl_fp_is_nan(tl_dtype type, uint64_t bits);
bool tl_fp_is_inf(tl_dtype type, uint64_t bits);

static inline float tl_f32_of_bits(uint32_t bits) {
  union { uint32_t u; float f; } x = {bits};
  return x.f;
}
static inline uint32_t tl_bits_of_f32(float value) {
  union { float f; uint32_t u; } x = {value};
  return x.u;
}
static inline double tl_f64_of_bits(uint64_t bits) {
  union { uint64_t u; double f; } x = {bits};
  return x.f;
}
static inline uint64_t tl_bits_of_f64(double value) {
  union { double f; uint64_t u; } x = {value};
  return x.u;
}
#endif
