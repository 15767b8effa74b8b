"""The models of a server: found in a folder of bundles, loaded when asked for, then let go."""

# board: no

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import numpy as np

from device_configs.errors import ServerError, UsageError
from device_configs.names import check_known
from engines.answer import pack
from engines.bundle import MANIFEST, Bundle
from engines.pipeline import ServerPipeline
from engines.postprocess import Answer
from profiler.protocol import Tensor

DATATYPES = {"int32": "INT32", "float32": "FP32", "uint8": "UINT8"}
# output -> (task, field of the answer, datatype, shape in the model's metadata)
OUTPUTS = {
    "labels": ("classification", "labels", "INT32", [-1]),
    "scores": ("classification", "scores", "FP32", [-1]),
    "boxes": ("detection", "boxes", "FP32", [-1, 4]),
    "box_labels": ("detection", "labels", "INT32", [-1]),
    "box_scores": ("detection", "scores", "FP32", [-1]),
    "mask": ("segmentation", "mask", "UINT8", [-1, -1]),
}


class UnknownModelError(ServerError):
    """The server has no such model."""


class Models:
    """Server pipelines by model name. Its methods are called from one thread.

    Args:
        folder: bundles of one target, a folder each.
        backend: what runs the parts.
        threads: of one inference; None leaves it to the backend.
        keep: how many models stay loaded; the one not used for longest goes first.
    """

    def __init__(self, folder: str, backend: str, threads: int | None, keep: int) -> None:
        self._folder = folder
        self._backend = backend
        self._threads = threads
        self._keep = keep
        self._bundles: dict[str, Bundle] = {}
        self._loaded: OrderedDict[str, ServerPipeline] = OrderedDict()

    def names(self) -> list[str]:
        """The bundles there are."""
        folder = self._folder
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(n for n in names if os.path.isfile(os.path.join(folder, n, MANIFEST)))

    def is_loaded(self, name: str) -> bool:
        """Whether a model is loaded now."""
        return name in self._loaded

    def load(self, name: str) -> ServerPipeline:
        """A model's pipeline, loaded where it is not.

        Raises:
            UnknownModelError: there is no such bundle, or it is of a local model.
            BundleError, EngineError: it cannot be loaded.
        """
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        bundle = self._bundle(name)
        while len(self._loaded) >= self._keep:
            self._loaded.popitem(last=False)[1].close()
        self._loaded[name] = ServerPipeline(bundle, self._backend, self._threads)
        return self._loaded[name]

    def unload(self, name: str) -> None:
        """Let a model go; one that is not loaded is none to let go."""
        pipeline = self._loaded.pop(name, None)
        if pipeline is not None:
            pipeline.close()

    def metadata(self, name: str) -> dict[str, Any]:
        """What the protocol's model metadata says.

        Raises:
            UnknownModelError, BundleError: as `load`.
        """
        bundle = self._bundle(name)
        manifest = bundle.manifest
        outputs = [{"name": "answer", "datatype": "UINT8", "shape": [-1]}]
        for output, (task, _, datatype, shape) in OUTPUTS.items():
            if task in manifest.tasks:
                outputs.append({"name": output, "datatype": datatype, "shape": shape})
        return {
            "name": name,
            "versions": ["1"],
            "platform": "splitwatt",
            "inputs": [
                {"name": "bitstream", "datatype": "UINT8", "shape": [-1]},
                {"name": "sizes", "datatype": "INT32", "shape": [6]},
            ],
            "outputs": outputs,
            "parameters": {
                "tables_id": manifest.codec.tables_id if manifest.codec else None,
                "manifest_sha256": bundle.manifest_sha256,
            },
        }

    def infer(
        self, name: str, tensors: dict[str, Tensor], wanted: list[str]
    ) -> tuple[list[Tensor], dict[str, float]]:
        """The wanted outputs of a model, and its stages in seconds.

        Raises:
            ServerError: the inputs are not a bitstream and its sizes, or an output is unknown.
            BitstreamError, EngineError, BundleError: as the pipeline raises them.
        """
        payload, sizes = _inputs(tensors)
        pipeline = self.load(name)
        tasks = pipeline.bundle.manifest.tasks
        known = ["answer"] + [output for output, row in OUTPUTS.items() if row[0] in tasks]
        for output in wanted:
            try:
                check_known("output", output, known)
            except UsageError as error:
                raise ServerError(error.message, error.remedy)
        answer, stages = pipeline.run(payload, sizes)
        return [_output(output, answer) for output in wanted], stages

    def close(self) -> None:
        """Let every model go."""
        for name in list(self._loaded):
            self.unload(name)

    def _bundle(self, name: str) -> Bundle:
        if name not in self._bundles:
            try:
                check_known("model", name, self.names())
            except UsageError as error:
                raise UnknownModelError(error.message, error.remedy)
            bundle = Bundle.open(os.path.join(self._folder, name), "server")
            if not bundle.manifest.split:
                raise UnknownModelError("the model '%s' runs on the board alone" % name)
            self._bundles[name] = bundle
        return self._bundles[name]


def _inputs(tensors: dict[str, Tensor]) -> tuple[bytes, Any]:
    if set(tensors) != {"bitstream", "sizes"}:
        raise ServerError("the inputs must be 'bitstream' and 'sizes'")
    bitstream, sizes = tensors["bitstream"], tensors["sizes"]
    if bitstream.datatype != "UINT8" or len(bitstream.shape) != 1:
        raise ServerError("'bitstream' must be UINT8 of shape [n]")
    if sizes.datatype != "INT32" or sizes.shape != (6,):
        raise ServerError("'sizes' must be INT32 of shape [6]")
    return bitstream.data, np.frombuffer(sizes.data, "<i4").astype(np.int32)


def _output(name: str, answer: Answer) -> Tensor:
    if name == "answer":
        data = pack(answer)
        return Tensor("answer", "UINT8", (len(data),), data)
    task, field, datatype, _ = OUTPUTS[name]
    array = np.ascontiguousarray(answer[task][field])
    if DATATYPES.get(array.dtype.name) != datatype:
        raise ServerError("the output '%s' is %s, not %s" % (name, array.dtype, datatype))
    little = array.astype(array.dtype.newbyteorder("<"))
    return Tensor(name, datatype, array.shape, little.tobytes())
