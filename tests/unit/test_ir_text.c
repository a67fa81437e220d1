// Types, the builder, printing and reading back.
#include "tests/unit/ir_text.h"
#include "lang/base/fp.h"
#include <dirent.h>

static void types_are_interned_and_read_back(void **state) {
  (void)state;
  tl_arena arena = {0};
  ty_ctx types;
  ty_init(&types, &arena);
  int64_t dims[] = {4, 128, 64};
  assert_ptr_equal(ty_tile(&types, TL_F32, 2, dims), ty_tile(&types, TL_F32, 2, dims));
  assert_ptr_not_equal(ty_tile(&types, TL_F32, 2, dims), ty_tile(&types, TL_F32, 3, dims));
  assert_ptr_equal(ty_with_dtype(&types, ty_tile(&types, TL_F32, 2, dims), TL_I1),
                   ty_tile(&types, TL_I1, 2, dims));
  const char *const texts[] = {"f32",  "f32[4,128]",     "ptr<bf16>", "tensor<f8e4m3,2>",
                               "chan", "buf<bf16>[4,8]", "none",      "i1[1]"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char *at = texts[i];
    const ty_type *type = ty_parse(&types, &at);
    assert_non_null(type);
    assert_int_equal(*at, 0);
    assert_string_equal(ty_text(&arena, type), texts[i]);
  }
  const char *const bad[] = {"f33",
                             "f32[0]",
                             "f32[4",
                             "f32[1,1,1,1,1,1]",
                             "tensor<f32,9>",
                             "ptr<>",
                             "",
                             "f32[99999999999]",
                             "f32[2000000000,2000000000]"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *at = bad[i];
    assert_null(ty_parse(&types, &at));
    assert_ptr_equal(at, bad[i]);
  }
  tl_arena_free(&arena);
}

static void builder_writes_what_the_text_says(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  ir_module *module = ir_module_new(&f.arena, &f.sources);
  ir_func *func = ir_func_new(module, "t", tl_target_by_name("sm_90a"));
  ir_val n = ir_add_param(func, IR_PARAM_DIM, "N", ty_scalar(&module->types, TL_I32));
  ir_builder b = {.func = func, .region = func->body};
  ir_val c = ir_const_int(&b, TL_I8, 200);
  ir_val third = ir_const_float(&b, TL_F32, 1.0 / 3);
  ir_val wide = ir_cast(&b, c, TL_I32, NULL, false);
  ir_val sum = ir_binary(&b, IR_ADD, wide, n);
  ir_val less = ir_cmp(&b, "lt", sum, n);
  int64_t dims[] = {2, 8};
  ir_val tile = ir_broadcast(&b, third, ty_tile(&module->types, TL_F32, 1, dims + 1));
  ir_broadcast(&b, tile, ty_tile(&module->types, TL_F32, 2, dims));
  ir_select(&b, less, sum, n);
  ir_build(&b, IR_RETURN, 0, NULL, 0, NULL);
  assert_string_equal(body_text(&f, func), "  %2 = const {value=-56} : i8\n"
                                           "  %3 = const {value=0x1.555556p-2} : f32\n"
                                           "  %4 = cast %2 : i32\n"
                                           "  %5 = add %4, %1 : i32\n"
                                           "  %6 = cmp %5, %1 {pred=\"lt\"} : i1\n"
                                           "  %7 = splat %3 : f32[8]\n"
                                           "  %8 = expand %7 {axis=0} : f32[1,8]\n"
                                           "  %9 = broadcast %8 : f32[2,8]\n"
                                           "  %10 = select %6, %5, %1 : i32\n"
                                           "  return\n");
  double value;
  assert_true(ir_is_const_float(func, tile, &value));
  assert_true(value == (double)(float)(1.0 / 3));
  fixture_free(&f);
}

static void attributes_are_sorted_and_replaced(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  ir_func *func = read_body(&f, "return");
  ir_op *op = func->body->first;
  ir_set_int(func, op, "zeta", 1);
  ir_set_str(func, op, "alpha", "a");
  ir_set_float(func, op, "mid", -0.0);
  ir_set_ints(func, op, "beta", 2, (int64_t[]){1, -2});
  ir_set_int(func, op, "zeta", -5);
  assert_string_equal(body_text(&f, func),
                      "  return {alpha=\"a\", beta=[1, -2], mid=-0x0p+0, zeta=-5}\n");
  assert_int_equal(ir_int(op, "zeta", 0), -5);
  assert_int_equal(ir_int(op, "alpha", 7), 7);
  assert_string_equal(ir_str(op, "alpha", ""), "a");
  assert_null(ir_attr_find(op, "none"));
  fixture_free(&f);
}

// Every .tir file of the tests reads, and its text is a fixed point.
static void check_file(const char *path) {
  ir_fixture f;
  fixture_init(&f);
  size_t len;
  char *text = tl_read_file(path, &len);
  assert_non_null(text);
  const char *once = module_text(&f, read_module(&f, text));
  const char *twice = module_text(&f, read_module(&f, once));
  assert_string_equal(once, twice);
  if (strstr(path, "/text/")) // those are written in the printed form
    assert_string_equal(text, once);
  free(text);
  fixture_free(&f);
}

static int check_folder(const char *folder) {
  int count = 0;
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  for (struct dirent *entry; (entry = readdir(dir));) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (tl_ends_with(entry->d_name, ".tir")) {
      check_file(path);
      count++;
    } else if (entry->d_name[0] != '.' && entry->d_type == DT_DIR) {
      count += check_folder(path);
    }
  }
  closedir(dir);
  return count;
}

static void files_are_fixed_points(void **state) {
  (void)state;
  assert_true(check_folder(TESTS_DIR "/ir") > 0);
}

static void locations_survive(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  const char *source = "one\ntwo three\n";
  uint32_t file = tl_source_add(&f.sources, "dir/a.tile", source, (uint32_t)strlen(source));
  tl_source_add(&f.sources, "unused.tile", "", 0);
  ir_func *func = read_body(&f, "return");
  func->body->first->loc = (tl_span){.lo = 8, .hi = 13, .file = file};
  const char *once = module_text(&f, func->module);
  assert_non_null(strstr(once, "source 1 \"dir/a.tile\"\n"));
  assert_non_null(strstr(once, "return loc(1:2:5)\n"));
  ir_module *again = read_module(&f, once);
  int line, col;
  tl_span loc = again->funcs.data[0]->body->first->loc;
  tl_source_position(&f.sources, loc, &line, &col);
  assert_int_equal(line, 2);
  assert_int_equal(col, 5);
  assert_string_equal(tl_source_path(&f.sources, loc), "dir/a.tile");
  assert_string_equal(module_text(&f, again), once);
  uint32_t files = f.sources.files.len;
  read_module(&f, once);
  assert_int_equal(f.sources.files.len, files);
  fixture_free(&f);
}

static void special_floats_survive(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  const char *body = "  %6 = const {value=nan} : f32\n"
                     "  %7 = const {value=inf} : f32\n"
                     "  %8 = const {value=-inf} : f32\n"
                     "  %9 = const {value=-0x0p+0} : f32\n"
                     "  %10 = const {value=0x0.0000000000001p-1022} : f64\n"
                     "  return\n";
  assert_string_equal(body_text(&f, read_body(&f, body)), body);
  fixture_free(&f);
}

// Reader errors name the place and the thing.
static void bad_text_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *error;
  } rows[] = {
      {"fun", "1:1: expected 'func' or 'source'"},
      {"func @f target \"sm_1\" () {}", "1:22: unknown target 'sm_1'"},
      {"func @f target \"sm_90a\" () {\n  frob\n}", "2:3: no operation is called 'frob'"},
      {"func @f target \"sm_90a\" () {\n  yield %3\n}", "2:11: %3 is not defined before this use"},
      {"func @f target \"sm_90a\" () {\n%1 = bid : i32\n%1 = bid : i32\n}",
       "4:1: %1 is defined twice"},
      {"func @f target \"sm_90a\" () {\n%1 = add : i32\n}", "3:1: 'add' has 0 operands"},
      {"func @f target \"sm_90a\" () {\nbid\n}", "3:1: 'bid' has 0 results"},
      {"func @f target \"sm_90a\" () {\n%1 = bid : i33\n}", "2:12: expected a type"},
      {"func @f target \"sm_90a\" () {\nreturn loc(1:1:1)\n}", "2:18: source 1 is not listed"},
      {"func @f target \"sm_90a\" () {\n%1 = bid : i32 @L0\n}", "2:19: layout L0 is not defined"},
      {"func @f target \"sm_90a\" () {\nreturn {a=1, a=2}\n}", "2:15: attribute 'a' given twice"},
      {"func @f target \"sm_90a\" () {\n", "2:1: expected a name"},
      {"func @f target \"sm_90a\" warps 33 () {}", "1:33: number out of range (1 to 32)"},
      {"func @f target \"sm_90a\" kernel \"a\\q\" () {}", "1:36: bad escape in a string"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ir_fixture f;
    fixture_init(&f);
    const char *error;
    assert_null(ir_parse(&f.arena, &f.sources, rows[i].text, strlen(rows[i].text), &error));
    assert_string_equal(error, rows[i].error);
    fixture_free(&f);
  }
}

static void clones_are_independent(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  ir_func *func = read_body(&f, "%6 = const {value=0} : i32\n%7 = const {value=1} : i32\n"
                                "%8 = for %6, %1, %7, %6 {unroll=2} : i32 (%9.i: i32, %10: i32) {\n"
                                "%11 = add %10, %9 : i32\nyield %11\n}\nreturn");
  ir_op *loop = func->body->last->prev;
  ir_map map;
  ir_map_init(func, &map);
  ir_map_set(func, &map, loop->args[1], func->params.data[2].val);
  ir_builder b = {.func = func, .region = func->body, .before = func->body->last};
  ir_op *copy = ir_clone(&b, loop, &map);
  assert_true(ir_same(ir_map_get(&map, loop->res[0]), copy->res[0]));
  ir_replace_uses(func, loop->res[0], copy->res[0]);
  assert_string_equal(body_text(&f, func),
                      "  %6 = const {value=0} : i32\n"
                      "  %7 = const {value=1} : i32\n"
                      "  %8 = for %6, %1, %7, %6 {unroll=2} : i32 (%9.i: i32, %10: i32) {\n"
                      "    %11 = add %10, %9 : i32\n"
                      "    yield %11\n"
                      "  }\n"
                      "  %12 = for %6, %3, %7, %6 {unroll=2} : i32 (%13.i: i32, %14: i32) {\n"
                      "    %15 = add %14, %13 : i32\n"
                      "    yield %15\n"
                      "  }\n"
                      "  return\n");
  uint32_t *uses = ir_count_uses(func, &f.arena);
  assert_int_equal(uses[loop->args[0].id], 4);
  ir_unlink(loop);
  assert_null(loop->parent);
  assert_ptr_equal(copy->prev->code == IR_CONST ? copy->prev->next : NULL, copy);
  fixture_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_are_interned_and_read_back),
      cmocka_unit_test(builder_writes_what_the_text_says),
      cmocka_unit_test(attributes_are_sorted_and_replaced),
      cmocka_unit_test(files_are_fixed_points),
      cmocka_unit_test(locations_survive),
      cmocka_unit_test(special_floats_survive),
      cmocka_unit_test(bad_text_is_refused),
      cmocka_unit_test(clones_are_independent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
