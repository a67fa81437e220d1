// Layouts of tiles whose dims or element widths change while every element stays in its thread.
//
// A layout is a sum of contributions, so a reshape carries it over when each contribution becomes
// one along a single dim and their largest sum still fits every dim: then no sum ever carries from
// one dim into the next. Registers keep their numbers, except where a wider or narrower element
// swallows or adds the lowest register bits.
#include "ir/layout.h"

typedef struct carry {
  const ty_type *from, *to;
  ir_layout *out;
} carry;

static int64_t row_major(const ty_type *tile, int dim) { // elements per step along `dim`
  int64_t step = 1;
  for (int d = dim + 1; d < tile->rank; d++)
    step *= tile->dims[d];
  return step;
}

// The only dim of `to` that `distance` elements move along, and how far; -1: several.
static int single_dim(const ty_type *to, int64_t distance, int64_t *out_step) {
  int found = -1;
  for (int d = to->rank - 1; d >= 0; d--) {
    int64_t step = distance % to->dims[d];
    distance /= to->dims[d];
    if (!step)
      continue;
    if (found >= 0)
      return -1;
    found = d;
    *out_step = step;
  }
  return distance ? -1 : found;
}

static bool carry_vectors(const carry *c, const int32_t (*in)[TY_MAX_RANK],
                          int32_t (*out)[TY_MAX_RANK], int count) {
  for (int i = 0; i < count; i++) {
    int64_t distance = 0, step = 0;
    for (int d = 0; d < c->from->rank; d++)
      distance += in[i][d] * row_major(c->from, d);
    if (!distance)
      continue;
    int dim = single_dim(c->to, distance, &step);
    if (dim < 0)
      return false;
    out[i][dim] = (int32_t)step;
  }
  return true;
}

static bool add_rep(ir_layout *layout, int64_t count, int dim, int64_t stride) {
  if (layout->nreps == IR_MAX_REPS)
    return false;
  layout->rep[layout->nreps++] = (ir_rep){(int32_t)count, dim, (int32_t)stride};
  return true;
}

// A repetition may cross into outer dims, where it goes on as another one.
static bool carry_rep(const carry *c, const ir_rep *rep) {
  int64_t count = rep->count, distance = rep->stride * row_major(c->from, rep->dim);
  while (count > 1) {
    int64_t step = 0;
    int dim = single_dim(c->to, distance, &step);
    if (dim < 0)
      return false;
    int64_t here = c->to->dims[dim] / step;
    if (step * count <= c->to->dims[dim])
      return add_rep(c->out, count, dim, step);
    if (c->to->dims[dim] % step || count % here)
      return false;
    if (here > 1 && !add_rep(c->out, here, dim, step))
      return false;
    count /= here;
    distance *= here;
  }
  return true;
}

static bool fits(const ir_layout *layout, const ty_type *tile) {
  for (int d = 0; d < tile->rank; d++) {
    int64_t most = 0;
    for (int i = 0; i < layout->nreg_bits; i++)
      most += layout->reg[i][d];
    for (int i = 0; i < IR_LANE_BITS; i++)
      most += layout->lane[i][d];
    for (int i = 0; i < layout->nwarp_bits; i++)
      most += layout->warp[i][d];
    for (int i = 0; i < layout->nreps; i++)
      if (layout->rep[i].dim == d)
        most += (int64_t)(layout->rep[i].count - 1) * layout->rep[i].stride;
    if (most >= tile->dims[d])
      return false;
  }
  return true;
}

bool ir_layout_reshape(const ir_layout *layout, const ty_type *from, const ty_type *to,
                       ir_layout *out) {
  *out = (ir_layout){.kind = IR_LAYOUT_DIST,
                     .rank = to->rank,
                     .nreg_bits = layout->nreg_bits,
                     .nwarp_bits = layout->nwarp_bits};
  carry c = {from, to, out};
  if (!carry_vectors(&c, layout->reg, out->reg, layout->nreg_bits) ||
      !carry_vectors(&c, layout->lane, out->lane, IR_LANE_BITS) ||
      !carry_vectors(&c, layout->warp, out->warp, layout->nwarp_bits))
    return false;
  for (int i = 0; i < layout->nreps; i++)
    if (!carry_rep(&c, &layout->rep[i]))
      return false;
  return fits(out, to);
}

// --- parts --------------------------------------------------------------------------------------

static bool cut_vectors(int32_t (*basis)[TY_MAX_RANK], int count, int dim, int64_t length,
                        bool registers) {
  for (int i = 0; i < count; i++) {
    if (basis[i][dim] < length)
      continue;
    if (!registers || basis[i][dim] % length)
      return false;
    memset(basis[i], 0, sizeof basis[i]);
  }
  return true;
}

static bool cut_dim(ir_layout *layout, const ty_type *to, int dim) {
  int64_t length = to->dims[dim];
  if (!cut_vectors(layout->reg, layout->nreg_bits, dim, length, true) ||
      !cut_vectors(layout->lane, IR_LANE_BITS, dim, length, false) ||
      !cut_vectors(layout->warp, layout->nwarp_bits, dim, length, false))
    return false;
  for (int i = 0; i < layout->nreps; i++) {
    ir_rep *rep = &layout->rep[i];
    if (rep->dim != dim || (int64_t)rep->stride * rep->count <= length)
      continue;
    if (rep->stride < length ? length % rep->stride : rep->stride % length)
      return false;
    rep->count = rep->stride < length ? (int32_t)(length / rep->stride) : 1;
  }
  return true;
}

static void drop_empty(ir_layout *layout) {
  int kept = 0;
  for (int i = 0; i < layout->nreg_bits; i++) {
    bool zero = true;
    for (int d = 0; d < layout->rank; d++)
      zero = zero && !layout->reg[i][d];
    if (!zero)
      memmove(layout->reg[kept++], layout->reg[i], sizeof layout->reg[0]);
  }
  for (int i = kept; i < layout->nreg_bits; i++)
    memset(layout->reg[i], 0, sizeof layout->reg[0]);
  layout->nreg_bits = kept;
  kept = 0;
  for (int i = 0; i < layout->nreps; i++)
    if (layout->rep[i].count > 1)
      layout->rep[kept++] = layout->rep[i];
  layout->nreps = kept;
}

bool ir_layout_part(const ir_layout *layout, const ty_type *from, const ty_type *to,
                    const int64_t *offsets, ir_layout *out) {
  *out = *layout;
  for (int d = 0; d < to->rank; d++)
    if (to->dims[d] != from->dims[d] && (offsets[d] % to->dims[d] || !cut_dim(out, to, d)))
      return false;
  drop_empty(out);
  return fits(out, to);
}

// --- other widths -------------------------------------------------------------------------------

static bool divide_last(ir_layout *layout, int64_t by) {
  int last = layout->rank - 1;
  int32_t(*groups[])[TY_MAX_RANK] = {layout->reg, layout->lane, layout->warp};
  int counts[] = {layout->nreg_bits, IR_LANE_BITS, layout->nwarp_bits};
  for (int g = 0; g < 3; g++)
    for (int i = 0; i < counts[g]; i++) {
      if (groups[g][i][last] % by)
        return false;
      groups[g][i][last] /= (int32_t)by;
    }
  for (int i = 0; i < layout->nreps; i++)
    if (layout->rep[i].dim == last) {
      if (layout->rep[i].stride % by)
        return false;
      layout->rep[i].stride /= (int32_t)by;
    }
  return true;
}

// `scale` elements become one: they must be the lowest registers of one thread.
static bool widen(ir_layout *layout, int64_t scale) {
  int last = layout->rank - 1, bits = 0;
  for (; 1 << bits < scale; bits++)
    for (int d = 0; d < layout->rank; d++)
      if (bits >= layout->nreg_bits || layout->reg[bits][d] != (d == last ? 1 << bits : 0))
        return false;
  memmove(layout->reg, layout->reg + bits,
          sizeof layout->reg[0] * (size_t)(layout->nreg_bits - bits));
  memset(layout->reg + layout->nreg_bits - bits, 0, sizeof layout->reg[0] * (size_t)bits);
  layout->nreg_bits -= bits;
  return divide_last(layout, scale);
}

static bool narrow(ir_layout *layout, int64_t scale) {
  int last = layout->rank - 1, bits = 0;
  while (1 << bits < scale)
    bits++;
  if (layout->nreg_bits + bits > IR_MAX_REG_BITS)
    return false;
  for (int i = 0; i < layout->nreg_bits; i++)
    layout->reg[i][last] *= (int32_t)scale;
  for (int i = 0; i < IR_LANE_BITS; i++)
    layout->lane[i][last] *= (int32_t)scale;
  for (int i = 0; i < layout->nwarp_bits; i++)
    layout->warp[i][last] *= (int32_t)scale;
  for (int i = 0; i < layout->nreps; i++)
    if (layout->rep[i].dim == last)
      layout->rep[i].stride *= (int32_t)scale;
  memmove(layout->reg + bits, layout->reg, sizeof layout->reg[0] * (size_t)layout->nreg_bits);
  memset(layout->reg, 0, sizeof layout->reg[0] * (size_t)bits);
  for (int i = 0; i < bits; i++)
    layout->reg[i][last] = 1 << i;
  layout->nreg_bits += bits;
  return true;
}

bool ir_layout_rescale(const ir_layout *layout, const ty_type *from, const ty_type *to,
                       ir_layout *out) {
  int64_t have = from->dims[from->rank - 1], want = to->dims[to->rank - 1];
  *out = *layout;
  if (want > have)
    return want % have == 0 && narrow(out, want / have) && fits(out, to);
  return have % want == 0 && widen(out, have / want) && fits(out, to);
}
