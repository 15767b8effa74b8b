"""YAML that PyYAML takes and nobody means is refused in one sentence, in little time."""

import contextlib
import os
import time

import pytest
import yaml

from splitwatt.device_configs.errors import ConfigError
from splitwatt.device_configs.input.strict_yaml import LIMIT_BYTES, parse_yaml, read_yaml
from tests.board.tiny import ROOT

# 390 bytes that took 27 s and then all memory, when they are the key of a mapping.
BOMB = b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 8)
)
REFUSED = [
    (BOMB + b"? *a7\n: 1\n", "alias"),
    (b"a: &x {b: *x}", "alias"),
    (b"? &a !!set {x}\n: 1", "tag"),
    (b"!!python/object/apply:os.system [x]", "tag"),
    (b"a: !!binary AAAA", "tag"),
    (b"a: !own 1", "tag"),
    (b"a: 1\na: 2", "twice"),
    (b"? [1]\n: 2", "a key that is a list"),
    (b"[" * 100000, "levels"),
    (b"- " * 50000, "levels"),
    (b"? " * 50000, "levels"),
    (b"a: .inf", "too large"),
    (b"a: .NaN", "too large"),
    (b"a: -1.0e+999", "too large"),
    (b"a: 9007199254740993", "too large"),
    (b"a: " + b"9" * 5000, "a number of more than"),
    (b"a: 1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1", "plain decimal digits"),
    (b"a: 12:30", "plain decimal digits"),
    (b"a: 190:20:30.15", "plain decimal digits"),
    (b"a: 010", "plain decimal digits"),
    (b"a: 1_000", "plain decimal digits"),
    (b"a: 0x_", "plain decimal digits"),
    (b'a: "\\ud800"', "half a character"),
    (b'a: "x\\0"', "NUL"),
    (b'"\\UFFFFFFFF": 1', "not YAML"),
    (b"a: \0", "not YAML"),
    (b"\xff", "UTF-8"),
    (b"a: 1\n---\nb: 2", "single document"),
    (b"%YAML 9.9\n---\na", "version"),
    (b"a" * (LIMIT_BYTES + 1), "larger than"),
]


@pytest.mark.parametrize("data, words", REFUSED, ids=[words for _, words in REFUSED])
def test_what_nobody_means_is_refused(data, words):
    start = time.process_time()
    with pytest.raises(ConfigError) as refused:
        parse_yaml(data, "c.yaml")
    assert str(refused.value).startswith("c.yaml ") and words in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "data",
    [b"{" + b"a," * 65000, b"[" * 11 + b"x," * 65000, b"- a\n" * 32000, b"a:\n" * 43000],
    ids=["flow", "nested", "list", "keys"],
)
def test_the_largest_documents_take_seconds_at_most(data):
    start = time.process_time()
    with contextlib.suppress(ConfigError):
        parse_yaml(data[:LIMIT_BYTES], "c.yaml")
    assert time.process_time() - start < 10  # 2 s on most


def test_dates_and_merge_keys_are_text():
    document = parse_yaml(b"a: 2020-01-01\n<<: {c: 1}\n=: 08", "c.yaml")
    assert document == {"a": "2020-01-01", "<<": {"c": 1}, "=": "08"}


def test_the_files_of_the_project_are_read_as_pyyaml_reads_them():
    count = 0
    for room in ("device_configs", os.path.join("profiler", "configs")):
        folder = os.path.join(ROOT, room)
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if name.endswith(".yaml"):
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    assert read_yaml(os.path.join(folder, name)) == yaml.safe_load(stream), name
                count += 1
    assert count > 12


@pytest.mark.parametrize("kind", ["folder", "missing", "pipe"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    path = str(tmp_path / "c.yaml")
    if kind == "folder":
        os.mkdir(path)
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ConfigError):
        read_yaml(path)
