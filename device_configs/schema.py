"""Checks a document against a published JSON schema: the schema is the only statement of the form.

The subset of JSON Schema (draft 7) that our schemas use, because boards have no `jsonschema`
package: type, const, enum, required, properties, additionalProperties, items, minItems, minLength,
minimum, pattern, $ref to #/definitions. A keyword it does not know is an error, never skipped.
"""

import re
from typing import Any, Dict, List

from device_configs.errors import ConfigError
from device_configs.names import suggestion

_ANNOTATIONS = {"$schema", "title", "description", "definitions"}
_TYPES: Dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}


def check(document: Any, schema: Dict[str, Any], source: str) -> None:
    """Raise ConfigError "FILE: KEY ..." at the first place where `document` is not of the form.

    Args:
        document: what a YAML or JSON parser returned.
        schema: a JSON schema, draft 7, of the subset above.
        source: the file's name, for the message.
    """
    _Checker(schema, source).check(document, schema, "")


class _Checker(object):
    def __init__(self, root: Dict[str, Any], source: str) -> None:
        self._root = root
        self._source = source

    def check(self, value: Any, schema: Dict[str, Any], where: str) -> None:
        for keyword in schema:
            if keyword not in _ANNOTATIONS:
                # "$ref" -> _ref, "minItems" -> _minitems, ...
                getattr(self, "_" + keyword.lstrip("$").lower())(
                    value, schema[keyword], schema, where
                )

    def _fail(self, where: str, message: str, remedy: str = "") -> None:
        raise ConfigError("%s: %s %s" % (self._source, where or "the file", message), remedy)

    def _ref(self, value: Any, ref: str, schema: Dict[str, Any], where: str) -> None:
        self.check(value, self._root["definitions"][ref.rsplit("/", 1)[1]], where)

    def _const(self, value: Any, wanted: Any, schema: Dict[str, Any], where: str) -> None:
        if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
            self._fail(where, "must be %r, is %r" % (wanted, value))

    def _enum(self, value: Any, allowed: List[Any], schema: Dict[str, Any], where: str) -> None:
        if value not in allowed:
            known = [str(a) for a in allowed]
            self._fail(where, "must not be %r" % (value,), suggestion(str(value), known))

    def _type(self, value: Any, wanted: Any, schema: Dict[str, Any], where: str) -> None:
        names = wanted if isinstance(wanted, list) else [wanted]
        if not any(_is(value, name) for name in names):
            self._fail(where, "must be %s, is %r" % (" or ".join(names), value))

    def _required(self, value: Any, keys: List[str], schema: Dict[str, Any], where: str) -> None:
        for key in keys:
            if isinstance(value, dict) and key not in value:
                self._fail(where, "lacks the key '%s'" % key)

    def _properties(
        self, value: Any, known: Dict[str, Any], schema: Dict[str, Any], where: str
    ) -> None:
        for key in value if isinstance(value, dict) else ():
            if key in known:
                self.check(value[key], known[key], _join(where, key))

    def _additionalproperties(
        self, value: Any, rule: Any, schema: Dict[str, Any], where: str
    ) -> None:
        known = schema.get("properties", {})
        for key in value if isinstance(value, dict) else ():
            if key in known:
                continue
            if rule is False:
                self._fail(where, "has the unknown key '%s'" % key, suggestion(str(key), known))
            self.check(value[key], rule, _join(where, key))

    def _items(self, value: Any, rule: Dict[str, Any], schema: Dict[str, Any], where: str) -> None:
        for index, item in enumerate(value if isinstance(value, list) else ()):
            self.check(item, rule, "%s[%d]" % (where, index))

    def _minitems(self, value: Any, least: int, schema: Dict[str, Any], where: str) -> None:
        if isinstance(value, list) and len(value) < least:
            self._fail(where, "needs at least %d items" % least)

    def _minlength(self, value: Any, least: int, schema: Dict[str, Any], where: str) -> None:
        if isinstance(value, str) and len(value) < least:
            self._fail(where, "must not be empty")

    def _minimum(self, value: Any, least: float, schema: Dict[str, Any], where: str) -> None:
        if _is(value, "number") and value < least:
            self._fail(where, "must be at least %g, is %r" % (least, value))

    def _pattern(self, value: Any, pattern: str, schema: Dict[str, Any], where: str) -> None:
        if isinstance(value, str) and not re.search(pattern, value):
            self._fail(where, "is %r, which is not of the form %s" % (value, pattern))


def _join(where: str, key: Any) -> str:
    return "%s.%s" % (where, key) if where else str(key)


def _is(value: Any, name: str) -> bool:
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, _TYPES[name])
