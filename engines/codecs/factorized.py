"""The range coder with a factorized prior: one table per channel of the latent."""

from typing import List, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError
from splitwatt.engines.bundle.manifest import CodecSpec
from splitwatt.engines.codecs.base import Codec, EngineOf, Tensors, latent_of, load_tables
from splitwatt.engines.rangecoder import RangeCoder
from splitwatt.engines.rangecoder.bits_per_symbol import symbol_bits
from splitwatt.engines.rangecoder.container import parse
from splitwatt.engines.rangecoder.graph import LENGTH, WORDS, strings_of


class FactorizedCodec(Codec):
    """Codes `latent`, float32 (1, C, H, W), rounded; decoding returns the rounded latent.

    An engine with the coder in its graph returns the string itself, as `words` and `length`.
    """

    def __init__(self, spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> None:
        self._coder = RangeCoder(load_tables(spec, tables)[0])

    def encode(self, tensors: Tensors) -> bytes:
        """See `Codec.encode`."""
        if WORDS in tensors:
            return self._made_in_graph(tensors)
        return self._coder.encode(latent_of(tensors))[0]

    def _made_in_graph(self, tensors: Tensors) -> bytes:
        string = strings_of(tensors[WORDS], tensors[LENGTH])[0]
        tables_id = parse(string).tables_id
        if tables_id != self._coder.tables.id:
            raise BitstreamError(
                "the engine codes with the tables %s, and the bundle holds %s"
                % (tables_id, self._coder.tables.id),
                "build the engines again with splitwatt build",
            )
        return string

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """See `Codec.decode`."""
        return {"latent": self._coder.decode([payload], latent_size(payload, input_size))}

    def bits(self, payload: bytes, input_size: Tuple[int, int]) -> List[np.ndarray]:
        """See `Codec.bits`."""
        tables = self._coder.tables
        latent = self.decode(payload, input_size)["latent"][0]
        symbols = np.rint(latent - tables.medians.reshape(-1, 1, 1)).astype(np.int64)
        return [symbol_bits(tables, symbols).sum(0)]


def latent_size(payload: bytes, input_size: Tuple[int, int]) -> Tuple[int, int]:
    """Height and width of a bitstream's latent; BitstreamError if it is larger than the input."""
    header = parse(payload)
    size = (header.height, header.width)
    if min(size) < 1 or size[0] > input_size[0] or size[1] > input_size[1]:
        raise BitstreamError(
            "the bitstream's latent of %d x %d does not come from an input of %d x %d"
            % (size + tuple(input_size))
        )
    return size
