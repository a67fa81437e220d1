// The simulated machine from inside: decoded programs, CTAs, warps, paths.
//
// A PTX entry becomes one flat array of sim_op (decode*.c): names, types, labels and calls are
// resolved there (calls are expanded in place), execution never sees a string. A warp executes one
// op for all its active lanes at once:
//
//   registers   lane-minor planes of 32 words; 64-bit registers are two planes, low word first
//   predicates  one 32-bit mask each; predicate 0 is always true
//   constants   planes shared by all warps, addressed by negative slots
//
// A warp is a set of paths (pc, mask). A branch splits a path, equal pcs merge (sched.c).
#ifndef RUNTIME_SIM_SIM_H
#define RUNTIME_SIM_SIM_H
#include "lang/base/fp.h"
#include "lang/base/str.h"
#include "lang/base/vec.h"
#include "runtime/ptx/ptx.h"
#include "runtime/sim/mem.h"
#include "runtime/sim/mma.h"
#include "runtime/sim/race.h"
#include "runtime/sim/sim_api.h"

typedef struct sim_op sim_op;
typedef struct sim_warp sim_warp;
typedef struct sim_cta sim_cta;
typedef struct sim_launch_state sim_launch_state;

// Executes one op for the lanes of `mask` (never 0).
typedef void (*sim_fn)(sim_warp *warp, const sim_op *op, uint32_t mask);

// How the scheduler treats an op.
typedef enum sim_flow {
  SIM_FLOW_NEXT,      // run fn for the active lanes, go on
  SIM_FLOW_WARPGROUP, // needs four whole warps here: exec_wgmma.c
  SIM_FLOW_BRANCH,    // to op->target where the guard holds
  SIM_FLOW_EXIT,      // lanes where the guard holds are done
  SIM_FLOW_SYNC,      // needs all live lanes of the membermask (slot op->member) here
  SIM_FLOW_ALIGNED,   // needs all live lanes of the warp here; then fn
  SIM_FLOW_BARRIER,   // CTA barrier: sync.c
  SIM_FLOW_WAIT       // fn may set warp->stay: the path then waits at the op and runs it again
} sim_flow;

struct sim_op {
  sim_fn fn;
  int32_t d, a, b, c; // slots: registers >= 0, constants < 0; predicates where the op says so
  uint16_t guard;     // predicate; 0: none
  bool guard_negated;
  uint8_t flow;    // sim_flow
  uint16_t form;   // ptx_form
  uint8_t sub;     // small selector the op's function understands
  uint8_t flags;   // SIM_OPF_*
  uint32_t target; // BRANCH: op index
  int32_t member;  // SYNC: slot of the membermask; BARRIER: slot of the thread count
  int64_t imm;
  const void *extra; // lists of slots and the like; belongs to the program
  uint32_t line;     // in the PTX text
  uint32_t loc;      // .loc: index into program->locs, 0 none
};

enum {
  SIM_OPF_NOT_A = 1, // predicate operand a is negated
  SIM_OPF_NOT_B = 2,
  SIM_OPF_NOT_C = 4,
  SIM_OPF_ALIGNED = 8,    // barrier with .aligned
  SIM_OPF_GENERATED = 16, // not counted as an instruction (reads of special registers)
  SIM_OPF_WGMMA_REG = 32  // touches a register that some wgmma uses: program->touched
};

typedef struct sim_loc {
  const char *path;
  int line;
} sim_loc;

// A register operand of an op, kept for programs with wgmma: its registers may not be touched while
// one is in flight.
typedef struct sim_touch {
  int32_t slot;
  uint8_t planes;
  bool written;
} sim_touch;
typedef struct sim_touch_range {
  uint32_t first, count; // in program->touches
} sim_touch_range;

typedef struct sim_program { // one entry
  const char *entry;
  const sim_op *ops;
  const ptx_instr *const *instrs; // per op, for messages and traces
  uint32_t nops;
  const uint32_t *consts; // planes of 32
  uint32_t nregs;         // planes per warp
  uint32_t npreds;
  uint32_t local_bytes;  // per thread
  uint32_t shared_bytes; // static; dynamic shared memory starts here, aligned
  uint32_t dynamic_align;
  const sim_loc *locs;
  uint32_t nparams, params_bytes;
  const uint32_t *param_offsets, *param_sizes;
  int reqntid[3], maxntid[3], reqcluster[3]; // 0: not given
  int minnctapersm, maxnreg;                 // the same
  const sim_touch *touches;                  // NULL: no wgmma
  const sim_touch_range *touched;            // per op
} sim_program;

// --- running state ------------------------------------------------------------------------------
typedef enum sim_path_state {
  SIM_PATH_RUN,
  SIM_PATH_ALIGN,     // at an aligned op, waiting for the other lanes of the warp
  SIM_PATH_LANES,     // at a .sync op, waiting for the lanes of the membermask
  SIM_PATH_GATHER,    // at a barrier without .aligned, waiting for the warp's other lanes
  SIM_PATH_BARRIER,   // arrived at CTA barrier `barrier`, waiting for the others
  SIM_PATH_WARPGROUP, // at a warpgroup op, waiting for the other warps
  SIM_PATH_EVENT      // asks again when rescheduled (mbarrier waits of later forms)
} sim_path_state;

typedef struct sim_path {
  uint32_t pc, mask;
  uint8_t state;     // sim_path_state
  uint8_t barrier;   // BARRIER
  uint32_t backward; // backward branches since another path was last preferred
  uint32_t wait_at;  // EVENT: offset of the mbarrier, or a SIM_WAIT
  bool timed_out;    // EVENT: nothing else can happen, the wait has to give up once
} sim_path;
#define SIM_WAIT_CLUSTER UINT32_MAX
#define SIM_WAIT_REGISTERS (UINT32_MAX - 1)

enum { SIM_ASYNC_GROUPS = 64, SIM_WARP_GROUPS = 256 };

typedef struct sim_group_tokens { // a bulk operation of a lane, for the race detector
  uint8_t lane;
  uint32_t group;
  uint64_t read, write;
} sim_group_tokens;

struct sim_warp {
  sim_cta *cta;
  uint32_t index; // in the CTA
  uint32_t *regs; // nregs planes
  uint32_t *preds;
  const uint32_t *consts;
  uint32_t live;  // lanes that exist and have not exited
  uint32_t carry; // condition code of add.cc and friends
  int npaths;
  sim_path paths[32];
  uint64_t steps; // warp instructions executed
  sim_mem_view view;
  sim_region local;
  uint32_t async_open[32];                  // per lane: cp.async groups committed so far
  uint32_t async_token[SIM_ASYNC_GROUPS];   // the race detector's token of recent groups
  const sim_op *op;                         // being executed
  uint8_t blocked;                          // no path can run
  bool stay, timed_out;                     // SIM_FLOW_WAIT: asks to wait; must not
  uint32_t wait_at;                         // with stay
  uint32_t bulk_open[32];                   // per lane: bulk groups committed so far
  sim_group_tokens groups[SIM_WARP_GROUPS]; // not yet waited for; oldest first
  uint32_t ngroups;
  uint32_t cluster_arrived, cluster_done; // lanes at the cluster barrier; released, not yet waited
  uint32_t regs_per_thread;               // after a setmaxnreg; 0: as launched
  uint32_t regs_given;                    // by setmaxnreg.dec, not yet in the pool; per thread
};

typedef struct sim_barrier {
  uint32_t expected_threads; // of the current phase; 0: nobody arrived yet
  uint32_t arrived_threads;
  bool all_threads;       // count omitted
  uint32_t arrived_warps; // mask: arrived in this phase
  uint32_t waiting_warps; // mask: to be released
  uint32_t count_true;    // bar.red: lanes with a true predicate
  uint32_t count_lanes;
  uint32_t phase;
} sim_barrier;

// An asynchronous operation between issue and landing. cp.async is the first user; bulk copies,
// TMA and wgmma follow the same life: issued, fired once by the scheduler or by a wait.
typedef struct sim_event sim_event;
struct sim_event {
  void (*fire)(sim_event *event, uint32_t lanes); // lands these lanes; sim_fail on a fault
  sim_warp *warp;
  const sim_op *op;
  uint32_t pending;   // lanes not landed yet
  uint32_t group[32]; // per lane: the group it will belong to
  uint64_t dst[32], src[32];
  uint32_t src_bytes[32];
  uint32_t bytes;
  uint32_t race_token;
  sim_event *next;
};

struct sim_cta {
  sim_launch_state *launch;
  const sim_program *program;
  uint64_t linear;
  uint32_t id[3];
  uint32_t nwarps, live_warps;
  sim_warp *warps;
  sim_barrier barriers[16];
  sim_region shared;
  sim_race_cta *race;
  sim_event *events, *free_events; // oldest first
  sim_event **events_tail;
  struct sim_wgmma_cta *wgmma; // NULL: the program has none
  uint64_t steps;
  uint32_t turn;    // the warp that runs next (rr)
  uint64_t effects; // stores, barriers, mma: no progress in them means spinning
  uint32_t starved; // instructions since the starved warp ran
  sim_cta *next;    // resident or free list
  struct sim_cluster *cluster;
  uint32_t rank; // in the cluster
  uint32_t reg_pool; // registers per thread of one warp that setmaxnreg.inc may take
  bool exited;
  struct sim_mbar *mbars; // live mbarriers (mbar.h), found through mbar_index
  uint32_t nmbars, mbar_cap;
  uint16_t *mbar_index; // per 8 bytes of shared memory: index + 1
  uint32_t *reg_block, *pred_block;
};

struct sim_machine {
  tl_arena arena;
  sim_options options;
  const char *arch_name;
  sim_arch arch;
  int capability;
  uint32_t max_shared_bytes;
  sim_mem *mem;
  sim_race *race;
  tl_buf error;
  sim_counters counters;
  uint64_t *form_counts;  // [PTX_FORM_COUNT]
  uint64_t *form_partial; // the same, executed with some lanes off
};

// A module-level variable and where it lives.
typedef struct sim_symbol {
  const char *name;
  sim_space space;
  uint64_t address, bytes;
} sim_symbol;

struct sim_module {
  sim_machine *machine;
  tl_arena arena;
  ptx_module *ptx;
  sim_region constant; // the constant bank
  bool has_constant;
  TL_VEC(sim_symbol) symbols;
  TL_VEC(const sim_program *) programs; // decoded entries
  TL_VEC(uint64_t) globals;             // allocations to release
};

struct sim_launch_state {
  sim_machine *machine;
  const sim_module *module;
  const sim_program *program;
  const sim_launch_desc *desc;
  uint64_t rng;
  sim_verdict verdict; // anything but SIM_OK stops the launch
  sim_fault fault;
  sim_region param;
  uint32_t shared_total; // static + dynamic
  uint32_t nwarps;
  uint64_t clock; // warp instructions of the launch: %clock
  // When a CTA last had an effect, and how often a cluster found nothing to do since.
  uint64_t effect_clock;
  uint32_t idle_rounds;
  sim_cta *const *resident; // CTAs that run
  uint32_t nresident;
  bool more_to_come; // clusters that can start now
};

// --- slots --------------------------------------------------------------------------------------
static inline uint32_t *sim_dst(const sim_warp *warp, int32_t slot) {
  return warp->regs + (size_t)slot * 32;
}
static inline const uint32_t *sim_src(const sim_warp *warp, int32_t slot) {
  return slot >= 0 ? warp->regs + (size_t)slot * 32 : warp->consts + (size_t)~slot * 32;
}
static inline uint64_t sim_get64(const uint32_t *plane, int lane) {
  return plane[lane] | (uint64_t)plane[32 + lane] << 32;
}
static inline void sim_put64(uint32_t *plane, int lane, uint64_t value) {
  plane[lane] = (uint32_t)value;
  plane[32 + lane] = (uint32_t)(value >> 32);
}
static inline uint32_t sim_pred(const sim_warp *warp, int32_t index, bool negated) {
  return warp->preds[index] ^ (negated ? ~0u : 0u);
}
static inline void sim_set_pred(sim_warp *warp, int32_t index, uint32_t mask, uint32_t value) {
  if (index)
    warp->preds[index] = (warp->preds[index] & ~mask) | (value & mask);
}

// Runs `body` for each lane i of `mask`; the full-mask loop is the one the compiler vectorises.
#define SIM_LANES_DO(mask, ...)                                                                    \
  if ((mask) == ~0u) {                                                                             \
    _Pragma("GCC ivdep") for (int i = 0; i < 32; i++) { __VA_ARGS__ }                              \
  } else {                                                                                         \
    for (uint32_t left_ = (mask); left_; left_ &= left_ - 1) {                                     \
      int i = __builtin_ctz(left_);                                                                \
      __VA_ARGS__                                                                                  \
    }                                                                                              \
  }

double sim_now(void); // seconds of this thread on its processor
// Time spent in tensor instructions, when statistics are on: between a begin and its end. The clock
// costs as much as a small instruction, so of those one in `every` is measured and stands for all.
static inline double sim_tensor_begin(const sim_machine *machine, uint32_t every) {
  bool timed = machine->options.stats && machine->counters.mma_instructions % every == 0;
  return timed ? sim_now() : -1;
}
static inline void sim_tensor_end(sim_machine *machine, double begin, uint32_t every) {
  if (begin >= 0)
    machine->counters.tensor_seconds += (sim_now() - begin) * every;
}

// --- failing ------------------------------------------------------------------------------------
// First failure wins; the scheduler stops after the current op. `lanes` may be 0.
__attribute__((format(printf, 5, 6))) void sim_fail(sim_warp *warp, const sim_op *op,
                                                    uint32_t lanes, sim_verdict verdict,
                                                    const char *fmt, ...);
void sim_fail_memory(sim_warp *warp, const sim_op *op); // from warp->view.fault
__attribute__((format(printf, 2, 3))) void sim_machine_error(sim_machine *machine, const char *fmt,
                                                             ...);

// --- decode.c
// ------------------------------------------------------------------------------------- NULL with
// *out_verdict and the machine's error text set. Memory of the program is the module's.
const sim_program *sim_decode(sim_module *module, const ptx_func *entry, sim_verdict *out_verdict);
// A module-level .global or .const variable; NULL: unknown.
const sim_symbol *sim_find_symbol(const sim_module *module, const char *name);

// --- sched.c and its helpers --------------------------------------------------------------------
void sim_run_grid(sim_launch_state *launch);
uint64_t sim_random(sim_launch_state *launch); // splitmix64 of the launch's seed
// sync.c: a path whose exec lanes reached a barrier op; returns false when the path must wait.
bool sim_barrier_reach(sim_warp *warp, sim_path *path, const sim_op *op);
void sim_barrier_recheck(sim_cta *cta);                  // after a warp exited
void sim_paths_merge(sim_warp *warp);                    // paths at equal pcs become one
void sim_describe_wait(const sim_cta *cta, tl_buf *out); // who waits on what
// exec_async.c
sim_event *sim_event_new(sim_cta *cta);
void sim_events_fire_random(sim_cta *cta);
bool sim_events_pending(const sim_cta *cta, const sim_warp *warp_or_null);
void sim_events_free(sim_cta *cta);
void sim_event_fire(sim_event *event, uint32_t lanes); // those still pending
void sim_events_sweep(sim_cta *cta);                   // forgets landed events
// exec_wgmma.c
void sim_wgmma_start(sim_cta *cta);
void sim_wgmma_end(sim_cta *cta);
// The warp, whole, is at a warpgroup op. false: it waits for the others, or a mistake was reported.
bool sim_wgmma_reach(sim_warp *warp, sim_path *path, const sim_op *op);
// An op with SIM_OPF_WGMMA_REG is about to run. false: a mistake was reported.
bool sim_wgmma_touch(sim_warp *warp, const sim_op *op);
#endif
