// tilerun's arguments: fills, packed types, layouts. What needs no device.
#include "runtime/npy.h"
#include "runtime/tilerun.h"
#include "tests/unit/runtime_fixture.h"
#include <unistd.h>

// P packs two in a byte; S is column-major; Q has three axes with run-time strides around a fixed
// one.
static const char rows[] =
    "INSERT INTO kernel VALUES(3, 'pack', 'pack', 'pack.tile', 1);"
    "INSERT INTO param VALUES(3, 0, 'P', 'tensor', 'in', 'f4e2m1', 'M|N', '|1'),"
    "(3, 1, 'S', 'tensor', 'in', 'ue8m0', 'M|N / 2', '1|M'),"
    "(3, 2, 'Q', 'tensor', 'in', 'f32', 'M|N|B', '|1|'), (3, 3, 'SFX', 'tensor', 'in', 'f32', 'B', "
    "'1'),"
    "(3, 4, 'B', 'scalar', 'in', 'i32', '', ''), (3, 5, 'Y', 'tensor', 'out', 'bf16', 'M', '1');";

typedef struct world {
  tile_ctx *ctx;
  tile_module *module;
  tile_kernel *kernel;
  run_case call;
  char folder[40], path[60];
} world;

static int make_world(void **state) {
  world *w = calloc(1, sizeof *w);
  size_t len;
  unsigned char *bytes = fixture_bytes(rows, &len);
  assert_int_equal(tile_ctx_create(TILE_ABI, &w->ctx), TILE_OK);
  if (tile_module_load_bytes(w->ctx, bytes, len, &w->module) != TILE_OK)
    fail_msg("%s", tile_last_error());
  assert_int_equal(tile_kernel_get(w->module, "pack", &w->kernel), TILE_OK);
  sqlite3_free(bytes);
  strcpy(w->folder, "/tmp/tile_values_XXXXXX");
  assert_non_null(mkdtemp(w->folder));
  snprintf(w->path, sizeof w->path, "%s/x.npy", w->folder);
  *state = w;
  return 0;
}

static int end_world(void **state) {
  world *w = *state;
  run_free_case(&w->call);
  tile_module_destroy(w->module);
  tile_ctx_destroy(w->ctx);
  unlink(w->path);
  rmdir(w->folder);
  free(w);
  return 0;
}

// The values of a call, as on the command line; each replaces the default of its name.
static int make(world *w, const char *p, const char *s, const char *q) {
  run_options options = {0};
  const run_pair values[] = {{"P", p}, {"S", s}, {"Q", q}, {"SFX", "randn"}, {"B", "5"}};
  memcpy(options.values, values, sizeof values);
  options.nvalues = 5;
  run_free_case(&w->call);
  return run_make_case(&options, w->kernel, &w->call);
}

static void packed_files_double_their_last_extent(void **state) {
  world *w = *state;
  static const int64_t shape[] = {2, 3};
  static const unsigned char bytes[] = {0x21, 0x43, 0x65, 0x87, 0xA9, 0xCB};
  char value[80];
  assert_int_equal(npy_write(w->path, "|u1", 2, shape, bytes, 6), TILE_OK);
  snprintf(value, sizeof value, "@%s", w->path);
  assert_int_equal(make(w, value, "randn", "zeros"), RUN_OK);
  run_tensor *t = &w->call.tensors[0];
  assert_int_equal(t->shape[1], 6);
  assert_int_equal(t->stride[0], 6);
  assert_int_equal(t->bytes, 6);
  assert_memory_equal(t->host, bytes, 6);
  npy_array back;
  assert_int_equal(run_write_npy(w->path, t, t->host), TILE_OK);
  assert_int_equal(npy_read(w->path, &back), TILE_OK);
  assert_int_equal(back.shape[1], 3);
  assert_memory_equal(back.data, bytes, 6);
  npy_free(&back);
}

static void packed_rows_start_at_a_byte(void **state) {
  world *w = *state;
  assert_int_equal(make(w, "randn[3,5]", "zeros[3,2]", "zeros"), RUN_OK);
  const run_tensor *t = &w->call.tensors[0];
  assert_int_equal(t->stride[0], 6); // one nibble of padding
  assert_int_equal(t->bytes, 9);
  assert_int_equal(run_write_npy(w->path, t, t->host),
                   TILE_E_SHAPE); // nothing to put an odd one in
}

static void required_strides_are_made(void **state) {
  world *w = *state;
  static const int64_t shape[] = {3, 2};
  static const unsigned char bytes[] = {1, 2, 3, 4, 5, 6}, columns[] = {1, 3, 5, 2, 4, 6};
  char value[80];
  assert_int_equal(npy_write(w->path, "|u1", 2, shape, bytes, 6), TILE_OK);
  snprintf(value, sizeof value, "@%s", w->path);
  assert_int_equal(make(w, "randn[3,4]", value, "zeros"), RUN_OK);
  const run_tensor *s = &w->call.tensors[1], *q = &w->call.tensors[2];
  assert_int_equal(s->stride[0], 1);
  assert_int_equal(s->stride[1], 3);
  assert_memory_equal(s->host, columns, 6);
  // Q is [3, 4, 5] with strides ?|1|?: the last run-time axis wraps the fixed one, the first wraps
  // both.
  assert_int_equal(q->shape[2], 5); // B is a scalar
  assert_int_equal(q->stride[1], 1);
  assert_int_equal(q->stride[2], 4);
  assert_int_equal(q->stride[0], 20);
  assert_int_equal(q->bytes, 3 * 4 * 5 * 4);
  assert_int_equal(w->call.tensors[3].shape[0], 5);
  assert_int_equal(w->call.tensors[5].bytes, 6); // Y: poisoned
  for (int i = 0; i < 6; i++)
    assert_int_equal(w->call.tensors[5].host[i], 0xFF);
}

static void written_strides_are_kept(void **state) {
  world *w = *state;
  assert_int_equal(make(w, "randn[3,4;8,1]", "zeros", "zeros[M, N, B ; N * B, 1, N]"), RUN_OK);
  assert_int_equal(w->call.tensors[0].stride[0], 8);
  assert_int_equal(w->call.tensors[0].bytes, 10); // 2 * 8 + 4 nibbles
  assert_int_equal(w->call.tensors[2].stride[0], 20);
}

static void random_values_are_pinned(void **state) {
  world *w = *state;
  assert_int_equal(make(w, "randn[3,4]", "randn", "randn"), RUN_OK);
  static const unsigned char p[] = {0x08, 0xBC, 0x8B, 0x2A, 0xB8, 0x23};
  static const unsigned char s[] = {0x7D, 0x83, 0x7F, 0x83, 0x7F, 0x7F};
  static const float q[] = {0.301361084f, 1.13700867f,  0.684707642f,
                            -1.28314209f, -1.32139587f, 1.23129272f},
                     x[] = {0.79505533f, 0.966523886f, 0.752245069f, 1.20102012f, 0.865931332f};
  assert_memory_equal(w->call.tensors[0].host, p, sizeof p);
  assert_memory_equal(w->call.tensors[1].host, s, sizeof s);
  assert_memory_equal(w->call.tensors[2].host, q, sizeof q);
  assert_memory_equal(w->call.tensors[3].host, x, sizeof x);
  for (int i = 0; i < 5; i++) // a scale, by its name
    assert_true(((float *)w->call.tensors[3].host)[i] > 0);
}

static void mistakes_have_their_exit_codes(void **state) {
  world *w = *state;
  FILE *kept = stderr; // the messages are tested by tests/runtime/tilerun-refuses.test
  stderr = tmpfile();
  assert_non_null(stderr);
  assert_int_equal(make(w, "randn[3]", "randn", "zeros"), RUN_BAD_INPUT);
  assert_int_equal(make(w, "randn[3,4,5]", "randn", "zeros"), RUN_BAD_INPUT);
  assert_int_equal(make(w, "randn[3,-4]", "randn", "zeros"), RUN_BAD_INPUT);
  assert_int_equal(make(w, "randn[3,9999999999]", "randn", "zeros"), RUN_BAD_INPUT);
  assert_int_equal(make(w, "randn[3,X]", "randn", "zeros"), RUN_BAD_INPUT);
  assert_int_equal(make(w, "randn[3,4", "randn", "zeros"), RUN_USAGE);
  assert_int_equal(make(w, "randnx", "randn", "zeros"), RUN_USAGE);
  assert_int_equal(make(w, "@/nowhere.npy", "randn", "zeros"), RUN_BAD_INPUT);
  assert_int_equal(make(w, "randn[3,4]", "randn", "zeros[100000,100000,100000]"), RUN_BAD_INPUT);
  fclose(stderr);
  stderr = kept;
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)
  const struct CMUnitTest tests[] = {
      TEST(packed_files_double_their_last_extent),
      TEST(packed_rows_start_at_a_byte),
      TEST(required_strides_are_made),
      TEST(written_strides_are_kept),
      TEST(random_values_are_pinned),
      TEST(mistakes_have_their_exit_codes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
