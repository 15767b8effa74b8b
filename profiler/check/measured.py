"""What memory and clocks gave: peaks, both ends' clocks, the link's rate."""

from typing import List

from splitwatt.profiler.analyse.network_notes import network_notes
from splitwatt.profiler.analyse.waterfall import offset_at
from splitwatt.profiler.check.raw import Check, Raw, nothing, place, verdict
from splitwatt.profiler.records.run import Run, read_clock

_CLOCK_S = 2e-3
_PEAKS = ("process_peak_bytes", "board_peak_bytes", "gpu_process_peak_bytes", "gpu_peak_bytes")


def checks(raw: Raw, run: Run) -> List[Check]:
    """The checks of this page."""
    return [_memory(raw, run), _clocks(raw), _causal(raw, run), _told(raw, run)]


def _memory(raw: Raw, run: Run) -> Check:
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
    for merged in run.memory:
        own = [row for row in rows if row["block"] == merged.block]
        for field in _PEAKS:
            known = [row[field] for row in own if row[field] is not None]
            if getattr(merged, field) != (max(known) if known else None):
                wrong.append("%s: %s is not the largest of its processes" % (merged.block, field))
    if ended != {merged.block for merged in run.memory}:
        wrong.append("blocks have lost their peaks")
    if raw.finished:
        wrong += ["%s has none" % block for block in sorted(blocks - ended)]
    return verdict(name, wrong, "%d processes" % len(rows))


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
            clock = (
                None if sent is None else offset_at(estimates, sent, row["block"], row["session"])
            )
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
