"""An input codec before an unmodified model: image -> bytes -> image in 0 to 1 -> the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from splitwatt.engines.backends.base import Engine
from splitwatt.engines.bundle.manifest import CodecSpec, Preprocess
from splitwatt.engines.codecs import open_codec
from splitwatt.export import ports
from splitwatt.export.graphs.input_compression import Normalised
from splitwatt.export.spec import Coding, LoadedFile, Network, Part, Photo, System
from splitwatt.export.tracing.photos import photos as views
from splitwatt.export.weights.random_weights import seeded

LOSSLESS = "lossless"


class Compressor(ABC):
    """An input codec on the PyTorch side.

    Attributes:
        modules: its modules on the board.
    """

    modules: Sequence[nn.Module] = ()

    @abstractmethod
    def coding(self) -> Coding:
        """The codec that the bundle states."""

    @abstractmethod
    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The values that the codec decodes from the sent ones of `outputs`."""

    def parts(self) -> list[Part]:
        """Its graphs; a file format has none."""
        return []

    @abstractmethod
    def load(self, states: Mapping[str, LoadedFile]) -> None:
        """Load the checkpoint `codec`; a file format has none."""

    @abstractmethod
    def fit_random(self) -> None:
        """Random weights that spread photographs over some bits, the same before every model."""


class FileCompressor(Compressor):
    """A format of image files; both ends code with `splitwatt.engines.codecs`."""

    def __init__(self, kind: str, rate: str | None) -> None:
        quality = None if rate in (None, LOSSLESS) else int(rate)  # type: ignore[arg-type]
        self._coding = Coding(kind, quality=quality)
        self._codec = open_codec(CodecSpec(kind, [], quality), [], _no_engine)

    def coding(self) -> Coding:
        """See `Compressor.coding`."""
        return self._coding

    def load(self, states: Mapping[str, LoadedFile]) -> None:
        """Nothing to load."""

    def fit_random(self) -> None:
        """Nothing to fit."""

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """At the start, the image as it is decoded from the file."""
        if "valid_size" not in outputs:
            return {}
        board = {name: outputs[name].numpy() for name in ("image", "valid_size")}
        height, width = outputs["image"].shape[2:]
        made = self._codec.decode(self._codec.encode(board), (height, width))
        return {name: torch.from_numpy(array) for name, array in made.items()}


class InputCompression(Network):
    """A compressor's parts, then `model`: the whole model on the server.

    The model has the same random weights as without a codec.

    Args:
        compressor: the codec.
        inner: the row of the model.
        preprocess: of the board: the model's, not normalised.
    """

    def __init__(self, compressor: Compressor, inner: System, preprocess: Preprocess) -> None:
        self.compressor, self.system = compressor, inner
        with seeded(inner.name):
            self.inner = inner.build(None)
        self.fixed_size = self.inner.fixed_size
        self._padded = preprocess.pad_multiple != inner.preprocess.pad_multiple

    @property
    def encoder_modules(self) -> Sequence[nn.Module]:  # type: ignore[override]
        """The modules of a neural codec on the board."""
        return self.compressor.modules

    def coding(self) -> Coding:
        """The compressor's."""
        return self.compressor.coding()

    def coded(self, outputs: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The values that the compressor decodes."""
        return self.compressor.coded(outputs, tensors)

    def load(self, states: Mapping[str, LoadedFile]) -> list[str]:
        """Load the checkpoints `codec`, if the codec is neural, and `model`."""
        self.compressor.load(states)
        return self.inner.load({"model": states["model"]})

    def fit_random(self, photos: Sequence[Photo], key: str) -> None:
        """The model's own random weights, and the codec's."""
        self.compressor.fit_random()
        with seeded(self.system.name):
            self.inner.fit_random(views(self.system.preprocess), self.system.name)

    def parts(self) -> list[Part]:
        """The compressor's, and `model` on the server."""
        (part,) = self.inner.parts()
        takes_size = ports.VALID_SIZE in part.inputs
        whole = Normalised(part.module, self.system.preprocess, self._padded, takes_size).eval()
        inner = part.reference

        def reference(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            ready = whole.prepare(tensors["image"], tensors["valid_size"])
            size = torch.tensor(ready.shape[2:])
            return inner({**tensors, "image": ready, "input_size": size})

        image = part.inputs[0]
        if self._padded:
            image = ports.image()
        sizes = (ports.VALID_SIZE,) if whole.needs_size else ()
        model = Part(
            part.name,
            "server",
            whole,
            (image, *sizes),
            part.outputs,
            reference,
            part.counted,
            part.checks,
            part.compare,
        )
        return [*self.compressor.parts(), model]


def _no_engine(name: str) -> Engine:
    raise KeyError(name)
