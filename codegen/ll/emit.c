// Types, constants and single instructions: the vocabulary of the other files of this folder.
#include "codegen/ll/emit.h"
#include "lang/base/fp.h"

enum { LL_EFFECT = 1, LL_WARP = 2 };

typedef struct asm_row {
  const char *text, *constraints;
  int flags;
} asm_row;
static const asm_row asm_rows[] = {
#define ASM(id, text, constraints, flags) {text, constraints, flags},
#include "codegen/ll/asm.def"
#undef ASM
};

ll_t ll_type(ll_ctx *c, tl_dtype dtype) {
  switch (dtype) {
  case TL_I1:
    return c->t_i1;
  case TL_I4:
  case TL_I8:
  case TL_U8:
  case TL_F8E4M3:
  case TL_F8E5M2:
  case TL_F6E2M3:
  case TL_F6E3M2:
  case TL_F4E2M1:
  case TL_UE8M0:
    return c->t_i8;
  case TL_I16:
  case TL_U16:
    return c->t_i16;
  case TL_I32:
  case TL_U32:
    return c->t_i32;
  case TL_I64:
  case TL_U64:
    return c->t_i64;
  case TL_F64:
    return c->t_double;
  case TL_F32:
  case TL_TF32:
    return c->t_float;
  case TL_F16:
    return c->t_half;
  case TL_BF16:
    return c->t_bfloat;
  case TL_NODTYPE:
  case TL_DTYPE_COUNT:
    break;
  }
  TL_UNREACHABLE("element type %d has no register form", (int)dtype);
}

ll_v ll_i32(ll_ctx *c, int64_t value) {
  return LLVMConstInt(c->t_i32, (unsigned long long)value & 0xFFFFFFFFu, false);
}
ll_v ll_i64(ll_ctx *c, int64_t value) {
  return LLVMConstInt(c->t_i64, (unsigned long long)value, true);
}
ll_v ll_i1(ll_ctx *c, bool value) { return LLVMConstInt(c->t_i1, value, false); }
ll_v ll_f32(ll_ctx *c, double value) { return LLVMConstReal(c->t_float, value); }

static unsigned long long low_bits(uint64_t value, int bits) {
  return bits == 64 ? value : value & ((1ull << bits) - 1);
}

ll_v ll_const(ll_ctx *c, tl_dtype dtype, double f, int64_t i) {
  ll_t type = ll_type(c, dtype);
  unsigned width = dtype == TL_I1 ? 1 : 8;
  switch (dtype) {
  case TL_F64:
  case TL_F32:
  case TL_TF32:
  case TL_F16:
  case TL_BF16: {
    int bits = tl_dtype_bits(dtype);
    ll_v image = LLVMConstInt(LLVMIntTypeInContext(c->cx, (unsigned)bits),
                              tl_fp_encode(dtype, f, TL_RN, false), false);
    return LLVMConstBitCast(image, type);
  }
  default:
    break;
  }
  if (tl_is_float(dtype))
    return LLVMConstInt(type, tl_fp_encode(dtype, f, TL_RN, false), false);
  width = LLVMGetIntTypeWidth(type);
  return LLVMConstInt(type, low_bits((uint64_t)i, (int)width), false);
}

ll_v ll_zero(ll_ctx *c, tl_dtype dtype) { return LLVMConstNull(ll_type(c, dtype)); }

bool ll_is_true(ll_v v) { return LLVMIsAConstantInt(v) && LLVMConstIntGetZExtValue(v) == 1; }
bool ll_is_zero(ll_v v) { return LLVMIsAConstantInt(v) && LLVMConstIntGetZExtValue(v) == 0; }

ll_v ll_add(ll_ctx *c, ll_v a, ll_v b) {
  if (ll_is_zero(b))
    return a;
  return ll_is_zero(a) ? b : LLVMBuildAdd(c->b, a, b, "");
}

ll_v ll_mul(ll_ctx *c, ll_v a, ll_v b) {
  if (LLVMIsAConstantInt(b) && LLVMConstIntGetZExtValue(b) == 1)
    return a;
  if (LLVMIsAConstantInt(a) && LLVMConstIntGetZExtValue(a) == 1)
    return b;
  return LLVMBuildMul(c->b, a, b, "");
}

ll_v ll_and(ll_ctx *c, ll_v a, ll_v b) {
  if (ll_is_true(a))
    return b;
  return ll_is_true(b) ? a : LLVMBuildAnd(c->b, a, b, "");
}

ll_v ll_offset(ll_ctx *c, ll_v pointer, ll_v bytes) {
  if (ll_is_zero(bytes))
    return pointer;
  return LLVMBuildGEP2(c->b, c->t_i8, pointer, &bytes, 1, "");
}

ll_v ll_intrinsic(ll_ctx *c, const char *name, ll_t *overloads, int noverloads, ll_v *args,
                  int nargs) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  TL_ASSERT(id, "LLVM has no intrinsic %s", name);
  ll_t type = LLVMIntrinsicGetType(c->cx, id, overloads, (size_t)noverloads);
  ll_v callee = LLVMGetIntrinsicDeclaration(c->module, id, overloads, (size_t)noverloads);
  return LLVMBuildCall2(c->b, type, callee, args, (unsigned)nargs, "");
}

static LLVMAttributeRef flag_attribute(ll_ctx *c, const char *name) {
  return LLVMCreateEnumAttribute(c->cx, LLVMGetEnumAttributeKindForName(name, strlen(name)), 0);
}

void ll_convergent(ll_ctx *c, ll_v call) {
  LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, flag_attribute(c, "convergent"));
}

ll_v ll_asm(ll_ctx *c, ll_asm_id id, ll_t result, ll_v *args, int nargs) {
  const asm_row *row = &asm_rows[id];
  ll_t types[32];
  TL_ASSERT(nargs <= 32, "asm row %d with %d operands", (int)id, nargs);
  for (int i = 0; i < nargs; i++)
    types[i] = LLVMTypeOf(args[i]);
  ll_t type = LLVMFunctionType(result, types, (unsigned)nargs, false);
  ll_v callee = LLVMGetInlineAsm(type, row->text, strlen(row->text), row->constraints,
                                 strlen(row->constraints), row->flags & LL_EFFECT, false,
                                 LLVMInlineAsmDialectATT, false);
  ll_v call = LLVMBuildCall2(c->b, type, callee, args, (unsigned)nargs, "");
  LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, flag_attribute(c, "nounwind"));
  if (!(row->flags & LL_EFFECT)) // memory(none)
    LLVMAddCallSiteAttribute(
        call, LLVMAttributeFunctionIndex,
        LLVMCreateEnumAttribute(c->cx, LLVMGetEnumAttributeKindForName("memory", 6), 0));
  if (row->flags & LL_WARP)
    ll_convergent(c, call);
  return call;
}

void ll_bar_sync(ll_ctx *c) {
  ll_force_all(c);
  if (c->alone)
    return;
  if (c->barrier)
    ll_convergent(c, LL_CALL(c, "llvm.nvvm.barrier.cta.sync.aligned.count", ll_i32(c, c->barrier),
                             ll_i32(c, c->threads)));
  else if (c->func->extra_warps) // the feeder takes no part
    ll_convergent(c, LL_CALL(c, "llvm.nvvm.barrier.cta.sync.aligned.count", ll_i32(c, 1),
                             ll_i32(c, 32 * c->func->warps)));
  else
    ll_convergent(c, LL_CALL(c, "llvm.nvvm.barrier.cta.sync.aligned.all", ll_i32(c, 0)));
}

// A slower warp may still read what the operation before left in scratch; the first has none before.
void ll_scratch_begin(ll_ctx *c) {
  if (c->scratch_idle)
    ll_force_all(c);
  else
    ll_bar_sync(c);
  c->scratch_idle = false;
}

LLVMBasicBlockRef ll_block(ll_ctx *c, const char *name) {
  return LLVMAppendBasicBlockInContext(c->cx, c->fn, name);
}

LLVMBasicBlockRef ll_begin_if(ll_ctx *c, ll_v cond) {
  if (ll_is_true(cond))
    return NULL;
  LLVMBasicBlockRef inside = ll_block(c, "if"), after = ll_block(c, "fi");
  LLVMBuildCondBr(c->b, cond, inside, after);
  LLVMPositionBuilderAtEnd(c->b, inside);
  return after;
}

void ll_end_if(ll_ctx *c, LLVMBasicBlockRef after) {
  if (!after)
    return;
  LLVMBuildBr(c->b, after);
  LLVMPositionBuilderAtEnd(c->b, after);
}

static unsigned width_of(ll_t type) {
  switch (LLVMGetTypeKind(type)) {
  case LLVMIntegerTypeKind:
    return LLVMGetIntTypeWidth(type);
  case LLVMHalfTypeKind:
  case LLVMBFloatTypeKind:
    return 16;
  case LLVMFloatTypeKind:
    return 32;
  case LLVMDoubleTypeKind:
    return 64;
  default:
    TL_UNREACHABLE("no element type");
  }
}

ll_v ll_to_bits(ll_ctx *c, ll_v value, int bits) {
  ll_t type = LLVMTypeOf(value);
  unsigned width = width_of(type);
  if (LLVMGetTypeKind(type) != LLVMIntegerTypeKind)
    value = LLVMBuildBitCast(c->b, value, LLVMIntTypeInContext(c->cx, width), "");
  ll_t wanted = LLVMIntTypeInContext(c->cx, (unsigned)bits);
  return width == (unsigned)bits ? value : LLVMBuildZExt(c->b, value, wanted, "");
}

ll_v ll_from_bits(ll_ctx *c, ll_v bits, ll_t type) {
  unsigned width = width_of(type), have = LLVMGetIntTypeWidth(LLVMTypeOf(bits));
  if (have > width)
    bits = LLVMBuildTrunc(c->b, bits, LLVMIntTypeInContext(c->cx, width), "");
  return LLVMTypeOf(bits) == type ? bits : LLVMBuildBitCast(c->b, bits, type, "");
}

ll_v ll_keep_here(ll_ctx *c, ll_v value) {
  if (LLVMIsConstant(value))
    return value;
  return LLVMTypeOf(value) == c->t_i64 ? LL_ASM(c, KEEP_B64, c->t_i64, value)
                                       : LL_ASM(c, KEEP_B32, c->t_i32, value);
}

static ll_v shuffle_word(ll_ctx *c, ll_v word, int mask) {
  ll_v call = LL_CALL(c, "llvm.nvvm.shfl.sync.bfly.i32", ll_i32(c, -1), word, ll_i32(c, mask),
                      ll_i32(c, 31));
  ll_convergent(c, call);
  return call;
}

ll_v ll_shuffle_xor(ll_ctx *c, ll_v value, int mask) {
  ll_t type = LLVMTypeOf(value);
  if (width_of(type) <= 32)
    return ll_from_bits(c, shuffle_word(c, ll_to_bits(c, value, 32), mask), type);
  ll_v bits = ll_to_bits(c, value, 64);
  ll_v low = LLVMBuildTrunc(c->b, bits, c->t_i32, "");
  ll_v high = LLVMBuildTrunc(c->b, LLVMBuildLShr(c->b, bits, ll_i64(c, 32), ""), c->t_i32, "");
  low = LLVMBuildZExt(c->b, shuffle_word(c, low, mask), c->t_i64, "");
  high = LLVMBuildZExt(c->b, shuffle_word(c, high, mask), c->t_i64, "");
  bits = LLVMBuildOr(c->b, low, LLVMBuildShl(c->b, high, ll_i64(c, 32), ""), "");
  return ll_from_bits(c, bits, type);
}

ll_v ll_shuffle_from(ll_ctx *c, ll_v value, ll_v lane) {
  ll_t type = LLVMTypeOf(value);
  ll_v call = LL_CALL(c, "llvm.nvvm.shfl.sync.idx.i32", ll_i32(c, -1), ll_to_bits(c, value, 32),
                      lane, ll_i32(c, 31));
  ll_convergent(c, call);
  return ll_from_bits(c, call, type);
}

LLVMBasicBlockRef ll_enter_entry(ll_ctx *c) {
  LLVMBasicBlockRef back = LLVMGetInsertBlock(c->b);
  LLVMPositionBuilderAtEnd(c->b, c->entry);
  return back;
}

void ll_leave_entry(ll_ctx *c, LLVMBasicBlockRef back) {
  LLVMPositionBuilderAtEnd(c->b, back);
  LLVMSetCurrentDebugLocation2(c->b, c->location); // positioning before an instruction changes it
}

ll_v ll_alloca(ll_ctx *c, ll_t type, const char *name) {
  LLVMBasicBlockRef back = ll_enter_entry(c);
  ll_v slot = LLVMBuildAlloca(c->b, type, name);
  ll_leave_entry(c, back);
  return slot;
}
