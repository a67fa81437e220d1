// reduce: within the thread, then over lanes by butterfly, then over warps through shared scratch.
// The order depends on the layout alone, so equal variants give equal bits. f16 and bf16 sums and
// products are carried in f32.
#include "codegen/ll/emit.h"

typedef enum kind { SUM, PROD, MAX, MIN, ANY, ALL, ARGMAX, ARGMIN } kind;

typedef struct part { // a partial result; index for argmax and argmin only
  ll_v value, index;
} part;

typedef struct reduction {
  const ir_op *op;
  kind kind;
  int axis;
  tl_dtype dtype, carried; // of the source; of partial results
  const ir_layout *from;
  ir_layout to; // without the axis
  bool sequential;
} reduction;

static kind kind_of(const char *name) {
  static const char *const names[] = {"sum", "prod", "max",    "min",
                                      "any", "all",  "argmax", "argmin"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(names[i], name))
      return (kind)i;
  TL_UNREACHABLE("reduction '%s'", name);
}

static bool has_index(const reduction *r) { return r->kind == ARGMAX || r->kind == ARGMIN; }

static part combine_index(ll_ctx *c, const reduction *r, part x, part y) {
  bool most = r->kind == ARGMAX, is_float = tl_is_float(r->carried);
  bool is_signed = tl_is_signed(r->carried);
  ll_v better, equal = NULL;
  if (is_float) {
    better = LLVMBuildFCmp(c->b, most ? LLVMRealOGT : LLVMRealOLT, y.value, x.value, "");
    ll_v x_nan = LLVMBuildFCmp(c->b, LLVMRealUNO, x.value, x.value, "");
    ll_v y_nan = LLVMBuildFCmp(c->b, LLVMRealUNO, y.value, y.value, "");
    ll_v y_number = LLVMBuildNot(c->b, y_nan, "");
    better = LLVMBuildOr(c->b, better, LLVMBuildAnd(c->b, x_nan, y_number, ""), "");
    // Every lane must come to the same index, hence two NaNs are a tie.
    equal = LLVMBuildFCmp(c->b, LLVMRealOEQ, y.value, x.value, "");
    equal = LLVMBuildOr(c->b, equal, LLVMBuildAnd(c->b, x_nan, y_nan, ""), "");
  } else {
    LLVMIntPredicate pred =
        most ? (is_signed ? LLVMIntSGT : LLVMIntUGT) : (is_signed ? LLVMIntSLT : LLVMIntULT);
    better = LLVMBuildICmp(c->b, pred, y.value, x.value, "");
    equal = LLVMBuildICmp(c->b, LLVMIntEQ, y.value, x.value, "");
  }
  ll_v lower = LLVMBuildICmp(c->b, LLVMIntSLT, y.index, x.index, "");
  ll_v take = LLVMBuildOr(c->b, better, LLVMBuildAnd(c->b, equal, lower, ""), "");
  return (part){LLVMBuildSelect(c->b, take, y.value, x.value, ""),
                LLVMBuildSelect(c->b, take, y.index, x.index, "")};
}

static part combine(ll_ctx *c, const reduction *r, part x, part y) {
  bool is_float = tl_is_float(r->carried);
  switch (r->kind) {
  case SUM:
    return (part){is_float ? LLVMBuildFAdd(c->b, x.value, y.value, "")
                           : LLVMBuildAdd(c->b, x.value, y.value, ""),
                  NULL};
  case PROD:
    return (part){is_float ? LLVMBuildFMul(c->b, x.value, y.value, "")
                           : LLVMBuildMul(c->b, x.value, y.value, ""),
                  NULL};
  case MAX:
    return (part){ll_min_max(c, IR_MAX, r->carried, x.value, y.value, false), NULL};
  case MIN:
    return (part){ll_min_max(c, IR_MIN, r->carried, x.value, y.value, false), NULL};
  case ANY:
    return (part){LLVMBuildOr(c->b, x.value, y.value, ""), NULL};
  case ALL:
    return (part){LLVMBuildAnd(c->b, x.value, y.value, ""), NULL};
  case ARGMAX:
  case ARGMIN:
    break;
  }
  return combine_index(c, r, x, y);
}

static part combine_all(ll_ctx *c, const reduction *r, part *parts, int count) {
  if (r->sequential) {
    for (int i = 1; i < count; i++)
      parts[0] = combine(c, r, parts[0], parts[i]);
    return parts[0];
  }
  for (; count > 1; count = (count + 1) / 2) // neighbours first
    for (int i = 0; i < count; i += 2)
      parts[i / 2] = i + 1 < count ? combine(c, r, parts[i], parts[i + 1]) : parts[i];
  return parts[0];
}

// --- within the thread --------------------------------------------------------------------------

static bool same_but_axis(const reduction *r, const int64_t *source, const int64_t *result) {
  for (int d = 0; d < r->to.rank; d++)
    if (source[d < r->axis ? d : d + 1] != result[d])
      return false;
  return true;
}

static part source_part(ll_ctx *c, const reduction *r, const ll_v *x, int reg,
                        const int64_t *fixed) {
  part p = {x[reg], NULL};
  if (r->carried != r->dtype)
    p.value = ll_to_f32(c, p.value, r->dtype);
  if (has_index(r))
    p.index = ll_add(c, ll_place_of(c, r->from)->at[r->axis], ll_i32(c, fixed[r->axis]));
  return p;
}

static part reduce_registers(ll_ctx *c, const reduction *r, const ll_v *x, int reg) {
  int count = ir_layout_regs(r->from), found = 0;
  part *parts = TL_NEW_N(c->arena, part, count);
  int64_t wanted[TY_MAX_RANK], held[TY_MAX_RANK];
  ll_reg_coords(&r->to, reg, wanted);
  for (int s = 0; s < count; s++) {
    ll_reg_coords(r->from, s, held);
    if (same_but_axis(r, held, wanted) && !ll_is_copy(r->from, s))
      parts[found++] = source_part(c, r, x, s, held);
  }
  TL_ASSERT(found, "reduce: a result register without a source");
  return combine_all(c, r, parts, found);
}

// --- over lanes ---------------------------------------------------------------------------------

static part reduce_lanes(ll_ctx *c, const reduction *r, part p) {
  for (int bit = 0; bit < IR_LANE_BITS; bit++) {
    if (!r->from->lane[bit][r->axis])
      continue;
    part other = {ll_shuffle_xor(c, p.value, 1 << bit), NULL};
    if (p.index)
      other.index = ll_shuffle_xor(c, p.index, 1 << bit);
    p = combine(c, r, p, other);
  }
  return p;
}

// --- over warps ---------------------------------------------------------------------------------

static int crossing_bits(const reduction *r, int *out_bits) {
  int count = 0;
  for (int bit = 0; bit < r->from->nwarp_bits; bit++)
    if (r->from->warp[bit][r->axis])
      out_bits[count++] = bit;
  return count;
}

// Threads that write a partial: one per (result element, crossing warp).
static ll_v writer(ll_ctx *c, const reduction *r, const int *bits, int count) {
  ir_layout held = r->to; // crossing warps hold different partials, so they are not copies here
  held.rank = r->to.rank + 1;
  for (int i = 0; i < count; i++)
    held.warp[bits[i]][r->to.rank] = 1;
  return ll_owner(c, &held);
}

static ll_v slot_of(ll_ctx *c, const int *bits, int count) {
  ll_v slot = ll_i32(c, 0);
  for (int i = 0; i < count; i++) {
    ll_v bit =
        LLVMBuildAnd(c->b, LLVMBuildLShr(c->b, c->warp, ll_i32(c, bits[i]), ""), ll_i32(c, 1), "");
    slot = ll_add(c, slot, LLVMBuildShl(c->b, bit, ll_i32(c, i), ""));
  }
  return slot;
}

static ll_v result_thread_index(ll_ctx *c, const reduction *r, const ty_type *result) {
  const ll_place *place = ll_place_of(c, r->from);
  ll_v linear = ll_i32(c, 0);
  for (int d = 0; d < r->to.rank; d++)
    linear = ll_add(c, ll_mul(c, linear, ll_i32(c, result->dims[d])),
                    place->at[d < r->axis ? d : d + 1]);
  return linear;
}

static int64_t fixed_index(const reduction *r, const ty_type *result, int reg) {
  int64_t fixed[TY_MAX_RANK] = {0}, linear = 0;
  ll_reg_coords(&r->to, reg, fixed);
  for (int d = 0; d < r->to.rank; d++)
    linear = linear * result->dims[d] + fixed[d];
  return linear;
}

static void put_part(ll_ctx *c, ll_v at, part p) {
  ll_v value = p.value;
  if (LLVMTypeOf(value) == c->t_i1)
    value = LLVMBuildZExt(c->b, value, c->t_i32, "");
  LLVMBuildStore(c->b, value, at);
  if (p.index)
    LLVMBuildStore(c->b, p.index, ll_offset(c, at, ll_i32(c, 8)));
}

static part get_part(ll_ctx *c, const reduction *r, ll_v at) {
  ll_t type = ll_type(c, r->carried);
  part p = {LLVMBuildLoad2(c->b, type == c->t_i1 ? c->t_i32 : type, at, ""), NULL};
  if (type == c->t_i1)
    p.value = LLVMBuildICmp(c->b, LLVMIntNE, p.value, ll_i32(c, 0), "");
  if (has_index(r))
    p.index = LLVMBuildLoad2(c->b, c->t_i32, ll_offset(c, at, ll_i32(c, 8)), "");
  return p;
}

// Scratch: [crossing warp][result element] of 8 bytes, 16 with an index.
static void reduce_warps(ll_ctx *c, const reduction *r, part *parts, int count) {
  int bits[IR_MAX_WARP_BITS];
  int crossing = crossing_bits(r, bits);
  if (!crossing)
    return;
  const ty_type *result = ir_type(c->func, r->op->res[0]);
  int64_t size = has_index(r) ? 16 : 8, elems = ty_elems(result);
  ll_v base = ll_offset(c, c->smem, ll_i32(c, ir_int(r->op, "offset", 0)));
  ll_v thread = ll_mul(c, result_thread_index(c, r, result), ll_i32(c, size));
  ll_v mine = ll_mul(c, slot_of(c, bits, crossing), ll_i32(c, elems * size));
  ll_v write_at = ll_offset(c, base, ll_add(c, mine, thread)), read_at = ll_offset(c, base, thread);
  ll_scratch_begin(c);
  LLVMBasicBlockRef after = ll_begin_if(c, writer(c, r, bits, crossing));
  for (int i = 0; i < count; i++)
    put_part(c, ll_offset(c, write_at, ll_i32(c, fixed_index(r, result, i) * size)), parts[i]);
  ll_end_if(c, after);
  ll_bar_sync(c);
  part *all = TL_NEW_N(c->arena, part, 1 << crossing);
  for (int i = 0; i < count; i++) {
    for (int w = 0; w < 1 << crossing; w++) {
      int64_t at = (w * elems + fixed_index(r, result, i)) * size;
      all[w] = get_part(c, r, ll_offset(c, read_at, ll_i32(c, at)));
    }
    for (int w = 1; w < 1 << crossing; w++)
      all[0] = combine(c, r, all[0], all[w]);
    parts[i] = all[0];
  }
}

void ll_emit_reduce(ll_ctx *c, const ir_op *op) {
  reduction r = {
      .op = op, .kind = kind_of(ir_str(op, "kind", "")), .axis = (int)ir_int(op, "axis", 0)};
  r.from = ll_layout(c, op->args[0]);
  r.to = ir_layout_drop_dim(r.from, r.axis);
  r.dtype = r.carried = ll_dtype(c, op->args[0]);
  if (tl_is_float(r.dtype) && tl_dtype_bits(r.dtype) <= 16)
    r.carried = TL_F32;
  r.sequential = !strcmp(ir_str(op, "order", "tree"), "sequential");
  int count = ir_layout_regs(&r.to);
  ll_v *x = ll_regs(c, op->args[0]);
  part *parts = TL_NEW_N(c->arena, part, count);
  for (int i = 0; i < count; i++)
    parts[i] = reduce_lanes(c, &r, reduce_registers(c, &r, x, i));
  reduce_warps(c, &r, parts, count);
  ll_v *out = ll_new_regs(c, op->res[0]);
  TL_ASSERT(count == ll_nregs(c, op->res[0]), "reduce: result layout with %d registers, %d made",
            ll_nregs(c, op->res[0]), count);
  tl_dtype result = ll_dtype(c, op->res[0]);
  for (int i = 0; i < count; i++)
    out[i] = has_index(&r) ? ll_convert_elem(c, parts[i].index, TL_I32, result, "rn", false)
                           : ll_convert_elem(c, parts[i].value, r.carried, result, "rn", false);
}
