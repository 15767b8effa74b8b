"""An answer drawn on its photograph: boxes, masks, and the best classes with their scores."""

from typing import Dict, List, Mapping, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from splitwatt.engines.bundle.manifest import Head
from splitwatt.engines.labels import labels
from splitwatt.engines.pipeline.postprocess import Answer

Colour = Tuple[int, int, int]
# Okabe and Ito's colours, which colour-blind people can distinguish; then the same, lighter.
_BASE: List[Colour] = [
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
]  # fmt: skip
_MASK_OPACITY = 0.55
_BACKGROUND = 0
# Pillow cannot draw corners that are much farther outside.
_BEYOND_PX, _FARTHEST_PX = 100.0, 100000.0


def overlay(
    rgb: np.ndarray, answer: Answer, heads: Mapping[str, Head], min_score: float
) -> Image.Image:
    """A photograph, uint8 (H, W, 3), as an RGB picture with its answer drawn on it.

    Args:
        heads: the manifest's `postprocess`, for the classes' names.
        min_score: boxes below it are left out.
    """
    if "segmentation" in answer:
        rgb = _tinted(rgb, answer["segmentation"]["mask"])
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    font_px = max(12, int(max(rgb.shape[:2]) / 45))
    font = _font(font_px)
    if "detection" in answer:
        names = labels(heads["detection"].labels)
        _draw_boxes(draw, answer["detection"], names, min_score, font)
    y = 4
    if "segmentation" in answer:
        names = labels(heads["segmentation"].labels)
        for label, share in mask_shares(answer["segmentation"]["mask"])[:4]:
            y = _tag(draw, (4, y), "%s %.0f %%" % (names[label], 100 * share), colour(label), font)
    if "classification" in answer:
        names = labels(heads["classification"].labels)
        classes = answer["classification"]
        for label, score in list(zip(classes["labels"].tolist(), classes["scores"].tolist()))[:3]:
            y = _tag(draw, (4, y), "%s %.2f" % (names[label], score), (255, 255, 255), font)
    return picture


def colour(label: int) -> Colour:
    """The colour of a class: neighbours differ, and the same class always has the same."""
    base = _BASE[label % len(_BASE)]
    lighter = label // len(_BASE) % 3 * 0.3
    return tuple(int(c + (255 - c) * lighter) for c in base)  # type: ignore[return-value]


def mask_shares(mask: np.ndarray) -> List[Tuple[int, float]]:
    """The classes of a mask but its background, and their shares of its pixels, largest first."""
    classes, counts = np.unique(mask, return_counts=True)
    shares = [(int(c), n / mask.size) for c, n in zip(classes, counts.tolist()) if c != _BACKGROUND]
    return sorted(shares, key=lambda item: -item[1])


def _tinted(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photograph under its mask, which has the network's resolution."""
    size = (rgb.shape[1], rgb.shape[0])
    full = np.asarray(Image.fromarray(mask).resize(size, Image.NEAREST))  # type: ignore[attr-defined]
    palette = np.array([colour(label) for label in range(256)], np.float32)
    weight = np.where(full == _BACKGROUND, 0.0, _MASK_OPACITY)[..., None]
    return np.asarray(rgb * (1 - weight) + palette[full] * weight + 0.5, np.uint8)


def _draw_boxes(
    draw: ImageDraw.ImageDraw,
    detections: Dict[str, np.ndarray],
    names: List[str],
    min_score: float,
    font: ImageFont.FreeTypeFont,
) -> None:
    rows = list(zip(*(detections[name].tolist() for name in ("boxes", "labels", "scores"))))
    for box, label, score in reversed(rows):  # the best is drawn last, on top
        if score >= min_score and box[0] <= box[2] and box[1] <= box[3]:
            box = [min(max(value, -_BEYOND_PX), _FARTHEST_PX) for value in box]
            draw.rectangle(box, outline=colour(label), width=3)
            place = (int(box[0]), int(box[1]))
            _tag(draw, place, "%s %.2f" % (names[label], score), colour(label), font)


def _tag(
    draw: ImageDraw.ImageDraw,
    place: Tuple[int, int],
    text: str,
    background: Colour,
    font: ImageFont.FreeTypeFont,
) -> int:
    """Black text on its colour, which can be read on any photograph; where the next line begins."""
    box = _box(draw, place, text, font)
    draw.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill=background)
    draw.text(place, text, fill=(0, 0, 0), font=font)
    return int(box[3]) + 6


def _box(
    draw: ImageDraw.ImageDraw, place: Tuple[int, int], text: str, font: ImageFont.FreeTypeFont
) -> Tuple[float, ...]:
    if isinstance(font, ImageFont.FreeTypeFont):
        return draw.textbbox(place, text, font=font)
    width, height = draw.textsize(text, font=font)  # type: ignore[attr-defined]  # old Pillow's
    return (place[0], place[1], place[0] + width, place[1] + height)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """A scalable font where Pillow can give one, else its small one."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        pass
    try:
        return ImageFont.load_default(size)  # type: ignore[return-value]
    except TypeError:  # Pillow before 10.1
        return ImageFont.load_default()  # type: ignore[return-value]
