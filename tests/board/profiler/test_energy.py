"""Joules per image of a run's blocks: which window, which trace, how many images, and when none."""

import json
import os

import pytest

from splitwatt.profiler.analyse.energy import energy_of
from splitwatt.profiler.records.folder import RunFolder
from splitwatt.profiler.records.run import read_run
from tests.board.profiler.test_records import document, sample

BLOCK = "LC1.cpu.0"
RAILS = {"POM_5V_IN": 4.0, "POM_5V_CPU": 1.5}  # while working
IDLE = {"POM_5V_IN": 1.25, "POM_5V_CPU": 0.5}
# idle 100-102 s, ten inferences 103-113 s, idle 114-116 s
WORK = (103.0, 113.0)


def rail(label, part_of=None):
    return {
        "label": label, "driver": "ina3221_iio", "kind": "average", "path": "a file",
        "period_s": None, "part_of": part_of, "energon": None, "measures": "a test",
        "absurd_above_w": 40.0,
    }  # fmt: skip


def write_trace(run, block=BLOCK, start=99.5, end=116.5, hz=40.0, provenance="measured", **about):
    """A load that is constant while idle and while working."""
    folder = os.path.join(str(run), "power")
    if not os.path.isdir(folder):
        os.makedirs(folder)
    described = {
        "format": 1, "rails": [rail("POM_5V_IN"), rail("POM_5V_CPU", "POM_5V_IN")],
        "total": ["POM_5V_IN"], "provenance": provenance, "events": [],
    }  # fmt: skip
    described.update(about)
    with open(os.path.join(folder, block + ".json"), "w") as stream:
        json.dump(described, stream)
    with open(os.path.join(folder, block + ".csv"), "w") as stream:
        stream.write("t_s,POM_5V_IN,POM_5V_CPU\n")
        for i in range(int((end - start) * hz) + 1):
            at = start + i / hz
            watts = RAILS if WORK[0] - 0.5 <= at <= WORK[1] + 0.5 else IDLE
            stream.write("%.6f,%r,%r\n" % (at, watts["POM_5V_IN"], watts["POM_5V_CPU"]))


def write_run(path, samples=(), windows=None, power=None, session=None, **changes):
    RunFolder.create(str(path), dict(document(), power=power, **changes)).close()
    samples = samples or [inference(i) for i in range(10)]
    with open(str(path / "samples.jsonl"), "w") as stream:
        for one in samples:
            record = dict(one._asdict(), requests=[])
            stream.write(json.dumps(record) + "\n")
    rows = windows or [("idle", 100.0, 102.0), ("inferences",) + WORK, ("idle", 114.0, 116.0)]
    with open(str(path / "windows.jsonl"), "w") as stream:
        for name, start_s, end_s in rows:
            window = {"name": name, "config": "LC1", "backend": "cpu", "block": BLOCK}
            window["session"] = session
            stream.write(json.dumps(dict(window, start_s=start_s, end_s=end_s)) + "\n")
    return path


def inference(number, at=None, **changes):
    return sample(
        config="LC1", block=BLOCK, inference=number, requests=[],
        started_monotonic_s=WORK[0] + number if at is None else at, **changes
    )  # fmt: skip


def only(path):
    (energy,) = energy_of(read_run(str(path)))
    return energy


def test_joules_per_image_gross_and_net_for_each_rail_and_the_total(tmp_path):
    write_trace(write_run(tmp_path / "run"))
    energy = only(tmp_path / "run")
    assert (energy.config, energy.backend, energy.block) == ("LC1", "cpu", BLOCK)
    assert energy.inferences == 10 and energy.provenance == "measured" and energy.why_not is None
    rails = {r.rail: r for r in energy.rails}
    assert {name: r.total for name, r in rails.items()} == {"POM_5V_IN": True, "POM_5V_CPU": False}
    for name, found in rails.items():
        assert found.joules_per_image == pytest.approx(RAILS[name] * 10 / 10)
        assert found.idle_watts == pytest.approx(IDLE[name])
        assert found.net_joules_per_image == pytest.approx(RAILS[name] - IDLE[name])
    # The part is in the total already: it is not added.
    assert energy.total.rail == "POM_5V_IN"
    assert energy.total.joules_per_image == rails["POM_5V_IN"].joules_per_image
    low, high = energy.total.interval
    assert low <= 4.0 + 1e-9 and high >= 4.0 - 1e-9


def test_without_idle_windows_there_is_no_net(tmp_path):
    write_trace(write_run(tmp_path / "run", windows=[("inferences",) + WORK]))
    energy = only(tmp_path / "run")
    assert energy.total.joules_per_image == pytest.approx(4.0)
    assert energy.total.net_joules_per_image is None and energy.total.idle_watts is None


def test_no_sensor_and_one_machine_are_reasons(tmp_path):
    write_run(tmp_path / "a", power={"why_not": ["ina3221_iio: no such chip", "jtop: no package"]})
    assert only(tmp_path / "a").why_not == "ina3221_iio: no such chip; jtop: no package"
    write_run(tmp_path / "b")
    assert only(tmp_path / "b").why_not == "no power sensor was recorded"
    write_trace(write_run(tmp_path / "c", same_machine=True))
    energy = only(tmp_path / "c")
    assert "on the same machine" in energy.why_not and energy.total is None and energy.rails == []


def test_too_few_readings_are_refused_with_the_duration_that_would_do(tmp_path):
    write_trace(write_run(tmp_path / "run"), hz=0.5)
    energy = only(tmp_path / "run")
    assert "10 are needed" in energy.why_not and "would be enough" in energy.why_not
    assert energy.total.joules_per_image is None and energy.rails[0].joules_per_image is None


def test_a_trace_that_ends_early_does_not_make_images_cheap(tmp_path):
    write_trace(write_run(tmp_path / "run"), end=110.0)
    assert "3 s of 10 s were not measured" in only(tmp_path / "run").why_not


def test_generated_and_unknown_sensors_are_marked(tmp_path):
    write_trace(write_run(tmp_path / "a"), provenance="generated")
    assert only(tmp_path / "a").provenance == "generated"
    write_trace(write_run(tmp_path / "b"), provenance=None)
    energy = only(tmp_path / "b")
    assert "does not say which sensor" in energy.why_not and energy.total is None
    write_trace(write_run(tmp_path / "c"), total=[])
    energy = only(tmp_path / "c")
    assert energy.total is None and "does not say which rails" in energy.why_not
    assert energy.rails[0].joules_per_image == pytest.approx(4.0)


def test_a_trace_that_cannot_be_read_costs_its_block_alone(tmp_path):
    write_trace(write_run(tmp_path / "run"))
    (tmp_path / "run" / "power" / (BLOCK + ".csv")).write_text("nonsense\n")
    assert "is not a trace" in only(tmp_path / "run").why_not


def test_failed_inferences(tmp_path):
    samples = [inference(i) for i in range(10)]
    failed = {"status": "failed", "total_s": None, "stages": {}}
    samples[3] = inference(3, failed_by="image", **failed)
    write_trace(write_run(tmp_path / "a", samples))
    energy = only(tmp_path / "a")
    assert energy.inferences == 9 and energy.total.joules_per_image == pytest.approx(40.0 / 9)
    samples[3] = inference(3, failed_by="server", **failed)
    write_trace(write_run(tmp_path / "b", samples))
    assert only(tmp_path / "b").why_not == "1 of its 10 inferences failed"


def test_a_block_that_was_resumed_has_a_figure_for_each_session(tmp_path):
    samples = [inference(i) for i in range(10)]
    samples += [inference(i, at=193.0 + i) for i in range(10, 14)]
    windows = [("inferences",) + WORK, ("inferences", 203.0, 207.0)]
    write_run(tmp_path / "run", samples, windows)
    write_trace(tmp_path / "run")
    write_trace(tmp_path / "run", BLOCK + "~2", start=199.0, end=208.0)
    first, second = energy_of(read_run(str(tmp_path / "run")))
    assert first.inferences == 10 and first.total.joules_per_image == pytest.approx(4.0)
    assert second.inferences == 4
    assert second.total.joules_per_image == pytest.approx(IDLE["POM_5V_IN"])  # 4 s by 4 images


def test_a_block_that_was_cut_off_says_so(tmp_path):
    write_trace(write_run(tmp_path / "run", windows=[("idle", 100.0, 102.0)]))
    assert "cut off" in only(tmp_path / "run").why_not


def test_after_a_reboot_joules_are_of_the_session_that_ran_it(tmp_path):
    """The clock began anew: what was cut off before lies in the same seconds."""
    samples = [inference(i, session=0) for i in range(5)]
    samples += [inference(i + 5, at=WORK[0] + i, session=1) for i in range(10)]
    run = write_run(tmp_path / "run", samples, session=1)
    write_trace(run, provenance="generated")  # killed: it does not say its session
    write_trace(run, BLOCK + "~2", session=1)
    with open(str(run / "windows.jsonl"), "a") as stream:  # while the second session works
        row = {"name": "idle", "config": "LC1", "backend": "cpu", "block": BLOCK, "session": 0}
        stream.write(json.dumps(dict(row, start_s=104.0, end_s=106.0)) + "\n")
    energy = only(run)
    assert energy.inferences == 10 and energy.provenance == "measured"
    assert energy.total.joules_per_image == pytest.approx(4.0)
    assert energy.total.idle_watts == pytest.approx(IDLE["POM_5V_IN"])
    os.unlink(str(run / "power" / (BLOCK + "~2.csv")))
    write_trace(run, session=0)
    assert "no trace belongs to the session" in only(run).why_not
