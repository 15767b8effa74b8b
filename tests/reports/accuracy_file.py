"""A synthetic accuracy.json: invented figures, for tests alone."""

import json
from pathlib import Path

TASKS = {
    "classification": ("ilsvrc2012", "top1_percent", 77.0),
    "detection": ("coco2017", "map_50_95_percent", 25.0),
    "segmentation": ("pascal_voc2012", "miou_percent", 68.0),
}


def figure(value: float, half: float | None = None) -> dict:
    ends = (
        {} if half is None else {"low": value - half, "high": value + half, "interval": "invented"}
    )
    return {"value": value, "n": 5000, **ends}


def result(task: str, percent: float, payload: float | None) -> dict:
    data_set, metric, _ = TASKS[task]
    sent = None if payload is None else figure(payload, payload / 50)
    return {"task": task, "data_set": data_set, "images": 5000, "whole": True,
            "preprocess": "published", "metrics": {metric: figure(percent, 0.8)},
            "payload_bytes": sent, "wire_bytes": None, "legacy_pickled_bytes": None,
            "bits_per_pixel": None}  # fmt: skip


def accuracy(trained: bool = True) -> dict:
    sizes = {"fp32_params": 560_000, "deployed": 600_000}
    bundles = {}
    for i, beta in enumerate(("0.32", "1.28", "5.12")):
        bundles[f"ladon_r50@{beta}"] = {
            "trained": trained, "encoder_size_bytes": sizes,
            "results": [result(t, p - i, 60000 / 2**i) for t, (_, _, p) in TASKS.items()],
        }  # fmt: skip
    for quality in (10, 50):
        bundles[f"jpeg@{quality}+resnet50"] = {
            "trained": trained, "encoder_size_bytes": None,
            "results": [result("classification", 60 + quality / 5, 2000.0 + 400 * quality)],
        }  # fmt: skip
    bundles["mobilenet_v3_large"] = {
        "trained": trained, "results": [result("classification", 73.5, None)]
    }  # fmt: skip
    return {"format": 1, "evaluated_wall": "2026-11-21T00:00:00Z", "bundles": bundles}


def write(path: Path, document: dict) -> Path:
    path.write_text(json.dumps(document))
    return path
