"""How often models give the same answers as another one on unlabelled images (agreement.json of runs)."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from splitwatt.reports.load.accuracy import MAIN_METRIC, Result, result_of
from splitwatt.reports.load.model import Entry, Run, Series, runs_of
from splitwatt.reports.load.values import Value, missing
from splitwatt.reports.metrics.metric import Metric

# Task -> the name of its column, its title.
NAMES = {
    "classification": ("agreement_top1_percent", "Top-1 agreement"),
    "detection": ("agreement_map_50_95_percent", "mAP agreement"),
    "segmentation": ("agreement_miou_percent", "mIoU agreement"),
}


@dataclass(frozen=True)
class Agreement:
    """The models of a run against one other, on one task and folder of images."""

    run: Run
    other: str
    task: str
    results: tuple[Result, ...]

    @property
    def about(self) -> str:
        """`efficientnet_lite0 on 40 images`."""
        images = sorted({result.images for result in self.results})
        return f"{self.other} on {' or '.join(map(str, images))} images without labels"

    @property
    def intervals(self) -> str:
        """How the intervals were computed; empty where the results have no interval."""
        return ", ".join(sorted({text for result in self.results for text in result.intervals}))

    def of(self, entry: Entry) -> Value:
        """Of a configuration's model that has the task."""
        known = {result.model: result.main for result in self.results}
        return next(
            (known[model] for model in entry.models if model in known),
            missing(f"not compared with {self.other}"),
        )


def agreement(run: Run, task: str) -> Agreement | None:
    """The comparison that most models of a run share on a task; None without a comparison."""
    results: dict[tuple[str, str], dict[str, Result]] = {}
    for other, folder, result in _read(run)[0]:
        if result.task == task and result.main.value is not None:
            results.setdefault((other, folder), {})[result.model] = result
    if not results:
        return None
    other, _ = key = max(results, key=lambda one: len(results[one]))
    return Agreement(run, other, task, tuple(results[key].values()))


def damage(run: Run) -> list[str]:
    """A sentence on each entry of agreement.json that cannot be used."""
    return _read(run)[1]


def _read(run: Run) -> tuple[list[tuple[str, str, Result]], list[str]]:
    """The other model, the images' folder and the result of each entry; what cannot be used."""
    entries, problems = [], []
    document = run.agreement if isinstance(run.agreement, dict) else {}
    rows = document.get("results", [])
    for row in rows if isinstance(rows, list) else []:
        try:
            bundle = run.bundles.get(row["model"])
            if bundle is None:
                continue  # no configuration runs it
            if row["manifest_sha256"] != bundle["manifest_sha256"]:
                problems.append(
                    f"Agreement of {row['model']} in {run.name}: it is of another bundle than the "
                    "run's, and is left out."
                )
                continue
            for task in MAIN_METRIC:
                if task in row["tasks"]:
                    one = str(row["against"]["model"]), str(row["folder"])
                    entries.append((*one, _result(run, bundle, row, task)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(
                f"Agreement in {run.name}: an entry is incomplete or damaged "
                f"({type(error).__name__}: {error}) and is left out."
            )
    return entries, problems


def _result(run: Run, bundle: dict[str, Any], row: dict[str, Any], task: str) -> Result:
    bundle = {**bundle, "trained": row["trained"] and row["against"]["trained"]}
    entry = {
        **row,
        "task": task,
        "metrics": row["tasks"][task]["agreement"],
        "preprocess": "runtime",
    }
    return result_of(run.name, row["model"], bundle, entry)


def agreement_percent(entry: Entry, task: str) -> Value:
    """In percent, with its interval over images."""
    agreed = agreement(entry.run, task)
    return agreed.of(entry) if agreed else missing("no agreement.json has it")


def agreements(series: list[Series]) -> list[Agreement]:
    """Each run and task that was compared with another model's answers."""
    return [made for run in runs_of(series) for task in NAMES if (made := agreement(run, task))]


def sentences(series: list[Series]) -> list[str]:
    """With which model and on which images the answers of each run were compared."""
    return [
        f"{NAMES[made.task][1]} of {made.run.name}: with the answers of {made.about}, which is no "
        f"accuracy; in brackets: {made.intervals or 'no interval'}."
        for made in agreements(series)
    ]


METRICS = tuple(
    Metric(
        key, title, "%", partial(agreement_percent, task=task), 56 + place, interval=("summary",),
        if_known=True,
    )
    for place, (task, (key, title)) in enumerate(NAMES.items())
)  # fmt: skip
