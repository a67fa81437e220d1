// CTA barriers: sixteen counters that whole warps arrive at.
//
// An aligned barrier needs all live lanes of the warp at the same pc; without .aligned the lanes
// may sit at different barrier instructions naming the same barrier. The warp then arrives once and
// counts 32 threads. The barrier opens when the expected count is there; sync and red wait for
// that.
#include "runtime/sim/async.h"
#include <inttypes.h>

static bool uniform(sim_warp *w, const sim_op *op, uint32_t mask, int32_t slot, const char *what,
                    uint32_t *out) {
  const uint32_t *S = sim_src(w, slot);
  *out = S[__builtin_ctz(mask)];
  for (uint32_t left = mask; left; left &= left - 1) {
    if (S[__builtin_ctz(left)] == *out)
      continue;
    sim_fail(w, op, mask, SIM_DIVERGENT_ALIGNED, "the %s differs between lanes of a warp", what);
    return false;
  }
  return true;
}

static const sim_op *op_of(const sim_path *path, const sim_warp *w) {
  return &w->cta->program->ops[path->pc];
}

static void release_path(sim_warp *w, sim_path *path, const sim_barrier *barrier) {
  const sim_bar_info *info = op_of(path, w)->extra;
  if (info->kind == SIM_BAR_POPC) {
    uint32_t *D = sim_dst(w, info->dest);
    for (uint32_t left = path->mask; left; left &= left - 1)
      D[__builtin_ctz(left)] = barrier->count_true;
  } else if (info->kind == SIM_BAR_AND) {
    sim_set_pred(w, info->dest, path->mask, barrier->count_true == barrier->count_lanes ? ~0u : 0);
  } else if (info->kind == SIM_BAR_OR) {
    sim_set_pred(w, info->dest, path->mask, barrier->count_true ? ~0u : 0);
  }
  path->state = SIM_PATH_RUN;
  path->pc++;
}

static void complete(sim_cta *cta, uint32_t id) {
  sim_barrier *barrier = &cta->barriers[id];
  if (cta->race)
    sim_race_bar_complete(cta->race, id, barrier->waiting_warps);
  for (uint32_t left = barrier->waiting_warps; left; left &= left - 1) {
    sim_warp *w = &cta->warps[__builtin_ctz(left)];
    for (int p = 0; p < w->npaths; p++)
      if (w->paths[p].state == SIM_PATH_BARRIER && w->paths[p].barrier == id)
        release_path(w, &w->paths[p], barrier);
    if (w->npaths > 1)
      sim_paths_merge(w);
    w->blocked = false;
  }
  cta->effects++;
  *barrier = (sim_barrier){.phase = barrier->phase + 1};
}

static void check(sim_cta *cta, uint32_t id) {
  sim_barrier *barrier = &cta->barriers[id];
  uint32_t expected = barrier->all_threads ? cta->live_warps * 32 : barrier->expected_threads;
  if (barrier->arrived_warps && barrier->arrived_threads >= expected)
    complete(cta, id);
}

void sim_barrier_recheck(sim_cta *cta) {
  for (uint32_t id = 0; id < 16; id++)
    if (cta->barriers[id].all_threads)
      check(cta, id);
}

// The warp arrives with all its live lanes. false: a mistake was reported.
static bool arrive(sim_warp *w, const sim_op *op, uint32_t id) {
  const sim_bar_info *info = op->extra;
  sim_barrier *barrier = &w->cta->barriers[id];
  uint32_t count = 0, bit = 1u << w->index;
  if (info->count != SIM_SINK &&
      !uniform(w, op, w->live, info->count, "thread count of a barrier", &count))
    return false;
  if (count % 32) {
    sim_fail(w, op, w->live, SIM_UNSUPPORTED, "barrier %u: thread count %u is not a multiple of 32",
             id, count);
    return false;
  }
  if (barrier->arrived_warps & bit) {
    sim_fail(w, op, w->live, SIM_DEADLOCK, "warp %u arrives at barrier %u twice in one phase",
             w->index, id);
    return false;
  }
  if (barrier->arrived_warps &&
      (barrier->expected_threads != count || barrier->all_threads != !count)) {
    sim_fail(w, op, w->live, SIM_DEADLOCK,
             "barrier %u is used with %u threads here and %u elsewhere", id, count,
             barrier->expected_threads);
    return false;
  }
  barrier->expected_threads = count;
  barrier->all_threads = !count;
  barrier->arrived_warps |= bit;
  barrier->arrived_threads += 32;
  if (info->kind != SIM_BAR_ARRIVE)
    barrier->waiting_warps |= bit;
  if (w->view.agent)
    sim_race_bar_arrive(w->view.agent, id);
  w->cta->launch->machine->counters.barrier_arrivals++;
  return true;
}

static void count_predicate(sim_warp *w, const sim_op *op, uint32_t mask, uint32_t id) {
  const sim_bar_info *info = op->extra;
  if (info->kind < SIM_BAR_POPC)
    return;
  sim_barrier *barrier = &w->cta->barriers[id];
  barrier->count_lanes += (uint32_t)__builtin_popcount(mask);
  barrier->count_true +=
      (uint32_t)__builtin_popcount(sim_pred(w, info->pred, info->pred_negated) & mask);
}

// Lanes of the warp that sit at a barrier instruction without .aligned naming barrier `id`.
static uint32_t gathered(const sim_warp *w, uint32_t id) {
  uint32_t lanes = 0;
  for (int p = 0; p < w->npaths; p++)
    if (w->paths[p].state == SIM_PATH_GATHER && w->paths[p].barrier == id)
      lanes |= w->paths[p].mask;
  return lanes;
}

bool sim_barrier_reach(sim_warp *w, sim_path *path, const sim_op *op) {
  const sim_bar_info *info = op->extra;
  uint32_t id;
  if (info->aligned && path->mask != w->live) {
    path->state = SIM_PATH_ALIGN;
    return false;
  }
  if (!uniform(w, op, path->mask, info->id, "number of a barrier", &id))
    return false;
  if (id > 15) {
    sim_fail(w, op, path->mask, SIM_UNSUPPORTED, "barrier %u: there are only 16", id);
    return false;
  }
  path->state = SIM_PATH_GATHER;
  path->barrier = (uint8_t)id;
  if (gathered(w, id) != w->live)
    return false;
  if (!arrive(w, op, id))
    return false;
  for (int p = 0; p < w->npaths; p++) {
    sim_path *each = &w->paths[p];
    const sim_bar_info *how = op_of(each, w)->extra;
    if (each->state != SIM_PATH_GATHER || each->barrier != id)
      continue;
    count_predicate(w, op_of(each, w), each->mask, id);
    each->state = how->kind == SIM_BAR_ARRIVE ? SIM_PATH_RUN : SIM_PATH_BARRIER;
    if (how->kind == SIM_BAR_ARRIVE)
      each->pc++;
  }
  check(w->cta, id);
  return true;
}

// --- reports ------------------------------------------------------------------------------------
static void describe_path(const sim_warp *w, const sim_path *path, tl_buf *out) {
  const sim_op *op = op_of(path, w);
  const ptx_instr *instr = w->cta->program->instrs[path->pc];
  const sim_barrier *barrier = &w->cta->barriers[path->barrier & 15];
  tl_buf_printf(out, "\n  warp %u lanes %08x at line %u (%s) ", w->index, path->mask, op->line,
                instr ? instr->opcode : "end");
  switch (path->state) {
  case SIM_PATH_ALIGN:
    tl_buf_printf(out, "wait for the other lanes %08x of the warp", w->live & ~path->mask);
    break;
  case SIM_PATH_LANES: {
    uint32_t member = sim_src(w, op->member)[__builtin_ctz(path->mask)];
    tl_buf_printf(out, "wait for lanes %08x", member & w->live & ~path->mask);
    break;
  }
  case SIM_PATH_GATHER:
    tl_buf_printf(out, "wait for the other lanes %08x of the warp", w->live & ~path->mask);
    break;
  case SIM_PATH_BARRIER:
    tl_buf_printf(out, "waits at barrier %u: %u of %u threads arrived, warps", path->barrier,
                  barrier->arrived_threads,
                  barrier->all_threads ? w->cta->live_warps * 32 : barrier->expected_threads);
    for (uint32_t left = barrier->arrived_warps; left; left &= left - 1)
      tl_buf_printf(out, " %d", __builtin_ctz(left));
    break;
  case SIM_PATH_WARPGROUP:
    tl_buf_puts(out, "waits for the other warps of its warpgroup");
    break;
  case SIM_PATH_EVENT:
    if (path->wait_at == SIM_WAIT_CLUSTER) {
      tl_buf_puts(out, "waits at the cluster barrier");
    } else if (path->wait_at == SIM_WAIT_REGISTERS) {
      sim_describe_registers(w, op, out);
    } else {
      tl_buf_puts(out, "waits at the ");
      sim_describe_mbar(w->cta, path->wait_at, out);
    }
    break;
  default:
    tl_buf_puts(out, "can run");
    break;
  }
}

void sim_describe_wait(const sim_cta *cta, tl_buf *out) {
  for (uint32_t i = 0; i < cta->nwarps; i++)
    for (int p = 0; p < cta->warps[i].npaths; p++)
      describe_path(&cta->warps[i], &cta->warps[i].paths[p], out);
}
