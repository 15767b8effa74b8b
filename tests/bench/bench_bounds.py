"""The server under hostile clients: how long a health check waits, and how much memory it takes.

python -m tests.bench.bench_bounds [--seconds 20]
"""

import argparse
import contextlib
import functools
import http.client
import multiprocessing
import resource
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from splitwatt.engines.rangecoder.container import SINGLE
from splitwatt.profiler.client.protocol import REQUEST_JSON_BYTES, REQUEST_JSON_LISTS
from splitwatt.profiler.server.place import Credentials, make_credentials
from splitwatt.profiler.server.web.body import BODY_LIMIT_BYTES, BUDGET_BYTES
from tests.bench.measure import publish
from tests.board.engines.rangecoder.reference import wrap
from tests.board.tiny import tiny_bundle
from tests.profiler.conftest import RunningServer

CLIENTS = 16
CONNECTIONS = 1000
INFER = "/v2/models/tiny@1/infer"


def filled(first: bytes, piece: bytes, last: bytes, size: int = REQUEST_JSON_BYTES) -> bytes:
    """Text of at most `size` bytes: `piece` as often as it fits."""
    return first + piece * ((size - len(first) - len(last)) // len(piece)) + last


def binary() -> tuple[bytes, int]:
    """The largest body: a bitstream whose header is right and whose checksum, of all of it, is not."""
    size = BODY_LIMIT_BYTES - 1000
    stream = bytearray(wrap(SINGLE, "00000000", 3, 4, bytes(size - 17)))
    stream[-1] ^= 1
    header = (
        b'{"inputs":[{"name":"bitstream","datatype":"UINT8","shape":[%d],"parameters":'
        b'{"binary_data_size":%d}},{"name":"sizes","datatype":"INT32","shape":[6],"data":'
        b"[48,64,48,64,48,64]}]}" % (len(stream), len(stream))
    )
    return header + bytes(stream), len(header)


def requests() -> dict[str, bytes]:
    """The worst that a client may send, by what it is."""
    first = b'{"inputs":[{"name":"bitstream","datatype":"UINT8","shape":[1],"data":['
    texts = {
        "JSON of small numbers": filled(first + b"1", b",1", b"]}]}"),
        "JSON of lists": filled(first + b"[]", b",[]", b"]}]}"),
        "JSON of as many lists as may be": filled(
            first + b"[]" + b",[]" * (REQUEST_JSON_LISTS - 5), b",1", b"]}]}"
        ),
        "JSON of long numbers": filled(first + b"1", b",1.0000000000000001e300", b"]}]}"),
        "JSON of escapes": filled(b'{"inputs":[{"name":"', b"\\u00e9", b'"}]}'),
    }
    made = {name: request_of(INFER, text) for name, text in texts.items()}
    body, length = binary()
    head = f"Inference-Header-Content-Length: {length}\r\n"
    made[f"{BODY_LIMIT_BYTES >> 20} MiB of a wrong bitstream"] = request_of(INFER, body, head)
    made[f"an echo of {BODY_LIMIT_BYTES >> 20} MiB"] = request_of(
        f"/v2/splitwatt/echo/{BODY_LIMIT_BYTES}", b""
    )
    return made


def request_of(path: str, body: bytes, more: str = "") -> bytes:
    """A POST, whole."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def send_until(address: tuple[str, int], request: bytes, stop: Event) -> None:
    """Send one request again and again from `CLIENTS` connections."""

    def send() -> None:
        while not stop.is_set():
            try:
                with socket.create_connection(address, 30) as stream:
                    while not stop.is_set():
                        stream.sendall(request)
                        read_answer(stream)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)  # refused, as it should be

    threads = [threading.Thread(target=send, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    stop.wait()


def read_answer(stream: socket.socket) -> None:
    """Read one answer to its end; raises OSError if no answer comes."""
    answer = http.client.HTTPResponse(stream)
    answer.begin()
    while answer.read(1 << 20):
        pass


def health_waits_s(address: tuple[str, int], seconds: float) -> list[float]:
    """How long health checks take, each on a connection of its own."""
    waits, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        connection = http.client.HTTPConnection(*address, timeout=60)
        connection.request("GET", "/v2/health/live")
        if connection.getresponse().status != 200:
            raise RuntimeError("the server is not healthy")
        connection.close()
        waits.append(time.perf_counter() - start)
        time.sleep(0.02)
    return sorted(waits)


def waits(address: tuple[str, int], seconds: float) -> list[list[str]]:
    """A row for each kind of body, and one without any."""
    rows = []
    for name, request in {"nothing": b"", **requests()}.items():
        stop = multiprocessing.Event()
        sender = multiprocessing.Process(target=send_until, args=(address, request, stop))
        if request:
            sender.start()
            time.sleep(1)
        took = health_waits_s(address, seconds)
        stop.set()
        if request:
            sender.join(5)
            sender.kill()
        p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
        rows.append([name, str(len(took)), *(f"{1e3 * s:.1f}" for s in (p50, p99, took[-1]))])
    return rows


def memory(folder: Path, size: int, credentials: Credentials | None) -> list[str]:
    """What a server takes more than idle while connections hold a body of this size.

    Args:
        size: of each body; 0 for connections that send nothing, over TLS not even their handshake.
        credentials: of TLS; None without it.
    """
    with running(folder, credentials) as (server, address):
        process = psutil.Process(server.process.pid)
        idle = most = process.memory_info().rss
        head = f"Inference-Header-Content-Length: {min(size, 100)}\r\n"
        if credentials:
            head += f"Authorization: Bearer {Path(credentials.token_file).read_text().strip()}\r\n"
        request = request_of(INFER, bytes(size), head)[:-1]  # its last byte never comes
        streams, held = [], 0
        for _ in range(CONNECTIONS):
            stream = socket.create_connection(address, 30)
            if credentials and size:
                stream = client_context().wrap_socket(stream)
            stream.settimeout(0.05)
            with contextlib.suppress(OSError):  # refused
                stream.sendall(request if size else b"")
            streams.append(stream)
            most = max(most, process.memory_info().rss)
        time.sleep(2)
        most = max(most, process.memory_info().rss)
        for stream in streams:
            stream.settimeout(0)
            with contextlib.suppress(OSError):
                stream.recv(1)
                continue
            held += 1
            stream.close()
    way = "TLS" if credentials else "HTTP"
    more = f"{(most - idle) / 2**20:.0f}"
    return [way, f"{size >> 10:,}", str(CONNECTIONS), str(held), more]


@functools.cache
def client_context() -> ssl.SSLContext:
    """Of a client that checks nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.contextmanager
def running(
    folder: Path, credentials: Credentials | None = None
) -> Iterator[tuple[RunningServer, tuple[str, int]]]:
    """A new server, and where it listens; over TLS where there are credentials."""
    flags = []
    if credentials:
        flags = ["--token-file", credentials.token_file, "--cert", credentials.cert,
                 "--key", credentials.key]  # fmt: skip
    server = RunningServer(folder, "--port", "0", *flags)
    parts = urlsplit(server.url)
    try:
        yield server, (parts.hostname or "", parts.port or 0)
    finally:
        server.stop(signal.SIGKILL)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    options, _ = parser.parse_known_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cpu").mkdir()
        tiny_bundle(folder / "cpu" / "tiny@1")
        made = make_credentials(str(folder / "credentials"), "127.0.0.1")
        sizes = (0, 64 << 10, 200 << 10, 1 << 20, BODY_LIMIT_BYTES)
        rows = [memory(folder, size, way) for way in (None, made) for size in sizes]
        columns = ["over", "body of each [KiB]", "connections", "held", "more than idle [MiB]"]
        title = f"memory under {CONNECTIONS} connections (budget {BUDGET_BYTES >> 20} MiB)"
        publish("bounds_memory", title, columns, rows, rows)
        with running(folder) as (_, address):
            rows = waits(address, options.seconds)
        columns = ["what", "checks", "p50 [ms]", "p99 [ms]", "longest [ms]"]
        publish("bounds_waits", f"health checks while {CLIENTS} clients send", columns, rows, rows)


if __name__ == "__main__":
    main()
