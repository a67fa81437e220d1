"""One micro-kernel: an entry that loads operands, runs the form under test, and stores what is visible of it.

Entries take the address of their inputs, of their outputs, and tensor maps. Thread t (counted over the whole grid)
finds operand j, 8 bytes, at in + 8 * (j * threads + t), and puts result k at out + 8 * (k * threads + t). Kernels
that work on blocks of memory append them behind: `block` for input, `room` for output.
"""
import zlib

from pools import bits_of


class Kernel:
    def __init__(self, form, threads=64, cluster=1, grid=None, smem=0):
        self.form, self.threads, self.cluster, self.smem = form, threads, cluster, smem
        self.grid = grid or cluster
        self.total = threads * self.grid
        self.lines, self.module_lines = [], []
        self.segments = []  # (kind, bytes)
        self.in_bytes = self.out_bytes = 0
        self.counts = {"w": 0, "x": 0, "h": 0, "p": 0, "q": 0}
        self.maps = []
        self.approx = None  # how near the result must be, None: equal
        self.directives = ""
        self.tiles = []  # what tile loads did, for blackwell.py
        self.label_count = 0

    # --- registers
    def reg(self, cls):
        self.counts[cls] += 1
        return "%%%s%d" % (cls, self.counts[cls] - 1)

    def reg_of(self, kind):
        if kind == "pred":
            return self.reg("p")
        return self.reg({8: "w", 16: "h", 32: "w", 64: "x", 128: "q"}[bits_of(kind)])

    def label(self):
        self.label_count += 1
        return "L%d" % self.label_count

    def do(self, *lines):
        for line in lines:
            self.lines.append(line if line in ("{", "}") or line.endswith((":", ";")) else line + ";")

    # --- operands
    def block(self, kind, nbytes):
        """Offset of a block of input bytes."""
        nbytes = (nbytes + 15) // 16 * 16
        at = self.in_bytes
        self.segments.append((kind, nbytes))
        self.in_bytes += nbytes
        return at

    def operand(self, kind):
        """A register with this thread's value.

        Words are loaded as words: where an atomic on shared memory adds the low word of a 64-bit load as f16x2, ptxas
        13.0.88 takes the upper half from the wrong register.
        """
        at = self.block(kind, 8 * self.total)
        if kind != "pred" and bits_of(kind) == 32:
            w = self.reg("w")
            self.do("ld.global.b32 %s, [%%mine+%d]" % (w, at))
            return w
        x = self.reg("x")
        self.do("ld.global.b64 %s, [%%mine+%d]" % (x, at))
        return self.narrow(x, kind)

    def narrow(self, x, kind):
        bits = bits_of(kind)
        if kind == "pred":
            p = self.reg("p")
            self.do("setp.ne.u64 %s, %s, 0" % (p, x))
            return p
        if bits == 64:
            return x
        if bits == 128:
            other = self.operand("u64")
            q = self.reg("q")
            self.do("mov.b128 %s, {%s, %s}" % (q, x, other))
            return q
        r = self.reg("h" if bits == 16 else "w")
        self.do("cvt.u%d.u64 %s, %s" % (16 if bits == 16 else 32, r, x))
        return r

    # --- results
    def room(self, nbytes):
        at = self.out_bytes
        self.out_bytes += (nbytes + 15) // 16 * 16
        return at

    def result(self, reg):
        """Stores this thread's register as the next result."""
        if reg.startswith("%q"):
            lo, hi = self.reg("x"), self.reg("x")
            self.do("mov.b128 {%s, %s}, %s" % (lo, hi, reg))
            self.result(lo)
            return self.result(hi)
        at = self.room(8 * self.total)
        x = reg
        if not reg.startswith("%x"):
            x = self.reg("x")
            if reg.startswith("%p"):
                self.do("selp.u64 %s, 1, 0, %s" % (x, reg))
            else:
                self.do("cvt.u64.u%d %s, %s" % (16 if reg.startswith("%h") else 32, x, reg))
        self.do("st.global.b64 [%%my_out+%d], %s" % (at, x))
        return at

    def zero(self, reg):
        """A first value, for instructions that may leave the register alone."""
        if reg.startswith("%p"):
            self.do("setp.ne.u32 %s, 0, 0" % reg)
        elif reg.startswith("%q"):
            self.do("mov.b128 %s, {0, 0}" % reg)
        else:
            self.do("mov.b%d %s, 0" % ({"w": 32, "x": 64, "h": 16}[reg[1]], reg))

    # --- shared memory
    def shared(self, name, nbytes, align=16):
        self.do(".shared .align %d .b8 %s[%d]" % (align, name, nbytes))
        return name

    def fill_shared(self, name, kind, nbytes):
        """Copies a block of input into shared memory, all threads of each CTA together."""
        at = self.block(kind, nbytes)
        w, x, p, loop = self.reg("w"), self.reg("x"), self.reg("p"), self.label()
        v = [self.reg("w") for _ in range(4)]
        address = self.reg("w")
        self.do("shl.b32 %s, %%t, 4" % w, loop + ":")
        done = self.label()
        self.do("setp.ge.u32 %s, %s, %d" % (p, w, nbytes), "@%s bra %s" % (p, done),
                "cvt.u64.u32 %s, %s" % (x, w), "add.u64 %s, %s, %%in" % (x, x),
                "mov.u32 %s, %s" % (address, name), "add.u32 %s, %s, %s" % (address, address, w),
                "ld.global.v4.b32 {%s}, [%s+%d]" % (", ".join(v), x, at),
                "st.shared.v4.b32 [%s], {%s}" % (address, ", ".join(v)),
                "add.u32 %s, %s, %d" % (w, w, 16 * self.threads), "bra " + loop, done + ":", "bar.sync 0")

    def dump_shared(self, name, nbytes):
        """Stores a block of shared memory of every CTA (multiple of 4 bytes)."""
        at = self.room(nbytes * self.grid)
        w, x, p, v, a, loop, done = (self.reg("w"), self.reg("x"), self.reg("p"), self.reg("w"), self.reg("w"),
                                     self.label(), self.label())
        self.do("bar.sync 0", "shl.b32 %s, %%t, 2" % w, loop + ":", "setp.ge.u32 %s, %s, %d" % (p, w, nbytes),
                "@%s bra %s" % (p, done), "mov.u32 %s, %s" % (a, name), "add.u32 %s, %s, %s" % (a, a, w),
                "ld.shared.b32 %s, [%s]" % (v, a), "mad.wide.u32 %s, %%cta, %d, %%out" % (x, nbytes))
        x2 = self.reg("x")
        self.do("cvt.u64.u32 %s, %s" % (x2, w), "add.u64 %s, %s, %s" % (x, x, x2),
                "st.global.b32 [%s+%d], %s" % (x, at, v), "add.u32 %s, %s, %d" % (w, w, 4 * self.threads),
                "bra " + loop, done + ":")
        return at

    # --- text
    def name(self, index):
        return "f%d" % index

    def text(self, index):
        params = [".param .u64 pin", ".param .u64 pout"]
        params += [".param .align 64 .b8 map%d[128]" % i for i in range(len(self.maps))]
        out = [line.replace("@@", str(index)) for line in self.module_lines]
        out.append(".visible .entry %s(%s)%s" % (self.name(index), ", ".join(params), self.directives))
        out.append("{")
        types = {"w": ".b32", "x": ".b64", "h": ".b16", "p": ".pred", "q": ".b128"}
        for cls, count in self.counts.items():
            if count:
                out.append(".reg %s %%%s<%d>;" % (types[cls], cls, count))
        out.append(".reg .b64 %in, %out, %mine, %my_out, %off;")
        out.append(".reg .b32 %t, %cta, %g;")
        out.append("ld.param.u64 %in, [pin]; ld.param.u64 %out, [pout]; mov.u32 %t, %tid.x; mov.u32 %cta, %ctaid.x;")
        out.append("mad.lo.u32 %%g, %%cta, %d, %%t; mul.wide.u32 %%off, %%g, 8; add.u64 %%mine, %%in, %%off; "
                   "add.u64 %%my_out, %%out, %%off;" % self.threads)
        out += [line.replace("@@", str(index)) for line in self.lines]
        out.append("ret;")
        out.append("}")
        return "\n".join(out) + "\n"

    def salt(self, j):
        return zlib.crc32(("%s %d" % (self.form, j)).encode())
