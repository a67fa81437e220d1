"""torch's tensors as C reads them: DLPack's exchange table (dlpack.h 1.2 and later)."""
import ctypes as c

from . import _device, _lib

_MOST_DEVICES = 64
_devices = (c.c_void_p * _MOST_DEVICES)()


def _function(name):
    return c.cast(getattr(c.pythonapi, name), c.c_void_p).value


def objects_of(torch, kernel):
    """What tile_launch_objects wants to know of a kernel, or None where this torch has no table. The
    caller keeps it."""
    capsule = getattr(getattr(torch, "Tensor", None), "__dlpack_c_exchange_api__", None)
    if capsule is None:
        return None
    get = c.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = c.c_void_p, [c.py_object, c.c_char_p]
    return _lib.Objects(kernel, get(capsule, b"dlpack_exchange_api"), _function("PyTuple_GetItem"),
                        _function("PyLong_AsLongLong"), _function("PyFloat_AsDouble"),
                        c.cast(_devices, c.POINTER(c.c_void_p)), _MOST_DEVICES)


def open_device(ordinal):
    """Enters a device in the table; False when it was there already or does not fit."""
    if ordinal >= _MOST_DEVICES or _devices[ordinal]:
        return False
    _devices[ordinal] = _device.open("cuda:%d" % ordinal).handle
    return True
