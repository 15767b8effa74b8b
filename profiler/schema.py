"""Checks a parsed document against a JSON schema, in sentences that people can act on.

It knows the keywords that `configs/schema.json` uses and refuses a schema with others, so that the
published schema is all there is to know about a file.
"""

import re
from typing import Any, Callable, Dict, List, Tuple

from device_configs.errors import ConfigError
from device_configs.names import suggestion

Schema = Dict[str, Any]

_TYPES: Dict[str, Tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_SILENT = {"$schema", "title", "description", "default", "type", "required", "propertyNames"}


def check(value: Any, schema: Schema, file: str, key: str = "") -> Any:
    """Check `value` and fill in the defaults.

    Args:
        value: what a YAML or JSON parser gave.
        schema: a JSON schema in the keywords known here.
        file: the name to use in sentences.
        key: where in the file `value` stands, as `links[0].name`; empty at the top.

    Returns:
        A copy of `value` with a default for each absent key that has one.

    Raises:
        ConfigError: the file, the key, and what was expected there.
    """
    kind = schema["type"]
    if not _is(value, kind):
        raise _wrong(file, key, _expected(schema), value)
    for keyword, argument in schema.items():
        if keyword in _CHECKS:
            _CHECKS[keyword](value, argument, schema, file, key)
        elif keyword not in _SILENT and keyword not in (
            "properties",
            "additionalProperties",
            "items",
        ):
            raise NotImplementedError("the schema keyword %s" % keyword)
    if kind == "object":
        return _check_object(value, schema, file, key)
    if kind == "array":
        items = enumerate(value)
        return [check(item, schema["items"], file, "%s[%d]" % (key, i)) for i, item in items]
    return value


def _check_object(value: Dict[str, Any], schema: Schema, file: str, key: str) -> Dict[str, Any]:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", False)
    for name in value:
        where = _join(key, name)
        if not isinstance(name, str):
            raise ConfigError("%s: the key %s must be text" % (file, where), 'put it in "quotes"')
        if name not in properties:
            if others is False:
                remedy = suggestion(name, properties)
                raise ConfigError("%s: unknown key '%s'" % (file, where), remedy)
            _check_pattern(name, schema["propertyNames"]["pattern"], schema, file, where)
    for name in schema.get("required", ()):
        if name not in value:
            expected = _expected(properties[name])
            raise ConfigError(
                "%s: the key '%s' is missing" % (file, _join(key, name)),
                "it holds %s: %s" % (expected, properties[name]["description"]),
            )
    result = {}
    for name, item in value.items():
        result[name] = check(item, properties.get(name, others), file, _join(key, name))
    for name, rule in properties.items():
        if name not in value and "default" in rule:
            result[name] = check(rule["default"], rule, file, _join(key, name))
    return result


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float) and value != value:
        return False
    return isinstance(value, _TYPES[kind])


def _check_enum(value: Any, known: List[Any], schema: Schema, file: str, key: str) -> None:
    if value not in known:
        near = "; " + suggestion(value, known) if isinstance(value, str) else ""
        raise _wrong(file, key, _expected(schema), value, near)


def _check_pattern(value: str, pattern: str, schema: Schema, file: str, key: str) -> None:
    if not re.search(pattern, value) or value.endswith("\n"):
        raise _wrong(file, key, "text of the form %s" % pattern, value)


def _check_low(value: float, low: float, schema: Schema, file: str, key: str) -> None:
    if value < low:
        raise _wrong(file, key, "%s of at least %s" % (_WORDS[schema["type"]], low), value)


def _check_high(value: float, high: float, schema: Schema, file: str, key: str) -> None:
    if value > high:
        raise _wrong(file, key, "%s of at most %s" % (_WORDS[schema["type"]], high), value)


def _check_above(value: float, low: float, schema: Schema, file: str, key: str) -> None:
    if not low < value < float("inf"):
        raise _wrong(file, key, "%s above %s" % (_WORDS[schema["type"]], low), value)


def _check_size(value: Any, least: int, schema: Schema, file: str, key: str) -> None:
    if len(value) < least:
        raise _wrong(file, key, "%s that is not empty" % _WORDS[schema["type"]], value)


def _check_unique(value: List[Any], wanted: bool, schema: Schema, file: str, key: str) -> None:
    twice = [item for i, item in enumerate(value) if item in value[:i]]
    if wanted and twice:
        raise ConfigError("%s: %s holds %r twice" % (file, key, twice[0]), "name it once")


_CHECKS: Dict[str, Callable[[Any, Any, Schema, str, str], None]] = {
    "enum": _check_enum,
    "pattern": _check_pattern,
    "minimum": _check_low,
    "maximum": _check_high,
    "exclusiveMinimum": _check_above,
    "minLength": _check_size,
    "minItems": _check_size,
    "minProperties": _check_size,
    "uniqueItems": _check_unique,
}


def _expected(schema: Schema) -> str:
    if "enum" in schema:
        return " or ".join(repr(v) if isinstance(v, str) else str(v) for v in schema["enum"])
    if schema["type"] == "array" and "type" in schema["items"]:
        return "a list, each item %s" % _WORDS[schema["items"]["type"]]
    return _WORDS[schema["type"]]


def _wrong(file: str, key: str, expected: str, value: Any, more: str = "") -> ConfigError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    place = "'%s'" % key if key else "the file"
    return ConfigError("%s: %s must be %s, not %s%s" % (file, place, expected, shown, more))


def _join(key: str, name: Any) -> str:
    return "%s.%s" % (key, name) if key else str(name)
