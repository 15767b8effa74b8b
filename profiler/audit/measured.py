"""What sensors and clocks gave: memory, power, both ends' clocks, the link's rate."""

import csv
import math
from typing import List, Optional, Sequence, Tuple

from profiler.audit.raw import Check, Raw, nothing, place, verdict
from profiler.network_notes import network_notes
from profiler.records import Run, energy_of, read_clock
from profiler.waterfall import offset_at

# Simpson's rule against a plain trapezoid over the same readings.
_TRAPEZOID = 0.05
_CLOCK_S = 2e-3


def checks(raw: Raw, run: Run) -> List[Check]:
    """The checks of this page."""
    return [_memory(raw), _traces(raw, run), _joules(raw, run), _clocks(raw), _causal(raw, run),
            _told(raw, run)]  # fmt: skip


def _memory(raw: Raw) -> Check:
    name = "memory peaks are sound"
    rows = raw.rows["memory"]
    if not rows:
        return nothing(name, "no block has come to its end")
    total = (raw.document["board_state"] or {}).get("memory_total_bytes")
    same = raw.document["same_machine"]
    blocks = {row["id"] for row in raw.document["blocks"]}
    stage_blocks = {row["block"] for row in raw.rows["stages"]}
    wrong = []
    for row in rows:
        process, board = row["process_peak_bytes"], row["board_peak_bytes"]
        if row["block"] not in blocks | stage_blocks and not row["block"].endswith(".stages"):
            wrong.append("%s is no block of the run" % row["block"])
        if process is not None and not 1 << 20 <= process <= (total or process):
            wrong.append("%s: its process had %d bytes" % (row["block"], process))
        if board is not None and (same or board > (total or board)):
            why = "the server ran beside it" if same else "the board has fewer"
            wrong.append("%s: the board had %d bytes, and %s" % (row["block"], board, why))
    ended = {row["block"] for row in rows}
    if raw.finished:
        wrong += ["%s has none" % block for block in sorted(blocks - ended)]
    return verdict(name, wrong, "%d processes" % len(rows))


def _traces(raw: Raw, run: Run) -> Check:
    name = "power traces are whole"
    if not run.power:
        return nothing(name, _why_no_power(raw))
    wrong, count = [], 0
    for block, path in sorted(run.power.items()):
        times, columns, bad = _trace(path)
        count += len(times)
        if bad:
            wrong.append("power/%s.csv: line %d is damaged" % (block, bad[0]))
        if any(b <= a for a, b in zip(times, times[1:])):
            wrong.append("power/%s.csv: its times do not go forward" % block)
        if any(value is not None and not -50 < value < 5000 for c in columns for value in c):
            wrong.append("power/%s.csv holds watts that no board draws" % block)
    return verdict(name, wrong, "%d readings in %d traces" % (count, len(run.power)))


def _joules(raw: Raw, run: Run) -> Check:
    """The energy of each block's rails against a plain trapezoid over the same readings."""
    name = "joules follow from the power traces"
    blocks = [block for block in energy_of(run) if block.rails]
    if not blocks:
        return nothing(name, _why_no_power(raw))
    wrong, count = [], 0
    for block in blocks:
        windows = [
            (row["start_s"], row["end_s"])
            for row in raw.rows["windows"]
            if (row["block"], row["name"]) == (block.block, "inferences")
        ]
        paths = [p for n, p in run.power.items() if n.split("~")[0] == block.block]
        for rail in block.rails:
            if rail.joules_per_image is None:
                continue
            count += 1
            found = [_trapezoid(p, rail.rail, *w) for p in paths for w in windows]
            per_image = [j / block.inferences for j in found if j is not None]
            limit = _TRAPEZOID * abs(rail.joules_per_image) + 1e-6
            if not any(abs(j - rail.joules_per_image) <= limit for j in per_image):
                wrong.append("%s, %s: %.4g J an image, and a trapezoid gives %s" % (
                    block.block, rail.rail, rail.joules_per_image,
                    ", ".join("%.4g" % j for j in per_image) or "nothing",
                ))  # fmt: skip
    return verdict(name, wrong, "%d rails of blocks, within 5 %% of a trapezoid" % count)


def _clocks(raw: Raw) -> Check:
    name = "clock estimates are sound"
    rows = raw.rows["clock"]
    if not rows:
        return nothing(name, "no server was asked")
    wrong = []
    for number, row in enumerate(rows, 1):
        offset, sure = row["offset_s"], row["uncertainty_s"]
        if (offset is None) != (row["why_not"] is not None) or (offset is None) != (sure is None):
            wrong.append("clock.jsonl, line %d has neither an offset nor a reason" % number)
        elif sure is not None and not 0 <= sure < 3600:
            wrong.append("clock.jsonl, line %d is uncertain by %r s" % (number, sure))
        if row["when"] not in ("before", "during", "after"):
            wrong.append("clock.jsonl, line %d is of no time of a block" % number)
    return verdict(name, wrong, "%d estimates" % len(rows))


def _causal(raw: Raw, run: Run) -> Check:
    """On one clock, a request is there after it was sent and before its answer is back."""
    name = "both ends agree on what came first"
    estimates = read_clock(run.path)
    wrong, count = [], 0
    for row in raw.good():
        for request in row["requests"]:
            sent, back = request["sent_monotonic_s"], request["received_monotonic_s"]
            there = request["server_monotonic_s"]
            clock = None if sent is None else offset_at(estimates, sent, row["block"])
            if clock is None or None in (sent, back, there):
                continue
            count += 1
            slack = _CLOCK_S + (clock.uncertainty_s or 0.0) + 4e-4 * abs(sent - clock.monotonic_s)
            if not sent - slack <= there - (clock.offset_s or 0.0) <= back + slack:
                wrong.append("%s reached its server outside of its round trip" % place(row))
    return (
        verdict(name, wrong, "%d requests" % count) if count else nothing(name, "no clock was told")
    )


def _told(raw: Raw, run: Run) -> Check:
    """Clocks that jumped, links off their rate, other versions: in run.json where there were any."""
    known = raw.document.get("network_notes") or []
    found = network_notes(run.path, raw.document, run.config)
    wrong = ["not told: %s" % sentence for sentence in found if sentence not in known]
    wrong += [
        "links.jsonl, line %d has a rate that is none" % number
        for number, row in enumerate(raw.rows["links"], 1)
        for way in ("uplink_kbit_s", "downlink_kbit_s")
        if row[way] is not None and not 0 < row[way] < 1e12
    ]
    said = "; ".join(known) if known else "nothing was odd"
    return verdict("what was odd about the network is told", wrong, said)


def _why_no_power(raw: Raw) -> str:
    return "; ".join((raw.document.get("power") or {}).get("why_not") or ["no power was recorded"])


def _trace(path: str) -> Tuple[List[float], List[List[Optional[float]]], List[int]]:
    """Times, a column a rail, and the numbers of lines that are damaged."""
    times: List[float] = []
    columns: List[List[Optional[float]]] = []
    bad: List[int] = []
    with open(path, newline="", encoding="utf-8", errors="replace") as stream:
        rows = [(n, row) for n, row in enumerate(csv.reader(stream), 1) if _counts(row)]
    header = rows[0][1] if rows else []
    columns = [[] for _ in header[1:]]
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
    return times, columns, bad


def _counts(row: Sequence[str]) -> bool:
    return bool(row) and not row[0].startswith("#")


def _trapezoid(path: str, label: str, start: float, end: float) -> Optional[float]:
    """Joules of a rail between two times, its edges interpolated; None where it is not there."""
    with open(path, newline="", encoding="utf-8", errors="replace") as stream:
        header = next((row for row in csv.reader(stream) if _counts(row)), [])
    if label not in header:
        return None
    times, columns, _ = _trace(path)
    column = columns[header.index(label) - 1]
    points = [(t, w) for t, w in zip(times, column) if w is not None]
    inside = [(t, w) for t, w in points if start < t < end]
    if len(inside) < 2 or points[0][0] > end or points[-1][0] < start:
        return None
    inside = [(start, _between(points, start))] + inside + [(end, _between(points, end))]
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(inside, inside[1:]))


def _between(points: Sequence[Tuple[float, float]], at: float) -> float:
    for a, b in zip(points, points[1:]):
        if a[0] <= at <= b[0]:
            return a[1] + (b[1] - a[1]) * (at - a[0]) / (b[0] - a[0])
    return points[0][1] if at < points[0][0] else points[-1][1]
