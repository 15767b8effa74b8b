"""The bits of each pixel of a photograph (the SC2 benchmark's Fig 11)."""

from typing import Optional

import numpy as np

from splitwatt.engines.codecs.base import Codec
from splitwatt.engines.pipeline.pipeline import read_sizes


def tells_bits(codec: Codec) -> bool:
    """Whether a codec knows the bits of each position of a payload."""
    return type(codec).bits is not Codec.bits


def bits_per_pixel(codec: Codec, payload: bytes, sizes: np.ndarray) -> Optional[np.ndarray]:
    """The bits of each pixel of a payload's image, without padding; BitstreamError if invalid.

    Args:
        codec: the codec that encoded it.
        sizes: int32 (6,), see `splitwatt.engines.pipeline.pipeline.Request`.

    Returns:
        float32 (h, w); None if the codec does not know them. Their sum is the payload without its
        header and without the padding's bits.
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
    """The share of each position of the latent on each pixel along one side: (pixels, places)."""
    edges = np.arange(pixels + 1) * places / pixels
    first, last = edges[:-1, None], edges[1:, None]
    place = np.arange(places)[None, :]
    overlap = np.minimum(last, place + 1) - np.maximum(first, place)
    return np.asarray(np.maximum(overlap, 0))
