"""Cleans an exported graph: folds constants, removes unused parts.

PyTorch's exporter has put batch normalisations into convolutions; runtimes do so for other layers.
"""

import numpy as np
import onnx
from onnx import numpy_helper

from splitwatt.export.compat.fold import RANDOM, drop_dead, refill, run_constants
from splitwatt.export.compat.view import uses_of


def clean(model: onnx.ModelProto, ir_version: int, name: str) -> onnx.ModelProto:
    """The same function with constants folded and dead parts removed."""
    graph = model.graph
    _constants_to_initializers(graph)
    _drop_identities(graph)
    _fold_constants(model)
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


def _fold_constants(model: onnx.ModelProto) -> None:
    """Replace nodes with constant results by initializers, with onnxruntime."""
    graph = model.graph
    nodes = foldable(graph)
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
