// Clusters and the queue of asynchronous operations (see async.h).
#include "runtime/sim/async.h"
#include "lang/base/assert.h"
#include <stdlib.h>

enum { IDLE_LIMIT = 1 << 22 }; // warp instructions without an effect in the whole grid

sim_cluster *sim_cluster_new(sim_launch_state *launch, uint32_t n) {
  sim_cluster *cluster = calloc(1, sizeof *cluster);
  TL_ASSERT(cluster && n <= SIM_CLUSTER_MAX, "a cluster of %u CTAs", n);
  cluster->launch = launch;
  cluster->bulk_tail = &cluster->bulk;
  return cluster;
}

static void free_list(sim_bulk *list) {
  while (list) {
    sim_bulk *next = list->next;
    free(list->data);
    free(list);
    list = next;
  }
}

void sim_cluster_free(sim_cluster *cluster) {
  free_list(cluster->bulk);
  free_list(cluster->free_bulk);
  sim_race_sync_free(&cluster->sync);
  free(cluster);
}

void sim_cluster_add(sim_cluster *cluster, sim_cta *cta) {
  cta->cluster = cluster;
  cta->rank = cluster->n;
  cta->exited = false;
  cluster->ctas[cluster->n] = cta;
  cluster->shared[cluster->n] = cta->launch->shared_total ? &cta->shared : NULL;
  cluster->n++;
  cluster->live++;
}

// --- the queue ----------------------------------------------------------------------------------
sim_bulk *sim_bulk_new(sim_warp *w, const sim_op *op, int lane) {
  sim_cluster *cluster = w->cta->cluster;
  sim_bulk *bulk = cluster->free_bulk;
  uint8_t *data = NULL, *init = NULL;
  size_t cap = 0;
  if (bulk) {
    cluster->free_bulk = bulk->next;
    data = bulk->data, init = bulk->init, cap = bulk->cap;
  } else {
    bulk = malloc(sizeof *bulk);
    TL_ASSERT(bulk, "out of memory");
  }
  *bulk = (sim_bulk){.warp = w, .op = op, .lane = lane, .data = data, .init = init, .cap = cap};
  if (w->view.agent) {
    bulk->read_token = sim_race_bulk_begin(w->view.agent);
    bulk->write_token = sim_race_bulk_begin(w->view.agent);
  }
  return bulk;
}

void sim_bulk_room(sim_bulk *bulk, size_t bytes) {
  if (bulk->cap >= bytes)
    return;
  free(bulk->data);
  bulk->data = malloc(2 * bytes);
  TL_ASSERT(bulk->data, "out of memory");
  bulk->init = bulk->data + bytes;
  bulk->cap = bytes;
}

static void finish(sim_bulk *bulk) {
  bulk->warp->cta->effects++;
  if (bulk->end == SIM_BULK_MBAR)
    sim_mbar_bytes_done(bulk);
  else if (bulk->end == SIM_BULK_ARRIVE)
    sim_mbar_arrive_done(bulk);
}

bool sim_bulk_fire(sim_bulk *bulk, uint8_t stage) {
  if (bulk->stage < 1 && stage >= 1) {
    bulk->stage = 1;
    if (bulk->read && !bulk->read(bulk))
      return false;
  }
  if (bulk->stage < 2 && stage >= 2) {
    bulk->stage = 2;
    if (bulk->write && !bulk->write(bulk))
      return false;
    finish(bulk);
  }
  return true;
}

// Removes operations that are done.
void sim_bulk_sweep(sim_cluster *cluster) {
  sim_bulk **link = &cluster->bulk;
  while (*link) {
    sim_bulk *bulk = *link;
    if (bulk->stage < 2) {
      link = &bulk->next;
      continue;
    }
    *link = bulk->next;
    bulk->next = cluster->free_bulk;
    cluster->free_bulk = bulk;
  }
  cluster->bulk_tail = link;
}

void sim_bulk_issue(sim_bulk *bulk) {
  sim_cluster *cluster = bulk->warp->cta->cluster;
  bulk->next = NULL;
  *cluster->bulk_tail = bulk;
  cluster->bulk_tail = &bulk->next;
  bulk->warp->cta->effects++;
  if (cluster->launch->machine->options.async == SIM_ASYNC_EAGER) {
    sim_bulk_fire(bulk, 2);
    sim_bulk_sweep(cluster);
  } else if (bulk->end != SIM_BULK_GROUP) {
    sim_wake(bulk->bar_cta, bulk->bar_offset); // a lazy machine lets it land for who waits
  }
}

void sim_bulk_fire_random(sim_cluster *cluster) {
  uint32_t count = 0;
  for (sim_bulk *bulk = cluster->bulk; bulk; bulk = bulk->next)
    count++;
  if (!count)
    return;
  uint64_t draw = sim_random(cluster->launch);
  uint32_t pick = (uint32_t)(draw % count);
  sim_bulk *bulk = cluster->bulk;
  while (pick--)
    bulk = bulk->next;
  // a store's source is sometimes read long before its destination is written
  sim_bulk_fire(bulk, bulk->end == SIM_BULK_GROUP && draw >> 40 & 1 ? 1 : 2);
  sim_bulk_sweep(cluster);
}

bool sim_bulk_fire_for(sim_cta *cta, uint32_t bar_offset) {
  for (sim_bulk *bulk = cta->cluster->bulk; bulk; bulk = bulk->next) {
    if (bulk->end == SIM_BULK_GROUP || bulk->stage == 2 || bulk->bar_cta != cta ||
        bulk->bar_offset != bar_offset)
      continue;
    sim_bulk_fire(bulk, 2);
    sim_bulk_sweep(cta->cluster);
    return true;
  }
  return false;
}

// --- exit ---------------------------------------------------------------------------------------
void sim_cluster_exit(sim_cluster *cluster, sim_cta *cta) {
  for (sim_bulk *bulk = cluster->bulk; bulk && cluster->launch->verdict == SIM_OK;
       bulk = bulk->next) {
    bool own = bulk->warp->cta == cta; // what it sent to others may still fly
    if (own && bulk->end == SIM_BULK_GROUP && bulk->group >= bulk->warp->bulk_open[bulk->lane]) {
      sim_fail(bulk->warp, bulk->op, 1u << bulk->lane, SIM_PENDING_ASYNC,
               "CTA (%u,%u,%u) ended and this operation was never committed to a bulk group",
               cta->id[0], cta->id[1], cta->id[2]);
    } else if (own && bulk->end == SIM_BULK_GROUP) {
      // Stores without a wait end with the grid; the hardware keeps the CTA's shared memory for
      // them, so their sources are still what was left there.
      sim_bulk_fire(bulk, 2);
    } else if (bulk->dst_cta == cta || bulk->bar_cta == cta || bulk->src_shared == &cta->shared ||
               (own && bulk->end == SIM_BULK_ARRIVE)) {
      sim_fail(bulk->warp, bulk->op, 1u << bulk->lane, SIM_PENDING_ASYNC,
               "CTA (%u,%u,%u) ended before this asynchronous operation was waited for", cta->id[0],
               cta->id[1], cta->id[2]);
    }
  }
  sim_bulk_sweep(cluster);
  cta->exited = true;
  cluster->shared[cta->rank] = NULL;
  cluster->live--;
}

// --- waiting ------------------------------------------------------------------------------------
void sim_wake(sim_cta *cta, uint32_t wait_at) {
  for (uint32_t i = 0; i < cta->nwarps; i++) {
    sim_warp *w = &cta->warps[i];
    for (int p = 0; p < w->npaths; p++)
      if (w->paths[p].state == SIM_PATH_EVENT && w->paths[p].wait_at == wait_at) {
        w->paths[p].state = SIM_PATH_RUN;
        w->blocked = false;
      }
  }
}

static bool has_runnable(const sim_cta *cta) {
  for (uint32_t i = 0; i < cta->nwarps; i++)
    if (cta->warps[i].live && !cta->warps[i].blocked)
      return true;
  return false;
}

// Tells waits on mbarriers to give up, as the hardware does after a while. *out_any: there were
// any.
static void time_out(sim_cluster *cluster, bool *out_any) {
  *out_any = false;
  for (uint32_t c = 0; c < cluster->n; c++)
    for (uint32_t i = 0; i < cluster->ctas[c]->nwarps; i++) {
      sim_warp *w = &cluster->ctas[c]->warps[i];
      for (int p = 0; p < w->npaths; p++) {
        sim_path *path = &w->paths[p];
        if (path->state != SIM_PATH_EVENT || path->wait_at >= SIM_WAIT_REGISTERS)
          continue;
        path->timed_out = true;
        path->state = SIM_PATH_RUN;
        w->blocked = false;
        *out_any = true;
      }
    }
}

// A loop around a wait may also look at global memory: others may still end it, unless they can do
// nothing either, or have done nothing for long.
static bool grid_idle(sim_cluster *cluster) {
  sim_launch_state *launch = cluster->launch;
  bool others = launch->more_to_come;
  for (uint32_t i = 0; i < launch->nresident; i++)
    others |= launch->resident[i]->cluster != cluster && has_runnable(launch->resident[i]);
  if (others)
    return launch->clock - launch->effect_clock > IDLE_LIMIT;
  return ++launch->idle_rounds > 4 * launch->nresident || launch->nresident == cluster->live;
}

sim_stuck sim_cluster_stuck(sim_cta *cta) {
  sim_cluster *cluster = cta->cluster;
  uint64_t effects = 0;
  bool any;
  for (uint32_t c = 0; c < cluster->n; c++) {
    if (cluster->ctas[c] != cta && !cluster->ctas[c]->exited && has_runnable(cluster->ctas[c]))
      return SIM_STUCK_YIELD;
    effects += cluster->ctas[c]->effects;
  }
  if (cluster->bulk) {
    sim_bulk_fire(cluster->bulk, 2);
    sim_bulk_sweep(cluster);
    return SIM_STUCK_RETRY;
  }
  if (cluster->stalled_rounds && cluster->stalled_effects != effects)
    cluster->stalled_rounds = 0;
  if (cluster->stalled_rounds >= 3) {
    cluster->stalled_rounds = 0;
    return grid_idle(cluster) ? SIM_STUCK_DEAD : SIM_STUCK_YIELD;
  }
  cluster->stalled_effects = effects;
  cluster->stalled_rounds++;
  time_out(cluster, &any);
  return any ? SIM_STUCK_RETRY : SIM_STUCK_DEAD;
}

// --- addresses ----------------------------------------------------------------------------------
bool sim_shared_place(sim_warp *w, const sim_op *op, int lane, sim_space space, uint64_t address,
                      uint32_t bytes, sim_cta **out_cta, uint32_t *out_offset) {
  uint64_t given = address;
  if (space == SIM_SPACE_GENERIC) {
    if (sim_space_of_generic(&address) != SIM_SPACE_SHARED) {
      sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS, "0x%llx does not lie in shared memory",
               (unsigned long long)given);
      return false;
    }
    space = SIM_SPACE_CLUSTER;
  }
  sim_cluster *cluster = w->cta->cluster;
  uint32_t bits = space == SIM_SPACE_CLUSTER ? sim_cluster_rank_bits(address) : 0;
  uint32_t rank = bits ? bits - 1 : w->cta->rank;
  if (rank >= cluster->n) {
    sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS, "address 0x%llx: the cluster has no CTA %u",
             (unsigned long long)given, rank);
    return false;
  }
  sim_cta *cta = cluster->ctas[rank];
  if (cta->exited) {
    sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS, "address 0x%llx: CTA %u of the cluster has exited",
             (unsigned long long)given, rank);
    return false;
  }
  uint64_t in_cta = (bits ? address & 0xFFFFFF : address) - SIM_SHARED_FIRST;
  uint64_t size = cta->launch->shared_total;
  if (in_cta > size || size - in_cta < bytes) {
    sim_fail(w, op, 1u << lane, SIM_BAD_ADDRESS,
             "%u bytes at 0x%llx lie outside the shared memory of the CTA (%llu bytes at 0x%llx)",
             bytes, (unsigned long long)given, (unsigned long long)size,
             (unsigned long long)SIM_SHARED_FIRST);
    return false;
  }
  *out_cta = cta;
  *out_offset = (uint32_t)in_cta;
  return true;
}
