// What this process has done: counts that only grow, read by tile_counters_read.
#ifndef RUNTIME_COUNTERS_H
#define RUNTIME_COUNTERS_H

typedef enum tile_counter {
  TILE_COUNT_COMPILES,
  TILE_COUNT_JIT_COMPILES,
  TILE_COUNT_LOADS,
  TILE_COUNT_PLANS,
  TILE_COUNTERS
} tile_counter;

void tile_count(tile_counter which); // any thread
#endif
