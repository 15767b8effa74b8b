"""The zoo: one file per family, each with a list SYSTEMS; a new file here is a new family.

No file of the zoo imports PyTorch before a system is built.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from device_configs.errors import UsageError
from device_configs.names import check_known, suggestion
from export.spec import System


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
    """Every model name with its rate point: what a bundle may be called."""
    return [full_name(system, rate) for system in systems().values() for rate in rates(system)]


def rates(system: System) -> tuple[str | None, ...]:
    """The rate points of a system, (None,) where it has but one."""
    return system.rates or (None,)


def full_name(system: System, rate: str | None) -> str:
    """`ladon_r50@0.32`; the bare name where there are no rate points."""
    return system.name if rate is None else f"{system.name}@{rate}"


def find(name: str) -> tuple[System, str | None]:
    """The system and rate point of NAME or NAME@RATE; a bare name is its first rate point.

    Raises:
        UsageError: an unknown name or rate point, with the nearest known ones.
    """
    base, at, rate = name.partition("@")
    known = systems()
    if base not in known:
        if at:
            raise UsageError(f"unknown model '{name}'", suggestion(name, names()))
        check_known("model", base, known)
    system = known[base]
    if not at:
        return system, rates(system)[0]
    if rate not in system.rates:
        points = ", ".join(system.rates)
        raise UsageError(
            f"{base} has no rate point '{rate}'",
            f"known: {points}" if points else f"it has none: write {base}",
        )
    return system, rate
