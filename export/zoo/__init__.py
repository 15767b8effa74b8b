"""The zoo: one file per family, each with a list SYSTEMS; a new file here is a new family.

A name CODEC+MODEL is composed from an input codec and a whole model (`input_compression`); its rate
point is the codec's and stands behind it: `jpeg@50+resnet50`.

No file of the zoo imports PyTorch before a system is built.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import check_known, suggestion
from splitwatt.engines.bundle.model_name import ModelName, read_name
from splitwatt.export.spec import System


@functools.cache
def systems() -> dict[str, System]:
    """Every system by name, in the order of the files and of their lists."""
    found: dict[str, System] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for system in importlib.import_module(f"{__name__}.{module}").SYSTEMS:
            if system.name in found:
                raise ValueError(f"two systems of the zoo are named {system.name}")
            found[system.name] = system
    return found


def names() -> list[str]:
    """Every row's name with each of its rate points: what a bundle may be called."""
    known = [system for system in systems().values() if not system.unavailable]
    return [full_name(system, rate) for system in known for rate in rates(system)]


def rates(system: System) -> tuple[str | None, ...]:
    """The rate points of a system, (None,) where it has but one."""
    return system.rates or (None,)


def full_name(system: System, rate: str | None) -> str:
    """`ladon_r50@0.32`, `jpeg@50+resnet50`; the bare name where there are no rate points."""
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
            f"known: {points}" if points else f"it has none: write {base}",
        )
    return system, rate
