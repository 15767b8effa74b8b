"""A graph in fp16, in int8, or rounded as by TF32; its inputs and outputs stay float32.

* fp16: weights and tensors are float16; operators that one of the target's runtimes does not support
  in float16 stay in float32, with casts around them.
* int8: convolutions and matrix products take quantised factors (QuantizeLinear, DequantizeLinear
  pairs, symmetric, per channel for weights), as TensorRT wants them; the rest stays in float32.
* tf32: the factors of products are rounded to 10 bits; a trial, never deployed.
"""

import copy
import logging
import tempfile
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from splitwatt.device_configs.errors import ExportError
from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.fold import refill
from splitwatt.export.compat.macs import PRODUCTS
from splitwatt.export.compat.tables import Table

Arrays = dict[str, np.ndarray]
# float32 has 24 bits of which TF32 keeps 11: multiplying by 2**13 + 1 splits them (Veltkamp).
_SPLIT = np.float32(2**13 + 1)


def to_fp16(model: onnx.ModelProto, tables: Collection[Table]) -> onnx.ModelProto:
    """The graph in float16, its inputs and outputs float32; `model` is left as it is.

    Args:
        tables: the operator tables that the result must fit.

    Raises:
        ExportError: an operator that fits in neither type.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    kept = set(DEFAULT_OP_BLOCK_LIST)
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that underflow: the error is measured
            made: onnx.ModelProto = convert_float_to_float16(
                copy.deepcopy(model), keep_io_types=True, op_block_list=sorted(kept)
            )
        made.ir_version = model.ir_version
        _drop_repeated(made)
        findings = [finding for table in tables for finding in check_model(made, table)]
        more = {finding.op_type for finding in findings} - kept
        if not findings:
            return made
        if not more:
            raise ExportError(
                f"the graph does not fit in fp16: {findings[0].reason}", findings[0].remedy
            )
        kept |= more


def _drop_repeated(model: onnx.ModelProto) -> None:
    """Keep one of the casts that the converter adds once for each node that reads the same tensor."""
    made: set[str] = set()
    kept = []
    for node in model.graph.node:
        if node.op_type != "Cast" or node.output[0] not in made:
            kept.append(node)
        made.update(node.output)
    refill(model.graph.node, kept)


def to_int8(
    model: onnx.ModelProto, feeds: Iterable[Arrays], tables: Collection[Table]
) -> onnx.ModelProto:
    """The graph with quantised products; `model` is left as it is.

    Args:
        feeds: its inputs for every calibration image; ranges are the largest values seen.
        tables: the operator tables that the result must fit.

    Raises:
        ExportError: no product to quantise, or the result does not fit.
    """
    from onnxruntime.quantization import quantize_static

    left = iter(feeds)
    logging.disable(logging.WARNING)  # the advice to prepare the model first: it is cleaned already
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            quantize_static(
                copy.deepcopy(model),
                str(path),
                SimpleNamespace(get_next=lambda: next(left, None)),
                op_types_to_quantize=sorted(PRODUCTS),
                per_channel=True,
                extra_options={
                    "ActivationSymmetric": True,  # TensorRT takes no zero point but 0
                    "WeightSymmetric": True,
                    "AddQDQPairToWeight": True,  # nor, before 10, weights that are int8 already
                    "QuantizeBias": False,  # nor quantised biases
                    # Products take quantised factors; what they make is for the next one to quantise.
                    "OpTypesToExcludeOutputQuantization": sorted(PRODUCTS),
                },
            )
            made = onnx.load(str(path))
    finally:
        logging.disable(logging.NOTSET)
    made.ir_version = model.ir_version
    refill(made.opset_import, (o for o in model.opset_import if o.domain in ("", "ai.onnx")))
    if not any(node.op_type == "QuantizeLinear" for node in made.graph.node):
        raise ExportError(
            f"the part '{model.graph.name}' has no product to quantise", "export it in fp32"
        )
    findings = [finding for table in tables for finding in check_model(made, table)]
    if findings:
        raise ExportError(f"the graph does not fit in int8: {findings[0]}", findings[0].remedy)
    return made


def to_tf32(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with every factor of a product rounded as by TF32."""
    made = copy.deepcopy(model)
    constants = {tensor.name: tensor for tensor in made.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    rounded: dict[str, str] = {}
    for node in made.graph.node:
        if node.op_type in PRODUCTS:
            for index, name in enumerate(list(node.input[:2])):
                if name not in rounded:
                    rounded[name] = f"{name}_tf32"
                    if name in constants:
                        array = _round_tf32(numpy_helper.to_array(constants[name]))
                        tensor = numpy_helper.from_array(array, rounded[name])
                        made.graph.initializer.append(tensor)
                    else:
                        nodes += _rounding(name, rounded[name])
                node.input[index] = rounded[name]
        nodes.append(node)
    made.graph.initializer.append(numpy_helper.from_array(np.array(_SPLIT), "tf32_split"))
    refill(made.graph.node, nodes)
    return made


def _round_tf32(array: np.ndarray) -> np.ndarray:
    scaled = array * _SPLIT
    return np.asarray(scaled - (scaled - array), np.float32)


def _rounding(name: str, to_name: str) -> list[onnx.NodeProto]:
    """scaled = x * split; scaled - (scaled - x)."""
    scaled, rest = f"{to_name}_scaled", f"{to_name}_rest"
    return [
        helper.make_node("Mul", [name, "tf32_split"], [scaled]),
        helper.make_node("Sub", [scaled, name], [rest]),
        helper.make_node("Sub", [scaled, rest], [to_name]),
    ]
