"""The bytes of one image on the link."""

from collections.abc import Callable

from splitwatt.reports.load.model import Entry, Sample
from splitwatt.reports.load.values import KIB, Value, exact, missing
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.metric import Chart, Metric, one_per_run

_NOTHING_SENT = "local computing sends nothing"
_TABLE = ("data_size",)

_Size = Callable[[Sample], float | None]


def _kib(field: str) -> _Size:
    def size(sample: Sample) -> float | None:
        size_bytes: int | None = getattr(sample, field)
        return None if size_bytes is None else size_bytes / KIB

    return size


def _pickled_kib(sample: Sample) -> float | None:
    """What sc2bench's analyser would state: the size of the pickled object."""
    sizes = [request.legacy_pickled_bytes for request in sample.requests]
    known = [size for size in sizes if size is not None]
    return sum(known) / KIB if known and len(known) == len(sizes) else None


_payload, _up, _down = _kib("payload_bytes"), _kib("wire_up_bytes"), _kib("wire_down_bytes")


def _median(size: _Size) -> Callable[[Entry], Value]:
    def value(entry: Entry) -> Value:
        if not entry.split:
            return missing(_NOTHING_SENT)
        if not entry.samples:
            return missing(entry.why_no_sample)
        sizes = entry.samples.known(size)
        return stats.median(sizes, "measured", *entry.doubts, why="not recorded")

    return value


payload_kib = _median(_payload)
_wire_up_kib, _wire_down_kib = _median(_up), _median(_down)
_legacy_pickled_kib = _median(_pickled_kib)


def payload_mean_kib(entry: Entry) -> Value:
    """The mean over samples, which is what the papers state."""
    sizes = entry.samples.known(_payload).tolist()
    if not sizes or not entry.split:
        return payload_kib(entry)
    return exact(sum(sizes) / len(sizes), "measured", *entry.doubts, n=len(sizes))


def published_payload_kib(entry: Entry) -> Value:
    """The published or estimated size that the link carries, in KiB, if the run uses one."""
    if not entry.split:
        return missing(_NOTHING_SENT)
    sizes = set(entry.samples.known(lambda sample: sample.published_payload_bytes).tolist())
    if len(sizes) != 1 or entry.charged is None:
        return missing("the run does not charge a published size")
    return exact(sizes.pop() / KIB, entry.charged, *("assumed",) * entry.assumed)


def sent_kib(entry: Entry) -> Value:
    """What the link carries: the published or estimated size if the run uses it, else the bytes of
    this run.
    """
    charged = published_payload_kib(entry)
    return charged if charged.value is not None else payload_kib(entry)


def _sent(sample: Sample) -> float | None:
    """None for a published size, which is one number and no sample."""
    return _payload(sample) if sample.published_payload_bytes is None else None


_CHART = Chart(
    "data_size",
    "Data size",
    "Median bytes per image, all its requests together, logarithmic scale: the bitstreams, what went "
    "up the wire with headers, the pickled object that sc2bench measures, and the published mean, or "
    "the estimate of it, where the run charges it to the link.",
    "Data size [KiB]",
    {
        "Payload": payload_kib,
        "Wire up": _wire_up_kib,
        "Pickled (sc2bench)": _legacy_pickled_kib,
        "Published or estimated": published_payload_kib,
    },
    error_bars=f"Error bars: {stats.METHOD}.",
    panels=one_per_run,
    only_split=True,
    shows=("bytes", "made"),
)
METRICS = (
    Metric(
        "payload_kib", "Data size", "KiB", sent_kib, 50, ("summary", "data_size", "compare"), _TABLE,
        sample=_sent, word="DataSize", stated="payload", baselines=("SC",), charts=(_CHART,),
    ),
    Metric("payload_mean_kib", "Mean data size", "KiB", payload_mean_kib, 51, _TABLE),
    Metric("wire_up_kib", "Wire up", "KiB", _wire_up_kib, 52, _TABLE),
    Metric("wire_down_kib", "Wire down", "KiB", _wire_down_kib, 53, _TABLE),
    Metric("legacy_pickled_kib", "Pickled (sc2bench)", "KiB", _legacy_pickled_kib, 54, _TABLE),
    Metric(
        "published_payload_kib", "Published mean, or estimate of it", "KiB", published_payload_kib,
        55, _TABLE,
    ),
)  # fmt: skip
