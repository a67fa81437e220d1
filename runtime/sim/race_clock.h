// Sparse vector clocks: immutable, reference-counted maps from agent to clock, for what a warp
// knows of other CTAs. They are empty in kernels whose CTAs do not talk to each other.
#ifndef RUNTIME_SIM_RACE_CLOCK_H
#define RUNTIME_SIM_RACE_CLOCK_H
#include <stdint.h>

typedef struct sim_clocks sim_clocks; // NULL is the empty map

void sim_clocks_drop(sim_clocks *clocks);
uint32_t sim_clocks_get(const sim_clocks *clocks, uint32_t agent); // 0: unknown
// The larger of both per agent. Takes over the caller's reference to `into`, not that to `from`.
sim_clocks *sim_clocks_join(sim_clocks *into, const sim_clocks *from);
// Agents first .. first + n with their non-zero clocks.
sim_clocks *sim_clocks_of_dense(uint32_t first, const uint32_t *clock, uint32_t n);
// Raises clock[i] to the map's value for agent first + i.
void sim_clocks_split(const sim_clocks *clocks, uint32_t first, uint32_t *clock, uint32_t n);
// The entries with agents in [first, end), each agent with `bits` set.
sim_clocks *sim_clocks_slice(const sim_clocks *clocks, uint32_t first, uint32_t end, uint32_t bits);
#endif
