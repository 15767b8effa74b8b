"""docs/adding-a-target.md does what it says: one YAML file makes a machine to deploy to."""

import json
import re

import pytest

from splitwatt.device_configs import targets
from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.energy.commands.integrate import integrate_file
from splitwatt.engines.bundle.bundle import Bundle
from tests.conftest import ROOT, splitwatt

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "adding-a-target.md").read_text()
CONFIG = """
format: 1
name: mine
inferences: 2
configurations:
  LC1: {local: [mnasnet0_5]}
  SC1: {split: [entropic_student_ic@1.28]}
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The page's target, written where a user has it; what this process learns of it is forgotten."""
    monkeypatch.setattr(targets, "_FILES", {})
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / re.search(r"`(\w+\.yaml)`:\n", PAGE).group(1)
    path.write_text(text)
    return path


def test_the_page_s_target_exports_and_profiles(file, tmp_path):
    name = file.stem
    for line in re.findall(r"^splitwatt (targets|export|verify) (.*)$", PAGE, re.MULTILINE):
        splitwatt(line[0], *line[1].split(), cwd=tmp_path)
    (bundle,) = (tmp_path / "bundles" / name).iterdir()
    manifest = Bundle.open(str(bundle)).manifest
    assert manifest.target == name and manifest.server_target == "server"
    assert {entry.precision for entry in manifest.rounding} == {"tf32", "fp16"}

    splitwatt("export", "--model", "mnasnet0_5", "--target", file.name, "--weights", "random",
              cwd=tmp_path)  # fmt: skip
    (tmp_path / "mine.yaml").write_text(CONFIG)
    for row in ("SC1", "LC1"):  # power is sampled where no server runs on the same machine
        splitwatt("profile", "--config", "mine.yaml", "--target", file.name, "--out", row,
                  "--only", row, "--driver", "generated", cwd=tmp_path)  # fmt: skip
        run = json.loads((tmp_path / row / "run.json").read_text())
        assert run["targets"]["board"] == name
    (trace,) = (tmp_path / "LC1" / "power").glob("*.csv")
    result = integrate_file(str(trace), str(file))
    assert result["target"] == name and result["provenance"] == "generated"


def test_a_command_that_takes_a_bundle_is_told_of_its_target(file, tmp_path, photographs):
    text = file.read_text().replace("tensorrt: null", 'tensorrt: "8.5"')
    file.write_text(text)
    bundles = tmp_path / "bundles"
    splitwatt("export", "--model", "mnasnet0_5", "--target", file, "--weights", "random",
              "--bundles", bundles)  # fmt: skip
    bundle = bundles / file.stem / "mnasnet0_5"
    result = splitwatt("build", bundle, check=False)
    assert result.returncode == 2
    assert f"unknown target '{file.stem}'" in result.stderr and f"{file.name})" in result.stderr
    result = splitwatt("build", bundle, "--target", file, check=False)
    assert "unknown target" not in result.stderr and "tensorrt" in result.stderr.lower()


def test_a_file_is_known_by_its_name_from_then_on(file):
    with pytest.raises(UsageError, match=f"by its file, {file.name}"):
        targets.load_target(file.stem)
    assert targets.spelling(file.stem) == file.stem
    assert targets.target_name(str(file)) == file.stem
    assert targets.load_target(file.stem).title == "Raspberry Pi 5"
    assert targets.spelling(file.stem) == str(file)
    assert file.stem not in targets.known_targets()


def test_another_target_by_a_name_of_splitwatt_s_own_is_refused(file):
    text = file.read_text()
    own = file.with_name("nano.yaml")
    own.write_text(text.replace("name: raspberry_pi_5", "name: nano"))
    with pytest.raises(ConfigError, match="give it another name"):
        targets.load_target(str(own))
    packaged = ROOT / "device_configs" / "nano.yaml"
    assert targets.load_target(str(packaged)) == targets.load_target("nano")
