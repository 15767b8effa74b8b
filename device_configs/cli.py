"""What all commands share: common flags, exit codes, and errors as one sentence."""

import argparse
import errno
import json
import os
import re
import sys
import traceback
from typing import Any, Callable, List

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.files import storage_error
from splitwatt.device_configs.input.small_files import real_number, whole_number
from splitwatt.device_configs.install import install_for
from splitwatt.device_configs.printable import printable, wrapped
from splitwatt.device_configs.printable import say as say

Command = Callable[[List[str]], int]
_DESCRIBE = ["\0describe"]  # a command line cannot hold a NUL


class _AskedError(Exception):
    """Carries the parser that a command was about to use."""


class _Parser(argparse.ArgumentParser):
    """Escapes control characters in its messages: a stranger's file name must not act in the terminal."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message or ""), file)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if args == _DESCRIBE:
            raise _AskedError(self)
        return super().parse_known_args(args, namespace)


def parser_of(command: Command, *below: str) -> argparse.ArgumentParser:
    """The argument parser of a command, or of a verb below it."""
    try:
        command(list(below) + _DESCRIBE)
    except _AskedError as asked:
        parser: argparse.ArgumentParser = asked.args[0]
        return parser
    raise AssertionError("%r reads its command line without a parser" % command)


def parser(
    verb: str,
    summary: str,
    example: str,
    json_help: str = "print one JSON document and nothing else",
) -> argparse.ArgumentParser:
    """An argument parser with the flags that every command has (`--json`, `--debug`)."""
    lines = [wrapped(line).replace("\n", " \\\n  ") for line in example.splitlines()]
    result = _Parser(
        prog="splitwatt " + verb,
        description=wrapped(summary),
        epilog="example:\n  " + "\n  ".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--json", action="store_true", help=json_help)
    result.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return result


def positive(text: str) -> int:
    """A count for argparse: a whole number from 1 on."""
    value = whole_number(text) or 0
    if value < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1 on, not '%s'" % text)
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader for argparse of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        value = whole_number(text)
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(
                "must be a whole number from %d to %d, not '%s'" % (low, high, text)
            )
        return value

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A reader for argparse of numbers from `low` to `high`."""

    def read(text: str) -> float:
        value = real_number(text)
        if value is None or not low <= value <= high:
            bounds = "from %.12g to %.12g" % (low, high)
            raise argparse.ArgumentTypeError("must be %s, not '%s'" % (bounds, text))
        return value

    return read


# At most a week, more than anything here takes. Sockets cannot wait longer than 24 days.
seconds = number(0.001, 7 * 86400.0)


def deadline(text: str) -> float:
    """A time such as 500ms or 2s for argparse, in seconds: from 0.001 to 600."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s)", text)
    value = float(match.group(1)) / (1000.0 if match.group(2) == "ms" else 1.0) if match else 0.0
    if not 0.001 <= value <= 600:
        raise argparse.ArgumentTypeError("must be from 1ms to 600s, not '%s'" % text)
    return value


def print_json(document: Any) -> None:
    """Print `document` on standard output as JSON, without NaN."""
    print(json.dumps(document, indent=2, allow_nan=False))


def note(text: str) -> None:
    """Print a line for people on standard error, so that --json stays one document."""
    print(printable(wrapped(text)), file=sys.stderr, flush=True)


def time_left(done: float, total: float, elapsed_s: float) -> str:
    """The time left in words, at the average speed so far; "" at the beginning and at the end."""
    if not 0 < done < total:
        return ""
    left_s = elapsed_s / done * (total - done)
    if left_s < 90:
        return "about %d s left" % max(1, round(left_s))
    return "about %d min left" % round(left_s / 60)


def guarded(command: Command, argv: List[str]) -> int:
    """Run `command(argv)` and report its errors as one sentence.

    Returns the exit code: 0 (done), 1 (failed), 2 (bad usage) or 130 (interrupted).
    """
    try:
        return command(argv)
    except SplitwattError as error:
        if "--debug" in argv:
            print(printable(traceback.format_exc()), file=sys.stderr)
            return error.exit_code
        note("splitwatt: " + str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if "--debug" in argv or package == "splitwatt":  # our own file is missing: a bug
            raise
        note("splitwatt: the package %s is not installed: %s" % (package, install_for(package)))
        return 2
    except KeyboardInterrupt:
        note("splitwatt: interrupted")
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads the output any more, so nothing is reported
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        note("splitwatt: " + str(storage_error("the output", error)))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # buffered output is not written again
        return 1
