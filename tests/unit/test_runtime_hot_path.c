// tile_plan_run is the hot path: no allocation, no lock, and next to no time of its own.
//
// Allocations and locks are counted by standing in front of libc's. The device writes down what it
// is given; its TMA descriptors are 128 bytes with the address in front.
#include "tests/unit/runtime_fixture.h"
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define STANDS_IN 0
#else
#define STANDS_IN 1
#endif

static _Thread_local long allocations, locks;

#if STANDS_IN
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *malloc(size_t bytes) { return allocations++, __libc_malloc(bytes); }
void *calloc(size_t n, size_t bytes) { return allocations++, __libc_calloc(n, bytes); }
void *realloc(void *old, size_t bytes) { return allocations++, __libc_realloc(old, bytes); }
int pthread_mutex_lock(pthread_mutex_t *mutex) {
  static int (*real)(pthread_mutex_t *);
  if (!real)
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
  locks++;
  return real(mutex);
}
#endif

// Five tensors, three of them through TMA descriptors: the shape of a GEMM with block scales.
static const char five[] =
    "INSERT INTO kernel VALUES(3, 'five', 'five', 'five.tile', 1);"
    "INSERT INTO param VALUES"
    "(3, 0, 'A', 'tensor', 'in', 'f8e4m3', 'M|K', '|1'),"
    "(3, 1, 'B', 'tensor', 'in', 'f8e4m3', 'N|K', '|1'),"
    "(3, 2, 'SFA', 'tensor', 'in', 'f32', 'M|K / 128', '1|M'),"
    "(3, 3, 'SFB', 'tensor', 'in', 'f32', 'N|K / 128', '|1'),"
    "(3, 4, 'D', 'tensor', 'out', 'bf16', 'M|N', '|1');"
    "INSERT INTO variant VALUES(9, 3, 'sm_90a', 'v', '', 16, 0, 1, 'five', 'ceildiv(M, 128)', '1',"
    " '1', 384, 1000, 1, 168, 0, 1, 4, 0, 21);"
    "INSERT INTO abi VALUES(9, 0, 'tmap', 'A', 0, 'i64'), (9, 1, 'tmap', 'B', 0, 'i64'),"
    "(9, 2, 'tmap', 'D', 0, 'i64'), (9, 3, 'ptr', 'SFA', 0, 'i64'), (9, 4, 'ptr', 'SFB', 0, 'i64'),"
    "(9, 5, 'dim', 'M', 0, 'i32'), (9, 6, 'dim', 'N', 0, 'i32'), (9, 7, 'dim', 'K', 0, 'i32');"
    "INSERT INTO tmap VALUES(9, 0, '128,128', 128), (9, 1, '128,128', 128), (9, 2, '64,64', 128);"
    "INSERT INTO image VALUES(9, 'ptx', CAST('.version 9.0' AS BLOB));";

static int encodes, launches;
static unsigned char seen[1024];

static tile_status encode(tile_device *device, const tile_tmap_desc *desc, void *out) {
  (void)device;
  encodes++;
  memset(out, desc->rank, TILE_TMAP_BYTES);
  memcpy(out, &desc->address, 8);
  return TILE_OK;
}
static tile_status retarget(tile_device *device, void *map, uint64_t address) {
  (void)device;
  if ((uintptr_t)map % 64)
    return TILE_E_INTERNAL;
  memcpy(map, &address, 8);
  return TILE_OK;
}
static tile_status record_launch(tile_device *device, tile_code *code,
                                 const tile_dispatch *dispatch, void *stream) {
  (void)device, (void)code, (void)stream;
  memcpy(seen, dispatch->params, dispatch->params_bytes);
  launches++;
  return TILE_OK;
}

typedef struct world {
  tile_ctx *ctx;
  tile_module *module;
  tile_kernel *kernel;
  fake_device device;
  tile_device_ops ops;
  int64_t shapes[5][2], strides[5][2];
  tile_arg args[5];
} world;

static int make_world(void **state) {
  world *w = calloc(1, sizeof *w);
  size_t len;
  unsigned char *bytes = fixture_bytes(five, &len);
  assert_int_equal(tile_ctx_create(TILE_ABI, &w->ctx), TILE_OK);
  fake_init(&w->device, w->ctx, "sm_90a");
  w->ops = fake_ops;
  w->ops.encode_tmap = encode;
  w->ops.retarget_tmap = retarget;
  w->ops.launch = record_launch;
  w->device.base.ops = &w->ops;
  if (tile_module_load_bytes(w->ctx, bytes, len, &w->module) != TILE_OK)
    fail_msg("%s", tile_last_error());
  sqlite3_free(bytes);
  assert_int_equal(tile_kernel_get(w->module, "five", &w->kernel), TILE_OK);
  int64_t m = 256, n = 512, k = 1024;
  const int64_t shapes[5][2] = {{m, k}, {n, k}, {m, k / 128}, {n, k / 128}, {m, n}};
  const int64_t strides[5][2] = {{k, 1}, {k, 1}, {1, m}, {k / 128, 1}, {n, 1}};
  static const int dtypes[] = {TILE_F8E4M3, TILE_F8E4M3, TILE_F32, TILE_F32, TILE_BF16};
  memcpy(w->shapes, shapes, sizeof shapes);
  memcpy(w->strides, strides, sizeof strides);
  for (int i = 0; i < 5; i++)
    w->args[i] = (tile_arg){.kind = TILE_ARG_TENSOR,
                            .tensor = {(void *)(uintptr_t)(0x10000 * (i + 1)), w->shapes[i],
                                       w->strides[i], 2, dtypes[i]}};
  encodes = launches = 0;
  *state = w;
  return 0;
}

static int end_world(void **state) {
  world *w = *state;
  tile_module_destroy(w->module);
  assert_int_equal(w->device.loads, w->device.unloads);
  tile_ctx_destroy(w->ctx);
  free(w);
  return 0;
}

static tile_plan *plan_of(world *w) {
  tile_plan *plan;
  if (tile_plan_create(w->kernel, &w->device.base, w->args, 5, NULL, &plan) != TILE_OK)
    fail_msg("%s", tile_last_error());
  return plan;
}

static uint64_t seen_at(size_t offset) {
  uint64_t value;
  memcpy(&value, seen + offset, 8);
  return value;
}

static void *const ptrs[5] = {(void *)0x100010, (void *)0x200020, (void *)0x300030,
                              (void *)0x400040, (void *)0x500050};

static void a_run_retargets_descriptors_and_encodes_none(void **state) {
  world *w = *state;
  tile_plan *plan = plan_of(w);
  assert_int_equal(encodes, 3);
  assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, NULL), TILE_OK);
  assert_int_equal(seen_at(0), 0x10000);
  assert_int_equal(seen_at(256), 0x50000); // D's descriptor
  assert_int_equal(tile_plan_run(plan, ptrs, NULL, 0, NULL), TILE_OK);
  assert_int_equal(seen_at(0), 0x100010);
  assert_int_equal(seen_at(128), 0x200020);
  assert_int_equal(seen_at(256), 0x500050);
  assert_int_equal(seen_at(384), 0x300030);
  assert_int_equal(seen_at(392), 0x400040);
  assert_int_equal(seen[8], 2); // the rest of the template
  assert_int_equal(encodes, 3);
  assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, NULL), TILE_OK); // the plan is untouched
  assert_int_equal(seen_at(0), 0x10000);
  tile_plan_destroy(plan);
}

static void addresses_behind_descriptors_are_checked(void **state) {
  world *w = *state;
  tile_plan *plan = plan_of(w);
  void *bad[5];
  memcpy(bad, ptrs, sizeof bad);
  bad[1] = (void *)0x200028;
  assert_int_equal(tile_plan_run(plan, bad, NULL, 0, NULL), TILE_E_ALIGN);
  assert_string_equal(tile_last_error(), "'B': address 0x200028 is not a multiple of 16, which "
                                         "variant v needs: make a plan with this address");
  bad[1] = NULL;
  assert_int_equal(tile_plan_run(plan, bad, NULL, 0, NULL), TILE_E_INVALID);
  assert_string_equal(tile_last_error(), "'B': the address is NULL");
  assert_int_equal(launches, 0);
  tile_plan_destroy(plan);
}

static void a_run_allocates_and_locks_nothing(void **state) {
  world *w = *state;
  if (!STANDS_IN)
    skip();
  tile_plan *plan = plan_of(w);
  assert_true(allocations > 0 && locks > 0); // they are counted
  allocations = locks = 0;
  for (int i = 0; i < 100; i++)
    tile_plan_run(plan, i % 2 ? ptrs : NULL, NULL, 0, NULL);
  assert_int_equal(allocations, 0);
  assert_int_equal(locks, 0);
  assert_int_equal(launches, 100);
  tile_plan_destroy(plan);
}

static double now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

// The least of many batches: what the code needs, whatever else the machine is doing. The whole
// call may take 3 us on a GPU, of which the driver's launch is the greater part.
static void the_own_part_of_a_run_is_short(void **state) {
  world *w = *state;
  tile_plan *plan = plan_of(w);
  double least = 1e9;
  for (int batch = 0; batch < 50; batch++) {
    double start = now_ns();
    for (int i = 0; i < 200; i++)
      tile_plan_run(plan, ptrs, NULL, 0, NULL);
    double each = (now_ns() - start) / 200;
    least = each < least ? each : least;
  }
  print_message("tile_plan_run without a driver: %.0f ns\n", least);
  assert_true(least < (STANDS_IN ? 500 : 5000));
  tile_plan_destroy(plan);
}

static void one_shot_launches_share_their_plans(void **state) {
  world *w = *state;
  tile_counters before = {.size = sizeof before}, after = {.size = sizeof after};
  assert_int_equal(tile_counters_read(&before), TILE_OK);
  assert_int_equal(tile_launch(w->kernel, &w->device.base, w->args, 5, NULL), TILE_OK);
  w->args[0].tensor.data = (void *)0x777000; // another address, the same plan
  assert_int_equal(tile_launch(w->kernel, &w->device.base, w->args, 5, (void *)1), TILE_OK);
  assert_int_equal(seen_at(0), 0x777000); // the "stream" captures: legal, nothing is loaded
  assert_int_equal(tile_counters_read(&after), TILE_OK);
  assert_int_equal(after.plans - before.plans, 1);
  assert_int_equal(after.loads - before.loads, 1);
  assert_int_equal(after.compiles + after.jit_compiles, 0);
  w->shapes[0][0] = w->shapes[2][0] = w->shapes[4][0] = w->strides[2][1] = 255; // another M
  assert_int_equal(tile_launch(w->kernel, &w->device.base, w->args, 5, (void *)1), TILE_E_CAPTURE);
  assert_int_equal(tile_launch(w->kernel, &w->device.base, w->args, 5, NULL), TILE_OK);
  assert_int_equal(tile_counters_read(&after), TILE_OK);
  assert_int_equal(after.plans - before.plans, 2);
  assert_int_equal(launches, 3);
}

static void dlpack_views_keep_shape_and_stride(void **state) {
  (void)state;
  struct { // dlpack.h: DLTensor
    void *data;
    int32_t device[2], ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
  } dl = {(void *)0x1000, {2, 0}, 2, 4, 16, 1, (int64_t[]){3, 5}, (int64_t[]){1, 3}, 64};
  tile_tensor out;
  assert_int_equal(tile_from_dlpack(&dl, &out), TILE_OK);
  assert_ptr_equal(out.data, 0x1040);
  assert_ptr_equal(out.shape, dl.shape);
  assert_ptr_equal(out.stride, dl.strides);
  assert_int_equal(out.dtype, TILE_BF16);
  dl.code = 10, dl.bits = 8, dl.strides = NULL;
  assert_int_equal(tile_from_dlpack(&dl, &out), TILE_OK);
  assert_int_equal(out.dtype, TILE_F8E4M3);
  assert_null(out.stride);
  dl.lanes = 2;
  assert_int_equal(tile_from_dlpack(&dl, &out), TILE_E_DTYPE);
  assert_string_equal(tile_last_error(), "no element type for DLPack's code 10, 8 bits, 2 lanes");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)
  const struct CMUnitTest tests[] = {
      T(a_run_retargets_descriptors_and_encodes_none),
      T(addresses_behind_descriptors_are_checked),
      T(a_run_allocates_and_locks_nothing),
      T(the_own_part_of_a_run_is_short),
      T(one_shot_launches_share_their_plans),
      cmocka_unit_test(dlpack_views_keep_shape_and_stride),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
