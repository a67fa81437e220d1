#!/usr/bin/env python3
"""Device time of GEMM variants beside cuBLAS, on one NVIDIA GPU with PyTorch.

    python3 kernels/bench/speed.py --libtile DIR/libtile.so --bf16 bf16_gemm.tla --fp8 fp8_gemm.tla \\
            --m 1,16,64,128 --out results.jsonl [--variants REGEX] [--runs 12]

For every shape: a 512 MB fill before each call (it empties the L2), device time of the call's kernels
from the CUDA profiler, median of the runs, random data. Peers: torch.matmul (cuBLAS, bf16) and
torch._scaled_mm (cuBLASLt, tensor-wise fp8), in the same session. Every variant is checked against
a float64 product first (calc_diff). One JSON line per variant goes to --out, a table to stdout. A device
copy of 2 GB gives the bandwidth of the card.
"""
import argparse
import ctypes as C
import json
import re
import sqlite3
import statistics

import torch

SHAPES = [(4096, 7168), (7168, 2048), (7168, 16384), (24576, 1536), (2112, 7168)]
# us on an H200, 2026-11-20: DeepGEMM, and cuBLASLt's tensor-wise fp8 on the same day. The first is scaled by
# what the second takes now.
RECORDED = {
    (1, 2112, 7168): (14.5, 9.8), (1, 4096, 7168): (17.7, 14.9), (1, 7168, 2048): (9.3, 7.6),
    (1, 7168, 16384): (42.3, 40.6), (1, 24576, 1536): (18.4, 15.2), (16, 2112, 7168): (12.5, 10.1),
    (16, 4096, 7168): (14.6, 14.8), (16, 7168, 2048): (9.3, 7.7), (16, 7168, 16384): (43.9, 40.8),
    (16, 24576, 1536): (18.6, 15.3), (64, 2112, 7168): (12.0, 9.3), (64, 4096, 7168): (15.5, 13.0),
    (64, 7168, 2048): (9.2, 8.1), (64, 7168, 16384): (43.0, 39.0), (64, 24576, 1536): (17.8, 15.9),
    (128, 2112, 7168): (12.9, 9.6), (128, 4096, 7168): (15.8, 13.9), (128, 7168, 2048): (10.7, 8.1),
    (128, 7168, 16384): (46.6, 38.9), (128, 24576, 1536): (18.6, 16.8), (256, 2112, 7168): (14.6, 11.1),
    (256, 4096, 7168): (20.1, 17.9), (256, 7168, 2048): (12.6, 9.1), (256, 7168, 16384): (59.6, 45.4),
    (256, 24576, 1536): (23.2, 19.4), (1024, 2112, 7168): (34.2, 23.8), (1024, 4096, 7168): (45.5, 41.0),
    (1024, 7168, 2048): (32.0, 26.3), (1024, 7168, 16384): (198.7, 181.9), (1024, 24576, 1536): (62.4, 59.4),
    (4096, 2112, 7168): (96.7, 82.6), (4096, 4096, 7168): (168.2, 165.4), (4096, 7168, 2048): (92.5, 88.8),
    (4096, 7168, 16384): (656.7, 620.3), (4096, 24576, 1536): (232.6, 231.3), (8192, 8192, 8192): (758.2, 739.2),
}
TILE_DTYPE = {torch.float32: 12, torch.bfloat16: 15, torch.float8_e4m3fn: 16}


class Tensor(C.Structure):
    _fields_ = [("data", C.c_void_p), ("shape", C.POINTER(C.c_int64)), ("stride", C.POINTER(C.c_int64)),
                ("ndim", C.c_int32), ("dtype", C.c_int32)]


class Arg(C.Structure):
    _fields_ = [("kind", C.c_int), ("tensor", Tensor), ("i", C.c_int64), ("f", C.c_double)]


class PlanOpts(C.Structure):
    _fields_ = [("size", C.c_uint32), ("variant", C.c_char_p)]


class Tile:
    """As much of runtime/tile.h as a benchmark needs."""

    def __init__(self, path):
        self.lib = C.CDLL(path)
        self.lib.tile_last_error.restype = C.c_char_p
        self.ctx, self.device = C.c_void_p(), C.c_void_p()
        self.call("tile_ctx_create", C.c_uint32(1), C.byref(self.ctx))
        self.call("tile_device_open", self.ctx, b"cuda:0", C.byref(self.device))

    def call(self, name, *args):
        if getattr(self.lib, name)(*args):
            raise RuntimeError(self.lib.tile_last_error().decode())

    def kernel(self, path, name):
        module, kernel = C.c_void_p(), C.c_void_p()
        self.call("tile_module_load_file", self.ctx, path.encode(), C.byref(module))
        self.call("tile_kernel_get", module, name.encode(), C.byref(kernel))
        return kernel

    def plan(self, kernel, tensors, variant):
        args = (Arg * len(tensors))()
        for arg, t in zip(args, tensors):
            shape, stride = (C.c_int64 * t.dim())(*t.shape), (C.c_int64 * t.dim())(*t.stride())
            arg.kind, arg.tensor = 0, Tensor(t.data_ptr(), shape, stride, t.dim(), TILE_DTYPE[t.dtype])
        plan = C.c_void_p()
        opts = PlanOpts(C.sizeof(PlanOpts), variant.encode() if variant else None)
        self.call("tile_plan_create", kernel, self.device, args, len(tensors), C.byref(opts), C.byref(plan))
        stream = C.c_void_p(torch.cuda.current_stream().cuda_stream)
        return lambda: self.call("tile_plan_run", plan, None, None, C.c_size_t(0), stream)


def calc_diff(x, y):
    x, y = x.double(), y.double()
    return float(1 - 2 * (x * y).sum() / (x * x + y * y).sum())


def device_times(calls, runs):
    """us of each call, median: one profiler session, a fill before every call."""
    flush = torch.empty(512 << 20, dtype=torch.uint8, device="cuda")
    for call in calls:
        call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as prof:
        for _ in range(runs):
            for call in calls:
                flush.fill_(1)
                call()
        torch.cuda.synchronize()
    events = sorted((e for e in prof.profiler.kineto_results.events() if str(e.device_type()).endswith("CUDA")),
                    key=lambda e: e.start_ns())
    groups = []
    for event in events:
        if "FillFunctor" in event.name():
            if not groups or groups[-1]:
                groups.append([])
        elif groups:
            groups[-1].append(event.duration_ns() / 1e3)
    groups = [g for g in groups if g]
    assert len(groups) == runs * len(calls), (len(groups), runs, len(calls))
    return [statistics.median(sum(groups[r * len(calls) + i]) for r in range(runs)) for i in range(len(calls))]


def bf16_inputs(m, n, k):
    a = torch.randn(m, k, device="cuda").bfloat16()
    b = torch.randn(n, k, device="cuda").bfloat16()
    return [a, b], a.double() @ b.double().t(), lambda: torch.matmul(a, b.t())


def fp8_inputs(m, n, k):
    a = torch.randn(m, k, device="cuda").to(torch.float8_e4m3fn)
    b = torch.randn(n, k, device="cuda").to(torch.float8_e4m3fn)
    sfa = (torch.rand(k // 128, m, device="cuda") + 0.1).t()
    sfb = torch.rand((n + 127) // 128, k // 128, device="cuda") + 0.1
    full_a = a.double() * sfa.double().repeat_interleave(128, dim=1)
    full_b = b.double() * sfb.double().repeat_interleave(128, 0)[:n].repeat_interleave(128, 1)
    one = torch.ones((), device="cuda")
    # cuBLASLt wants the rows in sixteens.
    peer_a = a if m % 16 == 0 else torch.zeros(16, k, device="cuda").to(torch.float8_e4m3fn)
    peer = lambda: torch._scaled_mm(peer_a, b.t(), one, one, out_dtype=torch.bfloat16)
    return [a, b, sfa, sfb], full_a @ full_b.t(), peer


def variants_of(path, pattern):
    rows = sqlite3.connect(f"file:{path}?immutable=1", uri=True).execute(
        "SELECT name FROM variant WHERE arch='sm_90a' AND align=16 ORDER BY rank").fetchall()
    return [name for (name,) in rows if re.search(pattern, name)]


def suits(name, m):
    """A tile as short as M allows: half of it at most is empty, unless it is the smallest."""
    bm = int(re.search(r"BM(\d+)", name).group(1))
    return bm <= 16 if m <= 8 else bm <= 2 * m and (bm >= min(m, 64) or bm >= 128)


def bench(tile, kind, path, shape, args, out):
    m, n, k = shape
    kernel = tile.kernel(path, f"{kind}_gemm_nt")
    inputs, reference, peer = (bf16_inputs if kind == "bf16" else fp8_inputs)(m, n, k)
    names, calls, diffs = [], [], []
    d = torch.empty(m, n, dtype=torch.bfloat16, device="cuda")
    for name in variants_of(path, args.variants):
        if args.all or suits(name, m):
            try:
                d.fill_(float("nan"))
                call = tile.plan(kernel, [*inputs, d], name)
                call()
                torch.cuda.synchronize()
                diff = calc_diff(d, reference)
            except RuntimeError as error:
                print(f"{name}: {error}")
                continue
            names.append(name), calls.append(call), diffs.append(diff)
    times = device_times([peer, *calls], args.runs)
    peer_us, times = times[0], times[1:]
    for name, us, diff in zip(names, times, diffs):
        row = {"kernel": f"{kind}_gemm_nt", "m": m, "n": n, "k": k, "variant": name, "us": round(us, 2),
               "peer_us": round(peer_us, 2), "calc_diff": diff, "gpu": torch.cuda.get_device_name()}
        out.write(json.dumps(row) + "\n")
        if not diff < 1e-3:
            print(f"WRONG {kind} {shape} {name}: calc_diff {diff}")
    return peer_us, sorted(zip(times, names))


def copy_rate():
    src = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    dst = torch.empty_like(src)
    us = device_times([lambda: dst.copy_(src)], 10)[0]
    return 2 * src.numel() / us / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libtile", required=True)
    parser.add_argument("--bf16"), parser.add_argument("--fp8")
    parser.add_argument("--m", default="64")
    parser.add_argument("--shapes", help="N:K,N:K instead of the five")
    parser.add_argument("--variants", default=".")
    parser.add_argument("--all", action="store_true", help="variants whose BM does not suit M too")
    parser.add_argument("--top", type=int, default=2)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    tile = Tile(args.libtile)
    shapes = [tuple(map(int, s.split(":"))) for s in args.shapes.split(",")] if args.shapes else SHAPES
    rate = copy_rate()
    print(f"{torch.cuda.get_device_name()}: copy {rate:.2f} TB/s")
    with open(args.out, "a") as out:
        for kind, path in (("bf16", args.bf16), ("fp8", args.fp8)):
            for m in map(int, args.m.split(",")) if path else ():
                ratios = []
                for n, k in shapes:
                    peer_us, best = bench(tile, kind, path, (m, n, k), args, out)
                    bound = (n * k * (2 if kind == "bf16" else 1)) / rate / 1e6 + 2
                    against = peer_us
                    if kind == "fp8":
                        then, peer_then = RECORDED.get((m, n, k), (float("nan"), 1.0))
                        against = then * peer_us / peer_then
                    if best:
                        ratios.append(against / best[0][0])
                    shown = "  ".join(f"{us:.1f} {name}" for us, name in best[:args.top])
                    print(f"{kind} {m:5} {n:6} {k:6} bound {bound:6.1f} peer {peer_us:6.1f} target {against:6.1f} | {shown}",
                          flush=True)
                if ratios:
                    print(f"{kind} m={m}: geomean {statistics.geometric_mean(ratios):.3f} min {min(ratios):.3f}", flush=True)


if __name__ == "__main__":
    main()
