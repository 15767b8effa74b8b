"""The joint autoregressive prior: each position of the latent is predicted from those before it.

Both ends go through the positions in raster order. For each they compute the tables' indexes and the
means of its channels, from the side latent and from the known positions in the 5x5 window around it.
This is sequential, as the papers also measured: it runs thousands of small graphs per image.

The payload has the frame of a hyperprior's (docs/bitstream.md); its second bitstream is CompressAI's
string of all symbols, position by position. The indexes depend on all earlier symbols, so their
CRC-32 checks the whole latent.
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
    latent_of,
    load_tables,
)
from splitwatt.engines.codecs.factorized import latent_size
from splitwatt.engines.codecs.hyperprior import crc_of, frame, unframe
from splitwatt.engines.rangecoder import RangeCoder
from splitwatt.engines.rangecoder.coder import not_codable, quantize
from splitwatt.engines.rangecoder.compressai_decoder import StringDecoder

# Parts on both ends: `side` -> `hyper` (1, P, H, W); `window` (1, C, 5, 5) and `place` (1, P, 1, 1)
# -> `indexes` and `means` (1, C, 1, 1).
HYPER, CONTEXT = "hyper", "context"
KERNEL = 5
# A latent's side is at most this part of the input's.
_DOWN = 8


class AutoregressiveCodec(Codec):
    """Codes `latent` (1, C, H, W) and `side` (1, S, h, w), float32; decodes the rounded latent."""

    takes = ("latent", "side")
    gives = ("latent",)

    def __init__(self, spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> None:
        side, latent = load_tables(spec, tables)
        self._side, self._latent = RangeCoder(side), RangeCoder(latent, "compressai")
        self._hyper: Engine = engine_of(HYPER)
        self._context: Engine = engine_of(CONTEXT)
        check_graph(self._hyper, {"side": 4}, {"hyper": 4})
        check_graph(self._context, {"window": 4, "place": 4}, {"indexes": 4, "means": 4})

    def encode(self, tensors: Tensors) -> bytes:
        """See `Codec.encode`."""
        side, latent = latent_of(tensors, "side"), latent_of(tensors)
        medians = self._side.tables.medians.reshape(1, -1, 1, 1)
        symbols = quantize(side, medians)
        if not np.isfinite(latent).all():
            raise not_codable(latent)
        hyper = self._hyper.run({"side": symbols.astype(np.float32) + medians})["hyper"]
        if hyper.shape[2:] != latent.shape[2:]:
            raise BitstreamError(
                "a side latent of %s does not match a latent of %s"
                % (side.shape[1:], latent.shape[1:])
            )
        walk = _Walk(self._context, hyper, latent.shape[1], self._latent.tables.count)
        values = [
            walk.put(y, x, np.rint(latent[0, :, y, x] - walk.means(y, x)).astype(np.int32))
            for y, x in walk.places()
        ]
        flat = np.concatenate(values).reshape(1, -1, 1, 1)
        indexes = walk.indexes()
        string = self._latent.encode_symbols(flat, indexes.reshape(1, -1, 1, 1))[0]
        return frame(crc_of(indexes), self._side.encode_symbols(symbols)[0], string)

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """See `Codec.decode`; DesyncError if the two ends' indexes differ."""
        crc, side_stream, string = unframe(payload)
        side = self._side.decode([side_stream], latent_size(side_stream, input_size))
        hyper = self._hyper.run({"side": side})["hyper"]
        if hyper.shape[2] * _DOWN > input_size[0] or hyper.shape[3] * _DOWN > input_size[1]:
            raise BitstreamError(
                "the payload's latent of %d x %d does not come from an input of %d x %d"
                % (tuple(hyper.shape[2:]) + tuple(input_size))
            )
        channels = int(self._context.inputs["window"].shape[1] or 0)
        walk = _Walk(self._context, hyper, channels, self._latent.tables.count)
        stream = StringDecoder(string, self._latent.tables)
        for y, x in walk.places():
            walk.means(y, x)
            walk.put(y, x, stream.read(walk.last_indexes()))
        stream.finish()
        if crc_of(walk.indexes()) != crc:
            raise DesyncError(
                "the board and the server computed different table indexes from the same latent: "
                "their floating point differs, or the payload is damaged",
                "install the same onnxruntime on both ends: it runs the parts '%s' and '%s'"
                % (HYPER, CONTEXT),
            )
        return {"latent": walk.latent()}


class _Walk:
    """The positions of a latent in raster order, and the values that are known so far."""

    def __init__(self, context: Engine, hyper: np.ndarray, channels: int, tables: int) -> None:
        self._context, self._hyper, self._tables = context, hyper, tables
        self._size = (int(hyper.shape[2]), int(hyper.shape[3]))
        edge = KERNEL // 2
        self._known = np.zeros(
            (1, channels, self._size[0] + 2 * edge, self._size[1] + 2 * edge), np.float32
        )
        self._edge = edge
        self._indexes: List[np.ndarray] = []
        self._means = np.zeros(channels, np.float32)

    def places(self) -> List[Tuple[int, int]]:
        return [(y, x) for y in range(self._size[0]) for x in range(self._size[1])]

    def means(self, y: int, x: int) -> np.ndarray:
        """The means of a position's channels; keeps its indexes."""
        made = self._context.run(
            {
                "window": np.ascontiguousarray(self._known[:, :, y : y + KERNEL, x : x + KERNEL]),
                "place": np.ascontiguousarray(self._hyper[:, :, y : y + 1, x : x + 1]),
            }
        )
        if not made["indexes"].size == made["means"].size == self._known.shape[1]:
            raise EngineError("the part '%s' must give one index and mean per channel" % CONTEXT)
        self._indexes.append(np.clip(made["indexes"].ravel(), 0, self._tables - 1))
        self._means = made["means"].ravel()
        return self._means

    def put(self, y: int, x: int, symbols: np.ndarray) -> np.ndarray:
        """Enter the symbols of the position of the last `means` call; returns them."""
        values = symbols.astype(np.float32) + self._means
        self._known[0, :, y + self._edge, x + self._edge] = values
        return symbols

    def last_indexes(self) -> np.ndarray:
        return self._indexes[-1]

    def indexes(self) -> np.ndarray:
        """The indexes of all positions, in their order."""
        every: np.ndarray = np.concatenate(self._indexes).astype(np.int32)
        return every

    def latent(self) -> np.ndarray:
        """The entered values, float32 (1, C, H, W)."""
        edge = self._edge
        return np.ascontiguousarray(self._known[:, :, edge:-edge, edge:-edge])
