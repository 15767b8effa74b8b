"""The small HTTP server of pages and scrapers: bounded connections, each within its time."""

import socket
import threading
import time

import pytest

from splitwatt.energy.endpoint import pages


class _Handler(pages.PageHandler):
    def do_GET(self):
        self.send(200, "text/plain", self.server.content)


@pytest.fixture
def address():
    server = pages.PageServer(("127.0.0.1", 0), _Handler)
    server.content = b"x" * (8 << 20)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address
    server.shutdown()
    server.server_close()


def has_ended(connection):
    connection.settimeout(20)
    try:
        while connection.recv(1 << 16):
            pass
    except socket.timeout:
        return False
    except ConnectionError:
        pass
    return True


def test_connections_beyond_the_bound_are_closed(address, monkeypatch):
    held = [socket.create_connection(address) for _ in range(pages.MOST_CONNECTIONS)]
    for connection in held[:4]:
        connection.sendall(b"GET / HTTP/1.1\r\n")
    time.sleep(0.3)
    with socket.create_connection(address) as one:
        assert has_ended(one)
    for connection in held:
        connection.close()


def test_a_byte_now_and_then_does_not_hold_a_connection(address, monkeypatch):
    monkeypatch.setattr(pages, "TIMEOUT_S", 1.0)
    with socket.create_connection(address) as one:
        started_s = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - started_s < 30:
                one.sendall(b"a")
                time.sleep(0.2)


def test_a_client_that_does_not_read_is_dropped(address, monkeypatch):
    monkeypatch.setattr(pages, "TIMEOUT_S", 0.5)
    with socket.create_connection(address) as one:
        one.sendall(b"GET / HTTP/1.1\r\n\r\n")
        time.sleep(2)
        received = 0
        one.settimeout(20)
        while True:
            piece = one.recv(1 << 16)
            received += len(piece)
            if not piece:
                break
    assert received < 8 << 20


@pytest.mark.parametrize(
    "request_",
    [b"GET /" + b"a" * 70000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"\0\xff\r\n\r\n",
     b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_request_is_refused(address, capfd, request_):
    with socket.create_connection(address) as one:
        one.sendall(request_)
        assert has_ended(one)
    assert "Traceback" not in capfd.readouterr().err
