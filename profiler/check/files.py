"""Hashes: of the run's own files, of its bundles and images where they are still there."""

import os
from typing import List

from splitwatt.device_configs.errors import RunError, SplitwattError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import MAX_FILE_BYTES
from splitwatt.profiler.check.check import Check, nothing, verdict
from splitwatt.profiler.config.bundles import find_folder
from splitwatt.profiler.records.document import digests
from splitwatt.profiler.records.run import Run


def checks(run: Run) -> List[Check]:
    """The checks of this module."""
    return [_own(run), _bundles(run), _images(run)]


def _own(run: Run) -> Check:
    """The run's own files."""
    name = "files are those that the run ended with"
    known = run.document.get("files")
    if not known:
        why = "the run is not finished" if not run.finished else "the run kept no hashes"
        return nothing(name, why)
    try:
        now = digests(run.path)
    except RunError as error:
        return verdict(name, [error.message], "")
    wrong = []
    for file, row in sorted(known.items()):
        if file not in now:
            wrong.append("%s is gone" % file)
        elif now[file]["sha256"] != row["sha256"]:
            wrong.append("%s was changed (it had %d bytes and has %d)"
                         % (file, row["bytes"], now[file]["bytes"]))  # fmt: skip
    return verdict(name, wrong, "%d files" % len(known))


def _bundles(run: Run) -> Check:
    name = "bundles are those that were run"
    folder = run.document.get("bundles_folder") or ""
    target = run.document["targets"].get("board") or ""
    wrong, there, gone = [], 0, 0
    for model, row in sorted(run.document["bundles"].items()):
        path = find_folder(folder, target, model)
        if path is None:
            gone += 1
            continue
        there += 1
        try:
            bundle = Bundle.open(path)
            kept = {part["name"]: part["sha256"] for part in row.get("parts", [])}
            if bundle.manifest_sha256 != row.get("manifest_sha256"):
                wrong.append("the bundle of %s has another manifest" % model)
            elif kept != {part.name: part.sha256 for part in bundle.manifest.parts}:
                wrong.append("the bundle of %s has other parts" % model)
        except SplitwattError as error:
            wrong.append(error.message)
    if not there:
        return nothing(name, "%s is not on this machine" % (folder or "their folder"))
    more = ", %d are not on this machine" % gone if gone else ""
    return verdict(name, wrong, "%d bundles with their parts%s" % (there, more))


def _images(run: Run) -> Check:
    name = "images are those that were run"
    folder = run.document.get("images_folder") or ""
    wrong, there = [], 0
    for row in run.document["images"]:
        path = os.path.join(folder, row["file"])
        if os.path.isfile(path):
            there += 1
            try:
                if sha256_file(path, MAX_FILE_BYTES) != row.get("sha256"):
                    wrong.append("%s is another picture" % row["file"])
            except SplitwattError as error:
                wrong.append(error.message)
    if not there:
        return nothing(name, "%s is not on this machine" % (folder or "their folder"))
    return verdict(name, wrong, "%d images" % there)
