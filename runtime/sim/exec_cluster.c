// Clusters: the barrier of all their threads, addresses of other CTAs; proxy fences.
#include "runtime/sim/async.h"

// --- the cluster barrier ------------------------------------------------------------------------
static bool all_arrived(const sim_cluster *cluster) {
  uint32_t some = 0;
  for (uint32_t c = 0; c < cluster->n; c++)
    for (uint32_t i = 0; i < cluster->ctas[c]->nwarps; i++) {
      const sim_warp *w = &cluster->ctas[c]->warps[i];
      if (w->live & ~w->cluster_arrived)
        return false;
      some |= w->cluster_arrived;
    }
  return some != 0;
}

// Exited threads do not hold the barrier up.
void sim_cluster_recheck(sim_cluster *cluster) {
  if (!all_arrived(cluster))
    return;
  cluster->phase++;
  sim_race_sync_complete(&cluster->sync);
  for (uint32_t c = 0; c < cluster->n; c++) {
    sim_cta *cta = cluster->ctas[c];
    for (uint32_t i = 0; i < cta->nwarps; i++) {
      cta->warps[i].cluster_done |= cta->warps[i].cluster_arrived;
      cta->warps[i].cluster_arrived = 0;
    }
    cta->effects++;
    sim_wake(cta, SIM_WAIT_CLUSTER);
  }
}

void sim_exec_cluster_arrive(sim_warp *w, const sim_op *op, uint32_t mask) { // sub: 1 relaxed
  sim_cluster *cluster = w->cta->cluster;
  if ((w->cluster_arrived | w->cluster_done) & mask) {
    sim_fail(w, op, (w->cluster_arrived | w->cluster_done) & mask, SIM_DEADLOCK,
             "barrier.cluster.arrive twice without a wait between");
    return;
  }
  if (w->view.agent) {
    if (op->sub) {
      sim_race_sync_publish_inits(w->view.agent, &cluster->sync);
      sim_race_sync_publish_fenced(w->view.agent, &cluster->sync);
    } else
      sim_race_sync_release(w->view.agent, &cluster->sync);
  }
  w->cluster_arrived |= mask;
  w->cta->effects++;
  sim_cluster_recheck(cluster);
}

void sim_exec_cluster_wait(sim_warp *w, const sim_op *op, uint32_t mask) {
  if (mask & ~(w->cluster_arrived | w->cluster_done)) {
    sim_fail(w, op, mask & ~(w->cluster_arrived | w->cluster_done), SIM_DEADLOCK,
             "barrier.cluster.wait without an arrive before");
    return;
  }
  if (mask & ~w->cluster_done) {
    w->stay = true;
    w->wait_at = SIM_WAIT_CLUSTER;
    return;
  }
  w->cluster_done &= ~mask;
  if (w->view.agent)
    sim_race_sync_acquire(w->view.agent, &w->cta->cluster->sync);
}

// --- addresses ----------------------------------------------------------------------------------
// a: address, b: rank; sub: 1 generic addresses, 2 64-bit.
void sim_exec_mapa(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a), *B = sim_src(w, op->b);
  uint32_t *D = sim_dst(w, op->d), n = w->cta->cluster->n;
  for (uint32_t m = mask; m; m &= m - 1) {
    int i = __builtin_ctz(m);
    uint64_t address = op->sub & 2 ? sim_get64(A, i) : A[i];
    if (B[i] >= n) {
      sim_fail(w, op, 1u << i, SIM_BAD_ADDRESS, "mapa: the cluster has no CTA %u", B[i]);
      return;
    }
    address = (op->sub & 1 ? SIM_WINDOW_SHARED : 0) | sim_cluster_address(address, B[i]);
    D[i] = (uint32_t)address;
    if (op->sub & 2)
      D[32 + i] = (uint32_t)(address >> 32);
  }
}

void sim_exec_getctarank(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a);
  uint32_t *D = sim_dst(w, op->d), own = w->cta->rank;
  SIM_LANES_DO(mask, {
    uint32_t bits = sim_cluster_rank_bits(A[i]);
    D[i] = bits ? bits - 1 : own;
  })
}

// --- fences -------------------------------------------------------------------------------------
void sim_exec_fence_proxy(sim_warp *w, const sim_op *op, uint32_t mask) { // sub: 1 shared, 2 global
  (void)mask;
  if (w->view.agent)
    sim_race_fence_proxy(w->view.agent, op->sub & 1, op->sub & 2);
}

void sim_exec_fence_init(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)op, (void)mask;
  if (w->view.agent)
    sim_race_fence_inits(w->view.agent);
}
