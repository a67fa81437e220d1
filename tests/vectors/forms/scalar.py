"""Micro-kernels of the forms whose result is a function of a thread's own operands."""
import re

from kernel import Kernel
from pools import bits_of

TYPE = re.compile(r"^\.(?:[subf](?:8|16|32|64|128)|bf16|f16x2|bf16x2|u16x2|s16x2|f32x2|pred|tf32|ue8m0x2|"
                  r"(?:e4m3|e5m2|e2m3|e3m2|e2m1)x2)$")


def types(words):
    return [w[1:] for w in words if TYPE.match(w)]


def wide(kind):
    return kind[0] + str(2 * bits_of(kind))


def same(n):
    return lambda w: (types(w)[-1], [types(w)[-1]] * n)


def integer(w):
    t = types(w)[-1]
    return (wide(t) if ".wide" in w else t), [t, t]


def integer_mad(w):
    d, s = integer(w)
    return d, s + [d]


def divide(w):
    t = types(w)[-1]
    return t, [t, t + "nz"]


def dot(w):
    a, b = types(w)
    return ("s32" if "s32" in (a, b) else "u32"), [a, b, "s32"]


def setting(sources):
    return lambda w: (types(w)[0], [types(w)[1]] * 2 + sources)


# Row: (result kind, operand kinds) of the modifier words. What is not here has a kernel of its own below.
SIMPLE = {
    "ADD_INT": same(2), "SUB_INT": same(2), "MUL_INT": integer, "MAD_INT": integer_mad,
    "MAD_SAT": lambda w: ("s32", ["s32"] * 3), "MUL24": same(2), "MAD24": same(3), "DIV_INT": divide, "REM_INT": divide,
    "MIN_INT": same(2), "MAX_INT": same(2), "ABS_INT": same(1), "NEG_INT": same(1), "SAD": same(3),
    "DP4A": dot, "DP2A": dot,
    "AND": same(2), "OR": same(2), "XOR": same(2), "NOT": same(1), "CNOT": same(1),
    "AND_PRED": lambda w: ("pred", ["pred"] * 2), "OR_PRED": lambda w: ("pred", ["pred"] * 2),
    "XOR_PRED": lambda w: ("pred", ["pred"] * 2), "NOT_PRED": lambda w: ("pred", ["pred"]),
    "SHL": lambda w: (types(w)[-1], [types(w)[-1], "sh"]), "SHR": lambda w: (types(w)[-1], [types(w)[-1], "sh"]),
    "SHF": lambda w: ("b32", ["b32", "b32", "sh"]), "BFE": lambda w: (types(w)[-1], [types(w)[-1], "sh", "sh"]),
    "BFI": lambda w: (types(w)[-1], [types(w)[-1]] * 2 + ["sh", "sh"]),
    "BFIND": lambda w: ("u32", [types(w)[-1]]), "POPC": lambda w: ("u32", [types(w)[-1]]),
    "CLZ": lambda w: ("u32", [types(w)[-1]]), "BREV": same(1), "FNS": lambda w: ("b32", ["b32", "lane", "fnsoff"]),
    "BMSK": lambda w: ("b32", ["sh", "sh"]), "SZEXT": lambda w: ("b32", [types(w)[-1], "sh"]),
    "PRMT": lambda w: ("b32", ["b32", "b32", "prmt"]),
    "SET": setting([]), "SET_B": setting(["pred"]),
    "SET_X2": lambda w: (types(w)[0], [types(w)[1]] * 2),
    "SELP": lambda w: (types(w)[0], [types(w)[0]] * 2 + ["pred"]),
    "SLCT": lambda w: (types(w)[0], [types(w)[0]] * 2 + [types(w)[1]]),
    "ADD_F32": same(2), "SUB_F32": same(2), "MUL_F32": same(2), "FMA_F32": same(3), "MAD_F32": same(3),
    "ADD_F64": same(2), "SUB_F64": same(2), "MUL_F64": same(2), "FMA_F64": same(3), "MAD_F64": same(3),
    "ADD_HALF": same(2), "SUB_HALF": same(2), "MUL_HALF": same(2), "FMA_HALF": same(3),
    "ADD_F32X2": same(2), "SUB_F32X2": same(2), "MUL_F32X2": same(2), "FMA_F32X2": same(3),
    "ADD_MIXED": lambda w: ("f32", [types(w)[-1], "f32"]), "SUB_MIXED": lambda w: ("f32", [types(w)[-1], "f32"]),
    "FMA_MIXED": lambda w: ("f32", [types(w)[-1]] * 2 + ["f32"]),
    "DIV_F32": same(2), "DIV_APPR": same(2), "DIV_F64": same(2), "RCP_F32": same(1), "RCP_APPR": same(1),
    "RCP_F64": same(1), "RCP_AF64": same(1), "SQRT_F32": same(1), "SQRT_APPR": same(1), "SQRT_F64": same(1),
    "RSQRT": same(1), "EX2_F32": same(1), "EX2_HALF": same(1), "LG2": same(1), "SIN": same(1), "COS": same(1),
    "TANH": same(1), "MIN_XABS": same(2), "MAX_XABS": same(2), "NEG_FLT": same(1), "ABS_FLT": same(1),
    "COPYSIGN": same(2), "TESTP": lambda w: ("pred", [types(w)[-1]]),
    "CVT_II": lambda w: (types(w)[0], [types(w)[1]]), "CVT_FI": lambda w: (types(w)[0], [types(w)[1]]),
    "CVT_IF": lambda w: (types(w)[0], [types(w)[1]]), "CVT_FF": lambda w: (types(w)[0], [types(w)[1]]),
    "CVT_X2": lambda w: (types(w)[0], ["f32"] * 2), "CVT_TF32": lambda w: ("b32", ["f32"]),
    "CVT_FP8": lambda w: ("b16", ["f32", "f32"]), "CVT_FP8H": lambda w: ("b16", ["f16x2"]),
    "CVT_FP8U": lambda w: ("b32", ["b16"]), "CVT_UE8": lambda w: ("b16", ["f32", "f32"]),
    "CVT_UE8B": lambda w: ("b16", ["bf16x2"]), "CVT_UE8U": lambda w: ("b32", ["b16"]),
    "CVT_PACK": lambda w: ("b32", ["s32"] * 2), "CVT_PACK8": lambda w: ("b32", ["s32"] * 2 + ["b32"]),
}
APPROX = {"DIV_APPR", "RCP_APPR", "RCP_AF64", "SQRT_APPR", "RSQRT", "EX2_F32", "EX2_HALF", "LG2", "SIN", "COS", "TANH"}


def simple(row, words, op):
    dest, sources = SIMPLE[row.name](words)
    k = Kernel(op, threads=128)
    args = [k.operand(s) for s in sources]
    d = k.reg_of(dest)
    if row.name.startswith("CVT") and "bf16" in (dest, sources[0]) and 8 in (bits_of(dest), bits_of(sources[0])):
        byte_cvt(k, op, d, args[0], bits_of(dest) == 8)
    else:
        k.do("%s %s, %s" % (op, d, ", ".join(args)))
    k.result(d)
    if row.name in APPROX:
        k.approx = row.name
    k.dest, k.sources = dest, sources
    return k


def byte_cvt(k, op, d, a, to_byte):
    """Between bf16 and a byte, which here, unlike elsewhere, must lie in an 8-bit register."""
    if to_byte:
        k.do("{", ".reg .b8 n", "%s n, %s" % (op, a), "cvt.u32.u8 %s, n" % d, "}")
    else:
        k.do("{", ".reg .b8 n", "cvt.u8.u32 n, %s" % a, "%s %s, n" % (op, d), "}")


def compare(row, words, op):
    """setp: alone, with the complement, and with a predicate to combine."""
    kind = types(words)[-1]
    k = Kernel(op, threads=128)
    a, b = k.operand(kind), k.operand(kind)
    more = [k.operand("pred")] if row.operands.endswith("p") else []
    p, q = k.reg("p"), k.reg("p")
    k.do("%s %s|%s, %s" % (op, p, q, ", ".join([a, b] + more)))
    k.result(p)
    k.result(q)
    if more:
        k.do("%s %s|%s, %s" % (op, p, q, ", ".join([a, b, "!" + more[0]])))
        k.result(p)
    if not op.endswith("x2"):
        k.do("%s %s, %s" % (op, q, ", ".join([b, a] + more)))
        k.result(q)
    return k


def carry(row, words, op):
    """A chain that starts with a carry made by hand, and shows the carry that comes out."""
    t = types(words)[-1]
    k = Kernel(op, threads=128)
    count = 3 if row.base.startswith("mad") else 2
    args = [k.operand(t) for _ in range(count)]
    if row.base in ("addc", "subc", "madc"):
        junk, more = k.reg_of(t), k.operand(t)
        k.do("%s.cc.%s %s, %s, %s" % ("sub" if row.base == "subc" else "add", t, junk, more, args[0]))
    d, out = k.reg_of(t), k.reg_of(t)
    k.do("%s %s, %s" % (op, d, ", ".join(args)))
    if ".cc" in words:
        k.do("%s.%s %s, 0, 0" % ("subc" if row.base.startswith("sub") else "addc", t, out))
        k.result(out)
    k.result(d)
    return k


def lop3(row, words, op):
    k = Kernel(op, threads=128)
    a, b, c = (k.operand("b32") for _ in range(3))
    d = k.reg("w")
    q = k.operand("pred") if row.name == "LOP3_P" else None
    for table in (0x96, 0xE8, 0x01, 0xC5):
        if q:
            p = k.reg("p")
            k.do("%s %s|%s, %s, %s, %s, %d, %s" % (op, d, p, a, b, c, table, q))
            k.result(p)
        else:
            k.do("%s %s, %s, %s, %s, %d" % (op, d, a, b, c, table))
        k.result(d)
    return k


def setp_pair(row, words, op):
    kind = types(words)[-1]
    k = Kernel(op, threads=128)
    a, b = k.operand(kind), k.operand(kind)
    more = [k.operand("pred")] if row.operands.endswith("p") else []
    p, q = k.reg("p"), k.reg("p")
    k.do("%s %s|%s, %s" % (op, p, q, ", ".join([a, b] + more)))
    k.result(p)
    k.result(q)
    return k


def minmax(row, words, op):
    return simple_as(row, words, op, 2)


def minmax3(row, words, op):
    return simple_as(row, words, op, 3)


def simple_as(row, words, op, count):
    t = types(words)[-1]
    k = Kernel(op, threads=128)
    args = [k.operand(t) for _ in range(count)]
    d = k.reg_of(t)
    k.do("%s %s, %s" % (op, d, ", ".join(args)))
    k.result(d)
    k.dest, k.sources = t, [t] * count
    return k


def move(row, words, op):
    t = types(words)[-1]
    k = Kernel(op, threads=128)
    a, d = k.operand(t), k.reg_of(t)
    k.do("%s %s, %s" % (op, d, a))
    k.result(d)
    if t == "pred":
        return k
    half = {32: "b16", 64: "b32", 128: "b64"}.get(bits_of(t))
    if t in ("b32", "b64", "b128"):  # packing and unpacking
        lo, hi = k.reg_of(half), k.reg_of(half)
        k.do("%s {%s, %s}, %s" % (op, lo, hi, a))
        k.result(lo)
        k.do("%s %s, {%s, %s}" % (op, d, hi, lo))
        k.result(d)
    if t == "b64":
        parts = [k.reg("h") for _ in range(4)]
        k.do("mov.b64 {%s}, %s" % (", ".join(parts), a), "mov.b64 %s, {%s}" % (d, ", ".join(parts[::-1])))
        k.result(d)
    if t in ("u32", "b32", "s32"):  # special registers that are the same everywhere
        for name in ("%tid.x", "%ntid.x", "%laneid", "%lanemask_le", "%nctaid.x", "%ctaid.y", "%ntid.y"):
            k.do("%s %s, %s" % (op, d, name))
            k.result(d)
    return k


def narrow_cvt(row, words, op):
    """fp6 and fp4 conversions; the fp4 pair lives in a .b8 register."""
    t = types(words)
    k = Kernel(op, threads=128)
    byte = "e2m1x2" in t
    if t[-1] == "f32":
        a, b = k.operand("f32"), k.operand("f32")
        d, out = k.reg("h"), k.reg("w")
        if byte:
            k.do("{", ".reg .b8 n", "%s n, %s, %s" % (op, a, b), "cvt.u32.u8 %s, n" % out, "}")
            k.result(out)
        else:
            k.do("%s %s, %s, %s" % (op, d, a, b))
            k.result(d)
        k.dest, k.sources = t[0], ["f32", "f32"]
        return k
    d = k.reg("w")
    if byte:
        a = k.operand("b8")
        k.do("{", ".reg .b8 n", "cvt.u8.u32 n, %s" % a, "%s %s, n" % (op, d), "}")
    else:
        a = k.operand("b16")
        k.do("%s %s, %s" % (op, d, a))
    k.result(d)
    k.dest, k.sources = "f16x2", [t[-1]]
    return k


KERNELS = {name: [simple] for name in SIMPLE}
KERNELS.update({
    "SETP": [compare], "SETP_B": [compare], "SETP_X2": [setp_pair], "SETP_X2B": [setp_pair],
    "ADD_CC": [carry], "SUB_CC": [carry], "ADDC": [carry], "SUBC": [carry], "MAD_CC": [carry], "MADC": [carry],
    "LOP3": [lop3], "LOP3_P": [lop3], "MIN_FLT": [minmax, minmax3], "MAX_FLT": [minmax, minmax3], "MOV": [move],
    "CVT_FP6": [narrow_cvt], "CVT_FP6U": [narrow_cvt],
})
