"""The twelve targets: their form (jsonschema is the yardstick), their references, the command."""

import copy
import json
import os
import re

import pytest
import yaml

from splitwatt.device_configs import targets
from splitwatt.device_configs.cli import guarded
from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.device_configs.targets_cli import targets as command

FOLDER = os.path.dirname(targets.__file__)
NAMES = [
    "agx_orin",
    "agx_xavier",
    "cpu",
    "laptop",
    "nano",
    "orin_nano",
    "orin_nx",
    "server",
    "server_rtx3090",
    "thor",
    "tx2",
    "xavier_nx",
]


def document(name):
    with open(os.path.join(FOLDER, name + ".yaml"), encoding="utf-8") as stream:
        return yaml.safe_load(stream)


def test_all_twelve_are_there():
    assert targets.known_targets() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_target_loads_and_jsonschema_agrees(name):
    target = targets.load_target(name)
    assert target.name == name
    assert (target.opset, target.ir_version) == (13, 7)
    assert target.server_target_default in NAMES
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator.check_schema(targets.load_schema())
    jsonschema.validate(document(name), targets.load_schema())


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_has_a_public_source(name):
    target = targets.load_target(name)
    cited = [f.source for f in target.facts.values()] + [r.source for r in target.rails]
    cited += [m.source for m in target.power_modes]
    cited += [s.source for s in target.power.sensors.values()]
    for url in cited:
        assert re.match(r"https://[a-z0-9.-]+\.[a-z]{2,}/", url), url
    assert set(target.sources.values()) == set(cited), "a source that nothing cites"


def mutations():
    """(what, change): each makes a sound document unsound."""

    def change(*path_and_value):
        path, value = path_and_value[:-1], path_and_value[-1]

        def apply(doc):
            for key in path[:-1]:
                doc = doc[key]
            if value is KeyError:
                del doc[path[-1]]
            else:
                doc[path[-1]] = value

        return apply

    return [
        ("unknown key", change("opsett", 13)),
        ("missing key", change("opset", KeyError)),
        ("another format", change("format", 2)),
        ("a format that only equals 1", change("format", True)),
        ("text for a number", change("opset", "13")),
        ("a truth for a number", change("opset", True)),
        ("too small", change("opset", 1)),
        ("unknown kind", change("kind", "toaster")),
        ("unknown backend", change("default_backends", ["cup"])),
        ("no backend", change("default_backends", [])),
        ("empty title", change("title", "")),
        ("fact without source", change("facts", "sm", "source", KeyError)),
        ("fact of another type", change("facts", "fp16", "value", "yes")),
        ("unknown fact", change("facts", "colour", {"value": "green"})),
        ("no public source", change("sources", "modules", "/tmp/notes.md")),
        ("bad chip", change("power", "rails", 0, "chip", "6:40")),
        ("rails of another type", change("power", "rails", {})),
        ("no name of a driver", change("power", "drivers", [["ina3221 iio"]])),
        ("negative limit", change("power", "absurd_above_w", -1)),
    ]


@pytest.mark.parametrize("what,change", mutations(), ids=[m[0] for m in mutations()])
def test_unsound_documents_are_refused_by_us_and_by_jsonschema(what, change):
    doc = copy.deepcopy(document("nano"))
    change(doc)
    with pytest.raises(ConfigError) as error:
        targets.parse_target(doc, "nano.yaml")
    assert "nano.yaml" in str(error.value)
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(doc, targets.load_schema())


def refused(change, match):
    doc = copy.deepcopy(document("nano"))
    change(doc)
    with pytest.raises(ConfigError, match=match):
        targets.parse_target(doc, "nano.yaml")


def test_references_are_checked():
    refused(lambda d: d["facts"]["sm"].update(source="modlues"), "did you mean modules")
    refused(lambda d: d["power"]["rails"][1].update(part_of="POM_5V_INN"), "POM_5V_IN")
    refused(lambda d: d["power"].update(total=[["VDD_IN"]]), "VDD_IN")
    refused(lambda d: d.update(server_target_default="sever"), "did you mean server")
    refused(lambda d: d.update(name="nono"), "not the file's name")


def test_a_total_and_its_part_cannot_be_added():
    refused(lambda d: d["power"].update(total=[["POM_5V_IN", "POM_5V_GPU"]]), "part of it")
    refused(lambda d: d["power"]["rails"][0].update(part_of="POM_5V_GPU"), "feeds itself")


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean nano"):
        targets.load_target("nanno")
    refused(lambda d: d.update(titel="x"), "did you mean title")


def test_facts_that_other_rooms_rely_on():
    nano, nx = targets.load_target("nano"), targets.load_target("xavier_nx")
    assert nano.facts["python"].value == "3.6"
    assert nano.facts["tensorrt"].value == "8.2.1"
    assert nano.precisions == ("fp32", "fp16")
    assert nx.precisions == ("fp32", "fp16", "int8")
    assert nx.facts["sm"].value == "7.2"
    assert targets.load_target("cpu").server_target_default == "cpu"
    assert not targets.load_target("thor").facts["tensorrt"].confirmed
    assert targets.load_target("tx2").facts["int8"].confirmed is False


def test_rails_are_found_by_label():
    power = targets.load_target("laptop").power
    assert targets.find_rail(power, "package-0").label == "package-*"
    assert targets.find_rail(power, "psys").label == "psys"
    assert targets.find_rail(power, "VDD_IN") is None


def test_files_that_are_no_target(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        targets.read_target(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match="not YAML"):
        targets.read_target(str(tmp_path / "bad.yaml"))
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="must be a mapping"):
        targets.read_target(str(tmp_path / "list.yaml"))


def test_command(capsys):
    assert command([]) == 0
    assert "NVIDIA Jetson Nano" in capsys.readouterr().out
    assert command(["nano"]) == 0
    assert "POM_5V_IN" in capsys.readouterr().out
    assert command(["xavier_nx", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["facts"]["sm"]["value"] == "7.2"
    assert command(["--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["targets"]) == 12
    assert guarded(command, ["nanno"]) == 2
