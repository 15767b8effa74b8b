"""Accuracy of deployed engines, read from accuracy.json of run folders or from other files."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.profiler.records.fields import check_text
from splitwatt.profiler.records.run import EVALUATED_BYTES
from splitwatt.reports.load.model import Run
from splitwatt.reports.load.values import KIB, MIB, NOT_FINITE, Value, missing, ordered

FORMAT = 1
# Task -> the metric that the papers' figures show, and its name on an axis.
MAIN_METRIC = {
    "classification": ("top1_percent", "Top-1 accuracy [%]"),
    "detection": ("map_50_95_percent", "mAP 50-95 [%]"),
    "segmentation": ("miou_percent", "mIoU [%]"),
}
_NAME = re.compile(r"^([^@]+)(?:@([^+]+))?(.*)$")
_NOTHING_SENT = "nothing is sent, or it was not counted"


@dataclass(frozen=True)
class Result:
    """One model on one task: its metrics (percent) and mean sizes; `origin` names the run."""

    origin: str
    model: str
    task: str
    data_set: str
    preprocess: str
    backend: str
    images: int
    whole: bool
    trained: bool
    metrics: dict[str, Value]
    payload_mean_kib: Value
    wire_mean_kib: Value
    legacy_pickled_mean_kib: Value
    bits_per_pixel: Value
    encoder_fp32_mib: Value
    intervals: tuple[str, ...]

    @property
    def main(self) -> Value:
        """The metric that the papers' figures show."""
        name = MAIN_METRIC[self.task][0]
        return self.metrics.get(name, missing(f"{name} was not evaluated"))

    @property
    def system(self) -> str:
        """The model without its rate point: `ladon_r50`, `jpeg+resnet50`."""
        return split_name(self.model)[0]


@dataclass(frozen=True)
class Accuracy:
    """All results, and a sentence for each thing in the files that cannot be used."""

    results: tuple[Result, ...]
    problems: tuple[str, ...]

    def of_task(self, task: str) -> list[Result]:
        """The results of a task."""
        return [result for result in self.results if result.task == task]


NONE = Accuracy((), ())


def split_name(model: str) -> tuple[str, str]:
    """System and rate point of a model's name: `jpeg@50+resnet50` is (`jpeg+resnet50`, `50`)."""
    match = _NAME.match(model)
    if not match:
        return model, ""
    return match.group(1) + match.group(3), match.group(2) or ""


def read_accuracy(runs: list[Run], files: Iterable[Path] = ()) -> Accuracy:
    """The results of the runs' accuracy.json and of further files.

    Raises:
        RunError: a file that was named cannot be read.
    """
    documents = [(run.name, run.path, run.accuracy) for run in runs if run.accuracy is not None]
    documents += [(path.stem, str(path), _load(path)) for path in files]
    results: list[Result] = []
    problems: list[str] = []
    for origin, where, document in documents:
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            problems.append(
                f"Accuracy of {origin}: {where} is not an accuracy.json of format {FORMAT}."
            )
            continue
        for model, bundle in _mapping(document.get("bundles")).items():
            entries = _mapping(bundle).get("results") or []
            for entry in entries if isinstance(entries, list) else [entries]:
                try:
                    results.append(result_of(origin, model, bundle, entry))
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    problems.append(
                        f"Accuracy of {model} in {origin}: an entry is incomplete or damaged "
                        f"({type(error).__name__}: {error}) and is left out."
                    )
    return Accuracy(tuple(results), tuple(problems))


def _load(path: Path) -> Any:
    document = read_json(str(path), EVALUATED_BYTES, RunError, "name an accuracy.json")
    check_text(document, str(path), "")
    return document


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def result_of(origin: str, model: str, bundle: dict[str, Any], entry: dict[str, Any]) -> Result:
    """A model's result from its entry in the file; `bundle` is the file's object for the model.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the entry is incomplete or damaged.
    """
    if entry["task"] not in MAIN_METRIC:
        raise ValueError(f"no task is called {entry['task']!r}")
    trained = bool(bundle["trained"])
    sources = ("measured", *("assumed",) * bool(bundle.get("assumed")))
    sources = ordered((*sources, *("generated",) * (not trained)))
    figures = {**entry["metrics"], "payload": entry.get("payload_bytes")}
    said = [_mapping(figure).get("interval") for figure in figures.values()]
    size = _mapping(bundle.get("encoder_size_bytes")).get("fp32_params")
    encoder = missing("the encoder's size is not stated")
    if isinstance(size, int):
        encoder = Value(size / MIB, ("estimated",))
    return Result(
        origin=origin,
        model=str(model),
        task=entry["task"],
        data_set=str(entry["data_set"]),
        preprocess=str(entry["preprocess"]),
        backend=_backends(entry),
        images=int(entry["images"]),
        whole=entry.get("whole", True) is True,
        trained=trained,
        metrics={name: _figure(figure, 1.0, sources) for name, figure in entry["metrics"].items()},
        payload_mean_kib=_figure(entry.get("payload_bytes"), KIB, sources),
        wire_mean_kib=_figure(entry.get("wire_bytes"), KIB, sources),
        legacy_pickled_mean_kib=_figure(entry.get("legacy_pickled_bytes"), KIB, sources),
        bits_per_pixel=_figure(entry.get("bits_per_pixel"), 1.0, sources),
        encoder_fp32_mib=encoder,
        intervals=tuple(dict.fromkeys(str(text) for text in said if text)),
    )


def _backends(entry: dict[str, Any]) -> str:
    """The board's backend, and the server's if it is another one."""
    board, server = (entry.get(key) for key in ("backend", "server_backend"))
    return str(board or "") + (f" + {server}" if server not in (None, board) else "")


def _figure(record: Any, unit: float, sources: tuple[str, ...]) -> Value:
    """One figure in another unit; missing if it is null or not a finite number."""
    if record is None:
        return missing(_NOTHING_SENT)
    if record["value"] is None:
        return missing("it is undefined on these images")
    value = float(record["value"])
    if not math.isfinite(value):
        return missing(NOT_FINITE)
    ends = [record.get("low"), record.get("high")]
    finite = all(isinstance(end, (int, float)) and math.isfinite(end) for end in ends)
    low, high = (float(end) / unit for end in ends) if finite else (None, None)
    return Value(value / unit, sources, low, high, int(record["n"]))
