// Exact codecs of every element type, shared by constant folder, evaluator, simulator and tests.
//
// All values travel as double: every finite f32, tf32, f16, bf16, fp8, fp6, fp4 and ue8m0 value is
// a double exactly, and one rounding from double to the target is the single IEEE rounding.
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
// without infinity saturate always). NaN gives the type's canonical NaN: f64 0x7FF8000000000000,
// f32 0x7FFFFFFF, f16/bf16 0x7FFF, tf32 0x7FFFE000, fp8 0x7F, ue8m0 0xFF; types without NaN give
// +largest.
//
// ue8m0 holds 2^(code - 127): the sign of the value is ignored, TL_RP rounds up to the next power
// of two, TL_RZ and TL_RM down; zero and anything up to 2^-127 give code 0; infinity and overflow
// give 0xFF, or 0xFE with sat (PTX ISA 9.7.9.22, cvt; CUDA 13.0 cuda_fp8.hpp).
uint64_t tl_fp_encode(tl_dtype type, double value, tl_round round, bool sat);
bool tl_fp_is_nan(tl_dtype type, uint64_t bits);
bool tl_fp_is_inf(tl_dtype type, uint64_t bits);

// Every value of the small formats, indexed by code (f6 and f4: by their low 6 and 4 bits).
extern const float tl_f8e4m3_values[256], tl_f8e5m2_values[256];
extern const float tl_f6e2m3_values[64], tl_f6e3m2_values[64], tl_f4e2m1_values[16];

static inline float tl_f32_of_bits(uint32_t bits) {
  union {
    uint32_t u;
    float f;
  } x = {bits};
  return x.f;
}
static inline uint32_t tl_bits_of_f32(float value) {
  union {
    float f;
    uint32_t u;
  } x = {value};
  return x.u;
}
static inline double tl_f64_of_bits(uint64_t bits) {
  union {
    uint64_t u;
    double f;
  } x = {bits};
  return x.f;
}
static inline uint64_t tl_bits_of_f64(double value) {
  union {
    double f;
    uint64_t u;
  } x = {value};
  return x.u;
}

// Fast forms of the common conversions; each equals tl_fp_decode or tl_fp_encode with TL_RN.
static inline float tl_f32_of_bf16(uint16_t bits) { return tl_f32_of_bits((uint32_t)bits << 16); }
static inline uint16_t tl_bf16_of_f32(float value) {
  uint32_t bits = tl_bits_of_f32(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return 0x7FFF;
  return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}
static inline float tl_f32_of_ue8m0(uint8_t bits) {
  if (bits == 0xFF)
    return tl_f32_of_bits(0x7FFFFFFFu);
  return tl_f32_of_bits(bits ? (uint32_t)bits << 23 : 0x00400000u);
}
float tl_f32_of_f16(uint16_t bits);
uint16_t tl_f16_of_f32(float value);
#endif
