"""docs/adding-a-sensor.md does what it says: one file and some lines of YAML make a sensor."""

import os
import re

import pytest
import yaml

from splitwatt.device_configs.errors import SensorError
from splitwatt.energy import sources as drivers
from splitwatt.energy.rail_set import NoSensorError, open_rails
from tests.board.tiny import ROOT


def text_of(*names):
    with open(os.path.join(ROOT, *names), encoding="utf-8") as stream:
        return stream.read()


@pytest.fixture
def sysfs(tmp_path):
    battery = tmp_path / "sys" / "class" / "power_supply" / "BAT0"
    battery.mkdir(parents=True)
    (battery / "power_now").write_text("7250000\n")
    (battery / "status").write_text("Discharging\n")
    return tmp_path / "sys"


@pytest.fixture
def target(tmp_path, monkeypatch):
    page = text_of("docs", "adding-a-sensor.md")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    power, source = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "battery.py").write_text(code)
    # As if the file lay in energy/sources/.
    monkeypatch.setattr(drivers, "__path__", list(drivers.__path__) + [str(tmp_path)])
    document = yaml.safe_load(text_of("device_configs", "laptop.yaml"))
    document["name"] = "mylaptop"
    document.update(yaml.safe_load(power))
    document["sources"].update(yaml.safe_load(source))
    path = tmp_path / "mylaptop.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_the_page_s_sensor_is_read(target, sysfs):
    with open_rails(target, str(sysfs)) as rails:
        assert [(rail.label, rail.driver, rail.kind) for rail in rails.rails] == [
            ("BAT0", "battery", "average")
        ]
        assert list(rails.total) == ["BAT0"] and rails.provenance == "measured"
        assert rails.read() == [7.25]


def test_it_says_why_it_cannot(target, sysfs):
    (sysfs / "class/power_supply/BAT0/status").write_text("Charging\n")
    with pytest.raises(NoSensorError, match="charging") as error:
        open_rails(target, str(sysfs))
    assert "unplug" in error.value.remedy


def test_a_label_that_the_yaml_does_not_know_is_refused(target, sysfs, tmp_path):
    path = tmp_path / "mylaptop.yaml"
    path.write_text(path.read_text().replace("BAT*", "CMB*"))
    with pytest.raises(SensorError, match="BAT0"):
        open_rails(target, str(sysfs))
