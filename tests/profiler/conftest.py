"""A folder of small bundles, a real server on it, and commands as users run them."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.board.tiny import tiny_bundle
from tests.conftest import COMMAND, ROOT, made_once

CONFIG = """
format: 1
name: tiny
warmup: 1
inferences: {inferences}
repeats: {repeats}
links:
  - {{name: "100 kbit/s", kind: simulated, rate_kbit_s: 100}}
configurations:
  LC1: {{local: [tiny_local]}}
  Ours1: {{split: [tiny@1]}}
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """Bundles of a local and of a split model, for the target cpu."""
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "cpu").mkdir()
    tiny_bundle(folder / "cpu" / "tiny@1")
    tiny_bundle(folder / "cpu" / "tiny_local", split=False)
    return folder


@pytest.fixture
def config(tmp_path):
    """Writes a config and returns its path."""

    def write(inferences=4, repeats=1, more=""):
        path = tmp_path / "tiny.yaml"
        path.write_text(CONFIG.format(inferences=inferences, repeats=repeats) + more)
        return path

    return write


def start(*arguments, python=sys.executable, **kwargs):
    """Start a command of the profiler's room."""
    return subprocess.Popen(
        [str(python), "-m", "splitwatt", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        **kwargs,
    )


def command(*arguments, **kwargs):
    """Run a command of the profiler's room: exit code, standard output, standard error."""
    process = start(*arguments, **kwargs)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


class RunningServer:
    """`splitwatt serve` in a process; of no folder of bundles where `more` names bundles."""

    def __init__(self, tiny, *more, cwd=ROOT):
        folder = [] if tiny is None else ["--bundles", str(tiny)]
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--json", *folder, *more],
            cwd=cwd,
            stdout=subprocess.PIPE,
        )
        line = self.process.stdout.readline()
        assert line, "the server did not start"
        self.about = json.loads(line)
        self.url = self.about["url"]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def relayed(url, passes, changed=lambda data: data):
    """The address of a relay to a server; `passes(answer)` says of each piece whether it goes on: a request's
    (False) or an answer's (True). It may wait before it says so. `changed` makes what goes on of an answer.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = url.split("//")[1].split(":")

    def pump(source, to, answer):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if passes(answer):
                    to.sendall(changed(data) if answer else data)

    def relay():
        with contextlib.suppress(OSError):
            while True:
                inside, _ = listener.accept()
                outside = socket.create_connection((host, int(port)))
                for ends in ((inside, outside, False), (outside, inside, True)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    with listener:
        try:
            yield "http://127.0.0.1:%d" % listener.getsockname()[1]
        finally:
            # Closed while its thread still accepts, its number would soon be another test's server.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def only_ray():
    """Tests that count Ray's processes on this machine run one module after the other."""
    with made_once(ROOT / "build" / "ray"):
        yield


@pytest.fixture(scope="session")
def server(tiny):
    """A server on a free port of this machine."""
    running = RunningServer(tiny, "--port", "0")
    yield running
    running.stop()


def wait_until(condition, timeout_s=30.0):
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def video(tmp_path_factory, photographs):
    """Four seconds of the packaged photographs, 10 frames a second, 320 x 240."""
    import cv2
    import numpy as np

    from splitwatt.engines.pipeline.image import decode_image

    path = tmp_path_factory.mktemp("video") / "photos.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (320, 240))
    for number in range(40):
        rgb = decode_image(photographs[number // 8 % len(photographs)])
        writer.write(cv2.resize(np.ascontiguousarray(rgb[:, :, ::-1]), (320, 240)))
    writer.release()
    return path
