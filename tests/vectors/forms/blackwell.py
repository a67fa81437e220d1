"""Forms that only Blackwell has, computed a second time: exact rational arithmetic and the manual's layouts.

No hardware was at hand for them. What is written here shares nothing with the simulator: values are Python integers
and fractions, every number format is spelled out below, and matrices are addressed by the manual's figures. Each
function gets the kernel, its row and words, and a View; it yields (place in the output, expected bits, bytes).
Results of matrix products are compared on a seeded sample of their elements.
"""
import random
from fractions import Fraction

from memory import CELL, lanes_of, space_of
from pools import bits_of
from scalar import types

FORMATS = {"f16": (5, 10), "bf16": (8, 7), "f32": (8, 23), "e4m3": (4, 3), "e5m2": (5, 2), "e2m3": (2, 3), "e3m2": (3, 2),
           "e2m1": (2, 1)}
CANONICAL = {"f16": 0x7FFF, "bf16": 0x7FFF, "f32": 0x7FFFFFFF}
SAMPLE = 4  # elements of a product that are recomputed, of each selector


class View:
    """Inputs and results of one kernel."""

    def __init__(self, kernel, inputs):
        self.kernel, self.inputs, self.total = kernel, inputs, kernel.total
        self.rng = random.Random(kernel.form)

    def operand(self, j, t, bits=64):
        at = 8 * (j * self.total + t)
        return int.from_bytes(self.inputs[at:at + 8], "little") & ((1 << bits) - 1)

    def place(self, r, t):
        return 8 * (r * self.total + t)


# --- numbers
def decode(bits, fmt):
    """(class, sign, magnitude): class is nan, inf or num."""
    e, m = FORMATS[fmt]
    sign, exponent, fraction = bits >> (e + m) & 1, bits >> m & ((1 << e) - 1), bits & ((1 << m) - 1)
    bias = (1 << (e - 1)) - 1
    if fmt == "e4m3" and exponent == 15 and fraction == 7:
        return "nan", sign, None
    if fmt in ("f16", "bf16", "f32", "e5m2") and exponent == (1 << e) - 1:
        return ("nan" if fraction else "inf"), sign, None
    if exponent:
        fraction |= 1 << m
    return "num", sign, Fraction(fraction) * Fraction(2) ** (max(exponent, 1) - bias - m)


def floor_log2(x):
    n = x.numerator.bit_length() - x.denominator.bit_length()
    return n if Fraction(2) ** n <= x else n - 1


def round_to(sign, magnitude, fmt, mode, finite_only=False):
    """Bits of the nearest value in that direction; finite_only formats have no infinity and saturate."""
    e, m = FORMATS[fmt]
    bias = (1 << (e - 1)) - 1
    high = sign << (e + m)
    if not magnitude:
        return high
    unit = max(floor_log2(magnitude), 1 - bias) - m
    scaled = magnitude / Fraction(2) ** unit
    whole = scaled.numerator // scaled.denominator
    rest = scaled - whole
    up = {"rn": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole & 1), "rz": False,
          "rm": bool(rest) and sign == 1, "rp": bool(rest) and sign == 0}[mode]
    whole += bool(up)
    value = Fraction(whole) * Fraction(2) ** unit
    largest = largest_of(fmt)
    if value > largest:
        if finite_only or mode == "rz" or (mode == "rm" and not sign) or (mode == "rp" and sign):
            return high | encode(largest, fmt)
        return high | ((1 << e) - 1) << m
    return high | encode(value, fmt)


def largest_of(fmt):
    e, m = FORMATS[fmt]
    top = (1 << (e + m)) - 1
    if fmt == "e4m3":
        top -= 1  # the only NaN
    elif fmt in ("f16", "bf16", "f32", "e5m2"):
        top -= 1 << m  # the exponent of infinity and NaN
    return decode(top, fmt)[2]


def encode(value, fmt):
    e, m = FORMATS[fmt]
    if not value:
        return 0
    bias = (1 << (e - 1)) - 1
    exponent = floor_log2(value)
    if exponent < 1 - bias:
        return int(value / Fraction(2) ** (1 - bias - m))
    return (exponent + bias) << m | int(value / Fraction(2) ** (exponent - m) - (1 << m))


SMALLEST = Fraction(2) ** -126


def flushed(number):
    kind, sign, magnitude = number
    return (kind, sign, Fraction(0)) if kind == "num" and magnitude < SMALLEST else number


def fused(a, b, c, mode, ftz, sat, nan=0x7FFFFFFF):
    """a * b + c in f32; a or b None: no product, then a is added as it is. c None: no addend."""
    terms = [(a, b)]
    if ftz:
        a, b, c = (x and flushed(x) for x in (a, b, c))
    product = multiply(a, b) if b else a
    parts = [p for p in (product, c) if p]
    if any(p[0] == "nan" for p in parts):
        bits = nan
    elif any(p[0] == "inf" for p in parts):
        signs = {p[1] for p in parts if p[0] == "inf"}
        bits = nan if len(signs) > 1 else signs.pop() << 31 | 0x7F800000
    else:
        total = sum((-p[2] if p[1] else p[2]) for p in parts)
        if total:
            sign = int(total < 0)
        else:
            signs = {p[1] for p in parts}
            sign = signs.pop() if len(signs) == 1 else int(mode == "rm")
        bits = sign << 31 if ftz and abs(total) < SMALLEST else round_to(sign, abs(total), "f32", mode)
    if sat:
        if bits & 0x7FFFFFFF > 0x7F800000 or bits >> 31:
            return 0
        return min(bits, 0x3F800000)
    return bits


def multiply(a, b):
    sign = a[1] ^ b[1]
    if "nan" in (a[0], b[0]):
        return "nan", 0, None
    if "inf" in (a[0], b[0]):
        other = b if a[0] == "inf" else a
        return ("nan", 0, None) if other[0] == "num" and not other[2] else ("inf", sign, None)
    return "num", sign, a[2] * b[2]


def mode_of(words):
    return next((w[1:] for w in words if w in (".rn", ".rz", ".rm", ".rp")), "rn")


# --- packed and mixed f32
def negated(number):
    return number[0], number[1] ^ 1, number[2]


def arithmetic(row, words, values, fmt):
    """One result of add, sub, mul or fma."""
    x = [decode(v, f) for v, f in zip(values, fmt)]
    mode, ftz, sat = mode_of(words), ".ftz" in words, ".sat" in words
    if row.base == "mul":
        return fused(x[0], x[1], None, mode, ftz, sat)
    if row.base == "fma":
        return fused(x[0], x[1], x[2], mode, ftz, sat)
    return fused(x[0], None, negated(x[1]) if row.base == "sub" else x[1], mode, ftz, sat)


def packed(k, row, words, view):
    count = len(k.sources)
    for t in range(view.total):
        values = [view.operand(j, t) for j in range(count)]
        halves = [arithmetic(row, words, [v >> s & 0xFFFFFFFF for v in values], ["f32"] * 3) for s in (0, 32)]
        yield view.place(0, t), halves[0] | halves[1] << 32, 8


def mixed(k, row, words, view):
    formats = [s for s in k.sources]
    for t in range(view.total):
        values = [view.operand(j, t, bits_of(f)) for j, f in enumerate(formats)]
        yield view.place(0, t), arithmetic(row, words, values, formats), 8


def order_key(bits):
    """-0 below +0."""
    return -(bits & 0x7FFFFFFF) - 1 if bits >> 31 else bits


def extreme(row_base, values, words):
    pick = min if row_base == "min" else max
    sign = 0
    if ".ftz" in words:
        values = [v & 0x80000000 if not v & 0x7F800000 else v for v in values]
    if ".abs" in words:
        sign = values[0] & 0x80000000
        for v in values[1:]:
            sign ^= v & 0x80000000
        values = [v & 0x7FFFFFFF for v in values]
        if ".xorsign" not in words:
            sign = 0
    nans = [v for v in values if v & 0x7FFFFFFF > 0x7F800000]
    if nans and (".NaN" in words or len(nans) == len(values)):
        return 0x7FFFFFFF
    return pick((v for v in values if v & 0x7FFFFFFF <= 0x7F800000), key=order_key) | sign


def three(k, row, words, view):
    for t in range(view.total):
        yield view.place(0, t), extreme(row.base, [view.operand(j, t, 32) for j in range(3)], words), 8


def redux(k, row, words, view):
    for r, members in ((0, 32), (1, 13)):
        for t in range(view.total):
            first = t & ~31
            value = extreme(row.base_op, [view.operand(0, first + i, 32) for i in range(members)], words)
            yield view.place(r, t), value if t % 32 < members else 0, 8


def redux_row(k, row, words, view):
    row.base_op = "min" if ".min" in words else "max"
    return redux(k, row, words, view)


# --- conversions
def tf32(k, row, words, view):
    for t in range(view.total):
        kind, sign, magnitude = decode(view.operand(0, t, 32), "f32")
        if kind == "nan":
            yield view.place(0, t), 0x7FFFE000, 8
            continue
        if sign and ".relu" in words:
            yield view.place(0, t), 0, 8
            continue
        limit = Fraction(2) ** 128 - Fraction(2) ** 117
        bits = 0x7F7FE000
        if kind == "num":
            unit = max(floor_log2(magnitude), -126) - 10 if magnitude else 0
            scaled = magnitude / Fraction(2) ** unit
            whole = int(scaled)
            rest = scaled - whole
            if ".rn" in words and (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole & 1)):
                whole += 1
            value = whole * Fraction(2) ** unit
            if value <= limit:
                bits = encode(value, "f32")
        yield view.place(0, t), sign << 31 | bits, 8


def narrow(bits, fmt, relu):
    """f32 to fp4 or fp6, satfinite."""
    kind, sign, magnitude = decode(bits, "f32")
    e, m = FORMATS[fmt]
    top = encode(largest_of(fmt), fmt)
    if kind == "nan":
        return top
    if relu and sign:
        return 0
    return sign << (e + m) | top if kind == "inf" else round_to(sign, magnitude, fmt, "rn", True)


def to_narrow(k, row, words, view):
    fmt = k.dest[:-2]
    shift = 4 if fmt == "e2m1" else 8
    for t in range(view.total):
        upper, lower = (narrow(view.operand(j, t, 32), fmt, ".relu" in words) for j in (0, 1))
        yield view.place(0, t), upper << shift | lower, 8


def from_narrow(k, row, words, view):
    fmt = k.sources[0][:-2]
    e, m = FORMATS[fmt]
    shift = 4 if fmt == "e2m1" else 8
    for t in range(view.total):
        pair, out = view.operand(0, t, 16), 0
        for i in (0, 1):
            _, sign, magnitude = decode(pair >> (shift * i) & ((1 << (1 + e + m)) - 1), fmt)
            half = 0 if ".relu" in words and sign else round_to(sign, magnitude, "f16", "rn")
            out |= half << (16 * i)
        yield view.place(0, t), out, 8


def scale_of(bits, fmt, words):
    """A power of two at or below (rz), at or above (rp) the magnitude, as an 8-bit exponent."""
    kind, _, magnitude = decode(bits, fmt)
    if kind != "num":
        return 0xFF if kind == "nan" or ".satfinite" not in words else 0xFE
    if magnitude <= Fraction(2) ** -127:
        return 0
    exponent = floor_log2(magnitude)
    if ".rp" in words and Fraction(2) ** exponent != magnitude:
        exponent += 1
    if exponent < -127:
        exponent = -127
    if exponent > 127:
        return 0xFE if ".satfinite" in words else 0xFF
    return exponent + 127


def to_scale(k, row, words, view):
    for t in range(view.total):
        if row.name == "CVT_UE8":
            upper, lower = (scale_of(view.operand(j, t, 32), "f32", words) for j in (0, 1))
        else:
            pair = view.operand(0, t, 32)
            upper, lower = scale_of(pair >> 16, "bf16", words), scale_of(pair & 0xFFFF, "bf16", words)
        yield view.place(0, t), upper << 8 | lower, 8


def from_scale(k, row, words, view):
    for t in range(view.total):
        pair, out = view.operand(0, t, 16), 0
        for i in (0, 1):
            x = pair >> (8 * i) & 0xFF
            out |= (0x7FFF if x == 0xFF else encode(Fraction(2) ** (x - 127), "bf16")) << (16 * i)
        yield view.place(0, t), out, 8


# --- wide loads and stores
def wide_load(k, row, words, view):
    bits, count = bits_of(types(words)[-1]), lanes_of(words)
    cells = wide_cells(k, words)
    for t in range(view.total):
        for r in range(count):
            at = cells + CELL * t + r * bits // 8
            yield view.place(r, t), int.from_bytes(view.inputs[at:at + bits // 8], "little"), 8


def wide_cells(k, words):
    return 0


def wide_store(k, row, words, view):
    bits, count = bits_of(types(words)[-1]), lanes_of(words)
    for t in range(view.total):
        for r in range(count):
            yield CELL * t + r * bits // 8, view.operand(r, t, bits), bits // 8


# --- matrices in shared memory (every kernel dumps what it loads at two row distances)
ROWS = (16, 48)


def unpacked(slot, words):
    """The 16 elements of a 16-byte slot, one to a byte."""
    if ".b4x16_p64" in words:
        return [slot[i // 2] >> (4 * (i & 1)) & 15 for i in range(16)]
    if ".b6x16_p32" in words:
        field = int.from_bytes(slot[:12], "little")
        return [field >> (6 * i) & 63 for i in range(16)]
    return list(slot)


def matrix_load(k, row, words, view):
    count = next(int(w[2:]) for w in words if w in (".x1", ".x2", ".x4"))
    tall = ".m16n16" in words
    for trial, pitch in enumerate(ROWS):
        for i in range(count):
            height = 16 if tall else 8
            rows = [unpacked(view.inputs[(height * i + r) * pitch:(height * i + r) * pitch + 16], words)
                    for r in range(height)]
            for lane in range(32):
                g, q = lane // 4, lane % 4
                for half in range(2 if tall else 1):
                    if tall:
                        data = [rows[4 * q + j][g + 8 * half] for j in range(4)]
                    else:
                        data = rows[g][4 * q:4 * q + 4]
                    index = (2 * i + half) if tall else i
                    total = count * (2 if tall else 1)
                    yield view.place(trial * total + index, lane), int.from_bytes(bytes(data), "little"), 8


# --- tiles
def tile(k, row, words, view):
    """The dumped shared memory of each tile load, element by element."""
    for m, coords, before, room, dumped, size, pitch in k.tiles:
        image = bytearray(view.inputs[before:before + room])
        for to in (0, 4096) if k.cluster > 1 else (0,):
            rows = coords[1:] if ".tile::gather4" in words else [coords[1] + j for j in range(m.box[1])]
            for j, r in enumerate(rows):
                for i in range(m.box[0]):
                    x = coords[0] + i
                    inside = 0 <= x < m.dims[0] and 0 <= r < m.dims[1]
                    at = m.offset + r * m.strides[0] + x * size
                    value = view.inputs[at:at + size] if inside else (b"\xf7\x7f" * 4)[:size] if m.fill else bytes(size)
                    place = to + j * pitch + i * size
                    if m.swizzle == 3:
                        place ^= (place >> 7 & 7) << 4
                    image[place:place + size] = value
        for cta in range(k.grid):
            for at in range(0, room, 8):
                yield dumped + cta * room + at, int.from_bytes(image[at:at + 8], "little"), 8


def matrix_store(k, row, words, view):
    count = next(int(w[2:]) for w in words if w in (".x1", ".x2", ".x4"))
    area = bytearray(view.inputs[:2048])
    for i in range(count):
        for lane in range(32):
            value = int.from_bytes(view.inputs[2048 + 8 * (32 * i + lane):][:4], "little")
            g, q = lane // 4, lane % 4
            for e in range(4):
                area[(8 * i + 2 * q + (e & 1)) * 48 + g + 8 * (e >> 1)] = value >> (8 * e) & 0xFF
    for at in range(0, 2048, 8):
        yield at, int.from_bytes(area[at:at + 8], "little"), 8


# --- products
def finish(terms, keep, out):
    """Terms (sign, significand, exponent of its unit, fraction bits), each cut to `keep` bits below the largest exponent,
    summed and rounded once. A term's exponent is that of its format: products are not normalised."""
    live = [t for t in terms if t[1]]
    if not live:
        return 0
    top, total = max(t[2] + t[3] for t in live), 0
    for sign, significand, exponent, _ in live:
        shift = keep + exponent - top
        cut = significand << shift if shift >= 0 else significand >> -shift
        total += -cut if sign else cut
    magnitude = abs(total) * Fraction(2) ** (top - keep)
    if out == "f32" and magnitude >= Fraction(2) ** 128:
        return (total < 0) << 31 | 0x7F800000
    bits = round_to(int(total < 0), magnitude, out, "rz" if out == "f32" else "rn")
    return bits if bits & (0x7FFFFFFF if out == "f32" else 0x7FFF) else 0


def parts(bits, fmt):
    """(sign, significand, exponent of its unit, fraction bits); None: NaN or infinity."""
    kind, sign, _ = decode(bits, fmt)
    if kind != "num":
        return None
    e, m = FORMATS[fmt]
    exponent, fraction = bits >> m & ((1 << e) - 1), bits & ((1 << m) - 1)
    if exponent:
        fraction |= 1 << m
    return sign, fraction, max(exponent, 1) - ((1 << (e - 1)) - 1) - m, m


def operand_bits(view, j, lane, index, fmt, container):
    word = view.operand(j + index // (32 // container), lane, 32)
    bits = word >> (container * (index % (32 // container))) & ((1 << container) - 1)
    if container == 8:
        bits = bits >> 2 & 15 if fmt == "e2m1" else bits & 63 if fmt in ("e2m3", "e3m2") else bits
    return bits


def product(k, row, words, view):
    m, n, depth, a_type, b_type, _ = k.mma
    container = 4 if depth == 64 else 8
    per = 32 // container
    blocks = 1
    if row.name.startswith("MMA_SCALE"):
        blocks = 4 if ".scale_vec::4X" in words else 2 if depth == 64 else 1
    a_regs, b_regs = m * depth * container // 1024, n * depth * container // 1024
    half_out = k.dest == "f16"
    c_regs = 2 if half_out or k.sources[2] == "f16" else 4
    selectors = selectors_of(words) if row.name.startswith("MMA_SCALE") else [None]
    for place, selector in enumerate(selectors):
        for _ in range(SAMPLE if selector else 6 * SAMPLE):
            warp, r, col = view.rng.randrange(2), view.rng.randrange(16), view.rng.randrange(8)
            base = 32 * warp
            values_a, values_b = [], []
            for kk in range(depth):
                group, inside = divmod(kk, 4 * per)
                lane = base + 4 * (r & 7) + inside // per
                values_a.append(operand_bits(view, (r >> 3) + 2 * group, lane, inside % per, a_type, container))
                lane = base + 4 * col + inside // per
                values_b.append(operand_bits(view, a_regs + group, lane, inside % per, b_type, container))
            lane, reg = base + 4 * (r & 7) + col // 2, 2 * (r >> 3) + (col & 1)
            c = accumulator(view, a_regs + b_regs, lane, reg, k.sources[2])
            scale = scales_of(view, a_regs + b_regs + c_regs, base, r, col, blocks, selector, words) if selector else None
            bits = one_element(values_a, values_b, a_type, b_type, c, scale, depth, blocks, words, k.dest)
            if half_out:
                yield view.place(place * 2 + (r >> 3), lane) + 2 * (col & 1), bits, 2
            else:
                yield view.place(place * 4 + reg, lane), bits, 8


def accumulator(view, j, lane, reg, kind):
    if kind == "f16":
        return view.operand(j + reg // 2, lane, 32) >> (16 * (reg & 1)) & 0xFFFF, "f16"
    return view.operand(j + reg, lane, 32), "f32"


def selectors_of(words):
    """As matrix.scales writes them."""
    vec = next((w for w in words if w.startswith(".scale_vec")), "")
    ids = {"": (0, 1, 2, 3), ".scale_vec::1X": (0, 1, 2, 3), ".scale_vec::2X": (0, 2), ".scale_vec::4X": (0,)}[vec]
    if not vec and ".kind::mxf8f6f4" not in words:
        ids = (0, 2)
    return [(byte, ta, ids[-1] - byte, tb) for byte in ids for ta, tb in ((0, 0), (1, 3), (0, 2), (1, 1))]


def scales_of(view, j, base, row, col, blocks, selector, words):
    byte_a, thread_a, byte_b, thread_b = selector
    sa = view.operand(j, base + 4 * (row & 7) + 2 * thread_a + (row >> 3), 32)
    sb = view.operand(j + 1, base + 4 * col + thread_b, 32)
    out = []
    for block in range(blocks):
        out.append((sa >> 8 * (byte_a + block) & 0xFF, sb >> 8 * (byte_b + block) & 0xFF))
    return out


def scale_parts(bits, words):
    """(significand, exponent of its unit, fraction bits); None: NaN."""
    if ".ue4m3" in words:
        number = parts(bits & 0x7F, "e4m3")
        return number and number[1:]
    return None if bits == 0xFF else (1, bits - 127, 0)


def one_element(a, b, a_type, b_type, c, scale, depth, blocks, words, out):
    nan = 0x7FFF if out == "f16" else 0x7FFFFFFF
    special = {"nan": False, "inf": set()}

    def note(kind, sign):
        if kind == "nan":
            special["nan"] = True
        elif kind == "inf":
            special["inf"].add(sign)

    c_kind, c_sign, c_value = decode(*c)
    note(c_kind, c_sign)
    for x, y in zip(a, b):
        kind, sign, _ = multiply(decode(x, a_type), decode(y, b_type))
        note(kind, sign)
    factors = [tuple(scale_parts(s, words) for s in pair) for pair in scale] if scale else None
    if factors and any(f is None for pair in factors for f in pair):
        special["nan"] = True
    if special["nan"] or len(special["inf"]) > 1:
        return nan
    if special["inf"]:
        top = 0x7C00 if out == "f16" else 0x7F800000
        return special["inf"].pop() << (15 if out == "f16" else 31) | top
    c_part = parts(*c)
    products = []
    for i, (x, y) in enumerate(zip(a, b)):
        p, q = parts(x, a_type), parts(y, b_type)
        products.append([p[0] ^ q[0], p[1] * q[1], p[2] + q[2], p[3] + q[3]])
    if depth == 32:
        if factors:
            (fa, fb), = factors
            for p in products:
                p[2] += fa[1] + fb[1]
        return finish(products + [c_part], 25, out)
    sums = []  # fp4: exact sums of sixteen products, times both scale significands
    for group in range(4):
        fa, fb = factors[group * blocks // 4]
        total = sum((-p[1] if p[0] else p[1]) * 2 ** (p[2] + 4) for p in products[16 * group:16 * group + 16])
        total = Fraction(total) * fa[0] * fb[0]
        scale_point = fa[2] + fb[2]
        unit = fa[1] + fb[1] - 4
        assert total.denominator == 1
        # the exponent that takes part in the maximum is that of the scales
        sums.append([int(total < 0), abs(int(total)), unit, 4 + scale_point])
    return finish(sums + [c_part], 35, out)


CHECKS = {
    "ADD_F32X2": packed, "SUB_F32X2": packed, "MUL_F32X2": packed, "FMA_F32X2": packed, "ADD_MIXED": mixed,
    "SUB_MIXED": mixed, "FMA_MIXED": mixed, "MIN_FLT": three, "MAX_FLT": three, "REDUX_F": redux_row, "CVT_TF32": tf32,
    "CVT_FP6": to_narrow, "CVT_FP6U": from_narrow, "CVT_UE8": to_scale, "CVT_UE8B": to_scale, "CVT_UE8U": from_scale,
    "LD": wide_load, "LD_VOL": wide_load, "LD_STRONG": wide_load, "ST": wide_store, "ST_VOL": wide_store,
    "ST_STRONG": wide_store, "LDMAT_B8": matrix_load, "LDMAT_B6": matrix_load, "STMAT_B8": matrix_store,
    "TMA_LOAD": tile, "TMAP_REP": tile, "MMA_KIND": product, "MMA_KIND2": product, "MMA_SCALE": product, "MMA_SCALE2": product,
}
