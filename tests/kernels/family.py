#!/usr/bin/env python3
"""The GEMM family on the simulator against float64 products of the dequantised operands, made here with NumPy.

    family.py --tilerun build/bin/tilerun --kernels kernels/ CASE...

A case is `kernel M,N,K [NAME=VALUE]...` in one argument; NAME=VALUE are generics (`--set`) or, in lower case,
properties of the inputs (groups=4). Every case runs on the three architectures, with the seeds and schedules of
--seeds and --schedules, and must reach calc_diff < 1e-5; with --check it also has to agree with the reference evaluator.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

from gemm import bf16_round, bf16_value, calc_diff, e4m3_values

E4M3 = e4m3_values()
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
DEVICES = ("sim:sm_90a", "sim:sm_100a", "sim:sm_120a")


def narrow(rng, dtype, rows, cols):
    """(what memory holds, values): FP4 packs two columns to a byte, the even one in the low half."""
    if dtype == "f4e2m1":
        packed = rng.integers(0, 256, (rows, cols // 2)).astype(np.uint8)
        codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(rows, cols)
        return packed, np.where(codes & 8, -E2M1[codes & 7], E2M1[codes & 7])
    finite = np.array([c for c in range(256) if abs(E4M3[c]) <= 16], dtype=np.uint8)
    codes = rng.choice(finite, (rows, cols))
    return codes, E4M3[codes]


def packed_scales(rng, rows, k, gran):
    """(i32[rows, ceil(k / 4 gran)], the scale of every element of K)."""
    blocks = -(-k // gran)
    codes = np.zeros((rows, -(-blocks // 4) * 4), dtype=np.uint8)
    codes[:, :blocks] = rng.integers(118, 132, (rows, blocks))
    values = 2.0 ** (codes[:, :blocks].astype(np.float64) - 127)
    return np.ascontiguousarray(codes).view(np.int32), np.repeat(values, gran, axis=1)[:, :k]


def out_type(case):
    return case.get("OT", case["default_type"])


def rounded(case, x):
    return bf16_round(x) if out_type(case) == "bf16" else x.astype(np.float32)


def values(case, x):
    if x.dtype == np.uint8:
        return E4M3[x]
    if x.dtype == np.int32:  # packed ue8m0
        return np.ascontiguousarray(x).view(np.uint8).astype(np.float64)
    return x.astype(np.float64) if x.dtype == np.float32 else bf16_value(x.view(np.uint16))


def fp8_fp4(major):
    def make(rng, case, m, n, k):
        a_mn, b_mn = major[0] == "t", major in ("nn", "tn")
        at, bt = case.get("AT", "f8e4m3"), case.get("BT", "f8e4m3")
        a, av = narrow(rng, at, k, m) if a_mn else narrow(rng, at, m, k)
        b, bv = narrow(rng, bt, k, n) if b_mn else narrow(rng, bt, n, k)
        sfa, sa = packed_scales(rng, m, k, int(case.get("GA", 128)))
        sfb, sb = packed_scales(rng, n, k, int(case.get("GB", 128)))
        want = ((av.T if a_mn else av) * sa) @ ((bv.T if b_mn else bv) * sb).T
        c = rounded(case, rng.standard_normal((m, n)) * 32)
        if case.get("ACC") == "true":
            want = want + values(case, c)
        return {"A": a, "B": b, "SFA": sfa, "SFB": sfb, "C": c}, {"D": want}

    return make


def group_sizes(rng, case, m):
    """Rows per group: one empty, one of a single row, the others up to 2 m; case order=0 keeps the empty one first."""
    groups = int(case.get("groups", 4))
    sizes = rng.integers(0, 2 * m + 1, groups)
    sizes[rng.integers(0, groups)] = 0
    if groups > 1:
        sizes[-1] = 1
    return sizes


def bf16(rng, rows, cols):
    bits = bf16_round(rng.standard_normal((rows, cols)))
    return bits, bf16_value(bits)


def f32_scales(rng, rows, k):
    scales = rng.uniform(0.001, 0.02, (rows, k // 128)).astype(np.float32)
    return scales, np.repeat(scales.astype(np.float64), 128, axis=1)


def block_scales(rng, n, k):
    scales, wide = f32_scales(rng, -(-n // 128), k)
    return scales, np.repeat(wide, 128, axis=0)[:n]


def operand(rng, case, kind, rows, k, is_b):
    """What memory holds, its scales (None for bf16), and the values: `rows` rows of K."""
    if kind == "bf16":
        bits, values64 = bf16(rng, rows, k)
        return bits, None, values64
    if kind == "fp8":
        codes, values64 = narrow(rng, "f8e4m3", rows, k)
        scales, wide = block_scales(rng, rows, k) if is_b else f32_scales(rng, rows, k)
        return codes, scales, values64 * wide
    codes, values64 = narrow(rng, case.get("BT" if is_b else "AT", "f8e4m3"), rows, k)
    scales, wide = packed_scales(rng, rows, k, int(case.get("GB" if is_b else "GA", 128)))
    return codes, scales, values64 * wide


NAN_CODE = {"bf16": 0x7FC0, "fp8": 0x7F, "fp8_fp4": 0x7F}


def stacked(rng, case, kind, groups, n, k):
    """B of every group."""
    parts = [operand(rng, case, kind, n, k, True) for _ in range(groups)]
    scales = None if parts[0][1] is None else np.stack([p[1] for p in parts])
    return np.stack([p[0] for p in parts]), scales, [p[2] for p in parts]


def with_scales(arrays, sfa, sfb):
    return arrays if sfa is None else {**arrays, "SFA": sfa, "SFB": sfb}


def grouped_contiguous(kind, b_mn=False):
    def make(rng, case, m, n, k):
        align, psum = int(case.get("align", 64)), case.get("PSUM") == "true"
        sizes = group_sizes(rng, case, m)
        starts, ends, at = [], [], 0
        for size in sizes:
            starts.append(at)
            ends.append(at + size)
            at = -(-(at + size) // align) * align
        total = at + align  # a tile that belongs to nobody
        a, sfa, av = operand(rng, case, kind, total, k, False)
        b, sfb, bv = stacked(rng, case, kind, len(sizes), n, k)
        want, rows = np.zeros((total, n)), np.full(total, -1, dtype=np.int32)
        valid = np.zeros(total, dtype=bool)
        for g, (start, end) in enumerate(zip(starts, ends)):
            want[start:end] = av[start:end] @ bv[g].T
            rows[start:end] = g
            valid[start:end] = True
        nan = NAN_CODE[kind] if case.get("AT") != "f4e2m1" else 0
        a[~valid] = nan if psum else 0
        rows[~valid] = rng.choice([-1, -7, len(sizes), 0x7FFFFFFF], (~valid).sum())
        layout = np.array(ends, dtype=np.int32) if psum else rows
        b = np.ascontiguousarray(np.swapaxes(b, 1, 2)) if b_mn else b
        return with_scales({"A": a, "B": b, "LAYOUT": layout, "ALIGN": align}, sfa, sfb), {"D": want}

    return make


def grouped_masked(kind):
    def make(rng, case, m, n, k):
        sizes = np.minimum(group_sizes(rng, case, m), m).astype(np.int32)
        b, sfb, bv = stacked(rng, case, kind, len(sizes), n, k)
        parts = [operand(rng, case, kind, m, k, False) for _ in sizes]
        a = np.stack([p[0] for p in parts])
        sfa = None if parts[0][1] is None else np.stack([p[1] for p in parts])
        before = rounded(case, rng.standard_normal((len(sizes), m, n)))
        want = values(case, before)
        for g, size in enumerate(sizes):
            want[g, :size] = parts[g][2][:size] @ bv[g].T
            a[g, size:] = NAN_CODE[kind] if case.get("AT") != "f4e2m1" else 0
        given = sizes.copy()
        given[sizes == m] = 0x7FFFFFFF  # beyond the tensor: all of it
        given[sizes == 0] = -5
        return with_scales({"A": a, "B": b, "MASKED_M": given, "D": before}, sfa, sfb), {"D": want}

    return make


def k_sizes(rng, case, k, unit):
    """K of each group: one empty, the others around k."""
    groups = int(case.get("groups", 4))
    sizes = rng.integers(1, 2 * max(k // unit, 1) + 1, groups) * unit
    if unit == 1:
        sizes[0] = 64
    sizes[rng.integers(0, groups)] = 0
    return sizes.astype(np.int32)


def k_grouped_bf16(rng, case, m, n, k):
    ks = k_sizes(rng, case, k, 1)
    total = int(ks.sum())
    a, av = bf16(rng, total, m)
    b, bv = bf16(rng, total, n)
    c = rounded(case, rng.standard_normal((len(ks), m, n)) * 32)
    want, at = values(case, c), 0
    for g, size in enumerate(ks):
        want[g] += av[at:at + size].T @ bv[at:at + size]
        at += size
    given = np.where(ks == 0, -3, ks).astype(np.int32)  # negative: none
    return {"A": a, "B": b, "KS": given, "C": c}, {"D": want}


def k_grouped_fp8(layout, packed=False):
    def make(rng, case, m, n, k):
        ks = k_sizes(rng, case, k, 128)
        gran = int(case.get("GRAN", 128))
        parts = {"A": [], "B": [], "SFA": [], "SFB": []}
        c = rounded(case, rng.standard_normal((len(ks), m, n)) * 32)
        want = values(case, c)
        for g, size in enumerate(map(int, ks)):
            wide = []
            for name, rows in (("A", m), ("B", n)):
                codes, v = narrow(rng, "f8e4m3", rows, size)
                scales, s = packed_scales(rng, rows, size, gran) if packed else f32_scales(rng, rows, size)
                parts[name].append(codes.T if layout == "tn" else codes.reshape(-1))
                parts["SF" + name].append(scales.T)
                wide.append(v * s)
            want[g] += wide[0] @ wide[1].T
        joined = {name: np.ascontiguousarray(np.concatenate(p)) for name, p in parts.items()}
        return {**joined, "KS": ks, "C": c}, {"D": want}

    return make


def bf16_majors(major):
    def make(rng, case, m, n, k):
        a_mn, b_mn = major[0] == "t", major in ("nn", "tn")
        a, av = bf16(rng, *((k, m) if a_mn else (m, k)))
        b, bv = bf16(rng, *((k, n) if b_mn else (n, k)))
        c = rounded(case, rng.standard_normal((m, n)) * 32)
        want = (av.T if a_mn else av) @ (bv if b_mn else bv.T)
        if case.get("ACC", "true" if major == "nt" else "false") == "true":
            want = want + values(case, c)
        return {"A": a, "B": b, "C": c}, {"D": want}

    return make


def fp8_per_row(rng, case, m, n, k):
    a, sfa, av = operand(rng, case, "fp8", m, k, False)
    b, sfb, bv = operand(rng, case, "fp8", n, k, False)
    c = rounded(case, rng.standard_normal((m, n)))
    want = av @ bv.T + (values(case, c) if case.get("ACC", "true") == "true" else 0)
    return {"A": a, "B": b, "SFA": sfa, "SFB": sfb, "C": c}, {"D": want}


def fp8_skip_head_mid(rng, case, m, n, k):
    left, mid, right = (int(case[name]) for name in ("left", "mid", "right"))
    a, sfa, av = operand(rng, case, "fp8", m, k, False)
    b, sfb, bv = operand(rng, case, "fp8", n, k, True)
    before = rounded(case, rng.standard_normal((m, n + n // (left + right) * mid)))
    want, columns = values(case, before), np.arange(n)
    want[:, columns + (columns + right) // (left + right) * mid] = av @ bv.T
    return {"A": a, "B": b, "SFA": sfa, "SFB": sfb, "LEFT": left, "MID": mid, "RIGHT": right, "D": before}, {"D": want}


def cube(rng, kind, x, y, z):
    """Operand of rank 3 as memory has it, and its values."""
    codes, v = bf16(rng, x * y, z) if kind == "bf16" else narrow(rng, "f8e4m3", x * y, z)
    return codes.reshape(x, y, z), v.reshape(x, y, z)


def scale_blocks(rng, shape, *spans):
    """(f32 scales, wide): one scale for spans[i] positions along each dim."""
    scales = rng.uniform(0.01, 0.1, [-(-n // s) for n, s in zip(shape, spans)]).astype(np.float32)
    wide = scales.astype(np.float64)
    for axis, (n, span) in enumerate(zip(shape, spans)):
        wide = np.take(wide, np.arange(n) // span, axis=axis)
    return scales, wide


def einsum(expr, kind):
    left, right, _ = expr.replace("->", ",").split(",")
    spans = {"bhr": (1, 1, 128), "hdr": (1, 128, 128), "bhd": (1, 1, 128)}
    if expr == "bhd,bhr->hdr":
        spans = {"bhd": (128, 1, 1), "bhr": (128, 1, 1)}

    def make(rng, case, b, h, d, r):
        sizes = dict(b=b, h=h, d=d, r=r)
        arrays, factors = {}, []
        for name, letters in (("X", left), ("Y", right)):
            shape = [sizes[c] for c in letters]
            arrays[name], v = cube(rng, kind, *shape)
            if kind == "fp8":
                arrays["SF" + name], wide = scale_blocks(rng, shape, *spans[letters])
                v = v * wide
            factors.append(v)
        want = np.einsum(expr, *factors)
        if expr == "bhd,bhr->hdr":
            arrays["C"] = rounded(case, rng.standard_normal(want.shape))
            want = want + values(case, arrays["C"])
        return arrays, {"Z": want}

    return make


def bmk_bnk_mn(slices):
    def make(rng, case, s, m, n, k):
        x, xv = cube(rng, "bf16", s, m, k)
        y, yv = cube(rng, "bf16", s, n, k)
        want, parts = np.einsum("smk,snk->mn", xv, yv), int(case.get("parts", 3))
        if not slices:
            z = rng.standard_normal((m, n)).astype(np.float32)
            return {"X": x, "Y": y, "Z": z, "PARTS": parts}, {"Z": want + z}
        blocks = -(-k // 64)
        each, out = -(-s * blocks // parts), np.zeros((parts, m, n))
        for j in range(s * blocks):
            at = slice(j % blocks * 64, j % blocks * 64 + 64)
            out[j // each] += xv[j // blocks, :, at] @ yv[j // blocks, :, at].T
        return {"X": x, "Y": y, "dims": f"PARTS={parts}"}, {"P": out}

    return make


def sum_slices(rng, case, parts, m, n):
    p = rng.standard_normal((parts, m, n)).astype(np.float32)
    c = rounded(case, rng.standard_normal((m, n)))
    return {"P": p, "C": c}, {"Z": p.astype(np.float64).sum(0) + (values(case, c) if case.get("ACC") == "true" else 0)}


def inv_rope(packed):
    def make(rng, case, t, h):
        bits, o = bf16(rng, t * h, 512)
        o = o.reshape(t, h, 512)
        pos = rng.integers(0, 40, t)
        pos[0] = 1 << 40  # outside the table: no rotation
        angle = rng.uniform(-3, 3, (40, 32)).astype(np.float32)
        table = np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
        known = pos < 40
        row = table[np.where(known, pos, 0)].astype(np.float64)
        c = np.where(known[:, None], row[:, :32], 1)[:, None]
        s = np.where(known[:, None], row[:, 32:], 0)[:, None]
        y = o.copy()
        y[..., 448::2] = o[..., 448::2] * c + o[..., 449::2] * s
        y[..., 449::2] = o[..., 449::2] * c - o[..., 448::2] * s
        top = np.abs(y.reshape(t, h, 4, 128)).max(-1)
        exponent = np.ceil(np.log2(np.maximum(top, 1e-10) / 448))
        scales = np.zeros((-(-t // 4) * 4, h // 8, 32))
        scales[:t] = (exponent + 127 if packed else 2.0**exponent).reshape(t, h // 8, 32)
        want = (y.reshape(t, h, 4, 128) / 2.0 ** exponent[..., None]).reshape(t, h // 8, 4096)
        return {"O": bits.reshape(t, h, 512), "POS": pos, "COS_SIN": table, "dims": f"TA={len(scales)}"}, {"Q": want, "SF": scales}

    return make


KERNELS = {f"fp8_fp4_gemm_{major}": ("fp8_fp4_gemm.tile", fp8_fp4(major), "bf16") for major in ("nt", "nn", "tn", "tt")}
for kind in ("bf16", "fp8", "fp8_fp4"):
    KERNELS[f"m_grouped_{kind}_gemm_nt_contiguous"] = ("grouped_gemm.tile", grouped_contiguous(kind), "bf16")
    KERNELS[f"m_grouped_{kind}_gemm_nt_masked"] = ("grouped_gemm.tile", grouped_masked(kind), "bf16")
for major in ("nn", "tn", "tt"):
    KERNELS[f"bf16_gemm_{major}"] = ("bf16_gemm_majors.tile", bf16_majors(major), "bf16")
for name, dtype in (("bhr,hdr->bhd", "bf16"), ("bhd,hdr->bhr", "bf16"), ("bhd,bhr->hdr", "f32")):
    for kind in ("bf16", "fp8"):
        title = f"{kind}_einsum_{name.replace(',', '_').replace('->', '_')}"
        KERNELS[title] = ("einsum.tile", einsum(name, kind), dtype)
KERNELS.update({
    "bf16_gemm_nt_add": ("bf16_gemm_majors.tile", bf16_majors("nt"), "bf16"),
    "fp8_gemm_nt_per_row": ("fp8_gemm_forms.tile", fp8_per_row, "f32"),
    "fp8_gemm_nt_skip_head_mid": ("fp8_gemm_forms.tile", fp8_skip_head_mid, "bf16"),
    "k_grouped_bf16_gemm_tn": ("k_grouped_gemm.tile", k_grouped_bf16, "f32"),
    "k_grouped_fp8_gemm_tn": ("k_grouped_gemm.tile", k_grouped_fp8("tn"), "f32"),
    "k_grouped_fp8_gemm_nt": ("k_grouped_gemm.tile", k_grouped_fp8("nt"), "f32"),
    "k_grouped_fp8_packed_gemm_tn": ("k_grouped_gemm.tile", k_grouped_fp8("tn", packed=True), "f32"),
    "m_grouped_bf16_gemm_nn_contiguous": ("grouped_gemm.tile", grouped_contiguous("bf16", b_mn=True), "bf16"),
    "bf16_einsum_bmk_bnk_mn": ("einsum.tile", bmk_bnk_mn(False), "f32"),
    "bf16_einsum_bmk_bnk_mn_slices": ("einsum.tile", bmk_bnk_mn(True), "f32"),
    "sum_slices": ("einsum.tile", sum_slices, "f32"),
    "inv_rope_fp8_quant": ("einsum.tile", inv_rope(False), "f8e4m3"),
    "inv_rope_fp8_quant_packed": ("einsum.tile", inv_rope(True), "f8e4m3"),
})
# What rounding of the output itself costs: calc_diff below this.
LIMITS = {"f8e4m3": 1e-3}


def judge(case, got, want):
    if got.shape != want.shape:
        return f"shape {got.shape}, not {want.shape}"
    if not want.any():
        return None if not got.any() else "not zeros"
    if not np.isfinite(got).all():
        return "not finite"
    difference = calc_diff(got, want)
    return None if difference < LIMITS.get(out_type(case), 1e-5) else f"calc_diff {difference:g}"


def run_case(args, kernel, case, shape, device, seed, folder):
    file, make, default_type = KERNELS[kernel]
    case = {**case, "default_type": default_type}
    arrays, wanted = make(np.random.default_rng(seed * 7919 + sum(shape)), case, *shape)
    command = [args.tilerun, os.path.join(args.kernels, file), kernel, f"--device={device}", f"--seed={seed}"]
    command += [f"--schedules={args.schedules}"] + args.flag + (["--check", "ref"] if args.check else [])
    for name, value in case.items():
        if name.isupper():
            command += ["--set", f"{name}={value}"]
    for name, array in arrays.items():
        if isinstance(array, np.ndarray):
            np.save(os.path.join(folder, name + ".npy"), array)
            array = "@" + os.path.join(folder, name + ".npy")
        command.append(str(array) if name == "dims" else f"{name}={array}")
    for name in wanted:
        command += ["--out", f"{name}={os.path.join(folder, name + '_out.npy')}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return f"exit {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
    for name, want in wanted.items():
        got = values(case, np.load(os.path.join(folder, name + "_out.npy")))
        wrong = judge(case, got.reshape(want.shape) if got.size == want.size else got, want)
        if wrong:
            return f"{name}: {wrong}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tilerun", required=True)
    parser.add_argument("--kernels", required=True)
    parser.add_argument("--device", action="append")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--schedules", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="the reference evaluator judges too")
    parser.add_argument("--flag", action="append", default=[], help="one more option for tilerun")
    parser.add_argument("cases", nargs="+")
    args = parser.parse_args()
    failures = count = 0
    for text in args.cases:
        kernel, sizes, *settings = text.split()
        case, shape = dict(s.split("=", 1) for s in settings), tuple(map(int, sizes.split(",")))
        for device in args.device or DEVICES:
            for seed in range(1, args.seeds + 1):
                with tempfile.TemporaryDirectory() as folder:
                    wrong = run_case(args, kernel, case, shape, device, seed, folder)
                count += 1
                failures += wrong is not None
                print(f"{'FAIL' if wrong else 'ok  '} {text} {device} seed {seed}", wrong or "", flush=True)
    print(f"family: {count - failures} of {count} cases good")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
