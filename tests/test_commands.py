"""The umbrella command: its exit codes, its sentences, its help."""

import pytest

import splitwatt.__main__ as umbrella
from tests.conftest import ROOT, splitwatt


def test_an_unknown_verb_names_the_nearest():
    result = splitwatt("exprot", check=False)
    assert result.returncode == 2
    assert "unknown command 'exprot'" in result.stderr and "export" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_verb_prints_the_verbs_and_fails():
    result = splitwatt(check=False)
    assert result.returncode == 2
    assert all(verb in result.stdout for verb in umbrella.VERBS)


def test_version():
    assert splitwatt("--version").stdout.strip() == f"splitwatt {umbrella.__version__}"


def test_changelog_has_the_version():
    assert f"## {umbrella.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("verb", umbrella.VERBS)
def test_every_verb_exists_and_helps_with_an_example(verb):
    assert callable(umbrella.command_of(verb))
    result = splitwatt(verb, "--help")
    assert "example" in result.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["export", "--model", "ladon_r5", "--target", "cpu"], ["ladon_r5", "ladon_r50"]),
        (["export", "--model", "ladon_r50", "--target", "nanno"], ["nanno", "nano"]),
        (["export", "--model", "ladon_r50@0.33", "--target", "cpu"], ["0.33", "0.32"]),
        (["profile", "--config", "tabel3.yaml"], ["tabel3.yaml", "table3.yaml"]),
        (["profile", "--config", "table3.yaml", "--only", "LC99"], ["LC99", "LC9"]),
        (["targets", "xavier"], ["xavier", "xavier_nx"]),
    ],
)
def test_a_wrong_name_is_bad_usage_and_names_the_nearest(arguments, words):
    result = splitwatt(*arguments, check=False)
    assert result.returncode == 2, result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.stderr
