"""Do the records of a run fit each other, and do its figures follow from them?"""

from collections import Counter
from functools import partial
from typing import Any, Dict, List, Optional

import numpy as np

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.energy.trace.files import read_trace
from splitwatt.profiler.analyse.conditions import network_notes
from splitwatt.profiler.analyse.energy import energy_of, server_energy_of, stage_energy_of
from splitwatt.profiler.analyse.waterfall import offset_at
from splitwatt.profiler.check.check import Check, nothing, place, verdict
from splitwatt.profiler.config.config import SPLIT
from splitwatt.profiler.execute.work import lacking
from splitwatt.profiler.records.blocks import ClockEstimate
from splitwatt.profiler.records.run import Run
from splitwatt.profiler.records.sample import Sample

# Stages are additive by construction; the time between two calls is missing.
_MISSING_PART, _MISSING_S = 0.02, 0.5e-3
# Of fewer samples, one that a busy machine interrupted is half.
_LEAST_SAMPLES = 3
# Of a single sample: a busy machine may run something else for this long between two stages.
_TAKEN_S = 0.04
# The kernel holds a process under a quota back for up to its period of 100 ms, anywhere.
_HELD_S = 0.1
_CLOSE = 1e-9
_CLOCK_S = 2e-3
# No exchange of times is waited for as long.
_UNCERTAIN_S = 3600.0
# No board draws more, and a sensor's noise is no lower.
_LEAST_W, _MOST_W = -50, 5000
_BYTES = ("payload_bytes", "wire_up_bytes", "wire_down_bytes")


def checks(run: Run) -> List[Check]:
    """The checks of this module."""
    return [
        _stages(run), _bytes(run), _nulls(run), _throughput(run), _starts(run), _memory(run),
        _clocks(run), _causal(run), _network(run), _traces(run), _joules(run),
    ]  # fmt: skip


def _stages(run: Run) -> Check:
    wrong, halves = [], []
    taken_s = _HELD_S if run.document["quota"] else _TAKEN_S
    good = run.good()
    for block, own in good.by(lambda sample: sample.block).items():
        total_s = own.each(lambda sample: sample.total_s, 0.0)
        off_s = total_s - own.each(lambda sample: sum(sample.stages.values()))
        may_lack_s = np.maximum(_MISSING_PART * total_s, taken_s)
        fits = (total_s > 0) & (off_s >= -_MISSING_S) & (off_s <= may_lack_s)
        wrong += [
            "%s: its stages lack %.3g s of %.3g" % (place(sample), off, total)
            for sample, off, total in zip(own[~fits], off_s[~fits], total_s[~fits])
        ]
        half = np.median(off_s / np.maximum(_MISSING_PART * total_s, _MISSING_S))
        if half > 1 and len(own) >= _LEAST_SAMPLES:
            halves.append(block)
    wrong += [
        "%s: the stages of half of its samples lack more than 2 %% and 0.5 ms" % block
        for block in halves
    ]
    looked = "%d samples, medians within 2 %% or 0.5 ms" % len(good)
    return verdict("stages add up to the total", wrong, looked)


def _bytes(run: Run) -> Check:
    name = "bytes add up"
    sent = run.good().where(lambda sample: sample.requests)
    if not sent:
        return nothing(name, "nothing was sent")
    wrong = []
    for field in _BYTES:
        odd = sent.each(partial(_excess, field=field)) != 0
        wrong += [
            "%s: %s is %r, its requests have %d"
            % (place(one), field, getattr(one, field), _of_requests(one, field))
            for one in sent[odd]
        ]
    odd = sent.each(_too_small) > 0
    wrong += ["%s: a request is no larger than its payload" % place(one) for one in sent[odd]]
    return verdict(name, wrong, "%d samples and their requests" % len(sent))


def _of_requests(sample: Sample, field: str) -> Any:
    """The sum over a sample's requests; of a sample of columns an array, as the next two."""
    return sum(getattr(request, field) for request in sample.requests)


def _excess(sample: Sample, field: str) -> Any:
    own = getattr(sample, field)
    return None if own is None else own - _of_requests(sample, field)


def _too_small(sample: Sample) -> Any:
    odd: Any = False
    for one in sample.requests:
        odd |= (one.payload_bytes <= 0) | (one.payload_bytes >= one.wire_up_bytes)
    return odd


def _nulls(run: Run) -> Check:
    """What was not measured is null, and what was is not."""
    # `splitwatt run` without a server runs a split bundle's both ends here, and sends nothing.
    served = run.document["server"] is not None
    split = {row.id for row in run.config.configurations if served and row.kind == SPLIT}

    def fits(sample: Sample) -> bool:
        sent = sample.ok and sample.config in split
        counted = [sample.requests or None, *(getattr(sample, field) for field in _BYTES)]
        return sample.ok == (sample.total_s is not None) == (sample.reason is None) and {
            value is not None for value in counted
        } == {sent}

    wrong = [
        "%s is %s, and its total, reason, bytes or requests do not fit that"
        % (place(sample), sample.status)
        for sample in run.attempts.where(lambda sample: not fits(sample))
    ]
    return verdict("what was not measured is null", wrong, "%d samples" % len(run.attempts))


def _throughput(run: Run) -> Check:
    name = "throughput is images over time"
    rows = run.throughput
    wrong = []
    for row in rows:
        due = row.images / row.duration_s if row.images and row.duration_s else None
        if not _same(row.images_per_s, due):
            wrong.append("%s says %r a second" % (row.block, row.images_per_s))
    looked = "%d blocks" % len(rows)
    return verdict(name, wrong, looked) if rows else nothing(name, "throughput was not requested")


def _starts(run: Run) -> Check:
    name = "blocks started as they say"
    firsts: Dict[str, List[Optional[float]]] = {}
    for sample in run.attempts.where(lambda sample: sample.warmup):
        firsts.setdefault(sample.block, []).append(sample.total_s)
    # A later process of a block warms up again, and the samples of that are not recorded.
    processes = Counter(row.block for row in run.memory)
    wrong = [
        "%s: its first inference took another time" % row.block
        for row in run.starts
        if processes[row.block] == 1
        and not run.document["resumed"]
        and row.block in firsts
        and not any(_same(row.first_inference_s, own) for own in firsts[row.block])
    ]
    looked = "%d processes" % len(run.starts)
    return verdict(name, wrong, looked) if run.starts else nothing(name, "no process recorded it")


def _memory(run: Run) -> Check:
    name = "memory peaks are plausible"
    rows = run.memory
    if not rows:
        return nothing(name, "no block has come to its end")
    total = (run.document["board_state"] or {}).get("memory_total_bytes")
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
        blocks = {row["id"] for row in run.document["blocks"]} - run.replaced
        if run.document.get("deployed"):  # a configuration of its policy may have taken no frame
            blocks &= set(run.samples.by(lambda sample: sample.block))
        wrong += ["%s has none" % block for block in sorted(blocks - ended)]
        lost = lacking(run)
        wrong += ["%s: %s" % (b, why) for b, why in sorted(lost.items()) if b in ended]
    return verdict(name, wrong, "%d processes" % len(rows))


def _clocks(run: Run) -> Check:
    name = "clock estimates are plausible"
    if not run.clock:
        return nothing(name, "no clock was compared")
    wrong = [
        "%s, %s: neither an offset with its uncertainty nor a reason" % (row.block, row.when)
        for row in run.clock
        if {row.offset_s is None, row.uncertainty_s is None, row.why_not is not None}
        == {False, True}
    ]
    wrong += [
        "%s, %s: uncertain by %r s" % (row.block, row.when, row.uncertainty_s)
        for row in run.clock
        if (row.uncertainty_s or 0.0) >= _UNCERTAIN_S
    ]
    return verdict(name, wrong, "%d estimates" % len(run.clock))


def _causal(run: Run) -> Check:
    """On one clock, a request is there after it was sent and before its answer is back."""
    name = "both ends agree on what came first"
    wrong, count = [], 0
    estimates: Dict[str, List[ClockEstimate]] = {}
    for estimate in run.clock:
        estimates.setdefault(estimate.block, []).append(estimate)
    for sample in run.good().where(lambda sample: sample.requests):
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


def _traces(run: Run) -> Check:
    name = "power traces are whole"
    if not run.power:
        return nothing(name, _why_no_power(run))
    wrong, count = [], 0
    for block, path in sorted(run.power.items()):
        file = "power/%s.csv" % block
        try:
            trace = read_trace(path)
        except SplitwattError as error:
            wrong.append(error.message)
            continue
        count += len(trace.times)
        if trace.garbage:
            wrong.append("%s: %d lines or cells are damaged" % (file, trace.garbage))
        if any(b <= a for a, b in zip(trace.times, trace.times[1:])):
            wrong.append("%s: its times do not go forward" % file)
        watts = [value for column in trace.columns for value in column if value is not None]
        if watts and not (min(watts) > _LEAST_W and max(watts) < _MOST_W):
            wrong.append("%s holds watts that no board draws" % file)
    return verdict(name, wrong, "%d readings in %d traces" % (count, len(run.power)))


def _joules(run: Run) -> Check:
    name = "joules follow from the power traces"
    rows = energy_of(run) + server_energy_of(run) + stage_energy_of(run)
    rails = [rail for row in rows for rail in row.rails]
    count = sum(1 for rail in rails if rail.joules_per_image is not None)
    if not count:
        refused = [rail.why_not for rail in rails if rail.why_not]
        return nothing(name, refused[0] if refused else _why_no_power(run))
    return verdict(name, [], "%d rails of blocks, stages and servers" % count)


def _why_no_power(run: Run) -> str:
    return "; ".join((run.document.get("power") or {}).get("why_not") or ["no power was recorded"])


def _same(a: Optional[float], b: Optional[float]) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= _CLOSE * max(1.0, abs(a), abs(b))
