// Decoders of wgmma, and the marks on ops that touch registers of one.
#include "runtime/sim/decode.h"
#include <stdio.h>

static const ptx_operand *part(sim_decoder *d, const ptx_operand *opd, uint32_t count, uint32_t k) {
  if (opd->kind == PTX_OPD_VECTOR && opd->nitems == count)
    return &opd->items[k];
  dec_fail(d, SIM_BAD_PTX, "expected a vector of %u registers", count);
  return NULL;
}

static int immediate_of(sim_decoder *d, uint32_t index, int otherwise) {
  const ptx_operand *opd = dec_opd(d, index);
  return opd ? (int)(int64_t)opd->bits : otherwise;
}

// imm-scale-a, imm-scale-b, then the imm-trans of operands in memory. `at`: where they start.
static void read_immediates(sim_decoder *d, sim_wgmma_form *f, uint32_t at) {
  int scale_a = immediate_of(d, at, 1), scale_b = immediate_of(d, at + 1, 1);
  bool half = f->a == SIM_MMA_F16 || f->a == SIM_MMA_BF16;
  uint32_t expected = at + (f->d == SIM_MMA_S32 ? 0 : !half ? 2 : f->a_in_regs ? 3 : 4);
  int trans_a = half && !f->a_in_regs ? immediate_of(d, at + 2, 0) : 0;
  int trans_b = half ? immediate_of(d, at + (f->a_in_regs ? 2 : 3), 0) : 0;
  bool scales_ok = (scale_a == 1 || scale_a == -1) && (scale_b == 1 || scale_b == -1);
  if (d->instr->noperands != expected)
    dec_fail(d, SIM_BAD_PTX, "this form takes %u operands, got %u", expected, d->instr->noperands);
  else if (!scales_ok)
    dec_fail(d, SIM_BAD_PTX, "imm-scale must be 1 or -1");
  else if ((trans_a | trans_b) & ~1)
    dec_fail(d, SIM_BAD_PTX, "imm-trans must be 0 or 1");
  f->negate = scale_a != scale_b;
  f->mn_major_a = trans_a;
  f->mn_major_b = trans_b;
}

static bool parse_form(sim_decoder *d, sim_wgmma_form *f) {
  const ptx_match_result *m = &d->match;
  sim_mma_type types[3];
  int ntypes = 0, n = 0, k = 0;
  for (int i = 0; i < m->nmods; i++) {
    if (m->mods[i][0] == 'm' && sscanf(m->mods[i], "m64n%dk%d", &n, &k) == 2)
      continue;
    if (ntypes < 3 && sim_mma_type_of_name(m->mods[i], &types[ntypes]))
      ntypes++;
  }
  if (ntypes < 3)
    return false;
  *f = (sim_wgmma_form){.n = (uint16_t)n,
                        .k = (uint16_t)k,
                        .d = types[0],
                        .a = types[1],
                        .b = types[2],
                        .satfinite = dec_has(d, "satfinite"),
                        .sparse = dec_has(d, "sp"),
                        .a_in_regs = dec_opd(d, 1)->kind == PTX_OPD_VECTOR};
  if (f->sparse) {
    int selector = immediate_of(d, 4, 0);
    if (selector & ~1)
      dec_fail(d, SIM_BAD_PTX, "the sparsity selector must be 0 or 1");
    f->sparse_selector = (uint8_t)(selector & 1);
  }
  read_immediates(d, f, f->sparse ? 6 : 4);
  return true;
}

void dec_wgmma(sim_decoder *d) {
  sim_wgmma_form form;
  sim_op op = dec_op(d, sim_exec_nop);
  sim_wgmma_info *info = dec_extra(d, sizeof *info);
  if (d->module->machine->arch != SIM_SM90A) {
    dec_fail(d, SIM_UNSUPPORTED, "%s has no wgmma", d->module->machine->arch_name);
    return;
  }
  if (!parse_form(d, &form) || d->verdict != SIM_OK || !sim_wgmma_describe(&form, &info->desc)) {
    dec_fail(d, SIM_UNSUPPORTED, "there is no such wgmma");
    return;
  }
  for (uint32_t k = 0; k < info->desc.d_regs && d->verdict == SIM_OK; k++)
    info->d[k] = dec_dst(d, part(d, dec_opd(d, 0), info->desc.d_regs, k), 32, NULL);
  for (uint32_t k = 0; form.a_in_regs && k < 4 && d->verdict == SIM_OK; k++)
    info->a[k] = dec_src(d, part(d, dec_opd(d, 1), 4, k), PTX_B32);
  if (form.sparse)
    info->metadata = dec_src(d, dec_opd(d, 3), PTX_B32);
  // What was recorded so far are the accumulators, A and the metadata.
  for (uint32_t i = d->first_touch; i < d->touches.len; i++)
    tl_push(d->arena, &d->wgmma_regs, d->touches.data[i]);
  if (!form.a_in_regs)
    info->desc_a = dec_src(d, dec_opd(d, 1), PTX_B64);
  info->desc_b = dec_src(d, dec_opd(d, 2), PTX_B64);
  info->scale_d = dec_pred(d, dec_opd(d, form.sparse ? 5 : 3), &info->scale_d_negated);
  op.flow = SIM_FLOW_WARPGROUP;
  op.extra = info;
  if (op.guard)
    dec_fail(d, SIM_UNSUPPORTED, "a guard on wgmma.mma_async");
  dec_emit(d, &op);
}

static void emit_aligned(sim_decoder *d, sim_fn fn) {
  sim_op op = dec_op(d, fn);
  op.flow = SIM_FLOW_ALIGNED;
  op.imm = d->instr->noperands ? (int64_t)dec_opd(d, 0)->bits : 0;
  dec_emit(d, &op);
}
void dec_wgmma_fence(sim_decoder *d) { emit_aligned(d, sim_exec_wgmma_fence); }
void dec_wgmma_commit(sim_decoder *d) { emit_aligned(d, sim_exec_wgmma_commit); }
void dec_wgmma_wait(sim_decoder *d) { emit_aligned(d, sim_exec_wgmma_wait); }

void dec_wgmma_finish(sim_decoder *d, sim_program *program) {
  uint8_t *used = NULL;
  if (!d->wgmma_regs.len)
    return;
  used = TL_NEW_N(d->arena, uint8_t, program->nregs);
  for (uint32_t i = 0; i < d->wgmma_regs.len; i++)
    used[d->wgmma_regs.data[i].slot] = 1;
  bool more = true; // registers that accumulators are moved to
  while (more) {
    more = false;
    for (uint32_t i = 0; i < d->ops.len; i++) {
      const sim_op *op = &d->ops.data[i];
      if (op->fn != sim_exec_mov32 || op->a < 0 || !used[op->a] || used[op->d])
        continue;
      used[op->d] = 1;
      more = true;
    }
  }
  for (uint32_t i = 0; i < d->ops.len; i++) {
    sim_op *op = &d->ops.data[i];
    const sim_touch_range *range = &d->touched.data[i];
    for (uint32_t k = 0; k < range->count && op->flow != SIM_FLOW_WARPGROUP; k++) {
      const sim_touch *touch = &d->touches.data[range->first + k];
      for (int p = 0; p < touch->planes; p++)
        if (used[touch->slot + p])
          op->flags |= SIM_OPF_WGMMA_REG;
    }
  }
  program->touches = d->touches.data;
  program->touched = d->touched.data;
}
