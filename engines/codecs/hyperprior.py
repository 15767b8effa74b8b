"""The range coder with a hyperprior: a small side latent selects the tables for the latent itself.

Both ends compute the tables' indexes from the decoded side latent with the same small graph, the
part `parameters`. If their floating point differed enough to change an index, the server would decode
a wrong latent. So the payload holds the CRC-32 of the board's indexes, and the server compares it.

docs/bitstream.md has the payload.
"""

from typing import List, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError, DesyncError, EngineError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.bundle.manifest import CodecSpec
from splitwatt.engines.codecs.base import (
    Codec,
    EngineOf,
    Tensors,
    check_graph,
    crc,
    latent_of,
    load_tables,
)
from splitwatt.engines.codecs.factorized import latent_size
from splitwatt.engines.rangecoder import RangeCoder
from splitwatt.engines.rangecoder.bits_per_symbol import symbol_bits
from splitwatt.engines.rangecoder.coder import quantize
from splitwatt.engines.rangecoder.container import parse, read_varint, varint

PART = "parameters"
MAGIC = 0xC1
_AGAIN = "send it again"


class HyperpriorCodec(Codec):
    """Codes `latent` (1, C, H, W) and `side` (1, S, h, w), float32; decodes the rounded latent.

    The part `parameters` computes from `side` the `indexes`, int32 (1, C, H, W), and for a mean-scale
    hyperprior the `means`, float32 of the same shape, which are subtracted before rounding.
    """

    takes = ("latent", "side")

    def __init__(self, spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> None:
        side, latent = load_tables(spec, tables)
        self._side, self._latent = RangeCoder(side), RangeCoder(latent)
        self._engine: Engine = engine_of(PART)
        check_graph(self._engine, {"side": 4}, {"indexes": 4})

    def encode(self, tensors: Tensors) -> bytes:
        """See `Codec.encode`."""
        side, latent = latent_of(tensors, "side"), latent_of(tensors)
        symbols, values = side_symbols(self._side, side)
        indexes, means = self._parameters(values)
        if indexes.shape != latent.shape:
            raise BitstreamError(
                "a side latent of %s describes a latent of %s, not of %s"
                % (side.shape[1:], indexes.shape[1:], latent.shape[1:]),
                "the input's sides must be multiples of what the encoder divides them by",
            )
        return frame(
            crc_of(indexes),
            self._side.encode_symbols(symbols)[0],
            self._latent.encode(latent - means, indexes)[0],
        )

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """See `Codec.decode`; DesyncError if the two ends' indexes differ."""
        stream, _, indexes, means = self._opened(payload, input_size)
        latent = self._latent.decode([stream], _size(indexes), indexes)
        return {"latent": latent + means}

    def bits(self, payload: bytes, input_size: Tuple[int, int]) -> List[np.ndarray]:
        """See `Codec.bits`: the latent's, then the side latent's."""
        stream, side, indexes, _ = self._opened(payload, input_size)
        symbols = self._latent.decode_symbols([stream], _size(indexes), indexes)
        medians = self._side.tables.medians.reshape(-1, 1, 1)
        side_symbols = np.rint(side[0] - medians).astype(np.int64)
        return [
            symbol_bits(self._latent.tables, symbols[0], indexes[0]).sum(0),
            symbol_bits(self._side.tables, side_symbols).sum(0),
        ]

    def _opened(
        self, payload: bytes, input_size: Tuple[int, int]
    ) -> Tuple[bytes, np.ndarray, np.ndarray, np.ndarray]:
        """The latent's bitstream, the side latent, and the indexes and means computed from it."""
        check, side_stream, stream = unframe(payload)
        header = parse(stream)
        size = latent_size(stream, input_size)
        side = self._side.decode([side_stream], latent_size(side_stream, size))
        indexes, means = self._parameters(side)
        if indexes.shape[2:] != size:
            raise BitstreamError(
                "the payload's side latent describes a latent of %dx%d, not of %dx%d"
                % (tuple(indexes.shape[2:]) + size),
                _AGAIN,
            )
        if header.tables_id == self._latent.tables.id and crc_of(indexes) != check:
            raise DesyncError(
                "the board and the server computed different table indexes from the same side "
                "latent: their floating point differs",
                "install the same onnxruntime on both ends: it runs the part '%s'" % PART,
            )
        return stream, side, indexes, means

    def _parameters(self, side: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The indexes, limited to the tables, and the means (zero if the part has no means)."""
        made = self._engine.run({"side": side})
        indexes = np.clip(made["indexes"], 0, self._latent.tables.count - 1)
        means = made.get("means", np.zeros((), np.float32))
        if "means" in made and (means.shape != indexes.shape or not np.isfinite(means).all()):
            raise EngineError("the part '%s' must give one finite mean per index" % PART)
        return indexes, means


def _size(maps: np.ndarray) -> Tuple[int, int]:
    return maps.shape[2], maps.shape[3]


def side_symbols(coder: RangeCoder, side: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The symbols of a side latent, and the values that the server gets of them."""
    medians = coder.tables.medians.reshape(1, -1, 1, 1)
    symbols = quantize(side, medians)
    return symbols, symbols.astype(np.float32) + medians


def crc_of(indexes: np.ndarray) -> bytes:
    """The CRC-32 of indexes, the same on every machine."""
    return crc(np.ascontiguousarray(indexes, "<i4").tobytes())


def frame(check: bytes, side: bytes, latent: bytes) -> bytes:
    """Both bitstreams and the indexes' CRC as one payload."""
    head = bytes([MAGIC]) + check + varint(len(side))
    return head + crc(head)[:2] + side + latent


def unframe(payload: bytes) -> Tuple[bytes, bytes, bytes]:
    """The indexes' CRC, the side latent's bitstream and the latent's; BitstreamError if damaged."""
    if len(payload) < 6 or payload[0] != MAGIC:
        raise BitstreamError(
            "the bytes are not a hyperprior's payload", "check that both ends run the same model"
        )
    length, at = read_varint(payload, 5)
    start = at + 2
    if payload[at:start] != crc(payload[:at])[:2]:
        raise BitstreamError("the payload is damaged: its check does not match", _AGAIN)
    if len(payload) < start + length:
        raise BitstreamError("the payload is truncated", _AGAIN)
    return payload[1:5], payload[start : start + length], payload[start + length :]
