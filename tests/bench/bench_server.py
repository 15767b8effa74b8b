"""The server: what a request costs by the protocol alone, and its throughput against the engine's.

    python -m tests.bench.bench_server [--quick] [protocol throughput ray]

$SPLITWATT_TRITON_PYTHON names a Python with nvidia-pytriton for the row of a real Triton.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.backends import load_engine
from splitwatt.engines.backends.cores import usable_cores
from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline, ServerPipeline
from splitwatt.export.cli import export
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.protocol import HEADER_LENGTH, Tensor, encode_request
from tests.bench.measure import OUT, publish
from tests.conftest import COMMAND

ROOT = Path(__file__).resolve().parent.parent.parent
PAYLOAD = bytes(range(250)) * 20
LADON = "ladon_r50@0.32"
MODEL = "ladon_body@0.32"


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


def throughput(quick: bool) -> None:
    """Ladon's body by 16 clients through the server, against its engine in a loop, turn by turn."""
    folder, payload, sizes = body_bundle()
    bundle = Bundle.open(str(folder / "cpu" / MODEL))
    with ServerPipeline(bundle) as server:
        latent = server.codec.decode(payload, (sizes[4], sizes[5]))["latent"]
    seconds, turns = (10.0, 1) if quick else (20.0, 5)
    cores = usable_cores()
    ways = {
        "1 worker, all cores": ["--workers", "1"],
        f"{cores} workers, 1 core each": ["--workers", str(cores)],
        "1 worker, up to 4 a batch": ["--workers", "1", "--batch", "4"],
    }
    with load_engine("cpu", bundle.part_path("body")) as engine, contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Serving(folder, *more)) for name, more in ways.items()}
        rates: dict[str, list[float]] = {name: [] for name in ["bare engine in a loop", *ways]}
        for _ in range(turns):
            rates["bare engine in a loop"].append(
                loop_rate(lambda: engine.run({"latent": latent}), seconds)
            )
            for name, serving in servers.items():
                rates[name].append(serving.rate(payload, sizes, 16, seconds))
    publish_rates("server_throughput", "Ladon's body (with its classifier), 16 clients", rates)


def ray(quick: bool) -> None:
    """The same body on Ray Serve, one thread a replica: one replica, and two."""
    folder, payload, sizes = body_bundle()
    seconds, turns = (10.0, 1) if quick else (20.0, 5)
    rates: dict[str, list[float]] = {"1 replica": [], "2 replicas": []}
    for _ in range(turns):
        for count, name in ((1, "1 replica"), (2, "2 replicas")):
            file = folder / f"cluster-{count}.yaml"
            file.write_text(
                f"format: 1\nreplicas: {{least: {count}, most: {count}, requests: 2}}\ncores: 1\n"
            )
            with Serving(folder, "--engine", "ray", "--cluster", str(file)) as server:
                server.rate(payload, sizes, 8, 5.0)  # loads the model in every replica
                rates[name].append(server.rate(payload, sizes, 8, seconds))
    publish_rates("server_ray", "Ladon's body on Ray Serve, one thread a replica", rates)


class Serving:
    """`splitwatt serve` on a folder of bundles; a context manager."""

    def __init__(self, folder: Path, *more: str, python: str | None = None) -> None:
        command = COMMAND if python is None else [python, "-m", "splitwatt"]
        self.process = subprocess.Popen(
            [*command, "serve", "--bundles", str(folder), "--port", "0",
             "--json", "--parent", str(os.getpid()), *more],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        )  # fmt: skip
        line = b"-"
        while line and not line.startswith(b"{"):
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        self.url = json.loads(line)["url"]

    def rate(self, payload: bytes, sizes: list[int], clients: int, seconds: float) -> float:
        """Answers a second, within so many seconds, to clients that ask without a pause."""
        done, start = [0] * clients, threading.Barrier(clients + 1)
        until = [0.0]

        def client(number: int) -> None:
            with Client(Endpoint(self.url)) as one:
                one.infer(MODEL, payload, sizes)
                start.wait()
                while time.perf_counter() < until[0]:
                    one.infer(MODEL, payload, sizes)
                    done[number] += time.perf_counter() < until[0]

        threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        until[0] = time.perf_counter() + 3600.0
        while start.n_waiting < clients:
            time.sleep(0.01)
        until[0] = time.perf_counter() + seconds
        start.wait()
        for thread in threads:
            thread.join()
        return sum(done) / seconds

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(90)
        self.process.stdout.close()


def loop_rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second."""
    call()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        call()
        count += 1
    return count / (time.perf_counter() - start)


def body_bundle() -> tuple[Path, bytes, list[int]]:
    """A bundle of Ladon's encoder, body and classifier alone, and a photograph's request."""
    folder = OUT / "server"
    source, target = OUT / "bundles" / "cpu" / LADON, folder / "cpu" / MODEL
    try:
        Bundle.open(str(source))
    except BundleError:
        command = ["--model", LADON, "--target", "cpu", "--weights", "random"]
        if export([*command, "--bundles", str(OUT / "bundles")]):
            sys.exit(1)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    manifest = json.loads((target / "manifest.json").read_text())
    kept = ("encoder", "body", "classifier")
    manifest["tasks"] = ["classification"]
    manifest["parts"] = [part for part in manifest["parts"] if part["name"] in kept]
    manifest["postprocess"] = {"classification": manifest["postprocess"]["classification"]}
    manifest["samples"] = []
    manifest["compat"] = [row for row in manifest["compat"] or [] if row["part"] in kept]
    (target / "manifest.json").write_text(json.dumps(manifest))
    with BoardPipeline(Bundle.open(str(target), "board")) as board:
        request = board.run(decode_image(default_photos()[0]))
    return folder, request.payload, request.sizes.tolist()


def publish_rates(name: str, title: str, rates: dict[str, list[float]]) -> None:
    """Medians, each against the first."""
    medians = {way: statistics.median(values) for way, values in rates.items()}
    first = next(iter(medians.values()))
    rows = [[way, f"{rate:.2f}", f"{rate / first:.2f}x"] for way, rate in medians.items()]
    publish(name, title, ["", "images/s", "against the first"], rows, rates)


PARTS = {"protocol": protocol, "throughput": throughput, "ray": ray}


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
