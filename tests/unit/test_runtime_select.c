// Selection: records before estimates before rank, within what requirements and alignment allow; and
// coverage, which must list exactly what selection takes.
#include "runtime/select.h"
#include "tests/unit/runtime_fixture.h"
#include <time.h>

// A GEMM of four tile sizes. The 256-row variant wants M % 4 == 0 and aligned tensors, `_u` takes any.
#define GRID(bm, bn) "persistent(ceildiv(M, " #bm ") * ceildiv(N, " #bn "))"
#define TIMES(bm, bn) "ceildiv(M, " #bm ") * ceildiv(N, " #bn ") * ceildiv(K, 64)"
#define VARIANT(id, name, bm, bn, align, rank)                                                     \
  "INSERT INTO variant VALUES(" #id ", 3, 'sm_90a', '" name "', 'BM=" #bm "', " #align ", " #rank  \
  ", 0, 'e" #id "', '" GRID(bm, bn) "', '1', '1', 256, 1000, 1, 100, 0, 1, 4, 0, 21);"                 \
  "INSERT INTO work VALUES(" #id ", 0, 'load', 'A', " #bm " * 128, 0, 0, '" TIMES(bm, bn) "'),"    \
  "(" #id ", 1, 'load', 'B', " #bn " * 128, 0, 0, '" TIMES(bm, bn) "'),"                           \
  "(" #id ", 2, 'dot', 'bf16', " #bm ", " #bn ", 64, '" TIMES(bm, bn) "'),"                        \
  "(" #id ", 3, 'store', 'D', " #bm " * " #bn " * 2, 0, 0, 'ceildiv(M, " #bm ") * ceildiv(N, " #bn \
  ")');"                                                                                           \
  "INSERT INTO abi VALUES(" #id ", 0, 'ptr', 'A', 0, 'i64'), (" #id ", 1, 'dim', 'M', 0, 'i32');"  \
  "INSERT INTO image VALUES(" #id ", 'ptx', CAST('.version 9.0' AS BLOB));"

static const char tuned[] =
    "INSERT INTO kernel VALUES(3, 'tuned', 'tuned', 'tuned.tile', 1);"
    "INSERT INTO key VALUES(3, 0, 'M', '1,16,64,256,1024'), (3, 1, 'N', ''), (3, 2, 'K', '');"
    "INSERT INTO param VALUES(3, 0, 'A', 'tensor', 'in', 'bf16', 'M|K', '|1'),"
    "(3, 1, 'B', 'tensor', 'in', 'bf16', 'N|K', '|1'), (3, 2, 'D', 'tensor', 'out', 'bf16', 'M|N', '|1');"
    VARIANT(10, "BM128", 128, 128, 16, 0) VARIANT(11, "BM16", 16, 32, 16, 1)
    VARIANT(12, "BM64", 64, 64, 16, 2) VARIANT(13, "BM256", 256, 128, 16, 3)
    VARIANT(14, "BM128_u", 128, 128, 0, 4)
    "INSERT INTO require VALUES(3, 13, 0, 'M % 4 == 0', 'M % 4 == 0');";
static const char records[] =
    "INSERT INTO tuning VALUES(3, 'NVIDIA H200', 'M=64 N=4096 K=7168', 'BM128', 900, '{}'),"
    "(3, 'NVIDIA H200', 'M=64 N=4096 K=7168', 'BM64', 800, '{}'),"
    "(3, 'NVIDIA H200', 'M=64 N=4096 K=7168', 'gone', 1, '{}'),"
    "(3, 'NVIDIA H200', 'M=50 N=4096 K=7168', 'BM16', 700, '{}'),"
    "(3, 'NVIDIA H200', 'M=256 N=4096 K=7168', 'BM256', 700, '{}'),"
    "(3, 'NVIDIA H200', 'M=256 N=4096 K=7168', 'BM128', 710, '{}'),"
    "(3, 'NVIDIA RTX PRO 6000', 'M=1 N=4096 K=7168', 'BM256', 5, '{}');";

typedef struct world {
  tile_ctx *ctx;
  tile_module *module;
  tile_kernel *kernel;
  fake_device device;
} world;

static int open_world(void **state, const char *more) {
  world *w = calloc(1, sizeof *w);
  size_t len;
  char sql[16384];
  snprintf(sql, sizeof sql, "%s%s", tuned, more);
  unsigned char *bytes = fixture_bytes(sql, &len);
  assert_int_equal(tile_ctx_create(TILE_ABI, &w->ctx), TILE_OK);
  fake_init(&w->device, w->ctx, "sm_90a");
  snprintf(w->device.base.name, sizeof w->device.base.name, "NVIDIA H200");
  w->device.base.sms = 132;
  if (tile_module_load_bytes(w->ctx, bytes, len, &w->module) != TILE_OK)
    fail_msg("%s", tile_last_error());
  sqlite3_free(bytes);
  assert_int_equal(tile_kernel_get(w->module, "tuned", &w->kernel), TILE_OK);
  *state = w;
  return 0;
}
static int with_records(void **state) { return open_world(state, records); }
static int without_records(void **state) { return open_world(state, ""); }

static int end_world(void **state) {
  world *w = *state;
  tile_module_destroy(w->module);
  tile_ctx_destroy(w->ctx);
  free(w);
  return 0;
}

// What a call with these dims gets; `offset` is added to every address.
static tile_info info_of(world *w, int64_t m, int64_t n, int64_t k, int offset) {
  int64_t shapes[3][2] = {{m, k}, {n, k}, {m, n}}, strides[3][2] = {{k, 1}, {k, 1}, {n, 1}};
  tile_arg args[3];
  tile_plan *plan;
  for (int i = 0; i < 3; i++)
    args[i] = (tile_arg){.kind = TILE_ARG_TENSOR,
                         .tensor = {(void *)(uintptr_t)(0x10000 * (i + 1) + offset), shapes[i],
                                    strides[i], 2, TILE_BF16}};
  if (tile_plan_create(w->kernel, &w->device.base, args, 3, NULL, &plan) != TILE_OK)
    fail_msg("%s", tile_last_error());
  tile_info info = {.size = sizeof info};
  assert_int_equal(tile_plan_info(plan, &info), TILE_OK);
  tile_plan_destroy(plan);
  return info;
}

static void expect(world *w, int64_t m, const char *variant, const char *reason) {
  tile_info info = info_of(w, m, 4096, 7168, 0);
  assert_string_equal(info.variant, variant);
  assert_string_equal(info.chosen_by, reason);
}

static void records_come_first_exact_then_bucket(void **state) {
  world *w = *state;
  expect(w, 64, "BM64", "record");  // the fastest of the shape that still exists
  expect(w, 50, "BM16", "record");  // exact before bucket
  expect(w, 51, "BM64", "record");  // rounded up to the bucket of 64
  expect(w, 17, "BM64", "record");
  expect(w, 256, "BM256", "record");
  expect(w, 65, "BM128", "record"); // bucket 256, whose fastest wants M % 4 == 0
  tile_info info = info_of(w, 64, 4096, 7104, 0); // another K: nothing was measured
  assert_string_equal(info.chosen_by, "model");
  info = info_of(w, 64, 4096, 7168, 2); // unaligned: none of the records fits
  assert_string_equal(info.variant, "BM128_u");
}

static void devices_learn_from_their_own_architecture_only(void **state) {
  world *w = *state;
  snprintf(w->device.base.name, sizeof w->device.base.name, "NVIDIA H100 80GB HBM3");
  expect(w, 64, "BM64", "record");
  snprintf(w->device.base.name, sizeof w->device.base.name, "simulator");
  expect(w, 64, "BM64", "record");
  assert_string_equal(info_of(w, 1, 4096, 7168, 0).chosen_by, "model"); // not the RTX's record
}

static void the_model_wants_small_tiles_for_few_rows(void **state) {
  world *w = *state;
  expect(w, 1, "BM16", "model");
  expect(w, 16, "BM16", "model");
  expect(w, 4096, "BM256", "model");
  assert_string_equal(info_of(w, 4097, 4096, 7168, 0).variant, "BM128"); // 256 wants M % 4 == 0
  assert_string_equal(info_of(w, 4096, 4096, 7168, 2).variant, "BM128_u");
  assert_string_equal(info_of(w, 0, 4096, 7168, 0).chosen_by, "model");
}

static void unknown_work_leaves_the_rank(void **state) {
  world *w = *state;
  w->kernel->variants[1].nwork = 0;
  expect(w, 1, "BM128", "rank");
}

static int cover(world *w, int64_t first, int64_t last, tile_cover *out) {
  const tile_range ranges[] = {{"M", first, last, 0}, {"N", 4096, 4096, 0}, {"K", 7168, 7168, 0}};
  int count = 0;
  if (tile_kernel_variants_for(w->kernel, "sm_90a", "NVIDIA H200", 132, ranges, 3, out, 8,
                               &count) != TILE_OK)
    fail_msg("%s", tile_last_error());
  return count;
}

// Every M from 1 to 8192, aligned and not: what is selected is what the list says, no more, no less.
static void coverage_is_exactly_what_is_selected(void **state) {
  world *w = *state;
  tile_cover list[8];
  int count = cover(w, 1, 8192, list);
  int64_t aligned[8] = {0}, unaligned[8] = {0}, by_record[8] = {0};
  for (int64_t m = 1; m <= 8192; m++)
    for (int offset = 0; offset <= 2; offset += 2) {
      tile_info info = info_of(w, m, 4096, 7168, offset);
      int at = 0;
      while (at < count && strcmp(list[at].variant, info.variant) != 0)
        at++;
      if (at == count)
        fail_msg("M=%d selects %s, which is not listed", (int)m, info.variant);
      (offset ? unaligned : aligned)[at]++;
      by_record[at] += !offset && strcmp(info.chosen_by, "record") == 0;
    }
  assert_in_range(count, 4, 5);
  for (int i = 0; i < count; i++) {
    assert_int_equal(list[i].aligned, aligned[i]);
    assert_int_equal(list[i].unaligned, unaligned[i]);
    assert_int_equal(list[i].by_record, by_record[i]);
  }
}

static void coverage_says_what_it_needs(void **state) {
  world *w = *state;
  tile_cover list[8];
  int count;
  const tile_range wrong[] = {{"M", 1, 9, 0}, {"N", 1, 1, 0}, {"Q", 1, 1, 0}, {"K", 5, 1, 0}};
  assert_int_equal(cover(w, 4096, 4096, list), 2);
  assert_int_equal(tile_kernel_variants_for(w->kernel, "sm_90a", NULL, 0, wrong, 2, list, 8, &count),
                   TILE_E_INVALID);
  assert_string_equal(tile_last_error(), "'K' needs a range");
  assert_int_equal(tile_kernel_variants_for(w->kernel, "sm_90a", NULL, 0, wrong, 3, list, 8, &count),
                   TILE_E_INVALID);
  assert_string_equal(tile_last_error(), "'Q': the kernel has no such dim or integer");
  assert_int_equal(tile_kernel_variants_for(w->kernel, "sm_90a", NULL, 0, wrong + 3, 1, list, 8,
                                            &count),
                   TILE_E_INVALID);
  assert_string_equal(tile_last_error(), "the range of 'K' is empty or goes down");
  const tile_range huge[] = {{"M", 1, 1 << 20, 0}, {"N", 1, 1 << 20, 0}, {"K", 64, 64, 0}};
  assert_int_equal(tile_kernel_variants_for(w->kernel, "sm_90a", NULL, 0, huge, 3, list, 8, &count),
                   TILE_E_INVALID);
  assert_int_equal(tile_kernel_variants_for(w->kernel, "sm_100a", NULL, 0, huge, 0, list, 8, &count),
                   TILE_E_INVALID);
}

static void warm_up_loads_what_calls_will_need(void **state) {
  world *w = *state;
  const tile_range ranges[] = {{"M", 64, 64, 0}, {"N", 4096, 4096, 0}, {"K", 7168, 7168, 0}};
  assert_int_equal(tile_warmup(w->kernel, &w->device.base, ranges, 3), TILE_OK);
  assert_int_equal(w->device.loads, 2); // BM64 and, for unaligned calls, BM128_u
  info_of(w, 64, 4096, 7168, 0);
  info_of(w, 64, 4096, 7168, 2);
  assert_int_equal(w->device.loads, 2);
  assert_int_equal(tile_warmup(w->kernel, &w->device.base, NULL, 0), TILE_OK);
  assert_int_equal(w->device.loads, 5);
}

int main(void) {
#define R(name) cmocka_unit_test_setup_teardown(name, with_records, end_world)
#define M(name) cmocka_unit_test_setup_teardown(name, without_records, end_world)
  const struct CMUnitTest tests[] = {
      R(records_come_first_exact_then_bucket),
      R(devices_learn_from_their_own_architecture_only),
      M(the_model_wants_small_tiles_for_few_rows),
      M(unknown_work_leaves_the_rank),
      R(coverage_is_exactly_what_is_selected),
      M(coverage_is_exactly_what_is_selected),
      M(coverage_says_what_it_needs),
      R(warm_up_loads_what_calls_will_need),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
