"""Tradeoff curves of a task: accuracy against data size, against encoder size, against both."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from splitwatt.reports.load.accuracy import MAIN_METRIC, Accuracy, Result
from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value, exact, missing, ordered
from splitwatt.reports.metrics.agreement import agreements
from splitwatt.reports.papers.printed_names import printed_name
from splitwatt.reports.papers.published import data_set_of, rate_accuracy
from splitwatt.reports.papers.published import rows as printed

# Systems that the papers draw in separate figures, together with the plain Entropic Student:
# name of the figure, its number, which systems.
_APART = (
    ("placement", "SC2 Fig. 8", re.compile(r"resnet50_\w+_eb$")),
    ("codec_placement", "SC2 Fig. 9", re.compile(r"resnet50_\w+_(jpeg|webp)$")),
    ("architectures", "SC2 Fig. 10", re.compile(r"entropic_student_ic_\w+$")),
    ("frankensplit", "FrankenSplit Figs. 13, 15", re.compile(r"frankensplit_\w+$")),
)
_BESIDE = "entropic_student_ic"
# The papers' system of each role: the local and the split baselines, what is under test.
_PAPERS: dict[str, Callable[[Entry], bool]] = {
    "LC": lambda entry: entry.baseline == "LC",
    "SC": lambda entry: entry.baseline == "SC",
    "Ours": lambda entry: entry.under_test,
}


@dataclass(frozen=True)
class Point:
    """One model: its metric in percent, mean data size in KiB, encoder in MiB, and both times."""

    model: str
    percent: Value
    data_kib: Value
    encoder_mib: Value

    @property
    def exr(self) -> Value:
        """Encoder size x data size, in MiB x KiB (SC2's ExR)."""
        if self.data_kib.value is None or self.encoder_mib.value is None:
            return missing(self.data_kib.why or self.encoder_mib.why or "not known")
        return exact(
            self.data_kib.value * self.encoder_mib.value,
            *ordered((*self.data_kib.sources, *self.encoder_mib.sources)),
        )


@dataclass(frozen=True)
class Curve:
    """A system's points in the order of data size; a model that sends nothing is a level line."""

    system: str
    label: str
    points: tuple[Point, ...]
    published: bool
    local: bool

    def group(self, series: list[Series]) -> str:
        """The system whose colour it has: a group of configurations, or a name of its own."""
        own = {point.model for point in self.points}
        for entry in (entry for s in series for entry in s.entries if entry.split != self.local):
            if any(model in own or model.split("@")[0] == self.system for model in entry.models):
                return entry.group
        return "LC" if self.local else printed_name(self.system)


def systems(series: list[Series], accuracy: Accuracy) -> list[str]:
    """The systems of a report in the order of their colours: one of each role first."""
    shown = [curve for task in MAIN_METRIC for curve in curves(accuracy, task)]
    shown += [curve for made in agreements(series) for curve in curves_of(made.results)]
    entries = [entry for s in series for entry in s.entries]
    first = []
    for papers, has_role in _PAPERS.items():
        own = [entry.group for entry in entries if has_role(entry)]
        first.append(papers if papers in own or not own else own[0])
    groups = [entry.group for entry in entries] + [curve.group(series) for curve in shown]
    return list(dict.fromkeys([*first, *groups]))


def curves(accuracy: Accuracy, task: str) -> list[Curve]:
    """The evaluated systems of a task, then what the papers state on the same data set."""
    results = [r for r in accuracy.of_task(task) if r.main.value is not None]
    comparable = any(result.data_set == data_set_of(task) for result in results)
    return curves_of(results) + (_published(task, results) if comparable else [])


def curves_of(results: Sequence[Result]) -> list[Curve]:
    """A curve for each system, by run, preprocessing and data set where these differ."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    several = {name for name in ("origin", "preprocess", "data_set") if _differs(results, name)}
    for result in results:
        more = [getattr(result, name) for name in sorted(several)]
        groups.setdefault((result.system, *more), []).append(result)
    return [_own(key, own_results) for key, own_results in groups.items()]


def _differs(results: Sequence[Result], name: str) -> bool:
    return len({getattr(result, name) for result in results}) > 1


def _own(key: tuple[str, ...], results: list[Result]) -> Curve:
    points = [Point(r.model, r.main, r.payload_mean_kib, r.encoder_fp32_mib) for r in results]
    label = ", ".join([printed_name(key[0]), *key[1:]])
    return _curve(key[0], label, points, published=False)


def subsets(all_curves: list[Curve]) -> list[tuple[str, str, list[Curve]]]:
    """The curves by the figures that the papers have: name, paper's figure, curves.

    The first, without a name, has all that no other figure is for.
    """
    apart = [c for c in all_curves if any(pattern.match(c.system) for _, _, pattern in _APART)]
    plain = [curve for curve in all_curves if curve not in apart]
    result = [("", "", plain)] if any(not c.published for c in plain) else []
    for name, paper, pattern in _APART:
        own = [curve for curve in all_curves if pattern.match(curve.system)]
        if own:
            beside = [curve for curve in plain if curve.system == _BESIDE]
            result.append((name, paper, beside + own))
    return result


def _curve(system: str, label: str, points: list[Point], published: bool) -> Curve:
    sent = sorted(
        (p for p in points if p.data_kib.value is not None), key=lambda p: p.data_kib.value or 0.0
    )
    return Curve(system, label, tuple(sent or points), published, local=not sent)


def _published(task: str, results: list[Result]) -> list[Curve]:
    encoders = {result.system: result.encoder_fp32_mib for result in results}
    unknown = missing("this system's encoder is not in the runs")
    systems: dict[str, list[Point]] = {}
    for stated in rate_accuracy():
        if stated.task != task or stated.data_size_kib is None:
            continue
        system = stated.model.split("@")[0]
        percent, size = (exact(x, "published") for x in (stated.percent, stated.data_size_kib))
        point = Point(stated.model, percent, size, encoders.get(system, unknown))
        systems.setdefault(system, []).append(point)
    result = [
        _curve(system, f"{printed_name(system)} (published)", points, published=True)
        for system, points in systems.items()
    ]
    models = {r.model for r in results}
    nothing = missing("local computing sends nothing")
    for row in printed("baselines"):
        if row["task"] == task and (model := row["model"]) in models:
            point = Point(model, exact(float(row["value"]), "published"), nothing, nothing)
            result.append(_curve(model, f"{row['name']} (published)", [point], published=True))
    return result


def axis_name(task: str) -> str:
    """The name of a task's metric, on an axis."""
    return MAIN_METRIC[task][1]
