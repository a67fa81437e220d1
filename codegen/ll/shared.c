// See shared.h. The address forms are those of ir/layout.h; a swizzle XORs address bits 4..6 with
// bits 7..9 (fewer for 64 and 32 bytes), so constants split three ways:
//   rows that are multiples of 8, and panels   are added: they leave the XOR's source alone
//   columns inside a panel                     are XORed, where they share no bit with the thread's
//   anything else                              is added before the XOR, which is done again
#include "codegen/ll/shared.h"

static ll_v swizzle(ll_ctx *c, int64_t width, ll_v offset) {
  ll_v bits = LLVMBuildLShr(c->b, offset, ll_i32(c, 7), "");
  bits = LLVMBuildAnd(c->b, bits, ll_i32(c, width / 16 - 1), "");
  return LLVMBuildXor(c->b, offset, LLVMBuildShl(c->b, bits, ll_i32(c, 4), ""), "");
}

// Bytes of a thread's column, which is the sum of distinct bits.
static ll_v column_bytes(ll_ctx *c, const ll_shared *s, ll_v col) {
  int bits = tl_dtype_bits(s->buf->dtype);
  if (bits >= 8)
    return ll_mul(c, col, ll_i32(c, bits / 8));
  ll_v half = LLVMBuildLShr(c->b, col, ll_i32(c, 1), "");
  if (!s->layout->spread)
    return half;
  ll_v unit = LLVMBuildAnd(c->b, col, ll_i32(c, ~15), "");
  return ll_add(c, unit, LLVMBuildAnd(c->b, half, ll_i32(c, 7), ""));
}

static ll_v thread_offset(ll_ctx *c, const ll_shared *s, const ll_v *at) {
  int last = s->buf->rank - 2;
  ll_v row = ll_i32(c, 0);
  for (int d = 0; d < last; d++)
    row = ll_add(c, ll_mul(c, row, ll_i32(c, s->buf->dims[d + 1])), at[d]);
  ll_v col = column_bytes(c, s, at[last]);
  if (!s->width)
    return ll_add(c, ll_mul(c, row, ll_i32(c, s->pitch)), col);
  ll_v offset = ll_mul(c, row, ll_i32(c, s->width));
  if (s->row_bytes <= s->width)
    return ll_add(c, offset, col);
  ll_v panel = LLVMBuildUDiv(c->b, col, ll_i32(c, s->width), "");
  offset = ll_add(c, offset, ll_mul(c, panel, ll_i32(c, s->rows * s->width)));
  return ll_add(c, offset, LLVMBuildAnd(c->b, col, ll_i32(c, s->width - 1), ""));
}

ll_shared ll_shared_open(ll_ctx *c, const ir_layout *layout, const ty_type *buf, const ll_v *at,
                         int64_t col_bits, bool in_entry) {
  ll_shared s = {
      .layout = layout, .buf = buf, .col_bits = col_bits, .in_entry = in_entry, .rows = 1};
  for (int d = 1; d + 1 < buf->rank; d++)
    s.rows *= buf->dims[d];
  s.row_bytes = ir_shared_column(layout, buf->dtype, buf->dims[buf->rank - 1]);
  s.width = layout->swizzle_bytes;
  s.pitch = s.row_bytes + layout->pad_bytes;
  LLVMBasicBlockRef back = in_entry ? ll_enter_entry(c) : NULL;
  s.plain = thread_offset(c, &s, at);
  s.swizzled = s.width ? swizzle(c, s.width, s.plain) : s.plain;
  if (in_entry)
    ll_leave_entry(c, back);
  return s;
}

// The thread's swizzled offset once `rest` bytes are added before the XOR, or `bits` are XORed
// after it; remembered, since a tile has few different ones.
static ll_v variant(ll_ctx *c, ll_shared *s, int64_t rest, int64_t bits) {
  if (!rest && !bits)
    return s->swizzled;
  for (uint32_t i = 0; i < s->variants.len; i++)
    if (s->variants.data[i].rest == rest && s->variants.data[i].bits == bits)
      return s->variants.data[i].value;
  LLVMBasicBlockRef back = s->in_entry ? ll_enter_entry(c) : NULL;
  ll_v value = rest ? swizzle(c, s->width, ll_add(c, s->plain, ll_i32(c, rest)))
                    : LLVMBuildXor(c->b, s->swizzled, ll_i32(c, bits), "");
  if (s->in_entry)
    ll_leave_entry(c, back);
  tl_push(c->arena, &s->variants, ((ll_variant){rest, bits, value}));
  return value;
}

ll_v ll_shared_at(ll_ctx *c, ll_shared *s, ll_v stage, const int64_t *fixed) {
  int last = s->buf->rank - 2;
  int64_t row = 0, col = ir_shared_column(s->layout, s->buf->dtype, fixed[last]);
  for (int d = 0; d < last; d++)
    row = row * s->buf->dims[d + 1] + fixed[d];
  if (!s->width) {
    ll_v thread = ll_offset(c, stage, s->plain);
    return ll_offset(c, thread, ll_i32(c, row * s->pitch + col));
  }
  int64_t within = col % s->width, rest = row % 8 * s->width;
  int64_t apart = (row - row % 8) * s->width, panels = col / s->width * s->rows * s->width;
  if (s->rows % 8 == 0)
    apart += panels;
  else
    rest += panels;
  bool disjoint = within == 0 || (s->col_bits >= 0 && (s->col_bits & within) == 0);
  TL_ASSERT(disjoint || s->row_bytes <= s->width,
            "shared address: columns of thread and register overlap across panels");
  ll_v thread = rest || !disjoint ? variant(c, s, rest + within, 0) : variant(c, s, 0, within);
  return ll_offset(c, ll_offset(c, stage, thread), ll_i32(c, apart));
}
