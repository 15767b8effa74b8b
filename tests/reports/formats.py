"""What the published formats of reports say, by others' readers."""

import json

import jsonschema
from frictionless import Package
from referencing import Registry, Resource

from tests.conftest import ROOT

FOLDER = ROOT / "reports"


def schema(name):
    """A validator of a JSON Schema in reports/, which may refer to its neighbours by name."""
    found = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*schema.json")}
    registry = Registry().with_resources(
        (other, Resource.from_contents(document)) for other, document in found.items()
    )
    return jsonschema.Draft202012Validator(found[name], registry=registry)


def check_package(path, names):
    """A Data Package of CSV files as its reference implementation reads it; the package."""
    package = Package(str(path))
    assert package.profile == "tabular-data-package"
    assert [resource.name for resource in package.resources] == names
    found = package.validate()
    assert found.valid, found.flatten(["type", "note"])[:5]
    return package
