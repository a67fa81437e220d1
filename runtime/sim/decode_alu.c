// Decoders of arithmetic, comparison, moves and conversions.
#include "runtime/sim/decode.h"
#include <stdio.h>

// --- integers
// ------------------------------------------------------------------------------------------- Key
// of int_ops.def: "base_mod_..._type", modifiers as written.
static sim_fn int_fn(sim_decoder *d, const char *base, bool with_mods, ptx_type type) {
  char key[64];
  int n = snprintf(key, sizeof key, "%s", base);
  for (int i = 0; with_mods && i < d->match.nmods - 1; i++)
    n += snprintf(key + n, sizeof key - (size_t)n, "_%s", d->match.mods[i]);
  snprintf(key + n, sizeof key - (size_t)n, "_%s", ptx_type_word(type));
  sim_fn fn = sim_int_fn(key);
  if (!fn)
    dec_fail(d, SIM_UNSUPPORTED, "no such combination of modifiers and type (%s)", key);
  return fn;
}

static const char *base_of(sim_decoder *d) {
  const char *dot = strchr(d->instr->opcode, '.');
  return dot ? tl_strndup(d->arena, d->instr->opcode, (size_t)(dot - d->instr->opcode))
             : d->instr->opcode;
}

static void emit_int(sim_decoder *d, sim_fn fn, ptx_type type, int sources, int dest_bits) {
  sim_op op = dec_op(d, fn);
  int32_t *slots[] = {&op.a, &op.b, &op.c};
  op.d = dec_dst(d, dec_opd(d, 0), dest_bits, NULL);
  for (int k = 0; k < sources; k++)
    *slots[k] = dec_src(d, dec_opd(d, (uint32_t)k + 1), type);
  dec_emit(d, &op);
}

void dec_int2(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  emit_int(d, int_fn(d, base_of(d), true, type), type, 2, ptx_type_bits(type));
}

void dec_int1(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  const char *base = base_of(d);
  bool narrow = strcmp(base, "popc") == 0 || strcmp(base, "clz") == 0 || strcmp(base, "bfind") == 0;
  emit_int(d, int_fn(d, base, true, type), type, 1, narrow ? 32 : ptx_type_bits(type));
}

void dec_int3(sim_decoder *d) { // sad, bfe, fns
  ptx_type type = dec_type(d, 0);
  if (d->match.form != PTX_F_BFE) {
    emit_int(d, int_fn(d, base_of(d), true, type), type, 3, ptx_type_bits(type));
    return;
  }
  sim_op op = dec_op(d, sim_bfe_fn(type));
  op.sub = ptx_type_class(type) == PTX_CLASS_SINT;
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), PTX_U32);
  op.c = dec_src(d, dec_opd(d, 3), PTX_U32);
  dec_emit(d, &op);
}

void dec_bfi(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  sim_op op = dec_op(d, sim_bfi_fn(type));
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), type);
  op.c = dec_src(d, dec_opd(d, 3), PTX_U32);
  op.imm = dec_src(d, dec_opd(d, 4), PTX_U32);
  dec_emit(d, &op);
}

void dec_mul_int(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  bool mad = d->match.form != PTX_F_MUL_INT;
  int sources = mad ? 3 : 2;
  if (!dec_has(d, "wide")) {
    emit_int(d, int_fn(d, base_of(d), true, type), type, sources, ptx_type_bits(type));
    return;
  }
  sim_fn fn = sim_mul_wide_fn(type, mad);
  if (!fn) {
    dec_fail(d, SIM_UNSUPPORTED, "no .wide multiply of .%s", ptx_type_word(type));
    return;
  }
  sim_op op = dec_op(d, fn);
  int wide = 2 * ptx_type_bits(type);
  op.d = dec_dst(d, dec_opd(d, 0), wide, NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), type);
  if (mad)
    op.c = dec_src(d, dec_opd(d, 3), wide == 64 ? PTX_U64 : PTX_U32);
  dec_emit(d, &op);
}

void dec_mul24(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  emit_int(d, int_fn(d, base_of(d), true, type), type, d->match.form == PTX_F_MAD24 ? 3 : 2, 32);
}

void dec_dp(sim_decoder *d) {
  emit_int(d, int_fn(d, base_of(d), true, dec_type(d, 0)), PTX_B32, 3, 32);
}
void dec_bmsk(sim_decoder *d) { dec_int2(d); }
void dec_shf(sim_decoder *d) { emit_int(d, int_fn(d, "shf", true, PTX_B32), PTX_B32, 3, 32); }

void dec_prmt(sim_decoder *d) {
  const char *mode = d->match.nmods > 1 ? d->match.mods[1] : "b32";
  sim_fn fn = sim_int_fn(tl_sprintf(d->arena, "prmt_%s", mode));
  emit_int(d, fn, PTX_B32, 3, 32);
}

void dec_shift(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  sim_op op = dec_op(d, sim_shift_fn(d->match.form == PTX_F_SHL, type));
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), PTX_U32);
  dec_emit(d, &op);
}

void dec_lop3(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_lop3);
  const ptx_operand *dest = dec_opd(d, 0), *table = dec_opd(d, 4);
  op.d = dec_dst(d, dest, 32, NULL);
  op.a = dec_src(d, dec_opd(d, 1), PTX_B32);
  op.b = dec_src(d, dec_opd(d, 2), PTX_B32);
  op.c = dec_src(d, dec_opd(d, 3), PTX_B32);
  op.imm = table ? (int64_t)table->bits : 0;
  if (d->match.form == PTX_F_LOP3_P) {
    sim_pred_list *preds = dec_extra(d, sizeof *preds);
    preds->dest = dec_pred_dst(d, dest->pair);
    preds->source = dec_pred(d, dec_opd(d, 5), &preds->negated);
    preds->op = dec_has(d, "or");
    op.extra = preds;
  }
  dec_emit(d, &op);
}

void dec_carry(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  ptx_form form = d->match.form;
  sim_op op = dec_op(d, sim_exec_carry);
  op.sub = (form == PTX_F_SUB_CC || form == PTX_F_SUBC) |
           (form == PTX_F_ADDC || form == PTX_F_SUBC) << 1 | dec_has(d, "cc") << 2 |
           (ptx_type_bits(type) == 64) << 3;
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), type);
  dec_emit(d, &op);
}

void dec_madc(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  sim_op op = dec_op(d, sim_exec_madc);
  op.sub = (uint8_t)((d->match.form == PTX_F_MADC) << 1 | dec_has(d, "cc") << 2 |
                     (ptx_type_bits(type) == 64) << 3 | dec_has(d, "hi") << 4 |
                     (ptx_type_class(type) == PTX_CLASS_SINT) << 5);
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), type);
  op.c = dec_src(d, dec_opd(d, 3), type);
  dec_emit(d, &op);
}

// --- predicates, comparison, selection ----------------------------------------------------------
void dec_pred_op(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_pred);
  bool negated;
  op.sub = d->match.form == PTX_F_AND_PRED   ? 0
           : d->match.form == PTX_F_OR_PRED  ? 1
           : d->match.form == PTX_F_XOR_PRED ? 2
                                             : 3;
  op.d = dec_pred_dst(d, dec_opd(d, 0));
  op.a = dec_pred(d, dec_opd(d, 1), &negated);
  if (op.sub == 3)
    negated = !negated; // not
  if (negated)
    op.flags |= SIM_OPF_NOT_A;
  if (op.sub < 3)
    op.b = dec_pred(d, dec_opd(d, 2), &negated);
  if (op.sub < 3 && negated)
    op.flags |= SIM_OPF_NOT_B;
  dec_emit(d, &op);
}

static uint8_t compare_bits(sim_decoder *d, ptx_type type) {
  static const struct {
    const char *word;
    uint8_t bits;
  } rows[] = {{"eq", SIM_CMP_EQ},
              {"ne", SIM_CMP_LT | SIM_CMP_GT},
              {"lt", SIM_CMP_LT},
              {"lo", SIM_CMP_LT},
              {"le", SIM_CMP_LT | SIM_CMP_EQ},
              {"ls", SIM_CMP_LT | SIM_CMP_EQ},
              {"gt", SIM_CMP_GT},
              {"hi", SIM_CMP_GT},
              {"ge", SIM_CMP_GT | SIM_CMP_EQ},
              {"hs", SIM_CMP_GT | SIM_CMP_EQ},
              {"equ", SIM_CMP_EQ | SIM_CMP_UN},
              {"neu", SIM_CMP_LT | SIM_CMP_GT | SIM_CMP_UN},
              {"ltu", SIM_CMP_LT | SIM_CMP_UN},
              {"leu", SIM_CMP_LT | SIM_CMP_EQ | SIM_CMP_UN},
              {"gtu", SIM_CMP_GT | SIM_CMP_UN},
              {"geu", SIM_CMP_GT | SIM_CMP_EQ | SIM_CMP_UN},
              {"num", SIM_CMP_LT | SIM_CMP_EQ | SIM_CMP_GT},
              {"nan", SIM_CMP_UN}};
  bool is_float = ptx_type_class(type) == PTX_CLASS_FLOAT;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (strcmp(d->match.mods[0], rows[i].word) != 0)
      continue;
    bool unsigned_word = i == 3 || i == 5 || i == 7 || i == 9;
    if ((i >= 10 && !is_float) || (unsigned_word && ptx_type_class(type) != PTX_CLASS_UINT))
      dec_fail(d, SIM_BAD_PTX, "comparison .%s does not apply to .%s", rows[i].word,
               ptx_type_word(type));
    return rows[i].bits;
  }
  return 0;
}

static int bool_op(sim_decoder *d) {
  return dec_has(d, "and") ? 0 : dec_has(d, "or") ? 1 : dec_has(d, "xor") ? 2 : 3;
}

static void emit_compare(sim_decoder *d, sim_fn fn, bool to_reg) {
  ptx_type source = dec_type(d, 0), dest = to_reg ? dec_type(d, 1) : PTX_PRED;
  sim_op op = dec_op(d, fn);
  sim_set_info *info = dec_extra(d, sizeof *info);
  const ptx_operand *target = dec_opd(d, 0);
  info->source = source;
  info->dest = dest;
  info->ftz = dec_has(d, "ftz");
  info->preds.op = (uint8_t)bool_op(d);
  info->preds.source = dec_pred(d, dec_opd(d, 3), &info->preds.negated);
  if (to_reg) {
    op.d = dec_dst(d, target, ptx_type_bits(dest), NULL);
  } else {
    info->preds.dest = dec_pred_dst(d, target);
    info->preds.dest2 = dec_pred_dst(d, target->pair);
  }
  op.sub = compare_bits(d, source);
  op.a = dec_src(d, dec_opd(d, 1), source);
  op.b = dec_src(d, dec_opd(d, 2), source);
  op.extra = info;
  dec_emit(d, &op);
}
void dec_setp(sim_decoder *d) {
  bool set = d->match.form == PTX_F_SET || d->match.form == PTX_F_SET_B;
  emit_compare(d, set ? sim_exec_set : sim_exec_setp, set);
}
void dec_setp_x2(sim_decoder *d) { emit_compare(d, sim_exec_setp_x2, false); }
void dec_set_x2(sim_decoder *d) { emit_compare(d, sim_exec_set_x2, true); }

void dec_selp(sim_decoder *d) {
  ptx_type type = dec_type(d, 0);
  bool negated;
  sim_op op = dec_op(d, ptx_type_bits(type) == 64 ? sim_exec_selp64 : sim_exec_selp32);
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), type);
  op.c = dec_pred(d, dec_opd(d, 3), &negated);
  if (negated)
    op.flags |= SIM_OPF_NOT_C;
  dec_emit(d, &op);
}

void dec_slct(sim_decoder *d) {
  ptx_type type = dec_type(d, 1), selector = dec_type(d, 0);
  sim_op op = dec_op(d, sim_exec_slct);
  op.sub =
      (uint8_t)((selector == PTX_F32) | dec_has(d, "ftz") << 1 | (ptx_type_bits(type) == 64) << 2);
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  op.a = dec_src(d, dec_opd(d, 1), type);
  op.b = dec_src(d, dec_opd(d, 2), type);
  op.c = dec_src(d, dec_opd(d, 3), selector);
  dec_emit(d, &op);
}

void dec_testp(sim_decoder *d) {
  static const char *const words[] = {"finite",     "infinite", "number",
                                      "notanumber", "normal",   "subnormal"};
  ptx_type type = dec_type(d, 0);
  sim_op op = dec_op(d, sim_exec_testp);
  for (uint8_t i = 0; i < 6; i++)
    if (dec_has(d, words[i]))
      op.sub = i;
  if (type == PTX_F64)
    op.sub |= 8;
  op.d = dec_pred_dst(d, dec_opd(d, 0));
  op.a = dec_src(d, dec_opd(d, 1), type);
  dec_emit(d, &op);
}

// --- floating point -----------------------------------------------------------------------------
static sim_flt_op flt_op(sim_decoder *d) {
  static const struct {
    const char *base;
    sim_flt_op exact, approx;
  } rows[] = {{"add", SIM_FLT_ADD, 0},
              {"sub", SIM_FLT_SUB, 0},
              {"mul", SIM_FLT_MUL, 0},
              {"fma", SIM_FLT_FMA, 0},
              {"mad", SIM_FLT_FMA, 0},
              {"div", SIM_FLT_DIV, SIM_FLT_DIV_APPROX},
              {"rcp", SIM_FLT_RCP, SIM_FLT_RCP_APPROX},
              {"sqrt", SIM_FLT_SQRT, SIM_FLT_SQRT_APPROX},
              {"rsqrt", 0, SIM_FLT_RSQRT},
              {"ex2", 0, SIM_FLT_EX2},
              {"lg2", 0, SIM_FLT_LG2},
              {"sin", 0, SIM_FLT_SIN},
              {"cos", 0, SIM_FLT_COS},
              {"tanh", 0, SIM_FLT_TANH},
              {"neg", SIM_FLT_NEG, 0},
              {"abs", SIM_FLT_ABS, 0},
              {"copysign", SIM_FLT_COPYSIGN, 0},
              {"min", SIM_FLT_MIN, 0},
              {"max", SIM_FLT_MAX, 0}};
  const char *base = base_of(d);
  bool approx = dec_has(d, "approx") || dec_has(d, "full");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].base, base) == 0)
      return approx ? rows[i].approx : rows[i].exact;
  return SIM_FLT_NONE;
}

static int flt_mods(sim_decoder *d) {
  return (int)dec_round(d) | (dec_has(d, "ftz") ? SIM_FLTM_FTZ : 0) |
         (dec_has(d, "sat") ? SIM_FLTM_SAT : 0) | (dec_has(d, "relu") ? SIM_FLTM_RELU : 0) |
         (dec_has(d, "NaN") ? SIM_FLTM_NAN : 0) | (dec_has(d, "xorsign") ? SIM_FLTM_XORSIGN : 0) |
         (dec_has(d, "abs") || dec_has(d, "full") ? SIM_FLTM_ABS : 0);
}

static void emit_flt(sim_decoder *d, ptx_type type, int mods) {
  sim_flt_op what = flt_op(d);
  sim_op op = dec_op(d, sim_flt_fn(what, type, mods));
  if (!op.fn) {
    dec_fail(d, SIM_UNSUPPORTED, "no such floating-point operation on .%s", ptx_type_word(type));
    return;
  }
  int32_t *slots[] = {&op.a, &op.b, &op.c};
  op.sub = (uint8_t)what;
  op.imm = mods;
  op.member = (int32_t)type;
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(type), NULL);
  for (uint32_t k = 1; k < d->instr->noperands; k++)
    *slots[k - 1] = dec_src(d, dec_opd(d, k), type);
  dec_emit(d, &op);
}
void dec_flt(sim_decoder *d) { emit_flt(d, dec_type(d, 0), flt_mods(d)); }
void dec_minmax(sim_decoder *d) {
  emit_flt(d, dec_type(d, 0), flt_mods(d) | (d->instr->noperands > 3 ? SIM_FLTM_THREE : 0));
}

void dec_flt_mixed(sim_decoder *d) {
  ptx_type narrow = dec_type(d, 0);
  sim_op op = dec_op(d, sim_exec_flt_mixed);
  bool fma = d->match.form == PTX_F_FMA_MIXED;
  op.sub = (uint8_t)flt_op(d);
  op.imm = flt_mods(d);
  op.member = (int32_t)narrow;
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  op.a = dec_src(d, dec_opd(d, 1), narrow);
  op.b = dec_src(d, dec_opd(d, 2), fma ? narrow : PTX_F32);
  if (fma)
    op.c = dec_src(d, dec_opd(d, 3), PTX_F32);
  dec_emit(d, &op);
}

// --- moves --------------------------------------------------------------------------------------
static sim_slot_list *new_list(sim_decoder *d, uint32_t count) {
  sim_slot_list *list = dec_extra(d, sizeof *list + count * sizeof(int32_t));
  list->count = count;
  return list;
}

static void mov_unpack(sim_decoder *d, const ptx_operand *to, const ptx_operand *from,
                       ptx_type type) {
  int part = ptx_type_bits(type) / (int)to->nitems;
  sim_op op = dec_op(d, sim_exec_unpack);
  sim_slot_list *list = new_list(d, to->nitems);
  op.a = dec_src(d, from, type);
  op.imm = part;
  for (uint32_t k = 0; k < to->nitems; k++)
    list->slots[k] =
        to->items[k].kind == PTX_OPD_SINK ? SIM_SINK : dec_dst(d, &to->items[k], part, NULL);
  op.extra = list;
  dec_emit(d, &op);
}

static ptx_type bits_type(int bits) {
  return bits == 8    ? PTX_B8
         : bits == 16 ? PTX_B16
         : bits == 32 ? PTX_B32
         : bits == 64 ? PTX_B64
                      : PTX_B128;
}

static void mov_pack(sim_decoder *d, const ptx_operand *to, const ptx_operand *from,
                     ptx_type type) {
  int part = ptx_type_bits(type) / (int)from->nitems;
  sim_op op = dec_op(d, sim_exec_pack);
  sim_slot_list *list = new_list(d, from->nitems);
  op.imm = part;
  for (uint32_t k = 0; k < from->nitems; k++)
    list->slots[k] = dec_src(d, &from->items[k], bits_type(part));
  op.d = dec_dst(d, to, ptx_type_bits(type), NULL);
  op.extra = list;
  dec_emit(d, &op);
}

static void mov_pred(sim_decoder *d, const ptx_operand *to, const ptx_operand *from) {
  int sreg, bits;
  bool negated;
  if (from->kind == PTX_OPD_NAME && sim_sreg_find(from->name, &sreg, &bits)) {
    sim_op read = dec_op(d, sim_exec_sreg);
    read.sub = (uint8_t)sreg;
    read.imm = 1;
    read.d = dec_pred_dst(d, to);
    dec_emit(d, &read);
    return;
  }
  sim_op op = dec_op(d, sim_exec_pred);
  op.sub = 3;
  op.d = dec_pred_dst(d, to);
  op.a = dec_pred(d, from, &negated);
  if (negated)
    op.flags |= SIM_OPF_NOT_A;
  dec_emit(d, &op);
}

void dec_mov(sim_decoder *d) {
  const ptx_operand *to = dec_opd(d, 0), *from = dec_opd(d, 1);
  ptx_type type = dec_type(d, 0);
  int bits = ptx_type_bits(type);
  bool unpack = to->kind == PTX_OPD_VECTOR, pack = from->kind == PTX_OPD_VECTOR;
  uint32_t parts = unpack ? to->nitems : pack ? from->nitems : 1;
  bool whole = !unpack && !pack;
  if ((unpack && pack) || (!whole && (parts == 0 || bits % (int)parts || bits / (int)parts < 8))) {
    dec_fail(d, SIM_BAD_PTX, "bad vector operand of mov");
  } else if (type == PTX_PRED) {
    mov_pred(d, to, from);
  } else if (unpack) {
    mov_unpack(d, to, from, type);
  } else if (pack) {
    mov_pack(d, to, from, type);
  } else {
    sim_op op = dec_op(d, bits == 64    ? sim_exec_mov64
                          : bits == 128 ? sim_exec_mov_planes
                                        : sim_exec_mov32);
    op.imm = 4;
    op.a = dec_src(d, from, type);
    op.d = dec_dst(d, to, bits, NULL);
    dec_emit(d, &op);
  }
}

// --- conversions --------------------------------------------------------------------------------
static sim_cvt *new_cvt(sim_decoder *d) {
  sim_cvt *cvt = dec_extra(d, sizeof *cvt);
  cvt->dest = dec_type(d, 1);
  cvt->source = dec_type(d, 0);
  cvt->round = dec_round(d);
  cvt->to_integral =
      dec_has(d, "rni") || dec_has(d, "rzi") || dec_has(d, "rmi") || dec_has(d, "rpi");
  cvt->ftz = dec_has(d, "ftz");
  cvt->relu = dec_has(d, "relu");
  cvt->sat = dec_has(d, "sat");
  cvt->satfinite = dec_has(d, "satfinite");
  return cvt;
}

void dec_cvt(sim_decoder *d) {
  sim_cvt *cvt = new_cvt(d);
  int reg_bits;
  int32_t dest = dec_dst(d, dec_opd(d, 0), ptx_type_bits(cvt->dest), &reg_bits);
  cvt->dest_bits = reg_bits == 8 ? 16 : reg_bits;
  sim_op op = dec_op(d, sim_cvt_fn(cvt));
  op.d = dest;
  op.a = dec_src(d, dec_opd(d, 1), cvt->source);
  op.extra = cvt;
  dec_emit(d, &op);
}

static ptx_type element_of(ptx_type packed) {
  return packed == PTX_F16X2 ? PTX_F16 : packed == PTX_BF16X2 ? PTX_BF16 : packed;
}

void dec_cvt_x2(sim_decoder *d) {
  sim_cvt *cvt = new_cvt(d);
  cvt->dest = element_of(cvt->dest);
  sim_op op = dec_op(d, sim_cvt_x2_fn(cvt));
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  op.a = dec_src(d, dec_opd(d, 1), PTX_F32);
  op.b = dec_src(d, dec_opd(d, 2), PTX_F32);
  op.extra = cvt;
  dec_emit(d, &op);
}

void dec_cvt_tf32(sim_decoder *d) {
  sim_op op = dec_op(d, sim_exec_cvt_tf32);
  op.extra = new_cvt(d);
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  op.a = dec_src(d, dec_opd(d, 1), PTX_F32);
  dec_emit(d, &op);
}

void dec_cvt_fp8(sim_decoder *d) {
  sim_cvt *cvt = new_cvt(d);
  sim_op op = dec_op(d, sim_exec_cvt_narrow);
  op.d = dec_dst(d, dec_opd(d, 0), ptx_type_bits(cvt->dest), NULL);
  op.a = dec_src(d, dec_opd(d, 1), cvt->source);
  if (d->instr->noperands > 2)
    op.b = dec_src(d, dec_opd(d, 2), cvt->source);
  op.extra = cvt;
  dec_emit(d, &op);
}

void dec_cvt_pack(sim_decoder *d) {
  static const struct {
    const char *word;
    int bits;
    bool is_signed;
  } rows[] = {{"u16", 16, false}, {"s16", 16, true}, {"u8", 8, false}, {"s8", 8, true},
              {"u4", 4, false},   {"s4", 4, true},   {"u2", 2, false}, {"s2", 2, true}};
  sim_op op = dec_op(d, sim_exec_cvt_pack);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(d->match.mods[2], rows[i].word) == 0)
      op.imm = rows[i].bits, op.sub = rows[i].is_signed;
  op.d = dec_dst(d, dec_opd(d, 0), 32, NULL);
  op.a = dec_src(d, dec_opd(d, 1), PTX_S32);
  op.b = dec_src(d, dec_opd(d, 2), PTX_S32);
  if (d->match.form == PTX_F_CVT_PACK8) {
    op.sub |= 2;
    op.c = dec_src(d, dec_opd(d, 3), PTX_B32);
  }
  dec_emit(d, &op);
}
