"""The codec of a bundle: a latent becomes bytes and back, as the manifest's `codec` says."""

from typing import Callable, Dict, Tuple

import numpy as np

from device_configs.errors import BitstreamError, BundleError
from engines.manifest import CodecSpec
from engines.rangecoder import RangeCoder, Tables
from engines.rangecoder.container import parse


class Codec:
    """Both directions, for one image."""

    def encode(self, latent: np.ndarray) -> bytes:
        """The bytes of a float32 latent (1, C, H, W), which is rounded on the way.

        Raises:
            BitstreamError: the latent is not finite, or not such an array.
        """
        raise NotImplementedError

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> np.ndarray:
        """The rounded latent, float32 (1, C, H, W), from bytes that may come from anywhere.

        Args:
            payload: what `encode` made.
            input_size: height and width of the encoder's input; no latent is larger.

        Raises:
            BitstreamError: unsound bytes, or a latent that no such input gives.
        """
        raise NotImplementedError


def open_codec(spec: CodecSpec, tables_path: str) -> Codec:
    """The codec that a manifest names, with its tables.

    Raises:
        BundleError: the tables are not what the manifest says.
    """
    return _KINDS[spec.kind](spec, tables_path)


class RangeCodec(Codec):
    """The range coder under a factorized prior: one table a channel."""

    def __init__(self, spec: CodecSpec, tables_path: str) -> None:
        tables = Tables.load(tables_path)
        if tables.id != spec.tables_id:
            raise BundleError(
                "%s holds the tables %s, and the manifest names %s"
                % (tables_path, tables.id, spec.tables_id),
                "export the bundle again",
            )
        self._coder = RangeCoder(tables)

    def encode(self, latent: np.ndarray) -> bytes:
        """See `Codec.encode`."""
        if latent.ndim != 4 or latent.shape[0] != 1:
            raise BitstreamError("a latent must be (1, C, H, W), not %s" % (latent.shape,))
        return self._coder.encode(latent)[0]

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> np.ndarray:
        """See `Codec.decode`."""
        header = parse(payload)
        shape = (header.height, header.width)
        if min(shape) < 1 or shape[0] > input_size[0] or shape[1] > input_size[1]:
            raise BitstreamError(
                "the bitstream's latent of %d x %d does not come from an input of %d x %d"
                % (shape + tuple(input_size))
            )
        return self._coder.decode([payload], shape)


_KINDS: Dict[str, Callable[[CodecSpec, str], Codec]] = {"rangecoder": RangeCodec}
