"""Figures of a run computed by other code than the product's, from its raw lines, to compare with."""

import csv
import json
import math
from pathlib import Path


def rows(run: Path, name: str) -> list[dict]:
    """The lines of a file of a run."""
    path = Path(run, name)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def link_times(row: dict, rate_kbit_s: float) -> tuple[float, float]:
    """Payload bits over the rate; the same with 66 bytes of framing to each 1448 of a request."""
    charged = row["published_payload_bytes"]
    more = 0 if charged is None else charged - row["payload_bytes"]
    wire = 0
    for number, request in enumerate(row["requests"]):
        content = request["wire_up_bytes"] + (more if number == 0 else 0)
        wire += content + 66 * math.ceil(content / 1448.0)
    return (row["payload_bytes"] + more) * 8 / (rate_kbit_s * 1000), wire * 8 / (rate_kbit_s * 1000)


def summary(values: list[float]) -> dict[str, float | None]:
    """The figures of `Spread`, by order statistics in whole numbers, which round nothing."""
    ordered = sorted(values)
    n, middle = len(ordered), quantile(ordered, 0.5)
    figures = {
        "p50_s": middle, "p90_s": quantile(ordered, 0.9), "p99_s": quantile(ordered, 0.99),
        "p50_low_s": None, "p50_high_s": None, "p50_relative_width": None,
        "p90_bound_s": None, "p99_bound_s": None, "outliers": None,
    }  # fmt: skip
    # 95 %: the median lies below one end with a probability under a fortieth, above the other too.
    low = _seldom(n, 1, 2, 40)
    if low >= 0:
        ends = ordered[low], ordered[n - 1 - low]
        figures.update(p50_low_s=ends[0], p50_high_s=ends[1])
        if middle > 0:
            figures["p50_relative_width"] = (ends[1] - ends[0]) / (2 * middle)
    for name, of in (("p90_bound_s", 10), ("p99_bound_s", 100)):
        above = _seldom(n, 1, of, 100)
        if above >= 1:
            figures[name] = ordered[n - above]
    if n >= 8:
        quarters = quantile(ordered, 0.25), quantile(ordered, 0.75)
        reach = 3 * (quarters[1] - quarters[0])
        inside = [v for v in ordered if quarters[0] - reach <= v <= quarters[1] + reach]
        figures["outliers"] = n - len(inside)
    return figures


def quantile(ordered: list[float], p: float) -> float:
    """The p-quantile of values in order, on a straight line between neighbours."""
    at = p * (len(ordered) - 1)
    low = math.floor(at)
    high = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (at - low) * (high - ordered[low])


def _seldom(n: int, part: int, of: int, once_in: int) -> int:
    """The largest k so that k or fewer of n values fall where each falls with the probability
    part/of, less than once in `once_in` times; -1 where not even none does so seldom.
    """
    ways, total, all_ways = (of - part) ** n, 0, of**n
    for k in range(n):
        total += ways
        if total * once_in >= all_ways:
            return k - 1
        ways = ways * (n - k) * part // ((k + 1) * (of - part))
    return n - 1


def mean_watts(trace: Path, rail: str, start_s: float, end_s: float) -> float | None:
    """The mean power between two times of the board's clock by a trapezoid over a trace's readings,
    its edges interpolated; None where it has too few.
    """
    clocks = json.loads(trace.with_suffix(".json").read_text()).get("clock") or []
    offset = sum(row["offset_s"] for row in clocks) / len(clocks) if clocks else 0.0
    start_s, end_s = start_s + offset, end_s + offset
    with trace.open(newline="") as stream:
        lines = [row for row in csv.reader(stream) if row and not row[0].startswith("#")]
    column = lines[0].index(rail)
    points = [(float(row[0]), float(row[column])) for row in lines[1:] if row[column]]
    inside = [(t, w) for t, w in points if start_s < t < end_s]
    if len(inside) < 2:
        return None
    inside = [(start_s, _at(points, start_s)), *inside, (end_s, _at(points, end_s))]
    joules = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(inside, inside[1:]))
    return joules / (end_s - start_s)


def _at(points: list[tuple[float, float]], at: float) -> float:
    for a, b in zip(points, points[1:]):
        if a[0] <= at <= b[0]:
            return a[1] + (b[1] - a[1]) * (at - a[0]) / (b[0] - a[0])
    return points[0][1] if at < points[0][0] else points[-1][1]


def assert_joules(rail, trace: Path, window: dict, images: int, idle: list[dict]) -> None:
    """Joules an image of a rail within 5 % of the trapezoid's, idle watts within 10 %, net both."""
    watts = mean_watts(trace, rail.rail, window["start_s"], window["end_s"])
    each_s = (window["end_s"] - window["start_s"]) / images
    slack = 0.05 * abs(rail.joules_per_image) + 1e-6
    assert abs(rail.joules_per_image - watts * each_s) <= slack, (rail, watts * each_s)
    if rail.idle_watts is None:
        assert rail.net_joules_per_image is None
        return
    known = [mean_watts(trace, rail.rail, one["start_s"], one["end_s"]) for one in idle]
    idle_w = sum(w for w in known if w is not None) / sum(w is not None for w in known)
    idle_slack = 0.1 * abs(rail.idle_watts) + 1e-6
    assert abs(rail.idle_watts - idle_w) <= idle_slack, (rail, idle_w)
    net = (watts - idle_w) * each_s
    assert abs(rail.net_joules_per_image - net) <= slack + idle_slack * each_s, (rail, net)
