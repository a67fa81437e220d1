// What a variant is expected to take for given dims, from the work that the artifact lists for it.
#ifndef RUNTIME_COST_H
#define RUNTIME_COST_H
#include "runtime/exprs.h"

typedef struct tile_machine { // a row of machines.def
  const char *name, *arch;
  int sms, mhz, mma16;
  double mma_sync_share;
  int smem_bytes_per_cycle, l2_bytes_per_cycle, dram_gbs, latency_ns, launch_ns;
} tile_machine;

// The row whose name `device_name` begins with; NULL: none.
const tile_machine *tile_machine_named(const char *device_name);
// That row if it is of `arch`, else the first of `arch`; NULL: no row for the architecture.
const tile_machine *tile_machine_of(const char *device_name, const char *arch);

typedef struct tile_cost { // each in ns; what overlaps is not added up
  double tensor, smem, step, l2, dram, latency, fixed, total;
  double wave_efficiency; // of the last wave's blocks
} tile_cost;

// False: the artifact does not say what the variant does. `sms` of the device itself.
bool tile_cost_of(const tile_variant *variant, tile_values *values, const tile_machine *machine,
                  int sms, tile_cost *out);
#endif
