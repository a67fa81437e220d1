"""The Python package on a simulated device: NumPy arrays, and tensors that quack like torch's."""
import ctypes
import os
import sys
import types

import numpy as np

import tile

artifact, gemm_artifact = sys.argv[1:3]
SIM = "sim:sm_90a"


def refuses(kind, words, function, *args, **named):
    try:
        function(*args, **named)
    except kind as error:
        assert words in str(error), "%r is not in %r" % (words, str(error))
        return error
    raise AssertionError("not refused: " + words)


def numpy_arrays():
    module = tile.load(artifact)
    assert module.kernels == ["vadd"], module.kernels
    vadd = module["vadd"]
    x, y = np.arange(1000, dtype=np.float32), np.full(1000, 3, np.float32)
    out = np.zeros(1000, np.float32)
    vadd(x, y, out, device=SIM)
    assert (out == x + y).all()
    vadd(A=x, B=y, C=out, device=SIM)
    assert vadd.variants_for(SIM, N=range(1, 1001)), "no variants"
    vadd.warm_up(SIM, N=1000)
    plan = vadd.plan(x, y, out, device=SIM)
    assert plan.info["arch"] == "sm_90a" and plan.info["grid"][0] > 0, plan.info
    refuses(tile.Error, "'N' is 999 in", vadd, x, y[:999], out, device=SIM)
    assert refuses(tile.Error, "is f64, must be f32", vadd, x.astype(np.float64), y, out,
                   device=SIM).status == "dtype"
    refuses(ValueError, "host arrays need device", vadd, x, y, out)
    refuses(TypeError, "'B': int is no array", vadd, x, 1, out, device=SIM)
    refuses(tile.Error, "no device is called 'gpu'", vadd, x, y, out, device="gpu")
    refuses(tile.Error, "nowhere.tla", tile.load, "nowhere.tla")
    refuses(tile.Error, "no kernel 'vsub'", lambda: module["vsub"])
    out.setflags(write=False)
    refuses(ValueError, "read-only", vadd, x, y, out, device=SIM)


def bf16(x):
    return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def wide(x):
    return (x.astype(np.uint32) << 16).view(np.float32)


def strided_gemm():
    rng = np.random.default_rng(7)
    gemm = tile.load(gemm_artifact)["bf16_gemm_nt"]
    big = bf16(rng.integers(-4, 5, (70, 160)))
    a, b = big[:, 16:112], bf16(rng.integers(-4, 5, (40, 96)))
    assert a.strides[0] != 2 * a.shape[1]
    d = np.zeros((70, 40), np.uint16)
    gemm(a, b, d, device=SIM)
    assert (wide(d) == wide(bf16(wide(a) @ wide(b).T))).all()


class Tensor:
    """What the package asks of a torch tensor, over the simulated device's memory."""

    is_cuda = True

    def __init__(self, array, offset=0):
        self.shape, self.dtype = array.shape, "torch.float32"
        self.handle = tile.device("cuda:0").handle
        from tile import _lib
        self.base = _lib.out(_lib.lib.tile_buffer_create, self.handle, array.nbytes + 64, b"tensor")
        self.address = self.base + offset
        _lib.check(_lib.lib.tile_buffer_write(self.handle, self.address, array.ctypes.data,
                                              array.nbytes))

    def stride(self):
        return (1,)

    def get_device(self):
        return 0 if self.is_cuda else -1

    @property
    def __array_interface__(self):  # only of host tensors
        if self.is_cuda:
            raise AttributeError
        return {"typestr": "<f4", "shape": self.shape, "data": (self.address, False)}

    def data_ptr(self):
        return self.address

    def numpy(self):
        from tile import _lib
        out = np.empty(self.shape, np.float32)
        _lib.check(_lib.lib.tile_buffer_read(self.handle, self.address, out.ctypes.data, out.nbytes))
        return out


def torch_tensors():
    from tile import _device
    _device._opened["cuda:0"] = tile.device(SIM)
    _device._opened["cuda:0"].key = "cuda:0"
    torch = types.ModuleType("torch")
    torch.Tensor = Tensor
    streams = []
    torch._C = types.SimpleNamespace(_cuda_getCurrentRawStream=lambda n: streams.append(n) or 0)
    sys.modules["torch"] = torch
    vadd = tile.load(artifact)["vadd"]
    x = np.arange(512, dtype=np.float32)
    before = tile.counters()
    for turn in range(3):  # other addresses, one plan
        a, b, c = Tensor(x + turn), Tensor(x), Tensor(x)
        vadd(a, b, c)
        assert (c.numpy() == 2 * x + turn).all()
    vadd(a, B=b, C=c, stream=0)
    made = tile.counters()
    assert made["plans"] - before["plans"] == 1, made
    assert streams == [0, 0, 0], streams
    for turn in range(2):  # an address that 16 does not divide: a plan of its own, kept too
        odd = Tensor(x, offset=4)
        vadd(odd, b, c)
        assert (c.numpy() == 2 * x).all()
    assert tile.counters()["plans"] - made["plans"] == 1
    vadd(a, b, c)
    assert (c.numpy() == 2 * x + 2).all()
    assert tile.counters()["plans"] - made["plans"] == 1
    assert tile.counters()["compiles"] == 0
    refuses(tile.Error, "'N' is 100 in", vadd, a, Tensor(x[:100]), c)


class DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
                ("offset", ctypes.c_uint64)]


class ExchangeTable(ctypes.Structure):  # dlpack.h: DLPackExchangeAPI
    DESCRIBE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(DLTensor))
    STREAM = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p))
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("older", ctypes.c_void_p),
                ("others", ctypes.c_void_p * 3), ("describe", DESCRIBE), ("stream", STREAM)]


def exchange_table():
    """A framework whose tensors describe themselves in C."""
    torch, asked = sys.modules["torch"], []

    def describe(tensor, out):
        tensor.c_shape, tensor.c_stride = (ctypes.c_int64 * 1)(*tensor.shape), (ctypes.c_int64 * 1)(1)
        out[0] = DLTensor(tensor.address - 64, getattr(tensor, "where", 2), 0, 1, 2, 32, 1,
                          ctypes.addressof(tensor.c_shape), ctypes.addressof(tensor.c_stride), 64)
        return 0

    def stream(kind, index, out):
        asked.append((kind, index))
        return 0

    table = ExchangeTable(1, 1, None, (ctypes.c_void_p * 3)(), ExchangeTable.DESCRIBE(describe),
                          ExchangeTable.STREAM(stream))
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    name = ctypes.c_char_p(b"dlpack_exchange_api")
    Tensor.__dlpack_c_exchange_api__ = make(ctypes.addressof(table), name, None)
    vadd = tile.load(artifact)["vadd"]
    x = np.arange(300, dtype=np.float32)
    a, b, c = Tensor(x), Tensor(x + 1), Tensor(x)
    before = tile.counters()
    vadd(a, b, c)
    vadd(Tensor(x + 3), b, c)
    assert (c.numpy() == 2 * x + 4).all()
    vadd(a, b, C=c, stream=0)
    assert (c.numpy() == 2 * x + 1).all()
    assert asked == [(2, 0), (2, 0)], asked
    vadd(Tensor(x, offset=4), b, c)
    assert (c.numpy() == 2 * x + 1).all()
    assert tile.counters()["plans"] - before["plans"] == 2
    refuses(tile.Error, "'N' is 100 in", vadd, a, Tensor(x[:100]), c)
    refuses(TypeError, "'B': int is no array", vadd, a, 5, c)
    a.where, Tensor.is_cuda = 1, False
    refuses(ValueError, "host arrays need device", vadd, a, b, c)


def compiling():
    """A compiler that breaks down is an exception, not the end of the process."""
    source = sys.argv[3]
    vadd = tile.compile(source, "--arch=sm_90a", "--no-ptxas")["vadd"]
    x, out = np.arange(10, dtype=np.float32), np.zeros(10, np.float32)
    vadd(x, x, out, device=SIM)
    assert (out == 2 * x).all() and tile.counters()["compiles"] == 1
    refuses(tile.Error, "bad flag '--nonsense'", tile.compile, source, "--nonsense")
    os.environ["TILE_PTXAS"] = "/bin/false"
    for _ in range(2):
        refuses(tile.Error, "internal error: ", tile.compile, source, "--arch=sm_90a")
    vadd(x, x, out, device=SIM)


numpy_arrays()
strided_gemm()
torch_tensors()
exchange_table()
compiling()
print("python: every check passed")
