"""What the paper states, to stand beside a run's figures and never among them."""
# board: no

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

SAME_RATE = 1e-9


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
            metric=row["metric"],
            baseline=row["baseline"],
            board=row["board"],
            link_kbit_s=float(row["link_kbit_s"]) if row["link_kbit_s"] else None,
            percent=float(row["percent"]),
            text=row["text"],
            where=row["where"],
        )
        for row in _rows("statements.csv")
    )


def stated(metric: str, baseline: str, link_kbit_s: float | None) -> list[Statement]:
    """The statements on this metric against this baseline, for a link of this rate."""
    return [
        s
        for s in statements()
        if s.metric == metric and s.baseline == baseline and _same(s.link_kbit_s, link_kbit_s)
    ]


@lru_cache(maxsize=1)
def peak_memory_gb() -> dict[str, dict[str, float]]:
    """Table S1: configuration id -> column -> GB, as printed."""
    return {
        row["config"]: {name: float(row[name]) for name in row if name != "config"}
        for row in _rows("table_s1.csv")
    }


def _same(a: float | None, b: float | None) -> bool:
    return a is b if a is None or b is None else abs(a - b) < SAME_RATE


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("reports.published").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
