"""End-to-end latency of a configuration on a link, and its parts."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from splitwatt.profiler.analyse.times import (
    downlink_s,
    end_to_end_s,
    local_s,
    network_s,
    server_s,
    uplink_s,
)
from splitwatt.profiler.records.sample import Sample
from splitwatt.reports.load.model import NO_LINK, Entry, Link
from splitwatt.reports.load.values import Value, missing
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.metric import Metric

_NOTHING_SENT = "local computing sends nothing"


@dataclass(frozen=True)
class Latency:
    """Medians in seconds: the whole, and its parts; `totals_s` are the whole of each sample.

    network: the measured HTTP round trips, minus the server's stages.
    uplink: the simulated link's time; missing on a measured link, whose time is part of network.
    downlink: the answers' time on a simulated link that includes it; missing on others.
    """

    total: Value
    local: Value
    network: Value
    uplink: Value
    downlink: Value
    server: Value
    totals_s: np.ndarray = field(compare=False)

    @property
    def transfer_s(self) -> float:
        """Network, uplink and downlink together, as the paper's figures show it; 0 if nothing is sent."""
        ways = (self.network, self.uplink, self.downlink)
        return sum(way.value or 0.0 for way in ways)

    @property
    def scale(self) -> float:
        """The factor by which the medians of the parts add up to that of the whole; 1 without a part."""
        whole_s = sum(self._parts_s)
        return self.total.value / whole_s if self.total.value is not None and whole_s else 1.0

    @property
    def scaled_s(self) -> tuple[float, ...]:
        """Local, transfer and server, scaled to add up to the whole; zeros where that is missing."""
        return tuple(s * self.scale * (self.total.value is not None) for s in self._parts_s)

    @property
    def _parts_s(self) -> tuple[float, float, float]:
        return self.local.value or 0.0, self.transfer_s, self.server.value or 0.0


def latency(entry: Entry, link: Link) -> Latency:
    """The latency of an entry on one link; a measured one adds nothing to what was measured."""
    known: Latency | None = entry.computed.get(link)
    if known is None:
        known = entry.computed[link] = _latency(entry, link)
    return known


def _latency(entry: Entry, link: Link) -> Latency:
    totals = entry.samples.known(lambda sample: end_to_end_s(sample, link))
    uplink = _uplink(entry, link)
    return Latency(
        total=stats.median(totals, *entry.timed, *uplink.sources, why=entry.why_no_sample),
        local=_median(entry, local_s),
        network=_median(entry, network_s) if entry.split else missing(_NOTHING_SENT),
        uplink=uplink,
        downlink=_downlink(entry, link),
        server=stats.median(entry.samples.known(server_s), "measured", why=entry.why_no_sample)
        if entry.split
        else missing("local computing has no server"),
        totals_s=totals,
    )


def _uplink(entry: Entry, link: Link) -> Value:
    if not entry.split:
        return missing(_NOTHING_SENT)
    if link == NO_LINK:
        return missing("no link is simulated")
    if link.measured:
        return missing("the link was there while it was measured: it is in the network's time")
    seconds = entry.samples.known(lambda sample: uplink_s(sample, link))
    return stats.median(seconds, *byte_sources(entry), why=entry.why_no_sample)


def charges_more(link: Link) -> bool:
    """Does a simulated link charge more than its rate: latency, loss or the way back?"""
    return not link.measured and bool(link.downlink_kbit_s or link.latency_ms or link.loss)


def _downlink(entry: Entry, link: Link) -> Value:
    if not entry.split:
        return missing(_NOTHING_SENT)
    if not charges_more(link):
        return missing("the link does not charge the way back")
    seconds = entry.samples.known(lambda sample: downlink_s(sample, link))
    sources = ("simulated", *entry.doubts)
    return stats.median(seconds, *sources, why=entry.why_no_sample)


def byte_sources(entry: Entry) -> tuple[str, ...]:
    """The sources of a simulated link's time: were its bytes published, estimated or generated?"""
    if entry.charged is None:
        return "simulated", *entry.doubts
    return ("simulated", entry.charged, *("assumed",) * entry.assumed)


def _median(entry: Entry, seconds: Callable[[Sample], float | None]) -> Value:
    return stats.median(entry.samples.known(seconds), *entry.timed, why=entry.why_no_sample)


def on_link(link: Link) -> Metric:
    """The end-to-end latency on one link."""
    return Metric(
        "end_to_end_s", "End-to-end latency", "s", lambda entry: latency(entry, link).total, 10,
        ("summary", "compare"), ("summary",), note=f"Latency: median, in brackets its {stats.METHOD}.",
        sample=lambda sample: end_to_end_s(sample, link), word="Latency", stated="end_to_end",
        link=link,
    )  # fmt: skip


METRICS = (
    Metric(
        "local_s", "Local", "s", lambda entry: latency(entry, NO_LINK).local, 12, ("compare",),
        sample=local_s,
    ),
    Metric(
        "server_s", "Server", "s", lambda entry: latency(entry, NO_LINK).server, 14, ("compare",),
        sample=server_s,
    ),
)  # fmt: skip
