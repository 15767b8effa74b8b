"""What the page draws over time, thinned so that peaks stay: watts of blocks, frames of deployed runs."""
# board: no

import csv
import math
from typing import Any

from splitwatt.reports.load.model import Run, Series, runs_of
from splitwatt.reports.metrics.timeline import Timeline, energy_so_far, timelines

# Most points of all traces together, and of one: the page has a few megabytes at most.
ALL_POINTS = 60_000
MOST_POINTS = 1200
# Of one run's frames.
MOST_FRAMES = 3000


def traces(series: list[Series]) -> list[dict[str, Any]]:
    """Each block's trace: seconds since its start, watts of each rail, and its windows."""
    files = [(run, block, path) for run in runs_of(series) for block, path in run.power.items()]
    if not files:
        return []
    energy = {(s.run.id, b.block): b for s in series for e in s.entries for b in e.energy}
    points = max(20, min(MOST_POINTS, ALL_POINTS // len(files)))
    result = []
    for run, block, path in files:
        trace = _trace(run, block, path, points)
        if trace is not None:
            known = energy.get((run.id, block))
            trace["provenance"] = (known and known.provenance) or "of unknown provenance"
            trace["why_not"] = known.why_not if known else None
            result.append(trace)
    return result


def frames(series: list[Series]) -> list[dict[str, Any]]:
    """Each deployed run's frames: seconds from the first capture, latency, what answered and what was
    chosen (their places in `entries`), the rate, and frames dropped so far; and the joules so far.
    """
    return [_frames(timeline) for timeline in timelines(series)]


def _frames(timeline: Timeline) -> dict[str, Any]:
    shown = timeline.frames
    latency_s: list[float | None] = [f.row.latency_s for f in shown]
    kept = _peaks([f.at_s for f in shown], [latency_s], MOST_FRAMES)
    entries = timeline.chosen
    places = {id(entry): i for i, entry in enumerate(entries)}
    return {
        "run": timeline.label,
        "deadline_s": timeline.deadline_s,
        "count": len(shown),
        "dropped": timeline.dropped,
        "sources": sorted({source for f in shown for source in f.entry.timed}),
        "entries": [{"label": entry.marked, "group": entry.group} for entry in entries],
        "frames": [
            [
                round(f.at_s, 4), _short(f.row.latency_s), f.answered, places[id(f.entry)],
                places[id(f.chosen)], _short(f.row.rate_kbit_s), f.row.dropped,
            ]
            for f in (shown[i] for i in kept)
        ],
        "energy": [[round(at_s, 4), _short(joules)] for at_s, joules in energy_so_far(timeline)],
    }  # fmt: skip


def _trace(run: Run, block: str, path: str, points: int) -> dict[str, Any] | None:
    rails, times, watts = _read(path)
    if not times:
        return None
    start = times[0]
    kept = _peaks(times, watts, points)
    windows = [window for window in run.windows if window.block == block]
    return {
        "run": run.name,
        "block": block,
        "config": windows[0].config if windows else block,
        "backend": windows[0].backend if windows else "",
        "rails": rails,
        "readings": len(times),
        "t": [round(times[i] - start, 4) for i in kept],
        "w": [[_short(column[i]) for i in kept] for column in watts],
        "windows": [
            {
                "name": window.name,
                "from": round(window.start_s - start, 4),
                "to": round(window.end_s - start, 4),
            }
            for window in windows
        ],
    }


def _read(path: str) -> tuple[list[str], list[float], list[list[float | None]]]:
    """Rails, times and the watts of each rail; None where a reading is missing."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream)
            rails = next(reader, ["t_s"])[1:]
            times: list[float] = []
            watts: list[list[float | None]] = [[] for _ in rails]
            for row in reader:
                at = _finite(row[0]) if len(row) == len(rails) + 1 else None
                if at is None:
                    continue
                times.append(at)
                for column, cell in zip(watts, row[1:], strict=True):
                    column.append(_finite(cell))
    except OSError:
        return [], [], []
    return rails, times, watts


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _peaks(times: list[float], watts: list[list[float | None]], points: int) -> list[int]:
    """Indexes to keep: of each stretch of readings the first rail's lowest and highest."""
    if len(times) <= points or not watts:
        return list(range(len(times)))
    stretch = len(times) / (points / 2)
    kept: set[int] = {0, len(times) - 1}
    for i in range(points // 2):
        places = range(int(i * stretch), min(len(times), int((i + 1) * stretch)))
        known = [(watts[0][p], p) for p in places if watts[0][p] is not None]
        if known:
            kept |= {
                min(known, key=lambda k: k[0] or 0.0)[1],
                max(known, key=lambda k: k[0] or 0.0)[1],
            }
    return sorted(kept)


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")
