"""Every rewrite computes what its operator does, in onnxruntime, on awkward values too."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.fold import fold
from splitwatt.export.compat.rewrites import REWRITES, rewrite
from splitwatt.export.compat.tables import load_table
from tests.export.compat.graphs import Constant, Input, branching, graph

RANDOM = np.random.RandomState(7)
FLOATS = np.concatenate([RANDOM.randn(50) * 5, [0.0, -0.0, 3.0, -3.0, 1e6, -1e6]]).astype("float32")
INTEGERS = np.concatenate([RANDOM.randint(-100, 100, 60), [0, 7, -7]])


def run(model, *values):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {port.name: value for port, value in zip(session.get_inputs(), values, strict=True)}
    return session.run(None, feed)


def rewritten(model, runtime="tensorrt", version="8.2", gone=True):
    """A rewritten copy, in which the operator is gone (TopK: stays, in another form)."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    op = model.graph.node[0].op_type
    done = rewrite(copy, load_table(runtime, version))
    assert [r.op for r in done] == [op] and done[0].reason and done[0].into
    assert not gone or op not in {node.op_type for node in copy.graph.node}
    rules = {f.rule for f in check_model(copy, load_table(runtime, version))}
    assert rules <= {"opset"}, rules
    return copy


def same(model, *values, rtol=0.0, **kwargs):
    for before, after in zip(
        run(model, *values), run(rewritten(model, **kwargs), *values), strict=True
    ):
        assert before.dtype == after.dtype and before.shape == after.shape
        np.testing.assert_allclose(after, before, rtol=rtol, atol=rtol)


FLOAT = Input(["n"])


def test_hard_swish():
    same(graph("HardSwish", FLOAT, opset=14), FLOATS, rtol=1e-6)


def top_k(k, *shape, dtype="float32", **attributes):
    return graph("TopK", Input(list(shape), dtype), k, outputs=2, made=dtype, **attributes)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_smallest_by_top_k(axis):
    values = np.round(RANDOM.randn(6, 8), 1).astype("float32")  # with equal elements
    model = top_k(Constant([4]), 6, 8, largest=0, axis=axis)
    same(model, values, gone=False)


def test_computed_k_of_a_fixed_dimension():
    model = top_k(Input([1], "int64"), 3, 20)
    values = RANDOM.randn(3, 20).astype("float32")
    for k in (0, 1, 7, 20):
        same(model, values, np.array([k]), gone=False)
    after = rewritten(model, gone=False)
    assert any(node.op_type == "Slice" for node in after.graph.node)


def test_computed_smallest_k():
    same(top_k(Input([1], "int64"), 3, 20, largest=0), RANDOM.randn(3, 20).astype("float32"),
         np.array([5]), gone=False)  # fmt: skip


def limited_k(size):
    """TopK of a dimension too large for TensorRT, with K = min(50, something computed)."""
    nodes = [
        helper.make_node("Concat", ["k", "limit"], ["both"], axis=0),
        helper.make_node("ReduceMin", ["both"], ["least"], keepdims=1),
        helper.make_node("TopK", ["x", "least"], ["values", "indices"]),
    ]
    given = [
        helper.make_tensor_value_info("x", 1, [size]), helper.make_tensor_value_info("k", 7, [1])
    ]  # fmt: skip
    made = [
        helper.make_tensor_value_info("values", 1, None),
        helper.make_tensor_value_info("indices", 7, None),
    ]
    limit = numpy_helper.from_array(np.array([50]), "limit")
    body = helper.make_graph(nodes, "limited", given, made, [limit])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def test_computed_k_below_a_constant():
    model = limited_k(9000)
    values = RANDOM.randn(9000).astype("float32")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    table = load_table("tensorrt", "8.5")
    assert [r.op for r in rewrite(copy, table)] == ["ReduceMin", "TopK"]
    assert "initializer" not in {f.rule for f in check_model(copy, table)}
    for k in (3, 50, 700):
        for a, b in zip(run(model, values, np.array([k])), run(copy, values, np.array([k])),
                        strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("version", ["8.2", "8.5"])
@pytest.mark.parametrize("largest", [0, 1])
def test_computed_k_where_there_may_be_fewer_elements(version, largest):
    """As a proposal network asks for at most 50 of as many anchors as an image has."""
    model = limited_k("n")
    model.graph.node[2].attribute.append(helper.make_attribute("largest", largest))
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    table = load_table("tensorrt", version)
    assert [r.op for r in rewrite(copy, table)] == ["ReduceMin", "TopK"]
    assert not [f for f in check_model(copy, table) if f.kind == "refused"]
    for size in (1, 7, 50, 900):
        values = np.round(RANDOM.randn(size), 1).astype("float32")
        for k in sorted({0, 1, size // 2, size}):
            for a, b in zip(run(model, values, np.array([k])), run(copy, values, np.array([k])),
                            strict=True):  # fmt: skip
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("op", ["ReduceMin", "ReduceMax"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_least_and_the_largest_of_a_few_integers(op, keepdims):
    model = graph(op, Input([3], "int64"), made="int64", keepdims=keepdims)
    same(model, np.array([5, -2, 9]), version="8.5")


def test_what_has_no_bound_is_left():
    model = top_k(Input([1], "int64"), "n")
    assert rewrite(model, load_table("tensorrt", "8.2")) == []


def test_what_fits_is_left():
    model = graph("HardSwish", FLOAT, opset=14)
    before = model.SerializeToString()
    assert rewrite(model, load_table("tensorrt", "8.6")) == []
    assert model.SerializeToString() == before


def test_clip_of_integers():
    given = [Input(["n"], "int32"), Constant(-5, "int32"), Constant(9, "int32")]
    same(graph("Clip", *given, made="int32"), INTEGERS.astype("int32"), runtime="onnxruntime",
         version="1.10")  # fmt: skip


@pytest.mark.parametrize("biased", [False, True])
def test_layer_normalisation(biased):
    weights = [Constant(RANDOM.randn(6), "float32") for _ in range(2 if biased else 1)]
    model = graph("LayerNormalization", Input([2, 4, 6]), *weights, opset=17)
    same(model, RANDOM.randn(2, 4, 6).astype("float32"), rtol=1e-5, version="8.5")


def test_every_rewrite_is_tested_here():
    tested = {"Clip", "HardSwish", "LayerNormalization", "ReduceMax", "ReduceMin", "TopK"}
    assert set(REWRITES) == tested


def test_folding_takes_shapes_and_known_branches():
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["width"]),
        helper.make_node("Greater", ["width", "one"], ["wide"]),
        helper.make_node("If", ["wide"], ["factor"], **_branches()),
        helper.make_node("Mul", ["x", "factor"], ["y"]),
    ]
    body = helper.make_graph(
        nodes, "folded",
        [helper.make_tensor_value_info("x", 1, [2, 3])],
        [helper.make_tensor_value_info("y", 1, [2, 3])],
        [numpy_helper.from_array(np.array(1), "one")],
    )  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    x = RANDOM.randn(2, 3).astype("float32")
    before = run(model, x)
    assert fold(model) == 4
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Mul"]
    np.testing.assert_array_equal(run(model, x)[0], before[0])


def test_folding_keeps_equal_names_of_two_branches_apart():
    """ONNX lets the branches of two Ifs use the same names."""
    made = helper.make_tensor_value_info("out", 1, [2, 3])
    bodies = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, ["x"], ["out"])], name, [], [made]
        )
        for name, op in (("then", "Relu"), ("else", "Neg"))
    }
    nodes = [
        helper.make_node("If", ["yes"], ["a"], **bodies),
        helper.make_node("If", ["no"], ["b"], **bodies),
        helper.make_node("Sub", ["a", "b"], ["y"]),
    ]
    body = helper.make_graph(
        nodes, "folded",
        [helper.make_tensor_value_info("x", 1, [2, 3])],
        [helper.make_tensor_value_info("y", 1, [2, 3])],
        [numpy_helper.from_array(np.array(flag), name) for name, flag in (("yes", True), ("no", False))],
    )  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    x = RANDOM.randn(2, 3).astype("float32")
    before = run(model, x)
    fold(model)
    onnx.checker.check_model(model)
    assert not [node for node in model.graph.node if node.op_type == "If"]
    np.testing.assert_array_equal(run(model, x)[0], before[0])


def _branches():
    node = branching([3], [3]).graph.node[0]
    return {a.name: a.g for a in node.attribute}
