// Matrix instructions: from slots to planes; the arithmetic is mma*.c, the fragments
// shmem_matrix.c.
#include "runtime/sim/exec.h"

enum { TIMED = 64 }; // one in so many is timed

void sim_exec_ldmatrix(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_matrix_info *info = op->extra;
  uint64_t addr[32];
  uint32_t *dst[8];
  sim_addresses(w, op->a, op->imm, info->wide, mask, addr);
  for (int k = 0; k < sim_matrix_regs(info->matrix); k++)
    dst[k] = sim_dst(w, info->slots[k]);
  w->view.line = op->line;
  if (!sim_ldmatrix(&w->view, info->space, info->matrix, addr, dst))
    sim_fail_memory(w, op);
}

void sim_exec_stmatrix(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_matrix_info *info = op->extra;
  uint64_t addr[32];
  const uint32_t *src[8];
  sim_addresses(w, op->a, op->imm, info->wide, mask, addr);
  for (int k = 0; k < sim_matrix_regs(info->matrix); k++)
    src[k] = sim_src(w, info->slots[k]);
  w->view.line = op->line;
  if (!sim_stmatrix(&w->view, info->space, info->matrix, addr, src))
    sim_fail_memory(w, op);
}

void sim_exec_movmatrix(sim_warp *w, const sim_op *op, uint32_t mask) {
  (void)mask;
  sim_movmatrix(sim_src(w, op->a), sim_dst(w, op->d));
}

static bool selector(sim_warp *w, const sim_op *op, int32_t slot, uint16_t *out) {
  const uint32_t *S = sim_src(w, slot);
  *out = (uint16_t)S[0];
  for (int i = 1; i < 32; i++) {
    if ((uint16_t)S[i] == *out)
      continue;
    sim_fail(w, op, 1u << i, SIM_DIVERGENT_ALIGNED, "a scale selector differs between lanes");
    return false;
  }
  return true;
}

void sim_exec_mma(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mma_info *info = op->extra;
  const uint32_t *a[16], *b[8], *c[16];
  uint32_t *d[16];
  (void)mask;
  for (int k = 0; k < info->desc.a_regs; k++)
    a[k] = sim_src(w, info->a[k]);
  for (int k = 0; k < info->desc.b_regs; k++)
    b[k] = sim_src(w, info->b[k]);
  for (int k = 0; k < info->desc.c_regs; k++)
    c[k] = sim_src(w, info->c[k]), d[k] = sim_dst(w, info->d[k]);
  sim_machine *machine = w->cta->launch->machine;
  double begin = sim_tensor_begin(machine, TIMED);
  machine->counters.mma_instructions++;
  machine->counters.macs += (uint64_t)info->desc.form.m * 8 * info->desc.form.k;
  w->cta->effects++;
  if (!info->scaled) {
    sim_mma(&info->desc, a, b, c, d, NULL);
    sim_tensor_end(machine, begin, TIMED);
    return;
  }
  sim_mma_scales scales = {.a = sim_src(w, info->scale_a), .b = sim_src(w, info->scale_b)};
  if (!selector(w, op, info->byte_a, &scales.byte_a) ||
      !selector(w, op, info->thread_a, &scales.thread_a) ||
      !selector(w, op, info->byte_b, &scales.byte_b) ||
      !selector(w, op, info->thread_b, &scales.thread_b))
    return;
  if (!sim_mma_selectors_ok(&info->desc, &scales)) {
    sim_fail(w, op, ~0u, SIM_TRAP, "a scale selector is out of range");
    return;
  }
  sim_mma(&info->desc, a, b, c, d, &scales);
  sim_tensor_end(machine, begin, TIMED);
}
