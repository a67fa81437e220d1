// Decoders of loads, stores, atomics, cp.async, matrix moves and mma.
#include "runtime/sim/decode.h"
#include <stdio.h>

static const struct {
  const char *word;
  sim_space space;
} spaces[] = {{"global", SIM_SPACE_GLOBAL},      {"shared", SIM_SPACE_SHARED},
              {"shared::cta", SIM_SPACE_SHARED}, {"shared::cluster", SIM_SPACE_CLUSTER},
              {"local", SIM_SPACE_LOCAL},        {"param", SIM_SPACE_PARAM},
              {"param::entry", SIM_SPACE_PARAM}, {"param::func", SIM_SPACE_LOCAL},
              {"const", SIM_SPACE_CONST}};

static sim_space space_of(const sim_decoder *d) {
  for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
    if (dec_has(d, spaces[i].word))
      return spaces[i].space;
  return SIM_SPACE_GENERIC;
}

static sim_scope scope_of(const sim_decoder *d, sim_scope otherwise) {
  return dec_has(d, "cta")       ? SIM_SCOPE_CTA
         : dec_has(d, "cluster") ? SIM_SCOPE_CLUSTER
         : dec_has(d, "gpu")     ? SIM_SCOPE_GPU
         : dec_has(d, "sys")     ? SIM_SCOPE_SYS
                                 : otherwise;
}

static int vector_of(const sim_decoder *d) {
  return dec_has(d, "v8") ? 8 : dec_has(d, "v4") ? 4 : dec_has(d, "v2") ? 2 : 1;
}

static sim_access access_of(const sim_decoder *d, ptx_type type, int vec) {
  sim_access access = {.elem_bytes = (uint8_t)(ptx_type_bits(type) / 8), .elems = (uint8_t)vec};
  if (dec_has(d, "volatile") || dec_has(d, "mmio") || dec_has(d, "relaxed"))
    access.sem = SIM_SEM_STRONG;
  if (dec_has(d, "acquire") || dec_has(d, "acq_rel"))
    access.sem |= SIM_SEM_STRONG | SIM_SEM_ACQUIRE;
  if (dec_has(d, "release") || dec_has(d, "acq_rel"))
    access.sem |= SIM_SEM_STRONG | SIM_SEM_RELEASE;
  access.scope = (uint8_t)scope_of(d, dec_has(d, "volatile") ? SIM_SCOPE_SYS : SIM_SCOPE_GPU);
  return access;
}

// The elements of a vector operand, or the operand itself.
static const ptx_operand *element(sim_decoder *d, const ptx_operand *opd, int vec, int k) {
  if (vec == 1 && opd->kind != PTX_OPD_VECTOR)
    return opd;
  if (opd->kind != PTX_OPD_VECTOR || opd->nitems != (uint32_t)vec) {
    dec_fail(d, SIM_BAD_PTX, "expected a vector of %d registers", vec);
    return NULL;
  }
  return &opd->items[k];
}

static int planes_per(int bits) { return bits > 32 ? bits / 32 : 1; }

static sim_mem_info *mem_info(sim_decoder *d, const ptx_operand *address, sim_op *op) {
  sim_mem_info *info = dec_extra(d, sizeof *info);
  ptx_type type = dec_type(d, 0);
  bool wide;
  info->space = space_of(d);
  info->access = access_of(d, type, vector_of(d));
  info->type_bits = (uint8_t)ptx_type_bits(type);
  info->sign_extend = ptx_type_class(type) == PTX_CLASS_SINT;
  if (info->access.elem_bytes * info->access.elems > 32)
    dec_fail(d, SIM_BAD_PTX, "vector access of more than 32 bytes");
  else if (info->access.elems == 8 && info->access.elem_bytes != 4) // ptxas lets it pass, and errs
    dec_fail(d, SIM_BAD_PTX, ".v8 is for elements of 32 bits");
  else if (info->access.elem_bytes * info->access.elems > 16 &&
           d->module->machine->arch == SIM_SM90A)
    dec_fail(d, SIM_UNSUPPORTED, "accesses of 32 bytes need sm_100 or later");
  op->a = dec_address(d, address, &info->space, &op->imm, &wide);
  op->sub = wide;
  op->extra = info;
  return info;
}

void dec_ld(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_ld);
  sim_mem_info *info = mem_info(d, dec_opd(d, 1), &op);
  int vec = info->access.elems, bits = info->type_bits, per = planes_per(bits);
  for (int k = 0; k < vec && d->verdict == SIM_OK; k++) {
    const ptx_operand *to = element(d, dec_opd(d, 0), vec, k);
    bool sink = to && to->kind == PTX_OPD_SINK;
    int reg_bits = bits;
    int32_t slot = sink || !to ? SIM_SINK : dec_dst(d, to, bits, &reg_bits);
    for (int p = 0; p < per; p++)
      info->planes[k * per + p] = sink ? SIM_SINK : slot + p;
    info->widen[k] = (uint8_t)reg_bits;
    if (reg_bits > bits && (info->sign_extend || reg_bits == 64))
      info->widens = true;
  }
  info->nplanes = (uint32_t)(vec * per);
  dec_emit(d, &op);
}

void dec_st(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_st);
  sim_mem_info *info = mem_info(d, dec_opd(d, 0), &op);
  int vec = info->access.elems, per = planes_per(info->type_bits);
  for (int k = 0; k < vec && d->verdict == SIM_OK; k++) {
    const ptx_operand *from = element(d, dec_opd(d, 1), vec, k);
    int32_t slot = dec_src(d, from, dec_type(d, 0));
    // Constants have as many planes as their type; wider ones do not exist as immediates.
    for (int p = 0; p < per; p++)
      info->planes[k * per + p] = slot >= 0 ? slot + p : slot - p;
  }
  info->nplanes = (uint32_t)(vec * per);
  dec_emit(d, &op);
}

// --- atomics ------------------------------------------------------------------------------------
static sim_atom_op atom_op(const sim_decoder *d) {
  static const char *const words[] = {"add", "min", "max", "and",  "or",
                                      "xor", "inc", "dec", "exch", "cas"};
  for (int i = 0; i < 10; i++)
    if (dec_has(d, words[i]))
      return (sim_atom_op)i;
  return SIM_ATOM_ADD;
}

static void emit_atom(sim_decoder *d, bool returns) {
  sim_op op = dec_op(d, sim_exec_atom);
  sim_atom_info *info = dec_extra(d, sizeof *info);
  ptx_type type = dec_type(d, 0);
  uint32_t at = returns ? 1 : 0;
  bool wide;
  int vec = vector_of(d);
  info->space = space_of(d);
  info->access = access_of(d, type, vec);
  info->access.sem |= SIM_SEM_STRONG;
  info->what = (uint8_t)atom_op(d);
  info->type = type;
  info->vec = (uint8_t)vec;
  op.a = dec_address(d, dec_opd(d, at), &info->space, &op.imm, &wide);
  op.sub = wide;
  uint32_t value = at + (info->what == SIM_ATOM_CAS ? 2 : 1);
  if (info->what == SIM_ATOM_CAS)
    info->compare = dec_src(d, dec_opd(d, at + 1), type);
  for (int k = 0; k < vec && d->verdict == SIM_OK; k++) {
    const ptx_operand *from = element(d, dec_opd(d, value), vec, k);
    const ptx_operand *to = returns ? element(d, dec_opd(d, 0), vec, k) : NULL;
    info->value[k] = dec_src(d, from, type);
    bool sink = !to || to->kind == PTX_OPD_SINK;
    info->dest[k] = sink ? SIM_SINK : dec_dst(d, to, ptx_type_bits(type), NULL);
  }
  op.extra = info;
  dec_emit(d, &op);
}
void dec_atom(sim_decoder *d) { emit_atom(d, true); }
void dec_red(sim_decoder *d) { emit_atom(d, false); }

// --- address conversion -------------------------------------------------------------------------
void dec_cvta(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cvta);
  op.sub = (uint8_t)space_of(d);
  op.imm = dec_has(d, "to");
  op.a = dec_src(d, dec_opd(d, 1), PTX_U64);
  op.d = dec_dst(d, dec_opd(d, 0), 64, NULL);
  dec_emit(d, &op);
}

void dec_isspacep(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_isspacep);
  op.sub = (uint8_t)space_of(d);
  op.a = dec_src(d, dec_opd(d, 1), PTX_U64);
  op.d = dec_pred_dst(d, dec_opd(d, 0));
  dec_emit(d, &op);
}

void dec_policy(sim_decoder *d) { // the value of a policy is opaque: any 64 bits
  sim_op op = dec_op(d, sim_exec_mov64);
  op.a = dec_const_slot(d, UINT64_C(0x1000000000000000), 2);
  op.d = dec_dst(d, dec_opd(d, 0), 64, NULL);
  dec_emit(d, &op);
}

// --- cp.async -----------------------------------------------------------------------------------
void dec_cp_async(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cp_async);
  sim_copy_info *info = dec_extra(d, sizeof *info);
  sim_space to = SIM_SPACE_SHARED, from = SIM_SPACE_GLOBAL;
  const ptx_operand *size = dec_opd(d, 2), *fourth = dec_opd(d, 3);
  op.a = dec_address(d, dec_opd(d, 0), &to, &info->dst_offset, &info->dst_wide);
  op.b = dec_address(d, dec_opd(d, 1), &from, &info->src_offset, &info->src_wide);
  info->bytes = (uint32_t)size->bits;
  bool size_ok = info->bytes == 16 || (dec_has(d, "ca") && (info->bytes == 4 || info->bytes == 8));
  if (!size_ok)
    dec_fail(d, SIM_BAD_PTX, "cp.async cannot copy %u bytes", info->bytes);
  info->src_bytes = SIM_SINK;
  bool policy_only = dec_has(d, "L2::cache_hint") && d->instr->noperands == 4;
  if (fourth && !policy_only) {
    int64_t index;
    const dec_name *name =
        fourth->kind == PTX_OPD_NAME ? dec_lookup(d, fourth->name, &index) : NULL;
    if (name && name->kind == DEC_PRED)
      info->ignore = dec_pred(d, fourth, &info->ignore_negated);
    else
      info->src_bytes = dec_src(d, fourth, PTX_U32);
  }
  op.extra = info;
  dec_emit(d, &op);
}

void dec_cp_async_commit(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cp_commit);
  dec_emit(d, &op);
}
void dec_cp_async_wait(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cp_wait);
  op.imm = d->match.form == PTX_F_CPASYNC_A ? -1 : (int64_t)dec_opd(d, 0)->bits;
  dec_emit(d, &op);
}

// --- matrices -----------------------------------------------------------------------------------
static sim_matrix_shape matrix_shape(const sim_decoder *d) {
  bool b4 = dec_has(d, "b4x16_p64"), b6 = dec_has(d, "b6x16_p32");
  if (dec_has(d, "m16n16"))
    return b4 ? SIM_M16N16_B4 : b6 ? SIM_M16N16_B6 : SIM_M16N16_B8;
  if (dec_has(d, "m8n16"))
    return b4 ? SIM_M8N16_B4 : SIM_M8N16_B6;
  return dec_has(d, "m16n8") ? SIM_M16N8_B8 : SIM_M8N8_B16;
}

static void emit_matrix(sim_decoder *d, sim_fn fn, const ptx_operand *regs,
                        const ptx_operand *address, bool load) {
  sim_op op = dec_op(d, fn);
  sim_matrix_info *info = dec_extra(d, sizeof *info);
  info->matrix.shape = (uint8_t)matrix_shape(d);
  info->matrix.count = dec_has(d, "x4") ? 4 : dec_has(d, "x2") ? 2 : 1;
  info->matrix.trans = dec_has(d, "trans");
  info->space = space_of(d);
  int count = sim_matrix_regs(info->matrix);
  op.flow = SIM_FLOW_ALIGNED;
  op.a = dec_address(d, address, &info->space, &op.imm, &info->wide);
  for (int k = 0; k < count && k < 8 && d->verdict == SIM_OK; k++) {
    const ptx_operand *reg = element(d, regs, count, k);
    info->slots[k] = load ? dec_dst(d, reg, 32, NULL) : dec_src(d, reg, PTX_B32);
  }
  op.extra = info;
  dec_emit(d, &op);
}
void dec_ldmatrix(sim_decoder *d) {
  emit_matrix(d, sim_exec_ldmatrix, dec_opd(d, 0), dec_opd(d, 1), true);
}
void dec_stmatrix(sim_decoder *d) {
  emit_matrix(d, sim_exec_stmatrix, dec_opd(d, 1), dec_opd(d, 0), false);
}
void dec_movmatrix(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_movmatrix);
  op.flow = SIM_FLOW_ALIGNED;
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  op.a = dec_src(d, dec_opd(d, 1), PTX_B32);
  dec_emit(d, &op);
}

static bool parse_mma(sim_decoder *d, sim_mma_form *form) {
  const ptx_match_result *m = &d->match;
  sim_mma_type types[5];
  int ntypes = 0, mm, nn, kk, at = 0;
  while (at < m->nmods && m->mods[at][0] != 'm')
    at++;
  if (at == m->nmods || sscanf(m->mods[at], "m%dn%dk%d", &mm, &nn, &kk) != 3)
    return false;
  *form = (sim_mma_form){
      .m = (uint16_t)mm, .n = (uint16_t)nn, .k = (uint16_t)kk, .scale = SIM_MMA_UE8M0};
  for (int i = at + 1; i < m->nmods; i++)
    if (ntypes < 5 && sim_mma_type_of_name(m->mods[i], &types[ntypes]))
      ntypes++;
  if (ntypes < 4)
    return false;
  form->d = types[0], form->a = types[1], form->b = types[2], form->c = types[3];
  if (ntypes > 4)
    form->scale = types[4];
  form->kind = dec_has(d, "kind::f8f6f4")     ? SIM_MMA_F8F6F4
               : dec_has(d, "kind::mxf8f6f4") ? SIM_MMA_MXF8F6F4
               : dec_has(d, "kind::mxf4")     ? SIM_MMA_MXF4
               : dec_has(d, "kind::mxf4nvf4") ? SIM_MMA_MXF4NVF4
                                              : SIM_MMA_PLAIN;
  form->scale_vec = dec_has(d, "scale_vec::1X")   ? 1
                    : dec_has(d, "scale_vec::2X") ? 2
                    : dec_has(d, "scale_vec::4X") ? 4
                                                  : 0;
  form->satfinite = dec_has(d, "satfinite");
  form->bitop = !dec_has(d, "popc") ? SIM_MMA_NO_BITOP
                : dec_has(d, "xor") ? SIM_MMA_XOR_POPC
                                    : SIM_MMA_AND_POPC;
  form->round = (uint8_t)dec_round(d);
  return true;
}

// Planes of an operand: 32-bit registers, or pairs of planes of 64-bit ones (f64).
static void operand_planes(sim_decoder *d, const ptx_operand *opd, int planes, ptx_type type,
                           bool dest, int32_t *out) {
  int per = planes_per(ptx_type_bits(type)), count = planes / per;
  for (int k = 0; k < count && d->verdict == SIM_OK; k++) {
    const ptx_operand *reg = element(d, opd, count, k);
    int32_t slot = dest ? dec_dst(d, reg, ptx_type_bits(type), NULL) : dec_src(d, reg, type);
    for (int p = 0; p < per; p++)
      out[k * per + p] = slot >= 0 ? slot + p : slot - p;
  }
}

void dec_mma(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_mma);
  sim_mma_info *info = dec_extra(d, sizeof *info);
  sim_mma_form form;
  if (!parse_mma(d, &form) || !sim_mma_describe(d->module->machine->arch, &form, &info->desc)) {
    dec_fail(d, SIM_UNSUPPORTED, "%s has no such mma", d->module->machine->arch_name);
    return;
  }
  ptx_type type = form.d == SIM_MMA_F64 ? PTX_F64 : PTX_B32;
  op.flow = SIM_FLOW_ALIGNED;
  operand_planes(d, dec_opd(d, 0), info->desc.c_regs, type, true, info->d);
  operand_planes(d, dec_opd(d, 1), info->desc.a_regs, type, false, info->a);
  operand_planes(d, dec_opd(d, 2), info->desc.b_regs, type, false, info->b);
  operand_planes(d, dec_opd(d, 3), info->desc.c_regs, type, false, info->c);
  bool scaled = d->match.form == PTX_F_MMA_SCALE || d->match.form == PTX_F_MMA_SCALE2;
  if (scaled && d->verdict == SIM_OK) {
    const ptx_operand *sel_a = dec_opd(d, 5), *sel_b = dec_opd(d, 7);
    info->scaled = true;
    info->scale_a = dec_src(d, element(d, dec_opd(d, 4), 1, 0), PTX_B32); // also written {%r}
    info->scale_b = dec_src(d, element(d, dec_opd(d, 6), 1, 0), PTX_B32);
    info->byte_a = dec_src(d, element(d, sel_a, 2, 0), PTX_U16);
    info->thread_a = dec_src(d, element(d, sel_a, 2, 1), PTX_U16);
    info->byte_b = dec_src(d, element(d, sel_b, 2, 0), PTX_U16);
    info->thread_b = dec_src(d, element(d, sel_b, 2, 1), PTX_U16);
  }
  op.extra = info;
  dec_emit(d, &op);
}
