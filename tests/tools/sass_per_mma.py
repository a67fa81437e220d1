#!/usr/bin/env python3
"""SASS instructions per MMA in the main loop of kernels in cubins.

    sass_per_mma.py --nvdisasm NVDISASM FILE.cubin...

The main loop is the shortest stretch that a backward branch closes and that holds the most MMAs of all such; per
iteration of a fully unrolled body the ratio is the number of instructions that each MMA costs a warp. Instructions
that only some warps or iterations execute count like the others.
"""
import argparse
import collections
import re
import subprocess
import sys

MMA = re.compile(r"[HQIDO]MMA\b|[QO]MMA\.|UTC|GMMA")


def instructions(nvdisasm, path):
    """[(address, text)], {label: address} of the one kernel of a cubin."""
    text = subprocess.run([nvdisasm, "-hex", path], capture_output=True, text=True, check=True).stdout
    code, labels, pending = [], {}, []
    for line in text.splitlines():
        label = re.match(r"^(\.L_x_\d+):", line)
        if label:
            pending.append(label[1])
        found = re.match(r"^\s+/\*([0-9a-f]{4,})\*/\s+(.*?);", line)
        if found:
            address = int(found[1], 16)
            for name in pending:
                labels[name] = address
            pending = []
            code.append((address, found[2].strip()))
    return code, labels


def main_loop(code, labels):
    best = None
    for address, text in code:
        target = re.search(r"\bBRA\b.*?`?\(?(\.L_x_\d+)", text)
        start = labels.get(target[1]) if target else None
        if start is None or start > address:
            continue
        body = [t for a, t in code if start <= a <= address and not re.search(r"\bNOP\b", t)]
        mmas = sum(bool(MMA.search(t)) for t in body)
        if mmas and (best is None or (mmas, -len(body)) > (best[0], -len(best[1]))):
            best = (mmas, body)
    return best


def kind(text):
    return re.sub(r"^@!?U?P\d+\s+", "", text).split()[0].split(".")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvdisasm", default="nvdisasm")
    parser.add_argument("--kinds", action="store_true", help="what the instructions are")
    parser.add_argument("cubins", nargs="+")
    args = parser.parse_args()
    for path in args.cubins:
        best = main_loop(*instructions(args.nvdisasm, path))
        if best is None:
            print(f"{path}: no loop with MMAs")
            sys.exit(1)
        mmas, body = best
        print(f"{path}: {len(body)} instructions, {mmas} MMAs, {len(body) / mmas:.3f} per MMA")
        if args.kinds:
            print("   ", " ".join(f"{k}:{n}" for k, n in collections.Counter(map(kind, body)).most_common(24)))


if __name__ == "__main__":
    main()
