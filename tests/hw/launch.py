#!/usr/bin/env python3
"""A ptxsim launch file on a real GPU: the same PTX, buffers, parameters and tensor maps.

    python3 tests/hw/launch.py LAUNCH.json --expect NAME=FILE.npy ... [--cubin FILE]

Runs the entry through the driver (libcuda by ctypes; the PTX is compiled by the driver unless --cubin is
given) and compares each named output buffer with the bytes that ptxsim wrote. Exit 3 when they differ.
"""
import argparse
import ctypes as C
import json
import os
import re
import struct
import sys

import numpy as np

cuda = C.CDLL("libcuda.so.1")
TYPES = {"u8": 0, "u16": 1, "u32": 2, "s32": 3, "u64": 4, "s64": 5, "f16": 6, "f32": 7, "f64": 8, "bf16": 9,
         "f32_ftz": 10, "tf32": 11, "tf32_ftz": 12, "u4_align8b": 13, "u4_align16b": 14, "u6_align16b": 15}
SWIZZLES = {"none": 0, "32B": 1, "64B": 2, "128B": 3}


def call(name, *args):
    result = getattr(cuda, name)(*args)
    if result:
        text = C.c_char_p()
        cuda.cuGetErrorName(result, C.byref(text))
        sys.exit(f"launch.py: {name}: {text.value}")


def make_buffer(spec, folder):
    if "npy" in spec:
        data = np.load(os.path.join(folder, spec["npy"])).tobytes()
    elif "u32" in spec:
        data = np.array(spec["u32"], dtype=np.uint32).tobytes()
    else:
        data = bytes(spec["bytes"])
    address = C.c_uint64()
    call("cuMemAlloc_v2", C.byref(address), C.c_size_t(max(len(data), 16)))
    call("cuMemcpyHtoD_v2", address, data, C.c_size_t(len(data)))
    return address.value, len(data)


def tensor_map(spec, buffers):
    rank = len(spec["dims"])
    out = (C.c_uint8 * 192)()
    start = (C.addressof(out) + 63) // 64 * 64  # the driver wants 64-byte alignment
    dims = (C.c_uint64 * rank)(*spec["dims"])
    strides = (C.c_uint64 * max(rank - 1, 1))(*spec["strides_bytes"])
    box = (C.c_uint32 * rank)(*spec["box"])
    steps = (C.c_uint32 * rank)(*spec.get("elem_strides", [1] * rank))
    address = C.c_void_p(buffers[spec["buffer"]][0] + spec.get("offset", 0))
    call("cuTensorMapEncodeTiled", C.c_void_p(start), TYPES[spec["dtype"]], rank, address, dims, strides, box, steps, 0,
         SWIZZLES[spec.get("swizzle", "none")], 0, 0)
    return C.string_at(start, 128)


def parameter(spec, buffers):
    if "buffer" in spec:
        return struct.pack("<Q", buffers[spec["buffer"]][0] + spec.get("offset", 0))
    if "tensormap" in spec:
        return tensor_map(spec["tensormap"], buffers)
    if "bytes" in spec:
        return bytes.fromhex(spec["bytes"])
    kind, value = next(iter(spec.items()))
    return struct.pack({"u32": "<I", "i32": "<i", "u64": "<Q", "i64": "<q", "f32": "<f"}[kind], value)


def three(values):
    return (list(values) + [1, 1, 1])[:3]


class Config(C.Structure):
    _fields_ = [("grid", C.c_uint * 3), ("block", C.c_uint * 3), ("smem", C.c_uint), ("stream", C.c_void_p),
                ("attrs", C.c_void_p), ("count", C.c_uint)]


class ClusterAttribute(C.Structure):
    _fields_ = [("id", C.c_int), ("pad", C.c_int), ("dims", C.c_uint * 3), ("rest", C.c_uint8 * 52)]


def launch(launch_file, cubin):
    folder = os.path.dirname(os.path.abspath(launch_file))
    job = json.load(open(launch_file))
    ordinal, context, module, function = C.c_int(), C.c_void_p(), C.c_void_p(), C.c_void_p()
    call("cuInit", 0)
    call("cuDeviceGet", C.byref(ordinal), 0)
    call("cuDevicePrimaryCtxRetain", C.byref(context), ordinal)
    call("cuCtxSetCurrent", context)
    image = open(cubin or os.path.join(folder, job["ptx"]), "rb").read() + b"\0"
    call("cuModuleLoadData", C.byref(module), image)
    call("cuModuleGetFunction", C.byref(function), module, job["entry"].encode())
    call("cuFuncSetAttribute", function, 8, C.c_int(job.get("smem", 0)))
    buffers = {name: make_buffer(spec, folder) for name, spec in job["buffers"].items()}
    values = [C.create_string_buffer(parameter(spec, buffers)) for spec in job["params"]]
    pointers = (C.c_void_p * len(values))(*[C.addressof(v) for v in values])
    config = Config((C.c_uint * 3)(*three(job["grid"])), (C.c_uint * 3)(*three(job["block"])), job.get("smem", 0))
    text = open(os.path.join(folder, job["ptx"])).read()
    cluster = ClusterAttribute(4, 0, (C.c_uint * 3)(*three(job.get("cluster", [1]))))
    if any(n > 1 for n in cluster.dims) and not re.search(r"\.reqnctapercluster", text):
        config.attrs, config.count = C.addressof(cluster), 1
    call("cuLaunchKernelEx", C.byref(config), function, pointers, None)
    call("cuCtxSynchronize")
    return buffers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("launch")
    parser.add_argument("--expect", action="append", default=[])
    parser.add_argument("--cubin")
    args = parser.parse_args()
    buffers = launch(args.launch, args.cubin)
    different = 0
    for item in args.expect:
        name, path = item.split("=", 1)
        expected = np.load(path).view(np.uint8).reshape(-1)
        got = np.empty(expected.size, dtype=np.uint8)
        call("cuMemcpyDtoH_v2", got.ctypes.data_as(C.c_void_p), C.c_uint64(buffers[name][0]), C.c_size_t(got.size))
        count = int((got != expected).sum())
        print(f"{os.path.basename(args.launch)} {name}: {count} of {got.size} bytes differ, {int((got != 0).sum())} non-zero")
        different += count
    sys.exit(3 if different else 0)


if __name__ == "__main__":
    main()
