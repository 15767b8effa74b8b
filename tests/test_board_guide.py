"""The board guide's commands exist, with the flags and files that it names."""

import re

import splitwatt.__main__ as umbrella
from tests.conftest import ROOT, splitwatt

PAGE = (ROOT / "docs" / "board-guide.md").read_text()


def test_every_command_of_the_guide_exists_with_its_flags():
    shown = re.findall(r"splitwatt ((?:[a-z]+)(?: [^\n`|#]*)?)", PAGE)
    helps = {}
    for words in (command.split() for command in shown):
        if words[0] not in umbrella.VERBS:
            continue
        if words[0] not in helps:
            helps[words[0]] = splitwatt(words[0], "--help").stdout
        for word in words:
            if word.startswith("--"):
                assert word in helps[words[0]], f"splitwatt {words[0]} has no {word}"
    assert {"export", "build", "verify", "profile", "serve", "report", "doctor"} <= set(helps)


def test_the_guide_s_versions_are_the_pinned_ones():
    for target, python in (("nano", "3.6"), ("xavier_nx", "3.8")):
        pins = (ROOT / "tools" / f"board-{python}.txt").read_text()
        assert f"`{target}`" in PAGE and f"py{python}" in PAGE
        assert "numpy==" in pins and "onnxruntime==" in pins
    assert "numpy==1.19.5" in (ROOT / "tools" / "board-3.6.txt").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{name}:" in makefile for name in re.findall(r"`?make (\w+-board)`?", PAGE))
