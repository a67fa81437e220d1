#!/usr/bin/env python3
"""Random well-typed .tile programs for the differential test of reference evaluator and simulator.

gen_tile.py SEED prints one module with one kernel `k`. Values stay small integers (or are rounded by
a narrow cast, which both executors define exactly), so every float sum is exact and the two
executors must agree bit for bit, whatever order a reduction takes.
"""
import random
import sys

BOUND = 64  # tiles are clamped to +-BOUND after each multiplication, so sums stay exact


class Program:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.lines = []
        self.count = 0
        self.rows = self.rng.choice([16, 16, 32, 32, 48, 64, 1, 5, 8, 24])
        self.cols = self.rng.choice([8, 16, 32, 64, 80, 32, 64, 3, 12, 40, 100])
        self.bitwise = self.rng.choice(["xor", "or", "and"])  # of one tensor: two kinds do not commute
        # Tiles by (type, shape): names that may be used from here on.
        self.tiles = {}

    def fresh(self, expr, dtype, shape):
        name = f"t{self.count}"
        self.count += 1
        self.lines.append(f"let {name} = {expr};")
        self.tiles.setdefault((dtype, shape), []).append(name)
        return name

    def pick(self, dtype, shape):
        known = self.tiles.get((dtype, shape))
        return self.rng.choice(known) if known else None

    def f32(self):
        return self.pick("f32", "mn")

    def i32(self):
        return self.pick("i32", "mn")

    # --- steps: each appends one tile ------------------------------------------------------------
    def float_binary(self):
        op = self.rng.choice(["+", "-", "*", "max", "min"])
        x, y = self.f32(), self.rng.choice([self.f32(), f"{self.rng.randint(-4, 4)}.0"])
        text = f"{op}({x}, {y})" if op.isalpha() else f"{x} {op} {y}"
        self.fresh(f"clamp({text}, -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def float_unary(self):
        x = self.f32()
        self.fresh(self.rng.choice([f"-{x}", f"abs({x})"]), "f32", "mn")

    def narrow_cast(self):
        dtype = self.rng.choice(["bf16", "f16", "f8e4m3", "f8e5m2"])
        self.fresh(f"f32({dtype}({self.f32()} * 0.3125))", "f32", "mn")
        # no longer an integer: bring it back before anything sums it
        last = self.tiles[("f32", "mn")].pop()
        self.fresh(f"f32(i32({last} * 8.0))", "f32", "mn")
        self.fresh(f"clamp({self.tiles[('f32', 'mn')][-1]}, -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def int_binary(self):
        op = self.rng.choice(["+", "-", "*", "&", "|", "^", "/", "%", "<<", ">>"])
        x = self.i32()
        if op in "/%":
            y = str(self.rng.choice([2, 3, 7, 8, 16]))
        elif op in ("<<", ">>"):
            y = str(self.rng.randint(0, 3))
        else:
            y = self.rng.choice([self.i32(), str(self.rng.randint(-9, 9))])
        self.fresh(f"clamp({x} {op} ({y}), -1000, 1000)", "i32", "mn")

    def cross_cast(self):
        if self.rng.random() < 0.5:
            self.fresh(f"i32({self.f32()})", "i32", "mn")
        else:
            self.fresh(f"clamp(f32({self.i32()}), -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def select(self):
        relation = self.rng.choice(["<", "<=", ">", ">=", "==", "!="])
        cond = self.rng.choice([f"{self.f32()} {relation} {self.f32()}",
                                f"{self.i32()} {relation} {self.rng.randint(-5, 5)}"])
        self.fresh(f"where({cond}, {self.f32()}, {self.f32()})", "f32", "mn")

    def reduce(self):
        axis = self.rng.choice([0, 1])
        kind = self.rng.choice(["sum", "reduce_max", "reduce_min"])
        back = "[:, none]" if axis == 1 else "[none, :]"
        name = f"r{self.count}"
        self.count += 1
        self.lines.append(f"let {name} = {kind}({self.f32()}, axis = {axis});")
        self.fresh(f"clamp({self.f32()} - {name}{back}, -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def index(self):
        self.fresh(f"({self.i32()} + iota[BM]()[:, none] * 3 - iota[BN]()[none, :]) % 50", "i32", "mn")

    def vector(self):
        self.fresh(f"clamp({self.f32()} + load(V[n0 +: BN])[none, :], -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def gather(self):
        self.fresh(f"load(X[load(IDX[m0 +: BM]), n0 +: BN])", "f32", "mn")

    def masked_load(self):
        self.fresh(f"load(X[m0 +: BM, n0 +: BN], mask = {self.f32()} > 0.0, other = -3.0)", "f32", "mn")

    def loop(self):
        acc = f"a{self.count}"
        self.count += 1
        attribute = self.rng.choice(["", "@pipeline(2) ", "@pipeline(3) "])
        trips = self.rng.choice(["0", "1", "2", "3", "T"])
        self.lines.append(f"f32 {acc}[BM, BN] = 0;")
        extra = self.rng.choice(["", f" if (i == 1) {{ {acc} = {acc} + 1.0; }}", f" if (i == 2) {{ break; }}"])
        self.lines.append(f"{attribute}for (i in 0 .. {trips}) {{ {acc} += load(X[m0 + i +: BM, n0 +: BN]);{extra} }}")
        self.fresh(f"clamp({acc}, -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def branch(self):
        name = f"b{self.count}"
        self.count += 1
        x, y = self.f32(), self.f32()
        self.lines.append(f"f32 {name}[BM, BN] = {x};")
        cond = self.rng.choice(["m0 == 0", "T > 2 && n0 == 0", "m0 + BM > M"])
        self.lines.append(f"if ({cond}) {{ {name} = {name} - {y}; }} else {{ {name} = max({name}, {y}); }}")
        self.fresh(f"clamp({name}, -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def dot(self):
        # [BM, BN] x [BN, BM] x [BM, BN]: exact, since |values| <= 8 before and sums stay below 2^24
        if self.cols % 16 or self.rows % 16:
            return
        dtype = self.rng.choice(["bf16", "f16"])
        x, y = self.f32(), self.f32()
        name = f"d{self.count}"
        self.count += 1
        self.lines.append(f"let {name} = dot({dtype}(clamp({x}, -8.0, 8.0)), trans({dtype}(clamp({y}, -8.0, 8.0))));")
        self.fresh(f"clamp(sum({name}, axis = 1)[:, none] + {self.f32()}, -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def wide_int(self):
        dtype = self.rng.choice(["i8", "u8", "i16", "u16", "u32", "i64", "u64"])
        op = self.rng.choice(["+", "-", "*", "&", "|", "^", "min", "max", "/", ">>"])
        x, y = f"{dtype}({self.i32()})", f"{dtype}({self.i32()})"
        if op in ("/", ">>"):
            y = f"{dtype}({self.rng.choice([1, 2, 3, 7])})"
        text = f"{op}({x}, {y})" if op.isalpha() else f"{x} {op} {y}"
        self.fresh(f"clamp(i32({text}), -1000, 1000)", "i32", "mn")

    def other_float(self):
        dtype = self.rng.choice(["bf16", "f16", "f64"])
        op = self.rng.choice(["+", "-", "*", "max"])
        x, y = f"{dtype}({self.f32()})", f"{dtype}({self.f32()})"
        text = f"{op}({x}, {y})" if op.isalpha() else f"{x} {op} {y}"
        self.fresh(f"clamp(f32({text}), -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def rearrange(self):
        dtype = self.rng.choice(["f32", "i32"])
        x = self.pick(dtype, "mn")
        rows = self.rng.choice([n for n in (1, 2, 3, 4, 8) if self.rows % n == 0])
        cols = self.rng.choice([n for n in (1, 2, 3, 4, 5, 8) if self.cols % n == 0])
        self.fresh(self.rng.choice([
            f"trans(reshape[BN, BM]({x}))",
            f"reshape[BM, BN](permute(reshape[BM / {rows}, {rows}, BN]({x}), 1, 0, 2))",
            f"reshape[BM, BN](permute(reshape[BM, BN / {cols}, {cols}]({x}), 0, 2, 1))",
            f"reshape[BM, BN](permute(reshape[{rows}, BM / {rows}, BN]({x}), 2, 1, 0))",
            f"reshape[BM, BN](reshape[BM * BN]({x}))",
            f"view[{dtype}](view[{self.rng.choice(['u8', 'u16', 'u32'])}]({x}))",
        ]), dtype, "mn")

    def part(self):
        x, y = self.f32(), self.f32()
        row, col = self.rng.randrange(self.rows), self.rng.randrange(self.cols)
        half = self.cols // 2
        start = self.rng.choice([0, half, self.rng.randrange(half)])
        text = self.rng.choice([
            f"{y} - {x}[{row}, :][none, :]",
            f"{y} + {x}[:, {col}][:, none]",
            f"{y} - sum({x}[:, {start} +: {half}], axis = 1)[:, none]",
            f"{y} + reduce_max({x}[{self.rows // 2} +: {max(1, self.rows // 4)}, :], axis = 0)[none, :]",
        ])
        self.fresh(f"clamp({text}, -{BOUND}.0, {BOUND}.0)", "f32", "mn")

    def count_down(self):
        name = f"w{self.count}"
        self.count += 1
        x, y = self.f32(), self.f32()
        leave = self.rng.choice(["", f" if ({name}_n == 2) {{ break; }}",
                                 f" if ({name}_n % 2 == 0) {{ {name}_n -= 1; continue; }}"])
        self.lines.append(f"var {name} = {x};")
        self.lines.append(f"var {name}_n = {self.rng.choice(['T', 'T + 1', '3', 'bid(0)'])};")
        self.lines.append(f"while ({name}_n > 0) {{{leave} {name} = clamp({name} + {y}, -{BOUND}.0, {BOUND}.0); "
                          f"{name}_n -= 1; }}")
        self.fresh(name, "f32", "mn")

    def atomic(self):
        # whatever order the blocks come in, these give the same
        z = self.i32()
        self.lines.append(self.rng.choice([
            f"reduce_add(H[reshape[BM * BN]({z} & 31)], 1);",
            f"reduce_add(H[0 +: BM], sum({z}, axis = 1));",
            f"let o{self.count} = atomic_max(G[0 +: BN], reduce_max({z}, axis = 0));",
            f"let o{self.count} = atomic_{self.bitwise}(F[0 +: BM, 0 +: BN], {z});",
            f"let o{self.count} = atomic_{self.bitwise}(F[bid(0), 0 +: BN], reduce_min({z}, axis = 0), "
            f"mask = iota[BN]() % 3 != 0);",
        ]))
        self.count += 1

    def int_dot(self):
        if self.cols % 32 or self.rows % 16:
            return
        left, right = self.rng.choice(["i8", "u8"]), self.rng.choice(["i8", "u8"])
        name = f"d{self.count}"
        self.count += 1
        self.lines.append(f"let {name} = dot({left}({self.i32()}), trans({right}({self.i32()})));")
        self.fresh(f"clamp(reduce_max({name}, axis = 1)[:, none] - {self.i32()}, -1000, 1000)", "i32", "mn")

    def cube(self):
        text = self.rng.choice([
            "load(C[1, m0 +: BM, n0 +: BN])",
            "sum(load(C[0 +: 2, m0 +: BM, n0 +: BN]), axis = 0)",
            "reduce_max(load(C[1 +: 4, m0 +: BM, n0 +: BN], other = -7.0), axis = 0)",
            "sum(permute(load(C[0 +: 3, m0 +: BM, n0 +: BN]), 1, 0, 2), axis = 1)",
            "load(C[T, m0 +: BM, n0 +: BN])",
        ])
        self.fresh(text, "f32", "mn")

    def narrow_load(self):
        self.fresh(f"i32(load(B[m0 +: BM, n0 +: BN])) {self.rng.choice(['+', '-', '*'])} {self.rng.randint(-5, 5)}", "i32", "mn")

    def text(self):
        self.fresh("load(X[m0 +: BM, n0 +: BN])", "f32", "mn")
        self.fresh("f32(load(E[m0 +: BM, n0 +: BN]))", "f32", "mn")
        self.fresh("load(Z[m0 +: BM, n0 +: BN])", "i32", "mn")
        steps = [self.float_binary, self.float_unary, self.narrow_cast, self.int_binary, self.cross_cast,
                 self.select, self.reduce, self.index, self.vector, self.gather, self.masked_load,
                 self.loop, self.branch, self.dot, self.wide_int, self.other_float, self.rearrange, self.part,
                 self.count_down, self.atomic, self.int_dot, self.cube, self.narrow_load]
        for _ in range(self.rng.randint(3, 14)):
            self.rng.choice(steps)()
        body = "\n    ".join(self.lines)
        mask = self.rng.choice(["", f", mask = {self.i32()} > -40"])
        return f"""// seed-generated; see tests/fuzz/gen_tile.py
kernel k[int BM = {self.rows}, int BN = {self.cols}](
    in f32 X[M, N], in bf16 E[M, N], in i32 Z[M, N], in f32 V[N], in i32 IDX[M], in i32 TRIPS[ONE],
    in f32 C[P, M, N], in i8 B[M, N], inout i32 H[K], inout i32 G[N], inout i32 F[M, N],
    out f32 Y[M, N], out i32 W[M, N], out f32 R[M, COLS], out i64 L[M, N], out u8 U[N, M])
    grid(ceildiv(M, BM), ceildiv(N, BN))
{{
    let m0 = bid(0) * BM;
    let n0 = bid(1) * BN;
    let T = load(TRIPS[0]);
    {body}
    store(Y[m0 +: BM, n0 +: BN], {self.f32()}{mask});
    store(W[m0 +: BM, n0 +: BN], {self.i32()});
    store(R[m0 +: BM, bid(1)], sum({self.f32()}, axis = 1));
    store(L[m0 +: BM, n0 +: BN], i64({self.i32()}) * 10000000000);
    store(U[n0 +: BN, m0 +: BM], trans(u8({self.i32()})));
}}
"""


if __name__ == "__main__":
    print(Program(int(sys.argv[1])).text(), end="")
