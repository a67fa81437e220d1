// setmaxnreg: registers wander between the warpgroups of a CTA.
//
// What hardware does (recorded on an H200, driver 580.159.04, ptxas 13.0.88): the instruction is
// the warp's, once, and waits for the warp's threads that have not exited; one thread executes it
// when the others are gone. What a `dec` gives up is free only when all four warps of its warpgroup
// have given up theirs, exited or not. An `inc` waits until the CTA's pool, which starts empty, has
// what it asks for; three of four warps, or the exit of a warp, put nothing into it.
//
// Without the directives that fix the register count at launch ptxas ignores the instruction, and
// so does the pool.
#include "runtime/sim/async.h"

static uint32_t registers_at_launch(const sim_cta *cta) {
  const sim_program *program = cta->program;
  if (program->maxnreg)
    return (uint32_t)program->maxnreg;
  if (!program->minnctapersm || !(program->maxntid[0] || program->reqntid[0]))
    return 0;
  const int *block = program->reqntid[0] ? program->reqntid : program->maxntid;
  uint32_t threads = 1;
  for (int i = 0; i < 3; i++)
    threads *= block[i] ? (uint32_t)block[i] : 1;
  uint32_t each = 65536 / ((threads + 31) / 32 * 32 * (uint32_t)program->minnctapersm) & ~7u;
  return each < 256 ? each : 256;
}

static bool wrong_direction(sim_warp *w, const sim_op *op, uint32_t mask, uint32_t n) {
  if (!w->regs_per_thread || (op->sub ? n >= w->regs_per_thread : n <= w->regs_per_thread))
    return false;
  sim_fail(w, op, mask, SIM_UNSUPPORTED, "setmaxnreg.%s to %u registers, the warp has %u",
           op->sub ? "inc" : "dec", n, w->regs_per_thread);
  return true;
}

void sim_exec_setmaxnreg_dec(sim_warp *w, const sim_op *op, uint32_t mask) {
  sim_cta *cta = w->cta;
  uint32_t n = (uint32_t)op->imm, launch = registers_at_launch(cta), sum = 0;
  uint32_t had = w->regs_per_thread ? w->regs_per_thread : launch;
  if (wrong_direction(w, op, mask, n))
    return;
  w->regs_per_thread = n;
  w->regs_given += had > n ? had - n : 0;
  uint32_t first = w->index & ~3u;
  for (uint32_t i = first; i < first + 4 && i < cta->nwarps; i++) {
    if (!cta->warps[i].regs_given)
      return; // not yet the whole warpgroup
    sum += cta->warps[i].regs_given;
  }
  for (uint32_t i = first; i < first + 4 && i < cta->nwarps; i++)
    cta->warps[i].regs_given = 0;
  cta->reg_pool += sum;
  cta->effects++;
  sim_wake(cta, SIM_WAIT_REGISTERS);
}

void sim_exec_setmaxnreg_inc(sim_warp *w, const sim_op *op, uint32_t mask) {
  sim_cta *cta = w->cta;
  uint32_t n = (uint32_t)op->imm, launch = registers_at_launch(cta);
  uint32_t had = w->regs_per_thread ? w->regs_per_thread : launch;
  if (wrong_direction(w, op, mask, n))
    return;
  if (launch && n > had && n - had > cta->reg_pool) {
    w->stay = true;
    w->wait_at = SIM_WAIT_REGISTERS;
    return;
  }
  if (launch && n > had)
    cta->reg_pool -= n - had;
  w->regs_per_thread = n;
  cta->effects++;
}

void sim_describe_registers(const sim_warp *w, const sim_op *op, tl_buf *out) {
  uint32_t had = w->regs_per_thread ? w->regs_per_thread : registers_at_launch(w->cta);
  tl_buf_printf(out, "waits for %u more registers per thread, the pool has %u per thread of a warp",
                (uint32_t)op->imm - had, w->cta->reg_pool);
  for (uint32_t i = 0; i < w->cta->nwarps; i++)
    if (w->cta->warps[i].regs_given)
      tl_buf_printf(out, "; those of warp %u are not free before its whole warpgroup gives some",
                    i);
}
