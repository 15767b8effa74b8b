"""A GPU's memory and the start of its context. Memory is read through NVIDIA's driver library, or on a
Jetson, where CPU and GPU share one memory, as its kernel's nvmap counts it; elsewhere it is None.
"""

import contextlib
import ctypes
import time
from typing import List, NamedTuple, Optional

from splitwatt.device_configs.input.small_files import table_bytes
from splitwatt.device_configs.nvml import LIBRARY, Nvml, NvmlError

_CUDA_BACKENDS = ("cuda", "ort-tensorrt", "tensorrt")


class Used(NamedTuple):
    """GPU memory in use, bytes: of the whole board, background included, and of one process; None
    where it is not known.
    """

    board: Optional[int]
    process: Optional[int]


class GpuMemory:
    """Reads GPU memory.

    Args:
        meminfo: /proc/meminfo, whose line NvMapMemUsed a Jetson's kernel adds.
        library: NVIDIA's driver library.

    Attributes:
        source: where the figures come from; None without figures.
    """

    def __init__(self, meminfo: str = "/proc/meminfo", library: str = LIBRARY) -> None:
        self.source: Optional[str] = None
        self._meminfo = meminfo
        self._nvml: Optional[Nvml] = None
        with contextlib.suppress(NvmlError):
            self._nvml = Nvml(library)
        if self._nvml is not None and self.read(None).board is not None:
            self.source = "NVML"
        else:
            self.close()
            if self.read(None).board is not None:
                self.source = "NvMapMemUsed of %s" % meminfo

    def read(self, process: Optional[int]) -> Used:
        """What is in use now, by the whole board and by the process of that id.

        The process's is None where the driver does not list it or its memory, as in a container, which
        has its own process ids, and on a Jetson.
        """
        nvml = self._nvml
        if nvml is None:
            return Used(table_bytes(self._meminfo).get("NvMapMemUsed"), None)
        devices = [device for device in nvml.devices if device is not None]
        own: List[Optional[int]] = [None]
        if process is not None:
            own = [nvml.process_bytes(device, process) for device in devices]
        of_process = None if None in own else _sum(own) or None
        return Used(_sum([nvml.used_bytes(device) for device in devices]), of_process)

    def close(self) -> None:
        """Close the library."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None


def cuda_init_s(backend: str, library: str = "libcuda.so.1") -> Optional[float]:
    """Make the first GPU's primary context, before anything else, so that its time is measured
    separately; seconds. onnxruntime and PyCUDA then use it as well.

    Returns:
        None for a backend without a GPU, and where the driver is missing or refuses: opening the
        engines then reports why.
    """
    if backend not in _CUDA_BACKENDS:
        return None
    start = time.perf_counter()
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    device, context = ctypes.c_int(0), ctypes.c_void_p()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None
    if cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return None
    return time.perf_counter() - start


def _sum(values: List[Optional[int]]) -> Optional[int]:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
