"""What the profiler itself costs a sample: what lies between samples, and in them between stages."""

import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from splitwatt.export.cli import export
from splitwatt.profiler.config.config import from_document
from splitwatt.profiler.execute.job import Options
from splitwatt.profiler.execute.runner import start_run
from splitwatt.profiler.records.run import Run, read_run
from tests.bench.measure import OUT, publish
from tests.board.tiny import tiny_bundle

# The lightest row of Table 3's local configurations, Ladon, and models that do next to nothing.
REAL = {
    "LC20": {"local": ["mnasnet0_5", "ssdlite320_mobilenet_v3_large",
                       "lraspp_mobilenet_v3_large"]},
    "Ours5": {"split": ["ladon_r50@20.48"]},
}  # fmt: skip
TINY = {"LC": {"local": ["tiny_local"]}, "split": {"split": ["tiny@1"]}}
INFERENCES = {"real": 60, "tiny": 400}


def main() -> None:
    """Two profiles on this machine, and what is left of their time besides the stages."""
    folder = OUT / "profiler"
    shutil.rmtree(folder, ignore_errors=True)
    bundles = folder / "bundles"
    (bundles / "cpu").mkdir(parents=True)
    tiny_bundle(bundles / "cpu" / "tiny@1")
    tiny_bundle(bundles / "cpu" / "tiny_local", split=False)
    names = [name for row in REAL.values() for models in row.values() for name in models]
    models = [argument for name in names for argument in ("--model", name)]
    common = ["--target", "cpu", "--weights", "random", "--bundles", str(OUT / "bundles")]
    if export([*models, *common]):
        sys.exit(1)
    rows, figures = [], {}
    for kind, configurations, where in (
        ("tiny", TINY, bundles),
        ("real", REAL, OUT / "bundles"),
    ):
        run = profile(configurations, INFERENCES[kind], where, folder / kind)
        for config in configurations:
            figures[config] = cost = costs(run, config)
            rows.append([config, *(f"{cost[name]:.3f}" for name in list(cost)[:5]),
                         f"{cost['share_percent']:.2f} %"])  # fmt: skip
    publish(
        "profiler",
        "The profiler's own cost per sample",
        ["configuration", "sample [ms]", "between samples, median [ms]", "p90 [ms]",
         "in a sample, between stages [ms]", "both [ms]", "of a sample"],
        rows,
        figures,
    )  # fmt: skip


def profile(configurations: Any, inferences: int, bundles: Path, path: Path) -> Run:
    """A profile with a server of its own, blocks of each configuration twice."""
    config = from_document(
        {"format": 1, "name": "cost", "warmup": 6, "inferences": inferences, "repeats": 2,
         "configurations": configurations},
        "cost",
    )  # fmt: skip
    start_run(config, Options(str(bundles), "cpu"), str(path))
    return read_run(str(path))


def costs(run: Run, config: str) -> dict[str, float]:
    """Milliseconds: a sample, what lies between two and in one, and that of a sample in percent."""
    samples = run.measured(config)
    gaps = [
        b.started_monotonic_s - a.started_monotonic_s - a.total_s
        for a, b in zip(samples, samples[1:], strict=False)
        if a.block == b.block and a.total_s is not None
    ]
    totals = [s.total_s for s in samples if s.total_s is not None]
    inside = statistics.median(s.total_s - sum(s.stages.values()) for s in samples if s.total_s)
    gap, total = statistics.median(gaps), statistics.median(totals)
    seconds = {
        "total_ms": total,
        "gap_ms": gap,
        "gap_p90_ms": statistics.quantiles(gaps, n=10)[-1],
        "inside_ms": inside,
        "both_ms": gap + inside,
    }
    result = {name: 1e3 * value for name, value in seconds.items()}
    result["share_percent"] = 100 * (gap + inside) / total
    return result
