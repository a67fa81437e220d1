// The mbarrier against a second formulation of the recorded rules, under random operations.
#include "runtime/sim/mbar.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static uint64_t rng = 3;
static uint32_t draw(uint32_t n) {
  rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(rng >> 33) % n;
}

static void test_parity_of_a_fresh_barrier(void **state) {
  (void)state;
  sim_mbar_state bar;
  assert_int_equal(sim_mbar_init(&bar, 2), SIM_MBAR_OK);
  assert_false(sim_mbar_test_parity(&bar, 0));
  assert_true(sim_mbar_test_parity(&bar, 1));
  uint64_t first, second, third;
  bool done;
  assert_int_equal(sim_mbar_arrive(&bar, 1, false, false, &first, &done), SIM_MBAR_OK);
  assert_false(done);
  assert_int_equal(sim_mbar_pending_count(first), 2); // before the arrival
  assert_false(sim_mbar_test_token(&bar, first));
  assert_int_equal(sim_mbar_arrive(&bar, 1, false, false, &second, &done), SIM_MBAR_OK);
  assert_true(done);
  assert_int_equal(sim_mbar_pending_count(second), 1);
  assert_true(sim_mbar_test_token(&bar, first));
  assert_true(sim_mbar_test_parity(&bar, 0));
  assert_false(sim_mbar_test_parity(&bar, 1));
  assert_int_equal(sim_mbar_arrive(&bar, 1, false, true, &third, &done), SIM_MBAR_OK);
  assert_false(sim_mbar_test_token(&bar, third));
  assert_int_equal(sim_mbar_arrive(&bar, 1, false, true, NULL, &done), SIM_MBAR_COMPLETES);
}

static void test_transactions(void **state) {
  (void)state;
  sim_mbar_state bar;
  bool done;
  sim_mbar_init(&bar, 1);
  // bytes may come before they are expected, while arrivals are pending
  assert_int_equal(sim_mbar_complete_tx(&bar, 64, &done), SIM_MBAR_OK);
  assert_false(done);
  assert_int_equal(sim_mbar_expect_tx(&bar, 128), SIM_MBAR_OK);
  assert_int_equal(sim_mbar_arrive(&bar, 1, false, false, NULL, &done), SIM_MBAR_OK);
  assert_false(done);
  assert_int_equal(sim_mbar_complete_tx(&bar, 64, &done), SIM_MBAR_OK);
  assert_true(done);
  assert_int_equal(bar.phase, 1);
  // more than expected, all arrived
  sim_mbar_expect_tx(&bar, 16);
  sim_mbar_arrive(&bar, 1, false, false, NULL, &done);
  assert_int_equal(sim_mbar_complete_tx(&bar, 32, &done), SIM_MBAR_TX_EXCESS);
  sim_mbar_init(&bar, 1);
  assert_int_equal(sim_mbar_expect_tx(&bar, SIM_MBAR_MAX), SIM_MBAR_OK);
  assert_int_equal(sim_mbar_expect_tx(&bar, 1), SIM_MBAR_TX_RANGE);
  sim_mbar_init(&bar, 1);
  assert_int_equal(sim_mbar_complete_tx(&bar, SIM_MBAR_MAX + 1, &done), SIM_MBAR_TX_RANGE);
  sim_mbar_complete_tx(&bar, 16, &done);
  assert_int_equal(sim_mbar_arrive(&bar, 1, false, false, NULL, &done), SIM_MBAR_TX_EXCESS);
}

static void test_drop(void **state) {
  (void)state;
  sim_mbar_state bar;
  bool done;
  sim_mbar_init(&bar, 3);
  assert_int_equal(sim_mbar_arrive(&bar, 1, true, false, NULL, &done), SIM_MBAR_OK);
  assert_int_equal(bar.pending, 2); // this phase counts the dropped arrival
  sim_mbar_arrive(&bar, 2, false, false, NULL, &done);
  assert_true(done);
  assert_int_equal(bar.pending, 2); // later ones do not expect it
  assert_int_equal(bar.expected, 2);
}

static void test_limits(void **state) {
  (void)state;
  sim_mbar_state bar;
  bool done;
  assert_int_equal(sim_mbar_init(&bar, 0), SIM_MBAR_COUNT);
  assert_int_equal(sim_mbar_init(&bar, SIM_MBAR_MAX + 1), SIM_MBAR_COUNT);
  assert_int_equal(sim_mbar_init(&bar, SIM_MBAR_MAX), SIM_MBAR_OK);
  sim_mbar_init(&bar, 2);
  assert_int_equal(sim_mbar_arrive(&bar, 3, false, false, NULL, &done), SIM_MBAR_OVERRUN);
  assert_int_equal(sim_mbar_arrive(&bar, 0, false, false, NULL, &done), SIM_MBAR_COUNT);
  // an arrival while only bytes are due
  sim_mbar_expect_tx(&bar, 8);
  sim_mbar_arrive(&bar, 2, false, false, NULL, &done);
  assert_int_equal(sim_mbar_arrive(&bar, 1, false, false, NULL, &done), SIM_MBAR_OVERRUN);
}

// Totals instead of a state machine: phase k ends when its arrivals and bytes are all there.
static void test_random(void **state) {
  (void)state;
  for (int run = 0; run < 2000; run++) {
    sim_mbar_state bar;
    uint32_t n = 1 + draw(5), arrived = 0, phase = 0;
    int64_t due = 0;
    bool done;
    sim_mbar_init(&bar, n);
    for (int step = 0; step < 60; step++) {
      uint32_t what = draw(3), bytes = 16 * (1 + draw(3));
      done = false;
      if (what == 0 && arrived < n && !(arrived + 1 == n && due < 0)) {
        arrived++;
        assert_int_equal(sim_mbar_arrive(&bar, 1, false, false, NULL, &done), SIM_MBAR_OK);
      } else if (what == 1 && arrived < n) {
        due += bytes;
        assert_int_equal(sim_mbar_expect_tx(&bar, bytes), SIM_MBAR_OK);
      } else if (what == 2 && (arrived < n || due >= bytes)) {
        due -= bytes;
        assert_int_equal(sim_mbar_complete_tx(&bar, bytes, &done), SIM_MBAR_OK);
      } else {
        continue;
      }
      bool over = arrived == n && due == 0;
      assert_int_equal(done, over);
      if (over)
        phase++, arrived = 0;
      assert_int_equal(bar.phase, phase);
      assert_int_equal(bar.pending, n - arrived);
      assert_int_equal(bar.tx, due);
      assert_int_equal(sim_mbar_test_parity(&bar, (phase & 1) ^ 1), 1);
      assert_int_equal(sim_mbar_test_parity(&bar, phase & 1), 0);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parity_of_a_fresh_barrier),
      cmocka_unit_test(test_transactions),
      cmocka_unit_test(test_drop),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_random),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
