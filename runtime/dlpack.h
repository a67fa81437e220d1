// DLPack's view of a tensor, as far as libtile reads it. Layout and values are those of
// dlpack.h 1.x.
#ifndef RUNTIME_DLPACK_H
#define RUNTIME_DLPACK_H
#include <stdint.h>

enum { TILE_DL_CPU = 1, TILE_DL_CUDA = 2 }; // DLDeviceType

typedef struct tile_dl_tensor { // DLTensor
  void *data;
  struct {
    int32_t type, id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} tile_dl_tensor;
#endif
