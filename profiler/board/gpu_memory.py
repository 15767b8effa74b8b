"""Memory that a GPU uses: through NVIDIA's driver library, or on a Jetson, where CPU and GPU share
one memory, through its kernel's nvmap. Nothing is guessed: elsewhere it is None.
"""

import os
import re
from typing import List, NamedTuple, Optional

from splitwatt.device_configs.input.small_files import TABLE_BYTES, table_bytes, text_of
from splitwatt.device_configs.nvml import LIBRARY, Nvml, NvmlError

# A table of nvmap's clients; which of them there is depends on the kernel, and both are for root.
_NVMAP = ("kernel/debug/nvmap/iovmm/maps", "kernel/debug/nvmap/iovmm/clients")
# A client: its kind, the process's name and id, kilobytes.
_CLIENT = re.compile(r"^\S+\s+.+?\s+([0-9]{1,9})\s+([0-9]{1,15})K\s*$")


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
        sysfs: the folder to use instead of /sys.
        library: NVIDIA's driver library.

    Attributes:
        source: where the figures come from; None without figures.
    """

    def __init__(
        self, meminfo: str = "/proc/meminfo", sysfs: str = "/sys", library: str = LIBRARY
    ) -> None:
        self.source: Optional[str] = None
        self._meminfo = meminfo
        self._tables = [os.path.join(sysfs, name) for name in _NVMAP]
        self._nvml = _open(library)
        if self._nvml is not None:
            self.source = "NVML"
        elif nvmap_used_bytes(meminfo) is not None:
            self.source = "NvMapMemUsed of %s" % meminfo
            table = next((path for path in self._tables if os.access(path, os.R_OK)), None)
            self.source += "; process: %s" % table if table else ""

    def read(self, process: Optional[int]) -> Used:
        """What is in use now, by the whole board and by the process of that id."""
        if self._nvml is not None:
            return Used(_board(self._nvml), _process(self._nvml, process))
        board = nvmap_used_bytes(self._meminfo)
        if board is None:
            return Used(None, None)
        return Used(board, _of_client(self._tables, process))

    def close(self) -> None:
        """Close the library."""
        if self._nvml is not None:
            self._nvml.close()


def nvmap_used_bytes(meminfo: str = "/proc/meminfo") -> Optional[int]:
    """Bytes that nvmap has given to the GPU and its kin; None on a machine that is not a Jetson."""
    return table_bytes(meminfo).get("NvMapMemUsed")


def _of_client(tables: List[str], process: Optional[int]) -> Optional[int]:
    """A process's bytes in nvmap's table of clients; None where no table lists it."""
    for path in tables:
        rows = [_CLIENT.match(line) for line in (text_of(path, TABLE_BYTES) or "").splitlines()]
        sizes = [int(row.group(2)) for row in rows if row and row.group(1) == str(process)]
        if sizes:
            return 1024 * sum(sizes)
    return None


def _open(library: str) -> Optional[Nvml]:
    """NVML with GPUs that report their memory; None without any (as on a Jetson)."""
    try:
        nvml = Nvml(library)
    except NvmlError:
        return None
    if _board(nvml) is not None:
        return nvml
    nvml.close()
    return None


def _board(nvml: Nvml) -> Optional[int]:
    """Bytes in use on all GPUs."""
    return _sum([nvml.used_bytes(device) for device in nvml.devices if device is not None])


def _process(nvml: Nvml, process: Optional[int]) -> Optional[int]:
    """Bytes of a process on all GPUs; None where the driver does not list it or its memory, as in a
    container, which has its own process ids.
    """
    if process is None:
        return None
    used = [nvml.process_bytes(device, process) for device in nvml.devices if device is not None]
    return None if None in used else _sum(used) or None


def _sum(values: List[Optional[int]]) -> Optional[int]:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
