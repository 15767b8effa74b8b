"""accuracy.json and agreement.json, recomputed from the records of evaluation/, and the hashes of those."""

import hashlib
import importlib.util
import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.device_configs.files import sha256_file
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.profiler.check.raw import Check, Raw, nothing, verdict
from splitwatt.profiler.evaluate.against import of_task
from splitwatt.profiler.evaluate.data_sets.data_set import DETECTION, DataSet, Item
from splitwatt.profiler.evaluate.intervals import Figure
from splitwatt.profiler.evaluate.metrics import figures
from splitwatt.profiler.evaluate.run import BYTES, mean_if_known
from splitwatt.profiler.records.coco import COCO_BYTES, read_coco
from splitwatt.profiler.records.reading import open_file, read_bytes
from splitwatt.profiler.records.run import ACCURACY_FILE, AGREEMENT_FILE

_FOLLOWS = "accuracy follows from its records"
_SAME = "records of accuracy are those that were counted"
_ABOUT, _ABOUT_PAIR = ("data_set", "preprocess", "backend"), ("backend", "against", "folder")
_UNUSABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    SplitwattError,
)  # fmt: skip
_LIMIT_BYTES = 64 << 20
_CLOSE = 1e-6


class _Records(NamedTuple):
    """The lines that a result was made of: the heading, an image each, the hash of all of them."""

    heading: Dict[str, Any]
    images: List[Dict[str, Any]]
    sha256: str


def checks(raw: Raw) -> List[Check]:
    """The checks of this module."""
    files = {ACCURACY_FILE: _accuracies, AGREEMENT_FILE: _agreements}
    there = [name for name in files if os.path.lexists(os.path.join(raw.path, name))]
    if not there:
        return [nothing(name, "accuracy was not evaluated") for name in (_FOLLOWS, _SAME)]
    results: List[Tuple[str, Dict[str, Any]]] = []
    for name in there:
        try:
            results += files[name](os.path.join(raw.path, name))
        except _UNUSABLE as error:
            return [
                Check(_FOLLOWS, False, "%s cannot be used: %s" % (name, error)),
                nothing(_SAME, "%s cannot be used" % name),
            ]
    wrong: List[str] = []
    changed: List[str] = []
    left: List[str] = []
    for model, result in results:
        place = "%s on %s" % (model, result.get("data_set"))
        if not isinstance(result.get("records"), dict):
            left.append("%s names no records" % place)
            continue
        try:
            records = _records(raw.path, result)
            if records.sha256 != result["records"]["sha256"]:
                changed.append("%s: its records were changed" % place)
            differing = _another(model, result, records)
            if differing:
                changed.append("%s: its records have another %s" % (place, differing))
                continue
            odd, why = (_agreed if "tasks" in result else _compared)(result, records)
        except _UNUSABLE as error:
            wrong.append("%s: its records cannot be used: %s" % (place, error))
            continue
        wrong += ["%s: %s" % (place, text) for text in odd]
        left += ["%s: %s" % (place, why)] if why else []
    looked = "%d results" % len(results) + ("; not all: " + "; ".join(left) if left else "")
    if not wrong and len(left) == len(results):
        return [nothing(_FOLLOWS, looked), nothing(_SAME, looked)]
    return [verdict(_FOLLOWS, wrong, looked), verdict(_SAME, changed, looked)]


def _accuracies(path: str) -> List[Tuple[str, Dict[str, Any]]]:
    bundles = parse_json(read_bytes(path, _LIMIT_BYTES), path, RunError)["bundles"]
    results = []
    for model, entry in sorted(bundles.items()):
        for result in entry["results"]:
            results.append((model, dict(result, manifest_sha256=entry.get("manifest_sha256"))))
    return results


def _agreements(path: str) -> List[Tuple[str, Dict[str, Any]]]:
    results = parse_json(read_bytes(path, _LIMIT_BYTES), path, RunError)["results"]
    return [(result["model"], result) for result in results]


def _records(run: str, result: Dict[str, Any]) -> _Records:
    """The heading and as many lines after it as the result has images."""
    name = os.path.basename(result["records"]["file"])
    with open_file(os.path.join(run, "evaluation", name)) as stream:
        lines = stream.read().split(b"\n")[: 1 + result["images"]]
    if len(lines) <= result["images"]:
        raise ValueError("%d lines of %d are there" % (len(lines) - 1, result["images"]))
    sha256 = hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()
    heading, *images = [json.loads(line.decode("utf-8")) for line in lines]
    return _Records(heading, images, sha256)


def _another(model: str, result: Dict[str, Any], records: _Records) -> Optional[str]:
    """What of the heading is not the result's."""
    if records.heading["model"] != model:
        return "model"
    names = ("manifest_sha256",) + (_ABOUT_PAIR if "tasks" in result else _ABOUT)
    return next((name for name in names if records.heading[name] != result[name]), None)


def _compared(result: Dict[str, Any], records: _Records) -> Tuple[List[str], Optional[str]]:
    """What does not match, a phrase each, and why some figures could not be recomputed."""
    expected: Dict[str, Optional[Figure]] = {
        name: mean_if_known([record[name] for record in records.images]) for name in BYTES
    }
    stated = {name: result[name] for name in BYTES}
    why = None
    if result["metrics"]:
        metrics, why = _metrics(result["task"], records)
        expected.update(metrics)
        stated.update((name, result["metrics"][name]) for name in metrics)
        if why is None and set(metrics) != set(result["metrics"]):
            return ["its metrics are %s" % ", ".join(sorted(result["metrics"]))], None
    return _odd(stated, expected), why


def _agreed(result: Dict[str, Any], records: _Records) -> Tuple[List[str], Optional[str]]:
    """The same of a comparison with another bundle."""
    expected: Dict[str, Optional[Figure]] = {}
    stated: Dict[str, Optional[Figure]] = {}
    for name in ("payload_bytes", "against_payload_bytes"):
        expected[name] = mean_if_known([record[name] for record in records.images])
        stated[name] = result[name]
    data = DataSet("", "", None, [Item(record["name"], "", None) for record in records.images])
    why = None
    for task, own in result["tasks"].items():
        if task == DETECTION and importlib.util.find_spec("pycocotools") is None:
            why = "mAP needs the package pycocotools"
            continue
        made = of_task(data, task, [record[task] for record in records.images])
        for kind in ("agreement", "differences"):
            if set(made[kind]) != set(own[kind]):
                return ["%s of %s has %s" % (kind, task, ", ".join(sorted(own[kind])))], None
            for name, figure in made[kind].items():
                expected["%s of %s" % (name, task)] = _flat(figure)
                stated["%s of %s" % (name, task)] = _flat(own[kind][name])
    return _odd(stated, expected), why


def _flat(figure: Optional[Dict[str, Any]]) -> Optional[Figure]:
    """A figure; a difference as one: its mean, and the largest."""
    if figure is None or "mean" not in figure:
        return figure
    return dict(figure["mean"], max=figure["max"])


def _odd(stated: Mapping[str, Optional[Figure]], due: Mapping[str, Optional[Figure]]) -> List[str]:
    return [
        "%s is %s, and the records give %s" % (name, json.dumps(stated[name]), json.dumps(figure))
        for name, figure in sorted(due.items())
        if not _same(stated[name], figure)
    ]


def _same(stated: Optional[Figure], due: Optional[Figure]) -> bool:
    """Whether two figures are equal, their numbers to a millionth."""
    if stated is None or due is None or set(stated) != set(due):
        return stated is due
    return all(
        abs(stated[key] - value) <= _CLOSE * max(1.0, abs(value))
        if isinstance(value, (int, float)) and isinstance(stated[key], (int, float))
        else stated[key] == value
        for key, value in due.items()
    )


def _metrics(task: str, records: _Records) -> Tuple[Dict[str, Figure], Optional[str]]:
    """Every figure of a task that the records give, and why there are not all."""
    rows = [record.get(task) for record in records.images]
    items = [Item(record["name"], "", None) for record in records.images]
    coco = None
    if task == DETECTION:
        heading = records.heading
        name = heading.get("annotations") or os.path.join("annotations", "instances_val2017.json")
        path = os.path.join(heading["folder"], name)
        if importlib.util.find_spec("pycocotools") is None:
            return {}, "mAP needs the package pycocotools"
        if (
            not os.path.isfile(path)
            or sha256_file(path, COCO_BYTES) != heading["annotations_sha256"]
        ):
            return {}, "its annotations are not on this machine"
        coco = read_coco(path)
        ids = {image.file_name: image.id for image in coco.images}  # format 1 has no ids
        items = [
            item._replace(truth=record.get("id") or ids[record["name"]])
            for item, record in zip(items, records.images)
        ]
    return figures(DataSet("", records.heading["data_set"], task, items, coco=coco), rows), None
