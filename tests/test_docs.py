"""The documentation names what the code has: its formats, its configs, its commands.

`python -m tests.test_docs` writes the generated tables of the pages.
"""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

import splitwatt.__main__ as umbrella
from splitwatt.engines.bundle.manifest import Manifest
from splitwatt.profiler.analyse import energy, statistics, times
from splitwatt.profiler.config.config import load_config
from splitwatt.profiler.records import run as run_records
from splitwatt.profiler.records.fields import fields, records
from tests.conftest import ROOT, splitwatt
from tools import commands_page


def formats():
    return (ROOT / "docs" / "formats.md").read_text()


def test_every_record_has_its_table():
    assert {run_records.Sample, statistics.Spread, energy.RailJoules} <= set(records().values())
    for title in records():
        assert formats().count(f"<!-- record: {title} -->\n") == 1, title


def test_every_key_of_a_manifest_is_documented(bundles):
    keys = set(json.loads((bundles / "ladon_r50@20.48" / "manifest.json").read_text()))
    assert keys - {"format"} == set(Manifest._fields)
    missing = [key for key in keys if f"`{key}`" not in formats()]
    assert not missing, missing


def test_the_site_builds_without_a_warning(tmp_path):
    """Every page is in the navigation, and every name of the API page has its docstring."""
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 'not included in the "nav"' not in result.stderr, result.stderr
    assert "RangeCoder" in (tmp_path / "api" / "index.html").read_text()


def test_the_example_of_the_api_page_runs(bundles, tmp_path):
    """It is what a reader copies: run as it stands, on the bundle that it names."""
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL
    )
    (bundle,) = re.findall(r'^BUNDLE = "(.*)"$', example, re.MULTILINE)
    place = tmp_path / bundle
    place.parent.mkdir(parents=True)
    place.symlink_to(bundles / place.name)
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    payload = int(re.search(r"payload: (\d+) bytes", result.stdout)[1])
    assert 0 < payload < 512 * 512 * 3
    assert len(re.findall(r"^\S+ +[0-9.]+ ms$", result.stdout, re.MULTILINE)) >= 6
    assert "classes: [" in result.stdout and "mask: (" in result.stdout


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_reference_of_the_commands_is_that_of_their_parsers():
    assert commands_page.PAGE.read_text() == commands_page.page(), "python -m tools.commands_page"


def test_each_line_of_an_example_of_a_command_is_a_command_of_its_own():
    examples = re.findall(r"```\n(.*?)```", commands_page.page(), re.DOTALL)
    lines = [line for example in examples for line in example.splitlines()]
    assert len(lines) > len(examples)  # `compare` has several
    for line in lines:
        assert line.startswith(("splitwatt ", "source <(splitwatt ")) and line[-1] != "\\", line


CONFIGS = ROOT / "profiler" / "configs"


def config_keys(schema=None, prefix=""):
    """(key, its schema, whether it must be there) of everything that a config may hold."""
    schema = schema or json.loads((CONFIGS / "schema.json").read_text())
    for name, about in schema.get("properties", {}).items():
        yield prefix + name, about, name in schema.get("required", ())
        yield from config_keys(about, prefix + name + ".")
        yield from config_keys(about.get("items", {"type": ""}), prefix + name + "[].")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from config_keys(schema["additionalProperties"], prefix + "ID.")


def config_table():
    rows = "\n| key | type | default | meaning |\n|---|---|---|---|\n"
    for key, about, required in config_keys():
        types = about.get("type", "any")
        types = " or ".join(types) if isinstance(types, list) else types
        if "enum" in about:
            types = ", ".join(f"`{value}`" for value in about["enum"])
        default = "must be there" if required else ""
        if "default" in about:
            default = f"`{json.dumps(about['default'])}`"
        meaning = about["description"].replace("|", "\\|")
        rows += f"| `{key}` | {types} | {default} | {meaning} |\n"
    return rows + "\n"


def packaged_table():
    rows = "\n| config | configurations | models | what it is |\n|---|---|---|---|\n"
    for path in sorted(CONFIGS.glob("*.yaml")):
        comment = re.match(r"((?:# .*\n)+)", path.read_text()).group(1)
        about = " ".join(line[2:] for line in comment.splitlines())
        config = load_config(path.name)
        rows += (
            f"| `{path.name}` | {len(config.configurations)} | {len(config.models())} | {about} |\n"
        )
    return rows + "\n"


HEAD = "\n| field | type | unit | may be null | meaning |\n|---|---|---|---|---|\n"
TYPES = {str: "text", int: "integer", float: "number", bool: "boolean"}


def field_row(name, kind, unit, nullable, meaning):
    meaning = meaning.replace("|", "\\|")
    return f"| `{name}` | {kind} | {unit} | {'yes' if nullable else ''} | {meaning} |\n"


def record_table(title):
    """The fields of a record, as its class declares them."""
    rows = ""
    for name, field in fields(records()[title]).items():
        kind = f"{field.type} of {TYPES[field.of]}" if field.of in TYPES else field.type
        rows += field_row(name, kind, field.unit, field.nullable, field.description)
    return HEAD + rows + "\n"


def derived_table():
    """The functions of a sample: what each returns is the first sentence of its docstring."""
    rows = ""
    for function in [of for name, of in vars(times).items() if name.endswith("_s")]:
        sentence = re.split(r"[;.](?:\s|$)", " ".join(function.__doc__.split()))[0]
        rows += field_row(function.__name__, "number", "s", True, sentence)
    return HEAD + rows + "\n"


# Page -> the mark that each table lies behind, the mark behind it, and what makes it.
TABLES = {
    "formats.md": [
        ("config keys", "config keys", config_table),
        ("derived", "derived", derived_table),
    ]
    + [(f"record: {t}", "record", lambda title=t: record_table(title)) for t in records()],
    "profiling.md": [("configs", "configs", packaged_table)],
}


def with_table(page):
    text = (ROOT / "docs" / page).read_text()
    for mark, end, made in TABLES[page]:
        between = re.compile(rf"(?s)(<!-- {re.escape(mark)} -->\n).*?(<!-- end of {end} -->)")
        assert len(between.findall(text)) == 1, (page, mark)
        text = between.sub(lambda marks: marks.group(1) + made() + marks.group(2), text)  # noqa: B023
    return text


@pytest.mark.parametrize("page", TABLES)
def test_tables_of_the_pages_are_those_of_the_code(page):
    """Every key of a config, every packaged config, every field of every record of a run."""
    assert (ROOT / "docs" / page).read_text() == with_table(page), "python -m tests.test_docs"


def test_the_table_of_keys_reaches_all_of_the_schema():
    """Counted by another way: every description below the top one."""
    text = (CONFIGS / "schema.json").read_text()
    assert len(list(config_keys())) == text.count('"description":') - 1
    keys = {key for key, _, _ in config_keys()}
    assert {"until.max_s", "links[].via", "configurations.ID.split"} <= keys


def test_every_packaged_config_is_named_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert all(f"`{path.name}`" in readme for path in CONFIGS.glob("*.yaml"))


def test_the_first_report_says_how_many_bundles_the_demo_makes():
    words = {15: "fifteen"}
    models = len(load_config("demo.yaml").models())
    assert f"exports {words[models]} models" in (ROOT / "docs" / "first-report.md").read_text()


def messages():
    """Every text in the rooms' sources, with a dot for what is filled in."""
    for path in sorted((ROOT / "splitwatt").glob("*/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(getattr(part, "value", "%s") if isinstance(part, ast.Constant) else "%s"
                              for part in node.values)  # fmt: skip


def test_the_sentences_of_the_page_on_failures_are_printed_by_the_product():
    printed = re.sub(r"%[-+ #0-9.*]*[sdrgfx]", "\u2026", "\n".join(messages()))
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs" / "when-it-fails.md").read_text(), re.M)
    quoted = [text for row in rows for text in re.findall(r"`([^`]*[a-z] [^`]*)`", row)]
    pieces = [piece.strip() for text in quoted for piece in text.split("\u2026")]
    missing = [piece for piece in pieces if len(piece) > 5 and piece not in printed]
    assert len(quoted) > 15 and not missing, missing


PAGES = ["README.md", "examples/README.md", "CONTRIBUTING.md"]
PAGES += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
HELPS = {}


def helped(*verbs):
    if verbs not in HELPS:
        HELPS[verbs] = splitwatt(*verbs, "--help").stdout
    return HELPS[verbs]


def shown_commands(text):
    """The commands that a page shows in blocks, and those between backquotes; a verb at least."""
    blocks = re.findall(r"(?ms)^```[^`\n]*\n(.*?)^```", text)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"(?ms)^```.*?^```", "", text)
    lines += [quoted.replace("\n", " ") for quoted in re.findall(r"`([^`]+)`", prose)]
    for line in lines:
        if "\\n" in line:  # bytes of a format, as docs/bitstream.md has them
            continue
        # At a line's start, behind a prompt, an assignment, sudo or a path: no mention in a comment.
        shown = re.match(r"\s*(?:\w+\$ +)?(?:\w+=\S+ +|sudo +)*(?:\S*/)?splitwatt +(\S.*)", line)
        if shown:
            command = re.split(r" #| -- |[|;&]", shown.group(1))[0].split()
            yield line.strip(), command


def faults(text):
    sentences = []
    for line, words in shown_commands(text):
        verbs = words[:1]
        if not re.fullmatch(r"[a-z]+", verbs[0]):  # --version, or VERB in a sentence
            continue
        if verbs[0] not in umbrella.VERBS:
            sentences.append(f"{line}: no such verb")
            continue
        if verbs[0] == "energy" and len(words) > 1 and words[1].isalpha():
            verbs = words[:2]
            if f"  {verbs[1]} " not in helped("energy"):
                sentences.append(f"{line}: no such verb of energy")
                continue
        flags = set(re.findall(r"--[a-z][a-z-]*", helped(*verbs)))
        given = [re.match(r"--[a-z-]*", word).group() for word in words if word.startswith("--")]
        sentences += [f"{line}: no {flag}" for flag in given if flag not in flags]
    return sentences


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_has_its_verb_and_flags(page):
    assert faults((ROOT / page).read_text()) == []


def test_a_command_that_is_not_there_is_found():
    page = "```\nsplitwatt profile --weights random\nboard$ splitwatt energy red \\\n --x\n```\n"
    page += "`splitwatt exprot`, `sudo splitwatt verify B --backend cpu`, `splitwatt VERB --help`"
    sentences = faults(page)
    assert [fault.split(": ")[1] for fault in sentences] == [
        "no --weights", "no such verb of energy", "no such verb",
    ]  # fmt: skip


if __name__ == "__main__":
    for name in TABLES:
        (ROOT / "docs" / name).write_text(with_table(name))
