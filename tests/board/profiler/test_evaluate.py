"""`splitwatt evaluate` on a board's Python: data of one's own, and agreement of two bundles."""

import json
import os
import shutil

import pytest

from splitwatt.device_configs.cli import guarded
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import WholePipeline
from splitwatt.profiler.evaluate.cli import evaluate
from tests.board import tiny

NAMES = ["class %d" % (7 * label % 30) for label in range(30)]  # not in the order of the letters


@pytest.fixture
def folder(tmp_path):
    path = str(tiny.tiny_bundle(tmp_path / "tiny", split=False, photos=1))
    document = tiny.read_document(path)
    document["postprocess"]["classification"]["labels"] = NAMES
    tiny.write_document(path, document)
    return path


def results(capsys, *argv):
    assert guarded(evaluate, [str(word) for word in argv] + ["--json"]) == 0
    return json.loads(capsys.readouterr().out)["results"]


def test_classes_of_ones_own(folder, tmp_path, capsys):
    with WholePipeline(Bundle.open(folder)) as pipeline:
        for photo in default_photos():
            answer = pipeline.run(decode_image(photo, exif_rotation=False)).answer
            place = tmp_path / "own" / NAMES[answer["classification"]["labels"][0]]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(photo), str(place))
    for _ in range(2):  # the second time from the records of the first
        (result,) = results(capsys, folder, "--data", "classes:%s" % (tmp_path / "own"),
                            "--out", tmp_path / "out")  # fmt: skip
        assert result["metrics"]["top1_percent"]["value"] == 100
    (tmp_path / "own" / "no class").mkdir()
    code = guarded(evaluate, [folder, "--data", "classes:%s" % (tmp_path / "own")])
    assert code == 2 and "'no class', which is not a class" in capsys.readouterr().err


def test_two_bundles_agree(folder, tmp_path, capsys):
    photos = os.path.dirname(str(default_photos()[0]))
    for _ in range(2):
        (result,) = results(capsys, folder, "--against", folder, "--data", "images:" + photos,
                            "--out", tmp_path / "out")  # fmt: skip
        task = result["tasks"]["classification"]
        assert task["agreement"]["top1_percent"]["value"] == 100
        assert task["differences"]["score"]["max"] == 0


def test_map_without_pycocotools_is_refused_before_the_first_image(tmp_path, capsys):
    split = str(tiny.tiny_bundle(tmp_path / "split", photos=1))
    photos = os.path.dirname(str(default_photos()[0]))
    argv = [split, "--against", split, "--data", "images:" + photos, "--out", str(tmp_path / "out")]
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        assert guarded(evaluate, argv) == 2
        assert "pip install pycocotools" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    else:
        assert guarded(evaluate, argv) == 0
