// The reference evaluator: operations along an axis whose order matters, and those by index.
#include "ir/eval_state.h"
#include <math.h>

// A tile seen as [outer, along, inner] around one axis.
typedef struct lines {
  int64_t outer, along, inner;
} lines;

static lines lines_of(const ty_type *tile, int axis) {
  lines at = {1, tile->dims[axis], 1};
  for (int d = 0; d < axis; d++)
    at.outer *= tile->dims[d];
  for (int d = axis + 1; d < tile->rank; d++)
    at.inner *= tile->dims[d];
  return at;
}

// --- scan ---------------------------------------------------------------------------------------

static cell start_of(const char *kind, tl_dtype type) {
  if (strcmp(kind, "sum") == 0)
    return (cell){0};
  bool lowest = strcmp(kind, "max") == 0;
  if (tl_is_float(type))
    return (cell){.f = lowest ? -INFINITY : INFINITY};
  int bits = tl_dtype_bits(type);
  uint64_t top = (uint64_t)1 << (bits - 1);
  if (tl_is_signed(type))
    return (cell){.i = eval_wrap(type, (int64_t)(lowest ? top : top - 1))};
  return (cell){.i = lowest ? 0 : eval_wrap(type, -1)};
}

static cell rounded(tl_dtype type, cell x) {
  if (tl_is_float(type))
    x.f = eval_round(type, x.f);
  else
    x.i = eval_wrap(type, x.i);
  return x;
}

bool eval_scan(eval *e, const ir_op *op) {
  const ty_type *tile = ir_type(e->func, op->args[0]);
  const char *kind = ir_str(op, "kind", "sum");
  bool reverse = ir_int(op, "reverse", 0), exclusive = ir_int(op, "exclusive", 0);
  lines at = lines_of(tile, (int)ir_int(op, "axis", 0));
  const cell *x = eval_cells(e, op->args[0]);
  cell *out = eval_cells(e, op->res[0]);
  for (int64_t line = 0; line < at.outer * at.inner; line++) {
    int64_t first = line / at.inner * at.along * at.inner + line % at.inner;
    cell acc = start_of(kind, tile->dtype);
    for (int64_t i = 0; i < at.along; i++) {
      int64_t here = first + (reverse ? at.along - 1 - i : i) * at.inner;
      cell before = acc, value = x[here];
      acc = eval_combine(op, kind, tile->dtype, acc, value);
      out[here] = rounded(tile->dtype, exclusive ? before : acc);
    }
  }
  return true;
}

// --- by index -----------------------------------------------------------------------------------

bool eval_take(eval *e, const ir_op *op) {
  const ty_type *from = ir_type(e->func, op->args[0]), *by = ir_type(e->func, op->args[1]);
  lines at = lines_of(from, (int)ir_int(op, "axis", 0));
  const cell *x = eval_cells(e, op->args[0]), *index = eval_cells(e, op->args[1]);
  cell *out = eval_cells(e, op->res[0]);
  bool each = by->rank == from->rank; // one index per element of the result
  int64_t count = !by->rank ? 1
                  : each    ? lines_of(by, (int)ir_int(op, "axis", 0)).along
                            : by->dims[0];
  for (int64_t o = 0; o < at.outer; o++)
    for (int64_t j = 0; j < count; j++)
      for (int64_t i = 0; i < at.inner; i++) {
        int64_t to = (o * count + j) * at.inner + i;
        int64_t where = index[each ? to : j].i;
        bool inside = where >= 0 && where < at.along;
        out[to] = inside ? x[(o * at.along + where) * at.inner + i] : (cell){0};
      }
  return true;
}

bool eval_histogram(eval *e, const ir_op *op) {
  int64_t bins = ir_type(e->func, op->res[0])->dims[0];
  int64_t count = ty_elems(ir_type(e->func, op->args[0]));
  const cell *x = eval_cells(e, op->args[0]);
  const cell *mask = op->nargs > 1 ? eval_cells(e, op->args[1]) : NULL;
  cell *out = eval_cells(e, op->res[0]);
  for (int64_t i = 0; i < bins; i++)
    out[i].i = 0;
  for (int64_t i = 0; i < count; i++)
    if ((!mask || mask[i].i) && x[i].i >= 0 && x[i].i < bins)
      out[x[i].i].i++;
  return true;
}
