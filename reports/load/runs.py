"""Runs are read through the profiler's record schema; the same run is not counted twice."""

from pathlib import Path

from splitwatt.device_configs.cli import note
from splitwatt.device_configs.errors import ConfigError, RunError, UsageError
from splitwatt.profiler.records.document import RUN_FILE
from splitwatt.profiler.records.run import Run, read_run
from splitwatt.reports.load.model import Series, printed_links, series_of


def load_runs(paths: list[Path]) -> tuple[list[Run], list[str]]:
    """Read run folders, and folders of runs: the runs, and a sentence for each that cannot be read. It is
    left out, unless no run can be read.

    Raises:
        RunError, ConfigError: no run can be read; the reason of the first one.
        UsageError: the same run is named twice.
    """
    runs: dict[str, Run] = {}
    left_out: list[str] = []
    first: RunError | ConfigError | None = None
    for path in (run for given in paths for run in _runs_in(given)):
        try:
            run = read_run(str(path))
        except (RunError, ConfigError) as error:
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
    return list(runs.values()), left_out


def _runs_in(folder: Path) -> list[Path]:
    """The folder itself, or the runs in it or in its folders if it is not a run."""
    for below in ("", "*/", "*/*/"):
        if runs := sorted(path.parent for path in folder.glob(below + RUN_FILE)):
            return runs
    return [folder]


def load_pair(first: str, second: str) -> tuple[Series, Series]:
    """The two sides of a comparison: RUN or RUN:BACKEND each.

    If neither names a backend, the first one that both have is compared, or the only one of each.

    Raises:
        RunError: a run cannot be read.
        UsageError: a backend that its run does not have, or it is not clear which ones to compare.
    """
    sides = [_named(first), _named(second)]
    runs = [read_run(str(path)) for path, _ in sides]
    backends = [run.config.backends for run in runs]
    shared = [name for name in backends[0] if name in backends[1]]
    chosen = []
    for (path, wanted), known in zip(sides, backends, strict=True):
        if wanted is not None and wanted not in known:
            raise UsageError(f"{path} has no backend '{wanted}'", f"it has {', '.join(known)}")
        name = wanted or (known[0] if len(known) == 1 else shared[0] if shared else None)
        if name is None:
            raise UsageError(
                f"{path} has several backends: {', '.join(known)}", f"name one: {path}:{known[0]}"
            )
        chosen.append(name)
    links = printed_links(runs)
    pair = [
        next(s for s in series_of([run], links) if s.backend == name)
        for run, name in zip(runs, chosen, strict=True)
    ]
    return pair[0], pair[1]


def load_series(names: list[str]) -> list[Series]:
    """All backends of each RUN, or the one of RUN:BACKEND.

    Raises:
        RunError: no run can be read.
        UsageError: a backend that its run does not have.
    """
    sides = [_named(name) for name in names]
    wanted = {str(path): backend for path, backend in sides}
    every_series = series_of(load_runs([path for path, _ in sides])[0])
    kept = [s for s in every_series if wanted.get(s.run.path) in (None, s.backend)]
    for path, backend in sides:
        if backend and not any(s.run.path == str(path) for s in kept):
            raise UsageError(f"{path} has no backend '{backend}'", "leave it out for all of them")
    return kept


def _named(text: str) -> tuple[Path, str | None]:
    """RUN:BACKEND, or a path alone, which may itself have a colon."""
    path, colon, backend = text.rpartition(":")
    if colon and not Path(text).exists():
        return Path(path), backend
    return Path(text), None
