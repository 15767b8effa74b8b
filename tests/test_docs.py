"""The documentation of the formats names what the code reads and writes."""

import json
import re

from engines.manifest import Manifest
from profiler.fields import FIELDS
from tests.conftest import ROOT


def formats():
    return (ROOT / "docs" / "formats.md").read_text()


def test_every_field_of_a_record_is_documented_with_its_meaning():
    text = formats()
    for name, field in FIELDS.items():
        assert f"| `{name}` |" in text and field.description in text, name


def test_every_key_of_a_manifest_is_documented(bundles):
    keys = set(json.loads((bundles / "ladon_r50@20.48" / "manifest.json").read_text()))
    assert keys - {"format"} == set(Manifest._fields)
    missing = [key for key in keys if f"`{key}`" not in formats()]
    assert not missing, missing


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
