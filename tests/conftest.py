"""What many tests share: the repository, its commands, and bundles exported once."""

import contextlib
import glob
import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import List

import pytest

from splitwatt.device_configs.child import module_command

# A job in the background of a script ignores Ctrl-C, and so would every command that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
# `splitwatt` as this Python runs it, whatever the working directory is.
COMMAND = module_command("__main__")

# One model of each kind: local with and without boxes, one encoder for three models or three tasks,
# two bitstreams.
BUNDLES = [
    "mobilenet_v3_large",
    "ssdlite320_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
    "entropic_student_ic@5.12",
    "ladon_r50@20.48",
    "entropic_student_ic_mshp@3.84",
]
# Target -> detectors as it has them: on the Nano cut between TensorRT and onnxruntime, on the Xavier
# NX whole.
# Each with the target of its server.
CUT_BUNDLES = {
    "nano": [("ssdlite320_mobilenet_v3_large", None), ("ladon_r50@20.48", "nano")],
    "xavier_nx": [("fasterrcnn_mobilenet_v3_large_320_fpn", None)],
}
# Target -> a precision that it has a fast path for; the model is one of `BUNDLES`.
IN_A_PRECISION = {"nano": "fp16", "xavier_nx": "int8"}
PRECISION_MODEL = "entropic_student_ic@5.12"


def splitwatt(*args: str, check: bool = True, **kwargs) -> subprocess.CompletedProcess:
    """Run the umbrella command as a user does; its standard output and error as text."""
    result = subprocess.run(
        [*COMMAND, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        **kwargs,
    )
    if check and result.returncode != 0:
        raise AssertionError(f"splitwatt {args} exited {result.returncode}:\n{result.stderr}")
    return result


def _sources_digest() -> str:
    digest = hashlib.sha256()
    for room in ("export", "engines", "device_configs"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".py", ".yaml", ".jpg", ".txt"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def made_once(folder: Path):
    """Hold a folder under build/ while it is made: tests run in several processes."""
    from filelock import FileLock  # no board's Python has it

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        yield folder


@pytest.fixture(scope="session")
def bundles() -> Path:
    """`BUNDLES` exported with random weights for the target `cpu`: a folder of bundle folders.

    Kept under build/ and made again whenever a source of theirs changes; who works on something
    else may name a folder of them in $SPLITWATT_TEST_BUNDLES, which is taken as it is.
    """
    if os.environ.get("SPLITWATT_TEST_BUNDLES"):
        return Path(os.environ["SPLITWATT_TEST_BUNDLES"])
    folder = ROOT / "build" / "test-bundles" / _sources_digest()
    models = [argument for name in BUNDLES for argument in ("--model", name)]
    with made_once(folder):
        splitwatt("export", *models, "--target", "cpu", "--weights", "random", "--bundles", folder)
    return folder / "cpu"


@pytest.hookimpl(hookwrapper=True)
def pytest_report_to_serializable():
    """Escape lone surrogates in a report: a worker of pytest-xdist cannot send them.

    Without this, the run ends with "no active workers" and does not name the test that failed.
    """
    outcome = yield
    outcome.force_result(_escaped(outcome.get_result()))


def _escaped(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_escaped(key): _escaped(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_escaped(one) for one in value)
    return value


# They export for boards, which takes more than a minute: tests that need them are `long`.
LONG_FIXTURES = {"cut_bundles", "precision_bundles"}


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    for item in items:
        if LONG_FIXTURES & set(item.fixturenames):
            item.add_marker("long")


@pytest.fixture(scope="session")
def cut_bundles() -> Path:
    """`CUT_BUNDLES` exported with random weights: a folder with a folder a target. Kept likewise."""
    folder = ROOT / "build" / "test-bundles" / _sources_digest()
    with made_once(folder / "boards"):
        for target, models in CUT_BUNDLES.items():
            for name, server in models:
                more = ["--server-target", server] if server else []
                splitwatt("export", "--model", name, "--target", target, "--weights", "random",
                          "--bundles", folder / "boards", *more)  # fmt: skip
    return folder / "boards"


@pytest.fixture(scope="session")
def precision_bundles(photographs) -> Path:
    """`IN_A_PRECISION` with random weights, int8 calibrated on two photographs. Kept likewise."""
    folder = ROOT / "build" / "test-bundles" / _sources_digest() / "precisions"
    with made_once(folder):
        two = folder / "two"
        two.mkdir(parents=True, exist_ok=True)
        for photo in photographs[:2]:
            shutil.copy(photo, two)
        for target, precision in IN_A_PRECISION.items():
            more = ["--calibration", two] if precision == "int8" else []
            splitwatt("export", "--model", PRECISION_MODEL, "--precision", precision, "--target", target,
                      "--weights", "random", "--bundles", folder, *more)  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def photographs() -> List[Path]:
    """The packaged photographs."""
    return sorted((ROOT / "engines" / "photographs").glob("*.jpg"))


# The Pythons of boards.
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
    with made_once(folder):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            run([python, "-m", "venv", folder])
            # The pip that a 3.6 brings is too old for manylinux2014 wheels; this one runs on 3.6.
            run([folder / "bin" / "python", "-m", "pip", "install", "-q", "pip==21.3.1"])
            run([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements])
            (folder / "ready").touch()
        # One library serves every Python: that of this one, which an editable install has elsewhere.
        from splitwatt.engines.rangecoder import native

        beside = ROOT / "engines" / "rangecoder" / native.NAME
        if not beside.exists():
            beside.symlink_to(native.library().file)
    return folder / "bin" / "python"
