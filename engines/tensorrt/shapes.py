"""The sizes that an engine must accept: TensorRT needs the smallest, the usual and the largest.

The image's range follows from the bundle's preprocessing. The sizes of later tensors are measured:
the earlier parts run in onnxruntime at those three sizes.
"""

import math
from typing import Dict, List, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.strips import alignment, overlap, strips_at
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Part, Port, Preprocess

Shape = Tuple[int, ...]
Range = Tuple[Shape, Shape, Shape]
# Longer side over shorter side. A film has 2.39, a photograph 1.5, a panorama more.
ASPECT = 2.4
# int64 (2,) inputs: height and width of the image's valid region, and of the whole input.
_SIZES = ("valid_size", "input_size")


def image_range(preprocess: Preprocess, aspect: float = ASPECT) -> Tuple[Shape, Shape]:
    """The smallest and the largest (height, width) that preprocessing gives.

    Args:
        aspect: the most elongated image, longer side over shorter, from 1 on.
    """
    resize = preprocess.resize
    if preprocess.crop is not None:
        smallest = largest = tuple(preprocess.crop)
    elif isinstance(resize.size, tuple):
        smallest = largest = tuple(resize.size)
    else:
        longer = math.ceil(resize.size * aspect)
        shorter = resize.size
        if resize.max_size is not None and longer > resize.max_size:
            longer = resize.max_size
            shorter = max(1, min(shorter, int(resize.max_size / aspect)))
        smallest, largest = (shorter, shorter), (longer, longer)
    multiple = preprocess.pad_multiple or 1
    padded = [tuple(-(-side // multiple) * multiple for side in size) for size in
              (smallest, largest)]  # fmt: skip
    return padded[0], padded[1]


def profile_of(bundle: Bundle, part: Part, aspect: float = ASPECT) -> Dict[str, Range]:
    """Every input of a part: its smallest, usual and largest shape, or values for `*_size` inputs.

    EngineError where no earlier part makes an input, or onnxruntime cannot run an earlier part.
    """
    smallest, largest = image_range(bundle.manifest.preprocess, aspect)
    usual = _usual(bundle, smallest, largest)
    smallest, usual, largest = _of_strips(part, smallest, usual, largest)
    made = [_known(size, bundle, part) for size in (smallest, usual, largest)]
    ranges = {}
    for port in part.inputs:
        if port.name not in made[0]:
            raise EngineError(
                "%s: no part before '%s' makes its input '%s'"
                % (bundle.path, part.name, port.name),
                "export the bundle again",
            )
        ranged = (made[0][port.name], made[1][port.name], made[2][port.name])
        most = (part.largest or {}).get(port.name)
        ranges[port.name] = ranged if most is None else _up_to(ranged, port, most)
        _check_order(ranges[port.name], part, port)
    return ranges


def _of_strips(part: Part, smallest: Shape, usual: Shape, largest: Shape) -> List[Shape]:
    """The sizes of the strips, where the part runs on strips of the largest image; else the given."""
    sizes = [smallest, usual, largest]
    outputs = {port.name: port for port in part.outputs}
    if part.strips is None or len(strips_at(part.strips, outputs, *largest)) == 1:
        return sizes
    # The narrowest image has the tallest strips.
    plan = strips_at(part.strips, outputs, largest[0], smallest[1])
    tallest = max(strip.bottom - strip.top for strip in plan)
    shortest = alignment(part.strips) + overlap(part.strips)
    heights = [min(smallest[0], shortest), min(usual[0], tallest), min(largest[0], tallest)]
    return [(height,) + size[1:] for height, size in zip(heights, sizes)]


def _up_to(ranged: Range, port: Port, most: Tuple[Optional[int], ...]) -> Range:
    """A range in which each length that depends on the image's content is 1 to `most`, usually `most`."""
    sides = [
        sides if fixed is not None or limit is None else (1, limit, limit)
        for sides, fixed, limit in zip(zip(*ranged), port.shape, most)
    ]
    smallest, usual, largest = (tuple(three[i] for three in sides) for i in range(3))
    return smallest, usual, largest


def _usual(bundle: Bundle, smallest: Shape, largest: Shape) -> Shape:
    """The size at which the manifest counts operations, limited to the range."""
    for part in bundle.manifest.parts:
        size = part.gmac_at.get("image")
        if size is not None:
            return tuple(
                min(max(side, low), high) for side, low, high in zip(size[2:], smallest, largest)
            )
    return largest


def _known(size: Shape, bundle: Bundle, part: Part) -> Dict[str, Shape]:
    """The shapes of all tensors before a part, and the values of `*_size`, for an image of `size`."""
    tensors: Dict[str, np.ndarray] = {name: np.array(size, np.int64) for name in _SIZES}
    tensors["image"] = np.zeros((1, 3) + tuple(size), np.float32)
    for before in bundle.manifest.parts:
        if before.name == part.name or all(port.name in tensors for port in part.inputs):
            break
        with load_engine("cpu", bundle.part_path(before.name)) as engine:
            missing = [name for name in engine.inputs if name not in tensors]
            if missing:
                raise EngineError("no part makes the input '%s' of %s" % (missing[0], engine.name))
            tensors.update(engine.run({name: tensors[name] for name in engine.inputs}))
    known = {name: array.shape for name, array in tensors.items()}
    return dict(known, **{name: tuple(size) for name in _SIZES})


def _check_order(ranged: Range, part: Part, port: Port) -> None:
    """Explain a range whose usual size is outside it, which TensorRT refuses without a reason."""
    sides: List[Tuple[int, ...]] = list(zip(*ranged))
    if any(not low <= middle <= high for low, middle, high in sides):
        raise EngineError(
            "the input '%s' of '%s' shrinks where the image grows: %s"
            % (port.name, part.name, ranged)
        )
