"""`splitwatt check RUN`: the audit of a run."""

import argparse
import os
from typing import List

from splitwatt.device_configs.cli import parser, print_json, say
from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.check import accuracy, figures, files, plan
from splitwatt.profiler.check.check import Check
from splitwatt.profiler.records.document import RUN_FILE
from splitwatt.profiler.records.run import read_run

EXAMPLE = "splitwatt check runs/table3-20261121-101500"
_MARKS = {True: "[x]", False: "[ ]", None: "[-]"}


def check(argv: List[str]) -> int:
    """The command: 0, or 1 where a check is not met."""
    options = _parser().parse_args(argv)
    results = audit(options.run)
    failed = [one for one in results if one.met is False]
    if options.json:
        print_json(
            {"run": options.run, "ok": not failed, "checks": [dict(c._asdict()) for c in results]}
        )
        return 1 if failed else 0
    for one in results:
        say("%s %s: %s" % (_MARKS[one.met], one.name, one.said))
    met = sum(1 for one in results if one.met)
    say("%d of %d checks met, %d had nothing to check"
        % (met, len(results), len(results) - met - len(failed)))  # fmt: skip
    return 1 if failed else 0


def audit(path: str) -> List[Check]:
    """Every check of a run. What cannot be looked at because records are damaged is reported too.

    Raises:
        RunError: there is no run.
    """
    try:
        run = read_run(path, strict=False)
    except SplitwattError as error:
        if not os.path.lexists(os.path.join(path, RUN_FILE)):
            raise
        return [Check("run.json and its files can be read", False, error.message)]
    return plan.checks(run) + figures.checks(run) + accuracy.checks(path) + files.checks(run)


def _parser() -> argparse.ArgumentParser:
    result = parser(
        "check",
        "Check the records of a run against each other and against its plan, and its hashes.",
        EXAMPLE,
    )
    result.add_argument("run", metavar="RUN", help="a run folder")
    return result
