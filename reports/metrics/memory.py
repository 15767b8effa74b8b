"""Peak memory of the board and of its process."""

from functools import partial

from splitwatt.reports.load.model import Entry
from splitwatt.reports.load.values import Value, exact
from splitwatt.reports.metrics.metric import Block, Chart, Metric

_GB = 1e9
HOW = "Peak memory: of the board's process, the highest of its blocks; 1 GB = 10^9 bytes."


def peak_memory_gb(entry: Entry, field: str = "process_peak_bytes") -> Value:
    """The highest peak of the blocks, in GB (10^9 bytes)."""
    peaks = _peaks(entry, field)
    why = "no memory was recorded for it"
    if field == "board_peak_bytes" and entry.run.same_machine:
        why = "the server ran on the same machine: the board's own memory is not known"
    return exact(max(peaks) / _GB if peaks else None, "measured", why=why, n=len(peaks))


def _peaks(entry: Entry, field: str) -> list[float]:
    """Of each block the largest: a block may have several processes."""
    peaks: dict[str, float] = {}
    for record in entry.run.memory:
        peak = getattr(record, field)
        if (record.config, record.backend) == (entry.id, entry.backend) and peak is not None:
            peaks[record.block] = max(float(peak), peaks.get(record.block, 0.0))
    return list(peaks.values())


def _blocks(entry: Entry) -> list[Block]:
    return [[("", peak)] for peak in _peaks(entry, "process_peak_bytes")]


_CHART = Chart(
    "memory",
    "Peak memory (Table S1)",
    "Peak memory of the board's process, the highest of its blocks; 1 GB = 10^9 bytes.",
    "Peak memory [GB]",
    {"": peak_memory_gb},
)
_BOARD = partial(peak_memory_gb, field="board_peak_bytes")
_GPU = partial(peak_memory_gb, field="gpu_process_peak_bytes")
METRICS = (
    Metric(
        "peak_memory_gb", "Peak memory", "GB", peak_memory_gb, 30, ("summary", "costs", "compare"),
        note=HOW, blocks=_blocks, word="Memory", stated="memory", charts=(_CHART,),
    ),
    Metric("board_peak_memory_gb", "Board peak memory", "GB", _BOARD, 31, ("costs",)),
    Metric("gpu_peak_memory_gb", "GPU peak memory", "GB", _GPU, 32, ("costs",), quiet=True),
)  # fmt: skip
