"""Micro-kernels of operations between the threads of a warp, control, barriers and fences."""
from kernel import Kernel
from pools import bits_of
from scalar import types


def shuffle(row, words, op):
    k = Kernel(op)
    a, d, p = k.operand("b32"), k.reg("w"), k.reg("p")
    for b, c in (("1", "31"), ("3", "0x1C1F"), ("17", "0x180F"), (k.operand("lane"), "31"), ("0", "0")):
        if ".up" in words:
            c = {"31": "0", "0x1C1F": "0x1C00", "0x180F": "0x1800"}.get(c, c)
        k.do("%s %s|%s, %s, %s, %s, -1" % (op, d, p, a, b, c))
        k.result(p)
        k.do("%s %s, %s, %s, %s, -1" % (op, d, a, b, c))
        k.result(d)
    # a part of the warp
    q = k.reg("p")
    k.zero(d)
    k.do("and.b32 %s, %%t, 31" % (w := k.reg("w")), "setp.lt.u32 %s, %s, 16" % (q, w),
         "@%s %s %s, %s, 1, %s, 0xFFFF" % (q, op, d, a, "0x1000" if ".up" in words else "0x101F"))
    k.result(d)
    return k


def vote(row, words, op):
    k = Kernel(op)
    p = k.operand("pred")
    d = k.reg("w") if row.name == "BALLOT" else k.reg("p")
    t, q, q2, w = k.reg("w"), k.reg("p"), k.reg("p"), k.reg("w")
    k.do("%s %s, %s, -1" % (op, d, p))
    k.result(d)
    k.do("%s %s, !%s, -1" % (op, d, p))
    k.result(d)
    k.do("and.b32 %s, %%t, 31" % t, "setp.ge.u32 %s, %s, 20" % (q, t), "setp.lt.u32 %s, %%t, 32" % q2)
    k.do("%s %s, %s, -1" % (op, d, q2))  # one warp all, one warp none
    k.result(d)
    k.zero(d)
    k.do("@%s %s %s, %s, 0xFFF00000" % (q, op, d, p))
    k.result(d)
    return k


def match(row, words, op):
    t = types(words)[-1]
    k = Kernel(op)
    d, p, q, lane = k.reg("w"), k.reg("p"), k.reg("p"), k.reg("w")
    out = "%s|%s" % (d, p) if row.name == "MATCH_ALL" else d
    values = [k.operand("small64" if t == "b64" else "small")]
    same = k.reg_of(t)
    k.do("mov.b%d %s, 7" % (bits_of(t), same))
    k.do("and.b32 %s, %%t, 31" % lane, "setp.lt.u32 %s, %s, 9" % (q, lane))
    for v in values + [same]:
        k.do("%s %s, %s, -1" % (op, out, v))
        k.result(d)
        if row.name == "MATCH_ALL":
            k.result(p)
        k.zero(d)
        k.do("@%s %s %s, %s, 0x1FF" % (q, op, out, v))
        k.result(d)
    return k


def redux(row, words, op):
    t = types(words)[-1]
    k = Kernel(op)
    a, d, q, lane = k.operand(t), k.reg("w"), k.reg("p"), k.reg("w")
    k.do("%s %s, %s, -1" % (op, d, a))
    k.result(d)
    k.do("and.b32 %s, %%t, 31" % lane, "setp.lt.u32 %s, %s, 13" % (q, lane))
    k.zero(d)
    k.do("@%s %s %s, %s, 0x1FFF" % (q, op, d, a))
    k.result(d)
    k.dest, k.sources = t, [t]
    return k


def active(row, words, op):
    k = Kernel(op)
    lane, p, d = k.reg("w"), k.reg("p"), k.reg("w")
    here, join = k.label(), k.label()
    k.do("and.b32 %s, %%t, 31" % lane, "setp.lt.u32 %s, %s, 11" % (p, lane), "%s %s" % (op, d))
    k.result(d)
    k.do("@%s bra %s" % (p, here), "%s %s" % (op, d), "bra " + join, here + ":", "%s %s" % (op, d), join + ":")
    k.do("bar.warp.sync -1")
    k.result(d)
    return k


def elect(row, words, op):
    k = Kernel(op)
    d, p, q, lane = k.reg("w"), k.reg("p"), k.reg("p"), k.reg("w")
    k.do("%s %s|%s, -1" % (op, d, p))
    k.result(d)
    k.result(p)
    k.do("and.b32 %s, %%t, 31" % lane, "setp.ge.u32 %s, %s, 5" % (q, lane))
    k.zero(d)
    k.zero(p)
    k.do("@%s %s %s|%s, 0xFFFFFFE0" % (q, op, d, p))
    k.result(d)
    k.result(p)
    k.do("%s _|%s, -1" % (op, p))
    k.result(p)
    return k


# --- control
def branch(row, words, op):
    k = Kernel(op)
    d, p = k.reg("w"), k.operand("pred")
    there, back, end = k.label(), k.label(), k.label()
    k.do("mov.u32 %s, 3" % d)
    if ".uni" in words:
        k.do("%s %s" % (op, there), "mov.u32 %s, 9" % d, there + ":")
        k.result(d)
        k.do("setp.ne.u32 %s, %%cta, 99" % p, "@%s %s %s" % (p, op, end), "mov.u32 %s, 5" % d, end + ":")
        k.result(d)
        return k
    n = k.operand("lane")
    k.do("@%s %s %s" % (p, op, there), "add.u32 %s, %s, 1" % (d, d), there + ":")
    k.result(d)
    k.do(back + ":", "add.u32 %s, %s, 7" % (d, d), "add.u32 %s, %s, -1" % (n, n), "setp.gt.s32 %s, %s, 0" % (p, n),
         "@%s %s %s" % (p, op, back), end + ":")
    k.result(d)
    return k


def call(row, words, op):
    k = Kernel(op)
    k.module_lines.append(".func (.reg .b32 back) first@@(.reg .b32 a, .reg .b32 b) {\n"
                          "mad.lo.u32 back, a, 3, b;\nret;\n}")
    k.module_lines.append(".func (.param .b64 back) second@@(.param .b64 a) {\n.reg .b64 v;\nld.param.b64 v, [a];\n"
                          "mul.lo.u64 v, v, 5;\nst.param.b64 [back], v;\nret;\n}")
    a, b, d, x = k.operand("u32"), k.operand("u32"), k.reg("w"), k.operand("u64")
    k.do("%s (%s), first@@, (%s, %s)" % (op, d, a, b))
    k.result(d)
    k.do("{", ".param .b64 g", ".param .b64 r", "st.param.b64 [g], %s" % x, "%s (r), second@@, (g)" % op,
         "ld.param.b64 %s, [r]" % x, "}")
    k.result(x)
    return k


def leave(row, words, op):
    """Some threads end early; the others go on."""
    k = Kernel(op)
    p, d = k.operand("pred"), k.reg("w")
    if ".uni" in words:
        k.do("setp.lt.u32 %s, %%t, 32" % p)
    k.do("mov.u32 %s, 4" % d)
    k.result(d)
    k.do("@%s %s" % (p, op), "mov.u32 %s, 6" % d)
    k.result(d)
    return k


def stop(row, words, op):
    """trap and brkpt end a launch with an error: no thread takes the path, so that the machine survives."""
    k = Kernel(op)
    p, d = k.reg("p"), k.reg("w")
    k.do("setp.eq.u32 %s, %%t, 9999" % p, "@%s %s" % (p, op), "mov.u32 %s, 4" % d)
    k.result(d)
    return k


def without_effect(row, words, op):
    k = Kernel(op)
    a = k.operand("u32")
    more = {"NANOSLEEP": " 40", "PMEVENT": " 3", "FENCE_ALI": "", "GRIDDEP": ""}[row.name]
    if ".mask" in words:
        more = " 5"
    k.do("%s%s" % (op, more))
    if row.name == "NANOSLEEP":
        k.do("%s %s" % (op, d := k.operand("lane")))
    k.result(a)
    return k


def setmaxnreg(row, words, op, alone=False):
    """Three warpgroups start with 168 registers; one goes down to 24, two go up to 240. The values stay."""
    k = Kernel(op, threads=384)
    k.directives = " .maxntid 384 .minnctapersm 1"
    values = [k.operand("u32") for _ in range(6)]
    a, p, takers, end = k.operand("u32"), k.reg("p"), k.label(), k.label()
    k.do("setp.ge.u32 %s, %%t, 128" % p, "@%s bra %s" % (p, takers))
    if alone:
        k.do("elect.sync _|%s, -1" % p, "@!%s ret" % p)
    k.do("setmaxnreg.dec.sync.aligned.u32 24", "bra " + end, takers + ":", "setmaxnreg.inc.sync.aligned.u32 240", end + ":")
    for v in values:
        k.do("xor.b32 %s, %s, %s" % (a, a, v))
    k.result(a)
    return k


def setmaxnreg_alone(row, words, op):
    """One thread of each warp of the first group executes it, when the other 31 have exited."""
    return setmaxnreg(row, words, op, True)


# --- barriers of a CTA
def neighbour(k, name="area"):
    """Each thread writes its value, and after the barrier reads that of a thread of the other warp."""
    a, w, w2 = k.operand("u32"), k.reg("w"), k.reg("w")
    k.do("mov.u32 %s, %s" % (w, name), "xor.b32 %s, %%t, 37" % w2, "mad.lo.u32 %s, %s, 4, %s" % (w2, w2, w),
         "mad.lo.u32 %s, %%t, 4, %s" % (w, w))
    return a, w, w2


def barrier(row, words, op):
    k = Kernel(op)
    k.shared("area", 4 * k.threads)
    a, mine, other = neighbour(k)
    d = k.reg("w")
    aligned = row.base == "bar" or ".aligned" in words
    if row.name.endswith(("SYNC",)):
        for args in ("0", "3, 64", "0, 64"):
            k.do("st.shared.b32 [%s], %s" % (mine, a), "%s %s" % (op, args), "ld.shared.b32 %s, [%s]" % (d, other))
            k.result(d)
            k.do("add.u32 %s, %s, 1" % (a, a), "bar.sync 0")
    elif row.name.endswith(("ARRIVE", "ARR")):  # warp 0 writes and arrives, warp 1 synchronises and reads
        p, first, end = k.reg("p"), k.label(), k.label()
        k.zero(d)
        sync = "bar.sync" if aligned else "barrier.sync"
        k.do("setp.lt.u32 %s, %%t, 32" % p, "@%s bra %s" % (p, first), "%s 2, 64" % sync,
             "ld.shared.b32 %s, [%s]" % (d, other), "bra " + end, first + ":", "st.shared.b32 [%s], %s" % (mine, a),
             "%s 2, 64" % op, end + ":")
        k.result(d)
    else:
        p, q = k.operand("pred"), k.reg("p")
        result = d if ".popc" in words else q
        for args in ("0, %s", "1, 64, %s", "1, 64, !%s"):
            k.do("%s %s, %s" % (op, result, args % p))
            k.result(result)
        k.do("setp.lt.u32 %s, %%t, 64" % p, "%s %s, 0, %s" % (op, result, p))
        k.result(result)
        k.do("%s %s, 0, !%s" % (op, result, p))
        k.result(result)
    return k


def warp_barrier(row, words, op):
    k = Kernel(op)
    k.shared("area", 4 * k.threads)
    a, mine, other = neighbour(k)
    d = k.reg("w")
    k.do("mov.u32 %s, area" % other, "xor.b32 %s, %%t, 13" % d, "mad.lo.u32 %s, %s, 4, %s" % (other, d, other))
    k.do("st.shared.b32 [%s], %s" % (mine, a), "%s -1" % op, "ld.shared.b32 %s, [%s]" % (d, other))
    k.result(d)
    p, w = k.reg("p"), k.reg("w")
    k.do("bar.sync 0", "add.u32 %s, %s, 5" % (a, a), "and.b32 %s, %%t, 31" % w, "setp.lt.u32 %s, %s, 16" % (p, w))
    skip = k.label()
    k.do("@!%s bra %s" % (p, skip), "st.shared.b32 [%s], %s" % (mine, a), "%s 0xFFFF" % op,
         "ld.shared.b32 %s, [%s]" % (d, other), skip + ":")
    k.result(d)
    return k


def fence(row, words, op):
    """Message passing between two CTAs (or warps) with this fence on both sides."""
    scope = next((w for w in words if w in (".cta", ".cluster")), ".gpu")
    k = Kernel(op, threads=64)
    k.shared("area", 256)
    k.shared("flag", 8)
    a, mine, other = neighbour(k)
    p, q, w, d, wait, first, end = (k.reg("p"), k.reg("p"), k.reg("w"), k.reg("w"), k.label(), k.label(), k.label())
    f = k.reg("w")
    k.do("mov.u32 %s, flag" % f, "setp.eq.u32 %s, %%t, 0" % p, "@%s st.shared.b32 [%s], 0" % (p, f), "bar.sync 0")
    k.zero(d)
    more = " [%in], 128" if row.name == "FENCE_TMA" else ""
    level = "cta" if scope == ".cta" else "gpu"
    k.do("setp.lt.u32 %s, %%t, 32" % p, "@%s bra %s" % (p, first))
    k.do(wait + ":", "ld.relaxed.%s.shared.b32 %s, [%s]" % (level, w, f), "setp.lt.u32 %s, %s, 32" % (q, w),
         "@%s bra %s" % (q, wait), "fence.acq_rel.%s" % level if row.name != "FENCE" or ".release" in words else op,
         "ld.shared.b32 %s, [%s]" % (d, other), "bra " + end)
    k.do(first + ":", "st.shared.b32 [%s], %s" % (mine, a), "%s%s" % (op, more))
    if row.name in ("FENCE_PXY", "FENCE_PXG", "FENCE_INI", "FENCE_TMR", "FENCE_TMA") or ".acquire" in words:
        k.do("fence.acq_rel.%s" % level)
    k.do("red.relaxed.%s.shared.add.u32 [%s], 1" % (level, f), end + ":")
    k.result(d)
    return k


KERNELS = {
    "SHFL": [shuffle], "VOTE": [vote], "BALLOT": [vote], "MATCH_ANY": [match], "MATCH_ALL": [match], "REDUX": [redux],
    "REDUX_B": [redux], "REDUX_F": [redux], "ACTIVE": [active], "ELECT": [elect], "BRA": [branch], "CALL": [call],
    "RET": [leave], "EXIT": [leave], "TRAP": [stop], "BRKPT": [stop], "NANOSLEEP": [without_effect],
    "PMEVENT": [without_effect], "SETMAXREG": [setmaxnreg, setmaxnreg_alone], "GRIDDEP": [without_effect], "FENCE_ALI": [without_effect],
    "BAR_WARP": [warp_barrier], "MEMBAR": [fence], "FENCE": [fence], "FENCE_PXY": [fence], "FENCE_PXG": [fence],
    "FENCE_TMR": [fence], "FENCE_INI": [fence],
}
KERNELS.update({name: [barrier] for name in ("BAR_SYNC", "BAR_ARRIVE", "BAR_POPC", "BAR_PRED", "BARR_SYNC", "BARR_ARR",
                                             "BARR_POPC", "BARR_PRED")})
