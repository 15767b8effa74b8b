"""Run folders changed at random, structure kept: what a stranger's folder may hold."""

import copy
import json
import random
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from splitwatt.device_configs.errors import SplitwattError

# Values that no field of a run means, and some that one may.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, -5, 2**31, 2**53, 2**63, 10**30, 10**400, 0.0, -0.0, -1.0, 0.5,
    1e-300, 1e9, 1e18, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), "", "a", "LC1",
    "../../../etc/passwd", "=1+1", "<img src=x onerror=alert(1)>", "\\input{x}", "\x1b[31mred", "\0",
    "\u202eabc", "\ud800", "x" * 20000, [], [[]], [None], {}, {"a": {}}, {"": 0}, {"\x1b": 1},
]  # fmt: skip
TEXTS = [
    b"", b"\n", b"{", b"}", b"[]", b"null", b"NaN", b"{}", b"\xff\xfe", b"\0" * 64, b"[" * 5000,
    b'{"a": 1, "a": 2}', b"t_s,", b"1e400", b",,,,,",
]  # fmt: skip


def places(value: Any, way: tuple = ()) -> list[tuple]:
    """Every place in a document, as keys and indexes from its top."""
    found = [way] if way else []
    items: Any = ()
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        found += places(one, (*way, key))
    return found


def changed(document: Any, dice: random.Random) -> Any:
    """A copy with one place removed, replaced, scaled or renamed."""
    document = copy.deepcopy(document)
    *way, last = dice.choice(places(document))
    holder = document
    for key in way:
        holder = holder[key]
    kind = dice.choice(("remove", "replace", "replace", "replace", "scale", "rename"))
    old = holder[last]
    if kind == "remove":
        del holder[last]
    elif kind == "scale" and isinstance(old, (int, float)) and not isinstance(old, bool):
        holder[last] = dice.choice((-old, old * 1e12, old + 1, old / 3, old * 0, int(old)))
    elif kind == "rename" and isinstance(holder, dict):
        holder[dice.choice(("x", "\x1b", "\ud800", last.upper()))] = holder.pop(last)
    else:
        holder[last] = dice.choice(VALUES)
    return document


def mutate(run: Path, dice: random.Random) -> str:
    """Change one file of a run; what was changed."""
    files = sorted(p for p in run.rglob("*") if p.is_file() and not p.name.startswith("."))
    file = dice.choice(files)
    if dice.random() < 0.4:
        file = run / "run.json"
    data = file.read_bytes()
    kind = dice.random()
    if kind < 0.1:
        at = dice.randrange(len(data) + 1)
        data = data[:at] + dice.choice(TEXTS) + data[at + dice.randrange(20) :]
    elif kind < 0.13:
        data = data[: dice.randrange(len(data) + 1)]
    elif file.suffix == ".json":
        data = json.dumps(changed(json.loads(data), dice)).encode()
    elif file.suffix == ".jsonl":
        lines = data.splitlines(keepends=True)
        at = dice.randrange(len(lines))
        if kind < 0.2:
            lines.insert(at, dice.choice(lines))
        elif kind < 0.25:
            del lines[at]
        else:
            lines[at] = json.dumps(changed(json.loads(lines[at]), dice)).encode() + b"\n"
        data = b"".join(lines)
    else:
        cells = data.split(b",")
        cells[dice.randrange(len(cells))] = dice.choice((b"", b"1e308", b"nan", b"x", b"-1"))
        data = b",".join(cells)
    file.write_bytes(data)
    return str(file.relative_to(run))


def survive(
    original: Path, folder: Path, numbers: Iterable[int], seed: int, readers: dict[str, Any]
) -> list:
    """Mutate a run once per number and have each reader read it: every traceback, with its mutation.

    A reader may answer, or raise a SplitwattError of one sentence.
    """
    faults = []
    for number in numbers:
        dice = random.Random(f"{seed} {number}")
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(original, run)
        place = mutate(run, dice)
        if dice.random() < 0.3:
            place += ", " + mutate(run, dice) if _whole(run) else ""
        for name, reader in readers.items():
            try:
                reader(str(run))
            except SplitwattError as error:
                if "\n" in str(error) or "\x1b" in str(error):
                    faults.append((seed, number, place, name, f"not one sentence: {error!r}"))
            except Exception as error:
                faults.append((seed, number, place, name, repr(error)))
    return faults


def _whole(run: Path) -> bool:
    """Whether every JSON of a run can still be parsed, so that it can be changed again."""
    try:
        for file in run.rglob("*.json*"):
            for text in (
                file.read_bytes().splitlines() if file.suffix == ".jsonl" else [file.read_bytes()]
            ):
                json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
