"""Checks a parsed document against a JSON schema, with errors that say what to correct.

Only the schema defines a file's form, and boards have no `jsonschema` package. So this implements the
keywords that our schemas use (`_CHECKS`, `_STRUCTURE`, `$ref` to #/definitions) as JSON Schema defines
them, and refuses a schema with other keywords. It is stricter in two ways: NaN is not a number (nor is
infinity above a limit), and text that matches a pattern must not end with a newline.
"""

import re
from typing import Any, Callable, Dict, List, NoReturn, Tuple

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.names import first_repeated, nearest, suggestion

Schema = Dict[str, Any]

_TYPES: Dict[str, Tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_SILENT = {"$schema", "title", "description", "default", "definitions"}
_STRUCTURE = {
    "type", "items", "required", "properties", "additionalProperties", "propertyNames"
}  # fmt: skip


def check(value: Any, schema: Schema, file: str) -> Any:
    """Check `value` and fill in the defaults.

    Args:
        value: the parsed YAML or JSON.
        schema: a JSON schema with the keywords of this file.
        file: the file's name in errors.

    Returns:
        A copy of `value` with the defaults of missing keys.

    Raises:
        ConfigError: names the file, the key, and what was expected.
    """
    return _Checker(schema, file).check(value, schema, "")


class _Checker(object):
    """The check of one document; `key` is the path of a value, as `links[0].name`."""

    def __init__(self, root: Schema, file: str) -> None:
        self._root = root
        self._file = file

    def check(self, value: Any, schema: Schema, key: str) -> Any:
        schema = self._resolved(schema)
        if "type" in schema and not any(_is(value, name) for name in _names(schema)):
            self._wrong(key, self._expected(schema), value)
        for keyword, argument in schema.items():
            if keyword in _CHECKS:
                kind, valid, expected = _CHECKS[keyword]
                if (kind is None or _is(value, kind)) and not valid(value, argument):
                    self._unsound(value, schema, key, keyword, expected)
            elif keyword not in _SILENT and keyword not in _STRUCTURE:
                raise NotImplementedError("the schema keyword %s" % keyword)
        if isinstance(value, dict):
            return self._object(value, schema, key)
        if isinstance(value, list) and "items" in schema:
            items = enumerate(value)
            return [self.check(item, schema["items"], "%s[%d]" % (key, i)) for i, item in items]
        return value

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def _object(self, value: Dict[Any, Any], schema: Schema, key: str) -> Dict[Any, Any]:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties") or {}
        others = {} if others is True else others
        for name in value:
            self._check_name(name, properties, schema, _join(key, name))
        for name in schema.get("required", ()):
            if name not in value:
                self._missing(properties.get(name, {}), _join(key, name))
        result = {}
        for name, item in value.items():
            result[name] = self.check(item, properties.get(name, others), _join(key, name))
        for name, rule in properties.items():
            if name not in value and "default" in rule:
                result[name] = self.check(rule["default"], rule, _join(key, name))
        return result

    def _check_name(self, name: Any, known: Schema, schema: Schema, key: str) -> None:
        if not isinstance(name, str):
            raise ConfigError(
                "%s: the key %s must be text" % (self._file, key), 'put it in "quotes"'
            )
        if name not in known and schema.get("additionalProperties") is False:
            raise ConfigError("%s: unknown key '%s'" % (self._file, key), suggestion(name, known))
        self.check(name, schema.get("propertyNames", {}), key)

    def _missing(self, rule: Schema, key: str) -> NoReturn:
        described = rule.get("description")
        remedy = "it holds %s%s" % (self._expected(rule), ": %s" % described if described else "")
        raise ConfigError("%s: the key '%s' is missing" % (self._file, key), remedy)

    def _unsound(self, value: Any, schema: Schema, key: str, keyword: str, expected: str) -> None:
        if keyword == "uniqueItems":
            twice = first_repeated(value)
            raise ConfigError("%s: %s holds %r twice" % (self._file, key, twice), "name it once")
        more = ""
        if keyword == "enum" and isinstance(value, str):
            close = nearest(value, [str(known) for known in schema["enum"]])
            more = "; did you mean %s?" % " or ".join(close) if close else ""
        if keyword in ("minItems", "minLength") and schema[keyword] == 1:
            expected = "%(what)s that is not empty"
        if "title" in schema:
            expected = ""
        if expected:
            expected = expected % {"what": _words(schema), "limit": schema[keyword]}
        self._wrong(key, expected or self._expected(schema), value, more)

    def _wrong(self, key: str, expected: str, value: Any, more: str = "") -> NoReturn:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        place = "'%s'" % key if key else "the file"
        raise ConfigError(
            "%s: %s must be %s, not %s%s" % (self._file, place, expected, shown, more)
        )

    def _expected(self, schema: Schema) -> str:
        schema = self._resolved(schema)
        if "title" in schema and schema is not self._root:
            return str(schema["title"])
        if "const" in schema:
            return repr(schema["const"])
        if "enum" in schema:
            return " or ".join("null" if v is None else repr(v) for v in schema["enum"])
        items = self._resolved(schema.get("items", {}))
        if _names(schema) == ["array"] and "type" in items:
            return "a list, each item %s" % _words(items)
        return _words(schema)


def _names(schema: Schema) -> List[str]:
    """The names of the types that a schema allows; empty: any."""
    names = schema.get("type", [])
    return names if isinstance(names, list) else [names]


def _words(schema: Schema) -> str:
    return " or ".join(_WORDS[name] for name in _names(schema)) or "something else"


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if isinstance(value, float) and value != value:
        return False
    return isinstance(value, _TYPES[name])


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _is_unique(value: List[Any], wanted: bool) -> bool:
    return not wanted or first_repeated(value) is None


def _has_form(value: str, pattern: str) -> bool:
    return bool(re.search(pattern, value)) and not value.endswith("\n")


def _is_long_enough(value: Any, least: int) -> bool:
    return len(value) >= least


def _is_short_enough(value: Any, most: int) -> bool:
    return len(value) <= most


# Keyword -> the type that it applies to (None: any), a test of a value, and a description of valid
# values ("": that of the schema's type, const or enum).
_CHECKS: Dict[str, Tuple[Any, Callable[[Any, Any], bool], str]] = {
    "const": (None, _same, ""),
    "enum": (None, lambda value, known: any(_same(value, k) for k in known), ""),
    "pattern": ("string", _has_form, "text of the form %(limit)s"),
    "minimum": ("number", lambda value, low: value >= low, "%(what)s of at least %(limit)s"),
    "maximum": ("number", lambda value, high: value <= high, "%(what)s of at most %(limit)s"),
    "exclusiveMinimum": (
        "number",
        lambda value, low: low < value < float("inf"),
        "%(what)s above %(limit)s",
    ),
    "minLength": ("string", _is_long_enough, "%(what)s of at least %(limit)s characters"),
    "maxLength": ("string", _is_short_enough, "%(what)s of at most %(limit)s characters"),
    "minItems": ("array", _is_long_enough, "%(what)s of at least %(limit)s"),
    "maxItems": ("array", _is_short_enough, "%(what)s of at most %(limit)s"),
    "minProperties": ("object", _is_long_enough, "%(what)s that is not empty"),
    "uniqueItems": ("array", _is_unique, ""),
}


def _join(key: str, name: Any) -> str:
    shown = str(name) if str(name).isprintable() else ascii(name)
    return "%s.%s" % (key, shown[:60]) if key else shown[:60]
