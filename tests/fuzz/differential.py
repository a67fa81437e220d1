#!/usr/bin/env python3
"""Differential test: random programs on the simulator against the reference evaluator.

    differential.py --tilerun build/bin/tilerun --count 200 [--seed 0] [--jobs 2] [--keep DIR]

Each seed gives one program (gen_tile.py), one odd shape, integer-valued inputs and one target; its
outputs must be equal bit for bit. A failure prints the seed and the tool's words and keeps the program.
"""
import argparse
import concurrent.futures
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gen_tile  # noqa: E402

TARGETS = ("sm_90a", "sm_100a", "sm_120a")


def bf16_bits(values):
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def inputs(rng, m, n, trips):
    small = lambda *shape: rng.integers(-8, 9, size=shape)
    return {
        "X": small(m, n).astype(np.float32),
        "E": bf16_bits(small(m, n)),
        "C": small(3, m, n).astype(np.float32),
        "B": rng.integers(-128, 128, size=(m, n)).astype(np.int8),
        "H": small(40).astype(np.int32),
        "G": small(n).astype(np.int32),
        "F": small(m, n).astype(np.int32),
        "Z": small(m, n).astype(np.int32),
        "V": small(n).astype(np.float32),
        "IDX": rng.integers(-2, m + 2, size=m).astype(np.int32),  # some rows lie outside
        "TRIPS": np.array([trips], dtype=np.int32),
    }


def run_seed(tilerun, seed, keep):
    program = gen_tile.Program(seed)
    text = program.text()
    pick = random.Random(seed * 2 + 1)
    m, n = pick.randint(1, 2 * program.rows + 3), pick.randint(1, 2 * program.cols + 3)
    target = TARGETS[seed % 3]
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, f"seed{seed}.tile")
        with open(source, "w") as f:
            f.write(text)
        command = [tilerun, source, "k", f"--device=sim:{target}", "--check", "ref", f"--seed={seed}"]
        for name, array in inputs(np.random.default_rng(seed), m, n, pick.randint(0, 4)).items():
            path = os.path.join(folder, name + ".npy")
            np.save(path, array)
            command.append(f"{name}=@{path}")
        columns = -(-n // program.cols)
        command.append(f"R=zeros[{m},{columns}]")
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    said = done.stdout + done.stderr
    exact = done.returncode == 0 and all(
        "differing 0 of" in line for line in said.splitlines() if "calc_diff" in line)
    if exact:
        return None
    os.makedirs(keep, exist_ok=True)
    kept = os.path.join(keep, f"seed{seed}.tile")
    with open(kept, "w") as f:
        f.write(text)
    return f"seed {seed} on {target}, M={m} N={n}: exit {done.returncode}\n{said[-1500:]}\nprogram: {kept}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tilerun", required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "tile-differential"))
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.count)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda seed: run_seed(args.tilerun, seed, args.keep), seeds))
    failures = [text for text in results if text]
    for text in failures[:5]:
        print(text)
    print(f"differential: {len(results) - len(failures)} of {len(results)} programs agree bit for bit")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
