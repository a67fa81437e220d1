// wgmma without warps: forms, shared-memory descriptors, and the arithmetic of one row block.
//
// A warpgroup multiplies 64 x K by K x N; K is always 32 bytes of data per row. Warp w of the group
// owns rows 16w..16w+15 of A and D. Operands come in units of 16 bytes, two per row (or, MN-major,
// one per k and eight rows); a tile of the fused step is 16 rows by 8 columns.
#ifndef RUNTIME_SIM_WGMMA_H
#define RUNTIME_SIM_WGMMA_H
#include "runtime/sim/mma.h"

typedef struct sim_wgmma_form {
  uint16_t n, k;
  sim_mma_type a, b, d;
  bool satfinite;              // integers
  bool a_in_regs;              // four registers per lane instead of a descriptor
  bool mn_major_a, mn_major_b; // 16-bit types only
  bool negate;                 // exactly one of imm-scale-a, imm-scale-b is -1
  bool sparse;                 // k is that of B; A has half as many elements
  uint8_t sparse_selector;     // which lanes of a quad hold the metadata
} sim_wgmma_form;

typedef struct sim_wgmma_desc {
  sim_wgmma_form form;
  uint8_t path; // SIM_PATH_FUSED, _INTEGER or _BITS
  uint8_t frac_bits;
  uint8_t out;     // sim_step_out
  uint16_t d_regs; // registers per lane
} sim_wgmma_desc;
// false: no such instruction.
bool sim_wgmma_describe(const sim_wgmma_form *form, sim_wgmma_desc *out);

// --- descriptors --------------------------------------------------------------------------------
enum { SIM_WGMMA_MAX_UNITS = 1024 };

typedef struct sim_wgmma_layout {
  uint32_t start, lbo, sbo; // bytes
  uint32_t swizzle;         // 0, 32, 64 or 128 bytes
  uint32_t base_offset;
  uint64_t reserved; // bits that must be zero
} sim_wgmma_layout;
sim_wgmma_layout sim_wgmma_layout_of(uint64_t descriptor);
// Shared addresses of the 2 * rows units of an operand. K-major: unit 2 * row + half. MN-major:
// unit 16 * (row / 8) + k. Either way the units of rows 16w..16w+15 are 32w..32w+31.
// upper: those of the second 32 bytes of k, which the B of a sparse instruction has.
void sim_wgmma_units(const sim_wgmma_layout *layout, bool mn_major, bool upper, int rows,
                     uint64_t *address);
// The words of `rows` rows (16 or 8) from their units' bytes: words[word][row].
void sim_wgmma_words(const uint8_t *const units[], bool mn_major, int rows, uint32_t *words);

// --- arithmetic ---------------------------------------------------------------------------------
// B of one instruction, decoded once for the four row blocks.
typedef struct sim_wgmma_b {
  uint32_t words[32][8][8];
  uint32_t upper[32][8][8]; // sparse: the second half of k
  float small[32][32][8]; // integers
  bool special[32];       // a NaN or infinity is in the tile
  sim_step_b step[32];
} sim_wgmma_b;
void sim_wgmma_decode_b(const sim_wgmma_desc *desc, sim_wgmma_b *b);
// One row block: aw[word][row], d planes of its warp (d_regs of them). scale_d: D is an addend.
void sim_wgmma_rows(const sim_wgmma_desc *desc, uint32_t aw[8][16], const sim_wgmma_b *b,
                    bool scale_d, uint32_t *const d[]);
// Accumulators of column tile `tile` as cm[column][row], and back.
void sim_wgmma_spread_d(const sim_wgmma_desc *desc, uint32_t *const d[], int tile, bool scale_d,
                        uint32_t cm[8][16]);
void sim_wgmma_gather_d(const sim_wgmma_desc *desc, uint32_t cm[8][16], int tile,
                        uint32_t *const d[]);
// wgmma_sparse.c. meta: the metadata register of the warp's lanes. false: two indices of a chunk are
// not in order.
bool sim_wgmma_metadata_ok(const sim_wgmma_form *form, const uint32_t *meta);
void sim_wgmma_rows_sparse(const sim_wgmma_desc *desc, uint32_t aw[8][16], const uint32_t *meta,
                           const sim_wgmma_b *b, bool scale_d, uint32_t *const d[]);
// The same by the plain model, element by element.
void sim_wgmma_rows_reference(const sim_wgmma_desc *desc, uint32_t aw[8][16], const sim_wgmma_b *b,
                              bool scale_d, uint32_t *const d[]);
#endif
