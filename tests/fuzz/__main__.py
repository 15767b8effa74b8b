"""Changed manifests, archives, graphs, images, configs, policies, labels, records of engines, boxes, answers
and run folders with every kind of file: only our errors may come.

    python -m tests.fuzz [--count 100000] [--seed 1]

A file that fails is kept, named in the error; put it into tests/board/hostile as a case.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from splitwatt.device_configs.input.strict_yaml import read_yaml
from splitwatt.engines.pipeline.image import MAX_PIXELS
from splitwatt.export.labels import read_labels
from splitwatt.export.sc2bench.config import system
from splitwatt.profiler.config.config import find_config, from_document
from splitwatt.profiler.server.cluster.cluster_file import read_cluster
from splitwatt.reports.load.accuracy import read_accuracy
from tests.board import damaged_files, tiny
from tests.board.test_hostile_files import COUNTS, READERS, SLOW_S, Originals, attempt, through_file
from tests.profiler.mutations import survive
from tests.profiler.newer_run import newer_run
from tests.profiler.test_hostile_runs import READERS as RUN_READERS
from tests.reports.accuracy_file import accuracy

# Of each kind in a hundred; reading a run by every reader takes a hundred times as long as a manifest.
SHARES = {
    "manifest": 9, "json": 17, "arrays": 13, "tables": 6, "graph": 13, "yaml": 2, "policy": 2,
    "engine": 4, "boxes": 4, "config": 2, "cluster": 2, "sc2bench": 2, "labels": 2, "accuracy": 4,
    "image": 12, "answer": 4, "run": 2,
}  # fmt: skip
# Twice what a kind may unpack to: archives to 64 MiB, images to 100 megapixels of 4 bytes; the others
# are smaller.
MOST_BYTES = {"image": 2 * 4 * MAX_PIXELS}
MOST_OF_OTHERS_BYTES = 128 << 20

SC2_MODEL = {
    "key": "splittable_resnet",
    "kwargs": {
        "num_classes": 7, "resnet_name": "resnet18", "skips_avgpool": False, "skips_fc": False,
        "bottleneck_config": {
            "key": "FPBasedResNetBottleneck",
            "kwargs": {"num_bottleneck_channels": 6, "num_target_channels": 64},
        },
    },
}  # fmt: skip
SC2_DATA = """
datasets:
  val: !import_call
    key: 'torchvision.datasets.ImageFolder'
    init: {kwargs: {root: !join ['~/data', '/val'], transform: null}}
test:
  test_data_loader:
    dataset_id: val
"""
# Kind -> a sound file, and what reads it.
HOST: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "config": (
        Path(find_config("table3.yaml")).read_text(encoding="utf-8"),
        lambda path: from_document(read_yaml(path), "c.yaml"),
    ),
    "cluster": (
        "format: 1\nray: auto\nreplicas:\n  least: 1\n  most: 8\n  requests: 2\n  add_after_s: 5\n"
        "  remove_after_s: 60\ncores: 4\nworkers: 1\n",
        read_cluster,
    ),
    "sc2bench": (yaml.safe_dump({"models": {"student_model": SC2_MODEL}}) + SC2_DATA, system),
    "labels": ("cat\ndog\nbird\n", read_labels),
    "accuracy": (accuracy(), lambda path: read_accuracy([], [Path(path)])),
}

# How many were refused, what went wrong, and the most memory that a change took.
Outcome = tuple[int, list[str], int]


class Peak:
    """The most memory that a block takes beyond what the process had; a context manager."""

    def __enter__(self) -> Peak:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
        self._before = _status_bytes("VmRSS")
        return self

    def __exit__(self, *error: object) -> None:
        self.bytes = max(0, _status_bytes("VmHWM") - self._before)


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"this kernel does not tell {name}")


def files(kind: str, count: int, seed: int) -> Outcome:
    """Files of one kind."""
    source = random.Random(f"{kind} {seed}")
    with tempfile.TemporaryDirectory() as folder:
        originals = Originals(tiny.tiny_bundle(folder + "/tiny", photos=1))
        made = (originals.changed(kind, source) for _ in range(count))
        return attempts(kind, made, originals.folder)


def of_host(kind: str, count: int, seed: int) -> Outcome:
    """Files that hosts and servers alone read."""
    source = random.Random(f"{kind} {seed}")
    original, reader = HOST[kind]
    READERS[kind] = through_file(reader)
    change = damaged_files.of_json if kind == "accuracy" else damaged_files.of_yaml
    with tempfile.TemporaryDirectory() as folder:
        return attempts(kind, (change(source, original) for _ in range(count)), folder)


def attempts(kind: str, changed: Iterable[bytes], folder: str) -> Outcome:
    """Read every changed file."""
    refused, faults, most = 0, [], 0
    for number, data in enumerate(changed):
        try:
            with Peak() as peak:
                refused += attempt(kind, data, folder)
        except AssertionError as error:
            faults.append(str(error))
        most = max(most, peak.bytes)
        if peak.bytes > MOST_BYTES.get(kind, MOST_OF_OTHERS_BYTES):
            faults.append(f"{kind}: change {number} took {peak.bytes} bytes of memory")
    return refused, faults, most


def runs(kind: str, count: int, seed: int) -> Outcome:
    """Run folders, by every reader."""
    refused = most = 0

    def counted(reader: Callable[[str], Any]) -> Callable[[str], None]:
        def read(path: str) -> None:
            nonlocal refused, most
            start = time.process_time()
            try:
                with Peak() as peak:
                    reader(path)
            except Exception:
                refused += 1
                raise
            finally:
                most = max(most, peak.bytes)
            assert time.process_time() - start < SLOW_S, "too slow"
            assert peak.bytes <= MOST_OF_OTHERS_BYTES, "too much memory"

        return read

    readers = {name: counted(reader) for name, reader in RUN_READERS.items()}
    with tempfile.TemporaryDirectory() as folder:
        original = newer_run(Path(folder) / "original")
        faults = survive(original, Path(folder), range(count), seed, readers)
    return refused, [str(fault) for fault in faults], most


def measured(kind: str, count: int, seed: int) -> tuple[Outcome, float]:
    """One kind in this process, and the seconds that it took."""
    work = runs if kind == "run" else of_host if kind in HOST else files
    start = time.monotonic()
    return work(kind, count, seed), time.monotonic() - start


def rows(count: int, seed: int) -> Iterator[tuple[str, int, Outcome, float]]:
    """Each kind in a process of its own, so that its memory is its own."""
    assert set(COUNTS) == set(SHARES) - {*HOST, "run"} and sum(SHARES.values()) == 100
    context = multiprocessing.get_context("fork")
    for kind, share in SHARES.items():
        number = max(1, count * share // 100)
        with context.Pool(1) as pool:
            outcome, took_s = pool.apply(measured, (kind, number, seed))
        yield kind, number, outcome, took_s


def main() -> int:
    """Change so many files; the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--count", type=int, default=100000)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    warnings.simplefilter("ignore")  # of the writers of changed archives
    done, all_faults = 0, []
    for kind, number, (refused, faults, most), took_s in rows(options.count, options.seed):
        what = "refusals" if kind == "run" else "refused"
        print(f"{kind:9}{number:7} changes, {refused:6} {what}, {len(faults)} faults, "
              f"at most {most / 2**20:4.0f} MiB, {took_s:5.0f} s", flush=True)  # fmt: skip
        done += number
        all_faults += faults
    print(f"{done} changes: {len(all_faults)} tracebacks, or over {SLOW_S:g} s, or too much memory")
    for fault in all_faults[:20]:
        print(fault)
    return 1 if all_faults else 0


if __name__ == "__main__":
    sys.exit(main())
