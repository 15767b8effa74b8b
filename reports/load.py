"""Runs are read through the profiler's record schema; the same run is not counted twice."""
# board: no

from dataclasses import dataclass
from pathlib import Path

from device_configs.cli import note
from device_configs.errors import RunError, UsageError
from profiler.records import Run, read_run


@dataclass(frozen=True)
class Loaded:
    """The runs that could be read, and a sentence for each that could not."""

    runs: list[Run]
    left_out: list[str]


def load_runs(paths: list[Path]) -> Loaded:
    """Read run folders; one that cannot be read is left out where another one can.

    Raises:
        RunError: none of them can be read; the first one's reason.
        UsageError: the same run stands twice.
    """
    runs: dict[str, Run] = {}
    left_out: list[str] = []
    first: RunError | None = None
    for path in paths:
        try:
            run = read_run(str(path))
        except RunError as error:
            first = first or error
            left_out.append(f"{path} is left out: {error}.")
            continue
        if run.id in runs:
            raise UsageError(
                f"{path} and {runs[run.id].path} are the same run '{run.id}'", "name it once"
            )
        runs[run.id] = run
    if not runs and first is not None:
        raise first
    for sentence in left_out:
        note(f"splitwatt: {sentence}")
    return Loaded(list(runs.values()), left_out)
