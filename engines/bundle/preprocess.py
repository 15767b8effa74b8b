"""From an image to a graph's input: the manifest's keys `preprocess` and `published_preprocess`."""

from typing import NamedTuple, Optional, Tuple, Union

from splitwatt.engines.bundle.fields import Fields

FILTERS = ("pillow-bilinear", "pillow-bicubic", "bilinear")


class Resize(NamedTuple):
    """To which size: `exact` is (height, width); `shorter` is the shorter side's pixels."""

    rule: str
    size: Union[int, Tuple[int, ...]]
    max_size: Optional[int]
    filter: str

    @classmethod
    def from_json(cls, fields: Fields) -> "Resize":
        """Read the key `preprocess.resize`."""
        rule = fields.text("rule", ("shorter", "exact"))
        exact = rule == "exact"
        size = fields.integers("size", 2) if exact else fields.integer("size", 1)
        max_size = fields.optional("max_size", lambda name: fields.integer(name, 1))
        if exact and max_size is not None:
            raise fields.wrong("max_size", "null where the rule is 'exact'", max_size)
        resize = cls(rule, size, max_size, fields.text("filter", FILTERS))
        fields.done()
        return resize


class Preprocess(NamedTuple):
    """From an RGB image to a graph's input: see `splitwatt.engines.pipeline.preprocess`."""

    resize: Resize
    crop: Optional[Tuple[int, ...]]
    pad_multiple: Optional[int]
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    normalize: str

    @classmethod
    def from_json(cls, fields: Fields) -> "Preprocess":
        """Read the key `preprocess`."""
        std = fields.numbers("std", 3)
        if min(std) <= 0:
            raise fields.wrong("std", "a list of 3 numbers above 0", list(std))
        preprocess = cls(
            resize=Resize.from_json(fields.object("resize")),
            crop=fields.optional("crop", lambda name: fields.integers(name, 2)),
            pad_multiple=fields.optional("pad_multiple", lambda name: fields.integer(name, 1)),
            mean=fields.numbers("mean", 3),
            std=std,
            normalize=fields.text("normalize", ("before_resize", "after_resize")),
        )
        fields.done()
        return preprocess
