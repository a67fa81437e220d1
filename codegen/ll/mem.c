// load and store of tiles and scalars.
//
// A register tile is moved in units: 32-bit words where vectors reach that size, else single
// elements. Predicated accesses are inline asm (asm.def) so that a tile costs no branches. Where
// vectors may cross the right edge of the tensor there are two versions behind one uniform branch:
// vectors when the tile is inside along its last dim, single elements otherwise.
#include "codegen/ll/emit.h"

typedef struct plan {
  ll_access access;
  const ir_layout *layout; // NULL: a scalar
  int nregs, vector;       // elements per access
  int unit;                // bits of one unit
  int per_unit;            // elements
  bool whole;
  ll_v *mask;  // by register, or NULL
  ll_v *other; // by register, or NULL: zero
} plan;

static plan plan_access(ll_ctx *c, const ir_op *op, const ir_layout *layout) {
  plan p = {
      .access = ll_access_of(c, op), .layout = layout, .nregs = 1, .vector = 1, .whole = true};
  if (layout) {
    p.nregs = ir_layout_regs(layout);
    p.vector = ll_access_vector(c, &p.access, layout, &p.whole);
  }
  int bits = p.access.bits;
  int total = p.vector * bits; // a power of two
  p.unit = bits == 64 ? 64 : total < 8 ? 8 : total < 32 ? total : 32;
  p.per_unit = total < p.unit ? 1 : p.unit / bits; // a lone 4-bit code is part of a byte
  if (ir_some(p.access.ir.mask))
    p.mask = ll_regs(c, p.access.ir.mask);
  if (ir_some(p.access.ir.other))
    p.other = ll_regs(c, p.access.ir.other);
  return p;
}

static ll_cursor open_cursor(ll_ctx *c, const plan *p) {
  static const ll_v none[1];
  ll_cursor cursor =
      ll_cursor_open(c, &p->access, p->layout ? ll_place_of(c, p->layout)->at : none);
  if (p->layout)
    ll_cursor_gather(c, &cursor, p->layout);
  return cursor;
}

static ll_v mask_of(ll_ctx *c, const plan *p, int reg) {
  if (!p->mask)
    return ll_i1(c, true);
  bool uniform = !ty_is_tile(ir_type(c->func, p->access.ir.mask));
  return p->mask[uniform ? 0 : reg];
}

static ll_spot spot_of(ll_ctx *c, const plan *p, ll_cursor *cursor, int reg) {
  int64_t fixed[TY_MAX_RANK] = {0};
  if (p->layout)
    ll_reg_coords(p->layout, reg, fixed);
  ll_spot spot = ll_cursor_at(c, cursor, fixed, reg);
  spot.inside = ll_and(c, spot.inside, mask_of(c, p, reg));
  return spot;
}

static ll_t unit_type(ll_ctx *c, int bits) { return LLVMIntTypeInContext(c->cx, (unsigned)bits); }

static ll_v address(ll_ctx *c, ll_spot spot) {
  return ll_offset(c, spot.pointer, ll_i64(c, spot.imm));
}

// --- one access ---------------------------------------------------------------------------------

static void load_plain(ll_ctx *c, ll_spot spot, int unit, int count, ll_v *out) {
  ll_t type = count == 1 ? unit_type(c, unit) : LLVMVectorType(unit_type(c, unit), (unsigned)count);
  ll_v loaded = LLVMBuildLoad2(c->b, type, address(c, spot), "");
  LLVMSetAlignment(loaded, (unsigned)(count * unit / 8));
  if (count == 1) {
    out[0] = loaded;
    return;
  }
  for (int i = 0; i < count; i++)
    out[i] = LLVMBuildExtractElement(c->b, loaded, ll_i32(c, i), "");
}

// out holds what a false predicate leaves.
static void load_if(ll_ctx *c, ll_spot spot, int unit, int count, ll_v *out) {
  ll_v p = spot.inside, at = spot.pointer, imm = ll_i64(c, spot.imm);
  if (count == 1) {
    switch (unit) {
    case 8: {
      ll_v wide = LLVMBuildZExt(c->b, out[0], c->t_i16, "");
      out[0] = LLVMBuildTrunc(c->b, LL_ASM(c, LD_B8, c->t_i16, wide, p, at, imm), c->t_i8, "");
      return;
    }
    case 16:
      out[0] = LL_ASM(c, LD_B16, c->t_i16, out[0], p, at, imm);
      return;
    case 32:
      out[0] = LL_ASM(c, LD_B32, c->t_i32, out[0], p, at, imm);
      return;
    default:
      out[0] = LL_ASM(c, LD_B64, c->t_i64, out[0], p, at, imm);
      return;
    }
  }
  if (unit == 64 && count == 2) {
    ll_t pair = LLVMStructTypeInContext(c->cx, (ll_t[]){c->t_i64, c->t_i64}, 2, false);
    ll_v both = LL_ASM(c, LD_V2_B64, pair, out[0], out[1], p, at, imm);
    for (int i = 0; i < 2; i++)
      out[i] = LLVMBuildExtractValue(c->b, both, (unsigned)i, "");
    return;
  }
  TL_ASSERT(unit == 32 && (count == 2 || count == 4), "vector of %d x %d bits", count, unit);
  ll_t parts[4] = {c->t_i32, c->t_i32, c->t_i32, c->t_i32};
  ll_t type = LLVMStructTypeInContext(c->cx, parts, (unsigned)count, false);
  ll_v all = count == 2 ? LL_ASM(c, LD_V2_B32, type, out[0], out[1], p, at, imm)
                        : LL_ASM(c, LD_V4_B32, type, out[0], out[1], out[2], out[3], p, at, imm);
  for (int i = 0; i < count; i++)
    out[i] = LLVMBuildExtractValue(c->b, all, (unsigned)i, "");
}

ll_v ll_load_element(ll_ctx *c, ll_spot spot, int bits) {
  ll_v out = LLVMConstNull(unit_type(c, bits));
  if (ll_is_true(spot.inside))
    load_plain(c, spot, bits, 1, &out);
  else
    load_if(c, spot, bits, 1, &out);
  return out;
}

static void store_plain(ll_ctx *c, ll_spot spot, int unit, int count, ll_v *units) {
  ll_v value = units[0];
  if (count > 1) {
    value = LLVMGetPoison(LLVMVectorType(unit_type(c, unit), (unsigned)count));
    for (int i = 0; i < count; i++)
      value = LLVMBuildInsertElement(c->b, value, units[i], ll_i32(c, i), "");
  }
  LLVMSetAlignment(LLVMBuildStore(c->b, value, address(c, spot)), (unsigned)(count * unit / 8));
}

static void store_if(ll_ctx *c, ll_spot spot, int unit, int count, ll_v *units) {
  ll_v p = spot.inside, at = spot.pointer, imm = ll_i64(c, spot.imm), x = units[0];
  if (count == 2 && unit == 64) {
    LL_ASM(c, ST_V2_B64, c->t_void, p, at, imm, x, units[1]);
  } else if (count == 2) {
    LL_ASM(c, ST_V2_B32, c->t_void, p, at, imm, x, units[1]);
  } else if (count == 4) {
    LL_ASM(c, ST_V4_B32, c->t_void, p, at, imm, x, units[1], units[2], units[3]);
  } else if (unit == 8) {
    LL_ASM(c, ST_B8, c->t_void, p, at, imm, LLVMBuildZExt(c->b, x, c->t_i16, ""));
  } else if (unit == 16) {
    LL_ASM(c, ST_B16, c->t_void, p, at, imm, x);
  } else if (unit == 32) {
    LL_ASM(c, ST_B32, c->t_void, p, at, imm, x);
  } else {
    LL_ASM(c, ST_B64, c->t_void, p, at, imm, x);
  }
}

// --- units and elements -------------------------------------------------------------------------

static ll_v pack_unit(ll_ctx *c, const plan *p, const ll_v *elems) {
  if (p->per_unit == 1)
    return elems[0];
  if (p->access.bits == 4)
    return ll_pack_nibbles(c, elems, p->per_unit);
  ll_t elem = unit_type(c, p->access.bits);
  ll_v vector = LLVMGetPoison(LLVMVectorType(elem, (unsigned)p->per_unit));
  for (int i = 0; i < p->per_unit; i++)
    vector = LLVMBuildInsertElement(c->b, vector, elems[i], ll_i32(c, i), "");
  return LLVMBuildBitCast(c->b, vector, unit_type(c, p->unit), "");
}

// An element as the integer that stands in memory; 4-bit codes as bytes.
static ll_v image_of(ll_ctx *c, const plan *p, ll_v elem) {
  return ll_to_bits(c, elem, p->access.bits < 8 ? 8 : p->access.bits);
}

static ll_v elem_of(ll_ctx *c, const plan *p, ll_v image) {
  tl_dtype dtype = p->access.tensor->dtype;
  if (dtype == TL_I1)
    return LLVMBuildICmp(c->b, LLVMIntNE, image, LLVMConstNull(c->t_i8), "");
  return ll_from_bits(c, image, ll_type(c, dtype));
}

static ll_v other_image(ll_ctx *c, const plan *p, int reg) {
  if (!p->other)
    return LLVMConstNull(unit_type(c, p->access.bits < 8 ? 8 : p->access.bits));
  bool uniform = !ty_is_tile(ir_type(c->func, p->access.ir.other));
  return image_of(c, p, p->other[uniform ? 0 : reg]);
}

// --- load ---------------------------------------------------------------------------------------

// Reads the vector at `reg` what the one before it read?
static bool repeats(const plan *p, const ll_cursor *cursor, int reg) {
  return reg && p->layout && !p->mask && !p->other &&
         ll_cursor_same(cursor, p->layout, reg, reg - p->vector);
}

static void load_vectors(ll_ctx *c, const plan *p, ll_cursor *cursor, ll_v *units) {
  int per_vector = p->vector / p->per_unit;
  for (int r = 0, u = 0; r < p->nregs; r += p->vector, u += per_vector) {
    if (repeats(p, cursor, r)) { // a gather whose indices are known to be equal
      memcpy(units + u, units + u - per_vector, sizeof *units * (size_t)per_vector);
      continue;
    }
    ll_spot spot = spot_of(c, p, cursor, r);
    for (int i = 0; i < per_vector; i++) {
      ll_v elems[8];
      for (int e = 0; e < p->per_unit; e++)
        elems[e] = other_image(c, p, r + i * p->per_unit + e);
      units[u + i] = pack_unit(c, p, elems);
    }
    if (ll_is_true(spot.inside))
      load_plain(c, spot, p->unit, per_vector, units + u);
    else
      load_if(c, spot, p->unit, per_vector, units + u);
  }
}

// The 4-bit code at register `reg` out of its byte: the low half where the position is even.
static ll_v nibble_of(ll_ctx *c, const plan *p, const ll_cursor *cursor, int reg, ll_v byte) {
  int64_t fixed[TY_MAX_RANK] = {0};
  int d = ll_last_tensor_dim(&p->access);
  ll_reg_coords(p->layout, reg, fixed);
  ll_v at = ll_add(c, cursor->row[d], ll_i32(c, fixed[p->layout->rank - 1]));
  ll_v odd = LLVMBuildTrunc(c->b, LLVMBuildAnd(c->b, at, ll_i32(c, 1), ""), c->t_i8, "");
  ll_v shift = LLVMBuildShl(c->b, odd, LLVMConstInt(c->t_i8, 2, false), "");
  return LLVMBuildAnd(c->b, LLVMBuildLShr(c->b, byte, shift, ""), LLVMConstInt(c->t_i8, 15, false),
                      "");
}

static ll_v load_single(ll_ctx *c, const plan *p, ll_cursor *cursor, int reg) {
  ll_v elem = other_image(c, p, reg);
  bool nibble = p->access.bits == 4;
  load_if(c, spot_of(c, p, cursor, reg), nibble ? 8 : p->access.bits, 1, &elem);
  return nibble ? nibble_of(c, p, cursor, reg, elem) : elem;
}

static void load_singles(ll_ctx *c, const plan *p, ll_cursor *cursor, ll_v *units) {
  for (int r = 0; r < p->nregs; r += p->per_unit) {
    ll_v elems[8];
    for (int e = 0; e < p->per_unit; e++)
      elems[e] = load_single(c, p, cursor, r + e);
    units[r / p->per_unit] = pack_unit(c, p, elems);
  }
}

// Two versions, joined by phis.
static void load_either(ll_ctx *c, const plan *p, ll_cursor *cursor, ll_v *units) {
  int count = p->nregs / p->per_unit;
  const ty_type *type = ir_type(c->func, p->access.op->res[0]);
  ll_v inside = ll_last_dim_inside(c, &p->access, type->dims[type->rank - 1]);
  LLVMBasicBlockRef fast = ll_block(c, "inside"), slow = ll_block(c, "edge"),
                    join = ll_block(c, "loaded");
  LLVMBuildCondBr(c->b, inside, fast, slow);
  ll_v *slow_units = TL_NEW_N(c->arena, ll_v, count);
  ll_cursor other = *cursor; // memoised steps belong to one side
  LLVMPositionBuilderAtEnd(c->b, fast);
  cursor->skip_last = true;
  load_vectors(c, p, cursor, units);
  LLVMBuildBr(c->b, join);
  LLVMPositionBuilderAtEnd(c->b, slow);
  load_singles(c, p, &other, slow_units);
  LLVMBuildBr(c->b, join);
  LLVMPositionBuilderAtEnd(c->b, join);
  for (int i = 0; i < count; i++) {
    ll_v phi = LLVMBuildPhi(c->b, LLVMTypeOf(units[i]), "");
    LLVMAddIncoming(phi, (ll_v[]){units[i], slow_units[i]}, (LLVMBasicBlockRef[]){fast, slow}, 2);
    units[i] = phi;
  }
}

static void set_units(ll_ctx *c, const plan *p, ir_val result, ll_v *units) {
  if (p->unit == 32 && p->per_unit > 1 && p->access.tensor->dtype != TL_I1) {
    ll_set_words(c, result, units, 0);
    return;
  }
  ll_v *out = ll_new_regs(c, result);
  for (int r = 0; r < p->nregs; r++) {
    ll_v unit = units[r / p->per_unit];
    if (p->per_unit > 1) {
      int at = r % p->per_unit * p->access.bits;
      unit = LLVMBuildLShr(c->b, unit, LLVMConstInt(LLVMTypeOf(unit), (unsigned)at, false), "");
      if (p->access.bits == 4)
        unit = LLVMBuildAnd(c->b, unit, LLVMConstInt(LLVMTypeOf(unit), 15, false), "");
      unit = LLVMBuildTruncOrBitCast(c->b, unit,
                                     unit_type(c, p->access.bits < 8 ? 8 : p->access.bits), "");
    }
    out[r] = elem_of(c, p, unit);
  }
}

void ll_emit_load(ll_ctx *c, const ir_op *op) {
  plan p = plan_access(c, op, ll_layout(c, op->res[0]));
  ll_cursor cursor = open_cursor(c, &p);
  ll_v *units = TL_NEW_N(c->arena, ll_v, p.nregs);
  if (p.layout && p.access.bits == 4 && p.vector == 1)
    load_singles(c, &p, &cursor, units);
  else if (p.whole)
    load_vectors(c, &p, &cursor, units);
  else
    load_either(c, &p, &cursor, units);
  set_units(c, &p, op->res[0], units);
}

// --- store --------------------------------------------------------------------------------------

static ll_v *store_units(ll_ctx *c, const plan *p) {
  ir_val value = p->access.ir.value;
  if (p->unit == 32 && p->per_unit > 1 && ll_dtype(c, value) != TL_I1)
    return ll_words(c, value);
  ll_v *regs = ll_regs(c, value), *units = TL_NEW_N(c->arena, ll_v, p->nregs);
  for (int r = 0; r < p->nregs; r += p->per_unit) {
    ll_v elems[8];
    for (int e = 0; e < p->per_unit; e++)
      elems[e] = image_of(c, p, regs[r + e]);
    units[r / p->per_unit] = pack_unit(c, p, elems);
  }
  return units;
}

static void store_vectors(ll_ctx *c, const plan *p, ll_cursor *cursor, ll_v owner, ll_v *units) {
  int per_vector = p->vector / p->per_unit;
  for (int r = 0, u = 0; r < p->nregs; r += p->vector, u += per_vector) {
    if (p->layout && ll_is_copy(p->layout, r))
      continue;
    ll_spot spot = spot_of(c, p, cursor, r);
    spot.inside = ll_and(c, owner, spot.inside);
    if (ll_is_true(spot.inside))
      store_plain(c, spot, p->unit, per_vector, units + u);
    else
      store_if(c, spot, p->unit, per_vector, units + u);
  }
}

static void store_singles(ll_ctx *c, const plan *p, ll_cursor *cursor, ll_v owner) {
  ll_v *regs = ll_regs(c, p->access.ir.value);
  int step = p->access.bits == 4 ? 2 : 1; // 4-bit codes leave as whole bytes
  for (int r = 0; r < p->nregs; r += step) {
    if (ll_is_copy(p->layout, r))
      continue;
    ll_spot spot = spot_of(c, p, cursor, r);
    spot.inside = ll_and(c, owner, spot.inside);
    ll_v image = step == 2 ? ll_pack_nibbles(c, regs + r, 2) : image_of(c, p, regs[r]);
    store_if(c, spot, p->access.bits * step, 1, &image);
  }
}

static void store_either(ll_ctx *c, const plan *p, ll_cursor *cursor, ll_v owner, ll_v *units) {
  const ty_type *type = ir_type(c->func, p->access.ir.value);
  ll_v inside = ll_last_dim_inside(c, &p->access, type->dims[type->rank - 1]);
  LLVMBasicBlockRef fast = ll_block(c, "inside"), slow = ll_block(c, "edge"),
                    join = ll_block(c, "stored");
  LLVMBuildCondBr(c->b, inside, fast, slow);
  ll_cursor other = *cursor;
  LLVMPositionBuilderAtEnd(c->b, fast);
  cursor->skip_last = true;
  store_vectors(c, p, cursor, owner, units);
  LLVMBuildBr(c->b, join);
  LLVMPositionBuilderAtEnd(c->b, slow);
  store_singles(c, p, &other, owner);
  LLVMBuildBr(c->b, join);
  LLVMPositionBuilderAtEnd(c->b, join);
}

void ll_emit_store(ll_ctx *c, const ir_op *op) {
  ir_val value = ir_access_of(c->func, op).value;
  plan p = plan_access(c, op, ll_layout(c, value));
  ll_v *units = store_units(c, &p);
  if (!p.whole)
    ll_regs(c, value); // both sides need them
  ll_v owner =
      p.layout ? ll_owner(c, p.layout) : LLVMBuildICmp(c->b, LLVMIntEQ, c->tid, ll_i32(c, 0), "");
  ll_cursor cursor = open_cursor(c, &p);
  if (p.whole)
    store_vectors(c, &p, &cursor, owner, units);
  else
    store_either(c, &p, &cursor, owner, units);
}
