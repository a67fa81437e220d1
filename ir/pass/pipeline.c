// pipeline: loads that feed tensor cores, and the other loads of a loop with pipeline=N, become
// channels: buffers in shared memory with a producer and a consumer counter.
//
// Input   sir without layouts, mma_pick done.   Output  buffer/channel at the role's start; in
// loops
//         prologue (N-1 slots), then per iteration: wait, read, put for iteration + N-1, release.
// Needs   facts.   Keeps  the order of everything else.
// Why here  before layout_assign: a read may take any layout, a load is anchored to coalescing.
//
//   for %k = lo, hi, 1, %acc {pipeline=3} (..) {      %c = channel %b0, %b1 {depth=3}
//     %a = load %A, %m, %ka                            if lo < hi   { acquire; copy..; commit }
//     else { commit } %b = load %B, %n, %kb                    ->      if lo+1 < hi { ... } %d =
//     dot %a, trans %b, %acc                      for %k = ... { wait {pending=1} yield %d %a =
//     read %c {field=0}; %b = read %c {field=1}
//   }                                                    if k+2 < hi { acquire; copy..; commit }
//   else { commit }
//                                                        %d = dot ..; release; yield %d }
//
// Only what is really put advances the producer's counter, so the counters agree after any trip
// count and are never restarted; the empty commit keeps the count of cp.async groups in step.
#include "ir/dot.h"
#include "ir/facts.h"
#include "ir/layout.h"
#include "ir/pass_list.h"
#include "ir/pipeline_util.h"

enum { MAX_FIELDS = 8 };

typedef struct field {
  ir_op *load;
  int chunk_bytes;   // per copy instruction
  bool asynchronous; // cp.async; otherwise through registers
  bool spread;       // 4-bit elements that ldmatrix is to make bytes of
} field;

typedef struct channel {
  ir_pass_ctx *ctx;
  ir_facts *facts;
  ir_op *loop; // NULL: one slot, filled and emptied on the spot
  int depth;
  ir_val handle;
  field fields[MAX_FIELDS];
  int nfields;
} channel;

// --- copies -------------------------------------------------------------------------------------

// Of what a single access moves: two elements where they share a byte.
static int elem_bytes(const ty_type *tile) {
  int bits = tl_dtype_bits(tile->dtype);
  return bits < 8 ? 1 : bits / 8;
}

int ir_copy_chunk(const ir_func *func, const ir_facts *facts, const ir_op *load) {
  const ty_type *tile = ir_type(func, load->res[0]);
  ir_access access = ir_access_of(func, load);
  const ir_op *tensor = ir_def(func, access.tensor);
  int elem = elem_bytes(tile);
  int64_t stride = 0;
  const char *last = strrchr(access.subs, 'r');
  bool unit =
      ir_is_const_int(func, tensor->args[1 + access.rank + (last - access.subs)], &stride) &&
      stride == 1;
  int64_t row_bytes = unit ? ty_row_bytes(tile) : elem;
  int64_t align = unit ? ir_access_align(facts, load) : elem;
  for (int chunk = 16; chunk >= 4; chunk /= 2)
    if (align % chunk == 0 && row_bytes % chunk == 0 && chunk >= elem)
      return chunk;
  return 0;
}

static bool is_power(int64_t value) { return value > 0 && !(value & (value - 1)); }

// Each thread copies chunks of rows it holds the index of, so rows must divide among the threads.
static const char *refuse_rows(const channel *c, const ir_op *load) {
  const ty_type *tile = ir_type(c->ctx->func, load->res[0]);
  if (!strchr(ir_access_of(c->ctx->func, load).subs, 'g'))
    return NULL;
  int chunk = c->ctx->disabled & IR_NO_CP_ASYNC ? 0 : ir_copy_chunk(c->ctx->func, c->facts, load);
  int64_t per_row = ty_row_bytes(tile) / (chunk ? chunk : elem_bytes(tile));
  int64_t threads = 32 * c->ctx->func->warps, rows = tile->dims[0];
  bool even =
      is_power(per_row) && per_row <= threads && (is_power(rows) || rows * per_row % threads == 0);
  return even ? NULL : "the rows it gathers do not divide among the threads";
}

static const char *refuse_copy(const channel *c, const ir_op *load, const ir_op *loop) {
  const char *why = ir_refuse_copy(c->ctx->func, load, loop);
  return why ? why : refuse_rows(c, load);
}

// The load behind a dot's operand, through transpositions and casts; NULL when it is something
// else.
static ir_op *load_behind(const ir_func *func, ir_val val) {
  ir_op *def = ir_def(func, val);
  while (def && (def->code == IR_PERMUTE || def->code == IR_CAST))
    def = ir_def(func, def->args[0]);
  return def && def->code == IR_LOAD ? def : NULL;
}

typedef struct search {
  const ir_func *func;
  const ir_op *load;
  bool found;
} search;

static void find_spread(ir_op *op, void *user) {
  search *s = user;
  if (!ir_is_dot(op))
    return;
  int args[2] = {0, ir_dot_b(op)};
  for (int i = 0; i < 2; i++)
    s->found |= load_behind(s->func, op->args[args[i]]) == s->load &&
                ir_type(s->func, op->args[args[i]])->dtype == TL_F4E2M1 &&
                ir_dot_operand_bits(s->func, op, args[i]) == 8;
}

// Does a dot want the 4-bit elements in a byte each?
static bool is_spread(const channel *c, const ir_op *load) {
  const ty_type *tile = ir_type(c->ctx->func, load->res[0]);
  search s = {c->ctx->func, load, false};
  if (tile->rank == 2 && tl_dtype_bits(tile->dtype) == 4 && tile->dims[1] % 16 == 0)
    ir_walk(c->ctx->func->body, find_spread, &s);
  return s.found;
}

static void add_field(channel *c, ir_op *load) {
  int elem = elem_bytes(ir_type(c->ctx->func, load->res[0]));
  int chunk = c->ctx->disabled & IR_NO_CP_ASYNC ? 0 : ir_copy_chunk(c->ctx->func, c->facts, load);
  bool spread = is_spread(c, load);
  if (spread && chunk > 8)
    chunk = 8; // what lies together
  c->fields[c->nfields++] = (field){load, chunk ? chunk : elem, chunk != 0, spread};
  if (!chunk)
    tl_report(c->ctx->diags, load->loc, DIAG_R201,
              "rows are not known to be 4-byte aligned, so it goes through registers");
}

// --- building ----------------------------------------------------------------------------------

ir_layout ir_buffer_layout(const ir_pass_ctx *ctx, const ty_type *tile, bool spread) {
  ir_layout layout = ir_layout_shared(tile, 0, tile->rank == 1 ? 0 : 16);
  layout.spread = spread;
  int64_t row_bytes = ir_shared_column(&layout, tile->dtype, tile->dims[tile->rank - 1]);
  for (int width = 128; width >= 32 && !(ctx->disabled & IR_NO_SWIZZLE); width /= 2)
    if (tile->rank > 1 && row_bytes % width == 0 && !layout.swizzle_bytes)
      layout.swizzle_bytes = width, layout.pad_bytes = 0;
  return layout;
}

// buffer and channel operations at the start of the role: they exist once, whatever loops surround.
static void declare(channel *c) {
  ir_func *func = c->ctx->func;
  ir_region *role = ir_role_around(c->fields[0].load)->regions[0];
  ir_builder b = {func, role, role->first, c->fields[0].load->loc};
  ir_val buffers[MAX_FIELDS];
  for (int i = 0; i < c->nfields; i++) {
    const ty_type *tile = ir_type(func, c->fields[i].load->res[0]);
    int64_t dims[TY_MAX_RANK] = {c->depth};
    memcpy(dims + 1, tile->dims, sizeof dims[0] * (size_t)tile->rank);
    const ty_type *type = ty_buf(&func->module->types, tile->dtype, tile->rank + 1, dims);
    buffers[i] = ir_build1(&b, IR_BUFFER, type, 0, NULL);
    ir_layout layout = ir_buffer_layout(c->ctx, tile, c->fields[i].spread);
    func->vals.data[buffers[i].id].layout = ir_layout_intern(func, &layout);
  }
  c->handle =
      ir_build1(&b, IR_CHANNEL, ty_chan(&func->module->types), (uint32_t)c->nfields, buffers);
  ir_set_int(func, ir_def(func, c->handle), "depth", c->depth);
  ir_set_str(func, ir_def(func, c->handle), "engine", "cp.async");
}

static ir_op *on_channel(channel *c, ir_builder *b, ir_code code, const char *attr, int64_t value) {
  ir_op *op = ir_build(b, code, 1, &c->handle, 0, NULL);
  if (attr)
    ir_set_int(c->ctx->func, op, attr, value);
  return op;
}

// The value as computed for another iteration: its slice of the loop body, cloned once per map.
ir_val ir_at_iteration(ir_builder *b, ir_map *map, const ir_op *loop, ir_val val) {
  ir_val known = ir_map_get(map, val);
  if (!ir_same(known, val))
    return known;
  if (!loop || !ir_region_inside(ir_home_region(b->func, val), loop))
    return val;
  const ir_op *def = ir_def(b->func, val);
  if (!def)
    return val;
  for (uint32_t i = 0; i < def->nargs; i++)
    ir_at_iteration(b, map, loop, def->args[i]);
  ir_op *copy = ir_clone(b, def, map);
  return copy->res[ir_info_of(b->func, val)->index];
}

// acquire, one copy per field, commit: the loop body's loads for iteration `iv`.
static void put(channel *c, ir_builder *b, ir_val iv, bool barrier, bool steady) {
  ir_func *func = c->ctx->func;
  ir_map map;
  ir_map_init(func, &map);
  if (c->loop)
    ir_map_set(func, &map, c->loop->regions[0]->params[0], iv);
  ir_op *acquire = on_channel(c, b, IR_ACQUIRE, "barrier", barrier);
  if (steady)
    ir_set_int(func, acquire, "steady", 1);
  for (int i = 0; i < c->nfields; i++) {
    const field *f = &c->fields[i];
    ir_access access = ir_access_of(func, f->load);
    ir_val args[2 + TY_MAX_RANK] = {c->handle, access.tensor};
    for (int d = 0; d < access.rank; d++)
      args[2 + d] = ir_at_iteration(b, &map, c->loop, f->load->args[access.first_sub + d]);
    b->loc = f->load->loc;
    ir_op *copy = ir_build(b, IR_COPY, 2 + (uint32_t)access.rank, args, 0, NULL);
    ir_set_int(func, copy, "field", i);
    ir_set_str(func, copy, "subs", access.subs);
    ir_set_str(func, copy, "engine", f->asynchronous ? "cp.async" : "reg");
    ir_set_int(func, copy, "bytes", f->chunk_bytes);
    if (ir_int(f->load, "inbounds", 0))
      ir_set_int(func, copy, "inbounds", 1);
  }
  on_channel(c, b, IR_COMMIT, "empty", 0);
}

// if (iv < hi) { put } else { empty commit }
static void put_if(channel *c, ir_builder *b, ir_val iv, bool steady) {
  ir_func *func = c->ctx->func;
  ir_val inside = ir_cmp(b, "lt", iv, c->loop->args[1]);
  ir_op *branch = ir_build(b, IR_IF, 1, &inside, 0, NULL);
  ir_builder then = {func, branch->regions[0], NULL, b->loc};
  put(c, &then, iv, false, steady);
  ir_build(&then, IR_YIELD, 0, NULL, 0, NULL);
  ir_builder otherwise = {func, branch->regions[1], NULL, b->loc};
  on_channel(c, &otherwise, IR_COMMIT, "empty", 1);
  ir_build(&otherwise, IR_YIELD, 0, NULL, 0, NULL);
}

static ir_val step_ahead(ir_builder *b, ir_val iv, ir_val step, int64_t count) {
  const ty_type *type = ir_type(b->func, iv);
  if (!count)
    return iv;
  ir_val factor = ir_const_int(b, type->dtype, count);
  return ir_binary(b, IR_ADD, iv, ir_binary(b, IR_MUL, step, factor));
}

static void replace_loads(channel *c) {
  ir_func *func = c->ctx->func;
  for (int i = 0; i < c->nfields; i++) {
    ir_op *load = c->fields[i].load;
    ir_builder b = {func, load->parent, load, load->loc};
    ir_val value = ir_build1(&b, IR_READ, ir_type(func, load->res[0]), 1, &c->handle);
    ir_set_int(func, ir_def(func, value), "field", i);
    ir_replace_uses(func, load->res[0], value);
    ir_unlink(load);
  }
}

static int64_t slot_bytes(const channel *c) {
  int64_t bytes = 0;
  for (int i = 0; i < c->nfields; i++) {
    const ty_type *tile = ir_type(c->ctx->func, c->fields[i].load->res[0]);
    bytes += ty_elems(tile) * tl_dtype_bits(tile->dtype) / 8;
  }
  return bytes;
}

static void pipeline_loop(channel *c) {
  ir_func *func = c->ctx->func;
  ir_op *loop = c->loop;
  declare(c);
  ir_builder before = {func, loop->parent, loop, loop->loc};
  for (int ahead = 0; ahead + 1 < c->depth; ahead++)
    put_if(c, &before, step_ahead(&before, loop->args[0], loop->args[2], ahead), false);
  ir_region *body = loop->regions[0];
  ir_builder top = {func, body, body->first, loop->loc};
  on_channel(c, &top, IR_WAIT, "pending", c->depth - 2);
  // The slot to fill is the one of the previous iteration: every warp has passed this wait, so
  // every warp is done with it.
  put_if(c, &top, step_ahead(&top, body->params[0], loop->args[2], c->depth - 1), true);
  ir_builder end = {func, body, body->last, loop->loc};
  on_channel(c, &end, IR_RELEASE, "barrier", 0);
  replace_loads(c);
  tl_report(c->ctx->diags, loop->loc, DIAG_R401, c->depth - 1, (int)slot_bytes(c), c->depth);
}

// --- finding -----------------------------------------------------------------------------------

static void visit_loop(ir_op *op, void *user) {
  channel proto = *(channel *)user;
  int depth = (int)ir_int(op, "pipeline", 0);
  if (op->code != IR_FOR || depth < 2)
    return;
  channel *c = &proto;
  c->loop = op, c->depth = depth, c->nfields = 0;
  const char *why = "it loads no tile";
  for (ir_op *load = op->regions[0]->first; load; load = load->next) {
    if (load->code != IR_LOAD || c->nfields == MAX_FIELDS)
      continue;
    const char *refused = refuse_copy(c, load, op);
    if (!refused)
      add_field(c, load);
    else if (ty_is_tile(ir_type(c->ctx->func, load->res[0])))
      tl_report(c->ctx->diags, load->loc, DIAG_R201, why = refused);
  }
  if (c->nfields)
    pipeline_loop(c);
  else
    tl_report(c->ctx->diags, op->loc, DIAG_R402, why);
}

// The operation in `region` that holds `op`, or is it.
static ir_op *holder(const ir_region *region, ir_op *op) {
  while (op->parent != region)
    op = op->parent->parent;
  return op;
}

// Reads the slot in front of the dot, through what stands between the load and the operand.
static ir_val read_at(channel *c, ir_builder *b, ir_map *map, ir_val val) {
  ir_func *func = c->ctx->func;
  ir_op *def = ir_def(func, val);
  if (def == c->fields[0].load) {
    ir_val value = ir_build1(b, IR_READ, ir_type(func, val), 1, &c->handle);
    ir_set_int(func, ir_def(func, value), "field", 0);
    ir_map_set(func, map, val, value);
    return value;
  }
  read_at(c, b, map, def->args[0]);
  return ir_clone(b, def, map)->res[0];
}

typedef struct staging {
  channel *c;
  ir_op *last; // behind which the slot is free
} staging;

static void read_in_loops(ir_op *op, void *user) {
  staging *s = user;
  ir_op *load = s->c->fields[0].load;
  if (!ir_is_dot(op))
    return;
  uint32_t args[2] = {0, (uint32_t)ir_dot_b(op)};
  for (int i = 0; i < 2; i++) {
    if (op->parent == load->parent || load_behind(s->c->ctx->func, op->args[args[i]]) != load)
      continue;
    ir_map map;
    ir_map_init(s->c->ctx->func, &map);
    ir_builder here = {s->c->ctx->func, op->parent, op, load->loc};
    op->args[args[i]] = read_at(s->c, &here, &map, op->args[args[i]]);
    s->last = holder(load->parent, op); // the walk is in order
  }
}

// An operand that no pipelined loop brings: one slot, filled where the load stands. It is read
// there, and by dots inside of loops behind it in every round: the slot stays until the last of
// those is done.
static void stage_operand(channel *proto, ir_op *load) {
  channel c = *proto;
  ir_func *func = c.ctx->func;
  const char *refused = refuse_copy(&c, load, NULL);
  if (refused) {
    tl_report(c.ctx->diags, load->loc, DIAG_R201, refused);
    return;
  }
  c.loop = NULL, c.depth = 1, c.nfields = 0;
  add_field(&c, load);
  declare(&c);
  ir_builder b = {func, load->parent, load, load->loc};
  put(&c, &b, (ir_val){0}, true, false);
  on_channel(&c, &b, IR_WAIT, "pending", 0);
  staging s = {&c, load};
  ir_walk(func->body, read_in_loops, &s);
  ir_builder after = {func, load->parent, s.last->next, load->loc};
  on_channel(&c, &after, IR_RELEASE, "barrier", 0);
  replace_loads(&c);
}

static void visit_dot(ir_op *op, void *user) {
  channel *proto = user;
  if (!ir_is_dot(op))
    return;
  ir_op *a = load_behind(proto->ctx->func, op->args[0]);
  if (a)
    stage_operand(proto, a);
  ir_op *b = load_behind(proto->ctx->func, op->args[ir_dot_b(op)]);
  if (b)
    stage_operand(proto, b);
}

bool pass_pipeline(ir_pass_ctx *ctx) {
  channel proto = {.ctx = ctx, .facts = ir_facts_compute(ctx->func, ctx->scratch)};
  if (!(ctx->disabled & IR_NO_PIPELINE))
    ir_walk(ctx->func->body, visit_loop, &proto);
  // Facts speak of value ids: the loop rewriting added values, so look again.
  proto.facts = ir_facts_compute(ctx->func, ctx->scratch);
  ir_walk(ctx->func->body, visit_dot, &proto);
  return true;
}
