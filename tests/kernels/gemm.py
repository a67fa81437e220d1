#!/usr/bin/env python3
"""The GEMM kernels on the simulator against a float64 product computed here with NumPy.

    gemm.py --tilerun build/bin/tilerun --kernels kernels/ [--kernel fp8_gemm_nt] [--device sim:sm_90a]...
            [--shape M,N,K]... [--set BM=64]...

Inputs are made here, not by the tool under test. Every case must reach calc_diff < 1e-5 (zero
products must be exactly zero) and agree with the reference evaluator (--check ref).
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np


def e4m3_values():
    """The 256 values of f8e4m3, from its definition: 1-4-3, bias 7, no infinity, NaN at 0x7F, 0xFF."""
    codes = np.arange(256)
    exponent, fraction = codes >> 3 & 15, codes & 7
    normal = (1 + fraction / 8.0) * 2.0 ** (exponent - 7.0)
    values = np.where(exponent == 0, fraction / 8.0 * 2.0**-6, normal)
    values = np.where(codes & 128, -values, values)
    values[[0x7F, 0xFF]] = np.nan
    return values


def bf16_round(x):
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def bf16_value(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def fp8_inputs(rng, m, n, k):
    table = e4m3_values()
    finite = np.array([c for c in range(256) if not np.isnan(table[c]) and abs(table[c]) <= 16], dtype=np.uint8)
    a, b = rng.choice(finite, (m, k)), rng.choice(finite, (n, k))
    sfa = rng.uniform(0.001, 0.02, (m, k // 128)).astype(np.float32)
    sfb = rng.uniform(0.001, 0.02, (-(-n // 128), k // 128)).astype(np.float32)
    a64 = table[a] * np.repeat(sfa.astype(np.float64), 128, axis=1)
    b64 = table[b] * np.repeat(np.repeat(sfb.astype(np.float64), 128, axis=0)[:n], 128, axis=1)
    return {"A": a, "B": b, "SFA": sfa, "SFB": sfb}, a64 @ b64.T


def bf16_inputs(rng, m, n, k):
    a, b = bf16_round(rng.standard_normal((m, k))), bf16_round(rng.standard_normal((n, k)))
    return {"A": a, "B": b}, bf16_value(a) @ bf16_value(b).T


KERNELS = {
    "fp8_gemm_nt": ("fp8_gemm.tile", fp8_inputs, [(77, 264, 384), (1, 8, 128), (130, 136, 0), (16, 24, 512)]),
    "bf16_gemm_nt": ("bf16_gemm.tile", bf16_inputs, [(77, 264, 384), (1, 1, 1), (130, 131, 0), (33, 65, 77)]),
}


def calc_diff(x, y):
    denominator = (x * x + y * y).sum()
    return 1 - 2 * (x * y).sum() / denominator if denominator else 0.0


def run_case(args, kernel, device, shape, folder):
    file, make, _ = KERNELS[kernel]
    m, n, k = shape
    arrays, expected = make(np.random.default_rng(m * 131 + n * 17 + k), m, n, k)
    out = os.path.join(folder, "d.npy")
    command = [args.tilerun, os.path.join(args.kernels, file), kernel, f"--device={device}", "--out", f"D={out}"]
    command += args.flag if args.no_ref else [*args.flag, "--check", "ref"]
    for setting in args.set:
        command += ["--set", setting]
    for name, array in arrays.items():
        path = os.path.join(folder, name + ".npy")
        np.save(path, array)
        command.append(f"{name}=@{path}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return f"exit {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
    got = bf16_value(np.load(out).view(np.uint16).reshape(m, n))
    if k == 0:
        return None if not got.any() and got.shape == (m, n) else "K = 0 did not give zeros"
    difference = calc_diff(got, expected)
    return None if difference < 1e-5 else f"calc_diff {difference:g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tilerun", required=True)
    parser.add_argument("--kernels", required=True)
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--device", action="append")
    parser.add_argument("--shape", action="append")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--flag", action="append", default=[], help="one more option for tilerun")
    parser.add_argument("--no-ref", action="store_true", help="NumPy alone judges: fp8 wgmma keeps 14 bits")
    args = parser.parse_args()
    failures = cases = 0
    for kernel in args.kernel or KERNELS:
        shapes = [tuple(map(int, s.split(","))) for s in args.shape or []] or KERNELS[kernel][2]
        for device in args.device or ("sim:sm_90a", "sim:sm_100a", "sim:sm_120a"):
            for shape in shapes:
                with tempfile.TemporaryDirectory() as folder:
                    wrong = run_case(args, kernel, device, shape, folder)
                cases += 1
                failures += wrong is not None
                print(f"{'FAIL' if wrong else 'ok  '} {kernel} {device} {shape} {' '.join(args.set)}", wrong or "")
    print(f"gemm: {cases - failures} of {cases} cases good")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
