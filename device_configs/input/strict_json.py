"""Reads JSON from a disk or a network strictly; errors are one sentence.

Python's own reader accepts NaN, integers of any length, repeated keys and lone surrogates, which cause
errors later, in other places.
"""

import json
import math
import re
from codecs import BOM_UTF8
from typing import Any, Dict, List, Tuple, Type, Union

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.files import read_bounded
from splitwatt.device_configs.names import first_repeated

# The largest integer that a float64, and so every JSON reader, represents exactly.
MAX_INTEGER = 2**53
MAX_DEPTH = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


class _WrongJsonError(ValueError):
    """Describes what is wrong, as the end of a sentence."""


def parse_json(
    data: Union[bytes, str],
    what: str,
    error: Type[SplitwattError] = SplitwattError,
    remedy: str = "",
) -> Any:
    """A JSON document as Python values.

    Args:
        data: the text, or its bytes in UTF-8. The caller limits its length.
        what: its name in errors, as "bundle/manifest.json".
        error: the class to raise.
        remedy: what to do about a wrong document.

    Raises:
        error: not UTF-8, not JSON, NaN or infinite numbers, integers beyond 2^53, a key twice in an
            object, a surrogate or NUL in a string, or deeper than 64 levels.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        document = _DECODER.decode(text)
        # Only an escape makes a NUL or half a character of plain text, and only brackets nest.
        if (
            "\\u" in text
            or (text is data and _SURROGATE.search(text))
            or text.count("[") + text.count("{") > MAX_DEPTH
        ):
            _check(document, 0)
    except _WrongJsonError as wrong:
        raise error("%s %s" % (what, wrong), remedy)
    except RecursionError:
        raise error("%s is nested deeper than %d levels" % (what, MAX_DEPTH), remedy)
    except ValueError as wrong:
        raise error("%s is not JSON: %s" % (what, str(wrong)[:120]), remedy)
    return document


def read_json(
    path: str, limit_bytes: int, error: Type[SplitwattError] = SplitwattError, remedy: str = ""
) -> Any:
    """A JSON file as Python values; see `parse_json`.

    Args:
        limit_bytes: the limit for the file's size.

    Raises:
        error: it cannot be read, is larger than the limit, or is wrong (see `parse_json`).
    """
    data = read_bounded(path, limit_bytes, error, remedy)
    # Windows begins UTF-8 files with a mark that is no part of the document.
    data = data[len(BOM_UTF8) :] if data.startswith(BOM_UTF8) else data
    return parse_json(data, path, error, remedy)


def _constant(text: str) -> Any:
    raise _WrongJsonError("holds %s, which is not a number of JSON" % text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _WrongJsonError("holds the number %s, which is too large" % text[:40])
    return value


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise _WrongJsonError("holds the integer %s, which is beyond 2^53" % text[:40])
    return int(text)


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = first_repeated(key for key, _ in pairs)
        raise _WrongJsonError("has the key %s twice" % json.dumps(twice[:60]))
    return result


_DECODER = json.JSONDecoder(
    parse_constant=_constant,
    parse_float=_float,
    parse_int=_integer,
    object_pairs_hook=_object,
)


def wrong_text(value: str) -> str:
    """What is wrong with a text, in words; "" if nothing is wrong."""
    if "\0" not in value and _SURROGATE.search(value) is None:
        return ""
    return "text with a NUL or half a character: %s" % ascii(value)[:60]


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _WrongJsonError("is nested deeper than %d levels" % MAX_DEPTH)
    if isinstance(value, str):
        wrong = wrong_text(value)
        if wrong:
            raise _WrongJsonError("holds " + wrong)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth + 1)
