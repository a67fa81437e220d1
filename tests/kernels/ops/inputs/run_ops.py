#!/usr/bin/env python3
"""Run the cases a .tile file lists in its comments.

    run_ops.py --tilerun build/bin/tilerun FILE.tile [--only KERNEL] [--device sim:sm_90a]...

A case is a comment line, arguments without blanks inside:

    // CASE kernel X=randn(50,70) n=3 => Y=X*2 Z=X.sum(0) ~1e-6

Arguments are Python expressions over the helpers below and NumPy; those that give arrays become .npy
files; X;512,1=... lays X out in those strides; a name that starts with _ is for the other expressions alone. Every case runs on all three architectures under several schedules, on the first with two seeds, and must
agree with the reference evaluator: bit for bit, or, where the line holds a tolerance `~x`, as
`--check ref` has it. Behind `=>` stand values computed here, independent of both executors; they are
compared as numbers (NaN equals NaN) within the relative tolerance, 0 without one; Y~1e-3=... has its own (Y~1e-3|1e-4: or that absolute one), and Y.bf16=... compares values instead of bits. A line with
`!N TEXT` instead wants exit code N and the text on stderr.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

TARGETS = ("sim:sm_90a", "sim:sm_100a", "sim:sm_120a")
FORMATS = {"bf16": (16, 8, 7), "f16": (16, 5, 10), "f8e4m3": (8, 4, 3), "f8e5m2": (8, 5, 2)}


def values_of(dtype, bits):
    """Values of the bit patterns of a narrow float, from the definition of the format."""
    width, ebits, fbits = FORMATS[dtype]
    bits = np.asarray(bits).astype(np.int64) & (1 << width) - 1
    exponent, fraction = bits >> fbits & (1 << ebits) - 1, bits & (1 << fbits) - 1
    bias = (1 << ebits - 1) - 1
    normal = (1 + fraction / 2.0**fbits) * 2.0 ** (exponent - float(bias))
    value = np.where(exponent == 0, fraction / 2.0**fbits * 2.0 ** (1 - bias), normal)
    if dtype == "f8e4m3":
        value = np.where(bits & 0x7F == 0x7F, np.nan, value)
    else:
        top = exponent == (1 << ebits) - 1
        value = np.where(top, np.where(fraction == 0, np.inf, np.nan), value)
    return np.where(bits >> width - 1, -value, value)


def table_of(dtype):
    width = FORMATS[dtype][0]
    codes = np.arange(1 << width - 1)
    values = values_of(dtype, codes)
    finite = np.isfinite(values)
    return codes[finite], values[finite]


def encode(dtype, x, saturate=None):
    """Nearest even; 8-bit types saturate."""
    codes, values = table_of(dtype)
    saturate = FORMATS[dtype][0] == 8 if saturate is None else saturate
    x = np.asarray(x, dtype=np.float64)
    size = np.minimum(np.abs(x), 3.5e38)
    at = np.clip(np.searchsorted(values, size), 1, len(values) - 1)
    low, high = values[at - 1], values[at]
    up = (size - low > high - size) | ((size - low == high - size) & (codes[at] % 2 == 0))
    code = np.where(up, codes[at], codes[at - 1])
    limit = values[-1] + (values[-1] - values[-2]) / 2
    if not saturate:
        code = np.where(size >= limit, codes[-1] + 1, code)
    sign = np.signbit(x) << FORMATS[dtype][0] - 1
    code = np.where(np.isnan(x), (1 << FORMATS[dtype][0] - 1) - 1, code) | np.where(np.isnan(x), 0, sign)
    return code.astype(np.uint16 if FORMATS[dtype][0] == 16 else np.uint8)


def from_f4e2m1(packed):
    """Two codes to a byte of the last axis, the even element in the low half."""
    packed = np.asarray(packed)
    codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
    sizes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    return np.where(codes & 8, -sizes[codes & 7], sizes[codes & 7])


def helpers(seed):
    rng = np.random.default_rng(seed)

    def ints(lo, hi, *shape, t="i4"):
        return rng.integers(lo, hi, size=shape, endpoint=True).astype(t)

    def bits(t, *shape):
        """Every bit pattern of a type: the whole range of integers, all classes of floats."""
        size = np.dtype(t).itemsize
        return rng.integers(0, 256, size=(*shape[:-1], shape[-1] * size), dtype=np.uint8).view(t)

    def randn(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    def wide(*shape):
        return (rng.standard_normal(shape) * 2.0 ** rng.integers(-30, 30, size=shape)).astype(np.float32)

    def attend(q, k, v, scale):
        weight = np.exp(q @ k.T * scale)
        return weight @ v / weight.sum(1, keepdims=True)

    def scale(x, codes):
        """Rows in blocks of K, each times its ue8m0 scale."""
        return x * np.repeat(2.0 ** (codes.astype(np.float64) - 127), x.shape[1] // codes.shape[1], axis=1)

    def codes(*shape):
        return rng.integers(120, 134, size=shape).astype(np.uint8)

    def rows_at(x, index):
        """x[index], zeros where the index lies outside."""
        inside = (index >= 0) & (index < len(x))
        return np.concatenate([x, np.zeros((1, *x.shape[1:]), x.dtype)])[np.where(inside, index, len(x))]

    names = {t: (lambda x, t=t: encode(t, x)) for t in FORMATS}
    names.update({"from_" + t: (lambda x, t=t: values_of(t, x)) for t in FORMATS})
    names.update(np=np, scale=scale, codes=codes, attend=attend, rows_at=rows_at, from_f4e2m1=from_f4e2m1, ints=ints, bits=bits, randn=randn, wide=wide, seed=seed, f4=np.float32, f8=np.float64)
    return names


class Case:
    more = {"np": np, "values_of": values_of, "encode": encode}

    def __init__(self, line, number):
        self.number = number
        text = line.split("CASE", 1)[1].strip()
        self.refused = None
        if " !" in text:
            text, refused = text.split(" !", 1)
            code, _, self.refused = refused.partition(" ")
            self.code = int(code)
        self.tolerance = None
        found = re.search(r"\s~(\S+)$", text)
        if found:
            self.tolerance, text = float(found[1]), text[:found.start()]
        left, _, right = text.partition("=>")
        words = left.split()
        self.kernel = words[0]
        self.options = [w for w in words[1:] if w.startswith("-")]
        self.inputs = [w.split("=", 1) for w in words[1:] if not w.startswith("-")]
        self.expected = []
        for word in right.split():
            name, expr = word.split("=", 1)
            name, _, tolerance = name.partition("~")
            name, _, dtype = name.partition(".")
            tolerance = [float(part) for part in tolerance.split("|")] if tolerance else None
            self.expected.append((name, dtype, tolerance, expr))

    def artifact(self, folder):
        """Where the kernel lies compiled for this case's settings."""
        sets = [w.split("=", 1)[1] for w in self.options if w.startswith("--set=")]
        return os.path.join(folder, ".".join([self.kernel, *sets]).replace("=", "-") + ".tla")

    def build(self, tilec, source, folder):
        """Compiles the kernel for a machine without a compiler."""
        path = self.artifact(folder)
        if os.path.exists(path):
            return
        sets = [w for w in self.options if w.startswith("--set=")]
        subprocess.run([tilec, source, f"--kernel={self.kernel}", *sets, "--arch=sm_90a", "-o", path], check=True)

    def run(self, tilerun, source, device, seed, folder, checked=True):
        names = {**helpers(seed), **self.more}
        command = [tilerun, source, self.kernel, f"--device={device}", f"--seed={seed}"]
        command += self.options if checked else []
        if checked and not self.refused:
            command += ["--check", "ref", "--schedules=3"]
        for name, expr in self.inputs:
            if expr.startswith(("zeros", "poison", "@")):
                command.append(f"{name}={expr}")
                continue
            name, _, strides = name.partition(";")
            names[name] = value = eval(expr, dict(names))
            if name.startswith("_"):
                continue
            if isinstance(value, np.ndarray):
                path = os.path.join(folder, name + ".npy")
                np.save(path, value)
                value = "@" + path + (strides and ";" + strides)
            command.append(f"{name}={value}")
        for name, _, _, _ in self.expected:
            command += ["--out", f"{name}={os.path.join(folder, 'out_' + name + '.npy')}"]
        done = subprocess.run(command, capture_output=True, text=True)
        said = (done.stdout + done.stderr)[-1800:]
        if self.refused is not None:
            good = done.returncode == self.code and self.refused in done.stderr
            return None if good else f"exit {done.returncode}, wanted {self.code} and '{self.refused}'\n{said}"
        if done.returncode:
            return f"exit {done.returncode}\n{said}"
        if self.tolerance is None and re.search(r"differing [1-9]", said):
            return f"not the bits of the reference\n{said}"
        for name, dtype, tolerance, expr in self.expected:
            got = np.load(os.path.join(folder, f"out_{name}.npy"))
            got = values_of(dtype, got) if dtype else got
            wrong = self.compare(got, np.asarray(eval(expr, dict(names))), tolerance or self.tolerance and [self.tolerance])
            if wrong:
                return f"{name}: {wrong}"
        return None

    def compare(self, got, want, tolerance):
        if got.shape != want.shape:
            return f"shape {got.shape}, not {want.shape}"
        if tolerance is None:
            same = (got == want) | ((got != got) & (want != want))
        else:
            got, want = got.astype(np.float64), want.astype(np.float64)
            tolerance, least = (*tolerance, 0)[:2]
            scale = np.abs(want) + (np.abs(want[np.isfinite(want)]).max(initial=0) * 0.02 if want.size else 0)
            with np.errstate(invalid="ignore"):
                same = (np.abs(got - want) <= np.maximum(tolerance * scale, least)) | (got == want)
            same |= np.isnan(got) & np.isnan(want)
        if same.all():
            return None
        at = tuple(np.argwhere(~same)[0])
        return f"{(~same).sum()} of {same.size} wrong; [{', '.join(map(str, at))}] is {got[at]}, not {want[at]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tilerun", required=True)
    parser.add_argument("--only")
    parser.add_argument("--source", help="the .tile file, where the cases stand in another one")
    parser.add_argument("--build", metavar="DIR", help="compile what the cases need into DIR, with --tilerun's tilec, and stop")
    parser.add_argument("--artifacts", metavar="DIR", help="run what --build made: expected values alone are compared")
    parser.add_argument("--helpers", help="Python file whose names the expressions may use")
    parser.add_argument("--device", action="append")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("file")
    args = parser.parse_args()
    with open(args.file) as f:
        cases = [Case(line, i) for i, line in enumerate(f, 1) if re.match(r"//\s*CASE ", line)]
    if args.helpers:
        with open(args.helpers) as f:
            exec(compile(f.read(), args.helpers, "exec"), Case.more)
    cases = [case for case in cases if args.only in (None, case.kernel)]
    if args.build:
        os.makedirs(args.build, exist_ok=True)
        for case in cases:
            case.build(os.path.join(os.path.dirname(args.tilerun), "tilec"), args.source or args.file, args.build)
        return
    if args.artifacts:
        cases = [case for case in cases if case.expected]
    runs = failures = 0
    np.seterr(all="ignore")
    for case in cases:
        for at, device in enumerate(args.device or TARGETS):
            for seed in range(1 if at or case.refused is not None else args.seeds):
                with tempfile.TemporaryDirectory() as folder:
                    source = case.artifact(args.artifacts) if args.artifacts else args.source or args.file
                    wrong = case.run(args.tilerun, source, device, seed, folder, not args.artifacts)
                runs += 1
                if wrong:
                    failures += 1
                    print(f"FAIL {os.path.basename(args.file)}:{case.number}: {case.kernel} on {device}, seed {seed}: {wrong}")
                    break
    print(f"ops: {runs - failures} of {runs} runs of {len(cases)} cases good")
    sys.exit(1 if failures or not cases else 0)


if __name__ == "__main__":
    main()
