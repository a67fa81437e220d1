#!/usr/bin/env python3
"""The GEMM and einsum families on a GPU at the shapes and tolerances of DeepGEMM's tests, judged by torch.

    gemm_family.py --artifacts FOLDER [--only REGEX] [--limit SECONDS] [--time]

FOLDER holds what `gemm_family.py --build TILEC KERNELS FOLDER ARCH` compiled. Inputs are normal numbers quantised here;
a product must be within the listed difference of the product of the numbers before quantisation, and, where it says dq, of
the f32 product of the dequantised ones, which shows errors that quantisation would hide. One line per case; the last
lines count passed of listed per table.
"""
import argparse
import collections
import os
import random
import re
import subprocess
import sys
import time

ARTIFACTS = [  # file, kernel, settings
    ("fp8_gemm", "fp8_gemm_nt", {}), ("fp8_gemm_forms", "fp8_gemm_nt_per_row", {}), ("fp8_gemm_forms", "fp8_gemm_nt_skip_head_mid", {}),
    ("bf16_gemm", "bf16_gemm_nt", {}), ("bf16_gemm", "bf16_gemm_nt", {"OT": "f32"}),
    ("bf16_gemm_majors", "bf16_gemm_nt_add", {}), ("bf16_gemm_majors", "bf16_gemm_nn", {}),
    ("bf16_gemm_majors", "bf16_gemm_tn", {"OT": "f32", "ACC": "true"}), ("bf16_gemm_majors", "bf16_gemm_tn", {}),
    ("fp8_fp4_gemm", "fp8_fp4_gemm_nt", {}), ("fp8_fp4_gemm", "fp8_fp4_gemm_nt", {"BT": "f4e2m1", "GB": 32}),
    ("fp8_fp4_gemm", "fp8_fp4_gemm_nt", {"AT": "f4e2m1", "GA": 32}),
    ("fp8_fp4_gemm", "fp8_fp4_gemm_nt", {"AT": "f4e2m1", "BT": "f4e2m1", "GA": 32, "GB": 32}),
    ("fp8_fp4_gemm", "fp8_fp4_gemm_nn", {}), ("fp8_fp4_gemm", "fp8_fp4_gemm_tn", {"OT": "f32", "ACC": "true"}),
    ("grouped_gemm", "m_grouped_bf16_gemm_nt_contiguous", {}), ("grouped_gemm", "m_grouped_bf16_gemm_nt_contiguous", {"PSUM": "true"}),
    ("grouped_gemm", "m_grouped_bf16_gemm_nn_contiguous", {}), ("grouped_gemm", "m_grouped_fp8_gemm_nt_contiguous", {}),
    ("grouped_gemm", "m_grouped_fp8_gemm_nt_contiguous", {"PSUM": "true"}),
    ("grouped_gemm", "m_grouped_fp8_fp4_gemm_nt_contiguous", {"BT": "f4e2m1", "GB": 32}),
    ("grouped_gemm", "m_grouped_bf16_gemm_nt_masked", {}), ("grouped_gemm", "m_grouped_fp8_gemm_nt_masked", {}),
    ("grouped_gemm", "m_grouped_fp8_fp4_gemm_nt_masked", {"BT": "f4e2m1", "GB": 32}),
    ("k_grouped_gemm", "k_grouped_bf16_gemm_tn", {}), ("k_grouped_gemm", "k_grouped_fp8_gemm_nt", {}),
    ("k_grouped_gemm", "k_grouped_fp8_gemm_tn", {}),
    ("einsum", "bf16_einsum_bhr_hdr_bhd", {}), ("einsum", "bf16_einsum_bhd_hdr_bhr", {}), ("einsum", "bf16_einsum_bmk_bnk_mn", {}),
    ("einsum", "bf16_einsum_bmk_bnk_mn_slices", {}), ("einsum", "sum_slices", {"OT": "bf16"}), ("einsum", "fp8_einsum_bhr_hdr_bhd", {}),
    ("einsum", "fp8_einsum_bhd_hdr_bhr", {}), ("einsum", "fp8_einsum_bhd_bhr_hdr", {}),
]


def name_of(kernel, settings):
    return "-".join([kernel, *(f"{k}{v}" for k, v in settings.items())])


def build(tilec, kernels, folder, arch):
    for file, kernel, settings in ARTIFACTS:
        flags = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
        out = os.path.join(folder, name_of(kernel, settings) + ".tla")
        subprocess.run([tilec, os.path.join(kernels, file + ".tile"), f"--kernel={kernel}", f"--arch={arch}", "-o", out, *flags], check=True)


if len(sys.argv) > 1 and sys.argv[1] == "--build":
    build(*sys.argv[2:6])
    sys.exit(0)

import torch  # noqa: E402

import tile  # noqa: E402

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
DEVICE = "cuda"
F8 = torch.float8_e4m3fn
DENSE = [(2112, 7168), (576, 7168), (24576, 1536), (32768, 512), (7168, 16384), (4096, 7168), (7168, 2048)]


def diff(x, y):
    x, y = x.double(), y.double()
    bottom = (x * x + y * y).sum()
    return float(1 - 2 * (x * y).sum() / bottom) if bottom else 0.0


def cdiv(a, b):
    return -(-a // b)


# --- quantisers ---------------------------------------------------------------------------------------


def up(scale, ue8m0):
    return torch.exp2(torch.ceil(torch.log2(scale))) if ue8m0 else scale


def rows_fp8(x, ue8m0=False, gran=128):
    """Per row and `gran` of the last dim: codes, scales[..., k / gran], values."""
    blocks = x.float().unflatten(-1, (-1, gran))
    scale = up(blocks.abs().amax(-1).clamp(1e-4) / 448, ue8m0)
    codes = (blocks / scale[..., None]).to(F8)
    return codes.flatten(-2), scale, (codes.float() * scale[..., None]).flatten(-2)


def blocks_fp8(x, ue8m0=False):
    """Per 128 x 128 of the last two dims."""
    n, k = x.shape[-2:]
    padded = torch.nn.functional.pad(x.float(), (0, cdiv(k, 128) * 128 - k, 0, cdiv(n, 128) * 128 - n))
    tiles = padded.unflatten(-1, (-1, 128)).unflatten(-3, (-1, 128))
    scale = up(tiles.abs().amax((-3, -1)).clamp(1e-4) / 448, ue8m0)
    wide = scale[..., :, None, :, None]
    codes = (tiles / wide).to(F8)
    whole = (codes.float() * wide).flatten(-4, -3).flatten(-2)[..., :n, :k]
    return codes.flatten(-4, -3).flatten(-2)[..., :n, :k].contiguous(), scale, whole


E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6], device=DEVICE)
STEPS = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], device=DEVICE)


def rows_fp4(x, gran=32):
    blocks = x.float().unflatten(-1, (-1, gran))
    scale = up(blocks.abs().amax(-1).clamp(1e-4) / 6, True)
    ratio = blocks / scale[..., None]
    code = torch.bucketize(ratio.abs().clamp(max=6), STEPS)
    value = torch.where(ratio < 0, -E2M1[code], E2M1[code])
    bits = (code | ((ratio < 0) & (code != 0)).long() << 3).flatten(-2).to(torch.uint8)
    return bits[..., ::2] | bits[..., 1::2] << 4, scale, (value * scale[..., None]).flatten(-2)


def m_major(scale, pad=True):
    """[.., m, k] with m contiguous, padded to a multiple of 4."""
    m = scale.shape[-2]
    rows = cdiv(m, 4) * 4 if pad else m
    out = torch.zeros(*scale.shape[:-2], scale.shape[-1], rows, device=DEVICE, dtype=scale.dtype)
    out[..., :m] = scale.transpose(-1, -2)
    return out.transpose(-1, -2)[..., :m, :]


def packed(scale):
    """ue8m0 scales [.., m, blocks] as i32 [.., m, ceil(blocks / 4)], m contiguous."""
    code = (scale.float().view(torch.int32) >> 23 & 255)
    code = torch.nn.functional.pad(code, (0, -code.shape[-1] % 4)).unflatten(-1, (-1, 4))
    word = code[..., 0] | code[..., 1] << 8 | code[..., 2] << 16 | code[..., 3] << 24
    return m_major(word.to(torch.int32))


def normal(*shape, dtype=torch.bfloat16, scale=1.0):
    return (torch.randn(*shape, device=DEVICE) * scale).to(dtype)


# --- running ------------------------------------------------------------------------------------------


class Run:
    def __init__(self, args):
        self.args, self.loaded = args, {}
        self.count = collections.Counter()
        self.passed = collections.Counter()
        self.worst = collections.defaultdict(float)
        self.start, self.skipped = time.time(), []

    def wants(self, table, case):
        if self.args.only and not re.search(self.args.only, f"{table} {case}"):
            return False
        self.count[table] += 1
        if time.time() - self.start > self.args.limit:
            self.skipped.append(f"{table} {case}")
            return False
        if self.args.verbose:
            print(f"{table} {case}", flush=True)
        return True

    def kernel(self, kernel, **settings):
        name = name_of(kernel, settings)
        if name not in self.loaded:
            self.loaded[name] = tile.load(os.path.join(self.args.artifacts, name + ".tla"))[kernel]
        return self.loaded[name]

    def judge(self, table, case, checks, launch=None):
        """checks: (what, got, want, limit)."""
        good, said = True, []
        for what, got, want, limit in checks:
            finite = bool(torch.isfinite(got).all())
            d = diff(got, want) if finite else float("nan")
            good &= finite and d < limit
            said.append(f"{what} {d:.2g}")
            self.worst[table, what] = max(self.worst[table, what], d)
        self.passed[table] += good
        if not good or self.args.time:
            print(f"{'ok  ' if good else 'FAIL'} {table} {case}: {', '.join(said)}{timed(launch) if launch and self.args.time else ''}", flush=True)


def timed(launch):
    for _ in range(3):
        launch()
    flush = torch.empty(256 << 20, dtype=torch.int8, device=DEVICE)
    times = []
    for _ in range(10):
        flush.zero_()
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        launch()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) * 1e3)
    return f", {sorted(times)[5]:.1f} us"


def dense(run):
    for n, k in DENSE:
        for m in (1, 128, 4096):
            table, case = "4.1.3 fp8 dense forward", f"{m}x{n}x{k}"
            a, b = normal(m, k), normal(n, k)
            want = a.float() @ b.float().T
            if run.wants(table, case):
                (ac, sa, av), (bc, sb, bv) = rows_fp8(a), blocks_fp8(b)
                d = torch.empty(m, n, device=DEVICE, dtype=torch.bfloat16)
                run.kernel("fp8_gemm_nt")(ac, bc, m_major(sa, pad=False), sb, d)
                run.judge(table, case, [("bf16", d, want, 1e-3), ("dq", d, av @ bv.T, 5e-6)])
            for title, at, bt, ga, gb, limit in (("fp8xfp8 ue8m0", 8, 8, 128, 128, 1e-3), ("fp8xfp4", 8, 4, 128, 32, 1e-2),
                                                 ("fp4xfp8", 4, 8, 32, 128, 1e-2), ("fp4xfp4", 4, 4, 32, 32, 2e-2)):
                table = f"4.1.1 {title} dense forward"
                if not run.wants(table, case):
                    continue
                ac, sa, av = rows_fp4(a) if at == 4 else rows_fp8(a, True)
                bc, sb, bv = rows_fp4(b) if bt == 4 else rows_fp8(b, True)
                sets = {**({"AT": "f4e2m1"} if at == 4 else {}), **({"BT": "f4e2m1"} if bt == 4 else {}),
                        **({"GA": 32} if ga == 32 else {}), **({"GB": 32} if gb == 32 else {})}
                d = torch.empty(m, n, device=DEVICE, dtype=torch.bfloat16)
                run.kernel("fp8_fp4_gemm_nt", **sets)(ac, bc, packed(sa), packed(sb), d, d)
                run.judge(table, case, [("bf16", d, want, limit), ("dq", d, av @ bv.T, 5e-6)])


def backward(run):
    m = 4096
    for n, k in DENSE:
        table, case = "4.1.4 fp8 dgrad", f"{m}x{k}x{n}"
        if n % 128 == 0 and run.wants(table, case):
            a, b = normal(m, n), normal(k, n)
            (ac, sa, av), (bc, sb, bv) = rows_fp8(a), blocks_fp8(b)
            d = torch.empty(m, k, device=DEVICE, dtype=torch.bfloat16)
            run.kernel("fp8_gemm_nt")(ac, bc, m_major(sa, pad=False), sb, d)
            run.judge(table, case, [("bf16", d, a.float() @ b.float().T, 1e-3), ("dq", d, av @ bv.T, 5e-6)])
        table = "4.1.4 fp8 dgrad, B as it lies"
        if n % 128 == 0 and run.wants(table, case):
            a, b = normal(m, n), normal(k, n)
            (ac, sa, av), (bc, sb, bv) = rows_fp8(a, True), rows_fp8(b, True)
            d = torch.empty(m, k, device=DEVICE, dtype=torch.bfloat16)
            run.kernel("fp8_fp4_gemm_nn")(ac, bc.view(torch.uint8).T.contiguous().view(F8), packed(sa), packed(sb), d, d)
            run.judge(table, case, [("bf16", d, a.float() @ b.float().T, 1e-3), ("dq", d, av @ bv.T, 5e-6)])
        for acc in (True, False):
            table, case = f"4.1.4 fp8 wgrad{' acc' if acc else ''}", f"{n}x{m}x{k}"
            if not run.wants(table, case):
                continue
            a, b = normal(n, k), normal(m, k)
            if acc:
                (ac, sa, av), (bc, sb, bv) = rows_fp8(a), rows_fp8(b)
                c = normal(n, m, dtype=torch.float32, scale=32)
                d = c.clone()
                run.kernel("fp8_gemm_nt_per_row")(ac, bc, m_major(sa), m_major(sb), d, d)
                run.judge(table, case, [("f32", d, a.float() @ b.float().T + c, 1e-3), ("dq", d - c, av @ bv.T, 5e-6)])
            else:
                (ac, sa, av), (bc, sb, bv) = rows_fp8(a), blocks_fp8(b)
                d = torch.empty(n, m, device=DEVICE, dtype=torch.bfloat16)
                run.kernel("fp8_gemm_nt")(ac, bc, m_major(sa, pad=False), sb, d)
                run.judge(table, case, [("bf16", d, a.float() @ b.float().T, 1e-3), ("dq", d, av @ bv.T, 5e-6)])


def bf16(run):
    shapes = [(m, n, k, False) for n, k in DENSE for m in (1, 128, 4096)] + \
             [(m, n, k, True) for n, k in ((256, 7168), (129280, 7168)) for m in (1, 128, 4096)]
    for m, n, k, f32 in shapes:
        table, case = "4.2.1 bf16 dense", f"{m}x{n}x{k}{' f32' if f32 else ''}"
        a, b = normal(m, k), normal(n, k)
        want = None
        if run.wants(table, case):
            want = a.float() @ b.float().T
            d = torch.empty(m, n, device=DEVICE, dtype=torch.float32 if f32 else torch.bfloat16)
            run.kernel("bf16_gemm_nt", **({"OT": "f32"} if f32 else {}))(a, b, d)
            run.judge(table, case, [("diff", d, want if f32 else want.bfloat16(), 1e-5)])
        table = "4.2.1 bf16 accumulate"
        if not f32 and run.wants(table, case):
            want = a.float() @ b.float().T if want is None else want
            c = normal(m, n, scale=32)
            d = c.clone()
            run.kernel("bf16_gemm_nt_add")(a, b, d, d)
            run.judge(table, case, [("diff", d, (want + c.float()).bfloat16(), 1e-5)])
    m = 4096
    for n, k in DENSE + [(256, 7168), (129280, 7168)]:
        table, case = "4.2.1 bf16 dgrad nn", f"{m}x{k}x{n}"
        if run.wants(table, case):
            a, b = normal(m, n), normal(n, k)
            d = torch.empty(m, k, device=DEVICE, dtype=torch.bfloat16)
            run.kernel("bf16_gemm_nn")(a, b, d, d)
            run.judge(table, case, [("diff", d, (a.float() @ b.float()).bfloat16(), 1e-5)])
        for acc in (True, False):
            table, case = f"4.2.1 bf16 wgrad tn{' acc' if acc else ''}", f"{n}x{m}x{k}"
            if not run.wants(table, case):
                continue
            a, b = normal(k, n), normal(k, m)
            want = a.float().T @ b.float()
            if acc:
                c = normal(n, m, dtype=torch.float32, scale=32)
                d = c.clone()
                run.kernel("bf16_gemm_tn", OT="f32", ACC="true")(a, b, d, d)
                run.judge(table, case, [("diff", d, want + c, 1e-5)])
            else:
                d = torch.empty(n, m, device=DEVICE, dtype=torch.bfloat16)
                run.kernel("bf16_gemm_tn")(a, b, d, d)
                run.judge(table, case, [("diff", d, want.bfloat16(), 1e-5)])


GROUPED = [(6144, 7168), (7168, 3072), (4096, 4096), (4096, 2048)]


def quantised(kind, a, b):
    if kind == "bf16":
        return (a, b), None
    if kind == "fp8":
        (ac, sa, _), (bc, sb, _) = rows_fp8(a), blocks_fp8(b)
        return (ac, bc, m_major(sa), sb), 1e-3
    (ac, sa, _), (bc, sb, _) = rows_fp8(a, True), rows_fp4(b)
    return (ac, bc, packed(sa), packed(sb)), 1e-2


def limit_of(kind):
    return {"bf16": 1e-5, "fp8": 1e-3, "fp8_fp4": 1e-2}[kind]


def contiguous(run):
    align = 128
    for groups, expected in ((4, 8192), (8, 4096)):
        for n, k in GROUPED:
            for kind in ("bf16", "bf16 nn", "fp8", "fp8_fp4"):
                for psum in (False, True) if kind in ("bf16", "fp8") else (False,):
                    table, case = f"4.1.6 m-grouped contiguous {kind}", f"{groups}x{expected}x{n}x{k} psum={psum}"
                    if not run.wants(table, case):
                        continue
                    sizes = [int(expected * random.uniform(0.7, 1.3)) for _ in range(groups)]
                    starts, ends, at = [], [], 0
                    for size in sizes:
                        starts.append(at)
                        ends.append(at + size)
                        at = cdiv(at + size, align) * align
                    a, b = normal(at, k), normal(groups, n, k)
                    rows = torch.full((at,), -1, dtype=torch.int32, device=DEVICE)
                    want = torch.zeros(at, n, device=DEVICE)
                    for g, (s, e) in enumerate(zip(starts, ends)):
                        a[e:cdiv(e, align) * align] = 0
                        rows[s:e] = g
                        want[s:e] = a[s:e].float() @ b[g].float().T
                    layout = torch.tensor(ends, dtype=torch.int32, device=DEVICE) if psum else rows
                    d = torch.full((at, n), 7.0, device=DEVICE, dtype=torch.bfloat16)
                    base, nn = kind.split()[0], kind.endswith("nn")
                    args, _ = quantised(base, a, b)
                    if nn:
                        args = (args[0], args[1].transpose(1, 2).contiguous())
                    sets = {**({"PSUM": "true"} if psum else {}), **({"BT": "f4e2m1", "GB": 32} if kind == "fp8_fp4" else {})}
                    run.kernel(f"m_grouped_{base}_gemm_{'nn' if nn else 'nt'}_contiguous", **sets)(*args, layout, d, align)
                    run.judge(table, case, [("diff", d, want.bfloat16(), limit_of(base))])


def masked(run):
    most = 4096
    for groups, expected in ((32, 192), (6, 1024), (32, 20), (6, 20)):
        for n, k in GROUPED:
            for kind in ("bf16", "fp8", "fp8_fp4"):
                table, case = f"4.1.7 m-grouped masked {kind}", f"{groups}x{expected}x{n}x{k}"
                if not run.wants(table, case):
                    continue
                a, b = normal(groups, most, k), normal(groups, n, k)
                args, _ = quantised(kind, a, b)
                sets = {"BT": "f4e2m1", "GB": 32} if kind == "fp8_fp4" else {}
                d = torch.full((groups, most, n), 7.0, device=DEVICE, dtype=torch.bfloat16)
                checks = []
                for trial in range(2):
                    d.fill_(7)
                    sizes = [int(expected * random.uniform(0.7, 1.3)) for _ in range(groups)]
                    counts = torch.tensor(sizes, dtype=torch.int32, device=DEVICE)
                    run.kernel(f"m_grouped_{kind}_gemm_nt_masked", **sets)(*args, counts, d)
                    got = torch.cat([d[g, :s] for g, s in enumerate(sizes)])
                    want = torch.cat([a[g, :s].float() @ b[g].float().T for g, s in enumerate(sizes)])
                    checks.append(("diff", got, want.bfloat16(), limit_of(kind)))
                    beyond = torch.stack([(d[g, s:] != 7).any() for g, s in enumerate(sizes)]).any()
                    checks.append(("touched", beyond.float() + 1, torch.ones((), device=DEVICE), 1e-9))
                run.judge(table, case, checks)
                del a, b, args, d


def k_grouped(run):
    for groups, m, n, expected in ((4, 4096, 7168, 8192), (4, 7168, 2048, 8192), (8, 4096, 7168, 4096), (8, 7168, 2048, 4096),
                                   (16, 4096, 7168, 2048), (16, 7168, 2048, 2048)):
        for empty in (False, True):
            sizes = [cdiv(int(expected * random.uniform(0.7, 1.3)), 128) * 128 for _ in range(groups)]
            if empty:
                sizes[random.randrange(groups)] = 0
            ks = torch.tensor(sizes, dtype=torch.int32, device=DEVICE)
            for kind in ("bf16 tn", "fp8 nt", "fp8 tn"):
                table, case = f"4.1.8 k-grouped {kind}", f"{groups}x{m}x{n}x{expected}{' one empty' if empty else ''}"
                if not run.wants(table, case):
                    continue
                total = sum(sizes)
                a, b = normal(total, m), normal(total, n)
                c = normal(groups, m, n, dtype=torch.float32, scale=32)
                want, d, at = c.clone(), c.clone(), 0
                for g, size in enumerate(sizes):
                    want[g] += a[at:at + size].float().T @ b[at:at + size].float()
                    at += size
                if kind == "bf16 tn":
                    run.kernel("k_grouped_bf16_gemm_tn")(a, b, ks, d, d)
                else:
                    (ac, sa, _), (bc, sb, _) = rows_fp8(a.T.contiguous()), rows_fp8(b.T.contiguous())
                    if kind == "fp8 nt":
                        cut = lambda codes: torch.cat([p.reshape(-1) for p in codes.view(torch.uint8).split(sizes, 1)]).view(F8)  # noqa: E731
                        ac, bc = cut(ac), cut(bc)
                    else:
                        ac, bc = (x.view(torch.uint8).T.contiguous().view(F8) for x in (ac, bc))
                    run.kernel("k_grouped_fp8_gemm_" + kind[4:])(ac, bc, sa.T.contiguous(), sb.T.contiguous(), ks, d, d)
                run.judge(table, case, [("diff", d, want, 1e-5 if kind == "bf16 tn" else 1e-3)])


def einsum(run):
    for h, r, d in ((128, 512, 128), (8, 4096, 1024)):
        for b in (4, 32, 128, 4096, 8192):
            y = normal(h, d, r + 128)[:, :, :r]
            table, case = "4.3 bf16 bhr,hdr->bhd", f"b={b} h={h} r={r} d={d}"
            if run.wants(table, case):
                x, z = normal(b, h, r), torch.empty(b, h, d, device=DEVICE, dtype=torch.bfloat16)
                run.kernel("bf16_einsum_bhr_hdr_bhd")(x, y, z)
                run.judge(table, case, [("torch", z, torch.einsum("bhr,hdr->bhd", x, y), 1e-7), ("f32", z, torch.einsum("bhr,hdr->bhd", x.float(), y.float()).bfloat16(), 1e-5)])
            table = "4.3 bf16 bhd,hdr->bhr"
            if run.wants(table, case):
                x, z = normal(b, h, d), torch.empty(b, h, r, device=DEVICE, dtype=torch.bfloat16)
                run.kernel("bf16_einsum_bhd_hdr_bhr")(x, y, z)
                run.judge(table, case, [("torch", z, torch.einsum("bhd,hdr->bhr", x, y), 1e-7), ("f32", z, torch.einsum("bhd,hdr->bhr", x.float(), y.float()).bfloat16(), 1e-5)])
    for h in (8, 4, 2, 1):
        for b in (1, 4, 32, 128, 4096, 8192) if h == 8 else (1, 4, 64, 1024):
            r, d = 4096, 1024
            table, case = "4.3 fp8 bhr,hdr->bhd", f"b={b} h={h} r={r} d={d}"
            y = normal(h, d, r)
            if run.wants(table, case):
                x, z = normal(b, h, r), torch.empty(b, h, d, device=DEVICE, dtype=torch.bfloat16)
                (xc, sx, xv), (yc, sy, yv) = rows_fp8(x, True), blocks_fp8(y, True)
                sx = m_major(sx.transpose(0, 1)).permute(1, 0, 2)
                launch = lambda: run.kernel("fp8_einsum_bhr_hdr_bhd")(xc, sx, yc, sy, z)  # noqa: E731
                launch()
                run.judge(table, case, [("bf16", z, torch.einsum("bhr,hdr->bhd", x, y), 1e-3), ("dq", z, torch.einsum("bhr,hdr->bhd", xv, yv), 5e-6)], launch)
                if run.args.time:
                    print(f"       torch bf16 einsum{timed(lambda: torch.einsum('bhr,hdr->bhd', x, y))}", flush=True)
    for b in (4, 32, 128, 4096, 8192):
        h, r, d = 8, 4096, 1024
        table, case = "4.3 fp8 bhd,hdr->bhr", f"b={b}"
        if run.wants(table, case):
            x, y, z = normal(b, h, d), normal(h, d, r), torch.empty(b, h, r, device=DEVICE, dtype=torch.bfloat16)
            (xc, sx, xv), (yc, sy, yv) = rows_fp8(x, True), blocks_fp8(y, True)
            run.kernel("fp8_einsum_bhd_hdr_bhr")(xc, m_major(sx.transpose(0, 1)).permute(1, 0, 2), yc, sy, z)
            run.judge(table, case, [("bf16", z, torch.einsum("bhd,hdr->bhr", x, y), 1e-3), ("dq", z, torch.einsum("bhd,hdr->bhr", xv, yv), 5e-6)])
        table = "4.3 fp8 bhd,bhr->hdr"
        if b >= 4096 and run.wants(table, case):
            x, y = normal(b, h, d), normal(b, h, r)
            c = normal(h, d, r, dtype=torch.float32, scale=10)
            z = c.clone()
            xc, sx = (rows_fp8(x.permute(1, 2, 0).contiguous(), True))[:2]
            yc, sy = (rows_fp8(y.permute(1, 2, 0).contiguous(), True))[:2]
            turn = lambda t: t.view(torch.uint8).permute(2, 0, 1).contiguous().view(F8)  # noqa: E731
            run.kernel("fp8_einsum_bhd_bhr_hdr")(turn(xc), sx.permute(2, 0, 1).contiguous(), turn(yc), sy.permute(2, 0, 1).contiguous(), z, z)
            run.judge(table, case, [("f32", z, torch.einsum("bhd,bhr->hdr", x.float(), y.float()) + c, 1e-3)])
    for s in (129, 4096, 8192):
        for m, n, k in ((128, 384, 128), (256, 256, 256), (384, 128, 384)):
            x, y = normal(s, m, k), normal(s, n, k)
            want = None
            for kind in ("atomic f32", "slices bf16"):
                table, case = f"4.3 bmk,bnk->mn {kind}", f"s={s} {m}x{n}x{k}"
                if not run.wants(table, case):
                    continue
                want = torch.einsum("smk,snk->mn", x.float(), y.float()) if want is None else want
                if kind == "atomic f32":
                    c = normal(m, n, dtype=torch.float32)
                    z = c.clone()
                    run.kernel("bf16_einsum_bmk_bnk_mn")(x, y, z, 32)
                    run.judge(table, case, [("diff", z, want + c, 1e-5)])
                else:
                    p, z = torch.empty(32, m, n, device=DEVICE), torch.empty(m, n, device=DEVICE, dtype=torch.bfloat16)
                    run.kernel("bf16_einsum_bmk_bnk_mn_slices")(x, y, p)
                    run.kernel("sum_slices", OT="bf16")(p, z, z)
                    run.judge(table, case, [("diff", z, want.bfloat16(), 1e-5)])


def head_split(run):
    left, mid, right = 128, 64, 128
    for m in (128, 4096):
        for n, k in ((32768, 512), (8192, 512)):
            table, case = "4.6.1 head split", f"{m}x{n}x{k}"
            if not run.wants(table, case):
                continue
            a, b = normal(m, k), normal(n, k)
            (ac, sa, _), (bc, sb, _) = rows_fp8(a), blocks_fp8(b)
            d = torch.zeros(m, n + n // (left + right) * mid, device=DEVICE, dtype=torch.bfloat16)
            run.kernel("fp8_gemm_nt_skip_head_mid")(ac, bc, m_major(sa, pad=False), sb, d, left, mid, right)
            want = torch.zeros_like(d, dtype=torch.float32)
            column = torch.arange(n, device=DEVICE)
            gaps = torch.ones(d.shape[1], dtype=torch.bool, device=DEVICE)
            column = column + (column + right) // (left + right) * mid
            gaps[column] = False
            want[:, column] = a.float() @ b.float().T
            run.judge(table, case, [("diff", d, want, 1e-3), ("gaps", d[:, gaps].float().abs().max() + 1, torch.ones((), device=DEVICE), 1e-9)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", required=True)
    parser.add_argument("--only")
    parser.add_argument("--limit", type=float, default=1e9)
    parser.add_argument("--verbose", action="store_true", help="name a case before it runs: the last one hangs")
    parser.add_argument("--time", action="store_true", help="all cases, with device times where there is a peer")
    args = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)
    run = Run(args)
    with torch.inference_mode():
        for part in (head_split, einsum, dense, backward, k_grouped, contiguous, masked, bf16):
            try:
                part(run)
            except Exception as error:  # the other tables still run
                print(f"FAIL {part.__name__}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            torch.cuda.empty_cache()
    print(f"{torch.cuda.get_device_name()}, {time.time() - run.start:.0f} s")
    for table in run.count:
        worst = ", ".join(f"{what} {d:.2g}" for (t, what), d in run.worst.items() if t == table)
        print(f"{table}: {run.passed[table]} of {run.count[table]} passed; worst {worst}")
    for case in run.skipped:
        print(f"not run for lack of time: {case}")
    print(f"gemm_family: {sum(run.passed.values())} of {sum(run.count.values())} listed cases passed")
    sys.exit(0 if sum(run.passed.values()) == sum(run.count.values()) else 1)


if __name__ == "__main__":
    main()
