// take and histogram: threads that need what any other thread may hold go through shared scratch.
#include "codegen/ll/image.h"

// --- take: the source as an image, read at computed places --------------------------------------

// Index of register `reg` of the result.
typedef struct chosen {
  ll_v *index;
  int *map; // of the result's registers to the index's; NULL: the same, or one for all
  bool one;
} chosen;

typedef struct along {
  int dim;
} along;

static void project_dim(const int64_t *to, int64_t *from, void *user) {
  from[0] = to[((along *)user)->dim];
}

static chosen indices_of(ll_ctx *c, const ir_op *op, int axis) {
  const ty_type *by = ir_type(c->func, op->args[1]);
  chosen which = {.index = ll_regs(c, op->args[1]), .one = !by->rank};
  if (by->rank != 1 || !ty_is_tile(ir_type(c->func, op->res[0])))
    return which;
  const ir_layout *layout = ll_layout(c, op->res[0]);
  along dim = {axis};
  which.map = TL_NEW_N(c->arena, int, ir_layout_regs(layout));
  if (!ir_layout_rename(layout, ll_layout(c, op->args[1]), c->func->warps, project_dim, &dim,
                        which.map))
    TL_UNREACHABLE("take: an index is not in its thread");
  return which;
}

static ll_v index_at(const chosen *which, int reg) {
  return which->index[which->one ? 0 : which->map ? which->map[reg] : reg];
}

void ll_emit_take(ll_ctx *c, const ir_op *op) {
  const ty_type *from = ir_type(c->func, op->args[0]), *to = ir_type(c->func, op->res[0]);
  int axis = (int)ir_int(op, "axis", 0);
  bool drops = to->rank < from->rank;
  ll_image image = ll_image_of(c, from, ir_int(op, "offset", 0), false);
  chosen which = indices_of(c, op, axis);
  const ir_layout *layout = ty_is_tile(to) ? ll_layout(c, op->res[0]) : NULL;
  ll_scratch_begin(c);
  ll_image_store(c, &image, op->args[0]);
  ll_bar_sync(c);
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < ll_nregs(c, op->res[0]); r++) {
    int64_t fixed[TY_MAX_RANK] = {0};
    ll_v at[TY_MAX_RANK], index = index_at(&which, r);
    if (layout)
      ll_reg_coords(layout, r, fixed);
    ll_v inside = LLVMBuildICmp(c->b, LLVMIntULT, index, ll_i32(c, from->dims[axis]), "");
    for (int d = 0; d < from->rank; d++) {
      int held = drops && d > axis ? d - 1 : d;
      at[d] = d == axis ? LLVMBuildSelect(c->b, inside, index, ll_i32(c, 0), "")
                        : ll_add(c, ll_place_of(c, layout)->at[held], ll_i32(c, fixed[held]));
    }
    ll_v element = ll_image_element(c, &image, at);
    out[r] = LLVMBuildSelect(c->b, inside, element, ll_zero(c, to->dtype), "");
  }
}

// --- histogram: counters in shared memory -------------------------------------------------------

static void clear(ll_ctx *c, ll_v base, int64_t bins) {
  for (int64_t first = 0; first < bins; first += c->threads) {
    ll_v bin = ll_add(c, c->tid, ll_i32(c, first));
    ll_v inside = first + c->threads <= bins
                      ? ll_i1(c, true)
                      : LLVMBuildICmp(c->b, LLVMIntULT, bin, ll_i32(c, bins), "");
    LLVMBasicBlockRef after = ll_begin_if(c, inside);
    LLVMBuildStore(c->b, ll_i32(c, 0), ll_offset(c, base, ll_mul(c, bin, ll_i32(c, 4))));
    ll_end_if(c, after);
  }
}

static void count(ll_ctx *c, const ir_op *op, ll_v base, int64_t bins) {
  const ir_layout *layout = ll_layout(c, op->args[0]);
  ll_v *x = ll_regs(c, op->args[0]), owner = ll_owner(c, layout);
  ll_v *mask = op->nargs > 1 ? ll_regs(c, op->args[1]) : NULL;
  for (int r = 0; r < ir_layout_regs(layout); r++) {
    if (ll_is_copy(layout, r))
      continue;
    ll_v counted = LLVMBuildICmp(c->b, LLVMIntULT, x[r], ll_i32(c, bins), "");
    counted = ll_and(c, ll_and(c, owner, counted), mask ? mask[r] : ll_i1(c, true));
    ll_v at = ll_offset(c, base, ll_mul(c, x[r], ll_i32(c, 4)));
    LL_ASM(c, RED_ADD_SHARED, c->t_void, counted, at, ll_i32(c, 1));
  }
}

void ll_emit_histogram(ll_ctx *c, const ir_op *op) {
  int64_t offset = ir_int(op, "offset", 0), bins = ir_type(c->func, op->res[0])->dims[0];
  ll_v base = ll_offset(c, c->smem, ll_i32(c, offset));
  ll_image image = ll_image_of(c, ir_type(c->func, op->res[0]), offset, true);
  ll_scratch_begin(c);
  clear(c, base, bins);
  ll_bar_sync(c);
  count(c, op, base, bins);
  ll_bar_sync(c);
  ll_image_load(c, &image, op->res[0]);
}
