"""JSON that other readers take and nobody means is refused in one sentence."""

import json

import pytest

from splitwatt.device_configs.errors import BundleError
from splitwatt.device_configs.input.strict_json import parse_json, read_json


@pytest.mark.parametrize(
    "text, words",
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[NaN]", "holds NaN"),
        (b"[-Infinity]", "holds -Infinity"),
        (b"[1e999]", "1e999"),
        (b"[1" + b"0" * 400 + b"]", "beyond 2^53"),
        (b"[9007199254740993]", "beyond 2^53"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'["\\ud800"]', "half a character"),
        (b'{"a\\u0000": 1}', "NUL"),
        (b"[" * 100 + b"]" * 100, "nested deeper"),
        (b"[" * 100000, "is n"),
    ],
)
def test_what_nobody_means_is_refused(text, words):
    with pytest.raises(BundleError) as refused:
        parse_json(text, "m.json", BundleError, "export it again")
    assert words in str(refused.value) and str(refused.value).startswith("m.json ")
    assert "\n" not in str(refused.value)


def test_everything_else_is_what_pythons_reader_gives(tmp_path):
    document = {"a": [1, -2.5, None, True, "\u00e4\U0001f600", {}], "b": {"c": [2**53]}}
    path = tmp_path / "d.json"
    path.write_text(json.dumps(document))
    assert read_json(str(path), 1000) == document
    with pytest.raises(BundleError) as refused:
        read_json(str(path), 10, BundleError)
    assert "larger than 10 bytes" in str(refused.value)
    with pytest.raises(BundleError):
        read_json(str(tmp_path), 10, BundleError)
