"""Every view of the commands at 80 columns: no line is longer, so none is broken within a word."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile

import pytest

from splitwatt.device_configs.printable import table, wrapped
from tests.board.tiny import tiny_bundle
from tests.conftest import COMMAND, splitwatt
from tests.reports.synthetic import make_config, write_run

VERBS = [
    "models",
    "weights",
    "export",
    "bundle",
    "calibrate",
    "targets",
    "build",
    "verify",
    "infer",
    "evaluate",
    "serve",
    "profile",
    "whatif",
    "check",
    "report",
    "compare",
    "doctor",
]
# A terminal without colours and cursor movement; GNU readline puts COLUMNS into children's environment.
PLAIN = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
NARROW = {**PLAIN, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
CONFIG = """
format: 1
name: tiny
warmup: 1
inferences: 12
pipelined: true
links:
  - {name: "100 kbit/s", kind: simulated, rate_kbit_s: 100}
  - {name: "LoRa 37.5 kbit/s", kind: simulated, rate_kbit_s: 37.5}
  - {name: "BLE 270 kbit/s", kind: simulated, rate_kbit_s: 270}
configurations:
  LC1: {local: [tiny_local]}
  Ours1: {split: [tiny@1]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with bundles, a run of them, and a synthetic run of table3.yaml."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "bundles" / "cpu").mkdir(parents=True)
    tiny_bundle(folder / "bundles" / "cpu" / "tiny@1")
    tiny_bundle(folder / "bundles" / "cpu" / "tiny_local", split=False)
    (folder / "tiny.yaml").write_text(CONFIG)
    write_run(folder / "table3", make_config(None, links=3, inferences=6))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def narrow(*arguments, cwd=None, code=0):
    """What a command prints on a terminal of 80 columns, after a look at the length of each line."""
    terminal, its_end = pty.openpty()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([*COMMAND, *map(str, arguments)], env=NARROW, cwd=cwd,
                                   stdin=subprocess.DEVNULL, stdout=its_end, stderr=errors)  # fmt: skip
        os.close(its_end)
        out = b""
        while part := _read(terminal):
            out += part
        os.close(terminal)
        returned = process.wait(60)
        errors.seek(0)
        err = errors.read().decode()
    assert returned == code, err
    text = out.decode().replace("\r\n", "\n")
    for line in (text + err).splitlines():
        # A path or an address is one word, whatever its length.
        assert len(line) <= 80 or len(line.split()) <= 2, line
        assert "…" not in line, line
    return text


def _read(terminal):
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the command has ended
        return b""


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb):
    narrow(verb, "--help")


@pytest.mark.parametrize("arguments", [
    ["targets"], ["targets", "nano"], ["models"], ["models", "ladon"], ["doctor"],
])  # fmt: skip
def test_lists(arguments):
    narrow(*arguments)


def test_a_profile_and_what_is_made_of_it(made):
    out = narrow(
        "profile", "--config", "tiny.yaml", "--bundles", "bundles", "--out", "run", cwd=made
    )
    assert "total ms" in out and "at 100 kbit/s, s" in out and "no room for: " in out
    wide = splitwatt("whatif", "run", cwd=made, env=PLAIN).stdout
    assert "no room for" not in wide and "Wi-Fi 54 Mbit/s, s" in wide.splitlines()[0]
    assert "100 kbit/s, s" in narrow("whatif", "run", cwd=made).splitlines()[0]
    narrow("check", "run", cwd=made)
    narrow("verify", "bundles", cwd=made)


def test_a_report_of_forty_rows(made):
    out = narrow("report", "table3", "--out", "report", cwd=made)
    assert "Ours 10" in out and "No room for: " in out
    narrow("whatif", "table3", "--rate", "100kbit", cwd=made)
    narrow("compare", "table3", "table3", cwd=made)


def test_errors_break_between_words(made):
    narrow("profile", "--config", "tabel3.yaml", code=2, cwd=made)
    narrow("profile", "--config", "table3.yaml", "--bundles", "nowhere", code=2, cwd=made)


def test_a_pipe_is_plain():
    out = splitwatt("models", env=PLAIN).stdout
    assert "\x1b" not in out and max(len(line) for line in out.splitlines()) > 100


def test_columns_are_left_out_in_the_order_asked_for(monkeypatch):
    rows = [["config", "backend", "first ms", "total ms"], ["LC1", "cpu", "1.0", "2.0"]]
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert table(rows, ["first ms", "backend"]).splitlines() == [
        "config  backend  total ms", "LC1     cpu           2.0",
        "no room for: first ms (a wider", "  terminal, or --json)",
    ]  # fmt: skip
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert len(table(rows, ["first ms"]).splitlines()) == 2
    assert wrapped("word " * 100) == "word " * 100


def test_folders_of_runs_and_of_bundles(made, tmp_path):
    document = json.loads(splitwatt("verify", "--json", made / "bundles").stdout)
    assert document["passed"] and len(document["bundles"]) == 2
    (tmp_path / "runs").mkdir()
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, make_config(["LC1", "Ours1"]), seed=ord(name))
    splitwatt("report", tmp_path / "runs", "--out", tmp_path / "report")
    assert len(json.loads((tmp_path / "report" / "report.json").read_text())["runs"]) == 2


def test_a_folder_of_bundles_one_level_too_deep_is_named(made):
    deep = made / "bundles" / "cpu"
    done = splitwatt("profile", "--config", made / "tiny.yaml", "--bundles", deep, check=False)
    assert done.returncode == 1
    assert f"{deep} holds the bundles of one target, cpu" in done.stderr
    assert f"--bundles {made / 'bundles'} --target cpu" in done.stderr


def test_models_are_found_by_name_and_task():
    names = [row["name"] for row in json.loads(splitwatt("models", "ladon", "--json").stdout)]
    assert names and all("ladon" in name for name in names)
    rows = json.loads(splitwatt("models", "--task", "detection", "--json").stdout)
    assert rows and all("detection" in row["tasks"] for row in rows)
    done = splitwatt("models", "lodan", check=False)
    assert done.returncode == 2 and "no model matches 'lodan'" in done.stderr
