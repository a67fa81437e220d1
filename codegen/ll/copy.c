// copy: a tile from global memory into the producer's slot, by chunks of 16, 8 or 4 bytes.
#include "codegen/ll/shared.h"

// How the role's threads share the chunks of a tile: chunk = thread + i * threads, along rows
// first.
typedef struct chunks {
  const ty_type *buf;
  int rank;
  int64_t bytes, elems; // of a chunk
  int64_t per_row, total;
  int threads; // that share them: the CTA's, or the lanes of a feeding warp
  ll_v thread;
  int64_t rounds, row_step; // row_step: rows between rounds when all rounds share a column, else 0
} chunks;

static chunks share_chunks(ll_ctx *c, const ir_op *op, const ty_type *buf, bool by_warp) {
  chunks k = {.buf = buf, .rank = buf->rank - 1, .bytes = ir_int(op, "bytes", 4)};
  k.threads = by_warp ? 32 : c->threads;
  k.thread = by_warp ? c->lane : c->tid;
  k.elems = k.bytes * 8 / tl_dtype_bits(buf->dtype);
  k.per_row = buf->dims[k.rank] / k.elems;
  TL_ASSERT(k.elems >= 1 && buf->dims[k.rank] % k.elems == 0, "copy: rows are no whole chunks");
  k.total = k.per_row;
  for (int d = 1; d < k.rank; d++)
    k.total *= buf->dims[d];
  k.rounds = (k.total + k.threads - 1) / k.threads;
  if (k.rank <= 2 && k.threads % k.per_row == 0)
    k.row_step = k.threads / k.per_row;
  return k;
}

// Tile coordinates of a chunk.
static void chunk_coords(ll_ctx *c, const chunks *k, ll_v chunk, ll_v *at) {
  ll_v row = LLVMBuildUDiv(c->b, chunk, ll_i32(c, k->per_row), "");
  ll_v col = LLVMBuildURem(c->b, chunk, ll_i32(c, k->per_row), "");
  at[k->rank - 1] = ll_mul(c, col, ll_i32(c, k->elems));
  for (int d = k->rank - 2; d >= 0; d--) {
    at[d] = d ? LLVMBuildURem(c->b, row, ll_i32(c, k->buf->dims[d + 1]), "") : row;
    row = LLVMBuildUDiv(c->b, row, ll_i32(c, k->buf->dims[d + 1]), "");
  }
}

typedef struct copying {
  const ir_op *op;
  const ll_channel *channel;
  ll_field field;
  ll_access access;
  chunks chunks;
  ll_cursor cursor;
  ll_shared shared;
  ll_v stage;
  int last;       // tensor dim of the tile's last dim
  int64_t rounds; // emitted so far
} copying;

static void open_round(ll_ctx *c, copying *k, int64_t round) {
  ll_v at[TY_MAX_RANK];
  LLVMBasicBlockRef back = ll_enter_entry(c);
  // Round 0 stands for all rounds that share a column.
  chunk_coords(c, &k->chunks, ll_add(c, k->chunks.thread, ll_i32(c, round * k->chunks.threads)),
               at);
  ll_leave_entry(c, back);
  k->cursor = ll_cursor_open(c, &k->access, at);
  k->cursor.skip_last = true;
  for (int d = 0; d < k->access.ir.rank; d++) // one register per round: ir_layout_chunk_rows
    if (!k->access.start[d])
      k->cursor.gather[d] = ll_regs(c, k->op->args[k->access.ir.first_sub + d]);
  k->shared = ll_shared_open(c, k->field.layout, k->field.buf, at, -1, true);
}

// Bytes of the chunk inside the tensor, 0 .. bytes. Chunks start at multiples of their size, so one
// that starts inside is cut at the end at most.
static ll_v valid_bytes(ll_ctx *c, const copying *k, ll_v inside) {
  const ll_access *a = &k->access;
  ll_v at = k->cursor.row[k->last], dim = a->tensor->dims[k->last],
       full = ll_i32(c, k->chunks.bytes);
  const ir_fact *extent = ir_fact_of(c->facts, a->tensor->dim_vals[k->last]);
  ll_v bytes = full;
  if (extent->div % k->chunks.elems != 0) {
    int bits = tl_dtype_bits(k->field.buf->dtype);
    ll_v left = LLVMBuildSub(c->b, dim, at, "");
    left = bits < 8 ? LLVMBuildAShr(c->b, left, ll_i32(c, 1), "")
                    : ll_mul(c, left, ll_i32(c, bits / 8));
    ll_v fits = LLVMBuildSub(c->b, dim, ll_i32(c, k->chunks.elems), "");
    bytes = LLVMBuildSelect(c->b, LLVMBuildICmp(c->b, LLVMIntSLE, at, fits, ""), full, left, "");
  }
  inside = ll_and(c, inside, LLVMBuildICmp(c->b, LLVMIntULT, at, dim, ""));
  return LLVMBuildSelect(c->b, inside, bytes, ll_i32(c, 0), "");
}

static void copy_async(ll_ctx *c, const copying *k, ll_v to, ll_spot spot, ll_v cond) {
  ll_v from = ll_offset(c, spot.pointer, ll_i64(c, spot.imm));
  ll_v size = ll_i32(c, k->chunks.bytes);
  if (!k->access.in_bounds) {
    size = valid_bytes(c, k, spot.inside);
    ll_v some = LLVMBuildICmp(c->b, LLVMIntNE, size, ll_i32(c, 0), "");
    from = LLVMBuildSelect(c->b, some, from, k->access.tensor->base, ""); // never past the tensor
  }
  switch (k->chunks.bytes) {
  case 16:
    LL_ASM(c, CP_ASYNC_16, c->t_void, cond, to, from, size);
    return;
  case 8:
    LL_ASM(c, CP_ASYNC_8, c->t_void, cond, to, from, size);
    return;
  default:
    LL_ASM(c, CP_ASYNC_4, c->t_void, cond, to, from, size);
  }
}

static void copy_element(ll_ctx *c, const copying *k, ll_v to, ll_spot spot) {
  if (!k->access.in_bounds) {
    ll_v at = k->cursor.row[k->last];
    spot.inside = ll_and(c, spot.inside,
                         LLVMBuildICmp(c->b, LLVMIntULT, at, k->access.tensor->dims[k->last], ""));
  }
  ll_v value = ll_load_element(c, spot, (int)k->chunks.bytes * 8);
  LLVMSetAlignment(LLVMBuildStore(c->b, value, to), (unsigned)k->chunks.bytes);
}

static int last_dim_of(const ll_access *a) {
  for (int d = 0; d < a->ir.rank; d++)
    if (a->value_dim[d] == a->value_rank - 1)
      return d;
  TL_UNREACHABLE("copy of a scalar");
}

static bool is_async(const ir_op *op) {
  return !strcmp(ir_str(op, "engine", "cp.async"), "cp.async");
}

static copying *open_copy(ll_ctx *c, const ir_op *op) {
  copying *k = TL_NEW(c->arena, copying);
  k->op = op;
  k->channel = ll_channel_of(c, op);
  k->field = ll_field_of(c, k->channel, (int)ir_int(op, "field", 0));
  k->access = ll_access_of(c, op);
  k->chunks = share_chunks(c, op, k->field.buf, k->channel->fed && !k->channel->hand);
  TL_ASSERT(!ir_some(k->access.ir.mask), "copy with a mask");
  TL_ASSERT(!strchr(k->access.ir.subs, 'g') || (k->chunks.rank == 2 && k->chunks.row_step),
            "copy: gathered rows do not divide among the threads");
  k->last = last_dim_of(&k->access);
  return k;
}

// The next round of chunks.
static void emit_round(ll_ctx *c, copying *k) {
  ll_v cond = ll_i1(c, true);
  int64_t round = k->rounds++, fixed[TY_MAX_RANK] = {0};
  if (round == 0)
    k->stage = ll_stage(c, k->channel, &k->field, true);
  if (round == 0 || !k->chunks.row_step)
    open_round(c, k, round);
  if (k->chunks.row_step && k->chunks.rank > 1)
    fixed[0] = round * k->chunks.row_step;
  if ((round + 1) * k->chunks.threads > k->chunks.total) {
    ll_v chunk = ll_add(c, k->chunks.thread, ll_i32(c, round * k->chunks.threads));
    cond = LLVMBuildICmp(c->b, LLVMIntULT, chunk, ll_i32(c, k->chunks.total), "");
  }
  ll_spot spot = ll_cursor_at(c, &k->cursor, fixed, (int)round);
  ll_v to = ll_shared_at(c, &k->shared, k->stage, fixed);
  if (is_async(k->op)) {
    copy_async(c, k, to, spot, cond);
    return;
  }
  LLVMBasicBlockRef after = ll_begin_if(c, cond);
  copy_element(c, k, to, spot);
  ll_end_if(c, after);
}

// The rounds as a loop: a role of a user's own may have few warps for a large tile, and a hundred
// rounds written out would hold a hundred addresses.
static void emit_loop(ll_ctx *c, copying *k) {
  static const int64_t none[TY_MAX_RANK];
  ll_v at[TY_MAX_RANK], counter = ll_alloca(c, c->t_i32, "chunk");
  LLVMBasicBlockRef head = ll_block(c, "copy"), body = ll_block(c, "chunk"),
                    end = ll_block(c, "copied");
  k->stage = ll_stage(c, k->channel, &k->field, true);
  LLVMBuildStore(c->b, k->chunks.thread, counter);
  LLVMBuildBr(c->b, head);
  LLVMPositionBuilderAtEnd(c->b, head);
  ll_v chunk = LLVMBuildLoad2(c->b, c->t_i32, counter, "");
  ll_v more = LLVMBuildICmp(c->b, LLVMIntULT, chunk, ll_i32(c, k->chunks.total), "");
  LLVMBuildCondBr(c->b, more, body, end);
  LLVMPositionBuilderAtEnd(c->b, body);
  chunk_coords(c, &k->chunks, chunk, at);
  k->cursor = ll_cursor_open(c, &k->access, at);
  k->cursor.skip_last = true;
  k->shared = ll_shared_open(c, k->field.layout, k->field.buf, at, -1, false);
  ll_spot spot = ll_cursor_at(c, &k->cursor, none, 0);
  ll_v to = ll_shared_at(c, &k->shared, k->stage, none);
  if (is_async(k->op))
    copy_async(c, k, to, spot, ll_i1(c, true));
  else
    copy_element(c, k, to, spot);
  LLVMBuildStore(c->b, ll_add(c, chunk, ll_i32(c, k->chunks.threads)), counter);
  LLVMBuildBr(c->b, head);
  LLVMPositionBuilderAtEnd(c->b, end);
}

// A column of elements picked by index, one to a lane of the feeding warp.
static void copy_gathered(ll_ctx *c, const ir_op *op) {
  static const int64_t none[TY_MAX_RANK];
  const ll_channel *channel = ll_channel_of(c, op);
  ll_field field = ll_field_of(c, channel, (int)ir_int(op, "field", 0));
  ll_access access = ll_access_of(c, op);
  int dim = (int)(strchr(access.ir.subs, 'g') - access.ir.subs);
  const ir_layout *layout = ll_layout(c, op->args[access.ir.first_sub + dim]);
  TL_ASSERT(ir_layout_regs(layout) == 1 && ir_int(op, "bytes", 4) == 4, "gathering copy");
  const ll_v *at = ll_place_of(c, layout)->at;
  ll_cursor cursor = ll_cursor_open(c, &access, at);
  ll_cursor_gather(c, &cursor, layout);
  ll_spot spot = ll_cursor_at(c, &cursor, none, 0);
  ll_v size = LLVMBuildSelect(c->b, spot.inside, ll_i32(c, 4), ll_i32(c, 0), "");
  ll_v from = LLVMBuildSelect(c->b, spot.inside, ll_offset(c, spot.pointer, ll_i64(c, spot.imm)),
                              access.tensor->base, "");
  ll_v to = ll_offset(c, ll_stage(c, channel, &field, true), ll_mul(c, at[0], ll_i32(c, 4)));
  ll_v first = LLVMBuildICmp(c->b, LLVMIntULT, c->lane, ll_i32(c, field.buf->dims[1]), "");
  LL_ASM(c, CP_ASYNC_4, c->t_void, first, to, from, size);
}

void ll_emit_copy(ll_ctx *c, const ir_op *op) {
  const char *subs = ir_str(op, "subs", "");
  if (strchr(subs, 'g') && !strchr(subs, 'r')) {
    copy_gathered(c, op);
    return;
  }
  enum { MOST_ROUNDS = 16 };
  copying *k = open_copy(c, op);
  if (k->channel->hand && k->chunks.rounds > MOST_ROUNDS) {
    emit_loop(c, k);
    return;
  }
  while (k->rounds < k->chunks.rounds)
    emit_round(c, k);
}
