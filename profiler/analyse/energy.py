"""Joules of a run: of each block for one image, and of single stages that were repeated alone.

`energy` integrates. This module decides which interval of which power trace belongs to how many
images, and says in a sentence why there is no figure.

A sensor is too slow for a stage of some milliseconds. So a stage is repeated alone, for ten seconds
or more, and the joules of that interval are divided by the repetitions. The stages are

    SLOT.preprocess, SLOT.encoder, SLOT.encode    on the board, as in a sample (local models: model,
                                                  postprocess)
    SLOT.transmit    the request goes to the server and an answer of the same size comes back,
                     without any work there
    SLOT.server      the server works and the board waits: for the board what waiting costs, for the
                     server's rails what the work costs
"""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy.joules.confidence import LEAST_REPETITIONS, bootstrap_mean
from splitwatt.energy.joules.per_image import LEAST_BLOCK_S, block_energy
from splitwatt.energy.joules.windows import readings_of, total_joules, trace_energy
from splitwatt.energy.trace.files import Trace, metadata_path, read_trace
from splitwatt.profiler.config.config import SPLIT
from splitwatt.profiler.records.blocks import IDLE, INFERENCES, StageBlock, Window
from splitwatt.profiler.records.fields import field, record
from splitwatt.profiler.records.run import Run
from splitwatt.profiler.records.sample import OK, Sample, same_session
from splitwatt.profiler.records.samples import Samples
from splitwatt.profiler.records.traces import trace_facts, traces_of

TRANSMIT = "transmit"
SERVER = "server"
NO_TOTAL = "the target does not say which rails make the board's total"
_Interval = Tuple[float, float]


@record("the energy of a rail")
class RailJoules(NamedTuple):
    """Joules per image of one rail, or of the rails that make a machine's total."""

    rail: str = field("its label; of a total of several rails their labels with + between")
    total: bool = field("whether it is a part of the total, by the target's data")
    joules_per_image: Optional[float] = field("gross, over the block's inferences")
    net_joules_per_image: Optional[float] = field("the same less idle power x time")
    interval: Optional[Tuple[float, float]] = field("95 % interval of joules_per_image")
    idle_watts: Optional[float] = field("mean power of the block's idle windows")
    why_not: Optional[str] = field("why there are no joules")
    pieces: Tuple[float, ...] = field("joules per image of equal pieces of the block", ())
    excluded: Optional[Dict[str, int]] = field(
        "readings that were left out: failed, negative, absurd, clock", None
    )


@record("the energy of a block or a stage")
class BlockEnergy(NamedTuple):
    """The energy of one block's inferences, of each session that ran a part of them, or of one
    stage that was repeated alone.
    """

    config: str = field("the configuration, such as LC1")
    backend: str = field("the backend that ran the board's parts")
    block: str = field("the block: one process, one configuration, one backend")
    inferences: int = field("the images, or repetitions of a stage, that the joules are divided by")
    provenance: Optional[str] = field(
        "what was read: measured, generated (an artificial load) or replayed; null without a trace"
    )
    total: Optional[RailJoules] = field("the machine's; null where the target names no total")
    rails: List[RailJoules] = field("each rail's")
    why_not: Optional[str] = field("why there are no joules")
    events: Optional[Dict[str, int]] = field(
        "what the sampler noted, and how often: suspended, blocked, ...", None
    )
    stage: Optional[str] = field("SLOT.STAGE that was repeated alone; null of a block", None)
    server: bool = field("whether the rails are the server's, not the board's", False)


def energy_of(run: Run) -> List[BlockEnergy]:
    """The energy of each block of a run, or why it has none; integrates the traces."""
    return _block_energies(run, False)


def server_energy_of(run: Run) -> List[BlockEnergy]:
    """The same of the server's own rails, for the images of split configurations."""
    split = {row.id for row in run.config.configurations if row.kind == SPLIT}
    return [energy for energy in _block_energies(run, True) if energy.config in split]


def stage_energy_of(run: Run, least_s: float = LEAST_BLOCK_S) -> List[BlockEnergy]:
    """The energy of each stage that was repeated alone, or why it has none.

    The stage `server` has a second entry, of the server's rails, where the server sampled them.

    Args:
        run: with repeated stages, or without.
        least_s: a stage that was repeated for less has no joules.
    """
    return [energy for stage in run.stages for energy in _of_stage(run, stage, least_s)]


def joules_between(
    run: Run, block: str, start_s: float, ends_s: Sequence[float]
) -> List[Optional[float]]:
    """Joules of the board from a moment to each of `ends_s`, on its monotonic clock, by a block's
    first trace; None without traces.

    Raises:
        SensorError: the trace cannot be read.
    """
    traces = _traces(run, block, False)
    if not traces:
        return [None] * len(ends_s)
    trace = read_trace(traces[0])
    readings = readings_of(trace)
    return [
        total_joules(trace.total, trace_energy(trace, start_s, end_s, readings)) for end_s in ends_s
    ]


def power_trace(path: str) -> Optional[Trace]:
    """A trace of a run; None where it cannot be read."""
    try:
        return read_trace(path)
    except SensorError:
        return None


def pooled_interval(rails: Sequence[RailJoules]) -> Optional[_Interval]:
    """The 95 % interval of the mean of several blocks' joules per image; None with too few.

    Computed over the blocks if there are at least five, so that differences between blocks count;
    else over the pieces of all blocks.
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
    offsets = [float(row["offset_s"]) for row in trace.metadata.get("clock") or []]
    return sum(offsets) / len(offsets) if offsets else 0.0


def _block_energies(run: Run, server: bool) -> List[BlockEnergy]:
    # Every attempt counts here: one that failed and ran again used energy too.
    samples = run.attempts.where(lambda sample: not sample.warmup).by(lambda sample: sample.block)
    whole = [window for window in run.windows if window.name == INFERENCES]
    none = run.attempts[:0]
    rows = [_of_window(run, w, samples.get(w.block, none), server) for w in whole]
    for block, own in samples.items():
        if block not in [window.block for window in whole]:
            why = "the block was cut off before its window ended"
            traces = _traces(run, block, server)
            rows.append(_none(own[-1], 0, why if traces else _why_none(run, server), server))
    return [row for row in rows if row.block not in run.replaced]


def _of_window(run: Run, window: Window, samples: Samples, server: bool) -> BlockEnergy:
    inside = samples[samples.each(lambda sample: _in(sample, window)) > 0]
    good = len(inside.where(lambda sample: sample.ok))
    # A damaged image fails at once; another failure has used an unknown amount of energy.
    failed = inside.where(lambda sample: not sample.settled)
    why = "no inference gave an answer"
    if failed:
        why = "%d of its %d inferences failed" % (len(failed), len(inside))
    empty = _none(window, good, why, server)
    if (failed or not good) and _traces(run, window.block, server):
        return empty
    return _integrated(run, window, empty, window.start_s, window.end_s)


def _of_stage(run: Run, stage: StageBlock, least_s: float) -> List[BlockEnergy]:
    empty = _none(stage, stage.repetitions or 0, stage.reason or "it was not repeated", False)
    empty = empty._replace(stage=stage.stage)
    start, end = stage.start_s, stage.end_s
    if stage.status != OK or not stage.repetitions or start is None or end is None:
        return [empty]
    if end - start < least_s:
        why = "%s was repeated for %.3g s, and %g s are needed"
        return [empty._replace(why_not=why % (stage.stage, end - start, least_s))]
    ends = [empty]
    if stage.stage.endswith("." + SERVER) and _traces(run, stage.block, True):
        ends.append(empty._replace(server=True))
    return [_integrated(run, stage, energy, start, end) for energy in ends]


def _integrated(run: Run, of: Any, empty: BlockEnergy, start_s: float, end_s: float) -> BlockEnergy:
    """`empty` with the joules per image of an interval on the board's clock, or why it has none.

    Args:
        of: the window or stage, for its block and session.
        empty: without joules; its `inferences` are what the joules are divided by.
    """
    traces = _traces(run, of.block, empty.server)
    if not traces:
        return empty._replace(why_not=_why_none(run, empty.server))
    try:
        path = _trace_of(traces, of, start_s, end_s)
        offset = clock_offset_s(read_trace(path))
        idle = [
            (w.start_s + offset, w.end_s + offset)
            for w in run.windows
            if (w.name, w.block) == (IDLE, of.block) and same_session(w.session, of.session)
        ]
        figures = block_energy(path, start_s + offset, end_s + offset, empty.inferences, idle)
    except SensorError as error:
        return empty._replace(why_not=error.message)
    if figures["provenance"] is None:
        return empty._replace(why_not="%s does not say which sensor was read" % path)
    labels = figures["total"]["rails"] if figures["total"] else []
    total = _rail("+".join(labels), True, figures["total"]) if labels else None
    return empty._replace(
        provenance=figures["provenance"],
        total=total,
        rails=[_rail(label, label in labels, row) for label, row in figures["rails"].items()],
        why_not=total.why_not if total else NO_TOTAL,
        events=figures["events"],
    )


def _trace_of(traces: Sequence[str], of: Any, start_s: float, end_s: float) -> str:
    """The one of a block's traces that covers an interval of a window or stage: there is one per
    session.

    Raises:
        SensorError: no trace belongs to the same session.
    """
    # A trace that was killed does not say its session, nor do those of earlier versions.
    about = {path: metadata_path(path) for path in traces}
    sessions = {p: trace_facts(a).session if os.path.lexists(a) else None for p, a in about.items()}
    same = [p for p in traces if of.session is not None and sessions[p] == of.session]
    same = same or [path for path in traces if same_session(sessions[path], of.session)]
    if not same:
        raise SensorError("no trace belongs to the session in which it ran")

    def overlap_s(path: str) -> float:
        trace = read_trace(path)
        if not trace.times:
            return 0.0
        offset = clock_offset_s(trace)
        return min(end_s, trace.times[-1] - offset) - max(start_s, trace.times[0] - offset)

    return max(same, key=overlap_s) if len(same) > 1 else same[0]


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


def _traces(run: Run, block: str, server: bool) -> List[str]:
    return [] if run.same_machine else traces_of(run.power, block, server)


def _why_none(run: Run, server: bool) -> str:
    if run.same_machine:
        return "the server ran on the same machine: the board's joules cannot be separated"
    why_not = (run.document.get("power") or {}).get("server_why_not" if server else "why_not")
    return "; ".join(why_not or []) or "no power sensor was recorded"


def _in(sample: Sample, window: Window) -> bool:
    """Whether it began in a window; of a sample of columns an array."""
    start_s = sample.started_monotonic_s
    inside = (window.start_s <= start_s) & (start_s <= window.end_s)
    return inside & same_session(sample.session, window.session)


def _none(of: Any, inferences: int, why: str, server: bool) -> BlockEnergy:
    own = (of.config, of.backend, of.block, inferences)
    return BlockEnergy(*own, None, None, [], why, server=server)
