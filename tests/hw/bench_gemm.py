#!/usr/bin/env python3
"""Times variants of the GEMM kernels against cuBLAS in one process, and checks what they compute.

    python3 tests/hw/bench_gemm.py --lib build/lib/libtile.so --fp8 fp8_gemm.tla --bf16 bf16_gemm.tla \
            --out kernels/bench/h200.jsonl --commit $(git rev-parse --short HEAD)

Method: device time of the kernels from the CUDA profiler, L2 flushed by a 512 MB fill before every
call, median of --runs calls, random data. Peers in the same process: cuBLAS for bf16, cuBLASLt with
one scale per tensor for FP8 (torch._scaled_mm). DeepGEMM is not measured here: its recorded time
(--recorded, kernels/bench/deepgemm.json) is scaled by what the peer takes now over what the peer took
when it was recorded. Every variant's result is compared with a float64 product on the first shape
that it runs and on the small one; more than 1e-3 (FP8) or 1e-5 (bf16) of calc_diff fails.

A variant is a name of the artifact, "auto" is what tile_plan_create selects.

    python3 tests/hw/bench_gemm.py --fp8 fp8_gemm.tla --m 1,16,64,128

runs the five weight shapes at each M, with variants whose tiles suit it, and prints the bound beside: the
bytes of the weights at the rate of a device copy, and 2 us.
"""
import argparse
import ctypes
import json
import math
import os
import re
import sqlite3
import statistics
import sys
import time

import torch

SHAPES = [(4096, 4096, 7168), (4096, 7168, 2048), (4096, 7168, 16384), (4096, 24576, 1536), (4096, 2112, 7168)]
FP8_ONLY = [(8192, 8192, 8192)]
DTYPES = {torch.float32: 12, torch.bfloat16: 15, torch.float8_e4m3fn: 16}


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("stride", ctypes.POINTER(ctypes.c_int64)), ("ndim", ctypes.c_int32), ("dtype", ctypes.c_int32)]


class Arg(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("tensor", Tensor), ("i", ctypes.c_int64), ("f", ctypes.c_double)]


class PlanOpts(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("variant", ctypes.c_char_p)]


class Info(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("variant", ctypes.c_char_p), ("arch", ctypes.c_char_p),
                ("grid", ctypes.c_uint32 * 3), ("threads", ctypes.c_uint32), ("smem", ctypes.c_uint32),
                ("regs", ctypes.c_int), ("rest", ctypes.c_int * 31)]  # tile_info grows at its end


class Library:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.tile_last_error.restype = ctypes.c_char_p
        self.ctx, self.device = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("tile_ctx_create", ctypes.c_uint32(1), ctypes.byref(self.ctx))
        self.call("tile_device_open", self.ctx, b"cuda:0", ctypes.byref(self.device))

    def call(self, name, *args):
        if getattr(self.lib, name)(*args):
            raise RuntimeError(f"{name}: {self.lib.tile_last_error().decode()}")

    def kernel(self, path, name):
        module, kernel = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("tile_module_load_file", self.ctx, path.encode(), ctypes.byref(module))
        self.call("tile_kernel_get", module, name.encode(), ctypes.byref(kernel))
        return kernel

    def plan(self, kernel, tensors, variant):
        args, keep = (Arg * len(tensors))(), []
        for arg, tensor in zip(args, tensors):
            shape = (ctypes.c_int64 * tensor.dim())(*tensor.shape)
            stride = (ctypes.c_int64 * tensor.dim())(*tensor.stride())
            keep += [shape, stride]
            arg.tensor = Tensor(tensor.data_ptr(), shape, stride, tensor.dim(), DTYPES[tensor.dtype])
        plan = ctypes.c_void_p()
        opts = PlanOpts(ctypes.sizeof(PlanOpts), None if variant == "auto" else variant.encode())
        self.call("tile_plan_create", kernel, self.device, args, len(tensors), ctypes.byref(opts), ctypes.byref(plan))
        need = self.lib.tile_plan_workspace
        need.restype = ctypes.c_size_t
        space = torch.zeros(max(1, need(plan)), dtype=torch.uint8, device="cuda")
        info = Info(size=ctypes.sizeof(Info))
        self.call("tile_plan_info", plan, ctypes.byref(info))
        size = ctypes.c_size_t(space.numel())
        address = ctypes.c_void_p(space.data_ptr())
        run = lambda: self.call("tile_plan_run", plan, None, address, size, None)
        run.keep = (plan, keep, space)
        return run, info.variant.decode()


def calc_diff(x, y):
    x, y = x.double(), y.double()
    denominator = (x * x + y * y).sum()
    return float(1 - 2 * (x * y).sum() / denominator) if denominator > 0 else 0.0


class Flush:
    def __init__(self):
        self.buffer = torch.empty(128 << 20, dtype=torch.float32, device="cuda")

    def __call__(self):
        self.buffer.fill_(1.0)


def device_times(functions, flush, runs):
    """Median device time in us of every function's kernels."""
    for fn in functions:
        fn()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(runs):
            for fn in functions:
                flush()
                fn()
        torch.cuda.synchronize()
    events = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    events.sort(key=lambda e: e.time_range.start)
    times, current = [], None
    for event in events:
        if "FillFunctor" in event.name:
            if current is not None:
                times.append(current)
            current = 0.0
        elif current is not None:
            current += event.time_range.end - event.time_range.start
    times.append(current)
    count = len(functions)
    if len(times) != runs * count:
        raise RuntimeError(f"{len(times)} spans for {runs * count} calls")
    return [statistics.median(times[i::count]) for i in range(count)]


def fp8_data(m, n, k, generator):
    a = torch.randn(m, k, generator=generator, device="cuda").to(torch.float8_e4m3fn)
    b = torch.randn(n, k, generator=generator, device="cuda").to(torch.float8_e4m3fn)
    sfa = (torch.rand(k // 128, m, generator=generator, device="cuda") * 0.02 + 0.001).t()
    sfb = torch.rand((n + 127) // 128, k // 128, generator=generator, device="cuda") * 0.02 + 0.001
    d = torch.full((m, n), float("nan"), dtype=torch.bfloat16, device="cuda")
    one = torch.ones((), device="cuda")
    peer = None
    if n % 16 == 0:  # cuBLASLt wants the rows in sixteens
        rows = a if m % 16 == 0 else torch.zeros(-(-m // 16) * 16, k, device="cuda").to(torch.float8_e4m3fn)
        peer = lambda: torch._scaled_mm(rows, b.t(), one, one, out_dtype=torch.bfloat16)

    def reference():
        a64 = a.double() * sfa.double().repeat_interleave(128, dim=1)
        rows = sfb.double().repeat_interleave(128, dim=0)[:n].repeat_interleave(128, dim=1)
        return a64 @ (b.double() * rows).t()

    return [a, b, sfa, sfb, d], reference, peer


def bf16_data(m, n, k, generator):
    a = torch.randn(m, k, generator=generator, device="cuda").to(torch.bfloat16)
    b = torch.randn(n, k, generator=generator, device="cuda").to(torch.bfloat16)
    d = torch.full((m, n), float("nan"), dtype=torch.bfloat16, device="cuda")
    return [a, b, d], lambda: a.double() @ b.double().t(), lambda: torch.matmul(a, b.t())


FAMILIES = {"fp8": ("fp8_gemm_nt", fp8_data, 1e-3), "bf16": ("bf16_gemm_nt", bf16_data, 1e-5)}


def variants_of(path, kernel, pattern):
    if pattern == "auto":
        return ["auto"]
    rows = sqlite3.connect(path).execute(
        "SELECT variant.name FROM variant JOIN kernel ON kernel.id = variant.kernel "
        "WHERE kernel.name = ? AND arch = 'sm_90a'", (kernel,))
    return [name for (name,) in rows if re.search(pattern, name) and not name.endswith("_u")]


def suits(variant, m):
    """A tile about as tall as M: no second wave of mostly empty ones, none many times too small."""
    found = re.search(r"BM(\d+)", variant)
    height = int(found.group(1)) if found else 128
    return height <= max(16, 2 * m) and (height >= min(m, 64) or height >= 128)


def copy_rate(flush):
    """Bytes read and written per us by a device copy."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    to = torch.empty_like(source)
    return 2 * source.numel() / device_times([lambda: to.copy_(source)], flush, 10)[0]


def summarise(what, ratios):
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"{what}: geomean of the best {mean:.4f}, worst {min(ratios):.4f}")


def check(library, kernel, variants, data, shape, limit):
    tensors, reference, _ = data(*shape, torch.Generator("cuda").manual_seed(sum(shape)))
    want, bad = reference(), {}
    for variant in variants:
        tensors[-1].fill_(float("nan"))
        try:
            run, _ = library.plan(kernel, tensors, variant)
            run()
            torch.cuda.synchronize()
            diff = calc_diff(tensors[-1], want)
        except RuntimeError as error:
            bad[variant] = str(error)
            continue
        if not diff <= limit:
            bad[variant] = f"calc_diff {diff} at {shape}"
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lib", default="build/lib/libtile.so")
    parser.add_argument("--fp8"), parser.add_argument("--bf16")
    parser.add_argument("--variants", default=".", help='regular expression over names, or "auto"')
    parser.add_argument("--shapes", help="M,N,K;M,N,K..")
    parser.add_argument("--m", help="M,M..: the five weight shapes at each, with variants that suit it")
    parser.add_argument("--top", type=int, default=14, help="variants shown for each shape")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--budget", type=float, default=1e9, help="seconds after which no new shape is begun")
    parser.add_argument("--recorded", default=os.path.join(os.path.dirname(__file__), "../../kernels/bench/deepgemm.json"))
    parser.add_argument("--commit", default=""), parser.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    parser.add_argument("--out")
    args = parser.parse_args()
    begun = time.monotonic()
    recorded = json.load(open(args.recorded)) if os.path.exists(args.recorded) else {}
    library, flush, lines, failed = Library(args.lib), Flush(), [], 0
    driver = "unknown"
    rate = copy_rate(flush) if args.m else None
    if rate:
        print(f"{torch.cuda.get_device_name()}: device copy {rate / 1e6:.2f} TB/s")
    for line in os.popen("nvidia-smi --query-gpu=driver_version --format=csv,noheader"):
        driver = line.strip()
    for family, (name, data, limit) in FAMILIES.items():
        path = getattr(args, family)
        if not path:
            continue
        kernel, variants = library.kernel(path, name), variants_of(path, name, args.variants)
        bad = check(library, kernel, variants, data, (333, 392, 640), limit)
        bad.update(check(library, kernel, variants, data, (64, 2112, 1024) if args.m else (4096, 2112, 7168), limit))
        for variant, why in bad.items():
            failed += 1
            print("FAIL", name, variant, why[:300])
        shapes = [tuple(map(int, s.split(","))) for s in args.shapes.split(";")] if args.shapes else \
            SHAPES + (FP8_ONLY if family == "fp8" else [])
        if args.m:
            shapes = [(m, n, k) for m in map(int, args.m.split(",")) for _, n, k in SHAPES]
        best_ratio = {}
        for m, n, k in shapes:
            if time.monotonic() - begun > args.budget:
                print("out of time before", name, m, n, k)
                break
            tensors, _, peer = data(m, n, k, torch.Generator("cuda").manual_seed(m + n + k))
            plans = [(v, *library.plan(kernel, tensors, v)) for v in variants
                     if v not in bad and (not args.m or v == "auto" or suits(v, m))]
            times = device_times([peer] + [p[1] for p in plans], flush, args.runs)
            entry = recorded.get(f"{family} {m} {n} {k}")
            target = times[0] if family == "bf16" else \
                entry["deepgemm_us"] * times[0] / entry["peer_us"] if entry else None
            shown = []
            for (asked, _, selected), us in zip(plans, times[1:]):
                row = {"date": args.date, "gpu": torch.cuda.get_device_name(), "driver": driver, "commit": args.commit,
                       "kernel": name, "variant": selected, "m": m, "n": n, "k": k, "us": round(us, 2),
                       "tflops": round(2e-6 * m * n * k / us, 1), "peer_us": round(times[0], 2)}
                if asked == "auto":
                    row["selected"] = True
                if target:
                    row["ratio"] = round(target / us, 4)  # of cuBLAS (bf16) or DeepGEMM scaled (fp8)
                lines.append(json.dumps(row))
                shown.append((us, selected, row.get("ratio")))
            shown.sort()
            bound = f", bound {n * k * tensors[1].element_size() / rate + 2:.1f}" if rate else ""
            print(f"{name} {m}x{n}x{k}: peer {times[0]:.1f} us, target {target or 0:.1f}{bound}")
            for us, variant, ratio in shown[:args.top]:
                print(f"   {us:8.1f} us  {ratio}  {variant}")
            if shown and shown[0][2]:
                best_ratio[(m, n, k)] = shown[0][2]
        for m in sorted({shape[0] for shape in best_ratio}) if args.m else ():
            summarise(f"{name} at M = {m}", [r for shape, r in best_ratio.items() if shape[0] == m])
        summarise(name, list(best_ratio.values()))
    if args.out:
        with open(args.out, "a") as out:
            out.write("".join(line + "\n" for line in lines))
    sys.exit(3 if failed else 0)


if __name__ == "__main__":
    main()
