// The reference evaluator: tensors and their accesses, bounded by the declared shape and checked
// against the memory that really is behind it.
#include "ir/eval_state.h"
#include "lang/base/fp.h"
#include <math.h>

bool eval_tensor_op(eval *e, const ir_op *op) {
  eval_tensor t = e->tensors[op->args[0].id];
  t.rank = ir_type(e->func, op->res[0])->rank;
  for (int d = 0; d < t.rank; d++) {
    t.dims[d] = eval_cells(e, op->args[1 + d])->i;
    t.strides[d] = eval_cells(e, op->args[1 + t.rank + d])->i;
  }
  e->tensors[op->res[0].id] = t;
  return true;
}

bool eval_advance(eval *e, const ir_op *op) {
  eval_tensor t = e->tensors[op->args[0].id];
  t.offset += eval_cells(e, op->args[1])->i;
  t.dtype = ir_type(e->func, op->res[0])->dtype;
  e->tensors[op->res[0].id] = t;
  return true;
}

// --- one element of memory ---------------------------------------------------------------------

static bool in_memory(const eval_tensor *t, int64_t element) {
  int bits = tl_dtype_bits(t->dtype) < 8 && t->dtype == TL_I1 ? 8 : tl_dtype_bits(t->dtype);
  return element >= 0 && t->offset >= 0 &&
         t->offset * 8 + (element + 1) * bits <= (int64_t)t->base->bytes * 8;
}

static uint64_t read_bits(const eval_tensor *t, int64_t element) {
  const uint8_t *data = (const uint8_t *)t->base->data + t->offset;
  int bits = tl_dtype_bits(t->dtype);
  if (t->dtype == TL_I1)
    return data[element] & 1;
  if (bits == 4)
    return data[element / 2] >> (element % 2 * 4) & 15;
  uint64_t out = 0;
  memcpy(&out, data + element * (bits / 8), (size_t)bits / 8);
  return out;
}

static void write_bits(const eval_tensor *t, int64_t element, uint64_t value) {
  uint8_t *data = (uint8_t *)t->base->data + t->offset;
  int bits = tl_dtype_bits(t->dtype);
  if (t->dtype == TL_I1) {
    data[element] = (uint8_t)(value & 1);
  } else if (bits == 4) {
    int at = (int)(element % 2) * 4;
    data[element / 2] = (uint8_t)((data[element / 2] & ~(15 << at)) | (value & 15) << at);
  } else {
    memcpy(data + element * (bits / 8), &value, (size_t)bits / 8);
  }
}

static cell read_cell(const eval_tensor *t, int64_t element) {
  uint64_t bits = read_bits(t, element);
  if (tl_is_float(t->dtype))
    return (cell){.f = tl_fp_decode(t->dtype, bits)};
  return (cell){.i = eval_wrap(t->dtype, (int64_t)bits)};
}

static void write_cell(const eval_tensor *t, int64_t element, cell value) {
  uint64_t bits =
      tl_is_float(t->dtype) ? tl_fp_encode(t->dtype, value.f, TL_RN, false) : (uint64_t)value.i;
  write_bits(t, element, bits);
}

// --- accesses ----------------------------------------------------------------------------------

typedef struct walker {
  eval *e;
  const ir_op *op;
  ir_access access;
  const eval_tensor *tensor;
  const ty_type *tile; // shape of the access
} walker;

// Element offset of the tile's element `coords`; false when it lies outside the tensor.
static bool locate(const walker *w, const int64_t *coords, int64_t *out_element) {
  int dim = 0;
  int64_t element = 0;
  for (int d = 0; d < w->access.rank; d++) {
    const cell *sub = eval_cells(w->e, w->op->args[w->access.first_sub + d]);
    int64_t at = w->access.subs[d] == 's'   ? sub->i
                 : w->access.subs[d] == 'r' ? sub->i + coords[dim++]
                 : w->access.subs[d] == 'g' ? sub[coords[dim++]].i
                                            : sub[coords[dim - 1]].i;
    if (at < 0 || at >= w->tensor->dims[d])
      return false;
    element += at * w->tensor->strides[d];
  }
  *out_element = element;
  return true;
}

static double flush_f32(tl_dtype type, double x) {
  return type == TL_F32 && fabs(x) < 0x1p-126 ? copysign(0, x) : x;
}

// atom.global.add.f32 flushes subnormals on the way in and out (recorded on an H200).
static cell atomic_result(const walker *w, cell old, cell value, cell wanted) {
  const char *kind = ir_str(w->op, "kind", "add");
  tl_dtype type = w->tensor->dtype;
  cell out = value;
  bool is_float = tl_is_float(type);
  if (strcmp(kind, "xchg") == 0)
    return value;
  if (strcmp(kind, "cas") == 0)
    return (is_float ? old.f == wanted.f : old.i == wanted.i) ? value : old;
  if (strcmp(kind, "add") == 0 && is_float)
    out.f = flush_f32(type, eval_round(type, flush_f32(type, old.f) + flush_f32(type, value.f)));
  else if (strcmp(kind, "add") == 0)
    out.i = eval_wrap(type, (int64_t)((uint64_t)old.i + (uint64_t)value.i));
  else if (is_float)
    out.f = (strcmp(kind, "max") == 0) == (value.f > old.f) ? value.f : old.f;
  else if (strcmp(kind, "and") == 0)
    out.i = old.i & value.i;
  else if (strcmp(kind, "or") == 0)
    out.i = old.i | value.i;
  else if (strcmp(kind, "xor") == 0)
    out.i = old.i ^ value.i;
  else {
    bool below = tl_is_signed(type) ? value.i < old.i : (uint64_t)value.i < (uint64_t)old.i;
    out.i = (strcmp(kind, "min") == 0) == below ? value.i : old.i;
  }
  return out;
}

// `i` is the index within the tile; operands that are scalars are read at 0.
static cell operand(const walker *w, ir_val val, int64_t i) {
  return eval_cells(w->e, val)[ty_is_tile(ir_type(w->e->func, val)) ? i : 0];
}

static bool access_one(const walker *w, const int64_t *coords, int64_t i) {
  int64_t element = 0;
  bool inside = locate(w, coords, &element);
  if (ir_some(w->access.mask))
    inside = inside && operand(w, w->access.mask, i).i;
  if (inside && !in_memory(w->tensor, element))
    return eval_fail(w->e, w->op, "element offset %lld lies outside the %zu bytes of the tensor",
                     (long long)element, w->tensor->base->bytes);
  if (w->op->code == IR_LOAD) {
    cell fill = {0};
    if (ir_some(w->access.other))
      fill = operand(w, w->access.other, i);
    eval_cells(w->e, w->op->res[0])[i] = inside ? read_cell(w->tensor, element) : fill;
    return true;
  }
  cell value = operand(w, w->access.value, i);
  if (w->op->code == IR_STORE) {
    if (inside)
      write_cell(w->tensor, element, value);
    return true;
  }
  cell old = {0}, wanted = {0};
  if (inside) {
    old = read_cell(w->tensor, element);
    if (ir_some(w->access.compare))
      wanted = operand(w, w->access.compare, i);
    write_cell(w->tensor, element, atomic_result(w, old, value, wanted));
  }
  if (w->op->nres)
    eval_cells(w->e, w->op->res[0])[i] = old;
  return true;
}

bool eval_access(eval *e, const ir_op *op) {
  walker w = {.e = e, .op = op, .access = ir_access_of(e->func, op)};
  w.tensor = &e->tensors[w.access.tensor.id];
  w.tile = ir_type(e->func, op->code == IR_LOAD ? op->res[0] : w.access.value);
  int64_t count = ty_elems(w.tile);
  for (int64_t i = 0; i < count; i++) {
    int64_t coords[TY_MAX_RANK], rest = i;
    for (int d = w.tile->rank - 1; d >= 0; d--) {
      coords[d] = rest % w.tile->dims[d];
      rest /= w.tile->dims[d];
    }
    if (!access_one(&w, coords, i))
      return false;
  }
  return true;
}
