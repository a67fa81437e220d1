// Traces: what every role does to its channels, for one set of decisions. Contract in
// verify_channel.h.
//
// Only what decides the control flow around channel operations is evaluated: constants and
// arithmetic on them give numbers, everything else a symbol, a hash of how it was computed. A loop
// around channel operations runs 0, 1, S-1, S, S+1 or 2S times, S being the deepest channel inside; a
// loop around such loops twice, or once. Each such choice, and each branch on a symbol, is a decision
// kept by symbol: the feeder's K / 64 and the consumer's K / 64 are one symbol and get one value,
// while a bound that only one role has is free. All combinations are tried, up to MAX_PLANS; a way of more
// than MAX_EVENTS events is not followed.
#include "ir/verify_channel.h"

enum {
  MAX_PLANS = 160,
  MAX_EVENTS = 20000,
  MAX_STEPS = 200000, // items looked at in one plan
  MAX_DECISIONS = 24,
  MAX_TRIPS = 6,
  MOST_ROUNDS = 64 // of a loop with constant bounds; more are as good as these
};

typedef struct number {
  uint64_t symbol;
  int64_t value;
  bool known;
} number;

typedef struct list list;
typedef struct item {
  const ir_op *op;
  ir_event_kind event;
  int channel;
  list *inner[2]; // regions with events; NULL: evaluated as a whole
} item;
struct list {
  TL_VEC(item) items;
  int depth; // of the deepest channel used directly here; 0: none
};

typedef enum force { FREE, LOW, HIGH } force; // what a value bounds

typedef struct decision {
  uint64_t symbol;
  int64_t value;
  int choice, nchoices;
  int64_t choices[MAX_TRIPS];
  const char *what;
  tl_span loc;
} decision;

typedef struct tracer {
  const ir_func *func;
  tl_arena *arena;
  ir_chan *chans;
  int nchans;
  uint8_t *wanted;       // by value id: decides control flow
  uint8_t *force;        // by value id
  const ir_op **bounded; // by value id: the loop, of a HIGH
  number *vals;          // by value id
  list *body;
  int *waited; // by channel, in the current role: how often
  ir_trace *traces;
  int ntraces, now; // now: -1 outside of roles
  decision decisions[MAX_DECISIONS];
  int ndecisions;
  int nevents, nsteps;
  uint64_t unique;
  bool gave_up;
} tracer;

// --- which operations matter --------------------------------------------------------------------

ir_event_kind ir_event_of(const ir_op *op) {
  static const struct {
    ir_code code;
    ir_event_kind kind;
  } rows[] = {{IR_ACQUIRE, EV_ACQUIRE}, {IR_COPY, EV_WRITE},   {IR_FILL, EV_WRITE},
              {IR_COMMIT, EV_COMMIT},   {IR_WAIT, EV_WAIT},    {IR_READ, EV_READ},
              {IR_WGMMA, EV_WGMMA},     {IR_DRAIN, EV_DRAIN},  {IR_RELEASE, EV_RELEASE}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == op->code)
      return rows[i].kind;
  return EV_NONE;
}

static void note_event(ir_op *op, void *user) {
  if (ir_event_of(op) != EV_NONE)
    *(bool *)user = true;
}

static bool has_events(const ir_op *op) {
  bool found = false;
  for (uint32_t i = 0; i < op->nregions && !found; i++)
    ir_walk(op->regions[i], note_event, &found);
  return found;
}

static void want(tracer *t, ir_val val);

static void want_region(tracer *t, const ir_region *region) {
  for (const ir_op *op = region->first; op; op = op->next) {
    for (uint32_t i = 0; i < op->nargs; i++)
      want(t, op->args[i]);
    for (uint32_t i = 0; i < op->nregions; i++)
      want_region(t, op->regions[i]);
  }
}

// The value that region `index` of the operation hands out as number `i`.
static void want_yielded(tracer *t, const ir_op *op, int index, uint32_t i) {
  const ir_op *last = op->regions[index]->last;
  uint32_t skip = last && last->code == IR_CONDITION ? 1 : 0;
  if (last && i + skip < last->nargs)
    want(t, last->args[i + skip]);
}

static void want_param(tracer *t, const ir_val_info *info) {
  const ir_op *op = info->region->parent;
  if (!op)
    return;
  uint32_t i = info->index;
  if (op->code == IR_FOR && i == 0) {
    for (int k = 0; k < 3; k++)
      want(t, op->args[k]);
  } else if (op->code == IR_FOR) {
    want(t, op->args[2 + i]);
    want_yielded(t, op, 0, i - 1);
  } else if (op->code == IR_WHILE) {
    want_yielded(t, op, 0, i);
    want_yielded(t, op, 1, i);
    if (i < op->nargs)
      want(t, op->args[i]);
  }
}

static void want(tracer *t, ir_val val) {
  if (!val.id || t->wanted[val.id])
    return;
  t->wanted[val.id] = 1;
  const ir_val_info *info = ir_info_of(t->func, val);
  if (!info->def) {
    if (info->region)
      want_param(t, info);
    return;
  }
  const ir_op *op = info->def;
  if (op->nregions && has_events(op)) {
    if (op->code == IR_FOR)
      want(t, op->args[3 + info->index]);
    if (op->code == IR_WHILE)
      want(t, op->args[info->index]);
    for (uint32_t r = 0; r < op->nregions; r++)
      want_yielded(t, op, (int)r, info->index);
    return;
  }
  for (uint32_t i = 0; i < op->nargs; i++)
    want(t, op->args[i]);
  for (uint32_t i = 0; i < op->nregions; i++)
    want_region(t, op->regions[i]);
}

static int index_of(const tracer *t, ir_val channel) {
  const ir_op *def = ir_def(t->func, channel);
  for (int i = 0; i < t->nchans; i++)
    if (t->chans[i].op == def)
      return i;
  return -1;
}

static int channel_index(const tracer *t, const ir_op *op) {
  bool has = op->nargs && ir_type(t->func, op->args[0])->kind == TY_CHAN;
  return has ? index_of(t, op->args[0]) : -1;
}

static bool holds_loop(const ir_region *region) { // with events
  for (const ir_op *op = region->first; op; op = op->next)
    if ((op->code == IR_FOR || op->code == IR_WHILE) && has_events(op))
      return true;
  return false;
}

static void want_control(tracer *t, const ir_op *op) {
  if (op->code == IR_IF)
    want(t, op->args[0]);
  if (op->code == IR_WHILE && op->regions[0]->last)
    want(t, op->regions[0]->last->args[0]);
  if (op->code != IR_FOR)
    return;
  for (int i = 0; i < 3; i++)
    want(t, op->args[i]);
  if (holds_loop(op->regions[0]))
    return;
  if (!t->force[op->args[1].id])
    t->force[op->args[1].id] = HIGH, t->bounded[op->args[1].id] = op;
  if (!t->force[op->args[0].id])
    t->force[op->args[0].id] = LOW;
}

// Seeds: what every operation around an event decides by.
static void want_all(ir_op *op, void *user) {
  if (op->nregions && op->code != IR_ROLE && has_events(op))
    want_control(user, op);
}

static int deepest_in(const tracer *t, const ir_region *region) {
  int depth = 0;
  for (const ir_op *op = region->first; op; op = op->next) {
    int channel = ir_event_of(op) != EV_NONE ? channel_index(t, op) : -1;
    if (channel >= 0 && t->chans[channel].depth > depth)
      depth = t->chans[channel].depth;
    if (op->code == IR_IF)
      for (int i = 0; i < 2; i++) {
        int inner = deepest_in(t, op->regions[i]);
        depth = inner > depth ? inner : depth;
      }
  }
  return depth;
}

static bool gives_wanted(const tracer *t, const ir_op *op) {
  for (uint32_t i = 0; i < op->nres; i++)
    if (t->wanted[op->res[i].id])
      return true;
  return false;
}

static list *build_list(tracer *t, const ir_region *region) {
  list *out = TL_NEW(t->arena, list);
  out->depth = deepest_in(t, region);
  for (const ir_op *op = region->first; op; op = op->next) {
    item it = {.op = op, .event = ir_event_of(op), .channel = channel_index(t, op)};
    bool opens = op->nregions && (op->code == IR_ROLE || has_events(op));
    for (uint32_t i = 0; opens && i < op->nregions && i < 2; i++)
      it.inner[i] = build_list(t, op->regions[i]);
    if (it.event != EV_NONE || opens || gives_wanted(t, op))
      tl_push(t->arena, &out->items, it);
  }
  return out;
}

// --- numbers and symbols ------------------------------------------------------------------------

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
  hash *= 0xff51afd7ed558ccdu;
  return hash ^ (hash >> 33);
}

static uint64_t mix_text(uint64_t hash, const char *text) {
  for (; *text; text++)
    hash = hash * 0x100000001b3u ^ (unsigned char)*text;
  return mix(hash, 1);
}

static number known(int64_t value) { return (number){mix(2, (uint64_t)value), value, true}; }

static uint64_t hash_attrs(const ir_op *op) {
  uint64_t hash = mix(3, (uint64_t)op->code);
  for (const ir_attr *a = op->attrs; a; a = a->next) {
    hash = mix_text(hash, a->name);
    if (a->kind == IR_ATTR_STR)
      hash = mix_text(hash, a->s);
    uint64_t bits = (uint64_t)a->i;
    if (a->kind == IR_ATTR_FLOAT)
      memcpy(&bits, &a->f, sizeof bits);
    hash = mix(hash, bits);
    for (int i = 0; i < a->nints; i++)
      hash = mix(hash, (uint64_t)a->ints[i]);
  }
  return hash;
}

static bool commutes(ir_code code) {
  return code == IR_ADD || code == IR_MUL || code == IR_AND || code == IR_OR || code == IR_XOR ||
         code == IR_MIN || code == IR_MAX;
}

static uint64_t hash_args(const tracer *t, const ir_op *op, uint64_t hash) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < op->nargs; i++) {
    uint64_t one = t->vals[op->args[i].id].symbol;
    sum += one * 0x9e3779b97f4a7c15u;
    hash = commutes(op->code) ? hash : mix(hash, one);
  }
  return commutes(op->code) ? mix(hash, sum) : hash;
}

static bool compare(const char *pred, int64_t x, int64_t y) {
  if (!strcmp(pred, "lt"))
    return x < y;
  if (!strcmp(pred, "le"))
    return x <= y;
  if (!strcmp(pred, "gt"))
    return x > y;
  if (!strcmp(pred, "ge"))
    return x >= y;
  return !strcmp(pred, "eq") ? x == y : x != y;
}

static bool fold2(const ir_op *op, int64_t x, int64_t y, int64_t *out) {
  switch (op->code) {
  case IR_ADD:
    *out = x + y;
    return true;
  case IR_SUB:
    *out = x - y;
    return true;
  case IR_MUL:
    *out = x * y;
    return true;
  case IR_DIV:
    *out = y ? x / y : 0;
    return true;
  case IR_REM:
    *out = y ? x % y : 0;
    return true;
  case IR_MIN:
    *out = x < y ? x : y;
    return true;
  case IR_MAX:
    *out = x > y ? x : y;
    return true;
  case IR_AND:
    *out = x & y;
    return true;
  case IR_OR:
    *out = x | y;
    return true;
  case IR_XOR:
    *out = x ^ y;
    return true;
  case IR_CMP:
    *out = compare(ir_str(op, "pred", ""), x, y);
    return true;
  default:
    return false;
  }
}

static bool fold(const tracer *t, const ir_op *op, int64_t *out) {
  const ty_type *type = ir_type(t->func, op->res[0]);
  if (!ty_is_scalar(type) || tl_is_float(type->dtype))
    return false;
  if (op->code == IR_CONST) {
    *out = ir_int(op, "value", 0);
    return ir_attr_find(op, "value") && ir_attr_find(op, "value")->kind == IR_ATTR_INT;
  }
  for (uint32_t i = 0; i < op->nargs; i++)
    if (!t->vals[op->args[i].id].known)
      return false;
  if (op->nargs == 2)
    return fold2(op, t->vals[op->args[0].id].value, t->vals[op->args[1].id].value, out);
  if (op->code == IR_NOT && type->dtype == TL_I1) {
    *out = !t->vals[op->args[0].id].value;
    return true;
  }
  if (op->code == IR_SELECT) {
    *out = t->vals[op->args[t->vals[op->args[0].id].value ? 1 : 2].id].value;
    return true;
  }
  return false;
}

// --- decisions ----------------------------------------------------------------------------------

static int64_t decide(tracer *t, uint64_t symbol, const int64_t *choices, int n, const char *what,
                      tl_span loc) {
  for (int i = 0; i < t->ndecisions; i++)
    if (t->decisions[i].symbol == symbol)
      return t->decisions[i].value;
  if (t->ndecisions == MAX_DECISIONS) {
    t->gave_up = true;
    return choices[0];
  }
  decision *d = &t->decisions[t->ndecisions++];
  *d = (decision){.symbol = symbol, .nchoices = n, .what = what, .loc = loc};
  memcpy(d->choices, choices, sizeof *choices * (size_t)n);
  d->value = d->choices[0];
  return d->value;
}

static int trip_counts(int depth, int64_t *out) {
  int64_t all[MAX_TRIPS] = {depth + 1, depth, 2 * depth, depth - 1, 1, 0};
  int n = 0;
  for (int i = 0; i < MAX_TRIPS; i++) {
    bool seen = false;
    for (int j = 0; j < n; j++)
      seen |= out[j] == all[i];
    if (!seen)
      out[n++] = all[i];
  }
  return n;
}

// A constant bound far away comes nearer: conditions near the start and near the end of the loop stay
// what they are. Another constant in another role gives one round more or less.
static number fewer_rounds(tracer *t, number hi, const ir_op *loop) {
  const ir_op *lo = ir_def(t->func, loop->args[0]);
  number step = t->vals[loop->args[2].id];
  int64_t low = lo && lo->code == IR_CONST ? ir_int(lo, "value", 0) : 0;
  int64_t stride = step.known && step.value > 0 ? step.value : 1;
  if (hi.value - low <= MOST_ROUNDS * stride)
    return hi;
  int64_t choices[2] = {low + MOST_ROUNDS * stride, low + (MOST_ROUNDS + 1) * stride};
  hi.value = decide(t, mix(hi.symbol, 13), choices, 2, "bound of the loop", loop->loc);
  return hi;
}

// A bound that only a launch knows gets a number, so that `iv + 2 < hi` has an answer.
static void set(tracer *t, ir_val val, number n) {
  if (!n.known && t->force[val.id] == LOW) {
    n.value = decide(t, mix(n.symbol, 5), (int64_t[]){0, 1}, 2, "start", (tl_span){0});
    n.known = true;
  } else if (!n.known && t->force[val.id] == HIGH) {
    const ir_op *loop = t->bounded[val.id];
    number lo = t->vals[loop->args[0].id], step = t->vals[loop->args[2].id];
    const ir_op *lo_def = ir_def(t->func, loop->args[0]);
    int64_t choices[MAX_TRIPS], low = lo.known ? lo.value : 0, stride = step.known ? step.value : 1;
    if (lo_def && lo_def->code == IR_CONST)
      low = ir_int(lo_def, "value", 0);
    int depth = deepest_in(t, loop->regions[0]);
    int n_choices = trip_counts(depth ? depth : 1, choices);
    for (int i = 0; i < n_choices; i++) // one bound for all loops it bounds, wherever they start
      choices[i] = low + choices[i] * (stride > 0 ? stride : 1);
    n.value = decide(t, mix(n.symbol, 6), choices, n_choices, "bound of the loop", loop->loc);
    n.known = true;
  } else if (n.known && t->force[val.id] == HIGH) {
    n = fewer_rounds(t, n, t->bounded[val.id]);
  }
  t->vals[val.id] = n;
}

static void evaluate(tracer *t, const ir_op *op);

// An operation with regions but no events: its results are symbols of all that is inside.
static void evaluate_region_op(tracer *t, const ir_op *op) {
  uint64_t hash = hash_args(t, op, hash_attrs(op));
  for (uint32_t r = 0; r < op->nregions; r++) {
    const ir_region *region = op->regions[r];
    for (uint32_t i = 0; i < region->nparams; i++)
      t->vals[region->params[i].id] = (number){.symbol = mix(hash, i + 7)};
    for (const ir_op *inner = region->first; inner; inner = inner->next) {
      evaluate(t, inner);
      for (uint32_t i = 0; i < inner->nres; i++)
        hash = mix(hash, t->vals[inner->res[i].id].symbol);
      if (!inner->nres)
        hash = hash_args(t, inner, mix(hash, (uint64_t)inner->code));
    }
  }
  for (uint32_t i = 0; i < op->nres; i++)
    set(t, op->res[i], (number){.symbol = mix(hash, i + 11)});
}

// Does what the operation gives depend on when it runs?
static bool is_volatile(const tracer *t, const ir_op *op) {
  if (op->code == IR_ATOMIC)
    return true;
  if (op->code != IR_LOAD)
    return false;
  const ir_op *tensor = ir_def(t->func, ir_access_of(t->func, op).tensor);
  for (uint32_t i = 0; tensor && i < t->func->params.len; i++)
    if (ir_same(t->func->params.data[i].val, tensor->args[0]))
      return !t->func->params.data[i].read_only;
  return true;
}

static void evaluate(tracer *t, const ir_op *op) {
  if (op->nregions) {
    evaluate_region_op(t, op);
    return;
  }
  int64_t value;
  if (op->nres == 1 && fold(t, op, &value)) {
    set(t, op->res[0], known(value));
    return;
  }
  uint64_t hash = hash_args(t, op, hash_attrs(op));
  if (is_volatile(t, op))
    hash = mix(hash, ++t->unique);
  for (uint32_t i = 0; i < op->nres; i++)
    set(t, op->res[i], (number){.symbol = mix(hash, i)});
}

// --- running ------------------------------------------------------------------------------------

static void run_list(tracer *t, const list *l);

static void hand(tracer *t, const ir_val *to, const ir_val *from, uint32_t count) {
  number held[64];
  if (count > 64) {
    t->gave_up = true;
    return;
  }
  for (uint32_t i = 0; i < count; i++)
    held[i] = t->vals[from[i].id];
  for (uint32_t i = 0; i < count; i++)
    if (t->wanted[to[i].id])
      set(t, to[i], held[i]);
}

static void run_event(tracer *t, const item *it) {
  if (t->now < 0 || t->nevents++ > MAX_EVENTS) {
    t->gave_up |= t->now >= 0;
    return;
  }
  if (it->event == EV_WAIT && it->channel >= 0)
    t->waited[it->channel]++;
  ir_event event = {it->event, it->op, it->channel, false};
  tl_push(t->arena, &t->traces[t->now].events, event);
  if (it->event == EV_WGMMA && it->op->nargs > 1 &&
      ir_type(t->func, it->op->args[1])->kind == TY_CHAN) {
    event.channel = index_of(t, it->op->args[1]), event.again = true;
    tl_push(t->arena, &t->traces[t->now].events, event);
  }
  for (uint32_t i = 0; i < it->op->nres; i++) {
    uint64_t item_of = it->channel >= 0 ? (uint64_t)t->waited[it->channel] : ++t->unique;
    uint64_t hash = mix(hash_attrs(it->op), item_of);
    t->vals[it->op->res[i].id] = (number){.symbol = mix(hash, (uint64_t)it->channel)};
  }
}

static void run_if(tracer *t, const item *it) {
  const ir_op *op = it->op;
  number cond = t->vals[op->args[0].id];
  int64_t taken = cond.known ? cond.value
                             : decide(t, mix(cond.symbol, 8), (int64_t[]){1, 0}, 2, "branch",
                                      op->loc);
  int side = taken ? 0 : 1;
  run_list(t, it->inner[side]);
  hand(t, op->res, op->regions[side]->last->args, op->nres);
}

static void run_for(tracer *t, const item *it) {
  const ir_op *op = it->op;
  const ir_region *body = op->regions[0];
  number lo = t->vals[op->args[0].id], hi = t->vals[op->args[1].id],
         step = t->vals[op->args[2].id];
  uint64_t symbol = mix(mix(mix(9, lo.symbol), hi.symbol), step.symbol);
  int64_t stride = step.known && step.value > 0 ? step.value : 1, trips;
  bool counted = lo.known && hi.known;
  if (counted)
    trips = hi.value > lo.value ? (hi.value - lo.value + stride - 1) / stride : 0;
  else
    trips = decide(t, symbol, (int64_t[]){2, 1}, 2, "tiles", op->loc);
  if (counted && holds_loop(body) && trips > MOST_ROUNDS)
    trips = MOST_ROUNDS + (trips & 1);
  hand(t, body->params + 1, op->args + 3, op->nargs - 3);
  for (int64_t i = 0; i < trips && !t->gave_up; i++) {
    number iv = counted ? known(lo.value + i * stride)
                        : (number){.symbol = mix(symbol, (uint64_t)i + 100)};
    set(t, body->params[0], iv);
    run_list(t, it->inner[0]);
    hand(t, body->params + 1, body->last->args, body->last->nargs);
  }
  hand(t, op->res, body->params + 1, op->nres);
}

static void run_while(tracer *t, const item *it) {
  const ir_op *op = it->op;
  const ir_region *head = op->regions[0], *body = op->regions[1];
  int64_t choices[MAX_TRIPS], trips = -1;
  hand(t, head->params, op->args, op->nargs);
  for (int64_t i = 0; !t->gave_up; i++) {
    run_list(t, it->inner[0]);
    number cond = t->vals[head->last->args[0].id];
    int depth = it->inner[1]->depth;
    if (!cond.known && trips < 0) // how often it holds is decided where it is first asked
      trips = i + decide(t, mix(cond.symbol, 10), choices, trip_counts(depth ? depth : 1, choices),
                         "trip count", op->loc);
    if (cond.known ? !cond.value : i >= trips)
      break;
    hand(t, body->params, head->last->args + 1, body->nparams);
    run_list(t, it->inner[1]);
    hand(t, head->params, body->last->args, head->nparams);
  }
  hand(t, op->res, head->last->args + 1, op->nres);
}

static void run_role(tracer *t, const item *it) {
  t->now = t->ntraces++;
  memset(t->waited, 0, sizeof *t->waited * (size_t)t->nchans);
  t->traces[t->now] = (ir_trace){.role = it->op, .name = ir_str(it->op, "name", "role")};
  run_list(t, it->inner[0]);
  t->now = -1;
}

static void run_list(tracer *t, const list *l) {
  for (uint32_t i = 0; i < l->items.len && !t->gave_up; i++) {
    const item *it = &l->items.data[i];
    if (t->nsteps++ > MAX_STEPS)
      t->gave_up = true;
    if (it->event != EV_NONE)
      run_event(t, it);
    else if (it->op->code == IR_ROLE)
      run_role(t, it);
    else if (it->inner[0] && it->op->code == IR_IF)
      run_if(t, it);
    else if (it->inner[0] && it->op->code == IR_FOR)
      run_for(t, it);
    else if (it->inner[0] && it->op->code == IR_WHILE)
      run_while(t, it);
    else
      evaluate(t, it->op);
  }
}

// --- all ways -----------------------------------------------------------------------------------

static const char *describe(const tracer *t) {
  tl_buf text = {0};
  for (int i = 0; i < t->ndecisions; i++) {
    const decision *d = &t->decisions[i];
    int line = 0, col = 0;
    if (d->loc.file)
      tl_source_position(t->func->module->sources, d->loc, &line, &col);
    if (line)
      tl_buf_printf(&text, "%s%s at line %d: %lld", text.len ? ", " : "", d->what, line,
                    (long long)d->value);
    else
      tl_buf_printf(&text, "%s%s: %lld", text.len ? ", " : "", d->what, (long long)d->value);
  }
  const char *out = tl_strdup(t->arena, text.data ? text.data : "");
  tl_buf_free(&text);
  return out;
}

// The next combination: an odometer whose last wheel turns first; wheels that no longer turn up are
// dropped.
static bool advance(tracer *t) {
  while (t->ndecisions) {
    decision *d = &t->decisions[t->ndecisions - 1];
    if (++d->choice < d->nchoices) {
      d->value = d->choices[d->choice];
      return true;
    }
    t->ndecisions--;
  }
  return false;
}

static void count_role(ir_op *op, void *user) {
  if (op->code == IR_ROLE)
    ++*(int *)user;
}

static bool visit_plan(tracer *t, bool (*visit)(ir_plan *plan, void *user), void *user) {
  tl_arena events = {0}, *own = t->arena;
  t->arena = &events;
  t->now = -1, t->ntraces = 0, t->nevents = t->nsteps = 0, t->unique = 0, t->gave_up = false;
  for (uint32_t i = 0; i < t->func->params.len; i++) {
    ir_val val = t->func->params.data[i].val;
    set(t, val, (number){.symbol = mix(12, val.id)});
  }
  run_list(t, t->body);
  ir_plan plan = {.func = t->func,
                  .arena = own,
                  .chans = t->chans,
                  .nchans = t->nchans,
                  .traces = t->traces,
                  .ntraces = t->ntraces};
  bool good = true;
  if (!t->gave_up) {
    plan.decisions = describe(t);
    good = visit(&plan, user);
  }
  t->arena = own;
  tl_arena_free(&events);
  return good;
}

bool ir_each_plan(const ir_func *func, tl_arena *arena, ir_chan *chans, int nchans,
                  bool (*visit)(ir_plan *plan, void *user), void *user) {
  tracer t = {.func = func, .arena = arena, .chans = chans, .nchans = nchans};
  int roles = 0;
  ir_walk(func->body, count_role, &roles);
  t.wanted = TL_NEW_N(arena, uint8_t, func->vals.len);
  t.force = TL_NEW_N(arena, uint8_t, func->vals.len);
  t.bounded = TL_NEW_N(arena, const ir_op *, func->vals.len);
  t.vals = TL_NEW_N(arena, number, func->vals.len);
  t.waited = TL_NEW_N(arena, int, nchans ? nchans : 1);
  t.traces = TL_NEW_N(arena, ir_trace, roles ? roles : 1);
  ir_walk(func->body, want_all, &t);
  t.body = build_list(&t, func->body);
  for (int plans = 0; plans < MAX_PLANS; plans++) {
    if (!visit_plan(&t, visit, user))
      return false;
    if (!advance(&t))
      break;
  }
  return true;
}
