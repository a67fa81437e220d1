// Every message of the checker: one mistake gives one error, with the right id, text and place.
#include "tests/unit/sema_util.h"

// What stands in a kernel's body: tensors X, Q, H, C, IDX and scalars n, f are there.
#define HEAD                                                                                       \
  "struct S { f32 a; i32 b; }\n"                                                                   \
  "fn inc[int N](f32 x[N]) -> f32[N] { return x + 1; }\n"                                          \
  "fn two(i32 a) -> (i32, i32) { return (a, a); }\n"                                               \
  "fn nothing(i32 a) { }\n"                                                                        \
  "fn pair(i32 N, i32 b) { }\n"                                                                    \
  "fn size[int N](i32 a) -> i32 { return a + N; }\n"                                               \
  "fn put_first(out f32 X[P, 64]) { store(X[0, 0], 1.0); }\n"                                      \
  "fn wants_32(in f32 X[P, 32]) { }\n"                                                             \
  "fn change(inout f32 v) { v = 1; }\n"                                                            \
  "kernel k[int B = 64, dtype T = f32](in f32 X[M, 64], in f8e4m3 Q[M, K], in bf16 H[M, K],\n"     \
  "  in i32 IDX[M], inout f32 C[M, 64], inout f16 HC[M], out f32 O[M], inout i32 C2[M], i32 n, "   \
  "f32 f) grid(M) {\n"

typedef struct bad_case {
  const char *id, *text, *body;
} bad_case;

static const bad_case body_cases[] = {
    // names
    {"E0101", "undefined name 'scal'", "let x = scal;"},
    {"E0101", "did you mean 'reduce_max'?", "let v = load(X[0, 0 +: 64]); let x = redce_max(v);"},
    {"E0101", "undefined name 'OX'", "OX x = 1;"},
    {"E0102", "'x' is already defined", "let x = 1; let x = 2;"},
    {"E0102", "the first one is here", "f32 x = 1; { let x = 2; } var x = 2;"},
    {"E0103", "cannot assign to 'x': it is let", "let x = 1; x = 2;"},
    {"E0103", "cannot assign to 'n': it is a parameter", "n = 2;"},
    {"E0103", "cannot assign to 'i': it is a loop variable", "for (i in 0 .. n) { i += 1; }"},
    {"E0103", "cannot assign to 'B': it is a generic", "B = 2;"},
    {"E0103", "cannot assign to 'M': it is a dimension", "M = 2;"},
    {"E0103", "store(C[0, 0], value)", "C[0, 0] = 1.0;"},
    {"E0103", "it is let", "let y = 1.0; change(y);"},
    {"E0106", "'n' is i32, not a function", "let x = n(1);"},
    {"E0106", "'two' is a fn, not a value", "let x = two;"},
    {"E0106", "'exp2' is a builtin function, not a value", "let x = exp2;"},
    {"E0106", "'k' is a kernel, not a function", "k(1);"},
    {"E0106", "'iota' is a function, not a value", "let x = iota[4];"},
    {"E0106", "'n' is a value, not a type", "n x = 1;"},
    {"E0107", "unknown attribute '@piplin'", "@piplin(2) for (i in 0 .. n) { }"},
    {"E0107", "did you mean 'pipeline'?", "@pipelin(2) for (i in 0 .. n) { }"},
    {"E0108", "'load' has no argument 'msk'", "let x = load(X[0, 0], msk = true);"},
    {"E0108", "'two' has no argument 'b'", "let (a, b) = two(b = 1);"},
    {"E0108", "'S' has no argument 'z'", "let s = S(1.0, z = 1);"},
    {"E0120", "argument 'b' of 'S' is given twice", "let s = S(b = 1, b = 1);"},
    {"E0120", "argument 'a' of 'S' is given twice", "let s = S(1.0, a = 1.0);"},
    {"E0120", "argument 'N' of 'pair' is given twice", "let s = pair(1, N = 1);"},
    {"E0120", "argument 'axis' of 'sum' is given twice",
     "let x = sum(load(X[0, 0 +: 64]), axis = 0, axis = 0);"},
    {"E0109", "'store' takes 2 argument(s), got 1", "store(C[0, 0]);"},
    {"E0109", "'two' takes 1 argument(s), got 2", "let (a, b) = two(1, 2);"},
    {"E0109", "'iota[n]' takes 1 argument(s), got 0", "let x = iota();"},
    {"E0109", "'sum[...]' takes 0 argument(s), got 1", "let x = sum[4](load(X[0, 0 +: 64]));"},
    {"E0109", "print's format", "print(\"%d %d\\n\", n);"},
    {"E0109", "'S' takes 2 argument(s), got 1", "let s = S(1.0);"},
    {"E0114", "struct S has no field 'c'", "let s = S(1.0, 2); let x = s.c;"},
    {"E0114", "i32 has no field 'c'", "let x = n.c;"},
    {"E0115", "'@pipeline' does not apply on this statement", "@pipeline(2) while (n > 3) { }"},
    {"E0116", "'sem' is one of relaxed|acquire|release|acq_rel, not 'weak'",
     "atomic_add(C[0, 0], 1.0, sem = weak);"},
    {"E0116", "'has' is one of", "if (has(tcgen5)) { }"},
    {"E0116", "'order' is one of tree|sequential",
     "let x = sum(load(X[0, 0 +: 64]), order = any);"},
    {"E0118", "'break' outside of a loop", "break;"},
    {"E0118", "'continue' outside of a loop", "if (n > 2) { continue; }"},
    // types
    {"E0201", "operands of '+' have different types: i32 and f32", "let x = n + f;"},
    {"E0201", "-> \"f32(n)\"", "let x = n * f;"},
    {"E0201", "operands of '*' have different types: i32 and the constant 1.5", "let x = n * 1.5;"},
    {"E0201", "f32[64] and bf16[64]", "let x = load(X[0, 0 +: 64]) + load(H[0, 0 +: 64]);"},
    {"E0202", "operands of '+' have different shapes: f32[64] and f32[32]",
     "let x = load(X[0, 0 +: 64]) + load(X[0, 0 +: 32]);"},
    {"E0202", "add an axis", "let x = load(X[0 +: 64, 0 +: 64]) + load(X[0, 0 +: 64]);"},
    {"E0203", "the constant 300 does not fit i8", "i8 x = 300;"},
    {"E0203", "the constant -1 does not fit u8", "u8 x = -1;"},
    {"E0203", "the constant 1.5 does not fit i32", "i32 x = 1.5;"},
    {"E0203", "does not fit f8e4m3", "f8e4m3 x = 1000.0;"},
    {"E0203", "the constant 3 does not fit i1", "i1 x = 3;"},
    {"E0203", "@pipeline: 1 .. 1024", "@pipeline(0) for (i in 0 .. n) { }"},
    {"E0204", "'+' is not defined for f8e4m3", "let q = load(Q[0, 0 +: 64]); let x = q + q;"},
    {"E0204", "'%' is not defined for f32", "let x = f % 2.0;"},
    {"E0204", "'!' is not defined for i32", "let x = !n;"},
    {"E0204", "'&&' is not defined for i32", "let x = n && n;"},
    {"E0204", "'exp2' is not defined for i32", "let x = exp2(n);"},
    {"E0204", "-> \"f32(n)\"", "let x = sqrt(n);"},
    {"E0204", "'any' is not defined for f32[64]", "let x = any(load(X[0, 0 +: 64]));"},
    {"E0205", "condition of 'if' is a tile (i1[64])", "if (load(X[0, 0 +: 64]) > 0.0) { }"},
    {"E0205", "condition of 'while' is a tile", "while (load(X[0, 0 +: 64]) > 0.0) { }"},
    {"E0206", "condition of 'if' must be i1, found i32", "if (n) { }"},
    {"E0206", "-> \"n != 0\"", "if (n) { }"},
    {"E0206", "condition of 'assert' must be i1", "assert(n);"},
    {"E0207", "a tile dimension must be a compile-time integer", "f32 x[n];"},
    {"E0207", "length of a tile subscript must be a compile-time integer",
     "let x = load(X[0, 0 +: n]);"},
    {"E0207", "condition of 'static_assert' must be a compile-time bool", "static_assert(n > 3);"},
    {"E0207", "generic 'N' must be a compile-time int", "let x = size[n](3);"},
    {"E0208", "'x': expected f32, found i32", "f32 x = n;"},
    {"E0208", "-> \"f32(n)\"", "var x = 1.0; x = n;"},
    {"E0208", "expected f32[32], found f32[64]", "f32 x[32] = load(X[0, 0 +: 64]);"},
    {"E0208", "a loop bound: expected i32, found f32", "for (i in 0 .. f) { }"},
    {"E0208", "a subscript: expected i32, found f32", "let x = load(X[f, 0]);"},
    {"E0208", "load: expected elements of a tensor, X[...], found the tensor 'X'",
     "let x = load(X);"},
    {"E0208", "foreach: expected an iteration domain, found i32", "foreach (i in n) { }"},
    {"E0208", "sum: expected a tile, found i32", "let x = sum(n);"},
    {"E0208", "'s': expected struct S", "var s = S(1.0, 2); s = n;"},
    {"E0208", "?:: expected i32, found f32", "let x = n > 2 ? atomic_add(C2[0], 1) : f;"},
    {"E0209", "'X' has rank 2, got 1 subscript(s)", "let x = load(X[0]);"},
    {"E0209", "'v' has rank 1, got 2 subscript(s)",
     "let v = load(X[0, 0 +: 64]); let x = v[:, 0 +: 8];"},
    {"E0210", "'sum' of f32[64,64] needs axis =", "let x = sum(load(X[0 +: 64, 0 +: 64]));"},
    {"E0211", "axis 2 is out of range for rank 2",
     "let x = sum(load(X[0 +: 64, 0 +: 64]), axis = 2);"},
    {"E0211", "axis 3 is out of range for rank 3", "let x = bid(3);"},
    {"E0212", "elements of tensor 'X' is memory, not a value", "let x = X[0, 0];"},
    {"E0212", "-> \"load(X[0, 0])\"", "let x = 1.0 + exp2(load(C[0, 0])); let y = X[0, 0];"},
    {"E0213", "outside 1 .. 1048576", "f32 x[0];"},
    {"E0213", "over the limit of 5", "f32 x[1, 2, 3, 4, 5, 6];"},
    {"E0214", "inner dimensions of 'dot' differ: a is bf16[64,32], b is bf16[64,32]",
     "let a = load(H[0 +: 64, 0 +: 32]); let b = load(H[0 +: 64, 0 +: 32]); let x = dot(a, b);"},
    {"E0214", "-> \"trans(b)\"",
     "let a = load(H[0 +: 64, 0 +: 32]); let b = load(H[0 +: 64, 0 +: 32]); let x = dot(a, b);"},
    {"E0214", "'b' is bf16[64,32], from here",
     "let a = load(H[0 +: 64, 0 +: 32]);\nlet b = load(H[0 +: 64, 0 +: 32]);\nlet x = dot(a, b);"},
    {"E0215", "M of 'dot' is 20, which is no multiple of 8",
     "let a = load(H[0 +: 20, 0 +: 32]); let b = load(H[0 +: 64, 0 +: 32]); let x = dot(a, "
     "trans(b));"},
    {"E0215", "nearest legal sizes: 16 and 24",
     "let a = load(H[0 +: 20, 0 +: 32]); let b = load(H[0 +: 64, 0 +: 32]); let x = dot(a, "
     "trans(b));"},
    {"E0215", "N of 'dot' is 4, which is no multiple of 8",
     "let a = load(H[0 +: 16, 0 +: 32]); let b = load(H[0 +: 4, 0 +: 32]); let x = dot(a, "
     "trans(b));"},
    {"E0215", "K of 'dot' is 16, which is no multiple of 32",
     "let a = load(Q[0 +: 16, 0 +: 16]); let b = load(Q[0 +: 8, 0 +: 16]); let x = dot(a, "
     "trans(b));"},
    {"E0216", "'dot' cannot multiply f32 by f32",
     "let a = load(X[0 +: 64, 0 +: 64]); let x = dot(a, trans(a));"},
    {"E0216", "'dot' cannot multiply f8e4m3 by bf16",
     "let x = dot(load(Q[0 +: 64, 0 +: 64]), load(H[0 +: 64, 0 +: 64]));"},
    {"E0216", "'dot_scaled' cannot multiply bf16 by bf16",
     "let a = load(H[0 +: 64, 0 +: 64]); let x = dot_scaled(a, 1.0, trans(a), 1.0);"},
    {"E0217", "'trans' needs tiles of rank 2, found f32[64]",
     "let x = trans(load(X[0, 0 +: 64]));"},
    {"E0217", "'dot' needs tiles of rank 2, found i32", "let x = dot(n, n);"},
    {"E0218", "accumulator of 'dot' is bf16[64,64], expected f32[64,64]",
     "let a = load(H[0 +: 64, 0 +: 64]); let x = dot(a, trans(a), a);"},
    {"E0219", "scales of 'dot_scaled' are f32[64], expected f32[16,1]",
     "let a = load(Q[0 +: 16, 0 +: 64]); let s = load(X[0, 0 +: 64]); "
     "let x = dot_scaled(a, s, trans(a), 1.0);"},
    {"E0221", "value stored to 'C' is f32[32], expected f32[64]",
     "store(C[0, 0 +: 64], load(X[0, 0 +: 32]));"},
    {"E0221", "'mask' is i1[32], expected i1[64]",
     "let x = load(X[0, 0 +: 64], mask = iota[32]() < n);"},
    {"E0221", "add the missing axis", "let x = load(X[0 +: 64, 0 +: 64], mask = iota[64]() < n);"},
    {"E0222", "'O' is an out tensor and cannot be read", "let x = load(O[0]);"},
    {"E0223", "'X' is an in tensor and cannot be written", "store(X[0, 0], 1.0);"},
    {"E0223", "'X' is an in tensor and cannot be written", "put_first(X);"},
    {"E0224", "an index tile must have rank 1, found i32[4,1]",
     "let i = load(IDX[0 +: 4]); let x = load(X[i[:, none], 0]);"},
    {"E0225", "':' needs a static length, but dimension 0 of 'X'", "let x = load(X[:, 0]);"},
    {"E0226", "'none' adds an axis to a value", "let x = load(X[none, 0]);"},
    {"E0228", "part 60 .. 67 is outside of the tile's dimension of 64",
     "let v = load(X[0, 0 +: 64]); let x = v[60 +: 8];"},
    {"E0229", "f32[64] cannot be seen as f32[5,5]", "let x = reshape[5, 5](load(X[0, 0 +: 64]));"},
    {"E0229", "f8e4m3[3] cannot be seen as f32", "let x = view[f32](load(Q[0, 0 +: 3]));"},
    {"E0230", "cannot cast f32 to i32", "let x = cast[i32](f, round = rp);"},
    {"E0231", "static assertion failed: B too small", "static_assert(B > 100, \"B too small\");"},
    {"E0233", "cannot tell generic 'N' of 'size' from the arguments", "let x = size(3);"},
    {"E0234", "argument 'X': dimension 1 must be 32, found 64", "wants_32(X);"},
    {"E0235", "3 name(s) for 2 value(s)", "let (a, b, c) = two(1);"},
    {"E0235", "1 name(s) for 2 value(s)", "let a = two(1);"},
    {"E0236", "'a kernel' returns nothing", "return 1;"},
    {"E0237", "division by zero in a constant expression", "let x = B / (B - 64);"},
    {"E0237", "overflow in a constant expression", "let x = 9223372036854775807 + B;"},
    {"E0238", "tiles(X, ...) needs 2 block size(s), got 1", "foreach (i in tiles(X, 4)) { }"},
    {"E0240", "a range needs a positive step", "for (i in 0 .. n step -1) { }"},
    {"E0242", "'break' cannot leave a foreach", "foreach (i, j in tiles(X, 4, 4)) { break; }"},
    {"E0242", "'return' cannot leave a foreach", "foreach (i, j in tiles(X, 4, 4)) { return; }"},
    {"E0245", "'atomic_max' is not defined for f32", "atomic_max(C[0, 0], 1.0);"},
    {"E0246", "@unroll needs constant bounds", "@unroll for (i in 0 .. n) { }"},
    {"E0247", "permute needs each axis 0 .. 1 once",
     "let x = permute(load(X[0 +: 4, 0 +: 4]), 0, 0);"},
    {"E0248", "granularity 96 does not fit K = 64",
     "let a = load(Q[0 +: 16, 0 +: 64]); let x = dot_scaled(a, 1.0, trans(a), 1.0, granularity = "
     "96);"},
    {"E0207", "'reverse' must be a compile-time bool",
     "let x = cumsum(load(X[0, 0 +: 64]), reverse = n > 1);"},
    {"E0208", "cumsum: expected a tile of numbers", "let x = cumsum(load(X[0, 0 +: 64]) > 0.0);"},
    {"E0210", "'cummax' of f32[4,64]", "let x = cummax(load(X[0 +: 4, 0 +: 64]));"},
    {"E0208", "histogram: expected a tile of i32", "let x = histogram[4](load(X[0, 0 +: 64]));"},
    {"E0221", "the index",
     "let x = gather(load(X[0 +: 4, 0 +: 64]), load(IDX[0 +: 8])[:, none], axis = 1);"},
    {"E0221", "the second tile",
     "let x = cat(load(X[0 +: 4, 0 +: 64]), load(X[0 +: 8, 0 +: 32]), axis = 0);"},
    {"E0221", "the second tile", "let x = join(load(X[0, 0 +: 64]), load(X[0, 0 +: 32]));"},
    {"E0208", "split: expected a tile whose last dimension is 2",
     "let (a, b) = split(load(X[0 +: 4, 0 +: 64]));"},
    {"E0224", "f32", "let v = load(X[0, 0 +: 64]); let x = v[load(IDX[0 +: 4])[:, none]];"},
    {"E0251", "a stride for every dim", "let v = view[i32](X, shape = (4, 2), strides = 2);"},
    {"E0251", "offset 0 is the constant -4", "let v = view[i32](X, offset = -4);"},
    {"E0251", "less than a byte", "let v = view[i1](X);"},
    {"E0208", "offset, shape and strides: expected a tensor",
     "let v = view[i32](load(X[0, 0 +: 64]), offset = 4);"},
    {"E0252", "i32[4,1]", "let v = load(X[(load(IDX[0 +: 4])[:, none], load(IDX[0 +: 4]))]);"},
    {"E0209", "'X' has rank 2, got 3 subscript", "let v = load(X[(load(IDX[0 +: 4]), load(IDX[0 +: 4])), 0 +: 4]);"},
    {"E0212", "tensor 'X'", "var v = view[i32](X);"},
    // channels and roles; what needs whole programs is in tests/lang/diagnostics.md
    {"E0313", "'put' belongs inside a role", "channel c[2] { f32 a[4]; } put c { }"},
    {"E0313", "'get' belongs inside a role", "channel c[2] { f32 a[4]; } get c { }"},
    {"E0313", "'channel' belongs directly in the body",
     "for (i in 0 .. 3) { channel c[2] { f32 a[4]; } }"},
    {"E0313", "'roles' belongs once and directly", "roles { role a { } } roles { role b { } }"},
    {"E0203", "the stages of 'c': 1 .. 64", "channel c[65] { f32 a[4]; }"},
    {"E0207", "the stages of 'c' must be a compile-time integer", "channel c[n] { f32 a[4]; }"},
    {"E0208", "field 'a' of a channel: expected a tile", "channel c[2] { f32 a; }"},
    {"E0208", "field 'a' of a channel: expected a tile", "channel c[2] { i1 a[4]; }"},
    {"E0208", "expected a channel, found i32", "roles { role a { put n { } } }"},
    {"E0101", "'d'", "roles { role a { put d { } } }"},
    {"E0114", "'z'",
     "channel c[2] { f32 a[4]; } roles { role r { put c { c.z = 1.0; } } role s { get c { } } }"},
    {"E0208", "'c.a': expected f32[4], found f32[64]",
     "channel c[2] { f32 a[4]; } roles { role r { put c { c.a = load(X[0, 0 +: 64]); } } "
     "role s { get c { } } }"},
    {"E0310", "field 'c.a' is read inside its put block",
     "channel c[2] { f32 a[4]; } roles { role r { put c { c.a = c.a; } } role s { get c { } } }"},
    {"E0203", "a power of two up to 32 warps", "roles { @warps(3) role a { } }"},
    {"E0116", "@split", "roles { @split(n) role a { } }"},
    {"E0115", "'@pipeline'", "roles { @pipeline(3) role a { } }"},
    // not lowered yet
    {"E0602", "'scan' with a fn is not lowered yet",
     "let x = scan(load(X[0, 0 +: 64]), axis = 0, fn (a, b) { return a; });"},
    {"E0603", "'topk'", "let (v, j) = topk[4](load(X[0, 0 +: 64]), axis = 0);"},
    {"E0604", "'sort'", "let x = sort(load(X[0, 0 +: 64]), axis = 0, desc = true);"},
    {"E0606", "'compact'", "let (x, m) = compact(load(X[0, 0 +: 64]), true);"},
    {"E0609", "'asm'", "let x = asm[f32](\"ex2 $0, $1;\", f, pure = true);"},
    {"E0610", "'reduce' with a fn",
     "let x = reduce(load(X[0, 0 +: 64]), axis = 0, fn (a, b) { return a; });"},
    {"E0611", "'tiles_grouped'", "foreach (i in tiles_grouped(X, IDX, 4)) { }"},
    {"E0612", "'ptr[T]' is not lowered yet", "ptr[f32] p = 0;"},
    {"E0612", "'addr'", "let p = addr(X, 0, 0);"},
    {"E0613", "'quant'", "let (q, s) = quant[f8e4m3](load(X[0, 0 +: 64]), granularity = 32);"},
    {"E0613", "'dequant'", "let x = dequant[f32](n, n);"},
    {"E0614", "'pdl_wait'", "pdl_wait();"},
    {"E0615", "'clock'", "let t = clock();"},
    {"E0616", "'cluster_rank'", "let r = cluster_rank();"},
    {"E0617", "'cache =' is not lowered yet", "let x = load(X[0, 0], cache = cg);"},
    {"E0617", "'via =' is not lowered yet", "store(C[0, 0], 1.0, via = tma);"},
    {"E0618", "'@fp' is not lowered yet", "@fp(strict) let x = f * f + f;"},
    {"E0619", "stochastic", "let x = cast[f8e4m3](f, round = stochastic);"},
    {"E0620", "scales is not lowered yet",
     "let a = load(Q[0 +: 16, 0 +: 64]); let s = f8e4m3(load(X[0, 0 +: 16])); "
     "let x = dot_scaled(a, s, trans(a), 1.0);"},
    {"E0621", "'exp2' of f64 is not lowered yet", "let x = exp2(f64(f));"},
    {"E0624", "part of a tile", "f32 v[4]; v[0 +: 2] = 1;"},
    {"E0230", "i4 is storage only", "i4 x = 1; let y = i32(x);"},
};

static const bad_case file_cases[] = {
    {"E0102", "'f' is already defined", "fn f() { }\nfn f() { }"},
    {"E0623", "'load' of a tensor of i4 is not lowered yet",
     "kernel k(in i4 X[M]) grid(1) { let x = load(X[0 +: 64]); }"},
    {"E0623", "'load' of a tensor of f4e2m1 takes an even number of elements along the last dim",
     "kernel k(in f4e2m1 X[M]) grid(1) { let x = load(X[0 +: 63]); }"},
    {"E0623", "'load' of a tensor of f4e2m1 takes a range along the last dim",
     "kernel k(in f4e2m1 X[M, N]) grid(1) { let x = load(X[0 +: 64, 0]); }"},
    {"E0623", "'load' of a tensor of f4e2m1 has no mask and no fill value",
     "kernel k(in f4e2m1 X[M]) grid(1) { let x = load(X[0 +: 64], mask = bid(0) < 1); }"},
    {"E0623", "'store' of a tensor of f4e2m1 needs a last dim of stride 1",
     "kernel k(out f4e2m1 X[M, N; 1, M]) grid(1) { store(X[0 +: 8, 0 +: 8], f4e2m1(1.0)); }"},
    {"E0102", "'sum' is a builtin function", "fn sum() { }"},
    {"E0102", "'a' is already defined", "fn f(i32 a, i32 a) { }"},
    {"E0102", "'A' is already defined", "fn f[int A](i32 A) { }"},
    {"E0102", "'x' is already defined", "struct S { f32 x; f32 x; }"},
    {"E0116", "'tune' is one of sm_90a, sm_100a and sm_120a, not 'sm_80'",
     "kernel k[int B = 1](in f32 X[M]) grid(1) tune(sm_80) { B in { 1 }; } { }"},
    {"E0102", "'X' is already defined", "kernel k(in f32 X[M], in f32 X[M]) grid(1) { }"},
    {"E0102", "'M' is already defined", "kernel k(in f32 X[M], in f32 M[K]) grid(1) { }"},
    {"E0102", "'B' is already defined",
     "kernel k[int B = 1](in f32 X[M]) grid(1) tune { B in { 1 }; B in { 2 }; } { }"},
    {"E0104", "cannot find import \"std/nothing.tile\"", "import \"std/nothing.tile\";"},
    {"E0105", "recursion: 'f' is defined in terms of itself", "fn f() { f(); }"},
    {"E0105", "reached from here", "fn f() { g(); }\nfn g() { h(); }\nfn h() { let x = 1 + f(); }"},
    {"E0105", "'S' is defined in terms of itself", "struct S { T t; }\nstruct T { S s; }"},
    {"E0105", "'A' is defined in terms of itself", "const i32 A = B;\nconst i32 B = A;"},
    {"E0109", "'grid' takes 1 to 3 argument(s), got 4",
     "kernel k(in f32 X[M]) grid(1, 2, 3, 4) { }"},
    {"E0110", "kernel 'k' has no generic 'B'",
     "kernel k(in f32 X[M]) grid(1) tune { B in { 1 }; } { }"},
    {"E0113", "generic 'B' of 'k' has no value", "kernel k[int B](in f32 X[M]) grid(1) { }"},
    {"E0117", "grid is given twice", "kernel k(in f32 X[M]) grid(1) grid(2) { }"},
    {"E0119", "more than 20000 points",
     "kernel k[int A = 1, int B = 1](in f32 X[M]) grid(1) tune { A in 1 .. 200; B in 1 .. 200; } { "
     "}"},
    {"E0203", "the constant 1.5 does not fit i32", "const i32 A = 1.5;"},
    {"E0207", "a value of 'B' must be a compile-time int",
     "kernel k[int B = true](in f32 X[M]) grid(1) { }"},
    {"E0208", "@export", "@export(1) kernel k(in f32 X[M]) grid(1) { }"},
    {"E0209", "'X' has rank 2, got 1 subscript(s)", "kernel k(in f32 X[M, K ; 1]) grid(1) { }"},
    {"E0232", "requirement is false for these generics: arch() > 500",
     "kernel k(in f32 X[M]) grid(1) require(arch() > 500) { }"},
    {"E0236", "'f' must return a value on every path",
     "fn f(i32 a) -> i32 { if (a > 1) { return 1; } }\n"
     "kernel k(in f32 X[M], i32 n) grid(1) { let x = f(n); }"},
    {"E0236", "'f' returns a value",
     "fn f(i32 a) -> i32 { return; }\n"
     "kernel k(in f32 X[M], i32 n) grid(1) { let x = f(n); }"},
    {"E0241", "dimension 1 of 'X' is not known at launch: KS",
     "kernel k(in f32 X[M, KS * 2]) grid(1) { }"},
    {"E0241", "a grid dimension is not known at launch",
     "kernel k(in f32 X[M]) grid(load(X[0])) { }"},
    {"E0241", "a requirement is not known at launch: (M & 3)",
     "kernel k(in f32 X[M]) grid(1) require((M & 3) == 0) { }"},
    {"E0243", "bf16 cannot be passed", "kernel k(in f32 X[M], bf16 s) grid(1) { }"},
    {"E0243", "a scalar is an input", "kernel k(in f32 X[M], out f32 s) grid(1) { }"},
    {"E0249", "grid(persistent) needs a foreach", "kernel k(in f32 X[M]) grid(persistent) { }"},
    {"E0249", "has no grid(...)", "kernel k(in f32 X[M]) { let x = bid(0); }"},
    {"E0250", "no combination of generics of 'k'",
     "kernel k[int B = 1](in f32 X[M]) grid(1) require(B > 3) tune { B in { 1, 2 }; } { }"},
    {"E0612", "'ptr[T]' is not lowered yet", "kernel k(ptr[f32] p, in f32 X[M]) grid(1) { }"},
    {"E0618", "'@cluster' is not lowered yet", "@cluster(2) kernel k(in f32 X[M]) grid(1) { }"},
    {"E0115", "'@pipeline' does not apply on a kernel",
     "@pipeline(2) kernel k(in f32 X[M]) grid(1) { }"},
    {"E0101", "undefined name 'Q'", "kernel k(in f32 X[M]) grid(1) key(Q) { }"},
};

static int count_of(const char *text, const char *what) {
  int count = 0;
  for (const char *at = text; (at = strstr(at, what)); at++)
    count++;
  return count;
}

static void check_case(const bad_case *bad, const char *source) {
  sema_run run;
  bool lowered = sema_lower(&run, source, "sm_90a", 16);
  const char *id = tl_sprintf(&run.arena, "[%s]", bad->id);
  bool ok = !lowered && run.text && strstr(run.text, bad->text) &&
            (strstr(run.text, id) || strstr(run.text, bad->id)) &&
            count_of(run.text, " error: ") == 1;
  if (!ok)
    print_error("--- wanted %s \"%s\" for\n%s\n--- got\n%s\n", bad->id, bad->text, bad->body,
                run.text ? run.text : "(nothing)");
  assert_true(ok);
  sema_free(&run);
}

static void mistakes_in_a_body(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof body_cases / sizeof *body_cases; i++) {
    char *source = malloc(strlen(HEAD) + strlen(body_cases[i].body) + 8);
    sprintf(source, "%s%s\n}\n", HEAD, body_cases[i].body);
    check_case(&body_cases[i], source);
    free(source);
  }
}

static void mistakes_in_a_file(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof file_cases / sizeof *file_cases; i++)
    check_case(&file_cases[i], file_cases[i].body);
}

// Ids of the checker's ranges that no case above triggers.
static void every_row_is_triggered(void **state) {
  (void)state;
  for (int id = 0; id < DIAG_COUNT; id++) {
    const char *name = tl_diag_name((tl_diag_id)id);
    int number = atoi(name + 1);
    bool ours = name[0] == 'E' && ((number > 100 && number < 300) || number / 100 == 6);
    bool found = !ours || !strcmp(name, "E0112"); // --set: test_frontend_sema.c
    for (size_t i = 0; i < sizeof body_cases / sizeof *body_cases && !found; i++)
      found = !strcmp(body_cases[i].id, name);
    for (size_t i = 0; i < sizeof file_cases / sizeof *file_cases && !found; i++)
      found = !strcmp(file_cases[i].id, name);
    if (!found)
      print_error("no case for %s\n", name);
    assert_true(found);
  }
}

static void notes_tell_the_way(void **state) {
  (void)state;
  sema_run run;
  assert_false(sema_lower(&run,
                          "fn inner[int N](f32 x[N]) -> f32[N] { return x + 1 + nope; }\n"
                          "fn outer(f32 x) -> f32 { let t = inner(full[8](x)); return sum(t); }\n"
                          "kernel k[int B = 8, dtype T = f32](in f32 X[M]) grid(1) {\n"
                          "  let y = outer(load(X[0]));\n"
                          "}\n",
                          "sm_100a", 16));
  assert_non_null(strstr(run.text, "t.tile:1:54: error: undefined name 'nope' [E0101]"));
  assert_non_null(strstr(run.text, "t.tile:2:34: note: in 'inner[N=8]', called here"));
  assert_non_null(strstr(run.text, "t.tile:4:11: note: in 'outer', called here"));
  assert_non_null(strstr(run.text, "note: while instantiating k[B=8, T=f32] for sm_100a"));
  sema_free(&run);
}

static void warnings(void **state) {
  (void)state;
  sema_run run;
  assert_true(sema_lower(&run,
                         "kernel k[int B = 8](in f32 X[M], i32 n) grid(1) {\n"
                         "  @pipeline(2) for (i in 0 .. n) { if (i > 3) { break; } }\n"
                         "  static_print(\"B is\", B, 1.5, f32);\n"
                         "}\n",
                         "sm_90a", 16));
  assert_non_null(strstr(run.text, "'@pipeline' has no effect on a loop with break [W1001]"));
  assert_non_null(strstr(run.text, "static_print: B is 8 1.5 f32 [W3001]"));
  sema_free(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mistakes_in_a_body),
      cmocka_unit_test(mistakes_in_a_file),
      cmocka_unit_test(every_row_is_triggered),
      cmocka_unit_test(notes_tell_the_way),
      cmocka_unit_test(warnings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
