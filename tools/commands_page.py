"""docs/commands.md, the reference of all commands: `python -m tools.commands_page` updates it.

The options come from the parsers, so that page and commands always agree.
"""

import argparse
from pathlib import Path

from splitwatt.__main__ import BELOW, VERBS, command_of
from splitwatt.device_configs.cli import parser_of

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


def page() -> str:
    """The whole page."""
    commands = [
        [verb, *below] for verb in VERBS for below in ([[b] for b in BELOW.get(verb, ())] or [[]])
    ]
    parsers = (parser_of(command_of(verb), *below) for verb, *below in commands)
    return _HEAD + "".join(map(_section, parsers))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
