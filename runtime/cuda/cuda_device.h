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

typedef struct cu_code {
  tile_code base;
  CUlibrary library;
  CUkernel kernel;
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
bool cu_capturing(tile_device *device, void *stream);
#endif
