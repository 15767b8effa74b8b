"""What a system tells of its engines: the accelerator's own time, and what fell back."""

import sys
import time
import types

import numpy as np
import pytest
from PIL import Image

from splitwatt.engines.backends import BACKENDS, ort_cpu
from splitwatt.engines.backends.base import Built
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.preprocess import preprocess
from splitwatt.profiler.board.probe import Reading
from splitwatt.profiler.config.bundles import open_bundles
from splitwatt.profiler.config.config import from_document
from splitwatt.profiler.execute.block.recording import Recorder
from splitwatt.profiler.execute.block.system import System, decoder
from tests.board.tiny import tiny_bundle


def timed(onnx_path, threads):
    """A backend with a clock of its own, which runs parts by another one."""
    engine = ort_cpu.open_engine(onnx_path, threads)
    inner = engine._run

    def run(feeds):
        outputs = inner(feeds)
        engine.device_s = 0.25
        return outputs

    engine._run = run
    engine.fallback = "cpu: the graph has a node that this backend lacks"
    engine.built = Built("tensorrt 8.2.1", "fp16")
    return engine


@pytest.fixture
def found(tmp_path, monkeypatch):
    module = types.ModuleType("timed_backend")
    module.open_engine = timed
    monkeypatch.setitem(sys.modules, "timed_backend", module)
    monkeypatch.setitem(BACKENDS, "timed", "timed_backend")
    (tmp_path / "cpu").mkdir()
    tiny_bundle(tmp_path / "cpu" / "tiny_local", split=False)
    rows = {"LC1": {"local": ["tiny_local"]}}
    config = from_document(
        {"format": 1, "name": "a", "inferences": 1, "configurations": rows}, "config"
    )
    return list(open_bundles(config, str(tmp_path), "cpu").values())


def test_an_accelerators_own_time_goes_into_the_sample(found):
    system = System(found, "timed", 1)
    try:
        outcome = system.run(default_photos()[0])
        assert outcome.device_s == {"ic.model": 0.25} and set(outcome.device_s) <= set(
            outcome.stages
        )
        assert system.fallbacks == [
            "tiny_local: model: cpu: the graph has a node that this backend lacks"
        ]
        assert system.built == ["tiny_local: model: tensorrt 8.2.1, fp16 and not fp32"]
    finally:
        system.close()


def test_where_there_is_none_there_is_no_figure(found):
    system = System(found, "cpu", 1)
    try:
        assert system.run(default_photos()[0]).device_s is None and system.fallbacks == []
        assert system.built == []
    finally:
        system.close()


def test_a_sample_begins_where_its_time_does(found):
    """A machine that stands still before the image's first stage moves the begin, and the end with it."""
    system = System(found, "cpu", 1)
    try:
        before = time.monotonic()
        outcome = system.run(default_photos()[0])
        after = time.monotonic()
    finally:
        system.close()
    assert before <= outcome.started_monotonic_s
    assert outcome.started_monotonic_s + outcome.total_s <= after
    rows = {"LC1": {"local": ["tiny_local"]}}
    config = from_document(
        {"format": 1, "name": "a", "inferences": 1, "configurations": rows}, "config"
    )
    block = types.SimpleNamespace(config="LC1", repeat=0, backend="cpu", id="LC1.cpu.0")
    recorder = Recorder(config, block, ["a.png"])
    record = recorder.ok(0, False, outcome, None, Reading(None, None, None))
    assert record["started_monotonic_s"] == outcome.started_monotonic_s


def test_a_reduced_jpeg_gives_the_input_the_size_that_the_whole_one_does(found, tmp_path):
    """The answer is of the image in the file: its size goes to where boxes and masks are scaled."""
    path = str(tmp_path / "large.jpg")
    with Image.open(default_photos()[0]) as image:
        image.convert("RGB").resize((1283, 961)).save(path, quality=95)
    whole, reduced = (decoder(found, asked)(path) for asked in (False, True))
    assert whole[0].shape == (961, 1283, 3) and whole[1] is None
    assert reduced[0].shape[0] <= 481 and reduced[1] == (961, 1283)
    spec = found[0].bundle.manifest.preprocess
    one, two = preprocess(*whole[:1], spec), preprocess(reduced[0], spec, reduced[1])
    assert one[1:] == two[1:] and one.tensor.shape == two.tensor.shape
    assert np.abs(one.tensor - two.tensor).mean() < 0.1
    system = System(found, "cpu", 1, jpeg_reduced=True)
    try:
        assert system.run(path).stages
    finally:
        system.close()
