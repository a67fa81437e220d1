// mbarrier instructions: the state machine of mbar.h on cells of shared memory.
//
// A wait that does not succeed puts its path to sleep until the barrier's phase completes; when
// nothing else can happen all sleeping waits time out and return false, so a loop that does
// something else in between goes on, and one that does not is found to be a deadlock.
#include "lang/base/assert.h"
#include "runtime/sim/async.h"
#include <inttypes.h>
#include <stdlib.h>

// --- the mbarriers of a CTA ---------------------------------------------------------------------
sim_mbar *sim_mbar_find(sim_cta *cta, uint32_t offset) {
  uint32_t slot = cta->mbar_index && offset % 8 == 0 ? cta->mbar_index[offset / 8] : 0;
  return slot ? &cta->mbars[slot - 1] : NULL;
}

static sim_mbar *add_mbar(sim_cta *cta, uint32_t offset) {
  if (!cta->mbar_index)
    cta->mbar_index = calloc(cta->launch->shared_total / 8 + 1, sizeof *cta->mbar_index);
  if (cta->nmbars == cta->mbar_cap) {
    cta->mbar_cap = cta->mbar_cap ? 2 * cta->mbar_cap : 16;
    cta->mbars = realloc(cta->mbars, cta->mbar_cap * sizeof *cta->mbars);
  }
  TL_ASSERT(cta->mbar_index && cta->mbars, "out of memory");
  sim_mbar *bar = &cta->mbars[cta->nmbars++];
  *bar = (sim_mbar){.offset = offset};
  cta->mbar_index[offset / 8] = (uint16_t)cta->nmbars;
  sim_region_type(&cta->shared, offset, true);
  return bar;
}

static void remove_mbar(sim_cta *cta, sim_mbar *bar) {
  sim_mbar *last = &cta->mbars[cta->nmbars - 1];
  sim_region_type(&cta->shared, bar->offset, false);
  cta->mbar_index[bar->offset / 8] = 0;
  sim_race_sync_free(&bar->sync);
  if (bar != last) {
    *bar = *last;
    cta->mbar_index[bar->offset / 8] = (uint16_t)(bar - cta->mbars + 1);
  }
  cta->nmbars--;
}

void sim_mbars_free(sim_cta *cta) {
  for (uint32_t i = 0; i < cta->nmbars; i++)
    sim_race_sync_free(&cta->mbars[i].sync);
  free(cta->mbars);
  free(cta->mbar_index);
  cta->mbars = NULL;
  cta->mbar_index = NULL;
  cta->nmbars = cta->mbar_cap = 0;
}

void sim_describe_mbar(const sim_cta *cta, uint32_t offset, tl_buf *out) {
  const sim_mbar *bar = sim_mbar_find((sim_cta *)cta, offset);
  tl_buf_printf(out, "mbarrier at shared 0x%x", offset + (uint32_t)SIM_SHARED_FIRST);
  if (bar)
    tl_buf_printf(
        out, " (initialised at line %u): phase %u, %u of %u arrivals pending, %d bytes due",
        bar->init_line, bar->state.phase, bar->state.pending, bar->state.expected, bar->state.tx);
  else
    tl_buf_puts(out, ", which is not live");
}

static bool mbar_error(sim_warp *w, const sim_op *op, int lane, const sim_cta *cta,
                       const sim_mbar *bar, sim_mbar_error error) {
  if (error == SIM_MBAR_OK)
    return true;
  tl_buf text = {0};
  sim_describe_mbar(cta, bar->offset, &text);
  sim_fail(w, op, 1u << lane,
           error == SIM_MBAR_TX_RANGE || error == SIM_MBAR_TX_EXCESS ? SIM_TX_OVERFLOW
                                                                     : SIM_MBAR_MISUSE,
           "%s (%s)", sim_mbar_error_text(error), text.data);
  tl_buf_free(&text);
  return false;
}

static void phase_done(sim_cta *cta, sim_mbar *bar) {
  if (cta->race)
    sim_race_sync_complete(&bar->sync);
  cta->effects++;
  sim_wake(cta, bar->offset);
}

bool sim_mbar_usable(sim_warp *w, const sim_op *op, int lane, sim_cta *cta, uint32_t offset) {
  const sim_mbar *bar = sim_mbar_find(cta, offset);
  if (!bar) {
    sim_fail(w, op, 1u << lane, SIM_MBAR_MISUSE,
             "there is no initialised mbarrier at shared 0x%x of CTA (%u,%u,%u)",
             offset + (uint32_t)SIM_SHARED_FIRST, cta->id[0], cta->id[1], cta->id[2]);
    return false;
  }
  if (w->view.agent && !sim_race_knows_init(w->view.agent, bar->init)) {
    sim_fail(w, op, 1u << lane, SIM_RACE,
             "the initialisation of the mbarrier at shared 0x%x (line %u) is not ordered before "
             "this use: %s",
             offset + (uint32_t)SIM_SHARED_FIRST, bar->init_line,
             cta == w->cta ? "no barrier lies between"
                           : "no fence.mbarrier_init and cluster barrier lie between");
    return false;
  }
  return true;
}

// The mbarrier a lane names; NULL after a report.
static sim_mbar *resolve(sim_warp *w, const sim_op *op, int lane, uint64_t address,
                         sim_cta **out_cta) {
  const sim_mbar_info *info = op->extra;
  uint32_t offset;
  if (!sim_shared_place(w, op, lane, info->space, address, 8, out_cta, &offset))
    return NULL;
  if (offset % 8) {
    sim_fail(w, op, 1u << lane, SIM_MISALIGNED, "mbarrier at 0x%" PRIx64 ": not a multiple of 8",
             address);
    return NULL;
  }
  return sim_mbar_usable(w, op, lane, *out_cta, offset) ? sim_mbar_find(*out_cta, offset) : NULL;
}

static void addresses(sim_warp *w, const sim_op *op, uint32_t mask, uint64_t out[32]) {
  const sim_mbar_info *info = op->extra;
  sim_addresses(w, op->a, op->imm, info->wide, mask, out);
}

static uint32_t count_of(const sim_warp *w, const sim_mbar_info *info, int lane) {
  return info->count == SIM_SINK ? 1 : sim_src(w, info->count)[lane];
}

// --- init, inval --------------------------------------------------------------------------------
void sim_exec_mbar_init(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mbar_info *info = op->extra;
  uint64_t at[32];
  addresses(w, op, mask, at);
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    sim_cta *cta;
    uint32_t offset;
    sim_mbar_state state;
    if (!sim_shared_place(w, op, lane, info->space, at[lane], 8, &cta, &offset))
      return;
    if (offset % 8 || cta != w->cta) {
      sim_fail(w, op, 1u << lane, offset % 8 ? SIM_MISALIGNED : SIM_MBAR_MISUSE,
               offset % 8 ? "the mbarrier is not aligned to 8 bytes"
                          : "an mbarrier of another CTA cannot be initialised");
      return;
    }
    sim_mbar_error error = sim_mbar_init(&state, count_of(w, info, lane));
    if (error != SIM_MBAR_OK) {
      sim_fail(w, op, 1u << lane, SIM_MBAR_MISUSE, "mbarrier.init: %s", sim_mbar_error_text(error));
      return;
    }
    sim_mbar *bar = sim_mbar_find(cta, offset);
    if (bar) {
      sim_fail(w, op, 1u << lane, SIM_MBAR_MISUSE,
               "the mbarrier is live already (initialised at line %u)", bar->init_line);
      return;
    }
    w->view.line = op->line;
    uint64_t where[32] = {0};
    where[lane] = offset;
    if (w->view.agent && !sim_race_access(w->view.agent, &cta->shared, where, 1u << lane, 8,
                                          SIM_RACE_WRITE, op->line, w->view.fault)) {
      sim_fail_memory(w, op);
      return;
    }
    bar = add_mbar(cta, offset);
    bar->state = state;
    bar->init_line = op->line;
    bar->init = w->view.agent ? sim_race_now(w->view.agent) : 0;
  }
  w->cta->effects++;
}

void sim_exec_mbar_inval(sim_warp *w, const sim_op *op, uint32_t mask) {
  uint64_t at[32];
  addresses(w, op, mask, at);
  for (uint32_t m = mask; m; m &= m - 1) {
    sim_cta *cta;
    sim_mbar *bar = resolve(w, op, __builtin_ctz(m), at[__builtin_ctz(m)], &cta);
    if (!bar)
      return;
    for (const sim_bulk *bulk = cta->cluster->bulk; bulk; bulk = bulk->next)
      if (bulk->end != SIM_BULK_GROUP && bulk->bar_cta == cta && bulk->bar_offset == bar->offset) {
        sim_fail(w, op, m & -m, SIM_MBAR_MISUSE,
                 "an asynchronous operation (line %u) will still signal this mbarrier",
                 bulk->op->line);
        return;
      }
    remove_mbar(cta, bar);
  }
}

// --- arriving -----------------------------------------------------------------------------------
void sim_exec_mbar_arrive(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mbar_info *info = op->extra;
  uint64_t at[32];
  const sim_mbar *released = NULL;
  addresses(w, op, mask, at);
  w->cta->effects++;
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    sim_cta *cta;
    sim_mbar *bar = resolve(w, op, lane, at[lane], &cta);
    if (!bar)
      return;
    uint64_t token = 0;
    bool done;
    uint32_t count = count_of(w, info, lane);
    if (info->expect_tx &&
        !mbar_error(w, op, lane, cta, bar, sim_mbar_expect_tx(&bar->state, count)))
      return;
    if (w->view.agent && !info->relaxed && bar != released)
      sim_race_sync_release(w->view.agent, &bar->sync); // lanes of one instruction release once
    released = bar;
    if (!mbar_error(w, op, lane, cta, bar,
                    sim_mbar_arrive(&bar->state, info->expect_tx ? 1 : count, info->drop,
                                    info->no_complete, &token, &done)))
      return;
    if (op->d != SIM_SINK)
      sim_put64(sim_dst(w, op->d), lane, token);
    if (done) {
      phase_done(cta, bar);
      released = NULL;
    }
    cta->effects++;
  }
}

void sim_exec_mbar_tx(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mbar_info *info = op->extra;
  uint64_t at[32];
  addresses(w, op, mask, at);
  w->cta->effects++;
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    sim_cta *cta;
    sim_mbar *bar = resolve(w, op, lane, at[lane], &cta);
    bool done = false;
    if (!bar)
      return;
    uint32_t bytes = count_of(w, info, lane);
    sim_mbar_error error = op->sub ? sim_mbar_complete_tx(&bar->state, bytes, &done)
                                   : sim_mbar_expect_tx(&bar->state, bytes);
    if (!mbar_error(w, op, lane, cta, bar, error))
      return;
    if (done)
      phase_done(cta, bar);
  }
}

void sim_mbar_bytes_done(sim_bulk *bulk) {
  sim_mbar *bar = sim_mbar_find(bulk->bar_cta, bulk->bar_offset);
  bool done;
  if (!bar) {
    sim_fail(bulk->warp, bulk->op, 1u << bulk->lane, SIM_MBAR_MISUSE,
             "the operation ends at shared 0x%x, where no mbarrier lives any more",
             bulk->bar_offset + (uint32_t)SIM_SHARED_FIRST);
    return;
  }
  if (bulk->bar_cta->race) {
    sim_race_sync_async(&bar->sync, bulk->read_token);
    sim_race_sync_async(&bar->sync, bulk->write_token);
  }
  if (mbar_error(bulk->warp, bulk->op, bulk->lane, bulk->bar_cta, bar,
                 sim_mbar_complete_tx(&bar->state, bulk->tx, &done)) &&
      done)
    phase_done(bulk->bar_cta, bar);
}

// --- cp.async.mbarrier.arrive -------------------------------------------------------------------
static bool land_copies(sim_bulk *bulk) {
  sim_cp_async_land(bulk->warp, bulk->lanes);
  return bulk->warp->cta->launch->verdict == SIM_OK;
}

void sim_mbar_arrive_done(sim_bulk *bulk) {
  sim_mbar *bar = sim_mbar_find(bulk->bar_cta, bulk->bar_offset);
  bool done;
  if (!bar) {
    sim_fail(bulk->warp, bulk->op, bulk->lanes, SIM_MBAR_MISUSE,
             "the mbarrier was invalidated before this arrival");
    return;
  }
  if (bulk->bar_cta->race)
    sim_race_sync_async(&bar->sync, bulk->write_token);
  sim_mbar_error error = sim_mbar_arrive(&bar->state, (uint32_t)__builtin_popcount(bulk->lanes),
                                         false, false, NULL, &done);
  if (mbar_error(bulk->warp, bulk->op, bulk->lane, bulk->bar_cta, bar, error) && done)
    phase_done(bulk->bar_cta, bar);
}

void sim_exec_cp_async_arrive(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mbar_info *info = op->extra;
  uint64_t at[32];
  addresses(w, op, mask, at);
  uint64_t token = w->view.agent ? sim_race_cp_async_token(w->view.agent) : 0;
  for (uint32_t left = mask; left;) {
    int lane = __builtin_ctz(left);
    uint32_t same = 0;
    sim_cta *cta;
    sim_mbar *bar = resolve(w, op, lane, at[lane], &cta);
    if (!bar)
      return;
    for (uint32_t m = left; m; m &= m - 1)
      same |= (uint32_t)(at[__builtin_ctz(m)] == at[lane]) << __builtin_ctz(m);
    left &= ~same;
    if (!info->noinc &&
        !mbar_error(w, op, lane, cta, bar,
                    sim_mbar_add_pending(&bar->state, (uint32_t)__builtin_popcount(same))))
      return;
    sim_bulk *bulk = sim_bulk_new(w, op, lane);
    bulk->end = SIM_BULK_ARRIVE;
    bulk->lanes = same;
    bulk->bar_cta = cta;
    bulk->bar_offset = bar->offset;
    bulk->read = land_copies;
    bulk->write_token = token;
    sim_bulk_issue(bulk);
  }
}

// --- waiting ------------------------------------------------------------------------------------
static bool phase_over(const sim_warp *w, const sim_op *op, const sim_mbar *bar, int lane) {
  const sim_mbar_info *info = op->extra;
  const uint32_t *S = sim_src(w, info->count);
  return info->state ? sim_mbar_test_token(&bar->state, sim_get64(S, lane))
                     : sim_mbar_test_parity(&bar->state, S[lane]);
}

// d: predicate; c unused. Lanes that name one mbarrier sleep together; mixed ones get what is.
void sim_exec_mbar_wait(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mbar_info *info = op->extra;
  sim_launch_state *launch = w->cta->launch;
  uint64_t at[32];
  uint32_t over = 0;
  bool uniform = true;
  int first = __builtin_ctz(mask);
  addresses(w, op, mask, at);
  for (uint32_t m = mask; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    sim_cta *cta;
    sim_mbar *bar = resolve(w, op, lane, at[lane], &cta);
    if (!bar)
      return;
    if (cta != w->cta) {
      sim_fail(w, op, 1u << lane, SIM_MBAR_MISUSE, "a CTA can only wait at its own mbarriers");
      return;
    }
    uniform &= at[lane] == at[first];
    bool is_over = phase_over(w, op, bar, lane);
    while (!is_over && launch->machine->options.async == SIM_ASYNC_LAZY &&
           launch->verdict == SIM_OK && sim_bulk_fire_for(cta, bar->offset))
      is_over = phase_over(w, op, bar, lane);
    if (launch->verdict != SIM_OK)
      return;
    over |= (uint32_t)is_over << lane;
    if (is_over && w->view.agent && !info->relaxed && (lane == first || at[lane] != at[lane - 1]))
      sim_race_sync_acquire(w->view.agent, &bar->sync);
  }
  if (!over && uniform && !info->test && !w->timed_out &&
      !(launch->machine->options.async == SIM_ASYNC_RANDOM && sim_random(launch) % 4 == 0)) {
    sim_cta *cta;
    const sim_mbar *bar = resolve(w, op, first, at[first], &cta);
    w->stay = true;
    w->wait_at = bar->offset;
    launch->machine->counters.mbar_waits_slept++;
    return;
  }
  launch->machine->counters.mbar_waits++;
  sim_set_pred(w, op->d, mask, over);
}

void sim_exec_mbar_count(sim_warp *w, const sim_op *op, uint32_t mask) {
  const uint32_t *A = sim_src(w, op->a);
  uint32_t *D = sim_dst(w, op->d);
  SIM_LANES_DO(mask, { D[i] = sim_mbar_pending_count(sim_get64(A, i)); })
}
