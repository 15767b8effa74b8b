"""Precisions: graphs in fp16, int8 and TF32, what they cost, and bundles of them."""

import io
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from splitwatt.device_configs.errors import BundleError, ExportError, UsageError
from splitwatt.engines.bundle.arrays import load_arrays
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.bundle.manifest import Manifest
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, ServerPipeline
from splitwatt.engines.verify.verify import verify
from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.tables import load_table
from splitwatt.export.precision.error import lines_of
from splitwatt.export.precision.graph import _round_tf32, to_fp16, to_int8, to_tf32
from splitwatt.export.precision.int8_images import calibration_images
from splitwatt.export.request import prepare, split_name
from splitwatt.export.tracing.pieces import open_session
from splitwatt.profiler.config.bundles import find_folder
from tests.conftest import IN_A_PRECISION, PRECISION_MODEL, splitwatt

MODEL = PRECISION_MODEL
NANO = [load_table("tensorrt", "8.2"), load_table("onnxruntime", "1.10")]
XAVIER = [load_table("tensorrt", "8.5"), load_table("onnxruntime", "1.10")]


@pytest.fixture(scope="module")
def network():
    """A small network of PyTorch's and its graph, image -> (1, 10)."""
    torch.manual_seed(5)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, stride=2, groups=4), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 10),
    ).eval()  # fmt: skip
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, 32, 32),), buffer, input_names=["image"],
                          output_names=["y"], opset_version=13, dynamo=False)  # fmt: skip
    return module, onnx.load_model_from_string(buffer.getvalue())


def images(count, seed=1):
    return np.random.RandomState(seed).randn(count, 1, 3, 32, 32).astype(np.float32)


def run(model, image):
    return open_session(model).run(None, {"image": image})[0]


def edges(model):
    return {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}


def test_fp16_is_pytorch_s_half_with_float32_at_its_edges(network):
    module, model = network
    before = model.SerializeToString()
    made = to_fp16(model, NANO)
    assert model.SerializeToString() == before
    assert edges(made) == {TensorProto.FLOAT}
    assert {t.data_type for t in made.graph.initializer if t.dims} <= {
        TensorProto.FLOAT16, TensorProto.INT64,
    }  # fmt: skip
    assert made.ir_version == model.ir_version and made.opset_import == model.opset_import
    image = images(1)[0]
    with torch.no_grad():
        due = module.half()(torch.from_numpy(image).half()).float().numpy()
        module.float()
    np.testing.assert_allclose(run(made, image), due, atol=2e-3)
    assert 0 < np.abs(run(made, image) - run(model, image)).max() < 5e-3


def test_what_a_runtime_does_not_take_in_float16_stays_in_float32():
    """TensorRT 8.2 multiplies no matrices of integers, and takes TopK in float16: a made-up gap."""
    import dataclasses

    table = NANO[0]
    row = dataclasses.replace(table.operators["Relu"], types=frozenset(("float32",)))
    poorer = dataclasses.replace(table, operators={**table.operators, "Relu": row})
    x = onnx.helper.make_tensor_value_info("x", 1, [1, 4])
    y = onnx.helper.make_tensor_value_info("y", 1, [1, 4])
    nodes = [onnx.helper.make_node(op, [a], [b]) for op, a, b in
             (("Sigmoid", "x", "a"), ("Relu", "a", "b"), ("Tanh", "b", "y"))]  # fmt: skip
    graph = onnx.helper.make_graph(nodes, "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 7
    assert check_model(to_fp16(model, [table]), poorer)
    assert not check_model(to_fp16(model, [poorer]), poorer)
    nothing = dataclasses.replace(table, operators={"Cast": table.operators["Cast"]})
    with pytest.raises(ExportError, match="does not fit in fp16"):
        to_fp16(model, [nothing])


def test_a_tensor_that_several_float32_operators_read_is_cast_once():
    """Faster R-CNN clips its boxes by Min, which the converter keeps in float32: it cast them twice."""
    x = onnx.helper.make_tensor_value_info("x", 1, [1, 4])
    y = onnx.helper.make_tensor_value_info("y", 1, [1, 4])
    nodes = [onnx.helper.make_node(op, inputs, [output], name=output) for op, inputs, output in
             (("Sigmoid", ["x"], "a"), ("Tanh", ["x"], "b"), ("Relu", ["x"], "c"), ("Min", ["a", "b"], "d"),
              ("Min", ["c", "b"], "e"), ("Add", ["d", "e"], "y"))]  # fmt: skip
    graph = onnx.helper.make_graph(nodes, "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 7
    made = to_fp16(model, NANO)
    assert any(node.op_type == "Cast" for node in made.graph.node)
    feed = {"x": np.array([[-2, -1, 1, 2]], np.float32)}
    due = open_session(model).run(None, feed)[0]
    np.testing.assert_allclose(open_session(made).run(None, feed)[0], due, atol=2e-3)


def test_int8_is_what_tensorrt_takes(network):
    _, model = network
    made = to_int8(model, [{"image": image} for image in images(8)], XAVIER)
    values = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    nodes = {n.op_type: [m for m in made.graph.node if m.op_type == n.op_type]
             for n in made.graph.node}  # fmt: skip
    products = len(nodes["Conv"]) + len(nodes["Gemm"])
    assert products == 3 and len(nodes["QuantizeLinear"]) == 2 * products
    for node in nodes["QuantizeLinear"]:
        assert not values[node.input[2]].any() and values[node.input[2]].dtype == np.int8
    scales = [values[n.input[1]] for n in nodes["QuantizeLinear"]]
    assert sorted(s.size for s in scales)[-2:] == [16, 16], "convolutions are not per channel"
    assert edges(made) == {TensorProto.FLOAT}
    assert [o.domain for o in made.opset_import] == [""] and made.opset_import[0].version == 13
    for image in images(3, seed=2):
        due = run(model, image)
        assert 1e-5 < np.abs(run(made, image) - due).max() < 0.03 * np.abs(due).max() + 5e-3
    # An image as bright as those it was calibrated on, once more, saturates.
    assert np.abs(run(made, 4 * image) - run(model, 4 * image)).max() > 0.05


def test_int8_needs_a_product(network):
    x = onnx.helper.make_tensor_value_info("image", 1, [1, 4])
    y = onnx.helper.make_tensor_value_info("y", 1, [1, 4])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["image"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 7
    with pytest.raises(ExportError, match="no product to quantise"):
        to_int8(model, [{"image": np.zeros((1, 4), np.float32)}], XAVIER)


def test_tf32_keeps_ten_bits(network):
    _, model = network
    random = np.random.RandomState(3)
    values = (random.randn(20000) * 10.0 ** random.randint(-20, 20, 20000)).astype(np.float32)
    bits = values.view(np.uint32).astype(np.uint64)
    due = ((bits + 0xFFF + ((bits >> 13) & 1)) & ~np.uint64(0x1FFF)).astype(np.uint32)
    assert np.array_equal(_round_tf32(values).view(np.uint32), due)
    image = images(1)[0]
    answer, whole = run(to_tf32(model), image), run(model, image)
    assert 0 < np.abs(answer - whole).max() < 5e-3
    rounded = to_tf32(model)
    for tensor in rounded.graph.initializer:
        if tensor.name.endswith("_tf32"):
            assert not (numpy_helper.to_array(tensor).view(np.uint32) & 0x1FFF).any()


def test_names():
    assert split_name("ladon_r50@0.32-fp16", None) == ("ladon_r50@0.32", "fp16")
    assert split_name("ladon_r50", "int8") == ("ladon_r50", "int8")
    assert split_name("ladon_r50", None) == ("ladon_r50", "fp32")
    for name in ("ladon_r50@0.32", "ladon_r50@0.32-fp16"):
        assert prepare(name, "nano", None, "random", "b").name == name
        due = prepare(name, "nano", None, "random", "b").out
        assert due == Path("b", "nano", name)
        assert prepare(name, "nano", None, "random", "b", out="").out == due
    with pytest.raises(UsageError, match="is in fp16, not int8"):
        split_name("x-fp16", "int8")
    with pytest.raises(UsageError, match="did you mean fp16"):
        split_name("x", "fp61")


@pytest.mark.parametrize(("target", "precision"), [("nano", "int8"), ("cpu", "fp16")])
def test_a_precision_without_a_fast_path_is_refused(target, precision):
    with pytest.raises(UsageError, match=f"{target} has no fast path for {precision}.*fp32"):
        prepare("mobilenet_v3_large", target, None, "random", "b", precision=precision)
    result = splitwatt("export", "--model", f"mobilenet_v2-{precision}", "--target", target,
                       "--weights", "random", check=False)  # fmt: skip
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "no fast path" in result.stderr


def test_calibration_images(tmp_path, photographs):
    assert calibration_images(None)[1].endswith("packaged photographs")
    with pytest.raises(UsageError, match="holds no image"):
        calibration_images(str(tmp_path))
    shutil.copy(photographs[0], tmp_path)
    images, first = calibration_images(str(tmp_path))
    assert len(images) == 1 and first.startswith("1 images of")
    (tmp_path / "._raccoon.jpg").write_bytes(b"what a Mac leaves")
    assert calibration_images(str(tmp_path)) == (images, first)
    with pytest.raises(UsageError, match="there is no folder of images"):
        calibration_images(str(tmp_path / "none"))
    shutil.copy(photographs[1], tmp_path)
    assert calibration_images(str(tmp_path))[1] != first
    result = splitwatt("export", "--model", "mobilenet_v2", "--target", "orin_nano", "--weights",
                       "random", "--calibration", tmp_path, check=False)  # fmt: skip
    assert result.returncode == 2 and "--calibration is for int8" in result.stderr


@pytest.fixture
def exported(precision_bundles):
    """The same model in fp16 for a Nano and in int8 for a Xavier NX, calibrated on two images."""
    return precision_bundles


CASES = list(IN_A_PRECISION.items())


@pytest.mark.parametrize(("target", "precision"), CASES)
def test_a_bundle_states_what_its_precision_costs(exported, bundles, target, precision):
    path = exported / target / f"{MODEL}-{precision}"
    bundle, due = Bundle.open(str(path)), Bundle.open(str(bundles / MODEL))
    manifest = bundle.manifest
    assert manifest.model == f"{MODEL}-{precision}" and manifest.precision == precision
    assert [p.precision for p in manifest.parts] == [precision] + ["fp32"] * (
        len(manifest.parts) - 1
    )
    stated = manifest.own_rounding
    assert stated.parts[0].part == "encoder" and 1e-5 < stated.parts[0].relative < 0.2
    assert 0 < stated.latent.moved_percent < (1 if precision == "fp16" else 30)
    assert set(stated.agreement) == {"classification"} and stated.photographs == 2
    assert (stated.calibration or "").startswith("" if precision == "fp16" else "2 images of two")
    lines = lines_of(stated)
    assert lines[0].startswith(precision) and "against fp32, on 2 photographs" in lines[0]
    assert any("of its values move" in line for line in lines)
    # The tables and the answers that the bundle carries are those of fp32.
    assert manifest.codec == due.manifest.codec
    for a, b in zip(bundle.samples(), due.samples(), strict=True):
        arrays, expected = load_arrays(a.expected), load_arrays(b.expected)
        assert np.array_equal(arrays["payload"], expected["payload"])
    checks = [check for check in verify(bundle) if not check.name.startswith("range coder")]
    assert all(check.passed for check in checks), checks
    assert any(f"payload in {precision}" in check.name for check in checks)
    if precision == "fp16":
        assert manifest.parts[0].bytes < 0.6 * due.manifest.parts[0].bytes
        less = due.manifest.parts[0].bytes - manifest.parts[0].bytes
        deployed = (b.manifest.encoder_size_bytes.deployed for b in (due, bundle))
        assert next(deployed) - next(deployed) == less


@pytest.mark.parametrize(("target", "precision"), CASES)
def test_a_decoder_takes_what_any_precision_encoded(exported, bundles, target, precision):
    board_bundle = Bundle.open(str(exported / target / f"{MODEL}-{precision}"))
    server_bundle = Bundle.open(str(bundles / MODEL))
    rgb = decode_image(board_bundle.samples()[0].photo)
    with (
        BoardPipeline(board_bundle) as board,
        BoardPipeline(server_bundle) as fp32,
        ServerPipeline(server_bundle) as server,
    ):
        request, due = board.run(rgb), fp32.run(rgb)
        assert request.payload != due.payload
        answer, _ = server.run(request.payload, request.sizes)
        size = tuple(int(side) for side in request.sizes[4:])
        gaps = board.codec.decode(request.payload, size)["latent"]
        gaps = np.abs(gaps - board.codec.decode(due.payload, size)["latent"])
    assert answer["classification"]["labels"].shape == (5,)
    assert 0 < np.count_nonzero(gaps) < 0.3 * gaps.size and gaps.max() < 4


def test_a_split_bundle_in_fp32_states_how_far_rounding_would_move_its_latent(bundles):
    for name in (MODEL, "ladon_r50@20.48"):
        entries = {r.precision: r for r in Bundle.open(str(bundles / name)).manifest.rounding}
        assert set(entries) == {"tf32", "fp16"}
        for entry in entries.values():
            assert not entry.deployed and entry.agreement == {}
            assert 0 < entry.latent.moved_percent < 1 and abs(entry.latent.bytes_percent) < 1
    assert Bundle.open(str(bundles / "mobilenet_v3_large")).manifest.rounding == []


def test_profiles_find_a_bundle_by_its_name(exported):
    folder = str(exported)
    for name in (f"{MODEL}-fp16", "entropic_student_ic-fp16"):
        assert find_folder(folder, "nano", name).endswith(f"{MODEL}-fp16")
    assert find_folder(folder, "nano", "entropic_student_ic-int8") is None
    assert find_folder(folder, "nano", MODEL) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(rounding=[]), "'rounding' must state"),
        (lambda d: d.update(precision="fp8"), "'precision' must be 'fp32'"),
        (lambda d: d["rounding"][0].update(precision="bf16"), "'rounding[0].precision'"),
        (lambda d: d["rounding"][0]["latent"].update(moved=1), "unknown key 'rounding[0].latent.moved'"),
        (lambda d: d["rounding"][0]["latent"].pop("largest_step"), "'rounding[0].latent.largest_step'"),
        (lambda d: d["rounding"][0].update(photographs=0), "'rounding[0].photographs'"),
        (lambda d: d["parts"][0].update(precision="half"), "'parts[0].precision'"),
        (lambda d: d["parts"][0].update(runtime="cuda"), "'parts[0].runtime'"),
        (lambda d: d["compat"][0].update(part="enc"), "'compat[0].part' names no part: 'enc'"),
        (lambda d: d["compat"][0].update(on_tensorrt="cut"), "'compat[0].cut'"),
    ],
)  # fmt: skip
def test_what_a_manifest_states_is_checked(exported, change, words):
    path = exported / "nano" / f"{MODEL}-fp16" / "manifest.json"
    document = json.loads(path.read_text())
    Manifest.from_json(document)
    change(document)
    with pytest.raises(BundleError) as error:
        Manifest.from_json(document)
    assert words in str(error.value)
