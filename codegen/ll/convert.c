// Tiles that change owners inside the CTA: a row-major image in shared scratch, written from one
// layout and read back in another. Rows are padded by 16 bytes for converts and dense where the
// shape changes (ir/scratch.h); elements of less than a byte travel as bytes.
#include "codegen/ll/image.h"

ll_image ll_image_of(ll_ctx *c, const ty_type *tile, int64_t offset, bool dense) {
  int bits = tl_dtype_bits(tile->dtype);
  ll_image image = {.tile = tile, .elem_bytes = bits < 8 ? 1 : bits / 8};
  image.pitch = dense ? tile->dims[tile->rank - 1] * image.elem_bytes : ir_scratch_pitch(tile);
  image.base = ll_offset(c, c->smem, ll_i32(c, offset));
  return image;
}

// Byte offset of constant coordinates.
static int64_t fixed_bytes(const ll_image *image, const int64_t *fixed) {
  int last = image->tile->rank - 1;
  int64_t row = 0;
  for (int d = 0; d < last; d++)
    row = row * image->tile->dims[d] + fixed[d];
  return row * image->pitch + fixed[last] * image->elem_bytes;
}

static ll_v thread_pointer(ll_ctx *c, const ll_image *image, const ll_v *at) {
  int last = image->tile->rank - 1;
  ll_v row = ll_i32(c, 0);
  for (int d = 0; d < last; d++)
    row = ll_add(c, ll_mul(c, row, ll_i32(c, image->tile->dims[d])), at[d]);
  ll_v bytes = ll_add(c, ll_mul(c, row, ll_i32(c, image->pitch)),
                      ll_mul(c, at[last], ll_i32(c, image->elem_bytes)));
  return ll_offset(c, image->base, bytes);
}

static ll_t int_type(ll_ctx *c, int bits) { return LLVMIntTypeInContext(c->cx, (unsigned)bits); }

static ll_v to_image(ll_ctx *c, ll_v elem, int bytes) { return ll_to_bits(c, elem, bytes * 8); }

static ll_v from_image(ll_ctx *c, ll_v image, tl_dtype dtype) {
  if (dtype == TL_I1)
    return LLVMBuildICmp(c->b, LLVMIntNE, image, LLVMConstNull(c->t_i8), "");
  return ll_from_bits(c, image, ll_type(c, dtype));
}

void ll_image_store(ll_ctx *c, const ll_image *image, ir_val val) {
  const ir_layout *layout = ll_layout(c, val);
  int run = ll_run(layout, 16 / image->elem_bytes), count = ir_layout_regs(layout);
  ll_v *regs = ll_regs(c, val);
  ll_v at = thread_pointer(c, image, ll_place_of(c, layout)->at);
  ll_v owner = ll_owner(c, layout);
  LLVMBasicBlockRef after = ll_begin_if(c, owner);
  ll_t elem = int_type(c, image->elem_bytes * 8);
  for (int r = 0; r < count; r += run) {
    if (ll_is_copy(layout, r))
      continue;
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    ll_v value = run == 1 ? to_image(c, regs[r], image->elem_bytes)
                          : LLVMGetPoison(LLVMVectorType(elem, (unsigned)run));
    for (int i = 0; i < run && run > 1; i++)
      value = LLVMBuildInsertElement(c->b, value, to_image(c, regs[r + i], image->elem_bytes),
                                     ll_i32(c, i), "");
    ll_v pointer = ll_offset(c, at, ll_i32(c, fixed_bytes(image, fixed)));
    LLVMSetAlignment(LLVMBuildStore(c->b, value, pointer), (unsigned)(run * image->elem_bytes));
  }
  ll_end_if(c, after);
}

// Result coordinates are those of the image, shifted by `origin`.
static void load_shifted(ll_ctx *c, const ll_image *image, ir_val res, const int64_t *origin) {
  const ir_layout *layout = ll_layout(c, res);
  int count = ir_layout_regs(layout), run = ll_run(layout, 16 / image->elem_bytes);
  while (run > 1 && origin[layout->rank - 1] % run)
    run /= 2;
  ll_v at = thread_pointer(c, image, ll_place_of(c, layout)->at);
  ll_v *out = ll_new_regs(c, res);
  ll_t elem = int_type(c, image->elem_bytes * 8);
  ll_t type = run == 1 ? elem : LLVMVectorType(elem, (unsigned)run);
  for (int r = 0; r < count; r += run) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    for (int d = 0; d < layout->rank; d++)
      fixed[d] += origin[d];
    ll_v pointer = ll_offset(c, at, ll_i32(c, fixed_bytes(image, fixed)));
    ll_v loaded = LLVMBuildLoad2(c->b, type, pointer, "");
    LLVMSetAlignment(loaded, (unsigned)(run * image->elem_bytes));
    for (int i = 0; i < run; i++) {
      ll_v one = run == 1 ? loaded : LLVMBuildExtractElement(c->b, loaded, ll_i32(c, i), "");
      out[r + i] = from_image(c, one, ll_dtype(c, res));
    }
  }
}

// Position of a result element in row-major order.
static ll_v linear_of(ll_ctx *c, const ty_type *tile, const ll_v *at, const int64_t *fixed) {
  ll_v linear = ll_i32(c, 0);
  for (int d = 0; d < tile->rank; d++) {
    linear = ll_mul(c, linear, ll_i32(c, tile->dims[d]));
    linear = ll_add(c, linear, ll_add(c, at[d], ll_i32(c, fixed[d])));
  }
  return linear;
}

// A dense image read back under another shape, or another element type of the same total size.
static void load_reshaped(ll_ctx *c, const ll_image *image, ir_val res) {
  const ir_layout *layout = ll_layout(c, res);
  const ty_type *tile = ir_type(c->func, res);
  int bytes = tl_dtype_bits(tile->dtype) < 8 ? 1 : tl_dtype_bits(tile->dtype) / 8;
  const ll_v *at = ll_place_of(c, layout)->at;
  int count = ir_layout_regs(layout);
  ll_v *out = ll_new_regs(c, res);
  for (int r = 0; r < count; r++) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    ll_v linear = ll_mul(c, linear_of(c, tile, at, fixed), ll_i32(c, bytes));
    ll_v loaded =
        LLVMBuildLoad2(c->b, int_type(c, bytes * 8), ll_offset(c, image->base, linear), "");
    LLVMSetAlignment(loaded, (unsigned)bytes);
    out[r] = from_image(c, loaded, tile->dtype);
  }
}

static ll_v image_byte(ll_ctx *c, const ll_image *image, ll_v at) {
  ll_v loaded = LLVMBuildLoad2(c->b, c->t_i8, ll_offset(c, image->base, at), "");
  LLVMSetAlignment(loaded, 1);
  return loaded;
}

// To or from elements of 4 bits, which lie in the image as a byte each and in memory two to a byte.
static void load_packed(ll_ctx *c, const ll_image *image, ir_val res) {
  const ir_layout *layout = ll_layout(c, res);
  const ty_type *tile = ir_type(c->func, res);
  int bits = tl_dtype_bits(tile->dtype);
  const ll_v *at = ll_place_of(c, layout)->at;
  ll_v *out = ll_new_regs(c, res);
  for (int r = 0; r < ir_layout_regs(layout); r++) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    ll_v linear = linear_of(c, tile, at, fixed);
    if (bits == 4) {
      ll_v byte = image_byte(c, image, LLVMBuildLShr(c->b, linear, ll_i32(c, 1), ""));
      ll_v high = LLVMBuildAnd(c->b, linear, ll_i32(c, 1), "");
      ll_v shift = LLVMBuildTrunc(c->b, ll_mul(c, high, ll_i32(c, 4)), c->t_i8, "");
      byte = LLVMBuildLShr(c->b, byte, shift, "");
      out[r] = LLVMBuildAnd(c->b, byte, LLVMConstInt(c->t_i8, 15, false), "");
      continue;
    }
    ll_t type = int_type(c, bits);
    ll_v all = LLVMConstNull(type), first = ll_mul(c, linear, ll_i32(c, bits / 4));
    for (int i = 0; i < bits / 4; i++) {
      ll_v part = LLVMBuildZExtOrBitCast(c->b, image_byte(c, image, ll_add(c, first, ll_i32(c, i))),
                                         type, "");
      part = LLVMBuildAnd(c->b, part, LLVMConstInt(type, 15, false), "");
      part = LLVMBuildShl(c->b, part, LLVMConstInt(type, (unsigned)(4 * i), false), "");
      all = LLVMBuildOr(c->b, all, part, "");
    }
    out[r] = from_image(c, all, tile->dtype);
  }
}

ll_v ll_image_element(ll_ctx *c, const ll_image *image, const ll_v *at) {
  ll_v loaded =
      LLVMBuildLoad2(c->b, int_type(c, image->elem_bytes * 8), thread_pointer(c, image, at), "");
  LLVMSetAlignment(loaded, (unsigned)image->elem_bytes);
  return from_image(c, loaded, image->tile->dtype);
}

static const int64_t nowhere[TY_MAX_RANK] = {0};

void ll_image_load(ll_ctx *c, const ll_image *image, ir_val res) {
  load_shifted(c, image, res, nowhere);
}

static ll_image exchange(ll_ctx *c, const ir_op *op, bool dense) {
  ll_image image = ll_image_of(c, ir_type(c->func, op->args[0]), ir_int(op, "offset", 0), dense);
  ll_scratch_begin(c);
  ll_image_store(c, &image, op->args[0]);
  ll_bar_sync(c);
  return image;
}

void ll_shape_through_shared(ll_ctx *c, const ir_op *op) {
  const ty_type *from = ir_type(c->func, op->args[0]), *to = ir_type(c->func, op->res[0]);
  int from_bits = tl_dtype_bits(from->dtype), to_bits = tl_dtype_bits(to->dtype);
  bool packs = op->code == IR_BITCAST && from_bits != to_bits && (from_bits == 4 || to_bits == 4);
  ll_image image = exchange(c, op, true);
  if (op->code == IR_SLICE)
    load_shifted(c, &image, op->res[0], ir_attr_find(op, "offsets")->ints);
  else if (packs)
    load_packed(c, &image, op->res[0]);
  else
    load_reshaped(c, &image, op->res[0]);
}

static void same_place(const int64_t *to, int64_t *from, void *user) {
  memcpy(from, to, sizeof *from * (size_t) * (int *)user);
}

static void convert_registers(ll_ctx *c, const ir_op *op) {
  const ir_layout *to = ll_layout(c, op->res[0]);
  int count = ir_layout_regs(to), rank = to->rank;
  int *map = TL_NEW_N(c->arena, int, count);
  if (!ir_layout_rename(to, ll_layout(c, op->args[0]), c->func->warps, same_place, &rank, map))
    TL_UNREACHABLE("convert: a register is not in its thread");
  ll_v *in = ll_regs(c, op->args[0]), *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < count; r++)
    out[r] = in[map[r]];
}

// XOR of one constant per set bit of the lane number.
static ll_v lane_terms(ll_ctx *c, const int *terms, int base) {
  ll_v sum = ll_i32(c, base);
  for (int bit = 0; bit < IR_LANE_BITS; bit++) {
    if (!terms[bit])
      continue;
    ll_v on =
        LLVMBuildAnd(c->b, LLVMBuildLShr(c->b, c->lane, ll_i32(c, bit), ""), ll_i32(c, 1), "");
    sum = LLVMBuildXor(c->b, sum, ll_mul(c, on, ll_i32(c, terms[bit])), "");
  }
  return sum;
}

static ll_v shuffled(ll_ctx *c, const ir_lane_map *map, ll_v *in) {
  int ask[IR_LANE_BITS], second[IR_LANE_BITS];
  for (int bit = 0; bit < IR_LANE_BITS; bit++) {
    ask[bit] = map->ask[1 << bit] ^ map->ask[0];
    second[bit] = (int)((map->second >> (1 << bit) ^ map->second) & 1);
  }
  ll_v lane = lane_terms(c, ask, map->ask[0]);
  ll_v first = ll_shuffle_from(c, in[map->source[0]], lane);
  if (map->nsources == 1)
    return first;
  ll_v other = ll_shuffle_from(c, in[map->source[1]], lane);
  ll_v which = lane_terms(c, second, (int)(map->second & 1));
  which = LLVMBuildICmp(c->b, LLVMIntNE, which, ll_i32(c, 0), "");
  return LLVMBuildSelect(c->b, which, other, first, "");
}

static void convert_lanes(ll_ctx *c, const ir_op *op) {
  const ir_layout *to = ll_layout(c, op->res[0]);
  int count = ir_layout_regs(to);
  ir_lane_map *maps = TL_NEW_N(c->arena, ir_lane_map, count);
  if (ir_layout_shuffle(to, ll_layout(c, op->args[0]), ir_type(c->func, op->res[0]), c->func->warps,
                        maps) < 0)
    TL_UNREACHABLE("convert: an element is not in its warp");
  ll_v *in = ll_regs(c, op->args[0]), *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < count; r++)
    out[r] = shuffled(c, &maps[r], in);
}

void ll_emit_convert(ll_ctx *c, const ir_op *op) {
  const char *via = ir_str(op, "via", "shared");
  if (!strcmp(via, "shuffle")) {
    convert_lanes(c, op);
    return;
  }
  if (!strcmp(via, "reg")) {
    convert_registers(c, op);
    return;
  }
  TL_ASSERT(!strcmp(via, "shared"), "convert via '%s'", via);
  ll_image image = exchange(c, op, false);
  ll_image_load(c, &image, op->res[0]);
}
