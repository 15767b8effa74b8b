"""Break-even rates: the link rate above which a split configuration is faster than a local one."""
# board: no

import numpy as np

from splitwatt.profiler.analyse.breakeven import Setting, break_even
from splitwatt.profiler.analyse.rates import Case
from splitwatt.profiler.analyse.times import uplink_s
from splitwatt.profiler.links.link import Link
from splitwatt.reports.load.model import NO_LINK, Entry, Series
from splitwatt.reports.load.values import Value, missing, ordered
from splitwatt.reports.metrics.latency import byte_sources, latency
from splitwatt.reports.metrics.stats import MIN_SAMPLES, once


def plain_link(rate_kbit_s: float, charges: str = "payload") -> Link:
    """A simulated link of this rate, like the papers': no latency, no loss, no time for answers."""
    return Link(f"{rate_kbit_s:g} kbit/s", "simulated", rate_kbit_s, charges, "any rate")


def bits(entry: Entry, charges: str = "payload") -> np.ndarray:
    """Measured seconds and the bits that a link carries, (samples, 2): of the samples that have both."""
    link = plain_link(1.0, charges)
    charged = 1000.0 * entry.samples.each(lambda sample: uplink_s(sample, link))
    pairs = np.column_stack([entry.samples.each(lambda sample: sample.total_s), charged])
    known: np.ndarray = pairs[~np.isnan(pairs).any(axis=1)]
    return known


def can_be_simulated(series: Series) -> bool:
    """Were its samples taken without a shaped link, so that a simulated one may be added?"""
    return all(not link.measured or link.kind == "none" for link in series.run.config.links)


def break_even_kbit_s(entry: Entry, baseline: Entry, charges: str = "payload") -> Value:
    """The rate above which `entry` has the smaller median latency, with its interval; missing if
    there is no such rate.

    The split configuration's latency falls with the rate, so there is at most one. An open end of
    the interval is None.
    """
    pairs = bits(entry, charges)
    local_s = latency(baseline, NO_LINK).totals_s
    if not len(pairs) or not len(local_s):
        return missing("one of the two was not measured")
    rate, low, high, why = once(_break_even, pairs, local_s)
    if rate is None:  # then the same one is ahead at every rate, as at the one of no link time
        ahead = np.median(pairs[:, 0]) < np.median(local_s)
        return missing(why, "always" if ahead else "never")
    return Value(rate, ordered((*entry.timed, *byte_sources(entry))), low, high, len(pairs))


def _break_even(
    pairs: np.ndarray, local_s: np.ndarray
) -> tuple[float | None, float | None, float | None, str]:
    """The rate, the ends of its interval, and a sentence on it."""
    sides = ("it", *pairs.T), ("the local one", local_s, 0.0 * local_s)
    split, local = (
        Case(name, "", True, 0.0 * total_s, total_s, 0.0 * total_s, bits)
        for name, total_s, bits in sides
    )
    even = break_even(split, local, Setting())
    if min(len(pairs), len(local_s)) < MIN_SAMPLES:
        return even.value, None, None, even.sentence
    return even.value, even.low, even.high, even.sentence


def local_extremes(series: Series) -> tuple[Entry, Entry] | None:
    """The fastest and the slowest local configuration; None if no local one was measured."""
    known = [
        (total_s, entry)
        for entry in series.entries
        if not entry.split and (total_s := latency(entry, NO_LINK).total.value) is not None
    ]
    if not known:
        return None
    return min(known, key=lambda k: k[0])[1], max(known, key=lambda k: k[0])[1]
