// Comparison and selection: setp, set, selp, slct, testp.
#include "runtime/sim/exec.h"
#include <math.h>

static inline float flush_f32(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

// One mask of lanes whose comparison holds. The six integer outcomes are separate loops so that
// each vectorises; floats go through the outcome bits because of the unordered ones.
#define COMPARE_INT(name, T, GET)                                                                  \
  static uint32_t name(const uint32_t *A, const uint32_t *B, uint32_t want) {                      \
    uint32_t r = 0;                                                                                \
    switch (want & 7) {                                                                            \
    case SIM_CMP_EQ:                                                                               \
      for (int i = 0; i < 32; i++)                                                                 \
        r |= (uint32_t)(GET(T, A) == GET(T, B)) << i;                                              \
      break;                                                                                       \
    case SIM_CMP_LT | SIM_CMP_GT:                                                                  \
      for (int i = 0; i < 32; i++)                                                                 \
        r |= (uint32_t)(GET(T, A) != GET(T, B)) << i;                                              \
      break;                                                                                       \
    case SIM_CMP_LT:                                                                               \
      for (int i = 0; i < 32; i++)                                                                 \
        r |= (uint32_t)(GET(T, A) < GET(T, B)) << i;                                               \
      break;                                                                                       \
    case SIM_CMP_LT | SIM_CMP_EQ:                                                                  \
      for (int i = 0; i < 32; i++)                                                                 \
        r |= (uint32_t)(GET(T, A) <= GET(T, B)) << i;                                              \
      break;                                                                                       \
    case SIM_CMP_GT:                                                                               \
      for (int i = 0; i < 32; i++)                                                                 \
        r |= (uint32_t)(GET(T, A) > GET(T, B)) << i;                                               \
      break;                                                                                       \
    default:                                                                                       \
      for (int i = 0; i < 32; i++)                                                                 \
        r |= (uint32_t)(GET(T, A) >= GET(T, B)) << i;                                              \
      break;                                                                                       \
    }                                                                                              \
    return r;                                                                                      \
  }
#define GET_NARROW(T, plane) ((T)(plane)[i])
#define GET_WIDE(T, plane) ((T)sim_get64((plane), i))
// clang-format off
COMPARE_INT(compare_u16, uint16_t, GET_NARROW)
COMPARE_INT(compare_s16, int16_t, GET_NARROW)
COMPARE_INT(compare_u32, uint32_t, GET_NARROW)
COMPARE_INT(compare_s32, int32_t, GET_NARROW)
COMPARE_INT(compare_u64, uint64_t, GET_WIDE)
COMPARE_INT(compare_s64, int64_t, GET_WIDE)
// clang-format on

static inline uint32_t outcome(double a, double b) {
  return a < b ? SIM_CMP_LT : a == b ? SIM_CMP_EQ : a > b ? SIM_CMP_GT : SIM_CMP_UN;
}

static uint32_t compare_float(ptx_type type, const uint32_t *A, const uint32_t *B, uint32_t want,
                              bool ftz) {
  uint32_t r = 0;
  for (int i = 0; i < 32; i++) {
    double a, b;
    if (type == PTX_F32) {
      float x = tl_f32_of_bits(A[i]), y = tl_f32_of_bits(B[i]);
      a = ftz ? flush_f32(x) : x;
      b = ftz ? flush_f32(y) : y;
    } else if (type == PTX_F64) {
      a = tl_f64_of_bits(sim_get64(A, i));
      b = tl_f64_of_bits(sim_get64(B, i));
    } else {
      a = sim_half_value(type, A[i]);
      b = sim_half_value(type, B[i]);
      if (ftz && type == PTX_F16 && fabs(a) < 0x1p-14)
        a = 0;
      if (ftz && type == PTX_F16 && fabs(b) < 0x1p-14)
        b = 0;
    }
    r |= (uint32_t)((outcome(a, b) & want) != 0) << i;
  }
  return r;
}

static uint32_t compare(ptx_type type, const uint32_t *A, const uint32_t *B, uint32_t want,
                        bool ftz) {
  switch (type) {
  case PTX_B16:
  case PTX_U16:
    return compare_u16(A, B, want);
  case PTX_S16:
    return compare_s16(A, B, want);
  case PTX_B32:
  case PTX_U32:
    return compare_u32(A, B, want);
  case PTX_S32:
    return compare_s32(A, B, want);
  case PTX_B64:
  case PTX_U64:
    return compare_u64(A, B, want);
  case PTX_S64:
    return compare_s64(A, B, want);
  default:
    return compare_float(type, A, B, want, ftz);
  }
}

static uint32_t combine(uint32_t value, uint32_t with, int how) {
  return how == 0 ? value & with : how == 1 ? value | with : how == 2 ? value ^ with : value;
}

void sim_exec_setp(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_set_info *info = op->extra;
  uint32_t r = compare(info->source, sim_src(w, op->a), sim_src(w, op->b), op->sub, info->ftz);
  uint32_t with = sim_pred(w, info->preds.source, info->preds.negated);
  sim_set_pred(w, info->preds.dest, mask, combine(r, with, info->preds.op));
  if (info->preds.dest2)
    sim_set_pred(w, info->preds.dest2, mask, combine(~r, with, info->preds.op));
}

// set: 1.0 or all ones where it holds.
void sim_exec_set(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_set_info *info = op->extra;
  uint32_t *D = sim_dst(w, op->d);
  uint32_t r = compare(info->source, sim_src(w, op->a), sim_src(w, op->b), op->sub, info->ftz);
  r = combine(r, sim_pred(w, info->preds.source, info->preds.negated), info->preds.op);
  uint32_t one = info->dest == PTX_F32             ? 0x3F800000
                 : info->dest == PTX_F16           ? 0x3C00
                 : info->dest == PTX_BF16          ? 0x3F80
                 : ptx_type_bits(info->dest) == 16 ? 0xFFFF
                                                   : ~0u;
  SIM_LANES_DO(mask, { D[i] = r >> i & 1 ? one : 0; })
}

static void compare_halves(sim_warp *w, const sim_op *op, ptx_type type, bool ftz,
                           uint32_t out[2]) {
  ptx_type one = type == PTX_F16X2 ? PTX_F16 : PTX_BF16;
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  for (int half = 0; half < 2; half++) {
    uint32_t a[32], b[32];
    for (int i = 0; i < 32; i++) {
      a[i] = A[i] >> (16 * half) & 0xFFFF;
      b[i] = B[i] >> (16 * half) & 0xFFFF;
    }
    out[half] = compare_float(one, a, b, op->sub, ftz);
  }
}

void sim_exec_setp_x2(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_set_info *info = op->extra;
  uint32_t r[2];
  compare_halves(w, op, info->source, info->ftz, r);
  uint32_t with = sim_pred(w, info->preds.source, info->preds.negated);
  sim_set_pred(w, info->preds.dest, mask, combine(r[0], with, info->preds.op));
  sim_set_pred(w, info->preds.dest2, mask, combine(r[1], with, info->preds.op));
}

void sim_exec_set_x2(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_set_info *info = op->extra;
  uint32_t *D = sim_dst(w, op->d), r[2];
  compare_halves(w, op, info->source, info->ftz, r);
  uint32_t one = info->dest == PTX_F16X2 ? 0x3C00 : info->dest == PTX_BF16X2 ? 0x3F80 : 0xFFFF;
  SIM_LANES_DO(mask, { D[i] = (r[0] >> i & 1 ? one : 0) | (r[1] >> i & 1 ? one << 16 : 0); })
}

void sim_exec_selp32(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d), p = sim_pred(w, op->c, op->flags & SIM_OPF_NOT_C);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  SIM_LANES_DO(mask, { D[i] = p >> i & 1 ? A[i] : B[i]; })
}

void sim_exec_selp64(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d), p = sim_pred(w, op->c, op->flags & SIM_OPF_NOT_C);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  SIM_LANES_DO(mask, {
    uint32_t lo = p >> i & 1 ? A[i] : B[i];
    uint32_t hi = p >> i & 1 ? A[32 + i] : B[32 + i];
    D[i] = lo;
    D[32 + i] = hi;
  })
}

// sub: bit 0 the selector is f32, bit 1 ftz, bit 2 64-bit values.
void sim_exec_slct(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  SIM_LANES_DO(mask, {
    float f = tl_f32_of_bits(C[i]);
    if (op->sub & 2)
      f = flush_f32(f);
    bool first = op->sub & 1 ? f >= 0 : (int32_t)C[i] >= 0;
    uint32_t lo = first ? A[i] : B[i];
    if (op->sub & 4)
      D[32 + i] = first ? A[32 + i] : B[32 + i];
    D[i] = lo;
  })
}

// d is a predicate; sub: 0 finite 1 infinite 2 number 3 notanumber 4 normal 5 subnormal, +8: f64.
void sim_exec_testp(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a);
  uint32_t r = 0;
  for (int i = 0; i < 32; i++) {
    int class = op->sub & 8 ? fpclassify(tl_f64_of_bits(sim_get64(A, i)))
                            : fpclassify(tl_f32_of_bits(A[i]));
    bool yes = false;
    switch (op->sub & 7) {
    case 0:
      yes = class != FP_INFINITE && class != FP_NAN;
      break;
    case 1:
      yes = class == FP_INFINITE;
      break;
    case 2:
      yes = class != FP_NAN;
      break;
    case 3:
      yes = class == FP_NAN;
      break;
    case 4:
      yes = class == FP_NORMAL || class == FP_ZERO;
      break; // as the hardware: zeros count
    default:
      yes = class == FP_SUBNORMAL;
      break;
    }
    r |= (uint32_t)yes << i;
  }
  sim_set_pred(w, op->d, mask, r);
}
