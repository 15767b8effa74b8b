"""accuracy.json: results by model, added to those that the folder has already."""

import json
import os
import time
from typing import Any, Dict, List

from device_configs.errors import RunError
from device_configs.files import write_atomic
from engines.bundle import Bundle
from profiler.versions import versions

FILE = "accuracy.json"
_FORMAT = 1
_SAME = ("task", "data_set", "preprocess")


def add_results(folder: str, bundle: Bundle, results: List[Dict[str, Any]]) -> str:
    """Write a bundle's results into a folder's accuracy.json; its path.

    A result of the same bundle, task, data set (of `folder:`, the folder) and preprocessing is replaced; results of another
    bundle under the same model's name go.

    Raises:
        RunError: the file that is there is none of ours.
    """
    path = os.path.join(folder, FILE)
    document = _read(path)
    manifest = bundle.manifest
    entry = document["bundles"].get(manifest.model, {})
    before = entry.get("results", [])
    if entry.get("manifest_sha256") != bundle.manifest_sha256:
        before = []
    keys = [_key(result) for result in results]
    size = manifest.encoder_size_bytes
    document["bundles"][manifest.model] = {
        "trained": manifest.weights.trained,
        "weights_source": manifest.weights.source,
        "manifest_sha256": bundle.manifest_sha256,
        "assumed": manifest.assumed,
        "encoder_size_bytes": dict(size._asdict()) if size else None,
        "results": [result for result in before if _key(result) not in keys] + results,
    }
    document["evaluated_wall"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document["target"] = manifest.target
    document["versions"] = versions()
    write_atomic(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return path


def _key(result: Dict[str, Any]) -> List[Any]:
    return [result[name] for name in _SAME] + [result.get("folder")]


def _read(path: str) -> Dict[str, Any]:
    if not os.path.exists(path):
        return {"format": _FORMAT, "bundles": {}}
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
        if document["format"] != _FORMAT or not isinstance(document["bundles"], dict):
            raise ValueError("it is of another format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError("%s cannot be added to: %s" % (path, error), "move it away")
    return document  # type: ignore[no-any-return]
