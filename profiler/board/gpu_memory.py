"""Memory that a GPU uses: through NVIDIA's driver library, or on a Jetson, where CPU and GPU share
one memory, through what its kernel says of nvmap. Nothing is guessed: elsewhere there is none.
"""

import ctypes
import os
import re
from typing import List, NamedTuple, Optional

_LIBRARY = "libnvidia-ml.so.1"
_OK = 0
_NOT_AVAILABLE = 2**64 - 1
_MOST_PROCESSES = 256
# A table of nvmap's clients; which of them there is depends on the kernel, and both are for root.
_NVMAP = ("kernel/debug/nvmap/iovmm/maps", "kernel/debug/nvmap/iovmm/clients")
# A client: its kind, the process's name and id, kilobytes.
_CLIENT = re.compile(r"^\S+\s+.+?\s+(\d+)\s+(\d+)K\s*$")


class Used(NamedTuple):
    """GPU memory in use, bytes: of the whole board, background included, and of one process; None
    where it is not told.
    """

    board: Optional[int]
    process: Optional[int]


class GpuMemory:
    """Reads GPU memory.

    Args:
        meminfo: /proc/meminfo, whose line NvMapMemUsed a Jetson's kernel adds.
        sysfs: the tree that stands for /sys.
        library: NVIDIA's driver library.

    Attributes:
        source: where the figures come from; None where there are none.
    """

    def __init__(
        self, meminfo: str = "/proc/meminfo", sysfs: str = "/sys", library: str = _LIBRARY
    ) -> None:
        self.source: Optional[str] = None
        self._meminfo = meminfo
        self._tables = [os.path.join(sysfs, name) for name in _NVMAP]
        self._nvml = _Nvml.open(library)
        if self._nvml is not None:
            self.source = "NVML"
        elif nvmap_used_bytes(meminfo) is not None:
            self.source = "NvMapMemUsed of %s" % meminfo
            table = next((path for path in self._tables if os.access(path, os.R_OK)), None)
            self.source += "; process: %s" % table if table else ""

    def read(self, process: Optional[int]) -> Used:
        """What is in use now, by the whole board and by the process of that id."""
        if self._nvml is not None:
            return Used(self._nvml.board(), self._nvml.process(process))
        board = nvmap_used_bytes(self._meminfo)
        if board is None:
            return Used(None, None)
        return Used(board, _of_client(self._tables, process))

    def close(self) -> None:
        """Let go of the driver."""
        if self._nvml is not None:
            self._nvml.close()


def nvmap_used_bytes(meminfo: str = "/proc/meminfo") -> Optional[int]:
    """Bytes that nvmap has given to the GPU and its kin; None on what is no Jetson."""
    try:
        with open(meminfo, encoding="ascii", errors="replace") as stream:
            for line in stream:
                words = line.split()
                if len(words) == 3 and words[0] == "NvMapMemUsed:" and words[2] == "kB":
                    return int(words[1]) * 1024
    except (OSError, ValueError):
        return None
    return None


def _of_client(tables: List[str], process: Optional[int]) -> Optional[int]:
    """A process's bytes in nvmap's table of clients; None where it is in none."""
    for path in tables:
        try:
            with open(path, encoding="ascii", errors="replace") as stream:
                rows = [_CLIENT.match(line) for line in stream]
            sizes = [int(row.group(2)) for row in rows if row and row.group(1) == str(process)]
            if sizes:
                return 1024 * sum(sizes)
        except (OSError, ValueError):
            continue
    return None


class _MemoryInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class _ProcessInfo(ctypes.Structure):
    """Of nvmlDeviceGetComputeRunningProcesses_v2 and _v3."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class _Nvml:
    """The few calls that this needs."""

    def __init__(self, library: ctypes.CDLL, devices: List[ctypes.c_void_p]) -> None:
        self._library = library
        self._devices = devices
        names = ("_v3", "_v2")
        calls = [getattr(library, "nvmlDeviceGetComputeRunningProcesses" + n, None) for n in names]
        self._processes = next((call for call in calls if call is not None), None)

    @classmethod
    def open(cls, name: str) -> "Optional[_Nvml]":
        """The library with its GPUs that tell their memory; None without any (as on a Jetson)."""
        try:
            library = ctypes.CDLL(name)
        except OSError:
            return None
        if library.nvmlInit_v2() != _OK:
            return None
        count = ctypes.c_uint(0)
        library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        devices = []
        for index in range(count.value):
            device = ctypes.c_void_p()
            if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == _OK:
                devices.append(device)
        found = cls(library, devices)
        if found.board() is None:
            found.close()
            return None
        return found

    def board(self) -> Optional[int]:
        """Bytes in use on all GPUs."""
        used = []
        for device in self._devices:
            info = _MemoryInfo()
            if self._library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(info)) == _OK:
                used.append(int(info.used))
        return sum(used) if used else None

    def process(self, process: Optional[int]) -> Optional[int]:
        """Bytes of a process on all GPUs; None where the driver does not tell, or does not list the
        process, as in a container, which has ids of its own.
        """
        if self._processes is None or process is None:
            return None
        used: Optional[int] = None
        for device in self._devices:
            rows = (_ProcessInfo * _MOST_PROCESSES)()
            count = ctypes.c_uint(_MOST_PROCESSES)
            if self._processes(device, ctypes.byref(count), rows) != _OK:
                return None
            for row in rows[: count.value]:
                if row.pid == process:
                    if row.used == _NOT_AVAILABLE:
                        return None
                    used = (used or 0) + int(row.used)
        return used

    def close(self) -> None:
        self._library.nvmlShutdown()
