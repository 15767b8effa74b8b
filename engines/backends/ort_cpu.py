"""The backend `cpu`: onnxruntime's CPU provider, from 1.10 (CPython 3.6) on."""

import os
from typing import Dict, List, Mapping, Optional

import numpy as np
import onnxruntime as ort

from device_configs.errors import EngineError
from engines.backends.base import Engine
from engines.manifest import Port

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(bool)": "bool",
}


def open_engine(onnx_path: str, threads: Optional[int]) -> Engine:
    """An engine of onnxruntime's CPU provider; see `engines.backends.load_engine`."""
    return OrtEngine(onnx_path, threads, ["CPUExecutionProvider"])


class OrtEngine(Engine):
    """One onnxruntime session; `run` may be called from several threads at once."""

    def __init__(self, onnx_path: str, threads: Optional[int], providers: List[str]) -> None:
        try:
            session = ort.InferenceSession(
                onnx_path, sess_options=_options(threads), providers=providers
            )
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise EngineError(
                "onnxruntime %s cannot load %s: %s"
                % (ort.__version__, onnx_path, _first_line(error))
            )
        super().__init__(
            os.path.basename(onnx_path), _ports(session.get_inputs()), _ports(session.get_outputs())
        )
        self._session = session
        self._output_names = [port.name for port in session.get_outputs()]

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        try:
            values = self._session.run(self._output_names, dict(feeds))
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise EngineError("onnxruntime failed in %s: %s" % (self.name, _first_line(error)))
        return dict(zip(self._output_names, values))

    def _close(self) -> None:
        self._session = None


def _options(threads: Optional[int]) -> "ort.SessionOptions":
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    # Waiting workers spin while a graph runs, which is faster, but never after it: a board that
    # waits for the link has other work, and in a demonstration the server is on the same cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _ports(nodes: "List[ort.NodeArg]") -> List[Port]:
    return [
        Port(
            node.name,
            _DTYPES.get(node.type, node.type),
            tuple(size if isinstance(size, int) else None for size in node.shape),
        )
        for node in nodes
    ]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
