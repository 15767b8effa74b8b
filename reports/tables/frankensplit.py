"""FrankenSplit's systems in the runs, and its Tables 5 to 7, with times as the paper counts them."""

from collections.abc import Callable
from functools import partial

from splitwatt.profiler.analyse.times import end_to_end_s, uplink_s
from splitwatt.profiler.links.link import Link
from splitwatt.profiler.records.sample import Sample
from splitwatt.reports.load.accuracy import split_name
from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value, exact, missing
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.latency import byte_sources
from splitwatt.reports.papers.published import rows as printed
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Column, Row, Table, entry_rows

_FAMILY = "frankensplit"
# Codecs that the paper takes at 0 ms.
_HANDCRAFTED = ("png", "jpeg", "webp", "bpg", "heic")
_NO_PART = missing("the bundle has no part of that kind")
_WHICH = [*SERIES, CONFIG, Column("models", "Models", number=False)]


def wireless() -> list[Link]:
    """The wireless standards of its Table 7, as simulated links that carry the payload."""
    rates = {row["standard"]: float(row["rate_mbit_s"]) for row in printed("frankensplit_wireless")}
    return [
        Link(name, "simulated", 1000 * rate, "payload", "FrankenSplit, Table 7")
        for name, rate in rates.items()
    ]


def is_present(series: list[Series]) -> bool:
    """Is there any FrankenSplit system in the runs?"""
    return any(m.startswith(_FAMILY) for s in series for e in s.entries for m in e.models)


def backbones_table(series: list[Series]) -> Table:
    """Table 5: one backbone after the other, entropy coding and transfer not counted."""
    columns = [
        *_WHICH,
        Column("overhead_percent", "Parameters added", "%"),
        Column("inference_ms", "Board and server", "ms", interval=True),
        Column("published_overhead_percent", "Paper: added", "%"),
        Column("published_nx_ms", "Paper: Server+NX", "ms"),
        Column("published_tx2_ms", "Paper: Server+TX2", "ms"),
    ]
    stated = {row["model"]: row for row in printed("frankensplit_backbones")}

    def cells(entry: Entry) -> Row | None:
        if not entry.models[0].startswith(_FAMILY):
            return None
        paper = stated.get(split_name(entry.models[0])[0], {})
        return {
            "overhead_percent": _overhead_percent(entry, paper),
            "inference_ms": _stages_ms(entry, _is_inference),
            **_published(columns, paper, 5),
        }

    under = (
        f"Medians; in brackets the {stats.METHOD}. As in the paper, entropy coding and transfer "
        "are not counted. Parameters added: those of all parts beyond the unmodified backbone's, "
        "which the paper's Table 2 states, of these: the decoder replaces its shallow layers."
    )
    return _table("backbones", "5: backbones", columns, _rows(series, cells), under, series)


def components_table(series: list[Series]) -> Table:
    """Table 6: parameters and times of the pipeline's components."""
    columns = [
        *_WHICH,
        Column("encoder_params_m", "Encoder parameters", "M"),
        Column("decoder_params_m", "Decoder parameters", "M"),
        Column("encode_ms", "Encoder", "ms"),
        Column("decode_ms", "Decoder", "ms"),
        Column("full_ms", "Full", "ms", interval=True),
        Column("coding_ms", "Entropy coding", "ms"),
        Column("published_encode_nx_ms", "Paper: encoder NX", "ms"),
        Column("published_decode_ms", "Paper: decoder", "ms"),
        Column("published_full_nx_ms", "Paper: full NX", "ms"),
    ]
    stated = {row["system"]: row for row in printed("frankensplit_components")}

    def cells(entry: Entry) -> Row:
        return {
            "encoder_params_m": _params_m(entry, lambda name, board: board),
            "decoder_params_m": _params_m(entry, lambda name, board: name == "decoder"),
            "encode_ms": _stages_ms(entry, lambda stage: stage.endswith(".encoder")),
            "decode_ms": _stages_ms(entry, lambda stage: stage.endswith(".server.decoder")),
            "full_ms": _stages_ms(entry, _is_inference),
            "coding_ms": _stages_ms(entry, lambda s: s.endswith((".encode", ".server.decode"))),
            **_published(columns, stated.get(_system_of(entry), {}), 6),
        }

    under = (
        "Full: encoder and server parts; entropy coding has its own column, as the paper leaves it "
        "out. A decoder that is part of the server's body prints as \"-\". The paper's "
        "FrankenSplit is Swin-B with the small encoder."
    )
    return _table("components", "6: components", columns, _rows(series, cells), under, series)


def wireless_table(series: list[Series]) -> Table:
    """Table 7: transfer and total latency at the rates of wireless standards."""
    columns = [
        *_WHICH,
        Column("standard", "Standard", number=False),
        Column("rate_mbit_s", "Rate", "Mbit/s"),
        Column("transfer_ms", "Transfer", "ms"),
        Column("total_ms", "Total", "ms", interval=True),
        Column("total_without_coding_ms", "Total as the paper counts", "ms", interval=True),
        Column("published_transfer_ms", "Paper: transfer", "ms"),
        Column("published_total_nx_ms", "Paper: total NX", "ms"),
    ]
    stated = {
        (r["standard"], r["system"]): r for r in printed("frankensplit_wireless") if r["system"]
    }

    def cells(entry: Entry, link: Link) -> Row:
        return {
            "standard": link.name,
            "rate_mbit_s": exact(link.rate_kbit_s / 1000, "published"),
            "transfer_ms": _median_ms(entry, lambda s: uplink_s(s, link), *byte_sources(entry)),
            "total_ms": total_ms(entry, link),
            "total_without_coding_ms": paper_total_ms(entry, link),
            **_published(columns, stated.get((link.name, _system_of(entry)), {}), 7),
        }

    rows = [row for link in wireless() for row in _rows(series, partial(cells, link=link))]
    under = (
        "Transfer: 8 x payload / rate, simulated. Total: all that was measured, entropy coding "
        "included, and the transfer. As the paper counts: encoder, server parts and transfer "
        "alone; handcrafted codecs take 0 ms. Its FrankenSplit is Swin-B with the small encoder, "
        "at its lossless point."
    )
    return _table("wireless", "7: wireless standards", columns, rows, under, series)


def _table(
    name: str, title: str, columns: list[Column], rows: list[Row], under: str, series: list[Series]
) -> Table:
    title = f"FrankenSplit's Table {title}"
    return Table(f"{_FAMILY}_{name}", title, columns, rows, [under, *notes.untrained(series)])


def _rows(series: list[Series], cells: Callable[[Entry], Row | None]) -> list[Row]:
    """A row for each of its systems and of what it is compared with: split, and of one model."""

    def more(s: Series, entry: Entry) -> Row | None:
        own = cells(entry) if entry.split and len(entry.models) == 1 else None
        return {"models": ", ".join(entry.models), **own} if own else None

    return entry_rows(series, more) if is_present(series) else []


def _published(columns: list[Column], paper: dict[str, str], number: int) -> Row:
    """The cells of the columns whose keys begin with `published_`."""
    why = f"not in FrankenSplit's Table {number}"
    texts = {c.key: paper.get(c.key.removeprefix("published_")) for c in columns}
    return {
        key: exact(float(text) if text else None, "published", why=why)
        for key, text in texts.items()
        if key.startswith("published_")
    }


def total_ms(entry: Entry, link: Link) -> Value:
    """The latency of one image over a standard, in ms; what sends nothing has none."""
    return _median_ms(
        entry, lambda sample: end_to_end_s(sample, link), *entry.timed, *byte_sources(entry)
    )


def paper_total_ms(entry: Entry, link: Link) -> Value:
    """The same as the paper counts: encoder, server parts and transfer, no entropy coding."""

    def seconds(sample: Sample) -> float | None:
        times = [
            time
            for stage, time in sample.stages.items()
            if _is_inference(stage) and not (handcrafted and stage.endswith(".encoder"))
        ]
        transfer = uplink_s(sample, link)
        return sum(times) + transfer if times and transfer is not None else None

    handcrafted = _system_of(entry) in _HANDCRAFTED
    return _median_ms(entry, seconds, *entry.timed, *byte_sources(entry))


def _system_of(entry: Entry) -> str:
    """The system of an entry's one model, a server's model behind it left out: `webp`."""
    return split_name(entry.models[0])[0].split("+")[0]


def _is_inference(stage: str) -> bool:
    """Is it the encoder's, or a server part's?"""
    if stage.endswith(".encoder"):
        return True
    return ".server." in stage and not stage.endswith((".decode", ".postprocess", ".other"))


def _stages_ms(entry: Entry, chosen: Callable[[str], bool]) -> Value:
    """The median over samples of the chosen stages' sum, in ms."""

    def seconds(sample: Sample) -> float | None:
        times = [time for stage, time in sample.stages.items() if chosen(stage)]
        return sum(times) if times else None

    return _median_ms(entry, seconds, *entry.timed)


def _median_ms(entry: Entry, seconds: Callable[[Sample], float | None], *sources: str) -> Value:
    if not entry.split:
        return missing("local computing sends nothing")
    why = entry.why_no_sample if not entry.samples else "no stage of that kind was recorded"
    return stats.median(1000 * entry.samples.known(seconds), *sources, why=why)


def _params_m(entry: Entry, chosen: Callable[[str, bool], bool]) -> Value:
    """Millions of parameters of the chosen parts: `chosen(name, is on the board)`."""
    counts = [
        part.get("params")
        for bundle in entry.bundles
        for part in bundle["parts"]
        if chosen(str(part["name"]), part["placement"] == "board")
    ]
    if not counts or None in counts:
        return _NO_PART
    return exact(sum(counts) / 1e6, "measured")


def _overhead_percent(entry: Entry, paper: dict[str, str]) -> Value:
    """Parameters beyond the unmodified backbone's of the paper's Table 2, in percent."""
    whole = _params_m(entry, lambda name, board: True).value
    if whole is None:
        return _NO_PART
    if "params_m" not in paper:
        return missing("not a backbone of FrankenSplit's Table 2")
    return exact(100 * (whole / float(paper["params_m"]) - 1), "measured")
