// specialize: a pipelined loop around a dot becomes two roles on Hopper: one thread that feeds the
// operands through TMA, and warpgroups that multiply them with wgmma.
//
// Input   sir without layouts, mma_pick done.   Output  role "math" on the first warps, role "feed"
//         on one warpgroup behind them, a channel with mbarriers between; TMA descriptors as
//         parameters. Loops that do not qualify stay for the pass `pipeline`; a remark says why.
// Needs   facts (alignment).
//
//   role main { for t.. { for k { a = load A; b = load B; acc = dot a, trans b, acc } store } }
//     ->
//   %c = channel %a, %b {engine="tma"}
//   role math { for t.. { for k { wait; acc = drain wgmma %c, acc; release } store } }
//   role feed { for t.. { for k { acquire {tx}; copy A; copy B; commit } } }
//
// The depth is what fits beside nothing else in shared memory, up to MAX_STAGES: the pipeline depth
// of the source was chosen for architectures with less of it.
#include "ir/specialize.h"

enum { MOST_REGS = 232, FEED_REGS = 40, FEED_WARPS = 4 };

// A launch gives every thread the same share of the SM's registers; the feeder hands back what it
// does not need, and the warpgroups take it. Where a thread's share is all it can address, nobody does.
static void divide_registers(split *s) {
  ir_func *func = s->func;
  int ctas = func->min_ctas > 1 ? func->min_ctas : 1;
  int threads = 32 * (func->warps + FEED_WARPS), share = 65536 / (ctas * threads) / 8 * 8;
  if (share > MOST_REGS)
    return;
  int feed = ctas > 1 ? FEED_REGS - 8 : FEED_REGS;
  int math = (share * threads - 32 * FEED_WARPS * feed) / (32 * func->warps) / 8 * 8;
  ir_set_int(func, s->role, "regs", math < MOST_REGS ? math : MOST_REGS);
  for (ir_op *role = s->role->next; role && role->code == IR_ROLE; role = role->next)
    ir_set_int(func, role, "regs", feed);
  func->min_ctas = ctas;
}

bool pass_specialize(ir_pass_ctx *ctx) {
  ir_func *func = ctx->func;
  unsigned features = func->target->features, multiplies = FEAT_WGMMA | FEAT_BLOCK_SCALE_MMA;
  if (!(features & FEAT_TMA) || !(features & multiplies) || (ctx->disabled & IR_NO_PIPELINE) ||
      ir_has_own_roles(func))
    return false;
  split s = {.ctx = ctx, .func = func, .facts = ir_facts_compute(func, ctx->scratch)};
  s.by_mma = !(features & FEAT_WGMMA);
  s.role = func->body->first;
  const char *why = split_match(&s);
  if (!s.dot)
    return false;
  if (!why && !s.by_mma)
    split_find_store(&s);
  if (!why && !split_declare_channel(&s))
    why = "two slots do not fit the shared memory";
  if (why) {
    tl_report(ctx->diags, s.dot->loc, DIAG_R302, why);
    return false;
  }
  if (!s.by_mma)
    func->warps = ir_type(func, s.dot->res[0])->dims[0] > 64 ? 8 : 4;
  func->extra_warps = FEED_WARPS;
  ir_set_int(func, s.loop, "pipeline", 0); // done; the feeder's clone inherits it
  split_make_feeder(&s);
  split_make_math(&s);
  split_stage_store(&s);
  divide_registers(&s);
  pass_dce(ctx); // the feeder's copies of everything else
  tl_report(ctx->diags, s.loop->loc, DIAG_R301, func->warps / 4, s.by_mma ? "mma.sync" : "wgmma",
            s.depth, (int)s.slot_bytes);
  return true;
}
