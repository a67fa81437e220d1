"""Micro-kernels of tensor tiles and tensor maps."""
from asynchronous import Bar, everyone, prepare_out
from kernel import Kernel
from memory import policy


class Map:
    """A tensor map's arguments; `source` says whether its tensor lies in the inputs or in the outputs."""

    def __init__(self, dtype, dims, strides, box, steps=None, swizzle=0, fill=0, source="in", offset=0):
        self.dtype, self.dims, self.strides, self.box = dtype, dims, strides, box
        self.steps = steps or [1] * len(dims)
        self.swizzle, self.fill, self.source, self.offset = swizzle, fill, source, offset


DTYPES = {"u8": 0, "u16": 1, "u32": 2, "s32": 3, "u64": 4, "s64": 5, "f16": 6, "f32": 7, "f64": 8, "bf16": 9, "f32_ftz": 10,
          "tf32": 11, "tf32_ftz": 12}
SIZES = {"u8": 1, "u16": 2, "u32": 4, "s32": 4, "u64": 8, "s64": 8, "f16": 2, "f32": 4, "f64": 8, "bf16": 2, "f32_ftz": 4,
         "tf32": 4, "tf32_ftz": 4}


def rank_of(words):
    return next(int(w[1]) for w in words if len(w) == 3 and w[2] == "d" and w[1].isdigit())


def strides_of(dims, size):
    out, pitch = [], (dims[0] * size + 15) // 16 * 16 + 16
    for d in dims[1:]:
        out.append(pitch)
        pitch *= d
    return out, pitch


def load_maps(rank, gather=False):
    """Maps of this rank: (map, coordinates). Types, swizzles, steps, fills and places differ from one to the next."""
    cases = [("u8", 0, 0), ("u16", 1, 0), ("f16", 2, 1), ("bf16", 3, 1), ("u32", 3, 0), ("f32", 0, 1), ("f64", 1, 1),
             ("u64", 2, 0), ("f32_ftz", 0, 0), ("tf32", 3, 0), ("s32", 2, 0), ("s64", 0, 0), ("tf32_ftz", 0, 1)]
    if gather:
        cases = [c for c in cases if c[1] in (0, 3) and "tf32" not in c[0]]
    for i, (dtype, swizzle, fill) in enumerate(cases):
        size = SIZES[dtype]
        span = {0: 64, 1: 32, 2: 64, 3: 128}[swizzle]
        box = [(span if i % 3 else max(16, span // 2)) // size] + [4 - (d + i) % 3 for d in range(rank - 1)]
        dims = [box[0] + 3 + 16 // size] + [5 + (d + i) % 3 for d in range(rank - 1)]
        steps = [1] + [1 + (d + i) % 2 for d in range(rank - 1)]
        if gather:
            box, dims, steps = [box[0], 1], [dims[0], 9], None
        strides, _ = strides_of(dims, size)
        coords = [(16 // size) * ((i % 3) - 1)] + [(i + 2 * d) % 5 - 1 for d in range(rank - 1)]
        if gather:
            coords = [coords[0], 3, -1, 8, 2]
        yield Map(DTYPES[dtype], dims, strides, box, steps, swizzle, fill), coords, size, span if swizzle else 0


def box_counts(m, gather):
    counts = [m.box[0]] + [-(-b // s) for b, s in zip(m.box[1:], m.steps[1:])]
    return counts + [4] if gather and len(counts) == 1 else (counts[:1] + [4] if gather else counts)


def tile_bytes(m, size, span, gather):
    rows = 1
    for c in box_counts(m, gather)[1:]:
        rows *= c
    dense = rows * m.box[0] * size
    return dense, rows * (span or m.box[0] * size)


def tensor_load(row, words, op):
    rank, gather, multicast = rank_of(words), ".tile::gather4" in words, ".multicast::cluster" in words
    if gather and rank != 2:
        return None
    k = Kernel(op, threads=128, cluster=2 if multicast else 1)
    k.shared("area", 16384, 1024)
    cases = list(load_maps(rank, gather))
    if multicast or ".L2::cache_hint" in words:
        cases = cases[3:5]
    x, w, mask = k.reg("x"), k.reg("w"), k.reg("h")
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    k.do("mov.u32 %s, area" % w, "mov.b16 %s, %d" % (mask, 3))
    for i, (m, coords, size, span) in enumerate(cases):
        _, pitch = strides_of(m.dims, size)
        m.offset = k.block("u64", 2 * pitch + 1024)
        k.maps.append(m)
        dense, whole = tile_bytes(m, size, span, gather)
        room = (whole + 1023) // 1024 * 1024
        assert room <= 16384, (op, m.box, whole)
        if multicast:
            room = 8192
        k.do("bar.sync 0")
        before = k.in_bytes
        k.fill_shared("area", "u64", room)
        bar = Bar(k, 1, "bar%d" % i)
        k.do("fence.proxy.async.shared::cta", "bar.sync 0")
        if k.cluster > 1:
            everyone(k)
        bar.one("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%s], %d" % (bar.at, dense * (2 if multicast else 1)))
        if k.cluster > 1:
            everyone(k)
        k.do("mov.b64 %s, map%d" % (x, i), "cvta.param.u64 %s, %s" % (x, x))
        to = w
        if multicast:  # each CTA's copy goes to both, to its own place
            to = k.reg("w")
            k.do("mad.lo.u32 %s, %%cta, 4096, %s" % (to, w))
        bar.one("%s [%s], [%s, {%s}], [%s]%s%s" % (op, to, x, ", ".join(map(str, coords)), bar.at,
                                                   ", " + mask if multicast else "", hint))
        bar.wait()
        dumped = k.dump_shared("area", room)
        k.tiles.append((m, coords, before, room, dumped, size, span or m.box[0] * size))
        if k.cluster > 1:
            everyone(k)
    return k


REDUCE_TYPES = {".add": ("u32", "s32", "u64", "f32", "f16", "bf16"), ".min": ("u32", "s32", "u64", "s64", "f16", "bf16"),
                ".max": ("u32", "s32", "u64", "s64", "f16", "bf16"), ".inc": ("u32",), ".dec": ("u32",),
                ".and": ("u32", "u64"), ".or": ("u32", "u64"), ".xor": ("u32", "u64")}


def tensor_store(row, words, op):
    rank = rank_of(words)
    if ".tile::scatter4" in words:
        return None
    reduce_ = next((w for w in words if w in REDUCE_TYPES), None)
    dtypes = REDUCE_TYPES[reduce_] if reduce_ else ("u8", "u16", "bf16", "u32", "f32", "u64", "f64")
    if ".L2::cache_hint" in words:
        dtypes = dtypes[:2]
    k = Kernel(op, threads=128)
    k.shared("area", 16384, 1024)
    x, w = k.reg("x"), k.reg("w")
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    k.do("mov.u32 %s, area" % w)
    for i, dtype in enumerate(dtypes):
        size, swizzle = SIZES[dtype], (i + rank) % 4
        span = {0: 64, 1: 32, 2: 64, 3: 128}[swizzle]
        box = [(span if i % 2 else max(16, span // 2)) // size] + [3 - (d + i) % 2 for d in range(rank - 1)]
        dims = [box[0] + 3 + 16 // size] + [4 + (d + i) % 3 for d in range(rank - 1)]
        strides, pitch = strides_of(dims, size)
        kind = "@small32" if reduce_ in (".inc", ".dec") else "@" + dtype
        m = Map(DTYPES[dtype], dims, strides, box, None, swizzle, 0, "out", k.room(pitch + 256))
        k.maps.append(m)
        prepare_out(k, m.offset, (pitch + 256) // 16 * 16, kind)
        dense, whole = tile_bytes(m, size, span if swizzle else 0, False)
        k.do("bar.sync 0")
        k.fill_shared("area", kind, (whole + 1023) // 1024 * 1024)
        bar = Bar(k, 0, "bar%d" % i)
        coords = [(16 // size) * (i % 2)] + [(i + 2 * d) % 4 for d in range(rank - 1)]
        k.do("fence.proxy.async", "bar.sync 0", "mov.b64 %s, map%d" % (x, i), "cvta.param.u64 %s, %s" % (x, x))
        bar.one("%s [%s, {%s}], [%s]%s" % (op, x, ", ".join(map(str, coords)), w, hint))
        bar.one("cp.async.bulk.commit_group")
        bar.one("cp.async.bulk.wait_group 0")
        k.do("bar.sync 0")
    return k


def one_map(k, rank=2):
    m = Map(DTYPES["u32"], [8] * rank, strides_of([8] * rank, 4)[0], [4] * rank)
    m.offset = k.block("u64", strides_of(m.dims, 4)[1] + 64)
    k.maps.append(m)
    x = k.reg("x")
    k.do("mov.b64 %s, map%d" % (x, len(k.maps) - 1))
    return x


def tensor_prefetch(row, words, op):
    rank = rank_of(words) if row.name == "TMA_PREF" else 2
    if ".tile::gather4" in words:
        return None
    k = Kernel(op, threads=32)
    x, a, bar = one_map(k, rank), k.operand("u32"), Bar(k, 0)
    if row.name == "PREF_MAP":
        if ".const" in words:
            k.module_lines.append(".const .align 64 .b8 table@@[128];")
            k.do("mov.u64 %s, table@@" % x)
        elif ".param" not in words:
            k.do("cvta.param.u64 %s, %s" % (x, x))
        if ".const" in words:  # nothing can make a map there: no thread takes the path
            k.do("setp.eq.u32 %s, %%t, 9999" % bar.first)
        bar.one("%s [%s]" % (op, x) if ".param" not in words else "%s [map0]" % op)
    else:
        k.do("cvta.param.u64 %s, %s" % (x, x))
        hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
        bar.one("%s [%s, {%s}]%s" % (op, x, ", ".join(["0"] * rank), hint))
    k.result(a)
    return k


FIELD_VALUES = {".global_address": ("b64", "%in"), ".rank": ("b32", "1"), ".elemtype": ("b32", "3"),
                ".interleave_layout": ("b32", "0"), ".swizzle_mode": ("b32", "2"), ".swizzle_atomicity": ("b32", "0"),
                ".fill_mode": ("b32", "1"), ".box_dim": ("b32", "4"), ".global_dim": ("b32", "6"),
                ".global_stride": ("b64", "96"), ".element_stride": ("b32", "2")}


def map_replace(row, words, op):
    """A copied map with one field replaced: what a load through it then brings."""
    field = next(w for w in words if w in FIELD_VALUES)
    width, value = FIELD_VALUES[field]
    if "." + width not in words:
        return None
    in_shared = ".shared::cta" in words
    k = Kernel(op, threads=32)
    m = Map(DTYPES["u32"] if field == ".elemtype" else DTYPES["f32"], [24, 12], [128], [8, 8])
    m.offset = k.block("f32", 4096)
    k.maps.append(m)
    at = k.room(256)
    k.shared("copy", 128, 128)
    k.shared("area", 4096, 1024)
    before = k.in_bytes
    k.fill_shared("area", "u64", 4096)
    bar = Bar(k, 1)
    x, x2, w, g = k.reg("x"), k.reg("x"), k.reg("w"), k.reg("x")
    k.do("add.u64 %s, %%out, %d" % (g, at + 127), "and.b64 %s, %s, -128" % (g, g), "mov.u32 %s, copy" % w)
    k.do("mov.b64 %s, map0" % x, "cvta.param.u64 %s, %s" % (x, x), "mov.u64 %s, copy" % x2)
    one = k.label()
    ordinal = ", 0" if field in (".global_stride",) else ", 1" if row.name == "TMAP_REPO" else ""
    k.do("@!%s bra %s" % (bar.first, one))
    v = k.reg("x")
    for i in range(16):
        k.do("ld.b64 %s, [%s+%d]" % (v, x, 8 * i))
        k.do("st.shared.b64 [%s+%d], %s" % (w, 8 * i, v) if in_shared else "st.global.b64 [%s+%d], %s" % (g, 8 * i, v))
    if value == "%in":
        value = k.reg("x")
        k.do("add.u64 %s, %%in, %d" % (value, m.offset + 256))
    k.do("%s [%s]%s, %s" % (op, x2 if in_shared else g, ordinal, value))
    k.do(one + ":", "bar.sync 0")
    copy_map(k, in_shared, g, "gpu")
    dense = 8 * 8 * 4 // (2 if field in (".element_stride", ".box_dim") else 1)
    k.do("fence.proxy.async.shared::cta", "bar.sync 0", "mov.u32 %s, area" % w)
    bar.one("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%s], %d" % (bar.at, dense))
    bar.one("cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%s, {20, -2}], [%s]"
            % (w, g, bar.at))
    bar.wait()
    k.tiles.append((m, [20, -2], before, 4096, k.dump_shared("area", 4096), 4, 32))
    return hide_map(k, g)


def hide_map(k, g):
    """The map's bytes are each machine's own: they leave the output."""
    k.do("bar.sync 0")
    for i in range(16):
        k.do("st.global.b64 [%s+%d], 0" % (g, 8 * i))
    return k


def copy_map(k, in_shared, g, scope, op=None):
    if in_shared:
        w = k.reg("w")
        k.do("mov.u32 %s, copy" % w,
             "%s [%s], [%s], 128" % (op or "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.%s"
                                     ".sync.aligned" % scope, g, w))
    else:
        k.do("fence.proxy.tensormap::generic.release.%s" % scope)
    k.do("fence.proxy.tensormap::generic.acquire.%s [%s], 128" % (scope, g))


def map_copy(row, words, op):
    scope = next(w for w in words if w in (".cta", ".cluster", ".gpu", ".sys"))[1:]
    k = Kernel(op, threads=32)
    m = Map(DTYPES["u32"], [24, 12], [128], [8, 8])
    m.offset = k.block("u32", 4096)
    k.maps.append(m)
    at = k.room(256)
    k.shared("copy", 128, 128)
    k.shared("area", 1024, 1024)
    k.fill_shared("area", "u64", 1024)
    bar = Bar(k, 1)
    x, w, g, v, one = k.reg("x"), k.reg("w"), k.reg("x"), k.reg("x"), k.label()
    k.do("add.u64 %s, %%out, %d" % (g, at + 127), "and.b64 %s, %s, -128" % (g, g), "mov.u32 %s, copy" % w,
         "mov.b64 %s, map0" % x, "cvta.param.u64 %s, %s" % (x, x), "@!%s bra %s" % (bar.first, one))
    shared = row.name == "TMAP_COPY"
    for i in range(16):
        k.do("ld.b64 %s, [%s+%d]" % (v, x, 8 * i),
             "st.shared.b64 [%s+%d], %s" % (w, 8 * i, v) if shared else "st.global.b64 [%s+%d], %s" % (g, 8 * i, v))
    k.do(one + ":", "bar.sync 0")
    if shared:
        copy_map(k, True, g, scope, op)
    elif row.name == "FENCE_TMR":
        k.do(op, "fence.proxy.tensormap::generic.acquire.%s [%s], 128" % (scope, g))
    else:
        k.do("fence.proxy.tensormap::generic.release.%s" % scope, "%s [%s], 128" % (op, g))
    k.do("fence.proxy.async.shared::cta", "bar.sync 0", "mov.u32 %s, area" % w)
    bar.one("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%s], 256" % bar.at)
    bar.one("cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%s, {4, 3}], [%s]"
            % (w, g, bar.at))
    bar.wait()
    k.dump_shared("area", 1024)
    return hide_map(k, g)


KERNELS = {
    "TMA_LOAD": [tensor_load], "TMA_STORE": [tensor_store], "TMA_RED": [tensor_store], "TMA_PREF": [tensor_prefetch],
    "PREF_MAP": [tensor_prefetch], "TMAP_REP": [map_replace], "TMAP_REPO": [map_replace], "TMAP_COPY": [map_copy],
    "FENCE_TMA": [map_copy], "FENCE_TMR": [map_copy]}
