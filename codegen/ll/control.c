// Structured control flow as basic blocks. A carried tile is one scalar phi per register: vector
// and struct phis would be taken apart again later.
#include "codegen/ll/emit.h"

static bool is_register_value(ll_ctx *c, ir_val val) {
  return ir_type(c->func, val)->kind == TY_TILE || ir_type(c->func, val)->kind == TY_PTR;
}

static ll_t value_type(ll_ctx *c, ir_val val) {
  const ty_type *type = ir_type(c->func, val);
  return type->kind == TY_PTR ? c->t_global : ll_type(c, type->dtype);
}

static void make_phis(ll_ctx *c, uint32_t count, const ir_val *vals) {
  for (uint32_t i = 0; i < count; i++) {
    TL_ASSERT(is_register_value(c, vals[i]), "only tiles, scalars and pointers are carried");
    ll_t type = value_type(c, vals[i]);
    ll_v *regs = ll_new_regs(c, vals[i]);
    for (int r = 0; r < ll_nregs(c, vals[i]); r++)
      regs[r] = LLVMBuildPhi(c->b, type, "");
  }
}

// Elements of all values, in a row. Taken before the branch, so that what they need is emitted in
// the block that ends with it.
static ll_v *gather_regs(ll_ctx *c, uint32_t count, const ir_val *vals) {
  int total = 0, at = 0;
  for (uint32_t i = 0; i < count; i++)
    total += ll_nregs(c, vals[i]);
  ll_v *all = TL_NEW_N(c->arena, ll_v, total ? total : 1);
  for (uint32_t i = 0; i < count; i++) {
    memcpy(all + at, ll_regs(c, vals[i]), sizeof(ll_v) * (size_t)ll_nregs(c, vals[i]));
    at += ll_nregs(c, vals[i]);
  }
  return all;
}

static void feed_phis(ll_ctx *c, uint32_t count, const ir_val *phis, ll_v *from,
                      LLVMBasicBlockRef block) {
  for (uint32_t i = 0; i < count; i++)
    for (int r = 0; r < ll_nregs(c, phis[i]); r++, from++)
      LLVMAddIncoming(ll_val(c, phis[i])->regs[r], from, &block, 1);
}

// Results of a loop are the carried values at its exit.
static void alias_results(ll_ctx *c, uint32_t count, const ir_val *results, const ll_v *from) {
  for (uint32_t i = 0; i < count; i++) {
    ll_v *regs = ll_new_regs(c, results[i]);
    for (int r = 0; r < ll_nregs(c, results[i]); r++)
      regs[r] = *from++;
  }
}

static void note_sync(ir_op *op, void *user) {
  if (ir_info(op->code)->effect == IR_SYNC)
    *(bool *)user = true;
}

// Loops that wait for data keep their shape: ptxas unrolls others as it likes.
static void forbid_unrolling(ll_ctx *c, const ir_op *op, ll_v branch) {
  bool syncs = false;
  for (uint32_t i = 0; i < op->nregions; i++)
    ir_walk(op->regions[i], note_sync, &syncs);
  if (!syncs)
    return;
  static const char text[] = "llvm.loop.unroll.disable", kind[] = "llvm.loop";
  LLVMMetadataRef self = LLVMTemporaryMDNode(c->cx, NULL, 0);
  LLVMMetadataRef word = LLVMMDStringInContext2(c->cx, text, strlen(text));
  LLVMMetadataRef disable = LLVMMDNodeInContext2(c->cx, &word, 1);
  LLVMMetadataRef node = LLVMMDNodeInContext2(c->cx, (LLVMMetadataRef[]){self, disable}, 2);
  LLVMMetadataReplaceAllUsesWith(self, node);
  LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(c->cx, kind, strlen(kind)),
                  LLVMMetadataAsValue(c->cx, node));
}

// before:  br head
// head:    iv = phi [lo], [next]; carried = phi ..; br iv < hi, body, exit
// body:    ..; next = iv + step; br head
// exit:    results = carried
void ll_emit_for(ll_ctx *c, const ir_op *op) {
  const ir_region *region = op->regions[0];
  ll_force_all(c);
  ll_v lo = ll_scalar(c, op->args[0]), hi = ll_scalar(c, op->args[1]),
       step = ll_scalar(c, op->args[2]);
  uint32_t carried = region->nparams - 1;
  ll_v *inits = gather_regs(c, carried, op->args + 3);
  LLVMBasicBlockRef before = LLVMGetInsertBlock(c->b);
  LLVMBasicBlockRef head = ll_block(c, "for"), body = ll_block(c, "do"), exit = ll_block(c, "done");
  LLVMBuildBr(c->b, head);

  LLVMPositionBuilderAtEnd(c->b, head);
  ll_v iv = LLVMBuildPhi(c->b, LLVMTypeOf(lo), "iv");
  ll_set_scalar(c, region->params[0], iv);
  LLVMAddIncoming(iv, &lo, &before, 1);
  make_phis(c, carried, region->params + 1);
  feed_phis(c, carried, region->params + 1, inits, before);
  LLVMBuildCondBr(c->b, LLVMBuildICmp(c->b, LLVMIntSLT, iv, hi, ""), body, exit);

  LLVMPositionBuilderAtEnd(c->b, body);
  ll_emit_region(c, region);
  ll_force_all(c);
  ll_v *yielded = gather_regs(c, carried, region->last->args);
  ll_v next = LLVMBuildAdd(c->b, iv, step, "");
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(c->b);
  forbid_unrolling(c, op, LLVMBuildBr(c->b, head));
  LLVMAddIncoming(iv, &next, &latch, 1);
  feed_phis(c, carried, region->params + 1, yielded, latch);

  LLVMPositionBuilderAtEnd(c->b, exit);
  alias_results(c, op->nres, op->res, gather_regs(c, carried, region->params + 1));
}

void ll_emit_while(ll_ctx *c, const ir_op *op) {
  const ir_region *test = op->regions[0], *body = op->regions[1];
  ll_force_all(c);
  ll_v *inits = gather_regs(c, test->nparams, op->args);
  LLVMBasicBlockRef before = LLVMGetInsertBlock(c->b);
  LLVMBasicBlockRef b_test = ll_block(c, "while"), b_body = ll_block(c, "do"),
                    exit = ll_block(c, "done");
  LLVMBuildBr(c->b, b_test);

  LLVMPositionBuilderAtEnd(c->b, b_test);
  make_phis(c, test->nparams, test->params);
  feed_phis(c, test->nparams, test->params, inits, before);
  ll_emit_region(c, test);
  ll_force_all(c);
  const ir_op *end = test->last; // condition c, values
  ll_v *passed = gather_regs(c, end->nargs - 1, end->args + 1);
  LLVMBuildCondBr(c->b, ll_scalar(c, end->args[0]), b_body, exit);

  LLVMPositionBuilderAtEnd(c->b, b_body);
  alias_results(c, body->nparams, body->params, passed);
  ll_emit_region(c, body);
  ll_force_all(c);
  ll_v *yielded = gather_regs(c, test->nparams, body->last->args);
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(c->b);
  forbid_unrolling(c, op, LLVMBuildBr(c->b, b_test));
  feed_phis(c, test->nparams, test->params, yielded, latch);

  LLVMPositionBuilderAtEnd(c->b, exit);
  alias_results(c, op->nres, op->res, passed);
}

// Emits one side; returns its results and the block it ends in.
static ll_v *emit_side(ll_ctx *c, const ir_op *op, int side, LLVMBasicBlockRef block,
                       LLVMBasicBlockRef join, LLVMBasicBlockRef *out_end) {
  LLVMPositionBuilderAtEnd(c->b, block);
  const ir_region *region = op->regions[side];
  ll_emit_region(c, region);
  ll_force_all(c);
  ll_v *results = gather_regs(c, op->nres, region->last ? region->last->args : NULL);
  *out_end = LLVMGetInsertBlock(c->b);
  LLVMBuildBr(c->b, join);
  return results;
}

void ll_emit_if(ll_ctx *c, const ir_op *op) {
  ll_force_all(c);
  ll_v cond = ll_scalar(c, op->args[0]);
  LLVMBasicBlockRef yes = ll_block(c, "then"), no = ll_block(c, "else"), join = ll_block(c, "join");
  LLVMBuildCondBr(c->b, cond, yes, no);
  LLVMBasicBlockRef yes_end, no_end;
  ll_v *yes_vals = emit_side(c, op, 0, yes, join, &yes_end);
  ll_v *no_vals = emit_side(c, op, 1, no, join, &no_end);
  LLVMPositionBuilderAtEnd(c->b, join);
  make_phis(c, op->nres, op->res);
  feed_phis(c, op->nres, op->res, yes_vals, yes_end);
  feed_phis(c, op->nres, op->res, no_vals, no_end);
}
