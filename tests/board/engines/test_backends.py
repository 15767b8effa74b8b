"""Engines check what they are given, and say what is wrong in one sentence."""

import os
import threading

import numpy as np
import onnxruntime
import pytest

from splitwatt.device_configs.errors import EngineError, UsageError
from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.cores import usable_cores
from tests.board.tiny import DATA

ENCODER = os.path.join(DATA, "tiny_encoder.onnx")
DETECTOR = os.path.join(DATA, "tiny_detector.onnx")
RNG = np.random.RandomState(1)


def image(height=64, width=96):
    return RNG.randn(1, 3, height, width).astype(np.float32)


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_an_engine_gives_what_onnxruntime_gives(threads):
    session = onnxruntime.InferenceSession(ENCODER, providers=["CPUExecutionProvider"])
    with load_engine("cpu", ENCODER, threads) as engine:
        for size in ((64, 96), (100, 50)):
            tensor = image(*size)
            latent = engine.run({"image": tensor})["latent"]
            expected = session.run(["latent"], {"image": tensor})[0]
            assert np.allclose(latent, expected, rtol=1e-4, atol=1e-6)
            assert latent.flags.c_contiguous and latent.dtype == np.float32


def test_an_engine_knows_its_ports():
    with load_engine("cpu", DETECTOR) as engine:
        assert sorted(engine.inputs) == ["f4", "valid_size"]
        assert engine.inputs["valid_size"].dtype == "int64"
        assert engine.inputs["f4"].shape == (1, 4, None, None)
        assert list(engine.outputs) == ["boxes", "labels", "scores"]


@pytest.mark.parametrize(
    "feeds, words",
    [
        ({}, ["needs its input 'image'"]),
        ({"imgae": image()}, ["no input 'imgae'", "image"]),
        ({"image": image().astype(np.float64)}, ["float32", "float64"]),
        ({"image": image()[0]}, ["(1, 3, ?, ?)", "(3, 64, 96)"]),
        ({"image": image()[:, :2]}, ["(1, 3, ?, ?)"]),
        ({"image": [1, 2]}, ["float32", "list"]),
        ({"image": image(), "mask": image()}, ["no input 'mask'"]),
    ],
)
def test_wrong_inputs(feeds, words):
    with load_engine("cpu", ENCODER) as engine, pytest.raises(EngineError) as error:
        engine.run(feeds)
    sentence = str(error.value)
    assert all(word in sentence for word in words + ["tiny_encoder.onnx"]), sentence


def test_an_input_that_does_not_lie_in_one_piece():
    tensor = image()
    with load_engine("cpu", ENCODER) as engine:
        expected = engine.run({"image": np.ascontiguousarray(tensor[..., ::-1])})["latent"]
        assert np.array_equal(engine.run({"image": tensor[..., ::-1]})["latent"], expected)


def test_a_failure_inside_the_backend_is_one_sentence():
    with load_engine("cpu", ENCODER) as engine, pytest.raises(EngineError) as error:
        engine.run({"image": image(1, 1)})
    assert "\n" not in str(error.value)


def test_a_closed_engine():
    engine = load_engine("cpu", ENCODER)
    engine.close()
    engine.close()
    with pytest.raises(EngineError):
        engine.run({"image": image()})


def test_several_threads_share_an_engine():
    tensors = [image(64, 64 + 8 * i) for i in range(4)]
    with load_engine("cpu", ENCODER, 1) as engine:
        expected = [engine.run({"image": t})["latent"] for t in tensors]
        wrong = []

        def work(index):
            for _ in range(20):
                if not np.array_equal(
                    engine.run({"image": tensors[index]})["latent"], expected[index]
                ):
                    wrong.append(index)

        workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not wrong


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(UsageError) as unknown:
        load_engine("cpuu", ENCODER)
    assert "did you mean cpu" in str(unknown.value)
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    for path in ("x.onnx", "missing.onnx"):
        with pytest.raises(EngineError) as error:
            load_engine("cpu", str(tmp_path / path))
        assert "\n" not in str(error.value)
    with pytest.raises(EngineError):
        load_engine("cpu", ENCODER, 0)


def test_cores_are_counted_once_for_all_their_threads(tmp_path):
    for cpu, siblings in ((0, "0,4"), (4, "0,4"), (1, "1,5"), (5, "1,5"), (2, "")):
        folder = tmp_path / ("cpu%d" % cpu) / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    assert usable_cores([0, 1, 4, 5], str(tmp_path)) == 2
    assert usable_cores([0, 4], str(tmp_path)) == 1
    assert usable_cores([2, 3, 9], str(tmp_path)) == 3  # no topology: each counts
    assert usable_cores([], str(tmp_path)) == 1
    assert usable_cores() >= 1


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**9])
def test_a_number_of_threads_that_no_machine_starts(threads):
    with pytest.raises(EngineError, match="1 to 1024 threads"):
        load_engine("cpu", ENCODER, threads)
