// The parser: trees print back without loss, every syntax diagnostic at its exact place, recovery.
#include "frontend/parse.h"
#include "frontend/parse_act.h"
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct run {
  tl_arena arena;
  tl_sources sources;
  tl_diags diags;
  ast_module *module;
} run;

static void parse_text(run *r, const char *text, uint32_t len) {
  memset(r, 0, sizeof *r);
  r->sources.arena = &r->arena;
  tl_diags_init(&r->diags, &r->arena, &r->sources);
  uint32_t file = tl_source_add(&r->sources, "t.tile", text, len);
  r->module = fe_parse(&r->arena, &r->diags, &r->sources, file);
}

static void parse(run *r, const char *text) { parse_text(r, text, (uint32_t)strlen(text)); }

static char *messages(run *r) {
  char *text = NULL;
  size_t len = 0;
  FILE *out = open_memstream(&text, &len);
  tl_diags_print(&r->diags, out);
  fclose(out);
  return text;
}

static char *printed(run *r) {
  tl_buf out = {0};
  if (r->module)
    ast_print(&out, r->module);
  tl_buf_putc(&out, '\0');
  return out.data;
}

// --- round trips --------------------------------------------------------------------------------
static fe_token next_token(fe_parser *ps, const char **out_text) {
  fe_token token = fe_scan(ps);
  *out_text = fe_token_text(ps, &token);
  return token;
}

static fe_parser begin_scan(run *r, const char *text) {
  return (fe_parser){.arena = &r->arena,
                     .diags = &r->diags,
                     .sources = &r->sources,
                     .file = tl_source_add(&r->sources, "scan", text, (uint32_t)strlen(text)),
                     .text = text,
                     .len = (uint32_t)strlen(text)};
}

// Nothing of the source is lost but comments and white space: token by token the same.
static void assert_same_tokens(run *r, const char *left, const char *right) {
  fe_parser a = begin_scan(r, left), b = begin_scan(r, right);
  fe_scan_begin(&a);
  fe_scan_begin(&b);
  for (bool more = true; more;) {
    const char *text_a, *text_b;
    fe_token token_a = next_token(&a, &text_a), token_b = next_token(&b, &text_b);
    assert_int_equal(token_a.kind, token_b.kind);
    assert_string_equal(text_a, text_b);
    more = token_a.kind != FE_EOF;
  }
  fe_scan_end(&a);
  fe_scan_end(&b);
}

static void assert_round_trip(const char *text) {
  run first, second;
  parse(&first, text);
  char *errors = messages(&first);
  assert_string_equal(errors, "");
  char *once = printed(&first);
  assert_same_tokens(&first, text, once);
  parse(&second, once);
  assert_int_equal(second.diags.error_count, 0);
  char *twice = printed(&second);
  assert_string_equal(once, twice);
  free(once);
  free(twice);
  free(errors);
  tl_arena_free(&first.arena);
  tl_arena_free(&second.arena);
}

static void samples_round_trip(void **state) {
  (void)state;
  glob_t found;
  assert_int_equal(glob(TESTS_DIR "/frontend/parse-[!b]*.tile", 0, NULL, &found), 0);
  assert_in_range(found.gl_pathc, 5, 100);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    size_t len;
    char *text = tl_read_file(found.gl_pathv[i], &len);
    assert_non_null(text);
    assert_round_trip(text);
    free(text);
  }
  globfree(&found);
}

// Each alternative of each rule at least once; token order is the round trip's own check.
static void every_rule_round_trips(void **state) {
  (void)state;
  static const char *const modules[] = {
      "",
      "import \"a.tile\"; import \"b\" ; const f32 X = 1; const ptr[ptr[u8]] Y = f();",
      "struct s { } struct t { s a; OT b[2, N]; }",
      "fn f() { } fn f(i32 x) -> i32 { return x; } fn g() -> (f32[4], s) { }",
      "@inline fn f[int N, bool B = true, dtype T = f16, dtype U](inout T x[N] @a @b(1)) -> T { }",
      "kernel k() { }",
      "kernel k(i32 n, in f32 A[M ; 1], out f32 B[M], inout f32 C[1, 2 ; 3, 4]) grid(a) { }",
      "@a @b() @c(1, x = f32) kernel k() grid(1, 2) key(M = b(1), N) require(a > b) tune { } { }",
      "kernel k() tune { A in { 1 }; B in 1 .. 2; C in 1 .. 2 step f(3); } tune { } { }",
      "kernel k() { { } ; let a = 1; let (a) = 1; let (a, b) = t; var a = 1; var (a, b) = t; }",
      "kernel k() { f32 a; f32 a[1]; s a = 1; ptr[f32] a[1 ; 2] = p; }",
      "kernel k() { a = 1; a += 1; a -= 1; a *= 1; a /= 1; a %= 1; a &= 1; a |= 1; a ^= 1;"
      " a <<= 1; a >>= 1; a[1].b = 1; a(); a(1)[2](b = c); a.b(); }",
      "kernel k() { for (i in 0 .. n) { } @x for (i in 0..n step 2) { } foreach (a in t) { }"
      " foreach (a, b in t(1)) { } while (a) { } }",
      "kernel k() { if (a) { } if (a) { } else { } if (a) { } else if (b) { } else if (c) { }"
      " else { } }",
      "kernel k() { return; return 1; return (1, 2); break; continue; @a @b break; }",
      "kernel k() { channel c[2] { } channel d[n] { f32 a; f32 b[1]; } roles { } roles {"
      " role a { } @w(1) role b { put c { } get c { } } } }",
      "kernel k() { x = fn (a) { return a; }; f(fn (a, b) { if (a) { } }); }",
      "kernel k() { x = f(f32, a = bf16, true, false, none_, inf); x = a[f32, none, :, 1 +: 2]; }",
      "kernel k() { x = i8(1) + u64(a, b)[1] + \"a\" \"b\"; x = ((1)); }",
  };
  for (size_t i = 0; i + 1 < sizeof modules / sizeof *modules; i++)
    assert_round_trip(modules[i]);
  // Doubled parentheses are the one thing the tree does not keep.
  run r;
  parse(&r, modules[sizeof modules / sizeof *modules - 1]);
  char *text = printed(&r);
  assert_non_null(strstr(text, "x = (1);"));
  free(text);
  tl_arena_free(&r.arena);
}

// --- the tree -----------------------------------------------------------------------------------
static ast_stmt *first_stmt(run *r, const char *text) {
  parse(r, text);
  assert_int_equal(r->diags.error_count, 0);
  return r->module->items[0]->kernel.body->data[0];
}

static void assert_span(const run *r, tl_span span, const char *expected) {
  const char *text = r->sources.files.data[span.file - 1].text;
  assert_int_equal(span.hi - span.lo, strlen(expected));
  assert_memory_equal(text + span.lo, expected, strlen(expected));
}

static void spans_cover_what_they_name(void **state) {
  (void)state;
  run r;
  ast_stmt *stmt = first_stmt(&r, "kernel k() { @p(2) for (i in (a + b) * c .. n) { } }");
  assert_span(&r, stmt->span, "@p(2) for (i in (a + b) * c .. n) { }");
  assert_span(&r, stmt->attrs.data[0].span, "@p(2)");
  assert_span(&r, stmt->loop.var.span, "i");
  assert_span(&r, stmt->loop.lo->span, "(a + b) * c");
  assert_span(&r, stmt->loop.lo->binary.op_span, "*");
  assert_span(&r, stmt->loop.lo->binary.left->span, "a + b");
  assert_span(&r, r.module->items[0]->kernel.name.span, "k");
  tl_arena_free(&r.arena);
}

static void parameter_spans_start_at_the_first_word(void **state) {
  (void)state;
  run r;
  parse(&r, "fn f( i32 n, in f32 A[M ; 1] @x ) { }");
  ast_params params = r.module->items[0]->fn.params;
  assert_span(&r, params.data[0].span, "i32 n");
  assert_span(&r, params.data[0].dims.span, "");
  assert_span(&r, params.data[1].span, "in f32 A[M ; 1] @x");
  assert_span(&r, params.data[1].dims.span, "[M ; 1]");
  tl_arena_free(&r.arena);
}

// Parentheses the tree needs are printed even when nobody wrote them.
static void printer_adds_needed_parentheses(void **state) {
  (void)state;
  run r;
  ast_stmt *stmt = first_stmt(&r, "kernel k() { x = (a - (b - c)) * -(d + e) + (f ? g : h)[0]; }");
  ast_expr *sum = stmt->assign.value, *product = sum->binary.left;
  product->binary.left->parens = false;
  product->binary.left->binary.right->parens = false;
  product->binary.right->unary.operand->parens = false;
  sum->binary.right->index.base->parens = false;
  tl_buf out = {0};
  ast_print_expr(&out, sum);
  assert_string_equal(out.data, "(a - (b - c)) * -(d + e) + (f ? g : h)[0]");
  tl_buf_free(&out);
  tl_arena_free(&r.arena);
}

static void literals_have_their_values(void **state) {
  (void)state;
  run r;
  ast_stmt *stmt = first_stmt(&r, "kernel k() { x = f(0x1F, 0b101, 9223372036854775807,"
                                  " 0xFFFFFFFFFFFFFFFF, 2.5f, 1e-5, \"a\\n\\x41\\0\" \"b\"); }");
  ast_arg *args = stmt->assign.value->call.args.data;
  assert_int_equal(args[0].value->integer.value, 31);
  assert_int_equal(args[1].value->integer.value, 5);
  assert_true(args[2].value->integer.value == INT64_MAX);
  assert_true(args[3].value->integer.value == -1);
  assert_true(args[4].value->floating.value == 2.5);
  assert_true(args[5].value->floating.value == 1e-5);
  assert_int_equal(args[6].value->string.len, 5);
  assert_memory_equal(args[6].value->string.text, "a\nA\0b", 6);
  tl_arena_free(&r.arena);
}

// --- diagnostics --------------------------------------------------------------------------------
// "line:col ID line:col ID ..." of all errors, in order of position.
static char *places(run *r) {
  char *text = messages(r);
  tl_buf out = {0};
  tl_buf_puts(&out, "");
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    const char *error = strstr(line, ": error: "), *id = strrchr(line, '[');
    if (strncmp(line, "t.tile:", 7) || !error || !id)
      continue;
    tl_buf_printf(&out, "%s%.*s %.5s", out.len ? " " : "", (int)(error - line - 7), line + 7,
                  id + 1);
  }
  free(text);
  tl_buf_putc(&out, '\0');
  return out.data;
}

static void assert_places(const char *text, const char *expected) {
  run r;
  parse(&r, text);
  char *got = places(&r);
  assert_string_equal(got, expected);
  free(got);
  tl_arena_free(&r.arena);
}

#define BODY(stmts) "kernel k(in f32 A[M]) {\n" stmts "\n}\n"

static void every_id_at_its_place(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {BODY("x = ;"), "2:5 E0001"},
      {BODY("x = f(a b);"), "2:9 E0001"},
      {BODY("let f32 x = 1;"), "2:5 E0001"},
      {"x = 1;", "1:1 E0001"},
      {BODY("let x = 1\nx = 2;"), "2:10 E0002"},
      {BODY("if (x) { f() }"), "2:13 E0002"},
      {"const i32 X = 1\nconst i32 Y = 2;", "1:16 E0002"},
      {BODY("x = load(A[0 +: 4]\nx = 2;"), "2:19 E0003"},
      {BODY("x = load(A[0 +: 4);"), "2:18 E0003"},
      {BODY("while (x < 3 { f(); }"), "2:13 E0003"},
      {"fn f(float *x) { }", "1:6 E0004"},
      {"fn f(int n, unsigned char **p) { }", "1:6 E0004 1:13 E0004"},
      {BODY("int x = 1; double y; bool b;"), "2:1 E0004 2:12 E0004 2:22 E0004"},
      {BODY("unsigned int x = 1;"), "2:1 E0004"},
      {BODY("for (int i = 0; i < n; i++) { }"), "2:6 E0005"},
      {BODY("for (i = 0; i < n; i++) { }"), "2:6 E0005"},
      {"kernel k<int N>() { }", "1:9 E0006"},
      {BODY("x = cast<f32>(y);"), "2:9 E0006"},
      {BODY("x = iota<N>();"), "2:9 E0006"},
      {BODY("f<N>(x);"), "2:2 E0006"},
      {BODY("ptr<f32> p = q;"), "2:4 E0006"},
      {BODY("x++;"), "2:2 E0007"},
      {BODY("--x;"), "2:1 E0007"},
      {BODY("x = p->y;"), "2:6 E0008"},
      {BODY("if (a === b) { }"), "2:7 E0009"},
      {BODY("if (a !== b) { }"), "2:7 E0009"},
      {BODY("x = \"abc;\nx = 1;"), "2:5 E0010"},
      {BODY("x = 1;") "/* /* */ */ /*", "4:10 E0001 4:13 E0011"},
      {BODY("x = 1;") "/* foo", "4:1 E0011"},
      {BODY("x = 1 $ 2;"), "2:7 E0012"},
      {BODY("x = \xe2\x80\x9cy;"), "2:5 E0012"},
      {"#include <a>\n" BODY("x = 1;"), "1:1 E0012"},
      {BODY("x = 12u + 1. + .5 + 0x + 1e + 0b2;"),
       "2:5 E0013 2:11 E0013 2:16 E0013 2:21 E0013 2:26 E0013 2:31 E0013"},
      {BODY("x = 9223372036854775808 + 0x10000000000000000 + 1e999;"),
       "2:5 E0014 2:27 E0014 2:49 E0014"},
      {BODY("x = \"a\\q\\xG\";"), "2:7 E0015 2:9 E0015"},
      {BODY("x; x[1]; x.y;"), "2:1 E0016 2:4 E0016 2:10 E0016"},
      {BODY("f(x) = 1;"), "2:1 E0017"},
      {"kernel k() {\nif (a) {", "2:9 E0019"},
      {"kernel k() {\nif (a) {\nkernel l() { }\nfn f() { x = ; }", "3:1 E0019 4:14 E0001"},
      {BODY("if (a) f(); else g();"), "2:8 E0020"},
      {BODY("for (i in 0 .. n)\n  f(i);"), "3:3 E0020"},
      {BODY("let in = 1; x = key;"), "2:5 E0021 2:17 E0021"},
      {"fn f32(i32 n) { }", "1:4 E0021"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_places(cases[i][0], cases[i][1]);
}

static void assert_message(const char *text, const char *expected) {
  run r;
  parse(&r, text);
  char *got = messages(&r);
  assert_string_equal(got, expected);
  free(got);
  tl_arena_free(&r.arena);
}

static void messages_name_groups_and_fixes(void **state) {
  (void)state;
  assert_message(BODY("x = f(a b);"),
                 "t.tile:2:9: error: expected an operator, ')' or ',', found 'b' [E0001]\n"
                 "    2 | x = f(a b);\n"
                 "      |         ^\n");
  assert_message(BODY("x = load(A[0]\ny = 1;"), "t.tile:2:14: error: missing ')' [E0003]\n"
                                                "    2 | x = load(A[0]\n"
                                                "      |              ^\n"
                                                "t.tile:2:9: note: to match this '('\n"
                                                "      = fix-it: 2:14-2:14 -> \")\"\n");
  assert_message(BODY("for (int j = a; j <= f(n, 2); j += 4) { }"),
                 "t.tile:2:6: error: this is C's 'for'; loops over a range are 'for (i in lo .. "
                 "hi)' [E0005]\n"
                 "    2 | for (int j = a; j <= f(n, 2); j += 4) { }\n"
                 "      |      ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n"
                 "      = fix-it: 2:6-2:37 -> \"j in a .. f(n, 2) + 1 step 4\"\n");
  assert_message("kernel k(const f32 A[M]) { }",
                 "t.tile:1:10: error: expected a type, 'in', 'out', 'inout' or ')', found "
                 "'const' [E0001]\n"
                 "    1 | kernel k(const f32 A[M]) { }\n"
                 "      |          ^~~~~\n"
                 "      = help: types have no 'const': an 'in' parameter is read-only\n");
}

// --- recovery -----------------------------------------------------------------------------------
static void reading_goes_on_behind_each_mistake(void **state) {
  (void)state;
  // Each construct broken once; the statement behind it has a mistake of its own.
  assert_places(
      BODY("let = 1;\nx = ;\nfor (k in 0 .. n { x = ; }\nif (a = b) { x = ; } else { x = ; }\n"
           "channel c[2] { f32; i32 a }\nroles { role { } }\nx = f(fn (a) { x = ; });\n"
           "x = ;"),
      "2:5 E0001 3:5 E0001 4:17 E0003 4:24 E0001 5:7 E0001 5:18 E0001 5:33 E0001 "
      "6:19 E0001 6:26 E0002 7:14 E0001 8:20 E0001 9:5 E0001");
  assert_places(
      "struct s { f32 }\nconst i32 X = ;\nfn f() { x = ; }\nkernel k() tune { A in 3; B in { 1 ; }"
      " { x = ; }\nimport x;\nfn g() { x = ; }",
      "1:16 E0001 2:15 E0001 3:14 E0001 4:25 E0001 4:36 E0001 4:46 E0001 5:8 E0001 "
      "6:14 E0001");
}

static void whole_items_survive_broken_ones(void **state) {
  (void)state;
  run r;
  parse(&r, "fn a() { }\nfn b( { }\nfn c() { x = ; y = 1; }\n");
  assert_int_equal(r.diags.error_count, 2);
  assert_int_equal(r.module->nitems, 2);
  assert_string_equal(r.module->items[1]->fn.name.text, "c");
  assert_int_equal(r.module->items[1]->fn.body->len, 1);
  tl_arena_free(&r.arena);
}

static void stops_after_the_error_limit(void **state) {
  (void)state;
  tl_buf text = {0};
  tl_buf_puts(&text, "kernel k() {\n");
  for (int i = 0; i < 100; i++)
    tl_buf_puts(&text, "x = ;\n");
  tl_buf_puts(&text, "}\n");
  run r;
  parse(&r, text.data);
  assert_int_equal(r.diags.error_count, r.diags.error_limit);
  tl_buf_free(&text);
  tl_arena_free(&r.arena);
}

// --- limits -------------------------------------------------------------------------------------
static void assert_too_deep(const char *open, const char *close, int levels) {
  tl_buf text = {0};
  tl_buf_puts(&text, "kernel k() { x = ");
  for (int i = 0; i < levels; i++)
    tl_buf_puts(&text, open);
  tl_buf_puts(&text, "1");
  for (int i = 0; i < levels; i++)
    tl_buf_puts(&text, close);
  tl_buf_puts(&text, "; }");
  run r;
  parse(&r, text.data);
  char *got = messages(&r);
  assert_non_null(strstr(got, "[E0018]"));
  assert_int_equal(r.diags.error_count, 1);
  assert_null(r.module);
  free(got);
  tl_buf_free(&text);
  tl_arena_free(&r.arena);
}

static void deep_nesting_is_refused(void **state) {
  (void)state;
  assert_too_deep("1+", "", 1001);
  assert_too_deep("f(", ")", 1001);
  assert_too_deep("!", "", 50000);
  assert_too_deep("(", ")", 50000);
  assert_too_deep("f(fn (a) { return -", "; })", 400);
}

static void odd_files(void **state) {
  (void)state;
  run r;
  parse(&r, "");
  assert_int_equal(r.diags.error_count, 0);
  assert_int_equal(r.module->nitems, 0);
  tl_arena_free(&r.arena);
  parse_text(&r, "const i32 X\0 = 1;", 17); // a NUL is a stray character, not the end
  assert_int_equal(r.diags.error_count, 1);
  tl_arena_free(&r.arena);
  parse_text(&r, "fn f() { x = \"a\0b\"; }", 22); // nor part of a string
  assert_true(r.diags.error_count > 0);
  tl_arena_free(&r.arena);
  parse(&r, "\xef\xbb\xbf"
            "const i32 X = 1;\r\n"); // byte-order mark, CR LF
  assert_int_equal(r.diags.error_count, 0);
  assert_int_equal(r.module->nitems, 1);
  tl_arena_free(&r.arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(samples_round_trip),
      cmocka_unit_test(every_rule_round_trips),
      cmocka_unit_test(spans_cover_what_they_name),
      cmocka_unit_test(parameter_spans_start_at_the_first_word),
      cmocka_unit_test(printer_adds_needed_parentheses),
      cmocka_unit_test(literals_have_their_values),
      cmocka_unit_test(every_id_at_its_place),
      cmocka_unit_test(messages_name_groups_and_fixes),
      cmocka_unit_test(reading_goes_on_behind_each_mistake),
      cmocka_unit_test(whole_items_survive_broken_ones),
      cmocka_unit_test(stops_after_the_error_limit),
      cmocka_unit_test(deep_nesting_is_refused),
      cmocka_unit_test(odd_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
