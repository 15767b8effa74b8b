"""Every number of the CSV files and of report.json, recomputed with pandas and scipy alone."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

KEYS = ["run", "board", "backend", "config"]


def printed(id):
    letters = id.rstrip("0123456789")
    return f"{letters} {id[len(letters) :]}" + ("†" if id == "SC6" else "")


def raw(path):
    """A run's documents as JSON and its samples that count as a table, read without splitwatt."""
    document = json.loads((path / "run.json").read_text())
    samples = pd.read_json(path / "samples.jsonl", lines=True)
    samples = samples[(samples.status == "ok") & ~samples.warmup].copy()
    samples["board"] = document["targets"]["board"]
    samples["id"] = samples["config"]
    samples["config"] = samples["config"].map(printed)
    samples["run"] = document["name"]
    return document, samples


def of_stage(stages, chosen):
    times = [seconds for stage, seconds in stages.items() if chosen(stage)]
    return sum(times) if times else np.nan


def uplink(sample, link):
    if not sample.requests:
        return np.nan
    published = sample.published_payload_bytes
    payload = sample.payload_bytes if pd.isna(published) else published
    if link["bytes"] == "payload":
        return 8 * payload / (1000 * link["rate_kbit_s"])
    sizes = [request["wire_up_bytes"] for request in sample.requests]
    sizes[0] += payload - sample.payload_bytes
    framed = sum(size + 66 * -(-size // 1448) for size in sizes)
    return 8 * framed / (1000 * link["rate_kbit_s"])


def interval(values):
    if len(values) < 6:
        return np.nan, np.nan
    return stats.quantile_test(list(values), p=0.5).confidence_interval(0.95)


def same(cell, expected):
    return (pd.isna(cell) and pd.isna(expected)) or cell == pytest.approx(expected, rel=1e-9)


@pytest.fixture(params=["two_boards", "half"])
def made(request):
    return request.getfixturevalue(request.param)


def table(made, name):
    found = pd.read_csv(made.folder / f"{name}.csv")
    return found.set_index([key for key in [*KEYS, "link"] if key in found], drop=False)


def expected_rows(made):
    for path in made.runs:
        document, samples = raw(path)
        for backend in document["config"]["backends"]:
            for id in document["config"]["configurations"]:
                chosen = samples[(samples.id == id) & (samples.backend == backend)]
                key = (document["name"], document["targets"]["board"], backend, printed(id))
                yield document, path, id, key, chosen


def test_latencies(made):
    latencies = table(made, "latency")
    summary = table(made, "summary")
    seen = 0
    for document, _, _, key, samples in expected_rows(made):
        for link in document["config"]["links"]:
            row = latencies.loc[(*key, link["name"])]
            up = samples.apply(lambda s, link=link: uplink(s, link), axis=1)
            up = up if len(samples) else pd.Series(dtype=float)
            totals = samples.total_s + up.fillna(0.0)
            local = samples.stages.map(
                lambda s: of_stage(s, lambda n: ".server." not in n and not n.endswith(".network"))
            )
            server = samples.stages.map(lambda s: of_stage(s, lambda n: ".server." in n))
            network = samples.stages.map(lambda s: of_stage(s, lambda n: n.endswith(".network")))
            low, high = interval(totals)
            assert same(row.end_to_end_s, totals.median())
            assert same(row.end_to_end_s_low, low) and same(row.end_to_end_s_high, high)
            assert same(row.local_s, local.median()) and same(row.server_s, server.median())
            assert same(row.network_s, network.median()) and same(row.uplink_s, up.median())
            assert row.samples == len(samples)
            name = "".join(c if c.isalnum() else "_" for c in link["name"].lower())
            assert same(summary.loc[key][f"end_to_end_s_{name}"], totals.median())
            seen += 1
    assert seen == len(latencies)


def test_bytes(made):
    sizes = table(made, "data_size")
    seen = 0
    for document, _, id, key, samples in expected_rows(made):
        if "local" in document["config"]["configurations"][id]:
            assert key not in sizes.index
            continue
        row = sizes.loc[key]
        payload = samples.payload_bytes / 1024
        if document["config"]["payload"] == "published":  # what links carry, one number
            assert same(row.payload_kib, row.published_payload_kib)
            assert pd.isna(row.payload_kib_low) and pd.isna(row.payload_kib_high)
        else:
            low, high = interval(payload)
            assert same(row.payload_kib, payload.median())
            assert same(row.payload_kib_low, low) and same(row.payload_kib_high, high)
        assert same(row.payload_mean_kib, payload.mean())
        assert same(row.wire_up_kib, samples.wire_up_bytes.median() / 1024)
        assert same(row.wire_down_kib, samples.wire_down_bytes.median() / 1024)
        pickled = samples.requests.map(lambda rs: sum(r["legacy_pickled_bytes"] for r in rs))
        assert same(row.legacy_pickled_kib, pickled.median() / 1024)
        assert same(row.published_payload_kib, samples.published_payload_bytes.median() / 1024)
        seen += 1
    assert seen == len(sizes)


def test_costs(made):
    costs = table(made, "costs")
    summary = table(made, "summary")
    memory_s1 = pd.read_csv(made.folder / "memory.csv", index_col="config")
    series = []
    for document, path, id, key, _ in expected_rows(made):
        body = document["config"]["configurations"][id]
        bundles = [document["bundles"][model] for model in body.get("local", body.get("split"))]
        parts = [p for b in bundles for p in b["parts"] if p["placement"] == "board"]
        row = costs.loc[key]
        assert same(row.local_gmac, sum(part["gmac"] for part in parts))
        files = {part["sha256"]: part["bytes"] for part in parts}
        assert same(row.board_files_mib, sum(files.values()) / 2**20)
        if "split" in body:  # three tasks share one encoder, or there is one
            for column, field in (("fp32", "fp32_params"), ("deployed", "deployed")):
                size = bundles[0]["encoder_size_bytes"][field] / 2**20
                assert same(row[f"encoder_{column}_mib"], size)
        else:
            assert pd.isna(row.encoder_fp32_mib) and pd.isna(row.encoder_deployed_mib)
        memory = pd.read_json(path / "memory.jsonl", lines=True)
        memory = memory[(memory.config == id) & (memory.backend == key[2])]
        peak = memory.process_peak_bytes.max() / 1e9
        assert same(row.peak_memory_gb, peak)
        assert pd.isna(row.board_peak_memory_gb) and pd.isna(row.energy_j)
        assert same(summary.loc[key].peak_memory_gb, peak)
        assert same(summary.loc[key].local_gmac, row.local_gmac)
        if key[1:3] not in series:
            series.append(key[1:3])
        assert same(memory_s1.loc[key[3], f"peak_memory_gb_{series.index(key[1:3])}"], peak)


METRICS = {
    "End-to-end latency": ("latency", "end_to_end_s"),
    "Local GMAC": ("costs", "local_gmac"),
    "Peak memory": ("costs", "peak_memory_gb"),
    "Data size": ("data_size", "payload_kib"),
}


def test_savings_against_the_other_tables(made):
    savings = pd.read_csv(made.folder / "savings.csv")
    assert set(savings.metric) == set(METRICS)
    for row in savings.itertuples():
        name, column = METRICS[row.metric]
        rows = pd.read_csv(made.folder / f"{name}.csv")
        rows = rows[
            (rows.run == row.run) & (rows.board == row.board) & (rows.backend == row.backend)
        ]
        if row.metric == "End-to-end latency":
            rows = rows[rows.link == row.link]
        figures = rows.set_index("config")[column].dropna()
        lc = figures[figures.index.str.startswith("LC")]
        sc = figures[figures.index.str.startswith("SC")]
        if row.metric != "Data size":
            assert same(row.lc_percent, 100 * (1 - figures[row.config] / lc.max()))
            assert figures[row.lc_row] == lc.max()
        assert same(row.sc_percent, 100 * (1 - figures[row.config] / sc.max()))
        assert same(row.sc_least_percent, 100 * (1 - figures[row.config] / sc.min()))


def test_every_baseline_row_has_its_savings_with_the_papers_and_why_they_differ(two_boards):
    latency = pd.read_csv(two_boards.folder / "latency.csv")
    savings = pd.read_csv(two_boards.folder / "savings_by_row.csv")
    key = ["board", "backend", "link"]
    totals = latency.set_index([*key, "config"]).end_to_end_s
    seen = set()
    for _, row in savings.iterrows():
        theirs = totals[(*row[key], row.against)]
        for id in ("Ours 1", "Ours 5", "Ours 6"):
            cell = row[id.replace(" ", "").lower() + "_percent"]
            assert same(cell, 100 * (1 - totals[(*row[key], id)] / theirs))
        seen.add((*row[key], row.against))
    assert seen == {i for i in totals.index if not i[3].startswith("Ours")}
    row = savings[(savings.against == "SC 5") & (savings.link == "100 kbit/s")].iloc[0]
    assert row.published_percent == 95.3 and row.published_percent_source == "published"
    section = two_boards.markdown.split("## End-to-end savings, row by row")[1].split("\n## ")[0]
    assert "Why they differ: the board here is cpu" in section
    assert "the sizes that SC 1, 5-6 send are estimated here" in section


def test_the_interval_of_a_saving_resamples_both_sides(two_boards):
    savings = pd.read_csv(two_boards.folder / "savings.csv")
    row = savings[(savings.board == "cpu") & (savings.config == "Ours 1")].iloc[0]
    document, samples = raw(two_boards.runs[0])
    link = document["config"]["links"][0]
    totals = samples.total_s + samples.apply(lambda s: uplink(s, link), axis=1).fillna(0.0)
    ours, theirs = (list(totals[samples.config == c]) for c in ("Ours 1", row.lc_row))
    saved = stats.bootstrap(
        (ours, theirs),
        lambda a, b, axis: 100 * (1 - np.median(a, axis=axis) / np.median(b, axis=axis)),
        n_resamples=2000, method="percentile", vectorized=True, rng=np.random.default_rng(2025),
    ).confidence_interval  # fmt: skip
    assert same(row.lc_percent_low, saved.low) and same(row.lc_percent_high, saved.high)


def test_the_best_savings_stand_beside_the_paper(two_boards):
    paper = pd.read_csv(two_boards.folder / "paper.csv")
    savings = pd.read_csv(two_boards.folder / "savings.csv")
    row = paper[(paper.metric == "Local GMAC") & (paper.baseline == "SC")].iloc[0]
    ours = savings[(savings.metric == "Local GMAC") & (savings.board == row.board)]
    assert row.published_percent == 88.7 and row.published_percent_source == "published"
    assert same(row.ours_percent, ours.sc_percent.max())


def test_json_holds_what_the_tables_hold(made):
    for name, found in made.json["tables"].items():
        if not found["rows"]:
            assert not (made.folder / f"{name}.csv").exists()
            continue
        rows = pd.read_csv(made.folder / f"{name}.csv")
        assert len(rows) == len(found["rows"])
        for row, (_, cells) in zip(found["rows"], rows.iterrows(), strict=True):
            for key, value in row.items():
                if isinstance(value, str):
                    assert value == ("" if pd.isna(cells[key]) else str(cells[key]))
                    continue
                assert same(cells[key], np.nan if value["value"] is None else value["value"])
                assert (value["value"] is None) == ("why" in value)
                if value["value"] is not None:
                    assert cells[f"{key}_source"] == "+".join(value["sources"])
                    assert value["sources"] and set(value["sources"]) <= set(made.json["sources"])


def test_quantiles(made):
    rows = table(made, "quantiles")
    for _, _, _, key, samples in expected_rows(made):
        if not len(samples):
            assert key not in rows.index
            continue
        row = rows.loc[key]
        assert same(row.p50_s, samples.total_s.median())
        assert same(row.p90_s, samples.total_s.quantile(0.9))
        assert same(row.p99_s, samples.total_s.quantile(0.99))
        low, high = interval(samples.total_s)
        assert same(row.p50_s_low, low) and same(row.p50_s_high, high)
        assert pd.isna(row.p99_bound_s) and row.samples == len(samples)
