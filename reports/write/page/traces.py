"""What the page draws over time: the watts of blocks, thinned so that peaks stay."""

from typing import Any

from splitwatt.profiler.analyse.energy import power_trace
from splitwatt.reports.load.model import Run, Series, runs_of

# Most points of all traces together, and of one: the page has a few megabytes at most.
ALL_POINTS = 60_000
MOST_POINTS = 1200


def traces(series: list[Series]) -> list[dict[str, Any]]:
    """Each block's trace: seconds since its start, watts of each rail, and its windows."""
    files = [(run, block, path) for run in runs_of(series) for block, path in run.power.items()]
    energy = {(s.run.id, b.block): b for s in series for e in s.entries for b in e.energy}
    points = max(20, min(MOST_POINTS, ALL_POINTS // max(1, len(files))))
    result = []
    for run, block, path in files:
        known = energy.get((run.id, block))
        for trace in _trace(run, block, path, points):
            trace["provenance"] = (known and known.provenance) or "of unknown provenance"
            trace["why_not"] = known.why_not if known else None
            result.append(trace)
    return result


def _trace(run: Run, block: str, path: str, points: int) -> list[dict[str, Any]]:
    """Nothing of a file without a reading."""
    trace = power_trace(path)
    if trace is None or not trace.times:
        return []
    start = trace.times[0]
    kept = _peaks(trace.columns[0], points)
    windows = [window for window in run.windows if window.block == block]
    return [
        {
            "run": run.name,
            "block": block,
            "config": windows[0].config if windows else block,
            "backend": windows[0].backend if windows else "",
            "rails": [rail.label for rail in trace.rails],
            "readings": len(trace.times),
            "t": [round(trace.times[i] - start, 4) for i in kept],
            "w": [[_short(column[i]) for i in kept] for column in trace.columns],
            "windows": [
                {
                    "name": window.name,
                    "from": round(window.start_s - start, 4),
                    "to": round(window.end_s - start, 4),
                }
                for window in windows
            ],
        }
    ]


def _peaks(watts: list[float | None], points: int) -> list[int]:
    """Indexes to keep: of each stretch of readings the lowest and the highest."""
    if len(watts) <= points:
        return list(range(len(watts)))
    stretch = len(watts) / (points / 2)
    kept: set[int] = {0, len(watts) - 1}
    for i in range(points // 2):
        places = range(int(i * stretch), min(len(watts), int((i + 1) * stretch)))
        known = sorted((w, p) for p in places if (w := watts[p]) is not None)
        kept |= {place for _, place in (known[:1] + known[-1:])}
    return sorted(kept)


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")
