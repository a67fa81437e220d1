// Values of the IR as LLVM values: elements per register, packed words, thread coordinates.
#include "codegen/ll/emit.h"

ll_value *ll_val(ll_ctx *c, ir_val val) {
  TL_ASSERT(val.id && val.id < c->func->vals.len, "value %u out of range", val.id);
  return &c->vals[val.id];
}

tl_dtype ll_dtype(ll_ctx *c, ir_val val) { return ir_type(c->func, val)->dtype; }

const ir_layout *ll_layout(ll_ctx *c, ir_val val) {
  const ir_val_info *info = ir_info_of(c->func, val);
  TL_ASSERT(info->layout || !ty_is_tile(info->type), "tile value %u has no layout", val.id);
  return info->layout;
}

int ll_nregs(ll_ctx *c, ir_val val) {
  if (!ty_is_tile(ir_type(c->func, val)))
    return 1;
  return ir_layout_regs(ll_layout(c, val));
}

// Right behind the definition of `word`, so that what is built there can be used wherever the word
// can. Returns the block to come back to.
static LLVMBasicBlockRef enter_behind(ll_ctx *c, ll_v word) {
  LLVMBasicBlockRef back = LLVMGetInsertBlock(c->b);
  if (!LLVMIsAInstruction(word))
    return ll_enter_entry(c), back;
  ll_v next = LLVMGetNextInstruction(word);
  while (next && LLVMIsAPHINode(next))
    next = LLVMGetNextInstruction(next);
  if (next)
    LLVMPositionBuilderBefore(c->b, next);
  else
    LLVMPositionBuilderAtEnd(c->b, LLVMGetInstructionParent(word));
  return back;
}

static void unpack_word(ll_ctx *c, ll_v word, int count, ll_t type, ll_v *out) {
  LLVMBasicBlockRef back = enter_behind(c, word);
  int bits = 32 / count;
  if (count == 1) {
    out[0] = ll_from_bits(c, word, type);
  } else if (count == 2) {
    ll_v pair = LLVMBuildBitCast(c->b, word, LLVMVectorType(type, 2), "");
    for (int i = 0; i < 2; i++)
      out[i] = LLVMBuildExtractElement(c->b, pair, ll_i32(c, i), "");
  } else {
    for (int i = 0; i < count; i++)
      out[i] = ll_from_bits(c, LLVMBuildLShr(c->b, word, ll_i32(c, i * bits), ""), type);
    for (int i = 0; i < count && bits < 8; i++)
      out[i] = LLVMBuildAnd(c->b, out[i], LLVMConstInt(type, (1u << bits) - 1, false), "");
  }
  ll_leave_entry(c, back);
}

ll_v *ll_regs(ll_ctx *c, ir_val val) {
  ll_value *value = ll_val(c, val);
  if (value->regs)
    return value->regs;
  TL_ASSERT(value->words, "value %u is used before it is emitted", val.id);
  ll_force_words(c, value, 0, value->nregs / value->word_elems);
  ll_t type = ll_type(c, ll_dtype(c, val));
  value->regs = TL_NEW_N(c->arena, ll_v, value->nregs);
  for (int w = 0; w < value->nregs / value->word_elems; w++)
    unpack_word(c, value->words[w], value->word_elems, type, value->regs + w * value->word_elems);
  return value->regs;
}

ll_v ll_scalar(ll_ctx *c, ir_val val) {
  TL_ASSERT(!ty_is_tile(ir_type(c->func, val)), "value %u is no scalar", val.id);
  return ll_regs(c, val)[0];
}

// 4-bit codes, each in an i8 whose upper half is 0, as one integer; the first is lowest.
ll_v ll_pack_nibbles(ll_ctx *c, const ll_v *codes, int count) {
  ll_t type = LLVMIntTypeInContext(c->cx, (unsigned)count * 4);
  ll_v all = LLVMBuildZExtOrBitCast(c->b, codes[0], type, "");
  for (int i = 1; i < count; i++) {
    ll_v code = LLVMBuildZExtOrBitCast(c->b, codes[i], type, "");
    code = LLVMBuildShl(c->b, code, LLVMConstInt(type, (unsigned)i * 4, false), "");
    all = LLVMBuildOr(c->b, all, code, "");
  }
  return all;
}

static ll_v pack_word(ll_ctx *c, ll_v *elems, int count) {
  if (count == 1)
    return ll_to_bits(c, elems[0], 32);
  if (count == 8)
    return ll_pack_nibbles(c, elems, count);
  ll_t vector = LLVMVectorType(LLVMTypeOf(elems[0]), (unsigned)count);
  ll_v packed = LLVMGetPoison(vector);
  for (int i = 0; i < count; i++)
    packed = LLVMBuildInsertElement(c->b, packed, elems[i], ll_i32(c, i), "");
  return LLVMBuildBitCast(c->b, packed, c->t_i32, "");
}

ll_v *ll_words_of(ll_ctx *c, ir_val val, int count) {
  ll_value *value = ll_val(c, val);
  if (value->words && value->word_elems == count)
    return value->words;
  TL_ASSERT(value->nregs % count == 0, "%d registers do not make words", value->nregs);
  ll_v *regs = ll_regs(c, val);
  // Not kept: this place need not dominate the next use.
  ll_v *words = TL_NEW_N(c->arena, ll_v, value->nregs / count);
  for (int w = 0; w < value->nregs / count; w++)
    words[w] = pack_word(c, regs + w * count, count);
  return words;
}

ll_v *ll_words(ll_ctx *c, ir_val val) {
  int bits = tl_dtype_bits(ll_dtype(c, val));
  TL_ASSERT(bits >= 4 && bits <= 32, "%d-bit elements do not make words", bits);
  return ll_words_of(c, val, 32 / bits);
}

ll_v *ll_new_regs(ll_ctx *c, ir_val val) {
  ll_value *value = ll_val(c, val);
  value->nregs = ll_nregs(c, val);
  value->regs = TL_NEW_N(c->arena, ll_v, value->nregs);
  return value->regs;
}

void ll_set_scalar(ll_ctx *c, ir_val val, ll_v v) { ll_new_regs(c, val)[0] = v; }

void ll_set_words(ll_ctx *c, ir_val val, ll_v *words, int count) {
  ll_value *value = ll_val(c, val);
  value->nregs = ll_nregs(c, val);
  value->words = words;
  value->word_elems = count ? count : 32 / tl_dtype_bits(ll_dtype(c, val));
}

// --- coordinates --------------------------------------------------------------------------------

// Runs of bits whose vectors double (b, 2b, 4b ..) are one shift, mask and multiply.
ll_v ll_bit_sum(ll_ctx *c, ll_v index, int low, int nbits, const int32_t *basis) {
  ll_v sum = ll_i32(c, 0);
  for (int i = 0; i < nbits;) {
    if (!basis[i]) {
      i++;
      continue;
    }
    int end = i + 1;
    while (end < nbits && basis[end] == basis[end - 1] * 2)
      end++;
    ll_v part = LLVMBuildLShr(c->b, index, ll_i32(c, low + i), "");
    part = LLVMBuildAnd(c->b, part, ll_i32(c, (1 << (end - i)) - 1), "");
    sum = ll_add(c, sum, ll_mul(c, part, ll_i32(c, basis[i])));
    i = end;
  }
  return sum;
}

static void compute_place(ll_ctx *c, ll_place *place, ll_v lane, ll_v warp) {
  const ir_layout *layout = place->layout;
  for (int d = 0; d < layout->rank; d++) {
    int32_t lanes[IR_LANE_BITS], warps[IR_MAX_WARP_BITS];
    for (int i = 0; i < IR_LANE_BITS; i++)
      lanes[i] = layout->lane[i][d];
    for (int i = 0; i < layout->nwarp_bits; i++)
      warps[i] = layout->warp[i][d];
    place->at[d] = ll_add(c, ll_bit_sum(c, lane, 0, IR_LANE_BITS, lanes),
                          ll_bit_sum(c, warp, 0, layout->nwarp_bits, warps));
  }
}

const ll_place *ll_place_of(ll_ctx *c, const ir_layout *layout) {
  for (uint32_t i = 0; i < c->places.len; i++)
    if (c->places.data[i].layout == layout)
      return &c->places.data[i];
  ll_place place = {.layout = layout};
  LLVMBasicBlockRef back = ll_enter_entry(c);
  compute_place(c, &place, c->lane, c->warp);
  ll_leave_entry(c, back);
  tl_push(c->arena, &c->places, place);
  return &tl_last(&c->places);
}

void ll_reg_coords(const ir_layout *layout, int reg, int64_t *out_coords) {
  ir_layout_coords(layout, reg, 0, 0, out_coords);
}

static bool is_zero_vector(const int32_t *vector, int rank) {
  for (int d = 0; d < rank; d++)
    if (vector[d])
      return false;
  return true;
}

ll_v ll_owner(ll_ctx *c, const ir_layout *layout) {
  int copies = 0; // bits of the thread index
  for (int i = 0; i < IR_LANE_BITS; i++)
    if (is_zero_vector(layout->lane[i], layout->rank))
      copies |= 1 << i;
  for (int i = 0; 32 << i < c->threads; i++)
    if (i >= layout->nwarp_bits || is_zero_vector(layout->warp[i], layout->rank))
      copies |= 32 << i;
  if (!copies)
    return ll_i1(c, true);
  ll_v bits = LLVMBuildAnd(c->b, c->tid, ll_i32(c, copies), "");
  return LLVMBuildICmp(c->b, LLVMIntEQ, bits, ll_i32(c, 0), "");
}

bool ll_is_copy(const ir_layout *layout, int reg) {
  for (int i = 0; i < layout->nreg_bits; i++)
    if (reg >> i & 1 && is_zero_vector(layout->reg[i], layout->rank))
      return true;
  return false;
}

bool ll_beyond_lanes_multiple(const ir_layout *layout, int bits, int unit) {
  int last = layout->rank - 1;
  for (int i = bits; i < layout->nreg_bits; i++)
    if (layout->reg[i][last] % unit)
      return false;
  for (int i = 0; i < layout->nwarp_bits; i++)
    if (layout->warp[i][last] % unit)
      return false;
  for (int i = 0; i < layout->nreps; i++)
    if (layout->rep[i].dim == last && layout->rep[i].stride % unit)
      return false;
  return true;
}

// Can every contribution to the last dim but the low `bits` register bits be a multiple of 1 <<
// bits?
static bool rest_is_multiple(const ir_layout *layout, int bits) {
  for (int i = 0; i < IR_LANE_BITS; i++)
    if (layout->lane[i][layout->rank - 1] % (1 << bits))
      return false;
  return ll_beyond_lanes_multiple(layout, bits, 1 << bits);
}

int ll_run(const ir_layout *layout, int limit) {
  int bits = 0, last = layout->rank - 1;
  while (bits < layout->nreg_bits && 2 << bits <= limit) {
    for (int d = 0; d < layout->rank; d++)
      if (layout->reg[bits][d] != (d == last ? 1 << bits : 0))
        goto done;
    bits++;
  }
done:
  while (bits && !rest_is_multiple(layout, bits))
    bits--;
  return 1 << bits;
}

int64_t ll_column_bits(const ir_layout *layout, int elem_bytes) {
  int last = layout->rank - 1;
  int64_t bits = 0;
  for (int i = 0; i < IR_LANE_BITS + layout->nwarp_bits; i++) {
    int64_t part = i < IR_LANE_BITS ? layout->lane[i][last] : layout->warp[i - IR_LANE_BITS][last];
    part *= elem_bytes;
    if (bits & part)
      return -1;
    bits |= part;
  }
  return bits;
}

// Lanes with copies ask the lane whose copy bits are 0, by halves. Copies in other warps would need
// shared memory; the layouts of atomics (blocked) have none unless the tile is smaller than a warp.
void ll_share_copies(ll_ctx *c, const ir_layout *layout, ll_v *regs, int count) {
  for (int bit = 0; bit < IR_LANE_BITS; bit++) {
    if (!is_zero_vector(layout->lane[bit], layout->rank))
      continue;
    ll_v high = LLVMBuildAnd(c->b, c->lane, ll_i32(c, 1 << bit), "");
    high = LLVMBuildICmp(c->b, LLVMIntNE, high, ll_i32(c, 0), "");
    for (int r = 0; r < count; r++)
      regs[r] = LLVMBuildSelect(c->b, high, ll_shuffle_xor(c, regs[r], 1 << bit), regs[r], "");
  }
}
