"""The two halves of a cut as separate models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from splitwatt.device_configs.errors import ExportError
from splitwatt.engines.bundle.manifest import CrossingTensor
from splitwatt.export.compat.cut import Cut
from splitwatt.export.compat.view import uses_of


def extract(model: ModelProto, cut: Cut, prefix: str = "cut") -> tuple[ModelProto, ModelProto]:
    """The model before the cut and the one after it.

    A crossing tensor is an output of the first and an input of the second, named `cut_0`, `cut_1`, ...
    (with `prefix` for `cut`). If the first runtime lacks its type, it is cast to the type that replaces
    it there, and cast back. Inputs and outputs of the whole keep their names.

    Raises:
        ExportError: nothing is left to run before the cut.
    """
    if not cut.prefix:
        raise ExportError(
            "no operator that multiplies matrices can run before the cut",
            "run the whole part with onnxruntime",
        )
    nodes = model.graph.node
    names = {crossing.name: f"{prefix}_{i}" for i, crossing in enumerate(cut.crossing)}
    outputs = {value.name for value in model.graph.output}
    first = [_copy(nodes[index]) for index in cut.prefix]
    second = [_copy(nodes[index]) for index in cut.remainder]
    made: list[ValueInfoProto] = []
    taken: list[ValueInfoProto] = []
    for crossing in cut.crossing:
        port = crossing.name if crossing.name in outputs else names[crossing.name]
        _cross(crossing, port, outputs, first, second)
        if port not in outputs:
            made.append(_port(port, crossing))
        taken.append(_port(port, crossing, as_made=port in outputs))
    return (_half(model, first, made, [], "_head"), _half(model, second, [], taken, "_tail"))


def _cross(
    crossing: CrossingTensor,
    port: str,
    outputs: set[str],
    first: list[NodeProto],
    second: list[NodeProto],
) -> None:
    """Make the tensor cross under the name `port`, cast on its way where it must be."""
    if crossing.name in outputs:
        return
    if crossing.as_dtype == crossing.dtype:
        _rename(first, crossing.name, port)
        _rename(second, crossing.name, port)
        return
    first.append(_cast(crossing.name, port, crossing.as_dtype))
    second.insert(0, _cast(port, crossing.name, crossing.dtype))


def _cast(name: str, to_name: str, dtype: str) -> NodeProto:
    return helper.make_node("Cast", [name], [to_name], name=f"{to_name}_cast", to=_element(dtype))


def _element(dtype: str) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _port(name: str, crossing: CrossingTensor, as_made: bool = False) -> ValueInfoProto:
    element = _element(crossing.dtype if as_made else crossing.as_dtype)
    shape: Sequence[int | str] | None = None
    if crossing.shape is not None:
        shape = [f"{name}_{i}" if d is None else d for i, d in enumerate(crossing.shape)]
    return helper.make_tensor_value_info(name, element, shape)


def _half(
    model: ModelProto,
    nodes: list[NodeProto],
    made: list[ValueInfoProto],
    taken: list[ValueInfoProto],
    suffix: str,
) -> ModelProto:
    used = {name for node in nodes for name in uses_of(node)}
    produced = {name for node in nodes for name in node.output}
    graph = helper.make_graph(
        nodes,
        model.graph.name + suffix,
        [v for v in model.graph.input if v.name in used] + taken,
        [v for v in model.graph.output if v.name in produced] + made,
        [t for t in model.graph.initializer if t.name in used],
    )
    half = helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )
    half.functions.extend(model.functions)
    return half


def _copy(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _rename(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    """Rename a tensor wherever nodes, or the graphs inside them, make or use it."""
    for node in nodes:
        _rename_in(node.input, old, new)
        _rename_in(node.output, old, new)
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH and not _shadows(attribute.g, old):
                _rename(attribute.g.node, old, new)
                for value in attribute.g.output:
                    if value.name == old:
                        value.name = new


def _shadows(graph: GraphProto, name: str) -> bool:
    """Whether a graph itself has a tensor of that name."""
    own = {value.name for value in graph.input} | {t.name for t in graph.initializer}
    return name in own or any(name in node.output for node in graph.node)


def _rename_in(names: Any, old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new
