"""FrankenSplit's systems in the runs, and their times as its Tables 5 to 7 count them."""
# board: no

from collections.abc import Callable

from splitwatt.profiler.analyse.times import end_to_end_s, uplink_s
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.sample import Sample
from splitwatt.reports.load.accuracy import split_name
from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.latency import byte_sources
from splitwatt.reports.papers.published import rows as printed

FAMILY = "frankensplit"
# Codecs that the paper takes at 0 ms.
_HANDCRAFTED = ("png", "jpeg", "webp", "bpg", "heic")
_NO_PART = "the bundle has no part of that kind"


def wireless() -> list[Link]:
    """The wireless standards of its Table 7, as simulated links that carry the payload."""
    rates = {row["standard"]: float(row["rate_mbit_s"]) for row in printed("frankensplit_wireless")}
    return [
        Link(name, "simulated", 1000 * rate, "payload", "FrankenSplit, Table 7")
        for name, rate in rates.items()
    ]


def is_present(series: list[Series]) -> bool:
    """Is there any FrankenSplit system in the runs?"""
    return any(m.startswith(FAMILY) for s in series for e in s.entries for m in e.models)


def shown(series: list[Series]) -> list[tuple[Series, Entry]]:
    """Its systems and what it is compared with: every split configuration of one model."""
    if not is_present(series):
        return []
    return [(s, e) for s in series for e in s.entries if e.split and len(e.models) == 1]


def total_ms(entry: Entry, link: Link) -> Value:
    """The latency of one image over a standard, in ms; what sends nothing has none."""
    if not entry.split:
        return missing("local computing sends nothing")
    return _median_ms(
        entry, lambda sample: end_to_end_s(sample, link), measured=True, simulated=True
    )


def paper_total_ms(entry: Entry, link: Link) -> Value:
    """The same as the paper counts: encoder, server parts and transfer, no entropy coding."""
    if not entry.split:
        return missing("local computing sends nothing")

    def seconds(sample: Sample) -> float | None:
        times = [
            time
            for stage, time in sample.stages.items()
            if is_inference(stage) and not (handcrafted and stage.endswith(".encoder"))
        ]
        transfer = uplink_s(sample, link)
        return sum(times) + transfer if times and transfer is not None else None

    handcrafted = system_of(entry) in _HANDCRAFTED
    return _median_ms(entry, seconds, measured=True, simulated=True)


def system_of(entry: Entry) -> str:
    """The system of an entry's one model, a server's model behind it left out: `webp`."""
    return split_name(entry.models[0])[0].split("+")[0]


def is_coding(stage: str) -> bool:
    """Is it a stage of entropy coding, on the board or the server?"""
    return stage.endswith((".encode", ".server.decode"))


def is_inference(stage: str) -> bool:
    """Is it the encoder's, or a server part's?"""
    if stage.endswith(".encoder"):
        return True
    return ".server." in stage and not stage.endswith((".decode", ".postprocess", ".other"))


def stages_ms(entry: Entry, chosen: Callable[[str], bool]) -> Value:
    """The median over samples of the chosen stages' sum, in ms."""

    def seconds(sample: Sample) -> float | None:
        times = [time for stage, time in sample.stages.items() if chosen(stage)]
        return sum(times) if times else None

    return _median_ms(entry, seconds, measured=True)


def _median_ms(
    entry: Entry,
    seconds: Callable[[Sample], float | None],
    measured: bool = False,
    simulated: bool = False,
) -> Value:
    sources = entry.timed * measured + (byte_sources(entry) if simulated else ())
    known = 1000 * entry.samples.known(seconds)
    why = entry.why_no_sample if not entry.samples else "no stage of that kind was recorded"
    return stats.median(known, *sources, why=why)


def params_m(entry: Entry, chosen: Callable[[str, bool], bool]) -> Value:
    """Millions of parameters of the chosen parts: `chosen(name, is on the board)`."""
    counts = [
        part.get("params")
        for bundle in entry.bundles
        for part in bundle["parts"]
        if chosen(str(part["name"]), part["placement"] == "board")
    ]
    if not counts or None in counts:
        return missing(_NO_PART)
    return exact(sum(counts) / 1e6, "measured")


def overhead_percent(entry: Entry, paper: dict[str, str]) -> Value:
    """Parameters beyond the unmodified backbone's of the paper's Table 2, in percent."""
    whole = params_m(entry, lambda name, board: True).value
    if whole is None:
        return missing(_NO_PART)
    if "params_m" not in paper:
        return missing("not a backbone of FrankenSplit's Table 2")
    return exact(100 * (whole / float(paper["params_m"]) - 1), "measured")


def transfer_ms(entry: Entry, link: Link) -> Value:
    """The simulated time of an image's bytes over a standard, in ms."""
    return _median_ms(entry, lambda sample: uplink_s(sample, link), simulated=True)
