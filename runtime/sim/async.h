// The asynchronous machine: clusters, mbarriers of a CTA, and operations of the async proxy between
// issue and landing. Internal to runtime/sim.
//
// An operation is issued by one lane and then fires in two halves, source read and destination
// written, anywhere in its window: at once (eager), when somebody waits for it (lazy), or at
// random. Bytes are read when the first half fires, so a source that is reused too early really
// corrupts.
#ifndef RUNTIME_SIM_ASYNC_H
#define RUNTIME_SIM_ASYNC_H
#include "runtime/sim/exec.h"
#include "runtime/sim/mbar.h"
#include "runtime/sim/tma.h"

enum { SIM_CLUSTER_MAX = 16 };

typedef struct sim_mbar { // an mbarrier of a CTA
  sim_mbar_state state;
  uint32_t offset;    // in the CTA's shared memory
  uint64_t init;      // race detector: when it was initialised
  uint32_t init_line; // of the mbarrier.init
  sim_race_sync sync;
} sim_mbar;

typedef enum sim_bulk_end { // how the end of an operation is told
  SIM_BULK_MBAR,            // complete_tx on an mbarrier
  SIM_BULK_GROUP,           // bulk group of the issuing thread
  SIM_BULK_ARRIVE           // an arrival (cp.async.mbarrier.arrive)
} sim_bulk_end;

typedef struct sim_bulk sim_bulk;
struct sim_bulk {
  sim_bulk *next;
  bool (*read)(sim_bulk *bulk);  // source into data; false: a fault was reported
  bool (*write)(sim_bulk *bulk); // data to the destination
  sim_warp *warp;
  const sim_op *op;
  int lane;
  uint8_t stage; // 0 issued, 1 source read, 2 done
  uint8_t end;   // sim_bulk_end
  uint32_t group;
  sim_cta *bar_cta; // MBAR, ARRIVE
  uint32_t bar_offset, tx;
  uint64_t read_token, write_token; // of the race detector
  uint32_t lanes;                   // ARRIVE: whose cp.async copies must land first
  sim_cta *dst_cta;                 // destination in shared memory, or NULL
  uint64_t src, dst;                // global address, or offset in shared memory
  sim_region *src_shared, *dst_shared;
  uint32_t bytes;
  bool reduce;
  uint8_t what; // sim_atom_op
  ptx_type type;
  bool gather;
  int32_t coords[SIM_TMA_RANK];
  sim_tensor_map map;
  sim_tma_box box;
  uint8_t *data, *init; // init: one byte per byte of data, 0: never written
  size_t cap;
};

typedef struct sim_cluster {
  sim_launch_state *launch;
  uint32_t n, live; // CTAs; those not exited
  sim_cta *ctas[SIM_CLUSTER_MAX];
  sim_region *shared[SIM_CLUSTER_MAX]; // NULL: exited
  sim_bulk *bulk, *free_bulk;          // oldest first
  sim_bulk **bulk_tail;
  uint32_t phase; // of the cluster barrier
  sim_race_sync sync;
  uint64_t stalled_effects; // progress when waits were last told to give up
  int stalled_rounds;
} sim_cluster;

// --- async.c
sim_cluster *sim_cluster_new(sim_launch_state *launch, uint32_t n);
void sim_cluster_free(sim_cluster *cluster);
void sim_cluster_add(sim_cluster *cluster, sim_cta *cta);  // its shared memory is ready
void sim_cluster_exit(sim_cluster *cluster, sim_cta *cta); // all its warps have exited
sim_bulk *sim_bulk_new(sim_warp *warp, const sim_op *op, int lane);
void sim_bulk_room(sim_bulk *bulk, size_t bytes);
void sim_bulk_issue(sim_bulk *bulk); // queued, or fired at once
bool sim_bulk_fire(sim_bulk *bulk, uint8_t stage);
void sim_bulk_sweep(sim_cluster *cluster);
void sim_bulk_fire_random(sim_cluster *cluster);
// Fires one operation that ends at this mbarrier; false: there is none.
bool sim_bulk_fire_for(sim_cta *cta, uint32_t bar_offset);
// Nothing in the CTA can run. RETRY: something happened; YIELD: other CTAs of the cluster can run.
typedef enum sim_stuck { SIM_STUCK_RETRY, SIM_STUCK_YIELD, SIM_STUCK_DEAD } sim_stuck;
sim_stuck sim_cluster_stuck(sim_cta *cta);
void sim_wake(sim_cta *cta, uint32_t wait_at);
// Where a shared or generic address of one lane lies; reports what lies nowhere. `space`: SHARED
// (own CTA only), CLUSTER or GENERIC.
bool sim_shared_place(sim_warp *w, const sim_op *op, int lane, sim_space space, uint64_t address,
                      uint32_t bytes, sim_cta **out_cta, uint32_t *out_offset);

// --- exec_mbar.c
sim_mbar *sim_mbar_find(sim_cta *cta, uint32_t offset); // NULL: no mbarrier there
void sim_mbars_free(sim_cta *cta);
// The asynchronous ends; faults name the operation.
void sim_mbar_bytes_done(sim_bulk *bulk);
void sim_mbar_arrive_done(sim_bulk *bulk);
bool sim_mbar_usable(sim_warp *w, const sim_op *op, int lane, sim_cta *cta, uint32_t offset);
void sim_describe_mbar(const sim_cta *cta, uint32_t offset, tl_buf *out);
typedef struct sim_mbar_info {
  sim_space space;
  bool wide, drop, no_complete, expect_tx, relaxed, noinc, state;
  bool test;     // test_wait never blocks
  int32_t count; // slot of count, bytes, parity or (wide) state; SIM_SINK: none
} sim_mbar_info;
void sim_exec_mbar_init(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_mbar_inval(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_mbar_arrive(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_mbar_tx(sim_warp *w, const sim_op *op, uint32_t mask); // sub: 0 expect, 1 complete
void sim_exec_mbar_wait(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_mbar_count(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_cp_async_arrive(sim_warp *w, const sim_op *op, uint32_t mask);

// --- exec_tma.c
typedef struct sim_place { // a memory operand
  int32_t slot;
  bool wide;
  int64_t offset;
  sim_space space;
} sim_place;
typedef struct sim_bulk_info {
  sim_place dst, src, bar, map;
  bool has_bar;
  int32_t size, mask; // slots; SIM_SINK: none
  int32_t coords[SIM_TMA_RANK];
  uint8_t ncoords;
  bool gather, reduce, store, prefetch;
  uint8_t what; // sim_atom_op
  ptx_type type;
  uint8_t elems;     // st.async: vector length
  int32_t values[8]; // st.async, red.async: planes
} sim_bulk_info;
void sim_exec_bulk(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_tma(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_st_async(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_bulk_commit(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_bulk_wait(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_tensormap(sim_warp *w, const sim_op *op, uint32_t mask);

// --- tensormap.c
void sim_exec_tensormap_replace(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_tensormap_copy(sim_warp *w, const sim_op *op, uint32_t mask);

// --- bulk.c: moving the bytes
bool sim_bulk_read_copy(sim_bulk *bulk);
bool sim_bulk_write_copy(sim_bulk *bulk);
bool sim_bulk_read_tile(sim_bulk *bulk);    // global to data
bool sim_bulk_write_tile(sim_bulk *bulk);   // data to shared
bool sim_bulk_gather_tile(sim_bulk *bulk);  // shared to data
bool sim_bulk_scatter_tile(sim_bulk *bulk); // data to global
// Checks at issue: bounds and races of a range of global memory, or of one box.
bool sim_bulk_check_global(sim_bulk *bulk, uint64_t address, uint64_t bytes, bool writes);
bool sim_bulk_check_shared(sim_bulk *bulk, sim_region *region, uint64_t offset, uint64_t bytes,
                           bool writes);
bool sim_bulk_check_tile(sim_bulk *bulk, bool store);
void sim_bulk_fault(sim_bulk *bulk); // view->fault of the issuer becomes the verdict

// --- exec_cluster.c
void sim_exec_cluster_arrive(sim_warp *w, const sim_op *op, uint32_t mask); // sub: 1 relaxed
void sim_exec_cluster_wait(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_cluster_recheck(sim_cluster *cluster); // lanes have exited
void sim_exec_mapa(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_getctarank(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_fence_proxy(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_fence_init(sim_warp *w, const sim_op *op, uint32_t mask);
// setmaxnreg.c; imm: n; sub: 1 inc
void sim_exec_setmaxnreg_dec(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_exec_setmaxnreg_inc(sim_warp *w, const sim_op *op, uint32_t mask);
void sim_describe_registers(const sim_warp *w, const sim_op *op, tl_buf *out);

// exec_mem.c: the read-modify-write of atomics and reductions, one element. Recorded: atomics on
// global memory flush f32 subnormals, bulk reductions and shared memory keep them; of two f64
// NaNs the added one wins, on shared memory the old one, and only there it is quietened.
typedef enum sim_atom_unit { SIM_UNIT_GLOBAL, SIM_UNIT_SHARED, SIM_UNIT_BULK } sim_atom_unit;
uint64_t sim_atom_apply(sim_atom_op what, ptx_type type, uint64_t old, uint64_t value,
                        sim_atom_unit unit);
// exec_async.c: lets the cp.async copies of these lanes land
void sim_cp_async_land(sim_warp *w, uint32_t lanes);
#endif
