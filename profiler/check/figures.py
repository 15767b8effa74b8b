"""Do the records of a run fit each other, and do its figures follow from them?"""

from typing import Any, Dict, List, Optional

import numpy as np

from splitwatt.profiler.analyse.conditions import network_notes
from splitwatt.profiler.analyse.statistics import spread
from splitwatt.profiler.analyse.waterfall import offset_at
from splitwatt.profiler.check.raw import Check, Raw, nothing, place, verdict
from splitwatt.profiler.execute.work import lacking
from splitwatt.profiler.records.network import ClockEstimate
from splitwatt.profiler.records.run import Run
from splitwatt.profiler.records.sample import Sample

# Stages are additive by construction; the time between two calls is missing.
_MISSING_PART, _MISSING_S = 0.02, 0.5e-3
# Of a single sample: a busy machine may run something else for this long between two stages.
_TAKEN_S = 0.04
# The kernel holds a process under a quota back for up to its period of 100 ms, anywhere.
_HELD_S = 0.1
_CLOSE = 1e-9
_CLOCK_S = 2e-3
_BYTES = ("payload_bytes", "wire_up_bytes", "wire_down_bytes")


def checks(raw: Raw, run: Run) -> List[Check]:
    """The checks of this module."""
    return [
        _stages(raw, run), _bytes(raw), _nulls(raw), _summary(raw, run), _throughput(raw),
        _starts(raw), _memory(raw, run), _clocks(raw), _causal(run), _network(run),
    ]  # fmt: skip


def _stages(raw: Raw, run: Run) -> Check:
    wrong, halves = [], []
    taken_s = _HELD_S if run.document["quota"] else _TAKEN_S
    good = raw.good()
    for block, own in good.by(lambda sample: sample.block).items():
        total_s = own.each(lambda sample: sample.total_s, 0.0)
        off_s = total_s - own.each(lambda sample: sum(sample.stages.values()))
        may_lack_s = np.maximum(_MISSING_PART * total_s, taken_s)
        fits = (total_s > 0) & (off_s >= -_MISSING_S) & (off_s <= may_lack_s)
        wrong += [
            "%s: its stages lack %.3g s of %.3g" % (place(sample), off, total)
            for sample, off, total in zip(own[~fits], off_s[~fits], total_s[~fits])
        ]
        if np.median(off_s / np.maximum(_MISSING_PART * total_s, _MISSING_S)) > 1:
            halves.append(block)
    wrong += [
        "%s: the stages of half of its samples lack more than 2 %% and 0.5 ms" % block
        for block in halves
    ]
    looked = "%d samples, medians within 2 %% or 0.5 ms" % len(good)
    return verdict("stages add up to the total", wrong, looked)


def _bytes(raw: Raw) -> Check:
    name = "bytes add up"
    sent = raw.good().where(lambda sample: sample.requests)
    if not sent:
        return nothing(name, "nothing was sent")
    wrong = []
    for sample in sent[sent.each(_odd_bytes) > 0]:
        for field in _BYTES:
            total = sum(getattr(request, field) for request in sample.requests)
            if getattr(sample, field) != total:
                wrong.append("%s: %s is %r, its requests have %d"
                             % (place(sample), field, getattr(sample, field), total))  # fmt: skip
        for request in sample.requests:
            if not 0 < request.payload_bytes < request.wire_up_bytes:
                wrong.append("%s: a request is no larger than its payload" % place(sample))
    return verdict(name, wrong, "%d samples and their requests" % len(sent))


def _odd_bytes(sample: Sample) -> Any:
    """Whether its bytes are not those of its requests; of a sample of columns an array."""
    odd: Any = False
    for field in _BYTES:
        odd |= getattr(sample, field) != sum(getattr(one, field) for one in sample.requests)
    for one in sample.requests:
        odd |= (one.payload_bytes <= 0) | (one.payload_bytes >= one.wire_up_bytes)
    return odd


def _nulls(raw: Raw) -> Check:
    """What was not measured is null, and what was is not."""
    split = {id for id, row in raw.document["config"]["configurations"].items() if "split" in row}

    def fits(sample: Sample) -> bool:
        sent = sample.ok and sample.config in split
        counted = [sample.requests or None, *(getattr(sample, field) for field in _BYTES)]
        return sample.ok == (sample.total_s is not None) == (sample.reason is None) and {
            value is not None for value in counted
        } == {sent}

    wrong = []
    for sample in raw.samples.where(lambda sample: not fits(sample)):
        if sample.ok != (sample.total_s is not None) or sample.ok != (sample.reason is None):
            wrong.append("%s is %s and has a total of %r and the reason %r"
                         % (place(sample), sample.status, sample.total_s, sample.reason))  # fmt: skip
        sent = sample.ok and sample.config in split
        for field in _BYTES:
            if sent != (getattr(sample, field) is not None):
                wrong.append("%s: %s is %r" % (place(sample), field, getattr(sample, field)))
        if sent != bool(sample.requests):
            wrong.append("%s has %d requests" % (place(sample), len(sample.requests)))
    return verdict("what was not measured is null", wrong, "%d samples" % len(raw.samples))


def _summary(raw: Raw, run: Run) -> Check:
    """Each configuration's row on each backend counts the last lines of its samples."""
    wrong, rows = [], 0
    counted = (
        raw.samples.latest()
        .where(lambda s: s.ok and not s.warmup and s.block not in run.replaced)
        .by(lambda sample: (sample.config, sample.backend))
    )
    for config in run.config.configurations:
        for backend in run.config.backends:
            times = run.measured(config.id, backend).each(lambda sample: sample.total_s, 0.0)
            row = spread(times.tolist())
            ok = len(counted.get((config.id, backend), ()))
            rows += bool(row)
            if ok != (row.samples if row else 0):
                wrong.append("%s on %s has %d samples" % (config.id, backend, ok))
    return verdict("the summary follows from the samples", wrong, "%d rows of it" % rows)


def _throughput(raw: Raw) -> Check:
    name = "throughput is images over time"
    rows = raw.rows["throughput"]
    wrong = []
    for row in rows:
        due = row.images / row.duration_s if row.images and row.duration_s else None
        if not _same(row.images_per_s, due):
            wrong.append("%s says %r a second" % (row.block, row.images_per_s))
    looked = "%d blocks" % len(rows)
    return verdict(name, wrong, looked) if rows else nothing(name, "throughput was not requested")


def _starts(raw: Raw) -> Check:
    name = "blocks started as they say"
    rows = raw.rows["starts"]
    known = {row["id"] for row in raw.document["blocks"]}
    firsts: Dict[str, List[Optional[float]]] = {}
    warmups = raw.samples.where(lambda sample: sample.warmup)
    for sample in warmups[warmups.each(lambda sample: sample.inference) == 0]:
        firsts.setdefault(sample.block, []).append(sample.total_s)
    processes: Dict[str, int] = {}
    for row in raw.rows["memory"]:
        processes[row.block] = processes.get(row.block, 0) + 1
    wrong = []
    for row in rows:
        if row.block not in known:
            wrong.append("%s is no block of the run" % row.block)
        own = firsts.get(row.block, [])
        # A process that was killed while it warmed up has left samples and no start.
        once = own and processes.get(row.block) == 1 and not raw.document.get("resumed")
        if once and not any(_same(row.first_inference_s, first) for first in own):
            wrong.append("%s: its first inference took another time" % row.block)
    looked = "%d processes" % len(rows)
    return verdict(name, wrong, looked) if rows else nothing(name, "no process recorded it")


def _memory(raw: Raw, run: Run) -> Check:
    name = "memory peaks are plausible"
    rows = raw.rows["memory"]
    if not rows:
        return nothing(name, "no block has come to its end")
    total = (raw.document["board_state"] or {}).get("memory_total_bytes")
    same = run.same_machine
    wrong = []
    for row in rows:
        process, board = row.process_peak_bytes, row.board_peak_bytes
        if process is not None and not 1 << 20 <= process <= (total or process):
            wrong.append("%s: its process had %d bytes" % (row.block, process))
        if board is not None and (same or board > (total or board)):
            why = "the server ran on the same machine" if same else "the board has fewer"
            wrong.append("%s: the board had %d bytes, and %s" % (row.block, board, why))
    if run.finished:
        ended = {row.block for row in rows}
        blocks = {row["id"] for row in raw.document["blocks"]} - run.replaced
        if raw.document.get("deployed"):  # a configuration of its policy may have taken no frame
            blocks &= set(run.samples.by(lambda sample: sample.block))
        wrong += ["%s has none" % block for block in sorted(blocks - ended)]
        lost = lacking(run)
        wrong += ["%s: %s" % (b, why) for b, why in sorted(lost.items()) if b in ended]
    return verdict(name, wrong, "%d processes" % len(rows))


def _clocks(raw: Raw) -> Check:
    name = "clock estimates are plausible"
    rows = raw.rows["clock"]
    if not rows:
        return nothing(name, "no server was asked")
    wrong = []
    for number, row in enumerate(rows, 1):
        unknown = row.offset_s is None
        if unknown != (row.why_not is not None) or unknown != (row.uncertainty_s is None):
            wrong.append("clock.jsonl, line %d has neither an offset nor a reason" % number)
        elif not unknown and row.uncertainty_s >= 3600:
            wrong.append("clock.jsonl, line %d is uncertain by %r s" % (number, row.uncertainty_s))
    return verdict(name, wrong, "%d estimates" % len(rows))


def _causal(run: Run) -> Check:
    """On one clock, a request is there after it was sent and before its answer is back."""
    name = "both ends agree on what came first"
    wrong, count = [], 0
    estimates: Dict[str, List[ClockEstimate]] = {}
    for estimate in run.clock:
        estimates.setdefault(estimate.block, []).append(estimate)
    for sample in run.attempts.where(lambda sample: sample.ok and sample.requests):
        for request in sample.requests:
            sent, back = request.sent_monotonic_s, request.received_monotonic_s
            there = request.server_monotonic_s
            if sent is None or back is None or there is None:
                continue
            own = estimates.get(sample.block, [])
            clock = offset_at(own, sent, sample.block, sample.session)
            if clock is None:
                continue
            count += 1
            slack = _CLOCK_S + (clock.uncertainty_s or 0.0) + 4e-4 * abs(sent - clock.monotonic_s)
            if not sent - slack <= there - (clock.offset_s or 0.0) <= back + slack:
                wrong.append("%s reached its server outside of its round trip" % place(sample))
    looked = "%d requests" % count
    return verdict(name, wrong, looked) if count else nothing(name, "no clock was compared")


def _network(run: Run) -> Check:
    """Clocks that jumped, links off their rate, other versions: in run.json where there were any."""
    known = run.document.get("network_notes") or []
    notes = network_notes(run.document, run.config, run.clock, run.rates)
    wrong = ["not in run.json: %s" % sentence for sentence in notes if sentence not in known]
    looked = "; ".join(known) if known else "nothing was odd"
    return verdict("network problems are reported", wrong, looked)


def _same(a: Optional[float], b: Optional[float]) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= _CLOSE * max(1.0, abs(a), abs(b))
