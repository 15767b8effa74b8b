"""Integration, repeats, gaps, refusals: on traces whose energy is known in closed form."""

import json
import math
import random

import pytest

from splitwatt.device_configs.errors import RunError, SensorError, UsageError
from splitwatt.energy.commands.integrate import integrate_file, not_measured
from splitwatt.energy.joules import simpson as integrate
from splitwatt.energy.joules.confidence import bootstrap_mean
from splitwatt.energy.joules.per_image import block_energy
from splitwatt.energy.joules.windows import (
    LEAST_READINGS,
    Window,
    rail_energy,
    trace_energy,
    window_energies,
)
from splitwatt.energy.trace.files import TraceWriter, rail_records, read_trace, unknown_rail
from splitwatt.energy.trace.readings import estimate_period, usable_readings
from splitwatt.profiler.records.traces import trace_facts

RAIL = unknown_rail("VDD_IN", "a test")


def uneven(seconds, hz, seed=1, jitter=0.4):
    """Times with the first at 0 and the last at `seconds`."""
    rng = random.Random(seed)
    step = 1.0 / hz
    inner = [i * step + rng.uniform(-jitter, jitter) * step for i in range(1, int(seconds * hz))]
    return [0.0] + inner + [float(seconds)]


def smooth(at):
    return 3.0 + math.sin(2 * math.pi * at) + 0.5 * math.cos(6 * math.pi * at)


def smooth_joules(start, end):
    def primitive(at):
        return (
            3.0 * at
            - math.cos(2 * math.pi * at) / (2 * math.pi)
            + 0.5 * math.sin(6 * math.pi * at) / (6 * math.pi)
        )

    return primitive(end) - primitive(start)


def write_csv(path, times, *columns, **kwargs):
    labels = kwargs.get("labels", ["VDD_IN"])
    with open(str(path), "w") as stream:
        stream.write(",".join(["t_s"] + labels) + "\n")
        for row in zip(times, *columns):
            stream.write(",".join("" if v is None else repr(v) for v in row) + "\n")
    return str(path)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10, 11, 2000, 2001])
def test_simpson_is_exact_for_parabolas(count):
    rng = random.Random(count)
    times = sorted(rng.uniform(0, 3) for _ in range(count))
    watts = [1 + 2 * t for t in times] if count == 2 else [1 + 2 * t - 0.4 * t * t for t in times]
    a, b = times[0], times[-1]
    cubic = 0 if count == 2 else -0.4 * (b**3 - a**3) / 3
    assert integrate.simpson(times, watts) == pytest.approx(b - a + b * b - a * a + cubic, rel=1e-9)


def test_smooth_load_within_1e_6():
    for seed in range(5):
        times = uneven(10, 200, seed, jitter=0.3)
        got = integrate.simpson(times, [smooth(t) for t in times])
        assert got == pytest.approx(smooth_joules(0, 10), rel=1e-6)


def test_window_edges_are_interpolated():
    times = uneven(10, 500)
    watts = [smooth(t) for t in times]
    for start, end in ((1.2345, 7.77), (times[7], times[900]), (times[7] + 1e-9, 3.0)):
        t, w = integrate.cut(times, watts, start, end)
        assert (t[0], t[-1]) == (start, end)
        assert integrate.simpson(t, w) == pytest.approx(smooth_joules(start, end), rel=2e-5)


def test_nothing_is_extrapolated():
    for start, end in ((-0.1, 1.0), (0.5, 10.1)):
        with pytest.raises(SensorError, match="not covered"):
            integrate.cut([0.0, 5.0, 10.0], [1.0, 1.0, 1.0], start, end)
    with pytest.raises(SensorError, match="no length"):
        integrate.cut([0.0, 1.0], [1.0, 1.0], 0.5, 0.5)


@pytest.mark.parametrize("rule", [integrate.simpson, integrate.trapezoid, integrate.rectangle])
def test_no_sample_or_one_is_an_error_never_zero(rule):
    for times, watts in (([], []), ([1.0], [5.0])):
        with pytest.raises(SensorError, match="at least two"):
            rule(times, watts)
    with pytest.raises(SensorError, match="do not increase"):
        rule([0.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    with pytest.raises(SensorError, match="2 times but 1"):
        rule([0.0, 1.0], [1.0])


def test_rectangle_is_exact_for_readings_that_average():
    times = uneven(10, 20)
    watts = [0.0] + [smooth_joules(a, b) / (b - a) for a, b in zip(times, times[1:])]
    assert integrate.rectangle(times, watts) == pytest.approx(smooth_joules(0, 10), rel=1e-12)


def square_wave(seed, hz, high=5.0, low=1.5, seconds=10.0):
    """(times, watts, joules) of 20 ms on, 30 ms off, all jittered, sampled unevenly."""
    rng = random.Random(seed)
    at, on, steps = -rng.uniform(0, 0.05), True, []
    while at < seconds:
        lasts = (0.02 if on else 0.03) * rng.uniform(0.9, 1.1)
        steps.append((at, at + lasts, high if on else low))
        at, on = at + lasts, not on
    joules = sum(max(0.0, min(b, seconds) - max(a, 0.0)) * p for a, b, p in steps)
    times, watts, i = uneven(seconds, hz, seed, jitter=0.1), [], 0
    for t in times:
        while t >= steps[i][1]:
            i += 1
        watts.append(steps[i][2])
    return times, watts, joules


@pytest.mark.parametrize("hz,limit", [(200, 0.01), (1000, 0.0025)])
def test_square_wave_and_its_interval(hz, limit):
    within = covered = 0
    for seed in range(100):
        times, watts, joules = square_wave(seed, hz)
        within += abs(integrate.simpson(times, watts) / joules - 1) <= limit
        middle, half = integrate.trapezoid(times, watts), integrate.error(times, watts)
        low, high = middle - half, middle + half
        covered += low <= joules <= high
    assert within >= 95
    assert covered >= 93


def held(period, hz, seconds=10.0, load=smooth, seed=3):
    """(times, watts) of a sensor that takes the load every `period`, read `hz` times a second."""
    times = uneven(seconds, hz, seed, jitter=0.05)
    return times, [round(load(int(t / period) * period), 2) for t in times]


@pytest.mark.parametrize("period,hz", [(0.054, 1000), (0.054, 300), (0.43, 100), (0.0066, 1000)])
def test_a_sensor_that_repeats_itself_is_detected(period, hz, tmp_path):
    times, watts = held(period, hz)
    result = integrate_file(write_csv(tmp_path / "slow.csv", times, watts))["rails"]["VDD_IN"]
    assert result["effective_hz"] == pytest.approx(1 / period, rel=0.1)
    assert result["sampled_hz"] == pytest.approx(hz, rel=0.05)
    assert result["period_s"] == pytest.approx(period, rel=0.01)
    assert result["largest_gap_s"] == pytest.approx(period, rel=0.35)
    # Readings 0.43 s apart cannot follow this load.
    assert result["joules"] == pytest.approx(
        smooth_joules(0, 10), rel=0.05 if period > 0.1 else 0.01
    )


def test_readings_once_a_second_are_detected_and_refused(tmp_path):
    times, watts = held(1.0, 100, seconds=9.5, load=lambda at: 3 + math.sin(at))
    path = write_csv(tmp_path / "jtop.csv", times, watts)
    result = integrate_file(path, end_s=8.0)
    rail = result["rails"]["VDD_IN"]
    assert rail["effective_hz"] == pytest.approx(1.0, abs=0.3)
    assert rail["sampled_hz"] == pytest.approx(100, rel=0.05)
    assert rail["joules"] is None and "would be enough" in rail["refused"]


def test_samples_of_an_unknown_sensor_are_integrated_as_they_are(tmp_path):
    times, watts = held(0.054, 1000)
    rail = integrate_file(write_csv(tmp_path / "slow.csv", times, watts))["rails"]["VDD_IN"]
    assert rail["joules"] == pytest.approx(integrate.simpson(times, watts), rel=1e-12)
    # A sensor of known period: its repeats are dropped first.
    known = usable_readings(times, watts, RAIL, period_s=0.054)
    assert len(known.segments[0][0]) < 200
    exact = rail_energy(known, RAIL, 0.0, 10.0).joules
    assert exact == pytest.approx(smooth_joules(0, 10), rel=0.005)


def test_a_constant_load_is_a_valid_trace(tmp_path):
    times = uneven(10, 200)
    result = integrate_file(write_csv(tmp_path / "constant.csv", times, [4.0] * len(times)))
    rail = result["rails"]["VDD_IN"]
    assert rail["joules"] == pytest.approx(40.0, rel=1e-12)
    assert rail["effective_hz"] == pytest.approx(200, rel=0.01)
    assert not result["warnings"]


def test_a_constant_load_on_a_slow_sensor_counts_by_its_known_period():
    times = uneven(10, 1000, jitter=0.05)
    readings = usable_readings(times, [4.0] * len(times), RAIL, period_s=0.054)
    energy = rail_energy(readings, RAIL, 0.0, 10.0)
    assert energy.effective_hz == pytest.approx(1 / 0.054, rel=0.02)
    assert energy.joules == pytest.approx(40.0, rel=1e-9)


@pytest.mark.parametrize("hz", [200, 500, 1000])
def test_a_switching_load_is_not_taken_for_a_slow_sensor(hz):
    for seed in range(10):
        times, watts, _ = square_wave(seed, hz)
        assert estimate_period(times, watts) is None
        readings = usable_readings(times, watts, RAIL)
        assert len(readings.segments[0][0]) == len(times)


def test_unusable_samples_are_left_out_and_counted(tmp_path):
    times = uneven(10, 200)
    watts = [smooth(t) for t in times]
    watts[100], watts[200], watts[300], watts[301] = -300.0, 1e9, None, None
    times[400] = times[390]
    path = write_csv(tmp_path / "bad.csv", times, watts)
    with open(path) as stream:
        lines = stream.read().splitlines()
    lines[500] = lines[500].split(",")[0] + ",garbage"
    lines[600] = lines[600].split(",")[0] + ",nan"
    with open(path, "w") as stream:
        stream.write("# a comment\n" + "\n".join(lines) + "\n9.9")  # half a line at the end
    result = integrate_file(path)
    rail = result["rails"]["VDD_IN"]
    assert rail["excluded"] == {"failed": 4, "negative": 1, "absurd": 1, "clock": 1}
    assert result["garbage_cells"] == 3
    assert rail["joules"] == pytest.approx(smooth_joules(0, 10), rel=1e-4)
    assert any("left out" in text for text in result["warnings"])


def test_nothing_is_invented_in_a_gap(tmp_path):
    times = uneven(10, 200)
    watts = [None if 4.0 < t < 6.0 else smooth(t) for t in times]
    result = integrate_file(write_csv(tmp_path / "gap.csv", times, watts))
    rail = result["rails"]["VDD_IN"]
    assert rail["gaps"] == 1
    assert rail["gap_s"] == pytest.approx(2.0, abs=0.02)
    expected = smooth_joules(0, 4) + smooth_joules(6, 10)
    assert rail["joules"] == pytest.approx(expected, rel=5e-3)
    assert any("not measured" in text for text in result["warnings"])


def test_too_few_readings_are_refused_with_the_duration_that_would_do(tmp_path):
    times, watts = held(0.054, 1000)
    trace = read_trace(write_csv(tmp_path / "slow.csv", times, watts))
    short = trace_energy(trace, 1.0, 1.3)["VDD_IN"]
    assert short.joules is None and "distinct readings" in short.refused
    enough = short.enough_s
    assert 0.5 < enough < 0.8
    longer = trace_energy(trace, 1.0, 1.0 + enough)["VDD_IN"]
    assert longer.refused is None and longer.readings >= LEAST_READINGS
    for count in (0, 1, 2):
        path = write_csv(tmp_path / ("few%d.csv" % count), times[:count], watts[:count])
        if count == 0:
            with pytest.raises(SensorError, match="no samples"):
                integrate_file(path)
        else:
            assert integrate_file(path)["rails"]["VDD_IN"]["joules"] is None


def test_files_that_are_no_trace(tmp_path):
    with pytest.raises(SensorError, match="cannot be read"):
        read_trace(str(tmp_path / "none.csv"))
    for text in ("", "time,VDD_IN\n1,2\n", "t_s\n1\n"):
        (tmp_path / "x.csv").write_text(text)
        with pytest.raises(SensorError, match="is not a trace"):
            read_trace(str(tmp_path / "x.csv"))
    (tmp_path / "y.csv").write_text("t_s,a,a\n")
    with pytest.raises(SensorError, match="column twice"):
        read_trace(str(tmp_path / "y.csv"))
    (tmp_path / "z.csv").write_text("t_s,a\n1,2\n")
    (tmp_path / "z.json").write_text('{"format": 99, "rails": []}')
    with pytest.raises(SensorError, match="format 99"):
        read_trace(str(tmp_path / "z.csv"))
    for rails in ('[{"label": "a"}]', '["a"]', "7"):
        (tmp_path / "z.json").write_text('{"format": 1, "rails": %s}' % rails)
        with pytest.raises(SensorError, match="does not describe its rails"):
            read_trace(str(tmp_path / "z.csv"))


@pytest.mark.parametrize("period_s", [0, 0.0, -1.0, 1e-320])
@pytest.mark.parametrize("probed", [False, True])
def test_a_period_that_no_sensor_has_is_refused(tmp_path, period_s, probed):
    """Divided by, it once ended in a traceback."""
    (tmp_path / "a.csv").write_text("t_s,VDD_IN\n" + "".join("%g,2\n" % t for t in range(9)))
    rail = rail_records([RAIL._replace(period_s=None if probed else period_s)])
    about = {
        "format": 1,
        "rails": rail,
        "probed_period_s": {"VDD_IN": period_s if probed else None},
    }
    (tmp_path / "a.json").write_text(json.dumps(about))
    with pytest.raises(SensorError, match="does not describe its rails"):
        integrate_file(str(tmp_path / "a.csv"))
    with pytest.raises(RunError, match="period_s"):
        trace_facts(str(tmp_path / "a.json"))


def test_rails_of_a_target_and_their_total(tmp_path):
    times = uneven(2, 100)
    columns = [[w] * len(times) for w in (5.0, 2.0, 1.0)]
    labels = ["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"]
    path = write_csv(tmp_path / "nano.csv", times, *columns, labels=labels)
    assert integrate_file(path)["total"] is None  # nobody said whose rails these are
    total = integrate_file(path, target="nano")["total"]
    assert total["rails"] == ["POM_5V_IN"]
    assert total["joules"] == pytest.approx(10.0)
    with pytest.raises(SensorError, match="POM_5V_IN"):
        integrate_file(path, target="xavier_nx")


def test_a_written_trace_is_read_back(tmp_path):
    path = str(tmp_path / "run" / "power" / "block.csv")
    rail = RAIL._replace(kind="counter", period_s=0.001)
    writer = TraceWriter(path, ["VDD_IN"], {"rails": rail_records([rail]), "total": ["VDD_IN"]})
    for i in range(600):
        writer.row(i * 0.01, [None if i == 5 else 2.0])
    writer.event("blocked", {"seconds": 1.0})
    writer.close({"samples": 600})
    trace = read_trace(path)
    assert trace.total == ("VDD_IN",) and trace.rails == [rail]
    assert len(trace.times) == 600 and trace.columns[0][5] is None
    assert trace.metadata["stats"] == {"samples": 600}
    assert trace.metadata["events"][0]["what"] == "blocked"
    energy = trace_energy(trace)["VDD_IN"]
    assert energy.method == "rectangle"
    assert energy.joules == pytest.approx(2.0 * 5.99)
    with pytest.raises(SensorError, match="exists already"):
        TraceWriter(path, ["VDD_IN"], {})


def test_net_joules_are_gross_less_idle_before_and_after(tmp_path):
    times = uneven(12, 200)
    watts = [1.0 if t < 4 else 5.0 if t < 8 else 1.2 for t in times]
    path = write_csv(tmp_path / "run.csv", times, watts)
    windows = [Window("idle", 0.5, 3.5), Window("work", 4.5, 7.5), Window("idle", 8.5, 11.5)]
    trace = read_trace(path)._replace(total=("VDD_IN",))
    _, work, _ = window_energies(trace, windows)
    assert work.total_joules == pytest.approx(15.0)
    assert work.total_net_joules == pytest.approx(15.0 - 3 * 1.1)
    assert window_energies(trace, windows[1:2])[0].total_net_joules is None
    assert work.rails["VDD_IN"].joules == pytest.approx(15.0)


def test_joules_per_image_of_a_block(tmp_path):
    times = uneven(14, 200)
    watts = [1.0 if t < 2 or t > 12 else 4.0 + smooth(t) - 3.0 for t in times]
    path = write_csv(tmp_path / "LC1-cpu-0.csv", times, watts)
    rail = RAIL._replace(absurd_above_w=40.0)
    about = {
        "format": 1,
        "rails": rail_records([rail]),
        "total": ["VDD_IN"],
        "provenance": "measured",
    }
    (tmp_path / "LC1-cpu-0.json").write_text(json.dumps(about))
    block = block_energy(path, 2.5, 11.5, 100, idle=[(0.0, 1.9), (12.1, 14.0)])
    exact = 4.0 * 9 + smooth_joules(2.5, 11.5) - 3.0 * 9
    total = block["total"]
    assert total["joules_per_image"] == pytest.approx(exact / 100, rel=1e-4)
    assert total["net_joules_per_image"] == pytest.approx((exact - 9.0) / 100, rel=1e-4)
    low, high = total["interval_joules_per_image"]
    assert low < exact / 100 < high
    assert len(block["rails"]["VDD_IN"]["joules_per_image_of_pieces"]) == 20
    assert block["provenance"] == "measured"
    assert block_energy(path, 2.5, 2.52, 1)["total"]["joules"] is None
    with pytest.raises(SensorError, match="without inferences"):
        block_energy(path, 2.5, 11.5, 0)


def block_with_a_gap(tmp_path, gap_s, load):
    """10 s of 100 inferences with a hole in the middle, on two rails that add up."""
    times = uneven(14, 200)
    watts = [None if 7.0 < t < 7.0 + gap_s else load(t) for t in times]
    name = "gap-%g" % gap_s
    path = write_csv(tmp_path / (name + ".csv"), times, watts, watts, labels=["A", "B"])
    rails = [RAIL._replace(label=label) for label in ("A", "B")]
    about = {"format": 1, "rails": rail_records(rails), "total": ["A", "B"]}
    (tmp_path / (name + ".json")).write_text(json.dumps(about))
    return block_energy(path, 2.0, 12.0, 100, idle=[(0.0, 1.9), (12.1, 14.0)])


def test_a_gap_does_not_make_images_cheap(tmp_path):
    # 0.09 s of 10 s are missing: an image costs what it costs in the rest.
    block = block_with_a_gap(tmp_path, 0.09, lambda t: 4.0)
    rail, total = block["rails"]["A"], block["total"]
    assert rail["gap_s"] == pytest.approx(0.09, abs=0.02)
    assert rail["joules"] == pytest.approx(4.0 * (10 - rail["gap_s"]), rel=1e-9)
    assert rail["joules_per_image"] == pytest.approx(0.4, rel=1e-9)
    assert rail["net_joules_per_image"] == pytest.approx(0.0, abs=1e-9)
    assert total["joules_per_image"] == pytest.approx(0.8, rel=1e-9)
    assert total["interval_joules_per_image"] == pytest.approx([0.8, 0.8], rel=1e-9)
    # Half a second is too much: nobody knows what ran in it.
    block = block_with_a_gap(tmp_path, 0.5, lambda t: 4.0)
    for figures in (block["rails"]["A"], block["total"]):
        assert figures["joules_per_image"] is None and figures["net_joules_per_image"] is None
        assert figures["interval_joules_per_image"] is None
        assert "were not measured" in figures["refused"]


def test_the_interval_holds_its_own_value(tmp_path):
    for seed in range(20):
        dice = random.Random(seed)
        noise = {}

        def load(t, noise=noise, dice=dice):
            return noise.setdefault(int(t / 0.037), 5.0 * dice.random() ** 6 + 1.0)

        total = block_with_a_gap(tmp_path, 0.0, load)["total"]
        low, high = total["interval_joules_per_image"]
        assert low < total["joules_per_image"] < high
        assert len(total["joules_per_image_of_pieces"]) == 20


def test_bootstrap_interval():
    assert bootstrap_mean([]) is None
    assert bootstrap_mean([3.0]).interval is None
    assert bootstrap_mean([3.0, 4.0]).deviation == pytest.approx(math.sqrt(0.5))
    covered = 0
    for seed in range(100):
        rng = random.Random(seed)
        low, high = bootstrap_mean([rng.gauss(5, 1) for _ in range(20)], resamples=500).interval
        covered += low <= 5 <= high
    assert covered >= 90


def counters(path, still, moving=None):
    """A trace of RAPL's zones as a laptop without psys has them: joules a second of each."""
    labels = ["package-0", "core"]
    rails = [
        unknown_rail(label, "rapl")._replace(kind="counter", driver="rapl", part_of=part_of)
        for label, part_of in zip(labels, ("psys", "package-*"))
    ]
    writer = TraceWriter(str(path), labels, {"rails": rail_records(rails), "total": labels[:1]})
    for i in range(2000):
        writer.row(i * 0.01, [moving if moving is not None else still, still])
    writer.close({})
    return str(path)


def test_counters_that_all_stand_still_are_no_reading_of_zero_joules(tmp_path):
    path = counters(tmp_path / "still.csv", 0.0)
    for rail in trace_energy(read_trace(path)).values():
        assert rail.joules is None and "the counter did not move" in rail.refused
    block = block_energy(path, 2.0, 18.0, 100)
    assert block["total"]["joules_per_image"] is None
    assert "did not move" in block["total"]["refused"]


def test_a_counter_that_stands_still_beside_one_that_moves_used_nothing(tmp_path):
    path = counters(tmp_path / "moves.csv", 0.0, 3.0)
    rails = trace_energy(read_trace(path))
    assert rails["core"].joules == 0.0 and rails["package-0"].joules > 0
    block = block_energy(path, 2.0, 18.0, 100)
    assert block["rails"]["core"]["joules_per_image"] == 0.0
    pieces = [len(row["joules_per_image_of_pieces"]) for row in block["rails"].values()]
    assert pieces[0] == pieces[1] > 0


def test_a_window_that_was_measured_in_part_has_no_joules(tmp_path):
    times = uneven(10, 200)
    watts = [None if 4.0 < t < 6.0 else smooth(t) for t in times]
    trace = read_trace(write_csv(tmp_path / "gap.csv", times, watts))
    trace = trace._replace(total=("VDD_IN",))
    half, whole = window_energies(trace, [Window("run", 3.0, 7.0), Window("run", 6.5, 9.5)])
    assert half.total_joules is None and "were not measured" in half.rails["VDD_IN"].refused
    assert whole.total_joules == pytest.approx(smooth_joules(6.5, 9.5), rel=5e-3)


def test_bounds_in_the_wrong_order(tmp_path):
    times = uneven(10, 100)
    path = write_csv(tmp_path / "t.csv", times, [smooth(t) for t in times])
    with pytest.raises(UsageError, match="--from before --to"):
        integrate_file(path, start_s=8.0, end_s=5.0)


def test_joules_that_no_sensor_measured_say_so():
    assert not_measured("measured") == []
    assert not_measured("replayed") == ["replayed: no sensor measured these joules"]


@pytest.mark.parametrize(
    "change",
    [
        {"total": ["VDD_IN", "VDD_OTHER"]},
        {"total": None, "total_lines": [["VDD_OTHER?"]]},
        {"probed_period_s": {"VDD_IN": "0.1"}},
        {"rails": [dict(rail_records([RAIL])[0], period_s="0.1")]},
        {"rails": [dict(rail_records([RAIL])[0], same_as=3)]},
        {"rails": [dict(rail_records([RAIL])[0], absurd_above_w=None)]},
    ],
)
def test_a_trace_beside_wrong_metadata_is_refused(tmp_path, change):
    path = tmp_path / "trace.csv"
    path.write_text("t_s,VDD_IN\n0,1\n1,1\n")
    about = dict({"format": 1, "rails": rail_records([RAIL]), "total": ["VDD_IN"]}, **change)
    (tmp_path / "trace.json").write_text(json.dumps(about))
    with pytest.raises(SensorError, match="trace.json"):
        read_trace(str(path))
