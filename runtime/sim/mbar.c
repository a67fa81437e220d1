// The mbarrier state machine (see mbar.h).
#include "runtime/sim/mbar.h"
#include <stddef.h>

const char *sim_mbar_error_text(sim_mbar_error error) {
  static const char *const texts[] = {
      "ok",
      "the count must be 1 to 1048575",
      "more arrivals than the phase expects",
      "the transaction count leaves its range of 1048575 bytes",
      "all have arrived and more bytes were delivered than expected: the phase cannot complete",
      "an arrive with .noComplete would complete the phase"};
  return texts[error];
}

static bool complete(sim_mbar_state *bar) {
  if (bar->pending || bar->tx)
    return false;
  bar->phase++;
  bar->pending = bar->expected;
  return true;
}

sim_mbar_error sim_mbar_init(sim_mbar_state *bar, uint32_t count) {
  if (count < 1 || count > SIM_MBAR_MAX)
    return SIM_MBAR_COUNT;
  *bar = (sim_mbar_state){.expected = count, .pending = count};
  return SIM_MBAR_OK;
}

sim_mbar_error sim_mbar_arrive(sim_mbar_state *bar, uint32_t count, bool drop, bool no_complete,
                               uint64_t *out_token, bool *out_done) {
  *out_done = false;
  if (count < 1 || count > SIM_MBAR_MAX)
    return SIM_MBAR_COUNT;
  if (count > bar->pending || (drop && count > bar->expected))
    return SIM_MBAR_OVERRUN;
  if (no_complete && count == bar->pending && bar->tx == 0)
    return SIM_MBAR_COMPLETES;
  if (out_token)
    *out_token = (uint64_t)bar->phase << 32 | bar->pending;
  if (drop)
    bar->expected -= count;
  bar->pending -= count;
  if (!bar->pending && bar->tx < 0)
    return SIM_MBAR_TX_EXCESS;
  *out_done = complete(bar);
  return SIM_MBAR_OK;
}

static bool in_range(int64_t tx) { return tx >= -SIM_MBAR_MAX && tx <= SIM_MBAR_MAX; }

sim_mbar_error sim_mbar_expect_tx(sim_mbar_state *bar, uint32_t bytes) {
  if (!in_range((int64_t)bar->tx + bytes))
    return SIM_MBAR_TX_RANGE;
  bar->tx += (int32_t)bytes;
  return SIM_MBAR_OK;
}

sim_mbar_error sim_mbar_complete_tx(sim_mbar_state *bar, uint32_t bytes, bool *out_done) {
  *out_done = false;
  if (!in_range((int64_t)bar->tx - bytes))
    return SIM_MBAR_TX_RANGE;
  bar->tx -= (int32_t)bytes;
  if (!bar->pending && bar->tx < 0)
    return SIM_MBAR_TX_EXCESS;
  *out_done = complete(bar);
  return SIM_MBAR_OK;
}

sim_mbar_error sim_mbar_add_pending(sim_mbar_state *bar, uint32_t count) {
  if (bar->pending + count > SIM_MBAR_MAX)
    return SIM_MBAR_OVERRUN;
  bar->pending += count;
  return SIM_MBAR_OK;
}

bool sim_mbar_test_parity(const sim_mbar_state *bar, uint32_t parity) {
  return (bar->phase & 1) != (parity & 1);
}
bool sim_mbar_test_token(const sim_mbar_state *bar, uint64_t token) {
  return (uint32_t)(token >> 32) != bar->phase;
}
uint32_t sim_mbar_pending_count(uint64_t token) { return (uint32_t)token; }
