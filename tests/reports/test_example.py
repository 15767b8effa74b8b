"""The finished example: its report is made again from its run."""

import csv
import json
import subprocess
import sys

from splitwatt.reports.write.write import make_report
from tests.conftest import ROOT

RUN = ROOT / "examples" / "table3-cpu" / "run"


def rounded(found):
    """Numbers, and texts that are some, to nine digits: another processor may round the rest otherwise."""
    if isinstance(found, dict):
        return {key: rounded(value) for key, value in found.items()}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    try:
        return float("%.9g" % float(found))
    except (TypeError, ValueError):
        return found


def read_table(path):
    with path.open(newline="") as stream:
        return rounded(list(csv.reader(stream)))


def test_the_examples_report_is_that_of_its_run(tmp_path):
    make_report([RUN], tmp_path)
    stated, made = (json.loads((f / "report.json").read_text()) for f in (RUN.parent, tmp_path))
    for key in ("headlines", "missing", "tables", "files"):
        assert rounded(made[key]) == rounded(stated[key]), key
    tables = [name for name in made["files"] if name.endswith(".csv")]
    assert len(tables) > 10
    for name in tables:
        assert read_table(tmp_path / name) == read_table(RUN.parent / name), name
    macros = "latex/macros.tex"
    assert (tmp_path / macros).read_text() == (RUN.parent / macros).read_text()


def test_a_report_reads_the_samples_once(tmp_path):
    code = (
        "import sys; files = []\n"
        # The event of os.open below it has no mode: each file counts once.
        "sys.addaudithook(lambda event, a: event == 'open' and a[1] and files.append(str(a[0])))\n"
        "from splitwatt.reports.cli import report\n"
        "report(sys.argv[1:])\n"
        "print('opened', sum(name.endswith('samples.jsonl') for name in files))"
    )
    command = [sys.executable, "-c", code, str(RUN), "--out", str(tmp_path)]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert made.stdout.splitlines()[-1] == "opened 1"
