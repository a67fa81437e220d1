"""tile: load a .tla and launch its kernels on torch tensors, NumPy arrays and anything with DLPack.

    import tile, torch
    gemm = tile.load("fp8_gemm.tla")["fp8_gemm_nt"]
    gemm(A, B, SFA, SFB, D)          # on the tensors' device and torch's current stream

A call checks its arguments the first time it sees their shapes, strides and types, and keeps the
plan; later calls look it up and launch. Nothing is compiled here unless tile.compile is called.
Errors are tile.Error with libtile's text.
"""
import ctypes as _c

from . import _lib
from ._device import Device
from ._device import open as device
from ._kernel import Kernel, Plan
from ._lib import Error

__all__ = ["Device", "Error", "Kernel", "Module", "Plan", "compile", "counters", "device", "load"]


class Module:
    """A loaded .tla: `kernels` are their names, module[name] is one."""

    def __init__(self, handle):
        self.handle = handle
        self.kernels = [_lib.lib.tile_module_kernel_name(handle, i).decode()
                        for i in range(_lib.lib.tile_module_kernel_count(handle))]
        self._made = {}

    def __getitem__(self, name):
        if name not in self._made:
            self._made[name] = Kernel(self, name)
        return self._made[name]

    def __repr__(self):
        return "tile.Module(%s)" % ", ".join(self.kernels)


def load(path):
    """A .tla file as a Module. Modules live as long as the process."""
    return Module(_lib.out(_lib.lib.tile_module_load_file, _lib.context, str(path).encode()))


def compile(path, *flags):
    """Compiles a .tile file through libtilec.so; flags as tilec's ("--arch=sm_90a", "-fspecialize")."""
    words = (_c.c_char_p * max(len(flags), 1))(*[flag.encode() for flag in flags])
    return Module(_lib.out(_lib.lib.tile_module_compile, _lib.context, str(path).encode(), None, 0,
                           words, len(flags)))


def counters():
    """What this process has done: compiles, jit_compiles, loads, plans."""
    found = _lib.Counters(size=_c.sizeof(_lib.Counters))
    _lib.check(_lib.lib.tile_counters_read(_c.byref(found)))
    return {name: getattr(found, name) for name, _ in found._fields_ if name != "size"}
