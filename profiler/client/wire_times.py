"""The server's own times of a request, as the short text that travels in its answer.

`d=.00123 b=.08910 a=.10021 @5123.12345`: seconds of each stage, of the whole (`a`), and when the
server had all of the request, on its monotonic clock. Ten microseconds are its resolution, and the
usual stages have one letter: headers and JSON of an answer are to stay under 400 bytes.
"""

from typing import Any, Dict, NamedTuple, Optional

from splitwatt.device_configs.errors import ServerError
from splitwatt.device_configs.input.small_files import real_number
from splitwatt.profiler.records.fields import MAX_CLOCK_S, MAX_DURATION_S

_TOTAL = "all"
_MAX_TEXT = 4096
_LETTERS = {
    "decode": "d",
    "body": "b",
    "classifier": "c",
    "detector": "o",
    "segmenter": "s",
    "postprocess": "p",
    "queue": "q",
    _TOTAL: "a",
}
_NAMES = {letter: name for name, letter in _LETTERS.items()}


class Times(NamedTuple):
    """The times that a server reports of a request.

    Attributes:
        stages: seconds by stage; empty where it reports none.
        total_s: its own time for the request, or None.
        at_s: when it had all of the request, on its monotonic clock, or None.
    """

    stages: Dict[str, float]
    total_s: Optional[float]
    at_s: Optional[float]


def write_stages(stages: Dict[str, float], total_s: float, at_s: Optional[float] = None) -> str:
    """The text; `at_s` is the monotonic clock's (time.monotonic, which time.perf_counter is too)."""
    rows = list(stages.items()) + [(_TOTAL, total_s)]
    words = ["%s=%s" % (_LETTERS.get(name, name), _short(value)) for name, value in rows]
    return " ".join(words + (["@" + _short(at_s)] if at_s is not None else []))


def read_times(text: Any) -> Times:
    """What `write_stages` wrote; nothing where there is no text.

    Raises:
        ServerError: it is something else.
    """
    stages: Dict[str, float] = {}
    at_s: Optional[float] = None
    if len(str(text)) > _MAX_TEXT:
        raise ServerError("the server's stage times have more than %d characters" % _MAX_TEXT)
    for word in text.split() if isinstance(text, str) else [repr(text)]:
        is_at = word.startswith("@")
        name, _, value = ("at=" + word[1:] if is_at else word).partition("=")
        seconds, most_s = real_number(value), MAX_CLOCK_S if is_at else MAX_DURATION_S
        if not name.isidentifier() or seconds is None or not 0 <= seconds <= most_s:
            raise ServerError("the server's stage times cannot be read: '%s'" % word[:80])
        if is_at:
            at_s = seconds
        else:
            stages[_NAMES.get(name, name)] = seconds
    return Times(stages, stages.pop(_TOTAL, None), at_s)


def _short(seconds: float) -> str:
    text = "%.5f" % seconds
    return text[1:] if text.startswith("0.") else text
