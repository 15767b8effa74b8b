"""The interface of every codec, and the checks that codecs share."""

import functools
import zlib
from typing import Callable, Dict, List, Tuple

import numpy as np

from splitwatt.device_configs.errors import BitstreamError, BundleError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.bundle.manifest import CodecSpec
from splitwatt.engines.rangecoder import Tables

# The share of a latent's values that may differ by one step, because two machines' engines round
# differently.
ROUNDING_SHARE = 1e-3

Tensors = Dict[str, np.ndarray]
EngineOf = Callable[[str], Engine]


class Codec:
    """Encodes and decodes the tensors of one image.

    Attributes:
        takes: names of the board's tensors that `encode` needs.
        gives: names of the tensors that `decode` returns for the server.
        drifts: whether it decodes with a library whose versions give different pixels.
    """

    takes: Tuple[str, ...] = ("latent",)
    gives: Tuple[str, ...] = ("latent",)
    drifts = False

    def encode(self, tensors: Tensors) -> bytes:
        """The tensors `takes` as bytes; BitstreamError for a latent with NaN, for example."""
        raise NotImplementedError

    def decode(self, payload: bytes, input_size: Tuple[int, int]) -> Tensors:
        """The tensors `gives`, from bytes that may come from anywhere.

        Args:
            payload: what `encode` returned, as bytes or a memoryview, so that nothing is copied
                before its header and checksum are checked.
            input_size: height and width of the board's input; no latent is larger.

        Raises:
            BitstreamError: the bytes are invalid, or do not fit an input of that size.
        """
        raise NotImplementedError

    def alike(self, decoded: Tensors, due: Tensors) -> Tuple[bool, str]:
        """Whether two machines' decoded tensors are equal except for the rounding of a few values,
        and the difference in words.
        """
        a, b = decoded["latent"], due["latent"]
        if a.shape != b.shape:
            return False, "latents of another shape"
        steps = np.rint(np.abs(a - b) / self._step(b))
        differing = int(np.count_nonzero(steps))
        passed = bool(steps.max() < 1.5) and differing <= ROUNDING_SHARE * steps.size
        detail = "rounding differs in %d of %d values of the latent, by at most %.0f"
        return passed, detail % (differing, steps.size, steps.max())

    def _step(self, latent: np.ndarray) -> float:
        """The difference of two neighbouring values that a latent may have."""
        return 1.0

    def bits(self, payload: bytes, input_size: Tuple[int, int]) -> List[np.ndarray]:
        """The bits of a payload by position, all channels together; no map if they are unknown.

        Returns:
            A map per stream, float32 (h, w). The positions cover the input evenly.
        """
        return []


def crc(*pieces: bytes) -> bytes:
    """The CRC-32 of all pieces together, 4 bytes, little endian."""
    value = functools.reduce(lambda value, piece: zlib.crc32(piece, value), pieces, 0)
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def latent_of(tensors: Tensors, name: str = "latent") -> np.ndarray:
    """The tensor `name`, float32 (1, C, H, W); BitstreamError where it is another array."""
    latent = tensors[name]
    if latent.dtype != np.float32 or latent.ndim != 4 or latent.shape[0] != 1 or not latent.size:
        raise BitstreamError(
            "a %s must be float32 (1, C, H, W), not %s %s" % (name, latent.dtype, latent.shape),
            "correct the encoder's graph and export it again",
        )
    return latent


def check_graph(engine: Engine, inputs: Dict[str, int], outputs: Dict[str, int]) -> None:
    """Raise BundleError unless a codec's own graph has these tensors: name -> number of dimensions.

    The graph may have other outputs, and no other inputs.
    """
    ports = dict(engine.outputs, **engine.inputs)
    wrong = [
        "'%s' with %d dimensions" % (name, rank)
        for name, rank in dict(outputs, **inputs).items()
        if name not in ports or len(ports[name].shape) != rank
    ]
    if wrong or set(engine.inputs) != set(inputs) or not set(outputs) <= set(engine.outputs):
        raise BundleError(
            "the graph %s must make %s from %s%s"
            % (
                engine.name,
                " and ".join(sorted(outputs)),
                " and ".join(sorted(inputs)),
                ", having " + " and ".join(wrong) if wrong else "",
            ),
            "export the bundle again",
        )


def load_tables(spec: CodecSpec, paths: List[str]) -> List[Tables]:
    """The tables of a codec; BundleError for a file without the manifest's tables."""
    every = []
    for path, entry in zip(paths, spec.tables):
        tables = Tables.load(path, entry.unpacked_bytes)
        if tables.id != entry.id:
            raise BundleError(
                "%s holds the tables %s, and the manifest names %s" % (path, tables.id, entry.id),
                "export the bundle again",
            )
        every.append(tables)
    return every
