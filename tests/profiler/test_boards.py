"""`profile --boards`: how many boards a server carries, and the queueing formulas beside it."""

import base64
import json
import os
import threading
import time

import numpy as np
import pytest
import scipy.stats

from splitwatt.profiler.analyse.carried import Service, carried, erlang_c, late_interval
from splitwatt.profiler.capacity.load import due_times
from splitwatt.profiler.capacity.search import Asked, _run, encoded, search
from splitwatt.profiler.records.blocks import FIXED, POISSON, Carried
from splitwatt.profiler.records.run import read_run
from tests.profiler.conftest import command, relayed

pytestmark = pytest.mark.long


def test_frames_at_a_fixed_rate_have_equal_gaps_and_each_board_its_own_start():
    boards = [due_times(number, 5.0, FIXED, 20.0, 1) for number in range(50)]
    for times in boards:
        assert np.allclose(np.diff(times), 0.2) and 0 <= times[0] < 0.2
    starts = [times[0] for times in boards]
    assert scipy.stats.kstest(starts, "uniform", (0, 0.2)).pvalue > 0.001
    assert boards[0] == due_times(0, 5.0, FIXED, 20.0, 1)  # the same again of the same seed


def test_frames_at_random_have_exponential_gaps():
    gaps = np.concatenate([np.diff(due_times(n, 5.0, POISSON, 200.0, 2)) for n in range(20)])
    assert scipy.stats.kstest(gaps, "expon", (0, 0.2)).pvalue > 0.001


@pytest.mark.parametrize("servers, load", [(1, 0.3), (1, 0.95), (2, 1.0), (10, 8.0), (40, 33.0)])
def test_the_share_that_waits_is_erlangs(servers, load):
    blocked = scipy.stats.poisson.pmf(servers, load) / scipy.stats.poisson.cdf(servers, load)
    expected = blocked / (1 - load / servers * (1 - blocked))
    assert erlang_c(servers, load) == pytest.approx(expected, rel=1e-9)
    if servers == 1:
        assert erlang_c(servers, load) == pytest.approx(load)


@pytest.mark.parametrize("servers, busy", [(1, 0.6), (1, 0.8), (3, 0.8)])
def test_late_frames_are_as_many_as_in_a_simulated_queue(servers, busy):
    """Exponential service, where the formula is exact for the waiting time."""
    draw = np.random.default_rng(5)
    arrivals = np.cumsum(draw.exponential(1 / (busy * servers), 400_000))
    service = draw.exponential(1.0, len(arrivals))
    free = [0.0] * servers
    waits = np.empty(len(arrivals))
    for n, (at, took) in enumerate(zip(arrivals, service, strict=True)):
        first = free.index(min(free))
        start = max(at, free[first])
        waits[n], free[first] = start - at, start + took
    for deadline_s in (3.0, 6.0):
        late = Service(servers, 1.0, 1.0).late_share(busy * servers, deadline_s)
        assert late == pytest.approx(np.mean(waits > deadline_s - 1.0), rel=0.2)


def test_expected_boards_are_the_most_whose_late_share_is_one_percent():
    service = Service(2, 0.04, 0.3)
    boards = service.expected(2.0, 0.5)
    assert (
        service.late_share(2.0 * boards, 0.5) <= 0.01 < service.late_share(2.0 * (boards + 1), 0.5)
    )
    assert 0 < boards < service.most(2.0) == 25
    assert Service(1, 0.6, 0.0).expected(1.0, 0.5) == 0  # one frame alone is late


def test_the_interval_of_the_late_share_is_wilsons_where_batches_agree_and_wider_where_not():
    even = [[True] + [False] * 49] * 10
    low, high = late_interval(even)
    wilson = scipy.stats.binomtest(10, 500).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), rel=1e-6)
    burst = [[True] * 10 + [False] * 40] + [[False] * 50] * 9
    low, high = late_interval(burst)
    means = [sum(batch) / 50 for batch in burst]
    ends = scipy.stats.t.interval(0.95, 9, np.mean(means), scipy.stats.sem(means))
    assert low == 0.0 and high == pytest.approx(ends[1], rel=1e-5)
    assert high > scipy.stats.binomtest(10, 500).proportion_ci(method="wilson").high
    assert late_interval([[]] * 10) == (0.0, 1.0)
    # So many frames without a late one are certain to be below 1 %.
    assert late_interval([[False] * 42] * 10)[1] < 0.01 < late_interval([[False] * 30] * 10)[1]


@pytest.mark.parametrize("breaks_at", [1, 2, 3, 17, 64, 65, 90])
@pytest.mark.parametrize("first", [1, 8, 64])
def test_the_search_ends_beside_the_number_that_breaks(breaks_at, first):
    tried = []

    def measure(boards):
        tried.append(boards)
        late = 0 if boards < breaks_at else 50
        return Carried("Ours1", "b", boards, 1.0, POISSON, 0.5, 1, 10.0, 100, 0, late, 0.0, 1.0,
                       None, None, None, None, 1, 0)  # fmt: skip

    search(Asked(64, 1.0, 0.5), first, measure)
    held, broken = [n for n in tried if n < breaks_at], [n for n in tried if n >= breaks_at]
    assert max(tried) <= 64 and len(tried) <= 12 and len(set(tried)) == len(tried)
    if breaks_at > 64:
        assert max(held) == 64
    else:
        most = max(held, default=0)
        assert min(broken) - most <= max(1, most // 10)


def test_a_server_that_stalls_makes_every_frame_late_that_was_due_meanwhile(
    tiny, server, photographs
):
    """One request waits for the server, and the others for it: a generator that counted from when it
    sent each would see a single late frame.
    """
    from splitwatt.engines.bundle.bundle import Bundle

    open_again = threading.Event()
    open_again.set()
    frames = encoded([Bundle.open(str(tiny / "cpu" / "tiny@1"))], "cpu", [str(photographs[0])])
    [(model, payload, _)] = frames[0]
    assert model == "tiny@1" and base64.b64decode(payload)
    job = {"parent": os.getpid(), "fps": 10.0, "arrivals": FIXED, "seed": 1, "until_s": 6.0, "give_up_s": 60.0,
           "frames": frames,
           "token_file": None, "certificate": None, "fingerprint": None}  # fmt: skip
    ended = threading.Event()

    def stall():
        ended.wait(2.0)
        open_again.clear()
        time.sleep(2.0)
        open_again.set()

    threading.Thread(target=stall, daemon=True).start()
    with relayed(server.url, lambda _: open_again.wait()) as url:
        rows = _run({**job, "url": url}, [[0]])
    assert len(rows) == 60 and all(row[1] is not None for row in rows)
    assert [row[0] for row in rows] == pytest.approx(due_times(0, 10.0, FIXED, 6.0, 1))
    # Twenty frames were due in the two seconds: half of them waited for a second or longer.
    assert sum(row[1] > 1.0 for row in rows) >= 8
    assert max(row[1] for row in rows) >= 1.5


def test_profile_records_how_many_boards_and_report_and_check_take_it(tiny, config, tmp_path):
    run = tmp_path / "run"
    code, out, err = command(
        "profile", "--config", config(4), "--bundles", tiny, "--out", run, "--boards", 2, "--fps", 10,
        "--deadline", "100s",
    )  # fmt: skip
    assert code == 0, err
    assert "Ours1: the server carries 2 boards of 10 frames/s each" in " ".join(out.split())
    read = read_run(str(run))
    assert read.document["server"]["workers"] == 1
    assert read.carried[-1].boards == 2 and read.carried[-1].failed == read.carried[-1].late == 0
    [own] = carried(read)
    assert (own.boards, own.high) == (2, None)
    stages = [
        {n: s for n, s in sample.stages.items() if ".server." in n}
        for sample in read.measured("Ours1")
    ]
    known = [
        sum(s for n, s in row.items() if "queue" not in n and "other" not in n) for row in stages
    ]
    assert own.service.mean_s == pytest.approx(np.mean(known))
    assert own.service.squared_variation == pytest.approx(
        np.var(known, ddof=1) / np.mean(known) ** 2
    )
    assert command("check", run)[0] == 0
    report = tmp_path / "report"
    assert command("report", run, "--out", report)[0] == 0
    [row] = json.loads((report / "report.json").read_text())["tables"]["boards"]["rows"]
    assert row["boards"]["value"] == 2 and "low" not in row["boards"]
    assert row["expected_boards"]["sources"] == ["estimated"]


def test_a_deadline_that_one_board_misses_carries_none(tiny, config, server, tmp_path):
    run = tmp_path / "run"
    code, out, err = command(
        "profile", "--config", config(4), "--bundles", tiny, "--out", run, "--boards", 4, "--fps", 50,
        "--deadline", "1ms", "--server", server.url, "--arrivals", "fixed",
    )  # fmt: skip
    assert code == 0, err
    assert "carries 0 boards" in " ".join(out.split())
    [own] = carried(read_run(str(run)))
    assert (own.boards, own.low, own.high, own.arrivals) == (0, 0, 0, "fixed")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--fps", "2"], "belong to --boards"),
        (["--boards", "0"], "must be a whole number from 1"),
        (["--boards", "2", "--only", "LC1"], "needs a split configuration"),
        (["--boards", "2", "--deadline", "soon"], "must be from 1ms to 600s"),
    ],
)
def test_bad_usage_is_one_sentence(arguments, sentence, tiny, config, tmp_path):
    code, _, err = command(
        "profile", "--config", config(2), "--bundles", tiny, "--out", tmp_path / "run", *arguments
    )
    assert code == 2 and sentence in " ".join(err.split()) and not (tmp_path / "run").exists()
