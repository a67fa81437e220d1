// wgmma: four warps issue together, the product lands later.
//
// An instruction becomes one event of its warpgroup. It lands between issue and the wait_group that
// covers its group, operands being read then; earlier wgmmas of the warpgroup land first. Until a
// warp has waited, its accumulators and A registers are in flight: a touch is a mistake, also when
// the product happens to have landed. A wgmma whose registers were touched since the warp's last
// wgmma.fence is one too.
//
// For the race detector the reads of a group are one operation of the async proxy. Rows of A are
// checked with what their warp knows, those of B a quarter by each warp; any warp's wait covers the
// reads of all four.
#include "runtime/sim/exec.h"
#include "runtime/sim/mma_tile.h"
#include "lang/base/assert.h"
#include <stdlib.h>

enum { GROUPS = 64 };

typedef struct wgmma_warp {
  uint32_t committed, done; // groups
  uint32_t fences;
  uint64_t token[GROUPS]; // race detector: the reads of group g, at g % GROUPS; 0: none
  // per register plane
  uint32_t *acc_until;   // accumulator in flight until so many groups are done
  uint32_t *input_until; // the same for A
  uint32_t *touched;     // fences + 1 when it was touched by anything but a wgmma
  uint32_t *line;        // of the wgmma in flight
} wgmma_warp;

struct sim_wgmma_cta {
  sim_wgmma_b b;
  uint32_t *planes; // of all warps
  wgmma_warp warps[];
};

void sim_wgmma_start(sim_cta *cta) {
  uint32_t nregs = cta->program->nregs;
  struct sim_wgmma_cta *state = malloc(sizeof *state + cta->nwarps * sizeof(wgmma_warp));
  TL_ASSERT(state, "out of memory");
  memset(state->warps, 0, cta->nwarps * sizeof(wgmma_warp));
  state->planes = calloc((size_t)cta->nwarps * nregs, 4 * sizeof(uint32_t));
  TL_ASSERT(state->planes, "out of memory");
  for (uint32_t i = 0; i < cta->nwarps; i++) {
    uint32_t *planes = state->planes + (size_t)i * nregs * 4;
    state->warps[i].acc_until = planes;
    state->warps[i].input_until = planes + nregs;
    state->warps[i].touched = planes + 2 * (size_t)nregs;
    state->warps[i].line = planes + 3 * (size_t)nregs;
  }
  cta->wgmma = state;
}

void sim_wgmma_end(sim_cta *cta) {
  if (!cta->wgmma)
    return;
  free(cta->wgmma->planes);
  free(cta->wgmma);
  cta->wgmma = NULL;
}

static wgmma_warp *state_of(const sim_warp *w) { return &w->cta->wgmma->warps[w->index]; }

// --- landing early -----------------------------------------------------------------------------
static void land(sim_event *event, uint32_t lanes);

// A move of an accumulator in flight is a new name for it, as assemblers see it: the product lands
// now, which it may at any time, and the new register is in flight as long as the old one was.
static void rename_accumulator(sim_warp *w, const sim_op *op) {
  wgmma_warp *s = state_of(w);
  uint32_t from = (uint32_t)op->a, to = (uint32_t)op->d;
  for (sim_event *event = w->cta->events; event; event = event->next)
    if (event->fire == land && event->warp == &w->cta->warps[w->index & ~3u])
      sim_event_fire(event, 1);
  sim_events_sweep(w->cta);
  s->acc_until[to] = s->acc_until[from];
  s->line[to] = s->line[from];
  s->touched[from] = s->touched[to] = s->fences + 1;
}

// --- registers in flight ------------------------------------------------------------------------
bool sim_wgmma_touch(sim_warp *w, const sim_op *op) {
  const sim_program *program = w->cta->program;
  const sim_touch_range *range = &program->touched[op - program->ops];
  wgmma_warp *s = state_of(w);
  bool move = op->fn == sim_exec_mov32 && op->a >= 0;
  if (move && s->acc_until[op->a] > s->done && s->acc_until[op->d] <= s->done &&
      s->input_until[op->d] <= s->done) {
    rename_accumulator(w, op);
    return true;
  }
  for (uint32_t i = 0; i < range->count; i++) {
    const sim_touch *touch = &program->touches[range->first + i];
    for (uint32_t p = (uint32_t)touch->slot; p < (uint32_t)touch->slot + touch->planes; p++) {
      bool acc = s->acc_until[p] > s->done, input = touch->written && s->input_until[p] > s->done;
      if (acc || input) {
        sim_fail(w, op, 0, SIM_INFLIGHT_REG,
                 "%s a register that is %s of the wgmma at line %u, which is still in flight: no "
                 "wgmma.wait_group covers it",
                 touch->written ? "writes" : "reads", acc ? "an accumulator" : "an input",
                 s->line[p]);
        return false;
      }
      s->touched[p] = s->fences + 1;
    }
  }
  return true;
}

// Marks D and A; false: a register is not free for it.
static bool claim(sim_warp *w, const sim_op *op, const int32_t *slots, uint32_t count, bool input) {
  wgmma_warp *s = state_of(w);
  for (uint32_t k = 0; k < count; k++) {
    uint32_t p = (uint32_t)slots[k];
    if (slots[k] < 0)
      continue; // a constant as A
    bool busy = input ? s->acc_until[p] > s->done : s->input_until[p] > s->done;
    if (s->touched[p] == s->fences + 1 || busy) {
      sim_fail(w, op, 0, SIM_INFLIGHT_REG,
               busy ? "register %u of %s belongs to a wgmma still in flight"
                    : "register %u of %s was accessed after the last wgmma.fence",
               k, input ? "A" : "D");
      return false;
    }
    (input ? s->input_until : s->acc_until)[p] = s->committed + 1;
    s->line[p] = op->line;
  }
  return true;
}

// --- operands in shared memory ------------------------------------------------------------------
typedef struct operand {
  uint64_t address[SIM_WGMMA_MAX_UNITS];
  const uint8_t *unit[SIM_WGMMA_MAX_UNITS];
  int units;
} operand;

// deep: two times 32 bytes of k, the second half of the units behind the first.
static bool layout_operand(sim_warp *w, const sim_op *op, uint64_t descriptor, bool mn_major,
                           bool deep, int rows, char name, operand *out) {
  sim_wgmma_layout layout = sim_wgmma_layout_of(descriptor);
  const sim_region *shared = w->view.shared;
  if (layout.reserved || layout.base_offset) {
    sim_fail(w, op, 0, SIM_UNSUPPORTED, "descriptor of %c, 0x%016llx: %s", name,
             (unsigned long long)descriptor,
             layout.reserved ? "reserved bits are set" : "a base offset is not modelled");
    return false;
  }
  out->units = deep ? 4 * rows : 2 * rows;
  sim_wgmma_units(&layout, mn_major, false, rows, out->address);
  if (deep)
    sim_wgmma_units(&layout, mn_major, true, rows, out->address + 2 * rows);
  for (int i = 0; i < out->units; i++) {
    uint64_t at = out->address[i] - SIM_SHARED_FIRST;
    if (!shared || out->address[i] < SIM_SHARED_FIRST || at + 16 > shared->bytes) {
      sim_fail(w, op, 0, SIM_BAD_ADDRESS,
               "descriptor of %c, 0x%016llx: row %d lies at shared address 0x%llx, outside the "
               "%llu bytes of shared memory",
               name, (unsigned long long)descriptor, mn_major ? i / 16 * 8 : i / 2,
               (unsigned long long)out->address[i],
               (unsigned long long)(shared ? shared->bytes : 0));
      return false;
    }
    out->unit[i] = shared->data + at;
  }
  return true;
}

static bool check_init(sim_warp *w, const sim_op *op, const operand *opd, bool mn_major,
                       char name) {
  const sim_region *shared = w->view.shared;
  if (!w->view.check_uninit || shared->all_init)
    return true;
  for (int i = 0; i < opd->units; i++) {
    uint64_t at = opd->address[i] - SIM_SHARED_FIRST;
    if (shared->init[at / 8] == 0xFF && shared->init[at / 8 + 1] == 0xFF)
      continue;
    sim_fail(w, op, 0, SIM_UNINIT_READ,
             "%s %d of %c at shared address 0x%llx has never been written",
             mn_major ? "the block of row" : "row", mn_major ? i / 16 * 8 : i / 2, name,
             (unsigned long long)opd->address[i]);
    return false;
  }
  return true;
}

// Units [first, first + count) as reads of the async proxy. Neighbours go together; a swizzle only
// exchanges units of a row, so that pairs usually are neighbours.
static bool track(sim_warp *w, const sim_op *op, uint64_t token, const operand *opd, int first,
                  int count) {
  for (int i = first; i < first + count;) {
    uint64_t lo = opd->address[i], hi = lo + 16;
    for (i++; i < first + count && (opd->address[i] == hi || opd->address[i] + 16 == lo); i++) {
      lo = opd->address[i] < lo ? opd->address[i] : lo;
      hi = opd->address[i] >= hi ? opd->address[i] + 16 : hi;
    }
    if (!sim_race_bulk_access(w->view.agent, token, w->view.shared, lo - SIM_SHARED_FIRST, hi - lo,
                              false, op->line, w->view.fault)) {
      sim_fail_memory(w, op);
      return false;
    }
  }
  return true;
}

// --- landing ------------------------------------------------------------------------------------
// dst[0], src[0]: descriptors of A and B; bytes: scale-d; group[i]: of warp i of the warpgroup.
static void multiply(sim_event *event) {
  const sim_wgmma_info *info = event->op->extra;
  const sim_wgmma_form *f = &info->desc.form;
  sim_warp *first = event->warp;
  sim_wgmma_b *b = &first->cta->wgmma->b;
  operand a_units, b_units;
  if (!layout_operand(first, event->op, event->src[0], f->mn_major_b, f->sparse, f->n, 'B',
                      &b_units) ||
      !check_init(first, event->op, &b_units, f->mn_major_b, 'B'))
    return;
  if (!f->a_in_regs &&
      (!layout_operand(first, event->op, event->dst[0], f->mn_major_a, false, 64, 'A', &a_units) ||
       !check_init(first, event->op, &a_units, f->mn_major_a, 'A')))
    return;
  for (int tile = 0; tile < f->n / 8; tile++)
    sim_wgmma_words(b_units.unit + 16 * tile, f->mn_major_b, 8, b->words[tile][0]);
  for (int tile = 0; f->sparse && tile < f->n / 8; tile++)
    sim_wgmma_words(b_units.unit + 2 * f->n + 16 * tile, f->mn_major_b, 8, b->upper[tile][0]);
  if (!f->sparse)
    sim_wgmma_decode_b(&info->desc, b);
  for (int i = 0; i < 4; i++) {
    sim_warp *w = first + i;
    uint32_t aw[8][16], *d[128];
    for (int k = 0; k < info->desc.d_regs; k++)
      d[k] = sim_dst(w, info->d[k]);
    if (f->a_in_regs)
      for (int r = 0; r < 4; r++)
        sim_spread_plane(sim_src(w, info->a[r]), &aw[4 * (r >> 1)][8 * (r & 1)], 16);
    else
      sim_wgmma_words(a_units.unit + 32 * i, f->mn_major_a, 16, aw[0]);
    if (!f->sparse)
      sim_wgmma_rows(&info->desc, aw, b, event->bytes, d);
    else if (sim_wgmma_metadata_ok(f, sim_src(w, info->metadata)))
      sim_wgmma_rows_sparse(&info->desc, aw, sim_src(w, info->metadata), b, event->bytes, d);
    else
      sim_fail(w, event->op, 0, SIM_UNSUPPORTED,
               "the metadata names the elements of a chunk out of order, or one twice");
  }
}

static void land_now(sim_event *event) {
  sim_machine *machine = event->warp->cta->launch->machine;
  double begin = sim_tensor_begin(machine, 1);
  multiply(event);
  sim_tensor_end(machine, begin, 1);
}

static void land(sim_event *event, uint32_t lanes) {
  (void)lanes;
  // Those issued before it by the warpgroup come first.
  for (sim_event *e = event->warp->cta->events; e && e != event; e = e->next)
    if (e->fire == land && e->warp == event->warp && e->pending) {
      e->pending = 0;
      land_now(e);
    }
  land_now(event);
}

// --- instructions -------------------------------------------------------------------------------
// The descriptor in `slot`, the same in all lanes of the four warps.
static bool descriptor(sim_warp *first, const sim_op *op, int32_t slot, char name, uint64_t *out) {
  *out = sim_get64(sim_src(first, slot), 0);
  for (int i = 0; i < 4; i++)
    for (int lane = 0; lane < 32; lane++)
      if (sim_get64(sim_src(first + i, slot), lane) != *out) {
        sim_fail(first + i, op, 1u << lane, SIM_DIVERGENT_ALIGNED,
                 "the descriptor of %c differs between threads of the warpgroup", name);
        return false;
      }
  return true;
}

static bool uniform_scale(sim_warp *first, const sim_op *op, const sim_wgmma_info *info,
                          uint32_t *out) {
  for (int i = 0; i < 4; i++) {
    uint32_t value = sim_pred(first + i, info->scale_d, info->scale_d_negated);
    if (i == 0)
      *out = value;
    if (value == *out && (value == 0 || value == ~0u))
      continue;
    sim_fail(first + i, op, 0, SIM_DIVERGENT_ALIGNED,
             "scale-d differs between threads of the warpgroup");
    return false;
  }
  return true;
}

static bool check_races(sim_warp *first, const sim_op *op, const sim_wgmma_form *f,
                        const operand *a, const operand *b) {
  uint64_t token = state_of(first)->token[state_of(first)->committed % GROUPS];
  if (!first->view.agent)
    return true;
  if (!token)
    token = sim_race_bulk_begin(first->view.agent);
  for (int i = 0; i < 4; i++) {
    wgmma_warp *s = state_of(first + i);
    int from = b->units * i / 4, to = b->units * (i + 1) / 4;
    s->token[s->committed % GROUPS] = token;
    if (!track(first + i, op, token, b, from, to - from) ||
        (!f->a_in_regs && !track(first + i, op, token, a, 32 * i, 32)))
      return false;
  }
  return true;
}

// The new event; NULL: a mistake was reported.
static sim_event *issue(sim_warp *first, const sim_op *op) {
  const sim_wgmma_info *info = op->extra;
  const sim_wgmma_form *f = &info->desc.form;
  operand a, b;
  uint64_t desc_a = 0, desc_b;
  uint32_t scale_d;
  if ((!f->a_in_regs && !descriptor(first, op, info->desc_a, 'A', &desc_a)) ||
      !descriptor(first, op, info->desc_b, 'B', &desc_b) ||
      !uniform_scale(first, op, info, &scale_d))
    return NULL;
  for (int i = 0; i < 4; i++) {
    if (!state_of(first + i)->fences) {
      sim_fail(first + i, op, 0, SIM_INFLIGHT_REG, "no wgmma.fence before the first wgmma");
      return NULL;
    }
    if (!claim(first + i, op, info->d, info->desc.d_regs, false) ||
        (f->a_in_regs && !claim(first + i, op, info->a, 4, true)) ||
        (f->sparse && !claim(first + i, op, &info->metadata, 1, true)))
      return NULL;
  }
  if ((!f->a_in_regs && !layout_operand(first, op, desc_a, f->mn_major_a, false, 64, 'A', &a)) ||
      !layout_operand(first, op, desc_b, f->mn_major_b, f->sparse, f->n, 'B', &b) ||
      !check_races(first, op, f, &a, &b))
    return NULL;
  sim_event *event = sim_event_new(first->cta);
  event->fire = land;
  event->warp = first;
  event->op = op;
  event->pending = 1;
  event->dst[0] = desc_a;
  event->src[0] = desc_b;
  event->bytes = scale_d & 1;
  for (int i = 0; i < 4; i++)
    event->group[i] = state_of(first + i)->committed;
  return event;
}

static void start(sim_warp *first, const sim_op *op) {
  const sim_wgmma_form *f = &((const sim_wgmma_info *)op->extra)->desc.form;
  sim_machine *machine = first->cta->launch->machine;
  double begin = sim_tensor_begin(machine, 1);
  sim_event *event = issue(first, op);
  sim_tensor_end(machine, begin, 1);
  if (!event)
    return;
  machine->counters.mma_instructions += 4;
  machine->counters.macs += 64 * (uint64_t)f->n * f->k;
  first->cta->effects++;
  if (machine->options.async == SIM_ASYNC_EAGER) {
    sim_event_fire(event, 1);
    sim_events_sweep(first->cta);
  }
}

bool sim_wgmma_reach(sim_warp *w, sim_path *path, const sim_op *op) {
  sim_cta *cta = w->cta;
  uint32_t base = w->index & ~3u;
  sim_warp *first = &cta->warps[base];
  path->state = SIM_PATH_WARPGROUP;
  if (base + 4 > cta->nwarps) {
    sim_fail(w, op, 0, SIM_DIVERGENT_ALIGNED,
             "wgmma needs four whole warps, the CTA ends with warp %u", cta->nwarps - 1);
    return false;
  }
  for (uint32_t i = 0; i < 4; i++) {
    if (first[i].live != ~0u) {
      sim_fail(w, op, 0, SIM_DIVERGENT_ALIGNED,
               "wgmma needs four whole warps, but threads of warp %u have exited", base + i);
      return false;
    }
    if (first[i].npaths != 1 || first[i].paths[0].state != SIM_PATH_WARPGROUP)
      return false;
  }
  for (uint32_t i = 0; i < 4; i++)
    if (first[i].paths[0].pc != path->pc) {
      sim_fail(w, op, 0, SIM_DIVERGENT_ALIGNED,
               "warp %u of the warpgroup is at another wgmma, line %u", base + i,
               cta->program->ops[first[i].paths[0].pc].line);
      return false;
    }
  start(first, op);
  for (uint32_t i = 0; i < 4; i++) {
    first[i].paths[0].state = SIM_PATH_RUN;
    first[i].paths[0].pc++;
    first[i].blocked = false;
  }
  return true;
}

void sim_exec_wgmma_fence(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)op, (void)mask;
  if (w->cta->wgmma)
    state_of(w)->fences++;
}

void sim_exec_wgmma_commit(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)op, (void)mask;
  if (!w->cta->wgmma)
    return;
  wgmma_warp *s = state_of(w);
  s->committed++;
  s->token[s->committed % GROUPS] = 0;
}

// imm: groups that may stay pending.
void sim_exec_wgmma_wait(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)mask;
  if (!w->cta->wgmma)
    return;
  wgmma_warp *s = state_of(w);
  uint32_t allowed = (uint32_t)op->imm, first = w->index & ~3u;
  if (s->committed <= allowed)
    return;
  uint32_t due = s->committed - allowed;
  for (sim_event *event = w->cta->events; event; event = event->next)
    if (event->fire == land && event->warp == &w->cta->warps[first] &&
        event->group[w->index & 3] < due)
      sim_event_fire(event, 1);
  sim_events_sweep(w->cta);
  for (; s->done < due; s->done++)
    if (w->view.agent && s->committed - s->done <= GROUPS && s->token[s->done % GROUPS])
      sim_race_bulk_wait(w->view.agent, s->token[s->done % GROUPS]);
  w->cta->effects++;
}
