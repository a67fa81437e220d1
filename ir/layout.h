// Layouts: where each element of a tile lives.
//
// Distributed (registers): coordinates are a sum of contributions,
//   coord = sum over set bits of (register-in-atom, lane, warp) of that bit's basis vector
//         + sum over repetitions of index * stride along one dim.
// The bits are the F2 atom of the hardware (power of two by nature); repetitions have integer
// counts, so BN = 176 is 22 repetitions of an n8 atom. A zero basis vector means that lanes or warps
// hold copies. Register index = atom bits lowest, then repetitions in list order (first fastest).
//
// Shared: row-major over the last two dims (leading dims and stages outermost) with one of five
// address forms; W = 32, 64 or 128 bytes for swizzles: element (r, c) with cb = c * bytes is at
//   panel = cb / W;  off = panel * rows * W + r * W + cb % W;   then XOR
//   W=128: bits 4-6 ^= bits 7-9;  W=64: bits 4-5 ^= bits 7-8;  W=32: bit 4 ^= bit 7
// which is what TMA, wgmma and tcgen05 descriptors understand. The buffer starts at a multiple of
// 1024 bytes. Padded: row pitch = row bytes + pad. 4-bit elements are two to a byte, or spread: 16 of
// them take 8 bytes of data and 8 of nothing, which ldmatrix turns into bytes.
#ifndef IR_LAYOUT_H
#define IR_LAYOUT_H
#include "ir/ir.h"

enum { IR_MAX_REG_BITS = 8, IR_LANE_BITS = 5, IR_MAX_WARP_BITS = 5, IR_MAX_REPS = 6 };

typedef enum ir_layout_kind { IR_LAYOUT_DIST, IR_LAYOUT_SHARED } ir_layout_kind;

typedef struct ir_rep { int32_t count, dim, stride; } ir_rep;

struct ir_layout {
  ir_layout_kind kind;
  int rank;
  // DIST
  int nreg_bits, nwarp_bits;
  int32_t reg[IR_MAX_REG_BITS][TY_MAX_RANK];
  int32_t lane[IR_LANE_BITS][TY_MAX_RANK];
  int32_t warp[IR_MAX_WARP_BITS][TY_MAX_RANK];
  int nreps;
  ir_rep rep[IR_MAX_REPS];
  // SHARED
  int swizzle_bytes; // 0, 32, 64, 128
  int pad_bytes;     // row padding when swizzle_bytes is 0
  bool spread;       // 4-bit elements, 16 of them in the lower half of 16 bytes (ldmatrix b4x16_p64)
  int number;        // printed as L<number>; set by interning
};

// Interned: equal contents give the same pointer within a function.
const ir_layout *ir_layout_intern(ir_func *func, const ir_layout *layout);
bool ir_layout_equal(const ir_layout *a, const ir_layout *b);
int ir_layout_regs(const ir_layout *layout); // registers per thread = elements per thread
// Coordinates of register `reg` of (lane, warp).
void ir_layout_coords(const ir_layout *layout, int reg, int lane, int warp, int64_t *out_coords);
// Lanes or warps that hold copies of the same elements.
bool ir_layout_replicated(const ir_layout *layout);
bool ir_layout_warp_copies(const ir_layout *layout, int warps); // warps alone
// Checks that every element of the tile is covered; false otherwise.
bool ir_layout_covers(const ir_layout *layout, const ty_type *tile, int warps);

// Constructors. `order` is by dim, fastest first where given.
// Coalesced: `vec` consecutive elements of the last dim per thread, lanes then warps over the tile.
ir_layout ir_layout_blocked(const ty_type *tile, int warps, int vec);
// The axis in runs: consecutive elements in registers, then lanes, then warps, then repetitions, so
// that every part of it is ordered (scans). Registers from bit 0 move along the axis alone.
ir_layout ir_layout_along(const ty_type *tile, int axis, int warps);
// Rows of chunks dealt to threads in order, `per_row` (a power of two) chunks each: for every chunk of a
// thread, one register with the row's number.
ir_layout ir_layout_chunk_rows(int64_t rows, int64_t per_row, int warps);
// m16n8 accumulator tile over warps_m x warps_n.
ir_layout ir_layout_mma_acc(const ty_type *tile, int warps_m, int warps_n);
// Operand a [M,K] / b [K,N] of the m16n8k(256/bits) atoms, element width `bits`.
ir_layout ir_layout_mma_a(const ty_type *tile, int bits, int warps_m, int warps_n);
ir_layout ir_layout_mma_b(const ty_type *tile, int bits, int warps_m, int warps_n);
// Scales that a block-scale mma takes: the low lane bit and lanes 4g of rows (A), lanes 4g of columns
// (B), the blocks of K that share a word in the lowest register bits, the other blocks outermost.
ir_layout ir_layout_mma_scale_a(const ty_type *scales, int per_word, int warps_m, int warps_n);
ir_layout ir_layout_mma_scale_b(const ty_type *scales, int per_word, int warps_m, int warps_n);
ir_layout ir_layout_shared(const ty_type *tile, int swizzle_bytes, int pad_bytes);
// Of results, given the operand's layout.
ir_layout ir_layout_permute(const ir_layout *layout, const int64_t *order);
ir_layout ir_layout_drop_dim(const ir_layout *layout, int axis);   // after a reduce: copies along it
ir_layout ir_layout_add_dim(const ir_layout *layout, int axis);    // expand
// Source of a bitcast to elements `ratio` times narrower; false when a wide one would be torn apart.
bool ir_layout_widen(const ir_layout *layout, int ratio, ir_layout *out);
ir_layout ir_layout_collapse_dim(const ir_layout *layout, int axis); // source of a broadcast: dim of 1

// The layout in which a reshape, a part at `offsets`, or a bit cast to elements of another width keeps
// every element in its thread; false when there is none (layout_reshape.c).
bool ir_layout_reshape(const ir_layout *layout, const ty_type *from, const ty_type *to,
                       ir_layout *out);
bool ir_layout_part(const ir_layout *layout, const ty_type *from, const ty_type *to,
                    const int64_t *offsets, ir_layout *out);
bool ir_layout_rescale(const ir_layout *layout, const ty_type *from, const ty_type *to,
                       ir_layout *out);

// Register renaming: out_map[r] = register of `src` that holds, in every (lane, warp) alike, the
// element that register r of `dst` needs, where the element at dst coordinates c is the one at src
// coordinates project(c), an affine map without mixed terms. False when some thread would have to ask another one.
typedef void (*ir_project)(const int64_t *dst_coords, int64_t *src_coords, void *user);
bool ir_layout_rename(const ir_layout *dst, const ir_layout *src, int warps, ir_project project,
                      void *user, int *out_map);

// Moves inside each warp: for one destination register, which lane to ask for which register of the
// source. Lanes in `second` take source[1]; the others source[0].
typedef struct ir_lane_map {
  int nsources, source[2];
  uint8_t ask[32];
  uint32_t second;
} ir_lane_map;
// Fills one map per register of `dst`. Returns the number of shuffles they take together, or -1 when
// an element would have to leave its warp, a register would need more than two sources, or lane and
// source are not XORs of one term per lane bit.
int ir_layout_shuffle(const ir_layout *dst, const ir_layout *src, const ty_type *tile, int warps,
                      ir_lane_map *out_maps);

// Bytes before column `elems` of a row; exact for the columns where an access may start.
int64_t ir_shared_column(const ir_layout *layout, tl_dtype dtype, int64_t elems);
// Bytes of one stage of a shared buffer (dims without the stage), and offset of an element.
int64_t ir_shared_bytes(const ir_layout *layout, const ty_type *buf);
int64_t ir_shared_offset(const ir_layout *layout, const ty_type *buf, const int64_t *coords);

void ir_layout_print(const ir_layout *layout, tl_buf *out);       // "dist reg[..] lane[..] .."
bool ir_layout_read(const char **text, int *out_number, ir_layout *out);
#endif
