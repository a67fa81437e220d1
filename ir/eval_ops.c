// The reference evaluator: elementwise operations, shapes, reductions and tensor-core operations.
#include "ir/eval_state.h"
#include "lang/base/fp.h"
#include <math.h>
#include <stdlib.h>

// --- elementwise -------------------------------------------------------------------------------

static double flush(double value) { // ftz: f32 subnormals to signed zero
  return fabs(value) < 0x1p-126 ? copysign(0, value) : value;
}

static double unary_float(const ir_op *op, double x) {
  bool precise = ir_int(op, "precise", 0) != 0;
  double in = precise ? x : flush(x);
  switch (op->code) {
  case IR_NEG:
    return -x;
  case IR_ABS:
    return fabs(x);
  case IR_EXP2:
    return flush(exp2(in));
  case IR_LOG2:
    return log2(in);
  case IR_SQRT:
    return sqrt(in);
  case IR_RSQRT:
    return 1 / sqrt(in);
  case IR_RCP:
    return precise ? 1 / in : flush(1 / in);
  case IR_TANH:
    return tanh(x);
  case IR_SIN:
    return sin(in);
  case IR_COS:
    return cos(in);
  default:
    TL_UNREACHABLE("unary %s", ir_info(op->code)->name);
  }
}

static int64_t unary_int(const ir_op *op, tl_dtype type, int64_t x) {
  switch (op->code) {
  case IR_NEG:
    return (int64_t)(0 - (uint64_t)x);
  case IR_NOT:
    return type == TL_I1 ? !x : ~x;
  case IR_ABS:
    return x < 0 && tl_is_signed(type) ? (int64_t)(0 - (uint64_t)x) : x;
  default:
    TL_UNREACHABLE("unary %s", ir_info(op->code)->name);
  }
}

// The number wins over NaN unless {nan=1}; -0 is below +0.
static double pick_float(const ir_op *op, double x, double y, bool want_max) {
  if (isnan(x) || isnan(y)) {
    if (ir_int(op, "nan", 0))
      return NAN;
    return isnan(x) ? y : x;
  }
  if (x == y)
    return (signbit(x) != 0) == want_max ? y : x;
  return (x > y) == want_max ? x : y;
}

static double binary_float(const ir_op *op, double x, double y) {
  switch (op->code) {
  case IR_ADD:
    return x + y;
  case IR_SUB:
    return x - y;
  case IR_MUL:
    return x * y;
  case IR_DIV:
    return x / y;
  case IR_MIN:
    return pick_float(op, x, y, false);
  case IR_MAX:
    return pick_float(op, x, y, true);
  default:
    TL_UNREACHABLE("float %s", ir_info(op->code)->name);
  }
}

static int64_t divide(tl_dtype type, int64_t x, int64_t y, bool remainder) {
  if (!y)
    return 0;
  if (!tl_is_signed(type)) {
    uint64_t q = (uint64_t)x / (uint64_t)y, r = (uint64_t)x % (uint64_t)y;
    return (int64_t)(remainder ? r : q);
  }
  if (y == -1)
    return remainder ? 0 : (int64_t)(0 - (uint64_t)x);
  return remainder ? x % y : x / y;
}

static int64_t shift(const ir_op *op, tl_dtype type, int64_t x, int64_t y) {
  int bits = tl_dtype_bits(type);
  bool out = y < 0 || y >= bits;
  if (op->code == IR_SHL)
    return out ? 0 : (int64_t)((uint64_t)x << y);
  if (tl_is_signed(type))
    return x >> (out ? 63 : y);
  return out ? 0 : (int64_t)((uint64_t)x >> y);
}

static bool less(tl_dtype type, int64_t x, int64_t y) {
  return tl_is_signed(type) && type != TL_I1 ? x < y : (uint64_t)x < (uint64_t)y;
}

static int64_t binary_int(const ir_op *op, tl_dtype type, int64_t x, int64_t y) {
  switch (op->code) {
  case IR_ADD:
    return (int64_t)((uint64_t)x + (uint64_t)y);
  case IR_SUB:
    return (int64_t)((uint64_t)x - (uint64_t)y);
  case IR_MUL:
    return (int64_t)((uint64_t)x * (uint64_t)y);
  case IR_DIV:
    return divide(type, x, y, false);
  case IR_REM:
    return divide(type, x, y, true);
  case IR_MIN:
    return less(type, x, y) ? x : y;
  case IR_MAX:
    return less(type, x, y) ? y : x;
  case IR_AND:
    return x & y;
  case IR_OR:
    return x | y;
  case IR_XOR:
    return x ^ y;
  case IR_SHL:
  case IR_SHR:
    return shift(op, type, x, y);
  default:
    TL_UNREACHABLE("integer %s", ir_info(op->code)->name);
  }
}

static bool compare(const char *pred, int order, bool unordered) {
  if (unordered)
    return strcmp(pred, "ne") == 0;
  switch (pred[0]) {
  case 'e':
    return order == 0;
  case 'n':
    return order != 0;
  case 'l':
    return pred[1] == 't' ? order < 0 : order <= 0;
  default:
    return pred[1] == 't' ? order > 0 : order >= 0;
  }
}

static bool compare_cells(const char *pred, tl_dtype type, cell x, cell y) {
  if (tl_is_float(type))
    return compare(pred, (x.f > y.f) - (x.f < y.f), isnan(x.f) || isnan(y.f));
  return compare(pred, less(type, y.i, x.i) - less(type, x.i, y.i), false);
}

static tl_round round_by_name(const char *name) {
  if (strcmp(name, "rz") == 0)
    return TL_RZ;
  if (strcmp(name, "rm") == 0)
    return TL_RM;
  if (strcmp(name, "rp") == 0)
    return TL_RP;
  return TL_RN;
}

// Truncates and clamps; NaN gives 0.
static int64_t float_to_int(tl_dtype to, double x) {
  int bits = to == TL_I1 ? 1 : tl_dtype_bits(to);
  if (to == TL_I1)
    return x != 0;
  if (isnan(x))
    return 0;
  bool is_signed = tl_is_signed(to);
  double lo = is_signed ? -ldexp(1, bits - 1) : 0, hi = ldexp(1, is_signed ? bits - 1 : bits);
  if (x <= lo)
    return is_signed ? (int64_t)lo : 0;
  if (x >= hi)
    return bits == 64 ? (is_signed ? INT64_MAX : -1) : (int64_t)(hi - 1);
  return is_signed ? (int64_t)x : (int64_t)(uint64_t)x;
}

static double int_to_float(tl_dtype from, tl_dtype to, int64_t x, tl_round round) {
  bool is_unsigned = !tl_is_signed(from);
  if (to == TL_F32 && round == TL_RN)
    return is_unsigned ? (float)(uint64_t)x : (float)x;
  double exact = is_unsigned ? (double)(uint64_t)x : (double)x;
  return tl_fp_decode(to, tl_fp_encode(to, exact, round, false));
}

static cell cast_cell(const ir_op *op, tl_dtype from, tl_dtype to, cell x) {
  tl_round round = round_by_name(ir_str(op, "round", "rn"));
  cell out = {0};
  if (tl_is_float(from) && tl_is_float(to))
    out.f = tl_fp_decode(to, tl_fp_encode(to, x.f, round, ir_int(op, "sat", 0) != 0));
  else if (tl_is_float(from))
    out.i = float_to_int(to, x.f);
  else if (tl_is_float(to))
    out.f = int_to_float(from, to, from == TL_I1 ? x.i & 1 : x.i, round);
  else
    out.i = to == TL_I1 ? x.i != 0 : eval_wrap(to, from == TL_I1 ? x.i & 1 : x.i);
  return out;
}

static uint64_t bits_of(tl_dtype type, cell x) {
  return tl_is_float(type) ? tl_fp_encode(type, x.f, TL_RN, false) : (uint64_t)x.i;
}

static cell cell_of_bits(tl_dtype type, uint64_t bits) {
  cell out = {0};
  if (tl_is_float(type))
    out.f = tl_fp_decode(type, bits);
  else
    out.i = eval_wrap(type, (int64_t)bits);
  return out;
}

// The last dim scales with the widths: a dense little-endian byte image of the tile, read again.
static void bitcast(eval *e, const ir_op *op) {
  const ty_type *from = ir_type(e->func, op->args[0]), *to = ir_type(e->func, op->res[0]);
  const cell *x = eval_cells(e, op->args[0]);
  cell *out = eval_cells(e, op->res[0]);
  int from_bits = tl_dtype_bits(from->dtype), to_bits = tl_dtype_bits(to->dtype);
  int64_t count = ty_elems(to);
  for (int64_t i = 0; i < count; i++) {
    uint64_t bits = 0;
    for (int got = 0; got < to_bits;) {
      int64_t position = i * to_bits + got;
      int skip = (int)(position % from_bits), take = from_bits - skip;
      if (take > to_bits - got)
        take = to_bits - got;
      uint64_t mask = take == 64 ? ~(uint64_t)0 : ((uint64_t)1 << take) - 1;
      bits |= (bits_of(from->dtype, x[position / from_bits]) >> skip & mask) << got;
      got += take;
    }
    out[i] = cell_of_bits(to->dtype, bits);
  }
}

// x * y + z for operands of 16 bits, whose product is exact. Where the sum is not, its last bit is
// made odd, so that rounding once more gives what rounding the exact sum gives.
static double fuse_odd(double x, double y, double z) {
  double product = x * y, sum = product + z;
  double part = sum - product, lost = (product - (sum - part)) + (z - part);
  if (!isfinite(sum) || lost == 0 || (tl_bits_of_f64(sum) & 1))
    return sum;
  return nextafter(sum, lost > 0 ? INFINITY : -INFINITY);
}

static double fuse(tl_dtype type, double x, double y, double z) {
  if (type == TL_F32)
    return fmaf((float)x, (float)y, (float)z);
  return type == TL_F64 ? fma(x, y, z) : eval_round(type, fuse_odd(x, y, z));
}

static cell one(const ir_op *op, tl_dtype from, tl_dtype to, const cell *args) {
  cell out = {0};
  bool is_float = tl_is_float(from);
  switch (op->code) {
  case IR_CAST:
    return cast_cell(op, from, to, args[0]);
  case IR_CMP:
    out.i = compare_cells(ir_str(op, "pred", "eq"), from, args[0], args[1]);
    return out;
  case IR_SELECT:
    return args[0].i ? args[1] : args[2];
  case IR_FMA:
    if (is_float)
      out.f = fuse(to, args[0].f, args[1].f, args[2].f);
    else
      out.i =
          eval_wrap(to, (int64_t)((uint64_t)args[0].i * (uint64_t)args[1].i + (uint64_t)args[2].i));
    return out;
  default:
    break;
  }
  bool unary = ir_info(op->code)->max_args == 1;
  if (is_float)
    out.f =
        eval_round(to, unary ? unary_float(op, args[0].f) : binary_float(op, args[0].f, args[1].f));
  else
    out.i = eval_wrap(to, unary ? unary_int(op, from, args[0].i)
                                : binary_int(op, from, args[0].i, args[1].i));
  return out;
}

bool eval_elementwise(eval *e, const ir_op *op) {
  if (op->code == IR_BITCAST) {
    bitcast(e, op);
    return true;
  }
  const cell *x[3] = {0};
  for (uint32_t i = 0; i < op->nargs; i++)
    x[i] = eval_cells(e, op->args[i]);
  cell *out = eval_cells(e, op->res[0]);
  tl_dtype from = ir_type(e->func, op->args[0])->dtype;
  const ty_type *to = ir_type(e->func, op->res[0]);
  int64_t count = ty_elems(to);
  for (int64_t i = 0; i < count; i++) {
    cell args[3] = {{0}};
    for (uint32_t j = 0; j < op->nargs; j++)
      args[j] = x[j][i];
    out[i] = one(op, from, to->dtype, args);
  }
  return true;
}

// --- shape -------------------------------------------------------------------------------------

static void coords_of(const ty_type *type, int64_t index, int64_t *coords) {
  for (int d = type->rank - 1; d >= 0; d--) {
    coords[d] = index % type->dims[d];
    index /= type->dims[d];
  }
}

static int64_t index_of(const ty_type *type, const int64_t *coords) {
  int64_t index = 0;
  for (int d = 0; d < type->rank; d++)
    index = index * type->dims[d] + coords[d];
  return index;
}

// Index in the source of the element that stands at `coords` of the result.
static int64_t source_index(const ir_op *op, const ty_type *from, const int64_t *coords,
                            int64_t linear) {
  int64_t at[TY_MAX_RANK] = {0};
  switch (op->code) {
  case IR_SPLAT:
    return 0;
  case IR_RESHAPE:
  case IR_EXPAND:
    return linear;
  case IR_BROADCAST:
    for (int d = 0; d < from->rank; d++)
      at[d] = from->dims[d] == 1 ? 0 : coords[d];
    return index_of(from, at);
  case IR_PERMUTE:
    for (int d = 0; d < from->rank; d++)
      at[ir_attr_find(op, "order")->ints[d]] = coords[d];
    return index_of(from, at);
  case IR_SLICE:
    for (int d = 0; d < from->rank; d++)
      at[d] = coords[d] + ir_attr_find(op, "offsets")->ints[d];
    return index_of(from, at);
  default:
    TL_UNREACHABLE("shape %s", ir_info(op->code)->name);
  }
}

bool eval_shape(eval *e, const ir_op *op) {
  const ty_type *to = ir_type(e->func, op->res[0]);
  cell *out = eval_cells(e, op->res[0]);
  int64_t count = ty_elems(to), coords[TY_MAX_RANK];
  if (op->code == IR_IOTA) {
    for (int64_t i = 0; i < count; i++)
      out[i].i = eval_wrap(to->dtype, i);
    return true;
  }
  const ty_type *from = ir_type(e->func, op->args[0]);
  const cell *x = eval_cells(e, op->args[0]);
  for (int64_t i = 0; i < count; i++) {
    coords_of(to, i, coords);
    out[i] = x[source_index(op, from, coords, i)];
  }
  return true;
}

// --- reductions --------------------------------------------------------------------------------

typedef struct fold_state {
  const ir_op *op;
  const char *kind;
  tl_dtype type;
} fold_state;

static bool better(const fold_state *s, cell x, cell best) { // the number wins over NaN
  bool want_max = strstr(s->kind, "max") != NULL;
  if (tl_is_float(s->type))
    return (want_max ? x.f > best.f : x.f < best.f) || (isnan(best.f) && !isnan(x.f));
  return want_max ? less(s->type, best.i, x.i) : less(s->type, x.i, best.i);
}

static bool is_kind(const fold_state *s, const char *kind) { return strcmp(s->kind, kind) == 0; }

static cell combine(const fold_state *s, cell acc, cell x) {
  bool is_float = tl_is_float(s->type);
  if (is_kind(s, "sum"))
    return is_float ? (cell){.f = acc.f + x.f}
                    : (cell){.i = (int64_t)((uint64_t)acc.i + (uint64_t)x.i)};
  if (is_kind(s, "prod"))
    return is_float ? (cell){.f = acc.f * x.f}
                    : (cell){.i = (int64_t)((uint64_t)acc.i * (uint64_t)x.i)};
  if (is_kind(s, "any"))
    return (cell){.i = acc.i || x.i};
  if (is_kind(s, "all"))
    return (cell){.i = acc.i && x.i};
  if (is_float)
    return (cell){.f = pick_float(s->op, acc.f, x.f, is_kind(s, "max"))};
  return better(s, x, acc) ? x : acc;
}

cell eval_combine(const ir_op *op, const char *kind, tl_dtype type, cell acc, cell x) {
  fold_state s = {op, kind, type};
  return combine(&s, acc, x);
}

static bool is_arg(const char *kind) { return strncmp(kind, "arg", 3) == 0; }

// One result: `count` elements from `x`, `stride` cells apart. Sums of floats run in double and are
// rounded once, whatever the order; ties of argmax and argmin go to the lowest index.
static cell reduce_line(const fold_state *s, const cell *x, int64_t count, int64_t stride) {
  cell acc = x[0];
  int64_t where = 0;
  for (int64_t i = 1; i < count; i++) {
    if (!is_arg(s->kind))
      acc = combine(s, acc, x[i * stride]);
    else if (better(s, x[i * stride], acc))
      acc = x[i * stride], where = i;
  }
  if (is_arg(s->kind))
    return (cell){.i = where};
  if (tl_is_float(s->type))
    acc.f = eval_round(s->type, acc.f);
  else
    acc.i = eval_wrap(s->type, acc.i);
  return acc;
}

bool eval_reduce(eval *e, const ir_op *op) {
  const ty_type *from = ir_type(e->func, op->args[0]);
  int axis = (int)ir_int(op, "axis", 0);
  fold_state s = {op, ir_str(op, "kind", "sum"), from->dtype};
  int64_t inner = 1, outer = 1, count = from->dims[axis];
  for (int d = 0; d < axis; d++)
    outer *= from->dims[d];
  for (int d = axis + 1; d < from->rank; d++)
    inner *= from->dims[d];
  const cell *x = eval_cells(e, op->args[0]);
  cell *out = eval_cells(e, op->res[0]);
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++)
      out[o * inner + i] = reduce_line(&s, x + o * count * inner + i, count, inner);
  return true;
}

// --- dot ---------------------------------------------------------------------------------------

typedef struct dot_shape {
  int64_t m, n, k, block; // block: elements of K added to the accumulator at once
} dot_shape;

// b[K,N] as columns, so that both operands run along k.
static double *columns_of(const cell *b, int64_t k, int64_t n) {
  double *out = malloc(sizeof *out * (size_t)(k * n));
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < n; j++)
      out[j * k + i] = b[i * n + j].f;
  return out;
}

static double dot_range(const cell *a, const double *b, int64_t from, int64_t to) {
  double sum = 0;
  for (int64_t k = from; k < to; k++)
    sum += a[k].f * b[k];
  return sum;
}

static void dot_ints(eval *e, const ir_op *op, dot_shape s) {
  const cell *a = eval_cells(e, op->args[0]), *b = eval_cells(e, op->args[1]);
  const cell *acc = eval_cells(e, op->args[2]);
  cell *out = eval_cells(e, op->res[0]);
  for (int64_t i = 0; i < s.m; i++)
    for (int64_t j = 0; j < s.n; j++) {
      int64_t sum = acc[i * s.n + j].i;
      for (int64_t k = 0; k < s.k; k++)
        sum += a[i * s.k + k].i * b[k * s.n + j].i;
      out[i * s.n + j].i = eval_wrap(ir_type(e->func, op->res[0])->dtype, sum);
    }
}

// Scale of (row i, block) or (block, column j): scales are vectors or have one value per block.
static double scale_of(eval *e, ir_val scales, bool rows, int64_t index, int64_t block) {
  const ty_type *type = ir_type(e->func, scales);
  const cell *x = eval_cells(e, scales);
  if (type->rank == 1)
    return x[index].f;
  return rows ? x[index * type->dims[1] + block].f : x[block * type->dims[1] + index].f;
}

static void dot_floats(eval *e, const ir_op *op, dot_shape s) {
  bool scaled = op->code == IR_DOT_SCALED;
  tl_dtype type = ir_type(e->func, op->res[0])->dtype;
  const cell *a = eval_cells(e, op->args[0]);
  double *b = columns_of(eval_cells(e, op->args[scaled ? 2 : 1]), s.k, s.n);
  const cell *acc = eval_cells(e, op->args[scaled ? 4 : 2]);
  cell *out = eval_cells(e, op->res[0]);
  for (int64_t i = 0; i < s.m; i++)
    for (int64_t j = 0; j < s.n; j++) {
      double sum = acc[i * s.n + j].f;
      for (int64_t k = 0; k < s.k; k += s.block) {
        int64_t end = k + s.block < s.k ? k + s.block : s.k;
        double part = dot_range(a + i * s.k, b + j * s.k, k, end);
        if (scaled) {
          double sa = scale_of(e, op->args[1], true, i, k / s.block);
          double sb = scale_of(e, op->args[3], false, j, k / s.block);
          sum = fuse(type, eval_round(type, part), eval_round(type, sa * sb), sum);
        } else {
          sum = eval_round(type, sum + part);
        }
      }
      out[i * s.n + j].f = sum;
    }
  free(b);
}

bool eval_dot(eval *e, const ir_op *op) {
  const ty_type *a = ir_type(e->func, op->args[0]), *out = ir_type(e->func, op->res[0]);
  dot_shape s = {out->dims[0], out->dims[1], a->dims[1], a->dims[1]};
  int64_t block =
      op->code == IR_DOT_SCALED ? ir_int(op, "granularity", 0) : ir_int(op, "promote", 0);
  if (block > 0)
    s.block = block;
  if (tl_is_float(a->dtype))
    dot_floats(e, op, s);
  else
    dot_ints(e, op, s);
  return true;
}
