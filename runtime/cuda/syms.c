// Finding the driver's functions: dlopen, then cuGetProcAddress for each row of cu.def.
#include "runtime/cuda/cu.h"
#include "runtime/status.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

// cuGetProcAddress_v2 (CUDA 12.0): the last argument says why a symbol was not given.
typedef CUresult (*get_proc_fn)(const char *name, void **out, int version, uint64_t flags,
                                int *out_reason);

typedef struct cu_row {
  const char *name;
  int version;
  bool optional;
  size_t slot; // in cu_api
} cu_row;

static const cu_row rows[] = {
#define CU(name, version, params) {#name, version, false, offsetof(cu_api, name)},
#define CU_OPTIONAL(name, version, params) {#name, version, true, offsetof(cu_api, name)},
#include "runtime/cuda/cu.def"
#undef CU
#undef CU_OPTIONAL
};

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static cu_api api;
static bool ready;

static tile_status resolve(get_proc_fn get) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    void *function = NULL;
    CUresult result = get(rows[i].name, &function, rows[i].version, 0, NULL);
    if ((result || !function) && !rows[i].optional)
      return tile_fail(TILE_E_NO_DEVICE, "the NVIDIA driver is too old: no %s of CUDA %d.%d",
                       rows[i].name, rows[i].version / 1000, rows[i].version % 1000 / 10);
    *(void **)((char *)&api + rows[i].slot) = result ? NULL : function;
  }
  return TILE_OK;
}

static tile_status load(void) {
  void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return tile_fail(TILE_E_NO_DEVICE, "no NVIDIA driver: %s", dlerror());
  get_proc_fn get;
  *(void **)&get = dlsym(handle, "cuGetProcAddress_v2");
  if (!get)
    return tile_fail(TILE_E_NO_DEVICE, "the NVIDIA driver is too old: CUDA 12.0 is needed");
  TILE_TRY(resolve(get));
  CUresult result = api.cuInit(0);
  if (result) {
    cu_fail(&api, result, "cuInit");
    return TILE_E_NO_DEVICE;
  }
  ready = true; // the handle stays open: the driver does not like to be unloaded
  return TILE_OK;
}

tile_status cu_get_api(const cu_api **out) {
  pthread_mutex_lock(&load_lock);
  tile_status status = ready ? TILE_OK : load();
  pthread_mutex_unlock(&load_lock);
  *out = &api;
  return status;
}
