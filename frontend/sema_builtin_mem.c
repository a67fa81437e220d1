// load, store and atomics.
#include "frontend/check.h"

// cache, evict and via choose an engine or a policy: not lowered, and not dropped in silence.
static bool no_hints(fe_ctx *ctx, const fe_call *call) {
  static const char *const hints[] = {"cache", "evict", "via"};
  for (int i = 0; i < 3; i++) {
    const ast_expr *expr = fe_named(call, hints[i]);
    if (expr) {
      fe_error(ctx, expr->span, DIAG_E0617, hints[i]);
      return false;
    }
  }
  return true;
}

// Two 4-bit elements share a byte, and only whole bytes move. NULL: the access is fine.
static const char *refuse_packed(fe_ctx *ctx, const fe_call *call, const fe_access *access) {
  const fe_tensor *tensor = access->tensor;
  int64_t stride = 0;
  if (tl_dtype_bits(tensor->dtype) != 4)
    return NULL;
  if (tensor->dtype == TL_I4)
    return "is not lowered yet";
  if (!ir_is_const_int(ctx->func, tensor->strides[tensor->rank - 1].val, &stride) || stride != 1)
    return "needs a last dim of stride 1";
  if (access->subs[tensor->rank - 1] != 'r')
    return "takes a range along the last dim";
  if (access->type->dims[access->type->rank - 1] % 2)
    return "takes an even number of elements along the last dim";
  if (fe_named(call, "mask") || fe_named(call, "other"))
    return "has no mask and no fill value";
  return NULL;
}

static fe_access *want_access(fe_ctx *ctx, const fe_call *call) {
  fe_value v = call->values[0];
  const char *why = v.kind == FV_ACCESS ? refuse_packed(ctx, call, v.access) : NULL;
  if (why) {
    fe_error(ctx, call->args[0]->span, DIAG_E0623, call->name,
             tl_dtype_name(v.access->tensor->dtype), why);
    return NULL;
  }
  if (v.kind == FV_ACCESS)
    return v.access;
  tl_diag *diag = fe_error(ctx, call->args[0]->span, DIAG_E0208, call->name,
                           "elements of a tensor, X[...]", fv_type_text(ctx, v));
  if (v.kind == FV_TENSOR)
    tl_help(ctx->diags, diag, "name the part: %s[start +: length, ...]", v.tensor->name);
  return NULL;
}

// A value of the access's shape: scalars splat, dims of 1 repeat. {0} after a report.
static ir_val shaped(fe_ctx *ctx, fe_value v, const ty_type *shape, tl_dtype dtype, tl_span span,
                     const char *what) {
  v = fe_adapt(ctx, v, dtype, span, what);
  if (fv_bad(v))
    return (ir_val){0};
  const ty_type *from = ir_type(ctx->func, v.val);
  const ty_type *wanted = ty_with_dtype(ctx->types, shape, dtype);
  const ty_type *joined = fe_join_shape(ctx, from, wanted);
  if (!joined || !ty_same_shape(joined, wanted)) {
    tl_diag *diag = fe_error(ctx, span, DIAG_E0221, what, ty_text(ctx->arena, from),
                             ty_text(ctx->arena, wanted));
    if (from->rank && from->rank < wanted->rank)
      tl_help(ctx->diags, diag, "add the missing axis: [:, none] or [none, :]");
    return (ir_val){0};
  }
  return ir_broadcast(&ctx->b, v.val, wanted);
}

// Evaluates a named operand; false after a report, {0} in *out when it is not given.
static bool named_operand(fe_ctx *ctx, const fe_call *call, const char *name,
                          const fe_access *access, tl_dtype dtype, ir_val *out) {
  *out = (ir_val){0};
  const ast_expr *expr = fe_named(call, name);
  if (!expr)
    return true;
  fe_value v = fe_eval_value(ctx, expr);
  ctx->b.loc = call->expr->span;
  if (fv_bad(v))
    return false;
  *out = shaped(ctx, v, access->type, dtype, expr->span, tl_sprintf(ctx->arena, "'%s'", name));
  return ir_some(*out);
}

typedef struct operands {
  ir_val vals[12];
  uint32_t n;
} operands;

static void add(operands *ops, ir_val val) { ops->vals[ops->n++] = val; }

static void add_subs(operands *ops, const fe_access *access) {
  for (int i = 0; i < access->tensor->rank; i++)
    add(ops, access->args[i]);
}

static void set_access_attrs(fe_ctx *ctx, ir_op *op, const fe_access *access, bool mask) {
  ir_set_str(ctx->func, op, "subs", access->subs);
  if (mask)
    ir_set_int(ctx->func, op, "mask", 1);
  if (ctx->inbounds && op->code != IR_ATOMIC)
    ir_set_int(ctx->func, op, "inbounds", 1);
}

BUILTIN_HANDLER(fe_b_load) {
  (void)arg;
  fe_access *access = want_access(ctx, call);
  ir_val mask, other;
  if (access && access->tensor->dir == AST_DIR_OUT) {
    tl_diag *diag = fe_error(ctx, call->args[0]->span, DIAG_E0222, access->tensor->name);
    tl_note(ctx->diags, diag, access->tensor->span, "'%s' is declared here", access->tensor->name);
    return fv_poison();
  }
  if (!access || !no_hints(ctx, call) || !named_operand(ctx, call, "mask", access, TL_I1, &mask) ||
      !named_operand(ctx, call, "other", access, access->tensor->dtype, &other))
    return fv_poison();
  operands ops = {0};
  add(&ops, access->tensor->val);
  add_subs(&ops, access);
  if (ir_some(mask))
    add(&ops, mask);
  if (ir_some(other))
    add(&ops, other);
  ir_op *op = ir_build(&ctx->b, IR_LOAD, ops.n, ops.vals, 1, &access->type);
  set_access_attrs(ctx, op, access, ir_some(mask));
  if (ir_some(other))
    ir_set_int(ctx->func, op, "other", 1);
  return fv_ir(op->res[0]);
}

static bool writable(fe_ctx *ctx, const fe_call *call, const fe_access *access) {
  if (access->tensor->dir != AST_DIR_IN && access->tensor->dir != AST_DIR_NONE)
    return true;
  tl_diag *diag = fe_error(ctx, call->args[0]->span, DIAG_E0223, access->tensor->name);
  tl_note(ctx->diags, diag, access->tensor->span, "'%s' is declared here", access->tensor->name);
  return false;
}

BUILTIN_HANDLER(fe_b_store) {
  (void)arg;
  fe_access *access = want_access(ctx, call);
  ir_val mask;
  if (!access || !no_hints(ctx, call) || !writable(ctx, call, access))
    return fv_poison();
  ir_val value =
      shaped(ctx, call->values[1], access->type, access->tensor->dtype, call->args[1]->span,
             tl_sprintf(ctx->arena, "value stored to '%s'", access->tensor->name));
  if (!ir_some(value) || !named_operand(ctx, call, "mask", access, TL_I1, &mask))
    return fv_poison();
  operands ops = {0};
  add(&ops, access->tensor->val);
  add(&ops, value);
  add_subs(&ops, access);
  if (ir_some(mask))
    add(&ops, mask);
  ir_op *op = ir_build(&ctx->b, IR_STORE, ops.n, ops.vals, 0, NULL);
  set_access_attrs(ctx, op, access, ir_some(mask));
  return fv_void();
}

// --- atomics ------------------------------------------------------------------------------------

enum { A_ADD, A_MAX, A_MIN, A_AND, A_OR, A_XOR, A_XCHG, A_CAS, A_REDUCE_ADD };

static bool atomic_dtype_ok(int kind, tl_dtype dtype) {
  bool word = dtype == TL_I32 || dtype == TL_U32 || dtype == TL_I64 || dtype == TL_U64;
  switch (kind) {
  case A_ADD:
  case A_REDUCE_ADD:
    return word || dtype == TL_F32 || dtype == TL_F64 || dtype == TL_F16 || dtype == TL_BF16;
  case A_XCHG:
  case A_CAS:
    return word || dtype == TL_F32 || dtype == TL_F64;
  default:
    return word;
  }
}

BUILTIN_HANDLER(fe_b_atomic) {
  static const char *const kinds[] = {"add", "max",  "min", "and", "or",
                                      "xor", "xchg", "cas", "add"};
  fe_access *access = want_access(ctx, call);
  if (!access || !writable(ctx, call, access))
    return fv_poison();
  tl_dtype dtype = access->tensor->dtype;
  if (!atomic_dtype_ok(arg, dtype)) {
    fe_error(ctx, call->args[0]->span, DIAG_E0245, call->name, tl_dtype_name(dtype));
    return fv_poison();
  }
  const char *sem = fe_choice(ctx, call, "sem", "relaxed|acquire|release|acq_rel", "relaxed");
  const char *scope = fe_choice(ctx, call, "scope", "cta|cluster|gpu|sys", "gpu");
  if (!sem || !scope)
    return fv_poison();
  operands ops = {0};
  add(&ops, access->tensor->val);
  // cas is (X[...], compare, value), as atomicCAS; the operation has the value first.
  ir_val first = shaped(ctx, call->values[1], access->type, dtype, call->args[1]->span, call->name);
  ir_val second = {0}, mask;
  if (arg == A_CAS)
    second = shaped(ctx, call->values[2], access->type, dtype, call->args[2]->span, call->name);
  if (!ir_some(first) || (arg == A_CAS && !ir_some(second)) ||
      !named_operand(ctx, call, "mask", access, TL_I1, &mask))
    return fv_poison();
  if (arg == A_CAS)
    add(&ops, second);
  add(&ops, first);
  add_subs(&ops, access);
  if (ir_some(mask))
    add(&ops, mask);
  ir_op *op = ir_build(&ctx->b, IR_ATOMIC, ops.n, ops.vals, 1, &access->type);
  ir_set_str(ctx->func, op, "kind", kinds[arg]);
  ir_set_str(ctx->func, op, "sem", sem);
  ir_set_str(ctx->func, op, "scope", scope);
  set_access_attrs(ctx, op, access, ir_some(mask));
  ctx->float_atomics |= tl_is_float(dtype) && (arg == A_ADD || arg == A_REDUCE_ADD);
  return arg == A_REDUCE_ADD ? fv_void() : fv_ir(op->res[0]);
}
