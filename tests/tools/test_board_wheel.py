"""The cross-built wheel: one for every Python, and nothing newer than JetPack 4.6 in it."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.long

pytest.importorskip("elftools")
SCRIPTS = ROOT / "tools"


@pytest.fixture(scope="module")
def board_wheel():
    spec = importlib.util.spec_from_file_location("board_wheel", SCRIPTS / "board_wheel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("ziglang")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, SCRIPTS / "board_wheel.py", "--out", folder], check=True)
    (made,) = folder.iterdir()
    return made


def test_the_board_s_wheel(wheel, board_wheel):
    assert wheel.name.endswith("-py3-none-linux_aarch64.whl")
    assert board_wheel.faults(str(wheel)) == []
    ((name, content),) = board_wheel.libraries(str(wheel))
    assert name == "splitwatt/engines/rangecoder/_rangecoder.so"
    assert board_wheel.needs(content)["GLIBC"] <= (2, 27)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert (
            "splitwatt/__main__.py" in names
            and "splitwatt/engines/photographs/raccoon.jpg" in names
        )
        assert not [n for n in names if n.startswith(("tests/", "docs/", ".ci/", "tools/"))]
        assert str(Path.home()).encode() not in content, "the library names this machine's folders"


def test_what_does_not_fit_a_board_is_said(board_wheel, tmp_path):
    made = tmp_path / "x.whl"
    with zipfile.ZipFile(made, "w") as archive:
        archive.write(sys.executable, "python.so")  # of this machine
    host = board_wheel.machine(Path(sys.executable).read_bytes())
    due = [] if host == "AArch64" else [f"python.so is for {host}, not AArch64"]
    assert [text for text in board_wheel.faults(str(made)) if "is for" in text] == due
    board_wheel.LIMITS["GLIBC"] = (2, 1)
    try:
        assert any("a board has 2.1" in text for text in board_wheel.faults(str(made), host))
    finally:
        board_wheel.LIMITS["GLIBC"] = (2, 27)
    with zipfile.ZipFile(made, "w"):
        pass
    assert board_wheel.faults(str(made)) == [f"{made} holds no shared library"]
