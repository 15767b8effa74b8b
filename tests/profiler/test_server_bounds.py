"""What a peer can make the server hold or do is bounded, and nobody else waits meanwhile."""

import contextlib
import http.client
import json
import resource
import socket
import ssl
import statistics
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.protocol import REQUEST_JSON_BYTES
from splitwatt.profiler.server.lan import make_credentials
from splitwatt.profiler.server.web.body import BODY_LIMIT_BYTES, BUDGET_BYTES
from splitwatt.profiler.server.web.routes import MOST_BYTES
from tests.conftest import COMMAND
from tests.profiler.conftest import RunningServer


def ask(server, method, path, body=None, headers=None, timeout=20):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ones(size):
    head = b'{"inputs":[{"name":"latent","datatype":"UINT8","shape":[1],"data":[1'
    return head + b",1" * ((size - len(head) - 4) // 2) + b"]}]}"


def test_json_beyond_its_bound_is_refused_before_it_is_read(server):
    for headers, body in (
        ({}, ones(REQUEST_JSON_BYTES + 10)),
        (
            {"Inference-Header-Content-Length": str(REQUEST_JSON_BYTES + 1)},
            ones(REQUEST_JSON_BYTES + 10),
        ),
    ):
        status, text = ask(server, "POST", "/v2/models/tiny@1/infer", body, headers)
        assert status == 413 and "binary tensor extension" in json.loads(text)["error"]


def test_the_largest_allowed_json_holds_nobody_up(server):
    stop, waits = threading.Event(), []

    def send():
        while not stop.is_set():
            status, _ = ask(server, "POST", "/v2/models/tiny@1/infer", ones(REQUEST_JSON_BYTES))
            assert status in (200, 400, 503)

    senders = [threading.Thread(target=send, daemon=True) for _ in range(16)]
    for sender in senders:
        sender.start()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        start = time.monotonic()
        assert ask(server, "GET", "/v2/health/live")[0] == 200
        waits.append(time.monotonic() - start)
    stop.set()
    for sender in senders:
        sender.join(20)
    # The senders share this machine's processors: the figure itself is the benchmark's.
    assert len(waits) > 5 and statistics.median(waits) < 1.0


def head_of(path, length):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n".encode() + (
        b"Inference-Header-Content-Length: 100\r\n\r\n"
    )


def opened(server, data):
    connection = socket.create_connection(
        (urlsplit(server.url).hostname, urlsplit(server.url).port)
    )
    connection.sendall(data)
    return connection


@pytest.mark.parametrize("path", ["/v2/models/nothing/infer", "/v2/splitwatt/repeat/nothing/1"])
def test_an_unknown_model_is_refused_before_its_body_is_read(server, path):
    with opened(server, head_of(path, BODY_LIMIT_BYTES)) as connection:
        connection.settimeout(10)
        assert b" 404 " in connection.recv(4096)


def test_zeros_before_a_length_are_no_other_length(server):
    body = b'{"inputs":[]}'
    status, text = ask(server, "POST", "/v2/models/tiny@1/infer", body,
                       {"Content-Length": "0" * 40 + str(len(body))})  # fmt: skip
    assert status == 400 and "the inputs must be" in text


@pytest.mark.parametrize("seconds", ["1_0", "nan", "0", "4e3", "%D9%A3"])
def test_work_is_repeated_for_a_plain_number_of_seconds(server, seconds):
    status, text = ask(server, "POST", "/v2/splitwatt/repeat/tiny@1/" + seconds, b"{}")
    assert status == 400 and "repeated for 0 to 3600 s" in text


def test_a_list_of_ready_models_is_asked_for_by_true_or_false(server):
    status, text = ask(server, "POST", "/v2/repository/index", b'{"ready":"no"}')
    assert status == 400 and "'ready' must be true or false" in text


def test_bodies_of_many_clients_have_one_budget(tiny):
    server = RunningServer(tiny, "--port", "0")
    try:
        assert ask(server, "GET", "/v2/models/tiny@1")[0] == 200
        memory = psutil.Process(server.process.pid)
        before = memory.memory_info().rss
        held = BUDGET_BYTES // BODY_LIMIT_BYTES
        piece = b"\0" * (BODY_LIMIT_BYTES - 1000)
        connections = []
        for _ in range(held):
            one = opened(server, head_of("/v2/models/tiny@1/infer", BODY_LIMIT_BYTES))
            one.sendall(piece)
            connections.append(one)
        time.sleep(1)
        for _ in range(8):
            with opened(server, head_of("/v2/models/tiny@1/infer", BODY_LIMIT_BYTES)) as one:
                one.settimeout(10)
                assert b" 503 " in one.recv(4096)
        assert memory.memory_info().rss - before < 1.1 * BUDGET_BYTES + (64 << 20)
        assert ask(server, "GET", "/v2/health/live")[0] == 200
        for one in connections:
            one.close()
        deadline = time.monotonic() + 20
        status = 503
        while status == 503 and time.monotonic() < deadline:
            status = ask(server, "POST", "/v2/models/tiny@1/infer", b"{}")[0]
            time.sleep(0.1)
        assert status == 400
    finally:
        server.stop()


def test_connections_fit_the_limit_of_open_files(tiny, tmp_path):
    """Under `ulimit -n 256`, hard too: a 503 and no reset, no traceback in the log."""
    log = tmp_path / "log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--bundles", str(tiny), "--port", "0", "--json"],
            stdout=subprocess.PIPE, stderr=errors,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
        )  # fmt: skip
    connections = []
    try:
        url = json.loads(process.stdout.readline())["url"]
        for _ in range(300):
            one = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10)
            connections.append(one)
        connections[-1].settimeout(10)
        assert b" 503 " in connections[-1].recv(4096)
        connections[0].sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        connections[0].settimeout(10)
        assert b" 200 " in connections[0].recv(4096)
    finally:
        for one in connections:
            one.close()
        process.terminate()
        process.wait(30)
        process.stdout.close()
    assert "Traceback" not in log.read_text()


def test_malformed_requests_do_not_grow_the_log(tiny, tmp_path):
    log = tmp_path / "log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--bundles", str(tiny), "--port", "0", "--json"],
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        url = json.loads(process.stdout.readline())["url"]
        for _ in range(200):
            with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10) as one:
                one.sendall(b"\x00\x01nothing\r\n\r\n")
                one.settimeout(10)
                one.recv(100)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
    assert len(log.read_text().splitlines()) < 10


def test_tls_clients_that_never_finish_their_handshake_are_counted(tiny, tmp_path):
    """Under `ulimit -n 256`, they are closed beyond the limit; a client that was there is served."""
    made = make_credentials(str(tmp_path), "127.0.0.1")
    log = tmp_path / "log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--bundles", str(tiny), "--port", "0", "--json"]
            + ["--token-file", made.token_file, "--cert", made.cert, "--key", made.key],
            stdout=subprocess.PIPE, stderr=errors,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
        )  # fmt: skip
    connections = []
    try:
        url = urlsplit(json.loads(process.stdout.readline())["url"])
        context = ssl.create_default_context(cafile=made.cert)
        context.check_hostname = False
        client = http.client.HTTPSConnection(url.hostname, url.port, timeout=10, context=context)
        client.connect()
        for _ in range(300):
            connections.append(socket.create_connection((url.hostname, url.port), 10))
        connections[-1].settimeout(10)
        assert connections[-1].recv(100) == b""
        assert sum(not has_ended(one) for one in connections) == 128 + 64 - 1  # and `client`
        token = Path(made.token_file).read_text().strip()
        client.request("GET", "/v2/models/tiny@1", headers={"Authorization": "Bearer " + token})
        assert client.getresponse().status == 200
    finally:
        for one in connections:
            one.close()
        client.close()
        process.terminate()
        process.wait(30)
        process.stdout.close()
    assert "Traceback" not in log.read_text()


def test_bodies_over_tls_stay_within_the_budget_too(tiny, tmp_path):
    """The library's buffers once took a megabyte of each connection whose body waited or was refused."""
    made = make_credentials(str(tmp_path), "127.0.0.1")
    server = RunningServer(
        tiny, "--port", "0",
        "--token-file", made.token_file, "--cert", made.cert, "--key", made.key,
    )  # fmt: skip
    connections = []
    try:
        context = ssl.create_default_context(cafile=made.cert)
        url = urlsplit(server.url)
        memory = psutil.Process(server.process.pid)
        before = memory.memory_info().rss
        token = Path(made.token_file).read_text().strip()
        head = head_of("/v2/models/tiny@1/infer", 1 << 20)[:-2]
        head += b"Authorization: Bearer %s\r\n\r\n" % token.encode()
        for _ in range(300):
            plain = socket.create_connection((url.hostname, url.port), 10)
            one = context.wrap_socket(plain, server_hostname=url.hostname)
            connections.append(one)
            one.settimeout(0.05)
            with contextlib.suppress(OSError):  # refused
                one.sendall(head + bytes((1 << 20) - 1))
        time.sleep(1)
        assert memory.memory_info().rss - before < 1.1 * BUDGET_BYTES
    finally:
        for one in connections:
            one.close()
        server.stop()


def has_ended(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def test_large_bodies_leave_room_for_small_ones(tiny):
    server = RunningServer(tiny, "--port", "0")
    connections = []
    try:
        for _ in range(BUDGET_BYTES // BODY_LIMIT_BYTES):
            one = opened(server, head_of("/v2/models/tiny@1/infer", BODY_LIMIT_BYTES))
            connections.append(one)
        connections[-1].settimeout(10)
        assert b" 503 " in connections[-1].recv(4096)
        assert ask(server, "POST", "/v2/models/tiny@1/infer", b"{}")[0] == 400
    finally:
        for one in connections:
            one.close()
        server.stop()


def test_a_body_of_a_client_that_says_no_length_is_counted_as_it_comes(server):
    head = b"POST /v2/models/tiny@1/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    piece = b"10000\r\n" + b"1" * 65536 + b"\r\n"
    with opened(server, head + b"\r\n" + piece + piece) as one:
        one.settimeout(10)
        assert b" 413 " in one.recv(4096)


def test_a_large_answer_is_never_whole_in_memory(tiny):
    server = RunningServer(tiny, "--port", "0")
    connections = []
    try:
        assert ask(server, "GET", "/v2/health/live")[0] == 200
        memory = psutil.Process(server.process.pid)
        before = memory.memory_info().rss
        head = b"POST /v2/splitwatt/echo/%d HTTP/1.1\r\nHost: x\r\n\r\n" % BODY_LIMIT_BYTES
        for _ in range(16):  # nobody reads
            connections.append(opened(server, head))
        time.sleep(1)
        assert memory.memory_info().rss - before < 32 << 20
    finally:
        for one in connections:
            one.close()
        server.stop()


def test_a_client_reads_the_largest_answer_of_the_clock(server):
    with Client(Endpoint(server.url)) as client:
        assert client.clock(down_bytes=MOST_BYTES).down_bytes > MOST_BYTES


def test_requests_that_wait_on_one_connection_are_bounded(server):
    echo = b"POST /v2/splitwatt/echo/9000000 HTTP/1.1\r\nHost: x\r\n\r\n"
    with opened(server, echo) as one:
        time.sleep(0.2)
        one.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n" * 4000)
        one.settimeout(10)
        text = b""
        with contextlib.suppress(ConnectionError):
            while piece := one.recv(65536):
                text += piece
    assert b"200 OK" in text  # of the first
    metrics = ask(server, "GET", "/metrics")[1]
    assert 'splitwatt_refusals_total{status="400"}' in metrics


@pytest.mark.parametrize(
    "name, value, count", [("a", "b", 300), ("a", "", 16000), ("a" * 80, "b" * 80, 80)]
)
def test_headers_are_counted_with_what_they_take(server, name, value, count):
    """16,000 headers of a letter have 16 KiB of text, and take 2 MB of memory."""
    head = b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + f"{name}: {value}\r\n".encode() * count
    with opened(server, head + b"\r\n") as one:
        one.settimeout(10)
        assert b" 431 " in one.recv(4096)


def test_heads_that_wait_on_one_connection_have_one_bound(server):
    echo = b"POST /v2/splitwatt/echo/9000000 HTTP/1.1\r\nHost: x\r\n\r\n"
    large = b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 12000 + b"\r\n\r\n"
    text = b""
    with opened(server, echo) as one:
        time.sleep(0.2)
        one.sendall(large * 8)
        one.settimeout(10)
        with contextlib.suppress(ConnectionError):
            while piece := one.recv(65536):
                text += piece
    assert text.count(b"200 OK") <= 1 + 5
    metrics = ask(server, "GET", "/metrics")[1]
    assert 'splitwatt_refusals_total{status="431"}' in metrics


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_compressed_body_is_refused(server, encoding):
    answer = ask(server, "POST", "/v2/models/tiny@1/infer", b"{}", {"Content-Encoding": encoding})
    assert answer[0] == 415
