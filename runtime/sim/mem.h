// Simulated memory: regions with bounds, alignment and never-written checks, and the whole-warp
// accesses the executor makes.
//
// Every region (a global allocation, the shared memory of one CTA, the local memory of one warp, a
// parameter block, the constant bank) is one sim_region: host bytes, one init bit per byte, and a
// shadow for the race detector. A warp owns a sim_mem_view that names the regions it sees; each
// access is one call for all 32 lanes that checks, tracks races and moves the data:
//
//   view->line = op->line;
//   if (!sim_mem_load(view, SIM_SPACE_SHARED, addr, mask, access, planes)) -> view->fault is filled
//
// Addresses: in a state space an address is the PTX value of that space; a generic address tells
// its space by the window it lies in (global addresses are their own generic addresses).
//
//   global   SIM_GLOBAL_FIRST ...                    256-byte aligned, red zones between
//   shared   SIM_SHARED_FIRST + offset               1 KiB is reserved below, as on sm_90 and later
//            bits 31:24 = cluster rank + 1 in the shared::cluster window; 0 means the own CTA
//   local    SIM_LOCAL_FIRST + offset                the same number names another byte in each
//   lane param    SIM_PARAM_FIRST + offset                the entry's packed parameters const
//   SIM_CONST_FIRST + offset generic  window base + address of the space
#ifndef RUNTIME_SIM_MEM_H
#define RUNTIME_SIM_MEM_H
#include "runtime/sim/sim_api.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_LANES = 32 };

#define SIM_GLOBAL_FIRST UINT64_C(0x200000000000)
#define SIM_SHARED_FIRST UINT64_C(0x400)
#define SIM_LOCAL_FIRST UINT64_C(0x100)
#define SIM_PARAM_FIRST UINT64_C(0)
#define SIM_CONST_FIRST UINT64_C(0x100)
#define SIM_WINDOW_SHARED UINT64_C(0x700000000000) // 4 GiB each
#define SIM_WINDOW_LOCAL UINT64_C(0x710000000000)
#define SIM_WINDOW_PARAM UINT64_C(0x720000000000)
#define SIM_WINDOW_CONST UINT64_C(0x730000000000)

typedef enum sim_space {
  SIM_SPACE_GENERIC,
  SIM_SPACE_GLOBAL,
  SIM_SPACE_SHARED, // own CTA
  SIM_SPACE_LOCAL,
  SIM_SPACE_PARAM,
  SIM_SPACE_CONST,
  SIM_SPACE_CLUSTER // shared memory of any CTA of the cluster; only in instructions
} sim_space;

// Addresses of the shared::cluster window.
static inline uint32_t sim_cluster_rank_bits(uint64_t address) {
  return (uint32_t)(address >> 24) & 0xFF; // rank + 1; 0: the own CTA
}
static inline uint64_t sim_cluster_address(uint64_t address, uint32_t rank) {
  return (address & 0xFFFFFF) | (uint64_t)(rank + 1) << 24;
}

// cvta and cvta.to: pure address arithmetic. `global` passes through unchanged.
static inline uint64_t sim_window_of(sim_space space) {
  switch (space) {
  case SIM_SPACE_SHARED:
  case SIM_SPACE_CLUSTER:
    return SIM_WINDOW_SHARED;
  case SIM_SPACE_LOCAL:
    return SIM_WINDOW_LOCAL;
  case SIM_SPACE_PARAM:
    return SIM_WINDOW_PARAM;
  case SIM_SPACE_CONST:
    return SIM_WINDOW_CONST;
  default:
    return 0;
  }
}
// The space a generic address lies in (isspacep); *address becomes the address within the space.
static inline sim_space sim_space_of_generic(uint64_t *address) {
  uint64_t window = *address >> 32;
  sim_space space = window == SIM_WINDOW_SHARED >> 32  ? SIM_SPACE_SHARED
                    : window == SIM_WINDOW_LOCAL >> 32 ? SIM_SPACE_LOCAL
                    : window == SIM_WINDOW_PARAM >> 32 ? SIM_SPACE_PARAM
                    : window == SIM_WINDOW_CONST >> 32 ? SIM_SPACE_CONST
                                                       : SIM_SPACE_GLOBAL;
  *address -= sim_window_of(space);
  return space;
}

// --- regions ------------------------------------------------------------------------------------
struct sim_race_cell;
typedef struct sim_region {
  uint64_t base, bytes; // addresses [base, base + bytes) of its space
  uint8_t *data;        // 64-byte aligned, padded to a multiple of 64
  uint8_t *init;        // bit i%8 of byte i/8: byte i has been written
  bool all_init;        // every byte has been written: `init` need not be read
  bool read_only;       // stores are faults (param, const)
  bool freed;           // kept so that a late access can be named
  sim_space space;
  char *name;
  // mbarriers live here: bit k marks bytes 8k .. 8k+7; generic accesses to them are misuse.
  uint8_t *typed;
  uint64_t typed_lo, typed_hi;  // all marked bytes lie in [typed_lo, typed_hi)
  struct sim_race_cell *shadow; // one per 4 bytes; NULL: not touched yet, or not tracked
  struct sim_race *shadow_owner;
  uint32_t shadow_launch;       // the launch the shadow belongs to
  struct sim_race_cell *before; // of the launch before a dependent one; NULL: none
  uint32_t before_launch;       // the dependent one
} sim_region;

// A region outside the global space. `name` is copied. Uninitialised at first.
void sim_region_init(sim_region *region, sim_space space, uint64_t base, size_t bytes,
                     const char *name);
void sim_region_free(sim_region *region);
// Back to never written, contents poisoned (a pattern from `seed`), shadow cleared: for the next
// CTA.
void sim_region_reset(sim_region *region, uint64_t seed);
// Host side; offsets are checked by assertion. write marks initialised, poison marks never written.
void sim_region_write(sim_region *region, size_t offset, const void *bytes, size_t len);
void sim_region_poison(sim_region *region, size_t offset, const void *bytes, size_t len);
// An mbarrier is made at, or removed from, this offset (a multiple of 8). Its bytes become
// uninitialised.
void sim_region_type(sim_region *region, size_t offset, bool typed);
static inline bool sim_region_is_typed(const sim_region *region, uint64_t lo, uint64_t hi) {
  if (hi <= region->typed_lo || lo >= region->typed_hi)
    return false;
  for (uint64_t k = lo >> 3; k <= (hi - 1) >> 3; k++)
    if (region->typed[k >> 3] >> (k & 7) & 1)
      return true;
  return false;
}
// Sets or clears the init bits of a range.
void sim_region_mark(sim_region *region, size_t offset, size_t len, bool written);

// --- the global space ---------------------------------------------------------------------------
typedef struct sim_mem sim_mem;
sim_mem *sim_mem_new(void);
void sim_mem_free(sim_mem *mem);
uint64_t sim_mem_alloc(sim_mem *mem, size_t bytes, const char *name); // uninitialised, poisoned
bool sim_mem_release(sim_mem *mem, uint64_t address); // false: not the start of a live allocation
// The live region containing the address, or NULL.
sim_region *sim_mem_find(sim_mem *mem, uint64_t address);
// The last region that starts at or below the address, freed ones included; or NULL.
sim_region *sim_mem_below(const sim_mem *mem, uint64_t address);
// Host access by address; false when the range is not inside one live allocation.
bool sim_mem_host_write(sim_mem *mem, uint64_t address, const void *bytes, size_t len);
bool sim_mem_host_read(sim_mem *mem, uint64_t address, void *out_bytes, size_t len);
bool sim_mem_host_written(sim_mem *mem, uint64_t address, uint8_t *out, size_t len); // 1 or 0 each
bool sim_mem_host_poison(sim_mem *mem, uint64_t address, const void *bytes, size_t len);

// --- faults -------------------------------------------------------------------------------------
typedef struct sim_fault {
  sim_verdict verdict; // SIM_OK: nothing happened
  int lane;            // lane within the warp; -1: none in particular
  uint64_t address;    // as the instruction gave it
  uint32_t line;       // PTX line of the instruction
  uint32_t earlier;    // and of the other one, where two are at odds; 0: none
  char text[600];      // one sentence or two; the caller adds CTA, warp and source line
} sim_fault;

// --- a warp's view ------------------------------------------------------------------------------
struct sim_race_agent;
typedef struct sim_mem_view {
  sim_mem *global;
  sim_region *shared;       // NULL: the kernel has none
  sim_region *const *peers; // by rank: shared memory of the cluster's CTAs; NULL entry: exited
  uint32_t npeers;
  sim_region *local; // 32 * local_stride bytes: lane i has [i * local_stride, ...)
  uint32_t local_stride;
  sim_region *param, *constant;
  struct sim_race_agent *agent; // the warp's race state (race.h); NULL: races are not tracked
  sim_fault *fault;
  uint32_t line;     // PTX line of the current instruction, set by the caller
  bool check_bounds; // false: loads outside give 0, stores outside are dropped
  bool check_uninit;
  sim_region *last_global; // last hit; start with NULL
  // statistics, summed over the view's accesses
  uint64_t global_load_bytes, global_store_bytes, shared_load_bytes, shared_store_bytes;
  uint64_t bulk_load_bytes, bulk_store_bytes, bank_conflicts;
  bool count_stats;
} sim_mem_view;

// --- whole-warp accesses ------------------------------------------------------------------------
// Semantics of an access for the race detector. Weak: plain ld/st. Strong: relaxed, volatile, mmio,
// atom, red. Acquire and release are added bits.
enum { SIM_SEM_WEAK = 0, SIM_SEM_STRONG = 1, SIM_SEM_ACQUIRE = 2, SIM_SEM_RELEASE = 4 };
typedef enum sim_scope { SIM_SCOPE_CTA, SIM_SCOPE_CLUSTER, SIM_SCOPE_GPU, SIM_SCOPE_SYS } sim_scope;

typedef struct sim_access {
  uint8_t elem_bytes; // 1 2 4 8 16
  uint8_t elems;      // vector length: 1 2 4 8; elem_bytes * elems <= 32
  uint8_t sem;        // SIM_SEM_* bits
  uint8_t scope;      // sim_scope
} sim_access;

// addr[lane] counts for lanes of `mask` only. planes[]: elements of 4 bytes or less take one plane
// each (loads zero-extend; stores take the low bytes), larger elements take elem_bytes / 4 planes,
// low word first; a NULL plane of a load is a sink. Alignment is elem_bytes * elems.
// false: a fault, written to view->fault; lanes before the faulting one may have been done.
bool sim_mem_load(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                  uint32_t mask, sim_access access, uint32_t *const planes[]);
bool sim_mem_store(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                   uint32_t mask, sim_access access, const uint32_t *const planes[]);
// Rows of 16 bytes as they lie in memory, for ldmatrix: lane i's row to rows[i].
bool sim_mem_load_rows(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                       uint32_t mask, uint32_t rows[SIM_LANES][4]);
// Rows of 16 bytes as they lie in memory, for ldmatrix: lane i's row to rows[i].
bool sim_mem_load_rows(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                       uint32_t mask, uint32_t rows[SIM_LANES][4]);
// Checks an atomic read-modify-write of every lane and hands out host pointers; the caller applies
// the operation in lane order. elem_bytes * elems bytes per lane. out_shared[lane] is set where the
// cell is shared memory (the flush rule of add.f32 differs); may be NULL.
bool sim_mem_atomic(sim_mem_view *view, sim_space space, const uint64_t addr[SIM_LANES],
                    uint32_t mask, sim_access access, uint8_t *out_host[SIM_LANES],
                    uint32_t *out_shared);

// Reports SIM_MISALIGNED unless every address of the mask is a multiple of `bytes` (a power of
// two). Loads and stores check their own; this is for forms with stricter rules.
bool sim_mem_check_alignment(sim_mem_view *view, const uint64_t addr[SIM_LANES], uint32_t mask,
                             uint32_t bytes, bool is_store);

// cp.async in two halves. issue: checks addresses, alignment and races (as the warp's async agent).
// land: copies the bytes when the scheduler lets the copy happen; init bits travel with the bytes,
// so copying never-written bytes is only a fault when they are read. src_bytes[lane] (NULL: all of
// `bytes`) are copied, the rest of the lane's destination becomes zero. `bytes` is 4, 8 or 16.
bool sim_mem_copy_issue(sim_mem_view *view, const uint64_t dst[SIM_LANES],
                        const uint64_t src[SIM_LANES], uint32_t mask, uint32_t bytes,
                        const uint32_t *src_bytes);
bool sim_mem_copy_land(sim_mem_view *view, const uint64_t dst[SIM_LANES],
                       const uint64_t src[SIM_LANES], uint32_t mask, uint32_t bytes,
                       const uint32_t *src_bytes);

// Extra wavefronts of a shared access beyond the minimum for its size (32 banks of 4 bytes; 8-byte
// accesses go by half warps, 16-byte ones by quarters).
uint32_t sim_bank_conflicts(const uint64_t addr[SIM_LANES], uint32_t mask, uint32_t bytes);

// --- ldmatrix, stmatrix, movmatrix (shmem_matrix.c) ---------------------------------------------
typedef enum sim_matrix_shape {
  SIM_M8N8_B16,  // ldmatrix/stmatrix .m8n8 .b16, with or without .trans
  SIM_M16N16_B8, // ldmatrix .m16n16.trans.b8
  SIM_M16N16_B4, // ldmatrix .m16n16.trans.b8x16.b4x16_p64
  SIM_M16N16_B6, // ldmatrix .m16n16.trans.b8x16.b6x16_p32
  SIM_M8N16_B4,  // ldmatrix .m8n16.b8x16.b4x16_p64
  SIM_M8N16_B6,  // ldmatrix .m8n16.b8x16.b6x16_p32
  SIM_M16N8_B8   // stmatrix .m16n8.trans.b8
} sim_matrix_shape;
typedef struct sim_matrix {
  uint8_t shape; // sim_matrix_shape
  uint8_t count; // .x1 .x2 .x4 (m16n16: x1, x2)
  bool trans;
} sim_matrix;
// How many registers per lane the form has.
int sim_matrix_regs(sim_matrix matrix);
// All 32 lanes take part; only the lanes that give row addresses have theirs read. `space` is
// SIM_SPACE_SHARED, or SIM_SPACE_GENERIC for an instruction without .shared.
bool sim_ldmatrix(sim_mem_view *view, sim_space space, sim_matrix matrix,
                  const uint64_t addr[SIM_LANES], uint32_t *const dst[]);
bool sim_stmatrix(sim_mem_view *view, sim_space space, sim_matrix matrix,
                  const uint64_t addr[SIM_LANES], const uint32_t *const src[]);
void sim_movmatrix(const uint32_t src[SIM_LANES], uint32_t dst[SIM_LANES]); // may be the same plane
#endif
