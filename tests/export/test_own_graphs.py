"""`splitwatt bundle`: ONNX graphs written by onnx alone become bundles that verify, without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from splitwatt.device_configs.errors import ExportError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.engines.rangecoder import Tables
from splitwatt.engines.verify.verify import verify
from splitwatt.export.calibrate import fit_tables
from splitwatt.export.own_graphs import read_preprocess
from tests.conftest import splitwatt

PREPROCESS = {
    "resize": {"rule": "shorter", "size": 40, "max_size": None, "filter": "pillow-bilinear"},
    "crop": [32, 32],
    "pad_multiple": None,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
}


def _weight(name, *shape):
    random = np.random.default_rng(len(name))
    return numpy_helper.from_array(random.normal(0, 1, shape).astype(np.float32), name)


def _save(path, nodes, inputs, outputs, weights):
    def value(name, shape, dtype=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, dtype, shape)

    graph = helper.make_graph(
        nodes, path.stem, [value(*v) for v in inputs], [value(*v) for v in outputs], weights
    )
    domains = {"": 13, **{node.domain: 1 for node in nodes if node.domain}}
    opsets = [helper.make_opsetid(*domain) for domain in domains.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=7)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return str(path)


@pytest.fixture
def graphs(tmp_path):
    """An encoder of 8 channels, a decoder with 5 classes, and a local model, of foreign names."""
    (tmp_path / "p.json").write_text(json.dumps(PREPROCESS))
    conv = helper.make_node("Conv", ["x", "w"], ["y"], strides=[4, 4])
    _save(tmp_path / "encoder.onnx", [conv], [("x", [1, 3, 32, 32])], [("y", [1, 8, 8, 8])],
          [_weight("w", 8, 3, 4, 4)])  # fmt: skip
    head = [
        helper.make_node("GlobalAveragePool", ["z"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fc"], ["out"]),
    ]
    _save(tmp_path / "decoder.onnx", head, [("z", ["n", 8, 8, 8])], [("out", ["n", 5])],
          [_weight("fc", 8, 5)])  # fmt: skip
    whole = [helper.make_node("Conv", ["x", "w"], ["z"], strides=[4, 4]), *head]
    _save(tmp_path / "local.onnx", whole, [("x", [1, 3, 32, 32])], [("out", [1, 5])],
          [_weight("w", 8, 3, 4, 4), _weight("fc", 8, 5)])  # fmt: skip
    return tmp_path


def _bundle(folder, *more, check=True):
    return splitwatt("bundle", "--preprocess", folder / "p.json", "--name", "mine", "--target", "cpu",
                     "--bundles", folder / "bundles", *more, check=check)  # fmt: skip


def test_two_graphs_become_a_split_bundle_that_answers_as_they_do(graphs):
    (graphs / "l.txt").write_text("a\nb\nc\nd\ne\n")
    encoder, decoder = graphs / "encoder.onnx", graphs / "decoder.onnx"
    _bundle(graphs, "--board", encoder, "--server", decoder, "--labels", graphs / "l.txt")
    bundle = Bundle.open(str(graphs / "bundles" / "cpu" / "mine"))
    manifest = bundle.manifest
    assert manifest.split and manifest.postprocess["classification"].labels == list("abcde")
    assert [part.parity for part in manifest.parts] == [None, None]
    assert [part.params for part in manifest.parts] == [384, 40]
    assert manifest.part("encoder").gmac == pytest.approx(384 * 64 / 1e9, abs=1e-6)
    checks = list(verify(bundle))
    assert checks and all(check.passed for check in checks), checks
    # What onnxruntime makes of the same graphs, with the latent rounded by hand.
    photo = decode_image(default_photos()[0])
    image = preprocess(photo, read_preprocess(str(graphs / "p.json"))).tensor
    latent = onnxruntime.InferenceSession(str(encoder)).run(None, {"x": image})[0]
    with BoardPipeline(bundle) as board:
        payload = board.run(photo).payload
        received = board.codec.decode(payload, (32, 32))["latent"]
    np.testing.assert_array_equal(received, np.rint(latent))


def test_a_local_graph_needs_no_server_and_numbers_name_its_classes(graphs):
    _bundle(graphs, "--board", graphs / "local.onnx")
    bundle = Bundle.open(str(graphs / "bundles" / "cpu" / "mine"))
    assert not bundle.manifest.split
    assert bundle.manifest.postprocess["classification"].labels is None
    assert all(check.passed for check in verify(bundle))
    answers = splitwatt(
        "infer", bundle.path, default_photos()[0], "--json", "--out", graphs / "answers"
    )
    assert json.loads(answers.stdout)


def test_a_tensor_of_unknown_rank_crosses_a_cut(graphs):
    """Behind a Loop whose body does not keep its carried tensor's rank, as far as ONNX can infer."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Unique", ["carried"], ["u"]),
            helper.make_node("ReduceMean", ["u"], ["r"], keepdims=0),
            helper.make_node("Add", ["carried", "r"], ["next"]),
        ],
        "body",
        [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []),
         value("carried", TensorProto.FLOAT, [1, 8, 8, 8])],
        [value("go_on", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [1, 8, 8, 8])],
    )  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["z"], strides=[4, 4]),
        helper.make_node("Loop", ["n", "", "z"], ["d"], body=body),
        helper.make_node("Conv", ["d", "k"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fc"], ["out"]),
    ]
    weights = [_weight("w", 8, 3, 4, 4), _weight("k", 8, 8, 1, 1), _weight("fc", 8, 5)]
    _save(graphs / "loop.onnx", nodes, [("x", [1, 3, 32, 32])], [("out", [1, 5])],
          [*weights, numpy_helper.from_array(np.array(2), "n")])  # fmt: skip
    _bundle(graphs, "--board", graphs / "loop.onnx", "--target", "nano")
    bundle = Bundle.open(str(graphs / "bundles" / "nano" / "mine"))
    (port,) = bundle.part("model.3").inputs
    assert port.shape == (None,) * 4
    assert all(check.passed for check in verify(bundle))


def test_what_a_target_lacks_is_said_as_export_says_it(graphs):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["z"], strides=[4, 4]),
        helper.make_node("Unique", ["z"], ["u"]),
        helper.make_node("ReduceMax", ["u"], ["m"], keepdims=0),
        helper.make_node("Div", ["z", "m"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "fc"], ["out"]),
    ]
    _save(graphs / "cut.onnx", nodes, [("x", [1, 3, 32, 32])], [("out", [1, 5])],
          [_weight("w", 8, 3, 4, 4), _weight("fc", 8, 5)])  # fmt: skip
    done = _bundle(graphs, "--board", graphs / "cut.onnx", "--target", "nano")
    assert "mine: model: cut, the pieces run in turn by TensorRT and onnxruntime" in done.stderr
    assert "why: 1 x Unique (unsupported): TensorRT 8.2 does not support it" in done.stderr
    parts = Bundle.open(str(graphs / "bundles" / "nano" / "mine")).manifest.parts
    runtimes = {part.name: part.runtime for part in parts}
    assert runtimes == {"model": "tensorrt", "model.2": "onnxruntime", "model.3": "tensorrt"}


@pytest.mark.parametrize("names", [4, 6])
def test_fewer_or_more_names_than_outputs_are_one_sentence(graphs, names):
    (graphs / "l.txt").write_text("".join(f"class {i}\n" for i in range(names)))
    result = _bundle(graphs, "--board", graphs / "local.onnx", "--labels", graphs / "l.txt",
                     check=False)  # fmt: skip
    assert result.returncode and "Traceback" not in result.stderr
    said = f"l.txt holds {names} class names and the classification head has 5 outputs"
    assert said in result.stderr and "give 5 names" in result.stderr


def test_pytorch_is_not_imported(graphs):
    code = (
        "import sys; from splitwatt.__main__ import main; "
        f"assert main(['bundle', '--board', {str(graphs / 'encoder.onnx')!r}, '--server', "
        f"{str(graphs / 'decoder.onnx')!r}, '--preprocess', {str(graphs / 'p.json')!r}, '--name', 'x', "
        f"'--target', 'cpu', '--bundles', {str(graphs)!r}]) == 0; "
        "assert not {'torch', 'compressai', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tables_of_ones_own_are_kept(graphs):
    tables = fit_tables([np.random.default_rng(1).normal(0, 9, (1, 8, 8, 8)).astype(np.float32)])
    tables.save(str(graphs / "t.npz"))
    files = ["--board", graphs / "encoder.onnx", "--server", graphs / "decoder.onnx"]
    _bundle(graphs, *files, "--tables", graphs / "t.npz")
    bundle = Bundle.open(str(graphs / "bundles" / "cpu" / "mine"))
    assert bundle.manifest.codec.tables[0].id == tables.id
    Tables(tables.cdf[:3], tables.cdf_length[:3], tables.offset[:3]).save(str(graphs / "t.npz"))
    result = _bundle(graphs, *files, "--tables", graphs / "t.npz", check=False)
    assert "tables for 3 channels" in result.stderr and "gives 8" in result.stderr


@pytest.mark.parametrize(
    "board, server, said",
    [
        ("encoder", "local", "they do not meet"),
        ("local", "decoder", "they do not meet"),
        ("decoder", None, "does not run on a photograph"),
        ("encoder", None, "the answer of no task"),
        ("p.json", None, "p.json"),
        ("missing", None, "missing.onnx"),
    ],
)
def test_graphs_that_make_no_bundle_are_one_sentence_and_leave_nothing(graphs, board, server, said):
    def file(name):
        return graphs / (name if "." in name else f"{name}.onnx")

    more = ["--server", file(server)] if server else []
    result = _bundle(graphs, "--board", file(board), *more, check=False)
    assert result.returncode and said in result.stderr and "Traceback" not in result.stderr
    assert not (graphs / "bundles" / "cpu" / "mine").exists()


def test_graphs_count_as_trained_only_aloud_and_untrained_ones_are_marked(graphs):
    files = ["--board", graphs / "encoder.onnx", "--server", graphs / "decoder.onnx"]
    assert "--untrained" in _bundle(graphs, *files).stderr
    place = str(graphs / "bundles" / "cpu" / "mine")
    weights = Bundle.open(place).manifest.weights
    assert weights.trained and any("not known whether" in note for note in weights.notes)
    assert "--untrained" not in _bundle(graphs, *files, "--untrained").stderr
    assert not Bundle.open(place).manifest.weights.trained
    answer = splitwatt("infer", place, default_photos()[0], "--out", graphs / "answers")
    assert "mean nothing" in answer.stdout + answer.stderr


def test_calibrate_takes_a_bundle_of_ones_own_graphs(graphs):
    _bundle(graphs, "--board", graphs / "encoder.onnx", "--server", graphs / "decoder.onnx")
    photographs = str(Path(default_photos()[0]).parent)
    done = splitwatt("calibrate", graphs / "bundles/cpu/mine", "--images", photographs,
                     "--out", graphs / "fitted", "--json")  # fmt: skip
    stated = json.loads(done.stdout)
    assert stated["images"] == len(default_photos())
    fitted = Bundle.open(str(graphs / "fitted"))
    assert all(check.passed for check in verify(fitted))
    assert (
        fitted.manifest.codec.tables[0].id
        != Bundle.open(str(graphs / "bundles/cpu/mine")).manifest.codec.tables[0].id
    )


def test_what_no_table_can_hold_is_refused():
    with pytest.raises(ExportError, match="channel 1 of the latent"):
        fit_tables([np.stack([np.zeros((4, 4)), np.full((4, 4), 1e6)])[None].astype(np.float32)])
    constant = fit_tables([np.zeros((1, 2, 4, 4), np.float32)])
    assert constant.count == 2


def _made(folder, board, *more):
    _bundle(folder, "--board", board, *more)
    return Bundle.open(str(folder / "bundles" / "cpu" / "mine"))


@pytest.mark.parametrize("dtype", [TensorProto.INT64, TensorProto.UINT8, TensorProto.INT32])
def test_a_mask_of_whole_numbers_is_taken_and_its_classes_are_numbers(graphs, dtype):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("ArgMax", ["c"], ["a"], axis=1, keepdims=0),
        helper.make_node("Cast", ["a"], ["classes"], to=dtype),
    ]
    board = _save(graphs / "seg.onnx", nodes, [("x", [1, 3, 32, 32])],
                  [("classes", [1, 32, 32], dtype)], [_weight("w", 3, 3, 1, 1)])  # fmt: skip
    bundle = _made(graphs, board)
    assert bundle.manifest.postprocess["segmentation"].labels is None
    (port,) = bundle.manifest.parts[-1].outputs
    assert (port.name, port.dtype) == ("mask", "int32")
    assert all(check.passed for check in verify(bundle))
    (graphs / "l.txt").write_text("a\nb\n")
    result = _bundle(graphs, "--board", board, "--labels", graphs / "l.txt", check=False)
    assert "l.txt holds 2 class names and the graph answers with the ids 0 to 2" in result.stderr


def _detector(path, rank=1):
    boxes = np.array([[1, 1, 20, 20], [3, 3, 30, 30]], np.float32)
    values = {"B": boxes, "L": np.array([1, 2]), "S": np.array([0.9, 0.8], np.float32)}
    if rank > 1:
        values = {name: value[None] for name, value in values.items()}
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "B"], ["boxes"]),
        helper.make_node("Identity", ["L"], ["labels"]),
        helper.make_node("Add", ["nothing", "S"], ["scores"]),
    ]
    outputs = [
        (name, values[key].shape, helper.np_dtype_to_tensor_dtype(values[key].dtype))
        for name, key in (("boxes", "B"), ("labels", "L"), ("scores", "S"))
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in values.items()]
    weights.append(numpy_helper.from_array(np.float32(0), "zero"))
    return _save(path, nodes, [("x", [1, 3, 32, 32])], outputs, weights)


def test_a_detector_of_ones_own_is_not_named_after_coco(graphs):
    board = _detector(graphs / "det.onnx")
    assert _made(graphs, board).manifest.postprocess["detection"].labels is None
    (graphs / "l.txt").write_text("nothing\ncat\ndog\n")
    manifest = _made(graphs, board, "--labels", graphs / "l.txt").manifest
    assert manifest.postprocess["detection"].labels == ["nothing", "cat", "dog"]
    result = _bundle(graphs, "--board", _detector(graphs / "batch.onnx", 2), check=False)
    assert "boxes [n, 4]" in result.stderr and "Traceback" not in result.stderr


def test_a_graph_that_cannot_answer_is_named_with_its_file(graphs):
    unknown = helper.make_node("Mystery", ["x"], ["out"], domain="of.mine")
    _save(graphs / "unknown.onnx", [unknown], [("x", [1, 3, 32, 32])], [("out", [1, 5])], [])
    broken = onnx.load(str(graphs / "local.onnx"))
    nan = numpy_helper.from_array(np.full((8, 5), np.nan, np.float32), "fc")
    next(w for w in broken.graph.initializer if w.name == "fc").CopyFrom(nan)
    onnx.save(broken, str(graphs / "nan.onnx"))
    for file, said in (("unknown.onnx", "Mystery"), ("nan.onnx", "not finite")):
        result = _bundle(graphs, "--board", graphs / file, check=False)
        assert file in result.stderr and said in result.stderr
        assert "correct the graph" in result.stderr and "PyTorch" not in result.stderr


def test_weights_in_a_second_file_are_taken_into_the_bundle(graphs):
    model = onnx.load(str(graphs / "local.onnx"))
    board = str(graphs / "two.onnx")
    onnx.save(model, board, save_as_external_data=True, location="two.data", size_threshold=0)
    bundle = _made(graphs, board)
    assert all(check.passed for check in verify(bundle))
    (graphs / "two.data").unlink()
    result = _bundle(graphs, "--board", board, check=False)
    assert "two.onnx" in result.stderr and "two.data" in result.stderr


def test_a_tensor_inside_that_has_one_of_our_names_stays_another_tensor(graphs):
    inner = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["taken"])], "inner", [],
        [helper.make_tensor_value_info("taken", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["image"], strides=[4, 4]),
        helper.make_node("If", ["yes"], ["logits"], then_branch=inner, else_branch=inner),
        helper.make_node("GlobalAveragePool", ["logits"], ["p"]),
        helper.make_node("Flatten", ["p"], ["out"]),
    ]
    weights = [_weight("w", 5, 3, 4, 4), numpy_helper.from_array(np.array(True), "yes")]
    board = _save(graphs / "names.onnx", nodes, [("x", [1, 3, 32, 32])], [("out", [1, 5])], weights)
    image = np.random.default_rng(1).normal(size=(1, 3, 32, 32)).astype(np.float32)
    (due,) = onnxruntime.InferenceSession(board).run(None, {"x": image})
    bundle = _made(graphs, board)
    part = bundle.manifest.parts[0]
    assert [port.name for port in part.inputs] == ["image"]
    session = onnxruntime.InferenceSession(str(Path(bundle.path) / part.file))
    np.testing.assert_allclose(session.run(["logits"], {"image": image})[0], due, rtol=1e-5)
