"""The requested precision of a model: in its name (`ladon_r50@0.32-fp16`) or by a flag."""

from __future__ import annotations

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.device_configs.targets import Target
from splitwatt.engines.bundle.manifest import PRECISIONS
from splitwatt.engines.bundle.model_name import FP32, read_name


def split_name(name: str, asked: str | None) -> tuple[str, str]:
    """A model's name without its precision, and the precision: the name's, else `asked`, else fp32.

    Raises:
        UsageError: the two differ, or there is no such precision.
    """
    if asked is not None:
        check_known("precision", asked, PRECISIONS)
    parsed = read_name(name)
    base = str(parsed._replace(precision=FP32))
    if not name.endswith("-" + parsed.precision):
        return base, asked or FP32
    if asked not in (None, parsed.precision):
        raise UsageError(f"the model '{name}' is in {parsed.precision}, not {asked}", "drop one")
    return base, parsed.precision


def join_name(name: str, precision: str) -> str:
    """The name of a model in a precision; fp32 adds nothing."""
    return str(read_name(name)._replace(precision=precision))


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
