"""JSON records, each declared once as a class whose keys have a meaning and rules.

The class gives the JSON schema, checks a document, reads it as a typed value, and writes it again.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Type, TypeVar, Union

from splitwatt.device_configs.errors import BundleError, ConfigError
from splitwatt.device_configs.input.schema import check

_T = TypeVar("_T")
_Key = NamedTuple("_Key", [("meaning", str), ("rules", Dict[str, Any])])
_REMEDY = "export the bundle again"

# Text without control characters, half characters, or marks that change the direction of writing.
_PRINTABLE = "^[^\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]*$"
_SCHEMAS: Dict[Any, Dict[str, Any]] = {
    str: {"type": "string", "minLength": 1, "maxLength": 4096, "pattern": _PRINTABLE,
          "title": "text of 1 to 4096 printable characters"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}  # fmt: skip
SHA256 = {"pattern": "^[0-9a-f]{64}$", "title": "a SHA-256 of 64 hexadecimal digits"}
# The name of a model, a machine or a part, which also names folders and files.
NAME = {
    "pattern": "^(?![.]{1,2}$)[^/\\\\" + _PRINTABLE[3:-2] + "{1,120}$",
    "title": "text of 1 to 120 printable characters without slashes",
}
FILE = {
    "pattern": "^(?!.*(^|/)[.]{1,2}(/|$))[^/\\\\\\x00-\\x1f\\x7f]{1,255}(/[^/\\\\\\x00-\\x1f\\x7f]{1,255}){0,7}$",
    "title": "a file name inside the bundle",
}


def key(meaning: str, **rules: Any) -> Any:
    """A key of a record, with its description in the schema and the documentation.

    Args:
        rules: keywords of JSON schema that add to those of the key's type. A key with a `default` may
            be missing, and is not written if it has that value.
    """
    return _Key(meaning, rules)


def record(cls: Type[_T], obsolete: Tuple[str, ...] = ()) -> Type[_T]:
    """Make a NamedTuple a record; each of its fields must have a `key`.

    Its documents may have `obsolete` keys, which older versions wrote and nothing reads now.
    """
    made: Any = cls
    made.obsolete = obsolete
    keys = dict(made._field_defaults)
    made.declared = {name: keys[name] for name in made._fields}
    defaults = [k.rules["default"] for k in made.declared.values() if "default" in k.rules]
    made.__new__.__defaults__ = tuple(defaults) or None
    return cls


def schema_of(cls: Any, constants: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """The JSON schema of a record; `constants` are keys of the document with a fixed value."""
    properties: Dict[str, Any] = {
        name: {"const": value, "description": "always %s" % value}
        for name, value in (constants or {}).items()
    }
    for name, about in cls.declared.items():
        schema = _schema(cls.__annotations__[name], about.rules)
        properties[name] = dict(schema, description=about.meaning)
    required = [name for name in properties if "default" not in properties[name]]
    for name in cls.obsolete:
        properties[name] = {"description": "not read; older versions wrote it"}
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def read_record(
    cls: Type[_T], value: Any, file: str, constants: Optional[Dict[str, Any]] = None
) -> _T:
    """The record in parsed JSON, as `strict_json` reads it; BundleError where it breaks a rule.

    Args:
        file: its name in errors.
        constants: see `schema_of`.
    """
    try:
        checked = check(value, schema_of(cls, constants), file)
    except ConfigError as wrong:
        raise BundleError(wrong.message, wrong.remedy or _REMEDY)
    result: _T = _typed(cls, checked)
    return result


def plain(value: Any) -> Any:
    """A record as JSON values."""
    if hasattr(value, "declared"):
        items = zip(value.declared.items(), value)
        return {
            name: plain(item)
            for (name, about), item in items
            if "default" not in about.rules or item != about.rules["default"]
        }
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def _pieces(kind: Any) -> Tuple[Any, Tuple[Any, ...]]:
    """A type's origin and arguments, on CPython 3.6 (where origins are typing's classes) and later."""
    origin = getattr(kind, "__origin__", None)
    arguments = tuple(a for a in getattr(kind, "__args__", None) or () if a is not Ellipsis)
    return {List: list, Tuple: tuple, Dict: dict}.get(origin, origin), arguments


def _schema(kind: Any, rules: Dict[str, Any]) -> Dict[str, Any]:
    origin, arguments = _pieces(kind)
    if kind in _SCHEMAS:
        base = {"type": _SCHEMAS[kind]["type"]} if "enum" in rules else _SCHEMAS[kind]
        return dict(base, **rules)
    if origin is Union:  # a type or null, or a number or a list
        allowed = [_schema(a, rules) for a in arguments if a is not type(None)]
        names = [schema["type"] for schema in allowed]
        merged = {name: rule for schema in reversed(allowed) for name, rule in schema.items()}
        if type(None) in arguments:
            names.append("null")
            if "enum" in merged:
                merged["enum"] = list(merged["enum"]) + [None]
        return dict(merged, type=names)
    inner = rules.get("items", {})
    outer = {name: rule for name, rule in rules.items() if name != "items"}
    if origin in (list, tuple):
        return dict({"type": "array", "items": _schema(arguments[0], inner)}, **outer)
    if origin is dict:
        names_of = {"propertyNames": _SCHEMAS[str]}
        values = _schema(arguments[1], inner)
        return dict({"type": "object", "additionalProperties": values}, **dict(names_of, **outer))
    return dict(schema_of(kind), **rules)


def _typed(kind: Any, value: Any) -> Any:
    origin, arguments = _pieces(kind)
    if value is None:
        return None
    if origin is Union:
        is_list = isinstance(value, list)
        return _typed(
            next(a for a in arguments if is_list == (_pieces(a)[0] in (list, tuple))), value
        )
    if origin is list:
        return [_typed(arguments[0], item) for item in value]
    if origin is tuple:
        return tuple(_typed(arguments[0], item) for item in value)
    if origin is dict:
        return {name: _typed(arguments[1], item) for name, item in value.items()}
    if hasattr(kind, "declared"):
        return kind(
            **{name: _typed(kind.__annotations__[name], value[name]) for name in kind.declared}
        )
    return float(value) if kind is float else value
