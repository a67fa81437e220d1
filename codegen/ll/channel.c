// Channels inside one role: slot counters, cp.async groups and barriers; copy.c has the copies.
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

ll_channel *ll_channel_of(ll_ctx *c, const ir_op *op) {
  ll_channel *channel = ll_val(c, op->args[0])->channel;
  TL_ASSERT(channel, "%s without a channel", ir_info(op->code)->name);
  return channel;
}

static void advance(ll_ctx *c, const ll_channel *channel, ll_v counter) {
  if (channel->depth == 1)
    return;
  ll_v slot = LLVMBuildLoad2(c->b, c->t_i32, counter, "");
  ll_v next = ll_add(c, slot, ll_i32(c, 1));
  ll_v wraps = LLVMBuildICmp(c->b, LLVMIntEQ, next, ll_i32(c, channel->depth), "");
  next = LLVMBuildSelect(c->b, wraps, ll_i32(c, 0), next, "");
  LLVMBuildStore(c->b, next, counter);
}

// {twin=1}: read in step with the channel declared before it, slot for slot, and released first.
static void share_slots(ll_ctx *c, ll_channel *channel) {
  const ir_op *op = channel->op->prev;
  while (op && op->code != IR_CHANNEL)
    op = op->prev;
  TL_ASSERT(op, "a twin without a channel before it");
  const ll_channel *other = ll_val(c, op->res[0])->channel;
  channel->consumed = other->consumed;
  channel->consumed_phase = other->consumed_phase;
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
  channel->fed = !strcmp(ir_str(op, "engine", ""), "tma");
  channel->hand = !strcmp(ir_str(op, "engine", ""), "mbarrier");
  if (channel->hand)
    ll_hand_open(c, channel);
  if (channel->fed)
    ll_fed_open(c, channel);
  if (ir_int(op, "twin", 0))
    share_slots(c, channel);
}

// --- synchronisation ----------------------------------------------------------------------------

static void emit_commit(ll_ctx *c, const ir_op *op) {
  ll_channel *channel = ll_channel_of(c, op);
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
  ll_channel *channel = ll_channel_of(c, op);
  ll_force_all(c);
  advance(c, channel, channel->consumed);
  if (ir_int(op, "barrier", 0))
    ll_bar_sync(c);
}

void ll_emit_channel_op(ll_ctx *c, const ir_op *op) {
  bool declares = op->code == IR_BUFFER || op->code == IR_CHANNEL;
  ll_channel *fed = declares ? NULL : ll_channel_of(c, op);
  if (fed && fed->hand) {
    ll_hand_op(c, fed, op);
    return;
  }
  if (fed && fed->fed) {
    if (op->code == IR_COPY)
      ll_fed_copy(c, fed, op);
    else
      ll_fed_sync(c, fed, op);
    return;
  }
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
