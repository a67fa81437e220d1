// sir_cleanup: canon, cse and dce once more, now on operations with layouts.
//
// Input   sir after layout_assign.   Output  sir.
// Why     layouts bring converts, and pipelining splits loops: new equal and unused operations. A
//         value only ever stands in for one of the same layout, so no layout changes here.
// Needs   -fno-cse to be honoured: it names a mechanism, not a position in the pipeline.
#include "ir/pass_list.h"

bool pass_sir_cleanup(ir_pass_ctx *ctx) {
  bool changed = pass_canon(ctx);
  if (!(ctx->disabled & IR_NO_CSE))
    changed |= pass_cse(ctx);
  return pass_dce(ctx) || changed;
}
