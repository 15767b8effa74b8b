"""The programs of docs/deploy.md run as they are printed there."""

import re
import shutil
import subprocess
import sys

from tests.conftest import ROOT


def test_the_program_for_a_board_runs(tmp_path, tiny, server, photographs):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.S)
    shutil.copytree(tiny / "cpu" / "tiny@1", tmp_path / "bundles" / "cpu" / "ladon_r50@5.12")
    shutil.copy(photographs[0], tmp_path / "photo.jpg")
    program = program.replace("http://127.0.0.1:8080", server.url)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"\w.* \d+ bytes sent\n", result.stdout)
