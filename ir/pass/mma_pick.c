// mma_pick: a tensor-core atom and a warp grid for every dot and dot_scaled.
//
// Input   sir without layouts.      Output  dots carry {engine="mma", warps_m, warps_n}.
//         A dot that `specialize` later gives to wgmma leaves all that behind.
// Example dot %a, %b, %c : f32[128,128]  ->  dot %a, %b, %c {engine="mma", warps_m=2, warps_n=4}
//
// The grid minimises what the warps read from shared memory per k step: every warp reads its rows
// of a and its columns of b, so the sum over warps is warps_n * M + warps_m * N. Among equal ones
// the grid with more warps along M wins, since b is loaded two n8 atoms at a time.
#include "ir/pass_list.h"

typedef struct grid {
  int m, n;
} grid;

static bool grid_fits(const ty_type *acc, grid g) {
  return acc->dims[0] % (16 * g.m) == 0 && acc->dims[1] % (8 * g.n) == 0;
}

// Bytes of operands all warps read together, in units of one k column.
static int64_t traffic(const ty_type *acc, grid g) {
  return g.n * acc->dims[0] + g.m * acc->dims[1];
}

static grid pick_grid(const ty_type *acc, int warps) {
  grid best = {1, 1};
  bool found = false;
  // The largest number of warps that the tile can feed; the others hold copies.
  for (int used = warps; used >= 1 && !found; used /= 2)
    for (int m = used; m >= 1; m /= 2) {
      grid g = {m, used / m};
      if (!grid_fits(acc, g))
        continue;
      if (!found || traffic(acc, g) < traffic(acc, best))
        best = g;
      found = true;
    }
  TL_ASSERT(found, "dot with a tile that is no multiple of m16n8");
  return best;
}

static void pick(ir_op *op, void *user) {
  ir_pass_ctx *ctx = user;
  if (op->code != IR_DOT && op->code != IR_DOT_SCALED)
    return;
  grid g = pick_grid(ir_type(ctx->func, op->res[0]), ir_warps_at(ctx->func, op));
  ir_set_str(ctx->func, op, "engine", "mma");
  ir_set_int(ctx->func, op, "warps_m", g.m);
  ir_set_int(ctx->func, op, "warps_n", g.n);
}

bool pass_mma_pick(ir_pass_ctx *ctx) {
  ir_walk(ctx->func->body, pick, ctx);
  return true;
}
