// Sparse vector clocks as sorted arrays (see race_clock.h).
#include "runtime/sim/race_clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_clocks {
  uint32_t refs, count;
  struct {
    uint32_t agent, clock;
  } at[]; // ascending agents
};

static sim_clocks *make(uint32_t cap) {
  sim_clocks *clocks = malloc(sizeof *clocks + cap * sizeof clocks->at[0]);
  if (!clocks) {
    fprintf(stderr, "simulator: out of memory in the race detector\n");
    abort();
  }
  clocks->refs = 1;
  clocks->count = 0;
  return clocks;
}

void sim_clocks_drop(sim_clocks *clocks) {
  if (clocks && --clocks->refs == 0)
    free(clocks);
}

uint32_t sim_clocks_get(const sim_clocks *clocks, uint32_t agent) {
  uint32_t lo = 0, hi = clocks ? clocks->count : 0;
  while (lo < hi) {
    uint32_t mid = (lo + hi) / 2;
    if (clocks->at[mid].agent == agent)
      return clocks->at[mid].clock;
    if (clocks->at[mid].agent < agent)
      lo = mid + 1;
    else
      hi = mid;
  }
  return 0;
}

sim_clocks *sim_clocks_join(sim_clocks *into, const sim_clocks *from) {
  if (!from || into == from)
    return into;
  if (!into) {
    sim_clocks *shared = (sim_clocks *)from; // only the count changes
    shared->refs++;
    return shared;
  }
  sim_clocks *out = make(into->count + from->count);
  uint32_t i = 0, j = 0;
  while (i < into->count || j < from->count) {
    uint32_t a = i < into->count ? into->at[i].agent : UINT32_MAX;
    uint32_t b = j < from->count ? from->at[j].agent : UINT32_MAX;
    uint32_t clock_a = a <= b ? into->at[i++].clock : 0;
    uint32_t clock_b = b <= a ? from->at[j++].clock : 0;
    out->at[out->count].agent = a < b ? a : b;
    out->at[out->count++].clock = clock_a > clock_b ? clock_a : clock_b;
  }
  sim_clocks_drop(into);
  return out;
}

sim_clocks *sim_clocks_of_dense(uint32_t first, const uint32_t *clock, uint32_t n) {
  sim_clocks *out = make(n);
  for (uint32_t i = 0; i < n; i++) {
    if (!clock[i])
      continue;
    out->at[out->count].agent = first + i;
    out->at[out->count++].clock = clock[i];
  }
  return out;
}

void sim_clocks_split(const sim_clocks *clocks, uint32_t first, uint32_t *clock, uint32_t n) {
  for (uint32_t i = 0; clocks && i < clocks->count; i++) {
    uint32_t local = clocks->at[i].agent - first;
    if (local < n && clock[local] < clocks->at[i].clock)
      clock[local] = clocks->at[i].clock;
  }
}

sim_clocks *sim_clocks_slice(const sim_clocks *clocks, uint32_t first, uint32_t end,
                             uint32_t bits) {
  sim_clocks *out = NULL;
  for (uint32_t i = 0; clocks && i < clocks->count; i++) {
    if (clocks->at[i].agent < first || clocks->at[i].agent >= end)
      continue;
    if (!out)
      out = make(clocks->count - i);
    out->at[out->count].agent = clocks->at[i].agent | bits;
    out->at[out->count++].clock = clocks->at[i].clock;
  }
  return out;
}
