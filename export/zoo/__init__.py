"""The zoo: one file per family, each with a list SYSTEMS; a new file here is a new family.

A name CODEC+MODEL is composed from an input codec and a whole model (`input_compression`); its rate
point is the codec's and comes after it: `jpeg@50+resnet50`.

No file of the zoo imports PyTorch before a system is built.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.device_configs.names import check_known, suggestion
from splitwatt.engines.bundle.manifest import TASKS
from splitwatt.engines.bundle.model_name import ModelName, check_own_name, read_name
from splitwatt.export.spec import Network, System

# Rows of files that a user named, each with its file, by the row's name.
_own: dict[str, tuple[System, str]] = {}


def systems() -> dict[str, System]:
    """Every system by name: the packaged ones, then the user's own."""
    return {**_packaged(), **{name: row for name, (row, _) in _own.items()}}


def add(rows: Sequence[System], source: str) -> None:
    """Add a user's own rows to the zoo.

    Args:
        source: the file that they are from; rows that it added before are replaced.

    Raises:
        UsageError: a name is taken, or is not a name of a model; a row contradicts itself.
    """
    place = str(Path(source).resolve())
    names = [row.name for row in rows]
    for row in rows:
        check_own_name(row.name, f"{source}: ")
        owner = _own.get(row.name, (row, place))[1]
        if names.count(row.name) > 1:
            owner = "another row"
        elif row.name in _packaged():
            owner = "a packaged model"
        if owner != place:
            raise UsageError(
                f"{source}: the name {row.name} is taken by {owner}", "choose another name"
            )
        _check(row, source)
    for row in rows:
        _own[row.name] = (row, place)


def _check(row: System, source: str) -> None:
    """Refuse a row whose fields the commands cannot use."""
    known = isinstance(row.tasks, tuple) and row.tasks and set(row.tasks) <= set(TASKS)
    problem = ""
    if not known or not isinstance(row.postprocess, dict) or set(row.tasks) != set(row.postprocess):
        problem = f"tasks must be a tuple of {', '.join(TASKS)}, each with a head in postprocess"
    elif not all(isinstance(rate, str) and rate for rate in row.rates):
        problem = 'rates must be strings, such as ("0.5", "1")'
    elif not callable(row.checkpoints) or not callable(row.build):
        problem = "checkpoints and build must be functions of the rate"
    if problem:
        raise UsageError(f"{source}: {row.name}: {problem}", "docs/adding-a-model.md shows one")


def add_file(path: str) -> None:
    """Add the list SYSTEMS of a Python file, which is run, to the zoo.

    The file may import modules of its own folder, now and when a model is built.

    Raises:
        UsageError: the file does not import, or has no such list: names file, line and cause.
    """
    if not Path(path).is_file():
        raise UsageError(
            f"there is no file {path}", "--zoo names a Python file with a list SYSTEMS"
        )
    place = Path(path).resolve()
    name = f"splitwatt_zoo_{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file", "--zoo names a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    if str(place.parent) not in sys.path:
        sys.path.append(str(place.parent))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # --json promises one document on stdout
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # somebody's own file raises whatever it raises
        raise _wrong(path, "does not import", error)
    rows = getattr(module, "SYSTEMS", None)
    if not isinstance(rows, list | tuple) or not all(isinstance(row, System) for row in rows):
        rows = ()
    if not rows:
        raise UsageError(
            f"{path}: SYSTEMS must be a list of System", "docs/adding-a-model.md shows one"
        )
    add([dataclasses.replace(row, build=_guarded(row, path)) for row in rows], path)


def _guarded(row: System, path: str) -> Callable[[str | None], Network]:
    """Its `build`, whose errors are one sentence, also where no line of the file fails."""

    def build(rate: str | None) -> Network:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return row.build(rate)
        except SplitwattError:
            raise
        except Exception as error:
            raise _wrong(path, f"does not build {row.name}", error) from error

    return build


def fault_of(system: str, error: Exception) -> UsageError | None:
    """The sentence for an error that a user's own file raised while its model was exported, else None."""
    _, path = _own.get(system, (None, ""))
    if path not in {frame.filename for frame in traceback.extract_tb(error.__traceback__)}:
        return None
    return _wrong(path, f"fails in the export of {system}", error)


def _wrong(path: str, what: str, error: BaseException) -> UsageError:
    place = str(Path(path).resolve())
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == place]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    at = f", line {line}" if line else ""
    cause = " ".join(str(error).split()) or "no message"
    return UsageError(
        f"{path}{at} {what}: {type(error).__name__}: {cause}",
        "docs/adding-a-model.md shows a file that does",
    )


@functools.cache
def _packaged() -> dict[str, System]:
    modules = sorted(info.name for info in pkgutil.iter_modules(__path__))
    rows = (importlib.import_module(f"{__name__}.{module}").SYSTEMS for module in modules)
    return {system.name: system for systems in rows for system in systems}


def names() -> list[str]:
    """The name of every row with each of its rate points: all names of bundles."""
    known = [system for system in systems().values() if not system.unavailable]
    return [full_name(system, rate) for system in known for rate in rates(system)]


def rates(system: System) -> tuple[str | None, ...]:
    """The rate points of a system, (None,) if it has only one."""
    return system.rates or (None,)


def full_name(system: System, rate: str | None) -> str:
    """`ladon_r50@0.32`, `jpeg@50+resnet50`; the bare name if there are no rate points."""
    return str(ModelName(system.name, rate))


def find(name: str) -> tuple[System, str | None]:
    """The system and rate point of NAME or NAME@RATE; a bare name is its first rate point.

    Raises:
        UsageError: an unknown name or rate point, with the nearest known ones; a row that cannot be
            exported.
    """
    base, rate, _ = read_name(name)
    known = systems()
    if "+" in base:
        system = importlib.import_module(f"{__name__}.input_compression").compose(base, known)
    else:
        if base not in known and rate is not None:
            raise UsageError(f"unknown model '{name}'", suggestion(name, names()))
        check_known("model", base, known)
        system = known[base]
    if system.unavailable:
        raise UsageError(f"{base} cannot be exported: {system.unavailable}")
    if rate is None:
        return system, rates(system)[0]
    if rate not in system.rates:
        points = ", ".join(system.rates)
        raise UsageError(
            f"{base} has no rate point '{rate}'",
            f"known: {points}" if points else f"it has no rate points: write {base}",
        )
    return system, rate
