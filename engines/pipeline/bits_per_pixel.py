"""Bits per pixel of a photograph, place by place (the SC2 benchmark's Fig 11)."""

from typing import Optional

import numpy as np

from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.pipeline.pipeline import read_sizes


def tells_bits(codec: Codec) -> bool:
    """Whether a codec can say where a payload's bits go."""
    return type(codec).bits is not Codec.bits


def bits_per_pixel(codec: Codec, payload: bytes, sizes: np.ndarray) -> Optional[np.ndarray]:
    """Where the bits of a payload go.

    Args:
        codec: that made it.
        payload: its bytes.
        sizes: int32 (6,), see `splitwatt.engines.pipeline.pipeline.Request`.

    Returns:
        float32 (h, w), bits of each pixel of the input without its padding; None of a codec that
        does not know. Its sum and the header are the payload, but for what lies on the padding.

    Raises:
        BitstreamError: invalid bytes or sizes.
    """
    checked = read_sizes(sizes)
    height, width = checked.input
    maps = codec.bits(payload, checked.input)
    if not maps:
        return None
    total = np.zeros((height, width), np.float64)
    for bits in maps:
        total += _shares(height, bits.shape[0]) @ bits @ _shares(width, bits.shape[1]).T
    valid_height, valid_width = checked.valid
    return total[:valid_height, :valid_width].astype(np.float32)


def _shares(pixels: int, places: int) -> np.ndarray:
    """How much of each place of the latent lies on each pixel along one side: (pixels, places)."""
    edges = np.arange(pixels + 1) * places / pixels
    first, last = edges[:-1, None], edges[1:, None]
    place = np.arange(places)[None, :]
    overlap = np.minimum(last, place + 1) - np.maximum(first, place)
    return np.asarray(np.maximum(overlap, 0))
