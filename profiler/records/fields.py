"""The fields of records. Each is declared once, in the class of its record:

    @record("a line of samples.jsonl")
    class Sample(NamedTuple):
        total_s: Optional[float] = field("wall time of the sample")

The annotation says the type and whether the field may be null, the end of the name says the unit.
`parse` checks a record that was read against its class; the tables of docs/formats.md are made from
the same declarations.
"""

import copy
import re
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type, TypeVar, Union

from splitwatt.device_configs.errors import RunError

_Record = TypeVar("_Record")
# The default of a required field.
REQUIRED: Any = object()
MAX_TEXT = 10000
# The longest run, and the largest reading of a clock, s.
MAX_DURATION_S, MAX_CLOCK_S = 1e7, 1e11
MAX_BYTES = 2**50
_UNITS = (
    ("images_per_s", "1/s"), ("_kbit_s", "kbit/s"), ("_bytes", "B"), ("bytes", "B"), ("_khz", "kHz"),
    ("_hz", "Hz"), ("_watts", "W"), ("joules", "J"), ("joules_per_image", "J"), ("_c", "°C"),
    ("_us", "µs"), ("_s", "s"),
)  # fmt: skip
# Unit -> the default range of a field.
_RANGES = {"s": (0, MAX_DURATION_S), "B": (0, MAX_BYTES), "kbit/s": (1e-9, 1e12), "1/s": (0, 1e9)}
_ANY_NUMBER = (-1e15, 1e15)
_COUNT = (0, 10**9)
_TYPES = {str: "text", int: "integer", float: "number", bool: "boolean"}
_LISTS, _MAPPINGS = (list, List, tuple, Tuple), (dict, Dict)
# Control characters except tab and line feed, and lone surrogates, as in a name that is not UTF-8.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Field(NamedTuple):
    """One field of a record.

    Attributes:
        annotation: as Python has it.
        type: "text", "integer", "number", "boolean", "mapping", "list", "object" or "any".
        of: the type of a list's or a mapping's values; the class of an object; else None.
        unit: "s", "B", ... or "" without a unit.
        description: what it means.
        nullable: whether it may be null: it was not measured, or there was nothing to measure.
        default: the value in runs of earlier versions, which lack the field; REQUIRED: none lacks it.
        least, most: the range of a number, or of each number in a list or mapping.
        choices: the texts it may be; empty: any.
    """

    annotation: Any
    type: str
    of: Any
    unit: str
    description: str
    nullable: bool
    default: Any
    least: float
    most: float
    choices: Tuple[str, ...]


def field(
    description: str,
    default: Any = REQUIRED,
    least: Optional[float] = None,
    most: Optional[float] = None,
    choices: Tuple[str, ...] = (),
    unit: Optional[str] = None,
) -> Any:
    """Declares a field of a record; see `Field`. By default the end of its name gives its unit."""
    # What is None or "" here follows from annotation and name: `record` fills it in.
    declared: Any = (None, "", None, unit, description, False, default, least, most, choices)
    return Field._make(declared)


def clock(description: str, default: Any = REQUIRED) -> Any:
    """Declares a time on a clock, in seconds."""
    return field(description, default, 0, MAX_CLOCK_S)


_RECORDS: Dict[type, Tuple[str, Dict[str, Field]]] = {}
# Name, field, the type of values that need only a range check (None: no value does), range.
_Quick = Tuple[str, Field, Optional[type], float, float]
_QUICK: Dict[type, List[_Quick]] = {}


def record(title: str) -> Callable[[Type[_Record]], Type[_Record]]:
    """Registers a NamedTuple whose fields are declared with `field`.

    Args:
        title: what the record is, as in "a line of samples.jsonl".
    """

    def register(cls: Any) -> Any:
        declared, kinds = cls._field_defaults, cls.__annotations__
        known = {name: _field(name, kinds[name], declared[name]) for name in cls._fields}
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
    """A checked record, as an object of its class. Keys of a later version are ignored.

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
        if value is None and declared.nullable:
            pass
        elif kind is quick and (
            quick is bool or (_is_plain(value) if quick is str else least <= value <= most)
        ):
            value = sys.intern(value) if quick is str else value
        elif value is REQUIRED:
            raise RunError("%s: the field '%s' is missing" % (where, _join(key, name)))
        else:
            value = _checked(declared, declared.annotation, value, where, _join(key, name))
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
        if _CONTROL.search(value):
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
    clean = _CONTROL.sub(" ", text)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 3] + "..."


def _checked(declared: Field, annotation: Any, value: Any, where: str, key: str) -> Any:
    """A value of that annotation, within the field's range."""
    kind, nullable = _without_null(annotation)
    if value is None and nullable:
        return None
    origin = getattr(kind, "__origin__", None)
    if kind in _TYPES:
        return _scalar(declared, kind, value, where, key)
    if kind in _RECORDS:
        return parse(kind, value, where, key)
    if origin in _LISTS:
        if not isinstance(value, list):
            raise _wrong(where, key, "a list", value)
        of = kind.__args__[0]
        return [
            _checked(declared, of, one, where, "%s[%d]" % (key, n)) for n, one in enumerate(value)
        ]
    if origin in _MAPPINGS:
        if not isinstance(value, dict):
            raise _wrong(where, key, "an object", value)
        if not _is_plain("".join(value)):
            for name in value:
                check_text(name, where, key)
        # A run of many samples has the same few names in each: one text of each is kept.
        intern, of, least, most = sys.intern, kind.__args__[1], declared.least, declared.most
        return {
            intern(n): one
            if of is float and type(one) is float and least <= one <= most
            else _checked(declared, of, one, where, _join(key, n))
            for n, one in value.items()
        }
    check_text(value, where, key)
    return value


def _scalar(declared: Field, kind: Any, value: Any, where: str, key: str) -> Any:
    if kind is str:
        if not isinstance(value, str):
            raise _wrong(where, key, "text", value)
        if declared.choices and value not in declared.choices:
            raise _wrong(where, key, " or ".join(declared.choices), value)
        check_text(value, where, key)
        return sys.intern(value)
    if kind is bool:
        if not isinstance(value, bool):
            raise _wrong(where, key, "true or false", value)
    elif not isinstance(value, (int, kind)) or isinstance(value, bool):
        raise _wrong(where, key, "a whole number" if kind is int else "a number", value)
    elif not declared.least <= value <= declared.most:  # nor is it NaN then
        limits = "between %.15g and %.15g" % (declared.least, declared.most)
        raise _wrong(where, key, limits, value)
    return value


def _wrong(where: str, key: str, expected: str, value: Any) -> RunError:
    return RunError("%s: '%s' must be %s, not %s" % (where, key, expected, _shown(value)))


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_plain(text: str) -> bool:
    """Whether a text is certainly valid; False: `check_text` must look at it."""
    return text.isprintable() and len(text) <= MAX_TEXT


def _join(key: str, name: str) -> str:
    return "%s.%s" % (key, name) if key else name


def _quick_type(declared: Field) -> Optional[type]:
    kind = _without_null(declared.annotation)[0]
    return kind if kind in _TYPES and not declared.choices else None


def _without_null(kind: Any) -> Tuple[Any, bool]:
    if getattr(kind, "__origin__", None) is Union:
        (only,) = [one for one in kind.__args__ if one is not type(None)]
        return only, True
    return kind, False


def _field(name: str, annotation: Any, declared: Field) -> Field:
    kind, nullable = _without_null(annotation)
    origin = getattr(kind, "__origin__", None)
    of: Any = None
    if kind in _TYPES:
        type_ = _TYPES[kind]
    elif kind is Any:
        type_ = "any"
    elif origin in _LISTS:
        type_, of = "list", kind.__args__[0]
    elif origin in _MAPPINGS:
        type_, of = "mapping", kind.__args__[1]
    else:
        type_, of = "object", kind
    numeric = {int, float} & {kind, _without_null(of)[0]}
    unit = declared.unit
    if unit is None:
        unit = next((unit for end, unit in _UNITS if name.endswith(end) and numeric), "")
    least, most = _RANGES.get(unit, _COUNT if int in numeric else _ANY_NUMBER)
    return declared._replace(
        annotation=annotation, type=type_, of=of, unit=unit, nullable=nullable,
        least=least if declared.least is None else declared.least,
        most=most if declared.most is None else declared.most,
    )  # fmt: skip
