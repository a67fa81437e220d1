// A device as the rest of the runtime sees it: memory, loaded code, launches. Two kinds exist, CUDA
// (runtime/cuda/) and the simulator (runtime/sim_device.c); tests bring their own.
//
// Threads: every operation may be called from any thread. `launch` takes no lock on a GPU; the
// simulated machine belongs to one thread at a time and has a lock of its own.
#ifndef RUNTIME_DEVICE_H
#define RUNTIME_DEVICE_H
#include "runtime/tile.h"
#include <stdbool.h>

enum {
  TILE_MAX_PARAM_BYTES = 4096
}; // the classic limit of a launch; plans build them on the stack

// What a device needs to know of a variant to load it.
typedef struct tile_code_source {
  const char *label;  // "fp8_gemm_nt[BM128_BN128]" for messages
  const char *symbol; // entry name
  uint32_t threads, smem_bytes;
  int ctas_per_sm;         // the compiler's figure; 0 = unknown
  const void *ptx, *cubin; // NULL: the artifact has none
  size_t ptx_bytes, cubin_bytes;
  int nparams; // what the artifact says the entry takes, to be held against the code
  const uint32_t *param_offsets, *param_sizes;
} tile_code_source;

// One image loaded on one device; devices put it first in a larger struct.
typedef struct tile_code {
  int regs;        // -1: the device does not know
  int ctas_per_sm; // resident at once, at least 1
} tile_code;

typedef struct tile_dispatch {
  uint32_t grid[3], threads, smem_bytes;
  const void *params;
  size_t params_bytes;
} tile_dispatch;

// A tensor as TMA sees it, innermost dim first.
enum { TILE_TMAP_BYTES = 128, TILE_TMAP_MAX_RANK = 5 };
typedef struct tile_tmap_desc {
  int32_t dtype; // tile_dtype
  int rank;
  uint64_t address;
  uint64_t dims[TILE_TMAP_MAX_RANK];
  uint64_t strides_bytes[TILE_TMAP_MAX_RANK]; // of dims 1 and up: [0] is that of dim 1
  uint32_t box[TILE_TMAP_MAX_RANK];
  int swizzle_bytes; // 0, 32, 64, 128
} tile_tmap_desc;

typedef struct tile_device_ops {
  void (*close)(tile_device *device); // frees the device itself
  tile_status (*alloc)(tile_device *device, size_t bytes, const char *name, void **out_address);
  tile_status (*release)(tile_device *device, void *address);
  tile_status (*write)(tile_device *device, void *address, const void *host, size_t bytes);
  tile_status (*read)(tile_device *device, const void *address, void *host, size_t bytes);
  tile_status (*fill)(tile_device *device, void *address, uint8_t byte, size_t bytes,
                      bool as_uninitialised);
  // out[i] = 1 where byte i was written since a fill as uninitialised. NULL: the device cannot tell.
  tile_status (*written)(tile_device *device, const void *address, uint8_t *out, size_t bytes);
  tile_status (*sync)(tile_device *device);
  tile_status (*load)(tile_device *device, const tile_code_source *source, tile_code **out);
  void (*unload)(tile_device *device, tile_code *code);
  tile_status (*launch)(tile_device *device, tile_code *code, const tile_dispatch *dispatch,
                        void *stream);
  tile_status (*bench)(tile_device *device, tile_code *code, const tile_dispatch *dispatch,
                       int runs, double *out_median_ms, double *out_min_ms);  // NULL: has no clock
  bool (*capturing)(tile_device *device, void *stream);                       // NULL: never
  // Writes the device's 128-byte descriptor; no allocation, no lock. NULL: the device has no TMA.
  tile_status (*encode_tmap)(tile_device *device, const tile_tmap_desc *desc, void *out);
  // Points an encoded descriptor (aligned to 64) at another address: the only thing about one that
  // changes from run to run. As cheap as a copy.
  tile_status (*retarget_tmap)(tile_device *device, void *map, uint64_t address);
  tile_status (*sim_options)(tile_device *device, const tile_sim_opts *opts); // NULL: not simulated
  double (*instructions)(tile_device *device); // warp instructions of the last launch; NULL: unknown
} tile_device_ops;

struct tile_device { // devices put it first in a larger struct
  const tile_device_ops *ops;
  tile_device *next; // of the context
  char key[32];      // as it was opened: "cuda:0"
  char arch[16];     // "sm_90a"; a GPU outside the table: "sm_NN"
  char name[128];
  int sms;
};

// Warp instructions of the last launch; 0 where the device does not count them.
double tile_device_instructions(tile_device *device);
// Each opens one device; `rest` is what follows "cuda:" or "sim:".
tile_status tile_open_cuda(const char *rest, tile_device **out);
tile_status tile_open_sim(const char *rest, tile_device **out);
// Makes a device the context's own, as tile_device_open does. For tests with a device of their own.
void tile_ctx_adopt(tile_ctx *ctx, tile_device *device);
#endif
