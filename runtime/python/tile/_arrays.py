"""What libtile needs to know of an array, whoever made it: address, shape, strides, element type.

Accepted: torch tensors, NumPy arrays, and anything with __cuda_array_interface__ or __dlpack__.
Bytes and 16-bit words may stand for narrow floats, as in .npy files: the kernel's declaration
decides. Packed f4e2m1 has half the elements along the last dimension.
"""
import ctypes as c
import sys

from . import _lib

_TORCH = {
    "torch.bool": "i1", "torch.int8": "i8", "torch.int16": "i16", "torch.int32": "i32",
    "torch.int64": "i64", "torch.uint8": "u8", "torch.uint16": "u16", "torch.uint32": "u32",
    "torch.uint64": "u64", "torch.float64": "f64", "torch.float32": "f32", "torch.float16": "f16",
    "torch.bfloat16": "bf16", "torch.float8_e4m3fn": "f8e4m3", "torch.float8_e5m2": "f8e5m2",
    "torch.float8_e8m0fnu": "ue8m0", "torch.float4_e2m1fn_x2": "f4e2m1",
}
_NUMPY = {"b1": "i1", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "u8", "u2": "u16",
          "u4": "u32", "u8": "u64", "f2": "f16", "f4": "f32", "f8": "f64"}
_CONTAINERS = {"f8e4m3": "u8", "f8e5m2": "u8", "ue8m0": "u8", "f4e2m1": "u8", "bf16": "u16"}
_DL_CPU, _DL_CUDA = 1, 2


class View:
    """An array as libtile sees it. `device`: a CUDA ordinal, or None for host memory."""

    __slots__ = ("data", "shape", "stride", "dtype", "device", "owner", "writable")

    def __init__(self, data, shape, stride, dtype, device, owner, writable=True):
        self.data, self.shape, self.stride = data, tuple(shape), tuple(stride)
        self.dtype, self.device, self.owner, self.writable = dtype, device, owner, writable


def _dense(shape):
    stride, step = [], 1
    for extent in reversed(shape):
        stride.append(step)
        step *= extent
    return tuple(reversed(stride))


def _interface_view(array, interface, device):
    typestr, shape = interface["typestr"], interface["shape"]
    size = int(typestr[2:])
    strides = interface.get("strides")
    if strides is None:
        stride = _dense(shape)
    else:
        if any(step % size for step in strides):
            raise TypeError("strides that are no multiples of the element's size")
        stride = tuple(step // size for step in strides)
    return View(interface["data"][0], shape, stride, _NUMPY.get(typestr[1:]), device, array,
                not interface["data"][1])


def _dlpack_view(array):
    capsule = array.__dlpack__()
    get = c.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = c.c_void_p, [c.py_object, c.c_char_p]
    tensor = _lib.Tensor()
    _lib.check(_lib.lib.tile_from_dlpack(get(capsule, b"dltensor"), c.byref(tensor)))
    shape = tensor.shape[:tensor.ndim]
    stride = tensor.stride[:tensor.ndim] if tensor.stride else _dense(shape)
    kind, index = array.__dlpack_device__()
    if kind not in (_DL_CPU, _DL_CUDA):
        raise TypeError("neither host nor CUDA memory: DLPack device type %d" % kind)
    return View(tensor.data, shape, stride, _lib.DTYPES[tensor.dtype - 1],
                index if kind == _DL_CUDA else None, (array, capsule))


def _any_view(array):
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return View(array.data_ptr(), array.shape, array.stride(), _TORCH.get(str(array.dtype)),
                    array.get_device() if array.is_cuda else None, array)
    if hasattr(array, "__cuda_array_interface__"):
        ordinal = getattr(getattr(array, "device", None), "id", 0)
        return _interface_view(array, array.__cuda_array_interface__, ordinal)
    if hasattr(array, "__array_interface__"):
        return _interface_view(array, array.__array_interface__, None)
    if hasattr(array, "__dlpack__"):
        return _dlpack_view(array)
    raise TypeError("%s is no array" % type(array).__name__)


def view(array, name, wanted):
    """`array` as a View whose element type is `wanted` wherever its container may hold that."""
    try:
        found = _any_view(array)
    except TypeError as error:
        raise TypeError("'%s': %s" % (name, error)) from None
    if found.dtype == "i8" and wanted == "f4e2m1":
        found.dtype = "u8"
    if found.dtype != wanted and _CONTAINERS.get(wanted) == found.dtype:
        found.dtype = wanted
        if wanted == "f4e2m1":
            _unpack(found)
    elif found.dtype == "f4e2m1" and found.dtype == wanted:
        _unpack(found)
    if found.dtype is None:
        raise TypeError("'%s': libtile has no element type for %r" % (name, array.dtype))
    return found


def _unpack(found):  # two elements to a byte, along the last dimension
    if found.stride and found.stride[-1] != 1:
        raise TypeError("packed f4e2m1 must be dense along its last dimension")
    found.shape = found.shape[:-1] + (2 * found.shape[-1],)
    found.stride = tuple(2 * step for step in found.stride[:-1]) + (1,)
