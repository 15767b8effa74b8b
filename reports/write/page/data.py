"""The data of the page's figures: records, reduced so that the page stays small."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from splitwatt.profiler.analyse.times import local_s, server_s, uplink_s
from splitwatt.profiler.analyse.waterfall import waterfall
from splitwatt.profiler.records.blocks import ClockEstimate
from splitwatt.reports.load.accuracy import MAIN_METRIC
from splitwatt.reports.load.model import NO_LINK, Entry, Sample, Series
from splitwatt.reports.load.values import SOURCES, missing
from splitwatt.reports.metrics.agreement import NAMES, Agreement, agreements
from splitwatt.reports.metrics.latency import byte_sources, latency
from splitwatt.reports.metrics.metric import Metric, metrics
from splitwatt.reports.metrics.tradeoffs import Curve, curves, curves_of, systems
from splitwatt.reports.tables.breakeven import between, can_be_simulated, local_extremes, plain_link
from splitwatt.reports.tables.table import Column
from splitwatt.reports.write.document import Report
from splitwatt.reports.write.page.traces import traces

# The page has at most this many samples of a configuration: every k-th in the order of latency.
MOST_SAMPLES = 200
_MEASURED = "its samples were taken over a shaped link: no other rate is added to them"


def explorer(report: Report) -> dict[str, Any]:
    """Everything that the page's scripts read."""
    series = report.series
    entries = [entry for s in series for entry in s.entries]
    costs = [  # what the bars can show
        metric
        for metric in metrics(table="summary")
        if any(metric.value(entry).value is not None for entry in entries)
    ]
    return {
        "sources": SOURCES,
        "systems": systems(series, report.accuracy),
        "costs": [
            {"key": m.column, "title": Column(m.column, m.name, m.unit).heading, "unit": m.unit}
            for m in costs
        ],
        "series": [_series(s, costs) for s in series],
        "traces": traces(series),
        "tradeoffs": [
            *(_agreement(made, series) for made in agreements(series)),
            *(
                _tradeoff(task, axis, of_task, series)
                for task, (_, axis) in MAIN_METRIC.items()
                if (of_task := curves(report.accuracy, task))
            ),
        ],
    }


def _agreement(made: Agreement, series: list[Series]) -> dict[str, Any]:
    name = f"{made.task}: agreement with {made.about}, run {made.run.name}"
    of_task = curves_of(made.results)
    return {**_tradeoff(name, f"{NAMES[made.task][1]} [%]", of_task, series), "agreement": True}


def _tradeoff(task: str, axis: str, of_task: list[Curve], series: list[Series]) -> dict[str, Any]:
    shown = [_curve(curve, curve.group(series)) for curve in of_task]
    return {"task": task, "name": axis, "agreement": False, "curves": shown}


def _series(s: Series, costs: list[Metric]) -> dict[str, Any]:
    ends, simulated = local_extremes(s), can_be_simulated(s)
    fastest, slowest = ends or (None, None)
    links = [link for link in s.links if not link.measured]
    return {
        "label": s.label,
        "slider": simulated,
        "links": [{"name": x.name, "rate": x.rate_kbit_s, "bytes": x.bytes} for x in links],
        "fastest": fastest and fastest.id,
        "slowest": slowest and slowest.id,
        "entries": [
            {
                **_entry(entry, fastest, simulated),
                "costs": {m.column: m.value(entry).to_json() for m in costs},
            }
            for entry in s.entries
        ],
    }


def _entry(entry: Entry, fastest: Entry | None, simulated: bool) -> dict[str, Any]:
    """A configuration; `simulated`: may a simulated link's time be added to its samples?"""
    parts = latency(entry, NO_LINK)
    document: dict[str, Any] = {
        "id": entry.id,
        "label": entry.marked,
        "group": entry.group,
        "split": entry.split,
        "models": ", ".join(entry.models),
        "why": entry.why_no_sample if not entry.samples else "",
        "local": parts.local.value,
        "network": parts.network.value,
        "server": parts.server.value,
        "n": len(entry.samples),
        "sources": [*entry.timed, *byte_sources(entry)]
        if entry.split and simulated
        else [*entry.timed],
        "samples": _waterfalls(entry),
    }
    if not entry.split:
        rows = _rows(entry, lambda sample: 0.0)
        document.update(total=parts.total.value, local_samples=_parts(rows, simulated))
        return document
    for charges in ("payload", "wire"):
        sent = _rows(entry, partial(_bits, charges=charges))
        document[charges] = _parts(sent[~np.isnan(sent[:, 1])], simulated)
        if fastest is not None:
            even = (
                between(entry, fastest, plain_link(1.0, charges))
                if simulated
                else missing(_MEASURED)
            )
            document[charges].update(breakeven=even.value, breakeven_why=even.why or "")
    return document


def _rows(entry: Entry, bits: Callable[[Sample], Any]) -> np.ndarray:
    """(samples, 4): total in s, bits that the link carries, seconds of the board's stages, seconds of
    the server's.
    """
    of = entry.samples
    totals = of.each(lambda sample: sample.total_s)
    return np.column_stack([totals, of.each(bits), of.each(local_s, 0.0), of.each(server_s, 0.0)])


def _parts(rows: np.ndarray, simulated: bool) -> dict[str, list[float]]:
    """What latency is made of at any rate and speed, an entry per sample:

    total + board * (1 / board speed - 1) + server * (1 / server speed - 1) + bits / rate.
    """
    kept = _thin(rows).tolist()
    return {
        "total": [round(row[0], 7) for row in kept],
        "bits": [row[1] if simulated else 0.0 for row in kept],
        "board": [round(row[2], 7) for row in kept],
        "server": [round(row[3], 7) for row in kept],
    }


def _thin(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= MOST_SAMPLES:
        return rows
    ordered = np.lexsort(rows.T[::-1])  # by the total first
    step = len(ordered) / MOST_SAMPLES
    kept: np.ndarray = rows[[ordered[int((i + 0.5) * step)] for i in range(MOST_SAMPLES)]]
    return kept


def _waterfalls(entry: Entry) -> list[dict[str, Any]]:
    """The fastest, the median and the slowest image, stage by stage."""
    own = entry.samples.where(lambda sample: sample.stages)
    ordered = np.argsort(own.each(lambda sample: sample.total_s), kind="stable")
    if not len(ordered):
        return []
    places = {"median": (len(ordered) - 1) // 2, "fastest": 0, "slowest": -1}
    chosen = {name: own[ordered[place]] for name, place in places.items()}
    clock = entry.run.clock
    return [_waterfall(name, sample, clock) for name, sample in chosen.items()]


def _waterfall(name: str, sample: Sample, clock: list[ClockEstimate]) -> dict[str, Any]:
    return {
        "name": name,
        "image": sample.image,
        "inference": sample.inference,
        "total": sample.total_s,
        "bars": [list(bar) for bar in waterfall(sample, clock)],
        "shares": _shares(sample),
        "payload": _bits(sample, "payload"),
        "wire": _bits(sample, "wire"),
    }


def _shares(sample: Sample) -> list[float]:
    """Each request's part of the bytes; a published size is divided in the same way."""
    sizes = [request.payload_bytes for request in sample.requests]
    whole = sum(sizes)
    return [size / whole for size in sizes] if whole else []


def _bits(sample: Sample, charges: str) -> Any:
    seconds = uplink_s(sample, plain_link(1.0, charges))
    return None if seconds is None else 1000.0 * seconds


def _curve(curve: Curve, group: str) -> dict[str, Any]:
    return {
        "group": group,
        "label": curve.label,
        "published": curve.published,
        "local": curve.local,
        "points": [
            {
                "model": point.model,
                "y": point.percent.to_json(),
                "x": point.data_kib.to_json(),
                "e": point.encoder_mib.to_json(),
                "exr": point.exr.to_json(),
            }
            for point in curve.points
        ],
    }
