"""The doctor says what is there and what is missing, and never dies of it."""

import json
import shlex
import sys

import pytest

from splitwatt.device_configs import diagnosis, doctor, install
from splitwatt.device_configs.cli import guarded, time_left
from splitwatt.device_configs.detect import detect_target
from splitwatt.device_configs.diagnosis import Check, package
from splitwatt.device_configs.install import install_command


def test_every_room_answers(capfd):
    assert diagnosis.doctor(["--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert list(document) == list(diagnosis.ROOMS)
    for room, checks in document.items():
        assert checks, room
        for check in checks:
            assert sorted(check) == ["detail", "name", "ok", "remedy"]
            assert check["name"] and check["detail"] and not (check["ok"] and check["remedy"]), (
                check
            )
    by_name = {check["name"]: check for check in document["engines"]}
    assert by_name["onnxruntime"]["ok"] and "backend cpu" in by_name["onnxruntime"]["detail"]


def test_people_see_boxes_and_commands(capsys):
    assert diagnosis.doctor(["--room", "engines"]) == 0
    text = capsys.readouterr().out
    assert "[x] numpy" in text and "Traceback" not in text
    missing = Check("x", False, "gone", "pip install x")
    assert [line.strip() for line in diagnosis.lines(missing)][1].endswith("pip install x")
    assert len(diagnosis.lines(missing._replace(remedy=""))) == 1
    with pytest.raises(SystemExit):
        guarded(diagnosis.doctor, ["--room", "kitchen"])


def test_a_room_that_fails_is_a_check_of_its_own(monkeypatch):
    from splitwatt.engines import doctor

    def fail():
        raise ValueError("two\nlines")

    monkeypatch.setattr(doctor, "checks", fail)
    ((room, checks),) = diagnosis.ask(("engines",))
    assert room == "engines" and not checks[0].ok
    assert checks[0].detail == "its checks failed: ValueError: two lines"
    assert list(diagnosis.ask(("no_such_room",))) == []


@pytest.mark.parametrize("missing", ["cmake", "c++"])
def test_what_compiles_the_range_coder_is_named_where_it_is_missing(monkeypatch, missing):
    from splitwatt.engines import doctor as of_engines

    which = {"cmake": "/usr/bin/cmake", "c++": "/usr/bin/c++"}
    del which[missing]
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(of_engines.shutil, "which", which.get)
    check = {check.name: check for check in of_engines._native()}["C++ compiler"]
    assert not check.ok and check.detail == missing + " not found"
    assert check.remedy == "sudo apt install g++ cmake"


def test_packages(tmp_path, monkeypatch):
    assert package("json", "p", "r").ok
    missing = package("no_such_package", "p", "pip install it", "Name")
    assert missing.name == "Name" and not missing.ok and missing.remedy == "pip install it"
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('illegal instruction')")
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = package("broken_package", "p", "r")
    assert not broken.ok and "broken" in broken.detail and "illegal instruction" in broken.detail


@pytest.mark.parametrize(
    "model, target",
    [("NVIDIA Jetson Nano Developer Kit", "nano"), ("NVIDIA Jetson Xavier NX Developer Kit", "xavier_nx"),
     ("NVIDIA Jetson Orin Nano Developer Kit", "orin_nano"), ("Raspberry Pi 4", None), (None, None)],
)  # fmt: skip
def test_the_board_is_known_by_its_device_tree(tmp_path, model, target):
    if model:
        folder = tmp_path / "proc" / "device-tree"
        folder.mkdir(parents=True)
        (folder / "model").write_bytes(model.encode() + b"\0")
    assert detect_target(str(tmp_path / "sys")) == target
    checks = {check.name: check for check in doctor.checks(str(tmp_path))}
    assert checks["target"].ok == (model is None or target is not None)
    assert "--target %s" % (target or "cpu") in checks["target"].detail or not checks["target"].ok
    assert "%d.%d" % sys.version_info[:2] in checks["Python"].detail


def test_profiler_s_checks_read_the_given_root(tmp_path):
    from splitwatt.profiler import doctor as profiler_doctor

    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 4059000 kB\nSwapTotal: 0 kB\n")
    cpu = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    (cpu / "scaling_governor").write_text("schedutil\n")
    checks = {check.name: check for check in profiler_doctor.checks(str(tmp_path))}
    assert not checks["memory"].ok and "mkswap" in checks["memory"].remedy
    assert checks["link shaped"].ok or "via=user" in checks["link shaped"].remedy
    assert not checks["clocks"].ok and "schedutil" in checks["clocks"].detail
    (cpu / "scaling_governor").write_text("performance\n")
    (proc / "meminfo").write_text("MemTotal: 4059000 kB\nSwapTotal: 4194300 kB\n")
    checks = {check.name: check for check in profiler_doctor.checks(str(tmp_path))}
    assert checks["memory"].ok and checks["clocks"].ok


def test_a_missing_package_is_one_sentence_with_what_brings_it(capsys):
    def needs(package):
        def command(argv):
            raise ModuleNotFoundError("No module named " + package, name=package + ".sub")

        return command

    for missing, due in (("yaml", install_command()), ("torch", install_command("export")),
                         ("starlette", install_command("serve"))):  # fmt: skip
        assert guarded(needs(missing), []) == 2
        said = capsys.readouterr().err
        assert missing in said and said.strip().endswith(due) and said.count("\n") == 1
    for room, argv in (("splitwatt", []), ("yaml", ["--debug"])):
        with pytest.raises(ModuleNotFoundError):
            guarded(needs(room), argv)


def test_the_time_left_in_words():
    assert time_left(0, 10, 5.0) == "" == time_left(10, 10, 5.0)
    assert time_left(1, 10, 5.0) == "about 45 s left"
    assert time_left(1.5, 150, 6.0) == "about 10 min left"


def test_a_wheel_in_a_folder_with_spaces_is_a_url_that_pip_takes(tmp_path, monkeypatch):
    wheel = tmp_path / "my wheels #1" / "splitwatt.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"")
    monkeypatch.setattr(install, "_origin", lambda: (str(wheel), False))
    url = shlex.split(install_command("serve"))[2].split(" @ ")[1]
    assert url == wheel.as_uri()
