"""Peak memory: of a process, of its GPU, and of the whole board with everything that runs on it."""

import threading
from typing import Any, List, Optional

from splitwatt.device_configs.input.small_files import table_bytes
from splitwatt.profiler.board.gpu import GpuMemory
from splitwatt.profiler.records.blocks import Block, Memory

PERIOD_S = 0.1
SOURCE_PROCESS = "VmHWM"
SOURCE_BOARD = "MemTotal - MemAvailable every %g s" % PERIOD_S


def process_peak_bytes(status: str = "/proc/self/status") -> Optional[int]:
    """The largest resident memory that a process has had (VmHWM); None where it is not known."""
    return table_bytes(status).get("VmHWM")


def board_used_bytes(meminfo: str = "/proc/meminfo") -> Optional[int]:
    """Memory in use on the whole board, MemTotal - MemAvailable; None where it is not known."""
    values = table_bytes(meminfo)
    total, available = values.get("MemTotal"), values.get("MemAvailable")
    return None if total is None or available is None else total - available


class BoardMeter:
    """Samples memory in a separate thread, in another process than the timed one.

    Attributes:
        peak_bytes: the board's largest figure so far; None where the kernel does not report it.
        process_peak_bytes: the watched process's, which has it even if it is killed.
        gpu_peak_bytes, gpu_process_peak_bytes: the same of the GPU's memory.
        source: where the GPU's figures come from; None without any.
    """

    def __init__(
        self,
        meminfo: str = "/proc/meminfo",
        period_s: float = PERIOD_S,
        gpu: Optional[GpuMemory] = None,
    ) -> None:
        self.peak_bytes: Optional[int] = None
        self.process_peak_bytes: Optional[int] = None
        self.gpu_peak_bytes: Optional[int] = None
        self.gpu_process_peak_bytes: Optional[int] = None
        self._gpu = GpuMemory(meminfo) if gpu is None else gpu
        self.source = self._gpu.source
        self._process: Optional[int] = None
        self._meminfo = meminfo
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def watch(self, process: int) -> None:
        """The id of the process whose own memory is to be sampled."""
        self._process = process

    def __enter__(self) -> "BoardMeter":
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stop.set()
        self._thread.join()
        self._gpu.close()

    def record(
        self, block: Block, alone: bool, process_peak_bytes: Optional[int], of: str = ""
    ) -> Memory:
        """The peaks during a block; those of the board only where no server shares its memory.

        Args:
            block: what ran.
            alone: whether the server is on another machine.
            process_peak_bytes: what the block's process says of itself; None: nothing.
            of: added to the source of that figure.
        """
        sources = [SOURCE_PROCESS + of] + ([SOURCE_BOARD] if alone else [])
        sources += ["GPU: %s" % self.source] if self.source else []
        return Memory(
            block.config,
            block.backend,
            block.id,
            larger(process_peak_bytes, self.process_peak_bytes),
            self.peak_bytes if alone else None,
            "; ".join(sources),
            self.gpu_process_peak_bytes,
            self.gpu_peak_bytes if alone else None,
        )

    def _watch(self) -> None:
        while not self._stop.wait(self._period_s):
            self._sample()

    def _sample(self) -> None:
        self.peak_bytes = larger(self.peak_bytes, board_used_bytes(self._meminfo))
        if self._process is not None:
            own = process_peak_bytes("/proc/%d/status" % self._process)
            self.process_peak_bytes = larger(self.process_peak_bytes, own)
        if self._gpu.source is not None:
            used = self._gpu.read(self._process)
            self.gpu_peak_bytes = larger(self.gpu_peak_bytes, used.board)
            self.gpu_process_peak_bytes = larger(self.gpu_process_peak_bytes, used.process)


def larger(*values: Optional[int]) -> Optional[int]:
    """The largest of the known values; None without any."""
    known: List[int] = [value for value in values if value is not None]
    return max(known) if known else None
