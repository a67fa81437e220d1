// The channel of a split loop and the role that fills it.
//
// The feeder is a clone of the whole role from which everything but puts and what they need is
// dead. Both roles run the same loops, so their slot counters agree without ever being restarted.
#include "ir/layout.h"
#include "ir/scratch.h"
#include "ir/specialize.h"

enum { MAX_STAGES = 12, SCALE_STAGES = 8 };

// --- thinning an index tile --------------------------------------------------------------------

static bool is_pointwise(const ir_op *op) {
  return op->code >= IR_NEG && op->code <= IR_SELECT && op->code != IR_BITCAST; // ORDER ops.def
}

bool ir_can_thin(const ir_func *func, ir_val index) {
  if (!ty_is_tile(ir_type(func, index)))
    return true;
  const ir_op *def = ir_def(func, index);
  if (!def || ir_type(func, index)->rank != 1)
    return false;
  if (def->code == IR_SPLAT || def->code == IR_IOTA)
    return true;
  for (uint32_t i = 0; i < def->nargs; i++)
    if (!ir_can_thin(func, def->args[i]))
      return false;
  return is_pointwise(def);
}

ir_val ir_thin(ir_builder *b, const ir_map *map, ir_val index, int64_t step, int64_t count) {
  const ty_type *type = ir_type(b->func, index);
  if (!ty_is_tile(type))
    return ir_map_get(map, index);
  const ir_op *def = ir_def(b->func, index);
  const ty_type *thin = ty_tile(&b->func->module->types, type->dtype, 1, &count);
  if (def->code == IR_SPLAT)
    return ir_splat(b, ir_map_get(map, def->args[0]), thin);
  if (def->code == IR_IOTA) {
    ir_val every = ir_splat(b, ir_const_int(b, type->dtype, step), thin);
    return ir_binary(b, IR_MUL, ir_build1(b, IR_IOTA, thin, 0, NULL), every);
  }
  ir_val args[3];
  for (uint32_t i = 0; i < def->nargs; i++)
    args[i] = ir_thin(b, map, def->args[i], step, count);
  ir_val made = ir_build1(b, def->code, thin, def->nargs, args);
  ir_def(b->func, made)->attrs = def->attrs;
  return made;
}

// --- buffers, channel, descriptors -------------------------------------------------------------

// Elements of the field that holds one scale for each run of columns. A power of two, since lanes
// share them: what is too many reads zeros or the next scales.
static int64_t thin_count(const split *s) {
  int64_t columns = ir_type(s->func, s->scale_b.load->res[0])->dims[0], count = 2;
  while (count < columns / s->run)
    count *= 2;
  return count;
}

// The tile that one slot holds of an operand.
static const ty_type *slot_tile(const split *s, const operand *o) {
  int64_t count = o == &s->scale_b && s->run ? thin_count(s) : 0;
  return count ? ty_tile(&s->func->module->types, TL_F32, 1, &count)
               : ir_type(s->func, o->load->res[0]);
}

// wgmma reads rows of 128 bytes; packed 4-bit operands may have 64.
static int swizzle_of(const ty_type *tile) { return ty_row_bytes(tile) % 128 ? 64 : 128; }

// Operands are swizzled as wgmma reads them, scales lie in a row.
static ir_val declare_buffer(split *s, ir_builder *b, const operand *o, int depth) {
  const ty_type *tile = slot_tile(s, o);
  int64_t dims[TY_MAX_RANK] = {depth, tile->dims[0], tile->rank > 1 ? tile->dims[1] : 0};
  const ty_type *type = ty_buf(&s->func->module->types, tile->dtype, tile->rank + 1, dims);
  ir_val buffer = ir_build1(b, IR_BUFFER, type, 0, NULL);
  ir_layout layout = ir_layout_shared(tile, tile->rank > 1 ? swizzle_of(tile) : 0, 0);
  s->func->vals.data[buffer.id].layout = ir_layout_intern(s->func, &layout);
  return buffer;
}

static int64_t tile_bytes(const split *s, const operand *o) {
  if (!o->load)
    return 0;
  const ty_type *tile = slot_tile(s, o);
  return ty_elems(tile) * tl_dtype_bits(tile->dtype) / 8;
}

// One slot of a field without swizzle (ir_stage_bytes).
static int64_t plain_stage(int64_t bytes) { return (bytes + 127) / 128 * 128; }

// What one CTA may have, after the 1024 bytes that the driver takes for each.
static int64_t slot_budget(const ir_func *func) {
  int64_t share = func->target->smem_sm_bytes / (func->min_ctas > 1 ? func->min_ctas : 1) - 1024;
  return share < func->target->smem_cta_bytes ? share : func->target->smem_cta_bytes;
}

static int64_t aligned(int64_t bytes) { return (bytes + 1023) / 1024 * 1024; }

// Of the scales. mma.sync takes them with the operands: at one depth both need one slot number.
static int scale_stages(const split *s, int depth) { return s->by_mma ? depth : SCALE_STAGES; }

// As smem_alloc lays them out: every buffer and the barriers start at multiples of 1024 bytes.
static int64_t bytes_at(const split *s, int depth) {
  int stages = scale_stages(s, depth);
  int64_t scales = aligned(stages * plain_stage(tile_bytes(s, &s->scale_a))) +
                   aligned(stages * plain_stage(tile_bytes(s, &s->scale_b)));
  return aligned(depth * tile_bytes(s, &s->a)) + aligned(depth * tile_bytes(s, &s->b)) +
         aligned(depth * 16) + scales + (scales ? aligned(stages * 16) : 0) +
         aligned(s->image_bytes) + aligned(s->inbox_bytes);
}

static void add_inbox(ir_op *op, void *user) {
  split *s = user;
  s->inbox_bytes += ir_inbox_bytes(s->func, op);
}

static void choose_depth(split *s) {
  ir_walk(s->role->regions[0], add_inbox, s);
  s->slot_bytes = tile_bytes(s, &s->a) + tile_bytes(s, &s->b);
  s->depth = MAX_STAGES;
  while (s->depth > 1 && bytes_at(s, s->depth) > slot_budget(s->func))
    s->depth--;
}

int split_add_descriptor(split *s, const ir_access *access, tl_dtype dtype, const int64_t *box,
                         int swizzle) {
  const ir_op *tensor = ir_def(s->func, access->tensor);
  const char *name = ir_str(tensor, "name", "");
  ir_add_param(s->func, IR_PARAM_TMAP, name, ty_ptr(&s->func->module->types, dtype));
  int position = (int)s->func->params.len - 1;
  ir_param *param = &s->func->params.data[position];
  param->nbox = access->rank;
  param->swizzle = swizzle;
  for (int d = 0, dim = 0; d < access->rank; d++)
    param->box[d] = access->subs[d] == 'r' ? box[dim++] : 1;
  return position;
}

// One copy moves rows of 128 bytes, the span of the swizzle; wider tiles take several.
static void add_descriptor(split *s, operand *o) {
  ir_access access = ir_access_of(s->func, o->load);
  const ty_type *tile = ir_type(s->func, o->load->res[0]);
  int64_t box[2] = {tile->dims[0], swizzle_of(tile) * 8 / tl_dtype_bits(tile->dtype)};
  o->param = split_add_descriptor(s, &access, tile->dtype, box, swizzle_of(tile));
}

// Slots for those of the operands that are there.
static ir_val declare_channel(split *s, operand **fields, int nfields, int depth, int feeders) {
  ir_builder b = {s->func, s->func->body, s->role, s->loop->loc};
  ir_val buffers[2];
  uint32_t count = 0;
  for (int i = 0; i < nfields; i++)
    if (fields[i]->load) {
      fields[i]->field = (int)count;
      buffers[count++] = declare_buffer(s, &b, fields[i], depth);
    }
  if (!count)
    return (ir_val){0};
  ir_val channel = ir_build1(&b, IR_CHANNEL, ty_chan(&s->func->module->types), count, buffers);
  ir_op *op = ir_def(s->func, channel);
  ir_set_int(s->func, op, "depth", depth);
  ir_set_str(s->func, op, "engine", "tma");
  ir_set_int(s->func, op, "feeders", feeders);
  if (s->by_mma)
    ir_set_int(s->func, op, "reads", 1);
  return channel;
}

bool split_declare_channel(split *s) {
  choose_depth(s);
  if (s->depth < 2)
    return false;
  operand *operands[] = {&s->a, &s->b}, *scales[] = {&s->scale_a, &s->scale_b};
  s->channel = declare_channel(s, operands, 2, s->depth, 1);
  s->scales = declare_channel(s, scales, 2, scale_stages(s, s->depth), 32);
  if (s->by_mma && ir_some(s->scales))
    ir_set_int(s->func, ir_def(s->func, s->scales), "twin", 1);
  add_descriptor(s, &s->a);
  add_descriptor(s, &s->b);
  return true;
}

// --- the feeder --------------------------------------------------------------------------------

ir_op *split_on_channel(ir_builder *b, ir_code code, ir_val channel) {
  return ir_build(b, code, 1, &channel, 0, NULL);
}

static void put(split *s, ir_builder *b, const operand *o, const ir_map *map) {
  if (!o->load)
    return;
  ir_access access = ir_access_of(s->func, o->load);
  bool by_warp = o == &s->scale_a || o == &s->scale_b;
  ir_val args[2 + TY_MAX_RANK] = {by_warp ? s->scales : s->channel, ir_map_get(map, access.tensor)};
  for (int d = 0; d < access.rank; d++)
    args[2 + d] = access.subs[d] == 'g'
                      ? ir_thin(b, map, o->load->args[access.first_sub + d], s->run, thin_count(s))
                      : ir_map_get(map, o->load->args[access.first_sub + d]);
  b->loc = o->load->loc;
  ir_op *copy = ir_build(b, IR_COPY, 2 + (uint32_t)access.rank, args, 0, NULL);
  ir_set_int(s->func, copy, "field", o->field);
  ir_set_str(s->func, copy, "subs", access.subs);
  ir_set_str(s->func, copy, "engine", by_warp ? "cp.async" : "tma");
  ir_set_int(s->func, copy, by_warp ? "bytes" : "map", by_warp ? 4 : o->param);
  // Where the operands changed places the tile is short along M: the rows, weights as a rule, pass by
  // once, and every CTA reads the columns.
  if (!by_warp && ir_int(s->dot, "swapped", 0) && !(s->ctx->disabled & IR_NO_EVICT))
    ir_set_str(s->func, copy, "evict", o == &s->a ? "first" : "last");
}

// Effects belong to the math role; what only they needed dies in the cleanup.
static void strip_effects(ir_op *op, void *user) {
  (void)user;
  if (op->code == IR_STORE || op->code == IR_CLUSTER_SUM || op->code == IR_PRINT ||
      op->code == IR_ASSERT || (op->code == IR_ATOMIC && !op->nres))
    ir_unlink(op);
}

typedef struct feeder {
  ir_op *role;
  ir_map map;     // from the values of the math role
  ir_builder end; // of its loop: puts stand behind whatever computes their subscripts
} feeder;

static feeder clone_role(split *s, const char *name, int warps, int threads) {
  feeder f = {0};
  ir_map_init(s->func, &f.map);
  ir_builder b = {s->func, s->func->body, s->role->next, s->loop->loc};
  f.role = ir_clone(&b, s->role, &f.map);
  ir_set_str(s->func, f.role, "name", name);
  ir_set_int(s->func, f.role, "warps", warps);
  ir_set_int(s->func, f.role, "threads", threads);
  ir_walk(f.role->regions[0], strip_effects, NULL);
  // The loop's clone is found through its induction variable.
  ir_val iv = ir_map_get(&f.map, s->loop->regions[0]->params[0]);
  ir_region *body = ir_info_of(s->func, iv)->region;
  f.end = (ir_builder){s->func, body, body->last, s->loop->loc};
  return f;
}

// One thread issues TMA and never waits for anything else; scales come by cp.async from a warp of
// their own, through slots of their own, since such a warp is too slow to stand between two tiles.
void split_make_feeder(split *s) {
  feeder scales = {0};
  if (ir_some(s->scales))
    scales = clone_role(s, "scales", s->func->extra_warps - 1, 32);
  feeder feed = clone_role(s, "feed", scales.role ? 1 : s->func->extra_warps, 1);
  ir_set_int(s->func, split_on_channel(&feed.end, IR_ACQUIRE, s->channel), "tx", s->slot_bytes);
  put(s, &feed.end, &s->a, &feed.map);
  put(s, &feed.end, &s->b, &feed.map);
  split_on_channel(&feed.end, IR_COMMIT, s->channel);
  if (!scales.role)
    return;
  split_on_channel(&scales.end, IR_ACQUIRE, s->scales);
  put(s, &scales.end, &s->scale_a, &scales.map);
  put(s, &scales.end, &s->scale_b, &scales.map);
  ir_set_str(s->func, split_on_channel(&scales.end, IR_COMMIT, s->scales), "engine", "cp.async");
}
