"""Operand values: one seeded pool of bytes, cut into stretches of one kind each.

A kind is a type with a habit: `f32` has every edge and any exponent, `f32m` (mild) what a matrix product wants,
`u32nz` no zero. Every value takes 8 bytes unless the kind is dense (`@bf16m`: packed as in memory).
"""
import random
import struct

SEED = 20261128
COUNT = 2048  # values of a stretch of 8-byte values
DENSE = 65536  # bytes of a dense stretch

FLOATS = {"f16": (5, 10), "bf16": (8, 7), "f32": (8, 23), "f64": (11, 52), "tf32": (8, 23), "e4m3": (4, 3),
          "e5m2": (5, 2), "e2m3": (2, 3), "e3m2": (3, 2), "e2m1": (2, 1)}


def ones(n):
    return (1 << n) - 1


def int_value(rng, n):
    edges = [0, 1, 2, ones(n), 1 << (n - 1), ones(n - 1), ones(n) - 1, 3, 5]
    kind, value = rng.randrange(10), rng.getrandbits(n)
    if kind == 0:
        return rng.choice(edges)
    if kind < 4:
        value &= ones(rng.randrange(1, n + 1))
    if kind == 4:
        value = -(value & ones(rng.randrange(1, n + 1))) & ones(n)
    return value


def float_value(rng, ebits, mbits):
    """Edges, subnormals, any exponent, close to 1."""
    sign, top, fraction = rng.getrandbits(1) << (ebits + mbits), ones(ebits), rng.getrandbits(mbits)
    bias, kind = ones(ebits - 1), rng.randrange(12)
    if kind == 0:
        return sign | rng.choice([0, 1, ones(mbits), 1 << mbits, (top << mbits) - 1, top << mbits,
                                  top << mbits | 1 << (mbits - 1), top << mbits | 1, bias << mbits,
                                  (bias << mbits) + 1, (bias << mbits) - 1, (bias - 1) << mbits, (bias + 1) << mbits])
    if kind == 1:
        return sign | fraction
    if kind < 4:
        return sign | rng.randrange(top) << mbits | fraction
    spread = 3 if kind < 6 else mbits + 2 if kind < 8 else 12
    if 5 < kind < 8:
        fraction &= ~ones(rng.randrange(mbits + 1))
    exponent = min(max(bias - spread + rng.randrange(2 * spread + 1), 0), top - 1)
    return sign | exponent << mbits | fraction


def mild_value(rng, ebits, mbits):
    """Near 1 over a dozen binades; a few zeros and subnormals, hardly any infinity or NaN."""
    if rng.randrange(400) == 0:
        return float_value(rng, ebits, mbits)
    sign, bias = rng.getrandbits(1) << (ebits + mbits), ones(ebits - 1)
    if rng.randrange(16) == 0:
        return sign | rng.choice([0, rng.getrandbits(mbits)])
    exponent = min(max(bias + rng.randrange(-7, 6), 1), ones(ebits) - 1)
    return sign | exponent << mbits | rng.getrandbits(mbits)


SPECIAL = {
    "sh": lambda r: int_value(r, 32) if r.randrange(3) == 0 else r.randrange(70),
    "prmt": lambda r: r.getrandbits(32) if r.randrange(2) else r.getrandbits(16),
    "lane": lambda r: r.randrange(32),
    "fnsoff": lambda r: r.randrange(-9, 10) & ones(32),
    "pred": lambda r: r.getrandbits(1),
    "small": lambda r: r.choice([7, 7, 7, 9, 5]),
    "small64": lambda r: r.choice([7, 7, 9, 5]) << r.choice([0, 0, 0, 32]),
    "lanes": lambda r: r.randrange(32),
    "meta": lambda r: sum(r.choice([4, 8, 9, 12, 13, 14]) << (4 * i) for i in range(8)),
    "metatf32": lambda r: sum(r.choice([4, 14]) << (4 * i) for i in range(8)),
    "b8": lambda r: r.getrandbits(8),
}


def value(rng, kind):
    if kind in SPECIAL:
        return SPECIAL[kind](rng)
    mild, name = kind.endswith("m") and kind[:-1] in FLOATS or kind.endswith("x2m"), kind.rstrip("m")
    draw = mild_value if mild else float_value
    if name.endswith("x2") and name[:-2] in FLOATS:
        e, m = FLOATS[name[:-2]]
        width = 32 if e + m == 31 else 16 if e + m > 8 else 8
        return draw(rng, e, m) | draw(rng, e, m) << width
    if name in FLOATS:
        return draw(rng, *FLOATS[name])
    if name.endswith("nz"):
        return int_value(rng, bits_of(name[:-2])) or 1
    return int_value(rng, min(bits_of(name), 64))


def bits_of(kind):
    """The width of a register or memory cell of this type."""
    name = kind.rstrip("m")
    if name in ("f16x2", "bf16x2", "u16x2", "s16x2", "tf32"):
        return 32
    if name == "f32x2":
        return 64
    if name in ("e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "ue8m0x2"):
        return 16
    if name in ("e2m1x2", "e4m3", "e5m2"):
        return 8
    for bits in (128, 64, 32, 16, 8):
        if str(bits) in name:
            return bits
    return 32


class Pools:
    def __init__(self):
        self.data, self.at = bytearray(), {}

    def stretch(self, kind):
        if kind not in self.at:
            rng = random.Random("%d %s" % (SEED, kind))
            if kind[0] == "@":
                bits = bits_of(kind[1:])
                values = (value(rng, kind[1:]) for _ in range(DENSE * 8 // bits))
                body = struct.pack("<%d%s" % (DENSE * 8 // bits, {8: "B", 16: "H", 32: "I", 64: "Q"}[bits]), *values)
            else:
                body = struct.pack("<%dQ" % COUNT, *(value(rng, kind) for _ in range(COUNT)))
            self.at[kind] = (len(self.data), len(body))
            self.data += body
        return self.at[kind]

    def pick(self, kind, nbytes, salt):
        """Stretches (offset, length) of the pool that make up `nbytes` of this kind; another salt, other values."""
        start, length = self.stretch(kind)
        while nbytes:
            part = min(nbytes, length // 2)
            yield start + (salt % ((length - part) // 16 + 1)) * 16, part
            nbytes -= part
            salt = salt * 7919 + 1
