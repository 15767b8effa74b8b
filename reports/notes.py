"""The sentences that must stand under tables and figures: what a reader may not believe of them."""
# board: no

from collections.abc import Iterable

from reports.model import Entry, Series
from reports.words import ranges, unique

PUBLISHED = "published"
PAPER_BOARDS = ("nano", "xavier_nx")
PAPER_ROWS = 40


def untrained(series: list[Series]) -> list[str]:
    """The sentence on untrained weights; none where every split model is trained."""
    entries = [e for s in series for e in s.entries if e.split]
    marked = [entry for entry in entries if entry.untrained]
    if not marked:
        return []
    who = "all SC and Ladon rows" if len(marked) == len(entries) else _labels(marked)
    return [
        f"Untrained (random) weights in {who}: their bytes, the transfer time that follows from "
        "their bytes, and any accuracy mean nothing."
    ]


def untrained_but_published(series: list[Series]) -> list[str]:
    """The same for latencies: without it where the link carries published sizes alone."""
    return untrained(series)


def assumed(series: list[Series]) -> list[str]:
    """A footnote for each assumed configuration."""
    notes = {}
    for entry in (e for s in series for e in s.entries if e.assumed):
        notes[entry.id] = (
            f"† {entry.label} is assumed: {entry.note or 'the paper does not define it'}".rstrip(
                "."
            )
        )
    return [note + "." for note in notes.values()]


def published_payload(series: list[Series]) -> list[str]:
    """Says that a simulated link carried published sizes, and where it could not."""
    runs = [s for s in series if s.run.config.payload == PUBLISHED]
    if not runs:
        return []
    without = [
        entry
        for s in runs
        for entry in s.entries
        if entry.split
        and entry.samples
        and any(sample.published_payload_bytes is None for sample in entry.samples)
    ]
    note = (
        "Payload: published. The simulated link carries each system's published mean size, "
        "not the bytes made here"
    )
    if without:
        note += f"; none is published for {_labels(without)}: there it carries the measured bytes"
    return [note + "."]


def _labels(entries: Iterable[Entry]) -> str:
    return ranges(entry.label for entry in entries)


def why_they_differ(series: list[Series]) -> list[str]:
    """The reasons, known from the records, why a run's savings are not the paper's."""
    reasons = []
    boards = unique(s.board for s in series)
    others = [board for board in boards if board not in PAPER_BOARDS]
    if others:
        reasons.append(
            f"the board here is {', '.join(others)}, the paper's a Jetson Nano or Xavier NX: the "
            "faster the board, the less there is to save against local computing"
        )
    backends = unique(s.run.config.server_backend for s in series)
    if "cpu" in backends:
        reasons.append("the server here runs on a CPU, the paper's on a laptop's GPU with CUDA")
    if any(s.run.same_machine for s in series):
        reasons.append("board and server share one machine here")
    if untrained(series):
        reasons.append("weights are random here, so bytes and transfer times are not the paper's")
    rows = {e.id for s in series for e in s.entries}
    if len(rows) < PAPER_ROWS:
        reasons.append(f"{len(rows)} of the paper's {PAPER_ROWS} rows were run")
    return ["Why they differ: " + "; ".join(reasons) + "."] if reasons else []
