// Race detection by happens-before, after FastTrack (Flanagan, Freund 2009): vector clocks on
// agents, last-access epochs on memory.
//
// Agents are the warps of every CTA plus one asynchronous agent per warp for its cp.async copies.
// An access is checked against the last writes (and, for a write, the last reads) of every 4-byte
// cell it touches: an earlier access to the same bytes by another agent must be known to this one
// through a chain of synchronisation. Lanes of one warp are ordered by instruction; two lanes of
// one instruction storing different values to the same bytes are reported by mem.c.
//
// mem.c makes the access calls. The scheduler only reports synchronisation:
//
//   launch:      sim_race_begin, then per CTA sim_race_cta_new and view->agent = sim_race_warp(cta,
//   w) bar.arrive:  sim_race_bar_arrive(agent, id) bar.sync:    sim_race_bar_arrive(agent, id) when
//   the warp arrives;
//                sim_race_bar_complete(cta, id, warps) when the barrier opens, warps = the waiting
//                ones
//   cp.async.commit_group:  token = sim_race_async_commit(agent)   (kept by the group's record)
//   cp.async.wait_group:    sim_race_async_wait(agent, token of the newest group that must be done)
//   fence, membar:          sim_race_fence(agent, scope)
//   exit of a CTA:          sim_race_cta_free
//
// A false alarm is a bug here; a missed race is possible where a comment below says so.
#ifndef RUNTIME_SIM_RACE_H
#define RUNTIME_SIM_RACE_H
#include "runtime/sim/mem.h"

typedef struct sim_race sim_race;             // one machine; survives launches
typedef struct sim_race_cta sim_race_cta;     // one resident CTA
typedef struct sim_race_agent sim_race_agent; // one warp: its vector clock

sim_race *sim_race_new(void);
void sim_race_free(sim_race *race);
// A new launch: everything before is ordered before it. `warps` per CTA (at most 32), `ctas` in
// all.
// `dependent`: but for the launch right before, whose accesses are ordered by sim_race_wait_grids.
void sim_race_begin(sim_race *race, uint32_t warps, uint64_t ctas, const uint32_t grid[3],
                    bool dependent);
// The CTA with this linear index starts. `shared` (may be NULL) gets a cleared shadow.
sim_race_cta *sim_race_cta_new(sim_race *race, uint64_t cta, sim_region *shared);
void sim_race_cta_free(sim_race_cta *cta);
sim_race_agent *sim_race_warp(sim_race_cta *cta, uint32_t warp);

// --- synchronisation ----------------------------------------------------------------------------
void sim_race_bar_arrive(sim_race_agent *agent, uint32_t barrier);
void sim_race_bar_complete(sim_race_cta *cta, uint32_t barrier, uint32_t warps);
// The copies issued so far by this warp and not committed yet become one group.
uint32_t sim_race_async_commit(sim_race_agent *agent);
void sim_race_async_wait(sim_race_agent *agent, uint32_t token); // groups up to this one are done
void sim_race_fence(sim_race_agent *agent, sim_scope scope);
void sim_race_wait_grids(sim_race_agent *agent); // griddepcontrol.wait
// A synchronisation object by key, for mbarriers, cluster barriers and the like: release joins the
// agent's clock into it, acquire joins it into the agent's.
void sim_race_release(sim_race_agent *agent, uint64_t key);
void sim_race_acquire(sim_race_agent *agent, uint64_t key);

// An mbarrier or a cluster barrier: clocks released in the phase that is open, and in those done.
// Waiting observes phases that are done only. Start with zeros.
typedef struct sim_race_sync {
  struct sim_clocks *open, *done;
} sim_race_sync;
void sim_race_sync_release(sim_race_agent *agent, sim_race_sync *sync);
void sim_race_sync_async(sim_race_sync *sync, uint64_t token); // an asynchronous operation's end
void sim_race_sync_complete(sim_race_sync *sync);              // the phase is over
void sim_race_sync_acquire(sim_race_agent *agent, const sim_race_sync *sync);
void sim_race_sync_free(sim_race_sync *sync);
// fence.mbarrier_init: inits so far travel even through relaxed cluster barriers, by
// publish_inits. sim_race_now is the epoch of an init.
void sim_race_fence_inits(sim_race_agent *agent);
void sim_race_sync_publish_inits(const sim_race_agent *agent, sim_race_sync *sync);
// A relaxed arrival carries what the agent's last fence of cluster scope or wider released.
void sim_race_sync_publish_fenced(const sim_race_agent *agent, sim_race_sync *sync);
uint64_t sim_race_now(const sim_race_agent *agent);
bool sim_race_knows_init(const sim_race_agent *agent, uint64_t init);

// Operations of the async proxy. A token stands for one set of accesses that end together: take one
// for the reads and one for the writes where the two are waited for separately. Accesses are
// checked when the operation is issued, with what the issuer knows then; whoever touches the bytes
// later must have waited for the token (directly, or through a sim_race_sync it was published to).
uint64_t sim_race_bulk_begin(sim_race_agent *issuer);
bool sim_race_bulk_access(sim_race_agent *issuer, uint64_t token, sim_region *region,
                          uint64_t offset, uint64_t bytes, bool writes, uint32_t line,
                          sim_fault *fault);
// The same for st.async and red.async (atomic), which write through the generic proxy.
bool sim_race_async_store(sim_race_agent *issuer, uint64_t token, sim_region *region,
                          uint64_t offset, uint64_t bytes, bool atomic, uint32_t line,
                          sim_fault *fault);
void sim_race_bulk_wait(sim_race_agent *agent, uint64_t token);
uint64_t sim_race_cp_async_token(sim_race_agent *agent); // the warp's cp.async copies until now
// fence.proxy.async, or its form for one space: what the agent knows there may now be seen by the
// async proxy.
void sim_race_fence_proxy(sim_race_agent *agent, bool shared, bool global);

// --- accesses (called by mem.c) -----------------------------------------------------------------
// The shadow of 4 bytes. An
// epoch packs (low to high) the bytes touched, whether the access was strong, PTX line, clock and
// agent; or it is the index of a set of epochs, where agents read without being ordered or where
// bytes of one cell have different writers. 0: none yet.
typedef struct sim_race_cell {
  uint64_t write, read;
} sim_race_cell;

typedef enum sim_race_kind {
  SIM_RACE_READ,
  SIM_RACE_WRITE,
  SIM_RACE_STRONG_READ,
  SIM_RACE_STRONG_WRITE,
  SIM_RACE_ATOMIC,     // strong read and write
  SIM_RACE_ASYNC_READ, // by the warp's asynchronous agent, checked with what the warp knows now
  SIM_RACE_ASYNC_WRITE,
  SIM_RACE_BULK_READ, // by the async proxy (sim_race_bulk_access)
  SIM_RACE_BULK_WRITE
} sim_race_kind;

// One warp access: `bytes` at offset[lane] of the region for each lane of the mask (aligned to its
// size when below 4, else to 4). false: a race; *fault gets verdict, lane, line and text.
bool sim_race_access(sim_race_agent *agent, sim_region *region, const uint64_t offset[SIM_LANES],
                     uint32_t mask, uint32_t bytes, sim_race_kind kind, uint32_t line,
                     sim_fault *fault);
// The region goes away (or starts anew): its shadow is dropped.
void sim_race_forget(sim_region *region);
// The host has written these bytes: what launches did to them before is over.
void sim_race_host_write(sim_region *region, uint64_t offset, uint64_t bytes);
// The synchronising part of strong accesses: sem has SIM_SEM_* bits; after the access was checked.
void sim_race_strong(sim_race_agent *agent, sim_region *region, uint64_t offset, bool reads,
                     bool writes, sim_access access);
#endif
