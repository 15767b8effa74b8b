"""FrankenSplit's Tables 5 to 7, where its systems are in the runs."""
# board: no

from splitwatt.reports.load.accuracy import split_name
from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value, exact
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.frankensplit import (
    FAMILY,
    is_coding,
    is_inference,
    overhead_percent,
    paper_total_ms,
    params_m,
    shown,
    stages_ms,
    system_of,
    total_ms,
    transfer_ms,
    wireless,
)
from splitwatt.reports.papers.published import rows as printed
from splitwatt.reports.tables import notes
from splitwatt.reports.tables.table import CONFIG, SERIES, Column, Row, Table, of_entry

_WHICH = [*SERIES, CONFIG, Column("models", "Models", number=False)]


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
            overhead_percent=overhead_percent(entry, paper),
            inference_ms=stages_ms(entry, is_inference),
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
        paper = stated.get(system_of(entry), {})
        row = _which(s, entry)
        row.update(
            encoder_params_m=params_m(entry, lambda name, board: board),
            decoder_params_m=params_m(entry, lambda name, board: name == "decoder"),
            encode_ms=stages_ms(entry, lambda stage: stage.endswith(".encoder")),
            decode_ms=stages_ms(entry, lambda stage: stage.endswith(".server.decoder")),
            full_ms=stages_ms(entry, is_inference),
            coding_ms=stages_ms(entry, is_coding),
            published_encode_nx_ms=_published(paper, "encode_nx_ms", "6"),
            published_decode_ms=_published(paper, "decode_ms", "6"),
            published_full_nx_ms=_published(paper, "full_nx_ms", "6"),
        )
        rows.append(row)
    under = [
        "Full: encoder and server parts; entropy coding has its own column, as the paper leaves it "
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
            paper = stated.get((link.name, system_of(entry)), {})
            row = _which(s, entry)
            row.update(
                standard=link.name,
                rate_mbit_s=exact(link.rate_kbit_s / 1000, "published"),
                transfer_ms=transfer_ms(entry, link),
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


def _which(s: Series, entry: Entry) -> Row:
    return {**of_entry(s, entry), "models": ", ".join(entry.models)}


def _published(paper: dict[str, str], key: str, table: str) -> Value:
    text = paper.get(key)
    return exact(
        float(text) if text else None, "published", why=f"not in FrankenSplit's Table {table}"
    )
