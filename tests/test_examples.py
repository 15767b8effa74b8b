"""Examples are what they say: those of every --help, and the finished report."""

import json
import re

import jsonschema
import pytest

import splitwatt.__main__ as umbrella
from splitwatt.profiler.config.config import load_config
from tests.conftest import ROOT
from tests.test_docs import faults, helped


@pytest.mark.parametrize("verb", umbrella.VERBS)
def test_the_example_of_a_help_has_its_verb_and_flags(verb):
    example = helped(verb).split("\nexample:\n")[1]
    assert f"splitwatt {verb}" in example
    assert faults(f"```\n{example}\n```") == []


def test_the_finished_report_is_one_of_all_of_table_3():
    page = (ROOT / "examples" / "README.md").read_text()
    (folder,) = re.findall(r"^`([\w-]+)/` is the report", page, re.MULTILINE)
    report = json.loads((ROOT / "examples" / folder / "report.json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "reports" / "schema.json").read_text()))
    assert report["runs"][0]["configurations"] == len(load_config("table3.yaml").configurations)
    for name in re.findall(r"`(?:[\w-]+/)?(report\.\w+|latex)/?`", page):
        assert (ROOT / "examples" / folder / name).exists(), name
    (made,) = re.findall(r"^make (\w+)", page, re.MULTILINE)
    assert f"\n{made}:" in (ROOT / "Makefile").read_text()
