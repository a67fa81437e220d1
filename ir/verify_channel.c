// The channel verifier's front: who uses which channel, the rules that need no run, and the texts.
// Contract in verify_channel.h.
#include "ir/verify_channel.h"
#include "ir/layout.h"
#include "ir/scratch.h"

enum { SM_REGISTERS = 65536, MAX_THREADS = 1024 };

typedef struct checked {
  const ir_func *func;
  tl_arena *arena;
  ir_schedule_fault *out;
  TL_VEC(ir_chan) chans;
  TL_VEC(const ir_op *) roles;
  int role; // being walked; -1 outside
  bool good;
} checked;

static bool say(checked *c, ir_schedule_rule rule, const ir_op *op, const char *table,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static bool say(checked *c, ir_schedule_rule rule, const ir_op *op, const char *table,
                const char *fmt, ...) {
  if (!c->good)
    return false;
  va_list args;
  va_start(args, fmt);
  *c->out = (ir_schedule_fault){rule, op, tl_vsprintf(c->arena, fmt, args), table};
  va_end(args);
  return c->good = false;
}

// --- channels and who uses them -----------------------------------------------------------------

bool ir_channel_is_fed(const ir_op *channel) {
  const char *engine = ir_str(channel, "engine", "");
  return strcmp(engine, "") != 0 && strcmp(engine, "cp.async") != 0;
}

static const char *channel_name(checked *c, const ir_op *op) {
  const char *hint = ir_info_of(c->func, op->res[0])->hint;
  return ir_str(op, "name", hint ? hint : tl_sprintf(c->arena, "%%%u", op->res[0].id));
}

static void collect(ir_op *op, void *user) {
  checked *c = user;
  if (op->code == IR_ROLE)
    tl_push(c->arena, &c->roles, op);
  if (op->code != IR_CHANNEL)
    return;
  ir_chan chan = {.op = op,
                  .name = channel_name(c, op),
                  .depth = (int)ir_int(op, "depth", 1),
                  .nfields = (int)op->nargs,
                  .fed = ir_channel_is_fed(op),
                  .producer = -1,
                  .consumer = -1};
  tl_push(c->arena, &c->chans, chan);
}

static ir_chan *chan_of(checked *c, const ir_op *op) {
  if (!op->nargs || ir_type(c->func, op->args[0])->kind != TY_CHAN)
    return NULL;
  for (uint32_t i = 0; i < c->chans.len; i++)
    if (c->chans.data[i].op == ir_def(c->func, op->args[0]))
      return &c->chans.data[i];
  return NULL;
}

static const char *role_name(const checked *c, int role) {
  return ir_str(c->roles.data[role], "name", "role");
}

// One role puts, one gets: a slot has one filler and one reader.
static void note_side(checked *c, const ir_op *op, const ir_chan *chan, int *side,
                      const char *verb) {
  if (*side >= 0 && *side != c->role)
    say(c, IR_RULE_ORDER, op, "", "'%s' is %s by two roles, '%s' and '%s'", chan->name, verb,
        role_name(c, *side), role_name(c, c->role));
  *side = c->role;
}

static void note_user(ir_op *op, void *user) {
  checked *c = user;
  ir_event_kind kind = ir_event_of(op);
  ir_chan *chan = kind != EV_NONE ? chan_of(c, op) : NULL;
  if (!chan)
    return;
  if (kind == EV_ACQUIRE || kind == EV_WRITE || kind == EV_COMMIT)
    note_side(c, op, chan, &chan->producer, "put");
  else
    note_side(c, op, chan, &chan->consumer, "got");
}

static void find_users(checked *c) {
  for (uint32_t i = 0; i < c->roles.len; i++) {
    c->role = (int)i;
    ir_walk(c->roles.data[i]->regions[0], note_user, c);
  }
  for (uint32_t i = 0; i < c->chans.len && c->good; i++) {
    const ir_chan *chan = &c->chans.data[i];
    if (!chan->fed && chan->producer >= 0 && chan->consumer >= 0 &&
        chan->producer != chan->consumer)
      say(c, IR_RULE_ORDER, chan->op, "",
          "'%s' lies between roles '%s' and '%s' and has no mbarriers", chan->name,
          role_name(c, chan->producer), role_name(c, chan->consumer));
  }
}

// --- V5, V7: registers, threads, shared memory --------------------------------------------------

// Registers are given to whole warpgroups, so a role counts with its idle warps.
static int64_t warps_of(const ir_op *role) {
  return ir_int(role, "padded", ir_int(role, "warps", 0));
}

static const char *register_table(checked *c) {
  tl_buf text = {0};
  int64_t sum = 0;
  for (uint32_t i = 0; i < c->roles.len; i++) {
    const ir_op *role = c->roles.data[i];
    int64_t threads = 32 * warps_of(role), regs = ir_int(role, "regs", 0);
    sum += threads * regs;
    tl_buf_printf(&text, "  %-8s  %4d threads x %3d registers = %6d\n", role_name(c, (int)i),
                  (int)threads, (int)regs, (int)(threads * regs));
  }
  tl_buf_printf(&text, "  %-8s  %31s %6d of %d\n", "all", "", (int)sum, SM_REGISTERS);
  const char *out = tl_strdup(c->arena, text.data);
  tl_buf_free(&text);
  return out;
}

// Roles that `specialize` made change their registers together, before they part: those with equal
// numbers in a row have to fill warpgroups.
static bool shares_warpgroup(const checked *c, uint32_t role) {
  int64_t regs = ir_int(c->roles.data[role], "regs", 0), warps = 0;
  uint32_t first = role;
  while (first && ir_int(c->roles.data[first - 1], "regs", 0) == regs)
    first--;
  for (uint32_t i = first; i < c->roles.len && ir_int(c->roles.data[i], "regs", 0) == regs; i++)
    warps += warps_of(c->roles.data[i]);
  return !ir_has_own_roles(c->func) && warps % 4 == 0;
}

static void check_registers(checked *c) {
  int64_t sum = 0, threads = 0;
  int with = 0;
  for (uint32_t i = 0; i < c->roles.len; i++) {
    const ir_op *role = c->roles.data[i];
    int64_t regs = ir_int(role, "regs", 0), warps = warps_of(role);
    sum += 32 * warps * regs;
    threads += 32 * warps;
    with += regs != 0;
    if (!regs)
      continue;
    if (regs % 8 || regs < 24 || regs > 256)
      say(c, IR_RULE_REGISTERS, role, "",
          "role '%s' asks for %d registers: a multiple of 8 from 24 "
          "to 256 is possible",
          role_name(c, (int)i), (int)regs);
    if (warps % 4 && !shares_warpgroup(c, i))
      say(c, IR_RULE_REGISTERS, role, "",
          "role '%s' changes the registers of %d warps: a whole "
          "warpgroup of 4 does so together",
          role_name(c, (int)i), (int)warps);
  }
  const ir_op *last = c->roles.len ? tl_last(&c->roles) : NULL;
  if (with && with != (int)c->roles.len)
    say(c, IR_RULE_REGISTERS, last, register_table(c),
        "registers are divided among some of the roles only");
  if (sum > SM_REGISTERS)
    say(c, IR_RULE_CAPACITY, last, register_table(c),
        "the roles ask for %d registers, and a multiprocessor has %d", (int)sum, SM_REGISTERS);
  // A thread starts with an even share, in units of 8; nobody can be given what no thread has.
  int64_t share = threads ? SM_REGISTERS / threads / 8 * 8 : 0,
          pool = threads * (share < 256 ? share : 256);
  if (with && sum > pool)
    say(c, IR_RULE_CAPACITY, last, register_table(c),
        "the roles ask for %d registers, and their %d threads start with %d", (int)sum,
        (int)threads, (int)pool);
}

static void check_capacity(checked *c) {
  int64_t warps = 0;
  for (uint32_t i = 0; i < c->roles.len; i++)
    warps += warps_of(c->roles.data[i]);
  const ir_op *last = c->roles.len ? tl_last(&c->roles) : NULL;
  if (32 * warps > MAX_THREADS)
    say(c, IR_RULE_CAPACITY, last, "", "the roles have %d threads, and a CTA at most %d",
        (int)(32 * warps), MAX_THREADS);
  if (last && c->func->smem_bytes > c->func->target->smem_cta_bytes)
    say(c, IR_RULE_CAPACITY, last, "", "the function asks for %d bytes of shared memory, %s has %d",
        (int)c->func->smem_bytes, c->func->target->name, c->func->target->smem_cta_bytes);
}

// --- V4: who shares memory ----------------------------------------------------------------------

typedef struct extent {
  const ir_op *op;       // buffer, channel (its barriers), or an operation with scratch
  const ir_chan *chan;   // of the first two
  int64_t offset, bytes; // in the CTA's shared memory
  const ir_op *role;     // whose place in program order counts
  int from, to;          // places there where it is alive
} extent;

typedef struct memory {
  checked *c;
  TL_VEC(extent) extents;
  int now;
} memory;

static void add_extent(memory *m, const ir_op *op, const ir_chan *chan, int64_t bytes, int from,
                       int to) {
  const ir_attr *offset = ir_attr_find(op, "offset");
  if (!offset || bytes <= 0)
    return; // not placed yet
  extent e = {op, chan, offset->i, bytes, ir_role_around(op), from, to};
  tl_push(m->c->arena, &m->extents, e);
}

static void add_channel_extents(memory *m, const ir_op *op) {
  checked *c = m->c;
  const ir_chan *chan = NULL;
  for (uint32_t i = 0; i < c->chans.len; i++)
    if (c->chans.data[i].op == op)
      chan = &c->chans.data[i];
  int from = chan->fed ? 0 : INT32_MAX, to = chan->fed ? INT32_MAX : -1;
  for (uint32_t i = 0; i < op->nargs; i++) {
    const ir_layout *layout = ir_info_of(c->func, op->args[i])->layout;
    const ir_op *buffer = ir_def(c->func, op->args[i]);
    const ty_type *type = ir_type(c->func, op->args[i]);
    if (layout && buffer)
      add_extent(m, buffer, chan, ir_stage_bytes(layout, type) * type->dims[0], from, to);
  }
  if (chan->fed)
    add_extent(m, op, chan, 16 * chan->depth, from, to);
}

static void place(ir_op *op, void *user) {
  memory *m = user;
  m->now++;
  if (op->code == IR_CHANNEL)
    add_channel_extents(m, op);
  const ir_chan *used = ir_event_of(op) != EV_NONE ? chan_of(m->c, op) : NULL;
  for (uint32_t i = 0; used && i < m->extents.len; i++) {
    extent *e = &m->extents.data[i];
    if (e->chan != used || used->fed)
      continue;
    e->from = m->now < e->from ? m->now : e->from;
    e->to = m->now > e->to ? m->now : e->to;
  }
  if (op->code == IR_BUFFER || op->code == IR_CHANNEL || !ir_attr_find(op, "offset"))
    return;
  add_extent(m, op, NULL, ir_scratch_bytes(m->c->func, op), m->now, m->now);
}

static bool meet(const extent *a, const extent *b) {
  return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

typedef struct unguarded {
  checked *c;
  const ir_chan *chan;
  const ir_op *found;
} unguarded;

static void find_unguarded(ir_op *op, void *user) {
  unguarded *u = user;
  if (op->code == IR_ACQUIRE && chan_of(u->c, op) == u->chan && !ir_int(op, "steady", 0) &&
      !ir_int(op, "barrier", 0) && !u->found)
    u->found = op;
}

static const char *what(const checked *c, const extent *e) {
  if (!e->chan)
    return ir_info(e->op->code)->name;
  return tl_sprintf(c->arena, "%s of '%s'", e->op->code == IR_CHANNEL ? "barriers" : "a buffer",
                    e->chan->name);
}

static void note_event(ir_op *op, void *user) { *(bool *)user |= ir_event_of(op) != EV_NONE; }

// Does anything happen on a channel behind the operation, in program order?
static bool events_follow(const ir_op *op) {
  bool found = false;
  for (; op && op->code != IR_ROLE && !found; op = op->parent ? op->parent->parent : NULL)
    for (const ir_op *after = op->next; after && !found; after = after->next) {
      note_event((ir_op *)after, &found);
      for (uint32_t i = 0; i < after->nregions; i++)
        ir_walk(after->regions[i], note_event, &found);
    }
  return found;
}

// Scratch {last=1} of a kernel whose CTAs have one tile each (pass split_k): behind the loop all
// slots have been filled and read, so it may lie where they were.
static bool is_behind(const extent *scratch, const extent *slots) {
  return !scratch->chan && ir_int(scratch->op, "last", 0) && slots->op->code == IR_BUFFER &&
         !events_follow(scratch->op);
}

static void check_pair(checked *c, const extent *a, const extent *b) {
  if ((a->chan && a->chan == b->chan && a->op == b->op) || is_behind(a, b) || is_behind(b, a))
    return;
  bool together = (a->role && b->role && a->role != b->role) ||
                  (a->from <= b->to && b->from <= a->to) || (a->chan && a->chan == b->chan);
  const char *table = tl_sprintf(c->arena, "  bytes %6d .. %6d  %s\n  bytes %6d .. %6d  %s\n",
                                 (int)a->offset, (int)(a->offset + a->bytes), what(c, a),
                                 (int)b->offset, (int)(b->offset + b->bytes), what(c, b));
  if (together) {
    say(c, IR_RULE_ALIAS, b->op, table, "%s and %s share shared memory while both are alive",
        what(c, a), what(c, b));
    return;
  }
  for (int side = 0; side < 2; side++) {
    unguarded u = {.c = c, .chan = side ? b->chan : a->chan};
    if (u.chan)
      ir_walk(c->func->body, find_unguarded, &u);
    if (u.found)
      say(c, IR_RULE_ALIAS, u.found, table,
          "'%s' is put where %s lies, without a barrier before it", u.chan->name,
          side ? what(c, a) : what(c, b));
  }
}

static void check_memory(checked *c) {
  memory m = {.c = c};
  ir_walk(c->func->body, place, &m);
  for (uint32_t i = 0; i < m.extents.len && c->good; i++)
    for (uint32_t j = i + 1; j < m.extents.len && c->good; j++)
      if ((m.extents.data[i].chan || m.extents.data[j].chan) &&
          meet(&m.extents.data[i], &m.extents.data[j]))
        check_pair(c, &m.extents.data[i], &m.extents.data[j]);
}

// --- V8: what a running product gives -----------------------------------------------------------

// Values that may be accumulators of a wgmma under way: its results, and what loops and branches
// hand on. Only drain and the next wgmma may touch them.
typedef struct flight {
  checked *c;
  uint8_t *flying; // by value id
  bool changed;
} flight;

static void mark(flight *f, ir_val val) {
  if (f->flying[val.id])
    return;
  f->flying[val.id] = 1;
  f->changed = true;
}

static void pass_on(flight *f, const ir_val *from, const ir_val *to, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (f->flying[from[i].id])
      mark(f, to[i]);
}

static void spread(ir_op *op, void *user) {
  flight *f = user;
  if (op->code == IR_WGMMA)
    mark(f, op->res[0]);
  if (op->code == IR_FOR) {
    const ir_region *body = op->regions[0];
    pass_on(f, op->args + 3, body->params + 1, op->nres);
    pass_on(f, body->last->args, body->params + 1, op->nres);
    pass_on(f, body->last->args, op->res, op->nres);
  }
  if (op->code == IR_IF)
    for (int side = 0; side < 2; side++)
      pass_on(f, op->regions[side]->last->args, op->res, op->nres);
}

static void check_use(ir_op *op, void *user) {
  flight *f = user;
  if (op->code == IR_WGMMA || op->code == IR_DRAIN || op->code == IR_YIELD || op->code == IR_FOR)
    return;
  for (uint32_t i = 0; i < op->nargs; i++)
    if (f->flying[op->args[i].id])
      say(f->c, IR_RULE_WGMMA, op, "",
          "'%s' takes the accumulators of a wgmma that is still under "
          "way: only drain may",
          ir_info(op->code)->name);
}

static void check_products(checked *c) {
  flight f = {.c = c, .flying = TL_NEW_N(c->arena, uint8_t, c->func->vals.len)};
  do {
    f.changed = false;
    ir_walk(c->func->body, spread, &f);
  } while (f.changed);
  ir_walk(c->func->body, check_use, &f);
}

// --- all of it ----------------------------------------------------------------------------------

static bool run_plan(ir_plan *plan, void *user) { return ir_run_plan(plan, user); }

bool ir_check_schedule(const ir_func *func, tl_arena *arena, ir_schedule_fault *out) {
  checked c = {.func = func, .arena = arena, .out = out, .role = -1, .good = true};
  *out = (ir_schedule_fault){0};
  ir_walk(func->body, collect, &c);
  check_capacity(&c);
  check_registers(&c);
  if (!c.chans.len || !c.good)
    return c.good;
  find_users(&c);
  if (c.good)
    check_products(&c);
  if (c.good)
    check_memory(&c);
  return c.good && ir_each_plan(func, arena, c.chans.data, (int)c.chans.len, run_plan, out);
}

static const tl_diag_id ids[] = {[IR_RULE_PAYLOAD] = DIAG_E0301,  [IR_RULE_BYTES] = DIAG_E0302,
                                 [IR_RULE_ORDER] = DIAG_E0303,    [IR_RULE_ALIAS] = DIAG_E0304,
                                 [IR_RULE_CAPACITY] = DIAG_E0305, [IR_RULE_REGISTERS] = DIAG_E0307,
                                 [IR_RULE_WGMMA] = DIAG_E0308};

void ir_print_fault(const ir_func *func, const ir_schedule_fault *fault, tl_buf *out) {
  int line = 0, col = 0;
  if (fault->op->loc.file) {
    tl_source_position(func->module->sources, fault->op->loc, &line, &col);
    tl_buf_printf(out, "%s:%d:%d: ", tl_source_path(func->module->sources, fault->op->loc), line,
                  col);
  }
  tl_buf_printf(out, "error: %s [%s, V%d]\n  ", fault->why, tl_diag_name(ids[fault->rule]),
                fault->rule);
  ir_print_op(func, fault->op, out);
  tl_buf_printf(out, "\n%s", fault->table);
}

tl_diag *ir_report_fault(tl_diags *diags, const ir_schedule_fault *fault) {
  tl_diag *diag = tl_report(diags, fault->op->loc, ids[fault->rule], fault->why);
  int len = (int)strlen(fault->table);
  if (len)
    tl_note(diags, diag, (tl_span){0}, "%s\n%.*s",
            fault->rule == IR_RULE_CAPACITY || fault->rule == IR_RULE_REGISTERS ? "the budget"
            : fault->rule == IR_RULE_ALIAS                                      ? "the memory"
                                                                                : "how it happens",
            len - 1, fault->table);
  return diag;
}
