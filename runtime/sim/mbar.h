// The mbarrier as a state machine: phase, expected and pending arrivals, transaction bytes.
//
// The rules are those recorded on an H200. The functions here know nothing of warps and memory;
// exec_mbar.c applies them to the cells of a CTA.
#ifndef RUNTIME_SIM_MBAR_H
#define RUNTIME_SIM_MBAR_H
#include <stdbool.h>
#include <stdint.h>

enum { SIM_MBAR_MAX = (1 << 20) - 1 }; // counts and |tx|

typedef struct sim_mbar_state {
  uint32_t phase, expected, pending;
  int32_t tx;
} sim_mbar_state;

typedef enum sim_mbar_error {
  SIM_MBAR_OK,
  SIM_MBAR_COUNT,     // a count outside 1 .. 2^20 - 1
  SIM_MBAR_OVERRUN,   // more arrivals than the phase expects
  SIM_MBAR_TX_RANGE,  // tx outside +-(2^20 - 1)
  SIM_MBAR_TX_EXCESS, // all arrived and more bytes came than were expected: it cannot complete
  SIM_MBAR_COMPLETES  // a .noComplete arrive that would complete the phase
} sim_mbar_error;
const char *sim_mbar_error_text(sim_mbar_error error);

sim_mbar_error sim_mbar_init(sim_mbar_state *bar, uint32_t count);
// *out_token (may be NULL): the state before this arrival. *out_done: the phase completed.
sim_mbar_error sim_mbar_arrive(sim_mbar_state *bar, uint32_t count, bool drop, bool no_complete,
                               uint64_t *out_token, bool *out_done);
sim_mbar_error sim_mbar_expect_tx(sim_mbar_state *bar, uint32_t bytes);
sim_mbar_error sim_mbar_complete_tx(sim_mbar_state *bar, uint32_t bytes, bool *out_done);
// One more arrival is due in this phase only (cp.async.mbarrier.arrive without .noinc).
sim_mbar_error sim_mbar_add_pending(sim_mbar_state *bar, uint32_t count);
bool sim_mbar_test_parity(const sim_mbar_state *bar, uint32_t parity);
bool sim_mbar_test_token(const sim_mbar_state *bar, uint64_t token);
uint32_t sim_mbar_pending_count(uint64_t token);
#endif
