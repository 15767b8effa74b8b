"""`splitwatt compare`: effects and intervals against scipy, the gate, and the papers' figures."""

import json
import math
import re

import jsonschema
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from splitwatt.device_configs.cli import guarded
from splitwatt.reports.compare import change
from splitwatt.reports.compare.cli import compare
from splitwatt.reports.compare.compare import _accuracies
from splitwatt.reports.load.accuracy import read_accuracy
from tests.reports.accuracy_file import accuracy, figure, write
from tests.reports.formats import check_package, schema
from tests.reports.power import add_power
from tests.reports.synthetic import make_config, write_run

SCHEMA = schema("compare.schema.json")
ROWS = ["LC1", "LC20", "SC1", "Ours1", "Ours6"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same thing measured twice, a third time slower, and a Nano with two backends."""
    folder = tmp_path_factory.mktemp("compare")
    config = make_config(ROWS, links=2, inferences=12, repeats=8)
    before = write_run(folder / "before", config, seed=1)
    again = write_run(folder / "again", config, seed=2)
    slower = write_run(folder / "slower", config, seed=3)
    edit(slower, lambda line: slow(line, 1.3))
    nano = write_run(
        folder / "nano",
        make_config(ROWS, backends=("cpu", "tensorrt"), inferences=8),
        "nano",
        same_machine=False,
    )
    add_power(nano)
    return {"before": before, "again": again, "slower": slower, "nano": nano}


def edit(run, change_line):
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    kept = [change_line(line) for line in lines]
    (run / "samples.jsonl").write_text("".join(json.dumps(x) + "\n" for x in kept if x))


def slow(line, factor):
    line["stages"] = {name: s * factor for name, s in line["stages"].items()}
    line["total_s"] *= factor
    return line


def run(capsys, *arguments):
    code = guarded(compare, [str(a) for a in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def as_json(capsys, *arguments):
    """The printed document, which keeps to its published schema."""
    code, out, err = run(capsys, *arguments, "--json")
    document = json.loads(out)
    SCHEMA.validate(document)
    return code, document


def test_the_schema_refuses_a_gate_without_a_verdict(runs, capsys):
    _, document = as_json(capsys, runs["before"], runs["slower"], "--fail-over", "5%")
    del document["gate"]["passed"]
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(document)


def test_the_same_twice_passes(runs, capsys):
    code, document = as_json(capsys, runs["before"], runs["again"], "--fail-over", "10%")
    assert code == 0 and document["gate"]["passed"]
    verdicts = [
        r["verdict"] for r in document["table"]["rows"] if r["metric"] in ("Local", "Server")
    ]
    assert verdicts and set(verdicts) == {"no difference shown"}


def test_what_is_slower_fails_with_the_effect_and_its_interval(runs, capsys):
    code, out, _ = run(capsys, runs["before"], runs["slower"], "--fail-over", "5%")
    assert code == 1
    assert re.search(r"LC 1: End-to-end latency at 100 kbit/s is worse by [23]\d\.", out)
    assert "Failed: " in out
    _, document = as_json(capsys, runs["before"], runs["slower"])
    assert document["gate"] is None
    before, after = (
        pd.read_json(runs[n] / "samples.jsonl", lines=True) for n in ("before", "slower")
    )
    seen = 0
    for row in document["table"]["rows"]:
        if row["metric"] != "End-to-end latency" or not row["config"].startswith("LC"):
            continue
        id = row["config"].replace(" ", "")
        a, b = (s[(s.config == id) & ~s.warmup].total_s for s in (before, after))
        found = row["change_percent"]
        assert found["value"] == pytest.approx(100 * (b.median() / a.median() - 1))
        assert row["a"]["value"] == pytest.approx(a.median())
        assert found["low"] < 30 < found["high"] and found["low"] > 20
        assert row["verdict"] == "worse" and row["p_corrected"]["value"] < 0.05
        seen += 1
    assert seen == 2


def test_faster_is_better_and_passes(runs, capsys):
    code, document = as_json(capsys, runs["slower"], runs["before"], "--fail-over", "0%")
    rows = {(r["metric"], r["config"]): r for r in document["table"]["rows"]}
    assert rows["Local", "LC 1"]["verdict"] == "better"
    failed = {f["metric"] for f in document["gate"]["failed"]}
    assert "Local" not in failed and "Server" not in failed


def test_two_backends_of_one_run(runs, capsys, tmp_path):
    nano = runs["nano"]
    code, out, _ = run(capsys, f"{nano}:cpu", f"{nano}:tensorrt", "--out", tmp_path)
    assert code == 0 and "backend tensorrt" in out
    rows = pd.read_csv(tmp_path / "compare.csv")
    energy = rows[rows.metric == "Energy"]
    assert len(energy) == len(ROWS) and energy.change_percent.notna().all()
    for name in ("compare.md", "compare.json"):
        assert (tmp_path / name).stat().st_size > 1000
    check_package(tmp_path / "compare.datapackage.json", ["compare"])


def test_a_configuration_that_broke_fails_the_gate(runs, capsys, tmp_path):
    config = make_config(ROWS, links=2, inferences=12, repeats=8)
    broken = write_run(tmp_path / "broken", config, seed=4, skip=("Ours1",))
    code, out, _ = run(capsys, runs["before"], broken, "--fail-over", "50")
    assert code == 1 and "Ours 1: End-to-end latency at 100 kbit/s is gone: the run stopped" in out


def test_too_few_blocks_get_no_verdict_and_the_number_that_would_do(capsys, tmp_path):
    config = make_config(["LC1", "Ours1"], inferences=6)
    a = write_run(tmp_path / "a", config, seed=1)
    b = write_run(tmp_path / "b", config, seed=2)
    edit(b, lambda line: slow(line, 3))
    code, out, _ = run(capsys, a, b, "--fail-over", "5%")
    assert code == 0 and "were not judged: run at least 6 blocks (repeats) on each side" in out
    _, document = as_json(capsys, a, b)
    few = "1 and 1 blocks give no verdict; 6 on each side are enough."
    assert few in document["table"]["notes"]
    for row in document["table"]["rows"]:
        if row["metric"] != "Local GMAC":
            assert row["verdict"] == "no verdict"
            assert row["p_corrected"]["value"] is None and "low" not in row["change_percent"]
    config = make_config(["LC1", "Ours1"], inferences=6, repeats=6)
    a = write_run(tmp_path / "more a", config, seed=1)
    b = write_run(tmp_path / "more b", config, seed=2)
    edit(b, lambda line: slow(line, 3))
    assert run(capsys, a, b, "--fail-over", "5%")[0] == 1


def test_the_papers_figures_are_printed_next_to_ours_with_the_ratio(runs, capsys, tmp_path):
    code, document = as_json(capsys, runs["nano"], "--against", "published", "--out", tmp_path)
    rows = document["table"]["rows"]
    memory = pd.read_json(runs["nano"] / "memory.jsonl", lines=True)
    stated = {"LC 1": (2.17, 0.785), "Ours 1": (0.409, 0.560)}
    seen = 0
    for row in (r for r in rows if r["quantity"] == "Peak memory" and r["config"] in stated):
        cuda = "tensorrt" in row["series"]
        own = memory[(memory.config == row["config"].replace(" ", ""))]
        own = own[own.backend == ("tensorrt" if cuda else "cpu")].process_peak_bytes.max() / 1e9
        assert row["published"]["value"] == stated[row["config"]][cuda]
        assert row["ratio"]["value"] == pytest.approx(own / stated[row["config"]][cuda])
        assert "published" in row["ratio"]["sources"] and "Table S1" in row["where"]
        seen += 1
    assert seen == 4
    quantities = {row["quantity"] for row in rows}
    assert {"Mean data size", "Encoder size", "Parameters"} <= quantities
    assert any("saved" in quantity for quantity in quantities)
    assert "| Peak memory |" in (tmp_path / "against.md").read_text()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["{before}"], "compare needs two runs, not 1"),
        (["{before}:cuda", "{again}"], "has no backend 'cuda'"),
        (["{before}", "{again}", "--fail-over", "much"], "--fail-over takes a percentage"),
        (["{before}", "{again}", "--fail-over", ""], "--fail-over takes a percentage"),
        (
            ["{before}", "--against", "published", "--fail-over", "5%"],
            "--fail-over is for two runs",
        ),
    ],
)
def test_bad_usage_is_one_sentence(runs, capsys, arguments, words):
    code, _, err = run(capsys, *(a.format(**runs) for a in arguments))
    assert code == 2 and words in err and "Traceback" not in err


def test_runs_without_anything_in_common_are_refused(runs, capsys, tmp_path):
    other = write_run(tmp_path / "other", make_config(["LC7"]))
    code, _, err = run(capsys, runs["before"], other)
    assert code == 1 and "no measured figure in common" in err


def blocks(values):
    return [[("image", float(value))] for value in values]


@pytest.mark.parametrize("n, m", [(1, 1), (3, 3), (4, 4), (6, 6), (7, 5), (12, 9)])
def test_p_is_scipys_exact_rank_test_and_has_its_floor(n, m):
    dice = np.random.default_rng(n)
    for shift in (0, 0.3, 9):
        a, b = dice.lognormal(0, 0.1, n), dice.lognormal(shift, 0.1, m)
        percent = 100 * (np.median(b) / np.median(a) - 1)
        made = change.of_blocks(percent, blocks(a), blocks(b))
        wanted = stats.mannwhitneyu(a, b, method="exact").pvalue
        if 2 / math.comb(n + m, n) >= 0.05:
            assert made.p is None and made.wanted == 4
        elif made.p < 1:
            assert made.p == pytest.approx(wanted) and made.p >= 2 / math.comb(n + m, n)


def test_verdict_interval_and_p_never_contradict_each_other():
    dice = np.random.default_rng(5)
    kinds = set()
    for _ in range(1500):
        n, m, rows = dice.integers(4, 9), dice.integers(4, 9), dice.integers(1, 30)
        a = np.round(dice.lognormal(0, 0.05, n), dice.integers(1, 4))
        b = np.round(dice.lognormal(dice.choice([0, 0.05, -0.3, 0.3]), 0.05, m), 3)
        percent = 100 * (np.median(b) / np.median(a) - 1)
        made = change.of_blocks(percent, blocks(a), blocks(b), rows)
        kinds.add(made.shown)
        if made.shown is None:
            assert made.low is None and made.p is None and made.wanted >= 5 - (rows == 1)
            continue
        assert made.low <= made.percent <= made.high
        assert made.shown == (made.p < 0.05) == (not made.low <= 0 <= made.high)
    assert kinds == {None, True, False}


def test_images_that_differ_are_paired():
    """Images take 1 to 100 units, a block measures some of them: only a paired test sees 10 %."""
    dice = np.random.default_rng(3)

    def side(factor):
        made = []
        for _ in range(6):
            images = dice.choice(100, 20, replace=False)
            made.append([(f"{i}", (1 + i) * factor * dice.lognormal(0, 0.01)) for i in images])
        return made

    a, b = side(1.0), side(1.1)
    assert change.of_blocks(10.0, a, b).shown
    nameless = [[[("", value) for _, value in block] for block in s] for s in (a, b)]
    assert not change.of_blocks(10.0, *nameless).shown


def test_blocks_that_differ_cause_no_false_alarm():
    """Processes differ by 5 %: a test of samples would flag most pairs of equal runs."""
    dice = np.random.default_rng(11)

    def side():
        return [
            [
                (str(i), value)
                for i, value in enumerate(dice.lognormal(dice.normal(0, 0.05), 0.02, 10))
            ]
            for _ in range(6)
        ]

    flagged = sum(bool(change.of_blocks(1.0, side(), side()).shown) for _ in range(300))
    assert stats.binomtest(flagged, 300, 0.05, alternative="greater").pvalue > 0.01


def test_single_values_of_memory_get_no_verdict_and_counts_that_print_alike_are_equal(
    capsys, tmp_path
):
    config = make_config(["LC1"], inferences=6)
    a = write_run(tmp_path / "a", config, seed=1)
    b = write_run(tmp_path / "b", config, seed=2)
    _, document = as_json(capsys, a, b)
    rows = {row["metric"]: row["verdict"] for row in document["table"]["rows"]}
    assert rows["Peak memory"].startswith("no verdict") and rows["Local GMAC"] == "equal"


def test_runs_without_a_link_in_common_fail_the_gate_and_say_so(capsys, tmp_path):
    config = make_config(["LC1", "Ours1"], links=1, inferences=8)
    other = config.links[0]._replace(kind="shaped")
    a = write_run(tmp_path / "a", config, seed=1)
    b = write_run(tmp_path / "b", config._replace(links=(other,)), seed=2)
    code, out, _ = run(capsys, a, b, "--fail-over", "400%")
    assert code == 1 and "Ours 1: End-to-end latency is gone: A and B have no link" in out
    _, document = as_json(capsys, a, b)
    metrics = {(r["metric"], r["config"]): r for r in document["table"]["rows"]}
    assert metrics["Local", "Ours 1"]["change_percent"]["value"] is not None
    assert metrics["Server", "Ours 1"]["change_percent"]["value"] is not None
    assert metrics["End-to-end latency", "LC 1"]["change_percent"]["value"] is not None
    notes = " ".join(document["table"]["notes"])
    assert "Links not in B: 100 kbit/s, simulated." in notes
    assert "Links not in A: 100 kbit/s, shaped." in notes


def test_links_that_differ_in_their_source_alone_are_compared(capsys, tmp_path):
    config = make_config(["Ours1"], links=1, inferences=8)
    other = config.links[0]._replace(source="another source")
    a = write_run(tmp_path / "a", config, seed=1)
    b = write_run(tmp_path / "b", config._replace(links=(other,)), seed=2)
    _, document = as_json(capsys, a, b)
    rows = [r for r in document["table"]["rows"] if r["metric"] == "End-to-end latency"]
    assert [row["link"] for row in rows] == ["100 kbit/s"]
    assert rows[0]["change_percent"]["value"] is not None


def test_accuracies_of_two_backends_are_not_mixed(tmp_path):
    """Of one run with two backends against one with one; and of one backend against another."""

    def found(*backends):
        one = accuracy()
        results = one["bundles"]["mobilenet_v3_large"]["results"]
        one["bundles"] = {
            "mobilenet_v3_large": {
                "trained": True,
                "results": [
                    dict(
                        results[0], backend=b, metrics={"top1_percent": figure(p, 0.5)} if p else {}
                    )
                    for b, p in backends
                ],
            }
        }
        return read_accuracy([], [write(tmp_path / "accuracy.json", one)])

    both, cpu = found(("cpu", 70.0), ("tensorrt", 60.0)), found(("cpu", 71.0))
    pairs = {pair.metric: pair for pair in _accuracies(None, None, both, cpu)}
    ours = next(pair for name, pair in pairs.items() if name.endswith(", cpu"))
    other = next(pair for name, pair in pairs.items() if name.endswith(", tensorrt"))
    assert (ours.a.value, ours.b.value) == (70.0, 71.0)
    assert other.a.value == 60.0 and other.b.value is None
    (pair,) = _accuracies(None, None, found(("tensorrt", 60.0)), cpu)
    assert (pair.a.value, pair.b.value) == (60.0, 71.0)
    with_bytes = found(("cpu", None), ("cpu", 60.0))  # bytes alone of the same folder
    first, second = _accuracies(None, None, with_bytes, cpu)
    assert not first.broken and (second.a.value, second.b.value) == (60.0, 71.0)
    (pair,) = _accuracies(None, None, cpu, with_bytes)
    assert (pair.a.value, pair.b.value) == (71.0, 60.0)
