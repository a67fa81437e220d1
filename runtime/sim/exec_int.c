// Integer and bit operations: the rows of int_ops.def as lane loops, and those whose operands do
// not share one width (wide multiplies, shifts, bit fields, carries).
#include "runtime/sim/exec.h"

static inline int64_t clamp_s64(int64_t x, int64_t lo, int64_t hi) {
  return x < lo ? lo : x > hi ? hi : x;
}
static inline uint32_t halves(uint32_t lo, uint32_t hi) { return (lo & 0xFFFF) | hi << 16; }
static inline int32_t lo_s(uint32_t x) { return (int16_t)x; }
static inline int32_t hi_s(uint32_t x) { return (int16_t)(x >> 16); }
static inline uint32_t sat_s16(int32_t x) {
  return (uint32_t)(x < -32768 ? -32768 : x > 32767 ? 32767 : x);
}
static inline uint32_t sat_u16(uint32_t x) { return x > 0xFFFF ? 0xFFFF : x; }
static inline uint32_t umin(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t umax(uint32_t a, uint32_t b) { return a > b ? a : b; }
static inline uint32_t smin(int32_t a, int32_t b) { return (uint32_t)(a < b ? a : b); }
static inline uint32_t smax(int32_t a, int32_t b) { return (uint32_t)(a > b ? a : b); }
static inline int32_t sign24(uint32_t x) { return (int32_t)(x << 8) >> 8; }
static inline uint64_t funnel(uint32_t lo, uint32_t hi) { return lo | (uint64_t)hi << 32; }

static inline uint32_t reverse32(uint32_t x) {
  x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
  x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
  x = (x >> 4 & 0x0F0F0F0F) | (x & 0x0F0F0F0F) << 4;
  return __builtin_bswap32(x);
}
static inline uint32_t find_s64(int64_t x) { // most significant bit that is not a sign bit
  uint64_t bits = (uint64_t)(x < 0 ? ~x : x);
  return bits ? 63 - (uint32_t)__builtin_clzll(bits) : ~0u;
}
static uint32_t find_nth(uint32_t mask, uint32_t base, int32_t offset) {
  if (base > 31)
    return ~0u;
  int step = offset < 0 ? -1 : 1, left = offset < 0 ? -offset : offset;
  if (offset == 0)
    return mask >> base & 1 ? base : ~0u;
  for (int at = (int)base; at >= 0 && at < 32; at += step)
    if (mask >> at & 1 && --left == 0)
      return (uint32_t)at;
  return ~0u;
}
static inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = a | (uint64_t)b << 32;
  uint32_t result = 0;
  for (int k = 0; k < 4; k++) {
    uint32_t nibble = selector >> (4 * k) & 15;
    uint32_t byte = (uint32_t)(bytes >> (8 * (nibble & 7))) & 0xFF;
    if (nibble & 8)
      byte = byte & 0x80 ? 0xFF : 0;
    result |= byte << (8 * k);
  }
  return result;
}
static uint32_t permute_mode(uint32_t a, uint32_t b, uint32_t c, int mode) {
  uint32_t k = c & 3, selector = 0;
  for (uint32_t i = 0; i < 4; i++) {
    uint32_t pick = 0;
    switch (mode) {
    case 0:
      pick = k + i;
      break;
    case 1:
      pick = (k - i) & 7;
      break;
    case 2:
      pick = k;
      break;
    case 3:
      pick = umax(k, i);
      break;
    case 4:
      pick = umin(k, i);
      break;
    default:
      pick = (k & 1) * 2 + (i & 1);
      break;
    }
    selector |= (pick & 7) << (4 * i);
  }
  return permute(a, b, selector);
}
static inline int32_t byte_of(uint32_t x, int k, bool is_signed) {
  uint32_t byte = x >> (8 * k) & 0xFF;
  return is_signed ? (int8_t)byte : (int32_t)byte;
}
static uint32_t dot4(uint32_t a, uint32_t b, bool signed_a, bool signed_b) {
  int32_t sum = 0;
  for (int k = 0; k < 4; k++)
    sum += byte_of(a, k, signed_a) * byte_of(b, k, signed_b);
  return (uint32_t)sum;
}
static uint32_t dot2(uint32_t a, uint32_t b, bool signed_a, bool signed_b) {
  uint32_t sum = 0;
  for (int k = 0; k < 2; k++) {
    uint32_t half = a >> (16 * k) & 0xFFFF;
    int32_t value = signed_a ? (int16_t)half : (int32_t)half;
    sum += (uint32_t)(value * byte_of(b, k, signed_b));
  }
  return sum;
}
static uint32_t mask_bits(uint32_t from, uint32_t len) {
  uint64_t ones = (UINT64_C(1) << len) - 1;
  return (uint32_t)(ones << from);
}
static uint32_t size_extend(uint32_t a, uint32_t bits, bool is_signed) {
  if (bits == 0)
    return 0;
  if (bits >= 32)
    return a;
  uint32_t low = a & ((1u << bits) - 1);
  if (is_signed && low >> (bits - 1) & 1)
    low |= ~0u << bits;
  return low;
}

// --- the rows as functions ----------------------------------------------------------------------
#define GET16(T, plane) ((T)(plane)[i])
#define GET32(T, plane) ((T)(plane)[i])
#define GET64(T, plane) ((T)sim_get64((plane), i))
#define PUT16(D, x) D[i] = (uint16_t)(x)
#define PUT32(D, x) D[i] = (uint32_t)(x)
#define PUT64(D, x) sim_put64(D, i, (uint64_t)(x))
#define HEAD(op_, type)                                                                            \
  static void int_##op_##_##type(sim_warp *w, const sim_op *op, uint32_t mask) {                   \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a);
#define INT1(name, type, T, width, expr)                                                           \
  HEAD(name, type)                                                                                 \
  SIM_LANES_DO(mask, {                                                                             \
    T a = GET##width(T, A);                                                                        \
    PUT##width(D, expr);                                                                           \
  })                                                                                               \
  }
#define NARROW1(name, type, T, width, expr)                                                        \
  HEAD(name, type)                                                                                 \
  SIM_LANES_DO(mask, {                                                                             \
    T a = GET##width(T, A);                                                                        \
    D[i] = (expr);                                                                                 \
  })                                                                                               \
  }
#define INT2(name, type, T, width, expr)                                                           \
  HEAD(name, type) const uint32_t *B = sim_src(w, op->b);                                          \
  SIM_LANES_DO(mask, {                                                                             \
    T a = GET##width(T, A);                                                                        \
    T b = GET##width(T, B);                                                                        \
    PUT##width(D, expr);                                                                           \
  })                                                                                               \
  }
#define INT3(name, type, T, width, expr)                                                           \
  HEAD(name, type) const uint32_t *B = sim_src(w, op->b), *C = sim_src(w, op->c);                  \
  SIM_LANES_DO(mask, {                                                                             \
    T a = GET##width(T, A);                                                                        \
    T b = GET##width(T, B);                                                                        \
    T c = GET##width(T, C);                                                                        \
    PUT##width(D, expr);                                                                           \
  })                                                                                               \
  }
// clang-format off
#include "runtime/sim/int_ops.def"

static const struct { const char *key; sim_fn fn; } int_fns[] = {
#define ROW(name, type) {#name "_" #type, int_##name##_##type},
#define INT1(name, type, T, width, expr) ROW(name, type)
#define NARROW1(name, type, T, width, expr) ROW(name, type)
#define INT2(name, type, T, width, expr) ROW(name, type)
#define INT3(name, type, T, width, expr) ROW(name, type)
#include "runtime/sim/int_ops.def"
};
// clang-format on

sim_fn sim_int_fn(const char *key) {
  for (size_t i = 0; i < sizeof int_fns / sizeof *int_fns; i++)
    if (strcmp(int_fns[i].key, key) == 0)
      return int_fns[i].fn;
  return NULL;
}

// --- wide multiplies: 16 -> 32 and 32 -> 64 bits ------------------------------------------------
#define WIDE(type, T, R, PUT)                                                                      \
  static void mul_wide_##type(sim_warp *w, const sim_op *op, uint32_t mask) {                      \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);                                 \
    SIM_LANES_DO(mask, { PUT(D, (R)(T)A[i] * (R)(T)B[i]); })                                       \
  }                                                                                                \
  static void mad_wide_##type(sim_warp *w, const sim_op *op, uint32_t mask) {                      \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);         \
    if (sizeof(R) == 8) {                                                                          \
      SIM_LANES_DO(mask, { PUT(D, (uint64_t)((R)(T)A[i] * (R)(T)B[i]) + sim_get64(C, i)); })       \
    } else {                                                                                       \
      SIM_LANES_DO(mask, { PUT(D, (uint32_t)((R)(T)A[i] * (R)(T)B[i]) + C[i]); })                  \
    }                                                                                              \
  }
WIDE(u16, uint16_t, uint32_t, PUT32)
WIDE(s16, int16_t, int32_t, PUT32)
WIDE(u32, uint32_t, uint64_t, PUT64)
WIDE(s32, int32_t, int64_t, PUT64)

sim_fn sim_mul_wide_fn(ptx_type type, bool mad) {
  switch (type) {
  case PTX_U16:
    return mad ? mad_wide_u16 : mul_wide_u16;
  case PTX_S16:
    return mad ? mad_wide_s16 : mul_wide_s16;
  case PTX_U32:
    return mad ? mad_wide_u32 : mul_wide_u32;
  case PTX_S32:
    return mad ? mad_wide_s32 : mul_wide_s32;
  default:
    return NULL;
  }
}

// --- shifts: the amount is an unsigned 32-bit value, not masked ---------------------------------
#define SHIFT(name, T, width, over, expr)                                                          \
  static void name(sim_warp *w, const sim_op *op, uint32_t mask) {                                 \
    uint32_t *D = sim_dst(w, op->d);                                                               \
    const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);                                 \
    SIM_LANES_DO(mask, {                                                                           \
      T a = GET##width(T, A);                                                                      \
      uint32_t n = B[i];                                                                           \
      T r = n >= width ? (T)(over) : (T)(expr);                                                    \
      PUT##width(D, r);                                                                            \
    })                                                                                             \
  }
SHIFT(shl_16, uint16_t, 16, 0, (uint32_t)a << (n & 15))
SHIFT(shl_32, uint32_t, 32, 0, a << (n & 31))
SHIFT(shl_64, uint64_t, 64, 0, a << (n & 63))
SHIFT(shr_u16, uint16_t, 16, 0, a >> (n & 15))
SHIFT(shr_u32, uint32_t, 32, 0, a >> (n & 31))
SHIFT(shr_u64, uint64_t, 64, 0, a >> (n & 63))
SHIFT(shr_s16, int16_t, 16, a >> 15, a >> (n & 15))
SHIFT(shr_s32, int32_t, 32, a >> 31, a >> (n & 31))
SHIFT(shr_s64, int64_t, 64, a >> 63, a >> (n & 63))

sim_fn sim_shift_fn(bool left, ptx_type type) {
  bool arithmetic = !left && ptx_type_class(type) == PTX_CLASS_SINT;
  switch (ptx_type_bits(type)) {
  case 16:
    return left ? shl_16 : arithmetic ? shr_s16 : shr_u16;
  case 32:
    return left ? shl_32 : arithmetic ? shr_s32 : shr_u32;
  case 64:
    return left ? shl_64 : arithmetic ? shr_s64 : shr_u64;
  default:
    return NULL;
  }
}

// --- bit fields ---------------------------------------------------------------------------------
// The 32-bit forms use the low 8 bits of position and length, the 64-bit ones all bits (so the
// hardware; the manual says 8 for both).
static uint64_t extract(uint64_t a, uint32_t at, uint32_t len, int width, bool is_signed) {
  if (width == 32)
    at &= 0xFF, len &= 0xFF;
  if (len == 0)
    return 0;
  uint64_t top = a >> (width - 1) & 1, result = 0;
  uint64_t field = at < (uint32_t)width ? a >> at : 0;
  uint32_t have = at < (uint32_t)width ? (uint32_t)width - at : 0;
  if (have >= len) {
    result = len >= 64 ? field : field & ((UINT64_C(1) << len) - 1);
    top = at + len - 1 < (uint32_t)width ? a >> (at + len - 1) & 1 : top;
  } else {
    result = field;
    len = have;
  }
  if (is_signed && top && len < 64)
    result |= ~UINT64_C(0) << len;
  return result;
}
static void bfe_32(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  SIM_LANES_DO(mask, { D[i] = (uint32_t)extract(A[i], B[i], C[i], 32, op->sub); })
}
static void bfe_64(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  SIM_LANES_DO(mask, { sim_put64(D, i, extract(sim_get64(A, i), B[i], C[i], 64, op->sub)); })
}
sim_fn sim_bfe_fn(ptx_type type) { return ptx_type_bits(type) == 64 ? bfe_64 : bfe_32; }

static uint64_t insert(uint64_t a, uint64_t b, uint32_t at, uint32_t len, uint32_t width) {
  if (width == 32)
    at &= 0xFF, len &= 0xFF;
  if (len == 0 || at >= width)
    return b;
  if (len > width - at)
    len = width - at;
  uint64_t field = (len >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << len) - 1) << at;
  return (b & ~field) | (a << at & field);
}
// The fourth source's slot travels in imm.
static void bfi_32(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  const uint32_t *L = sim_src(w, (int32_t)op->imm);
  SIM_LANES_DO(mask, { D[i] = (uint32_t)insert(A[i], B[i], C[i], L[i], 32); })
}
static void bfi_64(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  const uint32_t *L = sim_src(w, (int32_t)op->imm);
  SIM_LANES_DO(mask, { sim_put64(D, i, insert(sim_get64(A, i), sim_get64(B, i), C[i], L[i], 64)); })
}
sim_fn sim_bfi_fn(ptx_type type) { return ptx_type_bits(type) == 64 ? bfi_64 : bfi_32; }

// --- lop3: the table as a sum of minterms -------------------------------------------------------
static inline uint32_t logic3(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t r = 0;
  for (int k = 0; k < 8; k++)
    if (table >> k & 1)
      r |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
  return r;
}
void sim_exec_lop3(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d), table = (uint32_t)op->imm & 0xFF;
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  uint32_t nonzero = 0;
  SIM_LANES_DO(mask, {
    uint32_t r = logic3(A[i], B[i], C[i], table);
    D[i] = r;
    nonzero |= (uint32_t)(r != 0) << i;
  })
  const sim_pred_list *preds = op->extra; // d|p and q of the predicate form
  if (!preds)
    return;
  uint32_t q = sim_pred(w, preds->source, preds->negated);
  sim_set_pred(w, preds->dest, mask, preds->op == 0 ? nonzero & q : nonzero | q);
}

// --- carries: one condition bit per lane
// ------------------------------------------------------------ sub: bit 0 subtract, bit 1 take the
// carry in, bit 2 write the carry out, bit 3 64 bits.
void sim_exec_carry(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  bool subtract = op->sub & 1, wide = op->sub & 8;
  for (uint32_t left = mask; left; left &= left - 1) {
    int i = __builtin_ctz(left);
    uint64_t a = wide ? sim_get64(A, i) : A[i], b = wide ? sim_get64(B, i) : B[i];
    uint32_t in = op->sub & 2 ? w->carry >> i & 1 : 0;
    unsigned __int128 sum =
        subtract ? (unsigned __int128)a - b - in : (unsigned __int128)a + b + in;
    uint32_t out = (uint32_t)(sum >> (wide ? 64 : 32)) & 1;
    if (wide)
      sim_put64(D, i, (uint64_t)sum);
    else
      D[i] = (uint32_t)sum;
    if (op->sub & 4)
      w->carry = (w->carry & ~(1u << i)) | out << i;
  }
}
// mad.cc, madc: sub as above, bit 4 the high half, bit 5 signed.
void sim_exec_madc(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t *D = sim_dst(w, op->d);
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b), *C = sim_src(w, op->c);
  bool wide = op->sub & 8, high = op->sub & 16, is_signed = op->sub & 32;
  for (uint32_t left = mask; left; left &= left - 1) {
    int i = __builtin_ctz(left);
    unsigned __int128 product, sum;
    if (wide) {
      uint64_t a = sim_get64(A, i), b = sim_get64(B, i);
      product = is_signed ? (unsigned __int128)((__int128)(int64_t)a * (int64_t)b)
                          : (unsigned __int128)a * b;
    } else {
      product =
          is_signed ? (uint64_t)((int64_t)(int32_t)A[i] * (int32_t)B[i]) : (uint64_t)A[i] * B[i];
    }
    int bits = wide ? 64 : 32;
    uint64_t part = (uint64_t)(high ? product >> bits : product);
    if (!wide)
      part = (uint32_t)part;
    sum = (unsigned __int128)part + (wide ? sim_get64(C, i) : C[i]);
    if (op->sub & 2)
      sum += w->carry >> i & 1;
    if (wide)
      sim_put64(D, i, (uint64_t)sum);
    else
      D[i] = (uint32_t)sum;
    if (op->sub & 4)
      w->carry = (w->carry & ~(1u << i)) | ((uint32_t)(sum >> bits) & 1) << i;
  }
}

// --- predicates
// ------------------------------------------------------------------------------------- d, a, b are
// predicates; sub: 0 and, 1 or, 2 xor, 3 move (not: a negated).
void sim_exec_pred(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint32_t a = sim_pred(w, op->a, op->flags & SIM_OPF_NOT_A);
  uint32_t b = sim_pred(w, op->b, op->flags & SIM_OPF_NOT_B);
  uint32_t r = op->sub == 0 ? a & b : op->sub == 1 ? a | b : op->sub == 2 ? a ^ b : a;
  sim_set_pred(w, op->d, mask, r);
}
