// read: a tile from the consumer's slot into registers.
//
// Operand tiles go through ldmatrix: a 32-bit word per lane of an 8x8 matrix of 16-bit units, whose
// rows are 16 aligned bytes. A layout qualifies when lanes 4g+q and the low register bits say just
// that; found from its basis vectors, for any element size:
//   plain       registers and lane bits 0,1 continue along the row, lane bits 2..4 count rows
//   transposed  (16 bits) registers and lane bits 0,1 count rows, lane bits 2..4 run along the row
//   spread      4-bit elements of a spread buffer: plain, as bytes with the code in the low half
// Up to four words come with one instruction. They are loaded when an mma asks for them, so that
// few are alive at a time; anything that could change the slot loads the rest first (ll_force_all).
#include "codegen/ll/shared.h"

typedef struct group { // one ldmatrix
  int first, count;    // words
  int pattern;
  bool loaded;
} group;

typedef struct pattern { // lane addresses: how matrices 1 and 2 lie to matrix 0
  int64_t step1[TY_MAX_RANK], step2[TY_MAX_RANK];
  ll_shared shared;
} pattern;

struct ll_pending {
  const ir_layout *layout;
  ll_field field;
  ll_v stage;
  ll_v *words;
  int nwords, per_word;
  bool transposed, done;
  int row_dim;
  group *groups;
  int ngroups;
  int *group_of; // by word
  TL_VEC(pattern) patterns;
};

// --- recognising --------------------------------------------------------------------------------

static bool is_unit(const int32_t *vector, int rank, int dim, int value) {
  for (int d = 0; d < rank; d++)
    if (vector[d] != (d == dim ? value : 0))
      return false;
  return true;
}

// Does the layout's word pattern run along `dim_in` inside a word and a quad, and count 1, 2, 4
// along `dim_out` over lane bits 2..4?
static bool quads_along(const ir_layout *layout, int log_elems, int dim_in, int dim_out) {
  for (int i = 0; i < log_elems; i++)
    if (i >= layout->nreg_bits || !is_unit(layout->reg[i], layout->rank, dim_in, 1 << i))
      return false;
  for (int i = 0; i < 2; i++)
    if (!is_unit(layout->lane[i], layout->rank, dim_in, 1 << (log_elems + i)))
      return false;
  for (int i = 0; i < 3; i++)
    if (!is_unit(layout->lane[2 + i], layout->rank, dim_out, 1 << i))
      return false;
  return true;
}

static bool recognise(ll_pending *p) {
  const ir_layout *layout = p->layout;
  int bits = tl_dtype_bits(p->field.buf->dtype), rank = layout->rank;
  if (rank < 2 || bits < 4 || bits > 32)
    return false;
  if (p->field.layout->spread)
    bits = 8; // ldmatrix makes bytes of them
  int64_t row_bytes =
      ir_shared_column(p->field.layout, p->field.buf->dtype, p->field.buf->dims[rank]);
  if ((row_bytes + p->field.layout->pad_bytes) % 16 != 0)
    return false;
  int log_elems = bits == 4 ? 3 : bits == 8 ? 2 : bits == 16 ? 1 : 0;
  p->per_word = 1 << log_elems;
  p->nwords = ir_layout_regs(layout) / p->per_word;
  // Everything beyond one matrix moves in whole 16-byte units along the last dim.
  if (!ll_beyond_lanes_multiple(layout, log_elems, 128 / bits))
    return false;
  p->row_dim = rank - 2;
  p->transposed = false;
  if (quads_along(layout, log_elems, rank - 1, rank - 2))
    return true;
  p->transposed = true;
  return bits == 16 && quads_along(layout, log_elems, rank - 2, rank - 1);
}

// --- grouping -----------------------------------------------------------------------------------

static void word_coords(const ll_pending *p, int word, int64_t *out) {
  ll_reg_coords(p->layout, word * p->per_word, out);
}

// Largest group at `first` that is affine in the matrix number's bits.
static int group_size(const ll_pending *p, int first, int64_t *step1, int64_t *step2) {
  int64_t at[4][TY_MAX_RANK];
  int rank = p->layout->rank, left = p->nwords - first;
  for (int i = 0; i < 4 && i < left; i++)
    word_coords(p, first + i, at[i]);
  memset(step1, 0, sizeof at[0]);
  memset(step2, 0, sizeof at[0]);
  if (left < 2)
    return 1;
  for (int d = 0; d < rank; d++)
    if (at[1][d] < at[0][d])
      return 1;
  for (int d = 0; d < rank; d++)
    step1[d] = at[1][d] - at[0][d];
  if (left < 4)
    return 2;
  for (int d = 0; d < rank; d++)
    if (at[3][d] - at[2][d] != step1[d] || at[2][d] < at[0][d])
      return 2;
  for (int d = 0; d < rank; d++)
    step2[d] = at[2][d] - at[0][d];
  return 4;
}

// Bits of the column (in bytes) that the lane address can have; -1 when contributions overlap.
static int64_t column_bits(const ll_pending *p, const pattern *pat) {
  int last = p->layout->rank - 1;
  int64_t bits = 0, parts[IR_MAX_WARP_BITS + 2];
  int count = 0;
  for (int i = 0; i < p->layout->nwarp_bits; i++)
    parts[count++] = p->layout->warp[i][last];
  parts[count++] = pat->step1[last];
  parts[count++] = pat->step2[last];
  for (int i = 0; i < count; i++) {
    int64_t bytes = ir_shared_column(p->field.layout, p->field.buf->dtype, parts[i]);
    if (bytes < 0 || (bits & bytes))
      return -1;
    bits |= bytes;
  }
  return bits;
}

static void open_pattern(ll_ctx *c, ll_pending *p, pattern *pat) {
  int rank = p->layout->rank;
  ll_v at[TY_MAX_RANK];
  LLVMBasicBlockRef back = ll_enter_entry(c);
  for (int d = 0; d < rank; d++) {
    int32_t warp[IR_MAX_WARP_BITS], matrix[2] = {(int32_t)pat->step1[d], (int32_t)pat->step2[d]};
    for (int i = 0; i < p->layout->nwarp_bits; i++)
      warp[i] = p->layout->warp[i][d];
    at[d] = ll_bit_sum(c, c->warp, 0, p->layout->nwarp_bits, warp);
    at[d] = ll_add(c, at[d], ll_bit_sum(c, c->lane, 3, 2, matrix));
    if (d == p->row_dim)
      at[d] = ll_add(c, at[d], LLVMBuildAnd(c->b, c->lane, ll_i32(c, 7), ""));
  }
  ll_leave_entry(c, back);
  pat->shared = ll_shared_open(c, p->field.layout, p->field.buf, at, column_bits(p, pat), true);
}

static int find_pattern(ll_ctx *c, ll_pending *p, const int64_t *step1, const int64_t *step2) {
  size_t size = sizeof(int64_t) * (size_t)p->layout->rank;
  for (uint32_t i = 0; i < p->patterns.len; i++)
    if (!memcmp(p->patterns.data[i].step1, step1, size) &&
        !memcmp(p->patterns.data[i].step2, step2, size))
      return (int)i;
  pattern pat = {0};
  memcpy(pat.step1, step1, size);
  memcpy(pat.step2, step2, size);
  open_pattern(c, p, &pat);
  tl_push(c->arena, &p->patterns, pat);
  return (int)p->patterns.len - 1;
}

static void form_groups(ll_ctx *c, ll_pending *p) {
  p->groups = TL_NEW_N(c->arena, group, p->nwords);
  p->group_of = TL_NEW_N(c->arena, int, p->nwords);
  for (int w = 0; w < p->nwords;) {
    int64_t step1[TY_MAX_RANK], step2[TY_MAX_RANK];
    int count = group_size(p, w, step1, step2);
    group g = {.first = w, .count = count, .pattern = find_pattern(c, p, step1, step2)};
    for (int i = 0; i < count; i++)
      p->group_of[w + i] = p->ngroups;
    p->groups[p->ngroups++] = g;
    w += count;
  }
}

// --- loading ------------------------------------------------------------------------------------

static void load_group(ll_ctx *c, ll_pending *p, group *g) {
  if (g->loaded)
    return;
  g->loaded = true;
  int64_t fixed[TY_MAX_RANK];
  word_coords(p, g->first, fixed);
  ll_v at = ll_shared_at(c, &p->patterns.data[g->pattern].shared, p->stage, fixed);
  const char *name =
      p->field.layout->spread
          ? tl_sprintf(c->arena, "llvm.nvvm.ldmatrix.sync.aligned.m8n16.x%d.b8x16.b4x16_p64",
                       g->count)
          : tl_sprintf(c->arena, "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x%d%s.b16", g->count,
                       p->transposed ? ".trans" : "");
  ll_v all = ll_intrinsic(c, name, &c->t_shared, 1, &at, 1);
  ll_convergent(c, all);
  for (int i = 0; i < g->count; i++)
    p->words[g->first + i] =
        g->count == 1 ? all : LLVMBuildExtractValue(c->b, all, (unsigned)i, "");
}

void ll_force_words(ll_ctx *c, ll_value *value, int first, int count) {
  ll_pending *p = value->pending;
  if (!p || p->done)
    return;
  for (int w = first; w < first + count; w++)
    load_group(c, p, &p->groups[p->group_of[w]]);
}

void ll_force_all(ll_ctx *c) {
  for (uint32_t i = 0; i < c->pending.len; i++) {
    ll_pending *p = c->pending.data[i];
    for (int g = 0; g < p->ngroups; g++)
      load_group(c, p, &p->groups[g]);
    p->done = true;
  }
  c->pending.len = 0;
}

// Layouts that are no operand fragments: vectors along the row where registers allow.
typedef struct vectors {
  const ir_layout *layout;
  tl_dtype dtype;
  int run, bits; // elements and bits of one access
  ll_t type;
  ll_shared shared;
  ll_v stage, column; // column: the thread's part, for lone 4-bit elements
} vectors;

static ll_v load_at(ll_ctx *c, vectors *v, int reg) {
  int64_t fixed[TY_MAX_RANK];
  ll_reg_coords(v->layout, reg, fixed);
  ll_v loaded = LLVMBuildLoad2(c->b, v->type, ll_shared_at(c, &v->shared, v->stage, fixed), "");
  LLVMSetAlignment(loaded, (unsigned)(v->bits < 8 ? 1 : v->bits / 8));
  if (v->bits >= 8)
    return loaded;
  ll_v at = ll_add(c, v->column, ll_i32(c, fixed[v->layout->rank - 1]));
  ll_v shift = LLVMBuildShl(c->b, LLVMBuildAnd(c->b, at, ll_i32(c, 1), ""), ll_i32(c, 2), "");
  return LLVMBuildLShr(c->b, loaded, LLVMBuildTrunc(c->b, shift, c->t_i8, ""), "");
}

static void take_apart(ll_ctx *c, const vectors *v, ll_v loaded, ll_v *out) {
  int bits = tl_dtype_bits(v->dtype);
  ll_t whole = LLVMTypeOf(loaded);
  if (bits < 8) {
    for (int i = 0; i < v->run; i++) {
      ll_v code = LLVMBuildLShr(c->b, loaded, LLVMConstInt(whole, (unsigned)(i * bits), false), "");
      code = LLVMBuildTruncOrBitCast(c->b, code, c->t_i8, "");
      out[i] = LLVMBuildAnd(c->b, code, LLVMConstInt(c->t_i8, (1u << bits) - 1, false), "");
    }
    return;
  }
  for (int i = 0; i < v->run; i++) {
    ll_v one = v->run == 1 ? loaded : LLVMBuildExtractElement(c->b, loaded, ll_i32(c, i), "");
    out[i] = ll_from_bits(c, one, ll_type(c, v->dtype));
  }
}

static void read_vectors(ll_ctx *c, const ir_op *op, const ll_field *field, ll_v stage) {
  vectors v = {
      .layout = ll_layout(c, op->res[0]), .dtype = ll_dtype(c, op->res[0]), .stage = stage};
  int elem = tl_dtype_bits(v.dtype), last = v.layout->rank - 1;
  // 4-bit elements come in integers, of 16 elements at most where they are spread.
  v.run = ll_run(v.layout, elem < 8 ? 16 : 128 / elem);
  int64_t pitch = ty_row_bytes(field->buf) + field->layout->pad_bytes;
  while (v.run > 1 && pitch * 8 % (v.run * elem))
    v.run /= 2;
  v.bits = v.run * elem;
  ll_t unit = LLVMIntTypeInContext(c->cx, (unsigned)(elem >= 8 ? elem : v.bits < 8 ? 8 : v.bits));
  v.type = v.run == 1 || elem < 8 ? unit : LLVMVectorType(unit, (unsigned)v.run);
  const ll_v *at = ll_place_of(c, v.layout)->at;
  v.column = at[last];
  v.shared = ll_shared_open(c, field->layout, field->buf, at,
                            elem < 8 ? -1 : ll_column_bits(v.layout, elem / 8), true);
  ll_v *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < ir_layout_regs(v.layout); r += v.run)
    take_apart(c, &v, load_at(c, &v, r), out + r);
}

// Columns in runs of one element each: whole atoms of 8 of them, so that a register's element is
// the same for all lanes and is loaded once.
static void read_runs(ll_ctx *c, const ir_op *op, const ll_field *field, ll_v stage, int64_t run) {
  const ir_layout *layout = ll_layout(c, op->res[0]);
  tl_dtype dtype = ll_dtype(c, op->res[0]);
  int bytes = tl_dtype_bits(dtype) / 8;
  int64_t by_lane = 0;
  for (int i = 0; i < IR_LANE_BITS; i++)
    by_lane += layout->lane[i][0];
  for (int i = 0; i < layout->nwarp_bits; i++)
    by_lane += layout->warp[i][0];
  ll_v *loaded = TL_NEW_N(c->arena, ll_v, field->buf->dims[1]), *out = ll_new_regs(c, op->res[0]);
  for (int r = 0; r < ir_layout_regs(layout); r++) {
    int64_t fixed[TY_MAX_RANK];
    ll_reg_coords(layout, r, fixed);
    int64_t first = fixed[0] / run;
    bool same = (fixed[0] + by_lane) / run == first;
    ll_v index = ll_i32(c, first);
    if (!same)
      index = LLVMBuildUDiv(c->b, ll_add(c, ll_place_of(c, layout)->at[0], ll_i32(c, fixed[0])),
                            ll_i32(c, run), "");
    ll_v value = same ? loaded[first] : NULL;
    if (!value) {
      ll_v at = ll_offset(c, stage, ll_mul(c, index, ll_i32(c, bytes)));
      value = LLVMBuildLoad2(c->b, LLVMIntTypeInContext(c->cx, (unsigned)bytes * 8), at, "");
      LLVMSetAlignment(value, (unsigned)bytes);
      value = ll_from_bits(c, value, ll_type(c, dtype));
    }
    if (same)
      loaded[first] = value;
    out[r] = value;
  }
}

void ll_emit_read(ll_ctx *c, const ir_op *op) {
  const ll_channel *channel = ll_val(c, op->args[0])->channel;
  ll_pending *p = TL_NEW(c->arena, ll_pending);
  p->layout = ll_layout(c, op->res[0]);
  p->field = ll_field_of(c, channel, (int)ir_int(op, "field", 0));
  p->stage = ll_stage(c, channel, &p->field, false);
  if (ir_int(op, "run", 1) > 1) {
    read_runs(c, op, &p->field, p->stage, ir_int(op, "run", 1));
    return;
  }
  if (!ir_int(op, "ldmatrix", 1) || !recognise(p)) {
    read_vectors(c, op, &p->field, p->stage);
    return;
  }
  p->words = TL_NEW_N(c->arena, ll_v, p->nwords);
  form_groups(c, p);
  ll_set_words(c, op->res[0], p->words, p->per_word);
  ll_val(c, op->res[0])->pending = p;
  tl_push(c->arena, &c->pending, p);
}
