"""FrankenSplit's Tables 5 to 7 and Fig. 20, where its systems are in a run."""

import json

import pandas as pd
import pytest

from splitwatt.profiler.records.run import read_run
from splitwatt.reports.figures.draw import drawings
from splitwatt.reports.load.model import series_of
from splitwatt.reports.papers.published import rows
from splitwatt.reports.write.write import make_report
from tests.reports.synthetic import make_config, write_run

RATES = {"BLE": 0.27, "4G": 12.0, "Wi-Fi": 54.0, "5G": 66.9}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A synthetic Ladon run whose models are called FrankenSplit's."""
    folder = tmp_path_factory.mktemp("frankensplit")
    run = write_run(folder / "run", make_config(["Ours1", "Ours2"], links=1, inferences=9))
    for name in ("run.json", "samples.jsonl"):
        text = (run / name).read_text()
        text = text.replace("ladon_r50@0.32", "frankensplit_swin_b@0.32")
        (run / name).write_text(text.replace("ladon_r50@1.28", "webp@50+swin_b"))
    document = json.loads((run / "run.json").read_text())
    parts = document["bundles"]["frankensplit_swin_b@0.32"]["parts"]
    parts.append({**parts[1], "name": "decoder", "params": 2_060_000})
    (run / "run.json").write_text(json.dumps(document))
    make_report([run], folder / "report")
    samples = pd.read_json(run / "samples.jsonl", lines=True)
    return folder / "report", samples[~samples.warmup]


def test_latency_at_the_rates_of_wireless_standards(made):
    folder, samples = made
    rows = pd.read_csv(folder / "frankensplit_wireless.csv")
    assert len(rows) == 8
    for _, row in rows.iterrows():
        own = samples[samples.config == row.config.replace(" ", "")]
        transfer = 8 * own.payload_bytes / (1e6 * RATES[row.standard])
        assert row.transfer_ms == pytest.approx(1000 * transfer.median())
        assert row.total_ms == pytest.approx(1000 * (own.total_s + transfer).median())
    printed = rows.set_index(["standard", "config"]).published_total_nx_ms
    assert printed["BLE", "Ours 1"] == 225.83 and printed["4G", "Ours 2"] == 32.63


def test_components_and_backbones(made):
    folder, samples = made
    row = pd.read_csv(folder / "frankensplit_components.csv").set_index("config").loc["Ours 1"]
    own = samples[samples.config == "Ours1"].stages
    encoder = own.map(lambda s: s["all.encoder"])
    full = own.map(lambda s: s["all.encoder"] + s["all.server.body"])
    assert row.encode_ms == pytest.approx(1000 * encoder.median())
    assert row.full_ms == pytest.approx(1000 * full.median())
    assert row.decoder_params_m == 2.06 and row.published_full_nx_ms == 16.34
    backbone = pd.read_csv(folder / "frankensplit_backbones.csv").iloc[0]
    assert backbone.inference_ms == pytest.approx(row.full_ms)
    whole = row.encoder_params_m + 2.06 + 23  # beyond Table 2's Swin-B
    assert backbone.overhead_percent == pytest.approx(100 * (whole / 71.13 - 1))
    assert backbone.published_nx_ms == 16.12


def test_fig_20_is_drawn(made):
    folder, _ = made
    figures = {f["name"]: f for f in json.loads((folder / "report.json").read_text())["figures"]}
    assert "Fig. 20" in figures["wireless"]["title"]
    assert "Fig. 20" in figures["wireless_without_coding"]["title"]
    assert (folder / "wireless.svg").stat().st_size > 5000


def test_a_run_without_its_systems_has_none_of_this(half):
    assert not half.json["tables"]["frankensplit_wireless"]["rows"]
    assert not (half.folder / "wireless.svg").exists()


def test_the_total_as_the_paper_counts_has_no_coding_and_no_handcrafted_codec(made):
    folder, samples = made
    rows = pd.read_csv(folder / "frankensplit_wireless.csv")
    for _, row in rows.iterrows():
        own = samples[samples.config == row.config.replace(" ", "")]
        transfer = 8 * own.payload_bytes / (1e6 * RATES[row.standard])
        parts = ["all.server.body"] + ["all.encoder"] * (row.config == "Ours 1")
        seconds = own.stages.map(lambda s, parts=parts: sum(s[p] for p in parts)) + transfer
        assert row.total_without_coding_ms == pytest.approx(1000 * seconds.median())


def test_its_printed_systems_are_those_of_the_zoo():
    from splitwatt.export import zoo
    from splitwatt.export.zoo.input_compression import CODEC_ROWS

    printed = [r["system"] for n in ("components", "wireless") for r in rows(f"frankensplit_{n}")]
    printed += [r["model"] for r in rows("frankensplit_backbones")]
    known = {*CODEC_ROWS, *zoo.systems()}
    assert {name for name in printed if name} <= known
    assert CODEC_ROWS["lu2022"].unavailable and CODEC_ROWS["chen2021"].unavailable


def test_another_backbone_has_no_figure_of_swin_b_beside_it(tmp_path):
    run = write_run(tmp_path / "run", make_config(["Ours1", "Ours2"], links=1, inferences=6))
    for name in ("run.json", "samples.jsonl"):
        text = (run / name).read_text().replace("ladon_r50@0.32", "frankensplit_convnext_t@0.32")
        (run / name).write_text(text.replace("ladon_r50@1.28", "mbt2018_mean@6+swin_s3_base_224"))
    make_report([run], tmp_path / "r")
    printed = pd.read_csv(tmp_path / "r" / "frankensplit_components.csv").set_index("config")
    assert pd.isna(printed.published_full_nx_ms["Ours 1"])
    assert printed.published_full_nx_ms["Ours 2"] == 44.17
    wireless = pd.read_csv(tmp_path / "r" / "frankensplit_wireless.csv")
    assert wireless[wireless.config == "Ours 1"].published_total_nx_ms.isna().all()
    assert wireless[wireless.config == "Ours 2"].published_total_nx_ms.notna().all()


def test_fig_20_shows_both_totals_of_the_table(made):
    folder, _ = made
    stated = pd.read_csv(folder / "frankensplit_wireless.csv")
    run = read_run(str(folder.parent / "run"))
    found = {drawing.name: drawing.draw() for drawing in drawings(series_of([run]))}
    for name, key in (
        ("wireless", "total_ms"),
        ("wireless_without_coding", "total_without_coding_ms"),
    ):
        lines = [line for line in found[name].axes[0].lines if line.get_marker() in [*"Do^s"]]
        drawn = sorted(float(y) for line in lines for y in line.get_ydata())
        assert drawn == pytest.approx(sorted(stated[key]))
