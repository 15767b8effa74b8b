"""Every text of a run folder replaced by hostile text: no writer lets one of them act."""

import csv
import json
import re
import shutil
import subprocess
import unicodedata
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from splitwatt.device_configs.errors import SplitwattError
from splitwatt.device_configs.printable import printable
from splitwatt.profiler.records.run import read_run
from splitwatt.reports.write.escape import csv_text, html_text, markdown_text
from tests.conftest import ROOT, splitwatt
from tests.reports.accuracy_file import accuracy
from tests.reports.synthetic import make_config, write_run

HOSTILE = [
    '=HYPERLINK("http://x.example","y")<img src=x onerror=alert(1)></script><script>alert(1)</script>',
    "[1 kbit/s] \\input{x} $x^2_ {%#&~ *a* | `b` ![i](http://x.example/i) <http://x.example>",
    "* @SUM(1) \u202egnp.exe\u2066 \\end{document}\\\\[9cm] --- _e_ \"'>",
]
ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


class Tags(HTMLParser):
    """The elements of a document, and the attributes by which any of them would act."""

    def __init__(self, text):
        super().__init__()
        self.names, self.acting = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.acting += [a for a in attrs if a[0].startswith("on") or a[0] in ("src", "href")]


def places(node, path=()):
    """The path of every text in a JSON document."""
    if isinstance(node, str):
        yield path
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def put(node, path, text):
    for key in path[:-1]:
        node = node[key]
    before, node[path[-1]] = node[path[-1]], text
    return before


def readable(run):
    try:
        read_run(str(run))
    except SplitwattError:
        return False
    return True


def spoil(run, text):
    """Replace each text that a run may have; those that reading refuses keep their value."""
    spoiled = 0
    file = run / "run.json"
    document = json.loads(file.read_text())
    for path in list(places(document)):
        before = put(document, path, text)
        file.write_text(json.dumps(document))
        if readable(run):
            spoiled += 1
        else:
            put(document, path, before)
    file.write_text(json.dumps(document))
    for name in ("samples.jsonl", "memory.jsonl"):
        for key in ("image", "reason", "source", "model"):
            kept = (run / name).read_text()
            lines = [json.loads(line) for line in kept.splitlines()]
            changed = [put(line, p, text) for line in lines for p in places(line) if p[-1] == key]
            (run / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
            if readable(run):
                spoiled += len(changed)
            else:
                (run / name).write_text(kept)
    assert readable(run)
    return spoiled


@pytest.fixture(scope="module", params=range(len(HOSTILE)))
def hostile(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    config = make_config(["LC1", "SC1", "Ours1"], inferences=6, repeats=4)
    run = write_run(folder / "run", config, fail=("SC1",))
    assert spoil(run, HOSTILE[request.param]) > 40
    done = splitwatt("report", run, "--out", folder / "report")
    other = write_run(folder / "other", config, seed=2)
    compared = splitwatt("compare", run, other, "--out", folder / "compare", check=False)
    return folder, [done.stdout + done.stderr, compared.stdout + compared.stderr]


def test_no_text_acts_in_a_spreadsheet(hostile):
    cells = 0
    for file in hostile[0].rglob("*.csv"):
        for row in csv.reader(file.open(encoding="utf-8", newline="")):
            for cell in row:
                cells += 1
                assert not re.match(r"\s*[=+@\t\r-]", cell) or float(cell) <= 0, (file, cell)
    assert cells > 500


def test_no_text_acts_on_the_page(hostile):
    text = (hostile[0] / "report" / "report.html").read_text(encoding="utf-8")
    tags = Tags(text)
    assert tags.names.count("script") == 2 and "img" not in tags.names
    assert tags.acting == []


def test_no_text_acts_in_markdown(hostile):
    for file in hostile[0].rglob("*.md"):
        text = file.read_text(encoding="utf-8")
        tags = Tags(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
        assert not {"script", "http"} & set(tags.names)
        links = [value for _, value in tags.acting]
        assert all(re.fullmatch(r"[a-z0-9_]+\.(png|pdf|svg)", link) for link in links), links


def test_no_text_acts_on_the_terminal(hostile):
    for printed in hostile[1]:
        assert not {c for c in printed if unicodedata.category(c) in ACTING} - {"\n", "\t"}


def test_tex_takes_it(hostile):
    folder = hostile[0] / "report" / "latex"
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")


def spoil_beside(run, text):
    """Replace the texts of accuracy.json and of the power traces, rails' names in their headers too."""
    spoiled = 0
    for file in [run / "accuracy.json", *sorted((run / "power").glob("*.json"))]:
        document = json.loads(file.read_text())
        for path in list(places(document)):
            if path[-1] not in ("manifest_sha256", "task", "preprocess", "interval"):
                put(document, path, text)
                spoiled += 1
        file.write_text(json.dumps(document))
    for file in (run / "power").glob("*.csv"):
        header, _, rest = file.read_text().partition("\n")
        names = ['"%s"' % text.replace('"', '""') for _ in header.split(",")[1:]]
        file.write_text(",".join(["t_s", *names]) + "\n" + rest)
    return spoiled


@pytest.mark.parametrize("text", HOSTILE)
def test_every_verb_that_prints_a_runs_texts(text, tmp_path):
    """A run with power and accuracy: check, whatif, report, compare, energy integrate."""
    run, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(ROOT / "tests" / "data" / "old_run", run)
    (run / "accuracy.json").write_text(json.dumps(accuracy()))
    shutil.copytree(run, other)
    assert spoil(run, text) > 20 and spoil_beside(run, text) > 20
    trace = run / "power" / "LC1.cpu.0.csv"
    for arguments in (
        ["check", run],
        ["whatif", run],
        ["report", run, "--out", tmp_path / "report"],
        ["compare", run, other, "--out", tmp_path / "compare"],
        ["energy", "integrate", trace],
    ):
        done = splitwatt(*arguments, check=False)
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed and len(printed) > 40, arguments
        assert not {c for c in printed if unicodedata.category(c) in ACTING} - {"\n", "\t"}, (
            arguments
        )
    page = Tags((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert page.names.count("script") == 2 and page.acting == []
    for file in tmp_path.rglob("*.csv"):
        if run in file.parents or other in file.parents:
            continue
        for row in csv.reader(file.open(encoding="utf-8", newline="")):
            wrong = [c for c in row if re.match(r"\s*[=+@\t\r-]", c) and not _is_number(c)]
            assert not wrong, (file, wrong)


def _is_number(cell):
    try:
        return float(cell) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("text", ["2.5 (2.4 to 2.6)", "ladon_r50@0.32", "LC 1-4, 7", "†", "漢字"])
def test_harmless_texts_stay_as_they_are(text):
    assert csv_text(text) == html_text(text) == markdown_text(text) == printable(text) == text


@pytest.mark.parametrize(
    "text", ["# h", "1. a", "- a", "---", "    code", "[a]: http://x.example", "a\n\n<b>"]
)
def test_a_line_of_markdown_stays_a_paragraph(text):
    made = MarkdownIt("commonmark", {"html": True}).render(markdown_text(text))
    assert made.startswith("<p>") and made.count("<") == 2


def test_control_characters_do_not_reach_a_writer(tmp_path):
    """ESC and BEL are refused where a run is read, in any of its texts."""
    run = write_run(tmp_path / "run", make_config(["LC1", "Ours1"]))
    assert readable(run) and spoil(run, "\x1b]0;title\x07\x1b[2J") == 0
