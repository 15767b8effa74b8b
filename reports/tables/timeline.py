"""Frames of deployed runs: what answered them, and how many in time."""
# board: no

from splitwatt.reports.load.model import Entry, Series, board_of
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.load.words import unique
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.energy import energy_j
from splitwatt.reports.metrics.timeline import Frame, Timeline, timelines
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, Column, Row, Table, percent, whole

_ALL = "all"


def timeline_table(series: list[Series]) -> Table:
    """A row for each configuration that took frames, and one of all frames of a run."""
    columns = [
        Column("run", "Run", number=False, quiet=True),
        Column("board", "Board", number=False, quiet=True),
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
        "config": entry.marked if entry else _ALL,
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
