// Roles and channels that a user placed: each role on its own warps, mbarriers between them.
//
// Per slot two mbarriers. full expects: one arrival that announces the bytes of TMA copies, if there are
// any; one of each producing thread, once its cp.async copies have landed, if there are any; one of each
// producing warp, if it stores into the slot. empty expects one arrival per reading warp. Counters,
// phases and waiting are those of fed.c.
//
// While a role is emitted, everything that speaks of threads speaks of the role's: c->tid and c->warp
// count from its first, c->func->warps are its warps, ll_bar_sync is a barrier of its own. A role that
// only issues TMA copies needs no more than one thread, and is run by one.
#include "codegen/ll/shared.h"

// --- how a channel is filled and read -----------------------------------------------------------

typedef struct survey {
  const ir_func *func;
  const ir_op *channel;
  bool tma, async, fill, wgmma;
  const ir_op *producer, *consumer; // roles
} survey;

static void look_at(ir_op *op, void *user) {
  survey *s = user;
  bool ours = op->nargs && ir_type(s->func, op->args[0])->kind == TY_CHAN &&
              ir_def(s->func, op->args[0]) == s->channel;
  if (!ours)
    return;
  if (op->code == IR_COPY) {
    const char *engine = ir_str(op, "engine", "");
    s->tma |= !strcmp(engine, "tma");
    s->async |= !strcmp(engine, "cp.async");
    s->fill |= !strcmp(engine, "reg");
  }
  s->fill |= op->code == IR_FILL;
  s->wgmma |= op->code == IR_WGMMA;
  if (op->code == IR_ACQUIRE)
    s->producer = ir_role_around(op);
  if (op->code == IR_WAIT)
    s->consumer = ir_role_around(op);
}

static survey survey_of(ll_ctx *c, const ir_op *channel) {
  survey s = {.func = c->func, .channel = channel};
  ir_walk(c->func->body, look_at, &s);
  return s;
}

typedef struct crowd {
  const ir_func *func;
  bool needed;
} crowd;

// Everything but scalars and TMA copies is work for all threads of a role.
static void needs_many(ir_op *op, void *user) {
  crowd *found = user;
  for (uint32_t i = 0; i < op->nres; i++)
    found->needed |= ty_is_tile(ir_type(found->func, op->res[i]));
  found->needed |= op->code == IR_COPY && strcmp(ir_str(op, "engine", ""), "tma") != 0;
  found->needed |= op->code == IR_PRINT || op->code == IR_ATOMIC;
}

static bool runs_alone(const ir_func *func, const ir_op *role) {
  crowd found = {.func = func};
  ir_walk(role->regions[0], needs_many, &found);
  return !found.needed;
}

static int64_t warps_of(const ir_op *role) { return role ? ir_int(role, "warps", 1) : 1; }

void ll_hand_open(ll_ctx *c, ll_channel *channel) {
  survey s = survey_of(c, channel->op);
  int64_t warps = warps_of(s.producer);
  int64_t full = (s.tma ? 1 : 0) + (s.async ? 32 * warps : 0) + (s.fill ? warps : 0);
  bool alone = s.consumer && runs_alone(c->func, s.consumer);
  channel->tma = s.tma, channel->async = s.async, channel->fill = s.fill || !full;
  channel->fence = s.fill && s.wgmma;
  if (!full) // slots without payload
    full = s.producer && runs_alone(c->func, s.producer) ? 1 : warps;
  ll_fed_barriers(c, channel, full, alone ? 1 : warps_of(s.consumer));
}

// --- put and get --------------------------------------------------------------------------------

static void sync_warp(ll_ctx *c) {
  if (!c->alone)
    ll_convergent(c, LL_CALL(c, "llvm.nvvm.bar.warp.sync", ll_i32(c, -1)));
}

static ll_v is_first(ll_ctx *c, ll_v number) {
  return c->alone ? ll_i1(c, true) : LLVMBuildICmp(c->b, LLVMIntEQ, number, ll_i32(c, 0), "");
}

// One lane speaks for its warp, behind what all of them did.
static void arrive(ll_ctx *c, ll_v barrier) {
  sync_warp(c);
  LL_ASM(c, MBAR_ARRIVE, c->t_void, is_first(c, c->lane), barrier);
}

static void acquire(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  ll_fed_wait(c, channel, true);
  if (!channel->tma)
    return;
  LLVMBasicBlockRef after = ll_begin_if(c, is_first(c, c->tid));
  LL_CALL(c, "llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta",
          ll_fed_barrier(c, channel, true, false), ll_i32(c, ir_int(op, "tx", 0)));
  ll_end_if(c, after);
}

static void commit(ll_ctx *c, const ll_channel *channel) {
  ll_force_all(c);
  if (channel->async)
    LL_CALL(c, "llvm.nvvm.cp.async.mbarrier.arrive.noinc.shared",
            ll_fed_barrier(c, channel, true, false));
  if (channel->fence) // a tensor core will read through the other proxy
    ll_intrinsic(c, "llvm.nvvm.fence.proxy.async.shared_cta", NULL, 0, NULL, 0);
  if (channel->fill)
    arrive(c, ll_fed_barrier(c, channel, true, false));
  ll_fed_advance(c, channel, true);
}

static void copy(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  if (strcmp(ir_str(op, "engine", ""), "tma") != 0) {
    ll_emit_copy(c, op);
    return;
  }
  LLVMBasicBlockRef after = ll_begin_if(c, is_first(c, c->tid));
  ll_fed_boxes(c, channel, op);
  ll_end_if(c, after);
}

// A tile from registers into the slot; of copies of an element, one is stored.
static void fill(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  ll_field field = ll_field_of(c, channel, (int)ir_int(op, "field", 0));
  ll_v stage = ll_stage(c, channel, &field, true), *regs = ll_regs(c, op->args[1]);
  const ir_layout *layout = ll_layout(c, op->args[1]);
  int bits = tl_dtype_bits(field.buf->dtype), bytes = bits / 8, count = ir_layout_regs(layout);
  int run = ll_run(layout, 16 / bytes);
  int64_t pitch = field.buf->dims[field.buf->rank - 1] * bytes + field.layout->pad_bytes;
  while (run > 1 && pitch % (run * bytes))
    run /= 2;
  ll_t elem = LLVMIntTypeInContext(c->cx, (unsigned)bits);
  LLVMBasicBlockRef after = ll_begin_if(c, ll_owner(c, layout));
  ll_shared shared = ll_shared_open(c, field.layout, field.buf, ll_place_of(c, layout)->at,
                                    ll_column_bits(layout, bytes), true);
  for (int r = 0; r < count; r += run) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    ll_v value = run == 1 ? NULL : LLVMGetPoison(LLVMVectorType(elem, (unsigned)run));
    for (int i = 0; i < run; i++) {
      ll_v one = ll_to_bits(c, regs[r + i], bits);
      value = run == 1 ? one : LLVMBuildInsertElement(c->b, value, one, ll_i32(c, i), "");
    }
    ll_v at = ll_shared_at(c, &shared, stage, fixed);
    LLVMSetAlignment(LLVMBuildStore(c->b, value, at), (unsigned)(run * bytes));
  }
  ll_end_if(c, after);
}

void ll_hand_op(ll_ctx *c, const ll_channel *channel, const ir_op *op) {
  switch (op->code) {
  case IR_ACQUIRE:
    acquire(c, channel, op);
    return;
  case IR_COPY:
    copy(c, channel, op);
    return;
  case IR_FILL:
    fill(c, channel, op);
    return;
  case IR_COMMIT:
    commit(c, channel);
    return;
  case IR_WAIT:
    ll_fed_wait(c, channel, false);
    return;
  case IR_READ:
    ll_emit_read(c, op);
    return;
  case IR_RELEASE:
    ll_force_all(c);
    arrive(c, ll_fed_barrier(c, channel, false, true));
    ll_fed_advance(c, channel, false);
    return;
  default:
    TL_UNREACHABLE("%s on a channel between roles", ir_info(op->code)->name);
  }
}

// --- roles --------------------------------------------------------------------------------------

// Registers of a thread as the kernel starts: the multiprocessor's, divided evenly in units of 8.
static int64_t launch_registers(const ir_func *func) {
  int64_t regs = 65536 / (32 * func->warps) / 8 * 8;
  return regs > 256 ? 256 : regs;
}

static void set_registers(ll_ctx *c, const ir_op *role, int64_t before) {
  int64_t regs = ir_int(role, "regs", 0);
  if (!regs || regs == before)
    return;
  const char *name = regs > before ? "llvm.nvvm.setmaxnreg.inc.sync.aligned.u32"
                                   : "llvm.nvvm.setmaxnreg.dec.sync.aligned.u32";
  ll_convergent(c, LL_CALL(c, name, ll_i32(c, regs)));
}

// Threads of the role count from 0 while it is emitted.
static void enter(ll_ctx *c, const ir_op *role, int64_t first_warp) {
  ir_func *view = TL_NEW(c->arena, ir_func);
  *view = *c->func;
  view->warps = (int)warps_of(role);
  c->alone = runs_alone(c->func, role);
  c->func = view;
  c->threads = c->alone ? 1 : 32 * view->warps;
  LLVMBasicBlockRef back = ll_enter_entry(c);
  c->tid = LLVMBuildSub(c->b, c->tid, ll_i32(c, 32 * first_warp), "");
  c->warp = LLVMBuildSub(c->b, c->warp, ll_i32(c, first_warp), "");
  ll_leave_entry(c, back);
  c->places.len = 0, c->pending.len = 0, c->recent.len = 0;
}

void ll_emit_own_role(ll_ctx *c, const ir_op *role) {
  int64_t first = 0, padded = ir_int(role, "padded", 4);
  int number = 1; // barrier 0 is everybody's
  for (const ir_op *op = role->prev; op; op = op->prev)
    if (op->code == IR_ROLE)
      first += ir_int(op, "padded", 4), number++;
  LLVMBasicBlockRef mine = ll_block(c, "role"), others = ll_block(c, "others");
  ll_v place = LLVMBuildSub(c->b, c->warp, ll_i32(c, first), "");
  ll_v is_mine = LLVMBuildICmp(c->b, LLVMIntULT, place, ll_i32(c, padded), "");
  LLVMBuildCondBr(c->b, is_mine, mine, others);
  LLVMPositionBuilderAtEnd(c->b, mine);
  set_registers(c, role, launch_registers(c->func));
  ll_ctx whole = *c;
  enter(c, role, first);
  c->barrier = number;
  ll_v works = c->alone ? LLVMBuildICmp(c->b, LLVMIntEQ, c->tid, ll_i32(c, 0), "")
                        : LLVMBuildICmp(c->b, LLVMIntULT, c->warp, ll_i32(c, c->func->warps), "");
  LLVMBasicBlockRef after = ll_begin_if(c, works);
  ll_emit_region(c, role->regions[0]);
  ll_end_if(c, after);
  LLVMBuildRetVoid(c->b);
  c->func = whole.func, c->tid = whole.tid, c->warp = whole.warp, c->threads = whole.threads;
  c->alone = whole.alone, c->barrier = whole.barrier;
  c->places.len = 0, c->pending.len = 0, c->recent.len = 0;
  LLVMPositionBuilderAtEnd(c->b, others);
}
