"""The rooms import each other one way, and a board never needs a host's packages."""

import ast
import re
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
    """Neither the file nor the `__init__.py` of a folder above it says `# board: no`."""
    above = [folder / "__init__.py" for folder in path.parents if ROOT in folder.parents]
    heads = (one.read_text()[:1000] for one in [path, *above] if one.exists())
    return not any("# board: no" in head for head in heads)


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


def test_reports_know_only_runs_and_what_is_derived_from_them():
    allowed = r"splitwatt\.profiler\.(records\..+|analyse\..+|links\.link)"
    wrong = [
        f"{path.name}: {module}"
        for path in files("reports")
        for module in imported(path)
        if room_of(module) == "profiler" and not re.fullmatch(allowed, module)
    ]
    assert not wrong, wrong


# Rooms whose sub-folders have an order, which the docstring of the room's __init__.py declares: a line
# a level, the lowest first; a sub-folder or module imports from lower levels alone.
ORDERED = ("device_configs", "energy", "engines", "export", "profiler", "reports")
# Modules of a folder.
MOST_MODULES = 15


def order(room):
    """Sub-folder or module -> its level."""
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text()))
    levels = re.findall(r"(?m)^    ([a-z_0-9]+(?:, [a-z_0-9]+)*)(?:  .*)?$", text)
    return {name.strip(): n for n, line in enumerate(levels) for name in line.split(",")}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("splitwatt", *parts)).removesuffix(".__init__")


def imported_modules():
    """Module -> the modules of ours that it imports when it is imported itself, room by room."""
    paths = {module_name(path): path for room in MAY_IMPORT for path in files(room)}
    graph = {}
    for name, path in paths.items():
        graph[name] = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                modules = [one if one in paths else node.module for one in names]
                graph[name] |= {one for one in modules if one in paths} - {name}
            elif isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names if alias.name in paths}
    return graph


@pytest.mark.parametrize("room", ORDERED)
def test_no_arrow_runs_up_between_sub_folders(room):
    levels = order(room)
    parts = {path.relative_to(ROOT / room).parts[0] for path in files(room)}
    assert {part.removesuffix(".py") for part in parts} - {"__init__"} == set(levels)
    wrong = []
    for path in files(room):
        own = path.relative_to(ROOT / room).parts[0].removesuffix(".py")
        for module in imported(path):
            other = module.split(".")[2] if module.startswith(f"splitwatt.{room}.") else own
            if other != own and levels[other] >= levels.get(own, -1):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, wrong


def test_modules_import_each_other_without_a_circle():
    graph = imported_modules()
    state: dict[str, int] = {}
    circles = []

    def visit(name, way):
        state[name] = 1
        for other in sorted(graph[name]):
            if state.get(other) == 1:
                circles.append(" -> ".join([*way[way.index(other) :], other]))
            elif other not in state:
                visit(other, [*way, other])
        state[name] = 2

    for name in sorted(graph):
        if name not in state:
            visit(name, [name])
    assert not circles, circles


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_folder_is_crowded(room):
    counts: dict[str, int] = {}
    for path in files(room):
        if path.name != "__init__.py":
            folder = str(path.parent.relative_to(ROOT))
            counts[folder] = counts.get(folder, 0) + 1
    crowded = {folder: n for folder, n in counts.items() if n > MOST_MODULES}
    assert not crowded, crowded


def test_no_variable_is_called_found():
    """A name says what it holds: `findings`, `detections`, `matches`, not that it was found."""
    names = (
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in (*MAY_IMPORT, "tools")
        for path in files(room)
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if "found" in (getattr(node, name, None) for name in ("id", "arg", "attr", "name"))
        and not isinstance(node, ast.alias)
    )
    assert not (wrong := sorted(names)), wrong


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
