"""A run's figures and the papers', with the ratio: ours / the paper's."""

from collections.abc import Iterator

from splitwatt.reports.load.accuracy import Accuracy
from splitwatt.reports.load.model import Entry, Series
from splitwatt.reports.load.values import Value, exact, missing, ordered
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.data_size import payload_mean_kib
from splitwatt.reports.metrics.encoder import encoder_mib
from splitwatt.reports.metrics.memory import peak_memory_gb
from splitwatt.reports.papers.published import peak_memory_gb as table_s1
from splitwatt.reports.papers.published import rate_accuracy
from splitwatt.reports.tables import frankensplit, notes
from splitwatt.reports.tables.accuracy import PUBLISHED, published_of
from splitwatt.reports.tables.paper import models_table
from splitwatt.reports.tables.savings import paper_table
from splitwatt.reports.tables.table import Column, Row, Table

_ENCODER_MB = {"ladon_r50": 0.543, "ladon_resnest269e": 0.935}
_S1_BOARDS = {"nano": "nano", "xavier_nx": "xavier_nx"}


def against_published(series: list[Series], accuracy: Accuracy) -> Table:
    """A row for each figure that both a paper and these runs have."""
    columns = [
        Column("quantity", "Quantity", number=False, wraps=True),
        Column("series", "Run", number=False, quiet=True),
        Column("config", "Config.", number=False),
        Column("ours", "Ours", interval=True),
        Column("published", "Paper"),
        Column("unit", "Unit", number=False),
        Column("ratio", "Ratio"),
        Column("where", "Where", number=False),
        Column("mind", "Note", number=False),
    ]
    rows = [row for s in series for row in _of_series(s)]
    rows += [row for s in series for row in _savings(s)]
    rows += _accuracies(accuracy)
    rows += _parameters(series, accuracy)
    rows += [row for s in series for row in _frankensplit(s)]
    if len(series) == 1:  # then it says nothing, and readers do not see it
        rows = [{**row, "series": series[0].label} for row in rows]
    under = [
        f"Ours with {stats.LEVEL:.0%} intervals where there are samples. Ratio: ours / the paper's. The paper's figures are "
        "of its own boards, server and photographs; Figs. 5 to 8, S1 to S3 print no numbers, so "
        "only what the text and tables state is here.",
        *notes.why_they_differ(series),
        *notes.untrained(series),
    ]
    kept = [row for row in rows if isinstance(row["ours"], Value) and row["ours"].value is not None]
    return Table("against", "Beside the papers", columns, kept, under, "quantity")


def _row(
    quantity: str, series: str, config: str, unit: str, ours: Value, paper: float, where: str,
    mind: str = "",
) -> Row:  # fmt: skip
    ratio = missing(ours.why or "the paper's figure is 0")
    if ours.value is not None and paper:
        ratio = exact(ours.value / paper, *ordered((*ours.sources, "published")))
    return {
        "quantity": quantity, "series": series, "config": config, "ours": ours,
        "published": exact(paper, "published"), "unit": unit, "ratio": ratio, "where": where,
        "mind": mind,
    }  # fmt: skip


def _of_series(s: Series) -> Iterator[Row]:
    sizes = {p.model: p for p in rate_accuracy() if p.task == "detection"}
    for entry in s.entries:
        yield from _memory(s, entry)
        if not entry.split or len(entry.models) != 1:
            continue
        stated = sizes.get(entry.models[0])
        if stated is not None and stated.data_size_kib is not None:
            yield _row(
                "Mean data size", s.label, entry.marked, "KiB", payload_mean_kib(entry),
                stated.data_size_kib, "Ladon's logs, COCO 2017",
                "the paper's is the pickled object's, over COCO",
            )  # fmt: skip
        encoder = _ENCODER_MB.get(entry.models[0].split("@")[0])
        if encoder is not None:
            yield _row(
                "Encoder size", s.label, entry.marked, "MiB", encoder_mib(entry),
                encoder, "Ladon, section 6.1", "the text states 0.543-0.935 MB for both backbones",
            )  # fmt: skip


def _memory(s: Series, entry: Entry) -> Iterator[Row]:
    stated = table_s1().get(entry.id)
    if stated is None or not entry.papers:
        return
    board = _S1_BOARDS.get(s.board, "nano")
    column = f"{board}_{'gb' if s.backend == 'cpu' else 'cuda_gb'}"
    mind = "the paper's may hold background jobs; ours is the process alone"
    if s.board not in _S1_BOARDS:
        mind = "the paper's board is a Jetson Nano; " + mind
    ours = peak_memory_gb(entry)
    yield _row(
        "Peak memory", s.label, entry.marked, "GB", ours, stated[column], f"Ladon, Table S1, {column}", mind
    )  # fmt: skip


def _savings(s: Series) -> Iterator[Row]:
    for row in paper_table([s]).rows:
        ours, paper = row["ours_percent"], row["published_percent"]
        if isinstance(ours, Value) and isinstance(paper, Value) and paper.value is not None:
            link = f" at {row['link']}" if row["link"] else ""
            yield _row(
                f"{row['metric']} saved{link}, against {row['baseline']}", s.label, str(row["pair"]), "%", ours, paper.value,
                str(row["where"]), f"the paper's board: {row['paper_board']}",
            )  # fmt: skip


def _accuracies(accuracy: Accuracy) -> Iterator[Row]:
    for result in accuracy.results:
        stated = published_of(result)
        if stated is not None:
            words = [] if result.whole else ["ours is of a part of the data set"]
            words += [] if result.preprocess == PUBLISHED else ["ours has another preprocessing"]
            mind = "; ".join(words)
            yield _row(
                f"Accuracy, {result.task}", result.origin, result.model, "%", result.main,
                stated.percent, "Ladon's logs", mind,
            )  # fmt: skip


def _parameters(series: list[Series], accuracy: Accuracy) -> Iterator[Row]:
    for row in models_table(series, accuracy).rows:
        for ours, paper, quantity, unit in (
            ("params_m", "published_params_m", "Parameters", "M"),
            ("ours_percent", "published_percent", "Accuracy", "%"),
        ):
            a, b = row[ours], row[paper]
            if isinstance(a, Value) and isinstance(b, Value) and b.value is not None:
                yield _row(quantity, "", str(row["model"]), unit, a, b.value, "Ladon, Table 2")


def _frankensplit(s: Series) -> Iterator[Row]:
    for make, ours, paper, where in (
        (frankensplit.backbones_table, "inference_ms", "published_nx_ms", "Table 5, Server+NX"),
        (frankensplit.components_table, "encode_ms", "published_encode_nx_ms", "Table 6, NX"),
        (frankensplit.components_table, "full_ms", "published_full_nx_ms", "Table 6, NX"),
        (
            frankensplit.wireless_table,
            "total_without_coding_ms",
            "published_total_nx_ms",
            "Table 7, NX",
        ),
    ):
        for row in make([s]).rows:
            a, b = row[ours], row[paper]
            if isinstance(a, Value) and isinstance(b, Value) and b.value is not None:
                what = f"{ours.removesuffix('_ms').replace('_', ' ')} time" + (
                    f" over {row['standard']}" if "standard" in row else ""
                )
                yield _row(
                    what.capitalize(), s.label, str(row["config"]), "ms",
                    a, b.value, f"FrankenSplit, {where}",
                )  # fmt: skip
