// Tensor maps and boxes (see tma.h).
#include "runtime/sim/tma.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  uint8_t bits;
} types[SIM_TMA_TYPES] = {
    {"u8", 8},        {"u16", 16},       {"u32", 32},        {"s32", 32},
    {"u64", 64},      {"s64", 64},       {"f16", 16},        {"f32", 32},
    {"f64", 64},      {"bf16", 16},      {"f32_ftz", 32},    {"tf32", 32},
    {"tf32_ftz", 32}, {"u4_align8b", 4}, {"u4_align16b", 4}, {"u6_align16b", 6}};

bool sim_tma_type_of_name(const char *name, uint8_t *out) {
  static const char *const other[][2] = {{"i32", "s32"},
                                         {"i64", "s64"},
                                         {"16u4_align8b", "u4_align8b"},
                                         {"16u4_align16b", "u4_align16b"},
                                         {"16u6_align16b", "u6_align16b"}};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++)
    if (strcmp(name, other[i][0]) == 0)
      name = other[i][1];
  for (uint8_t i = 0; i < SIM_TMA_TYPES; i++)
    if (strcmp(name, types[i].name) == 0)
      return *out = i, true;
  return false;
}

bool sim_tma_swizzle_of_name(const char *name, uint8_t *out) {
  static const char *const names[SIM_TMA_SWIZZLES] = {
      "none", "32B", "64B", "128B", "128B_ATOM_32B", "128B_ATOM_32B_FLIP_8B", "128B_ATOM_64B"};
  for (uint8_t i = 0; i < SIM_TMA_SWIZZLES; i++)
    if (strcmp(name, names[i]) == 0)
      return *out = i, true;
  return false;
}

static bool padded(uint8_t type) {
  return type == SIM_TMA_U4_ALIGN16B || type == SIM_TMA_U6_ALIGN16B;
}

static uint32_t span_of(uint8_t swizzle) {
  static const uint8_t spans[SIM_TMA_SWIZZLES] = {0, 32, 64, 128, 128, 128, 128};
  return spans[swizzle];
}

// Bytes of the innermost box dimension in shared memory.
static uint32_t inner_bytes(const sim_tensor_map *map) {
  return padded(map->type) ? map->box[0] : map->box[0] * types[map->type].bits / 8;
}

// Texts with values live until the thread's next check.
__attribute__((format(printf, 1, 2))) static const char *refused(const char *fmt, ...) {
  static _Thread_local char text[160];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  return text;
}

static const char *check_dim(const sim_tensor_map *map, int i, uint32_t unit) {
  if (map->dims[i] < 1 || map->dims[i] > UINT64_C(1) << 32)
    return refused("dimension %d is %" PRIu64 ", it must be 1 to 2^32", i, map->dims[i]);
  if (map->box[i] < 1 || map->box[i] > 256)
    return refused("dimension %d of the box is %u, it must be 1 to 256", i, map->box[i]);
  if (map->elem_strides[i] < 1 || map->elem_strides[i] > 8)
    return refused("element stride %d is %u, it must be 1 to 8", i, map->elem_strides[i]);
  if (i && map->strides[i] % unit)
    return refused("the stride of dimension %d is %" PRIu64 " bytes, not a multiple of %u", i,
                   map->strides[i], unit);
  if (i && map->strides[i] >= UINT64_C(1) << 40)
    return refused("the stride of dimension %d is %" PRIu64 " bytes, it must be below 2^40", i,
                   map->strides[i]);
  return NULL;
}

const char *sim_tensor_map_check(const sim_tensor_map *map) {
  if (map->rank < 1 || map->rank > SIM_TMA_RANK)
    return "the rank must be 1 to 5";
  if (map->type >= SIM_TMA_TYPES)
    return "unknown data type";
  if (map->swizzle >= SIM_TMA_SWIZZLES)
    return "unknown swizzle";
  if (map->interleave)
    return "interleaved layouts are not supported";
  uint32_t unit = padded(map->type) ? 32 : 16, bits = types[map->type].bits;
  if (map->address % unit)
    return refused("the address 0x%" PRIx64 " is not a multiple of %u", map->address, unit);
  for (int i = 0; i < map->rank; i++) {
    const char *error = check_dim(map, i, unit);
    if (error)
      return error;
  }
  if (padded(map->type) && (map->box[0] != 128 || map->dims[0] % 128))
    return "this type needs a box of 128 and a multiple of 128 elements";
  if (map->type == SIM_TMA_U4_ALIGN8B && map->dims[0] % 2)
    return "the innermost dimension must be even";
  if (map->box[0] * bits % 128 && !padded(map->type))
    return refused("the innermost box has %u bytes, not a multiple of 16", map->box[0] * bits / 8);
  if (span_of(map->swizzle) && inner_bytes(map) > span_of(map->swizzle))
    return refused("the innermost box of %u bytes is wider than the swizzle of %u",
                   inner_bytes(map), span_of(map->swizzle));
  bool is_float = (map->type >= SIM_TMA_F16 && map->type <= SIM_TMA_TF32_FTZ);
  if (map->nan_fill && !is_float)
    return "NaN fill needs a floating-point type";
  if (padded(map->type) && map->swizzle != SIM_TMA_PLAIN && map->swizzle != SIM_TMA_128B &&
      map->swizzle != SIM_TMA_128B_ATOM_32B &&
      !(map->type == SIM_TMA_U6_ALIGN16B && map->swizzle == SIM_TMA_128B_ATOM_64B))
    return "this type does not take this swizzle";
  return NULL;
}

// --- encoding -----------------------------------------------------------------------------------
static const uint8_t magic[8] = {'t', 'i', 'l', 'e', 'm', 'a', 'p', 1};

typedef struct packed { // what lies in the 128 bytes
  uint8_t magic[8];
  uint64_t address, strides[4];
  uint32_t last[SIM_TMA_RANK]; // dims - 1
  uint8_t box[SIM_TMA_RANK], elem_strides[SIM_TMA_RANK];
  uint8_t rank, type, swizzle, interleave, nan_fill;
  uint32_t check;
} packed;
_Static_assert(sizeof(packed) <= SIM_TENSOR_MAP_BYTES, "a tensor map has 128 bytes");

static uint32_t checksum(const packed *p) {
  const uint8_t *bytes = (const uint8_t *)p;
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < offsetof(packed, check); i++)
    h = (h ^ bytes[i]) * 16777619u;
  return h;
}

void sim_tensor_map_encode(const sim_tensor_map *map, uint8_t out[SIM_TENSOR_MAP_BYTES]) {
  packed p;
  memset(&p, 0, sizeof p);
  memcpy(p.magic, magic, sizeof magic);
  p.address = map->address;
  for (int i = 0; i < SIM_TMA_RANK; i++) { // beyond the rank: for maps under construction
    if (i)
      p.strides[i - 1] = map->strides[i];
    p.last[i] = (uint32_t)(map->dims[i] - 1);
    p.box[i] = (uint8_t)(map->box[i] - 1);
    p.elem_strides[i] = (uint8_t)map->elem_strides[i];
  }
  p.rank = map->rank, p.type = map->type, p.swizzle = map->swizzle;
  p.interleave = map->interleave, p.nan_fill = map->nan_fill;
  p.check = checksum(&p);
  memset(out, 0, SIM_TENSOR_MAP_BYTES);
  memcpy(out, &p, sizeof p);
}

static bool unpack(const uint8_t in[SIM_TENSOR_MAP_BYTES], int dims, sim_tensor_map *out) {
  packed p;
  memcpy(&p, in, sizeof p);
  if (memcmp(p.magic, magic, sizeof magic) != 0 || p.check != checksum(&p))
    return false;
  *out = (sim_tensor_map){.address = p.address,
                          .rank = p.rank,
                          .type = p.type,
                          .swizzle = p.swizzle,
                          .interleave = p.interleave,
                          .nan_fill = p.nan_fill != 0};
  for (int i = 0; i < (dims ? dims : p.rank) && i < SIM_TMA_RANK; i++) {
    out->dims[i] = (uint64_t)p.last[i] + 1;
    out->strides[i] = i ? p.strides[i - 1] : 0;
    out->box[i] = (uint32_t)p.box[i] + 1;
    out->elem_strides[i] = p.elem_strides[i];
  }
  return true;
}

bool sim_tensor_map_decode(const uint8_t in[SIM_TENSOR_MAP_BYTES], sim_tensor_map *out) {
  return unpack(in, 0, out) && sim_tensor_map_check(out) == NULL;
}

bool sim_tensor_map_decode_raw(const uint8_t in[SIM_TENSOR_MAP_BYTES], sim_tensor_map *out) {
  static const uint8_t zeros[SIM_TENSOR_MAP_BYTES];
  if (memcmp(in, zeros, sizeof zeros) != 0)
    return unpack(in, SIM_TMA_RANK, out);
  memset(out, 0, sizeof *out);
  return true;
}

// Swizzle and atomicity are two fields of the instruction and one of the driver.
static bool set_swizzle(sim_tensor_map *map, uint64_t mode, uint64_t atomicity) {
  static const uint8_t atoms[] = {SIM_TMA_128B, SIM_TMA_128B_ATOM_32B,
                                  SIM_TMA_128B_ATOM_32B_FLIP_8B, SIM_TMA_128B_ATOM_64B};
  if (mode > 3 || atomicity > 3 || (atomicity && mode != 3))
    return false;
  map->swizzle = mode == 3 ? atoms[atomicity] : (uint8_t)mode;
  return true;
}

bool sim_tensor_map_replace(sim_tensor_map *map, sim_tensor_map_field field, uint32_t ordinal,
                            uint64_t value) {
  static const uint8_t ptx_types[SIM_TMA_TYPES] = {
      SIM_TMA_U8,       SIM_TMA_U16,        SIM_TMA_U32,         SIM_TMA_S32,
      SIM_TMA_U64,      SIM_TMA_S64,        SIM_TMA_F16,         SIM_TMA_F32,
      SIM_TMA_F32_FTZ,  SIM_TMA_F64,        SIM_TMA_BF16,        SIM_TMA_TF32,
      SIM_TMA_TF32_FTZ, SIM_TMA_U4_ALIGN8B, SIM_TMA_U4_ALIGN16B, SIM_TMA_U6_ALIGN16B};
  uint64_t mode = map->swizzle > 3 ? 3 : map->swizzle;
  if (field == SIM_MAP_STRIDE)
    ordinal++;
  if (ordinal >= SIM_TMA_RANK)
    return false;
  switch (field) {
  case SIM_MAP_ADDRESS:
    map->address = value;
    return true;
  case SIM_MAP_RANK:
    map->rank = (uint8_t)(value + 1);
    return value < SIM_TMA_RANK;
  case SIM_MAP_TYPE:
    if (value < SIM_TMA_TYPES)
      map->type = ptx_types[value];
    return value < SIM_TMA_TYPES;
  case SIM_MAP_INTERLEAVE:
    map->interleave = (uint8_t)value;
    return value <= 2;
  case SIM_MAP_SWIZZLE:
    return set_swizzle(map, value, 0);
  case SIM_MAP_ATOMICITY:
    return set_swizzle(map, mode, value);
  case SIM_MAP_FILL:
    map->nan_fill = value == 1;
    return value <= 1;
  case SIM_MAP_BOX:
    map->box[ordinal] = (uint32_t)value;
    return value >= 1 && value <= 256;
  case SIM_MAP_DIM:
    map->dims[ordinal] = value;
    return value >= 1;
  case SIM_MAP_STRIDE:
    map->strides[ordinal] = value;
    return true;
  default:
    map->elem_strides[ordinal] = (uint32_t)value;
    return value >= 1 && value <= 8;
  }
}

// --- boxes --------------------------------------------------------------------------------------
void sim_tma_box_of(const sim_tensor_map *map, bool gather, sim_tma_box *out) {
  memset(out, 0, sizeof *out);
  out->elem_bits = types[map->type].bits;
  out->count[0] = map->box[0]; // the element stride of dimension 0 does not count
  out->rows = 1;
  for (int i = 1; i < map->rank; i++) {
    out->count[i] = (map->box[i] + map->elem_strides[i] - 1) / map->elem_strides[i];
    out->rows *= out->count[i];
  }
  if (gather)
    out->rows = 4;
  out->row_bytes = map->box[0] * out->elem_bits / 8;
  out->chunk_bytes = !padded(map->type) ? 16 : map->type == SIM_TMA_U4_ALIGN16B ? 8 : 12;
  out->chunks = (out->row_bytes + out->chunk_bytes - 1) / out->chunk_bytes;
  out->pitch = span_of(map->swizzle) ? span_of(map->swizzle) : out->chunks * 16;
  out->shared_bytes = out->rows * out->pitch;
  out->tx_bytes = out->rows * out->row_bytes;
}

void sim_tma_row_of(const sim_tensor_map *map, const sim_tma_box *box, const int32_t *coords,
                    bool gather, bool store, uint64_t row, sim_tma_row *out) {
  int64_t first = coords[0], count = box->count[0], dim = (int64_t)map->dims[0];
  uint64_t offset = 0, rest = row;
  *out = (sim_tma_row){0};
  for (int i = 1; i < map->rank; i++) {
    int64_t c = gather ? coords[1 + row]
                       : coords[i] + (int64_t)(rest % box->count[i]) * map->elem_strides[i];
    if (!gather)
      rest /= box->count[i];
    if (c < 0 || c >= (int64_t)map->dims[i])
      return;
    offset += (uint64_t)c * map->strides[i];
  }
  if (store) { // the right edge counts in units of 16 bytes
    int64_t bits = (dim * box->elem_bits + 127) / 128 * 128;
    dim = bits / box->elem_bits;
  }
  int64_t lo = first < 0 ? -first : 0;
  int64_t hi = first + count > dim ? dim - first : count;
  if (lo >= hi)
    return;
  out->skip = (uint32_t)(lo * box->elem_bits / 8);
  out->bytes = (uint32_t)(hi * box->elem_bits / 8) - out->skip;
  out->address = map->address + offset + (uint64_t)(first + lo) * box->elem_bits / 8;
}

uint64_t sim_tma_swizzled(uint8_t swizzle, uint64_t address) {
  switch (swizzle) {
  case SIM_TMA_32B:
    return address ^ (address >> 3 & 0x10);
  case SIM_TMA_64B:
    return address ^ (address >> 3 & 0x30);
  case SIM_TMA_128B:
    return address ^ (address >> 3 & 0x70);
  case SIM_TMA_128B_ATOM_32B:
    return address ^ (address >> 2 & 0x60);
  case SIM_TMA_128B_ATOM_32B_FLIP_8B:
    return address ^ (address >> 2 & 0x60) ^ (address >> 4 & 0x08);
  case SIM_TMA_128B_ATOM_64B:
    return address ^ (address >> 1 & 0x40);
  default:
    return address;
  }
}

uint32_t sim_tma_shared_align(uint8_t swizzle) {
  (void)swizzle; // the pattern follows absolute addresses: an offset start shifts it, no fault
  return 128;
}

void sim_tma_convert(uint8_t type, uint8_t *bytes, uint32_t len) {
  if (type != SIM_TMA_TF32 && type != SIM_TMA_TF32_FTZ)
    return;
  for (uint32_t i = 0; i + 4 <= len; i += 4) {
    uint32_t x;
    memcpy(&x, bytes + i, 4);
    if ((x & 0x7FFFFFFF) > 0x7F800000)
      x = 0x7FFFE000; // every NaN
    else if ((x & 0x7F800000) != 0x7F800000)
      x = (x + 0xFFF + (x >> 13 & 1)) & 0xFFFFE000; // to nearest, ties to even
    memcpy(bytes + i, &x, 4);
  }
}
