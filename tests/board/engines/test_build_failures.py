"""`splitwatt build` that cannot: one sentence, and nothing half-written is left."""

import os
import stat
import subprocess

import pytest

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.tensorrt.building import build
from tests.board.tiny import COMMAND, read_document, tiny_bundle, write_document

# Writes what a build has written when it dies, then dies as its last line says.
DYING = """#!/bin/sh
mkdir -p {bundle}/engines
echo half > {bundle}/engines/.model-trt8.2.1.partial
echo half > {bundle}/engines/.timing-trt8.2.1.partial
echo whole > {bundle}/engines/model-other.engine
{end}
"""
FAKE_TENSORRT = '__version__ = "%s"\n'


def for_tensorrt(path):
    """A bundle whose only part is for a Nano's TensorRT."""
    document = read_document(tiny_bundle(path, split=False, photos=1))
    document["target"] = "nano"
    document["parts"][0].update(target="nano", runtime="tensorrt")
    write_document(str(path), document)
    return str(path)


@pytest.mark.parametrize(
    "end, words",
    [
        ("kill -9 $$", ["killed", "ran out of memory", "add swap"]),
        ("echo 'splitwatt: TensorRT cannot build it: not enough memory' >&2; exit 1",
         ["not enough memory"]),
        ("kill -11 $$", ["died of signal 11"]),
    ],
)  # fmt: skip
def test_a_build_that_dies_leaves_nothing_half_written(tmp_path, monkeypatch, end, words):
    path = for_tensorrt(tmp_path / "b")
    program = tmp_path / "python"
    program.write_text(DYING.format(bundle=path, end=end))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("splitwatt.device_configs.child.sys.executable", str(program))
    told = []
    with pytest.raises(EngineError) as error:
        list(build.build_engines(Bundle.open(path), "board", build.Options(), told.append))
    sentence = str(error.value)
    assert all(word in sentence for word in words) and "\n" not in sentence, sentence
    assert os.listdir(os.path.join(path, "engines")) == ["model-other.engine"]


def test_an_interrupted_build_leaves_nothing_half_written(tmp_path, monkeypatch):
    path = for_tensorrt(tmp_path / "b")
    program = tmp_path / "python"
    program.write_text(DYING.format(bundle=path, end="sleep 60"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("splitwatt.device_configs.child.sys.executable", str(program))
    half = os.path.join(path, "engines", "model-other.engine")

    def interrupt(seconds):
        if os.path.exists(half):
            raise KeyboardInterrupt
        return 0.0

    running = "splitwatt.engines.tensorrt.building.running."
    monkeypatch.setattr(running + "_TELL_EVERY_S", 0.2)
    monkeypatch.setattr(running + "time.monotonic", lambda: interrupt(0))
    with pytest.raises(KeyboardInterrupt):
        list(build.build_engines(Bundle.open(path), "board", build.Options(), lambda line: None))
    assert os.listdir(os.path.join(path, "engines")) == ["model-other.engine"]


@pytest.mark.parametrize(
    "version, words",
    [("8.0.1.6", ["TensorRT 8.0.1.6 is too old", "JetPack 4.6.0", "4.6.1 or later"]),
     ("7.1.3", ["too old"])],
)  # fmt: skip
def test_a_jetpack_that_is_too_old_is_one_sentence(tmp_path, version, words):
    path = for_tensorrt(tmp_path / "b")
    modules = tmp_path / "modules"
    (modules / "pycuda").mkdir(parents=True)
    (modules / "tensorrt.py").write_text(FAKE_TENSORRT % version)
    (modules / "pycuda" / "__init__.py").write_text("")
    (modules / "pycuda" / "driver.py").write_text("")
    result = subprocess.run(
        COMMAND + ["build", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=str(modules)),
    )
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and all(word in last for word in words), result.stderr
    assert "Traceback" not in result.stderr
    assert not os.path.exists(os.path.join(path, "engines"))


def test_a_machine_without_tensorrt_is_one_sentence(tmp_path):
    path = for_tensorrt(tmp_path / "b")
    result = subprocess.run(
        COMMAND + ["build", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and "tensorrt" in last and "JetPack" in last, result.stderr
