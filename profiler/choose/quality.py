"""Accuracy or agreement of a run's models, as accuracy.json or agreement.json of the run state it."""

import math
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.profiler.records.run import ACCURACY_FILE, AGREEMENT_FILE, Run

# Task -> the metric that is compared.
METRICS = {
    "classification": "top1_percent",
    "detection": "map_50_95_percent",
    "segmentation": "miou_percent",
}


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
    for name, rows in ((ACCURACY_FILE, _accuracy(run)), (AGREEMENT_FILE, _agreement(run))):
        known: Dict[str, Dict[str, Figure]] = {}
        for what, of_task, model, figure in rows:
            if task in (None, of_task):
                known.setdefault(what, {})[model] = figure
        if known:
            best = max(known, key=lambda what: len(known[what]))
            others = sorted(set(known) - {best})
            notes = ["%s also has %s" % (name, "; ".join(others))] if others else []
            return Quality(best, known[best], notes)
    return None


def _accuracy(run: Run) -> List[Tuple[str, str, str, Figure]]:
    file = os.path.join(run.path, ACCURACY_FILE)
    rows = []
    for model, bundle in _items(run.accuracy, "bundles", file, dict):
        for result in _values(bundle, "results", file):
            rows += _rows(result, "metrics", model, "of %s" % result.get("data_set"), file)
    return rows


def _agreement(run: Run) -> List[Tuple[str, str, str, Figure]]:
    file = os.path.join(run.path, AGREEMENT_FILE)
    rows = []
    for result in _values(run.agreement, "results", file):
        against = result.get("against")
        other = against.get("model") if isinstance(against, dict) else None
        what = "of agreement with %s on %s" % (other, result.get("data_set"))
        for task, own in _items(result, "tasks", file, dict):
            row = dict(own if isinstance(own, dict) else {}, task=task)
            rows += _rows(row, "agreement", str(result.get("model")), what, file)
    return rows


def _rows(
    result: Dict[str, Any], key: str, model: str, what: str, file: str
) -> List[Tuple[str, str, str, Figure]]:
    """The compared figure of a result's task, if it has one."""
    task = result.get("task")
    metric = METRICS.get(task) if isinstance(task, str) else None
    figures = result.get(key)
    figure = figures.get(metric) if isinstance(figures, dict) else None
    if metric is None or not isinstance(figure, dict) or figure.get("value") is None:
        return []
    values: List[Any] = [figure.get(name) for name in ("value", "low", "high")]
    if any(not _is_number(value) for value in values if value is not None):
        raise RunError("%s: a figure of %s is no finite number" % (file, model))
    return [("%s %s" % (metric, what), str(task), model, Figure(*values))]


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _items(document: Any, key: str, file: str, kind: type) -> List[Tuple[str, Any]]:
    if document is None:
        return []
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, kind):
        raise RunError("%s: '%s' must be an object" % (file, key))
    return list(value.items())  # type: ignore[attr-defined]


def _values(document: Any, key: str, file: str) -> List[Dict[str, Any]]:
    if document is None:
        return []
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise RunError("%s: '%s' must be a list of results" % (file, key))
    return value
