"""Whether an encoder can run on horizontal strips of its image, and how they must overlap.

A row of a convolution's output needs a few rows of its input. From layer to layer that adds up to
the rows of the image that a row of the latent needs: the same number for every row, except at the
image's first and last rows, where the padding's zeros replace them.
"""

import math
from typing import NamedTuple

import onnx
from onnx import helper, shape_inference

from splitwatt.engines.bundle.manifest import StripRows, Strips

# Operators that compute each value from values at the same position.
_POINTWISE_NAMES = """
    Abs Add BatchNormalization Cast Clip DequantizeLinear Div Dropout Elu Erf Exp HardSigmoid
    HardSwish Identity LeakyRelu Max Min Mul Neg PRelu Pow QuantizeLinear Relu Selu Sigmoid
    Softplus Softsign Sqrt Sub Tanh
"""
_POINTWISE = frozenset(_POINTWISE_NAMES.split())
_WINDOWS = frozenset(["Conv", "MaxPool", "AveragePool"])


class _Rows(NamedTuple):
    """Row i of a tensor needs the image's rows i * step + first to i * step + last."""

    step: int
    first: int
    last: int
    columns_step: int


def strips_of(model: onnx.ModelProto, memory_mb: int | None) -> Strips | None:
    """How to run a graph on strips; None if it has other inputs than `image`, or a layer needs more
    than a fixed number of rows.

    Args:
        model: each output is (1, C, h, w).
        memory_mb: the target's `encoder_memory_mb`; None if it states none.
    """
    graph = model.graph
    if memory_mb is None:
        return None
    constants = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    if [value.name for value in graph.input if value.name not in constants] != ["image"]:
        return None
    rows: dict[str, _Rows] = {"image": _Rows(1, 0, 0, 1)}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = list(helper.get_node_attr_value(node, "value").dims)
            continue
        made = _rows(node, rows, constants)
        if made is None:
            return None
        rows.update({name: made for name in node.output if name})
    outputs = [value.name for value in graph.output]
    memory = _bytes_per_pixel(model, rows)
    if memory is None or any(name not in rows for name in outputs):
        return None
    if max(rows[name].step for name in outputs) < 2:
        return None  # the outputs are as large as the image: strips would save nothing
    return Strips(
        [StripRows(n, rows[n].step, -rows[n].first, rows[n].last) for n in outputs],
        math.ceil(memory),
        memory_mb,
    )


def _rows(
    node: onnx.NodeProto, rows: dict[str, _Rows], constants: dict[str, list[int]]
) -> _Rows | None:
    """The image rows that a node's outputs need; None if that differs from row to row."""
    given = [rows[name] for name in node.input if name in rows]
    unknown = [name for name in node.input if name and name not in rows and name not in constants]
    if not given or unknown or len({(one.step, one.columns_step) for one in given}) != 1:
        return None
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    first, last = min(one.first for one in given), max(one.last for one in given)
    step, columns_step = given[0].step, given[0].columns_step
    if node.op_type in _POINTWISE or (node.op_type == "Concat" and attributes["axis"] in (1, -3)):
        tall = [constants[name] for name in node.input if name in constants]
        if any(len(shape) > 1 and shape[-2] != 1 for shape in tall):
            return None  # a constant that differs from row to row
        return _Rows(step, first, last, columns_step)
    if node.op_type not in _WINDOWS or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return None
    if attributes.get("ceil_mode", 0) or len(given) != 1:
        return None
    kernel = attributes.get("kernel_shape") or constants[node.input[1]][2:]
    if len(kernel) != 2:
        return None
    strides = attributes.get("strides", [1, 1])
    before = attributes.get("pads", [0, 0, 0, 0])[0]
    reach = (kernel[0] - 1) * attributes.get("dilations", [1, 1])[0]
    return _Rows(
        step * strides[0],
        first - step * before,
        last + step * (reach - before),
        columns_step * strides[1],
    )


def _bytes_per_pixel(model: onnx.ModelProto, rows: dict[str, _Rows]) -> float | None:
    """The most bytes of intermediate tensors that are in use at once, per pixel of the image."""
    inferred = shape_inference.infer_shapes(model).graph
    values = [*inferred.value_info, *inferred.output]
    sizes = {}
    for value in values:
        if value.name in rows:
            shape = value.type.tensor_type.shape.dim
            if len(shape) != 4 or not shape[1].dim_value:
                return None
            place = rows[value.name].step * rows[value.name].columns_step
            sizes[value.name] = 4.0 * shape[1].dim_value / place
    nodes = model.graph.node
    if any(name not in sizes for node in nodes for name in node.output if name in rows):
        return None
    last_use = {name: at for at, node in enumerate(nodes) for name in node.input}
    most = used = 0.0
    for at, node in enumerate(nodes):
        used += sum(sizes.get(name, 0.0) for name in node.output)
        most = max(most, used)
        used -= sum(sizes.get(name, 0.0) for name in set(node.input) if last_use[name] == at)
    return most
