"""The board guide's commands exist, with the flags and files that it names, and those that can run here do."""

import re
import shutil
import subprocess

import pytest

import splitwatt.__main__ as umbrella
from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.targets import load_target
from tests.conftest import ROOT, splitwatt

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "board-guide.md").read_text()


def test_every_command_of_the_guide_exists_with_its_flags():
    shown = re.findall(r"splitwatt ((?:[a-z]+)(?: [^\n`|#]*)?)", PAGE)
    helps = {}
    for words in (command.split() for command in shown):
        if words[0] not in umbrella.VERBS:
            continue
        if words[0] not in helps:
            helps[words[0]] = splitwatt(words[0], "--help").stdout
        for word in words:
            if word.startswith("--"):
                assert word in helps[words[0]], f"splitwatt {words[0]} has no {word}"
    assert {"export", "build", "verify", "profile", "serve", "report", "doctor"} <= set(helps)


def test_the_guide_s_versions_are_the_pinned_ones():
    for target, python in (("nano", "3.6"), ("xavier_nx", "3.8")):
        pins = (ROOT / "tools" / f"board-{python}.txt").read_text()
        assert f"`{target}`" in PAGE and f"py{python}" in PAGE
        assert "numpy==" in pins and "onnxruntime==" in pins
    assert "numpy==1.19.5" in (ROOT / "tools" / "board-3.6.txt").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{name}:" in makefile for name in re.findall(r"`?make (\w+-board)`?", PAGE))


def test_the_guide_s_power_modes_are_the_targets():
    """Mode 0 is another one on each board: its name or watts are in the board's line."""
    rows = re.findall(r"^\| (\w+[^|]*) \| ((?:MAXN|\d+ W)[^|]*) \|", PAGE, re.M)
    named = {
        "Nano": ["nano"], "Xavier NX (JetPack 5)": ["xavier_nx"],
        "Orin NX, AGX Orin": ["orin_nx", "agx_orin"], "Orin Nano (JetPack 6.2)": ["orin_nano"],
    }  # fmt: skip
    assert [board for board, _ in rows] == list(named)
    for board, said in rows:
        for mode in (load_target(target).power_modes[0] for target in named[board]):
            assert mode.id == 0
            assert said.startswith("MAXN" if "MAXN" in mode.name else "%d W" % mode.watts), board


# What cannot run here, by its first words: it needs a board, root, a container, another machine or the
# packages of an index. `make`'s targets are tested in test_board_wheel.py.
NOT_HERE = (
    "sudo ", "echo ", "make ", "ssh ", "scp ", "python3 -m venv", ". ~/", "cd ~/", "pip install",
    "PATH=/usr/local/cuda",
)  # fmt: skip
# In the commands that run: the words for a board are words for this machine, and one split model
# takes the place of Table 3's.
HERE = {
    "--config table3.yaml --target nano --weights": "--model MODEL --target nano --weights",
    "--config table3.yaml --target orin_nano": "--model mobilenet_v2 --target orin_nano",
    "verify ~/nano/ladon_r50@0.32 --backend tensorrt": "verify BOARD/nano/MODEL --backend cpu",
    "build ~/nano/*": "build BOARD/nano/MODEL --no-engines",
    "--bundles ~ --backend cpu,tensorrt": "--bundles BOARD --backend cpu",
    "profile --config table3.yaml": "profile --config one.yaml --out run",
    "--server https://HOST:8080 --token-file token --fingerprint FINGERPRINT": "--server SERVER",
    "serve --bundles bundles --target nano --lan": "serve --bundles bundles --target nano --port 0",
    "report RUN": "report run",
}
MODEL = "entropic_student_ic@5.12"


def commands():
    """Every command line of the guide's blocks, in order, without comments."""
    blocks = re.findall(r"```text\n(.*?)```", PAGE, re.S)
    return [line for block in blocks for line in block.strip().splitlines()]


def test_every_command_runs_here_or_is_known_not_to():
    for line in commands():
        assert line.startswith(("splitwatt ", *NOT_HERE)), line


def test_the_way_to_a_board_is_walked(tmp_path):
    """Export, the board's half copied, verified, profiled against a server that has the whole, reported."""
    (tmp_path / "one.yaml").write_text(
        "format: 1\nname: one\nimages: default\nwarmup: 0\ninferences: 1\nrepeats: 1\nseed: 1\n"
        "backends: [cpu]\n"
        "server_backend: cpu\npayload: measured\n"
        "links:\n  - {name: slow, kind: simulated, rate_kbit_s: 100, bytes: payload, source: a test}\n"
        "configurations:\n  SC1: {split: [%s]}\n" % MODEL
    )
    here = {"BOARD": str(tmp_path / "board"), "MODEL": MODEL, "SERVER": ""}
    done, server = [], None
    try:
        for line in commands():
            if not line.startswith("splitwatt ") or "orin_nano" in line or line in done:
                continue
            done.append(line)
            for words, other in HERE.items():
                line = line.replace(words, other)
            for word, value in here.items():
                line = line.replace(word, value)
            command = module_command("__main__") + line.split()[1:]
            if " serve " in line:
                server = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
                here["SERVER"] = (
                    re.search(r"http://\S+", server.stderr.readline()).group().rstrip(",")
                )
                continue
            ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
            assert ran.returncode == 0 or " doctor" in line, (line, ran.stderr[-600:])
            if " export " in line:  # the scp of the guide
                shutil.copytree(tmp_path / "bundles" / "nano-board", tmp_path / "board" / "nano")
    finally:
        if server is not None:
            server.terminate()
            server.wait()
    assert [line.split()[1] for line in done] == [
        "export", "doctor", "build", "verify", "serve", "profile", "report"
    ]  # fmt: skip
    assert list((tmp_path / "paper").glob("*.tex"))
