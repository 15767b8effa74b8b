"""Changed manifests, archives, graphs, images, configs and run folders: only our errors may come.

    python -m tests.fuzz [--count 100000] [--seed 1]

A file that fails is kept, named in the error; put it into tests/board/hostile as a case.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from splitwatt.device_configs.input.strict_yaml import parse_yaml
from splitwatt.engines.pipeline.image import MAX_PIXELS
from splitwatt.profiler.config.config import find_config, from_document
from tests.board import damaged_files, tiny
from tests.board.test_hostile_files import COUNTS, READERS, SLOW_S, Originals, attempt
from tests.profiler.mutations import survive
from tests.profiler.test_hostile_runs import READERS as RUN_READERS
from tests.profiler.test_hostile_runs import RUN

# Of each kind in a hundred; reading a run by every reader takes a hundred times as long as a manifest.
SHARES = {
    "manifest": 10, "json": 20, "arrays": 14, "tables": 6, "graph": 14, "yaml": 3, "config": 3,
    "image": 13, "answer": 14, "run": 3,
}  # fmt: skip
# Twice what a kind may unpack to: archives to 64 MiB, images to 100 megapixels; the others are smaller.
MOST_BYTES = {"image": 2 * 3 * MAX_PIXELS}
MOST_OF_OTHERS_BYTES = 128 << 20

# Whether each change was refused, and what went wrong.
Outcome = tuple[int, list[str]]


def files(kind: str, count: int, seed: int) -> Outcome:
    """Files of one kind."""
    source = random.Random(f"{kind} {seed}")
    refused, faults = 0, []
    with tempfile.TemporaryDirectory() as folder:
        originals = Originals(tiny.tiny_bundle(folder + "/tiny", photos=1))
        for _ in range(count):
            try:
                refused += attempt(kind, originals.changed(kind, source), originals.folder)
            except AssertionError as error:
                faults.append(str(error))
    return refused, faults


def configs(kind: str, count: int, seed: int) -> Outcome:
    """Experiment configs."""
    text = Path(find_config("table3.yaml")).read_text(encoding="utf-8")
    READERS[kind] = lambda data, folder: from_document(parse_yaml(data, "c.yaml"), "c.yaml")
    source = random.Random(f"{kind} {seed}")
    refused, faults = 0, []
    for _ in range(count):
        try:
            refused += attempt(kind, damaged_files.of_yaml(source, text), "")
        except AssertionError as error:
            faults.append(str(error))
    return refused, faults


def runs(kind: str, count: int, seed: int) -> Outcome:
    """Run folders, by every reader."""
    refused = 0

    def counted(reader: Callable[[str], Any]) -> Callable[[str], None]:
        def read(path: str) -> None:
            nonlocal refused
            start = time.process_time()
            try:
                reader(path)
            except Exception:
                refused += 1
                raise
            assert time.process_time() - start < SLOW_S, "too slow"

        return read

    readers = {name: counted(reader) for name, reader in RUN_READERS.items()}
    with tempfile.TemporaryDirectory() as folder:
        faults = survive(RUN, Path(folder), range(count), seed, readers)
    return refused, [str(fault) for fault in faults]


def measured(kind: str, count: int, seed: int) -> tuple[int, list[str], int, float]:
    """One kind in this process: refused, faults, bytes of memory that it took, seconds."""
    work = {"config": configs, "run": runs}.get(kind, files)
    work(kind, 1, seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    start = time.monotonic()
    refused, faults = work(kind, count, seed)
    took_s = time.monotonic() - start
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
    if more > MOST_BYTES.get(kind, MOST_OF_OTHERS_BYTES):
        faults.append(f"{kind} took {more} bytes of memory")
    return refused, faults, more, took_s


def rows(count: int, seed: int) -> Iterator[tuple[str, int, tuple[int, list[str], int, float]]]:
    """Each kind in a process of its own, so that its memory is its own."""
    assert set(COUNTS) == set(SHARES) - {"config", "run"} and sum(SHARES.values()) == 100
    context = multiprocessing.get_context("fork")
    for kind, share in SHARES.items():
        number = max(1, count * share // 100)
        with context.Pool(1) as pool:
            yield kind, number, pool.apply(measured, (kind, number, seed))


def main() -> int:
    """Change so many files; the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--count", type=int, default=100000)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    warnings.simplefilter("ignore")  # of the writers of changed archives
    done, all_faults = 0, []
    for kind, number, (refused, faults, more, took_s) in rows(options.count, options.seed):
        what = "refusals" if kind == "run" else "refused"
        print(f"{kind:9}{number:7} changes, {refused:6} {what}, {len(faults)} faults, "
              f"{more / 2**20:4.0f} MiB, {took_s:5.0f} s", flush=True)  # fmt: skip
        done += number
        all_faults += faults
    print(f"{done} changes: {len(all_faults)} tracebacks, or over {SLOW_S:g} s, or too much memory")
    for fault in all_faults[:20]:
        print(fault)
    return 1 if all_faults else 0


if __name__ == "__main__":
    sys.exit(main())
