#!/usr/bin/env python3
"""Compiles the code blocks of a document: extract_spec.py TILEC FOLDER DOCUMENT...

A block ```tile must compile to tir for every architecture, each kernel in it. A block
```tile-error E0213 must fail with exactly these diagnostics (ids separated by blanks, in any order),
each with its place in the file. Words that begin with '-', and what follows them, are options of tilec.
"""
import os
import re
import subprocess
import sys

ARCHS = ["sm_90a", "sm_100a", "sm_120a"]


def blocks(path):
    """(line, ids or None, text) of every tile block."""
    fence, start, lines = None, 0, []
    for number, line in enumerate(open(path), 1):
        if fence is None and line.startswith("```tile"):
            fence, start, lines = line.strip("`\n ").split(), number, []
        elif fence is not None and line.startswith("```"):
            if fence[0] == "tile":
                yield start, None, "".join(lines)
            elif fence[0] == "tile-error" and len(fence) > 1:
                yield start, fence[1:], "".join(lines)
            else:
                sys.exit(f"{path}:{start}: a fence is 'tile' or 'tile-error ID...'")
            fence = None
        elif fence is not None:
            lines.append(line)
    if fence is not None:
        sys.exit(f"{path}:{start}: the block is not closed")


def compile_block(tilec, source, kernel, arch, options):
    command = [tilec, source, "--emit=tir", f"--kernel={kernel}", f"--arch={arch}", "-o", "-", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def check(tilec, source, text, ids):
    kernels = re.findall(r"^\s*kernel\s+(\w+)", text, re.M)
    if not kernels:
        return "holds no kernel"
    options = []
    if ids is not None:
        first = next((i for i, word in enumerate(ids) if word.startswith("-")), len(ids))
        ids, options = ids[:first], ids[first:]
    for kernel in kernels:
        for arch in ARCHS if ids is None else ARCHS[:1]:
            done = compile_block(tilec, source, kernel, arch, options)
            found = set(re.findall(r"\[([EWR]\d+)\]", done.stderr))
            if ids is None and (done.returncode != 0 or not done.stdout.strip()):
                return f"{kernel} for {arch} does not compile ({done.returncode}):\n{done.stderr}"
            if ids is not None and (done.returncode != 1 or found != set(ids)):
                return f"expected exit 1 with {ids}, got {done.returncode} with {sorted(found)}:\n{done.stderr}"
            for line in done.stderr.splitlines() if ids else []:
                if re.search(r"\[E\d+\]", line) and not re.match(re.escape(source) + r":\d+:\d+: error: ", line):
                    return f"a message without a place: {line}"
    return None


def main():
    tilec, folder, *documents = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    count = bad = 0
    for document in documents:
        stem = os.path.basename(document).split(".")[0]
        for line, ids, text in blocks(document):
            count += 1
            source = os.path.join(folder, f"{stem}_{line}.tile")
            with open(source, "w") as out:
                out.write(text)
            problem = check(tilec, source, text, ids)
            if problem:
                bad += 1
                print(f"{document}:{line}: {problem}")
    print(f"{count} blocks, {bad} failed")
    sys.exit(1 if bad or not count else 0)


main()
