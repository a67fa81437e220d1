// .npy files and the comparison of results.
#include "lang/base/fp.h"
#include "runtime/check.h"
#include "runtime/npy.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

// --- .npy --------------------------------------------------------------------------------------

static size_t make_npy(unsigned char *out, int major, const char *header, const void *data,
                       size_t bytes) {
  size_t len = strlen(header), at = major == 1 ? 10 : 12;
  memcpy(out, "\x93NUMPY", 6);
  out[6] = (unsigned char)major;
  out[7] = 0;
  for (size_t i = 8; i < at; i++)
    out[i] = (unsigned char)(len >> (i - 8) * 8);
  memcpy(out + at, header, len);
  memcpy(out + at + len, data, bytes);
  return at + len + bytes;
}

static tile_status parse(int major, const char *header, const void *data, size_t bytes,
                         npy_array *out) {
  unsigned char file[1024];
  size_t len = make_npy(file, major, header, data, bytes);
  return npy_parse("x.npy", file, len, out);
}

static void headers_of_all_versions_are_read(void **state) {
  (void)state;
  static const float data[6] = {1, 2, 3, 4, 5, 6};
  for (int major = 1; major <= 3; major++) {
    npy_array a;
    assert_int_equal(parse(major,
                           "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }      \n",
                           data, sizeof data, &a),
                     TILE_OK);
    assert_int_equal(a.kind, 'f');
    assert_int_equal(a.item_bytes, 4);
    assert_true(a.fortran_order);
    assert_int_equal(a.ndim, 2);
    assert_int_equal(a.shape[1], 3);
    assert_memory_equal(a.data, data, sizeof data);
    npy_free(&a);
  }
}

static void element_types_are_known(void **state) {
  (void)state;
  static const struct {
    const char *descr;
    char kind;
    int bytes;
  } cases[] = {{"<f8", 'f', 8},      {"<f2", 'f', 2},          {"|i1", 'i', 1}, {"<i8", 'i', 8},
               {"<u2", 'u', 2},      {"|u1", 'u', 1},          {"|b1", 'b', 1}, {"|?", 'b', 1},
               {"|V1", 'V', 1},      {"<V2", 'V', 2},          {"|V2", 'V', 2}, {"=i4", 'i', 4},
               {"bfloat16", 'V', 2}, {"float8_e4m3fn", 'V', 1}};
  static const unsigned char data[16];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char header[120];
    npy_array a;
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n",
             cases[i].descr);
    if (parse(1, header, data, sizeof data, &a) != TILE_OK)
      fail_msg("%s: %s", cases[i].descr, tile_last_error());
    assert_int_equal(a.kind, cases[i].kind);
    assert_int_equal(a.item_bytes, cases[i].bytes);
    assert_int_equal(a.ndim, 1);
    npy_free(&a);
  }
}

static void empty_and_scalar_arrays_are_read(void **state) {
  (void)state;
  npy_array a;
  assert_int_equal(
      parse(1, "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (0, 7)}", "", 0, &a),
      TILE_OK);
  assert_int_equal(a.bytes, 0);
  npy_free(&a);
  assert_int_equal(parse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "abcd", 4, &a),
                   TILE_OK);
  assert_int_equal(a.ndim, 0);
  assert_int_equal(a.bytes, 4);
  npy_free(&a);
}

static void bad_files_are_refused(void **state) {
  (void)state;
  static const char *const headers[] = {
      "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }",
      "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
      "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
      "{'descr': '<f4', 'shape': (2,), }",
      "{'descr': '<f4', 'fortran_order': False, }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -1), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, x), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", // 8 bytes only
      "{'descr': 'O', 'fortran_order': False, 'shape': (2,), }",
      "",
  };
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    npy_array a;
    assert_int_equal(parse(1, headers[i], "01234567", 8, &a), TILE_E_FORMAT);
    assert_null(a.data);
  }
  npy_array a;
  assert_int_equal(npy_parse("x", "\x93NUMPY\x07\0\0\0\0\0", 12, &a), TILE_E_FORMAT);
  assert_int_equal(npy_parse("x", "\x93NUMPY\x01\0\xFF\xFF{}", 12, &a), TILE_E_FORMAT);
  assert_int_equal(npy_parse("x", "hello, world", 12, &a), TILE_E_FORMAT);
  assert_int_equal(npy_read("/nowhere/x.npy", &a), TILE_E_IO);
}

static void written_files_read_back(void **state) {
  (void)state;
  char path[] = "/tmp/tile_npy_XXXXXX";
  close(mkstemp(path));
  for (int ndim = 0; ndim <= 3; ndim++) {
    static const int64_t shape[3] = {2, 3, 4};
    unsigned short data[24];
    size_t count = ndim == 0 ? 1 : ndim == 1 ? 2 : ndim == 2 ? 6 : 24;
    for (size_t i = 0; i < count; i++)
      data[i] = (unsigned short)(i * 257);
    npy_array a;
    assert_int_equal(npy_write(path, "<u2", ndim, shape, data, count * 2), TILE_OK);
    assert_int_equal(npy_read(path, &a), TILE_OK);
    assert_int_equal(a.ndim, ndim);
    assert_int_equal(a.bytes, count * 2);
    assert_false(a.fortran_order);
    assert_memory_equal(a.data, data, count * 2);
    npy_free(&a);
  }
  unlink(path);
  assert_int_equal(npy_write("/nowhere/x.npy", "<u2", 0, NULL, "ab", 2), TILE_E_IO);
}

// --- comparison --------------------------------------------------------------------------------

enum { ROWS = 6, COLS = 8 };
static const int64_t shape[2] = {ROWS, COLS}, dense[2] = {COLS, 1};

static check_array bf16_array(const uint16_t *data) {
  return (check_array){TL_BF16, 2, shape, dense, data, false, NULL};
}

static void fill_bf16(uint16_t *data) {
  for (int i = 0; i < ROWS * COLS; i++)
    data[i] = tl_bf16_of_f32((float)(i - 20) * 1.5f);
}

static check_result compare_bf16(const uint16_t *got, const uint16_t *want) {
  check_array g = bf16_array(got), w = bf16_array(want);
  check_result result;
  check_compare(&g, &w, CHECK_SUM_BITS, &result);
  return result;
}

static void equal_bits_pass(void **state) {
  (void)state;
  uint16_t want[ROWS * COLS];
  fill_bf16(want);
  want[5] = 0x7FC0; // NaN in both counts as equal
  want[6] = 0x7F80;
  check_result r = compare_bf16(want, want);
  assert_true(r.passed);
  assert_int_equal(r.elements, ROWS * COLS);
  assert_int_equal(r.differing, 0);
  assert_true(fabs(r.calc_diff) < 1e-15);
}

static void one_ulp_passes_two_do_not(void **state) {
  (void)state;
  uint16_t want[ROWS * COLS], got[ROWS * COLS];
  fill_bf16(want);
  memcpy(got, want, sizeof got);
  got[41] += 1;
  check_result r = compare_bf16(got, want);
  assert_true(r.passed);
  assert_int_equal(r.differing, 1);
  assert_true(r.max_ulp == 1);
  got[41] += 1;
  r = compare_bf16(got, want);
  assert_false(r.passed);
  assert_int_equal(r.bad, 1);
  assert_true(r.max_ulp == 2);
  assert_int_equal(r.worst[0], 5);
  assert_int_equal(r.worst[1], 1);
}

static void rounding_of_cancelled_sums_passes(void **state) {
  (void)state;
  uint16_t want[ROWS * COLS], got[ROWS * COLS];
  fill_bf16(want);
  memcpy(got, want, sizeof got);
  want[20] = tl_bf16_of_f32(1e-5f); // beside values up to 40: a sum that cancelled
  got[20] = tl_bf16_of_f32(9e-5f);
  check_result r = compare_bf16(got, want);
  assert_true(r.passed);
  assert_int_equal(r.over_one_ulp, 1);
  assert_int_equal(r.bad, 0);
  got[20] = tl_bf16_of_f32(1e-2f); // but not anything small
  assert_false(compare_bf16(got, want).passed);
}

static void nan_against_a_number_fails(void **state) {
  (void)state;
  uint16_t want[ROWS * COLS], got[ROWS * COLS];
  fill_bf16(want);
  memcpy(got, want, sizeof got);
  got[0] = 0x7FC0;
  check_result r = compare_bf16(got, want);
  assert_false(r.passed);
  assert_true(isinf(r.max_ulp));
  got[0] = 0x7F80;
  assert_false(compare_bf16(got, want).passed);
}

static void poison_is_no_result(void **state) {
  (void)state;
  uint16_t want[ROWS * COLS], got[ROWS * COLS];
  fill_bf16(want);
  want[3] = 0x7FFF; // a NaN that was written
  memcpy(got, want, sizeof got);
  got[3] = 0xFFFF; // one that was not
  check_array g = bf16_array(got), w = bf16_array(want);
  check_result r;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_true(r.passed); // not poisoned before: a NaN is a NaN
  g.was_poison = w.was_poison = true;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_false(r.passed); // the reference wrote one, the bits say that the device did not
  uint8_t written[sizeof got];
  memset(written, 1, sizeof written);
  g.written = written;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_true(r.passed); // the device did: it copied the bits from its input
  written[2 * 3 + 1] = 0;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_false(r.passed); // half of an element is not written
  assert_int_equal(r.worst[1], 3);
  got[3] = want[3] = 0x3F80;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_false(r.passed); // whatever lies there
  got[3] = 0xFFFF;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_false(r.passed); // but no number
  assert_int_equal(r.worst[1], 3);
  want[3] = 0xFFFF; // neither wrote it
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_true(r.passed);
  assert_int_equal(r.unwritten, 1);
  memset(got, 0xFF, sizeof got);
  memset(want, 0xFF, sizeof want);
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_false(r.passed); // nobody wrote anything
}

static void zeros_against_values_fail(void **state) {
  (void)state;
  uint16_t want[ROWS * COLS], got[ROWS * COLS] = {0};
  fill_bf16(want);
  check_result r = compare_bf16(got, want);
  assert_false(r.passed);
  assert_true(r.calc_diff > 0.9);
}

static void integers_must_be_equal(void **state) {
  (void)state;
  static const int64_t one[1] = {3}, unit[1] = {1};
  int64_t want[3] = {INT64_MAX, -1, 0}, got[3] = {INT64_MAX - 1, -1, 0};
  check_array w = {TL_I64, 1, one, unit, want, false, NULL},
              g = {TL_I64, 1, one, unit, got, false, NULL};
  check_result r;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_false(r.passed); // the same double, not the same integer
  assert_int_equal(r.bad, 1);
  got[0] = INT64_MAX;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  assert_true(r.passed);
}

static void elements_are_found_by_stride(void **state) {
  (void)state;
  static const uint8_t packed[6] = {0x21, 0x43, 0x65, 0x07, 0x00, 0x80};
  static const int64_t at[][2] = {{0, 0}, {0, 1}, {0, 3}, {1, 0}, {1, 2}, {1, 3}};
  static const int64_t f4_shape[2] = {2, 4}, f4_stride[2] = {4, 1};
  static const unsigned bits[] = {1, 2, 4, 5, 7, 0};
  check_array array = {TL_F4E2M1, 2, f4_shape, f4_stride, packed, false, NULL};
  for (int i = 0; i < 6; i++)
    assert_int_equal(check_element_bits(&array, at[i]), bits[i]);
  static const float columns[6] = {1, 2, 3, 4, 5, 6}; // 2 x 3, column by column
  static const int64_t f_shape[2] = {2, 3}, f_stride[2] = {1, 2};
  check_array fortran = {TL_F32, 2, f_shape, f_stride, columns, false, NULL};
  static const int64_t last[2] = {0, 2};
  assert_true(check_element(&fortran, last) == 5);
}

static void failures_print_a_window(void **state) {
  (void)state;
  uint16_t want[ROWS * COLS], got[ROWS * COLS];
  char *text;
  size_t size;
  fill_bf16(want);
  memcpy(got, want, sizeof got);
  got[47] = 0;
  check_array g = bf16_array(got), w = bf16_array(want);
  check_result r;
  check_compare(&g, &w, CHECK_SUM_BITS, &r);
  FILE *out = open_memstream(&text, &size);
  check_print(out, "D", &g, &w, &r);
  fclose(out);
  assert_non_null(strstr(text, "check D: FAILED"));
  assert_non_null(strstr(text, "worst [5, 7] got 0, reference 40.5"));
  assert_non_null(strstr(text, "got, rows from 2, columns from 4:"));
  assert_non_null(strstr(text, "          40.5*"));
  int lines = 0;
  for (const char *at = text; (at = strchr(at, '\n')); at++)
    lines++;
  assert_int_equal(lines, 1 + 2 * 5);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(headers_of_all_versions_are_read),
      cmocka_unit_test(element_types_are_known),
      cmocka_unit_test(empty_and_scalar_arrays_are_read),
      cmocka_unit_test(bad_files_are_refused),
      cmocka_unit_test(written_files_read_back),
      cmocka_unit_test(equal_bits_pass),
      cmocka_unit_test(one_ulp_passes_two_do_not),
      cmocka_unit_test(rounding_of_cancelled_sums_passes),
      cmocka_unit_test(nan_against_a_number_fails),
      cmocka_unit_test(poison_is_no_result),
      cmocka_unit_test(zeros_against_values_fail),
      cmocka_unit_test(integers_must_be_equal),
      cmocka_unit_test(elements_are_found_by_stride),
      cmocka_unit_test(failures_print_a_window),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
