"""The board rooms on the Pythons that boards have: real CPython 3.6 and 3.8.

Each gets an environment of its own with a board's versions of onnxruntime and NumPy and nothing of
a host's, kept under build/. There every board file is compiled and imported, `tests/board` runs,
and the bundles that this host exported are verified.
"""

import glob
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CUT_BUNDLES, IN_A_PRECISION, PRECISION_MODEL, ROOT
from tests.test_rooms import BOARD_ROOMS, files, for_board

VERSIONS = ("3.6", "3.8")


def interpreter(version):
    """A CPython of that version on this machine, or None."""
    on_path = shutil.which(f"python{version}")
    known = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python")))
    for candidate in [on_path, *known]:
        if candidate and subprocess.call([candidate, "-c", "import venv"], stderr=-3) == 0:
            return candidate
    return None


def missing(what):
    """Skip for want of an interpreter; in continuous integration (.ci/run) that is a failure."""
    if os.environ.get("SPLITWATT_CI") == "1":
        pytest.fail(what)
    pytest.skip(what)


def run(command, **kwargs):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        **kwargs,
    )
    assert result.returncode == 0, f"{command}:\n{result.stdout[-6000:]}"
    return result.stdout


@pytest.fixture(scope="session", params=VERSIONS)
def board_python(request) -> Path:
    python = interpreter(request.param)
    if python is None:
        missing(f"no CPython {request.param} on this machine: install one to run these")
    requirements = ROOT / "tests" / "board" / f"requirements-{request.param}.txt"
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = ROOT / "build" / f"python-{request.param}-{key}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", folder])
        # The pip that a 3.6 brings is too old for manylinux2014 wheels; this one runs on 3.6.
        run([folder / "bin" / "python", "-m", "pip", "install", "-q", "pip==21.3.1"])
        run([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements])
        (folder / "ready").touch()
    return folder / "bin" / "python"


def test_a_missing_interpreter_is_a_skip_and_in_ci_a_failure(monkeypatch):
    monkeypatch.delenv("SPLITWATT_CI", raising=False)
    with pytest.raises(pytest.skip.Exception):
        missing("no CPython")
    monkeypatch.setenv("SPLITWATT_CI", "1")
    with pytest.raises(pytest.fail.Exception):
        missing("no CPython")
    assert "export SPLITWATT_CI=1\n" in (ROOT / ".ci" / "run").read_text()


IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
host = {"torch", "torchvision", "onnx", "scipy", "matplotlib"} & set(sys.modules)
assert not host, host
"""


def test_every_board_module_imports(board_python):
    modules = [
        "splitwatt." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in BOARD_ROOMS
        for path in files(room)
        if for_board(path) and path.name != "__init__.py"
    ]
    assert len(modules) > 20
    run([board_python, "-c", IMPORT_ALL, "splitwatt", *modules])


def test_board_tests_pass(board_python):
    output = run([board_python, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ROOT,
                  "-p", "no:cacheprovider", "tests/board"])  # fmt: skip
    assert " passed" in output


def test_bundles_of_the_host_verify(board_python, bundles):
    for bundle in sorted(bundles.iterdir()):
        run([board_python, "-m", "splitwatt", "verify", bundle])


# The Python that each board's JetPack has.
BOARD_PYTHON = {"3.6": "nano", "3.8": "xavier_nx"}


def test_bundles_for_a_board_verify_on_its_python(board_python, cut_bundles):
    version = board_python.parts[-3].split("-")[1]
    for name, _ in CUT_BUNDLES[BOARD_PYTHON[version]]:
        bundle = cut_bundles / BOARD_PYTHON[version] / name
        output = run([board_python, "-m", "splitwatt", "verify", bundle])
        assert "[ ]" not in output and "boxes" in output


def test_a_board_s_precision_verifies_on_its_python(board_python, precision_bundles):
    target = BOARD_PYTHON[board_python.parts[-3].split("-")[1]]
    name = f"{PRECISION_MODEL}-{IN_A_PRECISION[target]}"
    output = run([board_python, "-m", "splitwatt", "verify", precision_bundles / target / name])
    assert f"payload in {IN_A_PRECISION[target]}" in output and "[ ]" not in output
