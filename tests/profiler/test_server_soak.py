"""The short form of `python -m tests.soak server`."""

import pytest

from tests.soak.server import CLIENTS, run

pytestmark = pytest.mark.long


def test_64_clients_and_two_kills_lose_no_request():
    found = run(12.0)
    assert not found["wrong"], found["wrong"][:3]
    counts = found["counts"]
    assert counts["answered"] > CLIENTS and counts["sent"] >= counts["answered"]
    for what in ("hung up", "cut short", "rubbish", "sent slowly"):
        assert counts[what] > 0, counts
