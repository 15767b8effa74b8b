"""The finished example: its report is made of its run anew."""

import json

from reports.write import make_report
from tests.conftest import ROOT

RUN = ROOT / "examples" / "table3-cpu" / "run"


def test_the_examples_report_is_that_of_its_run(tmp_path):
    make_report([RUN], tmp_path)
    stated, made = (json.loads((f / "report.json").read_text()) for f in (RUN.parent, tmp_path))
    for key in ("headlines", "missing", "tables", "files"):
        assert made[key] == stated[key], key
    for name in made["files"]:
        if name.endswith((".csv", "macros.tex")):
            assert (tmp_path / name).read_bytes() == (RUN.parent / name).read_bytes(), name
