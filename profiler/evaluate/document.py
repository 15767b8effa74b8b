"""accuracy.json and agreement.json: results are added to those that the folder has already."""

import json
import os
import time
from typing import Any, Dict, List, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.files import write_atomic
from splitwatt.device_configs.input.strict_json import read_json
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.board.versions import versions
from splitwatt.profiler.records.run import ACCURACY_FILE, AGREEMENT_FILE

_FORMAT = 1
_LIMIT_BYTES = 64 << 20
_REMEDY = "move it away, or give another --out"
_SAME = ("task", "data_set", "preprocess", "backend", "server_backend", "folder")
_SAME_PAIR = (
    "model", "manifest_sha256", "backend", "server_backend", "server", "against", "folder", "images",
)  # fmt: skip
_HELD = (
    "%s keeps the result of all of %s, not this one of %d images; give another --out to write it"
)


def check_addable(folder: str, against: bool) -> None:
    """Fail before the first image if the results cannot be added to those in the folder.

    Args:
        against: whether they are of a comparison of two bundles.

    Raises:
        RunError: the accuracy.json or agreement.json that is there is not one, or cannot be read.
    """
    (_agreements if against else _accuracies)(folder)


def add_results(
    folder: str, bundle: Bundle, results: List[Dict[str, Any]]
) -> Tuple[str, List[str]]:
    """Write a bundle's results into a folder's accuracy.json.

    A result of the same bundle, task, data set (and folder, of a data set of the user's own), preprocessing
    and backends is replaced (bytes alone do not replace an accuracy), but the result of a whole data set is kept when a part of it was evaluated.
    Results of another bundle under the same model's name are removed.

    Returns:
        Its path, and a sentence on each result that did not replace one of the whole data set.

    Raises:
        RunError: the file that is there is not an accuracy.json.
    """
    path, document = _accuracies(folder)
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
    _write(path, document)
    return path, [_HELD % (path, result["data_set"], result["images"]) for result in kept]


def add_agreement(folder: str, result: Dict[str, Any]) -> str:
    """Write a comparison of two bundles into a folder's agreement.json, in place of one of the same bundles,
    backends, images and their number.

    Returns:
        Its path.

    Raises:
        RunError: the file that is there is not an agreement.json.
    """
    path, document = _agreements(folder)
    differs = [
        one for one in document["results"] if any(one.get(k) != result[k] for k in _SAME_PAIR)
    ]
    document["results"] = differs + [result]
    _write(path, document)
    return path


def _accuracies(folder: str) -> Tuple[str, Dict[str, Any]]:
    path = os.path.join(folder, ACCURACY_FILE)
    document = _document(path, {"format": _FORMAT, "bundles": {}})
    bundles = document.get("bundles")
    for known in bundles.values() if isinstance(bundles, dict) else [None]:
        _check_rows(known.get("results") if isinstance(known, dict) else None, path)
    return path, document


def _agreements(folder: str) -> Tuple[str, Dict[str, Any]]:
    path = os.path.join(folder, AGREEMENT_FILE)
    document = _document(path, {"format": _FORMAT, "results": []})
    _check_rows(document.get("results"), path)
    return path, document


def _key(result: Dict[str, Any]) -> List[Any]:
    # Bytes alone are counted beside the accuracy on the same folder.
    return [result.get(name) for name in _SAME] + [bool(result.get("metrics"))]


def _write(path: str, document: Dict[str, Any]) -> None:
    document["versions"] = versions()
    write_atomic(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _check_rows(rows: Any, path: str) -> None:
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise RunError("%s: 'results' must be a list of objects" % path, _REMEDY)


def _document(path: str, empty: Dict[str, Any]) -> Dict[str, Any]:
    if not os.path.exists(path):
        return empty
    document = read_json(path, _LIMIT_BYTES, RunError, _REMEDY)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        name = os.path.basename(path)
        raise RunError("%s is not an %s of format %d" % (path, name, _FORMAT), _REMEDY)
    return document
