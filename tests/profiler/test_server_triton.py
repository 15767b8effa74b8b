"""A real Triton Inference Server, and the board's client against it.

pytriton's Python backend needs a Python with a shared libpython: Debian's, not one that was built
without it. An environment of that Python is kept under build/.
"""

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from pytriton.client.exceptions import PyTritonClientTimeoutError
from tritonclient import http
from tritonclient.utils import InferenceServerException

from splitwatt.device_configs.errors import ServerError, SplitwattError
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.profiler.cli import serve
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.server.cluster import triton_engine as engine
from splitwatt.profiler.server.cluster.triton_engine import _bind
from splitwatt.profiler.server.inference.models import Models
from tests.conftest import ROOT
from tests.profiler.conftest import command, start
from tests.profiler.test_server import MODEL, same
from tests.profiler.test_server_work import requests  # noqa: F401  (a fixture)

pytestmark = pytest.mark.long

NEEDS = ["nvidia-pytriton==0.7.0", "onnxruntime", "numpy<2", "Pillow", "PyYAML", "psutil", "rich"]
# Prints whether this Python could run Triton's Python backend.
PROBE = """
import ctypes, sys, venv
ctypes.CDLL("libpython%d.%d.so.1.0" % sys.version_info[:2])
assert (3, 10) <= sys.version_info[:2] <= (3, 13)
"""


@pytest.fixture(scope="session")
def triton_python():
    given = os.environ.get("SPLITWATT_TRITON_PYTHON")
    if given:
        return given
    # The distribution's first: its libpython is the one that the loader finds.
    candidates = [*sorted(glob.glob("/usr/bin/python3.1[0-3]")), sys.executable]
    for candidate in candidates:
        if subprocess.call([candidate, "-c", PROBE], stderr=subprocess.DEVNULL) == 0:
            break
    else:
        pytest.skip(
            "no Python here has a shared libpython: apt-get install python3-venv libpython3.11"
        )
    key = hashlib.sha256(repr([candidate, NEEDS]).encode()).hexdigest()[:12]
    folder = ROOT / "build" / f"triton-{key}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for step in ([candidate, "-m", "venv", folder],
                     [folder / "bin" / "python", "-m", "pip", "install", "-q", *NEEDS]):  # fmt: skip
            result = subprocess.run(list(map(str, step)), capture_output=True, text=True)
            if result.returncode != 0:
                pytest.skip("pytriton cannot be installed here: " + result.stderr[-200:])
        (folder / "ready").touch()
    return str(folder / "bin" / "python")


def test_a_triton_that_does_not_start_is_one_sentence(tiny, monkeypatch):
    """As where a library of NVIDIA's is missing; pytriton then waits for two minutes."""

    def never(config):
        raise PyTritonClientTimeoutError("Waiting for server to be ready timed out.")

    for place, name in ((engine.http, "quote"), (engine.bound, "ModelConfigGenerator"),
                        (engine.pytriton, "Model")):  # fmt: skip
        monkeypatch.setattr(place, name, getattr(place, name))  # the engine replaces them
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(engine, "_AnyName", never)
    monkeypatch.setattr(engine, "_check", lambda options: None)
    monkeypatch.setattr(engine.signal, "signal", lambda number, handler: None)
    with pytest.raises(SplitwattError, match="Triton has not started: Waiting.*messages above"):
        serve(["--engine", "triton", "--bundles", str(tiny), "--port", "0"])


@pytest.fixture(scope="module")
def triton(tiny, triton_python, tmp_path_factory):
    ready = tmp_path_factory.mktemp("triton") / "ready.json"
    process = start(
        "serve", "--engine", "triton", "--bundles", tiny, "--port", 0, "--batch", 4,
        "--ready-file", ready, "--json", python=triton_python,
    )  # fmt: skip
    # Triton's own messages share its standard output.
    drain = [threading.Thread(target=pipe.read) for pipe in (process.stderr,)]
    [thread.start() for thread in drain]
    line = process.stdout.readline()
    while line and not line.startswith('{"url"'):
        line = process.stdout.readline()
    assert line, "Triton did not start"
    drain.append(threading.Thread(target=process.stdout.read))
    drain[-1].start()
    children = psutil.Process(process.pid).children(recursive=True)
    yield json.loads(line)
    process.terminate()
    assert process.wait(60) == 0
    [thread.join() for thread in drain]
    gone, alive = psutil.wait_procs(children, timeout=15)
    assert children and not alive


def counter(about, name):
    text = urllib.request.urlopen(about["metrics"], timeout=10).read().decode()
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name + "{")]
    return sum(float(value) for _, value in rows)


def test_the_boards_client_talks_to_triton(triton, requests):  # noqa: F811
    with Client(Endpoint(triton["url"])) as client:
        assert client.metadata()["name"] == "triton"
        client.load(MODEL)
        for payload, sizes, expected in requests[:3]:
            reply = client.infer(MODEL, payload, sizes)
            same(unpack(reply.answer), expected)
            assert reply.total_s >= sum(reply.stages.values()) - 1e-3 and "body" in reply.stages
        damaged = payload[:20] + bytes([payload[20] ^ 1]) + payload[21:]
        with pytest.raises(ServerError, match=r"refused \(400\): the bitstream") as refused:
            client.infer(MODEL, damaged, sizes)
        assert "Traceback" not in str(refused.value)
        with pytest.raises(ServerError, match=r"\(404\)"):
            client.infer("tiny@2", payload, sizes)
        same(unpack(client.infer(MODEL, payload, sizes).answer), expected)


def test_tritons_own_client_reaches_a_model_with_a_rate(triton, requests):  # noqa: F811
    payload, sizes, expected = requests[0]
    with http.InferenceServerClient(triton["url"].split("//")[1]) as client:
        assert client.is_model_ready(MODEL)
        inputs = []
        for name, kind, array in (
            ("bitstream", "UINT8", np.frombuffer(payload, np.uint8).reshape(1, -1)),
            ("sizes", "INT32", np.asarray(sizes, np.int32).reshape(1, 6)),
        ):
            inputs.append(http.InferInput(name, array.shape, kind))
            inputs[-1].set_data_from_numpy(array)
        answer = client.infer(MODEL, inputs).as_numpy("answer")
        same(unpack(answer.tobytes()), expected)
        inputs[0].set_data_from_numpy(np.frombuffer(payload, np.uint8).reshape(1, -1) ^ 1)
        with pytest.raises(InferenceServerException, match="splitwatt bitstream|the bitstream"):
            client.infer(MODEL, inputs)


def test_a_refusal_leaves_the_others_of_its_batch_alone(triton, requests):  # noqa: F811
    """Sound and damaged requests at once: each is answered for itself."""
    outcomes = []

    def board(number):
        payload, sizes, expected = requests[number % len(requests)]
        payload = payload[:-1] if number % 2 else payload
        with Client(Endpoint(triton["url"])) as client:
            for _ in range(5):
                try:
                    same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
                    outcomes.append(number % 2 == 0)
                except ServerError as error:
                    outcomes.append(number % 2 == 1 and "(400)" in str(error))

    threads = [threading.Thread(target=board, args=(n,)) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert outcomes == [True] * 40


def test_triton_batches_and_counts(triton, requests):  # noqa: F811
    before = counter(triton, "nv_inference_exec_count"), counter(triton, "nv_inference_count")
    wrong = []

    def board(number):
        with Client(Endpoint(triton["url"])) as client:
            for turn in range(10):
                payload, sizes, expected = requests[(number + turn) % len(requests)]
                try:
                    same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
                except Exception as error:
                    wrong.append(error)

    threads = [threading.Thread(target=board, args=(n,)) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong, wrong[:2]
    runs = counter(triton, "nv_inference_exec_count") - before[0]
    assert counter(triton, "nv_inference_count") - before[1] == 80
    assert runs < 80  # bitstreams of different lengths went together


def test_a_board_profiles_against_triton(triton, tiny, config, tmp_path):
    run = tmp_path / "run"
    code, _, err = command(
        "profile", "--config", config(inferences=3), "--bundles", tiny, "--out", run,
        "--server", triton["url"],
    )  # fmt: skip
    assert code == 0, err
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    split = [sample for sample in samples if sample["config"] == "Ours1"]
    assert split and all(sample["status"] == "ok" for sample in samples)
    assert all("all.server.body" in sample["stages"] for sample in split)
    assert json.loads((run / "run.json").read_text())["server"]["name"] == "triton"


def test_tritons_queue_is_bounded(tiny):
    bound = []
    server = SimpleNamespace(bind=lambda **model: bound.append(model["config"]))
    options = SimpleNamespace(workers=None, batch=2, queue=7)
    _bind(server, Models(str(tiny / "cpu"), "cpu", 1), MODEL, options)
    assert bound[0].batcher.default_queue_policy.max_queue_size == 7


def test_what_triton_has_not_is_told(tiny, triton_python):
    code, _, err = command(
        "serve", "--engine", "triton", "--bundles", tiny, "--host", "0.0.0.0", python=triton_python
    )
    assert code == 2 and "neither token nor TLS" in err and "another --engine" in err
