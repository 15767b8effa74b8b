"""docs/commands.md, the reference of all commands: `python -m tools.commands_page` updates it.

The options come from the parsers, so that page and commands always agree.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from unittest import mock

from splitwatt.__main__ import BELOW, VERBS, command_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
_HEAD = """# The commands

`splitwatt VERB --help` prints the same. Every command exits with 0 (done), 1 (failed) or 2 (wrong
usage), and with `--debug` shows the traceback of an error. `python -m tools.commands_page` writes this page.
"""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _rows(parser: argparse.ArgumentParser) -> str:
    rows = []
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or action.dest in ("help", "debug"):
            continue
        shown = action.metavar or (
            action.choices and "{" + ",".join(map(str, action.choices)) + "}"
        )
        value = "" if action.nargs == 0 else str(shown or action.dest.upper())
        names = [f"`{f'{flag} {value}'.strip()}`" for flag in action.option_strings] or [
            f"`{value}`"
        ]
        meaning = formatter._expand_help(action) if action.help else ""
        rows.append(f"| {_cell(', '.join(names))} | {_cell(meaning)} |\n")
    return "| option | meaning |\n|---|---|\n" + "".join(rows) if rows else ""


def _section(parser: argparse.ArgumentParser) -> str:
    text = f"\n## {parser.prog}\n{_cell(parser.description or '')}\n"
    rows = _rows(parser)
    text += f"\n{rows}" if rows else ""
    if parser.epilog:
        title, _, example = parser.epilog.partition("\n")
        lines = "\n".join(line.strip() for line in example.strip("\n").splitlines())
        text += f"\n{title.strip().capitalize()}\n\n```\n{lines}\n```\n"
    return text


def _parser_of(verb: str, *below: str) -> argparse.ArgumentParser:
    """The parser that a command reads its arguments with."""
    used: list[argparse.ArgumentParser] = []

    def keep(parser: argparse.ArgumentParser, *_: object) -> None:
        used.append(parser)
        raise SystemExit

    with mock.patch("argparse.ArgumentParser.parse_args", keep), contextlib.suppress(SystemExit):
        command_of(verb)(list(below))
    return used[0]


def page() -> str:
    """The whole page."""
    commands = [
        [verb, *below] for verb in VERBS for below in ([[b] for b in BELOW.get(verb, ())] or [[]])
    ]
    return _HEAD + "".join(_section(_parser_of(*names)) for names in commands)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
