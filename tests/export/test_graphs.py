"""The graphs of exported bundles: clean, of few nodes, and small enough for the boards' tools."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export.tracing.cleanup import clean, foldable
from tests.conftest import BUNDLES

FORBIDDEN = {
    "Constant", "Identity", "BatchNormalization", "If", "Loop", "Scan", "Dropout",
    "SequenceAt", "SequenceConstruct", "SequenceInsert", "SplitToSequence", "Unique",
}  # fmt: skip


def _graphs(bundles):
    for name in BUNDLES:
        bundle = Bundle.open(str(bundles / name))
        for part in bundle.manifest.parts:
            yield bundle, part, onnx.load(bundle.part_path(part.name))


def test_no_graph_computes_a_constant_or_keeps_what_nothing_needs(bundles):
    for bundle, part, model in _graphs(bundles):
        where = f"{bundle.manifest.model} {part.name}"
        assert not foldable(model.graph), where
        assert not FORBIDDEN & {node.op_type for node in model.graph.node}, where
        used = {name for node in model.graph.node for name in node.input}
        assert used >= {tensor.name for tensor in model.graph.initializer}, where


def test_ports_opset_and_ir_are_what_the_manifest_says(bundles):
    for _, part, model in _graphs(bundles):
        assert [value.name for value in model.graph.input] == [p.name for p in part.inputs]
        assert [value.name for value in model.graph.output] == [p.name for p in part.outputs]
        assert model.ir_version == part.ir_version <= 8
        assert [opset.version for opset in model.opset_import] == [part.opset]


def test_all_classes_share_one_suppression(bundles):
    counts = {}
    for bundle, part, model in _graphs(bundles):
        count = Counter(node.op_type for node in model.graph.node)["NonMaxSuppression"]
        if count:
            counts[bundle.manifest.model, part.name] = count
    assert counts == {
        ("ssdlite320_mobilenet_v3_large", "model"): 1,
        ("ladon_r50@20.48", "detector"): 2,  # proposals of all levels, boxes of all classes
    }


def test_an_encoder_is_convolutions_and_its_norms(bundles):
    model = onnx.load(str(bundles / "ladon_r50@20.48" / "encoder.onnx"))
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds == {"Conv": 5, "Abs": 2, "Div": 2}


def test_the_file_names_no_machine(bundles):
    for _, _, model in _graphs(bundles):
        assert model.producer_name == "splitwatt" and not model.metadata_props
        assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def _run(model, feed):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)


@pytest.fixture
def untidy():
    """A shared convolution weight, constants to compute, a dead end."""
    random = np.random.default_rng(1)

    def tensor(name, *shape):
        return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)

    positive = numpy_helper.from_array(random.uniform(1, 2, 4).astype(np.float32), "var")
    nodes = [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Exp", ["raw"], ["scale0"]),
        helper.make_node("Mul", ["scale0", "two"], ["scale1"]),
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Mul", ["a", "scale1"], ["b"]),
        helper.make_node("Add", ["shift", "b"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "g", "h", "m", "var"], ["d"]),
        helper.make_node("Identity", ["d"], ["d1"]),
        helper.make_node("Conv", ["x", "w"], ["e"]),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("Mul", ["e", "scale1"], ["e2"]),
        helper.make_node("Add", ["d1", "f"], ["s"]),
        helper.make_node("Add", ["s", "e2"], ["y"]),
        helper.make_node("Neg", ["y"], ["dead"]),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, "h", "w"])
    weights = [
        tensor("w", 4, 3, 1, 1), tensor("raw", 1, 4, 1, 1), tensor("shift", 4, 1, 1),
        tensor("g", 4), tensor("h", 4), tensor("m", 4), positive, tensor("unused", 7),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "untidy", [image], [out], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def test_cleaning_keeps_the_function_and_drops_the_rest(untidy):
    feed = {"x": np.random.default_rng(2).normal(size=(1, 3, 5, 6)).astype(np.float32)}
    before = _run(untidy, feed)
    cleaned = clean(untidy, 7, "tidy")
    np.testing.assert_allclose(_run(cleaned, feed)[0], before[0], rtol=1e-5, atol=1e-5)
    kinds = Counter(node.op_type for node in cleaned.graph.node)
    assert kinds == {"Conv": 2, "Relu": 1, "Mul": 2, "Add": 3, "BatchNormalization": 1}
    assert not foldable(cleaned.graph)
    assert "unused" not in {tensor.name for tensor in cleaned.graph.initializer}


def test_what_a_graph_inside_a_graph_inside_takes_is_kept():
    """An If in an If, whose branch alone takes what a node of the main graph makes."""

    def branch(name, *nodes):
        out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [2])
        return helper.make_graph(nodes, name, [], [out])

    def chosen(output, *branches):
        then, other = branches
        return helper.make_node("If", ["c"], [output], then_branch=then, else_branch=other)

    inner = chosen(
        "i",
        branch("a", helper.make_node("Identity", ["n"], ["p"])),
        branch("b", helper.make_node("Abs", ["n"], ["q"])),
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["n"]),
        chosen("y", branch("c", inner), branch("d", helper.make_node("Exp", ["x"], ["e"]))),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])]
    inputs.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph(nodes, "nested", inputs, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    feed = {"x": np.array([1, -2], np.float32), "c": np.array(True)}
    np.testing.assert_array_equal(_run(clean(model, 7, "nested"), feed)[0], [-1, 2])
