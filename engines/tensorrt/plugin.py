"""The library of TensorRT plugins (the range coder's operators): where it is, loading it, its version.

The library registers its operators when it is loaded, from TensorRT 10 on when the registry loads it.
What was built for another TensorRT does not load, or registers nothing: both are one sentence here.
"""

import ctypes
import os
from typing import Any, Iterable, List, Optional, Tuple

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.rangecoder.words import DECODER_NODE, ENCODER_NODE
from splitwatt.engines.tensorrt.versions import TYPED, generation, runtime_of

_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "rangecoder")
LIBRARY = "_rangecoder_trt.so"
# The operators that the library brings, as the graphs name them.
OPERATORS = (ENCODER_NODE, DECODER_NODE)
_BUILD = "build it on this machine: splitwatt build BUNDLE"


def library_path() -> str:
    """Where the plugin library lies when it is built."""
    return os.path.join(_FOLDER, LIBRARY)


def operators_in(onnx_bytes: bytes) -> Tuple[str, ...]:
    """The operators of ours that a serialised ONNX graph uses.

    Operator types are stored as plain text, so this needs no ONNX package. A weight that happened
    to hold such a text would only make the library be loaded needlessly.
    """
    return tuple(name for name in OPERATORS if name.encode("ascii") in onnx_bytes)


def load_plugin(trt: Any, logger: Any, path: Optional[str] = None) -> str:
    """Load the library and check that its operators are registered.

    Args:
        trt: the module `tensorrt`.
        logger: a TensorRT logger.
        path: of the library; the place where `splitwatt build` puts it when omitted.

    Returns:
        The version of the operators ("1"), which an engine's record keeps.

    Raises:
        EngineError: missing, of another TensorRT or machine, or without the operators.
    """
    path = library_path() if path is None else path
    if not os.path.isfile(path):
        raise EngineError("the plugin library %s is missing" % path, _BUILD)
    try:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise EngineError(
            "the plugin library does not load with TensorRT %s: %s" % (trt.__version__, error),
            _BUILD,
        )
    trt.init_libnvinfer_plugins(logger, "")
    registry = trt.get_plugin_registry()
    if generation(trt.__version__, runtime_of(trt)) == TYPED and not _ours(registry):
        # From 10 on loading registers nothing: the registry asks the library for its creators.
        registry.load_library(path)
    return registered_version(_creators(registry), path)


def _creators(registry: Any) -> List[Tuple[str, str]]:
    # TensorRT 10 lists there what its newer kind of plugin registers, besides the older ones.
    new = hasattr(registry, "all_creators")
    creators = registry.all_creators if new else registry.plugin_creator_list
    return [(each.name, each.plugin_version) for each in creators]


def _ours(registry: Any) -> bool:
    return any(name in OPERATORS for name, _ in _creators(registry))


def registered_version(creators: Iterable[Tuple[str, str]], path: str) -> str:
    """The one version of our operators among all that are registered, as (name, version).

    Raises:
        EngineError: an operator is missing, or they have different versions.
    """
    ours: List[Tuple[str, str]] = [pair for pair in creators if pair[0] in OPERATORS]
    for name in OPERATORS:
        if name not in [pair[0] for pair in ours]:
            raise EngineError(
                "the plugin library %s does not bring the operator %s" % (path, name), _BUILD
            )
    versions = sorted({version for _, version in ours})
    if len(versions) > 1:
        raise EngineError(
            "two versions of the plugin library are loaded: %s" % ", ".join(versions),
            "start a new process",
        )
    return versions[0]


def check_version(needed: Optional[str], loaded: Optional[str], engine: str) -> None:
    """Whether the loaded library is the one that an engine was built with.

    Raises:
        EngineError: it is another.
    """
    if needed is not None and needed != loaded:
        raise EngineError(
            "%s was built with version %s of the plugin library, but %s is here"
            % (engine, needed, "none" if loaded is None else "version " + loaded),
            "run splitwatt build again",
        )
