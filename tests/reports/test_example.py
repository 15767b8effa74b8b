"""The finished example: its report is made of its run anew, where the run is in the repository."""

import json

import pytest

from reports.write import make_report
from tests.conftest import ROOT

RUNS = sorted(path.parent for path in (ROOT / "examples").glob("*/run/run.json"))


@pytest.mark.parametrize("run", RUNS or [None])
def test_the_examples_report_is_that_of_its_run(run, tmp_path):
    if run is None:
        pytest.skip("no example has its run beside it")
    make_report([run], tmp_path)
    stated, made = (json.loads((f / "report.json").read_text()) for f in (run.parent, tmp_path))
    for key in ("headlines", "missing", "tables", "files"):
        assert made[key] == stated[key], key
    for name in made["files"]:
        if name.endswith((".csv", "macros.tex")):
            assert (tmp_path / name).read_bytes() == (run.parent / name).read_bytes(), name
