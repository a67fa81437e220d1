// Contents for tensors that are not read from files.
//
// Random values are the same on every machine: no libm, only integer arithmetic and exact sums. The
// stream depends on the seed and the tensor's name, and elements are drawn in row-major order of
// the logical tensor, so a layout changes addresses but no value.
#include "lang/base/fp.h"
#include "lang/base/str.h"
#include "runtime/tilerun.h"
#include <string.h>

static uint64_t next_random(uint64_t *state) { // splitmix64 (Vigna, public domain)
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static uint64_t stream_of(uint64_t seed, const char *name) {
  uint64_t state = 0xCBF29CE484222325u; // FNV-1a of the name
  for (; *name; name++)
    state = (state ^ (unsigned char)*name) * 0x100000001B3u;
  return state ^ seed * 0x9E3779B97F4A7C15u;
}

// Twelve uniform numbers have variance 1: their sum less 6 is near enough to normal, and exact.
static double normal(uint64_t *state) {
  int64_t sum = 0;
  for (int i = 0; i < 3; i++) {
    uint64_t word = next_random(state);
    for (int j = 0; j < 4; j++)
      sum += (int64_t)(word >> 16 * j & 0xFFFF);
  }
  return (double)(sum - 6 * 65536) / 65536;
}

static double uniform(uint64_t *state) {
  return (double)(next_random(state) >> 11) / 9007199254740992.0;
}

static bool is_scale(const tile_param *param) {
  return tl_starts_with(param->name, "SF") || tl_starts_with(param->name, "sf") ||
         strstr(param->name, "scale") != NULL;
}

static uint64_t random_bits(const tile_param *param, uint64_t *state) {
  tl_dtype dtype = param->dtype;
  if (dtype == TL_UE8M0) // 2^-3 .. 2^4
    return 124 + (next_random(state) >> 61);
  if (tl_is_float(dtype)) {
    double value = is_scale(param) ? 0.5 + uniform(state) : normal(state);
    return tl_fp_encode(dtype, value, TL_RN, true);
  }
  int64_t small = (int64_t)(next_random(state) >> 60); // 0 .. 15
  if (tl_dtype_bits(dtype) == 1)
    return (uint64_t)small & 1;
  return (uint64_t)(tl_is_signed(dtype) ? small - 8 : small);
}

void run_put_bits(tl_dtype dtype, unsigned char *bytes, int64_t offset, uint64_t bits) {
  int width = tl_dtype_bits(dtype);
  if (width == 4) { // even element in the low nibble
    unsigned char *at = bytes + offset / 2;
    int shift = (int)(offset % 2) * 4;
    *at = (unsigned char)((*at & ~(15 << shift)) | (int)(bits & 15) << shift);
    return;
  }
  size_t size = width < 8 ? 1 : (size_t)width / 8;
  memcpy(bytes + offset * (int64_t)size, &bits, size);
}

void run_fill_random(run_tensor *tensor, uint64_t seed) {
  const tile_param *param = tensor->param;
  uint64_t state = stream_of(seed, param->name);
  int64_t at[TILE_MAX_RANK] = {0}, count = 1;
  for (int i = 0; i < param->ndim; i++)
    count *= tensor->shape[i];
  for (int64_t n = 0; n < count; n++) {
    int64_t offset = 0;
    for (int i = 0; i < param->ndim; i++)
      offset += at[i] * tensor->stride[i];
    run_put_bits(param->dtype, tensor->host, offset, random_bits(param, &state));
    for (int i = param->ndim - 1; i >= 0 && ++at[i] == tensor->shape[i]; i--)
      at[i] = 0;
  }
}

void run_random_elements(const tile_param *param, uint64_t seed, unsigned char *bytes, int64_t count) {
  uint64_t state = stream_of(seed, param->name);
  for (int64_t i = 0; i < count; i++)
    run_put_bits(param->dtype, bytes, i, random_bits(param, &state));
}
