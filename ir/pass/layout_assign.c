// layout_assign: a layout for every tile value, and converts where two operations disagree.
//
// Input   sir, mma_pick and pipeline done.   Output  every tile value has a layout;
//         converts stand where a value is wanted in a second layout.
// Needs   facts (vector widths).
//
// Two questions, asked recursively:
//   natural(v)     in which layout is v made best, and how strongly does it insist?
//                  FREE    nobody cares (iota, splat, reads, arithmetic on those)
//                  WEAK    has a preference and follows any other (vector loads)
//                  MEDIUM  coalescing (tile loads), results of reductions
//                  STRONG  tensor-core accumulators
//   wanted(v, L)   the value in layout L: v itself when that is its home, a clone of a FREE
//                  or WEAK expression, or a convert.
// Operations with effects and loops are the anchors, visited in program order; whatever they pull
// in through wanted() gets its home then. Stores of STRONG values convert to whole lines first.
#include "ir/dot.h"
#include "ir/facts.h"
#include "ir/layout.h"
#include "ir/pass_list.h"
#include "ir/scratch.h"

typedef enum strength { FREE, WEAK, MEDIUM, STRONG } strength;

typedef struct choice {
  const ir_layout *layout; // NULL exactly when strength is FREE
  strength how;
} choice;

typedef struct copy {
  ir_val from;
  const ir_layout *layout;
  ir_val to;
} copy;

typedef struct assign {
  ir_pass_ctx *ctx;
  ir_func *func;
  ir_facts *facts;
  TL_VEC(copy) copies; // values that exist in a second layout
  choice *natural;     // by value id, memo
  uint8_t *state;      // by value id: 0 unknown, 1 being computed, 2 known
  uint32_t known;      // length of both
} assign;

static ir_val wanted(assign *s, ir_val val, const ir_layout *layout);
static choice natural(assign *s, ir_val val);

// --- helpers -----------------------------------------------------------------------------------

static const ty_type *type_of(const assign *s, ir_val val) { return ir_type(s->func, val); }

static const ir_layout *home(const assign *s, ir_val val) {
  return ir_info_of(s->func, val)->layout;
}

static void settle(assign *s, ir_val val, const ir_layout *layout) {
  s->func->vals.data[val.id].layout = layout;
}

static const ir_layout *keep(assign *s, ir_layout layout) {
  return ir_layout_intern(s->func, &layout);
}

static const ir_layout *blocked(assign *s, const ty_type *tile, int64_t align_bytes) {
  int bits = tl_dtype_bits(tile->dtype);
  int vec = (int)((align_bytes > 16 ? 16 : align_bytes) * 8 / (bits == 1 ? 8 : bits));
  return keep(s, ir_layout_blocked(tile, s->func->warps, vec < 1 ? 1 : vec));
}

static const ir_layout *access_layout(assign *s, const ir_op *op, const ty_type *tile) {
  return blocked(s, tile, ir_access_align(s->facts, op));
}

static const ir_layout *drop(assign *s, const ir_layout *layout, int axis) {
  return keep(s, ir_layout_drop_dim(layout, axis));
}

// A tensor-core layout covers warps_m x warps_n warps; the others hold copies.
static const ir_layout *fill_warps(assign *s, ir_layout layout) {
  while (1 << layout.nwarp_bits < s->func->warps)
    layout.nwarp_bits++;
  return keep(s, layout);
}

static const ir_layout *accumulator(assign *s, const ir_op *dot) {
  return fill_warps(s, ir_layout_mma_acc(type_of(s, dot->res[0]), (int)ir_int(dot, "warps_m", 1),
                                         (int)ir_int(dot, "warps_n", 1)));
}

// A bitcast between widths moves elements along the last dim: it counts as a reshape.
static bool changes_shape(const assign *s, const ir_op *op) {
  return op->code == IR_RESHAPE || op->code == IR_SLICE ||
         (op->code == IR_BITCAST &&
          !ty_same_shape(type_of(s, op->args[0]), type_of(s, op->res[0])));
}

static const ir_layout *along_axis(assign *s, const ir_op *scan) {
  return keep(
      s, ir_layout_along(type_of(s, scan->res[0]), (int)ir_int(scan, "axis", 0), s->func->warps));
}

// How many elements of the result come from one of the source of a bitcast.
static int narrowing(const assign *s, const ir_op *op) {
  return tl_dtype_bits(type_of(s, op->args[0])->dtype) /
         tl_dtype_bits(type_of(s, op->res[0])->dtype);
}

// m64nN of each warpgroup: warp w holds rows 16w .., N in steps of 8.
static const ir_layout *warpgroup_accumulator(assign *s, ir_val val) {
  return keep(s, ir_layout_mma_acc(type_of(s, val), s->func->warps, 1));
}

static bool is_elementwise(const assign *s, const ir_op *op) {
  return op->code >= IR_NEG && op->code <= IR_SELECT && !changes_shape(s, op);
}

// --- natural -----------------------------------------------------------------------------------

static choice stronger(choice a, choice b) { return b.how > a.how ? b : a; }

static choice natural_of_args(assign *s, const ir_op *op) {
  choice best = {0};
  for (uint32_t i = 0; i < op->nargs; i++)
    if (ty_is_tile(type_of(s, op->args[i])))
      best = stronger(best, natural(s, op->args[i]));
  return best;
}

static choice through_dims(assign *s, const ir_op *op) {
  choice source = natural(s, op->args[0]);
  if (source.how != STRONG)
    return (choice){0};
  ir_layout layout;
  switch (op->code) {
  case IR_PERMUTE:
    layout = ir_layout_permute(source.layout, ir_attr_find(op, "order")->ints);
    break;
  case IR_EXPAND:
    return (choice){0}; // a vector of row or column values follows its partner
  default:
    return (choice){0};
  }
  return (choice){keep(s, layout), source.how};
}

static choice natural_of_reduce(assign *s, const ir_op *op) {
  choice source = natural(s, op->args[0]);
  const ir_layout *layout = source.layout ? source.layout : blocked(s, type_of(s, op->args[0]), 16);
  return (choice){drop(s, layout, (int)ir_int(op, "axis", 0)), MEDIUM};
}

// Where each element stays in its thread; NULL: nowhere.
static const ir_layout *carried_over(assign *s, const ir_op *op, const ir_layout *layout) {
  const ty_type *from = type_of(s, op->args[0]), *to = type_of(s, op->res[0]);
  ir_layout out;
  bool stays = false;
  if (!ty_is_tile(from) || !ty_is_tile(to))
    return NULL;
  if (op->code == IR_RESHAPE)
    stays = ir_layout_reshape(layout, from, to, &out);
  else if (op->code == IR_SLICE)
    stays = ir_layout_part(layout, from, to, ir_attr_find(op, "offsets")->ints, &out);
  else
    stays = ir_layout_rescale(layout, from, to, &out);
  return stays ? keep(s, out) : NULL;
}

static choice natural_of_reshape(assign *s, const ir_op *op) {
  choice source = natural(s, op->args[0]);
  const ir_layout *own = source.layout ? source.layout : blocked(s, type_of(s, op->args[0]), 16);
  const ir_layout *layout = carried_over(s, op, own);
  if (layout)
    return (choice){layout, source.how > MEDIUM ? source.how : MEDIUM};
  return (choice){blocked(s, type_of(s, op->res[0]), 16), MEDIUM};
}

static choice natural_of_load(assign *s, const ir_op *op) {
  const ty_type *tile = type_of(s, op->res[0]);
  return (choice){access_layout(s, op, tile), tile->rank < 2 ? WEAK : MEDIUM};
}

// Vectors as long as every thread gets some: the sum is on its way to a store, mostly narrowed.
static const ir_layout *whole_lines(assign *s, const ty_type *tile) {
  int64_t each = ty_elems(tile) / (32 * s->func->warps);
  return keep(s, ir_layout_blocked(tile, s->func->warps, each >= 8 ? 8 : 4));
}

// The dot that accumulates into this value, directly or through arithmetic: its layout wins.
static choice natural_of_carried(assign *s, ir_val init, ir_val yielded) {
  return stronger(natural(s, yielded), natural(s, init));
}

static choice natural_of_param(assign *s, ir_val val) {
  const ir_val_info *info = ir_info_of(s->func, val);
  const ir_op *loop = info->region->parent;
  if (loop->code == IR_FOR) {
    uint32_t i = info->index - 1;
    return natural_of_carried(s, loop->args[3 + i], loop->regions[0]->last->args[i]);
  }
  TL_ASSERT(loop->code == IR_WHILE, "tile parameter of '%s'", ir_info(loop->code)->name);
  uint32_t i = info->index;
  return natural_of_carried(s, loop->args[i], loop->regions[1]->last->args[i]);
}

static choice natural_of_control(assign *s, const ir_op *op, uint32_t index) {
  switch (op->code) {
  case IR_FOR:
    return natural(s, op->regions[0]->params[index + 1]);
  case IR_WHILE:
    return natural(s, op->regions[0]->params[index]);
  default: // if
    return stronger(natural(s, op->regions[0]->last->args[index]),
                    natural(s, op->regions[1]->last->args[index]));
  }
}

static choice compute_natural(assign *s, ir_val val) {
  const ir_op *def = ir_def(s->func, val);
  if (!def)
    return natural_of_param(s, val);
  if (is_elementwise(s, def))
    return natural_of_args(s, def);
  if (def->code == IR_BITCAST && narrowing(s, def) > 1 && natural(s, def->args[0]).how <= WEAK)
    return (choice){0}; // cut out of registers, in any layout that keeps the wide ones whole
  if (changes_shape(s, def))
    return natural_of_reshape(s, def);
  switch (def->code) {
  case IR_DOT:
  case IR_DOT_SCALED:
    return (choice){accumulator(s, def), STRONG};
  case IR_WGMMA:
  case IR_DRAIN:
  case IR_PROMOTE:
    return (choice){warpgroup_accumulator(s, def->res[0]), STRONG};
  case IR_SCAN:
    return (choice){along_axis(s, def), MEDIUM};
  case IR_TAKE: // from shared memory, in any layout
    return (choice){blocked(s, type_of(s, val), 16), WEAK};
  case IR_HISTOGRAM:
    return (choice){blocked(s, type_of(s, val), 16), MEDIUM};
  case IR_CLUSTER_SUM:
    return (choice){whole_lines(s, type_of(s, val)), MEDIUM};
  case IR_LOAD:
    return natural_of_load(s, def);
  case IR_REDUCE:
    return natural_of_reduce(s, def);
  case IR_PERMUTE:
  case IR_EXPAND:
    return through_dims(s, def);
  case IR_ATOMIC:
    return (choice){blocked(s, type_of(s, val), 4), MEDIUM};
  case IR_FOR:
  case IR_WHILE:
  case IR_IF:
    return natural_of_control(s, def, ir_info_of(s->func, val)->index);
  default:
    return (choice){0};
  }
}

// Values made by this pass are only known by their home. A home keeps the strength it came from.
static choice natural(assign *s, ir_val val) {
  const ir_layout *settled = home(s, val);
  if (val.id >= s->known)
    return (choice){settled, settled ? MEDIUM : FREE};
  if (s->state[val.id] == 0) {
    s->state[val.id] = 1;
    s->natural[val.id] = compute_natural(s, val);
    s->state[val.id] = 2;
  }
  choice own = s->natural[val.id];
  const ir_op *def = ir_def(s->func, val);
  if (def && def->code == IR_SPLAT)
    return own; // the same in any layout: where it is first wanted says nothing of its other users
  return settled ? (choice){settled, own.how > MEDIUM ? own.how : MEDIUM} : own;
}

// --- wanted ------------------------------------------------------------------------------------

// Index tiles of a gather, mask and fill value, in the layouts that the access's layout implies.
static void settle_access_operands(assign *s, ir_op *op, const ir_layout *layout) {
  ir_access access = ir_access_of(s->func, op);
  int dim = 0;
  for (int i = 0; i < access.rank; i++) {
    if (access.subs[i] == 's')
      continue;
    if (access.subs[i] == 'z') // along the dim of the gather before it
      dim--;
    if (strchr("gz", access.subs[i])) {
      const ir_layout *along = layout;
      for (int d = layout->rank - 1; d >= 0; d--)
        if (d != dim)
          along = drop(s, along, d);
      ir_val *arg = &op->args[access.first_sub + i];
      *arg = wanted(s, *arg, along);
    }
    dim++;
  }
  for (int i = access.first_sub + access.rank; i < (int)op->nargs; i++)
    if (ty_is_tile(type_of(s, op->args[i])))
      op->args[i] = wanted(s, op->args[i], layout);
}

static void broadcast_source(assign *s, ir_op *op, const ir_layout *layout) {
  const ty_type *from = type_of(s, op->args[0]), *to = type_of(s, op->res[0]);
  for (int d = 0; d < to->rank; d++)
    if (from->dims[d] != to->dims[d])
      layout = keep(s, ir_layout_collapse_dim(layout, d));
  op->args[0] = wanted(s, op->args[0], layout);
}

static void permute_source(assign *s, ir_op *op, const ir_layout *layout) {
  const ir_attr *order = ir_attr_find(op, "order");
  int64_t inverse[TY_MAX_RANK];
  for (int d = 0; d < order->nints; d++)
    inverse[order->ints[d]] = d;
  op->args[0] = wanted(s, op->args[0], keep(s, ir_layout_permute(layout, inverse)));
}

// The source of an operation that does not depend on its result's layout.
static const ir_layout *from_own(assign *s, ir_val *arg) {
  choice source = natural(s, *arg);
  const ir_layout *layout = source.layout ? source.layout : blocked(s, type_of(s, *arg), 16);
  *arg = wanted(s, *arg, layout);
  return layout;
}

// A reduce is made from its source's own layout; only then its result is converted.
static const ir_layout *reduce_source(assign *s, ir_op *op) {
  const ir_layout *layout = from_own(s, &op->args[0]);
  return ty_is_tile(type_of(s, op->res[0])) ? drop(s, layout, (int)ir_int(op, "axis", 0)) : NULL;
}

// The result's layout asks for the index of each element it holds.
static void settle_take(assign *s, ir_op *op, const ir_layout *layout) {
  const ty_type *index = type_of(s, op->args[1]);
  from_own(s, &op->args[0]);
  if (!index->rank)
    return;
  int axis = (int)ir_int(op, "axis", 0);
  for (int d = layout->rank - 1; index->rank == 1 && d >= 0; d--)
    if (d != axis)
      layout = drop(s, layout, d);
  op->args[1] = wanted(s, op->args[1], layout);
}

static void settle_histogram(assign *s, ir_op *op) {
  const ir_layout *layout = from_own(s, &op->args[0]);
  if (op->nargs > 1)
    op->args[1] = wanted(s, op->args[1], layout);
}

static void shifted(const int64_t *dst, int64_t *src, void *user) {
  const ir_attr *offsets = user;
  for (int d = 0; d < offsets->nints; d++)
    src[d] = dst[d] + offsets->ints[d];
}

// Reshapes, slices and bit casts read their source from its own home. Where no element leaves its
// thread they are mere renaming; whatever is not goes through shared memory as one row-major image,
// marked {via="shared"}.
static void settle_reshape(assign *s, ir_op *op, const ir_layout *layout) {
  int ratio = op->code == IR_BITCAST ? narrowing(s, op) : 0;
  ir_layout wide;
  if (ratio > 1 && ir_layout_widen(layout, ratio, &wide)) {
    op->args[0] = wanted(s, op->args[0], keep(s, wide)); // parts of the thread's own registers
    return;
  }
  const ir_layout *from = from_own(s, &op->args[0]);
  bool renames = carried_over(s, op, from) == layout;
  if (!renames && op->code == IR_SLICE) {
    int *map = TL_NEW_N(s->ctx->scratch, int, ir_layout_regs(layout));
    renames = ir_layout_rename(layout, from, s->func->warps, shifted,
                               (void *)ir_attr_find(op, "offsets"), map);
  }
  if (!renames)
    ir_set_str(s->func, op, "via", "shared");
}

// Gives the operands of `op` the layouts that a result in `layout` needs.
static void settle_operands(assign *s, ir_op *op, const ir_layout *layout) {
  if (changes_shape(s, op)) {
    settle_reshape(s, op, layout);
    return;
  }
  switch (op->code) {
  case IR_LOAD:
    settle_access_operands(s, op, layout);
    return;
  case IR_TAKE:
    settle_take(s, op, layout);
    return;
  case IR_HISTOGRAM:
    settle_histogram(s, op);
    return;
  case IR_BROADCAST:
    broadcast_source(s, op, layout);
    return;
  case IR_PERMUTE:
    permute_source(s, op, layout);
    return;
  case IR_EXPAND:
    op->args[0] = wanted(s, op->args[0], drop(s, layout, (int)ir_int(op, "axis", 0)));
    return;
  default:
    for (uint32_t i = 0; i < op->nargs; i++)
      if (ty_is_tile(type_of(s, op->args[i])))
        op->args[i] = wanted(s, op->args[i], layout);
  }
}

// How strongly a value insisted before it had a home.
static strength insistence(assign *s, ir_val val) {
  natural(s, val);
  return val.id < s->known ? s->natural[val.id].how : MEDIUM;
}

// May be computed again for another layout: no memory, no large cost.
static bool is_clonable(assign *s, const ir_op *op) {
  if (op->code == IR_READ)
    return true;
  if (ir_info(op->code)->effect != IR_PURE || op->nregions)
    return false;
  return op->code == IR_SPLAT || op->code == IR_IOTA || op->code == IR_EXPAND ||
         op->code == IR_BROADCAST || op->code == IR_PERMUTE ||
         (is_elementwise(s, op) && insistence(s, op->res[0]) <= WEAK);
}

static ir_val clone_in(assign *s, ir_op *op, const ir_layout *layout) {
  ir_map map;
  ir_map_init(s->func, &map);
  ir_builder b = {s->func, op->parent, op->next, op->loc};
  ir_op *copied = ir_clone(&b, op, &map);
  settle(s, copied->res[0], layout);
  settle_operands(s, copied, layout);
  return copied->res[0];
}

static void same_coordinates(const int64_t *dst, int64_t *src, void *user) {
  memcpy(src, dst, sizeof *src * (size_t) * (int *)user);
}

// Shuffles win while they are few: each is one instruction and no barrier, for at most 32 bits.
static bool by_shuffle(assign *s, const ty_type *tile, const ir_layout *from, const ir_layout *to) {
  int regs = ir_layout_regs(to);
  if (tl_dtype_bits(tile->dtype) > 32)
    return false;
  ir_lane_map *maps = TL_NEW_N(s->ctx->scratch, ir_lane_map, regs);
  int count = ir_layout_shuffle(to, from, tile, s->func->warps, maps);
  return count >= 0 && count <= 16;
}

static ir_val convert(assign *s, ir_val val, const ir_layout *layout) {
  const ir_val_info from = *ir_info_of(s->func, val);
  ir_builder b = {.func = s->func};
  b.region = from.def ? from.def->parent : from.region;
  b.before = from.def ? from.def->next : from.region->first;
  if (from.def)
    b.loc = from.def->loc;
  int rank = from.type->rank;
  int *map = TL_NEW_N(s->ctx->scratch, int, ir_layout_regs(layout));
  bool by_register =
      ir_layout_rename(layout, from.layout, s->func->warps, same_coordinates, &rank, map);
  const char *via = by_register                                     ? "reg"
                    : by_shuffle(s, from.type, from.layout, layout) ? "shuffle"
                                                                    : "shared";
  ir_val out = ir_build1(&b, IR_CONVERT, from.type, 1, &val);
  ir_op *op = ir_def(s->func, out);
  ir_set_str(s->func, op, "via", via);
  settle(s, out, layout);
  if (!strcmp(via, "shared"))
    tl_report(s->ctx->diags, op->loc, DIAG_R501, ty_text(s->ctx->scratch, from.type),
              (int)ir_scratch_bytes(s->func, op));
  return out;
}

// First time: the value gets its home. A FREE value takes what is asked.
static void find_home(assign *s, ir_val val, const ir_layout *asked) {
  ir_op *def = ir_def(s->func, val);
  TL_ASSERT(def, "tile parameter without a layout");
  choice own = natural(s, val);
  if (def->code == IR_REDUCE) {
    settle(s, val, reduce_source(s, def));
    return;
  }
  bool follows = own.how <= WEAK || def->code == IR_LOAD;
  const ir_layout *layout = follows ? asked : own.layout;
  settle(s, val, layout);
  settle_operands(s, def, layout);
}

static ir_val wanted(assign *s, ir_val val, const ir_layout *layout) {
  if (!home(s, val))
    find_home(s, val, layout);
  if (home(s, val) == layout)
    return val;
  for (uint32_t i = 0; i < s->copies.len; i++)
    if (ir_same(s->copies.data[i].from, val) && s->copies.data[i].layout == layout)
      return s->copies.data[i].to;
  ir_op *def = ir_def(s->func, val);
  ir_val made = def && is_clonable(s, def) ? clone_in(s, def, layout) : convert(s, val, layout);
  tl_push(s->ctx->scratch, &s->copies, ((copy){val, layout, made}));
  return made;
}

// --- anchors -----------------------------------------------------------------------------------

static void anchor_region(assign *s, ir_region *region);

static const ir_layout *own_layout(assign *s, ir_val val) {
  choice own = natural(s, val);
  return own.layout ? own.layout : blocked(s, type_of(s, val), 16);
}

// A store writes whole lines, so an accumulator changes its layout first; not beside a feeder,
// which has given all shared memory to its slots.
static bool keeps_own(const assign *s, const ty_type *tile, choice own) {
  if (tl_dtype_bits(tile->dtype) == 4)
    return false; // pairs of elements are bytes
  return own.how == MEDIUM || own.how == WEAK ||
         (own.how == STRONG && (s->func->extra_warps || ir_has_own_roles(s->func)));
}

// What stmatrix takes: the accumulators of the warpgroups, transposed where the operands are.
static const ir_layout *stmatrix_layout(assign *s, const ir_op *op, const ty_type *tile) {
  static const int64_t swapped[2] = {1, 0};
  if (!ir_int(op, "trans", 0))
    return keep(s, ir_layout_mma_acc(tile, s->func->warps, 1));
  int64_t dims[2] = {tile->dims[1], tile->dims[0]};
  ir_layout acc =
      ir_layout_mma_acc(ty_tile(&s->func->module->types, tile->dtype, 2, dims), s->func->warps, 1);
  return keep(s, ir_layout_permute(&acc, swapped));
}

static void anchor_access(assign *s, ir_op *op) {
  ir_access access = ir_access_of(s->func, op);
  const ty_type *tile = type_of(s, access.value);
  const ir_layout *layout = NULL;
  if (ty_is_tile(tile)) {
    choice own = natural(s, access.value);
    layout = keeps_own(s, tile, own) ? own.layout : access_layout(s, op, tile);
    if (!strcmp(ir_str(op, "engine", ""), "tma"))
      layout = stmatrix_layout(s, op, tile);
    op->args[1] = wanted(s, op->args[1], layout);
    if (ir_some(access.compare))
      op->args[2] = wanted(s, op->args[2], layout);
    settle_access_operands(s, op, layout);
  }
  if (op->nres && layout)
    settle(s, op->res[0], layout);
}

static void report_engine(assign *s, const ir_op *op) {
  const tl_target *target = s->func->target;
  const char *why = target->features & FEAT_WGMMA     ? "wgmma needs a loop split into roles (R302)"
                    : target->features & FEAT_TCGEN05 ? "tcgen05.mma is not generated yet"
                                                      : "the path of this architecture";
  tl_report(s->ctx->diags, op->loc, DIAG_R101, tl_dtype_name(type_of(s, op->args[0])->dtype), why);
}

// Scales as the mma takes them, in words.
static void anchor_native_scales(assign *s, ir_op *op) {
  int warps_m = (int)ir_int(op, "warps_m", 1), warps_n = (int)ir_int(op, "warps_n", 1);
  const ty_type *sa = type_of(s, op->args[1]), *sb = type_of(s, op->args[3]);
  int per_a = ir_dot_scales_per_word(sa->rank == 2 ? sa->dims[1] : 1);
  int per_b = ir_dot_scales_per_word(sb->rank == 2 ? sb->dims[0] : 1);
  op->args[1] =
      wanted(s, op->args[1], fill_warps(s, ir_layout_mma_scale_a(sa, per_a, warps_m, warps_n)));
  op->args[3] =
      wanted(s, op->args[3], fill_warps(s, ir_layout_mma_scale_b(sb, per_b, warps_m, warps_n)));
}

// Scales beside the accumulator's registers, for promotion.
static void anchor_scales(assign *s, ir_op *op, const ir_layout *acc) {
  const ty_type *sa = type_of(s, op->args[1]), *sb = type_of(s, op->args[3]);
  ir_layout rows = *drop(s, acc, 1), cols = *drop(s, acc, 0);
  if (sa->rank == 2) { // [M, K/g]: the k blocks are one more repetition
    rows = ir_layout_add_dim(&rows, 1);
    if (sa->dims[1] > 1)
      rows.rep[rows.nreps++] = (ir_rep){(int32_t)sa->dims[1], 1, 1};
  }
  if (sb->rank == 2) {
    cols = ir_layout_add_dim(&cols, 0);
    if (sb->dims[0] > 1)
      cols.rep[cols.nreps++] = (ir_rep){(int32_t)sb->dims[0], 0, 1};
  }
  op->args[1] = wanted(s, op->args[1], keep(s, rows));
  op->args[3] = wanted(s, op->args[3], keep(s, cols));
}

static void anchor_dot(assign *s, ir_op *op) {
  report_engine(s, op);
  const ir_layout *acc = accumulator(s, op);
  int warps_m = (int)ir_int(op, "warps_m", 1), warps_n = (int)ir_int(op, "warps_n", 1);
  ir_val *a = &op->args[0], *b = &op->args[ir_dot_b(op)], *sum = &op->args[ir_dot_acc(op)];
  int a_bits = ir_dot_operand_bits(s->func, op, 0);
  int b_bits = ir_dot_operand_bits(s->func, op, ir_dot_b(op));
  settle(s, op->res[0], acc);
  *sum = wanted(s, *sum, acc);
  *a = wanted(s, *a, fill_warps(s, ir_layout_mma_a(type_of(s, *a), a_bits, warps_m, warps_n)));
  *b = wanted(s, *b, fill_warps(s, ir_layout_mma_b(type_of(s, *b), b_bits, warps_m, warps_n)));
  if (ir_dot_scales_natively(s->func, op))
    anchor_native_scales(s, op);
  else if (op->code == IR_DOT_SCALED)
    anchor_scales(s, op, acc);
}

static const ir_layout *wgmma_layout(assign *s, const ir_op *op, ir_val val) {
  ir_wgmma w = op->code == IR_WGMMA ? ir_wgmma_of(s->func, op) : (ir_wgmma){0};
  const ty_type *type = type_of(s, val);
  if (!ir_same(w.a, val))
    return warpgroup_accumulator(s, val);
  return keep(s, ir_layout_mma_a(type, tl_dtype_bits(type->dtype), s->func->warps, 1));
}

// Every tile of these is an accumulator of its own shape, but for an operand in registers.
static void anchor_wgmma(assign *s, ir_op *op) {
  settle(s, op->res[0], warpgroup_accumulator(s, op->res[0]));
  for (uint32_t i = 0; i < op->nargs; i++)
    if (ty_is_tile(type_of(s, op->args[i])))
      op->args[i] = wanted(s, op->args[i], wgmma_layout(s, op, op->args[i]));
}

// --- what users want ----------------------------------------------------------------------------

static const ir_layout *demanded(assign *s, const ir_region *region, ir_val val, int depth);

static bool uses(const ir_op *op, ir_val val) {
  for (uint32_t i = 0; i < op->nargs; i++)
    if (ir_same(op->args[i], val))
      return true;
  return false;
}

// The layout in which `op` will ask for its operand, when an accumulator behind it decides that.
static const ir_layout *demanded_by(assign *s, const ir_region *region, const ir_op *op,
                                    int depth) {
  if (op->code == IR_PROMOTE)
    return warpgroup_accumulator(s, op->res[0]); // of its scale
  bool shapes = op->code == IR_EXPAND || op->code == IR_BROADCAST;
  if (!op->nres || (!shapes && !is_elementwise(s, op)))
    return NULL;
  choice own = natural(s, op->res[0]);
  const ir_layout *layout =
      own.how == STRONG ? own.layout : demanded(s, region, op->res[0], depth + 1);
  if (!layout)
    return NULL;
  if (op->code == IR_EXPAND)
    return drop(s, layout, (int)ir_int(op, "axis", 0));
  if (op->code == IR_BROADCAST) {
    const ty_type *from = type_of(s, op->args[0]), *to = type_of(s, op->res[0]);
    for (int d = 0; d < to->rank; d++)
      if (from->dims[d] != to->dims[d])
        layout = keep(s, ir_layout_collapse_dim(layout, d));
  }
  return layout;
}

static const ir_layout *demanded(assign *s, const ir_region *region, ir_val val, int depth) {
  enum { MAX_DEPTH = 6 };
  const ir_layout *layout = NULL;
  for (const ir_op *op = region->first; op && depth < MAX_DEPTH && !layout; op = op->next)
    if (uses(op, val))
      layout = demanded_by(s, region, op, depth);
  return layout;
}

// A carried value that insists on nothing takes the layout that its user will want.
static const ir_layout *carried_layout(assign *s, const ir_region *region, ir_val param) {
  choice own = natural(s, param);
  const ir_layout *wish = own.how <= WEAK ? demanded(s, region, param, 0) : NULL;
  return wish ? wish : own_layout(s, param);
}

// Carried tiles live in one layout at every edge of the loop.
static void settle_params(assign *s, ir_region *region, uint32_t first) {
  for (uint32_t i = first; i < region->nparams; i++)
    if (ty_is_tile(type_of(s, region->params[i])))
      settle(s, region->params[i], carried_layout(s, region, region->params[i]));
}

static void convert_to(assign *s, ir_val *args, uint32_t count, const ir_val *like) {
  for (uint32_t i = 0; i < count; i++)
    if (ty_is_tile(type_of(s, args[i])))
      args[i] = wanted(s, args[i], home(s, like[i]));
}

static void same_homes(assign *s, const ir_val *vals, const ir_val *like, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    settle(s, vals[i], home(s, like[i]));
}

static void anchor_for(assign *s, ir_op *op) {
  ir_region *body = op->regions[0];
  settle_params(s, body, 1);
  convert_to(s, op->args + 3, op->nargs - 3, body->params + 1);
  same_homes(s, op->res, body->params + 1, op->nres);
  anchor_region(s, body);
  convert_to(s, body->last->args, body->last->nargs, body->params + 1);
}

static void anchor_while(assign *s, ir_op *op) {
  ir_region *head = op->regions[0], *body = op->regions[1];
  settle_params(s, head, 0);
  same_homes(s, body->params, head->params, head->nparams);
  convert_to(s, op->args, op->nargs, head->params);
  same_homes(s, op->res, head->params, op->nres);
  anchor_region(s, head);
  convert_to(s, head->last->args + 1, head->last->nargs - 1, head->params);
  anchor_region(s, body);
  convert_to(s, body->last->args, body->last->nargs, head->params);
}

static void anchor_if(assign *s, ir_op *op) {
  for (uint32_t i = 0; i < op->nres; i++)
    if (ty_is_tile(type_of(s, op->res[i])))
      settle(s, op->res[i], own_layout(s, op->res[i]));
  for (int side = 0; side < 2; side++) {
    anchor_region(s, op->regions[side]);
    convert_to(s, op->regions[side]->last->args, op->nres, op->res);
  }
}

// print, assert and whatever else consumes tiles as they come; scalar reductions too.
static void anchor_consumer(assign *s, ir_op *op) {
  for (uint32_t i = 0; i < op->nargs; i++)
    if (ty_is_tile(type_of(s, op->args[i])))
      op->args[i] = wanted(s, op->args[i], own_layout(s, op->args[i]));
}

// What no anchor asked for is dead, but stays well-formed until dce removes it.
static void settle_leftover(ir_op *op, void *user) {
  assign *s = user;
  for (uint32_t i = 0; i < op->nres; i++)
    if (ty_is_tile(type_of(s, op->res[i])) && !home(s, op->res[i]))
      find_home(s, op->res[i], own_layout(s, op->res[i]));
}

// Tiles are spread over the warps of their role: for its sake, the function has no others.
static void anchor_role(assign *s, ir_op *role) {
  int all = s->func->warps;
  s->func->warps = ir_warps_at(s->func, role);
  anchor_region(s, role->regions[0]);
  ir_walk(role->regions[0], settle_leftover, s);
  s->func->warps = all;
}

// Indices of a gathering copy: of rows to the threads that copy the row, of elements one to a lane.
static void anchor_copy(assign *s, ir_op *op) {
  const ir_op *channel = ir_def(s->func, op->args[0]);
  const ty_type *buf = type_of(s, channel->args[ir_int(op, "field", 0)]);
  bool rows = strchr(ir_str(op, "subs", ""), 'r');
  int64_t per_row = ty_row_bytes(buf) / ir_int(op, "bytes", 4);
  for (uint32_t i = 2; i < op->nargs; i++) {
    const ty_type *index = type_of(s, op->args[i]);
    if (!ty_is_tile(index))
      continue;
    ir_layout layout = rows ? ir_layout_chunk_rows(buf->dims[1], per_row, s->func->warps)
                            : ir_layout_blocked(index, s->func->warps, 1);
    op->args[i] = wanted(s, op->args[i], keep(s, layout));
  }
}

static void anchor(assign *s, ir_op *op) {
  switch (op->code) {
  case IR_STORE:
  case IR_ATOMIC:
    anchor_access(s, op);
    return;
  case IR_DOT:
  case IR_DOT_SCALED:
    anchor_dot(s, op);
    return;
  case IR_WGMMA:
  case IR_DRAIN:
  case IR_PROMOTE:
    anchor_wgmma(s, op);
    return;
  case IR_COPY:
    anchor_copy(s, op);
    return;
  case IR_FOR:
    anchor_for(s, op);
    return;
  case IR_WHILE:
    anchor_while(s, op);
    return;
  case IR_IF:
    anchor_if(s, op);
    return;
  case IR_ROLE:
    anchor_role(s, op);
    return;
  case IR_CLUSTER_SUM:
    op->args[0] = wanted(s, op->args[0], own_layout(s, op->args[0]));
    settle(s, op->res[0], own_layout(s, op->res[0]));
    return;
  case IR_FILL: // any layout will do: it is taken apart into the slot
  case IR_PRINT:
  case IR_ASSERT:
    anchor_consumer(s, op);
    return;
  case IR_REDUCE:
    if (!ty_is_tile(type_of(s, op->res[0])))
      reduce_source(s, op);
    return;
  case IR_TAKE: // one element
    if (!ty_is_tile(type_of(s, op->res[0])))
      from_own(s, &op->args[0]);
    return;
  default:
    return;
  }
}

static void anchor_region(assign *s, ir_region *region) {
  for (ir_op *op = region->first; op; op = op->next)
    anchor(s, op);
}

// -fno-ldmatrix and -fno-vectorize are said to code generation on the operation itself, so that the
// text of the function tells all.
static void mark_plain(ir_op *op, void *user) {
  ir_pass_ctx *ctx = user;
  if (op->code == IR_READ && (ctx->disabled & IR_NO_LDMATRIX))
    ir_set_int(ctx->func, op, "ldmatrix", 0);
  if ((op->code == IR_LOAD || op->code == IR_STORE) && (ctx->disabled & IR_NO_VECTORIZE))
    ir_set_int(ctx->func, op, "vectorize", 0);
}

// Rows of 4-bit elements are cut between bytes only.
static void check_packed(ir_op *op, void *user) {
  assign *s = user;
  if (op->code != IR_LOAD && op->code != IR_STORE && op->code != IR_COPY)
    return;
  ir_access access = ir_access_of(s->func, op);
  tl_dtype dtype = type_of(s, access.tensor)->dtype;
  ir_val start = op->args[access.first_sub + access.rank - 1];
  if (tl_dtype_bits(dtype) == 4 && ir_fact_of(s->facts, start)->div % 2)
    tl_report(s->ctx->diags, op->loc, DIAG_E0623, op->code == IR_STORE ? "store" : "load",
              tl_dtype_name(dtype), "starts at an element that is not known to be even");
}

bool pass_layout_assign(ir_pass_ctx *ctx) {
  ir_func *func = ctx->func;
  assign s = {.ctx = ctx, .func = func, .facts = ir_facts_compute(func, ctx->scratch)};
  s.known = func->vals.len;
  s.natural = TL_NEW_N(ctx->scratch, choice, s.known);
  s.state = TL_NEW_N(ctx->scratch, uint8_t, s.known);
  ir_walk(func->body, check_packed, &s);
  anchor_region(&s, func->body);
  ir_walk(func->body, mark_plain, ctx);
  return true;
}
