"""Joules per image of a run's blocks: each block's power trace, integrated over its inferences.

`energy` integrates; here it is settled which window of which trace stands for how many images, and
when there is no figure: then a sentence says why.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from device_configs.errors import SensorError
from energy.per_image import block_energy, waiting
from energy.traces import read_trace
from profiler.sample import IDLE, INFERENCES, Sample, Window


class RailJoules(NamedTuple):
    """Joules per image of one rail, or of the rails that make the board's total.

    Attributes:
        rail: its label; of a total of several rails their labels with `+` between.
        total: whether it is (a summand of) the board's total, as the target's data tells.
        joules_per_image: gross; None where it is refused.
        net_joules_per_image: less what the idle board would have used; None without idle power.
        interval: the 95 % interval of `joules_per_image`, or None.
        idle_watts: mean power of the block's idle windows, or None.
        why_not: why there are no joules, or None.
    """

    rail: str
    total: bool
    joules_per_image: Optional[float]
    net_joules_per_image: Optional[float]
    interval: Optional[Tuple[float, float]]
    idle_watts: Optional[float]
    why_not: Optional[str]


class BlockEnergy(NamedTuple):
    """The energy of one block's inferences (of each session that ran a part of them).

    Attributes:
        config, backend, block: as in its samples.
        inferences: the images that the joules are divided by.
        provenance: "measured", "generated" (a made-up load) or "replayed"; None without a trace.
        total: the board's; None where there is none.
        rails: each rail's, total and parts; empty where there is none.
        why_not: why there is none; None where there is.
    """

    config: str
    backend: str
    block: str
    inferences: int
    provenance: Optional[str]
    total: Optional[RailJoules]
    rails: List[RailJoules]
    why_not: Optional[str]


def block_energies(
    samples: Sequence[Sample], windows: Sequence[Window], power: Dict[str, str], why_none: str
) -> List[BlockEnergy]:
    """The energy of each window of inferences.

    Args:
        samples: every line of samples.jsonl but for warm-ups.
        windows: of the run.
        power: block -> path of its trace; a resumed block's further ones are BLOCK~2, ...
        why_none: why a block without a trace has none.
    """
    found = []
    for window in windows:
        if window.name == INFERENCES:
            inside = [s for s in samples if s.block == window.block and _in(s, window)]
            idle = [w for w in windows if (w.name, w.block) == (IDLE, window.block)]
            found.append(_of_window(window, inside, idle, _traces(power, window.block), why_none))
    whole = {energy.block for energy in found}
    cut_off = {s.block: s for s in samples if s.block not in whole}
    why = "the block was cut off before its window ended"
    for sample in cut_off.values():
        found.append(_none(sample, 0, why if _traces(power, sample.block) else why_none))
    return found


def waiting_joules(idle_watts: Optional[float], seconds: float) -> Optional[float]:
    """Joules of waiting so long for a simulated link: idle power x time, estimated, in no other
    figure; None without the board's idle power.
    """
    return waiting(idle_watts, seconds)["joules"]  # type: ignore[no-any-return]


def _in(sample: Sample, window: Window) -> bool:
    return window.start_s <= sample.started_monotonic_s <= window.end_s


def _traces(power: Dict[str, str], block: str) -> List[str]:
    return [path for name, path in power.items() if name.split("~")[0] == block]


def _of_window(
    window: Window,
    samples: Sequence[Sample],
    idle: Sequence[Window],
    traces: Sequence[str],
    why_none: str,
) -> BlockEnergy:
    good = sum(1 for sample in samples if sample.ok)
    # A damaged image fails at once; what else fails has used energy of which nobody knows how much.
    failed = [sample for sample in samples if not sample.ok and sample.failed_by != "image"]
    if not traces:
        return _none(window, good, why_none)
    if failed:
        return _none(window, good, "%d of its %d inferences failed" % (len(failed), len(samples)))
    if not good:
        return _none(window, good, "no inference gave an answer")
    try:
        path = _covering(traces, window)
        found = block_energy(
            path, window.start_s, window.end_s, good, [(w.start_s, w.end_s) for w in idle]
        )
    except SensorError as error:
        return _none(window, good, error.message)
    if found["provenance"] is None:
        return _none(window, good, "%s does not say which sensor was read" % path)
    return _from_figures(window, good, found)


def _from_figures(window: Window, inferences: int, found: Dict[str, Any]) -> BlockEnergy:
    total = found["total"]
    labels = total["rails"] if total else []
    rails = [_rail(label, label in labels, row) for label, row in found["rails"].items()]
    own = _rail("+".join(labels), True, total) if total else None
    why = own.why_not if own else "the target does not tell which rails make the board's total"
    return BlockEnergy(
        window.config, window.backend, window.block, inferences, found["provenance"],
        own, rails, why,
    )  # fmt: skip


def _rail(label: str, total: bool, figures: Dict[str, Any]) -> RailJoules:
    interval = figures["interval_joules_per_image"]
    return RailJoules(
        label,
        total,
        figures["joules_per_image"],
        figures["net_joules_per_image"],
        (interval[0], interval[1]) if interval else None,
        figures["idle_watts"],
        figures["refused"],
    )


def _covering(traces: Sequence[str], window: Window) -> str:
    """The trace that the window lies in: of a block that was resumed, one a session."""
    if len(traces) == 1:
        return traces[0]

    def overlap_s(path: str) -> float:
        times = read_trace(path).times
        if not times:
            return 0.0
        return min(window.end_s, times[-1]) - max(window.start_s, times[0])

    return max(traces, key=overlap_s)


def _none(of: Any, inferences: int, why: str) -> BlockEnergy:
    return BlockEnergy(of.config, of.backend, of.block, inferences, None, None, [], why)
