"""FrankenSplit's Tables 5 to 7, where its systems are in the runs."""
# board: no

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
from splitwatt.reports.tables.table import Column, Row, Table
from splitwatt.reports.tables.which import CONFIG, SERIES, of_entry

FAMILY = "frankensplit"
# Codecs that the paper takes at 0 ms.
_HANDCRAFTED = ("png", "jpeg", "webp", "bpg", "heic")
_WHICH = [*SERIES, CONFIG, Column("models", "Models", number=False)]
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
    rows: list[Row] = []
    for s, entry in shown(series):
        if not entry.models[0].startswith(FAMILY):
            continue
        paper = stated.get(split_name(entry.models[0])[0], {})
        row = _which(s, entry)
        row.update(
            overhead_percent=_overhead(entry, paper),
            inference_ms=_ms(entry, _is_inference),
            published_overhead_percent=_published(paper, "overhead_percent", "5"),
            published_nx_ms=_published(paper, "nx_ms", "5"),
            published_tx2_ms=_published(paper, "tx2_ms", "5"),
        )
        rows.append(row)
    under = [
        f"Medians; in brackets the {stats.METHOD}. As in the paper, entropy coding and transfer "
        "are not counted. Parameters added: those of all parts beyond the unmodified backbone's, "
        "which the paper's Table 2 states, of these: the decoder replaces its shallow layers.",
        *notes.untrained(series),
    ]
    return Table(
        "frankensplit_backbones", "FrankenSplit's Table 5: backbones", columns, rows, under
    )


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
    rows: list[Row] = []
    for s, entry in shown(series):
        paper = stated.get(_system(entry), {})
        row = _which(s, entry)
        row.update(
            encoder_params_m=_params(entry, lambda name, board: board),
            decoder_params_m=_params(entry, lambda name, board: name == "decoder"),
            encode_ms=_ms(entry, lambda stage: stage.endswith(".encoder")),
            decode_ms=_ms(entry, lambda stage: stage.endswith(".server.decoder")),
            full_ms=_ms(entry, _is_inference),
            coding_ms=_ms(entry, _is_coding),
            published_encode_nx_ms=_published(paper, "encode_nx_ms", "6"),
            published_decode_ms=_published(paper, "decode_ms", "6"),
            published_full_nx_ms=_published(paper, "full_nx_ms", "6"),
        )
        rows.append(row)
    under = [
        "Full: encoder and server parts; entropy coding stands by itself, as the paper leaves it "
        "out. A decoder that is part of the server's body prints as \"-\". The paper's "
        "FrankenSplit is Swin-B with the small encoder.",
        *notes.untrained(series),
    ]
    return Table(
        "frankensplit_components", "FrankenSplit's Table 6: components", columns, rows, under
    )


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
    rows: list[Row] = []
    for link in wireless():
        for s, entry in shown(series):
            paper = stated.get((link.name, _system(entry)), {})
            row = _which(s, entry)
            row.update(
                standard=link.name,
                rate_mbit_s=exact(link.rate_kbit_s / 1000, "published"),
                transfer_ms=_of(entry, partial(_uplink, link), simulated=True),
                total_ms=total_ms(entry, link),
                total_without_coding_ms=paper_total_ms(entry, link),
                published_transfer_ms=_published(paper, "transfer_ms", "7"),
                published_total_nx_ms=_published(paper, "total_nx_ms", "7"),
            )
            rows.append(row)
    under = [
        "Transfer: 8 x payload / rate, simulated. Total: all that was measured, entropy coding "
        "included, and the transfer. As the paper counts: encoder, server parts and transfer "
        "alone; handcrafted codecs take 0 ms. Its FrankenSplit is Swin-B with the small encoder, "
        "at its lossless point.",
        *notes.untrained(series),
    ]
    return Table(
        "frankensplit_wireless", "FrankenSplit's Table 7: wireless standards", columns, rows, under
    )


def total_ms(entry: Entry, link: Link) -> Value:
    """The latency of one image over a standard, in ms; what sends nothing has none."""
    if not entry.split:
        return missing("local computing sends nothing")
    return _of(entry, lambda sample: end_to_end_s(sample, link), measured=True, simulated=True)


def paper_total_ms(entry: Entry, link: Link) -> Value:
    """The same as the paper counts: encoder, server parts and transfer, no entropy coding."""
    if not entry.split:
        return missing("local computing sends nothing")

    def seconds(sample: Sample) -> float | None:
        times = [
            time
            for stage, time in sample.stages.items()
            if _is_inference(stage) and not (handcrafted and stage.endswith(".encoder"))
        ]
        transfer = uplink_s(sample, link)
        return sum(times) + transfer if times and transfer is not None else None

    handcrafted = _system(entry) in _HANDCRAFTED
    return _of(entry, seconds, measured=True, simulated=True)


def _system(entry: Entry) -> str:
    """The system of an entry's one model, a server's model behind it left out: `webp`."""
    return split_name(entry.models[0])[0].split("+")[0]


def _uplink(link: Link, sample: Sample) -> float | None:
    return uplink_s(sample, link)


def _which(s: Series, entry: Entry) -> Row:
    return {**of_entry(s, entry), "models": ", ".join(entry.models)}


def _is_coding(stage: str) -> bool:
    return stage.endswith((".encode", ".server.decode"))


def _is_inference(stage: str) -> bool:
    """Is it the encoder's, or a server part's?"""
    if stage.endswith(".encoder"):
        return True
    return ".server." in stage and not stage.endswith((".decode", ".postprocess", ".other"))


def _ms(entry: Entry, chosen: Callable[[str], bool]) -> Value:
    def seconds(sample: Sample) -> float | None:
        times = [time for stage, time in sample.stages.items() if chosen(stage)]
        return sum(times) if times else None

    return _of(entry, seconds, measured=True)


def _of(
    entry: Entry,
    seconds: Callable[[Sample], float | None],
    measured: bool = False,
    simulated: bool = False,
) -> Value:
    times = [seconds(sample) for sample in entry.samples]
    sources = ("measured",) * measured + (byte_sources(entry) if simulated else ())
    known = [1000 * time for time in times if time is not None]
    why = entry.why_no_sample if not entry.samples else "no stage of that kind was recorded"
    return stats.median(known, *sources, why=why)


def _params(entry: Entry, chosen: Callable[[str, bool], bool]) -> Value:
    found = [
        part.get("params")
        for bundle in entry.bundles
        for part in bundle["parts"]
        if chosen(str(part["name"]), part["placement"] == "board")
    ]
    if not found or None in found:
        return missing(_NO_PART)
    return exact(sum(found) / 1e6, "measured")


def _overhead(entry: Entry, paper: dict[str, str]) -> Value:
    whole = _params(entry, lambda name, board: True).value
    if whole is None:
        return missing(_NO_PART)
    if "params_m" not in paper:
        return missing("not a backbone of FrankenSplit's Table 2")
    return exact(100 * (whole / float(paper["params_m"]) - 1), "measured")


def _published(paper: dict[str, str], key: str, table: str) -> Value:
    text = paper.get(key)
    return exact(
        float(text) if text else None, "published", why=f"not in FrankenSplit's Table {table}"
    )
