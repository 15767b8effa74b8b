"""The board rooms on the Pythons that boards have: real CPython 3.6 and 3.8.

Each gets an environment of its own with a board's versions of onnxruntime and NumPy and nothing of
a host's, kept under build/. There every board file is compiled and imported, `tests/board` runs,
and the bundles that this host exported are verified.
"""

import os

import pytest

from tests.conftest import CUT_BUNDLES, IN_A_PRECISION, PRECISION_MODEL, ROOT, missing, run
from tests.test_rooms import BOARD_ROOMS, files, for_board

pytestmark = pytest.mark.long


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


# In pieces, which run side by side.
PIECES = sorted(
    {str(path.relative_to(ROOT / "tests" / "board").parts[0])
     for path in (ROOT / "tests" / "board").rglob("test_*.py")}
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_board_tests_pass(board_python, piece):
    output = run([board_python, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ROOT,
                  "-p", "no:cacheprovider", f"tests/board/{piece}"])  # fmt: skip
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
