"""Crops of photographs: random ones to train with, fixed ones to compare on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from splitwatt.export.training.photographs import Photograph

# Area and shape of a random crop; how often a stamp is pasted onto it, and the stamp's size.
_AREA, _SHAPE = (0.2, 1.0), 4 / 3
_STAMPED, _STAMP_SIDE = 0.35, (0.4, 0.95)


def random_crop(
    photographs: Sequence[Photograph],
    stamps: Sequence[Photograph],
    random: np.random.Generator,
    side: int,
) -> np.ndarray:
    """uint8 (side, side, 3), flipped half of the time, with a stamp a third of the time."""
    pixels = photographs[random.integers(len(photographs))].pixels
    crop = _cut(pixels, random, _AREA, _SHAPE).resize((side, side), Image.Resampling.BICUBIC)
    if stamps and random.random() < _STAMPED:
        _lay(crop, stamps[random.integers(len(stamps))].pixels, random)
    ready = np.asarray(crop)
    return ready[:, ::-1] if random.random() < 0.5 else ready


def fixed_crops(photograph: Photograph, number: int, side: int) -> list[Image.Image]:
    """Square crops of a photograph: its middle, then others of at least 30 % of that area."""
    height, width = photograph.pixels.shape[:2]
    least = min(height, width)
    left, top = (width - least) // 2, (height - least) // 2
    image = Image.fromarray(photograph.pixels)
    crops = [image.crop((left, top, left + least, top + least))]
    random = np.random.default_rng(len(photograph.name))
    square = np.s_[:least, :least]
    for _ in range(number - 1):
        top, left = random.integers(height - least + 1), random.integers(width - least + 1)
        crops.append(_cut(photograph.pixels[top:, left:][square], random, (0.3, 0.9), 1.0))
    return [crop.resize((side, side), Image.Resampling.BICUBIC) for crop in crops]


def _cut(
    pixels: np.ndarray, random: np.random.Generator, area: tuple[float, float], shape: float
) -> Image.Image:
    """A random rectangle whose width by height is between 1 / shape and shape."""
    height, width = pixels.shape[:2]
    share = random.uniform(*area) * height * width
    ratio = math.exp(random.uniform(-math.log(shape), math.log(shape))) if shape > 1 else 1.0
    w, h = (max(1, round(math.sqrt(own))) for own in (share * ratio, share / ratio))
    w, h = min(width, w), min(height, h)
    top, left = random.integers(height - h + 1), random.integers(width - w + 1)
    return Image.fromarray(pixels[top : top + h, left : left + w])


def _lay(crop: Image.Image, stamp: np.ndarray, random: np.random.Generator) -> None:
    side = crop.width
    image = Image.fromarray(stamp)
    scale = random.uniform(*_STAMP_SIDE) * side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = random.integers(side - width + 1), random.integers(side - height + 1)
    crop.paste(image, (int(left), int(top)), image)
