"""Run folders that were changed at random: each reader answers or refuses in one sentence.

`python -m tests.fuzz` makes more of them.
"""

import contextlib
import io
import random
import shutil

import pytest

from splitwatt.profiler.analyse.carried import carried
from splitwatt.profiler.analyse.energy import energy_of, server_energy_of, stage_energy_of
from splitwatt.profiler.analyse.summary import remarks, short_table
from splitwatt.profiler.analyse.waterfall import waterfall
from splitwatt.profiler.check.cli import audit
from splitwatt.profiler.choose.quality import quality_of
from splitwatt.profiler.execute.work import Recorded, lacking
from splitwatt.profiler.records.run import read_run
from splitwatt.profiler.whatif.cli import whatif
from splitwatt.reports.load.accuracy import read_accuracy
from splitwatt.reports.load.model import series_of
from splitwatt.reports.tables.timeline import timelines
from tests.conftest import ROOT
from tests.profiler.mutations import mutate, survive
from tests.profiler.newer_run import newer_run

pytestmark = pytest.mark.long

RUN = ROOT / "tests" / "data" / "old_run"
# So many changes are read by every reader, and so many by what all of them begin with.
COUNT, READ_COUNT = 300, 2000
# Changes that once made a traceback: seed and number.
CORPUS = [(1, 2480)]


def derive(path):
    """What reports and the end of a profile derive from a run."""
    run = read_run(path)
    short_table(run)
    remarks(run)
    for sample in run.samples:
        waterfall(sample, run.clock)
    energy_of(run), server_energy_of(run), stage_energy_of(run, 0.1)
    lacking(run)
    Recorded(path)


def what_if(path):
    with contextlib.redirect_stdout(io.StringIO()):
        whatif([path])


def newer(path):
    """What reports and `choose` make of the files that only some runs have."""
    run = read_run(path)
    carried(run)
    quality_of(run, None)
    read_accuracy([run])
    timelines(series_of([run]))


READERS = {"derive": derive, "check": audit, "whatif": what_if, "newer": newer}


@pytest.fixture(scope="module")
def every_file(tmp_path_factory):
    return newer_run(tmp_path_factory.mktemp("newer") / "run")


def test_no_change_of_a_run_with_every_kind_of_file_makes_a_traceback(every_file, tmp_path):
    run = read_run(str(every_file))
    assert run.timeline and run.carried and run.accuracy and run.agreement and not run.damaged
    faults = survive(every_file, tmp_path, range(COUNT), 19, READERS)
    assert not faults, "\n".join(map(str, faults[:20]))


def test_no_change_of_a_run_makes_a_traceback(tmp_path):
    faults = survive(RUN, tmp_path, range(COUNT), 17, READERS)
    faults += survive(RUN, tmp_path, range(READ_COUNT), 18, {"read": read_run})
    assert not faults, "\n".join(map(str, faults[:20]))


@pytest.mark.parametrize(("seed", "number"), CORPUS)
def test_no_change_that_once_made_a_traceback_makes_one(tmp_path, seed, number):
    assert not survive(RUN, tmp_path, [number], seed, READERS)


def test_a_change_is_refused_or_reported_by_check(tmp_path):
    """Of a finished run every change of a record file shows, if only by its hash."""
    for number in range(60):
        dice = random.Random(number)
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(RUN, run)
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        place = mutate(run, dice)
        same = all(path.read_bytes() == data for path, data in before.items())
        if place != "run.json" and not same:
            assert False in [one.met for one in audit(str(run))], (number, place)
