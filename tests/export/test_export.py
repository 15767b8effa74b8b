"""The command `export`: bundles made, kept, remade, and never half there."""

import json
import os
import shutil
import signal
import subprocess
import time

import onnxruntime
import pytest
import torch

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.export import experiment, zoo
from splitwatt.export.replacing import replacing
from splitwatt.export.request import prepare
from splitwatt.export.tracing.photos import photos
from splitwatt.export.weights.random_weights import seeded
from tests.conftest import BUNDLES, COMMAND, splitwatt

SMALL = "mnasnet0_5"


def test_parity_is_measured_at_two_sizes_and_within_its_tolerance(bundles):
    for name in BUNDLES:
        for part in Bundle.open(str(bundles / name)).manifest.parts:
            assert 0 <= part.parity.max_abs <= part.parity.tolerance
            assert len(part.parity.sizes) == 2
            assert part.params >= 0 and part.gmac > 0


def test_out_takes_the_place_of_a_bundle_alone(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "empty").mkdir()
    mine = tmp_path / "results" / "mine.csv"
    mine.write_text("1\n")
    for out in (tmp_path / "results", mine):
        with pytest.raises(UsageError, match="exists and is not a bundle"):
            prepare(SMALL, "cpu", None, "random", "bundles", str(out))
        with pytest.raises(UsageError, match="exists and is not a bundle"), replacing(out):
            pass
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["mine.csv"]
    assert mine.read_text() == "1\n"
    for out in ("empty", "new"):
        assert prepare(SMALL, "cpu", None, "random", "bundles", str(tmp_path / out)).files is None


def test_a_split_bundle_is_complete(bundles):
    bundle = Bundle.open(str(bundles / "ladon_r50@20.48"))
    manifest = bundle.manifest
    assert [part.name for part in manifest.parts] == [
        "encoder", "body", "classifier", "detector", "segmenter"
    ]  # fmt: skip
    assert [part.name for part in manifest.placed("board")] == ["encoder"]
    assert manifest.encoder_size_bytes.fp32_params / 2**20 == pytest.approx(0.535, abs=0.001)
    assert manifest.weights.trained is False and manifest.weights.source == "random:2025"
    assert "mean nothing" in manifest.weights.notes[0]
    assert {sample.name for sample in bundle.samples()} == {"raccoon.png", "astronaut.png"}


def test_any_size_runs_and_equals_pytorch(bundles):
    """An encoder exported at some size, at sizes it has never seen."""
    system, rate = zoo.find("entropic_student_ic@5.12")
    with seeded("entropic_student_ic@5.12"), torch.no_grad():
        network = system.build(rate)
        network.fit_random([], "entropic_student_ic@5.12")
    bundle = Bundle.open(str(bundles / "entropic_student_ic@5.12"))
    sessions = {
        name: onnxruntime.InferenceSession(
            bundle.part_path(name), providers=["CPUExecutionProvider"]
        )
        for name in ("encoder", "body")
    }
    for size in ((97, 130), (224, 224), (320, 64)):
        image = torch.nn.functional.interpolate(
            torch.from_numpy(photos(system.preprocess)[0].tensor), size
        )
        with torch.no_grad():
            due = network.bottleneck.encoder(image)
            latent = network.coded({"latent": due}, {})["latent"]
            features = network.features(latent)[-1]
        (found,) = sessions["encoder"].run(None, {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), due, rtol=1e-3, atol=1e-3)
        (found,) = sessions["body"].run(None, {"latent": latent.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), features, rtol=1e-2, atol=1e-2)


def _export(folder, *more, check=True):
    return splitwatt(
        "export", "--model", SMALL, "--target", "cpu", "--weights", "random", "--bundles", folder,
        "--json", *more, check=check,
    )  # fmt: skip


def test_a_second_export_keeps_what_is_right_and_remakes_what_is_not(tmp_path):
    first = json.loads(_export(tmp_path).stdout)
    assert first["kept"] is False and first["bundle"].endswith(f"cpu/{SMALL}")
    start = time.monotonic()
    assert json.loads(_export(tmp_path).stdout)["kept"] is True
    assert time.monotonic() - start < 60
    manifest = tmp_path / "cpu" / SMALL / "manifest.json"
    stamp = manifest.stat().st_mtime_ns
    with open(tmp_path / "cpu" / SMALL / "model.onnx", "r+b") as stream:
        stream.truncate(1000)
    assert json.loads(_export(tmp_path).stdout)["kept"] is False
    assert manifest.stat().st_mtime_ns != stamp
    Bundle.open(str(tmp_path / "cpu" / SMALL))
    assert os.listdir(tmp_path / "cpu") == [SMALL]


def test_a_killed_export_leaves_no_half_bundle(tmp_path):
    command = [
        *COMMAND, "export", "--model", "ssd300_vgg16",
        "--target", "cpu", "--weights", "random", "--bundles", str(tmp_path),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "cpu"
    deadline = time.monotonic() + 120
    while not (folder.is_dir() and os.listdir(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "ssd300_vgg16").exists()
    leftovers = os.listdir(folder)
    assert leftovers and all(name.startswith(".ssd300_vgg16.") for name in leftovers)


def test_what_is_wrong_is_said_before_pytorch_is_loaded(tmp_path):
    def fails(*args):
        result = splitwatt("export", *args, check=False, cwd=tmp_path, env=env)
        assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
        assert result.stderr.count("\n") == 1
        return result.stderr

    env = {**os.environ, "TORCH_HOME": str(tmp_path)}
    assert "ladon_r50" in fails("--model", "ladon_r5", "--target", "cpu")
    assert "did you mean nano" in fails(
        "--model", SMALL, "--target", "nanno", "--weights", "random"
    )
    message = fails("--model", SMALL, "--target", "cpu")
    assert "https://download.pytorch.org/models/mnasnet0.5" in message
    assert "--weights random" in message
    message = fails("--model", "entropic_student_ic@10.24", "--target", "cpu")
    assert "no weights were published" in message
    assert "nothing to export" in fails("--target", "cpu")
    assert "demo.yaml" in fails("--config", "dmeo.yaml", "--target", "cpu")


def test_a_configs_models_and_nothing_else_of_it(tmp_path):
    assert len(experiment.models("demo.yaml")) == 15
    every = experiment.models("table3.yaml")
    # nine local models, 3 x 6 Entropic Students, 2 x 5 Ladons
    assert len(every) == len(set(every)) == 37
    for name in every:
        zoo.find(name)
    assert experiment.models("table3.yaml", "Ours1,LC20") == [
        "ladon_r50@0.32", "mnasnet0_5", "ssdlite320_mobilenet_v3_large", "lraspp_mobilenet_v3_large"
    ] or set(experiment.models("table3.yaml", "Ours1,LC20")) == {
        "ladon_r50@0.32", "mnasnet0_5", "ssdlite320_mobilenet_v3_large", "lraspp_mobilenet_v3_large"
    }  # fmt: skip
    with pytest.raises(UsageError, match="LC1"):
        experiment.models("demo.yaml", "LC11")
    (tmp_path / "bad.yaml").write_text("configurations: {LC1: {local: mobilenet_v2}}")
    with pytest.raises(ConfigError, match=r"configurations.LC1.local"):
        experiment.models(str(tmp_path / "bad.yaml"))
    (tmp_path / "none.yaml").write_text("name: x")
    with pytest.raises(ConfigError, match="key 'configurations'"):
        experiment.models(str(tmp_path / "none.yaml"))


def test_random_weights_never_replace_trained_ones_without_force(bundles, tmp_path):
    name = next(n for n in BUNDLES if not Bundle.open(str(bundles / n)).manifest.split)
    folder = tmp_path / "cpu" / name
    shutil.copytree(bundles / name, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["weights"].update(trained=True, source="mine.pth", sha256="0" * 64)
    before = json.dumps(manifest)
    (folder / "manifest.json").write_text(before)
    wanted = [
        "export",
        "--model",
        name,
        "--target",
        "cpu",
        "--weights",
        "random",
        "--bundles",
        tmp_path,
    ]
    done = splitwatt(*wanted, check=False)
    assert done.returncode == 2 and (folder / "manifest.json").read_text() == before
    assert "random weights would replace trained ones" in done.stderr and "--force" in done.stderr
    assert done.stderr.count("\n") == 1
    splitwatt(*wanted, "--force")
    assert not Bundle.open(str(folder)).manifest.weights.trained
