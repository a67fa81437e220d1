// Moving, copying and looking over operations.
#include "ir/ir.h"

// --- lists -------------------------------------------------------------------------------------

void ir_unlink(ir_op *op) {
  ir_region *region = op->parent;
  TL_ASSERT(region, "unlinking an operation that is in no region");
  *(op->prev ? &op->prev->next : &region->first) = op->next;
  *(op->next ? &op->next->prev : &region->last) = op->prev;
  op->prev = op->next = NULL;
  op->parent = NULL;
}

void ir_insert_before(ir_op *op, ir_op *before) {
  TL_ASSERT(!op->parent, "inserting an operation that is already somewhere");
  op->parent = before->parent;
  op->prev = before->prev;
  op->next = before;
  *(before->prev ? &before->prev->next : &before->parent->first) = op;
  before->prev = op;
}

void ir_append(ir_region *region, ir_op *op) {
  TL_ASSERT(!op->parent, "appending an operation that is already somewhere");
  op->parent = region;
  op->prev = region->last;
  op->next = NULL;
  *(region->last ? &region->last->next : &region->first) = op;
  region->last = op;
}

// --- walking -----------------------------------------------------------------------------------

void ir_walk(ir_region *region, void (*visit)(ir_op *op, void *user), void *user) {
  for (ir_op *op = region->first, *next; op; op = next) {
    next = op->next;
    visit(op, user);
    for (uint32_t i = 0; op->parent && i < op->nregions; i++)
      ir_walk(op->regions[i], visit, user);
  }
}

typedef struct replacement {
  ir_val old, fresh;
} replacement;

static void replace_in(ir_op *op, void *user) {
  const replacement *what = user;
  for (uint32_t i = 0; i < op->nargs; i++)
    if (ir_same(op->args[i], what->old))
      op->args[i] = what->fresh;
}

void ir_replace_uses(ir_func *func, ir_val old, ir_val fresh) {
  replacement what = {old, fresh};
  ir_walk(func->body, replace_in, &what);
}

static void count_in(ir_op *op, void *user) {
  uint32_t *uses = user;
  for (uint32_t i = 0; i < op->nargs; i++)
    uses[op->args[i].id]++;
}

uint32_t *ir_count_uses(ir_func *func, tl_arena *arena) {
  uint32_t *uses = TL_NEW_N(arena, uint32_t, func->vals.len);
  ir_walk(func->body, count_in, uses);
  return uses;
}

// --- copying -----------------------------------------------------------------------------------

static void map_grow(ir_func *func, ir_map *map, uint32_t len) {
  if (map->cap < len) {
    uint32_t cap = len + len / 2;
    ir_val *data = TL_NEW_N(func->module->arena, ir_val, cap);
    if (map->len)
      memcpy(data, map->data, map->len * sizeof *data);
    map->data = data;
    map->cap = cap;
  }
  map->len = len; // fresh entries are zero: the arena hands out zeroed memory
}

void ir_map_init(ir_func *func, ir_map *map) {
  *map = (ir_map){0};
  map_grow(func, map, func->vals.len);
}

void ir_map_set(ir_func *func, ir_map *map, ir_val from, ir_val to) {
  if (from.id >= map->len)
    map_grow(func, map, func->vals.len);
  map->data[from.id] = to;
}

ir_val ir_map_get(const ir_map *map, ir_val val) {
  return val.id < map->len && ir_some(map->data[val.id]) ? map->data[val.id] : val;
}

static void copy_val_info(ir_func *func, ir_val from, ir_val to) {
  func->vals.data[to.id].layout = func->vals.data[from.id].layout;
  func->vals.data[to.id].hint = func->vals.data[from.id].hint;
}

static ir_attr *copy_attrs(tl_arena *arena, const ir_attr *attrs) {
  ir_attr *first = NULL, **end = &first;
  for (const ir_attr *at = attrs; at; at = at->next) {
    *end = TL_NEW(arena, ir_attr);
    **end = *at;
    (*end)->next = NULL;
    end = &(*end)->next;
  }
  return first;
}

static void clone_region(ir_func *func, const ir_region *from, ir_region *to, ir_map *map) {
  for (uint32_t i = 0; i < from->nparams; i++) {
    ir_val param = ir_region_param(func, to, ir_type(func, from->params[i]));
    copy_val_info(func, from->params[i], param);
    ir_map_set(func, map, from->params[i], param);
  }
  ir_builder b = {.func = func, .region = to};
  for (const ir_op *op = from->first; op; op = op->next)
    ir_clone(&b, op, map);
}

ir_op *ir_clone(ir_builder *b, const ir_op *op, ir_map *map) {
  ir_func *func = b->func;
  tl_arena *arena = func->module->arena;
  const ty_type **types = TL_NEW_N(arena, const ty_type *, op->nres + 1);
  for (uint32_t i = 0; i < op->nres; i++)
    types[i] = ir_type(func, op->res[i]);
  ir_op *copy = ir_build(b, op->code, op->nargs, op->args, op->nres, types);
  copy->loc = op->loc;
  copy->attrs = copy_attrs(arena, op->attrs);
  for (uint32_t i = 0; i < op->nargs; i++)
    copy->args[i] = ir_map_get(map, op->args[i]);
  for (uint32_t i = 0; i < op->nregions; i++)
    clone_region(func, op->regions[i], copy->regions[i], map);
  for (uint32_t i = 0; i < op->nres; i++) {
    copy_val_info(func, op->res[i], copy->res[i]);
    ir_map_set(func, map, op->res[i], copy->res[i]);
  }
  return copy;
}

// --- questions ---------------------------------------------------------------------------------

static const ir_attr *const_value(const ir_func *func, ir_val val) {
  const ir_op *def = ir_def(func, val);
  if (def && def->code == IR_SPLAT)
    def = ir_def(func, def->args[0]);
  return def && def->code == IR_CONST ? ir_attr_find(def, "value") : NULL;
}

bool ir_is_const_int(const ir_func *func, ir_val val, int64_t *out_value) {
  const ir_attr *value = const_value(func, val);
  if (!value || value->kind != IR_ATTR_INT)
    return false;
  *out_value = value->i;
  return true;
}

bool ir_is_const_float(const ir_func *func, ir_val val, double *out_value) {
  const ir_attr *value = const_value(func, val);
  if (!value || value->kind != IR_ATTR_FLOAT)
    return false;
  *out_value = value->f;
  return true;
}

static ir_val arg_or_none(const ir_op *op, uint32_t index) {
  return index < op->nargs ? op->args[index] : (ir_val){0};
}

ir_access ir_access_of(const ir_func *func, const ir_op *op) {
  (void)func;
  ir_access access = {.subs = ir_str(op, "subs", "")};
  access.rank = (int)strlen(access.subs);
  uint32_t at = 1; // load: tensor, subs, [mask], [other]
  access.tensor = arg_or_none(op, op->code == IR_COPY ? 1 : 0);
  if (op->code == IR_STORE || op->code == IR_ATOMIC)
    access.value = arg_or_none(op, at++);
  if (op->code == IR_COPY) // chan, tensor, ..
    at++;
  if (op->code == IR_ATOMIC && !strcmp(ir_str(op, "kind", ""), "cas"))
    access.compare = arg_or_none(op, at++);
  access.first_sub = (int)at;
  at += (uint32_t)access.rank;
  if (ir_int(op, "mask", 0))
    access.mask = arg_or_none(op, at++);
  if (ir_int(op, "other", 0))
    access.other = arg_or_none(op, at++);
  return access;
}

// --- carried values -----------------------------------------------------------------------------

static ir_val *append(ir_func *func, const ir_val *old, uint32_t count, ir_val extra) {
  ir_val *fresh = TL_NEW_N(func->module->arena, ir_val, count + 1);
  if (count)
    memcpy(fresh, old, sizeof *fresh * count);
  fresh[count] = extra;
  return fresh;
}

ir_val ir_for_carry(ir_func *func, ir_op *loop, ir_val init, ir_val *out_result) {
  TL_ASSERT(loop->code == IR_FOR, "carried value on '%s'", ir_info(loop->code)->name);
  const ty_type *type = ir_type(func, init);
  loop->args = append(func, loop->args, loop->nargs++, init);
  ir_val result = ir_new_val(func, type);
  func->vals.data[result.id].def = loop;
  func->vals.data[result.id].index = loop->nres;
  loop->res = append(func, loop->res, loop->nres++, result);
  *out_result = result;
  return ir_region_param(func, loop->regions[0], type);
}

void ir_for_yield(ir_func *func, ir_op *loop, ir_val next) {
  ir_op *yield = loop->regions[0]->last;
  yield->args = append(func, yield->args, yield->nargs++, next);
}
