// cluster_sum: CTAs of a cluster add a tile, each its own rows of it.
//
// Every CTA writes its tile as a row-major image into its own shared memory. One thread sends every
// other CTA the rows that are its, by bulk copies into an inbox whose mbarrier counts the bytes; then
// everybody adds what has arrived and its own rows in rank order, so that the result does not depend
// on who was first. No fence wider than the CTA is needed: the data travel through the async proxy.
//
//   entry   one thread makes the mbarrier and announces the bytes; all arrive at the cluster barrier
//   sum     image; wait for the cluster: every inbox is ready; send; wait for the own inbox; add
//   end     cluster barrier again: the image lives until all have received their rows
//
// Exited threads, such as a feeder that has finished, count as arrived.
#include "codegen/ll/image.h"

enum { BARRIER_BYTES = 128 }; // in front of the inbox: an mbarrier, and alignment

typedef struct exchange {
  int cluster;
  int64_t part_bytes; // rows of one CTA
  ll_v rank, image, inbox, barrier;
} exchange;

static exchange open(ll_ctx *c, const ir_op *op) {
  exchange e = {.cluster = c->func->cluster};
  e.part_bytes = ir_type(c->func, op->res[0])->dims[0] * ir_scratch_pitch(ir_type(c->func, op->args[0]));
  e.rank = ll_intrinsic(c, "llvm.nvvm.read.ptx.sreg.cluster.ctarank", NULL, 0, NULL, 0);
  e.image = ll_offset(c, c->smem, ll_i32(c, ir_int(op, "offset", 0)));
  e.barrier = ll_offset(c, c->smem, ll_i32(c, ir_int(op, "inbox", 0)));
  e.inbox = ll_offset(c, e.barrier, ll_i32(c, BARRIER_BYTES));
  return e;
}

static void cluster_barrier(ll_ctx *c, const char *what) {
  ll_convergent(c, ll_intrinsic(c, tl_sprintf(c->arena, "llvm.nvvm.barrier.cluster.%s.aligned", what),
                                NULL, 0, NULL, 0));
}

static LLVMBasicBlockRef begin_first_thread(ll_ctx *c) {
  return ll_begin_if(c, LLVMBuildICmp(c->b, LLVMIntEQ, c->tid, ll_i32(c, 0), ""));
}

static void find_sum(ir_op *op, void *user) {
  if (op->code == IR_CLUSTER_SUM)
    *(const ir_op **)user = op;
}

void ll_open_cluster(ll_ctx *c) {
  const ir_op *op = NULL;
  ir_walk(c->func->body, find_sum, &op);
  if (!op)
    return;
  exchange e = open(c, op);
  LLVMBasicBlockRef after = begin_first_thread(c);
  LL_CALL(c, "llvm.nvvm.mbarrier.init.shared", e.barrier, ll_i32(c, 1));
  ll_intrinsic(c, "llvm.nvvm.fence.mbarrier_init.release.cluster", NULL, 0, NULL, 0);
  LL_CALL(c, "llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta", e.barrier,
          ll_i32(c, (e.cluster - 1) * e.part_bytes));
  ll_end_if(c, after);
  cluster_barrier(c, "arrive.relaxed");
}

// Address of our `pointer` in CTA `rank`, as the operand type of LLVM's intrinsic.
static ll_v remote(ll_ctx *c, ll_v pointer, ll_v rank, bool as_shared) {
  ll_v there = LL_CALL(c, "llvm.nvvm.mapa.shared.cluster", pointer, rank);
  if (!as_shared)
    return there;
  return LLVMBuildIntToPtr(c->b, LLVMBuildPtrToInt(c->b, there, c->t_i32, ""), c->t_shared, "");
}

// What the CTA `distance` ranks before ours sends lies at cluster - 1 - distance.
static ll_v part_at(ll_ctx *c, const exchange *e, ll_v base, ll_v index) {
  return ll_offset(c, base, ll_mul(c, index, ll_i32(c, e->part_bytes)));
}

static void send_parts(ll_ctx *c, const exchange *e) {
  LLVMBasicBlockRef after = begin_first_thread(c);
  for (int distance = 1; distance < e->cluster; distance++) {
    ll_v to = LLVMBuildAnd(c->b, ll_add(c, e->rank, ll_i32(c, distance)), ll_i32(c, e->cluster - 1), "");
    ll_v inbox = part_at(c, e, e->inbox, ll_i32(c, e->cluster - 1 - distance));
    LL_CALL(c, "llvm.nvvm.cp.async.bulk.shared.cta.to.cluster", remote(c, inbox, to, false),
            remote(c, e->barrier, to, true), part_at(c, e, e->image, to), ll_i32(c, e->part_bytes));
  }
  ll_end_if(c, after);
}

static void add_parts(ll_ctx *c, const exchange *e, const ir_op *op) {
  int count = ll_nregs(c, op->res[0]);
  ll_image part = ll_image_of(c, ir_type(c->func, op->args[0]), 0, false);
  ll_v *sum = TL_NEW_N(c->arena, ll_v, count);
  for (int from = 0; from < e->cluster; from++) {
    ll_v distance = LLVMBuildSub(c->b, e->rank, ll_i32(c, from), "");
    distance = LLVMBuildAnd(c->b, distance, ll_i32(c, e->cluster - 1), "");
    ll_v index = LLVMBuildSub(c->b, ll_i32(c, e->cluster - 1), distance, "");
    ll_v own = LLVMBuildICmp(c->b, LLVMIntEQ, distance, ll_i32(c, 0), "");
    part.base = LLVMBuildSelect(c->b, own, part_at(c, e, e->image, e->rank),
                                part_at(c, e, e->inbox, index), "");
    ll_image_load(c, &part, op->res[0]);
    ll_v *regs = ll_regs(c, op->res[0]);
    for (int r = 0; r < count; r++)
      sum[r] = from ? LLVMBuildFAdd(c->b, sum[r], regs[r], "") : regs[r];
  }
  memcpy(ll_new_regs(c, op->res[0]), sum, sizeof *sum * (size_t)count);
}

void ll_emit_cluster_sum(ll_ctx *c, const ir_op *op) {
  exchange e = open(c, op);
  ll_image image = ll_image_of(c, ir_type(c->func, op->args[0]), ir_int(op, "offset", 0), false);
  ll_bar_sync(c); // the image may lie where a slower warp still reads
  ll_image_store(c, &image, op->args[0]);
  ll_intrinsic(c, "llvm.nvvm.fence.proxy.async.shared_cta", NULL, 0, NULL, 0);
  ll_bar_sync(c);
  cluster_barrier(c, "wait");
  send_parts(c, &e);
  ll_spin(c, e.barrier, ll_i32(c, 0));
  add_parts(c, &e, op);
  cluster_barrier(c, "arrive.relaxed");
  cluster_barrier(c, "wait");
}
