// split_k: the iterations of a loop that accumulates a dot, divided among the CTAs of a cluster.
//
// Input   sir without layouts, before mma_pick.   Output  func->cluster = N, a grid N times as large.
// Does    rank = bid % N takes the iterations [rank * c, rank * c + c) of the loop marked
//         {split_k=N}; every other use of the block index becomes bid / N. Behind the loop the CTAs
//         add their accumulators in rank order, each for its own rows of the tile, and store those.
//
//   acc = for k in lo .. hi { acc = dot .. }           acc  = for k in lo + rank*c .. { acc = dot .. }
//   store D[m, n], cast acc : [BM, BN]           ->    part = cluster_sum acc      : [BM/N, BN]
//                                                      store D[m + rank*BM/N, n], cast part
//
// Why     with few tiles, most SMs would watch a few stream the weights. Before specialize, which then
//         sees a loop like any other.
// Refuses loops whose sum does not start at zero, carries more than the dot, or is used in another way
//         than through elementwise operations by a store; a remark R313 says which.
#include "ir/pass_list.h"

typedef struct split {
  ir_pass_ctx *ctx;
  ir_func *func;
  ir_op *loop;
  int64_t parts;
  ir_val rank;
} split;

// --- does it qualify? --------------------------------------------------------------------------

static ir_val through_permutes(const ir_func *func, ir_val val) {
  for (ir_op *def = ir_def(func, val); def && def->code == IR_PERMUTE; def = ir_def(func, val))
    val = def->args[0];
  return val;
}

static bool starts_at_zero(const ir_func *func, ir_val init) {
  double value;
  return ir_is_const_float(func, through_permutes(func, init), &value) && value == 0.0;
}

// The yielded value is a dot that accumulates into the carried one, and nothing else reads that.
static bool is_dot_sum(const split *s) {
  const ir_region *body = s->loop->regions[0];
  const ir_op *dot = ir_def(s->func, through_permutes(s->func, body->last->args[0]));
  if (!dot || (dot->code != IR_DOT && dot->code != IR_DOT_SCALED) || dot->parent != body)
    return false;
  ir_val acc = through_permutes(s->func, dot->args[dot->nargs - 1]);
  return ir_same(acc, body->params[1]);
}

typedef struct users {
  ir_val val;
  TL_VEC(ir_op *) ops;
  tl_arena *arena;
} users;

static void note_user(ir_op *op, void *user) {
  users *u = user;
  for (uint32_t i = 0; i < op->nargs; i++)
    if (ir_same(op->args[i], u->val)) {
      tl_push(u->arena, &u->ops, op);
      return;
    }
}

static users users_of(const split *s, ir_val val) {
  users u = {.val = val, .arena = s->ctx->scratch};
  ir_walk(s->func->body, note_user, &u);
  return u;
}

static bool is_elementwise(const split *s, const ir_op *op) {
  if (op->code < IR_NEG || op->code > IR_SELECT || // ORDER ops.def
      !ty_same_shape(ir_type(s->func, op->args[0]), ir_type(s->func, op->res[0])))
    return false;
  for (uint32_t i = 0; i < op->nargs; i++) {
    const ir_op *def = ir_def(s->func, op->args[i]);
    bool uniform = def && def->code == IR_SPLAT;
    bool first = i == 0;
    if (!first && !uniform)
      return false;
  }
  return true;
}

static const char *refuse_store(const split *s, const ir_op *op, ir_val val) {
  ir_access access = ir_access_of(s->func, op);
  if (!ir_same(access.value, val))
    return "the sum is an index or a mask";
  if (ir_some(access.mask))
    return "the sum is stored under a mask";
  return strcmp(access.subs, "rr") ? "the sum is not stored as a range of two dims" : NULL;
}

static const char *refuse_users(const split *s, ir_val val) {
  users u = users_of(s, val);
  for (uint32_t i = 0; i < u.ops.len; i++) {
    ir_op *op = u.ops.data[i];
    const char *why = op->code == IR_STORE       ? refuse_store(s, op, val)
                      : is_elementwise(s, op) && ir_same(op->args[0], val)
                          ? refuse_users(s, op->res[0])
                          : "the sum is used by more than elementwise operations and stores";
    if (why)
      return why;
  }
  return NULL;
}

static bool is_block_count(const split *s, ir_val val) {
  const ir_op *def = ir_def(s->func, val);
  return def && def->code == IR_NBLOCKS;
}

static bool is_block_index(const split *s, ir_val val) {
  const ir_op *def = ir_def(s->func, val);
  return def && def->code == IR_BID && ir_int(def, "axis", 0) == 0;
}

// Every CTA of a cluster must come by as often, and once: its shared memory is not fed again.
static const char *refuse_nest(const split *s) {
  for (const ir_op *op = s->loop->parent->parent; op && op->parent; op = op->parent->parent) {
    if (op->code == IR_ROLE)
      continue;
    bool over_tiles = op->code == IR_FOR && is_block_index(s, op->args[0]) &&
                      is_block_count(s, op->args[2]);
    if (!over_tiles)
      return "the loop stands inside another one or under a condition";
  }
  return NULL;
}

static const char *refuse(const split *s) {
  const ty_type *tile = s->loop->nres == 1 ? ir_type(s->func, s->loop->res[0]) : NULL;
  if (s->func->target->capability < 90)
    return "the architecture has no clusters";
  if (s->func->cluster)
    return "the kernel has clusters already";
  if (!tile || !ty_is_tile(tile) || tile->rank != 2 || tile->dtype != TL_F32)
    return "the loop carries something else than one f32 tile";
  if (tile->dims[0] % s->parts)
    return "the rows of the tile cannot be divided among the CTAs";
  if (!starts_at_zero(s->func, s->loop->args[3]))
    return "the sum does not start at zero";
  if (!is_dot_sum(s))
    return "the loop does more than accumulating one dot";
  const char *why = refuse_nest(s);
  return why ? why : refuse_users(s, s->loop->res[0]);
}

// --- rewriting ---------------------------------------------------------------------------------

static void collect_blocks(ir_op *op, void *user) {
  users *u = user;
  if ((op->code == IR_BID || op->code == IR_NBLOCKS) && ir_int(op, "axis", 0) == 0)
    tl_push(u->arena, &u->ops, op);
}

// Block index and count as the program sees them; rank for ourselves.
static void divide_blocks(split *s) {
  users u = {.arena = s->ctx->scratch};
  ir_walk(s->func->body, collect_blocks, &u);
  ir_region *top = s->func->body->first->regions[0];
  ir_builder b = {s->func, top, top->first, s->loop->loc};
  const ty_type *i32 = ty_scalar(&s->func->module->types, TL_I32);
  ir_val parts = ir_const_int(&b, TL_I32, s->parts);
  ir_val bid = ir_build1(&b, IR_BID, i32, 0, NULL), count = ir_build1(&b, IR_NBLOCKS, i32, 0, NULL);
  ir_set_int(s->func, ir_def(s->func, bid), "axis", 0);
  ir_set_int(s->func, ir_def(s->func, count), "axis", 0);
  ir_val tile = ir_binary(&b, IR_DIV, bid, parts), tiles = ir_binary(&b, IR_DIV, count, parts);
  s->rank = ir_binary(&b, IR_REM, bid, parts);
  for (uint32_t i = 0; i < u.ops.len; i++) {
    ir_op *op = u.ops.data[i];
    ir_replace_uses(s->func, op->res[0], op->code == IR_BID ? tile : tiles);
    ir_unlink(op);
  }
}

// One CTA per tile and part: persistent programs would come by a second time.
static void enlarge_grid(split *s) {
  static const char persistent[] = "persistent(";
  const char *text = s->func->grid[0];
  if (tl_starts_with(text, persistent))
    text = tl_sprintf(s->func->module->arena, "%.*s", (int)(strlen(text) - sizeof persistent),
                      text + sizeof persistent - 1);
  s->func->grid[0] =
      tl_sprintf(s->func->module->arena, "(%s) * %lld", text, (long long)s->parts);
}

// [lo, hi) in steps becomes this rank's part of it: c = ceil(ceil((hi - lo) / step) / parts) steps.
static void divide_loop(split *s) {
  ir_op *loop = s->loop;
  ir_builder b = {s->func, loop->parent, loop, loop->loc};
  ir_val lo = loop->args[0], hi = loop->args[1], step = loop->args[2];
  ir_val one = ir_const_int(&b, TL_I32, 1), parts = ir_const_int(&b, TL_I32, s->parts);
  ir_val rounds = ir_binary(&b, IR_ADD, ir_binary(&b, IR_SUB, hi, lo), ir_binary(&b, IR_SUB, step, one));
  rounds = ir_binary(&b, IR_DIV, rounds, step);
  rounds = ir_binary(&b, IR_ADD, rounds, ir_const_int(&b, TL_I32, s->parts - 1));
  ir_val chunk = ir_binary(&b, IR_MUL, ir_binary(&b, IR_DIV, rounds, parts), step);
  ir_val from = ir_binary(&b, IR_ADD, lo, ir_binary(&b, IR_MUL, s->rank, chunk));
  loop->args[0] = from;
  loop->args[1] = ir_binary(&b, IR_MIN, hi, ir_binary(&b, IR_ADD, from, chunk));
  ir_set_int(s->func, loop, "split_k", 0);
}

static void retype_rows(split *s, ir_val val, int64_t rows) {
  const ty_type *old = ir_type(s->func, val);
  int64_t dims[2] = {rows, old->dims[1]};
  s->func->vals.data[val.id].type = ty_tile(&s->func->module->types, old->dtype, 2, dims);
}

// What follows the sum works on this CTA's rows.
static void narrow_users(split *s, ir_val val, int64_t rows) {
  users u = users_of(s, val);
  for (uint32_t i = 0; i < u.ops.len; i++) {
    ir_op *op = u.ops.data[i];
    ir_builder b = {s->func, op->parent, op, op->loc};
    if (op->code == IR_STORE) {
      ir_val *start = &op->args[ir_access_of(s->func, op).first_sub];
      ir_val skip = ir_binary(&b, IR_MUL, s->rank, ir_const_int(&b, TL_I32, rows));
      *start = ir_binary(&b, IR_ADD, *start, skip);
      continue;
    }
    retype_rows(s, op->res[0], rows);
    for (uint32_t j = 1; j < op->nargs; j++)
      op->args[j] = ir_splat(&b, ir_def(s->func, op->args[j])->args[0], ir_type(s->func, val));
    narrow_users(s, op->res[0], rows);
  }
}

static void add_up(split *s) {
  const ty_type *whole = ir_type(s->func, s->loop->res[0]);
  int64_t rows = whole->dims[0] / s->parts;
  ir_builder b = {s->func, s->loop->parent, s->loop->next, s->loop->loc};
  int64_t dims[2] = {rows, whole->dims[1]};
  const ty_type *part = ty_tile(&s->func->module->types, whole->dtype, 2, dims);
  // Made for another value first: it must not count among the users it serves.
  ir_val sum = ir_build1(&b, IR_CLUSTER_SUM, part, 1, &s->loop->args[3]);
  ir_set_int(s->func, ir_def(s->func, sum), "last", 1); // one tile per CTA: nothing is fed any more
  ir_replace_uses(s->func, s->loop->res[0], sum);
  ir_def(s->func, sum)->args[0] = s->loop->res[0];
  narrow_users(s, sum, rows);
  tl_report(s->ctx->diags, s->loop->loc, DIAG_R312, (int)s->parts, (int)rows);
}

static void find_loop(ir_op *op, void *user) {
  split *s = user;
  if (op->code == IR_FOR && ir_int(op, "split_k", 0) > 1 && !s->loop)
    s->loop = op;
}

bool pass_split_k(ir_pass_ctx *ctx) {
  split s = {.ctx = ctx, .func = ctx->func};
  ir_walk(ctx->func->body, find_loop, &s);
  if (!s.loop)
    return false;
  s.parts = ir_int(s.loop, "split_k", 0);
  const char *why = refuse(&s);
  if (why) {
    tl_report(ctx->diags, s.loop->loc, DIAG_R313, why);
    return false;
  }
  divide_blocks(&s);
  enlarge_grid(&s);
  divide_loop(&s);
  add_up(&s);
  s.func->cluster = (int)s.parts;
  return true;
}
