// Diagnostics as a user reads them, letter for letter, and the collecting rules behind them.
#include "lang/base/diag.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static tl_arena arena;
static tl_sources sources;
static tl_diags diags;
static const char *text_a;

static int set_up(void **state) {
  (void)state;
  arena = (tl_arena){0};
  sources = (tl_sources){.arena = &arena};
  tl_diags_init(&diags, &arena, &sources);
  text_a = "let a = 1;\n\tlet b = a @ 2;\nlet \xc3\xa9 = q;\nlast";
  tl_source_add(&sources, "a.tile", text_a, (uint32_t)strlen(text_a));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  tl_arena_free(&arena);
  return 0;
}

static tl_span find(const char *word) {
  const char *at = strstr(text_a, word);
  uint32_t lo = (uint32_t)(at - text_a);
  return (tl_span){.lo = lo, .hi = lo + (uint32_t)strlen(word), .file = 1};
}

static void expect_printed(const char *expected) {
  char *got = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&got, &len);
  tl_diags_print(&diags, out);
  fclose(out);
  assert_string_equal(got, expected);
  free(got);
}

static void caret_and_attachments(void **state) {
  (void)state;
  tl_diag *diag = tl_report(&diags, find("b = a"), DIAG_E0501, "sm_80");
  tl_note(&diags, diag, find("a = 1"), "declared %s", "here");
  tl_help(&diags, diag, "b must have K first");
  tl_fixit(&diags, diag, find("@"), "+");
  assert_int_equal(diags.error_count, 1);
  expect_printed("a.tile:2:6: error: unknown architecture 'sm_80' [E0501]\n"
                 "    2 | \tlet b = a @ 2;\n"
                 "      | \t    ^~~~~\n"
                 "a.tile:1:5: note: declared here\n"
                 "      = help: b must have K first\n"
                 "      = fix-it: 2:12-2:13 -> \"+\"\n");
  expect_printed("");
  assert_int_equal(diags.error_count, 1);
}

static void sorted_by_position_then_order(void **state) {
  (void)state;
  tl_report(&diags, find("last"), DIAG_E0501, "third");
  tl_report(&diags, find("a = 1"), DIAG_E0501, "first");
  tl_report(&diags, find("a = 1"), DIAG_E0501, "second");
  tl_report(&diags, (tl_span){0}, DIAG_W2001);
  expect_printed("warning: no ptxas found (TILE_PTXAS, CUDA_HOME, PATH): the artifact carries PTX "
                 "only [W2001]\n"
                 "a.tile:1:5: error: unknown architecture 'first' [E0501]\n"
                 "    1 | let a = 1;\n"
                 "      |     ^~~~~\n"
                 "a.tile:1:5: error: unknown architecture 'second' [E0501]\n"
                 "    1 | let a = 1;\n"
                 "      |     ^~~~~\n"
                 "a.tile:4:1: error: unknown architecture 'third' [E0501]\n"
                 "    4 | last\n"
                 "      | ^~~~\n");
  assert_int_equal(diags.error_count, 3);
}

static void same_mistake_on_two_architectures(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    static const char *const archs[] = {"sm_90a", "sm_100a", "sm_90a"};
    tl_diags_set_arch(&diags, archs[i]);
    tl_diag *diag = tl_report(&diags, find("1"), DIAG_E0501, "x");
    tl_note(&diags, diag, find("a = 1"), "here");
  }
  tl_diags_set_arch(&diags, "sm_120a");
  tl_report(&diags, find("1"), DIAG_E0501, "y");
  assert_int_equal(diags.error_count, 2);
  expect_printed("a.tile:1:9: error: unknown architecture 'x' [E0501] [sm_90a, sm_100a]\n"
                 "    1 | let a = 1;\n"
                 "      |         ^\n"
                 "a.tile:1:5: note: here\n"
                 "a.tile:1:9: error: unknown architecture 'y' [E0501] [sm_120a]\n"
                 "    1 | let a = 1;\n"
                 "      |         ^\n");
}

static void columns_count_bytes_and_carets_count_characters(void **state) {
  (void)state;
  tl_report(&diags, find("q"), DIAG_E0501, "q");
  expect_printed("a.tile:3:10: error: unknown architecture 'q' [E0501]\n"
                 "    3 | let \xc3\xa9 = q;\n"
                 "      |         ^\n");
}

static void a_span_over_lines_stops_at_the_first(void **state) {
  (void)state;
  tl_span span = find("1;");
  span.hi += 12;
  uint32_t len = (uint32_t)strlen(text_a);
  tl_report(&diags, span, DIAG_E0501, "q");
  tl_report(&diags, (tl_span){.lo = len, .hi = len, .file = 1}, DIAG_E0501, "end");
  expect_printed("a.tile:1:9: error: unknown architecture 'q' [E0501]\n"
                 "    1 | let a = 1;\n"
                 "      |         ^~\n"
                 "a.tile:4:5: error: unknown architecture 'end' [E0501]\n"
                 "    4 | last\n"
                 "      |     ^\n");
}

static void the_limit_counts_what_it_hides(void **state) {
  (void)state;
  diags.error_limit = 1;
  for (int i = 0; i < 4; i++) {
    char name[8];
    snprintf(name, sizeof name, "n%d", i);
    tl_report(&diags, (tl_span){0}, DIAG_E0501, name);
  }
  assert_int_equal(diags.error_count, 4);
  expect_printed("error: unknown architecture 'n0' [E0501]\n3 more errors not shown\n");
}

static void werror(void **state) {
  (void)state;
  diags.werror = true;
  tl_report(&diags, (tl_span){0}, DIAG_W2001);
  assert_int_equal(diags.error_count, 1);
  expect_printed(
      "error: no ptxas found (TILE_PTXAS, CUDA_HOME, PATH): the artifact carries PTX only "
      "[W2001]\n");
}

static void files_known_by_name_only(void **state) {
  (void)state;
  uint32_t file = tl_source_add(&sources, "gone.tile", NULL, 0);
  tl_report(&diags, tl_span_at(file, 1234, 56), DIAG_E0501, "q");
  expect_printed("gone.tile:1234:56: error: unknown architecture 'q' [E0501]\n");
}

static void every_row_has_text_cause_and_fix(void **state) {
  (void)state;
  for (int id = 0; id < DIAG_COUNT; id++) {
    char *page = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&page, &len);
    const char *name = tl_diag_name((tl_diag_id)id);
    assert_true(tl_diag_explain(name, out));
    fclose(out);
    const char *cause = strstr(page, "\n\nCause\n  "), *fix = strstr(page, "\n\nWhat to do\n  ");
    if (!cause || !fix || !(strchr("EWR", name[0]) && strlen(name) == (name[0] == 'R' ? 4 : 5)))
      fail_msg("row %s: bad id, or its --explain page lacks cause or fix:\n%s", name, page);
    for (const char *line = page; *line; line += strcspn(line, "\n") + 1)
      if (line != page && strcspn(line, "\n") > 100)
        fail_msg("%s: line too long: %s", name, line);
    free(page);
  }
  assert_false(tl_diag_explain("E9999", stdout));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(caret_and_attachments),
      TEST(sorted_by_position_then_order),
      TEST(same_mistake_on_two_architectures),
      TEST(columns_count_bytes_and_carets_count_characters),
      TEST(a_span_over_lines_stops_at_the_first),
      TEST(the_limit_counts_what_it_hides),
      TEST(werror),
      TEST(files_known_by_name_only),
      TEST(every_row_has_text_cause_and_fix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
