"""How often a configuration answers as the model that it was compared with (agreement.json)."""
# board: no

from functools import partial

from splitwatt.reports.load.agreement import agreement
from splitwatt.reports.load.model import Entry, Series, runs_of
from splitwatt.reports.load.values import Value, missing
from splitwatt.reports.metrics.metric import Metric

# Task -> the name of its column, its title.
NAMES = {
    "classification": ("agreement_top1_percent", "Top-1 agreement"),
    "detection": ("agreement_map_50_95_percent", "mAP agreement"),
    "segmentation": ("agreement_miou_percent", "mIoU agreement"),
}


def agreement_percent(entry: Entry, task: str) -> Value:
    """In percent, with its interval over images."""
    agreed = agreement(entry.run, task)
    return agreed.of(entry) if agreed else missing("no agreement.json has it")


def sentences(series: list[Series]) -> list[str]:
    """With which model and on which images the answers of each run were compared."""
    return [
        f"{title} of {run.name}: with the answers of {made.about}, which is no accuracy; in brackets: "
        f"{made.intervals or 'no interval'}."
        for run in runs_of(series)
        for task, (_, title) in NAMES.items()
        if (made := agreement(run, task))
    ]


METRICS = tuple(
    Metric(
        key=key,
        title=title,
        unit="%",
        of=partial(agreement_percent, task=task),
        place=56 + place,
        interval=("summary",),
        if_known=True,
    )
    for place, (task, (key, title)) in enumerate(NAMES.items())
)
