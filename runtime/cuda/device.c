// Device "cuda:N": opening a GPU, and its memory.
#include "lang/target.h"
#include "runtime/cuda/cuda_device.h"
#include "runtime/status.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tile_status cu_fail(const cu_api *cu, CUresult result, const char *what) {
  const char *name = NULL, *text = NULL;
  if (cu->cuGetErrorName(result, &name) || !name)
    name = "unknown error";
  if (cu->cuGetErrorString(result, &text) || !text)
    text = "no description";
  return tile_fail(result == CU_OUT_OF_MEMORY ? TILE_E_NOMEM : TILE_E_DRIVER, "%s: %s (%d): %s",
                   what, name, result, text);
}

tile_status cu_enter(const cu_device *gpu, bool *out_pushed) {
  CUcontext current = NULL;
  *out_pushed = false;
  CU_TRY(gpu->cu, cuCtxGetCurrent, &current);
  if (current == gpu->context)
    return TILE_OK;
  CU_TRY(gpu->cu, cuCtxPushCurrent, gpu->context);
  *out_pushed = true;
  return TILE_OK;
}

void cu_leave(const cu_device *gpu, bool pushed) {
  CUcontext popped;
  if (pushed)
    gpu->cu->cuCtxPopCurrent(&popped);
}

// Runs one driver call inside the device's context.
#define IN_CONTEXT(gpu, function, ...)                                                             \
  do {                                                                                             \
    bool pushed_;                                                                                  \
    TILE_TRY(cu_enter(gpu, &pushed_));                                                             \
    CUresult result_ = (gpu)->cu->function(__VA_ARGS__);                                           \
    tile_status status_ = result_ ? cu_fail((gpu)->cu, result_, #function) : TILE_OK;              \
    cu_leave(gpu, pushed_);                                                                        \
    return status_;                                                                                \
  } while (0)

static CUdeviceptr address_of(const void *address) { return (CUdeviceptr)(uintptr_t)address; }

static tile_status alloc_gpu(tile_device *device, size_t bytes, const char *name,
                             void **out_address) {
  const cu_device *gpu = (const cu_device *)device;
  bool pushed;
  (void)name;
  TILE_TRY(cu_enter(gpu, &pushed));
  CUdeviceptr address = 0;
  CUresult result = gpu->cu->cuMemAlloc(&address, bytes);
  cu_leave(gpu, pushed);
  if (result)
    return cu_fail(gpu->cu, result, "cuMemAlloc");
  *out_address = (void *)(uintptr_t)address;
  return TILE_OK;
}

static tile_status release_gpu(tile_device *device, void *address) {
  IN_CONTEXT((const cu_device *)device, cuMemFree, address_of(address));
}

static tile_status write_gpu(tile_device *device, void *address, const void *host, size_t bytes) {
  IN_CONTEXT((const cu_device *)device, cuMemcpyHtoD, address_of(address), host, bytes);
}

// Orders after work on other streams too: non-blocking streams do not wait for the default one.
static tile_status sync_gpu(tile_device *device) {
  IN_CONTEXT((const cu_device *)device, cuCtxSynchronize);
}

static tile_status read_gpu(tile_device *device, const void *address, void *host, size_t bytes) {
  TILE_TRY(sync_gpu(device));
  IN_CONTEXT((const cu_device *)device, cuMemcpyDtoH, host, address_of(address), bytes);
}

static tile_status fill_gpu(tile_device *device, void *address, uint8_t byte, size_t bytes,
                            bool as_uninitialised) {
  (void)as_uninitialised; // a GPU does not remember
  IN_CONTEXT((const cu_device *)device, cuMemsetD8, address_of(address), byte, bytes);
}

static void close_gpu(tile_device *device) {
  cu_device *gpu = (cu_device *)device;
  gpu->cu->cuDevicePrimaryCtxRelease(gpu->ordinal);
  free(gpu);
}

static const tile_device_ops cuda_ops = {
    .close = close_gpu,
    .alloc = alloc_gpu,
    .release = release_gpu,
    .write = write_gpu,
    .read = read_gpu,
    .fill = fill_gpu,
    .sync = sync_gpu,
    .load = cu_load,
    .unload = cu_unload,
    .launch = cu_launch,
    .bench = cu_bench,
    .capturing = cu_capturing,
    .encode_tmap = cu_encode_tmap,
    .retarget_tmap = cu_retarget_tmap,
};

// "sm_90a" for a GPU of the table; another one gets its plain number, for which nothing is
// compiled.
static void name_arch(tile_device *device, int capability) {
  snprintf(device->arch, sizeof device->arch, "sm_%d", capability);
  for (int id = TL_NO_TARGET + 1; id < TL_TARGET_COUNT; id++)
    if (tl_target_of((tl_target_id)id)->capability == capability)
      snprintf(device->arch, sizeof device->arch, "%s", tl_target_of((tl_target_id)id)->name);
}

static tile_status read_facts(cu_device *gpu) {
  const cu_api *cu = gpu->cu;
  int major = 0, minor = 0;
  CU_TRY(cu, cuDeviceGetName, gpu->base.name, (int)sizeof gpu->base.name, gpu->ordinal);
  CU_TRY(cu, cuDeviceGetAttribute, &gpu->base.sms, CU_ATTR_MULTIPROCESSOR_COUNT, gpu->ordinal);
  CU_TRY(cu, cuDeviceGetAttribute, &gpu->l2_bytes, CU_ATTR_L2_CACHE_SIZE, gpu->ordinal);
  CU_TRY(cu, cuDeviceGetAttribute, &gpu->smem_optin_bytes, CU_ATTR_SMEM_PER_BLOCK_OPTIN,
         gpu->ordinal);
  CU_TRY(cu, cuDeviceGetAttribute, &major, CU_ATTR_CAPABILITY_MAJOR, gpu->ordinal);
  CU_TRY(cu, cuDeviceGetAttribute, &minor, CU_ATTR_CAPABILITY_MINOR, gpu->ordinal);
  name_arch(&gpu->base, major * 10 + minor);
  CU_TRY(cu, cuDevicePrimaryCtxRetain, &gpu->context, gpu->ordinal);
  return TILE_OK;
}

static tile_status find_ordinal(const cu_api *cu, const char *rest, CUdevice *out) {
  char *end;
  long index = strtol(rest, &end, 10);
  int count = 0;
  CU_TRY(cu, cuDeviceGetCount, &count);
  if (end == rest || *end || index < 0)
    return tile_fail(TILE_E_INVALID, "'cuda:%s': N must be a number from 0", rest);
  if (index >= count)
    return tile_fail(TILE_E_NO_DEVICE, "cuda:%ld: this machine has %d GPU%s", index, count,
                     count == 1 ? "" : "s");
  CU_TRY(cu, cuDeviceGet, out, (int)index);
  return TILE_OK;
}

tile_status tile_open_cuda(const char *rest, tile_device **out) {
  const cu_api *cu;
  CUdevice ordinal;
  TILE_TRY(cu_get_api(&cu));
  TILE_TRY(find_ordinal(cu, rest, &ordinal));
  cu_device *gpu = calloc(1, sizeof *gpu);
  if (!gpu)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  gpu->base.ops = &cuda_ops;
  gpu->cu = cu;
  gpu->ordinal = ordinal;
  tile_status status = read_facts(gpu);
  if (status == TILE_OK)
    *out = &gpu->base;
  else
    free(gpu);
  return status;
}
