// Addresses and bounds of tile accesses.
//
// An element's address is base + sum over dims of (start + thread + register) * stride, in 64 bits;
// start + thread is computed once per access and thread, the register's constant part becomes an
// immediate where the stride is a constant and one 64-bit product per distinct constant elsewhere.
// A coordinate is inside when (unsigned)coordinate < dim: negative ones are huge.
#include "codegen/ll/emit.h"

ll_access ll_access_of(ll_ctx *c, const ir_op *op) {
  ll_access a = {.op = op, .ir = ir_access_of(c->func, op)};
  a.tensor = ll_val(c, a.ir.tensor)->tensor;
  TL_ASSERT(a.tensor, "%s without a tensor", ir_info(op->code)->name);
  int bits = tl_dtype_bits(a.tensor->dtype);
  a.bits = bits == 1 ? 8 : bits; // truth values take a byte
  a.in_bounds = ir_int(op, "inbounds", 0) || ir_access_in_bounds(c->facts, op);
  for (int d = 0; d < a.ir.rank; d++) {
    char sub = a.ir.subs[d];
    a.value_dim[d] = sub == 's' ? -1 : sub == 'z' ? a.value_rank - 1 : a.value_rank++;
    if (sub == 'r' || sub == 's')
      a.start[d] = ll_scalar(c, op->args[a.ir.first_sub + d]);
  }
  return a;
}

static ll_v to_bytes(ll_ctx *c, const ll_access *a, ll_v elems) { // i64
  if (a->bits == 4)
    return LLVMBuildAShr(c->b, elems, ll_i64(c, 1), "");
  return ll_mul(c, elems, ll_i64(c, a->bits / 8));
}

static ll_v distance(ll_ctx *c, ll_v index, ll_v stride) { // i32 index times i64 stride
  return ll_mul(c, LLVMBuildSExt(c->b, index, c->t_i64, ""), stride);
}

static ll_v inside_dim(ll_ctx *c, const ll_access *a, int d, ll_v index) {
  if (a->in_bounds)
    return ll_i1(c, true);
  return LLVMBuildICmp(c->b, LLVMIntULT, index, a->tensor->dims[d], "");
}

// The position along the last value dim comes last: it is what changes in a loop over K, and what
// was added before can be kept.
ll_cursor ll_cursor_open(ll_ctx *c, const ll_access *access, const ll_v *at) {
  ll_cursor cursor = {.access = access, .inside = ll_i1(c, true)};
  ll_v elems = ll_i64(c, 0), last = ll_i64(c, 0);
  for (int d = 0; d < access->ir.rank; d++) {
    if (!access->start[d])
      continue;
    int dim = access->value_dim[d];
    ll_v stride = access->tensor->strides[d];
    cursor.row[d] = dim < 0 ? access->start[d] : ll_add(c, access->start[d], at[dim]);
    if (dim < 0)
      cursor.inside = ll_and(c, cursor.inside, inside_dim(c, access, d, cursor.row[d]));
    if (dim == access->value_rank - 1 && access->value_rank > 1) {
      elems = ll_add(c, elems, distance(c, at[dim], stride));
      last = distance(c, access->start[d], stride);
    } else {
      elems = ll_add(c, elems, distance(c, cursor.row[d], stride));
    }
  }
  if (access->bits == 4)
    elems = ll_add(c, elems, last), last = ll_i64(c, 0);
  cursor.pointer = ll_offset(c, access->tensor->base, to_bytes(c, access, elems));
  cursor.pointer = ll_offset(c, cursor.pointer, to_bytes(c, access, last));
  return cursor;
}

typedef struct along {
  int dim;
} along;

static void project_dim(const int64_t *to, int64_t *from, void *user) {
  from[0] = to[((along *)user)->dim];
}

// Largest coordinate along `dim` that lane and warp can contribute.
static int64_t thread_extent(const ir_layout *layout, int dim) {
  int64_t most = 0;
  for (int i = 0; i < IR_LANE_BITS; i++)
    most += layout->lane[i][dim];
  for (int i = 0; i < layout->nwarp_bits; i++)
    most += layout->warp[i][dim];
  return most;
}

// Indices that come in runs of equal values (one scale for 128 columns): registers of one run take
// the first one's, in every thread.
static void share_runs(const ir_layout *layout, int dim, int64_t run, ll_v *out) {
  int64_t extent = thread_extent(layout, dim), fixed[TY_MAX_RANK], first[TY_MAX_RANK];
  for (int r = 1; r < ir_layout_regs(layout); r++) {
    ll_reg_coords(layout, r, fixed);
    if (fixed[dim] % run + extent >= run)
      continue;
    for (int s = 0; s < r; s++) {
      ll_reg_coords(layout, s, first);
      if (first[dim] / run != fixed[dim] / run || first[dim] % run + extent >= run)
        continue;
      out[r] = out[s];
      break;
    }
  }
}

void ll_cursor_gather(ll_ctx *c, ll_cursor *cursor, const ir_layout *layout) {
  const ll_access *a = cursor->access;
  for (int d = 0; d < a->ir.rank; d++) {
    if (a->start[d])
      continue;
    ir_val tile = a->op->args[a->ir.first_sub + d];
    int count = ir_layout_regs(layout);
    int *map = TL_NEW_N(c->arena, int, count);
    along dim = {a->value_dim[d]};
    if (!ir_layout_rename(layout, ll_layout(c, tile), c->func->warps, project_dim, &dim, map))
      TL_UNREACHABLE("gather: an index is not in its thread");
    ll_v *in = ll_regs(c, tile), *out = TL_NEW_N(c->arena, ll_v, count);
    for (int r = 0; r < count; r++)
      out[r] = in[map[r]];
    share_runs(layout, dim.dim, ir_fact_of(c->facts, tile)->constant_run, out);
    cursor->gather[d] = out;
  }
}

static ll_step *new_step(ll_ctx *c, ll_cursor *cursor, int dim, int64_t fixed) {
  tl_push(c->arena, &cursor->steps, ((ll_step){.dim = dim, .fixed = fixed}));
  return &tl_last(&cursor->steps);
}

static ll_step *find_step(ll_cursor *cursor, int dim, int64_t fixed) {
  for (uint32_t i = 0; i < cursor->steps.len; i++) {
    ll_step *step = &cursor->steps.data[i];
    if (!step->index && step->dim == dim && step->fixed == fixed)
      return step;
  }
  return NULL;
}

// What derives from a stride or a row for each of a tile's rows would be kept in registers over the
// whole loop, which a main loop full of accumulators cannot afford; an addition at the place of use
// is cheaper. Hence the copies kept in place.
static ll_v check_of(ll_ctx *c, ll_cursor *cursor, int d, int64_t fixed) {
  ll_step *step = find_step(cursor, d, fixed);
  if (step && step->inside)
    return step->inside;
  if (cursor->access->in_bounds)
    return ll_i1(c, true);
  if (fixed && !cursor->row_here[d])
    cursor->row_here[d] = ll_keep_here(c, cursor->row[d]);
  ll_v row = fixed ? cursor->row_here[d] : cursor->row[d];
  ll_v inside = inside_dim(c, cursor->access, d, ll_add(c, row, ll_i32(c, fixed)));
  (step ? step : new_step(c, cursor, d, fixed))->inside = inside;
  return inside;
}

static ll_v bytes_of(ll_ctx *c, ll_cursor *cursor, int d, int64_t elems) {
  ll_step *step = find_step(cursor, d, elems);
  if (step && step->bytes)
    return step->bytes;
  if (!cursor->stride_here[d])
    cursor->stride_here[d] = ll_keep_here(c, cursor->access->tensor->strides[d]);
  ll_v distance = LLVMBuildMul(c->b, cursor->stride_here[d], ll_i64(c, elems), "");
  ll_v bytes = to_bytes(c, cursor->access, distance);
  (step ? step : new_step(c, cursor, d, elems))->bytes = bytes;
  return bytes;
}

// Pointer for the constants of the dims with a run-time stride, reached from the nearest pointer
// made before: evenly spaced rows then share one increment.
static ll_v pointer_at(ll_ctx *c, ll_cursor *cursor, const int64_t *moved, int rank) {
  int dim = 0;
  while (dim < rank && !moved[dim])
    dim++;
  if (dim == rank)
    return cursor->pointer;
  const ll_reached *nearest = NULL;
  for (uint32_t i = 0; i < cursor->reached.len; i++) {
    const ll_reached *r = &cursor->reached.data[i];
    bool beside = r->moved[dim] <= moved[dim] && (!nearest || r->moved[dim] > nearest->moved[dim]);
    for (int d = 0; d < rank; d++)
      beside = beside && (d == dim || r->moved[d] == moved[d]);
    if (beside)
      nearest = r;
  }
  ll_reached here = {{0}, NULL};
  memcpy(here.moved, moved, sizeof *moved * (size_t)rank);
  here.moved[dim] = nearest ? nearest->moved[dim] : 0;
  here.pointer = nearest ? nearest->pointer : pointer_at(c, cursor, here.moved, rank);
  int64_t more = moved[dim] - here.moved[dim];
  if (!more)
    return here.pointer;
  here.pointer = ll_offset(c, here.pointer, bytes_of(c, cursor, dim, more));
  here.moved[dim] = moved[dim];
  tl_push(c->arena, &cursor->reached, here);
  return here.pointer;
}

static const ll_step *gather_step(ll_ctx *c, ll_cursor *cursor, int d, ll_v index) {
  for (uint32_t i = 0; i < cursor->steps.len; i++)
    if (cursor->steps.data[i].index == index && cursor->steps.data[i].dim == d)
      return &cursor->steps.data[i];
  const ll_access *a = cursor->access;
  ll_v here = ll_keep_here(c, index);
  ll_step step = {.dim = d, .index = index, .inside = inside_dim(c, a, d, here)};
  step.bytes = to_bytes(c, a, distance(c, here, a->tensor->strides[d]));
  tl_push(c->arena, &cursor->steps, step);
  return &tl_last(&cursor->steps);
}

bool ll_cursor_same(const ll_cursor *cursor, const ir_layout *layout, int reg, int other) {
  const ll_access *a = cursor->access;
  int64_t x[TY_MAX_RANK], y[TY_MAX_RANK];
  ll_reg_coords(layout, reg, x);
  ll_reg_coords(layout, other, y);
  for (int d = 0; d < a->ir.rank; d++) {
    if (a->value_dim[d] < 0)
      continue;
    if (a->start[d] ? x[a->value_dim[d]] != y[a->value_dim[d]]
                    : cursor->gather[d][reg] != cursor->gather[d][other])
      return false;
  }
  return true;
}

ll_spot ll_cursor_at(ll_ctx *c, ll_cursor *cursor, const int64_t *fixed, int reg) {
  const ll_access *a = cursor->access;
  ll_spot spot = {.inside = cursor->inside};
  int64_t moved[TY_MAX_RANK] = {0}; // along tensor dims with a run-time stride
  for (int d = 0; d < a->ir.rank; d++) {
    int dim = a->value_dim[d];
    if (dim < 0 || !a->start[d])
      continue;
    if (!(dim == a->value_rank - 1 && cursor->skip_last))
      spot.inside = ll_and(c, spot.inside, check_of(c, cursor, d, fixed[dim]));
    if (LLVMIsAConstantInt(a->tensor->strides[d]))
      spot.imm += fixed[dim] * LLVMConstIntGetSExtValue(a->tensor->strides[d]) * a->bits / 8;
    else
      moved[d] = fixed[dim];
  }
  spot.pointer = pointer_at(c, cursor, moved, a->ir.rank);
  for (int d = 0; d < a->ir.rank; d++) {
    if (a->value_dim[d] < 0 || a->start[d])
      continue;
    const ll_step *step = gather_step(c, cursor, d, cursor->gather[d][reg]);
    spot.inside = ll_and(c, spot.inside, step->inside);
    spot.pointer = ll_offset(c, spot.pointer, step->bytes);
  }
  return spot;
}

int ll_last_tensor_dim(const ll_access *a) {
  for (int d = 0; d < a->ir.rank; d++)
    if (a->value_dim[d] == a->value_rank - 1)
      return d;
  return -1;
}

int ll_access_vector(ll_ctx *c, const ll_access *a, const ir_layout *layout, bool *out_whole) {
  int d = ll_last_tensor_dim(a);
  *out_whole = true;
  if (a->bits == 4 && !ir_int(a->op, "vectorize", 1))
    return ll_run(layout, 2); // a byte; rows start and end with whole ones
  if (d < 0 || a->ir.subs[d] != 'r' || ir_some(a->ir.mask) || !ir_int(a->op, "vectorize", 1))
    return 1;
  ll_v stride = a->tensor->strides[d];
  if (!LLVMIsAConstantInt(stride) || LLVMConstIntGetZExtValue(stride) != 1)
    return 1;
  int64_t bytes = ir_access_align(c->facts, a->op);
  if (bytes > 16)
    bytes = 16;
  if (bytes * 8 < a->bits)
    return 1;
  int run = ll_run(layout, (int)(bytes * 8 / a->bits));
  const ir_fact *dim = ir_fact_of(c->facts, a->tensor->dim_vals[d]);
  const ir_fact *start = ir_fact_of(c->facts, a->op->args[a->ir.first_sub + d]);
  *out_whole = a->in_bounds || (dim->div % run == 0 && start->div % run == 0) ||
               (a->bits == 4 && run <= 2);
  return run;
}

ll_v ll_last_dim_inside(ll_ctx *c, const ll_access *a, int64_t length) {
  int d = ll_last_tensor_dim(a);
  ll_v end = ll_add(c, a->start[d], ll_i32(c, length - 1));
  return ll_and(c, inside_dim(c, a, d, a->start[d]), inside_dim(c, a, d, end));
}
