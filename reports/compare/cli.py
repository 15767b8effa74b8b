"""`splitwatt compare A B`, with `--fail-over 5%` as a gate; `splitwatt compare RUN --against published`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitwatt.device_configs.cli import parser, print_json, say
from splitwatt.device_configs.errors import RunError, UsageError
from splitwatt.device_configs.files import write_atomic

if TYPE_CHECKING:  # its imports wait until --help has been answered
    from splitwatt.reports.tables.table import Table

# The columns that a narrow terminal leaves out first.
_LEAST = ("mind", "where", "series", "p_corrected", "unit", "a", "b")


def compare(argv: list[str]) -> int:
    """Put two runs, boards, versions or backends side by side."""
    arguments = parser(
        "compare",
        "Put two runs side by side: change, interval, verdict. RUN:BACKEND names one of its "
        "backends. Exit code 1: a figure is worse by more than --fail-over.",
        "splitwatt compare runs/before runs/after --fail-over 5%\n"
        "splitwatt compare runs/nano:cpu runs/nano:tensorrt --out side-by-side\n"
        "splitwatt compare runs/nano --against published",
    )
    arguments.add_argument("runs", metavar="RUN", nargs="+", help="a run folder, or RUN:BACKEND")
    arguments.add_argument(
        "--fail-over",
        metavar="PERCENT",
        help="exit with 1 if a figure of B is worse than A's by more than this, beyond chance",
    )
    arguments.add_argument("--against", choices=("published",), help="reference to compare with")
    arguments.add_argument("--out", metavar="DIR", help="also write Markdown, CSV and JSON there")
    options = arguments.parse_args(argv)
    if options.against and options.fail_over is not None:
        raise UsageError(
            "--fail-over is for two runs", "leave it out: a paper's boards are not yours"
        )
    if not options.against and len(options.runs) != 2:
        raise UsageError(
            f"compare needs two runs, not {len(options.runs)}",
            "name A and B, or one run and --against published",
        )
    if options.against:
        table, document = _published(options.runs)
    else:
        table, document = _two(options.runs, options.fail_over)
    gate: dict[str, Any] = document.get("gate") or {"passed": True, "sentences": []}
    if options.out:
        _write(Path(options.out), table, document, gate["sentences"])
    if options.json:
        print_json(document)
    else:
        from splitwatt.reports.write.terminal import show

        show(table, sys.stdout, _LEAST, "a wider terminal, --json or --out")
        if gate["sentences"]:
            say("\n".join(gate["sentences"]))
    return 0 if gate["passed"] else 1


def _two(names: list[str], fail_over: str | None) -> tuple["Table", dict[str, Any]]:
    from splitwatt.reports.compare import compare as two
    from splitwatt.reports.load.accuracy import read_accuracy
    from splitwatt.reports.load.runs import load_pair

    a, b = load_pair(*names)
    sides = f"{a.run.name} ({a.label}, {a.run.path})", f"{b.run.name} ({b.label}, {b.run.path})"
    pairs, notes = two.compare(a, b, read_accuracy([a.run]), read_accuracy([b.run]))
    if not any(pair.change for pair in pairs):
        raise RunError(
            "the two runs have no measured figure in common", "compare runs of the same config"
        )
    table = two.compare_table(pairs, sides, notes)
    judged = None if fail_over is None else two.gate(pairs, _limit(fail_over))
    return table, {
        "format": 1, "a": sides[0], "b": sides[1], "table": table.to_json(), "gate": judged,
    }  # fmt: skip


def _published(names: list[str]) -> tuple["Table", dict[str, Any]]:
    from splitwatt.reports.load.accuracy import read_accuracy
    from splitwatt.reports.load.model import runs_of
    from splitwatt.reports.load.runs import load_series
    from splitwatt.reports.tables.against import against_published

    series = load_series(names)
    table = against_published(series, read_accuracy(runs_of(series)))
    return table, {"format": 1, "against": "published", "table": table.to_json()}


def _write(folder: Path, table: "Table", document: dict[str, Any], lines: list[str]) -> None:
    """Write TABLE.md, .csv and .json, and the CSV's Data Package."""
    from splitwatt.reports.write.csv_files import data_package, to_csv
    from splitwatt.reports.write.escape import markdown_text
    from splitwatt.reports.write.markdown import table_markdown

    text = [f"# {markdown_text(table.title)}", "", *(f"- {markdown_text(x)}" for x in lines), ""]
    files = {
        "md": "\n".join([*text, table_markdown(table)]),
        "csv": to_csv(table),
        "datapackage.json": data_package(f"splitwatt-{table.name}", table.title, [table]),
        "json": json.dumps(document, indent=1, allow_nan=False) + "\n",
    }
    for suffix, content in files.items():
        write_atomic(str(folder / f"{table.name}.{suffix}"), content)


def _limit(text: str) -> float:
    try:
        limit = float(text.strip().removesuffix("%"))
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise UsageError(f"--fail-over takes a percentage, not '{text}'", "as in --fail-over 5%")
    return limit
