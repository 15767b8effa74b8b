"""Joules of a configuration: pooled over its blocks, per rail and of the board as a whole."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from splitwatt.profiler.analyse.energy import BlockEnergy, RailJoules, pooled_interval
from splitwatt.profiler.analyse.times import uplink_s
from splitwatt.profiler.links.link import Link
from splitwatt.reports.load.model import NO_LINK, Entry
from splitwatt.reports.load.values import Value, exact, missing, unique
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.latency import byte_sources
from splitwatt.reports.metrics.metric import Block, Chart, Metric

NOTHING = "no power sensor was recorded"


@dataclass(frozen=True)
class Energy:
    """Joules per image of one rail or of the board: gross, less idle power, and that power.

    `role`: "total", "in the total" (a summand of it) or "part". `left_out`: readings that are in no
    integral, by why: failed, negative, absurd, clock.
    """

    rail: str
    role: str
    gross_j: Value
    net_j: Value
    idle_w: Value
    left_out: Counter[str] = field(default_factory=Counter)


def board_energy(entry: Entry) -> Energy:
    """The whole board's energy; the target's data says which rails are summed."""
    return _total(entry, entry.energy)


def rows_of(entry: Entry, blocks: Sequence[BlockEnergy]) -> list[Energy]:
    """The total of these blocks, and each rail that is only a part of it; [] without joules."""
    rails, total = _rails(entry, blocks), _total(entry, blocks)
    others = [rail for rail in rails if rail.rail != total.rail]  # a total of one rail is one row
    return [total] * bool(rails and total.rail) + others


def _total(entry: Entry, blocks: Sequence[BlockEnergy]) -> Energy:
    of_blocks = [(block, block.total) for block in blocks]
    names = unique(rail.rail for _, rail in of_blocks if rail)
    return _energy(entry, ", ".join(names), "total", of_blocks)


def _rails(entry: Entry, blocks: Sequence[BlockEnergy]) -> list[Energy]:
    labels = unique(rail.rail for block in blocks for rail in block.rails)
    result = []
    for label in labels:
        of_blocks = [(b, next((r for r in b.rails if r.rail == label), None)) for b in blocks]
        total = any(rail.total for _, rail in of_blocks if rail)
        result.append(_energy(entry, label, "in the total" if total else "part", of_blocks))
    return result


def waiting_j(entry: Entry, link: Link) -> Value:
    """Joules of waiting for a simulated link: idle power x its time; no other figure includes it."""
    if link == NO_LINK or not entry.split:
        return missing("nothing waits for a simulated link")
    idle_w = board_energy(entry).idle_w
    if idle_w.value is None:
        return missing(idle_w.why or NOTHING)
    times = entry.samples.known(lambda sample: uplink_s(sample, link))
    return stats.median(idle_w.value * times, "estimated", *byte_sources(entry), *idle_w.sources)


def flagged(entry: Entry) -> list[str]:
    """Counts of what is unusual in a configuration's power traces; empty if nothing is."""
    lines = []
    for energy in _rails(entry, entry.energy):
        if energy.left_out:
            lines.append(f"{_listed(energy.left_out)} readings of {energy.rail} were left out")
    events: Counter[str] = Counter()
    for block in (*entry.energy, *entry.server_energy):
        events.update(block.events or {})
    if events:
        lines.append(f"the sampler noted: {_listed(events)}")
    return lines


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


_OfBlocks = list[tuple[BlockEnergy, RailJoules | None]]


def _energy(entry: Entry, rail: str, role: str, of_blocks: _OfBlocks) -> Energy:
    rails = [(block, r) for block, r in of_blocks if r]
    known = [(block, r) for block, r in rails if r.joules_per_image is not None]
    gross = _pooled(entry, [(b, r.joules_per_image) for b, r in known], _why(entry, of_blocks))
    interval = pooled_interval([r for _, r in known]) if known else None
    if gross.value is not None and interval:
        low, high = min(interval[0], gross.value), max(interval[1], gross.value)
        gross = replace(gross, low=low, high=high)
    why = gross.why or "idle power was not measured"
    net = _pooled(entry, [(block, r.net_joules_per_image) for block, r in known], why)
    idle_w = _pooled(entry, [(block, r.idle_watts) for block, r in rails], why)
    left_out = sum((Counter(r.excluded or {}) for _, r in rails), Counter[str]())
    return Energy(rail, role, gross, net, idle_w, left_out)


def _pooled(entry: Entry, figures: list[tuple[BlockEnergy, float | None]], why: str) -> Value:
    """The mean over images, of the blocks that have the figure."""
    pairs = [(block, value) for block, value in figures if value is not None]
    images = sum(block.inferences for block, _ in pairs)
    if not images:
        return missing(why)
    mean = sum(value * block.inferences for block, value in pairs) / images
    made_up = any(block.provenance not in (None, "measured") for block, _ in pairs)
    return exact(mean, *(("generated",) if made_up else entry.timed), n=images)


def _why(entry: Entry, of_blocks: _OfBlocks) -> str:
    for block, rail in of_blocks:
        if rail is not None and rail.why_not:
            return rail.why_not
        if block.why_not:
            return block.why_not
    return NOTHING if entry.samples else entry.why_no_sample


def energy_j(entry: Entry) -> Value:
    """Joules of the board per image, gross; waiting for a simulated link is not included."""
    return board_energy(entry).gross_j


def net_energy_j(entry: Entry) -> Value:
    """The same, less what the idle board would have used in that time."""
    return board_energy(entry).net_j


def _blocks(entry: Entry) -> list[Block]:
    each = (energy_j(replace(entry, energy=(block,))).value for block in entry.energy)
    return [[("", joules)] for joules in each if joules is not None]


_GROSS = Chart(
    "energy",
    "Energy (Figs. 7, 8)",
    "Energy of the board per image, gross: its total rail over the block's inferences, waiting for a "
    "simulated link not included.",
    "Energy [J]",
    {"": energy_j},
    error_bars="Error bars: 95 % bootstrap interval over equal pieces of the block.",
    shows=("energy",),
)
_NET = Chart(
    "energy_net",
    "Energy, net of idle power",
    "Energy of the board per image, less what the idle board would have used in that time.",
    "Net energy [J]",
    {"": net_energy_j},
    shows=("energy",),
)
METRICS = (
    Metric(
        "energy_j", "Energy", "J", energy_j, 60, ("summary", "costs", "compare"),
        note="Energy: of the board, per image.", blocks=_blocks, word="Energy", stated="energy",
        charts=(_GROSS, _NET),
    ),
)  # fmt: skip
