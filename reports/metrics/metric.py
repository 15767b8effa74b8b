"""What a metric of a report declares, and the list of all metrics.

Each module of this folder declares its metrics in `METRICS`, or in `on_link` for one metric per link.
Tables, figures, savings, macros, the page and comparisons show what is declared.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from splitwatt.reports.load.model import Entry, Link, Sample, Series, slug
from splitwatt.reports.load.values import Value

# Savings are stated for every entry that is neither: Ladon's rows (Ours), a user's own.
BASELINES = ("LC", "SC")
# The values of one block, each with the name of its image.
Block = list[tuple[str, float]]


def one_per_board(series: list[Series]) -> list[Series]:
    """A panel per board: its graphs are the same on all of its backends."""
    return list({s.board: s for s in reversed(series)}.values())[::-1]


def one_per_run(series: list[Series]) -> list[Series]:
    """A panel per run: its backends send the same bytes."""
    return list({s.run.id: s for s in reversed(series)}.values())[::-1]


@dataclass(frozen=True)
class Chart:
    """A figure: its file name, its words, and the value that each set of marks shows.

    `sets`: name of a set -> its values; one set is drawn as bars, several as dots on a logarithmic
    axis. `error_bars`: what the intervals are. `shows`: "bytes", "made" (bytes that links do not
    carry), "energy" or "time": the warnings in the caption depend on them. `only_split`: leave out
    local configurations. `parts`: what a bar is stacked of.
    """

    name: str
    title: str
    caption: str
    axis: str
    sets: Mapping[str, Callable[[Entry], Value]]
    error_bars: str = ""
    panels: Callable[[list[Series]], list[Series]] = list  # a panel per board and backend
    only_split: bool = False
    shows: tuple[str, ...] = ()
    parts: Callable[[Entry], Sequence[float]] | None = None


@dataclass(frozen=True)
class Metric:
    """A figure of a configuration, and where a report shows it.

    `key`: name of its column, ends in the unit. `of`: the value for an entry. `place`: metrics are
    shown in this order. `tables`: names of the tables with this column, and "compare" for
    comparisons. `quiet`: readers do not see it if all rows are equal. `if_known`: files do not have
    it either if no row has a number. `note`: printed under these tables. `interval`: names of the
    tables that print its interval.
    `sample`: the value for one sample, also for one of columns (`Samples.columns`). `blocks`: the
    values of each block. Savings and comparisons are tested with them; a metric with neither is
    counted and has no error.
    `word`: name of its savings in macros; without one it has no savings. `baselines`: the kinds of
    baseline that savings are computed against. `stated`: its name among the paper's statements.
    """

    key: str
    title: str
    unit: str
    of: Callable[[Entry], Value]
    place: int
    tables: tuple[str, ...] = ("summary",)
    interval: tuple[str, ...] = ()
    quiet: bool = False
    if_known: bool = False
    note: str = ""
    sample: Callable[[Sample], float | None] | None = None
    blocks: Callable[[Entry], list[Block]] | None = None
    word: str = ""
    baselines: tuple[str, ...] = BASELINES
    stated: str = ""
    link: Link | None = None
    charts: tuple[Chart, ...] = field(default=())

    @property
    def name(self) -> str:
        """The title, with the link where it depends on one: `End-to-end latency at 100 kbit/s`."""
        return f"{self.title} at {self.link.name}" if self.link else self.title

    @property
    def column(self) -> str:
        """The key of its column, with the link where it depends on one."""
        return f"{self.key}_{slug(self.link)}" if self.link else self.key

    def value(self, entry: Entry) -> Value:
        """`of` an entry, computed once: savings compare every configuration with every baseline row."""
        key = "value", self.column
        if key not in entry.computed:
            entry.computed[key] = self.of(entry)
        known: Value = entry.computed[key]
        return known

    def samples(self, entry: Entry) -> np.ndarray:
        """The values of all samples that have one, block by block."""
        key = "samples", self.column
        if key not in entry.computed:
            blocks = entry.samples.by(lambda sample: sample.block).values() if self.sample else ()
            values = [own.known(self.sample) for own in blocks if self.sample]
            entry.computed[key] = np.concatenate([[], *values])
        known: np.ndarray = entry.computed[key]
        return known

    def blocks_of(self, entry: Entry) -> list[Block]:
        """Its values, block by block; empty for a counted metric."""
        if self.blocks:
            return self.blocks(entry)
        if self.sample is None:
            return []
        blocks = []
        for own in entry.samples.by(lambda sample: sample.block).values():
            images, values = own.each(lambda sample: sample.image, None), own.each(self.sample)
            blocks.append([(i, v) for i, v in zip(images, values.tolist(), strict=True) if v == v])
        return [block for block in blocks if block]


def metrics(links: Iterable[Link] = (), table: str = "") -> list[Metric]:
    """Every metric, also those of each link, in their order; only those of `table` if it is named."""
    all_metrics: list[Metric] = []
    on_link: list[Callable[[Link], Metric]] = []
    folder = importlib.import_module("splitwatt.reports.metrics")
    for name in sorted(module.name for module in pkgutil.iter_modules(folder.__path__)):
        module = importlib.import_module(f"{folder.__name__}.{name}")
        all_metrics += getattr(module, "METRICS", ())
        on_link += [module.on_link] if hasattr(module, "on_link") else []
    all_metrics += [make(link) for link in links for make in on_link]
    kept = [metric for metric in all_metrics if not table or table in metric.tables]
    return sorted(kept, key=lambda metric: metric.place)


def notes_of(shown: Sequence[Metric]) -> list[str]:
    """The notes of a table with these metrics, each once."""
    return list(dict.fromkeys(metric.note for metric in shown if metric.note))
