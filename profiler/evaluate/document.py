"""accuracy.json: results by model, added to those that the folder has already."""

import json
import os
import time
from typing import Any, Dict, List, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.files import write_atomic
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.board.versions import versions

FILE = "accuracy.json"
_FORMAT = 1
_LIMIT_BYTES = 64 << 20
_SAME = ("task", "data_set", "preprocess", "backend", "server_backend", "folder")
_HELD = (
    "%s keeps the result of all of %s, not this one of %d images; give another --out to write it"
)


def add_results(
    folder: str, bundle: Bundle, results: List[Dict[str, Any]]
) -> Tuple[str, List[str]]:
    """Write a bundle's results into a folder's accuracy.json.

    A result of the same bundle, task, data set (and folder, of a data set of one's own), preprocessing
    and backends is replaced, but the result of a whole data set is kept when a part of it was evaluated.
    Results of another bundle under the same model's name are removed.

    Returns:
        Its path, and a sentence on each result that did not replace one of the whole data set.

    Raises:
        RunError: the file that is there is not an accuracy.json.
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
    remedy = "move it away, or give another --out"
    document = read_json(path, _LIMIT_BYTES, RunError, remedy)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise RunError("%s is not an accuracy.json of format %d" % (path, _FORMAT), remedy)
    bundles = document.get("bundles")
    entries = bundles.values() if isinstance(bundles, dict) else [None]
    for entry in entries:
        results = entry.get("results") if isinstance(entry, dict) else None
        if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
            raise RunError("%s: 'bundles' must hold the results of each model" % path, remedy)
    return document
