// ldmatrix, stmatrix, movmatrix, and how shared accesses fall on banks.
//
// A matrix is rows of 16 bytes whose addresses come from consecutive lanes: rows[i] is the row that
// lane i addresses. Rows go through mem.c as one warp access, so bounds, alignment, init bits and
// races are checked there; the rest is moving bytes between lanes.
// With g = lane / 4 and q = lane % 4 (PTX ISA 9.7.14.5.15 to .17):
//
//   m8n8 b16            register i: row g of matrix i, bytes 4q..4q+3
//   m8n8 b16 .trans     register i: 16-bit column g of rows 2q (low half) and 2q+1
//   m16n16 b8 .trans    register 2m+i, byte j: row 4q+j of matrix m, byte column g+8i
//   m8n16 b4/b6         register i: row g, elements 4q..4q+3, one a byte
//   m16n8 b8 .trans     (store) byte 2*e1+e0 of register i: row 2q+e0, byte column g+8*e1
#include "runtime/sim/mem.h"
#include "lang/base/assert.h"
#include <string.h>

typedef uint32_t row_words[SIM_LANES][4];

// Sub-byte matrices: a slot of 16 bytes holds 16 packed elements and padding.
static int packed_bits(sim_matrix_shape shape) {
  switch (shape) {
  case SIM_M16N16_B4:
  case SIM_M8N16_B4:
    return 4;
  case SIM_M16N16_B6:
  case SIM_M8N16_B6:
    return 6;
  default:
    return 0;
  }
}

static bool sixteen_rows(sim_matrix_shape shape) {
  return shape == SIM_M16N16_B8 || shape == SIM_M16N16_B4 || shape == SIM_M16N16_B6;
}

int sim_matrix_regs(sim_matrix matrix) {
  return sixteen_rows(matrix.shape) ? 2 * matrix.count : matrix.count;
}

// Lanes that give row addresses.
static uint32_t address_lanes(sim_matrix matrix) {
  int rows = (sixteen_rows(matrix.shape) ? 16 : 8) * matrix.count;
  TL_ASSERT(rows >= 8 && rows <= 32, "matrix move with %d rows", rows);
  return rows == 32 ? UINT32_MAX : (UINT32_C(1) << rows) - 1;
}

static inline uint32_t row_byte(row_words rows, int row, int byte) {
  return rows[row][byte >> 2] >> 8 * (byte & 3) & 0xFF;
}

// Elements become bytes: element k of a slot sits in bits [bits * k, bits * (k + 1)).
static void expand_rows(row_words rows, uint32_t lanes, int bits) {
  for (uint32_t m = lanes; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    uint8_t slot[20] = {0}, out[16];
    for (int w = 0; w < 3; w++)
      memcpy(slot + 4 * w, &rows[lane][w], 4);
    for (int k = 0; k < 16; k++) {
      int at = bits * k;
      uint32_t pair = slot[at >> 3] | (uint32_t)slot[(at >> 3) + 1] << 8;
      out[k] = (uint8_t)(pair >> (at & 7) & ((1u << bits) - 1));
    }
    for (int w = 0; w < 4; w++)
      memcpy(&rows[lane][w], out + 4 * w, 4);
  }
}

// The packed data of a row, without its padding, which may be uninitialised.
static bool load_packed(sim_mem_view *view, sim_space space, int bits,
                        const uint64_t addr[SIM_LANES], uint32_t lanes, row_words rows) {
  sim_access first = {.elem_bytes = 4, .elems = 2}, rest = {.elem_bytes = 4, .elems = 1};
  uint32_t words[3][SIM_LANES] = {{0}};
  uint32_t *low[2] = {words[0], words[1]}, *high[1] = {words[2]};
  uint64_t after[SIM_LANES];
  for (int lane = 0; lane < SIM_LANES; lane++)
    after[lane] = addr[lane] + 8;
  if (!sim_mem_check_alignment(view, addr, lanes, 16, false) ||
      !sim_mem_load(view, space, addr, lanes, first, low) ||
      (bits == 6 && !sim_mem_load(view, space, after, lanes, rest, high)))
    return false;
  for (int lane = 0; lane < SIM_LANES; lane++)
    for (int w = 0; w < 3; w++)
      rows[lane][w] = words[w][lane];
  return true;
}

static bool load_rows(sim_mem_view *view, sim_space space, sim_matrix matrix,
                      const uint64_t addr[SIM_LANES], row_words rows) {
  uint32_t lanes = address_lanes(matrix);
  int bits = packed_bits(matrix.shape);
  if (bits) {
    if (!load_packed(view, space, bits, addr, lanes, rows))
      return false;
    expand_rows(rows, lanes, bits);
    return true;
  }
  return sim_mem_load_rows(view, space, addr, lanes, rows);
}

bool sim_ldmatrix(sim_mem_view *view, sim_space space, sim_matrix matrix,
                  const uint64_t addr[SIM_LANES], uint32_t *const dst[]) {
  row_words rows;
  if (!load_rows(view, space, matrix, addr, rows))
    return false;
  if (sixteen_rows(matrix.shape)) {
    for (int r = 0; r < 2 * matrix.count; r++)
      for (int lane = 0; lane < SIM_LANES; lane++) {
        int g = lane >> 2, q = lane & 3, first = 16 * (r >> 1) + 4 * q, column = g + 8 * (r & 1);
        dst[r][lane] = row_byte(rows, first, column) | row_byte(rows, first + 1, column) << 8 |
                       row_byte(rows, first + 2, column) << 16 |
                       row_byte(rows, first + 3, column) << 24;
      }
    return true;
  }
  for (int i = 0; i < matrix.count; i++) {
    if (!matrix.trans) { // word q of row g is lane 4g + q
      memcpy(dst[i], rows[8 * i], 4 * SIM_LANES);
      continue;
    }
    for (int g = 0; g < 8; g++)
      for (int q = 0; q < 4; q++) {
        uint32_t even = rows[8 * i + 2 * q][g >> 1] >> 16 * (g & 1);
        uint32_t odd = rows[8 * i + 2 * q + 1][g >> 1] >> 16 * (g & 1);
        dst[i][4 * g + q] = (even & 0xFFFF) | odd << 16;
      }
  }
  return true;
}

static void put_byte(row_words rows, int row, int byte, uint32_t value) {
  int at = 8 * (byte & 3);
  rows[row][byte >> 2] = (rows[row][byte >> 2] & ~(0xFFu << at)) | (value & 0xFF) << at;
}

bool sim_stmatrix(sim_mem_view *view, sim_space space, sim_matrix matrix,
                  const uint64_t addr[SIM_LANES], const uint32_t *const src[]) {
  row_words rows = {{0}};
  bool bytes = matrix.shape == SIM_M16N8_B8;
  for (int i = 0; i < matrix.count; i++)
    for (int lane = 0; lane < SIM_LANES; lane++) {
      int g = lane >> 2, q = lane & 3;
      uint32_t word = src[i][lane];
      if (bytes) {
        for (int e = 0; e < 4; e++)
          put_byte(rows, 8 * i + 2 * q + (e & 1), g + 8 * (e >> 1), word >> 8 * e);
      } else if (matrix.trans) {
        for (int e = 0; e < 4; e++)
          put_byte(rows, 8 * i + 2 * q + (e >> 1), 2 * g + (e & 1), word >> 8 * e);
      } else {
        rows[8 * i + g][q] = word;
      }
    }
  sim_access access = {.elem_bytes = 4, .elems = 4};
  uint32_t words[4][SIM_LANES];
  for (int lane = 0; lane < SIM_LANES; lane++)
    for (int w = 0; w < 4; w++)
      words[w][lane] = rows[lane][w];
  const uint32_t *planes[4] = {words[0], words[1], words[2], words[3]};
  return sim_mem_store(view, space, addr, address_lanes(matrix), access, planes);
}

void sim_movmatrix(const uint32_t src[SIM_LANES], uint32_t dst[SIM_LANES]) {
  uint32_t result[SIM_LANES];
  for (int lane = 0; lane < SIM_LANES; lane++) {
    int g = lane >> 2, q = lane & 3;
    uint32_t even = src[4 * (2 * q) + (g >> 1)] >> 16 * (g & 1);
    uint32_t odd = src[4 * (2 * q + 1) + (g >> 1)] >> 16 * (g & 1);
    result[lane] = (even & 0xFFFF) | odd << 16;
  }
  memcpy(dst, result, sizeof result);
}

// --- bank conflicts -----------------------------------------------------------------------------
// Lanes of one pass are served together when no bank has two different words among them.
static uint32_t pass_wavefronts(const uint64_t addr[SIM_LANES], uint32_t lanes, uint32_t words) {
  uint64_t word_of[32][32]; // words a bank already has
  uint32_t count[32] = {0}, most = 0;
  for (uint32_t m = lanes; m; m &= m - 1) {
    uint64_t first = addr[__builtin_ctz(m)] >> 2;
    for (uint32_t w = 0; w < words; w++) {
      uint32_t bank = (uint32_t)(first + w) & 31, i = 0;
      while (i < count[bank] && word_of[bank][i] != first + w)
        i++;
      if (i == count[bank] && i < 32)
        word_of[bank][count[bank]++] = first + w;
      if (count[bank] > most)
        most = count[bank];
    }
  }
  return most;
}

uint32_t sim_bank_conflicts(const uint64_t addr[SIM_LANES], uint32_t mask, uint32_t bytes) {
  uint32_t words = bytes < 4 ? 1 : bytes / 4, extra = 0;
  uint32_t lanes_per_pass = words > 4 ? 4 : 32 / words;
  for (uint32_t first = 0; first < 32; first += lanes_per_pass) {
    uint32_t lanes = lanes_per_pass == 32 ? mask : mask >> first << first;
    if (first + lanes_per_pass < 32)
      lanes &= (UINT32_C(1) << (first + lanes_per_pass)) - 1;
    if (!lanes)
      continue;
    uint32_t fronts = pass_wavefronts(addr, lanes, words);
    extra += fronts ? fronts - 1 : 0;
  }
  return extra;
}
