"""Codecs, one file per kind: what lies between board and server becomes bytes and back."""

import importlib
from typing import List

from splitwatt.engines.bundle.codec import CodecSpec
from splitwatt.engines.codecs.base import Codec, EngineOf

# kind -> (module, class)
_KINDS = {
    "rangecoder": ("factorized", "FactorizedCodec"),
    "hyperprior": ("hyperprior", "HyperpriorCodec"),
    "autoregressive": ("autoregressive", "AutoregressiveCodec"),
    "quantized": ("quantized", "QuantizedCodec"),
    "feature_jpeg": ("feature_images", "FeatureImageCodec"),
    "feature_webp": ("feature_images", "FeatureImageCodec"),
    "png": ("images", "PngCodec"),
    "jpeg": ("images", "JpegCodec"),
    "webp": ("images", "WebpCodec"),
    "heic": ("images", "HeicCodec"),
    "bpg": ("bpg", "BpgCodec"),
}


def open_codec(spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> Codec:
    """The codec that a manifest names.

    Args:
        spec: the manifest's `codec`.
        tables: paths of its tables' files, in the manifest's order.
        engine_of: gives the engine of the part that the codec runs on both ends, by its name.

    Raises:
        BundleError: the tables are not what the manifest says.
    """
    module, name = _KINDS[spec.kind]
    kind = getattr(importlib.import_module(__name__ + "." + module), name)
    return kind(spec, tables, engine_of)  # type: ignore[no-any-return]
