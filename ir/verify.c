// Everything that must hold between passes, checked; a failure is our own mistake, or a mistake in
// IR written by hand. All failures are listed, each with the operation it concerns.
//
// What is checked: operand, result and region counts; each value defined once and visible at its
// uses (a region sees what precedes its operation, its parameters, and its own earlier results);
// terminators and carried types; types, shapes and attributes of every operation (verify_op.c); in
// sir the layouts.
#include "ir/verify.h"
#include "ir/layout.h"

enum { MAX_PRINTED = 50, MAX_SEEN = 64, MAX_STRIDE = 1 << 20, MAX_REGS = 1 << 14 };

typedef struct layout_of_type {
  const ir_layout *layout;
  const ty_type *type;
} layout_of_type;

typedef struct checker {
  ir_verifier base;
  uint8_t *visible; // by value id
  uint8_t *defined;
  bool laid_out;                 // some tile has a layout: then all must
  layout_of_type seen[MAX_SEEN]; // coverage is checked once per pair
  int nseen;
  int warps; // over which tiles are spread here
} checker;

bool ir_verify_fail(ir_verifier *v, const ir_op *op, const char *fmt, ...) {
  if (v->failures++ >= MAX_PRINTED)
    return false;
  va_list args;
  va_start(args, fmt);
  tl_buf_vprintf(v->out, fmt, args);
  va_end(args);
  if (op) {
    tl_buf_puts(v->out, ": ");
    ir_print_op(v->func, op, v->out);
  }
  tl_buf_putc(v->out, '\n');
  return false;
}

// --- layouts -----------------------------------------------------------------------------------

static bool already_seen(checker *c, const ir_layout *layout, const ty_type *type) {
  for (int i = 0; i < c->nseen; i++)
    if (c->seen[i].layout == layout && c->seen[i].type == type)
      return true;
  if (c->nseen < MAX_SEEN)
    c->seen[c->nseen++] = (layout_of_type){layout, type};
  return false;
}

// One contribution to a coordinate: `count` steps of `stride`.
typedef struct steps {
  int64_t count, stride;
} steps;

enum { MAX_STEPS = IR_MAX_REG_BITS + IR_LANE_BITS + IR_MAX_WARP_BITS + IR_MAX_REPS };

// Adds the steps of basis vectors to the lists by dim; false when one goes along two dims.
static bool add_steps(const int32_t (*vectors)[TY_MAX_RANK], int count, int rank,
                      steps (*list)[MAX_STEPS], int *len) {
  for (int i = 0; i < count; i++) {
    int used = 0;
    for (int d = 0; d < rank; d++)
      if (vectors[i][d]) {
        list[d][len[d]++] = (steps){2, vectors[i][d]};
        used++;
      }
    if (used > 1)
      return false;
  }
  return true;
}

// Can sums of the steps give every number below `size`, and none beyond?
static bool counts_to(steps *list, int len, int64_t size) {
  int64_t reach = 0;
  for (int i = 0; i < len; i++) {
    int least = i;
    for (int j = i + 1; j < len; j++)
      if (list[j].stride < list[least].stride)
        least = j;
    steps next = list[least];
    list[least] = list[i];
    if (next.stride > reach + 1)
      return false;
    reach += (next.count - 1) * next.stride;
  }
  return reach == size - 1;
}

// A proof dim by dim for the layouts we make; the others are enumerated.
static bool evidently_covers(const ir_layout *layout, const ty_type *tile, int warps) {
  steps list[TY_MAX_RANK][MAX_STEPS];
  int len[TY_MAX_RANK] = {0}, rank = layout->rank;
  if (1 << layout->nwarp_bits != warps ||
      !add_steps(layout->reg, layout->nreg_bits, rank, list, len) ||
      !add_steps(layout->lane, IR_LANE_BITS, rank, list, len) ||
      !add_steps(layout->warp, layout->nwarp_bits, rank, list, len))
    return false;
  for (int i = 0; i < layout->nreps; i++) {
    int dim = layout->rep[i].dim;
    list[dim][len[dim]++] = (steps){layout->rep[i].count, layout->rep[i].stride};
  }
  for (int d = 0; d < rank; d++)
    if (!counts_to(list[d], len[d], tile->dims[d]))
      return false;
  return true;
}

static bool small_vectors(const int32_t (*vectors)[TY_MAX_RANK], int count, int rank) {
  for (int i = 0; i < count; i++)
    for (int d = 0; d < rank; d++)
      if (vectors[i][d] < 0 || vectors[i][d] > MAX_STRIDE)
        return false;
  return true;
}

// Numbers that text may hold but no layout has: counting with them would never end, or leave
// arrays.
static bool is_sane(const ir_layout *layout, const ty_type *tile, int warps) {
  int64_t regs = (int64_t)1 << layout->nreg_bits;
  for (int i = 0; i < layout->nreps; i++) {
    const ir_rep *rep = &layout->rep[i];
    if (rep->dim < 0 || rep->dim >= layout->rank || rep->count < 1 || rep->count > MAX_STRIDE ||
        rep->stride < 0 || rep->stride > MAX_STRIDE || regs * rep->count > MAX_REGS)
      return false;
    regs *= rep->count;
  }
  return small_vectors(layout->reg, layout->nreg_bits, layout->rank) &&
         small_vectors(layout->lane, IR_LANE_BITS, layout->rank) &&
         small_vectors(layout->warp, layout->nwarp_bits, layout->rank) &&
         regs * 32 * warps >= ty_elems(tile);
}

static void check_dist(checker *c, const ir_op *op, const ir_layout *layout, const ty_type *type) {
  ir_verifier *v = &c->base;
  if (layout->kind != IR_LAYOUT_DIST)
    ir_verify_fail(v, op, "a tile in a shared-memory layout");
  else if (layout->rank != type->rank)
    ir_verify_fail(v, op, "layout L%d of rank %d on a tile of rank %d", layout->number,
                   layout->rank, type->rank);
  else if (!already_seen(c, layout, ty_with_dtype(&v->func->module->types, type, TL_I1)) &&
           (!is_sane(layout, type, c->warps) || (!evidently_covers(layout, type, c->warps) &&
                                                 !ir_layout_covers(layout, type, c->warps))))
    ir_verify_fail(v, op, "layout L%d does not cover the tile", layout->number);
}

static void check_layout(checker *c, const ir_op *op, ir_val val) {
  ir_verifier *v = &c->base;
  const ir_val_info *info = ir_info_of(v->func, val);
  const ir_layout *layout = info->layout;
  if (ty_is_tile(info->type)) {
    if (layout)
      check_dist(c, op, layout, info->type);
    else if (c->laid_out)
      ir_verify_fail(v, op, "a tile without a layout");
  } else if (info->type->kind == TY_BUF) {
    if (c->laid_out && (!layout || layout->kind != IR_LAYOUT_SHARED))
      ir_verify_fail(v, op, "a buffer without a shared-memory layout");
    else if (layout && layout->swizzle_bytes && layout->swizzle_bytes != 32 &&
             layout->swizzle_bytes != 64 && layout->swizzle_bytes != 128)
      ir_verify_fail(v, op, "no swizzle of %d bytes", layout->swizzle_bytes);
  } else if (layout) {
    ir_verify_fail(v, op, "a layout on something that is no tile");
  }
}

// --- values and regions ------------------------------------------------------------------------

static void define(checker *c, const ir_op *op, ir_val val) {
  ir_verifier *v = &c->base;
  if (!val.id || val.id >= v->func->vals.len) {
    ir_verify_fail(v, op, "value id %u out of range", val.id);
    return;
  }
  if (c->defined[val.id])
    ir_verify_fail(v, op, "value defined twice");
  c->defined[val.id] = c->visible[val.id] = 1;
  check_layout(c, op, val);
}

static void hide(checker *c, ir_val val) {
  if (val.id < c->base.func->vals.len)
    c->visible[val.id] = 0;
}

static bool check_args(checker *c, const ir_op *op) {
  bool ok = true;
  for (uint32_t i = 0; i < op->nargs; i++)
    if (op->args[i].id >= c->base.func->vals.len || !c->visible[op->args[i].id])
      ok = ir_verify_fail(&c->base, op, "operand %u is not defined before its use", i);
  return ok;
}

static bool check_counts(checker *c, const ir_op *op) {
  const ir_code_info *info = ir_info(op->code);
  int nargs = (int)op->nargs, nres = (int)op->nres;
  if (nargs < info->min_args || (info->max_args >= 0 && nargs > info->max_args))
    return ir_verify_fail(&c->base, op, "%d operands", nargs);
  if (info->results >= 0 && nres != info->results)
    return ir_verify_fail(&c->base, op, "%d results", nres);
  if ((int)op->nregions != info->regions)
    return ir_verify_fail(&c->base, op, "%u regions", op->nregions);
  return true;
}

static bool is_terminator(ir_code code) {
  return code == IR_YIELD || code == IR_CONDITION || code == IR_RETURN;
}

static ir_code wanted_terminator(const ir_op *parent, uint32_t index) {
  if (!parent)
    return IR_RETURN;
  return parent->code == IR_WHILE && index == 0 ? IR_CONDITION : IR_YIELD;
}

static void check_region(checker *c, const ir_region *region, const ir_op *parent, uint32_t index);

static void check_op(checker *c, const ir_op *op) {
  ir_verifier *v = &c->base;
  bool ok = check_counts(c, op);
  ok = check_args(c, op) && ok;
  int around = c->warps;
  if (op->code == IR_ROLE)
    c->warps = ir_warps_at(v->func, op), c->nseen = 0;
  for (uint32_t i = 0; i < op->nregions; i++)
    check_region(c, op->regions[i], op, i);
  c->warps = around;
  for (uint32_t i = 0; i < op->nres; i++) {
    define(c, op, op->res[i]);
    if (op->res[i].id < v->func->vals.len && ir_def(v->func, op->res[i]) != op)
      ir_verify_fail(v, op, "result %u names another definition", i);
  }
  int before = v->failures;
  if (ok)
    ir_verify_op(v, op);
  if (ok && v->failures == before && v->func->sir)
    ir_verify_layouts(v, op);
}

static void check_region(checker *c, const ir_region *region, const ir_op *parent, uint32_t index) {
  ir_verifier *v = &c->base;
  if (region->parent != parent)
    ir_verify_fail(v, parent, "region %u belongs to another operation", index);
  for (uint32_t i = 0; i < region->nparams; i++)
    define(c, parent, region->params[i]);
  for (const ir_op *op = region->first; op; op = op->next) {
    if (op->parent != region)
      ir_verify_fail(v, op, "operation linked into a region it does not know");
    check_op(c, op);
    if (is_terminator(op->code) && op->next)
      ir_verify_fail(v, op, "terminator before the end of its region");
  }
  ir_code wanted = wanted_terminator(parent, index);
  if (!region->last || region->last->code != wanted)
    ir_verify_fail(v, parent, "region %u must end in %s", index, ir_info(wanted)->name);
  for (const ir_op *op = region->first; op; op = op->next)
    for (uint32_t i = 0; i < op->nres; i++)
      hide(c, op->res[i]);
  for (uint32_t i = 0; i < region->nparams; i++)
    hide(c, region->params[i]);
}

// --- functions ---------------------------------------------------------------------------------

static void check_param(checker *c, const ir_param *param) {
  ir_verifier *v = &c->base;
  define(c, NULL, param->val);
  const ty_type *type = ir_type(v->func, param->val);
  bool address = param->kind == IR_PARAM_PTR || param->kind == IR_PARAM_TMAP;
  bool good = address ? type->kind == TY_PTR : ty_is_scalar(type);
  if ((param->kind == IR_PARAM_TMAP) != (param->nbox > 0))
    ir_verify_fail(v, NULL, "parameter '%s': a box belongs to a TMA descriptor", param->name);
  if (param->kind == IR_PARAM_DIM)
    good = good && type->dtype == TL_I32;
  if (param->kind == IR_PARAM_STRIDE)
    good = good && type->dtype == TL_I64;
  if (!good)
    ir_verify_fail(v, NULL, "parameter '%s' has the wrong type for its kind", param->name);
  if (param->div < 1)
    ir_verify_fail(v, NULL, "parameter '%s' has divisor %lld", param->name, (long long)param->div);
}

static bool some_tile_has_layout(const ir_func *func) {
  for (uint32_t i = 1; i < func->vals.len; i++)
    if (func->vals.data[i].layout && ty_is_tile(func->vals.data[i].type))
      return true;
  return false;
}

int ir_verify(const ir_func *func, tl_buf *out) {
  tl_arena arena = {0};
  checker c = {.base = {.func = func, .out = out}};
  c.visible = TL_NEW_N(&arena, uint8_t, func->vals.len);
  c.defined = TL_NEW_N(&arena, uint8_t, func->vals.len);
  c.warps = func->warps;
  c.laid_out = func->sir && some_tile_has_layout(func);
  if (func->sir && !func->warps)
    ir_verify_fail(&c.base, NULL, "a sir function without a number of warps");
  for (uint32_t i = 0; i < func->params.len; i++)
    check_param(&c, &func->params.data[i]);
  check_region(&c, func->body, NULL, 0);
  if (c.base.failures > MAX_PRINTED)
    tl_buf_printf(out, "and %d more\n", c.base.failures - MAX_PRINTED);
  tl_arena_free(&arena);
  return c.base.failures;
}
