"""Reads YAML as strictly as JSON: only plain values, no repeated keys, no aliases, no tags.

PyYAML's own reader expands aliases without a limit, makes sets and dates, keeps the last of two equal
keys, and raises TypeError, ValueError or RecursionError for some documents.
"""

import math
import re
from typing import Any, Dict

import yaml

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.files import read_bounded
from splitwatt.device_configs.input.strict_json import MAX_INTEGER, wrong_text

# PyYAML reads about 100 kB a second; the largest packaged file has 14 kB.
LIMIT_BYTES = 128 << 10
# The limit for nested lists and mappings; PyYAML's time grows with their depth.
_MAX_DEPTH = 12
_PLAIN_TAGS = {"tag:yaml.org,2002:" + name for name in ("bool", "int", "float", "null")}
_NUMBER_LENGTH = 40
# `12:30` is 750 to YAML, `010` is 8, and `1__0` is 10.
_SURPRISING = re.compile("[:_]|^[-+]?0[0-9]")


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the rules of this file."""

    # Without "<<" (merge), "=" and dates, which stay text.
    yaml_implicit_resolvers = {
        first: [rule for rule in rules if rule[0] in _PLAIN_TAGS]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _wrong("an alias (*%s); write the value out" % event.anchor, event)
        if getattr(event, "tag", None) is not None:
            raise _wrong("the tag %s; only plain values are read" % event.tag, event)
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _wrong("more than %d levels" % _MAX_DEPTH, event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _mapping(self, node: Any) -> Dict[Any, Any]:
        values: Dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _wrong("a key that is a list or a mapping", key_node)
            key = self.construct_object(key_node)
            if key in values:
                raise _wrong("the key %r twice" % (key,), key_node)
            values[key] = self.construct_object(value_node, deep=True)
        return values

    def _number(self, node: Any) -> Any:
        if len(node.value) > _NUMBER_LENGTH:
            raise _wrong("a number of more than %d characters" % _NUMBER_LENGTH, node)
        if _SURPRISING.search(node.value):
            raise _wrong(
                "%s, which YAML reads as another number than it looks like; write a number with "
                'plain decimal digits, or text in "quotes"' % node.value,
                node,
            )
        whole = node.tag.endswith(":int")
        value = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if abs(value) > MAX_INTEGER if whole else not math.isfinite(value):
            raise _wrong("the number %s, which is too large" % node.value, node)
        return value

    def _text(self, node: Any) -> str:
        wrong = wrong_text(node.value)
        if wrong:
            raise _wrong(wrong, node)
        return str(node.value)


for _name, _construct in (
    ("map", _StrictLoader._mapping),
    ("int", _StrictLoader._number),
    ("float", _StrictLoader._number),
    ("str", _StrictLoader._text),
):
    _StrictLoader.add_constructor("tag:yaml.org,2002:" + _name, _construct)


def _wrong(what: str, at: Any) -> yaml.YAMLError:
    return yaml.YAMLError("line %d holds %s" % (at.start_mark.line + 1, what))


def parse_yaml(data: bytes, what: str) -> Any:
    """A YAML document as None, booleans, finite numbers, texts, lists and mappings.

    Args:
        data: the file's bytes, UTF-8, at most `LIMIT_BYTES`.
        what: its name in errors, as "table3.yaml".

    Raises:
        ConfigError: not UTF-8, not YAML, an alias, a tag, a key twice, a key that is not a scalar, a number
            that is not finite, beyond 2^53, or not written in plain digits, a NUL or half a character, or more than 12 levels.
    """
    if len(data) > LIMIT_BYTES:
        raise ConfigError("%s is larger than %d bytes" % (what, LIMIT_BYTES))
    try:
        return yaml.load(data.decode("utf-8-sig"), Loader=_StrictLoader)
    except UnicodeDecodeError:
        raise ConfigError("%s is not text in UTF-8" % what)
    except (yaml.YAMLError, ValueError, OverflowError) as wrong:
        raise ConfigError(
            "%s is not YAML that splitwatt reads: %s" % (what, " ".join(str(wrong).split()))
        )


def read_yaml(path: str) -> Any:
    """A YAML file as Python values; see `parse_yaml`.

    Raises:
        ConfigError: it cannot be read, or is wrong.
    """
    return parse_yaml(read_bounded(path, LIMIT_BYTES, ConfigError), path)
