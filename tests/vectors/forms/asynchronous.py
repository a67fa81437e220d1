"""Micro-kernels of mbarriers, bulk copies, st.async and clusters."""
from kernel import Kernel
from memory import policy
from scalar import types


# --- mbarriers
class Bar:
    """An mbarrier in shared memory, and what thread 0 does to it."""

    def __init__(self, k, count, name="bar"):
        self.k, self.name = k, name
        k.shared(name, 8, 8)
        self.at = k.reg("w")
        self.first = k.reg("p")
        k.do("mov.u32 %s, %s" % (self.at, name), "setp.eq.u32 %s, %%t, 0" % self.first)
        if count:
            k.do("@%s mbarrier.init.shared::cta.b64 [%s], %d" % (self.first, self.at, count), "bar.sync 0")

    def one(self, line):
        self.k.do("@%s %s" % (self.first, line))

    def pending(self):
        """The count left in the phase: a noComplete arrival of 1 would change it, so drop nothing: two parities."""
        k, p = self.k, self.k.reg("p")
        k.do("bar.sync 0")
        for parity in (0, 1):
            k.do("mbarrier.test_wait.parity.shared::cta.b64 %s, [%s], %d" % (p, self.at, parity))
            k.result(p)
        if k.cluster > 1:  # before the other CTA goes on
            everyone(k)

    def wait(self, parity=0):
        k, p, again = self.k, self.k.reg("p"), self.k.label()
        k.do(again + ":", "mbarrier.try_wait.parity.shared::cta.b64 %s, [%s], %d" % (p, self.at, parity),
             "@!%s bra %s" % (p, again))


def mbarrier(row, words, op):
    """One barrier of 3 arrivals; the form is used where it fits, and both parities are looked at after each step."""
    name = row.name
    cluster = ".shared::cluster" in words
    k = Kernel(op, threads=32, cluster=2 if cluster else 1)
    bar = Bar(k, 0 if name in ("MBAR_INIT", "MBAR_INVAL") else 3)
    state, n, p = k.reg("x"), k.reg("w"), k.reg("p")
    target = bar.at
    if not any(w.startswith(".shared") for w in words):  # a generic address
        target = k.reg("x")
        k.do("mov.u64 %s, bar" % target, "cvta.shared.u64 %s, %s" % (target, target))
    if cluster:
        rank = k.reg("w")
        target = k.reg("w")
        k.do("mov.u32 %s, %%cluster_ctarank" % rank, "xor.b32 %s, %s, 1" % (rank, rank),
             "mapa.shared::cluster.u32 %s, %s, %s" % (target, bar.at, rank),
             "barrier.cluster.arrive.aligned", "barrier.cluster.wait.aligned")

    def meet():
        if cluster:
            k.do("barrier.cluster.arrive.aligned", "barrier.cluster.wait.aligned")
        else:
            k.do("bar.sync 0")

    arrive = "mbarrier.arrive.shared::cta.b64 _, [%s]" % bar.at
    if name == "MBAR_INIT":
        bar.one("%s [%s], 2" % (op, target))
        bar.pending()
        bar.one("mbarrier.arrive.shared::cta.b64 _, [%s], 2" % bar.at)
        bar.pending()
    elif name == "MBAR_INVAL":  # the memory may be used again
        bar.one("mbarrier.init.shared::cta.b64 [%s], 2" % bar.at)
        bar.one("%s [%s]" % (op, target))
        bar.one("st.shared.b64 [%s], 77" % bar.at)
        k.do("bar.sync 0", "ld.shared.b64 %s, [%s]" % (state, bar.at))
        k.result(state)
    elif name in ("MBAR_ARR", "MBAR_DROP", "MBAR_ARR_N", "MBAR_DRP_N"):
        back = "_" if cluster else state
        count = ", 1" if name.endswith("_N") else ""
        bar.one("%s %s, [%s]%s" % (op, back, target, count))
        meet()
        bar.pending()
        if not cluster:
            observe_state(k, bar, state, n)
        steps = [", 1"] if name.endswith("_N") else [", 1", ", 1", ", 2"]
        if name == "MBAR_DROP":
            steps = [", 1"]
        for more in steps:
            bar.one("%s %s, [%s]%s" % (op, back, target, more))
            meet()
            bar.pending()
            if not cluster:
                observe_state(k, bar, state, n)
        bar.one(arrive)
        meet()
        bar.pending()
        bar.one(arrive)
        meet()
        bar.pending()
    elif name in ("MBAR_ARR_T", "MBAR_DRP_T"):
        back = "_" if cluster else state
        bar.one("%s %s, [%s], 64" % (op, back, target))
        meet()
        bar.pending()
        bar.one("mbarrier.arrive.shared::cta.b64 _, [%s], 2" % bar.at)
        meet()
        bar.pending()
        bar.one("mbarrier.complete_tx.shared::cta.b64 [%s], 64" % bar.at)
        meet()
        bar.pending()
        bar.one("mbarrier.arrive.shared::cta.b64 _, [%s], 2" % bar.at)
        meet()
        bar.pending()
    elif name in ("MBAR_EXP", "MBAR_COMP"):
        other = "mbarrier.complete_tx.shared::cta.b64" if name == "MBAR_EXP" else "mbarrier.expect_tx.shared::cta.b64"
        first, second = (op, other) if name == "MBAR_EXP" else (other, op)
        for line in (first + " [%s], 48", "mbarrier.arrive.shared::cta.b64 _, [%s], 3", second + " [%s], 16",
                     second + " [%s], 32"):
            bar.one(line % (target if line.startswith(op + " ") else bar.at))
            meet()
            bar.pending()
    elif name in ("MBAR_TEST", "MBAR_TRY", "MBAR_TESTP", "MBAR_TRYP"):
        token = k.reg("x")
        parity = name.endswith("P")
        k.zero(token)
        variants = [""] + ([", 100"] if name.startswith("MBAR_TRY") else [])
        # lane 0's first arrival gives the state all its waits look at
        bar.one("mbarrier.arrive.shared::cta.b64 %s, [%s]" % (token, bar.at))
        k.do("bar.sync 0")
        for step in range(3):
            for limit in variants:
                for value in ("0", "1") if parity else (token,):
                    k.zero(p)
                    k.do("@%s %s %s, [%s], %s%s" % (bar.first, op, p, target, value, limit))
                    k.result(p)
            bar.one(arrive)
            k.do("bar.sync 0")
    elif name == "MBAR_PEND":
        k.zero(state)
        for _ in range(4):
            bar.one("mbarrier.arrive.shared::cta.b64 %s, [%s]" % (state, bar.at))
            k.zero(n)
            k.do("@%s %s %s, %s" % (bar.first, op, n, state))
            k.result(n)
    meet()
    return k


def observe_state(k, bar, state, n):
    k.zero(n)
    k.do("@%s mbarrier.pending_count.b64 %s, %s" % (bar.first, n, state))
    k.result(n)


def cp_async_arrive(row, words, op):
    """Every thread copies 16 bytes and hands its arrival to the copy."""
    k = Kernel(op, threads=32)
    noinc = ".noinc" in words
    bar = Bar(k, 32)
    k.shared("area", 512)
    w, x = k.reg("w"), k.reg("x")
    at = k.block("u64", 512)
    target = bar.at
    if not any(w.startswith(".shared") for w in words):
        target = k.reg("x")
        k.do("mov.u64 %s, bar" % target, "cvta.shared.u64 %s, %s" % (target, target))
    k.do("mov.u32 %s, area" % w, "mad.lo.u32 %s, %%t, 16, %s" % (w, w), "mad.wide.u32 %s, %%t, 16, %%in" % x,
         "cp.async.cg.shared.global [%s], [%s+%d], 16" % (w, x, at), "%s [%s]" % (op, target))
    if not noinc:  # the copy's arrival cancels its own increment: the threads arrive themselves
        k.do("mbarrier.arrive.shared::cta.b64 _, [%s]" % bar.at)
    bar.wait()
    a = k.reg("w")
    k.do("mov.u32 %s, area" % a, "xor.b32 %s, %%t, 9" % w, "mad.lo.u32 %s, %s, 16, %s" % (a, w, a),
         "ld.shared.b64 %s, [%s]" % (x, a))
    k.result(x)
    k.do("cp.async.wait_all")
    return k


# --- clusters
def everyone(k):
    k.do("barrier.cluster.arrive.aligned", "barrier.cluster.wait.aligned")


def bulk_load(row, words, op):
    multicast = ".multicast::cluster" in words
    k = Kernel(op, threads=32, cluster=2)
    k.shared("area", 1024, 128)
    k.fill_shared("area", "u64", 1024)
    bar = Bar(k, 1)
    everyone(k)
    at = k.block("u64", 2048)
    x, w = k.reg("x"), k.reg("w")
    k.do("mov.u32 %s, area" % w, "mad.wide.u32 %s, %%cta, 512, %%in" % x, "fence.proxy.async.shared::cta", "bar.sync 0")
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    total = 2 * 256 if multicast else 256
    bar.one("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%s], %d" % (bar.at, total))
    everyone(k)
    mask = k.reg("h")
    k.do("mov.b16 %s, 3" % mask)
    if multicast:
        k.do("mad.lo.u32 %s, %%cta, 256, %s" % (w, w))
    bar.one("%s [%s+16], [%s+%d], 256, [%s]%s%s" % (op, w, x, at, bar.at, ", " + mask if multicast else "", hint))
    bar.wait()
    k.dump_shared("area", 1024)
    everyone(k)
    return k


def bulk_between(row, words, op):
    """Shared memory of one CTA to that of the other, copied or reduced."""
    reduce_ = row.base == "cp" and row.name == "BULK_RS"
    t = types(words)[-1] if reduce_ else "u64"
    k = Kernel(op, threads=32, cluster=2)
    k.shared("source", 512, 128)
    k.shared("area", 512, 128)
    kind = "small" if ".inc" in words or ".dec" in words else t
    k.fill_shared("source", packed(t, words), 512)
    k.fill_shared("area", packed(t, words), 512)
    bar = Bar(k, 1)
    k.do("fence.proxy.async.shared::cta")
    bar.one("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%s], 256" % bar.at)
    everyone(k)
    rank, far, far_bar, w, s = k.reg("w"), k.reg("w"), k.reg("w"), k.reg("w"), k.reg("w")
    k.do("mov.u32 %s, %%cluster_ctarank" % rank, "xor.b32 %s, %s, 1" % (rank, rank), "mov.u32 %s, area" % w,
         "mov.u32 %s, source" % s, "mapa.shared::cluster.u32 %s, %s, %s" % (far, w, rank),
         "mapa.shared::cluster.u32 %s, %s, %s" % (far_bar, bar.at, rank))
    bar.one("%s [%s+32], [%s+64], 256, [%s]" % (op, far, s, far_bar))
    bar.wait()
    k.dump_shared("area", 512)
    everyone(k)
    return k


def packed(t, words):
    if ".inc" in words or ".dec" in words:
        return "@small32"
    return "@" + {"b32": "u32", "b64": "u64"}.get(t, t)


def bulk_store(row, words, op):
    t = types(words)[-1] if row.name == "BULK_RG" else "u64"
    k = Kernel(op, threads=64)
    k.shared("area", 512, 128)
    k.fill_shared("area", packed(t, words), 512)
    at = k.room(1024)
    prepare_out(k, at, 1024, packed(t, words))
    bar = Bar(k, 0)
    w, x = k.reg("w"), k.reg("x")
    hint = ", " + policy(k) if ".L2::cache_hint" in words else ""
    k.do("mov.u32 %s, area" % w, "add.u64 %s, %%out, %d" % (x, at), "fence.proxy.async", "bar.sync 0")
    bar.one("%s [%s+32], [%s+16], 304%s" % (op, x, w, hint))
    bar.one("cp.async.bulk.commit_group")
    bar.one("cp.async.bulk.wait_group 0")
    return k


def prepare_out(k, at, nbytes, kind):
    """Gives a block of the output first values, so that a reduction has something to reduce."""
    source = k.block(kind, nbytes)
    w, x, y, v, p, loop, done = (k.reg("w"), k.reg("x"), k.reg("x"), k.reg("w"), k.reg("p"), k.label(), k.label())
    k.do("shl.b32 %s, %%g, 2" % w, loop + ":", "setp.ge.u32 %s, %s, %d" % (p, w, nbytes), "@%s bra %s" % (p, done),
         "cvt.u64.u32 %s, %s" % (x, w), "add.u64 %s, %s, %%in" % (y, x), "add.u64 %s, %s, %%out" % (x, x),
         "ld.global.b32 %s, [%s+%d]" % (v, y, source), "st.global.b32 [%s+%d], %s" % (x, at, v),
         "add.u32 %s, %s, %d" % (w, w, 4 * k.total), "bra " + loop, done + ":", "fence.proxy.async", "bar.sync 0")


def bulk_groups(row, words, op):
    """Two groups of stores; the wait under test, then all."""
    k = Kernel(op, threads=64)
    k.shared("area", 512, 128)
    k.fill_shared("area", "u64", 512)
    at = k.room(512)
    bar = Bar(k, 0)
    w, x, v = k.reg("w"), k.reg("x"), k.reg("x")
    k.do("mov.u32 %s, area" % w, "add.u64 %s, %%out, %d" % (x, at), "fence.proxy.async.shared::cta", "bar.sync 0")
    for i in range(2):
        bar.one("cp.async.bulk.global.shared::cta.bulk_group [%s+%d], [%s+%d], 256" % (x, 256 * i, w, 256 * i))
        bar.one("cp.async.bulk.commit_group")
    wait = op if row.name == "BULK_WAIT" else "cp.async.bulk.wait_group.read"
    bar.one("%s 1" % wait)
    bar.one("st.shared.b64 [%s], 5" % w)  # the source of the older group may be reused
    bar.one("%s 0" % wait)
    bar.one("st.shared.b64 [%s+256], 6" % w)
    bar.one("cp.async.bulk.wait_group 0")
    k.do("bar.sync 0")
    return k


# --- writes to another CTA
def remote(row, words, op):
    """st.async and red.async: each thread writes into the other CTA, whose barrier counts the bytes."""
    t = types(words)[-1]
    n = next((int(w[2]) for w in words if w in (".v2", ".v4")), 1)
    size = n * (8 if "64" in t else 4)
    k = Kernel(op, threads=32, cluster=2)
    k.shared("area", 1024, 128)
    kind = "@small32" if ".inc" in words or ".dec" in words else "@" + {"b32": "u32", "b64": "u64"}.get(t, t)
    k.fill_shared("area", kind, 1024)
    bar = Bar(k, 1)
    bar.one("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%s], %d" % (bar.at, size * 32))
    everyone(k)
    values = [k.operand("small" if "small" in kind and "64" not in t else t) for _ in range(n)]
    rank, far, far_bar, w = k.reg("w"), k.reg("w"), k.reg("w"), k.reg("w")
    k.do("mov.u32 %s, %%cluster_ctarank" % rank, "xor.b32 %s, %s, 1" % (rank, rank), "mov.u32 %s, area" % w,
         "mad.lo.u32 %s, %%t, 32, %s" % (w, w), "mapa.shared::cluster.u32 %s, %s, %s" % (far, w, rank),
         "mapa.shared::cluster.u32 %s, %s, %s" % (far_bar, bar.at, rank))
    k.do("%s [%s], %s, [%s]" % (op, far, values[0] if n == 1 else "{%s}" % ", ".join(values), far_bar))
    bar.wait()
    k.dump_shared("area", 1024)
    everyone(k)
    return k


def cluster_barrier(row, words, op):
    """The other CTA's shared memory is read behind the barrier."""
    k = Kernel(op, threads=64, cluster=2)
    k.shared("area", 256)
    a, w, rank, d = k.operand("u32"), k.reg("w"), k.reg("w"), k.reg("w")
    aligned = ".aligned" if ".aligned" in words else ""
    arrive = op if row.name == "CL_ARRIVE" else "barrier.cluster.arrive" + aligned
    wait = op if row.name == "CL_WAIT" else "barrier.cluster.wait" + aligned
    k.do("mov.u32 %s, area" % w, "mad.lo.u32 %s, %%t, 4, %s" % (w, w), "st.shared.b32 [%s], %s" % (w, a))
    if ".relaxed" in words:
        k.do("fence.acq_rel.cluster")
    k.do(arrive, wait, "mov.u32 %s, %%cluster_ctarank" % rank, "xor.b32 %s, %s, 1" % (rank, rank),
         "mapa.shared::cluster.u32 %s, %s, %s" % (w, w, rank), "ld.shared::cluster.b32 %s, [%s]" % (d, w))
    k.result(d)
    k.do("barrier.cluster.arrive" + aligned, "barrier.cluster.wait" + aligned)
    return k


def map_address(row, words, op):
    k = Kernel(op, threads=32, cluster=2)
    k.shared("area", 128)
    shared, wide = ".shared::cluster" in words, ".u64" in words
    a, w, d, x = k.operand("u32"), k.reg("w"), k.reg("w"), k.reg("x")
    k.do("mov.u32 %s, area" % w, "mad.lo.u32 %s, %%t, 4, %s" % (w, w), "st.shared.b32 [%s], %s" % (w, a))
    everyone(k)
    address = w
    if wide:
        address = k.reg("x")
        k.do("cvt.u64.u32 %s, %s" % (address, w))
        if not shared:
            k.do("cvta.shared.u64 %s, %s" % (address, address))
    for rank in (0, 1):
        to = k.reg("x" if wide else "w")
        if row.name == "MAPA":
            k.do("%s %s, %s, %d" % (op, to, address, rank))
        else:
            k.do("mapa%s.u%d %s, %s, %d" % (".shared::cluster" if shared else "", 64 if wide else 32, to, address, rank),
                 "%s %s, %s" % (op, d, to))
            k.result(d)
        k.do("ld%s.b32 %s, [%s]" % (".shared::cluster" if shared else "", d, to))
        k.result(d)
    everyone(k)
    return k


KERNELS = {name: [mbarrier] for name in (
    "MBAR_INIT", "MBAR_INVAL", "MBAR_ARR", "MBAR_ARR_T", "MBAR_ARR_N", "MBAR_DROP", "MBAR_DRP_T", "MBAR_DRP_N", "MBAR_EXP",
    "MBAR_COMP", "MBAR_TEST", "MBAR_TESTP", "MBAR_TRY", "MBAR_TRYP", "MBAR_PEND")}
KERNELS.update({
    "CPASYNC_M": [cp_async_arrive], "BULK_LD": [bulk_load], "BULK_S2S": [bulk_between], "BULK_RS": [bulk_between],
    "BULK_ST": [bulk_store], "BULK_RG": [bulk_store], "BULK_COMM": [bulk_groups], "BULK_WAIT": [bulk_groups],
    "ST_ASYNC": [remote], "RED_ASYNC": [remote], "CL_ARRIVE": [cluster_barrier], "CL_WAIT": [cluster_barrier],
    "MAPA": [map_address], "GETRANK": [map_address]})
