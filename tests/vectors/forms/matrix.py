"""Micro-kernels of the matrix instructions of a warp and of a warpgroup."""
from kernel import Kernel

BITS = {"f16": 16, "bf16": 16, "tf32": 32, "e4m3": 8, "e5m2": 8, "e2m3": 8, "e3m2": 8, "e2m1": 8, "s8": 8, "u8": 8, "s4": 4,
        "u4": 4, "b1": 1, "f64": 64, "f32": 32, "s32": 32}


def shape_of(words):
    word = next(w for w in words if w.startswith(".m") and w[2].isdigit())
    m, rest = word[2:].split("n")
    n, depth = rest.split("k")
    return int(m), int(n), int(depth)


def element_types(words):
    return [w[1:] for w in words if w[1:] in BITS]


def list_of(regs):
    return "{%s}" % ", ".join(regs)


# --- ldmatrix, stmatrix, movmatrix
def load_matrix(row, words, op):
    k = Kernel(op, threads=32)
    k.shared("area", 2048, 128)
    k.fill_shared("area", "u64", 2048)
    count = next(int(w[2:]) for w in words if w in (".x1", ".x2", ".x4"))
    if ".m16n16" in words:
        count *= 2
    regs = [k.reg("w") for _ in range(count)]
    for pattern in ("shl.b32 %s, %%t, 4", "mul.lo.u32 %s, %%t, 48"):  # one row after the other; rows apart
        w = row_address(k, pattern, words)
        k.do("%s %s, [%s]" % (op, list_of(regs), w))
        for r in regs:
            k.result(r)
    return k


def row_address(k, pattern, words):
    """This lane's row in shared memory; a generic address where the form names no space."""
    w, base = k.reg("w"), k.reg("w")
    k.do("mov.u32 %s, area" % base, pattern % w, "add.u32 %s, %s, %s" % (w, w, base))
    if ".shared" in words or ".shared::cta" in words:
        return w
    x = k.reg("x")
    k.do("cvt.u64.u32 %s, %s" % (x, w), "cvta.shared.u64 %s, %s" % (x, x))
    return x


def store_matrix(row, words, op):
    k = Kernel(op, threads=32)
    k.shared("area", 2048, 128)
    k.fill_shared("area", "u64", 2048)
    count = next(int(w[2:]) for w in words if w in (".x1", ".x2", ".x4"))
    regs = [k.operand("b32") for _ in range(count)]
    k.do("%s [%s], %s" % (op, row_address(k, "mul.lo.u32 %s, %%t, 48", words), list_of(regs)))
    k.dump_shared("area", 2048)
    return k


def move_matrix(row, words, op):
    k = Kernel(op)
    a, d = k.operand("b32"), k.reg("w")
    k.do("%s %s, %s" % (op, d, a))
    k.result(d)
    return k


# --- mma.sync
def mild(kind):
    return {"f16": "f16x2m", "bf16": "bf16x2m", "tf32": "tf32m", "f32": "f32m", "f64": "f64m"}.get(kind, "b32")


def fragment(k, kind, elements):
    if kind == "f64":
        return [k.operand("f64m") for _ in range(elements // 32)]
    return [k.operand(mild(kind)) for _ in range(max(1, elements * BITS[kind] // 1024))]


def mma(row, words, op):
    k = Kernel(op, threads=64)
    m, n, depth = shape_of(words)
    names = element_types(words)
    d, a, b, c = names if len(names) == 4 else names[-4:]
    if ".kind::mxf4" in words or ".kind::mxf4nvf4" in words:
        bits = 4
        regs = [[k.operand("b32") for _ in range(max(1, x * bits // 1024))] for x in (m * depth, n * depth)]
    elif (m, n, depth) == (8, 8, 4) and a == "f16":
        regs = [[k.operand("f16x2m") for _ in range(2)] for _ in range(2)]
    else:
        regs = [fragment(k, a, m * depth), fragment(k, b, n * depth)]
    cs = m * n * (4 if (m, n, depth) == (8, 8, 4) and a == "f16" else 1)
    acc = fragment(k, c, cs)
    out = [k.reg("x" if d == "f64" else "w") for _ in fragment_size(d, cs)]
    more = scales(k, words) if row.name.startswith("MMA_SCALE") else [""]
    for scale in more:
        k.do("%s %s, %s, %s, %s%s" % (op, list_of(out), list_of(regs[0]), list_of(regs[1]), list_of(acc), scale))
        for r in out:
            k.result(r)
    k.dest, k.sources = d, [a, b, c]
    k.mma = (m, n, depth, a, b, words)
    return k


def fragment_size(kind, elements):
    return range(elements // 32 if kind == "f64" else max(1, elements * BITS[kind] // 1024))


def scales(k, words):
    """Every legal selector of bytes and threads."""
    sa, sb = k.operand("scale"), k.operand("scale")
    vec = next((w for w in words if w.startswith(".scale_vec")), "")
    bytes_ = {"": (0, 1, 2, 3), ".scale_vec::1X": (0, 1, 2, 3), ".scale_vec::2X": (0, 2), ".scale_vec::4X": (0,)}[vec]
    if not vec:
        bytes_ = (0,) if ".ue4m3" in words else (0, 2) if ".kind::mxf8f6f4" not in words else (0, 1, 2, 3)
    out = []
    for byte in bytes_:
        for thread_a, thread_b in ((0, 0), (1, 3), (0, 2), (1, 1)):
            out.append(", %s, {%d, %d}, %s, {%d, %d}" % (sa, byte, thread_a, sb, bytes_[-1] - byte, thread_b))
    return out


# --- wgmma
SHARED_BYTES = 48 * 1024
SWIZZLE_128B, PLAIN = 1, 0


def descriptor(k, offset, leading, stride, mode):
    """A register with the descriptor of a matrix at `offset` of the shared area."""
    w, x = k.reg("w"), k.reg("x")
    high = leading >> 4 << 16 | stride >> 4 << 32 | mode << 62
    k.do("mov.u32 %s, tiles" % w, "add.u32 %s, %s, %d" % (w, w, offset), "shr.u32 %s, %s, 4" % (w, w),
         "cvt.u64.u32 %s, %s" % (x, w), "or.b64 %s, %s, %d" % (x, x, high if high < 1 << 63 else high - (1 << 64)))
    return x


def wgmma_data(kind):
    return {"f16": "@f16m", "bf16": "@bf16m", "tf32": "@tf32m", "e4m3": "@e4m3m", "e5m2": "@e5m2m"}.get(kind, "@b8")


def accumulators(k, kind, n):
    """Registers of the accumulator, with values of their own: a few, spread."""
    count = n // 2 if kind != "f16" else n // 4
    seeds = [k.operand("f16x2m" if kind == "f16" else "f32m" if kind == "f32" else "s32") for _ in range(3)]
    regs = [k.reg("w") for _ in range(count)]
    return regs, ["mov.b32 %s, %s" % (r, seeds[i % 3]) for i, r in enumerate(regs)]


def warpgroup_mma(row, words, op):
    sparse = ".sp" in words
    names = element_types(words)
    d, a, b = names[0], names[1], names[2]
    if row.name == "WGMMA_B1":
        d, a, b = "s32", "b1", "b1"
    _, n, depth = shape_of(words)
    k = Kernel(op, threads=128)
    k.shared("tiles", SHARED_BYTES, 1024)
    k.fill_shared("tiles", wgmma_data(a), 16384 if a != b else SHARED_BYTES)
    if a != b:  # A in the first 16 KiB, B behind
        fill_from(k, "tiles", wgmma_data(b), 16384, SHARED_BYTES - 16384)
    k.do("fence.proxy.async.shared::cta", "bar.sync 0")
    regs, init = accumulators(k, d, n)
    frags = [k.operand(mild(a)) for _ in range(4)]
    floats = d in ("f32", "f16")
    halves = a in ("f16", "bf16")
    p, q = k.reg("p"), k.reg("p")
    k.do("setp.ne.u32 %s, 0, 0" % p, "setp.eq.u32 %s, 0, 0" % q)
    plain = (descriptor(k, 0, 128, 256, PLAIN), descriptor(k, 16384, 128, 512 if sparse else 256, PLAIN))
    swizzled = (descriptor(k, 0, 16, 1024, SWIZZLE_128B), descriptor(k, 16384, 16, 1024, SWIZZLE_128B))

    def tail(scale_d, sa=1, sb=1, ta=0, tb=0, register=False):
        out = ", " + scale_d
        if floats:
            out += ", %d, %d" % (sa, sb)
        if halves:
            out += (", %d" % tb) if register else ", %d, %d" % (ta, tb)
        return out

    variants = [(plain[0], plain[1], tail(q)), (swizzled[0], swizzled[1], tail(p, -1, 1)),
                (list_of(frags), plain[1], tail(q, 1, -1, register=True))]
    if halves:
        variants.append((plain[0], plain[1], tail(q, -1, -1, 1, 1)))
        variants.append((list_of(frags), plain[1], tail(p, tb=1, register=True)))
    metas = [""]
    if sparse:
        e = k.operand("metatf32" if a == "tf32" else "meta")
        metas = [", %s, %d" % (e, i) for i in ((0,) if a in ("e4m3", "e5m2", "s8", "u8") else (0, 1))]
    for i, (va, vb, rest) in enumerate(variants):
        meta = metas[i % len(metas)]
        k.do(*init)
        k.do("wgmma.fence.sync.aligned", "%s %s, %s, %s%s%s" % (op, list_of(regs), va, vb, meta, rest),
             "wgmma.commit_group.sync.aligned", "wgmma.wait_group.sync.aligned 0")
        dump_words(k, regs)
    return k


def fill_from(k, name, kind, first, nbytes):
    """fill_shared for a stretch that does not start at the beginning."""
    w = k.reg("w")
    alias = "%s+%d" % (name, first)
    k.fill_shared(alias, kind, nbytes)


def dump_words(k, regs):
    """4-byte results, to keep the output of large accumulators small."""
    at = k.room(4 * k.total * len(regs))
    x = k.reg("x")
    k.do("mad.wide.u32 %s, %%g, 4, %%out" % x)
    for i, r in enumerate(regs):
        k.do("st.global.b32 [%s+%d], %s" % (x, at + 4 * k.total * i, r))


def warpgroup_order(row, words, op):
    """fence, commit and wait: two groups; the older is read while the younger may be under way."""
    k = Kernel(op, threads=128)
    k.shared("tiles", SHARED_BYTES, 1024)
    k.fill_shared("tiles", "@bf16m", SHARED_BYTES)
    k.do("fence.proxy.async.shared::cta", "bar.sync 0")
    a, b = descriptor(k, 0, 128, 256, PLAIN), descriptor(k, 16384, 128, 256, PLAIN)
    sets = [[k.reg("w") for _ in range(4)] for _ in range(2)]
    p = k.reg("p")
    k.do("setp.ne.u32 %s, 0, 0" % p)
    for regs in sets:
        k.do(*["mov.b32 %s, 0" % r for r in regs])
    k.do("wgmma.fence.sync.aligned")
    for regs in sets:
        k.do("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 %s, %s, %s, %s, 1, 1, 0, 0" % (list_of(regs), a, b, p),
             "wgmma.commit_group.sync.aligned")
    k.do("wgmma.wait_group.sync.aligned 1")
    dump_words(k, sets[0])
    k.do("wgmma.wait_group.sync.aligned 0")
    dump_words(k, sets[1])
    return k


KERNELS = {name: [load_matrix] for name in ("LDMATRIX", "LDMATRIX2", "LDMAT_B8", "LDMAT_B6")}
KERNELS.update({name: [store_matrix] for name in ("STMATRIX", "STMATRIX2", "STMAT_B8")})
KERNELS.update({name: [mma] for name in ("MMA", "MMA_QUAD", "MMA_F64", "MMA_B1", "MMA_KIND", "MMA_SCALE", "MMA_KIND2", "MMA_SCALE2")})
KERNELS.update({name: [warpgroup_mma] for name in ("WGMMA_H", "WGMMA_BF", "WGMMA_TF32", "WGMMA_FP8", "WGMMA_INT",
                                                   "WGMMA_B1", "WGMMA_SP_H",
                                                   "WGMMA_SP_BF", "WGMMA_SP_TF32", "WGMMA_SP_FP8", "WGMMA_SP_INT")})
KERNELS.update({name: [warpgroup_order] for name in ("WGMMA_FENCE", "WGMMA_COMMIT", "WGMMA_WAIT")})
KERNELS["MOVMATRIX"] = [move_matrix]
