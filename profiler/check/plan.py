"""Are the samples those of the plan: none missing, none doubled, each with its image, in order?"""

import os
from typing import Dict, List, Set, Tuple

from splitwatt.profiler.check.check import Check, nothing, place, verdict
from splitwatt.profiler.execute.block.recording import Recorder
from splitwatt.profiler.execute.work import Done, left
from splitwatt.profiler.records.blocks import INFERENCES, earlier_blocks
from splitwatt.profiler.records.document import blocks_of
from splitwatt.profiler.records.reading import open_file
from splitwatt.profiler.records.run import FILES, Run
from splitwatt.profiler.records.sample import Sample

# Two calls of the clock may pass between the start of a sample and what happens in it.
_CLOCK_S = 1e-3


def checks(run: Run) -> List[Check]:
    """The checks of this module."""
    return [_readable(run), _complete(run), _single(run), _planned(run), _forward(run),
            _windows(run)]  # fmt: skip


def _readable(run: Run) -> Check:
    wrong = list(run.damaged)
    for name in FILES:
        path = os.path.join(run.path, name)
        if os.path.lexists(path):
            with open_file(path) as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - 1))
                if stream.read() not in (b"", b"\n"):
                    wrong.append("%s: its last line is cut off" % name)
    return verdict("every line can be read", wrong, "%d samples" % len(run.attempts))


def _complete(run: Run) -> Check:
    name = "no sample is missing"
    if run.document["deployed"]:
        return _numbered(run, name)
    if not run.finished:
        return nothing(name, "the run is not finished: splitwatt profile --resume %s" % run.path)
    wrong = []
    samples = run.attempts.by(lambda sample: sample.block)
    flows = {row.block for row in run.throughput}
    for block in run.document["blocks"]:
        own = samples.get(block["id"], run.attempts[:0])
        inferences = {s.inference: s.total_s for s in own if not s.warmup}
        warmups = {s.inference for s in own if s.warmup}
        done = Done(warmups, inferences, block["id"] in flows)
        missing = left(run.config, done, len(run.document["images"]))
        if missing:
            both = (("inferences", missing.inferences), ("warm-ups", missing.warmups))
            words = ["%s %s" % (word, ", ".join(map(str, own))) for word, own in both if own]
            words += ["its throughput"] if missing.throughput else []
            wrong.append("%s lacks %s" % (block["id"], " and ".join(words)))
    return verdict(name, wrong, "%d blocks" % len(run.document["blocks"]))


def _numbered(run: Run, name: str) -> Check:
    """Frames have no plan: samples of a block are numbered, and each has its line in the timeline."""
    wrong: List[str] = []
    chosen = {(row.block, row.inference): row for row in run.timeline}
    counts: Dict[str, int] = {}
    for sample in run.attempts:
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
    return verdict(name, wrong, "%d frames" % len(run.attempts))


def _single(run: Run) -> Check:
    """A second line of a sample is one that failed before a resume, and nothing else."""
    wrong: List[str] = []
    once = run.attempts.latest()
    settled: Dict[Tuple[str, bool, int], bool] = {}
    for sample in run.attempts if len(once) < len(run.attempts) else ():
        if settled.get(sample.key):
            wrong.append("%s is there twice" % place(sample))
        settled[sample.key] = sample.settled
    return verdict("no sample is doubled", wrong, "%d samples" % len(once))


def _planned(run: Run) -> Check:
    """The reader has compared configuration and backend with those of the block."""
    blocks = blocks_of(run.document)
    images = [row["file"] for row in run.document["images"]]
    recorders = {id: Recorder(run.config, block, images) for id, block in blocks.items()}
    wrong = []
    for sample in run.attempts:
        if sample.repeat != blocks[sample.block].repeat:
            wrong.append("%s is of another repeat than its block" % place(sample))
        image = recorders[sample.block].image(sample.inference, sample.warmup)
        if sample.image != image and not run.document["deployed"]:
            wrong.append("%s ran %s, not %s" % (place(sample), sample.image, image))
    return verdict("samples are those of the plan", wrong, "repeat and image of each")


def _forward(run: Run) -> Check:
    """In a block, samples follow each other; a resume after a reboot begins another clock."""
    wrong: List[str] = []
    ends: Dict[str, float] = {}
    resumed = bool(run.document.get("resumed"))
    for sample in run.attempts:
        start = sample.started_monotonic_s
        overlap = resumed or bool(run.document["deployed"])  # frames are in flight together
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


def _windows(run: Run) -> Check:
    name = "inferences are in their windows"
    windows: Dict[str, List[Tuple[float, float]]] = {}
    wrong: List[str] = []
    for row in run.windows:
        if row.end_s < row.start_s:
            wrong.append("a window of %s ends before it begins" % row.block)
        if row.name == INFERENCES:
            windows.setdefault(row.block, []).append((row.start_s, row.end_s))
    if not windows and not wrong:
        return nothing(name, "no block has come to its end")
    replaced = earlier_blocks(run.document["blocks"])
    cut_off: Set[str] = set()
    for sample in run.good():
        at = sample.started_monotonic_s
        known = windows.get(sample.block, [])
        if sample.warmup or any(start <= at <= end for start, end in known):
            continue
        if _after_a_kill(sample, known, run) or sample.block in replaced:
            cut_off.add(sample.block)
        else:
            wrong.append("%s is in no window of inferences" % place(sample))
    more = ", except %s, which were cut off" % ", ".join(sorted(cut_off)) if cut_off else ""
    return verdict(name, wrong, "%d blocks%s" % (len(windows), more))


def _after_a_kill(sample: Sample, known: List[Tuple[float, float]], run: Run) -> bool:
    """A killed process left samples and no window: the next process's window is after them."""
    processes = sum(1 for memory in run.memory if memory.block == sample.block)
    again = bool(run.document.get("resumed")) or processes > 1
    return again and (not known or sample.started_monotonic_s < known[-1][0])
