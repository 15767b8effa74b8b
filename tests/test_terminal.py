"""Every view of the commands at 80 and at 120 columns and in a pipe: lines fit, words and numbers are whole."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from splitwatt.__main__ import BELOW, VERBS
from splitwatt.device_configs.printable import table, wrapped
from splitwatt.profiler.analyse.summary import remarks, short_table
from splitwatt.profiler.records.run import read_run
from tests.board.tiny import tiny_bundle
from tests.conftest import COMMAND, splitwatt
from tests.reports.synthetic import make_config, write_run

pytestmark = pytest.mark.long

# A terminal without colours and cursor movement; GNU readline puts COLUMNS into children's environment.
PLAIN = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
# What only a table says that leaves columns out.
NO_ROOM = "no room for: (a wider terminal, or --json) No room for: (in the report's files). --json --out)."
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


def on_terminal(columns, *arguments, cwd=None, code=0):
    """What a command prints on a terminal of so many columns, and the lines of its standard error."""
    terminal, its_end = pty.openpty()
    environment = {**PLAIN, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment, cwd=cwd,
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
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.decode().replace("\r\n", "\n"))  # dim, bold
    check_lines(text + err, columns)
    return text


def check_lines(text, columns):
    """No line is longer than the terminal is wide."""
    for line in text.splitlines():
        if line.startswith('{"'):  # of `run`, for programs: a document a line
            json.loads(line)
            continue
        # A path or an address is one word, whatever its length.
        assert len(line) <= columns or len(line.split()) <= 2, line
        assert "…" not in line, line


def words(text):
    """The words and numbers of a text; of a number only its form, for times differ from run to run."""
    lines = [line for line in text.splitlines() if not line.startswith('{"')]
    return {re.sub(r"\d+", "0", word) for line in lines for word in line.replace("─", " ").split()}


def narrow(*arguments, cwd=None, code=0):
    """What a command prints on a terminal of 80 columns."""
    return on_terminal(80, *arguments, cwd=cwd, code=code)


def check_views(*arguments, cwd=None, again=lambda: None, code=0):
    """A command's view in a pipe, at 80 columns and at 120: lines fit, and words and numbers are those
    of the pipe, where nothing is broken. What it wrote is taken away before each by `again`.
    Returns the texts of the pipe and of 80 columns.
    """
    again()
    done = splitwatt(*arguments, cwd=cwd, env=PLAIN, check=False)
    assert done.returncode == code, done.stderr
    assert "\x1b" not in done.stdout + done.stderr and "\r" not in done.stdout
    whole, texts = words(done.stdout + done.stderr) | words(NO_ROOM), {}
    for columns in (80, 120):
        again()
        texts[columns] = text = on_terminal(columns, *arguments, cwd=cwd, code=code)
        # What is named as left out has a comma after it.
        broken = {w for w in words(text) - whole if w.rstrip(",") not in whole}
        assert not broken, (broken, text)
        widest = max((len(line) for line in done.stdout.splitlines()), default=0)
        if columns == 120 and widest > 120:  # the room is used
            assert max(len(line) for line in text.splitlines()) > 80, text
    return done.stdout, texts[80]


def _read(terminal):
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the command has ended
        return b""


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb):
    for below in BELOW.get(verb, ()):
        narrow(verb, below, "--help")
    narrow(verb, "--help")


@pytest.mark.parametrize("arguments", [
    ["targets"], ["targets", "nano"], ["models"], ["models", "ladon"], ["models", "--task", "detection"],
    ["weights", "ladon_r50"], ["weights", "mobilenet_v3_large"], ["doctor"],
    ["energy", "read", "--driver", "generated"],
], ids=" ".join)  # fmt: skip
def test_lists(arguments):
    check_views(*arguments)


def gone(folder, *names):
    """What takes away what a command wrote."""

    def again():
        for name in names:
            shutil.rmtree(folder / name, ignore_errors=True)

    return again


def test_a_profile_and_what_is_made_of_it(made):
    profile = ["profile", "--config", "tiny.yaml", "--bundles", "bundles", "--out", "run"]
    out = splitwatt(*profile, cwd=made, env=PLAIN).stdout
    assert "no room for" not in out and "at BLE 270 kbit/s, s" in out.splitlines()[0]
    for columns in (80, 120):  # what is remarked depends on the times of the very run
        gone(made, "run")()
        text = on_terminal(columns, *profile, cwd=made)
        run = read_run(str(made / "run"))
        whole = "\n".join([short_table(run), *remarks(run), f"run: {run.path} run", NO_ROOM])
        assert {word.rstrip(",") for word in words(text)} <= {w.rstrip(",") for w in words(whole)}
        assert "total ms" in text
    run = made / "run"
    wide, at_80 = check_views("whatif", run, cwd=made)
    assert "no room for" not in wide and "Wi-Fi 54 Mbit/s, s" in wide.splitlines()[0]
    assert "100 kbit/s, s" in at_80.splitlines()[0]
    check_views("whatif", run, "--board-speed", "0.12", "--board-speed", "0.5", cwd=made)
    check_views("check", run, cwd=made)
    check_views("choose", run, "--deadline", "30s", "--share", "0.5", cwd=made)
    check_views("report", run, "--out", "one", cwd=made)
    # Links without a source, and tables without rows.
    assert "counts the payload.\n" in (made / "one" / "report.md").read_text()
    assert all(len(file.read_text().splitlines()) > 1 for file in (made / "one").glob("*.csv"))


def test_what_bundles_answer(made, photographs):
    check_views("verify", "bundles", cwd=made)
    check_views("infer", "bundles/cpu/tiny@1", *photographs[:2], "--out", "answers", cwd=made)
    check_views("evaluate", "bundles/cpu/tiny@1", "--against", "bundles/cpu/tiny@1",
                "--data", f"images:{photographs[0].parent}", "--out", "evaluated", cwd=made)  # fmt: skip
    check_views("run", "--source", photographs[0].parent, "--bundle", "bundles/cpu/tiny@1",
                "--out", "deployed", cwd=made, again=gone(made, "deployed"))  # fmt: skip


def test_what_makes_bundles(made, photographs):
    check_views("build", "bundles/cpu/tiny@1", cwd=made)
    check_views("calibrate", "bundles/cpu/tiny@1", "--images", photographs[0].parent,
                "--out", "calibrated", cwd=made, again=gone(made, "calibrated"))  # fmt: skip
    check_views("bundle", "--board", "bundles/cpu/tiny_local/model.onnx", "--preprocess",
                "classification", "--name", "mine", "--target", "cpu", "--bundles", "own",
                cwd=made, again=gone(made, "own"))  # fmt: skip
    check_views("export", "--model", "mnasnet0_5", "--target", "cpu", "--weights", "random",
                "--bundles", "exported", cwd=made)  # fmt: skip


def test_energy_of_a_program(made):
    for columns in (80, 120):  # the times decide what is said of the sensor's readings
        on_terminal(columns, "energy", "record", "--driver", "generated", "--output", f"{columns}.csv",
                    "--idle", "0", "--", sys.executable, "-c", "import time; time.sleep(0.5)", cwd=made)  # fmt: skip
    check_views("energy", "integrate", "80.csv", cwd=made)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_server_says_where_it_is(made, columns):
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "serve", made / "bundles", "--port", "0", "--ready-file", made / "ready"],
        env={**PLAIN, "COLUMNS": str(columns), "TERM": "dumb"}, stdin=subprocess.DEVNULL,
        stdout=its_end, stderr=its_end,
    )  # fmt: skip
    os.close(its_end)
    said = b""
    while b"--server http" not in b" ".join(said.split()):
        said += _read(terminal) or pytest.fail(said.decode())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    os.close(terminal)
    check_lines(said.decode().replace("\r\n", "\n"), columns)


def test_a_report_of_forty_rows(made):
    _, at_80 = check_views("report", "table3", "--out", "report", cwd=made)
    assert "Ours 10" in at_80 and "No room for: " in at_80
    check_views("whatif", "table3", "--rate", "100kbit", cwd=made)
    _, at_80 = check_views("compare", "table3", "table3", cwd=made)
    assert re.search(r"End-to-end latency .* LC 1 .* no verdict\s", at_80)
    _, at_80 = check_views("compare", "table3", "--against", "published", cwd=made)
    assert re.search(r"Peak memory +LC 1 +[\d.]+ +2\.17 +GB +[\d.]+", at_80)


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


@pytest.mark.parametrize("columns", range(20, 60))
def test_a_configuration_and_a_percentage_are_not_broken(columns, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    text = "Ours 5 beats LC 20, the fastest local row, on boards slower than 0.242 (95 % interval)"
    lines = [line.strip() for line in wrapped(text).splitlines()]
    assert " ".join(lines) == text and all(len(line) <= columns for line in lines)
    for whole in ("Ours 5", "LC 20", "95 %"):
        assert any(whole in line for line in lines)


def test_folders_of_runs_and_of_bundles(made, tmp_path):
    document = json.loads(splitwatt("verify", "--json", made / "bundles").stdout)
    assert document["passed"] and len(document["bundles"]) == 2
    (tmp_path / "runs").mkdir()
    for name in ("nano/a", "nano/b"):
        folder = tmp_path / "runs" / name
        write_run(folder, make_config(["LC1", "Ours1"]), seed=ord(name[-1]))
    for given in ("runs/nano", "runs"):
        splitwatt("report", tmp_path / given, "--out", tmp_path / "report")
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
