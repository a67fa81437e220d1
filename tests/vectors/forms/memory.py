"""Micro-kernels of loads, stores, atomics, reductions, asynchronous copies of threads, and cache hints."""
from kernel import Kernel
from pools import bits_of
from scalar import types

SPACES = (".global", ".shared", ".shared::cta", ".shared::cluster", ".local", ".param", ".param::entry", ".param::func",
          ".const")
CELL = 32  # bytes of memory of each thread


def space_of(words):
    return next((w for w in words if w in SPACES), "")


def lanes_of(words):
    return next((int(w[2:]) for w in words if w in (".v2", ".v4", ".v8")), 1)


def policy(k):
    x = k.reg("x")
    k.do("createpolicy.fractional.L2::evict_last.b64 %s, 1.0" % x)
    return x


def cell_address(k, space, source="in", at=None):
    """A register (64 or 32 bits) with the address of this thread's CELL bytes in that space, filled with input."""
    kind = "u64"
    if space in (".global", "", ".const", ".param", ".param::entry", ".param::func"):
        at = k.block(kind, CELL * k.total) if at is None else at
        x = k.reg("x")
        k.do("mad.wide.u32 %s, %%g, %d, %%%s" % (x, CELL, source), "add.u64 %s, %s, %d" % (x, x, at))
        return x
    if space == ".local":
        k.do(".local .align 32 .b8 mine[%d]" % CELL)
        source_at = cell_address(k, "")
        x, base = k.reg("x"), k.reg("x")
        k.do("mov.u64 %s, mine" % base)
        for i in range(CELL // 8):
            k.do("ld.global.b64 %s, [%s+%d]" % (x, source_at, 8 * i), "st.local.b64 [%s+%d], %s" % (base, 8 * i, x))
        return base
    name = k.shared("area", CELL * k.threads, 32)
    k.fill_shared(name, kind, CELL * k.threads)
    w = k.reg("w")
    k.do("mov.u32 %s, %s" % (w, name), "mad.lo.u32 %s, %%t, %d, %s" % (w, CELL, w))
    if space == ".shared::cluster":
        rank = k.reg("w")
        k.do("mov.u32 %s, %%cluster_ctarank" % rank, "mapa.shared::cluster.u32 %s, %s, %s" % (w, w, rank))
    return w


def registers(k, words):
    t = types(words)[-1]
    regs = [k.reg({8: "w", 16: "h", 32: "w", 64: "x", 128: "q"}[bits_of(t)]) for _ in range(lanes_of(words))]
    return regs, regs[0] if len(regs) == 1 else "{%s}" % ", ".join(regs)


def load(row, words, op):
    space = space_of(words)
    k = Kernel(op)
    regs, dest = registers(k, words)
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    t = types(words)[-1]
    if space == ".const":
        k.module_lines.append(".const .align 32 .b8 table@@[32] = {%s};" %
                              ", ".join(str(k.salt(i) % 256) for i in range(32)))
        address = k.reg("x")
        k.do("mov.u64 %s, table@@" % address)
    elif space.startswith(".param"):
        if bits_of(t) * len(regs) > 128 or space == ".param::func":
            return None
        address = "pin"  # what it is differs from machine to machine: compared with itself
        return load_param(k, op, regs, dest, t)
    else:
        address = cell_address(k, space)
    k.do("%s %s, [%s]%s" % (op, dest, address, hint))
    if bits_of(t) * len(regs) <= 128:
        for r in regs:
            k.result(r)
        k.do("%s %s, [%s+%d]%s" % (op, dest, address, 16, hint))
    for r in regs:
        k.result(r)
    return k


def load_param(k, op, regs, dest, t):
    """The bytes of the output pointer, loaded in pieces, against the pointer loaded whole."""
    if bits_of(t) * len(regs) > 64:
        return None
    x, y, ok = k.reg("x"), k.reg("x"), k.reg("p")
    k.do("%s %s, [pout]" % (op, dest), "mov.b64 %s, %%out" % x)
    bits = bits_of(t)
    for i, r in enumerate(regs):
        part = k.reg("x")
        if bits == 64:
            k.do("mov.b64 %s, %s" % (part, r))
        else:
            k.do("cvt.u64.u%d %s, %s" % (16 if r[1] == "h" else 32, part, r))
            k.do("shl.b64 %s, %s, %d" % (part, part, 64 - bits), "shr.u64 %s, %s, %d" % (part, part, 64 - bits))
        k.do("bfe.u64 %s, %s, %d, %d" % (y, x, bits * i, bits), "setp.eq.u64 %s, %s, %s" % (ok, y, part))
        k.result(ok)
    return k


def store(row, words, op):
    space = space_of(words)
    if space in (".const", ".param", ".param::entry", ".param::func"):
        return None if space != ".param::func" else store_param(row, words, op)
    k = Kernel(op)
    t = types(words)[-1]
    values = [k.operand({8: "u32", 128: "b128"}.get(bits_of(t), t)) for _ in range(lanes_of(words))]
    source = values[0] if len(values) == 1 else "{%s}" % ", ".join(values)
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    if space in ("", ".global"):
        at = k.room(CELL * k.total)
        address = cell_address(k, space, "out", at)
    else:
        address = cell_address(k, space)
    k.do("%s [%s], %s%s" % (op, address, source, hint))
    if space not in ("", ".global"):
        for i in range(CELL // 8):
            x = k.reg("x")
            k.do("ld%s.b64 %s, [%s+%d]" % (space, x, address, 8 * i))
            k.result(x)
    return k


def store_param(row, words, op):
    """A call that passes the value through the parameter space of a function."""
    t = types(words)[-1]
    if lanes_of(words) != 1 or bits_of(t) not in (32, 64):
        return None
    k = Kernel(op)
    bits = bits_of(t)
    k.module_lines.append(".func (.param .b%d back) pass@@(.param .b%d given) {\n.reg .b%d v;\nld.param.b%d v, [given];\n"
                          "add.u%d v, v, 1;\nst.param.b%d [back], v;\nret;\n}" % ((bits,) * 6))
    a, d = k.operand(t), k.reg_of(t)
    k.do("{", ".param .b%d g" % bits, ".param .b%d b" % bits, "%s [g], %s" % (op, a), "call (b), pass@@, (g)",
         "ld.param.b%d %s, [b]" % (bits, d), "}")
    k.result(d)
    return k


# --- atomics
def atomic_operands(k, row, words):
    t = types(words)[-1]
    n = lanes_of(words)
    if t == "b128":
        return [k.operand("b128") for _ in range(2 if row.name == "ATOM_CAS" else 1)]
    if n > 1:
        return ["{%s}" % ", ".join(k.operand(t) for _ in range(n))]
    kind = {"ATOM_CAS": "small64" if bits_of(t) == 64 else "small", "ATOM_INC": "small", "RED_INC": "small"}.get(row.name, t)
    if row.name == "ATOM_CAS" and bits_of(t) == 16:
        kind = "b16"
    return [k.operand(kind) for _ in range(2 if row.name == "ATOM_CAS" else 1)]


def atomic(row, words, op):
    """Every thread on a cell of its own; then, where order does not show, all threads on one cell."""
    space, t = space_of(words), types(words)[-1]
    k = Kernel(op, threads=128)
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    returns = row.base == "atom"
    args = atomic_operands(k, row, words)
    kind = "small" if row.name in ("ATOM_INC", "RED_INC") else t if lanes_of(words) == 1 else t
    initial = [k.operand("u32" if bits_of(kind) == 8 else kind) for _ in range(lanes_of(words))]
    if row.name == "ATOM_CAS" and t != "b128":  # half of the threads find what they compare with
        p = k.operand("pred")
        k.do("selp.b%d %s, %s, %s, %s" % (bits_of(t), initial[0], args[0], initial[0], p))
    if space in ("", ".global"):
        at = k.room(CELL * k.total)
        address = cell_address(k, space, "out", at)
        st = "st.global"
    else:
        address = cell_address(k, space)
        st = "st" + space
    size = bits_of(t) // 8
    for i, r in enumerate(initial):
        k.do("%s.b%d [%s+%d], %s" % (st, bits_of(t), address, size * i, r))
    dest = ""
    if returns:
        old = [k.reg_of(t) for _ in range(lanes_of(words))]
        dest = (old[0] if len(old) == 1 else "{%s}" % ", ".join(old)) + ", "
    k.do("%s %s[%s], %s%s" % (op, dest, address, ", ".join(args), hint))
    if returns:
        for r in old:
            k.result(r)
    if space not in ("", ".global"):
        for i in range(2):
            x = k.reg("x")
            k.do("ld%s.b64 %s, [%s+%d]" % (space, x, address, 8 * i))
            k.result(x)
    together(k, row, words, op, space, args, hint)
    return k


def together(k, row, words, op, space, args, hint):
    t = types(words)[-1]
    if t[0] not in "subb" or t.startswith("bf") or row.name in ("ATOM_CAS", "ATOM_EXCH") or lanes_of(words) > 1:
        return
    if row.name in ("ATOM_INC", "RED_INC"):
        args = ["9"]
    bits = bits_of(t)
    if space in ("", ".global"):
        at = k.room(16)
        address = k.reg("x")
        k.do("add.u64 %s, %%out, %d" % (address, at))
    else:
        k.shared("one", 16)
        address = k.reg("w")
        p, r = k.reg("p"), k.reg("x")
        k.do("mov.u32 %s, one" % address, "setp.eq.u32 %s, %%t, 0" % p, "mov.b64 %s, 0" % r,
             "@%s st.shared.b64 [%s], %s" % (p, address, r), "bar.sync 0")
        if space == ".shared::cluster":
            rank = k.reg("w")
            k.do("mov.u32 %s, %%cluster_ctarank" % rank, "mapa.shared::cluster.u32 %s, %s, %s" % (address, address, rank))
    d = k.reg_of(t)
    k.do("%s %s[%s], %s%s" % (op, d + ", " if row.base == "atom" else "", address, ", ".join(args), hint))
    if space not in ("", ".global"):
        x = k.reg_of(t)
        k.do("bar.sync 0", "ld%s.b%d %s, [%s]" % (space, bits, x, address))
        k.result(x)


# --- hints
def hint_only(row, words, op):
    """Nothing but the memory it names may be seen: the data behind it stays."""
    k = Kernel(op)
    if row.name == "PREFETCH" and ".local" in words:
        address = cell_address(k, ".local")
        k.do("%s [%s]" % (op, address))
    elif row.name in ("DISCARD", "APPLYPRIO"):
        at = k.room(128 * k.total)
        address = k.reg("x")
        k.do("mad.wide.u32 %s, %%g, 128, %%out" % address, "add.u64 %s, %s, %d" % (address, address, at))
        if row.name == "DISCARD":  # what was there is undefined behind it: written again
            k.do("%s [%s], 128" % (op, address))
            for i in range(0, 128, 8):
                k.do("st.global.b64 [%s+%d], %d" % (address, i, i))
        else:
            k.do("st.global.b64 [%s], 5" % address, "%s [%s], 128" % (op, address))
        return k
    elif row.name == "BULK_PREF":
        address = cell_address(k, "")
        k.do("%s [%s], 32%s" % (op, address, ", " + policy(k) if ".L2::cache_hint" in words else ""))
    elif row.name == "PREFETCHU":
        address = cell_address(k, "")
        k.do("%s [%s]" % (op, address))
    else:
        address = cell_address(k, "")
        k.do("%s [%s]" % (op, address))
    x = k.reg("x")
    k.do("ld%s.b64 %s, [%s]" % (".local" if ".local" in words else "", x, address))
    k.result(x)
    return k


def make_policy(row, words, op):
    """The policy's bits are nobody's business; a load that carries it gives the memory's value."""
    k = Kernel(op)
    address = cell_address(k, "")
    x, w = k.reg("x"), k.reg("w")
    if row.name == "POLICY_F":
        k.do("%s %s, 0.5" % (op, x))
        k.do("%s %s" % (op, x))
    else:
        k.do("%s %s, [%s], 16, 32" % (op, x, address))
    k.do("ld.global.L2::cache_hint.b32 %s, [%s], %s" % (w, address, x))
    k.result(w)
    return k


# --- cp.async
def cp_async(row, words, op):
    k = Kernel(op)
    k.shared("area", CELL * k.threads, 32)
    k.fill_shared("area", "u64", CELL * k.threads)
    w = k.reg("w")
    k.do("mov.u32 %s, area" % w, "mad.lo.u32 %s, %%t, %d, %s" % (w, CELL, w))
    source = cell_address(k, "")
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    sizes = (16,) if ".cg" in words else (4, 8, 16)
    for i, size in enumerate(sizes):
        k.do("%s [%s], [%s+%d], %d%s" % (op, w, source, 0 if size == 16 else 8 * i, size, hint), "cp.async.wait_all")
        read_cells(k, w)
        some = k.reg("w")  # fewer source bytes than the copy has: zeros behind
        k.do("and.b32 %s, %%t, %d" % (some, size - 1))
        k.do("%s [%s+16], [%s+%d], %d, %s%s" % (op, w, source, 16 if size == 16 else 8 * i, size, some, hint),
             "cp.async.wait_all")
        read_cells(k, w)
    if not hint:
        p = k.operand("pred")  # ignored source: zeros
        k.do("%s [%s], [%s], %d, %s" % (op, w, source, sizes[-1], p), "cp.async.wait_all")
        read_cells(k, w)
    return k


def read_cells(k, w):
    for i in range(CELL // 8):
        x = k.reg("x")
        k.do("ld.shared.b64 %s, [%s+%d]" % (x, w, 8 * i))
        k.result(x)


def cp_async_groups(row, words, op):
    """Two groups; the wait under test lets the first, or both, be read."""
    k = Kernel(op)
    k.shared("area", CELL * k.threads, 32)
    w = k.reg("w")
    k.do("mov.u32 %s, area" % w, "mad.lo.u32 %s, %%t, %d, %s" % (w, CELL, w))
    source = cell_address(k, "")
    for i in range(2):
        k.do("cp.async.ca.shared.global [%s+%d], [%s+%d], 16" % (w, 16 * i, source, 16 * i), "cp.async.commit_group")
    k.do({"CPASYNC_W": "cp.async.wait_group 1", "CPASYNC_C": "cp.async.wait_group 1",
          "CPASYNC_A": "cp.async.wait_all"}[row.name])
    for i in range(2):
        x = k.reg("x")
        k.do("ld.shared.b64 %s, [%s+%d]" % (x, w, 8 * i))
        k.result(x)
    k.do("cp.async.wait_all" if row.name == "CPASYNC_A" else "cp.async.wait_group 0")
    x = k.reg("x")
    k.do("ld.shared.b64 %s, [%s+24]" % (x, w))
    k.result(x)
    return k


# --- addresses
def convert_address(row, words, op):
    """Addresses differ between machines; that the converted one reaches the same bytes does not."""
    space = space_of(words)
    k = Kernel(op)
    x, y, w = k.reg("x"), k.reg("x"), k.reg("w")
    if space in (".global", ""):
        if not space:
            return None
        address = cell_address(k, "")
    elif space == ".const":
        k.module_lines.append(".const .align 32 .b8 table@@[8] = {1, 2, 3, 4, 5, 6, 7, 8};")
        address = k.reg("x")
        k.do("mov.u64 %s, table@@" % address)
    elif space.startswith(".param"):
        if space == ".param::func":
            return None
        k.maps_wanted = True
        address = k.reg("x")
        k.do("mov.u64 %s, pout" % address, "cvta.param.u64 %s, %s" % (x, address))
        if ".to" in words:
            k.do("%s %s, %s" % (op, x, x), "cvta.param.u64 %s, %s" % (x, x))
        else:
            k.do("%s %s, %s" % (op, x, address))
        p = k.reg("p")
        k.do("ld.b64 %s, [%s]" % (y, x), "setp.eq.u64 %s, %s, %%out" % (p, y))
        k.result(p)
        return k
    else:
        reg = cell_address(k, space)
        address = reg
        if reg[1] == "w":
            address = k.reg("x")
            k.do("cvt.u64.u32 %s, %s" % (address, reg))
    if ".to" in words:  # from the generic address back to the window
        k.do("cvta%s.u64 %s, %s" % (space, x, address), "%s %s, %s" % (op, x, x))
        k.do("ld%s.b32 %s, [%s]" % (space, w, x))
    else:
        k.do("%s %s, %s" % (op, x, address), "ld.b32 %s, [%s]" % (w, x))
    k.result(w)
    return k


def is_space(row, words, op):
    k = Kernel(op)
    k.module_lines.append(".const .align 32 .b8 table@@[8] = {1, 2, 3, 4, 5, 6, 7, 8};")
    k.do(".local .align 8 .b8 mine[8]", ".shared .align 8 .b8 area[8]")
    x, p = k.reg("x"), k.reg("p")
    k.do("mov.u64 %s, mine" % x, "st.local.b64 [%s], %%out" % x)
    for source in ("in", "mine", "area", "table@@", "pout", "cluster"):
        if source == "in":
            k.do("mov.b64 %s, %%in" % x)
        elif source == "cluster":
            w = k.reg("w")
            k.do("mov.u64 %s, area" % x, "cvta.shared.u64 %s, %s" % (x, x), "mov.u32 %s, %%cluster_ctarank" % w,
                 "mapa.u64 %s, %s, %s" % (x, x, w))
        else:
            space = {"mine": "local", "area": "shared", "table@@": "const", "pout": "param"}[source]
            k.do("mov.u64 %s, %s" % (x, source), "cvta.%s.u64 %s, %s" % (space, x, x))
        k.do("%s %s, %s" % (op, p, x))
        k.result(p)
    return k


KERNELS = {name: [load] for name in ("LD", "LD_VOL", "LD_STRONG", "LD_MMIO", "LDU")}
KERNELS.update({name: [store] for name in ("ST", "ST_VOL", "ST_STRONG", "ST_MMIO")})
KERNELS.update({name: [atomic] for name in (
    "ATOM_CAS", "ATOM_EXCH", "ATOM_BIT", "ATOM_INT", "ATOM_INC", "ATOM_FLT", "ATOM_HALF", "ATOM_VEC", "ATOM_VECH",
    "RED_BIT", "RED_INT", "RED_INC", "RED_FLT", "RED_HALF", "RED_VEC", "RED_VECH")})
KERNELS.update({name: [hint_only] for name in ("PREFETCH", "PREFETCHP", "PREFETCHU", "DISCARD", "APPLYPRIO", "BULK_PREF")})
KERNELS.update({"POLICY_F": [make_policy], "POLICY_R": [make_policy], "CPASYNC": [cp_async],
                "CPASYNC_C": [cp_async_groups], "CPASYNC_W": [cp_async_groups], "CPASYNC_A": [cp_async_groups],
                "CVTA": [convert_address], "ISSPACEP": [is_space]})
