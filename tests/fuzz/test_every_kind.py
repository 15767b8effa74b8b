"""`python -m tests.fuzz` runs: every kind of file, a few changes each."""

from tests.fuzz.__main__ import SHARES, rows


def test_the_fuzzer_runs_on_every_kind():
    done = [(kind, faults) for kind, _, (_, faults, _, _) in rows(20, 1)]
    assert [kind for kind, _ in done] == list(SHARES) and not any(faults for _, faults in done)
