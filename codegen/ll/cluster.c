// cluster_sum: CTAs of a cluster add a tile through each other's shared memory.
//
// Every CTA writes its tile as a row-major image into its own shared memory; behind a cluster barrier
// each reads its own rows of all images and adds them in rank order, so that the result does not
// depend on who was first. A second barrier keeps every image alive until all have read it. Exited
// threads, such as a feeder that has finished, count as arrived.
#include "codegen/ll/image.h"

static void cluster_sync(ll_ctx *c) {
  ll_convergent(c, ll_intrinsic(c, "llvm.nvvm.barrier.cluster.arrive.aligned", NULL, 0, NULL, 0));
  ll_convergent(c, ll_intrinsic(c, "llvm.nvvm.barrier.cluster.wait.aligned", NULL, 0, NULL, 0));
}

void ll_emit_cluster_sum(ll_ctx *c, const ir_op *op) {
  int cluster = c->func->cluster, count = ll_nregs(c, op->res[0]);
  ll_image image = ll_image_of(c, ir_type(c->func, op->args[0]), ir_int(op, "offset", 0), false);
  ll_v rank = ll_intrinsic(c, "llvm.nvvm.read.ptx.sreg.cluster.ctarank", NULL, 0, NULL, 0);
  int64_t bytes = ir_type(c->func, op->res[0])->dims[0] * image.pitch;
  ll_v own = ll_mul(c, rank, ll_i32(c, bytes));
  ll_bar_sync(c); // the image may lie where a slower warp still reads
  ll_image_store(c, &image, op->args[0]);
  cluster_sync(c);
  ll_v *sum = TL_NEW_N(c->arena, ll_v, count);
  for (int from = 0; from < cluster; from++) {
    ll_image theirs = image;
    theirs.base = LL_CALL(c, "llvm.nvvm.mapa.shared.cluster", ll_offset(c, image.base, own),
                          ll_i32(c, from));
    ll_image_load(c, &theirs, op->res[0]);
    ll_v *regs = ll_regs(c, op->res[0]);
    for (int r = 0; r < count; r++)
      sum[r] = from ? LLVMBuildFAdd(c->b, sum[r], regs[r], "") : regs[r];
  }
  memcpy(ll_new_regs(c, op->res[0]), sum, sizeof *sum * (size_t)count);
  cluster_sync(c);
}
