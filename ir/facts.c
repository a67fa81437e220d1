// One sweep in program order; each operation's fact follows from its operands' facts.
//
// Integers wrap (lang/ops.def), so a result that may leave its type keeps only what survives modulo
// 2^bits: the power of two in its divisor. Assumptions in the function's own body hold for every
// value wherever it is used; those under a branch or loop for the values made in the same region,
// since whoever makes such a value comes by the assumption, too.
#include "ir/facts.h"
#include <stdio.h>

typedef __int128 wide;

typedef struct analysis {
  const ir_func *func;
  ir_fact *of;
  ir_fact *assumed; // what assume says, by value id, where has_assumed
  uint8_t *has_assumed;
  const ir_region *assumed_in; // while collecting: the nested region of the assumption, or NULL
} analysis;

// --- numbers -----------------------------------------------------------------------------------

static int64_t gcd(int64_t a, int64_t b) { // 0 is a multiple of everything: gcd(0, b) = b
  while (b) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static int64_t power_of_two_in(int64_t value) { return value & -value; } // 0 for 0

static int64_t magnitude(int64_t value) {
  if (value == INT64_MIN)
    return (int64_t)1 << 62; // a divisor of it
  return value < 0 ? -value : value;
}

// a * b as a divisor; when too large, a divisor of it.
static int64_t div_product(int64_t a, int64_t b) {
  int64_t product;
  if (!__builtin_mul_overflow(a, b, &product))
    return product;
  return a > b ? a : b;
}

// --- facts -------------------------------------------------------------------------------------

static ir_fact type_fact(const ty_type *type) {
  ir_fact fact = {
      .div = 1, .lo = INT64_MIN, .hi = INT64_MAX, .contig = 1, .run_div = 1, .constant_run = 1};
  if (type->kind != TY_TILE || !tl_is_int(type->dtype))
    return fact;
  int bits = tl_dtype_bits(type->dtype);
  if (bits == 1) {
    fact.lo = 0;
    fact.hi = 1;
  } else if (bits < 64) {
    bool is_signed = tl_is_signed(type->dtype);
    fact.lo = is_signed ? -((int64_t)1 << (bits - 1)) : 0;
    fact.hi = ((int64_t)1 << (is_signed ? bits - 1 : bits)) - 1;
  }
  return fact;
}

static ir_fact constant_fact(int64_t value) {
  int64_t div = magnitude(value);
  return (ir_fact){div, value, value, 1, div, 1};
}

// Cuts runs into aligned pieces of `contig` elements, a divisor of what they were.
static void cut_runs(ir_fact *fact, int64_t contig) {
  if (contig < fact->contig)
    fact->run_div = contig > 1 ? gcd(fact->run_div, contig) : fact->div;
  fact->contig = contig;
}

static ir_fact meet(const ir_fact *a, const ir_fact *b) {
  ir_fact x = *a, y = *b;
  int64_t contig = gcd(a->contig, b->contig);
  cut_runs(&x, contig);
  cut_runs(&y, contig);
  return (ir_fact){.div = gcd(a->div, b->div),
                   .lo = a->lo < b->lo ? a->lo : b->lo,
                   .hi = a->hi > b->hi ? a->hi : b->hi,
                   .contig = contig,
                   .run_div = gcd(x.run_div, y.run_div),
                   .constant_run = gcd(a->constant_run, b->constant_run)};
}

// Puts a range into a fact. Outside the type it wraps: only powers of two survive, and runs are cut
// to pieces that cannot straddle the wrap.
static void set_range(ir_fact *fact, const ty_type *type, wide lo, wide hi) {
  ir_fact limits = type_fact(type);
  if (lo >= limits.lo && hi <= limits.hi) {
    fact->lo = (int64_t)lo;
    fact->hi = (int64_t)hi;
    return;
  }
  fact->lo = limits.lo;
  fact->hi = limits.hi;
  fact->div = fact->div ? power_of_two_in(fact->div) : 0;
  fact->run_div = power_of_two_in(fact->run_div);
  if (fact->contig > 1 && fact->run_div)
    cut_runs(fact, gcd(fact->contig, fact->run_div));
}

static const ir_fact *arg_fact(const analysis *a, const ir_op *op, uint32_t index) {
  return &a->of[op->args[index].id];
}

// --- arithmetic --------------------------------------------------------------------------------

// x + y or x - y: a run of x stays a run where y stays equal (and the other way, for +).
static ir_fact sum_fact(const ty_type *type, const ir_fact *x, const ir_fact *y, bool minus) {
  ir_fact fact = {.div = gcd(x->div, y->div),
                  .constant_run = gcd(x->constant_run, y->constant_run)};
  int64_t run_x = gcd(x->contig, y->constant_run);
  int64_t run_y = minus ? 1 : gcd(y->contig, x->constant_run);
  const ir_fact *running = run_x >= run_y ? x : y, *steady = run_x >= run_y ? y : x;
  fact.contig = run_x >= run_y ? run_x : run_y;
  int64_t start =
      fact.contig < running->contig ? gcd(running->run_div, fact.contig) : running->run_div;
  fact.run_div = fact.contig > 1 ? gcd(start, steady->div) : fact.div;
  wide lo = minus ? (wide)x->lo - y->hi : (wide)x->lo + y->lo;
  wide hi = minus ? (wide)x->hi - y->lo : (wide)x->hi + y->hi;
  set_range(&fact, type, lo, hi);
  return fact;
}

static ir_fact product_fact(const ty_type *type, const ir_fact *x, const ir_fact *y) {
  int64_t div = div_product(x->div, y->div);
  ir_fact fact = {.div = div,
                  .contig = 1,
                  .run_div = div,
                  .constant_run = gcd(x->constant_run, y->constant_run)};
  wide corner[4] = {(wide)x->lo * y->lo, (wide)x->lo * y->hi, (wide)x->hi * y->lo,
                    (wide)x->hi * y->hi};
  wide lo = corner[0], hi = corner[0];
  for (int i = 1; i < 4; i++) {
    lo = corner[i] < lo ? corner[i] : lo;
    hi = corner[i] > hi ? corner[i] : hi;
  }
  set_range(&fact, type, lo, hi);
  return fact;
}

// Elements of an aligned run share their quotient by c when the run's length and start divide c.
static int64_t quotient_run(const ir_fact *x, int64_t c) {
  int64_t run = x->contig > 1 ? gcd(gcd(x->contig, x->run_div), c) : 1;
  return run > x->constant_run ? run : x->constant_run;
}

static ir_fact quotient_fact(const ty_type *type, const ir_fact *x, const ir_fact *y) {
  ir_fact fact = type_fact(type);
  fact.constant_run = gcd(x->constant_run, y->constant_run);
  if (x->lo >= 0 && y->lo >= 0) { // x / 0 = 0
    fact.lo = y->lo > 0 && y->hi > 0 ? x->lo / y->hi : 0;
    fact.hi = y->lo > 1 ? x->hi / y->lo : x->hi;
  }
  if (y->lo != y->hi || y->lo <= 0)
    return fact;
  if (x->div % y->lo == 0)
    fact.div = fact.run_div = x->div / y->lo;
  if (x->lo >= 0)
    fact.constant_run = quotient_run(x, y->lo);
  else {
    fact.lo = x->lo / y->lo;
    fact.hi = x->hi / y->lo;
  }
  return fact;
}

static ir_fact remainder_fact(const ty_type *type, const ir_fact *x, const ir_fact *y) {
  ir_fact fact = type_fact(type);
  fact.div = fact.run_div = gcd(x->div, y->div);
  fact.constant_run = gcd(x->constant_run, y->constant_run);
  if (y->lo < 0)
    return fact;
  int64_t limit = y->hi > 0 ? y->hi - 1 : 0;
  fact.hi = x->hi < 0 ? 0 : x->hi < limit ? x->hi : limit;
  fact.lo = x->lo >= 0 ? 0 : x->lo < -limit ? -limit : x->lo;
  if (x->lo >= 0 && y->lo == y->hi && y->lo > 0 && x->contig > 1) {
    fact.contig = gcd(gcd(x->contig, x->run_div), y->lo);
    fact.run_div = fact.contig > 1 ? gcd(gcd(x->run_div, fact.contig), y->lo) : fact.div;
  }
  return fact;
}

static bool is_low_mask(int64_t value) { return value >= 0 && (value & (value + 1)) == 0; }

static ir_fact and_fact(const ty_type *type, const ir_fact *x, const ir_fact *y) {
  ir_fact fact = type_fact(type);
  int64_t px = power_of_two_in(x->div), py = power_of_two_in(y->div);
  fact.div = fact.run_div = !px || !py ? 0 : px > py ? px : py;
  fact.constant_run = gcd(x->constant_run, y->constant_run);
  if (x->lo >= 0 || y->lo >= 0) {
    int64_t hx = x->lo >= 0 ? x->hi : INT64_MAX, hy = y->lo >= 0 ? y->hi : INT64_MAX;
    fact.lo = 0;
    fact.hi = hx < hy ? hx : hy;
  }
  if (y->lo == y->hi && is_low_mask(y->lo) && x->contig > 1 && y->lo < INT64_MAX) {
    int64_t size = y->lo + 1; // x mod size, also for negative x
    fact.contig = gcd(gcd(x->contig, x->run_div), size);
    fact.run_div = fact.contig > 1 ? gcd(gcd(x->run_div, fact.contig), size) : fact.div;
  }
  return fact;
}

static ir_fact or_fact(const ty_type *type, const ir_fact *x, const ir_fact *y) {
  ir_fact fact = type_fact(type);
  fact.div = fact.run_div = power_of_two_in(gcd(x->div, y->div));
  fact.constant_run = gcd(x->constant_run, y->constant_run);
  if (x->lo >= 0 && y->lo >= 0 && x->hi < INT64_MAX / 2 && y->hi < INT64_MAX / 2) {
    int64_t most = x->hi | y->hi;
    while (most & (most + 1))
      most |= most >> 1;
    fact.lo = 0;
    fact.hi = most;
  }
  return fact;
}

// A known shift count is a product or a quotient (rounding down) by a power of two.
static ir_fact shift_fact(const ty_type *type, const ir_fact *x, const ir_fact *y, bool left) {
  ir_fact fact = type_fact(type);
  fact.constant_run = gcd(x->constant_run, y->constant_run);
  if (y->lo != y->hi || y->lo < 0 || y->lo >= tl_dtype_bits(type->dtype) || y->lo > 61)
    return fact;
  int64_t by = (int64_t)1 << y->lo;
  if (left) {
    ir_fact factor = constant_fact(by);
    factor.constant_run = y->constant_run;
    return product_fact(type, x, &factor);
  }
  fact.lo = x->lo >> y->lo;
  fact.hi = x->hi >> y->lo;
  if (x->div % by == 0)
    fact.div = fact.run_div = x->div / by;
  fact.constant_run = quotient_run(x, by);
  return fact;
}

static ir_fact extreme_fact(const ir_fact *x, const ir_fact *y, bool max) {
  ir_fact fact = meet(x, y);
  bool lo_x = max ? x->lo > y->lo : x->lo < y->lo, hi_x = max ? x->hi > y->hi : x->hi < y->hi;
  fact.lo = lo_x ? x->lo : y->lo;
  fact.hi = hi_x ? x->hi : y->hi;
  fact.contig = 1;
  fact.run_div = fact.div;
  return fact;
}

static ir_fact cast_fact(const analysis *a, const ir_op *op, const ty_type *type) {
  const ir_fact *x = arg_fact(a, op, 0);
  const ty_type *from = ir_type(a->func, op->args[0]);
  if (!tl_is_int(from->dtype) || !tl_is_int(type->dtype) || from->dtype == TL_U64)
    return type_fact(type);
  ir_fact fact = *x;
  if (type->dtype == TL_I1) { // perhaps not modulo 2^bits
    ir_fact limits = type_fact(type);
    return x->lo >= limits.lo && x->hi <= limits.hi ? fact : limits;
  }
  set_range(&fact, type, x->lo, x->hi);
  return fact;
}

// x < y with x running and y steady changes only at aligned pieces that divide both.
static int64_t compare_run(const ir_fact *running, const ir_fact *steady) {
  int64_t piece = gcd(gcd(running->contig, running->run_div), steady->div);
  return gcd(piece ? piece : running->contig, steady->constant_run);
}

static ir_fact cmp_fact(const analysis *a, const ir_op *op, const ty_type *type) {
  const ir_fact *x = arg_fact(a, op, 0), *y = arg_fact(a, op, 1);
  const char *pred = ir_str(op, "pred", "");
  ir_fact fact = type_fact(type);
  if (!tl_is_int(ir_type(a->func, op->args[0])->dtype))
    return fact;
  fact.constant_run = gcd(x->constant_run, y->constant_run);
  bool less = !strcmp(pred, "lt") || !strcmp(pred, "ge");
  bool more = !strcmp(pred, "gt") || !strcmp(pred, "le");
  int64_t run = less ? compare_run(x, y) : more ? compare_run(y, x) : 1;
  if (run > fact.constant_run)
    fact.constant_run = run;
  return fact;
}

static ir_fact negated_fact(const ty_type *type, const ir_fact *x) {
  ir_fact zero = constant_fact(0);
  zero.constant_run = x->constant_run;
  return sum_fact(type, &zero, x, true);
}

static ir_fact abs_fact(const ty_type *type, const ir_fact *x) {
  ir_fact fact = type_fact(type);
  fact.div = fact.run_div = x->div;
  fact.constant_run = x->constant_run;
  int64_t limit = type_fact(type).hi;
  if (x->lo < -limit) // |smallest| wraps to itself
    return fact;
  int64_t low = x->lo < 0 ? -x->lo : x->lo, high = x->hi < 0 ? -x->hi : x->hi;
  fact.lo = x->lo > 0 ? x->lo : x->hi < 0 ? -x->hi : 0;
  fact.hi = low > high ? low : high;
  return fact;
}

// --- shapes and the launch ---------------------------------------------------------------------

// The grid is an expression over dims; "ceildiv(D, c)" bounds it: c * blocks stays below 2^31 + c.
static int64_t most_blocks(const ir_func *func, int64_t axis) {
  const char *grid = func->grid[axis];
  int64_t block = 0;
  int end = 0;
  if (!grid)
    return axis ? 65535 : INT32_MAX;
  if (sscanf(grid, "ceildiv(%*[A-Za-z0-9_], %ld)%n", &block, &end) == 1 && end && !grid[end] &&
      block > 0)
    return INT32_MAX / block + (INT32_MAX % block != 0);
  return axis ? 65535 : INT32_MAX;
}

static ir_fact splat_fact(const ty_type *type, const ir_fact *x) {
  ir_fact fact = *x;
  fact.contig = 1;
  fact.run_div = fact.div;
  fact.constant_run = type->rank == 1 ? type->dims[0] : 1;
  return fact;
}

// Elements of x at other places: what holds for all of them still holds.
static ir_fact moved_fact(const ir_fact *x) {
  return (ir_fact){x->div, x->lo, x->hi, 1, x->div, 1};
}

static ir_fact iota_fact(const ty_type *type) {
  if (type->dims[0] - 1 > type_fact(type).hi)
    return type_fact(type); // wraps
  return (ir_fact){1, 0, type->dims[0] - 1, type->dims[0], 0, 1};
}

static ir_fact reduce_fact(const analysis *a, const ir_op *op, const ty_type *type) {
  const char *kind = ir_str(op, "kind", "");
  ir_fact fact = type_fact(type);
  if (!strcmp(kind, "max") || !strcmp(kind, "min"))
    return moved_fact(arg_fact(a, op, 0));
  if (!strncmp(kind, "arg", 3)) {
    fact.lo = 0;
    fact.hi = ir_type(a->func, op->args[0])->dims[ir_int(op, "axis", 0)] - 1;
  }
  return fact;
}

static ir_fact const_fact_of(const ir_op *op, const ty_type *type) {
  const ir_attr *value = ir_attr_find(op, "value");
  bool known = value->kind == IR_ATTR_INT && (type->dtype != TL_U64 || value->i >= 0);
  return known ? constant_fact(value->i) : type_fact(type);
}

static ir_fact op_fact(const analysis *a, const ir_op *op, const ty_type *type) {
  const ir_fact *x = op->nargs > 0 ? arg_fact(a, op, 0) : NULL;
  const ir_fact *y = op->nargs > 1 ? arg_fact(a, op, 1) : NULL;
  ir_fact fact = type_fact(type);
  if (type->dtype == TL_U64 && op->code != IR_CONST && op->code != IR_SPLAT)
    return fact; // lo and hi cannot hold its upper half
  switch (op->code) {
  case IR_CONST:
    return const_fact_of(op, type);
  case IR_BID:
    fact.lo = 0;
    fact.hi = most_blocks(a->func, ir_int(op, "axis", 0)) - 1;
    return fact;
  case IR_NBLOCKS:
    fact.lo = 1;
    fact.hi = most_blocks(a->func, ir_int(op, "axis", 0));
    return fact;
  case IR_SPLAT:
    return splat_fact(type, x);
  case IR_IOTA:
    return iota_fact(type);
  case IR_NEG:
    return negated_fact(type, x);
  case IR_ABS:
    return abs_fact(type, x);
  case IR_ADD:
    return sum_fact(type, x, y, false);
  case IR_SUB:
    return sum_fact(type, x, y, true);
  case IR_MUL:
    return product_fact(type, x, y);
  case IR_DIV:
    return quotient_fact(type, x, y);
  case IR_REM:
    return remainder_fact(type, x, y);
  case IR_MIN:
    return extreme_fact(x, y, false);
  case IR_MAX:
    return extreme_fact(x, y, true);
  case IR_AND:
    return and_fact(type, x, y);
  case IR_OR:
  case IR_XOR:
    return or_fact(type, x, y);
  case IR_SHL:
  case IR_SHR:
    return shift_fact(type, x, y, op->code == IR_SHL);
  case IR_CAST:
    return cast_fact(a, op, type);
  case IR_CMP:
    return cmp_fact(a, op, type);
  case IR_SELECT:
    fact = meet(y, arg_fact(a, op, 2));
    cut_runs(&fact, gcd(fact.contig, x->constant_run));
    fact.constant_run = gcd(fact.constant_run, x->constant_run);
    return fact;
  case IR_BROADCAST:
  case IR_EXPAND:
  case IR_RESHAPE:
  case IR_PERMUTE:
  case IR_SLICE:
    return moved_fact(x);
  case IR_CONVERT:
    return *x;
  case IR_REDUCE:
    return reduce_fact(a, op, type);
  default: // memory, tensor cores, channels, approximations: what the type says
    return fact;
  }
}

// --- the sweep ---------------------------------------------------------------------------------

static bool is_integer(const analysis *a, ir_val val) {
  const ty_type *type = ir_type(a->func, val);
  return type->kind == TY_TILE && tl_is_int(type->dtype);
}

static void narrow(ir_fact *fact, const ir_fact *by) {
  if (by->lo > fact->lo)
    fact->lo = by->lo;
  if (by->hi < fact->hi)
    fact->hi = by->hi;
  if (by->div > 1 && fact->div)
    fact->div = div_product(fact->div / gcd(fact->div, by->div), by->div);
  if (fact->contig == 1)
    fact->run_div = fact->div;
}

static void set_fact(analysis *a, ir_val val, ir_fact fact) {
  if (a->has_assumed[val.id])
    narrow(&fact, &a->assumed[val.id]);
  a->of[val.id] = fact;
}

static void sweep(analysis *a, const ir_region *region);

static void results_from_types(analysis *a, const ir_val *vals, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    set_fact(a, vals[i], type_fact(ir_type(a->func, vals[i])));
}

static ir_fact induction_fact(const analysis *a, const ir_op *op) {
  const ir_fact *lo = arg_fact(a, op, 0), *hi = arg_fact(a, op, 1), *step = arg_fact(a, op, 2);
  int64_t div = gcd(lo->div, step->div);
  int64_t last = hi->hi > INT64_MIN ? hi->hi - 1 : hi->hi;
  ir_fact fact = {div, lo->lo, last, 1, div, 1};
  if (fact.hi < fact.lo) // the body never runs
    fact.hi = fact.lo;
  return fact;
}

// Only the divisor of a carried value is followed around the loop: guess it from the start value,
// sweep the body, weaken the guess to what the body hands back. Two rounds, then give up.
static bool guess_holds(analysis *a, const ir_op *op, int round) {
  const ir_region *body = op->regions[0];
  bool holds = true;
  for (uint32_t i = 0; i < op->nres; i++) {
    ir_fact *guess = &a->of[body->params[1 + i].id];
    if (!is_integer(a, op->res[i]))
      continue;
    int64_t kept = gcd(guess->div, a->of[body->last->args[i].id].div);
    if (kept == guess->div)
      continue;
    holds = false;
    guess->div = guess->run_div = round < 2 ? kept : 1;
  }
  return holds;
}

static void sweep_for(analysis *a, const ir_op *op) {
  const ir_region *body = op->regions[0];
  set_fact(a, body->params[0], induction_fact(a, op));
  for (uint32_t i = 0; i < op->nres; i++) {
    ir_val param = body->params[1 + i];
    ir_fact fact = type_fact(ir_type(a->func, param));
    if (is_integer(a, param))
      fact.div = fact.run_div = a->of[op->args[3 + i].id].div;
    set_fact(a, param, fact);
  }
  for (int round = 1;; round++) {
    sweep(a, body);
    if (guess_holds(a, op, round))
      break;
  }
  for (uint32_t i = 0; i < op->nres; i++) {
    ir_fact fact = meet(&a->of[op->args[3 + i].id], &a->of[body->params[1 + i].id]);
    set_fact(a, op->res[i], fact);
  }
}

static void sweep_regions(analysis *a, const ir_op *op) {
  if (op->code == IR_FOR) {
    sweep_for(a, op);
    return;
  }
  for (uint32_t i = 0; i < op->nregions; i++) {
    results_from_types(a, op->regions[i]->params, op->regions[i]->nparams);
    sweep(a, op->regions[i]);
  }
  for (uint32_t i = 0; i < op->nres; i++)
    if (op->code == IR_IF)
      set_fact(
          a, op->res[i],
          meet(&a->of[op->regions[0]->last->args[i].id], &a->of[op->regions[1]->last->args[i].id]));
    else
      results_from_types(a, &op->res[i], 1);
}

static void sweep(analysis *a, const ir_region *region) {
  for (const ir_op *op = region->first; op; op = op->next)
    if (op->nregions)
      sweep_regions(a, op);
    else
      for (uint32_t i = 0; i < op->nres; i++)
        set_fact(a, op->res[i],
                 is_integer(a, op->res[i]) ? op_fact(a, op, ir_type(a->func, op->res[i]))
                                           : type_fact(ir_type(a->func, op->res[i])));
}

// --- assumptions and parameters ----------------------------------------------------------------

static void assume_more(analysis *a, ir_val val, ir_fact more) {
  const ir_op *def = ir_def(a->func, val);
  if (a->assumed_in && (!def || def->parent != a->assumed_in))
    return;
  if (!a->has_assumed[val.id])
    a->assumed[val.id] = type_fact(ir_type(a->func, val));
  a->has_assumed[val.id] = 1;
  narrow(&a->assumed[val.id], &more);
}

// `val pred bound` holds.
static void assume_order(analysis *a, ir_val val, const char *pred, int64_t bound) {
  ir_fact more = {.div = 1, .lo = INT64_MIN, .hi = INT64_MAX};
  if (!strcmp(pred, "eq"))
    more.lo = more.hi = bound;
  else if (!strcmp(pred, "lt") && bound > INT64_MIN)
    more.hi = bound - 1;
  else if (!strcmp(pred, "le"))
    more.hi = bound;
  else if (!strcmp(pred, "gt") && bound < INT64_MAX)
    more.lo = bound + 1;
  else if (!strcmp(pred, "ge"))
    more.lo = bound;
  assume_more(a, val, more);
  const ir_op *def = ir_def(a->func, val);
  int64_t modulus = 0;
  if (!def || bound != 0 || strcmp(pred, "eq") != 0)
    return;
  if (def->code == IR_REM)
    ir_is_const_int(a->func, def->args[1], &modulus);
  if (def->code == IR_AND && ir_is_const_int(a->func, def->args[1], &modulus))
    modulus = is_low_mask(modulus) && modulus < INT64_MAX ? modulus + 1 : 0;
  if (modulus > 0) {
    ir_fact multiple = {.div = modulus, .lo = INT64_MIN, .hi = INT64_MAX};
    assume_more(a, def->args[0], multiple);
  }
}

static const char *mirrored(const char *pred) {
  static const char *const pairs[][2] = {{"lt", "gt"}, {"le", "ge"}, {"gt", "lt"}, {"ge", "le"}};
  for (int i = 0; i < 4; i++)
    if (!strcmp(pred, pairs[i][0]))
      return pairs[i][1];
  return pred;
}

static void assume_true(analysis *a, ir_val cond) {
  const ir_op *def = ir_def(a->func, cond);
  int64_t bound;
  if (!def || !ty_is_scalar(ir_type(a->func, cond)))
    return;
  if (def->code == IR_AND) {
    assume_true(a, def->args[0]);
    assume_true(a, def->args[1]);
  } else if (def->code == IR_CMP && is_integer(a, def->args[0]) &&
             ir_type(a->func, def->args[0])->dtype != TL_U64) {
    const char *pred = ir_str(def, "pred", "");
    if (ir_is_const_int(a->func, def->args[1], &bound))
      assume_order(a, def->args[0], pred, bound);
    else if (ir_is_const_int(a->func, def->args[0], &bound))
      assume_order(a, def->args[1], mirrored(pred), bound);
  }
}

// At the top an assumption holds for the whole function; inside a loop or a branch it says
// something about the values made there only.
static void collect_assumptions(analysis *a, const ir_region *region, bool nested) {
  for (const ir_op *op = region->first; op; op = op->next) {
    a->assumed_in = nested ? region : NULL;
    if (op->code == IR_ASSUME)
      assume_true(a, op->args[0]);
    for (uint32_t i = 0; i < op->nregions; i++)
      collect_assumptions(a, op->regions[i], nested || op->code != IR_ROLE);
  }
}

static void param_facts(analysis *a) {
  for (uint32_t i = 0; i < a->func->params.len; i++) {
    const ir_param *param = &a->func->params.data[i];
    ir_fact fact = type_fact(ir_type(a->func, param->val));
    fact.div = fact.run_div = param->div;
    if (param->kind == IR_PARAM_DIM)
      fact.lo = 0; // the launcher refuses negative dims
    set_fact(a, param->val, fact);
  }
}

ir_facts *ir_facts_compute(const ir_func *func, tl_arena *arena) {
  uint32_t count = func->vals.len;
  ir_facts *facts = TL_NEW(arena, ir_facts);
  *facts = (ir_facts){func, TL_NEW_N(arena, ir_fact, count), count};
  analysis a = {.func = func, .of = facts->of};
  a.assumed = TL_NEW_N(arena, ir_fact, count);
  a.has_assumed = TL_NEW_N(arena, uint8_t, count);
  for (uint32_t i = 1; i < count; i++)
    facts->of[i] = type_fact(func->vals.data[i].type);
  collect_assumptions(&a, func->body, false);
  param_facts(&a);
  sweep(&a, func->body);
  return facts;
}

const ir_fact *ir_fact_of(const ir_facts *facts, ir_val val) {
  static const ir_fact nothing = {1, INT64_MIN, INT64_MAX, 1, 1, 1};
  return val.id && val.id < facts->count ? &facts->of[val.id] : &nothing;
}
