"""An interval of a run, looked up in the power trace that covers it: the board's, or the server's on
the server's own clock.
"""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.joules.confidence import LEAST_REPETITIONS, bootstrap_mean
from splitwatt.energy.joules.per_image import block_energy
from splitwatt.energy.joules.windows import Window, shifted
from splitwatt.energy.trace.files import Trace, metadata_path, read_trace
from splitwatt.profiler.records.sample import same_session

# What follows a block's name in the name of its server's trace.
SERVER_SUFFIX = ".server"


class RailJoules(NamedTuple):
    """Joules per image of one rail, or of the rails that make a machine's total.

    Attributes:
        rail: its label; of a total of several rails their labels with `+` between.
        total: whether it is (a summand of) the total, as the target's data tells.
        joules_per_image: gross; None where it is refused.
        net_joules_per_image: less what the idle machine would have used; None without idle power.
        interval: the 95 % interval of `joules_per_image`, or None.
        idle_watts: mean power of the block's idle windows, or None.
        why_not: why there are no joules, or None.
        pieces: joules per image of equal pieces of the block; () of too few.
        excluded: readings of the trace that were left out: failed, negative, absurd, clock.
    """

    rail: str
    total: bool
    joules_per_image: Optional[float]
    net_joules_per_image: Optional[float]
    interval: Optional[Tuple[float, float]]
    idle_watts: Optional[float]
    why_not: Optional[str]
    pieces: Tuple[float, ...] = ()
    excluded: Optional[Dict[str, int]] = None


class Joules(NamedTuple):
    """What a trace tells of an interval: "measured", "generated" or "replayed"; the total (None
    where the target tells none), each rail, and how many events of each kind the sampler noted.
    """

    provenance: str
    total: Optional[RailJoules]
    rails: List[RailJoules]
    events: Dict[str, int]


def traces_of(power: Dict[str, str], block: str, server: bool = False) -> List[str]:
    """The paths of a block's traces, one a session that ran a part of it.

    Args:
        power: the run's traces by name: BLOCK, BLOCK~2, BLOCK.server, ...
        server: those of its server instead of the board's.
    """
    found = []
    for name, path in power.items():
        of_server = name.endswith(SERVER_SUFFIX)
        own = name[: -len(SERVER_SUFFIX)] if of_server else name
        if of_server == server and own.split("~")[0] == block:
            found.append(path)
    return found


def joules(
    traces: Sequence[str],
    start_s: float,
    end_s: float,
    images: int,
    idle: Sequence[Tuple[float, float]],
    session: Optional[int] = None,
) -> Joules:
    """Joules per image of an interval on the board's clock.

    Args:
        traces: of which one covers it.
        images: what the joules are divided by.
        idle: intervals in which nothing ran.
        session: of the run, whose traces are on the clock of these times; None where none is known.

    Raises:
        SensorError: there is no figure, and why.
    """
    sessions = {path: _session(path) for path in traces}
    named = [path for path in traces if session is not None and sessions[path] == session]
    named = named or [path for path in traces if same_session(sessions[path], session)]
    if not named:
        raise SensorError("no trace is of the session of the run in which it ran")
    path = _covering(named, start_s, end_s)
    offset = clock_offset_s(read_trace(path))
    own = shifted([Window("", a, b) for a, b in [(start_s, end_s), *idle]], offset)
    (begin, end), *rest = [(window.start_s, window.end_s) for window in own]
    found = block_energy(path, begin, end, images, rest)
    if found["provenance"] is None:
        raise SensorError("%s does not say which sensor was read" % path)
    total = found["total"]
    labels = total["rails"] if total else []
    return Joules(
        found["provenance"],
        _rail("+".join(labels), True, total) if total else None,
        [_rail(label, label in labels, row) for label, row in found["rails"].items()],
        found["events"],
    )


def pooled_interval(rails: Sequence[RailJoules]) -> Optional[Tuple[float, float]]:
    """The 95 % interval of the mean of several blocks' joules per image; None of too few.

    Over the blocks where there are five, which tells what differs between them; else over the
    pieces of all of them.
    """
    values = [rail.joules_per_image for rail in rails if rail.joules_per_image is not None]
    if len(rails) == 1 or not values:
        return rails[0].interval if rails else None
    many = values if len(values) >= LEAST_REPETITIONS else [p for r in rails for p in r.pieces]
    mean = bootstrap_mean(many)
    if mean is None or mean.interval is None:
        return None
    middle = sum(values) / len(values)
    low, high = mean.interval
    return middle + min(0.0, low - mean.mean), middle + max(0.0, high - mean.mean)


def clock_offset_s(trace: Trace) -> float:
    """The trace's clock less the board's: 0 for the board's own, the mean of what was measured
    before and after the block for a server's.
    """
    clocks = trace.metadata.get("clock") or []
    offsets = [float(row["offset_s"]) for row in clocks]
    return sum(offsets) / len(offsets) if offsets else 0.0


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
        tuple(figures["joules_per_image_of_pieces"]),
        figures["excluded"],
    )


def _session(trace: str) -> Optional[int]:
    """The session of the run that a trace is of; None of a killed one and of earlier versions."""
    try:
        with open(metadata_path(trace), encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return None
    return found.get("session") if isinstance(found, dict) else None


def _covering(traces: Sequence[str], start_s: float, end_s: float) -> str:
    """The trace that the interval lies in: of a block that was resumed, one a session."""
    if len(traces) == 1:
        return traces[0]

    def overlap_s(path: str) -> float:
        trace = read_trace(path)
        if not trace.times:
            return 0.0
        offset = clock_offset_s(trace)
        return min(end_s, trace.times[-1] - offset) - max(start_s, trace.times[0] - offset)

    return max(traces, key=overlap_s)
