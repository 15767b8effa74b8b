"""Joules per image of a run's blocks: each block's power trace, integrated over its inferences.

`energy` integrates; here it is settled which window of which trace stands for how many images, and
when there is no figure: then a sentence says why.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.profiler.analyse.traced import RailJoules, joules, traces_of
from splitwatt.profiler.records.sample import IDLE, INFERENCES, Sample, Window, same_session

NO_TOTAL = "the target does not tell which rails make the board's total"


class BlockEnergy(NamedTuple):
    """The energy of one block's inferences (of each session that ran a part of them).

    Attributes:
        config, backend, block: as in its samples.
        inferences: the images that the joules are divided by.
        provenance: "measured", "generated" (a made-up load) or "replayed"; None without a trace.
        total: the board's; None where there is none.
        rails: each rail's, total and parts; empty where there is none.
        why_not: why there is none; None where there is.
        events: what the sampler noted, and how often: suspended, wall clock stepped, blocked, ...
    """

    config: str
    backend: str
    block: str
    inferences: int
    provenance: Optional[str]
    total: Optional[RailJoules]
    rails: List[RailJoules]
    why_not: Optional[str]
    events: Optional[Dict[str, int]] = None


def block_energies(
    samples: Sequence[Sample],
    windows: Sequence[Window],
    power: Dict[str, str],
    why_none: str,
    server: bool = False,
) -> List[BlockEnergy]:
    """The energy of each window of inferences.

    Args:
        samples: every line of samples.jsonl but for warm-ups.
        windows: of the run.
        power: name -> path of a trace (see `splitwatt.profiler.analyse.traced.traces_of`).
        why_none: why a block without a trace has none.
        server: the server's own joules for the same images instead of the board's.
    """
    found = []
    for window in windows:
        if window.name == INFERENCES:
            inside = [s for s in samples if s.block == window.block and _in(s, window)]
            idle = idle_of(windows, window.block, window.session)
            traces = traces_of(power, window.block, server)
            found.append(_of_window(window, inside, idle, traces, why_none))
    whole = {energy.block for energy in found}
    cut_off = {s.block: s for s in samples if s.block not in whole}
    why = "the block was cut off before its window ended"
    for sample in cut_off.values():
        traces = traces_of(power, sample.block, server)
        found.append(_none(sample, 0, why if traces else why_none))
    return found


def idle_of(
    windows: Sequence[Window], block: str, session: Optional[int]
) -> List[Tuple[float, float]]:
    """The intervals of a block in which nothing ran in a session of the run."""
    own = [w for w in windows if (w.name, w.block) == (IDLE, block)]
    return [(w.start_s, w.end_s) for w in own if same_session(w.session, session)]


def waiting_joules(idle_watts: Optional[float], seconds: float) -> Optional[float]:
    """Joules of waiting so long for a simulated link: idle power x time, estimated, in no other
    figure; None without the board's idle power.
    """
    return None if idle_watts is None else idle_watts * seconds


def _in(sample: Sample, window: Window) -> bool:
    inside = window.start_s <= sample.started_monotonic_s <= window.end_s
    return inside and same_session(sample.session, window.session)


def _of_window(
    window: Window,
    samples: Sequence[Sample],
    idle: Sequence[Tuple[float, float]],
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
        found = joules(traces, window.start_s, window.end_s, good, idle, window.session)
    except SensorError as error:
        return _none(window, good, error.message)
    why = found.total.why_not if found.total else NO_TOTAL
    return BlockEnergy(
        window.config, window.backend, window.block, good, found.provenance,
        found.total, found.rails, why, found.events,
    )  # fmt: skip


def _none(of: Any, inferences: int, why: str) -> BlockEnergy:
    return BlockEnergy(of.config, of.backend, of.block, inferences, None, None, [], why)
