"""Bundles of parts that were cut: the same answers as the whole's, the same costs, and the report."""

import json

import numpy as np
import onnx
import pytest

from splitwatt.device_configs.targets import load_target
from splitwatt.engines.bundle.arrays import load_arrays
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
from splitwatt.engines.tensorrt.building import build
from splitwatt.engines.tensorrt.shapes import profile_of
from splitwatt.engines.verify.verify import compare_task
from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.fit import fit_to, tables_of
from splitwatt.export.compat.tables import load_table
from tests.conftest import CUT_BUNDLES, splitwatt

EVERY = [(target, name) for target, models in CUT_BUNDLES.items() for name, _ in models]
# Of the detectors that are cut, how many pieces; the box head of Ladon's goes back to TensorRT.
PIECES = {("nano", "ssdlite320_mobilenet_v3_large"): 2, ("nano", "ladon_r50@20.48"): 4}
CUT = list(PIECES)


def opened(cut_bundles, target, name):
    return Bundle.open(str(cut_bundles / target / name))


@pytest.mark.parametrize(("target", "name"), EVERY)
def test_every_piece_fits_what_runs_it(cut_bundles, target, name):
    bundle = opened(cut_bundles, target, name)
    manifest = bundle.manifest
    detectors = [p for p in manifest.parts if p.name.startswith(("model", "detector"))]
    pieces = PIECES.get((target, name), 1)
    assert [p.runtime for p in detectors] == (["tensorrt", "onnxruntime"] * 2)[:pieces]
    names = [detectors[0].name + f".{n}" * (n > 1) for n in range(1, pieces + 1)]
    assert [p.name for p in detectors] == names
    for part in manifest.parts:
        tensorrt, runtime = tables_of(load_target(part.target))
        model = onnx.load(bundle.part_path(part.name))
        assert check_model(model, runtime) == []
        if part.runtime == "tensorrt":
            assert check_model(model, tensorrt) == [], part.name
            assert build.left_to_onnxruntime(part) == ""
        else:
            assert "after the cut" in build.left_to_onnxruntime(part)


def test_the_detector_of_a_xavier_is_whole(cut_bundles):
    """TensorRT 8.5 takes NonMaxSuppression, NonZero and RoiAlign; the rest is written for it."""
    ((name, _),) = CUT_BUNDLES["xavier_nx"]
    (fit,) = opened(cut_bundles, "xavier_nx", name).manifest.compat
    assert (fit.on_tensorrt, fit.cut, list(fit.reasons)) == ("whole", None, [])


@pytest.mark.parametrize("version", ["8.5", "8.6", "10.1"])
@pytest.mark.parametrize(
    ("name", "part"), [("ssdlite320_mobilenet_v3_large", "model"), ("ladon_r50@20.48", "detector")]
)
def test_a_detector_is_whole_from_tensorrt_8_5_on(bundles, name, part, version):
    """An SSD and a Faster R-CNN, by each version's own table; no target has 8.6."""
    bundle = Bundle.open(str(bundles / name))
    model = onnx.load(bundle.part_path(part))
    table = load_table("tensorrt", version)
    fitted = fit_to(model, part, table, load_table("onnxruntime", "1.10"))
    (piece,) = fitted.pieces
    assert (fitted.report.on_tensorrt, piece.runtime) == ("whole", "tensorrt")
    assert check_model(piece.model, table) == []


@pytest.mark.parametrize(("target", "name"), CUT)
def test_the_pieces_cost_what_the_part_costs(cut_bundles, target, name):
    manifest = opened(cut_bundles, target, name).manifest
    pieces = [p for p in manifest.parts if p.name.startswith(("model", "detector"))]
    (fit,) = [fit for fit in manifest.compat if fit.part == pieces[0].name]
    assert fit.on_tensorrt == "cut" and fit.reasons
    on_tensorrt = sum(piece.gmac for piece in pieces[::2])
    assert on_tensorrt == sum(piece.gmac for piece in pieces)
    # The report counts as many boxes as there can be, the pieces those of a photograph.
    assert on_tensorrt * 1e9 == pytest.approx(fit.cut.macs_before, rel=0.02)
    assert sum(piece.params for piece in pieces[1::2]) < 1e-3 * pieces[0].params
    crossing = set()
    for number, piece in enumerate(pieces[1:], 1):
        made = {port.name for before in pieces[:number] for port in before.outputs}
        crossing |= {port.name for port in piece.inputs} & made
        assert set(piece.gmac_at) == {port.name for port in piece.inputs}
    assert len(crossing) == len(fit.cut.crossing)


def test_an_engine_after_a_cut_takes_as_many_boxes_as_there_can_be(cut_bundles):
    """Their number depends on what the image shows, so a trial run does not tell the largest."""
    bundle = opened(cut_bundles, "nano", "ladon_r50@20.48")
    head = bundle.part("detector.3")
    ranges = profile_of(bundle, head)
    assert head.largest and set(head.largest) < set(ranges)
    for name, most in head.largest.items():
        smallest, usual, largest = ranges[name]
        assert (smallest[0], usual[0], largest[0]) == (1, 1000, 1000)
        assert smallest[1:] == largest[1:] == most[1:]


def test_a_cut_model_answers_as_the_whole_one(cut_bundles, bundles):
    """The same weights exported whole for a computer without TensorRT."""
    name = "ladon_r50@20.48"
    for target, model in (("nano", "ssdlite320_mobilenet_v3_large"), ("nano", name)):
        cut, uncut = opened(cut_bundles, target, model), Bundle.open(str(bundles / model))
        assert len(cut.manifest.parts) == len(uncut.manifest.parts) + PIECES[target, model] - 1
        for a, b in zip(cut.samples(), uncut.samples(), strict=True):
            due, found = load_arrays(b.expected), load_arrays(a.expected)
            rgb = decode_image(a.photo)
            for task in cut.manifest.tasks:
                answer = {
                    task: {k.split(".")[1]: v for k, v in found.items() if k.startswith(task)}
                }
                check = compare_task(a.name, task, answer, due, max(rgb.shape[:2]))
                assert check.passed, check
            if cut.manifest.split:
                assert np.array_equal(found["payload"], due["payload"])


def test_the_pieces_are_one_stage(cut_bundles):
    bundle = opened(cut_bundles, "nano", "ladon_r50@20.48")
    rgb = decode_image(bundle.samples()[0].photo)
    with WholePipeline(bundle) as pipeline:
        stages = pipeline.run(rgb).stages
    assert [s for s in stages if "detector" in s] == ["server.detector"]


def test_what_was_cut_is_printed_and_kept(tmp_path):
    result = splitwatt("export", "--model", "ssdlite320_mobilenet_v3_large", "--target", "nano",
                       "--weights", "random", "--bundles", tmp_path)  # fmt: skip
    assert "in turn by TensorRT and onnxruntime (TensorRT 8.2, onnxruntime 1.10)" in result.stderr
    assert "NonMaxSuppression (padded)" in result.stderr and "3 tensors cross" in result.stderr
    path = tmp_path / "nano" / "ssdlite320_mobilenet_v3_large" / "manifest.json"
    (kept,) = json.loads(path.read_text())["compat"]
    assert kept["cut"]["crossing"][2]["as_dtype"] == "int32"
