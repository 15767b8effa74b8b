"""What a configuration costs besides time: operations, memory, bytes on board and link."""
# board: no

from collections.abc import Callable
from typing import Any

from splitwatt.reports.load.model import Entry, Sample
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.load.words import unique
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.energy import board_energy

KIB = 1024
MIB = 1024 * 1024
GB = 1e9


def local_gmac(entry: Entry) -> Value:
    """Giga multiply-accumulates on the board for one image, counted from the exported graphs.

    Entropic Student runs its encoder three times, at three sizes: all three count.
    """
    absent = _no_bundle(entry)
    if absent:
        return missing(absent)
    stated = [part.get("gmac") for part in _board_parts(entry)]
    gmac = [float(value) for value in stated if value is not None]
    if not gmac or len(gmac) < len(stated):
        return missing("the bundle does not state its operations")
    return exact(sum(gmac), "estimated")


def gmac_sizes(entry: Entry) -> str:
    """The input sizes at which its operations were counted, height x width: `320x416`."""
    shapes = [
        shape for part in _board_parts(entry) for shape in (part.get("gmac_at") or {}).values()
    ]
    return ", ".join(unique(f"{s[-2]}x{s[-1]}" for s in shapes if len(s) == 4))


def encoder_mib(entry: Entry, which: str) -> Value:
    """Encoder and entropy model, each shared encoder once: `fp32_params` or `deployed`, in MiB."""
    if not entry.split:
        return missing("local computing has no encoder")
    absent = _no_bundle(entry)
    if absent:
        return missing(absent)
    sizes: dict[str, int] = {}
    for bundle in entry.bundles:
        size = bundle.get("encoder_size_bytes")
        if size is None or size.get(which) is None:
            return missing("the bundle does not state its encoder's size")
        shared = "+".join(str(part["sha256"]) for part in bundle["parts"] if _on_board(part))
        sizes[shared] = size[which]
    return exact(sum(sizes.values()) / MIB, "estimated" if which == "fp32_params" else "measured")


def board_files_mib(entry: Entry) -> Value:
    """The graphs that the board must hold, a file that models share counted once, in MiB."""
    absent = _no_bundle(entry)
    if absent:
        return missing(absent)
    files = {part["sha256"]: part["bytes"] for part in _board_parts(entry)}
    return exact(sum(files.values()) / MIB, "measured")


def peak_memory_gb(entry: Entry, field: str = "process_peak_bytes") -> Value:
    """The highest of the blocks' peaks, in GB (10^9 bytes)."""
    peaks = [
        getattr(record, field)
        for record in entry.run.memory
        if (record.config, record.backend) == (entry.id, entry.backend)
        and getattr(record, field) is not None
    ]
    why = "no memory was recorded for it"
    if field == "board_peak_bytes" and entry.run.same_machine:
        why = "the server ran on the same machine: the board's own memory cannot be told apart"
    return exact(max(peaks, default=None) and max(peaks) / GB, "measured", why=why, n=len(peaks))


def energy_j(entry: Entry) -> Value:
    """Joules of the board for one image, gross; its waiting for a simulated link is not in it."""
    return board_energy(entry).gross


def net_energy_j(entry: Entry) -> Value:
    """The same, less what the idle board would have used in that time."""
    return board_energy(entry).net


def payload_kib(entry: Entry) -> Value:
    """The bitstreams of one image, in KiB: the median over samples."""
    return _bytes(entry, lambda sample: sample.payload_bytes)


def payload_mean_kib(entry: Entry) -> Value:
    """The mean of the same, which is what the papers state."""
    sizes = _sizes(entry, lambda sample: sample.payload_bytes)
    if not sizes:
        return payload_kib(entry)
    return exact(sum(sizes) / len(sizes), *_byte_sources(entry), n=len(sizes))


def wire_up_kib(entry: Entry) -> Value:
    """The bytes that went up for one image, headers and framing included, in KiB."""
    return _bytes(entry, lambda sample: sample.wire_up_bytes)


def wire_down_kib(entry: Entry) -> Value:
    """The bytes of the answers to one image, headers and framing included, in KiB."""
    return _bytes(entry, lambda sample: sample.wire_down_bytes)


def legacy_pickled_kib(entry: Entry) -> Value:
    """What sc2bench's analyser would state: the pickled object's size, in KiB."""
    return _bytes(entry, _legacy)


def published_payload_kib(entry: Entry) -> Value:
    """The published or estimated size that the link is charged with, in KiB, where there is one."""
    if not entry.split:
        return missing("local computing sends nothing")
    stated = [sample.published_payload_bytes for sample in entry.samples]
    sizes = {size for size in stated if size is not None}
    if len(sizes) != 1 or entry.charged is None:
        return missing("the run does not charge a published size")
    return exact(sizes.pop() / KIB, entry.charged, *("assumed",) * entry.assumed)


def _legacy(sample: Sample) -> int | None:
    sizes = [request.legacy_pickled_bytes for request in sample.requests]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _bytes(entry: Entry, size: Callable[[Sample], int | None]) -> Value:
    if not entry.split:
        return missing("local computing sends nothing")
    if not entry.samples:
        return missing(entry.why_no_sample)
    return stats.median(_sizes(entry, size), *_byte_sources(entry), why="not recorded")


def _sizes(entry: Entry, size: Callable[[Sample], int | None]) -> list[float]:
    found = (size(sample) for sample in entry.samples)
    return [value / KIB for value in found if value is not None]


def _byte_sources(entry: Entry) -> tuple[str, ...]:
    return "measured", *entry.doubts


def _on_board(part: dict[str, Any]) -> bool:
    return bool(part["placement"] == "board")


def _board_parts(entry: Entry) -> list[dict[str, Any]]:
    return [part for bundle in entry.bundles for part in bundle["parts"] if _on_board(part)]


def _no_bundle(entry: Entry) -> str:
    """Why the bundles cannot say it; empty where all of them are recorded."""
    absent = set(entry.models) - set(entry.run.bundles)
    return f"the run does not describe {', '.join(sorted(absent))}" if absent else ""
