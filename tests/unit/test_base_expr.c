// The expression texts of an artifact: values, precedence, and every way to fail.
#include "lang/base/expr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static bool lookup(void *user, const char *name, size_t len, int64_t *out_value) {
  (void)user;
  static const struct {
    const char *name;
    int64_t value;
  } dims[] = {{"M", 77}, {"N", 264}, {"K", 384}, {"zero", 0}, {"big", INT64_MAX}};
  for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
    if (strlen(dims[i].name) == len && memcmp(dims[i].name, name, len) == 0)
      return *out_value = dims[i].value, true;
  return false;
}

static void values(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t value;
  } cases[] = {
      {"ceildiv(M, 128) * ceildiv(N, 128)", 3},
      {"K % 128 == 0 && N > 0", 1},
      {"K / 128", 3},
      {"1 + 2 * 3 - 4", 3},
      {"10 - 3 - 2", 5},
      {"100 / 7 / 2", 7},
      {"-7 / 2", -3},
      {"-7 % 2", -1},
      {"!(M == 77) || !zero", 1},
      {"M < N ? M : N", 77},
      {"M > N ? M : N > 3 ? 5 : 6", 5},
      {"min(M, N) + max(M, N)", 341},
      {"zero != 0 && K / zero > 2", 0},
      {"zero == 0 || K / zero > 2", 1},
      {"zero == 0 ? 4 : K / zero", 4},
      {"ceildiv(0, 5)", 0},
      {"ceildiv(-5, 2)", -2},
      {"((((M))))", 77},
      {"1 <= 2 == 1 >= 0", 1},
      {" M ", 77},
      {"M != 77", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t value = -999;
    char error[200];
    bool ok = tl_expr_eval(cases[i].text, lookup, NULL, &value, error, sizeof error);
    if (!ok)
      print_error("%s: %s\n", cases[i].text, error);
    assert_true(ok);
    assert_int_equal(value, cases[i].value);
  }
}

static void failures(void **state) {
  (void)state;
  static const struct {
    const char *text, *reason;
  } cases[] = {
      {"Q + 1", "unknown name 'Q'"},
      {"K / zero", "division by zero in 'K / zero'"},
      {"K % zero", "division by zero in 'K % zero'"},
      {"ceildiv(K, zero)", "ceildiv by 0 in 'ceildiv(K, zero)'"},
      {"big + 1", "overflow in '+' of 'big + 1'"},
      {"big * 2", "overflow in '*' of 'big * 2'"},
      {"(-big - 1) / -1", "overflow in '/' of '(-big - 1) / -1'"},
      {"(M", "expected ')' at column 3 of '(M'"},
      {"M +", "expected a value at column 4 of 'M +'"},
      {"M N", "unexpected 'N' at column 3 of 'M N'"},
      {"", "expected a value at column 1 of ''"},
      {"12x", "malformed number in '12x'"},
      {"99999999999999999999", "number too large in '99999999999999999999'"},
      {"sqrt(M, 2)", "unknown function 'sqrt'"},
      {"zero ? Q : 1", "unknown name 'Q'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t value = 5;
    char error[200];
    assert_false(tl_expr_eval(cases[i].text, lookup, NULL, &value, error, sizeof error));
    assert_string_equal(error, cases[i].reason);
    assert_int_equal(value, 5);
  }
}

static void deep_nesting_is_refused(void **state) {
  (void)state;
  char text[4001];
  memset(text, '(', 4000);
  text[4000] = 0;
  int64_t value;
  char error[20];
  assert_false(tl_expr_eval(text, lookup, NULL, &value, error, sizeof error));
  memset(text, '-', 4000);
  assert_false(tl_expr_eval(text, lookup, NULL, &value, error, sizeof error));
  assert_int_equal(strlen(error), sizeof error - 1); // cut, not overrun
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values),
      cmocka_unit_test(failures),
      cmocka_unit_test(deep_nesting_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
