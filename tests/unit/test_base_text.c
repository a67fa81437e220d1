// Arena, vectors, buffers, words, files, and the two static tables.
#include "lang/base/str.h"
#include "lang/base/vec.h"
#include "lang/dtype.h"
#include "lang/target.h"
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static void arena_blocks_are_zeroed_aligned_and_apart(void **state) {
  (void)state;
  tl_arena arena = {0};
  unsigned char *blocks[300];
  for (int i = 0; i < 300; i++) {
    size_t bytes = i == 50 ? 9u << 20 : (size_t)(i * 37 % 5000);
    blocks[i] = tl_alloc(&arena, bytes);
    assert_int_equal((uintptr_t)blocks[i] % 16, 0);
    for (size_t j = 0; j < bytes; j++)
      assert_int_equal(blocks[i][j], 0);
    memset(blocks[i], i & 0xFF, bytes);
  }
  for (int i = 0; i < 300; i++)
    for (size_t j = 0; j < (size_t)(i == 50 ? 100 : i * 37 % 5000); j++)
      assert_int_equal(blocks[i][j], i & 0xFF);
  tl_arena_free(&arena);
  assert_int_equal(arena.total_bytes, 0);
  assert_string_equal(tl_sprintf(&arena, "%d-%s", 7, "x"), "7-x");
  assert_string_equal(tl_strndup(&arena, "abcdef", 3), "abc");
  tl_arena_free(&arena);
}

static void vectors_grow(void **state) {
  (void)state;
  tl_arena arena = {0};
  TL_VEC(int) v = {0};
  for (int i = 0; i < 1000; i++)
    tl_push(&arena, &v, i * i);
  assert_int_equal(v.len, 1000);
  for (int i = 0; i < 1000; i++)
    assert_int_equal(v.data[i], i * i);
  assert_int_equal(tl_last(&v), 999 * 999);
  assert_int_equal(tl_pop(&v), 999 * 999);
  assert_int_equal(v.len, 999);
  tl_arena_free(&arena);
}

static void buffers_grow_and_stay_terminated(void **state) {
  (void)state;
  tl_buf buf = {0};
  for (int i = 0; i < 500; i++)
    tl_buf_printf(&buf, "%d,", i);
  assert_int_equal(buf.len, 10 * 2 + 90 * 3 + 400 * 4);
  assert_int_equal(strlen(buf.data), buf.len);
  char long_text[5000];
  memset(long_text, 'x', sizeof long_text);
  long_text[4999] = 0;
  tl_buf_printf(&buf, "%s", long_text);
  assert_true(tl_ends_with(buf.data, long_text));
  tl_buf_write(&buf, "a\0b", 3);
  tl_buf_putc(&buf, 'c');
  assert_memory_equal(buf.data + buf.len - 4, "a\0bc", 5);
  tl_buf_free(&buf);
  assert_null(buf.data);
}

static void distances(void **state) {
  (void)state;
  assert_int_equal(tl_edit_distance("load", "load", 3), 0);
  assert_int_equal(tl_edit_distance("load", "laod", 3), 1); // neighbours swapped
  assert_int_equal(tl_edit_distance("load", "loads", 3), 1);
  assert_int_equal(tl_edit_distance("load", "oad", 3), 1);
  assert_int_equal(tl_edit_distance("kitten", "sitting", 9), 3);
  assert_int_equal(tl_edit_distance("kitten", "sitting", 2), 2); // stopped at the limit
  assert_int_equal(tl_edit_distance("", "abc", 9), 3);
  static const char *const names[] = {"store", "load", "dot", "dot_scaled"};
  assert_string_equal(tl_nearest("laod", names, 4), "load");
  assert_string_equal(tl_nearest("dot_scale", names, 4), "dot_scaled");
  assert_string_equal(tl_nearest("dto", names, 4), "dot");
  assert_null(tl_nearest("zebra", names, 4));
  assert_null(tl_nearest("x", names, 0));
}

static void files_are_replaced_whole_or_not_at_all(void **state) {
  (void)state;
  char folder[] = "/tmp/tile_test_XXXXXX";
  assert_non_null(mkdtemp(folder));
  char path[64], link_path[64];
  snprintf(path, sizeof path, "%s/out", folder);
  snprintf(link_path, sizeof link_path, "%s/link", folder);
  assert_true(tl_write_file(path, "one", 3));
  assert_true(tl_write_file(path, "two\0!", 5));
  size_t len;
  char *text = tl_read_file(path, &len);
  assert_int_equal(len, 5);
  assert_memory_equal(text, "two\0!", 6);
  free(text);
  // Through a link the file behind it changes and the link stays.
  assert_int_equal(symlink(path, link_path), 0);
  assert_true(tl_write_file(link_path, "three", 5));
  struct stat info;
  assert_int_equal(lstat(link_path, &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  unlink(link_path);
  // A failure leaves the old bytes and nothing beside them.
  char missing[80];
  snprintf(missing, sizeof missing, "%s/no/such", folder);
  assert_false(tl_write_file(missing, "x", 1));
  assert_int_equal(errno, ENOENT);
  assert_true(tl_write_file("/dev/null", "x", 1)); // a device is written to, never replaced
  assert_int_equal(stat("/dev/null", &info), 0);
  assert_true(S_ISCHR(info.st_mode));
  int entries = 0;
  DIR *dir = opendir(folder);
  for (struct dirent *entry; (entry = readdir(dir));)
    entries += entry->d_name[0] != '.';
  closedir(dir);
  assert_int_equal(entries, 1);
  text = tl_read_file(path, NULL);
  assert_string_equal(text, "three");
  free(text);
  unlink(path);
  rmdir(folder);
  assert_null(tl_read_file(path, &len));
  assert_int_equal(errno, ENOENT);
  assert_null(tl_read_file("/tmp", &len));
  assert_int_equal(errno, EISDIR);
}

static void element_types(void **state) {
  (void)state;
  for (int i = TL_NODTYPE + 1; i < TL_DTYPE_COUNT; i++) {
    tl_dtype type = (tl_dtype)i;
    assert_int_equal(tl_dtype_by_name(tl_dtype_name(type)), type);
    const tl_dtype_info *info = tl_dtype_of(type);
    if (tl_is_float(type)) { // sign, exponent and fraction fill the element; ue8m0 has no sign
      int used = info->exponent_bits + info->fraction_bits + (type != TL_UE8M0);
      assert_true(used <= info->bits && (used == info->bits || info->bits == 8 || type == TL_TF32));
    }
  }
  assert_int_equal(tl_dtype_by_name("float"), TL_NODTYPE);
  assert_int_equal(tl_dtype_bits(TL_F4E2M1), 4);
  assert_true(tl_is_signed(TL_I8) && !tl_is_signed(TL_U8) && tl_is_int(TL_I1));
}

static void targets(void **state) {
  (void)state;
  for (int i = TL_NO_TARGET + 1; i < TL_TARGET_COUNT; i++) {
    const tl_target *target = tl_target_of((tl_target_id)i);
    assert_ptr_equal(tl_target_by_name(target->name), target);
    assert_true(target->smem_cta_bytes < target->smem_sm_bytes);
    assert_int_equal(target->id, i);
  }
  assert_null(tl_target_by_name("sm_80"));
  assert_true(tl_target_by_name("sm_90a")->features & tl_feature_by_name("wgmma"));
  assert_false(tl_target_by_name("sm_120a")->features & tl_feature_by_name("tcgen05"));
  assert_int_equal(tl_feature_by_name("nothing"), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arena_blocks_are_zeroed_aligned_and_apart),
      cmocka_unit_test(vectors_grow),
      cmocka_unit_test(buffers_grow_and_stay_terminated),
      cmocka_unit_test(distances),
      cmocka_unit_test(files_are_replaced_whole_or_not_at_all),
      cmocka_unit_test(element_types),
      cmocka_unit_test(targets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
