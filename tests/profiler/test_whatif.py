"""What-if against arithmetic done by hand, and against NumPy's and SciPy's own."""

import json

import numpy as np
import pytest
from scipy import stats

from splitwatt.device_configs.errors import UsageError
from splitwatt.profiler.analyse.breakeven import BOARD, SERVER, Setting, break_even
from splitwatt.profiler.analyse.rates import cases, group_of
from splitwatt.profiler.analyse.times import end_to_end_s
from splitwatt.profiler.config.config import load_config, packaged
from splitwatt.profiler.links.parse import parse_link
from splitwatt.profiler.records.run import read_run
from splitwatt.profiler.whatif.cli import whatif
from tests.profiler.conftest import command
from tests.profiler.runs import made_run

TIMES = {"LC1": (2.0, 0.0, None), "SC1": (1.0, 0.4, 20000), "Ours1": (0.5, 0.1, 10000)}


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path / "run", TIMES)


def case(run, config):
    return next(c for c in cases(read_run(str(run))) if c.config == config)


def test_latency_at_any_rate_is_that_of_a_simulated_link_of_that_rate(run):
    read = read_run(str(run))
    for rate in ("lora", "100kbit", "4g", "123.4kbit"):
        link = parse_link("simulated:" + rate)
        for one in cases(read):
            expected = [end_to_end_s(s, link) for s in read.measured(one.config)]
            assert one.median_s(link.rate_kbit_s, 1.0) == pytest.approx(np.median(expected))


def test_a_faster_server_shortens_its_own_part_alone(run):
    split, local = case(run, "SC1"), case(run, "LC1")
    assert split.median_s(100, 1) - split.median_s(100, 2) == pytest.approx(0.2)
    assert local.median_s(100, 1) == local.median_s(100, 50) == local.median_s(5, 1)


def test_break_even_is_where_both_take_the_same_time(run):
    ours, local = case(run, "Ours1"), case(run, "LC1")
    found = break_even(ours, local, Setting())
    # 0.501 + 80000 / r = 2.001
    assert found.value == pytest.approx(80.0 / 1.5, rel=1e-6)
    assert (found.fast, found.other, found.certain) == ("Ours1", "LC1", 1.0)
    assert found.low <= found.value <= found.high
    for one, two in ((ours, local), (local, ours)):
        assert break_even(one, two, Setting()) == found
    at = found.value
    assert ours.median_s(at, 1) == pytest.approx(local.median_s(at, 1), rel=1e-6)
    assert ours.median_s(1.1 * at, 1) < local.median_s(1.1 * at, 1)


def test_the_interval_of_many_samples_is_as_wide_as_when_all_are_resampled(run):
    """The yardstick is scipy's bootstrap of the whole sample."""
    times = np.random.default_rng(1).lognormal(-1.0, 0.5, 4000)
    many = case(run, "LC1")._replace(
        board_s=times, rest_s=0 * times, server_s=0 * times, bits=0 * times
    )
    low, high = many.interval_s(100.0)
    due = stats.bootstrap(
        (times,), np.median, n_resamples=1000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert low < np.median(times) < high
    assert high - low == pytest.approx(due.high - due.low, rel=0.2)


def test_a_break_even_of_many_samples_is_narrower_by_the_root_of_their_number(run):
    def even_of(seed, one, count):
        times = np.random.default_rng(seed).lognormal(0.7, 0.3, count)
        bits = np.full(count, case(run, one).bits[0])
        return case(run, one)._replace(
            board_s=times - bits / 1e6, rest_s=0 * times, server_s=0 * times, bits=bits
        )

    def spread_of(count):
        split, local = even_of(1, "Ours1", count), even_of(2, "LC1", count)
        even = break_even(split, local._replace(rest_s=np.full(count, 1.0)), Setting())
        assert even.low < even.value < even.high and even.certain == 1.0
        return np.log(even.high / even.low)

    assert spread_of(200) / spread_of(20000) == pytest.approx(10, rel=0.3)


def test_a_slower_board_lengthens_its_own_stages_alone(run):
    for name in TIMES:
        one = case(run, name)
        server_s = TIMES[name][1]
        board_s = TIMES[name][0] + 0.001 - server_s - (0.002 if server_s else 0)
        assert one.median_s(100, 1, 0.5) - one.median_s(100, 1, 1) == pytest.approx(board_s)
        assert one.median_s(100, 1) == one.median_s(100, 1, 1.0)


def test_break_even_over_boards_is_where_both_take_the_same_time(run):
    ours, local = case(run, "Ours1"), case(run, "LC1")
    found = break_even(ours, local, Setting(100.0, 2.0), BOARD)
    # 0.399 / b + 0.1 / 2 + 0.002 + 80000 / 1e5 = 2.001 / b
    assert found.value == pytest.approx((2.001 - 0.399) / 0.852, rel=1e-6)
    assert (found.fast, found.other, found.certain) == ("LC1", "Ours1", 1.0)
    assert found.low <= found.value <= found.high
    assert found.sentence == (
        "Ours1 is faster than LC1 on boards slower than 1.88 times the run's at 100 kbit/s"
    )
    at = found.value
    assert ours.median_s(100, 2, at) == pytest.approx(local.median_s(100, 2, at), rel=1e-6)
    assert ours.median_s(100, 2, 0.9 * at) < local.median_s(100, 2, 0.9 * at)


def test_break_even_over_servers_is_where_both_take_the_same_time(run):
    split, local = case(run, "SC1"), case(run, "LC1")
    found = break_even(split, local, Setting(200.0), SERVER)
    # 0.599 + 0.4 / s + 0.002 + 160000 / 2e5 = 2.001
    assert found.value == pytest.approx(0.4 / 0.6, rel=1e-6) and found.fast == "SC1"
    assert found.sentence == (
        "SC1 is faster than LC1 with servers faster than 0.667 times the run's at 200 kbit/s"
    )
    never = break_even(split, local, Setting(50.0), SERVER)
    assert never.value is None
    assert never.sentence == "SC1 is slower than LC1 with a server of any speed at 50 kbit/s"


def test_the_three_axes_agree(run):
    """A break-even over one axis is one over each other axis too, at its value."""
    split, local = case(run, "SC1"), case(run, "LC1")
    over_boards = break_even(split, local, Setting(300.0, 3.0), BOARD).value
    rate = break_even(split, local, Setting(1.0, 3.0, over_boards)).value
    server = break_even(split, local, Setting(300.0, 1.0, over_boards), SERVER).value
    assert (rate, server) == pytest.approx((300.0, 3.0), rel=1e-6)


def test_the_command_estimates_other_boards(run):
    code, out, err = command(
        "whatif", run, "--rate", "100kbit", "--board-speed", "0.5", "--pair", "LC1,Ours1"
    )
    assert code == 0, err
    assert "board 0.5 and server 1 times as fast as the run's (estimated)" in out
    assert (
        "Ours1 is faster than LC1 on boards slower than 1.78 times the run's at 100 kbit/s" in out
    )
    assert "measured stages are scaled, each part by its own machine" in out
    document = json.loads(
        command("whatif", run, "--rate", "100kbit", "--json", "--board-speed", "0.25",
                "--board-speed", "1")[1]
    )  # fmt: skip
    local = next(c for c in document["configurations"] if c["config"] == "LC1")
    assert [(e["board_speed"], e["source"]) for e in local["at"]] == [
        (0.25, "estimated"), (1.0, "simulated"),
    ]  # fmt: skip
    assert [e["median_s"] for e in local["at"]] == pytest.approx([4 * 2.001, 2.001])
    over = [e for e in document["break_even"] if e["axis"] == "board_speed"]
    assert all(e["board_speed"] is None and e["rate_kbit_s"] == 100.0 for e in over)
    axes = {e["axis"] for e in document["break_even"]}
    assert axes == {"rate_kbit_s", "board_speed", "server_speed"}


def test_no_break_even_is_told_as_such(run):
    worse = break_even(case(run, "SC1"), case(run, "Ours1"), Setting())
    assert worse.value is worse.low is worse.high is None and worse.certain == 0.0
    assert worse.sentence == "SC1 is slower than Ours1 at any rate"


def test_intervals_are_bootstrap_intervals_of_the_median(tmp_path):
    run = made_run(tmp_path / "run", TIMES)
    rng = np.random.default_rng(1)
    path = run / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["total_s"] += float(rng.gamma(2.0, 0.05))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    one = case(run, "Ours1")
    low, high = one.interval_s(100.0, 1.0)
    yardstick = stats.bootstrap(
        (one.times_s(100.0, 1.0),), np.median, n_resamples=4000, method="percentile",
        random_state=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    width = yardstick.high - yardstick.low
    assert abs(low - yardstick.low) < 0.2 * width and abs(high - yardstick.high) < 0.2 * width
    found = break_even(one, case(run, "LC1"), Setting())
    assert found.low < found.value < found.high


def test_energy_is_measured_joules_and_idle_power_while_waiting(run):
    one = case(run, "Ours1")._replace(joules=3.0, idle_watts=2.0)
    assert one.energy_j(100.0, 1.0) == pytest.approx(3.0 + 2.0 * 0.8)
    assert one.energy_j(100.0, 2.0) == pytest.approx(3.0 + 2.0 * (0.8 - 0.05))
    assert case(run, "LC1")._replace(joules=3.0).energy_j(1.0, 9.0) == 3.0
    assert one._replace(idle_watts=None).energy_j(100.0, 1.0) is None
    assert one._replace(joules=None).energy_j(100.0, 1.0) is None
    assert one.energy_j(100.0, 1.0, 0.5) is None  # the power of another board is not known


def test_a_shaped_run_leaves_its_own_link_out(tmp_path):
    from tests.profiler.runs import CONFIG

    config = dict(CONFIG, links=[{"kind": "shaped", "preset": "100kbit"}])
    one = case(made_run(tmp_path / "run", TIMES, config), "Ours1")
    framed = 10300 + 8 * 66
    assert one.median_s(50.0, 1.0) == pytest.approx(0.501 - 0.002 + 8 * framed / 50e3)


def test_a_run_over_the_network_as_it_is_leaves_the_network_out(tmp_path):
    from tests.profiler.runs import CONFIG

    one = case(made_run(tmp_path / "run", TIMES, dict(CONFIG, links=[{"kind": "none"}])), "Ours1")
    assert one.median_s(50.0, 1.0) == pytest.approx(0.501 - 0.002 + 8 * (10300 + 8 * 66) / 50e3)
    both = [{"kind": "none"}, {"kind": "simulated", "preset": "lora"}]
    one = case(made_run(tmp_path / "both", TIMES, dict(CONFIG, links=both)), "Ours1")
    assert one.median_s(50.0, 1.0) == pytest.approx(0.501 - 0.002 + 80 / 50)
    _, out, _ = command("whatif", tmp_path / "run")
    assert "over the link 'network as it is': its time is left out" in out


def test_estimated_sizes_are_not_called_published(tmp_path):
    from tests.profiler.runs import CONFIG

    run = made_run(tmp_path / "run", TIMES, dict(CONFIG, payload="published"))
    path = run / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["config"] == "SC1":
            row.update(published_payload_bytes=700, published_payload_source="estimated")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    notes = json.loads(command("whatif", run, "--json")[1])["notes"]
    assert "payloads of SC1 are estimated, for nobody has published them" in notes
    assert any(text.startswith("payloads of Ours1 are the measured ones") for text in notes)
    assert not any("published means" in text for text in notes)


def test_the_command_prints_a_table_and_break_evens(run):
    code, out, err = command("whatif", run)
    assert code == 0, err
    assert "LoRa 37.5 kbit/s, s" in out and "Ours1 is faster than LC1 from 53.33 kbit/s on" in out
    code, out, _ = command(
        "whatif", run, "--json", "--rate", "53.3333kbit", "--server-speed", "1", "--server-speed",
        "2", "--pair", "LC1,SC1",
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0 and [e["server_speed"] for e in document["configurations"][0]["at"]] == [1, 2]
    ours = next(c for c in document["configurations"] if c["config"] == "Ours1")
    assert ours["at"][0]["median_s"] == pytest.approx(2.001, rel=1e-4)
    rates = [e["value"] for e in document["break_even"] if e["axis"] == "rate_kbit_s"]
    assert rates == pytest.approx([160, 160 / 1.2])


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (["--rate", "fast"], "'fast' is neither a rate"),
        (["--pair", "LC1"], "must name two configurations"),
        (["--pair", "LC1,LC9"], "did you mean LC1"),
        (["--server-speed", "0"], "must be from 0.001"),
        (["--server-speed", "fast"], "must be from 0.001 to 1000000, not 'fast'"),
    ],
)
def test_wrong_flags_are_told_in_a_sentence(run, wrong, sentence):
    code, _, err = command("whatif", run, *wrong)
    assert code == 2 and sentence in err and "Traceback" not in err


def test_a_folder_that_is_no_run(tmp_path):
    code, _, err = command("whatif", tmp_path)
    assert code == 1 and "there is no run" in err
    with pytest.raises(UsageError):
        parse_link("shaped:")


@pytest.mark.parametrize("name", packaged())
def test_every_packaged_config_has_its_rows(tmp_path, capsys, name):
    config = load_config(name)
    kinds = {"local": TIMES["LC1"], "split": TIMES["Ours1"]}
    times = {row.id: kinds[row.kind] for row in config.configurations}
    document = {**config.to_json(), "warmup": 0, "inferences": 2}
    run = made_run(tmp_path / "run", times, document)
    assert whatif([str(run)]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert set(times) <= set(rows)


def test_a_group_is_what_an_id_begins_with():
    groups = [group_of(row.id) for row in load_config("frankensplit.yaml").configurations]
    assert list(dict.fromkeys(groups)) == ["FS", "PNG", "WebP", "JPEG", "Balle", "Minnen", "ES"]
    assert [group_of(id) for id in ("LC1", "Ours10", "LC 3", "7")] == ["LC", "Ours", "LC", "7"]
