"""Suggests known names for an unknown name that somebody typed."""

import difflib
from typing import Any, Iterable, List, Set

from splitwatt.device_configs.errors import UsageError


def nearest(name: str, known: Iterable[str]) -> List[str]:
    """At most three known names that are most similar to `name`, best first."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.4)
    return [by_lower[c] for c in close]


_LISTED = 50


def suggestion(name: str, known: Iterable[str]) -> str:
    """The remedy for an unknown name: the names that were probably meant, or all known names."""
    known = sorted(known)
    close = nearest(name, known)
    if close:
        return "did you mean %s?" % " or ".join(close)
    more = ["and %d more" % (len(known) - _LISTED)] if len(known) > _LISTED else []
    return "known: %s" % (", ".join(known[:_LISTED] + more) or "none")


def check_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise UsageError "unknown KIND 'NAME'; did you mean ...?" unless `name` is in `known`."""
    known = list(known)
    if name not in known:
        raise UsageError("unknown %s '%s'" % (kind, name), suggestion(name, known))


def first_repeated(values: Iterable[Any]) -> Any:
    """The first value that occurs a second time, or None if all values differ.

    It takes one pass, because a stranger's file may hold a hundred thousand values.
    """
    seen: Set[str] = set()
    for value in values:
        key = value if isinstance(value, str) else repr(value)
        if key in seen:
            return value
        seen.add(key)
    return None
