// specialize: a pipelined loop around a dot becomes two roles on Hopper: one thread that feeds the
// operands through TMA, and warpgroups that multiply them with wgmma.
//
// Input   sir without layouts, mma_pick done.   Output  role "math" on the first warps, role "feed"
//         on one warpgroup behind them, a channel with mbarriers between; TMA descriptors as
//         parameters. Loops that do not qualify stay for the pass `pipeline`; a remark says why.
// Needs   facts (alignment).
//
//   role main { for t.. { for k { a = load A; b = load B; acc = dot a, trans b, acc } store } }
//     ->
//   %c = channel %a, %b {engine="tma"}
//   role math { for t.. { for k { wait; acc = drain wgmma %c, acc; release } store } }
//   role feed { for t.. { for k { acquire {tx}; copy A; copy B; commit } } }
//
// The feeder is a clone of the whole role from which everything but puts and what they need is
// dead. Both roles run the same loops, so their slot counters agree without ever being restarted.
// The depth is what fits beside nothing else in shared memory, up to MAX_STAGES: the pipeline depth
// of the source was chosen for architectures with less of it.
#include "ir/facts.h"
#include "ir/layout.h"
#include "ir/pass_list.h"
#include "ir/pipeline_util.h"
#include "ir/scratch.h"

enum { MAX_STAGES = 8, MATH_REGS = 232, FEED_REGS = 40, FEED_WARPS = 4 };

typedef struct operand {
  ir_op *load;
  int param; // position of its TMA descriptor among the parameters
} operand;

typedef struct split {
  ir_pass_ctx *ctx;
  ir_func *func;
  ir_facts *facts;
  ir_op *role, *loop, *dot;
  ir_op *drain; // where the product is complete
  operand a, b;
  ir_val channel;
  int depth;
  int64_t slot_bytes;
} split;

// --- does it qualify? --------------------------------------------------------------------------

static bool is_scaled(const split *s) { return s->dot->code == IR_DOT_SCALED; }

typedef struct census {
  const ir_func *func;
  int dots;
  ir_op *dot;
  bool has_results;  // of atomics: the feeder would repeat them
  bool reads_output; // its loops may depend on what the warpgroups have not stored yet
} census;

static void take_census(ir_op *op, void *user) {
  census *found = user;
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
  const ty_type *b = ir_type(s->func, s->dot->args[is_scaled(s) ? 2 : 1]);
  bool narrow = a->dtype == TL_F8E4M3 || a->dtype == TL_F8E5M2;
  if (!narrow && (a->dtype != b->dtype || (a->dtype != TL_BF16 && a->dtype != TL_F16)))
    return "its operands are not bf16, f16 or fp8";
  if (acc->dtype != TL_F32)
    return "its accumulator is not f32";
  if (acc->dims[0] != 64 && acc->dims[0] != 128)
    return "M of the tile is neither 64 nor 128";
  if (acc->dims[1] > 256)
    return "N of the tile is above 256";
  if (a->dims[1] * tl_dtype_bits(a->dtype) / 8 % 128 != 0)
    return "K of the tile is no multiple of 128 bytes";
  int64_t promote = ir_int(s->dot, "promote", 0);
  if (promote && promote != a->dims[1])
    return "K of the tile is not the promotion interval";
  if (is_scaled(s) && ir_int(s->dot, "granularity", 0) != a->dims[1])
    return "K of the tile is not the granularity of the scales";
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
  ir_op *b = ir_def(s->func, s->dot->args[is_scaled(s) ? 2 : 1]);
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

static const char *find(split *s) {
  census found = {.func = s->func};
  ir_walk(s->func->body, take_census, &found);
  s->dot = found.dot;
  if (!s->dot)
    return NULL;
  if (found.dots > 1)
    return "the kernel has several dots";
  if (found.has_results)
    return "the kernel uses what an atomic returns";
  if (found.reads_output)
    return "the kernel reads a tensor that it may write, which the feeder would see too early";
  s->loop = found.dot->parent->parent;
  if (!s->loop || s->loop->code != IR_FOR || ir_int(s->loop, "pipeline", 0) < 2)
    return "the dot stands in no pipelined loop";
  if (!strcmp(ir_str(s->loop, "specialize", ""), "off"))
    return "the loop says @specialize(off)";
  const char *why = refuse_tile(s);
  return why ? why : find_operands(s);
}

// --- buffers, channel, descriptors -------------------------------------------------------------

static ir_val declare_buffer(split *s, ir_builder *b, const ir_op *load) {
  const ty_type *tile = ir_type(s->func, load->res[0]);
  int64_t dims[TY_MAX_RANK] = {s->depth, tile->dims[0], tile->dims[1]};
  const ty_type *type = ty_buf(&s->func->module->types, tile->dtype, 3, dims);
  ir_val buffer = ir_build1(b, IR_BUFFER, type, 0, NULL);
  ir_layout layout = ir_layout_shared(tile, 128, 0);
  s->func->vals.data[buffer.id].layout = ir_layout_intern(s->func, &layout);
  return buffer;
}

static int64_t tile_bytes(const split *s, const operand *o) {
  const ty_type *tile = ir_type(s->func, o->load->res[0]);
  return ty_elems(tile) * tl_dtype_bits(tile->dtype) / 8;
}

static void choose_depth(split *s) {
  s->slot_bytes = tile_bytes(s, &s->a) + tile_bytes(s, &s->b);
  int64_t rounded =
      (tile_bytes(s, &s->a) + 1023) / 1024 * 1024 + (tile_bytes(s, &s->b) + 1023) / 1024 * 1024;
  int64_t fits = (s->func->target->smem_cta_bytes - 1024) / rounded;
  s->depth = fits > MAX_STAGES ? MAX_STAGES : (int)fits;
}

static void declare_channel(split *s) {
  ir_builder b = {s->func, s->func->body, s->role, s->loop->loc};
  ir_val buffers[2] = {declare_buffer(s, &b, s->a.load), declare_buffer(s, &b, s->b.load)};
  s->channel = ir_build1(&b, IR_CHANNEL, ty_chan(&s->func->module->types), 2, buffers);
  ir_set_int(s->func, ir_def(s->func, s->channel), "depth", s->depth);
  ir_set_str(s->func, ir_def(s->func, s->channel), "engine", "tma");
}

// One copy moves rows of 128 bytes, the span of the swizzle; wider tiles take several.
static void add_descriptor(split *s, operand *o) {
  ir_access access = ir_access_of(s->func, o->load);
  const ir_op *tensor = ir_def(s->func, access.tensor);
  const ty_type *tile = ir_type(s->func, o->load->res[0]);
  const char *name = ir_str(tensor, "name", "");
  ir_add_param(s->func, IR_PARAM_TMAP, name, ty_ptr(&s->func->module->types, tile->dtype));
  o->param = (int)s->func->params.len - 1;
  ir_param *param = &s->func->params.data[o->param];
  param->nbox = access.rank;
  param->swizzle = 128;
  for (int d = 0, dim = 0; d < access.rank; d++)
    param->box[d] = access.subs[d] == 'r' ? tile->dims[dim++] : 1;
  param->box[access.rank - 1] = 128 * 8 / tl_dtype_bits(tile->dtype);
}

// --- the two roles -----------------------------------------------------------------------------

static ir_op *on_channel(split *s, ir_builder *b, ir_code code) {
  return ir_build(b, code, 1, &s->channel, 0, NULL);
}

static void put(split *s, ir_builder *b, const operand *o, int field, const ir_map *map) {
  ir_access access = ir_access_of(s->func, o->load);
  ir_val args[2 + TY_MAX_RANK] = {s->channel, ir_map_get(map, access.tensor)};
  for (int d = 0; d < access.rank; d++)
    args[2 + d] = ir_map_get(map, o->load->args[access.first_sub + d]);
  b->loc = o->load->loc;
  ir_op *copy = ir_build(b, IR_COPY, 2 + (uint32_t)access.rank, args, 0, NULL);
  ir_set_int(s->func, copy, "field", field);
  ir_set_str(s->func, copy, "subs", access.subs);
  ir_set_str(s->func, copy, "engine", "tma");
  ir_set_int(s->func, copy, "map", o->param);
}

// Effects belong to the math role; what only they needed dies in the cleanup.
static void strip_effects(ir_op *op, void *user) {
  (void)user;
  if (op->code == IR_STORE || op->code == IR_PRINT || op->code == IR_ASSERT ||
      (op->code == IR_ATOMIC && !op->nres))
    ir_unlink(op);
}

static void make_feeder(split *s) {
  ir_map map;
  ir_map_init(s->func, &map);
  ir_builder b = {s->func, s->func->body, s->role->next, s->loop->loc};
  ir_op *feed = ir_clone(&b, s->role, &map);
  ir_set_str(s->func, feed, "name", "feed");
  ir_set_int(s->func, feed, "warps", FEED_WARPS);
  ir_walk(feed->regions[0], strip_effects, NULL);
  // The loop's clone is found through its induction variable; the puts stand where the loads did,
  // behind whatever computes their subscripts.
  ir_val iv = ir_map_get(&map, s->loop->regions[0]->params[0]);
  ir_region *body = ir_info_of(s->func, iv)->region;
  ir_builder end = {s->func, body, body->last, s->loop->loc};
  ir_set_int(s->func, on_channel(s, &end, IR_ACQUIRE), "tx", s->slot_bytes);
  put(s, &end, &s->a, 0, &map);
  put(s, &end, &s->b, 1, &map);
  on_channel(s, &end, IR_COMMIT);
}

static ir_val spread(split *s, ir_builder *b, ir_val scale, int axis, const ty_type *tile) {
  const ty_type *type = ir_type(s->func, scale);
  ir_val column = scale;
  if (type->rank == 1) {
    int64_t dims[2] = {axis == 1 ? type->dims[0] : 1, axis == 1 ? 1 : type->dims[0]};
    column =
        ir_build1(b, IR_EXPAND, ty_tile(&s->func->module->types, type->dtype, 2, dims), 1, &scale);
    ir_set_int(s->func, ir_def(s->func, column), "axis", axis);
  }
  return ir_build1(b, IR_BROADCAST, tile, 1, &column);
}

// part = a * b of this slot; acc + part * (sa * sb), as dot_scaled promises.
static ir_val multiply(split *s, ir_builder *b) {
  const ty_type *tile = ir_type(s->func, s->dot->res[0]);
  int64_t promote = ir_int(s->dot, "promote", 0);
  bool fresh = is_scaled(s) || promote > 0;
  ir_val args[2] = {s->channel, s->dot->args[is_scaled(s) ? 4 : 2]};
  ir_val part = ir_build1(b, IR_WGMMA, tile, fresh ? 1 : 2, args);
  ir_set_int(s->func, ir_def(s->func, part), "a", 0);
  ir_set_int(s->func, ir_def(s->func, part), "b", 1);
  part = ir_build1(b, IR_DRAIN, tile, 1, &part);
  s->drain = ir_def(s->func, part);
  on_channel(s, b, IR_RELEASE);
  if (!fresh)
    return part;
  if (!is_scaled(s))
    return ir_binary(b, IR_ADD, args[1], part);
  ir_val scale = ir_binary(b, IR_MUL, spread(s, b, s->dot->args[1], 1, tile),
                           spread(s, b, s->dot->args[3], 0, tile));
  ir_val fma[3] = {part, scale, args[1]};
  return ir_build1(b, IR_FMA, tile, 3, fma);
}

// Loads one iteration ahead what the warpgroups themselves load, the scales, while the product
// runs: before it, a late scale would hold back its issue. One load more than there are iterations
// is safe, since a subscript outside the tensor reads zeros without touching memory; an @inbounds
// load has no such check and stays where it is.
static void load_ahead(split *s, ir_op *load, ir_op *drain) {
  ir_func *func = s->func;
  ir_val iv = s->loop->regions[0]->params[0];
  ir_map map;
  ir_map_init(func, &map);
  ir_map_set(func, &map, iv, s->loop->args[0]);
  ir_builder before = {func, s->loop->parent, s->loop, load->loc};
  ir_val first = ir_at_iteration(&before, &map, s->loop, load->res[0]);
  ir_val result, current = ir_for_carry(func, s->loop, first, &result);
  ir_replace_uses(func, load->res[0], current);
  ir_map_init(func, &map);
  ir_builder late = {func, drain->parent, drain, load->loc};
  ir_map_set(func, &map, iv, ir_binary(&late, IR_ADD, iv, s->loop->args[2]));
  ir_for_yield(func, s->loop, ir_at_iteration(&late, &map, s->loop, load->res[0]));
  ir_unlink(load);
}

static void load_scales_ahead(split *s, ir_op *drain) {
  TL_VEC(ir_op *) loads = {0};
  for (ir_op *op = s->loop->regions[0]->first; op; op = op->next)
    if (op->code == IR_LOAD && op != s->a.load && op != s->b.load && !ir_int(op, "inbounds", 0) &&
        !ir_refuse_ahead(s->func, op, s->loop))
      tl_push(s->ctx->scratch, &loads, op);
  for (uint32_t i = 0; i < loads.len; i++)
    load_ahead(s, loads.data[i], drain);
}

static void make_math(split *s) {
  ir_set_str(s->func, s->role, "name", "math");
  ir_set_int(s->func, s->role, "warps", s->func->warps);
  ir_builder b = {s->func, s->dot->parent, s->dot, s->dot->loc};
  on_channel(s, &b, IR_WAIT);
  ir_replace_uses(s->func, s->dot->res[0], multiply(s, &b));
  load_scales_ahead(s, s->drain);
  ir_unlink(s->dot);
}

bool pass_specialize(ir_pass_ctx *ctx) {
  ir_func *func = ctx->func;
  const unsigned needed = FEAT_TMA | FEAT_WGMMA;
  if ((func->target->features & needed) != needed || (ctx->disabled & IR_NO_PIPELINE))
    return false;
  split s = {.ctx = ctx, .func = func, .facts = ir_facts_compute(func, ctx->scratch)};
  s.role = func->body->first;
  const char *why = find(&s);
  if (!s.dot)
    return false;
  if (!why)
    choose_depth(&s);
  if (!why && s.depth < 2)
    why = "two slots do not fit the shared memory";
  if (why) {
    tl_report(ctx->diags, s.dot->loc, DIAG_R302, why);
    return false;
  }
  func->warps = (int)ir_type(func, s.dot->res[0])->dims[0] / 16;
  func->extra_warps = FEED_WARPS;
  declare_channel(&s);
  add_descriptor(&s, &s.a);
  add_descriptor(&s, &s.b);
  ir_set_int(func, s.loop, "pipeline", 0); // done; the feeder's clone inherits it
  make_feeder(&s);
  make_math(&s);
  if (func->warps > 4) { // three warpgroups share the registers unevenly
    ir_set_int(func, s.role, "regs", MATH_REGS);
    ir_set_int(func, s.role->next, "regs", FEED_REGS);
    func->min_ctas = 1;
  }
  pass_dce(ctx); // the feeder's copies of everything else
  tl_report(ctx->diags, s.loop->loc, DIAG_R301, func->warps / 4, s.depth, (int)s.slot_bytes);
  return true;
}
