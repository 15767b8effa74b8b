"""Multiply-accumulates of an ONNX graph: convolutions and matrix products, nothing else."""

import copy
import math
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, helper

from splitwatt.export.compat.fold import refill
from splitwatt.export.compat.view import Shape, View, attribute_of, view_of

PRODUCTS = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))


def sized(model: ModelProto, sizes: Mapping[str, Sequence[int]] | None) -> View:
    """The model's view with its inputs at `sizes` (name -> shape), so that products can be counted.

    Other inputs keep their shapes, and sizes of unknown inputs are ignored. A dimension of unknown length
    that a Slice limits gets that limit: the largest number of boxes.
    """
    made = copy.deepcopy(model)
    for value in made.graph.input:
        shape = (sizes or {}).get(value.name)
        if shape is not None:
            dims = value.type.tensor_type.shape.dim
            del dims[:]
            for size in shape:
                dims.add().dim_value = size
    if sizes:
        # The other stated sizes are symbolic, for inputs of any size.
        del made.graph.value_info[:]
        for value in made.graph.output:
            value.type.tensor_type.ClearField("shape")
    view = view_of(made)
    limited = {n.output[0]: s for n in view.graph.node if (s := _limits(n, view)) is not None}
    if not limited:
        return view
    stated = [value for value in made.graph.value_info if value.name not in limited]
    for name, shape in limited.items():
        element = helper.np_dtype_to_tensor_dtype(np.dtype(view.dtype(name) or "float32"))
        stated.append(helper.make_tensor_value_info(name, element, shape))
    refill(made.graph.value_info, stated)
    return view_of(made)


def _limits(node: NodeProto, view: View) -> list[int] | None:
    """The largest shape of a Slice from 0 to a constant along its first axis; None for other nodes."""
    if node.op_type != "Slice" or len(node.input) < 4:
        return None
    shape = view.shape(node.output[0])
    start, end, axes = (view.constant(name) for name in node.input[1:4])
    if shape is None or start is None or end is None or axes is None:
        return None
    if [*start, *axes] != [0, 0] or shape[0] is not None or None in shape[1:] or end[0] < 1:
        return None
    return [int(end[0]), *_known(shape[1:])]


def macs_of(node: NodeProto, view: View) -> int | None:
    """Multiply-accumulates of one node: 0 if it multiplies no matrices, None without shapes."""
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
