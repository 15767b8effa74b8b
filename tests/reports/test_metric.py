"""A metric of a report is one file: tables, savings, figures, macros, the page and comparisons show it."""

import csv
import json

import pytest

import splitwatt.reports.metrics as folder
from splitwatt.reports.metrics.metric import metrics
from splitwatt.reports.write.write import make_report
from tests.reports.synthetic import make_config, write_run

DECODE = """
from splitwatt.reports.load.values import exact
from splitwatt.reports.metrics import stats
from splitwatt.reports.metrics.metric import Chart, Metric


def _sample(sample):
    return 1000 * sample.stages["decode"]


def decode_ms(entry):
    return stats.median([_sample(sample) for sample in entry.samples], "measured")


METRICS = (
    Metric(
        key="decode_ms", title="Image decoding", unit="ms", of=decode_ms, place=70,
        tables=("summary", "compare"), note="Image decoding: on the board.", sample=_sample,
        word="Decode",
        charts=(Chart("decode", "Image decoding", "Its time.", "Decoding [ms]", {"": decode_ms}),),
    ),
)
"""


@pytest.fixture
def one_more(tmp_path, monkeypatch):
    """A file more beside those of reports/metrics."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "decode_time.py").write_text(DECODE)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "metrics")])


def test_one_file_adds_a_metric_everywhere(one_more, tmp_path):
    config = make_config(["LC1", "SC1", "Ours1"], links=1, inferences=6)
    run = write_run(tmp_path / "run", config)
    report = make_report([run], tmp_path / "out")
    with (tmp_path / "out" / "summary.csv").open(newline="") as stream:
        rows = {row["config"]: row for row in csv.DictReader(stream)}
    assert all(float(row["decode_ms"]) > 3 for row in rows.values())
    assert r"Image decoding \[ms]" in (tmp_path / "out" / "report.md").read_text()
    assert "Image decoding: on the board." in report.table("summary").notes
    saved = [row for row in report.table("savings").rows if row["metric"] == "Image decoding"]
    assert saved and saved[0]["lc_percent"].low is not None
    assert any(headline.text.startswith("Image decoding: ") for headline in report.headlines)
    assert (tmp_path / "out" / "decode.pdf").is_file()
    macros = (tmp_path / "out" / "latex" / "macros.tex").read_text()
    assert r"\OursOneDecodeMs}" in macros and r"\LadonDecodeSavingLC}" in macros
    page = (tmp_path / "out" / "report.html").read_text()
    assert json.dumps({"key": "decode_ms", "title": "Image decoding [ms]", "unit": "ms"},
                      separators=(",", ":")) in page  # fmt: skip

    from splitwatt.reports.compare.compare import compare
    from splitwatt.reports.load.accuracy import NONE
    from splitwatt.reports.load.runs import load_pair

    pairs, _ = compare(*load_pair(str(run), str(run)), NONE, NONE)
    assert "Image decoding" in {pair.metric for pair in pairs}


def test_metrics_have_a_key_and_a_place_each():
    found = metrics()
    keys, places = [m.key for m in found], [m.place for m in found]
    assert len(set(keys)) == len(keys) and len(set(places)) == len(places)
