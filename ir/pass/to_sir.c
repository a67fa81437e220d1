// to_sir: the body of a tir function becomes the body of one role.
//
// Input   tir.                       Output  sir: `role {name="main", warps=W}`, then return.
// Why     automatic partition (a later pass) splits this role; everything behind it already sees
//         roles, so engines and warp roles can change without changing the IR.
//         A function with roles of its own keeps them.
// Warps   @warps(n), or 8 when an accumulator of more than 64 x 128 elements would otherwise take
//         more than 64 registers of each of 128 threads, else 4.
#include "ir/pass_list.h"

static void largest_tile(ir_op *op, void *user) {
  ir_func *func = ((ir_pass_ctx **)user)[0]->func;
  int64_t *largest = ((int64_t **)user)[1];
  if (op->code != IR_DOT && op->code != IR_DOT_SCALED)
    return;
  int64_t elems = ty_elems(ir_type(func, op->res[0]));
  if (elems > *largest)
    *largest = elems;
}

static int choose_warps(ir_pass_ctx *ctx) {
  int64_t largest = 0;
  void *user[2] = {ctx, &largest};
  ir_walk(ctx->func->body, largest_tile, user);
  return largest > 64 * 128 ? 8 : 4;
}

// Roles of a user's own are what the dialect asks for already; what stands beside them is run by all.
static bool has_roles(ir_func *func) {
  int warps = 0;
  for (const ir_op *op = func->body->first; op; op = op->next)
    if (op->code == IR_ROLE)
      warps += (int)ir_int(op, "padded", 0);
  if (warps)
    func->warps = warps;
  return warps != 0;
}

bool pass_to_sir(ir_pass_ctx *ctx) {
  ir_func *func = ctx->func;
  if (func->sir)
    return false;
  if (has_roles(func)) {
    func->sir = true;
    return true;
  }
  if (!func->warps)
    func->warps = choose_warps(ctx);
  ir_region *old = func->body;
  ir_region *body = ir_region_new(func, NULL);
  ir_builder b = {.func = func, .region = body};
  ir_op *role = ir_build(&b, IR_ROLE, 0, NULL, 0, NULL);
  ir_set_str(func, role, "name", "main");
  ir_set_int(func, role, "warps", func->warps);
  TL_ASSERT(old->last && old->last->code == IR_RETURN, "function body without return");
  ir_op *end = old->last;
  ir_unlink(end);
  while (old->first) {
    ir_op *op = old->first;
    ir_unlink(op);
    ir_append(role->regions[0], op);
  }
  ir_builder inside = {.func = func, .region = role->regions[0]};
  ir_build(&inside, IR_YIELD, 0, NULL, 0, NULL);
  ir_append(body, end);
  func->body = body;
  func->sir = true;
  return true;
}
