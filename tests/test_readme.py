"""Every command that the README and the first tutorial show is run, in its order, in an empty folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT, splitwatt

pytestmark = pytest.mark.long

# What needs minutes, a network address or a board is shown in the README in blocks of plain text.
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def on_path(folder):
    """A `splitwatt` that runs this checkout, in a folder of its own."""
    script = folder / "splitwatt"
    script.parent.mkdir(parents=True)
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m splitwatt "$@"\n')
    script.chmod(0o755)


def commands():
    text = (ROOT / "README.md").read_text()
    joined = "\n".join(BLOCK.findall(text)).replace("\\\n", " ")
    return [line.split(" #")[0].strip() for line in joined.splitlines() if line.strip()]


def test_the_readme_shows_the_two_commands_first():
    text = (ROOT / "README.md").read_text()
    assert text.index("make demo") < text.index("make test") < text.index("```sh")


@pytest.mark.timeout(600)
def test_every_command_of_the_readme_runs(tmp_path, bundles):
    on_path(tmp_path / "bin")
    # Bundles that other tests have exported already are kept by `splitwatt export`.
    shutil.copytree(bundles.parent, tmp_path / "bundles")
    shown = commands()
    assert any(line.startswith("splitwatt profile") for line in shown)
    for line in shown:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
        assert result.returncode == 0, f"{line}\n{result.stdout[-4000:]}"


@pytest.mark.timeout(600)
def test_the_first_tutorial_works_as_written_after_the_demo(tmp_path, bundles):
    """What `make demo` leaves is put in place: `.venv`, and its bundles where it writes them."""
    demo = (ROOT / "Makefile").read_text()
    assert "DEMO := demo\n" in demo and "--bundles $(DEMO)/bundles" in demo
    on_path(tmp_path / ".venv" / "bin")
    (tmp_path / ".venv" / "bin" / "activate").write_text('PATH="$PWD/.venv/bin:$PATH"\n')
    shutil.copytree(bundles.parent, tmp_path / "demo" / "bundles")
    shown = "".join(BLOCK.findall((ROOT / "docs" / "first-report.md").read_text()))
    assert "splitwatt profile" in shown and "splitwatt report" in shown
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shown],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    assert (tmp_path / "mine" / "report.md").exists()


def test_a_profile_without_bundles_or_weights_prints_the_export_that_makes_them(tmp_path):
    """In an empty folder, with no checkpoint in reach; what it prints is a command that parses."""
    result = splitwatt(
        "profile", "--config", "demo.yaml", "--only", "Ours5", "--bundles", "my bundles",
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert result.returncode == 2 and "needs weights" in result.stderr, result.stderr
    words = shlex.split(result.stderr.strip().split("splitwatt export ")[1])
    assert words == ["--model", "ladon_r50@20.48", "--target", "cpu",
                     "--bundles", "my bundles", "--weights", "random"]  # fmt: skip
    helped = splitwatt("export", "--help").stdout
    assert all(word in helped for word in words if word.startswith("--"))
