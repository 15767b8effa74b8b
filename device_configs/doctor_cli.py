"""The verb `doctor`: asks every room that is installed what is there and what is missing."""

import importlib
import importlib.util
import sys
from typing import Any, Dict, Iterator, List, Tuple

from splitwatt.device_configs.cli import parser, print_json
from splitwatt.device_configs.diagnosis import Check, broken
from splitwatt.device_configs.printable import show

# Asked by name and only where installed, so this room imports none of them.
ROOMS = ("device_configs", "engines", "profiler", "energy", "export", "reports")
# Of these, what a host runs: a board's Python cannot even read their files.
_HOST_ROOMS, _HOST_PYTHON = ("export", "reports"), (3, 10)


def doctor(argv: List[str]) -> int:
    """`splitwatt doctor`: 0 whatever is missing, because nobody needs everything."""
    arguments = parser(
        "doctor",
        "What this machine has for each backend, sensor and link, and the one command that would\n"
        "add what is missing. Nothing is changed.",
        "splitwatt doctor",
    )
    arguments.add_argument("--room", choices=ROOMS, help="ask this room only")
    options = arguments.parse_args(argv)
    document: Dict[str, Any] = {}
    for room, checks in ask((options.room,) if options.room else ROOMS):
        document[room] = [dict(check._asdict()) for check in checks]
        if not options.json:
            print("%s" % room)
            for check in checks:
                show("\n".join(lines(check)))
    if options.json:
        print_json(document)
    return 0


def ask(rooms: Tuple[str, ...]) -> Iterator[Tuple[str, List[Check]]]:
    """Each room's checks; a room that fails to answer is a check of its own."""
    for room in rooms:
        if importlib.util.find_spec("splitwatt." + room) is None:
            continue
        if room in _HOST_ROOMS and sys.version_info < _HOST_PYTHON:
            yield room, [Check(room, False, "runs on a host, with Python 3.10 or newer", "")]
            continue
        try:
            checks = importlib.import_module("splitwatt.%s.doctor" % room).checks()
        except Exception as error:  # the doctor must not die of what it looks for
            checks = broken(room, error)
        yield room, checks


def lines(check: Check) -> List[str]:
    """A check as lines for people."""
    box = "[x]" if check.ok else "[ ]"
    found = ["  %s %-22s %s" % (box, check.name, check.detail)]
    if not check.ok and check.remedy:
        found.append("      add it:                %s" % check.remedy)
    return found
