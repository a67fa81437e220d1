// libtile: load, plan, run. THE public API (C11; links libc, libm, SQLite; libcuda by dlopen).
//
// Errors   every function returns a tile_status; outputs are untouched on failure; tile_last_error()
//          says what was wrong and names the argument. No abort, no exit, nothing on stdout.
// Threads  contexts, modules and kernels are thread-safe; a plan may be run from several threads at
//          once on different streams.
// Streams  all work is enqueued on the given stream (a CUstream; NULL is the default stream);
//          devices "sim:ARCH" run at once, on the calling thread.
// Memory   device memory is the caller's: tile_buffer_* is a convenience for tests and examples.
#ifndef RUNTIME_TILE_H
#define RUNTIME_TILE_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define TILE_API __attribute__((visibility("default")))
#define TILE_ABI 1u

typedef enum tile_status {
  TILE_OK = 0,
  TILE_E_INVALID = 1,     // a NULL or out-of-range argument of the call itself
  TILE_E_SHAPE = 2,       // rank, dim, stride or require
  TILE_E_DTYPE = 3,
  TILE_E_ALIGN = 4,
  TILE_E_NO_VARIANT = 5,  // nothing compiled for this device fits
  TILE_E_WORKSPACE = 6,
  TILE_E_IO = 7,
  TILE_E_FORMAT = 8,      // truncated, foreign or newer artifact
  TILE_E_DRIVER = 9,
  TILE_E_NO_DEVICE = 10,
  TILE_E_UNSUPPORTED = 11,
  TILE_E_NOMEM = 12,
  TILE_E_CAPTURE = 13,
  TILE_E_INTERNAL = 14,
  TILE_E_CHECK = 15       // the simulator returned a verdict (race, deadlock, bad access)
} tile_status;

typedef enum tile_dtype { // numbering is part of the ABI: extended at the end only
  TILE_I1 = 1, TILE_I4, TILE_I8, TILE_I16, TILE_I32, TILE_I64, TILE_U8, TILE_U16, TILE_U32, TILE_U64,
  TILE_F64, TILE_F32, TILE_TF32, TILE_F16, TILE_BF16, TILE_F8E4M3, TILE_F8E5M2, TILE_F6E2M3,
  TILE_F6E3M2, TILE_F4E2M1, TILE_UE8M0
} tile_dtype;

typedef struct tile_ctx tile_ctx;
typedef struct tile_device tile_device;
typedef struct tile_module tile_module;
typedef struct tile_kernel tile_kernel;
typedef struct tile_plan tile_plan;

typedef struct tile_tensor {
  void *data;            // device address; may be NULL when planning for shapes only
  const int64_t *shape;  // ndim entries, elements (packed f4e2m1: logical elements)
  const int64_t *stride; // elements; NULL = dense row-major
  int32_t ndim;
  int32_t dtype;         // tile_dtype
} tile_tensor;

typedef enum tile_arg_kind { TILE_ARG_TENSOR, TILE_ARG_INT, TILE_ARG_FLOAT } tile_arg_kind;
typedef struct tile_arg { // in the kernel's declaration order
  tile_arg_kind kind;
  tile_tensor tensor;
  int64_t i;
  double f;
} tile_arg;

TILE_API uint32_t tile_version(void);              // 0xMMmmpp
TILE_API const char *tile_status_name(tile_status status);
TILE_API const char *tile_last_error(void);        // thread-local, never NULL

TILE_API tile_status tile_ctx_create(uint32_t abi, tile_ctx **out);
TILE_API void tile_ctx_destroy(tile_ctx *ctx);     // after everything made from it

// "cuda:N", "sim:sm_90a", "sim:sm_100a", "sim:sm_120a". Devices live as long as the context.
TILE_API tile_status tile_device_open(tile_ctx *ctx, const char *name, tile_device **out);
TILE_API const char *tile_device_arch(const tile_device *device); // "sm_90a"
TILE_API const char *tile_device_name(const tile_device *device); // "NVIDIA H200", "simulator"
TILE_API int tile_device_sms(const tile_device *device);

TILE_API tile_status tile_buffer_create(tile_device *device, size_t bytes, const char *name,
                                        void **out_address);
TILE_API tile_status tile_buffer_destroy(tile_device *device, void *address);
TILE_API tile_status tile_buffer_write(tile_device *device, void *address, const void *host, size_t bytes);
TILE_API tile_status tile_buffer_read(tile_device *device, const void *address, void *host, size_t bytes);
TILE_API tile_status tile_buffer_fill(tile_device *device, void *address, uint8_t byte, size_t bytes,
                                      int as_uninitialised);
TILE_API tile_status tile_device_sync(tile_device *device);
// Median and minimum device time of `runs` launches, L2 flushed before each (cuda only).
TILE_API tile_status tile_plan_bench(tile_plan *plan, void *const *ptrs, int runs, double *out_median_ms,
                                     double *out_min_ms);

TILE_API tile_status tile_module_load_file(tile_ctx *ctx, const char *path, tile_module **out);
TILE_API tile_status tile_module_load_bytes(tile_ctx *ctx, const void *bytes, size_t len, tile_module **out);
// Compiles `.tile` source through libtilec.so (found beside this library or program, or TILE_COMPILER).
// On failure tile_last_error() holds the printed diagnostics.
TILE_API tile_status tile_module_compile(tile_ctx *ctx, const char *path, const char *source, size_t len,
                                         const char *const *flags, int nflags, tile_module **out);
TILE_API void tile_module_destroy(tile_module *module);
TILE_API int tile_module_kernel_count(const tile_module *module);
TILE_API const char *tile_module_kernel_name(const tile_module *module, int index); // NULL: none there
TILE_API tile_status tile_kernel_get(tile_module *module, const char *name, tile_kernel **out); // borrowed

typedef struct tile_param_info {
  const char *name;
  int is_tensor, is_out; // is_out: out or inout
  int32_t dtype, ndim;
} tile_param_info;
TILE_API int tile_kernel_param_count(const tile_kernel *kernel);
TILE_API tile_status tile_kernel_param(const tile_kernel *kernel, int index, tile_param_info *out);

// --- selection: a pure function of artifact, dims, alignment and device --------------------------
typedef struct tile_range { // dims, or integer scalars, that calls may come with
  const char *name;
  int64_t first, last, step; // step 0: 1
} tile_range;
typedef struct tile_cover { // one variant that some shape of the ranges selects
  const char *variant;
  int64_t aligned, unaligned; // shapes that select it: arguments as aligned as any variant asks, or not
  int64_t by_record;          // of the aligned ones: because of a measurement
} tile_cover;
// Exactly the variants that calls with shapes in the ranges can select on such a device, in order of
// rank; nothing is compiled, loaded or run. device_name and sms: NULL and 0 for the first machine known
// of the architecture. *out_count: how many there are, of which `capacity` are written.
TILE_API tile_status tile_kernel_variants_for(tile_kernel *kernel, const char *arch, const char *device_name,
                                              int sms, const tile_range *ranges, int nranges,
                                              tile_cover *out, int capacity, int *out_count);
// Loads now what calls with shapes in the ranges will need (NULL: every variant of the architecture), so
// that no call loads anything later. Not while a stream is captured.
TILE_API tile_status tile_warmup(tile_kernel *kernel, tile_device *device, const tile_range *ranges, int nranges);

typedef struct tile_plan_opts {
  uint32_t size;         // sizeof(tile_plan_opts)
  const char *variant;   // force a variant by name; NULL = select
} tile_plan_opts;

// Checks dtype, rank, dims, strides, alignment and requires; selects the variant; loads its image.
TILE_API tile_status tile_plan_create(tile_kernel *kernel, tile_device *device, const tile_arg *args,
                                      int nargs, const tile_plan_opts *opts, tile_plan **out);
TILE_API void tile_plan_destroy(tile_plan *plan);
TILE_API size_t tile_plan_workspace(const tile_plan *plan);
// Hot path: no lock, no allocation, no I/O. ptrs: one device address per tensor parameter in
// declaration order (NULL array: the addresses given at creation).
TILE_API tile_status tile_plan_run(tile_plan *plan, void *const *ptrs, void *workspace, size_t workspace_bytes,
                                   void *stream);
typedef struct tile_info {
  uint32_t size; // sizeof(tile_info)
  const char *variant, *arch;
  uint32_t grid[3], threads, smem_bytes;
  int regs, spill_bytes, ctas_per_sm, align, tma_descriptors;
  const char *chosen_by; // "name", "record", "model", "rank"
  int sum_bits; // fraction bits that a product keeps beside larger ones: 13 for fp8 wgmma, else 21
} tile_info;
TILE_API tile_status tile_plan_info(const tile_plan *plan, tile_info *out);
// One call: makes a plan for these types, shapes and strides the first time and finds it again after
// that. Takes a lock and hashes its arguments; callers who can keep a plan should.
TILE_API tile_status tile_launch(tile_kernel *kernel, tile_device *device, const tile_arg *args,
                                 int nargs, void *stream);
// A view of a DLTensor (a DLManagedTensor starts with one); lives as long as it does.
TILE_API tile_status tile_from_dlpack(const void *dl_tensor, tile_tensor *out);

// tile_launch with the arrays of a language that offers DLPack's C exchange table (Python's torch).
typedef struct tile_objects {
  tile_kernel *kernel;
  const void *api;                              // DLPackExchangeAPI, major version 1
  void *(*get)(void *objects, ptrdiff_t index); // the argument at a position; PyTuple_GetItem
  long long (*as_int)(void *object);            // PyLong_AsLongLong
  double (*as_float)(void *object);             // PyFloat_AsDouble
  tile_device *const *devices;                  // by CUDA ordinal; NULL where none was opened
  int ndevices;
} tile_objects;
// `objects` holds one argument per parameter. `stream` NULL: the one the framework is working on.
TILE_API tile_status tile_launch_objects(const tile_objects *how, void *objects, void *const *stream);

// What this process has done so far. Serving adds to plans at most.
typedef struct tile_counters {
  uint32_t size;         // sizeof(tile_counters)
  uint64_t compiles;     // of source, by tile_module_compile
  uint64_t jit_compiles; // of PTX, by the driver, for want of a cubin that it accepts
  uint64_t loads;        // images loaded on a device
  uint64_t plans;
} tile_counters;
TILE_API tile_status tile_counters_read(tile_counters *out);

typedef struct tile_sim_opts { // for devices sim:*
  uint32_t size; // sizeof(tile_sim_opts)
  uint64_t seed;
  int schedule;        // 0 round robin, 1 random, 2 greedy, 3 starve: warp seed % 32 runs last
  int async;           // asynchronous operations land 0 when waited for, 1 at once, 2 anywhere
  uint64_t step_limit; // warp instructions of one CTA before a launch fails; 0: none
} tile_sim_opts;
TILE_API tile_status tile_device_sim_options(tile_device *device, const tile_sim_opts *opts);
#ifdef __cplusplus
}
#endif
#endif
