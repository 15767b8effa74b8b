"""A deployed system for benchmarks: bundles of several rates, a real server, a link that the kernel shapes."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import av
import yaml
from PIL import Image

from splitwatt.device_configs.files import sha256_file
from splitwatt.profiler.links.link import BURST_BYTES
from splitwatt.profiler.links.parse import parse_link
from splitwatt.profiler.links.shaped import Shaped
from tests.board.tiny import read_document, tiny_bundle, write_document
from tests.conftest import COMMAND, ROOT
from tests.profiler.conftest import RunningServer

# Rate point -> shorter side of what is encoded: the bytes grow with its square.
SIDES = {"1": 416, "2": 256, "3": 160, "4": 64}
_QUEUE_BYTES = 64 << 20
_NOBODY = "02:00:00:00:99:99"


def bundles(folder: Path) -> Path:
    """The test bundles: four rate points of a split model, and a local one."""
    (folder / "cpu").mkdir(parents=True)
    tiny_bundle(folder / "cpu" / "tiny_local", split=False)
    for rate, side in SIDES.items():
        path = folder / "cpu" / f"tiny@{rate}"
        tiny_bundle(path)
        manifest = read_document(path)
        manifest.update(model=f"tiny@{rate}", rate=rate)
        manifest["preprocess"]["resize"].update(size=side, max_size=side)
        write_document(path, manifest)
        assert sha256_file(str(path / "manifest.json"))
    return folder


def policy(folder: Path, deadline_ms: float) -> Path:
    """A policy of all of them; the quality falls by one from point to point, from 10 on."""
    names = [*(f"tiny@{rate}" for rate in SIDES), "tiny_local"]
    points = [
        {"config": name, "bundle": f"cpu/{name}", "quality": 10 - n} for n, name in enumerate(names)
    ]
    path = folder / "policy.yaml"
    path.write_text(
        yaml.safe_dump({"format": 1, "deadline_ms": deadline_ms, "points": points})
    )  # fmt: skip
    return path


class Link:
    """A link that the kernel shapes to a server, whose rate can be changed; a context manager."""

    def __init__(self, url: str, rate: str) -> None:
        self._shaped = Shaped(parse_link(f"shaped:{rate},via=kernel"))
        self._shaped.lead_to(url)
        self._host, port = self._shaped.record["gate"]
        self.url = f"http://{self._host}:{port}"
        self.prefix = self._shaped.prefix
        shown = self._inside("ip", "neigh", "show", "dev", "board").stdout
        self._mac = shown.split()[shown.split().index("lladdr") + 1]

    def _inside(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run([*self.prefix, *words], check=True, capture_output=True, text=True)

    def rate(self, kbit_s: float) -> None:
        """Change it at once; 0: everything that is sent is lost."""
        mac = self._mac if kbit_s else _NOBODY
        self._inside("ip", "neigh", "replace", self._host, "lladdr", mac, "nud", "permanent", "dev",
                     "board")  # fmt: skip
        if kbit_s:
            self._inside("tc", "qdisc", "change", "dev", "board", "root", "tbf", "rate",
                         f"{round(1000 * kbit_s)}bit", "burst", f"{BURST_BYTES}b", "limit",
                         f"{_QUEUE_BYTES}b")  # fmt: skip

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *error: Any) -> None:
        self._shaped.close()


def frames(folder: Path, count: int) -> Path:
    """A folder of that many frames: the packaged photographs in turn."""
    folder.mkdir()
    photographs = sorted((ROOT / "engines" / "photographs").glob("*.jpg"))
    for number in range(count):
        os.link(photographs[number % len(photographs)], folder / f"{number:05d}.jpg")
    return folder


def film(path: Path, seconds: float, fps: int) -> Path:
    """An H.264 video of so many seconds, 640 x 480: a camera that moves over the packaged photographs,
    ten seconds over each, coming closer.
    """
    photographs = [Image.open(one).convert("RGB")
                   for one in sorted((ROOT / "engines" / "photographs").glob("*.jpg"))]  # fmt: skip
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(round(seconds * fps)):
            turn, share = divmod(number / fps / 10, 1)
            photograph = photographs[int(turn) % len(photographs)]
            scale = min(photograph.width / 4, photograph.height / 3) * (1 - 0.4 * share)
            left, top = (share * (side - size * scale)
                         for side, size in zip(photograph.size, (4, 3), strict=True))  # fmt: skip
            box = (left, top, left + 4 * scale, top + 3 * scale)
            picture = photograph.resize((640, 480), Image.Resampling.BILINEAR, box)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))
    return path


class Running:
    """`splitwatt run` in a process, on the board's side of a link where there is one."""

    def __init__(self, out: Path, *arguments: Any, prefix: Any = ()) -> None:
        self.out = out
        with out.open("w") as stream:
            self.process = subprocess.Popen(
                [*prefix, *COMMAND, "run", *map(str, arguments)], cwd=ROOT, stdout=stream,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

    def lines(self) -> list[dict[str, Any]]:
        """The answers so far."""
        return [json.loads(line) for line in self.out.read_text().rpartition("\n")[0].splitlines()]

    def first(self, condition: Any, timeout_s: float = 60.0) -> float:
        """When the first answer of which that is true was there, on the monotonic clock."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for line in self.lines():
                if condition(line):
                    return line["captured_monotonic_s"] + line["latency_s"]
            time.sleep(0.01)
        raise AssertionError("no such answer came")

    def stop(self) -> list[dict[str, Any]]:
        """End it in order; all answers."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=60)
        assert "Traceback" not in errors, errors
        return self.lines()

    def wait(self) -> list[dict[str, Any]]:
        """Wait for its own end; all answers."""
        _, errors = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, errors
        return self.lines()


__all__ = ["Link", "RunningServer", "Running", "bundles", "film", "frames", "policy"]
