"""Against what we did not write: scipy, jtop, Prometheus's own parser."""

import json
import math
import os
import pty
import random
import subprocess
import sys
import time
import urllib.request

import pytest

from splitwatt.energy.commands.integrate import integrate_file
from splitwatt.energy.endpoint.server import Endpoint
from splitwatt.energy.joules import simpson as integrate
from splitwatt.energy.joules.confidence import bootstrap_mean
from splitwatt.energy.rail_set import open_rails
from tests.conftest import COMMAND
from tests.energy import trees


def scipys(count):
    """scipy's Simpson. An old scipy's (as on Python 3.6) treats even counts in another way."""
    integrate = pytest.importorskip("scipy.integrate")
    if hasattr(integrate, "simpson"):
        return integrate.simpson
    if count % 2 == 0 and count > 2:
        pytest.skip("this scipy's even counts are not those of a current one")
    return integrate.simps


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 8, 50, 51, 1000, 1001])
@pytest.mark.parametrize("kind", ["even", "uneven", "wild"])
def test_simpson_and_trapezoid_equal_scipys(count, kind):
    simpson = scipys(count)
    rng = random.Random(count)
    steps = {
        "even": [0.005] * count,
        "uneven": [0.005 * rng.uniform(0.3, 1.7) for _ in range(count)],
        "wild": [rng.expovariate(200) + 1e-6 for _ in range(count)],
    }[kind]
    times = [1e5 + sum(steps[:i]) for i in range(count)]
    watts = [rng.uniform(0, 10) for _ in range(count)]
    theirs = simpson(watts, x=times)
    assert integrate.simpson(times, watts) == pytest.approx(float(theirs), rel=1e-9, abs=1e-9)
    numpy = pytest.importorskip("numpy")
    theirs = numpy.sum(numpy.diff(times) * (numpy.array(watts[1:]) + watts[:-1]) / 2)
    assert integrate.trapezoid(times, watts) == pytest.approx(float(theirs), rel=1e-9)


@pytest.mark.parametrize("count", [100, 101])
def test_a_traces_joules_are_scipys(tmp_path, count):
    simpson = scipys(count)
    rng = random.Random(count)
    times, watts, at = [], [], 0.0
    for _ in range(count):
        at += rng.uniform(0.001, 0.009)
        times.append(round(at, 6))
        watts.append(round(3 + math.sin(at) + rng.gauss(0, 0.2), 4))
    path = tmp_path / "t.csv"
    path.write_text("t_s,VDD_IN\n" + "".join("%r,%r\n" % row for row in zip(times, watts)))
    figures = integrate_file(str(path))["rails"]["VDD_IN"]
    assert figures["joules"] == pytest.approx(float(simpson(watts, x=times)), rel=1e-12)


def test_bootstrap_is_near_scipys():
    stats = pytest.importorskip("scipy.stats")
    if not hasattr(stats, "bootstrap"):
        pytest.skip("this scipy has no bootstrap")
    numpy = pytest.importorskip("numpy")
    rng = random.Random(1)
    values = [rng.gauss(2.5, 0.2) for _ in range(30)]
    low, high = bootstrap_mean(values).interval
    theirs = stats.bootstrap(
        (values,), numpy.mean, method="percentile", random_state=1, n_resamples=5000
    ).confidence_interval
    assert low == pytest.approx(theirs.low, abs=0.02)
    assert high == pytest.approx(theirs.high, abs=0.02)


JTOP = """
import json
from jtop.core.power import PowerService
print(json.dumps(PowerService().get_status()))
"""


@pytest.fixture
def fake_sys(tmp_path):
    """jtop's test mode reads /fake_sys: a link to a tree of ours."""
    pytest.importorskip("jtop")
    if os.path.lexists("/fake_sys"):
        pytest.skip("/fake_sys is taken")
    try:
        os.symlink(str(tmp_path), "/fake_sys")
    except OSError:
        pytest.skip("only root can make /fake_sys")
    yield str(tmp_path)
    os.unlink("/fake_sys")


@pytest.mark.parametrize("board,generation", sorted(trees.BOARDS))
def test_readings_equal_jtops(fake_sys, board, generation):
    trees.build(fake_sys, board, generation)
    output = subprocess.check_output(
        [sys.executable, "-c", JTOP], env=dict(os.environ, JTOP_TESTING="true")
    )
    status = json.loads(output.decode("utf-8").strip().splitlines()[-1])
    theirs = {label: values["power"] for label, values in status["rail"].items()}
    total = status["tot"]
    if "name" in total:
        theirs[total["name"]] = total["power"]
    with open_rails(board, fake_sys) as rails:
        ours = dict(zip([r.label for r in rails.rails], rails.read()))
        volts = dict(zip([r.label for r in rails.rails], rails.volts()))
        total_of = rails.total
    assert set(ours) == set(theirs)
    # jtop cuts to whole milliwatts.
    assert {label: int(round(w * 1e6)) // 1000 for label, w in ours.items()} == theirs
    for label, values in status["rail"].items():
        assert volts[label] * 1000 == pytest.approx(values["volt"])
    adds = sum(ours[label] for label in total_of)
    if board == "agx_orin":
        # jtop adds the rail that VIN_SYS_5V0 feeds to VIN_SYS_5V0; the total has it once.
        adds += ours["VDDQ_VDD2_1V8AO"]
    assert adds * 1000 == pytest.approx(total["power"], abs=len(ours))


def scrape(port):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode("utf-8")


def test_the_page_parses_and_its_values_are_right(tmp_path):
    parser = pytest.importorskip("prometheus_client.parser")
    root = str(tmp_path / "sys")
    trees.build(root, "nano", "iio")
    for path, text in {
        "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1479000",
        "class/thermal/thermal_zone0/type": "CPU-therm",
        "class/thermal/thermal_zone0/temp": "41500",
        "class/net/eth0/statistics/rx_bytes": "123456",
        "class/net/eth0/statistics/tx_dropped": "7",
        "class/power_supply/BAT0/capacity": "83",
        "devices/gpu.0/load": "452",
    }.items():
        trees.write(os.path.join(root, path), text)
    proc = str(tmp_path / "proc")
    trees.write(os.path.join(proc, "meminfo"), "MemTotal: 4000 kB\nMemAvailable: 1000 kB")
    trees.write(os.path.join(proc, "stat"), "cpu  100 0 0 300 0 0 0 0\ncpu0 100 0 0 300 0 0 0 0")
    trees.write(os.path.join(proc, "mounts"), "/dev/mmcblk0p1 / ext4 rw 0 0")
    with Endpoint("nano", root, host="127.0.0.1", port=0, procfs=proc, hz=100) as endpoint:
        trees.write(
            os.path.join(proc, "stat"), "cpu  125 0 0 375 0 0 0 0\ncpu0 125 0 0 375 0 0 0 0"
        )
        time.sleep(0.8)
        families = {f.name: f for f in parser.text_string_to_metric_families(scrape(endpoint.port))}
    value = {
        s.name: s.value
        for f in families.values()
        for s in f.samples
        if f.name.startswith("energon")
    }
    assert value["energon_total_in_power_mW"] == pytest.approx(4000)
    assert value["energon_gpu_in_power_mW"] == pytest.approx(595)
    assert value["energon_cpu_in_power_mW"] == pytest.approx(1536)
    assert math.isnan(value["energon_cpu_gpu_in_power_mW"])
    assert value["energon_total_in_voltage_mV"] == pytest.approx(5000)
    assert value["energon_battery_percentage"] == 83
    assert value["energon_cpu_core_0_MHz"] == pytest.approx(1479)
    assert value["energon_cpu_total_usage_percentage"] == pytest.approx(25)
    assert value["energon_cpu_core_0_usage_percentage"] == pytest.approx(25)
    assert value["energon_ram_total_bytes"] == 4000 * 1024
    assert value["energon_ram_used_bytes"] == 3000 * 1024
    assert value["energon_ram_available_bytes"] == 1000 * 1024
    assert value["energon_ram_used_percentage"] == pytest.approx(75)
    assert value["energon_gpu_total_usage_percentage"] == pytest.approx(45.2)
    assert value["energon_temperature_CPU_therm_mC"] == 41500
    assert value["energon_network_metrics_eth0_rx_bytes"] == 123456
    assert value["energon_network_metrics_eth0_tx_dropped"] == 7
    assert value["energon_storage_total_bytes"] > 0
    assert value["energon_storage_mmcblk0p1_used_bytes"] > 0
    info = families["energon_device_info_info"].samples[0]
    assert info.labels["detected_model"] == trees.MODELS["nano"]
    assert info.labels["network_interfaces"] == "eth0"
    assert set(info.labels) == {"detected_model", "n_proc", "network_interfaces"}
    power = families["splitwatt_rail_power_watts"]
    assert {s.labels["rail"]: s.value for s in power.samples} == pytest.approx(
        {"POM_5V_IN": 4.0, "POM_5V_GPU": 0.595, "POM_5V_CPU": 1.536}
    )
    energy = families["splitwatt_rail_energy_joules"]  # the parser strips a counter's _total
    assert energy.type == "counter"
    joules = {s.labels["rail"]: s.value for s in energy.samples}
    assert joules["POM_5V_IN"] / joules["POM_5V_CPU"] == pytest.approx(4.0 / 1.536)


def test_scraping_ten_times_a_second_costs_no_sample(tmp_path):
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    with Endpoint("xavier_nx", str(tmp_path), host="127.0.0.1", port=0, hz=200) as endpoint:
        start = time.monotonic()
        for i in range(15):
            scrape(endpoint.port)
            time.sleep(max(0.0, start + (i + 1) * 0.1 - time.monotonic()))
    assert endpoint.stats["lost"] == 0
    assert endpoint.stats["samples"] >= 290


def test_sparklines_on_a_terminal(tmp_path):
    """In a terminal of its own, with rich: bars of eight heights, drawn in place."""
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    main, side = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "energy", "watch", "--sysfs", str(tmp_path),
         "--seconds", "1.5", "--interval", "0.2"],
        stdout=side, stderr=side, env={**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(main)
    assert process.wait(20) == 0
    text = shown.decode("utf-8")
    assert "VDD_IN" in text and "\u2581" in text and "4.00 to 4.00 W" in text
    assert "\x1b[" in text  # in place
