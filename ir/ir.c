// Modules, functions, attributes and the builder.
#include "ir/ir.h"
#include "ir/fold.h"
#include "lang/base/fp.h"

static const ir_code_info infos[] = {
#define OP(id, name, min, max, results, regions, effects, doc)                                     \
  {name, min, max, results, regions, IR_##effects, doc},
#include "lang/ops.def"
#undef OP
};

const ir_code_info *ir_info(ir_code code) {
  TL_ASSERT((unsigned)code < IR_CODE_COUNT, "operation code %d", (int)code);
  return &infos[code];
}

// --- modules and functions ---------------------------------------------------------------------

ir_module *ir_module_new(tl_arena *arena, tl_sources *sources) {
  ir_module *module = TL_NEW(arena, ir_module);
  module->arena = arena;
  module->sources = sources;
  ty_init(&module->types, arena);
  return module;
}

ir_func *ir_func_new(ir_module *module, const char *name, const tl_target *target) {
  ir_func *func = TL_NEW(module->arena, ir_func);
  func->module = module;
  func->name = func->kernel = tl_strdup(module->arena, name);
  func->target = target;
  tl_push(module->arena, &func->vals, (ir_val_info){0}); // value 0 is "none"
  func->body = ir_region_new(func, NULL);
  tl_push(module->arena, &module->funcs, func);
  return func;
}

ir_val ir_new_val(ir_func *func, const ty_type *type) {
  ir_val val = {func->vals.len};
  tl_push(func->module->arena, &func->vals, (ir_val_info){.type = type});
  return val;
}

ir_val ir_add_param(ir_func *func, ir_param_kind kind, const char *name, const ty_type *type) {
  ir_val val = ir_new_val(func, type);
  func->vals.data[val.id].index = func->params.len;
  func->vals.data[val.id].hint = name;
  ir_param param = {.val = val, .kind = kind, .name = name, .div = 1};
  tl_push(func->module->arena, &func->params, param);
  return val;
}

ir_region *ir_region_new(ir_func *func, ir_op *parent) {
  ir_region *region = TL_NEW(func->module->arena, ir_region);
  region->parent = parent;
  return region;
}

// Regions have a handful of parameters: the array is grown by copying.
ir_val ir_region_param(ir_func *func, ir_region *region, const ty_type *type) {
  ir_val val = ir_new_val(func, type);
  func->vals.data[val.id].region = region;
  func->vals.data[val.id].index = region->nparams;
  ir_val *grown = TL_NEW_N(func->module->arena, ir_val, region->nparams + 1);
  if (region->nparams)
    memcpy(grown, region->params, region->nparams * sizeof *grown);
  grown[region->nparams++] = val;
  region->params = grown;
  return val;
}

// --- attributes --------------------------------------------------------------------------------

const ir_attr *ir_attr_find(const ir_op *op, const char *name) {
  for (const ir_attr *at = op->attrs; at; at = at->next)
    if (!strcmp(at->name, name))
      return at;
  return NULL;
}

// The slot for `name`, in sorted place; an existing one is emptied.
static ir_attr *attr_slot(ir_func *func, ir_op *op, const char *name, ir_attr_kind kind) {
  ir_attr **at = &op->attrs;
  while (*at && strcmp((*at)->name, name) < 0)
    at = &(*at)->next;
  if (!*at || strcmp((*at)->name, name)) {
    ir_attr *fresh = TL_NEW(func->module->arena, ir_attr);
    fresh->name = name;
    fresh->next = *at;
    *at = fresh;
  }
  ir_attr *slot = *at;
  *slot = (ir_attr){.name = slot->name, .kind = kind, .next = slot->next};
  return slot;
}

void ir_set_int(ir_func *func, ir_op *op, const char *name, int64_t value) {
  attr_slot(func, op, name, IR_ATTR_INT)->i = value;
}

void ir_set_float(ir_func *func, ir_op *op, const char *name, double value) {
  attr_slot(func, op, name, IR_ATTR_FLOAT)->f = value;
}

void ir_set_str(ir_func *func, ir_op *op, const char *name, const char *value) {
  attr_slot(func, op, name, IR_ATTR_STR)->s = tl_strdup(func->module->arena, value);
}

void ir_set_ints(ir_func *func, ir_op *op, const char *name, int count, const int64_t *values) {
  ir_attr *slot = attr_slot(func, op, name, IR_ATTR_INTS);
  int64_t *copy = TL_NEW_N(func->module->arena, int64_t, count ? count : 1);
  if (count)
    memcpy(copy, values, (size_t)count * sizeof *copy);
  slot->ints = copy;
  slot->nints = count;
}

int64_t ir_int(const ir_op *op, const char *name, int64_t absent) {
  const ir_attr *attr = ir_attr_find(op, name);
  return attr && attr->kind == IR_ATTR_INT ? attr->i : absent;
}

const char *ir_str(const ir_op *op, const char *name, const char *absent) {
  const ir_attr *attr = ir_attr_find(op, name);
  return attr && attr->kind == IR_ATTR_STR ? attr->s : absent;
}

// --- building ----------------------------------------------------------------------------------

ir_op *ir_build(ir_builder *b, ir_code code, uint32_t nargs, const ir_val *args, uint32_t nres,
                const ty_type *const *types) {
  ir_func *func = b->func;
  tl_arena *arena = func->module->arena;
  ir_op *op = TL_NEW(arena, ir_op);
  op->code = code;
  op->loc = b->loc;
  op->nargs = nargs;
  op->nres = nres;
  op->nregions = (uint32_t)ir_info(code)->regions;
  if (nargs) {
    op->args = TL_NEW_N(arena, ir_val, nargs);
    memcpy(op->args, args, nargs * sizeof *args);
  }
  if (nres)
    op->res = TL_NEW_N(arena, ir_val, nres);
  for (uint32_t i = 0; i < nres; i++) {
    op->res[i] = ir_new_val(func, types[i]);
    func->vals.data[op->res[i].id].def = op;
    func->vals.data[op->res[i].id].index = i;
  }
  if (op->nregions)
    op->regions = TL_NEW_N(arena, ir_region *, op->nregions);
  for (uint32_t i = 0; i < op->nregions; i++)
    op->regions[i] = ir_region_new(func, op);
  if (b->before)
    ir_insert_before(op, b->before);
  else
    ir_append(b->region, op);
  return op;
}

ir_val ir_build1(ir_builder *b, ir_code code, const ty_type *type, uint32_t nargs,
                 const ir_val *args) {
  return ir_build(b, code, nargs, args, 1, &type)->res[0];
}

ir_val ir_const_int(ir_builder *b, tl_dtype dtype, int64_t value) {
  if (tl_is_float(dtype))
    return ir_const_float(b, dtype, (double)value);
  ir_val val = ir_build1(b, IR_CONST, ty_scalar(&b->func->module->types, dtype), 0, NULL);
  ir_set_int(b->func, ir_def(b->func, val), "value", ir_wrap_int(dtype, value));
  return val;
}

ir_val ir_const_float(ir_builder *b, tl_dtype dtype, double value) {
  TL_ASSERT(tl_is_float(dtype), "float constant of type %s", tl_dtype_name(dtype));
  ir_val val = ir_build1(b, IR_CONST, ty_scalar(&b->func->module->types, dtype), 0, NULL);
  double rounded = tl_fp_decode(dtype, tl_fp_encode(dtype, value, TL_RN, false));
  ir_set_float(b->func, ir_def(b->func, val), "value", rounded);
  return val;
}

ir_val ir_unary(ir_builder *b, ir_code code, ir_val x) {
  return ir_build1(b, code, ir_type(b->func, x), 1, &x);
}

ir_val ir_binary(ir_builder *b, ir_code code, ir_val x, ir_val y) {
  return ir_build1(b, code, ir_type(b->func, x), 2, (ir_val[]){x, y});
}

ir_val ir_cmp(ir_builder *b, const char *pred, ir_val x, ir_val y) {
  const ty_type *type = ty_with_dtype(&b->func->module->types, ir_type(b->func, x), TL_I1);
  ir_val val = ir_build1(b, IR_CMP, type, 2, (ir_val[]){x, y});
  ir_set_str(b->func, ir_def(b->func, val), "pred", pred);
  return val;
}

ir_val ir_select(ir_builder *b, ir_val cond, ir_val x, ir_val y) {
  return ir_build1(b, IR_SELECT, ir_type(b->func, x), 3, (ir_val[]){cond, x, y});
}

ir_val ir_cast(ir_builder *b, ir_val x, tl_dtype dtype, const char *round_or_null, bool sat) {
  const ty_type *type = ty_with_dtype(&b->func->module->types, ir_type(b->func, x), dtype);
  ir_val val = ir_build1(b, IR_CAST, type, 1, &x);
  ir_op *op = ir_def(b->func, val);
  if (round_or_null)
    ir_set_str(b->func, op, "round", round_or_null);
  if (sat)
    ir_set_int(b->func, op, "sat", 1);
  return val;
}

ir_val ir_splat(ir_builder *b, ir_val scalar, const ty_type *tile) {
  return ir_build1(b, IR_SPLAT, tile, 1, &scalar);
}

// Missing dims are added in front, as 1, then repeated.
ir_val ir_broadcast(ir_builder *b, ir_val x, const ty_type *tile) {
  const ty_type *type = ir_type(b->func, x);
  if (ty_same_shape(type, tile))
    return x;
  ty_ctx *types = &b->func->module->types;
  tile = ty_with_dtype(types, tile, type->dtype);
  if (type->rank == 0)
    return ir_splat(b, x, tile);
  while (type->rank < tile->rank) {
    int64_t dims[TY_MAX_RANK] = {1};
    memcpy(dims + 1, type->dims, (size_t)type->rank * sizeof *dims);
    type = ty_tile(types, type->dtype, type->rank + 1, dims);
    x = ir_build1(b, IR_EXPAND, type, 1, &x);
    ir_set_int(b->func, ir_def(b->func, x), "axis", 0);
  }
  return type == tile ? x : ir_build1(b, IR_BROADCAST, tile, 1, &x);
}

const ir_param *ir_tensor_param(const ir_func *func, ir_val tensor) {
  const ir_op *def = ir_def(func, tensor);
  if (!def || def->code != IR_TENSOR)
    return NULL;
  ir_val base = def->args[0];
  for (def = ir_def(func, base); def && def->code == IR_ADVANCE; def = ir_def(func, base))
    base = def->args[0];
  for (uint32_t i = 0; i < func->params.len; i++)
    if (ir_same(func->params.data[i].val, base))
      return &func->params.data[i];
  return NULL;
}

ir_op *ir_role_around(const ir_op *op) {
  while (op && op->code != IR_ROLE)
    op = op->parent ? op->parent->parent : NULL;
  return (ir_op *)op;
}

bool ir_has_own_roles(const ir_func *func) {
  for (const ir_op *op = func->body->first; op; op = op->next)
    if (op->code == IR_ROLE && ir_attr_find(op, "padded"))
      return true;
  return false;
}

int ir_warps_at(const ir_func *func, const ir_op *op) {
  const ir_op *role = ir_has_own_roles(func) ? ir_role_around(op) : NULL;
  return role ? (int)ir_int(role, "warps", func->warps) : func->warps;
}

static const ty_type *field_type(const ir_func *func, ir_val channel, int64_t field) {
  const ir_op *def = ir_some(channel) ? ir_def(func, channel) : NULL;
  if (!def || def->code != IR_CHANNEL || field < 0 || field >= def->nargs)
    return NULL;
  const ty_type *buf = ir_type(func, def->args[field]);
  if (buf->kind != TY_BUF || buf->rank != 3)
    return NULL;
  return ty_tile(&func->module->types, buf->dtype, 2, buf->dims + 1);
}

ir_wgmma ir_wgmma_of(const ir_func *func, const ir_op *op) {
  ir_wgmma w = {.chan_b = op->args[0], .field_b = ir_int(op, "b", 1)};
  uint32_t next = 1;
  bool in_slot = ir_attr_find(op, "a") != NULL;
  w.field_a = ir_int(op, "a", -1);
  w.b_by_k = ir_int(op, "b_by_k", 0) != 0;
  if (in_slot && next < op->nargs && ir_type(func, op->args[next])->kind == TY_CHAN)
    w.chan_a = op->args[next++];
  else if (in_slot)
    w.chan_a = w.chan_b;
  else if (next < op->nargs)
    w.a = op->args[next++];
  if (next < op->nargs)
    w.acc = op->args[next];
  w.type_a = in_slot           ? field_type(func, w.chan_a, w.field_a)
             : ir_some(w.a)    ? ir_type(func, w.a)
                               : NULL;
  w.type_b = field_type(func, w.chan_b, w.field_b);
  return w;
}

ir_val ir_spread(ir_builder *b, ir_val scale, int axis, const ty_type *tile) {
  const ty_type *type = ir_type(b->func, scale);
  if (type->rank == 0)
    return ir_splat(b, scale, tile);
  if (type->rank == 1) {
    int64_t dims[2] = {axis == 1 ? type->dims[0] : 1, axis == 1 ? 1 : type->dims[0]};
    const ty_type *wide = ty_tile(&b->func->module->types, type->dtype, 2, dims);
    scale = ir_build1(b, IR_EXPAND, wide, 1, &scale);
    ir_set_int(b->func, ir_def(b->func, scale), "axis", axis);
  }
  return ir_build1(b, IR_BROADCAST, tile, 1, &scale);
}
