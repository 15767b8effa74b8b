"""Frames of deployed runs in the order of capture: what answered them, and how many in time."""

from dataclasses import dataclass

from splitwatt.profiler.analyse.energy import joules_between
from splitwatt.profiler.records.blocks import Chosen
from splitwatt.reports.load.model import Entry, Run, Series, board_of, runs_of
from splitwatt.reports.load.values import Value, exact, missing, unique
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.energy import energy_j
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Column, Row, Table, percent, whole

_ENERGY_POINTS = 60


@dataclass(frozen=True)
class Frame:
    """A frame: seconds from the first capture, its line in the timeline, the configuration that
    processed it, the one that was chosen for it, and whether it was answered (else it failed).
    """

    at_s: float
    row: Chosen
    entry: Entry
    chosen: Entry
    answered: bool

    def in_time(self, deadline_s: float | None) -> bool:
        """Was it answered before the deadline, in s? Without a deadline: was it answered?"""
        return self.answered and (deadline_s is None or self.row.latency_s <= deadline_s)


@dataclass(frozen=True)
class Timeline:
    """The frames of a run; `label` names the run among those of a report."""

    run: Run
    label: str
    frames: tuple[Frame, ...]

    @property
    def deadline_s(self) -> float | None:
        """From a capture to its answer, in s; None where the run had none."""
        deployed = self.run.document.get("deployed") or {}
        return deployed.get("deadline_s")  # type: ignore[no-any-return]

    @property
    def quality_of(self) -> str:
        """What the policy's quality is; empty where it does not say."""
        deployed = self.run.document.get("deployed") or {}
        return str(deployed.get("quality_of") or "")

    @property
    def entries(self) -> list[Entry]:
        """The configurations that processed a frame, in the order of the policy."""
        return self._in_order([f.entry for f in self.frames])

    @property
    def chosen(self) -> list[Entry]:
        """The same, and those that were chosen for a frame which another one then processed."""
        return self._in_order([e for f in self.frames for e in (f.entry, f.chosen)])

    def _in_order(self, entries: list[Entry]) -> list[Entry]:
        order = {c.id: i for i, c in enumerate(self.run.config.configurations)}
        once = {(e.id, e.backend): e for e in entries}
        return sorted(once.values(), key=lambda e: (order[e.id], e.backend))

    @property
    def dropped(self) -> int:
        """Frames that were dropped: at the end of the run, or before the last answer where the run
        was cut off.
        """
        counts = (self.run.document.get("deployed") or {}).get("counts") or {}
        ended = sum(int(count) for name, count in counts.items() if name.startswith("dropped"))
        return max([ended, *(f.row.dropped for f in self.frames)])

    @property
    def switches(self) -> int:
        """How often the chosen configuration differs from that of the frame before."""
        chosen = [f.row.chosen for f in self.frames]
        return sum(a != b for a, b in zip(chosen, chosen[1:], strict=False))


def timelines(series: list[Series]) -> list[Timeline]:
    """Of each run that has frames in its timeline."""
    names = [run.name for run in runs_of(series)]
    result = []
    for run in runs_of(series):
        own = {s.backend: s for s in series if s.run is run}
        samples = {
            (s.block, s.inference): (s.backend, s.ok) for s in (run.samples if run.timeline else ())
        }
        start_s = min((row.captured_monotonic_s for row in run.timeline), default=0.0)
        frames = []
        for row in sorted(run.timeline, key=lambda row: row.captured_monotonic_s):
            backend, ok = samples.get((row.block, row.inference), ("", False))
            entry = own[backend].entry(row.config) if backend else None
            if entry is None:  # `splitwatt check` reports it
                continue
            chosen = next((e for s in own.values() for e in s.entries if e.id == row.chosen), entry)
            at_s = row.captured_monotonic_s - start_s
            frames.append(Frame(at_s, row, entry, chosen, ok))
        if frames:
            label = run.id if names.count(run.name) > 1 else run.name
            result.append(Timeline(run, label, tuple(frames)))
    return result


def energy_so_far(timeline: Timeline) -> list[tuple[float, float]]:
    """(seconds from the first capture, joules of the board from then on); empty where the run's
    frames have no joules, as where configurations alternate.
    """
    first, last = timeline.frames[0], timeline.frames[-1]
    blocks = {f.row.block for f in timeline.frames}
    if len(blocks) > 1 or energy_j(first.entry).value is None:
        return []
    start_s = first.row.captured_monotonic_s
    step_s = (last.at_s + last.row.latency_s) / _ENERGY_POINTS
    at_s = [step_s * point for point in range(1, _ENERGY_POINTS + 1)]
    joules = joules_between(timeline.run, first.row.block, start_s, [start_s + s for s in at_s])
    return [(s, j) for s, j in zip(at_s, joules, strict=True) if j is not None]


def timeline_table(series: list[Series]) -> Table:
    """A row for each configuration that took frames, and one of all frames of a run."""
    columns = [
        *SERIES[:2],
        CONFIG,
        Column("frames", "Frames taken", text=whole),
        Column("answered", "Answered", text=whole),
        Column("in_time", "In time", text=whole),
        Column("in_time_percent", "In time", "%", text=percent),
        Column("latency_s", "Latency", "s", interval=True),
        Column("longest_s", "Longest", "s"),
        Column("hedged", "Local instead", text=whole, quiet=True),
        Column("quality", "Quality", quiet=True),
        Column("energy_j", "Energy per frame", "J", interval=True, quiet=True),
        Column("dropped", "Dropped", text=whole),
        Column("switches", "Switches", text=whole),
    ]
    rows: list[Row] = []
    shown = timelines(series)
    for timeline in shown:
        rows += [_row(timeline, entry) for entry in timeline.entries]
        rows.append(_row(timeline, None))
    under = [
        "Latency: from a frame's capture to its answer, the median of the answered frames; in "
        f"brackets the {stats.METHOD}. Frames follow each other on one link, so their latencies "
        "are not independent, and the interval is too narrow where the link changes. In time: of the "
        "frames taken, those answered before the deadline. Local instead: answered by the local model in place of a "
        "server that was late. Dropped: "
        "frames that no configuration took; switches: a frame for which another configuration was "
        "chosen than for the frame before it.",
        *unique(_deadline(timeline) for timeline in shown),
        *unique(
            f"Quality: {t.quality_of}, as the policy states it." for t in shown if t.quality_of
        ),
        *notes.untrained(series),
    ]
    return Table("timeline", "Frames of deployed runs", columns, rows, under)


def _deadline(timeline: Timeline) -> str:
    if timeline.deadline_s is None:
        return f"{timeline.label} had no deadline: every answer is in time."
    return f"The deadline of {timeline.label}: {timeline.deadline_s:g} s."


def _row(timeline: Timeline, entry: Entry | None) -> Row:
    frames = [f for f in timeline.frames if entry is None or f.entry is entry]
    answered = [f for f in frames if f.answered]
    timed = frames[0].entry.timed
    in_time = sum(f.in_time(timeline.deadline_s) for f in frames)
    times = [f.row.latency_s for f in answered]
    row: Row = {
        "run": timeline.label,
        "board": board_of(timeline.run),
        "config": entry.marked if entry else "all",
        "frames": exact(len(frames), "measured"),
        "answered": exact(len(answered), "measured"),
        "in_time": exact(in_time, "measured"),
        "in_time_percent": exact(100 * in_time / len(frames), *timed),
        "latency_s": stats.median(times, *timed, why="no frame was answered"),
        "longest_s": exact(max(times, default=None), *timed, why="no frame was answered"),
        "hedged": exact(sum(f.row.hedged for f in frames), "measured"),
        "quality": _quality(answered),
        "energy_j": missing("joules of configurations that alternate cannot be separated"),
        "dropped": missing("counted of the whole run"),
        "switches": missing("counted of the whole run"),
    }
    if len(timeline.entries) == 1:
        row["energy_j"] = energy_j(timeline.entries[0])
    if entry is None:
        row["dropped"] = exact(timeline.dropped, "measured")
        row["switches"] = exact(timeline.switches, "measured")
    return row


def _quality(answered: list[Frame]) -> Value:
    """The mean over answered frames, where the policy has it of each of them."""
    known = [f.row.quality for f in answered if f.row.quality is not None]
    if not known or len(known) < len(answered):
        return missing("the policy does not state it of every configuration")
    return exact(sum(known) / len(known), "estimated")
