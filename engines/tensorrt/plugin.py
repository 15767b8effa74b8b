"""Finds, loads and checks the library of TensorRT plugins: the range coder's operators.

The library registers its operators when it is loaded; from TensorRT 10 on, when the registry loads it.
A library built for another TensorRT does not load or registers nothing: both are errors here.
"""

import ctypes
import os
from typing import Any, Iterable, List, Optional, Tuple

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.rangecoder.graph import DECODER_NODE, ENCODER_NODE
from splitwatt.engines.tensorrt.versions import TYPED, generation, runtime_of

_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "rangecoder")
LIBRARY = "_rangecoder_trt.so"
# The operators that the library brings, as the graphs name them.
OPERATORS = (ENCODER_NODE, DECODER_NODE)
_AGAIN = "build it again on this machine: splitwatt build BUNDLE --cuda --again"


def library_path() -> str:
    """The path of the plugin library once it is built."""
    return os.path.join(_FOLDER, LIBRARY)


def operators_in(onnx_bytes: bytes) -> Tuple[str, ...]:
    """The operators of `OPERATORS` that a serialised ONNX graph uses.

    Operator types are stored as plain text, so this needs no ONNX package. If a weight contained such
    a text by chance, the library would be loaded without need.
    """
    return tuple(name for name in OPERATORS if name.encode("ascii") in onnx_bytes)


def load_plugin(trt: Any, logger: Any, path: Optional[str] = None) -> str:
    """Load the library, by default the one of `splitwatt build`, and check its operators.

    Returns:
        The version of the operators ("1"), which is kept in an engine's record.

    Raises:
        EngineError: missing, built for another TensorRT or machine, or without the operators.
    """
    path = library_path() if path is None else path
    if not os.path.isfile(path):
        raise EngineError(
            "the plugin library %s is missing" % path,
            "build it on this machine, with nvcc and TensorRT's headers (splitwatt doctor): "
            "splitwatt build BUNDLE --cuda",
        )
    try:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise EngineError(
            "the plugin library does not load with TensorRT %s: %s" % (trt.__version__, error),
            _AGAIN,
        )
    trt.init_libnvinfer_plugins(logger, "")
    registry = trt.get_plugin_registry()
    registered = any(name in OPERATORS for name, _ in _creators(registry))
    if generation(trt.__version__, runtime_of(trt)) == TYPED and not registered:
        # From 10 on, loading registers nothing: the registry requests the library's creators.
        registry.load_library(path)
    return registered_version(_creators(registry), path)


def _creators(registry: Any) -> List[Tuple[str, str]]:
    # In TensorRT 10 this list has the newer kind of plugins, besides the older ones.
    new = hasattr(registry, "all_creators")
    creators = registry.all_creators if new else registry.plugin_creator_list
    return [(each.name, each.plugin_version) for each in creators]


def registered_version(creators: Iterable[Tuple[str, str]], path: str) -> str:
    """The version of our operators among all registered ones, given as (name, version).

    EngineError if an operator is missing, or they have different versions.
    """
    ours: List[Tuple[str, str]] = [pair for pair in creators if pair[0] in OPERATORS]
    for name in OPERATORS:
        if name not in [pair[0] for pair in ours]:
            raise EngineError(
                "the plugin library %s does not have the operator %s" % (path, name), _AGAIN
            )
    versions = sorted({version for _, version in ours})
    if len(versions) > 1:
        raise EngineError(
            "two versions of the plugin library are loaded: %s" % ", ".join(versions),
            "start a new process",
        )
    return versions[0]


def check_version(needed: Optional[str], loaded: Optional[str], engine: str) -> None:
    """Raise EngineError unless the loaded library has the version that an engine was built with."""
    if needed is not None and needed != loaded:
        raise EngineError(
            "%s was built with version %s of the plugin library, but %s is installed"
            % (engine, needed, "no version" if loaded is None else "version " + loaded),
            "run splitwatt build again",
        )
