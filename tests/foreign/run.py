"""Runs the kernels beside this file, in the PTX that nvcc 13.0 made of them, and checks their results.

nvcc -O3 -std=c++17 -ptx -gencode=arch=compute_90a,code=sm_90a X.cu -o X.ptx
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
rng = random.Random(5)


def buffer(name, **more):
    return {"buffer": name, **more}


def floats(values):
    return {"hex": struct.pack("<%df" % len(values), *values).hex()}


def words(values):
    return {"hex": struct.pack("<%dI" % len(values), *(v & 0xFFFFFFFF for v in values)).hex()}


def bf16(values):
    return {"hex": b"".join(struct.pack("<f", v)[2:] for v in values).hex()}


def saxpy():
    n = 1003
    x, y = [rng.randint(-9, 9) for _ in range(n)], [rng.randint(-9, 9) for _ in range(n)]
    launch = {"grid": [3], "block": [96], "buffers": {"x": floats(x), "y": floats(y)},
              "params": [{"i32": n}, {"f32": 2.5}, buffer("x"), buffer("y")], "print": {"y": "f32"}}
    return launch, [2.5 * u + v for u, v in zip(x, y)], []


def histogram():
    data = [rng.randrange(1 << 32) & 0x3F0F7F1F for _ in range(700)]
    counts = [0] * 256
    for w in data:
        for b in range(4):
            counts[w >> 8 * b & 255] += 1
    launch = {"grid": [4], "block": [128], "buffers": {"w": words(data), "c": words([0] * 256)},
              "params": [buffer("w"), {"i32": 700}, buffer("c")], "print": {"c": "u32"}}
    return launch, counts, []


def double_buffer():
    rows, columns = 128, 36
    a = [[rng.randint(-99, 99) for _ in range(columns)] for _ in range(rows)]
    launch = {"grid": [2], "block": [64],
              "buffers": {"a": words(sum(a, [])), "s": {"bytes": 4 * rows, "fill": "poison"}},
              "params": [buffer("a"), buffer("s"), {"i32": columns}], "print": {"s": "i32"}}
    return launch, [sum(r) for r in a], ["--async=random"]


def gemm_sm90():
    m, n, k = 128, 256, 320
    a = [[rng.randint(-4, 4) for _ in range(k)] for _ in range(m)]
    b = [[rng.randint(-4, 4) for _ in range(k)] for _ in range(n)]

    def tile(name, rows, columns, size, box, dtype, swizzle):
        return {"tensormap": {"buffer": name, "dtype": dtype, "dims": [columns, rows],
                              "strides_bytes": [columns * size], "box": box, "swizzle": swizzle}}

    launch = {"grid": [n // 128, m // 64], "block": [160], "smem": 3 * 192 * 64 * 2,
              "buffers": {"a": bf16(sum(a, [])), "b": bf16(sum(b, [])),
                          "d": {"bytes": 4 * m * n, "fill": "poison"}},
              "params": [tile("a", m, k, 2, [64, 64], "bf16", "128B"),
                         tile("b", n, k, 2, [64, 128], "bf16", "128B"),
                         tile("d", m, n, 4, [128, 64], "f32", "none"), {"i32": k}],
              "print": {"d": "f32"}}
    want = [sum(x * y for x, y in zip(r, c)) for r in a for c in b]
    return launch, want, ["--async=random"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ptxsim", required=True)
    parser.add_argument("--work", required=True)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    for case in (saxpy, histogram, double_buffer, gemm_sm90):
        name = case.__name__
        launch, want, more = case()
        launch.update(ptx=os.path.join(here, name + ".ptx"), entry=name)
        path = os.path.join(args.work, name + ".json")
        with open(path, "w") as f:
            json.dump(launch, f)
        for options in (["--schedules=3"], ["--schedule=greedy", "--async=eager"], ["--seed=4"] + more):
            done = subprocess.run([args.ptxsim, path] + options, capture_output=True, text=True)
            if done.returncode:
                sys.exit("%s %s: exit %d\n%s" % (name, options, done.returncode, done.stderr))
            got = [float(x) for x in done.stdout.split() if x[0] in "-0123456789"][: len(want)]
            wrong = [i for i, (x, y) in enumerate(zip(got, want)) if x != y]
            if wrong or len(got) != len(want):
                sys.exit("%s %s: element %s of %d" % (name, options, wrong[:3], len(got)))
        print(name, "ok")


main()
