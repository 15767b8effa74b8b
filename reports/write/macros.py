"""macros.tex: every headline number as a LaTeX macro, so that no text copies a number."""

import string
from dataclasses import dataclass, replace

from splitwatt.reports.load.model import Series, links_of_all
from splitwatt.reports.load.values import Value, unique
from splitwatt.reports.metrics.metric import BASELINES, metrics
from splitwatt.reports.tables.savings import Saving, best, savings
from splitwatt.reports.tables.table import Table, percent
from splitwatt.reports.write.headlines import compared
from splitwatt.reports.write.tex import escape, macro

_LETTERS = [*string.ascii_uppercase[1:], *(a + b for a in "AB" for b in string.ascii_uppercase)]


@dataclass(frozen=True)
class Macro:
    """A macro: its name without the backslash, its text, and what it is, for a comment."""

    name: str
    text: str
    comment: str


def macros(series: list[Series], summary: Table) -> list[Macro]:
    """The savings in words, and the summary's numbers. No name is used twice: if two names have the
    same letters, the second one ends in B.
    """
    by_name: dict[str, Macro] = {}
    for made in [*_savings(series), *_numbers(series, summary)]:
        name, more = made.name, iter(_LETTERS)
        while name in by_name and by_name[name].text != made.text:
            name = made.name + next(more)
        by_name.setdefault(name, replace(made, name=name))
    return list(by_name.values())


def to_tex(made: list[Macro]) -> str:
    """The file: a number has no unit and no percent sign; its comment says both, and its sources."""
    lines = [
        "% Numbers of a splitwatt report; made with it, not to be edited.",
        "% Saving: a percentage, negative where more is needed. Compared: the same as words between "
        "two names,",
        "% which read right either way: Ours \\LadonLatencyComparedLC{} local computing.",
    ]
    lines += [f"\\newcommand{{\\{m.name}}}{{{m.text}}} % {m.comment}" for m in made]
    return "\n".join(lines) + "\n"


def _savings(series: list[Series]) -> list[Macro]:
    """The largest saving of each metric: of all, against each baseline, on each link and board."""
    everything = [saving for s in series for saving in savings(s)]
    result = []
    for word in unique(saving.metric.word for saving in everything):
        of_metric = [s for s in everything if s.metric.word == word]
        result += _best(of_metric, word, "Saving")
        for baseline in BASELINES:
            against = [s for s in of_metric if s.baseline == baseline]
            result += _best(against, word, "Saving", baseline)
            for link in dict.fromkeys(s.link_name for s in against):
                on_link = [s for s in against if s.link_name == link]
                if link:
                    result += _best(on_link, word, "Saving", baseline, link)
                for own in series if len(series) > 1 else []:
                    here = [s for s in on_link if s.series is own]
                    result += _best(here, word, "Saving", baseline, link, *_series_words(own))
    return result


def _series_words(s: Series) -> tuple[str, ...]:
    return s.board, s.backend, s.label.partition("(")[2]


def _best(candidates: list[Saving], *words: str) -> list[Macro]:
    top = best(candidates)
    if top is None or top.heaviest is None or top.most.value is None:
        return []
    system = "Ladon" if top.entry.models[0].startswith("ladon") else top.entry.group
    what = (
        f"percent; {top.metric.name}: {top.entry.label} against {top.heaviest.label}, "
        f"{top.series.label}; {top.most.source}"
    )
    sentence = ["Compared" if word == "Saving" else word for word in words]
    return [
        Macro(macro(system, *words), percent(top.most.value), escape(what)),
        Macro(macro(system, *sentence), escape(compared(top)), escape(f"in words: {what}")),
    ]


def _numbers(series: list[Series], summary: Table) -> list[Macro]:
    """The summary's cells: configuration, column, and board and backend if there are several."""
    shown = metrics(links_of_all(series), summary.name)
    words = {m.column: (*m.key.split("_"), m.link.name) for m in shown if m.link}
    entries = [(s, entry) for s in series for entry in s.entries]
    result = []
    for (s, entry), row in zip(entries, summary.rows, strict=True):
        more = _series_words(s) if len(series) > 1 else ()
        for column in summary.columns:
            value = row[column.key]
            if not isinstance(value, Value) or value.value is None:
                continue
            name = macro(entry.id, *words.get(column.key, column.key.split("_")), *more)
            what = f"{column.heading} of {entry.label}, {s.label}; {value.source}"
            result.append(Macro(name, column.text(value.value), escape(what)))
    return result
