// From a .tla and arguments to a launch: checks, messages, selection, packing.
#include "tests/unit/runtime_fixture.h"
#include <pthread.h>

typedef struct world {
  tile_ctx *ctx;
  tile_module *module;
  tile_kernel *gemm, *vadd;
  fake_device device, other;
} world;

static int make_world(void **state) {
  world *w = calloc(1, sizeof *w);
  size_t len;
  unsigned char *bytes = fixture_bytes(NULL, &len);
  assert_int_equal(tile_ctx_create(TILE_ABI, &w->ctx), TILE_OK);
  fake_init(&w->device, w->ctx, "sm_90a");
  fake_init(&w->other, w->ctx, "sm_100a");
  if (tile_module_load_bytes(w->ctx, bytes, len, &w->module) != TILE_OK)
    fail_msg("%s", tile_last_error());
  sqlite3_free(bytes);
  assert_int_equal(tile_kernel_get(w->module, "gemm", &w->gemm), TILE_OK);
  assert_int_equal(tile_kernel_get(w->module, "vadd", &w->vadd), TILE_OK);
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

// The arguments of gemm with everything right: tests break one thing each.
typedef struct gemm_args {
  int64_t a[2], b[2], sfa[2], d[2];
  int64_t a_stride[2], b_stride[2], sfa_stride[2], d_stride[2];
  tile_arg args[4];
} gemm_args;

static void set_gemm(gemm_args *g, int64_t m, int64_t n, int64_t k) {
  *g = (gemm_args){{m, k}, {n, k}, {m, k / 128}, {m, n}, {k, 1}, {k, 1}, {1, m}, {n, 1}, {{0}}};
  int64_t *shapes[] = {g->a, g->b, g->sfa, g->d};
  int64_t *strides[] = {g->a_stride, g->b_stride, g->sfa_stride, g->d_stride};
  static const int dtypes[] = {TILE_F8E4M3, TILE_F8E4M3, TILE_F32, TILE_BF16};
  for (int i = 0; i < 4; i++)
    g->args[i] = (tile_arg){
        .kind = TILE_ARG_TENSOR,
        .tensor = {(void *)(uintptr_t)(0x10000 * (i + 1)), shapes[i], strides[i], 2, dtypes[i]}};
}

static void expect_plan(world *w, const gemm_args *g, const char *forced, const char *variant,
                        uint32_t gx, uint32_t gy) {
  tile_plan *plan;
  tile_plan_opts opts = {sizeof opts, forced};
  if (tile_plan_create(w->gemm, &w->device.base, g->args, 4, &opts, &plan) != TILE_OK)
    fail_msg("%s", tile_last_error());
  tile_info info = {.size = sizeof info};
  assert_int_equal(tile_plan_info(plan, &info), TILE_OK);
  assert_string_equal(info.variant, variant);
  assert_int_equal(info.grid[0], gx);
  assert_int_equal(info.grid[1], gy);
  tile_plan_destroy(plan);
}

static void expect_refusal(world *w, const gemm_args *g, tile_status status, const char *text) {
  tile_plan *plan = (tile_plan *)w;
  assert_int_equal(tile_plan_create(w->gemm, &w->device.base, g->args, 4, NULL, &plan), status);
  assert_ptr_equal(plan, w); // outputs are untouched
  assert_string_equal(tile_last_error(), text);
}

static void the_first_variant_that_fits_is_taken(void **state) {
  world *w = *state;
  gemm_args g;
  set_gemm(&g, 77, 264, 384);
  expect_plan(w, &g, NULL, "BM128", 5, 1); // 1 x 5 tiles, 4 SMs x 2 CTAs
  set_gemm(&g, 77 * 10, 264, 384);
  expect_plan(w, &g, NULL, "BM128", 8, 1); // 7 x 5 tiles: persistent
  g.args[3].tensor.data = (char *)g.args[3].tensor.data + 2;
  expect_plan(w, &g, NULL, "BM128_u", 7, 5); // an output that is not 16-byte aligned
  set_gemm(&g, 77, 260, 384);                // rows of D are 520 bytes
  expect_plan(w, &g, NULL, "BM128_u", 1, 5);
  set_gemm(&g, 1, 260, 384); // a single row: its stride is never used
  expect_plan(w, &g, NULL, "BM128", 5, 1);
  set_gemm(&g, 128, 128, 128);
  expect_plan(w, &g, "BM64", "BM64", 2, 1);
}

static void forced_variants_must_fit(void **state) {
  world *w = *state;
  gemm_args g;
  tile_plan *plan;
  set_gemm(&g, 77, 264, 384);
  tile_plan_opts opts = {sizeof opts, "BM64"};
  assert_int_equal(tile_plan_create(w->gemm, &w->device.base, g.args, 4, &opts, &plan),
                   TILE_E_SHAPE);
  assert_string_equal(tile_last_error(), "requires N % 64 == 0: N = 264");
  opts.variant = "BM256";
  assert_int_equal(tile_plan_create(w->gemm, &w->device.base, g.args, 4, &opts, &plan),
                   TILE_E_NO_VARIANT);
  assert_string_equal(tile_last_error(),
                      "'gemm' has no variant 'BM256' for sm_90a; there are: BM128, BM128_u, BM64");
  opts.variant = "BM128";
  g.args[0].tensor.data = (void *)0x10008;
  assert_int_equal(tile_plan_create(w->gemm, &w->device.base, g.args, 4, &opts, &plan),
                   TILE_E_ALIGN);
  assert_string_equal(tile_last_error(), "arg 0 'A': address 0x10008 is not a multiple of 16");
  assert_int_equal(tile_plan_create(w->gemm, &w->other.base, g.args, 4, NULL, &plan),
                   TILE_E_NO_VARIANT);
  assert_string_equal(tile_last_error(),
                      "'gemm' was not compiled for sm_100a, only for sm_90a, sm_120a");
}

static void messages_name_the_argument(void **state) {
  world *w = *state;
  gemm_args g;
  set_gemm(&g, 77, 264, 96);
  expect_refusal(w, &g, TILE_E_SHAPE, "requires K % BK == 0 (K % 128 == 0): K = 96");
  set_gemm(&g, 77, 264, 384);
  g.b[1] = 96;
  expect_refusal(w, &g, TILE_E_SHAPE, "arg 1 'B': 'K' is 96 in 'B' but 384 in 'A'");
  set_gemm(&g, 77, 264, 384);
  g.sfa[1] = 2;
  expect_refusal(w, &g, TILE_E_SHAPE, "arg 2 'SFA': shape[1] = 2, must be K / 128 = 3 (K = 384)");
  set_gemm(&g, 77, 264, 384);
  g.sfa_stride[0] = 3, g.sfa_stride[1] = 1;
  expect_refusal(w, &g, TILE_E_SHAPE, "arg 2 'SFA': stride[0] = 3, must be 1");
  set_gemm(&g, 77, 264, 384);
  g.sfa_stride[1] = 80;
  expect_refusal(w, &g, TILE_E_SHAPE, "arg 2 'SFA': stride[1] = 80, must be M = 77");
  set_gemm(&g, 77, 264, 384);
  g.args[1].tensor.dtype = TILE_F8E5M2;
  expect_refusal(w, &g, TILE_E_DTYPE, "arg 1 'B': is f8e5m2, must be f8e4m3");
  g.args[1].tensor.dtype = 99;
  expect_refusal(w, &g, TILE_E_DTYPE, "arg 1 'B': is no type, must be f8e4m3");
  set_gemm(&g, 77, 264, 384);
  g.args[3].tensor.ndim = 3;
  expect_refusal(w, &g, TILE_E_SHAPE, "arg 3 'D': has 3 dimensions, must have 2");
  set_gemm(&g, 77, 264, 384);
  g.args[3].kind = TILE_ARG_INT;
  expect_refusal(w, &g, TILE_E_DTYPE, "arg 3 'D': must be a tensor of bf16");
  set_gemm(&g, 77, 264, 384);
  g.args[3].tensor.data = (void *)0x40001;
  expect_refusal(w, &g, TILE_E_ALIGN,
                 "arg 3 'D': address 0x40001 is not a multiple of 2, the size of bf16");
  set_gemm(&g, 77, 264, 384);
  g.a[0] = -1;
  expect_refusal(w, &g, TILE_E_SHAPE, "arg 0 'A': shape[0] = -1 is negative");
}

static void strides_must_be_sound(void **state) {
  world *w = *state;
  gemm_args g;
  set_gemm(&g, 77, 264, 384);
  g.d_stride[0] = 100;
  expect_refusal(w, &g, TILE_E_SHAPE,
                 "arg 3 'D': stride[0] = 100, makes elements of an output share an address");
  g.d_stride[0] = -264;
  expect_refusal(w, &g, TILE_E_SHAPE, "arg 3 'D': stride[0] = -264, must not be negative");
  set_gemm(&g, 77, 264, 384);
  g.a_stride[0] = INT64_C(1) << 31;
  expect_refusal(w, &g, TILE_E_SHAPE,
                 "arg 0 'A': stride[0] = 2147483648, too large: offsets inside a tile are 32-bit");
  set_gemm(&g, 77, 264, 384);
  g.a_stride[0] = 0; // inputs may be broadcast
  expect_plan(w, &g, NULL, "BM128", 5, 1);
  g.a_stride[0] = 512; // padded rows
  expect_plan(w, &g, NULL, "BM128", 5, 1);
  set_gemm(&g, 77, 264, 384);
  g.args[0].tensor.stride = NULL; // dense
  expect_plan(w, &g, NULL, "BM128", 5, 1);
}

static void empty_tensors_launch_nothing(void **state) {
  world *w = *state;
  gemm_args g;
  for (int which = 0; which < 2; which++) {
    set_gemm(&g, which ? 77 : 0, which ? 0 : 264, 384);
    for (int i = 0; i < 4; i++)
      g.args[i].tensor.data = i == 1 - which || i == 2 * which ? g.args[i].tensor.data : NULL;
    tile_plan *plan;
    if (tile_plan_create(w->gemm, &w->device.base, g.args, 4, NULL, &plan) != TILE_OK)
      fail_msg("%s", tile_last_error());
    assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, NULL), TILE_OK);
    tile_plan_destroy(plan);
  }
  assert_int_equal(w->device.launches, 0);
  set_gemm(&g, 77, 264, 0); // K = 0: the kernel runs and writes zeros
  g.args[0].tensor.data = g.args[1].tensor.data = g.args[2].tensor.data = NULL;
  assert_int_equal(tile_launch(w->gemm, &w->device.base, g.args, 4, NULL), TILE_OK);
  assert_int_equal(w->device.launches, 1);
}

static uint64_t u64_at(const fake_device *device, size_t at) {
  uint64_t value;
  memcpy(&value, device->params + at, 8);
  return value;
}
static uint32_t u32_at(const fake_device *device, size_t at) {
  uint32_t value;
  memcpy(&value, device->params + at, 4);
  return value;
}

static void parameters_are_packed_in_order(void **state) {
  world *w = *state;
  gemm_args g;
  tile_plan *plan;
  set_gemm(&g, 77, 264, 384);
  assert_int_equal(tile_plan_create(w->gemm, &w->device.base, g.args, 4, NULL, &plan), TILE_OK);
  assert_string_equal(w->device.label, "gemm[BM128]");
  assert_string_equal(w->device.ptx, ".version 9.0 // gemm_a");
  assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, NULL), TILE_OK);
  assert_int_equal(w->device.last.params_bytes, 52);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(u64_at(&w->device, 8 * i), 0x10000 * (i + 1));
  assert_int_equal(u32_at(&w->device, 32), 77);  // M, then 4 bytes of padding
  assert_int_equal(u64_at(&w->device, 40), 384); // ld(A)
  assert_int_equal(u32_at(&w->device, 48), 264); // N
  assert_int_equal(w->device.last.threads, 256);
  assert_int_equal(w->device.last.smem_bytes, 98304);

  void *ptrs[4] = {(void *)0x500, (void *)0x600, (void *)0x700, (void *)0x800};
  assert_int_equal(tile_plan_run(plan, ptrs, NULL, 0, NULL), TILE_OK);
  assert_int_equal(u64_at(&w->device, 24), 0x800);
  ptrs[2] = (void *)0x708; // the plan chose a variant that counts on 16 bytes
  assert_int_equal(tile_plan_run(plan, ptrs, NULL, 0, NULL), TILE_E_ALIGN);
  ptrs[2] = NULL;
  assert_int_equal(tile_plan_run(plan, ptrs, NULL, 0, NULL), TILE_E_INVALID);
  assert_string_equal(tile_last_error(), "'SFA': the address is NULL");
  assert_int_equal(w->device.launches, 2);
  assert_int_equal(w->device.loads, 1);
  tile_plan_destroy(plan);
}

static void set_vadd(tile_arg *args, const int64_t *n) {
  args[0] = (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = {(void *)0x1000, n, NULL, 1, TILE_F32}};
  args[1] = (tile_arg){.kind = TILE_ARG_TENSOR, .tensor = {(void *)0x2004, n, NULL, 1, TILE_F32}};
  args[2] = (tile_arg){.kind = TILE_ARG_FLOAT, .f = 1.5};
  args[3] = (tile_arg){.kind = TILE_ARG_INT, .i = -3};
  args[4] = (tile_arg){.kind = TILE_ARG_FLOAT, .f = -2};
}

static void scalars_are_packed_in_their_type(void **state) {
  world *w = *state;
  tile_arg args[5];
  int64_t n = 1000;
  set_vadd(args, &n);
  assert_int_equal(tile_launch(w->vadd, &w->device.base, args, 5, NULL), TILE_OK);
  assert_int_equal(u32_at(&w->device, 0) & 0xFFFF, 0xC000);        // f16 -2
  assert_int_equal(u32_at(&w->device, 4), 0x3FC00000);             // f32 1.5
  assert_int_equal(u64_at(&w->device, 8), 0x1000);                 // x
  assert_int_equal(u32_at(&w->device, 16), (uint32_t)INT32_C(-3)); // count
  assert_int_equal(u64_at(&w->device, 24), 0x2004);                // y
  assert_int_equal(u64_at(&w->device, 32), 1000);                  // n
  assert_int_equal(w->device.last.grid[0], 4);
  args[3].i = INT64_C(5000000000);
  assert_int_equal(tile_launch(w->vadd, &w->device.base, args, 5, NULL), TILE_E_SHAPE);
  assert_string_equal(tile_last_error(), "arg 3 'count': 5000000000 does not fit i32");
  set_vadd(args, &n);
  args[2].kind = TILE_ARG_INT;
  assert_int_equal(tile_launch(w->vadd, &w->device.base, args, 5, NULL), TILE_E_DTYPE);
  assert_string_equal(tile_last_error(),
                      "arg 2 'alpha': must be a floating-point scalar of type f32");
  assert_int_equal(tile_launch(w->vadd, &w->device.base, args, 4, NULL), TILE_E_INVALID);
  assert_string_equal(tile_last_error(), "'vadd' takes 5 arguments, 4 were given");
}

static void large_grids_and_capture_are_refused(void **state) {
  world *w = *state;
  tile_arg args[5];
  int64_t n = 1000;
  set_vadd(args, &n);
  assert_int_equal(tile_launch(w->vadd, &w->device.base, args, 5, &n), TILE_E_CAPTURE);
  tile_plan *plan;
  assert_int_equal(tile_plan_create(w->vadd, &w->device.base, args, 5, NULL, &plan), TILE_OK);
  assert_int_equal(tile_plan_run(plan, NULL, NULL, 0, &n), TILE_OK);
  tile_plan_destroy(plan);
  gemm_args g;
  set_gemm(&g, 2, INT64_C(1) << 23, 128);
  g.args[3].tensor.data = (void *)0x40002;
  expect_refusal(w, &g, TILE_E_SHAPE, "gemm: the grid needs 131072 blocks along y, at most 65535");
}

// The address each thread gives arrives in its own launch.
typedef struct runner {
  tile_plan *plan;
  uintptr_t address;
  int wrong;
} runner;

static _Thread_local uint64_t launched_address;
static tile_status note_address(tile_device *device, tile_code *code, const tile_dispatch *dispatch,
                                void *stream) {
  (void)device, (void)code, (void)stream;
  memcpy(&launched_address, dispatch->params, 8);
  return TILE_OK;
}

static void *run_often(void *user) {
  runner *r = user;
  for (int i = 0; i < 20000; i++) {
    uintptr_t base = r->address + (uintptr_t)(i % 64) * 16;
    void *ptrs[4] = {(void *)base, (void *)0x600, (void *)0x700, (void *)0x800};
    r->wrong += tile_plan_run(r->plan, ptrs, NULL, 0, NULL) != TILE_OK || launched_address != base;
    ptrs[1] = NULL; // and so does the text of each thread's own failure
    r->wrong += tile_plan_run(r->plan, ptrs, NULL, 0, NULL) != TILE_E_INVALID ||
                strcmp(tile_last_error(), "'B': the address is NULL") != 0;
  }
  return NULL;
}

static void a_plan_runs_from_several_threads(void **state) {
  world *w = *state;
  gemm_args g;
  runner runners[4];
  pthread_t threads[4];
  tile_plan *plan;
  tile_device_ops ops = fake_ops;
  ops.launch = note_address;
  w->device.base.ops = &ops;
  set_gemm(&g, 77, 264, 384);
  assert_int_equal(tile_plan_create(w->gemm, &w->device.base, g.args, 4, NULL, &plan), TILE_OK);
  for (int i = 0; i < 4; i++) {
    runners[i] = (runner){plan, (uintptr_t)(i + 1) << 20, 0};
    assert_int_equal(pthread_create(&threads[i], NULL, run_often, &runners[i]), 0);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(runners[i].wrong, 0);
  }
  tile_plan_destroy(plan);
  w->device.base.ops = &fake_ops;
}

static void kernels_are_found_by_either_name(void **state) {
  world *w = *state;
  tile_kernel *kernel = NULL;
  assert_int_equal(tile_kernel_get(w->module, "tile_gemm", &kernel), TILE_OK);
  assert_ptr_equal(kernel, w->gemm);
  assert_int_equal(tile_kernel_get(w->module, "gem", &kernel), TILE_E_INVALID);
  assert_string_equal(tile_last_error(), "<memory> has no kernel 'gem'; did you mean 'gemm'?");
  assert_int_equal(tile_kernel_get(w->module, "attention", &kernel), TILE_E_INVALID);
  assert_string_equal(tile_last_error(),
                      "<memory> has no kernel 'attention'; there are: gemm, vadd");
  tile_param_info info;
  assert_int_equal(tile_kernel_param_count(w->gemm), 4);
  assert_int_equal(tile_kernel_param(w->gemm, 3, &info), TILE_OK);
  assert_string_equal(info.name, "D");
  assert_true(info.is_tensor && info.is_out);
  assert_int_equal(info.dtype, TILE_BF16);
  assert_int_equal(tile_kernel_param(w->gemm, 4, &info), TILE_E_INVALID);
}

static void calls_check_their_own_arguments(void **state) {
  world *w = *state;
  tile_device *device;
  tile_ctx *ctx;
  assert_int_equal(tile_ctx_create(TILE_ABI + 1, &ctx), TILE_E_INVALID);
  assert_int_equal(tile_device_open(w->ctx, "tpu:0", &device), TILE_E_INVALID);
  assert_int_equal(tile_device_open(w->ctx, "sim:sm_75", &device), TILE_E_NO_DEVICE);
  assert_int_equal(tile_device_open(w->ctx, NULL, &device), TILE_E_INVALID);
  assert_int_equal(tile_device_open(w->ctx, "fake:sm_90a", &device), TILE_OK);
  assert_ptr_equal(device, &w->device.base);
  assert_string_equal(tile_device_arch(device), "sm_90a");
  tile_sim_opts opts = {.size = sizeof opts, .seed = 1};
  assert_int_equal(tile_device_sim_options(device, &opts), TILE_E_UNSUPPORTED);
  assert_int_equal(tile_plan_run(NULL, NULL, NULL, 0, NULL), TILE_E_INVALID);
  assert_string_equal(tile_status_name(TILE_E_NO_VARIANT), "no_variant");
  assert_true(tile_version() > 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)
  const struct CMUnitTest tests[] = {
      TEST(the_first_variant_that_fits_is_taken), TEST(forced_variants_must_fit),
      TEST(messages_name_the_argument),           TEST(strides_must_be_sound),
      TEST(empty_tensors_launch_nothing),         TEST(parameters_are_packed_in_order),
      TEST(scalars_are_packed_in_their_type),     TEST(large_grids_and_capture_are_refused),
      TEST(a_plan_runs_from_several_threads),     TEST(kernels_are_found_by_either_name),
      TEST(calls_check_their_own_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
