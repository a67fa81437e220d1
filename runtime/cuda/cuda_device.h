// One GPU, shared by the files of this folder.
#ifndef RUNTIME_CUDA_CUDA_DEVICE_H
#define RUNTIME_CUDA_CUDA_DEVICE_H
#include "runtime/cuda/cu.h"
#include "runtime/device.h"

typedef struct cu_device {
  tile_device base;
  const cu_api *cu;
  CUdevice ordinal;
  CUcontext context; // the primary one, retained: what the CUDA runtime and PyTorch use
  int smem_optin_bytes, l2_bytes;
} cu_device;

enum { CU_MAX_MOVES = 64 };

typedef struct cu_code {
  tile_code base;
  CUlibrary library;
  CUkernel kernel;
  // Where the code wants each parameter, when that is not where the artifact packs it: ptxas aligns
  // TMA descriptors within the constant bank, whose parameters do not start at a multiple of 64.
  int nmoves;
  struct {
    uint32_t from, to, bytes;
  } moves[CU_MAX_MOVES];
  size_t moved_bytes;
} cu_code;

// Makes the device's context current if it is not; cu_leave undoes exactly that.
tile_status cu_enter(const cu_device *gpu, bool *out_pushed);
void cu_leave(const cu_device *gpu, bool pushed);

tile_status cu_load(tile_device *device, const tile_code_source *source, tile_code **out);
void cu_unload(tile_device *device, tile_code *code);
tile_status cu_launch(tile_device *device, tile_code *code, const tile_dispatch *dispatch,
                      void *stream);
tile_status cu_bench(tile_device *device, tile_code *code, const tile_dispatch *dispatch, int runs,
                     double *out_median_ms, double *out_min_ms);
tile_status cu_encode_tmap(tile_device *device, const tile_tmap_desc *desc, void *out);
tile_status cu_retarget_tmap(tile_device *device, void *map, uint64_t address);
bool cu_capturing(tile_device *device, void *stream);
#endif
