"""A real profile beside a tree that stands for a Nano's /sys, its joules recomputed with scipy."""

import csv
import json
import os
import random
import sys
import threading
import time

import numpy as np
import pytest
from scipy.integrate import simpson

from splitwatt.profiler.analyse.energy import energy_of
from splitwatt.profiler.config.config import load_config
from splitwatt.profiler.execute import runner
from splitwatt.profiler.execute.job import Options
from splitwatt.profiler.records.run import read_run
from tests.board.stalls import check_traces, undisturbed
from tests.board.tiny import tiny_bundle
from tests.energy.generated_load import joules as generated_joules
from tests.energy.trees import build
from tests.profiler.conftest import command

CONFIG = """
format: 1
name: joules
warmup: 1
inferences: {inferences}
links: []
configurations:
  LC1: {{local: [tiny_local]}}
"""
LABELS = ("POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "nano").mkdir()
    tiny_bundle(folder / "nano" / "tiny_local", split=False)
    return folder


class Load:
    """Changes the power files of a tree all the time, in place, as a kernel does."""

    def __init__(self, tree):
        folder = tree / "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
        self._files = [os.open(folder / f"in_power{i}_input", os.O_WRONLY) for i in range(3)]
        self._end = threading.Event()
        self.worst_s = 0.0
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        dice, last = random.Random(5), time.monotonic()
        while not self._end.wait(0.003):
            now = time.monotonic()
            self.worst_s, last = max(self.worst_s, now - last), now
            for i, file in enumerate(self._files):
                os.pwrite(file, b"%05d\n" % dice.randint(1000 * (3 - i), 9000), 0)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self._thread.join()
        for file in self._files:
            os.close(file)


def inside(times, watts, start_s, end_s):
    """The samples of a window, its edges interpolated."""
    within = (times > start_s) & (times < end_s)
    t = np.concatenate([[start_s], times[within], [end_s]])
    return t, np.interp(t, times, watts)


def rows_of(run, name):
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def test_joules_of_a_profile_are_scipys(bundles, tmp_path):
    tree = tmp_path / "sys"
    build(str(tree), "nano", "iio")
    (tmp_path / "c.yaml").write_text(CONFIG.format(inferences=120))

    def measured(n):
        run = tmp_path / ("run%d" % n)
        with Load(tree) as load:
            code, _, err = command(
                "profile", "--config", tmp_path / "c.yaml", "--bundles", bundles, "--target",
                "nano", "--sysfs", tree, "--out", run,
            )  # fmt: skip
        assert code == 0, err
        check_traces(run)
        return load, run

    load, run = undisturbed(measured)
    read = read_run(str(run))
    assert read.document["sensors"] == {"sysfs": str(tree), "driver": None}
    (energy,) = energy_of(read)
    assert energy.why_not is None and energy.provenance == "measured" and energy.inferences == 120
    with open(run / "power" / "LC1.cpu.0.csv") as stream:
        table = list(csv.DictReader(stream))
    every = np.array([float(row["t_s"]) for row in table])
    windows = rows_of(run, "windows.jsonl")
    (work,) = [w for w in windows if w["name"] == "inferences"]
    idle = [w for w in windows if w["name"] == "idle"]
    assert (
        len(idle) == 2 and idle[0]["end_s"] < work["start_s"] < work["end_s"] < idle[1]["start_s"]
    )
    lasts = work["end_s"] - work["start_s"]
    # On a machine so busy that the load itself stood still for a sensor's period, a value that
    # comes twice may be a reading of its own.
    close = 1e-6 if load.worst_s < 0.05 else 0.05
    rails = {rail.rail: rail for rail in energy.rails}
    assert set(rails) == set(LABELS)
    for label in LABELS:
        assert all(row[label] for row in table)
        column = np.array([float(row[label]) for row in table])
        # The load changes faster than it is read: what comes twice was not changed in between.
        new = np.concatenate([[True], np.diff(column) != 0])
        new[-1] = True
        times, watts = every[new], column[new]
        t, w = inside(times, watts, work["start_s"], work["end_s"])
        gross = simpson(w, x=t)
        idle_w = np.mean(
            [
                simpson(y, x=x) / (x[-1] - x[0])
                for x, y in (inside(times, watts, i["start_s"], i["end_s"]) for i in idle)
            ]
        )
        assert rails[label].joules_per_image == pytest.approx(gross / 120, rel=close)
        assert rails[label].idle_watts == pytest.approx(idle_w, rel=close)
        net = (gross - idle_w * lasts) / 120
        assert rails[label].net_joules_per_image == pytest.approx(
            net, rel=close, abs=1e-9 if close < 1e-3 else 0.05
        )
    assert energy.total._replace(interval=None) == rails["POM_5V_IN"]._replace(interval=None)
    assert [r.rail for r in energy.rails if r.total] == ["POM_5V_IN"]


def test_a_generated_load_is_called_so_and_has_its_own_joules(bundles, tmp_path):
    (tmp_path / "c.yaml").write_text(CONFIG.format(inferences=60))

    def measured(n):
        run = tmp_path / ("run%d" % n)
        code, _, err = command(
            "profile", "--config", tmp_path / "c.yaml", "--bundles", bundles, "--target", "nano",
            "--driver", "generated", "--out", run,
        )  # fmt: skip
        assert code == 0, err
        check_traces(run)
        return run

    run = undisturbed(measured)
    (energy,) = energy_of(read_run(str(run)))
    assert energy.provenance == "generated"
    (work,) = [w for w in rows_of(run, "windows.jsonl") if w["name"] == "inferences"]
    exact = generated_joules(work["start_s"], work["end_s"])
    assert energy.total.joules_per_image == pytest.approx(exact / 60, rel=1e-3)
    assert energy.total.rail == "generated"


def test_no_sensor_is_told_once_and_the_profile_goes_on(bundles, tmp_path):
    tree, run = tmp_path / "sys", tmp_path / "run"
    tree.mkdir()
    (tmp_path / "c.yaml").write_text(CONFIG.format(inferences=2) + "repeats: 2\n")
    arguments = ("profile", "--config", tmp_path / "c.yaml", "--bundles", bundles)
    arguments += ("--target", "nano")
    start = time.monotonic()
    code, _, err = command(*arguments, "--sysfs", tree, "--out", run)
    assert code == 0 and err.count("no energy: ina3221_iio:") == 1
    assert time.monotonic() - start < 120
    read = read_run(str(run))
    assert read.power == {}
    for energy in energy_of(read):
        assert energy.total is None and energy.why_not.startswith("ina3221_iio:")
    code, _, err = command(*arguments, "--sysfs", tmp_path / "none", "--out", tmp_path / "r")
    assert code == 2 and "there is no folder" in err
    code, _, err = command(*arguments, "--driver", "generatd", "--out", tmp_path / "r")
    assert code == 2 and "unknown driver 'generatd'; did you mean generated" in err


def test_why_there_is_no_energy_is_known_before_the_first_block(
    tiny, config, tmp_path, capfd, monkeypatch
):
    run_block = runner.run_block

    def marked(*arguments):
        sys.stderr.write("a block begins\n")
        return run_block(*arguments)

    monkeypatch.setattr(runner, "run_block", marked)
    options = Options(bundles=str(tiny), target="cpu")
    runner.start_run(load_config(str(config(inferences=1))), options, str(tmp_path / "run"))
    before, *blocks = capfd.readouterr().err.split("a block begins")
    reason = "no energy: the server runs on the same machine"
    assert before.count(reason) == 1 and len(blocks) == 2 and reason not in "".join(blocks)
    document = read_run(str(tmp_path / "run")).document
    assert document["power"]["why_not"] == ["the server runs on the same machine"]
