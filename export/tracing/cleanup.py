"""Cleans an exported graph: folds constants, fuses layers, removes unused parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper

from splitwatt.export.compat.fold import RANDOM, drop_dead, refill, run_constants
from splitwatt.export.compat.view import uses_of


def clean(model: onnx.ModelProto, ir_version: int, name: str) -> onnx.ModelProto:
    """The same function with constants folded, affine layers fused and dead parts removed."""
    graph = model.graph
    _constants_to_initializers(graph)
    _drop_identities(graph)
    while _fold_constants(model) or _fuse_affine(graph):
        pass
    drop_dead(graph)
    _drop_notes(model, ir_version, name)
    onnx.checker.check_model(model)
    return model


def keep_outputs(model: onnx.ModelProto, names: list[str]) -> None:
    """Keep only the outputs `names`, and remove what only other outputs needed."""
    outputs = {value.name: value for value in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(outputs[name] for name in names)
    drop_dead(model.graph)


def foldable(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that compute constants, from initializers or from the outputs of such nodes."""
    known = {tensor.name for tensor in graph.initializer} | {""}
    names = []
    for node in graph.node:
        nested = any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute)
        if not nested and node.op_type not in RANDOM and known.issuperset(node.input):
            names.append(node)
            known.update(node.output)
    return names


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
        else:
            kept.append(node)
    refill(graph.node, kept)


def _drop_identities(graph: onnx.GraphProto) -> None:
    outputs = {value.name for value in graph.output}
    same: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.output[0] not in outputs:
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    refill(graph.node, kept)


def _fold_constants(model: onnx.ModelProto) -> bool:
    """Replace nodes with constant results by initializers, with onnxruntime. True if any was replaced."""
    graph = model.graph
    nodes = foldable(graph)
    if not nodes:
        return False
    computed = {name for node in nodes for name in node.output if name}
    folded = {id(node) for node in nodes}
    rest = [node for node in graph.node if id(node) not in folded]
    used = {name for node in rest for name in uses_of(node)}
    used.update(value.name for value in graph.output)
    wanted = sorted(computed & used)
    if wanted:
        inputs = {name for node in nodes for name in node.input}
        given = [tensor for tensor in graph.initializer if tensor.name in inputs]
        for name, value in run_constants(model, nodes, given, wanted).items():
            graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    refill(graph.node, rest)
    drop_dead(graph)
    return True


def _fuse_affine(graph: onnx.GraphProto) -> bool:
    """Fold a BatchNormalization, Mul or Add by channel into the convolution before it."""
    values = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    producers = {node.output[0]: node for node in graph.node if node.op_type == "Conv"}
    changed = False
    kept = []
    renamed: dict[str, str] = {}
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        fuse = _AFFINE.get(node.op_type)
        affine = fuse(node, values, producers) if fuse else None
        if affine is None:
            kept.append(node)
            continue
        source, scale, shift = affine
        conv = producers[source]
        shared = uses[source] != 1 or node.output[0] in {value.name for value in graph.output}
        if shared or not all(name in values for name in conv.input[1:]):
            kept.append(node)
            continue
        _scale_convolution(graph, conv, values, scale, shift)
        renamed[node.output[0]] = source
        uses[source] = uses[node.output[0]]
        changed = True
    refill(graph.node, kept)
    return changed


_Affine = tuple[str, np.ndarray, np.ndarray]
_Values = dict[str, onnx.TensorProto]
_Nodes = dict[str, onnx.NodeProto]


def _batch_norm(node: onnx.NodeProto, values: _Values, convs: _Nodes) -> _Affine | None:
    if node.input[0] not in convs or not all(name in values for name in node.input[1:]):
        return None
    scale, shift, mean, variance = (
        numpy_helper.to_array(values[name]).astype(np.float64) for name in node.input[1:]
    )
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    return node.input[0], factor, shift - mean * factor


def _by_channel(
    node: onnx.NodeProto, values: _Values, convs: _Nodes
) -> tuple[str, np.ndarray] | None:
    """A convolution's output and the constant per channel that this node combines with it."""
    first, second = node.input
    if second in convs and first in values:
        first, second = second, first
    if first not in convs or second not in values or convs[first].input[1] not in values:
        return None
    constant = numpy_helper.to_array(values[second])
    channels = values[convs[first].input[1]].dims[0]
    if constant.size == 1 and constant.ndim <= 4:
        return first, np.full(channels, constant.reshape(-1)[0], np.float64)
    if constant.shape in ((1, channels, 1, 1), (channels, 1, 1)):
        return first, constant.reshape(-1).astype(np.float64)
    return None


def _mul(node: onnx.NodeProto, values: _Values, convs: _Nodes) -> _Affine | None:
    by_channel = _by_channel(node, values, convs)
    return by_channel and (by_channel[0], by_channel[1], np.zeros_like(by_channel[1]))


def _add(node: onnx.NodeProto, values: _Values, convs: _Nodes) -> _Affine | None:
    by_channel = _by_channel(node, values, convs)
    return by_channel and (by_channel[0], np.ones_like(by_channel[1]), by_channel[1])


_AFFINE: dict[str, Callable[[onnx.NodeProto, _Values, _Nodes], _Affine | None]] = {
    "BatchNormalization": _batch_norm,
    "Mul": _mul,
    "Add": _add,
}


def _scale_convolution(
    graph: onnx.GraphProto,
    conv: onnx.NodeProto,
    values: _Values,
    scale: np.ndarray,
    shift: np.ndarray,
) -> None:
    """conv := scale * conv + shift, with new initializers (the old ones may be shared)."""
    weight = numpy_helper.to_array(values[conv.input[1]]).astype(np.float64)
    bias = (
        numpy_helper.to_array(values[conv.input[2]]).astype(np.float64)
        if len(conv.input) > 2
        else np.zeros(weight.shape[0])
    )
    weight = weight * scale.reshape([-1] + [1] * (weight.ndim - 1))
    names = [f"{conv.output[0]}_weight", f"{conv.output[0]}_bias"]
    for name, value in zip(names, (weight, bias * scale + shift), strict=True):
        tensor = numpy_helper.from_array(value.astype(np.float32), name)
        if name in values:
            values[name].CopyFrom(tensor)
        else:
            values[name] = graph.initializer.add()
            values[name].CopyFrom(tensor)
    conv.input[:] = [conv.input[0], *names]


def _drop_notes(model: onnx.ModelProto, ir_version: int, name: str) -> None:
    """Remove what depends on the PyTorch version or shows where the export ran."""
    model.ir_version = ir_version
    model.producer_name, model.producer_version = "splitwatt", ""
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    model.graph.name = name
    model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        if hasattr(node, "metadata_props"):
            del node.metadata_props[:]
