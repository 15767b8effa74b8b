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
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
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
