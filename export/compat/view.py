"""A graph of a model and all that is known about its tensors; also for the graphs inside it."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

from splitwatt.device_configs.errors import ExportError

Shape = tuple[int | None, ...]

# Elements of a tensor that may be a shape, axes, sizes or pads.
_LARGEST_WITH_VALUES = 1024


class View:
    """Types, shapes and constants of a graph's tensors by name; the outer graph is searched last.

    Args:
        initializers: with values, where those of `graph` have none; the default is those of `graph`.

    Attributes:
        graph: the graph, with the types and shapes that ONNX could infer.
        opset: the model's opset of ONNX's own domain.
    """

    def __init__(
        self,
        graph: GraphProto,
        opset: int,
        outer: View | None = None,
        initializers: Iterable[TensorProto] | None = None,
    ) -> None:
        self.graph = graph
        self.opset = opset
        tensors = graph.initializer if initializers is None else initializers
        constants = {tensor.name: tensor for tensor in tensors}
        for node in graph.node:
            if node.op_type == "Constant" and (value := constant_value(node)) is not None:
                constants[node.output[0]] = numpy_helper.from_array(value)
        values = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
        self._constants: ChainMap[str, TensorProto] = ChainMap(constants)
        self._values: ChainMap[str, ValueInfoProto] = ChainMap(values)
        if outer is not None:
            self._constants.maps += outer._constants.maps
            self._values.maps += outer._values.maps

    def dtype(self, name: str) -> str | None:
        """The tensor's element type, such as `float32`; None if ONNX does not know it."""
        if name in self._constants:
            return type_name(self._constants[name].data_type)
        element = self._values[name].type.tensor_type.elem_type if name in self._values else 0
        return type_name(element) if element else None

    def shape(self, name: str) -> Shape | None:
        """The tensor's shape, None for a dimension that is not fixed or for an unknown rank."""
        if name in self._constants:
            return tuple(self._constants[name].dims)
        return shape_of(self._values[name]) if name in self._values else None

    def constant(self, name: str) -> np.ndarray | None:
        """The value of an initializer or a Constant node, None for a computed tensor."""
        return numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def is_constant(self, name: str) -> bool:
        """Whether the tensor is an initializer or a Constant node's."""
        return name in self._constants

    def inner(self, node: NodeProto) -> Iterator[tuple[str, View]]:
        """The graphs inside a node: the attribute's name and the graph."""
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield attribute.name, View(attribute.g, self.opset, self)


def view_of(model: ModelProto) -> View:
    """The main graph of a model, after ONNX's own inference of types and shapes.

    Raises:
        ExportError: the graph contradicts itself.
    """
    try:
        inferred = shape_inference.infer_shapes(_without_weights(model), data_prop=True)
    except shape_inference.InferenceError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(
            f"the graph '{model.graph.name}' contradicts itself: {reason}", "export it again"
        )
    return View(inferred.graph, opset_of(inferred), initializers=model.graph.initializer)


def _without_weights(model: ModelProto) -> ModelProto:
    """A copy whose large tensors have type and shape alone: values of weights decide no shape.

    Inference copies the whole model twice, and folding calls it again and again.
    """
    light = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import,
                       functions=model.functions)  # fmt: skip
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > _LARGEST_WITH_VALUES:
            tensor = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        graph.initializer.append(tensor)
    return light


def opset_of(model: ModelProto) -> int:
    """The model's opset of ONNX's own domain."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)


def type_name(element: int) -> str:
    """`float32` for TensorProto.FLOAT and so on."""
    if element == TensorProto.STRING:
        return "string"
    if element == TensorProto.BFLOAT16:
        return "bfloat16"
    return str(np.dtype(helper.tensor_dtype_to_np_dtype(element)))


def shape_of(value: ValueInfoProto) -> Shape | None:
    """The shape that a graph states for a tensor; None for an unknown dimension or rank."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else None
        for dim in value.type.tensor_type.shape.dim
    )


def constant_value(node: NodeProto) -> np.ndarray | None:
    """The value of a Constant node, None for sparse tensors and strings."""
    attribute = node.attribute[0]
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    if attribute.name in ("value_float", "value_floats"):
        return np.asarray(value, np.float32)
    if attribute.name in ("value_int", "value_ints"):
        return np.asarray(value, np.int64)
    return None


def attribute_of(node: NodeProto, name: str, default: object = None) -> object:
    """An attribute's value, strings as text."""
    for attribute in node.attribute:
        if attribute.name == name:
            value = helper.get_attribute_value(attribute)
            return value.decode() if isinstance(value, bytes) else value
    return default


def uses_of(node: NodeProto) -> set[str]:
    """Every tensor that a node reads: its inputs, and the tensors that the graphs inside it take."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            names |= free_names(attribute.g)
    return names


def free_names(graph: GraphProto) -> set[str]:
    """The tensors that a graph takes from the graphs around it."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    read = {value.name for value in graph.output}
    for node in graph.node:
        read |= uses_of(node)
    return read - own


def rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors in a graph and in the graphs inside it."""
    for named in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        named.name = names.get(named.name, named.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                rename(inner, names)


def label_of(node: NodeProto) -> str:
    """The node's name, or its first output if it has none."""
    return node.name or next((name for name in node.output if name), node.op_type)
