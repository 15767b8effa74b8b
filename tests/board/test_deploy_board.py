"""`splitwatt.Board`, on every Python that boards have."""

import json
import os
import subprocess

import numpy as np
import pytest

import splitwatt
from splitwatt.device_configs.errors import BundleError, ServerError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.answer import pack
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.overlay import overlay
from splitwatt.engines.pipeline.pipeline import WholePipeline
from splitwatt.profiler.infer.deployed import read_answer
from splitwatt.profiler.records.run import read_run
from tests.board.tiny import COMMAND, tiny_bundle


@pytest.mark.parametrize("split", [True, False])
def test_a_board_answers_as_the_pipelines_do(tmp_path, split):
    path = tiny_bundle(tmp_path / "bundle", split)
    rgb = decode_image(default_photos()[0])
    with WholePipeline(Bundle.open(path)) as pipeline:
        expected = pipeline.run(rgb)
    with splitwatt.Board(path) as board:
        answered = board.infer(rgb)
        bgr = np.array(rgb[:, :, ::-1])
        again = board.infer(bgr[:, :, ::-1])
        names = board.named(answered)
    assert answered.payload == expected.payload == again.payload
    for task, fields in expected.answer.items():
        for name, array in fields.items():
            np.testing.assert_array_equal(answered.answer[task][name], array)
            np.testing.assert_array_equal(again.answer[task][name], array)
    assert set(names) == set(expected.answer) and json.dumps(names)
    assert len(names["classification"]["names"]) == len(names["classification"]["labels"])


@pytest.fixture
def answer_of_a_photograph(tmp_path):
    """The manifest of a bundle, a photograph, and its answer."""
    bundle, rgb = Bundle.open(tiny_bundle(tmp_path / "bundle")), decode_image(default_photos()[0])
    with WholePipeline(bundle) as pipeline:
        return bundle.manifest, rgb, pipeline.run(rgb).answer


@pytest.mark.parametrize(
    "task, field, sentence",
    [
        ("classification", "labels", "class 60000 for classification"),
        ("detection", "labels", "class 60000 for detection"),
        ("segmentation", "mask", "class 255 for segmentation"),
    ],
)
def test_a_server_s_classes_are_those_of_the_bundle(answer_of_a_photograph, task, field, sentence):
    manifest, _, answer = answer_of_a_photograph
    assert set(read_answer(pack(answer), manifest)) == set(manifest.tasks)
    answer[task][field] = answer[task][field].copy()
    answer[task][field].flat[0] = 60000 if field == "labels" else 255
    with pytest.raises(ServerError, match=sentence):
        read_answer(pack(answer), manifest)


def test_a_server_s_tasks_are_those_of_the_bundle(answer_of_a_photograph):
    manifest, _, answer = answer_of_a_photograph
    del answer["detection"]
    with pytest.raises(ServerError, match="the board's bundle has classification, detection"):
        read_answer(pack(answer), manifest)
    with pytest.raises(ServerError, match="with nothing"):
        read_answer(pack({}), manifest)


@pytest.mark.parametrize(
    "box", [[-3e38, -3e38, 3e38, 3e38], [50, 50, -10, -10], [9e9, 9e9, 9e9, 9e9]]
)
def test_a_box_outside_the_picture_is_drawn_as_far_as_it_is_inside(answer_of_a_photograph, box):
    manifest, rgb, answer = answer_of_a_photograph
    answer["detection"] = {"boxes": np.array([box], np.float32), "labels": np.zeros(1, np.int32),
                           "scores": np.ones(1, np.float32)}  # fmt: skip
    assert overlay(rgb, answer, manifest.postprocess, 0.5).size == rgb.shape[1::-1]


def test_what_cannot_be_opened_is_one_sentence(tmp_path):
    path = tiny_bundle(tmp_path / "bundle")
    with pytest.raises(BundleError):
        splitwatt.Board(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="backend"):
        splitwatt.Board(path, backend="cpuu")
    with pytest.raises(UsageError, match="server URL"):
        splitwatt.Board(path, server="10.0.0.2")
    with pytest.raises(ServerError, match="cannot be reached"):
        splitwatt.Board(path, server="http://127.0.0.1:9", timeout_s=1.0)


def test_the_package_has_no_other_lazy_name():
    with pytest.raises(AttributeError, match="no attribute 'Bord'"):
        print(splitwatt.Bord)


@pytest.mark.parametrize("split", [True, False])
def test_run_answers_a_folder_on_every_python(tmp_path, split):
    path = tiny_bundle(tmp_path / "bundle", split)
    photographs = default_photos()
    run = str(tmp_path / "run")
    arguments = ["run", "--source", os.path.dirname(photographs[0]), "--bundle", path, "--out", run]
    process = subprocess.Popen(
        COMMAND + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
    )
    out, err = process.communicate()
    assert process.returncode == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["name"] for row in rows] == [os.path.basename(p) for p in photographs]
    with splitwatt.Board(path) as board:
        for row, photograph in zip(rows, photographs):
            assert row["answer"] == board.named(board.infer(decode_image(photograph)))
    assert [sample.image for sample in read_run(run).samples] == [row["name"] for row in rows]
