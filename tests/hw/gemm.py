#!/usr/bin/env python3
"""GEMM kernels on a real GPU against torch, and against the simulator bit for bit.

Run on a machine with an NVIDIA GPU and PyTorch, from the repository root:

    python3 tests/hw/gemm.py --tilerun build/bin/tilerun --artifacts DIR --out results.jsonl

DIR holds bf16_gemm.tla and fp8_gemm.tla. For every case the inputs are made with torch, written as
.npy, run through tilerun on cuda:0 (and on sim:sm_90a where the case is small) and compared:
  * calc_diff = 1 - 2 sum(xy) / sum(x^2 + y^2) against a float64 product computed by torch,
  * bytes of cuda:0 against bytes of sim:sm_90a.
Timing: tilerun's own (device events, L2 flushed before each launch, median) for our kernels, and the
same method for cuBLAS through torch in the same run. One JSON line per case goes to --out.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def calc_diff(x, y):
    x, y = x.double(), y.double()
    denominator = (x * x + y * y).sum()
    return float(1 - 2 * (x * y).sum() / denominator) if denominator > 0 else 0.0


def save(folder, name, tensor):
    path = os.path.join(folder, name + ".npy")
    if tensor.dtype == torch.bfloat16:
        array = tensor.cpu().view(torch.uint16).numpy()
    elif tensor.dtype == torch.float8_e4m3fn:
        array = tensor.cpu().view(torch.uint8).numpy()
    else:
        array = tensor.cpu().numpy()
    np.save(path, array)
    return path


def load_bf16(path, shape):
    return torch.from_numpy(np.load(path).view(np.int16).reshape(shape)).view(torch.bfloat16)


def median_ms(fn, runs):
    """Device time with a flushed L2, as tilerun measures it."""
    flush = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    times = []
    for _ in range(3):
        fn()
    for _ in range(runs):
        flush.zero_()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        fn()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def bf16_case(m, n, k, generator):
    a = torch.randn(m, k, generator=generator).to(torch.bfloat16)
    b = torch.randn(n, k, generator=generator).to(torch.bfloat16)
    inputs = {"A": a, "B": b}
    a_gpu, b_gpu = a.cuda(), b.cuda()
    reference = a_gpu.double() @ b_gpu.double().t()
    return inputs, reference, lambda: torch.matmul(a_gpu, b_gpu.t())


def fp8_case(m, n, k, generator):
    a = torch.randn(m, k, generator=generator).to(torch.float8_e4m3fn)
    b = torch.randn(n, k, generator=generator).to(torch.float8_e4m3fn)
    sfa = torch.rand(m, k // 128, generator=generator) * 0.02 + 0.001
    sfb = torch.rand((n + 127) // 128, k // 128, generator=generator) * 0.02 + 0.001
    inputs = {"A": a, "B": b, "SFA": sfa, "SFB": sfb}
    a64 = a.cuda().double() * sfa.cuda().double().repeat_interleave(128, dim=1)
    rows = sfb.cuda().double().repeat_interleave(128, dim=0)[:n].repeat_interleave(128, dim=1)
    reference = a64 @ (b.cuda().double() * rows).t()
    # cuBLASLt has no such block scaling on this torch; its tensor-wise FP8 product is the peer.
    one = torch.ones((), device="cuda")
    a_gpu, b_gpu = a.cuda(), b.cuda()
    peer = None
    if m % 16 == 0 and n % 16 == 0:
        peer = lambda: torch._scaled_mm(a_gpu, b_gpu.t(), one, one, out_dtype=torch.bfloat16)
    return inputs, reference, peer


CASES = {"bf16_gemm_nt": ("bf16_gemm.tla", bf16_case), "fp8_gemm_nt": ("fp8_gemm.tla", fp8_case)}


def command(args, kernel, device, paths, out, extra=()):
    artifact = os.path.join(args.artifacts, CASES[kernel][0])
    given = [f"{name}=@{path}" for name, path in paths.items()]
    return [args.tilerun, artifact, kernel, f"--device={device}", *given, "--out", f"D={out}", *extra]


def check_one(args, kernel, m, n, k, small):
    generator = torch.Generator().manual_seed(m * 7919 + n * 31 + k)
    inputs, reference, peer = CASES[kernel][1](m, n, k, generator)
    result = {"kernel": kernel, "m": m, "n": n, "k": k, "gpu": torch.cuda.get_device_name()}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: save(folder, name, tensor) for name, tensor in inputs.items()}
        out = os.path.join(folder, "d.npy")
        variant = [f"--variant={args.variant}"] if args.variant else []
        code, text = run(command(args, kernel, "cuda:0", paths, out, variant))
        if code:
            return dict(result, error=text[-800:])
        got = load_bf16(out, (m, n))
        result["calc_diff"] = calc_diff(got.cuda(), reference)
        if small and not args.no_sim:
            simulated = os.path.join(folder, "sim.npy")
            code, text = run(command(args, kernel, "sim:sm_90a", paths, simulated, variant))
            if code:
                return dict(result, error="sim: " + text[-800:])
            different = int((np.load(out).view(np.uint8) != np.load(simulated).view(np.uint8)).sum())
            result["bytes_different_from_sim"] = different
        if not small:
            code, text = run(command(args, kernel, "cuda:0", paths, out, [*variant, "--bench=20"]))
            found = re.search(r"median ([0-9.]+) ms", text)
            if code or not found:
                return dict(result, error="bench: " + text[-800:])
            result["ms"] = float(found.group(1))
            result["tflops"] = round(2 * m * n * k / result["ms"] / 1e9, 1)
            if peer:
                result["cublas_ms"] = round(median_ms(peer, 20), 5)
                result["cublas_tflops"] = round(2 * m * n * k / result["cublas_ms"] / 1e9, 1)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tilerun", default="build/bin/tilerun")
    parser.add_argument("--artifacts", required=True)
    parser.add_argument("--variant")
    parser.add_argument("--small", action="store_true", help="the small cases alone")
    parser.add_argument("--kernel", help="one kernel alone")
    parser.add_argument("--no-sim", action="store_true", help="leave the comparison with the simulator out")
    parser.add_argument("--out")
    args = parser.parse_args()
    failed = 0
    lines = []
    for kernel in [args.kernel] if args.kernel else CASES:
        for m, n, k, small in ((77, 264, 384, True), (1, 8, 128, True), (130, 520, 256, True),
                               (4096, 4096, 7168, False)):
            if args.small and not small:
                continue
            result = check_one(args, kernel, m, n, k, small)
            good = "error" not in result and result["calc_diff"] < 1e-5
            good = good and result.get("bytes_different_from_sim", 0) == 0
            failed += not good
            print("ok  " if good else "FAIL", json.dumps(result))
            lines.append(json.dumps(result))
    if args.out:
        with open(args.out, "w") as f:
            f.write("\n".join(lines) + "\n")
    sys.exit(3 if failed else 0)


if __name__ == "__main__":
    main()
