"""Pipelines: an answer from an image in one piece and over a link, its stages adding up."""

import os
import time

import numpy as np
import pytest

from splitwatt.device_configs.errors import BitstreamError, BundleError, ImageError
from splitwatt.engines.backends.base import Engine
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.codecs.quantized import QuantizedCodec
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline import chain
from splitwatt.engines.pipeline.answer import pack, unpack
from splitwatt.engines.pipeline.chain import EngineStore
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import (
    BoardPipeline,
    LocalPipeline,
    ServerPipeline,
    WholePipeline,
    open_board,
    open_local,
    open_server,
    read_sizes,
)
from splitwatt.engines.pipeline.preprocess import preprocess
from tests.board import tiny


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return tiny.tiny_bundle(tmp_path_factory.mktemp("p") / "split", photos=1)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return tiny.tiny_bundle(tmp_path_factory.mktemp("p") / "local", split=False, photos=1)


@pytest.fixture(scope="module")
def raccoon():
    return decode_image([path for path in default_photos() if path.endswith("raccoon.jpg")][0])


def test_a_board_and_a_server_answer_together(split, raccoon):
    with open_board(split) as board, open_server(split) as server:
        request = board.run(raccoon)
        assert request.sizes.dtype == np.int32
        assert request.sizes.tolist() == [480, 640, 312, 416, 320, 416]
        assert list(request.stages) == ["preprocess", "encoder", "encode"]
        answer, stages = server.run(request.payload, request.sizes)
    assert list(stages) == ["decode", "body", "classifier", "detector", "segmenter", "postprocess"]
    assert list(answer) == ["classification", "detection", "segmentation"]
    assert len(answer["classification"]["labels"]) == 5
    assert 5 <= len(answer["detection"]["labels"]) <= 100
    boxes = answer["detection"]["boxes"]
    assert (boxes >= 0).all() and (boxes[:, 2] <= 640).all() and (boxes[:, 3] <= 480).all()
    assert answer["segmentation"]["mask"].shape == (312, 416)
    assert len(np.unique(answer["segmentation"]["mask"])) >= 3
    again = unpack(pack(answer))
    for task in answer:
        for name in answer[task]:
            assert np.array_equal(again[task][name], answer[task][name])


def test_a_decoded_latent_is_the_rounded_one(split, raccoon):
    bundle = Bundle.open(split)
    tensor = preprocess(raccoon, bundle.manifest.preprocess).tensor
    with BoardPipeline(bundle) as board:
        payload = board.run(raccoon).payload
        engine = board._chain[0][1]
        latent = engine.run({"image": tensor})["latent"]
        decoded = board.codec.decode(payload, (320, 416))["latent"]
    medians = tiny.tables().medians.reshape(1, -1, 1, 1)
    assert np.array_equal(decoded, np.rint(latent - medians) + medians)


def test_a_local_model_answers_alone(local, raccoon):
    with open_local(local) as pipeline:
        answer, stages = pipeline.run(raccoon)
    assert list(stages) == ["preprocess", "model", "postprocess"]
    assert list(answer) == ["classification"]


@pytest.mark.parametrize("kind", ["split", "local"])
def test_stages_add_up(kind, split, local, raccoon):
    with WholePipeline(Bundle.open(split if kind == "split" else local)) as pipeline:
        missing = []
        for _ in range(12):
            start = time.perf_counter()
            outcome = pipeline.run(raccoon)
            total = time.perf_counter() - start
            missing.append(total - sum(outcome.stages.values()))
            assert all(seconds > 0 for seconds in outcome.stages.values())
    assert 0 <= min(missing) < 0.0005
    assert (outcome.payload is None) == (kind == "local")


def test_parts_run_in_the_manifest_s_order_and_stages_of_one_name_add_up(
    tmp_path, raccoon, monkeypatch
):
    """Two parts count as one stage, which has the codec's name, and another part is between them."""
    path = tiny.tiny_bundle(tmp_path / "named", photos=1)
    document = tiny.read_document(path)
    files = [part["file"] for part in document["parts"]]
    names = ["encoder", "decode.1", "classifier", "decode.2", "segmenter"]
    for part, name in zip(document["parts"], names):
        part["name"] = name
    document["postprocess"]["detection"]["part"] = "decode.2"
    tiny.write_document(path, document)
    times = []

    def timed(engine, feeds, run=Engine.run):
        start = time.perf_counter()
        outputs = run(engine, feeds)
        times.append((engine.name, time.perf_counter() - start))
        return outputs

    monkeypatch.setattr(Engine, "run", timed)
    with WholePipeline(Bundle.open(path)) as pipeline:
        stages = pipeline.run(raccoon).stages
    assert [name for name, _ in times] == files
    assert stages["server.decode"] >= times[1][1] + times[3][1]


def test_a_part_that_replaces_a_size_of_the_image_is_refused(split):
    """The answer would be computed with what a stranger's graph made."""
    bundle = Bundle.open(split)
    with EngineStore() as store:
        engine = store.get(bundle, bundle.part("segmenter"), "cpu", None)
        engine.outputs = dict(engine.outputs, image_size=engine.outputs["mask"])
        with pytest.raises(BundleError, match="segmenter has the output 'image_size'"):
            ServerPipeline(bundle, store=store)


def test_an_encoder_that_bundles_share_is_loaded_once(split, tmp_path):
    other = tiny.tiny_bundle(tmp_path / "other", photos=1)
    with EngineStore() as store:
        first = BoardPipeline(Bundle.open(split), store=store)
        second = BoardPipeline(Bundle.open(other), store=store)
        assert len(store._engines) == 1
        first.close()  # the store's engines outlive a pipeline
        assert second.run(np.zeros((64, 64, 3), np.uint8)).payload
    assert not store._engines


def test_the_wrong_kind_of_bundle(split, local):
    for pipeline, path in (
        (LocalPipeline, split),
        (BoardPipeline, local),
        (ServerPipeline, local),
    ):
        with pytest.raises(BundleError) as error:
            pipeline(Bundle.open(path))
        assert "split" in str(error.value) and "local" in str(error.value)


def test_parts_that_do_not_fit_together(split, tmp_path):
    path = tiny.tiny_bundle(tmp_path / "cut", photos=1)
    document = tiny.read_document(path)
    document["parts"] = [part for part in document["parts"] if part["name"] != "body"]
    tiny.write_document(path, document)
    with pytest.raises(BundleError) as error:
        open_server(path)
    assert "classifier" in str(error.value) and "'f4'" in str(error.value)
    os.unlink(os.path.join(path, "classifier.onnx"))
    open_board(path).close()


@pytest.mark.parametrize(
    "sizes",
    [
        [480, 640, 312, 416, 320],
        [0, 640, 312, 416, 320, 416],
        [480, 640, 321, 416, 320, 416],
        [480, 640, 312, -416, 320, 416],
        [480, 640, 312, 416, 100000, 100000],
        [480, 640, 1, 1, 1, 1],
    ],
)
def test_hostile_sizes(split, raccoon, sizes):
    with open_board(split) as board, open_server(split) as server:
        payload = board.run(raccoon).payload
        with pytest.raises(BitstreamError):
            server.run(payload, np.array(sizes, np.int32))
        with pytest.raises(BitstreamError):
            server.run(payload, np.array([480, 640, 312, 416, 320, 416], np.int64))


def test_hostile_payloads(split, raccoon):
    with open_board(split) as board, open_server(split) as server:
        request = board.run(raccoon)
        damaged = bytearray(request.payload)
        damaged[len(damaged) // 2] ^= 4
        for payload in (
            b"",
            b"hello",
            request.payload[:-1],
            request.payload + b"x",
            bytes(damaged),
        ):
            with pytest.raises(BitstreamError):
                server.run(payload, request.sizes)


@pytest.mark.parametrize("shape", [(1, 1), (6000, 8000), (1, 8000)])
def test_extreme_images(split, shape):
    rgb = np.full(shape + (3,), 77, np.uint8)
    with WholePipeline(Bundle.open(split)) as pipeline:
        try:
            answer = pipeline.run(rgb).answer
            assert answer["segmentation"]["mask"].size
        except ImageError as error:
            assert shape == (1, 8000) and "narrow" in str(error)


def test_stages_can_be_repeated_one_by_one(split, local, raccoon):
    with open_board(split) as board:
        steps, request = board.steps(raccoon), board.run(raccoon)
        assert [name for name, _ in steps] == list(request.stages)
        for _ in range(2):
            assert [call() for _, call in steps][-1] == request.payload
    with open_local(local) as pipeline:
        steps, (answer, stages) = pipeline.steps(raccoon), pipeline.run(raccoon)
        assert [name for name, _ in steps] == list(stages)
        again = [[call() for _, call in steps][-1] for _ in range(2)][1]["classification"]
        assert again["labels"].tolist() == answer["classification"]["labels"].tolist()


def test_a_payload_that_fits_no_part_is_the_senders_fault(split, raccoon):
    """Sound bytes of a latent with other channels: BitstreamError."""
    bundle = Bundle.open(split)
    with BoardPipeline(bundle) as board, ServerPipeline(bundle) as server:
        request = board.run(raccoon)
        sizes = read_sizes(request.sizes)
        latent = server.codec.decode(request.payload, sizes.input)["latent"]
        server._codec = QuantizedCodec(None, [], None)
        wrong = server.codec.encode({"latent": np.concatenate([latent, latent], 1)})
        with pytest.raises(BitstreamError, match="does not take"):
            server.run(wrong, request.sizes)


def test_a_codecs_own_parts_run_on_the_cpu_whatever_the_backend(split, monkeypatch):
    asked = []

    class Store(EngineStore):
        def get(self, bundle, part, backend, threads):
            asked.append((part.name, backend))
            return super().get(bundle, part, "cpu", threads)

    def codec(bundle, engine_of):
        engine_of("body")  # stands for a hyperprior's part `parameters`
        return made(bundle, engine_of)

    made = chain.codec_of
    monkeypatch.setattr(chain, "codec_of", codec)
    with Store() as store, BoardPipeline(Bundle.open(split), "tensorrt", store=store):
        assert asked == [("encoder", "tensorrt"), ("body", "cpu")]
