// The role that multiplies what the slots of the channel hold.
#include "ir/scratch.h"
#include "ir/specialize.h"

// Of a thread: two consumer warpgroups have 232 registers each.
enum { MAX_ACCUMULATORS = 192 };

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

static ir_val scales(split *s, ir_builder *b, const ty_type *tile) {
  return ir_binary(b, IR_MUL, spread(s, b, s->dot->args[1], 1, tile),
                   spread(s, b, s->dot->args[3], 0, tile));
}

static void release(split *s, ir_builder *b) {
  split_on_channel(b, IR_RELEASE, s->channel);
  if (ir_some(s->scales))
    split_on_channel(b, IR_RELEASE, s->scales);
}

// acc + a * b, in place.
static ir_val accumulate(split *s, ir_builder *b, ir_val acc) {
  ir_val args[2] = {s->channel, acc};
  ir_val sum = ir_build1(b, IR_WGMMA, ir_type(s->func, acc), 2, args);
  ir_set_int(s->func, ir_def(s->func, sum), "a", s->a.field);
  ir_set_int(s->func, ir_def(s->func, sum), "b", s->b.field);
  sum = ir_build1(b, IR_DRAIN, ir_type(s->func, acc), 1, &sum);
  release(s, b);
  return sum;
}

// Columns of one part, so that accumulators and part fit the registers of a thread together.
static int64_t part_columns(const split *s, const ty_type *acc) {
  int64_t rows = 16 * s->func->warps, held = acc->dims[0] / rows * acc->dims[1] / 2;
  int64_t columns = acc->dims[1];
  while (held + columns / 2 > MAX_ACCUMULATORS && columns % 16 == 0)
    columns /= 2;
  return columns;
}

static void read_scale(split *s, ir_builder *b, const operand *scale) {
  if (!scale->load)
    return;
  ir_val read = ir_build1(b, IR_READ, ir_type(s->func, scale->load->res[0]), 1, &s->scales);
  ir_set_int(s->func, ir_def(s->func, read), "field", scale->field);
  if (scale == &s->scale_b)
    ir_set_int(s->func, ir_def(s->func, read), "run", s->run);
  ir_replace_uses(s->func, scale->load->res[0], read);
}

// Starts the product of the part at {row, col}, in the registers of `lent`, if any.
static ir_val start_part(split *s, ir_builder *b, const ty_type *type, ir_val lent, int64_t row,
                         int64_t col) {
  ir_val args[2] = {s->channel, lent};
  ir_val part = ir_build1(b, IR_WGMMA, type, ir_some(lent) ? 2 : 1, args);
  ir_op *product = ir_def(s->func, part);
  ir_set_int(s->func, product, "a", s->a.field);
  ir_set_int(s->func, product, "b", s->b.field);
  ir_set_int(s->func, product, "row", row);
  ir_set_int(s->func, product, "col", col);
  ir_set_int(s->func, product, "fresh", 1);
  return part;
}

static ir_val promote(split *s, ir_builder *b, ir_val acc, ir_val part, ir_val scale, int64_t row,
                      int64_t col) {
  ir_val add[3] = {acc, part, scale};
  ir_val sum = ir_build1(b, IR_PROMOTE, ir_type(s->func, acc), ir_some(scale) ? 3 : 2, add);
  ir_set_int(s->func, ir_def(s->func, sum), "row", row);
  ir_set_int(s->func, ir_def(s->func, sum), "col", col);
  return sum;
}

// The scales of this slot, waited for while the first product runs.
static ir_val read_scales(split *s, ir_builder *b, const ty_type *tile) {
  if (ir_some(s->scales))
    split_on_channel(b, IR_WAIT, s->scales);
  read_scale(s, b, &s->scale_a);
  read_scale(s, b, &s->scale_b);
  return split_is_scaled(s) ? scales(s, b, tile) : (ir_val){0};
}

// acc + part (* scale) for one part after the other. All parts take turns in the same registers:
// each product takes over those of the part before, which is consumed by then; separate ones would
// stay alive around the loop.
static ir_val accumulate_parts(split *s, ir_builder *b, ir_val acc) {
  const ty_type *tile = ir_type(s->func, acc);
  int64_t dims[2] = {16 * s->func->warps, part_columns(s, tile)};
  const ty_type *part_type = ty_tile(&s->func->module->types, TL_F32, 2, dims);
  ir_val part = {0}, scale = {0};
  for (int64_t row = 0; row < tile->dims[0]; row += dims[0])
    for (int64_t col = 0; col < tile->dims[1]; col += dims[1]) {
      part = start_part(s, b, part_type, part, row, col);
      if (!row && !col)
        scale = read_scales(s, b, tile);
      part = ir_build1(b, IR_DRAIN, part_type, 1, &part);
      if (row + dims[0] == tile->dims[0] && col + dims[1] == tile->dims[1])
        release(s, b);
      acc = promote(s, b, acc, part, scale, row, col);
    }
  return acc;
}

// Loads one iteration ahead what the warpgroups load themselves, scales of the columns, before they
// wait for the slot. One load more than there are iterations is safe, since a subscript outside the
// tensor reads zeros without touching memory; an @inbounds load has no such check and stays where
// it is.
static void load_ahead(split *s, ir_op *load, ir_op *wait) {
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
  ir_builder early = {func, wait->parent, wait, load->loc};
  ir_map_set(func, &map, iv, ir_binary(&early, IR_ADD, iv, s->loop->args[2]));
  ir_for_yield(func, s->loop, ir_at_iteration(&early, &map, s->loop, load->res[0]));
  ir_unlink(load);
}

static void load_scales_ahead(split *s, ir_op *wait) {
  TL_VEC(ir_op *) loads = {0};
  for (ir_op *op = s->loop->regions[0]->first; op; op = op->next)
    if (op->code == IR_LOAD && op != s->a.load && op != s->b.load && op != s->scale_a.load &&
        op != s->scale_b.load && !ir_int(op, "inbounds", 0) &&
        !ir_refuse_ahead(s->func, op, s->loop))
      tl_push(s->ctx->scratch, &loads, op);
  for (uint32_t i = 0; i < loads.len; i++)
    load_ahead(s, loads.data[i], wait);
}

// What a feeder brought, in place of the load.
static void read_field(split *s, ir_builder *b, const operand *o, ir_val channel) {
  if (!o->load)
    return;
  ir_val read = ir_build1(b, IR_READ, ir_type(s->func, o->load->res[0]), 1, &channel);
  ir_set_int(s->func, ir_def(s->func, read), "field", o->field);
  ir_replace_uses(s->func, o->load->res[0], read);
}

// The dot stays: its operands and scales come out of the slots, which are free once it is through.
static void multiply_by_mma(split *s) {
  ir_builder b = {s->func, s->loop->regions[0], s->loop->regions[0]->first, s->dot->loc};
  ir_op *wait = split_on_channel(&b, IR_WAIT, s->channel);
  read_field(s, &b, &s->a, s->channel);
  read_field(s, &b, &s->b, s->channel);
  if (ir_some(s->scales))
    split_on_channel(&b, IR_WAIT, s->scales);
  read_field(s, &b, &s->scale_a, s->scales);
  read_field(s, &b, &s->scale_b, s->scales);
  ir_builder behind = {s->func, s->dot->parent, s->dot->next, s->dot->loc};
  if (ir_some(s->scales))
    split_on_channel(&behind, IR_RELEASE, s->scales);
  split_on_channel(&behind, IR_RELEASE, s->channel);
  load_scales_ahead(s, wait);
}

void split_make_math(split *s) {
  ir_set_str(s->func, s->role, "name", "math");
  ir_set_int(s->func, s->role, "warps", s->func->warps);
  if (s->by_mma) {
    multiply_by_mma(s);
    return;
  }
  ir_builder b = {s->func, s->dot->parent, s->dot, s->dot->loc};
  ir_op *wait = split_on_channel(&b, IR_WAIT, s->channel);
  ir_val acc = s->dot->args[split_is_scaled(s) ? 4 : 2];
  bool in_parts = split_is_scaled(s) || ir_int(s->dot, "promote", 0) > 0;
  ir_val sum = in_parts ? accumulate_parts(s, &b, acc) : accumulate(s, &b, acc);
  ir_replace_uses(s->func, s->dot->res[0], sum);
  load_scales_ahead(s, wait);
  ir_unlink(s->dot);
}
