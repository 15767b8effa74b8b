"""Codecs, one file per kind: they turn the tensors between board and server into bytes and back."""

import importlib
from typing import List

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import CodecSpec
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


def codec_of(bundle: Bundle, engine_of: EngineOf) -> Codec:
    """The codec of a split model's bundle, its tables loaded; errors as in `open_codec`."""
    spec = bundle.manifest.codec
    if spec is None:
        raise BundleError("%s is a local model: it has no codec" % bundle.manifest.model)
    return open_codec(spec, bundle.tables_paths(), engine_of)


def open_codec(spec: CodecSpec, tables: List[str], engine_of: EngineOf) -> Codec:
    """The codec that a manifest names; BundleError if the tables are not those of the manifest.

    Args:
        tables: the paths of its tables, in the manifest's order.
        engine_of: returns the engine of the part that the codec runs on both ends, by its name.
    """
    module, name = _KINDS[spec.kind]
    kind = getattr(importlib.import_module(__name__ + "." + module), name)
    return kind(spec, tables, engine_of)  # type: ignore[no-any-return]
