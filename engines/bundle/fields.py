"""Reading JSON objects that somebody else wrote: each wrong thing is one sentence.

The sentence names the file and the key, and what was expected there.
"""

import re
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar

from splitwatt.device_configs.errors import BundleError
from splitwatt.device_configs.names import suggestion

_T = TypeVar("_T")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_REMEDY = "export the bundle again"


class Fields:
    """One JSON object, taken apart key by key; `done()` then refuses what nobody asked for.

    Args:
        value: the parsed JSON; must be an object.
        file: the name of the file, for the sentences.
        key: the path of the object inside the file, "" for the file's own.

    Raises:
        BundleError: from every method, when the key is missing or holds something else.
    """

    def __init__(self, value: Any, file: str, key: str = "") -> None:
        self._file = file
        self._key = key
        self._asked: List[str] = []
        if not isinstance(value, dict):
            raise self.wrong("", "an object", value)
        self._values: Dict[str, Any] = value

    def wrong(self, name: str, expected: str, found: Any) -> BundleError:
        """The sentence for a key that holds `found` where `expected` was due."""
        shown = repr(found)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        where = self._path(name)
        what = "key '%s'" % where if where else "the file"
        return BundleError(
            "%s: %s must be %s, not %s" % (self._file, what, expected, shown), _REMEDY
        )

    def any(self, name: str) -> Any:
        """The value of a key that must be there, whatever it is."""
        self._asked.append(name)
        if name not in self._values:
            raise BundleError("%s: key '%s' is missing" % (self._file, self._path(name)), _REMEDY)
        return self._values[name]

    def text(self, name: str, choices: Optional[Sequence[str]] = None) -> str:
        """A string, not empty, out of `choices` where they are given."""
        value = self.any(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "a text", value)
        if choices is not None and value not in choices:
            raise self.wrong(name, "one of " + ", ".join(choices), value)
        return value

    def digest(self, name: str) -> str:
        """A SHA-256 in 64 hexadecimal digits."""
        value = self.any(name)
        if not isinstance(value, str) or not _SHA256.match(value):
            raise self.wrong(name, "a SHA-256 of 64 hexadecimal digits", value)
        return value

    def boolean(self, name: str) -> bool:
        """True or false."""
        value = self.any(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false", value)
        return value

    def integer(self, name: str, minimum: int = 0) -> int:
        """A whole number of at least `minimum`."""
        value = self.any(name)
        if not _is_integer(value) or value < minimum:
            raise self.wrong(name, "a whole number of at least %d" % minimum, value)
        return int(value)

    def number(self, name: str) -> float:
        """A finite number."""
        value = self.any(name)
        if not _is_number(value):
            raise self.wrong(name, "a number", value)
        return float(value)

    def optional(self, name: str, read: Callable[[str], _T]) -> Optional[_T]:
        """None where the key holds null, else what `read` (a method of this object) makes of it."""
        return None if self.any(name) is None else read(name)

    def numbers(self, name: str, count: int) -> Tuple[float, ...]:
        """A list of exactly `count` finite numbers."""
        value = self._list_of(name, count, _is_number, "numbers")
        return tuple(float(v) for v in value)

    def integers(self, name: str, count: Optional[int] = None) -> Tuple[int, ...]:
        """A list of whole numbers of at least 1, exactly `count` of them where that is given."""
        value = self._list_of(
            name, count, lambda v: _is_integer(v) and v > 0, "whole numbers of at least 1"
        )
        return tuple(int(v) for v in value)

    def texts(self, name: str) -> List[str]:
        """A list of strings."""
        value = self._list_of(name, None, lambda v: isinstance(v, str), "texts")
        return [str(v) for v in value]

    def shape(self, name: str) -> Tuple[Optional[int], ...]:
        """A tensor's shape: whole numbers, and nulls for what varies."""
        value = self.any(name)
        if not isinstance(value, list) or not all(
            d is None or (_is_integer(d) and d >= 0) for d in value
        ):
            raise self.wrong(name, "a list of whole numbers and nulls", value)
        return tuple(value)

    def objects(self, name: str) -> "List[Fields]":
        """A list of objects."""
        value = self.any(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list of objects", value)
        keys = ["%s[%d]" % (self._path(name), index) for index in range(len(value))]
        return [Fields(item, self._file, key) for item, key in zip(value, keys)]

    def object(self, name: str) -> "Fields":
        """An object."""
        return Fields(self.any(name), self._file, self._path(name))

    def members(self) -> "List[Tuple[str, Fields]]":
        """Every key of this object with the object it holds, in the file's order."""
        return [(name, self.object(name)) for name in self._values]

    def names(self) -> List[str]:
        """The keys of this object, in the file's order."""
        return list(self._values)

    def done(self) -> None:
        """Refuse the keys that no method was asked for."""
        for name in self._values:
            if name not in self._asked:
                raise BundleError(
                    "%s: unknown key '%s'" % (self._file, self._path(name)),
                    suggestion(name, self._asked),
                )

    def _list_of(
        self, name: str, count: Optional[int], good: Callable[[Any], bool], what: str
    ) -> List[Any]:
        value = self.any(name)
        sound = isinstance(value, list) and all(good(item) for item in value)
        if not sound or (count is not None and len(value) != count):
            number = "" if count is None else "%d " % count
            raise self.wrong(name, "a list of %s%s" % (number, what), value)
        return list(value)

    def _path(self, name: str) -> str:
        return ".".join(part for part in (self._key, name) if part)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # JSON as Python reads it may hold NaN and Infinity: value - value is 0 only for finite ones.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0
