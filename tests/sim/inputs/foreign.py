# Launch files for the kernels of basics.cu and gemm.cu, and numpy's opinion of what they wrote.
import json
import math
import sys

import numpy as np

command, source, out = sys.argv[1:4]
rng = np.random.default_rng(7)
M, N, K = 128, 192, 160


def bf16(x):
    return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def buffer(name, **more):
    return {"buffer": name, **more}


data = {
    "ramp": np.arange(1000, dtype=np.float32),
    "square": rng.standard_normal((64, 64)).astype(np.float32),
    "x": rng.uniform(-5, 5, 100).astype(np.float32),
    "ones": np.ones(40 * 32, np.float32),
    "a": bf16(rng.integers(-8, 9, (M, K)) / 4),
    "b": bf16(rng.integers(-8, 9, (N, K)) / 4),
}
zero = {"u32": [0]}
cases = {
    "reduce": ("basics", [1], [256], {"a": "ramp", "o": 4}, [buffer("a"), buffer("o"), {"i32": 1000}]),
    "transpose": ("basics", [2, 2], [32, 8], {"a": "square", "o": 64 * 64 * 4}, [buffer("a"), buffer("o"), {"i32": 64}]),
    "functions": ("basics", [4], [32], {"a": "x", "o": 100 * 24}, [buffer("a"), buffer("o"), {"i32": 100}]),
    "locals": ("basics", [1], [80], {"o": 320}, [buffer("o"), {"i32": 3}]),
    "last_block": ("basics", [40], [32], {"a": "ones", "p": 160, "c": zero, "o": 4},
                   [buffer("a"), buffer("p"), buffer("c"), buffer("o")]),
    "gemm": ("gemm", [N // 64, M // 64], [128], {"a": "a", "b": "b", "o": 4 * M * N},
             [buffer("a"), buffer("b"), buffer("o"), {"i32": M}, {"i32": N}, {"i32": K}]),
}


def make():
    for name, values in data.items():
        np.save(f"{out}/{name}.npy", values)
    for name, (ptx, grid, block, buffers, params) in cases.items():
        spec = {}
        for key, what in buffers.items():
            spec[key] = {"npy": what + ".npy"} if isinstance(what, str) else what if isinstance(what, dict) else {
                "bytes": what, "fill": "poison"}
        launch = {"ptx": f"{source}/{ptx}.ptx", "entry": name, "grid": grid, "block": block, "buffers": spec,
                  "params": params, "outputs": {"o": name + ".out.npy"}}
        with open(f"{out}/{name}.json", "w") as f:
            json.dump(launch, f)


def result(name, dtype):
    return np.load(f"{out}/{name}.out.npy").view(dtype)


def fibonacci(n, trace):
    a, b = 0, 1
    for i in range(n):
        a, b = b, a + b
        trace[i & 3] = a
    return a


def check():
    square = data["square"]
    assert result("reduce", np.float32)[0] == 499500
    assert (result("transpose", np.float32).reshape(64, 64) == square.T).all()
    x = data["x"].astype(np.float64)
    angle = (data["x"] * np.float32(1e4)).astype(np.float64)
    want = np.stack([np.exp(x), np.log(abs(x) + 1), np.sin(angle), (abs(x) + .5) ** 1.7,
                     np.array([math.erf(v) for v in x]), np.tanh(x)], 1)
    got = result("functions", np.float32).reshape(100, 6)
    assert (abs(got - want) <= 2e-6 * np.maximum(abs(want), .1)).all(), abs(got - want).max()
    locals_want = []
    for t in range(80):
        array = [i * 3 for i in range(16)]
        s = fibonacci(t % 20, array)
        locals_want.append(s + array[t * 7 & 15])
    assert (result("locals", np.int32) == locals_want).all()
    assert result("last_block", np.float32)[0] == 1280
    a = (data["a"].astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    b = (data["b"].astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    assert (result("gemm", np.float32).reshape(M, N) == a @ b.T).all()


make() if command == "make" else check()
