"""Rails are found by label on every board's tree, in the right unit, with the right total."""

import os
import shutil
import stat
import subprocess
import time

import pytest

from splitwatt.device_configs.detect import detect_target
from splitwatt.device_configs.errors import SensorError, UsageError
from splitwatt.device_configs.targets import known_targets, load_target
from splitwatt.energy import sources as drivers
from splitwatt.energy.commands.read import read_once
from splitwatt.energy.rail_set import NoSensorError, open_rails
from splitwatt.energy.rails.rail import COUNTER, Context, add_up, total_lines
from tests.energy import trees

TOTALS = {
    "nano": ("POM_5V_IN",),
    "tx2": ("VDD_IN",),
    "xavier_nx": ("VDD_IN",),
    "agx_xavier": ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
    "orin_nano": ("VDD_IN",),
    "agx_orin": ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
}


@pytest.mark.parametrize("board,generation", sorted(trees.BOARDS))
@pytest.mark.parametrize("named", [True, False], ids=["target named", "target detected"])
def test_every_rail_of_every_board(tmp_path, board, generation, named):
    watts = trees.build(str(tmp_path), board, generation)
    with open_rails(board if named else None, str(tmp_path)) as rails:
        assert rails.target == board
        assert dict(zip([r.label for r in rails.rails], rails.read())) == pytest.approx(watts)
        assert rails.total == TOTALS[board]
        assert rails.provenance == "measured"
        reading = read_once(rails)
    assert {r["name"]: r["watts"] for r in reading["rails"]} == pytest.approx(watts)
    expected = sum(watts[label] for label in TOTALS[board])
    assert reading["total_watts"] == pytest.approx(expected)
    flagged = [r["name"] for r in reading["rails"] if r["total"]]
    assert flagged == (list(TOTALS[board]) if len(TOTALS[board]) == 1 else [])


@pytest.mark.parametrize("board,generation", sorted(trees.BOARDS))
def test_target_is_detected_by_labels_alone(tmp_path, board, generation):
    trees.build(str(tmp_path), board, generation, model=False)
    assert detect_target(str(tmp_path)) == board


def test_channels_in_another_order_are_found_by_label(tmp_path):
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    folder = trees.hwmon_folder(str(tmp_path))
    trees.write(os.path.join(folder, "in1_label"), "VDD_SOC")
    trees.write(os.path.join(folder, "in3_label"), "VDD_IN")
    with open_rails("xavier_nx", str(tmp_path)) as rails:
        found = dict(zip([r.label for r in rails.rails], rails.read()))
    assert found["VDD_IN"] == pytest.approx(4990 * 308 / 1e6)
    assert found["VDD_SOC"] == pytest.approx(5000 * 800 / 1e6)


def test_shunt_channels_are_no_power_even_with_labels(tmp_path):
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    trees.write(os.path.join(trees.hwmon_folder(str(tmp_path)), "in4_label"), "VDD_IN_shunt")
    with open_rails("xavier_nx", str(tmp_path)) as rails:
        assert [r.label for r in rails.rails] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]


def test_thors_input_has_a_chip_of_its_own(tmp_path):
    root = str(tmp_path)
    folder = os.path.join(root, "bus/i2c/drivers/ina238/2-0044/hwmon/hwmon2")
    trees.write(os.path.join(folder, "power1_input"), 48250000)
    trees.write(os.path.join(folder, "in1_input"), 19300)
    trees.write(os.path.join(folder, "curr1_input"), 9999)
    trees.write(os.path.join(folder, "in0_input"), 4)  # the shunt's voltage
    for channel, label in enumerate(["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"]):
        trees._hwmon(root, "2-0040", 0, channel + 1, label, 12000, 500 + channel)
    trees.write(
        os.path.join(root, "firmware/devicetree/base/model"), "NVIDIA Jetson AGX Thor Developer Kit"
    )
    with open_rails(None, root) as rails:
        assert rails.target == "thor" and rails.total == ("VIN",)
        found = dict(zip([rail.label for rail in rails.rails], rails.read()))
        assert found["VIN"] == pytest.approx(48.25) and found["VDD_GPU"] == pytest.approx(6.0)
        assert dict(zip(found, rails.volts()))["VIN"] == pytest.approx(19.3)
        assert [r.part_of for r in rails.rails] == [None, "VIN", "VIN", "VIN"]
        assert rails.rails[0].kind == "average" and rails.rails[0].period_s == 0.0505
    # A carrier board without one has no total: the module's rails alone are not added up.
    shutil.rmtree(os.path.join(root, "bus/i2c/drivers/ina238"))
    with open_rails(None, root) as rails:
        assert rails.total == () and len(rails.rails) == 3
    # A label that the device tree gives counts.
    trees.write(os.path.join(folder, "power1_input"), 1)
    trees.write(os.path.join(folder, "label"), "SOMETHING")
    with pytest.raises(SensorError, match="SOMETHING"):
        open_rails(None, root)


def test_an_unknown_rail_fails_loudly(tmp_path):
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    trees.write(os.path.join(trees.hwmon_folder(str(tmp_path)), "in2_label"), "VDD_MYSTERY")
    with pytest.raises(SensorError, match="VDD_MYSTERY.*VDD_CPU_GPU_CV"):
        open_rails("xavier_nx", str(tmp_path))


def test_the_wrong_target_fails_loudly(tmp_path):
    trees.build(str(tmp_path), "nano", "iio")
    with pytest.raises(SensorError, match="POM_5V_IN"):
        open_rails("xavier_nx", str(tmp_path))


def test_without_a_sensor_the_error_gives_each_drivers_reason(tmp_path):
    with pytest.raises(NoSensorError) as error:
        open_rails("nano", str(tmp_path))
    assert [t.driver for t in error.value.tried] == ["ina3221_iio", "ina3221_hwmon", "jtop"]
    assert all(t.reason for t in error.value.tried)
    assert "ina3221_iio: there is no" in str(error.value)
    with pytest.raises(SensorError, match="no folder"):
        open_rails("nano", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="did you mean rapl"):
        open_rails("laptop", str(tmp_path), driver="rappl")


def as_nobody(target, root):
    """The SensorError that a user without rights gets."""
    power_of_target = open_rails(target, root)  # everything is imported before rights are dropped
    power_of_target.close()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        text = "no error"
        try:
            os.setgid(65534)
            os.setuid(65534)
            open_rails(target, root).close()
        except BaseException as error:
            text = str(error)
        os.write(writer, text.encode("utf-8"))
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as stream:
        return stream.read()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("which", ["nano", "laptop"])
def test_without_permission_the_file_and_the_command_are_named(tmp_path, which):
    root = str(tmp_path / "sys")
    if which == "nano":
        trees.build(root, "nano", "iio")
        path = os.path.join(root, "bus/i2c/drivers/ina3221x/6-0040/iio:device0/rail_name_0")
    else:
        path = trees.build_laptop(root)["package-0"]
    os.chmod(path, stat.S_IRUSR)
    folder = str(tmp_path)
    while folder != "/":
        os.chmod(folder, os.stat(folder).st_mode | 0o055)
        folder = os.path.dirname(folder)
    message = as_nobody(which, root)
    assert "%s may be read by root only" % path in message
    assert "sudo chmod a+r %s" % path in message


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_one_command_grants_all_files(tmp_path):
    root = str(tmp_path / "a tree")
    paths = trees.build_laptop(root)
    for path in paths.values():
        os.chmod(path, stat.S_IRUSR)
    folder = str(tmp_path)
    while folder != "/":
        os.chmod(folder, os.stat(folder).st_mode | 0o055)
        folder = os.path.dirname(folder)
    message = as_nobody("laptop", root)
    assert "(and 3 more)" in message
    subprocess.check_call(message[message.index("chmod a+r") :], shell=True)
    assert as_nobody("laptop", root) == "no error"


def test_rapl_labels_units_and_total(tmp_path):
    paths = trees.build_laptop(str(tmp_path))
    with open_rails("laptop", str(tmp_path)) as rails:
        assert {r.label for r in rails.rails} == {"package-0", "core", "uncore", "psys"}
        assert {r.kind for r in rails.rails} == {COUNTER}
        assert rails.total == ("psys",)
        rails.read()
        trees.write(paths["package-0"], 1000000 + 2500000)
        found = dict(zip([r.label for r in rails.rails], rails.read()))
    assert found["package-0"] == pytest.approx(2.5)
    assert found["core"] == 0


def test_rapl_without_psys_takes_the_package_as_total_and_never_adds_its_parts(tmp_path):
    trees.build_laptop(str(tmp_path), psys=False)
    with open_rails("laptop", str(tmp_path)) as rails:
        assert rails.total == ("package-0",)


def test_rapl_wraps_around(tmp_path):
    path = trees.rapl_zone(str(tmp_path), "intel-rapl:0", "package-0", 999900, most=1000000)
    with open_rails("laptop", str(tmp_path)) as rails:
        rails.read()
        trees.write(path, 300)
        assert rails.read() == [pytest.approx(400e-6)]
        trees.write(path, 400)
        assert rails.read() == [pytest.approx(500e-6)]


def test_two_packages_have_labels_of_their_own(tmp_path):
    for package in (0, 1):
        trees.rapl_zone(str(tmp_path), "intel-rapl:%d" % package, "package-%d" % package, 1)
        trees.rapl_zone(str(tmp_path), "intel-rapl:%d:0" % package, "dram", 1)
    with open_rails("server", str(tmp_path)) as rails:
        labels = [r.label for r in rails.rails]
        assert sorted(labels) == ["dram-0", "dram-1", "package-0", "package-1"]
        assert sorted(rails.total) == sorted(labels)


def test_a_counter_that_stands_still_is_no_reading_of_zero_watts(tmp_path):
    trees.build_laptop(str(tmp_path))
    with open_rails("laptop", str(tmp_path)) as rails:
        reading = read_once(rails)
    assert [r["watts"] for r in reading["rails"]] == [None] * 4
    assert all("does not move" in r["flag"] for r in reading["rails"])
    assert reading["total_watts"] is None


def test_what_cannot_be_read_is_none_and_comes_back(tmp_path):
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    current = os.path.join(trees.hwmon_folder(str(tmp_path)), "curr1_input")
    with open_rails("xavier_nx", str(tmp_path)) as rails:
        for garbage in ("", "abc", "12 34", "\x00"):
            trees.write(current, garbage)
            assert rails.read()[0] is None, repr(garbage)
        trees.write(current, 100)
        assert rails.read()[0] == pytest.approx(0.5)
        os.unlink(current)  # the open file is the old one still: as a real sensor's would be
        trees.write(current + ".new", 200)
        os.rename(current + ".new", current)
        trees.write(current, 200)
        assert rails.read()[1] is not None
        shutil.rmtree(os.path.dirname(current))
        os.makedirs(os.path.dirname(current))
        os.mkfifo(current)  # a reader of a pipe without a writer would wait for ever
        start = time.monotonic()
        rails.read()
        assert time.monotonic() - start < 30


def test_absurd_and_negative_readings_are_flagged(tmp_path):
    trees.build(str(tmp_path), "nano", "iio")
    folder = os.path.join(str(tmp_path), "bus/i2c/drivers/ina3221x/6-0040/iio:device0")
    trees.write(os.path.join(folder, "in_power0_input"), 65535000)
    trees.write(os.path.join(folder, "in_power1_input"), -4000)
    with open_rails("nano", str(tmp_path)) as rails:
        rows = {r["name"]: r for r in read_once(rails)["rails"]}
    assert rows["POM_5V_IN"]["watts"] is None and "absurd" in rows["POM_5V_IN"]["flag"]
    assert rows["POM_5V_GPU"]["watts"] is None and "negative" in rows["POM_5V_GPU"]["flag"]
    assert rows["POM_5V_CPU"]["flag"] is None


class FakeJtop(object):
    """What `jtop.jtop()` offers: a dictionary of rails in mW and mV."""

    def __init__(self, power):
        self.power = power

    def close(self):
        self.power = None


def test_jtop(tmp_path):
    power = {
        "rail": {
            "VDD_CPU_GPU_CV": {"power": 595, "volt": 4960, "curr": 120},
            "VDD_SOC": {"power": 1536, "volt": 4990, "curr": 308},
        },
        "tot": {"name": "VDD_IN", "power": 4000, "volt": 5000, "curr": 800},
    }
    with open_rails(
        "xavier_nx", str(tmp_path), driver="jtop", options={"jtop": FakeJtop(power)}
    ) as rails:
        assert rails.total == ("VDD_IN",)
        assert rails.read() == [0.595, 4.0, 1.536]
        assert rails.volts() == [4.96, 5.0, 4.99]
    unnamed = {"rail": {"GPU": {"power": 1000, "volt": 5000}}, "tot": {"power": 1000}}
    with open_rails(
        "agx_xavier", str(tmp_path), driver="jtop", options={"jtop": FakeJtop(unnamed)}
    ) as rails:
        assert [r.label for r in rails.rails] == ["GPU"]
        assert rails.total == ()  # five of the six rails are missing: no total is claimed


NVML = r"""
typedef unsigned long long u64; typedef unsigned int u32;
static u64 mj = 5000;
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(u32 *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(u32 i, void **d) { *d = (void *)(u64)(i + 1); return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *d, u64 *e) {
  if ((u64)d != 1) return 3; mj += 1500; *e = mj; return 0; }
int nvmlDeviceGetPowerUsage(void *d, u32 *p) { *p = 42500; return 0; }
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs a C compiler")
def test_nvml_calls(tmp_path):
    """The library's functions are called with the right types; a counter comes before a power."""
    (tmp_path / "nvml.c").write_text(NVML)
    library = str(tmp_path / "libnvidia-ml.so.1")
    subprocess.check_call(["gcc", "-shared", "-fPIC", "-o", library, str(tmp_path / "nvml.c")])
    options = {"nvml_library": library}
    with open_rails("server", str(tmp_path), driver="nvml", options=options) as rails:
        assert [(r.label, r.kind) for r in rails.rails] == [
            ("gpu0", "counter"),
            ("gpu1", "average"),
        ]
        first, second = rails.read(), rails.read()
    assert second[0] - first[0] == pytest.approx(1.5)
    assert second[1] == pytest.approx(42.5)


def test_libraries_are_not_asked_about_another_machines_tree(tmp_path):
    power = load_target("server").power
    for name in ("nvml", "jtop"):
        with pytest.raises(Exception, match="another machine"):
            drivers.load(name)(Context(power, str(tmp_path)))


def test_totals_are_data():
    power = load_target("agx_xavier").power
    assert total_lines(power, ["GPU", "CPU"]) == ()
    assert add_up((), {"a": 1.0}) is None
    assert add_up(("a", "b"), {"a": 1.0}) is None
    assert add_up(("a", "b"), {"a": 1.0, "b": 2.0}) == 3.0
    for name in known_targets():
        for line in load_target(name).power.total:
            assert line


def test_every_driver_that_a_target_names_exists():
    for name in known_targets():
        power = load_target(name).power
        for driver in [d for group in power.drivers for d in group] + list(power.sensors):
            assert drivers.load(driver).name == driver
