"""report.json keeps to its published schema, whatever is missing from the runs."""

import copy
import json

import jsonschema
import pytest

from tests.conftest import ROOT

SCHEMA = json.loads((ROOT / "reports" / "schema.json").read_text())


@pytest.mark.parametrize("name", ["two_boards", "half"])
def test_reports_keep_to_the_schema(name, request):
    jsonschema.validate(request.getfixturevalue(name).json, SCHEMA)


def test_the_schema_refuses_a_number_without_a_source(half):
    document = copy.deepcopy(half.json)
    row = document["tables"]["summary"]["rows"][0]
    key = next(k for k, v in row.items() if isinstance(v, dict) and v["value"] is not None)
    del row[key]["sources"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
