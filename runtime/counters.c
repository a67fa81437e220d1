// Process-wide counts, so that "nothing is compiled while serving" is a number and not a promise.
#include "runtime/counters.h"
#include "runtime/status.h"
#include <stdatomic.h>

static _Atomic uint64_t counts[TILE_COUNTERS];

void tile_count(tile_counter which) { atomic_fetch_add(&counts[which], 1); }

tile_status tile_counters_read(tile_counters *out) {
  if (!out || out->size < sizeof(tile_counters))
    return tile_fail(TILE_E_INVALID, "tile_counters_read: out is NULL or out->size is wrong");
  out->compiles = atomic_load(&counts[TILE_COUNT_COMPILES]);
  out->jit_compiles = atomic_load(&counts[TILE_COUNT_JIT_COMPILES]);
  out->loads = atomic_load(&counts[TILE_COUNT_LOADS]);
  out->plans = atomic_load(&counts[TILE_COUNT_PLANS]);
  return TILE_OK;
}
