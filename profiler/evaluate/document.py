"""accuracy.json: results by model, added to those that the folder has already."""

import json
import os
import time
from typing import Any, Dict, List, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.files import write_atomic
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.board.versions import versions

FILE = "accuracy.json"
_FORMAT = 1
_SAME = ("task", "data_set", "preprocess", "backend", "server_backend", "folder")
_HELD = (
    "%s keeps the result of all of %s, not this one of %d images; give another --out to write it"
)


def add_results(
    folder: str, bundle: Bundle, results: List[Dict[str, Any]]
) -> Tuple[str, List[str]]:
    """Write a bundle's results into a folder's accuracy.json.

    A result of the same bundle, task, data set (of `folder:`, the folder), preprocessing and backends is
    replaced, but that of a whole data set by none of a part; results of another bundle under the same
    model's name go.

    Returns:
        Its path, and a sentence on each result that did not replace one of the whole data set.

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
    whole = [_key(result) for result in before if result.get("whole", True)]
    kept = [result for result in results if not result["whole"] and _key(result) in whole]
    results = [result for result in results if result not in kept]
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
    return path, [_HELD % (path, result["data_set"], result["images"]) for result in kept]


def _key(result: Dict[str, Any]) -> List[Any]:
    return [result.get(name) for name in _SAME]


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
