// Channels between roles: a feeder thread fills slots by TMA, warpgroups read them.
//
// Per slot two mbarriers, full and empty. full: one arrival that announces the slot's bytes, then
// the bytes themselves; where a warp feeds by cp.async, one arrival of each lane once its copies
// have landed. empty: one arrival per reading warp. Each side keeps slot and phase in allocas,
// which LLVM turns into values carried by the loops; the phase flips when the slot number wraps and
// neither is ever restarted. All operations have CTA scope: wider ones cost a memory barrier each.
#include "codegen/ll/shared.h"

static ll_v barrier_of(ll_ctx *c, const ll_channel *channel, ll_v slot, bool empty) {
  ll_v base = ll_offset(c, c->smem, ll_i32(c, ir_int(channel->op, "offset", 0) + (empty ? 8 : 0)));
  return ll_offset(c, base, ll_mul(c, slot, ll_i32(c, 16)));
}

// The barriers of all channels are announced together.
static bool another_follows(const ir_op *channel) {
  const ir_op *op = channel->next;
  while (op && op->code == IR_BUFFER)
    op = op->next;
  return op && op->code == IR_CHANNEL && !strcmp(ir_str(op, "engine", ""), "tma");
}

// Once, before the roles part: one thread makes the barriers, all see them.
void ll_fed_barriers(ll_ctx *c, ll_channel *channel, int64_t full, int64_t empty) {
  channel->produced_phase = ll_alloca(c, c->t_i32, "produced_phase");
  channel->consumed_phase = ll_alloca(c, c->t_i32, "consumed_phase");
  // A fresh barrier counts as having completed the phase before: the feeder's first waits pass.
  LLVMBuildStore(c->b, ll_i32(c, 1), channel->produced_phase);
  LLVMBuildStore(c->b, ll_i32(c, 0), channel->consumed_phase);
  ll_v first = LLVMBuildICmp(c->b, LLVMIntEQ, c->tid, ll_i32(c, 0), "");
  LLVMBasicBlockRef after = ll_begin_if(c, first);
  for (int64_t slot = 0; slot < channel->depth; slot++) {
    LL_CALL(c, "llvm.nvvm.mbarrier.init.shared", barrier_of(c, channel, ll_i32(c, slot), false),
            ll_i32(c, full));
    LL_CALL(c, "llvm.nvvm.mbarrier.init.shared", barrier_of(c, channel, ll_i32(c, slot), true),
            ll_i32(c, empty));
  }
  bool last = channel->hand || !another_follows(channel->op);
  if (last)
    ll_intrinsic(c, "llvm.nvvm.fence.mbarrier_init.release.cluster", NULL, 0, NULL, 0);
  ll_end_if(c, after);
  if (last)
    ll_convergent(c, LL_CALL(c, "llvm.nvvm.barrier.cta.sync.aligned.all", ll_i32(c, 0)));
}

void ll_fed_open(ll_ctx *c, ll_channel *channel) {
  ll_fed_barriers(c, channel, ir_int(channel->op, "feeders", 1), c->func->warps);
}

void ll_spin(ll_ctx *c, ll_v barrier, ll_v phase) {
  LLVMBasicBlockRef loop = ll_block(c, "spin"), done = ll_block(c, "full");
  LLVMBuildBr(c->b, loop);
  LLVMPositionBuilderAtEnd(c->b, loop);
  ll_v ready = LL_CALL(c, "llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta", barrier, phase);
  LLVMBuildCondBr(c->b, ready, done, loop);
  LLVMPositionBuilderAtEnd(c->b, done);
}

static ll_v load(ll_ctx *c, ll_v counter) { return LLVMBuildLoad2(c->b, c->t_i32, counter, ""); }

static void advance(ll_ctx *c, const ll_channel *channel, ll_v counter, ll_v phase) {
  ll_v next = ll_add(c, load(c, counter), ll_i32(c, 1));
  ll_v wraps = LLVMBuildICmp(c->b, LLVMIntEQ, next, ll_i32(c, channel->depth), "");
  LLVMBuildStore(c->b, LLVMBuildSelect(c->b, wraps, ll_i32(c, 0), next, ""), counter);
  for (uint32_t i = 0; counter == channel->consumed && i < channel->walkers.len; i++) {
    const ll_walker *w = &channel->walkers.data[i];
    ll_v on = ll_add(c, load(c, w->at), ll_i32(c, w->step));
    LLVMBuildStore(c->b, LLVMBuildSelect(c->b, wraps, w->first, on, ""), w->at);
  }
  ll_v flip = LLVMBuildZExt(c->b, wraps, c->t_i32, "");
  LLVMBuildStore(c->b, LLVMBuildXor(c->b, load(c, phase), flip, ""), phase);
}

static void acquire(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  ll_v slot = load(c, channel->produced);
  ll_spin(c, barrier_of(c, channel, slot, true), load(c, channel->produced_phase));
  if (ir_int(op, "tx", 0))
    LL_CALL(c, "llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta",
            barrier_of(c, channel, slot, false), ll_i32(c, ir_int(op, "tx", 0)));
}

ll_v ll_fed_barrier(ll_ctx *c, const ll_channel *channel, bool producer, bool empty) {
  return barrier_of(c, channel, load(c, producer ? channel->produced : channel->consumed), empty);
}

void ll_fed_wait(ll_ctx *c, const ll_channel *channel, bool producer) {
  ll_spin(c, ll_fed_barrier(c, channel, producer, producer),
       load(c, producer ? channel->produced_phase : channel->consumed_phase));
}

void ll_fed_advance(ll_ctx *c, const ll_channel *channel, bool producer) {
  if (producer)
    advance(c, channel, channel->produced, channel->produced_phase);
  else
    advance(c, channel, channel->consumed, channel->consumed_phase);
}

// The words that createpolicy makes for all of an access (CUTLASS, cute/arch/copy_sm90_desc.hpp); 0: no
// hint.
static int64_t cache_policy(const ir_op *op) {
  const char *evict = ir_str(op, "evict", "");
  return !strcmp(evict, "first")  ? 0x12F0000000000000
         : !strcmp(evict, "last") ? 0x14F0000000000000
                                  : 0;
}

// One TMA box per span of the swizzle; tiles without a swizzle are one box.
void ll_fed_boxes(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  ll_field field = ll_field_of(c, channel, (int)ir_int(op, "field", 0));
  ll_v map = LLVMGetParam(c->fn, (unsigned)ir_int(op, "map", 0));
  ll_v stage = ll_stage(c, channel, &field, true);
  ll_v full = barrier_of(c, channel, load(c, channel->produced), false);
  ir_access access = ir_access_of(c->func, op);
  int bits = tl_dtype_bits(field.buf->dtype), width = field.layout->swizzle_bytes;
  int64_t row = field.buf->dims[field.buf->rank - 1], span = width ? width * 8 / bits : row;
  int64_t panels = row / span;
  int64_t panel_bytes = ty_elems(field.buf) / field.buf->dims[0] * bits / 8 / panels;
  for (int64_t panel = 0; panel < panels; panel++) {
    ll_v args[5 + TY_MAX_RANK] = {ll_offset(c, stage, ll_i32(c, panel * panel_bytes)), full, map};
    int n = 3;
    for (int d = access.rank - 1; d >= 0; d--) // innermost first
      args[n++] = ll_scalar(c, op->args[access.first_sub + d]);
    args[3] = ll_add(c, args[3], ll_i32(c, panel * span));
    if (bits == 4) // the descriptor counts bytes
      args[3] = LLVMBuildAShr(c->b, args[3], ll_i32(c, 1), "");
    int64_t policy = cache_policy(op);
    args[n++] = ll_i64(c, policy);
    args[n++] = ll_i1(c, policy != 0);
    ll_intrinsic(
        c, tl_sprintf(c->arena, "llvm.nvvm.cp.async.bulk.tensor.g2s.cta.tile.%dd", access.rank),
        NULL, 0, args, n);
  }
}

void ll_fed_copy(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  if (strcmp(ir_str(op, "engine", ""), "tma") != 0) {
    ll_emit_copy(c, op);
    return;
  }
  ll_fed_boxes(c, channel, op);
}

static void commit(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  if (!strcmp(ir_str(op, "engine", ""), "cp.async"))
    LL_CALL(c, "llvm.nvvm.cp.async.mbarrier.arrive.noinc.shared",
            barrier_of(c, channel, load(c, channel->produced), false));
  advance(c, channel, channel->produced, channel->produced_phase);
}

// One lane speaks for its warp: wgmma has waited for all of them.
static void release(ll_ctx *c, const ll_channel *channel) {
  if (ir_int(channel->op, "reads", 0)) // into registers, by all lanes
    ll_convergent(c, LL_CALL(c, "llvm.nvvm.bar.warp.sync", ll_i32(c, -1)));
  ll_v speaker = LLVMBuildICmp(c->b, LLVMIntEQ, c->lane, ll_i32(c, 0), "");
  LL_ASM(c, MBAR_ARRIVE, c->t_void, speaker,
         barrier_of(c, channel, load(c, channel->consumed), true));
  if (!ir_int(channel->op, "twin", 0)) // the other one advances
    advance(c, channel, channel->consumed, channel->consumed_phase);
}

void ll_fed_sync(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  switch (op->code) {
  case IR_ACQUIRE:
    acquire(c, channel, op);
    return;
  case IR_COMMIT:
    commit(c, channel, op);
    return;
  case IR_WAIT:
    ll_spin(c, barrier_of(c, channel, load(c, channel->consumed), false),
         load(c, channel->consumed_phase));
    return;
  case IR_READ:
    ll_emit_read(c, op);
    return;
  case IR_RELEASE:
    ll_force_all(c);
    release(c, channel);
    return;
  default:
    TL_UNREACHABLE("%s on a fed channel", ir_info(op->code)->name);
  }
}

// --- roles --------------------------------------------------------------------------------------

static void set_registers(ll_ctx *c, const ir_op *role, bool more) {
  int64_t regs = ir_int(role, "regs", 0);
  if (!regs)
    return;
  const char *name = more ? "llvm.nvvm.setmaxnreg.inc.sync.aligned.u32"
                          : "llvm.nvvm.setmaxnreg.dec.sync.aligned.u32";
  ll_convergent(c, LL_CALL(c, name, ll_i32(c, regs)));
}

// The first role runs on the warps that own tiles and returns; what follows runs on the warpgroup
// behind them: one of its warps, or one thread of it, for each feeding role.
static int roles_before(const ir_op *role) {
  int count = 0;
  for (const ir_op *op = role->prev; op; op = op->prev)
    count += op->code == IR_ROLE;
  return count;
}

void ll_emit_role(ll_ctx *c, const ir_op *op) {
  if (ir_has_own_roles(c->func)) {
    ll_emit_own_role(c, op);
    return;
  }
  if (!c->func->extra_warps) {
    ll_emit_region(c, op->regions[0]);
    return;
  }
  int behind = roles_before(op);
  if (behind) {
    int warp = c->func->warps + behind - 1;
    if (behind == 1) // one for the warpgroup
      set_registers(c, op, false);
    ll_v one = ir_int(op, "threads", 1) == 1
                   ? LLVMBuildICmp(c->b, LLVMIntEQ, c->tid, ll_i32(c, 32 * warp), "")
                   : LLVMBuildICmp(c->b, LLVMIntEQ, c->warp, ll_i32(c, warp), "");
    LLVMBasicBlockRef after = ll_begin_if(c, one);
    ll_emit_region(c, op->regions[0]);
    ll_end_if(c, after);
    return;
  }
  LLVMBasicBlockRef mine = ll_block(c, "role"), others = ll_block(c, "feed");
  ll_v is_mine = LLVMBuildICmp(c->b, LLVMIntULT, c->warp, ll_i32(c, c->func->warps), "");
  LLVMBuildCondBr(c->b, is_mine, mine, others);
  LLVMPositionBuilderAtEnd(c->b, mine);
  set_registers(c, op, true);
  ll_emit_region(c, op->regions[0]);
  ll_finish_stores(c);
  LLVMBuildRetVoid(c->b);
  LLVMPositionBuilderAtEnd(c->b, others);
}
