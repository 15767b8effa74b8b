"""The summary's sentences: where the order of configurations turns, and the best savings."""

from dataclasses import dataclass, replace

from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value
from splitwatt.reports.tables.breakeven import Turn, best_turn, computed_of, turns
from splitwatt.reports.tables.savings import Saving, best, saved_metrics, savings
from splitwatt.reports.tables.table import percent, significant

OF_BOARD = "times this run's board"


@dataclass(frozen=True)
class Headline:
    """A sentence, and the number in it: what is saved, in percent, or another one by its unit."""

    text: str
    value: Value
    unit: str = "% saved"


def headlines(series: list[Series]) -> list[Headline]:
    """First where the order turns on each link, then a saving for each metric and kind of baseline
    that was measured.

    A user's own configuration is compared with the best baseline of the kind. The paper's are
    compared with the heaviest one, like the paper's "up to", and the paper's statement is added.
    """
    lines = []
    for s in series:
        all_savings = savings(s)
        prefix = f"{s.label}: " if len(series) > 1 else ""
        lines += [replace(line, text=prefix + line.text) for line in _turning(s)]
        for metric in saved_metrics(s):
            for baseline in metric.baselines:
                here = [
                    o for o in all_savings if (o.metric.name, o.baseline) == (metric.name, baseline)
                ]
                papers = [o for o in here if o.entry.papers]
                own = [
                    replace(o, heaviest=o.lightest, most=o.least) for o in here if o not in papers
                ]
                for top, of_paper in ((best(own), False), (best(papers), True)):
                    if top:
                        lines.append(Headline(prefix + _sentence(top, of_paper), top.most))
    return lines


def _turning(s: Series) -> list[Headline]:
    """On each link, the boards on which a configuration under test beats the fastest and the slowest
    local one, if there are any.
    """
    all_turns, lines = turns(s), []
    locals_ = list({turn.local.id: turn.local for turn in all_turns}.values())
    for link in dict.fromkeys(turn.link for turn in all_turns):
        best = [turn for local in locals_ if (turn := best_turn(all_turns, link, local))]
        if best:
            words = " and ".join(_beats(turn, locals_) for turn in best)
            sources = "+".join(computed_of(best[0].entry))
            lines.append(Headline(f"At {link.name} {words} ({sources}).", best[0].board, OF_BOARD))
    return lines


def _beats(turn: Turn, locals_: list[Entry]) -> str:
    board, which = turn.board, "fastest" if turn.local is locals_[0] else "slowest"
    local = f"{turn.local.marked}, the {which if len(locals_) > 1 else 'only'} local row,"
    if board.value is None:
        ahead = board.word == "always"
        return f"{turn.entry.marked if ahead else 'no configuration under test'} beats {local} on any board"
    interval = ""
    if board.low is not None and board.high is not None:
        interval = f" (95 % interval {significant(board.low)} to {significant(board.high)})"
    speed = significant(board.value)
    return f"{turn.entry.marked} beats {local} on boards slower than {speed} {OF_BOARD}{interval}"


def compared(top: Saving) -> str:
    """The words between the two configurations: `saves 93.6 % against`, `takes 2.4 times as long as`.

    Raises:
        ValueError: the saving has no number.
    """
    saved = top.most.value
    if saved is None:
        raise ValueError("a saving without a number has no words")
    time = top.metric.unit == "s"
    if percent(saved) == "0.0":
        return "takes as long as" if time else "needs as much as"
    if saved > 0:
        return f"saves {percent(saved)} % against"
    if saved >= -100:
        words = "takes {} % longer than" if time else "needs {} % more than"
        return words.format(percent(-saved))
    words = "takes {} times as long as" if time else "needs {} times as much as"
    return words.format(significant(1 - saved / 100))


def _sentence(top: Saving, of_paper: bool) -> str:
    if top.heaviest is None:
        raise ValueError("a saving without a number has no sentence")
    pair = f"{top.entry.marked} {compared(top)} {top.heaviest.marked}"
    if not of_paper:
        kind = "local" if top.baseline == "LC" else "split"
        return f"{top.metric.name}: {pair}, the best {kind} baseline; {top.most.source}."
    stated = sorted({statement.percent for statement in top.published})
    paper = ", ".join(percent(value) for value in stated)
    beside = f" (the paper states up to {paper} % for its {top.baseline} rows)" if paper else ""
    return f"{top.metric.name}: {pair}{beside}; {top.most.source}."
