"""A connection to a server: its URL, how long an exchange may take, what an answer costs."""

import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn

import pytest

from splitwatt.device_configs.errors import ServerError, UsageError
from splitwatt.profiler.client import client, connection
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Connection, Endpoint
from splitwatt.profiler.links.link import framed_bytes, seconds
from splitwatt.profiler.links.way import Way


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        size = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def log_message(self, *args):
        pass


@pytest.fixture()
def server():
    http = HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield Connection(Endpoint("http://127.0.0.1:%d" % http.server_address[1]), 10.0)
    http.shutdown()
    http.server_close()


def test_an_answer_takes_the_memory_that_it_has(server):
    for size in (0, 1, 65535, 65536, 65537, 300000):
        assert server.exchange("GET", "/%d" % size, {}, b"").body == b"x" * size
    tracemalloc.start()
    try:
        server.exchange("GET", "/1000", {}, b"")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        server.close()
    assert most < 1 << 20


def test_too_large_an_answer_is_not_read_to_its_end(server, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_BYTES", 100000)
    assert len(server.exchange("GET", "/100000", {}, b"").body) == 100000
    with pytest.raises(ServerError, match="larger than"):
        server.exchange("GET", "/400000", {}, b"")


class _Threads(ThreadingMixIn, HTTPServer):
    daemon_threads = True


class _Slow(BaseHTTPRequestHandler):
    """Answers late, a byte at a time, or with what is queued in `busy` first."""

    protocol_version = "HTTP/1.1"
    late_s, drops, busy = 0.0, 0, []

    def do_GET(self):
        if self.busy:
            return self._answer(503, b"{}", self.busy.pop(0))
        self._answer(200, b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.late_s)
        if not self.drops:
            return self._answer(200, b"{}")
        self.send_response(200)
        self.send_header("Content-Length", str(self.drops))
        self.end_headers()
        for _ in range(self.drops):
            try:
                self.wfile.write(b"x")
            except OSError:
                return
            time.sleep(0.1)

    def _answer(self, status, body, wait=None):
        self.send_response(status)
        if wait is not None:
            self.send_header("Retry-After", wait)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture()
def slow():
    kind = type("Slow", (_Slow,), {"busy": []})
    http = _Threads(("127.0.0.1", 0), kind)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    kind.url = "http://127.0.0.1:%d" % http.server_address[1]
    kind.address = http.server_address
    yield kind
    http.shutdown()
    http.server_close()


def test_an_exchange_may_take_what_its_bytes_take_on_a_link_of_known_rate(slow):
    slow.late_s = 1.0  # what a gate would take for the request
    body = bytes(3000)
    with pytest.raises(ServerError) as error:
        Client(Endpoint(slow.url), 0.4)._ask("POST", "/", {}, body)
    assert "gave no answer within 0.4 s" in str(error.value) and "--timeout" in str(error.value)
    way = Way(slow.address, 12.0, None)
    over = Connection(Endpoint(slow.url, way=way), 0.4)
    assert over.exchange("POST", "/", {}, body).status == 200
    sent = over.sent_bytes
    assert over.limit_s == pytest.approx(0.4 + seconds(framed_bytes(sent), 12.0))
    over.close()


def test_a_server_that_answers_a_byte_at_a_time_is_not_waited_for_without_end(slow):
    slow.drops = 100
    began = time.monotonic()
    with pytest.raises(OSError, match="timed out"):
        Connection(Endpoint(slow.url), 0.5).exchange("POST", "/", {}, b"")
    assert time.monotonic() - began < 30


def test_a_connection_that_a_drain_did_not_make_is_not_used(server):
    address = server._host, server._port  # it speaks no TLS
    way = Way(address, 12.0, None)
    over = Connection(Endpoint("https://127.0.0.1:%d" % server._port, way=way), 10.0)
    for _ in range(2):
        with pytest.raises(ServerError, match="the shaped link is gone"):
            over.drain()
        with pytest.raises(OSError):
            over.exchange("GET", "/1", {}, b"")


def test_a_busy_server_is_waited_for_as_it_says_within_a_bound(slow, monkeypatch):
    for told, least_s, most_s in (("1", 1.0, 30.0), ("9999", 0.3, 30.0), ("soon", 0.01, 30.0)):
        monkeypatch.setattr(client, "_LONGEST_WAIT_S", 0.3 if told == "9999" else 10.0)
        slow.busy.append(told)
        began = time.monotonic()
        with Client(Endpoint(slow.url), 10.0, retry_after_s=(0.01,)) as one:
            assert one.metadata() == {} and one._attempts == 2
        assert least_s <= time.monotonic() - began < most_s


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1:8080", "http://host:port", "http://a..b", "ftp://host", "http://h/path", "",
        "http://h:0", "http://h:1?x=1", "http://h:1#x", "http://a b:1", "http://h:1\n",
    ],
)  # fmt: skip
def test_what_is_no_url_is_told(url):
    with pytest.raises(UsageError) as error:
        Connection(Endpoint(url), 1.0)
    assert "is not a server URL" in str(error.value) and "http://HOST:PORT" in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://me:geheim@h:1", "http://me:ge/heim@h:1", "https://me:geheim@h:port"]
)
def test_a_password_in_a_url_is_refused_and_not_shown(url):
    with pytest.raises(UsageError) as error:
        Connection(Endpoint(url), 1.0)
    assert "heim" not in str(error.value)


@pytest.mark.parametrize("more", [{"certificate": "c.pem"}, {"fingerprint": "ab" * 32}])
def test_what_only_tls_uses_is_refused_without_tls(more):
    with pytest.raises(UsageError, match="is not encrypted; write https://"):
        Connection(Endpoint("http://h:1", **more), 1.0)


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_timeout_that_no_socket_can_wait_for_is_refused(timeout_s):
    with pytest.raises(UsageError, match="timeout"):
        Connection(Endpoint("http://h:1"), timeout_s)


def test_a_host_beyond_ascii_is_asked_for_as_dns_has_it():
    message = Connection(Endpoint("http://bücher.example:8080"), 1.0).message("GET", "/", {}, b"")
    assert b"\r\nHost:xn--bcher-kva.example:8080\r\n" in message
