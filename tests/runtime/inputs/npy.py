#!/usr/bin/env python3
"""Arrays without NumPy.

npy.py make FILE DESCR SHAPE C|F EXPR    elements from EXPR over i0, i1, ... (last index fastest in order C)
npy.py show FILE                         descr, order, shape, then the elements in logical order"""
import ast
import itertools
import struct
import sys

CODES = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H",
         "u1": "B", "b1": "B", "V1": "B", "V2": "H"}


def offsets(shape, fortran):
    """The index tuples of an array in the order its elements lie in memory."""
    if not fortran:
        return itertools.product(*map(range, shape))
    return (tuple(reversed(at)) for at in itertools.product(*map(range, reversed(shape))))


def make(path, descr, shape, order, expr):
    shape = ast.literal_eval(shape)
    code = compile(expr, "EXPR", "eval")
    values = [eval(code, {f"i{k}": i for k, i in enumerate(at)}) for at in offsets(shape, order == "F")]
    header = f"{{'descr': '{descr}', 'fortran_order': {order == 'F'}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        out.write(struct.pack(f"<{len(values)}{CODES[descr[-2:]]}", *values))


def show(path):
    raw = open(path, "rb").read()
    length = struct.unpack("<H", raw[8:10])[0]
    info = ast.literal_eval(raw[10:10 + length].decode())
    assert (10 + length) % 64 == 0
    descr, shape = info["descr"], info["shape"]
    places = list(offsets(shape, info["fortran_order"]))
    values = dict(zip(places, struct.unpack(f"<{len(places)}{CODES[descr[-2:]]}", raw[10 + length:])))
    print(descr, "F" if info["fortran_order"] else "C", *shape)
    for row in itertools.product(*map(range, shape[:-1])):
        print(*(f"{values[row + (i,)]:g}" for i in range(shape[-1])))


if sys.argv[1] == "make":
    make(*sys.argv[2:7])
else:
    show(sys.argv[2])
