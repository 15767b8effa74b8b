"""Tables of what blocks record besides samples: throughput, cold starts, measured links."""

import json

import pandas as pd
import pytest

from splitwatt.profiler.records.blocks import LinkRate, Start, Throughput
from splitwatt.profiler.records.fields import parse
from splitwatt.reports.write.write import make_report
from tests.conftest import splitwatt
from tests.reports.synthetic import make_config, write_run


def append(file, record, rows):
    with open(file, "a") as stream:
        for row in rows:
            stream.write(json.dumps(parse(record, row, file.name)._asdict()) + "\n")


def start(block, opened, cuda):
    return {"config": "Ours1", "backend": "cpu", "block": block, "cuda_init_s": cuda,
            "open_s": opened, "server_load_s": 2.5, "first_inference_s": None, "warmups": 4,
            "steady": True, "fallbacks": [],
            "built": ["small@1: encoder: tensorrt 8.2.1, fp16 and not fp32"]}  # fmt: skip


def throughput(block, images, seconds):
    return {"config": "Ours1", "backend": "cpu", "block": block, "pipelined": True,
            "images": images, "failed": 1, "duration_s": seconds,
            "images_per_s": images / seconds}  # fmt: skip


def rate(when, up):
    return {"block": "Ours1-cpu-0", "when": when, "monotonic_s": 1.0, "uplink_kbit_s": up,
            "downlink_kbit_s": None, "uplink_bytes": 10_000, "downlink_bytes": 0,
            "why_not": None}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runtime")
    config = make_config(["LC1", "Ours1"], links=1, inferences=6)
    shaped = config.links[0]._replace(name="shaped 100", kind="shaped")
    run = write_run(folder / "run", config._replace(links=(shaped,)))
    document = json.loads((run / "run.json").read_text())
    document["blocks"].append(
        {"id": "Ours1-cpu-1", "config": "Ours1", "backend": "cpu", "repeat": 1}
    )
    (run / "run.json").write_text(json.dumps(document))
    starts = [start("Ours1-cpu-0", 0.5, None), start("Ours1-cpu-1", 0.7, None)]
    append(run / "starts.jsonl", Start, starts)
    append(run / "throughput.jsonl", Throughput, [throughput("Ours1-cpu-0", 40, 10.0),
                                                          throughput("Ours1-cpu-1", 20, 20.0)])  # fmt: skip
    append(run / "links.jsonl", LinkRate, [rate("before", 99.0), rate("after", 97.0)])
    make_report([run], folder / "report")
    return run, folder / "report"


def test_starts_are_means_over_processes(made):
    row = pd.read_csv(made[1] / "starts.csv").iloc[0]
    assert row.config == "Ours 1" and row.open_s == pytest.approx(0.6)
    assert row.server_load_s == 2.5 and row.warmups == 4
    assert row.built == "tensorrt 8.2.1, fp16 and not fp32"
    assert pd.isna(row.cuda_init_s) and pd.isna(row.first_inference_s)


def test_throughput_pools_images_and_seconds(made):
    row = pd.read_csv(made[1] / "throughput.csv").iloc[0]
    assert row.images_per_s == pytest.approx(60 / 30) and row.images == 60 and row.failed == 2


def test_a_shaped_link_is_measured_and_adds_nothing(made):
    run, folder = made
    row = pd.read_csv(folder / "links.csv").iloc[0]
    assert row.uplink_kbit_s == 98.0 and row.asked_kbit_s == 100 and pd.isna(row.downlink_kbit_s)
    found = json.loads((folder / "report.json").read_text())["tables"]["latency"]["rows"]
    ours = next(r for r in found if r["config"] == "Ours 1")
    assert ours["end_to_end_s"]["sources"] == ["measured"]
    assert "in the network's time" in ours["uplink_s"]["why"]
    samples = pd.read_json(run / "samples.jsonl", lines=True)
    own = samples[(samples.config == "Ours1") & ~samples.warmup]
    assert ours["end_to_end_s"]["value"] == pytest.approx(own.total_s.median())
    text = (folder / "report.md").read_text()
    assert "shaped 100: shaped, 100 kbit/s" in text
    assert not json.loads((folder / "report.json").read_text())["tables"]["breakeven"]["rows"]


def test_throttling_an_unsteady_warm_up_and_an_odd_link_are_reported(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "Ours1"], links=1, inferences=7))
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        hot = line["config"] == "LC1" and line["inference"] >= 4 and not line["warmup"]
        line.update(throttled=hot, throttled_by="cooling device 0" if hot else None)
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cold = {**start("Ours1-cpu-0", 0.5, None), "steady": False}
    append(run / "starts.jsonl", Start, [cold])
    document = json.loads((run / "run.json").read_text())
    slow = "Ours1-cpu-0, before: the uplink has 80 kbit/s, slower than the 100 asked for"
    (run / "run.json").write_text(json.dumps({**document, "network_notes": [slow]}))
    report = make_report([run], tmp_path / "r")
    reported = "\n".join(report.shortfalls)
    assert "LC1-cpu-0: the board throttled (cooling device 0)." in reported
    assert (
        "not stable when the warm-up reached its cap: Ours1-cpu-0." in reported and slow in reported
    )
    rows = pd.read_csv(tmp_path / "r" / "samples.csv").set_index("config")
    assert list(rows.throttled) == [3, 0]
    assert pd.isna(rows.unsteady["LC 1"]) and rows.unsteady["Ours 1"] == 1
    assert "The board throttled in samples of LC 1." in report.table("latency").notes
    (figure,) = (drawing for drawing in report.figures if drawing.name == "latency_100_kbit_s")
    assert "throttled in samples of LC 1." in figure.caption
    assert "blocks of Ours 1." in figure.caption


def test_a_boards_quota_is_in_its_name_and_in_the_sources_of_its_times(tmp_path):
    run = write_run(tmp_path / "run", make_config(["LC1", "Ours1"], links=1, inferences=6))
    document = json.loads((run / "run.json").read_text())
    document["quota"] = {"share": 0.12, "cpus": 2, "quota_us": 1000, "period_us": 4167, "cgroup": 2,
                         "measured_share": 0.118, "throttled_s": 9.5}  # fmt: skip
    (run / "run.json").write_text(json.dumps(document))
    printed = splitwatt("report", run, "--out", tmp_path / "report").stdout
    assert printed.startswith("Summary, board cpu at quota 0.12, backend cpu")
    assert "measured+quota" in printed
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["runs"][0]["board"] == "cpu at quota 0.12"
    assert any("quota: the board's process had 0.118 of 2 processors" in text
               for text in report["missing"])  # fmt: skip
    rows = {row["config"]: row for row in report["tables"]["latency"]["rows"]}
    assert {row["board"] for row in rows.values()} == {"cpu at quota 0.12"}
    timed = {key for key in rows["LC 1"] if key.startswith(("end_to_end", "local"))}
    assert timed
    for row in rows.values():
        assert all("quota" in row[key]["sources"] for key in timed if row[key]["value"])
    quantiles = pd.read_csv(tmp_path / "report" / "quantiles.csv")
    assert set(quantiles.p50_s_source) == {"measured+quota"}
    markdown = (tmp_path / "report" / "report.md").read_text()
    had = "Board cpu at quota 0.12: the board's process had 0.118 of 2 processors (0.12 asked for)"
    for name in ("latency_100_kbit_s", "latency_all", "turning"):
        caption = (tmp_path / "report" / f"{name}.caption.txt").read_text()
        assert had in caption and "quota" in caption.partition("Sources: ")[2]
    assert markdown.count(had) > 4  # the summary and latency tables have it, too
