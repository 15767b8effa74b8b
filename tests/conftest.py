"""What many tests share: the repository, its commands, and bundles exported once."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import List

import pytest

from splitwatt.device_configs.child import module_command

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
    splitwatt("export", *models, "--target", "cpu", "--weights", "random", "--bundles", folder)
    return folder / "cpu"


@pytest.fixture(scope="session")
def cut_bundles() -> Path:
    """`CUT_BUNDLES` exported with random weights: a folder with a folder a target. Kept likewise."""
    folder = ROOT / "build" / "test-bundles" / _sources_digest()
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
