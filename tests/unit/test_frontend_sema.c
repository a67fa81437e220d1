// What the checker makes of programs, by running its IR on the reference evaluator: control flow,
// functions, structs, conversions; then launch parameters, contracts, variants and grids.
#include "tests/unit/sema_util.h"
#include "ir/eval.h"
#include <math.h>

// --- running ------------------------------------------------------------------------------------

// Kernels under test: in f32 X[N], in i32 I[P], inout f32 Y[Q], inout i32 W[R], i32 n. All rank 1.
#define HEAD                                                                                       \
  "kernel k[int B = 8](in f32 X[N], in i32 I[P], inout f32 Y[Q], inout i32 W[R], i32 n) grid(1) "  \
  "{\n"

typedef struct memory {
  float x[16], y[16];
  int32_t i[16], w[16];
} memory;

static memory start_memory(void) {
  memory mem = {{0}, {0}, {0}, {0}};
  for (int i = 0; i < 16; i++) {
    mem.x[i] = (float)i + 0.5f;
    mem.i[i] = 15 - i;
  }
  return mem;
}

static void run_grid(const char *source, memory *mem, int n, int gx, int gy) {
  sema_run run;
  bool lowered = sema_lower(&run, source, "sm_90a", 16);
  if (!lowered)
    print_error("%s\n%s\n", source, run.text);
  assert_true(lowered);
  const ir_func *func = run.instance->func;
  ir_eval_arg args[16] = {{0}};
  for (uint32_t p = 0; p < func->params.len; p++) {
    const ir_param *param = &func->params.data[p];
    args[p].i = param->kind == IR_PARAM_SCALAR ? n : 16;
    if (param->kind == IR_PARAM_PTR) {
      args[p].data = param->name[0] == 'X'   ? (void *)mem->x
                     : param->name[0] == 'Y' ? (void *)mem->y
                     : param->name[0] == 'I' ? (void *)mem->i
                                             : (void *)mem->w;
      args[p].bytes = 64;
    }
  }
  ir_eval_options options = {.grid = {gx, gy, 1}};
  const char *error = NULL;
  bool ok = ir_eval(func, args, &options, &run.arena, &error);
  if (!ok)
    print_error("%s\n%s\n", source, error);
  assert_true(ok);
  sema_free(&run);
}

static void run_source(const char *source, memory *mem, int n) { run_grid(source, mem, n, 1, 1); }

static memory run_body(const char *before, const char *body, int n) {
  memory mem = start_memory();
  char *source = malloc(strlen(before) + strlen(HEAD) + strlen(body) + 8);
  sprintf(source, "%s%s%s\n}\n", before, HEAD, body);
  run_source(source, &mem, n);
  free(source);
  return mem;
}

// A body that leaves its answer in W[0].
static int answer(const char *before, const char *body, int n) {
  return run_body(before, body, n).w[0];
}

typedef struct program {
  const char *before, *body;
  int n, expected;
} program;

static void check_programs(const program *programs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const program *at = &programs[i];
    int got = answer(at->before, at->body, at->n);
    if (got != at->expected)
      print_error("n = %d: %s\n%s\n got %d, wanted %d\n", at->n, at->before, at->body, got,
                  at->expected);
    assert_int_equal(got, at->expected);
  }
}
#define CHECK_PROGRAMS(list) check_programs(list, sizeof(list) / sizeof *(list))

static void loops(void **state) {
  (void)state;
  static const program list[] = {
      {"", "var s = 0; for (i in 0 .. n) { s += i; } store(W[0], s);", 5, 10},
      {"", "var s = 0; for (i in 0 .. n) { s += i; } store(W[0], s);", 0, 0},
      {"", "var s = 0; for (i in 2 .. n step 3) { s = s * 10 + i; } store(W[0], s);", 9, 258},
      {"", "var s = 0; for (i in 0 .. n) { if (i == 3) { break; } s += 10; } store(W[0], s);", 9,
       30},
      {"", "var s = 0; for (i in 0 .. n) { if (i == 3) { break; } s += 10; } store(W[0], s);", 2,
       20},
      {"", "var s = 0; for (i in 0 .. n) { if (i % 2 == 0) { continue; } s += i; } store(W[0], s);",
       6, 9},
      {"",
       "var s = 0; for (i in 0 .. n) { s += 1; if (i == 1) { continue; } if (i == 4) { break; } s "
       "+= 100; }"
       "store(W[0], s);",
       9, 305},
      {"",
       "var s = 0; for (i in 0 .. 4) { for (j in 0 .. 4) { if (j > i) { break; } s += 1; } } "
       "store(W[0], s);",
       0, 10},
      {"",
       "var s = 0; for (i in 0 .. 4) { for (j in 0 .. 4) { if (j == 2) { break; } s += 1; } "
       "if (i == 2) { break; } } store(W[0], s);",
       0, 6},
      {"", "var i = 0; while (i * i < n) { i += 1; } store(W[0], i);", 17, 5},
      {"", "var i = 0; while (true) { i += 1; if (i > n) { break; } } store(W[0], i);", 4, 5},
      {"", "var i = 0; while (false) { i += 1; } store(W[0], i);", 4, 0},
      {"",
       "var i = 0; var s = 0; while (i < n) { i += 1; if (i % 3 == 0) { continue; } s += i; } "
       "store(W[0], s);",
       7, 19},
      {"",
       "var a = 1; var b = 0; for (i in 0 .. n) { let t = a + b; b = a; a = t; } store(W[0], b);",
       10, 55},
      {"",
       "var s = 0; @unroll for (i in 0 .. 4) { f32 t[i + 1]; s += i; static_assert(i < 4); } "
       "store(W[0], s);",
       0, 6},
      {"",
       "var s = 0; @unroll for (i in 0 .. 4) { if (i == 2) { continue; } s += 1; } store(W[0], s);",
       0, 3},
      {"", "var s = 0; @unroll(2) for (i in 0 .. n) { s += 1; } store(W[0], s);", 5, 5},
      {"", "var s = 0; for (i in 0 .. n) { var t = i; t = t * 2; s += t; } store(W[0], s);", 4, 12},
      {"", "store(W[0], 1); if (n > 3) { return; } store(W[0], 2);", 4, 1},
      {"", "store(W[0], 1); if (n > 3) { return; } store(W[0], 2);", 3, 2},
      {"", "for (i in 0 .. 9) { store(W[0], i); if (i == n) { return; } } store(W[0], 100);", 4, 4},
      {"", "for (i in 0 .. 9) { store(W[0], i); if (i == n) { return; } } store(W[0], 100);", 44,
       100},
      {"", "foreach (t in tiles(W, 4)) { store(W[t * 4 +: 4], t); } let a = 3;", 0, 0},
      {"", "foreach (t in tiles(W, 5)) { if (t == 0) { continue; } store(W[0], 16 - t * 5); } ", 0,
       1},
  };
  CHECK_PROGRAMS(list);
}

// Every tile exactly once, however many blocks share them and in whatever order.
static void foreach_visits_each_tile_once(void **state) {
  (void)state;
  static const struct {
    const char *grid, *swizzle;
    int gx, gy;
  } cases[] = {
      {"grid(persistent)", "", 1, 1},
      {"grid(persistent)", "", 3, 1},
      {"grid(persistent)", "@swizzle(group = 2)", 1, 1},
      {"grid(persistent)", "@swizzle(group = 3)", 5, 1},
      {"grid(persistent)", "@swizzle(group = 9)", 12, 1},
      {"grid(2, 3)", "", 2, 3},
      {"grid(7, 5)", "@swizzle(group = 2)", 7, 5},
      {"", "@swizzle(group = 1)", 12, 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char source[600];
    snprintf(source, sizeof source,
             "kernel k(in f32 X[N, 9], inout i32 W[R], i32 n) %s {\n"
             "  %s foreach (a, b in tiles(X, 5, 4)) { atomic_add(W[a * 3 + b], 1); }\n}",
             cases[i].grid, cases[i].swizzle);
    memory mem = start_memory();
    run_grid(source, &mem, 0, cases[i].gx, cases[i].gy); // 16 x 9 in tiles of 5 x 4: 4 x 3
    for (int t = 0; t < 16; t++)
      assert_int_equal(mem.w[t], t < 12);
  }
}

static void branches(void **state) {
  (void)state;
  static const program list[] = {
      {"", "var s = 1; if (n > 2) { s = 5; } store(W[0], s);", 3, 5},
      {"", "var s = 1; if (n > 2) { s = 5; } store(W[0], s);", 2, 1},
      {"",
       "var s = 1; if (n > 2) { s = 5; } else if (n > 1) { s += 6; } else { s = 8; } store(W[0], "
       "s);",
       2, 7},
      {"",
       "var s = 1; if (n > 2) { s = 5; } else if (n > 1) { s += 6; } else { s = 8; } store(W[0], "
       "s);",
       0, 8},
      {"", "var s = 1; var t = 2; if (n > 2) { s = t; t = 9; } store(W[0], s * 10 + t);", 3, 29},
      {"", "var s = 0; if (B == 8) { s = 1; } else { s = nonsense; } store(W[0], s);", 0, 1},
      {"", "var s = 0; if (has(wgmma) && arch() == 90) { s = 1; } store(W[0], s);", 0, 1},
      {"", "var s = 3; { let s2 = s; s = s2 + 1; } store(W[0], s);", 0, 4},
      {"", "let x = 3; { let x = 4; store(W[0], x); } store(W[1], x);", 0, 4},
      {"", "store(W[0], n > 2 ? 10 : 20);", 3, 10},
      {"", "store(W[0], B > 2 ? 10 : nonsense);", 3, 10},
      {"", "var c = n > 2 && n < 5 || n == 9; var r = 0; if (c) { r = 1; } store(W[0], r);", 4, 1},
      {"", "var c = n > 2 && n < 5 || n == 9; var r = 0; if (!c) { r = 1; } store(W[0], r);", 6, 1},
      // the side that is not chosen has no effect
      {"", "let a = n > 2 ? atomic_add(W[0], 1) : atomic_add(W[0], 10);", 3, 1},
      {"", "let a = n > 2 ? atomic_add(W[0], 1) : atomic_add(W[0], 10);", 2, 10},
      {"", "let a = n > 2 && atomic_add(W[0], 1) == 0;", 2, 0},
      {"", "let a = n > 2 || atomic_add(W[0], 1) == 0;", 2, 1},
  };
  CHECK_PROGRAMS(list);
}

static void functions(void **state) {
  (void)state;
  static const program list[] = {
      {"fn f(i32 a) -> i32 { return a * 2; }", "store(W[0], f(n) + f(1));", 4, 10},
      {"fn f(i32 a) -> i32 { if (a > 3) { return 1; } return 2; }",
       "store(W[0], f(n) * 10 + f(9));", 1, 21},
      {"fn f(i32 a) -> i32 { if (a > 3) { return 1; } else { return 2; } }", "store(W[0], f(n));",
       4, 1},
      {"fn f(i32 a) -> i32 { if (a > 3) { if (a > 5) { return 1; } return 3; } let b = a * 2; "
       "return b; }",
       "store(W[0], f(n) + 10 * f(5) + 100 * f(6));", 2, 134},
      {"fn f(i32 a) -> i32 { for (i in 0 .. 10) { if (i * i >= a) { return i; } } return -1; }",
       "store(W[0], f(n) + 100 * f(1000));", 10, -96},
      {"fn f(i32 a) -> i32 { var i = 0; while (true) { if (i == a) { return i * 3; } i += 1; } "
       "return 0; }",
       "store(W[0], f(n));", 5, 15},
      {"fn f(i32 a) -> (i32, i32) { return (a + 1, a - 1); }",
       "let (p, q) = f(n); store(W[0], p * 10 + q);", 5, 64},
      {"fn f(i32 a) -> (i32, i32) { if (a > 2) { return (1, 2); } return (3, 4); }",
       "let (p, q) = f(n); store(W[0], p * 10 + q);", 2, 34},
      {"fn f(inout i32 a, i32 b) { a += b; }", "var s = 1; f(s, 5); f(s, n); store(W[0], s);", 3,
       9},
      {"fn f(inout i32 a, i32 b) { if (b > 3) { return; } a += b; }",
       "var s = 1; for (i in 0 .. n) { f(s, i); } store(W[0], s);", 9, 7},
      {"fn g(inout i32 a) { a = a * 2; } fn f(inout i32 a) { g(a); g(a); }",
       "var s = n; f(s); store(W[0], s);", 3, 12},
      {"fn f[int K](i32 a) -> i32 { if (K == 1) { return a; } return a * K; }",
       "store(W[0], f[1](n) + f[3](n));", 5, 20},
      {"fn f[int K = 7](i32 a) -> i32 { return a * K; }", "store(W[0], f(n));", 2, 14},
      {"fn f[int N](f32 x[N]) -> i32 { return N; }", "store(W[0], f(load(X[0 +: 5])));", 0, 5},
      {"fn f[dtype T](T a) -> T { return a + 1; }", "store(W[0], f(n) + i32(f(1.5)));", 3, 6},
      {"fn f(i32 a, i32 b) -> i32 { return a - b; }", "store(W[0], f(b = n, a = 10));", 3, 7},
      {"fn f(in i32 T[L], i32 at) -> i32 { return load(T[at]) + L; }", "store(W[0], f(I, n));", 3,
       28},
      {"fn f(out i32 T[L]) { store(T[0], L); }", "f(W);", 0, 16},
      {"fn f(i32 k) -> i32 { f32 t[k]; return k; }", "store(W[0], f(4));", 0, 4},
      {"const i32 A = B2 * 2; const i32 B2 = 5; fn f() -> i32 { return A; }",
       "store(W[0], f() + A);", 0, 20},
      {"import \"std/sched.tile\";",
       "let (r, c) = grouped_tile(n, 5, 3, 2); store(W[0], r * 10 + c);", 13, 41},
  };
  CHECK_PROGRAMS(list);
}

static void structs(void **state) {
  (void)state;
  static const program list[] = {
      {"struct S { i32 a; i32 b; }", "var s = S(1, n); s.a += s.b; store(W[0], s.a * 10 + s.b);", 4,
       54},
      {"struct S { i32 a; i32 b; }", "S s; s.b = 3; store(W[0], s.a * 10 + s.b);", 4, 3},
      {"struct S { i32 a; i32 b; }", "let s = S(b = 1, a = n); store(W[0], s.a * 10 + s.b);", 4,
       41},
      {"struct S { i32 a; i32 b; }",
       "var s = S(0, 1); for (i in 0 .. n) { s.a += s.b; if (i == 2) { s.b = 10; } } store(W[0], "
       "s.a);",
       5, 23},
      {"struct S { i32 a; T t; } struct T { i32 v[4]; i32 c; }",
       "var s = S(1, T(iota[4](), 2)); s.t.c = 7; s.t.v = s.t.v + n; let old = s; s.t.v = s.t.v * "
       "0;"
       "store(W[0], sum(old.t.v) + s.t.c * 100 + sum(s.t.v));",
       2, 714},
      {"struct S { i32 a; i32 b; } fn f(inout S s, i32 k) -> S { s.a = k; return S(s.b, s.a); }",
       "var s = S(1, 2); let t = f(s, n); store(W[0], s.a * 100 + t.a * 10 + t.b);", 4, 424},
  };
  CHECK_PROGRAMS(list);
}

static void expressions(void **state) {
  (void)state;
  static const program list[] = {
      {"", "store(W[0], (n << 3) ^ 5 & ~2 | n % 3);", 7, ((7 << 3) ^ (5 & ~2)) | 7 % 3},
      {"", "store(W[0], -7 / n * 10 + -7 % n);", 2, -31},
      {"", "store(W[0], i32(f32(n) / 2.0 * 3));", 5, 7},
      {"", "store(W[0], i32(i64(n) * 1000000000 / 1000000000));", 5, 5},
      {"", "store(W[0], min(n, 3) * 100 + max(n, 3) * 10 + abs(-n));", 5, 355},
      {"", "store(W[0], clamp(n, 0, 3) + clamp(-1, 0, n) * 10);", 5, 3},
      {"", "store(W[0], ceildiv(n, 4) * 10 + ceildiv(B, 3));", 9, 33},
      {"", "store(W[0], i32(n > 3) + i32(i1(n)) * 10 + i32(i1(0)));", 5, 11},
      {"", "store(W[0], i32(u8(n)));", 300, 44},
      {"", "store(W[0], i32(i8(n)));", 200, -56},
      {"", "store(W[0], dim(X, 0) * 10 + i32(stride(X, 0)) + N);", 0, 177},
      {"", "let u = u32(n); store(W[0], i32(u >> 1));", -2, 0x7FFFFFFF},
      {"", "store(W[0], i32(0xFFFFFFFF & i64(n)));", 5, 5},
      {"", "store(W[0], load(I[n]) + load(I[99], other = 7) * 100 + load(I[-1]));", 5, 710},
      {"", "store(W[0], sum(load(I[iota[4]() * 2])));", 0, 48},
      {"", "store(W[0], sum(load(I[12 +: 8], other = 1)));", 0, 10},
      {"", "store(W[0], sum(load(I[0 +: 4], mask = iota[4]() < n)));", 2, 29},
      {"", "store(W[0], argmax(load(I[0 +: 8])) * 10 + argmin(load(I[0 +: 8])));", 0, 7},
      {"",
       "store(W[0], reduce_max(load(I[0 +: 8])) * 100 + reduce_min(load(I[0 +: 8]), axis = -1));",
       0, 1508},
      {"", "store(W[0], prod(load(I[11 +: 4])));", 0, 24},
      {"", "store(W[0], i32(any(load(I[0 +: 4]) == n)) + i32(all(load(I[0 +: 4]) > n)) * 10);", 13,
       1},
      {"", "store(W[0], sum(where(iota[8]() < n, iota[8](), 100)));", 3, 503},
      {"", "store(W[0], sum(iota[4](start = n, step = 3)));", 10, 58},
      {"",
       "let m = load(I[0 +: 4])[:, none] * load(I[8 +: 2])[none, :]; store(W[0], sum(sum(m, axis = "
       "0)));",
       0, 702},
      {"",
       "let m = reshape[2, 4](iota[8]()); let t = trans(m); store(W[0], sum(t[1, :]) * 100 + "
       "sum(m[1, 1 +: 2]));",
       0, 611},
      {"",
       "let m = permute(reshape[2, 2, 2](iota[8]()), 2, 0, 1); store(W[0], sum(sum(m[1, :, :], "
       "axis = 1)));",
       0, 16},
      {"", "let v = view[i32](load(X[0 +: 1])); store(W[0], sum(v));", 0, 0x3F000000},
      {"", "let v = view[u8](load(I[0 +: 2])); store(W[0], sum(i32(v)));", 0, 29},
      {"", "let v = view[i32](u8(iota[4]())); store(W[0], sum(v));", 0, 0x03020100},
      {"", "i8 x[4] = 100; let y = x + x; store(W[0], sum(i32(y)));", 0, -224},
      {"",
       "let a = full[4](n) + zeros[i32, 4](); let b = full[f32, 4](1); store(W[0], sum(a) + "
       "i32(sum(b)));",
       3, 16},
      {"",
       "var t = 5; t += 2; t *= 3; t -= 1; t /= 2; t %= 7; t <<= 2; t |= 1; t ^= 3; t &= 14; "
       "store(W[0], t);",
       0, 14},
      {"", "let (a, b) = (n, 3); store(W[0], a * 10 + b);", 2, 23},
      {"", "store(W[0 +: 4], load(I[12 +: 4]), mask = iota[4]() == 0);", 2, 3},
      {"", "let o = atomic_max(W[0], n); let q = atomic_cas(W[0], n, 9); atomic_xchg(W[1], 3);", 5,
       9},
      {"", "atomic_add(W[iota[4]() * 0], iota[4]()); reduce_add(W[0], n);", 5, 11},
      {"", "atomic_add(W[0 +: 4], 1, mask = iota[4]() == 0, sem = acq_rel, scope = cta);", 5, 1},
      {"", "let c = load(I[0 +: 4]) > 13; let d = c == (iota[4]() < 1); store(W[0], sum(i32(d)));",
       0, 3},
      {"", "store(W[0], inf > 1.0 ? i32(sum(full[2](1.5))) : 0);", 0, 3},
  };
  CHECK_PROGRAMS(list);
}

static void floats(void **state) {
  (void)state;
  static const struct {
    const char *body;
    double expected, tolerance;
  } list[] = {
      {"let x = load(X[2]); store(Y[0], exp(x) + log(x) * sqrt(x) - rcp(x));",
       12.182493960703473 + 0.9162907318741551 * 1.5811388300841898 - 0.4, 1e-5},
      {"let x = load(X[0]); store(Y[0], sigmoid(x) + tanh(x) + sin(x) + cos(x) + rsqrt(x));",
       0.6224593312018546 + 0.46211715726000973 + 0.479425538604203 + 0.8775825618903728 +
           1.4142135623730951,
       1e-5},
      {"store(Y[0], erf(load(X[0])) + erf(-load(X[1])));", 0.5204998778130465 - 0.9661051464753108,
       1e-6},
      {"store(Y[0], f32(f8e4m3(load(X[15]) * 100.0)));", 448, 0},
      {"store(Y[0], f32(cast[ue8m0](load(X[2]))) + f32(cast[ue8m0](load(X[2]), round = down)));", 6,
       0},
      {"store(Y[0], f32(cast[bf16](1.01 * load(X[0]), round = rz)));", 0.50390625, 0},
      {"store(Y[0], f32(sum(bf16(load(X[0 +: 16])))));", 128, 0},
      {"store(Y[0], f32(sum(bf16(full[300](1.0)))));", 300, 0}, // accumulates in f32
      {"store(Y[0], fma(load(X[1]), 2.0, 1.0) + clamp(9.0, 0.0, load(X[2])));", 6.5, 0},
      {"store(Y[0], min(nan, load(X[2])) + max(load(X[0]), nan));", 3.0, 0},
      {"store(Y[0], exp2[precise](3.0) + pi);", 8 + 3.14159274101257324, 1e-6},
      {"f32 a[16, 16] = 2.0; let d = dot(bf16(a), bf16(a), a); store(Y[0], sum(sum(d, axis = 1)));",
       66.0 * 256, 0},
      {"i8 a[16, 32] = 2; let d = dot(a, trans(a)); store(Y[0], f32(sum(sum(d, axis = 1))));",
       128.0 * 256, 0},
      {"let q = f8e4m3(full[16, 64](2.0)); let s = full[16](0.5); let r = full[2, 16](1.0) + "
       "f32(iota[2]())[:, none];"
       "let d = dot_scaled(q, 3.0, trans(q), r, granularity = 32); store(Y[0], sum(d[0, :]));",
       16 * (3 * 1 * 128 + 3 * 2 * 128), 0},
      {"f32 a[2, 3]; a += 1; store(Y[0], sum(sum(a, axis = 0)));", 6, 0},
  };
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    double got = run_body("", list[i].body, 1).y[0];
    if (!(fabs(got - list[i].expected) <= list[i].tolerance * fabs(list[i].expected)))
      print_error("%s\n got %.9g, wanted %.9g\n", list[i].body, got, list[i].expected);
    assert_true(fabs(got - list[i].expected) <= list[i].tolerance * fabs(list[i].expected));
  }
}

static void online_softmax_of_the_library(void **state) {
  (void)state;
  memory mem = run_body(
      "import \"std/softmax.tile\";",
      "f32 m[1] = -inf; f32 l[1] = 0; f32 top[1] = 0;\n"
      "for (t in 0 .. 4) {\n"
      "  let x = load(X[t * 4 +: 4])[none, :];\n"
      "  let (p, scale) = softmax_step(x, m, l);\n"
      "  top = top * scale + p[:, 3];\n" // weight of the last element of each piece
      "}\n"
      "store(Y[0 +: 1], top / l); store(Y[4 +: 4], softmax(load(X[0 +: 4])[none, :])[0, :]);",
      0);
  // Weights are powers of two: elements 3, 7, 11, 15 of 2^-(15 - i).
  double sum = 0, picked = 0;
  for (int i = 0; i < 16; i++) {
    sum += exp2(i - 15);
    picked += i % 4 == 3 ? exp2(i - 15) : 0;
  }
  assert_true(fabs(mem.y[0] - picked / sum) < 1e-6);
  assert_true(fabs(mem.y[7] - 1 / (1 + exp(-1) + exp(-2) + exp(-3))) < 1e-6);
}

// --- contracts ----------------------------------------------------------------------------------

static void launch_parameters(void **state) {
  (void)state;
  sema_run run;
  assert_true(
      sema_lower(&run,
                 "const i32 D = 64;\n"
                 "kernel k[int B = 16](f32 s, in f8e4m3 A[M, K], in f32 SF[M, K / 128 ; 1, M],\n"
                 "    inout bf16 C[P, M, D], in f4e2m1 F[n, 2 * B ; ldf, 1], out f32 V[ceildiv(M, "
                 "B)], i32 n)\n"
                 "  grid(ceildiv(M, B), P + 1, n) require(K % 128 == 0 && B == 16 && (M > 3 || n - "
                 "1 > 2 * 3)) { }\n",
                 "sm_90a", 16));
  const ir_func *func = run.instance->func;
  static const struct {
    ir_param_kind kind;
    const char *name;
    int axis;
    int64_t div;
    bool read_only;
  } expected[] = {
      {IR_PARAM_PTR, "A", 0, 16, true},     {IR_PARAM_PTR, "SF", 0, 16, true},
      {IR_PARAM_PTR, "C", 0, 16, false},    {IR_PARAM_PTR, "F", 0, 16, true},
      {IR_PARAM_PTR, "V", 0, 16, false},    {IR_PARAM_SCALAR, "s", 0, 1, false},
      {IR_PARAM_SCALAR, "n", 0, 1, false},  {IR_PARAM_DIM, "M", 0, 1, false},
      {IR_PARAM_DIM, "K", 0, 1, false},     {IR_PARAM_DIM, "P", 0, 1, false},
      {IR_PARAM_STRIDE, "A", 0, 16, false}, {IR_PARAM_STRIDE, "C", 0, 8, false},
      {IR_PARAM_STRIDE, "C", 1, 8, false},  {IR_PARAM_STRIDE, "F", 0, 32, false},
  };
  assert_int_equal(func->params.len, sizeof expected / sizeof *expected);
  for (uint32_t i = 0; i < func->params.len; i++) {
    const ir_param *param = &func->params.data[i];
    assert_int_equal(param->kind, expected[i].kind);
    assert_string_equal(param->name, expected[i].name);
    assert_int_equal(param->axis, expected[i].axis);
    assert_int_equal(param->div, expected[i].div);
    assert_int_equal(param->read_only, expected[i].read_only);
  }
  const fe_contract *contract = &run.instance->contract;
  static const char *const texts[][5] = {
      {"s", "scalar", "in", "", ""},
      {"A", "tensor", "in", "M|K", "|1"},
      {"SF", "tensor", "in", "M|K / 128", "1|M"},
      {"C", "tensor", "inout", "P|M|64", "||1"},
      {"F", "tensor", "in", "n|32", "|1"},
      {"V", "tensor", "out", "ceildiv(M, 16)", "1"},
      {"n", "scalar", "in", "", ""},
  };
  assert_int_equal(contract->nparams, 7);
  for (int i = 0; i < 7; i++) {
    assert_string_equal(contract->params[i].name, texts[i][0]);
    assert_string_equal(contract->params[i].kind, texts[i][1]);
    assert_string_equal(contract->params[i].dir, texts[i][2]);
    assert_string_equal(contract->params[i].dims, texts[i][3]);
    assert_string_equal(contract->params[i].strides, texts[i][4]);
  }
  assert_int_equal(contract->nrequires, 2);
  assert_string_equal(contract->require_exprs[0], "K % 128 == 0");
  assert_string_equal(contract->require_exprs[1], "M > 3 || n - 1 > 6");
  assert_string_equal(contract->require_texts[1], "(M > 3 || n - 1 > 2 * 3)");
  assert_string_equal(func->grid[0], "ceildiv(M, 16)");
  assert_string_equal(func->grid[1], "P + 1");
  assert_string_equal(func->grid[2], "n");
  assert_false(contract->float_atomics);
  sema_free(&run);

  assert_true(sema_lower(
      &run,
      "kernel k(in f8e4m3 A[M, K], in f32 B[M, K] @may_alias, inout f32 C[M]) grid(1) {\n"
      "  atomic_add(C[0], 1.0); }",
      "sm_90a", 0));
  assert_int_equal(run.instance->func->params.data[0].div, 1);
  assert_int_equal(run.instance->func->params.data[1].div, 4);
  assert_int_equal(run.instance->func->params.data[5].div, 1);
  assert_true(run.instance->func->params.data[0].read_only);
  assert_false(run.instance->func->params.data[1].read_only);
  assert_true(run.instance->contract.float_atomics);
  assert_string_equal(run.instance->func->name, "k_u");
  sema_free(&run);
}

static void grids(void **state) {
  (void)state;
  static const struct {
    const char *clauses, *body, *grid;
  } cases[] = {
      {"grid(persistent)", "foreach (i, j in tiles(D, 32, 64)) { }",
       "persistent(ceildiv(M, 32) * ceildiv(N, 64))"},
      {"", "foreach (i, j in tiles(D, 32, 64)) { }", "ceildiv(M, 32) * ceildiv(N, 64)"},
      {"grid(persistent)", "foreach (i, j in tiles(D, 32, 64)) { } foreach (i in tiles(E, 8)) { }",
       "persistent(max(ceildiv(M, 32) * ceildiv(N, 64), ceildiv(M + 1, 8)))"},
      {"grid(7)", "foreach (i, j in tiles(D, 32, 64)) { }", "7"},
      {"", "", "1"},
      {"grid(dim(E, 0) * (M - N) / 2)", "", "(M + 1) * (M - N) / 2"},
      {"grid(M > 4 ? M : min(N, 4))", "", "M > 4 ? M : min(N, 4)"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sema_run run;
    char source[512];
    snprintf(source, sizeof source, "kernel k(in f32 D[M, N], in f32 E[M + 1]) %s { %s }",
             cases[i].clauses, cases[i].body);
    bool lowered = sema_lower(&run, source, "sm_90a", 16);
    if (!lowered)
      print_error("%s", run.text);
    assert_true(lowered);
    assert_string_equal(run.instance->func->grid[0], cases[i].grid);
    sema_free(&run);
  }
}

static int count_for(const sema_run *run, const char *arch) {
  const fe_variant *variants;
  int count = 0;
  assert_true(fe_variants(run->program, fe_kernel_find(run->program, "k"), tl_target_by_name(arch),
                          NULL, 0, &variants, &count));
  assert_true(variants[0].is_default);
  return count;
}

// Clauses are alternatives; an architecture with clauses of its own takes no others.
static void variants_of_targets(void **state) {
  (void)state;
  static const char *const source =
      "kernel k[int A = 64, int S = 1](in f32 X[M]) grid(1)\n"
      "  tune { A in { 32, 64 }; } tune { A in { 64, 96 }; S in { 1, 2 }; }\n"
      "  tune(sm_90a) { A in { 128, 256 }; } tune(sm_90a, sm_120a) { S in { 1, 2, 3 }; } { }";
  sema_run run;
  assert_true(sema_lower(&run, source, "sm_90a", 16));
  assert_int_equal(count_for(&run, "sm_100a"), 2 + 4 - 1); // A64_S1 once
  assert_int_equal(count_for(&run, "sm_90a"), 2 + 3);
  assert_int_equal(count_for(&run, "sm_120a"), 3);
  sema_free(&run);
}

static void variants(void **state) {
  (void)state;
  static const char *const source =
      "kernel k[dtype T = bf16, int A = 64, bool F = false, int S = 4](in T X[M]) grid(1)\n"
      "  require(A + S != 67) tune { A in 32 .. 96 step 32; S in { 3, 4 }; F in { true, false }; } "
      "{ }";
  sema_run run;
  assert_true(sema_lower(&run, source, "sm_90a", 16));
  assert_int_equal(run.nvariants, 3 * 2 * 2 - 2);
  assert_true(run.variants[0].is_default);
  assert_string_equal(run.instance->settings_name, "A64_Ffalse_S4");
  assert_string_equal(run.instance->func->name, "k__A64_Ffalse_S4");
  assert_string_equal(run.instance->func->kernel, "k");
  for (int i = 1; i < run.nvariants; i++)
    assert_false(run.variants[i].is_default);
  assert_string_equal(run.variants[1].bindings[1].value, "32");
  assert_string_equal(run.variants[1].bindings[2].value, "true");
  assert_string_equal(run.variants[1].bindings[3].value, "3");

  const fe_kernel *kernel = fe_kernel_find(run.program, "k");
  const fe_binding fixed[] = {{"A", "48"}, {"T", "f16"}};
  assert_true(fe_variants(run.program, kernel, NULL, fixed, 2, &run.variants, &run.nvariants));
  assert_int_equal(run.nvariants, 4);
  assert_true(run.variants[0].is_default);
  fe_instance *instance = fe_instantiate(run.program, run.module, kernel, &run.variants[0],
                                         tl_target_by_name("sm_120a"), 16);
  assert_string_equal(instance->settings_name, "Tf16_A48_Ffalse_S4");

  const fe_binding wrong[] = {{"B", "1"}};
  assert_false(fe_variants(run.program, kernel, NULL, wrong, 1, &run.variants, &run.nvariants));
  const fe_binding bad[] = {{"A", "x1"}};
  assert_false(fe_variants(run.program, kernel, NULL, bad, 1, &run.variants, &run.nvariants));
  free(run.text);
  sema_print_diags(&run);
  assert_non_null(strstr(run.text, "kernel 'k' has no generic 'B' [E0110]"));
  assert_non_null(strstr(run.text, "'x1' is not a value of int generic 'A' [E0112]"));

  size_t len;
  char *list = NULL;
  FILE *out = open_memstream(&list, &len);
  fe_print_list(run.program, out);
  fclose(out);
  assert_string_equal(list, "k\n"
                            "  in     T       X[M]\n"
                            "  dtype  T = bf16\n"
                            "  int    A = 64 in 32 .. 96 step 32\n"
                            "  bool   F = false in { true, false }\n"
                            "  int    S = 4 in { 3, 4 }\n"
                            "  10 variants\n");
  free(list);
  sema_free(&run);
}

// Text of tir that must come out for these; the rest of the IR is checked by running it.
static void attributes_reach_the_ir(void **state) {
  (void)state;
  sema_run run;
  assert_true(sema_lower(
      &run,
      "@warps(8) @occupancy(2) @export(\"sym\")\n"
      "kernel k[int S = 3](in bf16 A[M, K], in f8e4m3 Q[M, K], out f32 D[M, M]) grid(1) {\n"
      "  f32 acc[16, 16] = 0;\n"
      "  @pipeline(S) @specialize(auto)\n"
      "  for (k in 0 .. 2) { let a = load(A[0 +: 16, k * 16 +: 16]); acc = dot(a, trans(a), acc); "
      "}\n"
      "  let q = load(Q[0 +: 16, 0 +: 32]);\n"
      "  acc = dot(q, trans(q), acc); acc = dot(q, trans(q), acc, promote = 0);\n"
      "  @inbounds store(D[0 +: 16, 0 +: 16], acc);\n"
      "  store(D[0 +: 16, 0 +: 16], acc);\n"
      "}",
      "sm_90a", 16));
  assert_int_equal(run.instance->func->warps, 8);
  assert_int_equal(run.instance->func->min_ctas, 2);
  assert_string_equal(run.instance->func->name, "sym");
  tl_buf text = {0};
  ir_print_func(run.instance->func, &text);
  static const char *const wanted[] = {"{pipeline=3, specialize=\"auto\"}", "{promote=0}",
                                       "{promote=128}", "{inbounds=1, subs=\"rr\"}",
                                       "{order=[1, 0]}"};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    if (!strstr(text.data, wanted[i]))
      print_error("no %s in\n%s", wanted[i], text.data);
    assert_non_null(strstr(text.data, wanted[i]));
  }
  tl_buf_free(&text);
  sema_free(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loops),
      cmocka_unit_test(foreach_visits_each_tile_once),
      cmocka_unit_test(branches),
      cmocka_unit_test(functions),
      cmocka_unit_test(structs),
      cmocka_unit_test(expressions),
      cmocka_unit_test(floats),
      cmocka_unit_test(online_softmax_of_the_library),
      cmocka_unit_test(launch_parameters),
      cmocka_unit_test(grids),
      cmocka_unit_test(variants),
      cmocka_unit_test(variants_of_targets),
      cmocka_unit_test(attributes_reach_the_ir),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
