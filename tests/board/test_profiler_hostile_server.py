"""A client against a server that is hostile or wrong: bounds, and one sentence."""

import base64
import http.server
import json
import socket
import socketserver
import threading
import time
import zlib
from types import SimpleNamespace

import pytest

from splitwatt.device_configs.errors import RunError, ServerError
from splitwatt.profiler.client import connection
from splitwatt.profiler.client.client import Client, NoClockError
from splitwatt.profiler.client.connection import Connection, Endpoint
from splitwatt.profiler.client.remote import Offset
from splitwatt.profiler.execute.power import RemotePower, sampled_rails
from splitwatt.profiler.infer.deployed import server_of
from splitwatt.profiler.records.fields import check_text
from splitwatt.profiler.records.traces import trace_facts

TIMEOUT_S = 1.0


@pytest.fixture
def talks():
    """Makes a server that answers every request with these pieces, the last one again and again."""
    serving = []

    def make(*pieces, **more):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)

        def serve():
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(stream,), daemon=True).start()

        def answer(stream):
            try:
                while stream.recv(65536):
                    for piece in pieces:
                        stream.sendall(piece)
                    while more.get("again"):
                        stream.sendall(pieces[-1])
                        time.sleep(more.get("pause_s", 0))
                    if more.get("close"):
                        break
            except OSError:
                pass
            stream.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        serving.append((listener, thread))
        return Client(
            Endpoint("http://127.0.0.1:%d" % listener.getsockname()[1]), TIMEOUT_S, retry_after_s=()
        )

    yield make
    for listener, thread in serving:
        # Closed while its thread still accepts, its number would soon be another test's server.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def answer_of(body, **headers):
    rows = dict({"Content-Length": len(body)}, **headers)
    head = "".join("%s: %s\r\n" % item for item in rows.items())
    return ("HTTP/1.1 200 OK\r\n%s\r\n" % head).encode() + body


def outputs(**changes):
    entry = dict(
        {"name": "answer", "datatype": "UINT8", "shape": [3], "data": [1, 2, 3]}, **changes
    )
    return answer_of(json.dumps({"model_name": "m", "outputs": [entry]}).encode())


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"], "is larger than"),
        ([b"HTTP/1.1 301 Moved\r\nLocation: http://a/\r\nContent-Length: 0\r\n\r\n"], "redirected"),
        ([b"\xff\xfe nothing of HTTP\r\n\r\n"], "cannot be reached"),
        ([answer_of(b'{"outputs": [], "x": NaN}')], "NaN"),
        ([answer_of(b"[" * 5000)], "nested deeper"),
        ([answer_of(b"[]")], "must be an object"),
        ([answer_of(b"{}")], "'outputs' must be a list"),
        ([answer_of(b" " * (2 << 20))], "the JSON part is larger than"),
        ([outputs(shape=[4])], "has 3 elements, its shape 4"),
        ([outputs(shape=[-3])], "shape"),
        ([outputs(shape=[1 << 39, 1 << 39])], "its shape"),
        ([outputs(name="other")], "without the output 'answer'"),
        ([outputs(datatype="INT8")], "without the output 'answer'"),
        ([answer_of(b"{}", **{"Inference-Header-Content-Length": "9" * 40})], "number of bytes"),
        ([b"HTTP/1.1 400 No\r\nContent-Length: 23\r\n\r\n", b'{"error": "\\u001b[2Jx"}'], "[2Jx"),
    ],
)
def test_a_wrong_answer_is_one_sentence(talks, pieces, sentence):
    with talks(*pieces) as client, pytest.raises(ServerError) as error:
        client.infer("m", b"payload", [1] * 6)
    assert sentence in str(error.value)
    assert str(error.value).isprintable() and len(str(error.value)) < 700


def test_the_tables_that_a_server_names_are_shown_in_part(talks):
    body = json.dumps({"parameters": {"tables_id": "\x1b[31m" + "9" * 500000}}).encode()
    client = talks(answer_of(body))
    with client, pytest.raises(ServerError, match="the entropy tables") as error:
        client.bundle("m", "abc")
    assert str(error.value).isprintable() and len(str(error.value)) < 1000


@pytest.mark.parametrize("said", ["\x1b[31m" + "9" * 20000, ["a"], {}, 5, None])
def test_what_an_evaluation_keeps_of_a_server_can_be_read_again(talks, said):
    """Kept as it came, it made accuracy.json unreadable for a report."""
    body = json.dumps({"backend": said, "parameters": {"manifest_sha256": said}}).encode()
    local = SimpleNamespace(manifest=SimpleNamespace(model="m", codec=None))
    with talks(answer_of(body)) as client:
        kept = server_of(client, local)
    check_text(kept, "accuracy.json", "server")
    assert set(map(type, kept.values())) == {str if isinstance(said, str) else type(None)}


@pytest.mark.parametrize(
    ("first", "again", "pause_s"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: again\r\n", 0.01),  # headers without an end
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 0.05),  # a byte at a time
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.02),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, 0.0),  # a body without an end
    ],
)
def test_an_answer_without_an_end_is_left_in_time(talks, monkeypatch, first, again, pause_s):
    monkeypatch.setattr(connection, "ANSWER_BYTES", 4 << 20)
    began = time.monotonic()
    with talks(first, again, again=True, pause_s=pause_s) as client, pytest.raises(ServerError):
        client.metadata()
    assert time.monotonic() - began < 30 * TIMEOUT_S


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(talks):
    """Before anything is sent on it: no attempt is lost, and no byte counted twice."""
    with talks(answer_of(b"{}"), close=True) as client:
        for _ in range(3):
            assert client.metadata() == {}
            assert client._attempts == 1
            time.sleep(0.1)


def test_stage_times_are_bounded(talks):
    body = {"outputs": [{"name": "answer", "datatype": "UINT8", "shape": [0], "data": []}],
            "parameters": {"stages": "a=1 " * 5000}}  # fmt: skip
    with talks(answer_of(json.dumps(body).encode())) as client:
        with pytest.raises(ServerError, match="more than 4096 characters"):
            client.infer("m", b"p", [1] * 6)
        assert Connection(client.endpoint, 1.0).sent_bytes == 0


@pytest.mark.parametrize("word", ["a=1e300", "b=1e8", "@1e12", "a=1_0", "a=\u0663", "a=nan", "=1"])
def test_times_that_no_record_can_hold_are_refused(talks, word):
    """Kept in a sample, one of them made the whole run unreadable."""
    body = {"outputs": [{"name": "answer", "datatype": "UINT8", "shape": [0], "data": []}],
            "parameters": {"stages": word}}  # fmt: skip
    client = talks(answer_of(json.dumps(body).encode()))
    with client, pytest.raises(ServerError, match="stage times cannot be read"):
        client.infer("m", b"p", [1] * 6)


@pytest.mark.parametrize("clock", [-1.0, 1e12, 5, None, "1"])
def test_a_clock_that_no_record_can_hold_is_none(talks, clock):
    client = talks(answer_of(json.dumps({"received_s": clock, "sent_s": 1.0}).encode()))
    with client, pytest.raises(NoClockError):
        client.clock()


RAIL = {"label": "a", "driver": "d", "kind": "instant", "period_s": 0.1}


@pytest.mark.parametrize("about", [
    5, [1], {"rails": 5}, {"rails": [5]}, {"rails": [{}]}, {"rails": [dict(RAIL, period_s="x")]},
    {"rails": [RAIL], "probed_period_s": {"a": []}}, {"rails": [RAIL], "probed_period_s": [1]},
])  # fmt: skip
def test_what_a_server_samples_is_checked(about):
    with pytest.raises(RunError):
        sampled_rails(about)
    (rail,) = sampled_rails({"rails": [RAIL]}).rails
    assert (rail.label, rail.period_s) == ("a", 0.1)


@pytest.mark.parametrize("changes", [{"format": "x"}, {"provenance": "\x1b[31m"}, {"rails": [{}]}])
def test_a_server_s_trace_that_no_run_can_hold_is_not_kept(tmp_path, changes):
    path = tmp_path / "a.server.csv"
    power = RemotePower(Endpoint("http://127.0.0.1:9"), 1.0, str(path), 0)
    packed = base64.b64encode(zlib.compress(b"t_s,a\n1,2\n")).decode()
    after = Offset(1.0, 0.0, 0.1)
    with pytest.raises(RunError):
        power._keep(
            {"about": dict({"format": 1, "rails": [RAIL]}, **changes), "csv": packed}, after
        )
    assert not path.exists()
    power._keep({"about": {"format": 1, "rails": [RAIL]}, "csv": packed}, after)
    assert (
        path.read_text().startswith("t_s,a") and trace_facts(str(path)[:-3] + "json").session == 0
    )


class _Sampling(http.server.BaseHTTPRequestHandler):
    """A server with a sensor, whose clock is busy whenever it is asked the first time in a row."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        document = {"offers": ["energy"]}
        if self.path.startswith("/v2/clock"):
            self.server.asked += 1
            now = time.monotonic()
            document = {"received_s": now, "sent_s": now}
        busy = self.path.startswith("/v2/clock") and self.server.asked in (1, 10)
        self.answer(503 if busy else 200, document)

    def do_POST(self):
        self.server.connections.append((self.path.split("/")[-2], self.client_address))
        csv = base64.b64encode(zlib.compress(b"t_s,a\n1,2\n")).decode()
        self.answer(200, {"trace": "t", "about": {"format": 1, "rails": [RAIL]}, "csv": csv})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_a_server_s_trace_is_fetched_over_another_connection_and_from_a_busy_server(tmp_path):
    """A network drops what is silent while a block runs; a busy server is asked for its clock again."""
    kind = type("Threads", (socketserver.ThreadingMixIn, http.server.HTTPServer), {})
    with kind(("127.0.0.1", 0), _Sampling) as server:
        server.daemon_threads, server.asked, server.connections = True, 0, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = tmp_path / "a.server.csv"
        url = "http://127.0.0.1:%d" % server.server_address[1]
        power = RemotePower(Endpoint(url), 30.0, str(path), 0)
        power.begin()
        assert power.why_not == [] and power.about is not None and server.asked == 9
        power.end()
        server.shutdown()
    assert power.why_not == [] and server.asked == 18 and path.read_text() == "t_s,a\n1,2\n"
    (begun, first), (ended, second) = server.connections
    assert (begun, ended) == ("energy", "end") and first != second
    assert len(trace_facts(str(path)[:-3] + "json").clock) == 2
