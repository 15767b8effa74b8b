"""Quantiles, their bounds, outliers, and the rules that end warm-up and repetition."""

import random

import numpy as np
import pytest

from splitwatt.profiler.analyse.statistics import (
    BOUND_CONFIDENCE,
    LEVEL,
    bound,
    interval,
    quantile,
    relative_width,
    spread,
)
from splitwatt.profiler.execute.steady import (
    Repetition,
    Until,
    WarmUp,
    WarmupUntil,
)

RULE = WarmupUntil(within=0.05, window=4, windows=3, max_inferences=40)


def test_quantiles_are_numpys():
    values = [random.Random(1).expovariate(1) for _ in range(37)]
    for p in (0.0, 0.25, 0.5, 0.9, 0.99, 1.0):
        assert quantile(values, p) == pytest.approx(np.percentile(values, 100 * p))


def test_bounds_begin_where_mlperfs_do():
    # The load generator's own messages: 64 queries for p90, 662 for p99, at 99 %.
    for p, least in ((0.9, 64), (0.99, 662), (0.5, 11)):
        values = list(range(least))
        assert bound(values[:-1], p, BOUND_CONFIDENCE) is None
        assert bound(values, p, BOUND_CONFIDENCE) == least - 1  # the largest: one is above, at most
    # loadgen's early_stopping.cc, compiled and run: how many of the largest are above the bound.
    for p, n, t in ((0.9, 1000, 78), (0.9, 200, 10), (0.99, 2000, 9), (0.5, 200, 83)):
        assert bound(list(range(n)), p, BOUND_CONFIDENCE) == n - t


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_an_interval_holds_its_quantile_as_often_as_it_says(p):
    generator = random.Random(7)
    true = -np.log(1 - p)
    for count in (20, 61):
        hits = 0
        for _ in range(800):
            found = interval(sorted(generator.expovariate(1) for _ in range(count)), p, LEVEL)
            hits += found is None or found[0] <= true <= found[1]
        assert hits >= 0.93 * 800


def test_few_values_have_no_interval():
    assert interval([1.0] * 5, 0.5, LEVEL) is None and relative_width([1.0] * 5) is None
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.5, LEVEL) == (1.0, 6.0)
    assert relative_width([1.0] * 6) == 0.0
    assert spread([]) is None
    one = spread([2.0])
    assert (one.samples, one.p50_s, one.p99_s, one.p50_low_s, one.p90_bound_s, one.outliers) == (
        1, 2.0, 2.0, None, None, None,
    )  # fmt: skip


def test_what_is_far_out_is_flagged_and_counts():
    values = [1.0, 1.1, 1.2, 1.0, 1.1, 1.2, 1.1, 9.0]
    known = spread(values)
    assert known.outliers == 1 and known.samples == 8
    assert spread(values[:7]).outliers is None


def warm(rule, times, images=4, least=1):
    warm_up = WarmUp(least, rule, images)
    for k, total_s in enumerate(times):
        if warm_up.over():
            return k, warm_up
        warm_up.add(total_s)
    return len(times) if warm_up.over() else None, warm_up


def test_a_fixed_warm_up_counts():
    assert warm(None, [1.0] * 9, least=3)[0] == 3
    assert warm(None, [1.0] * 9, least=0)[0] == 0
    assert warm(None, [], least=0)[1].steady is None


def test_warm_up_goes_on_until_windows_agree():
    images = [1.0, 2.0, 3.0, 9.0]  # images differ: windows run the same ones
    count, warm_up = warm(RULE, images * 3 + [0.0])
    assert (count, warm_up.steady) == (12, True)
    falling = [8.0 * 0.8**k for k in range(10) for _ in range(4)] + [0.8] * 40
    count, warm_up = warm(RULE, falling)
    assert count == 40 and warm_up.steady is False  # the cap
    settling = [8.0] * 4 + [2.0] * 4 + [1.0] * 40
    assert warm(RULE, settling)[0] == 20


def test_windows_are_whole_rounds_of_the_images():
    assert warm(RULE, [1.0, 5.0, 2.0] * 20, images=3)[0] == 18  # windows of 6
    assert WarmUp(1, RULE, 500).images == 4 and WarmUp(1, None, 500).images == 500
    assert warm(RULE, [1.0] * 40, least=17)[0] == 20


def test_warm_up_ends_where_nothing_succeeds():
    count, warm_up = warm(RULE, [None] * 40)
    assert count == 4 and warm_up.steady is False


def run(repetition, times):
    """Run what is due, in order; the number of inferences."""
    count = 0
    due = repetition.due()
    while due:
        for k in due:
            assert k == count
            repetition.add(k, times[k])
            count += 1
        due = repetition.due()
    return count


def test_a_fixed_count_is_run_as_it_is():
    repetition = Repetition(10, None, 6)
    assert run(repetition, [1.0] * 10) == 10 and repetition.over
    assert Repetition(4, None, 6, {1: 1.0, 3: None}).due() == [0, 2]


def test_repetition_ends_with_the_interval():
    generator = random.Random(3)
    times = [1 + 0.2 * generator.random() for _ in range(2000)]
    until = Until(0.02, 0.95, 2000, None)
    repetition = Repetition(6, until, 6)
    count = run(repetition, times)
    assert repetition.over and 12 < count < 600 and count % 6 == 0
    assert relative_width(times[:count]) <= 0.02 < relative_width(times[: count // 2])
    # From what was recorded until a kill, the rest is the same.
    for cut in (0, 5, count // 2, count - 1, count):
        again = Repetition(6, until, 6, dict(enumerate(times[:cut])))
        left = again.due()
        while left:
            for k in left:
                again.add(k, times[k])
            left = again.due()
        assert again.over and again.expected() == count


def test_repetition_ends_at_its_limits():
    generator = random.Random(4)
    wide = [generator.expovariate(1) for _ in range(500)]
    capped = Repetition(6, Until(0.001, 0.95, 100, None), 6)
    assert run(capped, wide) == 100 and capped.over
    timed = Repetition(6, Until(None, 0.95, 500, 20.0), 6)
    count = run(timed, [1.0] * 500)
    assert timed.over and count == 24  # whole rounds
    dead = Repetition(6, Until(0.01, 0.95, 500, None), 6)
    assert run(dead, [None] * 500) == 6 and dead.over


def test_what_is_expected_grows_with_the_width():
    generator = random.Random(5)
    repetition = Repetition(12, Until(0.01, 0.95, 100000, None), 6)
    assert repetition.expected() == 12
    for k in repetition.due():
        repetition.add(k, 1 + generator.random())
    assert repetition.due() and repetition.expected() > 100
