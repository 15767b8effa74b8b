"""The documentation of the formats names what the code reads and writes."""

import json
import os
import re
import subprocess
import sys

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


def test_the_site_builds_without_a_warning(tmp_path):
    """Every page is in the navigation, and every name of the API page has its docstring."""
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 'not included in the "nav"' not in result.stderr, result.stderr
    assert "RangeCoder" in (tmp_path / "api" / "index.html").read_text()


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
