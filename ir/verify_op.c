// The rules of each operation: types, shapes, attributes. Rows follow lang/ops.def; a new operation
// breaks the switch until it has a rule.
#include "ir/verify.h"

typedef struct rule { // of one operation
  ir_verifier *v;
  const ir_op *op;
  const ty_type *arg[5]; // types of the first operands
  const ty_type *res;    // type of the first result
} rule;

// --- small checks: false after reporting -------------------------------------------------------

#define CHECK(cond, ...)                                                                           \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      ir_verify_fail(r->v, r->op, __VA_ARGS__);                                                    \
      return;                                                                                      \
    }                                                                                              \
  } while (0)

static const ty_type *type_of(const rule *r, uint32_t index) {
  return ir_type(r->v->func, r->op->args[index]);
}

static bool is(const ty_type *type, tl_dtype dtype) {
  return ty_is_scalar(type) && type->dtype == dtype;
}

static bool numeric(const ty_type *type) { return type->kind == TY_TILE; }

static bool is_float_tile(const ty_type *type) { return numeric(type) && tl_is_float(type->dtype); }

static bool is_int_tile(const ty_type *type) { return numeric(type) && tl_is_int(type->dtype); }

// Is `value` one of the words in "a|b|c"?
static bool one_of(const char *value, const char *words) {
  size_t len = strlen(value);
  for (const char *at = words; len && *at; at += strcspn(at, "|"), at += *at == '|')
    if (strcspn(at, "|") == len && !strncmp(at, value, len))
      return true;
  return false;
}

static bool attr_in(const rule *r, const char *name, const char *words) {
  return one_of(ir_str(r->op, name, ""), words);
}

static bool attr_is_int(const rule *r, const char *name, int64_t low, int64_t high) {
  const ir_attr *attr = ir_attr_find(r->op, name);
  return attr && attr->kind == IR_ATTR_INT && attr->i >= low && attr->i <= high;
}

// Dims of `from` without dim `axis`.
static bool dims_without(const ty_type *from, int axis, const ty_type *rest) {
  if (rest->rank != from->rank - 1)
    return false;
  for (int i = 0, j = 0; i < from->rank; i++)
    if (i != axis && from->dims[i] != rest->dims[j++])
      return false;
  return true;
}

// --- out of nothing ----------------------------------------------------------------------------

static void check_const(rule *r) {
  const ir_attr *value = ir_attr_find(r->op, "value");
  CHECK(ty_is_scalar(r->res), "a constant is a scalar");
  CHECK(value, "a constant needs a value");
  CHECK(value->kind == (tl_is_float(r->res->dtype) ? IR_ATTR_FLOAT : IR_ATTR_INT),
        "the value is of another kind than the type");
  int bits = tl_dtype_bits(r->res->dtype);
  if (value->kind != IR_ATTR_INT || bits == 64)
    return;
  int64_t low = bits > 1 && tl_is_signed(r->res->dtype) ? -((int64_t)1 << (bits - 1)) : 0;
  CHECK(value->i >= low && value->i < low + ((int64_t)1 << bits),
        "the value does not fit the type");
}

static void check_launch(rule *r) {
  CHECK(is(r->res, TL_I32), "the result is i32");
  CHECK(attr_is_int(r, "axis", 0, 2), "axis must be 0, 1 or 2");
}

static void check_advance(rule *r) {
  CHECK(r->arg[0]->kind == TY_PTR && r->res->kind == TY_PTR, "a pointer stays one");
  CHECK(is(r->arg[1], TL_I64), "the distance is i64");
}

static void check_tensor(rule *r) {
  CHECK(r->arg[0]->kind == TY_PTR && r->res->kind == TY_TENSOR, "needs a pointer, gives a tensor");
  CHECK(r->arg[0]->dtype == r->res->dtype, "pointer and tensor differ in their element");
  CHECK((int)r->op->nargs == 1 + 2 * r->res->rank, "a dim and a stride for each of %d dims",
        r->res->rank);
  for (int i = 0; i < r->res->rank; i++) {
    CHECK(is(type_of(r, 1 + (uint32_t)i), TL_I32), "dim %d is not i32", i);
    CHECK(is(type_of(r, (uint32_t)(1 + r->res->rank + i)), TL_I64), "stride %d is not i64", i);
  }
}

// --- elementwise -------------------------------------------------------------------------------

static void check_same(rule *r) {
  CHECK(numeric(r->res), "works on tiles and scalars");
  for (uint32_t i = 0; i < r->op->nargs; i++)
    CHECK(type_of(r, i) == r->res, "operand %u and result differ in type", i);
}

static void check_same_float(rule *r) {
  CHECK(is_float_tile(r->res), "works on floats");
  check_same(r);
}

static void check_same_int(rule *r) {
  CHECK(is_int_tile(r->res), "works on integers");
  check_same(r);
}

static void check_cast(rule *r) {
  CHECK(numeric(r->res) && ty_same_shape(r->arg[0], r->res), "shapes differ");
  CHECK(!ir_attr_find(r->op, "round") || attr_in(r, "round", "rn|rz|rm|rp"), "unknown rounding");
}

static void check_bitcast(rule *r) {
  const ty_type *from = r->arg[0], *to = r->res;
  CHECK(numeric(from) && numeric(to) && from->rank == to->rank, "works on tiles of one rank");
  int last = to->rank - 1;
  for (int i = 0; i < last; i++)
    CHECK(from->dims[i] == to->dims[i], "only the last dim may scale");
  int64_t from_bits = tl_dtype_bits(from->dtype) * (to->rank ? from->dims[last] : 1);
  int64_t to_bits = tl_dtype_bits(to->dtype) * (to->rank ? to->dims[last] : 1);
  CHECK(from_bits == to_bits, "%lld bits seen as %lld", (long long)from_bits, (long long)to_bits);
}

static void check_cmp(rule *r) {
  CHECK(numeric(r->arg[0]) && r->arg[0] == r->arg[1], "operands differ in type");
  CHECK(ty_same_shape(r->arg[0], r->res) && r->res->dtype == TL_I1,
        "the result is i1 of one shape");
  CHECK(attr_in(r, "pred", "eq|ne|lt|le|gt|ge"), "unknown predicate");
}

static void check_select(rule *r) {
  CHECK(numeric(r->res) && r->arg[1] == r->res && r->arg[2] == r->res, "choices differ in type");
  CHECK(r->arg[0]->dtype == TL_I1 && ty_same_shape(r->arg[0], r->res),
        "the condition is not i1 of the result's shape");
}

// --- shape -------------------------------------------------------------------------------------

static bool same_element(rule *r) {
  return numeric(r->arg[0]) && numeric(r->res) && r->arg[0]->dtype == r->res->dtype;
}

static void check_splat(rule *r) {
  CHECK(same_element(r) && r->arg[0]->rank == 0 && r->res->rank > 0, "scalar to tile of it");
}

static void check_iota(rule *r) {
  CHECK(is_int_tile(r->res) && r->res->rank == 1 && r->res->dtype != TL_I1,
        "an integer tile of rank 1");
}

static void check_broadcast(rule *r) {
  CHECK(same_element(r) && r->arg[0]->rank == r->res->rank && r->res->rank > 0,
        "element and rank stay");
  for (int i = 0; i < r->res->rank; i++)
    CHECK(r->arg[0]->dims[i] == r->res->dims[i] || r->arg[0]->dims[i] == 1,
          "dim %d is neither 1 nor the result's", i);
}

static void check_expand(rule *r) {
  CHECK(same_element(r) && attr_is_int(r, "axis", 0, r->res->rank - 1), "axis out of range");
  int axis = (int)ir_int(r->op, "axis", 0);
  CHECK(dims_without(r->res, axis, r->arg[0]) && r->res->dims[axis] == 1,
        "the result is the operand with a dim of 1");
}

static void check_reshape(rule *r) {
  CHECK(same_element(r) && ty_elems(r->arg[0]) == ty_elems(r->res), "element count changes");
}

static void check_permute(rule *r) {
  const ir_attr *order = ir_attr_find(r->op, "order");
  int rank = r->res->rank;
  CHECK(same_element(r) && r->arg[0]->rank == rank, "element and rank stay");
  CHECK(order && order->kind == IR_ATTR_INTS && order->nints == rank, "an order of %d dims", rank);
  unsigned used = 0;
  for (int i = 0; i < rank; i++) {
    int64_t from = order->ints[i];
    CHECK(from >= 0 && from < rank && !(used >> from & 1), "order is no permutation");
    used |= 1u << from;
    CHECK(r->res->dims[i] == r->arg[0]->dims[from], "dim %d does not follow the order", i);
  }
}

static void check_slice(rule *r) {
  const ir_attr *offsets = ir_attr_find(r->op, "offsets");
  int rank = r->res->rank;
  CHECK(same_element(r) && r->arg[0]->rank == rank, "element and rank stay");
  CHECK(offsets && offsets->kind == IR_ATTR_INTS && offsets->nints == rank, "%d offsets", rank);
  for (int i = 0; i < rank; i++)
    CHECK(offsets->ints[i] >= 0 && offsets->ints[i] <= r->arg[0]->dims[i] - r->res->dims[i],
          "dim %d leaves the tile", i);
}

static void check_reduce(rule *r) {
  const char *kind = ir_str(r->op, "kind", "");
  CHECK(one_of(kind, "sum|prod|max|min|any|all|argmax|argmin"), "unknown reduction");
  CHECK(numeric(r->arg[0]) && numeric(r->res), "works on tiles");
  CHECK(attr_is_int(r, "axis", 0, r->arg[0]->rank - 1), "axis out of range");
  CHECK(dims_without(r->arg[0], (int)ir_int(r->op, "axis", 0), r->res), "the axis is removed");
  CHECK(!ir_attr_find(r->op, "order") || attr_in(r, "order", "tree|sequential"), "unknown order");
  if (one_of(kind, "argmax|argmin"))
    CHECK(r->res->dtype == TL_I32, "the index is i32");
  else
    CHECK(r->res->dtype == r->arg[0]->dtype, "the element stays");
  if (one_of(kind, "any|all"))
    CHECK(r->res->dtype == TL_I1, "works on i1");
}

static void check_scan(rule *r) {
  CHECK(attr_in(r, "kind", "sum|max|min"), "unknown scan");
  CHECK(r->arg[0] == r->res && ty_is_tile(r->res) && r->res->dtype != TL_I1,
        "a tile of numbers stays what it is");
  CHECK(attr_is_int(r, "axis", 0, r->res->rank - 1), "axis out of range");
}

static void check_take(rule *r) {
  const ty_type *from = r->arg[0], *by = r->arg[1];
  CHECK(ty_is_tile(from) && numeric(r->res) && from->dtype == r->res->dtype,
        "elements of a tile stay what they are");
  CHECK(attr_is_int(r, "axis", 0, from->rank - 1), "axis out of range");
  CHECK(numeric(by) && by->dtype == TL_I32, "the index is i32");
  int axis = (int)ir_int(r->op, "axis", 0);
  if (by->rank == 0) {
    CHECK(dims_without(from, axis, r->res), "the axis is removed");
    return;
  }
  CHECK(by->rank == from->rank || by->rank == 1, "the index has rank 0, 1 or the tile's");
  CHECK(r->res->rank == from->rank, "the rank stays");
  for (int d = 0; d < from->rank; d++) {
    int64_t wanted = d == axis ? by->dims[by->rank == 1 ? 0 : axis] : from->dims[d];
    CHECK(r->res->dims[d] == wanted, "dim %d of the result is not %lld", d, (long long)wanted);
    CHECK(by->rank == 1 || by->dims[d] == wanted, "dim %d of the index is not the result's", d);
  }
}

static void check_histogram(rule *r) {
  CHECK(ty_is_tile(r->arg[0]) && r->arg[0]->dtype == TL_I32, "counts values of an i32 tile");
  CHECK(r->res->rank == 1 && r->res->dtype == TL_I32, "gives i32[n]");
  CHECK(r->op->nargs == 1 || (r->arg[1]->dtype == TL_I1 && ty_same_shape(r->arg[0], r->arg[1])),
        "the mask is not i1 of the tile's shape");
}

// --- tensor cores ------------------------------------------------------------------------------

static void check_product(rule *r, const ty_type *a, const ty_type *b, const ty_type *acc) {
  CHECK(numeric(a) && numeric(b) && a->rank == 2 && b->rank == 2, "operands are matrices");
  CHECK(a->dims[1] == b->dims[0], "inner dims %lld and %lld differ", (long long)a->dims[1],
        (long long)b->dims[0]);
  CHECK(numeric(acc) && acc->rank == 2 && acc->dims[0] == a->dims[0] && acc->dims[1] == b->dims[1],
        "the accumulator is not [M,N]");
  CHECK(acc == r->res, "accumulator and result differ in type");
  CHECK(tl_is_float(a->dtype) == tl_is_float(b->dtype) &&
            tl_is_float(a->dtype) == tl_is_float(acc->dtype),
        "floats and integers mixed");
}

static void check_dot(rule *r) {
  CHECK(!ir_attr_find(r->op, "promote") || attr_is_int(r, "promote", 0, INT32_MAX),
        "promote must not be negative");
  check_product(r, r->arg[0], r->arg[1], r->arg[2]);
}

static void check_dot_scaled(rule *r) {
  const ty_type *a = r->arg[0], *sa = r->arg[1], *b = r->arg[2], *sb = r->arg[3];
  CHECK(attr_is_int(r, "granularity", 1, INT32_MAX), "granularity must be positive");
  int before = r->v->failures;
  check_product(r, a, b, r->arg[4]);
  if (r->v->failures > before)
    return;
  int64_t size = ir_int(r->op, "granularity", 1), blocks = a->dims[1] / size;
  CHECK(a->dims[1] % size == 0, "granularity does not divide K");
  CHECK(is_float_tile(sa) && is_float_tile(sb), "scales are floats");
  CHECK(sa->rank >= 1 && sa->rank <= 2 && sa->dims[0] == a->dims[0] &&
            (sa->rank == 1 || sa->dims[1] == blocks),
        "sa is neither [M] nor [M,K/g]");
  CHECK(sb->rank >= 1 && sb->rank <= 2 && sb->dims[sb->rank - 1] == b->dims[1] &&
            (sb->rank == 1 || sb->dims[0] == blocks),
        "sb is neither [N] nor [K/g,N]");
}

// --- memory ------------------------------------------------------------------------------------

// The subscripts against the tensor and the tile's shape.
static bool subs_match(rule *r, const ir_access *access, const ty_type *tile) {
  int dim = 0;
  for (int i = 0; i < access->rank; i++) {
    const ty_type *sub = type_of(r, (uint32_t)(access->first_sub + i));
    char letter = access->subs[i];
    bool by_tile = letter == 'g' || letter == 'z';
    if (letter != 'r' && letter != 's' && !by_tile)
      return ir_verify_fail(r->v, r->op, "unknown subscript letter");
    if (letter == 'z' && (!i || !strchr("gz", access->subs[i - 1])))
      return ir_verify_fail(r->v, r->op, "subscript %d is in step with none", i);
    if (by_tile ? sub->kind != TY_TILE || sub->rank != 1 || sub->dtype != TL_I32 : !is(sub, TL_I32))
      return ir_verify_fail(r->v, r->op, "subscript %d is not %s", i,
                            by_tile ? "an i32 tile of rank 1" : "i32");
    if (letter == 's')
      continue;
    dim -= letter == 'z'; // the dim of the gather before it
    if (dim >= tile->rank || (by_tile && tile->dims[dim] != sub->dims[0]))
      return ir_verify_fail(r->v, r->op, "subscript %d does not match the tile", i);
    dim++;
  }
  return dim == tile->rank || ir_verify_fail(r->v, r->op, "subscripts give a tile of rank %d", dim);
}

static bool shaped_as(const rule *r, ir_val val, const ty_type *tile, tl_dtype dtype) {
  const ty_type *type = ir_type(r->v->func, val);
  return type->kind == TY_TILE && type->rank == tile->rank && type->dtype == dtype &&
         !memcmp(type->dims, tile->dims, sizeof tile->dims);
}

// tile: what is read or written; element and shape.
static void check_access(rule *r, const ty_type *tile) {
  ir_access access = ir_access_of(r->v->func, r->op);
  int extra = (ir_int(r->op, "mask", 0) != 0) + (ir_int(r->op, "other", 0) != 0);
  CHECK(r->op->code == IR_LOAD || !ir_int(r->op, "other", 0), "only a load has an other value");
  CHECK((int)r->op->nargs == access.first_sub + access.rank + extra,
        "operands do not match subs, mask and other");
  const ty_type *tensor = ir_type(r->v->func, access.tensor);
  CHECK(tensor->kind == TY_TENSOR && tensor->rank == access.rank, "subs do not match the tensor");
  CHECK(numeric(tile) && tensor->dtype == tile->dtype, "tensor and tile differ in their element");
  if (!subs_match(r, &access, tile))
    return;
  CHECK(!ir_some(access.mask) || shaped_as(r, access.mask, tile, TL_I1),
        "the mask is not i1 of the tile's shape");
  CHECK(!ir_some(access.other) || shaped_as(r, access.other, tile, tile->dtype),
        "the other value is not of the tile's type");
}

static void check_atomic(rule *r) {
  CHECK(attr_in(r, "kind", "add|max|min|and|or|xor|xchg|cas"), "unknown atomic");
  CHECK(!ir_attr_find(r->op, "sem") || attr_in(r, "sem", "relaxed|acquire|release|acq_rel"),
        "unknown memory order");
  CHECK(!ir_attr_find(r->op, "scope") || attr_in(r, "scope", "cta|cluster|gpu|sys"),
        "unknown scope");
  CHECK(r->arg[1] == r->res, "value and old value differ in type");
  ir_access access = ir_access_of(r->v->func, r->op);
  CHECK(!ir_some(access.compare) || ir_type(r->v->func, access.compare) == r->res,
        "the value compared with differs in type");
  check_access(r, r->res);
}

// --- control -----------------------------------------------------------------------------------

// The values of `op` from `first` on have the types of `wanted`.
static bool types_match(rule *r, const char *what, const ir_val *have, uint32_t nhave,
                        const ir_val *wanted, uint32_t nwanted) {
  if (nhave != nwanted)
    return ir_verify_fail(r->v, r->op, "%s: %u values instead of %u", what, nhave, nwanted);
  for (uint32_t i = 0; i < nhave; i++)
    if (ir_type(r->v->func, have[i]) != ir_type(r->v->func, wanted[i]))
      return ir_verify_fail(r->v, r->op, "%s: value %u has another type", what, i);
  return true;
}

static bool terminator_matches(rule *r, uint32_t region, const char *what, const ir_val *wanted,
                               uint32_t nwanted) {
  const ir_op *last = r->op->regions[region]->last;
  uint32_t skip = last && last->code == IR_CONDITION ? 1 : 0;
  if (!last || last->nargs < skip)
    return true; // reported by the walk
  return types_match(r, what, skip ? last->args + 1 : last->args, last->nargs - skip, wanted,
                     nwanted);
}

static void check_for(rule *r) {
  const ir_op *op = r->op;
  const ir_region *body = op->regions[0];
  CHECK(is(r->arg[0], TL_I32) || is(r->arg[0], TL_I64), "bounds are i32 or i64");
  CHECK(r->arg[0] == r->arg[1] && r->arg[0] == r->arg[2], "bounds differ in type");
  CHECK(body->nparams >= 1 && ir_type(r->v->func, body->params[0]) == r->arg[0],
        "the body's first parameter is the induction variable");
  (void)(types_match(r, "results", op->res, op->nres, op->args + 3, op->nargs - 3) &&
         types_match(r, "carried", body->params + 1, body->nparams - 1, op->res, op->nres) &&
         terminator_matches(r, 0, "yield", op->res, op->nres));
}

static void check_while(rule *r) {
  const ir_op *op = r->op;
  const ir_region *test = op->regions[0], *body = op->regions[1];
  (void)(types_match(r, "test parameters", test->params, test->nparams, op->args, op->nargs) &&
         terminator_matches(r, 0, "condition", op->res, op->nres) &&
         types_match(r, "body parameters", body->params, body->nparams, op->res, op->nres) &&
         terminator_matches(r, 1, "yield", op->args, op->nargs));
}

static void check_if(rule *r) {
  const ir_op *op = r->op;
  CHECK(is(r->arg[0], TL_I1), "the condition is a scalar i1");
  CHECK(!op->regions[0]->nparams && !op->regions[1]->nparams, "branches take no parameters");
  (void)(terminator_matches(r, 0, "yield", op->res, op->nres) &&
         terminator_matches(r, 1, "yield", op->res, op->nres));
}

static void check_role(rule *r) {
  CHECK(ir_attr_find(r->op, "name") && attr_is_int(r, "warps", 1, 32), "needs a name and warps");
  CHECK(!r->op->regions[0]->nparams, "a role takes no parameters");
  terminator_matches(r, 0, "yield", NULL, 0);
}

// --- sir ---------------------------------------------------------------------------------------

static void check_convert(rule *r) {
  CHECK(r->arg[0] == r->res && ty_is_tile(r->res), "a tile stays what it is");
  CHECK(!ir_attr_find(r->op, "via") || attr_in(r, "via", "reg|shuffle|shared"), "unknown way");
}

static void check_channel(rule *r) {
  CHECK(r->res->kind == TY_CHAN, "gives a channel");
  CHECK(attr_is_int(r, "depth", 1, 64), "depth must be 1 to 64");
  for (uint32_t i = 0; i < r->op->nargs; i++) {
    const ty_type *buf = type_of(r, i);
    CHECK(buf->kind == TY_BUF && buf->rank >= 1 && buf->dims[0] == ir_int(r->op, "depth", 0),
          "payload %u is not a buffer with one stage per slot", i);
  }
}

static void check_chan_user(rule *r) { CHECK(r->arg[0]->kind == TY_CHAN, "needs a channel"); }

// The tile that field {field} of the channel holds in one slot; NULL after reporting.
static const ty_type *field_tile(rule *r) {
  const ir_op *channel = ir_def(r->v->func, r->op->args[0]);
  int64_t field = ir_int(r->op, "field", -1);
  if (r->arg[0]->kind != TY_CHAN || !channel || channel->code != IR_CHANNEL) {
    ir_verify_fail(r->v, r->op, "needs a channel");
    return NULL;
  }
  if (field < 0 || field >= channel->nargs) {
    ir_verify_fail(r->v, r->op, "field out of range");
    return NULL;
  }
  const ty_type *buf = ir_type(r->v->func, channel->args[field]);
  if (buf->kind != TY_BUF || buf->rank < 1) {
    ir_verify_fail(r->v, r->op, "field is no staged buffer");
    return NULL;
  }
  return ty_tile(&r->v->func->module->types, buf->dtype, buf->rank - 1, buf->dims + 1);
}

static void check_copy(rule *r) {
  const ty_type *tile = field_tile(r);
  if (tile)
    check_access(r, tile);
}

// Does `part` lie within M x N from {row, col} on?
static bool part_fits(rule *r, const ty_type *part, int64_t m, int64_t n) {
  int64_t row = ir_int(r->op, "row", 0), col = ir_int(r->op, "col", 0);
  return row >= 0 && col >= 0 && row + part->dims[0] <= m && col + part->dims[1] <= n;
}

// M in steps of one warpgroup's 64 rows, N in steps of 8.
static void check_wgmma(rule *r) {
  ir_wgmma w = ir_wgmma_of(r->v->func, r->op);
  CHECK(w.type_a && w.type_b, "a and b must be two-dimensional fields of channels, or a a tile");
  CHECK(w.type_a->rank == 2, "a must be a tile of rank 2");
  CHECK(ty_is_tile(r->res) && r->res->rank == 2, "gives a tile of rank 2");
  CHECK(!w.b_by_k || tl_dtype_bits(w.type_b->dtype) == 16, "b has K innermost unless of 16 bits");
  int64_t n = w.type_b->dims[w.b_by_k ? 1 : 0], k = w.type_b->dims[w.b_by_k ? 0 : 1];
  CHECK(w.type_a->dims[1] == k, "the operands' K differ");
  CHECK(part_fits(r, r->res, w.type_a->dims[0], n),
        "the result is no part of the product of the operands");
  CHECK(r->res->dims[0] % 64 == 0 && r->res->dims[1] % 8 == 0 && r->res->dims[1] <= 256,
        "M must be a multiple of 64, N a multiple of 8 up to 256");
  CHECK(!ir_some(w.acc) || ir_type(r->v->func, w.acc) == r->res,
        "accumulator and result differ in type");
}

static void check_fill(rule *r) {
  const ty_type *tile = field_tile(r);
  CHECK(!tile || tile == r->arg[1], "the value is not the field's tile");
}

static void check_promote(rule *r) {
  const ty_type *acc = r->arg[0], *part = r->arg[1];
  CHECK(ty_is_tile(acc) && acc == r->res && acc->rank == 2, "gives back the accumulator");
  CHECK(ty_is_tile(part) && part->rank == 2 && part->dtype == acc->dtype,
        "the part is no tile of the accumulator's type");
  CHECK(part_fits(r, part, acc->dims[0], acc->dims[1]), "the part is outside the accumulator");
  CHECK(r->op->nargs == 2 || r->arg[2] == acc, "scale and accumulator differ in type");
}

static void check_cluster_sum(rule *r) {
  int cluster = r->v->func->cluster;
  CHECK(cluster > 1, "the function has no cluster");
  CHECK(ty_is_tile(r->res) && r->arg[0]->rank == r->res->rank && r->arg[0]->dtype == r->res->dtype,
        "adds tiles of one type");
  CHECK(r->arg[0]->dims[0] == r->res->dims[0] * cluster, "each CTA has an equal part of the rows");
}

static void check_read(rule *r) {
  const ty_type *tile = field_tile(r);
  int64_t run = ir_int(r->op, "run", 1);
  CHECK(!tile || tile == r->res ||
            (run > 1 && tile->rank == 1 && r->res->rank == 1 && tile->dtype == r->res->dtype &&
             r->res->dims[0] <= tile->dims[0] * run),
        "the result is not the field's tile");
}

// --- dispatch ----------------------------------------------------------------------------------

static void check(rule *r) {
  switch (r->op->code) {
  case IR_CONST:
    return check_const(r);
  case IR_BID:
  case IR_NBLOCKS:
    return check_launch(r);
  case IR_SPLAT:
    return check_splat(r);
  case IR_IOTA:
    return check_iota(r);
  case IR_ADVANCE:
    return check_advance(r);
  case IR_TENSOR:
    return check_tensor(r);
  case IR_NEG:
  case IR_ABS:
  case IR_ADD:
  case IR_SUB:
  case IR_MUL:
  case IR_DIV:
  case IR_MIN:
  case IR_MAX:
    return check_same(r);
  case IR_EXP2:
  case IR_LOG2:
  case IR_SQRT:
  case IR_RSQRT:
  case IR_RCP:
  case IR_TANH:
  case IR_SIN:
  case IR_COS:
  case IR_FMA:
    return check_same_float(r);
  case IR_NOT:
  case IR_REM:
  case IR_AND:
  case IR_OR:
  case IR_XOR:
  case IR_SHL:
  case IR_SHR:
    return check_same_int(r);
  case IR_CAST:
    return check_cast(r);
  case IR_BITCAST:
    return check_bitcast(r);
  case IR_CMP:
    return check_cmp(r);
  case IR_SELECT:
    return check_select(r);
  case IR_BROADCAST:
    return check_broadcast(r);
  case IR_EXPAND:
    return check_expand(r);
  case IR_RESHAPE:
    return check_reshape(r);
  case IR_PERMUTE:
    return check_permute(r);
  case IR_SLICE:
    return check_slice(r);
  case IR_REDUCE:
    return check_reduce(r);
  case IR_SCAN:
    return check_scan(r);
  case IR_TAKE:
    return check_take(r);
  case IR_HISTOGRAM:
    return check_histogram(r);
  case IR_DOT:
    return check_dot(r);
  case IR_DOT_SCALED:
    return check_dot_scaled(r);
  case IR_LOAD:
    return check_access(r, r->res);
  case IR_STORE:
    return check_access(r, r->arg[1]);
  case IR_ATOMIC:
    return check_atomic(r);
  case IR_PRINT:
    CHECK(ir_attr_find(r->op, "fmt"), "needs a format");
    return;
  case IR_ASSERT:
  case IR_ASSUME:
    CHECK(numeric(r->arg[0]) && r->arg[0]->dtype == TL_I1, "works on i1");
    return;
  case IR_FOR:
    return check_for(r);
  case IR_WHILE:
    return check_while(r);
  case IR_IF:
    return check_if(r);
  case IR_YIELD:
  case IR_RETURN:
    return; // checked with the operation that owns the region
  case IR_CONDITION:
    CHECK(is(r->arg[0], TL_I1), "the condition is a scalar i1");
    return;
  case IR_CONVERT:
    return check_convert(r);
  case IR_BUFFER:
    CHECK(r->res->kind == TY_BUF, "gives a buffer");
    return;
  case IR_CHANNEL:
    return check_channel(r);
  case IR_ACQUIRE:
  case IR_COMMIT:
  case IR_WAIT:
  case IR_RELEASE:
    return check_chan_user(r);
  case IR_COPY:
    return check_copy(r);
  case IR_FILL:
    return check_fill(r);
  case IR_READ:
    return check_read(r);
  case IR_WGMMA:
    return check_wgmma(r);
  case IR_DRAIN:
    CHECK(r->arg[0] == r->res && ty_is_tile(r->res), "gives back the tile it waits for");
    return;
  case IR_PROMOTE:
    return check_promote(r);
  case IR_CLUSTER_SUM:
    return check_cluster_sum(r);
  case IR_ROLE:
    return check_role(r);
  case IR_CODE_COUNT:
    break;
  }
  ir_verify_fail(r->v, r->op, "no such operation");
}

void ir_verify_op(ir_verifier *v, const ir_op *op) {
  rule r = {.v = v, .op = op};
  for (uint32_t i = 0; i < op->nargs && i < 5; i++)
    r.arg[i] = ir_type(v->func, op->args[i]);
  if (op->nres)
    r.res = ir_type(v->func, op->res[0]);
  check(&r);
}

void ir_verify_layouts(ir_verifier *v, const ir_op *op) {
  bool elementwise = op->code >= IR_NEG && op->code <= IR_SELECT; // ORDER ops.def
  if (!elementwise || !ty_is_tile(ir_type(v->func, op->res[0])))
    return;
  const ir_val_info *res = ir_info_of(v->func, op->res[0]);
  for (uint32_t i = 0; i < op->nargs; i++) {
    const ir_val_info *arg = ir_info_of(v->func, op->args[i]);
    if (arg->layout != res->layout && ty_same_shape(arg->type, res->type))
      ir_verify_fail(v, op, "operand %u and result differ in layout", i);
  }
}
