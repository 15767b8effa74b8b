"""Cut detectors of torchvision: both halves together compute what the whole does."""

import collections
import io
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from onnx import helper, numpy_helper

from splitwatt.device_configs.errors import ExportError
from splitwatt.device_configs.targets import load_target
from splitwatt.engines.bundle.declare import plain
from splitwatt.export.compat.cut import extract, plan_cut
from splitwatt.export.compat.fit import fit, fit_to, lines_of
from splitwatt.export.compat.fold import fold
from splitwatt.export.compat.macs import macs_of, sized
from splitwatt.export.compat.tables import load_table
from tests.export.compat.graphs import Constant, Input, graph

DETECTORS = {
    "ssdlite": (
        torchvision.models.detection.ssdlite320_mobilenet_v3_large, {"score_thresh": 0.0}, 320
    ),
    "fasterrcnn": (
        torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn,
        {"box_score_thresh": 0.0}, 320,
    ),
}  # fmt: skip
# What onnxruntime must not be left with.
HEAVY = {"Conv", "ConvTranspose", "Gemm"}


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request):
    """Its name, and the model exported at opset 13 with random weights for one fixed size."""
    build, arguments, side = DETECTORS[request.param]
    torch.manual_seed(3)
    module = build(weights=None, weights_backbone=None, **arguments).eval()
    image = torch.rand(3, side, side)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, ([image],), buffer, opset_version=13, dynamo=False, input_names=["image"]
        )
    return request.param, onnx.load_model_from_string(buffer.getvalue())


@pytest.fixture(scope="module")
def for_nano(detector):
    """The detector made to fit a Nano."""
    return fit(detector[1], "model", load_target("nano"))


def run(model, tensors):
    """The model's outputs by name, from whichever of `tensors` it asks for."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [port.name for port in session.get_outputs()]
    feed = {port.name: tensors[port.name] for port in session.get_inputs()}
    return dict(zip(names, session.run(names, feed), strict=True))


def chained(models, tensors):
    tensors = dict(tensors)
    for model in models:
        tensors.update(run(model, tensors))
    return tensors


@pytest.mark.parametrize("target", ["nano", "xavier_nx", "orin_nano", "laptop"])
def test_the_halves_compute_what_the_whole_does(detector, target):
    name, model = detector
    before = model.SerializeToString()
    fitted = fit(model, "model", load_target(target))
    assert model.SerializeToString() == before
    image = np.random.RandomState(1).rand(3, 320, 320).astype("float32")
    whole = run(model, {"image": image})
    parts = chained([piece.model for piece in fitted.pieces], {"image": image})
    assert any(value.size for value in whole.values())
    for port, expected in whole.items():
        np.testing.assert_allclose(parts[port], expected, rtol=1e-4, atol=1e-4, err_msg=port)


def test_for_tensorrt_10_a_detector_of_torchvision_is_whole(detector):
    """As PyTorch writes it; what the zoo's own detectors are for 8.5 is in test_cut_bundles."""
    fitted = fit_to(
        detector[1], "model", load_table("tensorrt", "10.1"), load_table("onnxruntime", "1.10")
    )
    assert [piece.runtime for piece in fitted.pieces] == ["tensorrt"]
    assert fitted.report.on_tensorrt == "whole"


def test_a_nano_gets_every_convolution_it_can(detector, for_nano):
    name, model = detector
    fitted = for_nano
    runtimes = ["tensorrt", "onnxruntime"] * (2 if name == "fasterrcnn" else 1)
    assert [p.runtime for p in fitted.pieces] == runtimes
    assert [p.name for p in fitted.pieces] == ["model", "model.2", "model.3", "model.4"][
        : len(runtimes)
    ]
    counts = [collections.Counter(n.op_type for n in p.model.graph.node) for p in fitted.pieces]
    for ran, runtime in zip(counts, runtimes, strict=True):
        lacks = HEAVY if runtime == "onnxruntime" else {"NonMaxSuppression", "RoiAlign", "NonZero"}
        assert lacks.isdisjoint(ran)
    assert counts[0]["Conv"] == sum(n.op_type == "Conv" for n in model.graph.node)
    if name == "fasterrcnn":  # the class and box branch, which comes after RoiAlign
        assert counts[2]["Gemm"] == 4
    # Boxes and scores cross, not a tensor a class.
    assert len(fitted.report.cut.crossing) <= (12 if name == "fasterrcnn" else 4)


def test_the_report_says_what_was_cut_and_why(for_nano):
    report = for_nano.report
    document = plain(report)
    assert document["on_tensorrt"] == "cut"
    assert document["tables"] == ["TensorRT 8.2", "onnxruntime 1.10"]
    assert any("NonZero" in entry["reason"] for entry in document["reasons"])
    assert document["cut"]["nodes_before"] > 100
    text = "\n".join(lines_of(report))
    assert "cut, the pieces run in turn" in text and "NonMaxSuppression" in text


def test_a_whole_classifier_needs_no_report():
    torch.manual_seed(3)
    module = torchvision.models.mobilenet_v3_small().eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.rand(1, 3, 64, 64),), buffer, opset_version=13,
                          dynamo=False)  # fmt: skip
    model = onnx.load_model_from_string(buffer.getvalue())
    for target in ("nano", "xavier_nx", "orin_nano", "laptop", "cpu"):
        fitted = fit(model, "model", load_target(target))
        assert len(fitted.pieces) == 1 and lines_of(fitted.report) == []
    assert plan_cut(model, load_table("tensorrt", "8.2")) is None


def chain(*operators, made="float32", shape=(1, 4, 8, 8)):
    """A model that applies operators in turn; each is (op, further inputs, attributes)."""
    nodes, constants, name = [], [], "x"
    for index, (op, more, attributes) in enumerate(operators):
        names = []
        for position, value in enumerate(more):
            names.append(f"c{index}_{position}")
            constants.append(numpy_helper.from_array(value, names[-1]))
        out = "y" if index == len(operators) - 1 else f"t{index}"
        nodes.append(helper.make_node(op, [name, *names], [out], **attributes))
        name = out
    element = int(helper.np_dtype_to_tensor_dtype(np.dtype(made)))
    body = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("x", 1, list(shape))],
        [helper.make_tensor_value_info("y", element, None)], constants,
    )  # fmt: skip
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


KERNEL = np.random.RandomState(0).randn(4, 4, 3, 3).astype("float32")
CONV = ("Conv", [KERNEL], {"pads": [1, 1, 1, 1]})
ARG_MAX = ("ArgMax", [], {"axis": 1, "keepdims": 1})
TO_FLOAT = ("Cast", [], {"to": 1})
NON_ZERO = ("NonZero", [], {})


def test_integers_cross_as_the_type_that_the_runtime_has():
    model = chain(CONV, ARG_MAX, NON_ZERO, made="int64")
    table = load_table("tensorrt", "8.2")
    cut = plan_cut(model, table)
    assert [(c.dtype, c.as_dtype) for c in cut.crossing] == [("int64", "int32")]
    head, tail = extract(model, cut)
    assert head.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.INT32
    x = {"x": np.random.RandomState(1).randn(1, 4, 8, 8).astype("float32")}
    np.testing.assert_array_equal(chained([head, tail], x)["y"], run(model, x)["y"])


def test_nothing_before_the_cut_depends_on_anything_after_it():
    first = chain(CONV, NON_ZERO, TO_FLOAT, made="float32")
    table = load_table("tensorrt", "8.2")
    cut = plan_cut(first, table)
    assert cut.prefix == (0,) and cut.remainder == (1, 2)
    assert cut.macs_prefix == cut.macs_total == 4 * 4 * 9 * 64


def test_a_part_that_starts_with_a_misfit_is_left_to_onnxruntime():
    model = chain(NON_ZERO, TO_FLOAT, ("MatMul", [np.ones((5, 2), "float32")], {}))
    cut = plan_cut(model, load_table("tensorrt", "8.2"))
    assert cut.prefix == ()
    with pytest.raises(ExportError):
        extract(model, cut)
    fitted = fit(model, "model", load_target("nano"))
    assert [piece.runtime for piece in fitted.pieces] == ["onnxruntime"]
    assert fitted.report.on_tensorrt == "none"


def test_the_fewest_bytes_cross():
    """Of several places without a product between them, the cut takes the narrowest."""
    wide, wider = (("Tile", [np.array([1, 1, n, n])], {}) for n in (4, 64))
    narrow = ("GlobalAveragePool", [], {})
    model = chain(CONV, wide, narrow, wider, NON_ZERO, made="int64")
    assert plan_cut(model, load_table("tensorrt", "8.2")).prefix == (0, 1, 2)


def test_what_no_runtime_runs_is_refused_in_one_sentence():
    with pytest.raises(ExportError, match="nano cannot run the part 'body': Mystery"):
        fit(graph("Mystery", Input([1, 2]), domain="else.where"), "body", load_target("nano"))
    with pytest.raises(ExportError, match="TensorRT 8.2 reads the opsets 7 to 13, not 14"):
        fit(graph("Relu", Input([1, 2]), opset=14), "body", load_target("nano"))


def test_products_are_counted_as_torchvision_does():
    torch.manual_seed(3)
    weights = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT
    module = torchvision.models.mobilenet_v3_small().eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.rand(1, 3, 64, 64),), buffer, opset_version=13, dynamo=False,
            input_names=["image"], dynamic_axes={"image": {2: "h", 3: "w"}},
        )  # fmt: skip
    model = onnx.load_model_from_string(buffer.getvalue())
    fold(model)
    view = sized(model, {"image": [1, 3, 224, 224]})
    counted = sum(macs_of(node, view) for node in view.graph.node)
    assert round(counted / 1e9, 3) == weights.meta["_ops"]
    free = sized(model, None)
    assert any(macs_of(node, free) is None for node in free.graph.node)


def test_constant_k_of_the_limit():
    """A graph that fits needs no cut; the limit of K is the version's own."""
    model = graph("TopK", Input([5000]), Constant([3840]), outputs=2)
    assert plan_cut(model, load_table("tensorrt", "8.6")) is None
    assert plan_cut(model, load_table("tensorrt", "10.1")).prefix == ()
