"""A run and bundles that version 0.1.0 wrote, before this code: read as that version read them."""

import json

import pytest

from splitwatt.engines.bundle.bundle import Bundle
from splitwatt.profiler.analyse.energy import energy_of, server_energy_of, stage_energy_of
from splitwatt.profiler.analyse.statistics import spread
from splitwatt.profiler.analyse.times import local_s, network_s, server_s
from splitwatt.profiler.check.cli import audit
from splitwatt.profiler.records.run import read_run
from tests.conftest import ROOT
from tests.profiler.conftest import command

DATA = ROOT / "tests" / "data"
EXPECTED = json.loads((DATA / "old_run.expected.json").read_text())


@pytest.fixture(scope="module")
def run():
    return read_run(str(DATA / "old_run"))


def rows(records):
    return [dict(record._asdict()) for record in records]


def test_records_are_those_that_the_old_version_read(run):
    assert run.finished and run.damaged == [] and not run.same_machine
    for name in ("memory", "starts", "throughput", "windows", "clock"):
        assert rows(getattr(run, name)) == EXPECTED[name], name
    assert rows(run.rates) == EXPECTED["links"]
    assert [s.payload_bytes for s in run.samples] == EXPECTED["payload_bytes"]


def test_derived_figures_are_the_same(run):
    for config, figures in EXPECTED["spread"].items():
        assert spread([s.total_s for s in run.measured(config)])._asdict() == figures
    parts = [[local_s(s), server_s(s), network_s(s)] for s in run.samples]
    assert parts == EXPECTED["parts_s"]


def test_joules_are_the_same(run):
    """Within what another rule of integration may differ by."""
    for of, name in ((energy_of, "energy"), (server_energy_of, "server_energy")):
        for energy, expected in zip(of(run), EXPECTED[name], strict=True):
            assert [energy.block, energy.inferences, energy.provenance] == expected[:3]
            figures = energy.total.joules_per_image, energy.total.net_joules_per_image
            for figure, old in zip(figures, expected[3:5], strict=True):
                assert figure is old is None or figure == pytest.approx(old, rel=0.01)
    stages = stage_energy_of(run, 0.2)
    board = [energy for energy in stages if not energy.server]
    of_server = {energy.stage for energy in stages if energy.server and energy.total}
    for energy, expected in zip(board, EXPECTED["stage_energy"], strict=True):
        assert [energy.block, energy.stage, energy.inferences] == expected[:3]
        assert energy.total.joules_per_image == pytest.approx(expected[3], rel=0.01)
        assert (energy.stage in of_server) == (expected[4] is not None)


def test_every_check_of_an_old_run_is_met():
    assert [one for one in audit(str(DATA / "old_run")) if one.met is False] == []


def test_the_example_of_forty_rows_is_read_and_met():
    path = ROOT / "examples" / "table3-cpu" / "run"
    run = read_run(str(path))
    assert len(run.config.configurations) == 40 and run.damaged == []
    assert [one for one in audit(str(path)) if one.met is False] == []


def test_what_if_of_an_old_run():
    code, out, err = command("whatif", DATA / "old_run")
    assert code == 0 and "Ours1" in out, err


@pytest.mark.parametrize("name", ["tiny@1", "tiny_local"])
def test_an_old_bundle_answers_as_expected(name):
    bundle = Bundle.open(str(DATA / "old_bundle" / name))
    assert bundle.manifest.model == name
    code, out, err = command("verify", DATA / "old_bundle" / name)
    assert code == 0, out + err
