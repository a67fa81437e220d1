// The channel verifier: is the schedule of a sir function right, whatever its roles' speed?
//
// A role is a sequential program; channels are the only way two of them meet. So the schedule is
// taken apart in two steps:
//
//   verify_channel_trace.c  runs every role with small trip counts and lists what it does to its
//                           channels (its trace). What decides a bound or a branch is a symbol; equal
//                           symbols of two roles are decided alike, all others independently.
//   verify_channel_run.c    runs the traces against one another, each role in turn as slow as can
//                           be. Traces are linear and slots are counted, so no other interleaving
//                           reaches a state that these do not: whatever can be overwritten is, when
//                           its reader is the slow one, and a deadlock does not depend on speed.
//   verify_channel.c        the rules that need no run: registers, shared memory, wgmma operands.
//
// The rules are V1 to V8; each is a row E0300 + number of lang/diag.def.
#ifndef IR_VERIFY_CHANNEL_H
#define IR_VERIFY_CHANNEL_H
#include "ir/ir.h"
#include "lang/base/diag.h"

typedef enum ir_schedule_rule {
  IR_RULE_NONE,
  IR_RULE_PAYLOAD,   // V1 written once between acquire and commit, read between wait and release
  IR_RULE_BYTES,     // V2 announced bytes and arrivals are what is copied
  IR_RULE_ORDER,     // V3 no deadlock, equal counts on every path, no slot overwritten while read
  IR_RULE_ALIAS,     // V4 memory is shared only between what cannot be alive together
  IR_RULE_CAPACITY,  // V5 shared memory, threads, registers
  IR_RULE_PDL,       // V6 order of dependent launches: no operation speaks of them yet
  IR_RULE_REGISTERS, // V7 legal register counts, given for all roles or none
  IR_RULE_WGMMA      // V8 accumulators and operands of a running wgmma are left alone
} ir_schedule_rule;

typedef struct ir_schedule_fault {
  ir_schedule_rule rule;
  const ir_op *op;   // where
  const char *why;   // one sentence
  const char *table; // the interleaving or the budget, lines that end in '\n'; "" when there is none
} ir_schedule_fault;

// True when the schedule is right. Else the first fault; its texts are on the arena.
// Is the channel filled by another role, over mbarriers? (Else by its own, over cp.async groups.)
bool ir_channel_is_fed(const ir_op *channel);
bool ir_check_schedule(const ir_func *func, tl_arena *arena, ir_schedule_fault *out);
// The fault as text with rule and place, for what a pass or a hand-written .sir did wrong.
void ir_print_fault(const ir_func *func, const ir_schedule_fault *fault, tl_buf *out);
// The fault as the diagnostic of its rule, for roles in a user's source.
tl_diag *ir_report_fault(tl_diags *diags, const ir_schedule_fault *fault);

// --- inside -------------------------------------------------------------------------------------
typedef enum ir_event_kind {
  EV_NONE,
  EV_ACQUIRE,
  EV_WRITE,
  EV_COMMIT,
  EV_WAIT,
  EV_READ,
  EV_WGMMA,
  EV_DRAIN,
  EV_RELEASE
} ir_event_kind;
ir_event_kind ir_event_of(const ir_op *op); // EV_NONE: says nothing to a channel

typedef struct ir_event {
  ir_event_kind kind;
  const ir_op *op;
  int channel; // index; -1: of a drain
  bool again;  // the same product, for its operand in another channel
} ir_event;

typedef struct ir_chan {
  const ir_op *op;
  const char *name;
  int depth;
  int nfields;
  bool fed; // by mbarriers; else by cp.async groups and barriers of one role
  int producer, consumer; // roles, -1: none
} ir_chan;

typedef struct ir_trace { // of one role
  const ir_op *role;
  const char *name;
  TL_VEC(ir_event) events;
} ir_trace;

typedef struct ir_plan { // one way through all roles
  const ir_func *func;
  tl_arena *arena;
  ir_chan *chans;
  int nchans;
  ir_trace *traces;
  int ntraces;
  const char *decisions; // "trip counts 3, 3; taken 1": for the message
} ir_plan;

// Calls `visit` for every way through the roles that is looked at, until one returns false.
bool ir_each_plan(const ir_func *func, tl_arena *arena, ir_chan *chans, int nchans,
                  bool (*visit)(ir_plan *plan, void *user), void *user);
bool ir_run_plan(ir_plan *plan, ir_schedule_fault *out);
#endif
