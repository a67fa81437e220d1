// Inside of the race detector: shared by race.c (memory cells) and race_sync.c (edges).
#ifndef RUNTIME_SIM_RACE_IMPL_H
#define RUNTIME_SIM_RACE_IMPL_H
#include "runtime/sim/race.h"
#include "runtime/sim/race_clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- epochs -------------------------------------------------------------------------------------
//   63       44 43      23 22      5   4     3    0
//   |  agent   |  clock   |  line   | strong | bytes |
#define BYTES_MASK UINT64_C(0xF)
#define STRONG_BIT UINT64_C(0x10)
enum { LINE_SHIFT = 5, CLOCK_SHIFT = 23, AGENT_SHIFT = 44 };
enum { LINE_MAX_VALUE = (1 << 18) - 1, CLOCK_MAX = (1 << 21) - 1, AGENT_SET = (1 << 20) - 1 };

static inline uint32_t epoch_agent(uint64_t e) { return (uint32_t)(e >> AGENT_SHIFT); }
static inline uint32_t epoch_clock(uint64_t e) { return (uint32_t)(e >> CLOCK_SHIFT) & CLOCK_MAX; }
static inline uint32_t epoch_line(uint64_t e) {
  return (uint32_t)(e >> LINE_SHIFT) & LINE_MAX_VALUE;
}
static inline bool is_set(uint64_t e) { return epoch_agent(e) == AGENT_SET; }

// --- state --------------------------------------------------------------------------------------
enum { MAX_WARPS = 32, MAX_BARRIERS = 16, MAX_SET = 64, MEMO_SIZE = 1024 };
// Agents of a CTA: its warps, one for the cp.async copies of each, and a pool that the operations
// of the async proxy (bulk copies, TMA, wgmma) take in turn, so that waiting for one says nothing
// about another.
enum { BULK_AGENTS = 32, MAX_AGENTS = 2 * MAX_WARPS + BULK_AGENTS };
// Key spaces of sparse clocks beside the agents themselves.
#define PROXIED_KEY(global) (UINT32_C(0x80000000) | (uint32_t)(global) << 29) // as proxied[global]
#define INIT_KEY UINT32_C(0x40000000) // mbarriers initialised up to this clock are published
#define GRIDS_KEY (INIT_KEY | UINT32_C(0x200000)) // 1: the grids before this one have been waited for
enum { MAX_SETS = 1 << 18 };          // then unused sets are dropped

typedef struct memo {
  uint64_t from, epoch, to; // adding the epoch to the set gives `to`; from 0: empty
} memo;

typedef struct sync_object {
  uint64_t key;     // 0: free slot
  sim_clocks *wide; // released at cluster scope or wider
  sim_clocks *near; // released at any scope by the CTA `cta`
  uint32_t cta;
} sync_object;

struct sim_race {
  uint32_t launch, warps, agents_per_cta;
  uint32_t grid[3];
  bool proxies;   // the launch has executed a proxy fence
  bool dependent; // the launch may have started before the one before it ended
  uint64_t ctas;
  // interned sets: set i is set_data[set_at[i] .. set_at[i] + set_len[i])
  uint64_t *set_data;
  size_t set_words, set_words_cap;
  uint32_t *set_at, *set_len, *set_hash; // set_hash: open addressing, index + 1
  uint32_t set_count, set_cap, hash_cap;
  memo memo[MEMO_SIZE];
  sync_object *objects;
  uint32_t object_count, object_cap;
  sim_region **shadowed; // regions with a shadow
  size_t shadowed_count, shadowed_cap;
};

struct sim_race_agent {
  sim_race_cta *cta;
  uint32_t index;       // warp
  uint32_t async_clock; // of the warp's asynchronous agent
  uint32_t clock[MAX_AGENTS];
  // The part of `clock` whose generic accesses a fence.proxy.async has shown to the async proxy.
  // Shared and global memory apart: a fence may name one of them.
  uint32_t proxied[2][MAX_AGENTS];
  // What is known of other CTAs; NULL: nothing. Keys are agents, plus the *_KEY spaces below.
  sim_clocks *foreign;
  sim_clocks *released; // what the last fence published, and its scope
  sim_scope released_scope;
  sim_clocks *acquired; // read by strong loads, to be taken over by the next fence
};

typedef struct barrier_clock {
  uint32_t clock[MAX_AGENTS], proxied[2][MAX_AGENTS];
  sim_clocks *foreign;
} barrier_clock;

struct sim_race_cta {
  sim_race *race;
  uint32_t first_agent; // id of warp 0
  uint64_t linear;
  uint32_t bulk_next, bulk_clock[BULK_AGENTS];
  barrier_clock barriers[MAX_BARRIERS];
  sim_race_agent warps[];
};

static inline void *must(void *p) {
  if (!p) {
    fprintf(stderr, "simulator: out of memory in the race detector\n");
    abort();
  }
  return p;
}

static inline uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 31)) * UINT64_C(0x9E3779B97F4A7C15);
  return x ^ (x >> 29);
}

static inline bool known(const sim_race_agent *agent, uint64_t e) {
  uint32_t local = epoch_agent(e) - agent->cta->first_agent;
  if (local < agent->cta->race->agents_per_cta)
    return agent->clock[local] >= epoch_clock(e);
  return sim_clocks_get(agent->foreign, epoch_agent(e)) >= epoch_clock(e);
}

static inline bool is_bulk_epoch(const sim_race *race, uint64_t e) {
  return epoch_agent(e) % race->agents_per_cta >= 2 * race->warps;
}

// Whether e is an access by the generic proxy that the async proxy may not see yet.
static inline bool hidden_from_async(const sim_race_agent *agent, uint64_t e, bool global) {
  const sim_race *race = agent->cta->race;
  // What cp.async wrote is taken as visible: shipped kernels (CUTLASS, Triton, FlashMLA) feed wgmma
  // with it and have no proxy fence.
  if (epoch_agent(e) % race->agents_per_cta >= race->warps)
    return false;
  uint32_t local = epoch_agent(e) - agent->cta->first_agent;
  if (local < race->agents_per_cta)
    return agent->proxied[global][local] < epoch_clock(e);
  return sim_clocks_get(agent->foreign, PROXIED_KEY(global) | epoch_agent(e)) < epoch_clock(e);
}

// race_grid.c. The shadow that a dependent launch finds becomes that of the grid before it.
void sim_race_keep_before(sim_race *race, sim_region *region);
// Whether an access may conflict with the grid before this one; slow, asked only until it is waited
// for. false: it does, and *fault says how.
bool sim_race_check_before(const sim_race_agent *agent, const sim_region *region, uint64_t offset,
                           uint64_t bytes, int lane, bool writes, uint32_t line, sim_fault *fault);
static inline bool sim_race_must_check_before(const sim_race_agent *agent,
                                              const sim_region *region) {
  const sim_race *race = agent->cta->race;
  return race->dependent && region->before && region->before_launch == race->launch &&
         !sim_clocks_get(agent->foreign, GRIDS_KEY);
}
// race_sync.c
void sim_race_drop_objects(sim_race *race);
#endif
