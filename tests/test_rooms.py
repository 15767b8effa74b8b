"""The rooms import each other one way, and a board never needs a host's packages."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import ROOT

MAY_IMPORT = {
    "device_configs": set(),
    "engines": {"device_configs"},
    "energy": {"device_configs"},
    "profiler": {"engines", "energy", "device_configs"},
    "export": {"engines", "device_configs"},
    "reports": {"profiler", "device_configs"},
}
BOARD_ROOMS = ("device_configs", "engines", "energy", "profiler")
# Packages that a board does not have.
HOST_ONLY = {
    "torch", "torchvision", "timm", "compressai", "sc2bench", "torchdistill", "onnx",
    "matplotlib", "scipy", "pandas", "starlette", "uvicorn",
}  # fmt: skip


def files(room):
    return sorted((ROOT / room).rglob("*.py"))


def for_board(path):
    return "# board: no" not in "\n".join(path.read_text().splitlines()[:5])


def imported(path):
    """Every module that a file imports, at import time or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def room_of(module):
    """`engines` of `splitwatt.engines.bundle.manifest`; None of another package's module."""
    parts = module.split(".")
    return parts[1] if parts[0] == "splitwatt" and len(parts) > 1 else None


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_one_way(room):
    others = set(MAY_IMPORT) - {room} - MAY_IMPORT[room]
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files(room)
        for module in imported(path)
        if room_of(module) in others
    ]
    assert files(room) and not wrong, wrong


def test_reports_know_only_the_records_of_the_profiler():
    allowed = {"splitwatt.profiler.records.run"}
    wrong = [
        f"{path.name}: {module}"
        for path in files("reports")
        for module in imported(path)
        if room_of(module) == "profiler" and module not in allowed
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("room", BOARD_ROOMS)
def test_no_board_file_imports_a_host_package(room):
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files(room)
        if for_board(path)
        for module in imported(path)
        if module.split(".")[0] in HOST_ONLY
    ]
    assert not wrong, wrong


def test_the_command_helps_on_a_bare_python():
    result = subprocess.run(
        [sys.executable, "-E", "-S", "-m", "splitwatt", "--help"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert result.returncode == 0, result.stderr
    assert "splitwatt export --model" in result.stdout
