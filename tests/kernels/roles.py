#!/usr/bin/env python3
"""Kernels with roles of their author's own, against NumPy, bit for bit.

    roles.py --tilerun build/bin/tilerun --source tests/kernels/inputs/roles.tile [--device sim:sm_90a]... [--seeds 2]
             [--kernel gemm]

Inputs are small whole numbers and scales powers of two, so every sum is exact and one answer is right whatever the
order. Each case runs under several schedules in every mode of asynchronous copies, several tiles per block, with as
many steps as make the slots run empty, full and over: 0, 1, S-1, S, S+1, 2S.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np


def bf16(x):  # exact for what is made here
    return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def e4m3(x):  # codes of whole numbers -8 .. 8
    table = {0: 0}
    for n in range(1, 9):
        exponent = n.bit_length() - 1
        code = (exponent + 7) << 3 | (n << 3 >> exponent) - 8
        table[n], table[-n] = code, code | 128
    return np.vectorize(table.get, otypes=[np.uint8])(x)


def whole(rng, *shape, limit=3):
    return rng.integers(-limit, limit + 1, shape)


def gemm(rng, steps):
    m, n, k = 130, 100, max(64 * steps - 24, 0)  # two tiles of rows and columns, a tail in every dim
    a, b = whole(rng, m, k), whole(rng, n, k)
    return {"A": bf16(a), "B": bf16(b)}, {"D": (a @ b.T).astype(np.float32)}


def fp8_gemm_ws(rng, steps):
    m, n, k = 132, 100, 128 * steps
    a, b = whole(rng, m, k, limit=8), whole(rng, n, k, limit=8)
    sfa = 2.0 ** rng.integers(-2, 3, (m, steps))
    sfb = 2.0 ** rng.integers(-2, 3, (-(-n // 64), steps))
    wide = a * np.repeat(sfa, 128, axis=1)
    right = wide @ (b * np.repeat(np.repeat(sfb, 128, axis=1), 64, axis=0)[:n]).T
    # bf16 rounding of the exact sum, to nearest even
    bits = right.astype(np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    arrays = {"A": e4m3(a), "B": e4m3(b), "SFA": sfa.astype(np.float32), "SFB": sfb.astype(np.float32)}
    return arrays, {"D": rounded}


def narrowed(rng, steps):
    m, n, k = 70, 100, 128 * steps
    a, b, e = whole(rng, m, k), whole(rng, n, k), whole(rng, n, 64)
    last = a[:, k - 128:k - 64] if steps else np.zeros((m, 64), dtype=np.int64)
    return ({"A": bf16(a), "B": e4m3(b), "E": bf16(e)}, {"D": (a @ b.T + last @ e.T).astype(np.float32)})


def scaled_weights(rng, steps):
    m, n, k = 70, 100, 64 * steps
    a, w, s = whole(rng, m, k), whole(rng, n, k, limit=7), 2.0 ** rng.integers(-2, 3, n)
    return ({"A": bf16(a), "W": w.astype(np.int8), "S": s.astype(np.float32)},
            {"D": (a @ (w * s[:, None]).T).astype(np.float32)})


def circle(rng, steps):
    x = whole(rng, steps, 200)
    v = np.zeros(200)
    for row in x:
        v = 2 * (v + row)
    return {"X": x.astype(np.float32)}, {"Y": v.astype(np.float32)}


def chosen_rows(rng, steps):
    x, take = whole(rng, steps, 256, limit=100), rng.integers(0, 2, steps)
    return ({"X": x.astype(np.float32), "TAKE": take.astype(np.int32)},
            {"SUM": np.where(take, x.sum(axis=1), 0).astype(np.float32),
             "MAX": np.where(take, x.max(axis=1, initial=-1000), 0).astype(np.float32)})


def attend(rng, steps):
    # Rows of q hold a single 1: scores are whole numbers, weights powers of two; keys give at most a few bits.
    m, t, d = 70, 64 * steps - 7, 64
    q = np.eye(d, dtype=np.int64)[rng.integers(0, d, m)]
    keys, v = whole(rng, t, d, limit=2), whole(rng, t, d)
    s = q @ keys.T
    p = 2.0 ** (s - s.max(axis=1, keepdims=True))
    right = (p @ v).astype(np.float32) / p.sum(axis=1, keepdims=True).astype(np.float32)
    return {"Q": bf16(q), "K": bf16(keys), "V": bf16(v)}, {"O": right}


def gated(rng, steps):
    m, n, k = 130, 100, max(64 * steps - 24, 0)
    a, w, g = whole(rng, m, k, limit=2), whole(rng, n, k, limit=2), whole(rng, n, k, limit=2)
    return {"A": bf16(a), "W": bf16(w), "G": bf16(g)}, {"D": ((a @ w.T) * (a @ g.T)).astype(np.float32)}


def ranges(rng, steps):
    t, k = 3, 64 * max(steps, 1)
    a, w = whole(rng, 64 * t + 64, k), whole(rng, 64, k)
    count = rng.integers(0, steps + 1, t)
    count[1] = steps
    right = np.zeros((64 * t + 64, 64))
    for i, c in enumerate(count):
        rows = a[64 * i:64 * i + 64, :64 * c] + a[64 * i + 64:64 * i + 128, :64 * c]
        right[64 * i:64 * i + 64] = rows @ w[:, :64 * c].T
    return ({"A": bf16(a), "W": bf16(w), "STEPS": count.astype(np.int32), "D": np.zeros(right.shape, np.float32)},
            {"D": right.astype(np.float32)})


# Kernel: inputs and answer for a number of steps, the stages it is compiled with.
KERNELS = {"gemm": (gemm, 3), "fp8_gemm_ws": (fp8_gemm_ws, 2), "fp8_dot_scaled": (fp8_gemm_ws, 2),
           "narrowed": (narrowed, 2), "scaled_weights": (scaled_weights, 2),
           "circle": (circle, 1), "chosen_rows": (chosen_rows, 2), "attend": (attend, 2),
           "divided_attend": (attend, 2), "gated": (gated, 3), "ranges": (ranges, 2)}
BY_HAND = [name for name in KERNELS if name not in ("divided_attend", "gated", "ranges")]


def run(args, device, name, steps, folder):
    make, _ = KERNELS[name]
    arrays, answers = make(np.random.default_rng(steps), steps)
    command = [args.tilerun, args.source, name, f"--device={device}", "--schedule=random", *args.flag]
    if device.startswith("sim"):
        command += [f"--schedules={args.seeds}", "--async=all"]
    for key, array in arrays.items():
        path = os.path.join(folder, key + ".npy")
        np.save(path, array)
        command.append(f"{key}=@{path}")
    for key in answers:
        command += ["--out", f"{key}={folder}/{key}.npy"]
    done = subprocess.run(command, capture_output=True, text=True)
    label = f"{name} on {device}, {steps} steps"
    if done.returncode:
        print(f"{label}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return False
    good = True
    for key, right in answers.items():
        got = np.load(f"{folder}/{key}.npy")
        wrong = int((got != right).sum())
        if wrong or got.shape != right.shape:
            print(f"{label}: {wrong} of {right.size} elements of {key} differ")
            good = False
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tilerun", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--device", action="append")
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--flag", action="append", default=[])
    args = parser.parse_args()
    cases = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for device in args.device or ["ref", "sim:sm_90a", "sim:sm_100a", "sim:sm_120a"]:
            for name in args.kernel or BY_HAND:
                stages = KERNELS[name][1]
                chosen = {0, 1, stages - 1, stages, stages + 1, 2 * stages}
                if device == "sim:sm_100a":  # the code of sm_120a
                    chosen = {1, stages + 1}
                for steps in sorted(chosen):
                    if name.endswith("attend") and not steps:
                        continue  # no key: 0 / 0
                    cases += 1
                    failed += not run(args, device, name, steps, folder)
    print(f"{cases} cases, {failed} failed")
    sys.exit(failed != 0)


main()
