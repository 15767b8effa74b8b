"""A server under 64 clients, many of them bad, killed and restarted twice: is every request accounted
for, and does its memory stay flat?

Good requests must come back once, with their own id and the answer of their own photograph, or be
reported failed: refused with 503, or cut off by a kill. The others hang up in the middle, send
rubbish, or send so slowly that they are always there. `python -m tests.soak server` takes five
minutes; $SPLITWATT_SOAK_SECONDS says otherwise.
"""

import collections
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.engines.photos import default_photos
from splitwatt.engines.pipeline.image import decode_image
from splitwatt.engines.pipeline.pipeline import BoardPipeline
from splitwatt.profiler.client.client import Client
from splitwatt.profiler.client.connection import Endpoint
from splitwatt.profiler.client.protocol import HEADER_LENGTH, Tensor, encode_request
from tests.board.tiny import tiny_bundle
from tests.conftest import COMMAND, ROOT

CLIENTS = 64
SECONDS = 300.0
LIVES = 3
MODEL = "tiny@1"
FLAT = 0.05
# A life at least so long has its memory judged: what a process takes at its start is no leak.
JUDGED_S = 60.0
_TIMEOUT_S = 90.0


class Trial:
    """Everything that the clients share."""

    def __init__(self, folder: str, seconds: float, seed: int) -> None:
        (Path(folder) / "cpu").mkdir()
        bundle = tiny_bundle(Path(folder) / "cpu" / MODEL)
        self.folder, self.seconds, self.seed = folder, seconds, seed
        self.payloads = []
        with BoardPipeline(Bundle.open(bundle)) as board:
            for path in default_photos()[:4]:
                request = board.run(decode_image(path))
                self.payloads.append((request.payload, request.sizes))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.expected: list[bytes] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.alive = threading.Event()
        self.kills = 0

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def accuse(self, sentence: str) -> None:
        with self.lock:
            self.wrong.append(sentence)

    def start(self) -> subprocess.Popen:
        """A server, once it answers."""
        process = subprocess.Popen(
            [*COMMAND, "serve", "--bundles", self.folder, "--port",
             str(self.port), "--queue", "24", "--workers", "2", "--json", "--parent",
             str(os.getpid())],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if not process.stdout.readline():
            raise RuntimeError("the server did not start")
        with Client(Endpoint("http://127.0.0.1:%d" % self.port)) as client:
            answers = [
                client.infer(MODEL, payload, sizes).answer for payload, sizes in self.payloads
            ]
        if self.expected and answers != self.expected:
            self.accuse("a restarted server answers otherwise")
        self.expected = answers
        self.alive.set()
        return process


def run(seconds: float = SECONDS, seed: int = 2025) -> dict[str, Any]:
    """The trial; what was counted, what was wrong, and the memory of each life."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(folder, seconds, seed)
        server = trial.start()
        clients = [threading.Thread(target=_client, args=(trial, n)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        memory = []
        for life in range(LIVES):
            memory.append(_watch(server, seconds / LIVES))
            if life < LIVES - 1:
                trial.alive.clear()
                trial.kills += 1
                server.send_signal(signal.SIGKILL)
                server.wait()
                server.stdout.close()
                server = trial.start()
        trial.stop.set()
        for client in clients:
            client.join()
        server.terminate()
        if server.wait(60) != 0:
            trial.accuse("the server did not end in order")
        server.stdout.close()
    growth = [_growth(readings) for readings in memory]
    sent, known = trial.counts["sent"], ("answered", "refused", "cut off by a kill")
    if sent != sum(trial.counts[name] for name in known):
        trial.accuse("of %d good requests some are unaccounted for" % sent)
    if seconds / LIVES >= JUDGED_S and any(abs(part) > FLAT for part in growth):
        trial.accuse("the memory grew by %s" % ", ".join("%.1f %%" % (100 * g) for g in growth))
    return {
        "seconds": seconds,
        "counts": dict(sorted(trial.counts.items())),
        "wrong": trial.wrong,
        "memory_mb": [[round(r / 1e6, 1) for r in readings[:: len(readings) // 8 or 1]]
                      for readings in memory],
        "growth": growth,
    }  # fmt: skip


def _watch(server: subprocess.Popen, seconds: float) -> list[int]:
    """Resident memory, four times a second."""
    process, readings = psutil.Process(server.pid), []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        readings.append(process.memory_info().rss)
        time.sleep(0.25)
    return readings


def _growth(readings: list[int]) -> float:
    """From a life's second quarter to its last, as a part."""
    quarter = len(readings) // 4
    early, late = readings[quarter : 2 * quarter], readings[3 * quarter :]
    return (sum(late) / len(late)) / (sum(early) / len(early)) - 1


def _client(trial: Trial, number: int) -> None:
    rng = random.Random(trial.seed * 1000 + number)
    ways = [_good] * 12 + [_hang_up, _rubbish, _slow, _cut]
    while not trial.stop.is_set():
        kills = trial.kills  # before it is known that the server lives: a kill in between counts
        if not trial.alive.wait(0.1):
            continue
        try:
            with socket.create_connection(("127.0.0.1", trial.port), _TIMEOUT_S) as stream:
                for turn in range(rng.randrange(1, 20)):
                    if trial.stop.is_set():
                        break
                    if not rng.choice(ways)(trial, rng, stream, "%d-%d" % (number, turn), kills):
                        break
        except (OSError, ValueError):  # of connecting, or of being bad: good ones count their own
            time.sleep(0.01)


def _good(trial: Trial, rng: random.Random, stream: Any, id: str, kills: int) -> bool:
    which = rng.randrange(len(trial.payloads))
    trial.count("sent")
    try:
        stream.sendall(_request(trial, which, id))
        status, document, rest = _answer(stream)
    except (OSError, ValueError) as error:
        if trial.kills == kills:
            trial.accuse("a request was lost without a kill: %r" % error)
        trial.count("cut off by a kill")
        return False
    if status == 503 and set(document) == {"error"}:
        trial.count("refused")
        time.sleep(0.1)
        return True
    if status != 200 or document.get("id") != id or rest != trial.expected[which]:
        trial.accuse("%s was answered with %d, %.200r" % (id, status, document))
    trial.count("answered")
    return True


def _hang_up(trial: Trial, rng: random.Random, stream: Any, id: str, kills: int) -> bool:
    stream.sendall(_request(trial, 0, id))
    time.sleep(rng.choice([0, 0, 0.005]))
    trial.count("hung up")
    return False


def _cut(trial: Trial, rng: random.Random, stream: Any, id: str, kills: int) -> bool:
    data = _request(trial, 0, id)
    stream.sendall(data[: rng.randrange(1, len(data))])
    trial.count("cut short")
    return False


def _slow(trial: Trial, rng: random.Random, stream: Any, id: str, kills: int) -> bool:
    data, at = _request(trial, 0, id), 0
    while at < len(data) and not trial.stop.is_set():
        stream.sendall(data[at : at + 1 + len(data) // 20])
        at += 1 + len(data) // 20
        time.sleep(rng.uniform(0, 0.1))
    if at >= len(data):
        _answer(stream)
    trial.count("sent slowly")
    return not trial.stop.is_set()


def _rubbish(trial: Trial, rng: random.Random, stream: Any, id: str, kills: int) -> bool:
    data = bytearray(_request(trial, 0, id))
    for _ in range(rng.randrange(1, 30)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    if rng.random() < 0.3:
        data[:] = rng.randbytes(2000) + b"\r\n\r\n"
    stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)
    answer = stream.recv(65536)
    if answer.startswith(b"HTTP/1.1 5") and not answer.startswith(b"HTTP/1.1 503"):
        trial.accuse("rubbish was answered with %.200r" % answer)
    trial.count("rubbish")
    return False


def _request(trial: Trial, which: int, id: str) -> bytes:
    payload, sizes = trial.payloads[which]
    tensors = [
        Tensor("bitstream", "UINT8", (len(payload),), payload),
        Tensor("sizes", "INT32", (6,), sizes.astype("<i4").tobytes()),
    ]
    message = encode_request(tensors)
    document = json.loads(message.body[: message.header_length])
    document["id"] = id
    head = json.dumps(document).encode()
    body = head + message.body[message.header_length :]
    start = (
        f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        f"{HEADER_LENGTH}: {len(head)}\r\n\r\n"
    )
    return start.encode() + body


def _answer(stream: Any) -> tuple[int, dict[str, Any], bytes]:
    """Status, JSON and binary part of exactly one response; ValueError where it is cut off."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    rows = [line.lower().partition(b":") for line in head.split(b"\r\n")[1:]]
    headers = {name: value.strip() for name, _, value in rows}
    length = int(headers[b"content-length"])
    while len(body) < length:
        body += _more(stream)
    if len(body) > length:
        raise ValueError("more than one answer came")
    split = int(headers.get(HEADER_LENGTH.lower().encode(), length))
    return int(head.split()[1]), json.loads(body[:split]), body[split:]


def _more(stream: Any) -> bytes:
    data = stream.recv(65536)
    if not data:
        raise ValueError("the connection was closed")
    return bytes(data)


def main() -> int:
    """Run it and print what was found."""
    result = run(float(os.environ.get("SPLITWATT_SOAK_SECONDS", SECONDS)))
    print(json.dumps(result, indent=2))
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
