"""The joint autoregressive prior: each position of the latent is predicted from those before it.

Both ends go through the positions in raster order. For each they compute the tables' indexes and the
means of its channels, from the side latent and from the known positions in the 5x5 window around it.
This is sequential, as the papers also measured: it runs thousands of small graphs per image.

The payload has the frame of a hyperprior's (docs/bitstream.md); its second bitstream is CompressAI's
string of all symbols, position by position. The indexes depend on all earlier symbols, so their
CRC-32 checks the whole latent.
"""

import itertools
from typing import Callable, List, Tuple

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
from splitwatt.engines.codecs.hyperprior import crc_of, frame, side_symbols, unframe
from splitwatt.engines.rangecoder import RangeCoder
from splitwatt.engines.rangecoder.coder import quantize
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
        symbols, values = side_symbols(self._side, side)
        hyper = self._hyper.run({"side": values})["hyper"]
        if hyper.shape[2:] != latent.shape[2:]:
            raise BitstreamError(
                "a side latent of %s does not match a latent of %s"
                % (side.shape[1:], latent.shape[1:])
            )
        coded: List[np.ndarray] = []

        def rounded(y: int, x: int, indexes: np.ndarray, means: np.ndarray) -> np.ndarray:
            coded.append(quantize(latent[0, :, y, x], means))
            return coded[-1]

        _, indexes = self._walk(hyper, latent.shape[1], rounded)
        flat = np.concatenate(coded).reshape(1, -1, 1, 1)
        string = self._latent.encode_symbols(flat, indexes.reshape(1, -1, 1, 1))[0]
        return frame(crc_of(indexes), self._side.encode_symbols(symbols)[0], string)

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """See `Codec.decode`; DesyncError if the two ends' indexes differ."""
        check, side_stream, string = unframe(payload)
        side = self._side.decode([side_stream], latent_size(side_stream, input_size))
        hyper = self._hyper.run({"side": side})["hyper"]
        if hyper.shape[2] * _DOWN > input_size[0] or hyper.shape[3] * _DOWN > input_size[1]:
            raise BitstreamError(
                "the payload's latent of %d x %d does not come from an input of %d x %d"
                % (tuple(hyper.shape[2:]) + tuple(input_size))
            )
        channels = int(self._context.inputs["window"].shape[1] or 0)
        stream = StringDecoder(string, self._latent.tables)
        latent, indexes = self._walk(hyper, channels, lambda y, x, at, means: stream.read(at))
        stream.finish()
        if crc_of(indexes) != check:
            raise DesyncError(
                "the board and the server computed different table indexes from the same latent: "
                "their floating point differs, or the payload is damaged",
                "install the same onnxruntime on both ends: it runs the parts '%s' and '%s'"
                % (HYPER, CONTEXT),
            )
        return {"latent": latent}

    def _walk(
        self, hyper: np.ndarray, channels: int, code: Callable[..., np.ndarray]
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Go through the positions in raster order.

        Args:
            code: returns the symbols of a position, given y, x, its tables' indexes and its means.

        Returns:
            The latent, float32 (1, C, H, W), and the indexes of all positions in their order, int32.
        """
        height, width = hyper.shape[2:]
        edge = KERNEL // 2
        known = np.zeros((1, channels, height + 2 * edge, width + 2 * edge), np.float32)
        every: List[np.ndarray] = []
        for y, x in itertools.product(range(height), range(width)):
            made = self._context.run(
                {
                    "window": np.ascontiguousarray(known[:, :, y : y + KERNEL, x : x + KERNEL]),
                    "place": np.ascontiguousarray(hyper[:, :, y : y + 1, x : x + 1]),
                }
            )
            indexes, means = made["indexes"].ravel(), made["means"].ravel()
            if not indexes.size == means.size == channels or not np.isfinite(means).all():
                raise EngineError(
                    "the part '%s' must give one index and one finite mean per channel" % CONTEXT
                )
            every.append(np.clip(indexes, 0, self._latent.tables.count - 1))
            symbols = code(y, x, every[-1], means)
            known[0, :, y + edge, x + edge] = symbols.astype(np.float32) + means
        latent = np.ascontiguousarray(known[:, :, edge:-edge, edge:-edge])
        return latent, np.concatenate(every).astype(np.int32)
