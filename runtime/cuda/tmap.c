// TMA descriptors: our description to the driver's arguments.
#include "runtime/cuda/cuda_device.h"
#include "runtime/status.h"
#include <string.h>

// CUtensorMapDataType of cuda.h; fp8 and other bytes travel as unsigned bytes.
enum { MAP_U8 = 0, MAP_U16 = 1, MAP_U32 = 2, MAP_I32 = 3, MAP_F16 = 6, MAP_F32 = 7, MAP_BF16 = 9 };
enum { L2_PROMOTION_256B = 3, INTERLEAVE_NONE = 0, FILL_ZEROS = 0 };

static int data_type(int32_t dtype) {
  switch (dtype) {
  case TILE_F16:
    return MAP_F16;
  case TILE_BF16:
    return MAP_BF16;
  case TILE_F32:
    return MAP_F32;
  case TILE_I32:
    return MAP_I32;
  case TILE_U32:
    return MAP_U32;
  case TILE_U16:
  case TILE_I16:
    return MAP_U16;
  case TILE_U8:
  case TILE_I8:
  case TILE_F8E4M3:
  case TILE_F8E5M2:
  case TILE_UE8M0:
    return MAP_U8;
  default:
    return -1;
  }
}

static int swizzle_mode(int bytes) {
  return bytes == 128 ? 3 : bytes == 64 ? 2 : bytes == 32 ? 1 : 0;
}

tile_status cu_encode_tmap(tile_device *device, const tile_tmap_desc *desc, void *out) {
  const cu_device *gpu = (const cu_device *)device;
  int type = data_type(desc->dtype);
  if (!gpu->cu->cuTensorMapEncodeTiled || type < 0)
    return tile_fail(TILE_E_UNSUPPORTED, "%s",
                     type < 0 ? "TMA does not know this element type"
                              : "this driver has no cuTensorMapEncodeTiled");
  unsigned long long dims[TILE_TMAP_MAX_RANK], strides[TILE_TMAP_MAX_RANK];
  unsigned box[TILE_TMAP_MAX_RANK], ones[TILE_TMAP_MAX_RANK];
  for (int d = 0; d < desc->rank; d++)
    dims[d] = desc->dims[d], strides[d] = desc->strides_bytes[d], box[d] = desc->box[d],
    ones[d] = 1;
  _Alignas(64) unsigned char map[TILE_TMAP_BYTES];
  bool pushed; // the driver wants a current context, though it only computes
  TILE_TRY(cu_enter(gpu, &pushed));
  CUresult result = gpu->cu->cuTensorMapEncodeTiled(
      map, type, (unsigned)desc->rank, (void *)(uintptr_t)desc->address, dims, strides, box, ones,
      INTERLEAVE_NONE, swizzle_mode(desc->swizzle_bytes), L2_PROMOTION_256B, FILL_ZEROS);
  cu_leave(gpu, pushed);
  if (result)
    return cu_fail(gpu->cu, result, "cuTensorMapEncodeTiled");
  memcpy(out, map, sizeof map);
  return TILE_OK;
}

// Host arithmetic in the driver: no context is needed, nothing is looked up.
tile_status cu_retarget_tmap(tile_device *device, void *map, uint64_t address) {
  const cu_device *gpu = (const cu_device *)device;
  if (!gpu->cu->cuTensorMapReplaceAddress)
    return tile_fail(TILE_E_UNSUPPORTED, "this driver has no cuTensorMapReplaceAddress");
  CU_TRY(gpu->cu, cuTensorMapReplaceAddress, map, (void *)(uintptr_t)address);
  return TILE_OK;
}
