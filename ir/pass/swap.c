// swap: a dot whose tile is short along M is multiplied the other way round.
//
// Input   sir without layouts, before mma_pick.   Output  the same dialect.
// Does    dot a[M,K], b[K,N], acc[M,N]  ->  trans(dot trans(b)[N,K], trans(a)[K,M], trans(acc)[N,M])
//         Transposing costs nothing here: it renames the dims of a layout, and the operands of a GEMM
//         with both matrices K-major stand the right way for either order.
// Why     the rows of a tensor-core atom are many (16, and 64 with wgmma), its columns few (8): with
//         8 tokens and 128 weights per tile the weights must be the rows.
// When    {swap="on"} on a loop around the dot, or of its own accord where M is no multiple of 16, or
//         where it is below 64 on an architecture with wgmma and N could fill its rows.
// Keeps   results: every product and every sum is the same, in the same order.
#include "ir/pass_list.h"

static bool is_scaled(const ir_op *dot) { return dot->code == IR_DOT_SCALED; }

static const char *asked(const ir_op *dot) {
  for (const ir_op *loop = dot->parent->parent; loop; loop = loop->parent->parent) {
    const char *word = ir_str(loop, "swap", NULL);
    if (word)
      return word;
    if (!loop->parent)
      break;
  }
  return "auto";
}

static bool should_swap(const ir_pass_ctx *ctx, const ir_op *dot) {
  const ty_type *acc = ir_type(ctx->func, dot->res[0]);
  int64_t m = acc->dims[0], n = acc->dims[1];
  if (n % 16 != 0)
    return false; // the checker has seen to it that M is a multiple of 16 then
  if (m % 16 != 0)
    return true;
  if (ctx->disabled & IR_NO_SWAP)
    return false;
  const char *word = asked(dot);
  if (strcmp(word, "auto") != 0)
    return !strcmp(word, "on");
  return ctx->func->target->features & FEAT_WGMMA && m < 64 && n % 64 == 0;
}

// Two transpositions in a row are none.
static ir_val transposed(ir_builder *b, ir_val val) {
  static const int64_t order[2] = {1, 0};
  const ty_type *from = ir_type(b->func, val);
  if (from->rank != 2)
    return val; // one scale per row or column
  ir_op *def = ir_def(b->func, val);
  if (def && def->code == IR_PERMUTE)
    return def->args[0];
  int64_t dims[2] = {from->dims[1], from->dims[0]};
  const ty_type *type = ty_tile(&b->func->module->types, from->dtype, 2, dims);
  if (def && def->code == IR_SPLAT)
    return ir_splat(b, def->args[0], type);
  ir_val out = ir_build1(b, IR_PERMUTE, type, 1, &val);
  ir_set_ints(b->func, ir_def(b->func, out), "order", 2, order);
  return out;
}

static void swap(ir_func *func, ir_op *dot) {
  ir_builder b = {func, dot->parent, dot, dot->loc};
  uint32_t second = is_scaled(dot) ? 2 : 1, n = 0;
  ir_val args[5];
  for (uint32_t i = 0; i < second; i++) // b and its scales come first
    args[n++] = transposed(&b, dot->args[second + i]);
  for (uint32_t i = 0; i < second; i++)
    args[n++] = transposed(&b, dot->args[i]);
  args[n++] = transposed(&b, dot->args[2 * second]);
  ir_val out = ir_build1(&b, dot->code, ir_type(func, args[n - 1]), n, args);
  ir_op *made = ir_def(func, out);
  for (const ir_attr *attr = dot->attrs; attr; attr = attr->next)
    if (attr->kind == IR_ATTR_STR)
      ir_set_str(func, made, attr->name, attr->s);
    else if (attr->kind == IR_ATTR_INT)
      ir_set_int(func, made, attr->name, attr->i);
  ir_set_int(func, made, "swapped", 1);
  ir_replace_uses(func, dot->res[0], transposed(&b, out));
  ir_unlink(dot);
}

typedef struct found {
  ir_pass_ctx *ctx;
  TL_VEC(ir_op *) dots;
} found;

static void find(ir_op *op, void *user) {
  found *f = user;
  if ((op->code == IR_DOT || is_scaled(op)) && should_swap(f->ctx, op))
    tl_push(f->ctx->scratch, &f->dots, op);
}

bool pass_swap(ir_pass_ctx *ctx) {
  found f = {.ctx = ctx};
  ir_walk(ctx->func->body, find, &f);
  for (uint32_t i = 0; i < f.dots.len; i++) {
    tl_report(ctx->diags, f.dots.data[i]->loc, DIAG_R311);
    swap(ctx->func, f.dots.data[i]);
  }
  if (f.dots.len)
    pass_dce(ctx); // transpositions that nobody wants any more
  return f.dots.len > 0;
}
