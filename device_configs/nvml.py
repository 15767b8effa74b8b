"""NVIDIA's driver library (NVML), called with ctypes, for power, memory and clocks."""

import ctypes
from typing import Any, List, Optional

LIBRARY = "libnvidia-ml.so.1"
_OK = 0
_NOT_AVAILABLE = 2**64 - 1
_MOST_PROCESSES = 256
_GRAPHICS, _ON_CHIP = 0, 0
_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT

Device = ctypes.c_void_p


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class _Process(ctypes.Structure):
    """A row of nvmlDeviceGetComputeRunningProcesses_v2 and _v3."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class _FieldValue(ctypes.Structure):
    _fields_ = [
        ("field", ctypes.c_uint),
        ("scope", ctypes.c_uint),
        ("timestamp", ctypes.c_longlong),
        ("latency_us", ctypes.c_longlong),
        ("kind", ctypes.c_uint),
        ("status", ctypes.c_uint),
        ("value", ctypes.c_uint * 2),
    ]


class NvmlError(Exception):
    """The library is missing or did not start, as the message says."""


class Nvml(object):
    """The started library. A reading is None if the driver or the GPU does not provide it.

    Args:
        library: the library's file.

    Attributes:
        devices: a handle per GPU, None for one that cannot be opened.

    Raises:
        NvmlError: the library is missing or did not start.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError:
            raise NvmlError("%s is missing: there is no NVIDIA driver" % library)
        status = self._library.nvmlInit_v2()
        if status != _OK:
            raise NvmlError("NVML did not start: its error %d" % status)
        count = ctypes.c_uint(0)
        self._library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        self.devices: List[Optional[Device]] = []
        for index in range(count.value):
            device = Device()
            opened = self._library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
            self.devices.append(device if opened == _OK else None)

    def _ask(self, name: str, into: Any, *arguments: Any) -> Any:
        """Call a function that fills `into`; `into`, or None where it is missing or fails."""
        call = getattr(self._library, name, None)
        return into if call is not None and call(*arguments, ctypes.byref(into)) == _OK else None

    def energy_j(self, device: Device) -> Optional[float]:
        """The GPU's energy counter, J (Volta and newer)."""
        value = self._ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong(0), device)
        return None if value is None else value.value / 1e3

    def instant_power_w(self, device: Device) -> Optional[float]:
        """The present power, W, which newer drivers report for every GPU."""
        value = _FieldValue(field=_POWER_INSTANT)
        call = getattr(self._library, "nvmlDeviceGetFieldValues", None)
        if call is None or call(device, 1, ctypes.byref(value)) != _OK or value.status != _OK:
            return None
        return float(value.value[0]) / 1e3

    def power_w(self, device: Device) -> Optional[float]:
        """The power, W; on many GPUs (Ampere and newer) the mean over the last second."""
        value = self._ask("nvmlDeviceGetPowerUsage", ctypes.c_uint(0), device)
        return None if value is None else value.value / 1e3

    def used_bytes(self, device: Device) -> Optional[int]:
        """Memory in use on a GPU, bytes."""
        info = self._ask("nvmlDeviceGetMemoryInfo", _Memory(), device)
        return None if info is None else int(info.used)

    def process_bytes(self, device: Device, process: int) -> Optional[int]:
        """Memory of a process on a GPU, bytes; 0 if it uses none there. None if the driver does not
        list processes, or not this one's memory.
        """
        for name in ("_v3", "_v2"):
            call = getattr(self._library, "nvmlDeviceGetComputeRunningProcesses" + name, None)
            if call is not None:
                break
        else:
            return None
        rows, count = (_Process * _MOST_PROCESSES)(), ctypes.c_uint(_MOST_PROCESSES)
        if call(device, ctypes.byref(count), rows) != _OK:
            return None
        used = [int(row.used) for row in rows[: count.value] if row.pid == process]
        return None if _NOT_AVAILABLE in used else sum(used)

    def throttle_reasons(self, device: Device) -> Optional[int]:
        """The reasons why the GPU's clock is lowered now, as NVML's bits."""
        name = "nvmlDeviceGetCurrentClocksThrottleReasons"
        value = self._ask(name, ctypes.c_ulonglong(0), device)
        return None if value is None else int(value.value)

    def clock_hz(self, device: Device) -> Optional[float]:
        """The clock of the GPU's cores, Hz."""
        value = self._ask("nvmlDeviceGetClockInfo", ctypes.c_uint(0), device, _GRAPHICS)
        return None if value is None else value.value * 1e6

    def temperature_c(self, device: Device) -> Optional[float]:
        """The GPU's temperature, degrees Celsius."""
        value = self._ask("nvmlDeviceGetTemperature", ctypes.c_uint(0), device, _ON_CHIP)
        return None if value is None else float(value.value)

    def close(self) -> None:
        """Shut the library down."""
        self._library.nvmlShutdown()
