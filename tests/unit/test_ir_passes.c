// One table per pass: the operations before, and exactly what they become.
#include "ir/pass.h"
#include "tests/unit/ir_text.h"

typedef struct row {
  const char *before, *after;
} row;

static void run(ir_fixture *f, const char *pass, ir_func *func) {
  tl_arena scratch = {0};
  ir_pass_ctx ctx = {.func = func, .scratch = &scratch};
  tl_buf failures = {0};
  if (ir_verify(func, &failures))
    fail_msg("before %s: %s", pass, failures.data);
  for (int i = 0; i < ir_pass_count; i++)
    if (!strcmp(ir_passes[i].name, pass))
      ir_passes[i].run(&ctx);
  if (ir_verify(func, &failures))
    fail_msg("after %s: %s\n%s", pass, failures.data, body_text(f, func));
  tl_buf_free(&failures);
  tl_arena_free(&scratch);
}

// canon leaves unused operations behind: dce runs behind it for a readable result.
static void check(const char *const *passes, const row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    ir_fixture f;
    fixture_init(&f);
    ir_func *func = read_body(&f, rows[i].before);
    for (int p = 0; passes[p]; p++)
      run(&f, passes[p], func);
    const char *text = body_text(&f, func), *wanted = body_text(&f, read_body(&f, rows[i].after));
    if (strcmp(text, wanted) != 0)
      fail_msg("row %zu\n%s\nbecame\n%s\nnot\n%s", i, rows[i].before, text, wanted);
    fixture_free(&f);
  }
}

#define CHECK_ROWS(rows, ...)                                                                      \
  check((const char *const[]){__VA_ARGS__, NULL}, rows, sizeof rows / sizeof *rows)

#define USE(v) "print %" #v " {fmt=\"\"}\nreturn"

static const row canon_rows[] = {
    // identities: %3 is i32, %2 f32, %1 i32 >= 0
    {"%6 = const {value=0} : i32\n%7 = add %6, %3 : i32\n" USE(7), USE(3)},
    {"%6 = const {value=1} : i32\n%7 = mul %6, %3 : i32\n" USE(7), USE(3)},
    {"%6 = const {value=0} : i32\n%7 = mul %3, %6 : i32\n" USE(7),
     "%6 = const {value=0} : i32\n" USE(6)},
    {"%6 = sub %3, %3 : i32\n" USE(6), "%6 = const {value=0} : i32\n" USE(6)},
    {"%6 = const {value=3} : i32\n%7 = add %3, %6 : i32\n%8 = add %7, %6 : i32\n" USE(8),
     "%6 = const {value=6} : i32\n%7 = add %3, %6 : i32\n" USE(7)},
    {"%6 = const {value=2} : i32\n%7 = mul %3, %6 : i32\n%8 = mul %7, %6 : i32\n" USE(8),
     "%6 = const {value=4} : i32\n%7 = mul %3, %6 : i32\n" USE(7)},
    {"%6 = not %5 : i1\n%7 = not %6 : i1\n" USE(7), USE(5)},
    {"%6 = neg %2 : f32\n%7 = neg %6 : f32\n" USE(7), USE(2)},
    {"%6 = cmp %3, %1 {pred=\"lt\"} : i1\n%7 = not %6 : i1\n" USE(7),
     "%6 = cmp %3, %1 {pred=\"ge\"} : i1\n" USE(6)},
    {"%6 = cmp %2, %2 {pred=\"lt\"} : i1\n%7 = not %6 : i1\n" USE(7), // NaN: both may be false
     "%6 = cmp %2, %2 {pred=\"lt\"} : i1\n%7 = not %6 : i1\n" USE(7)},
    {"%6 = cmp %3, %3 {pred=\"le\"} : i1\n" USE(6), "%6 = const {value=1} : i1\n" USE(6)},
    {"%6 = const {value=4} : i32\n%7 = cmp %6, %3 {pred=\"lt\"} : i1\n" USE(7),
     "%6 = const {value=4} : i32\n%7 = cmp %3, %6 {pred=\"gt\"} : i1\n" USE(7)},
    {"%6 = select %5, %3, %3 : i32\n" USE(6), USE(3)},
    {"%6 = const {value=1} : i1\n%7 = select %6, %3, %1 : i32\n" USE(7), USE(3)},
    {"%6 = const {value=1} : i1\n%7 = const {value=0} : i1\n%8 = select %5, %6, %7 : i1\n" USE(8),
     USE(5)},
    // floats: only what holds for every value
    {"%6 = const {value=0x0p+0} : f32\n%7 = add %2, %6 : f32\n" USE(7), // -0 + 0 = +0
     "%6 = const {value=0x0p+0} : f32\n%7 = add %2, %6 : f32\n" USE(7)},
    {"%6 = const {value=-0x0p+0} : f32\n%7 = add %2, %6 : f32\n" USE(7), USE(2)},
    {"%6 = const {value=1.0} : f32\n%7 = mul %2, %6 : f32\n" USE(7), USE(2)},
    {"%6 = const {value=0x0p+0} : f32\n%7 = mul %2, %6 : f32\n" USE(7), // 0 x NaN
     "%6 = const {value=0x0p+0} : f32\n%7 = mul %2, %6 : f32\n" USE(7)},
    // division by powers of two, where the sign is known
    {"%6 = const {value=8} : i32\n%7 = div %1, %6 : i32\n" USE(7),
     "%6 = const {value=3} : i32\n%7 = shr %1, %6 : i32\n" USE(7)},
    {"%6 = const {value=8} : i32\n%7 = rem %1, %6 : i32\n" USE(7),
     "%6 = const {value=7} : i32\n%7 = and %1, %6 : i32\n" USE(7)},
    {"%6 = const {value=8} : i32\n%7 = div %3, %6 : i32\n" USE(7),
     "%6 = const {value=8} : i32\n%7 = div %3, %6 : i32\n" USE(7)},
    {"%6 = const {value=0} : i32\n%7 = cmp %3, %6 {pred=\"ge\"} : i1\nassume %7\n"
     "%8 = const {value=8} : i32\n%9 = div %3, %8 : i32\n" USE(9),
     "%6 = const {value=0} : i32\n%7 = cmp %3, %6 {pred=\"ge\"} : i1\nassume %7\n"
     "%8 = const {value=3} : i32\n%9 = shr %3, %8 : i32\n" USE(9)},
    // conversions
    {"%6 = cast %3 : i64\n%7 = cast %6 : i32\n" USE(7), USE(3)},
    {"%6 = cast %3 : i8\n%7 = cast %6 : i32\n" USE(7),
     "%6 = cast %3 : i8\n%7 = cast %6 : i32\n" USE(7)},
    {"%6 = cast %3 : i64\n%7 = cast %6 : i16\n" USE(7), "%6 = cast %3 : i16\n" USE(6)},
    {"%6 = cast %2 : bf16\n%7 = cast %6 : f32\n%8 = cast %7 : bf16\n" USE(8),
     "%6 = cast %2 : bf16\n" USE(6)},
    // splats
    {"%6 = splat %2 : f32[8]\n%7 = mul %6, %6 : f32[8]\n" USE(7),
     "%6 = mul %2, %2 : f32\n%7 = splat %6 : f32[8]\n" USE(7)},
    {"%6 = splat %2 : f32[8]\n%7 = expand %6 {axis=0} : f32[1,8]\n%8 = broadcast %7 : f32[4,8]\n"
     "%9 = permute %8 {order=[1, 0]} : f32[8,4]\n" USE(9),
     "%6 = splat %2 : f32[8,4]\n" USE(6)},
    {"%6 = const {value=3.0} : f32\n%7 = splat %6 : f32[8]\n%8 = add %7, %7 : f32[8]\n" USE(8),
     "%6 = const {value=6.0} : f32\n%7 = splat %6 : f32[8]\n" USE(7)},
    {"%6 = splat %2 : f32[8]\n%7 = reduce %6 {axis=0, kind=\"max\"} : f32\n" USE(7), USE(2)},
    {"%6 = iota : i32[8]\n%7 = reshape %6 : i32[2,4]\n%8 = permute %7 {order=[1, 0]} : i32[4,2]\n"
     "%9 = permute %8 {order=[1, 0]} : i32[2,4]\n%10 = reshape %9 : i32[8]\n" USE(10),
     "%6 = iota : i32[8]\n" USE(6)},
    // control
    {"%6 = const {value=1} : i1\n%7 = if %6 : i32 {\n%8 = neg %3 : i32\nyield %8\n} {\nyield "
     "%1\n}\n" USE(7),
     "%6 = neg %3 : i32\n" USE(6)},
    {"%6 = if %5 : i32 {\nprint {fmt=\"\"}\nyield %3\n} {\nyield %3\n}\n" USE(6),
     "if %5 {\nprint {fmt=\"\"}\nyield\n} {\nyield\n}\n" USE(3)},
    {"%6 = const {value=4} : i32\n%7 = for %6, %6, %6, %3 : i32 (%8: i32, %9: i32) {\n"
     "%10 = neg %9 : i32\nyield %10\n}\n" USE(7),
     USE(3)},
    {"%6 = const {value=4} : i32\n%7 = const {value=8} : i32\n"
     "%8 = for %6, %7, %6, %3 : i32 (%9: i32, %10: i32) {\n"
     "%11 = add %10, %9 : i32\nyield %11\n}\n" USE(8),
     "%6 = const {value=4} : i32\n%7 = add %3, %6 : i32\n" USE(7)},
    {"%6 = const {value=1} : i32\n%7, %8 = for %6, %1, %6, %3, %2 : i32, f32 "
     "(%9: i32, %10: i32, %11: f32) {\n%12 = add %10, %9 : i32\nprint %11 {fmt=\"\"}\n"
     "yield %12, %11\n}\nprint %7, %8 {fmt=\"\"}\nreturn",
     "%6 = const {value=1} : i32\n%7 = for %6, %1, %6, %3 : i32 (%8: i32, %9: i32) {\n"
     "%10 = add %9, %8 : i32\nprint %2 {fmt=\"\"}\nyield %10\n}\nprint %7, %2 {fmt=\"\"}\nreturn"},
    {"%6 = const {value=1} : i1\nassert %6 {msg=\"\"}\nassume %6\nreturn", "return"},
};

static void canon_rewrites(void **state) {
  (void)state;
  CHECK_ROWS(canon_rows, "canon", "dce");
}

static const row fold_rows[] = {
#define FOLD2(op, type, x, y, to, z)                                                               \
  {                                                                                                \
    "%6 = const {value=" x "} : " type "\n%7 = const {value=" y "} : " type "\n%8 = " op " : " to  \
    "\n" USE(8),                                                                                   \
        "%6 = const {value=" z "} : " to "\n" USE(6)                                               \
  }
    FOLD2("add %6, %7", "i8", "127", "1", "i8", "-128"),
    FOLD2("sub %6, %7", "u8", "1", "2", "u8", "255"),
    FOLD2("mul %6, %7", "i64", "4611686018427387904", "2", "i64", "-9223372036854775808"),
    FOLD2("div %6, %7", "i32", "-7", "2", "i32", "-3"),
    FOLD2("rem %6, %7", "i32", "-7", "2", "i32", "-1"),
    FOLD2("div %6, %7", "i32", "5", "0", "i32", "0"),
    FOLD2("rem %6, %7", "i32", "5", "0", "i32", "0"),
    FOLD2("div %6, %7", "i32", "-2147483648", "-1", "i32", "-2147483648"),
    FOLD2("div %6, %7", "u64", "-1", "2", "u64", "9223372036854775807"),
    FOLD2("cmp %6, %7 {pred=\"lt\"}", "u64", "-1", "2", "i1", "0"),
    FOLD2("cmp %6, %7 {pred=\"lt\"}", "i64", "-1", "2", "i1", "1"),
    FOLD2("shl %6, %7", "i32", "1", "32", "i32", "0"),
    FOLD2("shl %6, %7", "i32", "3", "31", "i32", "-2147483648"),
    FOLD2("shr %6, %7", "i32", "-8", "40", "i32", "-1"),
    FOLD2("shr %6, %7", "u32", "4294967288", "1", "u32", "2147483644"),
    FOLD2("max %6, %7", "u8", "200", "3", "u8", "200"),
    FOLD2("min %6, %7", "i8", "-56", "3", "i8", "-56"),
    FOLD2("add %6, %7", "bf16", "256.0", "1.0", "bf16", "256.0"),
    FOLD2("add %6, %7", "f32", "16777216.0", "1.0", "f32", "16777216.0"),
    FOLD2("add %6, %7", "f64", "16777216.0", "1.0", "f64", "16777217.0"),
    FOLD2("mul %6, %7", "f16", "65504.0", "2.0", "f16", "inf"),
    FOLD2("div %6, %7", "f32", "1.0", "3.0", "f32", "0x1.555556p-2"),
    FOLD2("div %6, %7", "f32", "1.0", "-0.0", "f32", "-inf"),
    FOLD2("max %6, %7", "f32", "nan", "1.0", "f32", "1.0"),
    FOLD2("max %6, %7 {nan=1}", "f32", "nan", "1.0", "f32", "nan"),
    FOLD2("min %6, %7", "f32", "0.0", "-0.0", "f32", "-0.0"),
    FOLD2("max %6, %7", "f32", "-0.0", "0.0", "f32", "0.0"),
    FOLD2("cmp %6, %7 {pred=\"ne\"}", "f32", "nan", "nan", "i1", "1"),
    FOLD2("cmp %6, %7 {pred=\"ge\"}", "f32", "nan", "1.0", "i1", "0"),
    FOLD2("fma %6, %7, %7", "f32", "0x1.000002p+0", "0x1.000002p+0", "f32", "0x1.000004p+1"),
    FOLD2("cast %6", "i32", "300", "0", "i8", "44"),
    FOLD2("cast %6 {sat=1}", "i32", "300", "0", "i8", "44"), // sat concerns floats only
    FOLD2("cast %6", "f32", "-1.75", "0.0", "i32", "-1"),
    FOLD2("cast %6", "f32", "1e20", "0.0", "i64", "9223372036854775807"),
    FOLD2("cast %6", "f32", "-5.0", "0.0", "u16", "0"),
    FOLD2("cast %6", "f32", "1.0625", "0.0", "f8e4m3", "1.0"),
    FOLD2("cast %6 {round=\"rp\"}", "f32", "3.0", "0.0", "ue8m0", "4.0"),
    FOLD2("cast %6 {sat=1}", "f32", "1000.0", "0.0", "f8e4m3", "448.0"),
    FOLD2("cast %6", "i1", "1", "0", "f32", "1.0"),
    FOLD2("bitcast %6", "f32", "1.0", "0.0", "i32", "1065353216"),
    FOLD2("bitcast %6", "i16", "-32768", "0", "bf16", "-0.0"),
    FOLD2("neg %6", "i8", "-128", "0", "i8", "-128"),
    FOLD2("abs %6", "f32", "-0.0", "0.0", "f32", "0.0"),
    FOLD2("not %6", "i1", "0", "0", "i1", "1"),
    FOLD2("not %6", "u8", "1", "0", "u8", "254"),
    // no exact answer: left alone
    {"%6 = const {value=nan} : f32\n%7 = cast %6 : i32\n" USE(7),
     "%6 = const {value=nan} : f32\n%7 = cast %6 : i32\n" USE(7)},
    {"%6 = const {value=9007199254740993} : i64\n%7 = cast %6 : f32\n" USE(7),
     "%6 = const {value=9007199254740993} : i64\n%7 = cast %6 : f32\n" USE(7)},
    {"%6 = const {value=1.0} : f32\n%7 = exp2 %6 : f32\n" USE(7),
     "%6 = const {value=1.0} : f32\n%7 = exp2 %6 : f32\n" USE(7)},
};

static void folding_is_exact(void **state) {
  (void)state;
  CHECK_ROWS(fold_rows, "canon", "dce");
}

static const row cse_rows[] = {
    {"%6 = add %1, %3 : i32\n%7 = add %3, %1 : i32\n%8 = mul %6, %7 : i32\n" USE(8),
     "%6 = add %1, %3 : i32\n%7 = mul %6, %6 : i32\n" USE(7)},
    {"%6 = sub %1, %3 : i32\n%7 = sub %3, %1 : i32\n%8 = mul %6, %7 : i32\n" USE(8),
     "%6 = sub %1, %3 : i32\n%7 = sub %3, %1 : i32\n%8 = mul %6, %7 : i32\n" USE(8)},
    {"%6 = cmp %1, %3 {pred=\"lt\"} : i1\n%7 = cmp %1, %3 {pred=\"le\"} : i1\n"
     "print %6, %7 {fmt=\"\"}\nreturn",
     "%6 = cmp %1, %3 {pred=\"lt\"} : i1\n%7 = cmp %1, %3 {pred=\"le\"} : i1\n"
     "print %6, %7 {fmt=\"\"}\nreturn"},
    {"%6 = const {value=0x0p+0} : f32\n%7 = const {value=-0x0p+0} : f32\n"
     "%8 = const {value=0x0p+0} : f32\nprint %6, %7, %8 {fmt=\"\"}\nreturn",
     "%6 = const {value=0x0p+0} : f32\n%7 = const {value=-0x0p+0} : f32\n"
     "print %6, %7, %6 {fmt=\"\"}\nreturn"},
    {"%6 = splat %2 : f32[8]\n%7 = splat %2 : f32[16]\nprint %6, %7 {fmt=\"\"}\nreturn",
     "%6 = splat %2 : f32[8]\n%7 = splat %2 : f32[16]\nprint %6, %7 {fmt=\"\"}\nreturn"},
    // seen from inside, not from a sibling
    {"%6 = neg %3 : i32\nif %5 {\n%7 = neg %3 : i32\n%8 = abs %3 : i32\nprint %7, %8 {fmt=\"\"}\n"
     "yield\n} {\n%9 = abs %3 : i32\nprint %9 {fmt=\"\"}\nyield\n}\n" USE(6),
     "%6 = neg %3 : i32\nif %5 {\n%7 = abs %3 : i32\nprint %6, %7 {fmt=\"\"}\n"
     "yield\n} {\n%8 = abs %3 : i32\nprint %8 {fmt=\"\"}\nyield\n}\n" USE(6)},
    // a store may stand between two loads
    {"%6 = const {value=0} : i32\n%7 = const {value=1} : i64\n"
     "%8 = tensor %4, %1, %7 : tensor<f32,1>\n%9 = load %8, %6 {subs=\"s\"} : f32\n"
     "store %8, %2, %6 {subs=\"s\"}\n%10 = load %8, %6 {subs=\"s\"} : f32\n"
     "print %9, %10 {fmt=\"\"}\nreturn",
     "%6 = const {value=0} : i32\n%7 = const {value=1} : i64\n"
     "%8 = tensor %4, %1, %7 : tensor<f32,1>\n%9 = load %8, %6 {subs=\"s\"} : f32\n"
     "store %8, %2, %6 {subs=\"s\"}\n%10 = load %8, %6 {subs=\"s\"} : f32\n"
     "print %9, %10 {fmt=\"\"}\nreturn"},
};

static void cse_merges(void **state) {
  (void)state;
  CHECK_ROWS(cse_rows, "cse");
}

static const row licm_rows[] = {
    {"%6 = const {value=1} : i32\nfor %6, %1, %6 (%7: i32) {\n%8 = mul %3, %3 : i32\n"
     "%9 = add %8, %7 : i32\n%10 = neg %8 : i32\nprint %9, %10 {fmt=\"\"}\nyield\n}\nreturn",
     "%6 = const {value=1} : i32\n%7 = mul %3, %3 : i32\n%8 = neg %7 : i32\n"
     "for %6, %1, %6 (%9: i32) {\n%10 = add %7, %9 : i32\nprint %10, %8 {fmt=\"\"}\nyield\n}\n"
     "return"},
    // through two loops, as far as the operands allow
    {"%6 = const {value=1} : i32\nfor %6, %1, %6 (%7: i32) {\nfor %6, %1, %6 (%8: i32) {\n"
     "%9 = neg %3 : i32\n%10 = add %9, %7 : i32\n%11 = add %10, %8 : i32\nprint %11 {fmt=\"\"}\n"
     "yield\n}\nyield\n}\nreturn",
     "%6 = const {value=1} : i32\n%7 = neg %3 : i32\nfor %6, %1, %6 (%8: i32) {\n"
     "%9 = add %7, %8 : i32\nfor %6, %1, %6 (%10: i32) {\n%11 = add %9, %10 : i32\n"
     "print %11 {fmt=\"\"}\nyield\n}\nyield\n}\nreturn"},
    // a branch keeps what stands in it; a loop in the branch does not
    {"%6 = const {value=1} : i32\nfor %6, %1, %6 (%7: i32) {\nif %5 {\n%8 = neg %3 : i32\n"
     "for %6, %1, %6 (%9: i32) {\n%10 = abs %3 : i32\nprint %8, %10 {fmt=\"\"}\nyield\n}\nyield\n"
     "} {\nyield\n}\nyield\n}\nreturn",
     "%6 = const {value=1} : i32\nfor %6, %1, %6 (%7: i32) {\nif %5 {\n%8 = neg %3 : i32\n"
     "%9 = abs %3 : i32\nfor %6, %1, %6 (%10: i32) {\nprint %8, %9 {fmt=\"\"}\nyield\n}\nyield\n"
     "} {\nyield\n}\nyield\n}\nreturn"},
    // loads stay
    {"%6 = const {value=1} : i32\n%7 = const {value=1} : i64\n"
     "%8 = tensor %4, %1, %7 : tensor<f32,1>\nfor %6, %1, %6 (%9: i32) {\n"
     "%10 = load %8, %6 {subs=\"s\"} : f32\nprint %10 {fmt=\"\"}\nyield\n}\nreturn",
     "%6 = const {value=1} : i32\n%7 = const {value=1} : i64\n"
     "%8 = tensor %4, %1, %7 : tensor<f32,1>\nfor %6, %1, %6 (%9: i32) {\n"
     "%10 = load %8, %6 {subs=\"s\"} : f32\nprint %10 {fmt=\"\"}\nyield\n}\nreturn"},
    {"%6 = while %3 : i32 (%7: i32) {\n%8 = neg %1 : i32\n%9 = cmp %7, %8 {pred=\"lt\"} : i1\n"
     "condition %9, %7\n} (%10: i32) {\n%11 = neg %1 : i32\n%12 = add %10, %11 : i32\nyield "
     "%12\n}\n" USE(6),
     "%6 = neg %1 : i32\n%7 = while %3 : i32 (%8: i32) {\n"
     "%9 = cmp %8, %6 {pred=\"lt\"} : i1\ncondition %9, %8\n} (%10: i32) {\n"
     "%11 = add %6, %10 : i32\nyield %11\n}\n" USE(7)},
};

static void licm_hoists(void **state) {
  (void)state;
  CHECK_ROWS(licm_rows, "licm");
}

static const row dce_rows[] = {
    {"%6 = neg %3 : i32\n%7 = abs %6 : i32\nreturn", "return"},
    // a counter that only counts itself
    {"%6 = const {value=1} : i32\n%7, %8 = for %6, %1, %6, %3, %2 : i32, f32 "
     "(%9: i32, %10: i32, %11: f32) {\n%12 = add %10, %6 : i32\n%13 = neg %11 : f32\n"
     "yield %12, %13\n}\n" USE(8),
     "%6 = const {value=1} : i32\n%7 = for %6, %1, %6, %2 : f32 (%8: i32, %9: f32) {\n"
     "%10 = neg %9 : f32\nyield %10\n}\n" USE(7)},
    // the parameter is used although the result is not
    {"%6 = const {value=1} : i32\n%7 = for %6, %1, %6, %3 : i32 (%8: i32, %9: i32) {\n"
     "%10 = add %9, %6 : i32\nprint %9 {fmt=\"\"}\nyield %10\n}\nreturn",
     "%6 = const {value=1} : i32\n%7 = for %6, %1, %6, %3 : i32 (%8: i32, %9: i32) {\n"
     "%10 = add %9, %6 : i32\nprint %9 {fmt=\"\"}\nyield %10\n}\nreturn"},
    {"%6 = const {value=1} : i32\n%7 = for %6, %1, %6, %3 : i32 (%8: i32, %9: i32) {\n"
     "%10 = add %9, %6 : i32\nyield %10\n}\nreturn",
     "return"},
    {"%6, %7 = if %5 : i32, i32 {\n%8 = neg %3 : i32\nyield %8, %1\n} {\nyield %1, %3\n}\n" USE(7),
     "%6 = if %5 : i32 {\nyield %1\n} {\nyield %3\n}\n" USE(6)},
    {"if %5 {\n%6 = neg %3 : i32\nyield\n} {\nyield\n}\nreturn", "return"},
    // dead loads go, atomics stay
    {"%6 = const {value=1} : i32\n%7 = const {value=1} : i64\n"
     "%8 = tensor %4, %1, %7 : tensor<f32,1>\n%9 = load %8, %6 {subs=\"s\"} : f32\n"
     "%10 = atomic %8, %2, %6 {kind=\"add\", subs=\"s\"} : f32\nreturn",
     "%6 = const {value=1} : i32\n%7 = const {value=1} : i64\n"
     "%8 = tensor %4, %1, %7 : tensor<f32,1>\n"
     "%9 = atomic %8, %2, %6 {kind=\"add\", subs=\"s\"} : f32\nreturn"},
    // two carried values that feed each other and nobody else
    {"%6 = const {value=1} : i32\n%7, %8 = for %6, %1, %6, %3, %1 : i32, i32 "
     "(%9: i32, %10: i32, %11: i32) {\nprint %9 {fmt=\"\"}\nyield %11, %10\n}\nreturn",
     "%6 = const {value=1} : i32\nfor %6, %1, %6 (%7: i32) {\nprint %7 {fmt=\"\"}\nyield\n}\n"
     "return"},
};

static void dce_removes(void **state) {
  (void)state;
  CHECK_ROWS(dce_rows, "dce");
}

// On sir a value stands in for another only in the same layout. L0: rows over lanes, L1: columns.
#define SIR(body)                                                                                  \
  "func @t target \"sm_90a\" kernel \"t\" warps 1 sir (\n    %1.a: f32 scalar \"a\") {\n"          \
  "  layout L0 = dist 2 reg[(0,1)] lane[(1,0),(2,0),(4,0),(8,0),(16,0)] warp[] rep[]\n"            \
  "  layout L1 = dist 2 reg[(1,0)] lane[(2,0),(4,0),(8,0),(16,0),(0,1)] warp[] rep[]\n"            \
  "  role {name=\"main\", warps=1} {\n" body "    yield\n  }\n  return\n}\n"

static const row sir_rows[] = {
    {SIR("    %2 = splat %1 : f32[32,2] @L0\n    %3 = splat %1 : f32[32,2] @L0\n"
         "    %4 = splat %1 : f32[32,2] @L1\n    print %2, %3, %4 {fmt=\"\"}\n"),
     SIR("    %2 = splat %1 : f32[32,2] @L0\n    %3 = splat %1 : f32[32,2] @L1\n"
         "    print %2, %2, %3 {fmt=\"\"}\n")},
    {SIR("    %2 = splat %1 : f32[32,2] @L0\n    %3 = exp2 %2 : f32[32,2] @L0\n"
         "    %4 = convert %3 {offset=0, via=\"shared\"} : f32[32,2] @L1\n"
         "    print %3 {fmt=\"\"}\n"),
     SIR("    %2 = exp2 %1 : f32\n    %3 = splat %2 : f32[32,2] @L0\n    print %3 {fmt=\"\"}\n")},
    {SIR("    %2 = const {value=0x1p+0} : f32\n    %3 = splat %2 : f32[32,2] @L0\n"
         "    %4 = splat %1 : f32[32,2] @L0\n    %5 = exp2 %4 : f32[32,2] @L0\n"
         "    %6 = mul %3, %5 : f32[32,2] @L0\n    print %6 {fmt=\"\"}\n"),
     SIR("    %2 = exp2 %1 : f32\n    %3 = splat %2 : f32[32,2] @L0\n    print %3 {fmt=\"\"}\n")},
};

static void sir_cleanup_keeps_layouts(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof sir_rows / sizeof *sir_rows; i++) {
    ir_fixture f;
    fixture_init(&f);
    ir_module *module = read_module(&f, sir_rows[i].before);
    run(&f, "sir_cleanup", module->funcs.data[0]);
    assert_string_equal(module_text(&f, module), sir_rows[i].after);
    fixture_free(&f);
  }
}

static void runner_stops_dumps_and_starts(void **state) {
  (void)state;
  ir_fixture f;
  fixture_init(&f);
  const char *body = "%6 = neg %3 : i32\n%7 = neg %6 : i32\n" USE(7);
  double pass_ms[64] = {0};
  ir_func *func = read_body(&f, body);
  ir_pass_ctx ctx = {.func = func};
  ir_run_options options = {.stop_after = "canon", .round_trip = true, .pass_ms = pass_ms};
  assert_true(ir_run_passes(&ctx, &options));
  assert_non_null(strstr(body_text(&f, func), "neg")); // dce has not run
  assert_true(pass_ms[0] > 0 && pass_ms[1] == 0);
  options = (ir_run_options){.start_after = "canon", .stop_before_sir = true, .round_trip = true};
  assert_true(ir_run_passes(&ctx, &options));
  assert_null(strstr(body_text(&f, func), "neg"));
  assert_false(func->sir);
  func = read_body(&f, "%6 = neg %3 : i32\n%7 = neg %3 : i32\nprint %6, %7 {fmt=\"\"}\nreturn");
  ctx = (ir_pass_ctx){.func = func, .disabled = IR_NO_CSE};
  options = (ir_run_options){.stop_before_sir = true};
  assert_true(ir_run_passes(&ctx, &options));
  assert_string_equal(body_text(&f, func), "  %6 = neg %3 : i32\n  %7 = neg %3 : i32\n"
                                           "  print %6, %7 {fmt=\"\"}\n  return\n");
  assert_int_equal(ir_mechanism_by_name("cse"), IR_NO_CSE);
  assert_int_equal(ir_mechanism_by_name("sce"), 0);
  fixture_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(canon_rewrites),
      cmocka_unit_test(folding_is_exact),
      cmocka_unit_test(cse_merges),
      cmocka_unit_test(licm_hoists),
      cmocka_unit_test(dce_removes),
      cmocka_unit_test(sir_cleanup_keeps_layouts),
      cmocka_unit_test(runner_stops_dumps_and_starts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
