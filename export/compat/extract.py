"""The two halves of a cut as separate models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from splitwatt.device_configs.errors import ExportError
from splitwatt.engines.bundle.manifest import CrossingTensor
from splitwatt.export.compat.cut import Cut
from splitwatt.export.compat.view import rename, uses_of


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
    outputs = {value.name for value in model.graph.output}
    first = [model.graph.node[index] for index in cut.prefix]
    second = [model.graph.node[index] for index in cut.remainder]
    made: list[ValueInfoProto] = []
    taken: list[ValueInfoProto] = []
    names: dict[str, str] = {}
    for index, crossing in enumerate(cut.crossing):
        name, dtype, as_dtype = crossing.name, crossing.dtype, crossing.as_dtype
        port = f"{prefix}_{index}"
        if name in outputs:
            taken.append(_port(name, name, dtype, crossing))
            continue
        if as_dtype == dtype:
            names[name] = port
        else:
            first.append(_cast(name, port, as_dtype))
            second.insert(0, _cast(port, name, dtype))
        at = name if as_dtype == dtype else port
        made.append(_port(at, port, as_dtype, crossing))
        taken.append(_port(at, port, as_dtype, crossing))
    halves = (_half(model, first, made, [], "_head"), _half(model, second, [], taken, "_tail"))
    for half in halves:
        rename(half.graph, names)
    return halves


def _cast(name: str, to_name: str, dtype: str) -> NodeProto:
    return helper.make_node("Cast", [name], [to_name], name=f"{to_name}_cast", to=_element(dtype))


def _element(dtype: str) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _port(name: str, port: str, dtype: str, crossing: CrossingTensor) -> ValueInfoProto:
    shape: Sequence[int | str] | None = None
    if crossing.shape is not None:
        shape = [f"{port}_{i}" if d is None else d for i, d in enumerate(crossing.shape)]
    return helper.make_tensor_value_info(name, _element(dtype), shape)


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
