// Operations that only rename registers: every destination register is some source register of the
// same thread, which the layout pass has made sure of.
#include "codegen/ll/image.h"

typedef struct projection {
  const ir_op *op;
  const ty_type *from, *to;
  const int64_t *ints;   // order or offsets
  int axis, scale, part; // bitcast: elements of the narrower type in one of the wider; which one
} projection;

static const int64_t *ints_of(const ir_op *op, const char *name) {
  const ir_attr *attr = ir_attr_find(op, name);
  TL_ASSERT(attr && attr->kind == IR_ATTR_INTS, "%s without %s", ir_info(op->code)->name, name);
  return attr->ints;
}

static void project_reshape(const int64_t *to, int64_t *from, const projection *p) {
  int64_t linear = 0;
  for (int d = 0; d < p->to->rank; d++)
    linear = linear * p->to->dims[d] + to[d];
  for (int d = p->from->rank - 1; d >= 0; d--) {
    from[d] = linear % p->from->dims[d];
    linear /= p->from->dims[d];
  }
}

static void project_bitcast(const int64_t *to, int64_t *from, const projection *p) {
  int last = p->from->rank - 1;
  for (int d = 0; d < last; d++)
    from[d] = to[d];
  bool narrows = tl_dtype_bits(p->to->dtype) < tl_dtype_bits(p->from->dtype);
  from[last] = narrows ? to[last] / p->scale : to[last] * p->scale + p->part;
}

// Coordinates of the source element for an element of the result.
static void project(const int64_t *to, int64_t *from, void *user) {
  const projection *p = user;
  switch (p->op->code) {
  case IR_BROADCAST:
    for (int d = 0; d < p->from->rank; d++)
      from[d] = p->from->dims[d] == 1 ? 0 : to[d];
    return;
  case IR_EXPAND:
    for (int d = 0; d < p->from->rank; d++)
      from[d] = to[d < p->axis ? d : d + 1];
    return;
  case IR_PERMUTE:
    for (int d = 0; d < p->to->rank; d++)
      from[p->ints[d]] = to[d];
    return;
  case IR_SLICE:
    for (int d = 0; d < p->from->rank; d++)
      from[d] = to[d] + p->ints[d];
    return;
  case IR_RESHAPE:
    project_reshape(to, from, p);
    return;
  case IR_BITCAST:
    project_bitcast(to, from, p);
    return;
  default:
    TL_UNREACHABLE("%s does not rename", ir_info(p->op->code)->name);
  }
}

static int *rename_map(ll_ctx *c, projection *p) {
  const ir_layout *to = ll_layout(c, p->op->res[0]), *from = ll_layout(c, p->op->args[0]);
  int *map = TL_NEW_N(c->arena, int, ir_layout_regs(to));
  if (!ir_layout_rename(to, from, c->func->warps, project, p, map))
    TL_UNREACHABLE("%s: a register is not in its thread", ir_info(p->op->code)->name);
  return map;
}

static bool is_identity(const int *map, int count) {
  for (int r = 0; r < count; r++)
    if (map[r] != r)
      return false;
  return true;
}

// Can whole words be renamed?
static bool keeps_words(const int *map, int count, int per_word) {
  if (count % per_word)
    return false;
  for (int r = 0; r < count; r++)
    if (map[r] % per_word != r % per_word || map[r] - r % per_word != map[r - r % per_word])
      return false;
  return true;
}

static void rename_words(ll_ctx *c, const ir_op *op, const int *map) {
  ll_value *from = ll_val(c, op->args[0]), *to = ll_val(c, op->res[0]);
  int count = ll_nregs(c, op->res[0]), per_word = from->word_elems;
  if (count == from->nregs && is_identity(map, count)) {
    *to = *from; // words that are still to be loaded stay so
    return;
  }
  ll_force_words(c, from, 0, from->nregs / per_word);
  ll_v *words = TL_NEW_N(c->arena, ll_v, count / per_word);
  for (int w = 0; w < count / per_word; w++)
    words[w] = from->words[map[w * per_word] / per_word];
  ll_set_words(c, op->res[0], words, per_word);
}

static projection describe(ll_ctx *c, const ir_op *op) {
  projection p = {
      .op = op, .from = ir_type(c->func, op->args[0]), .to = ir_type(c->func, op->res[0])};
  if (op->code == IR_PERMUTE)
    p.ints = ints_of(op, "order");
  if (op->code == IR_SLICE)
    p.ints = ints_of(op, "offsets");
  if (op->code == IR_EXPAND)
    p.axis = (int)ir_int(op, "axis", 0);
  return p;
}

static bool goes_through_shared(const ir_op *op) {
  return !strcmp(ir_str(op, "via", "reg"), "shared");
}

void ll_emit_shape(ll_ctx *c, const ir_op *op) {
  if (goes_through_shared(op)) {
    ll_shape_through_shared(c, op);
    return;
  }
  projection p = describe(c, op);
  int count = ll_nregs(c, op->res[0]);
  if (!ty_is_tile(p.from) || !ty_is_tile(p.to)) { // one element
    ll_v value = ll_regs(c, op->args[0])[0];
    ll_v *out = ll_new_regs(c, op->res[0]);
    for (int r = 0; r < count; r++)
      out[r] = value;
    return;
  }
  int *map = rename_map(c, &p);
  ll_value *from = ll_val(c, op->args[0]);
  if (from->words && keeps_words(map, count, from->word_elems)) {
    rename_words(c, op, map);
    return;
  }
  ll_v *in = ll_regs(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < count; r++)
    out[r] = in[map[r]];
}

// --- bitcast ------------------------------------------------------------------------------------

static void bitcast_same(ll_ctx *c, const ir_op *op) {
  ll_value *from = ll_val(c, op->args[0]);
  if (from->words) {
    ll_force_words(c, from, 0, from->nregs / from->word_elems);
    ll_set_words(c, op->res[0], from->words, from->word_elems);
    return;
  }
  ll_v *in = ll_regs(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  ll_t type = ll_type(c, ll_dtype(c, op->res[0]));
  int bits = tl_dtype_bits(ll_dtype(c, op->res[0]));
  int width = bits < 8 && bits > 1 ? 8 : bits;
  for (int r = 0; r < ll_nregs(c, op->res[0]); r++)
    out[r] = ll_from_bits(c, ll_to_bits(c, in[r], width), type);
}

static void bitcast_narrower(ll_ctx *c, const ir_op *op, projection *p) {
  int bits = tl_dtype_bits(p->to->dtype), count = ll_nregs(c, op->res[0]);
  const ir_layout *layout = ll_layout(c, op->res[0]);
  int *map = rename_map(c, p);
  ll_v *in = ll_regs(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  ll_t type = ll_type(c, p->to->dtype);
  int width = tl_dtype_bits(p->from->dtype);
  for (int r = 0; r < count; r++) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    int64_t part = fixed[p->to->rank - 1] % p->scale;
    ll_v image = ll_to_bits(c, in[map[r]], width);
    image = LLVMBuildLShr(c->b, image,
                          LLVMConstInt(LLVMTypeOf(image), (unsigned)(part * bits), false), "");
    ll_v element = ll_from_bits(c, image, type);
    if (bits < 8)
      element = LLVMBuildAnd(c->b, element, LLVMConstInt(type, (1u << bits) - 1, false), "");
    out[r] = element;
  }
}

static void bitcast_wider(ll_ctx *c, const ir_op *op, projection *p) {
  int bits = tl_dtype_bits(p->from->dtype), width = tl_dtype_bits(p->to->dtype);
  int count = ll_nregs(c, op->res[0]);
  ll_v *in = ll_regs(c, op->args[0]);
  ll_v *out = ll_new_regs(c, op->res[0]);
  ll_t type = ll_type(c, p->to->dtype), image_type = LLVMIntTypeInContext(c->cx, (unsigned)width);
  for (int r = 0; r < count; r++)
    out[r] = LLVMConstNull(image_type);
  for (p->part = 0; p->part < p->scale; p->part++) {
    int *map = rename_map(c, p);
    for (int r = 0; r < count; r++) {
      ll_v piece = ll_to_bits(c, in[map[r]], width);
      if (bits < 8)
        piece = LLVMBuildAnd(c->b, piece, LLVMConstInt(image_type, (1u << bits) - 1, false), "");
      ll_v at = LLVMConstInt(image_type, (unsigned)(p->part * bits), false);
      out[r] = LLVMBuildOr(c->b, out[r], LLVMBuildShl(c->b, piece, at, ""), "");
    }
  }
  for (int r = 0; r < count; r++)
    out[r] = ll_from_bits(c, out[r], type);
}

void ll_emit_bitcast(ll_ctx *c, const ir_op *op) {
  if (goes_through_shared(op)) {
    ll_shape_through_shared(c, op);
    return;
  }
  projection p = describe(c, op);
  int from_bits = tl_dtype_bits(p.from->dtype), to_bits = tl_dtype_bits(p.to->dtype);
  if (from_bits == to_bits) {
    bitcast_same(c, op);
    return;
  }
  p.scale = from_bits > to_bits ? from_bits / to_bits : to_bits / from_bits;
  if (from_bits > to_bits)
    bitcast_narrower(c, op, &p);
  else
    bitcast_wider(c, op, &p);
}
