"""`splitwatt check RUN`: the audit of a run."""

import argparse
from typing import List

from splitwatt.device_configs.cli import parser, print_json
from splitwatt.device_configs.errors import SplitwattError
from splitwatt.profiler.check import accuracy, figures, files, measured, plan, power
from splitwatt.profiler.check.raw import Check, read_raw, verdict
from splitwatt.profiler.records.run import read_run

EXAMPLE = "splitwatt check runs/table3-20261121-101500"
_MARKS = {True: "[x]", False: "[ ]", None: "[-]"}


def check(argv: List[str]) -> int:
    """The command: 0, or 1 where a check is not met."""
    options = _parser().parse_args(argv)
    found = audit(options.run)
    failed = [one for one in found if one.met is False]
    if options.json:
        print_json(
            {"run": options.run, "ok": not failed, "checks": [dict(c._asdict()) for c in found]}
        )
        return 1 if failed else 0
    for one in found:
        print("%s %s: %s" % (_MARKS[one.met], one.name, one.said))
    met = sum(1 for one in found if one.met)
    print("%d of %d checks met, %d had nothing to look at"
          % (met, len(found), len(found) - met - len(failed)))  # fmt: skip
    return 1 if failed else 0


def audit(path: str) -> List[Check]:
    """Every check of a run. What cannot be looked at because records are damaged is told, too.

    Raises:
        RunError: there is no run.
    """
    raw = read_raw(path)
    try:
        found = plan.checks(raw)
    except (SplitwattError, TypeError, KeyError, AttributeError) as error:
        why = "run.json: its 'config', 'blocks' or 'images' cannot be used: %s" % error
        return [Check("run.json holds a plan", False, why), files.own(raw)]
    try:
        run = read_run(path)
    except SplitwattError as error:
        found.append(Check("the run can be read by reports", False, error.message))
    else:
        if run.damaged:
            found.append(verdict("the run can be read by reports", list(run.damaged), ""))
        found += figures.checks(raw, run) + measured.checks(raw, run) + power.checks(raw, run)
    return found + accuracy.checks(raw) + files.checks(raw)


def _parser() -> argparse.ArgumentParser:
    result = parser("check", "Work every figure of a run out anew and look at its hashes.", EXAMPLE)
    result.add_argument("run", metavar="RUN", help="a run folder")
    return result
