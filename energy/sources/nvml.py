"""NVIDIA GPUs through their driver's library (NVML), called directly: no Python package is needed.

Where the GPU has an energy counter (Volta and newer) that is read, else its power reading.
"""

import ctypes
from typing import List, Optional

from splitwatt.energy.rails import rail as rails

_LIBRARY = "libnvidia-ml.so.1"
_OK = 0


class Driver(rails.Driver):
    """Reads nvmlDeviceGetTotalEnergyConsumption (mJ) or nvmlDeviceGetPowerUsage (mW)."""

    name = "nvml"

    def __init__(self, context: rails.Context) -> None:
        library = context.options.get("nvml_library", _LIBRARY)
        if not context.is_this_machine and "nvml_library" not in context.options:
            raise rails.UnavailableError("%s is another machine's tree" % context.sysfs)
        try:
            self._nvml = ctypes.CDLL(library)
        except OSError:
            raise rails.UnavailableError("there is no %s: no NVIDIA driver" % library)
        status = self._nvml.nvmlInit_v2()
        if status != _OK:
            raise rails.UnavailableError("NVML did not start: its error %d" % status)
        self.rails = []
        self._devices: List[ctypes.c_void_p] = []
        for index in range(self._count()):
            self._add(context, index)
        if not self.rails:
            self.close()
            raise rails.UnavailableError("NVML knows no GPU that tells its power")

    def _count(self) -> int:
        count = ctypes.c_uint(0)
        status = self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        return count.value if status == _OK else 0

    def _add(self, context: rails.Context, index: int) -> None:
        device = ctypes.c_void_p()
        if self._nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) != _OK:
            return
        if self._energy(device) is not None:
            kind = rails.COUNTER
        elif self._power(device) is not None:
            kind = rails.INSTANT
        else:
            return
        self._devices.append(device)
        self.rails.append(context.rail("gpu%d" % index, self.name, "NVML device %d" % index, kind))

    def _energy(self, device: ctypes.c_void_p) -> Optional[float]:
        value = ctypes.c_ulonglong(0)
        status = self._nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(value))
        return value.value / 1e3 if status == _OK else None

    def _power(self, device: ctypes.c_void_p) -> Optional[float]:
        value = ctypes.c_uint(0)
        status = self._nvml.nvmlDeviceGetPowerUsage(device, ctypes.byref(value))
        return value.value / 1e3 if status == _OK else None

    def read(self) -> List[Optional[float]]:
        """One reading a rail (see `splitwatt.energy.rails.rail.Driver`)."""
        return [
            self._energy(device) if rail.kind == rails.COUNTER else self._power(device)
            for rail, device in zip(self.rails, self._devices)
        ]

    def close(self) -> None:
        """Let go of what was opened."""
        self._nvml.nvmlShutdown()
