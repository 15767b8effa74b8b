"""Multiply-accumulates of an ONNX graph: convolutions and matrix products, nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from onnx import ModelProto, NodeProto

from splitwatt.export.compat.view import Shape, View, attribute_of, view_of

PRODUCTS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))


def sized(model: ModelProto, sizes: Mapping[str, Sequence[int]] | None) -> View:
    """The model's view with its inputs at `sizes` (name -> shape), so that products can be counted.

    Inputs that are not named, and sizes that name no input, are left as they are.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.input:
        shape = (sizes or {}).get(value.name)
        if shape is not None:
            dims = value.type.tensor_type.shape.dim
            del dims[:]
            for size in shape:
                dims.add().dim_value = size
    if sizes:
        # Sizes stated elsewhere are those of any input, names and all.
        del copy.graph.value_info[:]
        for value in copy.graph.output:
            value.type.tensor_type.ClearField("shape")
    return view_of(copy)


def macs_of(node: NodeProto, view: View) -> int | None:
    """Multiply-accumulates of one node, 0 for what multiplies no matrices, None without shapes."""
    if node.op_type not in PRODUCTS:
        return 0
    shapes = [view.shape(node.input[0]), view.shape(node.input[1]), view.shape(node.output[0])]
    if any(shape is None or None in shape for shape in shapes):
        return None
    x, weight, out = (_known(shape) for shape in shapes)
    if node.op_type == "Conv":
        return out[0] * math.prod(weight) * math.prod(out[2:])
    if node.op_type == "ConvTranspose":
        return x[0] * math.prod(weight) * math.prod(x[2:])
    if node.op_type == "Gemm":
        return math.prod(out) * x[0 if attribute_of(node, "transA", 0) else 1]
    return math.prod(out) * x[-1]


def _known(shape: Shape | None) -> list[int]:
    return [size or 0 for size in shape or ()]
