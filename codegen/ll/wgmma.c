// wgmma: one m64nN product per warpgroup and step of 32 bytes of K; b in shared memory, a there or in
// registers.
//
// LLVM has no intrinsic: inline asm that returns the accumulators as a struct, tied to its inputs,
// so that ptxas sees them stay in their registers. The wait is an asm tied to the same registers:
// an untied one would let a use slip above it. Product and wait are two operations, so that loads
// can be issued between them; every product is drained in its own iteration, since with one in
// flight across the back edge of our loops ptxas serialises (C7514, 13.0.88).
#include "codegen/ll/shared.h"

enum { STEP_BYTES = 32, SPAN_BYTES = 128, MAX_REGS = 128 };

typedef struct product {
  int n, regs; // columns, accumulators per thread
  tl_dtype a, b;
  bool a_in_regs, b_by_k;
  ll_t result; // struct of `regs` floats
} product;

static const char *type_name(tl_dtype dtype) {
  switch (dtype) {
  case TL_BF16:
    return "bf16";
  case TL_F16:
    return "f16";
  case TL_F8E4M3:
    return "e4m3";
  case TL_F8E5M2:
    return "e5m2";
  default:
    TL_UNREACHABLE("wgmma on %s", tl_dtype_name(dtype));
  }
}

// "$0,$1,..": the accumulators in the text.
static void list_registers(tl_buf *text, int count) {
  for (int i = 0; i < count; i++)
    tl_buf_printf(text, i ? ",$%d" : "$%d", i);
}

// "=&f,=&f,..,0,1,..": early clobber keeps a constant zero out of an accumulator's register.
static void list_constraints(tl_buf *out, int count, bool tied) {
  for (int i = 0; i < count; i++)
    tl_buf_puts(out, i ? ",=&f" : "=&f");
  for (int i = 0; i < count && tied; i++)
    tl_buf_printf(out, ",%d", i);
}

static ll_v call_asm(ll_ctx *c, const product *p, const char *text, const char *constraints,
                     ll_v *args, int nargs) {
  ll_t types[MAX_REGS + 6];
  for (int i = 0; i < nargs; i++)
    types[i] = LLVMTypeOf(args[i]);
  ll_t type = LLVMFunctionType(p->result, types, (unsigned)nargs, false);
  ll_v callee = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true,
                                 false, LLVMInlineAsmDialectATT, false);
  ll_v call = LLVMBuildCall2(c->b, type, callee, args, (unsigned)nargs, "");
  ll_convergent(c, call);
  return call;
}

static void take_results(ll_ctx *c, const product *p, ll_v call, ll_v *regs) {
  for (int i = 0; i < p->regs; i++)
    regs[i] = LLVMBuildExtractValue(c->b, call, (unsigned)i, "");
}

// One instruction. `a`: a descriptor, or four words of registers.
static void issue(ll_ctx *c, const product *p, ll_v *regs, const ll_v *a, ll_v b, ll_v accumulate) {
  tl_buf text = {0}, constraints = {0};
  bool wide = tl_dtype_bits(p->a) == 16;
  int in = 2 * p->regs, na = p->a_in_regs ? 4 : 1;
  tl_buf_printf(&text, "wgmma.mma_async.sync.aligned.m64n%dk%d.f32.%s.%s {", p->n, wide ? 16 : 32,
                type_name(p->a), type_name(p->b));
  list_registers(&text, p->regs);
  tl_buf_printf(&text, p->a_in_regs ? "}, {$%d,$%d,$%d,$%d}" : "}, $%d", in, in + 1, in + 2, in + 3);
  tl_buf_printf(&text, ", $%d, $%d, 1, 1", in + na, in + na + 1);
  if (wide) // which operands have K outermost; one in registers is not asked
    tl_buf_printf(&text, p->a_in_regs ? ", %d" : ", 0, %d", p->b_by_k);
  tl_buf_putc(&text, ';');
  list_constraints(&constraints, p->regs, true);
  tl_buf_puts(&constraints, p->a_in_regs ? ",r,r,r,r,l,b" : ",l,l,b");
  ll_v args[MAX_REGS + 6];
  memcpy(args, regs, sizeof *regs * (size_t)p->regs);
  memcpy(args + p->regs, a, sizeof *a * (size_t)na);
  args[p->regs + na] = b, args[p->regs + na + 1] = accumulate;
  take_results(c, p, call_asm(c, p, text.data, constraints.data, args, p->regs + na + 2), regs);
  tl_buf_free(&text);
  tl_buf_free(&constraints);
}

static void wait_all(ll_ctx *c, const product *p, ll_v *regs) {
  tl_buf constraints = {0};
  list_constraints(&constraints, p->regs, true);
  tl_buf_puts(&constraints, ",~{memory}");
  ll_v call = call_asm(c, p, "wgmma.wait_group.sync.aligned 0;", constraints.data, regs, p->regs);
  take_results(c, p, call, regs);
  tl_buf_free(&constraints);
}

// 128-byte swizzle: start >> 4 | leading >> 4 << 16 | (8 rows * 128 bytes >> 4) << 32 | 1 << 62. The
// leading distance is that between spans, asked for where the spans run along N; else 1.
static ll_v low_word(ll_ctx *c, ll_v address, int64_t leading) {
  ll_v start = LLVMBuildPtrToInt(c->b, address, c->t_i32, "");
  start = LLVMBuildLShr(c->b, start, ll_i32(c, 4), "");
  return LLVMBuildOr(c->b, start, ll_i32(c, leading << 16), "");
}

// Of the consumer's slot, the tile shifted by `rows` bytes.
static ll_v walking_word(ll_ctx *c, ll_channel *channel, int index, ll_v rows) {
  for (uint32_t i = 0; i < channel->walkers.len; i++)
    if (channel->walkers.data[i].field == index)
      return LLVMBuildLoad2(c->b, c->t_i32, channel->walkers.data[i].at, "");
  ll_field field = ll_field_of(c, channel, index);
  ll_walker walker = {.field = index, .step = ir_stage_bytes(field.layout, field.buf) >> 4};
  LLVMBasicBlockRef back = ll_enter_entry(c);
  ll_v base = ll_offset(c, c->smem, ll_i32(c, ir_int(field.buffer, "offset", 0)));
  walker.first = low_word(c, ll_offset(c, base, rows), 1);
  walker.at = ll_alloca(c, c->t_i32, "operand");
  LLVMBuildStore(c->b, walker.first, walker.at);
  ll_leave_entry(c, back);
  tl_push(c->arena, &channel->walkers, walker);
  return LLVMBuildLoad2(c->b, c->t_i32, walker.at, "");
}

static ll_v descriptor(ll_ctx *c, ll_channel *channel, int index, ll_v rows, int64_t leading) {
  ll_field field = ll_field_of(c, channel, index);
  bool walks = channel->fed && !channel->hand && channel->depth > 1 && leading == 1;
  ll_v low = walks ? walking_word(c, channel, index, rows)
                   : low_word(c, ll_offset(c, ll_stage(c, channel, &field, false), rows), leading);
  low = LLVMBuildZExt(c->b, low, c->t_i64, "");
  return LLVMBuildOr(c->b, low, ll_i64(c, (int64_t)(1ull << 62 | 64ull << 32)), "");
}

// Row `row` and byte `byte` of it within a tile of `rows`: whole spans lie behind one another.
static ll_v at_row(ll_ctx *c, ll_v base, int64_t rows, int64_t row, int64_t byte) {
  int64_t offset = (byte / SPAN_BYTES * rows + row) * SPAN_BYTES + byte % SPAN_BYTES;
  return LLVMBuildAdd(c->b, base, ll_i64(c, offset >> 4), "");
}

static ll_t floats(ll_ctx *c, int count) {
  ll_t types[MAX_REGS];
  TL_ASSERT(count <= MAX_REGS, "%d accumulators per thread", count);
  for (int i = 0; i < count; i++)
    types[i] = c->t_float;
  return LLVMStructTypeInContext(c->cx, types, (unsigned)count, false);
}

// The part of the product that one operation makes: `blocks` times 64 rows per warpgroup.
typedef struct part {
  product p;
  int blocks, row, col;
  int64_t block_rows; // between two blocks of one warpgroup
} part;

static part part_of(ll_ctx *c, const ir_op *op, ir_val tile) {
  const ty_type *type = ir_type(c->func, tile);
  part of = {.p = {.n = (int)type->dims[1], .regs = (int)type->dims[1] / 2},
             .block_rows = 16 * c->func->warps,
             .row = (int)ir_int(op, "row", 0),
             .col = (int)ir_int(op, "col", 0)};
  of.blocks = (int)(type->dims[0] / of.block_rows);
  TL_ASSERT(ir_layout_regs(ll_layout(c, tile)) == of.blocks * of.p.regs, "wgmma: foreign layout");
  of.p.result = floats(c, of.p.regs);
  return of;
}

// The operands of one wgmma, where they lie.
typedef struct sources {
  ir_wgmma ir;
  ll_v at_a, at_b; // descriptors of the first element
  ll_v *a_words;   // of an operand in registers
  int64_t steps, rows_a, rows_b;
} sources;

static sources sources_of(ll_ctx *c, const ir_op *op, product *p) {
  sources s = {.ir = ir_wgmma_of(c->func, op)};
  p->a = s.ir.type_a->dtype, p->b = s.ir.type_b->dtype;
  p->a_in_regs = ir_some(s.ir.a), p->b_by_k = s.ir.b_by_k;
  s.rows_a = s.ir.type_a->dims[0], s.rows_b = s.ir.type_b->dims[0];
  s.steps = s.ir.type_a->dims[1] * tl_dtype_bits(p->a) / 8 / STEP_BYTES;
  s.at_b = descriptor(c, ll_val(c, s.ir.chan_b)->channel, (int)s.ir.field_b, ll_i32(c, 0),
                      s.ir.b_by_k ? s.rows_b * SPAN_BYTES >> 4 : 1);
  if (p->a_in_regs) {
    s.a_words = ll_words(c, s.ir.a);
    return s;
  }
  LLVMBasicBlockRef back = ll_enter_entry(c);
  ll_v group = LLVMBuildLShr(c->b, c->warp, ll_i32(c, 2), "");
  ll_v rows = ll_mul(c, group, ll_i32(c, 64 * SPAN_BYTES));
  ll_leave_entry(c, back);
  s.at_a = descriptor(c, ll_val(c, s.ir.chan_a)->channel, (int)s.ir.field_a, rows, 1);
  return s;
}

static ll_v b_of(ll_ctx *c, const sources *s, const part *of, int64_t step) {
  if (!s->ir.b_by_k)
    return at_row(c, s->at_b, s->rows_b, of->col, step * STEP_BYTES);
  int bits = tl_dtype_bits(of->p.b); // a step is so many rows of N
  return at_row(c, s->at_b, s->rows_b, step * STEP_BYTES * 8 / bits, of->col * bits / 8);
}

// All blocks of one step of K before the next step: consecutive products do not wait for each
// other.
void ll_emit_wgmma(ll_ctx *c, const ir_op *op) {
  part of = part_of(c, op, op->res[0]);
  ll_force_all(c); // what is read from the slot is read before the product starts
  sources s = sources_of(c, op, &of.p);
  ll_v *regs = ll_new_regs(c, op->res[0]);
  int count = of.blocks * of.p.regs;
  bool none = !ir_some(s.ir.acc), fresh = none || ir_int(op, "fresh", 0);
  for (int i = 0; i < count; i++)
    regs[i] = none ? LLVMGetPoison(c->t_float) : ll_regs(c, s.ir.acc)[i];
  ll_intrinsic(c, "llvm.nvvm.wgmma.fence.sync.aligned", NULL, 0, NULL, 0);
  for (int64_t step = 0; step < s.steps; step++)
    for (int block = 0; block < of.blocks; block++) {
      ll_v at = NULL;
      if (!of.p.a_in_regs)
        at = at_row(c, s.at_a, s.rows_a, of.row + block * of.block_rows, step * STEP_BYTES);
      const ll_v *a = at ? &at : s.a_words + 4 * (block * s.steps + step);
      issue(c, &of.p, regs + block * of.p.regs, a, b_of(c, &s, &of, step),
            ll_i1(c, !fresh || step > 0));
    }
  ll_intrinsic(c, "llvm.nvvm.wgmma.commit_group.sync.aligned", NULL, 0, NULL, 0);
}

void ll_emit_drain(ll_ctx *c, const ir_op *op) {
  part of = part_of(c, op, op->res[0]);
  of.p.regs *= of.blocks;
  of.p.result = floats(c, of.p.regs);
  ll_v *regs = ll_new_regs(c, op->res[0]);
  memcpy(regs, ll_regs(c, op->args[0]), sizeof *regs * (size_t)of.p.regs);
  wait_all(c, &of.p, regs);
}

// The part's registers are those of its rows and columns in the accumulator, in the same order.
void ll_emit_promote(ll_ctx *c, const ir_op *op) {
  part of = part_of(c, op, op->args[1]);
  ll_v *acc = ll_new_regs(c, op->res[0]);
  memcpy(acc, ll_regs(c, op->args[0]), sizeof *acc * (size_t)ll_nregs(c, op->res[0]));
  ll_v *added = ll_regs(c, op->args[1]), *scale = op->nargs > 2 ? ll_regs(c, op->args[2]) : NULL;
  int per_block = (int)ir_type(c->func, op->res[0])->dims[1] / 2;
  for (int block = 0; block < of.blocks; block++)
    for (int i = 0; i < of.p.regs; i++) {
      int at = (int)(of.row / of.block_rows + block) * per_block + of.col / 2 + i;
      ll_v x = added[block * of.p.regs + i];
      acc[at] =
          scale ? ll_intrinsic(c, "llvm.fma", &c->t_float, 1, (ll_v[]){x, scale[at], acc[at]}, 3)
                : LLVMBuildFAdd(c->b, acc[at], x, "");
    }
}
