// The simulated machine as seen from outside: load PTX text, launch a grid, read the verdict.
// Used by runtime/sim/device.c (device "sim:ARCH") and runtime/sim/ptxsim.c.
//
// Threads: a sim_machine belongs to one thread. Everything is deterministic for equal inputs,
// schedule and seed.
#ifndef RUNTIME_SIM_SIM_API_H
#define RUNTIME_SIM_SIM_API_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct sim_machine sim_machine; // global memory, loaded modules, options
typedef struct sim_module sim_module;   // one PTX file, matched and decoded

typedef enum sim_verdict {
  SIM_OK,
  SIM_UNSUPPORTED,        // a form without semantics, a directive that changes meaning
  SIM_BAD_PTX,            // the text does not parse
  SIM_BAD_LAUNCH,         // no such entry, too much shared memory, wrong parameter bytes
  SIM_BAD_ADDRESS,        // out of bounds or freed
  SIM_MISALIGNED,
  SIM_UNINIT_READ,
  SIM_RACE,
  SIM_PROXY_RACE,
  SIM_DEADLOCK,
  SIM_DIVERGENT_ALIGNED,  // .aligned instruction under a partial mask
  SIM_MBAR_MISUSE,
  SIM_TX_OVERFLOW,
  SIM_INFLIGHT_REG,
  SIM_PENDING_ASYNC,      // exit with unfinished async work
  SIM_TRAP,               // trap or a failed device assert
  SIM_STEP_LIMIT
} sim_verdict;
const char *sim_verdict_name(sim_verdict verdict); // "race", "deadlock", ...

typedef enum sim_schedule { SIM_RR, SIM_RANDOM, SIM_GREEDY, SIM_STARVE } sim_schedule;
typedef enum sim_async { SIM_ASYNC_EAGER, SIM_ASYNC_LAZY, SIM_ASYNC_RANDOM } sim_async;

typedef struct sim_options {
  sim_schedule schedule;
  int starve_warp;       // SIM_STARVE: this warp of every CTA runs only when nothing else can
  uint64_t seed;
  sim_async async;
  bool check_bounds, check_uninit, check_race; // default all true
  bool stats;            // count instructions by form, bytes, bank conflicts
  FILE *trace;           // one line per warp instruction; NULL: none
  uint64_t step_limit;   // warp instructions per CTA before SIM_STEP_LIMIT; 0: none
  FILE *print_to;        // output of the device's printf (vprintf); NULL: stdout
} sim_options;
void sim_options_default(sim_options *options);

// `arch` is "sm_90a", "sm_100a" or "sm_120a": it selects tensor-core arithmetic and limits.
// NULL when the name is unknown.
sim_machine *sim_create(const char *arch, const sim_options *options);
void sim_destroy(sim_machine *machine);
sim_options *sim_machine_options(sim_machine *machine); // may be changed between launches
const char *sim_error(const sim_machine *machine); // text of the last failure, with PTX line,
                                                   // .tile line where known, CTA, warp, lanes

// Device memory. Addresses are 64-bit simulated addresses, 256-byte aligned, with red zones.
uint64_t sim_alloc(sim_machine *machine, size_t bytes, const char *name); // uninitialised
bool sim_free(sim_machine *machine, uint64_t address);
bool sim_write(sim_machine *machine, uint64_t address, const void *bytes, size_t len); // marks initialised
bool sim_read(sim_machine *machine, uint64_t address, void *out_bytes, size_t len);    // uninit allowed
// out[i] = 1 where byte i of the range has been written, 0 where it still holds poison.
bool sim_written(sim_machine *machine, uint64_t address, uint8_t *out, size_t len);
// Marks a range as never written while giving it bytes (poison).
bool sim_poison(sim_machine *machine, uint64_t address, const void *bytes, size_t len);

// `text` need not live on. On failure returns NULL and sim_error names line and nearest forms.
sim_module *sim_load_ptx(sim_machine *machine, const char *path, const char *text, size_t len,
                         sim_verdict *out_verdict);
void sim_unload(sim_module *module);

typedef struct sim_launch_desc {
  const char *entry;
  uint32_t grid[3], block[3], cluster[3];
  uint32_t dynamic_smem_bytes;
  // Programmatic dependent launch: the grid may start before the one launched last has ended, and
  // must not touch what that one touches before griddepcontrol.wait.
  bool dependent;
  const void *params;  // packed as the entry's .param list lays them out
  size_t params_bytes;
} sim_launch_desc;
sim_verdict sim_launch(sim_module *module, const sim_launch_desc *desc);
// Byte offset and size of each parameter of an entry; false when the entry does not exist.
bool sim_entry_params(const sim_module *module, const char *entry, int *out_count,
                      const uint32_t **out_offsets, const uint32_t **out_sizes);

typedef struct sim_counters {
  uint64_t warp_instructions, thread_instructions;
  uint64_t global_load_bytes, global_store_bytes; // asynchronous copies included
  uint64_t shared_load_bytes, shared_store_bytes; // by instructions of warps
  uint64_t bulk_load_bytes, bulk_store_bytes;     // into and out of shared memory by bulk copies
  uint64_t shared_bank_conflicts;
  uint64_t barrier_arrivals;             // of warps at CTA barriers
  uint64_t mbar_waits, mbar_waits_slept; // of warps at mbarriers; those that had to wait
  uint64_t mma_instructions, macs; // tensor instructions by warp; multiply-accumulates they did
  double seconds;                  // of the host's processor inside sim_launch
  double tensor_seconds;           // of it, in tensor instructions (0 without options.stats)
} sim_counters;
const sim_counters *sim_stats(const sim_machine *machine); // of the last launch
void sim_print_stats(const sim_machine *machine, FILE *out);
// Prints "form  supported|UNSUPPORTED  count  nearest rows" for each form of the text; returns the
// number of unsupported ones, -1 when the text does not parse.
int sim_print_forms(const char *path, const char *text, size_t len, FILE *out);
#endif
