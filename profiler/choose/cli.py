"""`splitwatt choose`: from measured runs, the configurations that meet a deadline and other bounds."""

import os
from typing import Any, Dict, List, Optional, Sequence

import yaml

from splitwatt.device_configs.cli import deadline, number, parser, print_json, say
from splitwatt.device_configs.errors import RunError, UsageError
from splitwatt.device_configs.files import write_atomic
from splitwatt.device_configs.printable import table
from splitwatt.device_configs.version import check_host
from splitwatt.profiler.analyse.energy import energy_of
from splitwatt.profiler.analyse.statistics import bound, quantile
from splitwatt.profiler.choose.front import (
    CONFIDENCE,
    MET,
    Bounds,
    Candidate,
    candidates,
    compared_in,
)
from splitwatt.profiler.choose.quality import Figure, Quality, quality_of
from splitwatt.profiler.config.bundles import find_folder
from splitwatt.profiler.deploy.policy import Point, Policy
from splitwatt.profiler.links.parse import parse_rate
from splitwatt.profiler.records.run import Run, read_run

EXAMPLE = "splitwatt choose runs/table3 --deadline 500ms --rate 250kbit --policy policy.yaml"


def choose(argv: List[str]) -> int:
    """The command; its exit code: 1 where no configuration meets the bounds for certain."""
    options = _parse(argv)
    bounds = Bounds(options.deadline, options.share, options.min_accuracy, options.max_joules)
    asked = None if options.rate is None else parse_rate(options.rate)
    runs = [read_run(path) for path in options.runs]
    qualities = [quality_of(run, options.task) for run in runs]
    rates = [asked or _own_rate(run) for run in runs]
    rows = candidates(runs, qualities, rates, bounds)
    if not rows:
        raise RunError("%s has no samples to choose from" % options.runs[0], "profile first")
    kinds = list(dict.fromkeys(known.of for known in qualities if known is not None))
    if len(kinds) > 1:
        raise UsageError(
            "the qualities of these runs cannot be compared: %s" % "; ".join(kinds),
            "choose from each run alone, or evaluate their models on the same data",
        )
    quality = kinds[0] if kinds else ""
    notes = _notes(runs, qualities, rows, rates, bounds, options.task)
    met = [row for row in rows if row.verdict == MET]
    if options.figure:
        from splitwatt.profiler.choose.figure import draw_front

        draw_front(options.figure, rows, bounds, quality)
    if options.policy:
        notes += _write_policy(options.policy, runs, met, bounds, quality)
    if options.json:
        print_json({
            "runs": [run.path for run in runs], "rates_kbit_s": rates, "bounds": _plain(bounds),
            "quality_of": quality or None, "notes": notes,
            "configurations": [dict(_plain(row), verdict=row.verdict) for row in rows],
        })  # fmt: skip
    else:
        say(_table(rows))
        say()
        for sentence in notes:
            say("note: " + sentence)
    return 0 if met else 1


def _parse(argv: List[str]) -> Any:
    result = parser("choose", "From measured runs: the configurations that meet a deadline and other "
                    "bounds, best first.", EXAMPLE)  # fmt: skip
    add = result.add_argument
    add("runs", metavar="RUN", nargs="+", help="run folders")
    add("--deadline", type=deadline, required=True, metavar="TIME", help="longest time from a frame to its answer, "
        "such as 500ms")  # fmt: skip
    add("--share", type=number(0.5, 0.999), default=0.9, metavar="S",
        help="share of frames that must be in time (default: 0.9)")  # fmt: skip
    add("--min-accuracy", type=number(0, 100), metavar="PERCENT",
        help="lowest accuracy (or agreement) of a task")  # fmt: skip
    add("--task", choices=("classification", "detection", "segmentation"),
        help="task whose accuracy counts (default: the one with the most evaluated models)")  # fmt: skip
    add(
        "--max-joules",
        type=number(0, 1e6),
        metavar="J",
        help="most energy of the board per frame, in joules",
    )
    add(
        "--rate",
        metavar="RATE",
        help="rate of the uplink, such as 250kbit (default: the run's first link)",
    )
    add("--policy", metavar="FILE", help="write the configurations that meet the bounds here, for "
        "'splitwatt run'")  # fmt: skip
    add("--figure", metavar="FILE.pdf", help="draw the Pareto front")
    options = result.parse_args(argv)
    if options.figure is not None:
        check_host("choose --figure", "run it on a host")
    return options


def _own_rate(run: Any) -> float:
    rates = [link.rate_kbit_s for link in run.config.links if link.rate_kbit_s]
    if not rates:
        raise UsageError("the run %s has no link with a rate" % run.path, "give --rate, as 250kbit")
    return float(rates[0])


def _notes(
    runs: Sequence[Run], qualities: Sequence[Optional[Quality]], rows: Sequence[Candidate],
    rates: Sequence[float], bounds: Bounds, task: Optional[str],
) -> List[str]:  # fmt: skip
    notes = ["latency: what %g %% of frames stay within, and what that is below with %g %% confidence"
             % (100 * bounds.share, 100 * CONFIDENCE)]  # fmt: skip
    notes.append("links carry %s kbit/s" % ", ".join("%g" % rate for rate in dict.fromkeys(rates)))
    notes.append("the Pareto front is of %s" % ", ".join(compared_in(rows)))
    for run, quality in zip(runs, qualities):
        if quality is None:
            notes.append("%s has no accuracy and no agreement%s: quality is not known"
                         % (run.path, " of " + task if task else ""))  # fmt: skip
        else:
            notes += ["quality is %s" % quality.of] + quality.notes
        if run.sends_untrained_bytes:
            notes.append("some weights of %s are untrained: their bytes mean nothing" % run.path)
    if all(row.joules is None for row in rows):
        notes.append("no joules were measured")
    for run in runs:
        if any(block.provenance == "generated" for block in energy_of(run)):
            notes.append("the joules of %s are of a made-up sensor: they mean nothing" % run.path)
    least = next(
        n for n in range(1, 10**5) if bound([0.0] * n, bounds.share, CONFIDENCE) is not None
    )
    few = sorted({row.config for row in rows if row.samples < least})
    if few:
        notes.append("%d configurations have fewer than the %d samples that bound the %g %% for certain"
                     % (len(few), least, 100 * bounds.share))  # fmt: skip
    if not any(row.verdict == MET for row in rows):
        best = min(rows, key=lambda row: row.latency.value)
        late_s = best.latency.value - bounds.deadline_s
        if late_s > 0:
            notes.append("nothing meets the deadline: the fastest, %s, is %.0f ms (%.0f %%) late"
                         % (best.config, 1000 * late_s, 100 * late_s / bounds.deadline_s))  # fmt: skip
        else:
            notes.append("no configuration is certain to meet every bound")
    return notes


def _write_policy(
    path: str, runs: Sequence[Run], met: Sequence[Candidate], bounds: Bounds, quality: str
) -> List[str]:
    points: List[Point] = []
    left: Dict[str, str] = {}
    for row in met:
        document = runs[row.run].document
        if len(row.models) != 1:
            left[row.config] = "as it runs several models"
            continue
        folder = find_folder(document["bundles_folder"] or "", document["targets"]["board"] or "",
                             row.models[0])  # fmt: skip
        if folder is None:
            left[row.config] = "as its bundle is not on this machine"
            continue
        if row.config in [point.config for point in points]:
            left[row.config] = "as it is there already, with another backend or of another run"
            continue
        sent = [s.wire_up_bytes for s in runs[row.run].measured(row.config, row.backend)]
        wire = [size for size in sent if size is not None]
        points.append(Point(
            row.config, folder, row.backend, row.quality and row.quality.value, row.board_s,
            row.server_s, quantile(wire, 0.5) if wire else None, row.joules and row.joules.value,
        ))  # fmt: skip
    notes = []
    for why in dict.fromkeys(left.values()):
        configs = [config for config, own in left.items() if own == why]
        notes.append("left out of %s, %s: %s" % (path, why, ", ".join(configs)))
    if not points:
        return notes + ["%s is not written: no configuration can be in it" % path]
    policy = Policy(tuple(points), bounds.deadline_s, quality, tuple(run.id for run in runs))
    document = policy.to_json(os.path.dirname(os.path.abspath(path)))
    write_atomic(path, yaml.safe_dump(document, sort_keys=False))
    return notes + ["%s has %d configurations, best first" % (path, len(points))]


def _table(rows: Sequence[Candidate]) -> str:
    cells = [["config", "backend", "bounds", "front", "latency ms", "below ms", "quality",
              "quality 95 %", "J", "J 95 %", "bytes"]]  # fmt: skip
    for row in rows:
        most = row.latency.high
        cells.append([
            row.config, row.backend, row.verdict, "yes" if row.front else "",
            "%.0f" % (1000 * row.latency.value), "-" if most is None else "%.0f" % (1000 * most),
            *_shown(row.quality, 1), *_shown(row.joules, 3), "%.0f" % row.bytes,
        ])  # fmt: skip
    return table(cells, ["J 95 %", "quality 95 %", "bytes", "front", "backend"])


def _shown(figure: Optional[Figure], digits: int) -> List[str]:
    if figure is None:
        return ["-", "-"]
    text = "-"
    if figure.low is not None and figure.high is not None:
        text = "%.*f to %.*f" % (digits, figure.low, digits, figure.high)
    return ["%.*f" % (digits, figure.value), text]


def _plain(value: Any) -> Any:
    """A NamedTuple as an object, and those in it; as JSON has it."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    return value
