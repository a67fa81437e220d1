// partition: loops around several dots become two roles on Hopper: one warp that feeds, warpgroups
// that compute. One dot in a loop is the pass `specialize`'s; what comes out here are the roles and
// channels that a user could have written, and the pass `roles` gives them their engines.
//
// Input   sir without layouts: role "main".   Output  role "math" and role "load", channels between.
//
//   role main { q = load Q; for t {pipeline=2} { s = dot q, trans load K; ..; o = dot p, load V } .. }
//     ->
//   %q = channel {depth=1}; %t = channel {depth=2}
//   role math { wait %q; for t { wait %t; s = dot read %q, trans read %t; ..; release %t } release %q }
//   role load { acquire %q; fill load Q; commit; for t { acquire %t; fill load K; fill ..; commit } }
//
// The loads of a pipelined loop share a slot; a load outside of them that feeds a dot has a slot of its
// own. The feeder is a clone of the whole role from which everything but puts and what they need is
// dead, so both roles run the same loops.
#include "ir/dot.h"
#include "ir/pass_list.h"
#include "ir/pipeline_util.h"

enum { MAX_GROUPS = 6, MAX_FIELDS = 8, MATH_REGS = 232, FEED_REGS = 40, RESERVED_BYTES = 8192, MOST_ACCUMULATORS = 160 };

typedef struct group { // what one channel carries
  ir_op *loads[MAX_FIELDS]; // in program order, of one region
  int nloads, depth;
  ir_val channel;
} group;

typedef struct division {
  ir_pass_ctx *ctx;
  ir_func *func;
  ir_facts *facts;
  ir_op *role;
  group groups[MAX_GROUPS];
  int ngroups;
  int dots;
  ir_op *dot;      // the last one
  int64_t rows;    // of every dot's accumulator; -1: they differ
  int64_t columns;     // of all accumulators together
  int64_t other_bytes; // of operands that no channel brings: they may pass through shared memory
  bool has_results, reads_output, leaves_some;
} division;

// --- what qualifies -----------------------------------------------------------------------------

static void take_census(ir_op *op, void *user) {
  division *d = user;
  d->has_results |= op->code == IR_ATOMIC && op->nres;
  if (op->code == IR_LOAD) {
    ir_access access = ir_access_of(d->func, op);
    d->reads_output |= !ir_reads_only_input(d->func, &access);
  }
  if (!ir_is_dot(op))
    return;
  int64_t rows = ir_type(d->func, op->res[0])->dims[0];
  d->dot = op;
  d->rows = d->dots++ == 0 || d->rows == rows ? rows : -1;
  bool twice = op->code == IR_DOT_SCALED || ir_int(op, "promote", 0); // a part and the sum of all
  d->columns += ir_type(d->func, op->res[0])->dims[1] * (twice ? 2 : 1);
}

typedef struct slice {
  const ir_func *func;
  uint8_t *seen; // by value id
  bool scalar;
} slice;

// Computed from scalars alone, through loops and branches?
static void follow(slice *s, ir_val val) {
  if (!val.id || s->seen[val.id] || !s->scalar)
    return;
  s->seen[val.id] = 1;
  const ty_type *type = ir_type(s->func, val);
  if (ty_is_tile(type)) {
    s->scalar = false;
    return;
  }
  const ir_val_info *info = ir_info_of(s->func, val);
  const ir_op *op = info->def ? info->def : info->region ? info->region->parent : NULL;
  if (!op || type->kind != TY_TILE)
    return; // parameters and tensors
  if (op->code == IR_WHILE || (op->code == IR_FOR && (info->def || info->index > 0))) {
    s->scalar = false; // carried: may come from anywhere
    return;
  }
  for (uint32_t i = 0; i < op->nargs && (op->code != IR_FOR || i < 3); i++)
    follow(s, op->args[i]);
  for (uint32_t r = 0; op->code == IR_IF && r < 2; r++)
    follow(s, op->regions[r]->last->args[info->index]);
}

// Can the feeder know where and whether to load?
static bool is_known_ahead(const division *d, const ir_op *load) {
  slice s = {d->func, TL_NEW_N(d->ctx->scratch, uint8_t, d->func->vals.len), true};
  ir_access access = ir_access_of(d->func, load);
  for (int i = 0; i < access.rank; i++)
    follow(&s, load->args[access.first_sub + i]);
  for (const ir_op *op = load->parent->parent; op && op->code != IR_ROLE; op = op->parent->parent) {
    if (op->code == IR_WHILE)
      return false;
    for (uint32_t i = 0; i < op->nargs && i < (op->code == IR_FOR ? 3u : 1u); i++)
      follow(&s, op->args[i]);
  }
  return s.scalar;
}

// By TMA, or a vector by cp.async: one warp has no time for elements.
static bool is_fast(const division *d, const ir_op *load) {
  ir_access access = ir_access_of(d->func, load);
  const ty_type *tile = ir_type(d->func, load->res[0]);
  if (tile->rank == 1)
    return ir_copy_chunk(d->func, d->facts, load) != 0;
  return access.subs[access.rank - 1] == 'r' && ir_access_align(d->facts, load) >= 16 &&
         tile->dims[tile->rank - 1] * tl_dtype_bits(tile->dtype) / 8 % 32 == 0;
}

static bool can_feed(const division *d, const ir_op *op) {
  if (op->code != IR_LOAD || !ty_is_tile(ir_type(d->func, op->res[0])))
    return false;
  ir_access access = ir_access_of(d->func, op);
  return !ir_some(access.mask) && !ir_some(access.other) && !strchr(access.subs, 'g') &&
         !strchr(access.subs, 'z') && tl_dtype_bits(ir_type(d->func, op->res[0])->dtype) >= 8 &&
         is_fast(d, op) && is_known_ahead(d, op);
}

typedef struct feeding {
  const ir_func *func;
  const ir_op *load;
  bool found;
} feeding;

static void note_dot(ir_op *op, void *user) {
  feeding *f = user;
  if (!ir_is_dot(op))
    return;
  int at[2] = {0, ir_dot_b(op)};
  for (int i = 0; i < 2; i++) {
    const ir_op *def = ir_def(f->func, op->args[at[i]]);
    if (def && def->code == IR_PERMUTE)
      def = ir_def(f->func, def->args[0]);
    f->found |= def == f->load;
  }
}

static bool feeds_dot(const division *d, const ir_op *load) {
  feeding f = {d->func, load, false};
  ir_walk(d->role->regions[0], note_dot, &f);
  return f.found;
}

static bool is_pipelined(const ir_op *op) {
  return op && op->code == IR_FOR && ir_int(op, "pipeline", 0) >= 2 &&
         strcmp(ir_str(op, "specialize", ""), "off") != 0;
}

static void collect(division *d, ir_region *region) {
  bool whole = is_pipelined(region->parent);
  group *g = NULL;
  for (ir_op *op = region->first; op; op = op->next) {
    for (uint32_t i = 0; i < op->nregions; i++)
      collect(d, op->regions[i]);
    if (!can_feed(d, op) || (!whole && !feeds_dot(d, op)) || (g && g->nloads == MAX_FIELDS))
      continue;
    if (!g || !whole) {
      if (d->ngroups == MAX_GROUPS)
        continue;
      g = &d->groups[d->ngroups++];
      g->depth = whole ? (int)ir_int(region->parent, "pipeline", 2) : 1;
    }
    g->loads[g->nloads++] = op;
  }
}

static bool is_brought(const division *d, const ir_op *load) {
  for (int i = 0; i < d->ngroups; i++)
    for (int k = 0; k < d->groups[i].nloads; k++)
      if (d->groups[i].loads[k] == load)
        return true;
  return false;
}

// A tile of a pipelined loop that a dot waits for and nobody would fetch ahead.
static void find_left_behind(ir_op *op, void *user) {
  division *d = user;
  if (op->code == IR_LOAD && is_pipelined(op->parent->parent) && !is_brought(d, op) &&
      feeds_dot(d, op))
    d->leaves_some = true;
}

static int64_t tile_bytes(const division *d, ir_val val) {
  const ty_type *tile = ir_type(d->func, val);
  return (ty_elems(tile) * tl_dtype_bits(tile->dtype) / 8 + 1023) / 1024 * 1024;
}

static int64_t slot_bytes(const division *d, const group *g) {
  int64_t bytes = 0;
  for (int i = 0; i < g->nloads; i++)
    bytes += tile_bytes(d, g->loads[i]->res[0]);
  return bytes;
}

static void add_other_operands(ir_op *op, void *user) {
  division *d = user;
  if (!ir_is_dot(op))
    return;
  int at[2] = {0, ir_dot_b(op)};
  for (int i = 0; i < 2; i++) {
    const ir_op *def = ir_def(d->func, op->args[at[i]]);
    if (def && def->code == IR_PERMUTE)
      def = ir_def(d->func, def->args[0]);
    if (!def || !is_brought(d, def))
      d->other_bytes += tile_bytes(d, op->args[at[i]]);
  }
}

// The depth the source asks for, or as much as fits, two at least.
static bool fit(division *d) {
  for (;;) {
    int64_t total = RESERVED_BYTES + d->other_bytes;
    group *deepest = NULL;
    for (int i = 0; i < d->ngroups; i++) {
      group *g = &d->groups[i];
      total += slot_bytes(d, g) * g->depth;
      if (g->depth > 2 && (!deepest || g->depth > deepest->depth))
        deepest = g;
    }
    if (total <= d->func->target->smem_cta_bytes)
      return true;
    if (!deepest)
      return false;
    deepest->depth--;
  }
}

static const char *refuse(division *d) {
  if (d->has_results)
    return "the kernel uses what an atomic returns";
  if (d->reads_output)
    return "the kernel reads a tensor that it may write, which the feeder would see too early";
  if (d->rows != 64 && d->rows != 128 && d->rows != 256)
    return "M of the tiles is not 64, 128 or 256, the same for all dots";
  if (d->rows / (d->rows == 64 ? 64 : 128) * d->columns / 2 > MOST_ACCUMULATORS)
    return "the accumulators of its dots fill the registers";
  collect(d, d->role->regions[0]);
  ir_walk(d->role->regions[0], add_other_operands, d);
  ir_walk(d->role->regions[0], find_left_behind, d);
  bool pipelined = false;
  for (int i = 0; i < d->ngroups; i++)
    pipelined |= is_pipelined(d->groups[i].loads[0]->parent->parent);
  if (!pipelined)
    return "no pipelined loop loads a tile that could be fetched ahead";
  if (d->leaves_some)
    return "a tile that feeds a dot in a pipelined loop cannot be fetched ahead by TMA";
  return fit(d) ? NULL : "two slots do not fit the shared memory";
}

// --- building -----------------------------------------------------------------------------------

static void declare(division *d, group *g) {
  ir_builder b = {d->func, d->func->body, d->role, g->loads[0]->loc};
  ir_val buffers[MAX_FIELDS];
  for (int i = 0; i < g->nloads; i++) {
    const ty_type *tile = ir_type(d->func, g->loads[i]->res[0]);
    int64_t dims[TY_MAX_RANK] = {g->depth};
    memcpy(dims + 1, tile->dims, sizeof *dims * (size_t)tile->rank);
    buffers[i] = ir_build1(
        &b, IR_BUFFER, ty_buf(&d->func->module->types, tile->dtype, tile->rank + 1, dims), 0, NULL);
  }
  g->channel = ir_build1(&b, IR_CHANNEL, ty_chan(&d->func->module->types), (uint32_t)g->nloads,
                         buffers);
  ir_op *op = ir_def(d->func, g->channel);
  ir_set_int(d->func, op, "depth", g->depth);
  ir_set_str(d->func, op, "engine", "mbarrier");
}

static ir_op *on_channel(division *d, const group *g, ir_code code, ir_region *region, ir_op *before) {
  ir_builder b = {d->func, region, before, g->loads[0]->loc};
  return ir_build(&b, code, 1, &g->channel, 0, NULL);
}

// The loads of the feeder's clone fill the slot where they stand.
static void put(division *d, const group *g, const ir_map *map) {
  for (int i = 0; i < g->nloads; i++) {
    ir_val value = ir_map_get(map, g->loads[i]->res[0]);
    ir_op *load = ir_def(d->func, value);
    if (i == 0)
      on_channel(d, g, IR_ACQUIRE, load->parent, load);
    ir_builder b = {d->func, load->parent, load->next, load->loc};
    ir_op *fill = ir_build(&b, IR_FILL, 2, (ir_val[]){g->channel, value}, 0, NULL);
    ir_set_int(d->func, fill, "field", i);
    if (i + 1 == g->nloads)
      on_channel(d, g, IR_COMMIT, load->parent, fill->next);
  }
}

static void get(division *d, const group *g) {
  ir_region *region = g->loads[0]->parent;
  for (int i = 0; i < g->nloads; i++) {
    ir_op *load = g->loads[i];
    if (i == 0)
      on_channel(d, g, IR_WAIT, region, load);
    ir_builder b = {d->func, region, load, load->loc};
    ir_val value = ir_build1(&b, IR_READ, ir_type(d->func, load->res[0]), 1, &g->channel);
    ir_set_int(d->func, ir_def(d->func, value), "field", i);
    ir_replace_uses(d->func, load->res[0], value);
    ir_unlink(load);
  }
  on_channel(d, g, IR_RELEASE, region, region->last);
}

static void strip_effects(ir_op *op, void *user) {
  (void)user;
  if (op->code == IR_STORE || op->code == IR_PRINT || op->code == IR_ASSERT ||
      (op->code == IR_ATOMIC && !op->nres))
    ir_unlink(op);
}

static void name_role(division *d, ir_op *role, const char *name, int64_t warps, int64_t regs) {
  ir_set_str(d->func, role, "name", name);
  ir_set_int(d->func, role, "warps", warps);
  ir_set_int(d->func, role, "padded", (warps + 3) / 4 * 4);
  if (regs)
    ir_set_int(d->func, role, "regs", regs);
}

static void divide(division *d) {
  for (int i = 0; i < d->ngroups; i++) {
    ir_op *loop = d->groups[i].loads[0]->parent->parent;
    if (is_pipelined(loop))
      ir_set_int(d->func, loop, "pipeline", 0);
    declare(d, &d->groups[i]);
  }
  ir_map map;
  ir_map_init(d->func, &map);
  ir_builder b = {d->func, d->func->body, d->role->next, d->role->loc};
  ir_op *feed = ir_clone(&b, d->role, &map);
  ir_walk(feed->regions[0], strip_effects, NULL);
  for (int i = 0; i < d->ngroups; i++)
    put(d, &d->groups[i], &map);
  for (int i = 0; i < d->ngroups; i++)
    get(d, &d->groups[i]);
  int64_t warps = d->rows == 64 ? 4 : 8; // 64 rows or more for each warpgroup
  bool uneven = warps > 4;               // three warpgroups share the registers
  name_role(d, d->role, "math", warps, uneven ? MATH_REGS : 0);
  name_role(d, feed, "load", 1, uneven ? FEED_REGS : 0);
  d->func->warps = (int)warps + 4;
}

bool pass_partition(ir_pass_ctx *ctx) {
  ir_func *func = ctx->func;
  const unsigned needed = FEAT_TMA | FEAT_WGMMA;
  if ((func->target->features & needed) != needed || (ctx->disabled & IR_NO_PIPELINE) ||
      ir_has_own_roles(func))
    return false;
  division d = {.ctx = ctx, .func = func, .role = func->body->first};
  d.facts = ir_facts_compute(func, ctx->scratch);
  ir_walk(func->body, take_census, &d);
  if (d.dots < 2)
    return false;
  const char *why = refuse(&d);
  if (why) {
    tl_report(ctx->diags, d.dot->loc, DIAG_R302, why);
    return false;
  }
  tl_span where = d.groups[d.ngroups - 1].loads[0]->parent->parent->loc;
  divide(&d);
  pass_dce(ctx); // the feeder's copies of everything else
  tl_report(ctx->diags, where, DIAG_R304, d.dots, d.rows == 64 ? 1 : 2, d.ngroups);
  return true;
}
