"""The wheel that a user installs holds all that the commands need, and nothing else."""

import os
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT

ROOMS = ("device_configs", "engines", "energy", "profiler", "export", "reports")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT],
        check=True,
    )
    (wheel,) = folder.glob("splitwatt-*.whl")
    target = folder / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel],
        check=True,
    )
    return wheel, target


def test_it_holds_every_file_of_the_rooms(installed):
    tracked = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    with zipfile.ZipFile(installed[0]) as archive:
        names = set(archive.namelist())
    assert [n for n in tracked if n and "splitwatt/" + n not in names] == []
    # Authors and licences of the photographs go where the photographs go.
    assert any(name.endswith(".dist-info/licenses/docs/photographs.md") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"splitwatt"}


# An editable installation finds its own files first; here the wheel's are meant.
WITHOUT_EDITABLE = "import sys; sys.meta_path = [f for f in sys.meta_path if 'Redirecting' not in type(f).__name__];"


def test_its_commands_run_elsewhere(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed[1])}
    script = WITHOUT_EDITABLE + "from splitwatt.__main__ import main; sys.exit(main())"
    for arguments in (["--version"], ["targets", "nano"], ["models"], ["doctor"]):
        result = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert result.stdout
    code = (
        WITHOUT_EDITABLE
        + "from splitwatt.engines.rangecoder import native; print(native.library().file)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.startswith(str(installed[1]))
