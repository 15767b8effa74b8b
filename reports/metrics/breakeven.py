"""Break-even rates: from which link rate on is a split configuration faster than a local one?"""
# board: no

from functools import lru_cache
from statistics import median

from splitwatt.profiler.analyse.breakeven import rate_between
from splitwatt.profiler.analyse.times import uplink_s
from splitwatt.profiler.links.link import Link
from splitwatt.reports.load.model import NO_LINK, Entry, Series
from splitwatt.reports.load.values import Value, missing, ordered
from splitwatt.reports.metrics.latency import byte_sources, latency
from splitwatt.reports.metrics.stats import MIN_SAMPLES


def plain_link(rate_kbit_s: float, charges: str = "payload") -> Link:
    """A simulated link of a rate, without latency, loss or a charge for the way back, as the papers'
    are.
    """
    return Link(f"{rate_kbit_s:g} kbit/s", "simulated", rate_kbit_s, charges, "any rate")


def bits(entry: Entry, charges: str = "payload") -> list[tuple[float, float]]:
    """Seconds as measured and bits that a link is charged with, of each sample that has both."""
    pairs = []
    for sample in entry.samples:
        seconds = uplink_s(sample, plain_link(1.0, charges))
        if seconds is not None and sample.total_s is not None:
            pairs.append((sample.total_s, 1000.0 * seconds))
    return pairs


def can_be_simulated(series: Series) -> bool:
    """Were its samples taken without a shaped link, so that a simulated one may be added?"""
    return all(not link.measured or link.kind == "none" for link in series.run.config.links)


def break_even_kbit_s(entry: Entry, baseline: Entry, charges: str = "payload") -> Value:
    """The rate from which on `entry` has the smaller median latency, with its interval; missing
    where no rate is.

    The split configuration's latency falls with the rate, so there is at most one. An end of the
    interval is None where it is open to that side.
    """
    pairs = tuple(bits(entry, charges))
    local_s = latency(baseline, NO_LINK).totals_s
    if not pairs or not local_s:
        return missing("one of the two was not measured")
    rate, low, high, why = _break_even(pairs, local_s)
    if rate is None:  # then the same one is ahead at every rate, as at the one of no link time
        ahead = median(seconds for seconds, _ in pairs) < median(local_s)
        return missing(why, "always" if ahead else "never")
    return Value(rate, ordered((*entry.timed, *byte_sources(entry))), low, high, len(pairs))


@lru_cache(maxsize=None)
def _break_even(
    pairs: tuple[tuple[float, float], ...], local_s: tuple[float, ...]
) -> tuple[float | None, float | None, float | None, str]:
    """The rate, the ends of its interval, and what it means."""
    even = rate_between(pairs, local_s)
    if min(len(pairs), len(local_s)) < MIN_SAMPLES:
        return even.value, None, None, even.sentence
    return even.value, even.low, even.high, even.sentence


def local_extremes(series: Series) -> tuple[Entry, Entry] | None:
    """The fastest and the slowest local configuration; None where none was measured."""
    known = [
        (total_s, entry)
        for entry in series.entries
        if not entry.split and (total_s := latency(entry, NO_LINK).total.value) is not None
    ]
    if not known:
        return None
    return min(known, key=lambda k: k[0])[1], max(known, key=lambda k: k[0])[1]
