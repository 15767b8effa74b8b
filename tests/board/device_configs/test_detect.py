"""Which target a machine is: by module, model or sensors, and a Jetson is never called a PC."""

import json
import os

import pytest

from splitwatt.device_configs import doctor
from splitwatt.device_configs.detect import detect_target
from splitwatt.device_configs.errors import SplitwattError, TargetError
from splitwatt.device_configs.targets import load_target
from splitwatt.energy import doctor as energy_doctor
from splitwatt.energy.commands.read import read_once
from splitwatt.energy.rail_set import NoSensorError, open_rails
from tests.energy import trees

# What device trees hold, from NVIDIA's kernels and public reports: (model, compatible), target.
BOARDS = [
    ("NVIDIA Jetson Nano Developer Kit", "nvidia,p3450-0000 nvidia,p3449-0000+p3448-0000", "nano"),
    ("NVIDIA Jetson Nano 2GB Developer Kit", "nvidia,p3542-0000+p3448-0003", "nano"),
    ("jetson-nano", "nvidia,jetson-nano nvidia,tegra210", "nano"),
    ("quill", "nvidia,quill nvidia,tegra186", "tx2"),
    ("NVIDIA Jetson TX2 Developer Kit", "nvidia,p2771-0000 nvidia,tegra186", "tx2"),
    ("storm", "nvidia,storm nvidia,p3489-0000 nvidia,tegra186", "tx2"),
    ("lightning", "nvidia,lightning nvidia,tegra186", "tx2"),
    ("lanai-3636", "nvidia,p3509-0000+p3636-0001 nvidia,tegra186", "tx2"),
    ("lanai-3636", None, "tx2"),
    ("a carrier of my own", "vendor,board nvidia,galen nvidia,tegra194", "agx_xavier"),
    ("NVIDIA Jetson TX2 NX Developer Kit", "nvidia,p3509-0000+p3636-0001", "tx2"),
    ("jetson-xavier", "nvidia,jetson-xavier nvidia,tegra194", "agx_xavier"),
    ("Jetson-AGX", "nvidia,p2972-0000 nvidia,tegra194", "agx_xavier"),
    ("NVIDIA Jetson AGX Xavier Industrial", "nvidia,p2822-0000+p2888-0008", "agx_xavier"),
    ("NVIDIA Jetson Xavier NX Developer Kit", "nvidia,p3509-0000+p3668-0000", "xavier_nx"),
    ("NVIDIA Jetson Xavier NX (16GB)", "nvidia,p3449-0000+p3668-0003", "xavier_nx"),
    ("a carrier of my own", "vendor,board nvidia,p3668-0001 nvidia,tegra194", "xavier_nx"),
    ("NVIDIA Orin NX Developer Kit", "nvidia,p3768-0000+p3767-0000 nvidia,tegra234", "orin_nx"),
    ("NVIDIA Orin NX Developer Kit", None, "orin_nx"),
    ("NVIDIA Orin Jetson-Small Developer Kit", "nvidia,p3509-a02+p3767-0001", "orin_nx"),
    ("NVIDIA Orin Nano Developer Kit", None, "orin_nano"),
    ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
     "nvidia,p3768-0000+p3767-0005-super nvidia,tegra234", "orin_nano"),
    ("NVIDIA Orin Jetson-Small Developer Kit", "nvidia,p3768-0000+p3767-0004", "orin_nano"),
    ("Jetson AGX Orin Developer Kit", None, "agx_orin"),
    ("NVIDIA Jetson AGX Orin Developer Kit", "nvidia,p3737-0000+p3701-0005", "agx_orin"),
    ("NVIDIA AGX Orin 32GB", "nvidia,p3737-0000+p3701-0004", "agx_orin"),
    ("NVIDIA Jetson AGX Thor Developer Kit", "nvidia,p3971-0089+p3834-0008", "thor"),
]  # fmt: skip


def device_tree(root, model, compatible=None):
    folder = os.path.join(str(root), "firmware/devicetree/base")
    os.makedirs(folder)
    for name, text in (("model", model), ("compatible", compatible)):
        if text is not None:
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(text.replace(" ", "\0" if name == "compatible" else " ").encode())
                stream.write(b"\0")


@pytest.mark.parametrize("model,compatible,target", BOARDS)
def test_boards_and_their_variants(tmp_path, model, compatible, target):
    device_tree(tmp_path / "sys", model, compatible)
    assert detect_target(str(tmp_path / "sys")) == target
    assert load_target(target).kind == "jetson"
    checks = {check.name: check for check in doctor.checks(str(tmp_path))}
    assert checks["target"].ok and checks["target"].detail.endswith("--target " + target)


@pytest.mark.parametrize("generation,driver", [("iio", "ina3221x"), ("hwmon", "ina3221")])
@pytest.mark.parametrize("known_by", ["model", "labels", "--target tx2"])
def test_tx2_nx(tmp_path, generation, driver, known_by):
    root = str(tmp_path)
    for number, label in enumerate(["VDD_IN", "VDD_CPU_GPU", "VDD_SOC"]):
        if generation == "iio":
            trees._iio(root, "7-0040", 0, number, label, 5000, 800 >> number)
        else:
            trees._hwmon(root, "7-0040", 0, number + 1, label, 5000, 800 >> number)
    if known_by == "model":
        device_tree(tmp_path, "lanai-3636")
    with open_rails("tx2" if known_by == "--target tx2" else None, root) as rails:
        assert rails.target == "tx2" and rails.total == ("VDD_IN",)
        reading = read_once(rails)
    watts = {row["name"]: row["watts"] for row in reading["rails"]}
    assert watts == {"VDD_IN": 4.0, "VDD_CPU_GPU": 2.0, "VDD_SOC": 1.0}
    assert reading["total_watts"] == 4.0


@pytest.mark.parametrize(
    "model,compatible",
    [("NVIDIA Jetson TX1 Developer Kit", "nvidia,p2371-2180 nvidia,tegra210"),
     ("jetson_tx1", None), ("a carrier of my own", "vendor,board nvidia,tegra234"),
     ("NVIDIA Orin Jetson-Small Developer Kit", None), ("NVIDIA Jetson Next", None)],
)  # fmt: skip
def test_a_jetson_that_no_target_describes_is_an_error_and_no_pc(tmp_path, model, compatible):
    sysfs = str(tmp_path / "sys")
    device_tree(sysfs, model, compatible)
    with pytest.raises(TargetError, match="no target describes") as error:
        detect_target(sysfs)
    assert model in str(error.value) and "--target" in error.value.remedy
    with pytest.raises(SplitwattError) as refused:
        open_rails(None, sysfs)
    assert "rapl" not in str(refused.value)
    checks = {check.name: check for check in doctor.checks(str(tmp_path))}
    assert not checks["target"].ok and "cpu" not in checks["target"].detail
    (check,) = energy_doctor.checks(sysfs)
    assert not check.ok and model in check.detail
    with open_rails(None, sysfs, driver="generated") as rails:  # needs no board
        assert rails.target is None


def test_a_jetson_that_only_its_driver_shows_is_no_pc(tmp_path):
    trees._iio(str(tmp_path), "7-0040", 0, 0, "VDD_MYSTERY", 5000, 800)
    with pytest.raises(TargetError):
        detect_target(str(tmp_path))


@pytest.mark.parametrize("model", ["Raspberry Pi 5 Model B Rev 1.0", "Nanopi Orion", None])
def test_other_machines_are_no_jetson(tmp_path, model):
    if model:
        device_tree(tmp_path / "sys", model, "raspberrypi,5-model-b brcm,bcm2712")
    assert detect_target(str(tmp_path / "sys")) is None


def test_the_source_of_the_device_tree_names_the_module(tmp_path):
    device_tree(tmp_path, "vendor's board", "vendor,board nvidia,tegra194")
    name = "hardware/nvidia/platform/t19x/jakku/kernel-dts/tegra194-p3668-all-p3509-0000.dts"
    (tmp_path / "firmware/devicetree/base/nvidia,dtsfilename").write_text(name)
    assert detect_target(str(tmp_path)) == "xavier_nx"


def test_a_channel_without_a_label_is_not_connected(tmp_path):
    trees.build(str(tmp_path), "agx_orin", "hwmon")
    trees.write(os.path.join(trees.hwmon_folder(str(tmp_path), "1-0041", 1), "in1_label"), "")
    with open_rails(None, str(tmp_path)) as rails:
        assert len(rails.rails) == 4


def test_a_container_has_the_device_tree_under_proc_alone(tmp_path):
    device_tree(tmp_path, "NVIDIA Jetson Xavier NX Developer Kit")
    os.makedirs(str(tmp_path / "proc"))
    os.rename(str(tmp_path / "firmware/devicetree/base"), str(tmp_path / "proc/device-tree"))
    assert detect_target(str(tmp_path / "sys")) == "xavier_nx"


def test_a_nano_of_2_gb_says_that_it_has_no_sensor(tmp_path):
    device_tree(tmp_path, "NVIDIA Jetson Nano 2GB Developer Kit")
    with pytest.raises(NoSensorError, match="the Nano 2GB has no power sensor"):
        open_rails(None, str(tmp_path))


def test_profiler_and_energy_and_doctor_agree(tmp_path):
    from splitwatt.profiler.board.state import hardware

    trees.build(str(tmp_path / "sys"), "nano", "iio", model=False)
    checks = {check.name: check for check in doctor.checks(str(tmp_path))}
    assert checks["target"].detail.endswith("--target nano")
    assert energy_doctor.checks(str(tmp_path / "sys"))[0].name == "power of nano"
    device_tree(tmp_path / "sys", "NVIDIA Jetson Nano Developer Kit")
    assert hardware(str(tmp_path))["cpu_model"] == "NVIDIA Jetson Nano Developer Kit"
    assert json.dumps(hardware(str(tmp_path)))
