// The reference evaluator: roles and the channels between them.
//
// Each role runs on a thread of its own, but only one at a time: a baton goes round whenever a role has
// to wait for a slot, so a program gives the same result on every run. A channel holds its slots by
// value. When the baton has gone round without anybody moving, the program is stuck, and says so.
#include "ir/eval_state.h"
#include <pthread.h>

enum { MAX_ROLES = 32, MAX_FIELDS = 16 };

struct eval_channel {
  int64_t depth, put, got; // slots committed and released
  uint32_t nfields;
  cell *slots[MAX_FIELDS]; // depth times the field's elements
  int64_t elems[MAX_FIELDS];
};

typedef struct player {
  struct eval_roles *stage;
  const ir_op *role;
  int number;
  bool finished;
  pthread_t thread;
} player;

struct eval_roles {
  eval *e;
  pthread_mutex_t lock;
  pthread_cond_t passed;
  int turn; // player that holds the baton
  int nplayers, running;
  int64_t moves; // slots committed and released so far
  bool failed;
  player players[MAX_ROLES];
};

// --- the baton ----------------------------------------------------------------------------------

static void pass_baton(struct eval_roles *s) {
  for (int i = 0; i < s->nplayers && s->running; i++) {
    s->turn = (s->turn + 1) % s->nplayers;
    if (!s->players[s->turn].finished)
      break;
  }
  pthread_cond_broadcast(&s->passed);
}

static void await_turn(struct eval_roles *s, int number) {
  while (s->turn != number)
    pthread_cond_wait(&s->passed, &s->lock);
}

// Lets the others run until one of them has moved. False when nobody can.
static bool give_way(eval *e, const ir_op *op, const char *what) {
  struct eval_roles *s = e->roles;
  int64_t before = s ? s->moves : 0;
  int number = s ? s->turn : 0;
  if (s) {
    pass_baton(s);
    await_turn(s, number);
    if (s->failed)
      return false;
    if (s->moves != before)
      return true;
  }
  return eval_fail(e, op, "the roles wait for one another: no slot of '%s' becomes %s",
                   ir_str(ir_def(e->func, op->args[0]), "name", "the channel"), what);
}

static void *play(void *user) {
  player *p = user;
  struct eval_roles *s = p->stage;
  pthread_mutex_lock(&s->lock);
  await_turn(s, p->number);
  if (!s->failed && !eval_region(s->e, p->role->regions[0]))
    s->failed = true;
  p->finished = true;
  s->running--;
  s->moves++; // the others look again; with nobody left to move they find that out by themselves
  pass_baton(s);
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

// --- roles --------------------------------------------------------------------------------------

static bool all_empty(eval *e) {
  for (uint32_t i = 0; i < e->func->vals.len; i++) {
    const struct eval_channel *ch = e->channels[i];
    if (ch && ch->put != ch->got) {
      const ir_op *op = ir_info_of(e->func, (ir_val){i})->def;
      return eval_fail(e, op, "'%s' is put %d times and got %d times", ir_str(op, "name", ""),
                       (int)ch->put, (int)ch->got);
    }
  }
  return true;
}

bool eval_run_roles(eval *e, const ir_op *first) {
  struct eval_roles s = {.e = e};
  for (const ir_op *op = first; op && op->code == IR_ROLE; op = op->next) {
    if (s.nplayers == MAX_ROLES)
      return eval_fail(e, op, "more than %d roles", MAX_ROLES);
    s.players[s.nplayers] = (player){.stage = &s, .role = op, .number = s.nplayers};
    s.nplayers++;
  }
  if (s.nplayers == 1)
    return eval_region(e, first->regions[0]) && all_empty(e);
  s.running = s.nplayers;
  pthread_mutex_init(&s.lock, NULL);
  pthread_cond_init(&s.passed, NULL);
  e->roles = &s;
  int started = 0;
  while (started < s.nplayers &&
         !pthread_create(&s.players[started].thread, NULL, play, &s.players[started]))
    started++;
  if (started < s.nplayers) // out of threads: those that wait for a turn cannot be ended one by one
    TL_UNREACHABLE("cannot start %d threads for the roles", s.nplayers);
  for (int i = 0; i < started; i++)
    pthread_join(s.players[i].thread, NULL);
  pthread_cond_destroy(&s.passed);
  pthread_mutex_destroy(&s.lock);
  e->roles = NULL;
  return !s.failed && all_empty(e);
}

// --- channels -----------------------------------------------------------------------------------

static bool declare(eval *e, const ir_op *op) {
  struct eval_channel *ch = e->channels[op->res[0].id];
  if (op->nargs > MAX_FIELDS)
    return eval_fail(e, op, "more than %d fields", MAX_FIELDS);
  if (!ch) {
    ch = TL_NEW(e->arena, struct eval_channel);
    ch->depth = ir_int(op, "depth", 1);
    ch->nfields = op->nargs;
    for (uint32_t i = 0; i < op->nargs; i++) {
      const ty_type *buf = ir_type(e->func, op->args[i]);
      ch->elems[i] = ty_elems(buf) / buf->dims[0];
      ch->slots[i] = TL_NEW_N(e->arena, cell, ty_elems(buf));
    }
    e->channels[op->res[0].id] = ch;
  }
  ch->put = ch->got = 0;
  return true;
}

static cell *field_of(struct eval_channel *ch, const ir_op *op, int64_t item) {
  int64_t field = ir_int(op, "field", 0);
  return ch->slots[field] + item % ch->depth * ch->elems[field];
}

bool eval_channel_op(eval *e, const ir_op *op) {
  if (op->code == IR_BUFFER)
    return true;
  if (op->code == IR_CHANNEL)
    return declare(e, op);
  struct eval_channel *ch = e->channels[op->args[0].id];
  switch (op->code) {
  case IR_ACQUIRE:
    while (ch->put - ch->got == ch->depth)
      if (!give_way(e, op, "free"))
        return false;
    return true;
  case IR_WAIT:
    while (ch->put == ch->got)
      if (!give_way(e, op, "full"))
        return false;
    return true;
  case IR_FILL: {
    cell *to = field_of(ch, op, ch->put);
    memcpy(to, eval_cells(e, op->args[1]), sizeof *to * (size_t)ch->elems[ir_int(op, "field", 0)]);
    return true;
  }
  case IR_READ: {
    const cell *from = field_of(ch, op, ch->got);
    memcpy(eval_cells(e, op->res[0]), from,
           sizeof *from * (size_t)ch->elems[ir_int(op, "field", 0)]);
    return true;
  }
  case IR_COMMIT:
    ch->put++;
    break;
  case IR_RELEASE:
    ch->got++;
    break;
  default:
    return eval_fail(e, op, "is not a tir operation");
  }
  if (e->roles)
    e->roles->moves++;
  return true;
}
