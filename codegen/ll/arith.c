// Constants and elementwise operations, register by register.
#include "codegen/ll/emit.h"

// --- constants and places -----------------------------------------------------------------------

static ll_v constant(ll_ctx *c, const ir_op *op, tl_dtype dtype) {
  const ir_attr *attr = ir_attr_find(op, "value");
  TL_ASSERT(attr, "const without value");
  double f = attr->kind == IR_ATTR_FLOAT ? attr->f : (double)attr->i;
  int64_t i = attr->kind == IR_ATTR_FLOAT ? (int64_t)attr->f : attr->i;
  return ll_const(c, dtype, f, i);
}

static ll_v launch_index(ll_ctx *c, const ir_op *op, const char *family) {
  static const char axes[] = "xyz";
  int64_t axis = ir_int(op, "axis", 0);
  TL_ASSERT(axis >= 0 && axis < 3, "grid axis %lld", (long long)axis);
  const char *name = tl_sprintf(c->arena, "llvm.nvvm.read.ptx.sreg.%s.%c", family, axes[axis]);
  return ll_intrinsic(c, name, NULL, 0, NULL, 0);
}

static void emit_splat(ll_ctx *c, const ir_op *op) {
  ll_v scalar = ll_scalar(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < ll_nregs(c, op->res[0]); r++)
    out[r] = scalar;
}

static void emit_iota(ll_ctx *c, const ir_op *op) {
  const ir_layout *layout = ll_layout(c, op->res[0]);
  ll_t type = ll_type(c, ll_dtype(c, op->res[0]));
  ll_v at = ll_place_of(c, layout)->at[0];
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < ll_nregs(c, op->res[0]); r++) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    out[r] = LLVMBuildIntCast2(c->b, ll_add(c, at, ll_i32(c, fixed[0])), type, false, "");
  }
}

static void emit_tensor(ll_ctx *c, const ir_op *op) {
  const ty_type *type = ir_type(c->func, op->res[0]);
  ll_tensor *tensor = TL_NEW(c->arena, ll_tensor);
  tensor->rank = type->rank;
  tensor->dtype = type->dtype;
  tensor->base = ll_scalar(c, op->args[0]);
  for (int d = 0; d < type->rank; d++) {
    tensor->dim_vals[d] = op->args[1 + d];
    tensor->stride_vals[d] = op->args[1 + type->rank + d];
    tensor->dims[d] = ll_scalar(c, tensor->dim_vals[d]);
    tensor->strides[d] = ll_scalar(c, tensor->stride_vals[d]);
  }
  ll_val(c, op->res[0])->tensor = tensor;
}

void ll_emit_constant(ll_ctx *c, const ir_op *op) {
  switch (op->code) {
  case IR_CONST: {
    ll_v value = constant(c, op, ll_dtype(c, op->res[0]));
    ll_v *out = ll_new_regs(c, op->res[0]);
    for (int r = 0; r < ll_nregs(c, op->res[0]); r++)
      out[r] = value;
    return;
  }
  case IR_BID:
    ll_set_scalar(c, op->res[0], launch_index(c, op, "ctaid"));
    return;
  case IR_NBLOCKS:
    ll_set_scalar(c, op->res[0], launch_index(c, op, "nctaid"));
    return;
  case IR_SPLAT:
    emit_splat(c, op);
    return;
  case IR_IOTA:
    emit_iota(c, op);
    return;
  case IR_ADVANCE:
    ll_set_scalar(c, op->res[0],
                  ll_offset(c, ll_scalar(c, op->args[0]), ll_scalar(c, op->args[1])));
    return;
  case IR_TENSOR:
    emit_tensor(c, op);
    return;
  default:
    TL_UNREACHABLE("%s is no constant", ir_info(op->code)->name);
  }
}

// --- arithmetic on one element ------------------------------------------------------------------

// a * b + c may become one instruction, as the language allows; nothing else is relaxed.
static ll_v allow_contraction(ll_v v, tl_dtype dtype) {
  if ((dtype == TL_F32 || dtype == TL_F64) && LLVMIsAInstruction(v) &&
      LLVMCanValueUseFastMathFlags(v))
    LLVMSetFastMathFlags(v, LLVMFastMathAllowContract);
  return v;
}

static bool is_small_float(tl_dtype dtype) {
  return tl_is_float(dtype) && tl_dtype_bits(dtype) <= 8;
}

static ll_v float_binary(ll_ctx *c, ir_code code, tl_dtype dtype, ll_v x, ll_v y) {
  switch (code) {
  case IR_ADD:
    return allow_contraction(LLVMBuildFAdd(c->b, x, y, ""), dtype);
  case IR_SUB:
    return allow_contraction(LLVMBuildFSub(c->b, x, y, ""), dtype);
  case IR_MUL:
    return allow_contraction(LLVMBuildFMul(c->b, x, y, ""), dtype);
  case IR_DIV:
    if (tl_dtype_bits(dtype) == 16) // the quotient in f32 rounds to the right 16-bit value
      return ll_from_f32(c, LLVMBuildFDiv(c->b, ll_to_f32(c, x, dtype), ll_to_f32(c, y, dtype), ""),
                         dtype);
    return LLVMBuildFDiv(c->b, x, y, "");
  default:
    TL_UNREACHABLE("%s on floats", ir_info(code)->name);
  }
}

// LLVM leaves x / 0 and INT_MIN / -1 undefined; the language does not.
static ll_v divide(ll_ctx *c, ir_code code, bool is_signed, ll_v x, ll_v y) {
  ll_t type = LLVMTypeOf(y);
  ll_v zero = LLVMConstNull(type), one = LLVMConstInt(type, 1, false);
  ll_v minus_one = LLVMConstAllOnes(type);
  bool known = LLVMIsAConstantInt(y) && y != zero && !(is_signed && y == minus_one);
  ll_v odd = NULL, safe = y;
  if (!known) {
    odd = LLVMBuildICmp(c->b, LLVMIntEQ, y, zero, "");
    ll_v avoid = odd;
    if (is_signed)
      avoid = LLVMBuildOr(c->b, odd, LLVMBuildICmp(c->b, LLVMIntEQ, y, minus_one, ""), "");
    safe = LLVMBuildSelect(c->b, avoid, one, y, "");
  }
  if (code == IR_REM) { // x % 1 is 0, which is also x % 0 and x % -1
    return is_signed ? LLVMBuildSRem(c->b, x, safe, "") : LLVMBuildURem(c->b, x, safe, "");
  }
  ll_v quotient = is_signed ? LLVMBuildSDiv(c->b, x, safe, "") : LLVMBuildUDiv(c->b, x, safe, "");
  if (known)
    return quotient;
  if (is_signed) {
    ll_v negative = LLVMBuildICmp(c->b, LLVMIntEQ, y, minus_one, "");
    quotient = LLVMBuildSelect(c->b, negative, LLVMBuildNeg(c->b, x, ""), quotient, "");
  }
  return LLVMBuildSelect(c->b, odd, zero, quotient, "");
}

static ll_v shift(ll_ctx *c, ir_code code, bool is_signed, ll_v x, ll_v y) {
  ll_t type = LLVMTypeOf(x);
  unsigned width = LLVMGetIntTypeWidth(type);
  ll_v most = LLVMConstInt(type, width - 1, false);
  if (code == IR_SHR && is_signed)
    return LLVMBuildAShr(c->b, x, ll_min_max(c, IR_MIN, TL_U32, y, most, false), "");
  ll_v shifted = code == IR_SHL ? LLVMBuildShl(c->b, x, y, "") : LLVMBuildLShr(c->b, x, y, "");
  ll_v inside = LLVMBuildICmp(c->b, LLVMIntULE, y, most, "");
  return ll_is_true(inside) ? shifted
                            : LLVMBuildSelect(c->b, inside, shifted, LLVMConstNull(type), "");
}

static ll_v int_binary(ll_ctx *c, ir_code code, tl_dtype dtype, ll_v x, ll_v y) {
  switch (code) {
  case IR_ADD:
    return LLVMBuildAdd(c->b, x, y, "");
  case IR_SUB:
    return LLVMBuildSub(c->b, x, y, "");
  case IR_MUL:
    return LLVMBuildMul(c->b, x, y, "");
  case IR_DIV:
  case IR_REM:
    return divide(c, code, tl_is_signed(dtype) && dtype != TL_I1, x, y);
  case IR_AND:
    return LLVMBuildAnd(c->b, x, y, "");
  case IR_OR:
    return LLVMBuildOr(c->b, x, y, "");
  case IR_XOR:
    return LLVMBuildXor(c->b, x, y, "");
  case IR_SHL:
  case IR_SHR:
    return shift(c, code, tl_is_signed(dtype), x, y);
  default:
    TL_UNREACHABLE("%s on integers", ir_info(code)->name);
  }
}

ll_v ll_min_max(ll_ctx *c, ir_code code, tl_dtype dtype, ll_v x, ll_v y, bool nan) {
  ll_t type = LLVMTypeOf(x);
  const char *name;
  if (tl_is_float(dtype))
    name = code == IR_MIN ? (nan ? "minimum" : "minnum") : (nan ? "maximum" : "maxnum");
  else if (dtype == TL_I1)
    return code == IR_MIN ? LLVMBuildAnd(c->b, x, y, "") : LLVMBuildOr(c->b, x, y, "");
  else if (tl_is_signed(dtype))
    name = code == IR_MIN ? "smin" : "smax";
  else
    name = code == IR_MIN ? "umin" : "umax";
  return ll_intrinsic(c, tl_sprintf(c->arena, "llvm.%s", name), &type, 1, (ll_v[]){x, y}, 2);
}

static ll_v compare(ll_ctx *c, const char *pred, tl_dtype dtype, ll_v x, ll_v y) {
  static const struct {
    const char *name;
    LLVMIntPredicate s, u;
    LLVMRealPredicate f;
  } rows[] = {
      {"eq", LLVMIntEQ, LLVMIntEQ, LLVMRealOEQ},   {"ne", LLVMIntNE, LLVMIntNE, LLVMRealUNE},
      {"lt", LLVMIntSLT, LLVMIntULT, LLVMRealOLT}, {"le", LLVMIntSLE, LLVMIntULE, LLVMRealOLE},
      {"gt", LLVMIntSGT, LLVMIntUGT, LLVMRealOGT}, {"ge", LLVMIntSGE, LLVMIntUGE, LLVMRealOGE}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (strcmp(rows[i].name, pred) != 0)
      continue;
    if (tl_is_float(dtype))
      return LLVMBuildFCmp(c->b, rows[i].f, x, y, "");
    bool is_signed = tl_is_signed(dtype) && dtype != TL_I1;
    return LLVMBuildICmp(c->b, is_signed ? rows[i].s : rows[i].u, x, y, "");
  }
  TL_UNREACHABLE("comparison '%s'", pred);
}

// 8-bit floats have no arithmetic of their own: exact widening, f32 operation, one rounding.
static ll_v binary_elem(ll_ctx *c, const ir_op *op, tl_dtype dtype, ll_v x, ll_v y) {
  bool small = is_small_float(dtype);
  tl_dtype work = small ? TL_F32 : dtype;
  if (small)
    x = ll_to_f32(c, x, dtype), y = ll_to_f32(c, y, dtype);
  if (op->code == IR_CMP)
    return compare(c, ir_str(op, "pred", ""), work, x, y);
  ll_v result;
  if (op->code == IR_MIN || op->code == IR_MAX)
    result = ll_min_max(c, op->code, work, x, y, ir_int(op, "nan", 0));
  else if (tl_is_float(work))
    result = float_binary(c, op->code, work, x, y);
  else
    result = int_binary(c, op->code, work, x, y);
  return small ? ll_from_f32(c, result, dtype) : result;
}

void ll_emit_binary(ll_ctx *c, const ir_op *op) {
  ll_v *x = ll_regs(c, op->args[0]), *y = ll_regs(c, op->args[1]);
  tl_dtype dtype = ll_dtype(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  int count = ll_nregs(c, op->res[0]);
  for (int r = 0; r < count; r++)
    out[r] = r && x[r] == x[r - 1] && y[r] == y[r - 1] ? out[r - 1]
                                                       : binary_elem(c, op, dtype, x[r], y[r]);
}

// --- one operand --------------------------------------------------------------------------------

static ll_v absolute(ll_ctx *c, tl_dtype dtype, ll_v x) {
  ll_t type = LLVMTypeOf(x);
  if (tl_is_float(dtype))
    return ll_intrinsic(c, "llvm.fabs", &type, 1, &x, 1);
  if (!tl_is_signed(dtype) || dtype == TL_I1)
    return x;
  return ll_intrinsic(c, "llvm.abs", &type, 1, (ll_v[]){x, ll_i1(c, false)}, 2);
}

static ll_v unary_elem(ll_ctx *c, const ir_op *op, tl_dtype dtype, ll_v x) {
  if (op->code == IR_NOT)
    return LLVMBuildNot(c->b, x, "");
  if (op->code == IR_NEG && !tl_is_float(dtype))
    return LLVMBuildNeg(c->b, x, "");
  if (op->code == IR_ABS && !tl_is_float(dtype))
    return absolute(c, dtype, x);
  bool small = is_small_float(dtype);
  tl_dtype work = small ? TL_F32 : dtype;
  if (small)
    x = ll_to_f32(c, x, dtype);
  ll_v result;
  if (op->code == IR_NEG)
    result = LLVMBuildFNeg(c->b, x, "");
  else if (op->code == IR_ABS)
    result = absolute(c, work, x);
  else
    result = ll_math(c, op->code, work, x, ir_int(op, "precise", 0));
  return small ? ll_from_f32(c, result, dtype) : result;
}

void ll_emit_unary(ll_ctx *c, const ir_op *op) {
  ll_v *x = ll_regs(c, op->args[0]);
  tl_dtype dtype = ll_dtype(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  int count = ll_nregs(c, op->res[0]);
  for (int r = 0; r < count; r++)
    out[r] = r && x[r] == x[r - 1] ? out[r - 1] : unary_elem(c, op, dtype, x[r]);
}

// --- three operands -----------------------------------------------------------------------------

static ll_v ternary_elem(ll_ctx *c, const ir_op *op, tl_dtype dtype, ll_v x, ll_v y, ll_v z) {
  if (op->code == IR_SELECT)
    return LLVMBuildSelect(c->b, x, y, z, "");
  if (!tl_is_float(dtype))
    return LLVMBuildAdd(c->b, LLVMBuildMul(c->b, x, y, ""), z, "");
  ll_t type = LLVMTypeOf(x); // 16 bits too: through f32 it would round twice
  return ll_intrinsic(c, "llvm.fma", &type, 1, (ll_v[]){x, y, z}, 3);
}

void ll_emit_ternary(ll_ctx *c, const ir_op *op) {
  ll_v *x = ll_regs(c, op->args[0]), *y = ll_regs(c, op->args[1]), *z = ll_regs(c, op->args[2]);
  // A scalar condition selects whole tiles.
  bool uniform = op->code == IR_SELECT && !ty_is_tile(ir_type(c->func, op->args[0]));
  tl_dtype dtype = ll_dtype(c, op->res[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  int count = ll_nregs(c, op->res[0]);
  for (int r = 0; r < count; r++)
    out[r] = ternary_elem(c, op, dtype, x[uniform ? 0 : r], y[r], z[r]);
}
