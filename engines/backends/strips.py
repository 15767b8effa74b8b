"""Runs an encoder on horizontal strips of an image that would not fit the target's memory.

The same graph runs each strip. Rows that a strip's zero padding makes wrong are left out; the next strip
computes them from the image's own rows, so that the outputs equal those of the whole image.
"""

from typing import Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from splitwatt.device_configs.errors import ImageError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.bundle.manifest import Port, Strips

# onnxruntime's arena grows by doubling: it may hold twice the memory of its tensors.
_ARENA = 2
_MB = 1 << 20


class Strip(NamedTuple):
    """The image's rows from `top` to `bottom`."""

    top: int
    bottom: int


def strips_at(strips: Strips, outputs: Mapping[str, Port], height: int, width: int) -> List[Strip]:
    """The strips of an image of `height` x `width`; a single one if all of it fits the memory.

    Args:
        outputs: the graph's, whose channels determine their size.

    Raises:
        ImageError: the image, its outputs and the thinnest strip exceed the memory.
    """
    memory = strips.memory_mb * _MB
    kept = held_bytes(strips, outputs, height, width)
    pixels = int((memory - kept) // (_ARENA * strips.bytes_per_pixel))
    if height * width <= pixels:
        return [Strip(0, height)]
    step = alignment(strips)
    halo = overlap(strips)
    rows = pixels // width // step * step - halo  # of the image, that a strip adds
    if rows < step:
        least = kept + _ARENA * strips.bytes_per_pixel * width * (halo + step)
        raise ImageError(
            "an input of %d x %d needs %d MB of memory, and the target allows %d"
            % (width, height, -(-least // _MB), strips.memory_mb),
            "make the image smaller, or export for a target with a larger encoder_memory_mb",
        )
    count = max(1, -(-(height - halo) // rows))
    rows = -(-(height - halo) // count // step) * step
    tall = min(rows + halo, height)
    # The last strip is as tall as the others, to within `step`, so that few sizes are run.
    tops = [min(at * rows, (height - tall) // step * step) for at in range(count)]
    return [Strip(top, min(top + tall, height)) for top in tops[:-1]] + [Strip(tops[-1], height)]


def alignment(strips: Strips) -> int:
    """The number of rows that every strip's top is a multiple of: a row of every output begins there."""
    return int(np.lcm.reduce([rows.step for rows in strips.outputs]))


def overlap(strips: Strips) -> int:
    """Rows of the image that two strips share, a multiple of `alignment`."""
    needed = max(
        1 + rows.below + rows.step * (-(-rows.above // rows.step) - 1) for rows in strips.outputs
    )
    step = alignment(strips)
    return -(-max(needed, 0) // step) * step


def held_bytes(strips: Strips, outputs: Mapping[str, Port], height: int, width: int) -> int:
    """Bytes of the whole input and the whole outputs, which are kept in memory."""
    held = 3 * 4.0
    for rows in strips.outputs:
        held += 4.0 * (outputs[rows.output].shape[1] or 0) / rows.step**2
    return int(held * height * width)


def runs_on_strips(engine: Engine, strips: Strips) -> bool:
    """Whether an engine has the input and the outputs that strips are stated for."""
    maps = list(engine.inputs.values()) + list(engine.outputs.values())
    stated = [rows.output for rows in strips.outputs]
    return (
        set(engine.inputs) == {"image"}
        and sorted(stated) == sorted(engine.outputs)
        and all(len(port.shape) == 4 for port in maps)
    )


class StripEngine(Engine):
    """A part's engine that uses strips if the image is too large for the memory."""

    def __init__(self, inner: Engine, strips: Strips) -> None:
        super().__init__(inner.name, list(inner.inputs.values()), list(inner.outputs.values()))
        self._inner = inner
        self._strips = strips
        self.fallback, self.built = inner.fallback, inner.built

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        image = feeds["image"]
        height, width = image.shape[2:]
        plan = strips_at(self._strips, self.outputs, height, width)
        if len(plan) == 1:
            outputs = self._inner.run(feeds)
            self.device_s = self._inner.device_s
            return outputs
        made: Dict[str, np.ndarray] = {}
        above = {rows.output: 0 for rows in self._strips.outputs}  # rows still to be made
        device_s: Optional[float] = None
        for strip in reversed(plan):  # the last strip shows how many rows the outputs have
            part = np.ascontiguousarray(image[:, :, strip.top : strip.bottom])
            outputs = self._inner.run({"image": part})
            if self._inner.device_s is not None:
                device_s = (device_s or 0.0) + self._inner.device_s
            for rows in self._strips.outputs:
                name, rows_of_strip = rows.output, outputs[rows.output]
                offset = strip.top // rows.step
                if name not in made:
                    above[name] = offset + rows_of_strip.shape[2]
                    shape = rows_of_strip.shape[:2] + (above[name],) + rows_of_strip.shape[3:]
                    made[name] = np.empty(shape, rows_of_strip.dtype)
                first = -(-(strip.top + rows.above) // rows.step) if strip.top else 0
                made[name][:, :, first : above[name]] = rows_of_strip[
                    :, :, first - offset : above[name] - offset
                ]
                above[name] = first
        self.device_s = device_s
        return made

    def _close(self) -> None:
        self._inner.close()
