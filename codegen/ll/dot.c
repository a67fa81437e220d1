// dot and dot_scaled as mma.sync: one m16n8k(256 bits) atom after the other.
//
// Word and register numbers follow the layouts of ir/layout.h: a holds 4 words per (m, k) atom, b 2
// per (n, k), the accumulator 4 registers per (m, n); k counts fastest in the operands, n in the
// accumulator. K ascends for every accumulator, so results do not depend on the order of atoms.
#include "codegen/ll/emit.h"
#include "ir/dot.h"

typedef struct atom_row {
  tl_dtype a, b;
  const char *name; // intrinsic
} atom_row;

// fp8 goes through the block-scale form where there is one (sm_120a): the plain form runs at half
// rate there. Where ptxas emulates fp8 (sm_90a, sm_100a) we convert to f16 ourselves: each operand
// once for all atoms that use it, and without the emulation's separate additions. On an H200
// (580.159.04, ptxas 13.0.88, 2026-11-20) 367 instead of 278 TFLOP/s at 4096 x 4096 x 7168.
static const atom_row atoms[] = {
    {TL_BF16, TL_BF16, "llvm.nvvm.mma.m16n8k16.row.col.bf16"},
    {TL_F16, TL_F16, "llvm.nvvm.mma.m16n8k16.row.col.f32.f32"},
    {TL_TF32, TL_TF32, "llvm.nvvm.mma.m16n8k8.row.col.tf32"},
    {TL_I8, TL_I8, "llvm.nvvm.mma.m16n8k32.row.col.s8"},
    {TL_U8, TL_U8, "llvm.nvvm.mma.m16n8k32.row.col.u8"},
    {TL_I8, TL_U8, "llvm.nvvm.mma.m16n8k32.row.col.s8.u8"},
    {TL_U8, TL_I8, "llvm.nvvm.mma.m16n8k32.row.col.u8.s8"},
    {TL_F8E4M3, TL_F8E4M3, "llvm.nvvm.mma.m16n8k32.row.col.f32.e4m3.e4m3.f32"},
    {TL_F8E4M3, TL_F8E5M2, "llvm.nvvm.mma.m16n8k32.row.col.f32.e4m3.e5m2.f32"},
    {TL_F8E5M2, TL_F8E4M3, "llvm.nvvm.mma.m16n8k32.row.col.f32.e5m2.e4m3.f32"},
    {TL_F8E5M2, TL_F8E5M2, "llvm.nvvm.mma.m16n8k32.row.col.f32.e5m2.e5m2.f32"},
};
static const char *const scaled_prefix =
    "llvm.nvvm.mma.block.scale.m16n8k32.row.col.mxf8f6f4.scale.1x.f32";
static const char *const packed_name =
    "llvm.nvvm.mma.block.scale.m16n8k64.row.col.mxf4nvf4.scale.2x.f32.e2m1.e2m1.f32.ue8m0";

typedef struct operand {
  tl_dtype dtype;
  ll_value *value;
  ll_v *words;
  bool in_bytes; // 4-bit codes in the low halves of bytes; the mma wants them in bits 2..5
  ll_v *halves;  // fp8 as pairs of f16, two per word; NULL when not used
} operand;

typedef struct mma {
  const char *name;
  bool block_scale; // the form with scales
  bool halves;      // operands are <2 x half>
  bool integers;    // i32 accumulators
  int atoms_m, atoms_n, atoms_k;
  int k_elems; // of one atom
  operand a, b;
} mma;

static bool is_narrow(tl_dtype dtype) { return tl_is_float(dtype) && tl_dtype_bits(dtype) <= 8; }

static const char *narrow_name(tl_dtype dtype) {
  return dtype == TL_F8E4M3 ? "e4m3" : dtype == TL_F8E5M2 ? "e5m2" : "e2m1";
}

static operand describe_operand(ll_ctx *c, const ir_op *op, int arg, int bits) {
  ir_val val = op->args[arg];
  operand o = {.dtype = ll_dtype(c, val), .value = ll_val(c, val)};
  o.words = ll_words_of(c, val, 32 / bits);
  o.in_bytes = tl_dtype_bits(o.dtype) == 4 && bits == 8;
  if (is_narrow(o.dtype) && c->func->target->features & FEAT_FP8_MMA_EMULATED)
    o.halves = TL_NEW_N(c->arena, ll_v, ll_nregs(c, val) / 2);
  return o;
}

static mma describe(ll_ctx *c, const ir_op *op) {
  int b_arg = ir_dot_b(op), bits = ir_dot_operand_bits(c->func, op, 0);
  ir_val a = op->args[0], b = op->args[b_arg], acc = op->res[0];
  tl_dtype da = ll_dtype(c, a), db = ll_dtype(c, b);
  mma m = {.k_elems = 256 / bits};
  for (size_t i = 0; i < sizeof atoms / sizeof *atoms; i++)
    if (atoms[i].a == da && atoms[i].b == db)
      m.name = atoms[i].name;
  m.block_scale = is_narrow(da) && c->func->target->features & FEAT_BLOCK_SCALE_MMA;
  if (m.block_scale)
    m.name = bits == 4 ? packed_name
                       : tl_sprintf(c->arena, "%s.%s.%s.f32.ue8m0", scaled_prefix, narrow_name(da),
                                    narrow_name(db));
  TL_ASSERT(m.name, "no mma.sync for %s x %s", tl_dtype_name(da), tl_dtype_name(db));
  m.halves = da == TL_F16;
  m.integers = !tl_is_float(da);
  m.a = describe_operand(c, op, 0, bits), m.b = describe_operand(c, op, b_arg, bits);
  m.atoms_k = (int)(ir_type(c->func, a)->dims[1] / m.k_elems);
  int per_word = 32 / bits;
  m.atoms_m = ll_nregs(c, a) / per_word / 4 / m.atoms_k;
  m.atoms_n = ll_nregs(c, b) / per_word / 2 / m.atoms_k;
  TL_ASSERT(m.atoms_m * m.atoms_n * 4 == ll_nregs(c, acc), "dot: %d x %d atoms, %d registers",
            m.atoms_m, m.atoms_n, ll_nregs(c, acc));
  return m;
}

// --- scales of the block-scale forms ------------------------------------------------------------

// One operand of scales: registers are the blocks of K that share a word, then atoms, then the
// other blocks (ir_layout_mma_scale_a).
typedef struct scales {
  ll_v *regs; // i8; NULL: 2^0
  int per_word, atoms;
  int64_t granularity;
} scales;

typedef struct scale { // as the instruction takes it
  ll_v word;
  int byte;
} scale;

static const scales unit_scales = {0};

static scales describe_scales(ll_ctx *c, ir_val val, int k_dim, int natoms, int64_t granularity) {
  const ty_type *type = ir_type(c->func, val);
  int per_word = ir_dot_scales_per_word(type->rank == 2 ? type->dims[k_dim] : 1);
  return (scales){ll_regs(c, val), per_word, natoms, granularity};
}

// A byte that was cut out of a word needs no cutting: the instruction selects one.
static scale uncut(ll_ctx *c, ll_v byte) {
  if (!LLVMIsATruncInst(byte) || LLVMTypeOf(LLVMGetOperand(byte, 0)) != c->t_i32)
    return (scale){LLVMBuildZExt(c->b, byte, c->t_i32, ""), 0};
  ll_v word = LLVMGetOperand(byte, 0);
  ll_v by = LLVMIsABinaryOperator(word) && LLVMGetInstructionOpcode(word) == LLVMLShr
                ? LLVMGetOperand(word, 1)
                : NULL;
  if (!by || !LLVMIsAConstantInt(by) || LLVMConstIntGetZExtValue(by) % 8)
    return (scale){word, 0};
  return (scale){LLVMGetOperand(word, 0), (int)(LLVMConstIntGetZExtValue(by) / 8)};
}

static scale scale_of_block(ll_ctx *c, const scales *s, int atom, int block) {
  ll_v *first = s->regs + (block / s->per_word * s->atoms + atom) * s->per_word;
  if (s->per_word == 1)
    return uncut(c, *first);
  ll_v word = LLVMBuildZExt(c->b, first[0], c->t_i32, "");
  for (int i = 1; i < s->per_word; i++) {
    ll_v part = LLVMBuildZExt(c->b, first[i], c->t_i32, "");
    word = LLVMBuildOr(c->b, word, LLVMBuildShl(c->b, part, ll_i32(c, 8 * i), ""), "");
  }
  return (scale){word, block % s->per_word};
}

// Scales of the atom `ik` along K. m16n8k64 takes two: neighbours, or one twice where a block is
// longer than 32.
static scale scale_of(ll_ctx *c, const mma *m, const scales *s, int atom, int ik) {
  if (!s->regs)
    return (scale){ll_i32(c, 0x7F7F7F7F), 0};
  scale one = scale_of_block(c, s, atom, (int)(ik * m->k_elems / s->granularity));
  if (m->k_elems == 32 || s->granularity == 32)
    return one;
  ll_v twice = LL_CALL(c, "llvm.nvvm.prmt", one.word, ll_i32(c, 0), ll_i32(c, 0x1111 * one.byte));
  return (scale){twice, 0};
}

// The four fp8 values of a word as two pairs of f16, exact; converted once.
static const ll_v *halves_of(ll_ctx *c, const operand *o, int word) {
  ll_v *pairs = o->halves + word * 2;
  for (int i = 0; i < 2 && !pairs[i]; i++) {
    ll_v bits = LLVMBuildLShr(c->b, o->words[word], ll_i32(c, 16 * i), "");
    pairs[i] = ll_decode_fp8_pair(c, LLVMBuildTrunc(c->b, bits, c->t_i16, ""), o->dtype);
  }
  return pairs;
}

// An fp8 atom as two f16 atoms of half its K. Which k of the instruction an element takes does not
// matter as long as a and b agree: the lower pair of every word goes first.
static void emit_halves(ll_ctx *c, const mma *m, int first_a, int first_b, ll_v *acc) {
  for (int part = 0; part < 2; part++) {
    const ll_v *low = halves_of(c, &m->a, first_a + 2 * part);
    const ll_v *high = halves_of(c, &m->a, first_a + 2 * part + 1);
    const ll_v *b = halves_of(c, &m->b, first_b + part);
    ll_v args[] = {low[0], high[0], low[1], high[1], b[0], b[1], acc[0], acc[1], acc[2], acc[3]};
    ll_v result = ll_intrinsic(c, "llvm.nvvm.mma.m16n8k16.row.col.f32.f32", NULL, 0, args, 10);
    ll_convergent(c, result);
    for (int i = 0; i < 4; i++)
      acc[i] = LLVMBuildExtractValue(c->b, result, (unsigned)i, "");
  }
}

static ll_v word_of(ll_ctx *c, const mma *m, const operand *o, int index) {
  ll_v word = o->words[index];
  if (o->in_bytes)
    return LLVMBuildShl(c->b, word, ll_i32(c, 2), "");
  return m->halves ? LLVMBuildBitCast(c->b, word, LLVMVectorType(c->t_half, 2), "") : word;
}

typedef struct place { // an atom
  int m, n, k;
} place;

// acc[0..3] += a(m, k) * b(k, n), scaled where the instruction does that.
static void emit_atom(ll_ctx *c, const mma *m, place at, const scales *sa, const scales *sb,
                      ll_v *acc) {
  int first_a = (at.m * m->atoms_k + at.k) * 4, first_b = (at.n * m->atoms_k + at.k) * 2, n = 0;
  ll_force_words(c, m->a.value, first_a, 4);
  ll_force_words(c, m->b.value, first_b, 2);
  if (m->a.halves) {
    emit_halves(c, m, first_a, first_b, acc);
    return;
  }
  ll_v args[16];
  for (int i = 0; i < 4; i++)
    args[n++] = word_of(c, m, &m->a, first_a + i);
  for (int i = 0; i < 2; i++)
    args[n++] = word_of(c, m, &m->b, first_b + i);
  for (int i = 0; i < 4; i++)
    args[n++] = acc[i];
  if (m->block_scale) {
    scale of[2] = {scale_of(c, m, sa, at.m, at.k), scale_of(c, m, sb, at.n, at.k)};
    for (int i = 0; i < 2; i++) {
      args[n++] = of[i].word;
      args[n++] = LLVMConstInt(c->t_i16, (unsigned)of[i].byte, false);
      args[n++] = LLVMConstNull(c->t_i16); // lanes 4g and 4g + 1
    }
  }
  ll_v result = ll_intrinsic(c, m->name, NULL, 0, args, n);
  ll_convergent(c, result); // the intrinsic does not say so
  for (int i = 0; i < 4; i++)
    acc[i] = LLVMBuildExtractValue(c->b, result, (unsigned)i, "");
}

static void zero_part(ll_ctx *c, const mma *m, ll_v *part) {
  for (int i = 0; i < 4; i++)
    part[i] = LLVMConstNull(m->integers ? c->t_i32 : c->t_float);
}

// Operands of one k step serve all accumulators before the next step's are loaded.
static void accumulate_in_place(ll_ctx *c, const mma *m, const scales *sa, const scales *sb,
                                ll_v *acc) {
  for (int ik = 0; ik < m->atoms_k; ik++)
    for (int im = 0; im < m->atoms_m; im++)
      for (int in = 0; in < m->atoms_n; in++)
        emit_atom(c, m, (place){im, in, ik}, sa, sb, acc + (im * m->atoms_n + in) * 4);
}

// part = a * b over k atoms [first, first + count), from zero: one part is alive at a time.
static void multiply_block(ll_ctx *c, const mma *m, place at, int count, ll_v *part) {
  zero_part(c, m, part);
  for (int end = at.k + count; at.k < end; at.k++)
    emit_atom(c, m, at, &unit_scales, &unit_scales, part);
}

// Order of atoms where each needs a whole block of K: the operand with fewer words stays in
// registers, the other passes by.
static place atom_place(const mma *m, int index, int ik) {
  if (m->atoms_m * 4 <= m->atoms_n * 2)
    return (place){index % m->atoms_m, index / m->atoms_m, ik};
  return (place){index / m->atoms_n, index % m->atoms_n, ik};
}

static void accumulate_promoted(ll_ctx *c, const mma *m, int per_part, ll_v *acc) {
  for (int ik = 0; ik < m->atoms_k; ik += per_part)
    for (int index = 0; index < m->atoms_m * m->atoms_n; index++) {
      place at = atom_place(m, index, ik);
      ll_v part[4], *to = acc + (at.m * m->atoms_n + at.n) * 4;
      int count = ik + per_part <= m->atoms_k ? per_part : m->atoms_k - ik;
      multiply_block(c, m, at, count, part);
      for (int i = 0; i < 4; i++)
        to[i] = m->integers ? LLVMBuildAdd(c->b, to[i], part[i], "")
                            : LLVMBuildFAdd(c->b, to[i], part[i], "");
    }
}

static ll_v *copy_accumulator(ll_ctx *c, const ir_op *op, ir_val from) {
  ll_v *in = ll_regs(c, from);
  ll_v *acc = ll_new_regs(c, op->res[0]);
  memcpy(acc, in, sizeof *acc * (size_t)ll_nregs(c, op->res[0]));
  return acc;
}

void ll_emit_dot(ll_ctx *c, const ir_op *op) {
  mma m = describe(c, op);
  ll_v *acc = copy_accumulator(c, op, op->args[2]);
  int64_t promote = ir_int(op, "promote", 0);
  int64_t k = (int64_t)m.atoms_k * m.k_elems;
  if (promote <= 0) {
    accumulate_in_place(c, &m, &unit_scales, &unit_scales, acc);
    return;
  }
  int64_t per_part = promote < k ? promote / m.k_elems : m.atoms_k;
  TL_ASSERT(per_part >= 1, "promotion every %lld of K is finer than an atom", (long long)promote);
  accumulate_promoted(c, &m, (int)per_part, acc);
}

// Scale of a row half or column of an atom: registers count halves (columns) fastest, then atoms,
// then k blocks.
static ll_v scale_at(ll_ctx *c, ir_val val, int natoms, int atom, int half, int block, int blocks) {
  int index = atom * 2 + half;
  if (blocks > 1)
    index += block * natoms * 2;
  return ll_to_f32(c, ll_regs(c, val)[index], ll_dtype(c, val));
}

static int scale_blocks(ll_ctx *c, ir_val val, int dim) {
  const ty_type *type = ir_type(c->func, val);
  return type->rank == 2 ? (int)type->dims[dim] : 1;
}

void ll_emit_dot_scaled(ll_ctx *c, const ir_op *op) {
  mma m = describe(c, op);
  TL_ASSERT(!m.integers, "dot_scaled of integers");
  ll_v *acc = copy_accumulator(c, op, op->args[4]);
  int64_t k = (int64_t)m.atoms_k * m.k_elems, granularity = ir_int(op, "granularity", k);
  if (granularity > k)
    granularity = k;
  if (ir_dot_scales_natively(c->func, op)) {
    scales sa = describe_scales(c, op->args[1], 1, m.atoms_m, granularity);
    scales sb = describe_scales(c, op->args[3], 0, m.atoms_n, granularity);
    accumulate_in_place(c, &m, &sa, &sb, acc);
    return;
  }
  TL_ASSERT(granularity % m.k_elems == 0, "granularity %lld is finer than an atom",
            (long long)granularity);
  int per_block = (int)(granularity / m.k_elems);
  int a_blocks = scale_blocks(c, op->args[1], 1), b_blocks = scale_blocks(c, op->args[3], 0);
  for (int block = 0; block * per_block < m.atoms_k; block++)
    for (int index = 0; index < m.atoms_m * m.atoms_n; index++) {
      place at = atom_place(&m, index, block * per_block);
      ll_v part[4], *to = acc + (at.m * m.atoms_n + at.n) * 4;
      multiply_block(c, &m, at, per_block, part);
      for (int i = 0; i < 4; i++) { // register 2h + j: row half h, column j
        ll_v sa = scale_at(c, op->args[1], m.atoms_m, at.m, i >> 1, block, a_blocks);
        ll_v sb = scale_at(c, op->args[3], m.atoms_n, at.n, i & 1, block, b_blocks);
        ll_v product = LLVMBuildFMul(c->b, sa, sb, "");
        to[i] = ll_intrinsic(c, "llvm.fma", &c->t_float, 1, (ll_v[]){part[i], product, to[i]}, 3);
      }
    }
}
