"""A model's inputs and outputs as the protocol's tensors."""

from typing import Any

import numpy as np

from splitwatt.device_configs.errors import ServerError, UsageError
from splitwatt.device_configs.names import check_known
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.answer import pack
from splitwatt.engines.pipeline.postprocess import Answer
from splitwatt.profiler.client.protocol import Tensor

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


def metadata(name: str, bundle: Bundle) -> dict[str, Any]:
    """What the protocol's model metadata says of a bundle."""
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


def read_inputs(tensors: dict[str, Tensor]) -> tuple[bytes | memoryview, Any]:
    """The codec's bytes and int32 sizes (6,) of a request; a batch dimension of 1 may lead both.

    Raises:
        ServerError: they are something else.
    """
    if set(tensors) != {"bitstream", "sizes"}:
        raise ServerError("the inputs must be 'bitstream' and 'sizes'")
    bitstream, sizes = tensors["bitstream"], tensors["sizes"]
    if bitstream.datatype != "UINT8" or len(_single(bitstream.shape)) != 1:
        raise ServerError("'bitstream' must be UINT8 of shape [n] or [1, n]")
    if sizes.datatype != "INT32" or _single(sizes.shape) != (6,):
        raise ServerError("'sizes' must be INT32 of shape [6] or [1, 6]")
    return bitstream.data, np.frombuffer(sizes.data, "<i4").astype(np.int32)


def check_outputs(wanted: list[str], bundle: Bundle) -> None:
    """Raise ServerError for an output that the bundle's model does not have."""
    tasks = bundle.manifest.tasks
    known = ["answer"] + [output for output, row in OUTPUTS.items() if row[0] in tasks]
    for output in wanted:
        try:
            check_known("output", output, known)
        except UsageError as error:
            raise ServerError(error.message, error.remedy)


def write_output(name: str, answer: Answer) -> Tensor:
    """One output of an answer, as `check_outputs` let it pass."""
    if name == "answer":
        data = pack(answer)
        return Tensor("answer", "UINT8", (len(data),), data)
    task, field, datatype, _ = OUTPUTS[name]
    array = np.ascontiguousarray(answer[task][field])
    if DATATYPES.get(array.dtype.name) != datatype:
        raise ServerError("the output '%s' is %s, not %s" % (name, array.dtype, datatype))
    little = array.astype(array.dtype.newbyteorder("<"))
    return Tensor(name, datatype, array.shape, little.tobytes())


def _single(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
