"""The range coder in the encoder's graph, beside the graph without it."""

import shutil

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from splitwatt.device_configs.errors import BundleError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, open_board
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.engines.rangecoder import RangeCoder, Tables
from splitwatt.engines.rangecoder.graph import strings_of
from splitwatt.engines.tensorrt.building.build_part import outputs_of
from splitwatt.engines.verify.samples import write_manifest
from splitwatt.export.tracing.in_graph import add_coder
from tests.conftest import splitwatt

MODEL = "entropic_student_ic@5.12"


class SplitRangeEncode(OpRun):
    """The plugin's node, by the coder outside graphs: what TensorRT's plugin must do."""

    op_domain = ""

    def _run(self, latent, cdf, cdf_length, offset, medians, tables_id, packed=(0,), **_):
        packed = packed[0]
        count = len(cdf_length)
        tables = Tables(
            np.reshape(cdf, (count, -1)), np.array(cdf_length), np.array(offset),
            np.array(medians, np.float32),
        )  # fmt: skip
        assert np.array(tables_id, "<i4").tobytes().hex() == tables.id
        string = RangeCoder(tables).encode(latent)[0]
        words = np.zeros((1, (2 * latent.size + 164) // 4), np.int32)
        words[0].view(np.uint8)[: len(string)] = np.frombuffer(string, np.uint8)
        length = np.array([len(string)], np.int32)
        if not packed:
            return words, length
        count = (len(string) + 3) // 4
        return words[:, :count], length, np.array(count, np.int32)


@pytest.fixture(scope="module", params=["nano", "orin_nano"])
def made(request, bundles, tmp_path_factory):
    """A copy of a bundle with the coder in its graph, as a target with TensorRT gets it."""
    folder = tmp_path_factory.mktemp("coder") / MODEL
    shutil.copytree(bundles / MODEL, folder)
    manifest = Bundle.open(str(folder)).manifest
    parts = [
        part._replace(runtime="tensorrt", target=request.param)
        if part.placement == "board"
        else part
        for part in manifest.parts
    ]
    add_coder(folder, manifest._replace(parts=parts))
    return folder


def test_the_graph_goes_from_image_to_the_coders_bytes(made, photographs):
    bundle = Bundle.open(str(made))
    part = bundle.part("encoder")
    assert [port.name for port in outputs_of(part)] == ["words", "length"]
    model = onnx.load(bundle.tensorrt_path("encoder"))
    assert [output.name for output in model.graph.output] == ["words", "length"]
    rgb = decode_image(str(photographs[0]))[:96, :128]
    image = preprocess(rgb, bundle.manifest.preprocess).tensor[:, :, :64, :64]
    words, length = ReferenceEvaluator(model, new_ops=[SplitRangeEncode]).run(
        None, {"image": image}
    )
    with BoardPipeline(bundle) as board:
        latent = board._chain[0][1].run({"image": np.ascontiguousarray(image)})["latent"]
        due = board.codec.decode(board.codec.encode({"latent": latent}), (64, 64))["latent"]
        found = board.codec.decode(strings_of(words, length)[0], (64, 64))["latent"]
    # Another engine's arithmetic may round a value of the latent the other way.
    assert np.count_nonzero(found != due) <= 1e-3 * due.size


def test_the_same_bundle_runs_with_the_coder_outside(made, bundles, photographs):
    rgb = decode_image(str(photographs[1]))
    with open_board(str(made)) as one, open_board(str(bundles / MODEL)) as other:
        assert one.run(rgb).payload == other.run(rgb).payload
    assert splitwatt("verify", made).returncode == 0


def test_a_changed_graph_is_found(made, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(made, folder)
    path = folder / "encoder.coder.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"encoder\.coder\.onnx"):
        Bundle.open(str(folder))


def test_what_cannot_have_it_is_told(bundles, tmp_path):
    folder = tmp_path / "local"
    shutil.copytree(bundles / "mobilenet_v3_large", folder)
    with pytest.raises(UsageError, match="no codec"):
        add_coder(folder, Bundle.open(str(folder)).manifest)
    manifest = Bundle.open(str(bundles / MODEL)).manifest
    write_manifest(str(folder), manifest)
    shutil.copy(bundles / MODEL / "tables.npz", folder)
    with pytest.raises(UsageError, match="TensorRT does not run"):
        add_coder(folder, manifest)
    result = splitwatt(
        "export", "--model", MODEL, "--target", "cpu", "--coder", "in-graph", "--weights", "random",
        "--bundles", tmp_path, check=False,
    )  # fmt: skip
    assert result.returncode == 2 and "no TensorRT" in result.stderr
