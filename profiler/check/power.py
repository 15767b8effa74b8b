"""Power traces and the joules that follow from them: of board and server, of blocks and of stages."""

import csv
import json
import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from splitwatt.profiler.check.raw import Check, Raw, nothing, verdict
from splitwatt.profiler.records.run import (
    RailJoules,
    Run,
    energy_of,
    server_energy_of,
    stage_energy_of,
)
from splitwatt.profiler.records.sample import same_session

# Simpson's rule over distinct readings against a plain trapezoid over all; idle windows are short.
_TRAPEZOID, _IDLE = 0.05, 0.1
_SUM = 1e-9

# Start and end on the board's clock, and the session of the run, where it is known.
Window = Tuple[float, float, Optional[int]]


class _Trace(NamedTuple):
    """A trace: its times, label -> watts, lines that are damaged, the labels that make the total,
    its clock less the board's, and the session of the run.
    """

    times: List[float]
    columns: Dict[str, List[Optional[float]]]
    bad: List[int]
    total: List[str]
    offset_s: float
    session: Optional[int]


class _Told(NamedTuple):
    """What reports tell of one block or stage, and what it must follow from."""

    name: str
    images: int
    windows: List[Window]
    idle: List[Window]
    paths: List[str]
    total: Optional[RailJoules]
    rails: List[RailJoules]


def checks(raw: Raw, run: Run) -> List[Check]:
    """The checks of this page."""
    return [_whole(raw, run), _joules(raw, run)]


def _whole(raw: Raw, run: Run) -> Check:
    name = "power traces are whole"
    if not run.power:
        return nothing(name, _why_no_power(raw))
    wrong, count = [], 0
    for block, path in sorted(run.power.items()):
        trace = _trace(path)
        count += len(trace.times)
        if trace.bad:
            wrong.append("power/%s.csv: line %d is damaged" % (block, trace.bad[0]))
        if any(b <= a for a, b in zip(trace.times, trace.times[1:])):
            wrong.append("power/%s.csv: its times do not go forward" % block)
        watts = [value for column in trace.columns.values() for value in column]
        if any(value is not None and not -50 < value < 5000 for value in watts):
            wrong.append("power/%s.csv holds watts that no board draws" % block)
    return verdict(name, wrong, "%d readings in %d traces" % (count, len(run.power)))


def _joules(raw: Raw, run: Run) -> Check:
    """Joules of rails against a plain trapezoid over the same readings; totals against their rails."""
    name = "joules follow from the power traces"
    told = [one for one in _all_told(raw, run) if one.rails]
    if not told:
        return nothing(name, _why_no_power(raw))
    wrong: List[str] = []
    count = 0
    traces: Dict[str, _Trace] = {}
    for one in told:
        # Traces are large, and those of one block follow each other.
        traces = {path: traces[path] if path in traces else _trace(path) for path in one.paths}
        own = list(traces.values())
        wrong += _total(one, own)
        for rail in one.rails:
            if rail.joules_per_image is not None:
                count += 1
                wrong += _rail(one, rail, own)
    if not count and not wrong:
        refused = [rail.why_not for one in told for rail in one.rails if rail.why_not]
        return nothing(name, "; ".join(refused[:1]) or "no rail has joules")
    said = "%d rails of blocks, stages and servers, within 5 %% of a trapezoid" % count
    return verdict(name, wrong, said)


def _all_told(raw: Raw, run: Run) -> List[_Told]:
    found = []
    for blocks, server in ((energy_of(run), False), (server_energy_of(run), True)):
        for block in blocks:
            found.append(_Told(
                block.block + (", the server" if server else ""), block.inferences,
                _windows(raw, block.block, "inferences"), _windows(raw, block.block, "idle"),
                _of(run.power, block.block, server), block.total, block.rails,
            ))  # fmt: skip
    rows = {(row["block"], row["stage"]): row for row in raw.rows["stages"]}
    for stage in stage_energy_of(run):
        row = rows.get((stage.block, stage.stage))
        if row is None or None in (row["start_s"], row["end_s"], row["repetitions"]):
            continue
        own = [(row["start_s"], row["end_s"], row["session"])]
        idle = _windows(raw, stage.block, "idle")
        for server, total, rails in (
            (False, stage.total, stage.rails),
            (True, stage.server_total, stage.server_rails),
        ):
            found.append(_Told(
                "%s, %s%s" % (stage.block, stage.stage, ", the server" if server else ""),
                row["repetitions"], own, idle, _of(run.power, stage.block, server), total, rails,
            ))  # fmt: skip
    return found


def _windows(raw: Raw, block: str, name: str) -> List[Window]:
    rows = [row for row in raw.rows["windows"] if (row["block"], row["name"]) == (block, name)]
    return [(row["start_s"], row["end_s"], row["session"]) for row in rows]


def _of(traces: Dict[str, str], block: str, server: bool) -> List[str]:
    """BLOCK and BLOCK~2 of the board, BLOCK.server and BLOCK~2.server of the server."""
    names = {name: name[:-7] if name.endswith(".server") else name for name in traces}
    return [
        traces[name]
        for name, own in names.items()
        if (own != name) == server and own.split("~")[0] == block
    ]


def _total(one: _Told, traces: List[_Trace]) -> List[str]:
    """The total is the sum of the rails that the trace says make it."""
    labels = [trace.total for trace in traces if trace.total]
    rails = {rail.rail: rail for rail in one.rails}
    if one.total is None:
        if any(set(total) <= set(rails) for total in labels):
            return ["%s has no total" % one.name]
        return []
    if one.total.rail not in ["+".join(total) for total in labels]:
        return ["%s: the total is of %s" % (one.name, one.total.rail)]
    parts = [rails[label] for label in one.total.rail.split("+")]
    figures: Sequence[Tuple[str, Callable[[RailJoules], Optional[float]]]] = (
        ("joules", lambda rail: rail.joules_per_image),
        ("net joules", lambda rail: rail.net_joules_per_image),
        ("idle watts", lambda rail: rail.idle_watts),
    )
    wrong = []
    for name, figure in figures:
        values = [figure(part) for part in parts]
        due = None if None in values else math.fsum(v for v in values if v is not None)
        found = figure(one.total)
        if (found is None) != (due is None) or not _near(found, due, _SUM * abs(due or 0.0)):
            wrong.append("%s: the total's %s are not the sum of its rails'" % (one.name, name))
    return wrong


def _rail(one: _Told, rail: RailJoules, traces: List[_Trace]) -> List[str]:
    """A block that was resumed has several traces and windows: one of them must give the figures."""
    tried = [
        _odd(one, rail, trace, window)
        for trace in traces
        for window in one.windows
        if same_session(trace.session, window[2])
    ]
    if None in tried:
        return []
    return ["%s, %s: %s" % (one.name, rail.rail, tried[0] if tried else "there is no trace of it")]


def _odd(one: _Told, rail: RailJoules, trace: _Trace, window: Window) -> Optional[str]:
    """What is wrong with a rail's figures, by this trace and window."""
    mean_w = _mean_watts(trace, rail.rail, window)
    lasted_s = (window[1] - window[0]) / one.images
    told = rail.joules_per_image or 0.0
    if mean_w is None:
        return "%.4g J an image, and a trapezoid gives nothing" % told
    limit = _TRAPEZOID * abs(told) + 1e-6
    if not _near(told, mean_w * lasted_s, limit):
        return "%.4g J an image, and a trapezoid gives %.4g" % (told, mean_w * lasted_s)
    if rail.idle_watts is None:
        return None if rail.net_joules_per_image is None else "net joules without idle watts"
    idle = [other for other in one.idle if same_session(other[2], window[2])]
    known = [_mean_watts(trace, rail.rail, other) for other in idle]
    watts = [w for w in known if w is not None]
    idle_w = sum(watts) / len(watts) if watts else None
    idle_limit = _IDLE * abs(rail.idle_watts) + 1e-6
    if not _near(rail.idle_watts, idle_w, idle_limit):
        return "%.4g W idle, and a trapezoid gives %r" % (rail.idle_watts, idle_w)
    net = (mean_w - (idle_w or 0.0)) * lasted_s
    if not _near(rail.net_joules_per_image, net, limit + idle_limit * lasted_s):
        return "%r J net, and a trapezoid gives %.4g" % (rail.net_joules_per_image, net)
    return None


def _near(a: Optional[float], b: Optional[float], limit: float) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= limit


def _mean_watts(trace: _Trace, label: str, window: Window) -> Optional[float]:
    """The mean power between two times of the board's clock by a trapezoid, its edges interpolated;
    None where the trace is not there.
    """
    start, end = window[0] + trace.offset_s, window[1] + trace.offset_s
    column = trace.columns.get(label, [])
    points = [(t, w) for t, w in zip(trace.times, column) if w is not None]
    inside = [(t, w) for t, w in points if start < t < end]
    if len(inside) < 2:
        return None
    inside = [(start, _between(points, start))] + inside + [(end, _between(points, end))]
    joules = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(inside, inside[1:]))
    return joules / (end - start)


def _between(points: Sequence[Tuple[float, float]], at: float) -> float:
    for a, b in zip(points, points[1:]):
        if a[0] <= at <= b[0]:
            return a[1] + (b[1] - a[1]) * (at - a[0]) / (b[0] - a[0])
    return points[0][1] if at < points[0][0] else points[-1][1]


def _trace(path: str) -> _Trace:
    times: List[float] = []
    bad: List[int] = []
    with open(path, newline="", encoding="utf-8", errors="replace") as stream:
        rows = [(n, row) for n, row in enumerate(csv.reader(stream), 1) if _counts(row)]
    header = rows[0][1] if rows else []
    columns: List[List[Optional[float]]] = [[] for _ in header[1:]]
    for number, row in rows[1:]:
        try:
            values = [float(cell) if cell.strip() else None for cell in row]
            whole = len(row) == len(header) and values[0] is not None
        except ValueError:
            whole = False
        if not whole or any(v is not None and not math.isfinite(v) for v in values):
            bad.append(number)
            continue
        times.append(values[0] or 0.0)
        for column, value in zip(columns, values[1:]):
            column.append(value)
    about = _about(path)
    offsets = [float(row["offset_s"]) for row in about.get("clock") or []]
    offset_s = sum(offsets) / len(offsets) if offsets else 0.0
    named = dict(zip(header[1:], columns))
    return _Trace(times, named, bad, list(about.get("total") or []), offset_s, about.get("session"))


def _about(path: str) -> Dict[str, Any]:
    """The JSON beside a trace; {} where there is none."""
    try:
        with open(path[: -len(".csv")] + ".json", "rb") as stream:
            found = json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _counts(row: Sequence[str]) -> bool:
    return bool(row) and not row[0].startswith("#")


def _why_no_power(raw: Raw) -> str:
    return "; ".join((raw.document.get("power") or {}).get("why_not") or ["no power was recorded"])
