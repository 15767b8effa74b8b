"""The backend `cpu`: onnxruntime's CPU provider, from 1.10 (CPython 3.6) on."""

import os
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
import onnxruntime as ort

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.backends.cores import usable_cores
from splitwatt.engines.bundle.manifest import Port

# The first version with session.force_spinning_stop.
_STOPS_SPINNING = (1, 16)


def open_engine(onnx_path: str, threads: Optional[int]) -> Engine:
    """An engine of onnxruntime's CPU provider; see `splitwatt.engines.backends.load_engine`."""
    return OrtEngine(onnx_path, threads, ["CPUExecutionProvider"])


class OrtEngine(Engine):
    """One onnxruntime session; `run` may be called from several threads at once."""

    def __init__(self, onnx_path: str, threads: Optional[int], providers: List[Any]) -> None:
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

    def providers(self) -> List[str]:
        """onnxruntime's providers in use, the preferred one first."""
        return list(self._session.get_providers())

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
    # A memory pattern allocates another block as large as all tensors, for each size of the input.
    options.enable_mem_pattern = False
    # By default, onnxruntime 1.10 uses half of a board's cores.
    options.intra_op_num_threads = usable_cores() if threads is None else threads
    # Workers that spin while they wait for work are a little faster. After a run, though, they take
    # the cores from other work: with the server on the same machine, that halves the speed. So they
    # stop when a run ends; with an onnxruntime that is too old for that, they never spin.
    if version() >= _STOPS_SPINNING:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    else:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def version() -> Tuple[int, ...]:
    """The first two numbers of onnxruntime's version."""
    return tuple(int(number) for number in re.findall(r"\d+", ort.__version__)[:2])


def _ports(nodes: "List[ort.NodeArg]") -> List[Port]:
    ports = []
    for node in nodes:
        kind = node.type[len("tensor(") : -1]
        shape = tuple(size if isinstance(size, int) else None for size in node.shape)
        ports.append(Port(node.name, "float32" if kind == "float" else kind, shape))
    return ports


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
