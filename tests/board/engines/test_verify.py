"""`splitwatt verify`: passes on a sound bundle, and says what differs on another."""

import json
import os

import numpy as np
import pytest

from splitwatt.device_configs.cli import guarded
from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import sha256_file
from splitwatt.engines import cli
from splitwatt.engines.bundle.arrays import load_arrays, save_arrays
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.codecs import codec_of
from splitwatt.engines.rangecoder.golden import run_golden
from splitwatt.engines.verify.samples import make_samples
from splitwatt.engines.verify.verify import compare_task, verify
from tests.board import tiny

# The files, each path of the range coder, and of the one photograph the payload and three answers.
CHECKS = 1 + len({check.path for check in run_golden()}) + 4


@pytest.fixture
def folder(tmp_path):
    return tiny.tiny_bundle(tmp_path / "tiny", photos=1)


def rewrite(folder, **changes):
    """Change arrays of the sample's expected outputs, the manifest's hash with them."""
    path = os.path.join(folder, "samples", "temple.npz")
    arrays = load_arrays(path)
    for name, change in changes.items():
        name = name.replace("__", ".")
        arrays[name] = change(arrays[name].copy())
    with open(path, "wb") as stream:
        stream.write(save_arrays(arrays))
    document = tiny.read_document(folder)
    document["samples"][0]["expected_sha256"] = sha256_file(path)
    tiny.write_document(folder, document)


def failed(folder):
    return [check.name.split()[-1] for check in verify(Bundle.open(folder)) if not check.passed]


def payload_check(folder):
    checks = verify(Bundle.open(folder))
    return next(check for check in checks if check.name.endswith(" payload"))


def test_a_sound_bundle_passes(folder, capsys):
    assert cli.verify([folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == CHECKS and all(line.startswith("[x] ") for line in lines)


def test_json_is_one_document(folder, capsys):
    assert cli.verify([folder, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is True and len(document["checks"]) == CHECKS


def added(value):
    def change(array):
        array.flat[0] += value
        return array

    return change


def speckled(mask):
    mask.flat[::500] += 1
    return mask


@pytest.mark.parametrize(
    "name, change, check",
    [
        ("classification__labels", added(1), "classification"),
        ("classification__scores", added(0.01), "classification"),
        ("detection__labels", added(1), "detection"),
        ("detection__boxes", added(5), "detection"),
        ("detection__scores", added(0.01), "detection"),
        ("detection__scores", lambda scores: scores[:0], "detection"),
        ("segmentation__mask", speckled, "segmentation"),
    ],
)
def test_a_difference_fails_its_check(folder, capsys, name, change, check):
    if name == "detection__scores" and change.__name__ == "<lambda>":
        rewrite(folder, detection__labels=change, detection__boxes=change, detection__scores=change)
    else:
        rewrite(folder, **{name: change})
    assert failed(folder) == [check]
    assert cli.verify([folder]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("[ ]") == 1 and "1 of %d checks failed" % CHECKS in printed.err


def test_other_sizes_fail_the_payload(folder):
    rewrite(folder, sizes=added(1))
    assert "payload" in failed(folder)


def test_differences_within_the_tolerances_pass(folder):
    rewrite(
        folder,
        classification__scores=lambda scores: scores * np.float32(1.0005),
        detection__boxes=added(0.3),
        segmentation__mask=added(1),
    )
    assert failed(folder) == []


def test_boxes_of_nearly_equal_scores_may_swap(folder):
    answer = {
        "detection": {
            "boxes": np.array([[0, 0, 9, 9], [5, 5, 50, 50]], np.float32),
            "labels": np.array([3, 4], np.int32),
            "scores": np.array([0.50001, 0.5], np.float32),
        }
    }
    due = {"detection." + name: array[::-1].copy() for name, array in answer["detection"].items()}
    assert compare_task("x", "detection", answer, due, 100).passed
    due["detection.labels"][0] = 9
    assert not compare_task("x", "detection", answer, due, 100).passed


def test_another_rounding_of_a_few_latents_is_reported_and_passes(folder):
    bundle = Bundle.open(folder)
    codec = codec_of(bundle, bundle.part)

    def rounded(count, step):
        def change(payload):
            latent = codec.decode(payload.tobytes(), (512, 512))["latent"]
            latent.flat[:count] += step
            return np.frombuffer(codec.encode({"latent": latent}), np.uint8)

        return change

    before = load_arrays(bundle.samples()[0].expected)["payload"]
    rewrite(folder, payload=rounded(3, 1))
    check = payload_check(folder)
    assert check.passed and "rounding differs in 3 of" in check.detail
    for wrong in (rounded(3, 2), rounded(3000, 1)):
        rewrite(folder, payload=lambda _, wrong=wrong: wrong(before))
        check = payload_check(folder)
        assert not check.passed


def test_what_is_missing_is_one_sentence(folder, tmp_path, capsys):
    assert guarded(cli.verify, [str(tmp_path / "nowhere")]) == 1
    assert "no bundle" in capsys.readouterr().err
    assert guarded(cli.verify, [folder, "--backend", "cup"]) == 2
    assert "cpu" in capsys.readouterr().err
    os.unlink(os.path.join(folder, "body.onnx"))
    assert guarded(cli.verify, [folder]) == 1
    assert "body.onnx is missing" in capsys.readouterr().err
    again = tiny.tiny_bundle(tmp_path / "again", photos=1)
    document = tiny.read_document(again)
    document["samples"] = []
    tiny.write_document(again, document)
    assert guarded(cli.verify, [again]) == 1
    assert "no sample photographs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, change",
    [
        ("detection__boxes", lambda a: a * np.nan),
        ("detection__boxes", lambda a: a[:, :3]),
        ("detection__boxes", lambda a: a[:1]),
        ("detection__scores", lambda a: a[:1]),
        ("detection__labels", lambda a: np.int32(1)),
        ("classification__labels", lambda a: np.int32(3)),
        ("classification__scores", lambda a: a[:2]),
        ("classification__scores", lambda a: a * np.nan),
        ("segmentation__mask", lambda a: a[None]),
        ("segmentation__mask", lambda a: a.astype(np.float32)),
        ("sizes", lambda a: a.reshape(2, 3)),
        ("payload", lambda a: a.astype(np.float64)),
    ],
)
def test_expected_arrays_that_compare_with_nothing_are_refused(folder, capsys, name, change):
    rewrite(folder, **{name: change})
    assert guarded(cli.verify, [folder]) == 1
    said = capsys.readouterr().err
    assert "temple.npz holds" in said and "export the bundle again" in said


def test_samples_of_one_name_are_refused(folder):
    with pytest.raises(UsageError):
        make_samples(folder, ["a/x.jpg", "b/x.jpg"])


def test_of_a_board_s_half_the_board_s_parts_are_verified(folder, capsys):
    bundle = Bundle.open(folder)
    for part in bundle.manifest.parts:
        if part.placement == "server":
            os.unlink(bundle.part_path(part.name))
    assert cli.verify([folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "the board's alone are verified" in lines[0] and "payload" in lines[-1]
    assert len(lines) == CHECKS - 3
