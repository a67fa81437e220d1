// Identities of elementwise operations. Every rule keeps the bits of the result: float rules are
// those that hold for NaN, infinities and both zeros.
#include "ir/simplify.h"
#include "ir/fold.h"

// --- operands ----------------------------------------------------------------------------------

static ir_val none(void) { return (ir_val){0}; }

static const ty_type *res_type(const ir_simplifier *s, const ir_op *op) {
  return ir_type(s->func, op->res[0]);
}

static tl_dtype dtype_of(const ir_simplifier *s, ir_val val) {
  return ir_type(s->func, val)->dtype;
}

static bool is_int(const ir_simplifier *s, ir_val val, int64_t wanted) {
  int64_t value;
  return ir_is_const_int(s->func, val, &value) && value == wanted;
}

// Equal bits: -0.0 and 0.0 differ.
static bool is_float(const ir_simplifier *s, ir_val val, double wanted) {
  double value;
  return ir_is_const_float(s->func, val, &value) && !memcmp(&value, &wanted, sizeof value);
}

static bool is_commutative(ir_code code) {
  switch (code) {
  case IR_ADD:
  case IR_MUL:
  case IR_MIN:
  case IR_MAX:
  case IR_AND:
  case IR_OR:
  case IR_XOR:
  case IR_CMP:
  case IR_FMA:
    return true;
  default:
    return false;
  }
}

static bool is_constant(const ir_func *func, ir_val val) {
  const ir_op *def = ir_def(func, val);
  if (def && def->code == IR_SPLAT)
    def = ir_def(func, def->args[0]);
  return def && def->code == IR_CONST;
}

static const char *const predicates[][3] = {
    // pred, with operands exchanged, negated (integers only: floats are unordered with NaN)
    {"eq", "eq", "ne"}, {"ne", "ne", "eq"}, {"lt", "gt", "ge"},
    {"le", "ge", "gt"}, {"gt", "lt", "le"}, {"ge", "le", "lt"},
};

static const char *predicate(const ir_op *cmp, int column) {
  const char *pred = ir_str(cmp, "pred", "");
  for (int i = 0; i < 6; i++)
    if (!strcmp(predicates[i][0], pred))
      return predicates[i][column];
  TL_UNREACHABLE("predicate '%s'", pred);
}

bool ir_canonical_order(ir_func *func, ir_op *op) {
  if (!is_commutative(op->code) || !is_constant(func, op->args[0]) ||
      is_constant(func, op->args[1]))
    return false;
  ir_val first = op->args[0];
  op->args[0] = op->args[1];
  op->args[1] = first;
  if (op->code == IR_CMP)
    ir_set_str(func, op, "pred", predicate(op, 1));
  return true;
}

// --- new operations ----------------------------------------------------------------------------

static ir_builder builder_at(ir_simplifier *s, ir_op *op) {
  return (ir_builder){.func = s->func, .before = op, .loc = op->loc};
}

ir_val ir_simplify_emit(ir_simplifier *s, ir_op *op, ir_code code, const ty_type *type,
                        uint32_t nargs, const ir_val *args) {
  ir_builder b = builder_at(s, op);
  ir_val val = ir_build1(&b, code, type, nargs, args);
  if (ty_is_tile(type)) // elementwise: one layout for all
    s->func->vals.data[val.id].layout = ir_info_of(s->func, op->res[0])->layout;
  return val;
}

// The scalar on every element of op's result; the scalar itself when the result is one.
ir_val ir_simplify_splat(ir_simplifier *s, ir_op *op, ir_val scalar) {
  const ty_type *type = res_type(s, op);
  return type->rank ? ir_simplify_emit(s, op, IR_SPLAT, type, 1, &scalar) : scalar;
}

static ir_val emit_int(ir_simplifier *s, ir_op *op, int64_t value) {
  ir_builder b = builder_at(s, op);
  return ir_simplify_splat(s, op, ir_const_int(&b, res_type(s, op)->dtype, value));
}

static ir_val emit_number(ir_simplifier *s, ir_op *op, ir_number number) {
  ir_builder b = builder_at(s, op);
  tl_dtype dtype = res_type(s, op)->dtype;
  ir_val scalar =
      tl_is_float(dtype) ? ir_const_float(&b, dtype, number.f) : ir_const_int(&b, dtype, number.i);
  return ir_simplify_splat(s, op, scalar);
}

static ir_val emit_binary(ir_simplifier *s, ir_op *op, ir_code code, ir_val x, ir_val y) {
  return ir_simplify_emit(s, op, code, res_type(s, op), 2, (ir_val[]){x, y});
}

// --- constants and splats ----------------------------------------------------------------------

static bool number_of(const ir_simplifier *s, ir_val val, ir_number *out) {
  return ir_is_const_int(s->func, val, &out->i) || ir_is_const_float(s->func, val, &out->f);
}

static ir_val fold_constants(ir_simplifier *s, ir_op *op) {
  ir_number args[3] = {{0}}, result;
  for (uint32_t i = 0; i < op->nargs; i++)
    if (!number_of(s, op->args[i], &args[i]))
      return none();
  tl_dtype from = dtype_of(s, op->args[op->nargs - 1]);
  if (op->code == IR_BITCAST && tl_dtype_bits(from) != tl_dtype_bits(res_type(s, op)->dtype))
    return none();
  if (!ir_fold(op, from, res_type(s, op)->dtype, args, &result))
    return none();
  return emit_number(s, op, result);
}

// op(splat x, splat y) is splat(op(x, y)): one scalar instead of a tile.
static ir_val fold_splats(ir_simplifier *s, ir_op *op) {
  ty_ctx *types = &s->func->module->types;
  ir_val scalars[3];
  if (!res_type(s, op)->rank || op->code == IR_BITCAST)
    return none();
  for (uint32_t i = 0; i < op->nargs; i++) {
    const ir_op *def = ir_def(s->func, op->args[i]);
    if (!def || def->code != IR_SPLAT)
      return none();
    scalars[i] = def->args[0];
  }
  const ty_type *type = ty_scalar(types, res_type(s, op)->dtype);
  ir_val scalar = ir_simplify_emit(s, op, op->code, type, op->nargs, scalars);
  ir_op *fresh = ir_def(s->func, scalar);
  fresh->attrs = op->attrs;               // op goes away
  ir_val simpler = ir_simplify(s, fresh); // what holds for the elements holds for the scalars
  if (ir_some(simpler)) {
    ir_unlink(fresh);
    scalar = simpler;
  }
  return ir_simplify_splat(s, op, scalar);
}

// --- integers ----------------------------------------------------------------------------------

static bool is_power_of_two(int64_t value) { return value > 0 && !(value & (value - 1)); }

static bool never_negative(const ir_simplifier *s, const ir_op *op) {
  tl_dtype dtype = dtype_of(s, op->args[0]);
  return !tl_is_signed(dtype) || (s->arg[0] && s->arg[0]->lo >= 0);
}

// (x + a) + b and (x * a) * b with constants: one operation.
static ir_val reassociate(ir_simplifier *s, ir_op *op) {
  const ir_op *inner = ir_def(s->func, op->args[0]);
  int64_t a, b;
  if (!inner || inner->code != op->code || !ir_is_const_int(s->func, inner->args[1], &a) ||
      !ir_is_const_int(s->func, op->args[1], &b))
    return none();
  uint64_t both = op->code == IR_ADD ? (uint64_t)a + (uint64_t)b : (uint64_t)a * (uint64_t)b;
  ir_val constant = emit_int(s, op, (int64_t)both);
  return emit_binary(s, op, op->code, inner->args[0], constant);
}

static ir_val simplify_int_div(ir_simplifier *s, ir_op *op) {
  int64_t c;
  if (!ir_is_const_int(s->func, op->args[1], &c))
    return none();
  if (c == 1)
    return op->code == IR_DIV ? op->args[0] : emit_int(s, op, 0);
  if (!is_power_of_two(c) || !never_negative(s, op))
    return none();
  if (op->code == IR_REM)
    return emit_binary(s, op, IR_AND, op->args[0], emit_int(s, op, c - 1));
  return emit_binary(s, op, IR_SHR, op->args[0], emit_int(s, op, __builtin_ctzll((uint64_t)c)));
}

static ir_val simplify_int(ir_simplifier *s, ir_op *op) {
  ir_val x = op->args[0], y = op->args[1];
  tl_dtype dtype = dtype_of(s, x);
  bool same = ir_same(x, y), zero = is_int(s, y, 0);
  switch (op->code) {
  case IR_ADD:
    return zero ? x : reassociate(s, op);
  case IR_SUB:
    return zero ? x : same ? emit_int(s, op, 0) : none();
  case IR_MUL:
    return zero ? y : is_int(s, y, 1) ? x : reassociate(s, op);
  case IR_DIV:
  case IR_REM:
    return simplify_int_div(s, op);
  case IR_MIN:
  case IR_MAX:
    return same ? x : none();
  case IR_AND:
    return zero ? y : same || is_int(s, y, ir_wrap_int(dtype, -1)) ? x : none();
  case IR_OR:
    return zero || same ? x : is_int(s, y, ir_wrap_int(dtype, -1)) ? y : none();
  case IR_XOR:
    return zero ? x : same ? emit_int(s, op, 0) : none();
  case IR_SHL:
  case IR_SHR:
    return zero ? x : none();
  default:
    return none();
  }
}

static ir_val simplify_cmp(ir_simplifier *s, ir_op *op) {
  if (!ir_same(op->args[0], op->args[1]) || tl_is_float(dtype_of(s, op->args[0])))
    return none();
  const char *pred = ir_str(op, "pred", "");
  return emit_int(s, op, !strcmp(pred, "eq") || !strcmp(pred, "le") || !strcmp(pred, "ge"));
}

// --- floats ------------------------------------------------------------------------------------

static ir_val simplify_float(ir_simplifier *s, ir_op *op) {
  ir_val x = op->args[0], y = op->args[1];
  switch (op->code) {
  case IR_ADD:
    return is_float(s, y, -0.0) ? x : none();
  case IR_SUB:
    return is_float(s, y, 0.0) ? x : none();
  case IR_MUL:
  case IR_DIV:
    return is_float(s, y, 1.0) ? x : none();
  case IR_MIN:
  case IR_MAX:
    return ir_same(x, y) ? x : none();
  default:
    return none();
  }
}

// --- one operand, selections, conversions ------------------------------------------------------

static ir_val simplify_unary(ir_simplifier *s, ir_op *op) {
  ir_op *inner = ir_def(s->func, op->args[0]);
  if (!inner)
    return none();
  if ((op->code == IR_NEG || op->code == IR_NOT) && inner->code == op->code)
    return inner->args[0];
  if (op->code == IR_NOT && inner->code == IR_CMP && !tl_is_float(dtype_of(s, inner->args[0]))) {
    ir_val cmp = emit_binary(s, op, IR_CMP, inner->args[0], inner->args[1]);
    ir_set_str(s->func, ir_def(s->func, cmp), "pred", predicate(inner, 2));
    return cmp;
  }
  return none();
}

static ir_val simplify_select(ir_simplifier *s, ir_op *op) {
  ir_val cond = op->args[0], x = op->args[1], y = op->args[2];
  if (ir_same(x, y) || is_int(s, cond, 1))
    return x;
  if (is_int(s, cond, 0))
    return y;
  if (dtype_of(s, x) == TL_I1 && is_int(s, x, 1) && is_int(s, y, 0))
    return cond;
  return none();
}

// Does every value of `from` exist in `to`? i1 is 0 or 1.
static bool holds_all(tl_dtype from, tl_dtype to) {
  int from_bits = tl_dtype_bits(from), to_bits = tl_dtype_bits(to);
  bool from_signed = from != TL_I1 && tl_is_signed(from), to_signed = tl_is_signed(to);
  if (tl_is_float(from) || tl_is_float(to))
    return (from == TL_F16 || from == TL_BF16) && (to == TL_F32 || to == TL_F64);
  return from_signed == to_signed ? from_bits <= to_bits : to_signed && from_bits < to_bits;
}

static ir_val simplify_cast(ir_simplifier *s, ir_op *op) {
  ir_op *inner = ir_def(s->func, op->args[0]);
  tl_dtype to = res_type(s, op)->dtype, middle = dtype_of(s, op->args[0]);
  if (to == middle && !op->attrs)
    return op->args[0];
  if (!inner || inner->code != IR_CAST || inner->attrs || ir_int(op, "sat", 0))
    return none();
  tl_dtype from = dtype_of(s, inner->args[0]);
  if (!holds_all(from, middle))
    return none();
  if (from == to)
    return inner->args[0];
  if (tl_is_float(from) || tl_is_float(to) || to == TL_I1)
    return none(); // the direct conversion may not exist
  return ir_simplify_emit(s, op, IR_CAST, res_type(s, op), 1, &inner->args[0]);
}

static ir_val simplify_identity(ir_simplifier *s, ir_op *op) {
  switch (op->code) {
  case IR_NEG:
  case IR_NOT:
    return simplify_unary(s, op);
  case IR_CAST:
    return simplify_cast(s, op);
  case IR_BITCAST:
    return res_type(s, op) == ir_type(s->func, op->args[0]) ? op->args[0] : none();
  case IR_CMP:
    return simplify_cmp(s, op);
  case IR_SELECT:
    return simplify_select(s, op);
  default:
    if (op->nargs != 2)
      return none();
    return tl_is_float(res_type(s, op)->dtype) ? simplify_float(s, op) : simplify_int(s, op);
  }
}

ir_val ir_simplify(ir_simplifier *s, ir_op *op) {
  bool elementwise = op->code >= IR_NEG && op->code <= IR_SELECT; // ORDER ops.def
  if (!elementwise)
    return ir_simplify_shape(s, op);
  ir_val val = fold_constants(s, op);
  if (!ir_some(val))
    val = simplify_identity(s, op);
  if (!ir_some(val))
    val = fold_splats(s, op);
  return val;
}
