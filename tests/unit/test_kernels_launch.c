// The typed launchers on the simulator: a product through each kind of signature, and what is said
// of bad arguments.
#include "kernels/einsum.h"
#include "kernels/gemm.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct setup {
  tile_ctx *ctx;
  tile_target target;
} setup;

static setup open_kernel(const char *file, const char *kernel, const char *set) {
  setup s = {0};
  char path[512], only[128];
  snprintf(path, sizeof path, TESTS_DIR "/../kernels/%s", file);
  snprintf(only, sizeof only, "--kernel=%s", kernel);
  setenv("TILE_COMPILER", LIBTILEC, 1);
  FILE *in = fopen(path, "rb");
  assert_non_null(in);
  static char text[1 << 16];
  size_t len = fread(text, 1, sizeof text, in);
  fclose(in);
  const char *flags[] = {
      only, "--arch=sm_120a", "--default-only", "--no-ptxas", "--std=" TESTS_DIR "/../lang/std",
      set};
  assert_int_equal(tile_ctx_create(TILE_ABI, &s.ctx), TILE_OK);
  assert_int_equal(tile_device_open(s.ctx, "sim:sm_120a", &s.target.device), TILE_OK);
  tile_status status =
      tile_module_compile(s.ctx, path, text, len, flags, set ? 6 : 5, &s.target.module);
  if (status != TILE_OK)
    fail_msg("%s", tile_last_error());
  return s;
}

static void close_kernel(setup *s) {
  tile_module_destroy(s->target.module);
  tile_ctx_destroy(s->ctx);
}

// Tensors over simulated memory; shapes and strides stay in the caller's arrays.
static tile_tensor tensor(const setup *s, int dtype, int ndim, const int64_t *shape,
                          const int64_t *stride, size_t bytes, int fill) {
  tile_tensor t = {NULL, shape, stride, ndim, dtype};
  assert_int_equal(tile_buffer_create(s->target.device, bytes, "t", &t.data), TILE_OK);
  assert_int_equal(tile_buffer_fill(s->target.device, t.data, (uint8_t)fill, bytes, 0), TILE_OK);
  return t;
}

static void refused(tile_status got, tile_status wanted, const char *text) {
  assert_int_equal(got, wanted);
  if (!strstr(tile_last_error(), text))
    fail_msg("'%s' does not say '%s'", tile_last_error(), text);
}

enum { M = 17, N = 24, K = 256 };

// FP8 1.0 (0x38) times FP4 0.5 (0x11), scales 2^0 and 2^1: every element is K.
static void test_mixed_gemm(void **state) {
  (void)state;
  setup s = open_kernel("fp8_fp4_gemm.tile", "fp8_fp4_gemm_nt", "--set=BT=f4e2m1");
  int64_t as[] = {M, K}, bs[] = {N, K}, sas[] = {M, 1}, sbs[] = {N, 1}, st[] = {1, 20},
          stb[] = {1, 24}, ds[] = {M, N};
  tile_tensor a = tensor(&s, TILE_F8E4M3, 2, as, NULL, M * K, 0x38),
              b = tensor(&s, TILE_F4E2M1, 2, bs, NULL, N * K / 2, 0x11);
  tile_tensor sa = tensor(&s, TILE_I32, 2, sas, st, 80, 0x7F),
              sb = tensor(&s, TILE_I32, 2, sbs, stb, 96, 0x80);
  tile_tensor d = tensor(&s, TILE_BF16, 2, ds, NULL, M * N * 2, 0xFF);
  tile_operand x = {&a, &sa}, y = {&b, &sb};
  tile_status status = tile_gemm(&s.target, TILE_NT, x, y, NULL, &d);
  if (status != TILE_OK)
    fail_msg("%s", tile_last_error());
  uint16_t out[M * N];
  assert_int_equal(tile_buffer_read(s.target.device, d.data, out, sizeof out), TILE_OK);
  for (int i = 0; i < M * N; i++)
    assert_int_equal(out[i], 0x4380); // 256

  refused(tile_gemm(&s.target, TILE_NT, x, (tile_operand){&b, NULL}, NULL, &d), TILE_E_DTYPE,
          "\'SFB\': is no type");
  refused(tile_gemm(&s.target, TILE_NT, x, y, NULL, NULL), TILE_E_DTYPE, "\'C\': is no type");
  refused(tile_gemm(&s.target, TILE_NT, y, x, NULL, &d), TILE_E_DTYPE,
          "'A': is f4e2m1, must be f8e4m3");
  refused(tile_gemm(&s.target, TILE_TT, x, y, NULL, &d), TILE_E_INVALID, "fp8_fp4_gemm_tt");
  int64_t odd[] = {N, K - 1}, short_k[] = {N, K - 128}, far[] = {1, 21};
  b.shape = odd;
  refused(tile_gemm(&s.target, TILE_NT, x, y, NULL, &d), TILE_E_SHAPE,
          "'K' is 255 in 'B' but 256 in 'A'");
  b.shape = short_k;
  refused(tile_gemm(&s.target, TILE_NT, x, y, NULL, &d), TILE_E_SHAPE, "'K' is 128 in 'B'");
  b.shape = bs, sa.stride = far;
  sas[1] = 2;
  refused(tile_gemm(&s.target, TILE_NT, x, y, NULL, &d), TILE_E_SHAPE, "'SFA'");
  close_kernel(&s);
}

static void test_grouped(void **state) {
  (void)state;
  setup s = open_kernel("grouped_gemm.tile", "m_grouped_bf16_gemm_nt_contiguous", "--set=BM=64");
  int64_t as[] = {128, 64}, bs[] = {2, 8, 64}, ls[] = {128}, ds[] = {128, 8};
  tile_tensor a = tensor(&s, TILE_BF16, 2, as, NULL, 128 * 64 * 2, 0x3F),
              b = tensor(&s, TILE_BF16, 3, bs, NULL, 2 * 8 * 64 * 2, 0);
  tile_tensor layout = tensor(&s, TILE_I32, 1, ls, NULL, 512, 0xFF),
              d = tensor(&s, TILE_BF16, 2, ds, NULL, 128 * 8 * 2, 0x7F);
  tile_operand x = {&a, NULL}, y = {&b, NULL};
  assert_int_equal(
      tile_m_grouped_contiguous(&s.target, TILE_UNSCALED, TILE_NT, x, y, &layout, &d, 64), TILE_OK);
  uint16_t out[128 * 8];
  assert_int_equal(tile_buffer_read(s.target.device, d.data, out, sizeof out), TILE_OK);
  for (int i = 0; i < 128 * 8; i++)
    assert_int_equal(out[i], 0); // rows of no group
  refused(tile_m_grouped_contiguous(&s.target, TILE_UNSCALED, TILE_NT, x, y, &layout, &d, 48),
          TILE_E_SHAPE, "ALIGN");
  refused(tile_m_grouped_contiguous(&s.target, TILE_F32_SCALES, TILE_TT, x, y, &layout, &d, 64),
          TILE_E_INVALID, "m_grouped_gemm_of_this_major");
  ls[0] = 127;
  refused(tile_m_grouped_contiguous(&s.target, TILE_UNSCALED, TILE_NT, x, y, &layout, &d, 64),
          TILE_E_SHAPE, "L");
  ls[0] = 128, layout.dtype = TILE_I64;
  refused(tile_m_grouped_contiguous(&s.target, TILE_UNSCALED, TILE_NT, x, y, &layout, &d, 64),
          TILE_E_DTYPE, "'LAYOUT': is i64");
  layout.dtype = TILE_I32;
  layout.data = (char *)layout.data + 2;
  refused(tile_m_grouped_contiguous(&s.target, TILE_UNSCALED, TILE_NT, x, y, &layout, &d, 64),
          TILE_E_ALIGN, "'LAYOUT': address");
  close_kernel(&s);
}

static void test_einsum(void **state) {
  (void)state;
  setup s = open_kernel("einsum.tile", "sum_slices", NULL);
  int64_t ps[] = {3, 5, 8}, zs[] = {5, 8};
  tile_tensor p = tensor(&s, TILE_F32, 3, ps, NULL, 3 * 5 * 8 * 4, 0),
              z = tensor(&s, TILE_F32, 2, zs, NULL, 5 * 8 * 4, 0xFF);
  assert_int_equal(tile_sum_slices(&s.target, &p, NULL, &z), TILE_OK);
  float out[40];
  assert_int_equal(tile_buffer_read(s.target.device, z.data, out, sizeof out), TILE_OK);
  for (int i = 0; i < 40; i++)
    assert_true(out[i] == 0);
  tile_operand none = {NULL, NULL};
  refused(tile_einsum(&s.target, TILE_BHR_HDR_BHD, none, none, NULL, &z), TILE_E_INVALID,
          "bf16_einsum_bhr_hdr_bhd");
  refused(tile_sum_slices(&s.target, NULL, NULL, &z), TILE_E_DTYPE, "'P': is no type");
  assert_int_equal(tile_sum_slices(NULL, &p, NULL, &z), TILE_E_INVALID);
  int64_t wide[] = {9, 1};
  z.stride = wide;
  zs[0] = 4;
  refused(tile_sum_slices(&s.target, &p, NULL, &z), TILE_E_SHAPE, "'M' is 4");
  close_kernel(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_mixed_gemm),
                                     cmocka_unit_test(test_grouped), cmocka_unit_test(test_einsum)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
