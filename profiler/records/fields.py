"""The fields of records. Each is declared once, in the class of its record:

    @record("a line of samples.jsonl")
    class Sample(NamedTuple):
        total_s: Optional[float] = field("wall time of the sample")

The annotation says the type and whether the field may be null, the end of the name says the unit.
`parse` checks a record that was read against its class; the tables of docs/formats.md are made from
the same declarations.
"""

import copy
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type, TypeVar, Union

from splitwatt.device_configs.errors import RunError

_Record = TypeVar("_Record")
# The default of a field that must be there.
REQUIRED: Any = object()
MAX_TEXT = 10000
# No run goes on for longer, and no clock is further from its beginning, s.
MAX_DURATION_S, MAX_CLOCK_S = 1e7, 1e11
MAX_BYTES = 2**50
_UNITS = (
    ("images_per_s", "1/s"), ("_kbit_s", "kbit/s"), ("_bytes", "B"), ("bytes", "B"), ("_khz", "kHz"),
    ("_hz", "Hz"), ("_watts", "W"), ("joules", "J"), ("joules_per_image", "J"), ("_c", "°C"),
    ("_us", "µs"), ("_s", "s"),
)  # fmt: skip
# Unit -> the smallest and the largest value, where a field says nothing else.
_RANGES = {"s": (0, MAX_DURATION_S), "B": (0, MAX_BYTES), "kbit/s": (1e-9, 1e12), "1/s": (0, 1e9)}
_ANY_NUMBER = (-1e15, 1e15)
_COUNT = (0, 10**9)
_TYPES: Dict[Any, Tuple[str, Tuple[type, ...]]] = {
    str: ("text", (str,)),
    int: ("integer", (int,)),
    float: ("number", (int, float)),
    bool: ("boolean", (bool,)),
}


class Field(NamedTuple):
    """One field of a record.

    Attributes:
        type: "text", "integer", "number", "boolean", "mapping", "list", "object" or "any".
        of: the type of a list's or a mapping's values; the class of an object; else None.
        unit: "s", "B", ... or "" without a unit.
        description: what it means.
        nullable: whether it may be null: not measured, or not there to be measured.
        default: what a run of an earlier version has, which lacks it; REQUIRED: every version has it.
        least, most: the range of a number, or of each number in a list or mapping.
        choices: the texts it may be; empty: any.
    """

    type: str
    of: Any
    unit: str
    description: str
    nullable: bool
    default: Any
    least: float
    most: float
    choices: Tuple[str, ...]


class _Declared(NamedTuple):
    description: str
    default: Any
    least: Optional[float]
    most: Optional[float]
    choices: Tuple[str, ...]
    unit: Optional[str]


def field(
    description: str,
    default: Any = REQUIRED,
    least: Optional[float] = None,
    most: Optional[float] = None,
    choices: Tuple[str, ...] = (),
    unit: Optional[str] = None,
) -> Any:
    """Declares a field of a record; see `Field`. A unit of None is that of the name's end."""
    return _Declared(description, default, least, most, choices, unit)


def clock(description: str, default: Any = REQUIRED) -> Any:
    """Declares a time on a clock, in seconds."""
    return field(description, default, 0, MAX_CLOCK_S)


_RECORDS: Dict[type, Tuple[str, Dict[str, Field]]] = {}
# Name, field, the Python type of a value that needs no closer look (None: every value does), range.
_Quick = Tuple[str, Field, Optional[type], float, float]
_QUICK: Dict[type, List[_Quick]] = {}


def record(title: str) -> Callable[[Type[_Record]], Type[_Record]]:
    """Registers a NamedTuple whose fields are declared with `field`.

    Args:
        title: what the record is, as in "a line of samples.jsonl".
    """

    def register(cls: Any) -> Any:
        declared = cls._field_defaults
        known = {name: _field(name, kind, declared[name]) for name, kind in _annotations(cls)}
        _RECORDS[cls] = title, known
        _QUICK[cls] = [(n, f, _quick_type(f), f.least, f.most) for n, f in known.items()]
        defaults = [f.default for f in known.values() if f.default is not REQUIRED]
        cls.__new__.__defaults__ = tuple(defaults) or None
        return cls

    return register


def records() -> Dict[str, type]:
    """Every record by its title."""
    return {title: cls for cls, (title, _) in _RECORDS.items()}


def fields(cls: type) -> Dict[str, Field]:
    """The fields of a record by their names."""
    return _RECORDS[cls][1]


def parse(cls: Type[_Record], row: Any, where: str, key: str = "") -> _Record:
    """A record as its class has it; records inside it too. Keys of a later version are ignored.

    Args:
        cls: the record's class.
        row: parsed JSON.
        where: file and line, for the sentence.
        key: where in the line the record is.

    Raises:
        RunError: a field is missing, of another type, or out of its range: file, line and field.
    """
    if not isinstance(row, dict):
        raise RunError("%s%s is not a JSON object" % (where, ": '%s'" % key if key else ""))
    values = []
    for name, declared, quick, least, most in _QUICK[cls]:
        value = row.get(name, declared.default)
        kind = type(value)
        if kind is quick and (
            quick is bool or (_is_plain(value) if quick is str else least <= value <= most)
        ):
            values.append(sys.intern(value) if quick is str else value)
            continue
        if value is REQUIRED:
            raise RunError("%s: the field '%s' is missing" % (where, _join(key, name)))
        if value is not None or not declared.nullable:
            value = _value(declared, value, where, _join(key, name) if key else name)
        values.append(value)
    return cls._make(values)  # type: ignore[attr-defined,no-any-return]


def fill(cls: type, row: Any) -> None:
    """Put the default of each field that a parsed record lacks into it, and into records inside it."""
    for name, declared in fields(cls).items():
        if name not in row:
            row[name] = copy.copy(declared.default)
        value, of = row[name], declared.of
        if of in _RECORDS and value is not None:
            inside = value if isinstance(value, list) else [value]
            for one in value.values() if declared.type == "mapping" else inside:
                fill(of, one)


def check_text(value: Any, where: str, key: str) -> None:
    """Raise RunError for texts inside JSON that hold control characters, or are too long."""
    if isinstance(value, str):
        if _is_plain(value):
            return
        if any(_is_control(c) for c in value):
            raise RunError("%s: '%s' holds a control character: %s" % (where, key, _shown(value)))
        if len(value) > MAX_TEXT:
            raise RunError("%s: '%s' is longer than %d characters" % (where, key, MAX_TEXT))
    elif isinstance(value, dict):
        for name, one in value.items():
            check_text(name, where, key)
            check_text(one, where, _join(key, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            check_text(one, where, "%s[%d]" % (key, number))


def plain_text(text: str) -> str:
    """A text as a record may hold it: without control characters, and not too long."""
    clean = "".join(" " if _is_control(c) else c for c in text)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 3] + "..."


def _value(declared: Field, value: Any, where: str, key: str) -> Any:
    kind = declared.type
    if kind == "any":
        check_text(value, where, key)
    elif kind == "object":
        return parse(declared.of, value, where, key)
    elif kind == "list":
        if not isinstance(value, list):
            raise _wrong(where, key, "a list", value)
        return [_item(declared, one, where, "%s[%d]" % (key, n)) for n, one in enumerate(value)]
    elif kind == "mapping":
        if not isinstance(value, dict):
            raise _wrong(where, key, "an object", value)
        if not _is_plain("".join(value)):
            for name in value:
                check_text(name, where, key)
        # A run of many samples has the same few names in each: one text of each is kept.
        intern, plain, least, most = sys.intern, declared.of is float, declared.least, declared.most
        return {
            intern(n): one
            if plain and type(one) is float and least <= one <= most
            else _item(declared, one, where, _join(key, n))
            for n, one in value.items()
        }
    else:
        return _scalar(declared, kind, value, where, key)
    return value


def _item(declared: Field, value: Any, where: str, key: str) -> Any:
    of, nullable = _without_null(declared.of)
    if value is None and nullable:
        return None
    if of in _TYPES:
        return _scalar(declared, _TYPES[of][0], value, where, key)
    if of in _RECORDS:
        return parse(of, value, where, key)
    if getattr(of, "__origin__", None) in (dict, Dict) and not isinstance(value, dict):
        raise _wrong(where, key, "an object", value)
    check_text(value, where, key)
    return value


def _scalar(declared: Field, kind: str, value: Any, where: str, key: str) -> Any:
    if kind == "text":
        if not isinstance(value, str):
            raise _wrong(where, key, "text", value)
        if declared.choices and value not in declared.choices:
            raise _wrong(where, key, " or ".join(declared.choices), value)
        check_text(value, where, key)
        return sys.intern(value)
    elif kind == "boolean":
        if not isinstance(value, bool):
            raise _wrong(where, key, "true or false", value)
    else:
        wanted = int if kind == "integer" else (int, float)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise _wrong(where, key, "a whole number" if kind == "integer" else "a number", value)
        if not declared.least <= value <= declared.most:  # nor is it NaN then
            limits = "between %.15g and %.15g" % (declared.least, declared.most)
            raise _wrong(where, key, limits, value)
    return value


def _wrong(where: str, key: str, expected: str, value: Any) -> RunError:
    return RunError("%s: '%s' must be %s, not %s" % (where, key, expected, _shown(value)))


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_plain(text: str) -> bool:
    """Whether nothing can be wrong with a text; False does not say that something is."""
    return text.isprintable() and len(text) <= MAX_TEXT


def _is_control(character: str) -> bool:
    code = ord(character)
    half = 0xD800 <= code < 0xE000  # of a name that is not UTF-8
    return (code < 32 and character not in "\t\n") or 127 <= code < 160 or half


def _join(key: str, name: str) -> str:
    return "%s.%s" % (key, name) if key else name


def _quick_type(declared: Field) -> Optional[type]:
    types = [kind for kind, (name, _) in _TYPES.items() if name == declared.type]
    return types[0] if types and not declared.choices else None


def _annotations(cls: Any) -> List[Tuple[str, Any]]:
    kinds = cls.__annotations__
    return [(name, kinds[name]) for name in cls._fields]


def _without_null(kind: Any) -> Tuple[Any, bool]:
    if getattr(kind, "__origin__", None) is Union:
        (only,) = [one for one in kind.__args__ if one is not type(None)]
        return only, True
    return kind, False


def _field(name: str, annotation: Any, declared: _Declared) -> Field:
    kind, nullable = _without_null(annotation)
    origin = getattr(kind, "__origin__", None)
    of: Any = None
    if kind in _TYPES:
        type_ = _TYPES[kind][0]
    elif kind is Any:
        type_ = "any"
    elif origin in (list, List) or origin in (tuple, Tuple):
        type_, of = "list", kind.__args__[0]
    elif origin in (dict, Dict):
        type_, of = "mapping", kind.__args__[1]
    else:
        type_, of = "object", kind
    numeric = {int, float} & {kind, _without_null(of)[0]}
    unit = declared.unit
    if unit is None:
        unit = next((unit for end, unit in _UNITS if name.endswith(end) and numeric), "")
    least, most = _RANGES.get(unit, _COUNT if int in numeric else _ANY_NUMBER)
    least = least if declared.least is None else declared.least
    most = most if declared.most is None else declared.most
    return Field(
        type_, of, unit, declared.description, nullable, declared.default, least, most,
        declared.choices,
    )  # fmt: skip
