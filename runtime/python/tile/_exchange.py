"""torch's tensors as C reads them: DLPack's exchange table (dlpack.h 1.2 and later)."""
import ctypes as c

from . import _device, _lib

_MOST_DEVICES = 64
_devices = (c.c_void_p * _MOST_DEVICES)()
_tables = {}  # by address of the framework's table; they live as long as the process


def table(torch):
    """What tile_launch_objects wants to know, or None where this torch has no table."""
    capsule = getattr(getattr(torch, "Tensor", None), "__dlpack_c_exchange_api__", None)
    if capsule is None:
        return None
    get = c.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = c.c_void_p, [c.py_object, c.c_char_p]
    address = get(capsule, b"dlpack_exchange_api")
    if address not in _tables:
        take = c.cast(c.pythonapi.PyTuple_GetItem, c.c_void_p)
        _tables[address] = _lib.Objects(address, take, c.cast(_devices, c.POINTER(c.c_void_p)),
                                        _MOST_DEVICES)
    return c.addressof(_tables[address])


def open_device(ordinal):
    """Enters a device in the table; False when it was there already or does not fit."""
    if ordinal >= _MOST_DEVICES or _devices[ordinal]:
        return False
    _devices[ordinal] = _device.open("cuda:%d" % ordinal).handle
    return True
