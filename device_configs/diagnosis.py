"""The verb `doctor`: every installed room reports what works and what is missing.

A room has a file `doctor.py` with `checks() -> List[Check]`.
"""

import importlib
import importlib.util
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from splitwatt.device_configs.cli import parser, print_json, say
from splitwatt.device_configs.install import install_command
from splitwatt.device_configs.version import HOST_ONLY, ON_HOST

Check = NamedTuple("Check", [("name", str), ("ok", bool), ("detail", str), ("remedy", str)])
Check.__doc__ = """One check: its name, whether it passed, a detail, and the command that adds what is
missing ("" if nothing is missing or no command can add it)."""


def package(module: str, purpose: str, remedy: str, name: Optional[str] = None) -> Check:
    """Whether a package can be imported, and its version.

    Args:
        purpose: what it is for, in a few words.
        remedy: the command that installs it.
        name: the check's name; by default the module's.
    """
    name = module if name is None else name
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # a broken package may raise anything
        kind = "not installed" if isinstance(error, ImportError) else "broken"
        text = " ".join(str(error).split())[:120]
        return Check(name, False, "%s (%s): %s" % (kind, purpose, text), remedy)
    version = getattr(imported, "__version__", "installed")
    return Check(name, True, "%s (%s)" % (version, purpose), "")


def broken(room: str, error: BaseException) -> List[Check]:
    """The check for a room whose `checks` failed."""
    text = "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:160])
    return [Check(room, False, "its checks failed: %s" % text, install_command())]


# Each is imported by its name and only if it is installed, so this room depends on none of them.
ROOMS = ("device_configs", "engines", "profiler", "energy", "export", "reports")
# The rooms that only a host runs: a board's Python cannot parse their files.
_HOST_ROOMS = ("export", "reports")


def doctor(argv: List[str]) -> int:
    """`splitwatt doctor`: always returns 0, because nobody needs everything."""
    arguments = parser(
        "doctor",
        "Report what this machine has for each backend, sensor and link, and the command that adds\n"
        "what is missing. Nothing is changed.",
        "splitwatt doctor",
    )
    arguments.add_argument("--room", choices=ROOMS, help="check this room only")
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
    """Each room's checks; if they raise an error, that is a failed check."""
    for room in rooms:
        if importlib.util.find_spec("splitwatt." + room) is None:
            continue
        if room in _HOST_ROOMS and not ON_HOST:
            yield room, [Check(room, False, HOST_ONLY, "")]
            continue
        try:
            checks = importlib.import_module("splitwatt.%s.doctor" % room).checks()
        except Exception as error:  # an error in one room must not hide the others
            checks = broken(room, error)
        yield room, checks


def lines(check: Check) -> List[str]:
    """A check as lines to print."""
    box = "[x]" if check.ok else "[ ]"
    texts = ["  %s %-22s %s" % (box, check.name, check.detail)]
    if not check.ok and check.remedy:
        texts.append("      add it:                %s" % check.remedy)
    return texts
