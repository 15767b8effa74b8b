"""The contents of a report: series (one backend of one run) and their entries (configurations)."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from splitwatt.profiler.analyse.energy import (
    BlockEnergy,
    energy_of,
    server_energy_of,
    stage_energy_of,
)
from splitwatt.profiler.analyse.rates import group_of
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.blocks import Start
from splitwatt.profiler.records.run import Run
from splitwatt.profiler.records.sample import ESTIMATED, PUBLISHED, Sample
from splitwatt.profiler.records.samples import Samples
from splitwatt.reports.papers.published import is_papers

__all__ = ["Entry", "Link", "Run", "Sample", "Series", "series_of"]

_NO_TIME = "its record holds no time"


@dataclass(frozen=True)
class Entry:
    """One configuration in one series: its samples that count, and those that failed.

    `id`: such as `LC1`; `split`: does it send anything; `note`: the footnote of an assumed one;
    `links`: those of its series. `energy`: of the board, per block; `server_energy`: of the server
    at the same time; `stage_energy`: of stages that were repeated alone.
    """

    run: Run
    backend: str
    id: str
    split: bool
    models: tuple[str, ...]
    assumed: bool
    note: str
    samples: Samples
    failed: Samples
    links: tuple[Link, ...]
    energy: tuple[BlockEnergy, ...] = ()
    server_energy: tuple[BlockEnergy, ...] = ()
    stage_energy: tuple[BlockEnergy, ...] = ()
    # Figures that several tables and figures show, each computed once.
    computed: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def group(self) -> str:
        """LC, SC or Ours; the letters that a user's own id begins with."""
        return group_of(self.id)

    @property
    def baseline(self) -> str:
        """Its kind of baseline: LC (without a split model) or SC (with one); empty if it is no baseline,
        because it is under test or not among the config's `baselines`.
        """
        baselines = self.run.config.baselines
        if self.under_test or (baselines and self.id not in baselines):
            return ""
        return "SC" if self.split else "LC"

    @property
    def under_test(self) -> bool:
        """Does the config's `method` name it? Without one: is it a split configuration that is not
        called SC and not among the `baselines`?
        """
        config = self.run.config
        if config.method:
            return self.id in config.method
        return self.split and self.group != "SC" and self.id not in config.baselines

    @property
    def papers(self) -> bool:
        """Is it a configuration of the Ladon paper's Table 3: its id and its models?"""
        return is_papers(self.id, self.models)

    @property
    def label(self) -> str:
        """The id as it prints: `LC 1`."""
        return re.sub(r"^([A-Za-z]+)(\d+)$", r"\1 \2", self.id)

    @property
    def marked(self) -> str:
        """The label, with a dagger where the configuration is assumed."""
        return self.label + ("†" if self.assumed else "")

    @property
    def bundles(self) -> list[dict[str, Any]]:
        """The bundle records of the configuration's models, as far as the run has them."""
        known = self.run.bundles
        return [known[model] for model in self.models if model in known]

    @property
    def undescribed(self) -> str:
        """Why the bundles cannot state a figure; empty if the run describes all of them."""
        absent = sorted(set(self.models) - set(self.run.bundles))
        return f"the run does not describe {', '.join(absent)}" if absent else ""

    @property
    def board_parts(self) -> list[dict[str, Any]]:
        """The parts of its bundles that the board runs."""
        parts = [part for bundle in self.bundles for part in bundle["parts"]]
        return [part for part in parts if part["placement"] == "board"]

    @property
    def untrained(self) -> bool:
        """Does a model of this configuration have random weights?"""
        return any(bundle.get("trained") is False for bundle in self.bundles)

    @property
    def random_bytes(self) -> bool:
        """Do its payloads come from random weights? Those of image codecs do not."""
        return any(
            bundle.get("trained") is False
            and any(part["placement"] == "board" for part in bundle["parts"])
            for bundle in self.bundles
        )

    @property
    def doubts(self) -> tuple[str, ...]:
        """Further sources of its bytes: an assumed rate, untrained weights."""
        return ("assumed",) * self.assumed + ("generated",) * self.random_bytes

    @property
    def timed(self) -> tuple[str, ...]:
        """The sources of its measured times and joules; a CPU quota is named as one."""
        return ("measured", "quota") if self.run.document["quota"] else ("measured",)

    @property
    def charged(self) -> str | None:
        """The source of the sizes that links carry instead of the measured bytes: `published`, or
        `estimated` if any sample's size is; None if any sample is sent with its measured bytes.
        """
        charge_sources = set(self.samples.by(lambda sample: sample.published_payload_source))
        if not charge_sources or None in charge_sources:
            return None
        return PUBLISHED if charge_sources == {PUBLISHED} else ESTIMATED

    @property
    def throttled(self) -> int | None:
        """In how many of its samples the board throttled; None if the board does not report it."""
        known = {state: len(own) for state, own in self.samples.by(lambda s: s.throttled).items()}
        return known.get(True, 0) if set(known) - {None} else None

    @property
    def starts(self) -> list[Start]:
        """How its blocks' processes started."""
        own = self.id, self.backend
        return [start for start in self.run.starts if (start.config, start.backend) == own]

    @property
    def unsteady(self) -> int | None:
        """How many of its blocks were not stable when their warm-up reached its limit; None if no block
        records it.
        """
        known = [
            s for s in self.starts if s.steady is not None and s.block not in self.run.replaced
        ]
        return len({start.block for start in known if not start.steady}) if known else None

    @property
    def expected(self) -> int:
        """How many samples there should be, without warm-up. If a block runs until its median is known
        (`until`), this is the least, and further samples are expected as well.
        """
        least = self.run.config.inferences * self.run.config.repeats
        if self.run.config.until is None:
            return least
        return max(least, len(self.samples) + len(self.failed))

    @property
    def missing(self) -> int:
        """How many expected samples are neither good nor failed."""
        return max(0, self.expected - len(self.samples) - len(self.failed))

    @property
    def reasons(self) -> str:
        """Why samples failed, the most frequent first: `server gone (3)`; empty if none failed."""
        by_reason = self.failed.by(lambda s: _NO_TIME if s.ok else s.reason or "no reason given")
        counts = Counter({reason: len(own) for reason, own in by_reason.items()})
        return "; ".join(f"{reason} ({count})" for reason, count in counts.most_common(3))

    @property
    def counts(self) -> str:
        """How many samples there are, failed or are missing, in words."""
        words = [f"{len(self.samples)} of {self.expected} samples are good"]
        words += [f"{len(self.failed)} failed: {self.reasons}"] if self.failed else []
        words += [f"{self.missing} missing"] if self.missing else []
        return ", ".join(words)

    @property
    def why_no_sample(self) -> str:
        """Why nothing was measured here."""
        if self.failed:
            return f"all samples failed: {self.reasons}"
        return "the run stopped before this configuration"


@dataclass(frozen=True)
class Series:
    """One backend of one run: what a panel of a figure shows.

    `links`: those of the run, named by `printed_links`; if the run has none, the network as it was.
    """

    run: Run
    backend: str
    label: str
    entries: tuple[Entry, ...]
    links: tuple[Link, ...]

    @property
    def board(self) -> str:
        """The board's name, as `board_of` has it."""
        return board_of(self.run)

    def entry(self, id: str) -> Entry | None:
        """The entry of a configuration; None where this run does not have it."""
        return next((e for e in self.entries if e.id == id), None)


# The link of a run that names no link: nothing is added to what was measured.
NO_LINK = Link("network as it is", "none", 0.0, "payload", "no link is simulated")


def board_of(run: Run) -> str:
    """The board's target, with its CPU quota if it ran under one."""
    quota = run.document["quota"]
    name = str(run.document["targets"].get("board") or "board")
    return f"{name} at quota {quota['share']:g}" if quota else name


def slug(link: Link) -> str:
    """A link's name as part of a file's or column's: `100_kbit_s`; `link` without a Latin letter."""
    return file_name(link.name) or "link"


# How two links of one name may differ, in the order in which it is tried.
_DIFFERENCES = {
    "kind": "{}",
    "rate_kbit_s": "{:g} kbit/s",
    "bytes": "{} bytes",
    "downlink_kbit_s": "downlink {:g} kbit/s",
    "latency_ms": "latency {:g} ms",
    "jitter_ms": "jitter {:g} ms",
    "loss": "loss {:g}",
    "seed": "seed {}",
    "via": "via {}",
}


def printed_links(runs: Iterable[Run]) -> dict[Link, Link]:
    """Each link of the runs -> the link in print: links that differ never share a name or slug.

    Links that differ only in their source are one link. If others share a name, the difference is
    appended to it: `100 kbit/s, shaped`.
    """
    unsourced = {NO_LINK._replace(source=""): NO_LINK}
    links = [link for run in runs for link in run.config.links]
    known = {link: unsourced.setdefault(link._replace(source=""), link) for link in links}
    same: dict[str, list[Link]] = {}
    for link in dict.fromkeys(known.values()):
        same.setdefault(slug(link), []).append(link)
    names = {link: _own_name(link, alike) for alike in same.values() for link in alike}
    return {link: first._replace(name=names[first]) for link, first in known.items()}


def _own_name(link: Link, alike: list[Link]) -> str:
    """A name that no other one of these links has, which share a slug."""
    names = [one.name for one in alike]
    for key, text in _DIFFERENCES.items():
        values = [getattr(one, key) or 0 for one in alike]
        if len(set(values)) > 1 and len(set(map(file_name, names))) < len(names):
            names = [f"{name}, {text.format(own)}" for name, own in zip(names, values, strict=True)]
    slugs, at = list(map(file_name, names)), alike.index(link)
    if len(alike) == 1 or link == NO_LINK:
        return link.name
    return names[at] if slugs.count(slugs[at]) == 1 else f"{names[at]} ({at + 1})"


def file_name(text: str) -> str:
    """A text as part of a file's or column's name: lower case, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def by_board(series: list[Series]) -> dict[str, list[Series]]:
    """The series of each board, boards in their order."""
    boards: dict[str, list[Series]] = {}
    for s in series:
        boards.setdefault(s.board, []).append(s)
    return boards


def links_of_all(series: list[Series]) -> list[Link]:
    """Every link of any series, once, in their order."""
    return list(dict.fromkeys(link for s in series for link in s.links))


def runs_of(series: list[Series]) -> list[Run]:
    """The runs that the series come from, each once."""
    return list({s.run.path: s.run for s in series}.values())


def series_of(runs: list[Run], links: dict[Link, Link] | None = None) -> list[Series]:
    """Every backend of every run, named so that no two have the same label.

    `links`: their `printed_links`, where they were made for more runs than these.
    """
    printed = printed_links(runs) if links is None else links
    pairs = [(run, backend) for run in runs for backend in run.config.backends]
    times = Counter((board_of(run), backend) for run, backend in pairs)
    names = Counter((board_of(run), backend, run.name) for run, backend in pairs)
    energies = {  # a run's traces are integrated once
        run.path: (energy_of(run), server_energy_of(run), stage_energy_of(run)) for run in runs
    }
    result = []
    for run, backend in pairs:
        label = f"board {board_of(run)}, backend {backend}"
        if times[board_of(run), backend] > 1:
            same_name = names[board_of(run), backend, run.name] > 1
            label += f" ({run.id if same_name else run.name})"
        own = tuple(printed[link] for link in run.config.links) or (NO_LINK,)
        entries = _entries(run, backend, energies[run.path], own)
        result.append(Series(run, backend, label, entries, own))
    return result


def _entries(
    run: Run, backend: str, energies: tuple[list[BlockEnergy], ...], links: tuple[Link, ...]
) -> tuple[Entry, ...]:
    counted = run.samples.where(
        lambda s: s.backend == backend and not s.warmup and s.block not in run.replaced
    ).by(lambda s: s.config)
    good = {config: own.where(_timed) for config, own in counted.items()}
    failed = {config: own.where(lambda s: not _timed(s)) for config, own in counted.items()}
    nothing = run.samples[:0]
    board, server, stages = energies
    return tuple(
        Entry(
            run=run,
            backend=backend,
            id=c.id,
            split=c.kind == "split",
            models=c.models,
            assumed=c.assumed,
            note=c.note or "",
            samples=good.get(c.id, nothing),
            failed=failed.get(c.id, nothing),
            links=links,
            energy=_own(board, c.id, backend),
            server_energy=_own(server, c.id, backend),
            stage_energy=_own(stages, c.id, backend),
        )
        for c in run.config.configurations
    )


def _own(energies: list[BlockEnergy], config: str, backend: str) -> tuple[BlockEnergy, ...]:
    return tuple(e for e in energies if (e.config, e.backend) == (config, backend))


def _timed(sample: Sample) -> bool:
    return sample.ok and sample.total_s is not None
