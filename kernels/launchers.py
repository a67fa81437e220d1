#!/usr/bin/env python3
"""Writes the C launchers of a kernel file: typed arguments over runtime/tile.h.

    launchers.py --tilec build/bin/tilec kernels/topk.tile > kernels/topk.h

The signatures come from `tilec --list`, the words from the comments of the file; nothing is said twice by hand.
"""
import argparse
import os
import re
import subprocess

SCALARS = {"i32": "int64_t", "i64": "int64_t", "u32": "int64_t", "u64": "int64_t", "f32": "double", "f64": "double"}


def comment_before(lines, at):
    """The // lines that end right above line `at`, attributes skipped."""
    at -= 1
    while at >= 0 and lines[at].startswith("@"):
        at -= 1
    end = at + 1
    while at >= 0 and lines[at].startswith("//"):
        at -= 1
    return [] if lines[at + 1:end] and lines[at + 1].startswith("// ---") else lines[at + 1:end]


def head_of(lines):
    head = []
    for line in lines:
        if not line.startswith("//"):
            break
        head.append(line)
    return head


def kernels_of(tilec, path):
    """(name, export, [(direction, type, name, shape, text)])."""
    listing = subprocess.run([tilec, "--list", path], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listing.splitlines():
        kernel = re.match(r"(\w+) \((\w+)\)", line)
        param = re.match(r"  (in|out|inout)\s+(\w+)\s+(\w+)(\[.*\])?$", line)
        if kernel:
            found.append((kernel[1], kernel[2], []))
        elif param:
            found[-1][2].append((*param.groups(), line.strip()))
    return found


def requirements(lines, at):
    """The require(...) clauses of the kernel at a line."""
    text = []
    for line in lines[at:]:
        text.append(line)
        if line.startswith("{") or line.rstrip().endswith("{"):
            break
    return re.findall(r"require\((.*)\)", "\n".join(text))


def launcher(lines, name, export, params):
    at = next(i for i, line in enumerate(lines) if re.match(rf"kernel {name}\b", line))
    struct = f"{export}_args"
    out = ["", *comment_before(lines, at)]
    wide = max(len(text.split(None, 2)[2]) for *_, text in params)
    out += [f"//   {text.split()[0]:6}{text.split()[1]:8}{text.split(None, 2)[2]:{wide}}".rstrip() for *_, text in params]
    out += [f"//   requires {r}" for r in requirements(lines, at)]
    out.append(f"typedef struct {struct} {{")
    for _, kind, param, shape, _ in params:
        out.append(f"  {'tile_tensor' if shape else SCALARS[kind]} {param};")
    out += [f"}} {struct};", f"static inline tile_status {export}(tile_kernel *kernel, tile_device *device, const {struct} *a,",
            " " * (len(export) + 27) + "void *stream) {", "  tile_arg args[] = {"]
    for _, kind, param, shape, _ in params:
        value = f"TILE_ARG_TENSOR, .tensor = a->{param}" if shape else \
            f"TILE_ARG_FLOAT, .f = a->{param}" if kind[0] == "f" else f"TILE_ARG_INT, .i = a->{param}"
        out.append(f"      {{.kind = {value}}},")
    return out + ["  };", "  return tile_launch(kernel, device, args, (int)(sizeof args / sizeof *args), stream);", "}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tilec", required=True)
    parser.add_argument("path")
    args = parser.parse_args()
    with open(args.path) as f:
        lines = f.read().splitlines()
    name = os.path.basename(args.path)
    guard = "KERNELS_" + re.sub(r"\W", "_", name.removesuffix(".tile")).upper() + "_H"
    out = [f"// Launchers of {name}, written by launchers.py: change the kernels, not this file.", "//", *head_of(lines), "//",
           "// `kernel` comes from tile_kernel_get(module, NAME); a launch that does not fit returns a status, and",
           "// tile_last_error() names the argument, the dimension and both values. Nothing is written then.",
           f"#ifndef {guard}", f"#define {guard}", '#include "runtime/tile.h"']
    for kernel in kernels_of(args.tilec, args.path):
        out += launcher(lines, *kernel)
    print("\n".join([*out, "", "#endif"]))


if __name__ == "__main__":
    main()
