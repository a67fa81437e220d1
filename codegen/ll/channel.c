// Channels inside one role: slot counters, cp.async groups, barriers, and the copies into a slot.
//
// A channel's two counters are i32 allocas; LLVM turns them into values carried by the loops. Every
// thread has the same numbers.
#include "codegen/ll/shared.h"

ll_field ll_field_of(ll_ctx *c, const ll_channel *channel, int index) {
  ir_val val = channel->op->args[index];
  return (ll_field){ir_def(c->func, val), ir_type(c->func, val), ir_info_of(c->func, val)->layout};
}

ll_v ll_stage(ll_ctx *c, const ll_channel *channel, const ll_field *field, bool producer) {
  ll_v base = ll_offset(c, c->smem, ll_i32(c, ir_int(field->buffer, "offset", 0)));
  if (channel->depth == 1)
    return base;
  ll_v slot = LLVMBuildLoad2(c->b, c->t_i32, producer ? channel->produced : channel->consumed, "");
  int64_t bytes = ir_stage_bytes(field->layout, field->buf);
  return ll_offset(c, base, ll_mul(c, slot, ll_i32(c, bytes)));
}

static ll_channel *channel_of(ll_ctx *c, const ir_op *op) {
  ll_channel *channel = ll_val(c, op->args[0])->channel;
  TL_ASSERT(channel, "%s without a channel", ir_info(op->code)->name);
  return channel;
}

static void advance(ll_ctx *c, const ll_channel *channel, ll_v counter) {
  if (channel->depth == 1)
    return;
  ll_v next = ll_add(c, LLVMBuildLoad2(c->b, c->t_i32, counter, ""), ll_i32(c, 1));
  ll_v wraps = LLVMBuildICmp(c->b, LLVMIntEQ, next, ll_i32(c, channel->depth), "");
  LLVMBuildStore(c->b, LLVMBuildSelect(c->b, wraps, ll_i32(c, 0), next, ""), counter);
}

static void emit_channel(ll_ctx *c, const ir_op *op) {
  ll_channel *channel = TL_NEW(c->arena, ll_channel);
  channel->op = op;
  channel->depth = ir_int(op, "depth", 1);
  channel->produced = ll_alloca(c, c->t_i32, "produced");
  channel->consumed = ll_alloca(c, c->t_i32, "consumed");
  LLVMBuildStore(c->b, ll_i32(c, 0), channel->produced);
  LLVMBuildStore(c->b, ll_i32(c, 0), channel->consumed);
  ll_val(c, op->res[0])->channel = channel;
}

// --- copy ---------------------------------------------------------------------------------------

// How the role's threads share the chunks of a tile: chunk = thread + i * threads, along rows
// first.
typedef struct chunks {
  const ty_type *buf;
  int rank;
  int64_t bytes, elems; // of a chunk
  int64_t per_row, total;
  int64_t rounds, row_step; // row_step: rows between rounds when all rounds share a column, else 0
} chunks;

static chunks share_chunks(ll_ctx *c, const ir_op *op, const ty_type *buf) {
  chunks k = {.buf = buf, .rank = buf->rank - 1, .bytes = ir_int(op, "bytes", 4)};
  k.elems = k.bytes * 8 / tl_dtype_bits(buf->dtype);
  k.per_row = buf->dims[k.rank] / k.elems;
  TL_ASSERT(k.elems >= 1 && buf->dims[k.rank] % k.elems == 0, "copy: rows are no whole chunks");
  k.total = k.per_row;
  for (int d = 1; d < k.rank; d++)
    k.total *= buf->dims[d];
  k.rounds = (k.total + c->threads - 1) / c->threads;
  if (k.rank <= 2 && c->threads % k.per_row == 0)
    k.row_step = c->threads / k.per_row;
  return k;
}

// Tile coordinates of the chunk of round `round` (round 0 when rounds share a column).
static void chunk_coords(ll_ctx *c, const chunks *k, int64_t round, ll_v *at) {
  ll_v chunk = ll_add(c, c->tid, ll_i32(c, round * c->threads));
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
  ll_access access;
  chunks chunks;
  ll_cursor cursor;
  ll_shared shared;
  ll_v stage;
  int last; // tensor dim of the tile's last dim
} copying;

static void open_round(ll_ctx *c, copying *k, const ll_field *field, int64_t round) {
  ll_v at[TY_MAX_RANK];
  LLVMBasicBlockRef back = ll_enter_entry(c);
  chunk_coords(c, &k->chunks, round, at);
  ll_leave_entry(c, back);
  k->cursor = ll_cursor_open(c, &k->access, at);
  k->cursor.skip_last = true;
  k->shared = ll_shared_open(c, field->layout, field->buf, at, -1, true);
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
    ll_v left =
        ll_mul(c, LLVMBuildSub(c->b, dim, at, ""), ll_i32(c, k->chunks.bytes / k->chunks.elems));
    ll_v fits = LLVMBuildSub(c->b, dim, ll_i32(c, k->chunks.elems), "");
    bytes = LLVMBuildSelect(c->b, LLVMBuildICmp(c->b, LLVMIntSLE, at, fits, ""), full, left, "");
  }
  inside = ll_and(c, inside, LLVMBuildICmp(c->b, LLVMIntULT, at, dim, ""));
  return LLVMBuildSelect(c->b, inside, bytes, ll_i32(c, 0), "");
}

static void copy_async(ll_ctx *c, const copying *k, ll_v to, ll_spot spot) {
  int64_t bytes = k->chunks.bytes;
  const char *family = bytes == 16  ? "cg.shared.global.16"
                       : bytes == 8 ? "ca.shared.global.8"
                                    : "ca.shared.global.4";
  const char *name =
      tl_sprintf(c->arena, "llvm.nvvm.cp.async.%s%s", family, k->access.in_bounds ? "" : ".s");
  ll_v from = ll_offset(c, spot.pointer, ll_i64(c, spot.imm));
  if (k->access.in_bounds) {
    ll_intrinsic(c, name, NULL, 0, (ll_v[]){to, from}, 2);
    return;
  }
  ll_v size = valid_bytes(c, k, spot.inside);
  ll_v some = LLVMBuildICmp(c->b, LLVMIntNE, size, ll_i32(c, 0), "");
  from = LLVMBuildSelect(c->b, some, from, k->access.tensor->base, ""); // never past the tensor
  ll_intrinsic(c, name, NULL, 0, (ll_v[]){to, from, size}, 3);
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

void ll_emit_copy(ll_ctx *c, const ir_op *op) {
  const ll_channel *channel = channel_of(c, op);
  ll_field field = ll_field_of(c, channel, (int)ir_int(op, "field", 0));
  copying k = {.op = op, .access = ll_access_of(c, op), .chunks = share_chunks(c, op, field.buf)};
  TL_ASSERT(!strchr(k.access.ir.subs, 'g') && !ir_some(k.access.ir.mask),
            "copy with gathers or mask");
  k.last = last_dim_of(&k.access);
  k.stage = ll_stage(c, channel, &field, true);
  bool async = !strcmp(ir_str(op, "engine", "cp.async"), "cp.async");
  int64_t fixed[TY_MAX_RANK] = {0};
  for (int64_t round = 0; round < k.chunks.rounds; round++) {
    if (round == 0 || !k.chunks.row_step)
      open_round(c, &k, &field, round);
    if (k.chunks.row_step && k.chunks.rank > 1)
      fixed[0] = round * k.chunks.row_step;
    ll_v chunk = ll_add(c, c->tid, ll_i32(c, round * c->threads));
    bool all = (round + 1) * c->threads <= k.chunks.total;
    ll_v mine = all ? ll_i1(c, true)
                    : LLVMBuildICmp(c->b, LLVMIntULT, chunk, ll_i32(c, k.chunks.total), "");
    ll_spot spot = ll_cursor_at(c, &k.cursor, fixed, 0);
    ll_v to = ll_shared_at(c, &k.shared, k.stage, fixed);
    LLVMBasicBlockRef after = ll_begin_if(c, mine);
    if (async)
      copy_async(c, &k, to, spot);
    else
      copy_element(c, &k, to, spot);
    ll_end_if(c, after);
  }
}

// --- synchronisation ----------------------------------------------------------------------------

static void emit_commit(ll_ctx *c, const ir_op *op) {
  ll_channel *channel = channel_of(c, op);
  ll_intrinsic(c, "llvm.nvvm.cp.async.commit.group", NULL, 0, NULL, 0);
  if (!ir_int(op, "empty", 0))
    advance(c, channel, channel->produced);
}

static void emit_wait(ll_ctx *c, const ir_op *op) {
  ll_force_all(c);
  LL_CALL(c, "llvm.nvvm.cp.async.wait.group", ll_i32(c, ir_int(op, "pending", 0)));
  ll_bar_sync(c);
}

static void emit_release(ll_ctx *c, const ir_op *op) {
  ll_channel *channel = channel_of(c, op);
  ll_force_all(c);
  advance(c, channel, channel->consumed);
  if (ir_int(op, "barrier", 0))
    ll_bar_sync(c);
}

void ll_emit_channel_op(ll_ctx *c, const ir_op *op) {
  switch (op->code) {
  case IR_BUFFER:
    return; // an offset and a layout
  case IR_CHANNEL:
    emit_channel(c, op);
    return;
  case IR_ACQUIRE:
    if (ir_int(op, "barrier", 0))
      ll_bar_sync(c);
    return;
  case IR_COPY:
    ll_emit_copy(c, op);
    return;
  case IR_COMMIT:
    emit_commit(c, op);
    return;
  case IR_WAIT:
    emit_wait(c, op);
    return;
  case IR_READ:
    ll_emit_read(c, op);
    return;
  case IR_RELEASE:
    emit_release(c, op);
    return;
  default:
    TL_UNREACHABLE("%s on a channel", ir_info(op->code)->name);
  }
}
