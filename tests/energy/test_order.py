"""The parts of the energy room import each other one way, and all hardware has one binding."""

import ast

import pytest

from splitwatt.energy import ORDER
from tests.conftest import ROOT
from tests.test_rooms import imported

ROOM = ROOT / "energy"


def part_of(path):
    return path.relative_to(ROOM).parts[0].replace(".py", "")


def test_the_order_names_every_part():
    parts = {part_of(path) for path in ROOM.rglob("*.py")} - {"__init__"}
    assert parts == set(ORDER)


@pytest.mark.parametrize("part", ORDER)
def test_a_part_imports_only_those_before_it(part):
    later = ORDER[ORDER.index(part) + 1 :]
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted(ROOM.rglob("*.py"))
        if part_of(path) == part
        for module in imported(path)
        if module.startswith("splitwatt.energy.") and module.split(".")[2] in later
    ]
    assert not wrong, wrong


def test_modules_of_a_part_are_in_no_circle():
    needs = {}
    for path in ROOM.rglob("*.py"):
        name = "splitwatt.energy." + ".".join(path.relative_to(ROOM).with_suffix("").parts)
        needs[name] = {m for m in imported(path) if m.startswith("splitwatt.energy.")}

    def reached(name, seen=()):
        for other in needs.get(name, ()):
            assert other != name and other not in seen, [*seen, name, other]
            reached(other, (*seen, name))

    for name in needs:
        reached(name)


def test_no_flat_folder_and_no_file_of_a_handful_of_lines():
    for folder in [ROOM, *[path for path in ROOM.iterdir() if path.is_dir()]]:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= 15
        for path in modules:
            assert len(path.read_text().splitlines()) >= 20, path


def test_one_binding_of_nvml_and_one_detection_of_a_board():
    def files_with(*texts):
        rooms = ("device_configs", "energy", "profiler", "engines")
        paths = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
        return {
            str(path.relative_to(ROOT))
            for path in paths
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if any(text in node.value for text in texts) and "\n" not in node.value
        }

    assert files_with("libnvidia-ml") == {"device_configs/nvml.py"}
    assert files_with("devicetree/base", "device-tree/model") == {"device_configs/detect.py"}
