// Tensor maps and the geometry of TMA boxes.
//
// A tensor map here is 128 bytes of our own encoding, made from the arguments of the driver's
// cuTensorMapEncodeTiled and checked by its rules. The rest of the file answers what a copy does:
// which bytes of global memory belong to row r of a box and where they lie in shared memory. It
// touches no memory and knows nothing of the machine.
#ifndef RUNTIME_SIM_TMA_H
#define RUNTIME_SIM_TMA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_TMA_RANK = 5, SIM_TENSOR_MAP_BYTES = 128 };

typedef enum sim_tma_type { // the driver's order
  SIM_TMA_U8,
  SIM_TMA_U16,
  SIM_TMA_U32,
  SIM_TMA_S32,
  SIM_TMA_U64,
  SIM_TMA_S64,
  SIM_TMA_F16,
  SIM_TMA_F32,
  SIM_TMA_F64,
  SIM_TMA_BF16,
  SIM_TMA_F32_FTZ,
  SIM_TMA_TF32,
  SIM_TMA_TF32_FTZ,
  SIM_TMA_U4_ALIGN8B,
  SIM_TMA_U4_ALIGN16B,
  SIM_TMA_U6_ALIGN16B,
  SIM_TMA_TYPES
} sim_tma_type;

typedef enum sim_tma_swizzle { // the driver's order
  SIM_TMA_PLAIN,
  SIM_TMA_32B,
  SIM_TMA_64B,
  SIM_TMA_128B,
  SIM_TMA_128B_ATOM_32B,
  SIM_TMA_128B_ATOM_32B_FLIP_8B,
  SIM_TMA_128B_ATOM_64B,
  SIM_TMA_SWIZZLES
} sim_tma_swizzle;

// Dimension 0 is the innermost. strides[i] is the distance in bytes of dimension i (i >= 1).
typedef struct sim_tensor_map {
  uint64_t address;
  uint64_t dims[SIM_TMA_RANK], strides[SIM_TMA_RANK];
  uint32_t box[SIM_TMA_RANK], elem_strides[SIM_TMA_RANK];
  uint8_t rank;
  uint8_t type;    // sim_tma_type
  uint8_t swizzle; // sim_tma_swizzle
  uint8_t interleave;
  bool nan_fill; // out-of-bounds elements of a load: NaN pattern, else zeros
} sim_tensor_map;

bool sim_tma_type_of_name(const char *name, uint8_t *out);    // "bf16", "u4_align8b", ...
bool sim_tma_swizzle_of_name(const char *name, uint8_t *out); // "none", "128B", ...

// NULL when the driver would accept the arguments, else what is wrong; the text lives until the
// thread's next check.
const char *sim_tensor_map_check(const sim_tensor_map *map);
void sim_tensor_map_encode(const sim_tensor_map *map, uint8_t out[SIM_TENSOR_MAP_BYTES]);
// false: the bytes are no tensor map.
bool sim_tensor_map_decode(const uint8_t in[SIM_TENSOR_MAP_BYTES], sim_tensor_map *out);

// For tensormap.replace: 128 zero bytes are an empty map, and a map under construction may not pass
// the checks yet. false: neither.
bool sim_tensor_map_decode_raw(const uint8_t in[SIM_TENSOR_MAP_BYTES], sim_tensor_map *out);
typedef enum sim_tensor_map_field {
  SIM_MAP_ADDRESS,
  SIM_MAP_RANK, // value: rank - 1
  SIM_MAP_TYPE, // PTX's numbers
  SIM_MAP_INTERLEAVE,
  SIM_MAP_SWIZZLE,
  SIM_MAP_ATOMICITY,
  SIM_MAP_FILL,
  SIM_MAP_BOX,
  SIM_MAP_DIM,
  SIM_MAP_STRIDE,
  SIM_MAP_ELEM_STRIDE,
  SIM_MAP_FIELDS
} sim_tensor_map_field;
// false: no such value or ordinal.
bool sim_tensor_map_replace(sim_tensor_map *map, sim_tensor_map_field field, uint32_t ordinal,
                            uint64_t value);

// A box as rows of the innermost dimension.
typedef struct sim_tma_box {
  uint32_t count[SIM_TMA_RANK]; // elements copied along each dimension
  uint64_t rows;
  uint32_t elem_bits;
  uint32_t row_bytes;    // of a row in global memory
  uint32_t chunk_bytes;  // of them in each 16 bytes of shared memory: 16, 12 or 8
  uint32_t chunks;       // 16-byte units of a row in shared memory
  uint32_t pitch;        // from row to row in shared memory
  uint64_t shared_bytes; // rows * pitch
  uint64_t tx_bytes;
} sim_tma_box;
// gather: .tile::gather4 and .tile::scatter4, four rows of a 2-D map.
void sim_tma_box_of(const sim_tensor_map *map, bool gather, sim_tma_box *out);

// What row `row` of the box at `coords` touches. For gather, coords are column and four rows.
typedef struct sim_tma_row {
  uint64_t address;     // of the first byte inside, in global memory
  uint32_t skip, bytes; // bytes of the row before it, and inside; 0: the row lies outside
} sim_tma_row;
void sim_tma_row_of(const sim_tensor_map *map, const sim_tma_box *box, const int32_t *coords,
                    bool gather, bool store, uint64_t row, sim_tma_row *out);

uint64_t sim_tma_swizzled(uint8_t swizzle, uint64_t address);
uint32_t sim_tma_shared_align(uint8_t swizzle); // least alignment of the shared address
// What a load does to the elements of a row: rounding to tf32.
void sim_tma_convert(uint8_t type, uint8_t *bytes, uint32_t len);
#endif
