"""A board of a chosen speed: the kernel's own quota where this machine gives one, else its refusal."""

import contextlib
import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from splitwatt.device_configs.errors import SplitwattError, UsageError
from splitwatt.profiler.board import quota
from splitwatt.profiler.board.quota import QuotaGroup, join
from splitwatt.profiler.records.run import read_run
from tests.profiler.conftest import command, start

REFUSED = "no CPU quota can be set here ("
BUSY = """
import sys, time
sys.path[:0] = %r
from splitwatt.profiler.board.quota import join
join(sys.argv[1])
start, used = time.monotonic(), time.process_time()
while time.monotonic() - start < 1.0:
    pass
print((time.process_time() - used) / (time.monotonic() - start))
"""


def group(share, threads=None):
    """A real group; None where this machine gives none, which it must say in a sentence."""
    try:
        return QuotaGroup(share, threads)
    except UsageError as error:
        assert error.message.startswith(REFUSED) and "run as root" in error.remedy
        return None


def test_a_process_gets_no_more_than_the_share_that_was_asked_for():
    """How much less it gets is up to what else runs on the machine."""
    made = group(0.2, 1)
    if made is None:
        return
    with made:
        assert 0 < made.record["measured_share"] < 0.24
        assert (made.record["share"], made.record["cpus"]) == (0.2, 1)
        assert made.record["quota_us"] / made.record["period_us"] == pytest.approx(0.2, rel=1e-3)
        busy = subprocess.run(
            [sys.executable, "-c", BUSY % sys.path, made.folder], stdout=subprocess.PIPE, check=True
        )
        assert 0 < float(busy.stdout) < 0.24
        made.update()
        assert made.record["throttled_s"] > 0
    assert not os.path.exists(made.folder)


def test_a_group_that_a_killed_run_left_is_deleted():
    made = group(0.5, 1)
    if made is None:
        return
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = os.path.join(os.path.dirname(made.folder), "splitwatt-%d" % gone.pid)
    os.mkdir(left)
    made.close()
    with group(0.5, 1):
        assert not os.path.exists(left)


def tree(folder, controllers="cpuset cpu memory", root="/"):
    """A /proc and a cgroup v2 tree of plain files, which limit nothing."""
    own = folder / "cgroup" / "user.slice" / "it"
    own.mkdir(parents=True)
    (folder / "cgroup" / "cgroup.controllers").write_text(controllers + "\n")
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "cgroup").write_text("0::/user.slice/it\n")
    (folder / "proc" / "self" / "mountinfo").write_text(
        "30 24 0:26 %s %s rw,nosuid - cgroup2 cgroup2 rw\n" % (root, folder / "cgroup")
    )
    return own


def test_the_time_until_a_process_has_joined_does_not_count(monkeypatch, capsys):
    monkeypatch.setattr(quota, "join", lambda folder: time.sleep(1.2))
    assert quota.main(["unused", "1"]) == 0
    assert float(capsys.readouterr().out) > 0.02  # it was busy; how much is up to the machine


def test_a_group_that_no_process_can_join_is_reported(tmp_path):
    with pytest.raises(SplitwattError, match="nowhere: No such file"):
        quota._measured_share(str(tmp_path / "nowhere"), 1)


def test_version_2_gets_its_own_files(tmp_path):
    own = tree(tmp_path)
    made = QuotaGroup(0.125, 1, proc=str(tmp_path / "proc"))
    assert os.path.dirname(made.folder) == str(own) and made.record["cgroup"] == 2
    assert (own / "cgroup.subtree_control").read_text() == "+cpu"
    with open(os.path.join(made.folder, "cpu.max")) as stream:
        assert stream.read() == "1000 8000"
    # Plain files limit nothing, and the measurement says so; the machine may be busy by chance.
    off = made.record["measured_share"] / 0.125 - 1
    assert ("limited otherwise" in (made.deviates or "")) == (abs(off) > 0.05)
    join(made.folder)
    with open(os.path.join(made.folder, "cgroup.procs")) as stream:
        assert stream.read() == str(os.getpid())


@pytest.mark.parametrize(("root", "below"), [("/user", "user.slice/it"), ("/user.slice", "it")])
def test_a_mount_of_a_group_holds_what_is_below_that_group(tmp_path, root, below):
    """A container mounts its own group; one whose name only begins alike is another."""
    tree(tmp_path, root=root)
    (tmp_path / "cgroup" / below).mkdir(parents=True, exist_ok=True)
    made = QuotaGroup(0.5, 1, proc=str(tmp_path / "proc"))
    assert os.path.dirname(made.folder) == str(tmp_path / "cgroup" / below)


@pytest.mark.parametrize("controllers", ["cpuset memory", "cpuset"])
def test_without_the_cpu_controller_there_is_a_sentence(tmp_path, controllers):
    tree(tmp_path, controllers)
    with pytest.raises(UsageError) as refused:
        QuotaGroup(0.5, 1, proc=str(tmp_path / "proc"))
    assert refused.value.message == (
        REFUSED + "no cgroup file system with the cpu controller is mounted)"
    )


def test_where_no_group_can_be_made_there_is_a_sentence(tmp_path):
    own = tree(tmp_path)
    (own / ("splitwatt-%d" % os.getpid())).write_text("in the way")
    (own.parent / ("splitwatt-%d" % os.getpid())).write_text("in the way")
    (tmp_path / "cgroup" / ("splitwatt-%d" % os.getpid())).write_text("in the way")
    with pytest.raises(UsageError) as refused:
        QuotaGroup(0.5, 1, proc=str(tmp_path / "proc"))
    assert refused.value.message.startswith("%s%s: File exists; " % (REFUSED, own))


def profile(tiny, config, run, *more):
    return command(
        "profile", "--config", config, "--bundles", tiny, "--out", run, "--only", "LC1",
        "--threads", "1", *more,
    )  # fmt: skip


def test_a_profile_runs_its_board_under_the_quota_and_says_so(tiny, config, tmp_path):
    path, run = config(inferences=12), tmp_path / "run"
    code, out, err = profile(tiny, path, run, "--board-quota", "0.1")
    made = group(0.1, 1)
    if made is None:
        assert code == 2 and REFUSED in err and not run.exists()
        return
    made.close()
    assert code == 0, err
    assert "quota: the board's process had " in out and "of 1 processor" in out
    facts = read_run(str(run)).document["quota"]
    assert facts["share"] == 0.1 and facts["throttled_s"] > 0
    assert 0 < facts["measured_share"] < 0.13
    assert all(0 < s.processor_s < 1.2 * s.total_s + 0.02 for s in read_run(str(run)).samples)
    assert profile(tiny, path, tmp_path / "whole")[0] == 0
    assert read_run(str(tmp_path / "whole")).document["quota"] is None
    code, out, _ = command("whatif", run)
    assert code == 0 and "quota: the board's process had " in out
    samples = run / "samples.jsonl"
    samples.write_bytes(b"".join(samples.read_bytes().splitlines(True)[:-3]))
    code, _, err = command("profile", "--resume", run, "--board-quota", "0.5")
    assert code == 1 and "the run began with --board-quota 0.1, not 0.5" in err
    code, _, err = command("profile", "--resume", run)
    assert code == 0, err
    resumed = json.loads((run / "run.json").read_text())["resumed"]
    assert [row["quota"]["share"] for row in resumed] == [0.1]
    parent = os.path.dirname(made.folder)
    own = "splitwatt-%d" % os.getpid()
    assert own not in os.listdir(parent)


def test_a_quota_is_refused_where_it_slows_nothing(tiny, config, tmp_path):
    run = tmp_path / "run"
    code, _, err = profile(tiny, config(), run, "--board-quota", "0.5", "--backend", "cuda")
    assert code == 2 and not run.exists()
    assert "--board-quota limits processors, and the backend 'cuda' runs on a GPU" in err
    for wrong in ("0", "1.5", "fast"):
        code, _, err = profile(tiny, config(), run, "--board-quota", wrong)
        assert code == 2 and "must be from 0.01 to 1" in err


def test_the_server_of_a_board_under_a_quota_has_all_threads(tiny, config, tmp_path):
    made = group(0.5, 1)
    if made is None:
        return
    made.close()
    board = start(
        "profile", "--config", config(), "--bundles", tiny, "--out", tmp_path / "run",
        "--only", "Ours1", "--threads", "1", "--board-quota", "0.5",
    )  # fmt: skip
    servers = []
    while board.poll() is None and not servers:
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(board.pid).children(recursive=True)
            servers = [words for child in below if "serve" in (words := child.cmdline())]
        time.sleep(0.05)
    _, err = board.communicate()
    assert board.returncode == 0, err
    assert servers and "--threads" not in servers[0]
