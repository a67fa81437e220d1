// Layouts: construction, interning, element addresses, text. The forms are drawn in ir/layout.h.
#include "ir/layout.h"
#include "ir/scratch.h"
#include "lang/base/str.h"
#include <ctype.h>
#include <stdlib.h>

// --- identity ----------------------------------------------------------------------------------

static bool same_vectors(const int32_t (*a)[TY_MAX_RANK], const int32_t (*b)[TY_MAX_RANK],
                         int count, int rank) {
  for (int i = 0; i < count; i++)
    for (int d = 0; d < rank; d++)
      if (a[i][d] != b[i][d])
        return false;
  return true;
}

bool ir_layout_equal(const ir_layout *a, const ir_layout *b) {
  if (a == b)
    return true;
  if (a->kind != b->kind || a->rank != b->rank)
    return false;
  if (a->kind == IR_LAYOUT_SHARED)
    return a->swizzle_bytes == b->swizzle_bytes && a->pad_bytes == b->pad_bytes &&
           a->spread == b->spread;
  if (a->nreg_bits != b->nreg_bits || a->nwarp_bits != b->nwarp_bits || a->nreps != b->nreps)
    return false;
  for (int i = 0; i < a->nreps; i++)
    if (a->rep[i].count != b->rep[i].count || a->rep[i].dim != b->rep[i].dim ||
        a->rep[i].stride != b->rep[i].stride)
      return false;
  return same_vectors(a->reg, b->reg, a->nreg_bits, a->rank) &&
         same_vectors(a->lane, b->lane, IR_LANE_BITS, a->rank) &&
         same_vectors(a->warp, b->warp, a->nwarp_bits, a->rank);
}

const ir_layout *ir_layout_intern(ir_func *func, const ir_layout *layout) {
  for (uint32_t i = 0; i < func->layouts.len; i++)
    if (ir_layout_equal(func->layouts.data[i], layout))
      return func->layouts.data[i];
  ir_layout *kept = TL_NEW(func->module->arena, ir_layout);
  *kept = *layout;
  kept->number = (int)func->layouts.len;
  tl_push(func->module->arena, &func->layouts, (const ir_layout *)kept);
  return kept;
}

// --- distributed -------------------------------------------------------------------------------

int ir_layout_regs(const ir_layout *layout) {
  int regs = 1 << layout->nreg_bits;
  for (int i = 0; i < layout->nreps; i++)
    regs *= layout->rep[i].count;
  return regs;
}

static void add_bits(const int32_t (*basis)[TY_MAX_RANK], int nbits, int index, int rank,
                     int64_t *coords) {
  for (int bit = 0; bit < nbits; bit++)
    if (index >> bit & 1)
      for (int d = 0; d < rank; d++)
        coords[d] += basis[bit][d];
}

void ir_layout_coords(const ir_layout *layout, int reg, int lane, int warp, int64_t *out_coords) {
  for (int d = 0; d < layout->rank; d++)
    out_coords[d] = 0;
  add_bits(layout->reg, layout->nreg_bits, reg, layout->rank, out_coords);
  add_bits(layout->lane, IR_LANE_BITS, lane, layout->rank, out_coords);
  add_bits(layout->warp, layout->nwarp_bits, warp, layout->rank, out_coords);
  int outer = reg >> layout->nreg_bits;
  for (int i = 0; i < layout->nreps; i++) {
    out_coords[layout->rep[i].dim] +=
        (int64_t)(outer % layout->rep[i].count) * layout->rep[i].stride;
    outer /= layout->rep[i].count;
  }
}

static bool is_zero(const int32_t *vector, int rank) {
  for (int d = 0; d < rank; d++)
    if (vector[d])
      return false;
  return true;
}

bool ir_layout_replicated(const ir_layout *layout) {
  for (int i = 0; i < IR_LANE_BITS; i++)
    if (is_zero(layout->lane[i], layout->rank))
      return true;
  for (int i = 0; i < layout->nwarp_bits; i++)
    if (is_zero(layout->warp[i], layout->rank))
      return true;
  return false;
}

bool ir_layout_warp_copies(const ir_layout *layout, int warps) {
  for (int i = 0; 1 << i < warps; i++)
    if (i >= layout->nwarp_bits || is_zero(layout->warp[i], layout->rank))
      return true;
  return false;
}

bool ir_layout_covers(const ir_layout *layout, const ty_type *tile, int warps) {
  int64_t elems = ty_elems(tile), seen_count = 0;
  bool *seen = calloc((size_t)elems, 1);
  bool inside = seen && layout->rank == tile->rank;
  int regs = ir_layout_regs(layout);
  for (int warp = 0; warp < warps && inside; warp++)
    for (int lane = 0; lane < 32 && inside; lane++)
      for (int reg = 0; reg < regs && inside; reg++) {
        int64_t coords[TY_MAX_RANK], linear = 0;
        ir_layout_coords(layout, reg, lane, warp, coords);
        for (int d = 0; d < tile->rank; d++) {
          inside = inside && coords[d] < tile->dims[d];
          linear = linear * tile->dims[d] + coords[d];
        }
        if (inside && !seen[linear])
          seen[linear] = true, seen_count++;
      }
  free(seen);
  return inside && seen_count == elems;
}

static int log2_of(int64_t value) {
  int bits = 0;
  while ((int64_t)1 << (bits + 1) <= value)
    bits++;
  return bits;
}

static void add_rep(ir_layout *layout, int64_t count, int dim, int64_t stride) {
  if (count == 1)
    return;
  TL_ASSERT(layout->nreps < IR_MAX_REPS, "layout with more than %d repetitions", IR_MAX_REPS);
  layout->rep[layout->nreps++] = (ir_rep){(int32_t)count, dim, (int32_t)stride};
}

// Gives up to `nbits` basis vectors to the dims, last dim first, as far as the rest is even; the
// other vectors stay zero (copies).
static void spread_bits(int32_t (*basis)[TY_MAX_RANK], int nbits, int rank, int64_t *rest,
                        int64_t *stride) {
  int bit = 0;
  for (int d = rank - 1; d >= 0; d--)
    while (bit < nbits && rest[d] % 2 == 0) {
      basis[bit++][d] = (int32_t)stride[d];
      stride[d] *= 2;
      rest[d] /= 2;
    }
}

ir_layout ir_layout_blocked(const ty_type *tile, int warps, int vec) {
  ir_layout layout = {.kind = IR_LAYOUT_DIST, .rank = tile->rank};
  int64_t rest[TY_MAX_RANK], stride[TY_MAX_RANK];
  for (int d = 0; d < tile->rank; d++)
    rest[d] = tile->dims[d], stride[d] = 1;
  int last = tile->rank - 1;
  // A long vector is worth less than a busy thread.
  int64_t per_thread = ty_elems(tile) / (32 * warps);
  while (vec > 1 && vec > per_thread)
    vec /= 2;
  if (tl_dtype_bits(tile->dtype) == 4 && vec < 2)
    vec = 2; // a byte is never shared between threads
  while (layout.nreg_bits < IR_MAX_REG_BITS && 2 << layout.nreg_bits <= vec &&
         rest[last] % 2 == 0) {
    layout.reg[layout.nreg_bits++][last] = (int32_t)stride[last];
    stride[last] *= 2;
    rest[last] /= 2;
  }
  spread_bits(layout.lane, IR_LANE_BITS, tile->rank, rest, stride);
  layout.nwarp_bits = log2_of(warps);
  spread_bits(layout.warp, layout.nwarp_bits, tile->rank, rest, stride);
  for (int d = last; d >= 0; d--)
    add_rep(&layout, rest[d], d, stride[d]);
  return layout;
}

ir_layout ir_layout_along(const ty_type *tile, int axis, int warps) {
  enum { RUN = 16 };
  ty_type turned = *tile; // the axis last
  int64_t order[TY_MAX_RANK];
  int last = tile->rank - 1;
  for (int d = 0; d < tile->rank; d++)
    order[d] = d < axis ? d : d == axis ? last : d - 1;
  for (int d = 0; d < tile->rank; d++)
    turned.dims[order[d]] = tile->dims[d];
  ir_layout layout = ir_layout_blocked(&turned, warps, RUN);
  return ir_layout_permute(&layout, order);
}

ir_layout ir_layout_chunk_rows(int64_t rows, int64_t per_row, int warps) {
  ir_layout layout = {.kind = IR_LAYOUT_DIST, .rank = 1, .nwarp_bits = log2_of(warps)};
  int64_t step = 1; // rows between threads that differ in one bit
  for (int bit = log2_of(per_row); bit < IR_LANE_BITS + layout.nwarp_bits; bit++, step *= 2) {
    int32_t *vector = bit < IR_LANE_BITS ? layout.lane[bit] : layout.warp[bit - IR_LANE_BITS];
    vector[0] = step < rows ? (int32_t)step : 0;
  }
  add_rep(&layout, rows > step ? rows / step : 1, 0, step);
  return layout;
}

// Warp bits: those of M lowest, then those of N; a dim that is absent from the operand gets copies.
static void mma_warps(ir_layout *layout, int warps_m, int step_m, int dim_m, int warps_n,
                      int step_n, int dim_n) {
  for (int bit = 0; 1 << bit < warps_m; bit++, layout->nwarp_bits++)
    if (dim_m >= 0)
      layout->warp[layout->nwarp_bits][dim_m] = step_m << bit;
  for (int bit = 0; 1 << bit < warps_n; bit++, layout->nwarp_bits++)
    if (dim_n >= 0)
      layout->warp[layout->nwarp_bits][dim_n] = step_n << bit;
}

ir_layout ir_layout_mma_acc(const ty_type *tile, int warps_m, int warps_n) {
  // register 2h+j: row g + 8h, col 2q + j  (lane = 4g + q)
  ir_layout layout = {.kind = IR_LAYOUT_DIST,
                      .rank = 2,
                      .nreg_bits = 2,
                      .reg = {{0, 1}, {8, 0}},
                      .lane = {{0, 2}, {0, 4}, {1, 0}, {2, 0}, {4, 0}}};
  mma_warps(&layout, warps_m, 16, 0, warps_n, 8, 1);
  add_rep(&layout, tile->dims[1] / (8 * warps_n), 1, 8 * warps_n);
  add_rep(&layout, tile->dims[0] / (16 * warps_m), 0, 16 * warps_m);
  return layout;
}

ir_layout ir_layout_mma_a(const ty_type *tile, int bits, int warps_m, int warps_n) {
  // register r, element e: row g + 8 (r & 1), k = E q + e + 4E (r >> 1), E = 32 / bits
  int per_reg = 32 / bits;
  ir_layout layout = {.kind = IR_LAYOUT_DIST, .rank = 2};
  for (int e = 1; e < per_reg; e *= 2)
    layout.reg[layout.nreg_bits++][1] = e;
  layout.reg[layout.nreg_bits++][0] = 8;
  layout.reg[layout.nreg_bits++][1] = 4 * per_reg;
  layout.lane[0][1] = per_reg, layout.lane[1][1] = 2 * per_reg;
  layout.lane[2][0] = 1, layout.lane[3][0] = 2, layout.lane[4][0] = 4;
  mma_warps(&layout, warps_m, 16, 0, warps_n, 8, -1);
  add_rep(&layout, tile->dims[1] / (8 * per_reg), 1, 8 * per_reg);
  add_rep(&layout, tile->dims[0] / (16 * warps_m), 0, 16 * warps_m);
  return layout;
}

ir_layout ir_layout_mma_b(const ty_type *tile, int bits, int warps_m, int warps_n) {
  // register r, element e: k = E q + e + 4E r, n = g
  int per_reg = 32 / bits;
  ir_layout layout = {.kind = IR_LAYOUT_DIST, .rank = 2};
  for (int e = 1; e < per_reg; e *= 2)
    layout.reg[layout.nreg_bits++][0] = e;
  layout.reg[layout.nreg_bits++][0] = 4 * per_reg;
  layout.lane[0][0] = per_reg, layout.lane[1][0] = 2 * per_reg;
  layout.lane[2][1] = 1, layout.lane[3][1] = 2, layout.lane[4][1] = 4;
  mma_warps(&layout, warps_m, 16, -1, warps_n, 8, 1);
  add_rep(&layout, tile->dims[0] / (8 * per_reg), 0, 8 * per_reg);
  add_rep(&layout, tile->dims[1] / (8 * warps_n), 1, 8 * warps_n);
  return layout;
}

// Scales [side] or, with the blocks of K in dim `k`, of rank 2.
static ir_layout scale_layout(const ty_type *scales, int per_word, int k) {
  ir_layout layout = {.kind = IR_LAYOUT_DIST, .rank = scales->rank};
  for (int e = 1; scales->rank == 2 && e < per_word; e *= 2)
    layout.reg[layout.nreg_bits++][k] = e;
  return layout;
}

static void add_blocks(ir_layout *layout, const ty_type *scales, int per_word, int k) {
  if (scales->rank == 2)
    add_rep(layout, scales->dims[k] / per_word, k, per_word);
}

ir_layout ir_layout_mma_scale_a(const ty_type *scales, int per_word, int warps_m, int warps_n) {
  ir_layout layout = scale_layout(scales, per_word, 1);
  layout.lane[0][0] = 8;
  layout.lane[2][0] = 1, layout.lane[3][0] = 2, layout.lane[4][0] = 4;
  mma_warps(&layout, warps_m, 16, 0, warps_n, 8, -1);
  add_rep(&layout, scales->dims[0] / (16 * warps_m), 0, 16 * warps_m);
  add_blocks(&layout, scales, per_word, 1);
  return layout;
}

ir_layout ir_layout_mma_scale_b(const ty_type *scales, int per_word, int warps_m, int warps_n) {
  int side = scales->rank - 1;
  ir_layout layout = scale_layout(scales, per_word, 0);
  layout.lane[2][side] = 1, layout.lane[3][side] = 2, layout.lane[4][side] = 4;
  mma_warps(&layout, warps_m, 16, -1, warps_n, 8, side);
  add_rep(&layout, scales->dims[side] / (8 * warps_n), side, 8 * warps_n);
  add_blocks(&layout, scales, per_word, 0);
  return layout;
}

static bool widen_vectors(int32_t (*basis)[TY_MAX_RANK], int count, int last, int ratio) {
  for (int i = 0; i < count; i++) {
    if (basis[i][last] % ratio)
      return false;
    basis[i][last] /= ratio;
  }
  return true;
}

bool ir_layout_widen(const ir_layout *layout, int ratio, ir_layout *out) {
  int last = layout->rank - 1, bits = log2_of(ratio);
  for (int i = 0; i < bits; i++)
    for (int d = 0; d < layout->rank; d++)
      if (i >= layout->nreg_bits || layout->reg[i][d] != (d == last ? 1 << i : 0))
        return false;
  *out = *layout;
  out->nreg_bits -= bits;
  memset(out->reg, 0, sizeof out->reg);
  memcpy(out->reg, layout->reg + bits, sizeof layout->reg[0] * (size_t)out->nreg_bits);
  for (int i = 0; i < out->nreps; i++) {
    if (out->rep[i].dim != last)
      continue;
    if (out->rep[i].stride % ratio)
      return false;
    out->rep[i].stride /= ratio;
  }
  return widen_vectors(out->reg, out->nreg_bits, last, ratio) &&
         widen_vectors(out->lane, IR_LANE_BITS, last, ratio) &&
         widen_vectors(out->warp, out->nwarp_bits, last, ratio);
}

static void move_dim(const int32_t (*from)[TY_MAX_RANK], int32_t (*to)[TY_MAX_RANK], int count,
                     int rank, const int *source_of) {
  for (int i = 0; i < count; i++)
    for (int d = 0; d < rank; d++)
      to[i][d] = source_of[d] < 0 ? 0 : from[i][source_of[d]];
}

// Rebuilds a layout whose dim d was dim source_of[d] (-1: new, of extent 1); contributions to dims
// that no longer exist disappear, which leaves copies.
static ir_layout remap_dims(const ir_layout *layout, int rank, const int *source_of) {
  ir_layout out = {.kind = IR_LAYOUT_DIST,
                   .rank = rank,
                   .nreg_bits = layout->nreg_bits,
                   .nwarp_bits = layout->nwarp_bits};
  move_dim(layout->reg, out.reg, layout->nreg_bits, rank, source_of);
  move_dim(layout->lane, out.lane, IR_LANE_BITS, rank, source_of);
  move_dim(layout->warp, out.warp, layout->nwarp_bits, rank, source_of);
  for (int i = 0; i < layout->nreps; i++)
    for (int d = 0; d < rank; d++)
      if (source_of[d] == layout->rep[i].dim)
        out.rep[out.nreps++] = (ir_rep){layout->rep[i].count, d, layout->rep[i].stride};
  return out;
}

// Registers that became copies of one another are one register.
static void drop_zero_regs(ir_layout *layout) {
  int kept = 0;
  for (int i = 0; i < layout->nreg_bits; i++) {
    if (is_zero(layout->reg[i], layout->rank))
      continue;
    memcpy(layout->reg[kept++], layout->reg[i], sizeof layout->reg[0]);
  }
  for (int i = kept; i < layout->nreg_bits; i++)
    memset(layout->reg[i], 0, sizeof layout->reg[0]);
  layout->nreg_bits = kept;
}

ir_layout ir_layout_permute(const ir_layout *layout, const int64_t *order) {
  int source_of[TY_MAX_RANK];
  for (int d = 0; d < layout->rank; d++)
    source_of[d] = (int)order[d];
  return remap_dims(layout, layout->rank, source_of);
}

ir_layout ir_layout_drop_dim(const ir_layout *layout, int axis) {
  int source_of[TY_MAX_RANK];
  for (int d = 0; d + 1 < layout->rank; d++)
    source_of[d] = d < axis ? d : d + 1;
  ir_layout out = remap_dims(layout, layout->rank - 1, source_of);
  drop_zero_regs(&out);
  return out;
}

ir_layout ir_layout_add_dim(const ir_layout *layout, int axis) {
  int source_of[TY_MAX_RANK];
  for (int d = 0; d <= layout->rank; d++)
    source_of[d] = d < axis ? d : d == axis ? -1 : d - 1;
  return remap_dims(layout, layout->rank + 1, source_of);
}

ir_layout ir_layout_collapse_dim(const ir_layout *layout, int axis) {
  int source_of[TY_MAX_RANK];
  for (int d = 0; d < layout->rank; d++)
    source_of[d] = d == axis ? -1 : d;
  ir_layout out = remap_dims(layout, layout->rank, source_of);
  drop_zero_regs(&out);
  return out;
}

// --- shared ------------------------------------------------------------------------------------

ir_layout ir_layout_shared(const ty_type *tile, int swizzle_bytes, int pad_bytes) {
  return (ir_layout){.kind = IR_LAYOUT_SHARED,
                     .rank = tile->rank,
                     .swizzle_bytes = swizzle_bytes,
                     .pad_bytes = pad_bytes};
}

int64_t ir_shared_column(const ir_layout *layout, tl_dtype dtype, int64_t elems) {
  if (layout->spread)
    return elems / 16 * 16 + elems % 16 / 2;
  return elems * tl_dtype_bits(dtype) / 8;
}

// Rows and bytes per row of one stage; dims[0] of a buffer is the stage.
static void shared_rows(const ir_layout *layout, const ty_type *buf, int64_t *out_rows,
                        int64_t *out_row_bytes) {
  int64_t rows = 1;
  for (int d = 1; d + 1 < buf->rank; d++)
    rows *= buf->dims[d];
  *out_rows = rows;
  *out_row_bytes = ir_shared_column(layout, buf->dtype, buf->dims[buf->rank - 1]);
}

int64_t ir_shared_bytes(const ir_layout *layout, const ty_type *buf) {
  int64_t rows, row_bytes;
  shared_rows(layout, buf, &rows, &row_bytes);
  return rows * (row_bytes + (layout->swizzle_bytes ? 0 : layout->pad_bytes));
}

int64_t ir_shared_offset(const ir_layout *layout, const ty_type *buf, const int64_t *coords) {
  int64_t rows, row_bytes, row = 0;
  shared_rows(layout, buf, &rows, &row_bytes);
  int last = buf->rank - 2; // index of the last tile coordinate
  for (int d = 0; d < last; d++)
    row = row * buf->dims[d + 1] + coords[d];
  int64_t col_bytes = ir_shared_column(layout, buf->dtype, coords[last]);
  int64_t width = layout->swizzle_bytes;
  if (!width)
    return row * (row_bytes + layout->pad_bytes) + col_bytes;
  int64_t off = col_bytes / width * rows * width + row * width + col_bytes % width;
  // XOR the 16-byte chunk with the bits above the 128-byte line: 3, 2 or 1 of them.
  return off ^ ((off >> 7 & (width / 16 - 1)) << 4);
}

int64_t ir_stage_bytes(const ir_layout *layout, const ty_type *buf) {
  int64_t unit = layout->swizzle_bytes ? 1024 : 128; // what a swizzle repeats after; what TMA wants
  return (ir_shared_bytes(layout, buf) + unit - 1) / unit * unit;
}

// --- text --------------------------------------------------------------------------------------

static void print_vectors(const char *name, const int32_t (*basis)[TY_MAX_RANK], int count,
                          int rank, tl_buf *out) {
  tl_buf_printf(out, " %s[", name);
  for (int i = 0; i < count; i++) {
    tl_buf_puts(out, i ? ",(" : "(");
    for (int d = 0; d < rank; d++)
      tl_buf_printf(out, d ? ",%d" : "%d", basis[i][d]);
    tl_buf_putc(out, ')');
  }
  tl_buf_putc(out, ']');
}

void ir_layout_print(const ir_layout *layout, tl_buf *out) {
  if (layout->kind == IR_LAYOUT_SHARED) {
    tl_buf_printf(out, "shared %d swizzle %d pad %d%s", layout->rank, layout->swizzle_bytes,
                  layout->pad_bytes, layout->spread ? " spread" : "");
    return;
  }
  tl_buf_printf(out, "dist %d", layout->rank);
  print_vectors("reg", layout->reg, layout->nreg_bits, layout->rank, out);
  print_vectors("lane", layout->lane, IR_LANE_BITS, layout->rank, out);
  print_vectors("warp", layout->warp, layout->nwarp_bits, layout->rank, out);
  tl_buf_puts(out, " rep[");
  for (int i = 0; i < layout->nreps; i++) // count x stride : dim
    tl_buf_printf(out, "%s%dx%d:%d", i ? "," : "", layout->rep[i].count, layout->rep[i].stride,
                  layout->rep[i].dim);
  tl_buf_putc(out, ']');
}

static bool eat(const char **text, const char *word) {
  while (**text == ' ')
    ++*text;
  size_t len = strlen(word);
  if (strncmp(*text, word, len) != 0)
    return false;
  *text += len;
  return true;
}

static bool eat_int(const char **text, int *out) {
  while (**text == ' ')
    ++*text;
  if (!isdigit((unsigned char)**text) && **text != '-')
    return false;
  char *end;
  *out = (int)strtol(*text, &end, 10);
  *text = end;
  return true;
}

static bool read_vectors(const char **text, const char *name, int32_t (*basis)[TY_MAX_RANK],
                         int cap, int rank, int *out_count) {
  *out_count = 0;
  if (!eat(text, name) || !eat(text, "["))
    return false;
  while (!eat(text, "]")) {
    if (*out_count == cap || (*out_count && !eat(text, ",")) || !eat(text, "("))
      return false;
    for (int d = 0; d < rank; d++)
      if ((d && !eat(text, ",")) || !eat_int(text, &basis[*out_count][d]))
        return false;
    if (!eat(text, ")"))
      return false;
    ++*out_count;
  }
  return true;
}

static bool read_reps(const char **text, ir_layout *out) {
  if (!eat(text, "rep") || !eat(text, "["))
    return false;
  while (!eat(text, "]")) {
    if (out->nreps == IR_MAX_REPS || (out->nreps && !eat(text, ",")))
      return false;
    ir_rep *rep = &out->rep[out->nreps++];
    if (!eat_int(text, &rep->count) || !eat(text, "x") || !eat_int(text, &rep->stride) ||
        !eat(text, ":") || !eat_int(text, &rep->dim))
      return false;
    if (rep->count < 1 || rep->dim < 0 || rep->dim >= out->rank)
      return false;
  }
  return true;
}

// "L3 = dist 2 reg[...] ..." : the form ir_print writes behind "layout ".
bool ir_layout_read(const char **text, int *out_number, ir_layout *out) {
  memset(out, 0, sizeof *out);
  int lanes = 0;
  if (!eat(text, "L") || !eat_int(text, out_number) || !eat(text, "="))
    return false;
  if (eat(text, "shared")) {
    out->kind = IR_LAYOUT_SHARED;
    bool plain = eat_int(text, &out->rank) && eat(text, "swizzle") &&
                 eat_int(text, &out->swizzle_bytes) && eat(text, "pad") &&
                 eat_int(text, &out->pad_bytes) && out->rank >= 0 && out->rank <= TY_MAX_RANK;
    out->spread = plain && eat(text, "spread");
    return plain;
  }
  if (!eat(text, "dist") || !eat_int(text, &out->rank))
    return false;
  if (out->rank < 0 || out->rank > TY_MAX_RANK)
    return false;
  return read_vectors(text, "reg", out->reg, IR_MAX_REG_BITS, out->rank, &out->nreg_bits) &&
         read_vectors(text, "lane", out->lane, IR_LANE_BITS, out->rank, &lanes) &&
         lanes == IR_LANE_BITS &&
         read_vectors(text, "warp", out->warp, IR_MAX_WARP_BITS, out->rank, &out->nwarp_bits) &&
         read_reps(text, out);
}

// --- renaming ----------------------------------------------------------------------------------

static bool same_coords(const int64_t *a, const int64_t *b, int rank) {
  for (int d = 0; d < rank; d++)
    if (a[d] != b[d])
      return false;
  return true;
}

// Does register `from` of src hold what register `to` of dst needs, in every thread? Coordinates
// and projection are sums of one contribution per lane and warp bit, so single bits decide for all.
static bool holds_everywhere(const ir_layout *dst, int to, const ir_layout *src, int from,
                             int warps, ir_project project, void *user) {
  int warp_bits = log2_of(warps);
  for (int bit = 0; bit < IR_LANE_BITS + warp_bits; bit++) {
    int lane = bit < IR_LANE_BITS ? 1 << bit : 0;
    int warp = bit < IR_LANE_BITS ? 0 : 1 << (bit - IR_LANE_BITS);
    int64_t wanted[TY_MAX_RANK], projected[TY_MAX_RANK], held[TY_MAX_RANK];
    ir_layout_coords(dst, to, lane, warp, wanted);
    project(wanted, projected, user);
    ir_layout_coords(src, from, lane, warp, held);
    if (!same_coords(projected, held, src->rank))
      return false;
  }
  return true;
}

bool ir_layout_rename(const ir_layout *dst, const ir_layout *src, int warps, ir_project project,
                      void *user, int *out_map) {
  int dst_regs = ir_layout_regs(dst), src_regs = ir_layout_regs(src);
  for (int to = 0; to < dst_regs; to++) {
    int64_t wanted[TY_MAX_RANK], projected[TY_MAX_RANK], held[TY_MAX_RANK];
    ir_layout_coords(dst, to, 0, 0, wanted);
    project(wanted, projected, user);
    int found = -1;
    for (int from = 0; from < src_regs && found < 0; from++) {
      ir_layout_coords(src, from, 0, 0, held);
      if (same_coords(projected, held, src->rank) &&
          holds_everywhere(dst, to, src, from, warps, project, user))
        found = from;
    }
    if (found < 0)
      return false;
    out_map[to] = found;
  }
  return true;
}

// --- moves inside a warp ------------------------------------------------------------------------

static bool same_warps(const ir_layout *dst, const ir_layout *src, int warps) {
  int bits = log2_of(warps);
  for (int i = 0; i < bits; i++)
    if (!same_vectors(&dst->warp[i], &src->warp[i], 1, dst->rank))
      return false;
  return true;
}

static int64_t linear_index(const ty_type *tile, const int64_t *coords) {
  int64_t index = 0;
  for (int d = 0; d < tile->rank; d++)
    index = index * tile->dims[d] + coords[d];
  return index;
}

// Holder of each element within warp 0: register * 32 + lane, -1 where another warp holds it.
static int32_t *holders(const ir_layout *src, const ty_type *tile) {
  int64_t elems = ty_elems(tile);
  int32_t *of = malloc(sizeof *of * (size_t)elems);
  memset(of, 0xff, sizeof *of * (size_t)elems);
  for (int reg = ir_layout_regs(src) - 1; reg >= 0; reg--)
    for (int lane = 31; lane >= 0; lane--) {
      int64_t coords[TY_MAX_RANK];
      ir_layout_coords(src, reg, lane, 0, coords);
      of[linear_index(tile, coords)] = reg * 32 + lane;
    }
  return of;
}

// Lane to ask and source to take as XORs of one term per lane bit: what code can compute cheaply.
static int term_of(const ir_lane_map *map, int lane) {
  return map->ask[lane] | (int)(map->second >> lane & 1) << 5;
}

static bool is_linear(const ir_lane_map *map) {
  for (int lane = 0; lane < 32; lane++) {
    int expected = term_of(map, 0);
    for (int bit = 0; bit < IR_LANE_BITS; bit++)
      if (lane >> bit & 1)
        expected ^= term_of(map, 1 << bit) ^ term_of(map, 0);
    if (expected != term_of(map, lane))
      return false;
  }
  return true;
}

static bool map_register(const ir_layout *dst, int reg, const ty_type *tile, const int32_t *of,
                         ir_lane_map *map) {
  *map = (ir_lane_map){0};
  for (int lane = 0; lane < 32; lane++) {
    int64_t coords[TY_MAX_RANK];
    ir_layout_coords(dst, reg, lane, 0, coords);
    int32_t holder = of[linear_index(tile, coords)];
    if (holder < 0)
      return false;
    int which = 0;
    while (which < map->nsources && map->source[which] != holder / 32)
      which++;
    if (which == 2)
      return false;
    if (which == map->nsources)
      map->source[map->nsources++] = holder / 32;
    map->ask[lane] = (uint8_t)(holder % 32);
    if (which)
      map->second |= (uint32_t)1 << lane;
  }
  return is_linear(map);
}

int ir_layout_shuffle(const ir_layout *dst, const ir_layout *src, const ty_type *tile, int warps,
                      ir_lane_map *out_maps) {
  if (!same_warps(dst, src, warps))
    return -1;
  int32_t *of = holders(src, tile);
  int total = 0, regs = ir_layout_regs(dst);
  for (int reg = 0; reg < regs && total >= 0; reg++)
    total = map_register(dst, reg, tile, of, &out_maps[reg]) ? total + out_maps[reg].nsources : -1;
  free(of);
  return total;
}
