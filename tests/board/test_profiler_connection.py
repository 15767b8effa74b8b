"""An answer costs the memory that it has, on every Python."""

import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from device_configs.errors import ServerError
from profiler import connection
from profiler.connection import Connection, Endpoint


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
    monkeypatch.setattr(connection, "_ANSWER_LIMIT_BYTES", 100000)
    assert len(server.exchange("GET", "/100000", {}, b"").body) == 100000
    with pytest.raises(ServerError, match="larger than"):
        server.exchange("GET", "/400000", {}, b"")
