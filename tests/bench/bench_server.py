"""The server: what a request costs by the protocol alone, and its throughput against the engine's.

    python -m tests.bench.bench_server [--quick] [protocol throughput batch ray]

$SPLITWATT_TRITON_PYTHON names a Python with nvidia-pytriton for the row of a real Triton.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from profiler.protocol import HEADER_LENGTH, Tensor, encode_request
from tests.bench.measure import publish

ROOT = Path(__file__).resolve().parent.parent.parent
PAYLOAD = bytes(range(250)) * 20


class Contender:
    """A server of `echo_servers` in a process, and one connection to it."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with tempfile.TemporaryDirectory() as folder:
            ready = Path(folder) / "port"
            self.process = subprocess.Popen(
                [python, "-m", "tests.bench.echo_servers", name, str(ready)],
                cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            while not ready.exists():
                if self.process.poll() is not None:
                    raise RuntimeError(f"the server '{name}' did not start")
                time.sleep(0.05)
            port = int(ready.read_text())
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = request_bytes()

    def ask(self) -> None:
        """One request and its answer."""
        self.connection.sendall(self.request)
        data = self.connection.recv(65536)
        while b"\r\n\r\n" not in data:
            data += self.connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{self.name}: {data[:300]!r}")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        while len(body) < length:
            body += self.connection.recv(65536)

    def close(self) -> None:
        """Stop the server."""
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def request_bytes() -> bytes:
    """A board's request of 5 KB, headers and all."""
    sizes = b"".join(n.to_bytes(4, "little") for n in (480, 640, 312, 416, 320, 416))
    message = encode_request(
        [
            Tensor("bitstream", "UINT8", (len(PAYLOAD),), PAYLOAD),
            Tensor("sizes", "INT32", (6,), sizes),
        ]
    )
    head = (
        "POST /v2/models/echo/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Length: {len(message.body)}\r\n{HEADER_LENGTH}: {message.header_length}\r\n\r\n"
    )
    return head.encode() + message.body


def protocol(quick: bool) -> None:
    """One request's cost: ours, a bare Starlette handler's, a real Triton's, in one run."""
    contenders = [Contender("ours", sys.executable), Contender("bare", sys.executable)]
    python = os.environ.get("SPLITWATT_TRITON_PYTHON")
    if python:
        contenders.append(Contender("triton", python))
    times: dict[str, list[float]] = {one.name: [] for one in contenders}
    try:
        for number in range(300 if quick else 3000):
            for one in contenders:
                start = time.perf_counter()
                one.ask()
                if number >= 50:
                    times[one.name].append(time.perf_counter() - start)
    finally:
        for one in contenders:
            one.close()
    medians = {name: statistics.median(values) for name, values in times.items()}
    titles = {"ours": "splitwatt serve", "bare": "bare Starlette handler", "triton": "Triton"}
    rows = [
        [titles[name], f"{1e3 * value:.3f}", f"{value / medians['bare']:.2f}x"]
        for name, value in medians.items()
    ]
    title = "One request by the protocol alone, 5 KB in, a few bytes out, loopback"
    publish("server_protocol", title, ["server", "median [ms]", "against bare"], rows, medians)


PARTS = {"protocol": protocol}


def main(arguments: tuple[str, ...] = ()) -> None:
    """Every part, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    options = parser.parse_args(list(arguments))
    for name in options.parts or PARTS:
        PARTS[name](options.quick)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
