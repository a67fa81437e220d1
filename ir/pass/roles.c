// roles: engines for channels that a user placed by hand.
//
// Input   sir without layouts, mma_pick done, roles of a user's own.   Output  every buffer has its
//         shared layout; a fill of a tile that is merely loaded becomes a copy by TMA, else by
//         cp.async, else element by element; dots of two fields become wgmma where the target has
//         it. What stays a fill is computed. Remarks say why.
// Needs   facts (alignment).
//
//   put: acquire; %a = load A; fill %c, %a {field=0}; %s = ..; fill %c, %s {field=1}; commit
//   get: wait; %x = read {field=0}; %y = read {field=1}; %d = dot %x, trans %y, %acc; release
//     ->
//   put: acquire {tx}; copy %c, A {engine="tma", field=0}; %s = ..; fill %c, %s {field=1}; commit
//   get: wait; %p = wgmma %c, %acc {a=0, b=1}; %d = drain %p; release
#include "ir/dot.h"
#include "ir/facts.h"
#include "ir/layout.h"
#include "ir/pass_list.h"
#include "ir/pipeline_util.h"

enum { MAX_MAPS = 8, MAX_BOX = 256, SPAN_BYTES = 128 };

typedef struct lowering {
  ir_pass_ctx *ctx;
  ir_func *func;
  ir_facts *facts;
  uint32_t *uses;
} lowering;

static void report(lowering *l, tl_span loc, tl_diag_id id, const char *why) {
  tl_report(l->ctx->diags, loc, id, why);
}

// --- buffers ------------------------------------------------------------------------------------

static void lay_out(ir_op *op, void *user) {
  lowering *l = user;
  if (op->code != IR_CHANNEL)
    return;
  for (uint32_t i = 0; i < op->nargs; i++) {
    const ty_type *buf = ir_type(l->func, op->args[i]);
    const ty_type *tile =
        ty_tile(&l->func->module->types, buf->dtype, buf->rank - 1, buf->dims + 1);
    ir_layout layout = ir_buffer_layout(l->ctx, tile, false);
    l->func->vals.data[op->args[i].id].layout = ir_layout_intern(l->func, &layout);
  }
}

// --- put: who brings the field ------------------------------------------------------------------

// The acquire of the put block that the operation stands in directly; NULL.
static ir_op *acquire_before(const ir_op *op) {
  for (ir_op *at = op->prev; at; at = at->prev)
    if (at->code == IR_ACQUIRE && ir_same(at->args[0], op->args[0]))
      return at;
  return NULL;
}

static const ir_layout *field_layout(const lowering *l, const ir_op *fill) {
  const ir_op *channel = ir_def(l->func, fill->args[0]);
  return ir_info_of(l->func, channel->args[ir_int(fill, "field", 0)])->layout;
}

// NULL: hardware can copy it by itself, in any way.
static const char *refuse_copy(const lowering *l, const ir_op *fill, const ir_op *load) {
  if (!load || load->code != IR_LOAD)
    return "its value is computed";
  ir_access access = ir_access_of(l->func, load);
  if (l->uses[load->res[0].id] > 1)
    return "its value is used elsewhere too";
  if (load->parent != fill->parent)
    return "it is loaded outside of the put block";
  if (ir_some(access.mask) || ir_some(access.other))
    return "it has a mask or a fill value";
  if (strchr(access.subs, 'g'))
    return "it gathers by index";
  if (!ir_reads_only_input(l->func, &access))
    return "the kernel may write the tensor";
  return NULL;
}

static int count_maps(const ir_func *func) {
  int maps = 0;
  for (uint32_t i = 0; i < func->params.len; i++)
    maps += func->params.data[i].kind == IR_PARAM_TMAP;
  return maps;
}

static const char *refuse_tma(const lowering *l, const ir_op *fill, const ir_op *load) {
  if (!(l->func->target->features & FEAT_TMA))
    return "the architecture has no TMA";
  ir_access access = ir_access_of(l->func, load);
  const ty_type *tile = ir_type(l->func, load->res[0]);
  const ir_layout *layout = field_layout(l, fill);
  int64_t row_bytes = tile->dims[tile->rank - 1] * tl_dtype_bits(tile->dtype) / 8;
  int64_t span = layout->swizzle_bytes ? layout->swizzle_bytes : row_bytes;
  if (access.subs[access.rank - 1] != 'r')
    return "the tile does not run along the tensor's last dimension";
  if (ir_access_align(l->facts, load) < 16)
    return "rows are not known to start at multiples of 16 bytes";
  if (layout->pad_bytes || row_bytes % 16)
    return "rows of the tile are no multiple of 32 bytes";
  for (int d = 0; d + 1 < tile->rank; d++)
    if (tile->dims[d] > MAX_BOX)
      return "a dimension of the tile is above 256";
  if (span * 8 / tl_dtype_bits(tile->dtype) > MAX_BOX)
    return "a dimension of the tile is above 256";
  if (!acquire_before(fill))
    return "it is not put on every path of its block";
  if (count_maps(l->func) == MAX_MAPS)
    return "the kernel has 8 descriptors already";
  return NULL;
}

// The parameter that describes the tensor in boxes of one span; a new one where there is none yet.
static int descriptor(lowering *l, const ir_op *load, const ir_layout *layout) {
  ir_func *func = l->func;
  ir_access access = ir_access_of(func, load);
  const ty_type *tile = ir_type(func, load->res[0]);
  const char *name = ir_str(ir_def(func, access.tensor), "name", "");
  int64_t box[TY_MAX_RANK];
  for (int d = 0, dim = 0; d < access.rank; d++)
    box[d] = access.subs[d] == 'r' ? tile->dims[dim++] : 1;
  if (layout->swizzle_bytes)
    box[access.rank - 1] = layout->swizzle_bytes * 8 / tl_dtype_bits(tile->dtype);
  for (uint32_t i = 0; i < func->params.len; i++) {
    const ir_param *p = &func->params.data[i];
    if (p->kind == IR_PARAM_TMAP && !strcmp(p->name, name) && p->swizzle == layout->swizzle_bytes &&
        p->nbox == access.rank && !memcmp(p->box, box, sizeof *box * (size_t)access.rank))
      return (int)i;
  }
  ir_add_param(func, IR_PARAM_TMAP, name, ty_ptr(&func->module->types, tile->dtype));
  ir_param *param = &tl_last(&func->params);
  param->nbox = access.rank;
  param->swizzle = layout->swizzle_bytes;
  memcpy(param->box, box, sizeof *box * (size_t)access.rank);
  return (int)func->params.len - 1;
}

// By TMA with descriptor `map`; map < 0: by all threads of the role, in chunks of bytes.
static void make_copy(lowering *l, ir_op *fill, ir_op *load, int map, const char *engine,
                      int chunk) {
  ir_access access = ir_access_of(l->func, load);
  ir_val args[2 + TY_MAX_RANK] = {fill->args[0], access.tensor};
  for (int d = 0; d < access.rank; d++)
    args[2 + d] = load->args[access.first_sub + d];
  ir_builder b = {l->func, fill->parent, fill, load->loc};
  ir_op *copy = ir_build(&b, IR_COPY, 2 + (uint32_t)access.rank, args, 0, NULL);
  ir_set_int(l->func, copy, "field", ir_int(fill, "field", 0));
  ir_set_str(l->func, copy, "subs", access.subs);
  ir_set_str(l->func, copy, "engine", engine);
  if (map >= 0)
    ir_set_int(l->func, copy, "map", map);
  else
    ir_set_int(l->func, copy, "bytes", chunk);
  if (ir_int(load, "inbounds", 0))
    ir_set_int(l->func, copy, "inbounds", 1);
  ir_unlink(fill);
  ir_unlink(load);
}

static void announce(lowering *l, ir_op *acquire, const ir_op *load) {
  const ty_type *tile = ir_type(l->func, load->res[0]);
  int64_t bytes = ty_elems(tile) * tl_dtype_bits(tile->dtype) / 8;
  ir_set_int(l->func, acquire, "tx", ir_int(acquire, "tx", 0) + bytes);
}

static void lower_fill(ir_op *fill, void *user) {
  lowering *l = user;
  if (fill->code != IR_FILL)
    return;
  ir_op *load = ir_def(l->func, fill->args[1]);
  const char *why = refuse_copy(l, fill, load);
  if (why) {
    report(l, fill->loc, DIAG_R202, why);
    return;
  }
  why = refuse_tma(l, fill, load);
  if (!why) {
    announce(l, acquire_before(fill), load);
    make_copy(l, fill, load, descriptor(l, load, field_layout(l, fill)), "tma", 0);
    return;
  }
  report(l, fill->loc, DIAG_R202, why);
  int chunk = l->ctx->disabled & IR_NO_CP_ASYNC ? 0 : ir_copy_chunk(l->func, l->facts, load);
  if (chunk)
    make_copy(l, fill, load, -1, "cp.async", chunk);
  else // element by element, but never the whole tile at once
    make_copy(l, fill, load, -1, "reg", tl_dtype_bits(ir_type(l->func, load->res[0])->dtype) / 8);
}

// --- get: which unit multiplies -----------------------------------------------------------------

typedef struct product {
  ir_op *dot;
  const ir_op *a, *b; // reads; a NULL: in registers
  bool b_by_k;
  int64_t promote; // K of one sum in the tensor core; 0: no limit
} product;

static bool is_scaled(const product *p) { return p->dot->code == IR_DOT_SCALED; }

// Tensor cores read what came by TMA, or by stores behind a fence; cp.async has neither.
static void note_async(ir_op *op, void *user) {
  const ir_op **read = user;
  if (*read && op->code == IR_COPY && !strcmp(ir_str(op, "engine", ""), "cp.async") &&
      ir_same(op->args[0], (*read)->args[0]) &&
      ir_int(op, "field", 0) == ir_int(*read, "field", 0))
    *read = NULL;
}

// Is the slot that was read still held where the dot stands?
static bool is_held(const ir_op *read, const ir_op *dot) {
  while (dot && dot->parent != read->parent)
    dot = dot->parent ? dot->parent->parent : NULL;
  for (const ir_op *at = read; dot && at; at = at->next) {
    if (at == dot)
      return true;
    if (at->code == IR_RELEASE && ir_same(at->args[0], read->args[0]))
      return false;
  }
  return false;
}

// The field behind the value as a tensor core can read it: rows in spans of 128 bytes; NULL.
static const ir_op *field_behind(const lowering *l, const ir_op *dot, const ir_op *read) {
  if (!read || read->code != IR_READ || !is_held(read, dot))
    return NULL;
  const ir_op *channel = ir_def(l->func, read->args[0]);
  ir_val buffer = channel->args[ir_int(read, "field", 0)];
  if (ir_type(l->func, buffer)->rank != 3 ||
      ir_info_of(l->func, buffer)->layout->swizzle_bytes != SPAN_BYTES)
    return NULL;
  ir_walk(l->func->body, note_async, &read);
  return read;
}

static const char *refuse_types(const lowering *l, const product *p) {
  const ty_type *acc = ir_type(l->func, p->dot->res[0]);
  const ty_type *a = ir_type(l->func, p->dot->args[0]);
  const ty_type *b = ir_type(l->func, p->dot->args[ir_dot_b(p->dot)]);
  bool wide = a->dtype == b->dtype && (a->dtype == TL_BF16 || a->dtype == TL_F16);
  bool narrow = (a->dtype == TL_F8E4M3 || a->dtype == TL_F8E5M2) &&
                (b->dtype == TL_F8E4M3 || b->dtype == TL_F8E5M2);
  if (!narrow && !wide)
    return "its operands are not bf16, f16 or fp8";
  if (acc->dtype != TL_F32)
    return "its accumulator is not f32";
  int warps = ir_warps_at(l->func, p->dot);
  if (warps % 4 || acc->dims[0] % (16 * warps))
    return "M of the tile is no multiple of 64 for each warpgroup of the role";
  if (acc->dims[1] > 256 || acc->dims[0] / (16 * warps) * acc->dims[1] > 256)
    return "the tile is above 64 x 256 for each warpgroup of the role";
  if (p->promote && p->promote != a->dims[1])
    return "K of the tile is not the promotion interval";
  if (is_scaled(p) && ir_dot_scales_natively(l->func, p->dot))
    return "its scales are ue8m0";
  if (is_scaled(p) && ir_int(p->dot, "granularity", 0) != a->dims[1])
    return "K of the tile is not the granularity of the scales";
  return NULL;
}

static const char *find_product(const lowering *l, ir_op *dot, product *p) {
  *p = (product){.dot = dot, .promote = ir_int(dot, "promote", 0)};
  const ir_op *b = ir_def(l->func, dot->args[ir_dot_b(dot)]);
  p->a = field_behind(l, dot, ir_def(l->func, dot->args[0]));
  p->b_by_k = b && b->code == IR_READ;
  if (b && b->code == IR_PERMUTE)
    b = ir_def(l->func, b->args[0]);
  p->b = field_behind(l, dot, b);
  if (!p->b)
    return "its second operand is no field of a slot held here with rows of 128 bytes";
  if (p->b_by_k && tl_dtype_bits(ir_type(l->func, dot->args[ir_dot_b(dot)])->dtype) != 16)
    return "its second operand has no K innermost, as elements of 8 bits must";
  return refuse_types(l, p);
}

static bool is_zero(const lowering *l, ir_val val) {
  double value;
  return ir_is_const_float(l->func, val, &value) && value == 0;
}

static ir_val build_wgmma(lowering *l, ir_builder *b, const product *p, ir_val acc_or_none) {
  ir_val args[4] = {p->b->args[0]};
  uint32_t nargs = 1;
  if (!p->a)
    args[nargs++] = p->dot->args[0];
  else if (!ir_same(p->a->args[0], p->b->args[0]))
    args[nargs++] = p->a->args[0];
  if (ir_some(acc_or_none))
    args[nargs++] = acc_or_none;
  const ty_type *tile = ir_type(l->func, p->dot->res[0]);
  ir_val part = ir_build1(b, IR_WGMMA, tile, nargs, args);
  ir_op *op = ir_def(l->func, part);
  if (p->a)
    ir_set_int(l->func, op, "a", ir_int(p->a, "field", 0));
  ir_set_int(l->func, op, "b", ir_int(p->b, "field", 0));
  if (p->b_by_k)
    ir_set_int(l->func, op, "b_by_k", 1);
  return ir_build1(b, IR_DRAIN, tile, 1, &part);
}

// acc + a * b; acc + (sa * sb) * (a * b) in one rounding.
static void make_wgmma(lowering *l, const product *p) {
  ir_func *func = l->func;
  const ty_type *tile = ir_type(func, p->dot->res[0]);
  ir_builder b = {func, p->dot->parent, p->dot, p->dot->loc};
  ir_val acc = p->dot->args[ir_dot_acc(p->dot)];
  bool zero = is_zero(l, acc), fresh = p->promote || zero || is_scaled(p);
  ir_val sum = build_wgmma(l, &b, p, fresh ? (ir_val){0} : acc);
  if (is_scaled(p)) {
    ir_val scale = ir_binary(&b, IR_MUL, ir_spread(&b, p->dot->args[1], 1, tile),
                             ir_spread(&b, p->dot->args[3], 0, tile));
    ir_val fma[3] = {sum, scale, acc};
    sum = ir_build1(&b, IR_FMA, tile, 3, fma);
  } else if (fresh && !zero) {
    sum = ir_binary(&b, IR_ADD, acc, sum);
  }
  ir_replace_uses(func, p->dot->res[0], sum);
  ir_unlink(p->dot);
}

static void lower_dot(ir_op *op, void *user) {
  lowering *l = user;
  product p;
  if (!ir_is_dot(op) || !(l->func->target->features & FEAT_WGMMA))
    return;
  const char *why = find_product(l, op, &p);
  if (why)
    report(l, op->loc, DIAG_R303, why);
  else
    make_wgmma(l, &p);
}

// A read that only a wgmma wanted is the descriptor's business now.
static void drop_unused(ir_op *op, void *user) {
  lowering *l = user;
  if (op->code == IR_READ && !l->uses[op->res[0].id])
    ir_unlink(op);
}

bool pass_roles(ir_pass_ctx *ctx) {
  ir_func *func = ctx->func;
  if (!ir_has_own_roles(func))
    return false;
  lowering l = {.ctx = ctx, .func = func, .facts = ir_facts_compute(func, ctx->scratch)};
  l.uses = ir_count_uses(func, ctx->scratch);
  ir_walk(func->body, lay_out, &l);
  ir_walk(func->body, lower_fill, &l);
  ir_walk(func->body, lower_dot, &l);
  pass_dce(ctx); // transposes of fields, subscripts
  l.uses = ir_count_uses(func, ctx->scratch);
  ir_walk(func->body, drop_unused, &l);
  for (const ir_op *op = func->body->first; op; op = op->next)
    if (op->code == IR_ROLE && ir_int(op, "regs", 0))
      func->min_ctas = 1; // registers are moved within the one CTA of a multiprocessor
  return true;
}
