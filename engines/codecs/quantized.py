"""A latent with eight bits per value and its own scale (Jacob et al., CVPR 2018).

docs/bitstream.md has the payload; the number of channels follows from its length. The values are
those of torchdistill's `quantize_tensor`.
"""

import struct
from typing import List, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.bundle.manifest import CodecSpec
from splitwatt.engines.codecs.base import Codec, EngineOf, Tensors, crc, latent_of
from splitwatt.engines.rangecoder.coder import not_codable
from splitwatt.engines.rangecoder.container import read_varint, varint

MAGIC = 0xD1
_SCALE = struct.Struct("<fB")
_CRC_BYTES = 4
_AGAIN = "send it again"


class QuantizedCodec(Codec):
    """`latent`, float32 (1, C, H, W), in steps of a 255th of its range."""

    def __init__(self, spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> None:
        pass

    def encode(self, tensors: Tensors) -> bytes:
        """See `Codec.encode`."""
        latent = latent_of(tensors)
        if not np.isfinite(latent).all():
            raise not_codable(latent)
        values, scale, zero = quantize(latent)
        head = bytes([MAGIC]) + varint(latent.shape[2]) + varint(latent.shape[3])
        head += _SCALE.pack(scale, zero)
        body = values.tobytes()
        return head + crc(head, body) + body

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """See `Codec.decode`."""
        if len(payload) < 1 or payload[0] != MAGIC:
            raise BitstreamError(
                "the bytes are not a quantised latent", "check that both ends run the same model"
            )
        height, at = read_varint(payload, 1)
        width, at = read_varint(payload, at)
        start = at + _SCALE.size
        head, body = payload[:start], payload[start + _CRC_BYTES :]
        if len(payload) <= start + _CRC_BYTES:
            raise BitstreamError("the quantised latent is truncated", _AGAIN)
        if payload[start : start + _CRC_BYTES] != crc(head, body):
            raise BitstreamError("the quantised latent is damaged: its CRC does not match", _AGAIN)
        # Padding before a small kernel makes a latent a few pixels larger than input size / stride.
        if not (0 < height <= input_size[0] and 0 < width <= input_size[1]):
            raise BitstreamError(
                "a latent of %d x %d does not come from an input of %d x %d"
                % (height, width, input_size[0], input_size[1])
            )
        if len(body) % (height * width):
            raise BitstreamError("the quantised latent has no whole channels", _AGAIN)
        scale, zero = _SCALE.unpack_from(payload, at)
        values = np.frombuffer(body, np.uint8).reshape(1, -1, height, width)
        with np.errstate(over="ignore", invalid="ignore"):
            latent = dequantize(values, scale, zero)
        if not np.isfinite(latent).all():
            raise BitstreamError(
                "the quantised latent's scale %g gives values that are not finite" % scale, _AGAIN
            )
        return {"latent": latent}

    def bits(self, payload: bytes, input_size: Tuple[int, int]) -> List[np.ndarray]:
        """See `Codec.bits`: the same number everywhere."""
        latent = self.decode(payload, input_size)["latent"]
        return [np.full(latent.shape[2:], 8.0 * latent.shape[1], np.float32)]

    def _step(self, latent: np.ndarray) -> float:
        return float(latent.max() - latent.min()) / 255 or 1.0


def quantize(latent: np.ndarray) -> Tuple[np.ndarray, float, int]:
    """uint8 values, scale and zero point of a finite float32 array, in float32 arithmetic.

    A latent whose values are all equal, whose scale would be 0, is stored as one step from zero.
    """
    low, high = np.float32(latent.min()), np.float32(latent.max())
    scale = (high - low) / np.float32(255.0)
    if not np.isfinite(scale):
        raise not_codable(np.array([np.inf]))
    if scale == 0:
        scale, low = np.float32(abs(low)) or np.float32(1.0), np.minimum(low, np.float32(0))
    zero = int(min(max(float(np.float32(0.0) - low / scale), 0.0), 255.0))
    values = np.rint(np.clip(np.float32(zero) + latent / scale, 0.0, 255.0))
    return values.astype(np.uint8), float(scale), zero


def dequantize(values: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """float32 values on the scale."""
    return np.asarray(np.float32(scale) * (values.astype(np.float32) - np.float32(zero)))
