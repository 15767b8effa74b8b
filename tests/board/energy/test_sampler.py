"""The sampler's process, the monitor's windows, the commands: on trees and made-up loads."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import pytest

from splitwatt.device_configs.errors import SensorError, UsageError
from splitwatt.energy.commands.watch import _BARS, can_show, sparkline, watch
from splitwatt.energy.endpoint import pages
from splitwatt.energy.endpoint.server import Endpoint
from splitwatt.energy.joules.per_image import repeat
from splitwatt.energy.joules.windows import trace_energy
from splitwatt.energy.monitor import EnergyMonitor, open_for
from splitwatt.energy.rail_set import NoSensorError, open_rails
from splitwatt.energy.rails.rail import COUNTER, INSTANT, Rail
from splitwatt.energy.sampler.process import Sampling
from splitwatt.energy.sampler.sampler import Sampler
from splitwatt.energy.sampler.sensor_rate import sampling_rate
from splitwatt.energy.trace.files import read_trace
from tests.board.stalls import check_output, check_times, undisturbed
from tests.board.tiny import COMMAND, ROOT
from tests.energy import trees
from tests.energy.generated_load import joules


def energy(*arguments, **kwargs):
    """(exit code, standard output, standard error) of `splitwatt energy ...`."""
    process = subprocess.Popen(
        COMMAND + ["energy"] + [str(a) for a in arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        **kwargs,
    )
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def nested_windows():
    """A monitor that recorded two windows inside another; ended, not yet closed."""
    with EnergyMonitor(driver="generated", hz=200) as monitor:
        monitor.begin("all")
        for _ in range(2):
            monitor.begin("half")
            time.sleep(0.3)
            monitor.end("half")
        monitor.end("all")
    return monitor


def test_windows_nest_and_repeat_and_are_right():
    def check(n):
        monitor = nested_windows()
        assert [w.name for w in monitor.windows] == ["half", "half", "all"]
        check_times(monitor.trace().times)
        for result in monitor.results():
            exact = joules(result.window.start_s, result.window.end_s)
            assert result.total_joules == pytest.approx(exact, rel=1e-3)
        folder = os.path.dirname(monitor.trace_path)
        monitor.close()
        assert not os.path.exists(folder)

    undisturbed(check)


def test_a_window_costs_less_than_20_us():
    monitor = EnergyMonitor(driver="generated")
    start = time.process_time()
    for _ in range(2000):
        monitor.begin("encode")
        monitor.end("encode")
    assert (time.process_time() - start) / 4000 < 20e-6
    with pytest.raises(SensorError, match="was not begun"):
        monitor.end("decode")
    monitor.close()


def test_too_short_a_window_is_refused():
    with EnergyMonitor(driver="generated", hz=50) as monitor:
        monitor.begin("encode")
        time.sleep(0.05)
        monitor.end("encode")
        time.sleep(0.5)
    (result,) = monitor.results()
    assert result.total_joules is None
    assert "would be enough" in result.rails["generated"].refused
    monitor.close()


def test_a_stage_is_repeated_for_a_time():
    done = repeat(lambda: time.sleep(0.01), least_s=0.3)
    assert 10 <= done.repetitions <= 31 and done.end_s - done.start_s >= 0.3


def test_the_record_says_what_it_is(tmp_path):
    path = str(tmp_path / "power" / "block.csv")
    began = time.monotonic()
    with EnergyMonitor(driver="generated", hz=100, trace_path=path):
        time.sleep(0.3)
    took_s = time.monotonic() - began
    with open(str(tmp_path / "power" / "block.json")) as stream:
        about = json.load(stream)
    assert about["provenance"] == "generated" and about["format"] == 1
    assert about["rails"][0]["label"] == "generated"
    assert abs(about["wall_minus_monotonic_s"] - (time.time() - time.monotonic())) < 1
    stats = about["stats"]
    assert stats["lost"] == 0 and 10 <= stats["samples"] <= 100 * took_s + 1
    assert 0 <= stats["core_fraction"] < 0.5
    with open(path) as stream:
        assert stream.readline() == "t_s,generated\n"
    with pytest.raises(SensorError, match="exists already"):
        EnergyMonitor(driver="generated", hz=100, trace_path=path).start()


def test_open_for_gives_the_reasons(tmp_path):
    with pytest.raises(NoSensorError) as no:
        open_for("nano", str(tmp_path))
    assert [tried.driver for tried in no.value.tried] == ["ina3221_iio", "ina3221_hwmon", "jtop"]
    trees.build(str(tmp_path), "nano", "iio")
    with open_for("nano", str(tmp_path), str(tmp_path / "b.csv"), hz=100) as monitor:
        monitor.begin("block")
        time.sleep(0.25)
        monitor.end("block")
    (result,) = monitor.results()
    rails = result.rails
    assert set(rails) == {"POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"}
    with pytest.raises(SensorError, match="VDD_IN"):
        open_for("xavier_nx", str(tmp_path))


def test_a_counter_is_exact_whatever_the_sampling(tmp_path):
    """Joules of a RAPL tree: what was added to the counter, across a wrap-around."""
    path = trees.rapl_zone(str(tmp_path), "intel-rapl:0", "package-0", 900000, most=1000000)
    trace = str(tmp_path / "t.csv")
    count = 900000
    with Sampler("laptop", str(tmp_path), trace=trace, hz=100) as sampler:
        for _ in range(40):
            count = (count + 7000) % 1000000
            with open(path + ".new", "w") as stream:
                stream.write("%d\n" % count)
            # In place, as the kernel does: the file stays the same file.
            with open(path, "r+") as stream:
                stream.write("%-9d" % count)
            time.sleep(0.01)
        time.sleep(0.05)
    assert sampler.stats["failed_reads"] == 0
    result = trace_energy(read_trace(trace))["package-0"]
    assert result.kind == "counter"
    assert result.joules == pytest.approx(0.28, abs=0.0071)


def test_a_sensor_that_vanishes_and_comes_back_leaves_a_gap(tmp_path):
    root = str(tmp_path / "sys")
    trees.build(root, "xavier_nx", "hwmon")
    trace = str(tmp_path / "t.csv")
    folder = trees.hwmon_folder(root)
    with Sampler("xavier_nx", root, trace=trace, hz=200) as sampler:
        time.sleep(0.2)
        with open(os.path.join(folder, "curr1_input"), "w") as stream:
            stream.write("garbage\n")
        time.sleep(0.3)
        shutil.rmtree(folder)
        trees.build(str(tmp_path / "again"), "xavier_nx", "hwmon")
        os.rename(trees.hwmon_folder(str(tmp_path / "again")), folder)
        time.sleep(0.3)
    assert sampler.stats["failed_reads"] > 0
    found = trace_energy(read_trace(trace))["VDD_IN"]
    assert found.excluded["failed"] > 10
    assert found.gap_s == pytest.approx(0.3, abs=0.15)
    assert found.joules == pytest.approx(4.0 * found.covered_s, rel=1e-6)


def test_the_sampler_ends_with_its_parent(tmp_path):
    """A killed program leaves no sampler behind, and a trace that can be read."""
    trace = str(tmp_path / "t.csv")
    code = (
        "import sys, time; sys.path.insert(0, %r)\n"
        "from splitwatt.energy.sampler.sampler import Sampler\n"
        "s = Sampler(driver='generated', hz=100, trace=%r); s.start()\n"
        "print(s._process.pid, flush=True); time.sleep(60)\n" % (ROOT, trace)
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    time.sleep(0.7)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and os.path.exists("/proc/%d" % child):
        with open("/proc/%d/stat" % child) as stream:
            if stream.read().split(")")[1].split()[0] == "Z":
                break
        time.sleep(0.05)
    else:
        assert not os.path.exists("/proc/%d" % child)
    assert len(read_trace(trace).times) >= 50
    assert trace_energy(read_trace(trace))["generated"].joules > 0


def test_a_sampler_that_hangs_leaves_a_gap_and_then_is_killed(tmp_path):
    """Stopped by a signal, it stands for one whose sensor blocks in the kernel."""
    trace = str(tmp_path / "t.csv")
    sampler = Sampler(driver="generated", hz=100, trace=trace)
    sampler.start()
    process = sampler._process
    time.sleep(0.3)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.6)
    process.send_signal(signal.SIGCONT)
    time.sleep(0.7)
    process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    assert sampler.stop() is None
    assert time.monotonic() - start < 30
    assert process.poll() is not None
    times, energy = read_trace(trace).times, trace_energy(read_trace(trace))["generated"]
    steps = [later - at for at, later in zip(times, times[1:])]
    late_s = max(0.0, sum(step for step in steps if step > 0.02) - 0.6)
    assert 0.5 < energy.gap_s < 0.7 + late_s and energy.largest_gap_s < 0.2 + late_s


def test_a_full_disk_is_reported(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    from splitwatt.energy.trace import files as trace_writer

    writer = trace_writer.TraceWriter(str(tmp_path / "t.csv"), ["a"], {})
    os.dup2(os.open("/dev/full", os.O_WRONLY), writer._handle)
    writer.row(0.0, [1.0])
    with pytest.raises(Exception, match="disk is full"):
        writer.flush()


def test_rate_is_twice_the_sensors(tmp_path):
    trees.build(str(tmp_path), "nano", "iio")
    with open_rails("nano", str(tmp_path)) as rails:
        assert sampling_rate(rails, {}) == pytest.approx(2 / 0.054)
        assert sampling_rate(rails, {"POM_5V_IN": 0.02}) == pytest.approx(100)


def test_the_probe_finds_a_sensors_period(tmp_path):
    root = str(tmp_path / "sys")
    trees.build(root, "xavier_nx", "hwmon")
    path = os.path.join(trees.hwmon_folder(root), "curr1_input")
    stop = threading.Event()

    def change():
        start, i = time.monotonic(), 0
        with open(path, "r+") as stream:
            while not stop.is_set():
                stream.seek(0)
                stream.write("%04d" % (500 + (i * 37) % 400))
                stream.flush()
                i += 1
                time.sleep(max(0.0, start + i * 0.02 - time.monotonic()))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with Sampler("xavier_nx", root) as sampler:
            probed = sampler.about["probed_period_s"]["VDD_IN"]
    finally:
        stop.set()
        thread.join()
    # A loaded machine may blur the grid; what is found must be right.
    assert probed is None or probed == pytest.approx(0.02, rel=0.15)


def test_replay_plays_a_trace_in_its_own_time(tmp_path):
    path = str(tmp_path / "t.csv")
    with open(path, "w") as stream:
        stream.write("t_s,VDD_IN\n")
        for i in range(200):
            stream.write("%f,%f\n" % (100 + i * 0.005, 2.0 if i < 60 else 6.0))
    monitor = EnergyMonitor(driver="replay", options={"trace": path}, hz=200)
    with monitor:
        time.sleep(0.6)
    assert monitor.about["provenance"] == "replayed"
    watts = [w for w in monitor.trace().columns[0] if w is not None]
    assert 30 < watts.count(2.0) < 75 and watts.count(6.0) > 20
    monitor.close()


def test_endpoint(tmp_path):
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    with Endpoint("xavier_nx", str(tmp_path), host="127.0.0.1", port=0, hz=100) as endpoint:
        time.sleep(0.8)
        url = "http://127.0.0.1:%d" % endpoint.port
        with urllib.request.urlopen(url + "/metrics") as answer:
            text = answer.read().decode("utf-8")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url + "/other")
    lines = text.splitlines()
    assert "energon_total_in_power_mW 4000.0" in lines
    assert "energon_total_in_voltage_mV 5000.0" in lines
    assert "energon_cpu_in_power_mW NaN" in lines
    assert any(line.startswith('splitwatt_rail_power_watts{rail="VDD_SOC"') for line in lines)
    other = Endpoint("nano", str(tmp_path / "bus"), port=0)
    with pytest.raises(SensorError, match="no power sensor"):
        other.__enter__()


def test_sparkline():
    assert sparkline([1.0, 2.0, None, 3.0]) == _BARS[0] + _BARS[4] + " " + _BARS[7]
    assert sparkline([2.0, 2.0]) == _BARS[0] * 2
    assert sparkline([None]) == " "
    assert can_show(_BARS, "utf-8") and not can_show(_BARS, "ascii")


def test_command_read(tmp_path):
    trees.build(str(tmp_path), "nano", "iio")
    code, out, _ = energy("read", "--sysfs", tmp_path, "--json")
    assert code == 0
    rails = {row["name"]: row for row in json.loads(out)["rails"]}
    assert rails["POM_5V_IN"]["watts"] == pytest.approx(4.0)
    assert rails["POM_5V_IN"]["total"] is True and rails["POM_5V_GPU"]["total"] is False
    code, out, _ = energy("read", "--sysfs", tmp_path, "--target", "nano")
    assert code == 0 and "4.000 W" in out
    code, out, err = energy("read", "--sysfs", tmp_path, "--target", "xavier_nx")
    assert code == 1 and "POM_5V_IN" in err
    (tmp_path / "empty").mkdir()
    code, out, err = energy("read", "--sysfs", tmp_path / "empty", "--target", "nano", "--json")
    assert code == 1 and out == "" and "ina3221_iio: there is no" in err
    for verb in ("read", "watch", "serve"):
        assert energy(verb, "--target", "nanno")[0] == 2
        code, _, err = energy(verb, "--driver", "rappl")
        assert code == 2 and "rapl" in err
    assert energy("record", "--driver", "generated", "--hz", "20000", "--", "true")[0] == 2
    assert energy("raed")[0] == 2
    assert energy()[0] == 2
    assert energy("--help")[0] == 0


def test_command_integrate(tmp_path):
    path = str(tmp_path / "t.csv")
    with open(path, "w") as stream:
        stream.write("t_s,VDD_IN,VDD_SOC\n")
        for i in range(101):
            stream.write("%f,%f,%f\n" % (i * 0.01, 4.0, 1.0))
    code, out, _ = energy("integrate", path, "--json")
    rails = json.loads(out)["rails"]
    assert code == 0
    for key in ("joules", "joules_trapezoid", "effective_hz", "largest_gap_s"):
        assert rails["VDD_IN"][key] is not None
    assert rails["VDD_IN"]["joules"] == pytest.approx(4.0)
    code, out, _ = energy(
        "integrate", path, "--target", "orin_nano", "--from", "0.2", "--to", "0.7"
    )
    assert code == 0 and "total (VDD_IN): 2 J" in out
    code, _, err = energy("integrate", path, "--from", "0.5", "--to", "0.52")
    assert code == 1 and "refused" in err and "measure for at least" in err
    assert energy("integrate", path, "--to", "99")[0] == 2
    assert energy("integrate", path, "--from", "0.7", "--to", "0.2")[0] == 2
    (tmp_path / "t.json").write_text('{"format": 1, "rails": null, "total": null}')
    assert energy("integrate", path)[0] == 0
    assert energy("integrate", str(tmp_path / "none.csv"))[0] == 1


def test_command_record(tmp_path):
    trees.build(str(tmp_path / "sys"), "nano", "iio")
    kept = str(tmp_path / "kept.csv")

    def check(n):
        if os.path.exists(kept):
            os.remove(kept)
            os.remove(str(tmp_path / "kept.json"))
        code, out, _ = energy(
            "record", "--json", "--sysfs", tmp_path / "sys", "--hz", "200", "--idle", "0.8",
            "--runs", "2", "--output", kept, "--", sys.executable, "-c",
            "import time; print('hello'); time.sleep(0.9)",
        )  # fmt: skip
        assert code == 0
        check_output(out)
        result = json.loads(out)
        assert [run["exit_code"] for run in result["runs"]] == [0, 0]
        run = result["runs"][0]
        assert run["total_joules"] == pytest.approx(4.0 * run["seconds"], rel=0.02)
        assert run["total_net_joules"] == pytest.approx(0.0, abs=0.05)
        assert result["sampler"]["lost"] == 0

    undisturbed(check)
    assert os.path.exists(kept)

    def check_text(n):
        code, out, err = energy(
            "record", "--sysfs", tmp_path / "sys", "--runs", "3", "--", sys.executable, "-c",
            "import time; time.sleep(0.8)", env=dict(os.environ, PYTHONIOENCODING="utf-8"),
        )  # fmt: skip
        assert code == 0 and "run 2 of 3 is done, about" in err
        check_output(out)
        lines = out.splitlines()
        assert lines[0].startswith("Benchmark: ")
        assert lines[1].startswith("  Time (mean \u00b1 \u03c3):")
        assert lines[2].startswith("  Range (min \u2026 max):") and "3 runs" in lines[2]
        assert lines[3].startswith("  Energy (mean \u00b1 \u03c3):") and "(POM_5V_IN)" in lines[3]

    undisturbed(check_text)
    code, out, _ = energy("record", "--driver", "generated", "--", "false")
    assert code == 1 and "exit code 1" in out
    assert energy("record", "--driver", "generated")[0] == 2
    code, _, err = energy("record", "--driver", "generated", "--", "/no/such/program")
    assert code == 1 and "cannot be run" in err


def test_commands_watch_and_serve():
    code, out, _ = energy("watch", "--driver", "generated", "--seconds", "0.6", "--interval", "0.2")
    assert code == 0 and "generated" in out
    code, out, _ = energy("watch", "--driver", "generated", "--seconds", "0.4", "--json")
    assert json.loads(out)["rails"][0]["name"] == "generated"
    code, out, err = energy(
        "serve", "--driver", "generated", "--port", "0", "--host", "127.0.0.1", "--seconds", "0.3",
        "--json",
    )  # fmt: skip
    assert code == 0 and json.loads(out)["url"].startswith("http://127.0.0.1:")
    assert energy("serve", "--driver", "generated", "--port", "99999")[0] == 2


def test_a_dead_samplers_last_reading_is_not_served_as_power():
    endpoint = Endpoint(driver="generated", host="127.0.0.1", port=0, hz=100)
    with pytest.raises(SensorError, match="ended by itself"), endpoint:
        url = "http://127.0.0.1:%d/metrics" % endpoint.port
        time.sleep(0.3)
        assert endpoint.alive
        os.kill(endpoint._process.pid, signal.SIGKILL)
        time.sleep(1.5)
        assert not endpoint.alive
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode("utf-8")
    assert "energon_total_in_power_mW NaN" in text
    assert "splitwatt_rail_power_watts" not in text
    assert "splitwatt_sampler_samples_total" in text


def test_an_empty_trace_is_not_played(tmp_path):
    (tmp_path / "empty.csv").write_text("t_s,VDD_IN\n")
    code, _, err = energy("read", "--replay", tmp_path / "empty.csv")
    assert code == 1 and "no samples" in err


def test_a_replayed_trace_is_no_measurement_of_a_command(tmp_path):
    path = str(tmp_path / "t.csv")
    with open(path, "w") as stream:
        stream.write("t_s,VDD_IN\n")
        for i in range(1000):
            stream.write("%f,4.0\n" % (i * 0.01))
    code, out, _ = energy("record", "--replay", path, "--", sys.executable, "-c", "pass")
    assert code == 0 and out.startswith("replayed: no sensor measured these joules")


class _Fake(object):
    """Two rails, a power and a counter, whose readings are given."""

    def __init__(self, *readings):
        kinds = (("watts", INSTANT), ("count", COUNTER))
        self.rails = [
            Rail(label, "fake", kind, "", None, None, None, "", 1000.0) for label, kind in kinds
        ]
        self._readings = list(readings)

    def read(self):
        return list(self._readings.pop(0))

    def volts(self):
        return [None, None]


def _sampled(steps, *readings):
    """Joules so far of a sampler that took these readings at these times; None: a hole."""
    sampling = Sampling(_Fake(*readings), 10.0, None, every_s=None)
    clock = [0.0]
    for at in steps:
        if at is None:
            sampling._hole(0.0, clock[0])
            continue
        clock[0] = at
        watts = sampling._to_watts(sampling.rails.read(), at)
        sampling._keep(at, watts)
    return sampling.latest(clock[0])["joules"]


def test_live_joules_do_not_grow_over_gaps_and_counters_lose_nothing():
    even = [(2.0, 10.0), (2.0, 13.0), (2.0, 16.0), (2.0, 19.0)]
    assert _sampled([0.0, 1.0, 2.0, 3.0], *even) == pytest.approx([6.0, 9.0])
    # Across a hole nobody knows the power; what a counter counted it tells.
    assert _sampled([0.0, 1.0, None, 2.0, 3.0], *even) == pytest.approx([4.0, 9.0])
    # A counter that fails every other time has still counted.
    failing = [(2.0, 10.0), (None, None), (2.0, 16.0), (None, None), (2.0, 22.0)]
    assert _sampled([0.0, 1.0, 2.0, 3.0, 4.0], *failing) == pytest.approx([0.0, 12.0])
    # What falls back, or leaps, is no energy.
    odd = [(2.0, 10.0), (2.0, 4.0), (2.0, 9e9), (2.0, 9e9 + 3)]
    assert _sampled([0.0, 1.0, 2.0, 3.0], *odd) == pytest.approx([6.0, 3.0])


def test_a_refused_start_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for made in (EnergyMonitor, Endpoint):
        with pytest.raises(UsageError, match="20000 Hz"):
            made(driver="generated", hz=20000)
        made(driver="generated")  # never started
    with pytest.raises(UsageError, match="20000 Hz"):
        watch({"driver": "generated", "hz": 20000}, 0.1, 0.1, False)
    with pytest.raises(SensorError), EnergyMonitor("nano", str(tmp_path)):
        pass
    assert os.listdir(str(tmp_path)) == []


def test_a_replayed_trace_has_its_own_total(tmp_path):
    path = str(tmp_path / "t.csv")
    with open(path, "w") as stream:
        stream.write("t_s,A,B\n0,1,2\n1,1,2\n")
    rails = [
        dict(Rail(label, "rapl", INSTANT, "", None, None, None, "", 100.0)._asdict())
        for label in "AB"
    ]
    with open(str(tmp_path / "t.json"), "w") as stream:
        json.dump({"format": 1, "rails": rails, "total": ["A", "B"]}, stream)
    with open_rails("laptop", driver="replay", options={"trace": path}) as found:
        assert found.total == ("A", "B")
    code, out, _ = energy("read", "--replay", path, "--json")
    assert code == 0 and json.loads(out)["total_watts"] == 3.0
    with open_rails(driver="generated") as found:
        assert found.total == ("generated",) and found.target is None


def test_an_endpoint_closes_what_it_cannot_serve(monkeypatch):
    monkeypatch.setattr(pages, "MOST_CONNECTIONS", 2)
    with Endpoint(driver="generated", host="127.0.0.1", port=0, hz=100) as endpoint:
        address = ("127.0.0.1", endpoint.port)
        held = [socket.create_connection(address) for _ in range(2)]
        time.sleep(0.3)
        with socket.create_connection(address, 10) as third:
            third.settimeout(10)
            assert third.recv(10) == b""
        for connection in held:
            connection.close()
        time.sleep(0.5)
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % endpoint.port) as answer:
            assert answer.status == 200
