// What the facts say about an access: the alignment of its rows, and whether it can leave the
// tensor.
#include "ir/facts.h"
#include <stdio.h>

enum { MAX_ALIGN_BYTES = 128 };

// --- alignment ---------------------------------------------------------------------------------

static int64_t low_bit(int64_t value) { return value ? value & -value : (int64_t)1 << 62; }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Product of two powers of two, far from overflow.
static int64_t scaled(int64_t a, int64_t b) {
  return a > ((int64_t)1 << 30) || b > ((int64_t)1 << 30) ? (int64_t)1 << 60 : a * b;
}

static int64_t base_align(const ir_facts *facts, ir_val ptr) {
  const ir_func *func = facts->func;
  const ir_op *def = ir_def(func, ptr);
  if (def && def->code == IR_ADVANCE)
    return smaller(base_align(facts, def->args[0]), low_bit(ir_fact_of(facts, def->args[1])->div));
  for (uint32_t i = 0; i < func->params.len; i++)
    if (ir_same(func->params.data[i].val, ptr))
      return low_bit(func->params.data[i].div);
  return 1;
}

// The tensor dim along which the rows of the tile run; -1 for a scalar.
static int row_dim(const ir_access *access) {
  for (int i = access->rank - 1; i >= 0; i--)
    if (access->subs[i] != 's')
      return i;
  return -1;
}

// Length of each tensor dim in the tile: 1 for a scalar subscript and for one in step.
static void lengths(const ir_func *func, const ir_op *op, const ir_access *access, int64_t *out) {
  const ty_type *tile;
  if (op->code == IR_COPY) {
    const ir_op *channel = ir_def(func, op->args[0]);
    tile = ir_type(func, channel->args[ir_int(op, "field", 0)]);
  } else {
    tile = ir_type(func, ir_some(access->value) ? access->value : op->res[0]);
  }
  int dim = tile->kind == TY_BUF ? 1 : 0; // behind the stages
  for (int i = 0; i < access->rank; i++)
    out[i] = strchr("sz", access->subs[i]) ? 1 : tile->dims[dim++];
}

// A power of two that divides every position taken in dim `i`: of the first element of each run for
// the dim of the rows, of all elements elsewhere.
static int64_t position_align(const ir_facts *facts, const ir_op *op, const ir_access *access,
                              int i, int64_t length, bool is_row) {
  const ir_fact *sub = ir_fact_of(facts, op->args[access->first_sub + i]);
  if (strchr("gz", access->subs[i]))
    return low_bit(is_row ? sub->run_div : sub->div);
  if (access->subs[i] == 's' || is_row || length == 1)
    return low_bit(sub->div);
  return 1;
}

int64_t ir_access_align(const ir_facts *facts, const ir_op *op) {
  const ir_func *func = facts->func;
  ir_access access = ir_access_of(func, op);
  const ir_op *tensor = ir_def(func, access.tensor);
  int64_t length[TY_MAX_RANK];
  if (!tensor || tensor->code != IR_TENSOR)
    return 1;
  int64_t bits = tl_dtype_bits(ir_type(func, access.tensor)->dtype);
  int64_t element = bits > 8 ? bits / 8 : 1;
  int64_t align = smaller(base_align(facts, tensor->args[0]), MAX_ALIGN_BYTES);
  int row = row_dim(&access);
  lengths(func, op, &access, length);
  for (int i = 0; i < access.rank; i++) {
    ir_val stride_val = tensor->args[1 + access.rank + i];
    const ir_fact *stride = ir_fact_of(facts, stride_val);
    if (i == row && !(stride->lo == 1 && stride->hi == 1))
      return element; // rows are not contiguous
    int64_t position = position_align(facts, op, &access, i, length[i], i == row);
    int64_t elems = scaled(position, low_bit(stride->div));
    align = smaller(align, scaled(elems, bits) / 8);
  }
  return align > element ? align : element;
}

// --- bounds ------------------------------------------------------------------------------------

static bool divides(int64_t c, const ir_fact *fact) { return c > 0 && fact->div % c == 0; }

// Is `val` the count of blocks of c in `dim`: dim / c, or ceildiv where c divides dim?
static bool is_block_count(const ir_facts *facts, ir_val val, ir_val dim, int64_t c) {
  const ir_func *func = facts->func;
  const ir_op *def = ir_def(func, val);
  int64_t amount, bias;
  if (!def || (def->code != IR_DIV && def->code != IR_SHR) ||
      !ir_is_const_int(func, def->args[1], &amount))
    return false;
  if (def->code == IR_SHR)
    amount = amount >= 0 && amount < 31 ? (int64_t)1 << amount : 0;
  if (amount != c)
    return false;
  if (ir_same(def->args[0], dim))
    return true;
  const ir_op *sum = ir_def(func, def->args[0]);
  return sum && sum->code == IR_ADD && ir_same(sum->args[0], dim) &&
         ir_is_const_int(func, sum->args[1], &bias) && bias == c - 1 &&
         divides(c, ir_fact_of(facts, dim));
}

// x * c (or x << log2 c): the factor, and x.
static bool is_scaled(const ir_func *func, ir_val val, ir_val *out_x, int64_t *out_c) {
  const ir_op *def = ir_def(func, val);
  if (!def || (def->code != IR_MUL && def->code != IR_SHL) ||
      !ir_is_const_int(func, def->args[1], out_c))
    return false;
  if (def->code == IR_SHL)
    *out_c = *out_c >= 0 && *out_c < 31 ? (int64_t)1 << *out_c : 0;
  *out_x = def->args[0];
  return *out_c > 0;
}

static const ir_op *loop_of(const ir_func *func, ir_val val) {
  const ir_region *region = ir_info_of(func, val)->region;
  bool is_counter =
      region && region->parent && region->parent->code == IR_FOR && ir_same(region->params[0], val);
  return is_counter ? region->parent : NULL;
}

// bid of a grid "ceildiv(NAME, c)" over this very dim, which c divides.
static bool is_block_of(const ir_facts *facts, ir_val x, ir_val dim, int64_t c) {
  const ir_func *func = facts->func;
  const ir_op *def = ir_def(func, x);
  if (!def || def->code != IR_BID || !divides(c, ir_fact_of(facts, dim)))
    return false;
  const char *grid = func->grid[ir_int(def, "axis", 0)];
  for (uint32_t i = 0; grid && i < func->params.len; i++) {
    const ir_param *param = &func->params.data[i];
    if (param->kind != IR_PARAM_DIM || !ir_same(param->val, dim))
      continue;
    size_t len = strlen(param->name);
    char tail[32];
    snprintf(tail, sizeof tail, ", %lld)", (long long)c);
    return tl_starts_with(grid, "ceildiv(") && !strncmp(grid + 8, param->name, len) &&
           !strcmp(grid + 8 + len, tail);
  }
  return false;
}

// Is start + length <= dim, start being >= 0? Either by ranges, or because start counts whole
// blocks of the very dim: the counter of a loop up to it, or a multiple of a counter up to its
// blocks.
static bool ends_inside(const ir_facts *facts, ir_val start, int64_t length, ir_val dim) {
  const ir_func *func = facts->func;
  const ir_fact *from = ir_fact_of(facts, start), *size = ir_fact_of(facts, dim);
  if (from->hi <= INT32_MAX && size->lo >= 0 && from->hi + length <= size->lo)
    return true;
  const ir_op *loop = loop_of(func, start);
  int64_t c;
  if (loop && ir_same(loop->args[1], dim) && ir_is_const_int(func, loop->args[2], &c))
    return length <= c && divides(c, ir_fact_of(facts, loop->args[0])) && divides(c, size);
  ir_val x;
  if (!is_scaled(func, start, &x, &c) || length > c)
    return false;
  loop = loop_of(func, x);
  return (loop && is_block_count(facts, loop->args[1], dim, c)) || is_block_of(facts, x, dim, c);
}

bool ir_access_in_bounds(const ir_facts *facts, const ir_op *op) {
  const ir_func *func = facts->func;
  ir_access access = ir_access_of(func, op);
  const ir_op *tensor = ir_def(func, access.tensor);
  int64_t length[TY_MAX_RANK];
  if (!tensor || tensor->code != IR_TENSOR)
    return false;
  lengths(func, op, &access, length);
  for (int i = 0; i < access.rank; i++) {
    ir_val sub = op->args[access.first_sub + i], dim = tensor->args[1 + i];
    int64_t extent = access.subs[i] == 'r' ? length[i] : 1;
    if (ir_fact_of(facts, sub)->lo < 0 || !ends_inside(facts, sub, extent, dim))
      return false;
  }
  return true;
}
