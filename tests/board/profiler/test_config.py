import copy
import json
import os

import pytest
import yaml

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.profiler.config.config import (
    Until,
    WarmupUntil,
    find_config,
    from_document,
    load_config,
    packaged,
    schema,
)
from splitwatt.profiler.links.link import Link

GOOD = {
    "format": 1,
    "name": "small",
    "inferences": 3,
    "configurations": {"LC1": {"local": ["a"]}, "Ours1": {"split": ["b@1"], "assumed": True}},
}


def wrong(**changes):
    document = copy.deepcopy(GOOD)
    document.update(changes)
    with pytest.raises(ConfigError) as error:
        from_document(document, "my.yaml")
    sentence = str(error.value)
    assert sentence.startswith("my.yaml: ") and "\n" not in sentence
    return sentence


def test_the_packaged_configs_are_table_3_and_a_part_of_it():
    assert packaged() == [
        "demo.yaml",
        "frankensplit.yaml",
        "sc2.yaml",
        "table3.yaml",
        "trained.yaml",
    ]
    table3, demo = load_config("table3.yaml"), load_config("demo")
    ids = ["LC%d" % n for n in range(1, 25)] + ["SC%d" % n for n in range(1, 7)]
    assert [row.id for row in table3.configurations] == ids + ["Ours%d" % n for n in range(1, 11)]
    assert [row.id for row in demo.configurations] == [
        "LC1", "LC3", "LC20", "SC1", "SC5", "Ours1", "Ours5",
    ]  # fmt: skip
    for row in demo.configurations:
        assert row == table3.configuration(row.id)
    assert [row.id for row in table3.configurations if row.assumed] == ["SC6"]
    assert table3.configuration("SC6").note


def test_local_rows_follow_table_2s_numbers():
    # Table 3 of the paper: LC n -> indices into Table 2.
    classifiers = ["mobilenet_v3_large", "mobilenet_v2", "mnasnet1_3", "mnasnet0_5"]
    detectors = [
        "ssd300_vgg16", "ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn",
    ]  # fmt: skip
    segmenters = ["deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"]
    table3 = load_config("table3.yaml")
    for n in range(24):
        models = table3.configuration("LC%d" % (n + 1)).models
        assert models == (classifiers[n % 4], detectors[n // 4 % 3], segmenters[n // 12])


def test_a_config_survives_being_written_and_read():
    for name in packaged():
        config = load_config(name)
        assert from_document(json.loads(json.dumps(config.to_json())), name) == config


def test_defaults_are_filled_in():
    config = from_document(copy.deepcopy(GOOD), "my.yaml")
    assert (config.warmup, config.repeats, config.seed) == (2, 1, 2025)
    assert (config.backends, config.payload, config.links) == (("cpu",), "measured", ())
    assert config.configuration("Ours1").assumed and not config.configuration("LC1").assumed


def test_rules_of_warm_up_and_repetition():
    config = from_document(copy.deepcopy(GOOD), "my.yaml")
    assert (config.warmup_until, config.until) == (None, None)
    assert (config.throttled_again, config.pipelined) == (1, False)
    rules = {"warmup_until": {"within": 0.1}, "until": {"relative_width": 0.02}}
    config = from_document(dict(GOOD, **rules), "my.yaml")
    assert config.warmup_until == WarmupUntil(0.1, 6, 3, 100)
    assert config.until == Until(0.02, 0.95, 1000, None)
    assert from_document(json.loads(json.dumps(config.to_json())), "my.yaml") == config


def test_rules_that_cannot_be_kept_are_named():
    assert "'until' needs 'relative_width' or 'max_s'" in wrong(until={})
    assert "'until.max_inferences' is 2, less than 'inferences', 3" in wrong(
        until={"max_s": 1, "max_inferences": 2}
    )
    assert "'warmup_until.max_inferences' is 1, less than 'warmup', 2" in wrong(
        warmup_until={"max_inferences": 1}
    )
    assert "did you mean relative_width" in wrong(until={"relative_with": 0.1})
    assert "'until.relative_width' must be a number or null" in wrong(until={"relative_width": "a"})
    assert "'until' must be a mapping or null, not 5" in wrong(until=5)
    assert "'throttled_again' must be a whole number of at most 10" in wrong(throttled_again=11)
    assert "'pipelined' must be true or false" in wrong(pipelined=1)


def test_links_are_typed():
    link = {"name": "slow", "kind": "simulated", "rate_kbit_s": 100}
    config = from_document(dict(GOOD, links=[link]), "my.yaml")
    assert config.links == (Link("slow", "simulated", 100.0, "payload", ""),)
    assert isinstance(config.links[0].rate_kbit_s, float)


def test_wrong_keys_and_values_are_named():
    assert "unknown key 'infrences'; did you mean inferences" in wrong(infrences=3)
    assert "'inferences' must be a whole number, not 'many'" in wrong(inferences="many")
    assert "'inferences' must be a whole number of at least 1, not 0" in wrong(inferences=0)
    assert "'warmup' must be a whole number, not True" in wrong(warmup=True)
    assert "'warmup' must be a whole number, not 1.5" in wrong(warmup=1.5)
    assert "'backends' must be a list, each item text, not 'cpu'" in wrong(backends="cpu")
    assert "'backends' must be a list that is not empty" in wrong(backends=[])
    assert "backends holds 'cpu' twice" in wrong(backends=["cpu", "cpu"])
    row = {"local": ["a"]}
    assert "holds both 'LC1' and 'lc1'" in wrong(configurations={"LC1": row, "lc1": row})
    assert "'payload' must be 'measured' or 'published'" in wrong(payload="publishd")
    assert "'format' must be 1, not 2" in wrong(format=2)
    assert "'name' must be text of the form" in wrong(name="../up")
    assert "'name' must be text of the form" in wrong(name="line\n")
    assert "'configurations' must be a mapping that is not empty" in wrong(configurations={})
    assert "must have either" in wrong(configurations={"A": {"local": ["x"], "split": ["y"]}})
    assert "must have either" in wrong(configurations={"A": {"note": "none"}})
    assert "unknown key 'configurations.A.splt'; did you mean split?" in wrong(
        configurations={"A": {"splt": ["y"]}}
    )
    assert "'configurations.A.local[0]' must be text" in wrong(configurations={"A": {"local": [3]}})
    assert "../x" in wrong(configurations={"A": {"local": ["../x"]}})
    for rate in (0, -1, float("inf"), float("nan"), "fast", 1e-320, 1e300):
        link = {"name": "a", "kind": "simulated", "rate_kbit_s": rate}
        assert "'links[0].rate_kbit_s' must be a number" in wrong(links=[link])
    assert "'links[0].rate_kbit_s' is missing" in wrong(links=[{"name": "a", "kind": "simulated"}])


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match="my.yaml: the key 'inferences' is missing"):
        from_document(
            {"format": 1, "name": "x", "configurations": {"A": {"local": ["m"]}}}, "my.yaml"
        )
    for document in ([], None, "text", 3):
        with pytest.raises(ConfigError, match="the file must be a mapping"):
            from_document(document, "my.yaml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("format: 1\nformat: 1\n", "the key 'format' twice"),
        ("format: [1\n", "is not YAML"),
        ("? &a !!set {x}\n: 1\n", "holds the tag"),
        ("a: &a [1]\nb: *a\n", "holds an alias (*a)"),
        ("? &a [" + "[" * 30 + "]" * 30 + "]\n: 1\n", "more than 12 levels"),
        ("a: {<<: {b: 1}}\n", "unknown key 'a'"),
        ("format: !!timestamp x\n", "is not YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not YAML"),
        ("", "must be a mapping"),
        ("\xff\xfe", "is not"),
    ],
)
def test_a_file_that_is_no_config(tmp_path, text, sentence):
    path = tmp_path / "bad.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        load_config(str(path))
    assert sentence in str(error.value) and "bad.yaml" in str(error.value)


def test_only_names_configurations_in_the_configs_own_order():
    table3 = load_config("table3.yaml")
    rows = table3.only(["Ours1", "LC 20", "lc3"]).configurations
    assert [row.id for row in rows] == ["LC3", "LC20", "Ours1"]
    with pytest.raises(UsageError, match="has no configuration 'Our1'; did you mean Ours1"):
        table3.only(["Our1"])
    with pytest.raises(UsageError):
        table3.only([])


def test_method_and_baselines_name_configurations_of_the_config_and_not_the_same():
    for key in ("method", "baselines"):
        assert "'%s' names 'Our1', which is not a configuration" % key in wrong(**{key: ["Our1"]})
    sentence = wrong(method=["Ours1"], baselines=["LC1", "Ours1"])
    assert "'method' and 'baselines' both name 'Ours1'" in sentence


def test_only_leaves_method_and_baselines_that_a_run_can_be_read_with():
    document = copy.deepcopy(GOOD)
    document.update(method=["Ours1"], baselines=["LC1"])
    document["configurations"]["SC1"] = {"split": ["c"]}
    config = from_document(document, "my.yaml")
    kept = config.only(["Ours1"])
    assert (kept.method, kept.baselines) == (("Ours1",), ())
    rest = config.only(["LC1", "SC1"])  # the method is not run, and nothing else takes its place
    assert (rest.method, rest.baselines) == ((), ("LC1", "SC1"))
    for part in (config, kept, rest):
        assert from_document(part.to_json(), "run.json") == part


def test_config_names():
    assert find_config("table3") == find_config("table3.yaml")
    with pytest.raises(UsageError, match="there is no config 'tabel3.yaml'; did you mean table3"):
        find_config("tabel3.yaml")
    with pytest.raises(UsageError, match="there is no config file some/where.yaml"):
        find_config("some/where.yaml")


def test_a_folder_of_images_is_relative_to_its_config(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(dict(GOOD, images="photos")))
    assert load_config(str(path)).images == os.path.join(str(tmp_path), "photos")


def test_every_key_of_the_schema_is_described():
    def walk(node):
        for name, rule in node.get("properties", {}).items():
            assert rule.get("description"), name
            walk(rule)
            walk(rule.get("items", {}))
        if isinstance(node.get("additionalProperties"), dict):
            walk(node["additionalProperties"])

    walk(schema())
