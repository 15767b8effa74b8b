"""The verb `doctor`: every room that is installed reports what is there and what is missing.

A room has a file `doctor.py` with `checks() -> List[Check]`.
"""

import importlib
import importlib.util
import sys
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.cli import parser, print_json, say
from splitwatt.device_configs.install import install_command

Check = NamedTuple("Check", [("name", str), ("ok", bool), ("detail", str), ("remedy", str)])
Check.__doc__ = """One thing: its name, whether it is there, a detail, and the one command that would
add it ("" where it is there, or where no command can)."""


def package(module: str, purpose: str, remedy: str, name: Optional[str] = None) -> Check:
    """Whether a package can be imported, and its version.

    Args:
        module: what to import.
        purpose: what it is for, in a few words.
        remedy: the command that installs it.
        name: of the check; the module's when omitted.
    """
    name = module if name is None else name
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # a package that is there but broken raises whatever it likes
        kind = "not installed" if isinstance(error, ImportError) else "broken"
        text = " ".join(str(error).split())[:120]
        return Check(name, False, "%s (%s): %s" % (kind, purpose, text), remedy)
    return Check(name, True, "%s (%s)" % (getattr(imported, "__version__", "there"), purpose), "")


def broken(room: str, error: BaseException) -> List[Check]:
    """The check for a room whose `checks` failed."""
    text = "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:160])
    return [Check(room, False, "its checks failed: %s" % text, install_command())]


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
            say(room)
            for check in checks:
                say("\n".join(lines(check)))
    if options.json:
        print_json(document)
    return 0


def ask(rooms: Tuple[str, ...]) -> Iterator[Tuple[str, List[Check]]]:
    """Each room's checks; a room that fails to answer is a failed check."""
    for room in rooms:
        if importlib.util.find_spec("splitwatt." + room) is None:
            continue
        if room in _HOST_ROOMS and sys.version_info < _HOST_PYTHON:
            yield room, [Check(room, False, "runs on a host, with Python 3.10 or newer", "")]
            continue
        try:
            checks = importlib.import_module("splitwatt.%s.doctor" % room).checks()
        except Exception as error:  # a fault in one room must not hide the others
            checks = broken(room, error)
        yield room, checks


def lines(check: Check) -> List[str]:
    """A check as lines to print."""
    box = "[x]" if check.ok else "[ ]"
    texts = ["  %s %-22s %s" % (box, check.name, check.detail)]
    if not check.ok and check.remedy:
        texts.append("      add it:                %s" % check.remedy)
    return texts


VERBS = {"doctor": doctor}
