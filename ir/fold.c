// Integers wrap to their width. Floats are computed in double and rounded once to their type: for
// + - * / of types up to f32 the second rounding is harmless, as double has more than twice their
// bits plus two (Figueroa, "When is double rounding innocuous?").
#include "ir/fold.h"
#include "lang/base/fp.h"
#include <math.h>

int64_t ir_wrap_int(tl_dtype dtype, int64_t value) {
  int bits = tl_dtype_bits(dtype);
  if (bits == 64)
    return value;
  uint64_t low = (uint64_t)value & (((uint64_t)1 << bits) - 1);
  if (bits > 1 && tl_is_signed(dtype) && low >> (bits - 1))
    low |= ~(uint64_t)0 << bits;
  return (int64_t)low;
}

static bool is_unsigned(tl_dtype dtype) { return dtype == TL_I1 || !tl_is_signed(dtype); }

// --- integers ----------------------------------------------------------------------------------

static int64_t quotient(tl_dtype type, int64_t x, int64_t y) {
  if (y == 0)
    return 0;
  if (is_unsigned(type))
    return (int64_t)((uint64_t)x / (uint64_t)y);
  return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
}

static int64_t remainder_of(tl_dtype type, int64_t x, int64_t y) {
  if (y == 0)
    return 0;
  if (is_unsigned(type))
    return (int64_t)((uint64_t)x % (uint64_t)y);
  return y == -1 ? 0 : x % y;
}

static bool int_less(tl_dtype type, int64_t x, int64_t y) {
  return is_unsigned(type) ? (uint64_t)x < (uint64_t)y : x < y;
}

// A count at or above the width shifts everything out; negative counts are huge ones.
static int64_t shifted_left(tl_dtype type, int64_t x, int64_t y) {
  bool out = y < 0 || y >= tl_dtype_bits(type);
  return out ? 0 : (int64_t)((uint64_t)x << y);
}

static int64_t shifted_right(tl_dtype type, int64_t x, int64_t y) {
  bool out = y < 0 || y >= tl_dtype_bits(type);
  if (is_unsigned(type))
    return out ? 0 : (int64_t)((uint64_t)x >> y);
  return x >> (out ? 63 : y);
}

static bool fold_int(ir_code code, tl_dtype type, int64_t x, int64_t y, int64_t *out) {
  uint64_t ux = (uint64_t)x, uy = (uint64_t)y;
  switch (code) {
  case IR_NEG:
    *out = (int64_t)(0 - ux);
    break;
  case IR_NOT:
    *out = (int64_t)~ux;
    break;
  case IR_ABS:
    *out = !is_unsigned(type) && x < 0 ? (int64_t)(0 - ux) : x;
    break;
  case IR_ADD:
    *out = (int64_t)(ux + uy);
    break;
  case IR_SUB:
    *out = (int64_t)(ux - uy);
    break;
  case IR_MUL:
    *out = (int64_t)(ux * uy);
    break;
  case IR_DIV:
    *out = quotient(type, x, y);
    break;
  case IR_REM:
    *out = remainder_of(type, x, y);
    break;
  case IR_MIN:
    *out = int_less(type, y, x) ? y : x;
    break;
  case IR_MAX:
    *out = int_less(type, x, y) ? y : x;
    break;
  case IR_AND:
    *out = x & y;
    break;
  case IR_OR:
    *out = x | y;
    break;
  case IR_XOR:
    *out = x ^ y;
    break;
  case IR_SHL:
    *out = shifted_left(type, x, y);
    break;
  case IR_SHR:
    *out = shifted_right(type, x, y);
    break;
  default:
    return false;
  }
  *out = ir_wrap_int(type, *out);
  return true;
}

// --- floats ------------------------------------------------------------------------------------

static double rounded(tl_dtype type, double value) {
  return tl_fp_decode(type, tl_fp_encode(type, value, TL_RN, false));
}

// PTX: the number wins over NaN unless .NaN is given; -0 is below +0.
static double extreme(double x, double y, bool nan_wins, bool max) {
  if (isnan(x) || isnan(y))
    return nan_wins || (isnan(x) && isnan(y)) ? NAN : isnan(x) ? y : x;
  if (x == y)
    return (signbit(x) != 0) == max ? y : x;
  return (x > y) == max ? x : y;
}

static bool fold_float(const ir_op *op, tl_dtype type, double x, double y, double *out) {
  switch (op->code) {
  case IR_NEG:
    *out = -x;
    return type != TL_UE8M0; // it has no sign
  case IR_ABS:
    *out = fabs(x);
    return true;
  case IR_ADD:
    *out = rounded(type, x + y);
    return true;
  case IR_SUB:
    *out = rounded(type, x - y);
    return true;
  case IR_MUL:
    *out = rounded(type, x * y);
    return true;
  case IR_DIV:
    *out = rounded(type, x / y);
    return true;
  case IR_MIN:
  case IR_MAX:
    *out = extreme(x, y, ir_int(op, "nan", 0) != 0, op->code == IR_MAX);
    return true;
  default:
    return false;
  }
}

static bool fold_fma(tl_dtype type, const ir_number *args, double *out) {
  if (type == TL_F64)
    *out = fma(args[0].f, args[1].f, args[2].f);
  else if (type == TL_F32)
    *out = fmaf((float)args[0].f, (float)args[1].f, (float)args[2].f);
  else
    return false; // a double result could be rounded twice to another value
  return true;
}

// --- comparisons and conversions ---------------------------------------------------------------

static bool holds(const char *pred, bool less, bool equal, bool ordered) {
  if (!strcmp(pred, "eq"))
    return equal;
  if (!strcmp(pred, "ne"))
    return !equal;
  if (!strcmp(pred, "lt"))
    return less;
  if (!strcmp(pred, "le"))
    return less || equal;
  if (!strcmp(pred, "gt"))
    return ordered && !less && !equal;
  return ordered && !less; // ge
}

static bool fold_cmp(const ir_op *op, tl_dtype type, const ir_number *args) {
  const char *pred = ir_str(op, "pred", "");
  if (tl_is_float(type))
    return holds(pred, args[0].f < args[1].f, args[0].f == args[1].f,
                 !isnan(args[0].f) && !isnan(args[1].f));
  return holds(pred, int_less(type, args[0].i, args[1].i), args[0].i == args[1].i, true);
}

static tl_round rounding_of(const ir_op *op) {
  const char *name = ir_str(op, "round", "rn");
  return !strcmp(name, "rz")   ? TL_RZ
         : !strcmp(name, "rm") ? TL_RM
         : !strcmp(name, "rp") ? TL_RP
                               : TL_RN;
}

static int64_t least(tl_dtype type) {
  return is_unsigned(type) ? 0 : (int64_t)((uint64_t)-1 << (tl_dtype_bits(type) - 1));
}

static uint64_t greatest(tl_dtype type) {
  int bits = tl_dtype_bits(type) - (is_unsigned(type) ? 0 : 1);
  return bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

static bool fold_float_to_int(tl_dtype to, double value, int64_t *out) {
  if (isnan(value)) // depends on the widths: PTX ISA 9.7.9.21
    return false;
  double whole = trunc(value);
  if (whole <= (double)least(to))
    *out = least(to);
  else if (whole >= (double)greatest(to))
    *out = (int64_t)greatest(to);
  else
    *out = whole < 0 ? (int64_t)whole : (int64_t)(uint64_t)whole;
  return true;
}

// Exactly, or not at all: a double cannot hold every 64-bit integer.
static bool exact_double(tl_dtype from, int64_t value, double *out) {
  bool negative = !is_unsigned(from) && value < 0;
  uint64_t size = negative ? 0 - (uint64_t)value : (uint64_t)value;
  if (size > (uint64_t)1 << 53)
    return false;
  *out = negative ? -(double)size : (double)size;
  return true;
}

static bool fold_cast(const ir_op *op, tl_dtype from, tl_dtype to, const ir_number *x,
                      ir_number *out) {
  bool sat = ir_int(op, "sat", 0) != 0;
  double value = x->f;
  if (to == TL_I1)
    return false;
  if (!tl_is_float(from) && !tl_is_float(to)) {
    out->i = ir_wrap_int(to, x->i); // sat concerns floats only
    return true;
  }
  if (!tl_is_float(to))
    return fold_float_to_int(to, value, &out->i);
  if (!tl_is_float(from) && !exact_double(from, x->i, &value))
    return false;
  out->f = tl_fp_decode(to, tl_fp_encode(to, value, rounding_of(op), sat));
  return true;
}

static uint64_t bits_of(tl_dtype type, const ir_number *x) {
  return tl_is_float(type) ? tl_fp_encode(type, x->f, TL_RN, false) : (uint64_t)x->i;
}

static bool fold_bitcast(tl_dtype from, tl_dtype to, const ir_number *x, ir_number *out) {
  if (tl_dtype_bits(from) != tl_dtype_bits(to) || (tl_is_float(from) && isnan(x->f)))
    return false; // NaN payloads are not kept
  uint64_t bits = bits_of(from, x) & (UINT64_MAX >> (64 - tl_dtype_bits(from)));
  if (!tl_is_float(to)) {
    out->i = ir_wrap_int(to, (int64_t)bits);
    return true;
  }
  out->f = tl_fp_decode(to, bits);
  return !isnan(out->f) && bits_of(to, out) == bits;
}

bool ir_fold(const ir_op *op, tl_dtype from, tl_dtype to, const ir_number *args, ir_number *out) {
  *out = (ir_number){0};
  switch (op->code) {
  case IR_CAST:
    return fold_cast(op, from, to, args, out);
  case IR_BITCAST:
    return fold_bitcast(from, to, args, out);
  case IR_CMP:
    out->i = fold_cmp(op, from, args);
    return true;
  case IR_FMA:
    return fold_fma(to, args, &out->f);
  case IR_SELECT:
    *out = args[0].i ? args[1] : args[2];
    return true;
  default:
    break;
  }
  const ir_number *y = op->nargs > 1 ? &args[1] : &args[0];
  if (tl_is_float(to))
    return fold_float(op, to, args[0].f, y->f, &out->f);
  return fold_int(op->code, to, args[0].i, y->i, &out->i);
}
