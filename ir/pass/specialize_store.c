// The store behind a split loop goes through shared memory and leaves by TMA, while the next tile
// is being multiplied: fragments written straight to global memory would be 16 bytes of a row each.
//
//   store %D, %tile, %m, %n {subs="rr"}
//     -> store %D, %tile, %m, %n {subs="rr", engine="tma", map=P, swizzle=W}
//
// The image holds 64 rows of each warpgroup in panels of W bytes, swizzled; of a transposed accumulator
// (pass swap; trans=1), whose warpgroups have 64 columns each, all rows of those in one panel. TMA clips rows
// anywhere, but columns in units of 16 bytes only: where the row length is not known to be a
// multiple of that, a branch on it keeps the plain store.
#include "ir/specialize.h"

enum { PANEL_ROWS = 64 };

static bool is_transposed(const split *s) { return ir_int(s->dot, "swapped", 0); }

static const char *refuse(const split *s, const ir_op *store) {
  ir_access access = ir_access_of(s->func, store);
  const ty_type *tile = ir_type(s->func, access.value);
  const ty_type *acc = ir_type(s->func, s->dot->res[0]);
  if (!ty_is_tile(tile) || tile->rank != 2 || tl_dtype_bits(tile->dtype) != 16)
    return "it stores no two-dimensional tile of 16-bit elements";
  int rows = is_transposed(s) ? 1 : 0;
  if (tile->dims[0] != acc->dims[rows] || tile->dims[1] != acc->dims[1 - rows])
    return "its tile is not the accumulator's";
  if (ir_some(access.mask) || strchr(access.subs, 'g') || access.subs[access.rank - 1] != 'r')
    return "it has a mask, gathers, or does not end with a range";
  const ir_op *tensor = ir_def(s->func, access.tensor);
  int64_t stride = 0;
  if (tensor->code != IR_TENSOR ||
      !ir_is_const_int(s->func, tensor->args[2 * access.rank], &stride) || stride != 1)
    return "rows are not contiguous";
  if (ir_access_align(s->facts, store) < 16)
    return "rows are not known to start at multiples of 16 bytes";
  if (tile->dims[1] % 16 != 0)
    return "its columns are no multiple of 16";
  return NULL;
}

typedef struct search {
  split *s;
  ir_op *store;
  const char *why;
} search;

static void visit(ir_op *op, void *user) {
  search *found = user;
  if (op->code != IR_STORE || found->store || ir_region_inside(op->parent, found->s->loop))
    return;
  const char *why = refuse(found->s, op);
  if (why)
    tl_report(found->s->ctx->diags, op->loc, DIAG_R203, why);
  else
    found->store = op;
}

void split_find_store(split *s) {
  search found = {.s = s};
  if (s->ctx->disabled & IR_NO_TMA_STORE)
    return;
  ir_walk(s->role->regions[0], visit, &found);
  s->store = found.store;
  if (!s->store)
    return;
  const ty_type *tile = ir_type(s->func, ir_access_of(s->func, s->store).value);
  s->image_bytes = ty_elems(tile) * 2;
}

static int panel_bytes(const ty_type *tile) {
  for (int width = 128; width > 32; width /= 2)
    if (tile->dims[1] * 2 % width == 0)
      return width;
  return 32;
}

// if (columns % 8 == 0) { store by TMA } else { store }
static void keep_plain(split *s, ir_op *store, ir_val columns) {
  ir_builder b = {s->func, store->parent, store, store->loc};
  ir_val rest = ir_binary(&b, IR_AND, columns, ir_const_int(&b, TL_I32, 7));
  ir_val whole = ir_cmp(&b, "eq", rest, ir_const_int(&b, TL_I32, 0));
  ir_op *branch = ir_build(&b, IR_IF, 1, &whole, 0, NULL);
  ir_builder otherwise = {s->func, branch->regions[1], NULL, store->loc};
  ir_map map;
  ir_map_init(s->func, &map);
  ir_clone(&otherwise, store, &map);
  ir_build(&otherwise, IR_YIELD, 0, NULL, 0, NULL);
  ir_unlink(store);
  ir_append(branch->regions[0], store);
  ir_builder then = {s->func, branch->regions[0], NULL, store->loc};
  ir_build(&then, IR_YIELD, 0, NULL, 0, NULL);
}

void split_stage_store(split *s) {
  if (!s->store)
    return;
  ir_op *store = s->store;
  ir_access access = ir_access_of(s->func, store);
  const ty_type *tile = ir_type(s->func, access.value);
  int swizzle = panel_bytes(tile);
  int64_t box[2] = {is_transposed(s) ? tile->dims[0] : PANEL_ROWS, swizzle / 2};
  int param = split_add_descriptor(s, &access, tile->dtype, box, swizzle);
  ir_val columns = ir_def(s->func, access.tensor)->args[access.rank];
  if (ir_fact_of(s->facts, columns)->div % 8 != 0)
    keep_plain(s, store, columns);
  ir_set_str(s->func, store, "engine", "tma");
  ir_set_int(s->func, store, "map", param);
  ir_set_int(s->func, store, "swizzle", swizzle);
  if (is_transposed(s))
    ir_set_int(s->func, store, "trans", 1);
  tl_report(s->ctx->diags, store->loc, DIAG_R204, (int)s->image_bytes, swizzle);
}
