"""Kernels and plans. The call of a kernel is generated for its parameters: see _CALL."""
import ctypes as c
import keyword
import struct
import sys

from . import _arrays, _device, _exchange, _lib

_ALIGN = 16        # bytes; plans depend on whether every address is a multiple
_MOST_PLANS = 4096  # of one kernel; beyond that all are made anew


class Param:
    __slots__ = ("name", "is_tensor", "is_out", "dtype", "ndim")

    def __init__(self, found):
        self.name, self.dtype = found.name.decode(), _lib.DTYPES[found.dtype - 1]
        self.is_tensor, self.is_out, self.ndim = bool(found.is_tensor), bool(found.is_out), found.ndim

    def __repr__(self):
        return "%s%s %s%s" % ("out " if self.is_out else "", self.dtype, self.name,
                              "[%d dims]" % self.ndim if self.is_tensor else "")


class Plan:
    """A prepared launch: variant chosen, arguments checked. `info` says what was chosen."""

    def __init__(self, kernel, device, views, scalars, variant=None):
        self.kernel, self.device = kernel, device
        args = (_lib.Arg * len(kernel.params))()
        for arg, param, found, scalar in zip(args, kernel.params, views, scalars):
            _fill(arg, param, found, scalar)
        opts = _lib.PlanOpts(c.sizeof(_lib.PlanOpts), variant.encode() if variant else None)
        self.handle = _lib.out(_lib.lib.tile_plan_create, kernel.handle, device.handle, args,
                               len(args), c.byref(opts))

    @property
    def info(self):
        found = _lib.Info(size=c.sizeof(_lib.Info))
        _lib.check(_lib.lib.tile_plan_info(self.handle, c.byref(found)))
        values = {name: getattr(found, name) for name, _ in found._fields_ if name != "size"}
        values["grid"] = tuple(values["grid"])
        return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}

    def run(self, addresses, stream=None):
        """Launches on the addresses of the tensor parameters, in order."""
        packed = struct.pack("%dQ" % len(addresses), *addresses)
        _lib.check(_lib.run_plan(self.handle, packed, None, 0, raw_stream(stream)))

    def __del__(self):
        if getattr(self, "handle", None) and _lib is not None:
            _lib.lib.tile_plan_destroy(self.handle)


def _fill(arg, param, found, scalar):
    if param.is_tensor:
        arg.kind = 0
        n = len(found.shape)
        # ctypes keeps the arrays alive for as long as the Arg
        arg.tensor = _lib.Tensor(found.data, (c.c_int64 * n)(*found.shape),
                                 (c.c_int64 * n)(*found.stride), n, _lib.DTYPE_NUMBER[found.dtype])
    elif param.dtype.startswith(("i", "u")) and param.dtype != "ue8m0":
        arg.kind, arg.i = 1, int(scalar)
    else:
        arg.kind, arg.f = 2, float(scalar)


def raw_stream(stream):
    return getattr(stream, "cuda_stream", stream)


def _current_stream(ordinal):
    """torch's current stream; the short way there, where this torch has it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    short = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    return short(ordinal) if short else torch.cuda.current_stream(ordinal).cuda_stream


# The call of one kernel, for its parameters. torch's tensors are read in C, through DLPack's exchange
# table, where this torch has one. Otherwise the key of a dictionary is all that a plan depends on but
# the addresses, and `packed` holds those. Anything else ends in the general path.
_CALL = """
def __call__(self, %(names)s, *, stream=None, device=None):
    if %(exchange)s and device is None:
        status = launch(how, (%(names)s,), None if stream is None else by_ref(stream))
        if status:
            self._not_exchanged(status, (%(names)s,), stream)
        return
    try:
        key = (%(key)s,)
        found = plans.get(key)
        packed = pack(%(addresses)s)
    except (AttributeError, TypeError):
        return self._general((%(names)s,), stream, device)
    if found is None or device is not None:
        return self._first(key, (%(names)s,), stream, device)
    plan, ordinal, _ = found
    status = run(plan, packed, None, 0, current(ordinal) if stream is None else raw(stream))
    if status:
        self._refused(status, key, (%(names)s,), stream)
"""
_RESERVED = set("self stream device status how launch by_ref Tensor key found plans packed pack plan ordinal "
                "run current raw _".split())


def _by_ref(stream):
    return c.byref(c.c_void_p(raw_stream(stream)))


def _make_call(kernel):
    params, torch = kernel.params, sys.modules.get("torch")
    kernel._how = _exchange.objects_of(torch, kernel.handle)
    names = [p.name + "_" if keyword.iskeyword(p.name) or p.name in _RESERVED else p.name for p in params]
    tensors = [n for n, p in zip(names, params) if p.is_tensor]
    parts = ["%s.shape, %s.stride(), %s.dtype, %s.get_device()" % ((n,) * 4) if p.is_tensor else n
             for n, p in zip(names, params)]
    source = _CALL % {
        "names": ", ".join(names), "key": ", ".join(parts),
        "addresses": ", ".join(n + ".data_ptr()" for n in tensors),
        "exchange": " and ".join("%s.__class__ is Tensor" % n for n in tensors) if kernel._how and tensors
                    else "False"}
    short = getattr(getattr(torch, "_C", None), "_cuda_getCurrentRawStream", None)
    space = {"plans": kernel._plans, "pack": struct.Struct("%dQ" % len(tensors)).pack, "run": _lib.run_plan,
             "raw": raw_stream, "current": short or _current_stream,
             "Tensor": getattr(torch, "Tensor", None), "launch": _lib.launch_objects, "by_ref": _by_ref,
             "how": c.addressof(kernel._how) if kernel._how else None}
    exec(source, space)  # as collections.namedtuple does
    return space["__call__"]


class Kernel:
    """Callable with its arguments in the order of the declaration, or by name.

    kernel(*args, stream=None, device=None): CUDA tensors run on their device, on `stream` (a raw
    handle or anything with .cuda_stream; default: torch's current one). Host arrays need `device`
    and are copied there and back. Made by Module[name].
    """

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.handle = _lib.out(_lib.lib.tile_kernel_get, module.handle, name.encode())
        self.params = []
        for index in range(_lib.lib.tile_kernel_param_count(self.handle)):
            found = _lib.ParamInfo()
            _lib.check(_lib.lib.tile_kernel_param(self.handle, index, c.byref(found)))
            self.params.append(Param(found))
        self._plans, self._unaligned = {}, {}
        self._knows_torch = False
        self._specialise()

    def _specialise(self):
        """A class of its own: Python looks for __call__ there, and a call costs no detour."""
        self._knows_torch = "torch" in sys.modules
        self.__class__ = type("Kernel", (Kernel,), {"__call__": _make_call(self)})

    def _not_exchanged(self, status, args, stream):
        """The call through the exchange table failed: a device to open, or an error to tell."""
        tensors = [a for a, p in zip(args, self.params) if p.is_tensor]
        if _lib.lib.tile_status_name(status) != b"no_device":
            _lib.fail(status)
        if not all(t.is_cuda for t in tensors):
            return self._general(args, stream, None)
        if not _exchange.open_device(tensors[0].get_device()):
            _lib.fail(status)
        return self(*args, stream=stream)

    def plan(self, *args, device=None, variant=None):
        """A plan for these arguments; `variant` forces one by name."""
        views, scalars = self._views(args)
        return Plan(self, self._device_of(views, device), views, scalars, variant)

    def variants_for(self, device, **ranges):
        """The variants that calls with these dims can select on a device, with how many shapes select
        each: kernel.variants_for("cuda:0", M=range(1, 8193), N=4096, K=7168). Nothing is loaded."""
        device, found = _device.open(device), (_lib.Cover * 4096)()
        count = c.c_int()
        _lib.check(_lib.lib.tile_kernel_variants_for(
            self.handle, device.arch.encode(), device.name.encode(), device.sms, _ranges(ranges), len(ranges),
            found, len(found), c.byref(count)))
        return {row.variant.decode(): {"aligned": row.aligned, "unaligned": row.unaligned,
                                       "by_record": row.by_record} for row in found[:count.value]}

    def warm_up(self, device, **ranges):
        """Loads now what such calls will need; without ranges, every variant."""
        _lib.check(_lib.lib.tile_warmup(self.handle, _device.open(device).handle,
                                        _ranges(ranges) if ranges else None, len(ranges)))

    def _general(self, args, stream, device):
        views, scalars = self._views(args)
        where = self._device_of(views, device)
        if any(found is not None and found.device is None for found in views):
            _run_on_copies(self, where, views, scalars)
            return
        plan = Plan(self, where, views, scalars)
        plan.run([found.data for found in views if found is not None],
                 _current_stream(int(where.key[5:])) if stream is None else stream)

    def _first(self, key, args, stream, device):
        """The first call with these shapes, strides and types makes the plan that later ones find."""
        if not self._knows_torch and "torch" in sys.modules:
            self._specialise()
        tensors = [a for a, p in zip(args, self.params) if p.is_tensor]
        if device is not None or not all(t.is_cuda for t in tensors):
            self._general(args, stream, device)
            return
        addresses = [t.data_ptr() for t in tensors]
        plans = self._unaligned if any(a % _ALIGN for a in addresses) else self._plans
        found = plans.get(key)
        if found is None:
            if len(plans) >= _MOST_PLANS:
                plans.clear()
            plan = self.plan(*args)
            plans[key] = found = (plan.handle, int(plan.device.key[5:]), plan)
        found[2].run(addresses, _current_stream(found[1]) if stream is None else stream)

    def _refused(self, status, key, args, stream):
        """An address that the plan's variant cannot take: another plan serves such calls."""
        tensors = [a for a, p in zip(args, self.params) if p.is_tensor]
        if any(t.data_ptr() % _ALIGN for t in tensors):
            self._first(key, args, stream, None)
        else:
            _lib.fail(status)

    def _views(self, args):
        if len(args) != len(self.params):
            raise TypeError("%s takes %d arguments (%s), %d were given" %
                            (self.name, len(self.params), ", ".join(p.name for p in self.params),
                             len(args)))
        views = [_arrays.view(arg, p.name, p.dtype) if p.is_tensor else None
                 for arg, p in zip(args, self.params)]
        return views, [None if p.is_tensor else arg for arg, p in zip(args, self.params)]

    def _device_of(self, views, device):
        if device is not None:
            return _device.open(device)
        ordinals = {found.device for found in views if found is not None}
        if len(ordinals) > 1:
            raise ValueError("%s: the arguments are on different devices: %s" %
                             (self.name, ", ".join("the host" if o is None else "cuda:%d" % o
                                                   for o in sorted(ordinals, key=str))))
        if ordinals == {None}:
            raise ValueError("%s: host arrays need device=\"sim:ARCH\" or \"cuda:N\"" % self.name)
        return _device.open("cuda:%d" % (ordinals.pop() if ordinals else 0))

    def __repr__(self):
        return "tile.Kernel(%s(%s))" % (self.name, ", ".join(map(repr, self.params)))


def _ranges(ranges):
    """{"M": range(1, 8193), "N": 4096}: every value of a range, or the one."""
    rows = [(name, values if isinstance(values, range) else range(values, values + 1))
            for name, values in ranges.items()]
    return (_lib.Range * len(rows))(*[_lib.Range(name.encode(), values[0], values[-1], values.step)
                                      for name, values in rows])


class _Copy:
    """A host array's bytes on a device, from its lowest address to its highest."""

    def __init__(self, device, found, param):
        if found.device is not None:
            raise ValueError("'%s' is on cuda:%d and others are on the host" % (param.name, found.device))
        if any(step < 0 for step in found.stride):
            raise ValueError("'%s' has a negative stride" % param.name)
        self.device, self.host, self.param = device, found, param
        last = sum((extent - 1) * step for extent, step in zip(found.shape, found.stride))
        self.bytes = 0 if 0 in found.shape else ((last + 1) * _lib.BITS[found.dtype] + 7) // 8
        address = _lib.out(_lib.lib.tile_buffer_create, device.handle, self.bytes, param.name.encode())
        self.view = _arrays.View(address, found.shape, found.stride, found.dtype, None, None)
        _lib.check(_lib.lib.tile_buffer_write(device.handle, address, found.data, self.bytes))

    def bring_back(self):
        if not self.host.writable:
            raise ValueError("'%s' is an output and its array is read-only" % self.param.name)
        _lib.check(_lib.lib.tile_buffer_read(self.device.handle, self.view.data, self.host.data,
                                             self.bytes))

    def free(self):
        _lib.lib.tile_buffer_destroy(self.device.handle, self.view.data)


def _run_on_copies(kernel, device, views, scalars):
    copies = []
    try:
        for found, param in zip(views, kernel.params):
            copies.append(_Copy(device, found, param) if found is not None else None)
        plan = Plan(kernel, device, [copy and copy.view for copy in copies], scalars)
        plan.run([copy.view.data for copy in copies if copy])
        for copy in copies:
            if copy and copy.param.is_out:
                copy.bring_back()
    finally:
        for copy in copies:
            if copy:
                copy.free()
