// The CUDA device over a driver of our own: what it asks the driver for, and what it makes of
// errors.
//
// This file defines cu_get_api, so the one that opens libcuda.so.1 is never linked.
#include "runtime/cuda/cuda_device.h"
#include "tests/unit/runtime_fixture.h"

enum { FAKE_GPUS = 2, FAKE_SMS = 6, FAKE_REGS = 77, FAKE_CTAS = 3, CAPTURED = 0x50, MAX_LIVE = 64 };

typedef struct driver {
  CUcontext stack[8];
  int depth, retained, launches, libraries, events;
  void *live[MAX_LIVE];
  bool refuse_cubin, refuse_ptx, is_lazy; // lazy: refuses with the kernel
  int capability, smem_limit;
  CUresult launch_result;
  CUlaunchConfig config;
  unsigned char params[256];
  size_t params_bytes, nparams;
  size_t offsets[16], sizes[16];
  char code[64], entry[64];
  float next_ms;
} driver;

static driver d;
static char contexts[FAKE_GPUS];

static bool in_context(void) { return d.depth > 0 && d.stack[d.depth - 1] != NULL; }

static CUresult get_name(CUresult error, const char **out) {
  *out = error == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
         : error == 209 ? "CUDA_ERROR_NO_BINARY_FOR_GPU"
                        : "CUDA_ERROR_X";
  return 0;
}
static CUresult get_string(CUresult error, const char **out) {
  *out = error == 2 ? "out of memory" : "something else";
  return 0;
}
static CUresult device_get(CUdevice *out, int ordinal) { return *out = ordinal, 0; }
static CUresult device_count(int *out) { return *out = FAKE_GPUS, 0; }
static CUresult device_name(char *out, int size, CUdevice device) {
  snprintf(out, (size_t)size, "Fake %d", device);
  return 0;
}
static CUresult device_attribute(int *out, int attribute, CUdevice device) {
  (void)device;
  switch (attribute) {
  case 16:
    return *out = FAKE_SMS, 0;
  case 38:
    return *out = 4096, 0;
  case 75:
    return *out = d.capability / 10, 0;
  case 76:
    return *out = d.capability % 10, 0;
  case 97:
    return *out = d.smem_limit, 0;
  }
  return 1;
}
static CUresult retain(CUcontext *out, CUdevice device) {
  *out = (CUcontext)&contexts[device];
  d.retained++;
  return 0;
}
static CUresult release(CUdevice device) {
  (void)device;
  d.retained--;
  return 0;
}
static CUresult get_current(CUcontext *out) {
  *out = d.depth ? d.stack[d.depth - 1] : NULL;
  return 0;
}
static CUresult push(CUcontext ctx) {
  d.stack[d.depth++] = ctx;
  return 0;
}
static CUresult pop(CUcontext *out) {
  *out = d.stack[--d.depth];
  return 0;
}
static CUresult synchronize(void) { return in_context() ? 0 : 201; }
static CUresult mem_alloc(CUdeviceptr *out, size_t bytes) {
  if (!in_context() || bytes == 0)
    return 201;
  if (bytes > 1 << 20)
    return 2;
  for (int i = 0; i < MAX_LIVE; i++)
    if (!d.live[i]) {
      d.live[i] = malloc(bytes);
      *out = (CUdeviceptr)(uintptr_t)d.live[i];
      return 0;
    }
  return 2;
}
static CUresult mem_free(CUdeviceptr address) {
  for (int i = 0; i < MAX_LIVE; i++)
    if (d.live[i] == (void *)(uintptr_t)address) {
      free(d.live[i]);
      d.live[i] = NULL;
      return 0;
    }
  return 1;
}
static CUresult to_device(CUdeviceptr to, const void *from, size_t bytes) {
  memcpy((void *)(uintptr_t)to, from, bytes);
  return in_context() ? 0 : 201;
}
static CUresult to_host(void *to, CUdeviceptr from, size_t bytes) {
  memcpy(to, (void *)(uintptr_t)from, bytes);
  return in_context() ? 0 : 201;
}
static CUresult set8(CUdeviceptr to, unsigned char byte, size_t count) {
  memset((void *)(uintptr_t)to, byte, count);
  return in_context() ? 0 : 201;
}
static CUresult set8_async(CUdeviceptr to, unsigned char byte, size_t count, CUstream stream) {
  (void)stream;
  return set8(to, byte, count);
}
static CUresult load_data(CUlibrary *out, const void *code, int *options, void **values, unsigned n,
                          int *lo, void **lv, unsigned nl) {
  (void)options, (void)lo, (void)lv, (void)nl;
  bool is_cubin = memcmp(code, "\177ELF", 4) == 0;
  if ((is_cubin ? d.refuse_cubin : d.refuse_ptx) && !d.is_lazy) {
    if (n)
      strcpy(values[0], "ptxas error: line 1");
    return is_cubin ? 209 : 218;
  }
  snprintf(d.code, sizeof d.code, "%s", is_cubin ? "cubin" : (const char *)code);
  d.libraries++;
  *out = (CUlibrary)&d;
  return 0;
}
static CUresult unload(CUlibrary library) {
  (void)library;
  d.libraries--;
  return 0;
}
static CUresult get_kernel(CUkernel *out, CUlibrary library, const char *name) {
  (void)library;
  if (d.is_lazy && strcmp(d.code, "cubin") == 0 && d.refuse_cubin)
    return 209;
  snprintf(d.entry, sizeof d.entry, "%s", name);
  *out = (CUkernel)&d.entry;
  return 0;
}
static CUresult get_attribute(int *out, int attribute, CUkernel kernel, CUdevice device) {
  (void)kernel, (void)device;
  return attribute == 4 ? (*out = FAKE_REGS, 0) : 1;
}
static int smem_attribute;
static CUresult set_attribute(int attribute, int value, CUkernel kernel, CUdevice device) {
  (void)kernel, (void)device;
  return attribute == 8 ? (smem_attribute = value, 0) : 1;
}
static CUresult param_info(CUkernel kernel, size_t index, size_t *out_offset, size_t *out_size) {
  (void)kernel;
  if (index >= d.nparams)
    return 1;
  *out_offset = d.offsets[index];
  *out_size = d.sizes[index];
  return 0;
}
static CUresult occupancy(int *out, CUfunction function, int threads, size_t smem) {
  (void)function, (void)threads, (void)smem;
  return in_context() ? (*out = FAKE_CTAS, 0) : 201;
}
static CUresult launch(const CUlaunchConfig *config, CUfunction function, void **params,
                       void **extra) {
  (void)function;
  if (!in_context() || params || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4])
    return 1;
  d.config = *config;
  d.params_bytes = *(size_t *)extra[3];
  memcpy(d.params, extra[1], d.params_bytes);
  d.launches++;
  return d.launch_result;
}
static CUresult is_capturing(CUstream stream, int *out) {
  *out = stream == (CUstream)CAPTURED;
  return 0;
}
static CUresult event_create(CUevent *out, unsigned flags) {
  (void)flags;
  *out = (CUevent)&d;
  d.events++;
  return 0;
}
static CUresult event_destroy(CUevent event) {
  (void)event;
  d.events--;
  return 0;
}
static CUresult event_record(CUevent event, CUstream stream) {
  (void)event, (void)stream;
  return 0;
}
static CUresult event_sync(CUevent event) {
  (void)event;
  return 0;
}
static CUresult elapsed(float *out, CUevent start, CUevent end) {
  (void)start, (void)end;
  *out = d.next_ms;
  d.next_ms -= 1;
  return 0;
}

static const cu_api fake_api = {
    .cuGetErrorName = get_name,
    .cuGetErrorString = get_string,
    .cuDeviceGet = device_get,
    .cuDeviceGetCount = device_count,
    .cuDeviceGetName = device_name,
    .cuDeviceGetAttribute = device_attribute,
    .cuDevicePrimaryCtxRetain = retain,
    .cuDevicePrimaryCtxRelease = release,
    .cuCtxGetCurrent = get_current,
    .cuCtxPushCurrent = push,
    .cuCtxPopCurrent = pop,
    .cuCtxSynchronize = synchronize,
    .cuMemAlloc = mem_alloc,
    .cuMemFree = mem_free,
    .cuMemcpyHtoD = to_device,
    .cuMemcpyDtoH = to_host,
    .cuMemsetD8 = set8,
    .cuMemsetD8Async = set8_async,
    .cuLibraryLoadData = load_data,
    .cuLibraryUnload = unload,
    .cuLibraryGetKernel = get_kernel,
    .cuKernelGetAttribute = get_attribute,
    .cuKernelSetAttribute = set_attribute,
    .cuKernelGetParamInfo = param_info,
    .cuOccupancyMaxActiveBlocksPerMultiprocessor = occupancy,
    .cuLaunchKernelEx = launch,
    .cuStreamIsCapturing = is_capturing,
    .cuEventCreate = event_create,
    .cuEventDestroy = event_destroy,
    .cuEventRecord = event_record,
    .cuEventSynchronize = event_sync,
    .cuEventElapsedTime = elapsed,
};

tile_status cu_get_api(const cu_api **out) {
  *out = &fake_api;
  return TILE_OK;
}

// --- the tests ---------------------------------------------------------------------------------

typedef struct world {
  tile_ctx *ctx;
  tile_device *gpu;
  tile_module *module;
  tile_kernel *vadd;
  int64_t n;
  tile_arg args[5];
} world;

// What fixture_rows says of vadd's entry.
static void set_params(void) {
  static const size_t offsets[] = {0, 4, 8, 16, 24, 32}, sizes[] = {2, 4, 8, 4, 8, 8};
  memcpy(d.offsets, offsets, sizeof offsets);
  memcpy(d.sizes, sizes, sizeof sizes);
  d.nparams = 6;
}

static int make_world(void **state) {
  world *w = calloc(1, sizeof *w);
  size_t len;
  d = (driver){.capability = 90, .smem_limit = 232448, .next_ms = 100};
  set_params();
  unsigned char *bytes =
      fixture_bytes("INSERT INTO image VALUES(5, 'cubin', x'7F454C4600');"
                    "UPDATE variant SET grid_x = 'persistent(n)', smem_bytes = 70000 WHERE id = 5;",
                    &len);
  assert_int_equal(tile_ctx_create(TILE_ABI, &w->ctx), TILE_OK);
  assert_int_equal(tile_device_open(w->ctx, "cuda:1", &w->gpu), TILE_OK);
  assert_int_equal(tile_module_load_bytes(w->ctx, bytes, len, &w->module), TILE_OK);
  assert_int_equal(tile_kernel_get(w->module, "vadd", &w->vadd), TILE_OK);
  sqlite3_free(bytes);
  w->n = 1000;
  w->args[0] =
      (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = {(void *)0x1000, &w->n, NULL, 1, TILE_F32}};
  w->args[1] =
      (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = {(void *)0x2000, &w->n, NULL, 1, TILE_F32}};
  w->args[2] = (tile_arg){.kind = TILE_ARG_FLOAT, .f = 1.5};
  w->args[3] = (tile_arg){.kind = TILE_ARG_INT, .i = 7};
  w->args[4] = (tile_arg){.kind = TILE_ARG_FLOAT, .f = 2};
  *state = w;
  return 0;
}

static int end_world(void **state) {
  world *w = *state;
  tile_module_destroy(w->module);
  tile_ctx_destroy(w->ctx);
  assert_int_equal(d.libraries, 0);
  assert_int_equal(d.retained, 0);
  assert_int_equal(d.depth, 0); // every push was undone
  assert_int_equal(d.events, 0);
  for (int i = 0; i < MAX_LIVE; i++)
    assert_null(d.live[i]);
  free(w);
  return 0;
}

static void devices_tell_their_facts(void **state) {
  world *w = *state;
  tile_device *device;
  assert_string_equal(tile_device_arch(w->gpu), "sm_90a");
  assert_string_equal(tile_device_name(w->gpu), "Fake 1");
  assert_int_equal(tile_device_sms(w->gpu), FAKE_SMS);
  d.capability = 89;
  assert_int_equal(tile_device_open(w->ctx, "cuda:0", &device), TILE_OK);
  assert_string_equal(tile_device_arch(device), "sm_89");
  assert_int_equal(tile_device_open(w->ctx, "cuda:2", &device), TILE_E_NO_DEVICE);
  assert_string_equal(tile_last_error(), "cuda:2: this machine has 2 GPUs");
  assert_int_equal(tile_device_open(w->ctx, "cuda:x", &device), TILE_E_INVALID);
}

static void memory_goes_through_the_primary_context(void **state) {
  world *w = *state;
  void *address, *big;
  char text[6] = "hello", back[6];
  assert_int_equal(tile_buffer_create(w->gpu, 6, "b", &address), TILE_OK);
  assert_int_equal(tile_buffer_write(w->gpu, address, text, 6), TILE_OK);
  assert_int_equal(tile_buffer_read(w->gpu, address, back, 6), TILE_OK);
  assert_string_equal(back, "hello");
  assert_int_equal(tile_buffer_fill(w->gpu, address, 'x', 5, 1), TILE_OK);
  assert_int_equal(tile_buffer_read(w->gpu, address, back, 6), TILE_OK);
  assert_string_equal(back, "xxxxx");
  assert_int_equal(tile_buffer_create(w->gpu, 2 << 20, "b", &big), TILE_E_NOMEM);
  assert_string_equal(tile_last_error(), "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory");
  assert_int_equal(tile_buffer_destroy(w->gpu, address), TILE_OK);
  assert_int_equal(tile_buffer_create(w->gpu, 0, "empty", &address), TILE_OK);
  assert_int_equal(tile_buffer_destroy(w->gpu, address), TILE_OK);
  d.stack[d.depth++] = (CUcontext)&contexts[0]; // the caller's own context stays current
  assert_int_equal(tile_device_sync(w->gpu), TILE_OK);
  assert_int_equal(d.depth, 1);
  d.stack[0] = (CUcontext)&contexts[1];
  assert_int_equal(tile_device_sync(w->gpu), TILE_OK);
  assert_int_equal(d.depth--, 1);
}

static void launches_say_what_the_plan_says(void **state) {
  world *w = *state;
  tile_plan *plan;
  if (tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan) != TILE_OK)
    fail_msg("%s", tile_last_error());
  assert_string_equal(d.code, "cubin");
  assert_string_equal(d.entry, "vadd");
  assert_int_equal(smem_attribute, 70000);
  tile_info info = {.size = sizeof info};
  assert_int_equal(tile_plan_info(plan, &info), TILE_OK);
  assert_int_equal(info.regs, FAKE_REGS);
  assert_int_equal(info.ctas_per_sm, FAKE_CTAS);
  assert_int_equal(info.grid[0], FAKE_SMS * FAKE_CTAS); // persistent: what fits at once
  assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, (void *)0x77), TILE_OK);
  assert_int_equal(d.config.gridDimX, FAKE_SMS * FAKE_CTAS);
  assert_int_equal(d.config.gridDimY, 1);
  assert_int_equal(d.config.gridDimZ, 1);
  assert_int_equal(d.config.blockDimX, 256);
  assert_int_equal(d.config.blockDimY * d.config.blockDimZ, 1);
  assert_int_equal(d.config.sharedMemBytes, 70000);
  assert_ptr_equal(d.config.hStream, (void *)0x77);
  assert_int_equal(d.config.numAttrs, 0);
  assert_int_equal(d.params_bytes, 40);
  float alpha;
  memcpy(&alpha, d.params + 4, 4);
  assert_true(alpha == 1.5f);
  d.launch_result = 1;
  assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, NULL), TILE_E_DRIVER);
  assert_string_equal(tile_last_error(), "cuLaunchKernelEx: CUDA_ERROR_X (1): something else");
  tile_plan_destroy(plan);
}

static void ptx_stands_in_for_a_refused_cubin(void **state) {
  world *w = *state;
  tile_plan *plan;
  d.refuse_cubin = d.refuse_ptx = true;
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_E_DRIVER);
  assert_string_equal(tile_last_error(),
                      "vadd[v]: CUDA_ERROR_X (218): something else\nptxas error: line 1");
  d.refuse_ptx = false;
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_OK);
  assert_string_equal(d.code, ".version 9.0 // vadd");
  tile_plan_destroy(plan);
}

static void a_lazy_refusal_counts_as_one(void **state) {
  world *w = *state;
  tile_plan *plan;
  d.refuse_cubin = d.is_lazy = true;
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_OK);
  assert_string_equal(d.code, ".version 9.0 // vadd");
  assert_int_equal(d.libraries, 1);
  tile_plan_destroy(plan);
}

static void code_is_held_against_the_artifact(void **state) {
  world *w = *state;
  tile_plan *plan;
  d.nparams = 5;
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_E_FORMAT);
  set_params();
  d.sizes[3] = 8;
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_E_FORMAT);
  assert_string_equal(tile_last_error(),
                      "vadd[v]: parameter 3 lies at 16 with 8 bytes in the code, "
                      "at 16 with 4 in the artifact");
  set_params();
  ((cu_device *)w->gpu)->smem_optin_bytes = 65536;
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_E_UNSUPPORTED);
  assert_string_equal(tile_last_error(),
                      "vadd[v] needs 70000 bytes of shared memory, the device has 65536");
  assert_int_equal(d.libraries, 0);
}

static void capture_allows_plans_only(void **state) {
  world *w = *state;
  tile_plan *plan;
  assert_int_equal(tile_launch(w->vadd, w->gpu, w->args, 5, (void *)CAPTURED), TILE_E_CAPTURE);
  assert_int_equal(tile_launch(w->vadd, w->gpu, w->args, 5, (void *)0x77), TILE_OK);
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_OK);
  assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, (void *)CAPTURED), TILE_OK);
  tile_plan_destroy(plan);
  assert_int_equal(d.launches, 2);
}

static void bench_gives_median_and_minimum(void **state) {
  world *w = *state;
  tile_plan *plan;
  double median, least;
  assert_int_equal(tile_plan_create(w->vadd, w->gpu, w->args, 5, NULL, &plan), TILE_OK);
  // Times fall from 100 by 1: two warm-ups take 100 and 99, four runs 98 to 95.
  assert_int_equal(tile_plan_bench(plan, NULL, 4, &median, &least), TILE_OK);
  assert_true(median == 96.5);
  assert_true(least == 95);
  d.next_ms = 100;
  assert_int_equal(tile_plan_bench(plan, NULL, 3, &median, &least), TILE_OK);
  assert_true(median == 97);
  d.launch_result = 1;
  assert_int_equal(tile_plan_bench(plan, NULL, 3, &median, &least), TILE_E_DRIVER);
  tile_plan_destroy(plan);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)
  const struct CMUnitTest tests[] = {
      TEST(devices_tell_their_facts),        TEST(memory_goes_through_the_primary_context),
      TEST(launches_say_what_the_plan_says), TEST(ptx_stands_in_for_a_refused_cubin),
      TEST(a_lazy_refusal_counts_as_one),    TEST(code_is_held_against_the_artifact),
      TEST(capture_allows_plans_only),       TEST(bench_gives_median_and_minimum),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
