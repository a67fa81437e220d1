// scan: prefixes along one axis. The layout orders every part of the axis (ir_layout_along):
// registers, then lanes, then warps, then repetitions; each level adds what lies before it. Within
// the thread and over lanes without memory, over warps through shared scratch. The order of
// additions depends on the layout alone.
#include "codegen/ll/emit.h"
#include <math.h>

typedef enum scan_kind { SUM, MAX, MIN } scan_kind;

typedef struct scan {
  const ir_op *op;
  scan_kind kind;
  int axis;
  bool reverse, exclusive;
  tl_dtype dtype;
  const ty_type *tile;
  const ir_layout *layout;
  int run, runs; // registers that follow each other on the axis; such groups
  int parts;     // repetitions along the axis
  int crossing, bits[IR_MAX_WARP_BITS];
} scan;

static ll_v combine(ll_ctx *c, const scan *s, ll_v before, ll_v x) {
  if (s->kind == SUM)
    return tl_is_float(s->dtype) ? LLVMBuildFAdd(c->b, before, x, "")
                                 : LLVMBuildAdd(c->b, before, x, "");
  return ll_min_max(c, s->kind == MAX ? IR_MAX : IR_MIN, s->dtype, before, x, false);
}

static ll_v start_of(ll_ctx *c, const scan *s) {
  bool lowest = s->kind == MAX;
  if (s->kind == SUM)
    return ll_zero(c, s->dtype);
  int bits = tl_dtype_bits(s->dtype);
  uint64_t top = (uint64_t)1 << (bits - 1);
  if (tl_is_signed(s->dtype))
    return ll_const(c, s->dtype, lowest ? -INFINITY : INFINITY, (int64_t)(lowest ? top : top - 1));
  return ll_const(c, s->dtype, lowest ? -INFINITY : INFINITY, lowest ? 0 : -1);
}

static scan describe(ll_ctx *c, const ir_op *op) {
  const char *kind = ir_str(op, "kind", "sum");
  scan s = {.op = op,
            .kind = !strcmp(kind, "sum")   ? SUM
                    : !strcmp(kind, "max") ? MAX
                                           : MIN,
            .axis = (int)ir_int(op, "axis", 0),
            .reverse = ir_int(op, "reverse", 0),
            .exclusive = ir_int(op, "exclusive", 0),
            .dtype = ll_dtype(c, op->res[0]),
            .tile = ir_type(c->func, op->res[0]),
            .layout = ll_layout(c, op->res[0]),
            .parts = 1};
  TL_ASSERT(s.layout == ll_layout(c, op->args[0]), "scan: layouts differ");
  s.run = 1 << s.layout->nreg_bits;
  s.runs = ir_layout_regs(s.layout) / s.run;
  for (int i = 0; i < s.layout->nreps; i++)
    if (s.layout->rep[i].dim == s.axis)
      s.parts *= s.layout->rep[i].count;
  for (int bit = 0; bit < s.layout->nwarp_bits; bit++)
    if (s.layout->warp[bit][s.axis])
      s.bits[s.crossing++] = bit;
  return s;
}

// Which of `count` parts comes i-th.
static int turn(const scan *s, int i, int count) { return s->reverse ? count - 1 - i : i; }

// A run inside one thread; returns its total, and prefixes that count the element itself in `out`.
static ll_v scan_run(ll_ctx *c, const scan *s, const ll_v *x, ll_v *out) {
  ll_v acc = start_of(c, s);
  for (int i = 0; i < s->run; i++) {
    int at = turn(s, i, s->run);
    acc = combine(c, s, acc, x[at]);
    out[at] = acc;
  }
  return acc;
}

// What lies before this thread's run in its warp; *total becomes the warp's.
static ll_v scan_lanes(ll_ctx *c, const scan *s, ll_v *total) {
  ll_v before = start_of(c, s);
  for (int bit = 0; bit < IR_LANE_BITS; bit++) {
    if (!s->layout->lane[bit][s->axis])
      continue;
    ll_v other = ll_shuffle_xor(c, *total, 1 << bit);
    ll_v high = LLVMBuildAnd(c->b, c->lane, ll_i32(c, 1 << bit), "");
    high = LLVMBuildICmp(c->b, s->reverse ? LLVMIntEQ : LLVMIntNE, high, ll_i32(c, 0), "");
    before = LLVMBuildSelect(c->b, high, combine(c, s, other, before), before, "");
    *total =
        LLVMBuildSelect(c->b, high, combine(c, s, other, *total), combine(c, s, *total, other), "");
  }
  return before;
}

// --- over warps and repetitions -----------------------------------------------------------------

// Repetition along the axis to which run `index` belongs, and the first run of its line.
static int part_of(const scan *s, int index, int *out_first) {
  int part = 0, scale = 1, weight = 1;
  *out_first = 0;
  for (int i = 0; i < s->layout->nreps; i++) {
    int count = s->layout->rep[i].count, digit = index / weight % count;
    if (s->layout->rep[i].dim == s->axis) {
      part += digit * scale;
      scale *= count;
    } else {
      *out_first += digit * weight;
    }
    weight *= count;
  }
  return part;
}

static int run_of(const scan *s, int first, int part) {
  for (int i = 0; i < s->runs; i++) {
    int line;
    if (part_of(s, i, &line) == part && line == first)
      return i;
  }
  TL_UNREACHABLE("scan: no such run");
}

static int64_t line_bytes(const scan *s) { // totals of all lines and parts of one warp
  return ty_elems(s->tile) / s->tile->dims[s->axis] * s->parts * 8;
}

// Position of a line among all lines; of this thread, and of a run's constant part.
static ll_v thread_line(ll_ctx *c, const scan *s) {
  const ll_place *place = ll_place_of(c, s->layout);
  ll_v line = ll_i32(c, 0);
  for (int d = 0; d < s->tile->rank; d++)
    if (d != s->axis)
      line = ll_add(c, ll_mul(c, line, ll_i32(c, s->tile->dims[d])), place->at[d]);
  return line;
}

static int64_t fixed_slot(const scan *s, int index, int part) {
  int64_t fixed[TY_MAX_RANK], line = 0;
  ll_reg_coords(s->layout, index * s->run, fixed);
  for (int d = 0; d < s->tile->rank; d++)
    if (d != s->axis)
      line = line * s->tile->dims[d] + fixed[d];
  return (line * s->parts + part) * 8;
}

// One thread among those that hold the same total of one warp.
static ll_v writer(ll_ctx *c, const scan *s) {
  ir_layout held = ir_layout_drop_dim(s->layout, s->axis);
  int extra = held.rank++;
  for (int i = 0; i < s->crossing; i++)
    held.warp[s->bits[i]][extra] = 1;
  return ll_owner(c, &held);
}

static ll_v warp_number(ll_ctx *c, const scan *s) { // among the crossing ones
  ll_v number = ll_i32(c, 0);
  for (int i = 0; i < s->crossing; i++) {
    ll_v bit = LLVMBuildLShr(c->b, c->warp, ll_i32(c, s->bits[i]), "");
    bit = LLVMBuildAnd(c->b, bit, ll_i32(c, 1), "");
    number = ll_add(c, number, LLVMBuildShl(c->b, bit, ll_i32(c, i), ""));
  }
  return number;
}

// Totals of the warps to shared memory; returns the thread's place among the totals of warp 0.
static ll_v exchange(ll_ctx *c, const scan *s, const ll_v *totals) {
  ll_v base = ll_offset(c, c->smem, ll_i32(c, ir_int(s->op, "offset", 0)));
  ll_v line = ll_mul(c, thread_line(c, s), ll_i32(c, s->parts * 8));
  ll_v own = ll_mul(c, warp_number(c, s), ll_i32(c, line_bytes(s)));
  ll_scratch_begin(c);
  LLVMBasicBlockRef after = ll_begin_if(c, writer(c, s));
  for (int i = 0; i < s->runs; i++) {
    int first, part = part_of(s, i, &first);
    ll_v at =
        ll_offset(c, base, ll_add(c, ll_add(c, own, line), ll_i32(c, fixed_slot(s, i, part))));
    LLVMBuildStore(c->b, totals[i], at);
  }
  ll_end_if(c, after);
  ll_bar_sync(c);
  return ll_offset(c, base, line);
}

// What lies before the warp's own part of each run of one line.
static void scan_line(ll_ctx *c, const scan *s, int first, ll_v shared, const ll_v *totals,
                      ll_v *before) {
  ll_v acc = start_of(c, s), number = s->crossing ? warp_number(c, s) : NULL;
  for (int p = 0; p < s->parts; p++) {
    int part = turn(s, p, s->parts), index = run_of(s, first, part);
    before[index] = acc;
    for (int w = 0; w < 1 << s->crossing; w++) {
      int warp = turn(s, w, 1 << s->crossing);
      ll_v total = totals[index];
      if (s->crossing) {
        int64_t offset = warp * line_bytes(s) + fixed_slot(s, index, part);
        total =
            LLVMBuildLoad2(c->b, LLVMTypeOf(total), ll_offset(c, shared, ll_i32(c, offset)), "");
        ll_v mine = LLVMBuildICmp(c->b, LLVMIntEQ, number, ll_i32(c, warp), "");
        before[index] = LLVMBuildSelect(c->b, mine, acc, before[index], "");
      }
      acc = combine(c, s, acc, total);
    }
  }
}

static void finish_run(ll_ctx *c, const scan *s, ll_v before, const ll_v *within, ll_v *out) {
  for (int i = 0; i < s->run; i++) {
    int at = turn(s, i, s->run);
    if (!s->exclusive)
      out[at] = combine(c, s, before, within[at]);
    else
      out[at] = i ? combine(c, s, before, within[turn(s, i - 1, s->run)]) : before;
  }
}

void ll_emit_scan(ll_ctx *c, const ir_op *op) {
  scan s = describe(c, op);
  ll_v *x = ll_regs(c, op->args[0]), *out = ll_new_regs(c, op->res[0]);
  ll_v *within = TL_NEW_N(c->arena, ll_v, s.run * s.runs);
  ll_v *totals = TL_NEW_N(c->arena, ll_v, s.runs), *lanes = TL_NEW_N(c->arena, ll_v, s.runs);
  ll_v *before = TL_NEW_N(c->arena, ll_v, s.runs);
  for (int i = 0; i < s.runs; i++) {
    totals[i] = scan_run(c, &s, x + i * s.run, within + i * s.run);
    lanes[i] = scan_lanes(c, &s, &totals[i]);
  }
  ll_v shared = s.crossing ? exchange(c, &s, totals) : NULL;
  for (int i = 0; i < s.runs; i++) {
    int first;
    if (part_of(&s, i, &first) == 0)
      scan_line(c, &s, first, shared, totals, before);
  }
  for (int i = 0; i < s.runs; i++)
    finish_run(c, &s, combine(c, &s, before[i], lanes[i]), within + i * s.run, out + i * s.run);
}
