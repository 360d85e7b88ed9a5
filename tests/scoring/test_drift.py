"""Falls of shares and rises of means, against scipy and by simulation."""

import itertools
import random

import numpy as np
import pytest
from scipy import stats

from plaudit.scoring.drift import (
    Tried,
    chance_of_fall,
    chance_of_more,
    has_risen,
    level_of_look,
)


@pytest.mark.parametrize(("hits", "tries"), [(0, 0), (0, 9), (3, 4), (4, 4), (40, 600), (600, 600)])
@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_the_binomial_tail_is_that_of_scipy(hits: int, tries: int, rate: float) -> None:
    expected = stats.binom.sf(hits - 1, tries, rate) if hits else 1.0
    assert chance_of_more(Tried(hits, tries), rate) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "table", [(30, 30, 25, 30), (9, 10, 9, 10), (0, 5, 0, 7), (48, 50, 20, 60)]
)
def test_one_stratum_is_fishers_test(table: tuple[int, int, int, int]) -> None:
    a, n, b, m = table
    expected = stats.fisher_exact([[b, m - b], [a, n - a]], alternative="less").pvalue
    assert chance_of_fall([Tried(a, n)], [Tried(b, m)]) == pytest.approx(expected, rel=1e-9)


def test_several_strata_are_convolved() -> None:
    before = [Tried(20, 20), Tried(7, 12), Tried(3, 3), Tried(0, 0)]
    after = [Tried(15, 20), Tried(5, 15), Tried(0, 0), Tried(1, 5)]
    whole = np.array([1.0])
    for one, other in itertools.islice(zip(before, after, strict=True), 2):
        hits = one.successes + other.successes
        whole = np.convolve(
            whole,
            stats.hypergeom.pmf(
                np.arange(other.tries + 1), one.tries + other.tries, hits, other.tries
            ),
        )
    assert chance_of_fall(before, after) == pytest.approx(whole[: 15 + 5 + 1].sum(), rel=1e-9)
    assert chance_of_fall([], []) == 1.0
    assert chance_of_fall([Tried(0, 0)], [Tried(3, 4)]) == 1.0


def test_a_shift_between_strata_is_no_fall() -> None:
    before = [Tried(100, 100), Tried(10, 50)]
    after = [Tried(10, 10), Tried(40, 200)]
    assert chance_of_fall(before, after) > 0.5  # Pooled, the share falls from 0.73 to 0.24.


def test_large_counts_are_quick_and_right() -> None:
    before, after = [Tried(5900, 6000)] * 4, [Tried(5800, 6000)] * 4
    assert 0 <= chance_of_fall(before, after) < 1e-24


def test_looks_spend_the_level_once() -> None:
    spent = sum(level_of_look(0.01, look) for look in range(1, 100_000))
    assert 0.0099 < spent < 0.01


def test_a_stable_process_seldom_alarms_over_many_looks() -> None:
    draw = random.Random(5)
    alarms = 0
    for _ in range(200):
        before = Tried(sum(draw.random() < 0.9 for _ in range(100)), 100)
        for look in range(1, 30):
            after = Tried(sum(draw.random() < 0.9 for _ in range(100)), 100)
            if chance_of_fall([before], [after]) < level_of_look(0.05, look):
                alarms += 1
                break
    assert alarms <= 10


def test_a_rise_of_means_is_welchs() -> None:
    draw = np.random.default_rng(2)
    found = []
    for shift in np.linspace(-0.2, 1.0, 40):
        before, after = draw.normal(0, 0.2, 6), draw.normal(shift, 0.4, 8)
        found.append(has_risen(list(before), list(after)))
        p = stats.ttest_ind(after, before, equal_var=False, alternative="greater").pvalue
        if not 0.02 < p < 0.03:  # Degrees of freedom are rounded down.
            assert found[-1] == (p < 0.025)
    assert {True, False} == set(found)
    assert not has_risen([0.1], [0.9, 0.9])
    assert has_risen([0.1, 0.1], [0.2, 0.2])
    assert not has_risen([0.2, 0.2], [0.2, 0.2])
