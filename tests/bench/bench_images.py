"""An image's stages on the board in ns a pixel, beside a copy of as many bytes; JPEG files whole and reduced.

Pixels are those of the image in the file; processor time of one thread, so that other work counts little.
"""

import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image, decode_reduced
from splitwatt.engines.pipeline.preprocess import plan, preprocess
from splitwatt.export.zoo import find
from tests.bench.measure import publish

SIZES = [(480, 640), (1080, 1920), (2160, 3840)]
MODELS = ["mobilenet_v3_large", "ladon_r50@0.32"]  # Pillow's filter with a crop; interpolation
ROUNDS = 7
STEPS = [
    "copy",
    "decode",
    "preprocess",
    "normalise alone",
    "reduced: decode",
    "reduced: preprocess",
]


def main() -> None:
    """Every model's preprocessing at every size."""
    rows, figures = [], {}
    for name in MODELS:
        spec = find(name)[0].preprocess
        for height, width in SIZES:
            seconds = stages(jpeg(height, width), spec)
            each = {step: 1e9 * seconds[step] / (height * width) for step in STEPS}
            figures[f"{name} {width}x{height}"] = each
            whole, less = (
                sum(each[step] for step in steps)
                for steps in (("decode", "preprocess"), ("reduced: decode", "reduced: preprocess"))
            )
            row = [name, f"{width}x{height}", *(f"{each[step]:.2f}" for step in STEPS)]
            rows.append([*row, f"{whole / less:.2f}x"])
    publish(
        "images",
        "An image's stages [ns a pixel of the file]",
        ["preprocessing of", "image", *STEPS, "reduced is faster by"],
        rows,
        figures,
    )


def jpeg(height: int, width: int) -> bytes:
    """A packaged photograph as a JPEG file of a size."""
    stream = io.BytesIO()
    with Image.open(default_photos()[0]) as image:
        image.convert("RGB").resize((width, height)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def stages(data: bytes, spec: Preprocess) -> dict[str, float]:
    """Median processor seconds of each step."""
    rgb = decode_image(data)
    size = rgb.shape[0], rgb.shape[1]
    # Normalising alone: an image that has the size already.
    small = np.ascontiguousarray(rgb[: plan(size, spec).resized[0], : plan(size, spec).resized[1]])

    def needed(image: tuple[int, int]) -> tuple[int, int]:
        return plan(image, spec).resized

    reduced, _ = decode_reduced(data, needed)
    calls: dict[str, Callable[[], Any]] = {
        "copy": rgb.copy,
        "decode": lambda: decode_image(data),
        "preprocess": lambda: preprocess(rgb, spec),
        "normalise alone": lambda: preprocess(small, spec),
        "reduced: decode": lambda: decode_reduced(data, needed),
        "reduced: preprocess": lambda: preprocess(reduced, spec, size),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
