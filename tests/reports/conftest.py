"""Synthetic runs and their reports, made once."""

import json

import pytest

from tests.conftest import splitwatt
from tests.reports.synthetic import make_config, write_run

DEMO = ["LC1", "LC3", "LC20", "SC1", "SC5", "SC6", "Ours1", "Ours5", "Ours6"]


class Made:
    """A report in a folder, with the runs that it was made from and what the command printed."""

    def __init__(self, folder, runs, printed):
        self.folder, self.runs, self.printed = folder, runs, printed
        self.markdown = (folder / "report.md").read_text(encoding="utf-8")
        self.json = json.loads((folder / "report.json").read_text(encoding="utf-8"))


def report(folder, *runs):
    printed = splitwatt("report", *runs, "--out", folder).stdout
    return Made(folder, runs, printed)


@pytest.fixture(scope="session")
def two_boards(tmp_path_factory):
    """Two boards, one of them with two backends, published payloads and three links."""
    folder = tmp_path_factory.mktemp("two_boards")
    cpu = write_run(folder / "cpu", make_config(DEMO, links=3, inferences=7, repeats=2))
    changes = {"backends": ("cpu", "tensorrt"), "payload": "published", "inferences": 6}
    nano = write_run(
        folder / "nano", make_config(DEMO, links=3, **changes), "nano", same_machine=False, seed=2
    )
    return report(folder / "report", cpu, nano)


@pytest.fixture(scope="session")
def half(tmp_path_factory):
    """A run that was killed: a configuration without samples, one with failed ones."""
    folder = tmp_path_factory.mktemp("half")
    config = make_config(DEMO, inferences=6)
    run = write_run(folder / "run", config, finished=False, skip=("LC20", "Ours5"), fail=("SC5",))
    return report(folder / "report", run)
