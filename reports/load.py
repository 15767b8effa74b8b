"""Runs are read through the profiler's record schema; the same run is not counted twice."""
# board: no

from pathlib import Path

from device_configs.errors import UsageError
from profiler.records import Run, read_run


def load_runs(paths: list[Path]) -> list[Run]:
    """Read run folders.

    Raises:
        RunError: a folder is no run, is damaged, or is of another format.
        UsageError: the same run stands twice.
    """
    runs: dict[str, Run] = {}
    for path in paths:
        run = read_run(str(path))
        if run.id in runs:
            raise UsageError(
                f"{path} and {runs[run.id].path} are the same run '{run.id}'", "name it once"
            )
        runs[run.id] = run
    return list(runs.values())
