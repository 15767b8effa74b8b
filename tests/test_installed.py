"""What a user installs: one package, complete, which nothing in the working directory replaces."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.board.tiny import tiny_bundle
from tests.conftest import ROOT
from tests.profiler.conftest import RunningServer

pytestmark = pytest.mark.long

ROOMS = ("device_configs", "engines", "energy", "profiler", "export", "reports")
CONFIG = """
format: 1
name: installed
warmup: 1
inferences: 3
links: [{name: "100 kbit/s", kind: simulated, rate_kbit_s: 100}]
configurations: {LC1: {local: [tiny_local]}, Ours1: {split: [tiny@1]}}
"""


def run(command, **kwargs):
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, **kwargs
    )
    assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder, ROOT])
    (made,) = folder.glob("splitwatt-*.whl")
    return made


def environment(folder: Path, python, wheel: Path | None) -> Path:
    """A new environment on top of `python`'s packages with the wheel, or else with the clone.

    A clone is found by a .pth file, which is all that an editable installation on a board's Python
    can be: no build backend for C++ runs on CPython 3.6.
    """
    run([python, "-m", "venv", "--without-pip", folder])
    (site,) = (folder / "lib").glob("python3.*/site-packages")
    base = run([python, "-c", "import numpy, os; print(os.path.dirname(numpy.__path__[0]))"])
    (site / "base.pth").write_text(base + ("" if wheel else f"{ROOT}\n"))
    if wheel:
        run([python, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel])
    return folder / "bin" / "python"


@pytest.fixture
def decoys(tmp_path) -> Path:
    """A folder whose modules have the names of our rooms, and fail when they are imported."""
    folder = tmp_path / "work"
    for room in ROOMS:
        (folder / room).mkdir(parents=True)
        (folder / room / "__init__.py").write_text(f"raise RuntimeError('the decoy {room}')\n")
        (folder / f"{room}.py").write_text(f"raise RuntimeError('the decoy {room}')\n")
    return folder


def test_the_wheel_holds_every_file_of_the_rooms_and_one_package(wheel):
    tracked = run(["git", "ls-files", *ROOMS], cwd=ROOT).splitlines()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert tracked and [name for name in tracked if f"splitwatt/{name}" not in names] == []
    # Authors and licences of the photographs go where the photographs go.
    assert any(name.endswith(".dist-info/licenses/docs/photographs.md") for name in names)
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == {"splitwatt"}


def test_an_editable_installation_puts_the_clone_alone_on_the_path(tmp_path):
    """Not the folder above it, whose folders `torch` or `ray` would then look like packages."""
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            tmp_path,
            "-e",
            ROOT,
        ]
    )
    (added,) = tmp_path.glob("*.pth")
    folders = [line for line in added.read_text().splitlines() if not line.startswith("import ")]
    assert set(folders) == {str(ROOT)}


def test_commands_of_an_installed_wheel_run_and_load_its_own_coder(wheel, tmp_path):
    python = environment(tmp_path / "venv", sys.executable, wheel)
    for arguments in (["--version"], ["targets", "nano"], ["models"], ["doctor"]):
        assert run([python, "-m", "splitwatt", *arguments], cwd=tmp_path)
    code = "from splitwatt.engines.rangecoder import native; print(native.library().file)"
    assert run([python, "-c", code], cwd=tmp_path).startswith(str(tmp_path / "venv"))


def profile_among_decoys(python, folder: Path, *more) -> None:
    """Profile a local and a split configuration in a folder of decoys, and measure its energy."""
    (folder / "bundles" / "cpu").mkdir(parents=True)
    tiny_bundle(folder / "bundles" / "cpu" / "tiny@1")
    tiny_bundle(folder / "bundles" / "cpu" / "tiny_local", split=False)
    (folder / "own.yaml").write_text(CONFIG)
    surroundings = {**os.environ, "PYTHONPATH": "."}
    run([python, "-m", "splitwatt", "profile", "--config", "own.yaml", "--out", "run", *more],
        cwd=folder, env=surroundings)  # fmt: skip
    samples = [json.loads(line) for line in (folder / "run" / "samples.jsonl").open()]
    assert len(samples) == 8 and {sample["status"] for sample in samples} == {"ok"}
    energy = ["energy", "record", "--driver", "generated", "--json", "--", "sleep", "0.3"]
    out = run([python, "-m", "splitwatt", *energy], cwd=folder, env=surroundings)
    assert "joules" in out


@pytest.mark.parametrize("installed", ["wheel", "editable"])
def test_nothing_in_the_working_directory_replaces_our_modules(installed, wheel, decoys, tmp_path):
    """A split profile starts a server, a process a block and a sampler: none imports a decoy."""
    python = sys.executable
    if installed == "wheel":
        python = environment(tmp_path / "venv", sys.executable, wheel)
    profile_among_decoys(python, decoys)


@pytest.mark.parametrize("installed", ["wheel", "clone"])
def test_nothing_there_replaces_them_on_a_board_s_python(
    installed,
    board_python,
    wheel,
    decoys,
    tmp_path,
):
    python = environment(tmp_path / "venv", board_python, wheel if installed == "wheel" else None)
    (tmp_path / "served" / "cpu").mkdir(parents=True)
    tiny_bundle(tmp_path / "served" / "cpu" / "tiny@1")
    server = RunningServer(tmp_path / "served", "--port", "0")
    try:
        profile_among_decoys(python, decoys, "--server", server.url)
    finally:
        server.stop()


@pytest.mark.parametrize("verb", ["export", "models", "weights", "calibrate", "report", "compare"])
def test_a_verb_that_a_board_s_python_cannot_run_says_so(board_python, verb):
    for arguments in ([], ["--help"]):
        result = subprocess.run(
            [board_python, "-m", "splitwatt", verb, *arguments],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 2 and "needs Python 3.10 or newer" in result.stderr
        assert result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["choose", "run", "--deadline", "1s", "--figure", "front.pdf"],
        ["infer", "bundle", "image.png", "--bitmap"],
    ],
)
def test_so_does_an_option_that_only_a_host_has(board_python, arguments):
    result = subprocess.run(
        [board_python, "-m", "splitwatt", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 2 and "needs Python 3.10 or newer and this is 3." in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


def test_the_printed_remedy_installs_from_where_this_copy_came(wheel, tmp_path):
    code = "from splitwatt.device_configs.install import install_command as i; print(i('serve'))"
    python = environment(tmp_path / "venv", sys.executable, None)
    assert run([python, "-c", code]) == f"pip install -e '{ROOT}[serve]'\n"
    python = environment(tmp_path / "wheel", sys.executable, wheel)
    remedy = run([python, "-c", code], cwd=tmp_path)
    assert remedy == f"pip install 'splitwatt[serve] @ file://{wheel}'\n"
    # pip itself takes what is printed; nothing is installed.
    argument = remedy.split("'")[1].replace("[serve]", "")
    run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--dry-run", "--target",
         tmp_path / "none", argument])  # fmt: skip
    (site,) = (tmp_path / "wheel" / "lib").glob("python3.*/site-packages/splitwatt-*.dist-info")
    (site / "direct_url.json").unlink()  # as an index leaves it
    assert run([python, "-c", code], cwd=tmp_path) == "pip install 'splitwatt[serve]'\n"
