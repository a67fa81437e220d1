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

enum { MATH_REGS = 232, FEED_REGS = 40, FEED_WARPS = 4 };

bool pass_specialize(ir_pass_ctx *ctx) {
  ir_func *func = ctx->func;
  const unsigned needed = FEAT_TMA | FEAT_WGMMA;
  if ((func->target->features & needed) != needed || (ctx->disabled & IR_NO_PIPELINE) ||
      ir_has_own_roles(func))
    return false;
  split s = {.ctx = ctx, .func = func, .facts = ir_facts_compute(func, ctx->scratch)};
  s.role = func->body->first;
  const char *why = split_match(&s);
  if (!s.dot)
    return false;
  if (!why)
    split_find_store(&s);
  if (!why && !split_declare_channel(&s))
    why = "two slots do not fit the shared memory";
  if (why) {
    tl_report(ctx->diags, s.dot->loc, DIAG_R302, why);
    return false;
  }
  func->warps = ir_type(func, s.dot->res[0])->dims[0] > 64 ? 8 : 4;
  func->extra_warps = FEED_WARPS;
  ir_set_int(func, s.loop, "pipeline", 0); // done; the feeder's clone inherits it
  split_make_feeder(&s);
  split_make_math(&s);
  split_stage_store(&s);
  if (func->warps > 4) { // three warpgroups share the registers unevenly
    ir_set_int(func, s.role, "regs", MATH_REGS);
    for (ir_op *feed = s.role->next; feed && feed->code == IR_ROLE; feed = feed->next)
      ir_set_int(func, feed, "regs", FEED_REGS);
    func->min_ctas = 1;
  }
  pass_dce(ctx); // the feeder's copies of everything else
  tl_report(ctx->diags, s.loop->loc, DIAG_R301, func->warps / 4, s.depth, (int)s.slot_bytes);
  return true;
}
