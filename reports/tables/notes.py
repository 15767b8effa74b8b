"""The sentences under tables and figures that say what their numbers do not mean."""

from collections.abc import Iterable

from splitwatt.profiler.analyse.conditions import quota_note
from splitwatt.profiler.records.sample import ESTIMATED, PUBLISHED
from splitwatt.reports.load.model import Entry, Series, board_of, runs_of
from splitwatt.reports.load.values import ranges, unique

PAPER_BOARDS = ("nano", "xavier_nx")
PAPER_ROWS = 40


def untrained(series: list[Series], made_bytes: bool = False) -> list[str]:
    """The sentences on untrained weights; none where every split model is trained.

    `made_bytes`: bytes are shown that were made here and that no link carries.
    """
    entries = [e for s in series for e in s.entries if e.split and e.untrained]
    made = [entry for entry in entries if entry.random_bytes]
    files = [entry for entry in entries if not entry.random_bytes]
    carried = [entry for entry in made if not entry.charged]
    charged = [entry for entry in made if entry.charged]
    notes = []
    if carried:
        notes.append(
            f"Untrained (random) weights in {_who(carried, series)}: their bytes, the transfer time "
            "that follows from their bytes, and any accuracy mean nothing."
        )
    if charged:
        not_carried = "the bytes that were made here mean nothing, and no link carries them"
        notes.append(
            f"Untrained (random) weights in {_who(charged, series)}: "
            f"{not_carried if made_bytes else 'neither their bytes nor their answers are used'}; "
            "links carry published or estimated sizes instead, and times are those of this run."
        )
    if files:
        notes.append(
            f"Untrained (random) weights in {_who(files, series)}: their answers are not used; their "
            "bytes are an image codec's, which has no weights."
        )
    return notes


def assumed(series: list[Series]) -> list[str]:
    """A footnote for each assumed configuration."""
    entries = {e.id: e for s in series for e in s.entries if e.assumed}
    return [
        f"† {e.label} is assumed: {e.note or 'the paper does not define it'}".rstrip(".") + "."
        for e in entries.values()
    ]


def published_payload(series: list[Series]) -> list[str]:
    """Says that a simulated link carried published sizes, which are estimated, and how, and
    where it carried measured bytes after all.
    """
    runs = [s for s in series if s.run.config.payload == PUBLISHED]
    if not runs:
        return []
    sent = [entry for s in runs for entry in s.entries if entry.split and entry.samples]
    estimated = [entry for entry in sent if entry.charged == ESTIMATED]
    without = [entry for entry in sent if entry.charged is None]
    whose = "" if len(runs) == len(series) else f" of {'; '.join(s.label for s in runs)}"
    words = [
        f"Payload{whose}: published. The simulated link carries each system's published mean size, "
        "not the bytes made here"
    ]
    if estimated:
        words.append(f"for {_labels(estimated)} no size was published, and it is {_HOW_ESTIMATED}")
    if without:
        who = _labels(without)
        words.append(f"for {who} no size is published: there it carries the measured bytes")
    return ["; ".join(words) + "."]


_HOW_ESTIMATED = (
    "estimated: the published bits per latent element of Ladon R50, which has the same encoder, "
    "over COCO, interpolated between its betas (a line in logarithms), times the latent elements "
    "of Entropic Student at a 640x480 photograph"
)


def on_bytes(series: list[Series], made_bytes: bool = False) -> list[str]:
    """All of these sentences: what links carry, what is assumed, whose weights are untrained."""
    return [*published_payload(series), *assumed(series), *untrained(series, made_bytes)]


def board_state(series: list[Series]) -> list[str]:
    """Says which board was one under a CPU quota, in whose samples it throttled, and whose warm-up
    ended before it was stable.
    """
    entries = [entry for s in series for entry in s.entries]
    hot = [entry for entry in entries if entry.throttled]
    cold = [entry for entry in entries if entry.unsteady]
    lines = [
        f"Board {board_of(run)}: {note.partition(': ')[2]}."
        for run in runs_of(series)
        if (note := quota_note(run.document))
    ]
    lines += [f"The board throttled in samples of {_labels(hot)}."] if hot else []
    if cold:
        lines.append(f"Not stable when the warm-up reached its cap: blocks of {_labels(cold)}.")
    return lines


def made_up_energy(series: list[Series]) -> list[str]:
    """A sentence on each configuration whose joules no sensor of the run measured."""
    strange: dict[str, list[Entry]] = {}
    for entry in (e for s in series for e in s.entries):
        for word in {block.provenance for block in entry.energy} - {None, "measured"}:
            strange.setdefault(str(word), []).append(entry)
    how = {"generated": "a made-up load", "replayed": "a trace that was recorded before"}
    return [
        f"Energy of {_labels(entries)} is {word}: the sensor was {how.get(word, 'none')}, and its "
        "joules mean nothing."
        for word, entries in strange.items()
    ]


def _labels(entries: Iterable[Entry]) -> str:
    return ranges(entry.label for entry in entries)


def _who(marked: list[Entry], series: list[Series]) -> str:
    """The marked rows; with their series where the same row of another one is not marked."""
    own = {id(entry) for entry in marked}
    others = [e for s in series for e in s.entries if e.split and id(e) not in own]
    if not others:
        return "all split rows"
    if not {e.label for e in others} & {e.label for e in marked}:
        return _labels(marked)
    where: dict[str, list[str]] = {}
    for s in series:
        if labels := _labels(e for e in s.entries if id(e) in own):
            where.setdefault(labels, []).append(s.label)
    return "; ".join(f"{labels} ({'; '.join(places)})" for labels, places in where.items())


def _whose_bytes(series: list[Series]) -> list[str]:
    """Why transfer times are not the paper's, if there is anything to say."""
    sent = [entry for s in series for entry in s.entries if entry.split and entry.samples]
    reasons = []
    if any(entry.random_bytes and not entry.charged for entry in sent):
        reasons.append("weights are random here, so bytes and transfer times are not the paper's")
    estimated = [entry for entry in sent if entry.charged == ESTIMATED]
    if estimated:
        reasons.append(
            f"the sizes that {_labels(estimated)} send are estimated here, where the paper has "
            "measured them and prints no numbers"
        )
    if any(entry.charged == PUBLISHED for entry in sent):
        reasons.append(
            "published sizes are means over COCO, the paper's latencies are of its own photographs"
        )
    return reasons


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
    reasons += _whose_bytes(series)
    rows = {e.id for s in series for e in s.entries}
    if len(rows) < PAPER_ROWS:
        reasons.append(f"{len(rows)} of the paper's {PAPER_ROWS} rows were run")
    return ["Why they differ: " + "; ".join(reasons) + "."] if reasons else []
