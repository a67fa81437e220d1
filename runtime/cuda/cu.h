// The driver API as far as we use it, declared here so that no CUDA header is needed to build, and
// resolved by dlopen so that no driver is needed to run.
//
// Names and values are those of the CUDA driver API (binary interface of CUDA 12.0 and later).
#ifndef RUNTIME_CUDA_CU_H
#define RUNTIME_CUDA_CU_H
#include "runtime/tile.h"
#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUfunc_st *CUfunction;

typedef struct CUlaunchConfig {
  unsigned gridDimX, gridDimY, gridDimZ;
  unsigned blockDimX, blockDimY, blockDimZ;
  unsigned sharedMemBytes;
  CUstream hStream;
  void *attrs;
  unsigned numAttrs;
} CUlaunchConfig;
_Static_assert(sizeof(CUlaunchConfig) == 56 && offsetof(CUlaunchConfig, hStream) == 32,
               "the layout of cuda.h");

enum {
  CU_OUT_OF_MEMORY = 2,
  CU_ATTR_MULTIPROCESSOR_COUNT = 16, // CUdevice_attribute
  CU_ATTR_L2_CACHE_SIZE = 38,
  CU_ATTR_CAPABILITY_MAJOR = 75,
  CU_ATTR_CAPABILITY_MINOR = 76,
  CU_ATTR_SMEM_PER_BLOCK_OPTIN = 97,
  CU_FUNC_NUM_REGS = 4, // CUfunction_attribute
  CU_FUNC_MAX_DYNAMIC_SMEM = 8,
  CU_JIT_ERROR_LOG_BUFFER = 5, // CUjit_option
  CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
  CU_CAPTURE_NONE = 0 // CUstreamCaptureStatus
};
#define CU_PARAM_END ((void *)0)
#define CU_PARAM_BUFFER_POINTER ((void *)1)
#define CU_PARAM_BUFFER_SIZE ((void *)2)

typedef struct cu_api {
#define CU(name, version, params) CUresult(*name) params;
#define CU_OPTIONAL(name, version, params) CU(name, version, params)
#include "runtime/cuda/cu.def"
#undef CU
#undef CU_OPTIONAL
} cu_api;

// Loads the driver once and initialises it. TILE_E_NO_DEVICE when there is none.
tile_status cu_get_api(const cu_api **out);
// "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory" as the last error.
tile_status cu_fail(const cu_api *cu, CUresult result, const char *what);

#define CU_TRY(cu, function, ...)                                                                  \
  do {                                                                                             \
    CUresult cu_result_ = (cu)->function(__VA_ARGS__);                                             \
    if (cu_result_)                                                                                \
      return cu_fail(cu, cu_result_, #function);                                                   \
  } while (0)
#endif
