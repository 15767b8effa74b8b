import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from splitwatt.device_configs.errors import ServerError, SplitwattError, UsageError
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.pipeline.answer import unpack
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, WholePipeline
from splitwatt.profiler.cli import _serve_parser
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.protocol import Tensor, encode_request
from splitwatt.profiler.server.inference.refusals import without_paths
from splitwatt.profiler.server.place import make_credentials
from splitwatt.profiler.server.setup import check_flags, models_of, served
from tests.profiler.conftest import RunningServer, command

MODEL = "tiny@1"


@pytest.fixture(scope="module")
def request_of_a_photograph(tiny, photographs):
    bundle = Bundle.open(str(tiny / "cpu" / MODEL))
    rgb = decode_image(str(photographs[3]))
    with BoardPipeline(bundle) as board, WholePipeline(bundle) as both:
        made = board.run(rgb)
        return made.payload, made.sizes.tolist(), both.run(rgb).answer


def same(answer, expected):
    assert set(answer) == set(expected)
    for task, fields in expected.items():
        for name, array in fields.items():
            np.testing.assert_array_equal(answer[task][name], array)


def ask(url, method, path, body=b"", headers=None):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content, response


def test_an_answer_over_the_wire_is_that_of_the_pipeline(server, request_of_a_photograph):
    payload, sizes, expected = request_of_a_photograph
    with Client(Endpoint(server.url)) as client:
        for _ in range(2):
            reply = client.infer(MODEL, payload, sizes)
            same(unpack(reply.answer), expected)
            assert reply.attempts == 1
    assert set(reply.stages) == {
        "decode", "body", "classifier", "detector", "segmenter", "postprocess",
    }  # fmt: skip
    assert 0 < sum(reply.stages.values()) <= reply.total_s + 1e-4


def test_wire_bytes_are_those_on_the_socket(server, request_of_a_photograph):
    """Counted by a relay between client and server that knows nothing of either."""
    payload, sizes, _ = request_of_a_photograph
    counted = [0, 0]
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, target, index):
        while data := source.recv(4096):
            counted[index] += len(data)
            target.sendall(data)

    def relay():
        near, _ = listener.accept()
        parts = urlsplit(server.url)
        far = socket.create_connection((parts.hostname, parts.port))
        threading.Thread(target=pump, args=(far, near, 1), daemon=True).start()
        pump(near, far, 0)

    threading.Thread(target=relay, daemon=True).start()
    with Client(Endpoint("http://127.0.0.1:%d" % listener.getsockname()[1])) as client:
        first = client.infer(MODEL, payload, sizes)
        assert counted == [first.wire_up_bytes, first.wire_down_bytes]
        second = client.infer(MODEL, payload, sizes)
    assert counted == [first.wire_up_bytes + second.wire_up_bytes,
                       first.wire_down_bytes + second.wire_down_bytes]  # fmt: skip
    assert first.wire_up_bytes - len(payload) < 400
    assert first.wire_down_bytes - len(first.answer) < 400


def test_tritons_client_drives_it(server, request_of_a_photograph):
    triton = pytest.importorskip("tritonclient.http")
    payload, sizes, expected = request_of_a_photograph
    client = triton.InferenceServerClient(urlsplit(server.url).netloc)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
    assert client.get_server_metadata()["name"] == "splitwatt"
    about = client.get_model_metadata(MODEL)
    assert {i["name"] for i in about["inputs"]} == {"bitstream", "sizes"}
    client.load_model(MODEL)
    assert {"name": MODEL, "version": "1", "state": "READY"} in client.get_model_repository_index()
    bitstream = triton.InferInput("bitstream", [len(payload)], "UINT8")
    bitstream.set_data_from_numpy(np.frombuffer(payload, np.uint8))
    for binary_in in (True, False):
        size = triton.InferInput("sizes", [6], "INT32")
        size.set_data_from_numpy(np.array(sizes, np.int32), binary_data=binary_in)
        for binary in (True, False):
            names = ("labels", "scores", "boxes", "box_labels", "box_scores", "mask")
            outputs = [triton.InferRequestedOutput(n, binary_data=binary) for n in names]
            result = client.infer(MODEL, [bitstream, size], outputs=outputs, request_id="7")
            assert result.get_response()["id"] == "7"
            for name, task, field in (
                ("labels", "classification", "labels"),
                ("scores", "classification", "scores"),
                ("boxes", "detection", "boxes"),
                ("box_labels", "detection", "labels"),
                ("box_scores", "detection", "scores"),
                ("mask", "segmentation", "mask"),
            ):
                np.testing.assert_array_equal(result.as_numpy(name), expected[task][field])
    answer = client.infer(MODEL, [bitstream, size]).as_numpy("answer")
    same(unpack(answer.tobytes()), expected)
    with pytest.raises(Exception, match="did you mean tiny@1"):
        client.infer("tiny@2", [bitstream, size])
    client.unload_model(MODEL)
    client.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nothing", 404, "nothing at this address"),
        ("POST", "/v2/health/live", 405, "not supported"),
        ("GET", "/v2/models/tiny@2", 404, "did you mean tiny@1"),
        ("GET", "/v2/models/..%2f..%2fetc", 404, "nothing at this address"),
        ("GET", "/v2/models/..", 404, "unknown model"),
        ("GET", "/v2/models/tiny_local", 404, "runs on the board alone"),
        ("GET", "/v2/models/tiny@1/versions/2", 404, "version 1 alone"),
        ("POST", "/v2/models/tiny@1/infer", 400, "JSON"),
    ],
)
def test_errors_are_the_protocols_object(server, method, path, status, sentence):
    found, content, _ = ask(server.url, method, path)
    assert (found, list(json.loads(content))) == (status, ["error"])
    assert sentence in json.loads(content)["error"]


def message(payload, sizes, **changes):
    fields = {"name": "bitstream", "datatype": "UINT8", "shape": (len(payload),), "data": payload}
    size = Tensor("sizes", "INT32", (len(sizes),), struct.pack(f"<{len(sizes)}i", *sizes))
    made = encode_request([Tensor(**{**fields, **changes})], [size])
    return made.body, {"Inference-Header-Content-Length": str(made.header_length)}


def test_unsound_requests_are_refused_and_the_server_lives(server, request_of_a_photograph):
    payload, sizes, expected = request_of_a_photograph
    flipped = payload[:-1] + bytes([payload[-1] ^ 1])
    other_tables = payload[:1] + bytes([payload[1] ^ 1]) + payload[2:]
    for body, headers in (
        message(flipped, sizes),
        message(payload[:-5], sizes),
        message(payload + b"more", sizes),
        message(b"", sizes),
        message(other_tables, sizes),
        message(payload, sizes[:5]),
        message(payload, [0] * 6),
        message(payload, [2**31 - 1] * 6),
        message(payload, sizes, name="bits"),
        message(payload, sizes, datatype="INT8"),
        message(payload, sizes, shape=(len(payload), 1)),
        (b"{}", {}),
        (b"{}", {"Inference-Header-Content-Length": "9"}),
        (b"{}", {"Inference-Header-Content-Length": "x"}),
        (message(payload, sizes)[0], {}),
    ):
        status, content, _ = ask(server.url, "POST", f"/v2/models/{MODEL}/infer", body, headers)
        assert status == 400 and len(json.loads(content)["error"]) < 400, content
    body, headers = message(payload, sizes)
    path = f"/v2/models/{MODEL}/infer"
    assert ask(server.url, "POST", path, body, {**headers, "Content-Encoding": "gzip"})[0] == 415
    assert ask(server.url, "POST", path, body[:4], {"Content-Length": str(1 << 40)})[0] == 413
    with Client(Endpoint(server.url)) as client:
        same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
        with pytest.raises(ServerError, match=r"refused \(400\): the bitstream is damaged"):
            client.infer(MODEL, flipped, sizes)
        assert client.reachable


def test_a_client_that_goes_away_harms_nobody(server, request_of_a_photograph):
    payload, sizes, expected = request_of_a_photograph
    parts = urlsplit(server.url)
    head = b"POST /v2/models/tiny@1/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n"
    for text in (b"", head[:12], b"\x16\x03\x01nonsense\r\n\r\n", head + b"half"):
        with socket.create_connection((parts.hostname, parts.port)) as stream:
            stream.sendall(text)
    with Client(Endpoint(server.url)) as client:
        same(unpack(client.infer(MODEL, payload, sizes).answer), expected)


def test_loopback_is_the_default_and_the_network_takes_token_and_tls(tiny, server):
    assert server.url.startswith("http://127.0.0.1:")
    for more in ([], ["--token-file", "t"], ["--cert", "c", "--key", "k"]):
        code, _, err = command("serve", "--bundles", tiny, "--host", "0.0.0.0", "--port", 0, *more)
        assert code == 2 and "needs a token and a certificate" in err and "--lan" in err


def test_a_server_in_the_network(tiny, tmp_path, request_of_a_photograph):
    payload, sizes, expected = request_of_a_photograph
    running = None
    try:
        running = RunningServer(tiny, "--lan", "--port", "0", cwd=tmp_path)
        about = running.about
        token_file = str(tmp_path / about["token_file"])
        assert os.stat(token_file).st_mode & 0o077 == 0
        token = Path(token_file).read_text()
        assert f"--server {running.url} --token-file token --fingerprint" in about["command"]
        port = urlsplit(running.url).port
        url = "https://127.0.0.1:%d" % port
        good = Endpoint(url, token, fingerprint=about["fingerprint"])
        with Client(good) as client:
            same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
        by_cert = Endpoint(url, token, certificate=str(tmp_path / about["cert"]))
        with Client(by_cert) as client:
            assert client.metadata()["name"] == "splitwatt"
        for endpoint, sentence in (
            (good._replace(token="wrong"), "the token is missing or wrong"),
            (good._replace(token=None), "the token is missing or wrong"),
            (good._replace(fingerprint="0" * 64), "another fingerprint"),
            (good._replace(fingerprint=None), "not trusted: self.signed certificate; give"),
            (by_cert._replace(url="https://localhost:%d" % port), "not trusted: .*localhost"),
        ):
            refused = pytest.raises(ServerError, match=sentence)
            with Client(endpoint, retry_after_s=()) as client, refused:
                client.infer(MODEL, payload, sizes)
    finally:
        if running is not None:
            running.stop()


def test_it_stops_when_told_and_with_its_parent(tiny, tmp_path):
    running = RunningServer(tiny, "--port", "0")
    assert running.stop() == 0
    ready = tmp_path / "ready.json"
    code, _, err = command("serve", "--bundles", tiny, "--port", 0, "--ready-file", ready,
                           "--parent", 1)  # fmt: skip
    assert code == 1 and "has ended" in err and not ready.exists()


def test_further_signals_end_it_at_once_and_without_a_traceback(tiny, capfd):
    running = RunningServer(tiny, "--port", "0")
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port)) as stream:
        head = b"POST /v2/models/tiny@1/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n"
        stream.sendall(head + b"half")  # the server waits for the rest of this request
        time.sleep(0.3)
        while running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
    assert running.stop() == 0 and capfd.readouterr().err == ""


def test_what_cannot_be_served_is_told(tiny, tmp_path, server):
    port = urlsplit(server.url).port
    for arguments, sentence in (
        (("--bundles", tmp_path), "has no bundles of the target cpu"),
        (("--bundles", tiny, "--target", "nan"), "has no bundles of the target nan; "),
        (("--bundles", tiny, "--backend", "cup"), "unknown backend 'cup'; did you mean cpu"),
        (("--bundles", tiny, "--port", port), "cannot be listened to"),
        (("--bundles", tiny, "--port", 99999), "cannot be listened to"),
        (("--bundles", tiny, "--lan", "--cert", "x"), "--lan makes"),
    ):
        code, _, err = command("serve", *arguments)
        assert code in (1, 2) and sentence in err and "Traceback" not in err


def test_a_killed_server_is_gone_for_the_client(tiny, request_of_a_photograph):
    payload, sizes, expected = request_of_a_photograph
    running = RunningServer(tiny, "--port", "0")
    with Client(Endpoint(running.url), retry_after_s=(0.01, 0.01)) as client:
        client.infer(MODEL, payload, sizes)
        running.stop(signal.SIGKILL)
        with pytest.raises(ServerError, match="cannot be reached"):
            client.infer(MODEL, payload, sizes)
        assert not client.reachable
        again = RunningServer(tiny, "--port", str(urlsplit(running.url).port))
        try:
            same(unpack(client.infer(MODEL, payload, sizes).answer), expected)
            assert client.reachable
        finally:
            again.stop()


@pytest.mark.parametrize(
    ("content", "words"), [("", "holds no token"), (" \n", "holds no token"), ("a b", "characters")]
)
def test_a_token_file_without_a_token_lets_nobody_in(tiny, tmp_path, content, words):
    (tmp_path / "token").write_text(content)
    code, _, err = command("serve", "--bundles", tiny, "--port", 0, "--token-file",
                           tmp_path / "token")  # fmt: skip
    assert code == 2 and words in err and "Traceback" not in err


def test_files_that_are_no_certificate_and_key_are_told(tiny, tmp_path):
    one, two = (make_credentials(str(tmp_path / name), "127.0.0.1") for name in "ab")
    (tmp_path / "empty").write_text("")
    for cert, key, words in (
        (tmp_path / "missing.pem", one.key, "there is no file"),
        (tmp_path / "empty", one.key, "are not a certificate and its key"),
        (one.cert, two.key, "are not a certificate and its key"),
    ):
        code, _, err = command("serve", "--bundles", tiny, "--port", 0, "--cert", cert,
                               "--key", key)  # fmt: skip
        assert code == 2 and words in err and "Traceback" not in err


def test_failures_count_under_their_model(server, request_of_a_photograph):
    _, sizes, _ = request_of_a_photograph
    with Client(Endpoint(server.url)) as client:
        client.load(MODEL)
        with pytest.raises(ServerError, match=r"\(400\)"):
            client.infer(MODEL, b"damaged", sizes)
    counted = ask(server.url, "GET", "/metrics")[1].decode()
    assert f'splitwatt_requests_total{{model="{MODEL}",status="400"}}' in counted


def test_only_what_is_served_is_listed(server):
    rows = json.loads(ask(server.url, "POST", "/v2/repository/index")[1])
    assert [row["name"] for row in rows] == [MODEL] and server.about["models"] == 1
    assert f"--target cpu --server {server.url}" in server.about["command"]


@pytest.mark.parametrize(
    ("engine", "flags", "sentence"),
    [
        ("embedded", ["--cluster", "c.yaml"], "--engine embedded takes no --cluster"),
        ("embedded", ["--driver", "generated"], "--driver is for --energy"),
        ("embedded", ["--sysfs", "/sys"], "--sysfs is for --energy"),
        ("ray", ["--workers", "2"], "--engine ray takes no --workers: 'workers' and 'cores'"),
        ("ray", ["--threads", "2"], "--engine ray takes no --threads"),
        ("ray", ["--energy"], "a cluster does not sample power"),
        ("triton", ["--cluster", "c.yaml"], "--engine triton takes no --cluster"),
        ("triton", ["--lan"], "neither token nor TLS"),
        ("triton", ["--energy-target", "nano"], "Triton does not sample power"),
    ],
)
def test_a_flag_that_does_nothing_is_refused(engine, flags, sentence):
    options = _serve_parser().parse_args(["--engine", engine, *flags])
    with pytest.raises(UsageError, match=re.escape(sentence)):
        check_flags(options)


def serves(*arguments):
    """What `splitwatt serve ARGUMENTS` would serve."""
    return served(_serve_parser().parse_args([str(argument) for argument in arguments]))


def test_named_bundles_are_served_alone(tiny, tmp_path):
    for name in ("one", "more/two"):
        shutil.copytree(tiny / "cpu" / MODEL, tmp_path / name)
    manifest = tmp_path / "more" / "two" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"{MODEL}"', '"tiny@2"'))
    shutil.copytree(tiny / "cpu" / "tiny_local", tmp_path / "more" / "local")
    running = RunningServer(None, "--port", "0", str(tmp_path / "one"), str(tmp_path / "more"))
    try:
        assert (running.about["models"], running.about["target"]) == (2, "cpu")
        with Client(Endpoint(running.url), 30.0) as client:
            for model in (MODEL, "tiny@2"):
                client.load(model)
                assert client.model_metadata(model)["name"] == model
            with pytest.raises(ServerError, match="unknown model 'tiny_local'"):
                client.model_metadata("tiny_local")
    finally:
        assert running.stop() == 0


def test_what_cannot_be_served_is_refused(tiny, tmp_path):
    named = tiny / "cpu" / MODEL
    assert serves("--bundles", tiny).bundles == str(tiny / "cpu")
    assert (
        serves(tiny).bundles == serves(tiny / "cpu").bundles == {MODEL: str(tiny / "cpu" / MODEL)}
    )
    assert serves(named, named).bundles == {MODEL: str(named)}
    shutil.copytree(named, tmp_path / "again")
    for wrong, sentence in [
        ([named, tmp_path / "again"], "two bundles of tiny@1 are named"),
        ([tiny / "cpu" / "tiny_local"], "runs on the board alone"),
        ([named, "--bundles", tiny], "BUNDLE excludes --bundles and --target"),
        ([tmp_path / "nowhere"], str(tmp_path / "nowhere")),
    ]:
        with pytest.raises(SplitwattError, match=re.escape(sentence)):
            serves(*wrong)


def test_a_backend_that_runs_one_at_a_time_takes_one_worker_of_a_cluster_too(tiny):
    options = _serve_parser().parse_args(["--bundles", str(tiny), "--backend", "tensorrt"])
    models_of(options, str(tiny / "cpu"), 1, 1)
    with pytest.raises(UsageError, match="'workers: 1' in the --cluster file"):
        models_of(options, str(tiny / "cpu"), 4, 1)


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("/data/b/cpu/m/body.onnx is truncated", "body.onnx is truncated"),
        ("'/data/b/m' is none", "'m' is none"),
        ("no bundle (../b/cpu/m): export it", "no bundle (m): export it"),
        ("run splitwatt build bundles/cpu/m@1", "run splitwatt build m@1"),
        ("the model has 2 parts", "the model has 2 parts"),
    ],
)
def test_strangers_hear_of_no_folder(sentence, told):
    assert without_paths(sentence) == told
