"""Are the samples those of the plan: none missing, none doubled, each with its image, in order?"""

from typing import Dict, List, Set, Tuple

from splitwatt.profiler.check.raw import Check, Raw, nothing, place, verdict
from splitwatt.profiler.config.config import from_document
from splitwatt.profiler.execute.block.recording import Recorder
from splitwatt.profiler.execute.work import Done, left
from splitwatt.profiler.records.blocks import INFERENCES, Block, earlier_blocks
from splitwatt.profiler.records.fields import parse
from splitwatt.profiler.records.sample import Sample

# Two calls of the clock may pass between the start of a sample and what happens in it.
_CLOCK_S = 1e-3


def checks(raw: Raw) -> List[Check]:
    """The checks of this module."""
    return [_readable(raw), _complete(raw), _single(raw), _planned(raw), _forward(raw),
            _windows(raw)]  # fmt: skip


def _readable(raw: Raw) -> Check:
    count = sum(len(rows) for rows in raw.rows.values())
    return verdict("every line can be read", raw.damaged, "%d lines" % count)


def _complete(raw: Raw) -> Check:
    name = "no sample is missing"
    if raw.document["deployed"]:
        return _numbered(raw, name)
    if not raw.finished:
        return nothing(name, "the run is not finished: splitwatt profile --resume %s" % raw.path)
    config = from_document(raw.document["config"], "run.json")
    wrong = []
    samples = raw.samples.by(lambda sample: sample.block)
    flows = {row.block for row in raw.rows["throughput"]}
    for block in raw.document["blocks"]:
        own = samples.get(block["id"], raw.samples[:0])
        inferences = {s.inference: s.total_s for s in own if not s.warmup}
        warmups = {s.inference for s in own if s.warmup}
        done = Done(warmups, inferences, block["id"] in flows)
        missing = left(config, done, len(raw.document["images"]))
        if missing:
            words = [
                "%s %s" % (word, ", ".join(map(str, numbers)))
                for word, numbers in (
                    ("inferences", missing.inferences),
                    ("warm-ups", missing.warmups),
                )
                if numbers
            ]
            words += ["its throughput"] if missing.throughput else []
            wrong.append("%s lacks %s" % (block["id"], " and ".join(words)))
    return verdict(name, wrong, "%d blocks" % len(raw.document["blocks"]))


def _numbered(raw: Raw, name: str) -> Check:
    """Frames have no plan: samples of a block are numbered, and each has its line in the timeline."""
    wrong: List[str] = []
    chosen = {(row.block, row.inference): row for row in raw.rows["timeline"]}
    counts: Dict[str, int] = {}
    for sample in raw.samples:
        number = counts.get(sample.block, 0)
        counts[sample.block] = number + 1
        row = chosen.pop((sample.block, sample.inference), None)
        if sample.inference != number:
            wrong.append("%s is not the next one, %d" % (place(sample), number))
        elif row is None:
            wrong.append("%s has no line in timeline.jsonl" % place(sample))
        elif sample.total_s is not None and abs(sample.total_s - row.latency_s) > _CLOCK_S:
            wrong.append("%s took another time in timeline.jsonl" % place(sample))
    wrong += ["%s %d has no sample" % key for key in chosen]
    return verdict(name, wrong, "%d frames" % len(raw.samples))


def _single(raw: Raw) -> Check:
    """A second line of a sample is one that failed before a resume, and nothing else."""
    wrong: List[str] = []
    once = raw.samples.latest()
    settled: Dict[Tuple[str, bool, int], bool] = {}
    for sample in raw.samples if len(once) < len(raw.samples) else ():
        if settled.get(sample.key):
            wrong.append("%s is there twice" % place(sample))
        settled[sample.key] = sample.settled
    return verdict("no sample is doubled", wrong, "%d samples" % len(once))


def _planned(raw: Raw) -> Check:
    config = from_document(raw.document["config"], "run.json")
    blocks = {row["id"]: parse(Block, row, "run.json") for row in raw.document["blocks"]}
    images = [row["file"] for row in raw.document["images"]]
    recorders = {id: Recorder(config, block, images) for id, block in blocks.items()}
    wrong = []
    for sample in raw.samples:
        block = blocks.get(sample.block)
        if block is None:
            wrong.append("%s belongs to no block of the run" % place(sample))
            continue
        if (sample.config, sample.backend, sample.repeat) != (
            block.config, block.backend, block.repeat
        ):  # fmt: skip
            wrong.append("%s has another configuration than its block" % place(sample))
        image = recorders[block.id].image(sample.inference, sample.warmup)
        if sample.image != image and not raw.document["deployed"]:
            wrong.append("%s ran %s, not %s" % (place(sample), sample.image, image))
    return verdict("samples are those of the plan", wrong, "block, configuration and image of each")


def _forward(raw: Raw) -> Check:
    """In a block, samples follow each other; a resume after a reboot begins another clock."""
    wrong: List[str] = []
    ends: Dict[str, float] = {}
    resumed = bool(raw.document.get("resumed"))
    for sample in raw.samples:
        start = sample.started_monotonic_s
        overlap = resumed or bool(raw.document["deployed"])  # frames are in flight together
        if start < ends.get(sample.block, start) - _CLOCK_S and not overlap:
            wrong.append("%s begins before the one before it ends" % place(sample))
        drained = sum(request.drain_s or 0.0 for request in sample.requests)
        end = ends[sample.block] = start + (sample.total_s or 0.0)
        for request in sample.requests:
            sent, back = request.sent_monotonic_s, request.received_monotonic_s
            if sent is None or back is None:
                continue
            if not start - _CLOCK_S <= sent <= back <= end + drained + _CLOCK_S:
                wrong.append("%s has a request outside its own time" % place(sample))
    return verdict("times go forward", wrong, "%d blocks" % len(ends))


def _windows(raw: Raw) -> Check:
    name = "inferences are in their windows"
    windows: Dict[str, List[Tuple[float, float]]] = {}
    wrong: List[str] = []
    for row in raw.rows["windows"]:
        if row.end_s < row.start_s:
            wrong.append("a window of %s ends before it begins" % row.block)
        if row.name == INFERENCES:
            windows.setdefault(row.block, []).append((row.start_s, row.end_s))
    if not windows and not wrong:
        return nothing(name, "no block has come to its end")
    replaced = earlier_blocks(raw.document["blocks"])
    cut_off: Set[str] = set()
    for sample in raw.good():
        at = sample.started_monotonic_s
        known = windows.get(sample.block, [])
        if sample.warmup or any(start <= at <= end for start, end in known):
            continue
        if _after_a_kill(sample, known, raw) or sample.block in replaced:
            cut_off.add(sample.block)
        else:
            wrong.append("%s is in no window of inferences" % place(sample))
    more = ", except %s, which were cut off" % ", ".join(sorted(cut_off)) if cut_off else ""
    return verdict(name, wrong, "%d blocks%s" % (len(windows), more))


def _after_a_kill(sample: Sample, known: List[Tuple[float, float]], raw: Raw) -> bool:
    """A killed process left samples and no window: the next process's window is after them."""
    processes = sum(1 for memory in raw.rows["memory"] if memory.block == sample.block)
    again = bool(raw.document.get("resumed")) or processes > 1
    return again and (not known or sample.started_monotonic_s < known[-1][0])
