"""What `splitwatt doctor` is told by each room: one line per thing that is there or missing.

A room has a file `doctor.py` with `checks() -> List[Check]`; nothing else makes it be asked.
"""

import importlib
from typing import List, NamedTuple, Optional

from splitwatt.device_configs.install import install_command

Check = NamedTuple("Check", [("name", str), ("ok", bool), ("detail", str), ("remedy", str)])
Check.__doc__ = """One thing: what it is, whether it is there, what was found, and the one command
that would add it ("" where it is there, or where nothing can)."""


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
        found = importlib.import_module(module)
    except Exception as error:  # a package that is there but broken raises whatever it likes
        kind = "not installed" if isinstance(error, ImportError) else "broken"
        text = " ".join(str(error).split())[:120]
        return Check(name, False, "%s (%s): %s" % (kind, purpose, text), remedy)
    return Check(name, True, "%s (%s)" % (getattr(found, "__version__", "there"), purpose), "")


def broken(room: str, error: BaseException) -> List[Check]:
    """The check for a room that cannot even say what is missing."""
    text = "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:160])
    return [Check(room, False, "cannot be asked: %s" % text, install_command())]
