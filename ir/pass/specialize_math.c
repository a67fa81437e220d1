// The role that multiplies what the slots of the channel hold.
#include "ir/scratch.h"
#include "ir/specialize.h"

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
  bool fresh = split_is_scaled(s) || promote > 0;
  ir_val args[2] = {s->channel, s->dot->args[split_is_scaled(s) ? 4 : 2]};
  ir_val part = ir_build1(b, IR_WGMMA, tile, fresh ? 1 : 2, args);
  ir_set_int(s->func, ir_def(s->func, part), "a", 0);
  ir_set_int(s->func, ir_def(s->func, part), "b", 1);
  part = ir_build1(b, IR_DRAIN, tile, 1, &part);
  s->drain = ir_def(s->func, part);
  split_on_channel(s, b, IR_RELEASE);
  if (!fresh)
    return part;
  if (!split_is_scaled(s))
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

void split_make_math(split *s) {
  ir_set_str(s->func, s->role, "name", "math");
  ir_set_int(s->func, s->role, "warps", s->func->warps);
  ir_builder b = {s->func, s->dot->parent, s->dot, s->dot->loc};
  split_on_channel(s, &b, IR_WAIT);
  ir_replace_uses(s->func, s->dot->res[0], multiply(s, &b));
  load_scales_ahead(s, s->drain);
  ir_unlink(s->dot);
}
