"""Whatever lies in place of a file that a verb reads: one sentence, in time, within its memory.

A pipe without a writer blocks whoever opens it, /dev/zero has no end, and a file
of a terabyte takes no place on a disk where nothing was written into it.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import socket

import numpy as np
import pytest
import yaml
from PIL import Image

from splitwatt.__main__ import main
from splitwatt.device_configs.errors import EngineError, SplitwattError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines.tensorrt import records
from tests.board.tiny import tiny_bundle
from tests.conftest import ROOT
from tests.reports.accuracy_file import accuracy

LATE_S = 60


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


def make_huge(path):
    path.touch()
    os.truncate(path, 1 << 40)  # without a block on the disk


KINDS = {
    "pipe": make_pipe,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "huge file": make_huge,
    "socket": make_socket,
    "folder": lambda path: path.mkdir(),
    "empty file": lambda path: path.touch(),
    "deep JSON": lambda path: path.write_text("[" * 200000),
}


class Late(BaseException):
    """It took too long."""


def _late(*_):
    raise Late


@pytest.fixture(autouse=True)
def limits():
    before = signal.signal(signal.SIGALRM, _late)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def attempt(*arguments):
    """The exit code of a verb, and what it printed."""
    out = io.StringIO()
    signal.setitimer(signal.ITIMER_REAL, LATE_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main([str(argument) for argument in arguments])
    except SystemExit as error:
        code = error.code
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return code, out.getvalue()


def files_of(place):
    return [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())


def replaced_one_by_one(place, *arguments, but=()):
    """Run a verb as it is, which works, and then with each file replaced by each kind of thing."""
    code, text = attempt(*arguments)
    assert code == 0, text
    for file in files_of(place):
        aside = file.with_name("." + file.name + ".aside")
        for kind, make in KINDS.items():
            if kind in but:
                continue
            file.rename(aside)
            try:
                make(file)
                code, text = attempt(*arguments)
                assert code in (0, 1, 2) and "Traceback" not in text, (kind, file, text)
            finally:
                if file.is_dir() and not file.is_symlink():
                    shutil.rmtree(file)
                else:
                    file.unlink()
                aside.rename(file)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("special") / "cpu"
    folder.mkdir()
    tiny_bundle(folder / "tiny@1", photos=1)
    tiny_bundle(folder / "tiny_local", split=False, photos=1)
    return folder


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        picture = np.full((40, 60, 3), 40 * number, np.uint8)
        Image.fromarray(picture).save(folder / f"a{number}.png")
    return folder


def test_files_of_a_bundle(bundles, images):
    replaced_one_by_one(bundles / "tiny@1", "verify", bundles / "tiny@1")


def test_images_that_are_answered(bundles, images, tmp_path):
    local = bundles / "tiny_local"
    replaced_one_by_one(images, "infer", local, images, "--out", tmp_path / "drawn")
    replaced_one_by_one(images / "a0.png", "infer", local, images / "a0.png")
    replaced_one_by_one(images, "run", "--source", images, "--bundle", local)


def test_a_video(bundles, images):
    """A pipe in place of a video once held OpenCV, and no signal ended it."""
    pytest.importorskip("cv2")
    command = ["run", "--source", images / "a0.png", "--bundle", bundles / "tiny_local"]
    # A device is a camera, which is waited for.
    replaced_one_by_one(images / "a0.png", *command, but=["endless device"])


def test_a_policy_and_a_token(bundles, images, tmp_path):
    policy, token = tmp_path / "policy.yaml", tmp_path / "token"
    point = {"config": "LC1", "bundle": str(bundles / "tiny_local")}
    policy.write_text(yaml.safe_dump({"format": 1, "deadline_ms": 500, "points": [point]}))
    token.write_text("abc\n")
    command = ["run", "--source", images, "--policy", policy]
    command += ["--server", "http://127.0.0.1:9", "--token-file", token]
    replaced_one_by_one(policy, *command)
    replaced_one_by_one(token, *command)


def test_data_sets(bundles, images, tmp_path):
    masks, classes, boxes = (tmp_path / name for name in ("masks", "classes", "boxes"))
    for place in (
        masks / "images",
        masks / "masks",
        classes / "0",
        classes / "1",
        boxes / "images",
    ):
        place.mkdir(parents=True)
    shutil.copy(images / "a0.png", masks / "images" / "x.png")
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(masks / "masks" / "x.png")
    for number in range(2):
        shutil.copy(images / f"a{number}.png", classes / str(number))
    shutil.copy(images / "a0.png", boxes / "images")
    annotations = {
        "images": [{"id": 1, "file_name": "a0.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (boxes / "boxes.json").write_text(json.dumps(annotations))
    for data in (f"masks:{masks}", f"coco:{boxes}", f"images:{images}"):
        out = tmp_path / "out"
        place = data.partition(":")[2]
        replaced_one_by_one(
            type(tmp_path)(place), "evaluate", bundles / "tiny@1", "--data", data, "--out", out
        )


def test_images_of_a_profile(bundles, images, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        f"format: 1\nname: tiny\nwarmup: 0\ninferences: 1\nimages: {images}\n"
        "links: [{name: l, kind: simulated, rate_kbit_s: 100}]\n"
        "configurations: {LC1: {local: [tiny_local]}}\n"
    )
    for kind in ("pipe", "endless device", "huge file", "socket"):
        (images / "a0.png").unlink(missing_ok=True)
        KINDS[kind](images / "a0.png")
        code, text = attempt("profile", "--config", config, "--bundles", bundles.parent,
                             "--out", tmp_path / kind)  # fmt: skip
        assert code == 1 and "a0.png" in text and len(text.splitlines()) == 1, text


def test_a_run_that_names_a_huge_image(tmp_path):
    """`check` compares images with their hashes, where they are; a stranger's run says where."""
    run = tmp_path / "run"
    shutil.copytree(ROOT / "tests" / "data" / "old_run", run)
    document = json.loads((run / "run.json").read_text())
    document["images_folder"], document["images"][0]["file"] = str(tmp_path), "huge.png"
    make_huge(tmp_path / "huge.png")
    (run / "run.json").write_text(json.dumps(document))
    code, text = attempt("check", run)
    assert code == 1 and "huge.png is larger than" in text


def test_an_accuracy_file(tmp_path):
    file = tmp_path / "accuracy.json"
    file.write_text(json.dumps(accuracy()))
    run = ROOT / "tests" / "data" / "old_run"
    for make in KINDS.values():
        file.unlink()
        make(file)
        code, text = attempt("report", run, "--accuracy", file, "--out", tmp_path / "report")
        assert code in (1, 2) and "Traceback" not in text and str(file) in text, text
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        file.touch()


def test_records_of_engines(tmp_path):
    file = tmp_path / "part.json"
    for make in KINDS.values():
        make(file)
        with pytest.raises(EngineError, match="part.json"):
            records.read_records(str(tmp_path))
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()


def test_hashes(tmp_path):
    for kind, make in KINDS.items():
        make(tmp_path / kind)
        if kind not in ("empty file", "deep JSON"):
            with pytest.raises(SplitwattError, match=f"{kind} (is|cannot be)"):
                sha256_file(str(tmp_path / kind), 100)
