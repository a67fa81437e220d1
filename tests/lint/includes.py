#!/usr/bin/env python3
"""Who may include whom: two towers on one ground floor, and no arrow between them.

    lang <- ir <- frontend <- codegen          lang <- runtime <- kernels

The first row whose pattern matches a file's path judges its includes.
"""
import pathlib
import re
import sys

GROUND = [r"lang/base/", r"lang/dtypes?\.", r"lang/targets?\.", r"lang/artifact\.h"]
LLVM, CUDA = "llvm-c/", "cuda"

# (files, quoted includes must match one of, forbidden <...> prefixes)
ROWS = [
    (r"lang/tile\.[ly]$", [r"lang/", r"ir/", r"frontend/", r"tile\."], [LLVM, CUDA]),
    (r"lang/", [r"lang/"], [LLVM, CUDA]),
    (r"ir/", [r"lang/", r"ir/"], [LLVM, CUDA]),
    (r"frontend/", [r"lang/", r"ir/", r"frontend/", r"tile\."], [LLVM, CUDA]),
    (r"codegen/ll/", [r"lang/", r"ir/", r"codegen/"], [CUDA]),
    (r"codegen/(compile|tilec|api)\w*\.[ch]$", [r"lang/", r"ir/", r"frontend/", r"codegen/"], [LLVM, CUDA]),
    (r"codegen/", [r"lang/", r"ir/", r"codegen/"], [LLVM, CUDA]),
    (r"runtime/ptx/", GROUND + [r"runtime/ptx/"], [LLVM, CUDA]),
    (r"runtime/sim/", GROUND + [r"runtime/ptx/", r"runtime/sim/", r"runtime/\w+\.h"], [LLVM, CUDA]),
    (r"runtime/cuda/", GROUND + [r"runtime/cuda/", r"runtime/\w+\.h"], [LLVM]),
    (r"runtime/", GROUND + [r"lang/compiler\.h", r"runtime/"], [LLVM, CUDA]),
    (r"(kernels|examples)/", [r"runtime/tile\.h", r"kernels/", r"examples/"], [LLVM, CUDA]),
    (r"tests/", [r""], []),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def complaint(path, quote, target):
    for files, allowed, forbidden in ROWS:
        if not re.match(files, path):
            continue
        if quote == '"' and not any(re.match(pattern, target) for pattern in allowed):
            return f'may not include "{target}"'
        if quote == "<" and any(target.startswith(prefix) for prefix in forbidden):
            return f"may not include <{target}>"
        return None
    return "lies in a folder no row knows"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    folders = ["lang", "ir", "frontend", "codegen", "runtime", "kernels", "examples", "tests"]
    paths = [p for f in folders for p in (root / f).rglob("*") if p.suffix in {".c", ".h", ".l", ".y", ".def"}]
    bad = 0
    for path in sorted(paths):
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            problem = found and complaint(name, *found.groups())
            if problem:
                bad += 1
                print(f"{name}:{number}: {problem}")
    print(f"{len(paths)} files, {bad} forbidden includes")
    return 1 if bad or not paths else 0


sys.exit(main())
