"""libtile.so through ctypes: one declaration per function of runtime/tile.h that is used here."""
import ctypes as c
import os

ABI = 1

# tile_dtype, in order from 1
DTYPES = ("i1 i4 i8 i16 i32 i64 u8 u16 u32 u64 f64 f32 tf32 f16 bf16 "
          "f8e4m3 f8e5m2 f6e2m3 f6e3m2 f4e2m1 ue8m0").split()
BITS = dict(zip(DTYPES, (8, 4, 8, 16, 32, 64, 8, 16, 32, 64, 64, 32, 32, 16, 16, 8, 8, 8, 8, 4, 8)))
DTYPE_NUMBER = {name: number for number, name in enumerate(DTYPES, 1)}


class Error(RuntimeError):
    """A call of libtile failed; `status` is tile_status_name of it."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("shape", c.POINTER(c.c_int64)),
                ("stride", c.POINTER(c.c_int64)), ("ndim", c.c_int32), ("dtype", c.c_int32)]


class Arg(c.Structure):
    _fields_ = [("kind", c.c_int), ("tensor", Tensor), ("i", c.c_int64), ("f", c.c_double)]


class ParamInfo(c.Structure):
    _fields_ = [("name", c.c_char_p), ("is_tensor", c.c_int), ("is_out", c.c_int),
                ("dtype", c.c_int32), ("ndim", c.c_int32)]


class PlanOpts(c.Structure):
    _fields_ = [("size", c.c_uint32), ("variant", c.c_char_p)]


class Info(c.Structure):
    _fields_ = [("size", c.c_uint32), ("variant", c.c_char_p), ("arch", c.c_char_p),
                ("grid", c.c_uint32 * 3), ("threads", c.c_uint32), ("smem_bytes", c.c_uint32),
                ("regs", c.c_int), ("spill_bytes", c.c_int), ("ctas_per_sm", c.c_int),
                ("align", c.c_int), ("tma_descriptors", c.c_int), ("chosen_by", c.c_char_p),
                ("sum_bits", c.c_int)]


class Range(c.Structure):
    _fields_ = [("name", c.c_char_p), ("first", c.c_int64), ("last", c.c_int64), ("step", c.c_int64)]


class Cover(c.Structure):
    _fields_ = [("variant", c.c_char_p), ("aligned", c.c_int64), ("unaligned", c.c_int64),
                ("by_record", c.c_int64)]


class Counters(c.Structure):
    _fields_ = [("size", c.c_uint32), ("compiles", c.c_uint64), ("jit_compiles", c.c_uint64),
                ("loads", c.c_uint64), ("plans", c.c_uint64)]


class Objects(c.Structure):
    _fields_ = [("kernel", c.c_void_p), ("api", c.c_void_p), ("get", c.c_void_p), ("as_int", c.c_void_p),
                ("as_float", c.c_void_p), ("devices", c.POINTER(c.c_void_p)), ("ndevices", c.c_int)]


VOID = c.c_void_p
OUT = c.POINTER(c.c_void_p)
_FUNCTIONS = {  # name: (result, arguments)
    "tile_status_name": (c.c_char_p, [c.c_int]),
    "tile_last_error": (c.c_char_p, []),
    "tile_ctx_create": (c.c_int, [c.c_uint32, OUT]),
    "tile_device_open": (c.c_int, [VOID, c.c_char_p, OUT]),
    "tile_device_arch": (c.c_char_p, [VOID]),
    "tile_device_name": (c.c_char_p, [VOID]),
    "tile_device_sms": (c.c_int, [VOID]),
    "tile_device_sync": (c.c_int, [VOID]),
    "tile_buffer_create": (c.c_int, [VOID, c.c_size_t, c.c_char_p, OUT]),
    "tile_buffer_destroy": (c.c_int, [VOID, VOID]),
    "tile_buffer_write": (c.c_int, [VOID, VOID, VOID, c.c_size_t]),
    "tile_buffer_read": (c.c_int, [VOID, VOID, VOID, c.c_size_t]),
    "tile_module_load_file": (c.c_int, [VOID, c.c_char_p, OUT]),
    "tile_module_compile": (c.c_int, [VOID, c.c_char_p, c.c_char_p, c.c_size_t,
                                      c.POINTER(c.c_char_p), c.c_int, OUT]),
    "tile_module_kernel_count": (c.c_int, [VOID]),
    "tile_module_kernel_name": (c.c_char_p, [VOID, c.c_int]),
    "tile_kernel_get": (c.c_int, [VOID, c.c_char_p, OUT]),
    "tile_kernel_param_count": (c.c_int, [VOID]),
    "tile_kernel_param": (c.c_int, [VOID, c.c_int, c.POINTER(ParamInfo)]),
    "tile_plan_create": (c.c_int, [VOID, VOID, c.POINTER(Arg), c.c_int, c.POINTER(PlanOpts), OUT]),
    "tile_plan_destroy": (None, [VOID]),
    "tile_plan_info": (c.c_int, [VOID, c.POINTER(Info)]),
    "tile_plan_bench": (c.c_int, [VOID, VOID, c.c_int, c.POINTER(c.c_double), c.POINTER(c.c_double)]),
    "tile_plan_workspace": (c.c_size_t, [VOID]),
    "tile_kernel_variants_for": (c.c_int, [VOID, c.c_char_p, c.c_char_p, c.c_int, c.POINTER(Range), c.c_int,
                                           c.POINTER(Cover), c.c_int, c.POINTER(c.c_int)]),
    "tile_warmup": (c.c_int, [VOID, VOID, c.POINTER(Range), c.c_int]),
    "tile_from_dlpack": (c.c_int, [VOID, c.POINTER(Tensor)]),
    "tile_counters_read": (c.c_int, [c.POINTER(Counters)]),
}


def _find():
    here = os.path.dirname(os.path.abspath(__file__))
    places = [os.environ.get("TILE_LIBRARY"), os.path.join(here, "libtile.so"),
              os.path.join(here, "../../../build/lib/libtile.so")]
    for path in filter(None, places):
        if os.path.exists(path):
            return path
    return "libtile.so.0"  # the system's


_path = _find()
lib = c.CDLL(_path)
for _name, (_result, _args) in _FUNCTIONS.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _args

# The hot calls keep the interpreter's lock: releasing it costs more than the launch saves.
_held = c.PyDLL(_path)
run_plan = _held.tile_plan_run
run_plan.restype, run_plan.argtypes = c.c_int, [VOID, c.c_char_p, VOID, c.c_size_t, VOID]
launch_objects = _held.tile_launch_objects
launch_objects.restype = c.c_int
launch_objects.argtypes = [VOID, c.py_object, VOID]


def fail(status):
    raise Error(lib.tile_status_name(status).decode(), lib.tile_last_error().decode())


def check(status):
    if status:
        fail(status)


def out(function, *args):
    """Calls a function whose last argument is an out-pointer and returns what it put there."""
    value = c.c_void_p()
    check(function(*args, c.byref(value)))
    return value.value


context = out(lib.tile_ctx_create, ABI)  # one for the process, as CUDA's primary context is
