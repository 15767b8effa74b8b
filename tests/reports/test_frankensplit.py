"""FrankenSplit's Tables 5 to 7 and Fig. 20, where its systems are in a run."""

import json

import pandas as pd
import pytest

from reports.write import make_report
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
    assert (folder / "wireless.svg").stat().st_size > 5000


def test_a_run_without_its_systems_has_none_of_this(half):
    assert not half.json["tables"]["frankensplit_wireless"]["rows"]
    assert not (half.folder / "wireless.svg").exists()
