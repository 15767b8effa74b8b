"""The papers' own figures: reports print them next to a run's figures, never as its own."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True)
class Statement:
    """A saving that the Ladon paper states in its text."""

    metric: str
    baseline: str
    board: str
    link_kbit_s: float | None
    percent: float
    text: str
    where: str


@lru_cache(maxsize=1)
def statements() -> tuple[Statement, ...]:
    """Every saving that the paper states in its text (statements.csv)."""
    return tuple(
        Statement(
            **{key: row[key] for key in ("metric", "baseline", "board", "text", "where")},
            link_kbit_s=_number(row["link_kbit_s"]),
            percent=float(row["percent"]),
        )
        for row in _rows("statements.csv")
    )


def stated(metric: str, baseline: str, link_kbit_s: float | None) -> list[Statement]:
    """The statements on this metric against this baseline, for a link of this rate."""
    return [
        s
        for s in statements()
        if s.metric == metric and s.baseline == baseline and same_rate(s.link_kbit_s, link_kbit_s)
    ]


@lru_cache(maxsize=1)
def peak_memory_gb() -> dict[str, dict[str, float]]:
    """Table S1: configuration id -> column -> GB, as printed."""
    return {
        row["config"]: {name: float(row[name]) for name in row if name != "config"}
        for row in _rows("table_s1.csv")
    }


def is_papers(id: str, models: tuple[str, ...]) -> bool:
    """Does the Ladon paper's Table 3 have a configuration of this id, with these models?"""
    return _table3().get(id) == models


@lru_cache(maxsize=1)
def _table3() -> dict[str, tuple[str, ...]]:
    return {row["config"]: tuple(row["models"].split()) for row in _rows("table_3.csv")}


@dataclass(frozen=True)
class Published:
    """Data size and accuracy of a model, as the Ladon paper's own logs state them."""

    model: str
    task: str
    percent: float
    data_size_kib: float | None


_SYSTEMS = {("ladon", "resnet50"): "ladon_r50", ("ladon", "resnest269e"): "ladon_resnest269e"}
_TASKS = {"ilsvrc2012": "classification", "coco2017": "detection", "pascal_voc2012": "segmentation"}


@lru_cache(maxsize=1)
def rate_accuracy() -> tuple[Published, ...]:
    """Every released Ladon model on every task; its data set is that of the task."""
    return tuple(
        Published(
            model=f"{_SYSTEMS[row['system'], row['backbone']]}@{row['beta']}",
            task=_TASKS[row["dataset"]],
            percent=float(row["value"]),
            data_size_kib=_number(row["data_size_kb_mean"]),
        )
        for row in _rows("published.csv", "splitwatt.profiler.config")
    )


def data_set_of(task: str) -> str:
    """The data set on which the papers evaluate a task."""
    return {task: name for name, task in _TASKS.items()}[task]


@lru_cache(maxsize=None)
def rows(name: str) -> tuple[dict[str, str], ...]:
    """A printed table as it is: devices, baselines, frankensplit_backbones, ..."""
    return tuple(_rows(f"{name}.csv"))


def _number(text: str) -> float | None:
    return float(text) if text else None


def same_rate(a: float | None, b: float | None) -> bool:
    """Are two rates the same, or both of them none?"""
    return a is b if a is None or b is None else abs(a - b) < 1e-9


def _rows(name: str, package: str = "splitwatt.reports.papers.published") -> list[dict[str, str]]:
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
