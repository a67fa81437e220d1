// Which loops can be split into a feeder and multiplying warpgroups, and why others cannot.
#include "ir/dot.h"
#include "ir/specialize.h"

typedef struct census {
  const ir_func *func;
  int dots;
  ir_op *dot;
  bool has_results;  // of atomics: the feeder would repeat them
  bool sums_up;      // a tile to a scalar: work for all threads of a role, and the feeder has one
  bool reads_output; // its loops may depend on what the warpgroups have not stored yet
} census;

static bool sums_up(const ir_func *func, const ir_op *op) {
  bool from_tile = false;
  for (uint32_t i = 0; i < op->nargs; i++)
    from_tile |= ty_is_tile(ir_type(func, op->args[i]));
  return from_tile && op->nres && !op->nregions && !ty_is_tile(ir_type(func, op->res[0]));
}

static void take_census(ir_op *op, void *user) {
  census *found = user;
  found->sums_up |= sums_up(found->func, op);
  found->has_results |= op->code == IR_ATOMIC && op->nres;
  if (op->code == IR_LOAD) {
    ir_access access = ir_access_of(found->func, op);
    found->reads_output |= !ir_reads_only_input(found->func, &access);
  }
  if (op->code != IR_DOT && op->code != IR_DOT_SCALED)
    return;
  found->dots++;
  found->dot = op;
}

static const char *refuse_tile(const split *s) {
  const ty_type *acc = ir_type(s->func, s->dot->res[0]);
  const ty_type *a = ir_type(s->func, s->dot->args[0]);
  const ty_type *b = ir_type(s->func, s->dot->args[split_is_scaled(s) ? 2 : 1]);
  bool narrow = a->dtype == TL_F8E4M3 || a->dtype == TL_F8E5M2;
  if (!narrow && (a->dtype != b->dtype || (a->dtype != TL_BF16 && a->dtype != TL_F16)))
    return "its operands are not bf16, f16 or fp8";
  if (acc->dtype != TL_F32)
    return "its accumulator is not f32";
  if (acc->dims[0] != 64 && acc->dims[0] != 128 && acc->dims[0] != 256)
    return "M of the tile is not 64, 128 or 256";
  if (acc->dims[1] > 256)
    return "N of the tile is above 256";
  if (acc->dims[0] * acc->dims[1] > 128 * 256)
    return "the tile has more than 128 accumulators per thread";
  if (a->dims[1] * tl_dtype_bits(a->dtype) / 8 % 128 != 0)
    return "K of the tile is no multiple of 128 bytes";
  int64_t promote = ir_int(s->dot, "promote", 0);
  if (promote && promote != a->dims[1])
    return "K of the tile is not the promotion interval";
  if (split_is_scaled(s) && ir_int(s->dot, "granularity", 0) != a->dims[1])
    return "K of the tile is not the granularity of the scales";
  return NULL;
}

// For mma.sync the tile is what mma_pick made of it.
static const char *refuse_mma_tile(const split *s) {
  if (!ir_dot_scales_natively(s->func, s->dot))
    return "mma.sync does not scale it";
  const ty_type *a = ir_type(s->func, s->dot->args[0]), *b = ir_type(s->func, s->dot->args[2]);
  if (ir_dot_operand_bits(s->func, s->dot, 0) != tl_dtype_bits(a->dtype) ||
      ir_dot_operand_bits(s->func, s->dot, 2) != tl_dtype_bits(b->dtype))
    return "a 4-bit operand beside an 8-bit one is spread over bytes";
  if (a->dims[1] * tl_dtype_bits(a->dtype) / 8 % 64 != 0)
    return "K of the tile is no multiple of 64 bytes";
  if (a->dims[0] > 256 || b->dims[1] > 256)
    return "a side of the tile is above 256";
  return NULL;
}

static const char *refuse_load(const split *s, const ir_op *load) {
  const char *why = ir_refuse_async(s->func, load, s->loop);
  if (why)
    return why;
  ir_access access = ir_access_of(s->func, load);
  if (load->parent != s->loop->regions[0])
    return "an operand is not loaded in the loop itself";
  if (access.subs[access.rank - 1] != 'r' || ir_type(s->func, load->res[0])->rank != 2)
    return "an operand's tile does not end with its contiguous dim";
  if (ir_access_align(s->facts, load) < 16)
    return "rows of an operand are not known to start at multiples of 16 bytes";
  return NULL;
}

// a as loaded; b transposed, so that K is innermost in memory for both.
static const char *find_operands(split *s) {
  ir_op *a = ir_def(s->func, s->dot->args[0]);
  ir_op *b = ir_def(s->func, s->dot->args[split_is_scaled(s) ? 2 : 1]);
  if (!a || a->code != IR_LOAD)
    return "the first operand is not loaded";
  if (!b || b->code != IR_PERMUTE)
    return "the second operand is not a transposed load";
  b = ir_def(s->func, b->args[0]);
  if (!b || b->code != IR_LOAD)
    return "the second operand is not a transposed load";
  s->a.load = a, s->b.load = b;
  const char *why = refuse_load(s, a);
  return why ? why : refuse_load(s, b);
}

// A column of f32 that the loop loads for this dot alone; NULL: something else, which the
// warpgroups load themselves.
static ir_op *scale_load(const split *s, ir_val scale) {
  ir_op *load = ir_def(s->func, scale);
  if (!load || load->code != IR_LOAD || load->parent != s->loop->regions[0] ||
      ir_refuse_ahead(s->func, load, s->loop) || ir_int(load, "inbounds", 0))
    return NULL;
  const ty_type *tile = ir_type(s->func, load->res[0]);
  return tile->rank == 1 && tile->dtype == TL_F32 ? load : NULL;
}

// Runs of equal indices, when they are whole atoms of 8 columns: one element of each is fed.
static int64_t equal_columns(const split *s, const ir_op *load) {
  ir_access access = ir_access_of(s->func, load);
  const char *gather = strchr(access.subs, 'g');
  if (!gather || strchr(access.subs, 'r'))
    return 0;
  ir_val index = load->args[access.first_sub + (gather - access.subs)];
  int64_t run = ir_fact_of(s->facts, index)->constant_run;
  int64_t columns = ir_type(s->func, load->res[0])->dims[0];
  run = run > columns ? columns : run;
  return run % 8 == 0 && columns % run == 0 && ir_can_thin(s->func, index) ? run : 0;
}

// Where the operands changed places (pass swap) the columns have a scale each and the rows share one:
// the former are fed, the latter loaded by the warpgroups.
static void find_scales(split *s) {
  if (!split_is_scaled(s))
    return;
  ir_op *a = scale_load(s, s->dot->args[1]), *b = scale_load(s, s->dot->args[3]);
  if (a && !ir_refuse_async(s->func, a, s->loop))
    s->scale_a.load = a;
  else if (b && !ir_refuse_async(s->func, b, s->loop))
    s->scale_a.load = b;
  if (b && b != s->scale_a.load && (s->run = equal_columns(s, b)) != 0)
    s->scale_b.load = b;
}

static bool is_behind(const split *s, const ir_op *load, ir_val val, int depth) {
  const ir_op *def = ir_def(s->func, val);
  if (def == load || !def || depth > 12 || def->code == IR_LOAD || def->nregions)
    return def == load;
  for (uint32_t i = 0; i < def->nargs; i++)
    if (is_behind(s, load, def->args[i], depth + 1))
      return true;
  return false;
}

// Words of packed scales, out of which both sides cut theirs.
static void find_words(split *s) {
  for (ir_op *op = s->loop->regions[0]->first; op; op = op->next) {
    if (op->code != IR_LOAD || op == s->a.load || op == s->b.load || ir_int(op, "inbounds", 0) ||
        ir_refuse_async(s->func, op, s->loop))
      continue;
    const ty_type *tile = ir_type(s->func, op->res[0]);
    if (tile->rank != 1 || tl_dtype_bits(tile->dtype) != 32)
      continue;
    if (!s->scale_a.load && is_behind(s, op, s->dot->args[1], 0))
      s->scale_a.load = op;
    else if (!s->scale_b.load && is_behind(s, op, s->dot->args[3], 0))
      s->scale_b.load = op;
  }
}

const char *split_match(split *s) {
  census found = {.func = s->func};
  ir_walk(s->func->body, take_census, &found);
  s->dot = found.dot;
  if (!s->dot)
    return NULL;
  if (found.dots > 1)
    return "the kernel has several dots";
  if (found.has_results)
    return "the kernel uses what an atomic returns";
  if (found.sums_up)
    return "the kernel makes a scalar of a tile, which one feeding thread cannot";
  if (found.reads_output)
    return "the kernel reads a tensor that it may write, which the feeder would see too early";
  s->loop = found.dot->parent->parent;
  if (!s->loop || s->loop->code != IR_FOR || ir_int(s->loop, "pipeline", 0) < 2)
    return "the dot stands in no pipelined loop";
  if (!strcmp(ir_str(s->loop, "specialize", ""), "off"))
    return "the loop says @specialize(off)";
  const char *why = s->by_mma ? refuse_mma_tile(s) : refuse_tile(s);
  if (!why)
    why = find_operands(s);
  if (!why && s->by_mma)
    find_words(s);
  else if (!why)
    find_scales(s);
  return why;
}
