"""A discrete NVIDIA GPU's clock, temperature and reasons to be slow, through the driver's library."""

import ctypes
from typing import Callable, List, NamedTuple, Optional

LIBRARY = "libnvidia-ml.so.1"
_OK = 0
_GRAPHICS, _ON_CHIP = 0, 0
# Of nvmlDeviceGetCurrentClocksThrottleReasons: thermal slowdown by software and by hardware; power
# brake, and hardware slowdown for either. Caps that a user sets, and idling, are none.
_HEAT, _HARDWARE = 0x20 | 0x40, 0x08 | 0x80


class Source(NamedTuple):
    """Something of a GPU that can be read: its name, whether a number above 0 means that the GPU is
    slowed down, and how it is read (None: not now).
    """

    name: str
    sign: bool
    read: Callable[[], Optional[float]]


class NvmlProbe:
    """What the driver tells of its GPUs; nothing where there is no driver.

    Attributes:
        sources: what answered when it was first read.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        self.sources: List[Source] = []
        self._nvml: Optional[ctypes.CDLL] = None
        try:
            nvml = ctypes.CDLL(library)
        except OSError:
            return
        if nvml.nvmlInit_v2() != _OK:
            return
        self._nvml = nvml
        count = ctypes.c_uint(0)
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        for index in range(count.value):
            device = ctypes.c_void_p()
            if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == _OK:
                self.sources += [s for s in self._of(index, device) if s.read() is not None]

    def _of(self, index: int, device: ctypes.c_void_p) -> List[Source]:
        return [
            Source("gpu%d slowed down by heat" % index, True, lambda: self._why(device, _HEAT)),
            Source("gpu%d slowed down by hardware" % index, True,
                   lambda: self._why(device, _HARDWARE)),
            Source("gpu%d_hz" % index, False, lambda: self._clock(device)),
            Source("gpu%d_c" % index, False, lambda: self._temperature(device)),
        ]  # fmt: skip

    def _why(self, device: ctypes.c_void_p, mask: int) -> Optional[float]:
        value = ctypes.c_ulonglong(0)
        call = getattr(self._nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
        if call is None or call(device, ctypes.byref(value)) != _OK:
            return None
        return float(value.value & mask)

    def _clock(self, device: ctypes.c_void_p) -> Optional[float]:
        value = ctypes.c_uint(0)
        call = getattr(self._nvml, "nvmlDeviceGetClockInfo", None)
        if call is None or call(device, _GRAPHICS, ctypes.byref(value)) != _OK:
            return None
        return value.value * 1e6

    def _temperature(self, device: ctypes.c_void_p) -> Optional[float]:
        value = ctypes.c_uint(0)
        call = getattr(self._nvml, "nvmlDeviceGetTemperature", None)
        if call is None or call(device, _ON_CHIP, ctypes.byref(value)) != _OK:
            return None
        return float(value.value)

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml = None
