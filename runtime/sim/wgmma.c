// Forms, operand addresses and arithmetic of wgmma (see wgmma.h). PTX ISA 9.7.15.
#include "runtime/sim/wgmma.h"
#include "runtime/sim/mma_tile.h"
#include <string.h>

// --- forms --------------------------------------------------------------------------------------
typedef struct wgmma_row {
  uint16_t k;
  uint32_t ab, acc;
  uint8_t path, frac_bits, out;
} wgmma_row;

static const wgmma_row rows_of_forms[] = {
#define SIM_WGMMA_ROW(K, AB, ACC, PATH, F, STEP, OUT)                                              \
  {K, AB, ACC, SIM_PATH_##PATH, F, SIM_OUT_##OUT},
#include "runtime/sim/mma_params.def"
};

static int bits_of(sim_mma_type type) {
  switch (type) {
  case SIM_MMA_F16:
  case SIM_MMA_BF16:
    return 16;
  case SIM_MMA_TF32:
    return 32;
  case SIM_MMA_B1:
    return 1;
  default:
    return 8;
  }
}

bool sim_wgmma_describe(const sim_wgmma_form *form, sim_wgmma_desc *out) {
  const wgmma_row *row = NULL;
  uint32_t one = 1;
  int stored = form->sparse ? form->k / 2 : form->k;
  for (size_t i = 0; i < sizeof rows_of_forms / sizeof *rows_of_forms && !row; i++) {
    const wgmma_row *r = &rows_of_forms[i];
    if (r->k == stored && (r->ab & one << form->a) && (r->ab & one << form->b) &&
        (r->acc & one << form->d))
      row = r;
  }
  bool narrow = bits_of(form->a) < 16, integer = form->d == SIM_MMA_S32;
  if (!row || form->n < 8 || form->n > 256 || form->n % 8)
    return false;
  if (integer && form->n > 32 && form->n % 16)
    return false;
  if (!narrow && form->a != form->b)
    return false;
  if ((form->mn_major_a || form->mn_major_b) && bits_of(form->a) != 16)
    return false;
  if (form->mn_major_a && form->a_in_regs)
    return false;
  if (form->sparse && (row->path == SIM_PATH_BITS || form->sparse_selector > !narrow))
    return false;
  if (form->satfinite && row->path != SIM_PATH_INTEGER)
    return false;
  *out = (sim_wgmma_desc){.form = *form,
                          .path = row->path,
                          .frac_bits = row->frac_bits,
                          .out = row->out,
                          .d_regs = (uint16_t)(form->n / (form->d == SIM_MMA_F16 ? 4 : 2))};
  return true;
}

// --- descriptors --------------------------------------------------------------------------------
sim_wgmma_layout sim_wgmma_layout_of(uint64_t d) {
  static const uint32_t widths[] = {0, 128, 64, 32};
  return (sim_wgmma_layout){.start = (uint32_t)(d & 0x3FFF) << 4,
                            .lbo = (uint32_t)(d >> 16 & 0x3FFF) << 4,
                            .sbo = (uint32_t)(d >> 32 & 0x3FFF) << 4,
                            .swizzle = widths[d >> 62],
                            .base_offset = (uint32_t)(d >> 49 & 7),
                            .reserved = d & UINT64_C(0x3FF1C000C000C000)};
}

// The XOR of a swizzle mode on absolute addresses: 16-byte units within rows of `width` bytes.
static uint64_t swizzled(uint64_t address, uint32_t width) {
  uint64_t mask = width / 16 - 1;
  return width ? address ^ (address >> 7 & mask) << 4 : address;
}

void sim_wgmma_units(const sim_wgmma_layout *l, bool mn_major, bool upper, int rows,
                     uint64_t *address) {
  uint64_t width = l->swizzle, further = 0;
  // Recorded on an H200 for each of the six layouts.
  if (upper && mn_major)
    further = 2 * (width ? l->sbo : l->lbo);
  else if (upper)
    further = width > 32 ? 32 : width ? l->lbo : 2 * l->lbo;
  for (int i = 0; i < 2 * rows; i++) {
    uint64_t row = (uint64_t)i / 2, half = (uint64_t)i & 1, at = l->start + further;
    uint64_t block = (uint64_t)i / 16, k = (uint64_t)i & 15; // MN-major: eight rows at one k
    if (!mn_major && width)
      at += (row >> 3) * l->sbo + (row & 7) * width + half * 16;
    else if (!mn_major)
      at += (row >> 3) * l->sbo + (row & 7) * 16 + half * l->lbo;
    else if (width)
      at += block / (width / 16) * l->lbo + block % (width / 16) * 16 + (k >> 3) * l->sbo +
            (k & 7) * width;
    else
      at += block * l->sbo + (k >> 3) * l->lbo + (k & 7) * 16;
    address[i] = swizzled(at, l->swizzle);
  }
}

void sim_wgmma_words(const uint8_t *const units[], bool mn_major, int rows, uint32_t *words) {
  if (!mn_major) {
    for (int row = 0; row < rows; row++)
      for (int half = 0; half < 2; half++) {
        uint32_t unit[4];
        memcpy(unit, units[2 * row + half], 16);
        for (int j = 0; j < 4; j++)
          words[(4 * half + j) * rows + row] = unit[j];
      }
    return;
  }
  for (int block = 0; block < rows / 8; block++)
    for (int k = 0; k < 16; k += 2) {
      uint16_t low[8], high[8];
      memcpy(low, units[16 * block + k], 16);
      memcpy(high, units[16 * block + k + 1], 16);
      for (int row = 0; row < 8; row++)
        words[k / 2 * rows + 8 * block + row] = low[row] | (uint32_t)high[row] << 16;
    }
}

// --- accumulators -------------------------------------------------------------------------------
void sim_wgmma_spread_d(const sim_wgmma_desc *desc, uint32_t *const d[], int tile, bool scale_d,
                        uint32_t cm[8][16]) {
  if (!scale_d) {
    memset(cm, 0, 8 * 16 * sizeof(uint32_t));
    return;
  }
  if (desc->form.d != SIM_MMA_F16) {
    for (int r = 0; r < 4; r++)
      sim_spread_plane(d[4 * tile + r], &cm[r & 1][8 * (r >> 1)], 32);
    return;
  }
  for (int h = 0; h < 2; h++)
    for (int lane = 0; lane < 32; lane++) {
      cm[2 * (lane & 3)][8 * h + (lane >> 2)] = d[2 * tile + h][lane] & 0xFFFF;
      cm[2 * (lane & 3) + 1][8 * h + (lane >> 2)] = d[2 * tile + h][lane] >> 16;
    }
}

void sim_wgmma_gather_d(const sim_wgmma_desc *desc, uint32_t cm[8][16], int tile,
                        uint32_t *const d[]) {
  if (desc->form.d != SIM_MMA_F16) {
    for (int r = 0; r < 4; r++)
      sim_gather_plane(&cm[r & 1][8 * (r >> 1)], 32, d[4 * tile + r]);
    return;
  }
  for (int h = 0; h < 2; h++)
    for (int lane = 0; lane < 32; lane++)
      d[2 * tile + h][lane] = cm[2 * (lane & 3)][8 * h + (lane >> 2)] |
                              cm[2 * (lane & 3) + 1][8 * h + (lane >> 2)] << 16;
}

// --- the plain model ----------------------------------------------------------------------------
static uint32_t element(sim_mma_type type, const uint32_t *words, int across, int at, int k) {
  int bits = bits_of(type), per = 32 / bits;
  uint32_t word = words[k / per * across + at] >> (k % per * bits);
  return bits == 32 ? word : word & ((1u << bits) - 1);
}

static int64_t integer(sim_mma_type type, uint32_t bits) {
  return type == SIM_MMA_S8 ? (int8_t)bits : (int64_t)bits;
}

static uint32_t finish_integer(const sim_wgmma_desc *desc, uint32_t old, int64_t sum) {
  int64_t total = (int64_t)(int32_t)old + sum;
  if (desc->form.satfinite)
    total = total > INT32_MAX ? INT32_MAX : total < INT32_MIN ? INT32_MIN : total;
  return (uint32_t)total;
}

static void reference_tile(const sim_wgmma_desc *desc, uint32_t aw[8][16], const uint32_t bw[8][8],
                           uint32_t cm[8][16]) {
  const sim_wgmma_form *f = &desc->form;
  sim_num x[16][32], y[8][32];
  for (int k = 0; k < f->k && desc->path == SIM_PATH_FUSED; k++) {
    for (int row = 0; row < 16; row++) {
      x[row][k] = sim_num_decode(f->a, element(f->a, aw[0], 16, row, k));
      x[row][k].negative ^= f->negate;
    }
    for (int col = 0; col < 8; col++)
      y[col][k] = sim_num_decode(f->b, element(f->b, bw[0], 8, col, k));
  }
  int frac = sim_num_frac_bits(f->a) + sim_num_frac_bits(f->b);
  for (int col = 0; col < 8; col++)
    for (int row = 0; row < 16; row++) {
      uint32_t *c = &cm[col][row];
      int64_t sum = 0;
      if (desc->path == SIM_PATH_FUSED) {
        *c = sim_step_reference(x[row], y[col], f->k, frac, 0, *c, desc->frac_bits,
                                (sim_step_out)desc->out);
        continue;
      }
      for (int k = 0; k < f->k; k++)
        sum += integer(f->a, element(f->a, aw[0], 16, row, k)) *
               integer(f->b, element(f->b, bw[0], 8, col, k));
      *c = finish_integer(desc, *c, sum);
    }
}

void sim_wgmma_rows_reference(const sim_wgmma_desc *desc, uint32_t aw[8][16], const sim_wgmma_b *b,
                              bool scale_d, uint32_t *const d[]) {
  for (int tile = 0; tile < desc->form.n / 8; tile++) {
    uint32_t cm[8][16];
    sim_wgmma_spread_d(desc, d, tile, scale_d, cm);
    reference_tile(desc, aw, b->words[tile], cm);
    sim_wgmma_gather_d(desc, cm, tile, d);
  }
}

// --- the fast form ------------------------------------------------------------------------------
SIM_CLONES static void bytes_to_floats(const uint32_t *words, int across, bool is_signed,
                                       float *out) {
  int32_t sign = is_signed ? 0x80 : 0;
  for (int w = 0; w < 8; w++)
    for (int e = 0; e < 4; e++)
      for (int i = 0; i < across; i++)
        out[(4 * w + e) * across + i] =
            (float)((int32_t)((words[w * across + i] >> 8 * e & 0xFF) ^ (uint32_t)sign) - sign);
}

void sim_wgmma_decode_b(const sim_wgmma_desc *desc, sim_wgmma_b *b) {
  uint32_t none[8][16] = {{0}};
  sim_step_a unused;
  for (int tile = 0; tile < desc->form.n / 8; tile++) {
    b->special[tile] = false;
    if (desc->path == SIM_PATH_FUSED)
      b->special[tile] = !sim_step_decode(desc->form.a, desc->form.b, 8, false, none,
                                          b->words[tile], &unused, &b->step[tile]);
    else if (desc->path == SIM_PATH_INTEGER)
      bytes_to_floats(b->words[tile][0], 8, desc->form.b == SIM_MMA_S8, b->small[tile][0]);
  }
}

SIM_CLONES static void bits_tile(uint32_t aw[8][16], const uint32_t bw[8][8], uint32_t cm[8][16]) {
  for (int w = 0; w < 8; w++)
    for (int col = 0; col < 8; col++)
      for (int row = 0; row < 16; row++)
        cm[col][row] += (uint32_t)__builtin_popcount(aw[w][row] & bw[w][col]);
}

void sim_wgmma_rows(const sim_wgmma_desc *desc, uint32_t aw[8][16], const sim_wgmma_b *b,
                    bool scale_d, uint32_t *const d[]) {
  sim_step_a a;
  float small[32][16];
  uint32_t none[8][8] = {{0}};
  sim_step_b unused;
  bool special = false;
  if (desc->path == SIM_PATH_FUSED)
    special = !sim_step_decode(desc->form.a, desc->form.b, 8, false, aw, none, &a, &unused);
  else if (desc->path == SIM_PATH_INTEGER)
    bytes_to_floats(aw[0], 16, desc->form.a == SIM_MMA_S8, small[0]);
  if (desc->form.negate)
    for (int k = 0; k < SIM_STEP_MAX_K && k < desc->form.k; k++)
      for (int row = 0; row < 16; row++)
        a.value[k][row] = -a.value[k][row];
  for (int tile = 0; tile < desc->form.n / 8; tile++) {
    uint32_t cm[8][16];
    sim_wgmma_spread_d(desc, d, tile, scale_d, cm);
    if (desc->path == SIM_PATH_BITS) {
      bits_tile(aw, b->words[tile], cm);
    } else if (desc->path == SIM_PATH_INTEGER) {
      int32_t sum[8][16];
      sim_tile_dot(small, b->small[tile], 32, sum);
      for (int i = 0; i < 128; i++)
        cm[i / 16][i % 16] = finish_integer(desc, cm[i / 16][i % 16], sum[i / 16][i % 16]);
    } else if (special || b->special[tile] ||
               !sim_step_tile(&a, &b->step[tile], desc->form.k, desc->frac_bits,
                              (sim_step_out)desc->out, cm, cm)) {
      reference_tile(desc, aw, b->words[tile], cm);
    }
    sim_wgmma_gather_d(desc, cm, tile, d);
  }
}
