"""What every codec does."""

from typing import Callable, Dict, List, Tuple

import numpy as np

from device_configs.errors import BundleError
from engines.backends.base import Engine
from engines.manifest import CodecSpec
from engines.rangecoder import Tables

Tensors = Dict[str, np.ndarray]
EngineOf = Callable[[str], Engine]


class Codec:
    """Both directions, for one image.

    Attributes:
        takes: names of the board's tensors that `encode` needs.
        gives: names of the tensors that `decode` makes for the server.
    """

    takes: Tuple[str, ...] = ("latent",)
    gives: Tuple[str, ...] = ("latent",)

    def encode(self, tensors: Tensors) -> bytes:
        """The bytes of the tensors that it takes.

        Raises:
            BitstreamError: they cannot be coded, as a latent with NaN cannot.
        """
        raise NotImplementedError

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """The tensors that it gives, from bytes that may come from anywhere.

        Args:
            payload: what `encode` made.
            input_size: height and width of the board's input; no latent is larger.

        Raises:
            BitstreamError: unsound bytes, or what no such input gives.
        """
        raise NotImplementedError


def load_tables(spec: CodecSpec, paths: List[str]) -> List[Tables]:
    """The tables of a codec, each being what the manifest says.

    Raises:
        BundleError: another number of them, no tables, or others than the manifest names.
    """
    found = [Tables.load(path) for path in paths]
    for tables, path, entry in zip(found, paths, spec.tables):
        if tables.id != entry.id:
            raise BundleError(
                "%s holds the tables %s, and the manifest names %s" % (path, tables.id, entry.id),
                "export the bundle again",
            )
    return found
