// Code on a GPU: loading, launching, measuring.
//
// A cubin is preferred; when the driver refuses it (another revision of the chip) and the artifact
// has PTX, the driver compiles that, once, here and never at launch.
#include "runtime/cuda/cuda_device.h"
#include "runtime/counters.h"
#include "runtime/status.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// PTX gets a buffer for the driver's own compiler to complain into.
static tile_status load_library(const cu_device *gpu, const char *label, const void *image,
                                bool is_ptx, CUlibrary *out) {
  const cu_api *cu = gpu->cu;
  char log[4096] = "";
  int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)(uintptr_t)sizeof log};
  CUresult result =
      cu->cuLibraryLoadData(out, image, options, values, is_ptx ? 2 : 0, NULL, NULL, 0);
  if (!result)
    return TILE_OK;
  tile_status status = cu_fail(cu, result, label);
  return *log ? tile_fail(status, "%s\n%.*s", tile_last_error(), (int)sizeof log - 1, log) : status;
}

// The artifact's parameter list against the code's, where the driver can tell (CUDA 12.4).
static tile_status check_params(const cu_device *gpu, const tile_code_source *source,
                                cu_code *code) {
  CUkernel kernel = code->kernel;
  bool has_descriptor = false, differs = false;
  for (int i = 0; i < source->nparams; i++)
    has_descriptor = has_descriptor || source->param_sizes[i] == TILE_TMAP_BYTES;
  if (!gpu->cu->cuKernelGetParamInfo)
    return TILE_OK;
  for (int i = 0; i < source->nparams; i++) { // asking for one more would be an error of its own
    size_t offset = 0, size = 0;
    if (gpu->cu->cuKernelGetParamInfo(kernel, (size_t)i, &offset, &size) != 0)
      return tile_fail(TILE_E_FORMAT,
                       "%s: the code does not take the %d parameters of the artifact",
                       source->label, source->nparams);
    bool moved = offset != source->param_offsets[i];
    if ((moved && !has_descriptor) || size != source->param_sizes[i])
      return tile_fail(TILE_E_FORMAT,
                       "%s: parameter %d lies at %zu with %zu bytes in the code, at %u with %u in "
                       "the artifact",
                       source->label, i, offset, size, source->param_offsets[i],
                       source->param_sizes[i]);
    differs = differs || moved;
    if (i == CU_MAX_MOVES || offset + size > TILE_MAX_PARAM_BYTES)
      return tile_fail(TILE_E_UNSUPPORTED, "%s: too many parameters", source->label);
    code->moves[i].from = source->param_offsets[i];
    code->moves[i].to = (uint32_t)offset;
    code->moves[i].bytes = (uint32_t)size;
    code->moved_bytes = offset + size;
  }
  code->nmoves = differs ? source->nparams : 0;
  return TILE_OK;
}

static tile_status set_up_kernel(const cu_device *gpu, const tile_code_source *source,
                                 cu_code *code) {
  const cu_api *cu = gpu->cu;
  CU_TRY(cu, cuLibraryGetKernel, &code->kernel, code->library, source->symbol);
  TILE_TRY(check_params(gpu, source, code));
  if (source->smem_bytes > (uint32_t)gpu->smem_optin_bytes)
    return tile_fail(TILE_E_UNSUPPORTED, "%s needs %u bytes of shared memory, the device has %d",
                     source->label, source->smem_bytes, gpu->smem_optin_bytes);
  CU_TRY(cu, cuKernelSetAttribute, CU_FUNC_MAX_DYNAMIC_SMEM, (int)source->smem_bytes, code->kernel,
         gpu->ordinal);
  CU_TRY(cu, cuKernelGetAttribute, &code->base.regs, CU_FUNC_NUM_REGS, code->kernel, gpu->ordinal);
  // Kernels pass where functions are wanted, in the current context (driver API, cuLaunchKernelEx).
  CU_TRY(cu, cuOccupancyMaxActiveBlocksPerMultiprocessor, &code->base.ctas_per_sm,
         (CUfunction)code->kernel, (int)source->threads, source->smem_bytes);
  if (code->base.ctas_per_sm < 1)
    return tile_fail(TILE_E_UNSUPPORTED,
                     "%s does not fit on an SM: %u threads, %d registers, %u bytes", source->label,
                     source->threads, code->base.regs, source->smem_bytes);
  return TILE_OK;
}

// A driver that loads lazily tells only with the kernel that it does not like the image, so both
// steps count as loading it.
static tile_status load_image(const cu_device *gpu, const tile_code_source *source,
                              const void *image, bool is_ptx, cu_code *code) {
  tile_status status = load_library(gpu, source->label, image, is_ptx, &code->library);
  if (status == TILE_OK)
    status = set_up_kernel(gpu, source, code);
  if (status != TILE_OK && code->library) {
    gpu->cu->cuLibraryUnload(code->library);
    code->library = NULL;
  }
  return status;
}

tile_status cu_load(tile_device *device, const tile_code_source *source, tile_code **out) {
  const cu_device *gpu = (const cu_device *)device;
  cu_code *code = calloc(1, sizeof *code);
  if (!code)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  bool pushed = false;
  tile_status status = cu_enter(gpu, &pushed);
  if (status == TILE_OK) {
    status = TILE_E_DRIVER;
    if (source->cubin)
      status = load_image(gpu, source, source->cubin, false, code);
    if (status == TILE_E_DRIVER && source->ptx) {
      tile_count(TILE_COUNT_JIT_COMPILES);
      status = load_image(gpu, source, source->ptx, true, code);
    }
    cu_leave(gpu, pushed);
  }
  if (status == TILE_OK)
    *out = &code->base;
  else
    free(code);
  return status;
}

void cu_unload(tile_device *device, tile_code *base) {
  const cu_device *gpu = (const cu_device *)device;
  cu_code *code = (cu_code *)base;
  bool pushed;
  if (cu_enter(gpu, &pushed) == TILE_OK) {
    gpu->cu->cuLibraryUnload(code->library);
    cu_leave(gpu, pushed);
  }
  free(code);
}

// --- launching ---------------------------------------------------------------------------------

// In the current context. One packed block of parameters: cheaper than one pointer for each.
static CUresult launch_here(const cu_device *gpu, const cu_code *code,
                            const tile_dispatch *dispatch, CUstream stream) {
  size_t bytes = code->nmoves ? code->moved_bytes : dispatch->params_bytes;
  unsigned char moved[TILE_MAX_PARAM_BYTES];
  const unsigned char *params = dispatch->params;
  for (int i = 0; i < code->nmoves; i++)
    memcpy(moved + code->moves[i].to, params + code->moves[i].from, code->moves[i].bytes);
  void *extra[] = {CU_PARAM_BUFFER_POINTER, code->nmoves ? moved : (void *)params,
                   CU_PARAM_BUFFER_SIZE, &bytes, CU_PARAM_END};
  CUlaunchConfig config = {
      .gridDimX = dispatch->grid[0],
      .gridDimY = dispatch->grid[1],
      .gridDimZ = dispatch->grid[2],
      .blockDimX = dispatch->threads,
      .blockDimY = 1,
      .blockDimZ = 1,
      .sharedMemBytes = dispatch->smem_bytes,
      .hStream = stream,
  };
  return gpu->cu->cuLaunchKernelEx(&config, (CUfunction)code->kernel, NULL, extra);
}

tile_status cu_launch(tile_device *device, tile_code *base, const tile_dispatch *dispatch,
                      void *stream) {
  const cu_device *gpu = (const cu_device *)device;
  bool pushed;
  TILE_TRY(cu_enter(gpu, &pushed));
  CUresult result = launch_here(gpu, (const cu_code *)base, dispatch, stream);
  cu_leave(gpu, pushed);
  return result ? cu_fail(gpu->cu, result, "cuLaunchKernelEx") : TILE_OK;
}

bool cu_capturing(tile_device *device, void *stream) {
  const cu_device *gpu = (const cu_device *)device;
  int status = CU_CAPTURE_NONE;
  bool pushed;
  if (!stream || cu_enter(gpu, &pushed) != TILE_OK) // the default stream cannot be captured
    return false;
  CUresult result = gpu->cu->cuStreamIsCapturing(stream, &status);
  cu_leave(gpu, pushed);
  return result == 0 && status != CU_CAPTURE_NONE;
}

// --- measuring ---------------------------------------------------------------------------------

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

typedef struct bench {
  CUevent start, end;
  CUdeviceptr flush; // larger than L2: writing it evicts everything else
  size_t flush_bytes;
  float *times;
} bench;

static tile_status measure(const cu_device *gpu, const cu_code *code, const tile_dispatch *dispatch,
                           int runs, bench *b) {
  const cu_api *cu = gpu->cu;
  CU_TRY(cu, cuEventCreate, &b->start, 0);
  CU_TRY(cu, cuEventCreate, &b->end, 0);
  CU_TRY(cu, cuMemAlloc, &b->flush, b->flush_bytes);
  for (int i = -2; i < runs; i++) { // two warm-ups
    CU_TRY(cu, cuMemsetD8Async, b->flush, (unsigned char)i, b->flush_bytes, NULL);
    CU_TRY(cu, cuEventRecord, b->start, NULL);
    CUresult result = launch_here(gpu, code, dispatch, NULL);
    if (result)
      return cu_fail(cu, result, "cuLaunchKernelEx");
    CU_TRY(cu, cuEventRecord, b->end, NULL);
    CU_TRY(cu, cuEventSynchronize, b->end);
    float ms;
    CU_TRY(cu, cuEventElapsedTime, &ms, b->start, b->end);
    if (i >= 0)
      b->times[i] = ms;
  }
  return TILE_OK;
}

tile_status cu_bench(tile_device *device, tile_code *code, const tile_dispatch *dispatch, int runs,
                     double *out_median_ms, double *out_min_ms) {
  const cu_device *gpu = (const cu_device *)device;
  size_t l2 = gpu->l2_bytes > 0 ? (size_t)gpu->l2_bytes : (size_t)64 << 20;
  bench b = {.flush_bytes = 4 * l2, .times = calloc((size_t)runs, sizeof(float))};
  if (!b.times)
    return tile_fail(TILE_E_NOMEM, "out of memory");
  bool pushed = false;
  tile_status status = cu_enter(gpu, &pushed);
  if (status == TILE_OK) {
    status = measure(gpu, (const cu_code *)code, dispatch, runs, &b);
    if (b.flush)
      gpu->cu->cuMemFree(b.flush);
    if (b.start)
      gpu->cu->cuEventDestroy(b.start);
    if (b.end)
      gpu->cu->cuEventDestroy(b.end);
    cu_leave(gpu, pushed);
  }
  if (status == TILE_OK) {
    qsort(b.times, (size_t)runs, sizeof *b.times, by_value);
    *out_median_ms = runs % 2 ? b.times[runs / 2] : (b.times[runs / 2 - 1] + b.times[runs / 2]) / 2;
    *out_min_ms = b.times[0];
  }
  free(b.times);
  return status;
}
