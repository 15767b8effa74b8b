"""How far two bundles agree on unlabelled images: one bundle's answers count as the other's truth."""

from contextlib import ExitStack
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.profiler.evaluate import metrics
from splitwatt.profiler.evaluate.data_sets.data_set import (
    CLASSIFICATION,
    DETECTION,
    DataSet,
    Item,
    classes_of,
)
from splitwatt.profiler.evaluate.intervals import mean
from splitwatt.profiler.evaluate.records import Row, recorded
from splitwatt.profiler.evaluate.run import Settings, backends, mean_if_known, server_behind
from splitwatt.profiler.infer.deployed import Deployed, sized
from splitwatt.profiler.records.coco import Coco

SURE = 0.5  # a box of the other bundle counts as a true one from this score on
_SAME_OBJECT = 0.5  # least overlap of two boxes whose differences are stated

Fields = Dict[str, np.ndarray]


def common_tasks(bundle: Bundle, other: Bundle, data: DataSet) -> List[str]:
    """The tasks whose answers can be compared.

    Raises:
        UsageError: the bundles have no task in common, the classes of a task differ, the data set has a truth of its own,
            or a package that the figures need is missing.
    """
    if data.task is not None:
        raise UsageError(
            "--against needs no labels, and %s has them" % data.kind, "give images:DIR"
        )
    tasks = [task for task in bundle.manifest.tasks if task in other.manifest.tasks]
    if not tasks:
        raise UsageError(
            "%s does %s and %s does %s"
            % (bundle.manifest.model, ", ".join(bundle.manifest.tasks),
               other.manifest.model, ", ".join(other.manifest.tasks)),
            "compare bundles that have a task in common",
        )  # fmt: skip
    ours, theirs = classes_of(bundle.manifest), classes_of(other.manifest)
    for task in tasks:
        both = zip(ours[task], theirs[task])  # names, and their number
        if any(one != two for one, two in both if None not in (one, two)):
            raise UsageError(
                "%s and %s have different classes for %s"
                % (bundle.manifest.model, other.manifest.model, task),
                "compare bundles whose manifests have the same postprocess.%s.labels" % task,
            )
    metrics.check_installed(tasks)
    return tasks


def compare(
    bundle: Bundle,
    other: Bundle,
    other_backend: str,
    data: DataSet,
    settings: Settings,
    folder: str,
    advance: Callable[[], None],
) -> Row:
    """How far a bundle's answers are from another's: an entry of agreement.json (docs/accuracy.md).

    Args:
        other, other_backend: its answers count as the truth; all of it runs on this machine.
        data: images alone.
        settings: how to run `bundle`.
        folder, advance: see `splitwatt.profiler.evaluate.run.evaluate`.

    Raises:
        UsageError: see `common_tasks`.
        SplitwattError: an image cannot be read, or as the pipelines and the client raise it.
    """
    tasks = common_tasks(bundle, other, data)
    server = server_behind(bundle, settings)
    against = {
        "model": other.manifest.model,
        "manifest_sha256": other.manifest_sha256,
        "trained": other.manifest.weights.trained,
        "backend": other_backend,
    }
    about = {
        "model": bundle.manifest.model,
        "manifest_sha256": bundle.manifest_sha256,
        "trained": bundle.manifest.weights.trained,
        "against": against,
        "folder": data.path,
    }
    about.update(backends(bundle, settings, server))

    def opened(stack: ExitStack) -> Callable[[Item], Row]:
        client, there = settings.client, settings.server_backend
        ours = stack.enter_context(Deployed(bundle, settings.backend, client, there))
        theirs = stack.enter_context(Deployed(other, other_backend))

        def record_of(item: Item) -> Row:
            rgb = decode_image(item.path, exif_rotation=data.upright)
            mine, truth = ours.run(rgb), theirs.run(rgb)
            row: Row = {
                "payload_bytes": sized(mine)[1],
                "against_payload_bytes": sized(truth)[1],
            }
            for task in tasks:
                row[task] = _of_image(data, item, task, mine.answer[task], truth.answer[task])
            return row

        return record_of

    def results(rows: List[Row]) -> List[Row]:
        result = dict(about, data_set=data.name, images=len(rows), whole=data.whole)
        result["tasks"] = {task: of_task(data, task, [row[task] for row in rows]) for task in tasks}
        for name in ("payload_bytes", "against_payload_bytes"):
            result[name] = mean_if_known([row[name] for row in rows])
        return [result]

    words = (bundle.manifest.model, "against", data.name)
    return recorded(folder, words, dict(about, format=1), data, opened, advance, results)[0]


def _of_image(data: DataSet, item: Item, task: str, mine: Fields, truth: Fields) -> Row:
    """What one image says of a task: `record` is what its figures are made of, `differences` are values
    of a bundle's outputs against the other's, and `true_boxes` the boxes that count as true."""
    row: Row = {}
    of_task = data._replace(task=task)
    if task == CLASSIFICATION:
        labels = truth["labels"].tolist()
        theirs = dict(zip(labels, truth["scores"].tolist()))
        scores = zip(mine["labels"].tolist(), mine["scores"].tolist())
        row["differences"] = {"score": [abs(s - theirs[k]) for k, s in scores if k in theirs]}
        row["record"] = metrics.of_image(of_task, item._replace(truth=labels[0]), {task: mine})
    elif task == DETECTION:
        kept = (truth["scores"] >= SURE) & (truth["boxes"][:, 2:] > truth["boxes"][:, :2]).all(1)
        sure = {name: values[kept] for name, values in truth.items()}
        row["differences"] = _box_differences(mine, sure)
        row["record"] = metrics.of_image(of_task, item, {task: mine})
        boxes = zip(sure["labels"].tolist(), metrics.coco_boxes(sure["boxes"]))
        row["true_boxes"] = [list(pair) for pair in boxes]
    else:
        row["record"] = metrics.confusion(truth["mask"], mine["mask"])
        pixels = sum(count for _, _, count in row["record"])
        same = sum(count for one, two, count in row["record"] if one == two)
        row["differences"] = {"pixels_percent": [100.0 * (1 - same / pixels)] if pixels else []}
    return row


def _box_differences(mine: Fields, sure: Fields) -> Dict[str, List[float]]:
    """Of each sure box of the other bundle, and the box of its class that overlaps it most: how far
    their scores are apart, and how far the farthest of their sides, in pixels of the image."""
    scores: List[float] = []
    sides: List[float] = []
    for label, box, score in zip(sure["labels"], sure["boxes"], sure["scores"]):
        same = mine["labels"] == label
        boxes = mine["boxes"][same].astype(np.float64)
        if not len(boxes):
            continue
        overlaps = _overlaps(boxes, box.astype(np.float64))
        best = int(overlaps.argmax())
        if overlaps[best] >= _SAME_OBJECT:
            scores.append(abs(float(mine["scores"][same][best]) - float(score)))
            sides.append(float(np.abs(boxes[best] - box).max()))
    return {"score": scores, "side_pixels": sides}


def _overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) with one (4,), float64, as x1, y1, x2, y2; (n,)."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    both = sides.clip(0).prod(1)
    return both / ((boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - both)  # type: ignore[no-any-return]


def of_task(data: DataSet, task: str, rows: Sequence[Row]) -> Row:
    """What the images' records of a task give. `agreement`: the metrics of the task, as of labelled images; `differences`: of each output, the
    `mean` over images of an image's mean, and the `max` of all."""
    of_task = data._replace(task=task)
    if task == DETECTION:
        numbered = [item._replace(truth=k) for k, item in enumerate(data.items, 1)]
        coco = Coco([], _document([row["true_boxes"] for row in rows]), {})
        of_task = of_task._replace(items=numbered, coco=coco)
        for item, row in zip(numbered, rows):
            for box in row["record"]:
                box["image_id"] = item.truth
    differences = {
        name: _difference([row["differences"][name] for row in rows])
        for name in rows[0]["differences"]
    }
    figures = metrics.figures(of_task, [row["record"] for row in rows])
    return {"agreement": figures, "differences": differences}


def _difference(of_images: Sequence[Sequence[float]]) -> Optional[Row]:
    known = [values for values in of_images if values]
    if not known:
        return None
    return {
        "mean": mean([sum(values) / len(values) for values in known]),
        "max": max(max(values) for values in known),
    }


def _document(true_boxes: Sequence[Sequence[Any]]) -> Dict[str, Any]:
    """COCO's document of the boxes [label, [x, y, width, height]] of each image."""
    rows = [(k, label, box) for k, own in enumerate(true_boxes, 1) for label, box in own]
    return {
        "images": [{"id": k} for k in range(1, len(true_boxes) + 1)],
        "annotations": [
            {"id": number, "image_id": image, "category_id": label, "bbox": box,
             "area": box[2] * box[3], "iscrowd": 0}
            for number, (image, label, box) in enumerate(rows, 1)
        ],
        "categories": [{"id": label, "name": str(label)} for label in sorted({row[1] for row in rows})],
    }  # fmt: skip
