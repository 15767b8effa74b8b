"""report.json and the CSV files keep to their published schemas, whatever is missing from the runs."""

import copy
import shutil

import jsonschema
import pytest
from frictionless import Package

from splitwatt.reports.load.values import SOURCES
from tests.reports.formats import check_package, schema

SCHEMA = schema("schema.json")


@pytest.mark.parametrize("name", ["two_boards", "half"])
def test_reports_keep_to_the_schema(name, request):
    SCHEMA.validate(request.getfixturevalue(name).json)


def test_the_schema_knows_every_source():
    sources = SCHEMA.schema["$defs"]["value"]["oneOf"][0]["properties"]["sources"]
    assert sources["items"]["enum"] == list(SOURCES)


def test_the_schema_refuses_a_number_without_a_source(half):
    document = copy.deepcopy(half.json)
    row = document["tables"]["summary"]["rows"][0]
    key = next(k for k, v in row.items() if isinstance(v, dict) and v["value"] is not None)
    del row[key]["sources"]
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(document)


@pytest.mark.parametrize("name", ["two_boards", "half"])
def test_csv_files_are_as_the_data_package_says(name, request):
    made = request.getfixturevalue(name)
    package = check_package(
        made.folder / "datapackage.json", [n for n, t in made.json["tables"].items() if t["rows"]]
    )
    assert sorted(made.folder.glob("*.csv")) == sorted(
        made.folder / resource.path for resource in package.resources
    )
    fields = {field.name: field for field in package.get_resource("summary").schema.fields}
    latency = fields["end_to_end_s_100_kbit_s"]
    assert latency.type == "number" and latency.custom["unit"] == "s"
    rows = package.get_resource("summary").read_rows()
    assert len(rows) == len(made.json["tables"]["summary"]["rows"])
    assert any(row["energy_j"] is None for row in rows)  # not measured, and not 0


def test_a_number_that_was_changed_into_words_is_told(half, tmp_path):
    shutil.copytree(half.folder, tmp_path / "r")
    table = tmp_path / "r" / "summary.csv"
    table.write_text(table.read_text().replace(",measured,", ",guessed,"))
    found = Package(str(tmp_path / "r" / "datapackage.json")).validate()
    assert {error[0] for error in found.flatten(["type"])} == {"constraint-error"}
