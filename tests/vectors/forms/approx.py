"""How far the simulator may be from a recorded result of an approximate function.

The manual bounds the error of each function; hardware and simulator both keep to it, so two of them differ by at most
twice as much. Distances seen on hardware against correct rounding are smaller: runtime/sim keeps to those where they
are stated in units of the last place.
"""
import math
import struct

ULPS = {"DIV_APPR": 2, "RCP_APPR": 1, "SQRT_APPR": 1, "RSQRT": 2, "EX2_F32": 2, "EX2_HALF": 1, "TANH": 2}


def ordered(bits, width):
    top = 1 << (width - 1)
    return top - bits if bits & top else bits


def value_of(bits, width):
    return struct.unpack({16: "<e", 32: "<f", 64: "<d"}[width],
                         struct.pack({16: "<H", 32: "<I", 64: "<Q"}[width], bits))[0]


def near(row, kind, want, got, operand):
    """Whether `got` is as near to the recorded `want` as the function's bound allows."""
    if want == got:
        return True
    if kind in ("f16x2", "bf16x2"):
        return all(near(row, kind[:-2], want >> s & 0xFFFF, got >> s & 0xFFFF, operand >> s & 0xFFFF) for s in (0, 16))
    width = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64}[kind]
    if row == "RCP_AF64" or (row == "RSQRT" and kind == "f64"):
        return abs((want >> 32) - (got >> 32)) <= 1
    if row in ("SIN", "COS", "LG2") or (row == "TANH" and kind == "f32"):
        x, w, g = (value_of(b, 32) for b in (operand, want, got))
        if any(map(math.isnan, (w, g))) or any(map(math.isinf, (w, g))):
            return False
        if row == "TANH":
            return abs(w - g) <= 2 ** -10 * abs(w)
        if row == "LG2":
            return abs(w - g) <= 2 * 2 ** -22 * (1 if 0.5 < x < 2 else abs(w))
        return abs(w - g) <= 2 * (2 ** -20.5 if abs(x) <= 2 * math.pi else 2 ** -14.7)
    return abs(ordered(want, width) - ordered(got, width)) <= ULPS[row]
