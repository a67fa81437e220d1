"""Launch files and PTX that ptxsim must refuse: exit status 1 and one line that says what is wrong."""
import argparse
import json
import os
import subprocess
import sys

PTX = """.version 9.0
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 a, .param .u32 n%s)
{
  .reg .b32 %%r<4>;
  %s
  ret;
}
"""
GOOD = {"ptx": "k.ptx", "entry": "k", "block": [32], "buffers": {"d": {"bytes": 65536, "fill": "zeros"}},
        "params": [{"buffer": "d"}, {"u32": 1}]}
MAP = {"buffer": "d", "dtype": "bf16", "dims": [128, 128], "strides_bytes": [256], "box": [64, 64], "swizzle": "128B"}


def launch(**changes):
    return {**GOOD, **changes}


def with_map(**changes):
    return launch(ptx="map.ptx", params=[*GOOD["params"], {"tensormap": {**MAP, **changes}}])


CASES = [  # launch file or its text, what the line must contain
    ("{", "bad.json:1:1: error: "),
    ("[1]", "error: expected an object"),
    ({k: v for k, v in GOOD.items() if k != "ptx"}, 'error: no "ptx"'),
    ({k: v for k, v in GOOD.items() if k != "entry"}, 'error: no "entry"'),
    (launch(ptx="none.ptx"), "none.ptx: No such file"),
    (launch(entry="other"), "error: no entry 'other' in "),
    (launch(ptx="instruction.ptx"), "instruction.ptx:7:3: error: unsupported instruction 'frobnicate.b32'"),
    (launch(ptx="modifier.ptx"), "modifier.ptx:7:3: error: unsupported form 'add.rz.s32'"),
    (launch(ptx="operand.ptx"), "operand.ptx:7:3: error: 'add.s32' needs more than 2 operands"),
    (launch(ptx="name.ptx"), "name.ptx:7:3: error: unknown name '%r9'"),
    (launch(ptx="directive.ptx"), "directive.ptx:7:3: error: "),
    (launch(grid=[0]), "error: grid: expected positive numbers"),
    (launch(grid=[1, 1, 1, 1]), "error: grid: expected up to three numbers"),
    (launch(cluster="2"), "error: cluster: expected up to three numbers"),
    (launch(smem=-1), "error: smem: expected a number of bytes"),
    (launch(smem=300000), "bad_launch: 0 + 300000 bytes of shared memory, sm_90a has 232448"),
    (launch(block=[2048]), "bad_launch: block 2048x1x1"),
    (launch(buffers={}), "error: parameter 0: unknown buffer 'd'"),
    (launch(buffers={"d": {}}), "error: buffer 'd' has neither npy, bytes, hex nor data"),
    (launch(buffers={"d": {"bytes": -4}}), "error: buffer 'd': bytes: expected a number up to 2^30"),
    (launch(buffers={"d": {"bytes": 1 << 40}}), "error: buffer 'd': bytes: expected a number up to 2^30"),
    (launch(buffers={"d": {"bytes": 4, "fill": "ones"}}), "error: buffer 'd': unknown fill 'ones'"),
    (launch(buffers={"d": {"hex": "0g"}}), "error: buffer 'd': bad hex"),
    (launch(buffers={"d": {"f16": [1]}}), "error: buffer 'd': unknown type 'f16'"),
    (launch(buffers={"d": {"u32": [1, "x"]}}), "error: buffer 'd': element 1 is no u32"),
    (launch(buffers={"d": {"npy": "none.npy"}}), "none.npy: cannot open"),
    (launch(buffers={"d": {"npy": "k.ptx"}}), "k.ptx: not a .npy file"),
    (launch(outputs={"e": "e.npy"}), "error: outputs: no buffer 'e'"),
    (launch(params=[{"buffer": "d"}]), "error: entry 'k' takes 2 parameters, got 1"),
    (launch(params=[{"buffer": "d"}, {"u64": 1}]), "error: parameter 1 has 4 bytes, got 8"),
    (launch(params=[{"buffer": "d"}, {"u33": 1}]), "error: parameter 1: unknown kind 'u33'"),
    (launch(params=[{"buffer": "d"}, {"u32": "one"}]), "error: parameter 1: the value is no 'u32'"),
    (launch(params=[{"buffer": "d"}, {"bytes": "00f"}]), "error: parameter 1: bad hex"),
    (launch(params=[{"buffer": "d"}, {}]), "error: parameter 1: it says nothing"),
    (launch(params=[{"buffer": "d"}, {"struct": [{"u32": 1}]}]), "error: parameter 1: member 0 has no place 'at' inside"),
    (launch(params=[{"buffer": "d"}, {"struct": [{"at": 2, "u32": 1}]}]), "error: parameter 1: member 0 does not fit"),
    (with_map(buffer="e"), "error: parameter 2: tensormap: unknown buffer 'e'"),
    (with_map(box=[64, 300]), "tensormap: dimension 1 of the box is 300, it must be 1 to 256"),
    (with_map(box=[64, 0]), "tensormap: dimension 1 of the box is 0, it must be 1 to 256"),
    (with_map(strides_bytes=[264]), "tensormap: the stride of dimension 1 is 264 bytes, not a multiple of 16"),
    (with_map(strides_bytes=[1 << 40]), "tensormap: the stride of dimension 1 is 1099511627776 bytes, it must be below 2^40"),
    (with_map(box=[128, 64]), "tensormap: the innermost box of 256 bytes is wider than the swizzle of 128"),
    (with_map(box=[4, 64]), "tensormap: the innermost box has 8 bytes, not a multiple of 16"),
    (with_map(offset=8), "is not a multiple of 16"),
    (with_map(dims=[128, 0]), "tensormap: dimension 1 is 0, it must be 1 to 2^32"),
    (with_map(elem_strides=[1, 9]), "tensormap: element stride 1 is 9, it must be 1 to 8"),
    (with_map(dims=[1] * 6), "tensormap: dims needs 1 to 5 numbers"),
    (with_map(strides_bytes=[]), "tensormap: strides_bytes needs 1 numbers"),
    (with_map(dtype="f12"), "tensormap: unknown dtype 'f12'"),
    (with_map(swizzle="256B"), "tensormap: unknown swizzle '256B'"),
    (with_map(fill="ones"), "tensormap: unknown fill 'ones'"),
    (with_map(interleave="16B"), "tensormap: interleaved layouts are not supported"),
    (with_map(dtype="u16", fill="nan"), "tensormap: NaN fill needs a floating-point type"),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ptxsim", required=True)
    parser.add_argument("--work", required=True)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    bodies = {"k": "", "instruction": "frobnicate.b32 %r1, %r2;", "modifier": "add.rz.s32 %r1, %r2, %r3;",
              "operand": "add.s32 %r1, %r2;", "name": "mov.b32 %r1, %r9;", "directive": ".frobnicate 4;"}
    for name, body in bodies.items():
        with open(os.path.join(args.work, name + ".ptx"), "w") as out:
            out.write(PTX % ("", body))
    with open(os.path.join(args.work, "map.ptx"), "w") as out:
        out.write(PTX % (", .param .align 64 .b8 m[128]", ""))
    path = os.path.join(args.work, "bad.json")
    wrong = 0
    for case, expected in CASES:
        with open(path, "w") as out:
            out.write(case if isinstance(case, str) else json.dumps(case))
        done = subprocess.run([args.ptxsim, path], capture_output=True, text=True)
        lines = (done.stdout + done.stderr).splitlines()
        if done.returncode != 1 or len(lines) != 1 or expected not in lines[0]:
            print(f"wanted one line with {expected!r} and exit status 1, got {done.returncode}: {lines}")
            wrong += 1
    if wrong:
        sys.exit(1)
    print(f"{len(CASES)} inputs refused as expected")


main()
