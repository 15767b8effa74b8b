"""The network of a name CODEC@RATE+MODEL."""

from __future__ import annotations

from splitwatt.engines.bundle.manifest import CODECS, Preprocess
from splitwatt.export.networks.image_codecs.autoregressive import AutoregressiveCompressor
from splitwatt.export.networks.image_codecs.input_compression import (
    FileCompressor,
    InputCompression,
)
from splitwatt.export.networks.image_codecs.neural_codecs import (
    FactorizedCompressor,
    HyperpriorCompressor,
    NeuralCompressor,
)
from splitwatt.export.spec import Network, System


def network(codec: str, rate: str | None, inner: System, preprocess: Preprocess) -> Network:
    """An input codec before the whole model `inner`; `preprocess` is the board's."""
    if codec in CODECS:
        return InputCompression(FileCompressor(codec, rate), inner, preprocess)
    return InputCompression(neural(codec, str(rate)), inner, preprocess)


def neural(name: str, rate: str) -> NeuralCompressor:
    """A codec by the zoo's name (`mbt2018_mean`) and CompressAI's quality."""
    if name == "bmshj2018_factorized":
        return FactorizedCompressor(name, rate)
    if name in ("bmshj2018_hyperprior", "mbt2018_mean"):
        return HyperpriorCompressor(name, rate)
    return AutoregressiveCompressor(name, rate)
