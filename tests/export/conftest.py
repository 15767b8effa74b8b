"""What the tests of exports share."""

import pytest

from splitwatt.export import zoo


@pytest.fixture(autouse=True)
def no_models_of_other_tests(monkeypatch):
    """A test's own models leave with it."""
    monkeypatch.setattr(zoo, "_own", {})
