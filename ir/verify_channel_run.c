// Running traces against one another: V1, V2, V3 and V8. Contract in verify_channel.h.
//
// A channel between roles has four counters: slots acquired, committed, waited for and released. To
// acquire the n-th slot, n - depth must have been released; to wait for the n-th, it must have been
// committed. That is all the state there is. Each role in turn is the slow one: it moves only where
// all others are stuck, so whatever the others can do to a slot it still reads, they do.
//
// A channel inside one role has no counters to wait on: it relies on cp.async groups that complete
// in order, and on barriers between its warps.
#include "ir/verify_channel.h"

enum { MAX_FIELDS = 32, TABLE_ROWS = 16 };

typedef struct slot_state {
  int item; // last one written into; -1: none
} slot_state;

typedef struct chan_state {
  int acquired, committed, waited, released;
  uint32_t written;      // fields of the acquired slot
  int64_t tx;            // bytes copied into it by hardware
  const ir_op *acquire;  // of the slot being filled
  slot_state *slots;     // by slot
  int *group;            // by item: cp.async group it was committed in (inside one role)
  int *released_at;      // by item: barriers seen when it was released (inside one role)
  int capacity;          // of both
} chan_state;

typedef struct running { // a wgmma under way
  int channel, item, group;
  const ir_op *op;
} running;

typedef struct role_state {
  uint32_t at;
  int groups;   // cp.async groups committed
  int barriers; // barriers of the role's warps passed
  int products; // wgmma groups committed
  TL_VEC(running) flying;
} role_state;

typedef struct step {
  int role;
  uint32_t at;
  int slot, phase; // -1: no slot
} step;

typedef struct machine {
  ir_plan *plan;
  tl_arena *arena; // of this run
  chan_state *chans;
  role_state *roles;
  int slow;
  TL_VEC(step) log;
  ir_schedule_fault *out;
} machine;

// --- the table ----------------------------------------------------------------------------------

static const char *event_name(ir_event_kind kind) {
  static const char *const names[] = {[EV_NONE] = "",         [EV_ACQUIRE] = "acquire",
                                      [EV_WRITE] = "write",   [EV_COMMIT] = "commit",
                                      [EV_WAIT] = "wait",     [EV_READ] = "read",
                                      [EV_WGMMA] = "wgmma",   [EV_DRAIN] = "drain",
                                      [EV_RELEASE] = "release"};
  return names[kind];
}

static int line_of(const machine *m, const ir_op *op) {
  int line = 0, col = 0;
  if (op && op->loc.file)
    tl_source_position(m->plan->func->module->sources, op->loc, &line, &col);
  return line;
}

static void print_row(const machine *m, tl_buf *out, int role, const ir_event *event, int slot,
                      int phase, const char *remark) {
  const char *channel = event->channel >= 0 ? m->plan->chans[event->channel].name : "";
  char where[32] = "", held[32] = "";
  if (line_of(m, event->op))
    snprintf(where, sizeof where, "line %d", line_of(m, event->op));
  if (slot >= 0)
    snprintf(held, sizeof held, "slot %d phase %d", slot, phase);
  char op[64];
  snprintf(op, sizeof op, "%s %s", event_name(event->kind), channel);
  tl_buf_printf(out, "  %-8s  %-14s %-16s %s%s%s\n", m->plan->traces[role].name, op, held, where,
                remark[0] ? "  <- " : "", remark);
}

static void print_log(const machine *m, tl_buf *out) {
  if (m->plan->decisions && m->plan->decisions[0])
    tl_buf_printf(out, "  with %s\n", m->plan->decisions);
  uint32_t first = m->log.len > TABLE_ROWS ? m->log.len - TABLE_ROWS : 0;
  if (first)
    tl_buf_printf(out, "  ... %u steps before\n", first);
  for (uint32_t i = first; i < m->log.len; i++) {
    const step *s = &m->log.data[i];
    print_row(m, out, s->role, &m->plan->traces[s->role].events.data[s->at], s->slot, s->phase,
              "");
  }
}

static bool fault(machine *m, ir_schedule_rule rule, int role, const ir_op *op, const char *fmt,
                  ...) __attribute__((format(printf, 5, 6)));
static bool fault(machine *m, ir_schedule_rule rule, int role, const ir_op *op, const char *fmt,
                  ...) {
  tl_buf table = {0};
  va_list args;
  va_start(args, fmt);
  m->out->why = tl_vsprintf(m->plan->arena, fmt, args);
  va_end(args);
  m->out->rule = rule;
  m->out->op = op;
  print_log(m, &table);
  if (role >= 0) {
    const ir_trace *trace = &m->plan->traces[role];
    ir_event here = {ir_event_of(op), op, -1, false};
    if (m->roles[role].at < trace->events.len)
      here = trace->events.data[m->roles[role].at];
    print_row(m, &table, role, &here, -1, 0, "here");
  }
  m->out->table = tl_strdup(m->plan->arena, table.data ? table.data : "");
  tl_buf_free(&table);
  return false;
}

// --- one event ----------------------------------------------------------------------------------

static const char *name_of(const machine *m, int channel) { return m->plan->chans[channel].name; }

static void reserve(machine *m, chan_state *c, int item) {
  if (item < c->capacity)
    return;
  int capacity = c->capacity ? 2 * c->capacity : 16;
  int *group = TL_NEW_N(m->arena, int, capacity), *released = TL_NEW_N(m->arena, int, capacity);
  if (c->capacity) {
    memcpy(group, c->group, sizeof *group * (size_t)c->capacity);
    memcpy(released, c->released_at, sizeof *released * (size_t)c->capacity);
  }
  c->group = group, c->released_at = released, c->capacity = capacity;
}

static bool can_run(const machine *m, const ir_event *e) {
  if (e->channel < 0)
    return true;
  const ir_chan *chan = &m->plan->chans[e->channel];
  const chan_state *c = &m->chans[e->channel];
  if (!chan->fed)
    return true;
  if (e->kind == EV_ACQUIRE)
    return c->acquired - c->released < chan->depth;
  if (e->kind == EV_WAIT)
    return c->waited < c->committed;
  return true;
}

static bool run_acquire(machine *m, int role, const ir_event *e) {
  const ir_chan *chan = &m->plan->chans[e->channel];
  chan_state *c = &m->chans[e->channel];
  role_state *r = &m->roles[role];
  if (c->acquired != c->committed)
    return fault(m, IR_RULE_PAYLOAD, role, e->op,
                 "a second slot of '%s' is taken before the first is committed", chan->name);
  if (ir_int(e->op, "barrier", 0))
    r->barriers++;
  int before = c->acquired - chan->depth; // the item that lies in the slot
  if (!chan->fed && before >= 0) {
    if (c->released <= before)
      return fault(m, IR_RULE_ORDER, role, e->op,
                   "slot %d of '%s' is filled again before it is released",
                   c->acquired % chan->depth, chan->name);
    if (c->released_at[before] >= r->barriers)
      return fault(m, IR_RULE_ORDER, role, e->op,
                   "slot %d of '%s' is filled again while other warps may still read it: no "
                   "barrier stands between release and acquire",
                   c->acquired % chan->depth, chan->name);
  }
  c->acquired++;
  c->written = 0, c->tx = 0, c->acquire = e->op;
  return true;
}

static int64_t field_bytes(const machine *m, const ir_chan *chan, int64_t field) {
  const ty_type *buf = ir_type(m->plan->func, chan->op->args[field]);
  return ty_elems(buf) / buf->dims[0] * tl_dtype_bits(buf->dtype) / 8;
}

// Does hardware count the copy's bytes on the slot's barrier?
static bool counts_bytes(const ir_op *op) {
  const char *engine = ir_str(op, "engine", "reg");
  return op->code == IR_COPY && strcmp(engine, "reg") != 0 && strcmp(engine, "cp.async") != 0;
}

static bool run_write(machine *m, int role, const ir_event *e) {
  const ir_chan *chan = &m->plan->chans[e->channel];
  chan_state *c = &m->chans[e->channel];
  int64_t field = ir_int(e->op, "field", 0);
  if (c->acquired == c->committed)
    return fault(m, IR_RULE_PAYLOAD, role, e->op,
                 "field %d of '%s' is written outside of acquire and commit", (int)field,
                 chan->name);
  if (field < 0 || field >= chan->nfields || field >= MAX_FIELDS)
    return true; // ir_verify says so
  if (c->written & 1u << field)
    return fault(m, IR_RULE_PAYLOAD, role, e->op, "field %d of '%s' is written twice in one slot",
                 (int)field, chan->name);
  c->written |= 1u << field;
  if (counts_bytes(e->op))
    c->tx += field_bytes(m, chan, field);
  c->slots[(c->acquired - 1) % chan->depth].item = c->acquired - 1;
  return true;
}

static bool run_commit(machine *m, int role, const ir_event *e) {
  const ir_chan *chan = &m->plan->chans[e->channel];
  chan_state *c = &m->chans[e->channel];
  role_state *r = &m->roles[role];
  int group = r->groups;
  r->groups += !chan->fed;
  if (ir_int(e->op, "empty", 0))
    return true;
  if (c->acquired == c->committed)
    return fault(m, IR_RULE_PAYLOAD, role, e->op, "'%s' is committed without a slot", chan->name);
  for (int f = 0; f < chan->nfields && f < MAX_FIELDS; f++)
    if (!(c->written & 1u << f))
      return fault(m, IR_RULE_PAYLOAD, role, e->op, "field %d of '%s' is not written before commit",
                   f, chan->name);
  int64_t tx = ir_int(c->acquire, "tx", 0);
  if (chan->fed && tx != c->tx)
    return fault(m, IR_RULE_BYTES, role, c->acquire,
                 "a slot of '%s' announces %lld bytes and its copies bring %lld", chan->name,
                 (long long)tx, (long long)c->tx);
  reserve(m, c, c->committed);
  c->group[c->committed++] = group;
  return true;
}

static bool run_wait(machine *m, int role, const ir_event *e) {
  const ir_chan *chan = &m->plan->chans[e->channel];
  chan_state *c = &m->chans[e->channel];
  role_state *r = &m->roles[role];
  if (chan->fed) {
    c->waited++;
    return true;
  }
  r->barriers++;
  int64_t pending = ir_int(e->op, "pending", 0);
  if (c->waited >= c->committed)
    return fault(m, IR_RULE_ORDER, role, e->op, "'%s' is waited for %d times and put %d times",
                 chan->name, c->waited + 1, c->committed);
  if (c->group[c->waited] >= r->groups - pending)
    return fault(m, IR_RULE_ORDER, role, e->op,
                 "the wait leaves %d groups of copies in flight, and slot %d of '%s' is one of them",
                 (int)pending, c->waited % chan->depth, chan->name);
  c->waited++;
  return true;
}

static bool run_read(machine *m, int role, const ir_event *e) {
  const ir_chan *chan = &m->plan->chans[e->channel];
  chan_state *c = &m->chans[e->channel];
  if (c->waited == c->released) {
    int item = c->waited ? c->waited - 1 : 0, slot = item % chan->depth;
    const char *when = c->waited ? "after it is released" : "before its wait";
    if (c->waited && c->slots[slot].item > item)
      return fault(m, IR_RULE_PAYLOAD, role, e->op,
                   "'%s' is read %s: slot %d holds put %d by then, and put %d is meant", chan->name,
                   when, slot, c->slots[slot].item, item);
    return fault(m, IR_RULE_PAYLOAD, role, e->op, "'%s' is read %s", chan->name, when);
  }
  if (e->kind != EV_WGMMA)
    return true;
  role_state *r = &m->roles[role];
  r->products += !e->again;
  running fly = {e->channel, c->waited - 1, r->products - 1, e->op};
  tl_push(m->arena, &r->flying, fly);
  return true;
}

// A drain completes every product but the last {pending} ones.
static void run_drain(machine *m, int role, const ir_event *e) {
  role_state *r = &m->roles[role];
  int64_t complete = r->products - ir_int(e->op, "pending", 0);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < r->flying.len; i++)
    if (r->flying.data[i].group >= complete)
      r->flying.data[kept++] = r->flying.data[i];
  r->flying.len = kept;
}

static bool run_release(machine *m, int role, const ir_event *e) {
  const ir_chan *chan = &m->plan->chans[e->channel];
  chan_state *c = &m->chans[e->channel];
  role_state *r = &m->roles[role];
  if (c->released == c->waited)
    return fault(m, IR_RULE_PAYLOAD, role, e->op, "'%s' is released without a wait", chan->name);
  for (uint32_t i = 0; i < r->flying.len; i++)
    if (r->flying.data[i].channel == e->channel && r->flying.data[i].item <= c->released)
      return fault(m, IR_RULE_WGMMA, role, e->op,
                   "slot %d of '%s' is released while a wgmma still reads it",
                   c->released % chan->depth, chan->name);
  if (!chan->fed) {
    reserve(m, c, c->released);
    c->released_at[c->released] = r->barriers;
  }
  c->released++;
  if (ir_int(e->op, "barrier", 0))
    r->barriers++;
  return true;
}

// The number of the item an event speaks of, for the table.
static int item_of(const machine *m, const ir_event *e) {
  if (e->channel < 0)
    return -1;
  const chan_state *c = &m->chans[e->channel];
  switch (e->kind) {
  case EV_ACQUIRE:
    return c->acquired;
  case EV_WRITE:
    return c->acquired - 1;
  case EV_COMMIT:
    return ir_int(e->op, "empty", 0) ? -1 : c->committed;
  case EV_WAIT:
    return c->waited;
  case EV_READ:
  case EV_WGMMA:
    return c->waited - 1;
  case EV_RELEASE:
    return c->released;
  default:
    return -1;
  }
}

static bool run_event(machine *m, int role, const ir_event *e) {
  if (e->kind == EV_DRAIN) {
    run_drain(m, role, e);
    return true;
  }
  if (e->channel < 0)
    return true;
  switch (e->kind) {
  case EV_ACQUIRE:
    return run_acquire(m, role, e);
  case EV_WRITE:
    return run_write(m, role, e);
  case EV_COMMIT:
    return run_commit(m, role, e);
  case EV_WAIT:
    return run_wait(m, role, e);
  case EV_READ:
  case EV_WGMMA:
    return run_read(m, role, e);
  case EV_RELEASE:
    return run_release(m, role, e);
  default:
    return true;
  }
}

// --- the run ------------------------------------------------------------------------------------

static bool at_end(const machine *m, int role) {
  return m->roles[role].at >= m->plan->traces[role].events.len;
}

// One event of the role; *out_moved when it was not stuck. False after a fault.
static bool advance(machine *m, int role, bool *out_moved) {
  if (at_end(m, role))
    return true;
  role_state *r = &m->roles[role];
  const ir_event *e = &m->plan->traces[role].events.data[r->at];
  if (!can_run(m, e))
    return true;
  int item = item_of(m, e), depth = e->channel >= 0 ? m->plan->chans[e->channel].depth : 1;
  if (!run_event(m, role, e))
    return false;
  step s = {role, r->at, item < 0 ? -1 : item % depth, item < 0 ? 0 : item / depth & 1};
  tl_push(m->arena, &m->log, s);
  r->at++;
  *out_moved = true;
  return true;
}

static const char *why_stuck(const machine *m, const ir_event *e) {
  const chan_state *c = &m->chans[e->channel];
  const ir_chan *chan = &m->plan->chans[e->channel];
  if (e->kind == EV_ACQUIRE)
    return tl_sprintf(m->plan->arena, "waits for a free slot: %d put, %d released, %d slots",
                      c->committed, c->released, chan->depth);
  return tl_sprintf(m->plan->arena, "waits for put %d: %d put", c->waited + 1, c->committed);
}

static bool report_deadlock(machine *m) {
  tl_buf table = {0};
  const ir_event *first = NULL;
  const char *who = NULL;
  int stuck = 0;
  print_log(m, &table);
  for (int role = 0; role < m->plan->ntraces; role++) {
    if (at_end(m, role)) {
      tl_buf_printf(&table, "  %-8s  has ended\n", m->plan->traces[role].name);
      continue;
    }
    const ir_event *e = &m->plan->traces[role].events.data[m->roles[role].at];
    first = first ? first : e;
    who = m->plan->traces[role].name;
    stuck++;
    print_row(m, &table, role, e, -1, 0, why_stuck(m, e));
  }
  m->out->rule = IR_RULE_ORDER;
  m->out->op = first->op;
  const chan_state *c = &m->chans[first->channel];
  m->out->why = tl_sprintf(
      m->plan->arena, "%s for ever: '%s' is put %d time%s and got %d time%s",
      stuck > 1 ? "the roles wait for one another"
                : tl_sprintf(m->plan->arena, "role '%s' waits", who),
      name_of(m, first->channel), c->committed, c->committed == 1 ? "" : "s", c->released,
      c->released == 1 ? "" : "s");
  m->out->table = tl_strdup(m->plan->arena, table.data);
  tl_buf_free(&table);
  return false;
}

static bool check_end(machine *m) {
  for (int i = 0; i < m->plan->nchans; i++) {
    const chan_state *c = &m->chans[i];
    const ir_op *op = m->plan->chans[i].op;
    if (c->acquired != c->committed)
      return fault(m, IR_RULE_PAYLOAD, -1, c->acquire, "a slot of '%s' is never committed",
                   name_of(m, i));
    if (c->waited != c->released)
      return fault(m, IR_RULE_ORDER, -1, op, "a slot of '%s' is never released", name_of(m, i));
    if (c->committed != c->released)
      return fault(m, IR_RULE_ORDER, -1, op, "'%s' is put %d times and got %d times",
                   name_of(m, i), c->committed, c->released);
  }
  for (int role = 0; role < m->plan->ntraces; role++)
    if (m->roles[role].flying.len)
      return fault(m, IR_RULE_WGMMA, -1, m->roles[role].flying.data[0].op,
                   "a wgmma is still under way when role '%s' ends", m->plan->traces[role].name);
  return true;
}

// All others as far as they get, then one event of the slow one.
static bool run_slow(machine *m) {
  for (;;) {
    bool moved = true;
    while (moved) {
      moved = false;
      for (int role = 0; role < m->plan->ntraces; role++)
        for (bool one = role != m->slow; one;) {
          one = false;
          if (!advance(m, role, &one))
            return false;
          moved |= one;
        }
    }
    if (!advance(m, m->slow, &moved))
      return false;
    if (!moved)
      break;
  }
  for (int role = 0; role < m->plan->ntraces; role++)
    if (!at_end(m, role))
      return report_deadlock(m);
  return check_end(m);
}

bool ir_run_plan(ir_plan *plan, ir_schedule_fault *out) {
  bool good = true;
  for (int slow = 0; slow < plan->ntraces && good; slow++) {
    tl_arena arena = {0};
    machine m = {.plan = plan, .arena = &arena, .slow = slow, .out = out};
    m.chans = TL_NEW_N(&arena, chan_state, plan->nchans);
    m.roles = TL_NEW_N(&arena, role_state, plan->ntraces);
    for (int i = 0; i < plan->nchans; i++) {
      m.chans[i].slots = TL_NEW_N(&arena, slot_state, plan->chans[i].depth);
      for (int s = 0; s < plan->chans[i].depth; s++)
        m.chans[i].slots[s].item = -1;
      reserve(&m, &m.chans[i], 0);
    }
    good = run_slow(&m);
    tl_arena_free(&arena);
  }
  return good;
}
