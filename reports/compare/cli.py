"""`splitwatt compare A B`, with `--fail-over 5%` as a gate; `splitwatt compare RUN --against published`."""
# board: no

import argparse
import sys
from pathlib import Path

from splitwatt.device_configs.cli import parser, print_json, say
from splitwatt.device_configs.errors import RunError, UsageError
from splitwatt.reports.papers.venues import DEFAULT, venues

_AGAINST = ("published",)


def compare(argv: list[str]) -> int:
    """Put two runs, boards, versions or backends side by side."""
    arguments = parser(
        "compare",
        "Put two runs side by side: change, interval, verdict. RUN:BACKEND names one of its "
        "backends. Exit code 1: something is worse by more than --fail-over.",
        "splitwatt compare runs/before runs/after --fail-over 5%\n"
        "  splitwatt compare runs/nano:cpu runs/nano:tensorrt --out side-by-side\n"
        "  splitwatt compare runs/nano --against published",
    )
    arguments.add_argument("runs", metavar="RUN", nargs="+", help="a run folder, or RUN:BACKEND")
    arguments.add_argument(
        "--fail-over",
        metavar="PERCENT",
        help="exit with 1 where B is shown to be worse than A by more than that",
    )
    arguments.add_argument("--against", choices=_AGAINST, help="reference to compare with")
    arguments.add_argument(
        "--out", metavar="DIR", help="also write Markdown, CSV, JSON and a figure there"
    )
    add_venue(arguments)
    options = arguments.parse_args(argv)
    if options.against:
        return _published(options)
    if len(options.runs) != 2:
        raise UsageError(
            f"compare needs two runs, not {len(options.runs)}",
            "name A and B, or one run and --against published",
        )
    return _two(options)


def add_venue(arguments: argparse.ArgumentParser) -> None:
    """Add the option that names the venue of figures and tables."""
    arguments.add_argument(
        "--for",
        dest="venue",
        choices=tuple(venues()),
        default=DEFAULT,
        help=f"venue of figures and tables: their widths and fonts (default: {DEFAULT})",
    )


def _two(options: argparse.Namespace) -> int:
    from splitwatt.reports.compare.compare import compare as compared
    from splitwatt.reports.compare.compare import gate as gated
    from splitwatt.reports.compare.table import compare_table, gate_sentences, to_json
    from splitwatt.reports.compare.write import LOOKS, change_figure, write_comparison
    from splitwatt.reports.load.accuracy import read_accuracy
    from splitwatt.reports.load.runs import load_pair
    from splitwatt.reports.write.terminal import show

    a, b = load_pair(*options.runs)
    names = f"{a.run.name} ({a.label}, {a.run.path})", f"{b.run.name} ({b.label}, {b.run.path})"
    pairs, notes = compared(a, b, read_accuracy([a.run]), read_accuracy([b.run]))
    if not any(pair.change for pair in pairs):
        raise RunError(
            "the two runs have no measured figure in common", "compare runs of one config"
        )
    table = compare_table(pairs, names, notes)
    gate = None if options.fail_over is None else gated(pairs, _limit(options.fail_over))
    lines = gate_sentences(gate) if gate else []
    document = to_json(table, names, gate, lines)
    if options.out:
        write_comparison(
            Path(options.out),
            table,
            document,
            lines,
            lambda: change_figure(pairs),
            f"A: {a.run.name}, {a.label}. B: {b.run.name}, {b.label}. {LOOKS}",
            options.venue,
        )
    if options.json:
        print_json(document)
    else:
        show(table, sys.stdout)
        say("\n".join(lines))
    return 0 if gate is None or gate.passed else 1


def _published(options: argparse.Namespace) -> int:
    from splitwatt.reports.compare.write import RATIOS, ratio_figure, write_comparison
    from splitwatt.reports.load.accuracy import read_accuracy
    from splitwatt.reports.load.model import runs_of
    from splitwatt.reports.load.runs import load_series
    from splitwatt.reports.tables.against import against_published
    from splitwatt.reports.write.terminal import show

    if options.fail_over is not None:
        raise UsageError(
            "--fail-over is for two runs", "a paper's boards are not yours: no gate is drawn"
        )
    series = load_series(options.runs)
    table = against_published(series, read_accuracy(runs_of(series)))
    document = {"format": 1, "against": "published", "table": table.to_json()}
    if options.out:
        write_comparison(
            Path(options.out),
            table,
            document,
            [],
            lambda: ratio_figure(table),
            RATIOS,
            options.venue,
        )
    if options.json:
        print_json(document)
    else:
        show(table, sys.stdout)
    return 0


def _limit(text: str) -> float:
    try:
        limit = float(text.strip().removesuffix("%"))
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise UsageError(f"--fail-over takes a percentage, not '{text}'", "as in --fail-over 5%")
    return limit
