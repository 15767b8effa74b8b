"""Accuracy or agreement of a run's models, as accuracy.json or agreement.json of the run state it."""

import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.profiler.records.run import ACCURACY_FILE, AGREEMENT_FILE, Run

# Task -> the metric that is compared.
METRICS = {
    "classification": "top1_percent",
    "detection": "map_50_95_percent",
    "segmentation": "miou_percent",
}
# Task, its metrics, model, what they are of.
_Row = Tuple[str, Any, str, str]


class Figure(NamedTuple):
    """A figure with its 95 % interval; None where that is not known."""

    value: float
    low: Optional[float] = None
    high: Optional[float] = None


class Quality(NamedTuple):
    """What is known of the models: what the figure is of, a model's figure, what is left out."""

    of: str
    models: Dict[str, Figure]
    notes: List[str]


def quality_of(run: Run, task: Optional[str]) -> Optional[Quality]:
    """The figures that most models have in common; None where none are recorded.

    Args:
        run: whose folder holds accuracy.json, or else agreement.json.
        task: of that task alone; None takes the one that most models were evaluated on.

    Raises:
        RunError: a file holds what such a file cannot hold.
    """
    for name, document, rows_of in (
        (ACCURACY_FILE, run.accuracy, _accuracy),
        (AGREEMENT_FILE, run.agreement, _agreement),
    ):
        known: Dict[str, Dict[str, Figure]] = {}
        try:
            for of_task, metrics, model, what in rows_of(document) if document is not None else ():
                metric = METRICS.get(of_task)
                figure = metrics.get(metric)
                if metric and figure and figure["value"] is not None and task in (None, of_task):
                    ends = [figure.get(end) for end in ("low", "high")]
                    low, high = (None if end is None else end + 0.0 for end in ends)
                    own = Figure(figure["value"] + 0.0, low, high)
                    known.setdefault("%s %s" % (metric, what), {})[model] = own
        except (LookupError, TypeError, AttributeError):
            file = os.path.join(run.path, name)
            raise RunError("%s is damaged" % file, "run 'splitwatt evaluate' again")
        if known:
            best = max(known, key=lambda what: len(known[what]))
            others = sorted(set(known) - {best})
            notes = ["%s also has %s" % (name, "; ".join(others))] if others else []
            return Quality(best, known[best], notes)
    return None


def _accuracy(document: Any) -> Iterator[_Row]:
    for model, bundle in document["bundles"].items():
        for result in bundle["results"]:
            yield result["task"], result["metrics"], model, "of %s" % result["data_set"]


def _agreement(document: Any) -> Iterator[_Row]:
    for result in document["results"]:
        what = "of agreement with %s on %s" % (result["against"]["model"], result["data_set"])
        for task, own in result["tasks"].items():
            yield task, own["agreement"], result["model"], what
