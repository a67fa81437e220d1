// The scheduler: which CTA, which warp, which path runs next, and how paths split and merge.
//
// A warp runs up to a quantum of instructions, then the policy picks another. Within a warp the
// path with the lowest pc runs, since that lets the others be caught up with; a path that keeps
// branching backward is passed over now and then, so that lanes may wait for lanes of their own
// warp.
#include "lang/base/assert.h"
#include "runtime/sim/async.h"
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
  RR_QUANTUM = 32,
  GREEDY_QUANTUM = 1 << 16, // a spinning warp must let others run eventually
  STARVE_LIMIT = 1 << 17,   // the starved warp runs after so many instructions of the others
  CTA_SLICE = 1 << 15,
  MAX_RESIDENT = 132,
  BACKWARD_LIMIT = 1024
};

uint64_t sim_random(sim_launch_state *launch) { // splitmix64
  uint64_t z = launch->rng += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

// --- paths --------------------------------------------------------------------------------------
void sim_paths_merge(sim_warp *w) {
  for (int i = 0; i < w->npaths; i++)
    for (int j = i + 1; j < w->npaths; j++) {
      sim_path *a = &w->paths[i], *b = &w->paths[j];
      if (a->pc != b->pc || a->state == SIM_PATH_BARRIER || b->state == SIM_PATH_BARRIER)
        continue;
      a->mask |= b->mask;
      a->state = SIM_PATH_RUN; // whatever either waited for is judged again with more lanes
      a->backward = 0;
      w->paths[j--] = w->paths[--w->npaths];
    }
}

static void add_path(sim_warp *w, uint32_t pc, uint32_t mask) {
  TL_ASSERT(w->npaths < 32, "more paths than lanes");
  w->paths[w->npaths++] = (sim_path){.pc = pc, .mask = mask, .state = SIM_PATH_RUN};
}

static void wake_waiting(sim_warp *w) { // lanes left: who waited for them may go on
  for (int p = 0; p < w->npaths; p++)
    if (w->paths[p].state != SIM_PATH_BARRIER)
      w->paths[p].state = SIM_PATH_RUN;
}

static sim_path *pick_path(sim_warp *w) {
  if (w->npaths == 1)
    return w->paths[0].state == SIM_PATH_RUN ? &w->paths[0] : NULL;
  sim_path *best = NULL, *patient = NULL;
  for (int p = 0; p < w->npaths; p++) {
    sim_path *path = &w->paths[p];
    if (path->state != SIM_PATH_RUN)
      continue;
    if (!best || path->pc < best->pc)
      best = path;
    if (path->backward < BACKWARD_LIMIT && (!patient || path->pc < patient->pc))
      patient = path;
  }
  if (patient)
    return patient;
  for (int p = 0; p < w->npaths; p++)
    w->paths[p].backward = 0; // all had their turn
  return best;
}

static void exit_lanes(sim_warp *w, sim_path *path, uint32_t exec) {
  w->live &= ~exec;
  path->mask &= ~exec;
  path->pc++;
  if (!path->mask)
    *path = w->paths[--w->npaths];
  wake_waiting(w);
  if (w->npaths > 1)
    sim_paths_merge(w);
  if (w->live)
    return;
  w->cta->live_warps--;
  w->cta->effects++;
  sim_barrier_recheck(w->cta);
  sim_cluster_recheck(w->cta->cluster);
}

static void branch(sim_warp *w, sim_path *path, const sim_op *op, uint32_t exec) {
  bool backward = op->target <= path->pc;
  if (exec == path->mask) {
    path->pc = op->target;
    path->backward += backward;
  } else {
    path->mask &= ~exec;
    path->pc++;
    add_path(w, op->target, exec);
    w->paths[w->npaths - 1].backward = path->backward + backward;
  }
}

// Lanes whose guard fails go on; the others stay at the op as a path of their own.
static sim_path *split_off(sim_warp *w, sim_path *path, uint32_t exec) {
  if (exec == path->mask)
    return path;
  uint32_t rest = path->mask & ~exec;
  uint32_t pc = path->pc;
  path->mask = exec;
  add_path(w, pc + 1, rest);
  return path;
}

// A .sync op: runs once per group of lanes naming the same membermask, when the group is complete.
static bool run_sync(sim_warp *w, sim_path *path, const sim_op *op) {
  const uint32_t *member = sim_src(w, op->member);
  for (uint32_t left = path->mask; left;) {
    int lane = __builtin_ctz(left);
    uint32_t named = member[lane], group = named & w->live;
    if (!(named >> lane & 1)) {
      sim_fail(w, op, 1u << lane, SIM_DIVERGENT_ALIGNED,
               "lane %d is not in its own membermask %08x", lane, named);
      return false;
    }
    if (group & ~path->mask)
      return false;
    left &= ~group;
  }
  for (uint32_t left = path->mask; left;) {
    uint32_t group = member[__builtin_ctz(left)] & w->live;
    op->fn(w, op, group & left);
    left &= ~group;
  }
  return true;
}

// bar.warp.sync joins lanes at different bar.warp.sync instructions too.
static bool release_warp_barrier(sim_warp *w, sim_path *path, const sim_op *op) {
  if (op->fn != sim_exec_bar_warp)
    return false;
  uint32_t named = sim_src(w, op->member)[__builtin_ctz(path->mask)] & w->live, here = 0;
  const sim_op *ops = w->cta->program->ops;
  for (int p = 0; p < w->npaths; p++)
    if (ops[w->paths[p].pc].fn == sim_exec_bar_warp &&
        (w->paths[p].state == SIM_PATH_LANES || &w->paths[p] == path))
      here |= w->paths[p].mask;
  if (named & ~here)
    return false;
  for (int p = 0; p < w->npaths; p++) {
    if (ops[w->paths[p].pc].fn != sim_exec_bar_warp || !(w->paths[p].mask & named))
      continue;
    w->paths[p].state = SIM_PATH_RUN;
    w->paths[p].pc++;
  }
  return true;
}

// --- one instruction ----------------------------------------------------------------------------
static void trace(const sim_warp *w, const sim_op *op, uint32_t pc, uint32_t exec) {
  FILE *out = w->cta->launch->machine->options.trace;
  const sim_program *program = w->cta->program;
  const sim_loc *loc = &program->locs[op->loc];
  tl_buf text = {0};
  if (program->instrs[pc])
    ptx_print_instr(program->instrs[pc], &text);
  fprintf(out, "cta %u,%u,%u warp %u line %u mask %08x ", w->cta->id[0], w->cta->id[1],
          w->cta->id[2], w->index, op->line, exec);
  if (loc->line)
    fprintf(out, "%s:%d ", loc->path ? loc->path : "?", loc->line);
  fprintf(out, "%s\n", text.data ? text.data : "end");
  tl_buf_free(&text);
}

static void count(sim_warp *w, const sim_op *op, uint32_t pc, uint32_t exec) {
  sim_machine *machine = w->cta->launch->machine;
  if (op->flags & SIM_OPF_GENERATED)
    return;
  machine->counters.warp_instructions++;
  machine->counters.thread_instructions += (uint32_t)__builtin_popcount(exec);
  if (machine->options.stats) {
    machine->form_counts[op->form]++;
    if (exec != w->live)
      machine->form_partial[op->form]++;
  }
  if (machine->options.trace)
    trace(w, op, pc, exec);
}

// An op that may find nothing to do yet. true: done, the path goes on.
static bool run_wait(sim_warp *w, sim_path *path, const sim_op *op, uint32_t exec) {
  if (op->flags & SIM_OPF_ALIGNED && exec != w->live) {
    path->state = SIM_PATH_ALIGN;
    return false;
  }
  w->stay = false;
  w->timed_out = path->timed_out;
  path->timed_out = false;
  op->fn(w, op, exec);
  if (!w->stay)
    return true;
  path->state = SIM_PATH_EVENT;
  path->wait_at = w->wait_at;
  return false;
}

static void step(sim_warp *w, sim_path *path) {
  const sim_op *op = &w->cta->program->ops[path->pc];
  uint32_t exec = path->mask, pc = path->pc;
  if (op->guard)
    exec &= sim_pred(w, op->guard, op->guard_negated);
  w->steps++;
  w->op = op;
  if (op->flags & SIM_OPF_WGMMA_REG && exec && !sim_wgmma_touch(w, op))
    return;
  switch (op->flow) {
  case SIM_FLOW_NEXT:
    count(w, op, pc, exec);
    if (exec)
      op->fn(w, op, exec);
    path->pc++;
    break;
  case SIM_FLOW_BRANCH:
    count(w, op, pc, exec);
    if (exec)
      branch(w, path, op, exec);
    else
      path->pc++;
    break;
  case SIM_FLOW_EXIT:
    count(w, op, pc, exec);
    if (exec)
      exit_lanes(w, path, exec);
    else
      path->pc++;
    break;
  default:
    if (!exec) {
      count(w, op, pc, exec);
      path->pc++;
      break;
    }
    path = split_off(w, path, exec);
    if (op->flow == SIM_FLOW_BARRIER) {
      if (sim_barrier_reach(w, path, op))
        count(w, op, pc, exec);
    } else if (op->flow == SIM_FLOW_ALIGNED) {
      if (path->mask != w->live) {
        path->state = SIM_PATH_ALIGN;
      } else {
        count(w, op, pc, exec);
        op->fn(w, op, exec);
        path->pc++;
      }
    } else if (op->flow == SIM_FLOW_WARPGROUP) {
      if (path->mask != w->live)
        path->state = SIM_PATH_ALIGN;
      else if (sim_wgmma_reach(w, path, op))
        count(w, op, pc, exec);
    } else if (op->flow == SIM_FLOW_WAIT) {
      if (run_wait(w, path, op, exec)) {
        count(w, op, pc, exec);
        path->pc++;
      }
    } else if (run_sync(w, path, op)) {
      count(w, op, pc, exec);
      path->pc++;
    } else if (release_warp_barrier(w, path, op)) {
      count(w, op, pc, exec);
    } else {
      path->state = SIM_PATH_LANES;
    }
    break;
  }
  if (w->npaths > 1)
    sim_paths_merge(w);
}

// The warp cannot run. Waiting at a CTA barrier is fine; lanes that wait for each other are not.
static void judge_blocked(sim_warp *w) {
  w->blocked = true;
  if (w->cta->launch->verdict != SIM_OK || !w->live)
    return;
  const sim_path *stuck = NULL;
  for (int p = 0; p < w->npaths; p++) {
    const sim_path *path = &w->paths[p];
    if (path->state == SIM_PATH_EVENT)
      return; // who sleeps at an mbarrier may still come
    if (path->state == SIM_PATH_BARRIER || path->state == SIM_PATH_WARPGROUP)
      continue;
    if (!stuck || path->state == SIM_PATH_ALIGN)
      stuck = path;
  }
  if (!stuck)
    return;
  const sim_op *op = &w->cta->program->ops[stuck->pc];
  tl_buf who = {0};
  sim_describe_wait(w->cta, &who);
  sim_fail(w, op, stuck->mask,
           stuck->state == SIM_PATH_ALIGN ? SIM_DIVERGENT_ALIGNED : SIM_DEADLOCK, "%s%s",
           stuck->state == SIM_PATH_ALIGN ? "an aligned instruction is reached by some lanes only"
                                          : "lanes of a warp wait for each other",
           who.data);
  tl_buf_free(&who);
}

static uint64_t run_warp(sim_warp *w, uint64_t quantum) {
  sim_launch_state *launch = w->cta->launch;
  uint64_t done = 0;
  bool random_events = launch->machine->options.async == SIM_ASYNC_RANDOM;
  while (done < quantum && launch->verdict == SIM_OK) {
    sim_path *path = w->npaths ? pick_path(w) : NULL;
    if (!path) {
      judge_blocked(w);
      break;
    }
    step(w, path);
    done++;
    launch->clock++;
    if (random_events && w->cta->events && sim_random(launch) % 16 == 0)
      sim_events_fire_random(w->cta);
    if (random_events && w->cta->cluster->bulk && sim_random(launch) % 16 == 0)
      sim_bulk_fire_random(w->cta->cluster);
  }
  return done;
}

// --- warps of a CTA -----------------------------------------------------------------------------
static bool can_run(const sim_warp *w) { return w->live && !w->blocked; }

static sim_warp *next_ready(sim_cta *cta, uint32_t from, int except) {
  for (uint32_t k = 0; k < cta->nwarps; k++) {
    uint32_t i = (from + k) % cta->nwarps;
    if ((int)i != except && can_run(&cta->warps[i]))
      return &cta->warps[i];
  }
  return NULL;
}

static sim_warp *pick_warp(sim_cta *cta, uint64_t *out_quantum) {
  sim_launch_state *launch = cta->launch;
  const sim_options *options = &launch->machine->options;
  sim_warp *w = NULL;
  *out_quantum = RR_QUANTUM;
  switch (options->schedule) {
  case SIM_RANDOM:
    w = next_ready(cta, (uint32_t)(sim_random(launch) % cta->nwarps), -1);
    *out_quantum = 1 + sim_random(launch) % RR_QUANTUM;
    break;
  case SIM_GREEDY:
    w = next_ready(cta, cta->turn, -1);
    *out_quantum = GREEDY_QUANTUM;
    break;
  case SIM_STARVE:
    if (cta->starved < STARVE_LIMIT)
      w = next_ready(cta, cta->turn, options->starve_warp);
    if (w) {
      cta->starved += RR_QUANTUM;
    } else {
      cta->starved = 0;
      w = next_ready(cta, (uint32_t)options->starve_warp % cta->nwarps, -1);
    }
    break;
  default:
    w = next_ready(cta, cta->turn, -1);
    break;
  }
  if (w)
    cta->turn = (w->index + 1) % cta->nwarps;
  return w;
}

static void report_deadlock(sim_cta *cta) {
  tl_buf who = {0};
  sim_warp *w = &cta->warps[0];
  for (uint32_t i = 0; i < cta->nwarps && !w->live; i++)
    w = &cta->warps[i];
  for (uint32_t c = 0; c < cta->cluster->n; c++) {
    const sim_cta *each = cta->cluster->ctas[c];
    if (cta->cluster->n > 1)
      tl_buf_printf(&who, "\n  CTA (%u,%u,%u)%s:", each->id[0], each->id[1], each->id[2],
                    each->exited ? " has exited" : "");
    if (!each->exited)
      sim_describe_wait(each, &who);
  }
  sim_fail(w, &cta->program->ops[w->paths[0].pc], 0, SIM_DEADLOCK, "no warp of the %s can run%s",
           cta->cluster->n > 1 ? "cluster" : "CTA", who.data);
  tl_buf_free(&who);
}

// Runs the CTA until it is done, its slice is used up, or the launch failed.
static void run_slice(sim_cta *cta, uint64_t slice) {
  sim_launch_state *launch = cta->launch;
  uint64_t limit = launch->machine->options.step_limit;
  while (slice && cta->live_warps && launch->verdict == SIM_OK) {
    uint64_t quantum;
    sim_warp *w = pick_warp(cta, &quantum);
    if (!w) {
      sim_stuck stuck = sim_cluster_stuck(cta);
      if (stuck == SIM_STUCK_DEAD)
        report_deadlock(cta);
      if (stuck != SIM_STUCK_RETRY || !next_ready(cta, 0, -1))
        return;
      continue;
    }
    uint64_t done = run_warp(w, quantum);
    cta->steps += done;
    slice -= done < slice ? done : slice;
    if (limit && cta->steps > limit && cta->live_warps)
      sim_fail(w, w->op, 0, SIM_STEP_LIMIT, "more than %" PRIu64 " warp instructions in one CTA",
               limit);
  }
}

// --- CTAs of a grid -----------------------------------------------------------------------------
static void init_warp(sim_cta *cta, sim_warp *w, uint32_t index) {
  sim_launch_state *launch = cta->launch;
  const sim_options *options = &launch->machine->options;
  const uint32_t *block = launch->desc->block;
  uint32_t threads = block[0] * block[1] * block[2], first = index * 32;
  sim_region local = w->local;
  *w = (sim_warp){.cta = cta, .index = index, .consts = cta->program->consts, .local = local};
  w->regs = cta->reg_block + (size_t)index * cta->program->nregs * 32;
  w->preds = cta->pred_block + (size_t)index * cta->program->npreds;
  memset(w->regs, 0xA5, (size_t)cta->program->nregs * 128); // registers start with junk
  memset(w->preds, 0x5A, (size_t)cta->program->npreds * 4);
  w->preds[0] = ~0u;
  w->live = threads - first >= 32 ? ~0u : (1u << (threads - first)) - 1;
  w->npaths = 1;
  w->paths[0] = (sim_path){.pc = 0, .mask = w->live};
  w->view = (sim_mem_view){
      .global = launch->machine->mem,
      .shared = launch->shared_total ? &cta->shared : NULL,
      .peers = cta->cluster->shared,
      .npeers = launch->desc->cluster[0] * launch->desc->cluster[1] * launch->desc->cluster[2],
      .local = cta->program->local_bytes ? &w->local : NULL,
      .local_stride = cta->program->local_bytes,
      .param = &launch->param,
      .constant = launch->module->has_constant ? (sim_region *)&launch->module->constant : NULL,
      .agent = cta->race ? sim_race_warp(cta->race, index) : NULL,
      .fault = &launch->fault,
      .check_bounds = options->check_bounds,
      .check_uninit = options->check_uninit,
      .count_stats = options->stats};
  if (cta->program->local_bytes)
    sim_region_reset(&w->local, options->seed + index);
}

// PTX of nvcc names thousands of registers: in pages of 2 MiB they cost few page faults.
static void *alloc_registers(size_t bytes) {
  size_t page = bytes >> 20 ? (size_t)2 << 20 : 128;
  void *block = aligned_alloc(page, (bytes + page - 1) & ~(page - 1));
  if (block && bytes >> 20)
    madvise(block, bytes, MADV_HUGEPAGE); // where the host has them
  return block;
}

static sim_cta *new_cta(sim_launch_state *launch) {
  const sim_program *program = launch->program;
  sim_cta *cta = calloc(1, sizeof *cta);
  TL_ASSERT(cta, "out of memory");
  cta->launch = launch;
  cta->program = program;
  cta->nwarps = launch->nwarps;
  cta->warps = calloc(cta->nwarps, sizeof *cta->warps);
  cta->reg_block = alloc_registers((size_t)cta->nwarps * program->nregs * 128);
  cta->pred_block = malloc((size_t)cta->nwarps * program->npreds * 4);
  TL_ASSERT(cta->warps && cta->reg_block && cta->pred_block, "out of memory");
  if (launch->shared_total)
    sim_region_init(&cta->shared, SIM_SPACE_SHARED, SIM_SHARED_FIRST, launch->shared_total,
                    "shared memory");
  for (uint32_t i = 0; i < cta->nwarps && program->local_bytes; i++)
    sim_region_init(&cta->warps[i].local, SIM_SPACE_LOCAL, SIM_LOCAL_FIRST,
                    (size_t)program->local_bytes * 32, "local memory");
  return cta;
}

static void free_cta(sim_cta *cta) {
  sim_events_free(cta);
  for (uint32_t i = 0; i < cta->nwarps && cta->program->local_bytes; i++)
    sim_region_free(&cta->warps[i].local);
  if (cta->launch->shared_total)
    sim_region_free(&cta->shared);
  sim_mbars_free(cta);
  free(cta->warps);
  free(cta->reg_block);
  free(cta->pred_block);
  free(cta);
}

static void start_cta(sim_cta *cta, sim_cluster *cluster, const uint32_t id[3]) {
  sim_launch_state *launch = cta->launch;
  const uint32_t *grid = launch->desc->grid;
  const sim_options *options = &launch->machine->options;
  uint64_t linear = id[0] + (uint64_t)grid[0] * (id[1] + (uint64_t)grid[1] * id[2]);
  cta->linear = linear;
  memcpy(cta->id, id, sizeof cta->id);
  sim_cluster_add(cluster, cta);
  sim_mbars_free(cta);
  cta->live_warps = cta->nwarps;
  cta->steps = cta->effects = 0;
  cta->turn = cta->starved = 0;
  cta->reg_pool = 0;
  memset(cta->barriers, 0, sizeof cta->barriers);
  sim_region *shared = launch->shared_total ? &cta->shared : NULL;
  if (shared)
    sim_region_reset(shared, options->seed + linear);
  cta->race = options->check_race ? sim_race_cta_new(launch->machine->race, linear, shared) : NULL;
  for (uint32_t i = 0; i < cta->nwarps; i++)
    init_warp(cta, &cta->warps[i], i);
  if (cta->program->touches)
    sim_wgmma_start(cta);
}

static void end_cta(sim_cta *cta) {
  if (!cta->exited)
    sim_cluster_exit(cta->cluster, cta);
  sim_counters *counters = &cta->launch->machine->counters;
  if (cta->launch->verdict == SIM_OK && sim_events_pending(cta, NULL)) {
    const sim_event *event = cta->events;
    sim_fail(event->warp, event->op, event->pending, SIM_PENDING_ASYNC,
             "the CTA ended before this asynchronous operation was waited for");
  }
  for (uint32_t i = 0; i < cta->nwarps; i++) {
    counters->shared_load_bytes += cta->warps[i].view.shared_load_bytes;
    counters->shared_store_bytes += cta->warps[i].view.shared_store_bytes;
    counters->bulk_load_bytes += cta->warps[i].view.bulk_load_bytes;
    counters->bulk_store_bytes += cta->warps[i].view.bulk_store_bytes;
    counters->global_load_bytes += cta->warps[i].view.global_load_bytes;
    counters->global_store_bytes += cta->warps[i].view.global_store_bytes;
    counters->shared_bank_conflicts += cta->warps[i].view.bank_conflicts;
  }
  if (cta->race)
    sim_race_cta_free(cta->race);
  cta->race = NULL;
  sim_events_free(cta);
  sim_wgmma_end(cta);
}

typedef struct grid_run {
  sim_launch_state *launch;
  sim_cta *resident[MAX_RESIDENT], *idle;
  uint32_t nresident;
  uint64_t started, total; // clusters
  uint32_t cluster_ctas;
} grid_run;

// The next cluster: all its CTAs at once. Returns its first CTA.
static sim_cta *bring_in(grid_run *run) {
  const uint32_t *grid = run->launch->desc->grid, *dims = run->launch->desc->cluster;
  uint32_t across[2] = {grid[0] / dims[0], grid[1] / dims[1]};
  uint64_t index = run->started++;
  uint32_t base[3] = {(uint32_t)(index % across[0]) * dims[0],
                      (uint32_t)(index / across[0] % across[1]) * dims[1],
                      (uint32_t)(index / across[0] / across[1]) * dims[2]};
  sim_cluster *cluster = sim_cluster_new(run->launch, run->cluster_ctas);
  for (uint32_t rank = 0; rank < run->cluster_ctas; rank++) {
    sim_cta *cta = run->idle;
    if (cta)
      run->idle = cta->next;
    else
      cta = new_cta(run->launch);
    uint32_t id[3] = {base[0] + rank % dims[0], base[1] + rank / dims[0] % dims[1],
                      base[2] + rank / dims[0] / dims[1]};
    start_cta(cta, cluster, id);
    run->resident[run->nresident++] = cta;
  }
  return cluster->ctas[0];
}

// The CTA has ended; when its cluster has, the CTAs may be used again.
static void take_out(grid_run *run, uint32_t at) {
  sim_cluster *cluster = run->resident[at]->cluster;
  run->resident[at] = run->resident[--run->nresident];
  if (cluster->live)
    return;
  for (uint32_t c = 0; c < cluster->n; c++) {
    cluster->ctas[c]->next = run->idle;
    run->idle = cluster->ctas[c];
    cluster->ctas[c]->cluster = NULL;
  }
  sim_cluster_free(cluster);
}

// The CTA that runs next; *current is the index of the last one.
static sim_cta *pick_cta(grid_run *run, uint32_t *current, bool stay) {
  bool random = run->launch->machine->options.schedule == SIM_RANDOM;
  bool can_start = run->started < run->total && run->nresident + run->cluster_ctas <= MAX_RESIDENT;
  if (stay && !random && *current < run->nresident)
    return run->resident[*current];
  bool start = can_start && (!run->nresident || !random || sim_random(run->launch) % 4 == 0);
  if (start) {
    *current = run->nresident;
    return bring_in(run);
  }
  *current = random ? (uint32_t)(sim_random(run->launch) % run->nresident)
                    : (*current + 1) % run->nresident;
  return run->resident[*current];
}

void sim_run_grid(sim_launch_state *launch) {
  grid_run run = {.launch = launch};
  const uint32_t *grid = launch->desc->grid, *dims = launch->desc->cluster;
  uint32_t current = 0;
  bool stay = false;
  run.cluster_ctas = dims[0] * dims[1] * dims[2];
  run.total = (uint64_t)grid[0] * grid[1] * grid[2] / run.cluster_ctas;
  while (launch->verdict == SIM_OK && (run.started < run.total || run.nresident)) {
    sim_cta *cta = pick_cta(&run, &current, stay);
    uint64_t slice = CTA_SLICE, effects = cta->effects;
    if (launch->machine->options.schedule == SIM_RANDOM) { // short and long turns
      uint64_t draw = sim_random(launch);
      slice = 1 + draw % (UINT64_C(16) << (draw >> 32) % 9);
    }
    launch->resident = run.resident;
    launch->nresident = run.nresident;
    launch->more_to_come =
        run.started < run.total && run.nresident + run.cluster_ctas <= MAX_RESIDENT;
    run_slice(cta, slice);
    stay = cta->effects != effects; // a CTA that only spins lets the others run
    if (stay) {
      launch->idle_rounds = 0;
      launch->effect_clock = launch->clock;
    }
    if (cta->live_warps)
      continue;
    end_cta(cta);
    take_out(&run, current);
    stay = false;
  }
  while (run.nresident) {
    end_cta(run.resident[run.nresident - 1]);
    take_out(&run, run.nresident - 1);
  }
  while (run.idle) {
    sim_cta *next = run.idle->next;
    free_cta(run.idle);
    run.idle = next;
  }
}
