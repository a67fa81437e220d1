#!/usr/bin/env python3
"""What every committed text file keeps to: size, width, no tabs, no paths of one machine, no conflicts
left in the grammar, and a test for every diagnostic."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = {".c", ".h", ".def", ".l", ".y", ".tile", ".py", ".sh"}
# A path that exists on one machine only. The system's own folders are fine.
MACHINE = re.compile(r"(?<![\w.])(/wor[k]/|/root/|/home/\w|/Users/\w)")
SOFT_LINES, HARD_LINES, WIDTH = 900, 1200, 120


def names():
    """Tracked files; without git, whatever lies here outside build folders."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        return listed.stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*"))
        return [name for name in found if not name.startswith((".git/", "build"))]


def tracked():
    for name in names():
        path = ROOT / name
        if name and path.is_file():
            yield name, path


def read(path):
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None  # binary test vectors


def check_file(name, text, errors, warnings):
    lines = text.split("\n")
    if "/inputs/" in name or "/vectors/" in name:
        return
    for number, line in enumerate(lines, 1):
        if MACHINE.search(line) and name != "tests/lint/text.py":
            errors.append(f"{name}:{number}: names a path of one machine: {line.strip()[:80]}")
    if pathlib.PurePath(name).suffix not in SOURCE:
        return
    if len(lines) > HARD_LINES:
        errors.append(f"{name}: {len(lines)} lines; {HARD_LINES} are the most")
    elif len(lines) > SOFT_LINES:
        warnings.append(f"{name}: {len(lines)} lines; split it before it passes {HARD_LINES}")
    for number, line in enumerate(lines, 1):
        if name.endswith((".c", ".h")) and len(line) > WIDTH:
            warnings.append(f"{name}:{number}: {len(line)} columns")
        if name.endswith((".c", ".h")) and "\t" in line:
            errors.append(f"{name}:{number}: a tab")
        if line != line.rstrip() and not name.startswith("tests/"):
            warnings.append(f"{name}:{number}: blanks at the end of the line")


def check_grammar(errors):
    grammar = ROOT / "lang/tile.y"
    if grammar.exists() and not re.search(r"^%expect 0$", grammar.read_text(), re.M):
        errors.append("lang/tile.y: must say '%expect 0' on a line of its own")


def check_diagnostics(errors):
    rows = re.findall(r"^DIAG\((\w+)", (ROOT / "lang/diag.def").read_text(), re.M)
    tests = "\n".join(text for name, path in tracked() if name.startswith("tests/") for text in [read(path)] if text)
    code = "\n".join(text for name, path in tracked() if name.endswith((".c", ".l", ".y", ".h", ".def"))
                     and name != "lang/diag.def" for text in [read(path)] if text)
    doubled = {row for row in rows if rows.count(row) > 1}
    errors += [f"lang/diag.def: {row} appears twice" for row in sorted(doubled)]
    for row in rows:
        if not re.search(rf"\b(DIAG_)?{row}\b", code):
            errors.append(f"lang/diag.def: nothing reports {row}")
        elif not re.search(rf"\b(DIAG_)?{row}\b", tests):
            errors.append(f"lang/diag.def: no test triggers {row}")


def main():
    errors, warnings, count = [], [], 0
    for name, path in tracked():
        text = read(path)
        if text is not None:
            count += 1
            check_file(name, text, errors, warnings)
    check_grammar(errors)
    check_diagnostics(errors)
    for line in warnings:
        print(f"warning: {line}")
    for line in errors:
        print(line)
    print(f"{count} files, {len(errors)} errors, {len(warnings)} warnings")
    return 1 if errors or not count else 0


sys.exit(main())
