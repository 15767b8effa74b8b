"""The commands of this room: `splitwatt report`, `splitwatt compare`."""

import sys
from dataclasses import replace
from pathlib import Path

from splitwatt.device_configs.cli import parser, print_json, say
from splitwatt.device_configs.printable import wrapped
from splitwatt.reports.papers.venues import DEFAULT, venues


def report(argv: list[str]) -> int:
    """`splitwatt report RUN... --out DIR`: runs become tables and figures."""
    arguments = parser(
        "report",
        "Merge runs (several boards, several backends) into tables and figures.",
        "splitwatt report runs/nano runs/xavier --out paper",
    )
    arguments.add_argument(
        "runs", metavar="RUN", nargs="+", help="a folder that a profile wrote, or a folder of them"
    )
    arguments.add_argument(
        "--out", metavar="DIR", default="report", help="where to write (default: ./report)"
    )
    arguments.add_argument(
        "--for",
        dest="venue",
        choices=tuple(venues()),
        default=DEFAULT,
        help=f"venue of figures and tables: their widths and fonts (default: {DEFAULT})",
    )
    arguments.add_argument(
        "--accuracy",
        metavar="FILE",
        action="append",
        default=[],
        help="an accuracy.json besides those of the runs; may be repeated",
    )
    options = arguments.parse_args(argv)

    from splitwatt.reports.write.terminal import (
        show,  # heavy imports wait until --help has been answered
    )
    from splitwatt.reports.write.write import make_report

    folder = Path(options.out)
    made = make_report(
        [Path(run) for run in options.runs],
        folder,
        options.venue,
        tuple(Path(file) for file in options.accuracy),
    )
    if options.json:
        names = {"report": "report.md", "page": "report.html", "json": "report.json"}
        print_json({key: str(folder / name) for key, name in names.items()})
        return 0
    summary = made.table("summary")
    of = [f"{summary.title}, {s.label}" for s in made.series]  # with several, the rows name them
    show(replace(summary, title=of[0]) if len(of) == 1 else summary, sys.stdout)
    say(wrapped("\n" + "\n".join(headline.text for headline in made.headlines)))
    say(f"\nThe report: {folder / 'report.md'}, as a page: {folder / 'report.html'}")
    return 0
