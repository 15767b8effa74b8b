"""SHA-256 of a run's files, kept in run.json when a run has come to its end."""

import os
from typing import Any, Dict, List

from splitwatt.device_configs.files import sha256_file

_SUFFIXES = (".jsonl", ".csv", ".json")
_NOT = ("run.json", "accuracy.json")


def digests(path: str) -> Dict[str, Dict[str, Any]]:
    """Every record file of a run but run.json: its name in the folder -> bytes, sha256."""
    return {name: _digest(os.path.join(path, name)) for name in record_files(path)}


def record_files(path: str) -> List[str]:
    """Names of a run's record files, those of traces with their folder."""
    found = []
    for folder, _, names in os.walk(path):
        inside = os.path.relpath(folder, path)
        if inside not in (os.curdir, "power"):
            continue
        for name in names:
            whole = os.path.normpath(os.path.join(inside, name))
            if name.endswith(_SUFFIXES) and whole not in _NOT and not name.startswith("."):
                found.append(whole)
    return sorted(found)


def _digest(path: str) -> Dict[str, Any]:
    return {"bytes": os.path.getsize(path), "sha256": sha256_file(path)}
