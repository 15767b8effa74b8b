"""What a model in another precision than fp32 is called: `ladon_r50@0.32-fp16`."""

from __future__ import annotations

from device_configs.errors import UsageError
from device_configs.names import check_known
from device_configs.targets import Target
from engines.manifest import PRECISIONS

FP32 = PRECISIONS[0]


def split_name(name: str, asked: str | None) -> tuple[str, str]:
    """A model's name without its precision, and the precision: the name's, else `asked`, else fp32.

    Raises:
        UsageError: the two differ, or there is no such precision.
    """
    if asked is not None:
        check_known("precision", asked, PRECISIONS)
    for precision in PRECISIONS:
        if name.endswith("-" + precision):
            if asked not in (None, precision):
                raise UsageError(f"the model '{name}' is in {precision}, not {asked}", "drop one")
            return name[: -len(precision) - 1], precision
    return name, asked or FP32


def join_name(name: str, precision: str) -> str:
    """The name of a model in a precision; fp32 adds nothing."""
    return name if precision == FP32 else f"{name}-{precision}"


def check_precision(precision: str, target: Target) -> None:
    """Refuse a precision that the target has no fast path for.

    Raises:
        UsageError: in one sentence, with those that it has.
    """
    if precision not in target.precisions:
        raise UsageError(
            f"{target.name} has no fast path for {precision}: it would run no faster than in fp32",
            f"use one of: {', '.join(target.precisions)}",
        )
