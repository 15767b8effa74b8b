"""The manifest's published schema and its table in docs/formats.md are what its classes declare.

`python -m tests.engines.test_manifest_documents` writes both again.
"""

import copy
import json
import re

import jsonschema
import pytest

from splitwatt.device_configs.errors import BundleError
from splitwatt.engines.bundle.declare import schema_of
from splitwatt.engines.bundle.manifest import FORMAT, Manifest
from tests.board import tiny
from tests.conftest import ROOT

SCHEMA = ROOT / "engines" / "bundle" / "manifest.schema.json"
PAGE = ROOT / "docs" / "formats.md"


def schema():
    made = schema_of(Manifest, {"format": FORMAT})
    heading = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "splitwatt manifest"}
    return json.dumps({**heading, **made}, indent=1) + "\n"


def rows(schema, prefix=""):
    for name, about in schema.get("properties", {}).items():
        types = about.get("type", "any")
        types = " or ".join(types) if isinstance(types, list) else types
        values = [value for value in about.get("enum", []) if value is not None]
        types = ", ".join(f"`{value}`" for value in values) if values else types
        yield f"| `{prefix}{name}` | {types} | {about['description']} |\n"
        yield from rows(about, f"{prefix}{name}.")
        yield from rows(about.get("items", {}), f"{prefix}{name}[].")
        values = about.get("additionalProperties")
        # A published preprocessing has the keys of `preprocess`.
        if isinstance(values, dict) and name != "published_preprocess":
            yield from rows(values, f"{prefix}{name}.TASK.")


def page():
    table = (
        "\n| key | type | meaning |\n|---|---|---|\n" + "".join(rows(json.loads(schema()))) + "\n"
    )
    between = re.compile(r"(?s)(<!-- manifest keys -->\n).*?(<!-- end of manifest keys -->)")
    text, count = between.subn(
        lambda marks: marks.group(1) + table + marks.group(2), PAGE.read_text()
    )
    assert count == 1
    return text


def test_the_published_schema_is_the_classes():
    assert SCHEMA.read_text() == schema(), "python -m tests.engines.test_manifest_documents"


def test_the_table_of_the_page_is_the_classes():
    assert PAGE.read_text() == page(), "python -m tests.engines.test_manifest_documents"


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    return tiny.read_document(tiny.tiny_bundle(tmp_path_factory.mktemp("m") / "tiny", photos=1))


def test_jsonschema_takes_the_manifests_that_are_read(document, bundles):
    jsonschema.Draft7Validator.check_schema(json.loads(schema()))
    validator = jsonschema.Draft7Validator(json.loads(schema()))
    validator.validate(document)
    for path in bundles.glob("*/manifest.json"):
        validator.validate(json.loads(path.read_text()))
        Manifest.from_json(json.loads(path.read_text()))


def every_key(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from every_key(item, (*path, key))


@pytest.mark.parametrize(
    "wrong", [None, True, -1, "", "a\nb", [], {}, [None], 1.5, "x" * 5000, 2**60]
)
def test_whatever_jsonschema_refuses_is_refused(document, wrong):
    """In place of every value in turn; our reader may refuse more, never less."""
    validator = jsonschema.Draft7Validator(json.loads(schema()))
    refused = 0
    for path in every_key(document):
        changed = copy.deepcopy(document)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = wrong
        if not validator.is_valid(changed):
            refused += 1
            with pytest.raises(BundleError):
                Manifest.from_json(changed)
    assert refused > 50


def test_a_manifest_of_an_older_version_is_read(document):
    """It has the key `normalize`, and no size of the unpacked tables."""
    old = copy.deepcopy(document)
    old["preprocess"]["normalize"] = "before_resize"
    old["codec"]["tables"][0].pop("unpacked_bytes", None)
    assert Manifest.from_json(old).preprocess == Manifest.from_json(document).preprocess
    assert "normalize" not in Manifest.from_json(old).to_json()["preprocess"]


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    PAGE.write_text(page())
