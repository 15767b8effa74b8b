"""One bundle on one data set: every image through the deployed engines, and what that says."""

import hashlib
import json
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from splitwatt.device_configs.errors import ImageError, UsageError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.evaluate import metrics
from splitwatt.profiler.evaluate.data_sets import DETECTION, DataSet, Item
from splitwatt.profiler.evaluate.intervals import Figure, mean
from splitwatt.profiler.evaluate.records import Records
from splitwatt.profiler.infer.deployed import Answered, Deployed, server_of, sized
from splitwatt.profiler.records.legacy_size import legacy_bytes

RUNTIME, PUBLISHED = "runtime", "published"
_BYTES = ("payload_bytes", "wire_bytes", "legacy_pickled_bytes", "bits_per_pixel")


class Settings(NamedTuple):
    """How to evaluate; `client` is of the server, None runs its parts here."""

    backend: str
    server_backend: Optional[str]
    preprocess: str
    client: Optional[Client]


def tasks_on(bundle: Bundle, data: DataSet) -> List[str]:
    """The bundle's tasks that a data set has the truth of; all of them for bytes alone.

    Raises:
        UsageError: none.
    """
    tasks = bundle.manifest.tasks
    if data.task is None:
        return list(tasks)
    if data.task not in tasks:
        raise UsageError(
            "%s does %s, and %s is for %s"
            % (bundle.manifest.model, ", ".join(tasks), data.kind, data.task),
            "give a data set of its tasks, or folder:DIR for bytes alone",
        )
    return [data.task]


def prepared(bundle: Bundle, task: str, preprocess: str) -> Bundle:
    """The bundle with the preprocessing that its paper's accuracy of a task has, where it differs.

    Models whose paper has but one preprocessing have it either way.
    """
    other = bundle.manifest.published_preprocess.get(task)
    if preprocess == RUNTIME or other is None:
        return bundle
    manifest = bundle.manifest._replace(preprocess=other)
    return Bundle(bundle.path, manifest, bundle.manifest_sha256)


def evaluate(
    bundle: Bundle,
    data: DataSet,
    settings: Settings,
    folder: str,
    advance: Callable[[], None],
) -> List[Dict[str, Any]]:
    """The results of a bundle on a data set: entries of accuracy.json.

    Args:
        bundle: opened.
        data: with the items to run.
        settings: how.
        folder: where each image's record is kept, and found again.
        advance: called after each image.

    Raises:
        UsageError: the data set is for other tasks.
        ImageError: an image or mask of the data set is damaged.
        SplitwattError: as the pipelines and the client raise it.
    """
    tasks = tasks_on(bundle, data)
    bundle = prepared(bundle, tasks[0], settings.preprocess)
    asked = settings.client if bundle.manifest.split else None
    server = None if asked is None else server_of(asked, bundle)
    records = _records(bundle, data, settings, server, folder)
    try:
        found = [_record(records, item) for item in data.items]
        for _ in filter(None, found):
            advance()
        if not all(found):
            with Deployed(
                bundle, settings.backend, settings.client, settings.server_backend
            ) as deployed:
                for place, item in enumerate(data.items):
                    if found[place] is None:
                        record = found[place] = _of_image(deployed, data, item)
                        records.add(record)
                        advance()
        path, sha256 = records.settle([item.name for item in data.items], data.whole)
    finally:
        records.close()
    kept = {"file": os.path.relpath(path, folder), "sha256": sha256}
    return [
        dict(_result(bundle, data, task, settings, server, found), records=kept) for task in tasks
    ]


def _records(
    bundle: Bundle,
    data: DataSet,
    settings: Settings,
    server: Optional[Dict[str, Any]],
    folder: str,
) -> Records:
    heading = {
        "format": 2,
        "model": bundle.manifest.model,
        "manifest_sha256": bundle.manifest_sha256,
        "data_set": data.name,
        "folder": data.path,
        "annotations": os.path.relpath(data.annotations, data.path) if data.annotations else None,
        "annotations_sha256": sha256_file(data.annotations) if data.annotations else None,
        "preprocess": settings.preprocess,
        "backend": settings.backend,
        "server_backend": settings.server_backend,
        "server": server,
    }
    # Results of other folders, backends and bundles stand beside each other, and so do their records.
    own = hashlib.sha256(json.dumps(heading, sort_keys=True).encode("utf-8")).hexdigest()[:8]
    words = (bundle.manifest.model, data.name, settings.preprocess, own)
    name = "%s.%s.%s.%s.jsonl" % words
    return Records(os.path.join(folder, "evaluation", name), heading)


def _record(records: Records, item: Item) -> Optional[Dict[str, Any]]:
    """An item's record, where its files are those that it was made of."""
    record: Optional[Dict[str, Any]] = records.found.get(item.name)
    return record if record is not None and record.get("files") == _files(item) else None


def _files(item: Item) -> List[List[int]]:
    """Size and time of change of an item's image, and of its mask where it has one."""
    paths = [item.path] + ([item.truth] if isinstance(item.truth, str) else [])
    try:
        found = [os.stat(path) for path in paths]
    except OSError as error:
        raise ImageError("%s cannot be read: %s" % (error.filename, error.strerror))
    return [[one.st_size, one.st_mtime_ns] for one in found]


def _of_image(deployed: Deployed, data: DataSet, item: Item) -> Dict[str, Any]:
    answered = deployed.run(decode_image(item.path, exif_rotation=data.upright))
    record: Dict[str, Any] = {"name": item.name, "files": _files(item)}
    record.update(_sizes(answered))
    if data.task == DETECTION:
        record["id"] = item.truth
    if data.task is not None:
        record[data.task] = metrics.of_image(data, item, answered.answer)
    return record


def _sizes(answered: Answered) -> Dict[str, Any]:
    pixels, payload_bytes = sized(answered)
    if answered.payload is None or pixels is None or payload_bytes is None:
        return dict.fromkeys(_BYTES)
    return {
        "payload_bytes": payload_bytes,
        "wire_bytes": answered.wire_up_bytes,
        "legacy_pickled_bytes": legacy_bytes(answered.payload),
        "bits_per_pixel": 8 * payload_bytes / pixels,
    }


def _result(
    bundle: Bundle,
    data: DataSet,
    task: str,
    settings: Settings,
    server: Optional[Dict[str, Any]],
    records: Sequence[Any],
) -> Dict[str, Any]:
    result: Dict[str, Any] = {
        "task": task,
        "data_set": data.name,
        "images": len(records),
        "whole": data.whole,
        "preprocess": settings.preprocess,
        "backend": settings.backend,
        "server_backend": settings.server_backend or settings.backend,
        "server": server,
        "metrics": {},
    }
    if server is not None:
        result["server_backend"] = server["backend"]
    if not bundle.manifest.split:
        result["server_backend"] = None
    if data.own:
        result["folder"] = data.path
    if data.task is not None:
        result["metrics"] = metrics.figures(data, [record[task] for record in records])
    for name in _BYTES:
        result[name] = _mean([record[name] for record in records])
    return result


def _mean(values: Sequence[Optional[float]]) -> Optional[Figure]:
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None
