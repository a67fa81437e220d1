// Programmatic dependent launches: what griddepcontrol.wait orders, and what goes wrong without it.
#include "runtime/sim/sim_api.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// after the headers cmocka needs
#include <cmocka.h>
#include <string.h>

// `write` stores to d, `read` loads d and stores to e; WAIT stands before the access.
static const char text[] =
    ".version 9.0\n.target sm_90a\n.address_size 64\n"
    ".visible .entry write(.param .u64 d, .param .u64 e)\n{\n"
    "  .reg .b64 %rd<4>;\n"
    "  ld.param.u64 %rd0, [d];\n  st.global.b32 [%rd0], 7;\n  ret;\n}\n"
    ".visible .entry read(.param .u64 d, .param .u64 e)\n{\n"
    "  .reg .b32 %r<4>;\n  .reg .b64 %rd<4>;\n"
    "  ld.param.u64 %rd0, [d];\n  ld.param.u64 %rd1, [e];\n"
    "  ld.global.b32 %r0, [%rd0];\n  st.global.b32 [%rd1], %r0;\n  ret;\n}\n"
    ".visible .entry read_waited(.param .u64 d, .param .u64 e)\n{\n"
    "  .reg .b32 %r<4>;\n  .reg .b64 %rd<4>;\n"
    "  ld.param.u64 %rd0, [d];\n  ld.param.u64 %rd1, [e];\n"
    "  griddepcontrol.wait;\n"
    "  ld.global.b32 %r0, [%rd0];\n  st.global.b32 [%rd1], %r0;\n  ret;\n}\n"
    ".visible .entry read_behind_barrier(.param .u64 d, .param .u64 e)\n{\n"
    "  .reg .b32 %r<4>;\n  .reg .b64 %rd<4>;\n  .reg .pred %p<2>;\n"
    "  ld.param.u64 %rd0, [d];\n  ld.param.u64 %rd1, [e];\n"
    "  mov.u32 %r1, %tid.x;\n  setp.ge.u32 %p0, %r1, 32;\n"
    "  @%p0 bra MEET;\n  griddepcontrol.wait;\nMEET:\n  bar.sync 0;\n"
    "  setp.ne.u32 %p1, %r1, 32;\n  @%p1 bra END;\n"
    "  ld.global.b32 %r0, [%rd0];\n  st.global.b32 [%rd1], %r0;\nEND:\n  ret;\n}\n";

typedef struct world {
  sim_machine *machine;
  sim_module *module;
  uint64_t d, e;
} world;

static int make_world(void **state) {
  static world w;
  sim_verdict verdict;
  w.machine = sim_create("sm_90a", NULL);
  w.module = sim_load_ptx(w.machine, "dependent.ptx", text, strlen(text), &verdict);
  if (!w.module)
    fail_msg("%s", sim_error(w.machine));
  w.d = sim_alloc(w.machine, 64, "d");
  w.e = sim_alloc(w.machine, 64, "e");
  sim_write(w.machine, w.d, &(uint32_t){1}, 4);
  *state = &w;
  return 0;
}

static int end_world(void **state) {
  world *w = *state;
  sim_unload(w->module);
  sim_destroy(w->machine);
  return 0;
}

static sim_verdict launch(world *w, const char *entry, bool dependent) {
  uint64_t params[2] = {w->d, w->e};
  sim_launch_desc desc = {.entry = entry,
                          .grid = {1, 1, 1},
                          .block = {strstr(entry, "barrier") ? 64 : 1, 1, 1},
                          .dependent = dependent,
                          .params = params,
                          .params_bytes = sizeof params};
  return sim_launch(w->module, &desc);
}

static void a_plain_launch_comes_after_the_one_before(void **state) {
  assert_int_equal(launch(*state, "write", false), SIM_OK);
  assert_int_equal(launch(*state, "read", false), SIM_OK);
}

static void a_read_must_wait_for_the_writer(void **state) {
  world *w = *state;
  assert_int_equal(launch(w, "write", false), SIM_OK);
  assert_int_equal(launch(w, "read", true), SIM_RACE);
  assert_non_null(strstr(sim_error(w->machine), "'d' + 0x0: written by the grid before this one"));
  assert_non_null(strstr(sim_error(w->machine), "no griddepcontrol.wait"));
}

static void waiting_orders(void **state) {
  world *w = *state;
  uint32_t value = 0;
  assert_int_equal(launch(w, "write", false), SIM_OK);
  assert_int_equal(launch(w, "read_waited", true), SIM_OK);
  sim_read(w->machine, w->e, &value, 4);
  assert_int_equal(value, 7);
}

static void a_barrier_passes_the_wait_on(void **state) {
  assert_int_equal(launch(*state, "write", false), SIM_OK);
  assert_int_equal(launch(*state, "read_behind_barrier", true), SIM_OK);
}

static void a_write_must_wait_for_readers(void **state) {
  world *w = *state;
  assert_int_equal(launch(w, "read", false), SIM_OK);
  assert_int_equal(launch(w, "write", true), SIM_RACE);
  assert_non_null(strstr(sim_error(w->machine), "'d' + 0x0: read by the grid before this one"));
}

static void only_the_grid_right_before_counts(void **state) {
  assert_int_equal(launch(*state, "write", false), SIM_OK);
  assert_int_equal(launch(*state, "read_waited", true), SIM_OK);
  assert_int_equal(launch(*state, "read", false), SIM_OK);
}

static void what_the_host_wrote_is_over(void **state) {
  world *w = *state;
  uint32_t zeros[16] = {0};
  assert_int_equal(launch(w, "write", false), SIM_OK);
  sim_write(w->machine, w->d, zeros, sizeof zeros);
  assert_int_equal(launch(w, "read", true), SIM_OK);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)
  const struct CMUnitTest tests[] = {
      TEST(a_plain_launch_comes_after_the_one_before),
      TEST(a_read_must_wait_for_the_writer),
      TEST(waiting_orders),
      TEST(a_barrier_passes_the_wait_on),
      TEST(a_write_must_wait_for_readers),
      TEST(only_the_grid_right_before_counts),
      TEST(what_the_host_wrote_is_over),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
