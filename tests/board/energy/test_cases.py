"""Public reports about power meters, each with its right value; comments name the report."""

import json
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from splitwatt.device_configs.errors import SensorError, SplitwattError
from splitwatt.device_configs.input.small_files import read_bytes, real_number, whole_number
from splitwatt.energy.cli import energy
from splitwatt.energy.commands.integrate import integrate_file
from splitwatt.energy.commands.read import read_once
from splitwatt.energy.endpoint.server import Endpoint
from splitwatt.energy.joules.per_image import block_energy
from splitwatt.energy.joules.windows import Window, window_energies
from splitwatt.energy.monitor import EnergyMonitor
from splitwatt.energy.rail_set import NoSensorError, open_rails
from splitwatt.energy.rails.rail import AVERAGE, Rail
from splitwatt.energy.trace.files import TraceWriter, rail_records, read_trace
from tests.board.stalls import check_output, check_times, undisturbed
from tests.board.tiny import COMMAND
from tests.energy import trees

# --- Missing time is a gap, also where no row says so (green-metrics-tool#1229) ------------------


def csv(path, times, watts, label="VDD_IN"):
    with open(str(path), "w") as stream:
        stream.write("t_s,%s\n" % label)
        stream.writelines("%.6f,%r\n" % row for row in zip(times, watts))
    return str(path)


def spaced(count, hz, start=0.0):
    return [start + i / hz for i in range(count)]


def around_5_w(times, seed=1):
    rng = random.Random(seed)
    return [5.0 + rng.uniform(-0.4, 0.4) for _ in times]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: "\n".join(",".join('"%s"' % c for c in line.split(",")) for line in text.split()),
        lambda text: "\n".join("%s,%s" % (number or "", line)
                               for number, line in enumerate(text.split())),
        lambda text: text.replace("\n", ",\r\n"),
        lambda text: text.replace("VDD_IN", "VDD_IN (W)"),
    ],
    ids=["byte-order mark", "quotes", "column of row numbers", "trailing commas", "unit"],
)  # fmt: skip
def test_a_csv_as_other_programs_write_it(tmp_path, change):
    times = spaced(41, 10)
    path = csv(tmp_path / "t.csv", times, [5.0] * 41)
    with open(path) as stream:
        text = change(stream.read())
    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    ((label, rail),) = integrate_file(path)["rails"].items()
    assert label.startswith("VDD_IN") and rail["joules"] == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("label", "times", "text", "words"),
    [
        ("VDD_IN_mW", spaced(41, 10), None, "'VDD_IN_mW', which is not in watts"),
        ("VDD_IN (uW)", spaced(41, 10), None, "which is not in watts"),
        ("VDD_IN [kW]", spaced(41, 10), None, "which is not in watts"),
        ("package-0 [J]", spaced(41, 10), None, "which is not in watts"),
        ("energy (kWh)", spaced(41, 10), None, "which is not in watts"),
        ("VDD_IN_mA", spaced(41, 10), None, "which is not in watts"),
        ("VDD_IN", [1.7e12 + i for i in range(41)], None, "t_s goes to 1.7e+12"),
        ("VDD_IN", [1.7e18 + 1e8 * i for i in range(41)], None, "t_s goes to 1.7e+18"),
        ("VDD_IN", [], "0,1;4,9\n0,2;5,1\n", "no row of 2 numbers between commas"),
    ],
)
def test_another_unit_is_refused_and_not_taken_for_watts_and_seconds(
    tmp_path, label, times, text, words
):
    path = csv(tmp_path / "t.csv", times, [5000.0] * len(times), label)
    if text:
        with open(path, "a") as stream:
            stream.write(text)
    with pytest.raises(SensorError) as refused:
        integrate_file(path)
    assert words in refused.value.message and path in refused.value.message
    assert refused.value.remedy


def test_a_refusal_says_what_was_left_out_and_how_to_repair_it(tmp_path, capsys):
    path = csv(tmp_path / "t.csv", spaced(41, 10)[::-1], [5.0] * 41)
    result = integrate_file(path)
    assert result["rails"]["VDD_IN"]["joules"] is None
    assert "VDD_IN: 40 samples were left out (40 clock)" in result["warnings"]
    with pytest.raises(SensorError) as refused:
        energy(["integrate", path])
    assert "sort its rows by t_s" in refused.value.remedy
    printed = capsys.readouterr().out
    assert printed.count("1 distinct reading") == 1 and "40 clock" in printed


def test_an_hour_without_rows_is_a_gap(tmp_path):
    times = spaced(21, 10) + spaced(21, 10, 3602.0)
    result = integrate_file(csv(tmp_path / "t.csv", times, around_5_w(times)))
    rail = result["rails"]["VDD_IN"]
    assert rail["joules"] == pytest.approx(20.0, rel=0.03)
    low, high = rail["interval_joules"]
    assert 19 < low < rail["joules"] < high < 21
    assert rail["gaps"] == 1 and rail["gap_s"] == pytest.approx(3600.0)
    assert rail["covered_s"] == pytest.approx(4.0) and rail["mean_watts"] == pytest.approx(
        5, rel=0.03
    )
    assert result["warnings"] == ["VDD_IN: 3600 s in 1 gap were not measured and are in no figure"]


@pytest.mark.parametrize("hz,missing_s", [(100, 2.0), (1000, 0.5), (10, 0.8), (2, 30.0), (50, 1e6)])
def test_a_constant_load_has_its_power_and_nothing_more(tmp_path, hz, missing_s):
    times = spaced(5 * hz + 1, hz)
    times += spaced(5 * hz + 1, hz, times[-1] + missing_s)
    rail = integrate_file(csv(tmp_path / "t.csv", times, [5.0] * len(times)))["rails"]["VDD_IN"]
    assert rail["joules"] == pytest.approx(50.0, rel=1e-9)
    assert rail["gaps"] == 1 and rail["gap_s"] == pytest.approx(missing_s)


def test_several_gaps_and_a_window_over_one(tmp_path):
    times = [t for start in (0.0, 10.0, 100.0) for t in spaced(201, 100, start)]
    path = csv(tmp_path / "t.csv", times, around_5_w(times))
    rail = integrate_file(path)["rails"]["VDD_IN"]
    assert rail["gaps"] == 2 and rail["gap_s"] == pytest.approx(96.0)
    assert rail["joules"] == pytest.approx(30.0, rel=0.02)
    windows = [Window("across", 1.0, 11.0), Window("inside", 10.5, 11.5)]
    across, inside = (w.rails["VDD_IN"] for w in window_energies(read_trace(path), windows))
    assert across.joules is None and "8 s of 10 s were not measured" in across.refused
    assert inside.joules == pytest.approx(5.0, rel=0.05)


def test_a_trace_that_changes_its_rate_has_no_gap(tmp_path):
    times = spaced(301, 10) + spaced(40, 1, 31.0)
    rail = integrate_file(csv(tmp_path / "t.csv", times, [5.0] * len(times)))["rails"]["VDD_IN"]
    assert rail["gaps"] == 0 and rail["joules"] == pytest.approx(5.0 * 70.0)


def test_readings_that_mostly_fail_are_not_interpolated(tmp_path):
    path = str(tmp_path / "t.csv")
    with open(path, "w") as stream:
        stream.write("t_s,VDD_IN\n")
        for i, at in enumerate(spaced(2001, 100)):
            stream.write("%.2f,%s\n" % (at, "5.0" if i % 100 == 0 else ""))
    rail = integrate_file(path)["rails"]["VDD_IN"]
    assert rail["joules"] is None and rail["covered_s"] == 0.0 and rail["gaps"] == 20


def test_a_replay_plays_nothing_in_a_gap(tmp_path):
    times = spaced(21, 100) + spaced(200, 100, 0.7)
    path = csv(tmp_path / "t.csv", times, [5.0] * len(times))

    def played_once(n):
        monitor = EnergyMonitor(driver="replay", options={"trace": path}, hz=100)
        with monitor:
            time.sleep(1.6)
        check_times(monitor.trace().times)
        return monitor

    monitor = undisturbed(played_once)
    played = monitor.trace()
    steps = [later - at for at, later in zip(played.times, played.times[1:])]
    late_s = sum(step for step in steps if step > 0.02)  # on a busy machine
    silent = [at for at, watts in zip(played.times, played.columns[0]) if watts is None]
    assert silent[-1] - silent[0] == pytest.approx(0.49, abs=0.03 + late_s)
    rail = integrate_file(monitor.trace_path)["rails"]["VDD_IN"]
    assert 0.44 - late_s < rail["gap_s"] < 0.56 + late_s
    assert rail["joules"] == pytest.approx(5.0 * rail["covered_s"])
    monitor.close()


def test_almost_equal_times_give_no_wild_weights(tmp_path):
    times = sorted(spaced(200, 10) + [t + 1e-6 for t in spaced(100, 5)])
    rail = integrate_file(csv(tmp_path / "t.csv", times, around_5_w(times)))["rails"]["VDD_IN"]
    assert rail["method"] == "trapezoid"
    assert rail["joules"] == pytest.approx(99.5, rel=0.02)
    low, high = rail["interval_joules"]
    assert 95 < low < high < 105


# --- Counters: still ones, repeated ones, the kernel's names ------------------------------------


class Counters(object):
    """RAPL zones that a thread moves in place, as the kernel does; watts may be None: never.

    Zones of the same (watts, start) show one meter: one file, so that no pause comes between them.
    """

    def __init__(self, root, zones, every_s=0.01):
        self._files, meters = [], {}
        for number, (zone, name, watts) in enumerate(zones):
            start = 5000000 + 1000003 * number if not isinstance(watts, tuple) else watts[1]
            path = trees.rapl_zone(str(root), zone, name, start)
            power = watts[0] if isinstance(watts, tuple) else watts
            if isinstance(watts, tuple) and meters.setdefault(watts, path) != path:
                os.remove(path)
                os.link(meters[watts], path)
                continue
            self._files.append([open(path, "r+"), start, power])  # noqa: SIM115
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        begin = time.monotonic()
        while not self._stop.wait(self._every_s):
            passed = time.monotonic() - begin
            for stream, start, watts in self._files:
                stream.seek(0)
                stream.write("%-12d" % int(start + (watts or 0) * passed * 1e6))
                stream.flush()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()
        for stream, _, _ in self._files:
            stream.close()


def total_of(root, target="server", seconds=1.2):
    """(rails of the total, watts) by a sampler, by one reading, and by the endpoint."""
    with EnergyMonitor(target, str(root), driver="rapl", hz=100) as monitor:
        time.sleep(0.3)
        monitor.begin("work")
        time.sleep(seconds)
        monitor.end("work")
        time.sleep(0.1)
    (work,) = monitor.results()
    check_times(monitor.trace().times)
    lasted_s = work.window.end_s - work.window.start_s
    sampled = None if work.total_joules is None else work.total_joules / lasted_s
    with open_rails(target, str(root), driver="rapl") as rails:
        reading = read_once(rails)
    with Endpoint(target, str(root), host="127.0.0.1", port=0, driver="rapl", hz=10) as endpoint:
        time.sleep(0.8)
        with urllib.request.urlopen("http://127.0.0.1:%d" % endpoint.port) as answer:
            page = answer.read().decode("utf-8").splitlines()
    served = [float(r.split()[1]) for r in page if r.startswith("energon_total_in_power_mW")]
    names = sorted(monitor.trace().total)
    monitor.close()
    assert sorted(reading["total_of"]) == names
    return names, sampled, reading["total_watts"], served[0] / 1e3


TOTALS = [
    # cpu-energy-meter#25: psys is not wired on many machines.
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:0:0", "dram", 3),
      ("intel-rapl:1", "psys", None)], ["dram", "package-0"], 48),
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:0:0", "dram", 3),
      ("intel-rapl:1", "psys", 90)], ["psys"], 90),
    # A memory counter that is not wired is left out; one that is part of psys used 0 J.
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:0:0", "dram", None)], ["package-0"], 45),
    # phoronix-test-suite#812: the kernel names the platform of a second package.
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:1", "package-1", 40),
      ("intel-rapl:2", "psys", 80), ("intel-rapl:3", "psys-1", 70)], ["psys", "psys-1"], 150),
    ([("intel-rapl:0", "package-0", 40), ("intel-rapl:1", "package-1", 30),  # an older kernel
      ("intel-rapl:2", "psys", 80), ("intel-rapl:3", "psys", 70)], ["psys", "psys-3"], 150),
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:1", "package-1", 40),
      ("intel-rapl:2", "psys", (150, 7)), ("intel-rapl:3", "psys-1", (150, 7))], ["psys"], 150),
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:1", "package-1", 40),
      ("intel-rapl:2", "psys", 150), ("intel-rapl:3", "psys-1", None)], ["psys"], 150),
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:1", "package-1", 40),
      ("intel-rapl:2", "psys", None), ("intel-rapl:3", "psys-1", None)],
     ["package-0", "package-1"], 85),
    # codecarbon#1274, #1379: one meter for both dies; raplcap#9: Intel's dies differ, and add.
    ([("intel-rapl:0", "package-0-die-0", (68, 9)), ("intel-rapl:1", "package-0-die-1", (68, 9))],
     ["package-0-die-0"], 68),
    ([("intel-rapl:0", "package-0-die-0", 68), ("intel-rapl:1", "package-0-die-1", 50)],
     ["package-0-die-0", "package-0-die-1"], 118),
    ([("intel-rapl:0", "package-0-die-0", (68, 9)), ("intel-rapl:1", "package-0-die-1", (50, 9))],
     ["package-0-die-0", "package-0-die-1"], 118),
    ([("intel-rapl:0", "package-0-die-0", (68, 9)), ("intel-rapl:0:0", "dram", (5, 4)),
      ("intel-rapl:1", "package-0-die-1", (68, 9)), ("intel-rapl:1:0", "dram", (5, 4)),
      ("intel-rapl:2", "package-1-die-0", 30), ("intel-rapl:3", "package-1-die-1", 31)],
     ["dram-0", "package-0-die-0", "package-1-die-0", "package-1-die-1"], 134),
    # Two sockets are two meters, whatever they show.
    ([("intel-rapl:0", "package-0", (68, 9)), ("intel-rapl:1", "package-1", (68, 9))],
     ["package-0", "package-1"], 136),
    # A package that stands still beside one that works cannot be added.
    ([("intel-rapl:0", "package-0", 45), ("intel-rapl:1", "package-1", None)],
     ["package-0", "package-1"], None),
]  # fmt: skip


@pytest.fixture(scope="module")
def totals(tmp_path_factory):
    """What `total_of` gives for each of `TOTALS`: it waits more than it works, so several at once."""

    folder = tmp_path_factory.mktemp("zones")

    def measured(number):
        def once(n):
            root = folder / ("%d-%d" % (number, n))
            with Counters(root, TOTALS[number][0]):
                return total_of(root)

        return undisturbed(once)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(measured, range(len(TOTALS))))


@pytest.mark.parametrize("case", range(len(TOTALS)))
def test_which_counters_make_the_total(totals, case):
    _, names, watts = TOTALS[case]
    found, sampled, read, served = totals[case]
    assert found == names
    if watts is None:
        assert sampled is None and read is None and math.isnan(served)
        return
    # What it would be without the rule differs by a half and more; a busy machine by less.
    assert sampled == pytest.approx(watts, rel=0.15)
    # One tenth of a second of counters that a busy machine moves late: their sum is what counts.
    assert read > 0 and served > 0


def test_parts_that_stand_still_used_nothing(tmp_path):
    zones = [("intel-rapl:0", "package-0", 45), ("intel-rapl:0:0", "core", 30),
             ("intel-rapl:0:1", "uncore", None)]  # fmt: skip
    with Counters(tmp_path, zones), open_rails("laptop", str(tmp_path), driver="rapl") as rails:
        watts = {row["name"]: row["watts"] for row in read_once(rails)["rails"]}
    assert watts["uncore"] == 0.0 and watts["core"] > 10


# --- Noise around zero is signed (openMMC#50) ---------------------------------------------------


def test_noise_around_zero_is_not_rectified(tmp_path):
    """AGX Orin: VDD_CPU_CV rests at 4 mA with noise on either side; the others make the sum."""
    root = str(tmp_path / "sys")
    trees.build(root, "agx_orin", "hwmon")
    rng = random.Random(7)
    times = spaced(1001, 100)
    noise = [19.0 * (0.001 + rng.gauss(0, 0.004)) for _ in times]
    assert min(noise) < -0.1
    rails = [
        Rail(label, "ina3221_hwmon", "instant", "", None, None, None, "", 250.0)
        for label in ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
    ]
    path = str(tmp_path / "t.csv")
    writer = TraceWriter(path, [r.label for r in rails], {
        "rails": rail_records(rails), "total": [r.label for r in rails]})  # fmt: skip
    for at, watts in zip(times, noise):
        writer.row(at, [3.0, watts, 2.0])
    writer.close({})
    result = integrate_file(path)
    exact = math.fsum((a + b) / 2 * 0.01 for a, b in zip(noise, noise[1:]))
    rail = result["rails"]["VDD_CPU_CV"]
    assert rail["joules_trapezoid"] == pytest.approx(exact, rel=1e-4)
    low, high = rail["interval_joules"]
    assert low <= exact <= high and rail["excluded"]["negative"] == 0
    assert result["total"]["joules"] == pytest.approx(50.0 + rail["joules"])
    # The same live: a negative reading counts, and prints.
    trees.write(os.path.join(trees.hwmon_folder(root, "1-0040"), "curr2_input"), -4)
    with open_rails("agx_orin", root) as found:
        reading = read_once(found)
    row = {r["name"]: r for r in reading["rails"]}["VDD_CPU_CV"]
    assert row["watts"] == pytest.approx(-4e-3 * 4.96) and row["flag"] is None
    assert reading["total_watts"] is not None


def test_what_is_far_below_zero_is_no_noise(tmp_path):
    times = spaced(1001, 100)
    watts = [5.0 if i % 100 else -900.0 for i in range(len(times))]
    rail = integrate_file(csv(tmp_path / "t.csv", times, watts))["rails"]["VDD_IN"]
    assert rail["excluded"]["negative"] == 11
    assert rail["joules"] == pytest.approx(5.0 * rail["covered_s"])


# --- A sensor that averages lags behind the load (zeus#45) ---------------------------------------


def averaged(power, at, span, steps=200):
    return sum(power(at - span * (i + 0.5) / steps) for i in range(steps)) / steps


@pytest.mark.parametrize(
    "span,period,end", [(1.0, 0.1, 8.017), (0.43, 0.43, 12.9), (1.0, 0.02, 8.0)]
)
def test_the_interval_covers_what_an_average_has_not_shown_yet(tmp_path, span, period, end):
    start = 5.0

    def power(at):
        return 300.0 if start <= at < end else 100.0

    exact = 300.0 * (end - start)
    rail = Rail("gpu0", "nvml", AVERAGE, "", period, None, "gpu", "", 2000.0, averages_s=span)
    path = str(tmp_path / "t.csv")
    writer = TraceWriter(path, ["gpu0"], {"rails": rail_records([rail]), "total": ["gpu0"]})
    for at in spaced(2000, 150):
        writer.row(at, [averaged(power, math.floor(at / period) * period, span)])
    writer.close({})
    result = integrate_file(path, start_s=start, end_s=end)
    figures = result["rails"]["gpu0"]
    low, high = figures["interval_joules"]
    assert figures["joules"] < 0.99 * exact
    assert low < exact < high
    assert any("averages" in text and "longer" in text for text in result["warnings"])
    block = block_energy(path, start, end, 10)["total"]
    low, high = block["interval_joules_per_image"] or (0.0, 1e9)
    assert low < exact / 10 < high
    # In a steady load nothing is uncertain.
    steady = integrate_file(path, start_s=start + span + period, end_s=end)["rails"]["gpu0"]
    assert steady["edge_joules"] == pytest.approx(0.0, abs=250.0)
    idle = integrate_file(path, start_s=1.0, end_s=4.0 - span)
    assert idle["rails"]["gpu0"]["edge_joules"] == pytest.approx(0.0, abs=1e-6)
    assert not any("averages" in text for text in idle["warnings"])


def test_idle_power_is_not_that_of_the_work_before_it(tmp_path):
    def power(at):
        return 300.0 if 5.0 <= at < 15.0 else 100.0

    rail = Rail("gpu0", "nvml", AVERAGE, "", 0.1, None, "gpu", "", 2000.0, averages_s=1.0)
    path = str(tmp_path / "t.csv")
    writer = TraceWriter(path, ["gpu0"], {"rails": rail_records([rail]), "total": ["gpu0"]})
    for at in spaced(2000, 100):
        writer.row(at, [averaged(power, at, 1.0)])
    writer.close({})
    block = block_energy(path, 5.0, 15.0, 10, idle=[(2.0, 5.0), (15.0, 18.0)])
    assert block["total"]["idle_watts"] == pytest.approx(100.0, rel=0.01)
    windows = [Window("idle", 15.0, 18.0), Window("work", 6.0, 14.0)]
    _, work = window_energies(read_trace(path), windows)
    assert work.total_net_joules == pytest.approx(8 * 200.0, rel=0.01)


NVML = r"""
#include <time.h>
#include <stdlib.h>
typedef unsigned long long u64; typedef unsigned int u32;
typedef struct { u32 field, scope; long long at, us; u32 kind, status; u32 value[2]; } Field;
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(u32 *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(u32 i, void **d) { *d = (void *)1; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *d, u64 *e) {
  *e = 0; return getenv("STILL") ? 0 : 3; }
int nvmlDeviceGetPowerUsage(void *d, u32 *p) { *p = 42500; return 0; }
int nvmlDeviceGetFieldValues(void *d, int n, Field *f) {
  if (f->field != 186 || n != 1) return 2;
  f->status = getenv("NO_INSTANT") ? 3 : 0; f->value[0] = 61250; return 0; }
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs a C compiler")
@pytest.mark.parametrize("instant", [True, False])
@pytest.mark.parametrize("counter", ["none", "still"])
def test_instant_power_comes_before_an_average(tmp_path, monkeypatch, instant, counter):
    (tmp_path / "nvml.c").write_text(NVML)
    library = str(tmp_path / "libnvidia-ml.so.1")
    subprocess.check_call(["gcc", "-shared", "-fPIC", "-o", library, str(tmp_path / "nvml.c")])
    if counter == "still":
        monkeypatch.setenv("STILL", "1")
    if not instant:
        monkeypatch.setenv("NO_INSTANT", "1")
    with open_rails("server", str(tmp_path), "nvml", {"nvml_library": library}) as rails:
        (rail,) = rails.rails
        assert (rail.kind, rails.read()) == (
            ("instant", [61.25]) if instant else ("average", [42.5])
        )
        assert rail.averaged_over_s == (0.0 if instant else 1.0)


# --- Labels and numbers -------------------------------------------------------------------------


def strange(kind, path):
    """Put something else than a regular file of a label at `path`."""
    os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "socket":
        listener = socket.socket(socket.AF_UNIX)
        here = os.getcwd()
        os.chdir(os.path.dirname(path))  # the path of a socket must be short
        try:
            listener.bind(os.path.basename(path))
        finally:
            os.chdir(here)
        listener.close()
    elif kind == "device":
        os.symlink("/dev/zero", path)
    elif kind == "huge":
        with open(path, "w") as stream:
            stream.truncate(1 << 33)
    elif kind == "loop":
        os.symlink(path, path)
    else:
        with open(path, "w") as stream:
            stream.write("VDD\x1b[31m_IN\n")


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "device", "huge", "loop", "escape"])
@pytest.mark.parametrize("generation", ["iio", "hwmon"])
def test_labels_that_are_no_files_block_nothing(tmp_path, kind, generation):
    root = str(tmp_path)
    trees.build(root, "xavier_nx", generation, model=False)
    if generation == "iio":
        label = os.path.join(root, "bus/i2c/drivers/ina3221x/7-0040/iio:device0/rail_name_0")
    else:
        label = os.path.join(trees.hwmon_folder(root), "in1_label")
    strange(kind, label)
    start = time.monotonic()
    with pytest.raises(NoSensorError, match=os.path.basename(label)) as error:
        open_rails("xavier_nx", root)
    with pytest.raises(SplitwattError):  # detection reads labels too; two of three are not enough
        open_rails(None, root, driver="jtop")
    assert time.monotonic() - start < 30
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "huge"])
def test_other_small_files_block_nothing(tmp_path, kind):
    root = str(tmp_path)
    trees.build(root, "nano", "iio")
    trees.build_laptop(root)
    model = os.path.join(root, "firmware/devicetree/base/model")
    strange(kind, model)
    for name in ("name", "max_energy_range_uj"):
        strange(kind, os.path.join(root, "class/powercap/intel-rapl:0", name))
    strange(kind, os.path.join(root, "bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power1_input"))
    start = time.monotonic()
    with pytest.raises(NoSensorError):
        open_rails("laptop", root)
    for target in ("nano", None) if kind != "huge" else ():  # a large file of zeros is no number
        with pytest.raises(SplitwattError):
            open_rails(target, root)
    from splitwatt.profiler.board.state import board_state

    trees.write(os.path.join(root, "proc/meminfo"), "MemTotal: 1 kB")
    strange(kind, os.path.join(root, "proc/meminfo"))
    assert board_state(root)["memory_total_bytes"] is None
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    "text", ["1_000", "\u0661\u0662", "\uff11\uff12", "nan", "inf", "-inf", "0x10", "1 000", "1e",
             "", " ", "--1", "+-1", "1,5", "\u00b2", "1e999", "1" * 400, "infinity", "0b1"],
)  # fmt: skip
def test_texts_that_are_no_numbers(tmp_path, text):
    assert whole_number(text) is None and real_number(text) is None
    folder = trees.hwmon_folder(str(tmp_path))
    trees.build(str(tmp_path), "xavier_nx", "hwmon")
    with open(os.path.join(folder, "curr1_input"), "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
    with open_rails("xavier_nx", str(tmp_path)) as rails:
        assert rails.read()[0] is None and rails.read()[1] is not None
    with open(str(tmp_path / "t.csv"), "w", encoding="utf-8") as stream:
        stream.write("t_s,VDD_IN\n")
        stream.writelines("%d,%s\n" % (i, text if i == 20 else "2.0") for i in range(40))
    if "," not in text:
        result = integrate_file(str(tmp_path / "t.csv"))
        assert result["rails"]["VDD_IN"]["excluded"]["failed"] == 1


@pytest.mark.parametrize("text,value", [("5", 5), ("-4\n", -4), ("+7", 7), (" 12 \n", 12),
                                        ("0012", 12), ("123456789012345678\0", 123456789012345678)])  # fmt: skip
def test_texts_that_are_numbers(text, value):
    assert whole_number(text) == value and real_number(text) == float(value)
    assert (
        real_number(".5") == 0.5 and real_number("5.") == 5.0 and real_number("-1.5e-3") == -0.0015
    )


def test_arguments_are_plain_numbers():
    for option in (["--hz", "1_0"], ["--idle", "nan"], ["--idle", "inf"]):
        command = COMMAND + ["energy", "record", "--driver", "generated"] + option + ["--", "true"]
        process = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.returncode == 2 and b"must be" in process.stderr


def test_a_trace_that_is_no_file_blocks_nothing(tmp_path):
    os.mkfifo(str(tmp_path / "t.csv"))
    with pytest.raises(SensorError, match="not a regular file"):
        integrate_file(str(tmp_path / "t.csv"))
    with open(str(tmp_path / "long.csv"), "w") as stream:
        stream.write("t_s,VDD_IN\n" + "1" * 100000)
    with pytest.raises(SensorError, match="too long"):
        integrate_file(str(tmp_path / "long.csv"))
    csv(tmp_path / "x.csv", spaced(40, 10), [1.0] * 40)
    for text in (
        '{"format": 1, "rails": [], "total": NaN}',
        '{"format": 1, "rails": 1e999}',
        "{" * 99,
    ):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(SensorError, match="x.json"):
            integrate_file(str(tmp_path / "x.csv"))
    with pytest.raises(OSError, match="more than"):
        read_bytes("/proc/self/maps", 10)


# --- A client of the endpoint that leaves --------------------------------------------------------


def test_a_client_that_leaves_is_no_traceback():
    process = subprocess.Popen(
        COMMAND + ["energy", "serve", "--driver", "generated", "--port", "0", "--host", "127.0.0.1",
                   "--seconds", "60", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )  # fmt: skip
    text = ""
    while "}" not in text:
        text += process.stdout.readline()
    port = int(json.loads(text)["url"].split(":")[2].split("/")[0])
    linger = b"\x01\0\0\0\0\0\0\0"  # close with a reset
    for request in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n" * 50, b"\xff\xfe\r\n\r\n"):
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.sendall(request)
            client.close()
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err and "Error" not in err, err


def test_a_command_s_joules_say_what_averaging_hides(tmp_path):
    """`energy record` prints the warning; a replayed trace is of an average."""
    rail = Rail("gpu0", "nvml", AVERAGE, "", 0.1, None, "gpu", "", 2000.0, averages_s=1.0)
    path = str(tmp_path / "t.csv")
    writer = TraceWriter(path, ["gpu0"], {"rails": rail_records([rail]), "total": ["gpu0"]})
    for at in spaced(2000, 100):
        writer.row(at, [100.0 + 100.0 * (int(at * 2) % 3)])
    writer.close({})
    command = COMMAND + ["energy", "record", "--replay", path, "--hz", "100", "--",
                         sys.executable, "-c", "import time; time.sleep(1.5)"]  # fmt: skip

    def check(n):
        output = subprocess.check_output(command, stderr=subprocess.DEVNULL).decode("utf-8")
        check_output(output)
        assert "warning: gpu0: its readings are averages" in output

    undisturbed(check)
