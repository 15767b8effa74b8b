"""All hardware has one binding."""

import ast

from tests.conftest import ROOT


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
