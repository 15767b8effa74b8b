"""Are the samples those of the plan: none missing, none doubled, each with its image, in order?"""

from typing import Dict, List, Set, Tuple

from splitwatt.profiler.check.raw import Check, Raw, Row, nothing, place, verdict
from splitwatt.profiler.config.config import from_document
from splitwatt.profiler.config.steady import WarmUp
from splitwatt.profiler.execute.block.recording import Recorder, Spec
from splitwatt.profiler.execute.work import Done, left

# Between the start of a sample and what lies in it two calls of the clock may pass.
_CLOCK_S = 1e-3


def checks(raw: Raw) -> List[Check]:
    """The checks of this page."""
    return [_readable(raw), _complete(raw), _single(raw), _planned(raw), _forward(raw),
            _windows(raw)]  # fmt: skip


def _readable(raw: Raw) -> Check:
    count = sum(len(rows) for rows in raw.rows.values())
    return verdict("every line can be read", raw.damaged, "%d lines" % count)


def _complete(raw: Raw) -> Check:
    name = "no sample is missing"
    if not raw.finished:
        return nothing(name, "the run is not finished: splitwatt profile --resume %s" % raw.path)
    config = from_document(raw.document["config"], "run.json")
    wrong = []
    for block in raw.document["blocks"]:
        own = [row for row in raw.rows["samples"] if row["block"] == block["id"]]
        inferences = {row["inference"]: row["total_s"] for row in own if not row["warmup"]}
        warmups = {row["inference"] for row in own if row["warmup"]}
        flow = any(row["block"] == block["id"] for row in raw.rows["throughput"])
        missing = left(config, Done(warmups, inferences, flow), len(raw.document["images"]))
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


def _single(raw: Raw) -> Check:
    """A second line of a sample is one that failed before a resume, and nothing else."""
    wrong: List[str] = []
    before: Dict[Tuple[str, bool, int], Row] = {}
    for row in raw.rows["samples"]:
        key = row["block"], row["warmup"], row["inference"]
        again = before.get(key)
        if again is not None and (again["status"] == "ok" or again["failed_by"] == "image"):
            wrong.append("%s stands twice" % place(row))
        before[key] = row
    return verdict("no sample is doubled", wrong, "%d samples" % len(before))


def _planned(raw: Raw) -> Check:
    config = from_document(raw.document["config"], "run.json")
    blocks = {row["id"]: Spec.of(row) for row in raw.document["blocks"]}
    images = [row["file"] for row in raw.document["images"]]
    warm = WarmUp(config.warmup, config.warmup_until, len(images)).images
    wrong = []
    for row in raw.rows["samples"]:
        spec = blocks.get(row["block"])
        if spec is None:
            wrong.append("%s is of no block of the run" % place(row))
            continue
        planned = (spec.config, spec.backend, spec.repeat)
        if (row["config"], row["backend"], row["repeat"]) != planned:
            wrong.append("%s has another configuration than its block" % place(row))
        image = Recorder(config, spec, images, warm).image(row["inference"], row["warmup"])
        if row["image"] != image:
            wrong.append("%s ran %s, not %s" % (place(row), row["image"], image))
    return verdict("samples are those of the plan", wrong, "block, configuration and image of each")


def _forward(raw: Raw) -> Check:
    """In a block, samples follow each other; a resume after a reboot begins another clock."""
    wrong: List[str] = []
    ends: Dict[str, float] = {}
    resumed = bool(raw.document.get("resumed"))
    for row in raw.rows["samples"]:
        start: float = row["started_monotonic_s"]
        if start < ends.get(row["block"], start) - _CLOCK_S and not resumed:
            wrong.append("%s begins before the one before it ends" % place(row))
        ends[row["block"]] = start + (row["total_s"] or 0.0)
        for request in row["requests"]:
            sent, back = request["sent_monotonic_s"], request["received_monotonic_s"]
            if sent is None or back is None:
                continue
            drained = sum(one["drain_s"] or 0.0 for one in row["requests"])
            inside = start - _CLOCK_S <= sent <= back <= ends[row["block"]] + drained + _CLOCK_S
            if not inside:
                wrong.append("%s has a request outside of its own time" % place(row))
    return verdict("times go forward", wrong, "%d blocks" % len(ends))


def _windows(raw: Raw) -> Check:
    name = "inferences lie in their windows"
    windows: Dict[str, List[Tuple[float, float]]] = {}
    wrong: List[str] = []
    for row in raw.rows["windows"]:
        if row["end_s"] < row["start_s"]:
            wrong.append("a window of %s ends before it begins" % row["block"])
        if row["name"] == "inferences":
            windows.setdefault(row["block"], []).append((row["start_s"], row["end_s"]))
    if not windows and not wrong:
        return nothing(name, "no block has come to its end")
    cut_off: Set[str] = set()
    for row in raw.good():
        at = row["started_monotonic_s"]
        known = windows.get(row["block"], [])
        if row["warmup"] or any(start <= at <= end for start, end in known):
            continue
        if _after_a_kill(row, known, raw):
            cut_off.add(row["block"])
        else:
            wrong.append("%s lies in no window of inferences" % place(row))
    more = ", but for %s, which were cut off" % ", ".join(sorted(cut_off)) if cut_off else ""
    return verdict(name, wrong, "%d blocks%s" % (len(windows), more))


def _after_a_kill(row: Row, known: List[Tuple[float, float]], raw: Raw) -> bool:
    """A process that was killed has left samples and no window: the next one's lies after them."""
    processes = sum(1 for memory in raw.rows["memory"] if memory["block"] == row["block"])
    again = bool(raw.document.get("resumed")) or processes > 1
    return again and (not known or row["started_monotonic_s"] < known[-1][0])
