"""A board's real Python profiles against a host's server, as a Jetson does against a laptop."""

import subprocess

import pytest

from tests.conftest import ROOT
from tests.profiler.test_runs import check_whole

pytestmark = pytest.mark.long


def test_a_board_profiles_against_a_host(board_python, tiny, server, config, tmp_path):
    run = tmp_path / "run"

    def profile(*arguments):
        command = [board_python, "-m", "splitwatt", "profile", "--config", config(inferences=3)]
        command += ["--bundles", tiny, "--out", run, *arguments]
        result = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True)
        return result.returncode, result.stderr

    code, err = profile()
    assert code == 2 and "the server needs Python 3.10 or newer" in err and "--server URL" in err
    assert not run.exists()
    code, err = profile("--server", server.url)
    assert code == 0, err
    read = check_whole(run, 3)
    assert all(s.ok for s in read.samples)
    assert read.document["versions"]["python"].startswith(("3.6", "3.8"))
    # Both are on this machine, and the server's word says so, whatever its address looks like.
    assert read.same_machine
