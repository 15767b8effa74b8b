"""How far rounding moves a bundle's outputs from fp32's: the manifest's key `rounding`.

Measured when the bundle was exported, with onnxruntime, on its sample photographs.
"""

from typing import Dict, List, NamedTuple, Optional

from splitwatt.engines.bundle.fields import Fields

ROUNDINGS = ("tf32", "fp16", "int8")


class PartError(NamedTuple):
    """The largest difference of a part's outputs, and that relative to the largest fp32 value."""

    part: str
    max_abs: float
    relative: float

    @classmethod
    def from_json(cls, fields: Fields) -> "PartError":
        """Read one entry of `parts`."""
        error = cls(fields.text("part"), fields.number("max_abs"), fields.number("relative"))
        fields.done()
        return error


class LatentMove(NamedTuple):
    """What becomes of the latent: the share of its values that arrive as another (a step of 1 is a
    symbol's), the largest step, and how many percent more (negative: less) bytes that takes.
    """

    moved_percent: float
    largest_step: float
    bytes_percent: float

    @classmethod
    def from_json(cls, fields: Fields) -> "LatentMove":
        """Read the key `latent`."""
        move = cls(
            fields.number("moved_percent"),
            fields.number("largest_step"),
            fields.number("bytes_percent"),
        )
        fields.done()
        return move


class Rounding(NamedTuple):
    """What a precision of the board's parts changes.

    precision: tf32 rounds the factors of products to 10 bits, as GPUs since Ampere may.
    deployed: whether the bundle's own graphs are in it; else a trial, whose graphs were not kept.
    calibration: the images that int8's ranges are from; None elsewhere.
    photographs: how many it was measured on.
    latent: None for local models. agreement: task -> percent of the answers that are fp32's:
        photographs with the same best class; boxes with one of the same class that overlaps by
        half; pixels of the same class. Empty for a trial.
    """

    precision: str
    deployed: bool
    calibration: Optional[str]
    photographs: int
    parts: List[PartError]
    latent: Optional[LatentMove]
    agreement: Dict[str, float]

    @classmethod
    def from_json(cls, fields: Fields) -> "Rounding":
        """Read one entry of `rounding`."""
        agreement = fields.object("agreement")
        rounding = cls(
            precision=fields.text("precision", ROUNDINGS),
            deployed=fields.boolean("deployed"),
            calibration=fields.optional("calibration", fields.text),
            photographs=fields.integer("photographs", 1),
            parts=[PartError.from_json(part) for part in fields.objects("parts")],
            latent=fields.optional(
                "latent", lambda name: LatentMove.from_json(fields.object(name))
            ),
            agreement={task: agreement.number(task) for task in agreement.names()},
        )
        fields.done()
        return rounding
