"""SHA-256 of a run's files, kept in run.json when a run has come to its end."""

import hashlib
import os
from typing import Any, Dict, List

from splitwatt.profiler.records.reading import open_file
from splitwatt.profiler.records.traces import POWER_FOLDER

_SUFFIXES = (".jsonl", ".csv", ".json")
_NOT = ("run.json", "accuracy.json", "agreement.json")


def digests(path: str) -> Dict[str, Dict[str, Any]]:
    """Every record file of a run but run.json: its name in the folder -> bytes, sha256.

    Raises:
        RunError: one of them is not a regular file, or too large.
    """
    return {name: _digest(os.path.join(path, name)) for name in _record_files(path)}


def _record_files(path: str) -> List[str]:
    """Names of a run's record files, those of traces with their folder."""
    names = []
    for inside in ("", POWER_FOLDER):
        folder = os.path.join(path, inside)
        if not os.path.islink(folder) and os.path.isdir(folder):
            names += [os.path.join(inside, name) for name in os.listdir(folder)]
    return sorted(
        name
        for name in names
        if name.endswith(_SUFFIXES)
        and name not in _NOT
        and not os.path.basename(name).startswith(".")
    )


def _digest(path: str) -> Dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with open_file(path) as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}
