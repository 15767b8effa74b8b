"""What a model is called: `ladon_r50@0.32`, `jpeg@50+resnet50`, `ladon_r50@0.32-fp16`."""

import re
from typing import NamedTuple, Optional

from splitwatt.device_configs.errors import UsageError
from splitwatt.engines.bundle.manifest import PRECISIONS

FP32 = PRECISIONS[0]


class ModelName(NamedTuple):
    """A model's name in its three pieces; `str` puts them together again.

    system: without rate point and precision: `ladon_r50`, `jpeg+resnet50`.
    rate: None for a bare name.
    precision: fp32 adds nothing to a name.
    """

    system: str
    rate: Optional[str] = None
    precision: str = FP32

    def __str__(self) -> str:
        codec, plus, model = self.system.partition("+")
        at = "" if self.rate is None else "@" + self.rate
        ending = "" if self.precision == FP32 else "-" + self.precision
        return codec + at + plus + model + ending


def check_own_name(name: str, where: str = "") -> None:
    """Raise UsageError for a name that would be read as a rate point, a codec or a folder.

    Args:
        where: before the sentence, as "mine.py: ".
    """
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9_.]*\Z", name):
        raise UsageError(
            "%s'%s' is not a model name" % (where, name), "use letters, digits, '_' and '.'"
        )


def read_name(name: str) -> ModelName:
    """A model's name taken apart; UsageError if it has two rate points.

    A codec's rate point may also come last: `jpeg+resnet50@50`.
    """
    endings = [precision for precision in PRECISIONS if name.endswith("-" + precision)]
    base = name[: -len(endings[0]) - 1] if endings else name
    codec, plus, model = base.partition("+")
    codec, first, rate = codec.partition("@")
    model, second, other = model.partition("@")
    if first and second:
        raise UsageError("the model '%s' has two rate points" % name, "drop one")
    rate_point = (rate if first else other) if first or second else None
    return ModelName(codec + plus + model, rate_point, endings[0] if endings else FP32)
