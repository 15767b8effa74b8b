"""Feature maps as images: three channels at a time through JPEG or WebP (the SC2 benchmark's
codec-based feature compression; Alvar and Bajic, Choi and Bajic before it).

Each image's values become (x - min) / max on 0 to 255, as sc2bench's `PILTensorModule` has it. Two
channels that are left over become two grey images, one alone becomes one.

docs/bitstream.md has the payload.
"""

import io
import struct
from typing import List, Tuple

import numpy as np
from PIL import Image

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.bundle.manifest import CodecSpec
from splitwatt.engines.codecs.base import Codec, EngineOf, Tensors, crc, latent_of
from splitwatt.engines.rangecoder.coder import not_codable
from splitwatt.engines.rangecoder.container import read_varint, varint

MAGIC = 0xF1
MAX_CHANNELS = 4096
# The most values of a latent per pixel of the input, as in VGG's first layer. A small file may hold a
# large flat image, so a payload's length is not a limit.
MAX_VALUES_PER_PIXEL = 64
_RANGE = struct.Struct("<ff")
_CRC_BYTES = 4
_FORMATS = {"feature_jpeg": "JPEG", "feature_webp": "WEBP"}
_AGAIN = "send it again"


class FeatureImageCodec(Codec):
    """`latent`, float32 (1, C, H, W)."""

    def __init__(self, spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> None:
        self._format = _FORMATS[spec.kind]
        self._quality = 90 if spec.quality is None else spec.quality

    def encode(self, tensors: Tensors) -> bytes:
        """See `Codec.encode`."""
        latent = latent_of(tensors)
        if not np.isfinite(latent).all():
            raise not_codable(latent)
        parts = [bytes([MAGIC])] + [varint(size) for size in latent.shape[1:]]
        for first, count in groups(latent.shape[1]):
            planes = latent[0, first : first + count]
            low, high = float(planes.min()), float(planes.max())
            data = self._saved(planes, low, high)
            parts += [_RANGE.pack(low, high), varint(len(data)), data]
        body = b"".join(parts)
        return body + crc(body)

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """See `Codec.decode`."""
        body = payload[:-_CRC_BYTES]
        if len(body) < 4 or body[0] != MAGIC:
            raise BitstreamError(
                "the bytes are not feature images", "check that both ends run the same model"
            )
        if payload[-_CRC_BYTES:] != crc(body):
            raise BitstreamError("the feature images are damaged: their CRC does not match", _AGAIN)
        channels, at = read_varint(body, 1)
        height, at = read_varint(body, at)
        width, at = read_varint(body, at)
        valid = 0 < height <= input_size[0] and 0 < width <= input_size[1]
        valid = valid and 0 < channels <= min(MAX_CHANNELS, len(body))
        largest = MAX_VALUES_PER_PIXEL * input_size[0] * input_size[1]
        if not valid or channels * height * width > largest:
            raise BitstreamError(
                "feature maps of %d x %d x %d do not come from an input of %d x %d"
                % (channels, height, width, input_size[0], input_size[1])
            )
        maps = []
        for _, count in groups(channels):
            if at + _RANGE.size > len(body):
                raise BitstreamError("the feature images are truncated", _AGAIN)
            low, high = _RANGE.unpack_from(body, at)
            length, at = read_varint(body, at + _RANGE.size)
            maps.append(_opened(body[at : at + length], count, (height, width), low, high))
            at += length
        if at != len(body):
            raise BitstreamError("bytes are left over after the last feature image", _AGAIN)
        latent = np.concatenate(maps)[np.newaxis]
        if not np.isfinite(latent).all():
            raise BitstreamError("the range of a feature image is not finite", _AGAIN)
        return {"latent": latent}

    def alike(self, decoded: Tensors, due: Tensors) -> Tuple[bool, str]:
        """See `Codec.alike`: two libraries' files may differ by a level on average."""
        a, b = decoded["latent"], due["latent"]
        if a.shape != b.shape:
            return False, "latents of another shape"
        levels = float(np.abs(a - b).mean()) * 255 / (float(b.max() - b.min()) or 1.0)
        return levels <= 1.0, "%.2f levels of 255 on average" % levels

    def _saved(self, planes: np.ndarray, low: float, high: float) -> bytes:
        """Planes (1 or 3, H, W) as a file; all zero if the largest value is 0."""
        divisor = np.float32(high)
        scaled = (planes - np.float32(low)) / divisor if high else np.zeros_like(planes)
        # Values beyond the range, which a negative minimum causes, are clipped.
        pixels = np.clip(scaled * np.float32(255), 0, 255).astype(np.uint8)
        image = Image.fromarray(
            np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        )
        stream = io.BytesIO()
        image.save(stream, self._format, quality=self._quality)
        return stream.getvalue()


def groups(channels: int) -> List[Tuple[int, int]]:
    """(first channel, channels) of each image."""
    whole = channels // 3 * 3
    return [(at, 3) for at in range(0, whole, 3)] + [(at, 1) for at in range(whole, channels)]


def _opened(data: bytes, count: int, size: Tuple[int, int], low: float, high: float) -> np.ndarray:
    """float32 (count, H, W) of one file; BitstreamError if it is not an image of that size."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_FORMATS.values())) as image:
            if image.size != (size[1], size[0]):
                raise BitstreamError("a feature image has another size than its header says")
            pixels = np.asarray(image.convert("L" if count == 1 else "RGB"))
    except BitstreamError:
        raise
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise BitstreamError("a feature image cannot be decoded: %s" % error, _AGAIN)
    planes = pixels[np.newaxis] if count == 1 else pixels.transpose(2, 0, 1)
    values = planes.astype(np.float32) / np.float32(255)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values * np.float32(high) + np.float32(low))
