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
    return case.get("OT", "bf16")


def rounded(case, x):
    return bf16_round(x) if out_type(case) == "bf16" else x.astype(np.float32)


def values(case, x):
    return bf16_value(x.view(np.uint16)) if out_type(case) == "bf16" else x.astype(np.float64)


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


KERNELS = {f"fp8_fp4_gemm_{major}": ("fp8_fp4_gemm.tile", fp8_fp4(major)) for major in ("nt", "nn", "tn", "tt")}


def judge(case, got, want):
    if got.shape != want.shape:
        return f"shape {got.shape}, not {want.shape}"
    if not want.any():
        return None if not got.any() else "not zeros"
    if not np.isfinite(got).all():
        return "not finite"
    difference = calc_diff(got, want)
    return None if difference < 1e-5 else f"calc_diff {difference:g}"


def run_case(args, kernel, case, shape, device, seed, folder):
    file, make = KERNELS[kernel]
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
        command.append(f"{name}={array}")
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
