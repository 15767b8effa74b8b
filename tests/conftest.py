"""What many tests share: the repository, its commands, and bundles exported once."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

ROOT = Path(__file__).resolve().parent.parent

# One model of each kind: local with and without boxes, three encoders in one, one encoder for three.
BUNDLES = [
    "mobilenet_v3_large",
    "ssdlite320_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
    "entropic_student_ic@5.12",
    "ladon_r50@20.48",
]


def splitwatt(*args: str, check: bool = True, **kwargs) -> subprocess.CompletedProcess:
    """Run the umbrella command as a user does; its standard output and error as text."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "splitwatt.py"), *map(str, args)],
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

    Kept under build/ and made again whenever a source of theirs changes.
    """
    folder = ROOT / "build" / "test-bundles" / _sources_digest()
    models = [argument for name in BUNDLES for argument in ("--model", name)]
    splitwatt("export", *models, "--target", "cpu", "--weights", "random", "--bundles", folder)
    return folder / "cpu"


@pytest.fixture(scope="session")
def photographs() -> List[Path]:
    """The packaged photographs."""
    return sorted((ROOT / "engines" / "photographs").glob("*.jpg"))
