"""Every command that the README shows is run, in its order, in one empty folder."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# What needs minutes, a network address or a board is shown in the README in blocks of plain text.
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands():
    text = (ROOT / "README.md").read_text()
    joined = "\n".join(BLOCK.findall(text)).replace("\\\n", " ")
    return [line.split(" #")[0].strip() for line in joined.splitlines() if line.strip()]


def test_the_readme_shows_the_two_commands_first():
    text = (ROOT / "README.md").read_text()
    assert text.index("make demo") < text.index("make test") < text.index("```sh")


@pytest.mark.timeout(600)
def test_every_command_of_the_readme_runs(tmp_path, bundles):
    script = tmp_path / "bin" / "splitwatt"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/splitwatt.py" "$@"\n')
    script.chmod(0o755)
    # Bundles that other tests have exported already are kept by `splitwatt export`.
    shutil.copytree(bundles.parent, tmp_path / "bundles")
    shown = commands()
    assert any(line.startswith("splitwatt profile") for line in shown)
    for line in shown:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
        assert result.returncode == 0, f"{line}\n{result.stdout[-4000:]}"
