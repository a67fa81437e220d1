// Asynchronous operations: issued now, landing when the scheduler says. cp.async is the first kind.
//
// eager: lands at issue; lazy (default): nothing lands before somebody waits for it; random: the
// scheduler lets a random event land now and then. Sources are read when the event lands.
#include "lang/base/assert.h"
#include "runtime/sim/async.h"
#include <stdlib.h>

sim_event *sim_event_new(sim_cta *cta) {
  sim_event *event = cta->free_events;
  if (event)
    cta->free_events = event->next;
  else
    event = calloc(1, sizeof *event);
  TL_ASSERT(event, "out of memory");
  event->next = NULL;
  if (!cta->events_tail)
    cta->events_tail = &cta->events;
  *cta->events_tail = event;
  cta->events_tail = &event->next;
  return event;
}

// Removes landed events from the list.
void sim_events_sweep(sim_cta *cta) {
  sim_event **link = &cta->events;
  while (*link) {
    sim_event *event = *link;
    if (event->pending) {
      link = &event->next;
      continue;
    }
    *link = event->next;
    event->next = cta->free_events;
    cta->free_events = event;
  }
  cta->events_tail = link;
}

void sim_event_fire(sim_event *event, uint32_t lanes) {
  lanes &= event->pending;
  if (!lanes)
    return;
  event->pending &= ~lanes;
  event->fire(event, lanes);
}

void sim_events_fire_random(sim_cta *cta) {
  uint32_t count = 0;
  for (sim_event *event = cta->events; event; event = event->next)
    count++;
  if (!count)
    return;
  uint32_t pick = (uint32_t)(sim_random(cta->launch) % count);
  for (sim_event *event = cta->events; event; event = event->next)
    if (pick-- == 0)
      sim_event_fire(event, event->pending);
  sim_events_sweep(cta);
}

bool sim_events_pending(const sim_cta *cta, const sim_warp *warp) {
  for (const sim_event *event = cta->events; event; event = event->next)
    if (event->pending && (!warp || event->warp == warp))
      return true;
  return false;
}

void sim_events_free(sim_cta *cta) {
  for (sim_event *list = cta->events; list;) {
    sim_event *next = list->next;
    free(list);
    list = next;
  }
  for (sim_event *list = cta->free_events; list;) {
    sim_event *next = list->next;
    free(list);
    list = next;
  }
  cta->events = cta->free_events = NULL;
  cta->events_tail = NULL;
}

// --- cp.async -----------------------------------------------------------------------------------
static void land_copy(sim_event *event, uint32_t lanes) {
  sim_warp *w = event->warp;
  w->view.line = event->op->line;
  if (!sim_mem_copy_land(&w->view, event->dst, event->src, lanes, event->bytes, event->src_bytes))
    sim_fail_memory(w, event->op);
}

// a: destination base, b: source base; extra: sim_copy_info.
void sim_exec_cp_async(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_copy_info *info = op->extra;
  sim_event *event = sim_event_new(w->cta);
  event->fire = land_copy;
  event->warp = w;
  event->op = op;
  event->bytes = info->bytes;
  event->pending = mask;
  memcpy(event->group, w->async_open, sizeof event->group);
  sim_addresses(w, op->a, info->dst_offset, info->dst_wide, mask, event->dst);
  sim_addresses(w, op->b, info->src_offset, info->src_wide, mask, event->src);
  uint32_t ignore = info->ignore ? sim_pred(w, info->ignore, info->ignore_negated) : 0;
  for (int i = 0; i < 32; i++) {
    uint32_t bytes = info->src_bytes == SIM_SINK ? info->bytes : sim_src(w, info->src_bytes)[i];
    if (mask >> i & 1 && bytes > info->bytes) {
      event->pending = 0;
      sim_events_sweep(w->cta);
      sim_fail(w, op, 1u << i, SIM_BAD_ADDRESS, "cp.async copies %u of %u bytes", bytes,
               info->bytes);
      return;
    }
    event->src_bytes[i] = ignore >> i & 1 ? 0 : bytes;
  }
  w->view.line = op->line;
  if (!sim_mem_copy_issue(&w->view, event->dst, event->src, mask, info->bytes, event->src_bytes)) {
    sim_fail_memory(w, op);
    return;
  }
  if (w->cta->launch->machine->options.async == SIM_ASYNC_EAGER) {
    sim_event_fire(event, mask);
    sim_events_sweep(w->cta);
  }
}

// The race detector counts groups per warp: one token per commit, kept per group number.
void sim_exec_cp_commit(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)op;
  uint32_t token = w->view.agent ? sim_race_async_commit(w->view.agent) : 0;
  for (uint32_t left = mask; left; left &= left - 1) {
    int i = __builtin_ctz(left);
    w->async_token[w->async_open[i] % SIM_ASYNC_GROUPS] = token;
    w->async_open[i]++;
  }
}

// imm: groups that may stay pending; -1: wait_all, uncommitted copies included.
void sim_exec_cp_wait(sim_warp *w, const sim_op *op, uint32_t mask) {
  if (op->imm < 0)
    sim_exec_cp_commit(w, op, mask);
  uint32_t allowed = op->imm < 0 ? 0 : (uint32_t)op->imm;
  for (sim_event *event = w->cta->events; event; event = event->next) {
    if (event->warp != w || event->fire != land_copy)
      continue;
    uint32_t due = 0;
    for (uint32_t left = event->pending & mask; left; left &= left - 1) {
      int i = __builtin_ctz(left);
      // groups [0, open) are committed; those before open - allowed must be done
      if (w->async_open[i] > allowed && event->group[i] < w->async_open[i] - allowed)
        due |= 1u << i;
    }
    sim_event_fire(event, due);
  }
  sim_events_sweep(w->cta);
  int lane = __builtin_ctz(mask);
  if (w->view.agent && w->async_open[lane] > allowed)
    sim_race_async_wait(w->view.agent,
                        w->async_token[(w->async_open[lane] - allowed - 1) % SIM_ASYNC_GROUPS]);
}

void sim_cp_async_land(sim_warp *w, uint32_t lanes) {
  for (sim_event *event = w->cta->events; event; event = event->next)
    if (event->warp == w && event->fire == land_copy)
      sim_event_fire(event, lanes);
  sim_events_sweep(w->cta);
}
