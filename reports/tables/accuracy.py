"""The accuracy table: every evaluated model on every task, with the published figures."""

from splitwatt.reports.load.accuracy import MAIN_METRIC, Accuracy, Result
from splitwatt.reports.load.values import exact, missing
from splitwatt.reports.papers.published import Published, data_set_of, rate_accuracy
from splitwatt.reports.tables.table import Column, Row, Table, percent, whole

_METRICS = {
    "top1_percent": "Top-1",
    "top5_percent": "Top-5",
    "map_50_95_percent": "mAP 50-95",
    "map_50_percent": "mAP 50",
    "miou_percent": "mIoU",
}
# The preprocessing of the papers' own accuracy figures.
PUBLISHED = "published"
_UNPUBLISHED = "none published"
_WORDS = ("model", "task", "data_set", "preprocess", "backend")
_SIZES = (
    "payload_mean_kib", "wire_mean_kib", "legacy_pickled_mean_kib", "bits_per_pixel", "encoder_fp32_mib",
)  # fmt: skip
_OTHER = "not a metric of this task, or not evaluated"


def accuracy_table(accuracy: Accuracy) -> Table:
    """A row for each result; empty if nothing was evaluated."""
    backends = {result.backend for result in accuracy.results}
    columns = [
        Column("run", "Run", number=False, quiet=True),
        Column("model", "Model", number=False),
        Column("task", "Task", number=False),
        Column("data_set", "Data set", number=False),
        Column("preprocess", "Preprocessing", number=False, quiet=True),
        *([Column("backend", "Backend", number=False, quiet=True)] if len(backends) > 1 else []),
        Column("images", "Images", text=whole),
        *(Column(k, title, "%", interval=True, text=percent) for k, title in _METRICS.items()),
        Column("payload_mean_kib", "Mean payload", "KiB", interval=True),
        Column("wire_mean_kib", "Mean on the wire", "KiB"),
        Column("legacy_pickled_mean_kib", "Mean pickled (sc2bench)", "KiB"),
        Column("bits_per_pixel", "Bits per pixel"),
        Column("encoder_fp32_mib", "Encoder", "MiB"),
        Column("published_percent", "Paper", "%", text=percent),
        Column("published_kib", "Paper: data size", "KiB"),
    ]
    rows = [_row(result) for result in accuracy.results]
    used = {key for row in rows for key in _METRICS if getattr(row[key], "value", None) is not None}
    columns = [c for c in columns if c.key not in _METRICS or c.key in used]
    said = list(dict.fromkeys(text for r in accuracy.results for text in r.intervals))
    under = [f"In brackets: {', '.join(said)}."] if said else []
    partly = [r.model for r in accuracy.results if not r.whole]
    if partly:
        under.append(
            f"Evaluated on part of the data set only: {', '.join(dict.fromkeys(partly))}; not "
            "comparable with published figures."
        )
    other = [r.model for r in accuracy.results if r.preprocess != PUBLISHED and published_of(r)]
    if other:
        under.append(
            f"{', '.join(dict.fromkeys(other))}: not with the preprocessing of the published figures."
        )
    if any(not r.trained for r in accuracy.results):
        under.append("Accuracy of untrained (random) weights means nothing; its source says so.")
    under.append(
        "Paper: Ladon's own logs, of the whole data set; its sizes are those of the pickled object."
    )
    return Table("accuracy", "Accuracy (Figs. 2 to 4)", columns, rows, under, "model")


def published_of(result: Result) -> Published | None:
    """What the paper's logs state on this model and task, on the same data set."""
    if result.data_set != data_set_of(result.task):
        return None
    own = result.model, result.task
    return next((one for one in rate_accuracy() if (one.model, one.task) == own), None)


def _row(result: Result) -> Row:
    stated = published_of(result)
    row: Row = {
        "run": result.origin,
        **{key: getattr(result, key) for key in (*_WORDS, *_SIZES)},
        "images": exact(result.images, "measured"),
        "published_percent": missing(_UNPUBLISHED),
        "published_kib": missing(_UNPUBLISHED),
    }
    row.update({key: result.metrics.get(key, missing(_OTHER)) for key in _METRICS})
    if stated:
        row["published_percent"] = exact(stated.percent, "published")
        row["published_kib"] = exact(stated.data_size_kib, "published", why=_UNPUBLISHED)
    return row


def tasks_with_results(accuracy: Accuracy) -> list[str]:
    """The tasks that have any figure of their main metric, in the papers' order."""
    return [
        task
        for task in MAIN_METRIC
        if any(result.main.value is not None for result in accuracy.of_task(task))
    ]
