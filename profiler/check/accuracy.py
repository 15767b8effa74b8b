"""accuracy.json and agreement.json, recomputed from the records of evaluation/, and the hashes of those."""

import hashlib
import importlib.util
import json
import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.files import sha256_file
from splitwatt.profiler.check.check import Check, nothing, verdict
from splitwatt.profiler.evaluate.against import of_task
from splitwatt.profiler.evaluate.data_sets.data_set import DETECTION, DataSet, Item
from splitwatt.profiler.evaluate.metrics import figures
from splitwatt.profiler.evaluate.records import LIMIT_BYTES
from splitwatt.profiler.evaluate.run import BYTES, mean_if_known
from splitwatt.profiler.records.coco import COCO_BYTES, read_coco
from splitwatt.profiler.records.reading import read_bytes
from splitwatt.profiler.records.run import ACCURACY_FILE, AGREEMENT_FILE, read_evaluated

_FOLLOWS = "accuracy follows from its records"
_SAME = "records of accuracy are those that were counted"
_ABOUT = ("model", "manifest_sha256", "data_set", "preprocess", "backend")
_ABOUT_PAIR = ("model", "manifest_sha256", "backend", "against", "folder")
_UNUSABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    SplitwattError,
)  # fmt: skip
_NO_MAP = "mAP needs the package pycocotools"
_CLOSE = 1e-6

Row = Dict[str, Any]


def checks(path: str) -> List[Check]:
    """The checks of this module; `path` is the run's folder."""
    wrong: List[str] = []
    changed: List[str] = []
    left: List[str] = []
    results: List[Tuple[str, Row]] = []
    try:
        accuracy = read_evaluated(path, ACCURACY_FILE, wrong) or {"bundles": {}}
        for model, entry in accuracy["bundles"].items():
            about = {"model": model, "manifest_sha256": entry.get("manifest_sha256")}
            results += [(model, dict(result, **about)) for result in entry["results"]]
        agreement = read_evaluated(path, AGREEMENT_FILE, wrong) or {"results": []}
        results += [(result["model"], result) for result in agreement["results"]]
    except _UNUSABLE as error:
        wrong.append("%s or %s cannot be used: %s" % (ACCURACY_FILE, AGREEMENT_FILE, error))
    if not results and not wrong:
        return [nothing(name, "accuracy was not evaluated") for name in (_FOLLOWS, _SAME)]
    for model, result in results:
        place = "%s on %s" % (model, result.get("data_set"))
        if not isinstance(result.get("records"), dict):
            left.append("%s names no records" % place)
            continue
        try:
            heading, rows, sha256 = _records(path, result)
            if sha256 != result["records"]["sha256"]:
                changed.append("%s: its records were changed" % place)
            names = _ABOUT_PAIR if "tasks" in result else _ABOUT
            if any(heading[name] != result[name] for name in names):
                changed.append("%s: its records are of another evaluation" % place)
                continue
            due, why = (_agreement if "tasks" in result else _accuracy)(result, heading, rows)
            stated = dict(result, **result.get("tasks", {}))
            for name in due:
                wrong += ["%s: %s" % (place, odd) for odd in _odd(name, stated[name], due[name])]
            left += ["%s: %s" % (place, why)] if why else []
        except _UNUSABLE as error:
            wrong.append("%s: its records cannot be used: %s" % (place, error))
    looked = "%d results" % len(results) + ("; not all: " + "; ".join(left) if left else "")
    if not wrong and len(left) == len(results):
        return [nothing(_FOLLOWS, looked), nothing(_SAME, looked)]
    same = verdict(_SAME, changed, looked) if results else nothing(_SAME, looked)
    return [verdict(_FOLLOWS, wrong, looked), same]


def _records(run: str, result: Row) -> Tuple[Row, List[Row], str]:
    """The heading, as many lines after it as the result has images, and the hash of all of them."""
    name = os.path.basename(result["records"]["file"])
    data = read_bytes(os.path.join(run, "evaluation", name), LIMIT_BYTES)
    lines = data.split(b"\n")[: 1 + result["images"]]
    if len(lines) <= result["images"]:
        raise ValueError("%d lines of %d are there" % (len(lines) - 1, result["images"]))
    sha256 = hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()
    heading, *images = [json.loads(line.decode("utf-8")) for line in lines]
    return heading, images, sha256


def _accuracy(result: Row, heading: Row, rows: List[Row]) -> Tuple[Row, Optional[str]]:
    """What the records give, by the result's keys, and why that is not all."""
    due: Row = {name: mean_if_known([row[name] for row in rows]) for name in BYTES}
    task = result["task"]
    items = [Item(row["name"], "", None) for row in rows]
    coco = None
    if task == DETECTION and result["metrics"]:
        name = heading.get("annotations") or os.path.join("annotations", "instances_val2017.json")
        path = os.path.join(heading["folder"], name)
        if importlib.util.find_spec("pycocotools") is None:
            return due, _NO_MAP
        if (
            not os.path.isfile(path)
            or sha256_file(path, COCO_BYTES) != heading["annotations_sha256"]
        ):
            return due, "its annotations are not on this machine"
        coco = read_coco(path)
        ids = {image.file_name: image.id for image in coco.images}  # format 1 has no ids
        items = [
            item._replace(truth=row.get("id") or ids[row["name"]]) for item, row in zip(items, rows)
        ]
    if result["metrics"]:
        data = DataSet("", heading["data_set"], task, items, coco=coco)
        due["metrics"] = figures(data, [row.get(task) for row in rows])
    return due, None


def _agreement(result: Row, heading: Row, rows: List[Row]) -> Tuple[Row, Optional[str]]:
    """The same of a comparison with another bundle."""
    names = ("payload_bytes", "against_payload_bytes")
    due: Row = {name: mean_if_known([row[name] for row in rows]) for name in names}
    data = DataSet("", "", None, [Item(row["name"], "", None) for row in rows])
    why = None
    for task in result["tasks"]:
        if task == DETECTION and importlib.util.find_spec("pycocotools") is None:
            why = _NO_MAP
        else:
            due[task] = of_task(data, task, [row[task] for row in rows])
    return due, why


def _odd(name: str, stated: Any, due: Any) -> Iterator[str]:
    """What of a figure is not what the records give; numbers to a millionth."""
    numbers = (int, float)
    if isinstance(due, dict) and isinstance(stated, dict) and set(stated) == set(due):
        for key in due:
            yield from _odd("%s.%s" % (name, key), stated[key], due[key])
    elif isinstance(due, numbers) and isinstance(stated, numbers):
        if not abs(stated - due) <= _CLOSE * max(1.0, abs(due)):
            yield "%s is %r, and the records give %r" % (name, stated, due)
    elif stated != due:
        yield "%s is %s, and the records give %s" % (name, json.dumps(stated), json.dumps(due))
