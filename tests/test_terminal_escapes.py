"""Names in files from others never act in a terminal: every text of a bundle, a target, a config, a policy,
labels and a run, replaced in turn by one with controls, through every verb that reads it.
"""

import ast
import contextlib
import copy
import io
import json
import shutil
import unicodedata

import pytest
import yaml

from splitwatt.__main__ import main
from splitwatt.device_configs.printable import one_line, table
from splitwatt.profiler.config.config import find_config
from tests.board.tiny import read_document, tiny_bundle, write_document
from tests.conftest import ROOT

# A window's title with BEL, a colour, C1's CSI, text from right to left, a line that overwrites itself.
HOSTILE = "\x1b]0;x\x07\x1b[31m\x9b2J\u202eabc\rdone\u2028"
ROOMS = ("device_configs", "engines", "energy", "profiler", "export", "reports", "splitwatt")
# Where something else than text for people is printed, as JSON or a command's usage.
WRITERS = {"device_configs/cli.py", "device_configs/printable.py", "device_configs/progress.py",
           "engines/tensorrt/building/build_part.py", "splitwatt/__main__.py"}  # fmt: skip


def places(value, way=()):
    """Where a document holds text."""
    if isinstance(value, str):
        yield way
    elif isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*way, key))


def replaced(document, way, text):
    changed = copy.deepcopy(document)
    holder = changed
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = holder[way[-1]] + text
    return changed


def printed(*arguments):
    """What a verb prints, on both streams."""
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        contextlib.suppress(SystemExit),
    ):
        main([str(argument) for argument in arguments])
    return out.getvalue()


def acts(text):
    return [
        c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")
    ]


def check_every_place(document, write, *commands):
    shown = 0
    for way in places(document):
        write(replaced(document, way, HOSTILE))
        for command in commands:
            text = printed(*command)
            assert not acts(text), (way, command, text)
            shown += "\\x1b" in text
    assert shown, "nothing showed the text: the test looks at the wrong commands"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("texts") / "cpu" / "tiny@1", photos=1)


def test_texts_of_a_bundle(bundle):
    document = read_document(bundle)
    try:
        check_every_place(
            document, lambda changed: write_document(bundle, changed),
            ["verify", bundle], ["infer", bundle, "--overlay", bundle + "/../../out"],
            ["build", bundle, "--placement", "server"], ["evaluate", bundle, "--dataset", "x:y"],
            ["calibrate", bundle, "--images", bundle],
        )  # fmt: skip
    finally:
        write_document(bundle, document)


def test_texts_of_a_target(tmp_path):
    source = ROOT / "device_configs" / "nano.yaml"
    document = yaml.safe_load(source.read_text(encoding="utf-8"))
    file = tmp_path / "nano.yaml"
    check_every_place(
        document, lambda changed: file.write_text(yaml.safe_dump(changed), encoding="utf-8"),
        ["targets", file], ["energy", "read", "--target", file, "--sysfs", tmp_path],
    )  # fmt: skip


def test_texts_of_a_config(tmp_path, bundle):
    with open(find_config("table3.yaml"), encoding="utf-8") as stream:
        document = yaml.safe_load(stream)
    file = tmp_path / "c.yaml"
    check_every_place(
        document, lambda changed: file.write_text(yaml.safe_dump(changed), encoding="utf-8"),
        ["profile", "--config", file, "--bundles", tmp_path, "--out", tmp_path / "run"],
    )  # fmt: skip


def test_texts_of_a_policy(tmp_path, bundle):
    document = {
        "format": 1, "deadline_ms": 500.0, "quality_of": "top-1", "made_from": ["run"],
        "points": [{"config": "LC1", "bundle": bundle, "backend": "cpu", "quality": 0.5}],
    }  # fmt: skip
    file = tmp_path / "policy.yaml"
    check_every_place(
        document, lambda changed: file.write_text(yaml.safe_dump(changed), encoding="utf-8"),
        ["run", "--policy", file, "--source", tmp_path, "--server", "http://127.0.0.1:9"],
    )  # fmt: skip


def test_labels_and_names_of_files(tmp_path, bundle):
    labels = tmp_path / ("labels" + HOSTILE.replace("/", "") + ".txt")
    labels.write_text("cat" + HOSTILE, encoding="utf-8")
    missing = str(tmp_path / ("nothing" + HOSTILE))
    hostile = tmp_path / ("tiny" + HOSTILE)
    shutil.copytree(bundle, hostile)
    shown = 0
    for command in (
        ["bundle", "--name", "own", "--local", missing, "--labels", labels, "--out", tmp_path / "o"],
        ["verify", hostile], ["verify", missing], ["infer", hostile], ["infer", missing],
        ["build", missing], ["export", "--model", "m" + HOSTILE, "--target", "cpu"],
        ["models", "m" + HOSTILE], ["weights", "m" + HOSTILE], ["targets", missing],
        ["choose", missing, "--deadline", "1s"], ["run", "--policy", missing], ["report", missing],
        ["check", missing], ["whatif", missing], ["compare", missing, missing], ["doctor", missing],
        ["energy", "watch", "--target", missing], ["serve", "--bundles", missing],
        ["serve", "--cluster", missing, "--engine", "ray"], [HOSTILE],
    ):  # fmt: skip
        text = printed(*command)
        assert not acts(text), (command, text)
        shown += "\\x1b" in text
    assert shown > 12


def test_texts_of_a_run(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(ROOT / "tests" / "data" / "old_run", run)
    document = json.loads((run / "run.json").read_text())
    check_every_place(
        document, lambda changed: (run / "run.json").write_text(json.dumps(changed)),
        ["check", run], ["whatif", run], ["choose", run, "--deadline", "5s"],
    )  # fmt: skip


def test_a_traceback_that_was_asked_for_does_not_act_either():
    text = printed("verify", "/nothing" + HOSTILE, "--debug")
    assert "Traceback" in text and not acts(text)


def test_a_name_makes_no_line_of_its_own():
    assert one_line("a\nb\tc\x1b") == "a\\nb\\tc\\x1b"
    assert table([["name", "J"], ["x\n0 faults", "1"]]).count("\n") == 1


def test_nothing_prints_but_the_writers():
    """`say`, `show`, `note` and `print_json` are the only ways to a terminal, but for documents in JSON."""
    others = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name in WRITERS or path.resolve() != path:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                    what = ast.unparse(node.args[0]) if node.args else ""
                    if not what.startswith("json.dumps("):
                        others.append(f"{name}:{node.lineno} {what}")
    assert not others
