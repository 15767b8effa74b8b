"""Lists for readers: `LC 1-4, 7, SC 1`, and which rows have which source."""
# board: no

import re
from collections.abc import Iterable

_NUMBERED = re.compile(r"(.*\D)(\d+)(†?)$")


def ranges(labels: Iterable[str]) -> str:
    """Labels with consecutive numbers as ranges: `LC 1-4, 7, SC 1`."""
    words: list[str] = []
    name, last = "", 0
    for label in unique(labels):
        match = _NUMBERED.match(label)
        if not match:
            name = ""
            words.append(label)
        elif match.group(1) == name and int(match.group(2)) == last + 1:
            last += 1
            words[-1] = words[-1].removesuffix(f"-{last - 1}") + f"-{last}"
        else:
            same = match.group(1) == name
            name, last = match.group(1), int(match.group(2))
            words.append(str(last) if same else f"{name}{last}")
    return ", ".join(words)


def by_source(pairs: Iterable[tuple[str, str]]) -> str:
    """(row's label, source) pairs as `measured (LC 1-3), measured+simulated (SC 1)`.

    If all rows have one source, only the source is named. Pairs without a source are left out.
    """
    rows: dict[str, list[str]] = {}
    for label, source in pairs:
        if source:
            rows.setdefault(source, []).append(label)
    if len(rows) <= 1:
        return "".join(rows)
    return ", ".join(f"{source} ({ranges(labels)})" for source, labels in rows.items())


def unique(items: Iterable[str]) -> list[str]:
    """The items without repetitions, in the order of their first one."""
    return list(dict.fromkeys(items))
