"""`splitwatt choose` against other ways to the same figures, on real runs."""

import json
import shutil

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import yaml

from splitwatt.device_configs import printable
from splitwatt.profiler.analyse.times import server_s
from splitwatt.profiler.choose.cli import choose
from splitwatt.profiler.deploy.policy import read_policy
from splitwatt.profiler.records.run import read_run
from tests.board.stalls import check_traces, undisturbed
from tests.conftest import ROOT
from tests.profiler.conftest import command

EXAMPLE = ROOT / "examples" / "table3-cpu" / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The example of 40 configurations with an accuracy that grows with the bytes, made up."""
    folder = tmp_path_factory.mktemp("choose") / "run"
    shutil.copytree(EXAMPLE, folder)
    document = json.loads((folder / "run.json").read_text())
    figures = {}
    for number, model in enumerate(sorted({b["model"] for b in document["bundles"].values()})):
        value = 50.0 + number
        metric = {
            "value": value,
            "n": 1000,
            "low": value - 3,
            "high": value + 3,
            "interval": "95 %",
        }
        result = {"task": "classification", "data_set": "made up", "images": 1000,
                  "preprocess": "runtime", "metrics": {"top1_percent": metric}}  # fmt: skip
        figures[model] = {"trained": False, "results": [result]}
    accuracy = {"format": 1, "evaluated_wall": "2025-01-01T00:00:00Z", "bundles": figures}
    (folder / "accuracy.json").write_text(json.dumps(accuracy))
    return folder


def chosen(*arguments):
    code, out, err = command("choose", *arguments, "--json")
    assert "Traceback" not in err
    return code, json.loads(out) if out else err


def test_latency_is_that_of_the_samples_and_its_bound_that_of_the_binomial_distribution(run):
    _, document = chosen(run, "--deadline", "1s", "--share", "0.6", "--rate", "100kbit")
    measured = read_run(str(run))
    assert len(document["configurations"]) == 40
    for row in document["configurations"]:
        samples = measured.measured(row["config"], row["backend"])
        sizes = [s.published_payload_bytes or s.payload_bytes or 0 for s in samples]
        times = sorted(s.total_s + 8e-5 * size for s, size in zip(samples, sizes))
        assert row["latency"]["value"] == pytest.approx(np.quantile(times, 0.6), rel=1e-9)
        # So many of n values may lie above the quantile with a probability below 5 %.
        above = [k for k in range(len(times)) if scipy.stats.binom.cdf(k, len(times), 0.4) < 0.05]
        assert row["latency"]["high"] == pytest.approx(times[len(times) - max(above)])


def test_the_front_is_that_of_comparing_everything_with_everything(run):
    _, document = chosen(run, "--deadline", "1s", "--share", "0.5")
    rows = [row for row in document["configurations"] if len(row["models"]) == 1]
    assert any(row["quality"] for row in rows)
    names = next(n for n in document["notes"] if n.startswith("the Pareto front is of"))
    assert (
        names == "the Pareto front is of latency, bytes"
    )  # configurations of three models have none
    everything = document["configurations"]
    for row in everything:
        better = [o for o in everything
                  if (o["latency"]["value"], o["bytes"]) != (row["latency"]["value"], row["bytes"])
                  and o["latency"]["value"] <= row["latency"]["value"]
                  and o["bytes"] <= row["bytes"]]  # fmt: skip
        assert row["front"] == (not better)


def test_a_bound_is_met_by_the_end_of_the_interval_alone(run):
    _, document = chosen(run, "--deadline", "100s", "--share", "0.5", "--min-accuracy", "74")
    seen = set()
    for row in document["configurations"]:
        figure = row["quality"]
        expected = "open" if figure is None else "missed" if figure["value"] < 74 else (
            "met" if figure["low"] >= 74 else "open")  # fmt: skip
        assert row["verdicts"]["quality"] == expected
        seen.add(expected)
    assert seen == {"open", "missed", "met"}
    verdicts = [row["verdict"] for row in document["configurations"]]
    assert verdicts == sorted(verdicts, key=["met", "open", "missed"].index)


def test_qualities_of_different_kinds_are_not_compared(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    text = (other / "accuracy.json").read_text()
    (other / "accuracy.json").write_text(text.replace("made up", "own"))
    code, err = chosen(run, other, "--deadline", "1s")
    assert code == 2 and "cannot be compared: top1_percent of made up; top1_percent of own" in err
    _, document = chosen(run, "--deadline", "1s", "--task", "segmentation")
    assert "%s has no accuracy and no agreement of segmentation" % run in str(document["notes"])


def test_few_samples_are_not_certain(run):
    code, document = chosen(run, "--deadline", "100s", "--share", "0.9")
    assert code == 1
    assert {row["verdict"] for row in document["configurations"]} == {"open"}
    assert any("fewer than the 46 samples" in text for text in document["notes"])


def test_a_deadline_that_nothing_meets_says_by_how_much(run):
    code, document = chosen(run, "--deadline", "1ms", "--share", "0.5")
    assert code == 1
    assert any("nothing meets the deadline: the fastest, " in note for note in document["notes"])


def test_a_narrow_terminal_has_each_configuration_on_a_line(run, monkeypatch, capsys):
    monkeypatch.setattr(printable, "width", lambda: 70)
    choose([str(run), "--deadline", "1s"])
    out = capsys.readouterr().out
    ids = {row.id for row in read_run(str(run)).config.configurations}
    assert {line.split()[0] for line in out.splitlines()[1:41]} == ids and len(ids) == 40
    assert "no room for: J 95 %, quality 95 %" in out
    assert max(map(len, out.splitlines())) <= 70


def test_a_policy_holds_what_was_measured_and_run_takes_it(tiny, config, tmp_path, photographs):
    path = tmp_path / "run"
    code, _, err = command("profile", "--config", config(10), "--bundles", tiny, "--out", path)
    assert code == 0, err
    policy, figure = tmp_path / "policy.yaml", tmp_path / "front.pdf"
    code, out, err = command("choose", path, "--deadline", "30s", "--share", "0.5", "--policy", policy,
                             "--figure", figure)  # fmt: skip
    assert code == 0 and "policy.yaml has 2 configurations" in out, out + err
    assert figure.read_bytes().startswith(b"%PDF")
    read = read_policy(str(policy))
    assert read.deadline_s == 30.0 and {p.config for p in read.points} == {"LC1", "Ours1"}
    samples = read_run(str(path)).measured("Ours1")
    ours = next(point for point in read.points if point.config == "Ours1")
    assert ours.wire_bytes == np.median([s.wire_up_bytes for s in samples])
    rest_s = [s.total_s - server_s(s) for s in samples]
    assert ours.board_s == pytest.approx(np.median(rest_s))
    assert 0 < ours.server_s < 30 and ours.quality is None
    document = yaml.safe_load(policy.read_text())
    assert all(not point["bundle"].startswith("/") for point in document["points"])


def test_a_bound_of_joules_is_met_by_the_end_of_their_interval_alone(tiny, tmp_path):
    """A made-up sensor's joules, integrated by scipy over each of the run's traces."""
    config = tmp_path / "local.yaml"
    config.write_text("""
format: 1
name: local
warmup: 1
inferences: 300
repeats: 2
links: [{name: "100 kbit/s", kind: simulated, rate_kbit_s: 100}]
configurations: {LC1: {local: [tiny_local]}}
""")

    def measured(n):
        out = tmp_path / ("run%d" % n)
        code, _, err = command("profile", "--config", config, "--bundles", tiny, "--driver",
                               "generated", "--out", out)  # fmt: skip
        assert code == 0, err
        check_traces(out)
        return out

    path = undisturbed(measured)
    _, document = chosen(path, "--deadline", "100s", "--share", "0.5")
    [row] = document["configurations"]
    value, low, high = (row["joules"][name] for name in ("value", "low", "high"))
    run = read_run(str(path))
    by_block = []
    for window in run.windows:
        if window.name != "inferences":
            continue
        trace = np.loadtxt(
            run.power[window.block], delimiter=",", skiprows=1, usecols=(0, 1), comments="#"
        )
        inside = trace[(trace[:, 0] >= window.start_s) & (trace[:, 0] <= window.end_s)]
        joules = scipy.integrate.simpson(inside[:, 1], x=inside[:, 0])
        by_block.append(joules / sum(s.block == window.block for s in run.measured("LC1")))
    assert value == pytest.approx(np.mean(by_block), rel=0.15) and low < value < high
    assert any("made-up sensor" in note for note in document["notes"])
    for most, verdict in (
        (1.01 * high, "met"),
        ((value + high) / 2, "open"),
        (0.99 * value, "missed"),
    ):
        code, document = chosen(path, "--deadline", "100s", "--share", "0.5", "--max-joules", most)
        assert document["configurations"][0]["verdicts"]["joules"] == verdict
        assert code == (0 if verdict == "met" else 1)
    figure = tmp_path / "front.pdf"
    code, out, _ = command(
        "choose", path, "--deadline", "100s", "--share", "0.5", "--figure", figure
    )
    assert (
        code == 0
        and figure.read_bytes().startswith(b"%PDF")
        and "%.3f to %.3f" % (low, high) in out
    )


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["nowhere", "--deadline", "1s"], "there is no run in nowhere"),
        (["RUN", "--deadline", "fast"], "must be from 1ms to 600s"),
        (["RUN", "--deadline", "0s"], "must be from 1ms to 600s"),
        (["RUN"], "--deadline"),
        (["RUN", "--deadline", "1s", "--rate", "many"], "is neither a rate"),
    ],
)
def test_bad_input_is_one_sentence(run, arguments, sentence):
    words = [str(run) if word == "RUN" else word for word in arguments]
    code, _, err = command("choose", *words)
    assert code in (1, 2) and sentence in err and "Traceback" not in err


@pytest.mark.parametrize("text", ["[]", '{"format": 1, "bundles": 3}', '{"bundles": {"a": {}}}',
                                  '{"bundles": {"a": {"results": [3]}}}'])  # fmt: skip
def test_an_accuracy_file_that_cannot_be_one_is_one_sentence(run, tmp_path, text):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "accuracy.json").write_text(text)
    code, _, err = command("choose", folder, "--deadline", "1s")
    assert code == 1 and "accuracy.json" in err and "Traceback" not in err
