// Opening a .tla: from a file, from bytes, and every way it can be something else.
#include "runtime/artifact.h"
#include "tests/unit/runtime_fixture.h"
#include <unistd.h>

static tile_ctx *make_ctx(void) {
  tile_ctx *ctx;
  assert_int_equal(tile_ctx_create(TILE_ABI, &ctx), TILE_OK);
  return ctx;
}

static void write_file(const char *path, const void *bytes, size_t len) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, len, file), len);
  fclose(file);
}

// The message starts with the path or "<memory>".
static void expect_format(const void *bytes, size_t len, const char *text) {
  tile_ctx *ctx = make_ctx();
  tile_module *module = (tile_module *)ctx;
  char path[] = "/tmp/tile_test_XXXXXX", wanted[300];
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  write_file(path, bytes, len);
  assert_int_equal(tile_module_load_file(ctx, path, &module), TILE_E_FORMAT);
  snprintf(wanted, sizeof wanted, "%s: %s", path, text);
  assert_string_equal(tile_last_error(), wanted);
  assert_int_equal(tile_module_load_bytes(ctx, bytes, len, &module), TILE_E_FORMAT);
  snprintf(wanted, sizeof wanted, "<memory>: %s", text);
  assert_string_equal(tile_last_error(), wanted);
  assert_ptr_equal(module, ctx);
  unlink(path);
  tile_ctx_destroy(ctx);
}

static void foreign_files_are_named_as_such(void **state) {
  (void)state;
  size_t len;
  expect_format("", 0, "not a .tla file: it is empty");
  expect_format("\177ELF and so on, long enough", 26, "not a .tla file");
  unsigned char *other = fixture_bytes("PRAGMA application_id = 7;", &len);
  expect_format(other, len, "not a .tla file: an SQLite database of another application");
  sqlite3_free(other);
  for (int by = -1; by <= 1; by += 2) {
    char sql[64], text[160];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d;", TILE_ARTIFACT_VERSION + by);
    snprintf(text, sizeof text, "written by %s compiler: artifact version %d, this runtime reads %d%s",
             by > 0 ? "a newer" : "an older", TILE_ARTIFACT_VERSION + by, TILE_ARTIFACT_VERSION,
             by > 0 ? "" : "; compile it again");
    unsigned char *bytes = fixture_bytes(sql, &len);
    expect_format(bytes, len, text);
    sqlite3_free(bytes);
  }
  unsigned char *half = fixture_bytes("PRAGMA user_version = 0;", &len);
  expect_format(half, len, "not a finished .tla file: its version is 0");
  sqlite3_free(half);
}

static void truncated_files_are_named_as_such(void **state) {
  (void)state;
  size_t len;
  char text[100];
  unsigned char *bytes = fixture_bytes(NULL, &len);
  expect_format(bytes, 50, "truncated: 50 bytes");
  for (size_t cut = 1; cut < len; cut += 4096) {
    snprintf(text, sizeof text, "truncated: %zu bytes of %zu", len - cut, len);
    if (len - cut >= 100)
      expect_format(bytes, len - cut, text);
  }
  sqlite3_free(bytes);
}

// Whatever bytes are overwritten, loading ends with a module or with a message.
static void damaged_files_do_no_harm(void **state) {
  (void)state;
  size_t len;
  tile_ctx *ctx = make_ctx();
  unsigned char *bytes = fixture_bytes(NULL, &len);
  unsigned char *copy = malloc(len);
  uint32_t random = 1;
  int refused = 0;
  for (int round = 0; round < 400; round++) {
    memcpy(copy, bytes, len);
    for (int i = 0; i < 20; i++) {
      random = random * 1664525u + 1013904223u;
      copy[100 + random % (len - 100)] = (unsigned char)(random >> 24);
    }
    tile_module *module;
    if (tile_module_load_bytes(ctx, copy, len, &module) == TILE_OK)
      tile_module_destroy(module);
    else
      refused += tile_last_error()[0] != 0;
  }
  assert_in_range(refused, 20, 400);
  free(copy);
  sqlite3_free(bytes);
  tile_ctx_destroy(ctx);
}

static void wrong_rows_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *sql, *text;
  } cases[] = {
      {"UPDATE param SET dtype = 'f7' WHERE name = 'A'",
       "kernel 'gemm': unknown element type 'f7'"},
      {"UPDATE param SET kind = 'pointer' WHERE name = 'A'",
       "kernel 'gemm': unknown kind of parameter 'pointer'"},
      {"UPDATE param SET dir = 'up' WHERE name = 'A'",
       "kernel 'gemm': unknown direction of parameter 'A'"},
      {"UPDATE param SET strides = '1' WHERE name = 'A'",
       "kernel 'gemm': dims and strides differ in number of 'A'"},
      {"UPDATE param SET name = 'A' WHERE name = 'B'", "kernel 'gemm': two parameters 'A'"},
      {"UPDATE param SET dims = 'a|b|c|d|e|f|g|h|i' WHERE name = 'A'",
       "kernel 'gemm': too many dims of 'A'"},
      {"UPDATE abi SET name = 'Q' WHERE variant = 1 AND pos = 6",
       "kernel 'gemm': a launch parameter names the unknown 'Q'"},
      {"UPDATE abi SET kind = 'texture' WHERE variant = 1 AND pos = 6",
       "kernel 'gemm': unknown kind of launch parameter 'texture'"},
      {"UPDATE abi SET axis = 2 WHERE kind = 'stride'", "kernel 'gemm': a stride does not fit 'A'"},
      {"UPDATE abi SET dtype = 'f32' WHERE kind = 'dim'",
       "kernel 'gemm': a dim that is neither i32 nor i64: 'M'"},
      {"UPDATE variant SET threads = 2048", "kernel 'gemm': impossible launch of variant 'BM128'"},
      {"UPDATE variant SET align = 12", "kernel 'gemm': impossible launch of variant 'BM128'"},
      {"DROP TABLE require", "no such table: require"},
      {"DROP TABLE kernel", "no such table: kernel"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t len;
    char text[200];
    unsigned char *bytes = fixture_bytes(cases[i].sql, &len);
    snprintf(text, sizeof text, "damaged: %s", cases[i].text);
    expect_format(bytes, len, text);
    sqlite3_free(bytes);
  }
}

static void files_open_whatever_their_name(void **state) {
  (void)state;
  size_t len;
  unsigned char *bytes = fixture_bytes(NULL, &len);
  char folder[] = "/tmp/tile test?x=%41#_XXXXXX", path[100];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/a b.tla", folder);
  write_file(path, bytes, len);
  sqlite3_free(bytes);
  tile_ctx *ctx = make_ctx();
  tile_module *module;
  if (tile_module_load_file(ctx, path, &module) != TILE_OK)
    fail_msg("%s", tile_last_error());
  assert_int_equal(tile_artifact_kernel_count(module), 2);
  assert_string_equal(tile_artifact_meta(module, "source"), "gemm.tile");
  assert_null(tile_artifact_meta(module, "nothing"));
  tile_module_destroy(module);
  unlink(path);
  rmdir(folder);
  assert_int_equal(tile_module_load_file(ctx, path, &module), TILE_E_IO);
  tile_ctx_destroy(ctx);
}

static void what_is_read_is_what_was_written(void **state) {
  (void)state;
  size_t len;
  unsigned char *bytes = fixture_bytes(NULL, &len);
  tile_ctx *ctx = make_ctx();
  tile_module *module;
  tile_kernel *kernel;
  assert_int_equal(tile_module_load_bytes(ctx, bytes, len, &module), TILE_OK);
  memset(bytes, 0, len); // the module keeps its own copy
  sqlite3_free(bytes);
  assert_int_equal(tile_kernel_get(module, "gemm", &kernel), TILE_OK);
  assert_int_equal(kernel->ndims, 3); // in order of first plain occurrence
  assert_string_equal(kernel->dims[0], "M");
  assert_string_equal(kernel->dims[1], "K");
  assert_string_equal(kernel->dims[2], "N");
  assert_int_equal(kernel->nvariants, 4); // by rank, then name
  assert_string_equal(kernel->variants[0].name, "BM128");
  assert_string_equal(kernel->variants[3].symbol, "gemm_64");
  assert_string_equal(kernel->params[2].strides[1], "M");
  assert_string_equal(kernel->params[2].dims[1], "K / 128");
  assert_int_equal(kernel->variants[0].nrequires, 1);
  assert_int_equal(kernel->variants[3].nrequires, 2);
  assert_int_equal(kernel->variants[0].param_bytes, 52);
  tile_module_destroy(module);
  tile_ctx_destroy(ctx);
}

static void code_is_loaded_once_for_each_device(void **state) {
  (void)state;
  size_t len;
  unsigned char *bytes = fixture_bytes("DELETE FROM image WHERE variant = 3;"
                                       "INSERT INTO image VALUES(1, 'cubin', x'7F454C46');",
                                       &len);
  tile_ctx *ctx = make_ctx();
  tile_module *module;
  tile_kernel *kernel;
  tile_code *first, *again, *other;
  fake_device one, two;
  fake_init(&one, ctx, "sm_90a");
  fake_init(&two, ctx, "sm_90a");
  assert_int_equal(tile_module_load_bytes(ctx, bytes, len, &module), TILE_OK);
  sqlite3_free(bytes);
  assert_int_equal(tile_kernel_get(module, "gemm", &kernel), TILE_OK);
  const tile_variant *variant = &kernel->variants[0];
  assert_false(tile_variant_is_loaded(variant, &one.base));
  assert_int_equal(tile_variant_load(variant, &one.base, &first), TILE_OK);
  assert_int_equal(tile_variant_load(variant, &one.base, &again), TILE_OK);
  assert_int_equal(tile_variant_load(variant, &two.base, &other), TILE_OK);
  assert_ptr_equal(first, again);
  assert_ptr_not_equal(first, other);
  assert_true(tile_variant_is_loaded(variant, &one.base));
  assert_int_equal(one.loads, 1);
  assert_int_equal(tile_variant_load(&kernel->variants[3], &one.base, &other), TILE_E_FORMAT);
  assert_string_equal(tile_last_error(), "<memory>: damaged: gemm[BM64] has no image");
  tile_module_destroy(module);
  assert_int_equal(one.unloads, 1);
  assert_int_equal(two.unloads, 1);
  tile_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(foreign_files_are_named_as_such),
      cmocka_unit_test(truncated_files_are_named_as_such),
      cmocka_unit_test(damaged_files_do_no_harm),
      cmocka_unit_test(wrong_rows_are_refused),
      cmocka_unit_test(files_open_whatever_their_name),
      cmocka_unit_test(what_is_read_is_what_was_written),
      cmocka_unit_test(code_is_loaded_once_for_each_device),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
