"""Small bundles for tests, made from the ONNX files in `data` (which `data/make_tiny.py` made)."""

import hashlib
import json
import os
import shutil

import numpy as np

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.photos import default_photos
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.verify.samples import make_samples

_HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(_HERE))
DATA = os.path.join(_HERE, "data")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CHANNELS = 4

_FEATURE = {"dtype": "float32", "shape": [1, CHANNELS, None, None]}
# `splitwatt` as this Python runs it, whatever the working directory is.
COMMAND = module_command("__main__")
_IMAGE = {"name": "image", "dtype": "float32", "shape": [1, 3, None, None]}
_SIZE = {"dtype": "int64", "shape": [2]}
_LOGITS = {"name": "logits", "dtype": "float32", "shape": [1, 30]}


def _named(name, port):
    return dict(port, name=name)


_PORTS = {
    "model": ([_IMAGE], [_LOGITS]),
    "encoder": ([_IMAGE], [_named("latent", _FEATURE)]),
    "body": ([_named("latent", _FEATURE)], [_named("f4", _FEATURE)]),
    "classifier": ([_named("f4", _FEATURE)], [_LOGITS]),
    "detector": (
        [_named("f4", _FEATURE), _named("valid_size", _SIZE)],
        [
            {"name": "boxes", "dtype": "float32", "shape": [None, 4]},
            {"name": "labels", "dtype": "int64", "shape": [None]},
            {"name": "scores", "dtype": "float32", "shape": [None]},
        ],
    ),
    "segmenter": (
        [_named("f4", _FEATURE), _named("input_size", _SIZE)],
        [{"name": "mask", "dtype": "int32", "shape": [1, None, None]}],
    ),
}


def _part(folder, name):
    file = name + ".onnx"
    path = os.path.join(str(folder), file)
    shutil.copyfile(os.path.join(DATA, "tiny_" + file), path)
    inputs, outputs = _PORTS[name]
    return {
        "name": name,
        "placement": "board" if name in ("encoder", "model") else "server",
        "target": "cpu",
        "runtime": "onnxruntime",
        "precision": "fp32",
        "file": file,
        "sha256": sha256_file(path),
        "bytes": os.path.getsize(path),
        "opset": 13,
        "ir_version": 7,
        "inputs": inputs,
        "outputs": outputs,
        "params": 100,
        "gmac": 0.001,
        "gmac_at": {"image": [1, 3, 320, 416]},
        "with_coder": None,
        "parity": {"max_abs": 1e-6, "tolerance": 1e-3, "sizes": [[320, 416]]},
    }


def tables():
    """A Laplacian per channel, 61 symbols wide, as quantised cumulative frequencies."""
    distance = np.abs(np.arange(-30, 31))
    rows = []
    for channel in range(CHANNELS):
        share = np.append(np.exp(-distance / (2.0 + channel)), 1e-4)
        counts = np.maximum(1, np.floor(share / share.sum() * 65000)).astype(np.int64)
        counts[30] += 65536 - counts.sum()
        rows.append(np.append(0, np.cumsum(counts)))
    cdf = np.array(rows, np.int32)
    return Tables(
        cdf,
        np.full(CHANNELS, cdf.shape[1], np.int32),
        np.full(CHANNELS, -30, np.int32),
        np.linspace(-0.3, 0.3, CHANNELS).astype(np.float32),
    )


def document(split=True):
    """A manifest as plain JSON values, its parts and codec to be filled in."""
    return {
        "format": 1,
        "model": "tiny@1" if split else "tiny_local",
        "family": "tiny",
        "rate": "1" if split else None,
        "assumed": False,
        "tasks": ["classification", "detection", "segmentation"] if split else ["classification"],
        "target": "cpu",
        "server_target": "cpu" if split else None,
        "precision": "fp32",
        "weights": {"source": "random:7", "sha256": None, "trained": False, "notes": []},
        "published_preprocess": {},
        "preprocess": {
            "resize": {
                "rule": "shorter",
                "size": 416,
                "max_size": 416,
                "filter": "bilinear",
            },
            "crop": None,
            "pad_multiple": 32,
            "mean": MEAN,
            "std": STD,
        }
        if split
        else {
            "resize": {
                "rule": "shorter",
                "size": 256,
                "max_size": None,
                "filter": "pillow-bilinear",
            },
            "crop": [224, 224],
            "pad_multiple": None,
            "mean": MEAN,
            "std": STD,
        },
        "parts": [],
        "compat": [],
        "rounding": [],
        "encoder_size_bytes": {"fp32_params": 400, "deployed": 1000} if split else None,
        "codec": None,
        "postprocess": {
            "classification": {
                "part": "classifier" if split else "model",
                "top_k": 5,
                "labels": "imagenet1k",
            },
        },
        "samples": [],
        "made": {"at": "2025-01-01T00:00:00Z", "splitwatt": "0.1.0"},
    }


def tiny_bundle(folder, split=True, photos=2):
    """Write a whole bundle into `folder` (made here) and return its path as text."""
    folder = str(folder)
    os.makedirs(folder)
    manifest = document(split)
    names = ["encoder", "body", "classifier", "detector", "segmenter"] if split else ["model"]
    manifest["parts"] = [_part(folder, name) for name in names]
    if split:
        entropy = tables()
        path = os.path.join(folder, "tables.npz")
        entropy.save(path)
        manifest["codec"] = {
            "kind": "rangecoder",
            "tables": [{"file": "tables.npz", "sha256": sha256_file(path), "id": entropy.id}],
            "quality": None,
        }
        manifest["postprocess"]["detection"] = {
            "part": "detector",
            "labels": "coco91",
            "score_threshold": 0.05,
        }
        manifest["postprocess"]["segmentation"] = {"part": "segmenter", "labels": "voc21"}
    write_document(folder, manifest)
    make_samples(folder, default_photos()[-photos:])
    return folder


def read_document(folder):
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as stream:
        return json.load(stream)


def write_document(folder, manifest):
    with open(os.path.join(folder, "manifest.json"), "w", encoding="utf-8") as stream:
        json.dump(manifest, stream)


def digest(data):
    return hashlib.sha256(data).hexdigest()
