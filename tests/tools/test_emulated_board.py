"""A board, emulated: the wheel installed in an aarch64 userland, profiled against a server here.

Slow (minutes) and for root alone, so it runs where SPLITWATT_ARM64 names a folder that
tests/tools/emulated_board.py made.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import COMMAND, ROOT, splitwatt

ARM64 = os.environ.get("SPLITWATT_ARM64")
pytestmark = pytest.mark.skipif(not ARM64, reason="SPLITWATT_ARM64 names no emulated board")

# The emulated Debian has CPython 3.11; its glibc is newer than any wheel here asks for.
REQUIREMENTS = [
    "numpy==1.26.4",
    "onnxruntime==1.19.2",
    "flatbuffers==24.3.25",
    "protobuf==5.29.5",
    "packaging==24.2",
    "Pillow==10.4.0",
    "PyYAML==6.0.2",
    "psutil==7.0.0",
    "rich==13.9.4",
    "markdown-it-py==3.0.0",
    "mdurl==0.1.2",
    "Pygments==2.19.2",
]
CONFIG = """
format: 1
name: emulated
images: default
warmup: 0
inferences: 1
repeats: 1
seed: 1
backends: [cpu]
server_backend: cpu
payload: measured
links:
  - {name: "100 kbit/s", kind: simulated, rate_kbit_s: 100, bytes: payload, source: "a test"}
configurations:
  LC1: {local: [mobilenet_v3_large]}
  Ours5: {split: ["ladon_r50@20.48"]}
"""


class Board:
    """The emulated board; `run` runs a program in it and gives what that printed."""

    def __init__(self, root):
        self.root = Path(root).resolve()

    def run(self, *command, timeout=900):
        result = subprocess.run(
            ["chroot", str(self.root), *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
            timeout=timeout,
        )  # fmt: skip
        assert result.returncode == 0, f"{command}:\n{result.stdout[-4000:]}"
        return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The board's wheel."""
    pytest.importorskip("ziglang")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, ROOT / "tools" / "board_wheel.py", "--out", folder], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def board(wheel, bundles, tmp_path_factory):
    """The board with the wheel installed, /proc and /sys there, and two bundles."""
    there = Board(ARM64)
    wheels = tmp_path_factory.mktemp("wheels")
    platforms = ["manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64"]
    chosen = [word for name in platforms for word in ("--platform", name)]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
         "--implementation", "cp", "--python-version", "3.11", *chosen, "-d", wheels,
         *REQUIREMENTS],
        check=True,
    )  # fmt: skip
    shutil.copy(wheel, wheels)
    for name in ("opt/board", "opt/wheels", "bundles", "run"):
        shutil.rmtree(there.root / name, ignore_errors=True)
    shutil.copytree(wheels, there.root / "opt" / "wheels")
    for name in ("mobilenet_v3_large", "ladon_r50@20.48"):
        shutil.copytree(bundles / name, there.root / "bundles" / "cpu" / name)
    mounted = []
    try:
        for name in ("proc", "sys"):
            if not os.path.ismount(there.root / name):
                subprocess.run(["mount", "--bind", f"/{name}", there.root / name], check=True)
                mounted.append(there.root / name)
        there.run("python3", "-m", "venv", "/opt/board")
        install = (
            "/opt/board/bin/pip install -q --no-index --no-deps --no-compile /opt/wheels/*.whl"
        )
        there.run("sh", "-c", install)
        yield there
    finally:
        for path in mounted:
            subprocess.run(["umount", path], check=True)


@pytest.fixture
def server(bundles, tmp_path):
    """A server on this machine: its URL."""
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [*COMMAND, "serve", "--bundles", bundles.parent,
         "--target", "cpu", "--port", "0", "--ready-file", ready],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not ready.exists() or not ready.read_text().strip():
            assert process.poll() is None and time.monotonic() < deadline, (
                "the server did not start"
            )
            time.sleep(0.2)
        yield json.loads(ready.read_text())["url"]
    finally:
        process.terminate()
        process.wait()


@pytest.mark.timeout(1800)
def test_the_wheel_runs_and_its_coder_is_native(board):
    assert "splitwatt 0." in board.run("/opt/board/bin/splitwatt", "--version")
    checks = json.loads(
        board.run("/opt/board/bin/splitwatt", "doctor", "--room", "engines", "--json")
    )
    coder = [check for check in checks["engines"] if check["name"] == "range coder"]
    assert coder[0]["ok"] and "neon" in coder[0]["detail"]
    board.run("/opt/board/bin/splitwatt", "verify", "/bundles/cpu/mobilenet_v3_large")


@pytest.mark.timeout(1800)
def test_a_run_of_the_board_against_a_server_here(board, server, tmp_path):
    board.root.joinpath("board.yaml").write_text(CONFIG)
    board.run("/opt/board/bin/splitwatt", "profile", "--config", "/board.yaml", "--bundles",
              "/bundles", "--server", server, "--out", "/run")  # fmt: skip
    run = board.root / "run"
    document = json.loads((run / "run.json").read_text())
    assert document["finished_wall"]
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert {sample["config"] for sample in samples} == {"LC1", "Ours5"}
    assert all(sample["status"] == "ok" for sample in samples), samples
    sent = [sample for sample in samples if sample["config"] == "Ours5"]
    expected = board.root / "bundles" / "cpu" / "ladon_r50@20.48"
    assert sent[0]["payload_bytes"] > 1000 and expected.exists()
    # The report is made here, from the folder alone.
    splitwatt("report", run, "--out", tmp_path / "report")
    assert any((tmp_path / "report").iterdir())
