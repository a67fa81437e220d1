"""On a GPU with torch: every M from 1 to 300 and 200 others up to 8192, at N=4096 K=7168.

    PYTHONPATH=runtime/python python3 tests/hw/sweep.py FILE.tla fp8_gemm_nt|bf16_gemm_nt [N K]

Each result against torch in f64; what is selected against what the coverage lists; nothing compiled, and after
the warm-up nothing loaded. Prints a summary; exits with 1 when something is wrong.
"""
import collections
import random
import sys
import time

import torch

import tile

name = sys.argv[2]
N, K = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (4096, 7168)
gemm = tile.load(sys.argv[1])[name]
scaled = name == "fp8_gemm_nt"
narrow = torch.float8_e4m3fn if scaled else torch.bfloat16
torch.manual_seed(1)
A, B = torch.randn(8192, K, device="cuda").to(narrow), torch.randn(N, K, device="cuda").to(narrow)
SFA = torch.rand(8192, K // 128, device="cuda") + 0.5
SFB = torch.rand((N + 127) // 128, K // 128, device="cuda") + 0.5
wide_a, wide_b = A.double(), B.double()
if scaled:
    wide_a *= SFA.double().repeat_interleave(128, 1)
    wide_b *= SFB.double().repeat_interleave(128, 0)[:N].repeat_interleave(128, 1)
want = wide_a @ wide_b.t()
del wide_a, wide_b

start = time.perf_counter()
listed = gemm.variants_for("cuda:0", M=range(1, 8193), N=N, K=K)
seconds = time.perf_counter() - start
gemm.warm_up("cuda:0", M=range(1, 8193), N=N, K=K)
warm = tile.counters()

rows = list(range(1, 301)) + sorted(random.Random(7).sample(range(301, 8193), 200))
wrong, outside, selected, reasons, worst_norm = [], [], collections.Counter(), collections.Counter(), 0.0
for m in rows:
    scales = (SFA[:m].t().contiguous().t(), SFB) if scaled else ()
    args = (A[:m], B) + scales + (torch.full((m, N), float("nan"), device="cuda", dtype=torch.bfloat16),)
    info = gemm.plan(*args).info
    gemm(*args)
    got, ref = args[-1].double(), want[:m]
    norm = ((got - ref).norm() / ref.norm()).item()
    worst = ((got - ref).abs().max() / ref.abs().max()).item()
    worst_norm = max(worst_norm, norm)
    if not (norm < 5e-3 and worst < 1e-2):  # False for NaN, too
        wrong.append((m, info["variant"], norm, worst))
    selected[info["variant"]] += 1
    reasons[info["chosen_by"]] += 1
    if info["variant"] not in listed:
        outside.append((m, info["variant"]))
done = tile.counters()

print(torch.cuda.get_device_name(), "%s N=%d K=%d: %d values of M" % (name, N, K, len(rows)))
print("wrong: %d %s; largest relative error in the norm %.2e" % (len(wrong), wrong[:4], worst_norm))
print("coverage: %d variants in %.3f s; selected outside the list: %d %s" % (len(listed), seconds, len(outside), outside[:4]))
print("selected:", dict(selected), "by", dict(reasons))
print("compiled: %d, loaded after the warm-up: %d" % (done["compiles"] + done["jit_compiles"], done["loads"] - warm["loads"]))
good = (not wrong and not outside and seconds < 1 and done["compiles"] + done["jit_compiles"] == 0 and
        done["loads"] == warm["loads"])
print("sweep:", "passed" if good else "FAILED")
sys.exit(0 if good else 1)
