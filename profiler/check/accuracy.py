"""accuracy.json, recomputed from the records of evaluation/, and the hashes of those."""

import hashlib
import json
import math
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.device_configs.files import sha256_file
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.profiler.check.boxes import Matches
from splitwatt.profiler.check.drawn import Weighted, ends, mean_of, miou_of
from splitwatt.profiler.check.raw import Check, Raw, nothing, verdict
from splitwatt.profiler.records.coco import read_coco
from splitwatt.profiler.records.reading import open_file, read_bytes

_FOLLOWS = "accuracy follows from its records"
_SAME = "records of accuracy are those that were counted"
_BYTES = ("payload_bytes", "wire_bytes", "legacy_pickled_bytes", "bits_per_pixel")
_ABOUT = ("data_set", "preprocess", "backend")
_UNUSABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, SplitwattError
)  # fmt: skip
_LIMIT_BYTES = 64 << 20
_CLOSE, _SAME_END = 1e-9, 1e-6
_WILSON = "95 % Wilson"
_Z = 1.959963984540054  # of 95 %


class _Records(NamedTuple):
    """The lines that a result was made of: the heading, an image each, the hash of all of them."""

    heading: Dict[str, Any]
    images: List[Dict[str, Any]]
    sha256: str


def checks(raw: Raw) -> List[Check]:
    """The checks of this page."""
    path = os.path.join(raw.path, "accuracy.json")
    if not os.path.lexists(path):
        return [nothing(name, "accuracy was not evaluated") for name in (_FOLLOWS, _SAME)]
    try:
        results = _results(path)
    except _UNUSABLE as error:
        return [
            Check(_FOLLOWS, False, "accuracy.json cannot be used: %s" % error),
            nothing(_SAME, "accuracy.json cannot be used"),
        ]
    wrong: List[str] = []
    changed: List[str] = []
    left: List[str] = []
    for model, result in results:
        place = "%s on %s" % (model, result.get("data_set"))
        if not isinstance(result.get("records"), dict):
            left.append("%s tells no records" % place)
            continue
        try:
            records = _records(raw.path, result)
            if records.sha256 != result["records"]["sha256"]:
                changed.append("%s: its records were changed" % place)
            differing = _another(model, result, records)
            if differing:
                changed.append("%s: its records are of another %s" % (place, differing))
                continue
            odd, why = _compared(result, records)
        except _UNUSABLE as error:
            wrong.append("%s: its records cannot be used: %s" % (place, error))
            continue
        wrong += ["%s: %s" % (place, text) for text in odd]
        left += ["%s: %s" % (place, why)] if why else []
    looked = "%d results" % len(results) + ("; not all: " + "; ".join(left) if left else "")
    if not wrong and len(left) == len(results):
        return [nothing(_FOLLOWS, looked), nothing(_SAME, looked)]
    return [verdict(_FOLLOWS, wrong, looked), verdict(_SAME, changed, looked)]


def _results(path: str) -> List[Tuple[str, Dict[str, Any]]]:
    bundles = parse_json(read_bytes(path, _LIMIT_BYTES), path, RunError)["bundles"]
    found = []
    for model, entry in sorted(bundles.items()):
        for result in entry["results"]:
            found.append((model, dict(result, manifest_sha256=entry.get("manifest_sha256"))))
    return found


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
    names = ("manifest_sha256",) + _ABOUT
    return next((name for name in names if records.heading[name] != result[name]), None)


def _compared(result: Dict[str, Any], records: _Records) -> Tuple[List[str], Optional[str]]:
    """What does not follow, a phrase each, and what could not be looked at."""
    own = [record.get(result["task"]) for record in records.images]
    expected: Dict[str, Optional[Weighted]] = {}
    why = None
    for name in _BYTES:
        values = [record[name] for record in records.images]
        expected[name] = None if None in values else mean_of(values)
    told = {name: result[name] for name in _BYTES}
    if result["metrics"]:
        told.update(result["metrics"])
        metrics, why = _metrics(result["task"], records, own)
        expected.update(metrics)
        for name in set(result["metrics"]) - set(metrics):
            del told[name]
    wrong = []
    for name, figure in sorted(told.items()):
        of = expected.get(name)
        if (figure is None) != (of is None):
            wrong.append("%s is %r" % (name, figure))
        elif figure is not None and of is not None:
            wrong += _odd(name, figure, of, len(records.images))
    return wrong, why


def _odd(name: str, figure: Dict[str, Any], of: Weighted, count: int) -> List[str]:
    """What is wrong with one figure."""
    value = of(np.ones(count, int))
    if figure["value"] is None:
        defined = bool(np.isfinite(value))
        return ["%s is null, and %.6g follows" % (name, value)] if defined else []
    if figure["n"] != count or abs(figure["value"] - value) > _CLOSE * max(1.0, abs(value)):
        return ["%s is %.6g of %s images, and %.6g of %d follows"
                % (name, figure["value"], figure["n"], value, count)]  # fmt: skip
    if "low" not in figure:
        return []
    told = figure["low"], figure["high"]
    kind = figure["interval"]
    due = _wilson(value / 100, count) if kind == _WILSON else ends(kind, value, count, of)
    if due is None:
        return ["%s has an interval of an unknown kind, '%s'" % (name, kind)]
    if any(abs(a - b) > _SAME_END * max(1.0, abs(b)) for a, b in zip(told, due)):
        return ["%s lies between %.6g and %.6g, and not %.6g and %.6g" % (name, *due, *told)]
    return []


def _metrics(
    task: str, records: _Records, own: List[Any]
) -> Tuple[Dict[str, Weighted], Optional[str]]:
    """Every figure of a task that the records give, in percent, and why there are not all."""
    if task == "classification":
        first = [100.0 * (row["labels"][:1] == [row["truth"]]) for row in own]
        fifth = [100.0 * (row["truth"] in row["labels"][:5]) for row in own]
        return {"top1_percent": mean_of(first), "top5_percent": mean_of(fifth)}, None
    if task == "segmentation":
        return {"miou_percent": miou_of(own)}, None
    heading = records.heading
    name = heading.get("annotations") or os.path.join("annotations", "instances_val2017.json")
    path = os.path.join(heading["folder"], name)
    if not os.path.isfile(path) or sha256_file(path) != heading["annotations_sha256"]:
        return {}, "its annotations are not on this machine"
    coco = read_coco(path)
    ids = {image.file_name: image.id for image in coco.images}  # records of format 1 have no id
    images = [record.get("id") or ids[record["name"]] for record in records.images]
    annotations = coco.document
    matches = Matches(annotations, images, [box for row in own for box in row])
    return {
        "map_50_95_percent": lambda weights: matches.average_precisions(weights)[0],
        "map_50_percent": lambda weights: matches.average_precisions(weights)[1],
    }, None


def _wilson(part: float, count: int) -> Tuple[float, float]:
    """The ends of Wilson's 95 % interval as the roots of his quadratic equation, in percent."""
    a, b, c = 1 + _Z**2 / count, -(2 * part + _Z**2 / count), part**2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return 100 * max(0.0, (-b - root) / (2 * a)), 100 * min(1.0, (-b + root) / (2 * a))
