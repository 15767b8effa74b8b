"""One bundle on one data set: every image runs through the deployed engines, and figures follow."""

import os
from contextlib import ExitStack
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.evaluate import metrics
from splitwatt.profiler.evaluate.data_sets.data_set import DETECTION, DataSet, Item
from splitwatt.profiler.evaluate.intervals import Figure, mean
from splitwatt.profiler.evaluate.records import Row, recorded
from splitwatt.profiler.infer.deployed import Deployed, server_of, sized
from splitwatt.profiler.records.coco import COCO_BYTES
from splitwatt.profiler.records.legacy_size import legacy_bytes

RUNTIME, PUBLISHED = "runtime", "published"
BYTES = ("payload_bytes", "wire_bytes", "legacy_pickled_bytes", "bits_per_pixel")


class Settings(NamedTuple):
    """How to evaluate; `client` talks to the server, None runs the server's parts here."""

    backend: str
    server_backend: Optional[str]
    preprocess: str
    client: Optional[Client]


def tasks_on(bundle: Bundle, data: DataSet) -> List[str]:
    """The bundle's tasks that a data set has the truth of; all of them for bytes alone.

    Raises:
        UsageError: it has none of them, or a package that the figures need is missing.
    """
    tasks = bundle.manifest.tasks
    if data.task is None:
        return list(tasks)
    if data.task not in tasks:
        raise UsageError(
            "%s does %s, and %s is for %s"
            % (bundle.manifest.model, ", ".join(tasks), data.kind, data.task),
            "give a data set of its tasks, or images:DIR for bytes alone",
        )
    metrics.check_installed([data.task])
    return [data.task]


def evaluate(
    bundle: Bundle,
    data: DataSet,
    settings: Settings,
    folder: str,
    advance: Callable[[], None],
) -> List[Row]:
    """The results of a bundle on a data set: entries of accuracy.json.

    Args:
        folder: where each image's record is kept; an existing record is used again.
        advance: called after each image.

    Raises:
        UsageError: the data set is for other tasks.
        ImageError: an image or mask of the data set is damaged.
        SplitwattError: as the pipelines and the client raise it.
    """
    tasks = tasks_on(bundle, data)
    other = bundle.manifest.published_preprocess.get(tasks[0])
    if settings.preprocess == PUBLISHED and other is not None:  # that of its paper's accuracy
        manifest = bundle.manifest._replace(preprocess=other)
        bundle = Bundle(bundle.path, manifest, bundle.manifest_sha256)
    server = server_behind(bundle, settings)
    heading = {
        "format": 2,
        "model": bundle.manifest.model,
        "manifest_sha256": bundle.manifest_sha256,
        "kind": data.kind,
        "data_set": data.name,
        "folder": data.path,
        "annotations": data.annotations and os.path.relpath(data.annotations, data.path),
        "annotations_sha256": data.annotations and sha256_file(data.annotations, COCO_BYTES),
        "preprocess": settings.preprocess,
        "backend": settings.backend,
        "server_backend": settings.server_backend,
        "server": server,
    }

    def opened(stack: ExitStack) -> Callable[[Item], Row]:
        client, there = settings.client, settings.server_backend
        engines = stack.enter_context(Deployed(bundle, settings.backend, client, there))
        return partial(_of_image, engines, data)

    def results(rows: List[Row]) -> List[Row]:
        return [_result(bundle, data, task, settings, server, rows) for task in tasks]

    words = (bundle.manifest.model, data.name, settings.preprocess)
    return recorded(folder, words, heading, data, opened, advance, results)


def server_behind(bundle: Bundle, settings: Settings) -> Optional[Dict[str, Any]]:
    """The facts that are recorded of the server that runs a part of the bundle; None without a server."""
    if settings.client is None or not bundle.manifest.split:
        return None
    return server_of(settings.client, bundle)


def backends(bundle: Bundle, settings: Settings, server: Optional[Dict[str, Any]]) -> Row:
    """What runs the board's parts and the server's, as results record it."""
    there: Optional[str] = settings.server_backend or settings.backend
    if server is not None:
        there = server["backend"]
    return {
        "backend": settings.backend,
        "server_backend": there if bundle.manifest.split else None,
        "server": server,
    }


def _of_image(deployed: Deployed, data: DataSet, item: Item) -> Row:
    answered = deployed.run(decode_image(item.path, exif_rotation=data.upright))
    record: Row = dict.fromkeys(BYTES)
    pixels, payload_bytes = sized(answered)
    if answered.payload is not None and pixels is not None and payload_bytes is not None:
        record["payload_bytes"] = payload_bytes
        record["wire_bytes"] = answered.wire_up_bytes
        record["legacy_pickled_bytes"] = legacy_bytes(answered.payload)
        record["bits_per_pixel"] = 8 * payload_bytes / pixels
    if data.task == DETECTION:
        record["id"] = item.truth
    if data.task is not None:
        record[data.task] = metrics.of_image(data, item, answered.answer)
    return record


def _result(
    bundle: Bundle,
    data: DataSet,
    task: str,
    settings: Settings,
    server: Optional[Dict[str, Any]],
    records: Sequence[Row],
) -> Row:
    result: Row = {
        "task": task,
        "data_set": data.name,
        "images": len(records),
        "whole": data.whole,
        "preprocess": settings.preprocess,
        "metrics": {},
    }
    result.update(backends(bundle, settings, server))
    if data.own:
        result["folder"] = data.path
    if data.task is not None:
        result["metrics"] = metrics.figures(data, [record[task] for record in records])
    for name in BYTES:
        result[name] = mean_if_known([record[name] for record in records])
    return result


def mean_if_known(values: Sequence[Optional[float]]) -> Optional[Figure]:
    """The mean over images; None where an image has no value, as the bytes of a local model."""
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None
