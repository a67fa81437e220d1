"""Devices by name."""
from . import _lib


class Device:
    """ "cuda:0", "sim:sm_90a". Devices live as long as the process."""

    def __init__(self, name):
        self.key = name
        self.handle = _lib.out(_lib.lib.tile_device_open, _lib.context, name.encode())
        self.arch = _lib.lib.tile_device_arch(self.handle).decode()
        self.name = _lib.lib.tile_device_name(self.handle).decode()
        self.sms = _lib.lib.tile_device_sms(self.handle)

    def synchronize(self):
        _lib.check(_lib.lib.tile_device_sync(self.handle))

    def __repr__(self):
        return "tile.Device(%r: %s, %s)" % (self.key, self.name, self.arch)


_opened = {}


def open(name):
    if isinstance(name, Device):
        return name
    if name not in _opened:
        _opened[name] = Device(name)
    return _opened[name]
