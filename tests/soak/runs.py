"""Run folders changed at random, for longer: see tests/profiler/test_hostile_runs.py."""

import tempfile
import time
from pathlib import Path

from tests.profiler.mutations import survive
from tests.profiler.test_hostile_runs import READERS, RUN

COUNT = 20000
SEED = 2026


def main(count: int = COUNT, seed: int = SEED) -> int:
    """Change a run so many times; the exit code."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="splitwatt-runs-") as folder:
        faults = survive(RUN, Path(folder), count, seed, READERS)
    print(f"{count} changed runs, {time.monotonic() - start:.0f} s: {len(faults)} tracebacks")
    for fault in faults[:20]:
        print(*fault)
    return 1 if faults else 0
