// Sparse wgmma: of every four consecutive k of a row of A two are stored (tf32: of every two, one),
// and a register of metadata says which. PTX ISA, "Sparse wgmma"; the arithmetic of a product is
// that of the dense instruction with as many stored elements (recorded, see mma_params.def).
//
// Metadata of rows r and r + 8 of a warp's 16, quad lanes q = lane % 4 of lane / 4 = r:
//   16-bit types and tf32: lanes q = 2 sel + h hold stored elements of half h of k: the low half of
//   the register for row r, the upper one for row r + 8
//   8-bit types: lane q holds row r + 8 (q & 1), half q / 2 of k
// Each nibble is a chunk of k, two indices of two bits, the low one first.
#include "runtime/sim/wgmma.h"
#include "runtime/sim/mma_tile.h"

static int stored_bits(sim_mma_type type) {
  return type == SIM_MMA_TF32 ? 32 : type == SIM_MMA_F16 || type == SIM_MMA_BF16 ? 16 : 8;
}

// The logical k of stored element j of a row.
static int logical_k(const sim_wgmma_form *f, const uint32_t *meta, int row, int j) {
  bool bytes = stored_bits(f->a) == 8, one = f->a == SIM_MMA_TF32;
  int per_chunk = one ? 1 : 2, chunks = f->k / (one ? 2 : 4), chunk = j / per_chunk;
  int half = chunk / (chunks / 2), inside = chunk % (chunks / 2);
  int lane = 4 * (row & 7) + (bytes ? 2 * half + (row >> 3) : 2 * f->sparse_selector + half);
  uint32_t nibble = meta[lane] >> (4 * inside + (bytes ? 0 : 16 * (row >> 3))) & 15;
  if (one) // indices of halves: 01 00 is the first, 11 10 the second element
    return 2 * chunk + (nibble >> 1 & 1);
  return 4 * chunk + (int)(nibble >> (2 * (j & 1)) & 3);
}

static uint32_t element(sim_mma_type type, const uint32_t *words, int across, int at, int k) {
  int bits = stored_bits(type), per = 32 / bits;
  uint32_t word = words[k / per * across + at] >> (k % per * bits);
  return bits == 32 ? word : word & ((1u << bits) - 1);
}

static int64_t integer(sim_mma_type type, uint32_t bits) {
  return type == SIM_MMA_S8 ? (int8_t)bits : (int64_t)bits;
}

// An operand with every element decoded, [position][k].
typedef struct decoded {
  sim_num num[16][64];
  int64_t integer[16][64];
} decoded;

static void decode(const sim_wgmma_desc *desc, sim_mma_type type, const uint32_t *words, int across,
                   int depth, bool negate, decoded *out) {
  for (int at = 0; at < across; at++)
    for (int k = 0; k < depth; k++) {
      uint32_t bits = element(type, words, across, at, k);
      if (desc->path == SIM_PATH_INTEGER) {
        out->integer[at][k] = integer(type, bits);
      } else {
        out->num[at][k] = sim_num_decode(type, bits);
        out->num[at][k].negative ^= negate;
      }
    }
}

static uint32_t dot(const sim_wgmma_desc *desc, const decoded *a, const int *place, int row,
                    const decoded *b, int col, uint32_t c) {
  const sim_wgmma_form *f = &desc->form;
  int stored = f->k / 2;
  if (desc->path == SIM_PATH_INTEGER) {
    int64_t total = (int64_t)(int32_t)c;
    for (int j = 0; j < stored; j++)
      total += a->integer[row][j] * b->integer[col][place[j]];
    if (f->satfinite)
      total = total > INT32_MAX ? INT32_MAX : total < INT32_MIN ? INT32_MIN : total;
    return (uint32_t)total;
  }
  sim_num y[32];
  for (int j = 0; j < stored; j++)
    y[j] = b->num[col][place[j]];
  return sim_step_reference(a->num[row], y, stored,
                            sim_num_frac_bits(f->a) + sim_num_frac_bits(f->b), 0, c,
                            desc->frac_bits, (sim_step_out)desc->out);
}

bool sim_wgmma_metadata_ok(const sim_wgmma_form *f, const uint32_t *meta) {
  int stored = f->k / 2;
  for (int row = 0; row < 16; row++)
    for (int j = 1; j < stored; j += 2)
      if (f->a != SIM_MMA_TF32 && logical_k(f, meta, row, j) <= logical_k(f, meta, row, j - 1))
        return false;
  return true;
}

void sim_wgmma_rows_sparse(const sim_wgmma_desc *desc, uint32_t aw[8][16], const uint32_t *meta,
                           const sim_wgmma_b *b, bool scale_d, uint32_t *const d[]) {
  const sim_wgmma_form *f = &desc->form;
  int place[16][32];
  decoded x, y;
  for (int row = 0; row < 16; row++)
    for (int j = 0; j < f->k / 2; j++)
      place[row][j] = logical_k(f, meta, row, j);
  decode(desc, f->a, aw[0], 16, f->k / 2, f->negate, &x);
  for (int tile = 0; tile < f->n / 8; tile++) {
    uint32_t cm[8][16], bw[16][8];
    memcpy(bw, b->words[tile], sizeof b->words[tile]);
    memcpy(bw + 8, b->upper[tile], sizeof b->upper[tile]);
    decode(desc, f->b, bw[0], 8, f->k, false, &y);
    sim_wgmma_spread_d(desc, d, tile, scale_d, cm);
    for (int col = 0; col < 8; col++)
      for (int row = 0; row < 16; row++)
        cm[col][row] = dot(desc, &x, place[row], row, &y, col, cm[col][row]);
    sim_wgmma_gather_d(desc, cm, tile, d);
  }
}
