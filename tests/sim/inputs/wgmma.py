"""wgmma in every operand layout against exact integers.

Operands are small integers, so that every type computes them exactly. The image of shared memory is
made here from the canonical layouts of PTX ISA 9.7.15.5.1.2: units of 16 bytes, placed tile by tile,
then moved by the swizzle. One launch per case; a wrong element prints its place.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys

SMEM = 1024  # first shared address
TYPES = {  # element bytes, k, encoder
    "f16": (2, 16, lambda v: struct.pack("<e", v)),
    "bf16": (2, 16, lambda v: struct.pack("<f", v)[2:]),
    "tf32": (4, 8, lambda v: struct.pack("<f", v)),
    "e4m3": (1, 32, lambda v: bytes([fp8(v, 3, 7)])),
    "e5m2": (1, 32, lambda v: bytes([fp8(v, 2, 15)])),
    "s8": (1, 32, lambda v: struct.pack("<b", v)),
    "u8": (1, 32, lambda v: struct.pack("<B", v)),
}


def fp8(value, frac_bits, bias):
    sign, value = (0x80, -value) if value < 0 else (0, value)
    if value == 0:
        return sign
    exp = value.bit_length() - 1
    return sign | (exp + bias) << frac_bits | (value << frac_bits >> exp) & ((1 << frac_bits) - 1)


def swizzle(address, width):
    if not width:
        return address
    return address ^ ((address >> 7) % (width // 16)) << 4


class Operand:
    """rows x k elements at `start`, as the canonical layout of its mode has them."""

    def __init__(self, values, kind, start, width, mn_major, gap):
        size, k, encode = TYPES[kind]
        rows = len(values)
        self.image = {}
        if not mn_major:  # core matrices: 8 rows of 16 bytes
            per = 16 // size
            if width:
                self.lbo, self.sbo = 16, 8 * width + gap * 1024
                place = lambda r, c: r // 8 * self.sbo + r % 8 * width + c * size
            else:
                self.lbo, self.sbo = 128, 256 + gap * 128
                place = lambda r, c: r // 8 * self.sbo + r % 8 * 16 + c // per * self.lbo + c % per * size
        elif width:  # blocks `width` bytes wide along the rows, k down
            wide = width // size
            self.sbo = 8 * width
            self.lbo = 2 * self.sbo + gap * 1024
            place = lambda r, c: r // wide * self.lbo + r % wide * size + c // 8 * self.sbo + c % 8 * width
        else:
            self.lbo = 128
            self.sbo = 256 + gap * 128
            place = lambda r, c: r // 8 * self.sbo + r % 8 * size + c // 8 * self.lbo + c % 8 * 16
        for r in range(rows):
            for c in range(k):
                at = start + place(r, c)
                for i, byte in enumerate(encode(values[r][c])):
                    self.image[swizzle(at + i, width)] = byte
        mode = {0: 0, 128: 1, 64: 2, 32: 3}[width]
        self.descriptor = start >> 4 | self.lbo >> 4 << 16 | self.sbo >> 4 << 32 | mode << 62


def kernel(case, words, regs, desc_a, desc_b):
    t, n, d = case["type"], case["n"], case["d"]
    shape = "m64n%dk%d" % (n, TYPES[t][1])
    acc = "{" + ", ".join("%%d%d" % i for i in range(regs)) + "}"
    a = "{%a0, %a1, %a2, %a3}" if case.get("rs") else "%rd2"
    tail = ""
    if d != "s32":
        tail = ", %d, %d" % (case.get("sa", 1), case.get("sb", 1))
        if t in ("f16", "bf16"):
            tail += "" if case.get("rs") else ", %d" % case["mn_a"]
            tail += ", %d" % case["mn_b"]
    mma = "wgmma.mma_async.sync.aligned.%s.%s.%s.%s" % (shape, d, t, case.get("type_b", t))
    out = [".version 9.0\n.target sm_90a\n.address_size 64",
           ".visible .entry k(.param .u64 image, .param .u64 a, .param .u64 d)\n{",
           ".reg .pred %p, %q;", ".reg .b32 %t, %i, %v, %s, %a<4>, %d<" + str(regs) + ">;",
           ".reg .b64 %rd<4>, %in, %out;", ".shared .align 1024 .b8 buf[%d];" % (4 * words),
           "mov.u32 %t, %tid.x;", "ld.param.u64 %in, [image];", "mov.u32 %i, %t;",
           "LOOP:", "setp.ge.u32 %p, %i, " + str(words) + ";", "@%p bra DONE;",
           "mul.wide.u32 %rd0, %i, 4;", "add.s64 %rd1, %in, %rd0;", "ld.global.b32 %v, [%rd1];",
           "mov.u32 %s, buf;", "mad.lo.u32 %s, %i, 4, %s;", "st.shared.b32 [%s], %v;",
           "add.u32 %i, %i, 128;", "bra LOOP;", "DONE:",
           "fence.proxy.async.shared::cta;", "bar.sync 0;",
           "ld.param.u64 %in, [a];", "mul.wide.u32 %rd0, %t, 16;", "add.s64 %in, %in, %rd0;",
           "ld.global.v4.b32 {%a0, %a1, %a2, %a3}, [%in];"]
    out += ["mov.b32 %%d%d, 0;" % i for i in range(regs)]
    out += ["mov.u64 %%rd2, 0x%x;" % desc_a, "mov.u64 %%rd3, 0x%x;" % desc_b,
            "wgmma.fence.sync.aligned;",
            "%s %s, %s, %%rd3, 0%s;" % (mma, acc, a, tail),
            "setp.eq.u32 %q, 0, 0;",
            "%s %s, %s, %%rd3, %%q%s;" % (mma, acc, a, tail),
            "wgmma.commit_group.sync.aligned;", "wgmma.wait_group.sync.aligned 0;",
            "ld.param.u64 %out, [d];", "mul.wide.u32 %%rd0, %%t, %d;" % (4 * regs),
            "add.s64 %out, %out, %rd0;"]
    out += ["st.global.b32 [%%out+%d], %%d%d;" % (4 * i, i) for i in range(regs)]
    return "\n".join(out + ["ret;", "}", ""])


def run(case, args, random_):
    t, n, d = case["type"], case["n"], case["d"]
    size, k, encode = TYPES[t]
    low = 0 if t == "u8" else -4
    low_b = 0 if case.get("type_b", t) == "u8" else -4
    a = [[random_.randint(low, 4) for _ in range(k)] for _ in range(64)]
    b = [[random_.randint(low_b, 4) for _ in range(k)] for _ in range(n)]
    op_a = Operand(a, t, SMEM, case["wa"], case.get("mn_a", 0), case.get("gap", 0))
    start_b = (max(op_a.image) // 1024 + 1) * 1024
    op_b = Operand(b, case.get("type_b", t), start_b, case["wb"], case.get("mn_b", 0), case.get("gap", 0))
    image = dict(op_b.image)
    image.update(op_a.image)
    words = (max(image) + 1 - SMEM + 3) // 4
    raw = bytes(image.get(SMEM + i, 0) for i in range(4 * words))
    frag = b""  # A fragments: PTX ISA 9.7.15.5.1.1
    per = 4 // size
    for thread in range(128):
        w, g, q = thread // 32, thread % 32 // 4, thread % 4
        for r in range(4):
            row = 16 * w + g + 8 * (r & 1)
            frag += b"".join(encode(a[row][per * q + e + 4 * per * (r >> 1)]) for e in range(per))
    regs = n // 4 if d == "f16" else n // 2
    name = os.path.join(args.work, "case")
    with open(name + ".ptx", "w") as f:
        f.write(kernel(case, words, regs, op_a.descriptor, op_b.descriptor))
    with open(name + ".json", "w") as f:
        json.dump({"ptx": name + ".ptx", "entry": "k", "block": [128],
                   "buffers": {"image": {"hex": raw.hex()}, "a": {"hex": frag.hex()},
                               "d": {"bytes": 512 * regs}},
                   "params": [{"buffer": "image"}, {"buffer": "a"}, {"buffer": "d"}],
                   "print": {"d": "u32"}}, f)
    for mode in case.get("async", ["lazy"]):
        done = subprocess.run([args.ptxsim, name + ".json", "--async=" + mode, "--seed=3"],
                              capture_output=True, text=True)
        if done.returncode:
            sys.exit("%s: exit %d\n%s%s" % (case, done.returncode, done.stdout, done.stderr))
        got = [int(x, 0) for x in done.stdout.split() if x[0].isdigit()]
        check(case, got, regs, a, b)


def check(case, got, regs, a, b):
    n, d = case["n"], case["d"]
    sign = case.get("sa", 1) * case.get("sb", 1)
    assert len(got) == 128 * regs, (len(got), regs)
    for thread in range(128):
        w, g, q = thread // 32, thread % 32 // 4, thread % 4
        for e in range(n // 2):
            row, col = 16 * w + g + 8 * (e >> 1 & 1), 8 * (e >> 2) + 2 * q + (e & 1)
            want = 2 * sign * sum(x * y for x, y in zip(a[row], b[col]))
            if d == "f16":
                half = got[thread * regs + e // 2] >> 16 * (e & 1) & 0xFFFF
                value = struct.unpack("<e", struct.pack("<H", half))[0]
            elif d == "f32":
                value = struct.unpack("<f", struct.pack("<I", got[thread * regs + e]))[0]
            else:
                value = struct.unpack("<i", struct.pack("<I", got[thread * regs + e]))[0]
            if value != want:
                sys.exit("%s: D[%d][%d] is %s, not %s" % (case, row, col, value, want))


def cases():
    widths = (0, 32, 64, 128)
    yield {"type": "bf16", "d": "f32", "n": 64, "wa": 128, "wb": 128, "mn_a": 0, "mn_b": 0,
           "async": ["eager", "lazy", "random"]}
    for wa in widths:
        for wb in widths:
            yield {"type": "bf16", "d": "f32", "n": 64, "wa": wa, "wb": wb, "mn_a": 0, "mn_b": 1}
    for w in widths:
        for gap in (0, 1):
            yield {"type": "f16", "d": "f32", "n": 128, "wa": w, "wb": w, "mn_a": 1, "mn_b": 0, "gap": gap}
            yield {"type": "f16", "d": "f16", "n": 64, "wa": w, "wb": w, "mn_a": 0, "mn_b": 0, "gap": gap}
            yield {"type": "f16", "d": "f16", "n": 64, "wa": w, "wb": w, "mn_a": 1, "mn_b": 1, "gap": gap}
    for t in ("tf32", "e4m3", "e5m2", "s8", "u8"):
        for w in widths:
            yield {"type": t, "d": "s32" if t in ("s8", "u8") else "f32", "n": 32, "wa": w, "wb": w}
    for n in range(8, 257, 8):
        yield {"type": "e4m3", "d": "f32", "n": n, "wa": 128, "wb": 64}
    for t, d, mn in (("bf16", "f32", 0), ("f16", "f16", 1), ("tf32", "f32", 0), ("e4m3", "f32", 0),
                     ("s8", "s32", 0)):
        yield {"type": t, "d": d, "n": 64, "wa": 128, "wb": 128, "mn_b": mn, "rs": True}
    yield {"type": "e4m3", "type_b": "e5m2", "d": "f32", "n": 48, "wa": 32, "wb": 128}
    yield {"type": "e5m2", "type_b": "e4m3", "d": "f16", "n": 48, "wa": 32, "wb": 128}
    yield {"type": "s8", "type_b": "u8", "d": "s32", "n": 48, "wa": 32, "wb": 128}
    for sa in (1, -1):
        for sb in (1, -1):
            yield {"type": "bf16", "d": "f32", "n": 16, "wa": 128, "wb": 128, "mn_a": 0, "mn_b": 0,
                   "sa": sa, "sb": sb}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ptxsim", required=True)
    parser.add_argument("--work", required=True)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    random_ = random.Random(20)
    count = 0
    for case in cases():
        run(case, args, random_)
        count += 1
    print("%d cases agree" % count)


main()
